//! Requirements that leave nothing open: each is pinned or leads to a file, and all that they need is
//! among them. Then there is one answer, and pip would find the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::event::{Event, Observer};
use crate::index::{self, File, Found, Index, Project, Wanted};
use crate::interpreter::Interpreter;
use crate::plan::{Asked, Form, Item, Metadata, Place, Source, python_json, sort};
use crate::requirements::{Hash, Name, Requirements, Version, file_name, hide_credentials};
use crate::wheel::{Headers, Store};

use super::choose::{Candidate, Criteria, Fit, choose, why_no_wheel};
use super::closure::{self, Unmet};
use super::pins::{Pin, pins};
use super::{Error, Outcome, Refused, Rules};

/// All that the answer follows from.
#[derive(Debug)]
pub struct Locked<'a> {
    /// The requirements.
    pub requirements: &'a Requirements,
    /// The interpreter that they are for.
    pub interpreter: &'a Interpreter,
    /// pip's options.
    pub rules: &'a Rules,
    /// Where files are looked for.
    pub index: &'a Index<'a>,
    /// The wheels that are here.
    pub store: &'a Store<'a>,
    /// The version of the pip in whose order is installed, if there is one.
    pub pip: Option<&'a str>,
    /// Whether all wheels are fetched, or only those whose metadata cannot be had without.
    pub fetch: bool,
}

/// A file that was chosen for a pin.
struct Chosen<'a> {
    pin: &'a Pin<'a>,
    file: File,
    source: Source,
}

/// What the metadata of a distribution says.
struct DistributionMetadata {
    version: String,
    digest: Option<Digest>,
    requires: Vec<String>,
    requires_python: Option<String>,
}

impl<'a> Locked<'a> {
    /// Answers from the requirements and the indexes, in pip's order of installation.
    pub fn answer(&self, observe: &Observer<'_>) -> Result<Outcome<Vec<Item>>, Error> {
        let environment = &self.interpreter.markers;
        let pins = match pins(self.requirements, environment, self.rules.require_hashes)? {
            Outcome::Decided(pins) => pins,
            Outcome::Open(why) => return Ok(Outcome::Open(why)),
        };
        let fit = Fit::new(self.interpreter, self.rules.ignore_requires_python);
        let files = self.files(&pins)?;
        let mut chosen = Vec::new();
        for pin in &pins {
            if let Some(url) = &pin.direct {
                chosen.push(direct(pin, url));
                continue;
            }
            let found = files.get(&pin.name).map(Vec::as_slice).unwrap_or_default();
            let Some(one) = self.choose(pin, found, &fit, observe)? else {
                let at = &pin.entries[0].at;
                return Ok(Outcome::open(format!(
                    "{at}: `{}` must be built from source",
                    pin.name
                )));
            };
            chosen.push(one);
        }
        let said = self.metadata(&chosen, observe)?;
        let mut items = Vec::new();
        for (chosen, said) in chosen.into_iter().zip(said) {
            let item = item(chosen.pin, chosen.file, chosen.source, said);
            self.check(chosen.pin, &item, &fit)?;
            items.push(item);
        }
        if !self.rules.no_deps
            && let Some(unmet) = closure::unmet(&items, environment)
        {
            return open(&pins, &unmet);
        }
        let asked = Asked::new(self.requirements, self.rules.no_deps, environment)?;
        sort(&mut items, &asked, self.pip);
        Ok(Outcome::Decided(items))
    }

