//! The file system, with errors that say what was being done to which path.
//!
//! [`std::io::Error`] knows neither, so nothing else in the crate calls `std::fs` (clippy's
//! `disallowed-methods` holds us to it). What is written appears whole or not at all.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place that may call `std::fs`"
)]

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(crate) mod replace;
pub(crate) mod temp;

pub(crate) use replace::{NewFile, new_file};
pub use temp::TempDir;
pub(crate) use temp::{hidden_dir, sweep, temp_dir};

use crate::diagnosis::Diagnosis;
use crate::event::Cancel;

/// A file system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct Error {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Error {
    /// Makes an error: what was being done (`read`), to which path, and why it failed.
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self {
            action,
            path: path.into(),
            source,
        }
    }

    /// The path that the call was about.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl Diagnosis for Error {}

/// The crate's file system result.
pub type Result<T> = std::result::Result<T, Error>;

/// A closure for `map_err` that adds the verb and the path.
fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::new(action, path, source)
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    read_to(path, u64::MAX)
}

/// Reads a file of at most `limit` bytes. One that is longer, a link, or no file, is
/// [`InvalidData`](io::ErrorKind::InvalidData).
pub(crate) fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let found = metadata(path)?;
    if !found.is_file() {
        return Err(at("read", path)(no_file()));
    }
    read_to(path, limit)
}

/// As [`read_at_most`], links followed.
pub(crate) fn read_to(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(at("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(at("read", path)(too_long(limit)));
    }
    Ok(bytes)
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file")
}

fn too_long(limit: u64) -> io::Error {
    let what = format!("it is longer than {} MB", limit >> 20);
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads at most `limit` bytes from what need not be a file: a pipe, as a shell's `<(…)` is, or a device.
/// Waits for whoever writes to it until `cancel` is thrown, which is
/// [`Interrupted`](io::ErrorKind::Interrupted).
pub(crate) fn read_any(path: &Path, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
    let file = open_any(path)?;
    read_stream(&file, limit, cancel).map_err(at("read", path))
}

/// Reads at most `limit` bytes from an open file of any kind. Waits for a writer until `cancel` is thrown,
/// which is [`Interrupted`](io::ErrorKind::Interrupted).
pub fn read_stream(
    mut file: impl AsFd + io::Read,
    limit: u64,
    cancel: &Cancel,
) -> io::Result<Vec<u8>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let ready = poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&tick));
        match ready {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > limit {
            return Err(too_long(limit));
        }
    }
}

/// Opens a regular file for reading.
pub fn open_for_reading(path: &Path) -> Result<File> {
    open(path)
}

/// Reads a regular file of at most `limit` bytes, links followed.
pub fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_to(path, limit)
}

/// What is at a path, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// Anything else.
    File,
}

/// What is at `path`; `None` if nothing is.
#[must_use]
pub fn kind(path: &Path) -> Option<Kind> {
    let found = exists(path)?;
    Some(if found.is_dir() {
        Kind::Folder
    } else {
        Kind::File
    })
}

/// Checks that temporary files can be written below `folder`.
pub fn check_scratch(folder: &Path) -> Result<()> {
    temp::temp_dir(folder).map(drop)
}

/// Writes a file, which appears whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let (folder, _) = split(path);
    sweep(&folder);
    let mut file = new_file(path)?;
    file.write_all(bytes).map_err(at("write", path))?;
    file.place()
}

/// The names in a folder that are UTF-8, sorted.
pub fn names(path: &Path) -> Result<Vec<String>> {
    let names = list(path)?;
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect())
}

/// Opens a regular file, or a folder, for reading, links followed; anything else is
/// [`InvalidData`](io::ErrorKind::InvalidData). Nobody waits for the other end of a pipe, nor reads a device
/// that never ends.
pub(crate) fn open(path: &Path) -> Result<File> {
    let file = open_any(path)?;
    let found = file.metadata().map_err(at("open", path))?;
    if !found.is_file() && !found.is_dir() {
        return Err(at("open", path)(no_file()));
    }
    Ok(file)
}

/// Opens whatever is at `path`, without waiting for anybody.
fn open_any(path: &Path) -> Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(at("open", path))
}

/// Opens `path` and goes to `offset`.
pub(crate) fn open_at(path: &Path, offset: u64) -> Result<File> {
    let mut file = open(path)?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))
            .map_err(at("read", path))?;
    }
    Ok(file)
}

/// What is at `path`, links not followed.
pub(crate) fn metadata(path: &Path) -> Result<Metadata> {
    fs::symlink_metadata(path).map_err(at("access", path))
}

/// What is at `path`, links followed.
pub(crate) fn follow(path: &Path) -> Result<Metadata> {
    fs::metadata(path).map_err(at("access", path))
}

/// What is at `path`, links followed; `None` if there is nothing.
pub(crate) fn exists(path: &Path) -> Option<Metadata> {
    fs::metadata(path).ok()
}

