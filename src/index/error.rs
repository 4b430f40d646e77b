//! Why a request to an index failed, and what to do about it.

use std::path::PathBuf;

use url::Url;

use super::client::shown;
use super::page::Problem;
use crate::diagnosis::{Diagnosis, Kind};
use crate::{cache, fs, wheel};

/// Why a request to an index failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answers with an error status.
    #[error("`{url}` answers with status {status}")]
    Status {
        /// The requested URL.
        url: String,
        /// The status.
        status: u16,
    },
    /// The connection fails or breaks off.
    #[error("cannot download `{url}`{}", match proxy {
        Some(proxy) => format!(" through the proxy `{proxy}`"),
        None => String::new(),
    })]
    Unreachable {
        /// The requested URL.
        url: String,
        /// The proxy.
        proxy: Option<String>,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether a retry may succeed.
        passing: bool,
    },
    /// The pages list too many files.
    #[error("too many files: `{0}` and the pages before it list more than fit in memory")]
    TooMany(String),
    /// The server redirects to a URL that prebuild does not follow.
    #[error("`{url}` redirects to `{to}`: {why}")]
    Redirect {
        /// The requested URL.
        url: String,
        /// The target of the redirect.
        to: String,
        /// The reason.
        why: &'static str,
    },
    /// The URL is not encrypted, and the host is not trusted.
    #[error("`{0}` does not use https")]
    Insecure(String),
    /// The build is offline, and the files are not cached.
    #[error("not cached, and --offline allows no download: {}", .0.join(", "))]
    Offline(Vec<String>),
    /// The response is not a page of an index.
    #[error("`{url}` is not an index page")]
    NotAPage {
        /// The page.
        url: String,
        /// The problem.
        #[source]
        problem: Problem,
    },
    /// The URL of an index is invalid.
    #[error("invalid index URL `{0}`")]
    Url(String),
    /// The URL of a proxy is invalid.
    #[error("invalid proxy URL `{0}`")]
    Proxy(String),
    /// A file of certificates is invalid.
    #[error("invalid certificates in `{}`", .0.display())]
    Certificates(PathBuf),
    /// The response is too long.
    #[error("`{url}` has more than {limit} bytes")]
    TooLong {
        /// The requested URL.
        url: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The size of a file differs from the index.
    #[error("size mismatch of `{url}`: expected {expected} bytes, got {}", match found {
        Some(found) => found.to_string(),
        None => "more".to_owned(),
    })]
    Size {
        /// The file.
        url: String,
        /// The size on the index.
        expected: u64,
        /// The size that was received; `None` for more than expected.
        found: Option<u64>,
    },
    /// The hash of a file does not match.
    #[error("hash mismatch of `{url}`: expected {expected}, got {found}")]
    Hash {
        /// The file.
        url: String,
        /// The hash of its bytes.
        found: String,
        /// The expected hashes.
        expected: String,
    },
    /// The metadata of a wheel differs from the index.
    #[error("the metadata of `{url}` differs from the index: {what}")]
    Metadata {
        /// The file.
        url: String,
        /// What differs.
        what: String,
    },
    /// A wheel is invalid.
    #[error(transparent)]
    Wheel(#[from] wheel::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A file system call of this machine failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// The caller cancelled the operation.
    #[error("interrupted")]
    Cancelled,
}

/// A server sends too few bytes.
#[derive(Debug, thiserror::Error)]
#[error("the server sends less than {0} bytes a second")]
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

    /// The same error, with the proxy of the request.
    pub(super) fn through(mut self, by: Option<String>) -> Self {
        if let Self::Unreachable { proxy, .. } = &mut self {
            *proxy = by;
        }
        self
    }

    /// Whether a retry may succeed.
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
                "the index requires credentials: put a user and a password in its URL, or in ~/.netrc"
            }
            Self::Status { status: 429, .. } => "the server limits requests: try again later",
            Self::Status { .. } | Self::Size { .. } => "try again later, or use another index",
            Self::Unreachable { source, .. } if source.to_string().contains("certificate") => {
                "name the certificates to trust with PIP_CERT or SSL_CERT_FILE"
            }
            Self::Unreachable { proxy: Some(_), .. } => {
                "check the proxy in HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or pip's `proxy`; NO_PROXY lists hosts to connect to directly"
            }
            Self::Unreachable { .. } => {
                "check the network; set HTTPS_PROXY to use a proxy, or --index-url to use another index"
            }
            Self::Insecure(_) => "use https, or trust the host with --trusted-host",
            Self::Offline(_) => "run prebuild once without --offline",
            Self::NotAPage { .. } => "the URL of an index usually ends in `/simple`",
            Self::Hash { .. } => {
                "the file has changed, or the hash belongs to another file: check both before you lock again"
            }
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}
