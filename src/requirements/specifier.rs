//! Names, extras and versions: `name[extra]>=1,<2` and `name @ url`.
//!
//! This is the only file that calls [`pep508_rs`], and all that it takes from there is PEP 440's
//! versions and their order. Which texts are requirements, and which versions an operator admits,
//! is decided here, as `packaging` decides: `pep508_rs` 0.9.2 panics on some text that is not
//! ASCII, refuses `===` with any text, and knows an older reading of `<` and `>`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr as _;

use pep508_rs::pep440_rs::Version;
use serde::{Serialize, Serializer};

use super::lines::{is_space, trim_end, trim_start};
use super::marker::{self, Expression};
use super::scan::{Result, Scanner, Syntax, fail};

/// The name of a distribution or of an extra, in its [normal form](
/// https://packaging.python.org/en/latest/specifications/name-normalization/).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Name(Box<str>);

impl Name {
    /// The normal form of a name as it is written.
    #[must_use]
    pub fn new(written: &str) -> Self {
        let mut name = String::with_capacity(written.len());
        for c in written.chars() {
            match c {
                '-' | '_' | '.' if name.ends_with('-') => {}
                '-' | '_' | '.' => name.push('-'),
                c => name.extend(c.to_lowercase()),
            }
        }
        Self(name.into())
    }

    /// The name as text, such as `zope-interface`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a version is compared, by [the specification](
/// https://packaging.python.org/en/latest/specifications/version-specifiers/).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `===`, the same text.
    Identical,
    /// `~=`
    Compatible,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `>`
    Above,
}

/// The operators; those that begin like another one come before it.
const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Identical),
    ("~=", Operator::Compatible),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Below),
    (">", Operator::Above),
];

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OPERATORS.iter().find(|(_, operator)| operator == self);
        f.write_str(text.map_or("", |(text, _)| text))
    }
}

/// One clause, such as `>=1.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Specifier {
    /// How to compare.
    pub operator: Operator,
    /// What to compare with: a version, one that ends in `.*`, or for `===` any text.
    pub version: Box<str>,
}

impl Specifier {
    /// Parses one whole clause.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = trim_start(trim_end(text));
        let length = specifier_length(text)?;
        (length == text.len()).then(|| Self::split(text))
    }

    /// Takes apart what [`specifier_length`] measured.
    fn split(text: &str) -> Self {
        let (operator, version) = OPERATORS
            .iter()
            .find_map(|(token, operator)| Some((*operator, text.strip_prefix(token)?)))
            .unwrap_or((Operator::Identical, text));
        Self {
            operator,
            version: trim_start(trim_end(version)).into(),
        }
    }

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
            let within = starts(&base).is_none_or(|first| candidate >= first)
                && after(&base, base.release()).is_none_or(|end| candidate < end);
            return within == (self.operator == Operator::Equal);
        }
        version(&self.version).is_some_and(|limit| self.compare(&candidate, &limit))
    }

    fn compare(&self, candidate: &Version, limit: &Version) -> bool {
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
fn above(candidate: &Version, limit: &Version) -> bool {
    let next = if let Some(dev) = limit.dev() {
        dev.checked_add(1)
            .map(|dev| limit.clone().with_dev(Some(dev)))
    } else if let Some(post) = limit.post() {
        let post = post.checked_add(1);
        post.map(|post| limit.clone().with_post(Some(post)).with_dev(Some(0)))
    } else {
        let same = |version: &Version| {
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
fn starts(base: &Version) -> Option<Version> {
    Some(
        base.only_release()
            .with_epoch(base.epoch())
            .with_dev(Some(0)),
    )
}

/// The first version behind a series: `1.2` → `1.3.dev0`; `None` if there is no such number.
fn after(base: &Version, release: &[u64]) -> Option<Version> {
    let (last, rest) = release.split_last()?;
    let last = last.checked_add(1)?;
    let release = rest.iter().copied().chain([last]);
    Some(
        Version::new(release)
            .with_epoch(base.epoch())
            .with_dev(Some(0)),
    )
}

/// Parses a version as `packaging` does.
pub(super) fn version(text: &str) -> Option<Version> {
    let text = trim_start(trim_end(text));
    text.is_ascii()
        .then(|| Version::from_str(text).ok())
        .flatten()
}

/// The clauses of a requirement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Specifiers {
    clauses: Vec<Specifier>,
    /// What was written, if a variable was expanded in it.
    written: Option<Box<str>>,
}

impl Specifiers {
    /// The clauses in the order in which they were written.
    #[must_use]
    pub fn clauses(&self) -> &[Specifier] {
        &self.clauses
    }

    /// The clauses as pip takes them, with the values of variables.
    #[must_use]
    pub fn expanded(&self) -> String {
        let clauses: Vec<_> = self
            .clauses
            .iter()
            .map(|clause| format!("{}{}", clause.operator, clause.version))
            .collect();
        clauses.join(",")
    }

    pub(super) fn with_written(mut self, written: &str) -> Self {
        self.written = Some(written.into());
        self
    }
}

/// Shows the clauses, and where a variable was expanded, what was written.
impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            Some(written) => f.write_str(written),
            None => f.write_str(&self.expanded()),
        }
    }
}

impl Serialize for Specifiers {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A requirement, taken apart. Ranges are bytes of the text that was parsed.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) name: Name,
    pub(super) extras: BTreeSet<Name>,
    pub(super) specifiers: Specifiers,
    /// Where the clauses stand.
    pub(super) clauses: Range<usize>,
    pub(super) url: Option<Range<usize>>,
    pub(super) marker: Option<(Range<usize>, Expression)>,
}

