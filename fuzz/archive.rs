//! Archives: what is taken, other readers see in the same way, and no input is a panic.
//!
//! The input is an archive as it stands, or (if it begins with an odd byte) a list of changes to an
//! honest one and what that holds, which gets past the headers sooner. Of those that stand as they
//! are, three of four are repaired after each change.

#![no_main]

mod repair;

use std::io::{Cursor, Read as _, Write as _};

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use prebuild::event::Cancel;
use prebuild::wheel::{Archive, Limits};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    let bytes = if kind % 2 == 0 {
        rest.to_vec()
    } else {
        changed(rest)
    };
    let mut file = tempfile::NamedTempFile::new().expect("there is memory");
    file.write_all(&bytes).expect("there is memory");
    let limits = Limits {
        size: 1 << 24,
        ..Limits::default()
    };
    let Ok(archive) = Archive::open(file.path(), None, &limits, &Cancel::new()) else {
        return;
    };
    let mut other = ZipArchive::new(Cursor::new(&bytes)).expect("other readers take it");
    let mut files = 0;
    for index in 0..other.len() {
        let mut theirs = other.by_index(index).expect("other readers take it");
        let name = theirs.name().expect("it is UTF-8").into_owned();
        if name.ends_with('/') {
            continue;
        }
        files += 1;
        let entry = archive.get(&name).expect("it is seen by both");
        let mut expected = Vec::new();
        theirs.read_to_end(&mut expected).expect("it is whole");
        let mut found = Vec::new();
        let content = archive.content(entry);
        let mut reader = content.open().expect("it was checked");
        reader.read_to_end(&mut found).expect("it was checked");
        assert!(found == expected);
    }
    assert_eq!(files, archive.entries().len());
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if let Some((kind, archive)) = data[..size].split_first_mut()
        && kind.is_multiple_of(2)
        && !seed.is_multiple_of(4)
    {
        repair::repair(archive);
    }
    size
});

/// An honest archive with some bytes changed.
fn changed(input: &[u8]) -> Vec<u8> {
    let (changes, rest) = input.split_at(
        input
            .len()
            .min(1 + 3 * usize::from(input.first().copied().unwrap_or(0) % 8)),
    );
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (number, part) in rest.split(|byte| *byte == 0xff).take(5).enumerate() {
        let style = part.first().copied().unwrap_or(0);
        let method = if style & 1 == 0 {
            CompressionMethod::Deflated
        } else {
            CompressionMethod::Stored
        };
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .large_file(style & 2 != 0)
            .unix_permissions(0o644);
        let name = if style & 4 == 0 {
            format!("a/{number}.py")
        } else {
            String::from_utf8_lossy(&part[..part.len().min(9)]).into_owned()
        };
        if zip.start_file(name, options).is_err() {
            continue;
        }
        zip.write_all(part).expect("memory takes it");
    }
    let mut bytes = zip.finish().expect("memory takes it").into_inner();
    for change in changes.get(1..).unwrap_or_default().chunks_exact(3) {
        // From the end, where the headers are.
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        let index = bytes.len() - 1 - at;
        bytes[index] = change[2];
    }
    bytes
}
