//! What the runtime's dynamic loader finds: its search path, its cache, and the libraries there.
//!
//! glibc searches what a file's own RPATH or RUNPATH says, then its cache, then its standard folders;
//! the folders of `ld.so.conf` count only through the cache. musl has no cache: it searches the folders
//! of its `.path` file, or its standard ones.
//!
//! <https://man7.org/linux/man-pages/man8/ld.so.8.html>,
//! <https://wiki.musl-libc.org/functional-differences-from-glibc.html>

use std::collections::{BTreeMap, BTreeSet};

use object::ReadCache;
use serde::{Deserialize, Serialize};

use super::root::Root;
use crate::code::{Elf, Machine, weight};

/// Which C library there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

/// The C library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libc {
    /// The C library.
    pub family: Family,
    /// Its version: major, minor.
    pub version: (u32, u32),
}

impl Family {
    /// How it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        }
    }
}

impl std::fmt::Display for Libc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{} {major}.{minor}", self.family.name())
    }
}

/// The dynamic loader, and what it finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loader {
    /// The folders that it searches by itself, in their order.
    pub folders: Vec<String>,
    /// What its cache says: the path of each library, by the name under which it is needed.
    pub cache: BTreeMap<String, String>,
    /// The libraries in its folders and its cache, and those beside the interpreters, by their paths,
    /// links followed.
    pub libraries: BTreeMap<String, Elf>,
}

/// What was found out of the loader.
pub(super) struct Found {
    pub(super) libc: Option<Libc>,
    pub(super) machine: Option<Machine>,
    pub(super) loader: Loader,
}

/// Looks at the loader of a root; `beside` are more folders whose libraries are wanted.
pub(super) fn read(root: &Root, beside: &BTreeSet<String>) -> Found {
    let conf = configured(root);
    let mut folders: BTreeSet<String> = beside.clone();
    folders.extend(conf.iter().cloned());
    for base in ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"] {
        folders.insert(base.to_owned());
        // Debian's folders of one architecture each.
        let names = root.names(base);
        let triplets = names.iter().filter(|name| name.contains("-linux-"));
        folders.extend(triplets.map(|name| format!("{base}/{name}")));
    }
    let bytes = root
        .bytes("/etc/ld.so.cache", MAX_CACHE)
        .unwrap_or_default();
    let cached = parse_cache(&bytes).unwrap_or_default();
    let mut wanted: BTreeSet<String> = cached.iter().map(|(_, path)| (*path).to_owned()).collect();
    let searched: BTreeSet<String> = folders.iter().filter_map(|one| root.real(one)).collect();
    for folder in &searched {
        let names = root.names(folder);
        let libraries = names.iter().filter(|name| is_library(name));
        wanted.extend(libraries.map(|name| format!("{folder}/{name}")));
    }
    let real: BTreeSet<String> = wanted.iter().filter_map(|path| root.real(path)).collect();
    let libraries: BTreeMap<String, Elf> = real
        .into_iter()
        .filter_map(|path| elf(root, &path).map(|elf| (path, elf)))
        .filter(|(_, elf)| elf.loadable)
        .collect();
    let found = libc(root, &libraries);
    let (libc, machine) = match found {
        Some((libc, machine, home)) => {
            let folders = standard(root, &libc, &home);
            let loader = Loader {
                cache: cached
                    .into_iter()
                    .rev()
                    .map(|(name, path)| (name.to_owned(), path.to_owned()))
                    .filter(|(_, path)| {
                        let real = root.real(path);
                        real.and_then(|real| libraries.get(&real))
                            .is_some_and(|elf| elf.machine == machine)
                    })
                    .collect(),
                folders,
                libraries,
            };
            return Found {
                libc: Some(libc),
                machine: Some(machine),
                loader,
            };
        }
        None => (None, None),
    };
    let loader = Loader {
        libraries,
        ..Loader::default()
    };
    Found {
        libc,
        machine,
        loader,
    }
}

/// Reads what a library says; nothing if it is none.
pub(super) fn elf(root: &Root, path: &str) -> Option<Elf> {
    let cache = ReadCache::new(root.open(path)?);
    let mut elf = Elf::read(&cache).ok()?;
    // What the runtime's own libraries want of each other is its maker's affair.
    elf.versions = Vec::new();
    root.keep(elf.weight())?;
    Some(elf)
}

fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

