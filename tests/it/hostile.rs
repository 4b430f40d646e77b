//! Archives that are damaged or made to deceive: each is refused, with the entry named where there is
//! one, before anything is written. And those that are odd but honest, which are taken.

use std::error::Error as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use prebuild::event::Cancel;
use prebuild::wheel::{Archive, Limits};
use tempfile::NamedTempFile;

/// What both headers of an entry have.
#[derive(Clone)]
struct Header {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u32,
    size: u32,
    name: Vec<u8>,
    extra: Vec<u8>,
}

#[derive(Clone)]
struct Part {
    before: Vec<u8>,
    local: Header,
    data: Vec<u8>,
    /// The data descriptor, if it has one.
    behind: Vec<u8>,
    central: Header,
    mode: u32,
    disk: u16,
    /// Where the central header says that it lies, if not where it does.
    offset: Option<u32>,
}

impl Part {
    /// Both headers at once.
    fn both(&mut self, change: impl Fn(&mut Header)) {
        change(&mut self.local);
        change(&mut self.central);
    }
}

/// An archive, of which everything can be changed before it is written.
#[derive(Clone)]
struct Zip {
    parts: Vec<Part>,
    /// What lies between the last entry and the central directory.
    gap: Vec<u8>,
    /// What lies between the central directory and its end record.
    zip64: Option<fn(&mut End64)>,
    /// Changes the end record's bytes.
    end: fn(&mut Vec<u8>),
    behind: Vec<u8>,
    /// The central directory from its end to its beginning.
    reversed: bool,
}

/// The zip64 end record and its locator.
struct End64 {
    record: Vec<u8>,
    locator: Vec<u8>,
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn number(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap()
}

fn part(name: &str, bytes: &[u8], method: u16) -> Part {
    let data = if method == 8 {
        deflated(bytes)
    } else {
        bytes.to_vec()
    };
    let header = Header {
        flags: 0,
        method,
        crc: crc32fast::hash(bytes),
        packed: number(data.len()),
        size: number(bytes.len()),
        name: name.as_bytes().to_vec(),
        extra: Vec::new(),
    };
    Part {
        before: Vec::new(),
        local: header.clone(),
        data,
        behind: Vec::new(),
        central: header,
        mode: 0o100_644 << 16,
        disk: 0,
        offset: None,
    }
}

const TEXT: &[u8] = b"what compresses, what compresses, what compresses well\n";

impl Zip {
    /// Two entries, one of each method.
    fn new() -> Self {
        Self::of(vec![part("a/one.py", TEXT, 8), part("b.txt", b"stored", 0)])
    }

    fn of(parts: Vec<Part>) -> Self {
        Self {
            parts,
            gap: Vec::new(),
            zip64: None,
            end: |_| {},
            behind: Vec::new(),
            reversed: false,
        }
    }

    fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut centrals = Vec::new();
        for part in &self.parts {
            out.extend(&part.before);
            let at = part.offset.unwrap_or(number(out.len()));
            out.extend(b"PK\x03\x04\x14\x00");
            shared(&mut out, &part.local);
            out.extend(&part.local.name);
            out.extend(&part.local.extra);
            out.extend(&part.data);
            out.extend(&part.behind);
            let mut central = b"PK\x01\x02\x14\x03\x14\x00".to_vec();
            shared(&mut central, &part.central);
            central.extend([0, 0]);
            central.extend(part.disk.to_le_bytes());
            central.extend([0, 0]);
            central.extend(part.mode.to_le_bytes());
            central.extend(at.to_le_bytes());
            central.extend(&part.central.name);
            central.extend(&part.central.extra);
            centrals.push(central);
        }
        out.extend(&self.gap);
        if self.reversed {
            centrals.reverse();
        }
        let (start, count) = (out.len() as u64, centrals.len() as u64);
        let directory = centrals.concat();
        let size = directory.len() as u64;
        out.extend(directory);
        let mut said = (count, size, start);
        if let Some(change) = self.zip64 {
            let at = out.len() as u64;
            let mut record = b"PK\x06\x06".to_vec();
            record.extend(44u64.to_le_bytes());
            record.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for number in [count, count, size, start] {
                record.extend(number.to_le_bytes());
            }
            let mut locator = b"PK\x06\x07\0\0\0\0".to_vec();
            locator.extend(at.to_le_bytes());
            locator.extend([1, 0, 0, 0]);
            let mut end = End64 { record, locator };
            change(&mut end);
            out.extend(end.record);
            out.extend(end.locator);
            said = (0xffff, 0xffff_ffff, 0xffff_ffff);
        }
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        let small = |number: u64| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        end.extend(small(said.0));
        end.extend(small(said.0));
        end.extend(u32::try_from(said.1).unwrap().to_le_bytes());
        end.extend(u32::try_from(said.2).unwrap().to_le_bytes());
        end.extend([0, 0]);
        (self.end)(&mut end);
        out.extend(end);
        out.extend(&self.behind);
        out
    }
}

