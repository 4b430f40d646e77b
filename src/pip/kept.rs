//! Decisions that nothing outside the cache key can change, and the cache that holds them.

use std::io;

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{Error, Options};
use crate::cache::{Bucket, Cache, Lookup, MissReason};
use crate::digest::Digest;
use crate::fs;
use crate::interpreter::Interpreter;
use crate::plan::{DecidedBy, Item, Metadata, Place};
use crate::requirements::{Applies, Requirements, Text, What, hide_credentials};

const RESOLUTION: &str = "resolution.json";

/// A decision: what will be installed, and who decided.
#[derive(Debug)]
pub struct Kept {
    /// The distributions, the first to be installed first.
    pub items: Vec<Item>,
    /// Who decided.
    pub by: DecidedBy,
}

/// A decision as the cache holds it.
#[derive(Serialize, Deserialize)]
struct Cached {
    items: Vec<CachedItem>,
    by: DecidedBy,
}

/// An item with what the plan's document leaves out.
#[derive(Serialize, Deserialize)]
struct CachedItem {
    #[serde(flatten)]
    item: Item,
    metadata: Metadata,
    place: Place,
}

impl From<CachedItem> for Item {
    fn from(cached: CachedItem) -> Self {
        let CachedItem {
            item,
            metadata,
            place,
        } = cached;
        Self {
            metadata,
            place,
            ..item
        }
    }
}

impl Kept {
    /// What was decided before, when what `key` stands for was asked.
    pub fn get(cache: &Cache, key: &Digest) -> Result<Self, MissReason> {
        let entry = match cache.lookup(Bucket::Resolutions, key) {
            Lookup::Hit(entry) => entry,
            Lookup::Miss(why) => return Err(why),
        };
        let text = entry.path(RESOLUTION).and_then(|path| fs::read(&path).ok());
        let cached = text.and_then(|text| serde_json::from_slice::<Cached>(&text).ok());
        let Some(Cached { items, by }) = cached else {
            cache.evict(Bucket::Resolutions, key);
            return Err(MissReason::Damaged("it cannot be read".to_owned()));
        };
        Ok(Self {
            items: items.into_iter().map(Item::from).collect(),
            by,
        })
    }

