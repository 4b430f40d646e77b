//! `RECORD`: the list of a distribution's installed files, with their hashes and sizes.
//!
//! <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file>

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

use crate::digest::Digest;
use crate::requirements::split_lines;

/// One row: a path as it is written, and the hash and size unless the file has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) file: Option<(Digest, u64)>,
}

/// The paths of a `RECORD`. What cannot be a row is passed over: the file is only believed about
/// which paths there are, and those are looked for in the tree.
pub(crate) fn paths(text: &str) -> Vec<String> {
    rows(text)
        .filter_map(|fields| fields.into_iter().next())
        .filter(|path| !path.is_empty())
        .collect()
}

/// The rows of a `RECORD` that [`write()`] wrote. A hash that is no SHA-256 is left out.
pub(crate) fn read(text: &str) -> impl Iterator<Item = Row> {
    rows(text).filter_map(|fields| {
        let mut fields = fields.into_iter();
        let path = fields.next().filter(|path| !path.is_empty())?;
        let (hash, size) = (fields.next(), fields.next());
        let digest = hash.and_then(|hash| {
            let bytes = BASE64.decode(hash.strip_prefix("sha256=")?).ok()?;
            Some(Digest::from(<[u8; 32]>::try_from(bytes).ok()?))
        });
        let file = digest.and_then(|digest| Some((digest, size?.parse().ok()?)));
        Some(Row { path, file })
    })
}

/// The rows, each with its fields, as pip reads them: by Python's `csv`, from a text that was split
/// into lines before. A line break in quotes is lost with that, and an empty line is a row of nothing.
/// Of a row with more than three fields, the fourth stands for all that follow.
pub fn rows(text: &str) -> impl Iterator<Item = Vec<String>> {
    let mut lines = split_lines(text);
    std::iter::from_fn(move || {
        let first = lines.next()?;
        if first.is_empty() {
            return Some(Vec::new());
        }
        let mut row = Reading::default();
        row.line(first);
        while row.state == State::Quoted
            && let Some(line) = lines.next()
        {
            row.line(line);
        }
        row.end();
        Some(row.fields)
    })
}

/// A row that is being read.
#[derive(Default)]
struct Reading {
    fields: Vec<String>,
    field: String,
    state: State,
}

/// Where in a field the reader is.
#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum State {
    #[default]
    Start,
    Plain,
    Quoted,
    /// Behind a quote in a quoted field: its end, or the first half of a quote that is meant.
    Quote,
}

/// A row has three fields.
const FIELDS: usize = 3;

impl Reading {
    /// Ends a field. A row of nothing but commas is not kept: each would take many times its one byte.
    fn end(&mut self) {
        let field = std::mem::take(&mut self.field);
        if self.fields.len() <= FIELDS {
            self.fields.push(field);
        }
    }

    fn line(&mut self, line: &str) {
        for c in line.chars() {
            self.state = match (self.state, c) {
                (State::Start, '"') => State::Quoted,
                (State::Quoted, '"') => State::Quote,
                (State::Quoted, c) | (State::Quote, c @ '"') => {
                    self.field.push(c);
                    State::Quoted
                }
                (_, ',') => {
                    self.end();
                    State::Start
                }
                // What stands behind a closing quote belongs to the field all the same.
                (_, c) => {
                    self.field.push(c);
                    State::Plain
                }
            };
        }
    }
}

/// The text of a `RECORD`, rows sorted as pip sorts them.
pub(crate) fn write(mut rows: Vec<Row>) -> String {
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    let mut text = String::new();
    for Row { path, file } in rows {
        if path.contains([',', '"', '\r', '\n']) {
            text.push('"');
            text.push_str(&path.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&path);
        }
        match file {
            Some((digest, size)) => {
                let hash = base64(digest.as_bytes());
                text.push_str(&format!(",sha256={hash},{size}\n"));
            }
            None => text.push_str(",,\n"),
        }
    }
    text
}

/// Base64 with the URL's alphabet and without padding, as `RECORD` writes hashes.
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_as_pip_writes_them() {
        let rows = vec![
            Row {
                path: "b,1.py".into(),
                file: Some((Digest::of(b""), 0)),
            },
            Row {
                path: "a.dist-info/RECORD".into(),
                file: None,
            },
        ];
        assert_eq!(
            write(rows),
            "a.dist-info/RECORD,,\n\
             \"b,1.py\",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        );
    }

    #[test]
    fn paths_are_read_as_csv() {
        let text = "a.py,sha256=x,1\r\n\"b \"\"q\"\", c.py\",,\n\nd,\"x\ny\",2\n\"e\"junk,,\nf";
        assert_eq!(paths(text), ["a.py", "b \"q\", c.py", "d", "ejunk", "f"]);
        let read: Vec<_> = rows("a,\"x\n\ny\",z\n\nb\"c\"\n\"d").collect();
        let empty: [&str; 0] = [];
        assert_eq!(read[0], ["a", "xy", "z"]);
        assert_eq!(read[1], empty);
        assert_eq!(read[2], ["b\"c\""]);
        assert_eq!(read[3], ["d"]);
    }

    #[test]
    fn rows_are_read_as_they_are_written() {
        let rows = vec![
            Row {
                path: "a.dist-info/RECORD".into(),
                file: None,
            },
            Row {
                path: "b,\"1\".py".into(),
                file: Some((Digest::of(b"\xfb\xff"), 2)),
            },
        ];
        let read: Vec<Row> = read(&write(rows.clone())).collect();
        assert_eq!(read, rows);
        let odd = read_one("a.py,sha256=short,1\n");
        assert_eq!(odd.file, None);
    }

    fn read_one(text: &str) -> Row {
        read(text).next().unwrap()
    }
}
