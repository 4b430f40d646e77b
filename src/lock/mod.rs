//! Lock files: `pylock.toml`, which says exactly what will be installed.
//!
//! <https://packaging.python.org/en/latest/specifications/pylock-toml/>
//!
//! Any tool's are read. Those that prebuild writes hold, in `[tool.prebuild]`, what they follow from
//! ([`Recorded`]), so that a later build knows whether they still hold.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fs;
use crate::plan::Item;
use crate::requirements::{self, Hash, Location, LockMarker, Name, Specifiers};
use crate::resolve::few;
use crate::target::Target;

mod answer;
mod document;
mod read;
mod write;

pub use read::Problem;
pub use write::{requirements, text};

/// A lock file.
#[derive(Debug, Clone)]
pub struct Lock {
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

/// What a lock file of prebuild's follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recorded {
    /// The version of this table.
    pub version: u32,
    /// The names of the distributions, the first to be installed first.
    pub order: Vec<Name>,
    /// What was asked for, with extras: `flask[async]`.
    pub requested: Vec<String>,
    /// The settings of pip's that decide what is found.
    pub options: Vec<String>,
    /// What it is for.
    pub target: LockedFor,
    /// The files that were read.
    pub inputs: Vec<LockedInput>,
}

/// What a lock file is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFor {
    /// `cpython 3.12`.
    pub python: String,
    /// `linux-x86_64`.
    pub platform: String,
    /// `glibc` or `musl`; empty where Python cannot tell.
    pub libc: String,
}

impl LockedFor {
    /// A target, as far as a lock depends on it.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        let markers = &target.markers;
        let libc = target.libc.split(' ').next().unwrap_or_default();
        Self {
            python: format!("{} {}", markers.implementation_name, markers.python_version),
            platform: target.platform.clone(),
            libc: libc.to_owned(),
        }
    }
}

impl std::fmt::Display for LockedFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.python, self.platform)?;
        if !self.libc.is_empty() {
            write!(f, " with {}", self.libc)?;
        }
        Ok(())
    }
}

/// A file that a lock follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedInput {
    /// As it was named.
    pub path: String,
    /// Of its bytes.
    pub digest: Digest,
}

impl Recorded {
    /// What a plan that is made now follows from.
    #[must_use]
    pub fn new(
        target: &Target,
        files: &[requirements::File],
        options: Vec<String>,
        items: &[Item],
    ) -> Self {
        let requested = items.iter().filter(|item| item.requested).map(|item| {
            let extras: Vec<_> = item.extras.iter().map(Name::as_str).collect();
            match extras.as_slice() {
                [] => item.name.to_string(),
                extras => format!("{}[{}]", item.name, extras.join(",")),
            }
        });
        Self {
            version: 1,
            order: items.iter().map(|item| item.name.clone()).collect(),
            requested: requested.collect(),
            options,
            target: LockedFor::new(target),
            inputs: files
                .iter()
                .map(|file| LockedInput {
                    path: file.path.display().to_string(),
                    digest: file.digest,
                })
                .collect(),
        }
    }

    /// What is different now, in words; nothing if the lock still holds.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.version != now.version {
            changes.push("it was written by another version of prebuild".to_owned());
        }
        if self.target != now.target {
            changes.push(format!(
                "it is for {}, and this is {}",
                self.target, now.target
            ));
        }
        for (before, file) in self.inputs.iter().zip(&now.inputs) {
            if before.digest != file.digest {
                changes.push(format!("`{}` has changed", file.path));
            }
        }
        if self.inputs.len() != now.inputs.len() {
            let (before, files) = (self.inputs.len(), now.inputs.len());
            changes.push(format!(
                "it follows from {before} files, and now there are {files}"
            ));
        }
        let differ = |from: &[String], to: &[String], what: &str, changes: &mut Vec<String>| {
            for option in from.iter().filter(|option| !to.contains(option)) {
                changes.push(format!("`{option}` {what}"));
            }
        };
        differ(&now.options, &self.options, "is new", &mut changes);
        differ(&self.options, &now.options, "is gone", &mut changes);
        changes
    }
}

/// Where the lock of some inputs lies: beside the first, `pylock.toml`, or `pylock.NAME.toml` for
/// `NAME.txt`. There is none for standard input.
#[must_use]
pub fn beside(input: &requirements::Input) -> Option<PathBuf> {
    let path = match input {
        requirements::Input::Path(path) | requirements::Input::Project { path, .. } => path,
        requirements::Input::Stdin(_) => return None,
    };
    let stem = path.file_stem()?.to_string_lossy().replace('.', "-");
    let name = match stem.as_str() {
        "requirements" | "pyproject" => "pylock.toml".to_owned(),
        stem => format!("pylock.{stem}.toml"),
    };
    Some(path.with_file_name(name))
}

impl Lock {
    /// Where a package stands.
    fn place(&self, package: &Package) -> Location {
        let file = document::File {
            name: Arc::from(self.file.as_path()),
            text: &self.text,
        };
        file.location(package.at)
    }

    /// Its pins as constraints, but for the distributions in `renewed`.
    #[must_use]
    pub fn pins(&self, renewed: &[Name]) -> String {
        let kept = self
            .packages
            .iter()
            .filter(|package| !renewed.contains(&package.name));
        let pins = kept.filter_map(|package| match (&package.origin, &package.version) {
            (Origin::Files { .. }, Some(version)) => Some(format!("{}=={version}\n", package.name)),
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
    let mut file = fs::temp_file_beside(path)?;
    file.write_all(text.as_bytes())
        .map_err(|source| fs::Error::new("write", path, source))?;
    fs::persist(file, path)?;
    Ok(true)
}

/// Whether a file's name is one of a lock file: `pylock.toml` or `pylock.NAME.toml`.
#[must_use]
pub fn is_name(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let name = name.unwrap_or_default();
    name == "pylock.toml"
        || name
            .strip_prefix("pylock.")
            .and_then(|rest| rest.strip_suffix(".toml"))
            .is_some_and(|name| !name.is_empty() && !name.contains('.'))
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
    #[error("`{}` is not for {target}: {why}", file.display())]
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
    /// Two entries of one distribution that both apply.
    #[error("{at}: `{name}` is there twice for {target}: also at {other}")]
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

fn known(there: &[String]) -> String {
    match there {
        [] => ", nor any other".to_owned(),
        there => format!(", only {}", there.join(", ")),
    }
}

impl Error {
    /// What the user can do, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Elsewhere { .. } | Self::NoFile { .. } | Self::Python { .. } => {
                Some("lock the requirements for it, too")
            }
            Self::Invalid {
                problem: Problem::Version(_),
                ..
            } => Some("a newer prebuild may know it"),
            _ => None,
        }
    }

    /// The line that is wrong, with a caret.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Invalid { excerpt, .. } => Some(excerpt),
            _ => None,
        }
    }
}
