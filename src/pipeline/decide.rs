//! What will be installed: from the requirements where they say it all, else from pip.

use std::collections::BTreeSet;

use super::{LockUse, Request};
use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{Event, Observer, Stage};
use crate::fs;
use crate::index::Index;
use crate::interpreter::Interpreter;
use crate::lock::{Lock, Recorded};
use crate::pip::{self, Driver, Kept, Settings};
use crate::plan::{Asked, DecidedBy, Item, sort};
use crate::requirements::{Context, Input, Requirements};
use crate::resolve::{self, Answer, Locked, Rules};
use crate::runner::Session;
use crate::tree::Node;
use crate::wheel::{Filename, Store};

use super::watch::Watch;

/// What a decision follows from.
pub(super) struct Deciding<'a> {
    pub(super) request: &'a Request,
    /// The builder's pip; none for a target that no builder is.
    pub(super) driver: Option<&'a Driver<'a>>,
    pub(super) settings: &'a Settings,
    pub(super) interpreter: &'a Interpreter,
    pub(super) requirements: &'a Requirements,
    pub(super) cache: &'a Cache,
    pub(super) store: &'a Store<'a>,
    /// The indexes, and pip's rules; or why only pip can ask them.
    pub(super) index: std::result::Result<(Index<'a>, Rules), String>,
    pub(super) observe: &'a Observer<'a>,
}

/// What was decided, if it was not left to pip to decide and install in one.
pub(super) enum Decision {
    Items(Vec<Item>, DecidedBy),
    /// pip is too old to say what it would install.
    LeftToPip,
}

