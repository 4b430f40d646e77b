//! URLs, paths and the names in them, as pip takes them apart.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::error::Problem;
use super::specifier::{Name, version};

/// The schemes of repositories that pip knows.
const VCS: [&str; 22] = [
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
    "bzr+http",
    "bzr+https",
    "bzr+ssh",
    "bzr+sftp",
    "bzr+ftp",
    "bzr+lp",
    "bzr+file",
    "svn+ssh",
    "svn+http",
    "svn+https",
    "svn+svn",
    "svn+file",
];

/// The endings of archives that pip can unpack.
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

/// A URL, split as Python's `urlsplit` does.
#[derive(Debug)]
pub(super) struct Link<'a> {
    url: &'a str,
    scheme: String,
    netloc: &'a str,
    path: &'a str,
}

impl<'a> Link<'a> {
    /// Splits `url`; `None` if it has none of the schemes that pip knows.
    pub(super) fn new(url: &'a str) -> Option<Self> {
        let url = url.trim_start_matches(|c: char| c <= ' ');
        let (scheme, rest) = url.split_once(':')?;
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let known = matches!(&*scheme, "http" | "https" | "file" | "ftp");
        if !known && !VCS.contains(&&*scheme) {
            return None;
        }
        let (netloc, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let end = path.find(['?', '#']).unwrap_or(path.len());
        Some(Self {
            url,
            scheme,
            netloc,
            path: &path[..end],
        })
    }

    pub(super) fn is_vcs(&self) -> bool {
        VCS.contains(&&*self.scheme)
    }

    pub(super) fn is_file(&self) -> bool {
        self.scheme == "file"
    }

    /// Refuses what Python would refuse to split.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let fail = |what: &str| Err(Problem::Url(what.to_owned()));
        let Some((_, rest)) = self.netloc.split_once('[') else {
            return match self.netloc.contains(']') {
                true => fail("its `]` has no `[`"),
                false => Ok(()),
            };
        };
        let Some((host, _)) = rest.split_once(']') else {
            return fail("its `[` has no `]`");
        };
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        if address.parse::<std::net::Ipv6Addr>().is_ok() {
            Ok(())
        } else {
            fail("what stands in `[]` is no IPv6 address")
        }
    }

    /// The last part of the path, without escapes.
    pub(super) fn file_name(&self) -> String {
        let path = unquote(self.path);
        let path = path.trim_end_matches('/');
        path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The name in `#egg=name`.
    pub(super) fn egg(&self) -> Result<Option<Name>, Problem> {
        let Some(egg) = self.fragment("egg=") else {
            return Ok(None);
        };
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inner = egg
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if inner && ends(egg.chars().next()) && ends(egg.chars().next_back()) {
            Ok(Some(Name::new(egg)))
        } else {
            Err(Problem::Egg)
        }
    }

    /// The value behind `#key=` or `&key=`: pip looks for it anywhere in the URL.
    fn fragment(&self, key: &str) -> Option<&'a str> {
        let (at, _) = self
            .url
            .match_indices(key)
            .find(|(at, _)| self.url[..*at].ends_with(['#', '&']))?;
        let value = &self.url[at + key.len()..];
        Some(&value[..value.find('&').unwrap_or(value.len())])
    }

    /// The path on this machine that a `file:` URL stands for, relative ones under `folder`.
    pub(super) fn to_path(&self, folder: &Path) -> Result<PathBuf, Problem> {
        if !matches!(self.netloc, "" | "localhost") {
            return Err(Problem::Url(
                "`file://` is followed by the path on this machine, as in `file:///folder`"
                    .to_owned(),
            ));
        }
        Ok(normalize(&folder.join(unquote(self.path))))
    }
}

/// The name in a wheel's file name, by the [specification](
/// https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention).
pub(super) fn wheel_name(file_name: &str) -> Result<Name, Problem> {
    let fail = |what| Err(Problem::WheelName(what));
    let Some(stem) = file_name.strip_suffix(".whl") else {
        return fail("it must end in `.whl`");
    };
    let parts: Vec<_> = stem.split('-').collect();
    let (name, number, build, tags) = match parts[..] {
        [name, version, ref tags @ ..] if tags.len() == 3 => (name, version, None, tags),
        [name, version, build, ref tags @ ..] if tags.len() == 3 => {
            (name, version, Some(build), tags)
        }
        _ => return fail("expected `name-version-python-abi-platform.whl`"),
    };
    let name_is_good = name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
        && !name.contains("__");
    if !name_is_good {
        return fail("this name cannot be a project's");
    }
    if version(number).is_none() {
        return fail("its version is none");
    }
    if build.is_some_and(|build| !build.starts_with(|c: char| c.is_ascii_digit())) {
        return fail("its build number does not begin with a digit");
    }
    if tags.iter().any(|tag| tag.split('.').any(str::is_empty)) {
        return fail("one of its tags is empty");
    }
    let is_identifier = |tag: &str| {
        !tag.starts_with(|c: char| c.is_ascii_digit())
            && tag.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if !tags[0].split('.').all(is_identifier) {
        return fail("its Python tag is none");
    }
    Ok(Name::new(name))
}

/// Whether the file's name ends as an archive's does.
pub(super) fn is_archive(path: &str) -> bool {
    let extension = extension(path.rsplit('/').next().unwrap_or_default());
    ARCHIVES.contains(&&*extension.to_ascii_lowercase())
}

/// The ending of a file's name, `.tar` and what follows it taken together.
pub(super) fn extension(file_name: &str) -> &str {
    let split = |name: &str| {
        let dots = name.len() - name.trim_start_matches('.').len();
        name[dots..].rfind('.').map_or(name.len(), |dot| dot + dots)
    };
    let dot = split(file_name);
    let base = &file_name[..dot];
    match base.len().checked_sub(4) {
        Some(tar) if base.is_char_boundary(tar) && base[tar..].eq_ignore_ascii_case(".tar") => {
            &file_name[tar..]
        }
        _ => &file_name[dot..],
    }
}

/// Where the extras behind a path stand: the brackets at its end.
pub(super) fn extras(text: &str) -> Option<Range<usize>> {
    let text = text.trim_end_matches('/');
    let body = text.strip_suffix(']')?;
    let open = body
        .rmatch_indices('[')
        .map(|(open, _)| open)
        .find(|open| open + 1 < body.len())?;
    (open > 0 && !body[open..].contains(']')).then_some(open..text.len())
}

/// `path` without `.` and `..`, by its text alone, as `os.path.normpath` does.
pub(super) fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() && !normal.has_root() {
                    normal.push("..");
                }
            }
            other => normal.push(other),
        }
    }
    normal
}

/// Decodes `%41`.
fn unquote(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let byte = tail
            .get(..2)
            .filter(|digits| first == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
