//! Downloads wheels of an index into the store, and verifies each while the next ones arrive.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::digest::DynDigest;

use super::client::shown;
use super::download::download;
use super::{Error, Failed, Index};
use crate::cache::MissReason;
use crate::digest::Digest;
use crate::event::{Event, Observer};
use crate::fs;
use crate::requirements::{Algorithm, Hash};
use crate::tree::Content;
use crate::wheel::{Expected, Store, Wheel};

/// The longest wheel that is fetched where the index does not say how long it is, in bytes.
const MAX_WHEEL: u64 = 64 << 30;
/// The longest metadata file, in bytes.
const MAX_METADATA: u64 = 64 << 20;

/// A wheel that is to be had.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The name of its file.
    pub filename: &'a str,
    /// Where it is.
    pub url: &'a str,
    /// The hashes that it may have; any, if there are none.
    pub hashes: &'a [Hash],
    /// The digests that its source says it has.
    pub listed: &'a [Hash],
    /// Its length in bytes, if its source says.
    pub size: Option<u64>,
}

impl Wanted<'_> {
    /// The SHA-256 that the wheel must have, as far as that is known.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        let of = |hashes: &[Hash]| -> Vec<Digest> {
            let digests = hashes.iter().filter_map(Hash::sha256);
            digests.collect()
        };
        let (listed, allowed) = (of(self.listed), of(self.hashes));
        match (listed.as_slice(), allowed.as_slice()) {
            ([digest, ..], _) => Some(*digest),
            ([], [digest]) if self.hashes.len() == 1 => Some(*digest),
            _ => None,
        }
    }
}

impl Index<'_> {
    /// Gets wheels into the store, at the same time, and tells of each that comes. Those that are there
    /// are not fetched.
    pub fn fetch(
        &self,
        store: &Store<'_>,
        wanted: &[Wanted<'_>],
        observe: &Observer<'_>,
    ) -> Result<Vec<Wheel>, Failed> {
        let known: Vec<_> = wanted
            .iter()
            .map(|wanted| match wanted.sha256() {
                Some(digest) => store.get_named(&digest, wanted.filename),
                None => Err(MissReason::Absent),
            })
            .collect();
        let missing: Vec<_> = wanted
            .iter()
            .zip(&known)
            .enumerate()
            .filter_map(|(at, (wanted, known))| Some((at, wanted, known.as_ref().err()?)))
            .collect();
        if !missing.is_empty() {
            observe(&Event::Fetching(missing.len()));
        }
        let progress = Progress {
            total: missing
                .iter()
                .map(|(_, wanted, _)| wanted.size.unwrap_or(0))
                .sum(),
            done: AtomicU64::new(0),
            observe,
        };
        let got = self.at_once(&missing, |(_, wanted, why)| {
            let (wheel, made) = self.fetch_one(store, wanted, why, &progress)?;
            observe(&Event::Wheel {
                name: &wheel.facts.distribution.to_string(),
                made: made.as_deref(),
            });
            Ok(wheel)
        });
        let got = got.map_err(|failed| Failed {
            about: missing[failed.about].0,
            ..failed
        })?;
        let mut got = got.into_iter();
        let mut wheels = Vec::new();
        for (about, (wanted, known)) in wanted.iter().zip(known).enumerate() {
            if let Some(wheel) = known.ok().or_else(|| got.next()) {
                let admitted = admit(&wheel, wanted.hashes, wanted.url)
                    .and_then(|()| admit(&wheel, wanted.listed, wanted.url));
                admitted.map_err(|error| Failed { about, error })?;
                wheels.push(wheel);
            }
        }
        Ok(wheels)
    }

    fn fetch_one(
        &self,
        store: &Store<'_>,
        wanted: &Wanted<'_>,
        why: &MissReason,
        progress: &Progress<'_>,
    ) -> Result<(Wheel, Option<String>), Error> {
        let url = super::parse(wanted.url)?;
        if url.scheme() == "file" {
            let path = url.to_file_path().map_err(|()| Error::Url(shown(&url)))?;
            let (wheel, made) = store.at(&path, &Expected::default())?;
            return Ok((wheel, made.map(|why| why.to_string())));
        }
        let get = |path: &Path| -> Result<Digest, Error> {
            let limit = wanted.size.unwrap_or(MAX_WHEEL);
            let on_read = |read| progress.add(read);
            let digest = download(&self.client, &url, path, wanted.size, limit, &on_read)?;
            match wanted.sha256() {
                Some(expected) if digest != expected => Err(Error::Hash {
                    url: shown(&url),
                    found: digest.to_string(),
                    expected: expected.to_string(),
                }),
                _ => Ok(digest),
            }
        };
        if let Some(digest) = wanted.sha256() {
            let wheel = store.fetch(wanted.filename, &digest, |path| get(path).map(drop))?;
            return Ok((wheel, Some(why.to_string())));
        }
        let folder = self.cache.scratch()?;
        let path = folder.path().join("wheel");
        get(&path)?;
        let content = Content::File {
            size: fs::size(&path),
            path,
            offset: 0,
            guard: None,
            code: None,
        };
        let (wheel, made) = store.take(wanted.filename, &content, &Expected::default())?;
        Ok((wheel, made.map(|why| why.to_string())))
    }

    /// The metadata of a wheel without the wheel, where its index has that as a file of its own.
    pub fn metadata(&self, file: &super::File) -> Result<Option<String>, Error> {
        let Some(hashes) = &file.metadata else {
            return Ok(None);
        };
        let mut url = super::parse(&file.url)?;
        if url.scheme() == "file" {
            return Ok(None);
        }
        let path = format!("{}.metadata", url.path());
        url.set_path(&path);
        let response = self.client.get(&url, &[])?;
        if !response.status.is_success() {
            return Ok(None);
        }
        let bytes = response.read(MAX_METADATA)?;
        let content = bytes.as_slice();
        for hash in hashes {
            let found = hash_of(content, hash.algorithm);
            if found.as_deref() != Some(&hash.hex) {
                return Err(Error::Hash {
                    url: shown(&url),
                    found: format!("{}:{}", hash.algorithm.as_str(), found.unwrap_or_default()),
                    expected: hash.to_string(),
                });
            }
        }
        Ok(String::from_utf8(bytes).ok())
    }
}

