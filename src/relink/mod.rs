//! Relinking: a shared library asks the loader for other libraries than it was linked with.
//!
//! Libraries that lie beside a Python prefix under names of their own (so that two distributions can
//! bring two versions of one) are found only if those that need them say the new names. What names
//! there are, and where to look for them, stands in a library's dynamic table and its strings.
//!
//! Nothing else moves: code and data refer to each other by distance. The strings, the dynamic table
//! if it has no room for more entries, and the program headers, one more than there were, go behind
//! the end of the file into a segment of their own. If the last segment ends there, it grows instead.
//!
//! <https://gabi.xinuos.com/elf/08-dynamic.html>

mod dynamic;
mod file;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use file::File;

use crate::code::{Elf, Versions};

/// What changes in a library or an executable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The libraries that it needs (`DT_NEEDED`), and what they are called from now on.
    pub needed: BTreeMap<String, String>,
    /// What it is called itself (`DT_SONAME`).
    pub soname: Option<String>,
    /// Folders in which the loader looks first for what it needs; `$ORIGIN` is where it lies itself.
    ///
    /// They are put before those that are there, as a `DT_RUNPATH` if that is what it has, else as a
    /// `DT_RPATH`: a first `DT_RUNPATH` would have the loader ignore the `DT_RPATH` of what loads it.
    pub search: Vec<String>,
}

/// Why a file cannot be relinked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin as ELF files do.
    #[error("the file is not an ELF file")]
    NotElf,
    /// A table that lies outside the file, or holds what cannot be; which one.
    #[error("cannot read the {0} of the ELF file")]
    Unreadable(&'static str),
    /// The loader has nothing to do for it.
    #[error("the ELF file has no dynamic table")]
    Static,
    /// The library is not among those that it needs.
    #[error("the ELF file does not need `{0}`")]
    NotNeeded(String),
    /// A name or a folder that is empty, or holds what ends it.
    #[error("the loader cannot be asked for {0:?}")]
    Name(String),
    /// No address, or no place in a table, is left for what would be added.
    #[error("the ELF file has no room for the additions")]
    NoRoom,
    /// What was changed in one table has changed another.
    #[error("the tables of the ELF file overlap")]
    Overlap,
}

impl Error {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(_) | Self::Overlap => Some(
                "the file is damaged or malicious: download it again, or report it to its author",
            ),
            Self::Static => Some("it is linked statically, or holds nothing but debug information"),
            _ => None,
        }
    }
}

/// The bytes of `elf`, with other names for what it needs, or is.
///
/// The same bytes and changes make the same bytes. No name is changed that is not among those needed:
/// that is [`Error::NotNeeded`].
pub fn relink(elf: &[u8], changes: &Changes) -> Result<Vec<u8>, Error> {
    let file = File::read(elf)?;
    if *changes == Changes::default() {
        return Ok(elf.to_vec());
    }
    let mut dynamic = file.dynamic.clone();
    let renamed = dynamic.rename(&file.dynamic, &changes.needed)?;
    if let Some(soname) = &changes.soname {
        dynamic.name(soname)?;
    }
    dynamic.search(&changes.search)?;
    let relinked = write::write(&file, &mut dynamic, &renamed)?;
    // Tables that overlap are no error until one of them is changed.
    if File::read(&relinked)?.dynamic != dynamic || !is_as_expected(elf, &relinked, changes) {
        return Err(Error::Overlap);
    }
    Ok(relinked)
}

/// Whether `new` says what `old` said, with the names that changed. Where libraries are searched is left out.
/// A file that cannot be read whole says nothing.
fn is_as_expected(old: &[u8], new: &[u8], changes: &Changes) -> bool {
    let with = |elf: Elf, names: &BTreeMap<String, String>| {
        let renamed = |name: String| names.get(&name).cloned().unwrap_or(name);
        let versions = elf.versions.into_iter().map(|one| Versions {
            library: renamed(one.library),
            ..one
        });
        Elf {
            needed: elf.needed.into_iter().map(renamed).collect(),
            versions: versions.collect(),
            rpath: Vec::new(),
            runpath: Vec::new(),
            ..elf
        }
    };
    let Ok(mut old) = Elf::read(old) else {
        return true;
    };
    if let Some(soname) = &changes.soname {
        old.soname = Some(soname.clone());
    }
    let new = Elf::read(new).map(|new| with(new, &BTreeMap::new()));
    new == Ok(with(old, &changes.needed))
}