impl Deciding<'_> {
    /// Decides; `fetch` tells whether the wheels are needed afterwards.
    pub(super) fn decide(
        &self,
        session: Option<&mut (dyn Session + 'static)>,
        fetch: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Decision> {
        if let Some(items) = self.by_lock()? {
            return Ok(Decision::Items(items, DecidedBy::Lock));
        }
        let key = self.settings.settled_key(
            &self.request.pip,
            self.interpreter,
            self.pip(),
            self.requirements,
        )?;
        if let Some(key) = &key
            && let Ok(kept) = Kept::get(self.cache, key)
        {
            let by = if kept.by_pip {
                DecidedBy::Pip
            } else {
                DecidedBy::Requirements
            };
            return Ok(Decision::Items(kept.items, by));
        }
        let why = match &self.index {
            Ok((index, rules)) => {
                let locked = Locked {
                    requirements: self.requirements,
                    interpreter: self.interpreter,
                    rules,
                    index,
                    store: self.store,
                    pip: self.pip(),
                    fetch,
                };
                match locked.answer(self.observe)? {
                    Answer::Items(items) => {
                        let kept = Kept {
                            items,
                            by_pip: false,
                        };
                        return Ok(Decision::Items(
                            kept.keep(self.cache, key.as_ref()),
                            DecidedBy::Requirements,
                        ));
                    }
                    Answer::Open(why) => why,
                }
            }
            Err(why) => why.clone(),
        };
        let (Some(driver), Some(session)) = (self.driver, session) else {
            return Err(resolve::Error::NoBuilder {
                target: self.interpreter.target().to_string(),
                why,
            }
            .into());
        };
        if self.request.pip.offline && !driver.is_on("no-index") {
            return Err(resolve::Error::Offline { why }.into());
        }
        let can_resolve = driver.can_resolve();
        if !can_resolve && fetch {
            return Ok(Decision::LeftToPip);
        }
        (self.observe)(&Event::Asking(&why));
        watch.stage(Stage::Resolve, &format!("pip {}: {why}", driver.version()));
        let items = if can_resolve {
            match driver.resolve(session, self.requirements, self.observe) {
                Ok(resolution) => resolution.items,
                // It ran, and says nothing of use.
                Err(pip::Error::Report(_)) => self.by_download(driver, session)?,
                Err(error) => return Err(error.into()),
            }
        } else {
            self.by_download(driver, session)?
        };
        let kept = Kept {
            items,
            by_pip: true,
        };
        Ok(Decision::Items(
            kept.keep(self.cache, key.as_ref()),
            DecidedBy::Pip,
        ))
    }

    /// Requirements that are made here.
    fn pins(&self, pins: String) -> Result<Requirements> {
        let context = Context {
            env: &self.request.pip.env,
            cwd: &self.request.cwd,
        };
        Ok(Requirements::read(
            &[Input::Stdin(pins.into_bytes())],
            &[],
            &context,
        )?)
    }

    /// What a pip would install that cannot say so: what it downloads, found again on the indexes.
    fn by_download(&self, driver: &Driver<'_>, session: &mut dyn Session) -> Result<Vec<Item>> {
        let cannot = || pip::Error::CannotSay(driver.version().to_owned());
        let (index, rules) = self.index.as_ref().map_err(|_| cannot())?;
        let folder = driver.download(session, self.requirements, self.observe)?;
        let mut pins = String::new();
        for (path, entry) in folder.iter() {
            let Node::File { content, .. } = &entry.node else {
                continue;
            };
            let filename = Filename::parse(path.as_str()).map_err(|_| cannot())?;
            let digest = Digest::of(&content.read()?);
            let Filename { name, version, .. } = filename;
            pins.push_str(&format!("{name}=={version} --hash={digest}\n"));
        }
        let pins = self.pins(pins)?;
        let locked = Locked {
            requirements: &pins,
            interpreter: self.interpreter,
            rules,
            index,
            store: self.store,
            pip: self.pip(),
            fetch: false,
        };
        let Answer::Items(mut items) = locked.answer(self.observe)? else {
            return Err(cannot().into());
        };
        let environment = &self.interpreter.markers;
        let asked = Asked::new(self.requirements, rules.no_deps, environment)?;
        for item in &mut items {
            let extras = asked.extras(&item.name);
            item.requested = extras.is_some();
            item.extras = extras.unwrap_or_default();
        }
        sort(&mut items, &asked, self.pip());
        Ok(items)
    }

    /// What a lock file says, if there is one that counts.
    fn by_lock(&self) -> Result<Option<Vec<Item>>> {
        let none = BTreeSet::new();
        let (path, extras, groups) = match &self.request.lock {
            LockUse::Never => return Ok(None),
            LockUse::Input {
                path,
                extras,
                groups,
            } => (path, extras, groups),
            LockUse::Beside { path, .. } => (path, &none, &none),
        };
        let cwd = &self.request.cwd;
        if let LockUse::Beside { required, .. } = &self.request.lock {
            let why = match fs::exists(&cwd.join(path)) {
                None if !required => return Ok(None),
                None => vec!["it is not there".to_owned()],
                Some(_) => match Lock::read(path, cwd) {
                    Err(error) if *required => return Err(error.into()),
                    Err(error) => vec![error.to_string()],
                    Ok(lock) => match &lock.recorded {
                        None => vec!["prebuild did not write it".to_owned()],
                        Some(recorded) => recorded.changes(&self.recorded(&[])),
                    },
                },
            };
            if !why.is_empty() && *required {
                return Err(Error::Stale {
                    file: path.clone(),
                    why,
                });
            }
            if !why.is_empty() {
                let (file, why) = (path.display(), why.join("; "));
                (self.observe)(&Event::Note(&format!("`{file}` is not used: {why}")));
                return Ok(None);
            }
        }
        let lock = Lock::read(path, cwd)?;
        for warning in &lock.warnings {
            (self.observe)(&Event::Warning(warning));
        }
        if let Ok((index, _)) = &self.index {
            for url in lock.urls() {
                index.learn(url);
            }
        }
        Ok(Some(lock.items(self.interpreter, extras, groups)?))
    }

    /// What a lock of these items would follow from.
    pub(super) fn recorded(&self, items: &[Item]) -> Recorded {
        let mut options = self.settings.locked(self.request.pip.strategy);
        for input in &self.request.inputs {
            if let Input::Project { extras, groups, .. } = input {
                options.extend(extras.iter().map(|name| format!("extra = {name}")));
                options.extend(groups.iter().map(|name| format!("group = {name}")));
            }
        }
        let (target, files) = (self.interpreter.target(), self.requirements.files());
        Recorded::new(&target, files, options, items)
    }

    /// The version of the builder's pip.
    fn pip(&self) -> Option<&str> {
        self.driver.map(Driver::version)
    }
}
