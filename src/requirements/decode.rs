//! Bytes → text, as pip decodes a requirements file.

use encoding_rs::Encoding;

use super::error::Problem;

/// Decodes a requirements file: by its byte order mark, else by a PEP 263 comment in its first two
/// lines, else as UTF-8.
///
/// The offset in an error is a byte of `data`.
pub(super) fn decode(data: &[u8]) -> Result<String, (usize, Problem)> {
    // pip's order: the mark of UTF-16-LE is a prefix of that of UTF-32-LE.
    let marks: [(&[u8], &str); 5] = [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ];
    for (mark, name) in marks {
        if let Some(rest) = data.strip_prefix(mark) {
            return decode_as(rest, name).map_err(|(at, problem)| (at + mark.len(), problem));
        }
    }
    if let Some(name) = declared(data) {
        return decode_as(data, name);
    }
    if let Some(name) = unmarked(data) {
        return Err((0, Problem::Unmarked(name)));
    }
    decode_as(data, "utf-8")
}

/// As [`decode`], in the encoding that somebody else tells, unless the text has a mark.
pub(super) fn decode_told(data: &[u8], name: &str) -> Result<String, (usize, Problem)> {
    let marks: [&[u8]; 4] = [b"\xef\xbb\xbf", b"\0\0\xfe\xff", b"\xff\xfe", b"\xfe\xff"];
    if marks.iter().any(|mark| data.starts_with(mark)) {
        return decode(data);
    }
    decode_as(data, name)
}

/// The wide encoding of a text without a mark: most of a requirements file is ASCII, and there every
/// second byte is 0, or three of four are.
fn unmarked(data: &[u8]) -> Option<&'static str> {
    let start = &data[..data.len().min(4096)];
    let zeros = |step: usize, from: usize| {
        let of = start.iter().skip(from).step_by(step);
        of.clone().count() >= 2
            && of.clone().filter(|byte| **byte == 0).count() * 10 >= of.count() * 9
    };
    match (zeros(2, 0), zeros(2, 1)) {
        (false, true) if zeros(4, 2) => Some("UTF-32"),
        (true, false) if zeros(4, 1) => Some("UTF-32"),
        (false, true) | (true, false) => Some("UTF-16"),
        _ => None,
    }
}

/// The encoding that a comment in the first two lines names: pip's pattern is
/// `coding[:=]\s*([-\w.]+)`.
fn declared(data: &[u8]) -> Option<&str> {
    let comments = data.split(|&byte| byte == b'\n').take(2);
    for line in comments.filter(|line| line.first() == Some(&b'#')) {
        for (index, _) in line
            .windows(7)
            .enumerate()
            .filter(|(_, window)| window.starts_with(b"coding") && matches!(window[6], b':' | b'='))
        {
            let rest = line[index + 7..].trim_ascii_start();
            // `\v` is white space to Python and not to Rust.
            let rest = rest.strip_prefix(b"\x0b").unwrap_or(rest);
            let end = rest
                .iter()
                .position(|byte| !(byte.is_ascii_alphanumeric() || b"-_.".contains(byte)))
                .unwrap_or(rest.len());
            if end > 0 {
                return str::from_utf8(&rest[..end]).ok();
            }
        }
    }
    None
}

fn decode_as(data: &[u8], name: &str) -> Result<String, (usize, Problem)> {
    let bad = |at| (at, Problem::Undecodable(name.to_owned()));
    // Python looks names up without regard to case and punctuation.
    let key: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match key.as_str() {
        "utf8" | "u8" | "utf" | "cp65001" => match str::from_utf8(data) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(bad(error.valid_up_to())),
        },
        "utf8sig" => decode_as(data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data), "utf-8"),
        "ascii" | "usascii" | "646" | "us" => match data.iter().position(|byte| !byte.is_ascii()) {
            None => Ok(data.iter().copied().map(char::from).collect()),
            Some(at) => Err(bad(at)),
        },
        "latin1" | "latin" | "iso88591" | "88591" | "l1" | "cp819" => {
            Ok(data.iter().copied().map(char::from).collect())
        }
        "utf16le" | "utf16be" => utf16(data, key == "utf16be").map_err(bad),
        "utf32le" | "utf32be" => utf32(data, key == "utf32be").map_err(bad),
        _ => {
            let encoding =
                legacy(&key).ok_or_else(|| (0, Problem::UnknownEncoding(name.to_owned())))?;
            encoding
                .decode_without_bom_handling_and_without_replacement(data)
                // Bytes that have no character in Python have a control character on the web.
                .filter(|text| !text.contains(|c| ('\u{80}'..='\u{9f}').contains(&c)))
                .map(std::borrow::Cow::into_owned)
                .ok_or_else(|| bad(data.iter().position(|byte| !byte.is_ascii()).unwrap_or(0)))
        }
    }
}

