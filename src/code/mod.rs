//! The needs of a code file in its runtime, read while prebuild unpacks the file.
//!
//! The bytes of a wheel are inflated once, when it is checked. What the audit wants to know of them is
//! learnt in that pass, by a [`Scanner`], and kept with the wheel.

use std::cell::Cell;
use std::io;
use std::ops::Range;

use memchr::memmem;
use object::ReadRef;
use serde::{Deserialize, Serialize};

mod blocks;
mod elf;
mod imports;
mod opened;
mod python;

pub use elf::{Damaged, Elf, Machine, Versions, Weak};
pub use imports::{Asked, Imported, package_names, settle};
pub use opened::{Named, Opened, is_called};
pub use python::{Import, Necessity, imports, is_standard};

/// What was learnt of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// What the dynamic loader reads, if it is native code.
    pub elf: Option<Result<Elf, Damaged>>,
    /// The first path of a folder that pip builds in, if it names one.
    pub build_folder: Option<String>,
    /// What it imports, if it is Python. Not kept: what matters of it is worked out for the whole
    /// distribution, by [`settle`].
    #[serde(skip)]
    pub imports: Vec<Import>,
    /// How much the other files of its distribution need it.
    pub necessity: Necessity,
    /// Whether Python code of its distribution opens it by its name whenever that is imported.
    pub opened: bool,
    /// Whether it is Python that may open libraries. Not kept, like its imports.
    #[serde(skip)]
    pub opens: bool,
}

impl Code {
    /// How many bytes of memory it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let elf = self.elf.iter().flatten().map(Elf::weight);
        let imports = self.imports.iter().map(|import| weight(&import.name));
        elf.chain(imports).sum()
    }

    /// Whether there is nothing to say of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elf.is_none() && self.build_folder.is_none() && self.imports.is_empty() && !self.opens
    }

    /// Looks at bytes that are all here.
    #[must_use]
    pub fn of(path: &str, bytes: &[u8]) -> Self {
        let mut scanner = Scanner::new(path, bytes.len() as u64);
        scanner.feed(bytes);
        // What is in memory is read without fail.
        let again = |scanner: &mut Scanner| {
            scanner.feed(bytes);
            Ok(())
        };
        scanner.finish(again).unwrap_or_default()
    }
}

/// So many bytes tell what they begin, with the program headers of native code.
const START: u64 = 4096;
/// Native code up to this size, in bytes, is kept whole while it is looked at; of what is larger, the
/// beginning, the dynamic section and the end, where nearly always everything lies that is looked for.
const WHOLE: u64 = 16 << 20;
const HEAD: u64 = 8 << 20;
const TAIL: u64 = 4 << 20;
/// The largest Python source that is looked at, in bytes.
const MAX_SOURCE: u64 = 8 << 20;
/// How often bytes are gone through again for what lies elsewhere, and how many of them are kept then, all
/// rounds together.
const ROUNDS: usize = 6;
const MAX_WANTED: u64 = 64 << 20;

/// How many bytes of memory a text takes in a list, about: what is learnt of untrusted bytes is bounded by
/// such sums, for a few bytes of input can name one long text many times over.
#[must_use]
pub fn weight(text: &str) -> usize {
    text.len() + 48
}

/// Looks at the bytes of a file as they go by.
#[derive(Debug)]
pub struct Scanner {
    size: u64,
    at: u64,
    kind: Kind,
    /// The first bytes, until it is known what they begin.
    start: Vec<u8>,
    pieces: Vec<Piece>,
    paths: BuildFolders,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unknown { python: bool },
    Native,
    Python,
    Other,
}

/// A part of a file that is kept.
#[derive(Debug)]
struct Piece {
    range: Range<u64>,
    bytes: Vec<u8>,
}

