//! What the audit has to say of a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::tree::{Distribution, Node, RelPath, Tree};

/// One thing that the user should know of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// Two distributions brought the same path; one of them has overwritten the other (H39).
    Conflict {
        /// The path.
        path: RelPath,
        /// The distributions.
        distributions: Vec<Distribution>,
        /// Whether each brought the same bytes.
        equal: bool,
    },
    /// Two paths that differ only in case: a file system that ignores case holds one of them (H38).
    CaseCollision {
        /// The first.
        a: RelPath,
        /// The second.
        b: RelPath,
    },
    /// Distributions whose files were made here, from source: what a compiler makes is not
    /// promised to be the same twice.
    BuiltHere {
        /// The distributions.
        distributions: Vec<String>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict {
                path,
                distributions,
                equal,
            } => {
                let names: Vec<_> = distributions.iter().map(ToString::to_string).collect();
                let names = names.join(" and ");
                let what = if *equal {
                    "the files are equal"
                } else {
                    "one has overwritten the other"
                };
                write!(f, "{names} each bring `{path}`: {what}")
            }
            Self::CaseCollision { a, b } => write!(
                f,
                "`{a}` and `{b}` differ only in case: not every file system holds both"
            ),
            Self::BuiltHere { distributions } => write!(
                f,
                "built from source: {}; their bytes may differ from build to build",
                distributions.join(", ")
            ),
        }
    }
}

impl Finding {
    /// Whether it may break something, rather than being good to know.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::Conflict { equal: true, .. })
    }
}

/// Looks at a tree as a whole. Of the paths that several distributions brought, each brought those in
/// `equal` with the same bytes.
#[must_use]
pub fn audit(tree: &Tree, equal: &BTreeSet<RelPath>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, entry) in tree.iter() {
        if entry.owners.len() > 1 && !matches!(entry.node, Node::Dir) {
            let mut distributions: Vec<_> =
                entry.owners.iter().map(|owner| (**owner).clone()).collect();
            distributions.sort();
            findings.push(Finding::Conflict {
                path: path.clone(),
                distributions,
                equal: equal.contains(path),
            });
        }
    }
    findings.extend(
        case_collisions(tree)
            .into_iter()
            .map(|(a, b)| Finding::CaseCollision { a, b }),
    );
    findings
}

/// Paths that differ only in case, each with the one before it. What lies below a folder that
/// collides is not listed again.
#[must_use]
pub fn case_collisions(tree: &Tree) -> Vec<(RelPath, RelPath)> {
    let mut seen: BTreeMap<String, &RelPath> = BTreeMap::new();
    let mut collisions = Vec::new();
    for (path, _) in tree.iter() {
        let folded = path.as_str().to_lowercase();
        if let Some(other) = seen.get(&folded) {
            if other.parent() == path.parent() {
                collisions.push(((*other).clone(), path.clone()));
            }
        } else {
            seen.insert(folded, path);
        }
    }
    collisions
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tree::Entry;

    fn file(owners: &[&str]) -> Entry {
        Entry {
            node: Node::File {
                content: Vec::new().into(),
                executable: false,
            },
            owners: owners
                .iter()
                .map(|name| {
                    Arc::new(Distribution {
                        name: (*name).to_owned(),
                        version: "1".to_owned(),
                    })
                })
                .collect(),
        }
    }

    fn path(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    /// H38 and H39.
    #[test]
    fn collisions_and_conflicts_are_found() {
        let mut tree = Tree::new();
        for (name, owners) in [
            ("a/Foo.py", &["x"][..]),
            ("a/foo.py", &["x"]),
            ("B/one", &["x"]),
            ("b/one", &["x"]),
            ("c", &["y", "x"]),
            ("d", &["y", "x"]),
        ] {
            tree.insert_entry(path(name), file(owners)).unwrap();
        }
        let shown: Vec<_> = audit(&tree, &BTreeSet::from([path("d")]))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                "x 1 and y 1 each bring `c`: one has overwritten the other",
                "x 1 and y 1 each bring `d`: the files are equal",
                "`a/Foo.py` and `a/foo.py` differ only in case: not every file system holds both",
                "`B` and `b` differ only in case: not every file system holds both",
            ]
        );
    }
}
