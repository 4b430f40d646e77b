//! The additions at the end of a file, and the changes in it that refer to them.

use object::elf::{self, Verneed};
use object::write::elf::{ProgramHeader, SectionHeader};
use object::{Endianness, pod};

use super::Error;
use super::dynamic::{Dynamic, Renamed};
use super::file::{File, WORD};

/// The sizes that memory's pages have, in bytes: the smallest, and the largest.
const PAGES: (u64, u64) = (1 << 12, 1 << 16);
/// By how many bytes a program may grow to keep its file and its memory in step.
const PADDING: u64 = 1 << 24;
/// Addresses above are the kernel's on every machine; sums of lower ones do not overflow.
const HALF: u64 = 1 << 63;

/// The bytes of the file with another dynamic table, which learns here where its strings are.
pub(super) fn write(
    file: &File<'_>,
    dynamic: &mut Dynamic,
    renamed: &Renamed<'_>,
) -> Result<Vec<u8>, Error> {
    let added = Added::to(file, dynamic)?;
    dynamic.set(elf::DT_STRTAB, added.strings.address);
    dynamic.set(elf::DT_STRSZ, added.strings.size);

    let encoder = file.encoder;
    let no_room = |_| Error::NoRoom;
    let mut entries = Vec::new();
    for (tag, value) in dynamic.entries.iter().chain([&(elf::DT_NULL, 0)]) {
        encoder
            .dynamic(&mut entries, *tag, *value)
            .map_err(no_room)?;
    }
    let mut segments = Vec::new();
    for segment in added.segments(file) {
        encoder.program_header(&mut segments, &segment);
    }
    let mut sections = Vec::new();
    for section in added.sections(file) {
        encoder.section_header(&mut sections, &section);
    }
    let mut layout = file.layout.clone();
    if added.headers.size > 0 {
        layout.e_phoff = added.headers.offset;
        layout.segment_num += 1;
    }
    let mut header = Vec::new();
    encoder
        .file_header(&mut header, &file.header, &layout)
        .map_err(no_room)?;

    let mut bytes = file.bytes.to_vec();
    rename_versions(file, renamed, &mut bytes)?;
    put(&mut bytes, 0, &header)?;
    put(&mut bytes, layout.e_shoff, &sections)?;
    let (headers, table, strings) = (added.headers, added.table, added.strings);
    lay(&mut bytes, headers, layout.e_phoff, &segments)?;
    lay(&mut bytes, table, file.table.start as u64, &entries)?;
    lay(&mut bytes, strings, strings.offset, &dynamic.strings)?;
    Ok(bytes)
}

/// Bytes behind the end: where they are in the file and in memory.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: u64,
    address: u64,
    /// If it is 0, what could lie here stays where it is.
    size: u64,
}

impl Piece {
    /// The piece that follows.
    fn next(self, size: u64) -> Self {
        Self {
            offset: self.offset + self.size,
            address: self.address + self.size,
            size,
        }
    }

    /// Has a segment lie here.
    fn place(self, segment: &mut ProgramHeader) {
        segment.p_offset = self.offset;
        segment.p_vaddr = self.address;
        segment.p_paddr = self.address;
        segment.p_filesz = self.size;
        segment.p_memsz = self.size;
    }
}

/// What is added, in this order.
#[derive(Debug)]
struct Added {
    /// Which segment it belongs to: one that grows, or else a new one behind all that there are.
    segment: usize,
    /// How the segment is aligned.
    page: u64,
    headers: Piece,
    table: Piece,
    strings: Piece,
}

impl Added {
    /// Finds a place for the strings, and for the tables that grow out of theirs.
    fn to(file: &File<'_>, dynamic: &Dynamic) -> Result<Self, Error> {
        let encoder = file.encoder;
        let pages = file.loads().map(|load| load.p_align).max();
        let page = pages
            .unwrap_or(0)
            .clamp(PAGES.0, PAGES.1)
            .next_power_of_two();
        let count = file.segments.len() as u64 + 1;

        let (segment, start, headers) = match grown(file) {
            Some((segment, start)) => (segment, start, 0),
            None => (
                file.segments.len(),
                behind(file, page).ok_or(Error::NoRoom)?,
                encoder.program_header_size() * count,
            ),
        };
        let headers = Piece {
            size: headers,
            ..start
        };
        let table = encoder.dyn_size() * (dynamic.entries.len() as u64 + 1);
        let stays = table <= file.table.len() as u64;
        let table = headers.next(if stays { 0 } else { table });
        let strings = table.next(dynamic.strings.len() as u64);

        let limit = if encoder.is_64() {
            HALF
        } else {
            u32::MAX.into()
        };
        let end = strings.offset.max(strings.address) + strings.size;
        if end > limit || count >= elf::PN_XNUM.into() {
            return Err(Error::NoRoom);
        }
        Ok(Self {
            segment,
            page,
            headers,
            table,
            strings,
        })
    }

