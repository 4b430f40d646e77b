//! A change of an installed prefix.
//!
//! Bytecode, bundled libraries and whatever else changes a prefix once it is installed say what they would
//! change, as an [`Edit`]. One function carries edits out, and keeps every `RECORD` true.
//!
//! <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file>

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use super::relocate::{relative, resolve};
use super::{Error, Installed, set_content};
use crate::digest::Digest;
use crate::fs;
use crate::layout::Layout;
use crate::tree::{Content, Distribution, Entry, Node, RelPath, Tree};
use crate::wheel::record::{self, Row};

/// The files that a step removes from a prefix, replaces in it and adds to it.
#[derive(Debug, Default)]
pub struct Edit {
    /// Files and links that go.
    pub removed: BTreeSet<RelPath>,
    /// Files that get other bytes. Their owners and their executable bit stay.
    pub replaced: BTreeMap<RelPath, Content>,
    /// Files and links that come. Each is listed in the `RECORD` of its owners.
    pub added: BTreeMap<RelPath, Entry>,
}

impl Edit {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.replaced.is_empty() && self.added.is_empty()
    }
}

impl Installed {
    /// Carries out an edit. Nothing is changed if it cannot be carried out whole.
    pub fn apply(&mut self, edit: Edit, layout: &Layout) -> Result<(), Error> {
        if edit.is_empty() {
            return Ok(());
        }
        check(&self.tree, &edit)?;
        let records = records(&self.tree, &edit, layout)?;
        for path in &edit.removed {
            self.tree.remove(path);
        }
        for (path, content) in edit.replaced {
            set_content(&mut self.tree, &path, content);
        }
        for (path, entry) in edit.added {
            self.tree
                .insert_entry(path, entry)
                .map_err(|occupied| Error::Merge(occupied.0))?;
        }
        for (path, text) in records {
            set_content(&mut self.tree, &path, text.into_bytes());
        }
        Ok(())
    }
}

/// Whether every path is what the edit takes it for.
fn check(tree: &Tree, edit: &Edit) -> Result<(), Error> {
    let refuse = |path: &RelPath, problem| {
        Err(Error::Edit {
            path: path.clone(),
            problem,
        })
    };
    let node = |path: &RelPath| tree.get(path).map(|entry| &entry.node);
    for path in &edit.removed {
        if matches!(node(path), None | Some(Node::Dir)) {
            return refuse(path, "the prefix has no such file");
        }
    }
    for path in edit.replaced.keys() {
        if !matches!(node(path), Some(Node::File { .. })) || edit.removed.contains(path) {
            return refuse(path, "the prefix has no such file");
        }
    }
    for path in edit.added.keys() {
        if node(path).is_some() {
            return refuse(path, "the prefix holds it already");
        }
        let mut above = path.parent();
        while let Some(directory) = above {
            if !matches!(node(&directory), None | Some(Node::Dir))
                || edit.added.contains_key(&directory)
            {
                return refuse(path, "a file lies where its directory would be");
            }
            above = directory.parent();
        }
    }
    Ok(())
}

/// The texts of the `RECORD`s that the edit changes.
fn records(tree: &Tree, edit: &Edit, layout: &Layout) -> Result<Vec<(RelPath, String)>, Error> {
    let replaced = edit.replaced.iter();
    let replaced: BTreeMap<&RelPath, (Digest, u64)> = replaced
        .map(|(path, content)| Ok((path, sum(content)?)))
        .collect::<Result<_, Error>>()?;
    let mut added: HashMap<&Distribution, Vec<(&RelPath, &Entry)>> = HashMap::new();
    for (path, entry) in &edit.added {
        for owner in &entry.owners {
            added.entry(owner).or_default().push((path, entry));
        }
    }
    let mut records = Vec::new();
    for (path, entry) in tree.iter() {
        let Some(site) = path.parent().and_then(|info| info.parent()) else {
            continue;
        };
        let is_site = site == layout.purelib || site == layout.platlib;
        let is_record = path.as_str().ends_with(".dist-info/RECORD");
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        if !is_site || !is_record || edit.removed.contains(path) {
            continue;
        }
        let text = content.read()?;
        let mut is_changed = false;
        let mut rows = Vec::new();
        for row in record::read(&String::from_utf8_lossy(&text)) {
            let listed = resolve(&site, &row.path);
            if listed
                .as_ref()
                .is_some_and(|path| edit.removed.contains(path))
            {
                is_changed = true;
                continue;
            }
            let file = listed.and_then(|path| replaced.get(&path).copied());
            is_changed |= file.is_some();
            rows.push(Row {
                file: file.or(row.file),
                path: row.path,
            });
        }
        let owner = entry.owner();
        for (path, entry) in owner
            .and_then(|owner| added.get(owner))
            .into_iter()
            .flatten()
        {
            let file = match &entry.node {
                Node::File { content, .. } => Some(sum(content)?),
                Node::Dir | Node::Symlink { .. } => None,
            };
            is_changed = true;
            rows.push(Row {
                path: relative(&site, path),
                file,
            });
        }
        if is_changed {
            records.push((path.clone(), record::write(rows)));
        }
    }
    Ok(records)
}

