//! What a lock file says for one target.
//!
//! Follows the [installation](
//! https://packaging.python.org/en/latest/specifications/pylock-toml/#installation) of the specification.

use std::collections::{BTreeMap, BTreeSet};

use super::{Archive, Error, Origin, Package, Pylock};
use crate::interpreter::Interpreter;
use crate::plan::{Asked, Form, Item, Metadata, Place, Source, python_json, sort};
use crate::requirements::{LockMarker, Name, Specifiers, hide_credentials};
use crate::resolve::Fit;
use crate::wheel::Filename;

impl Pylock {
    /// What will be installed, the first to be installed first, with these extras, and with these
    /// dependency groups in place of the default ones, if any are named.
    pub fn items(
        &self,
        interpreter: &Interpreter,
        extras: &BTreeSet<Name>,
        groups: &BTreeSet<Name>,
    ) -> Result<Vec<Item>, Error> {
        self.check(interpreter, extras, groups)?;
        let groups = if groups.is_empty() {
            &self.default_groups
        } else {
            groups
        };
        let holds = |marker: &LockMarker| {
            let held = marker.evaluate(&interpreter.markers, extras, groups);
            held.unwrap_or(false)
        };
        let fit = Fit::new(interpreter, false);
        let target = || interpreter.target().to_string();
        let mut chosen: BTreeMap<&Name, &Package> = BTreeMap::new();
        let mut items = Vec::new();
        for package in &self.packages {
            if !package.marker.as_ref().is_none_or(holds) {
                continue;
            }
            if let Some(other) = chosen.insert(&package.name, package) {
                return Err(Error::Twice {
                    at: self.place(package),
                    name: package.name.clone(),
                    target: target(),
                    other: self.place(other),
                });
            }
            if !fit.admits(package.requires_python.as_ref()) {
                return Err(Error::Python {
                    at: self.place(package),
                    name: package.name.clone(),
                    python: interpreter.markers.python_full_version.clone(),
                });
            }
            let item = package.item(&fit).map_err(|tags| Error::NoFile {
                at: self.place(package),
                name: package.name.clone(),
                target: target(),
                tags,
            })?;
            items.push(item);
        }
        if let Some(recorded) = &self.recorded {
            let place = |item: &Item| recorded.order.iter().position(|name| *name == item.name);
            items.sort_by_key(place);
            for item in &mut items {
                let asked = recorded.requested.iter().find_map(|text| {
                    let (name, extras) = text.split_once('[').unwrap_or((text, ""));
                    (Name::new(name) == item.name).then_some(extras)
                });
                item.requested = asked.is_some();
                let extras = asked.unwrap_or_default().trim_end_matches(']').split(',');
                let extras = extras.filter(|extra| !extra.is_empty());
                item.extras = extras.map(Name::new).collect();
            }
        } else {
            let asked = Asked::all(&items, &interpreter.markers);
            sort(&mut items, &asked, None);
        }
        Ok(items)
    }

    /// The URLs in it, credentials and all.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().flat_map(|package| -> Vec<&str> {
            match &package.origin {
                Origin::Files { sdist, wheels } => {
                    let files = wheels.iter().chain(sdist);
                    files.map(|file| file.url.as_str()).collect()
                }
                Origin::Archive { archive, .. } => vec![&archive.url],
                Origin::Vcs { .. } | Origin::Directory { .. } => Vec::new(),
            }
        })
    }

    /// Refuses a target that the whole file is not for, and what it does not know.
    fn check(
        &self,
        interpreter: &Interpreter,
        extras: &BTreeSet<Name>,
        groups: &BTreeSet<Name>,
    ) -> Result<(), Error> {
        for (kind, asked, known) in [
            ("extra", extras, &self.extras),
            ("dependency group", groups, &self.groups),
        ] {
            if let Some(name) = asked.iter().find(|name| !known.contains(name)) {
                return Err(Error::Unknown {
                    file: self.file.clone(),
                    kind,
                    name: name.clone(),
                    there: known.iter().map(|name| format!("`{name}`")).collect(),
                });
            }
        }
        let elsewhere = |why| Error::Elsewhere {
            file: self.file.clone(),
            target: interpreter.target().to_string(),
            why,
        };
        let none = BTreeSet::new();
        let is_here = |marker: &LockMarker| {
            let held = marker.evaluate(&interpreter.markers, &none, &none);
            held.unwrap_or(false)
        };
        if !self.environments.is_empty() && !self.environments.iter().any(is_here) {
            let all: Vec<_> = self.environments.iter().map(ToString::to_string).collect();
            return Err(elsewhere(format!("it is for {}", all.join(", or "))));
        }
        let python = &interpreter.markers.python_full_version;
        match &self.requires_python {
            Some(requires) if !requires.admit(python) => {
                Err(elsewhere(format!("it is for Python {requires}")))
            }
            _ => Ok(()),
        }
    }
}