    /// The program headers.
    fn segments(&self, file: &File<'_>) -> Vec<ProgramHeader> {
        let mut segments = file.segments.clone();
        for segment in &mut segments {
            match segment.p_type {
                elf::PT_PHDR if self.headers.size > 0 => self.headers.place(segment),
                elf::PT_DYNAMIC if self.table.size > 0 => self.table.place(segment),
                _ => (),
            }
        }
        if self.segment == segments.len() {
            segments.push(ProgramHeader {
                p_type: elf::PT_LOAD,
                p_flags: elf::PF_R,
                p_offset: self.headers.offset,
                p_vaddr: self.headers.address,
                p_paddr: self.headers.address,
                p_filesz: 0,
                p_memsz: 0,
                p_align: self.page,
            });
        }
        let segment = &mut segments[self.segment];
        segment.p_filesz = self.strings.offset + self.strings.size - segment.p_offset;
        segment.p_memsz = segment.p_filesz;
        if self.table.size > 0 {
            // The loader writes into the dynamic table.
            segment.p_flags |= elf::PF_W;
        }
        segments
    }

    /// The section headers.
    fn sections(&self, file: &File<'_>) -> Vec<SectionHeader> {
        let mut sections = file.sections.clone();
        let strings = file.dynamic.get(elf::DT_STRTAB);
        for section in &mut sections {
            let piece = match section.sh_type {
                elf::SHT_DYNAMIC if self.table.size > 0 => self.table,
                elf::SHT_STRTAB if Some(section.sh_addr) == strings => self.strings,
                _ => continue,
            };
            section.sh_offset = piece.offset;
            section.sh_addr = piece.address;
            section.sh_size = piece.size;
        }
        sections
    }
}

/// The segment that can grow, and from where: the last one, if the file ends with it.
///
/// So it is in files that were relinked before. Those need no new segment each time, and no old one is
/// left with nothing in it, which `strip` would damage.
fn grown(file: &File<'_>) -> Option<(usize, Piece)> {
    let loads = file.segments.iter().enumerate();
    let loads = loads.filter(|(_, segment)| segment.p_type == elf::PT_LOAD);
    let (index, last) = loads.max_by_key(|(_, load)| load.p_vaddr)?;
    let offset = file.end();
    let ends = offset - (last.p_offset + last.p_filesz) < PAGES.0;
    let apart = last.p_vaddr.wrapping_sub(last.p_offset);
    if !ends || last.p_memsz != last.p_filesz || apart % WORD != 0 || last.p_vaddr > HALF {
        return None;
    }
    let address = last.p_vaddr + (offset - last.p_offset);
    Some((
        index,
        Piece {
            offset,
            address,
            size: 0,
        },
    ))
}

/// Where a new segment can begin: behind all others, in pages of its own.
fn behind(file: &File<'_>, page: u64) -> Option<Piece> {
    let mut ends = file
        .loads()
        .map(|load| load.p_vaddr.checked_add(load.p_memsz));
    let end = ends.try_fold(0, |last, end| Some(end?.max(last)))?;
    // One page is left free: `strip` lets a segment that holds the program headers begin earlier, by
    // less than that, which must not be in a page of the segment before.
    let free = end.checked_next_multiple_of(page)?.checked_add(page)?;
    let mut offset = file.end();
    let mut address = free.checked_add(offset % page)?;
    if file.is_program() {
        // Linux before 5.18 looks for a program's headers in memory as far from the first segment as
        // they are in the file.
        let first = file.loads().next()?;
        let apart = first.p_vaddr.checked_sub(first.p_offset)?;
        address = free.max(offset.checked_add(apart)?);
        let grows = (address - apart).checked_sub(offset)?;
        if apart % page != 0 || grows > PADDING {
            return None;
        }
        offset += grows;
    }
    (address <= HALF).then_some(Piece {
        offset,
        address,
        size: 0,
    })
}

/// Has the versions of symbols be those of libraries by their new names.
///
/// The loader looks for each of these libraries among those that it has loaded.
fn rename_versions(file: &File<'_>, renamed: &Renamed<'_>, bytes: &mut [u8]) -> Result<(), Error> {
    const UNREADABLE: Error = Error::Unreadable("versions");
    let Some(address) = file.dynamic.get(elf::DT_VERNEED) else {
        return Ok(());
    };
    let endian = file.encoder.endian();
    let size = size_of::<Verneed<Endianness>>() as u64;
    let mut at = file.locate(address, size).ok_or(UNREADABLE)?.start;
    // The loader goes by the last version's `vn_next`, not by their number.
    loop {
        let there = bytes.get_mut(at..).ok_or(UNREADABLE)?;
        let (version, _) = pod::from_bytes_mut::<Verneed<_>>(there).map_err(|()| UNREADABLE)?;
        if let Some(new) = renamed.place(&file.dynamic, version.vn_file.get(endian).into()) {
            version.vn_file.set(endian, new);
        }
        match version.vn_next.get(endian) {
            0 => return Ok(()),
            next => at = at.saturating_add(next as usize),
        }
    }
}

/// Puts bytes where a piece is, or else in the place of `old` ones.
fn lay(bytes: &mut Vec<u8>, piece: Piece, old: u64, new: &[u8]) -> Result<(), Error> {
    if piece.size == 0 {
        return put(bytes, old, new);
    }
    let start = usize::try_from(piece.offset).map_err(|_| Error::NoRoom)?;
    bytes.resize(start, 0);
    bytes.extend(new);
    Ok(())
}

/// Puts bytes in the place of others.
fn put(bytes: &mut [u8], at: u64, new: &[u8]) -> Result<(), Error> {
    let start = usize::try_from(at).ok();
    let there = start.and_then(|start| bytes.get_mut(start..)?.get_mut(..new.len()));
    there.ok_or(Error::Overlap)?.copy_from_slice(new);
    Ok(())
}
