//! Compares the metadata of a wheel with its name and its files.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;

use serde::{Deserialize, Serialize};
use sha2::{Sha384, Sha512};

use super::metadata::{Headers, MAX_HEADERS};
use super::{Archive, Entry, Error, Facts, Filename, InvalidEntryPoint, Scheme, Scripts, record};
use crate::fs;
use crate::requirements::{Name, same_version};
use crate::tree::{Distribution, RelPath, UnsafePath};

/// The largest text that describes a wheel, in bytes. The longest `RECORD`s have some 5 MB.
const MAX_TEXT: u64 = 64 << 20;

/// The newest version of the format that is known, major and minor.
const FORMAT: [u64; 2] = [1, 0];

/// What is wrong with what a wheel says of itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// A file that each wheel has.
    #[error("it is missing")]
    Missing,
    /// A text of that size describes nothing.
    #[error("it has {0} bytes; at most {MAX_TEXT} are allowed")]
    TooLarge(u64),
    /// A text whose lines take far more memory than it has bytes.
    #[error("it has more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// A text that pip does not read either.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Two distributions in one wheel.
    #[error("the wheel also contains `{}`: a wheel is one distribution", .0.escape_debug())]
    Second(String),
    /// A folder of another distribution.
    #[error("its name does not match the wheel's")]
    Misnamed,
    /// A header that must be there.
    #[error("it has no `{0}`")]
    NoField(&'static str),
    /// Another name.
    #[error("it names the distribution `{}`, and the wheel's file name does not", .0.escape_debug())]
    Name(String),
    /// Another version.
    #[error("it names the version `{}`, and the wheel's file name does not", .0.escape_debug())]
    Version(String),
    /// A format from the future, or none.
    #[error("its Wheel-Version `{}` is not supported: expected 1", .0.escape_debug())]
    Format(String),
    /// An entry point that no script can be made of.
    #[error(transparent)]
    EntryPoint(#[from] InvalidEntryPoint),
    /// A file in the `.data` folder that belongs nowhere.
    #[error("its directory is none of purelib, platlib, scripts, headers and data")]
    Scheme,
    /// A `.dist-info` folder that comes in by another door.
    #[error("it would describe a distribution, which the wheel's own `.dist-info` does")]
    Describes,
    /// Two files for one place.
    #[error("it would overwrite `{0}`")]
    SamePlace(RelPath),
    /// A path that no wheel can have.
    #[error("RECORD lists {0}")]
    Path(UnsafePath),
    /// Another size.
    #[error("size mismatch: RECORD lists `{}` bytes, got {found}", said.escape_debug())]
    Size {
        /// What `RECORD` says.
        said: String,
        /// How many there are.
        found: u64,
    },
    /// Other bytes.
    #[error("hash mismatch: its {0} differs from RECORD")]
    Hash(&'static str),
    /// A hash that proves nothing.
    #[error("its hash in RECORD is of the kind `{}`: expected SHA-256, SHA-384 or SHA-512", .0.escape_debug())]
    Algorithm(String),
    /// What a `RECORD` lacks, or has too much.
    #[error(transparent)]
    Gap(#[from] Gap),
}

impl Defect {
    /// Whether pip may install it all the same: it does not look at this.
    pub(super) fn may_be_installed_by_pip(&self) -> bool {
        match self {
            Self::TooLarge(_)
            | Self::Misnamed
            | Self::Version(_)
            | Self::Describes
            | Self::SamePlace(_)
            | Self::Path(_)
            | Self::Size { .. }
            | Self::Hash(_)
            | Self::Algorithm(_)
            | Self::EntryPoint(_) => true,
            Self::Format(version) => version.starts_with('0'),
            _ => false,
        }
    }
}

/// Files that are marked as symbolic links or directories. As with pip, they become files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// The first.
    pub first: String,
    /// How many there are.
    pub count: usize,
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, count } = self;
        let first = first.escape_debug();
        match count {
            1 => write!(
                f,
                "`{first}` is marked as a symbolic link or a directory: as with pip, it becomes a file"
            ),
            count => write!(
                f,
                "{count} files are marked as symbolic links or directories, such as `{first}`: as with pip, \
                 they become files"
            ),
        }
    }
}

/// What a `RECORD` lacks, or has too much, that pip lets pass and installs all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Gap {
    /// A file without a row.
    #[error("it is not in RECORD")]
    Row,
    /// A row without a hash.
    #[error("it has no hash in RECORD")]
    Hash,
    /// A row without its file.
    #[error("it is in RECORD, and not in the wheel")]
    File,
    /// A row with more than a path, a hash and a size.
    #[error("its row in RECORD has more than three fields")]
    Fields,
}