impl Fit<'_> {
    fn admits(&self, requires: Option<&Specifiers>) -> bool {
        requires.is_none_or(|requires| self.admits_python(Some(&requires.to_string())))
    }
}

impl Package {
    /// The file that the target takes; `Err` has the tags of the wheels that do not fit.
    fn item(&self, fit: &Fit<'_>) -> Result<Item, Vec<String>> {
        let mut item = Item {
            name: self.name.clone(),
            version: self.version.clone().unwrap_or_default(),
            requested: true,
            extras: BTreeSet::new(),
            source: Source::Index,
            form: Form::Sdist,
            url: String::new(),
            filename: String::new(),
            hashes: Vec::new(),
            size: None,
            direct_url: None,
            requires: self.dependencies.iter().map(Name::to_string).collect(),
            requires_python: self.requires_python.as_ref().map(ToString::to_string),
            required_by: Vec::new(),
            metadata: Metadata::Preliminary,
            place: Place::Here,
        };
        let take = |item: &mut Item, archive: &Archive| {
            item.form = if Filename::parse(&archive.name).is_ok() {
                Form::Wheel
            } else {
                Form::Sdist
            };
            item.url = hide_credentials(&archive.url);
            item.filename.clone_from(&archive.name);
            item.hashes.clone_from(&archive.hashes);
            item.size = archive.size;
        };
        match &self.origin {
            Origin::Files { sdist, wheels } => {
                let fitting = wheels.iter().filter_map(|wheel| {
                    let filename = Filename::parse(&wheel.name).ok()?;
                    Some((fit.rank(&filename)?, wheel))
                });
                let best = fitting
                    .min_by_key(|(rank, _)| *rank)
                    .map(|(_, wheel)| wheel);
                let Some(best) = best.or(sdist.as_ref()) else {
                    let tags = wheels.iter().filter_map(|wheel| {
                        let Filename {
                            python,
                            abi,
                            platform,
                            ..
                        } = Filename::parse(&wheel.name).ok()?;
                        Some(format!("{python}-{abi}-{platform}"))
                    });
                    return Err(tags.collect());
                };
                take(&mut item, best);
                if item.version.is_empty()
                    && let Ok(filename) = Filename::parse(&best.name)
                {
                    item.version = filename.version;
                }
            }
            Origin::Archive {
                archive,
                subdirectory,
            } => {
                take(&mut item, archive);
                item.source = Source::Archive;
                let hashes: BTreeMap<_, _> = archive
                    .hashes
                    .iter()
                    .map(|hash| (hash.algorithm.as_str(), hash.hex.as_str()))
                    .collect();
                item.direct_url = Some(direct_url(
                    &archive.url,
                    "archive_info",
                    serde_json::json!({ "hashes": hashes }),
                    subdirectory.as_deref(),
                ));
            }
            Origin::Vcs {
                kind,
                url,
                revision,
                commit,
                subdirectory,
            } => {
                item.source = Source::Commit(commit.clone());
                item.url.clone_from(url);
                let mut info = serde_json::json!({ "vcs": kind, "commit_id": commit });
                if let Some(revision) = revision {
                    info["requested_revision"] = revision.as_str().into();
                }
                item.direct_url = Some(direct_url(url, "vcs_info", info, subdirectory.as_deref()));
            }
            Origin::Directory { url, subdirectory } => {
                item.source = Source::Directory;
                item.url.clone_from(url);
                let info = serde_json::json!({});
                item.direct_url = Some(direct_url(url, "dir_info", info, subdirectory.as_deref()));
            }
        }
        Ok(item)
    }
}

/// A `direct_url.json`, as pip would write it.
fn direct_url(url: &str, key: &str, info: serde_json::Value, subdirectory: Option<&str>) -> String {
    let mut value = serde_json::json!({ "url": url });
    value[key] = info;
    if let Some(subdirectory) = subdirectory {
        value["subdirectory"] = subdirectory.into();
    }
    python_json(&value)
}