/// From the flags to the length of the extra fields, which both headers have in one order.
fn shared(out: &mut Vec<u8>, header: &Header) {
    out.extend(header.flags.to_le_bytes());
    out.extend(header.method.to_le_bytes());
    out.extend([0, 0, 0x21, 0]);
    for number in [header.crc, header.packed, header.size] {
        out.extend(number.to_le_bytes());
    }
    for part in [&header.name, &header.extra] {
        out.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
    }
}

fn open_with(bytes: &[u8], limits: &Limits) -> Result<Archive, prebuild::wheel::ArchiveError> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Archive::open(file.path(), None, limits, &Cancel::new())
}

/// The entry and the reason, if it is refused.
fn refused(bytes: &[u8]) -> Option<(String, String)> {
    match open_with(bytes, &Limits::default()) {
        Err(error @ prebuild::wheel::ArchiveError::Refused { .. }) => {
            let shown = error.to_string();
            let entry = shown.split_once(" because of `");
            let entry = entry.map_or("", |(_, entry)| entry.trim_end_matches('`'));
            Some((entry.to_owned(), error.source().unwrap().to_string()))
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => None,
    }
}

/// A zip64 field with these numbers.
fn large(numbers: &[u64]) -> Vec<u8> {
    let mut field = vec![1, 0];
    field.extend(u16::try_from(numbers.len() * 8).unwrap().to_le_bytes());
    field.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    field
}

/// Info-ZIP's second name.
fn unicode_path(name: &[u8], other: &[u8]) -> Vec<u8> {
    let mut field = b"\x75\x70".to_vec();
    field.extend(u16::try_from(5 + other.len()).unwrap().to_le_bytes());
    field.push(1);
    field.extend(crc32fast::hash(name).to_le_bytes());
    field.extend(other);
    field
}

/// Changes the first entry.
fn first(change: impl Fn(&mut Part)) -> Zip {
    let mut zip = Zip::new();
    change(&mut zip.parts[0]);
    zip
}

fn all_refused<const N: usize>(cases: [(Zip, &str, &str); N]) {
    for (zip, entry, reason) in cases {
        assert_eq!(
            refused(&zip.bytes()),
            Some((entry.to_owned(), reason.to_owned()))
        );
    }
}

const ONE: &str = "a/one.py";

#[test]
fn names_that_no_prefix_has() {
    for name in [
        "/etc/passwd",
        "../up.py",
        "a/../../up.py",
        "a/./b.py",
        "a//b.py",
        "a/b\0.py",
        "",
        ".",
        "..",
    ] {
        let (entry, reason) = refused(&Zip::new().with(part(name, b"", 0)).bytes()).unwrap();
        assert_eq!(entry, name.escape_debug().to_string());
        assert!(reason.starts_with("unsafe path"), "{name}: {reason}");
    }
    // A backslash parts nothing on the systems that these wheels are for; pip takes it too.
    assert!(refused(&Zip::new().with(part("..\\up.py", b"", 0)).bytes()).is_none());
    let not_utf8 = "its name is not UTF-8, or not marked as UTF-8";
    all_refused([
        (
            first(|part| part.both(|header| header.name = b"a/\xff.py".to_vec())),
            "a/\u{fffd}.py",
            not_utf8,
        ),
        (
            first(|part| part.both(|header| header.name = "ü.py".into())),
            "ü.py",
            not_utf8,
        ),
        (
            first(|part| part.central.extra = unicode_path(ONE.as_bytes(), b"a/two.py")),
            ONE,
            "its local header and the central directory differ: it has a second name",
        ),
        (
            first(|part| part.local.extra = unicode_path(ONE.as_bytes(), b"a/two.py")),
            ONE,
            "its local header and the central directory differ: it has a second name",
        ),
    ]);
    // Two of them: readers would differ in which they believe.
    let fields = [
        unicode_path(ONE.as_bytes(), ONE.as_bytes()),
        unicode_path(ONE.as_bytes(), b"a/two.py"),
    ]
    .concat();
    for in_local in [true, false] {
        let zip = first(|part| {
            let header = if in_local {
                &mut part.local
            } else {
                &mut part.central
            };
            header.extra.clone_from(&fields);
        });
        all_refused([(zip, ONE, "it has an extra field twice")]);
    }
}

#[test]
fn two_at_one_place() {
    let twice = "the archive contains it twice";
    let folder = |name: &str| Part {
        mode: 0o040_755 << 16,
        ..part(name, b"", 0)
    };
    all_refused([
        (Zip::new().with(part(ONE, TEXT, 8)), ONE, twice),
        (Zip::new().with(folder("b.txt/")), "b.txt/", twice),
        (
            Zip::of(vec![folder("b.txt/"), part("b.txt", b"", 0)]),
            "b.txt",
            twice,
        ),
        (
            Zip::new().with(folder("c/")).with(folder("c/")),
            "c/",
            twice,
        ),
        (
            Zip::new().with(part("b.txt/c", b"", 0)),
            "b.txt/c",
            "it is below `b.txt`, which is a file",
        ),
        // Between the two in the order of bytes, and a folder's entry.
        (
            Zip::new()
                .with(part("b.txt-c", b"", 0))
                .with(folder("b.txt/c/d/")),
            "b.txt/c/d",
            "it is below `b.txt`, which is a file",
        ),
        (
            Zip::new().with(Part {
                mode: 0o040_755 << 16,
                ..part("c/", b"bytes", 0)
            }),
            "c/",
            "it is a directory with contents",
        ),
    ]);
}

#[test]
fn kinds_and_methods_that_wheels_do_not_have() {
    for kind in [0o020_000, 0o060_000, 0o010_000, 0o140_000] {
        all_refused([(
            first(|part| part.mode = (kind | 0o777) << 16),
            ONE,
            "it is marked as a device, a pipe or a socket",
        )]);
    }
    for flag in [1, 1 << 6, 1 << 13] {
        all_refused([(
            first(|part| part.both(|header| header.flags = flag)),
            ONE,
            "it is encrypted",
        )]);
    }
    for method in [1, 6, 9, 12, 14, 93, 95, 99] {
        let (entry, reason) =
            refused(&first(|part| part.both(|header| header.method = method)).bytes()).unwrap();
        assert_eq!(entry, ONE);
        assert!(reason.starts_with(&format!("it is compressed by method {method},")));
    }
    all_refused([
        (
            first(|part| part.both(|header| header.flags = 1 << 5)),
            ONE,
            "it has flags that are unknown",
        ),
        (
            first(|part| part.disk = 1),
            ONE,
            "it is one of several volumes",
        ),
    ]);
}

#[test]
fn headers_that_differ() {
    let cases = [
        (
            first(|part| part.local.name = b"a/two.py".to_vec()),
            "the name",
        ),
        (first(|part| part.local.flags = 1 << 11), "the flags"),
        (first(|part| part.local.method = 0), "the method"),
        (
            first(|part| part.local.crc ^= 1),
            "the checksum or the sizes",
        ),
        (
            first(|part| part.local.packed += 1),
            "the checksum or the sizes",
        ),
        (
            first(|part| part.local.size -= 1),
            "the checksum or the sizes",
        ),
        (
            first(|part| part.local.size = 0),
            "the checksum or the sizes",
        ),
        (
            first(|part| {
                part.local.size = u32::MAX;
                part.local.extra = large(&[1 << 40]);
            }),
            "the checksum or the sizes",
        ),
    ];
    for (zip, what) in cases {
        let reason = format!("its local header and the central directory differ: {what}");
        all_refused([(zip, ONE, &reason)]);
    }
    let mut zip = Zip::new();
    zip.parts[1].both(|header| header.size += 1);
    let reason = "its local header and the central directory differ: a stored entry has two sizes";
    all_refused([(zip, "b.txt", reason)]);
}

#[test]
fn streams_that_are_not_what_they_should_be() {
    let longer = |part: &mut Part, bytes: &[u8]| {
        part.data.extend(bytes);
        part.both(|header| header.packed += number(bytes.len()));
    };
    all_refused([
        (
            first(|part| part.both(|header| header.crc ^= 1)),
            ONE,
            "CRC-32 mismatch",
        ),
        (
            first(|part| longer(part, b"\0")),
            ONE,
            "there are bytes behind the end of the deflate stream",
        ),
        (
            first(|part| longer(part, &vec![0; 70_000])),
            ONE,
            "there are bytes behind the end of the deflate stream",
        ),
        (
            first(|part| {
                part.data.pop();
                part.both(|header| header.packed -= 1);
            }),
            ONE,
            "the deflate stream ends in the middle",
        ),
        (
            first(|part| part.both(|header| header.size += 1)),
            ONE,
            "the deflate stream holds fewer bytes than it should",
        ),
        (
            first(|part| part.both(|header| header.size -= 1)),
            ONE,
            "the deflate stream holds more bytes than it should",
        ),
        (
            first(|part| part.both(|header| header.size = 0)),
            ONE,
            "the deflate stream holds more bytes than it should",
        ),
        (
            // A fixed block: the literal `a`, then a copy of three from two before.
            first(|part| {
                part.data = vec![0x4b, 0x04, 0x12, 0x00];
                part.both(|header| header.packed = 4);
            }),
            ONE,
            "the deflate stream copies from before its start",
        ),
        (
            // As zlib wraps it, with a dictionary: not what a zip holds.
            first(|part| {
                part.data = vec![0x78, 0xbb, 1, 2, 3, 4, 3, 0];
                part.both(|header| header.packed = 8);
            }),
            ONE,
            "the deflate stream has a stored block whose length is damaged",
        ),
    ]);
}

#[test]
fn bytes_that_belong_to_nobody_or_to_two() {
    let behind = "there are bytes behind it that belong to no entry";
    let before = "there are bytes before it that belong to no entry";
    let overlaps = "it overlaps what follows it";
    let no_descriptor = "its data descriptor is missing, or says something else";
    let second = |change: fn(&mut Part)| {
        let mut zip = Zip::new();
        change(&mut zip.parts[1]);
        zip
    };
    let described = |change: fn(&mut Vec<u8>)| {
        first(|part| {
            part.both(|header| header.flags = 1 << 3);
            part.behind = descriptor(&part.central, true, false);
            change(&mut part.behind);
        })
    };
    all_refused([
        (
            first(|part| part.before = b"#!/bin/sh\n".to_vec()),
            ONE,
            before,
        ),
        (first(|part| part.behind = b"hidden".to_vec()), ONE, behind),
        (
            // An entry that no directory lists.
            second(|part| {
                let hidden = hidden();
                part.before = hidden[..30 + 9 + deflated(TEXT).len()].to_vec();
            }),
            ONE,
            behind,
        ),
        (
            Zip {
                gap: b"hidden".to_vec(),
                ..Zip::new()
            },
            "b.txt",
            behind,
        ),
        // Two entries in the same bytes, as some bombs have them.
        (second(|part| part.offset = Some(0)), ONE, overlaps),
        (
            first(|part| part.both(|header| header.packed = 5000)),
            ONE,
            overlaps,
        ),
        (
            second(|part| part.both(|header| (header.packed, header.size) = (5000, 5000))),
            "b.txt",
            overlaps,
        ),
        (second(|part| part.offset = Some(1 << 30)), ONE, behind),
        (described(Vec::clear), ONE, no_descriptor),
        (described(|bytes| bytes[5] ^= 1), ONE, no_descriptor),
        (described(|bytes| bytes[12] ^= 1), ONE, no_descriptor),
        (described(|bytes| bytes.push(0)), ONE, no_descriptor),
    ]);
}

#[test]
fn ends_that_lie() {
    let with = |end: fn(&mut Vec<u8>)| Zip { end, ..Zip::new() };
    let zip64 = |zip64: fn(&mut End64)| Zip {
        zip64: Some(zip64),
        ..Zip::new()
    };
    let place = "its central directory is not where its end record says";
    let wrong = "its zip64 end record is damaged or not in its place";
    let several = "it is one of several volumes";
    all_refused([
        (with(|end| end[4] = 1), "", several),
        (with(|end| end[6] = 1), "", several),
        (with(|end| end[8] = 1), "", several),
        (with(|end| end[12] += 1), "", place),
        (with(|end| end[12] -= 1), "", place),
        (with(|end| end[16] += 1), "", place),
        (with(|end| end[16..20].fill(0xff)), "", place),
        (
            with(|end| (end[8], end[10]) = (1, 1)),
            "",
            "its central directory has more entries than it says",
        ),
        (
            with(|end| (end[8], end[10]) = (3, 3)),
            "",
            "its central directory is damaged",
        ),
        (
            with(|end| end[20] = 1),
            "",
            "there are bytes behind its end",
        ),
        (
            Zip {
                behind: b"more".to_vec(),
                ..Zip::new()
            },
            "",
            "there are bytes behind its end",
        ),
        (zip64(|end| end.locator[4] = 1), "", several),
        (zip64(|end| end.locator[16] = 2), "", several),
        (zip64(|end| end.locator[8] -= 1), "", wrong),
        (zip64(|end| end.locator[15] = 0xff), "", wrong),
        (zip64(|end| end.record[0] = b'x'), "", wrong),
        (zip64(|end| end.record[4] += 1), "", wrong),
        (zip64(|end| end.record[16] = 1), "", several),
        (zip64(|end| end.record[24] += 1), "", several),
        (zip64(|end| end.record[40] += 1), "", place),
        (zip64(|end| end.record[55] = 0xff), "", place),
        (
            zip64(|end| (end.record[31], end.record[39]) = (0xff, 0xff)),
            "",
            "it has 18374686479671623682 entries; at most 300000 are allowed",
        ),
        (
            first(|part| part.both(|header| header.size = u32::MAX)),
            ONE,
            "it lacks the zip64 field that its header points to",
        ),
        (
            first(|part| part.central.extra = [large(&[1]), large(&[1])].concat()),
            ONE,
            "it has an extra field twice",
        ),
        (
            first(|part| part.central.extra = vec![1, 0, 200, 0]),
            ONE,
            "its extra fields are damaged",
        ),
    ]);
}

/// An archive of one entry, which may lie within another.
fn hidden() -> Vec<u8> {
    Zip::of(vec![part("hidden.py", TEXT, 8)]).bytes()
}

/// What lies behind the data of an entry whose sizes were not known before.
fn descriptor(header: &Header, signed: bool, large: bool) -> Vec<u8> {
    let mut bytes = if signed {
        b"PK\x07\x08".to_vec()
    } else {
        Vec::new()
    };
    bytes.extend(header.crc.to_le_bytes());
    for number in [header.packed, header.size] {
        if large {
            bytes.extend(u64::from(number).to_le_bytes());
        } else {
            bytes.extend(number.to_le_bytes());
        }
    }
    bytes
}

#[test]
fn odd_but_honest() {
    let mut odd = vec![
        Zip::new(),
        Zip {
            reversed: true,
            ..Zip::new()
        },
        Zip {
            end: |end| {
                end[20] = 3;
                end.extend(b"hey");
            },
            ..Zip::new()
        },
        Zip {
            zip64: Some(|_| {}),
            ..Zip::new()
        },
        first(|part| part.mode = 0),
        first(|part| part.mode = 0o100_755 << 16),
        // Other extra fields: a time.
        first(|part| part.local.extra = b"UT\x05\x00\x01\0\0\0\0".to_vec()),
        first(|part| {
            part.both(|header| header.extra = unicode_path(ONE.as_bytes(), ONE.as_bytes()));
        }),
        // zip64 fields as Python writes them when it is told to, and as others do.
        first(|part| {
            let numbers = [u64::from(part.local.size), u64::from(part.local.packed)];
            part.local.extra = large(&numbers);
            (part.local.size, part.local.packed) = (u32::MAX, u32::MAX);
        }),
        first(|part| {
            let numbers = [
                u64::from(part.central.size),
                u64::from(part.central.packed),
                0,
            ];
            part.central.extra = large(&numbers);
            (part.central.size, part.central.packed) = (u32::MAX, u32::MAX);
            part.offset = Some(u32::MAX);
        }),
        Zip::new()
            .with(part("empty", b"", 0))
            .with(part("also", b"", 8)),
        Zip::new().with(Part {
            mode: 0o040_755 << 16,
            ..part("folder/", b"", 0)
        }),
    ];
    for (signed, is_large) in [(true, false), (false, false), (true, true), (false, true)] {
        odd.push(first(|part| {
            part.both(|header| header.flags = 1 << 3);
            part.behind = descriptor(&part.central, signed, is_large);
            (part.local.crc, part.local.size, part.local.packed) = (0, 0, 0);
            if is_large {
                part.local.extra = large(&[0, 0]);
                (part.local.size, part.local.packed) = (u32::MAX, u32::MAX);
            }
        }));
    }
    for zip in odd {
        let archive = open_with(&zip.bytes(), &Limits::default()).unwrap();
        let entry = archive.get(ONE).unwrap();
        // The file is gone by now, what was learnt of it is not.
        assert_eq!(entry.size, TEXT.len() as u64);
        assert_eq!(entry.crc, crc32fast::hash(TEXT));
        assert!(archive.get("b.txt").is_some());
    }
}

/// Every archive that is cut off is refused.
#[test]
fn cut_off_anywhere() {
    let bytes = Zip::new().bytes();
    for length in 0..bytes.len() {
        assert!(refused(&bytes[..length]).is_some(), "cut to {length}");
    }
}

/// With any one bit flipped, an archive is refused or holds the same.
#[test]
fn a_flipped_bit_changes_no_contents() {
    let zip = Zip::new().with(Part {
        behind: Vec::new(),
        ..part("c/two.py", &TEXT.repeat(3), 8)
    });
    let bytes = zip.bytes();
    let contents = |archive: &Archive| -> Vec<_> {
        let entries = archive.entries().iter();
        entries
            .map(|entry| (entry.path.to_string(), entry.digest))
            .collect()
    };
    let whole = contents(&open_with(&bytes, &Limits::default()).unwrap());
    let mut taken = 0;
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(archive) = open_with(&changed, &Limits::default()) {
            assert_eq!(contents(&archive), whole, "bit {bit}");
            taken += 1;
        }
    }
    // Times, versions and permissions say nothing about contents.
    assert!(taken < 700, "{taken} bits mean nothing");
}

