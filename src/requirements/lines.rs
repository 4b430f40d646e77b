//! Text → logical lines, as pip makes them: split where Python splits, joined at `\`, without
//! comments, with `${VARIABLES}` expanded. Each byte of a line knows where it was written.

use std::collections::BTreeMap;
use std::ops::Range;

use super::text::Text;

/// A logical line, in which environment variables are expanded.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    /// Sorted by `start`; the first starts at 0.
    pieces: Vec<Piece>,
}

/// A run of a line that comes from one place.
#[derive(Debug)]
struct Piece {
    /// The byte of the line's text at which it begins.
    start: usize,
    line: usize,
    column: usize,
    /// `${NAME}` if the run is what that expands to, `None` if it is as written.
    written: Option<String>,
}

/// The most bytes that all lines take, variables expanded: `${A}` may stand for 100 KB, and a line of two
/// bytes takes a hundred times as many once it is an entry.
pub(super) const MAX_LINES: usize = 32 << 20;
/// What a line takes besides its text, and a part of one that stands on a line of its own.
const OVERHEAD: usize = 192;
/// More variables than any line has: what each stands for is copied with all that is around it.
const MAX_VARIABLES: usize = 100;

/// The logical lines of a file, as far as there is room for them: else the line that there is none for.
pub(super) fn logical_lines(
    text: &str,
    env: &BTreeMap<String, String>,
    room: &mut usize,
) -> Result<Vec<Line>, Line> {
    let mut lines = Vec::new();
    let mut keep = |line: Option<Result<Line, Line>>| -> Result<(), Line> {
        let Some(line) = line.transpose()? else {
            return Ok(());
        };
        let size = line.text.len() + line.pieces.len() * OVERHEAD;
        match room.checked_sub(size) {
            Some(left) => *room = left,
            None => return Err(line),
        }
        lines.push(line);
        Ok(())
    };
    let mut joined = Line::empty();
    for (index, physical) in split_lines(text).enumerate() {
        let is_comment = trim_start(physical).starts_with('#');
        if physical.ends_with('\\') && !is_comment {
            // Like pip: all the backslashes at the end, and those at the start.
            let stripped = physical.trim_start_matches('\\');
            let column = 1 + physical.len() - stripped.len();
            joined.push(stripped.trim_end_matches('\\'), index + 1, column);
            continue;
        }
        // A comment ends a continuation and brings nothing.
        if !is_comment {
            joined.push(physical, index + 1, 1);
        }
        keep(std::mem::replace(&mut joined, Line::empty()).finish(env))?;
    }
    keep(joined.finish(env))?;
    Ok(lines)
}

impl Line {
    /// A text that begins at a line and column of a file. If it is not there letter by letter, as a
    /// string with escapes is not, all of it is at that place.
    pub(super) fn of_string(text: &str, (line, column): (usize, usize), is_verbatim: bool) -> Self {
        let piece = Piece {
            start: 0,
            line,
            column,
            written: (!is_verbatim).then(|| text.to_owned()),
        };
        Self {
            text: text.to_owned(),
            pieces: vec![piece],
        }
    }

    fn empty() -> Self {
        Self {
            text: String::new(),
            pieces: Vec::new(),
        }
    }

    fn push(&mut self, text: &str, line: usize, column: usize) {
        if !text.is_empty() {
            self.pieces.push(Piece {
                start: self.text.len(),
                line,
                column,
                written: None,
            });
            self.text.push_str(text);
        }
    }

    /// Strips the comment and white space, and expands variables; `None` if nothing is left, and the line as
    /// far as it came if that would be too much.
    fn finish(self, env: &BTreeMap<String, String>) -> Option<Result<Self, Self>> {
        let code = trim_end(&self.text[..comment(&self.text)]);
        let start = code.len() - trim_start(code).len();
        let range = start..code.len();
        if range.is_empty() {
            return None;
        }
        let mut line = if range == (0..self.text.len()) {
            self
        } else {
            let mut line = Self::empty();
            line.copy(&self, range);
            line
        };
        // pip finds the variables first and replaces them one after the other, so that a value
        // may hold a variable which stands further on.
        let mut left = MAX_VARIABLES;
        for variable in variables(&line.text) {
            let name = &variable[2..variable.len() - 1];
            if let Some(value) = env.get(name).filter(|value| !value.is_empty()) {
                let count = line.text.matches(&variable).count();
                let grown = line.text.len() + count * value.len();
                match left.checked_sub(count) {
                    Some(fewer) if grown <= MAX_LINES => left = fewer,
                    _ => return Some(Err(line)),
                }
                line = line.replace(&variable, value);
            }
        }
        Some(Ok(line))
    }

