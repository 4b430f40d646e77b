//! The platforms and Pythons of a version's wheels, where none is compatible with the target.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use super::few;
use crate::wheel::Filename;

/// How many tags of wheels are compared: an index may list as many as it likes.
const MOST: usize = 10_000;

/// Why a target can use none of some wheels: what comes closest to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// They need a newer C library.
    Libc {
        /// `glibc` or `musl`.
        libc: &'static str,
        /// The oldest version that one of them runs with.
        version: (u32, u32),
        /// The processor's architecture, as tags name it.
        machine: String,
    },
    /// They are for these platforms.
    Platform(Vec<String>),
    /// They are for these Pythons.
    Python(Vec<String>),
    /// They are for these combinations of Python, ABI and platform.
    Tags(Vec<String>),
}

impl Misfit {
    /// Compares the tags of `wheels` with those that the target supports. `None` where there is no
    /// wheel.
    pub(crate) fn of<'a, 'b>(
        wheels: impl Iterator<Item = &'a Filename>,
        supported: impl Iterator<Item = &'b str>,
    ) -> Option<Self> {
        let supported: Vec<[&str; 3]> = supported.filter_map(parts).collect();
        let pythons: HashSet<(&str, &str)> = supported.iter().map(|tag| (tag[0], tag[1])).collect();
        let platforms: HashSet<&str> = supported.iter().map(|tag| tag[2]).collect();
        let tags: Vec<String> = wheels.flat_map(Filename::tags).take(MOST).collect();
        let tags: Vec<[&str; 3]> = tags.iter().filter_map(|tag| parts(tag)).collect();
        let is_for_python = |tag: &&[&str; 3]| pythons.contains(&(tag[0], tag[1]));
        let for_python: BTreeSet<&str> = tags
            .iter()
            .filter(is_for_python)
            .map(|tag| tag[2])
            .collect();
        if !for_python.is_empty() {
            return Some(Self::of_platforms(&for_python, &platforms));
        }
        let for_platform = tags.iter().filter(|tag| platforms.contains(tag[2]));
        let others: BTreeSet<Python> = for_platform.map(|tag| Python::of(tag[0], tag[1])).collect();
        if !others.is_empty() {
            return Some(Self::Python(others.iter().map(Python::to_string).collect()));
        }
        let all: BTreeSet<String> = tags.iter().map(|tag| tag.join("-")).collect();
        (!all.is_empty()).then(|| Self::Tags(all.into_iter().collect()))
    }

    fn of_platforms(found: &BTreeSet<&str>, supported: &HashSet<&str>) -> Self {
        let own: HashSet<(&str, &str)> = supported
            .iter()
            .filter_map(|tag| libc(tag))
            .map(|(libc, _, machine)| (libc, machine))
            .collect();
        let newer = found
            .iter()
            .filter_map(|tag| libc(tag))
            .filter(|(libc, _, machine)| own.contains(&(*libc, *machine)))
            .min_by_key(|(_, version, _)| *version);
        match newer {
            Some((libc, version, machine)) => Self::Libc {
                libc,
                version,
                machine: machine.to_owned(),
            },
            None => Self::Platform(found.iter().map(|tag| (*tag).to_owned()).collect()),
        }
    }

    /// The value of `--platform` for systems that can use one of the wheels, where only the C library
    /// is too old.
    #[must_use]
    pub fn platform(&self) -> Option<String> {
        let Self::Libc {
            libc,
            version: (major, minor),
            machine,
        } = self
        else {
            return None;
        };
        let family = if *libc == "glibc" {
            "manylinux"
        } else {
            "musllinux"
        };
        Some(format!("{family}_{major}_{minor}_{machine}"))
    }
}

/// What the wheels need, or what they are for, after the words "its wheels".
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Libc {
                libc,
                version: (major, minor),
                ..
            } => write!(f, "need {libc} {major}.{minor} or later"),
            Self::Platform(all) | Self::Python(all) | Self::Tags(all) => {
                write!(f, "are for {}", few(all))
            }
        }
    }
}

/// A Python that a wheel is for, ordered by its version.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Python {
    version: (u32, u32),
    name: String,
}

