//! The runtime image of an artifact, and the facts about it.
//!
//! Facts come from a root folder, read without running anything, so that images without a shell and of
//! other architectures will do; from an image, whose files an engine hands over; from an interpreter of
//! this machine; or from a file that holds what was found before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{Bucket, Cache, Watched};
use crate::code::{Elf, Machine, weight};
use crate::digest::Digest;
use crate::fs;
use crate::runner::Image;

mod error;
mod libraries;
mod loader;
mod owned;
mod packages;
mod python;
mod root;
mod stdlib;

pub use error::Error;
pub use loader::{Family, Libc, Loader, parse_cache};
pub use owned::Files;
pub use packages::{Database, Os, Packages};
pub use python::{Installed, Python};

pub(crate) use python::PATH;
pub(crate) use root::Resolver;

use root::Root;

/// The version of the document.
const VERSION: u32 = 2;
/// The largest document that is read, in bytes. That of an image has some 500 KB.
const MAX_FACTS: u64 = 16 << 20;

/// What is known of a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Facts {
    /// The version of this document.
    pub version: u32,
    /// Which distribution it is.
    pub os: Os,
    /// What it runs on.
    pub machine: Option<Machine>,
    /// Its C library.
    pub libc: Option<Libc>,
    /// The interpreters in it, the one on its `PATH` first.
    pub pythons: Vec<Python>,
    /// Its dynamic loader, and the libraries that it finds.
    pub loader: Loader,
    /// Its packages.
    pub packages: Packages,
    /// Its `PATH`.
    pub path: Vec<String>,
    /// The programs in the folders of its `PATH` and in `/bin` and `/usr/bin`, links followed to the
    /// folder and not to the file.
    pub programs: BTreeSet<String>,
    /// The user that it runs as, if it says.
    pub user: Option<String>,
    /// Its symbolic links, as far as they were met: `/lib` may be `usr/lib`.
    pub links: BTreeMap<String, String>,
}

/// Where facts come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The root file system in a folder.
    Root(PathBuf),
    /// An interpreter of this machine.
    Interpreter(PathBuf),
    /// An image, by an engine.
    Image(Image),
    /// A file of facts.
    Json(PathBuf),
}

/// What is asked for: a runtime, and which of its interpreters.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where it is.
    pub source: Source,
    /// The interpreter: a version such as `3.11`, or a path in the runtime; the one on its `PATH`
    /// otherwise.
    pub python: Option<String>,
}

/// A runtime: what is known of it, and the interpreter that the artifact is for.
#[derive(Debug, Clone, Serialize)]
pub struct Runtime {
    /// Where it was found, as the user named it.
    pub name: String,
    /// What is known of it.
    #[serde(skip)]
    pub facts: Facts,
    /// The interpreter.
    pub python: Python,
}

/// On one line: where it is, and what.
impl std::fmt::Display for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let python = &self.python;
        let version = python.full_version.as_ref().unwrap_or(&python.version);
        write!(
            f,
            "{}, CPython {version} at {}",
            self.name, python.executable
        )?;
        if let Some(libc) = &self.facts.libc {
            write!(f, ", {libc}")?;
        }
        if !self.facts.os.name.is_empty() {
            write!(f, ", {}", self.facts.os.name)?;
        }
        Ok(())
    }
}

impl Runtime {
    /// The digest of all that is known of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let all = serde_json::to_vec(&(&self.facts, &self.python)).unwrap_or_default();
        Digest::of(&all)
    }
}

impl Wanted {
    /// Looks at it, or takes what was found when it was the same.
    pub fn look(&self, cache: &Cache, cancel: &crate::event::Cancel) -> Result<Runtime, Error> {
        let name = self.source.to_string();
        let named = match (&self.source, &self.python) {
            (Source::Interpreter(path), _) => path.to_str(),
            (_, Some(python)) if python.starts_with('/') => Some(python.as_str()),
            _ => None,
        };
        let facts = match &self.source {
            Source::Root(folder) => {
                Facts::of_root(folder, &Circumstances::default(), named, cache)?
            }
            Source::Interpreter(path) => {
                if !fs::is_executable(path) {
                    return Err(Error::NoPython {
                        runtime: name,
                        python: path.display().to_string(),
                    });
                }
                Facts::of_root(Path::new("/"), &Circumstances::default(), named, cache)?
            }
            Source::Image(image) => Facts::of_image(image, named, cache, cancel)?,
            Source::Json(path) => Facts::read(path)?,
        };
        let python = facts
            .python(&name, named.or(self.python.as_deref()))?
            .clone();
        Ok(Runtime {
            name,
            facts,
            python,
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root(path) | Self::Interpreter(path) | Self::Json(path) => path.display().fmt(f),
            Self::Image(image) => image.name.fmt(f),
        }
    }
}

/// What a root file system does not say itself.
#[derive(Debug, Clone, Default)]
struct Circumstances {
    path: Option<String>,
    user: Option<String>,
}

impl Facts {
    /// Facts about the root file system in `folder`.
    fn of_root(
        folder: &Path,
        circumstances: &Circumstances,
        named: Option<&str>,
        cache: &Cache,
    ) -> Result<Self, Error> {
        let folder = fs::canonicalize(folder)?;
        let key = key("root", &folder.to_string_lossy(), circumstances, named);
        let kept = kept(cache, &key);
        if let Some(known) = kept.known() {
            return Ok(known);
        }
        let (facts, seen) = Self::gather(&folder, circumstances, named)?;
        kept.keep(&serde_json::to_vec(&facts).unwrap_or_default(), &seen);
        Ok(facts)
    }