/// Reads what a wheel says of itself, and holds it against its name and its files.
pub(super) fn facts(filename: &str, archive: &Archive) -> Result<Facts, Error> {
    let filename = Filename::parse(filename)?;
    let checking = Checking { archive };
    let stem = checking.stem(&filename)?;
    let info = format!("{stem}.dist-info");
    let metadata = checking.headers(&info, "METADATA")?;
    let wheel = checking.headers(&info, "WHEEL")?;
    let root_is_purelib = wheel.first("Root-Is-Purelib").unwrap_or_default();
    let facts = Facts {
        distribution: checking.distribution(&info, &metadata, &filename)?,
        requires: metadata.all("Requires-Dist").map(str::to_owned).collect(),
        requires_python: metadata.first("Requires-Python").map(str::to_owned),
        newer_format: checking.format(&info, &wheel)?,
        root_is_purelib: root_is_purelib.eq_ignore_ascii_case("true"),
        tags: wheel.all("Tag").map(str::to_owned).collect(),
        scripts: checking.scripts(&info)?,
        gap: checking.record(&info)?,
        marked: checking.marked(),
        stem,
        filename,
    };
    checking.schemes(&facts)?;
    Ok(facts)
}

/// An archive whose texts are read.
struct Checking<'a> {
    archive: &'a Archive,
}

