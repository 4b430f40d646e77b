//! Files and links, whatever is in them: whose they are, what they are called, where they lead, and what they
//! tell of the builder.

use std::collections::BTreeSet;

use super::Subject;
use super::finding::{Finding, Problem, Severity};
use crate::runtime::{Runtime, normal};
use crate::tree::{Content, Distribution, Entry, Node, RelPath};

/// Paths that several distributions brought.
pub(super) fn conflicts(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, entry) in subject.tree.iter() {
        if entry.owners.len() < 2 || matches!(entry.node, Node::Dir) {
            continue;
        }
        let mut distributions: Vec<_> =
            entry.owners.iter().map(|owner| (**owner).clone()).collect();
        distributions.sort();
        let equal = entry.identical;
        let severity = if equal {
            Severity::Note
        } else {
            Severity::Warning
        };
        let problem = Problem::Conflict {
            distributions,
            equal,
        };
        findings.push(Finding::new(severity, problem).at(path));
    }
    findings
}

/// What a compiler made here, and what of it names folders of the builder.
pub(super) fn built_here(subject: &Subject<'_>) -> Vec<Finding> {
    let built: BTreeSet<&Distribution> = subject
        .pieces
        .iter()
        .filter(|one| one.is_built_here())
        .map(|one| &*one.distribution)
        .collect();
    let mut findings = Vec::new();
    if !built.is_empty() {
        let problem = Problem::BuiltHere {
            distributions: built.iter().map(|one| one.name.clone()).collect(),
        };
        findings.push(Finding::new(Severity::Warning, problem));
    }
    for (path, entry) in subject.tree.iter() {
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        let Some(code) = content.code() else { continue };
        // A search path may name a folder of the builder's that is no build folder.
        let folder = code.build_folder.clone().or_else(|| {
            let elf = code.elf.as_ref()?.as_ref().ok()?;
            let dest = subject.layout.dest.trim_end_matches('/');
            let mut folders = elf.rpath.iter().chain(&elf.runpath);
            let foreign = |folder: &&String| folder.starts_with('/') && !folder.starts_with(dest);
            folders.find(foreign).cloned()
        });
        if let Some(folder) = folder
            && let Some(owner) = entry.owner().filter(|owner| built.contains(owner))
        {
            let problem = Problem::BuildFolder { folder };
            findings.push(
                Finding::new(Severity::Warning, problem)
                    .at(path)
                    .of(Some(owner)),
            );
        }
    }
    findings
}

/// Credentials in what this build made: what came from elsewhere with its hash cannot hold them.
pub(super) fn secrets(subject: &Subject<'_>) -> Vec<Finding> {
    // What is short is found anywhere.
    let secrets: Vec<_> = subject
        .secrets
        .iter()
        .filter(|secret| secret.len() >= 6)
        .collect();
    if secrets.is_empty() {
        return Vec::new();
    }
    let finders: Vec<_> = secrets
        .iter()
        .map(|secret| memchr::memmem::Finder::new(secret.as_bytes()))
        .collect();
    let made = |distribution: &Distribution| {
        let mut described = subject.pieces.iter();
        described.any(|one| one.is_built_here() && *one.distribution == *distribution)
    };
    let mut findings = Vec::new();
    for (path, entry) in subject.tree.iter() {
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        if matches!(content, Content::Member(_)) && !entry.owners.iter().any(|owner| made(owner)) {
            continue;
        }
        let Ok(bytes) = content.read() else { continue };
        if finders.iter().any(|finder| finder.find(&bytes).is_some()) {
            let finding = Finding::new(Severity::Error, Problem::Secret);
            findings.push(finding.at(path).of(entry.owner()));
        }
    }
    findings
}

/// Whether the runtime's Python looks where distributions lie.
pub(super) fn not_searched(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let dest = subject.layout.dest.trim_end_matches('/');
    let searched = &runtime.python.site_packages;
    let findings = subject.layout.sites().filter_map(|site| {
        subject.tree.get(site)?;
        let folder = format!("{dest}/{site}");
        let real = runtime.facts.real(&folder);
        if searched
            .iter()
            .any(|one| *one == folder || runtime.facts.real(one) == real)
        {
            return None;
        }
        let problem = Problem::NotSearched {
            folder,
            searched: searched.clone(),
        };
        Some(Finding::new(Severity::Error, problem))
    });
    findings.collect()
}

