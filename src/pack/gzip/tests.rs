use std::io::Read;
use std::path::Path;

use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::event::Cancel;
use crate::inflate::Inflater;
use crate::pack::tar::Out;
use crate::tree::Archive;

/// Streams as they might lie in wheels, in one file.
struct Streams {
    folder: Arc<crate::fs::TempDir>,
    bytes: Vec<u8>,
    made: Vec<(u64, Vec<u8>, Vec<u8>)>,
}

impl Streams {
    fn new() -> Self {
        Self {
            folder: Arc::new(crate::fs::temp_dir(Path::new("/tmp")).unwrap()),
            bytes: Vec::new(),
            made: Vec::new(),
        }
    }

    fn add(&mut self, packed: Vec<u8>, raw: Vec<u8>) {
        self.made
            .push((self.bytes.len() as u64, packed.clone(), raw));
        self.bytes.extend(packed);
    }

    fn contents(&self) -> Vec<Content> {
        let path = self.folder.path().join("archive");
        crate::fs::create_new(&path)
            .unwrap()
            .write_all(&self.bytes)
            .unwrap();
        let archive = Arc::new(Archive {
            path,
            guard: Some(Arc::clone(&self.folder)),
        });
        self.made
            .iter()
            .map(|(offset, packed, raw)| {
                let mut inflater = Inflater::new(&packed[..], raw.len() as u64);
                let mut bytes = Vec::new();
                inflater.read_to_end(&mut bytes).unwrap();
                assert!(&bytes == raw);
                Content::Member(Member {
                    archive: Arc::clone(&archive),
                    offset: *offset,
                    packed: packed.len() as u64,
                    packed_crc: crc32fast::hash(packed),
                    size: raw.len() as u64,
                    crc: crc32fast::hash(raw),
                    digest: Digest::of(raw),
                    method: Method::Deflated(inflater.tail().unwrap()),
                    code: None,
                })
            })
            .collect()
    }
}

/// Writes `contents`, each behind a header, and returns the gzip file and what it must hold.
fn write(contents: &[Content]) -> (Vec<u8>, Vec<u8>) {
    let cancel = Cancel::new();
    let meter = Meter {
        observe: &|_| {},
        cancel: &cancel,
        total: 0,
        done: std::sync::atomic::AtomicU64::new(0),
    };
    let mut expected = Vec::new();
    let mut file = Vec::new();
    super::super::sink::write(&mut file, |out| {
        let mut writer = Writer::new(out)?;
        for (index, content) in contents.iter().enumerate() {
            let header = format!("{index:0512}").into_bytes();
            writer.header(&header)?;
            writer.content(content, &meter)?;
            expected.extend(header);
            expected.extend(content.read().unwrap());
            let padding = vec![0; expected.len().next_multiple_of(512) - expected.len()];
            writer.header(&padding)?;
            expected.extend(padding);
        }
        writer.finish()
    })
    .unwrap();
    (file, expected)
}

/// Held against gzip's reader: one member, nothing behind it.
fn assert_holds(gzip: &[u8], expected: &[u8]) {
    let mut unpacked = Vec::new();
    let mut reader = flate2::bufread::GzDecoder::new(gzip);
    reader.read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == expected);
    assert!(reader.into_inner().is_empty(), "there is a second member");
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Stored,
    Fixed,
    Dynamic,
}

fn deflated(raw: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}

/// A stream whose last block is of this kind and begins on this bit of a byte, with `dirt` in the
/// bits behind its end.
fn stream(kind: Kind, bit: u32, dirt: bool) -> (Vec<u8>, Vec<u8>) {
    let mut bits = Bits::new(Vec::new());
    let mut raw = Vec::new();
    // A fixed block with one literal of nine bits has 19 bits.
    while 19 * raw.len() % 8 != bit as usize {
        bits.put(0b010, 3).unwrap();
        bits.put((0x190 + 56u32).reverse_bits() >> 23, 9).unwrap();
        bits.put(0, 7).unwrap();
        raw.push(200);
    }
    let mut end = 19 * raw.len() as u64;
    match kind {
        Kind::Stored => {
            bits.put(0b001, 3).unwrap();
            bits.pad().unwrap();
            bits.put(0xfffd_0002, 32).unwrap();
            bits.put(0x4241, 16).unwrap();
            raw.extend(b"AB");
            end = 0;
        }
        Kind::Fixed => {
            bits.put(0b011, 10).unwrap();
            end += 10;
        }
        Kind::Dynamic => {
            let text: Vec<u8> = (0..3000u32)
                .map(|at| (at * at / 7 % 61 + 32).to_le_bytes()[0])
                .collect();
            let packed = deflated(&text, 9);
            assert_eq!(packed[0] & 7, 0b101, "one dynamic block");
            let mut inflater = Inflater::new(&packed[..], 3000);
            inflater.read_to_end(&mut Vec::new()).unwrap();
            let length = inflater.tail().unwrap().end;
            for at in 0..length {
                let bit = packed[(at / 8) as usize] >> (at % 8) & 1;
                bits.put(u32::from(bit), 1).unwrap();
            }
            raw.extend(text);
            end += length;
        }
    }
    bits.pad().unwrap();
    let mut packed = bits.out;
    if dirt && !end.is_multiple_of(8) {
        *packed.last_mut().unwrap() |= 0xff << (end % 8);
    }
    (packed, raw)
}

