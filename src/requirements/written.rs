//! Text that may hold a secret: what was written, and what it expands to.

use std::fmt;
use std::path::Path;

/// A text as it was written (`https://${TOKEN}@index.example/`) and as it reads once variables are
/// put in. Printing, logging and serialising show what was written, credentials in URLs hidden;
/// only what is given to pip uses the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    written: String,
    expanded: String,
}

impl Text {
    /// A text and what it expands to.
    #[must_use]
    pub fn new(written: impl Into<String>, expanded: impl Into<String>) -> Self {
        Self {
            written: written.into(),
            expanded: expanded.into(),
        }
    }

    /// A text without variables.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(text.clone(), text)
    }

    /// What it reads once variables are put in. May hold secrets.
    #[must_use]
    pub fn expanded(&self) -> &str {
        &self.expanded
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hide_credentials(&self.written))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", hide_credentials(&self.written))
    }
}

impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text with the user and password of each URL in it replaced by `****`.
///
/// Variables (`${TOKEN}`) say nothing and stay; so does the user of an SSH URL, which is no secret.
#[must_use]
pub fn hide_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(authority) = rest.find("://").map(|at| at + 3) {
        let scheme = &rest[..authority];
        shown.push_str(scheme);
        rest = &rest[authority..];
        let ends = |c: char| c.is_whitespace() || "/?#'\"`<>\\".contains(c);
        let end = rest.find(ends).unwrap_or(rest.len());
        // A password may hold an `@`, and a careless one a `/`: the host begins behind the last
        // `@` before white space that some `:` precedes.
        if let Some(at) = rest[..end].rfind('@') {
            let user = &rest[..at];
            if is_variables(user) || (scheme.ends_with("ssh://") && !user.contains(':')) {
                shown.push_str(user);
            } else {
                shown.push_str("****");
            }
            rest = &rest[at..];
        }
    }
    shown.push_str(rest);
    shown
}

/// Whether the text is nothing but `${NAME}` and `:`.
fn is_variables(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        rest = match (rest.strip_prefix(':'), rest.strip_prefix("${")) {
            (Some(after), _) => after,
            (None, Some(name)) => match name.find('}') {
                Some(end) => &name[end + 1..],
                None => return false,
            },
            (None, None) => return false,
        };
    }
    true
}

/// The path without `.` and with each `..` taken back, as Python's `os.path.normpath` has it.
#[must_use]
pub(super) fn normal_path(path: &Path) -> std::path::PathBuf {
    use std::path::Component;
    let mut normal = std::path::PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    normal.push("..");
                }
            }
            component => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H25: nothing that is shown holds a credential.
    #[test]
    fn credentials_are_hidden() {
        for (text, shown) in [
            ("https://u:p@h/x", "https://****@h/x"),
            ("https://token@h", "https://****@h"),
            ("https://u:p@q@h/", "https://****@h/"),
            (
                "a https://u:p@h b https://v:q@i/",
                "a https://****@h b https://****@i/",
            ),
            ("https://${U}:${P}@h/", "https://${U}:${P}@h/"),
            ("https://${U}:p@h/", "https://****@h/"),
            ("git+ssh://git@h/x@v1", "git+ssh://git@h/x@v1"),
            ("git+https://h/x@v1", "git+https://h/x@v1"),
            ("name @ https://h/", "name @ https://h/"),
        ] {
            assert_eq!(hide_credentials(text), shown);
        }
    }

    #[test]
    fn only_what_was_written_is_shown() {
        let text = Text::new("https://${T}@h/", "https://secret@h/");
        assert_eq!(
            format!("{text} {text:?}"),
            "https://${T}@h/ \"https://${T}@h/\""
        );
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"https://${T}@h/\"");
        assert_eq!(text.expanded(), "https://secret@h/");
    }
}
