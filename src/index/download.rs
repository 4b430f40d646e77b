//! Downloads files of an index to disk, and resumes after a broken connection.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use http::StatusCode;
use http::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, RANGE};
use url::Url;

use super::Error;
use super::client::{Client, shown};
use crate::digest::{Digest, Hashing};
use crate::fs;

/// How much is read at a time.
const BUFFER: usize = 128 << 10;
/// How many bytes further a connection must have come for the count of retries to begin again, and how often
/// a file is gone on with at most.
const PROGRESS: u64 = 64 << 10;
const MAX_TURNS: u32 = 100;

/// Gets what is at `url` into the file at `path`, which is made.
///
/// It must have `size` bytes, where that is known, and at most `limit`. Returns its digest; each time
/// that bytes have come, `on_read` is told how many.
pub(super) fn download(
    client: &Client<'_>,
    url: &Url,
    path: &Path,
    size: Option<u64>,
    limit: u64,
    on_read: &dyn Fn(usize),
) -> Result<Digest, Error> {
    let mut part = Part {
        file: Hashing::new(fs::create_new(path)?),
        path,
        done: 0,
        etag: None,
        on_read,
    };
    let retries = client.network().retries;
    let (mut left, mut furthest) = (retries, 0);
    for turn in 0.. {
        match part.go_on(client, url, size, limit) {
            Ok(()) => {
                let (_, digest, _) = part.file.finish();
                return Ok(digest);
            }
            Err(error) if error.may_pass() => {
                client.check_cancelled()?;
                // Further than ever, and by something: what is sent anew each time goes nowhere.
                if part.done >= furthest + PROGRESS {
                    (left, furthest) = (retries, part.done);
                }
                if left == 0 || turn >= MAX_TURNS {
                    return Err(error);
                }
                left -= 1;
                client.pause(super::client::PAUSE)?;
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("turns have no end")
}

/// A file that is not all there yet.
struct Part<'a> {
    file: Hashing<File>,
    path: &'a Path,
    done: u64,
    /// What the server called the state of the file that the beginning is of.
    etag: Option<String>,
    on_read: &'a dyn Fn(usize),
}

impl Part<'_> {
    fn go_on(
        &mut self,
        client: &Client<'_>,
        url: &Url,
        size: Option<u64>,
        limit: u64,
    ) -> Result<(), Error> {
        // What is compressed on the way has other bytes than what is hashed.
        let mut headers: Vec<(HeaderName, String)> = vec![(ACCEPT_ENCODING, "identity".to_owned())];
        if self.done > 0 {
            headers.push((RANGE, format!("bytes={}-", self.done)));
            headers.extend(self.etag.clone().map(|etag| (IF_RANGE, etag)));
        }
        let mut response = client.get(url, &headers)?;
        match response.status {
            StatusCode::PARTIAL_CONTENT if self.continues(response.header(CONTENT_RANGE)) => {}
            StatusCode::OK => self.start_again()?,
            // It is not what it was: from its start next time.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if self.done > 0 => {
                self.start_again()?;
                return self.go_on(client, url, size, limit);
            }
            status => {
                return Err(Error::Status {
                    url: shown(url),
                    status: status.as_u16(),
                });
            }
        }
        let etag = response.header(ETAG).filter(|etag| etag.starts_with('"'));
        self.etag = etag.map(str::to_owned);
        let mut reader = response.reader();
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = reader
                .read(&mut buffer)
                .map_err(|source| Error::unreachable(url, ureq::Error::Io(source)))?;
            if read == 0 {
                break;
            }
            client.check_cancelled()?;
            self.file
                .write_all(&buffer[..read])
                .map_err(|source| fs::Error::new("write", self.path, source))?;
            self.done += read as u64;
            (self.on_read)(read);
            if self.done > limit {
                return Err(match size {
                    Some(size) => Error::Size {
                        url: shown(url),
                        expected: size,
                        found: None,
                    },
                    None => Error::TooLong {
                        url: shown(url),
                        limit,
                    },
                });
            }
        }
        match size {
            Some(size) if self.done != size => Err(Error::Size {
                url: shown(url),
                expected: size,
                found: Some(self.done),
            }),
            _ => Ok(()),
        }
    }

    /// Whether a `Content-Range` begins where this ends.
    fn continues(&self, range: Option<&str>) -> bool {
        let range = range.and_then(|range| range.trim().strip_prefix("bytes "));
        let first = range.and_then(|range| range.split('-').next());
        first.and_then(|first| first.parse().ok()) == Some(self.done)
    }

    fn start_again(&mut self) -> Result<(), Error> {
        if self.done == 0 {
            return Ok(());
        }
        fs::remove_file(self.path)?;
        self.file = Hashing::new(fs::create_new(self.path)?);
        self.done = 0;
        Ok(())
    }
}
