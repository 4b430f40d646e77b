//! Inflating, and where in a stream of deflate its last block begins and ends.
//!
//! Joining streams without decoding them (the packer's whole speed) takes two facts of each: the bit
//! at which the last block begins, which says that it is the last, and the bit behind its end. They
//! are learnt here, in the pass that checks the bytes. No kept library tells them through a safe
//! interface: zlib's `Z_BLOCK` does, in C's shape.
//!
//! What is accepted is what zlib accepts, so what pip can install can be read; a distance before the
//! stream's first byte is an error, so each stream stands alone.
//!
//! <https://www.rfc-editor.org/rfc/rfc1951>

#![expect(
    clippy::cast_possible_truncation,
    reason = "bits are taken out of words, and tables hold no more than their types do"
)]

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

/// Where the last block of a stream lies, in bits from the stream's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Where its header begins; the first bit there says that it is the last.
    pub start: u64,
    /// The bit behind its end, where the stream ends.
    pub end: u64,
}

/// What is wrong with a stream of deflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It ends too early.
    #[error("the deflate stream ends in the middle")]
    Truncated,
    /// It ends before the input does.
    #[error("there are bytes behind the end of the deflate stream")]
    Trailing,
    /// A block of a kind that there is not.
    #[error("the deflate stream has a block of an unknown kind")]
    BlockKind,
    /// A stored block whose length and its complement do not agree.
    #[error("the deflate stream has a stored block whose length is damaged")]
    StoredLength,
    /// Code lengths that make no code.
    #[error("the deflate stream has a code that is none")]
    Code,
    /// Bits that stand for nothing in the block's code.
    #[error("the deflate stream has a symbol that its code does not know")]
    Symbol,
    /// A copy from before the first byte.
    #[error("the deflate stream copies from before its start")]
    Distance,
    /// More bytes than were said.
    #[error("the deflate stream holds more bytes than it should")]
    TooLong,
    /// Fewer bytes than were said.
    #[error("the deflate stream holds fewer bytes than it should")]
    TooShort,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// How far back deflate can look.
const WINDOW: usize = 1 << 15;
/// How much is made at a time, at most.
const CHUNK: usize = 1 << 18;
/// How much is read at a time, at most.
const INPUT: usize = 1 << 16;
/// A turn of the inner loop may begin at the last byte of a chunk: two literals and a copy, which is
/// made sixteen bytes at a time.
const SLACK: usize = 2 + 258 + 16;
/// Zeros behind the end of the input, so that bits can be fetched eight bytes at a time. One turn of
/// the inner loop takes at most 15 + 48 bits and fetches at most 24 bytes.
const PADDING: usize = 32;

/// Inflates what `R` yields, which must be one whole stream of deflate and no more.
#[derive(Debug)]
pub struct Inflater<R> {
    packed: R,
    input: Vec<u8>,
    /// How many bytes of `input` came from `packed`.
    filled: usize,
    /// Whether `packed` has no more.
    ended: bool,
    /// How many bytes were in `input` before those that are there now.
    passed: u64,
    bits: Bits,
    output: Vec<u8>,
    /// What of `output` was made and not yet handed out.
    from: usize,
    to: usize,
    /// How many bytes may still be made.
    left: u64,
    state: State,
    last: bool,
    tail: Tail,
    tables: Box<Tables>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Stored(usize),
    Coded,
    Done,
}

/// The next bits of the input: `count` of them are in `word`, the lowest first.
///
/// Above them `word` may hold bits that are not counted yet; those are what the input has there.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    word: u64,
    count: u32,
    /// The byte of the input behind the counted bits.
    at: usize,
}

impl Bits {
    /// Fetches bits until there are at least 56. Where the input has no eight bytes more, as it
    /// always has inside the inner loop, there are none.
    #[inline]
    fn refill(&mut self, input: &[u8]) {
        if let Some(bytes) = input.get(self.at..self.at + 8) {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            self.word |= u64::from_le_bytes(eight).wrapping_shl(self.count);
            self.at += ((!self.count & 63) >> 3) as usize;
            self.count |= 0b11_1000;
        }
    }

