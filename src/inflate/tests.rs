use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use super::*;

fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn inflate(packed: &[u8], size: u64) -> io::Result<(Vec<u8>, Tail)> {
    let mut inflater = Inflater::new(packed, size);
    let mut bytes = Vec::new();
    inflater.read_to_end(&mut bytes)?;
    Ok((bytes, inflater.tail().unwrap()))
}

fn refused(packed: &[u8], size: u64) -> Error {
    let error = inflate(packed, size).unwrap_err();
    *error.get_ref().unwrap().downcast_ref::<Error>().unwrap()
}

/// What zlib makes of it: the bytes, if it is one whole stream and nothing behind it.
fn zlib(packed: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = flate2::bufread::DeflateDecoder::new(packed);
    let mut bytes = Vec::new();
    decoder.read_to_end(&mut bytes).ok()?;
    (decoder.total_in() == packed.len() as u64).then_some(bytes)
}

/// Text that compresses by copies near and far, with long codes.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut bytes: Vec<u8> = Vec::with_capacity(length);
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let pick = (state >> 16) as usize;
        if pick.is_multiple_of(3) && bytes.len() > 40_000 {
            let from = bytes.len() - 1 - (pick * 7) % 39_000;
            let some = bytes[from..(from + 3 + pick % 300).min(bytes.len())].to_vec();
            bytes.extend(some);
        } else {
            bytes.push((pick % 251).min(pick % 83) as u8);
        }
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn every_level_and_size_comes_back() {
    for length in [
        0, 1, 2, 255, 256, 65_535, 65_536, 131_071, 131_072, 163_840, 1_000_000,
    ] {
        let bytes = sample(length);
        for level in [0, 1, 6, 9] {
            let packed = deflate(&bytes, level);
            let (inflated, tail) = inflate(&packed, length as u64).unwrap();
            assert!(inflated == bytes, "{length} bytes, level {level}");
            assert_eq!(tail.end.div_ceil(8), packed.len() as u64);
            assert_eq!(packed[(tail.start / 8) as usize] >> (tail.start % 8) & 1, 1);
        }
    }
}

/// A reader may give as little as it likes.
#[test]
fn input_may_come_a_byte_at_a_time() {
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }
    let bytes = sample(300_000);
    let packed = deflate(&bytes, 6);
    let mut inflated = Vec::new();
    Inflater::new(Slow(&packed), bytes.len() as u64)
        .read_to_end(&mut inflated)
        .unwrap();
    assert!(inflated == bytes);
}

/// Code lengths that go on and on in the zeros behind the end: 316 of three bits each.
#[test]
fn a_table_may_not_be_made_of_what_is_not_there() {
    const ORDER: [u32; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let lengths = ORDER.map(|symbol| (if symbol < 8 { 3 } else { 0 }, 3));
    let header = [(1, 1), (2, 2), (29, 5), (29, 5), (15, 4)];
    let bits: Vec<bool> = header
        .into_iter()
        .chain(lengths)
        .flat_map(|(number, count): (u32, u32)| (0..count).map(move |bit| number >> bit & 1 == 1))
        .collect();
    let table = bits.chunks(8).map(|bits| {
        let bits = bits.iter().rev();
        bits.fold(0, |byte, bit| byte << 1 | u8::from(*bit))
    });
    // Behind a stored block, and with a size that makes the buffer as large as the input, so that the
    // table lies at its end.
    for before in 0..300u16 {
        let mut packed = vec![0];
        packed.extend(before.to_le_bytes());
        packed.extend((!before).to_le_bytes());
        packed.extend(vec![7; usize::from(before)]);
        packed.extend(table.clone());
        assert_eq!(refused(&packed, packed.len() as u64), Error::Truncated);
    }
}

/// A flush leaves an empty stored block, whose bytes begin in the middle of what was fetched.
#[test]
fn stored_blocks_may_begin_anywhere_in_the_input() {
    for every in 1..60 {
        let bytes = sample(20_000);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        for some in bytes.chunks(every) {
            encoder.write_all(some).unwrap();
            encoder.flush().unwrap();
        }
        let packed = encoder.finish().unwrap();
        assert_eq!(inflate(&packed, 20_000).unwrap().0, bytes);
    }
}

/// Also where the last bits were fetched before the input moved on.
#[test]
fn bytes_behind_the_end_are_told_however_many() {
    for length in (0..600).step_by(7) {
        let mut packed = deflate(&sample(length), 9);
        for _ in 0..90 {
            packed.push(0xff);
            assert_eq!(refused(&packed, length as u64), Error::Trailing);
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    let bytes = sample(100_000);
    let packed = deflate(&bytes, 6);
    let size = bytes.len() as u64;
    for cut in [0, 1, 2, 100, packed.len() / 2, packed.len() - 1] {
        assert_eq!(refused(&packed[..cut], size), Error::Truncated, "{cut}");
    }
    assert_eq!(
        refused(&[&packed[..], &[0]].concat(), size),
        Error::Trailing
    );
    let long = [&packed[..], &vec![0; 200_000]].concat();
    assert_eq!(refused(&long, size), Error::Trailing);
    assert_eq!(refused(&packed, size - 1), Error::TooLong);
    assert_eq!(refused(&packed, 0), Error::TooLong);
    assert_eq!(refused(&packed, size + 1), Error::TooShort);
    assert_eq!(refused(&[0b111], 0), Error::BlockKind);
    assert_eq!(refused(&[1, 1, 0, 0, 0, 7], 1), Error::StoredLength);
    // Too many symbols; no code for the end.
    assert_eq!(refused(&[0b1111_1101, 0xff, 0xff, 0xff], 0), Error::Code);
    assert_eq!(refused(&[0b101, 0, 0, 0, 0, 0, 0, 0], 0), Error::Code);
    // A fixed block: a copy of three bytes from one before, with nothing before it.
    assert_eq!(refused(&[0b0000_0011, 0b10, 0, 0], 3), Error::Distance);
    // As a preset dictionary would be needed for: zlib writes such streams and says so nowhere.
    let mut compress = flate2::Compress::new(Compression::new(9), false);
    compress.set_dictionary(&bytes[..30_000]).unwrap();
    let mut out = Vec::with_capacity(100_000);
    compress
        .compress_vec(&bytes[..30_000], &mut out, flate2::FlushCompress::Finish)
        .unwrap();
    assert_eq!(refused(&out, 30_000), Error::Distance);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Anything: accepted where zlib accepts it, with zlib's bytes.
    #[test]
    fn any_bytes_are_read_as_zlib_reads_them(packed in proptest::collection::vec(any::<u8>(), 0..200)) {
        let ours = match zlib(&packed) {
            Some(bytes) => {
                let ours = inflate(&packed, bytes.len() as u64);
                prop_assert!(ours.is_ok(), "{ours:?}");
                prop_assert_eq!(ours.unwrap().0, bytes);
                return Ok(());
            }
            None => inflate(&packed, 1 << 40),
        };
        prop_assert!(ours.is_err());
    }

    /// A good stream with a few bytes changed: most are still read far before they go wrong.
    #[test]
    fn damaged_streams_are_read_as_zlib_reads_them(
        length in 0usize..5_000,
        level in 0u32..10,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut packed = deflate(&sample(length), level);
        for (index, byte) in changes {
            let at = index.index(packed.len());
            packed[at] = byte;
        }
        match zlib(&packed) {
            Some(bytes) => prop_assert_eq!(inflate(&packed, bytes.len() as u64).unwrap().0, bytes),
            None => prop_assert!(inflate(&packed, 1 << 40).is_err()),
        }
    }
}
