//! Versions: how far they go in a text, and which of them an operator admits.
//!
//! This is the only file that calls [`pep508_rs`]. What it takes from there is versions and their
//! order. Which texts are requirements, and which versions an operator admits, is decided as
//! `packaging` 26.3 decides: `pep508_rs` 0.9.2 panics on some text that is not ASCII, refuses `===`
//! with any text, drops some markers with no more than a warning, and knows an older reading of `<`
//! and `>`.

use std::fmt;
use std::str::FromStr as _;

use pep508_rs::pep440_rs::Version as Parsed;

use super::lines::{is_space, trim, trim_start};
use super::specifier::{OPERATORS, Operator, Specifier};

impl Specifier {
    /// Whether a version is admitted, pre-releases too. What is no version never is, but by `===`.
    pub(super) fn admits(&self, candidate: &str) -> bool {
        if self.operator == Operator::Identical {
            return candidate.to_lowercase() == self.version.to_lowercase();
        }
        let Some(candidate) = version(candidate) else {
            return false;
        };
        if let Some(base) = self.version.strip_suffix(".*") {
            let Some(base) = version(base) else {
                return false;
            };
            let within = candidate >= starts(&base)
                && after(&base, base.release()).is_none_or(|end| candidate < end);
            return within == (self.operator == Operator::Equal);
        }
        version(&self.version).is_some_and(|limit| self.compare(&candidate, &limit))
    }

    fn compare(&self, candidate: &Parsed, limit: &Parsed) -> bool {
        let public = || candidate.clone().without_local();
        let equal = || {
            if limit.is_local() {
                candidate == limit
            } else {
                public() == *limit
            }
        };
        match self.operator {
            Operator::Identical => false,
            Operator::Equal => equal(),
            Operator::NotEqual => !equal(),
            Operator::AtLeast => candidate >= limit,
            Operator::AtMost => public() <= *limit,
            Operator::Compatible => {
                let prefix = &limit.release()[..limit.release().len() - 1];
                candidate >= limit && after(limit, prefix).is_none_or(|end| *candidate < end)
            }
            // `<1.0` excludes 1.0's own pre-releases.
            Operator::Below if limit.any_prerelease() => candidate < limit,
            Operator::Below => *candidate < limit.clone().with_dev(Some(0)),
            Operator::Above => above(candidate, limit),
        }
    }
}

/// `>`: not the post-releases or local versions of `limit`.
fn above(candidate: &Parsed, limit: &Parsed) -> bool {
    let next = if let Some(dev) = limit.dev() {
        dev.checked_add(1)
            .map(|dev| limit.clone().with_dev(Some(dev)))
    } else if let Some(post) = limit.post() {
        let post = post.checked_add(1);
        post.map(|post| limit.clone().with_post(Some(post)).with_dev(Some(0)))
    } else {
        let same = |version: &Parsed| {
            version
                .clone()
                .with_post(None)
                .with_dev(None)
                .without_local()
        };
        return candidate > limit && same(candidate) != same(limit);
    };
    next.is_some_and(|next| *candidate >= next)
}

/// The first version of a series: `1.2` → `1.2.dev0`.
fn starts(base: &Parsed) -> Parsed {
    base.only_release()
        .with_epoch(base.epoch())
        .with_dev(Some(0))
}

/// The first version behind a series: `1.2` → `1.3.dev0`; `None` if there is no such number.
fn after(base: &Parsed, release: &[u64]) -> Option<Parsed> {
    let (last, rest) = release.split_last()?;
    let last = last.checked_add(1)?;
    let release = rest.iter().copied().chain([last]);
    Some(
        Parsed::new(release)
            .with_epoch(base.epoch())
            .with_dev(Some(0)),
    )
}

/// A version of a distribution, ordered as [the specification](
/// https://packaging.python.org/en/latest/specifications/version-specifiers/) orders them. Displays
/// itself in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Parsed);