impl Python {
    /// The Python of a tag's first two parts.
    ///
    /// <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>
    fn of(python: &str, abi: &str) -> Self {
        let number = |digits: &str| -> Option<(u32, u32)> {
            let (major, minor) = digits.split_at_checked(1)?;
            let minor = if minor.is_empty() { "0" } else { minor };
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        let kind =
            |name: &'static str, start: &str| Some((name, number(python.strip_prefix(start)?)?));
        let known = kind("CPython", "cp")
            .or_else(|| kind("PyPy", "pp"))
            .or_else(|| kind("Python", "py"));
        let Some((kind, (major, minor))) = known else {
            return Self {
                version: (0, 0),
                name: format!("{python}-{abi}"),
            };
        };
        let free_threaded = abi.starts_with("cp") && abi.ends_with('t') || abi == "abi3t";
        let before = if free_threaded { "free-threaded " } else { "" };
        let behind = match abi {
            "abi3" | "abi3t" => " or later",
            "none" if kind == "Python" && minor == 0 => ".x",
            _ => "",
        };
        let version = if behind == ".x" {
            major.to_string()
        } else {
            format!("{major}.{minor}")
        };
        Self {
            version: (major, minor),
            name: format!("{before}{kind} {version}{behind}"),
        }
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn parts(tag: &str) -> Option<[&str; 3]> {
    let mut parts = tag.splitn(3, '-');
    Some([parts.next()?, parts.next()?, parts.next()?])
}

/// The C library of a platform's tag, its version, and the architecture.
fn libc(tag: &str) -> Option<(&'static str, (u32, u32), &str)> {
    // https://peps.python.org/pep-0600/#legacy-manylinux-tags
    for (legacy, version) in [
        ("manylinux1_", (2, 5)),
        ("manylinux2010_", (2, 12)),
        ("manylinux2014_", (2, 17)),
    ] {
        if let Some(machine) = tag.strip_prefix(legacy) {
            return Some(("glibc", version, machine));
        }
    }
    let (libc, rest) = if let Some(rest) = tag.strip_prefix("manylinux_") {
        ("glibc", rest)
    } else {
        ("musl", tag.strip_prefix("musllinux_")?)
    };
    let mut parts = rest.splitn(3, '_');
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((libc, (major, minor), parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(wheels: &[&str], supported: &[&str]) -> String {
        let wheels: Vec<Filename> = wheels
            .iter()
            .map(|tags| Filename::parse(&format!("a-1-{tags}.whl")).unwrap())
            .collect();
        let misfit = Misfit::of(wheels.iter(), supported.iter().copied());
        let Some(misfit) = misfit else {
            return "no wheel".to_owned();
        };
        match misfit.platform() {
            Some(platform) => format!("{misfit} ({platform})"),
            None => misfit.to_string(),
        }
    }

    #[test]
    fn what_comes_closest_is_told() {
        let glibc = [
            "cp312-cp312-manylinux_2_17_x86_64",
            "cp312-cp312-manylinux2014_x86_64",
            "cp312-cp312-linux_x86_64",
            "cp312-abi3-manylinux_2_17_x86_64",
            "py3-none-any",
        ];
        let musl = ["cp312-cp312-musllinux_1_1_aarch64"];
        let free = ["cp313-cp313t-manylinux2014_x86_64"];
        for (wheels, supported, expected) in [
            (
                &[
                    "cp312-cp312-manylinux_2_34_x86_64",
                    "cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64",
                    "cp312-cp312-musllinux_1_2_x86_64",
                    "cp312-cp312-macosx_11_0_arm64",
                ][..],
                &glibc[..],
                "need glibc 2.27 or later (manylinux_2_27_x86_64)",
            ),
            (
                &["cp312-cp312-musllinux_1_2_aarch64"],
                &musl,
                "need musl 1.2 or later (musllinux_1_2_aarch64)",
            ),
            (
                &["cp312-cp312-manylinux_2_17_aarch64"],
                &musl,
                "are for manylinux_2_17_aarch64",
            ),
            (
                &["cp312-cp312-manylinux2014_aarch64", "cp312-cp312-win_amd64"],
                &glibc,
                "are for manylinux2014_aarch64, win_amd64",
            ),
            (
                &["cp312-cp312-macosx_10_9_universal2"],
                &glibc,
                "are for macosx_10_9_universal2",
            ),
            (
                &[
                    "cp39-cp39-manylinux2014_x86_64",
                    "cp310-cp310-manylinux2014_x86_64",
                    "pp310-pypy310_pp73-manylinux2014_x86_64",
                ],
                &glibc,
                "are for CPython 3.9, CPython 3.10, PyPy 3.10",
            ),
            (
                &[
                    "cp313-abi3-manylinux2014_x86_64",
                    "cp313-cp313t-manylinux2014_x86_64",
                ],
                &glibc,
                "are for CPython 3.13 or later, free-threaded CPython 3.13",
            ),
            (
                &["cp313-cp313-manylinux2014_x86_64"],
                &free,
                "are for CPython 3.13",
            ),
            (
                &["py2-none-any", "py27-none-any"],
                &["cp312-cp312-linux_x86_64", "py3-none-any"],
                "are for Python 2.x, Python 2.7",
            ),
            (&["cp39-cp39-win32"], &glibc, "are for cp39-cp39-win32"),
            (&[], &glibc, "no wheel"),
        ] {
            assert_eq!(told(wheels, supported), expected, "{wheels:?}");
        }
    }
}
