//! Dependency specifiers: `name[extra] >=1.0 ; marker` and `name @ url ; marker`.
//!
//! <https://packaging.python.org/en/latest/specifications/dependency-specifiers/>

use super::marker::Marker;
use super::version::Specifier;

/// What was not expected, and at which byte of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unexpected {
    pub(super) at: usize,
    pub(super) problem: String,
}

/// A place in a text that is being read.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Passes over blanks and tabs; tells whether there were any.
    pub(super) fn blanks(&mut self) -> bool {
        let rest = self.rest().trim_start_matches([' ', '\t']);
        let found = rest.len() < self.rest().len();
        self.at = self.text.len() - rest.len();
        found
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// Takes `word` where it stands as a word of its own.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let inside = self.text[..self.at].ends_with(is_word);
        let longer = self
            .rest()
            .strip_prefix(word)
            .is_none_or(|rest| rest.starts_with(is_word));
        if inside || longer {
            return false;
        }
        self.at += word.len();
        true
    }

    /// Takes a quoted string and gives its inside.
    pub(super) fn quoted(&mut self) -> Option<&'a str> {
        let quote = self.rest().chars().next().filter(|c| "'\"".contains(*c))?;
        let inside = &self.rest()[1..];
        let end = inside.find(quote)?;
        self.at += end + 2;
        Some(&inside[..end])
    }

    /// Takes a name: letters, digits, `.`, `_` and `-`, from a letter or digit to where a word ends.
    fn identifier(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if self.text[..self.at].ends_with(is_word)
            || !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return None;
        }
        let longest = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c))
            .unwrap_or(rest.len());
        // Back to the last place where a word ends.
        let end = (1..=longest)
            .rev()
            .find(|end| rest[..*end].ends_with(is_word) != rest[*end..].starts_with(is_word))?;
        self.at += end;
        Some(&rest[..end])
    }

    pub(super) fn end(&self, expected: &str) -> Result<(), Unexpected> {
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    pub(super) fn unexpected(&self, expected: &str) -> Unexpected {
        let got = match self.rest().chars().next() {
            Some(c) => format!("`{}`", c.escape_debug()),
            None => "the end".to_owned(),
        };
        Unexpected {
            at: self.at,
            problem: format!("expected {expected}, got {got}"),
        }
    }
}

/// What Python's `\w` is.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A dependency specifier, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) name: String,
    pub(super) extras: Vec<String>,
    /// The comparisons, as they are written; empty if there are none.
    pub(super) specifier: String,
    pub(super) url: Option<String>,
    pub(super) marker: Option<Marker>,
}

/// Reads the whole of `text`.
pub(super) fn parse(text: &str) -> Result<Parsed, Unexpected> {
    let mut cursor = Cursor::new(text);
    cursor.blanks();
    let Some(name) = cursor.identifier() else {
        return Err(cursor.unexpected("a package name"));
    };
    let name = name.to_owned();
    cursor.blanks();
    let extras = extras(&mut cursor)?;
    cursor.blanks();
    let mut parsed = Parsed {
        name,
        extras,
        specifier: String::new(),
        url: None,
        marker: None,
    };
    let expected;
    if cursor.take("@") {
        cursor.blanks();
        let url = cursor.rest();
        let url = &url[..url.find([' ', '\t']).unwrap_or(url.len())];
        if url.is_empty() {
            return Err(cursor.unexpected("a URL after `@`"));
        }
        cursor.at += url.len();
        parsed.url = Some(url.to_owned());
        cursor.blanks();
        expected = "`;` or the end";
    } else {
        parsed.specifier = specifiers(&mut cursor)?;
        cursor.blanks();
        expected = if parsed.specifier.is_empty() {
            "a version specifier such as `==1.0`, `;` or the end"
        } else {
            "`,`, `;` or the end"
        };
    }
    if cursor.rest().is_empty() {
        return Ok(parsed);
    }
    if !cursor.take(";") {
        return Err(cursor.unexpected(expected));
    }
    let start = cursor.position();
    parsed.marker = Some(
        Marker::parse(cursor.rest()).map_err(|unexpected| Unexpected {
            at: start + unexpected.at,
            ..unexpected
        })?,
    );
    Ok(parsed)
}

/// `[a, b]`, if it is there.
pub(super) fn extras(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Unexpected> {
    let mut extras = Vec::new();
    if !cursor.take("[") {
        return Ok(extras);
    }
    cursor.blanks();
    if let Some(extra) = cursor.identifier() {
        extras.push(extra.to_owned());
        loop {
            cursor.blanks();
            if !cursor.take(",") {
                break;
            }
            cursor.blanks();
            match cursor.identifier() {
                Some(extra) => extras.push(extra.to_owned()),
                None => return Err(cursor.unexpected("the name of an extra")),
            }
        }
    }
    cursor.blanks();
    if cursor.take("]") {
        Ok(extras)
    } else {
        Err(cursor.unexpected("`,` or `]`"))
    }
}

/// `>=1.0, <2`, in parentheses or not, if it is there.
fn specifiers(cursor: &mut Cursor<'_>) -> Result<String, Unexpected> {
    let parenthesis = cursor.take("(");
    cursor.blanks();
    let mut written: Vec<String> = Vec::new();
    loop {
        let start = cursor.position();
        let Some((specifier, length)) = Specifier::scan(cursor.rest()) else {
            break;
        };
        let text = &cursor.rest()[..length];
        // `===` takes commas into its text, and then they part it again.
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            if Specifier::parse(part).is_none() {
                return Err(Unexpected {
                    at: start,
                    problem: format!("`{}` is no version specifier", part.trim()),
                });
            }
        }
        if !specifier.is_comparable() {
            return Err(Unexpected {
                at: start,
                problem: format!("the version in `{text}` is too large"),
            });
        }
        written.push(text.to_owned());
        cursor.at += length;
        if cursor.rest().starts_with(".*") || starts_local(cursor.rest()) {
            return Err(cursor.unexpected("`,`, `;` or the end (only `==` and `!=` take `.*` or a local version, and not both)"));
        }
        cursor.blanks();
        if !cursor.take(",") {
            break;
        }
        cursor.blanks();
    }
    cursor.blanks();
    if parenthesis && !cursor.take(")") {
        return Err(cursor.unexpected("`)`"));
    }
    Ok(written.join(","))
}

fn starts_local(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|after| after.starts_with(|c: char| c.is_ascii_alphanumeric()))
}
