//! Python code: whether the runtime's Python can do with what the distributions are made for.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use super::finding::{Finding, Problem, Severity};
use super::loader::Native;
use crate::requirements::{Dependency, Name, Specifiers, Version, same_version};
use crate::runtime::{Installed, Runtime};
use crate::tree::{Content, Distribution, Entry, Node, RelPath};

/// What a distribution requires that is not in the prefix.
pub(super) fn requirements(subject: &Subject<'_>) -> Vec<Finding> {
    let installed = subject.runtime.iter().flat_map(|it| &it.python.installed);
    let installed = installed.map(|one| (one.name.as_str(), one.version.as_str()));
    let described = subject.pieces.iter().map(|one| {
        let Distribution { name, version } = &*one.distribution;
        (name.as_str(), version.as_str())
    });
    // What the prefix brings is found first.
    let there: BTreeMap<&str, &str> = installed.chain(described).collect();
    let severity = if subject.no_deps {
        Severity::Warning
    } else {
        Severity::Error
    };
    let mut findings = Vec::new();
    for one in subject.pieces {
        for requires in &one.item.requires {
            let Some(dependency) = Dependency::parse(requires) else {
                continue;
            };
            if !dependency.applies(subject.markers, &BTreeSet::<Name>::new()) {
                continue;
            }
            let has = match there.get(dependency.name.as_str()) {
                None => None,
                Some(version) => {
                    let version = Version::parse(version)
                        .map_or_else(|| (*version).to_owned(), |version| version.to_string());
                    if dependency.specifiers.admit(&version) {
                        continue;
                    }
                    Some(version)
                }
            };
            let problem = Problem::UnmetRequirement {
                requires: requires.clone(),
                has,
            };
            findings.push(Finding::new(severity, problem).of(Some(&*one.distribution)));
        }
    }
    findings
}

/// Distributions that are not for the runtime's Python, and modules that it lacks.
pub(super) fn audit(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let python = &runtime.python;
    let version = python.full_version.as_ref().unwrap_or(&python.version);
    let has = |name: &str| {
        let mut described = subject.pieces.iter();
        described.any(|one| one.distribution.name == name)
            || python.installed.iter().any(|one| one.name == name)
    };
    let mut findings = Vec::new();
    for one in subject.pieces {
        let owner = Some(&*one.distribution);
        if let Some(requires) = &one.item.requires_python
            && !Specifiers::python_admitted(requires, version)
        {
            let problem = Problem::RequiresPython {
                requires: requires.clone(),
                runtime: version.clone(),
            };
            findings.push(Finding::new(Severity::Error, problem).of(owner));
        }
        if let Some(tag) = too_new(&one.tags, &python.version) {
            let problem = Problem::OldPython {
                tag: tag.to_owned(),
                runtime: python.version.clone(),
            };
            findings.push(Finding::new(Severity::Error, problem).of(owner));
        }
        for imported in &one.imported {
            let module = imported.module.as_str();
            let there = match module {
                // What setuptools puts in its place.
                "distutils" if has("setuptools") => true,
                // setuptools 82 brings no `pkg_resources` any more: what counts are files.
                _ => {
                    python.modules.contains(module)
                        || python.builtin.contains(module)
                        || python.installed_modules.contains(module)
                        // Backports do.
                        || brought(subject, module).next().is_some()
                }
            };
            if there {
                continue;
            }
            let at = place(subject, &imported.by);
            // What nothing imports with the distribution is an optional part of it.
            let severity = if imported.always {
                Severity::Error
            } else {
                Severity::Note
            };
            let mut add = |problem| {
                let mut finding = Finding::new(severity, problem).of(owner);
                finding.path.clone_from(&at);
                findings.push(finding);
            };
            if let Some(libraries) = python.lacking.get(module) {
                for library in libraries {
                    add(Problem::MissingLibrary {
                        package: runtime.facts.package(library),
                        library: library.clone(),
                        elsewhere: None,
                        module: Some(module.to_owned()),
                        opened: Vec::new(),
                    });
                }
                continue;
            }
            let instead = matches!(module, "setuptools" | "pkg_resources" | "distutils");
            add(Problem::MissingModule {
                module: module.to_owned(),
                instead: instead.then(|| "setuptools".to_owned()),
                package: runtime.facts.package_of_module(python, module),
            });
        }
    }
    findings.extend(shadows(subject, runtime));
    findings.extend(already_there(subject, runtime));
    findings
}

