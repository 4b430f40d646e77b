//! What builds from source miss, and the packages of Debian and Alpine that have it.

use std::sync::LazyLock;

/// What kind of thing is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Header,
    Library,
    PkgConfig,
    Program,
    Module,
}

/// `kind thing debian alpine`, one a line, sorted.
const TABLE: &str = include_str!("packages.tsv");

static ROWS: LazyLock<Vec<[&'static str; 4]>> = LazyLock::new(|| {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some([
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            ])
        })
        .collect()
});

/// What to install for a missing thing.
pub(super) fn hint(kind: Kind, thing: &str) -> Option<String> {
    let name = match kind {
        Kind::Header => "header",
        Kind::Library => "library",
        Kind::PkgConfig => "pkg-config",
        Kind::Program => "program",
        Kind::Module => {
            return Some(match thing {
                "pkg_resources" | "setuptools" | "distutils" => {
                    "the project does not say that it needs setuptools to build; a newer version may, or `--no-build-isolation` with setuptools in the builder".to_owned()
                }
                _ => return None,
            });
        }
    };
    let row = ROWS.iter().find(|row| row[0] == name && row[1] == thing)?;
    Some(format!(
        "Debian: `apt-get install -y --no-install-recommends {}`; Alpine: `apk add {}`",
        row[2], row[3]
    ))
}

/// What a line of a build's output says is missing.
pub(super) fn missing_in(line: &str) -> Option<(Kind, String)> {
    header(line)
        .map(|thing| (Kind::Header, thing))
        .or_else(|| library(line).map(|thing| (Kind::Library, thing)))
        .or_else(|| pkg_config(line).map(|thing| (Kind::PkgConfig, thing)))
        .or_else(|| program(line).map(|thing| (Kind::Program, thing)))
        .or_else(|| module(line).map(|thing| (Kind::Module, thing)))
}

/// gcc: `x.c:1:10: fatal error: libpq-fe.h: No such file or directory`; clang: `… 'x.h' file not found`.
fn header(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("fatal error: ")?;
    let name = rest
        .strip_suffix(": No such file or directory")
        .or_else(|| rest.strip_prefix('\'')?.strip_suffix("' file not found"))?;
    Some(name.trim().to_owned())
}

/// ld: `/usr/bin/ld: cannot find -lpq: No such file or directory`
fn library(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("cannot find -l")?;
    let end = rest.find([':', ' ']).unwrap_or(rest.len());
    Some(format!("-l{}", &rest[..end]))
}

fn pkg_config(line: &str) -> Option<String> {
    if let Some((before, _)) = line.split_once(" was not found in the pkg-config search path") {
        return Some(
            before
                .rsplit("Package ")
                .next()?
                .trim_matches(['\'', ','])
                .to_owned(),
        );
    }
    let between = |start: &str, end: &str| {
        let (_, rest) = line.split_once(start)?;
        rest.split_once(end).map(|(name, _)| name.to_owned())
    };
    between("No package '", "' found")
        .or_else(|| between("Dependency \"", "\" not found"))
        .or_else(|| {
            // meson: `Run-time dependency cairo found: NO (tried pkgconfig and cmake)`
            let name = between("Run-time dependency ", " found: NO")?;
            Some(name.split(' ').next()?.to_owned())
        })
}