/// The C library: which, for what machine, and in which folder it lies.
fn libc(root: &Root, libraries: &BTreeMap<String, Elf>) -> Option<(Libc, Machine, String)> {
    let mut found: Option<(usize, Libc, Machine, String)> = None;
    for (path, elf) in libraries {
        let (folder, name) = path.rsplit_once('/')?;
        let is_glibc = elf.soname.as_deref() == Some("libc.so.6");
        let is_musl = name.starts_with("ld-musl-") || name == "libc.so" && !is_glibc;
        let read = |marker| {
            root.bytes(path, 64 << 20)
                .and_then(|bytes| version(&bytes, marker))
        };
        let libc = if is_glibc {
            let version = read(b"stable release version ").or_else(|| newest(&elf.defines));
            version.map(|version| Libc {
                family: Family::Glibc,
                version,
            })
        } else if is_musl {
            let bytes = root.bytes(path, 64 << 20);
            let version = bytes.filter(|bytes| memchr::memmem::find(bytes, b"musl").is_some());
            let version = version.and_then(|bytes| version_text(&bytes));
            version.map(|version| Libc {
                family: Family::Musl,
                version,
            })
        } else {
            None
        };
        let Some(libc) = libc else { continue };
        // A root may have libraries of a second architecture, or musl beside glibc: that of the shell, of
        // Python, of nearly everything is in the folder with the most libraries.
        let count = libraries
            .iter()
            .filter(|(other, that)| other.starts_with(folder) && that.machine == elf.machine)
            .count();
        if found.as_ref().is_none_or(|(most, ..)| count > *most) {
            found = Some((count, libc, elf.machine, folder.to_owned()));
        }
    }
    found.map(|(_, libc, machine, folder)| (libc, machine, folder))
}

/// The version behind a text in a binary.
fn version(bytes: &[u8], marker: &[u8]) -> Option<(u32, u32)> {
    let at = memchr::memmem::find(bytes, marker)? + marker.len();
    let end = bytes[at..].iter().take(16);
    let text: Vec<u8> = end
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
        .copied()
        .collect();
    pair(str::from_utf8(&text).ok()?.trim_end_matches('.'))
}

/// A text that is nothing but a version of musl's: `1.2.5`.
fn version_text(bytes: &[u8]) -> Option<(u32, u32)> {
    memchr::memmem::find_iter(bytes, b"\x001.").find_map(|at| {
        let text = bytes[at + 1..].split(|byte| *byte == 0).next()?;
        let text = str::from_utf8(text).ok().filter(|text| text.len() < 12)?;
        let is_version =
            text.split('.').count() == 3 && text.split('.').all(|part| part.parse::<u32>().is_ok());
        is_version.then(|| pair(text)).flatten()
    })
}

/// The newest version of glibc's symbols.
fn newest(defines: &[String]) -> Option<(u32, u32)> {
    let versions = defines
        .iter()
        .filter_map(|name| pair(name.strip_prefix("GLIBC_")?));
    versions.max()
}

fn pair(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The folders that the loader searches by itself, as its maker built it: told by where the C library
/// lies.
fn standard(root: &Root, libc: &Libc, home: &str) -> Vec<String> {
    let mut folders: Vec<String> = match libc.family {
        Family::Musl => {
            let paths = root.names("/etc");
            let path = paths
                .iter()
                .find(|name| name.starts_with("ld-musl-") && name.ends_with(".path"))
                .and_then(|name| root.text(&format!("/etc/{name}")));
            match path {
                Some(text) => text.split([':', '\n']).map(str::to_owned).collect(),
                None => ["/lib", "/usr/local/lib", "/usr/lib"]
                    .map(str::to_owned)
                    .into(),
            }
        }
        Family::Glibc => {
            let name = home.rsplit('/').next().unwrap_or_default();
            if name.contains("-linux-") {
                let own = [format!("/lib/{name}"), format!("/usr/lib/{name}")];
                own.into_iter()
                    .chain(["/lib".to_owned(), "/usr/lib".to_owned()])
                    .collect()
            } else {
                vec![format!("/{name}"), format!("/usr/{name}")]
            }
        }
    };
    folders.retain(|folder| folder.starts_with('/'));
    let mut seen = BTreeSet::new();
    let real = folders.iter().filter_map(|folder| root.real(folder));
    real.filter(|folder| seen.insert(folder.clone())).collect()
}

/// More files and patterns than any `ld.so.conf` includes.
const MAX_INCLUDES: usize = 1000;

/// The folders that `ld.so.conf` names, with what it includes.
fn configured(root: &Root) -> Vec<String> {
    let mut folders: Vec<String> = Vec::new();
    let first = "/etc/ld.so.conf".to_owned();
    // Each file and each pattern once: a pattern stands for all files of a folder, in each of which it may be.
    let (mut files, mut patterns) = (BTreeSet::from([first.clone()]), BTreeSet::new());
    let mut left = vec![first];
    while let Some(file) = left.pop() {
        for line in root.text(&file).unwrap_or_default().lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(pattern) = line.strip_prefix("include ") {
                let pattern = pattern.trim();
                let absolute = format!("/etc/{pattern}");
                let pattern = if pattern.starts_with('/') {
                    pattern
                } else {
                    &absolute
                };
                if patterns.len() == MAX_INCLUDES || !patterns.insert(pattern.to_owned()) {
                    continue;
                }
                let (folder, name) = pattern.rsplit_once('/').unwrap_or(("/etc", pattern));
                let (start, end) = name.split_once('*').unwrap_or((name, ""));
                let names = root.names(folder);
                let names = names.iter().filter(|name| {
                    name.starts_with(start) && name.ends_with(end) && !name.starts_with('.')
                });
                for path in names.map(|name| format!("{folder}/{name}")) {
                    if files.len() < MAX_INCLUDES && files.insert(path.clone()) {
                        left.push(path);
                    }
                }
            } else if line.starts_with('/') && root.keep(weight(line)).is_some() {
                folders.push(line.to_owned());
            }
        }
    }
    folders
}

