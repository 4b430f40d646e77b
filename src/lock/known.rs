//! A lock file that is to be written again.

use std::collections::BTreeSet;

use super::{Error, Lock, LockedFor};
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

/// A lock file that is to be written again.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The lock file.
    pub lock: &'a Lock,
    /// Which of its versions may give way to newer ones.
    pub upgrade: &'a Upgrade,
    /// Whether it may be replaced if it is for another target.
    pub replace: Replace,
}

impl<'a> Known<'a> {
    /// A lock file of which everything is kept that can be.
    #[must_use]
    pub(crate) fn kept(lock: &'a Lock) -> Self {
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
        let (what, name) = match &lock.recorded {
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
                lock.file.display()
            ))),
            Replace::Same => {
                let other = lock.file.with_file_name(format!("pylock.{name}.toml"));
                let (file, other) = (lock.file.display(), other.display());
                Err(Error::Occupied {
                    file: lock.file.clone(),
                    what: format!("{what}: a lock file for {now} would replace it"),
                    hint: format!(
                        "to have both, pass `-o {other}`, and build with `prebuild {other}`; to replace it, pass `-o {file}`"
                    ),
                })
            }
        }
    }
}
