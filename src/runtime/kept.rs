//! Facts that are kept: found before, and true for as long as nothing that was looked at has changed.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::Facts;
use crate::cache::{Bucket, Cache, Lookup};
use crate::digest::Digest;
use crate::fs;

const FACTS: &str = "facts.json";
const STATE: &str = "state.json";

/// What was looked at, and its state then.
type State = Vec<(PathBuf, Option<fs::Stamp>)>;

/// What was found before, if nothing that was looked at has changed since.
pub(super) fn known(cache: &Cache, key: &Digest) -> Option<Facts> {
    let Lookup::Hit(entry) = cache.lookup(Bucket::Runtimes, key) else {
        return None;
    };
    let read = |name| fs::read(&entry.path(name)?).ok();
    let same =
        |(path, stamp): &(PathBuf, Option<fs::Stamp>)| fs::Stamp::of_link(path).ok() == *stamp;
    let known = || -> Option<Facts> {
        let state: State = serde_json::from_slice(&read(STATE)?).ok()?;
        let facts = || serde_json::from_slice(&read(FACTS)?).ok();
        state.iter().all(same).then(facts)?
    };
    let known = known();
    if known.is_none() {
        // The key is the same: what is there gives way to what is found now.
        cache.evict(Bucket::Runtimes, key);
    }
    known
}

/// Keeps what was found. What cannot be kept is looked at again.
pub(super) fn keep(cache: &Cache, key: &Digest, facts: &Facts, seen: &BTreeSet<PathBuf>) {
    let state: State = seen
        .iter()
        .map(|path| (path.clone(), fs::Stamp::of_link(path).ok()))
        .collect();
    let kept = cache.insert(Bucket::Runtimes, key, |folder| -> io::Result<()> {
        let path = folder.join(FACTS);
        fs::write_new(&path, &serde_json::to_vec(facts)?).map_err(io::Error::other)?;
        let now = fs::Stamp::of_link(&path).map_err(io::Error::other)?;
        let mut stamps = state.iter().filter_map(|(_, stamp)| stamp.as_ref());
        if !stamps.all(|stamp| stamp.has_settled(&now)) {
            return Err(io::Error::other("it may still be changing"));
        }
        fs::write_new(&folder.join(STATE), &serde_json::to_vec(&state)?).map_err(io::Error::other)
    });
    drop(kept);
}
