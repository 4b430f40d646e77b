//! Bits of a stream of deflate, and headers of a tar as a block of it.
//!
//! Headers are deflated here rather than by a compressor, so that a compressor's new version moves
//! no byte of them. The encoding, which is a part of the format's version:
//!
//! - A run of headers and padding is one block of the fixed code (RFC 1951, 3.2.6).
//! - It is encoded from its first byte to its last, greedily. At each byte the choices are the byte
//!   itself; a copy from the byte before, for runs; and a copy from the header block of the same
//!   kind before this one (an entry's header, an extended header, its records), from the same place
//!   in it, if that lies no further back than 32 768 bytes; in a block with no such before it, a
//!   copy from eight bytes before, for equal fields.
//! - The longest copy is taken, the first of these among equals, if it is of 3 bytes or more for
//!   copies from the byte before, and of 4 or more for the others; no copy is longer than 258 bytes
//!   or goes beyond its block.

use std::io::{self, Write};

use super::tar::BLOCK;

/// What deflate can look back on.
const WINDOW: u64 = 1 << 15;
const MAX_COPY: usize = 258;

/// Bits on their way into `out`, the lowest of a byte first.
pub(super) struct Bits<W> {
    pub(super) out: W,
    word: u64,
    count: u32,
}

impl<W: Write> Bits<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            word: 0,
            count: 0,
        }
    }

    /// Writes the lowest `count` bits, at most 32.
    pub(super) fn put(&mut self, bits: u32, count: u32) -> io::Result<()> {
        self.word |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            let [a, b, c, d, ..] = self.word.to_le_bytes();
            self.out.write_all(&[a, b, c, d])?;
            self.word >>= 32;
            self.count -= 32;
        }
        Ok(())
    }

    /// Ends on a whole byte, with an empty stored block unless it is one already.
    pub(super) fn align(&mut self) -> io::Result<()> {
        if !self.count.is_multiple_of(8) {
            self.put(0, 3)?;
            self.pad()?;
            self.put(0xffff_0000, 32)?;
        }
        self.pad()
    }

    /// Fills up the last byte with zeros and writes it.
    pub(super) fn pad(&mut self) -> io::Result<()> {
        let whole = self.count.div_ceil(8) as usize;
        self.out.write_all(&self.word.to_le_bytes()[..whole])?;
        (self.word, self.count) = (0, 0);
        Ok(())
    }
}

/// Encodes runs of headers and padding.
#[derive(Default)]
pub(super) struct Headers {
    /// The last block of each kind, and where it lies in the whole.
    last: [Option<(u64, [u8; BLOCK])>; 3],
    /// How many blocks of records are still to come.
    records: u64,
}

// The kinds of blocks.
const HEADER: usize = 0;
const EXTENDED: usize = 1;
const RECORDS: usize = 2;

impl Headers {
    /// Writes `run`, which begins at `at` in the whole, as one block: padding up to a whole block,
    /// then blocks.
    pub(super) fn encode<W: Write>(
        &mut self,
        run: &[u8],
        at: u64,
        bits: &mut Bits<W>,
    ) -> io::Result<()> {
        bits.put(0b010, 3)?;
        let over = usize::try_from(at % BLOCK as u64).unwrap_or(0);
        let padding = if over == 0 { 0 } else { BLOCK - over };
        let (padding, blocks) = run.split_at(padding.min(run.len()));
        encode(padding, None, bits)?;
        let mut place = at + padding.len() as u64;
        for block in blocks.chunks(BLOCK) {
            let kind = self.kind(block);
            let before = self.last[kind]
                .as_ref()
                .filter(|(there, _)| place - there <= WINDOW)
                .map(|(there, block)| (place - there, block));
            encode(block, before, bits)?;
            if let Ok(block) = block.try_into() {
                self.last[kind] = Some((place, block));
            }
            place += block.len() as u64;
        }
        let (code, count) = LITERALS[256];
        bits.put(u32::from(code), u32::from(count))
    }

    fn kind(&mut self, block: &[u8]) -> usize {
        if self.records > 0 {
            self.records -= 1;
            return RECORDS;
        }
        if block.get(156) != Some(&b'x') {
            return HEADER;
        }
        let size = block.get(124..135).unwrap_or_default();
        let size = str::from_utf8(size).ok();
        let size = size.and_then(|size| u64::from_str_radix(size, 8).ok());
        self.records = size.unwrap_or(0).div_ceil(BLOCK as u64);
        EXTENDED
    }
}

