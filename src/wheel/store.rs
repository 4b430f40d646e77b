//! Verified wheels in the cache.
//!
//! A wheel is copied there and looked at once, to its last byte; what was found is kept beside it. From
//! then on its bytes come from the cache and never from where it was, and nothing of it is read but
//! what is packed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Archive, Contents, Error, Facts, Filename, Leniency, Limits, Wheel};
use crate::cache::{Bucket, Cache, Lookup, MissReason};
use crate::digest::Digest;
use crate::event::Cancel;
use crate::fs;
use crate::tree::Content;

/// What was found in a wheel, by a version of this program.
#[derive(Serialize, Deserialize)]
struct Index {
    /// The wheel's SHA-256, and the state of its file when it was hashed.
    digest: Digest,
    stamp: fs::Stamp,
    facts: Facts,
    contents: Contents,
}

const INDEX: &str = "index";
const DIGEST: &str = "digest";
const BYTECODE: &str = "bytecode.zip";

/// What a wheel must be.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Its SHA-256 must be one of these, if there are any.
    pub sha256: Vec<Digest>,
}

/// Wheels, by what they are.
#[derive(Debug)]
pub struct Store<'a> {
    cache: &'a Cache,
    limits: Limits,
    leniency: Leniency,
    cancel: &'a Cancel,
}

impl<'a> Store<'a> {
    /// The wheels in `cache`; what comes in is held against `limits`.
    #[must_use]
    pub fn new(cache: &'a Cache, limits: Limits, leniency: Leniency, cancel: &'a Cancel) -> Self {
        Self {
            cache,
            limits,
            leniency,
            cancel,
        }
    }

    /// The wheel with this SHA-256, if it was checked before; else why not.
    ///
    /// Its bytes have this SHA-256 now: the file is as it was when it was hashed, by its inode and the time
    /// of its last change, or it is hashed again.
    pub fn get(&self, digest: &Digest) -> Result<Wheel, MissReason> {
        let entry = match self.cache.lookup(Bucket::Wheels, digest) {
            Lookup::Hit(entry) => entry,
            Lookup::Miss(why) => return Err(why),
        };
        let wheel = entry
            .files()
            .find(|(name, _)| *name != INDEX)
            .and_then(|(name, _)| entry.path(name));
        let index = entry.path(INDEX).and_then(|path| read_index(&path));
        let damaged = |why: &str| {
            self.cache.evict(Bucket::Wheels, digest);
            Err(MissReason::Damaged(why.to_owned()))
        };
        let (Some(path), Some(index)) = (wheel, index) else {
            return damaged("its index cannot be read");
        };
        let Index {
            digest: hashed,
            stamp,
            facts,
            contents,
        } = index;
        let is_same = fs::Stamp::of_link(&path).is_ok_and(|now| now.is_of(&stamp));
        let is_whole = || {
            let found = fs::open(&path).ok().map(Digest::read);
            matches!(found, Some(Ok((found, _))) if found == *digest)
        };
        if hashed != *digest || !is_same && !is_whole() {
            return damaged("its wheel has another hash");
        }
        Ok(Wheel {
            digest: *digest,
            facts,
            archive: Archive::known(path, None, contents),
        })
    }

    /// The same, if the wheel can have this name, too.
    pub fn get_named(&self, digest: &Digest, name: &str) -> Result<Wheel, MissReason> {
        let wheel = self.get(digest)?;
        match Filename::parse(name) {
            Ok(filename) if filename == wheel.facts.filename => Ok(wheel),
            // Other bytes would have to be there, and are not.
            _ => Wheel::check(name, *digest, wheel.archive, self.leniency)
                .map_err(|_| MissReason::Absent),
        }
    }

