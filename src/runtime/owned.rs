//! The files of a runtime that an artifact must not replace: those of its packages, of its interpreters, and of
//! the distributions that are installed there.
//!
//! dpkg lists the files of each package in a text of its own, apk in its database, rpm in the headers of its
//! packages. What an interpreter has lies in its standard library and beside it; what a distribution has, its
//! `RECORD` says.

use std::collections::{BTreeMap, BTreeSet};

use super::root::Root;
use crate::code::weight;

/// The files of packages: their names by their directory, links followed, each with its package.
pub type Files = BTreeMap<String, BTreeMap<String, String>>;

/// How deep programs and libraries lie: `/usr/lib/x86_64-linux-gnu/libc.so.6`.
const MAX_NEAR: usize = 4;
/// The directories of package managers.
const MANAGERS: [&str; 4] = [
    "/usr/lib/apt/",
    "/usr/lib/dpkg/",
    "/usr/lib/rpm/",
    "/lib/apk/",
];
/// How deep directories of a standard library lie in each other.
const MAX_DEPTH: usize = 12;

/// What may be replaced without harm, by the beginnings of paths: texts for people, headers, data.
const HARMLESS: [&str; 6] = [
    "/usr/share/",
    "/usr/include/",
    "/usr/src/",
    "/var/",
    "/usr/local/share/",
    "/usr/games/",
];

/// Collects the files of packages.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) files: Files,
}

impl Collected {
    /// Adds an absolute path of a package; `root` follows the links of its directory.
    pub(super) fn add(&mut self, root: &Root, path: &str, package: &str) {
        let Some((folder, name)) = path.rsplit_once('/') else {
            return;
        };
        if name.is_empty() || !is_kept(path, name) {
            return;
        }
        let folder = match folder {
            "" => "/".to_owned(),
            folder => match root.real(folder) {
                Some(real) => real,
                None => return,
            },
        };
        let size = weight(&folder) + weight(name) + weight(package);
        if root.keep(size).is_none() {
            return;
        }
        let names = self.files.entry(folder).or_default();
        names.insert(name.to_owned(), package.to_owned());
    }
}

/// Whether a file is one of those that something may depend on whatever an image is for: programs and libraries, what
/// package managers have, and what tells of a distribution of Python which package it is of.
fn is_kept(path: &str, name: &str) -> bool {
    let is_harmless = HARMLESS.iter().any(|start| path.starts_with(start));
    let is_near = path.matches('/').count() <= MAX_NEAR;
    let is_manager = MANAGERS.iter().any(|start| path.starts_with(start));
    let is_metadata = matches!(name, "METADATA" | "PKG-INFO") || name.ends_with(".egg-info");
    !is_harmless && (is_near || is_manager || is_metadata)
}

/// The files of Debian's packages: a list for each, which names directories too; distroless images have the
/// checksums of files instead.
pub(super) fn dpkg(root: &Root) -> Files {
    let mut found = Collected::default();
    let folder = "/var/lib/dpkg/info";
    for name in root.names(folder) {
        let Some(package) = name.strip_suffix(".list") else {
            continue;
        };
        let (package, _) = package.split_once(':').unwrap_or((package, ""));
        let text = root.text(&format!("{folder}/{name}")).unwrap_or_default();
        // A directory comes right before what lies in it.
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let is_parent = lines.peek().is_some_and(|next| {
                let below = next.strip_prefix(line);
                below.is_some_and(|below| below.starts_with('/'))
            });
            if line.starts_with('/') && !is_parent {
                found.add(root, line, package);
            }
        }
    }
    let folder = "/var/lib/dpkg/status.d";
    for name in root.names(folder) {
        let Some(package) = name.strip_suffix(".md5sums") else {
            continue;
        };
        let text = root.text(&format!("{folder}/{name}")).unwrap_or_default();
        for line in text.lines() {
            if let Some((_, path)) = line.split_once("  ") {
                found.add(root, &format!("/{}", path.trim_start_matches('/')), package);
            }
        }
    }
    found.files
}

