//! Streams of deflate: what zlib takes is taken here, with the same bytes, and nothing else is. What is
//! said of the last block holds: with its bit cleared and an empty last block behind it, the stream
//! still stands for the same bytes.

#![no_main]

use std::io::Read as _;

use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;
use prebuild::inflate::{Inflater, Tail};

const MOST: usize = 1 << 20;

fuzz_target!(|stream: &[u8]| {
    let zlib = by_zlib(stream);
    let size = match &zlib {
        Some((bytes, _)) => bytes.len() as u64,
        // Any size: there is none that makes it right.
        None => u64::from(stream.first().copied().unwrap_or(0)) * 7,
    };
    let mut inflater = Inflater::new(stream, size);
    let mut bytes = Vec::new();
    let ended = inflater.read_to_end(&mut bytes).is_ok();
    let whole = zlib.filter(|(_, used)| *used == stream.len());
    assert_eq!(ended, whole.is_some());
    if let Some((expected, _)) = whole {
        assert_eq!(bytes, expected);
        let tail = inflater.tail().expect("it was read to its end");
        assert_eq!(
            by_zlib(&joined(stream, tail)).expect("it goes on").0,
            expected
        );
        let mut longer = Inflater::new(stream, size + 1);
        assert!(longer.read_to_end(&mut Vec::new()).is_err());
    }
});

/// What a stream stands for, and how many bytes it takes.
fn by_zlib(stream: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut decompress = Decompress::new(false);
    let mut bytes = Vec::with_capacity(MOST);
    let status = decompress.decompress_vec(stream, &mut bytes, FlushDecompress::Finish);
    match status {
        Ok(Status::StreamEnd) => Some((bytes, usize::try_from(decompress.total_in()).ok()?)),
        _ => None,
    }
}

/// The stream with its last block made one of many, and an empty one of the fixed code behind it.
fn joined(stream: &[u8], tail: Tail) -> Vec<u8> {
    let mut bits: Vec<bool> = (0..tail.end)
        .map(|at| stream[usize::try_from(at / 8).unwrap()] >> (at % 8) & 1 == 1)
        .collect();
    bits[usize::try_from(tail.start).unwrap()] = false;
    bits.extend([true, true, false]);
    bits.extend([false; 7]);
    bits.chunks(8)
        .map(|bits| {
            bits.iter()
                .rev()
                .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
        })
        .collect()
}