    /// Appends a range of another line.
    fn copy(&mut self, from: &Self, range: Range<usize>) {
        for (index, piece) in from.pieces.iter().enumerate() {
            let end = from.end(index);
            let (start, stop) = (piece.start.max(range.start), end.min(range.end));
            if start >= stop {
                continue;
            }
            let skipped = &from.text[piece.start..start];
            let (column, written) = match &piece.written {
                None => (piece.column + skipped.chars().count(), None),
                Some(written) if skipped.is_empty() => (piece.column, Some(written.clone())),
                // The rest of an expansion that was cut in two.
                Some(_) => (piece.column, Some(String::new())),
            };
            self.pieces.push(Piece {
                start: self.text.len(),
                line: piece.line,
                column,
                written,
            });
            self.text.push_str(&from.text[start..stop]);
        }
    }

    fn replace(&self, variable: &str, value: &str) -> Self {
        let mut line = Self::empty();
        let mut done = 0;
        for (start, _) in self.text.match_indices(variable) {
            line.copy(self, done..start);
            done = start + variable.len();
            let (number, column) = self.place(start);
            line.pieces.push(Piece {
                start: line.text.len(),
                line: number,
                column,
                written: Some(self.written(start..done)),
            });
            line.text.push_str(value);
        }
        line.copy(self, done..self.text.len());
        line
    }

    /// Where the piece ends.
    fn end(&self, index: usize) -> usize {
        self.pieces
            .get(index + 1)
            .map_or(self.text.len(), |next| next.start)
    }

    /// The piece that holds the byte.
    fn piece(&self, offset: usize) -> Option<(usize, &Piece)> {
        let index = self
            .pieces
            .partition_point(|piece| piece.start <= offset)
            .checked_sub(1)?;
        Some((index, &self.pieces[index]))
    }

    /// The line, variables expanded.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The line and column at which a byte was written, both from 1.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        match self.piece(offset) {
            None => (1, 1),
            Some((_, piece)) if piece.written.is_some() => (piece.line, piece.column),
            Some((_, piece)) => {
                let before = self.text.get(piece.start..offset).unwrap_or_default();
                (piece.line, piece.column + before.chars().count())
            }
        }
    }

    /// What was written for a range of the text.
    pub(super) fn written(&self, range: Range<usize>) -> String {
        let mut written = String::with_capacity(range.len());
        let first = self.piece(range.start).map_or(0, |(index, _)| index);
        for (index, piece) in self.pieces.iter().enumerate().skip(first) {
            let (start, end) = (piece.start.max(range.start), self.end(index).min(range.end));
            if start >= end {
                break;
            }
            match &piece.written {
                None => written.push_str(&self.text[start..end]),
                Some(text) => written.push_str(text),
            }
        }
        written
    }
}

/// A part of a line as the parsers see it: text, and where each byte of it is in the line.
///
/// Quoting and escapes make the two differ for the values of options.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) line: &'a Line,
    pub(super) text: &'a str,
    start: usize,
    /// By byte of `text`; `None` if they follow one another from `start`.
    offsets: Option<&'a [usize]>,
}

impl<'a> Part<'a> {
    pub(super) fn of(line: &'a Line, range: Range<usize>) -> Self {
        Self {
            line,
            text: &line.text[range.clone()],
            start: range.start,
            offsets: None,
        }
    }

    /// A word whose bytes were at `offsets`, and which began at `start`.
    pub(super) fn of_word(
        line: &'a Line,
        text: &'a str,
        start: usize,
        offsets: &'a [usize],
    ) -> Self {
        Self {
            line,
            text,
            start,
            offsets: Some(offsets),
        }
    }

    pub(super) fn slice(self, range: Range<usize>) -> Self {
        Self {
            line: self.line,
            text: &self.text[range.clone()],
            start: self.offset(range.start),
            offsets: self.offsets.map(|offsets| &offsets[range]),
        }
    }

    /// Without white space around it.
    pub(super) fn trim(self) -> Self {
        let end = trim_end(self.text).len();
        let start = end - trim_start(&self.text[..end]).len();
        self.slice(start..end)
    }

    /// Where in the line the byte is.
    pub(super) fn offset(self, byte: usize) -> usize {
        match self.offsets {
            None => self.start + byte,
            Some(offsets) => offsets
                .get(byte)
                .copied()
                .or_else(|| offsets.last().map(|last| last + 1))
                .unwrap_or(self.start),
        }
    }

    /// What was written, beside what it stands for.
    pub(super) fn to_text(self) -> Text {
        let written = match self.offsets {
            None => self.line.written(self.start..self.start + self.text.len()),
            Some(offsets) => self.written_word(offsets),
        };
        Text::new(&written, self.text)
    }

    fn written_word(self, offsets: &[usize]) -> String {
        let mut written = String::with_capacity(self.text.len());
        let mut last = None;
        for (index, c) in self.text.char_indices() {
            match self.line.piece(offsets[index]) {
                Some((number, piece)) if piece.written.is_some() => {
                    if last != Some(number) {
                        written.push_str(piece.written.as_deref().unwrap_or_default());
                        last = Some(number);
                    }
                }
                _ => written.push(c),
            }
        }
        written
    }
}

