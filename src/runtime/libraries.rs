//! The operating system packages of shared libraries that are missing in a runtime.
//!
//! The table ships with the crate, as `libraries.tsv` beside this file: a library's soname, then
//! `KEY=PACKAGE` for each distribution that is known to have it. A key is an [os-release] `ID`, and
//! a `VERSION_ID` behind a dash where the releases differ: `debian-12`, `ubuntu-24.04`, `alpine`.
//! A key without a version means every release that has no key of its own.
//!
//! What was checked against what:
//!
//! - Debian 11 and 12: every package is the one that has the file, by the archive's own list of
//!   contents (main, amd64). The sonames were told from the names of the files; 291 were also read
//!   from the ELF files of Debian 12 themselves.
//! - Debian 13: every package is in the archive, but which files it has was not checked. A soname
//!   is taken to be in the package that has it in Debian 12, also under its name since the time
//!   types have 64 bits (`t64`), and a new version of a library to be in the package named after it.
//! - Ubuntu 22.04 and 24.04: a package that Debian has under one name in the releases before and
//!   after (11 and 12, 12 and 13), else one known to be so. Ubuntu's own lists were not read. The
//!   package definitions of its `chisel` tool name the packages of 152 of these libraries in 22.04
//!   and of 316 in 24.04. They agreed with all but one of the 404 told from Debian; that one and
//!   what they add are in the table.
//! - Alpine: from knowledge of Alpine 3.18 to 3.22, not checked.
//!
//! [os-release]: https://www.freedesktop.org/software/systemd/man/latest/os-release.html

use std::sync::LazyLock;

/// The table's text. Sorted, so that a line has one place; a test says so.
const TABLE: &str = include_str!("libraries.tsv");

/// Looks up the package that has the library `soname` in the distribution with these os-release
/// values: `libpq.so.5`, `debian` and `12` give `libpq5`. What is needed by the name of a file, such as
/// `libgomp.so.1.0.0`, is looked up as the library that it is of.
///
/// `version_id` is empty where the distribution gives none. A derivative has an `id` of its own and
/// its packages may have other names, so nothing is known of it.
pub(super) fn package(soname: &str, id: &str, version_id: &str) -> Option<&'static str> {
    let row = row(soname)?;
    let named = |version: Option<&str>| {
        row.entries()
            .find(|entry| entry.id == id && entry.version == version)
            .map(|entry| entry.package)
    };
    named(Some(version_id)).or_else(|| named(None))
}

/// The newest library of a stem that the distribution with these os-release values has: `magic` gives
/// `libmagic.so.1`.
pub(super) fn named(stem: &str, id: &str, version_id: &str) -> Option<&'static str> {
    let start = format!("lib{stem}.so");
    let from = lines().partition_point(|line| **line < *start);
    let names = lines()[from..].iter().map_while(|line| {
        let (name, _) = line.split_once('\t')?;
        name.starts_with(&start).then_some(name)
    });
    let is_one = |name: &&str| {
        let rest = &name[start.len()..];
        (rest.is_empty() || rest.starts_with('.')) && package(name, id, version_id).is_some()
    };
    let numbers = |name: &&str| -> Vec<u64> {
        let parts = name[start.len()..].split('.');
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    names.filter(is_one).max_by_key(numbers)
}

/// Where a library is: the cells of its line.
struct Row(&'static str);

struct Entry {
    id: &'static str,
    version: Option<&'static str>,
    package: &'static str,
}

fn lines() -> &'static [&'static str] {
    static LINES: LazyLock<Vec<&str>> = LazyLock::new(|| TABLE.lines().collect());
    &LINES
}

fn row(soname: &str) -> Option<Row> {
    let lines = lines();
    let mut name = soname;
    loop {
        let found = lines.binary_search_by(|line| {
            let (there, _) = line.split_once('\t').unwrap_or((line, ""));
            there.cmp(name)
        });
        if let Ok(at) = found {
            let (_, cells) = lines[at].split_once('\t')?;
            return Some(Row(cells));
        }
        // `.so` itself is another file's name: that of what linkers look for.
        let (shorter, number) = name.rsplit_once('.')?;
        if !shorter.contains(".so.") || number.parse::<u32>().is_err() {
            return None;
        }
        name = shorter;
    }
}

