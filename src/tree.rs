//! The prefix as data: the contents of an artifact before it is written.
//!
//! A node has no owner, no time and no mode beyond "executable". That is how builds come out the
//! same: what a tree cannot say, an artifact cannot differ in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

mod content;
mod walk;

pub use content::{Archive, Content, Member, Method, Reader};
pub use walk::ReadError;

/// A relative path of UTF-8 names, parted by `/`, with no `.`, `..`, empty or NUL part.
///
/// The only key that a [`Tree`] takes: an archive's entry that would escape cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Box<str>);

impl RelPath {
    /// Accepts `path` if it is safe under any root.
    pub fn new(path: &str) -> Result<Self, UnsafePath> {
        let refuse = |reason| UnsafePath {
            path: path.to_owned(),
            reason,
        };
        if path.len() > MAX_PATH {
            return Err(refuse("it is longer than 4096 bytes"));
        }
        if path.contains('\0') {
            return Err(refuse("it holds a NUL byte"));
        }
        for part in path.split('/') {
            match part {
                "" if path.starts_with('/') => return Err(refuse("it is absolute")),
                "" => return Err(refuse("it has an empty part")),
                "." | ".." => return Err(refuse("it has a part that is `.` or `..`")),
                part if part.len() > MAX_NAME => {
                    return Err(refuse("it has a name longer than 255 bytes"));
                }
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path of the folder that this is in; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.into()))
    }

    /// The path of `below` under this one.
    pub fn join(&self, below: &str) -> Result<Self, UnsafePath> {
        Self::new(&format!("{}/{below}", self.0))
    }

    /// What is left of the path below `folder`, if it lies there.
    #[must_use]
    pub fn below(&self, folder: &Self) -> Option<&str> {
        self.0.strip_prefix(&*folder.0)?.strip_prefix('/')
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for RelPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for RelPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        Self::new(&path).map_err(serde::de::Error::custom)
    }
}

// What Linux can hold: PATH_MAX and NAME_MAX.
const MAX_PATH: usize = 4096;
const MAX_NAME: usize = 255;

/// A path that could leave the prefix, or that not every system can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unsafe path `{}`: {reason}", path.escape_debug())]
pub struct UnsafePath {
    path: String,
    reason: &'static str,
}

impl UnsafePath {
    /// Whether it may lead out of the prefix.
    pub(crate) fn may_leave(&self) -> bool {
        self.path.starts_with('/')
            || self.path.contains('\0')
            || self.path.split('/').any(|part| part == "..")
    }
}

/// A distribution, as its metadata names it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Distribution {
    /// The name, normalised: lower case, runs of `-`, `_` and `.` become one `-`.
    pub name: String,
    /// The version, as the distribution writes it.
    pub version: String,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// One thing in a tree.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Node {
    /// A folder.
    Dir,
    /// A file, mode 0755 if executable, else 0644.
    File {
        /// Its bytes.
        content: Content,
        /// Whether it can be run.
        executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written in the link.
        target: String,
    },
}

/// A node, and whose it is.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is there.
    pub node: Node,
    /// The distributions that brought it; none for what belongs to no distribution, several if
    /// more than one claims it.
    pub owners: Vec<Arc<Distribution>>,
    /// Whether every owner brought the same bytes.
    pub identical: bool,
}

impl From<Node> for Entry {
    /// An entry that belongs to no distribution.
    fn from(node: Node) -> Self {
        Self {
            node,
            owners: Vec::new(),
            identical: true,
        }
    }
}

impl Entry {
    /// The distribution that brought it first.
    #[must_use]
    pub fn owner(&self) -> Option<&Distribution> {
        self.owners.first().map(|owner| &**owner)
    }
}

/// A set of nodes, by path. A node's parents are in it too, as folders.
#[derive(Debug, Clone, Default)]
pub struct Tree(BTreeMap<RelPath, Entry>);

impl Tree {
    /// A tree with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of one file at the top, for what prebuild itself brings along.
    pub(crate) fn of_file(name: &str, text: &str) -> Self {
        let node = Node::File {
            content: text.as_bytes().to_vec().into(),
            executable: false,
        };
        Self(BTreeMap::from([(RelPath(name.into()), node.into())]))
    }

    /// Adds a node that belongs to no distribution, and its parent folders. Nothing is ever
    /// replaced; a folder may be added again.
    pub fn insert(&mut self, path: RelPath, node: Node) -> Result<(), Occupied> {
        self.insert_entry(path, node.into())
    }