/// The lines of a text, as Python's `str.splitlines` splits them.
pub(crate) fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((end, boundary)) = rest.char_indices().find(|(_, c)| is_boundary(*c)) else {
            return Some(std::mem::take(&mut rest));
        };
        let line = &rest[..end];
        rest = &rest[end + boundary.len_utf8()..];
        if boundary == '\r' {
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
        Some(line)
    })
}

/// The line and column of what follows a text, both from 1.
pub(crate) fn place_behind(text: &str) -> (usize, usize) {
    // A mark behind the text makes sure that its last line is there, however it ends.
    let marked = format!("{text}.");
    let (index, last) = split_lines(&marked).enumerate().last().unwrap_or((0, "."));
    (index + 1, last.chars().count())
}

fn is_boundary(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// What Python's `str.isspace` calls white space: Unicode's, and four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// The text without white space around it, as Python's `str.strip` takes it off.
pub(crate) fn trim(text: &str) -> &str {
    trim_start(trim_end(text))
}

pub(super) fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// Where the comment begins: at a `#` at the start or behind white space.
fn comment(text: &str) -> usize {
    text.match_indices('#')
        .map(|(index, _)| index)
        .find(|&index| text[..index].chars().next_back().is_none_or(is_space))
        .unwrap_or(text.len())
}

/// The `${NAME}`s in a text, where a name is of capitals, digits and `_`.
pub(super) fn variables(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let name = &rest[start + 2..];
        let length = name
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(name.len());
        if length > 0 && name[length..].starts_with('}') {
            found.push(rest[start..start + length + 3].to_owned());
            rest = &name[length + 1..];
        } else {
            rest = name;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> BTreeMap<String, String> {
        [
            ("A", "1"),
            ("LONG", "four"),
            ("EMPTY", ""),
            ("NESTED", "${A}"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn texts(text: &str) -> Vec<String> {
        logical_lines(text, &env(), &mut MAX_LINES.clone())
            .unwrap()
            .iter()
            .map(|line| line.text().to_owned())
            .collect()
    }

    #[test]
    fn lines_are_split_where_python_splits() {
        let text = "a\nb\rc\r\nd\u{b}e\u{c}f\u{1c}g\u{1d}h\u{1e}i\u{85}j\u{2028}k\u{2029}l\u{1f}m";
        let lines: Vec<_> = split_lines(text).collect();
        assert_eq!(
            lines,
            [
                "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l\u{1f}m"
            ]
        );
        assert_eq!(split_lines("a\n\nb\n").collect::<Vec<_>>(), ["a", "", "b"]);
        assert_eq!(split_lines("").count(), 0);
    }

    #[test]
    fn lines_are_joined_as_pip_joins() {
        for (text, expected) in [
            ("a \\\n  b", &["a   b"][..]),
            ("a\\\nb", &["ab"]),
            ("a \\\n# c\nb", &["a", "b"]),
            ("a \\\n  # c \\\nb", &["a", "b"]),
            ("a \\", &["a"]),
            ("a \\\n", &["a"]),
            ("\\", &[]),
            ("\\a\\\\\nb", &["ab"]),
            ("\\a", &["\\a"]),
            ("a \\ \nb", &["a \\", "b"]),
            ("# c \\\na", &["a"]),
            ("a # c \\\nb", &["a"]),
            ("a#b #c", &["a#b"]),
            ("  \t a  ", &["a"]),
            ("\\\n\\\na", &["a"]),
        ] {
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn variables_are_expanded_and_remembered() {
        for (text, expanded) in [
            ("x${A}y", "x1y"),
            ("${LONG}", "four"),
            ("${EMPTY}${NONE}${a}$A", "${EMPTY}${NONE}${a}$A"),
            ("${NESTED} ${A}", "1 1"),
            ("${NESTED}", "${A}"),
            ("${${A}}", "${1}"),
        ] {
            let lines = logical_lines(text, &env(), &mut MAX_LINES.clone()).unwrap();
            assert_eq!(lines[0].text(), expanded);
            assert_eq!(lines[0].written(0..expanded.len()), text);
        }
    }

    #[test]
    fn places_are_those_of_what_was_written() {
        let lines = logical_lines("é ${LONG}b\\\n  cd", &env(), &mut MAX_LINES.clone()).unwrap();
        let line = &lines[0];
        assert_eq!(line.text(), "é fourb  cd");
        let place = |needle| line.place(line.text().find(needle).unwrap());
        assert_eq!(place("é"), (1, 1));
        assert_eq!(place("our"), (1, 3));
        assert_eq!(place("b"), (1, 10));
        assert_eq!(place("d"), (2, 4));
        assert_eq!(line.place(line.text().len()), (2, 5));
        assert_eq!(line.written(4..8), "${LONG}b");
    }
}
