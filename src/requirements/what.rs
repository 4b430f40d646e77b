//! What a line requires: a name, a URL, or a path, told apart as pip tells them.

use std::path::{Path, PathBuf};

use url::Url;

use super::error::Problem;
use super::marker::Marker;
use super::syntax::{self, Cursor, Unexpected};
use super::version::Specifier;
use super::written::normal_path;
use crate::fs;

/// A requirement's own text, read. Positions are bytes of the text.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) kind: Kind,
    pub(super) extras: Vec<String>,
    pub(super) marker: Option<Marker>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Named {
        name: String,
        specifier: String,
    },
    /// A URL: the bytes `from..to` of the text.
    Url {
        name: Option<String>,
        url: std::ops::Range<usize>,
    },
    Path {
        name: Option<String>,
        path: PathBuf,
        fragment: Option<String>,
    },
}

/// What is wrong, and at which byte.
type Wrong = (usize, Problem);

const ARCHIVES: [&str; 12] = [
    ".zip",
    ".whl",
    ".tar.bz2",
    ".tbz",
    ".tar.gz",
    ".tgz",
    ".tar",
    ".tar.xz",
    ".txz",
    ".tlz",
    ".tar.lz",
    ".tar.lzma",
];

const SCHEMES: [&str; 26] = [
    "http",
    "https",
    "file",
    "ftp",
    "bzr+http",
    "bzr+https",
    "bzr+ssh",
    "bzr+sftp",
    "bzr+ftp",
    "bzr+lp",
    "bzr+file",
    "git+http",
    "git+https",
    "git+ssh",
    "git+git",
    "git+file",
    "hg+file",
    "hg+http",
    "hg+https",
    "hg+ssh",
    "hg+static-http",
    "svn+ssh",
    "svn+http",
    "svn+https",
    "svn+svn",
    "svn+file",
];

/// Reads a requirement; `cwd` is what paths are relative to.
pub(super) fn read(text: &str, cwd: &Path) -> Result<Read, Wrong> {
    let is_url = scheme(text).is_some();
    let (what, marker) = match text.find(if is_url { "; " } else { ";" }) {
        None => (text, None),
        Some(at) => (&text[..at], read_marker(text, at + 1)?),
    };
    let start = what.len() - what.trim_start().len();
    let what = what.trim();
    if is_url {
        let kind = url_kind(None, what, start, cwd)?;
        return Ok(Read {
            kind,
            extras: Vec::new(),
            marker,
        });
    }
    let path = normal_path(&cwd.join(what));
    let (path, extras) = strip_extras(&path.to_string_lossy(), what, start)?;
    if let Some(kind) = path_kind(&path, what, start)? {
        return Ok(Read {
            kind,
            extras,
            marker,
        });
    }
    let parsed = syntax::parse(what).map_err(|wrong| requirement(start, wrong))?;
    let kind = match parsed.url {
        None => Kind::Named {
            name: parsed.name,
            specifier: parsed.specifier,
        },
        Some(url) => {
            let at = what.find(&url).unwrap_or(0);
            url_kind(Some(parsed.name), &url, start + at, cwd)?
        }
    };
    Ok(Read {
        kind,
        extras: parsed.extras,
        marker: marker.or(parsed.marker),
    })
}

