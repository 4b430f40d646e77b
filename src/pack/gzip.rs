//! Gzip, one member, compressed on all cores.
//!
//! The input is cut into blocks of a fixed size. Each is deflated by itself, with the end of the one
//! before as its dictionary, and ended by a sync flush; one after another they are one deflate
//! stream. So the bytes depend on the size of a block and not on how many are made at a time.
//!
//! <https://www.rfc-editor.org/rfc/rfc1952>

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;

/// How much one core compresses at a time.
const BLOCK: usize = 1 << 18;
/// What deflate can look back on.
const WINDOW: usize = 1 << 15;
/// How many blocks are kept per core before they are compressed; memory does not grow beyond.
const PER_CORE: usize = 4;
/// gzip's own default.
const LEVEL: u32 = 6;

/// No name, no time, and an operating system that is none: RFC 1952, section 2.3.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last block with nothing in it, by the fixed code.
const LAST: [u8; 2] = [0x03, 0x00];

/// Compresses what is written to it.
pub(super) struct Writer<W: Write> {
    out: W,
    blocks: Vec<Vec<u8>>,
    /// The end of what was compressed last.
    before: Vec<u8>,
    limit: usize,
    crc: Crc,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self {
            out,
            blocks: vec![Vec::with_capacity(BLOCK)],
            before: Vec::new(),
            limit: rayon::current_num_threads().max(1) * PER_CORE,
            crc: Crc::new(),
        })
    }

    /// Writes what is left and the end of the member.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.compress()?;
        self.out.write_all(&LAST)?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        // The length modulo 2^32, as the format has it.
        self.out.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.out)
    }

    fn compress(&mut self) -> io::Result<()> {
        let blocks = std::mem::replace(&mut self.blocks, vec![Vec::with_capacity(BLOCK)]);
        let before = &self.before;
        let compressed: Vec<(Vec<u8>, Crc)> = (0..blocks.len())
            .into_par_iter()
            .map(|index| {
                let before = if index == 0 {
                    before
                } else {
                    &blocks[index - 1]
                };
                let dictionary = &before[before.len().saturating_sub(WINDOW)..];
                let mut crc = Crc::new();
                crc.update(&blocks[index]);
                Ok((deflate(&blocks[index], dictionary)?, crc))
            })
            .collect::<io::Result<_>>()?;
        for (bytes, crc) in compressed {
            self.out.write_all(&bytes)?;
            self.crc.combine(&crc);
        }
        if let Some(last) = blocks.into_iter().rfind(|block| !block.is_empty()) {
            self.before = last;
        }
        Ok(())
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(block) = self.blocks.last_mut() else {
            return Ok(0);
        };
        let count = bytes.len().min(BLOCK - block.len());
        block.extend_from_slice(&bytes[..count]);
        if block.len() == BLOCK {
            if self.blocks.len() == self.limit {
                self.compress()?;
            } else {
                self.blocks.push(Vec::with_capacity(BLOCK));
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Blocks are full or last: an early one would make other bytes.
        Ok(())
    }
}

/// One block as a part of a deflate stream that ends on a byte.
fn deflate(block: &[u8], dictionary: &[u8]) -> io::Result<Vec<u8>> {
    if block.is_empty() {
        return Ok(Vec::new());
    }
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