    /// The wheel at `path`, which may be anyone's: from the cache if it was there in this state
    /// before, else copied there and checked. Also tells why it had to be.
    pub fn at(
        &self,
        path: &Path,
        expected: &Expected,
    ) -> Result<(Wheel, Option<MissReason>), Error> {
        let name = path.file_name().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default();
        Filename::parse(&name)?;
        let before = fs::Stamp::of(path)?;
        let seen = Self::seen_key(path, &before)?;
        let known = self.seen(&seen);
        let digest = if let Some(digest) = known {
            digest
        } else {
            let file = fs::open(path)?;
            let (digest, _) =
                Digest::read(file).map_err(|source| fs::Error::new("read", path, source))?;
            digest
        };
        let copy = |to: &Path| {
            fs::copy(path, to)?;
            // It was hashed where it is; what was copied is what was hashed.
            if fs::Stamp::of(path)? == before {
                Ok(())
            } else {
                Err(Error::Changed(path.to_path_buf()))
            }
        };
        let found = self.find(path, &name, &digest, expected, &copy)?;
        if known.is_none() {
            self.see(&seen, &digest, &before);
        }
        Ok(found)
    }

    /// The wheel whose bytes are `content`, which nobody else can change.
    pub fn take(
        &self,
        name: &str,
        content: &Content,
        expected: &Expected,
    ) -> Result<(Wheel, Option<MissReason>), Error> {
        let failed = |source| fs::Error::new("read", content.path(), source);
        let (digest, _) = Digest::read(content.open()?).map_err(failed)?;
        let copy = |to: &Path| {
            let mut file = fs::create_new(to)?;
            std::io::copy(&mut content.open()?, &mut file).map_err(failed)?;
            Ok(())
        };
        self.find(Path::new(name), name, &digest, expected, &copy)
    }

    /// The wheel with this SHA-256, which `get` has put at the path that it is given, and hashed, when it
    /// returns.
    pub(crate) fn fetch<E>(
        &self,
        name: &str,
        digest: &Digest,
        get: impl Fn(&Path) -> Result<(), E>,
    ) -> Result<Wheel, E>
    where
        E: std::error::Error + From<Error> + From<crate::cache::Error> + 'static,
    {
        Filename::parse(name).map_err(Error::from)?;
        let wheel = match self.get_named(digest, name) {
            Ok(wheel) => wheel,
            Err(_) => self.insert(Path::new(name), name, digest, &get)?,
        };
        wheel.admit(self.leniency)?;
        Ok(wheel)
    }

    /// The wheel with this SHA-256, which `copy` gets where it is not known. `shown` is what messages
    /// call it.
    fn find(
        &self,
        shown: &Path,
        name: &str,
        digest: &Digest,
        expected: &Expected,
        copy: &dyn Fn(&Path) -> Result<(), Error>,
    ) -> Result<(Wheel, Option<MissReason>), Error> {
        if !expected.sha256.is_empty() && !expected.sha256.contains(digest) {
            let expected: Vec<_> = expected.sha256.iter().map(Digest::hex).collect();
            return Err(Error::Hash {
                wheel: shown.to_path_buf(),
                algorithm: "sha256",
                found: digest.hex(),
                expected: expected.join(" or "),
            });
        }
        let (wheel, why) = match self.get(digest) {
            Ok(wheel) => (wheel, None),
            Err(why) => (self.insert(shown, name, digest, copy)?, Some(why)),
        };
        if wheel.facts.filename != Filename::parse(name)? {
            // The same bytes under another name.
            Wheel::check(name, *digest, wheel.archive.clone(), self.leniency)?;
        }
        wheel.admit(self.leniency)?;
        Ok((wheel, why))
    }

    /// The wheel that was built from what `key` stands for, if one is kept.
    pub fn built(&self, key: &Digest) -> Result<Wheel, MissReason> {
        match self.cache.lookup(Bucket::Built, key) {
            Lookup::Hit(entry) => match entry.path(DIGEST).and_then(|path| read_digest(&path)) {
                Some(digest) => self.get(&digest),
                None => Err(MissReason::Damaged("it names no wheel".to_owned())),
            },
            Lookup::Miss(why) => Err(why),
        }
    }

    /// Keeps that `wheel` was built from what `key` stands for.
    pub fn keep_built(&self, key: &Digest, wheel: &Wheel) {
        self.cache.evict(Bucket::Built, key);
        let kept = self.cache.insert(Bucket::Built, key, |folder| {
            let text = wheel.digest.to_string();
            fs::write_new(&folder.join(DIGEST), text.as_bytes()).map_err(Error::from)
        });
        // It is built again next time.
        drop(kept);
    }

