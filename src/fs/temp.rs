//! Temporary directories, and removing those of processes that were killed.
//!
//! A directory `prebuild-NAME` has a file `prebuild-NAME.lock` beside it, which its process made
//! before it and holds a lock on. So a directory whose lock nobody holds was left behind, and
//! [`sweep`] removes it; what has no such file is not prebuild's.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::{Result, at, canonicalize, list, metadata, mounts, remove_all, split};

/// What the names of temporary directories begin with. Sources are built in these: some tools pass over
/// what lies below a hidden directory.
const PREFIX: &str = "prebuild-";
/// The same where users look: beside outputs.
const HIDDEN: &str = ".prebuild.";
const LOCK: &str = ".lock";
/// How many letters and digits follow the prefix.
const LETTERS: usize = 12;
/// How many names are tried.
const TRIES: u32 = 100;

/// A directory for this user only, removed with the value.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    /// `None` for a directory that someone else made.
    lock: Option<Lock>,
    kept: bool,
}

#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

/// A new empty directory in `parent`, for this user only whatever the umask is, removed with the
/// value, or by [`sweep`] if this process is killed before.
pub(crate) fn temp_dir(parent: &Path) -> Result<TempDir> {
    new(parent, PREFIX)
}

/// The same with a hidden name.
pub(crate) fn hidden_dir(parent: &Path) -> Result<TempDir> {
    new(parent, HIDDEN)
}

fn new(parent: &Path, prefix: &str) -> Result<TempDir> {
    let failed = || at("create a temporary directory in", parent);
    for _ in 0..TRIES {
        let path = parent.join(format!("{prefix}{}", letters().map_err(failed())?));
        let Some(lock) = Lock::new(beside(&path)).map_err(failed())? else {
            continue;
        };
        let made = TempDir {
            path,
            lock: Some(lock),
            kept: false,
        };
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&made.path)
            .and_then(|()| std::fs::set_permissions(&made.path, mode(0o700)))
            .map_err(failed())?;
        return Ok(made);
    }
    Err(failed()(io::ErrorKind::AlreadyExists.into()))
}

fn mode(bits: u32) -> std::fs::Permissions {
    std::fs::Permissions::from_mode(bits)
}

/// Random letters and digits: names must differ, and need not be hard to guess.
fn letters() -> io::Result<String> {
    const ALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = [0; LETTERS];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if count < LETTERS {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let letter = |byte: &u8| char::from(ALL[usize::from(*byte) % ALL.len()]);
    Ok(bytes.iter().map(letter).collect())
}

/// The lock file of a temporary directory.
fn beside(path: &Path) -> PathBuf {
    let (folder, name) = split(path);
    folder.join(format!("{name}{LOCK}"))
}

impl Lock {
    /// A new lock; `None` if the name is taken, or was taken away meanwhile.
    fn new(path: PathBuf) -> io::Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::EXIST) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let lock = Self { path, file };
        // A file system without locks is none where another process could take this one.
        if let Err(rustix::io::Errno::WOULDBLOCK) =
            flock(&lock.file, FlockOperation::NonBlockingLockExclusive)
        {
            return Ok(None);
        }
        // Between the two calls someone else may have taken it for a leftover.
        Ok((lock.file.metadata()?.nlink() > 0).then_some(lock))
    }

    /// The lock of a directory that was left behind; `None` if someone holds it, or if it is not
    /// this user's, or no lock file.
    fn left(path: PathBuf) -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::empty()).ok()?);
        let lock = Self { path, file };
        let is_lock = |found: &std::fs::Metadata| {
            found.is_file() && found.len() == 0 && found.nlink() == 1 && is_own(found)
        };
        if !is_lock(&lock.file.metadata().ok()?) {
            return None;
        }
        flock(&lock.file, FlockOperation::NonBlockingLockExclusive).ok()?;
        // It may be removed by now, and the name another one's.
        let (held, named) = (lock.file.metadata().ok()?, metadata(&lock.path).ok()?);
        (is_lock(&held) && held.ino() == named.ino() && held.dev() == named.dev()).then_some(lock)
    }
}

