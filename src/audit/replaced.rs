//! Files of the runtime that the prefix would replace, and programs that it would hide.
//!
//! What is copied into an image wins: a wheel may bring `bin/python3.11` or `lib/python3.11/os.py`, and nothing
//! in the image works any more. A distribution may replace its own files.

use std::collections::{HashMap, HashSet};

use super::Subject;
use super::finding::{Finding, Problem, Severity};
use crate::runtime::Runtime;
use crate::tree::{Distribution, Entry, Node, RelPath};

/// Programs without which an image is of no use, or that its package manager starts.
const CORE: [&str; 72] = [
    "[", "apk", "apt", "apt-get", "ash", "awk", "basename", "bash", "busybox", "cat", "chgrp",
    "chmod", "chown", "chroot", "cp", "cut", "dash", "date", "dd", "df", "dirname", "dnf", "dpkg",
    "du", "echo", "env", "expr", "false", "find", "grep", "groups", "gunzip", "gzip", "head",
    "hostname", "id", "install", "kill", "ld.so", "ldconfig", "ldd", "ln", "login", "ls",
    "microdnf", "mkdir", "mktemp", "mount", "mv", "perl", "printf", "ps", "pwd", "readlink", "rm",
    "rmdir", "rpm", "sed", "sh", "sleep", "sort", "stat", "su", "tail", "tar", "test", "touch",
    "tr", "true", "uname", "xargs", "yum",
];

/// Distributions that come with Python: what another one does to them, it does to Python.
const BUNDLED: [&str; 3] = ["pip", "setuptools", "wheel"];

/// Whose a file of the runtime is, and how much its loss matters.
struct Victim {
    of: String,
    severity: Severity,
}

/// What of a runtime may be replaced.
struct RuntimeFiles<'a> {
    /// The distributions by the files that are theirs alone.
    installed: HashMap<&'a str, &'a str>,
    /// Directories that a file must not replace.
    directories: &'a HashSet<String>,
    /// The directories in which all that lies: most of a prefix lies in others.
    folders: HashSet<&'a str>,
}

/// A directory that the prefix brings files into.
struct Folder {
    /// Its path in the runtime, links followed.
    real: String,
    /// Whether the runtime has something there.
    is_shared: bool,
}

pub(super) fn audit(subject: &Subject<'_>, runtime: &Runtime) -> Vec<Finding> {
    let dest = subject.layout.dest.trim_end_matches('/');
    let directories = directories(runtime);
    let there = RuntimeFiles {
        installed: installed(runtime),
        folders: folders(runtime, &directories),
        directories: &directories,
    };
    let mut folders: HashMap<&str, Folder> = HashMap::new();
    let mut findings = Vec::new();
    for (path, entry) in subject.tree.iter() {
        if matches!(entry.node, Node::Dir) {
            continue;
        }
        let (parent, name) = path
            .as_str()
            .rsplit_once('/')
            .unwrap_or(("", path.as_str()));
        let folder = folders.entry(parent).or_insert_with(|| {
            let slash = if parent.is_empty() { "" } else { "/" };
            let real = runtime.facts.real(&format!("{dest}{slash}{parent}"));
            let is_shared = there.folders.contains(real.trim_end_matches('/'));
            Folder { real, is_shared }
        });
        let found = if folder.is_shared {
            let file = format!("{}/{name}", folder.real.trim_end_matches('/'));
            let victim = victim(&file, entry, runtime, &there);
            victim.map(|victim| (victim, file, false))
        } else {
            None
        };
        let found = found.or_else(|| {
            let (victim, file) = hidden(path, entry, dest, runtime, &there.installed)?;
            Some((victim, file, true))
        });
        if let Some((Victim { of, severity }, file, hides)) = found {
            let problem = Problem::ReplacesRuntime { file, of, hides };
            findings.push(Finding::new(severity, problem).at(path).of(entry.owner()));
        }
    }
    findings
}

/// Directories that a file must not replace.
fn directories(runtime: &Runtime) -> HashSet<String> {
    let python = &runtime.python;
    let folders = python.site_packages.iter().chain([&python.stdlib]);
    let folders = folders.chain(&runtime.facts.path);
    folders.map(|folder| runtime.facts.real(folder)).collect()
}

