//! Answers that are valid while the files that they depend on do not change.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{Bucket, Cache, Lookup};
use crate::digest::Digest;
use crate::fs;

const ANSWER: &str = "answer.json";
const WATCHED: &str = "watched.json";

/// What is watched, and what was there.
type State = Vec<(PathBuf, Option<fs::Stamp>)>;

/// An answer in the cache.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) bucket: Bucket,
    pub(crate) key: &'a Digest,
    /// The stamp of what is watched: of a link, or of what it leads to.
    pub(crate) stamp: fn(&Path) -> Result<fs::Stamp, fs::Error>,
}

impl Watched<'_> {
    /// The answer that was kept, if nothing that was looked at has changed since.
    pub(crate) fn known<T: DeserializeOwned>(&self) -> Option<T> {
        let Lookup::Hit(entry) = self.cache.lookup(self.bucket, self.key) else {
            return None;
        };
        let read = |name| fs::read(&entry.path(name)?).ok();
        let known = || -> Option<T> {
            let state: State = serde_json::from_slice(&read(WATCHED)?).ok()?;
            let mut state = state.iter();
            let is_same = state.all(|(path, stamp)| (self.stamp)(path).ok() == *stamp);
            let answer = || serde_json::from_slice(&read(ANSWER)?).ok();
            is_same.then(answer)?
        };
        let known = known();
        if known.is_none() {
            // The key is the same: what is there gives way to the new answer.
            self.cache.evict(self.bucket, self.key);
        }
        known
    }

    /// Keeps an answer, and what it depends on. What cannot be kept is asked for again.
    pub(crate) fn keep<'p>(&self, answer: &[u8], paths: impl IntoIterator<Item = &'p PathBuf>) {
        let paths = paths.into_iter();
        let state: State = paths
            .map(|path| (path.clone(), (self.stamp)(path).ok()))
            .collect();
        let kept = self
            .cache
            .insert(self.bucket, self.key, |folder| -> io::Result<()> {
                let path = folder.join(ANSWER);
                fs::write_new(&path, answer).map_err(io::Error::other)?;
                let now = fs::Stamp::of(&path).map_err(io::Error::other)?;
                let mut stamps = state.iter().filter_map(|(_, stamp)| stamp.as_ref());
                if !stamps.all(|stamp| stamp.has_settled(&now)) {
                    return Err(io::Error::other("it may still be changing"));
                }
                let state = serde_json::to_vec(&state)?;
                fs::write_new(&folder.join(WATCHED), &state).map_err(io::Error::other)
            });
        drop(kept);
    }
}
