//! A lock file that is to be written again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Error, LockFile, LockedFor};
use crate::fs;
use crate::plan::Item;
use crate::requirements::{Entry, Name};

/// Which versions of a lock file may give way to newer ones when it is written again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// None that the requirements still admit.
    #[default]
    None,
    /// Those of these distributions.
    Only(BTreeSet<Name>),
    /// All.
    All,
}

impl Upgrade {
    fn admits(&self, name: &Name) -> bool {
        match self {
            Self::None => false,
            Self::Only(names) => names.contains(name),
            Self::All => true,
        }
    }

    /// The pins that are to be kept.
    #[must_use]
    pub fn keep(&self, mut pins: Vec<Entry>) -> Vec<Entry> {
        pins.retain(|pin| !pin.name().is_some_and(|name| self.admits(name)));
        pins
    }
}

/// Which lock files may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// One of prebuild's for the same target.
    Same,
    /// Any; one for another target, or of another program, with a warning.
    Any,
    /// None is: the lock file is printed.
    Nothing,
}

/// A lock file that is to be written, and may have been written before.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The lock file; a relative path starts at the working folder.
    pub file: PathBuf,
    /// Which of the versions in it may give way to newer ones.
    pub upgrade: Upgrade,
    /// Whether it may be replaced if it is for another target.
    pub replace: Replace,
}

impl Rewrite {
    /// The lock file that there is. One that cannot be read is replaced by an upgrade of all, and by nothing
    /// else: it may be no lock file, or one with the marks of a merge in it.
    pub(crate) fn read(&self, cwd: &Path) -> Result<Option<LockFile>, Error> {
        let whole = cwd.join(&self.file);
        if fs::exists(&whole).is_none_or(|found| found.len() == 0) {
            return Ok(None);
        }
        match LockFile::read(&self.file, cwd) {
            Ok(lock) => Ok(Some(lock)),
            Err(_) if self.upgrade == Upgrade::All => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is kept of the lock file that there is.
    pub(crate) fn of<'a>(&'a self, lock: &'a LockFile) -> Known<'a> {
        Known {
            lock,
            upgrade: &self.upgrade,
            replace: self.replace,
        }
    }
}

/// A lock file whose versions are preferred.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) lock: &'a LockFile,
    /// Which of its versions may give way to newer ones.
    pub(crate) upgrade: &'a Upgrade,
    /// Whether it may be replaced if it is for another target.
    pub(crate) replace: Replace,
}

impl<'a> Known<'a> {
    /// A lock file of which everything is kept that can be.
    #[must_use]
    pub(crate) fn kept(lock: &'a LockFile) -> Self {
        Self {
            lock,
            upgrade: &Upgrade::None,
            replace: Replace::Nothing,
        }
    }

    /// Refuses to upgrade what is neither in the lock file nor in `items`.
    pub(crate) fn check_names(&self, items: &[Item]) -> Result<(), Error> {
        let Upgrade::Only(names) = self.upgrade else {
            return Ok(());
        };
        let is_there = |name: &&Name| {
            let mut items = items.iter();
            self.lock.has(name) || items.any(|item| item.name == **name)
        };
        let unknown: Vec<_> = names
            .iter()
            .filter(|name| !is_there(name))
            .cloned()
            .collect();
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(Error::NothingToUpgrade(unknown))
        }
    }

    /// Refuses to replace a lock file that may not be; otherwise what the user should know of it.
    pub(crate) fn check(&self, now: &LockedFor) -> Result<Option<String>, Error> {
        let lock = self.lock;
        let (what, name) = match lock.recorded() {
            Some(recorded) if recorded.target == *now => return Ok(None),
            Some(recorded) => {
                let version = now.python.rsplit(' ').next().unwrap_or_default();
                let name = format!("py{}", version.replace('.', ""));
                (format!("is for {}", recorded.target), name)
            }
            None => (
                format!("was written by {}", lock.author()),
                "prebuild".to_owned(),
            ),
        };
        match self.replace {
            Replace::Nothing => Ok(None),
            Replace::Any => Ok(Some(format!(
                "`{}` {what}: a lock file for {now} replaces it",
                lock.path().display()
            ))),
            Replace::Same => {
                let other = lock.path().with_file_name(format!("pylock.{name}.toml"));
                let (file, other) = (lock.path().display(), other.display());
                Err(Error::Occupied {
                    file: lock.path().to_path_buf(),
                    what: format!("{what}: a lock file for {now} would replace it"),
                    hint: format!(
                        "to have both, pass `-o {other}`, and build with `prebuild {other}`; to replace it, pass `-o {file}`"
                    ),
                })
            }
        }
    }
}
