//! The two texts in a wheel that are headers like those of mail: `METADATA` and `WHEEL`.
//!
//! <https://packaging.python.org/en/latest/specifications/core-metadata/>

use crate::requirements::trim;

/// More headers than any text has: what pins the most has some thousand.
pub(super) const MAX_HEADERS: usize = 50_000;

/// The headers of a text, as Python's `email` reads them, each in one line.
#[derive(Debug)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads up to the first line that is neither a header nor the rest of one, and at most one header more
    /// than any text has.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut headers: Vec<(String, String)> = Vec::new();
        // Whether a line that begins with white space has something to go on with.
        let mut open = false;
        for line in lines(text).take_while(|line| is_header(line)) {
            if line.starts_with([' ', '\t']) {
                if open && let Some((_, value)) = headers.last_mut() {
                    value.push_str(line);
                }
                continue;
            }
            open = false;
            // The envelope of a mail is no header, whatever is in it.
            if let Some((name, value)) = line.split_once(':')
                && !name.is_empty()
                && !line.starts_with("From ")
            {
                headers.push((name.to_owned(), value.to_owned()));
                if headers.len() > MAX_HEADERS {
                    break;
                }
                open = true;
            }
        }
        for (_, value) in &mut headers {
            *value = trim(value).to_owned();
        }
        Self(headers)
    }

    /// All headers, in their order: names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are more than are read.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.0.len() > MAX_HEADERS
    }

    /// The first header of this name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every header of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Whether a line can stand among headers: printable characters and a colon, an envelope, or the
/// rest of a header.
fn is_header(line: &str) -> bool {
    line.starts_with([' ', '\t'])
        || line.starts_with("From ")
        || line
            .split_once(':')
            .is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The lines of a text, which end at `\n`, `\r` or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_with_an_empty_line() {
        let text = "Name: a\r\nrequires-dist: b\n  ; c\rRequires-Dist:d \n\nName: no\n";
        let read = Headers::read(text);
        assert_eq!(read.first("name"), Some("a"));
        let requires: Vec<_> = read.all("Requires-Dist").collect();
        assert_eq!(requires, ["b  ; c", "d"]);
    }

    #[test]
    fn what_is_no_header_ends_them_or_is_passed_over() {
        let text = " x\nFrom a: b\n c\n: d\n e\nName: f\nVersion : 1\nName: g\n";
        let read = Headers::read(text);
        assert_eq!(read.0, [("Name".to_owned(), "f".to_owned())]);
    }
}