    #[inline]
    fn drop(&mut self, count: u32) {
        self.word >>= count;
        self.count -= count;
    }

    /// Drops as many bits as the low byte of a table's entry says; the inner loop's way, which leaves
    /// what the rest of the entry holds in `count`, above the six bits that count.
    #[inline]
    fn skip(&mut self, entry: u32) {
        self.word = self.word.wrapping_shr(entry);
        self.count = self.count.wrapping_sub(entry);
    }

    #[inline]
    fn take(&mut self, count: u32) -> u32 {
        let taken = low(self.word, count);
        self.drop(count);
        taken
    }
}

/// The lowest `count` bits, at most 31.
#[inline]
fn low(word: u64, count: u32) -> u32 {
    (word as u32) & ((1 << count) - 1)
}

impl<R: Read> Inflater<R> {
    /// An inflater for a stream that stands for `size` bytes.
    pub fn new(packed: R, size: u64) -> Self {
        // Little for little: there are many small files. One byte more has room than there should
        // be, which tells that there are too many.
        let size_here = usize::try_from(size).unwrap_or(CHUNK);
        let room = if size_here < CHUNK {
            size_here + 1
        } else {
            WINDOW + CHUNK
        };
        Self {
            packed,
            input: vec![0; room.clamp(256, INPUT) + PADDING],
            filled: 0,
            ended: false,
            passed: 0,
            bits: Bits::default(),
            output: vec![0; room + SLACK],
            from: 0,
            to: 0,
            left: size,
            state: State::Header,
            last: false,
            tail: Tail { start: 0, end: 0 },
            tables: Box::default(),
        }
    }

    /// What it reads from.
    pub fn into_inner(self) -> R {
        self.packed
    }

    /// Where the last block lies; known once all was read.
    pub fn tail(&self) -> Option<Tail> {
        (self.state == State::Done).then_some(self.tail)
    }

    /// The bits that were used so far.
    fn used(&self) -> u64 {
        (self.passed + self.bits.at as u64) * 8 - u64::from(self.bits.count)
    }