    /// The bytecode that `key` stands for, if it is kept.
    pub(crate) fn bytecode(&self, key: &Digest) -> Result<Archive, MissReason> {
        let entry = match self.cache.lookup(Bucket::Bytecode, key) {
            Lookup::Hit(entry) => entry,
            Lookup::Miss(why) => return Err(why),
        };
        let path = entry.path(BYTECODE);
        let contents = entry.path(INDEX).and_then(|path| read_index(&path));
        let (Some(path), Some(contents)) = (path, contents) else {
            self.cache.evict(Bucket::Bytecode, key);
            return Err(MissReason::Damaged("its index cannot be read".to_owned()));
        };
        Ok(Archive::known(path, None, contents))
    }

    /// Keeps an archive of bytecode.
    pub(crate) fn keep_bytecode(&self, key: &Digest, zip: &[u8]) -> Result<Archive, Error> {
        self.cache.insert(Bucket::Bytecode, key, |folder| {
            let path = folder.join(BYTECODE);
            fs::write_new(&path, zip)?;
            let archive = Archive::open(&path, None, &self.limits, self.cancel)?;
            write_index(&folder.join(INDEX), archive.contents())
        })?;
        self.bytecode(key)
            .map_err(|_| Error::Changed(PathBuf::from(BYTECODE)))
    }

    fn insert<E>(
        &self,
        shown: &Path,
        name: &str,
        digest: &Digest,
        copy: &dyn Fn(&Path) -> Result<(), E>,
    ) -> Result<Wheel, E>
    where
        E: std::error::Error + From<Error> + From<crate::cache::Error> + 'static,
    {
        self.cache
            .insert(Bucket::Wheels, digest, |folder| -> Result<(), E> {
                let path = folder.join(name);
                copy(&path)?;
                let archive = Archive::open(&path, None, &self.limits, self.cancel)
                    .map_err(|error| Error::from(error.about(shown)))?;
                let wheel = Wheel::check(name, *digest, archive, self.leniency)
                    .map_err(|error| error.about(shown))?;
                let index = Index {
                    digest: *digest,
                    stamp: fs::Stamp::of_link(&path).map_err(Error::from)?,
                    facts: wheel.facts,
                    contents: wheel.archive.contents().clone(),
                };
                write_index(&folder.join(INDEX), &index).map_err(E::from)
            })?;
        // As it will be found from now on.
        let found = self.get(digest);
        found.map_err(|_| Error::Changed(shown.to_path_buf()).into())
    }

    fn seen_key(path: &Path, stamp: &fs::Stamp) -> Result<Digest, Error> {
        let path = fs::canonicalize(path)?;
        Ok(Digest::of(
            format!("{} {stamp:?}", path.display()).as_bytes(),
        ))
    }

    /// Which wheel a path was in this state.
    fn seen(&self, key: &Digest) -> Option<Digest> {
        let Lookup::Hit(entry) = self.cache.lookup(Bucket::Seen, key) else {
            return None;
        };
        read_digest(&entry.path(DIGEST)?)
    }

    fn see(&self, key: &Digest, digest: &Digest, stamp: &fs::Stamp) {
        let seen = self.cache.insert(Bucket::Seen, key, |folder| {
            let path = folder.join(DIGEST);
            fs::write_new(&path, digest.to_string().as_bytes())?;
            if !stamp.has_settled(&fs::Stamp::of(&path)?) {
                return Err(Error::Changed(path));
            }
            Ok(())
        });
        // It is looked at again next time.
        drop(seen);
    }
}

/// Writes what was found, with a checksum before it.
fn write_index(path: &Path, index: &impl Serialize) -> Result<(), Error> {
    let failed = |source| fs::Error::new("write", path, source);
    let bytes = postcard::to_stdvec(index).map_err(|error| failed(std::io::Error::other(error)))?;
    let mut file = fs::create_new(path)?;
    file.write_all(&crc32fast::hash(&bytes).to_le_bytes())
        .and_then(|()| file.write_all(&bytes))
        .map_err(failed)?;
    Ok(())
}

fn read_digest(path: &Path) -> Option<Digest> {
    let text = fs::read_at_most(path, 100).ok()?;
    str::from_utf8(&text).ok()?.parse().ok()
}

fn read_index<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    let (sum, bytes) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != crc32fast::hash(bytes) {
        return None;
    }
    postcard::from_bytes(bytes).ok()
}
