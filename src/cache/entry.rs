//! One entry: a directory of files, with a list of them that shows damage.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Bucket, Error, MissReason};
use crate::digest::Digest;
use crate::fs;

/// The file that lists the others. Its time of the last change is when the entry was last used;
/// without it, an entry is none.
pub(super) const MANIFEST: &str = "manifest.json";

/// Files up to this size, in bytes, are compared by their digest at each lookup.
const SMALL: u64 = 16 << 10;

/// More than any manifest has, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// Which entry it is: one that was renamed is none.
    bucket: String,
    key: Digest,
    files: BTreeMap<String, Listed>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    size: u64,
    digest: Digest,
}

/// A folder of files that are what they were when they were made.
///
/// Its paths are good for as long as the [`Cache`](super::Cache) that it came from lives.
#[derive(Debug, Clone)]
pub struct Entry {
    folder: PathBuf,
    manifest: Manifest,
}

impl Entry {
    /// Where the file `name` is; `None` if the entry has no such file.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let listed = self.manifest.files.contains_key(name);
        listed.then(|| self.folder.join(name))
    }

    /// The names of its files, sorted, and their sizes in bytes.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        let files = self.manifest.files.iter();
        files.map(|(name, listed)| (name.as_str(), listed.size))
    }

    /// Makes an entry of a folder that is filled: writes its manifest.
    pub(super) fn seal(folder: &Path, bucket: Bucket, key: &Digest) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for name in fs::list(folder)? {
            let path = folder.join(&name);
            let found = fs::metadata(&path)?;
            let name = match name.into_string() {
                Ok(name) if found.is_file() && name != MANIFEST => name,
                _ => return Err(Error::Odd(path)),
            };
            // Whoever put a wheel here has hashed it to know its key.
            let digest = if bucket == Bucket::Wheels && is_wheel(&name) {
                *key
            } else {
                digest(&path)?
            };
            let size = found.len();
            files.insert(name, Listed { size, digest });
        }
        let path = folder.join(MANIFEST);
        let manifest = Manifest {
            bucket: bucket.name().to_owned(),
            key: *key,
            files,
        };
        let text = serde_json::to_vec(&manifest)
            .map_err(|source| fs::Error::new("write", &path, source.into()))?;
        fs::write_new(&path, &text)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            manifest,
        })
    }

    /// The same entry after its folder was renamed.
    pub(super) fn moved(self, folder: PathBuf) -> Self {
        Self { folder, ..self }
    }

    /// The entry in `folder`, if it has all its files, each of its size, and the small ones with
    /// their contents.
    pub(super) fn open(folder: &Path, bucket: Bucket, key: &Digest) -> Result<Self, MissReason> {
        let manifest = Manifest::read(folder)?;
        if manifest.key != *key || manifest.bucket != bucket.name() {
            return Err(damaged(MANIFEST, "is that of another entry"));
        }
        if bucket == Bucket::Wheels
            && !manifest
                .files
                .iter()
                .any(|(name, listed)| is_wheel(name) && listed.digest == *key)
        {
            return Err(MissReason::Damaged("it has no such wheel".to_owned()));
        }
        for (name, listed) in &manifest.files {
            let path = folder.join(name);
            match fs::metadata(&path) {
                Ok(found) if !found.is_file() => return Err(damaged(name, "is not a file")),
                Ok(found) if found.len() != listed.size => {
                    let why = format!("has {} bytes instead of {}", found.len(), listed.size);
                    return Err(damaged(name, &why));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged(name, "is missing"));
                }
                Err(error) => return Err(MissReason::unreadable(&error)),
            }
            if listed.size <= SMALL {
                listed.compare(name, &path)?;
            }
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            manifest,
        })
    }

    /// Compares the contents of all files.
    pub(super) fn compare(&self) -> Result<(), MissReason> {
        let mut files = self.manifest.files.iter();
        files.try_for_each(|(name, listed)| listed.compare(name, &self.folder.join(name)))
    }

    /// Notes that it was used now.
    pub(super) fn touch(&self) {
        fs::touch(&self.folder.join(MANIFEST));
    }
}

impl Manifest {
    fn read(folder: &Path) -> Result<Self, MissReason> {
        let bytes = match fs::read_at_most(&folder.join(MANIFEST), MAX_MANIFEST) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Err(match error.kind() {
                    io::ErrorKind::NotFound if fs::metadata(folder).is_err() => MissReason::Absent,
                    io::ErrorKind::NotFound => damaged(MANIFEST, "is missing"),
                    io::ErrorKind::InvalidData => damaged(MANIFEST, "is not a manifest"),
                    _ => MissReason::unreadable(&error),
                });
            }
        };
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(MANIFEST, &format!("cannot be read: {error}")))?;
        match manifest.files.keys().find(|name| !is_plain(name)) {
            Some(name) => Err(damaged(
                MANIFEST,
                &format!("names `{}`", name.escape_debug()),
            )),
            None => Ok(manifest),
        }
    }
}

impl Listed {
    fn compare(&self, name: &str, path: &Path) -> Result<(), MissReason> {
        match digest(path) {
            Ok(digest) if digest == self.digest => Ok(()),
            Ok(_) => Err(damaged(name, "has changed")),
            Err(error) => Err(MissReason::unreadable(&error)),
        }
    }
}

fn damaged(name: &str, what: &str) -> MissReason {
    MissReason::Damaged(format!("`{name}` {what}"))
}

fn digest(path: &Path) -> fs::Result<Digest> {
    let (digest, _) =
        Digest::read(fs::open(path)?).map_err(|source| fs::Error::new("read", path, source))?;
    Ok(digest)
}

fn is_wheel(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "whl")
}

/// Whether `name` is a name in a folder, and leads nowhere else.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | MANIFEST) && !name.contains(['/', '\0'])
}
