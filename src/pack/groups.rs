//! The entries of a tar in groups, which are made on all cores and written in order.
//!
//! Where a group ends depends on the tree alone: behind a distribution's last file, or behind the
//! file with which it has come to 8 MiB.

use std::fs::File;
use std::io::{self, Read as _, Write};

use rayon::prelude::*;

use super::sink::{BUFFER, Sink};
use super::{FORMAT_VERSION, Meter, members, tar};
use crate::cache::{self, Bucket, Cache, Lookup};
use crate::digest::{Digest, Hashing};
use crate::fs;
use crate::tree::Content;

/// How many bytes a group has before it ends.
const GROUP: u64 = 8 << 20;
/// With how many bytes a group is no longer made in memory, but straight into the file.
const LARGE: u64 = 32 << 20;
/// How many groups per core are made at a time.
const PER_CORE: usize = 8;

/// What is done with the bytes of a group.
pub(super) trait Make: Sync {
    /// Puts `group` into `out`.
    fn make(
        &self,
        group: &Group<'_>,
        out: &mut (impl Write + ?Sized),
        large: bool,
        meter: &Meter<'_>,
    ) -> io::Result<()>;

    /// Where what was made of a group is kept, if that pays, and what decides it besides the group.
    fn kept(&self) -> Option<(&Cache, String)> {
        None
    }
}

/// As they are: a tar.
pub(super) struct Plain;

impl Make for Plain {
    fn make(
        &self,
        group: &Group<'_>,
        out: &mut (impl Write + ?Sized),
        _: bool,
        meter: &Meter<'_>,
    ) -> io::Result<()> {
        group.copy(out, meter)
    }
}

/// Each group as a frame of zstd.
///
/// <https://www.rfc-editor.org/rfc/rfc8878>
pub(super) struct Frames<'a> {
    pub(super) level: i32,
    pub(super) cache: Option<&'a Cache>,
}

impl Make for Frames<'_> {
    fn make(
        &self,
        group: &Group<'_>,
        out: &mut (impl Write + ?Sized),
        large: bool,
        meter: &Meter<'_>,
    ) -> io::Result<()> {
        let mut frame = zstd::Encoder::new(out, self.level)?;
        frame.include_checksum(true)?;
        if large {
            // The bytes are the same for any number of workers, but not for none.
            let workers = rayon::current_num_threads().max(1);
            frame.multithread(u32::try_from(workers).unwrap_or(1))?;
        }
        group.copy(&mut frame, meter)?;
        frame.finish().map(drop)
    }

    fn kept(&self) -> Option<(&Cache, String)> {
        let Self { level, cache } = self;
        // Another version of the compressor may make other bytes, and so may threads.
        let compressor = zstd::zstd_safe::version_number();
        let decides = format!("zstd {compressor} {level} {LARGE} {FORMAT_VERSION}");
        Some(((*cache)?, decides))
    }
}

/// Some entries that follow one another.
#[derive(Default)]
pub(super) struct Group<'a> {
    parts: Vec<Part<'a>>,
    size: u64,
}

enum Part<'a> {
    Header(Vec<u8>),
    Content(&'a Content),
}

impl Group<'_> {
    /// The digest of all that decides what is made of it; `None` if it has contents that nobody has
    /// hashed.
    fn key(&self, decides: &str) -> Option<Digest> {
        let mut hashing = Hashing::new(io::sink());
        hashing.update(decides.as_bytes());
        for part in &self.parts {
            match part {
                // What a part is stands before it: no two lists of parts read the same.
                Part::Header(bytes) => {
                    hashing.update(b"header");
                    hashing.update(Digest::of(bytes).as_bytes());
                }
                Part::Content(content) => {
                    let digest = match content {
                        Content::Bytes(bytes) => Digest::of(bytes),
                        content => content.digest()?,
                    };
                    hashing.update(b"content");
                    hashing.update(digest.as_bytes());
                }
            }
        }
        let (_, digest, _) = hashing.finish();
        Some(digest)
    }

    fn copy(&self, out: &mut (impl Write + ?Sized), meter: &Meter<'_>) -> io::Result<()> {
        for part in &self.parts {
            match part {
                Part::Header(bytes) => out.write_all(bytes)?,
                Part::Content(content) => copy(content, out, meter)?,
            }
        }
        Ok(())
    }
}

/// Copies the bytes of a file.
pub(super) fn copy(
    content: &Content,
    out: &mut (impl Write + ?Sized),
    meter: &Meter<'_>,
) -> io::Result<()> {
    let mut reader = content.open().map_err(io::Error::other)?;
    loop {
        let bytes = io::BufRead::fill_buf(&mut reader).map_err(|source| match content {
            Content::Member(member) if source.kind() == io::ErrorKind::InvalidData => {
                members::damaged(member)
            }
            content => io::Error::other(fs::Error::new("read", content.path(), source)),
        })?;
        if bytes.is_empty() {
            return Ok(());
        }
        out.write_all(bytes)?;
        let count = bytes.len();
        io::BufRead::consume(&mut reader, count);
        meter.advance(count as u64)?;
    }
}

/// Makes the groups of a tar and writes them.
pub(super) struct Writer<'a, 's, 'm, M: Make> {
    out: &'s mut Sink,
    make: M,
    meter: &'m Meter<'m>,
    group: Group<'a>,
    groups: Vec<Group<'a>>,
    limit: usize,
}