impl Version {
    /// Parses a version, however it is written; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        version(text).map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whether the text is a version.
pub(crate) fn is_version(text: &str) -> bool {
    version(text).is_some()
}

/// Whether two versions are one, however they are written: `1.0` is `1.0.0`.
#[must_use]
pub fn same_version(a: &str, b: &str) -> bool {
    match (version(a), version(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Parses a version as `packaging` does. Numbers end at 2⁶⁴ − 1.
fn version(text: &str) -> Option<Parsed> {
    let text = trim(text);
    text.is_ascii()
        .then(|| Parsed::from_str(text).ok())
        .flatten()
}

/// How long the version specifier at the start of `text` is, by the regular expression of
/// `packaging`. Each of its optional parts takes what it can, and none has to give anything back.
pub(super) fn specifier_length(text: &str) -> Option<usize> {
    let (token, operator) = OPERATORS
        .iter()
        .find(|(token, _)| text.starts_with(token))?;
    let spaced = &text[token.len()..];
    let version = trim_start(spaced);
    let start = text.len() - version.len();
    if *operator == Operator::Identical {
        let end = |c: char| is_space(c) || matches!(c, ';' | ')');
        return Some(start + version.find(end).unwrap_or(version.len()));
    }
    let release = release(version, *operator == Operator::Compatible)?;
    let rest = &version[release..];
    let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
    if equality && rest.starts_with(".*") {
        return Some(start + release + 2);
    }
    let mut length = release + suffixes(rest);
    if equality {
        length += local(&version[length..]);
    }
    Some(start + length)
}

/// `v1!2.3`
fn release(text: &str, dotted: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(matches!(bytes.first(), Some(b'v' | b'V')));
    let epoch = digits(at);
    if epoch > 0 && bytes.get(at + epoch) == Some(&b'!') && digits(at + epoch + 1) > 0 {
        at += epoch + 1;
    }
    let first = digits(at);
    if first == 0 {
        return None;
    }
    at += first;
    let mut dots = 0;
    while bytes.get(at) == Some(&b'.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
        dots += 1;
    }
    (dots > 0 || !dotted).then_some(at)
}

/// `a1.post2.dev3`: each part may be missing.
fn suffixes(text: &str) -> usize {
    const PRE: [&str; 8] = ["alpha", "beta", "preview", "pre", "a", "b", "c", "rc"];
    let mut at = labelled(text, &PRE);
    let post = &text.as_bytes()[at..];
    let digits = post
        .iter()
        .skip(1)
        .take_while(|b| b.is_ascii_digit())
        .count();
    at += if post.first() == Some(&b'-') && digits > 0 {
        1 + digits
    } else {
        labelled(&text[at..], &["post", "rev", "r"])
    };
    at + labelled(&text[at..], &["dev"])
}

/// `.label.12`: the separators and the number may be missing.
fn labelled(text: &str, labels: &[&str]) -> usize {
    let bytes = text.as_bytes();
    let separator = |at: usize| usize::from(matches!(bytes.get(at), Some(b'-' | b'_' | b'.')));
    let start = separator(0);
    let label = labels.iter().find(|label| {
        let found = bytes.get(start..start + label.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(label.as_bytes()))
    });
    let Some(label) = label else {
        return 0;
    };
    let mut at = start + label.len();
    at += separator(at);
    at + bytes[at..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count()
}

/// `+local.1`
fn local(text: &str) -> usize {
    let bytes = text.as_bytes();
    let run = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count()
    };
    if bytes.first() != Some(&b'+') || run(1) == 0 {
        return 0;
    }
    let mut at = 1 + run(1);
    while matches!(bytes.get(at), Some(b'-' | b'_' | b'.')) && run(at + 1) > 0 {
        at += 1 + run(at + 1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_admit_what_packaging_says() {
        for (specifier, admitted, refused) in [
            (
                ">1.0",
                &["1.1", "1.0.1.dev1", "2a1"][..],
                &["1.0", "1.0.post1", "1.0+x", "1.0a1"][..],
            ),
            (
                ">1.0.post1",
                &["1.0.post2", "1.0.post2.dev0"],
                &["1.0.post1", "1.0.post1+x"],
            ),
            (
                ">1.0.dev1",
                &["1.0.dev2", "1.0"],
                &["1.0.dev1", "1.0.dev1+x"],
            ),
            (
                ">1.0a1",
                &["1.0a2", "1.0", "1.0.post1"],
                &["1.0a1.post1", "1.0a1"],
            ),
            ("<1.0", &["0.9", "0.9+x"], &["1.0", "1.0rc1", "1.0.dev0"]),
            ("<1.0.post1", &["1.0", "1.0rc1"], &["1.0.post1.dev0"]),
            ("<1.0rc1", &["1.0b2", "1.0rc1.dev0"], &["1.0rc1"]),
            ("<=1.0", &["1.0+x", "1.0a1"], &["1.0.post1"]),
            ("==1.0", &["1", "1.0.0+x"], &["1.0.post1", "no version"]),
            ("==1.0+x", &["1.0+X"], &["1.0", "1.0+y"]),
            ("==1.*", &["1", "1.9.dev1", "1.0a1+x"], &["2.dev0", "1!1.0"]),
            ("!=1.*", &["2.dev0", "0.9"], &["1.9"]),
            (
                "~=1.4.2",
                &["1.4.2", "1.4.9"],
                &["1.5", "1.5.dev0", "1.4.2rc1"],
            ),
            ("===1.0", &["1.0"], &["1.0.0"]),
            ("===Any", &["aNY"], &[]),
        ] {
            let specifier = Specifier::parse(specifier).unwrap();
            for version in admitted {
                assert!(specifier.admits(version), "{specifier:?} {version}");
            }
            for version in refused {
                assert!(!specifier.admits(version), "{specifier:?} {version}");
            }
        }
    }

    #[test]
    fn specifiers_end_where_packaging_ends_them() {
        for (text, length) in [
            ("==1.0,<2", Some(5)),
            ("==1.0.post-", Some(11)),
            ("==1.0-1", Some(7)),
            ("==1.0.*", Some(7)),
            (">=1.0.*", Some(5)),
            (">=1.0+x", Some(5)),
            ("== \u{a0}1", Some(6)),
            ("===a,b c", Some(6)),
            ("~=1", None),
            ("==x", None),
            ("=1", None),
        ] {
            assert_eq!(specifier_length(text), length, "{text:?}");
        }
    }
}
