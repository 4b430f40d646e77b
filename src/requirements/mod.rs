//! What the user asked for: a `requirements.txt` and the files that it includes, as values.
//!
//! Everything that pip reads is read, with pip's meaning; the judge is pip 26.3. Values remember
//! where they stand and what was written. Nothing is asked of the network, and of the file system
//! only what pip asks: whether a requirement that looks like a path is one.
//!
//! # What is read differently from pip
//!
//! - `-r` and `-c` with an `http:` or `https:` URL are refused: what decides a build lies on this
//!   machine.
//! - A path to an archive that is not there is refused when it is read; pip warns and fails later.
//! - Constraints that pip's resolver refuses (without a name, with extras) are refused when they
//!   are read.
//! - Text behind options that is no option is refused; pip passes over it in silence.
//! - A digest behind `--hash` must have its algorithm's length in hex digits; pip takes any text
//!   and finds that nothing matches.
//! - A file that is not UTF-8 and names no encoding is refused; pip tries the locale's, and the
//!   same file would mean different things on different machines.
//! - Of the encodings that Python knows, those of the Encoding Standard, UTF-32, Latin-1 and ASCII
//!   are read.
//! - The value of a `${VARIABLE}` is not expanded again.
//! - A marker that `packaging` can read but not answer (`~=` between words, `extras`) is refused
//!   when it is read, and so are characters by name (`\N{…}`) and versions whose numbers do not fit
//!   in 64 bits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::digest::Digest;
use crate::fs;
use crate::target::MarkerEnvironment;

mod error;
mod marker;
mod options;
mod reader;
mod syntax;
mod text;
mod version;
mod what;
mod written;

pub use error::{Error, Location, Problem};
pub use marker::Marker;
pub use written::{Text, hide_credentials};

/// A file of requirements.
#[derive(Debug, Clone)]
pub enum Input {
    /// A file of this machine.
    File(PathBuf),
    /// What standard input held. Called `-`.
    Stdin(Vec<u8>),
}

/// What reading depends on besides the files.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The variables for `${NAME}`.
    pub env: &'a BTreeMap<String, String>,
    /// The working folder, an absolute path: paths to projects and archives are relative to it.
    pub cwd: &'a Path,
}

/// Everything that the files say.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Requirements {
    /// The requirements, in the order that they were read.
    pub entries: Vec<Entry>,
    /// What `-c` files say.
    pub constraints: Vec<Entry>,
    /// The options that hold for all.
    pub options: Options,
    /// The files that were read, and their digests.
    pub files: Vec<(PathBuf, Digest)>,
    /// What the user should know of: options without effect, projects not installed as editable.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// One requirement, and where it stands.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// What is required.
    #[serde(flatten)]
    pub what: What,
    /// The extras that are asked for.
    pub extras: Vec<String>,
    /// The condition under which it applies.
    pub marker: Option<Marker>,
    /// The hashes of which its file must have one.
    pub hashes: Vec<Hash>,
    /// What the build backend is told, `KEY=VALUE`.
    pub config_settings: Vec<Text>,
    /// Whether it stood behind `-e`.
    pub editable: bool,
    /// The requirement as it was written, without options.
    pub written: Text,
    /// Where.
    #[serde(flatten)]
    pub at: Location,
}

/// The forms that a requirement can take.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
#[non_exhaustive]
pub enum What {
    /// `name >=1`
    Named {
        /// The name, as it was written.
        name: String,
        /// The comparisons, as they were written; empty if there are none.
        specifier: String,
    },
    /// `name @ https://…` or a URL alone, of an archive or a repository.
    Url {
        /// The name, where it is said.
        name: Option<String>,
        /// The URL.
        url: Text,
    },
    /// A project's folder, an sdist or a wheel of this machine.
    Path {
        /// The name, where it is said.
        name: Option<String>,
        /// Where, an absolute path.
        path: PathBuf,
        /// What stood behind `#`, such as a hash.
        fragment: Option<String>,
    },
}