fn program(line: &str) -> Option<String> {
    let plain = |name: &str| Some(name.to_owned());
    for (marker, name) in [
        ("pg_config executable not found", "pg_config"),
        ("mysql_config not found", "mysql_config"),
        ("mysql_config: not found", "mysql_config"),
        ("Can not find valid pkg-config name", "mysql_config"),
        ("curl-config", "curl-config"),
        ("Could not run curl-config", "curl-config"),
        ("xml2-config", "xml2-config"),
        (
            "make sure the libxml2 and libxslt development packages are installed",
            "xslt-config",
        ),
        ("krb5-config: not found", "krb5-config"),
        ("can't find Rust compiler", "cargo"),
        ("Cargo, the Rust package manager, is not installed", "cargo"),
        ("Unknown compiler(s): [['cc']", "gcc"),
        ("Unknown compiler(s): [['c++']", "g++"),
        ("No CMAKE_C_COMPILER could be found", "gcc"),
        ("No CMAKE_CXX_COMPILER could be found", "g++"),
        ("CMake must be installed", "cmake"),
        ("Could not find the Ninja", "ninja"),
        ("Unable to find a Fortran compiler", "gfortran"),
        ("Did not find pkg-config", "pkg-config"),
        ("pkg-config: not found", "pkg-config"),
    ] {
        let not_found = line.contains("not found")
            || line.contains("No such file")
            || line.contains("Could not run");
        if line.contains(marker) && (marker.contains(' ') || not_found) {
            return plain(name);
        }
    }
    // setuptools: `error: command 'gcc' failed: No such file or directory`, older: `unable to
    // execute 'gcc'`, `error: command '…/x86_64-linux-gnu-gcc' failed`.
    let quoted = |start: &str| {
        let (_, rest) = line.split_once(start)?;
        let name = rest.trim_start_matches('\'');
        Some(&name[..name.find(['\'', ':', ' ']).unwrap_or(name.len())])
    };
    if let Some(name) = quoted("unable to execute ") {
        return plain(short(name));
    }
    if let Some(name) =
        quoted("error: command ").filter(|_| line.contains("failed: No such file or directory"))
    {
        return plain(short(name));
    }
    if let Some(name) = quoted("Cannot find command ") {
        return plain(short(name));
    }
    let (_, rest) = line.split_once("FileNotFoundError: [Errno 2] No such file or directory: '")?;
    let name = rest.split('\'').next()?;
    let known = ROWS
        .iter()
        .any(|row| row[0] == "program" && row[1] == short(name));
    (known && !name.contains('/')).then(|| short(name).to_owned())
}

/// A program's name without its folder and its platform: `x86_64-linux-gnu-gcc` is `gcc`.
fn short(program: &str) -> &str {
    let name = program.rsplit('/').next().unwrap_or(program);
    match name.rsplit_once("-linux-gnu-") {
        Some((_, name)) => name,
        None => name,
    }
}

fn module(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("ModuleNotFoundError: No module named '")?;
    Some(rest.split('\'').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_whole() {
        let lines: Vec<_> = TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(lines.len(), ROWS.len());
        assert!(lines.is_sorted(), "sort it with LC_ALL=C");
        for pair in ROWS.windows(2) {
            assert_ne!(pair[0][..2], pair[1][..2]);
        }
        for row in ROWS.iter() {
            assert!(
                ["header", "library", "pkg-config", "program"].contains(&row[0]),
                "{row:?}"
            );
            assert!(row.iter().all(|field| !field.trim().is_empty()), "{row:?}");
        }
    }

    #[test]
    fn lines_of_builds_are_read() {
        for (line, kind, thing) in [
            (
                "./psycopg/psycopg.h:36:10: fatal error: libpq-fe.h: No such file or directory",
                Kind::Header,
                "libpq-fe.h",
            ),
            (
                "x.c:1:10: fatal error: 'Python.h' file not found",
                Kind::Header,
                "Python.h",
            ),
            (
                "/usr/bin/ld: cannot find -lpq: No such file or directory",
                Kind::Library,
                "-lpq",
            ),
            (
                "Package 'libxml-2.0', required by 'virtual:world', not found",
                Kind::Module,
                "",
            ),
            ("No package 'cairo' found", Kind::PkgConfig, "cairo"),
            (
                "Package dbus-1 was not found in the pkg-config search path.",
                Kind::PkgConfig,
                "dbus-1",
            ),
            (
                "../meson.build:1:0: ERROR: Dependency \"cairo\" not found, tried pkgconfig",
                Kind::PkgConfig,
                "cairo",
            ),
            (
                "Error: pg_config executable not found.",
                Kind::Program,
                "pg_config",
            ),
            (
                "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
                Kind::Program,
                "gcc",
            ),
            (
                "unable to execute 'gcc': No such file or directory",
                Kind::Program,
                "gcc",
            ),
            (
                "ModuleNotFoundError: No module named 'pkg_resources'",
                Kind::Module,
                "pkg_resources",
            ),
            (
                "ERROR: Cannot find command 'git' - do you have 'git' installed and in your PATH?",
                Kind::Program,
                "git",
            ),
        ] {
            let expected = (!thing.is_empty()).then(|| (kind, thing.to_owned()));
            assert_eq!(missing_in(line), expected, "{line}");
        }
        let hint = hint(Kind::Program, "pg_config").unwrap();
        assert!(
            hint.contains("libpq-dev") && hint.contains("apk add"),
            "{hint}"
        );
    }
}