    /// Makes sure that no bits were used that are not there.
    fn within(&self) -> Result<(), Error> {
        if self.ended && self.used() > (self.passed + self.filled as u64) * 8 {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Makes more of the output.
    fn advance(&mut self) -> io::Result<()> {
        // Only the window is kept of what was handed out.
        let limit = self.output.len() - SLACK;
        if self.to >= limit {
            let keep = self.to.min(WINDOW);
            self.output.copy_within(self.to - keep..self.to, 0);
            (self.from, self.to) = (keep, keep);
        }
        while self.from == self.to && self.state != State::Done {
            self.fill()?;
            let stepped = self.step(limit);
            // What was made of the zeros behind the end says nothing.
            self.within()?;
            stepped?;
            let made = (self.to - self.from) as u64;
            if made > self.left {
                return Err(Error::TooLong.into());
            }
            if self.state == State::Done {
                self.finish(made)?;
            }
        }
        self.left -= (self.to - self.from) as u64;
        Ok(())
    }

    /// Reads a block's header, or decodes some of a block.
    fn step(&mut self, limit: usize) -> io::Result<()> {
        match self.state {
            State::Header => self.header(),
            State::Stored(left) => Ok(self.stored(left)?),
            State::Coded => {
                if self.coded(limit)? {
                    self.block_end();
                }
                Ok(())
            }
            State::Done => Ok(()),
        }
    }

    fn block_end(&mut self) {
        self.state = if self.last {
            State::Done
        } else {
            State::Header
        };
    }

    /// Looks whether all is as it was said.
    fn finish(&mut self, made: u64) -> io::Result<()> {
        self.tail.end = self.used();
        if made < self.left {
            return Err(Error::TooShort.into());
        }
        // Counted from the stream's start: bits that were fetched and not used may have left `input`.
        let read = self.passed + self.filled as u64;
        if self.tail.end.div_ceil(8) < read || (!self.ended && self.packed.read(&mut [0])? > 0) {
            return Err(Error::Trailing.into());
        }
        Ok(())
    }

    /// Makes sure that the input holds what a turn of any loop takes; zeros stand behind its end.
    fn fill(&mut self) -> io::Result<()> {
        if self.ended || self.bits.at + 2 * PADDING <= self.filled {
            return Ok(());
        }
        // Whole bytes are given back, and fetched again: so there are never more of them in `bits` than
        // were fetched from `input` as it is.
        self.bits.at -= (self.bits.count / 8) as usize;
        self.bits.count %= 8;
        self.bits.word &= (1 << self.bits.count) - 1;
        self.input.copy_within(self.bits.at..self.filled, 0);
        self.passed += self.bits.at as u64;
        self.filled -= self.bits.at;
        self.bits.at = 0;
        let room = self.input.len() - PADDING;
        while self.filled < room {
            match self.packed.read(&mut self.input[self.filled..room]) {
                Ok(0) => {
                    self.ended = true;
                    self.input[self.filled..].fill(0);
                    break;
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<()> {
        self.tail.start = self.used();
        self.bits.refill(&self.input);
        self.last = self.bits.take(1) == 1;
        match self.bits.take(2) {
            0 => {
                self.bits.drop(self.bits.count % 8);
                self.bits.refill(&self.input);
                let length = self.bits.take(16);
                if self.bits.take(16) != !length & 0xffff {
                    return Err(Error::StoredLength.into());
                }
                // The rest is bytes: what was fetched of them is given back.
                self.bits.at -= (self.bits.count / 8) as usize;
                (self.bits.word, self.bits.count) = (0, 0);
                self.state = State::Stored(length as usize);
                if length == 0 {
                    self.block_end();
                }
            }
            1 => {
                self.tables.fix()?;
                self.state = State::Coded;
            }
            2 => {
                self.dynamic()?;
                self.state = State::Coded;
            }
            _ => return Err(Error::BlockKind.into()),
        }
        Ok(())
    }

    fn stored(&mut self, left: usize) -> Result<(), Error> {
        let here = self.filled.saturating_sub(self.bits.at);
        let room = (self.output.len() - SLACK).saturating_sub(self.to);
        let count = left.min(here).min(room);
        if count == 0 {
            return Err(Error::Truncated);
        }
        self.output[self.to..self.to + count]
            .copy_from_slice(&self.input[self.bits.at..self.bits.at + count]);
        self.to += count;
        self.bits.at += count;
        self.state = State::Stored(left - count);
        if left == count {
            self.block_end();
        }
        Ok(())
    }

    /// The codes of a block that brings its own: RFC 1951, section 3.2.7.
    fn dynamic(&mut self) -> io::Result<()> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        self.bits.refill(&self.input);
        let literals = self.bits.take(5) as usize + 257;
        let distances = self.bits.take(5) as usize + 1;
        let count = self.bits.take(4) as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(Error::Code.into());
        }
        let mut lengths = [0; 19];
        for place in &ORDER[..count] {
            self.bits.refill(&self.input);
            lengths[*place] = u8::try_from(self.bits.take(3)).unwrap_or(0);
        }
        build(
            &lengths,
            &mut self.tables.lengths,
            7,
            Whole::Must,
            |symbol| u32::try_from(symbol).unwrap_or(0) << BASE,
        )?;
        let mut lengths = [0; 286 + 30];
        let all = literals + distances;
        let mut index = 0;
        while index < all {
            self.within()?;
            self.fill()?;
            self.bits.refill(&self.input);
            let entry = self.tables.lengths[low(self.bits.word, 7) as usize];
            if entry & EXCEPTION != 0 {
                return Err(Error::Symbol.into());
            }
            self.bits.drop(entry & 0xff);
            let symbol = u8::try_from(entry >> BASE).unwrap_or(0);
            let (value, times) = match symbol {
                16 if index == 0 => return Err(Error::Code.into()),
                16 => (lengths[index - 1], 3 + self.bits.take(2)),
                17 => (0, 3 + self.bits.take(3)),
                18 => (0, 11 + self.bits.take(7)),
                length => (length, 1),
            };
            let times = times as usize;
            if index + times > all {
                return Err(Error::Code.into());
            }
            lengths[index..index + times].fill(value);
            index += times;
        }
        // A block without a code for its end would have none.
        if lengths[256] == 0 {
            return Err(Error::Code.into());
        }
        self.tables
            .set(&lengths[..literals], &lengths[literals..all])?;
        self.tables.fixed = false;
        Ok(())
    }

    /// Decodes until the block ends, which it tells, or the output is full, or the input is short.
    fn coded(&mut self, limit: usize) -> Result<bool, Error> {
        let input = self.input.as_slice();
        let output = self.output.as_mut_slice();
        let tables = &*self.tables;
        let mut bits = self.bits;
        let mut to = self.to;
        // Before the end of the input, bits must not be fetched that are not there yet.
        let stop = if self.ended {
            self.filled + 8
        } else {
            self.filled.saturating_sub(PADDING)
        };
        let mut ended = false;
        bits.refill(input);
        let mut entry = tables.literals[low(bits.word, LITERAL_BITS) as usize];
        while to < limit && bits.at <= stop {
            // 56 bits are at hand, and `entry` is what the next of them index.
            if entry & LITERAL != 0 {
                bits.skip(entry);
                output[to] = (entry >> BASE) as u8;
                to += 1;
                entry = tables.literals[low(bits.word, LITERAL_BITS) as usize];
                if entry & LITERAL != 0 {
                    bits.skip(entry);
                    output[to] = (entry >> BASE) as u8;
                    to += 1;
                    entry = tables.literals[low(bits.word, LITERAL_BITS) as usize];
                    if entry & LITERAL != 0 {
                        bits.skip(entry);
                        output[to] = (entry >> BASE) as u8;
                        to += 1;
                        bits.refill(input);
                        entry = tables.literals[low(bits.word, LITERAL_BITS) as usize];
                        continue;
                    }
                }
            }
            if entry & EXCEPTION != 0 {
                if entry & SUBTABLE != 0 {
                    let index = (entry >> BASE) + (low(bits.word, entry & 0xff) >> LITERAL_BITS);
                    entry = tables.literals[index as usize % LITERAL_SIZE];
                    if entry & LITERAL != 0 {
                        bits.skip(entry);
                        output[to] = (entry >> BASE) as u8;
                        to += 1;
                        bits.refill(input);
                        entry = tables.literals[low(bits.word, LITERAL_BITS) as usize];
                        continue;
                    }
                }
                if entry & EXCEPTION != 0 {
                    if entry & END == 0 {
                        return Err(Error::Symbol);
                    }
                    bits.skip(entry);
                    ended = true;
                    break;
                }
            }
            let length = value(bits.word, entry);
            bits.skip(entry);
            bits.refill(input);
            let mut distance = tables.distances[low(bits.word, DISTANCE_BITS) as usize];
            if distance & EXCEPTION != 0 {
                if distance & SUBTABLE == 0 {
                    return Err(Error::Symbol);
                }
                let index = (distance >> BASE) + (low(bits.word, distance & 0xff) >> DISTANCE_BITS);
                distance = tables.distances[index as usize % DISTANCE_SIZE];
                if distance & EXCEPTION != 0 {
                    return Err(Error::Symbol);
                }
            }
            let back = value(bits.word, distance);
            bits.skip(distance);
            if back > to {
                return Err(Error::Distance);
            }
            // The next symbol is looked up before the copy, which takes its time.
            bits.refill(input);
            entry = tables.literals[low(bits.word, LITERAL_BITS) as usize];
            copy(output, to, back, length);
            to += length;
        }
        bits.count &= 63;
        self.bits = bits;
        self.to = to;
        Ok(ended)
    }
}

/// Copies `length` bytes from `distance` before `to`; up to 15 more are overwritten behind them.
#[inline]
fn copy(output: &mut [u8], to: usize, distance: usize, length: usize) {
    let from = to - distance;
    if distance >= 16 {
        copy_by::<16>(output, from, to, length);
    } else if distance >= 8 {
        copy_by::<8>(output, from, to, length);
    } else if distance == 1 {
        let byte = output[from];
        output[to..to + length].fill(byte);
    } else if distance >= 4 {
        copy_by::<4>(output, from, to, length);
    } else {
        for done in 0..length {
            output[to + done] = output[from + done];
        }
    }
}

/// Copies so many bytes at a time, which must not be more than what lies between the two.
#[inline]
fn copy_by<const N: usize>(output: &mut [u8], from: usize, to: usize, length: usize) {
    // One slice that holds both, so that there is one look at its end.
    let both = &mut output[from..to + length + N];
    let ahead = to - from;
    let mut done = 0;
    loop {
        let mut some = [0; N];
        some.copy_from_slice(&both[done..done + N]);
        both[ahead + done..ahead + done + N].copy_from_slice(&some);
        done += N;
        if done >= length {
            break;
        }
    }
}

impl<R: Read> BufRead for Inflater<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from == self.to {
            self.advance()?;
        }
        Ok(&self.output[self.from..self.to])
    }

    fn consume(&mut self, count: usize) {
        self.from = (self.from + count).min(self.to);
    }
}

impl<R: Read> Read for Inflater<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let here = self.fill_buf()?;
        let count = here.len().min(buffer.len());
        buffer[..count].copy_from_slice(&here[..count]);
        self.consume(count);
        Ok(count)
    }
}

