//! `pylock.toml` → a value.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use url::Url;

use super::document::{File, Table};
use super::{Archive, Error, Origin, Package, Pylock, Recorded};
use crate::fs;
use crate::requirements::{Hash, LockMarker, Name, Specifiers, file_name, normalize, parse_toml};

/// The largest lock file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// What can be wrong in a lock file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No TOML.
    #[error("{0}")]
    NotToml(String),
    /// A version that is not known.
    #[error("unsupported lock file version `{0}`: expected 1.0")]
    Version(String),
    /// A key that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value is of another kind.
    #[error("`{0}` must be {1}")]
    Shape(String, &'static str),
    /// A marker that is none.
    #[error("invalid marker: {0}")]
    Marker(String),
    /// Versions of Python that are none.
    #[error("invalid version specifiers: {0}")]
    Python(String),
    /// No source, or more than one.
    #[error(
        "a package has one source: `vcs`, `directory`, `archive`, or `sdist` and `wheels`; this has {0}"
    )]
    Source(String),
    /// A file without a place.
    #[error("a file has a `url` or a `path`")]
    Nowhere,
    /// A URL or a path that is none.
    #[error("`{0}` leads nowhere")]
    Url(String),
    /// No hash that can be checked.
    #[error("no hash is a SHA-256, SHA-384 or SHA-512")]
    Hashes,
}

impl Pylock {
    /// Reads the lock file at `path`.
    pub fn read(path: &Path, cwd: &Path) -> Result<Self, Error> {
        let whole = cwd.join(path);
        let failed = |source| Error::Read {
            file: path.to_path_buf(),
            source,
        };
        let bytes = fs::read_to(&whole, MAX_FILE).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text, path, whole.parent().unwrap_or(cwd))
    }

    /// Reads a text; paths in it are relative to `folder`.
    pub fn parse(text: &str, name: &Path, folder: &Path) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file = File {
            name: Arc::from(name),
            text,
        };
        let document = parse_toml(text)
            .map_err(|error| file.error(error.at, Problem::NotToml(error.message)))?;
        let top = Table {
            file: &file,
            keys: document.get_ref(),
            at: 0,
        };
        let (version, at) = top.required("lock-version")?;
        let mut numbers = version.split('.');
        if numbers.next() != Some("1") {
            return Err(file.error(at, Problem::Version(version.to_owned())));
        }
        let mut warnings = Vec::new();
        if numbers.next() != Some("0") {
            warnings.push(format!(
                "{}: the lock file version {version} is newer than the supported 1.0",
                file.location(at)
            ));
        }
        let environments = top.strings("environments")?;
        let packages = top.tables("packages")?;
        if top.keys.get("packages").is_none() {
            return Err(top.error(Problem::Missing("packages")));
        }
        Ok(Self {
            file: name.to_path_buf(),
            created_by: top.text("created-by")?.unwrap_or_default(),
            extras: names(&top, "extras")?,
            groups: names(&top, "dependency-groups")?,
            default_groups: names(&top, "default-groups")?,
            environments: environments
                .into_iter()
                .map(|marker| parse_marker(&file, marker))
                .collect::<Result<_, _>>()?,
            requires_python: python(&top)?,
            packages: packages
                .iter()
                .map(|package| read_package(package, folder))
                .collect::<Result<_, _>>()?,
            recorded: recorded(text),
            text: text.into(),
            warnings,
        })
    }
}

/// What prebuild noted. What cannot be read was written by somebody else.
fn recorded(text: &str) -> Option<Recorded> {
    #[derive(serde::Deserialize)]
    struct Tool {
        prebuild: Option<Recorded>,
    }
    #[derive(serde::Deserialize)]
    struct File {
        tool: Option<Tool>,
    }
    let file: File = toml::from_str(text).ok()?;
    file.tool?.prebuild
}

fn names(table: &Table<'_>, key: &str) -> Result<BTreeSet<Name>, Error> {
    let names = table.strings(key)?;
    Ok(names.into_iter().map(|(name, _)| Name::new(name)).collect())
}

fn parse_marker(file: &File<'_>, (text, at): (&str, usize)) -> Result<LockMarker, Error> {
    text.parse().map_err(|error: crate::requirements::Syntax| {
        // Behind the quote.
        file.error(at + 1 + error.at, Problem::Marker(error.message))
    })
}

fn python(table: &Table<'_>) -> Result<Option<Specifiers>, Error> {
    let Some((text, at)) = table.string("requires-python")? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(specifiers) => Ok(Some(specifiers)),
        Err(error) => {
            let error: crate::requirements::Syntax = error;
            Err(table
                .file
                .error(at + 1 + error.at, Problem::Python(error.message)))
        }
    }
}

