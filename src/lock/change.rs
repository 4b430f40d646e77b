//! What is different between a lock file and what will be installed.

use std::collections::BTreeMap;
use std::fmt;

use super::{Origin, Package, Pylock};
use crate::plan::{Item, Source};
use crate::requirements::Name;
use crate::target::MarkerEnvironment;

/// How many characters tell a commit.
const COMMIT: usize = 12;

/// A difference between a lock file and what will be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Another version of a distribution, or another commit.
    Updated {
        /// Its name.
        name: Name,
        /// What the lock file has.
        from: String,
        /// What will be installed.
        to: String,
    },
    /// A distribution that the lock file lacks.
    Added {
        /// Its name.
        name: Name,
        /// What will be installed.
        version: String,
    },
    /// A distribution that will not be installed.
    Removed {
        /// Its name.
        name: Name,
        /// What the lock file has.
        version: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, name, version) = match self {
            Self::Updated { name, from, to } => {
                return write!(f, "Updated {name} {from} → {to}");
            }
            Self::Added { name, version } => ("Added", name, version),
            Self::Removed { name, version } => ("Removed", name, version),
        };
        write!(f, "{verb} {name}")?;
        if !version.is_empty() {
            write!(f, " {version}")?;
        }
        Ok(())
    }
}

impl Pylock {
    /// What is different in `items`, by name.
    #[must_use]
    pub fn changes_to(&self, items: &[Item], environment: &MarkerEnvironment) -> Vec<Change> {
        let (none, groups) = (&self.extras, &self.default_groups);
        let applies = |package: &&Package| {
            package.marker.as_ref().is_none_or(|marker| {
                let holds = marker.evaluate(environment, none, groups);
                holds.unwrap_or(false)
            })
        };
        let packages = self.packages.iter().filter(applies);
        let before: BTreeMap<&Name, &Package> =
            packages.map(|package| (&package.name, package)).collect();
        let now: BTreeMap<&Name, &Item> = items.iter().map(|item| (&item.name, item)).collect();
        let mut changes: BTreeMap<&Name, Change> = BTreeMap::new();
        for (name, item) in &now {
            let to = of_item(item);
            let change = match before.get(name).map(|package| of_package(package)) {
                // It says nothing that could be compared: a folder, or an archive without a version.
                Some(None) => continue,
                Some(Some(from)) if from == to => continue,
                Some(Some(from)) => Change::Updated {
                    name: (*name).clone(),
                    from,
                    to,
                },
                None => Change::Added {
                    name: (*name).clone(),
                    version: to,
                },
            };
            changes.insert(name, change);
        }
        for (name, package) in before {
            if !now.contains_key(name) {
                let change = Change::Removed {
                    name: name.clone(),
                    version: of_package(package).unwrap_or_default(),
                };
                changes.insert(name, change);
            }
        }
        changes.into_values().collect()
    }
}

fn short(commit: &str) -> String {
    commit.chars().take(COMMIT).collect()
}

fn of_item(item: &Item) -> String {
    match &item.source {
        Source::Commit(commit) => short(commit),
        Source::Index | Source::Archive | Source::Directory | Source::Unknown => {
            item.version.clone()
        }
    }
}

fn of_package(package: &Package) -> Option<String> {
    match &package.origin {
        Origin::Vcs { commit, .. } => Some(short(commit)),
        Origin::Files { .. } | Origin::Archive { .. } | Origin::Directory { .. } => {
            package.version.clone()
        }
    }
}
