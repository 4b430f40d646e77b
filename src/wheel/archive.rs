//! The archive of a wheel, verified to its last byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fs::TempDir;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::zip::{self, Header};
use crate::code::{self, Asked, Code, Imported, Opened, Scanner};
use crate::diagnosis::{Diagnosis, Kind};
use crate::digest::{Digest, Hashing};
use crate::event::Cancel;
use crate::fs;
use crate::inflate::{self, Inflater};
use crate::tree::{self, Content, Member, Method, RelPath, UnsafePath};

/// A file in a wheel, as the check found it: where its bytes are and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path in the wheel.
    pub path: RelPath,
    /// Whether it is marked as executable.
    pub executable: bool,
    /// What it asks of the place where it will run, if it is code.
    pub code: Option<Arc<Code>>,
    /// Where in the wheel the packed bytes begin.
    pub offset: u64,
    /// How many packed bytes there are.
    pub packed: u64,
    /// The CRC-32 of the packed bytes.
    pub packed_crc: u32,
    /// How many bytes they stand for.
    pub size: u64,
    /// The CRC-32 of those.
    pub crc: u32,
    /// The SHA-256 of those.
    pub digest: Digest,
    /// How they are packed.
    pub method: Method,
    /// Whether it is marked as a symbolic link or a folder. It is a file all the same, as with pip.
    pub is_marked_otherwise: bool,
}

impl Entry {
    /// Whether it is native code (ELF).
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.code.as_ref().is_some_and(|code| code.elf.is_some())
    }
}

/// What a wheel may take up before it is refused as a bomb.
///
/// The defaults leave room: of 167 wheels for the web and for science, none had more than 5 626
/// entries or 10 folders above a file, or unpacked to more than 180 MB or 7.5 times its own size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many entries it may have, and in how many folders they may lie.
    pub entries: u64,
    /// How many bytes its entries may stand for together.
    pub size: u64,
    /// How many times its own size that may be, for what is beyond 64 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 300_000,
            size: 32 << 30,
            ratio: 100,
        }
    }
}

/// An archive of which every byte was looked at: each entry has a safe path of its own, inflates to
/// its exact end, and is what its checksum says; nothing lies between, before or behind them.
#[derive(Debug, Clone)]
pub struct Archive {
    source: Arc<tree::Archive>,
    contents: Contents,
}

/// What was found in an archive.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Contents {
    /// The files, sorted by path.
    pub entries: Vec<Entry>,
    /// What they import from outside.
    pub imported: Vec<Imported>,
    /// The libraries that they open by their names.
    pub opened: Vec<Opened>,
}

impl Archive {
    /// Opens and checks the archive at `path`, on all cores.
    ///
    /// `guard` keeps a temporary folder alive that the archive lies in.
    pub fn open(
        path: &Path,
        guard: Option<Arc<TempDir>>,
        limits: &Limits,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let file = fs::open(path)?;
        let refuse = |problem| Error::refused(path, None, problem);
        let size = file
            .metadata()
            .map_err(|source| fs::Error::new("access", path, source))?
            .len();
        let headers = zip::headers(&file, size, limits.entries).map_err(|error| match error {
            zip::Error::Io(source) => Error::Fs(fs::Error::new("read", path, source)),
            zip::Error::Problem(entry, problem) => Error::refused(path, entry, problem),
        })?;
        let total = headers
            .iter()
            .try_fold(0u64, |total, header| total.checked_add(header.size))
            .unwrap_or(u64::MAX);
        if total > limits.size {
            return Err(refuse(Problem::TooLarge {
                size: total,
                limit: limits.size,
            }));
        }
        if total > FREE_SIZE && total / limits.ratio.max(1) > size {
            return Err(refuse(Problem::Bomb {
                size: total,
                packed: size,
                limit: limits.ratio,
            }));
        }
        let named = name(headers, path, limits)?;
        let learnt = AtomicUsize::new(0);
        let mut entries = named
            .into_par_iter()
            .map(|(name, header)| {
                let entry = check(&file, path, name, &header, cancel)?;
                let weight = entry.code.as_ref().map_or(0, |code| code.weight());
                if learnt.fetch_add(weight, Ordering::Relaxed) + weight > MAX_LEARNT {
                    return Err(refuse(Problem::Code));
                }
                Ok(entry)
            })
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let source = Arc::new(tree::Archive {
            path: path.to_path_buf(),
            guard,
        });
        let Asked { imported, opened } = settle(&mut entries, &source);
        let contents = Contents {
            entries,
            imported,
            opened,
        };
        Ok(Self { source, contents })
    }