#[test]
fn bombs_are_told_by_their_headers() {
    let limits = Limits::default();
    // Nothing of it is unpacked: there is nothing that could be.
    let claims = |size: u64| {
        let mut zip = Zip::new();
        zip.parts[0].both(|header| {
            header.size = u32::MAX;
            header.extra = large(&[size]);
        });
        zip.bytes()
    };
    let (entry, reason) = refused(&claims(33 << 30)).unwrap();
    assert_eq!(entry, "");
    assert!(reason.contains("at most 34359738368 are allowed"));
    let (entry, reason) = refused(&claims(1 << 30)).unwrap();
    assert_eq!(entry, "");
    assert!(reason.ends_with("more than 100 times as many: a zip bomb"));
    let (_, reason) = refused(&claims(u64::MAX)).unwrap();
    assert!(reason.contains("are allowed"), "{reason}");

    // Both limits can be set: zeros, 300 MB of them, deflate to 300 kB.
    let zeros = vec![0; 100_000_000];
    let bytes = Zip::of(vec![part("zeros", &zeros, 8)]).bytes();
    assert!(open_with(&bytes, &limits).is_err());
    assert!(
        open_with(
            &bytes,
            &Limits {
                ratio: 2000,
                ..limits
            }
        )
        .is_ok()
    );
    assert!(
        open_with(
            &bytes,
            &Limits {
                ratio: 2000,
                size: 99_999_999,
                ..limits
            }
        )
        .is_err()
    );
    assert!(
        open_with(
            &bytes,
            &Limits {
                ratio: 2000,
                size: 100_000_000,
                ..limits
            }
        )
        .is_ok()
    );
}

