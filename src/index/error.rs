//! Why an index gives nothing, and what to do about it.

use std::path::PathBuf;

use url::Url;

use super::client::shown;
use super::page::Problem;
use crate::diagnosis::{Diagnosis, Kind};
use crate::{cache, fs, wheel};

/// Why an index gives nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It says so.
    #[error("`{url}` answers with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// There is no way to it, or it breaks off.
    #[error("cannot get `{url}`{}", match proxy {
        Some(proxy) => format!(" through the proxy `{proxy}`"),
        None => String::new(),
    })]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The proxy that was asked for it.
        proxy: Option<String>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether another try may help.
        passing: bool,
    },
    /// More files than anybody can want.
    #[error("`{0}` and the pages before it list more files than are kept in memory")]
    TooMany(String),
    /// It leads where we do not go.
    #[error("`{url}` redirects to `{to}`: {why}")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where it leads.
        to: String,
        /// Why we do not go there.
        why: &'static str,
    },
    /// It is asked without encryption, and anybody could answer.
    #[error("`{0}` is not reached by https")]
    Insecure(String),
    /// Nobody may be asked, and it is not in the cache.
    #[error("not in the cache, and nothing is fetched with --offline: {}", .0.join(", "))]
    Offline(Vec<String>),
    /// It is something else.
    #[error("`{url}` is no page of an index")]
    NotAPage {
        /// The page.
        url: String,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// No URL.
    #[error("`{0}` is no URL of an index")]
    Url(String),
    /// A proxy that is none.
    #[error("`{0}` is no URL of a proxy")]
    Proxy(String),
    /// A file with certificates that has none.
    #[error("`{}` holds no certificates, or not what belongs to them", .0.display())]
    Certificates(PathBuf),
    /// It is longer than anything that is read.
    #[error("`{url}` has more than {limit} bytes")]
    TooLong {
        /// What was asked for.
        url: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It has another length than the index says.
    #[error("`{url}` has {}, and should have {expected}", match found {
        Some(found) => format!("{found} bytes"),
        None => "more bytes".to_owned(),
    })]
    Size {
        /// The file.
        url: String,
        /// What the index says.
        expected: u64,
        /// What it has; `None` for more.
        found: Option<u64>,
    },
    /// It has other bytes than it should.
    #[error("`{url}` has other bytes than it should: {found}, not {expected}")]
    Hash {
        /// The file.
        url: String,
        /// Its hash.
        found: String,
        /// The hashes that it may have.
        expected: String,
    },
    /// What it says of itself is not what the index says.
    #[error("`{url}` says something else in its metadata than the index: {what}")]
    Metadata {
        /// The file.
        url: String,
        /// What differs.
        what: String,
    },
    /// The wheel.
    #[error(transparent)]
    Wheel(#[from] wheel::Error),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The file system of this machine.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// The caller threw the switch.
    #[error("interrupted")]
    Cancelled,
}

/// A server that sends too little to wait for.
#[derive(Debug, thiserror::Error)]
#[error("it sends less than {0} bytes a second")]
pub(super) struct Slow(pub(super) u64);

impl Error {
    pub(super) fn unreachable(url: &Url, error: ureq::Error) -> Self {
        let passing = match &error {
            // A certificate that is wrong stays wrong.
            // So does a server that sends too little.
            ureq::Error::Io(error) => {
                let slow = error
                    .get_ref()
                    .and_then(|error| error.downcast_ref::<Slow>());
                slow.is_none() && error.kind() != std::io::ErrorKind::InvalidData
            }
            ureq::Error::Timeout(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::BodyStalled
            | ureq::Error::ConnectProxyFailed(_)
            | ureq::Error::Protocol(_) => true,
            _ => false,
        };
        Self::Unreachable {
            url: shown(url),
            proxy: None,
            source: match error {
                ureq::Error::Io(error) => Box::new(error),
                error => Box::new(error),
            },
            passing,
        }
    }

    /// The same error of a request that went by a proxy.
    pub(super) fn through(mut self, by: Option<String>) -> Self {
        if let Self::Unreachable { proxy, .. } = &mut self {
            *proxy = by;
        }
        self
    }

    /// Whether another try may help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { passing, .. } => *passing,
            // What is too short may have broken off.
            Self::Size {
                expected, found, ..
            } => found.is_some_and(|found| found < *expected),
            _ => false,
        }
    }
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Wheel(error) => Some(error),
            Self::Cache(error) => Some(error),
            Self::Fs(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Cancelled => Kind::Cancelled,
            Self::Url(_) | Self::Proxy(_) | Self::Certificates(_) | Self::Insecure(_) => {
                Kind::Request
            }
            _ => self.wrapped().map_or(Kind::Build, Diagnosis::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Status {
                status: 401 | 403, ..
            } => {
                "the index wants to know who asks: name a user and a password in its URL, or in ~/.netrc"
            }
            Self::Status { status: 429, .. } => {
                "the server wants to be asked less often: try later"
            }
            Self::Status { .. } | Self::Size { .. } => "try again later, or another index",
            Self::Unreachable { source, .. } if source.to_string().contains("certificate") => {
                "name the certificates to trust with PIP_CERT or SSL_CERT_FILE"
            }
            Self::Unreachable { proxy: Some(_), .. } => {
                "is the proxy right? HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and pip's `proxy` name it, and \
                 NO_PROXY names hosts that are reached without it"
            }
            Self::Unreachable { .. } => {
                "is the network there? a proxy is named by HTTPS_PROXY, another index by --index-url"
            }
            Self::Insecure(_) => "ask it by https, or trust its host with --trusted-host",
            Self::Offline(_) => "run it once without --offline",
            Self::NotAPage { .. } => "the URL of an index usually ends in `/simple`",
            Self::Hash { .. } => "somebody has changed the file, or the hash is another file's",
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}
