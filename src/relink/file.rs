//! Reads the tables of an ELF file that the loader uses.

use std::ops::Range;

use object::elf::{self, DynamicFlags1, DynamicTag, FileHeader32, FileHeader64};
use object::read::elf::{Dyn as _, ProgramHeader as _};
use object::write::elf::{Encoder, FileHeader, FileHeaderLayout, ProgramHeader, SectionHeader};
use object::{Endianness, FileKind, read};

use super::Error;
use super::dynamic::Dynamic;

/// What begins at a multiple of this is aligned for every table.
pub(super) const WORD: u64 = 8;

/// An ELF file, of either class and byte order.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) encoder: Encoder<Endianness>,
    pub(super) header: FileHeader,
    pub(super) layout: FileHeaderLayout,
    pub(super) segments: Vec<ProgramHeader>,
    pub(super) sections: Vec<SectionHeader>,
    pub(super) dynamic: Dynamic,
    /// Where the dynamic table is in the file, with all the entries that it has room for.
    pub(super) table: Range<usize>,
}

impl<'a> File<'a> {
    /// Reads the tables, which must lie in the file.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        match FileKind::parse(bytes) {
            Ok(FileKind::Elf32) => Self::read_as::<FileHeader32<Endianness>>(bytes),
            Ok(FileKind::Elf64) => Self::read_as::<FileHeader64<Endianness>>(bytes),
            _ => Err(Error::NotElf),
        }
    }

    fn read_as<Elf>(bytes: &'a [u8]) -> Result<Self, Error>
    where
        Elf: read::elf::FileHeader<Endian = Endianness>,
    {
        let header = Elf::parse(bytes).map_err(|_| Error::Unreadable("header"))?;
        let endian = header.endian().map_err(|_| Error::Unreadable("header"))?;
        let segments = header
            .program_headers(endian, bytes)
            .map_err(|_| Error::Unreadable("program headers"))?;
        let sections = header
            .section_headers(endian, bytes)
            .map_err(|_| Error::Unreadable("section headers"))?;

        let mut dynamic = None;
        for segment in segments {
            let table = segment.dynamic(endian, bytes);
            if let Some(table) = table.map_err(|_| Error::Unreadable("dynamic table"))?
                && dynamic.replace((segment, table)).is_some()
            {
                return Err(Error::Unreadable("dynamic table"));
            }
        }
        let Some((segment, table)) = dynamic.filter(|(_, table)| !table.is_empty()) else {
            return Err(Error::Static);
        };
        let entries: Vec<_> = table
            .iter()
            .map(|entry| (entry.tag(endian), entry.val(endian)))
            .collect();

        let file = Self {
            bytes,
            encoder: Encoder::new(endian, header.is_class_64(), header.e_machine(endian)),
            header: FileHeader::from_raw(endian, header),
            layout: FileHeaderLayout::from_raw(endian, header, bytes)
                .map_err(|_| Error::Unreadable("header"))?,
            segments: segments
                .iter()
                .map(|segment| ProgramHeader::from_raw(endian, segment))
                .collect(),
            sections: sections
                .iter()
                .map(|section| SectionHeader::from_raw(endian, section))
                .collect(),
            dynamic: Dynamic::default(),
            table: 0..0,
        };
        file.with_dynamic(&ProgramHeader::from_raw(endian, segment), entries)
    }

    /// Takes in the dynamic table, which lies in the segment.
    fn with_dynamic(
        mut self,
        segment: &ProgramHeader,
        mut entries: Vec<(DynamicTag, u64)>,
    ) -> Result<Self, Error> {
        if self.loads().any(|load| {
            let end = load.p_offset.checked_add(load.p_filesz);
            end.is_none_or(|end| end > self.bytes.len() as u64)
        }) {
            return Err(Error::Unreadable("segments"));
        }
        // The loader finds the table by its address, other programs by its place in the file.
        let table = self.locate(segment.p_vaddr, segment.p_filesz);
        self.table = table
            .filter(|table| table.start as u64 == segment.p_offset)
            .ok_or(Error::Unreadable("dynamic table"))?;
        let is_null = |entry: &(DynamicTag, u64)| entry.0 == elf::DT_NULL;
        let Some(null) = entries.iter().position(is_null) else {
            return Err(Error::Unreadable("dynamic table"));
        };
        // What lies behind the end is room for more if there is nothing.
        if !entries.drain(null..).all(|entry| is_null(&entry)) {
            self.table.end = self.table.start + (null + 1) * self.entry_size();
        }
        self.dynamic.entries = entries;

        let strings = self
            .dynamic
            .get(elf::DT_STRTAB)
            .zip(self.dynamic.get(elf::DT_STRSZ));
        let strings = strings.and_then(|(address, size)| self.locate(address, size));
        let strings = strings.ok_or(Error::Unreadable("dynamic strings"))?;
        self.dynamic.strings = self.bytes[strings].to_vec();
        Ok(self)
    }

    /// The segments that are loaded.
    pub(super) fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        let segments = self.segments.iter();
        segments.filter(|segment| segment.p_type == elf::PT_LOAD)
    }

    /// Where in the file the bytes are that are loaded to an address.
    pub(super) fn locate(&self, address: u64, size: u64) -> Option<Range<usize>> {
        let start = self.loads().find_map(|load| {
            let within = address.checked_sub(load.p_vaddr)?;
            let end = within.checked_add(size)?;
            (end <= load.p_filesz).then(|| load.p_offset + within)
        })?;
        Some(usize::try_from(start).ok()?..usize::try_from(start + size).ok()?)
    }

    /// Where what is added to the file can begin.
    pub(super) fn end(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(WORD)
    }

    /// How many bytes an entry of the dynamic table takes.
    #[expect(clippy::cast_possible_truncation, reason = "it is 8 or 16")]
    pub(super) fn entry_size(&self) -> usize {
        self.encoder.dyn_size() as usize
    }

    /// Whether the kernel loads it, and not only the loader.
    pub(super) fn is_program(&self) -> bool {
        let mut segments = self.segments.iter();
        let flags = self.dynamic.get(elf::DT_FLAGS_1).unwrap_or_default();
        self.header.e_type == elf::ET_EXEC
            || segments.any(|segment| segment.p_type == elf::PT_INTERP)
            || DynamicFlags1(flags).contains(elf::DF_1_PIE)
    }
}
