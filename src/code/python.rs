//! Which modules a Python source file imports, and whether it can do without them.
//!
//! A statement at the left margin is carried out whenever the module is imported; one that is indented
//! (in a function, below `try:` or `if TYPE_CHECKING:`) may never be. Only as much of the language is
//! read as that takes: comments, strings, brackets and line ends.
//!
//! <https://docs.python.org/3/reference/lexical_analysis.html>

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::weight;

/// The modules of the standard library of any `CPython` from 3.8 to 3.13, by `sys.stdlib_module_names`.
const STANDARD: &str = include_str!("stdlib.txt");

/// Whether some `CPython` has a top-level module of this name in its standard library.
#[must_use]
pub fn is_standard(module: &str) -> bool {
    static NAMES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| STANDARD.lines().collect());
    NAMES.contains(module)
}

/// An import statement's target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The dotted name, with a dot in front for each level of a relative one: `os.path`, `..config`.
    pub name: String,
    /// Whether it is carried out whenever the module is imported.
    pub always: bool,
}

/// The longest name that is an import's: a module's file has a path of at most 4096 bytes, and the longest
/// names in use have some 120.
const MAX_NAME: usize = 1024;
/// The most bytes that the imports of one file take, counted as [`weight`] counts them: one `from` stands in
/// each of the names behind it. Of the files of 300 distributions, none takes a tenth.
const MAX_WEIGHT: usize = 4 << 20;

/// The imports of a source file. `from a import b` is given as `a` and as `a.b`, of which it means one.
///
/// Names that are longer than any module's are passed over, and so is what comes after the first few ten
/// thousand imports.
#[must_use]
pub fn imports(source: &[u8]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut room = MAX_WEIGHT;
    for line in LogicalLines::new(source) {
        if line.text.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(&line.text);
        let words = text.trim();
        let mut add = |name: String| {
            let left = room.checked_sub(weight(&name));
            if let Some(left) = left.filter(|_| name.len() <= MAX_NAME) {
                room = left;
                found.push(Import {
                    name,
                    always: !line.indented,
                });
            }
        };
        // `try: import a` and the like are lines of their own to this reader.
        if let Some(names) = words.strip_prefix("import ") {
            for name in names.split(',') {
                if let Some(name) = dotted(name) {
                    add(name);
                }
            }
        } else if let Some((from, names)) = words
            .strip_prefix("from ")
            .or_else(|| words.strip_prefix("from.").map(|_| &words[4..]))
            .and_then(split_from)
        {
            let names = names.trim_matches(['(', ')', ' ']).split(',');
            for name in names.filter(|_| from.len() <= MAX_NAME) {
                if let Some(name) = dotted(name) {
                    let dot = if from.ends_with('.') { "" } else { "." };
                    add(format!("{from}{dot}{name}"));
                }
            }
            add(from);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `a.b import c, d` as `a.b` and `c, d`.
fn split_from(text: &str) -> Option<(String, &str)> {
    let at = text.match_indices("import").map(|(at, _)| at).find(|at| {
        let (before, behind) = (&text[..*at], &text[at + "import".len()..]);
        before.ends_with([' ', '.']) && behind.starts_with([' ', '('])
    })?;
    let (from, names) = (&text[..at], &text[at + "import".len()..]);
    let from: String = from.chars().filter(|c| !c.is_whitespace()).collect();
    let rest = from.trim_start_matches('.');
    (rest.is_empty() && !from.is_empty() || is_dotted(rest)).then_some((from, names))
}

/// The name before `as`, if it is one.
fn dotted(text: &str) -> Option<String> {
    let name = text.split_whitespace().next()?;
    is_dotted(name).then(|| name.to_owned())
}

fn is_dotted(name: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric());
    name.split('.').all(is_part)
}

/// A statement, or several on one line: strings and comments are left out, line ends within brackets are
/// blanks.
struct LogicalLine {
    indented: bool,
    text: Vec<u8>,
}

struct LogicalLines<'a> {
    rest: &'a [u8],
    /// Whether what comes stands on the line of the statement before.
    continued: Option<bool>,
}

impl<'a> LogicalLines<'a> {
    fn new(source: &'a [u8]) -> Self {
        Self {
            rest: source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source),
            continued: None,
        }
    }
}

