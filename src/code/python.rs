//! The modules that a Python source file imports, and whether each is optional.
//!
//! A statement at the left margin is carried out whenever the module is imported; one that is indented
//! (in a function, below `if`) may never be, and below `try` it may fail. Only as much of the language is
//! read as that takes: comments, strings, brackets, line ends, and a few kinds of blocks.
//!
//! <https://docs.python.org/3/reference/lexical_analysis.html>

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::blocks::{self, Blocks, StatementStart};
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
    /// How much the module needs it.
    pub necessity: Necessity,
}

/// How much code needs what it imports or opens.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Necessity {
    /// It does without: a failure is handled.
    Optional,
    /// Something fails without it, which may never be carried out.
    Conditional,
    /// Importing fails without it.
    #[default]
    Required,
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
    let mut found: Vec<Import> = Vec::new();
    let mut room = MAX_WEIGHT;
    let mut blocks = Blocks::default();
    let lessen = |found: &mut Vec<Import>, closed: Vec<(Range<usize>, Necessity)>| {
        for (range, necessity) in closed {
            for import in found.get_mut(range).into_iter().flatten() {
                import.necessity = import.necessity.min(necessity);
            }
        }
    };
    for line in LogicalLines::new(source) {
        if line.is_blank {
            continue;
        }
        let text = String::from_utf8_lossy(&line.text);
        let words = text.trim();
        let closed = blocks.next(line.begins, words, found.len());
        lessen(&mut found, closed);
        let Some(necessity) = blocks.necessity().filter(|_| !words.is_empty()) else {
            continue;
        };
        let mut add = |name: String| {
            let left = room.checked_sub(weight(&name));
            if let Some(left) = left.filter(|_| name.len() <= MAX_NAME) {
                room = left;
                found.push(Import { name, necessity });
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
    let closed = blocks.end(found.len());
    lessen(&mut found, closed);
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
    begins: StatementStart,
    /// Whether there is nothing but perhaps a comment.
    is_blank: bool,
    /// What it says, if that is of interest.
    text: Vec<u8>,
}

struct LogicalLines<'a> {
    rest: &'a [u8],
    /// How what comes begins, if it stands on the line of the statement before.
    continued: Option<StatementStart>,
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
        let mut text = Vec::new();
        let mut depth = 0usize;
        let bytes = self.rest;
        let mut at = bytes
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let begins = self
            .continued
            .take()
            .unwrap_or_else(|| StatementStart::Line(columns(&bytes[..at])));
        let is_blank = matches!(bytes.get(at), None | Some(b'\n' | b'\r' | b'#'));
        // Of other statements, only the end is of interest.
        let statement = &bytes[at..];
        let is_wanted = statement.starts_with(b"import")
            || statement.starts_with(b"from")
            || blocks::is_wanted(statement);
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
                    self.continued = Some(StatementStart::Statement);
                    at += 1;
                    break;
                }
                // A `:` within a statement that imports nothing parts nothing that matters.
                b':' if depth == 0 => {
                    self.continued = Some(StatementStart::Header);
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
        Some(LogicalLine {
            begins,
            is_blank,
            text,
        })
    }
}

/// The column behind blanks: a tab goes on to the next eighth.
fn columns(blanks: &[u8]) -> usize {
    blanks.iter().fold(0, |column, byte| match byte {
        b'\t' => (column / 8 + 1) * 8,
        _ => column + 1,
    })
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
            .partition(|import| import.necessity == Necessity::Required);
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

    /// `O`, `C` and `R` behind the name of each module that is imported.
    fn told(source: &str) -> String {
        let words = imports(source.as_bytes()).into_iter().map(|import| {
            let letter = match import.necessity {
                Necessity::Optional => 'O',
                Necessity::Conditional => 'C',
                Necessity::Required => 'R',
            };
            format!("{}:{letter}", import.name)
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn imports_whose_failure_is_handled_are_optional() {
        for (source, expected) in [
            (
                "try:\n    import a\nexcept ImportError:\n    a = None\n",
                "a:O",
            ),
            ("try: import a\nexcept: pass\nimport b\n", "a:O b:R"),
            (
                "try:\n\timport a\nexcept (ValueError, Exception) as e:\n\tpass\n",
                "a:O",
            ),
            (
                "try:\n  import a\nexcept builtins.ImportError as e: log(e)\n",
                "a:O",
            ),
            // Another module instead, and another one beside it.
            (
                "try:\n  import a\nexcept ImportError:\n  import b\nelse:\n  import c\n",
                "a:O b:C c:C",
            ),
            // What is raised again is not handled.
            (
                "try:\n  import a\nexcept ImportError as e:\n  raise ImportError('no a') from e\n",
                "a:R",
            ),
            ("try:\n  import a\nexcept ImportError as e: raise\n", "a:R"),
            (
                "try:\n  import a\nexcept ImportError:\n  if need:\n    raise\n",
                "a:C",
            ),
            (
                "try:\n  import a\nexcept ImportError:\n  print('no a')\n  sys.exit(1)\n",
                "a:R",
            ),
            (
                "try:\n  import a\nexcept ImportError:\n  def f():\n    raise\n",
                "a:O",
            ),
            (
                "try:\n  import a\nexcept ImportError:\n  try:\n    import b\n  except ImportError:\n    raise\n",
                "a:O b:C",
            ),
            // The first handler decides.
            (
                "try:\n  import a\nexcept ImportError:\n  raise\nexcept Exception:\n  pass\n",
                "a:R",
            ),
            (
                "try:\n  import a\nexcept ImportError:\n  pass\nexcept Exception:\n  raise\n",
                "a:O",
            ),
            ("try:\n  import a\nexcept OSError:\n  pass\n", "a:R"),
            ("try:\n  import a\nfinally:\n  import b\n", "a:R b:C"),
            // It is not missing, it fails.
            (
                "try:\n  import a\nexcept ModuleNotFoundError:\n  pass\n",
                "a:C",
            ),
            // Blocks in blocks.
            (
                "def f():\n  try:\n    from . import a\n  except ImportError:\n    pass\n  import b\n",
                ".:O .a:O b:C",
            ),
            (
                "def f():\n  try:\n    import a\n  except ImportError:\n    raise\n",
                "a:C",
            ),
            (
                "try:\n  if x:\n    import a\n  import b\nexcept ValueError:\n  pass\n",
                "a:C b:R",
            ),
            (
                "try:\n  try:\n    import a\n  finally:\n    x()\n  import b\nexcept ImportError:\n  pass\n",
                "a:O b:O",
            ),
            (
                "try:\n  # text\n\n# text\n  import a\n\n# text\nexcept ImportError:\n  pass\n",
                "a:O",
            ),
            (
                "with suppress(ImportError):\n  import a\nimport b\n",
                "a:O b:R",
            ),
            ("with contextlib.suppress(ValueError):\n  import a\n", "a:C"),
            ("try:\n  import a\nexcept ImportError:\n  pass", "a:O"),
            ("try:\n  import a", "a:R"),
            // Type checkers alone read it.
            ("if TYPE_CHECKING:\n  import a\nelse:\n  import b\n", "b:C"),
            ("if typing.TYPE_CHECKING:\n  import a\nimport b\n", "b:R"),
            ("if not TYPE_CHECKING:\n  import a\n", "a:C"),
            (
                "if x:\n  import a\nif x: import b; import c\nimport d; import e\n",
                "a:C b:C c:C d:R e:R",
            ),
        ] {
            assert_eq!(told(source), expected, "{source}");
        }
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
