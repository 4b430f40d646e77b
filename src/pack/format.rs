//! The formats of artifacts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How an artifact is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
#[non_exhaustive]
pub enum Format {
    /// `.tar`
    Tar,
    /// `.tar.gz`, `.tgz`: one gzip member.
    TarGz,
    /// `.tar.zst`
    TarZst,
    /// `.zip`
    Zip,
    /// A directory.
    Directory,
}

/// Each format with its name, and with the endings of its files. Only a directory's path ends in a slash.
const FORMATS: [(Format, &str, &[&str]); 5] = [
    (Format::Tar, "tar", &[".tar"]),
    (Format::TarGz, "tar.gz", &[".tar.gz", ".tgz"]),
    (Format::TarZst, "tar.zst", &[".tar.zst"]),
    (Format::Zip, "zip", &[".zip"]),
    (Format::Directory, "directory", &[]),
];

impl Format {
    /// The name of the format: `tar.gz`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = FORMATS.iter().find(|(format, ..)| *format == self);
        found.map_or("", |(_, name, _)| name)
    }

    /// The format that a file name ends in, and how long its ending is. Case does not matter.
    pub(super) fn of_name(name: &str) -> Option<(Self, usize)> {
        let name = name.to_ascii_lowercase();
        FORMATS.iter().find_map(|(format, _, endings)| {
            let ending = endings.iter().find(|ending| name.ends_with(**ending))?;
            Some((*format, ending.len()))
        })
    }
}

/// All endings of files, as a sentence lists them.
pub(super) fn endings() -> String {
    let endings: Vec<&str> = FORMATS
        .iter()
        .flat_map(|(_, _, endings)| *endings)
        .copied()
        .collect();
    match endings.split_last() {
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Format> for &'static str {
    fn from(format: Format) -> Self {
        format.name()
    }
}

/// There is no format of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format of artifacts")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = FORMATS.iter().find(|(_, known, _)| *known == name);
        found
            .map(|(format, ..)| *format)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

impl TryFrom<String> for Format {
    type Error = UnknownFormat;

    fn try_from(name: String) -> Result<Self, UnknownFormat> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_name() {
        for (format, name, _) in FORMATS {
            assert_eq!(format.to_string(), name);
            assert_eq!(name.parse(), Ok(format));
            let json = serde_json::to_string(&format).unwrap();
            assert_eq!(json, format!("{name:?}"));
            assert_eq!(serde_json::from_str::<Format>(&json).unwrap(), format);
        }
        assert!(serde_json::from_str::<Format>("\"rar\"").is_err());
    }

    #[test]
    fn endings_are_listed() {
        assert_eq!(endings(), ".tar, .tar.gz, .tgz, .tar.zst or .zip");
    }
}
