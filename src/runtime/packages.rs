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

use super::owned::{self, Collected, Files};
use super::python::Python;
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
    /// Their programs and libraries, and what else an image does not do without.
    pub files: Files,
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
                files: owned::dpkg(root),
            };
        }
        let places = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
        if let Some(text) = places.iter().find_map(|path| root.text(path)) {
            keep(&mut installed, Self::of_apk(&text).installed);
            return Self {
                database: Some(Database::Apk),
                installed,
                files: owned::apk(root, &text),
            };
        }
        let folders = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
        let there = folders.iter().find(|folder| root.is_folder(folder));
        let file = there.and_then(|folder| root.file(&format!("{folder}/rpmdb.sqlite")));
        let found = file.and_then(|file| rpm(Some(root), &file).ok());
        let (found, files) = found.unwrap_or_default();
        keep(&mut installed, found);
        Self {
            database: there.map(|_| Database::Rpm),
            installed,
            files,
        }
    }

    /// The packages that Debian's `status` lists as installed.
    #[must_use]
    pub fn of_dpkg(text: &str) -> Self {
        Self {
            database: Some(Database::Dpkg),
            installed: dpkg(text),
            files: Files::new(),
        }
    }

    /// The packages that Alpine's database lists.
    #[must_use]
    pub fn of_apk(text: &str) -> Self {
        Self {
            database: Some(Database::Apk),
            installed: apk(text),
            files: Files::new(),
        }
    }

    /// The packages that rpm's `SQLite` database holds; none if it is damaged.
    #[must_use]
    pub fn of_rpm(file: &Path) -> Self {
        let (installed, files) = rpm(None, file).unwrap_or_default();
        Self {
            database: Some(Database::Rpm),
            installed,
            files,
        }
    }

    /// The package that has the file at `path`, the links of whose directory were followed.
    #[must_use]
    pub fn owner(&self, path: &str) -> Option<&str> {
        let (folder, name) = path.rsplit_once('/')?;
        let folder = if folder.is_empty() { "/" } else { folder };
        self.files.get(folder)?.get(name).map(String::as_str)
    }

    /// The command that removes a package.
    pub(super) fn remove(&self, package: &str, has: impl Fn(&str) -> bool) -> String {
        let name = quoted(package);
        match self.database {
            Some(Database::Apk) => format!("apk del {name}"),
            Some(Database::Rpm) if has("zypper") => {
                format!("zypper --non-interactive remove {name}")
            }
            Some(Database::Rpm) => {
                let programs = ["dnf", "microdnf", "yum"];
                let program = programs.into_iter().find(|program| has(program));
                format!("{} remove -y {name}", program.unwrap_or("dnf"))
            }
            Some(Database::Dpkg) | None => format!("apt-get purge -y {name}"),
        }
    }
}

/// The package that has a module which a distribution leaves out of its own Python, by its names in Debian, Alpine
/// and Fedora.
pub(super) fn module(database: Database, python: &Python, module: &str) -> Option<String> {
    if python.prefix != "/usr" {
        return None;
    }
    let name = match (database, module) {
        (_, "_tkinter" | "tkinter" | "turtle") => match database {
            Database::Dpkg => "python3-tk",
            _ => "python3-tkinter",
        },
        (Database::Dpkg, "distutils") => "python3-distutils",
        (Database::Dpkg, "lib2to3") => "python3-lib2to3",
        (Database::Dpkg, "ensurepip") => "python3-venv",
        (Database::Rpm, "idlelib") => "python3-idle",
        _ => return None,
    };
    Some(name.to_owned())
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

/// The most files of one package.
const MAX_FILES: usize = 200_000;

/// The packages that rpm's database holds, and their files.
fn rpm(root: Option<&Root>, file: &Path) -> rusqlite::Result<(BTreeMap<String, String>, Files)> {
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
    let mut left_over = MAX_NAMES;
    let mut files = Collected::default();
    while let Some(row) = rows.next()? {
        let header = row.get_ref(0)?.as_blob().unwrap_or_default();
        // The keys that packages are signed with are entered as packages too.
        if let Some((name, version)) = header_of(header).filter(|(name, _)| name != "gpg-pubkey") {
            // The table may be a view that makes up its rows.
            match left_over.checked_sub(weight(&name) + weight(&version)) {
                Some(left) => left_over = left,
                None => return Err(rusqlite::Error::InvalidQuery),
            }
            if let (Some(root), Some(header)) = (root, Header::new(header)) {
                header.files(root, &name, &mut files);
            }
            installed.insert(name, version);
        }
    }
    Ok((installed, files.files))
}

/// A header of rpm's: counts, an index of tags, and the data.
struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    const ENTRY: usize = 16;
    const INTEGERS: u32 = 4;
    const STRING: u32 = 6;
    const STRINGS: u32 = 8;

    fn new(header: &'a [u8]) -> Option<Self> {
        let count = usize::try_from(number(header, 0)?).ok()?;
        let (index, data) = header
            .get(8..)?
            .split_at_checked(count.checked_mul(Self::ENTRY)?)?;
        Some(Self { index, data })
    }

    /// The kind of a tag's value, how many there are, and the data from the first on.
    fn value(&self, tag: u32) -> Option<(u32, usize, &'a [u8])> {
        let mut entries = self.index.chunks_exact(Self::ENTRY);
        let entry = entries.find(|entry| entry[..4] == tag.to_be_bytes())?;
        let (kind, offset, count) = (number(entry, 4)?, number(entry, 8)?, number(entry, 12)?);
        let rest = self.data.get(usize::try_from(offset).ok()?..)?;
        Some((kind, usize::try_from(count).ok()?, rest))
    }

    fn text(&self, tag: u32) -> Option<&'a str> {
        let (kind, _, rest) = self.value(tag)?;
        let end = memchr::memchr(0, &rest[..rest.len().min(4096)])?;
        str::from_utf8(&rest[..end])
            .ok()
            .filter(|_| kind == Self::STRING)
    }

    fn texts(&self, tag: u32) -> Option<Vec<&'a str>> {
        let (kind, count, rest) = self.value(tag)?;
        let texts = rest.split(|byte| *byte == 0).take(count.min(MAX_FILES));
        let texts = texts.map(|text| str::from_utf8(text).unwrap_or_default());
        (kind == Self::STRINGS).then(|| texts.collect())
    }

    /// The paths of the package's files: their names, and for each the number of its directory.
    fn files(&self, root: &Root, package: &str, files: &mut Collected) {
        let (Some(names), Some(folders), Some((Self::INTEGERS, count, numbers))) =
            (self.texts(1117), self.texts(1118), self.value(1116))
        else {
            return;
        };
        for (at, name) in names.into_iter().enumerate().take(count) {
            let folder = number(numbers, at * 4).and_then(|at| usize::try_from(at).ok());
            if let Some(folder) = folder.and_then(|at| folders.get(at)) {
                files.add(root, &format!("{folder}{name}"), package);
            }
        }
    }
}

/// A number in a header.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The name, and version and release, in a header.
fn header_of(header: &[u8]) -> Option<(String, String)> {
    let header = Header::new(header)?;
    let (name, version, release) = (header.text(1000)?, header.text(1001)?, header.text(1002)?);
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