/// Reads what stands behind `-e`: a project's folder, or a VCS URL.
pub(super) fn read_editable(text: &str, cwd: &Path) -> Result<Read, Wrong> {
    let named = syntax::parse(text)
        .ok()
        .filter(|parsed| parsed.url.is_some());
    let (kind, extras, marker) = if let Some(parsed) = named {
        let url = parsed.url.unwrap_or_default();
        let at = text.find(&url).unwrap_or(0);
        (
            url_kind(Some(parsed.name), &url, at, cwd)?,
            parsed.extras,
            parsed.marker,
        )
    } else if scheme(text).is_some_and(|scheme| scheme != "file") {
        (url_kind(None, text, 0, cwd)?, Vec::new(), None)
    } else {
        let (what, extras) = strip_extras(text, text, 0)?;
        let kind = if scheme(&what).is_some() {
            url_kind(None, &what, 0, cwd)?
        } else {
            project(normal_path(&cwd.join(&what)), None).map_err(|problem| (0, problem))?
        };
        (kind, extras, None)
    };
    match &kind {
        Kind::Url { url, name } => {
            let vcs = scheme(&text[url.clone()]).is_some_and(|scheme| scheme.contains('+'));
            if !vcs {
                let problem = "behind `-e` stands a project's folder or the URL of a repository";
                return Err((0, Problem::Requirement(problem.to_owned())));
            }
            if name.is_none() {
                let problem = "a repository needs a name: `name @ URL`, or `#egg=name` behind it";
                return Err((0, Problem::Requirement(problem.to_owned())));
            }
        }
        Kind::Path { path, .. } if !fs::exists(path).is_some_and(|found| found.is_dir()) => {
            return Err((0, Problem::NotAProject(path.clone())));
        }
        _ => {}
    }
    Ok(Read {
        kind,
        extras,
        marker,
    })
}

fn requirement(start: usize, wrong: Unexpected) -> Wrong {
    (start + wrong.at, Problem::Requirement(wrong.problem))
}

fn read_marker(text: &str, start: usize) -> Result<Option<Marker>, Wrong> {
    let marker = &text[start..];
    if marker.trim().is_empty() {
        return Ok(None);
    }
    let start = text.len() - marker.trim_start().len();
    Marker::parse(marker.trim())
        .map(Some)
        .map_err(|wrong| (start + wrong.at, Problem::Marker(wrong.problem)))
}

/// The scheme, if the text is a URL of one that pip knows.
pub(super) fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    SCHEMES.contains(&scheme.as_str()).then_some(scheme)
}

/// A direct URL; `file:` URLs are paths.
fn url_kind(name: Option<String>, url: &str, start: usize, cwd: &Path) -> Result<Kind, Wrong> {
    let at = |problem| (start, problem);
    let (address, fragment) = match url.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (url, None),
    };
    let egg = fragment.and_then(|fragment| {
        fragment
            .split('&')
            .find_map(|part| part.strip_prefix("egg="))
    });
    if let Some(egg) = egg {
        let mut cursor = Cursor::new(egg);
        let whole = syntax::parse(egg).is_ok_and(|parsed| parsed.name == egg);
        if !whole {
            cursor.blanks();
            let problem = "behind `#egg=` stands a name and nothing else: for extras, write `name[extra] @ URL`";
            return Err(at(Problem::Requirement(problem.to_owned())));
        }
    }
    let file = address.rsplit('/').next().unwrap_or(address);
    let mut named = name.or_else(|| egg.map(str::to_owned));
    if file.to_ascii_lowercase().ends_with(".whl") {
        let wheel = wheel_name(&percent_decoded(file))
            .map_err(|problem| at(Problem::Requirement(problem)))?;
        named = named.or(Some(wheel));
    }
    if scheme(url).as_deref() != Some("file") {
        if Url::parse(address.split_once('+').map_or(address, |(_, rest)| {
            if scheme(url).is_some_and(|scheme| scheme.contains('+')) {
                rest
            } else {
                address
            }
        }))
        .is_err()
        {
            return Err(at(Problem::Requirement("not a valid URL".to_owned())));
        }
        return Ok(Kind::Url {
            name: named,
            url: start..start + url.len(),
        });
    }
    let path = file_url_path(address).ok_or_else(|| {
        at(Problem::Requirement(
            "a `file:` URL must name a path of this machine".to_owned(),
        ))
    })?;
    let path = normal_path(&cwd.join(path));
    match project(path, named).map_err(at)? {
        Kind::Path { name, path, .. } => Ok(Kind::Path {
            name,
            path,
            fragment: fragment.map(str::to_owned),
        }),
        kind => Ok(kind),
    }
}

