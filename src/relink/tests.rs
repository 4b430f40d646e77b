use object::Endianness;
use object::elf::{self, DynamicTag};
use object::write::elf::{
    Encoder, FileHeader, FileHeaderLayout, ProgramHeader, SectionHeader, Verneed,
};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// A library that needs `libz.so.1`, of which it wants a version, and `libm.so.6`.
#[derive(Debug, Clone, Copy)]
struct Library {
    is_64: bool,
    endian: Endianness,
    /// How many more entries its dynamic table has room for.
    room: usize,
    /// Where it has libraries searched.
    search: &'static [(DynamicTag, &'static str)],
    /// Of what type its second segment is.
    other: elf::ProgramType,
    /// How much memory it takes that is not in the file.
    zeros: u64,
}

const LIBRARY: Library = Library {
    is_64: true,
    endian: Endianness::Little,
    room: 0,
    search: &[],
    other: elf::PT_NULL,
    zeros: 100,
};

impl Library {
    /// Addresses are offsets in the file.
    fn build(&self) -> Vec<u8> {
        let encoder = Encoder::new(self.endian, self.is_64, elf::EM_NONE);
        let mut strings = vec![0];
        let mut name = |text: &str| {
            strings.extend(text.as_bytes());
            strings.push(0);
            (strings.len() - text.len() - 1) as u64
        };
        let zlib = name("libz.so.1");
        let mut entries = vec![(elf::DT_NEEDED, zlib), (elf::DT_NEEDED, name("libm.so.6"))];
        entries.extend(self.search.iter().map(|(tag, path)| (*tag, name(path))));

        let headers = encoder.file_header_size();
        let versions = headers + encoder.program_header_size() * 3;
        let strings_at = versions + 16;
        let table = (strings_at + strings.len() as u64).next_multiple_of(8);
        entries.extend([
            (elf::DT_STRTAB, strings_at),
            (elf::DT_STRSZ, strings.len() as u64),
            (elf::DT_VERNEED, versions),
            (elf::DT_VERNEEDNUM, 1),
        ]);
        entries.extend(vec![(elf::DT_NULL, 0); 1 + self.room]);
        let table_size = encoder.dyn_size() * entries.len() as u64;
        let end = table + table_size;

        let mut bytes = Vec::new();
        let layout = FileHeaderLayout {
            e_phoff: headers,
            segment_num: 3,
            e_shoff: end,
            section_num: 3,
            shstrtab_index: 0,
        };
        let header = FileHeader {
            e_type: elf::ET_DYN,
            ..FileHeader::default()
        };
        encoder.file_header(&mut bytes, &header, &layout).unwrap();
        for (p_type, at, size, zeros) in [
            (elf::PT_LOAD, 0, end, self.zeros),
            (self.other, headers, versions - headers, 0),
            (elf::PT_DYNAMIC, table, table_size, 0),
        ] {
            let segment = ProgramHeader {
                p_type,
                p_flags: elf::PF_R | elf::PF_W,
                p_offset: at,
                p_vaddr: at,
                p_paddr: at,
                p_filesz: size,
                p_memsz: size + zeros,
                p_align: 0x4000,
            };
            encoder.program_header(&mut bytes, &segment);
        }
        let version = Verneed {
            version: 1,
            aux_count: 0,
            file: u32::try_from(zlib).unwrap(),
        };
        encoder.gnu_verneed(&mut bytes, false, &version);
        bytes.extend(strings);
        bytes.resize(usize::try_from(table).unwrap(), 0);
        for (tag, value) in entries {
            encoder.dynamic(&mut bytes, tag, value).unwrap();
        }
        let section = SectionHeader {
            sh_name: 0,
            sh_type: elf::SHT_NULL,
            sh_flags: elf::SHF_ALLOC,
            sh_addr: 0,
            sh_offset: 0,
            sh_size: 0,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        };
        encoder.section_header(&mut bytes, &section);
        for (sh_type, at, size) in [
            (elf::SHT_STRTAB, strings_at, table - strings_at),
            (elf::SHT_DYNAMIC, table, table_size),
        ] {
            let section = SectionHeader {
                sh_type,
                sh_addr: at,
                sh_offset: at,
                sh_size: size,
                ..section
            };
            encoder.section_header(&mut bytes, &section);
        }
        bytes
    }
}

