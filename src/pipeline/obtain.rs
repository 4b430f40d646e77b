//! The plan's distributions, each with its wheel.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::LockUse;
use super::decide::Basis;
use super::install::Building;
use super::open::Builder;
use super::watch::Watch;
use crate::cache::MissReason;
use crate::error::{Error, Result};
use crate::event::{Event, Stage, counted};
use crate::fs;
use crate::index::{self, Wanted};
use crate::install::Installer;
use crate::piece::{Origin, Piece};
use crate::pip::{self, Driver, Kept as Decision};
use crate::plan::{Form, Item, Metadata, Place};
use crate::requirements::{Name, same_version};
use crate::resolve::Outcome;
use crate::runner::Session;
use crate::tree::{Node, Tree};
use crate::wheel::{Expected, Filename, Wheel};

/// What will be installed.
pub(super) enum Obtained {
    /// These distributions, each with its wheel.
    Pieces(Vec<Piece>),
    /// Whatever pip installs by itself.
    ByPip,
}

impl Building<'_> {
    /// Decides what is installed, and obtains the wheels: from the cache, from indexes, and from pip, which
    /// builds the rest.
    pub(super) fn obtain(
        &self,
        mut builder: Builder<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Obtained> {
        if self.deciding.request.how.installer == Installer::Pip {
            if matches!(self.deciding.basis, Basis::Plan(_)) {
                return Err(Error::OtherPlan("pip installs by itself".to_owned()));
            }
            let what = self.deciding.request.what;
            if let Some(LockUse { file, .. }) = &what.lock
                && fs::exists(&what.cwd.join(file)).is_some()
            {
                (self.deciding.observe)(&Event::Warning(&format!(
                    "`{}` is ignored: with `--installer pip`, pip resolves the requirements itself",
                    file.display()
                )));
            }
            return Ok(Obtained::ByPip);
        }
        match self.deciding.decide(builder.as_deref_mut(), true, watch)? {
            Outcome::Decided(Decision { items, .. }) => {
                watch.stage(Stage::Install, &counted(items.len(), "wheel"));
                let mut pieces = self.cached(items, builder.as_deref());
                self.download(&mut pieces)?;
                self.have_built(&mut pieces, builder)?;
                self.admit(&pieces)?;
                self.name_requirers(&mut pieces)?;
                Ok(Obtained::Pieces(pieces))
            }
            Outcome::Open(_) => {
                let version = self
                    .deciding
                    .means
                    .driver
                    .as_ref()
                    .map_or("", Driver::version);
                (self.deciding.observe)(&Event::Note(&format!(
                    "pip {version} cannot report its resolution (23.0 and later can): pip installs the requirements itself"
                )));
                Ok(Obtained::ByPip)
            }
        }
    }

    /// The distributions, with the wheels that the cache holds.
    fn cached(&self, items: Vec<Item>, session: Option<&(dyn Session + 'static)>) -> Vec<Piece> {
        let (means, observe) = (self.deciding.means, self.deciding.observe);
        let (driver, store) = (&means.driver, &means.store);
        let requirements = &self.deciding.opened.requirements;
        let mut pieces = Vec::with_capacity(items.len());
        for item in items {
            let found = match (item.form, item.sha256(), driver, session) {
                (Form::Wheel, Some(digest), _, _) => store.get(&digest),
                (Form::Sdist, _, Some(driver), Some(session)) => {
                    match driver.built_key(session, requirements, &item) {
                        Some(key) => store.built(&key),
                        None => Err(MissReason::Absent),
                    }
                }
                _ => Err(MissReason::Absent),
            };
            let why = found.as_ref().err().map(ToString::to_string);
            // A wheel that is downloaded is reported when it has arrived.
            if item.form == Form::Sdist || found.is_ok() {
                observe(&Event::Wheel {
                    name: &format!("{} {}", item.name, item.version),
                    made: why.as_deref(),
                });
            }
            let piece = Piece::new(item);
            pieces.push(match found {
                Ok(wheel) => piece.with(wheel),
                Err(_) => piece,
            });
        }
        pieces
    }

    /// Downloads the wheels that an index holds and the cache does not.
    fn download(&self, pieces: &mut [Piece]) -> Result<()> {
        let Outcome::Decided(index) = &self.deciding.index else {
            return Ok(());
        };
        let is_wanted = |piece: &&mut Piece| {
            let is_wheel = piece.item.form == Form::Wheel;
            piece.wheel.is_none() && is_wheel && !piece.item.is_file_of(Place::Builder)
        };
        let missing: Vec<&mut Piece> = pieces.iter_mut().filter(is_wanted).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Wanted<'_>> = missing
            .iter()
            .map(|Piece { item, .. }| Wanted {
                filename: &item.filename,
                url: &item.url,
                hashes: &[],
                listed: &item.hashes,
                size: item.size,
            })
            .collect();
        let got = index.fetch(&self.deciding.means.store, &wanted, self.deciding.observe);
        let got = got.map_err(|failed| failed.error)?;
        for (piece, wheel) in missing.into_iter().zip(got) {
            let is_binding = piece.item.metadata == Metadata::Binding;
            if is_binding && wheel.facts.requires != piece.item.requires {
                return Err(index::Error::Metadata {
                    url: piece.item.url.clone(),
                    what: "it requires other distributions".to_owned(),
                }
                .into());
            }
            piece.attach(wheel);
        }
        Ok(())
    }

    /// Has pip get or build the wheels that are still missing.
    fn have_built(&self, pieces: &mut [Piece], builder: Builder<'_>) -> Result<()> {
        let missing = pieces.iter().filter(|piece| piece.wheel.is_none());
        let missing: Vec<&Item> = missing.map(|piece| &piece.item).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = missing.iter().map(|item| item.name.as_str()).collect();
        let why = format!("{} must be built from source", names.join(", "));
        let (driver, session) = self.builder(builder, &why)?;
        let is_outside = |item: &&&Item| item.is_file_of(Place::Here) && !driver.is_here();
        if let Some(item) = missing.iter().find(is_outside) {
            return Err(pip::Error::Outside {
                distribution: item.name.clone(),
                url: item.url.clone(),
            }
            .into());
        }
        let (mut wheels, built) = self.by_pip(driver, session, &missing)?;
        for piece in pieces.iter_mut().filter(|piece| piece.wheel.is_none()) {
            if built.iter().any(|name| name == piece.item.name.as_str()) {
                piece.origin = Origin::Built;
            }
            if let Some(wheel) = wheels.remove(&piece.item.name) {
                piece.attach(wheel);
            }
        }
        Ok(())
    }

    /// Has pip get or build wheels. Returns them, and the names of the distributions that it built.
    fn by_pip(
        &self,
        driver: &Driver<'_>,
        session: &mut dyn Session,
        missing: &[&Item],
    ) -> Result<(BTreeMap<Name, Wheel>, Vec<String>)> {
        let (store, observe) = (&self.deciding.means.store, self.deciding.observe);
        let requirements = &self.deciding.opened.requirements;
        let about = format!("pip {}: {} to build", driver.version(), missing.len());
        observe(&Event::Stage(Stage::Install, &about));
        let (folder, outcome) = driver.wheels(session, requirements, missing, observe)?;
        let got = self.take(&folder, missing)?;
        for item in missing {
            if let (Some(wheel), Some(key)) = (
                got.get(&item.name),
                driver.built_key(session, requirements, item),
            ) {
                store.keep_built(&key, wheel);
            }
        }
        Ok((got, outcome.built))
    }

    /// Takes the wheels that pip got out of a folder into the store, by the names of their
    /// distributions.
    fn take(&self, folder: &Tree, missing: &[&Item]) -> Result<BTreeMap<Name, Wheel>> {
        let files: Vec<_> = folder
            .iter()
            .filter_map(|(path, entry)| match &entry.node {
                Node::File { content, .. } => Some((path.as_str(), content)),
                _ => None,
            })
            .collect();
        files
            .into_par_iter()
            .filter_map(|(name, content)| {
                let filename = Filename::parse(name).ok()?;
                let item = missing.iter().find(|item| {
                    // A lock does not say which version sources have.
                    let is_version =
                        item.version.is_empty() || same_version(&item.version, &filename.version);
                    item.name.as_str() == filename.name && is_version
                })?;
                // What was built has no hash to be held against.
                let sha256 = match item.form {
                    Form::Wheel => item.sha256().into_iter().collect(),
                    Form::Sdist => Vec::new(),
                };
                let taken = self
                    .deciding
                    .means
                    .store
                    .take(name, content, &Expected { sha256 });
                Some(taken.map(|(wheel, _)| (item.name.clone(), wheel)))
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(Into::into)
    }

    /// Whether every distribution has a wheel that may be installed.
    fn admit(&self, pieces: &[Piece]) -> Result<()> {
        for Piece { item, wheel, .. } in pieces {
            let wheel = wheel.as_ref().ok_or_else(|| pip::Error::NoWheel {
                distribution: format!("{} {}", item.name, item.version),
            })?;
            wheel.admit(self.deciding.request.how.leniency)?;
            if let Some(marked) = &wheel.facts.marked {
                let distribution = &wheel.facts.distribution;
                (self.deciding.observe)(&Event::Warning(&format!("{distribution}: {marked}")));
            }
            if let Some(format) = &wheel.facts.newer_format {
                let distribution = &wheel.facts.distribution;
                (self.deciding.observe)(&Event::Warning(&format!(
                    "{distribution} is a wheel of format {format}, newer than the supported 1.0"
                )));
            }
        }
        Ok(())
    }
}
