//! The checks: modules, extension modules and entry points, found from the files of a prefix.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::fs;
use crate::layout::Layout;
use crate::requirements::{split_lines, trim};
use crate::tree::{Entry, Node, RelPath, Tree};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A `.pth` file, which Python reads at every start.
    PathFile,
    /// A top-level module.
    Module,
    /// An extension module below a package.
    Extension,
    /// The entry point of a script.
    Script,
    /// An entry point of another group.
    EntryPoint,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::PathFile,
        Self::Module,
        Self::Extension,
        Self::Script,
        Self::EntryPoint,
    ];

    /// Its name, by which a check can be allowed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PathFile => "path-file",
            Self::Module => "module",
            Self::Extension => "extension",
            Self::Script => "script",
            Self::EntryPoint => "entry-point",
        }
    }
}

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) distribution: String,
    pub(super) kind: Kind,
    /// Its name; an entry point's begins with its group.
    pub(super) name: String,
    pub(super) module: String,
    /// What an entry point names in the module; may be empty.
    pub(super) attribute: String,
    /// Whether an entry point names extras, which need not be installed.
    pub(super) has_extras: bool,
    /// The file of an extension module.
    pub(super) path: Option<RelPath>,
}

impl Check {
    /// `MODULE`, or `MODULE:ATTRIBUTE`.
    pub(super) fn target(&self) -> String {
        if self.attribute.is_empty() {
            self.module.clone()
        } else {
            format!("{}:{}", self.module, self.attribute)
        }
    }
}

/// The top-level name of a dotted one.
pub(super) fn top(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

/// Finds all that a prefix has to be tried, modules first.
pub(super) fn find(
    tree: &Tree,
    layout: &Layout,
    suffixes: &[String],
) -> Result<Vec<Check>, fs::Error> {
    let mut checks = BTreeMap::new();
    for site in layout.sites() {
        for (path, entry) in tree.below(site) {
            let Some(below) = path.below(site) else {
                continue;
            };
            let mut add = |kind, module: String| {
                let check = Check {
                    distribution: owner(entry),
                    kind,
                    name: module.clone(),
                    attribute: String::new(),
                    has_extras: false,
                    path: (kind == Kind::Extension).then(|| path.clone()),
                    module,
                };
                checks.entry((kind, check.name.clone())).or_insert(check);
            };
            if !matches!(entry.node, Node::Dir)
                && let Some((kind, module)) = module(tree, site, below, suffixes)
            {
                add(kind, module);
            }
        }
    }
    let mut checks: Vec<Check> = checks.into_values().collect();
    for site in layout.sites() {
        for (path, entry) in tree.below(site) {
            let is_metadata = |folder: RelPath| folder.parent().as_ref() == Some(site);
            if path.name() == "entry_points.txt"
                && path.parent().is_some_and(is_metadata)
                && let Node::File { content, .. } = &entry.node
                && content.size() <= MAX_ENTRY_POINTS
            {
                let text = String::from_utf8_lossy(&content.read()?).into_owned();
                checks.extend(entry_points(&text, &owner(entry)));
            }
        }
    }
    Ok(checks)
}

/// The largest `entry_points.txt` that is read, in bytes.
const MAX_ENTRY_POINTS: u64 = 4 << 20;

fn owner(entry: &Entry) -> String {
    entry
        .owner()
        .map_or_else(|| "no distribution".to_owned(), |one| one.name.clone())
}

/// The module that a file of a site directory is, if it is to be tried: what lies at the top, the
/// packages of a namespace, and extension modules wherever they are.
fn module(tree: &Tree, site: &RelPath, below: &str, suffixes: &[String]) -> Option<(Kind, String)> {
    let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
    let parents: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if !parents.iter().all(|part| is_identifier(part)) {
        return None;
    }
    let dotted = |stem: &str| {
        let parts = parents.iter().copied().chain([stem]);
        parts.collect::<Vec<_>>().join(".")
    };
    if name == "__init__.py" {
        let is_package = |count: usize| {
            let init = format!("{site}/{}/__init__.py", parents[..count].join("/"));
            RelPath::new(&init).is_ok_and(|init| tree.get(&init).is_some())
        };
        let is_tried = match parents.len() {
            1 => true,
            2 => !is_package(1),
            _ => false,
        };
        return is_tried.then(|| (Kind::Module, parents.join(".")));
    }
    if let Some(stem) = name.strip_suffix(".py") {
        return (parents.is_empty() && is_identifier(stem))
            .then(|| (Kind::Module, stem.to_owned()));
    }
    let stem = suffixes
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix.as_str()))?;
    // A library that lies beside them is no module.
    if !is_identifier(stem) || (stem.starts_with("lib") && name.strip_suffix(".so") == Some(stem)) {
        return None;
    }
    let kind = if parents.is_empty() {
        Kind::Module
    } else {
        Kind::Extension
    };
    let module = if stem == "__init__" {
        parents.join(".")
    } else {
        dotted(stem)
    };
    (!module.is_empty()).then_some((kind, module))
}