/// The digest and the length of a file's bytes.
fn sum(content: &Content) -> Result<(Digest, u64), fs::Error> {
    let read = |reader: &mut dyn io::Read| {
        Digest::read(reader).map_err(|source| fs::Error::new("read", content.path(), source))
    };
    match content.digest() {
        Some(digest) => Ok((digest, content.size())),
        None => read(&mut content.open()?),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const RECORD: &str = "lib/python3.11/site-packages/demo-1.dist-info/RECORD";

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn file(text: &str, owner: &Arc<Distribution>) -> Entry {
        let node = Node::File {
            content: text.as_bytes().to_vec().into(),
            executable: false,
        };
        Entry {
            owners: vec![Arc::clone(owner)],
            ..node.into()
        }
    }

    /// A distribution of a module, a script and a file whose name needs quotes.
    fn installed() -> (Installed, Layout, Arc<Distribution>) {
        let site = path("lib/python3.11/site-packages");
        let layout = Layout {
            dest: "/usr/local".to_owned(),
            purelib: site.clone(),
            platlib: site.clone(),
            script_python: "/usr/local/bin/python3".to_owned(),
        };
        let owner = Arc::new(Distribution {
            name: "demo".to_owned(),
            version: "1".to_owned(),
        });
        let mut tree = Tree::new();
        for (name, text) in [
            (format!("{site}/demo.py"), "x = 1\n"),
            (format!("{site}/odd/a,b.txt"), "a\n"),
            ("bin/demo".to_owned(), "#!/bin/sh\n"),
            (RECORD.to_owned(), ""),
        ] {
            tree.insert_entry(path(&name), file(text, &owner)).unwrap();
        }
        let rows = tree.iter().filter_map(|(path, entry)| match &entry.node {
            Node::File { content, .. } => Some((path.clone(), Some(sum(content).unwrap()))),
            _ => None,
        });
        let text = super::super::write_record(&path(RECORD), &site, rows);
        let mut installed = Installed {
            tree,
            pieces: Vec::new(),
        };
        set_content(&mut installed.tree, &path(RECORD), text);
        (installed, layout, owner)
    }

    fn record(installed: &Installed) -> Vec<Row> {
        let Node::File { content, .. } = &installed.tree.get(&path(RECORD)).unwrap().node else {
            panic!("no RECORD")
        };
        record::read(&String::from_utf8(content.read().unwrap()).unwrap()).collect()
    }

    #[test]
    fn records_follow_every_change() {
        let (mut installed, layout, owner) = installed();
        let site = layout.purelib.clone();
        let edit = Edit {
            removed: [site.join("odd/a,b.txt").unwrap()].into(),
            replaced: [(path("bin/demo"), b"#!/bin/bash\n".to_vec().into())].into(),
            added: [(
                site.join("__pycache__/demo.pyc").unwrap(),
                file("c", &owner),
            )]
            .into(),
        };
        installed.apply(edit, &layout).unwrap();
        let row = |path: &str, bytes: &[u8]| Row {
            path: path.to_owned(),
            file: Some((Digest::of(bytes), bytes.len() as u64)),
        };
        assert_eq!(
            record(&installed),
            [
                row("../../../bin/demo", b"#!/bin/bash\n"),
                row("__pycache__/demo.pyc", b"c"),
                Row {
                    path: "demo-1.dist-info/RECORD".to_owned(),
                    file: None
                },
                row("demo.py", b"x = 1\n"),
            ]
        );
        assert!(installed.tree.get(&site.join("odd").unwrap()).is_none());
    }

    #[test]
    fn what_cannot_be_carried_out_changes_nothing() {
        let (mut installed, layout, owner) = installed();
        let before = (installed.tree.len(), record(&installed));
        let site = layout.purelib.clone();
        let demo = site.join("demo.py").unwrap();
        let first: BTreeSet<RelPath> = [path("bin/demo")].into();
        let content = || Content::from(Vec::new());
        for edit in [
            Edit {
                removed: [path("bin/demo"), path("bin/none")].into(),
                ..Edit::default()
            },
            Edit {
                removed: first.clone(),
                replaced: [(path("bin/demo"), content())].into(),
                ..Edit::default()
            },
            Edit {
                removed: first.clone(),
                replaced: [(site.clone(), content())].into(),
                ..Edit::default()
            },
            Edit {
                removed: first.clone(),
                added: [(demo.clone(), file("", &owner))].into(),
                ..Edit::default()
            },
            Edit {
                removed: first,
                added: [(demo.join("below").unwrap(), file("", &owner))].into(),
                ..Edit::default()
            },
        ] {
            let refused = installed.apply(edit, &layout).unwrap_err();
            assert!(matches!(refused, Error::Edit { .. }), "{refused}");
            assert_eq!((installed.tree.len(), record(&installed)), before);
        }
    }
}