/// Links to what is neither in the prefix nor in the runtime, as far as that is known.
pub(super) fn dangling_links(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let dest = subject.layout.dest.trim_end_matches('/');
    let mut findings = Vec::new();
    for (path, entry) in subject.tree.iter() {
        let Node::Symlink { target } = &entry.node else {
            continue;
        };
        let folder = path
            .parent()
            .map_or_else(String::new, |parent| format!("/{parent}"));
        let to = if target.starts_with('/') {
            normal(target)
        } else {
            normal(&format!("{dest}{folder}/{target}"))
        };
        let inside = to
            .strip_prefix(dest)
            .map(|path| path.trim_start_matches('/'));
        let inside = inside.and_then(|inside| RelPath::new(inside).ok());
        let is_there = inside.is_some_and(|inside| subject.tree.get(&inside).is_some())
            || runtime.facts.has_program(&to)
            || runtime.facts.library(&to).is_some();
        if !is_there {
            let problem = Problem::DanglingLink {
                target: target.clone(),
            };
            findings.push(
                Finding::new(Severity::Warning, problem)
                    .at(path)
                    .of(entry.owner()),
            );
        }
    }
    findings
}

/// Files that a file system which ignores case would not hold both of.
pub(super) fn collisions(subject: &Subject<'_>) -> Vec<Finding> {
    let collisions = subject.tree.case_collisions().into_iter();
    let findings = collisions.map(|(other, path)| {
        let owner = subject.tree.get(&path).and_then(Entry::owner);
        let problem = Problem::CaseCollision { other };
        Finding::new(Severity::Warning, problem).at(&path).of(owner)
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use crate::tree::Tree;
    use std::sync::Arc;

    use super::*;
    use crate::audit::audit;
    use crate::layout::Layout;
    use crate::target::MarkerEnvironment;
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
            identical: true,
        }
    }

    fn path(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    /// A runtime of which nothing is known but its interpreter.
    fn runtime() -> Runtime {
        let machine = serde_json::json!({ "code": 62, "wide": true, "big_endian": false });
        let elf = serde_json::json!({
            "machine": machine, "loadable": true, "interpreter": null, "soname": null, "needed": [],
            "rpath": [], "runpath": [], "versions": [], "defines": [],
        });
        let python = serde_json::json!({
            "executable": "/usr/local/bin/python3.11", "names": ["/usr/local/bin/python3.11"],
            "version": "3.11", "full_version": null, "prefix": "/usr/local", "soabi": null,
            "suffixes": [".so"], "site_packages": ["/usr/local/lib"], "stdlib": "/usr/local/lib",
            "modules": [], "builtin": [], "lacking": {}, "files": [], "installed": [], "installed_modules": [], "elf": elf,
        });
        let facts = serde_json::json!({
            "version": 2, "os": { "id": "", "version_id": "", "name": "" }, "machine": machine,
            "libc": null, "pythons": [python],
            "loader": { "folders": [], "cache": {}, "libraries": {} },
            "packages": { "database": null, "installed": {}, "files": {} }, "path": ["/usr/bin"],
            "programs": ["/usr/bin/perl"], "user": null, "links": {},
        });
        Runtime {
            name: "test".to_owned(),
            python: serde_json::from_value(facts["pythons"][0].clone()).unwrap(),
            facts: serde_json::from_value(facts).unwrap(),
        }
    }

    fn layout() -> Layout {
        Layout {
            dest: "/usr/local".to_owned(),
            purelib: path("lib"),
            platlib: path("lib"),
            script_python: "/usr/local/bin/python3".to_owned(),
        }
    }

    fn subject<'a>(tree: &'a Tree, layout: &'a Layout) -> Subject<'a> {
        static MARKERS: std::sync::LazyLock<MarkerEnvironment> =
            std::sync::LazyLock::new(MarkerEnvironment::default);
        Subject {
            tree,
            layout,
            pieces: &[],
            markers: &MARKERS,
            no_deps: false,
            runtime: None,
            secrets: &[],
            allowed: &[],
        }
    }

    /// H37.
    #[test]
    fn links_that_lead_nowhere_are_found() {
        let mut tree = Tree::new();
        for (name, target) in [
            ("share/perl", "/usr/bin/perl"),
            ("bin/python", "/usr/local/bin/python3.11"),
            ("bin/gone", "/builder/tool"),
            ("lib/up", "../share/there"),
            ("lib/nowhere", "../share/not-there"),
        ] {
            let node = Node::Symlink {
                target: target.to_owned(),
            };
            tree.insert(path(name), node).unwrap();
        }
        tree.insert_entry(path("share/there"), file(&[])).unwrap();
        let (layout, runtime) = (layout(), runtime());
        let subject = Subject {
            runtime: Some(&runtime),
            ..subject(&tree, &layout)
        };
        let shown: Vec<_> = audit(&subject).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "`bin/gone` is a link to `/builder/tool`, which is missing",
                "`lib/nowhere` is a link to `../share/not-there`, which is missing",
            ]
        );
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
        let layout = layout();
        tree.get_mut(&path("c")).unwrap().identical = false;
        let subject = subject(&tree, &layout);
        let shown: Vec<_> = audit(&subject).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "`c` is in x 1 and y 1: one overwrites the other",
                "x 1: `a/foo.py` differs from `a/Foo.py` only in case: some file systems cannot hold both",
                "`b` differs from `B` only in case: some file systems cannot hold both",
                "`d` is in x 1 and y 1: the files are identical",
            ]
        );
    }
}
