//! Lock files: `pylock.toml`, which says exactly what will be installed.
//!
//! <https://packaging.python.org/en/latest/specifications/pylock-toml/>
//!
//! Any tool's are read. Those that prebuild writes hold, in `[tool.prebuild]`, what they were made from
//! ([`Recorded`]), so that a later build knows whether they are up to date.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnosis::{Diagnosis, Kind};
use crate::fs;
use crate::requirements::{self, Entry, Hash, Location, LockMarker, Name, Specifiers};
use crate::resolve::few;

mod answer;
mod change;
mod document;
mod file;
mod known;
mod read;
mod recorded;
mod write;

pub use change::Change;
pub use file::LockFile;
pub(crate) use known::Known;
pub use known::{Replace, Rewrite, Upgrade};
pub use read::Problem;
pub use recorded::{Current, LockedFor, Recorded};
pub use write::{requirements, text};

/// A `pylock.toml`.
#[derive(Debug, Clone)]
pub struct Pylock {
    /// As it was named.
    pub file: PathBuf,
    /// The program that wrote it.
    pub created_by: String,
    /// The extras that it knows.
    pub extras: BTreeSet<Name>,
    /// The dependency groups that it knows.
    pub groups: BTreeSet<Name>,
    /// What it follows from, if prebuild wrote it.
    pub recorded: Option<Recorded>,
    /// What may surprise.
    pub warnings: Vec<String>,
    default_groups: BTreeSet<Name>,
    environments: Vec<LockMarker>,
    requires_python: Option<Specifiers>,
    packages: Vec<Package>,
    text: Box<str>,
}

/// One distribution of a lock file.
#[derive(Debug, Clone)]
struct Package {
    /// The byte of the text at which its name stands.
    at: usize,
    name: Name,
    version: Option<String>,
    marker: Option<LockMarker>,
    requires_python: Option<Specifiers>,
    dependencies: Vec<Name>,
    origin: Origin,
}

/// Where a distribution comes from.
#[derive(Debug, Clone)]
enum Origin {
    Files {
        sdist: Option<Archive>,
        wheels: Vec<Archive>,
    },
    Archive {
        archive: Archive,
        subdirectory: Option<String>,
    },
    Vcs {
        kind: String,
        url: String,
        revision: Option<String>,
        commit: String,
        subdirectory: Option<String>,
    },
    Directory {
        url: String,
        subdirectory: Option<String>,
    },
}

/// A file of a lock file.
#[derive(Debug, Clone)]
struct Archive {
    name: String,
    url: String,
    size: Option<u64>,
    hashes: Vec<Hash>,
}

/// Where the lock of some inputs lies: beside the first, `pylock.toml`, or `pylock.NAME.toml` for
/// `NAME.txt`. There is none for standard input.
#[must_use]
pub fn beside(input: &requirements::Input) -> Option<PathBuf> {
    let path = match input {
        requirements::Input::Path(path) | requirements::Input::Project { path, .. } => path,
        requirements::Input::Stdin(_) | requirements::Input::Url(_) => return None,
    };
    let stem = path.file_stem()?.to_string_lossy().replace('.', "-");
    let name = match stem.as_str() {
        "requirements" | "pyproject" => "pylock.toml".to_owned(),
        stem => format!("pylock.{stem}.toml"),
    };
    Some(path.with_file_name(name))
}

impl Pylock {
    /// Where a package stands.
    fn place(&self, package: &Package) -> Location {
        let file = document::File {
            name: Arc::from(self.file.as_path()),
            text: &self.text,
        };
        file.location(package.at)
    }

    /// The program that wrote it, for messages.
    #[must_use]
    pub fn author(&self) -> &str {
        if self.created_by.is_empty() {
            "another program"
        } else {
            &self.created_by
        }
    }

