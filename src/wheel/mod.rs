//! Wheels, opened once and proved whole: a [`Wheel`] exists only if everything in it is as it says.
//!
//! The archive is looked at to its last byte ([`Archive`]); then the texts that describe it must
//! agree with its name, with each other and with the files.
//!
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Sha384, Sha512};

use crate::digest::Digest;
use crate::fs;
use crate::requirements::{Name, same_version};
use crate::tree::Distribution;

mod archive;
mod entry_points;
mod filename;
mod metadata;
pub(crate) mod record;
mod store;
mod zip;

pub use archive::{Archive, Entry, Error as ArchiveError, Limits, Problem};
pub use entry_points::{InvalidEntryPoint, Script};
pub use filename::{Filename, ParseFilenameError};
pub use store::{Expected, Store};

/// The largest text that describes a wheel, in bytes. The longest `RECORD`s have some 5 MB.
const MAX_TEXT: u64 = 64 << 20;

/// What a `RECORD` may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leniency {
    /// Nothing: each file has a row with its hash, and each row its file.
    #[default]
    Strict,
    /// Rows and hashes, as pip lets them: what is there is installed. A hash or size that is wrong is
    /// refused all the same.
    Unlisted,
}

/// A wheel, and all of it that installing takes: what describes it was read once.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// Its SHA-256.
    pub digest: Digest,
    /// What it says of itself.
    pub facts: Facts,
    /// Its files.
    pub archive: Archive,
}

/// What a wheel says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The name of its file.
    pub filename: Filename,
    /// Which distribution it is.
    pub distribution: Distribution,
    /// The name of its `.dist-info` folder, without that ending; its `.data` folder has it too.
    pub stem: String,
    /// Whether its files are for any platform, and go to `purelib`.
    pub root_is_purelib: bool,
    /// The tags in `WHEEL`.
    pub tags: Vec<String>,
    /// The `Requires-Dist` of its metadata, as written.
    pub requires: Vec<String>,
    /// The `Requires-Python` of its metadata, if it has one.
    pub requires_python: Option<String>,
    /// The scripts that are made of its entry points.
    pub scripts: Vec<Script>,
    /// The rows that its `RECORD` lacks or has too many: what only [`Leniency::Unlisted`] lets through.
    pub unlisted: Vec<String>,
}

/// Why a wheel is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its name is none.
    #[error(transparent)]
    Filename(#[from] ParseFilenameError),
    /// Its archive is damaged, or made to deceive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What it says of itself is wrong.
    #[error("`{}` is refused for `{}`: {reason}", wheel.display(), entry.escape_debug())]
    Refused {
        /// The wheel.
        wheel: PathBuf,
        /// The entry that is about.
        entry: String,
        /// What is wrong.
        reason: String,
    },
    /// It is not the file that was asked for.
    #[error("`{}` has other bytes than it should: {algorithm}:{found}, not {expected}", wheel.display())]
    Hash {
        /// The wheel.
        wheel: PathBuf,
        /// How it was hashed.
        algorithm: &'static str,
        /// Its hash.
        found: String,
        /// The hashes that it may have.
        expected: String,
    },
    /// It was written to while it was read.
    #[error("`{}` has changed while it was read", .0.display())]
    Changed(PathBuf),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] crate::cache::Error),
    /// The file system of this machine.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

impl Error {
    /// The same error about the file that was copied.
    fn about(self, path: &std::path::Path) -> Self {
        match self {
            Self::Refused { entry, reason, .. } => Self::Refused {
                wheel: path.to_path_buf(),
                entry,
                reason,
            },
            error => error,
        }
    }

    /// Whether the caller stopped it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Archive(ArchiveError::Cancelled) => true,
            Self::Cache(error) => error.is_cancelled(),
            _ => false,
        }
    }

    /// What the user can do, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused { reason, .. } if reason.contains(RECORD_ONLY) => {
                Some("pip lets this pass, and so does `--allow-unlisted`")
            }
            Self::Hash { .. } => {
                Some("somebody has changed the file, or the hash is another file's")
            }
            Self::Archive(ArchiveError::Refused { problem, .. }) => match problem {
                Problem::Bomb { .. } => Some("`--max-wheel-ratio` lets through more"),
                Problem::TooLarge { .. } => Some("`--max-wheel-size` lets through more"),
                _ => Some(
                    "the file is damaged or was made to deceive: get it again, from its author",
                ),
            },
            _ => None,
        }
    }
}

/// Ends the reasons that [`Leniency::Unlisted`] passes over.
const RECORD_ONLY: &str = "in RECORD";

