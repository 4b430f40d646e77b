//! From the bytes of a file to its logical lines, exactly as pip makes them.
//!
//! <https://pip.pypa.io/en/stable/reference/requirements-file-format/>

use std::collections::BTreeMap;

use super::version::is_space;

/// A place in a file's text: both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// One character of a logical line after expansion, and the characters that it was written as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Char {
    pub(super) c: char,
    from: usize,
    to: usize,
}

/// A logical line: continuations joined, comments gone, variables expanded, nothing forgotten.
#[derive(Debug)]
pub(super) struct Line {
    written: Vec<(char, Place)>,
    pub(super) chars: Vec<Char>,
    end: Place,
}

impl Line {
    /// Where a character of the expanded line was written; beyond the end, the end.
    pub(super) fn place(&self, index: usize) -> Place {
        self.chars
            .get(index)
            .and_then(|c| self.written.get(c.from))
            .map_or(self.end, |(_, place)| *place)
    }

    /// The text that was written on one line of the file, and the byte in it of a column.
    pub(super) fn physical(&self, line: u32, column: u32) -> (String, usize) {
        let mut text = String::new();
        let mut byte = None;
        for (c, place) in self.written.iter().filter(|(_, place)| place.line == line) {
            if place.column == column {
                byte = Some(text.len());
            }
            text.push(*c);
        }
        let end = text.len();
        (text, byte.unwrap_or(end))
    }

    /// The values that were put in, each with the variable that stands for it.
    pub(super) fn expansions(&self) -> Vec<(String, String)> {
        let mut expansions: Vec<(usize, String, String)> = Vec::new();
        for c in self.chars.iter().filter(|c| c.to - c.from > 1) {
            match expansions.last_mut() {
                Some((from, value, _)) if *from == c.from => value.push(c.c),
                _ => expansions.push((c.from, c.c.to_string(), self.written(&[*c]))),
            }
        }
        expansions
            .into_iter()
            .map(|(_, value, written)| (value, written))
            .collect()
    }

    /// What was written for these characters.
    pub(super) fn written(&self, chars: &[Char]) -> String {
        let from = chars.iter().map(|c| c.from).min().unwrap_or(0);
        let to = chars.iter().map(|c| c.to).max().unwrap_or(from);
        self.written[from..to].iter().map(|(c, _)| *c).collect()
    }
}

/// Why bytes are no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The file names an encoding that we do not have.
    UnknownEncoding(String),
    /// The bytes are not what the encoding allows; the line where.
    Invalid { encoding: String, line: u32 },
}

/// The text of a file: by its byte order mark, by its PEP 263 comment, else UTF-8.
///
/// <https://peps.python.org/pep-0263/>
pub(super) fn decode(bytes: &[u8]) -> Result<String, DecodeError> {
    // The mark of UTF-32 begins with that of UTF-16.
    if let Some(rest) = bytes.strip_prefix(b"\x00\x00\xfe\xff") {
        return utf32(rest, u32::from_be_bytes, "utf-32-be");
    }
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe\x00\x00") {
        return utf32(rest, u32::from_le_bytes, "utf-32");
    }
    for (mark, encoding) in [
        (&b"\xef\xbb\xbf"[..], encoding_rs::UTF_8),
        (b"\xfe\xff", encoding_rs::UTF_16BE),
        (b"\xff\xfe", encoding_rs::UTF_16LE),
    ] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            return with(encoding, rest);
        }
    }
    match declared(bytes) {
        None => with(encoding_rs::UTF_8, bytes),
        Some(name) => match lookup(&name) {
            Some(Encoding::Known(encoding)) => with(encoding, bytes),
            Some(Encoding::Latin1) => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Some(Encoding::Ascii) if bytes.is_ascii() => with(encoding_rs::UTF_8, bytes),
            Some(Encoding::Ascii) => Err(DecodeError::Invalid {
                line: line_of(bytes, bytes.iter().position(|byte| !byte.is_ascii())),
                encoding: name,
            }),
            None => Err(DecodeError::UnknownEncoding(name)),
        },
    }
}

/// The encoding that a comment in the first two lines names.
fn declared(bytes: &[u8]) -> Option<String> {
    for line in bytes.split(|byte| *byte == b'\n').take(2) {
        if line.first() != Some(&b'#') {
            continue;
        }
        let text: String = line.iter().map(|byte| char::from(*byte)).collect();
        for (at, word) in text.match_indices("coding") {
            let Some(value) = text[at + word.len()..].strip_prefix([':', '=']) else {
                continue;
            };
            let value = value.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
            let name: String = value
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c))
                .collect();
            if !name.is_empty() {
                return Some(name);
            }
        }
    }
    None
}

