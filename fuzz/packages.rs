//! The databases of packages: dpkg's, apk's and rpm's.
//!
//! The first byte tells what the rest is: a text of dpkg's or apk's, a header of rpm's that is put into a
//! database, or the bytes of a database. A list that is written from what was found is read the same.

#![no_main]

#[allow(dead_code, reason = "each target takes what it needs")]
mod files;

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use prebuild::runtime::Packages;
use rusqlite::Connection;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match kind % 5 {
        0 => {
            let found = Packages::of_dpkg(&text).installed;
            bounded(&found, text.len());
            let written = list(&found, |name, version| {
                format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n")
            });
            assert_eq!(Packages::of_dpkg(&written).installed, found);
        }
        1 => {
            let found = Packages::of_apk(&text).installed;
            bounded(&found, text.len());
            let written = list(&found, |name, version| format!("P:{name}\nV:{version}\n\n"));
            // A carriage return before the end of a line belongs to the end.
            if !written.contains("\r\n") {
                assert_eq!(Packages::of_apk(&written).installed, found);
            }
        }
        2 => {
            let headers: Vec<_> = rest.split(|byte| *byte == 0xfe).collect();
            let found = rpm(&headers);
            bounded(&found, rest.len());
            let written: Vec<_> = found
                .iter()
                .map(|(name, version)| header(name, version))
                .collect();
            let written: Vec<_> = written.iter().map(Vec::as_slice).collect();
            // Written anew, what stands behind the first dash is the release, and may be too long to be read.
            if found.values().all(|version| version.len() < 4096) {
                assert_eq!(rpm(&written), found);
            }
        }
        _ => {
            let file = &files::spread(rest, &["rpmdb.sqlite"])[0];
            let found = Packages::of_rpm(file).installed;
            // A row of several pages may be there once and be named by many: SQLite reads it each time.
            assert!(bytes(&found) <= 64 << 20);
            // The database is not written, and neither is anything beside it.
            assert!(std::fs::read(file).expect("it is there") == first(rest));
            let names = std::fs::read_dir(files::directory()).expect("it is there");
            assert_eq!(names.count(), 1);
        }
    }
});

fn first(input: &[u8]) -> &[u8] {
    let between = files::BETWEEN;
    let end = input
        .windows(between.len())
        .position(|here| here == between);
    &input[..end.unwrap_or(input.len())]
}

fn bytes(found: &BTreeMap<String, String>) -> usize {
    found
        .iter()
        .map(|(name, version)| name.len() + version.len())
        .sum()
}

/// What is found takes no more bytes than what it is found in, where each U+FFFD may stand for one.
fn bounded(found: &BTreeMap<String, String>, size: usize) {
    assert!(bytes(found) <= 3 * size, "{} bytes of {size}", bytes(found));
}

fn list(found: &BTreeMap<String, String>, paragraph: impl Fn(&str, &str) -> String) -> String {
    found
        .iter()
        .map(|(name, version)| paragraph(name, version))
        .collect()
}

/// What is read of a database with these rows.
fn rpm(headers: &[&[u8]]) -> BTreeMap<String, String> {
    let file = files::directory().join("rpmdb.sqlite");
    let _ = std::fs::remove_file(&file);
    let database = Connection::open(&file).expect("it can be made");
    database
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        .expect("it can be made");
    for header in headers {
        database
            .execute("INSERT INTO Packages (blob) VALUES (?)", [header])
            .expect("a row can be added");
    }
    drop(database);
    Packages::of_rpm(&file).installed
}

/// A header as rpm writes it.
fn header(name: &str, version: &str) -> Vec<u8> {
    let (version, release) = version.split_once('-').expect("it has a release");
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, text) in [(1000_u32, name), (1001, version), (1002, release)] {
        let offset = u32::try_from(data.len()).expect("it is small");
        for number in [tag, 6, offset, 1] {
            index.extend(number.to_be_bytes());
        }
        data.extend(text.as_bytes());
        data.push(0);
    }
    let size = u32::try_from(data.len()).expect("it is small");
    [&3_u32.to_be_bytes()[..], &size.to_be_bytes(), &index, &data].concat()
}
