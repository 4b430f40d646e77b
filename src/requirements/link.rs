//! URLs, paths and the names in them, as pip takes them apart.

use std::net::Ipv6Addr;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::error::Problem;
use super::specifier::Name;
use super::version::is_version;

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
    netloc: String,
    path: String,
}

impl<'a> Link<'a> {
    /// Splits `url`; `None` if it has none of the schemes that pip knows.
    ///
    /// Python refuses odd brackets whatever the scheme.
    pub(super) fn new(url: &'a str) -> Result<Option<Self>, Problem> {
        let trimmed = url.trim_start_matches(|c: char| c <= ' ');
        let plain = trimmed.replace(['\t', '\r', '\n'], "");
        let (scheme, rest) = match plain.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ => (String::new(), &*plain),
        };
        let (netloc, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        check_brackets(netloc)?;
        let known = matches!(&*scheme, "http" | "https" | "file" | "ftp");
        if !known && !VCS.contains(&&*scheme) {
            return Ok(None);
        }
        let end = path.find(['?', '#']).unwrap_or(path.len());
        Ok(Some(Self {
            url,
            netloc: netloc.to_owned(),
            path: path[..end].to_owned(),
            scheme,
        }))
    }

    pub(super) fn is_vcs(&self) -> bool {
        VCS.contains(&&*self.scheme)
    }

    pub(super) fn is_file(&self) -> bool {
        self.scheme == "file"
    }

    /// The last part of the path, without escapes.
    pub(super) fn file_name(&self) -> String {
        last_part(&self.path)
    }

    /// The name in `#egg=name`.
    pub(super) fn egg(&self) -> Result<Option<&'a str>, Problem> {
        let Some(egg) = self.fragment("egg=") else {
            return Ok(None);
        };
        // The four others are letters of `[A-Z]` to Python where case is ignored.
        let is_letter =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, 'İ' | 'ı' | 'ſ' | '\u{212a}');
        let is_good = egg.starts_with(is_letter)
            && egg.ends_with(is_letter)
            && egg
                .chars()
                .all(|c| is_letter(c) || matches!(c, '.' | '_' | '-'));
        if is_good {
            Ok(Some(egg))
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
        if !matches!(&*self.netloc, "" | "localhost") {
            return Err(Problem::Url(
                "`file://` is followed by the path on this machine, as in `file:///directory`"
                    .to_owned(),
            ));
        }
        // pip wants these very letters, but for URLs that it has made absolute before.
        if !self.url.starts_with("file:") && !self.url.contains("../") {
            return Err(Problem::Url("it must begin with `file:`".to_owned()));
        }
        Ok(normalize(&folder.join(unquote(&self.path))))
    }
}

/// Whether the text is a URL of the web.
pub(super) fn is_http(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Brackets hold an IPv6 address.
fn check_brackets(netloc: &str) -> Result<(), Problem> {
    let fail = |what: &str| Err(Problem::Url(what.to_owned()));
    let Some((_, rest)) = netloc.split_once('[') else {
        return if netloc.contains(']') {
            fail("its `]` has no `[`")
        } else {
            Ok(())
        };
    };
    if !netloc.contains(']') {
        return fail("its `[` has no `]`");
    }
    let host = rest.split_once(']').map_or(rest, |(host, _)| host);
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    if address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && !zone.contains('%') {
        Ok(())
    } else {
        fail("what stands in `[]` is no IPv6 address")
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
    if !is_version(number) {
        return fail("its version is none");
    }
    if build.is_some_and(|build| !build.starts_with(|c: char| c.is_ascii_digit())) {
        return fail("its build number does not begin with a digit");
    }
    if tags.iter().any(|tag| tag.split('.').any(str::is_empty)) {
        return fail("one of its tags is empty");
    }
    let is_identifier = |tag: &str| {
        tag.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && tag.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if !tags[0].split('.').all(is_identifier) {
        return fail("its Python tag is none");
    }
    Ok(Name::new(name))
}

/// The name of the file that a URL leads to, without escapes.
pub(crate) fn file_name(url: &str) -> String {
    last_part(url.split(['?', '#']).next().unwrap_or_default())
}

fn last_part(path: &str) -> String {
    let path = unquote(path);
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Whether the file's name ends as an archive's does.
pub(crate) fn is_archive(path: &str) -> bool {
    let extension = extension(path.rsplit('/').next().unwrap_or_default());
    ARCHIVES.contains(&&*extension.to_ascii_lowercase())
}

/// The ending of a file's name, `.tar` and what follows it taken together.
pub(crate) fn extension(file_name: &str) -> &str {
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
pub(crate) fn normalize(path: &Path) -> PathBuf {
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
