//! The cache: results of earlier builds that later builds use again.
//!
//! An entry is named by a digest of everything that its bytes depend on, so it is never stale, only
//! unused; pages of indexes alone are named by their URL, and say themselves how old they may get. It is a folder of files:
//!
//! ```text
//! ~/.cache/prebuild/
//! ├── CACHEDIR.TAG  .gitignore  .lock  .repair
//! ├── tmp/                   entries that are being made
//! ├── wheels-v5/
//! │   └── 5d/
//! │       └── 5d41402abc…/   an entry, named by its key
//! │           ├── flask-3.0.0-py3-none-any.whl
//! │           └── manifest.json
//! └── built-v2/  interpreters-v2/  resolutions-v3/  pages-v2/  seen-v2/  bytecode-v3/  pieces-v2/  outputs-v3/
//! ```
//!
//! A form that changes gets a new number in its bucket's name; buckets with old numbers are nobody's,
//! and [`prune`] removes them.
//!
//! **Whole or not at all.** An entry is made in `tmp/` and renamed into place. If two processes make
//! the same one, the first wins, and the second uses it. A process that is killed leaves a folder in
//! `tmp/`, which the next one that has the cache for itself removes. Nothing is flushed to the disk:
//! what a power failure damages is noticed by its manifest.
//!
//! **One user's.** What is in the cache is believed, so the folder must belong to this user, or to root, and
//! nobody else may write to it; it is made with mode 0700. Its manifest says which entry it is: one that was
//! renamed is another's.
//!
//! **Damage is a miss.** The manifest names each file with its size and SHA-256. A lookup compares
//! the sizes, and the digests of small files; [`verify`] compares all digests. A damaged entry is
//! left where it is, for a reader may have it open, until it is made again or [`prune`]d.
//!
//! **Shared.** Whoever uses the cache holds a shared lock on `.lock`; whoever removes from it, an
//! exclusive one. A folder that cannot be written is read; what is made goes into a temporary one.
//!
//! # Examples
//!
//! ```
//! use prebuild::cache::{Bucket, Cache, Lookup, Place};
//! use prebuild::{digest::Digest, event::Cancel};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let place = Place::kept(folder.join("cache"), folder);
//! let cache = Cache::open(&place, &|_| {}, &Cancel::new())?;
//! let key = Digest::of(b"everything that the entry depends on");
//! let entry = match cache.lookup(Bucket::Built, &key) {
//!     Lookup::Hit(entry) => entry,
//!     Lookup::Miss(why) => {
//!         println!("made anew: {why}");
//!         cache.insert(Bucket::Built, &key, |folder| std::fs::write(folder.join("built.whl"), "…"))?
//!     }
//! };
//! assert!(entry.path("built.whl").is_some_and(|path| path.is_file()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Serialize, Serializer};

use crate::diagnosis::{Diagnosis, Kind};
use crate::digest::Digest;
use crate::event::{Cancel, Observer};
use crate::fs;

mod entry;
mod home;
mod upkeep;
mod watched;

pub use entry::Entry;
pub use upkeep::{Damaged, Freed, Limits, Part, Sizes, Verified, clean, prune, size, verify};
pub(crate) use watched::Watched;

use home::Home;

/// What an entry is. Each kind has a folder of its own, whose name ends in the version of its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// A checked wheel; the key is the wheel's own SHA-256.
    Wheels,
    /// A wheel that was built from source; the key is the digest of all that decides it.
    Built,
    /// What an interpreter said of itself.
    Interpreters,
    /// What pip resolved requirements to that have hashes; the key is the digest of all that decides it.
    Resolutions,
    /// A page of an index; the key is the digest of its URL. The one kind of entry that gets old.
    Pages,
    /// Which wheel a local path was when it was last looked at.
    Seen,
    /// Compiled bytecode.
    Bytecode,
    /// Packed pieces.
    Pieces,
    /// What a build wrote, and in which state it left it; the key is the digest of all that decides it.
    Outputs,
    /// What was found of a runtime; the key is its image, or the path of its root.
    Runtimes,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Wheels,
        Self::Built,
        Self::Interpreters,
        Self::Resolutions,
        Self::Pages,
        Self::Seen,
        Self::Bytecode,
        Self::Pieces,
        Self::Outputs,
        Self::Runtimes,
    ];

    /// The name of its folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wheels => "wheels-v5",
            Self::Built => "built-v2",
            Self::Interpreters => "interpreters-v2",
            Self::Resolutions => "resolutions-v3",
            Self::Pages => "pages-v2",
            Self::Seen => "seen-v2",
            Self::Bytecode => "bytecode-v3",
            Self::Pieces => "pieces-v2",
            Self::Outputs => "outputs-v3",
            Self::Runtimes => "runtimes-v2",
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Bucket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    folder: Option<PathBuf>,
    scratch: PathBuf,
}

