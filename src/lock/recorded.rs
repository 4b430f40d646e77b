//! What a lock file of prebuild's was made from, and what is different now.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::plan::Item;
use crate::requirements::{self, Applies, Entry, Given, Input, Location, Name, Requirements};
use crate::target::Target;

/// The version of the table that is written.
const VERSION: u32 = 2;

/// How many changes of each kind are told.
const ENOUGH: usize = 5;

/// What a lock file of prebuild's was made from: its `[tool.prebuild]`.
///
/// It holds nothing of the machine: no index, no folder of links, no digest of a file. A comment, a blank
/// line, or another index changes nothing that is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recorded {
    /// The version of this table.
    pub version: u32,
    /// The names of the distributions, the first to be installed first.
    pub order: Vec<Name>,
    /// What was asked for, with extras: `flask[async]`.
    pub requested: Vec<String>,
    /// The requirements that apply for the target, in one spelling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// The constraints that do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// The options in the requirements files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// pip's settings that decided which versions were chosen. Told, and not held against the build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// The extras of the project.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub extras: BTreeSet<Name>,
    /// The dependency groups of the project.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<Name>,
    /// What it is for.
    pub target: LockedFor,
}

/// What a lock file is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFor {
    /// `cpython 3.12`.
    pub python: String,
    /// `linux-x86_64`.
    pub platform: String,
    /// `glibc` or `musl`; empty where Python cannot tell.
    pub libc: String,
}

impl LockedFor {
    /// A target, as far as a lock depends on it.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        let markers = &target.markers;
        let libc = target.libc.split(' ').next().unwrap_or_default();
        Self {
            python: format!("{} {}", markers.implementation_name, markers.python_version),
            platform: target.platform.clone(),
            libc: libc.to_owned(),
        }
    }
}

impl std::fmt::Display for LockedFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.python, self.platform)?;
        if !self.libc.is_empty() {
            write!(f, " with {}", self.libc)?;
        }
        Ok(())
    }
}

/// Something that the user wrote, in one spelling, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    at: Location,
}

/// What a lock file is made from, or held against.
#[derive(Debug, Clone)]
pub struct Current {
    target: LockedFor,
    requirements: Vec<Line>,
    constraints: Vec<Line>,
    options: Vec<Line>,
    settings: Vec<String>,
    extras: BTreeSet<Name>,
    groups: BTreeSet<Name>,
}

impl Current {
    /// What the requirements of `inputs` say for a target; `settings` are pip's.
    pub fn new(
        target: &Target,
        inputs: &[Input],
        requirements: &Requirements,
        settings: Vec<String>,
    ) -> Result<Self, requirements::Error> {
        let applying = |entries: &[Entry]| {
            let mut lines = Vec::new();
            for entry in entries {
                if entry.applies(&target.markers)? == Applies::Yes {
                    lines.push(Line {
                        text: entry.canonical(),
                        at: entry.at.clone(),
                    });
                }
            }
            Ok::<_, requirements::Error>(lines)
        };
        let option = |given: &Given<'_>| Line {
            text: match given.value {
                Some(value) => format!("{} {value}", given.name),
                None => given.name.to_owned(),
            },
            at: given.at.clone(),
        };
        let (mut all_extras, mut all_groups) = (BTreeSet::new(), BTreeSet::new());
        for input in inputs {
            if let Input::Project { extras, groups, .. } = input {
                all_extras.extend(extras.iter().cloned());
                all_groups.extend(groups.iter().cloned());
            }
        }
        Ok(Self {
            target: LockedFor::new(target),
            requirements: applying(requirements.entries())?,
            constraints: applying(requirements.constraints())?,
            options: requirements.options().given().iter().map(option).collect(),
            settings,
            extras: all_extras,
            groups: all_groups,
        })
    }
}

/// The texts of lines, each once. Their order decides nothing that a lock could be held against.
fn texts(lines: &[Line]) -> Vec<String> {
    let texts: BTreeSet<_> = lines.iter().map(|line| line.text.clone()).collect();
    texts.into_iter().collect()
}

