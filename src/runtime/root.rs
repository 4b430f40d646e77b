//! A root file system in a directory, with paths and links as its own processes see them.
//!
//! Links lead to where they would in the root, never out of it; what is no folder, regular file or link
//! is not there. Nothing is written and nothing is run.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::code::weight;
use crate::fs;

/// A root file system.
#[derive(Debug)]
pub(super) struct Root {
    folder: PathBuf,
    /// The links that were met, and where they lead.
    links: RefCell<BTreeMap<String, String>>,
    /// What was looked at.
    seen: RefCell<BTreeSet<PathBuf>>,
    /// How many bytes may still be kept of it, and read of its files. Hard links cost an image nothing, and
    /// neither does a name that stands in many paths.
    room: Cell<usize>,
    unread: Cell<u64>,
}

/// Where the paths of a root file system are on this machine.
#[derive(Debug)]
pub(crate) struct Resolver(Root);

impl Resolver {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(Root::new(folder))
    }

    /// Where `path` is, or would be: as much of it as is there is followed, and never out of the root.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        let path = super::normal(path);
        let mut ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        ends.push(path.len());
        let there = ends.into_iter().rev().find_map(|end| {
            let real = self.0.real(&path[..end])?;
            Some((real, end))
        });
        let (real, end) = there.unwrap_or_default();
        self.0.at(&format!("{real}{}", &path[end..]))
    }
}

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The most bytes of a text that are read.
const MAX_TEXT: u64 = 16 << 20;
/// The most bytes that are kept of one root, as [`weight`] counts them, and that are read of it.
const MAX_KEPT: usize = 64 << 20;
const MAX_READ: u64 = 2 << 30;

impl Root {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            links: RefCell::default(),
            seen: RefCell::default(),
            room: Cell::new(MAX_KEPT),
            unread: Cell::new(MAX_READ),
        }
    }

    /// Whether there was more in it than is kept or read: then what was found is not all.
    pub(super) fn is_too_large(&self) -> bool {
        self.room.get() == 0 || self.unread.get() == 0
    }

    /// Makes room for so many bytes; `None` if there is none left, from then on for all.
    pub(super) fn keep(&self, bytes: usize) -> Option<()> {
        let left = self.room.get().checked_sub(bytes).filter(|left| *left > 0);
        self.room.set(left.unwrap_or(0));
        left.map(drop)
    }

    /// Notes that so many bytes are read.
    fn read(&self, bytes: u64) -> Option<()> {
        let left = self.unread.get().checked_sub(bytes);
        let left = left.filter(|left| *left > 0);
        self.unread.set(left.unwrap_or(0));
        left.map(drop)
    }

    /// Notes that something was looked at.
    fn see(&self, at: &Path) -> Option<()> {
        let mut seen = self.seen.borrow_mut();
        if !seen.contains(at) {
            self.keep(weight(&at.to_string_lossy()))?;
            seen.insert(at.to_path_buf());
        }
        Some(())
    }

    /// The path of what is at `path` once every link is followed; `None` if nothing is there.
    pub(super) fn real(&self, path: &str) -> Option<String> {
        let mut real = String::new();
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    let above = real.rfind('/').unwrap_or(0);
                    real.truncate(above);
                    continue;
                }
                _ => {}
            }
            let here = format!("{real}/{part}");
            let known = self.links.borrow().get(&here).cloned();
            let target = match known {
                Some(target) => Some(target),
                None => self.link(&here)?,
            };
            let Some(target) = target else {
                real = here;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            if target.starts_with('/') {
                real.clear();
            }
            left.extend(target.split('/').rev().map(str::to_owned));
        }
        Some(if real.is_empty() {
            "/".to_owned()
        } else {
            real
        })
    }

    /// Where the link at `path` leads, whose folder has no links; `None` twice over if nothing is there.
    #[expect(clippy::option_option, reason = "not there, no link, a link")]
    fn link(&self, path: &str) -> Option<Option<String>> {
        let at = self.at(path);
        self.see(&at)?;
        let found = fs::metadata(&at).ok()?;
        if found.is_dir() || found.is_file() {
            return Some(None);
        }
        if !found.is_symlink() {
            return None;
        }
        let target = fs::read_link(&at).ok()?.to_str()?.to_owned();
        self.keep(weight(path) + weight(&target))?;
        self.links
            .borrow_mut()
            .insert(path.to_owned(), target.clone());
        Some(Some(target))
    }

    /// Where on this machine a path without links is.
    pub(super) fn at(&self, real: &str) -> PathBuf {
        self.folder.join(real.trim_start_matches('/'))
    }

    /// Opens the regular file at `path`.
    pub(super) fn open(&self, path: &str) -> Option<File> {
        fs::open(&self.file(path)?).ok()
    }

    /// Where on this machine the regular file at `path` is.
    pub(super) fn file(&self, path: &str) -> Option<PathBuf> {
        let at = self.at(&self.real(path)?);
        // Nobody waits for the other end of a pipe: what is no file was not found.
        let found = fs::metadata(&at).ok().filter(std::fs::Metadata::is_file);
        found.map(|_| at)
    }

    /// The text at `path`, if there is a file of reasonable size.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(path, MAX_TEXT)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes at `path`, if there is a file of at most `limit`.
    pub(super) fn bytes(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        let bytes = fs::read_at_most(&self.at(&self.real(path)?), limit).ok()?;
        self.read(bytes.len() as u64)?;
        Some(bytes)
    }

    /// The names in the folder at `path`, sorted; none if there is no such folder.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let Some(real) = self.real(path) else {
            return Vec::new();
        };
        let at = self.at(&real);
        if self.see(&at).is_none() {
            return Vec::new();
        }
        let is_folder = fs::metadata(&at).is_ok_and(|found| found.is_dir());
        if is_folder {
            fs::names(&at).unwrap_or_default()
        } else {
            Vec::new()
        }
    }

    pub(super) fn is_file(&self, path: &str) -> bool {
        let found = self.real(path).map(|real| fs::metadata(&self.at(&real)));
        found.is_some_and(|found| found.is_ok_and(|found| found.is_file()))
    }

    pub(super) fn is_executable(&self, path: &str) -> bool {
        let found = self.real(path);
        found.is_some_and(|real| fs::is_executable(&self.at(&real)))
    }

    pub(super) fn is_folder(&self, path: &str) -> bool {
        let found = self.real(path).map(|real| fs::metadata(&self.at(&real)));
        found.is_some_and(|found| found.is_ok_and(|found| found.is_dir()))
    }

    /// The links that were met, each with where it leads as it is written.
    pub(super) fn links(&self) -> BTreeMap<String, String> {
        self.links.borrow().clone()
    }

    /// What was looked at, by its path on this machine.
    pub(super) fn seen(&self) -> BTreeSet<PathBuf> {
        self.seen.borrow().clone()
    }
}
