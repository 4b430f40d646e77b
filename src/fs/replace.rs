//! Files that replace others only once they are complete.
//!
//! A file has no name until then, where the file system allows that. What takes the place of something
//! goes through a [`TempDir`] beside it, as `new`, by one exchange of names, after which what was there
//! is `new`. Without an exchange, what was there becomes `old` before; a directory's name leads nowhere
//! between the two renames, and [`recover`] ends what a killed process was halfway through.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

use super::temp::{TempDir, hidden_dir};
use super::{
    Error, Result, at, copy, create_new, hard_link, list, metadata, read_at_most, remove_file,
    rename, rename_away, split, write_new,
};

/// What is whole, in its [`TempDir`].
pub(crate) const NEW: &str = "new";
/// What was there before.
pub(crate) const OLD: &str = "old";
/// The name of the directory that became [`OLD`], while its own name may lead nowhere.
const REPLACES: &str = "replaces";
/// There while the contents of the directory above become those of [`OLD`].
pub(crate) const LEAVING: &str = "leaving";
/// There, in its place, while those of [`NEW`] come.
pub(crate) const COMING: &str = "coming";

/// A file that becomes `path` when it is whole.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    /// Where its name is, if it has one.
    made: Option<TempDir>,
    placed: Option<Placed>,
}

/// How something got its name, and so how it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Nothing was there.
    Added,
    /// What was there is [`NEW`].
    Exchanged,
    /// What was there is [`OLD`].
    Moved,
}

/// Opens a new file that becomes `path` with [`NewFile::place`], and is gone with the value before.
///
/// Its mode is that of a file like any other: the umask decides.
pub(crate) fn new_file(path: &Path) -> Result<NewFile> {
    let (folder, _) = split(path);
    if let Some(file) = nameless(&folder) {
        return Ok(NewFile {
            file,
            path: path.to_path_buf(),
            made: None,
            placed: None,
        });
    }
    let made = hidden_dir(&folder)?;
    let file = create_new(&made.path().join(NEW))?;
    Ok(NewFile {
        file,
        path: path.to_path_buf(),
        made: Some(made),
        placed: None,
    })
}

/// A file without a name, where the file system has such and can name it later.
fn nameless(folder: &Path) -> Option<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?);
    metadata(&by_number(&file)).is_ok().then_some(file)
}