// An entry of a table: in the low byte the bits of the code and of what follows it, in bits 8 to 11
// those of the code alone, from bit 16 the symbol's value.
const CODE: u32 = 8;
const BASE: u32 = 16;
/// Neither a literal nor a length.
const EXCEPTION: u32 = 1 << 15;
/// The code is longer than the index: the value is where its own table begins, the low byte how
/// many bits index both.
const SUBTABLE: u32 = 1 << 14;
/// The end of the block.
const END: u32 = 1 << 13;
const LITERAL: u32 = 1 << 31;

const LITERAL_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 8;
// Powers of two that hold every table of 288 symbols indexed by 11 bits, or 32 by 8, with what their
// longer codes take: 2342 and 402 entries at most, by zlib's program `enough`.
const LITERAL_SIZE: usize = 4096;
const DISTANCE_SIZE: usize = 512;

/// The number that an entry and the bits behind its code stand for.
#[inline]
fn value(word: u64, entry: u32) -> usize {
    ((entry >> BASE) + (low(word, entry & 0xff) >> ((entry >> CODE) & 0xf))) as usize
}

#[derive(Debug)]
struct Tables {
    lengths: [u32; 128],
    literals: [u32; LITERAL_SIZE],
    distances: [u32; DISTANCE_SIZE],
    /// Whether they are those of the fixed codes.
    fixed: bool,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            lengths: [0; 128],
            literals: [0; LITERAL_SIZE],
            distances: [0; DISTANCE_SIZE],
            fixed: false,
        }
    }
}