/// Longer statements import nothing: tables of data are not kept.
const MAX_STATEMENT: usize = 1 << 16;

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        if self.rest.is_empty() {
            return None;
        }
        let indented = self
            .continued
            .take()
            .unwrap_or_else(|| matches!(self.rest[0], b' ' | b'\t'));
        let mut text = Vec::new();
        let mut depth = 0usize;
        let bytes = self.rest;
        let mut at = bytes
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        // Of other statements, only the end is of interest.
        let is_wanted = bytes[at..].starts_with(b"import") || bytes[at..].starts_with(b"from");
        let mut push = |part: &[u8]| {
            if is_wanted && text.len() + part.len() <= MAX_STATEMENT {
                text.extend_from_slice(part);
            }
        };
        while at < bytes.len() {
            let plain = bytes[at..]
                .iter()
                .take_while(|byte| !SPECIAL[usize::from(**byte)])
                .count();
            push(&bytes[at..at + plain]);
            at += plain;
            let Some(byte) = bytes.get(at) else { break };
            match byte {
                b'#' => {
                    at += memchr::memchr2(b'\n', b'\r', &bytes[at..]).unwrap_or(bytes.len() - at);
                }
                b'\'' | b'"' => {
                    // The prefix of a raw string changes nothing here: a backslash keeps a quote in it.
                    at += string(&bytes[at..]);
                    push(b"\"");
                }
                b'\\' => {
                    let is_end = bytes.get(at + 1) == Some(&b'\n');
                    push(if is_end { b" " } else { b"\\" });
                    at += 1 + usize::from(is_end);
                }
                b'\n' | b'\r' if depth == 0 => {
                    at += 1;
                    break;
                }
                b'\n' | b'\r' | b'\t' => {
                    push(b" ");
                    at += 1;
                }
                b';' if depth == 0 => {
                    self.continued = Some(indented);
                    at += 1;
                    break;
                }
                // What follows `try:` on its line is as if it were indented; a `:` within a statement
                // that imports nothing parts nothing that matters.
                b':' if depth == 0 => {
                    self.continued = Some(true);
                    at += 1;
                    break;
                }
                byte => {
                    match byte {
                        b'(' | b'[' | b'{' => depth += 1,
                        b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    push(&[*byte]);
                    at += 1;
                }
            }
        }
        if self.continued.is_some() && matches!(bytes.get(at), Some(b'\n' | b'\r')) {
            self.continued = None;
            at += 1;
        }
        self.rest = &bytes[at..];
        Some(LogicalLine { indented, text })
    }
}

/// The bytes that mean something to this reader.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let bytes = b"#'\"\\\n\r\t;:()[]{}";
    let mut at = 0;
    while at < bytes.len() {
        special[bytes[at] as usize] = true;
        at += 1;
    }
    special
};

/// The length of the string that `bytes` begin with; one that does not end is as long as its line, or, in
/// triple quotes, as all that follows.
fn string(bytes: &[u8]) -> usize {
    let quote = bytes[0];
    let triple = bytes.starts_with(&[quote; 3]);
    let mut at = if triple { 3 } else { 1 };
    while let Some(bytes_left) = bytes.get(at..) {
        let Some(next) = memchr::memchr3(quote, b'\\', b'\n', bytes_left) else {
            break;
        };
        at += next;
        match bytes[at] {
            b'\\' => at += 2,
            b'\n' if !triple => return at,
            byte if byte == quote && !triple => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => return at + 3,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> (Vec<String>, Vec<String>) {
        let (always, maybe): (Vec<_>, Vec<_>) = imports(source.as_bytes())
            .into_iter()
            .partition(|import| import.always);
        let names = |imports: Vec<Import>| imports.into_iter().map(|import| import.name).collect();
        (names(always), names(maybe))
    }

    #[test]
    fn imports_are_found_and_told_apart() {
        let source = r#"
"""A text.
import nothing
"""
import os.path, sys as system; import b
from distutils.core import (  # a comment
    setup as s,
    Extension,
)
from . import one
from ..two import three
from .import four
x = 'import no' ; import c
y = [
import_me,
]
try:
    import tbb
except ImportError: import fallback
def f(a: int = {1: 2}):
    from late import now
if x: import d
importlib = 1
from \
    e import f
lambda: 0
s = f"{x!r:>{10}}"
import last"#;
        let (always, maybe) = names(source);
        assert_eq!(
            always,
            [
                ".",
                "..two",
                "..two.three",
                ".four",
                ".one",
                "b",
                "c",
                "distutils.core",
                "distutils.core.Extension",
                "distutils.core.setup",
                "e",
                "e.f",
                "last",
                "os.path",
                "sys",
            ]
        );
        assert_eq!(maybe, ["d", "fallback", "late", "late.now", "tbb"]);
    }

    #[test]
    fn nothing_is_too_odd() {
        for source in [
            "",
            "'",
            "'''",
            "\\",
            "import",
            "from",
            "from . import",
            "import ,",
            "(",
            "#",
            ":",
            "'\\",
        ] {
            assert!(imports(source.as_bytes()).len() < 2, "{source:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = imports(&bytes);
        }
    }
}