/// Parses `name[extras] specifiers` or `name[extras] @ url`, and `; marker` behind either.
pub(super) fn parse(text: &str) -> Result<Parsed> {
    let scanner = &mut Scanner::new(text);
    scanner.skip_blanks();
    let Some(name) = scanner.identifier() else {
        return scanner.fail("expected the name of a package");
    };
    let name = Name::new(name);
    scanner.skip_blanks();
    let extras = extras(scanner)?;
    scanner.skip_blanks();
    let start = scanner.at();
    let mut url = None;
    let mut specifiers = Specifiers::default();
    if scanner.eat("@") {
        scanner.skip_blanks();
        let length = scanner
            .rest()
            .find([' ', '\t'])
            .unwrap_or(scanner.rest().len());
        if length == 0 {
            return scanner.fail("expected a URL behind `@`");
        }
        url = Some(scanner.at()..scanner.at() + length);
        scanner.take(length);
        if !scanner.skip_blanks() && !scanner.is_at_end() {
            return scanner.fail("expected white space behind the URL");
        }
    } else {
        specifiers = clauses(scanner)?;
    }
    let end = start + trim_end(&text[start..scanner.at()]).len();
    scanner.skip_blanks();
    let marker = if scanner.is_at_end() {
        None
    } else if scanner.eat(";") {
        let from = scanner.at();
        let parsed = marker::expression(&text[from..]).map_err(|error| Syntax {
            at: error.at + from,
            ..error
        })?;
        Some((from..text.len(), parsed))
    } else if url.is_some() {
        return scanner.fail("expected `;` and a marker, or the end");
    } else if specifiers.clauses.is_empty() {
        return scanner.fail("expected a version specifier such as `==1.0`, `;` or the end");
    } else {
        return scanner.fail("expected `,`, `;` or the end");
    };
    Ok(Parsed {
        name,
        extras,
        specifiers,
        clauses: start..end,
        url,
        marker,
    })
}

/// The extras in brackets behind a path: `[a,b]`.
pub(super) fn parse_extras(text: &str) -> Result<BTreeSet<Name>> {
    let scanner = &mut Scanner::new(text);
    let extras = extras(scanner)?;
    scanner.skip_blanks();
    if scanner.is_at_end() {
        Ok(extras)
    } else {
        scanner.fail("expected the end of the extras")
    }
}

fn extras(scanner: &mut Scanner<'_>) -> Result<BTreeSet<Name>> {
    let mut extras = BTreeSet::new();
    let open = scanner.at();
    if !scanner.eat("[") {
        return Ok(extras);
    }
    scanner.skip_blanks();
    if let Some(first) = scanner.identifier() {
        extras.insert(Name::new(first));
        scanner.skip_blanks();
        while scanner.eat(",") {
            scanner.skip_blanks();
            let Some(next) = scanner.identifier() else {
                return scanner.fail("expected the name of an extra behind `,`");
            };
            extras.insert(Name::new(next));
            scanner.skip_blanks();
        }
    }
    if scanner.eat("]") {
        Ok(extras)
    } else if scanner.is_at_end() {
        fail(open, "this `[` is never closed")
    } else {
        scanner.fail("expected `,` or `]` among the extras")
    }
}

fn clauses(scanner: &mut Scanner<'_>) -> Result<Specifiers> {
    let open = scanner.at();
    let parenthesised = scanner.eat("(");
    scanner.skip_blanks();
    let mut clauses = Vec::new();
    while let Some(length) = specifier_length(scanner.rest()) {
        let at = scanner.at();
        let text = scanner.take(length);
        if scanner.rest().starts_with(".*") {
            return scanner.fail("`.*` can only follow the release of `==` or `!=`");
        }
        if is_local_label(scanner.rest()) {
            return scanner.fail("a local version (`+…`) can only be compared by `==` or `!=`");
        }
        split_clause(text, at, &mut clauses)?;
        scanner.skip_blanks();
        if !scanner.eat(",") {
            break;
        }
        scanner.skip_blanks();
    }
    scanner.skip_blanks();
    if parenthesised && !scanner.eat(")") {
        return if scanner.is_at_end() {
            fail(open, "this `(` is never closed")
        } else {
            scanner.fail("expected a version specifier, `,` or `)`")
        };
    }
    Ok(Specifiers {
        clauses,
        written: None,
    })
}

/// What was read as one clause is more if it is `===1.0,>=2`: any text goes on over a comma.
fn split_clause(text: &str, at: usize, clauses: &mut Vec<Specifier>) -> Result<()> {
    let mut from = 0;
    for part in text.split(',') {
        let start = at + from;
        from += part.len() + 1;
        if trim_start(part).is_empty() {
            continue;
        }
        let Some(clause) = Specifier::parse(part) else {
            return fail(start, "expected a version specifier such as `==1.0`");
        };
        let base = clause.version.strip_suffix(".*").unwrap_or(&clause.version);
        if clause.operator != Operator::Identical && version(base).is_none() {
            return fail(start, "a number in this version is too large");
        }
        clauses.push(clause);
    }
    Ok(())
}

fn is_local_label(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

/// How long the version specifier at the start of `text` is, by the regular expression of
/// `packaging`. Each of its optional parts takes what it can, and none has to give anything back.
fn specifier_length(text: &str) -> Option<usize> {
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