/// Whose something is, and who may do what with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) owner: u32,
    /// The lowest twelve bits.
    pub(crate) mode: u32,
}

/// Who may do what with what is at `path`, links followed.
pub(crate) fn access(path: &Path) -> Result<Access> {
    use std::os::unix::fs::MetadataExt;
    let found = follow(path)?;
    Ok(Access {
        owner: found.uid(),
        mode: found.mode() & 0o7777,
    })
}

/// The user that this process acts as.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

pub(crate) fn read_link(path: &Path) -> Result<PathBuf> {
    fs::read_link(path).map_err(at("read the link", path))
}

pub(crate) fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(at("create the directory", path))
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir(path).map_err(at("create the directory", path))
}

/// Creates a folder, and those above it that are missing, for this user only.
pub(crate) fn create_private_dir_all(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(at("create the directory", path))
}

pub(crate) fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(at("remove", path))
}

/// Removes a folder that is empty.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    fs::remove_dir(path).map_err(at("remove", path))
}

/// Removes what is at `path`, whatever it is and with all that is in it. Links are not followed.
pub(crate) fn remove_all(path: &Path) -> Result<()> {
    let removed = match metadata(path)? {
        found if found.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    removed.map_err(at("remove", path))
}

pub(crate) fn canonicalize(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(at("resolve", path))
}

/// Creates a new file; it is an error if something is there.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    File::create_new(path).map_err(at("create", path))
}

/// Opens a file that locks are held on; made if it is not there.
///
/// For writing too: on NFS a lock that excludes others needs that.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(at("open", path))
}

/// Creates a new file of these bytes; it is an error if something is there.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    create_new(path)?
        .write_all(bytes)
        .map_err(at("write", path))
}

/// Copies a file's bytes, or lets the file system share them.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut reader = open(from)?;
    let mut writer = create_new(to)?;
    io::copy(&mut reader, &mut writer)
        .map(drop)
        .map_err(at("copy", from))
}

/// Copies a part of a file, which must have it.
pub(crate) fn copy_part(from: &Path, offset: u64, size: u64, to: &mut File) -> Result<()> {
    let mut part = open_at(from, offset)?.take(size);
    let copied = io::copy(&mut part, to).map_err(at("copy", from))?;
    if copied < size {
        let shrank = io::Error::other("the file shrank while it was read");
        return Err(Error::new("read", from, shrank));
    }
    Ok(())
}

/// Copies directories, files with their modes, and links as they are; nothing else is copied. `to` is there.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(from).to_path_buf();
            Error::new("read the directory", path, error.into())
        })?;
        let path = entry.path();
        let Ok(below) = path.strip_prefix(from) else {
            continue;
        };
        let (to, kind) = (to.join(below), entry.file_type());
        if kind.is_dir() {
            create_dir(&to)?;
            set_mode(&to, metadata(path)?.permissions().mode() | 0o700)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(read_link(path)?, &to)
                .map_err(at("create the link", &to))?;
        } else if kind.is_file() {
            fs::copy(path, &to).map_err(at("copy", path))?;
        }
    }
    Ok(())
}

pub(crate) fn hard_link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).map_err(at("create the link", to))
}

pub(crate) fn symlink(target: &str, path: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, path).map_err(at("create the link", path))
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at("set the mode of", path))
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(at("move into place", to))
}

/// Renames what must make room: the error is about `from`.
pub(crate) fn rename_away(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(at("move away", from))
}

/// The names in a folder, sorted.
pub(crate) fn list(path: &Path) -> Result<Vec<std::ffi::OsString>> {
    let entries = fs::read_dir(path).map_err(at("read the directory", path))?;
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(at("read the directory", path))?;
    names.sort();
    Ok(names)
}

/// What tells one state of a file from another without reading it; times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl Stamp {
    /// That of what is at `path`, links followed.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        Ok(Self::from(&follow(path)?))
    }

    /// That of what is at `path`, be it a link.
    pub(crate) fn of_link(path: &Path) -> Result<Self> {
        Ok(Self::from(&metadata(path)?))
    }

    fn from(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: nanoseconds(found.mtime(), found.mtime_nsec()),
            changed: nanoseconds(found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether both are of one file in one state. The number of a device may be another after each mount.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        *self
            == Self {
                device: self.device,
                ..*other
            }
    }

    /// Whether it is older by two seconds than `later`, a file that was made just now. Within the
    /// grain of a file system's clock, a file can change and keep its stamp.
    pub(crate) fn has_settled(&self, later: &Self) -> bool {
        later.changed - self.modified.max(self.changed) > 2_000_000_000
    }
}

impl Stamp {
    /// Whether what is changed from now on gets another stamp: the clock has moved on since, as that of
    /// `later`, a file that was made just now, tells.
    pub(crate) fn is_past(&self, later: &Self) -> bool {
        later.changed > self.modified.max(self.changed)
    }
}

/// The folder that `path` is in, and its name.
pub(crate) fn split(path: &Path) -> (PathBuf, String) {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    (folder, name)
}

