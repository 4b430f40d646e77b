//! Pinned requirements, by name.

use std::collections::BTreeMap;

use super::{Error, Outcome};
use crate::requirements::{
    Applies, Entry, Hash, Name, PathKind, Requirements, Specifiers, Text, UrlKind, Version, What,
};
use crate::target::MarkerEnvironment;

/// A distribution as the requirements have it.
pub(super) struct Pin<'a> {
    pub(super) name: Name,
    pub(super) entries: Vec<&'a Entry>,
    /// Constraints of the same name.
    pub(super) limits: Vec<&'a Entry>,
    /// The hashes that its file may have; any, if there are none.
    pub(super) hashes: Option<Vec<Hash>>,
    /// The URL of the file, if a requirement names one.
    pub(super) direct: Option<String>,
}

/// The requirements by what they name, unless they leave a choice.
pub(super) fn pins<'a>(
    requirements: &'a Requirements,
    environment: &MarkerEnvironment,
    require_hashes: Option<bool>,
) -> Result<Outcome<Vec<Pin<'a>>>, Error> {
    let mut pins: BTreeMap<Name, Pin<'a>> = BTreeMap::new();
    for entry in requirements.entries() {
        if entry.applies(environment)? != Applies::Yes {
            continue;
        }
        if entry.editable {
            return Ok(Outcome::open(format!(
                "`{}` must be built from source",
                entry.written
            )));
        }
        let direct = match &entry.what {
            What::Named { .. } => None,
            What::Url {
                url,
                kind: UrlKind::Wheel,
                ..
            } => Some(url.expanded().to_owned()),
            What::Path {
                path,
                kind: PathKind::Wheel,
                ..
            } => match url::Url::from_file_path(path) {
                Ok(url) => Some(url.into()),
                Err(()) => {
                    return Ok(Outcome::open(format!(
                        "`{}` is an invalid path",
                        entry.written
                    )));
                }
            },
            What::Url { .. } | What::Path { .. } => {
                return Ok(Outcome::open(format!(
                    "`{}` must be built from source",
                    entry.written
                )));
            }
        };
        let Some(name) = entry.name() else {
            return Ok(Outcome::open(format!("`{}` has no name", entry.written)));
        };
        let pin = pins.entry(name.clone()).or_insert_with(|| Pin {
            name: name.clone(),
            entries: Vec::new(),
            limits: Vec::new(),
            hashes: None,
            direct: None,
        });
        if let (Some(one), Some(other)) = (&pin.direct, &direct)
            && one != other
        {
            return Err(conflict(entry, pin.entries[0]));
        }
        pin.direct = pin.direct.take().or(direct);
        pin.entries.push(entry);
        narrow(&mut pin.hashes, entry);
    }
    for entry in requirements.constraints() {
        if entry.applies(environment)? != Applies::Yes {
            continue;
        }
        let Some(pin) = entry.name().and_then(|name| pins.get_mut(name)) else {
            continue;
        };
        if !matches!(entry.what, What::Named { .. }) {
            return Ok(Outcome::open(format!(
                "the constraint `{}` is a URL",
                entry.written
            )));
        }
        narrow(&mut pin.hashes, entry);
        pin.limits.push(entry);
    }
    let pins: Vec<Pin<'a>> = pins.into_values().collect();
    if let Some(pin) = pins.iter().find(|pin| !pin.is_pinned()) {
        return Ok(Outcome::open(format!(
            "`{}` is not pinned",
            pin.entries[0].written
        )));
    }
    for pin in &pins {
        pin.check()?;
    }
    let is_hashed = pins.iter().any(|pin| pin.hashes.is_some());
    let needs_hashes = require_hashes.unwrap_or(is_hashed);
    Ok(match pins.iter().find(|pin| pin.hashes.is_none()) {
        Some(pin) if needs_hashes => {
            Outcome::open(format!("`{}` has no hash", pin.entries[0].written))
        }
        _ => Outcome::Decided(pins),
    })
}

impl Pin<'_> {
    pub(super) fn is_pinned(&self) -> bool {
        let mut specifiers = self.entries.iter().filter_map(|entry| specifiers(entry));
        self.direct.is_some() || specifiers.any(|specifiers| specifiers.pin().is_some())
    }

    /// Whether all that is required of it admits a version.
    pub(super) fn admits(&self, version: &str) -> bool {
        let mut all = self.entries.iter().chain(&self.limits);
        all.all(|entry| specifiers(entry).is_none_or(|specifiers| specifiers.admit(version)))
    }

    /// Refuses pins that exclude each other.
    pub(super) fn check(&self) -> Result<(), Error> {
        let all = || self.entries.iter().chain(&self.limits);
        for one in &self.entries {
            let Some(pin) = specifiers(one).and_then(|specifiers| specifiers.pin()) else {
                continue;
            };
            let version = Version::parse(&pin.version).map(|version| version.to_string());
            let version = version.as_deref().unwrap_or(&pin.version);
            // A local version is one that is not written, and may be what another wants.
            let is_excluded = |other: &&&Entry| {
                specifiers(other).is_some_and(|specifiers| {
                    let is_local = specifiers
                        .pin()
                        .is_some_and(|pin| pin.version.contains('+'));
                    !is_local && !specifiers.admit(version)
                })
            };
            if let Some(other) = all().find(is_excluded) {
                return Err(conflict(one, other));
            }
        }
        Ok(())
    }
}

fn conflict(one: &Entry, other: &Entry) -> Error {
    Error::Conflict {
        at: one.at.clone(),
        one: one.written.to_string(),
        other: other.written.to_string(),
        other_at: other.at.clone(),
    }
}

fn specifiers(entry: &Entry) -> Option<&Specifiers> {
    match &entry.what {
        What::Named { specifier, .. } => Some(specifier),
        What::Url { .. } | What::Path { .. } => None,
    }
}

/// Leaves the hashes that an entry allows, too; one without hashes allows all.
fn narrow(hashes: &mut Option<Vec<Hash>>, entry: &Entry) {
    let fragment = match &entry.what {
        What::Url { url, .. } => url.expanded().split_once('#').map(|(_, fragment)| fragment),
        What::Path { fragment, .. } => fragment.as_ref().map(Text::expanded),
        What::Named { .. } => None,
    };
    let fragment = fragment.into_iter().flat_map(|fragment| {
        let pairs = fragment.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter_map(|(algorithm, hex)| Hash::new(algorithm, hex))
    });
    let own: Vec<Hash> = entry
        .hashes
        .iter()
        .map(Hash::lower)
        .chain(fragment)
        .collect();
    if own.is_empty() {
        return;
    }
    *hashes = Some(match hashes.take() {
        Some(known) => known
            .into_iter()
            .filter(|hash| own.contains(hash))
            .collect(),
        None => own,
    });
}