    /// An archive that was checked before: `contents` are what was found then.
    #[must_use]
    pub fn known(path: PathBuf, guard: Option<Arc<TempDir>>, contents: Contents) -> Self {
        Self {
            source: Arc::new(tree::Archive { path, guard }),
            contents,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// The files in it, by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.contents.entries
    }

    /// What they import from outside, and what else was found.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The file at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let entries = &self.contents.entries;
        let index = entries.binary_search_by(|entry| entry.path.as_str().cmp(path));
        index.ok().map(|index| &entries[index])
    }

    /// The contents of one of its files.
    #[must_use]
    pub fn content(&self, entry: &Entry) -> Content {
        content(&self.source, entry)
    }
}

fn content(archive: &Arc<tree::Archive>, entry: &Entry) -> Content {
    Content::Member(Member {
        archive: Arc::clone(archive),
        offset: entry.offset,
        packed: entry.packed,
        packed_crc: entry.packed_crc,
        size: entry.size,
        crc: entry.crc,
        digest: entry.digest,
        method: entry.method,
        code: entry.code.clone(),
    })
}

/// Works out what the files ask for; keeps what there is to say of them.
fn settle(entries: &mut [Entry], archive: &Arc<tree::Archive>) -> Asked {
    // Nobody else may hold what is known of a file while it is changed.
    let again: Vec<Option<Content>> = entries
        .iter()
        .filter_map(|entry| {
            let opens = entry.code.as_ref()?.opens;
            let bare = || Entry {
                code: None,
                ..entry.clone()
            };
            Some(opens.then(|| content(archive, &bare())))
        })
        .collect();
    let paths = entries.iter().map(|entry| below_site(entry.path.as_str()));
    let packages = code::package_names(paths);
    let read = |at: usize| again.get(at)?.as_ref()?.read().ok();
    let files = entries.iter_mut().filter_map(|entry| {
        let code = Arc::get_mut(entry.code.as_mut()?)?;
        Some((below_site(entry.path.as_str()), code))
    });
    let asked = code::settle(&mut files.collect::<Vec<_>>(), &packages, read);
    for entry in entries {
        entry.code.take_if(|code| code.is_empty());
    }
    asked
}

/// The path as it will be below `site-packages`.
fn below_site(path: &str) -> &str {
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    if !top.ends_with(".data") {
        return path;
    }
    let site = rest.strip_prefix("purelib/");
    site.or_else(|| rest.strip_prefix("platlib/"))
        .unwrap_or(path)
}

/// Below this many bytes no ratio makes a bomb.
const FREE_SIZE: u64 = 64 << 20;

/// The most bytes that is kept in memory of what the files of a wheel import and link to.
const MAX_LEARNT: usize = 96 << 20;

/// Gives each file its path; refuses two at one place. Folders are looked at and left out: a file's
/// path says all that they could.
fn name(
    headers: Vec<Header>,
    wheel: &Path,
    limits: &Limits,
) -> Result<Vec<(RelPath, Header)>, Error> {
    let mut files = BTreeSet::new();
    let mut folders = BTreeSet::new();
    let mut named = Vec::with_capacity(headers.len());
    for header in headers {
        let refuse = |problem| Error::refused(wheel, Some(header.name.clone()), problem);
        let folder = header.name.strip_suffix('/');
        let path = RelPath::new(folder.unwrap_or(&header.name))
            .map_err(|error| refuse(Problem::Path(error)))?;
        if folder.is_some() && header.size > 0 {
            return Err(refuse(Problem::FolderWithBytes));
        }
        let (same, other) = if folder.is_some() {
            (&mut folders, &files)
        } else {
            (&mut files, &folders)
        };
        if other.contains(&path) || !same.insert(path.clone()) {
            return Err(refuse(Problem::Duplicate));
        }
        if folder.is_none() {
            named.push((path, header));
        }
    }
    look_above(&files, &folders, wheel, limits)?;
    Ok(named)
}

