//! What is in a cache, and removing it: for everything here but [`size`], nobody else may use it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;
use serde::Serialize;

use super::entry::{Entry, MANIFEST};
use super::home::{self, IGNORE, REPAIR, TAG, TMP, is_dir, list};
use super::{Bucket, Error, MissReason};
use crate::digest::Digest;
use crate::event::{Cancel, Observer};
use crate::fs::{self, TempDir};

/// How much a cache holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// The version of this document.
    pub version: u32,
    /// Each bucket.
    pub buckets: Vec<Part>,
    /// What interrupted builds and other versions left, in bytes; [`prune`] removes it.
    pub leftovers: u64,
    /// All of it, in bytes: the lengths of the files, not the blocks that they take.
    pub bytes: u64,
}

/// How much a bucket holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The bucket.
    pub bucket: Bucket,
    /// How many entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What [`prune`] removes beside leftovers and damaged entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// The entries that were used longest ago, until the rest has no more than so many bytes.
    pub max_size: Option<u64>,
    /// The entries that were not used since then.
    pub used_since: Option<SystemTime>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// The version of this document.
    pub version: u32,
    /// How many entries.
    pub entries: usize,
    /// How many bytes, leftovers counted in.
    pub bytes: u64,
}

/// What a cache's contents were held against.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The version of this document.
    pub version: u32,
    /// How many entries there were.
    pub entries: usize,
    /// Those that were not what they had been. They are removed.
    pub damaged: Vec<Damaged>,
}

/// An entry that is not what it was when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// What it was.
    pub bucket: Bucket,
    /// The key.
    pub key: Digest,
    /// How it is seen.
    pub reason: String,
}

/// How much the cache in `folder` holds. Others may use it meanwhile.
pub fn size(folder: &Path) -> Result<Sizes, Error> {
    let held = if home::is_cache(folder)? {
        Held::scan(folder)?
    } else {
        Held::default()
    };
    let buckets = Bucket::ALL.map(|bucket| {
        let entries = || held.entries.iter().filter(|entry| entry.bucket == bucket);
        Part {
            bucket,
            entries: entries().count(),
            bytes: entries().map(|entry| entry.bytes).sum(),
        }
    });
    let leftovers = held.leftovers.iter().map(|path| fs::size(path)).sum();
    Ok(Sizes {
        version: 1,
        bytes: buckets.iter().map(|part| part.bytes).sum::<u64>() + leftovers,
        buckets: buckets.into(),
        leftovers,
    })
}

/// Removes what interrupted builds left, buckets of other versions, entries that are known to be
/// damaged, and what is beyond `limits`. Waits until nobody else uses the cache, and tells `observe`
/// so.
pub fn prune(
    folder: &Path,
    limits: &Limits,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Freed, Error> {
    let mut freed = Freed::none();
    if !home::is_cache(folder)? {
        return Ok(freed);
    }
    let _alone = home::lock_alone(folder, observe, cancel)?;
    let doomed = Doomed::new(folder);
    let Held {
        mut entries,
        leftovers,
    } = Held::scan(folder)?;
    for path in leftovers {
        freed.bytes += fs::size(&path);
        fs::remove_all(&path)?;
    }
    // Those that were never used come first: they have no manifest. The rest of the order is for
    // times that are the same.
    entries.sort_by_key(|entry| (entry.used, entry.bucket, entry.key));
    let mut left: u64 = entries.iter().map(|entry| entry.bytes).sum();
    for entry in entries {
        let too_much = limits.max_size.is_some_and(|limit| left > limit);
        let unused = entry
            .used
            .is_none_or(|used| limits.used_since.is_some_and(|since| used < since));
        if too_much || unused {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            entry.remove(&doomed)?;
            left -= entry.bytes;
            freed.entries += 1;
            freed.bytes += entry.bytes;
        }
    }
    Ok(freed)
}

/// Compares the contents of all entries with what they were when they were made, and removes the
/// damaged ones. Waits until nobody else uses the cache, and tells `observe` so.
pub fn verify(folder: &Path, observe: &Observer<'_>, cancel: &Cancel) -> Result<Verified, Error> {
    let mut verified = Verified {
        version: 1,
        ..Verified::default()
    };
    if !home::is_cache(folder)? {
        return Ok(verified);
    }
    let _alone = home::lock_alone(folder, observe, cancel)?;
    let doomed = Doomed::new(folder);
    // One without a manifest was evicted: it is none, and no damage.
    let entries = Held::scan(folder)?.entries.into_iter();
    let (entries, evicted): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.used.is_some());
    for entry in evicted {
        entry.remove(&doomed)?;
    }
    verified.entries = entries.len();
    let found: Vec<_> = entries
        .par_iter()
        .map(|entry| {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            Ok(entry.verify())
        })
        .collect::<Result<_, _>>()?;
    for (entry, found) in entries.iter().zip(found) {
        if let Err(why) = found {
            entry.remove(&doomed)?;
            verified.damaged.push(Damaged {
                bucket: entry.bucket,
                key: entry.key,
                reason: why.to_string(),
            });
        }
    }
    Ok(verified)
}

