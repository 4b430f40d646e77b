//! What the runtime's package database lists.
//!
//! Debian's is a text, in one file or, in distroless images, one for each package; Alpine's is a text
//! too, in one of two places. rpm's is an SQLite database with a header in each row; the databases of
//! rpm before 4.16 are of other kinds, and that they are there is all that is said.
//!
//! <https://rpm-software-management.github.io/rpm/manual/format_header.html>

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use serde::{Deserialize, Serialize};

use super::root::Root;
use crate::code::weight;

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
    /// Fedora's and others'.
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
    /// The name by which the package manager takes a library that it knows the package of, though nobody
    /// here does.
    pub(super) fn capability(&self, soname: &str, wide: bool) -> Option<String> {
        match self.database? {
            Database::Dpkg => None,
            Database::Apk => Some(format!("so:{soname}")),
            Database::Rpm if wide => Some(format!("{soname}()(64bit)")),
            Database::Rpm => Some(soname.to_owned()),
        }
    }

    /// The command that installs packages; `has` tells of the programs in `/usr/bin`.
    pub(super) fn install(
        &self,
        packages: &BTreeSet<String>,
        has: impl Fn(&str) -> bool,
    ) -> String {
        let names = packages.iter().map(|name| quoted(name));
        let names = names.collect::<Vec<_>>().join(" ");
        match self.database {
            Some(Database::Apk) => format!("apk add --no-cache {names}"),
            Some(Database::Rpm) if has("zypper") => {
                format!(
                    "zypper --non-interactive install --no-recommends {names} && zypper clean --all"
                )
            }
            Some(Database::Rpm) => {
                let programs = ["dnf", "microdnf", "yum"];
                let program = programs.into_iter().find(|program| has(program));
                let program = program.unwrap_or("dnf");
                format!("{program} install -y {names} && {program} clean all")
            }
            Some(Database::Dpkg) | None => format!(
                "apt-get update && apt-get install -y --no-install-recommends {names} && rm -rf /var/lib/apt/lists/*"
            ),
        }
    }

    pub(super) fn read(root: &Root) -> Self {
        let keep = |installed: &mut BTreeMap<String, String>, found: BTreeMap<String, String>| {
            for (name, version) in found {
                let size = weight(&name) + weight(&version);
                if installed.contains_key(&name) || root.keep(size).is_some() {
                    installed.insert(name, version);
                }
            }
        };
        let folder = "/var/lib/dpkg/status.d";
        let single = root.names(folder).into_iter();
        let single = single.filter(|name| !name.ends_with(".md5sums"));
        let single = single.map(|name| format!("{folder}/{name}"));
        let mut installed = BTreeMap::new();
        let mut is_dpkg = false;
        // One after the other: the texts together may be larger than any memory.
        for path in std::iter::once("/var/lib/dpkg/status".to_owned()).chain(single) {
            if let Some(text) = root.text(&path) {
                is_dpkg = true;
                keep(&mut installed, Self::of_dpkg(&text).installed);
            }
        }
        if is_dpkg {
            return Self {
                database: Some(Database::Dpkg),
                installed,
            };
        }
        let places = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
        if let Some(text) = places.iter().find_map(|path| root.text(path)) {
            keep(&mut installed, Self::of_apk(&text).installed);
            return Self {
                database: Some(Database::Apk),
                installed,
            };
        }
        let folders = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
        let there = folders.iter().find(|folder| root.is_folder(folder));
        let file = there.and_then(|folder| root.file(&format!("{folder}/rpmdb.sqlite")));
        Self {
            database: there.map(|_| Database::Rpm),
            ..file.map_or_else(Self::default, |file| Self::of_rpm(&file))
        }
    }

    /// The packages that Debian's `status` lists as installed.
    #[must_use]
    pub fn of_dpkg(text: &str) -> Self {
        Self {
            database: Some(Database::Dpkg),
            installed: dpkg(text),
        }
    }

    /// The packages that Alpine's database lists.
    #[must_use]
    pub fn of_apk(text: &str) -> Self {
        Self {
            database: Some(Database::Apk),
            installed: apk(text),
        }
    }

    /// The packages that rpm's `SQLite` database holds; none if it is damaged.
    #[must_use]
    pub fn of_rpm(file: &Path) -> Self {
        Self {
            database: Some(Database::Rpm),
            installed: rpm(file).unwrap_or_default(),
        }
    }
}

