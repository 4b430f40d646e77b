//! The entries of a tar in groups, which are made on all cores and written in order.
//!
//! Where a group ends depends on the tree alone: behind a distribution's last file, or behind the
//! file with which it has come to 8 MiB.

use std::io::{self, Write};

use rayon::prelude::*;

use super::sink::Sink;
use super::{Meter, members, tar};
use crate::fs;
use crate::tree::Content;

/// How many bytes a group has before it ends.
const GROUP: u64 = 8 << 20;
/// With how many bytes a group is no longer made in memory, but straight into the file.
const LARGE: u64 = 32 << 20;
/// How many groups per core are made at a time.
const PER_CORE: usize = 2;

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
pub(super) struct Frames {
    pub(super) level: i32,
}

impl Make for Frames {
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
pub(super) struct Writer<'a, 's, 'm, M> {
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
            return self.make.make(&group, self.out, true, self.meter);
        }
        self.groups.push(group);
        if self.groups.len() >= self.limit {
            self.write_groups()?;
        }
        Ok(())
    }

    fn write_groups(&mut self) -> io::Result<()> {
        let groups = std::mem::take(&mut self.groups);
        let made: Vec<Vec<u8>> = groups
            .par_iter()
            .map(|group| {
                let mut bytes = Vec::new();
                self.make.make(group, &mut bytes, false, self.meter)?;
                Ok(bytes)
            })
            .collect::<io::Result<_>>()?;
        for bytes in made {
            self.out.write_all(&bytes)?;
        }
        Ok(())
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
