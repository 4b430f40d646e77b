//! Wheels, opened and verified once: a [`Wheel`] exists only if its metadata and `RECORD` are true.
//!
//! The archive is looked at to its last byte ([`Archive`]); then the texts that describe it must
//! agree with its name, with each other and with the files.
//!
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;
use crate::digest::Digest;
use crate::fs;
use crate::tree::Distribution;

mod archive;
mod check;
mod entry_points;
mod filename;
mod metadata;
pub mod record;
mod store;
mod zip;

pub use archive::{Archive, Contents, Entry, Error as ArchiveError, Limits, Problem};
pub use check::{Defect, Gap, Marked};
pub use entry_points::{InvalidEntryPoint, Script, Scripts};
pub use filename::{Filename, ParseFilenameError};
pub use metadata::Headers;
pub use store::{Expected, Store};

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
    /// The name of its `.dist-info` folder, without that ending.
    pub stem: String,
    /// Whether its files are for any platform, and go to `purelib`.
    pub root_is_purelib: bool,
    /// The tags in `WHEEL`.
    pub tags: Vec<String>,
    /// The `Requires-Dist` of its metadata, as written.
    pub requires: Vec<String>,
    /// The `Requires-Python` of its metadata, if it has one.
    pub requires_python: Option<String>,
    /// Its `Wheel-Version`, if that is newer than what is known and still of its kind.
    pub newer_format: Option<String>,
    /// The scripts that are made of its entry points.
    pub scripts: Scripts,
    /// The first entry that its `RECORD` is wrong about in a way that [`Leniency::Unlisted`] lets
    /// through.
    pub gap: Option<(String, Gap)>,
    /// Which of its files are marked as something else.
    pub marked: Option<Marked>,
}

/// Why a wheel cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of the wheel is invalid.
    #[error(transparent)]
    Filename(#[from] ParseFilenameError),
    /// The archive is damaged or malicious.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The metadata or `RECORD` is invalid.
    #[error("cannot use `{}` because of `{}`", wheel.display(), entry.escape_debug())]
    Refused {
        /// The wheel.
        wheel: PathBuf,
        /// The entry.
        entry: String,
        /// The problem.
        #[source]
        defect: Box<Defect>,
    },
    /// The hash of the file does not match.
    #[error("hash mismatch of `{}`: expected {expected}, got {algorithm}:{found}", wheel.display())]
    Hash {
        /// The wheel.
        wheel: PathBuf,
        /// The hash algorithm.
        algorithm: &'static str,
        /// The hash of its bytes.
        found: String,
        /// The expected hashes.
        expected: String,
    },
    /// The file changed while prebuild read it.
    #[error("`{}` changed while prebuild read it", .0.display())]
    Changed(PathBuf),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] crate::cache::Error),
    /// A file system call of this machine failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

impl Error {
    fn refused(archive: &Archive, entry: &str, defect: Defect) -> Self {
        Self::Refused {
            wheel: archive.path().to_path_buf(),
            entry: entry.to_owned(),
            defect: Box::new(defect),
        }
    }

    /// The same error about the file that was copied.
    fn about(self, path: &Path) -> Self {
        match self {
            Self::Refused { entry, defect, .. } => Self::Refused {
                wheel: path.to_path_buf(),
                entry,
                defect,
            },
            error => error,
        }
    }
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Archive(error) => Some(error),
            Self::Cache(error) => Some(error),
            Self::Fs(error) => Some(error),
            Self::Filename(_) | Self::Refused { .. } | Self::Hash { .. } | Self::Changed(_) => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Refused { defect, .. } => match **defect {
                Defect::Gap(_) => "to accept the wheel as pip does, pass `--allow-unlisted`",
                ref defect if defect.may_be_installed_by_pip() => {
                    "download the wheel again, or report it to its author; pip does not check this, so `--installer pip` may install it"
                }
                _ => {
                    "the wheel is damaged, and pip rejects it too: download it again, or report it to its author"
                }
            },
            Self::Hash { .. } => {
                "the file has changed, or the hash belongs to another file: check both before you lock again"
            }
            Self::Archive(ArchiveError::Refused { problem, .. }) => match problem {
                Problem::Bomb { .. } => "to accept it, raise the limit with `--max-wheel-ratio`",
                Problem::TooLarge { .. } => "to accept it, raise the limit with `--max-wheel-size`",
                problem if problem.may_be_installed_by_pip() => {
                    "the file is damaged or malicious: download it again, or report it to its author; pip checks less, so `--installer pip` may install it"
                }
                _ => {
                    "the file is damaged or malicious: download it again, or report it to its author"
                }
            },
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}

impl Wheel {
    /// Holds what a wheel says of itself against its name and its files. `digest` is its SHA-256.
    pub fn check(
        filename: &str,
        digest: Digest,
        archive: Archive,
        leniency: Leniency,
    ) -> Result<Self, Error> {
        let wheel = Self {
            digest,
            facts: check::facts(filename, &archive)?,
            archive,
        };
        wheel.admit(leniency)?;
        Ok(wheel)
    }

    /// Refuses a wheel whose `RECORD` lacks something, unless that is let through.
    pub fn admit(&self, leniency: Leniency) -> Result<(), Error> {
        match &self.facts.gap {
            Some((entry, gap)) if leniency == Leniency::Strict => {
                Err(self.refuse(entry, (*gap).into()))
            }
            _ => Ok(()),
        }
    }

    /// Where a file of the wheel goes.
    pub(crate) fn place<'a>(&self, entry: &'a Entry) -> Result<(Scheme, &'a str), Error> {
        let path = entry.path.as_str();
        self.facts
            .place(path)
            .map_err(|defect| self.refuse(path, defect))
    }

    pub(crate) fn refuse(&self, entry: &str, defect: Defect) -> Error {
        Error::refused(&self.archive, entry, defect)
    }
}

/// Where the files of a wheel go.
///
/// <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#the-data-directory>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// What does not lie in `.data`: to `purelib` or `platlib`, as the wheel says.
    Root,
    Purelib,
    Platlib,
    Scripts,
    Headers,
    Data,
}

impl Facts {
    /// Where the file at `path` goes, and what its path is below that.
    fn place<'a>(&self, path: &'a str) -> Result<(Scheme, &'a str), Defect> {
        let (top, rest) = path.split_once('/').unwrap_or((path, ""));
        let Some(stem) = top.strip_suffix(".data") else {
            return Ok((Scheme::Root, path));
        };
        if stem != self.stem && !self.filename.is_named(stem) {
            return Err(Defect::Misnamed);
        }
        let (scheme, below) = rest.split_once('/').ok_or(Defect::Scheme)?;
        let scheme = match scheme {
            "purelib" => Scheme::Purelib,
            "platlib" => Scheme::Platlib,
            "scripts" => Scheme::Scripts,
            "headers" => Scheme::Headers,
            "data" => Scheme::Data,
            _ => return Err(Defect::Scheme),
        };
        Ok((scheme, below))
    }
}
