//! The platform that a user names.

use std::fmt;
use std::ops::RangeInclusive;
use std::slice;
use std::str::FromStr;

use super::python::number;

/// A platform: an architecture, and the oldest C library that the artifact is to run with.
///
/// It is named in one of these ways:
///
/// - By a [platform tag](https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/#platform-tag)
///   that says the C library: `manylinux_2_28_x86_64`, `manylinux2014_aarch64` (and `manylinux2010`,
///   `manylinux1`), `musllinux_1_2_x86_64`. The target accepts what a system with this version
///   accepts: what was made for older ones, too.
/// - As the platform of a container, with the other names that Docker takes: `linux/amd64`,
///   `linux/386`, `linux/arm64`, `linux/arm/v7`, `linux/ppc64le`, `linux/s390x`, `linux/riscv64`.
/// - By the tag of an architecture alone: `linux_x86_64`.
///
/// The last two do not say the C library. They stand for **glibc 2.28**, that of Debian 10 and Red
/// Hat Enterprise Linux 8: later ones have newer ones, and so has every Ubuntu from 20.04 on. Many
/// wheels for `armv7l` and `riscv64` need more: name what the runtime has, such as
/// `manylinux_2_39_riscv64`. Alpine has musl, which no name but `musllinux` stands for.
///
/// # Examples
///
/// ```
/// use prebuild::target::Platform;
///
/// let platform: Platform = "linux/arm64".parse()?;
/// assert_eq!(platform.to_string(), "manylinux_2_28_aarch64");
/// assert_eq!(
///     "macosx_11_0_arm64".parse::<Platform>().unwrap_err().to_string(),
///     "`macosx_11_0_arm64` cannot be a target: prebuild builds prefixes for Linux",
/// );
/// # Ok::<(), prebuild::target::ParsePlatformError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Platform {
    /// What it runs on.
    pub(super) architecture: &'static Architecture,
    /// What it runs with.
    pub(super) libc: Libc,
    /// The minor version of that, at least.
    pub(super) minor: u32,
}

/// The version of glibc where a name says none.
const DEFAULT_GLIBC: (u32, u32) = (2, 28);
/// The newest minor version that `packaging` expects of glibc 2; the one of 2025 is 42.
const NEWEST_GLIBC: u32 = 50;
/// More than musl 1 is likely to have; the one since 2020 is 2.
const NEWEST_MUSL: u32 = 9;

/// A C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Libc {
    Glibc,
    Musl,
}

impl Libc {
    /// What the tags of platforms that have it begin with.
    fn family(self) -> &'static str {
        match self {
            Self::Glibc => "manylinux",
            Self::Musl => "musllinux",
        }
    }

    /// The one major version that it has, and the minor ones that can be named.
    fn versions(self, architecture: &Architecture) -> (u32, RangeInclusive<u32>) {
        match self {
            Self::Glibc => (2, architecture.oldest_glibc..=NEWEST_GLIBC),
            Self::Musl => (1, 0..=NEWEST_MUSL),
        }
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        })
    }
}

/// A processor's architecture, by its names.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Architecture {
    /// For `platform.machine()` and the tags of wheels.
    pub(super) machine: &'static str,
    /// For `CPython`'s [triplets](https://github.com/python/cpython/blob/main/Misc/platform_triplet.c):
    /// the processor, and what follows the C library.
    pub(super) triplet: (&'static str, &'static str),
    /// For containers: the proper one, and what [Docker takes for
    /// it](https://github.com/containerd/platforms).
    oci: &'static [&'static str],
    /// The minor version of the first glibc 2 that there are manylinux tags for.
    pub(super) oldest_glibc: u32,
}

static ARCHITECTURES: [Architecture; 7] = [
    Architecture {
        machine: "x86_64",
        triplet: ("x86_64", ""),
        oci: &["amd64", "x86_64", "x86-64"],
        oldest_glibc: 5,
    },
    Architecture {
        machine: "i686",
        triplet: ("i386", ""),
        oci: &["386", "i386"],
        oldest_glibc: 5,
    },
    Architecture {
        machine: "aarch64",
        triplet: ("aarch64", ""),
        oci: &["arm64", "arm64/v8", "aarch64"],
        oldest_glibc: 17,
    },
    Architecture {
        machine: "armv7l",
        triplet: ("arm", "eabihf"),
        oci: &["arm/v7", "arm", "armhf"],
        oldest_glibc: 17,
    },
    Architecture {
        machine: "ppc64le",
        triplet: ("powerpc64le", ""),
        oci: &["ppc64le"],
        oldest_glibc: 17,
    },
    Architecture {
        machine: "s390x",
        triplet: ("s390x", ""),
        oci: &["s390x"],
        oldest_glibc: 17,
    },
    Architecture {
        machine: "riscv64",
        triplet: ("riscv64", ""),
        oci: &["riscv64"],
        oldest_glibc: 17,
    },
];

