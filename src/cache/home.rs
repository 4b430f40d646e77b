//! The directory of a cache: creates, recognises, locks and fills it.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::fs::TempDir;

use super::entry::Entry;
use super::{Bucket, Error, MissReason};
use crate::digest::Digest;
use crate::event::{Cancel, Event, Observer};
use crate::fs;

/// Tells backup programs that what is here can be made again.
///
/// <https://bford.info/cachedir/>
pub(super) const TAG: &str = "CACHEDIR.TAG";
const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55";
const CREATOR: &str = "# This file is a cache directory tag created by prebuild.";
/// Keeps what is here out of a repository around it.
pub(super) const IGNORE: &str = ".gitignore";
/// Held by whoever uses the cache. Never removed: those who wait for it must wait for the same file.
const LOCK: &str = ".lock";
/// Held while a damaged entry is replaced. Not `LOCK`: its holders would wait for each other.
pub(super) const REPAIR: &str = ".repair";
/// Where entries are made: on the file system that they will lie on.
pub(super) const TMP: &str = "tmp";

/// How often a lock that someone else holds is asked for.
const POLL: Duration = Duration::from_millis(20);
/// After how many times the caller is told. A cache that is only being opened is locked for less.
const PATIENCE: u32 = 10;

/// How often a damaged entry is moved away: between that and the new one, someone else's may come,
/// and be damaged too.
const TURNS: u32 = 5;

/// A cache's folder.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    _guard: Guard,
}

/// What the folder's life depends on.
#[expect(dead_code, reason = "held, and never looked at")]
#[derive(Debug)]
enum Guard {
    /// A lock on it; a folder that cannot be written may have no file for one.
    Lock(Option<File>),
    /// It is removed with the value.
    Temporary(TempDir),
}

