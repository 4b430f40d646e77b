//! What was decided, into the prefix.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::LockUse;
use super::decide::{Deciding, Decision};
use super::elsewhere::no_builder;
use super::watch::Watch;
use crate::cache::Why;
use crate::error::Result;
use crate::event::{Cancel, Event, Stage, counted};
use crate::fs;
use crate::index::{self, Wanted};
use crate::install::{self, Described, Installed, Installer, Placed};
use crate::layout::Layout;
use crate::pip::{self, Driver};
use crate::plan::{Asked, DecidedBy, Form, Item, Source};
use crate::requirements::{Name, same_version};
use crate::runner::{self, Session};
use crate::tree::{Node, Tree};
use crate::wheel::{Expected, Filename, Wheel};

/// A build whose requirements were read.
pub(super) struct Building<'a> {
    pub(super) deciding: Deciding<'a>,
    pub(super) layout: &'a Layout,
    /// What was damaged in the cache.
    pub(super) forgotten: BTreeSet<PathBuf>,
    pub(super) cancel: &'a Cancel,
}

/// What was put into the prefix, and how.
pub(super) struct Made {
    pub(super) installed: Installed,
    pub(super) installer: Installer,
    /// The distributions that were built from source, by name.
    pub(super) built: Vec<String>,
    /// What was decided; nothing is known of what pip installed by itself.
    pub(super) items: Vec<Item>,
}

/// What will be put into the prefix.
pub(super) enum Prepared {
    /// These wheels, the names of those that were built, and what was decided.
    Wheels(Vec<Placed>, Vec<String>, Vec<Item>),
    /// What pip does by itself.
    ByPip,
}

