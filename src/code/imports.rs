//! Who imports what in a distribution: which modules of the standard library it cannot do without, and which
//! of its own extension modules it can.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::opened::{self, MAX_SOURCES, Opened, Source};
use super::{Code, Import, is_called, is_standard, weight};

/// The most bytes that the imports of one distribution take, counted as [`weight`] counts them: what comes
/// after that is passed over.
const MAX_WEIGHT: usize = 128 << 20;

/// A module from outside of the distribution that one of its files imports: of the standard library, or of
/// setuptools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The top-level module.
    pub module: String,
    /// The path in the site folder of a file that imports it.
    pub by: String,
    /// Whether importing some top-level module of the distribution always comes to that: then it is of no
    /// use without it.
    pub always: bool,
}

/// The dotted names of the packages among files, given by their paths in the site folder.
pub fn package_names<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let packages = paths.filter_map(|path| path.strip_suffix("/__init__.py"));
    packages.map(|path| path.replace('/', ".")).collect()
}

/// What the Python code of a distribution asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The modules from outside that it imports.
    pub imported: Vec<Imported>,
    /// The libraries that it opens by their names.
    pub opened: Vec<Opened>,
}

/// Works out what the files of a distribution ask for, each given with its path in the site folder; marks the
/// extension modules that it can do without and the libraries that it always opens, and lets go of the rest. `packages`
/// are the names of its packages, and `read` reads the file at an index once more.
pub fn settle(
    files: &mut [(&str, &mut Code)],
    packages: &BTreeSet<String>,
    read: impl Fn(usize) -> Option<Vec<u8>>,
) -> Asked {
    let mut modules = BTreeMap::new();
    // A relative name becomes as long as the module's own: a long path times many imports.
    let mut room = MAX_WEIGHT;
    for (path, code) in files.iter_mut() {
        let imports = std::mem::take(&mut code.imports);
        if !imports.is_empty()
            && let Some((name, is_package)) = module(path)
        {
            let resolved = imports.into_iter().filter_map(|import| {
                let import = resolve(import, &name, is_package)?;
                room = room.checked_sub(weight(&import.name))?;
                Some(import)
            });
            let resolved: Vec<Import> = resolved.collect();
            modules.insert(name, (*path, resolved));
        }
    }
    let reached = reached(&modules, packages);
    let found = imported(&modules, &reached);
    let mut left = MAX_SOURCES;
    let mut sources = Vec::new();
    for (at, (path, _)) in files.iter().enumerate().filter(|(_, (_, code))| code.opens) {
        let Some((name, is_package)) = module(path) else {
            continue;
        };
        if is_aside(&name) && !reached.contains(name.as_str()) {
            continue;
        }
        let Some(bytes) = read(at) else { continue };
        let Some(rest) = left.checked_sub(bytes.len()) else {
            break;
        };
        left = rest;
        sources.push(Source {
            path,
            module: name,
            is_package,
            bytes,
        });
    }
    let libraries = opened::follow(&sources, &reached);
    let own = libraries.own;
    drop(sources);
    drop(reached);
    let (mut always, mut maybe) = (BTreeSet::new(), BTreeSet::new());
    for import in modules.values().flat_map(|(_, imports)| imports) {
        let names = if import.always {
            &mut always
        } else {
            &mut maybe
        };
        names.insert(import.name.as_str());
    }
    for (path, code) in files {
        code.opens = false;
        let name = path.rsplit('/').next().unwrap_or_default();
        code.opened = code.elf.is_some() && own.iter().any(|own| is_called(name, own));
        if code.elf.is_some()
            && let Some(name) = extension(path)
        {
            code.optional = maybe.contains(name.as_str()) && !always.contains(name.as_str());
        }
    }
    Asked {
        imported: found,
        opened: libraries.opened,
    }
}

/// The modules of a distribution that have imports, by their names: the file, and what it imports.
type Modules<'a> = BTreeMap<String, (&'a str, Vec<Import>)>;