impl Checking<'_> {
    fn refuse(&self, entry: &str, defect: impl Into<Defect>) -> Error {
        Error::refused(self.archive, entry, defect.into())
    }

    /// What is marked as something else than a file.
    fn marked(&self) -> Option<Marked> {
        let entries = self.archive.entries().iter();
        let mut marked = entries.filter(|entry| entry.is_marked_otherwise);
        let first = marked.next()?.path.to_string();
        let count = 1 + marked.count();
        Some(Marked { first, count })
    }

    /// The `NAME-VERSION` of the one `.dist-info` folder.
    fn stem(&self, filename: &Filename) -> Result<String, Error> {
        let stems: BTreeSet<&str> = self
            .archive
            .entries()
            .iter()
            .filter_map(|entry| top(entry.path.as_str()).strip_suffix(".dist-info"))
            .collect();
        let mut stems = stems.into_iter();
        let Some(stem) = stems.next() else {
            return Err(self.refuse(".dist-info", Defect::Missing));
        };
        let folder = format!("{stem}.dist-info");
        if let Some(other) = stems.next() {
            return Err(self.refuse(&folder, Defect::Second(format!("{other}.dist-info"))));
        }
        if !filename.is_named(stem) {
            return Err(self.refuse(&folder, Defect::Misnamed));
        }
        Ok(stem.to_owned())
    }

    /// A text that describes the wheel.
    fn text(&self, path: &str) -> Result<String, Error> {
        let entry = self.archive.get(path);
        let entry = entry.ok_or_else(|| self.refuse(path, Defect::Missing))?;
        if entry.size > MAX_TEXT {
            return Err(self.refuse(path, Defect::TooLarge(entry.size)));
        }
        let bytes = self.archive.content(entry).read()?;
        String::from_utf8(bytes).map_err(|_| self.refuse(path, Defect::NotUtf8))
    }

    fn headers(&self, info: &str, name: &str) -> Result<Headers, Error> {
        let path = format!("{info}/{name}");
        let headers = Headers::read(&self.text(&path)?);
        if headers.is_too_long() {
            return Err(self.refuse(&path, Defect::TooManyHeaders));
        }
        Ok(headers)
    }

    /// What `METADATA` says that the wheel is, which must be what its name says.
    fn distribution(
        &self,
        info: &str,
        metadata: &Headers,
        filename: &Filename,
    ) -> Result<Distribution, Error> {
        let refuse = |defect| self.refuse(&format!("{info}/METADATA"), defect);
        let field = |name| {
            let value = metadata.first(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| refuse(Defect::NoField(name)))
        };
        let (name, version) = (field("Name")?, field("Version")?);
        if Name::new(name).as_str() != filename.name {
            return Err(refuse(Defect::Name(name.to_owned())));
        }
        if !same_version(version, &filename.version) {
            return Err(refuse(Defect::Version(version.to_owned())));
        }
        Ok(Distribution {
            name: filename.name.clone(),
            version: version.to_owned(),
        })
    }

    /// Refuses a format whose major version is another; returns one that is newer than what is known.
    fn format(&self, info: &str, wheel: &Headers) -> Result<Option<String>, Error> {
        let about = format!("{info}/WHEEL");
        let written = wheel
            .first("Wheel-Version")
            .ok_or_else(|| self.refuse(&about, Defect::NoField("Wheel-Version")))?;
        let numbers: Option<Vec<u64>> = written
            .split('.')
            // Not the sign that a number may begin with.
            .map(|part| part.parse().ok().filter(|_| !part.starts_with('+')))
            .collect();
        match numbers {
            Some(numbers) if numbers[0] == FORMAT[0] => {
                Ok((numbers.as_slice() > &FORMAT).then(|| written.to_owned()))
            }
            _ => Err(self.refuse(&about, Defect::Format(written.to_owned()))),
        }
    }

    fn scripts(&self, info: &str) -> Result<Scripts, Error> {
        let path = format!("{info}/entry_points.txt");
        if self.archive.get(&path).is_none() {
            return Ok(Scripts::default());
        }
        Scripts::read(&self.text(&path)?).map_err(|error| self.refuse(&path, error))
    }

    /// Refuses files that would be installed where the format has no place for them.
    fn schemes(&self, facts: &Facts) -> Result<(), Error> {
        for entry in self.archive.entries() {
            let path = entry.path.as_str();
            let (scheme, below) = facts
                .place(path)
                .map_err(|defect| self.refuse(path, defect))?;
            let is_site = matches!(scheme, Scheme::Purelib | Scheme::Platlib);
            if is_site && top(below).ends_with(".dist-info") {
                return Err(self.refuse(path, Defect::Describes));
            }
        }
        Ok(())
    }

    /// Holds `RECORD` against the files; returns the first of what it lacks.
    ///
    /// <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#the-dist-info-directory>
    fn record(&self, info: &str) -> Result<Option<(String, Gap)>, Error> {
        let own = format!("{info}/RECORD");
        // RECORD cannot list itself, nor its signatures, which are made of it.
        let is_apart = |path: &str| {
            path.strip_prefix(&own)
                .is_some_and(|ending| matches!(ending, "" | ".jws" | ".p7s"))
        };
        let mut gap = None;
        let mut listed = BTreeSet::new();
        for row in record::rows(&self.text(&own)?) {
            let field = |index: usize| row.get(index).map_or("", String::as_str);
            let (path, hash, size) = (field(0), field(1), field(2));
            let Some(entry) = self.archive.get(path) else {
                if row.is_empty() {
                    continue;
                }
                // Some builders list folders too.
                let folder = path.strip_suffix('/');
                RelPath::new(folder.unwrap_or(path))
                    .map_err(|error| self.refuse(&own, Defect::Path(error)))?;
                if folder.is_none() {
                    gap.get_or_insert_with(|| (path.to_owned(), Gap::File));
                }
                continue;
            };
            listed.insert(entry.path.as_str());
            if is_apart(path) {
                continue;
            }
            if row.len() > 3 {
                gap.get_or_insert_with(|| (path.to_owned(), Gap::Fields));
            }
            if !size.is_empty() && size != entry.size.to_string() {
                let defect = Defect::Size {
                    said: size.to_owned(),
                    found: entry.size,
                };
                return Err(self.refuse(path, defect));
            }
            if hash.is_empty() {
                gap.get_or_insert_with(|| (path.to_owned(), Gap::Hash));
            } else {
                self.compare(entry, hash)?;
            }
        }
        for entry in self.archive.entries() {
            let path = entry.path.as_str();
            if !listed.contains(path) && !is_apart(path) {
                gap.get_or_insert_with(|| (path.to_owned(), Gap::Row));
            }
        }
        Ok(gap)
    }

    /// Compares a file with its hash, `ALGORITHM=DIGEST`. What is weaker than SHA-256 proves nothing,
    /// and the format forbids it.
    fn compare(&self, entry: &Entry, hash: &str) -> Result<(), Error> {
        let (algorithm, digest) = hash.split_once('=').unwrap_or((hash, ""));
        let path = entry.path.as_str();
        let (name, found) = match algorithm {
            "sha256" => ("SHA-256", record::base64(entry.digest.as_bytes())),
            "sha384" => ("SHA-384", record::base64(&self.hash::<Sha384>(entry)?)),
            "sha512" => ("SHA-512", record::base64(&self.hash::<Sha512>(entry)?)),
            other => return Err(self.refuse(path, Defect::Algorithm(other.to_owned()))),
        };
        if digest.trim_end_matches('=') != found {
            return Err(self.refuse(path, Defect::Hash(name)));
        }
        Ok(())
    }

    /// Reads a file again, for a hash that its archive was not checked with.
    fn hash<D: sha2::Digest>(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        let content = self.archive.content(entry);
        let mut reader = content.open()?;
        let mut hasher = D::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(|source| fs::Error::new("read", self.archive.path(), source))?;
            if count == 0 {
                return Ok(hasher.finalize().to_vec());
            }
            hasher.update(&buffer[..count]);
        }
    }
}

/// The first part of a path.
fn top(path: &str) -> &str {
    path.split_once('/').map_or(path, |(top, _)| top)
}
