//! What an ELF file asks of the dynamic loader, and what it offers: read as the loader reads it, from
//! the program headers and the dynamic section, never from section headers, which a file need not have.
//!
//! Every offset, size and count comes from a file that nobody has checked: each is held against a
//! limit, and a chain that goes on for too long is damaged.
//!
//! <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html>, and for versions of symbols
//! <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html>

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

use object::elf;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};
use object::{Endian, Endianness, FileKind, ReadRef};
use serde::{Deserialize, Serialize};

use super::weight;

/// What the dynamic loader reads of an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elf {
    /// What it runs on.
    pub machine: Machine,
    /// Whether it is something that the loader loads: an executable or a shared object, rather than an
    /// object file or a core.
    pub loadable: bool,
    /// The loader that it names, if it is to be executed (`PT_INTERP`).
    pub interpreter: Option<String>,
    /// The name by which others need it (`DT_SONAME`).
    pub soname: Option<String>,
    /// The libraries that it needs, in the order of its dynamic section (`DT_NEEDED`).
    pub needed: Vec<String>,
    /// Where they are searched, for what it loads and all below (`DT_RPATH`).
    pub rpath: Vec<String>,
    /// Where they are searched, for what it loads itself (`DT_RUNPATH`).
    pub runpath: Vec<String>,
    /// The versions of symbols that it takes from libraries.
    pub versions: Vec<Versions>,
    /// The versions of symbols that it defines itself.
    pub defines: Vec<String>,
}

/// The versions of symbols that are taken from one library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The library, by the name under which it is needed.
    pub library: String,
    /// The versions; of a weak one, the loader only warns.
    pub names: Vec<(String, Weak)>,
}

/// Whether a version may be missing.
pub type Weak = bool;

/// What a file runs on: the machine of its header, and how wide and in which order it counts.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Machine {
    /// `e_machine`.
    pub code: u16,
    /// Whether it is of 64 bits.
    pub wide: bool,
    /// Whether the highest byte comes first.
    pub big_endian: bool,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (elf::Machine(self.code), self.wide, self.big_endian) {
            (elf::EM_X86_64, true, _) => "x86_64",
            (elf::EM_X86_64, false, _) => "x32",
            (elf::EM_386, ..) => "i686",
            (elf::EM_AARCH64, ..) => "aarch64",
            (elf::EM_ARM, ..) => "armv7l",
            (elf::EM_PPC64, _, false) => "ppc64le",
            (elf::EM_PPC64, _, true) => "ppc64",
            (elf::EM_S390, ..) => "s390x",
            (elf::EM_RISCV, true, _) => "riscv64",
            (elf::EM_LOONGARCH, ..) => "loongarch64",
            _ => return write!(f, "machine {}", self.code),
        };
        f.write_str(name)
    }
}

/// Why an ELF file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Damaged {
    /// The header is cut off, or of no known kind.
    #[error("its ELF header is damaged")]
    Header,
    /// The program headers do not lie in it.
    #[error("its program headers lie outside the file")]
    Segments,
    /// The dynamic section does not lie in it.
    #[error("its dynamic section lies outside the file")]
    Dynamic,
    /// A string is where none is.
    #[error("a name in its dynamic section lies outside the file, or is none")]
    Name,
    /// The lists of versions lead nowhere, or in a circle.
    #[error("its versions of symbols are damaged")]
    Versions,
    /// More of something than any file has.
    #[error("it needs or defines more than any library does")]
    TooMany,
}

/// More than any file has: program headers, entries of the dynamic section, versions of symbols, needed
/// libraries, directories in a search path, and the bytes of a name and of the string table.
const MAX_SEGMENTS: usize = 4096;
const MAX_ENTRIES: usize = 1 << 16;
const MAX_VERSIONS: usize = 1 << 16;
const MAX_NEEDED: usize = 1024;
const MAX_FOLDERS: usize = 512;
const MAX_NAME: usize = 4096;
const MAX_NAMES: u64 = 64 << 20;
/// The most bytes that the names of one file take, counted as [`weight`] counts them. Entries may share a
/// string: the string table does not bound what is copied out of it.
const MAX_WEIGHT: usize = 1 << 20;

impl Elf {
    /// Reads a file.
    pub fn read<'data, R: ReadRef<'data>>(data: R) -> Result<Self, Damaged> {
        match FileKind::parse(data) {
            Ok(FileKind::Elf32) => Reading::<elf::FileHeader32<Endianness>, R>::elf(data),
            Ok(FileKind::Elf64) => Reading::<elf::FileHeader64<Endianness>, R>::elf(data),
            _ => Err(Damaged::Header),
        }
    }

    /// Where in the file the dynamic section lies, told from the file's beginning alone.
    pub(super) fn dynamic(start: &[u8]) -> Option<Range<u64>> {
        match FileKind::parse(start).ok()? {
            FileKind::Elf32 => dynamic::<elf::FileHeader32<Endianness>>(start),
            FileKind::Elf64 => dynamic::<elf::FileHeader64<Endianness>>(start),
            _ => None,
        }
    }