fn changes() -> Changes {
    Changes {
        needed: BTreeMap::from([("libz.so.1".to_owned(), "libz-0123abcd.so.1".to_owned())]),
        soname: Some("libown-4567cdef.so".to_owned()),
        search: vec!["$ORIGIN/../own.libs".to_owned()],
    }
}

/// What the loader is asked for.
fn asked(elf: &[u8]) -> Vec<String> {
    let file = File::read(elf).unwrap();
    let names = [
        (elf::DT_NEEDED, "needs"),
        (elf::DT_SONAME, "is"),
        (elf::DT_RPATH, "rpath"),
        (elf::DT_RUNPATH, "runpath"),
    ];
    let entries = file.dynamic.entries.iter();
    entries
        .filter_map(|(tag, at)| {
            let (_, word) = names.iter().find(|(named, _)| named == tag)?;
            let string = file.dynamic.string(*at).unwrap();
            Some(format!("{word} {}", str::from_utf8(string).unwrap()))
        })
        .collect()
}

/// Of which library a version is wanted.
fn version_of(elf: &[u8]) -> String {
    let file = File::read(elf).unwrap();
    let at = file.dynamic.get(elf::DT_VERNEED).unwrap();
    let at = file.locate(at, 16).unwrap().start;
    let word: [u8; 4] = elf[at + 4..at + 8].try_into().unwrap();
    let place = match file.encoder.endian() {
        Endianness::Little => u32::from_le_bytes(word),
        Endianness::Big => u32::from_be_bytes(word),
    };
    let string = file.dynamic.string(place.into()).unwrap();
    String::from_utf8(string.to_vec()).unwrap()
}

#[test]
fn both_classes_and_byte_orders_are_relinked() {
    for is_64 in [true, false] {
        for endian in [Endianness::Little, Endianness::Big] {
            for room in [0, 1, 2] {
                let elf = Library {
                    is_64,
                    endian,
                    room,
                    ..LIBRARY
                }
                .build();
                assert_eq!(asked(&elf), ["needs libz.so.1", "needs libm.so.6"]);
                let relinked = relink(&elf, &changes()).unwrap();
                assert_eq!(
                    asked(&relinked),
                    [
                        "needs libz-0123abcd.so.1",
                        "needs libm.so.6",
                        "is libown-4567cdef.so",
                        "rpath $ORIGIN/../own.libs",
                    ]
                );
                assert_eq!(version_of(&relinked), "libz-0123abcd.so.1");
                assert_eq!(relink(&elf, &changes()).unwrap(), relinked);
            }
        }
    }
}

/// Of two string tables the loader takes the last; what reads files of code must take the same.
#[test]
fn the_last_of_several_entries_counts() {
    let mut elf = Library {
        search: &[(elf::DT_RPATH, "x")],
        ..LIBRARY
    }
    .build();
    assert_eq!(asked(&elf)[2], "rpath x");
    let rpath = 15_u64.to_le_bytes();
    let mut words = elf.chunks_exact(8);
    let at = 8 * words.rposition(|word| word == rpath).unwrap();
    elf[at] = 5; // `DT_STRTAB`
    let read = crate::code::Elf::read(&elf[..]).unwrap();
    assert_eq!(read.needed, ["libz.so.1", "libm.so.6"]);
    assert_eq!(asked(&elf), ["needs libz.so.1", "needs libm.so.6"]);
}

/// The loader follows the versions to the last, whatever their number is said to be.
#[test]
fn versions_are_renamed_whatever_their_number() {
    let mut elf = LIBRARY.build();
    // `DT_VERNEEDNUM`, and 1.
    let number = [0x6fff_ffff_u64, 1].map(u64::to_le_bytes);
    let mut entries = elf.windows(16);
    let at = entries.position(|entry| entry == number.concat()).unwrap();
    elf[at + 8] = 0;
    let relinked = relink(&elf, &changes()).unwrap();
    assert_eq!(version_of(&relinked), "libz-0123abcd.so.1");
}

