//! What will be installed: from the requirements where they say it all, else from pip.

use std::collections::BTreeSet;
use std::path::Path;

use super::{LockUse, Request};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{Cancel, Event, Observer, Stage};
use crate::fs;
use crate::index::{Index, Strategy};
use crate::lock::{Current, Known, Lock, LockedFor, Recorded};
use crate::pip::{self, Driver, Kept};
use crate::plan::{Asked, DecidedBy, Form, Item, Source, sort};
use crate::requirements::{Applies, Entry, Hash, Location, Name, Requirements, What};
use crate::resolve::{self, Answer, Locked, Rules};
use crate::runner::Session;
use crate::tree::Node;
use crate::wheel::Filename;

use super::elsewhere::no_builder;
use super::open::{Means, Opened};
use super::watch::Watch;

/// What a decision follows from.
pub(super) struct Deciding<'a> {
    pub(super) request: &'a Request,
    pub(super) opened: &'a Opened,
    pub(super) means: &'a Means<'a>,
    /// The lock file that is to be written again.
    pub(super) known: Option<Known<'a>>,
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

/// What a lock file says.
enum ByLock {
    /// What will be installed.
    Items(Vec<Item>),
    /// Nothing that could be relied on: its versions are preferred.
    OutOfDate(Box<Lock>),
    /// There is none.
    None,
}

/// How often versions of a lock file give way before all of them do.
const ROUNDS: usize = 8;

impl<'a> Deciding<'a> {
    pub(super) fn new(
        request: &'a Request,
        opened: &'a Opened,
        means: &'a Means<'a>,
        known: Option<Known<'a>>,
        observe: &'a Observer<'a>,
        cancel: &'a Cancel,
    ) -> Result<Self> {
        Ok(Self {
            request,
            opened,
            means,
            known,
            index: means.index(opened, cancel)?,
            observe,
        })
    }
}

