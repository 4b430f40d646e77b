//! Tar archives: ustar headers, built field by field, with PAX records for what does not fit.
//!
//! <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06>

use std::io::{self, Write};

use super::Meter;
use crate::tree::{Content, Node, Tree};

pub(super) const BLOCK: usize = 512;
/// What the size field holds in eleven octal digits: 8 GiB less a byte.
const MAX_SIZE: u64 = 0o777_7777_7777;

/// Takes what an archive is made of, in order.
pub(super) trait Out<'a> {
    /// Headers, and the zeros that fill up blocks.
    fn header(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The bytes of a file.
    fn content(&mut self, content: &'a Content, meter: &Meter<'_>) -> io::Result<()>;

    /// What follows belongs to another distribution.
    fn boundary(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the archive of `tree`; every entry has the time `mtime`.
pub(super) fn write<'a>(
    tree: &'a Tree,
    mtime: u64,
    out: &mut impl Out<'a>,
    meter: &Meter<'_>,
) -> io::Result<()> {
    let mut header = Vec::new();
    let mut owner = None;
    for (path, entry) in tree.in_archive_order() {
        let path = path.as_str();
        let first = entry.owners.iter().min();
        if first != owner {
            out.boundary()?;
            owner = first;
        }
        match &entry.node {
            Node::Dir => head(&mut header, &format!("{path}/"), b'5', 0o755, 0, "", mtime)?,
            Node::Symlink { target } => head(&mut header, path, b'2', 0o777, 0, target, mtime)?,
            Node::File {
                content,
                executable,
            } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                head(&mut header, path, b'0', mode, content.size(), "", mtime)?;
                out.header(&header)?;
                header.clear();
                out.content(content, meter)?;
                pad(&mut header, content.size())?;
            }
        }
        out.header(&header)?;
        header.clear();
    }
    // The end of an archive is two empty blocks.
    out.header(&[0; 2 * BLOCK])
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 {
        return Ok(());
    }
    out.write_all(&[0; BLOCK][over..])
}

/// An entry's header, with a PAX header before it where the path, the link or the size does not
/// fit.
fn head(
    out: &mut impl Write,
    path: &str,
    kind: u8,
    mode: u32,
    size: u64,
    link: &str,
    mtime: u64,
) -> io::Result<()> {
    let mut records = String::new();
    if !fits(path) {
        record(&mut records, "path", path);
    }
    if !fits(link) {
        record(&mut records, "linkpath", link);
    }
    if size > MAX_SIZE {
        record(&mut records, "size", &size.to_string());
    }
    if !records.is_empty() {
        let length = records.len() as u64;
        block(out, "././@PaxHeader", b'x', 0o644, length, "", mtime)?;
        out.write_all(records.as_bytes())?;
        pad(out, length)?;
    }
    block(out, path, kind, mode, size, link, mtime)
}

/// Whether the field of 100 bytes holds the text so that every reader agrees on it: not all take
/// bytes beyond ASCII for UTF-8, and some want a NUL at the end.
fn fits(text: &str) -> bool {
    text.len() < 100 && text.is_ascii()
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(records: &mut String, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.push_str(&format!("{length} {key}={value}\n"));
}

/// One header block. What the fields cannot hold was said in PAX records; what stands here then is
/// for readers that know none, and must not mislead: H46.
fn block(
    out: &mut impl Write,
    path: &str,
    kind: u8,
    mode: u32,
    size: u64,
    link: &str,
    mtime: u64,
) -> io::Result<()> {
    let mut header = [0; BLOCK];
    text(&mut header[0..100], path);
    octal(&mut header[100..108], u64::from(mode));
    octal(&mut header[108..116], 0);
    octal(&mut header[116..124], 0);
    octal(&mut header[124..136], size.min(MAX_SIZE));
    octal(&mut header[136..148], mtime.min(MAX_SIZE));
    header[148..156].fill(b' ');
    header[156] = kind;
    text(&mut header[157..257], link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    // The names of user and group stay empty: the numbers count, and they are 0.
    octal(&mut header[329..337], 0);
    octal(&mut header[337..345], 0);
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut header[148..155], sum);
    header[155] = b' ';
    out.write_all(&header)
}

/// Fills a field with as much of the text as it holds, never cut inside a character or, which some
/// readers take for a folder, behind a `/`.
fn text(field: &mut [u8], text: &str) {
    let mut end = text.len();
    if end > field.len() - 1 {
        end = field.len() - 1;
        while !text.is_char_boundary(end) || text[..end].ends_with('/') {
            end -= 1;
        }
    }
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
}

/// Octal digits with leading zeros, and a NUL.
fn octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let text = format!("{number:0digits$o}");
    field[..digits].copy_from_slice(&text.as_bytes()[text.len() - digits..]);
    field[digits] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_byte_by_byte() {
        let mut out = Vec::new();
        head(&mut out, "bin/x", b'0', 0o755, 10, "", 315_532_801).unwrap();
        let mut expected = [0; BLOCK];
        for (at, bytes) in [
            (0, &b"bin/x"[..]),
            (100, b"0000755\0"),
            (108, b"0000000\0"),
            (116, b"0000000\0"),
            (124, b"00000000012\0"),
            (136, b"02263523001\0"),
            (156, b"0"),
            (257, b"ustar\x0000"),
            (329, b"0000000\0"),
            (337, b"0000000\0"),
        ] {
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let sum: u64 = expected
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u64::from(*byte)
                }
            })
            .sum();
        expected[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(out, expected);
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        for length in [1, 80, 89, 90, 91, 92, 93, 94, 980, 989, 990, 995] {
            let mut records = String::new();
            record(&mut records, "path", &"x".repeat(length));
            let said: usize = records.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, records.len());
        }
    }

    /// H46: a name that is cut behind a `/` is a folder to some readers.
    #[test]
    fn a_long_name_is_not_cut_behind_a_slash() {
        let mut out = Vec::new();
        let path = format!("{}/{}", "a".repeat(98), "b".repeat(20));
        head(&mut out, &path, b'0', 0o644, 0, "", 0).unwrap();
        assert_eq!(out.len(), 3 * BLOCK);
        assert_eq!(&out[..14], b"././@PaxHeader");
        let header = &out[2 * BLOCK..];
        assert_eq!((header[97], header[98], header[156]), (b'a', 0, b'0'));
    }

    #[test]
    fn a_size_beyond_eight_gibibytes_is_a_record() {
        let mut out = Vec::new();
        head(&mut out, "x", b'0', 0o644, MAX_SIZE + 1, "", 0).unwrap();
        let text = String::from_utf8_lossy(&out[BLOCK..2 * BLOCK]).into_owned();
        assert!(text.starts_with("19 size=8589934592\n"), "{text}");
    }
}
