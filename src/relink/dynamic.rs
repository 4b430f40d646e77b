//! The dynamic table and its strings, which are what the loader is asked for.

use std::collections::BTreeMap;

use object::elf::{self, DynamicTag};

use super::Error;

/// The entries of a dynamic table, without the null that ends it, and the strings that they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dynamic {
    pub(super) entries: Vec<(DynamicTag, u64)>,
    pub(super) strings: Vec<u8>,
}

/// The old names of libraries, and where among the strings their new ones are.
#[derive(Debug)]
pub(super) struct Renamed<'a>(Vec<(&'a str, u32)>);

impl Renamed<'_> {
    /// Where the new name of the library is whose old one is at `at`.
    pub(super) fn place(&self, old: &Dynamic, at: u64) -> Option<u32> {
        let mut renamed = self.0.iter();
        let (_, place) = renamed.find(|(name, _)| old.says(at, name))?;
        Some(*place)
    }
}

impl Dynamic {
    /// The value of an entry; where there are several, of the last, as for the loader.
    pub(super) fn get(&self, tag: DynamicTag) -> Option<u64> {
        let mut entries = self.entries.iter().rev();
        entries.find(|entry| entry.0 == tag).map(|entry| entry.1)
    }

    /// Changes the entry that [`get`](Self::get) finds, or adds one.
    pub(super) fn set(&mut self, tag: DynamicTag, value: u64) {
        match self.entries.iter_mut().rfind(|entry| entry.0 == tag) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((tag, value)),
        }
    }

    /// Calls what it needs by other names than in `old`.
    pub(super) fn rename<'a>(
        &mut self,
        old: &Self,
        names: &'a BTreeMap<String, String>,
    ) -> Result<Renamed<'a>, Error> {
        let mut renamed = Renamed(Vec::new());
        for (name, new) in names {
            let is = |(tag, at): &(DynamicTag, u64)| *tag == elf::DT_NEEDED && old.says(*at, name);
            if !old.entries.iter().any(is) {
                return Err(Error::NotNeeded(name.clone()));
            }
            renamed.0.push((name, self.add(new)?));
        }
        for (tag, at) in &mut self.entries {
            if *tag == elf::DT_NEEDED {
                *at = renamed.place(old, *at).map_or(*at, u64::from);
            }
        }
        Ok(renamed)
    }

    /// Calls the library itself by another name.
    pub(super) fn name(&mut self, soname: &str) -> Result<(), Error> {
        let place = self.add(soname)?;
        self.set(elf::DT_SONAME, place.into());
        Ok(())
    }

    /// Has `folders` searched before those that are searched already.
    pub(super) fn search(&mut self, folders: &[String]) -> Result<(), Error> {
        if folders.is_empty() {
            return Ok(());
        }
        // The loader does not look at a `DT_RPATH` where there is a `DT_RUNPATH`, neither at its own
        // nor at those of what loads it: a first `DT_RUNPATH` would take those away.
        let tag = if self.get(elf::DT_RUNPATH).is_some() {
            elf::DT_RUNPATH
        } else {
            elf::DT_RPATH
        };
        let old = match self.get(tag) {
            Some(at) => self.string(at)?.to_vec(),
            None => Vec::new(),
        };
        let mut path: Vec<&[u8]> = Vec::new();
        for folder in folders {
            if folder.contains(':') {
                return Err(Error::Name(folder.clone()));
            }
            path.push(check(folder)?);
        }
        let new = path.len();
        for folder in old.split(|byte| *byte == b':') {
            // An empty path has no folder in it; an empty part of one is the working folder.
            if !old.is_empty() && !path[..new].contains(&folder) {
                path.push(folder);
            }
        }
        let place = self.push(&path.join(&b':'))?;
        self.set(tag, place.into());
        Ok(())
    }

    /// Whether the string at `at` is `text`.
    ///
    /// Its end is not looked for: each of a million entries may name one long string.
    fn says(&self, at: u64, text: &str) -> bool {
        let there = usize::try_from(at)
            .ok()
            .and_then(|at| self.strings.get(at..));
        let behind = there.and_then(|there| there.strip_prefix(text.as_bytes()));
        behind.is_some_and(|behind| behind.first() == Some(&0))
    }

    /// The string at `at`.
    pub(super) fn string(&self, at: u64) -> Result<&[u8], Error> {
        let there = usize::try_from(at)
            .ok()
            .and_then(|at| self.strings.get(at..));
        let mut parts = there.unwrap_or_default().splitn(2, |byte| *byte == 0);
        match (parts.next(), parts.next()) {
            (Some(string), Some(_)) => Ok(string),
            _ => Err(Error::Unreadable("dynamic strings")),
        }
    }

    /// Adds a name to the strings; where it is.
    fn add(&mut self, name: &str) -> Result<u32, Error> {
        let name = check(name)?;
        self.push(name)
    }

    /// Adds a string; where it is.
    fn push(&mut self, string: &[u8]) -> Result<u32, Error> {
        if self.strings.last().is_some_and(|last| *last != 0) {
            self.strings.push(0);
        }
        // In the tables of versions, places have 32 bits.
        let at = u32::try_from(self.strings.len()).map_err(|_| Error::NoRoom)?;
        self.strings.extend(string);
        self.strings.push(0);
        Ok(at)
    }
}

/// What the loader can read as one name.
fn check(name: &str) -> Result<&[u8], Error> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(name.as_bytes())
}
