//! The two texts in a wheel that are headers like those of mail: `METADATA` and `WHEEL`.
//!
//! <https://packaging.python.org/en/latest/specifications/core-metadata/>

/// The headers of a text, as Python's `email` reads them: a line that begins with a space goes on
/// with the one before, and an empty line ends them.
pub(super) fn headers(text: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
            continue;
        }
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && !name.contains([' ', '\t']) => {
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
            // What is no header is the first line of the body.
            _ => break,
        }
    }
    headers
}

/// The first header of this name.
pub(super) fn first<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    all(headers, name).next()
}

/// Every header of this name.
pub(super) fn all<'a>(
    headers: &'a [(String, String)],
    name: &str,
) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_with_an_empty_line() {
        let text = "Name: a\r\nrequires-dist: b\n  ; c\nRequires-Dist:d\n\nName: no\n";
        let read = headers(text);
        assert_eq!(first(&read, "name"), Some("a"));
        let requires: Vec<_> = all(&read, "Requires-Dist").collect();
        assert_eq!(requires, ["b\n  ; c", "d"]);
    }
}
