//! `RECORD`: the list of a distribution's installed files, with their hashes and sizes.
//!
//! <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file>

use crate::digest::Digest;

/// One row: a path as it is written, and the hash and size unless the file has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) file: Option<(Digest, u64)>,
}

/// The paths of a `RECORD`. What cannot be a row is passed over: the file is only believed about
/// which paths there are, and those are looked for in the tree.
pub(crate) fn paths(text: &str) -> Vec<String> {
    let rows = rows(text).into_iter();
    rows.filter_map(|fields| fields.into_iter().next())
        .filter(|path| !path.is_empty())
        .collect()
}

/// The rows, each with its fields, as Python's `csv` reads them; empty lines are none.
pub(super) fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut rest = text.trim_start_matches(['\r', '\n']);
    while !rest.is_empty() {
        let (first, mut after) = field(rest);
        let mut fields = vec![first];
        loop {
            if let Some(next) = after.strip_prefix(',') {
                let (value, behind) = field(next);
                fields.push(value);
                after = behind;
            } else if after.is_empty() || after.starts_with(['\r', '\n']) {
                break;
            } else {
                // What stands behind a closing quote belongs to the field all the same.
                let (value, behind) = field(after);
                if let Some(last) = fields.last_mut() {
                    last.push_str(&value);
                }
                after = behind;
            }
        }
        rows.push(fields);
        rest = after.trim_start_matches(['\r', '\n']);
    }
    rows
}

/// One field as Python's `csv` reads it, and what follows it.
fn field(text: &str) -> (String, &str) {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '\r', '\n']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    loop {
        let Some(quote) = rest.find('"') else {
            value.push_str(rest);
            return (value, "");
        };
        value.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return (value, rest),
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
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = (word >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
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
    }

    #[test]
    fn base64_of_all_lengths() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg");
        assert_eq!(base64(b"fo"), "Zm8");
        assert_eq!(base64(b"foo"), "Zm9v");
        assert_eq!(base64(&[0xfb, 0xff]), "-_8");
    }
}