/// The files in Alpine's database: `F:` is a directory, each `R:` behind it a file there.
pub(super) fn apk(root: &Root, text: &str) -> Files {
    let mut found = Collected::default();
    for paragraph in text.split("\n\n") {
        let package = paragraph.lines().find_map(|line| line.strip_prefix("P:"));
        let Some(package) = package else { continue };
        let mut folder = "";
        for line in paragraph.lines() {
            if let Some(path) = line.strip_prefix("F:") {
                folder = path;
            } else if let Some(name) = line.strip_prefix("R:") {
                let slash = if folder.is_empty() { "" } else { "/" };
                found.add(root, &format!("/{folder}{slash}{name}"), package);
            }
        }
    }
    found.files
}

/// The files of an interpreter whose standard library is `stdlib`: that library without what is installed in it,
/// its headers, its own library and programs.
pub(super) fn interpreter(
    root: &Root,
    prefix: &str,
    stdlib: &str,
    version: &str,
) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut add = |path: String| {
        if root.keep(weight(&path)).is_some() {
            files.insert(path);
        }
    };
    let prefix = prefix.trim_end_matches('/');
    let headers = stdlib.rsplit('/').next().unwrap_or_default();
    let mut folders: Vec<(String, usize)> =
        [stdlib.to_owned(), format!("{prefix}/include/{headers}")]
            .into_iter()
            .filter_map(|folder| Some((root.real(&folder)?, 0)))
            .collect();
    while let Some((folder, depth)) = folders.pop() {
        for name in root.names(&folder) {
            let is_aside = ["site-packages", "dist-packages", "__pycache__", "test"];
            let path = format!("{folder}/{name}");
            if is_aside.contains(&name.as_str()) {
                continue;
            }
            if root.is_file(&path) {
                add(path);
            } else if depth < MAX_DEPTH && root.real(&path).as_ref() == Some(&path) {
                folders.push((path, depth + 1));
            }
        }
    }
    let own = [
        (format!("{prefix}/bin"), programs(version)),
        (
            format!("{prefix}/lib"),
            vec![format!("libpython{version}"), "libpython3.so".to_owned()],
        ),
    ];
    for (folder, starts) in own {
        let Some(folder) = root.real(&folder) else {
            continue;
        };
        for name in root.names(&folder) {
            let is_own = starts.iter().any(|start| {
                name == *start || name.starts_with("libpython") && name.starts_with(start.as_str())
            });
            if is_own {
                add(format!("{folder}/{name}"));
            }
        }
    }
    files
}

/// The programs that an interpreter of this version is installed with, as `make install` names them.
fn programs(version: &str) -> Vec<String> {
    let mut names: Vec<String> = ["python", "python3", "python-config", "python3-config"]
        .map(str::to_owned)
        .into();
    for name in ["python", "pydoc", "idle", "2to3-"] {
        names.push(format!("{name}{version}"));
    }
    names.push(format!("python{version}-config"));
    names.extend(["pydoc3", "idle3", "pydoc", "idle", "2to3"].map(str::to_owned));
    names
}

/// The files of an installed distribution that another one must not bring: those outside of its site directory,
/// and those that its top-level modules begin with. `record` is the text of its `RECORD`, `site` where it lies.
pub(super) fn distribution(root: &Root, record: &str, site: &str) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for line in record.lines() {
        // A path with a comma is quoted, and none of those that are of interest is.
        let path = line.split(',').next().unwrap_or_default();
        let is_start = match path.split_once('/') {
            None => true,
            Some((_, rest)) => rest == "__init__.py",
        };
        let is_outside = path.starts_with('/') || path.starts_with("../");
        if path.is_empty() || !(is_start || is_outside) || path.ends_with(".pyc") {
            continue;
        }
        let path = if path.starts_with('/') {
            super::normal(path)
        } else {
            super::normal(&format!("{site}/{path}"))
        };
        let Some((folder, name)) = path.rsplit_once('/') else {
            continue;
        };
        let Some(folder) = root.real(folder) else {
            continue;
        };
        if root.keep(weight(&path)).is_none() {
            break;
        }
        files.insert(format!("{folder}/{name}"));
    }
    files
}