    /// The files that there are of each project.
    fn files(&self, pins: &[Pin<'a>]) -> Result<BTreeMap<Name, Vec<Found>>, Error> {
        let named: Vec<&Pin<'a>> = pins.iter().filter(|pin| pin.direct.is_none()).collect();
        // If all files that the pin lets through are on a page that was kept, whatever came later
        // does not matter.
        let projects: Vec<Project<'_>> = named
            .iter()
            .map(|pin| Project {
                name: &pin.name,
                suffices: Box::new(|files| {
                    let on_page = |hash: &Hash| files.iter().any(|file| file.hashes.contains(hash));
                    pin.hashes
                        .as_ref()
                        .is_some_and(|hashes| hashes.iter().all(on_page))
                }),
            })
            .collect();
        let found = self.index.files(&projects);
        let found = found.map_err(|failed| unavailable(named[failed.about], failed.error))?;
        Ok(found
            .into_iter()
            .map(|(name, files)| (name.clone(), files))
            .collect())
    }

    /// The file for a pin; `None` if a builder must build it.
    fn choose<'p>(
        &self,
        pin: &'p Pin<'p>,
        files: &[Found],
        fit: &Fit<'_>,
        observe: &Observer<'_>,
    ) -> Result<Option<Chosen<'p>>, Error> {
        let wish = Criteria {
            name: &pin.name,
            admits: &|version| pin.admits(version),
            is_pinned: true,
            hashes: pin.hashes.as_deref(),
            forms: self.rules.formats.of(&pin.name),
            prefers_wheels: self.rules.prefer_binary,
        };
        let refused = |reason| Error::Refused {
            at: pin.entries[0].at.clone(),
            wish: pin.entries[0].written.to_string(),
            target: self.interpreter.target().to_string(),
            reason: Box::new(reason),
        };
        let best = choose(files, &wish, fit).map_err(refused)?;
        if best.form == Form::Sdist {
            if self.pip.is_some() {
                return Ok(None);
            }
            return Err(Error::NoWheel {
                at: pin.entries[0].at.clone(),
                wish: pin.entries[0].written.to_string(),
                target: self.interpreter.target().to_string(),
                misfit: why_no_wheel(files, &pin.name, &best.version, fit).map(Box::new),
            });
        }
        warn(pin, &best, files, observe);
        Ok(Some(Chosen {
            pin,
            file: best.found.file.clone(),
            source: Source::Index,
        }))
    }

    /// What the chosen files say of themselves.
    fn metadata(
        &self,
        chosen: &[Chosen<'_>],
        observe: &Observer<'_>,
    ) -> Result<Vec<DistributionMetadata>, Error> {
        let mut said: Vec<Option<DistributionMetadata>> = Vec::new();
        for one in chosen {
            said.push(if self.fetch || one.needs_the_wheel() {
                None
            } else {
                self.served(one)?
            });
        }
        let wanted: Vec<Wanted<'_>> = chosen
            .iter()
            .zip(&said)
            .filter(|(_, said)| said.is_none())
            .map(|(one, _)| Wanted {
                filename: &one.file.name,
                url: &one.file.url,
                hashes: one.pin.hashes.as_deref().unwrap_or_default(),
                listed: &one.file.hashes,
                size: one.file.size,
            })
            .collect();
        let wheels = self.index.fetch(self.store, &wanted, observe);
        let wheels = wheels.map_err(|failed| {
            let url = wanted[failed.about].url;
            let mut of_url = chosen.iter().filter(|one| one.file.url == url);
            unavailable(
                of_url.next().map_or(chosen[0].pin, |one| one.pin),
                failed.error,
            )
        })?;
        let mut wheels = wheels.into_iter();
        let said = said.into_iter().map(|said| {
            said.or_else(|| {
                let wheel = wheels.next()?;
                Some(DistributionMetadata {
                    version: wheel.facts.distribution.version.clone(),
                    digest: Some(wheel.digest),
                    requires: wheel.facts.requires,
                    requires_python: wheel.facts.requires_python,
                })
            })
        });
        Ok(said.flatten().collect())
    }

    /// The metadata of a wheel that is here, or that its index serves as a file of its own.
    fn served(&self, chosen: &Chosen<'_>) -> Result<Option<DistributionMetadata>, Error> {
        let digest = chosen.file.hashes.iter().find_map(Hash::sha256);
        if let Some(wheel) = digest.and_then(|digest| self.store.get(&digest).ok()) {
            return Ok(Some(DistributionMetadata {
                version: wheel.facts.distribution.version,
                digest: Some(wheel.digest),
                requires: wheel.facts.requires,
                requires_python: wheel.facts.requires_python,
            }));
        }
        let text = self.index.metadata(&chosen.file);
        let Some(text) = text.map_err(|error| unavailable(chosen.pin, error))? else {
            return Ok(None);
        };
        let headers = Headers::read(&text);
        let name = headers.first("Name").unwrap_or_default();
        if Name::new(name) != chosen.pin.name {
            let error = index::Error::Metadata {
                url: hide_credentials(&chosen.file.url),
                what: format!("its name is `{name}`"),
            };
            return Err(unavailable(chosen.pin, error));
        }
        Ok(Some(DistributionMetadata {
            version: headers.first("Version").unwrap_or_default().to_owned(),
            digest: None,
            requires: headers.all("Requires-Dist").map(str::to_owned).collect(),
            requires_python: headers.first("Requires-Python").map(str::to_owned),
        }))
    }

    /// Holds what the metadata says against the requirements.
    fn check(&self, pin: &Pin<'_>, item: &Item, fit: &Fit<'_>) -> Result<(), Error> {
        let entry = pin.entries[0];
        let distribution = format!("{} {}", item.name, item.version);
        if !fit.admits_python(item.requires_python.as_deref()) {
            return Err(Error::Python {
                at: entry.at.clone(),
                distribution,
                requires: item.requires_python.clone().unwrap_or_default(),
                python: self.interpreter.markers.python_full_version.clone(),
            });
        }
        let version = Version::parse(&item.version).map(|version| version.to_string());
        if !pin.admits(version.as_deref().unwrap_or(&item.version)) {
            return Err(Error::Other {
                at: entry.at.clone(),
                requirement: entry.written.to_string(),
                found: distribution,
            });
        }
        if !item.is_direct() {
            return Ok(());
        }
        // An index was not asked for it, so its tags were not looked at.
        let refused = |reason| Error::Refused {
            at: entry.at.clone(),
            wish: entry.written.to_string(),
            target: self.interpreter.target().to_string(),
            reason: Box::new(reason),
        };
        let Ok(filename) = crate::wheel::Filename::parse(&item.filename) else {
            return Ok(());
        };
        if filename.name != pin.name.as_str() {
            return Err(Error::Other {
                at: entry.at.clone(),
                requirement: entry.written.to_string(),
                found: distribution,
            });
        }
        match fit.rank(&filename) {
            Some(_) => Ok(()),
            None => match fit.misfit(std::iter::once(&filename)) {
                Some(misfit) => Err(refused(Refused::Tags(misfit))),
                None => Ok(()),
            },
        }
    }
}

