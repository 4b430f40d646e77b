//! The options that requirements files set for the whole run.

use std::collections::BTreeSet;

use serde::Serialize;

use super::specifier::Name;
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

/// An option of a requirements file, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given<'a> {
    /// Its name, as pip spells it: `--index-url`.
    pub(crate) name: &'static str,
    /// Its value, if it has one.
    pub(crate) value: Option<&'a Text>,
    /// Where it stands.
    pub(crate) at: &'a Location,
}

impl Options {
    /// All of them, those of one name in their order.
    pub(crate) fn given(&self) -> Vec<Given<'_>> {
        let Self {
            index_url,
            extra_index_urls,
            no_index,
            find_links,
            format_control,
            release_control,
            prefer_binary,
            require_hashes,
            trusted_hosts,
            use_features,
        } = self;
        let mut all = Vec::new();
        let mut add = |name, value, at| all.push(Given { name, value, at });
        if let Some(url) = index_url {
            add("--index-url", Some(&url.value), &url.at);
        }
        for url in extra_index_urls {
            add("--extra-index-url", Some(&url.value), &url.at);
        }
        if let Some(at) = no_index {
            add("--no-index", None, at);
        }
        for links in find_links {
            let (FindLinks::Path { written, .. } | FindLinks::Url(written)) = &links.value;
            add("--find-links", Some(written), &links.at);
        }
        for control in format_control {
            match &control.value {
                FormatControl::OnlyBinary(names) => add("--only-binary", Some(names), &control.at),
                FormatControl::NoBinary(names) => add("--no-binary", Some(names), &control.at),
            }
        }
        for control in release_control {
            match &control.value {
                ReleaseControl::Pre => add("--pre", None, &control.at),
                ReleaseControl::AllReleases(names) => {
                    add("--all-releases", Some(names), &control.at);
                }
                ReleaseControl::OnlyFinal(names) => add("--only-final", Some(names), &control.at),
            }
        }
        if let Some(at) = prefer_binary {
            add("--prefer-binary", None, at);
        }
        if let Some(on) = require_hashes {
            let name = if on.value {
                "--require-hashes"
            } else {
                "--no-require-hashes"
            };
            add(name, None, &on.at);
        }
        for host in trusted_hosts {
            add("--trusted-host", Some(&host.value), &host.at);
        }
        for feature in use_features {
            add("--use-feature", Some(&feature.value), &feature.at);
        }
        all
    }
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

/// What `--only-binary` and `--no-binary` leave, all of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats {
    only_binary: BTreeSet<String>,
    no_binary: BTreeSet<String>,
}

impl Formats {
    /// Takes one more option into account; later ones win.
    pub fn add(&mut self, control: &FormatControl) {
        match control {
            FormatControl::OnlyBinary(names) => self.only_binary(names.expanded()),
            FormatControl::NoBinary(names) => self.no_binary(names.expanded()),
        }
    }

    /// `--only-binary NAMES`
    pub fn only_binary(&mut self, names: &str) {
        merge(names, &mut self.only_binary, &mut self.no_binary);
    }

    /// `--no-binary NAMES`
    pub fn no_binary(&mut self, names: &str) {
        merge(names, &mut self.no_binary, &mut self.only_binary);
    }

    /// Whether a distribution may be a wheel, and whether it may be built of an sdist.
    #[must_use]
    pub fn of(&self, name: &Name) -> (bool, bool) {
        let name = name.as_str();
        if self.only_binary.contains(name) {
            (true, false)
        } else if self.no_binary.contains(name) {
            (false, true)
        } else if self.only_binary.contains(ALL) {
            (true, false)
        } else if self.no_binary.contains(ALL) {
            (false, true)
        } else {
            (true, true)
        }
    }
}

const ALL: &str = ":all:";
const NONE: &str = ":none:";

/// As `FormatControl.handle_mutual_excludes` of pip: what is named for the one is taken from the other,
/// and `:all:` wipes out what came before it.
fn merge(names: &str, to: &mut BTreeSet<String>, from: &mut BTreeSet<String>) {
    let mut names: Vec<&str> = names.split(',').collect();
    while let Some(at) = names.iter().position(|name| *name == ALL) {
        from.clear();
        to.clear();
        to.insert(ALL.to_owned());
        names.drain(..=at);
        if !names.contains(&NONE) {
            return;
        }
    }
    for name in names {
        if name == NONE {
            to.clear();
            continue;
        }
        let name = Name::new(name).as_str().to_owned();
        from.remove(&name);
        to.insert(name);
    }
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
