//! The versions of a lock file, preferred where the requirements admit them.

use std::collections::BTreeSet;

use super::super::open::Builder;
use super::super::watch::Watch;
use super::{Deciding, Given};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::lock::{Known, LockedFor};
use crate::pip::{self, Kept as Decision};
use crate::requirements::{Applies, Entry, What};
use crate::resolve::Outcome;

/// How often versions of a lock file give way before all of them do.
const ROUNDS: usize = 8;

impl Deciding<'_> {
    /// Resolves with the versions of a lock file where the requirements admit them, and tells what is
    /// different.
    ///
    /// As few of them as possible give way: first those that the requirements themselves exclude, then
    /// those that pip names in a conflict, and all only if it names none.
    pub(super) fn prefer(
        &self,
        known: Known<'_>,
        mut builder: Builder<'_>,
        fetch: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome<Decision>> {
        let lock = known.lock;
        if let Some(warning) = known.check(&LockedFor::new(&self.opened.interpreter.target()))? {
            (self.observe)(&Event::Warning(&warning));
        }
        let mut pins = known.upgrade.keep(lock.pins());
        self.drop_excluded(&mut pins)?;
        let mut rounds = 0;
        let outcome = loop {
            let bound = self.opened.requirements.with_constraints(&pins);
            // A pip that can only install would not say what it chose.
            let fetch = fetch && pins.is_empty();
            let error = match self.ask(Given::Nothing, &bound, builder.as_deref_mut(), fetch, watch)
            {
                Ok(outcome) => break outcome,
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
                "the requirements no longer allow these versions of `{}`: {}",
                lock.path().display(),
                given_up.join(", ")
            )));
        };
        if let Outcome::Decided(Decision { items, .. }) = &outcome {
            known.check_names(items)?;
            for change in lock.changes_to(items, &self.opened.interpreter.markers) {
                (self.observe)(&Event::Changed(&change.to_string()));
            }
        }
        Ok(outcome)
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