/// The modules that are imported whenever a top-level one is. Below a namespace, which has no file of its own, every
/// module is a top-level one.
fn reached<'a>(modules: &'a Modules<'_>, packages: &BTreeSet<String>) -> BTreeSet<&'a str> {
    let is_top = |name: &str| {
        let mut above = name
            .match_indices('.')
            .map(|(at, _)| &name[..at])
            .peekable();
        above.peek().is_none()
            || !is_aside(name) && !above.any(|package| packages.contains(package))
    };
    let known = |name: &str| {
        let found = modules.get_key_value(name);
        found.map(|(name, (_, imports))| (name.as_str(), imports))
    };
    let mut reached = BTreeSet::new();
    let mut left: Vec<&Vec<Import>> = Vec::new();
    for (name, (_, imports)) in modules.iter().filter(|(name, _)| is_top(name)) {
        reached.insert(name.as_str());
        left.push(imports);
    }
    while let Some(imports) = left.pop() {
        let mut before = "";
        for import in imports.iter().filter(|import| import.always) {
            let name = import.name.as_str();
            // Importing `a.b.c` imports `a` and `a.b` first. Those that the import before has too were
            // looked at: one long `from` stands in many names.
            let bytes = name.bytes().zip(before.bytes());
            let shared = bytes.take_while(|(here, there)| here == there).count();
            let dots = name.match_indices('.').map(|(at, _)| at);
            let ends = dots.filter(|at| *at >= shared).chain([name.len()]);
            for (name, imports) in ends.filter_map(|end| known(&name[..end])) {
                if reached.insert(name) {
                    left.push(imports);
                }
            }
            before = name;
        }
    }
    reached
}

/// What is imported from outside: each module once, by a file that cannot do without it if there is one.
fn imported(modules: &Modules<'_>, reached: &BTreeSet<&str>) -> Vec<Imported> {
    let mut found: BTreeMap<&str, Imported> = BTreeMap::new();
    for (name, (path, imports)) in modules {
        if is_aside(name) && !reached.contains(name.as_str()) {
            continue;
        }
        for import in imports.iter().filter(|import| import.always) {
            let (top, _) = import.name.split_once('.').unwrap_or((&import.name, ""));
            let is_own = modules.contains_key(top);
            if is_own || !(is_standard(top) || ["pkg_resources", "setuptools"].contains(&top)) {
                continue;
            }
            let one = Imported {
                module: top.to_owned(),
                by: (*path).to_owned(),
                always: reached.contains(name.as_str()),
            };
            match found.get_mut(top) {
                Some(there) if there.always || !one.always => {}
                Some(there) => *there = one,
                None => drop(found.insert(top, one)),
            }
        }
    }
    found.into_values().collect()
}

/// Whether a module is one that is never imported where the distribution is used.
fn is_aside(name: &str) -> bool {
    name.split('.').any(|part| {
        let is_test = matches!(part, "conftest" | "test" | "tests" | "testing" | "_testing");
        is_test || part == "setup" || part.starts_with("setup_")
    })
}

/// The dotted name of a source file's module, and whether it is a package.
fn module(path: &str) -> Option<(String, bool)> {
    let path = path.strip_suffix(".py")?;
    let (path, is_package) = match path.strip_suffix("/__init__") {
        Some(package) => (package, true),
        None => (path, false),
    };
    Some((path.replace('/', "."), is_package))
}

/// The dotted name of an extension module.
fn extension(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, ending) = name.split_once('.')?;
    if ending != "so" && !ending.ends_with(".so") {
        return None;
    }
    let dot = if folder.is_empty() { "" } else { "." };
    Some(format!("{}{dot}{stem}", folder.replace('/', ".")))
}

/// What a module imports, by its absolute name.
fn resolve(import: Import, module: &str, is_package: bool) -> Option<Import> {
    if !import.name.starts_with('.') {
        return Some(import);
    }
    Some(Import {
        name: absolute(&import.name, module, is_package)?,
        always: import.always,
    })
}

/// The absolute name of what a module imports as `name`.
pub(super) fn absolute(name: &str, module: &str, is_package: bool) -> Option<String> {
    let rest = name.trim_start_matches('.');
    let dots = name.len() - rest.len();
    if dots == 0 {
        return Some(name.to_owned());
    }
    let up = dots - usize::from(is_package);
    let mut base = module;
    for _ in 0..up {
        (base, _) = base.rsplit_once('.').unwrap_or(("", base));
        if base.is_empty() {
            return None;
        }
    }
    let dot = if rest.is_empty() { "" } else { "." };
    Some(format!("{base}{dot}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved() {
        let resolved = |name: &str, module: &str, is_package| {
            let import = Import {
                name: name.to_owned(),
                always: true,
            };
            resolve(import, module, is_package).map(|import| import.name)
        };
        assert_eq!(resolved(".x", "a.b", false).as_deref(), Some("a.x"));
        assert_eq!(resolved(".x", "a.b", true).as_deref(), Some("a.b.x"));
        assert_eq!(resolved("..", "a.b.c", false).as_deref(), Some("a"));
        assert_eq!(resolved("...x", "a.b", false), None);
        assert_eq!(resolved(".x", "a", false), None);
        let so = "a/b/_c.cpython-311-x86_64-linux-gnu.so";
        assert_eq!(extension(so).as_deref(), Some("a.b._c"));
        assert_eq!(extension("c.so").as_deref(), Some("c"));
        assert_eq!(extension("a/libx.so.1"), None);
        assert_eq!(module("a/__init__.py"), Some(("a".to_owned(), true)));
    }
}