    /// Facts about an image.
    fn of_image(
        image: &Image,
        named: Option<&str>,
        cache: &Cache,
        cancel: &crate::event::Cancel,
    ) -> Result<Self, Error> {
        let opened = image.open(cancel)?;
        let circumstances = Circumstances {
            path: opened.variable("PATH"),
            user: opened.user(),
        };
        let key = key("image", opened.id(), &circumstances, named);
        let kept = kept(cache, &key);
        if let Some(known) = kept.known() {
            return Ok(known);
        }
        let files = opened.unpack()?;
        let gathered = Self::gather(files.path(), &circumstances, named);
        // Its files lie in a temporary directory, whose name tells nobody anything.
        let (facts, _) = gathered.map_err(|_| Error::TooLarge(PathBuf::from(&image.name)))?;
        kept.keep(&serde_json::to_vec(&facts).unwrap_or_default(), []);
        Ok(facts)
    }

    /// Facts from a file.
    fn read(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read_to(path, MAX_FACTS)?;
        let facts: Self = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            path: path.to_path_buf(),
            source,
        })?;
        if facts.version != VERSION {
            return Err(Error::Version {
                path: path.to_path_buf(),
                version: facts.version,
            });
        }
        Ok(facts)
    }

    /// Looks at a root file system; also returns what was looked at.
    fn gather(
        folder: &Path,
        circumstances: &Circumstances,
        named: Option<&str>,
    ) -> Result<(Self, BTreeSet<PathBuf>), Error> {
        let root = Root::new(folder);
        let path = circumstances.path.as_deref().unwrap_or(python::PATH);
        let path: Vec<String> = path.split(':').map(str::to_owned).collect();
        let mut pythons = python::find(&root, &path, named);
        let mut beside = BTreeSet::new();
        for python in &pythons {
            beside.insert(format!("{}/lib", python.prefix.trim_end_matches('/')));
            if let Some((home, _)) = python.stdlib.rsplit_once('/') {
                beside.insert(home.to_owned());
            }
        }
        let found = loader::read(&root, &beside);
        for python in &mut pythons {
            python.leave_out(&root, &found.loader);
        }
        let facts = Self {
            version: VERSION,
            os: Os::read(&root),
            machine: found.machine.or_else(|| Some(pythons.first()?.elf.machine)),
            libc: found.libc,
            pythons,
            loader: found.loader,
            packages: Packages::read(&root),
            programs: programs(&root, &path),
            path,
            user: circumstances.user.clone().filter(|user| !user.is_empty()),
            links: root.links(),
        };
        if root.is_too_large() {
            return Err(Error::TooLarge(folder.to_path_buf()));
        }
        Ok((facts, root.seen()))
    }

    /// The interpreter that is asked for, or the one on the `PATH`.
    fn python(&self, name: &str, wanted: Option<&str>) -> Result<&Python, Error> {
        let found = match wanted {
            None => {
                let on_path = |python: &&Python| {
                    python.names.iter().any(|name| {
                        let (folder, _) = name.rsplit_once('/').unwrap_or_default();
                        self.path.iter().any(|on_path| on_path == folder)
                    })
                };
                self.pythons
                    .iter()
                    .find(on_path)
                    .or(match self.pythons.as_slice() {
                        [only] => Some(only),
                        _ => None,
                    })
            }
            Some(path) if path.starts_with('/') => self.pythons.iter().find(|python| {
                python.executable == path || python.names.iter().any(|name| name == path)
            }),
            Some(version) => self.pythons.iter().find(|python| python.version == version),
        };
        found.ok_or_else(|| match wanted {
            Some(python) => Error::NoPython {
                runtime: name.to_owned(),
                python: python.to_owned(),
            },
            None if self.pythons.is_empty() => Error::NoPythons(name.to_owned()),
            None => Error::Ambiguous {
                runtime: name.to_owned(),
                pythons: self
                    .pythons
                    .iter()
                    .map(|one| one.executable.clone())
                    .collect(),
            },
        })
    }

    /// The path of what is at `path`, links followed as far as they are known.
    #[must_use]
    pub fn real(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for _ in 0..40 {
            let mut ends = path
                .match_indices('/')
                .map(|(at, _)| at)
                .skip(1)
                .collect::<Vec<_>>();
            ends.push(path.len());
            let link = ends.into_iter().find_map(|end| {
                let target = self.links.get(&path[..end])?;
                Some((end, target))
            });
            let Some((end, target)) = link else { break };
            let (folder, _) = path[..end].rsplit_once('/').unwrap_or_default();
            let rest = &path[end..];
            path = if target.starts_with('/') {
                normal(&format!("{target}{rest}"))
            } else {
                normal(&format!("{folder}/{target}{rest}"))
            };
        }
        path
    }

    /// Whether there is a program at `path`.
    #[must_use]
    pub fn has_program(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        self.programs.contains(path)
            || self
                .programs
                .contains(&format!("{}/{name}", self.real(folder)))
            || self.pythons.iter().any(|python| {
                python.executable == path || python.names.iter().any(|name| name == path)
            })
    }

    /// The package of the runtime's distribution that has a library, by the table.
    #[must_use]
    pub fn known_package(&self, soname: &str) -> Option<String> {
        let known = libraries::package(soname, &self.os.id, &self.os.version_id);
        known.map(str::to_owned)
    }

    /// The package of the runtime's distribution that has a library, as its package manager takes it.
    #[must_use]
    pub fn package(&self, soname: &str) -> Option<String> {
        let wide = self.machine.is_some_and(|machine| machine.wide);
        self.known_package(soname)
            .or_else(|| self.packages.capability(soname, wide))
    }

    /// The command that installs packages, for a `RUN` of a Dockerfile.
    #[must_use]
    pub fn install(&self, packages: &BTreeSet<String>) -> String {
        let has = |program: &str| self.has_program(&format!("/usr/bin/{program}"));
        self.packages.install(packages, has)
    }

    /// The command that removes a package, for a `RUN` of a Dockerfile.
    #[must_use]
    pub fn remove(&self, package: &str) -> String {
        let has = |program: &str| self.has_program(&format!("/usr/bin/{program}"));
        self.packages.remove(package, has)
    }

    /// The package of the runtime's distribution that has a module of the standard library of the
    /// distribution's own Python, which is in several packages.
    #[must_use]
    pub fn package_of_module(&self, python: &Python, module: &str) -> Option<String> {
        packages::module(self.packages.database?, python, module)
    }

    /// The library of which `find_library` finds the stem, by the name under which it is needed: `magic` gives
    /// `libmagic.so.1`. First what is there, then what the runtime's distribution has.
    #[must_use]
    pub fn named(&self, stem: &str) -> Option<String> {
        let start = format!("lib{stem}.so");
        let there = self.loader.cache.keys().map(String::as_str);
        let there = there.chain(
            self.loader
                .libraries
                .keys()
                .filter_map(|path| path.rsplit('/').next()),
        );
        let mut there = there.filter(|name| name.starts_with(&start));
        let there =
            there.find(|name| name.len() == start.len() || name[start.len()..].starts_with('.'));
        there
            .or_else(|| libraries::named(stem, &self.os.id, &self.os.version_id))
            .map(str::to_owned)
    }

    /// The library at `path`, if it is known.
    #[must_use]
    pub fn library(&self, path: &str) -> Option<(String, &Elf)> {
        let real = self.real(path);
        let elf = self.loader.libraries.get(&real)?;
        Some((real, elf))
    }
}