/// Removes everything that prebuild put into the cache, but for the file that locks are held on, and
/// the folder itself, which may be a mount. Waits until nobody else uses the cache, and tells
/// `observe` so.
pub fn clean(folder: &Path, observe: &Observer<'_>, cancel: &Cancel) -> Result<Freed, Error> {
    let mut freed = Freed::none();
    if !home::is_cache(folder)? {
        return Ok(freed);
    }
    let _alone = home::lock_alone(folder, observe, cancel)?;
    freed.entries = Held::scan(folder)?.entries.len();
    let doomed = Doomed::new(folder);
    // The tag is the last: what is left by one that was killed is still known for a cache.
    let top = [TMP, REPAIR, IGNORE, TAG];
    let buckets = fs::names(folder)?
        .into_iter()
        .filter(|name| is_bucket(name));
    for name in buckets {
        let path = folder.join(name);
        if fs::metadata(&path).is_ok() {
            freed.bytes += fs::size(&path);
            doomed.remove(&path)?;
        }
    }
    drop(doomed);
    for name in top {
        let path = folder.join(name);
        if fs::metadata(&path).is_ok() {
            freed.bytes += fs::size(&path);
            fs::remove_all(&path)?;
        }
    }
    Ok(freed)
}

impl Freed {
    fn none() -> Self {
        Self {
            version: 1,
            ..Self::default()
        }
    }
}

/// Where things go before they are removed: by one rename, so that a process which is killed leaves
/// them whole where they were, or in `tmp/`.
struct Doomed(Option<TempDir>);

impl Doomed {
    /// None where `tmp/` is no directory of the cache.
    fn new(root: &Path) -> Self {
        let tmp = root.join(TMP);
        let made = fs::create_private_dir_all(&tmp).is_ok() && is_dir(&tmp);
        Self(made.then(|| fs::temp_dir(&tmp).ok()).flatten())
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        if let Some(doomed) = &self.0 {
            let to = doomed.path().join("removed");
            if fs::rename(path, &to).is_ok() {
                return Ok(fs::remove_all(&to)?);
            }
        }
        Ok(fs::remove_all(path)?)
    }
}

/// What is in a cache.
#[derive(Debug, Default)]
struct Held {
    entries: Vec<Found>,
    /// What is no entry and lies where only entries should, or in `tmp/`, or in other buckets.
    leftovers: Vec<PathBuf>,
}

/// An entry that may be damaged.
#[derive(Debug)]
struct Found {
    bucket: Bucket,
    key: Digest,
    folder: PathBuf,
    bytes: u64,
    /// When it was last used; `None` if it is known to be damaged.
    used: Option<SystemTime>,
}

impl Held {
    fn scan(root: &Path) -> Result<Self, Error> {
        let mut held = Self::default();
        for name in fs::names(root)?.iter().filter(|name| is_bucket(name)) {
            let path = root.join(name);
            match Bucket::ALL.into_iter().find(|bucket| bucket.name() == name) {
                Some(bucket) if is_dir(&path) => held.scan_bucket(root, bucket)?,
                _ => held.leftovers.push(path),
            }
        }
        let tmp = root.join(TMP);
        held.leftovers.extend(list(&tmp)?);
        Ok(held)
    }

    fn scan_bucket(&mut self, root: &Path, bucket: Bucket) -> Result<(), Error> {
        for shelf in list(&root.join(bucket.name()))? {
            if !is_dir(&shelf) {
                self.leftovers.push(shelf);
                continue;
            }
            for path in list(&shelf)? {
                let (_, name) = fs::split(&path);
                let key = format!("sha256:{name}").parse::<Digest>().ok();
                match key.filter(|key| home::folder(root, bucket, key) == path) {
                    Some(key) if is_dir(&path) => self.entries.push(Found {
                        bucket,
                        key,
                        bytes: fs::size(&path),
                        used: fs::metadata(&path.join(MANIFEST))
                            .ok()
                            .and_then(|found| found.modified().ok()),
                        folder: path,
                    }),
                    _ => self.leftovers.push(path),
                }
            }
        }
        Ok(())
    }
}

impl Found {
    fn verify(&self) -> Result<(), MissReason> {
        Entry::open(&self.folder, self.bucket, &self.key)?.compare()
    }

    /// Removes it: at no moment is a part of it an entry.
    fn remove(&self, doomed: &Doomed) -> Result<(), Error> {
        if doomed.0.is_none() && self.used.is_some() {
            fs::remove_all(&self.folder.join(MANIFEST))?;
        }
        doomed.remove(&self.folder)?;
        if let Some(shelf) = self.folder.parent() {
            // If it was the last one there.
            let _ = fs::remove_dir(shelf);
        }
        Ok(())
    }
}

/// Whether a bucket has such a name, in this version or another one.
fn is_bucket(name: &str) -> bool {
    name.split_once("-v").is_some_and(|(kind, version)| {
        let (letters, digits) = (kind.bytes(), version.bytes());
        !kind.is_empty()
            && !version.is_empty()
            && letters.into_iter().all(|byte| byte.is_ascii_lowercase())
            && digits.into_iter().all(|byte| byte.is_ascii_digit())
    })
}
