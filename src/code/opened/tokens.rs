//! The words of a Python source: names, texts, numbers and signs, in logical lines.
//!
//! <https://docs.python.org/3/reference/lexical_analysis.html>

use std::iter::Peekable;
use std::str::Chars;

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    /// A text, in parts: what stands there, and what is filled in.
    Text(Vec<Part>),
    Number(String),
    /// A sign, such as `(` or `==`.
    Sign(&'static str),
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    /// A name in braces; nothing for what is more than a name.
    Value(Option<String>),
}

/// A statement, or several: its indentation and its words.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) indent: usize,
    pub(super) tokens: Vec<Token>,
}

/// More words than any source that opens libraries has.
const MAX_TOKENS: usize = 100_000;
/// The longest text that can be a library's name, in bytes.
const MAX_TEXT: usize = 512;

/// Longer signs first.
const SIGNS: [&str; 46] = [
    "**=", "//=", ">>=", "<<=", "...", "==", "!=", "<=", ">=", "->", ":=", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "@=", "**", "//", "<<", ">>", "(", ")", "[", "]", "{", "}", ",", ":",
    ".", ";", "=", "+", "-", "*", "/", "%", "<", ">", "&", "|", "@", "~",
];

/// Parts a source into lines; what is beyond any measure is left out.
pub(super) fn lines(source: &str) -> Vec<Line> {
    let mut reader = Reader {
        rest: source.strip_prefix('\u{feff}').unwrap_or(source),
        depth: 0,
        left: MAX_TOKENS,
    };
    let mut lines = Vec::new();
    while let Some(line) = reader.line() {
        if !line.tokens.is_empty() {
            lines.push(line);
        }
    }
    lines
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    left: usize,
}

impl Reader<'_> {
    fn line(&mut self) -> Option<Line> {
        if self.rest.is_empty() || self.left == 0 {
            return None;
        }
        let mut indent = 0;
        self.take_while(|c| {
            match c {
                ' ' => indent += 1,
                '\t' => indent = (indent / 8 + 1) * 8,
                '\x0c' => indent = 0,
                _ => return false,
            }
            true
        });
        let mut tokens = Vec::new();
        self.depth = 0;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\n' | '\r' if self.depth == 0 => {
                    self.rest = &self.rest[1..];
                    break;
                }
                '#' => drop(self.take_while(|c| c != '\n' && c != '\r')),
                '\\' if self.rest.starts_with("\\\n") => self.rest = &self.rest[2..],
                '\\' if self.rest.starts_with("\\\r\n") => self.rest = &self.rest[3..],
                c if c.is_whitespace() => self.rest = &self.rest[c.len_utf8()..],
                _ => match self.token(c) {
                    Some(token) if self.left > 0 => {
                        self.left -= 1;
                        tokens.push(token);
                    }
                    Some(_) => break,
                    // A sign that Python has not.
                    None => self.rest = &self.rest[c.len_utf8()..],
                },
            }
        }
        Some(Line { indent, tokens })
    }

    fn take_while(&mut self, mut is_in: impl FnMut(char) -> bool) -> &str {
        let end = self.rest.find(|c| !is_in(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn token(&mut self, first: char) -> Option<Token> {
        if first == '"' || first == '\'' {
            return Some(self.text(""));
        }
        if first.is_ascii_digit() {
            let is_in = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let digits = self.take_while(is_in);
            return Some(Token::Number(digits.chars().take(32).collect()));
        }
        if first == '_' || first.is_alphabetic() {
            let name = self.take_while(|c| c == '_' || c.is_alphanumeric());
            let is_prefix = name.len() <= 2 && name.chars().all(|c| "rRbBuUfFtT".contains(c));
            let name: String = name.chars().take(128).collect();
            if is_prefix && self.rest.starts_with(['"', '\'']) {
                return Some(self.text(&name.to_ascii_lowercase()));
            }
            return Some(Token::Name(name));
        }
        let sign = SIGNS.iter().find(|sign| self.rest.starts_with(**sign))?;
        self.rest = &self.rest[sign.len()..];
        match *sign {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Some(Token::Sign(sign))
    }

    /// Reads the text that comes, to its end or that of its line.
    fn text(&mut self, prefix: &str) -> Token {
        let quote = &self.rest[..1];
        let triple = self.rest.starts_with(&quote.repeat(3));
        let width = if triple { 3 } else { 1 };
        let end = self.rest[..width].to_owned();
        self.rest = &self.rest[width..];
        let mut body = String::new();
        let raw = prefix.contains('r');
        let mut at = 0;
        while let Some(c) = self.rest[at..].chars().next() {
            let here = &self.rest[at..];
            if here.starts_with(&end) {
                at += width;
                break;
            }
            if c == '\n' && !triple {
                break;
            }
            at += c.len_utf8();
            let mut kept = Some(c);
            if c == '\\'
                && let Some(next) = self.rest[at..].chars().next()
            {
                at += next.len_utf8();
                if raw {
                    body.push('\\');
                }
                kept = match next {
                    '\n' => None,
                    // Names of libraries have no control characters.
                    'n' | 't' | 'r' | '0' | 'a' | 'b' | 'f' | 'v' if !raw => Some('\u{fffd}'),
                    other => Some(other),
                };
            }
            if body.len() <= MAX_TEXT {
                body.extend(kept);
            }
        }
        self.rest = &self.rest[at..];
        if body.len() > MAX_TEXT {
            return Token::Text(vec![Part::Value(None)]);
        }
        Token::Text(if prefix.contains(['f', 't']) {
            filled(&body)
        } else {
            vec![Part::Literal(body)]
        })
    }
}

/// The parts of a text with braces.
pub(super) fn filled(body: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.next_if_eq(&c).is_some() => literal.push(c),
            '{' => {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
                parts.push(Part::Value(value(&mut chars)));
            }
            c => literal.push(c),
        }
    }
    parts.push(Part::Literal(literal));
    parts
}

/// What stands between braces, up to the closing one.
fn value(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut inside = String::new();
    let mut depth = 0;
    for c in chars.by_ref() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
        inside.push(c);
    }
    let name = inside.split(['!', ':']).next().unwrap_or_default().trim();
    let is_name = name.chars().all(|c| c == '_' || c.is_alphanumeric());
    is_name.then(|| name.to_owned())
}
