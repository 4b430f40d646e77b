//! What exactly will be installed.
//!
//! Where the requirements name wheels by their paths and no dependencies are wanted, there is nothing
//! to ask: [`given`] says what they are. Everything else pip resolves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::interpreter::Interpreter;
use crate::pip::Driver;
use crate::requirements::{
    self, Algorithm, Applies, Entry, PathKind, Requirements, Specifiers, What,
};
use crate::wheel::{Expected, Facts, Filename};

/// A wheel that the user named by its path.
#[derive(Debug)]
pub struct Given<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// What it must be.
    pub expected: Expected,
    entry: &'a Entry,
}

/// A wheel that the interpreter cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its tags are for others.
    #[error("{at}: `{}` is not for {target}", wheel.display())]
    Tags {
        /// Where the requirement is written.
        at: requirements::Location,
        /// The wheel.
        wheel: PathBuf,
        /// What the artifact is for.
        target: String,
    },
    /// Its `Requires-Python` excludes the interpreter.
    #[error("{at}: `{}` requires Python {requires}, and this is {python}", wheel.display())]
    Python {
        /// Where the requirement is written.
        at: requirements::Location,
        /// The wheel.
        wheel: PathBuf,
        /// What it requires.
        requires: String,
        /// What there is.
        python: String,
    },
    /// A marker that has no answer for this interpreter.
    #[error(transparent)]
    Requirements(#[from] requirements::Error),
}

/// The wheels to install, in pip's order of installation, if the requirements alone say which they
/// are: all that apply are paths of wheels, one a distribution, dependencies are not wanted, and
/// there are no constraints. `Err` tells why pip must be asked.
pub fn given<'a>(
    requirements: &'a Requirements,
    interpreter: &Interpreter,
    driver: &Driver<'_>,
) -> Result<Result<Vec<Given<'a>>, &'static str>, Error> {
    if !driver.is_on("no-deps") {
        return Ok(Err("dependencies are wanted"));
    }
    if !requirements.constraints().is_empty() {
        return Ok(Err("there are constraints"));
    }
    if interpreter.tags.is_empty() {
        return Ok(Err("it is not known which wheels fit"));
    }
    let hashed = requirements.options().require_hashes.as_ref();
    let all_hashed = hashed.is_some_and(|on| on.value) || driver.is_on("require-hashes");
    let tags: BTreeSet<&str> = interpreter.tags.iter().map(String::as_str).collect();
    let mut names = BTreeSet::new();
    let mut wheels: Vec<(String, Given<'a>)> = Vec::new();
    let mut with_hashes = 0;
    for entry in requirements.entries() {
        if entry.applies(&interpreter.markers)? != Applies::Yes {
            continue;
        }
        let What::Path {
            path,
            kind: PathKind::Wheel,
            fragment: None,
            ..
        } = &entry.what
        else {
            return Ok(Err("not all requirements are paths of wheels"));
        };
        let Ok(filename) = Filename::parse(&file_name(path)) else {
            return Ok(Err("a wheel has an odd name"));
        };
        let mut sha256 = Vec::new();
        for hash in &entry.hashes {
            match (
                hash.algorithm,
                format!("sha256:{}", hash.hex).parse::<Digest>(),
            ) {
                (Algorithm::Sha256, Ok(digest)) => sha256.push(digest),
                _ => return Ok(Err("a hash is not a SHA-256")),
            }
        }
        with_hashes += usize::from(!sha256.is_empty());
        if !filename.tags().any(|tag| tags.contains(tag.as_str())) {
            return Err(Error::Tags {
                at: entry.at.clone(),
                wheel: path.to_path_buf(),
                target: interpreter.target().to_string(),
            });
        }
        if !names.insert(filename.name.clone()) {
            return Ok(Err("a distribution is named twice"));
        }
        let given = Given {
            path,
            expected: Expected { sha256 },
            entry,
        };
        wheels.push((filename.name, given));
    }
    if with_hashes < wheels.len() && (all_hashed || with_hashes > 0) {
        return Ok(Err("not all requirements have hashes"));
    }
    // Nothing depends on anything: pip goes by name, backwards.
    wheels.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(Ok(wheels.into_iter().map(|(_, given)| given).collect()))
}

impl Given<'_> {
    /// What pip would note of where it came from.
    #[must_use]
    pub fn direct_url(&self) -> String {
        let url = format!("file://{}", self.path.display());
        serde_json::json!({ "url": url, "archive_info": {} }).to_string()
    }

    /// Holds what the wheel requires of the interpreter against it.
    pub fn check(&self, facts: &Facts, interpreter: &Interpreter) -> Result<(), Error> {
        let python = &interpreter.markers.python_full_version;
        match &facts.requires_python {
            Some(requires) if !Specifiers::python_admitted(requires, python) => {
                Err(Error::Python {
                    at: self.entry.at.clone(),
                    wheel: self.path.to_path_buf(),
                    requires: requires.clone(),
                    python: python.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