/// Refuses a wheel that has none of the hashes that it may have; any will do, if there are none.
fn admit(wheel: &Wheel, hashes: &[Hash], url: &str) -> Result<(), Error> {
    if hashes.is_empty()
        || hashes
            .iter()
            .any(|hash| hash.sha256() == Some(wheel.digest))
    {
        return Ok(());
    }
    let mut found = wheel.digest.to_string();
    for algorithm in [Algorithm::Sha384, Algorithm::Sha512] {
        let mut expected = hashes.iter().filter(|hash| hash.algorithm == algorithm);
        if expected.clone().next().is_none() {
            continue;
        }
        let file = fs::open(wheel.archive.path())?;
        let hex = hash_of(file, algorithm).unwrap_or_default();
        if expected.any(|hash| hash.hex.eq_ignore_ascii_case(&hex)) {
            return Ok(());
        }
        found = format!("{}:{hex}", algorithm.as_str());
    }
    let expected: Vec<_> = hashes.iter().map(ToString::to_string).collect();
    Err(Error::Hash {
        url: hidden(url),
        found,
        expected: expected.join(" or "),
    })
}

fn hidden(url: &str) -> String {
    crate::requirements::hide_credentials(url)
}

/// A digest in hex; `None` if the bytes cannot be read.
fn hash_of(mut reader: impl Read, algorithm: Algorithm) -> Option<String> {
    let mut hasher: Box<dyn DynDigest> = match algorithm {
        Algorithm::Sha256 => Box::new(sha2::Sha256::default()),
        Algorithm::Sha384 => Box::new(sha2::Sha384::default()),
        Algorithm::Sha512 => Box::new(sha2::Sha512::default()),
    };
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer).ok()? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}

/// How far the downloads are, all together.
struct Progress<'a> {
    done: AtomicU64,
    total: u64,
    observe: &'a Observer<'a>,
}

impl Progress<'_> {
    fn add(&self, read: usize) {
        let done = self.done.fetch_add(read as u64, Ordering::Relaxed) + read as u64;
        (self.observe)(&Event::Fetched {
            done,
            total: self.total.max(done),
        });
    }
}