enum Encoding {
    Known(&'static encoding_rs::Encoding),
    Latin1,
    Ascii,
}

/// The encoding of a name, as Python spells names. The Web's tables, which we use, take Latin-1 and
/// ASCII for windows-1252; Python does not.
fn lookup(name: &str) -> Option<Encoding> {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    match name.as_str() {
        "ascii" | "us-ascii" | "646" => Some(Encoding::Ascii),
        "latin-1" | "latin1" | "l1" | "latin" | "iso-8859-1" | "iso8859-1" | "8859" | "cp819" => {
            Some(Encoding::Latin1)
        }
        // What editors write behind the name means nothing to Python either.
        "utf-8" | "utf8" | "u8" | "utf" | "utf-8-sig" => Some(Encoding::Known(encoding_rs::UTF_8)),
        name => {
            let windows = name
                .strip_prefix("cp")
                .map(|number| format!("windows-{number}"));
            encoding_rs::Encoding::for_label(name.as_bytes())
                .or_else(|| encoding_rs::Encoding::for_label(windows?.as_bytes()))
                .filter(|encoding| *encoding != encoding_rs::REPLACEMENT)
                .map(Encoding::Known)
        }
    }
}

fn with(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> Result<String, DecodeError> {
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(text.into_owned()),
        None => Err(DecodeError::Invalid {
            encoding: encoding.name().to_ascii_lowercase(),
            line: match str::from_utf8(bytes) {
                Err(error) if encoding == encoding_rs::UTF_8 => {
                    line_of(bytes, Some(error.valid_up_to()))
                }
                _ => 1,
            },
        }),
    }
}

fn line_of(bytes: &[u8], at: Option<usize>) -> u32 {
    let before = &bytes[..at.unwrap_or(0)];
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(lines + 1).unwrap_or(u32::MAX)
}

fn utf32(bytes: &[u8], number: fn([u8; 4]) -> u32, name: &str) -> Result<String, DecodeError> {
    let invalid = || DecodeError::Invalid {
        encoding: name.to_owned(),
        line: 1,
    };
    bytes
        .chunks(4)
        .map(|chunk| {
            let chunk: [u8; 4] = chunk.try_into().map_err(|_| invalid())?;
            char::from_u32(number(chunk)).ok_or_else(invalid)
        })
        .collect()
}

/// The logical lines of a text.
///
/// A line that ends in a backslash goes on in the next one, and both lose all backslashes at both
/// their ends; a comment line ends what goes on before it.
pub(super) fn lines(text: &str, env: &BTreeMap<String, String>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut joined: Vec<(char, Place)> = Vec::new();
    let mut joining = false;
    for mut line in physical(text) {
        let comment = comment_start(&line) == Some(0);
        let more = line.last().is_some_and(|(c, _)| *c == '\\') && !comment;
        if more {
            let is_text = |(c, _): &(char, Place)| *c != '\\';
            let end = line.iter().rposition(is_text).map_or(0, |last| last + 1);
            line.truncate(end);
            let start = line.iter().position(is_text).unwrap_or(0);
            joined.extend(line.drain(start..));
            joining = true;
            continue;
        }
        if comment && let Some((_, place)) = line.first().copied() {
            // So that what stands before it does not swallow its mark.
            joined.push((' ', place));
        }
        joined.append(&mut line);
        joining = false;
        finish(std::mem::take(&mut joined), env, &mut lines);
    }
    if joining {
        finish(joined, env, &mut lines);
    }
    lines
}

/// Lines as Python's `str.splitlines` has them, without their ends.
fn physical(text: &str) -> Vec<Vec<(char, Place)>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let (mut number, mut column) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends = matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        );
        if ends {
            if c == '\r' && chars.peek() == Some(&'\n') {
                chars.next();
            }
            lines.push(std::mem::take(&mut line));
            number += 1;
            column = 1;
        } else {
            line.push((
                c,
                Place {
                    line: number,
                    column,
                },
            ));
            column += 1;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Where a comment begins, with the white space before it: a `#` at the start or behind some.
fn comment_start(line: &[(char, Place)]) -> Option<usize> {
    let mark = (0..line.len())
        .find(|index| line[*index].0 == '#' && (*index == 0 || is_space(line[*index - 1].0)))?;
    let spaces = line[..mark].iter().rev().take_while(|(c, _)| is_space(*c));
    Some(mark - spaces.count())
}

/// Takes comments and white space off, expands variables, and keeps what is left.
fn finish(mut line: Vec<(char, Place)>, env: &BTreeMap<String, String>, lines: &mut Vec<Line>) {
    let end = line
        .last()
        .map_or(Place { line: 1, column: 1 }, |(_, place)| Place {
            column: place.column + 1,
            ..*place
        });
    if let Some(start) = comment_start(&line) {
        line.truncate(start);
    }
    while line.last().is_some_and(|(c, _)| is_space(*c)) {
        line.pop();
    }
    let start = line.iter().take_while(|(c, _)| is_space(*c)).count();
    line.drain(..start);
    if !line.is_empty() {
        let end = line.last().map_or(end, |(_, place)| Place {
            column: place.column + 1,
            ..*place
        });
        let chars = expand(&line, env);
        lines.push(Line {
            written: line,
            chars,
            end,
        });
    }
}

/// Puts values in for `${NAME}`; a variable that is not set, or empty, stays as it is written.
fn expand(line: &[(char, Place)], env: &BTreeMap<String, String>) -> Vec<Char> {
    let mut chars = Vec::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        if let Some((length, name)) = variable(&line[at..])
            && let Some(value) = env.get(&name).filter(|value| !value.is_empty())
        {
            let to = at + length;
            chars.extend(value.chars().map(|c| Char { c, from: at, to }));
            at = to;
        } else {
            chars.push(Char {
                c: line[at].0,
                from: at,
                to: at + 1,
            });
            at += 1;
        }
    }
    chars
}

/// `${NAME}` at the start: its length and the name, of capital letters, digits and `_`.
fn variable(line: &[(char, Place)]) -> Option<(usize, String)> {
    let mut chars = line.iter().map(|(c, _)| *c);
    if chars.next() != Some('$') || chars.next() != Some('{') {
        return None;
    }
    let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
    let valid = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let length = name.chars().count() + 3;
    let closed = line.get(length - 1).is_some_and(|(c, _)| *c == '}');
    (closed && !name.is_empty() && name.chars().all(valid)).then_some((length, name))
}
