//! An image as files: its configuration and its root file system, without running it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::fs::TempDir;
use serde::Deserialize;
use tar::EntryType;

use super::container::{Container, Engine};
use super::{Error, process, stream};
use crate::code::weight;
use crate::event::Cancel;
use crate::fs;
use crate::tree::{ReadError, RelPath};

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// The engine that has it.
    pub engine: Engine,
    /// Its name, as the user wrote it.
    pub name: String,
    /// The environment of the engine's client.
    pub env: BTreeMap<String, String>,
    /// Where its files may lie for as long as they are looked at.
    pub scratch: PathBuf,
    /// See [`Container::process`].
    pub process: String,
}

/// What an image sets.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    env: Option<Vec<String>>,
    user: Option<String>,
}

/// An image that the engine has.
#[derive(Debug)]
pub(crate) struct OpenImage {
    container: Container,
    said: Inspected,
    cancel: Cancel,
}

/// What an engine says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    config: Config,
}

impl Image {
    /// Asks the engine for it, which may fetch it.
    pub(crate) fn open(&self, cancel: &Cancel) -> Result<OpenImage, Error> {
        let container = Container {
            engine: self.engine,
            image: self.name.clone(),
            // Never run: an image without a command needs one to become a container.
            python: "python3".to_owned(),
            network: None,
            engine_args: Vec::new(),
            env: self.env.clone(),
            scratch: self.scratch.clone(),
            process: self.process.clone(),
        };
        let said = match container.inspect(cancel) {
            Ok(said) => said,
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(_) => {
                // Making a container of it gets it, or tells why it cannot be had.
                drop(Unstarted::new(&container, cancel)?);
                container.inspect(cancel)?
            }
        };
        Ok(OpenImage {
            container,
            said,
            cancel: cancel.clone(),
        })
    }
}

impl Container {
    /// What the engine says of the image.
    fn inspect(&self, cancel: &Cancel) -> Result<Inspected, Error> {
        // Without a format, which not every Podman applies to one image, both print a list.
        let exec = self.quick().args(["image", "inspect", &self.image]);
        let text = process::capture(&exec, cancel)?;
        let said: Result<[Inspected; 1], _> = serde_json::from_str(&text);
        match said {
            Ok([said]) => Ok(said),
            Err(source) => Err(Error::Io {
                command: exec.to_string(),
                source: source.into(),
            }),
        }
    }
}

/// A container that is never started; it goes with the value.
struct Unstarted<'a> {
    container: &'a Container,
    id: String,
}

impl<'a> Unstarted<'a> {
    fn new(container: &'a Container, cancel: &Cancel) -> Result<Self, Error> {
        let id = container.make(cancel)?;
        Ok(Self { container, id })
    }
}

impl Drop for Unstarted<'_> {
    fn drop(&mut self) {
        let remove = self.container.quick().args(["rm", "-f", "-v", &self.id]);
        let _ = process::capture(&remove, &Cancel::new());
    }
}

impl OpenImage {
    /// What the engine calls its contents.
    pub(crate) fn id(&self) -> &str {
        &self.said.id
    }

    /// A variable that it sets.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let env = self.said.config.env.iter().flatten();
        let mut values = env.filter_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        values.next_back().map(str::to_owned)
    }

    /// The user that it runs as.
    pub(crate) fn user(&self) -> Option<String> {
        let user = self.said.config.user.clone();
        user.filter(|user| !user.is_empty())
    }

    /// Its root file system, in a folder that goes with the value.
    pub(crate) fn unpack(&self) -> Result<TempDir, Error> {
        let folder = fs::temp_dir(&self.container.scratch)?;
        let unstarted = Unstarted::new(&self.container, &self.cancel)?;
        let export = self.container.client().args(["export", &unstarted.id]);
        let (unpacked, ended) = process::consume(&export, &self.cancel, |stdout| {
            let mut stdout = BufReader::with_capacity(1 << 18, stdout);
            let unpacked = unpack(&mut stdout, folder.path());
            if unpacked.is_ok() {
                let _ = io::copy(&mut stdout, &mut io::sink());
            }
            unpacked
        });
        match (unpacked, ended) {
            // Where the stream broke off, the engine says why.
            (Some(Err(error)), ended)
                if ended.is_ok()
                    || !matches!(
                        error,
                        Error::Read {
                            source: ReadError::Io(_),
                            ..
                        }
                    ) =>
            {
                Err(error)
            }
            (_, Err(error)) => Err(error),
            _ => Ok(folder),
        }
    }
}

/// Folders in which nothing lies that decides whether code runs, or that are not the image's.
const NOT_WANTED: [&str; 8] = [
    "proc/",
    "sys/",
    "dev/",
    "run/",
    "tmp/",
    "usr/share/",
    "usr/include/",
    "var/cache/",
];

