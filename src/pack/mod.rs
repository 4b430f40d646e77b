//! Trees to bytes. The same tree gives the same bytes on every machine, on every day.
//!
//! What decides them: the tree, the format, the fixed time, and [`FORMAT_VERSION`]. How many
//! threads there are, who runs it and when does not.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::diagnosis::{Diagnosis, Kind};
use crate::digest::Digest;
use crate::event::{Cancel, Event, Observer};
use crate::fs;
use crate::tree::{RelPath, Tree};
use serde::{Deserialize, Serialize};

mod bits;
mod directory;
mod format;
mod groups;
mod gzip;
mod members;
mod output;
mod sink;
mod staged;
mod tar;
mod zip;

pub use format::{Format, UnknownFormat};
pub use output::{Output, ParseOutputError};
pub use staged::Staged;

/// The version of the byte format. The golden digests in the tests change only together with it.
pub const FORMAT_VERSION: u32 = 2;

/// The time that entries have unless the caller gives one: 1980-01-01 00:00:01 UTC, in seconds
/// since 1970.
///
/// Not 0: a zip cannot hold years before 1980, and neither can the wheels that are built with this
/// as `SOURCE_DATE_EPOCH`. Not on the full hour of that year's first second either: some tools
/// take what a zip holds for local time, and west of Greenwich that would be 1979.
pub const DEFAULT_MTIME: u64 = 315_532_801;

/// The level of zstd's compression: its own default.
const ZSTD_LEVEL: i32 = 3;

/// How to write.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time of every entry, in seconds since 1970.
    pub mtime: u64,
    /// Whether a folder that is not empty is replaced.
    pub force: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mtime: DEFAULT_MTIME,
            force: false,
        }
    }
}

/// Something that was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Packed {
    /// The file or folder; `-` for a writer.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
    /// Its size in bytes; of a folder, that of all its files together.
    pub size: u64,
    /// The SHA-256 of the file; a folder has none.
    pub digest: Option<Digest>,
}