#[test]
fn what_is_loaded_is_where_it_was() {
    let elf = LIBRARY.build();
    let relinked = relink(&elf, &changes()).unwrap();
    let (old, new) = (File::read(&elf).unwrap(), File::read(&relinked).unwrap());
    let (old_load, new_load) = (&old.segments[0], new.segments.last().unwrap());
    assert_eq!(format!("{old_load:?}"), format!("{:?}", new.segments[0]));
    // Pages of its own, and the loader may write where the dynamic table is.
    assert!(new_load.p_vaddr / 0x4000 > (old_load.p_vaddr + old_load.p_memsz) / 0x4000);
    assert_eq!((new_load.p_vaddr - new_load.p_offset) % new_load.p_align, 0);
    assert_eq!(new_load.p_align, 0x4000);
    assert_eq!(new_load.p_flags, elf::PF_R | elf::PF_W);
    let end = new_load.p_offset + new_load.p_filesz;
    assert_eq!(end, relinked.len() as u64);
    for (section, address) in [
        (1, new.dynamic.get(elf::DT_STRTAB)),
        (2, Some(new.segments[2].p_vaddr)),
    ] {
        assert_eq!(Some(new.sections[section].sh_addr), address);
    }
}

#[test]
fn entries_fill_the_room_that_there_is() {
    let elf = Library { room: 2, ..LIBRARY }.build();
    let relinked = relink(&elf, &changes()).unwrap();
    let (old, new) = (File::read(&elf).unwrap(), File::read(&relinked).unwrap());
    assert_eq!(new.table, old.table);
    assert_eq!(new.segments.last().unwrap().p_flags, elf::PF_R);
}

#[test]
fn relinked_again_the_same_segment_grows() {
    let once = relink(&LIBRARY.build(), &changes()).unwrap();
    let again = Changes {
        needed: BTreeMap::from([("libz-0123abcd.so.1".to_owned(), "libz.so.1".to_owned())]),
        soname: Some("libown.so".to_owned()),
        search: vec!["$ORIGIN".to_owned(), "$ORIGIN/../own.libs".to_owned()],
    };
    let twice = relink(&once, &again).unwrap();
    assert_eq!(
        asked(&twice),
        [
            "needs libz.so.1",
            "needs libm.so.6",
            "is libown.so",
            "rpath $ORIGIN:$ORIGIN/../own.libs",
        ]
    );
    assert_eq!(version_of(&twice), "libz.so.1");
    let segments = |elf: &[u8]| File::read(elf).unwrap().segments.len();
    assert_eq!((segments(&once), segments(&twice)), (4, 4));
}

#[test]
fn names_can_be_swapped() {
    let swapped = Changes {
        needed: BTreeMap::from([
            ("libz.so.1".to_owned(), "libm.so.6".to_owned()),
            ("libm.so.6".to_owned(), "libz.so.1".to_owned()),
        ]),
        ..Changes::default()
    };
    let relinked = relink(&LIBRARY.build(), &swapped).unwrap();
    assert_eq!(asked(&relinked), ["needs libm.so.6", "needs libz.so.1"]);
    assert_eq!(version_of(&relinked), "libm.so.6");
}

#[test]
fn folders_are_put_before_those_that_are_searched() {
    let searched = |search: &'static [(DynamicTag, &'static str)]| {
        let elf = Library { search, ..LIBRARY }.build();
        let changes = Changes {
            search: vec!["/new".to_owned(), "/both".to_owned()],
            ..Changes::default()
        };
        asked(&relink(&elf, &changes).unwrap())[2..].to_vec()
    };
    assert_eq!(searched(&[]), ["rpath /new:/both"]);
    assert_eq!(searched(&[(elf::DT_RPATH, "")]), ["rpath /new:/both"]);
    assert_eq!(
        searched(&[(elf::DT_RPATH, "/a:/both:/b")]),
        ["rpath /new:/both:/a:/b"]
    );
    assert_eq!(
        searched(&[(elf::DT_RUNPATH, "/a")]),
        ["runpath /new:/both:/a"]
    );
    let both = &[(elf::DT_RUNPATH, "/a"), (elf::DT_RPATH, "/b")];
    assert_eq!(searched(both), ["runpath /new:/both:/a", "rpath /b"]);
}

