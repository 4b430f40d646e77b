//! Where a file's bytes are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::fs::TempDir;

use crate::code::Code;
use crate::digest::Digest;
use crate::fs;
use crate::inflate::{Inflater, Tail};
use crate::tree::RelPath;

/// Where a file's bytes are. Opened only when they are read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Content {
    /// Here: something that the installer made.
    Bytes(Arc<[u8]>),
    /// In a file of this machine.
    File {
        /// The path.
        path: PathBuf,
        /// Where in it the bytes begin.
        offset: u64,
        /// How many bytes.
        size: u64,
        /// Keeps a temporary folder alive as long as the file is needed.
        guard: Option<Arc<TempDir>>,
        /// What they ask of the place where they will run, if that was looked for.
        code: Option<Arc<Code>>,
    },
    /// In an archive that was checked.
    Member(Member),
}

/// An archive file of this machine.
#[derive(Debug)]
pub struct Archive {
    /// The path.
    pub path: PathBuf,
    /// Keeps a temporary folder alive as long as the archive is needed.
    pub guard: Option<Arc<TempDir>>,
}

/// A file in an archive that was checked: what it holds is known before it is read again.
#[derive(Debug, Clone)]
pub struct Member {
    /// The archive.
    pub archive: Arc<Archive>,
    /// Where in it the packed bytes begin.
    pub offset: u64,
    /// How many packed bytes there are.
    pub packed: u64,
    /// The CRC-32 of the packed bytes: tells a damaged archive for little.
    pub packed_crc: u32,
    /// How many bytes they stand for.
    pub size: u64,
    /// The CRC-32 of those.
    pub crc: u32,
    /// The SHA-256 of those.
    pub digest: Digest,
    /// How they are packed.
    pub method: Method,
    /// What they ask of the place where they will run, if they are code.
    pub code: Option<Arc<Code>>,
}

/// How a [`Member`] is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Method {
    /// As it is.
    Stored,
    /// As a stream of deflate, which ends thus.
    Deflated(Tail),
}

impl Content {
    /// How many bytes there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
            Self::Member(member) => member.size,
        }
    }

    /// The SHA-256 of the bytes, where it is known without reading them.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Member(member) => Some(member.digest),
            Self::Bytes(_) | Self::File { .. } => None,
        }
    }

    /// What the bytes ask of the place where they will run, where it is known without reading them.
    #[must_use]
    pub fn code(&self) -> Option<&Arc<Code>> {
        match self {
            Self::Member(member) => member.code.as_ref(),
            Self::File { code, .. } => code.as_ref(),
            Self::Bytes(_) => None,
        }
    }

    /// Whether this is native code (ELF). A file that cannot be read is none.
    #[must_use]
    pub fn is_native(&self) -> bool {
        match (self, self.code()) {
            (_, Some(code)) => code.elf.is_some(),
            // The check of an archive finds the code in all its members.
            (Self::Member(_), None) => false,
            (_, None) => {
                let mut start = [0; 4];
                let read = |mut reader: Reader<'_>| reader.read_exact(&mut start).is_ok();
                self.open().is_ok_and(read) && start == *b"\x7fELF"
            }
        }
    }

    /// The same of native code, which is read if it was not looked at; nothing if it is none.
    pub(crate) fn native(&self, path: &RelPath) -> Option<Arc<Code>> {
        if !self.is_native() {
            return None;
        }
        match self.code() {
            Some(code) => Some(Arc::clone(code)),
            None => Some(Arc::new(Code::of(path.as_str(), &self.read().ok()?))),
        }
    }

    /// Opens the bytes for reading. The reader yields [`size`](Self::size) bytes or fails: a file
    /// that shrank meanwhile is an error, not a damaged artifact.
    pub fn open(&self) -> Result<Reader<'_>, fs::Error> {
        let limited =
            |path, offset, left| fs::open_at(path, offset).map(|file| Limited { file, left });
        let buffered = |file: Limited| {
            let room = usize::try_from(file.left).map_or(BUFFER, |left| left.min(BUFFER));
            Source::File(BufReader::with_capacity(room, file))
        };
        let source = match self {
            Self::Bytes(bytes) => Source::Bytes(Cursor::new(bytes)),
            Self::File {
                path, offset, size, ..
            } => buffered(limited(path, *offset, *size)?),
            Self::Member(member) => {
                let packed = limited(&member.archive.path, member.offset, member.packed)?;
                let source = match member.method {
                    Method::Stored => buffered(packed),
                    Method::Deflated(_) => {
                        Source::Deflated(Box::new(Inflater::new(packed, member.size)))
                    }
                };
                return Ok(Reader {
                    source,
                    sum: Some((crc32fast::Hasher::new(), member.crc)),
                });
            }
        };
        Ok(Reader { source, sum: None })
    }

    /// Reads all bytes into memory.
    pub fn read(&self) -> Result<Vec<u8>, fs::Error> {
        let mut bytes = Vec::new();
        self.open()?
            .read_to_end(&mut bytes)
            .map_err(|source| fs::Error::new("read", self.path(), source))?;
        Ok(bytes)
    }

    /// The path for messages.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Bytes(_) => PathBuf::from("(in memory)"),
            Self::File { path, .. } => path.clone(),
            Self::Member(member) => member.archive.path.clone(),
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// How much of a file is read at a time, at most.
const BUFFER: usize = 1 << 17;

/// The bytes of a [`Content`].
#[derive(Debug)]
pub struct Reader<'a> {
    source: Source<'a>,
    /// The checksum of what was read, and what it must be in the end.
    sum: Option<(crc32fast::Hasher, u32)>,
}

#[derive(Debug)]
enum Source<'a> {
    Bytes(Cursor<&'a Arc<[u8]>>),
    File(BufReader<Limited>),
    Deflated(Box<Inflater<Limited>>),
}

impl Source<'_> {
    fn reader(&mut self) -> &mut dyn BufRead {
        match self {
            Self::Bytes(cursor) => cursor,
            Self::File(file) => file,
            Self::Deflated(inflater) => inflater,
        }
    }
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.source.reader().fill_buf()?;
        match &self.sum {
            Some((sum, expected)) if bytes.is_empty() && sum.clone().finalize() != *expected => {
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the checksum is wrong",
                ))
            }
            _ => Ok(bytes),
        }
    }

    fn consume(&mut self, count: usize) {
        let reader = self.source.reader();
        if let Some((sum, _)) = &mut self.sum
            && let Ok(bytes) = reader.fill_buf()
        {
            sum.update(&bytes[..count]);
        }
        reader.consume(count);
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// A file that must have so many bytes more.
#[derive(Debug)]
struct Limited {
    file: File,
    left: u64,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(io::Error::other("the file shrank while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
