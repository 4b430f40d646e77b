//! The modules of an interpreter's standard library: those that lie in its folders, can be imported, or are
//! built in.

use std::collections::{BTreeMap, BTreeSet};

use super::loader::{self, Loader};
use super::root::Root;
use crate::code::is_standard;

/// Modules of the standard library that are nothing without another one, which some builds and packages
/// leave out.
const PARTS: [(&str, &str); 10] = [
    ("bz2", "_bz2"),
    ("crypt", "_crypt"),
    ("ctypes", "_ctypes"),
    ("curses", "_curses"),
    ("gzip", "zlib"),
    ("lzma", "_lzma"),
    ("sqlite3", "_sqlite3"),
    ("ssl", "_ssl"),
    ("tkinter", "_tkinter"),
    ("turtle", "tkinter"),
];

/// More searches for libraries than any extension module of the standard library takes.
const MAX_SEARCHES: usize = 1 << 12;

/// Modules that are built into every interpreter, under no name of their own.
pub(super) const ALWAYS: [&str; 7] = [
    "_frozen_importlib",
    "_frozen_importlib_external",
    "_imp",
    "_warnings",
    "builtins",
    "marshal",
    "sys",
];

/// Leaves out the modules that cannot be imported: extension modules whose libraries are not there (slim
/// images have `_tkinter` and no Tk), and what is nothing without them. `present` are the libraries that the
/// interpreter has itself. Returns those that lack a library, each with what it lacks.
pub(super) fn leave_out(
    modules: &mut BTreeSet<String>,
    builtin: &BTreeSet<String>,
    stdlib: &str,
    present: &[String],
    root: &Root,
    loader: &Loader,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut lacking = BTreeMap::new();
    let folder = format!("{stdlib}/lib-dynload");
    for name in root.names(&folder) {
        let Some(elf) = loader::elf(root, &format!("{folder}/{name}")) else {
            continue;
        };
        let search = elf.rpath.iter().chain(&elf.runpath);
        let search: Vec<String> = search.map(|one| one.replace("$ORIGIN", &folder)).collect();
        // A few bytes may name many libraries and many folders to search each of them in.
        if elf.needed.len() * search.len() > MAX_SEARCHES {
            continue;
        }
        let is_there = |needed: &String| {
            let mut folders = search.iter().chain(&loader.folders);
            present.contains(needed)
                || loader.cache.contains_key(needed)
                || folders.any(|folder| root.is_file(&format!("{folder}/{needed}")))
        };
        let lacks: BTreeSet<String> = elf
            .needed
            .iter()
            .filter(|one| !is_there(one))
            .cloned()
            .collect();
        if !lacks.is_empty() {
            let (stem, _) = name.split_once('.').unwrap_or((&name, ""));
            modules.remove(stem);
            lacking.insert(stem.to_owned(), lacks);
        }
    }
    for (module, part) in PARTS {
        if !modules.contains(part)
            && !builtin.contains(part)
            && modules.remove(module)
            && let Some(lacks) = lacking.get(part).cloned()
        {
            lacking.insert(module.to_owned(), lacks);
        }
    }
    lacking
}

/// The top-level modules that lie in the folders of the standard library.
pub(super) fn modules(root: &Root, stdlib: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for name in root.names(stdlib) {
        match name.split_once('.') {
            Some((stem, "py" | "pyc")) => drop(modules.insert(stem.to_owned())),
            Some(_) => {}
            None => {
                // Debian leaves nothing of distutils but the version.
                let part = match name.as_str() {
                    "distutils" => "core",
                    _ => "__init__",
                };
                let part = format!("{stdlib}/{name}/{part}.py");
                if root.is_file(&part) || root.is_file(&format!("{part}c")) {
                    modules.insert(name);
                }
            }
        }
    }
    for name in root.names(&format!("{stdlib}/lib-dynload")) {
        if let Some((stem, ending)) = name.split_once('.')
            && (ending == "so" || ending.ends_with(".so"))
        {
            modules.insert(stem.to_owned());
        }
    }
    modules
}

/// The modules that a binary has built in, by the names of the functions that begin them: the modules'
/// own names prove nothing, `sys.stdlib_module_names` has them all.
pub(super) fn builtin(bytes: &[u8]) -> BTreeSet<String> {
    let start = b"\0PyInit_";
    let mut found = BTreeSet::new();
    for at in memchr::memmem::find_iter(bytes, start) {
        let name = bytes[at + start.len()..].iter().take(64);
        let name: Vec<u8> = name.take_while(|byte| **byte != 0).copied().collect();
        if let Ok(name) = String::from_utf8(name)
            && is_standard(&name)
        {
            found.insert(name);
        }
    }
    found
}