    /// How many bytes of memory it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let versions = self.versions.iter();
        let taken = versions.flat_map(|one| {
            let names = one.names.iter().map(|(name, _)| name);
            names.chain([&one.library])
        });
        let lists = self.needed.iter().chain(&self.rpath).chain(&self.runpath);
        let names = lists.chain(&self.defines).chain(taken);
        let names = names.chain(&self.interpreter).chain(&self.soname);
        size_of::<Self>() + names.map(|name| weight(name)).sum::<usize>()
    }

    /// Whether it is loaded by the dynamic loader, and so needs what it names.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.loadable && (!self.needed.is_empty() || self.interpreter.is_some())
    }
}

fn dynamic<H: FileHeader<Endian = Endianness>>(start: &[u8]) -> Option<Range<u64>> {
    let header = H::parse(start).ok()?;
    let endian = header.endian().ok()?;
    let mut segments = header.program_headers(endian, start).ok()?.iter();
    let dynamic = segments.find(|segment| segment.p_type(endian) == elf::PT_DYNAMIC)?;
    let (offset, size) = dynamic.file_range(endian);
    Some(offset..offset.checked_add(size)?)
}

/// A file that is read.
struct Reading<'data, H: FileHeader, R: ReadRef<'data>> {
    data: R,
    endian: H::Endian,
    segments: &'data [H::ProgramHeader],
    /// The string table of the dynamic section.
    names: &'data [u8],
    /// How many bytes further names may take.
    room: Cell<usize>,
}