/// An honest million of entries is refused by its count, before any is looked at.
#[test]
fn a_million_entries() {
    let entry = part("000000", b"", 0);
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    let count = 1_000_000u64;
    for number in 0..count {
        let name = format!("{number:06}");
        let at = u32::try_from(bytes.len()).unwrap();
        bytes.extend(b"PK\x03\x04\x14\x00");
        shared(&mut bytes, &entry.local);
        bytes.extend(name.as_bytes());
        directory.extend(b"PK\x01\x02\x14\x03\x14\x00");
        shared(&mut directory, &entry.central);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size) = (bytes.len() as u64, directory.len() as u64);
    bytes.extend(directory);
    let at = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [count, count, size, start] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(at.to_le_bytes());
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    let (_, reason) = refused(&bytes).unwrap();
    assert_eq!(reason, "it has 1000000 entries; at most 300000 are allowed");
    let limits = Limits {
        entries: count,
        ..Limits::default()
    };
    assert_eq!(
        open_with(&bytes, &limits).unwrap().entries().len(),
        1_000_000
    );
}

/// Short paths are not the only ones: each of these files lies in two thousand folders of its own.
#[test]
fn folders_by_the_hundred_thousand() {
    let deep = |count: usize| {
        let parts = (0..count).map(|number| {
            let name = format!("{number}/{}file", "d/".repeat(2_000));
            part(&name, b"", 0)
        });
        Zip::of(parts.collect()).bytes()
    };
    assert!(refused(&deep(100)).is_none());
    let (entry, reason) = refused(&deep(200)).unwrap();
    assert_eq!(entry, "");
    assert_eq!(reason, "its files are in more than 300000 directories");
}

