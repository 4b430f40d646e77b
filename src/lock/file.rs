//! A lock file of any kind that is read.

use std::path::Path;

use super::{Change, Error, Pylock, Recorded};
use crate::interpreter::Interpreter;
use crate::plan::Item;
use crate::requirements::{Chosen, Entry, Name};
use crate::target::MarkerEnvironment;

/// A lock file of any kind that is read.
///
/// Whatever the kind, it answers one question: what is installed for an interpreter.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LockFile {
    /// A `pylock.toml`.
    Pylock(Box<Pylock>),
}

impl LockFile {
    /// Reads the lock file at `path`, which is relative to `cwd`. Its name says of which kind it is.
    pub fn read(path: &Path, cwd: &Path) -> Result<Self, Error> {
        Ok(Self::Pylock(Box::new(Pylock::read(path, cwd)?)))
    }

    /// What is installed for an interpreter, the first to be installed first, with these extras, and with these
    /// dependency groups in place of the default ones, if any are named.
    pub fn items(&self, interpreter: &Interpreter, chosen: &Chosen) -> Result<Vec<Item>, Error> {
        match self {
            Self::Pylock(lock) => lock.items(interpreter, &chosen.extras, &chosen.groups),
        }
    }

    /// Its path, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Pylock(lock) => &lock.file,
        }
    }

    /// The program that wrote it, for messages.
    #[must_use]
    pub fn author(&self) -> &str {
        match self {
            Self::Pylock(lock) => lock.author(),
        }
    }

    /// What it follows from, if prebuild wrote it.
    #[must_use]
    pub fn recorded(&self) -> Option<&Recorded> {
        match self {
            Self::Pylock(lock) => lock.recorded.as_ref(),
        }
    }

    /// What may surprise.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Pylock(lock) => &lock.warnings,
        }
    }

    /// Whether it has a distribution of this name.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        match self {
            Self::Pylock(lock) => lock.has(name),
        }
    }

    /// The versions in it that a resolver may prefer, as constraints.
    #[must_use]
    pub fn pins(&self) -> Vec<Entry> {
        match self {
            Self::Pylock(lock) => lock.pins(),
        }
    }

    /// What is different in `items`, by name.
    #[must_use]
    pub fn changes_to(&self, items: &[Item], environment: &MarkerEnvironment) -> Vec<Change> {
        match self {
            Self::Pylock(lock) => lock.changes_to(items, environment),
        }
    }

    /// The URLs in it, credentials and all.
    pub(crate) fn urls(&self) -> Vec<&str> {
        match self {
            Self::Pylock(lock) => lock.urls().collect(),
        }
    }
}