impl Recorded {
    /// What a plan of these items was made from.
    #[must_use]
    pub fn new(current: &Current, items: &[Item]) -> Self {
        let requested = items.iter().filter(|item| item.requested).map(|item| {
            let extras: Vec<_> = item.extras.iter().map(Name::as_str).collect();
            match extras.as_slice() {
                [] => item.name.to_string(),
                extras => format!("{}[{}]", item.name, extras.join(",")),
            }
        });
        Self {
            version: VERSION,
            order: items.iter().map(|item| item.name.clone()).collect(),
            requested: requested.collect(),
            requirements: texts(&current.requirements),
            constraints: texts(&current.constraints),
            options: texts(&current.options),
            settings: current.settings.clone(),
            extras: current.extras.clone(),
            groups: current.groups.clone(),
            target: current.target.clone(),
        }
    }

    /// Why the lock file is out of date, in words; nothing if it is up to date.
    #[must_use]
    pub fn changes(&self, now: &Current) -> Vec<String> {
        let mut changes = Vec::new();
        if self.version != VERSION {
            changes.push("another version of prebuild wrote it".to_owned());
        }
        if self.target != now.target {
            changes.push(format!("it is for {}, not for {}", self.target, now.target));
        }
        if self.version != VERSION {
            return changes;
        }
        for (what, locked, asked) in [
            ("extra", &self.extras, &now.extras),
            ("group", &self.groups, &now.groups),
        ] {
            for name in asked.difference(locked) {
                changes.push(format!("the {what} `{name}` is missing"));
            }
            for name in locked.difference(asked) {
                changes.push(format!(
                    "it has the {what} `{name}`, which `--{what}` does not name"
                ));
            }
        }
        differences("", &self.requirements, &now.requirements, &mut changes);
        let constraints = &self.constraints;
        differences(
            "the constraint ",
            constraints,
            &now.constraints,
            &mut changes,
        );
        differences("the option ", &self.options, &now.options, &mut changes);
        changes
    }

    /// The settings that decided which versions were chosen, and are others now, in words.
    #[must_use]
    pub fn other_settings(&self, now: &Current) -> Vec<String> {
        let new = now.settings.iter();
        let new = new.filter(|setting| !self.settings.contains(setting));
        let old = self.settings.iter();
        let old = old.filter(|setting| !now.settings.contains(setting));
        let new = new.map(|setting| format!("`{setting}` is set now"));
        new.chain(old.map(|setting| format!("`{setting}` was set when it was locked")))
            .collect()
    }
}

/// Tells which texts are gone, new, or others of the same name.
fn differences(kind: &str, before: &[String], now: &[Line], changes: &mut Vec<String>) {
    let mut gone: Vec<&String> = before
        .iter()
        .filter(|text| !now.iter().any(|line| line.text == **text))
        .collect();
    let mut told = BTreeSet::new();
    let mut all = Vec::new();
    for line in now {
        if before.contains(&line.text) || !told.insert(&line.text) {
            continue;
        }
        let (text, at) = (shown(&line.text), &line.at);
        match gone
            .iter()
            .position(|old| subject(old) == subject(&line.text))
        {
            Some(old) => {
                let old = shown(gone.remove(old));
                all.push(if old == text {
                    format!("the hashes of {kind}`{text}` changed ({at})")
                } else {
                    format!("{kind}`{old}` is now `{text}` ({at})")
                });
            }
            None => all.push(format!("{kind}`{text}` was added ({at})")),
        }
    }
    all.extend(
        gone.into_iter()
            .map(|text| format!("{kind}`{}` was removed", shown(text))),
    );
    let more = all.len().saturating_sub(ENOUGH);
    all.truncate(ENOUGH);
    changes.extend(all);
    if more > 0 {
        changes.push(format!("{more} more changed"));
    }
}

/// What a text is about: the name of a distribution or an option, or all of a URL.
fn subject(text: &str) -> &str {
    let text = text.strip_prefix("-e ").unwrap_or(text);
    if text.starts_with('-') {
        return text.split(' ').next().unwrap_or(text);
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    &text[..end]
}

/// A text without its hashes.
fn shown(text: &str) -> &str {
    text.split(" --hash=").next().unwrap_or(text)
}