/// Whether Python takes a text for a name.
fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

/// The entry points of all groups, as `importlib.metadata` reads them.
///
/// <https://packaging.python.org/en/latest/specifications/entry-points/>
fn entry_points(text: &str, distribution: &str) -> Vec<Check> {
    let mut group = String::new();
    let mut found: Vec<Check> = Vec::new();
    let mut seen = BTreeSet::new();
    for line in split_lines(text).map(trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') && line.ends_with(']') {
            line.trim_matches(['[', ']']).clone_into(&mut group);
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| !group.is_empty()) else {
            continue;
        };
        let (object, extras) = value
            .split_once('[')
            .map_or((value, None), |(object, rest)| (object, Some(rest)));
        let (module, attribute) = object.split_once(':').unwrap_or((object, ""));
        let is_script = matches!(group.as_str(), "console_scripts" | "gui_scripts");
        let (kind, name) = if is_script {
            (Kind::Script, trim(name).to_owned())
        } else {
            (Kind::EntryPoint, format!("{group}/{}", trim(name)))
        };
        if seen.insert((kind, name.clone())) {
            found.push(Check {
                distribution: distribution.to_owned(),
                kind,
                name,
                module: trim(module).to_owned(),
                attribute: trim(attribute).to_owned(),
                has_extras: extras.is_some(),
                path: None,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_what_lies_at_the_top_and_what_is_native() {
        let mut tree = Tree::new();
        let site = "lib/python3.11/site-packages";
        for name in [
            "single.py",
            "not-a-module.py",
            "pkg/__init__.py",
            "pkg/inner/__init__.py",
            "pkg/_c.cpython-311-x86_64-linux-gnu.so",
            "pkg/deep/_d.abi3.so",
            "pkg/libother.so",
            "pkg/_c.cpython-310-x86_64-linux-gnu.so",
            "pkg.libs/libx.so",
            "space/one/__init__.py",
            "space/one/two/__init__.py",
            "_top.so",
            "data/file.txt",
        ] {
            let node = Node::File {
                content: b"".to_vec().into(),
                executable: false,
            };
            let path = RelPath::new(&format!("{site}/{name}")).unwrap();
            tree.insert(path, node).unwrap();
        }
        let layout = Layout {
            dest: "/usr/local".to_owned(),
            purelib: RelPath::new(site).unwrap(),
            platlib: RelPath::new(site).unwrap(),
            script_python: "/usr/local/bin/python3.11".to_owned(),
        };
        let suffixes = [".cpython-311-x86_64-linux-gnu.so", ".abi3.so", ".so"];
        let found = find(&tree, &layout, &suffixes.map(str::to_owned)).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|check| format!("{} {}", check.kind.name(), check.name))
            .collect();
        assert_eq!(
            found,
            [
                "module _top",
                "module pkg",
                "module single",
                "module space.one",
                "extension pkg._c",
                "extension pkg.deep._d",
            ]
        );
    }

    #[test]
    fn entry_points_of_every_group_are_read() {
        let text = "[console_scripts]\none = pkg.cli:main\ntwo=pkg:Class.run [extra]\n# no\n\n\
                    [pytest11]\nplug = pkg.plugin\nplug = pkg.other\n";
        let found: Vec<_> = entry_points(text, "pkg")
            .iter()
            .map(|check| {
                let (kind, target) = (check.kind.name(), check.target());
                format!("{kind} {} {target} {}", check.name, check.has_extras)
            })
            .collect();
        assert_eq!(
            found,
            [
                "script one pkg.cli:main false",
                "script two pkg:Class.run true",
                "entry-point pytest11/plug pkg.plugin false",
            ]
        );
    }
}
