//! What the runtime's package database lists.
//!
//! Debian's is a text, in one file or, in distroless images, one for each package; Alpine's is a text
//! too, in one of two places. rpm's is a database of its own kind: that it is there is all that is said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::root::Root;

/// Which distribution it is, by its `os-release`.
///
/// <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `ID`: `debian`.
    pub id: String,
    /// `VERSION_ID`: `12`; empty for one that has no versions.
    pub version_id: String,
    /// `PRETTY_NAME`.
    pub name: String,
}

/// The kind of a package database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    /// Debian's.
    Dpkg,
    /// Alpine's.
    Apk,
    /// Fedora's and others'; it is not read.
    Rpm,
}

/// The packages that are installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Where that is written, if it is.
    pub database: Option<Database>,
    /// Their versions, by name.
    pub installed: BTreeMap<String, String>,
}

impl Os {
    pub(super) fn read(root: &Root) -> Self {
        let text = root
            .text("/etc/os-release")
            .or_else(|| root.text("/usr/lib/os-release"));
        Self::parse(&text.unwrap_or_default())
    }

    /// Reads the text of an `os-release`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let found = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found
                .map_or("", |value| value.trim().trim_matches(['"', '\'']))
                .to_owned()
        };
        Self {
            id: value("ID"),
            version_id: value("VERSION_ID"),
            name: value("PRETTY_NAME"),
        }
    }
}

impl Packages {
    pub(super) fn read(root: &Root) -> Self {
        let mut texts: Vec<String> = root.text("/var/lib/dpkg/status").into_iter().collect();
        let folder = "/var/lib/dpkg/status.d";
        let single = root.names(folder).into_iter();
        let single = single.filter(|name| !name.ends_with(".md5sums"));
        texts.extend(single.filter_map(|name| root.text(&format!("{folder}/{name}"))));
        if !texts.is_empty() {
            return Self {
                database: Some(Database::Dpkg),
                installed: texts.iter().flat_map(|text| dpkg(text)).collect(),
            };
        }
        let places = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
        if let Some(text) = places.iter().find_map(|path| root.text(path)) {
            return Self {
                database: Some(Database::Apk),
                installed: apk(&text),
            };
        }
        let rpm = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
        Self {
            database: rpm
                .iter()
                .any(|path| root.is_folder(path))
                .then_some(Database::Rpm),
            installed: BTreeMap::new(),
        }
    }
}

/// The packages that a `status` lists as installed.
fn dpkg(text: &str) -> BTreeMap<String, String> {
    let field = |paragraph: &str, name: &str| -> Option<String> {
        let value = paragraph
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    };
    let installed = text.split("\n\n").filter_map(|paragraph| {
        // Those of distroless images have no status: being there is enough.
        let status = field(paragraph, "Status");
        let is_installed = status.is_none_or(|status| status.ends_with(" installed"));
        let name = field(paragraph, "Package").filter(|_| is_installed)?;
        Some((name, field(paragraph, "Version").unwrap_or_default()))
    });
    installed.collect()
}

/// The packages that Alpine's database lists: `P:` is a name, `V:` its version.
fn apk(text: &str) -> BTreeMap<String, String> {
    let mut installed = BTreeMap::new();
    for paragraph in text.split("\n\n") {
        let field = |name| paragraph.lines().find_map(|line| line.strip_prefix(name));
        if let Some(name) = field("P:") {
            installed.insert(name.to_owned(), field("V:").unwrap_or_default().to_owned());
        }
    }
    installed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_read() {
        let text = "Package: a\nStatus: install ok installed\nVersion: 1\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 2\n\nPackage: b\nVersion: 3\n";
        let found = dpkg(text);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
        let found = apk("C:Q1\nP:musl\nV:1.2.5-r0\n\nP:zlib\n");
        assert_eq!(found["musl"], "1.2.5-r0");
        let os = Os::parse("ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian 12'\nID_LIKE=x\n");
        assert_eq!((os.id.as_str(), os.version_id.as_str()), ("debian", "12"));
    }
}