/// More entries than any image has, and more bytes: images of 30 GB are known. And the most bytes that the
/// paths of its links take, as [`weight`] counts them.
const MAX_ENTRIES: u64 = 4_000_000;
const MAX_BYTES: u64 = 64 << 30;
const MAX_LINKS: usize = 64 << 20;

/// Writes the files of an image's tar stream into a folder of our own. Names are checked, and nothing is written
/// through a link: what does not fit is not there.
pub fn unpack(stream: impl Read, folder: &Path) -> Result<(), Error> {
    let unreadable = |source| Error::Read {
        inside: "/".to_owned(),
        source,
    };
    let broken = |source| {
        let error = fs::Error::new("read the stream of", "/", source);
        unreadable(ReadError::Io(error))
    };
    let mut links = BTreeSet::new();
    let (mut count, mut bytes, mut room) = (0, 0_u64, MAX_LINKS);
    stream::each_entry(stream, broken, |entry| {
        count += 1;
        bytes = bytes.saturating_add(entry.size());
        if count > MAX_ENTRIES {
            return Err(unreadable(ReadError::TooMany { limit: MAX_ENTRIES }));
        }
        if bytes > MAX_BYTES {
            return Err(unreadable(ReadError::TooLarge { limit: MAX_BYTES }));
        }
        let Some(path) = name(&entry.path_bytes()) else {
            return Ok(());
        };
        if is_below(&path, &links) || NOT_WANTED.iter().any(|not| path.as_str().starts_with(not)) {
            return Ok(());
        }
        let at = folder.join(path.as_str());
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            fs::create_dir_all(&at)?;
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(&folder.join(parent.as_str()))?;
        }
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                let mut file = fs::create_new(&at)?;
                io::copy(entry, &mut file)
                    .map_err(|source| fs::Error::new("write", &at, source))?;
                if entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0) {
                    fs::set_mode(&at, 0o755)?;
                }
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().and_then(|target| name(&target));
                // A second name of a file that came before; anything else was left out. Not through a
                // link, which may lead out of the folder.
                if let Some(target) = target.filter(|target| !is_below(target, &links))
                    && let target = folder.join(target.as_str())
                    && fs::metadata(&target).is_ok_and(|found| found.is_file())
                {
                    fs::hard_link(&target, &at)?;
                }
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                // The kernel has no longer ones either.
                if let Some(target) = str::from_utf8(&target)
                    .ok()
                    .filter(|target| target.len() < 4096)
                {
                    let left = room.checked_sub(weight(path.as_str()));
                    room =
                        left.ok_or_else(|| unreadable(ReadError::TooMany { limit: MAX_ENTRIES }))?;
                    fs::symlink(target, &at)?;
                    links.insert(path);
                }
            }
            _ => {}
        }
        Ok(())
    })
}

/// Whether a path lies below one of these.
fn is_below(path: &RelPath, links: &BTreeSet<RelPath>) -> bool {
    std::iter::successors(path.parent(), RelPath::parent).any(|folder| links.contains(&folder))
}

