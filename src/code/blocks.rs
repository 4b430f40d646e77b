//! The blocks of a Python source that decide whether a module can do without what it imports: `try` with its
//! handlers, `suppress`, and `if TYPE_CHECKING`.
//!
//! <https://docs.python.org/3/reference/compound_stmts.html>

use std::ops::Range;

use super::Necessity;

/// How a statement begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatementStart {
    /// On a line of its own, with so many columns before it.
    Line(usize),
    /// Behind a `:` on the line of its header.
    Header,
    /// Behind a `;`.
    Statement,
}

/// The blocks that are open.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<Block>,
    /// What of the statement that is looked at is known.
    now: Now,
}

#[derive(Debug, Clone, Copy, Default)]
struct Now {
    /// Whether it lies right in the body of the innermost open block, or at the left margin if there is none.
    is_direct: bool,
    /// Whether the statement is a header that opened a block.
    is_header: bool,
}

#[derive(Debug)]
struct Block {
    indent: usize,
    /// The columns before the statements of its body.
    body: Option<usize>,
    kind: Kind,
    /// The number of imports before it.
    from: usize,
    /// Whether it is carried out whenever the module is imported.
    is_always: bool,
}

#[derive(Debug)]
enum Kind {
    Try {
        part: Part,
        /// The number of imports at the end of its body.
        end: usize,
        /// How much what is imported in its body is needed, by the first handler of a failed import.
        needed: Option<Necessity>,
        /// Whether a missing module is handled, and a module that fails is not.
        is_partial: bool,
    },
    Suppress,
    /// A function or a class: what is raised in it is raised when it is called.
    Definition,
    /// What only type checkers read.
    Typing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Body,
    /// The first handler of a failed import.
    Handler,
    Rest,
}

/// How deep blocks are looked at: below that, nothing is known.
const MAX_DEPTH: usize = 60;

/// Whether a statement may be a part of what is looked at here.
#[must_use]
pub(super) fn is_wanted(statement: &[u8]) -> bool {
    let starts = |word: &str| statement.starts_with(word.as_bytes());
    match statement.first() {
        Some(b'a') => starts("async "),
        Some(b'c') => starts("class "),
        Some(b'd') => starts("def "),
        Some(b'e') => starts("else") || starts("except") || starts("exit("),
        Some(b'f') => starts("finally"),
        Some(b'i') => starts("if ") && memchr::memmem::find(line(statement), TYPING).is_some(),
        Some(b'o') => starts("os._exit("),
        Some(b'r') => starts("raise"),
        Some(b's') => starts("sys.exit("),
        Some(b't') => starts("try"),
        Some(b'w') => starts("with ") && memchr::memmem::find(line(statement), SUPPRESS).is_some(),
        _ => false,
    }
}

const TYPING: &[u8] = b"TYPE_CHECKING";
const SUPPRESS: &[u8] = b"suppress(";

/// The beginning of a statement, up to the end of its line.
fn line(statement: &[u8]) -> &[u8] {
    let start = &statement[..statement.len().min(200)];
    memchr::memchr(b'\n', start).map_or(start, |end| &start[..end])
}

impl Blocks {
    /// Takes the next statement that is not blank; `found` imports were found before it. Returns those that turn out
    /// to be needed less, and how much.
    pub(super) fn next(
        &mut self,
        begins: StatementStart,
        text: &str,
        found: usize,
    ) -> Vec<(Range<usize>, Necessity)> {
        let word = text.split([' ', '(', '*']).next().unwrap_or_default();
        let is_clause = matches!(word, "except" | "else" | "finally");
        let mut closed = Vec::new();
        match begins {
            StatementStart::Line(indent) => {
                while let Some(block) = self.open.last() {
                    let is_own = is_clause && matches!(block.kind, Kind::Try { .. });
                    if block.indent < indent || block.indent == indent && is_own {
                        break;
                    }
                    closed.extend(self.close(found));
                }
                self.now.is_direct = match self.open.last_mut() {
                    Some(block) => *block.body.get_or_insert(indent) == indent,
                    None => indent == 0,
                };
            }
            StatementStart::Header => self.now.is_direct = self.now.is_header,
            StatementStart::Statement => {}
        }
        self.now.is_header = false;
        match word {
            "try" if text == "try" => self.open(
                begins,
                found,
                Kind::Try {
                    part: Part::Body,
                    end: found,
                    needed: None,
                    is_partial: false,
                },
            ),
            "with" => {
                if let Some((_, types)) = text.split_once("suppress(")
                    && catches(types) == Some(true)
                {
                    self.open(begins, found, Kind::Suppress);
                }
            }
            "if" => {
                let condition = text[2..].trim();
                let name = condition.rsplit('.').next().unwrap_or_default();
                if name.as_bytes() == TYPING {
                    self.open(begins, found, Kind::Typing);
                }
            }
            "def" | "class" | "async" => self.open(begins, found, Kind::Definition),
            "except" | "else" | "finally" => self.clause(begins, text, found),
            "raise" | "exit" | "sys.exit" | "os._exit" => self.raise(),
            _ => {}
        }
        closed
    }

