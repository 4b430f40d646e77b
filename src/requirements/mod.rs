//! What the user asked for: `requirements.txt` and the files that it includes, or the dependencies
//! of a `pyproject.toml`, as values.
//!
//! [`Requirements::read`] reads everything that pip reads, with pip's meaning; pip 26.3's own
//! parser is the judge, and a test runs it. Values remember where they were written and how
//! ([`Text`], [`Location`]), so that whatever goes wrong later can be told as `file:line:column`,
//! and what is shown never holds the value of a variable or a password.
//!
//! Reading decides nothing about the target: markers are kept, and answered by
//! [`Entry::applies`] once the builder has told its [`MarkerEnvironment`].
//!
//! ```
//! use std::{collections::BTreeMap, path::Path};
//! use prebuild::requirements::{Context, Input, Requirements};
//!
//! let context = Context { env: &BTreeMap::new(), cwd: Path::new("/srv/app") };
//! let text = b"django>=5 ; python_version >= '3.10'\n-i https://me:secret@host/simple\n";
//! let read = Requirements::read(&[Input::Stdin(text.to_vec())], &[], &context)?;
//!
//! let django = &read.entries()[0];
//! assert_eq!(django.name().unwrap().as_str(), "django");
//! assert_eq!(django.at.to_string(), "-:1:1");
//! let index = read.options().index_url.as_ref().unwrap();
//! assert_eq!(index.value.to_string(), "https://****@host/simple");
//! # Ok::<(), prebuild::requirements::Error>(())
//! ```
//!
//! # What is read of a project
//!
//! Of a `pyproject.toml` ([`Input::Project`]): `dependencies` and `requires-python` of `[project]`,
//! those of its `optional-dependencies` that are asked for, and those `[dependency-groups]`. They are
//! read in the order of the file, each list once.
//!
//! - **The strings are dependency specifiers**, without the paths and options of requirements files;
//!   variables are not expanded.
//! - **The project's own name stands for the project that is read** (`all = ["demo[cli,test]"]`), in
//!   dependency groups too: its extras are read in its place, under its marker, and versions behind it
//!   mean nothing. Nothing of that name is asked of an index.
//! - **What the build backend decides (`dynamic`) is refused**: nothing of the project is run.
//! - **`[tool.uv]` is honoured where pip can do the same**: sources that are a path, a member of the workspace,
//!   a repository or a URL, and those of the local projects that they lead to; `constraint-dependencies`,
//!   `dev-dependencies`, `find-links`, and an index that stands for all. An index that uv asks before others, one
//!   for single distributions, and overrides are refused where they stand: pip would ask a public index for a
//!   private name. Indexes and overrides of Poetry, PDM, Rye and pixi are refused too.
//!
//! # What is read differently from pip, and why
//!
//! - **Files at `http:` and `https:` URLs are read as pip reads them** ([`Requirements::read_with`]), but
//!   what is downloaded names no file of this machine with `-r` or `-c`, and no environment variable: whoever
//!   writes it could read them. Without `charset` in the answer it is UTF-8; pip takes `text/plain` for
//!   Latin-1. [`Requirements::read`] downloads nothing.
//! - **Files in no declared encoding are UTF-8**: pip falls back to the locale's encoding, and then
//!   the same file means something else on another machine. Of the encodings that Python knows,
//!   UTF-8, UTF-16, UTF-32, ASCII, Latin-1 and those whose tables agree on the web and in Python are
//!   read; others are refused by name. A file named by a `file:` URL is decoded like any other.
//! - **Errors come when the file is read**, where pip finds them while it installs: a path at which
//!   nothing is (if a marker may exclude it: from [`Requirements::check`]), a folder that is no
//!   project, `name @ URL` with a scheme that pip cannot fetch, a constraint with extras or without
//!   a name, a marker that has no answer.
//! - **A requirement stands where its first character does**; pip counts from the first line that
//!   was joined, which may hold a `\` and nothing else.
//! - **Numbers in versions end at 2⁶⁴ − 1**; Python's do not end.
//! - **`\N{…}` and lone surrogates in a marker's strings are refused.**
//! - **A feature that is named behind a requirement has no effect**; pip lets it leak into the next
//!   line that has options.
//! - **What pip overlooks in silence is reported** as a [`Warning`]: words behind an option, options
//!   behind a requirement that have no effect there, a digest that no file can have.

mod collect;
mod decode;
mod detect;
mod document;
mod entry;
mod error;
mod foreign;
mod form;
mod lines;
mod link;
mod marker;
mod options;
mod project;
mod reader;
mod scan;
mod sources;
mod specifier;
mod text;
mod tools;
mod version;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use detect::{Chosen, Detected};
pub(crate) use document::parse as parse_toml;
pub use entry::{Algorithm, Applies, Entry, Hash, PathKind, UrlKind, What};
pub(crate) use error::excerpt;
pub use error::{Error, Problem, Role};
pub(crate) use lines::{place_behind, split_lines, trim};
pub(crate) use link::{extension, file_name, is_archive, normalize};
pub use marker::{LockMarker, Marker, Undefined};
pub(crate) use options::Given;
pub use options::{FindLinks, FormatControl, Formats, Located, Options, ReleaseControl};
pub use scan::Syntax;
pub(crate) use specifier::Dependency;
pub use specifier::{Name, Operator, Specifier, Specifiers};
pub use text::{LocalPath, Location, Text};
pub(crate) use version::is_version;
pub use version::{Version, same_version};