/// A name below the root; nothing for the root itself, and for what no path can be.
fn name(bytes: &[u8]) -> Option<RelPath> {
    let name = str::from_utf8(bytes).ok()?;
    let name = name.trim_start_matches("./").trim_matches('/');
    RelPath::new(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of a stream: kind, name, where a link leads, contents.
    fn stream(entries: &[(EntryType, &str, &str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (kind, name, link, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(text.len() as u64);
            header.set_mode(0o6755);
            if link.is_empty() {
                builder.append_data(&mut header, name, *text).unwrap();
            } else {
                builder.append_link(&mut header, name, link).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    /// What lies in a folder: paths, and for each file its mode and text, for each link its target.
    fn listed(folder: &Path) -> Vec<String> {
        use std::os::unix::fs::PermissionsExt;
        let entries = walkdir::WalkDir::new(folder)
            .min_depth(1)
            .sort_by_file_name();
        let show = |entry: walkdir::DirEntry| {
            let path = entry
                .path()
                .strip_prefix(folder)
                .unwrap()
                .display()
                .to_string();
            let kind = entry.file_type();
            if kind.is_dir() {
                return format!("{path}/");
            }
            if kind.is_symlink() {
                let target = fs::read_link(entry.path()).unwrap();
                return format!("{path} -> {}", target.display());
            }
            assert!(kind.is_file(), "{path}");
            let mode = fs::metadata(entry.path()).unwrap().permissions().mode() & 0o7777;
            let text = String::from_utf8(fs::read(entry.path()).unwrap()).unwrap();
            format!("{path} {mode:o} {text}")
        };
        entries
            .into_iter()
            .map(|entry| show(entry.unwrap()))
            .collect()
    }

    fn unpacked(bytes: &[u8]) -> Result<Vec<String>, String> {
        let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
        match unpack(bytes, folder.path()) {
            Ok(()) => Ok(listed(folder.path())),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                let causes = std::iter::successors(Some(error), |error| error.source());
                Err(causes.last().unwrap().to_string())
            }
        }
    }

    /// Nothing is written outside of the folder and nothing outside is read, whatever links say and in
    /// whatever order they come.
    #[test]
    fn links_lead_nowhere() {
        let outside = fs::temp_dir(Path::new("/tmp")).unwrap();
        fs::write_new(&outside.path().join("secret"), b"secret").unwrap();
        let out = outside.path().to_str().unwrap();
        let up = format!("..{out}");
        let (file, link, hard, dir) = (
            EntryType::Regular,
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Directory,
        );
        let bytes = stream(&[
            (link, "out", out, b""),
            (link, "up", &up, b""),
            (file, "out/evil", "", b"evil"),
            (dir, "out/evil.d", "", b""),
            (dir, "out", "", b""),
            (file, "out/late", "", b"late"),
            (link, "out/link", "secret", b""),
            // A hard link through a link, to a link, and by each way to write where it leads.
            (hard, "a", "out/secret", b""),
            (hard, "b", "./out/secret", b""),
            (hard, "c", "/out/secret", b""),
            (hard, "d", "up/secret", b""),
            (hard, "e", "x/../out/secret", b""),
            (hard, "f", &format!("{out}/secret"), b""),
            (hard, "g", "../../etc/passwd", b""),
            (hard, "h", "out", b""),
            (hard, "i", "later/secret", b""),
            (link, "later", out, b""),
            (hard, "j", "later/secret", b""),
            (link, "usr/lib/deep", out, b""),
            (hard, "k", "usr/lib/deep/secret", b""),
            (file, "usr/bin/tool", "", b"tool"),
            (hard, "usr/bin/other", "usr/bin/tool", b""),
            (EntryType::Fifo, "usr/pipe", "", b""),
            (EntryType::Char, "usr/zero", "", b""),
            (EntryType::Block, "usr/disk", "", b""),
            (file, ".wh.usr", "", b""),
        ]);
        let found = unpacked(&bytes).unwrap();
        let expected = [
            ".wh.usr 755 ".to_owned(),
            format!("later -> {out}"),
            format!("out -> {out}"),
            format!("up -> {up}"),
            "usr/".to_owned(),
            "usr/bin/".to_owned(),
            "usr/bin/other 755 tool".to_owned(),
            "usr/bin/tool 755 tool".to_owned(),
            "usr/lib/".to_owned(),
            format!("usr/lib/deep -> {out}"),
        ];
        assert_eq!(found, expected);
        assert_eq!(listed(outside.path()), ["secret 644 secret"]);
    }

    /// One path twice is no image's.
    #[test]
    fn a_path_is_there_once() {
        let (file, link) = (EntryType::Regular, EntryType::Symlink);
        for entries in [
            [(file, "a", "", &b"1"[..]), (file, "a", "", b"2")],
            [(file, "a", "", b"1"), (link, "a", "/etc", b"")],
            [(link, "a", "/etc/passwd", b""), (file, "a", "", b"2")],
            [(link, "a", "/etc", b""), (link, "a", "/tmp", b"")],
        ] {
            assert_eq!(
                unpacked(&stream(&entries)).unwrap_err(),
                "File exists (os error 17)"
            );
        }
    }

    /// Headers that say that gigabytes come: refused before memory or the disk are full.
    #[test]
    fn sizes_are_bounded() {
        let header = |kind: u8, size: u64| {
            let mut header = tar::Header::new_gnu();
            header.set_path("a").unwrap();
            header.set_entry_type(EntryType::new(kind));
            header.set_size(size);
            header.as_gnu_mut().unwrap().realsize = *b"00000000000\0";
            header.set_cksum();
            header.as_bytes().to_vec()
        };
        let long = "a name or a header in it is longer than 1 MB";
        // Long names and extended headers are held in memory.
        for kind in [b'L', b'K', b'x'] {
            let stream = io::Cursor::new(header(kind, 8 << 30)).chain(io::repeat(b'a'));
            let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
            let error = unpack(stream, folder.path()).unwrap_err();
            let error = std::error::Error::source(&error).unwrap().source().unwrap();
            assert_eq!(error.to_string(), long, "{}", char::from(kind));
        }
        assert_eq!(
            unpacked(&header(b'0', 65 << 30)).unwrap_err(),
            "its files have more than 68719476736 bytes"
        );
        assert_eq!(
            unpacked(&header(b'S', 0)).unwrap_err(),
            "it has a sparse file"
        );
    }
}
