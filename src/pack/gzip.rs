//! Gzip, one member, joined from streams that are deflated already.
//!
//! A wheel's entries are streams of deflate, and so is what gzip wraps. Such streams can follow one
//! another without being decoded: the bit that says "last block" is cleared, and what follows
//! begins where the stream ended. So contents from wheels are copied, and only what has no stream is
//! deflated here:
//!
//! - A run of bytes between two joined streams that is headers and padding alone is one block of our
//!   own encoding ([`Headers`]), which begins at the very bit where the stream before it ended.
//! - A run with other contents in it is cut into blocks of a fixed size, deflated on all cores, each
//!   with the end of the one before as its dictionary, each ended by a sync flush. So the bytes
//!   depend on the size of a block and not on how many are made at a time.
//! - Joined streams and deflated blocks begin on a byte; where the bits before do not end on one, an
//!   empty stored block fills up.
//!
//! <https://www.rfc-editor.org/rfc/rfc1952>, <https://www.rfc-editor.org/rfc/rfc1951>

use std::io::{self, Write};
use std::sync::Arc;

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;

use super::bits::{Bits, Headers};
use super::members::Members;
use super::sink::Sink;
use super::{Meter, groups, tar};
use crate::inflate::Tail;
use crate::tree::{Content, Member, Method};

/// How much one core compresses at a time.
const BLOCK: usize = 1 << 18;
/// What deflate can look back on.
const WINDOW: usize = 1 << 15;
/// How many blocks are kept per core before they are compressed; memory does not grow beyond.
const PER_CORE: usize = 4;
/// How many pieces of any kind are kept.
const PIECES: usize = 1024;
/// gzip's own default.
const LEVEL: u32 = 6;

/// No name, no time, and an operating system that is none: RFC 1952, section 2.3.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A part of the stream that waits for its turn.
enum Piece<'a> {
    /// Bytes that are headers and padding, and where they begin in the whole.
    Headers { bytes: Arc<Vec<u8>>, at: u64 },
    /// Bytes to be deflated, and those before them.
    Block {
        bytes: Arc<Vec<u8>>,
        before: Option<Arc<Vec<u8>>>,
    },
    /// A stream that is there already.
    Stream(&'a Member, Tail),
}

/// Makes a gzip file of the entries of a tar.
pub(super) struct Writer<'a, 's> {
    bits: Bits<&'s mut Sink>,
    members: Members,
    headers: Headers,
    crc: Hasher,
    /// Where the next byte lies in the whole.
    at: u64,
    /// The bytes before it that are in no piece yet.
    run: Vec<u8>,
    /// Whether there are contents among them.
    mixed: bool,
    /// The block before those, unless a joined stream came between.
    before: Option<Arc<Vec<u8>>>,
    pieces: Vec<Piece<'a>>,
    /// How many of the pieces are blocks, and how many may be.
    blocks: usize,
    limit: usize,
}

