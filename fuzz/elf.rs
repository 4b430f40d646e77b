//! Native code: what is relinked, the loader finds as it was, but for the names that were changed.
//!
//! The two readers agree: what the writer put there, the reader of files of code reads.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, pod};
use prebuild::code::{Code, Elf};
use prebuild::relink::{Changes, relink};

fuzz_target!(|bytes: &[u8]| {
    let read = Elf::read(bytes);
    let code = Code::of("a.so", bytes);
    if bytes.starts_with(b"\x7fELF") {
        assert_eq!(code.elf.as_ref(), Some(&read));
    }
    if let Ok(same) = relink(bytes, &Changes::default()) {
        assert!(same == bytes);
    }
    let Ok(before) = read else {
        // It need not be refused by the other one, which looks at less.
        let _ = relink(bytes, &changes(&Elf::default()));
        return;
    };
    assert!(before.weight() <= 2 << 20, "{} bytes", before.weight());
    let changes = changes(&before);
    let Ok(relinked) = relink(bytes, &changes) else {
        return;
    };
    assert_eq!(relink(bytes, &changes).as_ref(), Ok(&relinked));
    let after = Elf::read(&relinked[..]).expect("what was written is read");
    let searches = match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => {
            same::<FileHeader32<Endianness>>(bytes, &relinked);
            has_runpath::<FileHeader32<Endianness>>(bytes)
        }
        Ok(FileKind::Elf64) => {
            same::<FileHeader64<Endianness>>(bytes, &relinked);
            has_runpath::<FileHeader64<Endianness>>(bytes)
        }
        kind => panic!("relinked {kind:?}"),
    };
    assert_eq!(after, expected(before, &changes, searches));
});

/// A new name for what it needs first, and for itself.
fn changes(elf: &Elf) -> Changes {
    let first = elf.needed.first().cloned();
    Changes {
        needed: BTreeMap::from_iter(first.map(|name| (name, "libnew-0123.so.1".to_owned()))),
        soname: Some("libself-4567.so".to_owned()),
        search: vec!["$ORIGIN/../own.libs".to_owned()],
    }
}

/// Whether there is a `DT_RUNPATH`, even an empty one.
fn has_runpath<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> bool {
    let header = H::parse(bytes).expect("it was read");
    let endian = header.endian().expect("it was read");
    let segments = header.program_headers(endian, bytes);
    segments.expect("it was read").iter().any(|segment| {
        let entries = segment.dynamic(endian, bytes).ok().flatten();
        entries
            .into_iter()
            .flatten()
            .map(|entry| entry.d_tag(endian))
            .take_while(|tag| *tag != elf::DT_NULL)
            .any(|tag| tag == elf::DT_RUNPATH)
    })
}

/// What the file says once it is changed.
fn expected(mut elf: Elf, changes: &Changes, has_runpath: bool) -> Elf {
    let rename = |name: &mut String| {
        if let Some(new) = changes.needed.get(name) {
            name.clone_from(new);
        }
    };
    elf.needed.iter_mut().for_each(rename);
    for versions in &mut elf.versions {
        rename(&mut versions.library);
    }
    elf.soname.clone_from(&changes.soname);
    let path = if has_runpath {
        &mut elf.runpath
    } else {
        &mut elf.rpath
    };
    path.retain(|folder| !changes.search.contains(folder));
    path.splice(0..0, changes.search.iter().cloned());
    elf
}

/// That every segment is where it was, with the same bytes but in the tables that say what is needed.
fn same<H: FileHeader<Endian = Endianness>>(old: &[u8], new: &[u8]) {
    let header = H::parse(old).expect("it was read");
    let endian = header.endian().expect("it was read");
    let segments = header.program_headers(endian, old).expect("it was read");
    let mut changed = vec![0..u64::from(header.e_ehsize(endian)).max(64)];
    let mut table = |start: u64, size: u64| changed.push(start..start.saturating_add(size));
    table(header.e_phoff(endian).into(), size_of_val(segments) as u64);
    let sections = header.section_headers(endian, old).unwrap_or_default();
    table(header.e_shoff(endian).into(), size_of_val(sections) as u64);
    for segment in segments {
        if let Ok(Some(entries)) = segment.dynamic(endian, old) {
            let (start, size) = segment.file_range(endian);
            table(start, size);
            let names = versions::<H>(old, endian, segments, entries);
            names.into_iter().for_each(|at| table(at, 4));
        }
    }
    let segments_now = H::parse(new)
        .and_then(|header| header.program_headers(endian, new))
        .expect("what was written is read");
    for segment in segments
        .iter()
        .filter(|one| one.p_type(endian) == elf::PT_LOAD)
    {
        let (start, size) = segment.file_range(endian);
        assert!(segments_now.iter().any(|now| {
            now.p_type(endian) == elf::PT_LOAD
                && now.p_vaddr(endian).into() == segment.p_vaddr(endian).into()
                && now.file_range(endian).0 == start
                && now.file_range(endian).1 >= size
        }));
    }
    let differ = old
        .iter()
        .zip(new)
        .enumerate()
        .filter(|(_, (old, new))| old != new);
    for (at, _) in differ {
        let at = at as u64;
        assert!(
            changed.iter().any(|range| range.contains(&at)),
            "byte {at} has changed"
        );
    }
}

/// Where the names of the libraries stand of which versions are taken.
fn versions<H: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
    endian: Endianness,
    segments: &[H::ProgramHeader],
    entries: &[H::Dyn],
) -> Vec<u64> {
    let entries = entries
        .iter()
        .take_while(|entry| entry.d_tag(endian) != elf::DT_NULL);
    let address = entries
        .filter(|entry| entry.d_tag(endian) == elf::DT_VERNEED)
        .last();
    let start = address.and_then(|entry| {
        let address: u64 = entry.d_val(endian).into();
        segments.iter().find_map(|segment| {
            let (offset, size) = segment.file_range(endian);
            let into = address.checked_sub(segment.p_vaddr(endian).into())?;
            (segment.p_type(endian) == elf::PT_LOAD && into < size).then(|| offset + into)
        })
    });
    let mut names = Vec::new();
    let mut next = start;
    while let Some(at) = next.filter(|_| names.len() <= 1 << 16) {
        let there = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
        let Some(Ok((version, _))) = there.map(pod::from_bytes::<elf::Verneed<Endianness>>) else {
            break;
        };
        names.push(at + 4);
        let step = version.vn_next.get(endian);
        next = (step > 0).then(|| at + u64::from(step));
    }
    names
}