fn read_package(table: &Table<'_>, folder: &Path) -> Result<Package, Error> {
    let (name, at) = table.required("name")?;
    let marker = table.string("marker")?;
    let dependencies = table.tables("dependencies")?;
    Ok(Package {
        at,
        name: Name::new(name),
        version: table.text("version")?,
        marker: marker
            .map(|marker| parse_marker(table.file, marker))
            .transpose()?,
        requires_python: python(table)?,
        dependencies: dependencies
            .iter()
            .map(|dependency| Ok(Name::new(dependency.required("name")?.0)))
            .collect::<Result<_, Error>>()?,
        origin: origin(table, folder)?,
    })
}

fn origin(table: &Table<'_>, folder: &Path) -> Result<Origin, Error> {
    let has = |key: &&str| table.keys.get(*key).is_some();
    let direct: Vec<&str> = ["vcs", "directory", "archive"]
        .into_iter()
        .filter(has)
        .collect();
    let files: Vec<&str> = ["sdist", "wheels"].into_iter().filter(has).collect();
    let [kind] = direct.as_slice() else {
        if direct.is_empty() && !files.is_empty() {
            let wheels = table.tables("wheels")?;
            return Ok(Origin::Files {
                sdist: table
                    .table("sdist")?
                    .map(|sdist| archive(&sdist, folder))
                    .transpose()?,
                wheels: wheels
                    .iter()
                    .map(|wheel| archive(wheel, folder))
                    .collect::<Result<_, _>>()?,
            });
        }
        let all = [direct, files].concat();
        let has = if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(" and ")
        };
        return Err(table.error(Problem::Source(has)));
    };
    if !files.is_empty() {
        let has = [direct, files].concat().join(" and ");
        return Err(table.error(Problem::Source(has)));
    }
    let Some(source) = table.table(kind)? else {
        return Err(table.error(Problem::Source("none".to_owned())));
    };
    let subdirectory = source.text("subdirectory")?;
    Ok(match *kind {
        "vcs" => Origin::Vcs {
            kind: source.required("type")?.0.to_owned(),
            url: place(&source, folder)?,
            revision: source.text("requested-revision")?,
            commit: source.required("commit-id")?.0.to_owned(),
            subdirectory,
        },
        "directory" => Origin::Directory {
            url: place(&source, folder)?,
            subdirectory,
        },
        _ => Origin::Archive {
            archive: archive(&source, folder)?,
            subdirectory,
        },
    })
}

fn archive(table: &Table<'_>, folder: &Path) -> Result<Archive, Error> {
    let url = place(table, folder)?;
    let hashes = table
        .table("hashes")?
        .ok_or_else(|| table.error(Problem::Missing("hashes")))?;
    let known: Vec<Hash> = hashes
        .keys
        .iter()
        .filter_map(|(name, hex)| Hash::new(name.get_ref(), hex.get_ref().as_str()?))
        .collect();
    if known.is_empty() {
        return Err(hashes.error(Problem::Hashes));
    }
    Ok(Archive {
        name: table.text("name")?.unwrap_or_else(|| file_name(&url)),
        size: table.integer("size")?,
        hashes: known,
        url,
    })
}

/// The URL of something, be it that of a path.
fn place(table: &Table<'_>, folder: &Path) -> Result<String, Error> {
    let wrong = |text: &str, at| table.file.error(at, Problem::Url(text.to_owned()));
    // A path is nearer, says the specification.
    if let Some((path, at)) = table.string("path")? {
        let whole = normalize(&folder.join(path));
        let url = Url::from_file_path(whole).map_err(|()| wrong(path, at))?;
        return Ok(url.into());
    }
    let Some((text, at)) = table.string("url")? else {
        return Err(table.error(Problem::Nowhere));
    };
    Url::parse(text).map_err(|_| wrong(text, at))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_of_bytes() {
        for (size, is_one) in [
            ("0", true),
            ("0x7fffffffffffffff", true),
            ("9223372036854775808", false),
            ("-1", false),
            ("1.0", false),
        ] {
            let hashes = format!("hashes = {{ sha256 = '{}' }}", "0".repeat(64));
            let file = format!("url = 'https://h/a.zip', size = {size}, {hashes}");
            let text =
                format!("lock-version = '1.0'\n[[packages]]\nname = 'a'\nsdist = {{ {file} }}");
            let read = Pylock::parse(&text, Path::new("pylock.toml"), Path::new("/"));
            assert_eq!(read.is_ok(), is_one, "{size}");
        }
    }

    #[test]
    fn paths_above_the_lock_file_have_one_url() {
        for (path, url) in [
            ("a", "file:///srv/app/a"),
            ("./a/../b", "file:///srv/app/b"),
            ("../a", "file:///srv/a"),
            ("/opt//a/.", "file:///opt/a"),
        ] {
            let text = format!(
                "lock-version = '1.0'\n[[packages]]\nname = 'a'\ndirectory = {{ path = '{path}' }}"
            );
            let lock =
                Pylock::parse(&text, Path::new("pylock.toml"), Path::new("/srv/app")).unwrap();
            let Origin::Directory { url: found, .. } = &lock.packages[0].origin else {
                panic!("it is a directory");
            };
            assert_eq!(found, url);
        }
    }
}
