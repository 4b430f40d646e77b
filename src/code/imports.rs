//! Who imports what in a distribution: which modules of the standard library it cannot do without, and which
//! of its own extension modules it can.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::opened::{self, MAX_SOURCES, Opened, Source};
use super::{Code, Import, Necessity, is_called, is_standard, weight};

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
    let levels = levels(&modules, &tops(&modules, packages));
    let reached: BTreeSet<&str> = levels
        .iter()
        .filter(|(_, necessity)| **necessity == Necessity::Required)
        .map(|(name, _)| *name)
        .collect();
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
    let libraries = if sources.is_empty() {
        opened::Found::default()
    } else {
        let levels = with_parts(&modules, packages, &levels);
        opened::follow(&sources, &levels)
    };
    let own = libraries.own;
    drop(sources);
    drop(reached);
    drop(levels);
    let extensions = files.iter().filter(|(_, code)| code.elf.is_some());
    let extensions: BTreeSet<String> = extensions.filter_map(|(path, _)| extension(path)).collect();
    let needed = needed(&modules, packages, &extensions);
    for (path, code) in files {
        code.opens = false;
        let name = path.rsplit('/').next().unwrap_or_default();
        code.opened = code.elf.is_some() && own.iter().any(|own| is_called(name, own));
        if code.elf.is_some()
            && let Some(name) = extension(path)
        {
            code.necessity = needed.get(name.as_str()).copied().unwrap_or_default();
        }
    }
    Asked {
        imported: found,
        opened: libraries.opened,
    }
}

/// The modules of a distribution that have imports, by their names: the file, and what it imports.
type Modules<'a> = BTreeMap<String, (&'a str, Vec<Import>)>;

/// The top-level modules. Below a namespace, which has no file of its own, every module is one.
fn tops<'a>(modules: &'a Modules<'_>, packages: &BTreeSet<String>) -> BTreeSet<&'a str> {
    let is_top = |name: &&str| {
        let mut above = name
            .match_indices('.')
            .map(|(at, _)| &name[..at])
            .peekable();
        above.peek().is_none()
            || !is_aside(name) && !above.any(|package| packages.contains(package))
    };
    modules.keys().map(String::as_str).filter(is_top).collect()
}

/// How much those who import one of `roots` need each module: the most by any way to it, where a way is worth its
/// least import. Modules that nothing imports are left out.
fn levels<'a>(modules: &'a Modules<'_>, roots: &BTreeSet<&'a str>) -> BTreeMap<&'a str, Necessity> {
    let mut levels: BTreeMap<&str, Necessity> = BTreeMap::new();
    for root in roots {
        levels.insert(root, Necessity::Required);
    }
    spread(modules, &mut levels);
    levels
}