/// Whether `path` is a file that may be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    exists(path).is_some_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Whether two paths lie on one file system.
pub(crate) fn same_device(a: &Path, b: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(follow(a)?.dev() == follow(b)?.dev())
}

/// Where something is mounted, as far as this process can see; nowhere if there is no `/proc`.
///
/// <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
pub(crate) fn mounts() -> Vec<PathBuf> {
    let listed = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    listed
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
        .collect()
}

/// A field of `mountinfo`: a blank, a tab, a newline and a backslash are written as `\` and three
/// octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = rest
            .get(1..4)
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Sets the time of the last change, in seconds since 1970.
pub(crate) fn set_mtime(file: &File, path: &Path, mtime: u64) -> Result<()> {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime);
    file.set_modified(time).map_err(at("set the time of", path))
}

/// Notes that the file at `path` was used now, as its time of the last change. Whether that can be
/// is of no importance.
pub(crate) fn touch(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps {
        last_access: time(UTIME_OMIT),
        last_modification: time(UTIME_NOW),
    };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// How many bytes the files at and below `path` hold; what cannot be looked at counts nothing.
pub(crate) fn size(path: &Path) -> u64 {
    walkdir::WalkDir::new(path)
        .follow_root_links(false)
        .into_iter()
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(Metadata::is_file)
        .map(|found| found.len())
        .sum()
}

/// Whether `folder`'s file system takes names for one that differ only in case.
pub(crate) fn ignores_case(folder: &Path) -> Result<bool> {
    let probe = tempfile::Builder::new()
        .prefix("case-")
        .suffix(".probe")
        .rand_bytes(6)
        .tempfile_in(folder)
        .map_err(at("create a file in", folder))?;
    let (_, name) = split(probe.path());
    Ok(exists(&folder.join(name.replace("probe", "PROBE"))).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither a pipe that nobody writes to, nor a device that never ends, nor a socket is read.
    #[test]
    fn only_regular_files_are_opened() {
        let folder = temp_dir(Path::new("/tmp")).unwrap();
        let at = |name: &str| folder.path().join(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        symlink("/dev/zero", &at("link")).unwrap();
        write_new(&at("file"), b"12345").unwrap();
        let why = |result: Result<Vec<u8>>| {
            let error = result.unwrap_err();
            std::error::Error::source(&error).unwrap().to_string()
        };
        let no_file = "it is not a regular file";
        for path in [
            at("pipe"),
            at("link"),
            "/dev/zero".into(),
            "/dev/null".into(),
        ] {
            assert_eq!(why(read(&path)), no_file, "{}", path.display());
            assert_eq!(why(read_to(&path, 10)), no_file, "{}", path.display());
            assert_eq!(why(read_at_most(&path, 10)), no_file, "{}", path.display());
        }
        assert_eq!(why(read(folder.path())), "Is a directory (os error 21)");
        assert_eq!(
            why(read(&at("socket"))),
            "No such device or address (os error 6)"
        );
        assert_eq!(read(&at("file")).unwrap(), b"12345");
        assert_eq!(read_to(&at("file"), 5).unwrap(), b"12345");
        assert_eq!(why(read_to(&at("file"), 4)), "it is longer than 0 MB");
    }

    /// What need not be a file is read to its end, or to the limit, or to the switch.
    #[test]
    fn pipes_are_read_to_their_end() {
        let folder = temp_dir(Path::new("/tmp")).unwrap();
        let pipe = folder.path().join("pipe");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, rustix::fs::Mode::RWXU, 0).unwrap();
        let cancel = Cancel::new();
        let reading = {
            let (pipe, cancel) = (pipe.clone(), cancel.clone());
            std::thread::spawn(move || read_any(&pipe, 1 << 20, &cancel))
        };
        fs::write(&pipe, vec![b'x'; 200_000]).unwrap();
        assert_eq!(reading.join().unwrap().unwrap().len(), 200_000);
        assert_eq!(read_any(Path::new("/dev/null"), 0, &cancel).unwrap(), b"");
        let error = read_any(Path::new("/dev/zero"), 1 << 20, &cancel).unwrap_err();
        assert_eq!(error.source.to_string(), "it is longer than 1 MB");
        // Nobody writes to it any more.
        let reading = {
            let (pipe, cancel) = (pipe.clone(), cancel.clone());
            std::thread::spawn(move || read_any(&pipe, 1 << 20, &cancel))
        };
        cancel.cancel();
        let error = reading.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn fields_of_mountinfo_are_read() {
        for (field, path) in [
            ("/", "/"),
            (r"/a\040b\134c", r"/a b\c"),
            (r"/a\12", r"/a\12"),
            (r"/a\9990", r"/a\9990"),
            (r"\\040", r"\ "),
        ] {
            assert_eq!(unescape(field.as_bytes()), path.as_bytes());
        }
        assert!(mounts().contains(&PathBuf::from("/")) || !Path::new("/proc/self").exists());
    }
}