/// One entry of more than 4 GiB, by zip64.
#[test]
#[ignore = "long: inflates 4.1 GiB"]
fn hostile_and_honest_beyond_four_gibibytes() {
    let size = (4u64 << 30) + 12_345;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let mut crc = crc32fast::Hasher::new();
    let zeros = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let some = &zeros[..usize::try_from(left.min(1 << 20)).unwrap()];
        encoder.write_all(some).unwrap();
        crc.update(some);
        left -= some.len() as u64;
    }
    let crc = crc.finalize();
    let mut big = part("big", b"", 8);
    big.data = encoder.finish().unwrap();
    let packed = number(big.data.len());
    big.both(|header| {
        (header.crc, header.packed, header.size) = (crc, packed, u32::MAX);
        header.extra = large(&[size]);
    });
    let limits = Limits {
        ratio: 10_000,
        ..Limits::default()
    };
    let archive = open_with(&Zip::of(vec![big.clone()]).bytes(), &limits).unwrap();
    assert_eq!(archive.get("big").unwrap().size, size);
    // The same with its size modulo 2^32 is a lie.
    big.both(|header| {
        header.size = 12_345;
        header.extra.clear();
    });
    let lie = Zip::of(vec![big]).bytes();
    let (entry, reason) = refused(&lie).unwrap();
    assert_eq!(entry, "big");
    assert_eq!(reason, "the deflate stream holds more bytes than it should");
}