impl<'data, H: FileHeader<Endian = Endianness>, R: ReadRef<'data>> Reading<'data, H, R> {
    fn elf(data: R) -> Result<Elf, Damaged> {
        let header = H::parse(data).map_err(|_| Damaged::Header)?;
        let endian = header.endian().map_err(|_| Damaged::Header)?;
        let segments = header
            .program_headers(endian, data)
            .map_err(|_| Damaged::Segments)?;
        if segments.len() > MAX_SEGMENTS {
            return Err(Damaged::TooMany);
        }
        let mut reading = Self {
            data,
            endian,
            segments,
            names: &[],
            room: Cell::new(MAX_WEIGHT),
        };
        let kind = header.e_type(endian);
        let mut found = Elf {
            machine: Machine {
                code: header.e_machine(endian).0,
                wide: header.is_class_64(),
                big_endian: endian.is_big_endian(),
            },
            loadable: kind == elf::ET_EXEC || kind == elf::ET_DYN,
            ..Elf::default()
        };
        for segment in segments {
            if segment.p_type(endian) == elf::PT_INTERP {
                let (offset, size) = segment.file_range(endian);
                let size = size.min(MAX_NAME as u64);
                let bytes = data
                    .read_bytes_at(offset, size)
                    .map_err(|()| Damaged::Segments)?;
                found.interpreter = Some(text(bytes)?.to_owned());
            }
        }
        reading.dynamic(&mut found)?;
        Ok(found)
    }

    /// Reads what the dynamic section says, if there is one.
    fn dynamic(&mut self, found: &mut Elf) -> Result<(), Damaged> {
        let endian = self.endian;
        let dynamic = self
            .segments
            .iter()
            .find(|segment| segment.p_type(endian) == elf::PT_DYNAMIC);
        let Some(dynamic) = dynamic else {
            return Ok(());
        };
        let (offset, size) = dynamic.file_range(endian);
        if size > (MAX_ENTRIES * size_of::<H::Dyn>()) as u64 {
            return Err(Damaged::TooMany);
        }
        let count = usize::try_from(size).unwrap_or(0) / size_of::<H::Dyn>();
        let entries: &[H::Dyn] = self
            .data
            .read_slice_at(offset, count)
            .map_err(|()| Damaged::Dynamic)?;
        let end = |entry: &&H::Dyn| entry.d_tag(endian) != elf::DT_NULL;
        let entries: Vec<_> = entries
            .iter()
            .take_while(end)
            .map(|entry| (entry.d_tag(endian), entry.d_val(endian).into()))
            .collect();
        let value = |tag| {
            // Of several, the loader takes the last.
            let found = entries.iter().rfind(|(here, _)| *here == tag);
            found.map(|(_, value): &(_, u64)| *value)
        };
        if let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
            if size > MAX_NAMES {
                return Err(Damaged::TooMany);
            }
            let offset = self.offset(address).ok_or(Damaged::Name)?;
            let names = self.data.read_bytes_at(offset, size);
            self.names = names.map_err(|()| Damaged::Name)?;
        }
        for (tag, value) in &entries {
            match *tag {
                elf::DT_NEEDED if found.needed.len() == MAX_NEEDED => {
                    return Err(Damaged::TooMany);
                }
                elf::DT_NEEDED => found.needed.push(self.name(*value)?),
                elf::DT_SONAME => found.soname = Some(self.name(*value)?),
                elf::DT_RPATH => found.rpath = folders(&self.name(*value)?)?,
                elf::DT_RUNPATH => found.runpath = folders(&self.name(*value)?)?,
                _ => {}
            }
        }
        // The loader ignores it then.
        if !found.runpath.is_empty() {
            found.rpath.clear();
        }
        if let Some(address) = value(elf::DT_VERNEED) {
            found.versions = self.taken(address)?;
        }
        if let Some(address) = value(elf::DT_VERDEF) {
            found.defines = self.defined(address)?;
        }
        Ok(())
    }

    /// Where in the file an address lies.
    fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            if segment.p_type(self.endian) != elf::PT_LOAD {
                return None;
            }
            let (offset, size) = segment.file_range(self.endian);
            let start: u64 = segment.p_vaddr(self.endian).into();
            let into = address.checked_sub(start).filter(|into| *into < size)?;
            offset.checked_add(into)
        })
    }

    /// A string of the dynamic section.
    fn name(&self, at: u64) -> Result<String, Damaged> {
        let at = usize::try_from(at).map_err(|_| Damaged::Name)?;
        let bytes = self.names.get(at..).ok_or(Damaged::Name)?;
        let name = text(&bytes[..bytes.len().min(MAX_NAME)])?;
        let room = self.room.get().checked_sub(weight(name));
        self.room.set(room.ok_or(Damaged::TooMany)?);
        Ok(name.to_owned())
    }

    /// Follows the list of versions that are taken from others (`DT_VERNEED`).
    fn taken(&self, address: u64) -> Result<Vec<Versions>, Damaged> {
        let mut at = self.offset(address).ok_or(Damaged::Versions)?;
        let mut left = MAX_VERSIONS;
        let mut taken = Vec::new();
        loop {
            let need: &elf::Verneed<Endianness> = self.entry(at)?;
            let mut names = Vec::new();
            let mut aux = step(at, need.vn_aux.get(self.endian))?;
            for _ in 0..need.vn_cnt.get(self.endian) {
                left = left.checked_sub(1).ok_or(Damaged::TooMany)?;
                let one: &elf::Vernaux<Endianness> = self.entry(aux)?;
                let weak = one.vna_flags.get(self.endian).contains(elf::VER_FLG_WEAK);
                names.push((self.name(one.vna_name.get(self.endian).into())?, weak));
                match one.vna_next.get(self.endian) {
                    0 => break,
                    next => aux = step(aux, next)?,
                }
            }
            taken.push(Versions {
                library: self.name(need.vn_file.get(self.endian).into())?,
                names,
            });
            left = left.checked_sub(1).ok_or(Damaged::TooMany)?;
            match need.vn_next.get(self.endian) {
                0 => return Ok(taken),
                next => at = step(at, next)?,
            }
        }
    }

    /// Follows the list of versions that are defined here (`DT_VERDEF`), without the first, which is the
    /// file's own name.
    fn defined(&self, address: u64) -> Result<Vec<String>, Damaged> {
        let mut at = self.offset(address).ok_or(Damaged::Versions)?;
        let mut defined = Vec::new();
        for _ in 0..MAX_VERSIONS {
            let one: &elf::Verdef<Endianness> = self.entry(at)?;
            let is_base = one.vd_flags.get(self.endian).contains(elf::VER_FLG_BASE);
            if !is_base && one.vd_cnt.get(self.endian) > 0 {
                let aux = step(at, one.vd_aux.get(self.endian))?;
                let aux: &elf::Verdaux<Endianness> = self.entry(aux)?;
                defined.push(self.name(aux.vda_name.get(self.endian).into())?);
            }
            match one.vd_next.get(self.endian) {
                0 => return Ok(defined),
                next => at = step(at, next)?,
            }
        }
        Err(Damaged::TooMany)
    }

    fn entry<T: object::Pod>(&self, at: u64) -> Result<&'data T, Damaged> {
        self.data.read_at(at).map_err(|()| Damaged::Versions)
    }
}

fn step(at: u64, by: u32) -> Result<u64, Damaged> {
    at.checked_add(by.into()).ok_or(Damaged::Versions)
}

/// The text before the first NUL.
fn text(bytes: &[u8]) -> Result<&str, Damaged> {
    let end = memchr::memchr(0, bytes).ok_or(Damaged::Name)?;
    str::from_utf8(&bytes[..end]).map_err(|_| Damaged::Name)
}

/// The entries of a search path.
fn folders(path: &str) -> Result<Vec<String>, Damaged> {
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    if folders.clone().count() > MAX_FOLDERS {
        return Err(Damaged::TooMany);
    }
    Ok(folders.map(str::to_owned).collect())
}