    /// Adds an entry and its parent folders. Nothing is ever replaced; a folder may be added again.
    pub fn insert_entry(&mut self, path: RelPath, entry: Entry) -> Result<(), Occupied> {
        // All is looked at before anything is added: what cannot be added changes nothing.
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(folder) = above {
            match self.0.get(&folder) {
                Some(entry) if matches!(entry.node, Node::Dir) => break,
                Some(_) => return Err(Occupied(folder)),
                None => {
                    above = folder.parent();
                    missing.push(folder);
                }
            }
        }
        let missing = missing.into_iter();
        self.0
            .extend(missing.map(|folder| (folder, Node::Dir.into())));
        match self.0.get(&path) {
            None => {
                self.0.insert(path, entry);
                Ok(())
            }
            Some(there) if matches!((&there.node, &entry.node), (Node::Dir, Node::Dir)) => Ok(()),
            Some(_) => Err(Occupied(path)),
        }
    }

    /// A tree of files, and the folders that they lie in.
    pub(crate) fn from_files(mut files: BTreeMap<RelPath, Entry>) -> Result<Self, Box<Below>> {
        let mut folders = BTreeSet::new();
        let mut clash = None;
        for path in files.keys() {
            let mut above = path.parent();
            while let Some(folder) = above.filter(|folder| !folders.contains(folder)) {
                if files.contains_key(&folder) {
                    clash = Some((folder, path.clone()));
                    break;
                }
                above = folder.parent();
                folders.insert(folder);
            }
        }
        if let Some((file, below)) = clash
            && let Some(file) = files.remove_entry(&file)
            && let Some(below) = files.remove_entry(&below)
        {
            return Err(Box::new(Below { file, below }));
        }
        let folders = folders.into_iter();
        files.extend(folders.map(|folder| (folder, Node::Dir.into())));
        Ok(Self(files))
    }

    /// The entry at `path`.
    #[must_use]
    pub fn get(&self, path: &RelPath) -> Option<&Entry> {
        self.0.get(path)
    }

    /// The entry at `path`, to change its node or owners.
    pub fn get_mut(&mut self, path: &RelPath) -> Option<&mut Entry> {
        self.0.get_mut(path)
    }

    /// Removes the file or link at `path`, and the directories that are empty without it. A directory
    /// stays, and what is below it.
    pub fn remove(&mut self, path: &RelPath) -> Option<Entry> {
        if matches!(self.0.get(path)?.node, Node::Dir) {
            return None;
        }
        let removed = self.0.remove(path);
        let mut above = path.parent();
        while let Some(directory) = above.filter(|above| self.below(above).next().is_none()) {
            self.0.remove(&directory);
            above = directory.parent();
        }
        removed
    }