impl Deciding<'_> {
    /// Decides; `fetch` tells whether the wheels are needed afterwards.
    pub(super) fn decide(
        &self,
        session: Option<&mut (dyn Session + 'static)>,
        fetch: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Decision> {
        if let Some(known) = self.known {
            return self.keeping(known, session, fetch, watch);
        }
        match self.by_lock()? {
            ByLock::Items(items) => Ok(Decision::Items(items, DecidedBy::Lock)),
            ByLock::OutOfDate(lock) => self.keeping(Known::kept(&lock), session, fetch, watch),
            ByLock::None => self.resolve(&self.opened.requirements, session, fetch, watch),
        }
    }

    /// Resolves with the versions of a lock file where the requirements admit them, and tells what is
    /// different.
    ///
    /// As few of them as possible give way: first those that the requirements themselves exclude, then
    /// those that pip names in a conflict, and all only if it names none.
    fn keeping(
        &self,
        known: Known<'_>,
        mut session: Option<&mut (dyn Session + 'static)>,
        fetch: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Decision> {
        let lock = known.lock;
        if let Some(warning) = known.check(&LockedFor::new(&self.opened.interpreter.target()))? {
            (self.observe)(&Event::Warning(&warning));
        }
        let mut pins = known.upgrade.keep(lock.pins());
        self.drop_excluded(&mut pins)?;
        let mut rounds = 0;
        let decision = loop {
            let bound = self.opened.requirements.with_constraints(&pins);
            // A pip that can only install would not say what it chose.
            let fetch = fetch && pins.is_empty();
            let error = match self.resolve(&bound, session.as_deref_mut(), fetch, watch) {
                Ok(decision) => break decision,
                Err(error) => error,
            };
            rounds += 1;
            let before = pins.clone();
            if before.is_empty() || !give_way(&error, &mut pins) {
                return Err(error);
            }
            if rounds == ROUNDS {
                pins.clear();
            }
            let given_up: Vec<_> = before
                .iter()
                .filter(|pin| !pins.contains(pin))
                .map(|pin| pin.written.to_string())
                .collect();
            (self.observe)(&Event::Note(&format!(
                "`{}` has versions that the requirements no longer admit: {}",
                lock.file.display(),
                given_up.join(", ")
            )));
        };
        if let Decision::Items(items, _) = &decision {
            known.check_names(items)?;
            for change in lock.changes_to(items, &self.opened.interpreter.markers) {
                (self.observe)(&Event::Changed(&change.to_string()));
            }
        }
        Ok(decision)
    }

    /// Drops the pins that a requirement or a constraint of the user's excludes.
    fn drop_excluded(&self, pins: &mut Vec<Entry>) -> Result<()> {
        let environment = &self.opened.interpreter.markers;
        let (entries, constraints) = (
            self.opened.requirements.entries(),
            self.opened.requirements.constraints(),
        );
        for entry in entries.iter().chain(constraints) {
            if entry.applies(environment)? == Applies::Yes {
                pins.retain(|pin| pin.name() != entry.name() || admits(entry, pin));
            }
        }
        Ok(())
    }

    /// Decides from requirements.
    fn resolve(
        &self,
        requirements: &Requirements,
        session: Option<&mut (dyn Session + 'static)>,
        fetch: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Decision> {
        let key = self.means.settings.settled_key(
            &self.request.pip,
            &self.opened.interpreter,
            self.pip(),
            requirements,
        )?;
        if let Some(key) = &key
            && let Ok(kept) = Kept::get(&self.opened.cache, key)
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
                    requirements,
                    interpreter: &self.opened.interpreter,
                    rules,
                    index,
                    store: &self.means.store,
                    pip: self.pip(),
                    fetch,
                };
                let answer = locked.answer(self.observe);
                for warning in index.warnings() {
                    (self.observe)(&Event::Warning(&warning));
                }
                match answer? {
                    Answer::Items(items) => {
                        let kept = Kept {
                            items,
                            by_pip: false,
                        };
                        return Ok(Decision::Items(
                            kept.keep(&self.opened.cache, key.as_ref()),
                            DecidedBy::Requirements,
                        ));
                    }
                    Answer::Open(why) => why,
                }
            }
            Err(why) => why.clone(),
        };
        let (Some(driver), Some(session)) = (self.means.driver.as_ref(), session) else {
            let target = self.opened.interpreter.target().to_string();
            return Err(no_builder(self.request, target, why).into());
        };
        let is_only = matches!(&self.index, Ok((index, _)) if index.is_only_one());
        if self.request.pip.strategy == Strategy::FirstIndex && !is_only {
            return Err(resolve::Error::FirstIndex { why }.into());
        }
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
            match driver.resolve(session, requirements, self.observe) {
                Ok(resolution) => resolution.items,
                // It ran, and says nothing of use.
                Err(pip::Error::Report(_)) => self.by_download(driver, session, requirements)?,
                Err(error) => return Err(error.into()),
            }
        } else {
            self.by_download(driver, session, requirements)?
        };
        let kept = Kept {
            items,
            by_pip: true,
        };
        Ok(Decision::Items(
            kept.keep(&self.opened.cache, key.as_ref()),
            DecidedBy::Pip,
        ))
    }

    /// What a pip would install that cannot say so: what it downloads, found again on the indexes.
    fn by_download(
        &self,
        driver: &Driver<'_>,
        session: &mut dyn Session,
        requirements: &Requirements,
    ) -> Result<Vec<Item>> {
        let cannot = || pip::Error::CannotSay(driver.version().to_owned());
        let (index, rules) = self.index.as_ref().map_err(|_| cannot())?;
        let folder = driver.download(session, requirements, self.observe)?;
        let at = Location {
            file: Path::new("pip download").into(),
            line: 1,
            column: 1,
        };
        let mut pins = Vec::new();
        for (path, entry) in folder.iter() {
            let Node::File { content, .. } = &entry.node else {
                continue;
            };
            let filename = Filename::parse(path.as_str()).map_err(|_| cannot())?;
            let digest = Digest::of(&content.read()?);
            let hash = Hash::new("sha256", &digest.hex());
            let Filename { name, version, .. } = filename;
            let hashes = hash.into_iter().collect();
            let pin = Entry::pin(&Name::new(&name), &version, hashes, at.clone());
            pins.push(pin.ok_or_else(cannot)?);
        }
        let pins = Requirements::of(pins);
        let locked = Locked {
            requirements: &pins,
            interpreter: &self.opened.interpreter,
            rules,
            index,
            store: &self.means.store,
            pip: self.pip(),
            fetch: false,
        };
        let Answer::Items(mut items) = locked.answer(self.observe)? else {
            return Err(cannot().into());
        };
        let environment = &self.opened.interpreter.markers;
        let asked = Asked::new(&self.opened.requirements, rules.no_deps, environment)?;
        for item in &mut items {
            let extras = asked.extras(&item.name);
            item.requested = extras.is_some();
            item.extras = extras.unwrap_or_default();
        }
        sort(&mut items, &asked, self.pip());
        Ok(items)
    }

    /// What a lock file says, if there is one that counts.
    fn by_lock(&self) -> Result<ByLock> {
        let none = BTreeSet::new();
        let cwd = &self.request.cwd;
        let (lock, extras, groups) = match &self.request.lock {
            LockUse::Never => return Ok(ByLock::None),
            LockUse::Input {
                path,
                extras,
                groups,
            } => (Lock::read(path, cwd)?, extras, groups),
            LockUse::Beside { path, required } => {
                let out_of_date = |why| Error::OutOfDate {
                    file: path.clone(),
                    why,
                };
                if fs::exists(&cwd.join(path)).is_none() {
                    return match required {
                        true => Err(out_of_date(vec!["it does not exist".to_owned()])),
                        false => Ok(ByLock::None),
                    };
                }
                let lock = Lock::read(path, cwd)?;
                let why = self.is_up_to_date(&lock)?;
                if !why.is_empty() && *required {
                    return Err(out_of_date(why));
                }
                if !why.is_empty() {
                    let (file, why) = (path.display(), why.join("; "));
                    (self.observe)(&Event::Warning(&format!(
                        "`{file}` is out of date: {why}. Its versions are kept where the requirements admit them; `prebuild lock` updates it"
                    )));
                    return Ok(ByLock::OutOfDate(Box::new(lock)));
                }
                (lock, &none, &none)
            }
        };
        for warning in &lock.warnings {
            (self.observe)(&Event::Warning(warning));
        }
        if let Ok((index, _)) = &self.index {
            for url in lock.urls() {
                index.learn(url);
            }
        }
        let items = lock.items(&self.opened.interpreter, extras, groups)?;
        let why = self.forbidden(&items);
        if !why.is_empty() {
            return Err(Error::OutOfDate {
                file: lock.file,
                why,
            });
        }
        Ok(ByLock::Items(items))
    }

    /// Why a lock file is out of date; nothing if it is up to date.
    fn is_up_to_date(&self, lock: &Lock) -> Result<Vec<String>> {
        let Some(recorded) = &lock.recorded else {
            return Ok(vec![format!(
                "{} wrote it, which does not note what it was made from",
                lock.author()
            )]);
        };
        let current = self.current()?;
        let why = recorded.changes(&current);
        if why.is_empty() {
            let other = recorded.other_settings(&current);
            if !other.is_empty() {
                (self.observe)(&Event::Note(&format!(
                    "`{}` decides, and these settings change nothing: {}",
                    lock.file.display(),
                    other.join("; ")
                )));
            }
        }
        Ok(why)
    }

    /// What the settings of this build forbid of what a lock file has. Where they only choose among
    /// versions or indexes, the lock file has chosen.
    fn forbidden(&self, items: &[Item]) -> Vec<String> {
        let rules = self
            .means
            .settings
            .rules(&self.request.pip, &self.opened.requirements);
        let mut why = Vec::new();
        for item in items {
            let (name, version) = (&item.name, &item.version);
            let (wheels, sdists) = rules.formats.of(name);
            match (&item.source, item.form) {
                (Source::Index, Form::Wheel) if !wheels => {
                    why.push(format!(
                        "it has a wheel of `{name}`, which `--no-binary` excludes"
                    ));
                }
                (Source::Index, Form::Sdist) if !sdists => {
                    why.push(format!(
                        "it has an sdist of `{name}`, which `--only-binary` excludes"
                    ));
                }
                (Source::Commit(_) | Source::Directory, _)
                    if rules.require_hashes == Some(true) =>
                {
                    why.push(format!(
                        "it has no hash of `{name}`, and `--require-hashes` is set"
                    ));
                }
                _ => {}
            }
            if rules.no_deps && !item.requested {
                why.push(format!(
                    "it has the dependency `{name}`, and `--no-deps` is set"
                ));
            }
            for limit in self
                .opened
                .limits
                .iter()
                .filter(|one| one.name() == Some(name))
            {
                if let What::Named { specifier, .. } = &limit.what
                    && !version.is_empty()
                    && !specifier.admit(version)
                {
                    why.push(format!(
                        "it has {name} {version}, which the constraint `{}` excludes ({})",
                        limit.written, limit.at
                    ));
                }
            }
        }
        why
    }

    /// What a lock file is made from, or held against.
    fn current(&self) -> Result<Current> {
        let settings = self.means.settings.choosing(self.request.pip.strategy);
        let target = self.opened.interpreter.target();
        let inputs = &self.request.inputs;
        Ok(Current::new(
            &target,
            inputs,
            &self.opened.written,
            settings,
        )?)
    }

    /// What a lock of these items would be made from.
    pub(super) fn recorded(&self, items: &[Item]) -> Result<Recorded> {
        Ok(Recorded::new(&self.current()?, items))
    }

    /// The version of the builder's pip.
    fn pip(&self) -> Option<&str> {
        self.means.driver.as_ref().map(Driver::version)
    }
}

/// Whether a requirement admits the version of a pin, if it says anything of versions.
fn admits(entry: &Entry, pin: &Entry) -> bool {
    let What::Named { specifier, .. } = &pin.what else {
        return false;
    };
    let version = specifier.pin().map_or("", |pin| &pin.version);
    match &entry.what {
        What::Named { specifier, .. } => specifier.admit(version),
        // What is at a place has the version that it has.
        What::Url { .. } | What::Path { .. } => false,
    }
}

/// Drops the pins that are in the way; whether it is worth trying without them.
fn give_way(error: &Error, pins: &mut Vec<Entry>) -> bool {
    let named = match error {
        Error::Pip(error @ pip::Error::Failed { .. }) => {
            let named = error.held_back();
            let is_named = |pin: &Entry| pin.name().is_some_and(|name| named.contains(name));
            if !error.is_about_versions() && !pins.iter().any(is_named) {
                return false;
            }
            named
        }
        Error::Resolve(_) => BTreeSet::new(),
        _ => return false,
    };
    let before = pins.len();
    pins.retain(|pin| !pin.name().is_some_and(|name| named.contains(name)));
    if pins.len() == before {
        pins.clear();
    }
    true
}