/// Refuses what lies below a file, and more folders than are let through.
fn look_above(
    files: &BTreeSet<RelPath>,
    folders: &BTreeSet<RelPath>,
    wheel: &Path,
    limits: &Limits,
) -> Result<(), Error> {
    let files: BTreeMap<&str, &RelPath> = files.iter().map(|path| (path.as_str(), path)).collect();
    let all = files.values().copied().chain(folders);
    let all: BTreeSet<&str> = all.map(RelPath::as_str).collect();
    let mut count = 0;
    let mut before = "";
    for path in all {
        // What lies in one folder is sorted together, so those that are shared with the path before
        // are all that were met. Each is looked at once: deep paths cost no more than their bytes.
        let bytes = path.bytes().zip(before.bytes());
        let shared = bytes.take_while(|(here, there)| here == there).count();
        let new = path.match_indices('/').map(|(slash, _)| slash);
        for slash in new.filter(|slash| *slash >= shared) {
            if let Some(file) = files.get(&path[..slash]) {
                let problem = Problem::BelowFile((*file).clone());
                return Err(Error::refused(wheel, Some(path.to_owned()), problem));
            }
            count += 1;
            if count > limits.entries {
                let limit = limits.entries;
                return Err(Error::refused(
                    wheel,
                    None,
                    Problem::TooManyFolders { limit },
                ));
            }
        }
        before = path;
    }
    Ok(())
}

/// Reads an entry to its end.
fn check(
    file: &File,
    wheel: &Path,
    path: RelPath,
    header: &Header,
    cancel: &Cancel,
) -> Result<Entry, Error> {
    let packed = || Span {
        file,
        offset: header.offset,
        left: header.packed,
        crc: crc32fast::Hasher::new(),
    };
    let mut scanner = Scanner::new(path.as_str(), header.size);
    let (read, span, method) = match header.method {
        zip::Method::Stored => {
            let mut reader = io::BufReader::with_capacity(1 << 16, packed());
            let read = digest(&mut reader, &mut scanner, cancel);
            (read, reader.into_inner(), Some(Method::Stored))
        }
        zip::Method::Deflated => {
            let mut inflater = Inflater::new(packed(), header.size);
            let read = digest(&mut inflater, &mut scanner, cancel);
            let tail = inflater.tail();
            (read, inflater.into_inner(), tail.map(Method::Deflated))
        }
    };
    let refuse = |problem| Error::refused(wheel, Some(path.to_string()), problem);
    let (found, method) = match (read, method) {
        (Ok(found), Some(method)) => (found, method),
        (Ok(_), None) => return Err(refuse(Problem::Stream(inflate::Error::Truncated))),
        (Err(_), _) if cancel.is_cancelled() => return Err(Error::Cancelled),
        (Err(source), _) => {
            return Err(match source.downcast::<inflate::Error>() {
                Ok(error) => refuse(Problem::Stream(error)),
                Err(source) => Error::Fs(fs::Error::new("read", wheel, source)),
            });
        }
    };
    if found.crc != header.crc {
        return Err(refuse(Problem::Checksum));
    }
    let again = |scanner: &mut Scanner| match header.method {
        zip::Method::Stored => {
            let mut reader = io::BufReader::with_capacity(1 << 16, packed());
            feed(&mut reader, scanner)
        }
        zip::Method::Deflated => feed(&mut Inflater::new(packed(), header.size), scanner),
    };
    let code = scanner
        .finish(again)
        .map_err(|source| fs::Error::new("read", wheel, source))?;
    Ok(Entry {
        // What pip takes for executable: the mode of a regular file with any such bit.
        executable: header.mode & 0o170_000 == 0o100_000 && header.mode & 0o111 != 0,
        code: (!code.is_empty()).then(|| Arc::new(code)),
        offset: header.offset,
        packed: header.packed,
        packed_crc: span.crc.finalize(),
        size: header.size,
        crc: header.crc,
        digest: found.digest,
        method,
        is_marked_otherwise: !header.is_marked_as_file(),
        path,
    })
}

/// What the bytes of an entry are.
struct Found {
    crc: u32,
    digest: Digest,
}

fn digest(reader: &mut impl BufRead, scanner: &mut Scanner, cancel: &Cancel) -> io::Result<Found> {
    let mut crc = crc32fast::Hasher::new();
    let mut hashing = Hashing::new(io::sink());
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        scanner.feed(bytes);
        crc.update(bytes);
        io::Write::write_all(&mut hashing, bytes)?;
        let count = bytes.len();
        reader.consume(count);
    }
    let (_, digest, _) = hashing.finish();
    Ok(Found {
        crc: crc.finalize(),
        digest,
    })
}