/// Goes on from the modules in `levels`.
fn spread<'a>(modules: &'a Modules<'_>, levels: &mut BTreeMap<&'a str, Necessity>) {
    let known = |name: &str| {
        let found = modules.get_key_value(name);
        found.map(|(name, (_, imports))| (name.as_str(), imports))
    };
    for least in [
        Necessity::Required,
        Necessity::Conditional,
        Necessity::Optional,
    ] {
        let there = levels.iter().filter(|(_, level)| **level >= least);
        let mut left: Vec<&Vec<Import>> = there
            .filter_map(|(name, _)| known(name))
            .map(|(_, imports)| imports)
            .collect();
        while let Some(imports) = left.pop() {
            let mut before = "";
            for import in imports.iter().filter(|import| import.necessity >= least) {
                let name = import.name.as_str();
                // Importing `a.b.c` imports `a` and `a.b` first. Those that the import before has too were
                // looked at: one long `from` stands in many names.
                let bytes = name.bytes().zip(before.bytes());
                let shared = bytes.take_while(|(here, there)| here == there).count();
                let dots = name.match_indices('.').map(|(at, _)| at);
                let ends = dots.filter(|at| *at >= shared).chain([name.len()]);
                for (name, imports) in ends.filter_map(|end| known(&name[..end])) {
                    // What is there already is needed as much.
                    if let Entry::Vacant(vacant) = levels.entry(name) {
                        vacant.insert(least);
                        left.push(imports);
                    }
                }
                before = name;
            }
        }
    }
}
/// `levels`, and the modules of packages that begin with nothing of their own: such a package is used by its modules,
/// though nobody can say by which.
fn with_parts<'a>(
    modules: &'a Modules<'_>,
    packages: &BTreeSet<String>,
    levels: &BTreeMap<&'a str, Necessity>,
) -> BTreeMap<&'a str, Necessity> {
    let is_bare = |package: &str| {
        let imports = modules.get(package).map_or(&[][..], |(_, imports)| imports);
        !imports.iter().any(|import| {
            let name = import.name.as_str();
            let above = name.match_indices('.').map(|(at, _)| &name[..at]);
            let mut names = above.chain([name]);
            names.any(|name| name.len() > package.len() && modules.contains_key(name))
        })
    };
    let bare: BTreeSet<&str> = packages
        .iter()
        .map(String::as_str)
        .filter(|package| is_bare(package))
        .collect();
    let mut levels = levels.clone();
    for name in modules.keys().filter(|name| !is_aside(name)) {
        let mut above = name.match_indices('.').map(|(at, _)| &name[..at]);
        if above.all(|package| bare.contains(package) || !packages.contains(package)) {
            let level = levels.entry(name).or_insert(Necessity::Conditional);
            *level = (*level).max(Necessity::Conditional);
        }
    }
    spread(modules, &mut levels);
    levels
}

/// How much extension modules are needed by those that import them. What nothing imports is for the user to import, as
/// the modules are that nothing imports.
fn needed<'a>(
    modules: &Modules<'_>,
    packages: &BTreeSet<String>,
    extensions: &'a BTreeSet<String>,
) -> BTreeMap<&'a str, Necessity> {
    let mut needed = BTreeMap::new();
    if extensions.is_empty() {
        return needed;
    }
    let mut roots = tops(modules, packages);
    let imports = modules.iter().filter(|(name, _)| !is_aside(name));
    let imported: BTreeSet<&str> = imports
        .flat_map(|(_, (_, imports))| imports)
        .map(|import| import.name.as_str())
        .collect();
    let alone = modules.keys().map(String::as_str);
    roots.extend(alone.filter(|name| !imported.contains(name) && !is_aside(name)));
    let levels = levels(modules, &roots);
    // What tests import counts where nothing else does.
    for is_test in [false, true] {
        let mut found: BTreeMap<&str, Necessity> = BTreeMap::new();
        let importing = modules.iter().filter(|(name, _)| is_aside(name) == is_test);
        for (name, (_, imports)) in importing {
            let level = levels.get(name.as_str()).copied().unwrap_or_default();
            for import in imports {
                let Some(extension) = extensions.get(&import.name) else {
                    continue;
                };
                let one = found.entry(extension).or_insert(Necessity::Optional);
                *one = (*one).max(level.min(import.necessity));
            }
        }
        for (extension, necessity) in found {
            needed.entry(extension).or_insert(if is_test {
                necessity.max(Necessity::Conditional)
            } else {
                necessity
            });
        }
    }
    needed
}

/// What is imported from outside: each module once, by a file that cannot do without it if there is one.
fn imported(modules: &Modules<'_>, reached: &BTreeSet<&str>) -> Vec<Imported> {
    let mut found: BTreeMap<&str, Imported> = BTreeMap::new();
    for (name, (path, imports)) in modules {
        if is_aside(name) && !reached.contains(name.as_str()) {
            continue;
        }
        let always = |import: &&Import| import.necessity == Necessity::Required;
        for import in imports.iter().filter(always) {
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
        necessity: import.necessity,
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
                necessity: Necessity::Required,
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