impl Chosen<'_> {
    /// Whether only the file itself tells whether it is the right one.
    fn needs_the_wheel(&self) -> bool {
        let sha256 = self.file.hashes.iter().find(|hash| hash.sha256().is_some());
        let allowed = |hash: &Hash| {
            let hashes = self.pin.hashes.as_ref();
            hashes.is_none_or(|hashes| hashes.contains(hash))
        };
        !sha256.is_some_and(allowed)
    }
}

fn unavailable(pin: &Pin<'_>, source: index::Error) -> Error {
    Error::Unavailable {
        at: pin.entries[0].at.clone(),
        wish: pin.entries[0].written.to_string(),
        source: Box::new(source),
    }
}

/// The file that a requirement names by its URL.
fn direct<'a>(pin: &'a Pin<'a>, url: &str) -> Chosen<'a> {
    let plain = url.split('#').next().unwrap_or_default();
    Chosen {
        pin,
        file: File {
            name: file_name(plain),
            url: plain.to_owned(),
            hashes: Vec::new(),
            requires_python: None,
            yanked: None,
            size: None,
            metadata: None,
        },
        source: Source::Archive,
    }
}

fn item(pin: &Pin<'_>, file: File, source: Source, said: DistributionMetadata) -> Item {
    let DistributionMetadata {
        version,
        digest,
        requires,
        requires_python,
    } = said;
    let mut hashes = file.hashes;
    if let Some(digest) = digest
        && !hashes.iter().any(|hash| hash.sha256() == Some(digest))
    {
        hashes.extend(Hash::new("sha256", &digest.hex()));
    }
    let url = hide_credentials(&file.url);
    let direct_url = (source != Source::Index).then(|| {
        let sha256 = digest.map(|digest| digest.hex()).unwrap_or_default();
        python_json(&serde_json::json!({
            "url": url,
            "archive_info": {
                "hash": format!("sha256={sha256}"),
                "hashes": { "sha256": sha256 },
            },
        }))
    });
    Item {
        name: pin.name.clone(),
        version,
        requested: true,
        extras: pin
            .entries
            .iter()
            .flat_map(|entry| entry.extras.iter().cloned())
            .collect(),
        source,
        form: Form::Wheel,
        url,
        filename: file.name,
        hashes,
        size: file.size,
        direct_url,
        requires,
        requires_python,
        required_by: Vec::new(),
        metadata: Metadata::Binding,
        place: Place::Here,
    }
}

/// Tells of a file that was yanked, and of a name that two indexes have.
fn warn(pin: &Pin<'_>, best: &Candidate<'_>, files: &[Found], observe: &Observer<'_>) {
    let at = &pin.entries[0].at;
    if let Some(reason) = &best.found.file.yanked {
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        let (name, version) = (&pin.name, &best.version);
        observe(&Event::Warning(&format!(
            "{at}: {name} {version} was yanked by its authors{because}"
        )));
    }
    // A hash says whose file it is.
    if pin.hashes.is_some() {
        return;
    }
    let sources: BTreeSet<&str> = files
        .iter()
        .filter(|found| !found.file.url.starts_with("file:"))
        .map(|found| found.source.as_str())
        .collect();
    if sources.len() > 1 {
        let all: Vec<_> = sources.into_iter().map(|url| format!("`{url}`")).collect();
        observe(&Event::Warning(&format!(
            "{at}: {} have a project `{}`; prebuild uses `{}`. Anybody can register a name on a public index: pass --index-strategy first-index, or add a hash",
            all.join(" and "),
            pin.name,
            best.found.source,
        )));
    }
}

/// What a dependency that is not met means: with hashes, that the lock is wrong; without, that it
/// is none.
fn open(pins: &[Pin<'_>], unmet: &Unmet) -> Result<Outcome<Vec<Item>>, Error> {
    let Unmet {
        chain,
        requires,
        has,
        is_odd,
    } = unmet;
    let is_hashed = pins.iter().any(|pin| pin.hashes.is_some());
    let names: Vec<_> = chain.iter().map(Name::as_str).collect();
    let names = names.join(" → ");
    if *is_odd || has.is_none() && !is_hashed {
        return Ok(Outcome::open(format!("{names} requires `{requires}`")));
    }
    let first = chain
        .first()
        .and_then(|name| pins.iter().find(|pin| pin.name == *name));
    let Some(at) = first.map(|pin| pin.entries[0].at.clone()) else {
        return Ok(Outcome::open(format!("{names} requires `{requires}`")));
    };
    let (chain, requires) = (names, requires.clone());
    Err(match has.clone() {
        None => Error::Open {
            at,
            chain,
            requires,
        },
        Some(has) => Error::Unmet {
            at,
            chain,
            requires,
            has,
        },
    })
}