impl Home {
    /// Opens the cache in `root`, which is made if it is not there.
    pub(super) fn open(
        root: &Path,
        observe: &Observer<'_>,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        if !is_cache(root)? {
            fs::create_private_dir_all(root)?;
        }
        is_private(root)?;
        let lock = match fs::open_lock(&root.join(LOCK)) {
            Ok(file) => Some(file),
            // It cannot be written; perhaps it can be read. Without a lock file nobody ever used it.
            Err(_) if fs::exists(&root.join(TAG)).is_some() => fs::open(&root.join(LOCK)).ok(),
            Err(error) => return Err(error.into()),
        };
        if let Some(file) = &lock {
            // Nobody else is here, so nobody is making anything: it was left by those who were killed.
            if file.try_lock().is_ok() {
                let _ = sweep(root);
            }
            let try_lock = || file.try_lock_shared();
            wait(root, &try_lock, observe, cancel)?;
        }
        if fs::exists(&root.join(TAG)).is_none() {
            fs::create_private_dir_all(&root.join(TMP))?;
            put(root, IGNORE, "*\n")?;
            let text = format!("{SIGNATURE}\n{CREATOR}\n# See https://bford.info/cachedir/\n");
            put(root, TAG, &text)?;
        }
        Ok(Self {
            root: root.to_path_buf(),
            _guard: Guard::Lock(lock),
        })
    }

    /// A cache in a new folder in `parent`, removed with the value.
    pub(super) fn temporary(parent: &Path) -> Result<Self, Error> {
        let folder = fs::temp_dir(parent)?;
        Ok(Self {
            root: folder.path().to_path_buf(),
            _guard: Guard::Temporary(folder),
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lookup(&self, bucket: Bucket, key: &Digest) -> Result<Entry, MissReason> {
        let entry = Entry::open(&folder(&self.root, bucket, key), bucket, key)?;
        entry.touch();
        Ok(entry)
    }

    pub(super) fn insert<E: From<Error>>(
        &self,
        bucket: Bucket,
        key: &Digest,
        fill: &impl Fn(&Path) -> Result<(), E>,
    ) -> Result<Entry, E> {
        let made = self.begin()?;
        let new = made.path().join("new");
        fill(&new)?;
        Ok(self.place(bucket, key, &made, &new)?)
    }

    /// A folder in `tmp/`, removed with the value, and in it an empty one that will be the entry.
    fn begin(&self) -> Result<TempDir, Error> {
        let tmp = self.root.join(TMP);
        fs::create_private_dir_all(&tmp)?;
        let made = fs::temp_dir(&tmp)?;
        fs::create_dir(&made.path().join("new"))?;
        Ok(made)
    }

    /// Gives the entry its name, or takes the one that someone else made meanwhile.
    fn place(
        &self,
        bucket: Bucket,
        key: &Digest,
        made: &TempDir,
        new: &Path,
    ) -> Result<Entry, Error> {
        let entry = Entry::seal(new, bucket, key)?;
        let named = folder(&self.root, bucket, key);
        let (above, _) = fs::split(&named);
        fs::create_private_dir_all(&above)?;
        // A folder is not renamed onto another one, unless that is empty.
        let mut moved = fs::rename(new, &named);
        for turn in 0..TURNS {
            if moved.is_ok() {
                break;
            }
            let path = self.root.join(REPAIR);
            let repair = fs::open_lock(&path)?;
            // Two who both find the entry damaged must not both replace it: the first one's may be in
            // use by then.
            repair
                .lock()
                .map_err(|source| fs::Error::new("lock", &path, source))?;
            if let Ok(entry) = self.lookup(bucket, key) {
                return Ok(entry);
            }
            // If it cannot be moved, the next call says why.
            let _ = fs::rename(&named, &made.path().join(format!("damaged-{turn}")));
            moved = fs::rename(new, &named);
        }
        moved?;
        Ok(entry.moved(named))
    }

    /// Makes the entry, if there is one, none.
    pub(super) fn evict(&self, bucket: Bucket, key: &Digest) {
        let manifest = folder(&self.root, bucket, key).join(super::entry::MANIFEST);
        let _ = fs::remove_file(&manifest);
    }
}

impl Home {
    /// As [`evict`](Self::evict), for the entry that has the file at `path`, if that is one of ours.
    pub(super) fn evict_holding(&self, path: &Path) {
        if let Some(folder) = path.parent()
            && path.starts_with(&self.root)
        {
            let _ = fs::remove_file(&folder.join(super::entry::MANIFEST));
        }
    }
}

/// Where an entry lies. A level of 256 folders keeps each of them short.
pub(super) fn folder(root: &Path, bucket: Bucket, key: &Digest) -> PathBuf {
    let hex = key.hex();
    root.join(bucket.name()).join(&hex[..2]).join(hex)
}

/// Whether there is a cache at `root`, or an empty folder, rather than nothing. All else is refused:
/// a folder with files of the user's must not be tagged for backups to leave out, nor be pruned.
pub(super) fn is_cache(root: &Path) -> Result<bool, Error> {
    match fs::follow(root) {
        Ok(found) if !found.is_dir() => return Err(Error::NotAFolder(root.to_path_buf())),
        Ok(_) => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        // Not just anything: another process may make the folder between the two looks.
        Err(_) if fs::metadata(root).is_ok_and(|found| found.is_symlink()) => {
            return Err(Error::Dangling(root.to_path_buf()));
        }
        Err(_) => return Ok(false),
    }
    let tag = fs::read_at_most(&root.join(TAG), 1 << 10).unwrap_or_default();
    if tag.starts_with(format!("{SIGNATURE}\n{CREATOR}\n").as_bytes()) {
        return Ok(true);
    }
    // One whose maker has not come to the tag yet, or was killed before.
    let ours = |name: &OsStr| {
        let top = [TAG, IGNORE, LOCK, REPAIR, TMP, "lost+found"];
        let mut names = top.into_iter().chain(Bucket::ALL.map(Bucket::name));
        names.any(|ours| name == ours)
    };
    if fs::list(root)?.iter().all(|name| ours(name)) {
        return Ok(true);
    }
    Err(Error::Foreign(root.to_path_buf()))
}

/// Refuses a folder that somebody else could have put entries into, for they are believed. An empty one of
/// our own is closed instead.
fn is_private(root: &Path) -> Result<(), Error> {
    let root = fs::canonicalize(root)?;
    let access = fs::access(&root)?;
    // Root can write anywhere.
    if ![fs::user(), 0].contains(&access.owner) {
        return Err(Error::Owner {
            path: root,
            owner: access.owner,
        });
    }
    let writable = |path: &Path, mode| Error::Writable {
        path: path.to_path_buf(),
        mode,
    };
    if access.mode & 0o022 != 0 {
        if !fs::list(&root)?.is_empty() {
            return Err(writable(&root, access.mode));
        }
        fs::set_mode(&root, access.mode & 0o7700 | 0o700)?;
    }
    // Whoever may rename it can put another in its place, which would not be ours. Only where anybody can is
    // that worth a word: many home folders are open to a group of one.
    for above in root.ancestors().skip(1) {
        let access = fs::access(above)?;
        let is_sticky = access.mode & 0o1000 != 0;
        if access.mode & 0o002 != 0 && !is_sticky {
            return Err(writable(above, access.mode));
        }
    }
    Ok(())
}

/// Locks the cache in `root` against all others. The lock goes with the file.
pub(super) fn lock_alone(
    root: &Path,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<File, Error> {
    let file = fs::open_lock(&root.join(LOCK))?;
    let try_lock = || file.try_lock();
    wait(root, &try_lock, observe, cancel)?;
    Ok(file)
}

/// Asks for a lock until it is given. Not the call that waits: a signal could not end it.
fn wait(
    root: &Path,
    try_lock: &dyn Fn() -> Result<(), TryLockError>,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<(), Error> {
    for tries in 0_u32.. {
        match try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => {
                return Err(fs::Error::new("lock", root.join(LOCK), source).into());
            }
        }
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if tries == PATIENCE {
            let who = format!(
                "for the cache `{}`: another prebuild uses it",
                root.display()
            );
            observe(&Event::Waiting(&who));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Removes what is in `tmp/`. For whoever holds the lock alone.
pub(super) fn sweep(root: &Path) -> Result<(), fs::Error> {
    list(&root.join(TMP))?
        .iter()
        .try_for_each(|left| fs::remove_all(left))
}

/// The paths of what is in a folder, sorted; none if it is no folder, or no more. A link to a folder
/// is none: what is behind it is not ours.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, fs::Error> {
    if !is_dir(folder) {
        return Ok(Vec::new());
    }
    match fs::list(folder) {
        Ok(names) => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn is_dir(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_dir())
}

/// Writes a small file at the top, whole or not at all.
fn put(root: &Path, name: &str, text: &str) -> Result<(), Error> {
    let made = fs::temp_dir(&root.join(TMP))?;
    let new = made.path().join(name);
    fs::write_new(&new, text.as_bytes())?;
    Ok(fs::rename(&new, &root.join(name))?)
}