impl Scanner {
    /// A scanner for the file at `path`, of `size` bytes.
    #[must_use]
    pub fn new(path: &str, size: u64) -> Self {
        let python = path.ends_with(".py") && size <= MAX_SOURCE;
        Self {
            size,
            at: 0,
            kind: Kind::Unknown { python },
            start: Vec::new(),
            pieces: Vec::new(),
            paths: BuildFolders::default(),
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.paths.feed(bytes);
        if let Kind::Unknown { python } = self.kind {
            self.start.extend_from_slice(bytes);
            if (self.start.len() as u64) < self.size.min(START) {
                return;
            }
            self.kind = match (self.start.starts_with(b"\x7fELF"), python) {
                (true, _) => Kind::Native,
                (false, true) => Kind::Python,
                (false, false) => Kind::Other,
            };
            self.pieces = match self.kind {
                Kind::Native if self.size > WHOLE => {
                    let tail = self.size - TAIL;
                    let parts = [0..HEAD, tail..self.size];
                    let dynamic = Elf::dynamic(&self.start[..])
                        .filter(|range| range.end <= self.size && range.end - range.start <= TAIL);
                    parts.into_iter().chain(dynamic).map(Piece::new).collect()
                }
                Kind::Native | Kind::Python => vec![Piece::new(0..self.size)],
                _ => Vec::new(),
            };
            let start = std::mem::take(&mut self.start);
            self.keep(&start);
        } else {
            self.keep(bytes);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        for piece in &mut self.pieces {
            piece.keep(self.at, bytes);
        }
        self.at += bytes.len() as u64;
    }

    /// What was learnt. `again` feeds all bytes once more, which only large and odd files take.
    pub fn finish(
        mut self,
        mut again: impl FnMut(&mut Self) -> io::Result<()>,
    ) -> io::Result<Code> {
        let mut code = Code {
            build_folder: std::mem::take(&mut self.paths).finish(),
            ..Code::default()
        };
        match self.kind {
            Kind::Native => code.elf = Some(self.elf(&mut again)?),
            Kind::Python => {
                if let Some(piece) = self.pieces.first() {
                    code.imports = imports(&piece.bytes);
                    code.opens = opened::may_open(&piece.bytes);
                }
            }
            Kind::Unknown { .. } | Kind::Other => {}
        }
        Ok(code)
    }

    fn elf(
        &mut self,
        again: &mut dyn FnMut(&mut Self) -> io::Result<()>,
    ) -> io::Result<Result<Elf, Damaged>> {
        let mut room = MAX_WANTED;
        for _ in 0..ROUNDS {
            let sparse = Sparse {
                size: self.size,
                pieces: &self.pieces,
                missing: Cell::new(None),
            };
            let read = Elf::read(&sparse);
            let Some((from, to)) = sparse.missing.get() else {
                return Ok(read);
            };
            let Some(left) = room.checked_sub(to - from) else {
                return Ok(Err(Damaged::TooMany));
            };
            room = left;
            self.pieces.push(Piece::new(from..to));
            self.at = 0;
            again(self)?;
        }
        Ok(Err(Damaged::TooMany))
    }
}

impl Piece {
    fn new(range: Range<u64>) -> Self {
        Self {
            range,
            bytes: Vec::new(),
        }
    }

    /// Keeps what of `bytes`, which lie at `at`, belongs to it and is not there yet.
    fn keep(&mut self, at: u64, bytes: &[u8]) {
        let next = self.range.start + self.bytes.len() as u64;
        let end = self.range.end.min(at + bytes.len() as u64);
        if next < at || next >= end {
            return;
        }
        if self.bytes.capacity() == 0 {
            let size = self.range.end - self.range.start;
            self.bytes.reserve_exact(usize::try_from(size).unwrap_or(0));
        }
        let index = |offset: u64| usize::try_from(offset - at).unwrap_or(bytes.len());
        self.bytes
            .extend_from_slice(&bytes[index(next)..index(end)]);
    }
}

/// A file of which some parts are here. Remembers what was looked for and is not.
struct Sparse<'a> {
    size: u64,
    pieces: &'a [Piece],
    missing: Cell<Option<(u64, u64)>>,
}

impl<'a> ReadRef<'a> for &'a Sparse<'a> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        // As of a slice: nothing lies anywhere.
        if size == 0 {
            return Ok(&[]);
        }
        let end = offset.checked_add(size).filter(|end| *end <= self.size);
        let end = end.ok_or(())?;
        let here = self.pieces.iter().find_map(|piece| {
            let from = offset.checked_sub(piece.range.start)?;
            let from = usize::try_from(from).ok()?;
            let to = from.checked_add(usize::try_from(size).ok()?)?;
            piece.bytes.get(from..to)
        });
        here.ok_or_else(|| self.missing.set(Some((offset, end))))
    }

    fn read_bytes_at_until(self, range: Range<u64>, end: u8) -> Result<&'a [u8], ()> {
        let size = range.end.checked_sub(range.start).ok_or(())?;
        let bytes = self.read_bytes_at(range.start, size)?;
        memchr::memchr(end, bytes).map(|at| &bytes[..at]).ok_or(())
    }
}