impl Place {
    /// In `folder`, for this build and others. What cannot be written there goes into a temporary
    /// folder in `scratch`.
    pub fn kept(folder: impl Into<PathBuf>, scratch: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            scratch: scratch.into(),
        }
    }

    /// In a folder in `scratch` that is made when it is needed and removed with the [`Cache`].
    pub fn temporary(scratch: impl Into<PathBuf>) -> Self {
        Self {
            folder: None,
            scratch: scratch.into(),
        }
    }

    /// The folder for temporary files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

/// Why a cache cannot be used. What only keeps it from being written is no error but one of
/// [`Cache::warnings`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path is not a directory.
    #[error("the cache `{}` is not a directory", .0.display())]
    NotAFolder(PathBuf),
    /// The path is a dangling link.
    #[error("the cache `{}` is a dangling link", .0.display())]
    Dangling(PathBuf),
    /// The directory is not empty and not a cache.
    #[error("the directory `{}` is not empty, and not a cache", .0.display())]
    Foreign(PathBuf),
    /// The cache belongs to another user.
    #[error("the cache `{}` belongs to another user (uid {owner})", path.display())]
    Owner {
        /// The folder.
        path: PathBuf,
        /// The user ID of the owner.
        owner: u32,
    },
    /// Other users can write to the cache or a directory above it.
    #[error("other users can write to `{}`, the cache or a directory above it (mode {mode:04o})", path.display())]
    Writable {
        /// The directory, or one above it.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A new entry contains something that is not a file, or has an unusable name.
    #[error("`{}` cannot be in a cache entry", .0.display())]
    Odd(PathBuf),
    /// A file system call failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// The caller cancelled the operation.
    #[error("interrupted")]
    Cancelled,
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Fs(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotAFolder(_) | Self::Dangling(_) | Self::Foreign(_) => Kind::Request,
            Self::Owner { .. } | Self::Writable { .. } => Kind::Setup,
            Self::Cancelled => Kind::Cancelled,
            Self::Odd(_) | Self::Fs(_) => Kind::Build,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotAFolder(_) | Self::Dangling(_) => {
                "remove it, or name another directory with `--cache-dir`"
            }
            Self::Foreign(_) => "name an empty or a new directory with `--cache-dir`",
            Self::Owner { .. } => {
                "name a cache of your own with `--cache-dir DIR`; with sudo, `sudo -H` uses root's cache"
            }
            Self::Writable { .. } => {
                "remove the cache and run `chmod go-w` on the directory, or name another cache with `--cache-dir DIR`"
            }
            Self::Odd(_) | Self::Fs(_) | Self::Cancelled => return None,
        };
        Some(hint.to_owned())
    }
}

/// For entries that are filled by nothing but calls of the system.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// The answer to a look-up.
#[derive(Debug)]
#[must_use]
pub enum Lookup {
    /// The entry exists, and has the right files and sizes.
    Hit(Entry),
    /// The entry must be created.
    Miss(MissReason),
}

/// Why the cache has no usable entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissReason {
    /// The cache has no such entry.
    Absent,
    /// The entry is damaged.
    Damaged(String),
    /// The entry cannot be read.
    Unreadable(String),
}

impl MissReason {
    fn unreadable(error: &fs::Error) -> Self {
        Self::Unreadable(with_cause(error))
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not in the cache"),
            Self::Damaged(what) => write!(f, "damaged in the cache: {what}"),
            Self::Unreadable(what) => write!(f, "not readable in the cache: {what}"),
        }
    }
}

/// A cache in use. Nobody can prune it until this value is dropped.
#[derive(Debug)]
pub struct Cache {
    kept: Option<Home>,
    scratch: PathBuf,
    spill: Mutex<Spill>,
}

/// Where entries go if there is no kept cache, or from when on it takes no more.
#[derive(Debug, Default)]
struct Spill {
    home: Option<Arc<Home>>,
    warnings: Vec<String>,
}