    /// Writes it to the cache if there is a key, and no URL in it holds credentials.
    pub fn keep(&self, cache: &Cache, key: Option<&Digest>) {
        let is_secret = |text: &String| hide_credentials(text) != *text;
        let tells_secrets =
            |item: &Item| is_secret(&item.url) || item.direct_url.as_ref().is_some_and(is_secret);
        if let Some(key) = key
            && !self.items.iter().any(tells_secrets)
        {
            let items = self.items.iter().map(|item| CachedItem {
                metadata: item.metadata,
                place: item.place,
                item: item.clone(),
            });
            let cached = Cached {
                items: items.collect(),
                by: self.by,
            };
            let kept = cache.insert(Bucket::Resolutions, key, |folder| -> io::Result<()> {
                let text = serde_json::to_vec(&cached)?;
                fs::write_new(&folder.join(RESOLUTION), &text).map_err(io::Error::other)
            });
            // Without it, the next build decides again.
            drop(kept);
        }
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
            let settings = entry.config_settings.iter();
            entries.push((
                entry.written.expanded(),
                &entry.hashes,
                settings.map(Text::expanded).collect::<Vec<_>>(),
            ));
        }
        let given = requirements.options();
        if given.require_hashes.as_ref().is_some_and(|on| !on.value) || entries.is_empty() {
            return Ok(None);
        }
        let mut constraints = Vec::new();
        for entry in requirements.constraints() {
            if entry.applies(environment)? == Applies::Yes {
                constraints.push((entry.written.expanded(), &entry.hashes));
            }
        }
        let Options {
            set,
            args,
            strategy,
            // What counts of them is in the settings, and in what the requirements come to.
            env: _,
            config: _,
            // How hosts are reached decides whether there is an answer, not which.
            ca_cert: _,
            offline: _,
            // What is built from source is built later.
            epoch: _,
            // Hashes never grow old.
            now: _,
        } = options;
        let Self {
            pass,
            is_here,
            // They are words for the user.
            recorded: _,
            ignored: _,
            // They never reach pip.
            unset: _,
        } = self;
        let Interpreter {
            markers,
            tags,
            glibc,
            libc,
            // They are in the tags, or say where things lie in the builder.
            executable: _,
            interpreters: _,
            prefix: _,
            site_packages: _,
            soabi: _,
            platform: _,
            pip: _,
            prefix_map: _,
            optimisation: _,
            // It decides how packages are installed that a hint names.
            os: _,
            watched: _,
            // They are in the settings.
            config: _,
            caller_config: _,
            broken_config: _,
            environment: _,
        } = interpreter;
        let python = (markers, tags, glibc, libc);
        let options = given.given();
        let options: Vec<_> = options
            .iter()
            .map(|one| (one.name, one.value.map(Text::expanded)))
            .collect();
        let asked = (entries, constraints, options);
        let text = format!(
            "resolution 4 {pip:?} {python:?} {asked:?} {pass:?} {is_here} {set:?} {args:?} {strategy:?}"
        );
        Ok(Some(Digest::of(text.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;
    use crate::index::Strategy;
    use crate::pip::settings::Origin;
    use crate::requirements::{Context, Input};
    use crate::target::Target;

    /// What a key is made of.
    struct Owned {
        text: String,
        variables: BTreeMap<String, String>,
        settings: Settings,
        options: Options,
        interpreter: Interpreter,
        pip: Option<&'static str>,
    }

    impl Owned {
        fn new() -> Self {
            let (python, platform) = ("3.12".parse().unwrap(), "linux/arm64".parse().unwrap());
            Self {
                text: format!("a==1 --hash=sha256:{}\n--pre\n", "0".repeat(64)),
                variables: BTreeMap::from([("X".to_owned(), "x".to_owned())]),
                settings: Settings::default(),
                options: Options::default(),
                interpreter: Interpreter::named(&Target::named(&python, &platform)),
                pip: Some("24.0"),
            }
        }

        fn key(&self) -> String {
            let context = Context {
                env: &self.variables,
                cwd: Path::new("/"),
            };
            let input = Input::Stdin(self.text.as_bytes().to_vec());
            let read = Requirements::read(&[input], &[], &context).unwrap();
            let (options, interpreter) = (&self.options, &self.interpreter);
            let key = self
                .settings
                .settled_key(options, interpreter, self.pip, &read);
            key.unwrap().unwrap().hex()
        }
    }

    type Change = fn(&mut Owned);

    #[test]
    fn what_decides_a_resolution_changes_its_key() {
        let changes: [(&str, Change); 13] = [
            ("a version", |one| {
                one.text = one.text.replace("a==1", "a==2");
            }),
            ("a hash", |one| one.text = one.text.replace("000", "001")),
            ("a setting", |one| {
                one.text = one.text.replace(" --hash", " --config-settings=a=b --hash");
            }),
            ("an option", |one| {
                one.text = one.text.replace("--pre", "--no-binary=a");
            }),
            ("a variable", |one| {
                one.text = one.text.replace("--pre", "--no-binary=${X}");
            }),
            ("its value", |one| {
                one.text = one.text.replace("--pre", "--no-binary=${X}");
                one.variables.insert("X".to_owned(), "y".to_owned());
            }),
            ("pip", |one| one.pip = None),
            ("pip's settings", |one| {
                let value = ("1".to_owned(), Origin::Caller);
                one.settings.pass.insert("no-deps".to_owned(), value);
            }),
            ("--env", |one| {
                one.options.set.insert("A".to_owned(), "b".to_owned());
            }),
            ("args", |one| one.options.args.push("--no-deps".to_owned())),
            ("strategy", |one| {
                one.options.strategy = Strategy::FirstIndex;
            }),
            ("markers", |one| {
                "x".clone_into(&mut one.interpreter.markers.sys_platform);
            }),
            ("tags", |one| one.interpreter.tags.clear()),
        ];
        let mut keys = BTreeSet::from([Owned::new().key()]);
        for (what, change) in changes {
            let mut one = Owned::new();
            change(&mut one);
            assert!(keys.insert(one.key()), "{what}");
        }
        let same: [(&str, Change); 3] = [
            ("a comment", |one| one.text = format!("# x\n\n{}", one.text)),
            ("offline", |one| one.options.offline = true),
            ("epoch", |one| one.options.epoch = 7),
        ];
        for (what, change) in same {
            let mut one = Owned::new();
            change(&mut one);
            assert_eq!(one.key(), Owned::new().key(), "{what}");
        }
    }
}
