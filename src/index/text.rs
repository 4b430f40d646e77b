//! Requirements files at URLs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::header::CONTENT_TYPE;

use super::client::{Client, shown};
use super::{Error, Network};
use crate::diagnosis::Diagnosis;
use crate::event::Cancel;
use crate::requirements::{Download, DownloadError, Downloaded};

/// The largest file that is downloaded, and the most bytes of all together.
const MAX_FILE: u64 = 16 << 20;
const MAX_TOTAL: u64 = 64 << 20;

/// Downloads requirements files, each once.
#[derive(Debug)]
pub struct Downloads<'a> {
    client: Client<'a>,
    done: Mutex<Done>,
}

#[derive(Debug, Default)]
struct Done {
    files: BTreeMap<String, Downloaded>,
    bytes: u64,
}

impl<'a> Downloads<'a> {
    /// Takes note of how hosts are reached, and of the credentials in the URLs of indexes, which are for
    /// all that is on their hosts; asks nobody.
    #[must_use]
    pub fn new(network: &'a Network, indexes: &[String], cancel: &'a Cancel) -> Self {
        let client = Client::new(network, cancel);
        for index in indexes {
            if let Ok(url) = super::parse(index) {
                client.learn(&url);
            }
        }
        Self {
            client,
            done: Mutex::default(),
        }
    }

    fn get(&self, text: &str) -> Result<Downloaded, Error> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = done.files.get(text) {
            return Ok(known.clone());
        }
        let url = super::parse(text)?;
        if !self.client.is_secure(&url) {
            return Err(Error::Insecure(shown(&url)));
        }
        // What it names on its host is read with the same credentials, as pip does.
        self.client.learn(&url);
        let response = self.client.get(&url, &[])?;
        if !response.status.is_success() {
            return Err(Error::Status {
                url: shown(&url),
                status: response.status.as_u16(),
            });
        }
        let charset = response.header(CONTENT_TYPE).and_then(charset);
        let limit = MAX_FILE.min(MAX_TOTAL - done.bytes);
        let data = response.read(limit)?;
        done.bytes += data.len() as u64;
        let downloaded = Downloaded { data, charset };
        done.files.insert(text.to_owned(), downloaded.clone());
        Ok(downloaded)
    }
}

impl Download for Downloads<'_> {
    fn download(&self, url: &str) -> Result<Downloaded, DownloadError> {
        self.get(url)
            .map_err(|error| DownloadError::new(TextError(error)))
    }
}

/// Why a requirements file is not downloaded. What helps is another thing than with an index.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct TextError(Error);

impl Diagnosis for TextError {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        Some(&self.0)
    }

    fn hint(&self) -> Option<String> {
        let hint = match &self.0 {
            Error::Status {
                status: 401 | 403, ..
            } => "put a user and a password in the URL, or in ~/.netrc",
            Error::Status {
                status: 404 | 410, ..
            } => "check the URL in a browser",
            Error::Status { .. } => "try again later",
            Error::Offline(_) => {
                "run prebuild without --offline, or download the file and name the copy"
            }
            Error::Unreachable {
                proxy: None,
                source,
                ..
            } if !source.to_string().contains("certificate") => {
                "check the network; set HTTPS_PROXY to use a proxy"
            }
            error => return error.hint(),
        };
        Some(hint.to_owned())
    }
}

/// The `charset` of a `Content-Type`.
fn charset(kind: &str) -> Option<String> {
    kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::charset;

    #[test]
    fn a_charset_is_found() {
        for (kind, found) in [
            ("text/plain", None),
            ("text/plain; charset=utf-8", Some("utf-8")),
            (
                "text/plain;format=flowed; Charset=\"ISO-8859-1\"",
                Some("ISO-8859-1"),
            ),
            ("text/plain; charset=", None),
        ] {
            assert_eq!(charset(kind).as_deref(), found);
        }
    }
}