use crate::diagnosis::Diagnosis;
use crate::digest::Digest;
use crate::event::Cancel;
use crate::target::MarkerEnvironment;

/// The text with the credentials of the URLs in it hidden, as a [`Text`] shows itself.
#[must_use]
pub fn hide_credentials(text: &str) -> String {
    text::redact(text)
}

/// The secrets in the URLs of a text: passwords, and users without one, which are tokens; as they are
/// written, and as they are meant.
#[must_use]
pub fn credentials(text: &str) -> Vec<String> {
    text::secrets(text)
}

/// Downloads requirements files.
pub trait Download: std::fmt::Debug {
    /// What is at an `http:` or `https:` URL, credentials and all.
    fn download(&self, url: &str) -> Result<Downloaded, DownloadError>;
}

/// Why something could not be downloaded.
#[derive(Debug)]
pub struct DownloadError(Box<dyn Diagnosis + Send + Sync>);

impl DownloadError {
    /// Takes the error of whoever downloads.
    pub fn new(error: impl Diagnosis + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    fn diagnosis(&self) -> &dyn Diagnosis {
        self.0.as_ref()
    }
}

impl std::fmt::Display for DownloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DownloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// A file that was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Its bytes.
    pub data: Vec<u8>,
    /// The `charset` that the server tells.
    pub charset: Option<String>,
}

/// A requirements or constraints file that the caller names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file, or a `file:` URL; relative paths start at the working folder.
    Path(PathBuf),
    /// An `http:` or `https:` URL.
    Url(Text),
    /// The contents of standard input. It is called `-` in messages, and files that it names are
    /// relative to the working folder.
    Stdin(Vec<u8>),
    /// A project's `pyproject.toml`, of which its dependencies are read: not those of its build.
    Project {
        /// The file; a relative path starts at the working folder.
        path: PathBuf,
        /// The extras whose dependencies are read besides.
        extras: BTreeSet<Name>,
        /// The [dependency groups](
        /// https://packaging.python.org/en/latest/specifications/dependency-groups/) that are read
        /// besides.
        groups: BTreeSet<Name>,
    },
}

/// What reading depends on besides the files.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The environment variables that `${NAME}` stands for.
    pub env: &'a BTreeMap<String, String>,
    /// The working folder, absolute: as in pip, the paths of requirements are relative to it, not
    /// to the file in which they stand.
    pub cwd: &'a Path,
}

/// Everything that the files say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Requirements {
    entries: Vec<Entry>,
    constraints: Vec<Entry>,
    options: Options,
    requires_python: Vec<Located<Specifiers>>,
    files: Vec<File>,
    warnings: Vec<Warning>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// As it was named; `-` is standard input.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Whether it was read for constraints.
    pub constraint: bool,
}

/// Something in a file that has no effect, and was surely meant to have one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The place.
    #[serde(flatten)]
    pub at: Location,
    /// The text.
    pub text: String,
}

impl Requirements {
    /// Reads files and those that they include: constraints first, as pip does.
    ///
    /// A file that is named twice is read twice, and its entries are there twice; pip takes care of
    /// that.
    pub fn read(
        inputs: &[Input],
        constraints: &[Input],
        context: &Context<'_>,
    ) -> Result<Self, Error> {
        Self::read_with(inputs, constraints, context, None, &Cancel::new())
    }

    /// As [`read`](Self::read), with what downloads the files at URLs; waiting for whoever writes to a pipe
    /// ends when `cancel` is thrown.
    pub fn read_with(
        inputs: &[Input],
        constraints: &[Input],
        context: &Context<'_>,
        download: Option<&dyn Download>,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let mut reader = reader::Reader::new(context, download, cancel);
        for input in constraints {
            reader.input(input, true)?;
        }
        for input in inputs {
            reader.input(input, false)?;
        }
        Ok(reader.finish())
    }

    /// Requirements that stand in no file.
    #[must_use]
    pub fn of(entries: Vec<Entry>) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    /// The same with more constraints.
    #[must_use]
    pub fn with_constraints(&self, more: &[Entry]) -> Self {
        let mut all = self.clone();
        all.constraints.extend_from_slice(more);
        all
    }

    /// The requirements, in the order in which they were read.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What constraints files say.
    #[must_use]
    pub fn constraints(&self) -> &[Entry] {
        &self.constraints
    }

    /// The options for the whole run.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The `requires-python` of the projects: what is installed for an interpreter that one of them
    /// does not [admit](Specifiers::admit) may not run.
    #[must_use]
    pub fn requires_python(&self) -> &[Located<Specifiers>] {
        &self.requires_python
    }

    /// The files, in the order in which they were opened.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// What has no effect, for the user to know.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Checks what could not be checked before the interpreter was known: every marker has an
    /// answer for it, and there is something at every path that it does not exclude.
    pub fn check(&self, environment: &MarkerEnvironment) -> Result<(), Error> {
        for entry in self.entries.iter().chain(&self.constraints) {
            if entry.applies(environment)? == Applies::Yes
                && let Some(error) = reader::missing(entry)
            {
                return Err(error);
            }
        }
        Ok(())
    }
}