/// All that can differ where two streams meet: how the last block is made, on which bit it begins
/// and so ends, and what stands in the bits behind it.
#[test]
fn streams_join_on_every_bit() {
    let mut streams = Streams::new();
    for kind in [Kind::Stored, Kind::Fixed, Kind::Dynamic] {
        for bit in 0..8 {
            for dirt in [false, true] {
                let (packed, raw) = stream(kind, bit, dirt);
                streams.add(packed, raw);
            }
        }
    }
    let contents = streams.contents();
    let starts: std::collections::BTreeSet<_> = contents
        .iter()
        .enumerate()
        .map(|(index, content)| match content {
            Content::Member(Member {
                method: Method::Deflated(tail),
                ..
            }) => (index / 16, tail.start % 8),
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(starts.len(), 3 * 8);
    let (gzip, expected) = write(&contents);
    assert_holds(&gzip, &expected);
}

/// Nothing; one block; many; stored ones; a stream far longer than its bytes, deflated anew.
#[test]
fn odd_and_ordinary_streams_join() {
    let long: Vec<u8> = (0..400_000u32)
        .map(|at| (at.wrapping_mul(at) >> 9).to_le_bytes()[0])
        .collect();
    let mut streams = Streams::new();
    streams.add(vec![3, 0], Vec::new());
    streams.add(vec![1, 0, 0, 0xff, 0xff], Vec::new());
    for level in [0, 1, 6, 9] {
        streams.add(deflated(&long, level), long.clone());
        streams.add(deflated(b"x", level), b"x".to_vec());
    }
    let wasteful = [&[0, 0, 0, 0xff, 0xff].repeat(1000)[..], &[3, 0]].concat();
    streams.add(wasteful, Vec::new());
    let mut padded = [0, 0, 0, 0xff, 0xff].repeat(1000);
    padded.extend(deflated(b"y", 6));
    streams.add(padded, b"y".to_vec());
    let mut contents = streams.contents();
    contents.push(Content::from(long.clone()));
    contents.push(Content::from(Vec::new()));
    contents.insert(3, Content::from(b"between".to_vec()));
    let (gzip, expected) = write(&contents);
    assert_holds(&gzip, &expected);
    assert!(gzip.len() < 8 * long.len());
    // Each of the two thousand empty blocks has five bytes, and none of them is there.
    let stored: usize = gzip
        .windows(5)
        .filter(|five| *five == [0, 0, 0, 0xff, 0xff])
        .count();
    assert!(stored < 100, "{stored}");
}

#[test]
fn an_archive_that_changed_is_told() {
    let mut streams = Streams::new();
    let raw = vec![7; 100_000];
    streams.add(deflated(&raw, 6), raw);
    let contents = streams.contents();
    let Content::Member(member) = &contents[0] else {
        unreachable!()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut changed = streams.bytes.clone();
    changed[50] ^= 4;
    file.as_file().write_all(&changed).unwrap();
    let member = Member {
        archive: Arc::new(Archive {
            path: file.path().to_path_buf(),
            guard: None,
        }),
        ..member.clone()
    };
    let mut members = Members::default();
    let copied =
        super::super::sink::write(&mut Vec::new(), |out| members.copy(&member, out, |_, _| {}));
    let error = copied.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has changed since it was checked")
    );
}

/// Lengths beyond 4 GiB: the size field of gzip wraps, the checksum's arithmetic does not.
#[test]
fn more_than_four_gibibytes_join() {
    // 4 MiB of zeros, 1025 times.
    let raw = vec![0; 1 << 22];
    let packed = deflated(&raw, 9);
    let mut streams = Streams::new();
    streams.add(packed, raw);
    let content = streams.contents().remove(0);
    let Content::Member(member) = &content else {
        unreachable!()
    };
    let cancel = Cancel::new();
    let meter = Meter {
        observe: &|_| {},
        cancel: &cancel,
        total: 0,
        done: std::sync::atomic::AtomicU64::new(0),
    };
    let mut file = Vec::new();
    super::super::sink::write(&mut file, |out| {
        let mut writer = Writer::new(out)?;
        for _ in 0..1025 {
            writer.content(&content, &meter)?;
        }
        writer.finish()
    })
    .unwrap();
    let total = 1025u64 << 22;
    let size = u32::from_le_bytes(file[file.len() - 4..].try_into().unwrap());
    assert_eq!(size, u32::try_from(total % (1 << 32)).unwrap());
    let mut crc = Hasher::new();
    for _ in 0..1025 {
        crc.combine(&Hasher::new_with_initial_len(member.crc, 1 << 22));
    }
    let said = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap());
    assert_eq!(said, crc.finalize());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Streams and fresh contents in any order, cut in any way.
    #[test]
    fn anything_joins(
        parts in proptest::collection::vec(
            (proptest::collection::vec(0u8..20, 0..3000), 0u32..10, any::<bool>(), 1usize..400),
            0..20,
        ),
    ) {
        let mut streams = Streams::new();
        for (raw, level, _, times) in &parts {
            let raw = raw.repeat(*times % 40 + 1);
            streams.add(deflated(&raw, *level), raw);
        }
        let contents: Vec<Content> = streams
            .contents()
            .into_iter()
            .zip(&parts)
            .map(|(content, (_, _, fresh, _))| {
                if *fresh { content.read().unwrap().into() } else { content }
            })
            .collect();
        let (gzip, expected) = write(&contents);
        assert_holds(&gzip, &expected);
    }
}