impl Wheel {
    /// Holds what a wheel says of itself against its name and its files. `digest` is its SHA-256.
    pub fn check(
        filename: &str,
        digest: Digest,
        archive: Archive,
        leniency: Leniency,
    ) -> Result<Self, Error> {
        let checking = Checking { archive: &archive };
        let facts = checking.facts(filename)?;
        let wheel = Self {
            digest,
            facts,
            archive,
        };
        wheel.admit(leniency)?;
        Ok(wheel)
    }

    /// Refuses a wheel whose `RECORD` lacks something, unless that is let through.
    pub fn admit(&self, leniency: Leniency) -> Result<(), Error> {
        match self.facts.unlisted.first() {
            Some(what) if leniency == Leniency::Strict => Err(Error::Refused {
                wheel: self.archive.path().to_path_buf(),
                entry: format!("{}.dist-info/RECORD", self.facts.stem),
                reason: what.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// An archive whose texts are read.
struct Checking<'a> {
    archive: &'a Archive,
}

impl Checking<'_> {
    fn refuse(&self, entry: &str, reason: impl Into<String>) -> Error {
        Error::Refused {
            wheel: self.archive.path().to_path_buf(),
            entry: entry.to_owned(),
            reason: reason.into(),
        }
    }

    fn facts(&self, filename: &str) -> Result<Facts, Error> {
        let filename = Filename::parse(filename)?;
        self.refuse_case_collisions()?;
        let stem = self.stem(&filename)?;
        let info = format!("{stem}.dist-info");
        let metadata = metadata::headers(&self.text(&info, "METADATA")?);
        let wheel = metadata::headers(&self.text(&info, "WHEEL")?);
        let scripts =
            match self.archive.get(&format!("{info}/entry_points.txt")) {
                None => Vec::new(),
                Some(_) => entry_points::scripts(&self.text(&info, "entry_points.txt")?).map_err(
                    |error| self.refuse(&format!("{info}/entry_points.txt"), error.to_string()),
                )?,
            };
        let about = format!("{info}/METADATA");
        let field = |name: &str| {
            metadata::first(&metadata, name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| self.refuse(&about, format!("it has no `{name}`")))
        };
        let (name, version) = (field("Name")?, field("Version")?);
        if Name::new(name).as_str() != filename.name {
            return Err(self.refuse(&about, format!("its name is `{name}`, and not the file's")));
        }
        if !same_version(version, &filename.version) {
            let reason = format!("its version is `{version}`, and not the file's");
            return Err(self.refuse(&about, reason));
        }
        let about = format!("{info}/WHEEL");
        let format = metadata::first(&wheel, "Wheel-Version").unwrap_or_default();
        if format.split('.').next() != Some("1") {
            return Err(self.refuse(
                &about,
                format!("its Wheel-Version is `{format}`, and not 1"),
            ));
        }
        let purelib = metadata::first(&wheel, "Root-Is-Purelib").unwrap_or_default();
        Ok(Facts {
            distribution: Distribution {
                name: filename.name.clone(),
                version: version.to_owned(),
            },
            root_is_purelib: purelib.eq_ignore_ascii_case("true"),
            tags: metadata::all(&wheel, "Tag").map(str::to_owned).collect(),
            requires: metadata::all(&metadata, "Requires-Dist")
                .map(str::to_owned)
                .collect(),
            requires_python: metadata::first(&metadata, "Requires-Python").map(str::to_owned),
            scripts,
            unlisted: self.record(&info)?,
            stem,
            filename,
        })
    }

    /// A text that describes the wheel. As pip has it, bytes that are no UTF-8 do no harm in one.
    fn text(&self, info: &str, name: &str) -> Result<String, Error> {
        let path = format!("{info}/{name}");
        let entry = self
            .archive
            .get(&path)
            .ok_or_else(|| self.refuse(&path, "it is missing"))?;
        if entry.size > MAX_TEXT {
            return Err(self.refuse(&path, "it is larger than 64 MiB"));
        }
        let bytes = self.archive.content(entry).read()?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The one `NAME-VERSION` that the folders with metadata and data are called by.
    fn stem(&self, filename: &Filename) -> Result<String, Error> {
        let mut stems = BTreeSet::new();
        let mut data = BTreeSet::new();
        for entry in self.archive.entries() {
            let Some((top, _)) = entry.path.as_str().split_once('/') else {
                continue;
            };
            if let Some(stem) = top.strip_suffix(".dist-info") {
                stems.insert(stem);
            } else if let Some(stem) = top.strip_suffix(".data") {
                data.insert(stem);
            }
        }
        let mut found = stems.into_iter();
        let (stem, other) = (found.next(), found.next());
        let stem = stem.ok_or_else(|| self.refuse(".dist-info", "there is no such folder"))?;
        if let Some(other) = other {
            return Err(self.refuse(&format!("{other}.dist-info"), "there are two such folders"));
        }
        for (stem, ending) in [(stem, "dist-info")]
            .into_iter()
            .chain(data.iter().map(|stem| (*stem, "data")))
        {
            let named = stem.rsplit_once('-').is_some_and(|(name, version)| {
                Name::new(name).as_str() == filename.name
                    && same_version(version, &filename.version)
            });
            if !named {
                let reason = "it is not named after the file";
                return Err(self.refuse(&format!("{stem}.{ending}"), reason));
            }
        }
        if let Some(other) = data.iter().find(|other| **other != stem) {
            return Err(self.refuse(
                &format!("{other}.data"),
                "it is not named as `.dist-info` is",
            ));
        }
        Ok(stem.to_owned())
    }

    fn refuse_case_collisions(&self) -> Result<(), Error> {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for entry in self.archive.entries() {
            let path = entry.path.as_str();
            if let Some(other) = seen.insert(path.to_lowercase(), path) {
                return Err(self.refuse(path, format!("it differs from `{other}` only in case")));
            }
        }
        Ok(())
    }

    /// Holds `RECORD` against the files; returns what it lacks.
    fn record(&self, info: &str) -> Result<Vec<String>, Error> {
        let own = format!("{info}/RECORD");
        let rows = record::rows(&self.text(info, "RECORD")?);
        let mut unlisted = Vec::new();
        let mut listed = BTreeSet::new();
        for row in rows {
            let [path, hash, size, ..] = row.as_slice() else {
                return Err(self.refuse(&own, "one of its rows has fewer than three fields"));
            };
            if path.ends_with('/') {
                // Some builders list folders too.
                continue;
            }
            let Some(entry) = self.archive.get(path) else {
                unlisted.push(format!("`{path}` is not there, but {RECORD_ONLY}"));
                continue;
            };
            let fresh = listed.insert(path.clone());
            if !size.is_empty() && size.parse() != Ok(entry.size) {
                let reason = format!(
                    "RECORD says that it has {size} bytes, and it has {}",
                    entry.size
                );
                return Err(self.refuse(path, reason));
            }
            if hash.is_empty() {
                if fresh && *path != own && !is_signature(path, info) {
                    unlisted.push(format!("`{path}` has no hash {RECORD_ONLY}"));
                }
            } else {
                self.compare(entry, hash)?;
            }
        }
        for entry in self.archive.entries() {
            let path = entry.path.as_str();
            if !listed.contains(path) && path != own && !is_signature(path, info) {
                unlisted.push(format!("`{path}` is not {RECORD_ONLY}"));
            }
        }
        Ok(unlisted)
    }

    /// Compares a file with its hash, `ALGORITHM=DIGEST`. Algorithms weaker than SHA-256 prove
    /// nothing, and the format forbids them.
    fn compare(&self, entry: &Entry, hash: &str) -> Result<(), Error> {
        let path = entry.path.as_str();
        let (algorithm, digest) = hash.split_once('=').unwrap_or((hash, ""));
        let found = match algorithm.to_ascii_lowercase().as_str() {
            "sha256" => record::base64(entry.digest.as_bytes()),
            "sha384" => record::base64(&self.hash::<Sha384>(entry)?),
            "sha512" => record::base64(&self.hash::<Sha512>(entry)?),
            other => {
                let reason =
                    format!("its hash in RECORD is of the kind `{other}`, which proves nothing");
                return Err(self.refuse(path, reason));
            }
        };
        if digest.trim_end_matches('=') != found {
            return Err(self.refuse(path, "its hash is not the one in RECORD"));
        }
        Ok(())
    }

    fn hash<D: sha2::Digest>(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        let content = self.archive.content(entry);
        let mut reader = content.open()?;
        let mut hasher = D::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(|source| fs::Error::new("read", self.archive.path(), source))?;
            if count == 0 {
                return Ok(hasher.finalize().to_vec());
            }
            hasher.update(&buffer[..count]);
        }
    }
}

/// Signatures of `RECORD`, which it cannot list.
fn is_signature(path: &str, info: &str) -> bool {
    path.strip_prefix(info)
        .is_some_and(|name| name == "/RECORD.jws" || name == "/RECORD.p7s")
}