/// The names that manylinux had before [PEP 600](https://peps.python.org/pep-0600/#legacy-manylinux-tags)
/// and the minor version of glibc 2 that each stands for.
pub(super) const LEGACY: [(&str, u32); 3] = [
    ("manylinux2014", 17),
    ("manylinux2010", 12),
    ("manylinux1", 5),
];

/// What the tags of platforms begin with that are known not to be Linux.
const OTHER_SYSTEMS: [&str; 5] = ["android", "darwin", "ios", "macos", "win"];

impl fmt::Display for Platform {
    /// As a platform tag, whichever way it was named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, _) = self.libc.versions(self.architecture);
        let (family, machine) = (self.libc.family(), self.architecture.machine);
        write!(f, "{family}_{major}_{}_{machine}", self.minor)
    }
}

impl Platform {
    /// The C library and its version, such as `glibc 2.28`.
    pub(super) fn library(&self) -> String {
        let (major, _) = self.libc.versions(self.architecture);
        format!("{} {major}.{}", self.libc, self.minor)
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, ParsePlatformError> {
        let is_linux = match text.split_once('/') {
            Some((system, _)) => system == "linux",
            None => !OTHER_SYSTEMS.iter().any(|other| text.starts_with(other)),
        };
        if !is_linux {
            return Err(ParsePlatformError::NotLinux(text.to_owned()));
        }
        if let Some(name) = text.strip_prefix("linux/") {
            return Ok(Self {
                architecture: architecture(text, name, |known| known.oci)?,
                libc: Libc::Glibc,
                minor: DEFAULT_GLIBC.1,
            });
        }
        let (libc, (major, minor), machine) =
            tag(text).ok_or_else(|| ParsePlatformError::Form(text.to_owned()))?;
        let architecture = architecture(text, machine, |known| slice::from_ref(&known.machine))?;
        let (known, minors) = libc.versions(architecture);
        if major != known || !minors.contains(&minor) {
            let (first, last) = minors.into_inner();
            return Err(ParsePlatformError::UnknownVersion {
                text: text.to_owned(),
                known: format!("{libc} {known}.{first} to {known}.{last}"),
            });
        }
        Ok(Self {
            architecture,
            libc,
            minor,
        })
    }
}

/// The architecture of this name.
fn architecture(
    text: &str,
    name: &str,
    names: fn(&'static Architecture) -> &'static [&'static str],
) -> Result<&'static Architecture, ParsePlatformError> {
    let all = || ARCHITECTURES.iter();
    let found = all().find(|known| names(known).contains(&name));
    found.ok_or_else(|| {
        let known: Vec<_> = all()
            .filter_map(|known| names(known).first().copied())
            .collect();
        ParsePlatformError::UnknownArchitecture {
            text: text.to_owned(),
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// Takes a platform tag of Linux apart: the C library, its version, the architecture.
fn tag(text: &str) -> Option<(Libc, (u32, u32), &str)> {
    let (family, rest) = text.split_once('_')?;
    if family == "linux" {
        return Some((Libc::Glibc, DEFAULT_GLIBC, rest));
    }
    if let Some((_, minor)) = LEGACY.iter().find(|(legacy, _)| *legacy == family) {
        return Some((Libc::Glibc, (2, *minor), rest));
    }
    let libc = [Libc::Glibc, Libc::Musl]
        .into_iter()
        .find(|libc| libc.family() == family)?;
    let (major, rest) = rest.split_once('_')?;
    let (minor, machine) = rest.split_once('_')?;
    Some((libc, (number(major)?, number(minor)?), machine))
}

/// Why a text names no platform that an artifact can be for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePlatformError {
    /// It is of no form that is known.
    #[error(
        "expected a platform such as `manylinux_2_28_x86_64`, `musllinux_1_2_x86_64` or \
         `linux/amd64`, got `{}`",
        .0.escape_debug()
    )]
    Form(String),
    /// It is for another operating system.
    #[error("`{}` cannot be a target: prebuild builds prefixes for Linux", .0.escape_debug())]
    NotLinux(String),
    /// No such architecture is known.
    #[error(
        "`{}` cannot be a target: `{}` is not among the architectures {known}",
        text.escape_debug(), name.escape_debug()
    )]
    UnknownArchitecture {
        /// The whole.
        text: String,
        /// What should be an architecture.
        name: String,
        /// What can be there.
        known: String,
    },
    /// No such C library is known for this architecture.
    #[error("`{}` cannot be a target: its C library is none of {known}", text.escape_debug())]
    UnknownVersion {
        /// The whole.
        text: String,
        /// The library and its versions.
        known: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        text.parse::<Platform>().unwrap().to_string()
    }

    #[test]
    fn tags_are_printed_as_they_are_read() {
        for text in [
            "manylinux_2_5_x86_64",
            "manylinux_2_50_i686",
            "manylinux_2_17_aarch64",
            "musllinux_1_0_armv7l",
            "musllinux_1_2_riscv64",
        ] {
            assert_eq!(named(text), text);
        }
    }

    #[test]
    fn older_names_stand_for_versions() {
        assert_eq!(named("manylinux2014_s390x"), "manylinux_2_17_s390x");
        assert_eq!(named("manylinux2010_i686"), "manylinux_2_12_i686");
        assert_eq!(named("manylinux1_x86_64"), "manylinux_2_5_x86_64");
    }

    #[test]
    fn what_says_no_library_gets_one() {
        for (text, machine) in [
            ("linux_x86_64", "x86_64"),
            ("linux/amd64", "x86_64"),
            ("linux/x86_64", "x86_64"),
            ("linux/x86-64", "x86_64"),
            ("linux/386", "i686"),
            ("linux/i386", "i686"),
            ("linux/arm64", "aarch64"),
            ("linux/arm64/v8", "aarch64"),
            ("linux/aarch64", "aarch64"),
            ("linux/arm", "armv7l"),
            ("linux/arm/v7", "armv7l"),
            ("linux/armhf", "armv7l"),
            ("linux/ppc64le", "ppc64le"),
            ("linux/s390x", "s390x"),
            ("linux/riscv64", "riscv64"),
            ("linux_armv7l", "armv7l"),
        ] {
            assert_eq!(named(text), format!("manylinux_2_28_{machine}"));
        }
    }

    #[test]
    fn other_systems_are_refused() {
        for text in [
            "macosx_11_0_arm64",
            "win32",
            "win_amd64",
            "windows/amd64",
            "darwin/arm64",
            "ios_13_0_arm64_iphoneos",
            "android_21_x86_64",
            "Linux/amd64",
            "/amd64",
        ] {
            let error = ParsePlatformError::NotLinux(text.to_owned());
            assert_eq!(text.parse::<Platform>(), Err(error));
        }
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in [
            "",
            "any",
            "linux",
            "x86_64",
            "amd64",
            "manylinux",
            "manylinux_2",
            "manylinux_2_28",
            "manylinux_x86_64",
            "manylinux_2_+28_x86_64",
            "manylinux_2_028_x86_64",
            "manylinux_2_4294967296_x86_64",
            "manylinux2024_x86_64",
            "manylinux_2.28_x86_64",
            "musllinux2014_x86_64",
            "Manylinux_2_28_x86_64",
            "linux-x86_64",
            " linux_x86_64",
            "x86_64-unknown-linux-gnu",
        ] {
            let error = ParsePlatformError::Form(text.to_owned());
            assert_eq!(text.parse::<Platform>(), Err(error));
        }
    }

    #[test]
    fn unknown_architectures_are_refused() {
        for (text, part) in [
            ("linux/", ""),
            ("linux/arm/v6", "arm/v6"),
            ("linux/arm64/v9", "arm64/v9"),
            ("linux/amd64/", "amd64/"),
            ("linux_", ""),
            ("linux_amd64", "amd64"),
            ("linux_x86_64.linux_i686", "x86_64.linux_i686"),
            ("manylinux_2_28_", ""),
            ("manylinux_2_28_X86_64", "X86_64"),
            ("manylinux2014_x86_64 ", "x86_64 "),
            ("musllinux_1_2_armv6l", "armv6l"),
        ] {
            let error = text.parse::<Platform>().unwrap_err();
            assert!(
                matches!(&error, ParsePlatformError::UnknownArchitecture { name, .. } if name == part),
                "{text}: {error:?}"
            );
        }
    }

    #[test]
    fn unknown_versions_are_refused() {
        for text in [
            "manylinux_1_28_x86_64",
            "manylinux_2_4_x86_64",
            "manylinux_2_51_x86_64",
            "manylinux_2_4294967295_x86_64",
            "manylinux_3_1_x86_64",
            "manylinux_2_16_aarch64",
            "manylinux2010_aarch64",
            "manylinux1_riscv64",
            "musllinux_1_10_x86_64",
            "musllinux_2_0_x86_64",
        ] {
            let error = text.parse::<Platform>().unwrap_err();
            assert!(
                matches!(error, ParsePlatformError::UnknownVersion { .. }),
                "{text}: {error:?}"
            );
        }
    }
}
