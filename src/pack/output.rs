//! What to write, by its name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How an artifact is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Format {
    /// `.tar`
    #[serde(rename = "tar")]
    Tar,
    /// `.tar.gz`, `.tgz`: one gzip member.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// `.tar.zst`
    #[serde(rename = "tar.zst")]
    TarZst,
    /// `.zip`
    #[serde(rename = "zip")]
    Zip,
    /// A folder.
    #[serde(rename = "directory")]
    Directory,
}

/// Where an artifact goes, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    path: PathBuf,
    format: Format,
}

impl Output {
    /// An output of a format, whatever its name.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, format: Format) -> Self {
        Self {
            path: path.into(),
            format,
        }
    }

    /// Where it goes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The same output with `-NAME` behind what it is called: `deps.tar.gz` is `deps-NAME.tar.gz`.
    #[must_use]
    pub fn called_after(&self, name: &str) -> Self {
        let file = self.path.file_name().map(|file| file.to_string_lossy());
        let file = file.unwrap_or_default();
        let endings = [".tar.gz", ".tar.zst", ".tgz", ".tar", ".zip"];
        let ending = endings.into_iter().find(|ending| file.ends_with(ending));
        let ending = ending.unwrap_or_default();
        let stem = file.strip_suffix(ending).unwrap_or(&file);
        let path = self.path.with_file_name(format!("{stem}-{name}{ending}"));
        Self::new(path, self.format)
    }

    /// The same output with its path taken from `folder` on.
    #[must_use]
    pub fn below(mut self, folder: &Path) -> Self {
        self.path = folder.join(self.path);
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl FromStr for Output {
    type Err = ParseOutputError;

    /// The name decides: `DIR/` ends in a slash, archives in one of their endings.
    fn from_str(text: &str) -> Result<Self, ParseOutputError> {
        if text.ends_with('/') || text == "." || text == ".." || text.ends_with("/.") {
            return Ok(Self::new(text, Format::Directory));
        }
        let name = text.rsplit('/').next().unwrap_or(text).to_ascii_lowercase();
        let format = [
            (".tar", Format::Tar),
            (".tar.gz", Format::TarGz),
            (".tgz", Format::TarGz),
            (".tar.zst", Format::TarZst),
            (".zip", Format::Zip),
        ]
        .into_iter()
        .find(|(ending, _)| name.ends_with(ending));
        match format {
            Some((_, format)) => Ok(Self::new(text, format)),
            None => Err(ParseOutputError(text.to_owned())),
        }
    }
}

/// The name says no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no format: it must end in .tar, .tar.gz, .tgz, .tar.zst or .zip, or, for a folder, in /"
)]
pub struct ParseOutputError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for (text, format) in [
            ("a.tar", Format::Tar),
            ("x/a.TAR.GZ", Format::TarGz),
            ("a.tgz", Format::TarGz),
            ("a.tar.zst", Format::TarZst),
            ("a.zip", Format::Zip),
            ("/install/", Format::Directory),
            (".", Format::Directory),
            ("a.zip/", Format::Directory),
        ] {
            let output: Output = text.parse().unwrap();
            assert_eq!((output.format(), output.path()), (format, Path::new(text)));
        }
        for text in ["", "a", "a.gz", "a.tar.xz", "a.whl"] {
            assert!(text.parse::<Output>().is_err(), "{text}");
        }
    }
}
