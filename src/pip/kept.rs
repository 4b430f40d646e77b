//! What was decided before, kept where nothing that happens in the world can change it.

use std::io;

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{Error, Options};
use crate::cache::{Bucket, Cache, Lookup, Why};
use crate::digest::Digest;
use crate::fs;
use crate::interpreter::Interpreter;
use crate::plan::Item;
use crate::requirements::{Applies, Requirements, What, hide_credentials};

const KEPT: &str = "resolution.json";

/// What was decided, and who did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// What will be installed, the first to be installed first.
    pub items: Vec<Item>,
    /// Whether pip was asked.
    pub by_pip: bool,
}

impl Kept {
    /// What was decided before, when what `key` stands for was asked.
    pub fn get(cache: &Cache, key: &Digest) -> Result<Self, Why> {
        let entry = match cache.lookup(Bucket::Resolutions, key) {
            Lookup::Hit(entry) => entry,
            Lookup::Miss(why) => return Err(why),
        };
        let text = entry.path(KEPT).and_then(|path| fs::read(&path).ok());
        let kept = text.and_then(|text| serde_json::from_slice(&text).ok());
        kept.ok_or_else(|| {
            cache.evict(Bucket::Resolutions, key);
            Why::Damaged("it cannot be read".to_owned())
        })
    }

    /// Keeps it for the next time if there is a key, and no URL in it holds credentials; returns what
    /// was decided.
    pub fn keep(self, cache: &Cache, key: Option<&Digest>) -> Vec<Item> {
        let is_secret = |text: &String| hide_credentials(text) != *text;
        let tells_secrets =
            |item: &Item| is_secret(&item.url) || item.direct_url.as_ref().is_some_and(is_secret);
        if let Some(key) = key
            && !self.items.iter().any(tells_secrets)
        {
            let kept = cache.insert(Bucket::Resolutions, key, |folder| -> io::Result<()> {
                let text = serde_json::to_vec(&self)?;
                fs::write_new(&folder.join(KEPT), &text).map_err(io::Error::other)
            });
            // It is decided again next time.
            drop(kept);
        }
        self.items
    }
}

impl Settings {
    /// The digest of all that decides what requirements come to, if every one that applies is of a
    /// name and has a hash: then no index can change the answer. Such requirements are pinned and
    /// closed, or refused.
    ///
    /// `pip` is the version of the builder's, if there is a builder.
    pub fn settled_key(
        &self,
        options: &Options,
        interpreter: &Interpreter,
        pip: Option<&str>,
        requirements: &Requirements,
    ) -> Result<Option<Digest>, Error> {
        let environment = &interpreter.markers;
        let mut entries = Vec::new();
        for entry in requirements.entries() {
            if entry.applies(environment)? != Applies::Yes {
                continue;
            }
            if entry.hashes.is_empty() || !matches!(entry.what, What::Named { .. }) {
                return Ok(None);
            }
            entries.push((
                entry.written.expanded(),
                &entry.hashes,
                &entry.config_settings,
            ));
        }
        let given = requirements.options();
        if given.require_hashes.as_ref().is_some_and(|on| !on.value) || entries.is_empty() {
            return Ok(None);
        }
        let constraints: Vec<_> = requirements
            .constraints()
            .iter()
            .map(|entry| (entry.written.expanded(), &entry.hashes))
            .collect();
        let text = format!(
            "resolution 2 {pip:?} {environment:?} {:?} {entries:?} {constraints:?} {given:?} {:?} {:?} {:?} {:?}",
            interpreter.tags, self.pass, options.set, options.args, options.strategy,
        );
        Ok(Some(Digest::of(text.as_bytes())))
    }
}
