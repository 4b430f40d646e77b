//! What will be installed: everything decided, and nothing done.
//!
//! Every source of truth becomes a [`Plan`]: requirements that say all themselves, a lock file, pip's
//! answer. What follows does not know which it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::requirements::{self, Applies, Dependency, Entry, Hash, Name, Options, Requirements};
use crate::runner::Identity;
use crate::target::{MarkerEnvironment, Target};
use crate::tree::Distribution;

mod json;
mod order;

pub(crate) use json::python_json;
pub(crate) use order::{Asked, sort};

/// A distribution that will be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: String,
    /// Whether the user asked for it.
    pub requested: bool,
    /// With which extras the user did.
    pub extras: BTreeSet<Name>,
    /// Where it comes from.
    pub source: Source,
    /// How it will be had.
    pub form: Form,
    /// The URL, without credentials.
    pub url: String,
    /// The name of its file, which need not be the URL's; empty for what is no file.
    pub filename: String,
    /// The digests of what is at the URL, as far as they are known.
    pub hashes: Vec<Hash>,
    /// Its length in bytes, if it is known.
    pub size: Option<u64>,
    /// Its `direct_url.json`, if it does not come from an index: the text that pip would write.
    pub direct_url: Option<String>,
    /// The `Requires-Dist` of its metadata.
    pub requires: Vec<String>,
    /// The `Requires-Python` of its metadata.
    pub requires_python: Option<String>,
    /// Who wants it. Empty until [`Plan::new`] has looked.
    #[serde(default)]
    pub required_by: Vec<RequiredBy>,
    /// Whether the decision rests on `requires`. No document has it.
    #[serde(skip)]
    pub metadata: Metadata,
    /// Where a `file:` URL leads. No document has it.
    #[serde(skip)]
    pub place: Place,
}

/// What the metadata of an item is worth until its wheel is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metadata {
    /// The wheel's own metadata replaces it.
    #[default]
    Preliminary,
    /// The decision rests on it: a wheel that requires other distributions is refused.
    Binding,
}

/// The machine whose file a `file:` URL names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// This machine.
    #[default]
    Here,
    /// The builder, whose files this machine cannot read.
    Builder,
}

/// Where a distribution comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A file of an index, or of a place with links.
    Index,
    /// An archive that a requirement names by its URL or path.
    Archive,
    /// This commit of a repository.
    Commit(String),
    /// A folder of the builder.
    Directory,
    /// Nobody says: pip installed it.
    Unknown,
}

/// How a distribution will be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As a wheel.
    Wheel,
    /// Built of its sources by pip, in the builder.
    Sdist,
}

/// Who wants a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequiredBy {
    /// A line that the user wrote.
    Requirement {
        /// The file, as it was named.
        file: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// The metadata of another distribution.
    Distribution {
        /// Its name.
        distribution: Name,
    },
}

impl fmt::Display for RequiredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requirement { file, line } => write!(f, "{file}:{line}"),
            Self::Distribution { distribution } => distribution.fmt(f),
        }
    }
}

impl Item {
    /// A distribution that somebody installed without a plan: its own metadata is all that is known.
    #[must_use]
    pub fn unknown(
        distribution: Distribution,
        requires: Vec<String>,
        requires_python: Option<String>,
    ) -> Self {
        Self {
            name: Name::new(&distribution.name),
            version: distribution.version,
            requested: false,
            extras: BTreeSet::new(),
            source: Source::Unknown,
            form: Form::Wheel,
            url: String::new(),
            filename: String::new(),
            hashes: Vec::new(),
            size: None,
            direct_url: None,
            requires,
            requires_python,
            required_by: Vec::new(),
            metadata: Metadata::Preliminary,
            place: Place::Here,
        }
    }

    /// Its name and version.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        Distribution {
            name: self.name.as_str().to_owned(),
            version: self.version.clone(),
        }
    }

    /// Whether it comes from a URL of its own rather than from an index.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        !matches!(self.source, Source::Index | Source::Unknown)
    }

    /// Whether it is a file of that machine: other machines cannot read it.
    #[must_use]
    pub fn is_file_of(&self, place: Place) -> bool {
        self.place == place && self.url.starts_with("file:")
    }

    /// Its SHA-256, if that is known.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        self.hashes.iter().find_map(Hash::sha256)
    }

    /// The URL as a requirement names it behind `@`: with the commit, the folder in it, and the hash.
    #[must_use]
    pub fn requirement_url(&self) -> String {
        let info: serde_json::Value = self
            .direct_url
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let mut url = match &self.source {
            Source::Commit(commit) => {
                let kind = info["vcs_info"]["vcs"].as_str().unwrap_or("git");
                format!("{kind}+{}@{commit}", self.url)
            }
            Source::Index | Source::Archive | Source::Directory | Source::Unknown => {
                self.url.clone()
            }
        };
        let subdirectory = info["subdirectory"].as_str();
        let subdirectory = subdirectory.map(|path| format!("subdirectory={path}"));
        let is_file = matches!(self.source, Source::Index | Source::Archive);
        let hash = self.hashes.first().filter(|_| is_file);
        let hash = hash.map(|hash| format!("{}={}", hash.algorithm.as_str(), hash.hex));
        let fragment: Vec<_> = subdirectory.into_iter().chain(hash).collect();
        if !fragment.is_empty() {
            url.push('#');
            url.push_str(&fragment.join("&"));
        }
        url
    }
}

/// Who decided what is in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecidedBy {
    /// The requirements, which leave nothing open.
    Requirements,
    /// A lock file.
    Lock,
    /// pip.
    Pip,
}