#[test]
fn the_program_headers_say_where_they_are() {
    let elf = Library {
        other: elf::PT_PHDR,
        ..LIBRARY
    }
    .build();
    let relinked = relink(&elf, &changes()).unwrap();
    let file = File::read(&relinked).unwrap();
    let headers = &file.segments[1];
    assert_eq!(headers.p_offset, file.layout.e_phoff);
    assert_eq!(headers.p_filesz, 4 * file.encoder.program_header_size());
    let place = file.locate(headers.p_vaddr, headers.p_memsz).unwrap();
    assert_eq!(place.start as u64, headers.p_offset);
}

#[test]
fn a_program_stays_in_step() {
    let program = Library {
        other: elf::PT_INTERP,
        ..LIBRARY
    };
    let elf = Library {
        zeros: 1 << 20,
        ..program
    }
    .build();
    let relinked = relink(&elf, &changes()).unwrap();
    let file = File::read(&relinked).unwrap();
    let last = file.segments.last().unwrap();
    assert_eq!(last.p_vaddr, last.p_offset);

    let elf = Library {
        zeros: 1 << 40,
        ..program
    }
    .build();
    assert_eq!(relink(&elf, &changes()), Err(Error::NoRoom));
}

#[test]
fn nothing_asked_for_changes_nothing() {
    let elf = LIBRARY.build();
    assert_eq!(relink(&elf, &Changes::default()).unwrap(), elf);
}

#[test]
fn bytes_need_not_be_aligned() {
    let library = LIBRARY.build();
    let elf = [vec![0], library.clone()].concat();
    assert_eq!(
        relink(&elf[1..], &changes()),
        Ok(relink(&library, &changes()).unwrap())
    );
}

#[test]
fn what_cannot_be_relinked_is_refused() {
    let elf = LIBRARY.build();
    let refused = |changes: Changes| relink(&elf, &changes).unwrap_err().to_string();
    let needed = |old: &str, new: &str| Changes {
        needed: BTreeMap::from([(old.to_owned(), new.to_owned())]),
        ..Changes::default()
    };
    let search = |folder: &str| Changes {
        search: vec![folder.to_owned()],
        ..Changes::default()
    };
    assert_eq!(
        refused(needed("libz.so", "x")),
        "the ELF file does not need `libz.so`"
    );
    assert_eq!(
        refused(needed("libz.so.1", "")),
        "the loader cannot be asked for \"\""
    );
    assert_eq!(
        refused(needed("libm.so.6", "a\0")),
        "the loader cannot be asked for \"a\\0\""
    );
    assert_eq!(
        refused(search("/a:/b")),
        "the loader cannot be asked for \"/a:/b\""
    );

    let unreadable = |elf: &[u8]| relink(elf, &changes()).unwrap_err().to_string();
    assert_eq!(unreadable(b""), "the file is not an ELF file");
    assert_eq!(
        unreadable(b"!<arch>\nlibz.a/"),
        "the file is not an ELF file"
    );
    assert_eq!(
        unreadable(&elf[..20]),
        "cannot read the header of the ELF file"
    );
    assert_eq!(
        unreadable(&elf[..100]),
        "cannot read the program headers of the ELF file"
    );
    assert_eq!(
        unreadable(&elf[..elf.len() - 1]),
        "cannot read the section headers of the ELF file"
    );
    let fixed = Library {
        other: elf::PT_DYNAMIC,
        ..LIBRARY
    }
    .build();
    assert_eq!(
        unreadable(&fixed),
        "cannot read the dynamic table of the ELF file"
    );
}