    /// Whether it has a distribution of this name.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        self.packages.iter().any(|package| package.name == *name)
    }

    /// The versions in it that a resolver may prefer, as constraints: those of distributions from an
    /// index. A name with several entries, each for some environments, has none.
    #[must_use]
    pub fn pins(&self) -> Vec<Entry> {
        let is_one = |package: &&Package| {
            let mut same = self.packages.iter();
            same.all(|other| other.name != package.name || std::ptr::eq(other, *package))
        };
        let packages = self.packages.iter().filter(is_one);
        let pins = packages.filter_map(|package| match (&package.origin, &package.version) {
            (Origin::Files { .. }, Some(version)) => {
                Entry::pin(&package.name, version, Vec::new(), self.place(package))
            }
            _ => None,
        });
        pins.collect()
    }
}

/// Writes the text of a lock file, whole or not at all; whether it was another one before.
pub fn write(path: &Path, text: &str) -> Result<bool, fs::Error> {
    if fs::read(path).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(false);
    }
    fs::write_whole(path, text.as_bytes())?;
    Ok(true)
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("the lock file `{}` cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: fs::Error,
    },
    /// Something in it is wrong.
    #[error("{at}: {problem}")]
    Invalid {
        /// Where.
        at: Location,
        /// The line, and a caret under the place.
        excerpt: String,
        /// What.
        problem: Problem,
    },
    /// It is for other interpreters or platforms.
    #[error("`{}` is incompatible with {target}: {why}", file.display())]
    Elsewhere {
        /// The file.
        file: PathBuf,
        /// What the artifact is for.
        target: String,
        /// What it is for.
        why: String,
    },
    /// An extra or a group that it does not know.
    #[error("`{}` has no {kind} `{name}`{}", file.display(), known(there))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// `extra` or `dependency group`.
        kind: &'static str,
        /// Which.
        name: Name,
        /// Those that it has.
        there: Vec<String>,
    },
    /// A distribution to upgrade that nothing requires.
    #[error("cannot upgrade {}: neither in the lock file nor required", quoted(.0))]
    NothingToUpgrade(Vec<Name>),
    /// A lock file that would be overwritten.
    #[error("`{}` {what}", file.display())]
    Occupied {
        /// The file.
        file: PathBuf,
        /// What is there, and what would be written.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// Two entries of one distribution that both apply.
    #[error("{at}: duplicate entry of `{name}` for {target}: also at {other}")]
    Twice {
        /// Where the one is.
        at: Location,
        /// The distribution.
        name: Name,
        /// What the artifact is for.
        target: String,
        /// Where the other is.
        other: Location,
    },
    /// A distribution has nothing for the target.
    #[error(
        "{at}: `{name}` has no file for {target}: its wheels are for {}",
        few(tags)
    )]
    NoFile {
        /// Where it is.
        at: Location,
        /// The distribution.
        name: Name,
        /// What the artifact is for.
        target: String,
        /// What its wheels are for.
        tags: Vec<String>,
    },
    /// A distribution is for other Pythons.
    #[error("{at}: `{name}` is for other Pythons than {python}")]
    Python {
        /// Where it is.
        at: Location,
        /// The distribution.
        name: Name,
        /// What there is.
        python: String,
    },
}

fn quoted(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn known(there: &[String]) -> String {
    match there {
        [] => ": it has none".to_owned(),
        there => format!(": it has {}", there.join(", ")),
    }
}

impl Diagnosis for Error {
    fn kind(&self) -> Kind {
        Kind::Request
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Occupied { hint, .. } => hint,
            Self::NothingToUpgrade(_) => "check the names that `--upgrade-package` gives",
            Self::Elsewhere { .. } | Self::NoFile { .. } | Self::Python { .. } => {
                "to lock the requirements for this target, run `prebuild lock`"
            }
            Self::Invalid {
                problem: Problem::Version(_),
                ..
            } => "a newer prebuild may support it",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Invalid { excerpt, .. } => Some(excerpt),
            _ => None,
        }
    }
}
