//! What to write, by its name.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::format::{Format, endings};

/// Where an artifact goes, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    path: PathBuf,
    format: Format,
    writer: Option<Writer>,
}

/// What takes the bytes of an archive. Clones are the same writer.
#[derive(Clone)]
pub(super) struct Writer(Arc<Mutex<dyn Write + Send>>);

impl Writer {
    pub(super) fn lock(&self) -> MutexGuard<'_, dyn Write + Send + 'static> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl PartialEq for Writer {
    fn eq(&self, other: &Self) -> bool {
        Arc::as_ptr(&self.0).cast::<()>() == Arc::as_ptr(&other.0).cast::<()>()
    }
}

impl Eq for Writer {}

impl Output {
    /// An output of a format, whatever its name.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, format: Format) -> Self {
        Self {
            path: path.into(),
            format,
            writer: None,
        }
    }

    /// An archive whose bytes `writer` gets, in order. It is called `-`. `None` for a directory, which is no
    /// stream of bytes.
    ///
    /// Writers get their bytes after all other outputs are whole. If that fails, a writer may hold a part of
    /// the archive ([`Error::Writer`](super::Error::Writer)): nothing can be taken back.
    #[must_use]
    pub fn to_writer<W: Write + Send + 'static>(
        writer: Arc<Mutex<W>>,
        format: Format,
    ) -> Option<Self> {
        (format != Format::Directory).then(|| Self {
            path: "-".into(),
            format,
            writer: Some(Writer(writer)),
        })
    }

    /// Whether it goes to a writer: then nothing has its path.
    #[must_use]
    pub fn is_writer(&self) -> bool {
        self.writer.is_some()
    }

    pub(super) fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref()
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
        if self.is_writer() {
            return self.clone();
        }
        let file = self.path.file_name().map(|file| file.to_string_lossy());
        let file = file.unwrap_or_default();
        let ending = Format::of_name(&file).map_or(0, |(_, length)| length);
        let (stem, ending) = file.split_at(file.len() - ending);
        let path = self.path.with_file_name(format!("{stem}-{name}{ending}"));
        Self::new(path, self.format)
    }

    /// The same output with its path taken from `folder` on.
    #[must_use]
    pub fn below(mut self, folder: &Path) -> Self {
        if !self.is_writer() {
            self.path = folder.join(self.path);
        }
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
        let name = text.rsplit('/').next().unwrap_or(text);
        match Format::of_name(name) {
            Some((format, _)) => Ok(Self::new(text, format)),
            None => Err(ParseOutputError(text.to_owned())),
        }
    }
}

/// The name says no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` has no known format: it must end in {ends}, or in / for a directory",
    ends = endings()
)]
pub struct ParseOutputError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_put_before_the_ending() {
        for (text, called) in [
            ("x/deps.tar.gz", "x/deps-a.tar.gz"),
            ("deps.TGZ", "deps-a.TGZ"),
            ("deps.zip/", "deps-a.zip"),
            (".tar", "-a.tar"),
        ] {
            let output: Output = text.parse().unwrap();
            assert_eq!(output.called_after("a").path(), Path::new(called));
        }
    }

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