impl What {
    /// The name, where it is said.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named { name, .. } => Some(name),
            Self::Url { name, .. } | Self::Path { name, .. } => name.as_deref(),
        }
    }
}

impl Entry {
    /// Whether it applies in an environment; if not, the reason in words.
    pub fn applies(&self, environment: &MarkerEnvironment) -> Result<(), String> {
        match &self.marker {
            Some(marker) if !marker.evaluate(environment) => Err(format!(
                "`{}` is false for {} {} on {}",
                marker.as_str(),
                environment.platform_python_implementation,
                environment.python_full_version,
                environment.sys_platform,
            )),
            _ => Ok(()),
        }
    }
}

/// The algorithms that `--hash` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Algorithm {
    /// Its name, as pip writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// A hash that a file may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hash {
    /// How it is made.
    pub algorithm: Algorithm,
    /// Its hex digits, lower case.
    pub hex: String,
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// Where more distributions are looked for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindLinks {
    /// A page.
    Url(Text),
    /// A folder or a page of this machine, an absolute path.
    Path(PathBuf),
}

/// Which formats or releases a list of names is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// `--no-binary`
    NoBinary,
    /// `--only-binary`
    OnlyBinary,
    /// `--all-releases`
    AllReleases,
    /// `--only-final`
    OnlyFinal,
}

impl Control {
    /// Its option.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::NoBinary => "--no-binary",
            Self::OnlyBinary => "--only-binary",
            Self::AllReleases => "--all-releases",
            Self::OnlyFinal => "--only-final",
        }
    }
}

/// The options that hold for all requirements.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Options {
    /// `--index-url`: the last one counts.
    pub index_url: Option<Text>,
    /// `--extra-index-url`, those behind the last `--index-url`.
    pub extra_index_urls: Vec<Text>,
    /// `--no-index`
    pub no_index: bool,
    /// `--find-links`
    pub find_links: Vec<FindLinks>,
    /// `--no-binary`, `--only-binary`, `--all-releases`, `--only-final`, in their order.
    pub controls: Vec<(Control, String)>,
    /// `--prefer-binary`
    pub prefer_binary: bool,
    /// `--pre`
    pub pre: bool,
    /// `--require-hashes`
    pub require_hashes: bool,
    /// `--no-require-hashes`
    pub no_require_hashes: bool,
    /// `--trusted-host`
    pub trusted_hosts: Vec<String>,
    /// `--use-feature`
    pub use_features: Vec<String>,
}

impl Requirements {
    /// Reads files, the files that they include, and files of constraints.
    pub fn read(
        inputs: &[Input],
        constraints: &[PathBuf],
        context: Context<'_>,
    ) -> Result<Self, Error> {
        let mut reader = reader::Reader::new(context);
        for input in inputs {
            match input {
                Input::File(path) => {
                    let bytes = fs::read(&context.cwd.join(path))?;
                    reader.file(path, &bytes, false)?;
                }
                Input::Stdin(bytes) => reader.file(Path::new("-"), bytes, false)?,
            }
        }
        for path in constraints {
            let bytes = fs::read(&context.cwd.join(path))?;
            reader.file(path, &bytes, true)?;
        }
        Ok(reader.finish())
    }

    /// Reads the text of one file; `file` is for messages and for the paths of included files.
    pub fn parse(text: &[u8], file: &Path, context: Context<'_>) -> Result<Self, Error> {
        let mut reader = reader::Reader::new(context);
        reader.file(file, text, false)?;
        Ok(reader.finish())
    }
}

/// A project's or an extra's name in the form that compares.
///
/// <https://packaging.python.org/en/latest/specifications/name-normalization/>
#[must_use]
pub fn normalise(name: &str) -> String {
    let mut normalised = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !normalised.ends_with('-') {
                normalised.push('-');
            }
        } else {
            normalised.extend(c.to_lowercase());
        }
    }
    normalised
}