const OLD_CACHE: &[u8] = b"ld.so-1.7.0\0";
const NEW_CACHE: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// The largest cache that is read, and the most bytes that its names and paths have, in bytes. Entries may
/// share a string, or the end of one: as they are many, a file of 7 MB can name gigabytes. The cache of a
/// desktop with 3 000 libraries has 300 KB.
const MAX_CACHE: u64 = 16 << 20;
const MAX_CACHED: usize = 16 << 20;

/// The entries of an `ld.so.cache`, in its order: name and path. `None` if it is no such file, or one that
/// stands for more than any has.
///
/// The format is glibc's own, since 2.2: `sysdeps/generic/dl-cache.h` describes it.
#[must_use]
pub fn parse_cache(bytes: &[u8]) -> Option<Vec<(&str, &str)>> {
    let number = |bytes: &[u8], at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let mut bytes = bytes;
    if bytes.starts_with(OLD_CACHE) {
        let count = usize::try_from(number(bytes, 12)?).ok()?;
        let end = count.checked_mul(12)?.checked_add(16)?;
        bytes = bytes.get(end.checked_next_multiple_of(8)?..)?;
    }
    if !bytes.starts_with(NEW_CACHE) {
        return None;
    }
    let count = usize::try_from(number(bytes, 20)?).ok()?;
    let text = |at: u32| -> Option<&str> {
        let rest = bytes.get(usize::try_from(at).ok()?..)?;
        let end = memchr::memchr(0, &rest[..rest.len().min(4096)])?;
        str::from_utf8(&rest[..end]).ok()
    };
    let entries = bytes.get(HEADER..)?.chunks_exact(ENTRY).take(count);
    let found = entries.filter_map(|entry| {
        // What is for some processors only has the plain one beside it.
        let everywhere = entry[16..24].iter().all(|byte| *byte == 0);
        let (name, path) = (text(number(entry, 4)?)?, text(number(entry, 8)?)?);
        (everywhere && path.starts_with('/')).then_some((name, path))
    });
    let mut room = MAX_CACHED;
    let mut cached = Vec::new();
    for (name, path) in found {
        room = room.checked_sub(weight(name) + weight(path))?;
        cached.push((name, path));
    }
    Some(cached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_binaries() {
        let text = b"xx stable release version 2.36.\nCopyright";
        assert_eq!(version(text, b"stable release version "), Some((2, 36)));
        assert_eq!(version_text(b"\x001.x\x001.2.5\x00musl"), Some((1, 2)));
        assert_eq!(
            newest(&[
                "GLIBC_2.4".into(),
                "GLIBC_2.35".into(),
                "GLIBC_PRIVATE".into()
            ]),
            Some((2, 35))
        );
    }

    #[test]
    fn a_cache_that_lies_is_no_cache() {
        let mut bytes = [NEW_CACHE, &[0; 28]].concat();
        bytes[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        bytes.extend(
            [1, 0, 0, 0, 72, 0, 0, 0, 79, 0, 0, 0]
                .iter()
                .chain(&[0; 12]),
        );
        bytes.extend(b"libx.so\0");
        bytes.extend(b"/lib/libx.so\0");
        bytes[56..60].copy_from_slice(&80u32.to_ne_bytes());
        assert_eq!(parse_cache(&bytes).unwrap(), [("libx.so", "/lib/libx.so")]);
        for end in 0..bytes.len() {
            let _ = parse_cache(&bytes[..end]);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_cache_makes_it_panic(bytes: Vec<u8>) {
            let _ = parse_cache(&[NEW_CACHE, &bytes].concat());
            let _ = parse_cache(&[OLD_CACHE, &bytes].concat());
        }
    }
}
