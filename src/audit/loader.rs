//! The search of the runtime's dynamic loader, with the prefix in place.
//!
//! An RPATH counts for what is loaded further down, a RUNPATH does not, and a library that is loaded
//! already is not searched for again.
//!
//! <https://man7.org/linux/man-pages/man8/ld.so.8.html>

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::code::{Code, Elf, is_called};
use crate::layout::Layout;
use crate::runtime::{Family, Runtime, normal};
use crate::tree::{Distribution, Node, RelPath, Tree};

/// Native code of the prefix.
pub(super) struct Native<'a> {
    pub(super) path: &'a RelPath,
    pub(super) owner: Option<&'a Distribution>,
    pub(super) code: Arc<Code>,
}

/// All native code of a tree.
pub(super) fn find(tree: &Tree) -> Vec<Native<'_>> {
    let mut found = Vec::new();
    for (path, entry) in tree.iter() {
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        if let Some(code) = content.native(path) {
            found.push(Native {
                path,
                owner: entry.owner(),
                code,
            });
        }
    }
    found
}

/// As many objects as one load root may come to.
const MAX_OBJECTS: usize = 4096;

/// The path in the runtime of each library that a file comes to, by the name under which it is needed;
/// none for one that is not found.
pub type Dependencies = BTreeMap<String, Option<String>>;

/// What each file of native code in a tree comes to if it is loaded by itself, as `ldd` tells it.
#[must_use]
pub fn dependencies(
    tree: &Tree,
    layout: &Layout,
    runtime: &Runtime,
) -> BTreeMap<RelPath, Dependencies> {
    let native = find(tree);
    let world = World::new(tree, layout, runtime, &native);
    let mut found = BTreeMap::new();
    for one in &native {
        let Some(Ok(elf)) = &one.code.elf else {
            continue;
        };
        if !elf.loadable || Some(elf.machine) != runtime.facts.machine {
            continue;
        }
        let mut objects = vec![world.root(one, elf)];
        let mut known = BTreeMap::new();
        world.close(&mut objects, 0, &mut known);
        let path = |at: Option<usize>| at.map(|at| objects[at].path.clone());
        let known = known.into_iter().map(|(name, at)| (name, path(at)));
        found.insert(one.path.clone(), known.collect());
    }
    found
}

/// An object that was loaded.
pub(super) struct Object<'w> {
    /// Its path in the runtime, links followed.
    pub(super) path: String,
    pub(super) elf: &'w Elf,
    /// Whether it lies in the prefix.
    pub(super) is_ours: bool,
    /// What loaded it.
    pub(super) by: Option<usize>,
}

/// A library: its path, links followed, what it is, and whether it lies in the prefix.
type Found<'w> = (String, &'w Elf, bool);

/// Everything that the loader can see.
pub(super) struct World<'w> {
    pub(super) runtime: &'w Runtime,
    /// The native code of the prefix by its path in the runtime.
    pub(super) ours: HashMap<String, &'w Elf>,
    /// The links of the prefix, by their paths in the runtime.
    pub(super) links: HashMap<String, String>,
    /// The native code of the prefix by its name, and by the name under which it is needed.
    pub(super) names: HashMap<&'w str, &'w RelPath>,
    pub(super) dest: &'w str,
    pub(super) sites: Vec<&'w RelPath>,
    /// What was found at the paths that were looked at: many files need the same libraries.
    looked: RefCell<HashMap<String, Option<Found<'w>>>>,
    /// How often may still be looked: what a file needs is searched in each folder of its path, and in those
    /// of all that loads it.
    looks: Cell<u64>,
}

/// More looks than any prefix takes: of those of 117 distributions for science, some 40 000. What is looked
/// for after them is not found.
const MAX_LOOKS: u64 = 5_000_000;
/// How many paths are remembered.
const MAX_LOOKED: usize = 200_000;