/// A setting of pip's that reaches the build, for the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The option's name without dashes.
    pub name: String,
    /// Its value, credentials hidden.
    pub value: String,
    /// The file or variable that it came from.
    pub from: String,
}

/// A build, decided and not yet done.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The version of this document.
    pub version: u32,
    /// Where sources are built; none for a target that no builder is.
    pub builder: Option<Identity>,
    /// What the artifact is for.
    pub target: Target,
    /// The version of the builder's pip, if there is a builder.
    pub pip: Option<String>,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// What will be installed, the first to be installed first.
    pub distributions: Vec<Item>,
    /// The requirements, in the order that they were read.
    pub requirements: Vec<Planned>,
    /// What `-c` files say.
    pub constraints: Vec<Planned>,
    /// The options that hold for all.
    pub options: Options,
    /// The settings of pip's that reach the build.
    pub settings: Vec<Setting>,
    /// The files that were read.
    pub files: Vec<requirements::File>,
}

/// A requirement, and whether it applies.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// What was read.
    #[serde(flatten)]
    pub entry: Entry,
    /// Whether it applies for the target.
    pub applies: bool,
    /// Why it does not.
    pub reason: Option<String>,
}

/// What decided a plan besides the requirements.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// See [`Plan::builder`].
    pub builder: Option<Identity>,
    /// See [`Plan::target`].
    pub target: Target,
    /// See [`Plan::pip`].
    pub pip: Option<String>,
    /// See [`Plan::decided_by`].
    pub decided_by: DecidedBy,
    /// See [`Plan::settings`].
    pub settings: Vec<Setting>,
}

impl Plan {
    /// Puts together what was decided, and finds who wants what.
    pub fn new(
        circumstances: Circumstances,
        requirements: &Requirements,
        mut items: Vec<Item>,
    ) -> Result<Self, requirements::Error> {
        let Circumstances {
            builder,
            target,
            pip,
            decided_by,
            settings,
        } = circumstances;
        let planned = planned(requirements.entries(), &target.markers)?;
        blame(
            &mut items.iter_mut().collect::<Vec<_>>(),
            &planned,
            &target.markers,
        );
        Ok(Self {
            version: 2,
            requirements: planned,
            constraints: self::planned(requirements.constraints(), &target.markers)?,
            options: requirements.options().clone(),
            files: requirements.files().to_vec(),
            distributions: items,
            builder,
            target,
            pip,
            decided_by,
            settings,
        })
    }
}

/// Which of the lines apply.
fn planned(
    entries: &[Entry],
    environment: &MarkerEnvironment,
) -> Result<Vec<Planned>, requirements::Error> {
    let planned = entries.iter().map(|entry| {
        let reason = match entry.applies(environment)? {
            Applies::Yes => None,
            Applies::No(reason) => Some(reason),
        };
        Ok(Planned {
            entry: entry.clone(),
            applies: reason.is_none(),
            reason,
        })
    });
    planned.collect()
}

/// Notes at each item who requires it, as [`Plan::new`] does.
pub(crate) fn required_by(
    items: &mut [&mut Item],
    requirements: &Requirements,
    environment: &MarkerEnvironment,
) -> Result<(), requirements::Error> {
    let planned = planned(requirements.entries(), environment)?;
    blame(items, &planned, environment);
    Ok(())
}

/// Notes at each item who wants it: the lines that name it, and the distributions that require it.
fn blame(items: &mut [&mut Item], planned: &[Planned], environment: &MarkerEnvironment) {
    let mut wanted: BTreeMap<Name, BTreeSet<RequiredBy>> = BTreeMap::new();
    for Planned { entry, .. } in planned.iter().filter(|planned| planned.applies) {
        let by_url = || {
            // A path or URL without a name: the item's own says where it came from.
            let direct = items
                .iter()
                .filter(|item| item.is_direct() && item.requested);
            let mut of_entry = direct.filter(|item| entry.leads_to(&item.url));
            of_entry.next().map(|item| item.name.clone())
        };
        if let Some(name) = entry.name().cloned().or_else(by_url) {
            wanted
                .entry(name)
                .or_default()
                .insert(RequiredBy::Requirement {
                    file: entry.at.file.display().to_string(),
                    line: entry.at.line,
                });
        }
    }
    // Which extras are active follows from who asks for them, in turn.
    let mut extras: BTreeMap<Name, BTreeSet<Name>> = items
        .iter()
        .map(|item| (item.name.clone(), item.extras.clone()))
        .collect();
    let requires: Vec<(Name, Vec<Dependency>)> = items
        .iter()
        .map(|item| {
            let parsed = item
                .requires
                .iter()
                .filter_map(|text| Dependency::parse(text));
            (item.name.clone(), parsed.collect())
        })
        .collect();
    loop {
        let mut grown = false;
        for (name, dependencies) in &requires {
            let active = extras.get(name).cloned().unwrap_or_default();
            for dependency in dependencies {
                let plain = dependency.applies(environment, &BTreeSet::new());
                let with = !active.is_empty() && dependency.applies(environment, &active);
                let Some(theirs) = extras.get_mut(&dependency.name).filter(|_| plain || with)
                else {
                    continue;
                };
                let before = theirs.len();
                theirs.extend(dependency.extras.iter().cloned());
                let news = wanted.entry(dependency.name.clone()).or_default();
                let by = RequiredBy::Distribution {
                    distribution: name.clone(),
                };
                grown |= news.insert(by) || theirs.len() > before;
            }
        }
        if !grown {
            break;
        }
    }
    for item in items {
        let by = wanted.remove(&item.name).unwrap_or_default();
        item.required_by = by.into_iter().collect();
    }
}