/// Facts in the cache. What was looked at may be a link, which counts itself.
/// The digest of all that decides the facts about a root file system besides its files: what is kept
/// is for one root (`kind` and `place`) and one interpreter in it.
fn key(kind: &str, place: &str, circumstances: &Circumstances, named: Option<&str>) -> Digest {
    let Circumstances { path, user } = circumstances;
    let program = (env!("CARGO_PKG_VERSION"), VERSION);
    let text = format!("{program:?} {kind} {place:?} {path:?} {user:?} {named:?}");
    Digest::of(text.as_bytes())
}

fn kept<'a>(cache: &'a Cache, key: &'a Digest) -> Watched<'a> {
    Watched {
        cache,
        bucket: Bucket::Runtimes,
        key,
        stamp: fs::Stamp::of_link,
    }
}

/// The files that can be run in the folders of `path` and in those where scripts look.
fn programs(root: &Root, path: &[String]) -> BTreeSet<String> {
    let always = ["/bin", "/usr/bin"].map(str::to_owned);
    let folders: BTreeSet<String> = path
        .iter()
        .chain(&always)
        .filter_map(|folder| root.real(folder))
        .collect();
    let mut programs = BTreeSet::new();
    for folder in folders {
        let paths = root.names(&folder).into_iter();
        let paths = paths.map(|name| format!("{folder}/{name}"));
        let found =
            paths.filter(|path| root.is_executable(path) && root.keep(weight(path)).is_some());
        programs.extend(found);
    }
    programs
}

/// An absolute path without `.` and `..`.
#[must_use]
pub fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_the_facts_changes_their_key() {
        let circumstances = |path: &str, user: Option<&str>| Circumstances {
            path: Some(path.to_owned()),
            user: user.map(str::to_owned),
        };
        let plain = circumstances("/bin", None);
        let keys = BTreeSet::from([
            key("root", "/a", &plain, None).hex(),
            key("image", "/a", &plain, None).hex(),
            key("root", "/b", &plain, None).hex(),
            key("root", "/a", &circumstances("/usr/bin", None), None).hex(),
            key("root", "/a", &circumstances("/bin", Some("me")), None).hex(),
            key("root", "/a", &plain, Some("/bin/python3")).hex(),
        ]);
        assert_eq!(keys.len(), 6);
    }
}