fn is_own(found: &std::fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

impl TempDir {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory where it is, as nobody's: it is not swept.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }

    /// Does what a process does with it that is killed: nothing, but for the lock.
    #[cfg(test)]
    pub(crate) fn kill(mut self) {
        self.lock = None;
        std::mem::forget(self);
    }

    /// Has child processes hold the lock too: as long as one of them lives, the directory is in use.
    pub(crate) fn share(self) -> Self {
        if let Some(lock) = &self.lock {
            // Fails for no file that is open.
            let _ = rustix::io::fcntl_setfd(&lock.file, rustix::io::FdFlags::empty());
        }
        self
    }

    /// The name of the directory or of its lock file, for whoever lists the directory above.
    pub(crate) fn is_named(&self, name: &std::ffi::OsStr) -> bool {
        let of = |path: &Path| path.file_name() == Some(name);
        of(&self.path) || self.lock.as_ref().is_some_and(|lock| of(&lock.path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // The lock file goes last: until then, what cannot be removed now is swept later.
        let is_done = self.kept || remove_tree(&self.path).is_ok();
        if let Some(lock) = &self.lock
            && is_done
        {
            let _ = std::fs::remove_file(&lock.path);
        }
    }
}

/// A directory that something else made and nobody sweeps.
impl From<tempfile::TempDir> for TempDir {
    fn from(made: tempfile::TempDir) -> Self {
        Self {
            path: made.keep(),
            lock: None,
            kept: false,
        }
    }
}

/// Removes a directory, also one with directories that their owner may not write.
fn remove_tree(path: &Path) -> Result<()> {
    let Err(error) = remove_all(path) else {
        return Ok(());
    };
    match error.kind() {
        io::ErrorKind::NotFound => return Ok(()),
        io::ErrorKind::PermissionDenied => {}
        _ => return Err(error),
    }
    // A directory is listed only after it was made readable.
    for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
        if entry.file_type().is_dir() {
            let _ = std::fs::set_permissions(entry.path(), mode(0o700));
        }
    }
    remove_all(path)
}

/// Removes from `folder` what processes left behind that were killed, and ends what they were
/// halfway through. Never what is in use, what another user owns, or what has no lock file. What
/// cannot be removed stays.
pub(crate) fn sweep(folder: &Path) {
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    for name in list(folder).unwrap_or_default() {
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(LOCK)) else {
            continue;
        };
        let letters = [PREFIX, HIDDEN]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        let is_ours = letters.is_some_and(|letters| {
            letters.len() == LETTERS
                && letters
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
        if !is_ours {
            continue;
        }
        let path = folder.join(name);
        let Some(lock) = Lock::left(beside(&path)) else {
            continue;
        };
        match metadata(&path) {
            Ok(found) if found.is_dir() && is_own(&found) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Not what was made for this lock.
            _ => continue,
        }
        // What is mounted there would be removed with it.
        let is_mounted = canonicalize(&path)
            .is_ok_and(|path| mounts().iter().any(|mount| mount.starts_with(&path)));
        if is_mounted {
            continue;
        }
        // What cannot be ended now stays as it is, for the next time.
        if super::replace::recover(&path).is_ok() {
            drop(TempDir {
                path,
                lock: Some(lock),
                kept: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        super::super::names(folder).unwrap()
    }

    #[test]
    fn a_directory_is_for_its_user_only_and_goes_with_its_value() {
        let above = temp_dir(Path::new("/tmp")).unwrap();
        let made = temp_dir(above.path()).unwrap();
        assert_eq!(metadata(made.path()).unwrap().mode() & 0o7777, 0o700);
        let name = made
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(names(above.path()), [name.clone(), format!("{name}.lock")]);
        std::fs::create_dir_all(made.path().join("a/b")).unwrap();
        drop(made);
        assert_eq!(names(above.path()), [""; 0]);
    }

    #[test]
    fn what_was_left_is_swept_and_what_is_in_use_is_not() {
        let above = temp_dir(Path::new("/tmp")).unwrap();
        let used = hidden_dir(above.path()).unwrap();
        let outside = temp_dir(Path::new("/tmp")).unwrap();
        std::fs::write(outside.path().join("precious"), "").unwrap();
        let left = temp_dir(above.path()).unwrap();
        std::fs::create_dir(left.path().join("closed")).unwrap();
        std::fs::write(left.path().join("closed/file"), "").unwrap();
        symlink(outside.path(), left.path().join("closed/link")).unwrap();
        std::fs::set_permissions(left.path().join("closed"), mode(0)).unwrap();
        left.kill();
        sweep(above.path());
        let name = used
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(names(above.path()), [name.clone(), format!("{name}.lock")]);
        assert_eq!(names(outside.path()), ["precious"]);
    }

    /// What only looks like a leftover is not touched.
    #[test]
    fn what_others_made_is_not_swept() {
        let above = temp_dir(Path::new("/tmp")).unwrap();
        let at = |name: &str| above.path().join(name);
        let make = |name: &str, with: &str| {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("file"), "").unwrap();
            std::fs::write(at(&format!("{name}.lock")), with).unwrap();
        };
        // No lock file, another name, a lock file with something in it.
        std::fs::create_dir(at(".prebuild.aaaaaaaaaaaa")).unwrap();
        make(".prebuild.foo", "");
        make("prebuild-foo", "");
        make(".prebuild.bbbbbbbbbbbB", "");
        make(".prebuild.cccccccccccc", "text");
        // A lock that is a link, a directory, a pipe; one whose directory is a file or a link.
        std::fs::create_dir(at(".prebuild.dddddddddddd")).unwrap();
        std::fs::write(at("empty"), "").unwrap();
        symlink(at("empty"), at(".prebuild.dddddddddddd.lock")).unwrap();
        std::fs::create_dir(at(".prebuild.eeeeeeeeeeee.lock")).unwrap();
        std::fs::write(at(".prebuild.ffffffffffff.lock"), "").unwrap();
        std::fs::write(at(".prebuild.ffffffffffff"), "").unwrap();
        std::fs::write(at(".prebuild.gggggggggggg.lock"), "").unwrap();
        symlink(at(".prebuild.foo"), at(".prebuild.gggggggggggg")).unwrap();
        std::fs::hard_link(at("empty"), at(".prebuild.hhhhhhhhhhhh.lock")).unwrap();
        let fifo = at(".prebuild.iiiiiiiiiiii.lock");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::from_raw_mode(0o600)).unwrap();
        let before = names(above.path());
        sweep(above.path());
        assert_eq!(names(above.path()), before);
        assert_eq!(names(&at(".prebuild.foo")), ["file"]);
        assert_eq!(names(&at(".prebuild.cccccccccccc")), ["file"]);
    }

    /// A lock file whose directory was not made yet, or is removed already.
    #[test]
    fn a_lock_file_alone_is_swept() {
        let above = temp_dir(Path::new("/tmp")).unwrap();
        std::fs::write(above.path().join(".prebuild.aaaaaaaaaaaa.lock"), "").unwrap();
        sweep(above.path());
        assert_eq!(names(above.path()), [""; 0]);
    }
}
