//! The lock file: what it is worth to a build, and what it installs.

use super::super::{LockUse, Trust};
use super::Deciding;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fs;
use crate::lock::LockFile;
use crate::plan::{Form, Item, Source};
use crate::requirements::What;
use crate::resolve::Outcome;

/// What a lock file is worth.
pub(super) enum Standing {
    /// It says what will be installed.
    Decides(LockFile),
    /// It is out of date: its versions are preferred.
    OutOfDate(LockFile),
    /// There is none.
    Absent,
}

impl Deciding<'_> {
    /// The lock file, if there is one, and what it is worth.
    pub(super) fn lock_file(&self) -> Result<Standing> {
        let what = self.request.what;
        let Some(LockUse { file, trust }) = &what.lock else {
            return Ok(Standing::Absent);
        };
        let out_of_date = |why| Error::OutOfDate {
            file: file.clone(),
            why,
        };
        if *trust != Trust::Alone && fs::exists(&what.cwd.join(file)).is_none() {
            return match trust {
                Trust::Required => Err(out_of_date(vec!["it does not exist".to_owned()])),
                Trust::Alone | Trust::Preferred => Ok(Standing::Absent),
            };
        }
        let lock = LockFile::read(file, &what.cwd)?;
        let why = match trust {
            Trust::Alone => Vec::new(),
            Trust::Required | Trust::Preferred => self.is_up_to_date(&lock)?,
        };
        if why.is_empty() {
            return Ok(Standing::Decides(lock));
        }
        if *trust == Trust::Required {
            return Err(out_of_date(why));
        }
        let (file, why) = (file.display(), why.join("; "));
        (self.observe)(&Event::Warning(&format!(
            "`{file}` is out of date: {why}. prebuild keeps its versions where the requirements allow them. To update it, run `prebuild lock`"
        )));
        Ok(Standing::OutOfDate(lock))
    }

    /// What a lock file installs, if this build allows it.
    pub(super) fn locked_items(&self, lock: &LockFile) -> Result<Vec<Item>> {
        for warning in lock.warnings() {
            (self.observe)(&Event::Warning(warning));
        }
        if let Outcome::Decided(index) = &self.index {
            for url in lock.urls() {
                index.learn(url);
            }
        }
        let items = lock.items(&self.opened.interpreter, &self.request.what.chosen)?;
        let why = self.forbidden(&items);
        if !why.is_empty() {
            return Err(Error::OutOfDate {
                file: lock.path().to_path_buf(),
                why,
            });
        }
        Ok(items)
    }

    /// Why a lock file is out of date; nothing if it is up to date.
    fn is_up_to_date(&self, lock: &LockFile) -> Result<Vec<String>> {
        let Some(recorded) = lock.recorded() else {
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
                    lock.path().display(),
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