impl<'w> World<'w> {
    pub(super) fn new(
        tree: &'w Tree,
        layout: &'w Layout,
        runtime: &'w Runtime,
        native: &'w [Native<'_>],
    ) -> Self {
        let dest = layout.dest.trim_end_matches('/');
        let mut ours = HashMap::new();
        let mut names = HashMap::new();
        for one in native {
            if let Some(Ok(elf)) = &one.code.elf {
                ours.insert(format!("{dest}/{}", one.path), elf);
                names.entry(one.path.name()).or_insert(one.path);
                if let Some(soname) = &elf.soname {
                    names.entry(soname.as_str()).or_insert(one.path);
                }
            }
        }
        let links = tree.iter().filter_map(|(path, entry)| match &entry.node {
            Node::Symlink { target } => Some((format!("{dest}/{path}"), target.clone())),
            _ => None,
        });
        Self {
            runtime,
            ours,
            links: links.collect(),
            names,
            dest,
            sites: vec![&layout.purelib, &layout.platlib],
            looked: RefCell::default(),
            looks: Cell::new(MAX_LOOKS),
        }
    }

    /// What is loaded whenever the interpreter runs: names, and the program itself as the first object.
    pub(super) fn process(&self) -> Vec<Object<'w>> {
        let python = &self.runtime.python;
        let mut objects = vec![Object {
            path: self.runtime.facts.real(&python.executable),
            elf: &python.elf,
            is_ours: false,
            by: None,
        }];
        let mut known = BTreeMap::new();
        let _ = self.close(&mut objects, 0, &mut known);
        objects
    }

    /// A file that is loaded by itself.
    pub(super) fn root(&self, one: &Native<'_>, elf: &'w Elf) -> Object<'w> {
        Object {
            path: format!("{}/{}", self.dest, one.path),
            elf,
            is_ours: true,
            by: None,
        }
    }

    /// Loads what a file needs, and what that needs; returns what is not found: the object that needs it,
    /// and the name.
    pub(super) fn close(
        &self,
        objects: &mut Vec<Object<'w>>,
        from: usize,
        known: &mut BTreeMap<String, Option<usize>>,
    ) -> Vec<(usize, String)> {
        let mut missing = Vec::new();
        let mut todo = VecDeque::from([from]);
        while let Some(index) = todo.pop_front() {
            let needed: &'w [String] = &objects[index].elf.needed;
            for name in needed {
                if known.contains_key(name.as_str()) {
                    continue;
                }
                match self.search(name, index, objects) {
                    Some((path, elf, is_ours)) if objects.len() < MAX_OBJECTS => {
                        // Under another name, it may be there already.
                        let there = objects.iter().position(|object| object.path == path);
                        let at = there.unwrap_or(objects.len());
                        if there.is_none() {
                            objects.push(Object {
                                path,
                                elf,
                                is_ours,
                                by: Some(index),
                            });
                            todo.push_back(at);
                        }
                        known.insert(name.clone(), Some(at));
                        if let Some(soname) = &elf.soname {
                            known.insert(soname.clone(), Some(at));
                        }
                    }
                    _ => {
                        known.insert(name.clone(), None);
                        missing.push((index, name.clone()));
                    }
                }
            }
        }
        missing
    }

    /// Looks for a library as the loader does for the object that needs it.
    fn search(&self, name: &str, wanted_by: usize, objects: &[Object<'w>]) -> Option<Found<'w>> {
        let object = &objects[wanted_by];
        if name.contains('/') {
            return self.at(&self.expand(name, object));
        }
        let is_glibc = self.family() != Some(Family::Musl);
        if object.elf.runpath.is_empty() || !is_glibc {
            // Its own, and those of what loaded it, up to the program.
            let chain = std::iter::successors(Some(wanted_by), |at| objects[*at].by);
            let mut seen = BTreeSet::new();
            for at in chain.chain([0]).filter(|at| seen.insert(*at)) {
                let above = &objects[at];
                let own = if is_glibc {
                    &above.elf.rpath[..]
                } else if above.elf.runpath.is_empty() {
                    &above.elf.rpath
                } else {
                    &above.elf.runpath
                };
                if let Some(found) = self.in_folders(own, name, above) {
                    return Some(found);
                }
            }
        }
        self.in_folders(&object.elf.runpath, name, object)
            .or_else(|| self.at(self.runtime.facts.loader.cache.get(name)?))
            .or_else(|| self.in_folders(&self.runtime.facts.loader.folders, name, object))
    }

    fn in_folders(&self, folders: &[String], name: &str, object: &Object<'_>) -> Option<Found<'w>> {
        folders
            .iter()
            .find_map(|folder| self.at(&format!("{}/{name}", self.expand(folder, object))))
    }

    /// Whether `dlopen` finds a library by its name, or the prefix has one that others load first.
    pub(super) fn is_found(&self, name: &str) -> bool {
        let loader = &self.runtime.facts.loader;
        let cached = loader.cache.get(name).and_then(|path| self.at(path));
        let mut folders = loader.folders.iter();
        cached.is_some()
            || folders.any(|folder| self.at(&format!("{folder}/{name}")).is_some())
            || self.names.contains_key(name)
    }

    /// Whether there is a library at a path of the runtime once the prefix is there.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.at(path).is_some()
    }

    /// Whether native code of the prefix has this name, in which `*` stands for anything.
    pub(super) fn brings(&self, name: &str) -> bool {
        self.names.contains_key(name)
            || name.contains('*') && self.names.keys().any(|one| is_called(one, name))
    }

    /// A search path with its variables filled in.
    fn expand(&self, folder: &str, object: &Object<'_>) -> String {
        if !folder.contains('$') {
            return folder.to_owned();
        }
        let (origin, _) = object.path.rsplit_once('/').unwrap_or_default();
        let lib = match self.runtime.facts.loader.folders.first() {
            Some(first) => first.trim_start_matches("/usr").trim_start_matches('/'),
            None => "lib",
        };
        let machine = object.elf.machine.to_string();
        let mut expanded = folder.to_owned();
        for (name, value) in [("ORIGIN", origin), ("LIB", lib), ("PLATFORM", &machine)] {
            expanded = expanded.replace(&format!("${{{name}}}"), value);
            expanded = expanded.replace(&format!("${name}"), value);
        }
        expanded
    }

    /// The library at a path of the runtime once the prefix is there, if it is for its machine.
    fn at(&self, path: &str) -> Option<Found<'w>> {
        if let Some(known) = self.looked.borrow().get(path) {
            return known.clone();
        }
        self.looks.set(self.looks.get().checked_sub(1)?);
        let found = self.look(path);
        let mut looked = self.looked.borrow_mut();
        if looked.len() < MAX_LOOKED {
            looked.insert(path.to_owned(), found.clone());
        }
        found
    }

    fn look(&self, path: &str) -> Option<Found<'w>> {
        let mut path = normal(path);
        let mut found = None;
        for _ in 0..40 {
            if let Some(elf) = self.ours.get(&path) {
                found = Some((path, *elf, true));
                break;
            }
            match self.links.get(&path) {
                Some(target) if target.starts_with('/') => path = normal(target),
                Some(target) => {
                    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
                    path = normal(&format!("{folder}/{target}"));
                }
                None => {
                    let (path, elf) = self.runtime.facts.library(&path)?;
                    found = Some((path, elf, false));
                    break;
                }
            }
        }
        // The loader passes over what is for another machine.
        found.filter(|(_, elf, _)| Some(elf.machine) == self.runtime.facts.machine)
    }

    pub(super) fn family(&self) -> Option<Family> {
        self.runtime.facts.libc.as_ref().map(|libc| libc.family)
    }
}

impl Object<'_> {
    pub(super) fn again(&self) -> Self {
        Self {
            path: self.path.clone(),
            elf: self.elf,
            is_ours: self.is_ours,
            by: self.by,
        }
    }
}