/// The path by which a file without a name is named.
fn by_number(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Gives a file without a name one that is not taken.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let from = by_number(file);
    rustix::fs::linkat(CWD, &from, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

impl NewFile {
    /// Where it will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name. Readers see the old file or the whole new one.
    pub(crate) fn place(&mut self) -> Result<()> {
        if self.made.is_none() {
            match name(&self.file, &self.path) {
                Ok(()) => {
                    self.placed = Some(Placed::Added);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(at("move into place", &self.path)(error)),
            }
        }
        let made = if let Some(made) = self.made.take() {
            made
        } else {
            let (folder, _) = split(&self.path);
            let made = hidden_dir(&folder)?;
            let new = made.path().join(NEW);
            name(&self.file, &new).map_err(at("create", &new))?;
            made
        };
        let made = self.made.insert(made);
        self.placed = Some(place(made, &self.path)?);
        Ok(())
    }

    /// Undoes [`place`](Self::place): what was there before is there again.
    pub(crate) fn take_back(&mut self) -> Result<()> {
        match (self.placed.take(), &self.made) {
            (None, _) => Ok(()),
            (Some(placed), Some(made)) => take_back(made, &self.path, placed),
            (Some(_), None) => remove_file(&self.path),
        }
    }

    /// Leaves what was there before where it lies: it could not be put back.
    pub(crate) fn keep(self) -> PathBuf {
        self.made.map_or(self.path, |mut made| made.keep())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Gives `new` in `made`, a directory beside `path`, this name.
pub(crate) fn place(made: &TempDir, path: &Path) -> Result<Placed> {
    let (new, old) = (made.path().join(NEW), made.path().join(OLD));
    let Ok(there) = metadata(path) else {
        rename(&new, path)?;
        return Ok(Placed::Added);
    };
    if exchange(&new, path)? {
        return Ok(Placed::Exchanged);
    }
    if there.is_dir() {
        let name = path.file_name().unwrap_or_default();
        write_new(&made.path().join(REPLACES), name.as_bytes())?;
        rename_away(path, &old)?;
        if let Err(error) = rename(&new, path) {
            return Err(rename(&old, path).err().unwrap_or(error));
        }
    } else {
        hard_link(path, &old).or_else(|_| copy(path, &old))?;
        rename(&new, path)?;
    }
    Ok(Placed::Moved)
}

/// Undoes [`place`].
pub(crate) fn take_back(made: &TempDir, path: &Path, placed: Placed) -> Result<()> {
    let (new, old) = (made.path().join(NEW), made.path().join(OLD));
    match placed {
        Placed::Added => rename(path, &new),
        Placed::Exchanged => exchange(&new, path).map(drop),
        Placed::Moved => {
            if metadata(path)?.is_dir() {
                rename_away(path, &new)?;
            }
            rename(&old, path)
        }
    }
}

/// Exchanges the names of two things in one step; `false` where the file system or the kernel cannot.
fn exchange(a: &Path, b: &Path) -> Result<bool> {
    use rustix::io::Errno;
    match rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(Error::new("move into place", b, error.into())),
    }
}

/// Ends what the process was halfway through that left the temporary directory `made`.
pub(super) fn recover(made: &Path) -> Result<()> {
    let (above, _) = split(made);
    let (new, old) = (made.join(NEW), made.join(OLD));
    if let Ok(name) = read_at_most(&made.join(REPLACES), 255)
        && let name = PathBuf::from(OsString::from_vec(name))
        && name.file_name() == Some(name.as_os_str())
        && metadata(&old).is_ok_and(|found| found.is_dir())
        && is_absent(&above.join(&name))
    {
        rename(&old, &above.join(&name))?;
    }
    if metadata(&made.join(LEAVING)).is_ok() {
        move_all(&old, &above)?;
    } else if metadata(&made.join(COMING)).is_ok() {
        move_all(&new, &above)?;
    }
    Ok(())
}

fn is_absent(path: &Path) -> bool {
    metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Moves what is in a directory to another one, but for names that are taken there.
fn move_all(from: &Path, to: &Path) -> Result<()> {
    if is_absent(from) {
        return Ok(());
    }
    for name in list(from)? {
        if is_absent(&to.join(&name)) {
            rename(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{create_dir, names, read, sweep, symlink, temp_dir};

    fn above() -> TempDir {
        temp_dir(Path::new("/tmp")).unwrap()
    }

    /// A new file of these bytes, without a name or with one.
    fn file(path: &Path, bytes: &[u8], named: bool) -> NewFile {
        let mut file = new_file(path).unwrap();
        if named {
            let made = temp_dir(&split(path).0).unwrap();
            file.file = create_new(&made.path().join(NEW)).unwrap();
            file.made = Some(made);
        }
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_file_appears_and_is_taken_back() {
        for (named, before) in [
            (false, None),
            (true, None),
            (false, Some("old")),
            (true, Some("old")),
        ] {
            let above = above();
            let path = above.path().join("file");
            if let Some(text) = before {
                write_new(&path, text.as_bytes()).unwrap();
            }
            let mut new = file(&path, b"new", named);
            new.place().unwrap();
            assert_eq!(read(&path).unwrap(), b"new");
            new.take_back().unwrap();
            let now = read(&path).ok();
            assert_eq!(now.as_deref(), before.map(str::as_bytes), "{named}");
            drop(new);
            assert_eq!(
                names(above.path()).unwrap().len(),
                usize::from(before.is_some())
            );
            let mut new = file(&path, b"new", named);
            new.place().unwrap();
            drop(new);
            assert_eq!(read(&path).unwrap(), b"new");
            assert_eq!(names(above.path()).unwrap(), ["file"]);
        }
    }

    #[test]
    fn a_file_without_its_name_leaves_nothing() {
        let above = above();
        for named in [false, true] {
            drop(file(&above.path().join("file"), b"new", named));
            assert!(names(above.path()).unwrap().is_empty());
        }
    }

    /// Without an exchange of names, a directory's name leads nowhere for a moment.
    #[test]
    fn a_directory_that_was_moved_away_comes_back() {
        for (step, text) in [(0, "old"), (1, "old"), (2, "new")] {
            let above = above();
            let path = above.path().join("target");
            create_dir(&path).unwrap();
            write_new(&path.join("file"), b"old").unwrap();
            let made = temp_dir(above.path()).unwrap();
            let (new, old) = (made.path().join(NEW), made.path().join(OLD));
            create_dir(&new).unwrap();
            write_new(&new.join("file"), b"new").unwrap();
            write_new(&made.path().join(REPLACES), b"target").unwrap();
            if step > 0 {
                rename(&path, &old).unwrap();
            }
            if step > 1 {
                rename(&new, &path).unwrap();
            }
            made.kill();
            sweep(above.path());
            assert_eq!(names(above.path()).unwrap(), ["target"]);
            assert_eq!(read(&path.join("file")).unwrap(), text.as_bytes(), "{step}");
        }
    }

    /// Only a name beside the temporary directory is put back.
    #[test]
    fn no_other_place_is_written() {
        for name in ["../escaped", "/tmp/escaped", "..", ".", "", "a/b"] {
            let above = above();
            let inner = above.path().join("inner");
            create_dir(&inner).unwrap();
            let made = temp_dir(&inner).unwrap();
            create_dir(&made.path().join(OLD)).unwrap();
            write_new(&made.path().join(REPLACES), name.as_bytes()).unwrap();
            made.kill();
            sweep(&inner);
            assert_eq!(names(above.path()).unwrap(), ["inner"], "{name}");
            assert!(names(&inner).unwrap().is_empty(), "{name}");
        }
    }

    #[test]
    fn names_are_exchanged() {
        let above = above();
        let at = |name: &str| above.path().join(name);
        create_dir(&at("a")).unwrap();
        symlink("nowhere", &at("b")).unwrap();
        if exchange(&at("a"), &at("b")).unwrap() {
            assert!(metadata(&at("b")).unwrap().is_dir());
        }
        assert!(exchange(&at("a"), &at("c")).is_err());
    }
}