/// Distributions that lie in the folder of the runtime into which the prefix brings them: what is copied
/// there removes nothing of the old version.
fn already_there(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let dest = subject.layout.dest.trim_end_matches('/');
    let sites = subject.layout.sites();
    let sites = sites.map(|site| runtime.facts.real(&format!("{dest}/{site}")));
    let sites: Vec<String> = sites.collect();
    let mut findings = Vec::new();
    for one in subject.pieces {
        let Distribution { name, version } = &*one.distribution;
        let mut installed = runtime.python.installed.iter();
        let there = installed.find(|there| {
            there.name == *name && sites.contains(&runtime.facts.real(&there.folder))
        });
        if let Some(there) = there.filter(|there| !same_version(&there.version, version)) {
            let problem = Problem::AlreadyThere {
                version: there.version.clone(),
                folder: there.folder.clone(),
            };
            let mut finding = Finding::new(Severity::Warning, problem).of(Some(&*one.distribution));
            let line = removal(there, runtime);
            finding.remedy = Some(format!(
                "add this line to the runtime stage of the Dockerfile: `{line}`"
            ));
            findings.push(finding);
        }
    }
    findings
}

/// The line of a Dockerfile that removes a distribution from the runtime: by its package manager if that has
/// installed it, else by pip, else its metadata alone.
fn removal(there: &Installed, runtime: &Runtime) -> String {
    let (facts, python) = (&runtime.facts, &runtime.python);
    let metadata = facts.real(&there.metadata);
    let package = ["METADATA", "PKG-INFO"]
        .iter()
        .find_map(|name| facts.packages.owner(&format!("{metadata}/{name}")));
    if let Some(package) = package.or_else(|| facts.packages.owner(&metadata)) {
        return format!("RUN {}", facts.remove(package));
    }
    let name = &there.name;
    if !python.installed.iter().any(|one| one.name == "pip") {
        return format!("RUN rm -r {}", there.metadata);
    }
    // `pip` on the PATH is this Python's if it lies beside it, and nothing comes before.
    let beside = python.names.first().and_then(|name| name.rsplit_once('/'));
    let first = facts
        .path
        .iter()
        .find(|folder| facts.has_program(&format!("{folder}/pip")));
    let pip = match (beside, first) {
        (Some((folder, _)), Some(first)) if folder == first => "pip".to_owned(),
        _ => format!("{} -m pip", python.executable),
    };
    let managed = if python.is_externally_managed() {
        " --break-system-packages"
    } else {
        ""
    };
    format!("RUN {pip} uninstall -y{managed} {name}")
}

/// The files that a top-level module of the prefix begins with.
fn brought<'a>(
    subject: &'a Subject<'_>,
    module: &str,
) -> impl Iterator<Item = (RelPath, &'a Entry)> {
    let names = [format!("{module}.py"), format!("{module}/__init__.py")];
    let sites = subject.layout.sites();
    let paths = sites.flat_map(move |site| names.clone().map(|name| site.join(&name)));
    paths.flatten().filter_map(|path| {
        let entry = subject.tree.get(&path)?;
        Some((path, entry))
    })
}

/// Where a file of a wheel lies.
pub(super) fn place(subject: &Subject<'_>, by: &str) -> Option<RelPath> {
    let sites = [&subject.layout.platlib, &subject.layout.purelib];
    let paths = sites.iter().filter_map(|site| site.join(by).ok());
    let mut there = paths.filter(|path| subject.tree.get(path).is_some());
    there.next()
}