/// The other encodings that are read: those for which the web's tables and Python's agree.
fn legacy(key: &str) -> Option<&'static Encoding> {
    Some(match key {
        "cp1250" | "windows1250" => encoding_rs::WINDOWS_1250,
        "cp1251" | "windows1251" => encoding_rs::WINDOWS_1251,
        "cp1252" | "windows1252" => encoding_rs::WINDOWS_1252,
        "cp1253" | "windows1253" => encoding_rs::WINDOWS_1253,
        "cp1254" | "windows1254" => encoding_rs::WINDOWS_1254,
        "iso88592" | "latin2" | "l2" => encoding_rs::ISO_8859_2,
        "iso88595" | "cyrillic" => encoding_rs::ISO_8859_5,
        "iso88597" | "greek" => encoding_rs::ISO_8859_7,
        "iso885915" | "latin9" | "l9" => encoding_rs::ISO_8859_15,
        "koi8r" => encoding_rs::KOI8_R,
        "cp866" | "866" | "ibm866" => encoding_rs::IBM866,
        "shiftjis" | "sjis" | "cp932" | "932" | "ms932" => encoding_rs::SHIFT_JIS,
        "eucjp" | "ujis" => encoding_rs::EUC_JP,
        "gbk" | "cp936" | "936" | "ms936" | "gb2312" | "euccn" => encoding_rs::GBK,
        "gb18030" => encoding_rs::GB18030,
        "big5" | "big5tw" | "cp950" | "950" => encoding_rs::BIG5,
        "euckr" | "cp949" | "949" | "uhc" => encoding_rs::EUC_KR,
        _ => return None,
    })
}

fn utf16(data: &[u8], big: bool) -> Result<String, usize> {
    let (pairs, rest) = data.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| {
        if big {
            u16::from_be_bytes(pair)
        } else {
            u16::from_le_bytes(pair)
        }
    });
    let mut text = String::with_capacity(pairs.len());
    let mut at = 0;
    for decoded in char::decode_utf16(units) {
        let c = decoded.map_err(|_| at)?;
        text.push(c);
        at += 2 * c.len_utf16();
    }
    if rest.is_empty() { Ok(text) } else { Err(at) }
}

fn utf32(data: &[u8], big: bool) -> Result<String, usize> {
    let (fours, rest) = data.as_chunks::<4>();
    let decode = |&four: &[u8; 4]| {
        char::from_u32(if big {
            u32::from_be_bytes(four)
        } else {
            u32::from_le_bytes(four)
        })
    };
    let text: String = fours.iter().map_while(decode).collect();
    let decoded = 4 * text.chars().count();
    if decoded == fours.len() * 4 && rest.is_empty() {
        Ok(text)
    } else {
        Err(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_comments_are_followed() {
        for (data, text) in [
            (&b"caf\xc3\xa9"[..], "café"),
            (b"\xef\xbb\xbfx", "x"),
            (b"\xff\xfex\0", "x"),
            (b"\xfe\xff\0x", "x"),
            (b"\xff\xfe\0\0x\0\0\0", "x"),
            (b"\0\0\xfe\xff\0\0\0x", "x"),
            (b"# coding: latin-1\n# \xe9", "# coding: latin-1\n# é"),
            (
                b"\n# -*- coding=cp1252 -*- \x80",
                "\n# -*- coding=cp1252 -*- €",
            ),
            (
                b"# vim: set fileencoding=Shift_JIS :\n# \x83e",
                "# vim: set fileencoding=Shift_JIS :\n# テ",
            ),
            (b"# coding: ascii\nx", "# coding: ascii\nx"),
        ] {
            assert_eq!(decode(data).unwrap(), text);
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_placed() {
        for (data, at) in [
            (&b"ab\xff"[..], 2),
            (b"\xef\xbb\xbfa\xff", 4),
            (b"\xff\xfex\0\0\xd8", 4),
            (b"\xff\xfex\0y", 4),
            (b"\xff\xfe\0\0x\0\0\0\0\0\x11\x11", 8),
            (b"# coding: ascii\n\xe9", 16),
            (b"# coding: cp1252\n\x81", 17),
            (b"# coding: klingon\n", 0),
        ] {
            assert_eq!(decode(data).unwrap_err().0, at, "{data:?}");
        }
    }
}