/// The directories in which something lies that may be replaced.
fn folders<'a>(runtime: &'a Runtime, directories: &'a HashSet<String>) -> HashSet<&'a str> {
    let (facts, python) = (&runtime.facts, &runtime.python);
    let installed = python.installed.iter().flat_map(|one| &one.files);
    let files = installed.chain(&python.files).chain(&facts.programs);
    let parents = files
        .chain(directories)
        .filter_map(|file| Some(file.rsplit_once('/')?.0));
    let packages = facts.packages.files.keys();
    parents
        .chain(packages.map(|folder| folder.trim_end_matches('/')))
        .collect()
}

/// The distributions of the runtime by the files that are theirs alone.
fn installed(runtime: &Runtime) -> HashMap<&str, &str> {
    let installed = runtime.python.installed.iter();
    let files = installed.flat_map(|one| one.files.iter().map(move |file| (file, one)));
    files
        .map(|(file, one)| (file.as_str(), one.name.as_str()))
        .collect()
}

/// Whose file of the runtime lies at a path that the prefix brings, if it is not the same distribution's.
fn victim(
    file: &str,
    entry: &Entry,
    runtime: &Runtime,
    there: &RuntimeFiles<'_>,
) -> Option<Victim> {
    let (facts, python) = (&runtime.facts, &runtime.python);
    let error = |of: String| {
        let severity = Severity::Error;
        Some(Victim { of, severity })
    };
    if python.files.contains(file) {
        return error("the runtime's Python".to_owned());
    }
    let is = |name: &str| entry.owners.iter().any(|owner| owner.name == name);
    if let Some(name) = there.installed.get(file) {
        let severity = if BUNDLED.contains(name) {
            Severity::Error
        } else {
            Severity::Warning
        };
        let of = format!("the runtime's distribution `{name}`");
        return (!is(name)).then_some(Victim { of, severity });
    }
    if let Some(package) = facts.packages.owner(file) {
        return error(format!("the runtime's package `{package}`"));
    }
    if there.directories.contains(file) {
        return error("the runtime, which has a directory there".to_owned());
    }
    // Of a package manager's programs it is known whose they are.
    let severity = Severity::Warning;
    let of = "the runtime".to_owned();
    let is_own = entry.owners.iter().any(|owner| is_there(owner, runtime));
    (facts.programs.contains(file) && !is_own).then_some(Victim { of, severity })
}

/// Whether the runtime has a distribution of that name.
fn is_there(owner: &Distribution, runtime: &Runtime) -> bool {
    let mut installed = runtime.python.installed.iter();
    installed.any(|one| one.name == owner.name)
}

/// The program of the runtime that one of the prefix hides: it lies further behind on the `PATH`, and much
/// depends on it.
fn hidden(
    path: &RelPath,
    entry: &Entry,
    dest: &str,
    runtime: &Runtime,
    installed: &HashMap<&str, &str>,
) -> Option<(Victim, String)> {
    let name = path.as_str().strip_prefix("bin/")?;
    let is_python = name.strip_prefix("python").is_some_and(|version| {
        let is_version = |c: char| c.is_ascii_digit() || c == '.';
        version.chars().all(is_version)
    });
    let is_pip = name.strip_prefix("pip").is_some_and(|version| {
        let is_version = |c: char| c.is_ascii_digit() || c == '.';
        version.chars().all(is_version)
    });
    if !(is_python || is_pip || CORE.contains(&name)) {
        return None;
    }
    let facts = &runtime.facts;
    let own = facts.real(&format!("{dest}/bin"));
    // A folder that is not on the PATH yet will be put before the others.
    let on_path: Vec<String> = facts.path.iter().map(|folder| facts.real(folder)).collect();
    let behind = on_path.iter().position(|folder| *folder == own);
    let behind = behind.map_or(0, |at| at + 1);
    let folders = on_path[behind..].iter().map(String::as_str);
    let mut files = folders
        .chain(["/bin", "/usr/bin"])
        .map(|folder| format!("{}/{name}", facts.real(folder).trim_end_matches('/')));
    let file = files.find(|file| facts.programs.contains(file))?;
    let of = if let Some(name) = installed.get(file.as_str()) {
        if entry.owners.iter().any(|owner| owner.name == **name) {
            return None;
        }
        format!("the runtime's distribution `{name}`")
    } else if is_pip && entry.owners.iter().any(|owner| owner.name == "pip") {
        return None;
    } else if runtime.python.files.contains(&file) || is_python {
        "the runtime's Python".to_owned()
    } else if let Some(package) = facts.packages.owner(&file) {
        format!("the runtime's package `{package}`")
    } else {
        "the runtime".to_owned()
    };
    let severity = Severity::Error;
    Some((Victim { of, severity }, file))
}