/// The tag that says what Python a wheel is for, if no tag of it is for the runtime's.
fn too_new<'a>(tags: &'a [String], version: &str) -> Option<&'a str> {
    let minor: u32 = version.strip_prefix("3.")?.parse().ok()?;
    let fits = |tag: &&String| {
        let mut parts = tag.split('-');
        let (python, abi) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let number = |text: &str| text.parse::<u32>().ok();
        if let Some(theirs) = python.strip_prefix("cp3").and_then(number) {
            // The stable ABI, and sources, are for that version and those after it.
            return if matches!(abi, "abi3" | "none") {
                theirs <= minor
            } else {
                theirs == minor
            };
        }
        match python.strip_prefix("py3") {
            Some("") => true,
            Some(theirs) => number(theirs).is_some_and(|theirs| theirs <= minor),
            // Of an implementation that this knows nothing of.
            None => !python.starts_with("cp"),
        }
    };
    if tags.is_empty() || tags.iter().any(|tag| fits(&tag)) {
        return None;
    }
    tags.first().map(String::as_str)
}

/// Extension modules that have the suffix of another Python, and none beside them that has the right one.
pub(super) fn suffixes(
    subject: &Subject<'_>,
    runtime: &Runtime,
    native: &[Native<'_>],
) -> Vec<Finding> {
    let suffixes = &runtime.python.suffixes;
    let mut found: BTreeMap<(Option<&Distribution>, &str), Vec<&RelPath>> = BTreeMap::new();
    for one in native
        .iter()
        .filter(|one| one.path.as_str().ends_with(".so"))
    {
        let path = one.path;
        let Some((stem, ending)) = path.name().split_once('.') else {
            continue;
        };
        let is_module = ending.starts_with("cpython-") || ending == "abi3.so";
        if !is_module || suffixes.iter().any(|suffix| suffix[1..] == *ending) {
            continue;
        }
        let beside = |suffix: &String| {
            let folder = path.parent()?;
            subject
                .tree
                .get(&folder.join(&format!("{stem}{suffix}")).ok()?)
        };
        if suffixes.iter().any(|suffix| beside(suffix).is_some()) {
            continue;
        }
        found.entry((one.owner, ending)).or_default().push(path);
    }
    let findings = found.into_iter().map(|((owner, ending), paths)| {
        let problem = Problem::NotImported {
            suffix: format!(".{ending}"),
            suffixes: suffixes.clone(),
        };
        let mut finding = Finding::new(Severity::Error, problem)
            .at(paths[0])
            .of(owner);
        finding.others = paths.len() - 1;
        finding
    });
    findings.collect()
}

/// Top-level modules that are called as ones of the runtime's standard library.
fn shadows(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let mut findings = Vec::new();
    for module in runtime.python.modules.union(&runtime.python.builtin) {
        for (path, entry) in brought(subject, module) {
            let problem = Problem::ShadowsStandard {
                module: module.clone(),
            };
            let finding = Finding::new(Severity::Warning, problem);
            findings.push(finding.at(&path).of(entry.owner()));
        }
    }
    findings
}

/// The folders that `.pth` files add and that are not there.
///
/// <https://docs.python.org/3/library/site.html>
pub(super) fn path_files(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = subject.layout.sites().flat_map(|site| {
        let children = subject.tree.children(site);
        children.map(move |(path, entry)| (site, path, entry))
    });
    for (site, path, entry) in files.filter(|(_, path, _)| path.as_str().ends_with(".pth")) {
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        if content.size() > MAX_PATH_FILE {
            continue;
        }
        for line in read(content).lines() {
            let line = line.trim_end();
            let is_code = line.starts_with("import ") || line.starts_with("import\t");
            if line.is_empty() || line.starts_with('#') || is_code {
                continue;
            }
            let dest = subject.layout.dest.trim_end_matches('/');
            let folder = if line.starts_with('/') {
                crate::runtime::normal(line)
            } else {
                crate::runtime::normal(&format!("{dest}/{site}/{line}"))
            };
            let inside = folder
                .strip_prefix(dest)
                .map(|path| path.trim_start_matches('/'));
            let is_there = inside.is_some_and(|inside| {
                inside.is_empty()
                    || RelPath::new(inside).is_ok_and(|at| subject.tree.get(&at).is_some())
            });
            if is_there {
                continue;
            }
            // An absolute path leads to where this was built; a relative one to nothing of importance.
            let severity = if line.starts_with('/') {
                Severity::Error
            } else {
                Severity::Warning
            };
            let problem = Problem::PathFile { folder };
            findings.push(Finding::new(severity, problem).at(path).of(entry.owner()));
        }
    }
    findings
}

/// The largest `.pth` file that is looked at, in bytes.
const MAX_PATH_FILE: u64 = 1 << 20;

fn read(content: &Content) -> String {
    let bytes = content.read().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Scripts whose interpreter is not in the runtime.
pub(super) fn scripts(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dest = subject.layout.dest.trim_end_matches('/');
    let Ok(bin) = RelPath::new("bin") else {
        return findings;
    };
    for (path, entry) in subject.tree.below(&bin) {
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        let Some(interpreter) = interpreter(content) else {
            continue;
        };
        let is_ours = |program: &str| {
            let below = program
                .strip_prefix(dest)
                .and_then(|below| below.strip_prefix('/'));
            below.is_some_and(|below| {
                RelPath::new(below).is_ok_and(|below| subject.tree.get(&below).is_some())
            })
        };
        let mut words = interpreter.split_whitespace();
        let program = words.next().unwrap_or_default();
        let mut missing =
            (!runtime.facts.has_program(program) && !is_ours(program)).then_some(program);
        // `env` looks for what follows on the PATH.
        if missing.is_none()
            && program.ends_with("/env")
            && let Some(name) = words.find(|word| !word.starts_with('-') && !word.contains('='))
        {
            let found = runtime.facts.path.iter().any(|folder| {
                let program = format!("{folder}/{name}");
                runtime.facts.has_program(&program) || is_ours(&program)
            });
            missing = (!found).then_some(name);
        }
        if let Some(program) = missing {
            let problem = Problem::MissingInterpreter {
                interpreter: program.to_owned(),
            };
            // Shells and the like may be left out of an image on purpose; the runtime's Python may not.
            let severity = if program.contains("python") {
                Severity::Error
            } else {
                Severity::Warning
            };
            findings.push(Finding::new(severity, problem).at(path).of(entry.owner()));
        }
    }
    findings
}

/// What the first line of a script names.
fn interpreter(content: &Content) -> Option<String> {
    use std::io::Read as _;
    let mut start = Vec::new();
    content
        .open()
        .ok()?
        .take(256)
        .read_to_end(&mut start)
        .ok()?;
    let line = start.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn wheels_for_newer_pythons_are_told() {
        let too_new = |tags: &[&str], version| {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            super::too_new(&tags, version).is_some()
        };
        assert!(!too_new(&["py3-none-any"], "3.8"));
        assert!(!too_new(&["py2-none-any", "py3-none-any"], "3.8"));
        assert!(!too_new(&["cp38-abi3-manylinux2014_x86_64"], "3.11"));
        assert!(too_new(&["cp312-abi3-manylinux2014_x86_64"], "3.11"));
        assert!(too_new(&["cp312-cp312-linux_x86_64"], "3.11"));
        assert!(too_new(&["cp310-cp310-linux_x86_64"], "3.11"));
        assert!(!too_new(&["cp36-none-any"], "3.11"));
        assert!(!too_new(&[], "3.11"));
    }
}