/// Gives a scanner all bytes.
fn feed(reader: &mut impl BufRead, scanner: &mut Scanner) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        scanner.feed(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
}

/// A part of a file, with a checksum of what was read of it. Any number of them may read one file.
struct Span<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
    crc: crc32fast::Hasher,
}

impl Read for Span<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.crc.update(&buffer[..count]);
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Why a wheel's archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The archive is damaged or malicious.
    #[error("{}", refused(wheel, entry.as_deref()))]
    Refused {
        /// The wheel.
        wheel: PathBuf,
        /// The entry; `None` for the whole archive.
        entry: Option<String>,
        /// The problem.
        #[source]
        problem: Problem,
    },
    /// A file system call of this machine failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// The caller cancelled the operation.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// The same error about the file that was copied.
    pub(super) fn about(self, path: &Path) -> Self {
        match self {
            Self::Refused { entry, problem, .. } => Self::refused(path, entry, problem),
            error => error,
        }
    }

    fn refused(wheel: &Path, entry: Option<String>, problem: Problem) -> Self {
        Self::Refused {
            wheel: wheel.to_path_buf(),
            entry,
            problem,
        }
    }
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Fs(error) => Some(error),
            Self::Refused { .. } | Self::Cancelled => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Cancelled => Kind::Cancelled,
            Self::Refused { .. } | Self::Fs(_) => Kind::Build,
        }
    }
}

fn refused(wheel: &Path, entry: Option<&str>) -> String {
    match entry {
        Some(entry) => format!(
            "cannot use `{}` because of `{}`",
            wheel.display(),
            entry.escape_debug()
        ),
        None => format!("cannot use `{}`", wheel.display()),
    }
}

impl Problem {
    /// Whether pip may install it all the same: it compares less, and has no limits.
    pub(super) fn may_be_installed_by_pip(&self) -> bool {
        match self {
            Self::NotZip
            | Self::Kind
            | Self::Encrypted
            | Self::BelowFile(_)
            | Self::Stream(_)
            | Self::Checksum => false,
            Self::Method(method) => matches!(method, 12 | 14),
            Self::Path(unsafe_path) => !unsafe_path.may_leave(),
            _ => true,
        }
    }
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is not a zip archive, or truncated.
    #[error("it is not a zip archive, or is cut off")]
    NotZip,
    /// The end of the archive contradicts itself or the file.
    #[error("{0}")]
    Structure(&'static str),
    /// The archive has too many entries.
    #[error("it has {count} entries; at most {limit} are allowed")]
    TooMany {
        /// The number.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// More folders than are let through: a few long paths hold many.
    #[error("its files are in more than {limit} directories")]
    TooManyFolders {
        /// The limit.
        limit: u64,
    },
    /// More bytes than are let through.
    #[error("it would unpack to {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The number.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// It unpacks to far more than it is.
    #[error(
        "its {packed} bytes would unpack to {size}, more than {limit} times as many: a zip bomb"
    )]
    Bomb {
        /// How many bytes it unpacks to.
        size: u64,
        /// How many it has.
        packed: u64,
        /// How many times as many may be.
        limit: u64,
    },
    /// A few bytes of code can name very much.
    #[error("its files import or link to more than {} MB of names", MAX_LEARNT >> 20)]
    Code,
    /// A path is not safe.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// A name that is not UTF-8, or does not say that it is.
    #[error("its name is not UTF-8, or not marked as UTF-8")]
    Name,
    /// A device, or something else that is no file.
    #[error("it is marked as a device, a pipe or a socket")]
    Kind,
    /// Encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// Packed by a method that wheels may not use.
    #[error("it is compressed by method {0}, and wheels use 0 (stored) or 8 (deflate)")]
    Method(u16),
    /// A folder that holds bytes.
    #[error("it is a directory with contents")]
    FolderWithBytes,
    /// The same path twice.
    #[error("the archive contains it twice")]
    Duplicate,
    /// A file below another file.
    #[error("it is below `{0}`, which is a file")]
    BelowFile(RelPath),
    /// The two headers of an entry do not agree.
    #[error("its local header and the central directory differ: {0}")]
    Headers(&'static str),
    /// Bytes that belong to no entry, or to two.
    #[error("{0}")]
    Layout(&'static str),
    /// The packed bytes make no stream.
    #[error(transparent)]
    Stream(#[from] inflate::Error),
    /// The bytes are not those that were packed.
    #[error("CRC-32 mismatch")]
    Checksum,
}
