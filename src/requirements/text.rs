//! Text that remembers how it was written, and places in files.

use std::fmt;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// A piece of a requirements file: what was written there, and what it stands for.
///
/// The two differ where the text names environment variables (`${TOKEN}`). Everything that shows
/// or stores a `Text` (`Display`, `Debug`, `Serialize`) gets what was written, with the
/// credentials of URLs hidden; only [`expanded`](Self::expanded) has the values.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text {
    written: Box<str>,
    /// `None` if nothing was expanded, which is nearly always.
    expanded: Option<Box<str>>,
}

impl Text {
    pub(super) fn new(written: &str, expanded: &str) -> Self {
        Self {
            written: written.into(),
            expanded: (written != expanded).then(|| expanded.into()),
        }
    }

    /// What the text stands for, secrets and all. For whoever carries out the request, never for
    /// messages, logs or plans.
    #[must_use]
    pub fn expanded(&self) -> &str {
        self.expanded.as_deref().unwrap_or(&self.written)
    }

    /// What was written, credentials and all.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// Whether environment variables were expanded in it.
    #[must_use]
    pub fn is_expanded(&self) -> bool {
        self.expanded.is_some()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.written))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&redact(&self.written), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A path on this machine. `Debug` does not show it: variables may have been expanded in it, and
/// the text from which it was made stands beside it wherever there is one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LocalPath(PathBuf);

impl LocalPath {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Deref for LocalPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for LocalPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Debug for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A place in a file. Prints as `file:line:column`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file, as it was named; `-` is standard input.
    pub file: Arc<Path>,
    /// The line, counted from 1 as Python's `str.splitlines` counts.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Location", 3)?;
        // Not `Path`'s own form, which fails where a name is not UTF-8.
        fields.serialize_field("file", &self.file.to_string_lossy())?;
        fields.serialize_field("line", &self.line)?;
        fields.serialize_field("column", &self.column)?;
        fields.end()
    }
}

/// What stands in place of credentials.
const HIDDEN: &str = "****";

/// `text` with the credentials of the URLs in it hidden.
pub(super) fn redact(text: &str) -> String {
    redact_at(text, 0).0
}

/// As [`redact`], and where the byte at `offset` is afterwards.
pub(super) fn redact_at(text: &str, offset: usize) -> (String, usize) {
    let mut shown = String::with_capacity(text.len());
    let mut moved = offset;
    let mut done = 0;
    for range in credentials(text) {
        shown.push_str(&text[done..range.start]);
        if offset >= range.end {
            moved = moved - range.len() + HIDDEN.len();
        } else if offset > range.start {
            moved = shown.len();
        }
        shown.push_str(HIDDEN);
        done = range.end;
    }
    shown.push_str(&text[done..]);
    (shown, moved)
}

/// The passwords in the URLs of a text, or their users for want of one.
pub(super) fn secrets(text: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    for range in credentials(text) {
        let both = &text[range];
        let secret = both.split_once(':').map_or(both, |(_, password)| password);
        let meant = percent_encoding::percent_decode_str(secret).decode_utf8_lossy();
        if meant != secret {
            secrets.push(meant.into_owned());
        }
        secrets.push(secret.to_owned());
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

/// Where the `user:password` parts of URLs are.
///
/// It would rather hide too much: this is for text that may not be a URL at all.
fn credentials(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + 3;
        let length = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'))
            .unwrap_or(text.len() - start);
        let url = &text[start..start + length];
        let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
        let at = authority.rfind('@').or_else(|| {
            // `user:pass/word@host`: no URL, but what was meant is plain, and so is the password.
            let (_, port) = authority.rsplit_once(':')?;
            let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || port.ends_with(']');
            (!is_port).then(|| url.find('@')).flatten()
        });
        if let Some(at) = at
            && !is_variables(&url[..at])
        {
            ranges.push(start..start + at);
            from = start + at;
        } else {
            from = start;
        }
    }
    ranges
}

/// Whether `user` is made of `${NAME}`s only, which tell nothing and help the reader.
fn is_variables(user: &str) -> bool {
    user.split(':').all(|part| {
        let name = part
            .strip_prefix("${")
            .and_then(|part| part.strip_suffix('}'));
        name.is_some_and(|name| !name.is_empty() && !name.contains(['$', '{', '}']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_wherever_they_stand() {
        for (text, shown) in [
            ("https://host/simple", "https://host/simple"),
            ("https://user:pass@host/x", "https://****@host/x"),
            ("https://token@host/x", "https://****@host/x"),
            (
                "git+https://u:p@h/r.git@v1#egg=r",
                "git+https://****@h/r.git@v1#egg=r",
            ),
            ("https://h/r.git@v1", "https://h/r.git@v1"),
            ("https://u:p@ss@h/", "https://****@h/"),
            ("https://u:p/ss@h/", "https://****@h/"),
            ("https://h:8080/a@b", "https://h:8080/a@b"),
            ("https://[::1]/a@b", "https://[::1]/a@b"),
            ("https://${TOKEN}@h/", "https://${TOKEN}@h/"),
            ("https://${U}:${P}@h/", "https://${U}:${P}@h/"),
            ("https://me:${P}@h/", "https://****@h/"),
            (
                "-i https://a:b@h -f 'http://c:d@k'",
                "-i https://****@h -f 'http://****@k'",
            ),
            ("https://ü:ö@h", "https://****@h"),
            ("://", "://"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn a_caret_moves_with_the_text() {
        let text = "x https://user:pass@host/";
        for (before, after) in [(0, 0), (10, 10), (13, 10), (19, 14), (20, 15)] {
            assert_eq!(redact_at(text, before).1, after);
        }
    }

    #[test]
    fn a_text_shows_what_was_written() {
        let text = Text::new("https://${T}@h/", "https://secret@h/");
        assert_eq!(text.to_string(), "https://${T}@h/");
        assert_eq!(format!("{text:?}"), "\"https://${T}@h/\"");
        assert_eq!(text.expanded(), "https://secret@h/");
    }
}