impl<'a, 's> Writer<'a, 's> {
    pub(super) fn new(out: &'s mut Sink) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self {
            bits: Bits::new(out),
            members: Members::default(),
            headers: Headers::default(),
            crc: Hasher::new(),
            at: 0,
            run: Vec::with_capacity(BLOCK),
            mixed: false,
            before: None,
            pieces: Vec::new(),
            blocks: 0,
            limit: rayon::current_num_threads().max(1) * PER_CORE,
        })
    }

    /// Writes what is left and the end of the member.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.cut()?;
        self.write_pieces()?;
        // A last block with nothing in it, by the fixed code.
        self.bits.put(0b011, 10)?;
        self.bits.pad()?;
        self.bits
            .out
            .write_all(&self.crc.finalize().to_le_bytes())?;
        // The length modulo 2^32, as the format has it.
        self.bits.out.write_all(&self.at.to_le_bytes()[..4])
    }

    fn collect(&mut self, mut bytes: &[u8], mixed: bool) -> io::Result<()> {
        while !bytes.is_empty() {
            let (here, rest) = bytes.split_at(bytes.len().min(BLOCK - self.run.len()));
            self.run.extend_from_slice(here);
            self.at += here.len() as u64;
            self.mixed |= mixed;
            if self.run.len() == BLOCK {
                self.cut()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Makes a piece of what was collected.
    fn cut(&mut self) -> io::Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(BLOCK);
        std::mem::swap(&mut bytes, &mut self.run);
        bytes.shrink_to_fit();
        let bytes = Arc::new(bytes);
        let before = self.before.replace(Arc::clone(&bytes));
        if std::mem::take(&mut self.mixed) {
            self.blocks += 1;
            self.add(Piece::Block { bytes, before })
        } else {
            let at = self.at - bytes.len() as u64;
            self.add(Piece::Headers { bytes, at })
        }
    }

    fn add(&mut self, piece: Piece<'a>) -> io::Result<()> {
        self.pieces.push(piece);
        if self.blocks >= self.limit || self.pieces.len() >= PIECES {
            self.write_pieces()?;
        }
        Ok(())
    }

    /// Deflates the blocks on all cores, and writes all pieces in their order.
    fn write_pieces(&mut self) -> io::Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        self.blocks = 0;
        let deflated: Vec<Vec<u8>> = pieces
            .par_iter()
            .filter_map(|piece| match piece {
                Piece::Block { bytes, before } => {
                    let before = before.as_ref().map_or(&[][..], |before| before.as_slice());
                    let dictionary = &before[before.len().saturating_sub(WINDOW)..];
                    Some(deflate(bytes, dictionary))
                }
                Piece::Headers { .. } | Piece::Stream(..) => None,
            })
            .collect::<io::Result<_>>()?;
        let mut deflated = deflated.into_iter();
        for piece in &pieces {
            match piece {
                Piece::Headers { bytes, at } => {
                    self.headers.encode(bytes, *at, &mut self.bits)?;
                    self.crc.update(bytes);
                }
                Piece::Block { bytes, .. } => {
                    self.bits.align()?;
                    self.bits
                        .out
                        .write_all(&deflated.next().unwrap_or_default())?;
                    self.crc.update(bytes);
                }
                Piece::Stream(member, tail) => {
                    self.join(member, *tail)?;
                    let crc = Hasher::new_with_initial_len(member.crc, member.size);
                    self.crc.combine(&crc);
                }
            }
        }
        Ok(())
    }

    /// Copies a stream, but for the bit that says that its last block is the last of all.
    fn join(&mut self, member: &Member, tail: Tail) -> io::Result<()> {
        self.bits.align()?;
        self.members.copy(member, self.bits.out, |at, bytes| {
            let index = (tail.start / 8).checked_sub(at);
            let index = index.and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = index.and_then(|index| bytes.get_mut(index)) {
                *byte &= !(1 << (tail.start % 8));
            }
        })?;
        // The bits behind its end, in its last byte, need not be zero.
        let left = (tail.end % 8) as u32;
        if left > 0 {
            let last = self.bits.out.pop().unwrap_or_default();
            self.bits.put(u32::from(last) & ((1 << left) - 1), left)?;
        }
        Ok(())
    }
}

impl<'a> tar::Out<'a> for Writer<'a, '_> {
    fn header(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.collect(bytes, false)
    }

    fn content(&mut self, content: &'a Content, meter: &Meter<'_>) -> io::Result<()> {
        if let Content::Member(member) = content
            && let Method::Deflated(tail) = member.method
            && worth_joining(member)
        {
            if member.size > 0 {
                self.cut()?;
                self.before = None;
                self.at += member.size;
                self.add(Piece::Stream(member, tail))?;
            }
            return meter.advance(member.size);
        }
        groups::copy(content, &mut Contents(self), meter)
    }
}

/// Collects what is written to it as contents.
struct Contents<'w, 'a, 's>(&'w mut Writer<'a, 's>);

impl Write for Contents<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.collect(bytes, true)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a stream is about as short as its bytes. Compressors store what does not compress in
/// blocks of 16 KiB or so, each with five bytes of its own; a stream far longer than that was made
/// to waste readers' time, or by mistake, and is deflated anew.
pub(super) fn worth_joining(member: &Member) -> bool {
    member.packed <= member.size + member.size / 256 + 64
}

/// One block as a part of a deflate stream that ends on a byte.
fn deflate(block: &[u8], dictionary: &[u8]) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    if !dictionary.is_empty() {
        compress
            .set_dictionary(dictionary)
            .map_err(io::Error::other)?;
    }
    let mut out = Vec::with_capacity(block.len() / 2 + 64);
    loop {
        let read = usize::try_from(compress.total_in()).map_err(io::Error::other)?;
        let status = compress
            .compress_vec(&block[read..], &mut out, FlushCompress::Sync)
            .map_err(io::Error::other)?;
        let all = compress.total_in() == block.len() as u64;
        // With room left over, the flush is complete.
        if all && out.len() < out.capacity() {
            return Ok(out);
        }
        if status == Status::StreamEnd {
            return Err(io::Error::other("deflate ended its stream early"));
        }
        out.reserve(block.len() / 4 + 64);
    }
}

#[cfg(test)]
mod tests;