/// Which codes are let through that leave bits without a meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// None.
    Must,
    /// One code of one bit, or no code at all: what encoders write that use one distance or none.
    May,
}

impl Tables {
    /// The fixed codes: RFC 1951, section 3.2.6.
    fn fix(&mut self) -> Result<(), Error> {
        if self.fixed {
            return Ok(());
        }
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.set(&lengths, &[5; 32])?;
        self.fixed = true;
        Ok(())
    }

    fn set(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), Error> {
        build(
            literals,
            &mut self.literals,
            LITERAL_BITS,
            Whole::May,
            |symbol| match symbol {
                0..=255 => LITERAL | u32::try_from(symbol).unwrap_or(0) << BASE,
                256 => EXCEPTION | END,
                257..=285 => {
                    let (base, extra) = LENGTHS[symbol - 257];
                    u32::from(base) << BASE | u32::from(extra)
                }
                _ => EXCEPTION,
            },
        )?;
        build(
            distances,
            &mut self.distances,
            DISTANCE_BITS,
            Whole::May,
            |symbol| match DISTANCES.get(symbol) {
                Some((base, extra)) => u32::from(*base) << BASE | u32::from(*extra),
                None => EXCEPTION,
            },
        )
    }
}

/// For each symbol from 257: the shortest length, and how many bits are added. RFC 1951, 3.2.5.
const LENGTHS: [(u16, u8); 29] = {
    let mut table = [(0, 0); 29];
    let mut symbol = 0;
    let mut base = 3;
    while symbol < 28 {
        let extra = if symbol < 8 { 0 } else { (symbol - 4) / 4 };
        table[symbol] = (base, extra as u8);
        base += 1 << extra;
        symbol += 1;
    }
    table[28] = (258, 0);
    table
};

