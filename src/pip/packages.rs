//! The operating system packages that contain the missing files and programs of a build from source.
//!
//! The table ships with the crate, as `packages.tsv` beside this file: what kind of thing is
//! missing, its name, the packages in Debian and Ubuntu, and those in Alpine; `-` where there are
//! none. Every Debian package in it is one of Debian 12's. The Alpine packages are from knowledge of
//! Alpine 3.20 and were not checked.

/// The table's text. Sorted, so that a line has one place; a test says so.
const TABLE: &str = include_str!("packages.tsv");

/// What kind of thing is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A header, as an `#include` names it: `sasl/sasl.h`.
    Header,
    /// A library, as the linker's `-l` names it: `pq`.
    Library,
    /// A library under the name that build systems call it by, in lower case: `hdf5`.
    Name,
    /// A module of `pkg-config`: `libxml-2.0`.
    PkgConfig,
    /// A program: `pg_config`.
    Program,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Library => "library",
            Self::Name => "name",
            Self::PkgConfig => "pkg-config",
            Self::Program => "program",
        }
    }
}

/// The packages that have a thing, or the little that is known of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packages {
    /// Packages of Debian and Ubuntu, separated by spaces; none if there is none.
    pub debian: Option<&'static str>,
    /// Packages of Alpine, separated by spaces; none if there is none.
    pub alpine: Option<&'static str>,
}

/// Looks up the packages that have `name`.
///
/// A header is also found by the end of its path: `foo/libpq-fe.h` is `libpq-fe.h`.
#[must_use]
pub fn find(kind: Kind, name: &str) -> Option<Packages> {
    if kind == Kind::Name {
        return exactly(kind, &name.to_ascii_lowercase());
    }
    exactly(kind, name).or_else(|| {
        let (_, end) = name.split_once('/').filter(|_| kind == Kind::Header)?;
        find(kind, end)
    })
}

fn exactly(kind: Kind, name: &str) -> Option<Packages> {
    rows()
        .find(|row| row.kind == kind.word() && row.name == name)
        .map(|row| row.packages)
}

struct Row {
    kind: &'static str,
    name: &'static str,
    packages: Packages,
}

fn rows() -> impl Iterator<Item = Row> {
    let some = |cell: &'static str| (cell != "-").then_some(cell);
    TABLE.lines().filter_map(move |line| {
        let mut cells = line.split('\t');
        Some(Row {
            kind: cells.next()?,
            name: cells.next()?,
            packages: Packages {
                debian: some(cells.next()?),
                alpine: some(cells.next()?),
            },
        })
    })
}

/// The operating system of a builder, as far as it decides how packages are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum System {
    /// Debian, Ubuntu, and what is made of them.
    Debian,
    /// Alpine.
    Alpine,
    /// Another one, or an unknown one.
    #[default]
    Other,
}

impl System {
    /// The system that the fields `ID` and `ID_LIKE` of an [os-release] file name.
    ///
    /// [os-release]: https://www.freedesktop.org/software/systemd/man/latest/os-release.html
    #[must_use]
    pub fn of(ids: &str) -> Self {
        let known = ids.split_whitespace().find_map(|id| match id {
            "debian" | "ubuntu" => Some(Self::Debian),
            "alpine" => Some(Self::Alpine),
            _ => None,
        });
        known.unwrap_or_default()
    }
}

/// The command that installs all of these packages on the system; the commands for both systems where
/// it is neither. `None` where the system has none of them.
#[must_use]
pub fn commands(packages: &[Packages], system: System) -> Option<String> {
    let all = |of: fn(&Packages) -> Option<&'static str>| {
        let mut names: Vec<&str> = Vec::new();
        for name in packages
            .iter()
            .filter_map(of)
            .flat_map(str::split_whitespace)
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join(" "))
    };
    let debian = all(|one| one.debian).map(|names| {
        format!("`apt-get update && apt-get install -y --no-install-recommends {names}`")
    });
    let alpine = all(|one| one.alpine).map(|names| format!("`apk add {names}`"));
    match system {
        System::Debian => debian,
        System::Alpine => alpine,
        System::Other => {
            let debian = debian.map(|command| format!("on Debian and Ubuntu {command}"));
            let alpine = alpine.map(|command| format!("on Alpine {command}"));
            let known: Vec<String> = debian.into_iter().chain(alpine).collect();
            (!known.is_empty()).then(|| known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_nothing_twice() {
        let keys: Vec<_> = rows().map(|row| (row.kind, row.name)).collect();
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1], "`{}` before `{}`", pair[0].1, pair[1].1);
        }
    }

    #[test]
    fn every_line_has_four_cells_and_a_known_kind() {
        let kinds = [
            Kind::Header,
            Kind::Library,
            Kind::Name,
            Kind::PkgConfig,
            Kind::Program,
        ];
        for line in TABLE.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), 4, "{line:?}");
            assert!(kinds.iter().any(|kind| kind.word() == cells[0]), "{line:?}");
            for cell in cells {
                assert!(!cell.is_empty() && cell == cell.trim(), "{line:?}");
            }
            assert!(!line.ends_with("-\t-"), "{line:?} says nothing");
        }
    }

    #[test]
    fn a_header_is_found_by_the_end_of_its_path() {
        let found = find(Kind::Header, "postgresql/libpq-fe.h").unwrap();
        assert_eq!(
            (found.debian, found.alpine),
            (Some("libpq-dev"), Some("postgresql-dev"))
        );
        assert_eq!(find(Kind::Header, "frobnicate.h"), None);
        assert_eq!(find(Kind::Header, ""), None);
    }

    #[test]
    fn the_command_is_that_of_the_builders_system() {
        let of = |header| find(Kind::Header, header).unwrap();
        let all = [of("libpq-fe.h"), of("sasl/sasl.h"), of("libpq-fe.h")];
        let debian =
            "`apt-get update && apt-get install -y --no-install-recommends libpq-dev libsasl2-dev`";
        let alpine = "`apk add postgresql-dev cyrus-sasl-dev`";
        for (ids, command) in [
            ("debian ", debian.to_owned()),
            ("linuxmint ubuntu debian", debian.to_owned()),
            ("alpine ", alpine.to_owned()),
            (
                "fedora ",
                format!("on Debian and Ubuntu {debian}, on Alpine {alpine}"),
            ),
            (
                "",
                format!("on Debian and Ubuntu {debian}, on Alpine {alpine}"),
            ),
        ] {
            assert_eq!(commands(&all, System::of(ids)), Some(command), "{ids}");
        }
        let only_debian = [find(Kind::Program, "bazel").unwrap()];
        assert_eq!(commands(&only_debian, System::Alpine), None);
    }
}