/// A word for a shell: quoted if it has anything that means something to it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-._:".contains(c);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The most steps that SQLite may take, in thousands: a database may be made to deceive.
const MAX_STEPS: u32 = 10_000;
/// The longest row that is read, in bytes.
const MAX_ROW: i32 = 16 << 20;
/// The most bytes that SQLite holds in memory: a view may sort what it makes up.
const MAX_HEAP: u32 = 64 << 20;
/// The most bytes that the names and versions of packages take, as [`weight`] counts them.
const MAX_NAMES: usize = 16 << 20;

/// The packages that rpm's database holds.
fn rpm(file: &Path) -> rusqlite::Result<BTreeMap<String, String>> {
    // What is in an image does not change, and nothing is written beside it.
    let path = file.as_os_str().as_encoded_bytes();
    let path = path.split(|byte| *byte == b'/').map(|part| {
        let part = percent_encode(part, NON_ALPHANUMERIC);
        part.to_string()
    });
    let url = format!("file:{}?immutable=1", path.collect::<Vec<_>>().join("/"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut database = Connection::open_with_flags(url, flags)?;
    database.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    database.pragma_update(None, "hard_heap_limit", MAX_HEAP)?;
    let mut left = MAX_STEPS;
    database.progress_handler(
        1000,
        Some(move || {
            left = left.saturating_sub(1);
            left == 0
        }),
    )?;
    let mut statement = database.prepare("SELECT blob FROM Packages")?;
    let mut rows = statement.query([])?;
    let mut installed = BTreeMap::new();
    let mut room = MAX_NAMES;
    while let Some(row) = rows.next()? {
        let header = row.get_ref(0)?.as_blob().unwrap_or_default();
        // The keys that packages are signed with are entered as packages too.
        if let Some((name, version)) = header_of(header).filter(|(name, _)| name != "gpg-pubkey") {
            // The table may be a view that makes up its rows.
            match room.checked_sub(weight(&name) + weight(&version)) {
                Some(left) => room = left,
                None => return Err(rusqlite::Error::InvalidQuery),
            }
            installed.insert(name, version);
        }
    }
    Ok(installed)
}

/// The name, and version and release, in a header: counts, an index of tags, and the data.
fn header_of(header: &[u8]) -> Option<(String, String)> {
    const ENTRY: usize = 16;
    const STRING: u32 = 6;
    let number = |at: usize| -> Option<u32> {
        let bytes = header.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let index = 8;
    let count = usize::try_from(number(0)?).ok()?;
    let data = header.get(count.checked_mul(ENTRY)?.checked_add(index)?..)?;
    let text = |tag: u32| -> Option<&str> {
        let mut entries = header[index..header.len() - data.len()].chunks_exact(ENTRY);
        let at = entries.position(|entry| entry[..4] == tag.to_be_bytes())? * ENTRY + index;
        let (kind, offset) = (number(at + 4)?, number(at + 8)?);
        let rest = data.get(usize::try_from(offset).ok()?..)?;
        let end = memchr::memchr(0, &rest[..rest.len().min(4096)])?;
        str::from_utf8(&rest[..end]).ok().filter(|_| kind == STRING)
    };
    let (name, version, release) = (text(1000)?, text(1001)?, text(1002)?);
    Some((name.to_owned(), format!("{version}-{release}")))
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

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(count: u8, bytes: Vec<u8>) {
            let _ = header_of(&[&[0, 0, 0, count % 8, 0, 0, 0, 0], &bytes[..]].concat());
            let _ = header_of(&bytes);
        }
    }
}