/// The path of a `file:` URL, percent-decoded; none if it names another machine.
pub(super) fn file_url_path(url: &str) -> Option<PathBuf> {
    let rest = url.get("file:".len()..)?;
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let host = rest.split('/').next().unwrap_or("");
            if !host.is_empty() && host != "localhost" {
                return None;
            }
            &rest[host.len()..]
        }
    };
    Some(PathBuf::from(percent_decoded(path)))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex
            .and_then(|hex| str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `path[extra, …]`: the path, and the extras.
fn strip_extras(path: &str, what: &str, start: usize) -> Result<(String, Vec<String>), Wrong> {
    let open = path.strip_suffix(']').and_then(|inside| {
        // The first bracket whose inside has no other closing one.
        let last_close = inside.rfind(']').map_or(0, |at| at + 1);
        inside[last_close..].find('[').map(|at| last_close + at)
    });
    let Some(open) = open.filter(|open| *open > 0 && path.len() - open > 2) else {
        return Ok((path.to_owned(), Vec::new()));
    };
    let text = path[open..].to_lowercase();
    let mut cursor = Cursor::new(&text);
    let at = what.rfind('[').unwrap_or(0);
    let extras = syntax::extras(&mut cursor).map_err(|wrong| requirement(start + at, wrong))?;
    Ok((path[..open].trim_end().to_owned(), extras))
}

/// What a path means: nothing if the text is no path.
fn path_kind(path: &str, what: &str, start: usize) -> Result<Option<Kind>, Wrong> {
    let looks_like_path = |text: &str| text.contains('/') || text.starts_with('.');
    let found = fs::exists(Path::new(path));
    if looks_like_path(what) && found.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return project(PathBuf::from(path), None)
            .map(Some)
            .map_err(|problem| (start, problem));
    }
    if !is_archive(path) {
        return Ok(None);
    }
    if found.is_some_and(|found| found.is_file()) {
        return project(PathBuf::from(path), None)
            .map(Some)
            .map_err(|problem| (start, problem));
    }
    match what.split_once('@') {
        Some((before, _)) if !looks_like_path(before) => Ok(None),
        _ => Err((start, Problem::NoSuchPath(PathBuf::from(what)))),
    }
}

/// A project's folder, an sdist or a wheel that is there.
fn project(path: PathBuf, name: Option<String>) -> Result<Kind, Problem> {
    let Some(found) = fs::exists(&path) else {
        return Err(Problem::NoSuchPath(path));
    };
    if found.is_dir() {
        let has = |file: &str| fs::exists(&path.join(file)).is_some_and(|found| found.is_file());
        if !has("pyproject.toml") && !has("setup.py") {
            return Err(Problem::NotAProject(path));
        }
    }
    let file = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = if file.to_ascii_lowercase().ends_with(".whl") {
        let wheel = wheel_name(&file).map_err(Problem::Requirement)?;
        name.or(Some(wheel))
    } else {
        name
    };
    Ok(Kind::Path {
        name,
        path,
        fragment: None,
    })
}

fn is_archive(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    // A name that is nothing but the ending has none.
    ARCHIVES
        .iter()
        .any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// The name in a wheel's filename.
///
/// <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention>
fn wheel_name(file: &str) -> Result<String, String> {
    let stem = &file[..file.len().saturating_sub(4)];
    let parts: Vec<&str> = stem.split('-').collect();
    let wrong = |what: &str| Err(format!("`{file}` is no wheel's filename: {what}"));
    if !(5..=6).contains(&parts.len()) {
        return wrong("it needs name, version, Python, ABI and platform");
    }
    let valid = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
    if parts[0].contains("__") || parts[0].is_empty() || !parts[0].chars().all(valid) {
        return wrong("its name is none");
    }
    let version = Specifier::parse(&format!("=={}", parts[1]));
    if version.is_none() || parts[1].ends_with(".*") || parts[1].starts_with('=') {
        return wrong("its version is none");
    }
    if parts.len() == 6 && !parts[2].starts_with(|c: char| c.is_ascii_digit()) {
        return wrong("its build number does not begin with a digit");
    }
    Ok(parts[0].to_owned())
}