    /// Closes what is open at the end of the source.
    pub(super) fn end(&mut self, found: usize) -> Vec<(Range<usize>, Necessity)> {
        let mut closed = Vec::new();
        while !self.open.is_empty() {
            closed.extend(self.close(found));
        }
        closed
    }

    /// How much an import is needed that is the statement looked at; nothing if it is never carried out.
    pub(super) fn necessity(&self) -> Option<Necessity> {
        let is_typing = |block: &Block| matches!(block.kind, Kind::Typing);
        if self.open.iter().any(is_typing) {
            return None;
        }
        Some(if self.now.is_direct && self.is_always() {
            Necessity::Required
        } else {
            Necessity::Conditional
        })
    }

    /// Whether the innermost body is carried out whenever the module is imported.
    fn is_always(&self) -> bool {
        self.open.last().is_none_or(|block| {
            let is_body = match &block.kind {
                Kind::Try { part, .. } => *part == Part::Body,
                Kind::Suppress => true,
                Kind::Definition | Kind::Typing => false,
            };
            block.is_always && is_body
        })
    }

    fn open(&mut self, begins: StatementStart, from: usize, kind: Kind) {
        // The header of a block on one line is no line of its own.
        let StatementStart::Line(indent) = begins else {
            return;
        };
        if self.open.len() >= MAX_DEPTH {
            return;
        }
        let is_always = self.now.is_direct && self.is_always();
        self.open.push(Block {
            indent,
            body: None,
            kind,
            from,
            is_always,
        });
        self.now.is_header = true;
    }

    /// `except`, `else` or `finally` of the innermost `try`.
    fn clause(&mut self, begins: StatementStart, text: &str, found: usize) {
        let Some(block) = self.open.last_mut() else {
            return;
        };
        let Kind::Try {
            part,
            end,
            needed,
            is_partial,
        } = &mut block.kind
        else {
            return;
        };
        if begins != StatementStart::Line(block.indent) {
            return;
        }
        if *part == Part::Body {
            *end = found;
        }
        block.body = None;
        *part = Part::Rest;
        self.now.is_header = true;
        let Some(types) = text.strip_prefix("except") else {
            return;
        };
        match catches(types) {
            Some(true) if needed.is_none() => {
                *needed = Some(Necessity::Optional);
                *part = Part::Handler;
            }
            None => *is_partial = true,
            Some(_) => {}
        }
    }

    /// An exception that is raised: a handler that does so does not do without.
    fn raise(&mut self) {
        let innermost = self.open.len().checked_sub(1);
        for (at, block) in self.open.iter_mut().enumerate().rev() {
            match &mut block.kind {
                Kind::Definition => return,
                Kind::Try {
                    part: Part::Handler,
                    needed,
                    ..
                } => {
                    let is_direct = Some(at) == innermost && self.now.is_direct;
                    let least = if is_direct {
                        Necessity::Required
                    } else {
                        Necessity::Conditional
                    };
                    *needed = (*needed).max(Some(least));
                    return;
                }
                _ => {}
            }
        }
    }

    /// Closes the innermost block.
    fn close(&mut self, found: usize) -> Option<(Range<usize>, Necessity)> {
        let block = self.open.pop()?;
        let (end, needed) = match block.kind {
            Kind::Suppress => (found, Necessity::Optional),
            Kind::Try {
                part,
                end,
                needed,
                is_partial,
            } => {
                let end = if part == Part::Body { found } else { end };
                let most = if is_partial {
                    Necessity::Conditional
                } else {
                    Necessity::Required
                };
                (end, needed.unwrap_or(Necessity::Required).min(most))
            }
            Kind::Definition | Kind::Typing => return None,
        };
        (needed != Necessity::Required).then_some((block.from..end, needed))
    }
}

/// Whether exceptions of these types are handled: the `ImportError` of a module that cannot be loaded; nothing is said
/// for those that only tell that there is no such module.
fn catches(types: &str) -> Option<bool> {
    let types = types.split(" as ").next().unwrap_or_default();
    let is_name = |c: char| c == '_' || c == '.' || c.is_alphanumeric();
    let mut names = types.split(|c| !is_name(c)).filter(|name| !name.is_empty());
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let names: Vec<String> = names.by_ref().map(last).collect();
    let is_there = |wanted: &[&str]| names.iter().any(|name| wanted.contains(&name.as_str()));
    if names.is_empty() || is_there(&["ImportError", "Exception", "BaseException"]) {
        return Some(true);
    }
    (!is_there(&["ModuleNotFoundError"])).then_some(false)
}
