//! One requirement as a value.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Error, Problem, excerpt};
use super::marker::Marker;
use super::specifier::{Name, Specifiers};
use super::text::{LocalPath, Location, Text};
use crate::digest::Digest;
use crate::target::MarkerEnvironment;

/// A requirement or a constraint, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What is required.
    #[serde(flatten)]
    pub what: What,
    /// The extras that are asked for.
    pub extras: BTreeSet<Name>,
    /// For which interpreters; all if there is none.
    pub marker: Option<Marker>,
    /// The `--hash` options: one of them must match whatever is installed.
    pub hashes: Vec<Hash>,
    /// The `--config-settings` options, `KEY=VALUE`.
    pub config_settings: Vec<Text>,
    /// Whether it was asked for with `-e`.
    pub editable: bool,
    /// The requirement as it was written, without the options behind it.
    pub written: Text,
    /// Where it begins.
    #[serde(flatten)]
    pub at: Location,
}

/// The forms that a requirement can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// Some version of a distribution, from an index: `name>=1`.
    Named {
        /// The name.
        name: Name,
        /// The versions that will do; all if there are no clauses.
        specifier: Specifiers,
    },
    /// What a URL leads to.
    Url {
        /// The distribution's name, where the requirement tells.
        name: Option<Name>,
        /// The URL with its fragment (`#sha256=…`, `#subdirectory=…`).
        url: Text,
        /// What the URL leads to.
        #[serde(rename = "target")]
        kind: UrlKind,
    },
    /// Something on this machine.
    Path {
        /// The distribution's name, where the requirement tells.
        name: Option<Name>,
        /// Where it is: absolute. Messages and plans have `written` instead.
        #[serde(skip)]
        path: LocalPath,
        /// The path or `file:` URL as it was written, without extras.
        #[serde(rename = "path")]
        written: Text,
        /// What is there.
        #[serde(rename = "target")]
        kind: PathKind,
        /// What stands behind `#` in a `file:` URL, such as `sha256=…` or `subdirectory=…`.
        fragment: Option<Text>,
    },
}

/// What a URL leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UrlKind {
    /// A wheel.
    Wheel,
    /// An archive of sources.
    Sdist,
    /// A repository of git, hg, bzr or svn.
    Vcs,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// The folder of a project.
    Project,
    /// A wheel.
    Wheel,
    /// An archive of sources.
    Sdist,
    /// Nothing. Only where a marker may exclude the requirement: see
    /// [`Requirements::check`](super::Requirements::check).
    Missing,
}

/// An algorithm that `--hash` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        let known = [Self::Sha256, Self::Sha384, Self::Sha512];
        known.into_iter().find(|one| one.as_str() == name)
    }

    /// The name, as pip writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hex digits a digest has.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// A digest that an archive must have. Prints as `sha256:` and what was written behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The digest as it was written. pip takes any text here, and nothing matches a wrong one.
    pub hex: String,
}

impl Hash {
    /// A digest in hex that could be one; `None` if the algorithm is not known, or it has another
    /// length.
    #[must_use]
    pub fn new(algorithm: &str, hex: &str) -> Option<Self> {
        let hash = Self {
            algorithm: Algorithm::parse(algorithm)?,
            hex: hex.to_ascii_lowercase(),
        };
        hash.is_well_formed().then_some(hash)
    }

    /// The same in lower case, as pip compares them.
    #[must_use]
    pub fn lower(&self) -> Self {
        Self {
            algorithm: self.algorithm,
            hex: self.hex.to_ascii_lowercase(),
        }
    }