impl Row {
    fn entries(&self) -> impl Iterator<Item = Entry> + use<> {
        self.0.split(' ').filter_map(|cell| {
            let (key, package) = cell.split_once('=')?;
            let (id, version) = match key.split_once('-') {
                Some((id, version)) => (id, Some(version)),
                None => (key, None),
            };
            Some(Entry {
                id,
                version,
                package,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> impl Iterator<Item = (&'static str, Row)> {
        TABLE.lines().filter_map(|line| {
            let (soname, cells) = line.split_once('\t')?;
            Some((soname, Row(cells)))
        })
    }

    #[test]
    fn the_table_is_sorted_and_has_nothing_twice() {
        let sonames: Vec<_> = rows().map(|(soname, _)| soname).collect();
        assert_eq!(sonames.len(), TABLE.lines().count());
        for pair in sonames.windows(2) {
            assert!(pair[0] < pair[1], "`{}` before `{}`", pair[0], pair[1]);
        }
    }

    #[test]
    fn every_line_has_a_soname_and_known_keys_in_order() {
        let known = [
            "alpine",
            "debian",
            "debian-11",
            "debian-12",
            "debian-13",
            "ubuntu",
            "ubuntu-22.04",
            "ubuntu-24.04",
        ];
        for line in TABLE.lines() {
            let (soname, entries) = line.split_once('\t').unwrap();
            assert!(soname.starts_with("lib"), "{line:?}");
            assert!(soname.contains(".so"), "{line:?}");
            let mut before = "";
            for cell in entries.split(' ') {
                let (key, package) = cell.split_once('=').unwrap();
                assert!(known.contains(&key), "{line:?}");
                assert!(before < key, "{line:?}");
                before = key;
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                assert!(package.starts_with(plain), "{line:?}");
                assert!(
                    package.chars().all(|c| plain(c) || "+-._".contains(c)),
                    "{line:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_without_a_version_has_a_release_left() {
        for (soname, row) in rows() {
            let keys: Vec<_> = row.entries().map(|e| (e.id, e.version)).collect();
            for (id, releases) in [("debian", 3), ("ubuntu", 2)] {
                let all = keys.iter().filter(|key| key.0 == id).count();
                let bare = keys.contains(&(id, None));
                assert!(!bare || all <= releases, "`{soname}`");
            }
        }
    }

    #[test]
    fn a_package_is_found_by_release() {
        let rows = [
            ("libpq.so.5", "debian", "12", Some("libpq5")),
            ("libpq.so.5", "debian", "", Some("libpq5")),
            ("libpq.so.5", "ubuntu", "24.04", Some("libpq5")),
            ("libpq.so.5", "alpine", "3.20.3", Some("libpq")),
            ("libssl.so.3", "debian", "11", None),
            ("libssl.so.3", "debian", "12", Some("libssl3")),
            ("libssl.so.3", "debian", "13", Some("libssl3t64")),
            ("libssl.so.3", "debian", "", None),
            ("libssl.so.1.1", "debian", "11", Some("libssl1.1")),
            ("libjpeg.so.8", "ubuntu", "22.04", Some("libjpeg-turbo8")),
            ("libgomp.so.1.0.0", "debian", "12", Some("libgomp1")),
            ("libgomp.so.1.x", "debian", "12", None),
        ];
        for (soname, id, version, expected) in rows {
            assert_eq!(
                package(soname, id, version),
                expected,
                "{soname} {id} {version}"
            );
        }
    }

    #[test]
    fn nothing_is_known_of_what_the_table_does_not_name() {
        assert_eq!(package("libpq.so.5", "linuxmint", "22"), None);
        assert_eq!(package("libssl.so.3", "debian-12", ""), None);
        assert_eq!(package("libpq.so", "debian", "12"), None);
        assert_eq!(package("", "", ""), None);
    }
}