impl Cache {
    /// Opens the cache at `place`, which is made if it is not there. Waits while it is being pruned,
    /// and tells `observe` so.
    pub fn open(place: &Place, observe: &Observer<'_>, cancel: &Cancel) -> Result<Self, Error> {
        let Place { folder, scratch } = place;
        fs::sweep(scratch);
        let mut spill = Spill::default();
        let kept = match folder.as_deref().map(|at| Home::open(at, observe, cancel)) {
            None => None,
            Some(Ok(home)) => Some(home),
            Some(Err(Error::Fs(error))) => {
                spill.warnings.push(format!(
                    "{}: prebuild runs without a cache",
                    with_cause(&error)
                ));
                None
            }
            Some(Err(error)) => return Err(error),
        };
        Ok(Self {
            kept,
            scratch: scratch.clone(),
            spill: Mutex::new(spill),
        })
    }

    /// Looks for an entry, and notes that it was used.
    pub fn lookup(&self, bucket: Bucket, key: &Digest) -> Lookup {
        let mut reason = MissReason::Absent;
        let spilled = self.spill().home.clone();
        for home in self.kept.iter().chain(spilled.as_deref()) {
            match home.lookup(bucket, key) {
                Ok(entry) => return Lookup::Hit(entry),
                Err(MissReason::Absent) => {}
                Err(why) => reason = why,
            }
        }
        Lookup::Miss(reason)
    }

    /// Makes an entry: `fill` puts files, and nothing else, into the folder that it is given. If
    /// someone else has made it meanwhile, theirs is used. In [`Bucket::Wheels`] there is one `.whl`,
    /// whose SHA-256 must be `key`.
    ///
    /// If the cache cannot be written (no room, no right to), that becomes one of the
    /// [`warnings`](Self::warnings), `fill` is called once more with a temporary folder, and so it is
    /// for all entries that follow.
    pub fn insert<E>(
        &self,
        bucket: Bucket,
        key: &Digest,
        fill: impl Fn(&Path) -> Result<(), E>,
    ) -> Result<Entry, E>
    where
        E: std::error::Error + From<Error> + 'static,
    {
        let gave_up = self.spill().home.is_some();
        if let (Some(kept), false) = (&self.kept, gave_up) {
            let made = kept.insert(bucket, key, &fill);
            match made.as_ref().err().and_then(|error| unwritable(error)) {
                Some(cause) => self.give_up(kept, cause),
                None => return made,
            }
        }
        self.temporary()?.insert(bucket, key, &fill)
    }

    /// Removes what processes that were killed left where temporary folders are.
    pub(crate) fn sweep(&self) {
        fs::sweep(&self.scratch);
    }

    /// A folder for what becomes no entry yet, removed with the value.
    pub(crate) fn scratch(&self) -> Result<fs::TempDir, Error> {
        Ok(fs::temp_dir(&self.scratch)?)
    }

    /// Makes an entry one that must be made anew: its contents turned out to be wrong. Its files stay
    /// until then.
    pub fn evict(&self, bucket: Bucket, key: &Digest) {
        let spilled = self.spill().home.clone();
        for home in self.kept.iter().chain(spilled.as_deref()) {
            home.evict(bucket, key);
        }
    }

    /// As [`evict`](Self::evict), for the entry that has the file at `path`.
    pub fn evict_holding(&self, path: &Path) {
        let spilled = self.spill().home.clone();
        for home in self.kept.iter().chain(spilled.as_deref()) {
            home.evict_holding(path);
        }
    }

    /// What kept the cache from being used, so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.spill().warnings.clone()
    }

    fn spill(&self) -> std::sync::MutexGuard<'_, Spill> {
        // Each change of it is whole at once.
        self.spill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The temporary cache, made if there is none.
    fn temporary(&self) -> Result<Arc<Home>, Error> {
        let mut spill = self.spill();
        if let Some(home) = &spill.home {
            return Ok(Arc::clone(home));
        }
        let home = Arc::new(Home::temporary(&self.scratch)?);
        spill.home = Some(Arc::clone(&home));
        Ok(home)
    }

    /// Notes, once, that nothing more goes into the kept cache.
    fn give_up(&self, kept: &Home, cause: &io::Error) {
        let mut spill = self.spill();
        if spill.home.is_none() && spill.warnings.is_empty() {
            spill.warnings.push(format!(
                "cannot write to the cache `{}`: {cause}. New entries are not cached",
                kept.root().display()
            ));
        }
    }
}

/// The cause of an error if it is one that a temporary folder elsewhere may not have.
fn unwritable<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::PermissionDenied
            )
        })
}

/// The whole of an error on one line.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