/// For each symbol: the shortest distance, and how many bits are added.
const DISTANCES: [(u16, u8); 30] = {
    let mut table = [(0, 0); 30];
    let mut symbol = 0;
    let mut base = 1;
    while symbol < 30 {
        let extra = if symbol < 4 { 0 } else { (symbol - 2) / 2 };
        table[symbol] = (base, extra as u8);
        base = (base as u32 + (1 << extra)) as u16;
        symbol += 1;
    }
    table
};

/// Fills `table`, indexed by the next `index_bits` bits, from the lengths of the codes of symbols
/// 0, 1, 2…. `entry` gives a symbol's entry with, in its low byte, the bits that follow the code.
fn build(
    lengths: &[u8],
    table: &mut [u32],
    index_bits: u32,
    whole: Whole,
    entry: impl Fn(usize) -> u32,
) -> Result<(), Error> {
    let mut counts = [0u32; 16];
    for length in lengths {
        counts[usize::from(*length & 15)] += 1;
    }
    counts[0] = 0;
    // How much of the space of codes is left.
    let mut left = 1i64;
    for count in &counts[1..] {
        left = 2 * left - i64::from(*count);
        if left < 0 {
            return Err(Error::Code);
        }
    }
    let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    if left > 0 && (whole == Whole::Must || longest > 1) {
        return Err(Error::Code);
    }
    // Symbols by length, then by number: the order of their codes.
    let mut starts = [0usize; 17];
    for length in 1..16 {
        starts[length + 1] = starts[length] + counts[length] as usize;
    }
    let mut sorted = [0u16; 320];
    let mut next_place = starts;
    for (symbol, length) in lengths.iter().enumerate() {
        if *length > 0 {
            let place = &mut next_place[usize::from(*length)];
            sorted[*place] = u16::try_from(symbol).unwrap_or(0);
            *place += 1;
        }
    }
    let main = 1usize << index_bits;
    if left > 0 {
        table[..main].fill(EXCEPTION);
    }
    let mut code = 0u32;
    let mut free = main;
    let mut sub_start = 0;
    let mut sub_bits = 0;
    let mut prefix = u32::MAX;
    for length in 1..16u32 {
        let symbols = &sorted[starts[length as usize]..starts[length as usize + 1]];
        for (index, symbol) in symbols.iter().enumerate() {
            let made = entry(usize::from(*symbol));
            let made = (made & !0xff) | length << CODE | (length + (made & 0xff));
            // Codes come with their first bit lowest.
            let reversed = code.reverse_bits() >> (32 - length);
            if length <= index_bits {
                for slot in table[reversed as usize..main]
                    .iter_mut()
                    .step_by(1 << length)
                {
                    *slot = made;
                }
            } else {
                let low = reversed & ((1 << index_bits) - 1);
                if low != prefix {
                    prefix = low;
                    // As many bits as the codes with this beginning take up.
                    sub_bits = length - index_bits;
                    let mut room = 1i64 << sub_bits;
                    room -= i64::try_from(symbols.len() - index).unwrap_or(0);
                    while room > 0 && index_bits + sub_bits < 15 {
                        sub_bits += 1;
                        room = 2 * room - i64::from(counts[(index_bits + sub_bits) as usize]);
                    }
                    sub_start = free;
                    free += 1 << sub_bits;
                    if free > table.len() {
                        return Err(Error::Code);
                    }
                    table[low as usize] = EXCEPTION
                        | SUBTABLE
                        | u32::try_from(sub_start).unwrap_or(0) << BASE
                        | (index_bits + sub_bits);
                }
                let step = 1usize << (length - index_bits);
                let first = sub_start + (reversed >> index_bits) as usize;
                for slot in table[first..sub_start + (1 << sub_bits)]
                    .iter_mut()
                    .step_by(step)
                {
                    *slot = made;
                }
            }
            code += 1;
        }
        code <<= 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