fn encode<W: Write>(
    block: &[u8],
    before: Option<(u64, &[u8; BLOCK])>,
    bits: &mut Bits<W>,
) -> io::Result<()> {
    let equal = |a: &[u8], b: &[u8]| {
        let both = a.iter().zip(b).take(MAX_COPY);
        both.take_while(|(a, b)| a == b).count()
    };
    let mut at = 0;
    while at < block.len() {
        let rest = &block[at..];
        let run = if at > 0 {
            equal(rest, &block[at - 1..])
        } else {
            0
        };
        let (length, distance) = match before {
            Some((distance, before)) => (equal(rest, &before[at..]), distance),
            None if at >= 8 => (equal(rest, &block[at - 8..]), 8),
            None => (0, 0),
        };
        if run >= 3 && run >= length {
            copy(run, 1, bits)?;
            at += run;
        } else if length >= 4 {
            copy(length, distance, bits)?;
            at += length;
        } else {
            let (code, count) = LITERALS[usize::from(block[at])];
            bits.put(u32::from(code), u32::from(count))?;
            at += 1;
        }
    }
    Ok(())
}

/// A copy of `length` bytes from `distance` before.
fn copy<W: Write>(length: usize, distance: u64, bits: &mut Bits<W>) -> io::Result<()> {
    // Lengths and distances are parted by the number of bits that their base leaves open.
    let (symbol, extra, rest) = match length {
        258 => (285, 0, 0),
        _ => parted(length as u64 - 3, 2, 257),
    };
    let (code, count) = LITERALS[symbol];
    bits.put(u32::from(code), u32::from(count))?;
    bits.put(rest, extra)?;
    let (symbol, extra, rest) = parted(distance - 1, 1, 0);
    let code = u32::try_from(symbol).unwrap_or(0).reverse_bits() >> 27;
    bits.put(code, 5)?;
    bits.put(rest, extra)
}

/// The symbol of a number, how many bits follow it, and those. Numbers fall into groups of
/// `2^split` symbols; from the second group on, each group's symbols leave one bit more open.
fn parted(number: u64, split: u32, first: usize) -> (usize, u32, u32) {
    let extra = (number.max(1).ilog2()).saturating_sub(split);
    let symbol = (number >> extra) + u64::from(extra << split);
    let rest = number & ((1 << extra) - 1);
    (
        first + usize::try_from(symbol).unwrap_or(0),
        extra,
        u32::try_from(rest).unwrap_or(0),
    )
}

/// The fixed code of each symbol, its first bit lowest, and its length.
const LITERALS: [(u16, u8); 288] = {
    let mut table = [(0, 0); 288];
    let mut symbol = 0;
    while symbol < 288 {
        let (code, count): (u16, u8) = match symbol {
            0..144 => (0x30 + symbol, 8),
            144..256 => (0x190 + symbol - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (0xc0 + symbol - 280, 8),
        };
        table[symbol as usize] = (code.reverse_bits() >> (16 - count), count);
        symbol += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut inflated = Vec::new();
        flate2::read::DeflateDecoder::new(bytes)
            .read_to_end(&mut inflated)
            .unwrap();
        inflated
    }

    #[test]
    fn every_length_and_distance_has_its_code() {
        for distance in [
            1u64, 2, 3, 4, 5, 8, 9, 255, 256, 257, 4096, 4097, 32_767, 32_768,
        ] {
            for length in 3..=258usize {
                let mut bits = Bits::new(Vec::new());
                // A stored block to copy from.
                bits.put(0, 8).unwrap();
                let size = u16::try_from(distance).unwrap();
                bits.put(u32::from(size) | u32::from(!size) << 16, 32)
                    .unwrap();
                bits.pad().unwrap();
                let before: Vec<u8> = (0..distance)
                    .map(|at| ((at * at) >> 3).to_le_bytes()[0])
                    .collect();
                bits.out.extend_from_slice(&before);
                bits.put(0b011, 3).unwrap();
                copy(length, distance, &mut bits).unwrap();
                bits.put(0, 7).unwrap();
                bits.pad().unwrap();
                let expected: Vec<u8> = before.iter().cycle().copied().take(length).collect();
                assert_eq!(
                    inflate(&bits.out)[before.len()..],
                    expected,
                    "{length} from {distance}"
                );
            }
        }
    }

    proptest! {
        /// Whatever the blocks hold, and wherever they lie, they come back.
        #[test]
        fn any_blocks_come_back(
            changes in proptest::collection::vec((0usize..20 * BLOCK, any::<u8>()), 0..400),
            padding in 0usize..BLOCK,
        ) {
            let mut run = vec![0; padding + 20 * BLOCK];
            for (at, byte) in changes {
                run[padding + at] = byte;
            }
            let mut bits = Bits::new(Vec::new());
            Headers::default().encode(&run, (BLOCK - padding) as u64, &mut bits).unwrap();
            bits.align().unwrap();
            bits.put(0b011, 10).unwrap();
            bits.pad().unwrap();
            prop_assert!(inflate(&bits.out) == run);
        }
    }
}