/// Why an artifact could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder that holds something already.
    #[error("the directory `{}` is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// A folder that cannot be replaced, or not without what is mounted in it.
    #[error("cannot replace the directory `{}`: `{}` is a mount point", path.display(), mount.display())]
    Mounted {
        /// The folder.
        path: PathBuf,
        /// Where in it.
        mount: PathBuf,
    },
    /// A folder that was to be replaced, and neither got its new contents nor its old ones back.
    #[error("the directory `{}` is incomplete: the rest is in `{}`", path.display(), left.display())]
    Stranded {
        /// The folder.
        path: PathBuf,
        /// Where the rest of its old contents is, under `old`, and that of its new ones, under `new`.
        left: PathBuf,
        /// The cause.
        #[source]
        source: fs::Error,
    },
    /// An output that has its new contents although another one failed.
    #[error("cannot restore `{}`: its old contents are in `{}`", path.display(), left.display())]
    NotRestored {
        /// The output.
        path: PathBuf,
        /// The directory that has its old contents.
        left: PathBuf,
        /// The cause.
        #[source]
        source: fs::Error,
    },
    /// Something that is neither a file nor a folder.
    #[error("`{}` is neither a file nor a directory", .0.display())]
    Special(PathBuf),
    /// A file where a folder should be, or the other way round.
    #[error("`{}` exists and is not a {expected}", path.display())]
    Occupied {
        /// What is there.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The same output twice.
    #[error("`{}` is named twice", .0.display())]
    Twice(PathBuf),
    /// Two paths that the folder's file system takes for one.
    #[error("`{}` cannot hold both `{a}` and `{b}`: its file system ignores case", path.display())]
    IgnoresCase {
        /// The folder.
        path: PathBuf,
        /// The one.
        a: RelPath,
        /// The other.
        b: RelPath,
    },
    /// The bytes could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The output.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// An archive did not get into its writer whole.
    #[error("cannot write the archive, of which its writer may hold a part")]
    Writer {
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A wheel holds other bytes than when it was checked.
    #[error("`{}` has changed since it was checked", .0.display())]
    Damaged(PathBuf),
    /// The file system.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// The caller threw the switch.
    #[error("interrupted")]
    Cancelled,
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Fs(error) => Some(error),
            Self::Writer { source } => Some(source.as_ref()),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NotEmpty(_)
            | Self::Mounted { .. }
            | Self::Special(_)
            | Self::Occupied { .. }
            | Self::Twice(_) => Kind::Request,
            Self::Cancelled => Kind::Cancelled,
            _ => self.wrapped().map_or(Kind::Build, Diagnosis::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotEmpty(_) => "to replace its contents, pass `--force`",
            Self::Mounted { .. } => "unmount it, or write elsewhere with `-o`",
            Self::Special(_) | Self::Occupied { .. } => "name another output with `-o`",
            Self::IgnoresCase { .. } => "write an archive instead",
            Self::NotRestored { .. } => "move them back",
            Self::Write { source, .. } => return hint(source.kind()),
            Self::Fs(error) => return hint(error.kind()),
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}

/// What the user can do about a call that failed.
fn hint(kind: io::ErrorKind) -> Option<String> {
    let hint = match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free disk space there, or write elsewhere with `-o`"
        }
        io::ErrorKind::NotFound => "create the directory, or write elsewhere with `-o`",
        io::ErrorKind::FileTooLarge => {
            "raise the limit on the size of files: `ulimit -f unlimited`"
        }
        io::ErrorKind::WouldBlock => "raise the limit on processes and threads: `ulimit -u`",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Finds out, before anything is built, whether the outputs can be written.
pub fn check(outputs: &[Output], options: &Options) -> Result<(), Error> {
    let files = || outputs.iter().filter(|output| !output.is_writer());
    refuse_twice(files().map(Output::path))?;
    for output in files() {
        let path = output.path();
        match (fs::exists(path), output.format()) {
            (Some(found), Format::Directory) if !found.is_dir() => {
                return Err(Error::Occupied {
                    path: path.to_path_buf(),
                    expected: "directory",
                });
            }
            (Some(_), Format::Directory) if !options.force && !fs::list(path)?.is_empty() => {
                return Err(Error::NotEmpty(path.to_path_buf()));
            }
            (Some(_), Format::Directory) => directory::refuse_mounts(&real(path)?)?,
            (Some(found), _) if found.is_dir() => {
                return Err(Error::Occupied {
                    path: path.to_path_buf(),
                    expected: "file",
                });
            }
            (Some(found), _) if !found.is_file() => {
                return Err(Error::Special(path.to_path_buf()));
            }
            _ => {}
        }
        let path = real(path)?;
        // Made and removed again: only this tells whether one may write there.
        match output.format() {
            Format::Directory => drop(directory::beside(&path)?),
            _ => drop(fs::new_file(&path)?),
        }
    }
    Ok(())
}

/// Refuses to write one path twice.
pub(crate) fn refuse_twice<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
    let mut known = BTreeSet::new();
    match paths.into_iter().find(|path| !known.insert(*path)) {
        Some(path) => Err(Error::Twice(path.to_path_buf())),
        None => Ok(()),
    }
}

/// Removes what builds that were killed left beside the outputs, and puts back what they had moved
/// out of the way.
pub(crate) fn sweep(outputs: &[Output]) {
    for output in outputs.iter().filter(|output| !output.is_writer()) {
        let Ok(path) = real(output.path()) else {
            continue;
        };
        let (above, _) = fs::split(&path);
        fs::sweep(&above);
        if output.format() == Format::Directory {
            fs::sweep(&path);
        }
    }
}

/// Where a path leads: an output that is a link replaces what it points to.
fn real(path: &Path) -> Result<PathBuf, fs::Error> {
    match fs::exists(path) {
        Some(_) => fs::canonicalize(path),
        None => Ok(path.to_path_buf()),
    }
}

/// Writes the outputs. All of them are whole before the first gets its name; on failure none is
/// there, and nothing that was made on the way. What pays to be kept for other builds goes into
/// `cache`, if there is one.
pub fn pack(
    tree: &Tree,
    outputs: &[Output],
    options: &Options,
    cache: Option<&Cache>,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Vec<Packed>, Error> {
    let mut staged = Staged::new();
    let packed = staged.add(tree, outputs, options, cache, observe, cancel)?;
    staged.place(cancel)?;
    Ok(packed)
}

/// Tells how far packing is, and stops it.
struct Meter<'a> {
    observe: &'a Observer<'a>,
    cancel: &'a Cancel,
    total: u64,
    done: std::sync::atomic::AtomicU64,
}

impl Meter<'_> {
    /// One that counts nothing and stops all the same.
    fn silent(&self) -> Meter<'_> {
        Meter {
            observe: &|_| {},
            cancel: self.cancel,
            total: 0,
            done: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// Counts bytes of contents that were packed; fails once the caller has thrown the switch.
    fn advance(&self, bytes: u64) -> io::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let before = self
            .done
            .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        (self.observe)(&Event::Packed {
            done: before + bytes,
            total: self.total,
        });
        Ok(())
    }

    /// What a failure while writing `path` means: an error of our own is inside where contents
    /// could not be read.
    fn error(&self, path: &Path, source: io::Error) -> Error {
        if self.cancel.is_cancelled() {
            return Error::Cancelled;
        }
        let source = match source.downcast::<fs::Error>() {
            Ok(error) => return Error::Fs(error),
            Err(source) => source,
        };
        match source.downcast::<members::Damaged>() {
            Ok(members::Damaged(archive)) => Error::Damaged(archive),
            Err(source) => Error::Write {
                path: path.to_path_buf(),
                source,
            },
        }
    }
}

/// Refuses a tree that a folder's file system cannot hold.
fn refuse_collisions(tree: &Tree, folder: &Path) -> Result<(), Error> {
    let collisions = tree.case_collisions();
    let Some((a, b)) = collisions.into_iter().next() else {
        return Ok(());
    };
    if fs::ignores_case(folder)? {
        return Err(Error::IgnoresCase {
            path: folder.to_path_buf(),
            a,
            b,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
