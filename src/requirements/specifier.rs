//! Names, extras and version specifiers: `name[extra]>=1,<2` and `name @ url`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::lines::{trim, trim_end, trim_start};
use super::marker::{self, Asked, Expression};
use super::scan::{Result, Scanner, Syntax, fail};
use super::version::{is_version, specifier_length};
use crate::target::MarkerEnvironment;

/// The name of a distribution or of an extra, in its [normal form](
/// https://packaging.python.org/en/latest/specifications/name-normalization/).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Name(Box<str>);

impl From<String> for Name {
    fn from(written: String) -> Self {
        Self::new(&written)
    }
}

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
pub(super) const OPERATORS: [(&str, Operator); 8] = [
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
        let text = trim(text);
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
            version: trim(version).into(),
        }
    }
}

/// The clauses of a requirement.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Specifiers {
    clauses: Vec<Specifier>,
    /// What was written, if a variable was expanded in it.
    written: Option<Box<str>>,
}

impl Specifiers {
    /// The clause that leaves one version, or one with local labels besides: `==1.0` or `===1.0`.
    #[must_use]
    pub fn pin(&self) -> Option<&Specifier> {
        self.clauses.iter().find(|clause| match clause.operator {
            Operator::Identical => true,
            Operator::Equal => !clause.version.ends_with(".*"),
            _ => false,
        })
    }

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

impl fmt::Debug for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
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

/// A `Requires-Dist` of a distribution's metadata.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// What is required.
    pub(crate) name: Name,
    /// With which extras.
    pub(crate) extras: BTreeSet<Name>,
    /// The versions that will do.
    pub(crate) specifiers: Specifiers,
    /// Where it is to be had, if it must not be an index.
    pub(crate) url: Option<String>,
    marker: Option<Expression>,
}

impl Dependency {
    /// Parses one; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parsed = parse(text).ok()?;
        Some(Self {
            url: parsed.url.map(|url| text[url].to_owned()),
            name: parsed.name,
            extras: parsed.extras,
            specifiers: parsed.specifiers,
            marker: parsed.marker.map(|(_, expression)| expression),
        })
    }

    /// Whether it counts for an interpreter when one of `extras` is asked for.
    pub(crate) fn applies(&self, environment: &MarkerEnvironment, extras: &BTreeSet<Name>) -> bool {
        let Some(marker) = &self.marker else {
            return true;
        };
        let holds = |extra| {
            let asked = Asked::Extra(extra);
            marker.evaluate(environment, asked).unwrap_or(false)
        };
        if extras.is_empty() {
            holds("")
        } else {
            extras.iter().any(|extra| holds(extra.as_str()))
        }
    }
}

impl FromStr for Specifiers {
    type Err = Syntax;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Specifiers {
    /// Parses clauses and nothing more.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let scanner = &mut Scanner::new(text);
        scanner.skip_blanks();
        let read = clauses(scanner)?;
        if scanner.is_at_end() {
            Ok(read)
        } else {
            scanner.fail("expected version specifiers such as `>=3.10` with commas between them")
        }
    }

    /// Whether all clauses admit a version, be it a pre-release.
    #[must_use]
    pub fn admit(&self, version: &str) -> bool {
        self.clauses.iter().all(|clause| clause.admits(version))
    }

    /// Whether a `Requires-Python` admits this version of Python, pre-releases too. What cannot be read
    /// admits all, as with pip.
    #[must_use]
    pub fn python_admitted(requires_python: &str, python: &str) -> bool {
        Self::parse(trim(requires_python)).map_or(true, |read| read.admit(python))
    }
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

/// More clauses and extras than any requirement has. Each clause is held against each version that there is,
/// and each extra against each marker.
const MAX_CLAUSES: usize = 1000;
const MAX_EXTRAS: usize = 1000;

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
            if extras.len() == MAX_EXTRAS {
                return scanner.fail("more than 1000 extras");
            }
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
        if clause.operator != Operator::Identical && !is_version(base) {
            return fail(start, "a number in this version is too large");
        }
        if clauses.len() == MAX_CLAUSES {
            return fail(start, "more than 1000 version specifiers");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_taken_apart() {
        for (text, name, extras, specifiers) in [
            ("requests", "requests", "", ""),
            (" Foo__Bar.baz ", "foo-bar-baz", "", ""),
            ("a[B_c , d]>=1", "a", "b-c,d", ">=1"),
            ("a (>=1 , <2)", "a", "", ">=1,<2"),
            ("a >=1,", "a", "", ">=1"),
            ("a===any-thing,==2", "a", "", "===any-thing,==2"),
            ("a==1.0.post", "a", "", "==1.0.post"),
            ("a == v1!2.0-RC_1+x.y", "a", "", "==v1!2.0-RC_1+x.y"),
            ("foo_", "foo-", "", ""),
        ] {
            let parsed = parse(text).unwrap();
            let names: Vec<_> = parsed.extras.iter().map(Name::as_str).collect();
            let specifiers_read = parsed.specifiers.to_string();
            assert_eq!(
                (parsed.name.as_str(), &*names.join(","), &*specifiers_read),
                (name, extras, specifiers)
            );
        }
    }

    #[test]
    fn what_is_no_requirement_is_placed() {
        for (text, at) in [
            ("", 0),
            ("-a", 0),
            ("a b", 2),
            ("a=1", 1),
            ("a>=", 1),
            ("a>=1.*", 4),
            ("a~=1", 1),
            ("a[b", 1),
            ("a[b c]", 4),
            ("a (>=1", 2),
            ("a @ ", 4),
            ("a @ b c", 6),
            ("a[b ü", 4),
            ("a==99999999999999999999", 1),
            ("a===1,b", 6),
        ] {
            assert_eq!(parse(text).unwrap_err().at, at, "{text:?}");
        }
    }
}
