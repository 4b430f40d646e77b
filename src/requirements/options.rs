//! The options that requirements files set for the whole run.

use serde::Serialize;

use super::text::{LocalPath, Location, Text};

/// A value, and where it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where the option stands.
    #[serde(flatten)]
    pub at: Location,
}

/// The options of all files together, in pip's order: constraints first, then requirements, each
/// file where it is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Options {
    /// `--index-url`, the last one. It replaces the caller's, **and all extra indexes given before
    /// it**, the caller's too.
    pub index_url: Option<Located<Text>>,
    /// `--extra-index-url`, those that are in force.
    pub extra_index_urls: Vec<Located<Text>>,
    /// `--no-index`: no index is asked, the caller's neither.
    pub no_index: Option<Location>,
    /// `--find-links`.
    pub find_links: Vec<Located<FindLinks>>,
    /// `--only-binary` and `--no-binary`: their order matters.
    pub format_control: Vec<Located<FormatControl>>,
    /// `--pre`, `--all-releases` and `--only-final`: their order matters.
    pub release_control: Vec<Located<ReleaseControl>>,
    /// `--prefer-binary`.
    pub prefer_binary: Option<Location>,
    /// `--require-hashes` or `--no-require-hashes`.
    pub require_hashes: Option<Located<bool>>,
    /// `--trusted-host`.
    pub trusted_hosts: Vec<Located<Text>>,
    /// `--use-feature`.
    pub use_features: Vec<Located<Text>>,
}

/// A place with archives, or with links to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindLinks {
    /// A file or folder of this machine.
    Path {
        /// Where it is: absolute.
        #[serde(skip)]
        path: LocalPath,
        /// What was written.
        written: Text,
    },
    /// A page.
    Url(Text),
}

/// In which form distributions may be installed. Values are names with commas between them,
/// `:all:` or `:none:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatControl {
    /// `--only-binary`
    OnlyBinary(Text),
    /// `--no-binary`
    NoBinary(Text),
}

/// Which releases may be installed. Values are names with commas between them, `:all:` or
/// `:none:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseControl {
    /// `--pre`: all releases of everything.
    Pre,
    /// `--all-releases`
    AllReleases(Text),
    /// `--only-final`
    OnlyFinal(Text),
}