/// Libraries of 32 bits: a version's flags lie where the name of its library stands; and program headers lie
/// where its versions are.
const OVERLAID: [(&str, &str); 2] = [
    (
        "",
        "\
    7f454c46010101000000000000000000030003000100000000000000340000000000000000000000\
    34002000020000000000000001000000000000000000000000000000100100001001000006000000\
    0010000002000000c8000000c8000000c80000004800000048000000000000000000000000000001\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000\
    000000000000000000000000000000002f783a2f6f707400474c4942bda0cdd1cbfffffe00000000\
    0100000001000000010000000b00000005000000940000000a0000002e000000feffff6f74000000\
    ffffff6f010000001d000000150000000000000000fdff000000000000000000",
    ),
    (
        "libm.so.6",
        "\
    7f454c46010101000000000000000000030003000100000000000000340000000000000000000000\
    34002000030000000000000001000000000000000000000000000000100100001001000006000000\
    0010000002000000c8000000c8000000c80000004800000048000000060000000010000001000100\
    0b000000100000000000000000000000000002002400000000000000006c69627a2e736f2e31006c\
    69626d2e736f2e3600244f524947754e2f783a2f6f707400474c4942435f322e3400000000000000\
    015d000001000000010000000b00000005000000940000000a0000002e000000feffff6f74000000\
    ffffff6f010000000000000000000000000000000000000000000060000000000000",
    ),
];

#[test]
fn versions_that_overlap_anything_are_refused() {
    for (needed, hex) in OVERLAID {
        let bytes = (0..hex.len()).step_by(2);
        let bytes = bytes.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let elf: Vec<u8> = bytes.collect();
        let changes = Changes {
            needed: BTreeMap::from([(needed.to_owned(), "libnew-0123.so.1".to_owned())]),
            soname: Some("libself-4567.so".to_owned()),
            search: vec!["$ORIGIN/../own.libs".to_owned()],
        };
        assert_eq!(relink(&elf, &changes), Err(Error::Overlap), "{needed}");
    }
}

#[test]
fn tables_that_overlap_are_refused() {
    let mut elf = LIBRARY.build();
    // One section, whose header lies over the file's.
    elf[0x28..0x30].copy_from_slice(&8u64.to_le_bytes());
    elf[0x3c] = 1;
    assert_eq!(relink(&elf, &changes()), Err(Error::Overlap));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Changed anywhere, cut anywhere: a library or an error, and never much larger.
    #[test]
    fn damaged_files_are_relinked_or_refused(
        is_64 in any::<bool>(),
        is_big in any::<bool>(),
        changed in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let endian = if is_big { Endianness::Big } else { Endianness::Little };
        let mut elf = Library { is_64, endian, ..LIBRARY }.build();
        for (index, byte) in changed {
            let at = index.index(elf.len());
            elf[at] = byte;
        }
        if let Some(index) = cut {
            elf.truncate(index.index(elf.len()));
        }
        if let Ok(relinked) = relink(&elf, &changes()) {
            prop_assert!(relinked.len() < 4 * elf.len() + (1 << 24));
            prop_assert!(File::read(&relinked).is_ok());
        }
    }

    /// Words changed to what tables are likely to be misled by.
    #[test]
    fn misleading_files_are_relinked_or_refused(
        is_64 in any::<bool>(),
        changed in proptest::collection::vec((any::<Index>(), 0usize..7), 1..4),
    ) {
        let mut elf = Library { is_64, ..LIBRARY }.build();
        let length = elf.len() as u64;
        let words = [0, 1, 64, length, length - 8, u64::MAX, 1 << 63];
        for (index, word) in changed {
            let at = index.index(elf.len() / 8) * 8;
            elf[at..at + 8].copy_from_slice(&words[word].to_le_bytes());
        }
        if let Ok(relinked) = relink(&elf, &changes()) {
            prop_assert!(relinked.len() < 4 * elf.len() + (1 << 24));
            prop_assert!(relink(&relinked, &Changes::default()).is_ok());
        }
    }
}