    /// Everything, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&RelPath, &Entry)> {
        self.0.iter()
    }

    /// What lies below `folder`, by path.
    pub(crate) fn below(&self, folder: &RelPath) -> impl Iterator<Item = (&RelPath, &Entry)> {
        let start = format!("{folder}/");
        self.0
            .range(RelPath(start.as_str().into())..)
            .take_while(move |(path, _)| path.as_str().starts_with(&start))
    }

    /// What lies in `folder` itself, by path.
    pub(crate) fn children(&self, folder: &RelPath) -> impl Iterator<Item = (&RelPath, &Entry)> {
        let start = format!("{folder}/");
        let mut next = RelPath(start.as_str().into());
        std::iter::from_fn(move || {
            loop {
                let (path, entry) = self.0.range(&next..).next()?;
                let name = path.as_str().strip_prefix(&start)?;
                let Some((folder, _)) = name.split_once('/') else {
                    next = RelPath(format!("{path}\0").into());
                    return Some((path, entry));
                };
                // What lies below it ends where `0` follows, the character behind `/`.
                next = RelPath(format!("{start}{folder}0").into());
            }
        })
    }

    /// Everything, by path, to be taken apart.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (RelPath, Entry)> {
        self.0.into_iter()
    }

    /// Everything in the order of archives: all folders by path, then the distributions by name
    /// with each one's paths sorted, then what belongs to none.
    ///
    /// What two distributions both claim comes with the first of them.
    #[must_use]
    pub fn in_archive_order(&self) -> Vec<(&RelPath, &Entry)> {
        let mut entries: Vec<_> = self.0.iter().collect();
        // Stable: paths stay sorted within a group.
        entries.sort_by_key(
            |(_, entry)| match (&entry.node, entry.owners.iter().min()) {
                (Node::Dir, _) => (0, None),
                (_, Some(owner)) => (1, Some(owner)),
                (_, None) => (2, None),
            },
        );
        entries
    }

    /// Paths that differ only in case, each with the first that it collides with. What lies below a folder
    /// that collides is not listed again.
    #[must_use]
    pub fn case_collisions(&self) -> Vec<(RelPath, RelPath)> {
        // Of two that collide, one at least has a letter that is not small: most paths need no look.
        let is_small = |c: char| c.is_ascii() && !c.is_ascii_uppercase();
        let mut same: BTreeMap<RelPath, Vec<RelPath>> = BTreeMap::new();
        for (path, _) in self
            .iter()
            .filter(|(path, _)| !path.name().chars().all(is_small))
        {
            let name = path.name().to_lowercase();
            let small = match path.parent() {
                Some(parent) => parent.join(&name),
                None => RelPath::new(&name),
            };
            // One that no path can be has no other.
            if let Ok(small) = small {
                same.entry(small).or_default().push(path.clone());
            }
        }
        let mut collisions = Vec::new();
        for (small, mut paths) in same {
            // Capitals sort before small letters, so this is the last.
            if self.get(&small).is_some() && !paths.contains(&small) {
                paths.push(small);
            }
            let mut paths = paths.into_iter();
            if let Some(first) = paths.next() {
                collisions.extend(paths.map(|path| (first.clone(), path)));
            }
        }
        collisions.sort_by(|(_, a), (_, b)| a.cmp(b));
        collisions
    }

    /// How many files are native code (ELF).
    #[must_use]
    pub fn native(&self) -> usize {
        let nodes = self.0.values().map(|entry| &entry.node);
        nodes
            .filter(|node| matches!(node, Node::File { content, .. } if content.is_native()))
            .count()
    }

    /// How many files and links there are.
    #[must_use]
    pub fn files(&self) -> usize {
        let nodes = self.0.values().map(|entry| &entry.node);
        nodes.filter(|node| !matches!(node, Node::Dir)).count()
    }

    /// How many nodes there are, folders included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of all files together.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0
            .values()
            .map(|entry| match &entry.node {
                Node::File { content, .. } => content.size(),
                Node::Dir | Node::Symlink { .. } => 0,
            })
            .sum()
    }
}

/// A file, and an entry that would lie below it.
#[derive(Debug)]
pub(crate) struct Below {
    pub(crate) file: (RelPath, Entry),
    pub(crate) below: (RelPath, Entry),
}

/// Something is there already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("duplicate path `{0}`")]
pub struct Occupied(pub RelPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_added_changes_nothing() {
        let path = |text| RelPath::new(text).unwrap();
        let file = Node::File {
            content: Content::from(vec![]),
            executable: false,
        };
        let mut tree = Tree::new();
        tree.insert(path("a"), file.clone()).unwrap();
        let refused = tree.insert(path("a/b/c"), file);
        assert_eq!(refused, Err(Occupied(path("a"))));
        assert_eq!(tree.len(), 1);
    }

    #[test]
    fn directories_that_become_empty_are_removed() {
        let path = |text| RelPath::new(text).unwrap();
        let file = Node::File {
            content: Content::from(vec![]),
            executable: false,
        };
        let mut tree = Tree::new();
        for name in ["a/b/c", "a/d", "a/b0"] {
            tree.insert(path(name), file.clone()).unwrap();
        }
        assert!(tree.remove(&path("a/b")).is_none());
        assert!(tree.remove(&path("a/b/c")).is_some());
        let left: Vec<_> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(left, ["a", "a/b0", "a/d"]);
        tree.remove(&path("a/d"));
        tree.remove(&path("a/b0"));
        assert!(tree.is_empty());
    }

    #[test]
    fn children_are_those_that_lie_in_a_folder_itself() {
        let mut tree = Tree::new();
        for name in [
            "s/a-1.dist-info/RECORD",
            "s/a.py",
            "s/a/b/c.py",
            "s/a/d.py",
            "s/a0.py",
            "s/z",
            "s-1/x",
            "s0",
        ] {
            let file = Node::File {
                content: Content::from(vec![]),
                executable: false,
            };
            tree.insert(RelPath::new(name).unwrap(), file).unwrap();
        }
        let children = |folder| -> Vec<String> {
            let folder = RelPath::new(folder).unwrap();
            let children = tree.children(&folder);
            children.map(|(path, _)| path.to_string()).collect()
        };
        assert_eq!(
            children("s"),
            ["s/a", "s/a-1.dist-info", "s/a.py", "s/a0.py", "s/z"]
        );
        assert_eq!(children("s/a"), ["s/a/b", "s/a/d.py"]);
        assert_eq!(children("s/z"), [""; 0]);
        assert_eq!(children("none"), [""; 0]);
    }
}