impl<'s, 'm, M: Make> Writer<'_, 's, 'm, M> {
    pub(super) fn new(out: &'s mut Sink, make: M, meter: &'m Meter<'m>) -> Self {
        Self {
            out,
            make,
            meter,
            group: Group::default(),
            groups: Vec::new(),
            limit: rayon::current_num_threads().max(1) * PER_CORE,
        }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end_group()?;
        self.write_groups()
    }

    fn end_group(&mut self) -> io::Result<()> {
        let group = std::mem::take(&mut self.group);
        if group.parts.is_empty() {
            return Ok(());
        }
        if group.size >= LARGE {
            self.write_groups()?;
            return match self.make_kept(&group, true)? {
                Some(piece) => self.copy_kept(&piece),
                None => self.make.make(&group, self.out, true, self.meter),
            };
        }
        self.groups.push(group);
        if self.groups.len() >= self.limit {
            self.write_groups()?;
        }
        Ok(())
    }

    fn write_groups(&mut self) -> io::Result<()> {
        let groups = std::mem::take(&mut self.groups);
        let made: Vec<Made> = groups
            .par_iter()
            .map(|group| {
                if let Some(piece) = self.make_kept(group, false)? {
                    return Ok(Made::Kept(piece));
                }
                let mut bytes = Vec::new();
                self.make.make(group, &mut bytes, false, self.meter)?;
                Ok(Made::Here(bytes))
            })
            .collect::<io::Result<_>>()?;
        for made in made {
            match made {
                Made::Here(bytes) => self.out.write_all(&bytes)?,
                Made::Kept(piece) => self.copy_kept(&piece)?,
            }
        }
        Ok(())
    }

    /// What is made of a group, as a file in the cache, if it is kept there.
    fn make_kept(&self, group: &Group<'_>, large: bool) -> io::Result<Option<Piece>> {
        let Some((cache, decides)) = self.make.kept() else {
            return Ok(None);
        };
        let Some(key) = group.key(&decides) else {
            return Ok(None);
        };
        if let Lookup::Hit(entry) = cache.lookup(Bucket::Pieces, &key)
            && sum(&entry).is_some()
        {
            return Ok(Some(Piece {
                entry,
                size: group.size,
            }));
        }
        let entry = cache.insert(Bucket::Pieces, &key, |folder| -> io::Result<()> {
            let mut file = Summing {
                file: fs::create_new(&folder.join(PIECE)).map_err(io::Error::other)?,
                sum: crc32fast::Hasher::new(),
            };
            // What is made is counted when it is copied.
            self.make
                .make(group, &mut file, large, &self.meter.silent())?;
            let sum = file.sum.finalize().to_le_bytes();
            fs::write_new(&folder.join(SUM), &sum).map_err(io::Error::other)
        })?;
        Ok(Some(Piece {
            entry,
            size: group.size,
        }))
    }

    /// Copies what is kept.
    fn copy_kept(&mut self, piece: &Piece) -> io::Result<()> {
        let path = piece.entry.path(PIECE).unwrap_or_default();
        let mut file = fs::open(&path).map_err(io::Error::other)?;
        let mut left = fs::size(&path);
        let mut sum_now = crc32fast::Hasher::new();
        while left > 0 {
            let count = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            self.out.fill(count, |bytes| {
                file.read_exact(bytes)
                    .map_err(|source| io::Error::other(fs::Error::new("read", &path, source)))?;
                sum_now.update(bytes);
                Ok(())
            })?;
            left -= count as u64;
        }
        if sum(&piece.entry) != Some(sum_now.finalize()) {
            return Err(io::Error::other(members::Damaged(path)));
        }
        self.meter.advance(piece.size)
    }
}

/// The files of a piece that is kept: its bytes, and their CRC-32.
const PIECE: &str = "piece";
const SUM: &str = "crc32";

fn sum(entry: &cache::Entry) -> Option<u32> {
    let bytes = fs::read_at_most(&entry.path(SUM)?, 4).ok()?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// What became of a group.
enum Made {
    Here(Vec<u8>),
    Kept(Piece),
}

/// A group that is kept.
struct Piece {
    entry: cache::Entry,
    /// How many bytes it was made of.
    size: u64,
}

/// Takes a checksum of what it writes.
struct Summing {
    file: File,
    sum: crc32fast::Hasher,
}

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<'a, M: Make> tar::Out<'a> for Writer<'a, '_, '_, M> {
    fn header(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(Part::Header(last)) = self.group.parts.last_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.group.parts.push(Part::Header(bytes.to_vec()));
        }
        Ok(())
    }

    fn content(&mut self, content: &'a Content, _: &Meter<'_>) -> io::Result<()> {
        self.group.parts.push(Part::Content(content));
        self.group.size += content.size();
        if self.group.size >= GROUP {
            self.end_group()?;
        }
        Ok(())
    }

    fn boundary(&mut self) -> io::Result<()> {
        self.end_group()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_decides_a_piece_changes_its_key() {
        let content = |bytes: &[u8]| Content::from(bytes.to_vec());
        let (a, b, ab) = (content(b"a"), content(b"b"), content(b"ab"));
        let header = |bytes: &[u8]| Part::Header(bytes.to_vec());
        let key = |decides: &str, parts: Vec<Part<'_>>| {
            let group = Group { parts, size: 0 };
            group.key(decides).unwrap().hex()
        };
        let keys = BTreeSet::from([
            key("zstd 3", vec![header(b"h"), Part::Content(&a)]),
            key("zstd 4", vec![header(b"h"), Part::Content(&a)]),
            key("zstd 3", vec![header(b"i"), Part::Content(&a)]),
            key("zstd 3", vec![header(b"h"), Part::Content(&b)]),
            key("zstd 3", vec![Part::Content(&a), header(b"h")]),
            key("zstd 3", vec![Part::Content(&a), Part::Content(&b)]),
            key("zstd 3", vec![Part::Content(&ab)]),
            key("zstd 3", vec![header(b"a"), header(b"b")]),
            key("zstd 3", vec![header(b"ab")]),
        ]);
        assert_eq!(keys.len(), 9);
    }
}
