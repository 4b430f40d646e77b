//! An image as files: what an engine says of it, and its root file system, without running it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::fs::TempDir;
use serde::Deserialize;
use tar::{Archive, EntryType};

use super::container::{Container, Engine};
use super::{Error, process};
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
    said: Said,
    cancel: Cancel,
}

/// What an engine says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
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
    fn inspect(&self, cancel: &Cancel) -> Result<Said, Error> {
        // Without a format, which not every Podman applies to one image, both print a list.
        let exec = self.client().args(["image", "inspect", &self.image]);
        let text = process::capture(&exec, cancel)?;
        let said: Result<[Said; 1], _> = serde_json::from_str(&text);
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
        let remove = self.container.client().args(["rm", "-f", "-v", &self.id]);
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

/// More entries than any image has, and more bytes: images of 30 GB are known.
const MAX_ENTRIES: u64 = 4_000_000;
const MAX_BYTES: u64 = 64 << 30;

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
    let (mut count, mut bytes) = (0, 0);
    let mut archive = Archive::new(stream);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        count += 1;
        bytes += entry.size();
        if count > MAX_ENTRIES || bytes > MAX_BYTES {
            return Err(unreadable(ReadError::TooMany { limit: MAX_ENTRIES }));
        }
        let Some(path) = name(&entry.path_bytes()) else {
            continue;
        };
        let mut above = path.parent();
        while let Some(folder) = above.as_ref().filter(|folder| !links.contains(*folder)) {
            above = folder.parent();
        }
        if above.is_some() || NOT_WANTED.iter().any(|not| path.as_str().starts_with(not)) {
            continue;
        }
        let at = folder.join(path.as_str());
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            fs::create_dir_all(&at)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(&folder.join(parent.as_str()))?;
        }
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                let mut file = fs::create_new(&at)?;
                io::copy(&mut entry, &mut file)
                    .map_err(|source| fs::Error::new("write", &at, source))?;
                if entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0) {
                    fs::set_mode(&at, 0o755)?;
                }
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().and_then(|target| name(&target));
                let target = target.map(|target| folder.join(target.as_str()));
                // A second name of a file that came before; anything else was left out.
                if let Some(target) = target
                    && fs::metadata(&target).is_ok_and(|found| found.is_file())
                {
                    fs::hard_link(&target, &at)?;
                }
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                if let Ok(target) = str::from_utf8(&target) {
                    fs::symlink(target, &at)?;
                    links.insert(path);
                }
            }
            _ => {}
        }
    }
    Ok(())
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

    /// Nothing is written outside of the folder, whatever the links say.
    #[test]
    fn links_lead_nowhere() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |kind, name: &str, link: &str, text: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(text.len() as u64);
            header.set_mode(0o755);
            if link.is_empty() {
                builder.append_data(&mut header, name, text).unwrap();
            } else {
                builder.append_link(&mut header, name, link).unwrap();
            }
        };
        let outside = fs::temp_dir(Path::new("/tmp")).unwrap();
        add(
            EntryType::Symlink,
            "out",
            outside.path().to_str().unwrap(),
            b"",
        );
        add(EntryType::Regular, "out/evil", "", b"evil");
        add(EntryType::Link, "second", "../../etc/passwd", b"");
        add(EntryType::Regular, "usr/bin/tool", "", b"tool");
        add(EntryType::Link, "usr/bin/other", "usr/bin/tool", b"");
        add(EntryType::Fifo, "usr/pipe", "", b"");
        let stream = builder.into_inner().unwrap();
        let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
        unpack(&stream[..], folder.path()).unwrap();
        assert_eq!(fs::names(folder.path()).unwrap(), ["out", "usr"]);
        assert_eq!(fs::names(outside.path()).unwrap(), [""; 0]);
        assert_eq!(
            fs::read(&folder.path().join("usr/bin/other")).unwrap(),
            b"tool"
        );
    }
}