/// Looks for paths of folders that pip builds in: what names one was not made to be moved.
#[derive(Debug, Default)]
struct BuildFolders {
    /// The last bytes that went by.
    before: Vec<u8>,
    found: Option<String>,
}

/// How pip names its folders, and prebuild its own.
const BUILD_FOLDERS: [&[u8]; 7] = [
    b"install-",
    b"req-build-",
    b"build-env-",
    b"wheel-",
    b"ephem-wheel-cache-",
    b"unpack-",
    b"standalone-pip-",
];
/// What of a path before and behind its tell-tale part is shown, at most.
const AROUND: usize = 120;

impl BuildFolders {
    fn feed(&mut self, bytes: &[u8]) {
        if self.found.is_some() {
            return;
        }
        let seam = bytes.len().min(2 * AROUND);
        self.before.extend_from_slice(&bytes[..seam]);
        self.found = build_folder(&self.before, false);
        if bytes.len() > seam {
            self.found = self.found.take().or_else(|| build_folder(bytes, false));
            self.before.clear();
            self.before.extend_from_slice(&bytes[bytes.len() - seam..]);
        } else {
            let old = self.before.len().saturating_sub(2 * AROUND);
            self.before.drain(..old);
        }
    }

    fn finish(self) -> Option<String> {
        self.found.or_else(|| build_folder(&self.before, true))
    }
}

/// The first path of a folder that pip builds in; where more may come, one that goes on to the end waits
/// for it.
fn build_folder(bytes: &[u8], all: bool) -> Option<String> {
    memmem::find_iter(bytes, b"/pip-").find_map(|at| {
        let name = &bytes[at + 5..];
        if !BUILD_FOLDERS.iter().any(|folder| name.starts_with(folder)) {
            return None;
        }
        let is_path = |byte: &&u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
        let before = bytes[..at].iter().rev().take(AROUND).take_while(is_path);
        let start = at - before.count();
        let behind = bytes[at..].iter().take(AROUND).take_while(is_path);
        let end = at + behind.count();
        if end == bytes.len() && !all {
            return None;
        }
        let path = &bytes[start..end];
        // An absolute one: a text about such folders has none.
        (path[0] == b'/' && start < at).then(|| String::from_utf8_lossy(path).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_folders_are_found_across_chunks() {
        let text = b"x=1\0/tmp/pip-install-abc_1/psycopg2_0/psycopg.c\0rest /pip-install-x";
        for cut in 0..text.len() {
            let mut scanner = Scanner::new("a.so", text.len() as u64);
            scanner.feed(&text[..cut]);
            scanner.feed(&text[cut..]);
            let code = scanner.finish(|_| Ok(())).unwrap();
            let found = code.build_folder.unwrap();
            assert_eq!(
                found, "/tmp/pip-install-abc_1/psycopg2_0/psycopg.c",
                "{cut}"
            );
        }
        assert_eq!(
            Code::of("a.txt", b"see tmp/pip-install-x").build_folder,
            None
        );
    }

    #[test]
    fn pieces_are_put_together_from_any_chunks() {
        let bytes: Vec<u8> = (0..=255).collect();
        for chunk in [1, 3, 100, 256] {
            let mut piece = Piece::new(10..200);
            let mut at = 0;
            for part in bytes.chunks(chunk) {
                piece.keep(at, part);
                at += part.len() as u64;
            }
            assert_eq!(piece.bytes, &bytes[10..200]);
        }
    }
}