impl Building<'_> {
    /// Decides what is installed, and gets the wheels.
    pub(super) fn prepare(
        &self,
        mut session: Option<&mut (dyn Session + 'static)>,
        watch: &mut Watch<'_>,
    ) -> Result<Prepared> {
        if self.deciding.request.installer == Installer::Pip {
            if let LockUse::Beside { path, .. } = &self.deciding.request.lock
                && fs::exists(&self.deciding.request.cwd.join(path)).is_some()
            {
                (self.deciding.observe)(&Event::Warning(&format!(
                    "`{}` is not used: with `--installer pip`, pip resolves the requirements itself",
                    path.display()
                )));
            }
            return Ok(Prepared::ByPip);
        }
        let decision = self.deciding.decide(session.as_deref_mut(), true, watch)?;
        match decision {
            Decision::Items(items, by) => {
                watch.stage(Stage::Install, &counted(items.len(), "wheel"));
                self.wheels(items, by, session)
            }
            Decision::LeftToPip => {
                let version = self.deciding.driver.map_or("", Driver::version);
                (self.deciding.observe)(&Event::Note(&format!(
                    "pip {version} cannot say what it would install (23.0 and later can): it installs itself"
                )));
                Ok(Prepared::ByPip)
            }
        }
    }

    /// Installs what was prepared.
    pub(super) fn install(
        &self,
        prepared: Prepared,
        session: Option<&mut (dyn Session + 'static)>,
        watch: &mut Watch<'_>,
    ) -> Result<Made> {
        match prepared {
            Prepared::Wheels(placed, built, items) => {
                self.install_placed(placed, session, built, items)
            }
            Prepared::ByPip => {
                let (driver, session) = self.builder(session, "pip is to install itself")?;
                self.install_by_pip(driver, session, watch)
            }
        }
    }

    /// The builder, which something needs.
    fn builder<'s>(
        &self,
        session: Option<&'s mut (dyn Session + 'static)>,
        why: &str,
    ) -> Result<(&Driver<'_>, &'s mut (dyn Session + 'static))> {
        if let (Some(driver), Some(session)) = (self.deciding.driver, session) {
            Ok((driver, session))
        } else {
            let target = self.deciding.interpreter.target().to_string();
            Err(no_builder(self.deciding.request, target, why.to_owned()).into())
        }
    }

    /// The wheels of what was decided: those that are not here yet are fetched, and the others built by
    /// pip.
    fn wheels(
        &self,
        items: Vec<Item>,
        by: DecidedBy,
        session: Option<&mut (dyn Session + 'static)>,
    ) -> Result<Prepared> {
        let mut wheels = self.known(&items, session.as_deref());
        self.fetch(&items, &mut wheels, by)?;
        let missing: Vec<&Item> = items
            .iter()
            .zip(&wheels)
            .filter(|(_, wheel)| wheel.is_none())
            .map(|(item, _)| item)
            .collect();
        let mut built: Vec<String> = items
            .iter()
            .filter(|item| item.form == Form::Sdist)
            .map(|item| item.name.as_str().to_owned())
            .collect();
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|item| item.name.as_str()).collect();
            let why = format!("{} must be built", names.join(", "));
            let (driver, session) = self.builder(session, &why)?;
            let is_outside = |item: &&&Item| by == DecidedBy::Lock && !self.is_reached(item);
            if let Some(item) = missing.iter().find(is_outside) {
                return Err(pip::Error::Outside {
                    distribution: item.name.clone(),
                    url: item.url.clone(),
                }
                .into());
            }
            let mut got = self.by_pip(driver, session, &missing, &mut built)?;
            for (item, wheel) in items.iter().zip(&mut wheels) {
                if wheel.is_none() {
                    *wheel = got.remove(&item.name);
                }
            }
        }
        let mut placed = Vec::new();
        for (item, wheel) in items.iter().zip(wheels) {
            let wheel = wheel.ok_or_else(|| pip::Error::NoWheel {
                distribution: format!("{} {}", item.name, item.version),
            })?;
            wheel.admit(self.deciding.request.leniency)?;
            placed.push(Placed {
                wheel,
                requested: item.requested,
                direct_url: item.direct_url.clone(),
                bytecode: Vec::new(),
            });
        }
        Ok(Prepared::Wheels(placed, built, items))
    }

    /// The wheels that are here.
    fn known(
        &self,
        items: &[Item],
        session: Option<&(dyn Session + 'static)>,
    ) -> Vec<Option<Wheel>> {
        let Deciding {
            driver,
            requirements,
            store,
            observe,
            ..
        } = &self.deciding;
        let mut wheels = Vec::new();
        for item in items {
            let found = match (item.form, item.sha256(), driver, session) {
                (Form::Wheel, Some(digest), _, _) => store.get(&digest),
                (Form::Sdist, _, Some(driver), Some(session)) => {
                    match driver.built_key(session, requirements, item) {
                        Some(key) => store.built(&key),
                        None => Err(Why::Absent),
                    }
                }
                _ => Err(Why::Absent),
            };
            let why = found.as_ref().err().map(ToString::to_string);
            // What is fetched is told of when it is here.
            if item.form == Form::Sdist || found.is_ok() {
                observe(&Event::Wheel {
                    name: &format!("{} {}", item.name, item.version),
                    made: why.as_deref(),
                });
            }
            wheels.push(found.ok());
        }
        wheels
    }

    /// Fetches the wheels that an index has and that are not here.
    fn fetch(&self, items: &[Item], wheels: &mut [Option<Wheel>], by: DecidedBy) -> Result<()> {
        let Ok((index, _)) = &self.deciding.index else {
            return Ok(());
        };
        let missing: Vec<(&Item, &mut Option<Wheel>)> = items
            .iter()
            .zip(wheels)
            .filter(|(item, wheel)| {
                wheel.is_none() && item.form == Form::Wheel && self.is_reached(item)
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Wanted<'_>> = missing
            .iter()
            .map(|(item, _)| Wanted {
                filename: &item.filename,
                url: &item.url,
                hashes: &[],
                listed: &item.hashes,
                size: item.size,
            })
            .collect();
        let got = index.fetch(self.deciding.store, &wanted, self.deciding.observe);
        let got = got.map_err(|failed| failed.error)?;
        for ((item, wheel), got) in missing.into_iter().zip(got) {
            if by == DecidedBy::Requirements && got.facts.requires != item.requires {
                return Err(index::Error::Metadata {
                    url: item.url.clone(),
                    what: "it requires other distributions".to_owned(),
                }
                .into());
            }
            *wheel = Some(got);
        }
        Ok(())
    }

    /// Whether a wheel is where this machine can get it: a path may be the builder's.
    fn is_reached(&self, item: &Item) -> bool {
        let is_here = self.deciding.driver.is_none_or(Driver::is_here);
        is_here || !item.url.starts_with("file:")
    }

    /// Has pip get or build wheels.
    fn by_pip(
        &self,
        driver: &Driver<'_>,
        session: &mut dyn Session,
        missing: &[&Item],
        built: &mut Vec<String>,
    ) -> Result<BTreeMap<Name, Wheel>> {
        let Deciding {
            requirements,
            store,
            observe,
            ..
        } = &self.deciding;
        let about = format!("pip {}: {} to build", driver.version(), missing.len());
        observe(&Event::Stage(Stage::Install, &about));
        let (folder, outcome) = driver.wheels(session, requirements, missing, observe)?;
        built.extend(outcome.built);
        let got = self.take(&folder, missing)?;
        for item in missing {
            if let (Some(wheel), Some(key)) = (
                got.get(&item.name),
                driver.built_key(session, requirements, item),
            ) {
                store.keep_built(&key, wheel);
            }
        }
        Ok(got)
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
                    .store
                    .take(name, content, &Expected { sha256 });
                Some(taken.map(|(wheel, _)| (item.name.clone(), wheel)))
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(Into::into)
    }

    fn install_placed(
        &self,
        mut placed: Vec<Placed>,
        session: Option<&mut (dyn Session + 'static)>,
        built: Vec<String>,
        items: Vec<Item>,
    ) -> Result<Made> {
        for Placed { wheel, .. } in &placed {
            if let Some(marked) = &wheel.facts.marked {
                let distribution = &wheel.facts.distribution;
                (self.deciding.observe)(&Event::Warning(&format!("{distribution}: {marked}")));
            }
            if let Some(format) = &wheel.facts.newer_format {
                let distribution = &wheel.facts.distribution;
                (self.deciding.observe)(&Event::Warning(&format!(
                    "{distribution} is a wheel of format {format}, newer than the 1.0 that is known"
                )));
            }
        }
        if self.cancel.is_cancelled() {
            return Err(runner::Error::Cancelled.into());
        }
        if self.deciding.request.compile {
            let (_, session) = self.builder(session, "bytecode is made by the interpreter")?;
            let Deciding {
                store, interpreter, ..
            } = self.deciding;
            install::compile_wheels(session, store, &mut placed, interpreter, self.layout)?;
        }
        Ok(Made {
            installed: install::install_wheels(&placed, self.deciding.interpreter, self.layout)?,
            installer: Installer::Wheel,
            built,
            items,
        })
    }

    fn install_by_pip(
        &self,
        driver: &Driver<'_>,
        session: &mut dyn Session,
        watch: &mut Watch<'_>,
    ) -> Result<Made> {
        watch.stage(Stage::Install, &format!("pip {}", driver.version()));
        let outcome = driver.install(session, self.deciding.requirements, self.deciding.observe)?;
        watch.stage(Stage::Collect, &self.layout.dest);
        if self.deciding.request.compile {
            install::compile(session, pip::prefix(), self.layout)?;
        }
        let root = session.locate(pip::prefix());
        let prefix = session.get(pip::prefix())?;
        let interpreter = self.deciding.interpreter;
        let installed = install::install_prefix(prefix, &root, interpreter, self.layout)?;
        let items = self.items(driver, &installed.described)?;
        Ok(Made {
            installed,
            installer: Installer::Pip,
            built: outcome.built,
            items,
        })
    }

    /// What pip installed, as far as it tells who wants what.
    fn items(&self, driver: &Driver<'_>, described: &[Described]) -> Result<Vec<Item>> {
        let (requirements, markers) = (
            self.deciding.requirements,
            &self.deciding.interpreter.markers,
        );
        let asked = Asked::new(requirements, driver.is_on("no-deps"), markers)?;
        let items = described.iter().map(|one| {
            let name = Name::new(&one.distribution.name);
            let extras = asked.extras(&name);
            Item {
                version: one.distribution.version.clone(),
                requested: extras.is_some(),
                extras: extras.unwrap_or_default(),
                name,
                source: Source::Index,
                form: Form::Wheel,
                url: String::new(),
                filename: String::new(),
                hashes: Vec::new(),
                size: None,
                direct_url: None,
                requires: one.requires.clone(),
                requires_python: one.requires_python.clone(),
                required_by: Vec::new(),
            }
        });
        Ok(items.collect())
    }

    /// Says that what is kept at `path` is damaged; whether that is news.
    pub(super) fn forget(&mut self, path: &Path) -> bool {
        let text = format!(
            "`{}` was damaged in the cache and is made anew",
            path.display()
        );
        (self.deciding.observe)(&Event::Warning(&text));
        self.forgotten.insert(path.to_path_buf())
    }
}
