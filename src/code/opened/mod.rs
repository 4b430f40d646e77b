//! The libraries that Python code opens by their names: `ctypes.CDLL("libfoo.so.1")`, `find_library("magic")`,
//! `ffi.dlopen("libcairo.so.2")`.
//!
//! The sources that may do so are few. They are read once more, and followed as an interpreter would on Linux: which
//! names may reach such a call, on what platform, whether an exception is handled, and whether all that happens when
//! the distribution is imported. What cannot be known is taken for nothing.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use serde::{Deserialize, Serialize};

mod run;
mod syntax;
mod tokens;
mod value;

use super::Necessity;
use run::{Need, Run};
use syntax::Syntax;
use value::Piece;

/// A library that a file of a distribution opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The names that are tried. Any of them will do.
    pub names: Vec<Named>,
    /// The path in the site folder of the file that opens it.
    pub by: String,
    /// How much those need it who import a top-level module of the distribution. It is optional too where nothing that
    /// they import comes to the module that opens it.
    pub necessity: Necessity,
}

/// A name by which a library is opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Named {
    /// As the dynamic loader takes it: `libfoo.so.1`, or an absolute path.
    Library(String),
    /// As `find_library` takes it, and linkers do behind `-l`: `magic`.
    Found(String),
    /// The file name of a library that the distribution may bring itself; `*` stands for anything.
    Own(String),
}

/// A source that may open libraries.
pub(super) struct Source<'a> {
    /// The path in the site folder.
    pub(super) path: &'a str,
    /// The dotted name of the module, and whether it is a package.
    pub(super) module: String,
    pub(super) is_package: bool,
    pub(super) bytes: Vec<u8>,
}

/// What comes of following the sources of a distribution.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) opened: Vec<Opened>,
    /// The file names of libraries of its own that are always opened when it is imported.
    pub(super) own: BTreeSet<String>,
}

/// The largest source that is followed, and the most bytes of one distribution's: tables of data are larger.
pub(super) const MAX_SOURCE: usize = 512 << 10;
pub(super) const MAX_SOURCES: usize = 8 << 20;
/// The most libraries of one distribution.
const MAX_OPENED: usize = 256;

/// Whether a source may open a library, or name one.
#[must_use]
pub(super) fn may_open(source: &[u8]) -> bool {
    let words: [&[u8]; 7] = [
        b"ctypes",
        b"dlopen",
        b"find_library",
        b"LoadLibrary",
        b".so\"",
        b".so'",
        b".so.",
    ];
    source.len() <= MAX_SOURCE
        && words
            .iter()
            .any(|word| memmem::find(source, word).is_some())
}

/// Follows the sources of a distribution. `levels` says how much those need each module who import a top-level one.
pub(super) fn follow(sources: &[Source<'_>], levels: &BTreeMap<&str, Necessity>) -> Found {
    let read: Vec<(&Source<'_>, Syntax)> = sources
        .iter()
        .map(|source| {
            let text = String::from_utf8_lossy(&source.bytes);
            (source, Syntax::read(&text))
        })
        .collect();
    let mut found: BTreeMap<(Vec<Named>, &str), Necessity> = BTreeMap::new();
    let mut own = BTreeSet::new();
    for (at, need) in Run::new(&read).needs() {
        let source = read[at].0;
        let level = levels.get(source.module.as_str()).copied();
        let necessity = match level.unwrap_or(Necessity::Optional) {
            Necessity::Required if !need.certain => Necessity::Conditional,
            level => level,
        };
        let names = names(&need);
        if necessity == Necessity::Required {
            own.extend(names.iter().filter_map(|name| match name {
                Named::Own(name) => Some(name.clone()),
                _ => None,
            }));
        }
        let is_own = |name: &Named| matches!(name, Named::Own(_));
        if need.unknown || names.iter().all(is_own) || found.len() >= MAX_OPENED {
            continue;
        }
        let one = found.entry((names, source.path)).or_insert(necessity);
        *one = (*one).max(necessity);
    }
    // The same name may be looked for again: where it is needed most says it all.
    let mut most: BTreeMap<Vec<Named>, Necessity> = BTreeMap::new();
    for ((names, _), necessity) in &found {
        let one = most.entry(names.clone()).or_insert(*necessity);
        *one = (*one).max(*necessity);
    }
    found.retain(|(names, _), necessity| most.get(names) == Some(necessity));
    let opened = found.into_iter().map(|((names, by), necessity)| Opened {
        names,
        by: by.to_owned(),
        necessity,
    });
    Found {
        opened: opened.collect(),
        own,
    }
}

/// The names of a library that may be one on Linux.
fn names(need: &Need) -> Vec<Named> {
    let mut names = Vec::new();
    for piece in &need.pieces {
        let name = match piece {
            Piece::Text(text) => library(text),
            Piece::Linked(text) => library(text).or_else(|| stem(text)),
            Piece::Found(text) => stem(text),
            Piece::File(name) => is_own(name).then(|| Named::Own(name.clone())),
        };
        names.extend(name);
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names.truncate(16);
    names
}

fn is_foreign(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let ends = [".dll", ".dylib", ".exe", ".framework", ".pyd"];
    ends.iter().any(|end| text.ends_with(end))
        || [".dylib", ".framework", "\\", "\u{fffd}", ":"]
            .iter()
            .any(|part| text.contains(part))
}

fn library(text: &str) -> Option<Named> {
    let is_library = text.ends_with(".so") || text.contains(".so.");
    if is_foreign(text) || !is_library || text.contains('*') {
        return None;
    }
    if text.starts_with('/') || !text.contains('/') {
        return Some(Named::Library(text.to_owned()));
    }
    let name = text.rsplit('/').next()?;
    Some(Named::Own(name.to_owned()))
}

fn stem(text: &str) -> Option<Named> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    let is_stem = !text.is_empty() && text.chars().all(is_plain) && !is_foreign(text);
    is_stem.then(|| Named::Found(text.to_owned()))
}

/// Whether a file name says enough to tell a library by.
fn is_own(name: &str) -> bool {
    let literal = name.replace('*', "").replace(".so", "");
    !is_foreign(name) && literal.len() >= 3 && (name.contains(".so") || name.ends_with('*'))
}

/// Whether a file is called `pattern`, in which `*` stands for anything.
#[must_use]
pub fn is_called(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
