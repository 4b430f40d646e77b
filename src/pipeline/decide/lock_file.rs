//! The lock file: what it is worth to a build, and what it installs.

use std::collections::BTreeSet;

use super::super::LockUse;
use super::Deciding;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fs;
use crate::lock::Lock;
use crate::plan::{Form, Item, Source};
use crate::requirements::What;
use crate::resolve::Outcome;

/// What a lock file is worth.
pub(super) enum Standing {
    /// It says what will be installed.
    Decides(Box<Lock>),
    /// It is out of date: its versions are preferred.
    OutOfDate(Box<Lock>),
    /// There is none.
    Absent,
}

impl Deciding<'_> {
    /// The lock file, if there is one, and what it is worth.
    pub(super) fn lock_file(&self) -> Result<Standing> {
        let cwd = &self.request.cwd;
        let lock = match &self.request.lock {
            LockUse::Never => return Ok(Standing::Absent),
            LockUse::Input { path, .. } => Lock::read(path, cwd)?,
            LockUse::Beside { path, required } => {
                let out_of_date = |why| Error::OutOfDate {
                    file: path.clone(),
                    why,
                };
                if fs::exists(&cwd.join(path)).is_none() {
                    return match required {
                        true => Err(out_of_date(vec!["it does not exist".to_owned()])),
                        false => Ok(Standing::Absent),
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
                        "`{file}` is out of date: {why}. prebuild keeps its versions where the requirements allow them. To update it, run `prebuild lock`"
                    )));
                    return Ok(Standing::OutOfDate(Box::new(lock)));
                }
                lock
            }
        };
        Ok(Standing::Decides(Box::new(lock)))
    }

    /// What a lock file installs, if this build allows it.
    pub(super) fn locked_items(&self, lock: &Lock) -> Result<Vec<Item>> {
        for warning in &lock.warnings {
            (self.observe)(&Event::Warning(warning));
        }
        if let Outcome::Decided(index) = &self.index {
            for url in lock.urls() {
                index.learn(url);
            }
        }
        let none = BTreeSet::new();
        let (extras, groups) = match &self.request.lock {
            LockUse::Input { extras, groups, .. } => (extras, groups),
            LockUse::Never | LockUse::Beside { .. } => (&none, &none),
        };
        let items = lock.items(&self.opened.interpreter, extras, groups)?;
        let why = self.forbidden(&items);
        if !why.is_empty() {
            return Err(Error::OutOfDate {
                file: lock.file.clone(),
                why,
            });
        }
        Ok(items)
    }

    /// Why a lock file is out of date; nothing if it is up to date.
    fn is_up_to_date(&self, lock: &Lock) -> Result<Vec<String>> {
        let Some(recorded) = &lock.recorded else {
            return Ok(vec![format!(
                "{} wrote it and did not record the requirements",
                lock.author()
            )]);
        };
        let current = self.current()?;
        let why = recorded.changes(&current);
        if why.is_empty() {
            let other = recorded.other_settings(&current);
            if !other.is_empty() {
                (self.observe)(&Event::Note(&format!(
                    "`{}` is up to date, so these settings have no effect: {}",
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
        let rules = &self.means.rules;
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
}