    /// Parses `algorithm:digest`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let (algorithm, hex) = text.split_once(':').ok_or(Problem::HashForm)?;
        Ok(Self {
            algorithm: Algorithm::parse(algorithm).ok_or(Problem::HashAlgorithm)?,
            hex: hex.to_owned(),
        })
    }

    /// The digest, if it is one of SHA-256.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        match self.algorithm {
            Algorithm::Sha256 => self.to_string().to_ascii_lowercase().parse().ok(),
            Algorithm::Sha384 | Algorithm::Sha512 => None,
        }
    }

    /// Whether the text has the form of a digest at all.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.hex.len() == self.algorithm.digits()
            && self.hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|_| serde::de::Error::custom("not a hash"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether a requirement concerns an interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applies {
    /// It does.
    Yes,
    /// It does not, and why: "marker `…` is false for Python 3.11 on linux".
    No(String),
}

impl Entry {
    /// The requirement `NAME==VERSION` with these hashes, as if it stood at `at`; `None` if the version
    /// is none.
    #[must_use]
    pub fn pin(name: &Name, version: &str, hashes: Vec<Hash>, at: Location) -> Option<Self> {
        let specifier: Specifiers = format!("=={version}").parse().ok()?;
        let written = format!("{name}=={version}");
        specifier.pin()?;
        Some(Self {
            what: What::Named {
                name: name.clone(),
                specifier,
            },
            extras: BTreeSet::new(),
            marker: None,
            hashes,
            config_settings: Vec::new(),
            editable: false,
            written: Text::new(&written, &written),
            at,
        })
    }

    /// The requirement in one spelling, whatever the white space, the order of extras and clauses, and
    /// the marker were; credentials are hidden, and the variables of URLs and paths keep their names.
    #[must_use]
    pub fn canonical(&self) -> String {
        let extras: Vec<_> = self.extras.iter().map(Name::as_str).collect();
        let extras = match extras.as_slice() {
            [] => String::new(),
            extras => format!("[{}]", extras.join(",")),
        };
        let named = |name: &Option<Name>, place: &Text| match name {
            Some(name) => format!("{name}{extras} @ {place}"),
            None => format!("{place}{extras}"),
        };
        let what = match &self.what {
            What::Named { name, specifier } => {
                let clauses = specifier.clauses().iter();
                let mut clauses: Vec<_> = clauses
                    .map(|clause| format!("{}{}", clause.operator, clause.version))
                    .collect();
                clauses.sort();
                clauses.dedup();
                format!("{name}{extras}{}", clauses.join(","))
            }
            What::Url { name, url, .. } => named(name, url),
            What::Path { name, written, .. } => named(name, written),
        };
        let mut hashes: Vec<_> = self.hashes.iter().map(Hash::lower).collect();
        hashes.sort();
        hashes.dedup();
        let hashes: String = hashes
            .iter()
            .map(|hash| format!(" --hash={hash}"))
            .collect();
        let settings: String = self
            .config_settings
            .iter()
            .map(|setting| format!(" --config-settings={setting}"))
            .collect();
        let editable = if self.editable { "-e " } else { "" };
        format!("{editable}{what}{settings}{hashes}")
    }

    /// The name of the distribution, where the requirement tells.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        match &self.what {
            What::Named { name, .. } => Some(name),
            What::Url { name, .. } | What::Path { name, .. } => name.as_ref(),
        }
    }

    /// Whether the requirement names this URL or the path that it stands for; credentials and
    /// fragments do not count.
    #[must_use]
    pub fn leads_to(&self, url: &str) -> bool {
        let plain = |text: &str| {
            let text = text.split('#').next().unwrap_or_default();
            match (text.find("://"), text.find('@')) {
                (Some(scheme), Some(at)) if at > scheme => {
                    format!("{}{}", &text[..scheme + 3], &text[at + 1..])
                }
                _ => text.to_owned(),
            }
        };
        match &self.what {
            What::Named { .. } => false,
            What::Url { url: own, .. } => plain(own.expanded()) == plain(url),
            What::Path { path, .. } => {
                plain(url).strip_prefix("file://") == Some(&path.to_string_lossy())
            }
        }
    }

    /// Whether the requirement is for an interpreter with this environment.
    pub fn applies(&self, environment: &MarkerEnvironment) -> Result<Applies, Error> {
        let Some(marker) = &self.marker else {
            return Ok(Applies::Yes);
        };
        match marker.evaluate(environment, &[]) {
            Ok(true) => Ok(Applies::Yes),
            Ok(false) => Ok(Applies::No(format!(
                "marker `{marker}` is false for Python {} on {}",
                environment.python_version, environment.sys_platform
            ))),
            Err(undefined) => Err(self.invalid(Problem::Undefined(undefined))),
        }
    }

    /// An error at this requirement.
    pub(super) fn invalid(&self, problem: Problem) -> Error {
        Error::Invalid {
            at: self.at.clone(),
            excerpt: excerpt(&self.written.to_string(), 1).into(),
            problem,
        }
    }
}
