//! A target from its names alone.

use super::platform::{Libc, Platform};
use super::python::PythonVersion;
use super::{MarkerEnvironment, Target, tags};

/// The first minor version of `CPython` whose extension modules are named after musl; before, they
/// were named after glibc everywhere: <https://github.com/python/cpython/issues/87278>.
const FIRST_WITH_MUSL: u32 = 11;

/// A target that a user named, and what wheels it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The target.
    pub target: Target,
    /// The tags of the wheels that it accepts, such as `cp312-cp312-manylinux_2_28_x86_64`, the best
    /// first: what `packaging.tags.sys_tags()` says there, in the order of `packaging` 26.3.
    pub tags: Vec<String>,
}

impl Target {
    /// What `CPython` says of itself on a platform, computed: no interpreter is asked.
    ///
    /// A version without a patch stands for its first, so `3.12` is `3.12.0` for a marker such as
    /// `python_full_version < "3.12.4"`: name the patch where it matters. The kernel is not known:
    /// `platform_release` and `platform_version` are empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use prebuild::target::Target;
    ///
    /// let named = Target::named(&"3.12".parse()?, &"linux/arm64".parse()?);
    /// assert_eq!(named.target.to_string(), "CPython 3.12.0 on linux-aarch64, glibc 2.28");
    /// assert_eq!(named.target.soabi.as_deref(), Some("cpython-312-aarch64-linux-gnu"));
    /// assert_eq!(named.tags[1], "cp312-cp312-manylinux_2_28_aarch64");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn named(python: &PythonVersion, platform: &Platform) -> Named {
        let machine = platform.architecture.machine;
        let target = Self {
            markers: MarkerEnvironment::named(python, machine),
            platform: format!("linux-{machine}"),
            soabi: Some(soabi(python, platform)),
            libc: platform.library(),
        };
        Named {
            target,
            tags: tags::tags(python, platform),
        }
    }
}

impl MarkerEnvironment {
    /// The values of a `CPython` on Linux; those that depend on the running system are empty.
    pub(crate) fn named(python: &PythonVersion, machine: &str) -> Self {
        let version = format!("3.{}", python.minor);
        let full = format!("{version}.{}", python.patch.unwrap_or(0));
        Self {
            implementation_name: "cpython".to_owned(),
            implementation_version: full.clone(),
            os_name: "posix".to_owned(),
            platform_machine: machine.to_owned(),
            platform_python_implementation: "CPython".to_owned(),
            platform_release: String::new(),
            platform_system: "Linux".to_owned(),
            platform_version: String::new(),
            python_full_version: full,
            python_version: version,
            sys_platform: "linux".to_owned(),
        }
    }
}

fn soabi(python: &PythonVersion, platform: &Platform) -> String {
    let (processor, suffix) = platform.architecture.triplet;
    let libc = match platform.libc {
        Libc::Musl if python.minor >= FIRST_WITH_MUSL => "musl",
        Libc::Musl | Libc::Glibc => "gnu",
    };
    format!("cpython-{}-{processor}-linux-{libc}{suffix}", python.abi())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the extension modules in published wheels are named.
    #[test]
    fn extension_modules_are_named_as_cpython_does() {
        for (python, platform, soabi) in [
            ("3.13", "linux/amd64", "cpython-313-x86_64-linux-gnu"),
            ("3.13t", "linux/arm64", "cpython-313t-aarch64-linux-gnu"),
            ("3.9", "linux/386", "cpython-39-i386-linux-gnu"),
            ("3.13", "linux/arm/v7", "cpython-313-arm-linux-gnueabihf"),
            ("3.13", "linux/ppc64le", "cpython-313-powerpc64le-linux-gnu"),
            ("3.13", "linux/s390x", "cpython-313-s390x-linux-gnu"),
            ("3.14", "linux/riscv64", "cpython-314-riscv64-linux-gnu"),
            (
                "3.10",
                "musllinux_1_2_x86_64",
                "cpython-310-x86_64-linux-gnu",
            ),
            (
                "3.11",
                "musllinux_1_2_x86_64",
                "cpython-311-x86_64-linux-musl",
            ),
            (
                "3.14t",
                "musllinux_1_2_i686",
                "cpython-314t-i386-linux-musl",
            ),
            (
                "3.10",
                "musllinux_1_2_armv7l",
                "cpython-310-arm-linux-gnueabihf",
            ),
            (
                "3.11",
                "musllinux_1_2_armv7l",
                "cpython-311-arm-linux-musleabihf",
            ),
        ] {
            let named = Target::named(&python.parse().unwrap(), &platform.parse().unwrap());
            assert_eq!(named.target.soabi.as_deref(), Some(soabi));
        }
    }

    #[test]
    fn a_version_without_a_patch_is_its_first() {
        let full = |python: &str| {
            let named = Target::named(&python.parse().unwrap(), &"linux/amd64".parse().unwrap());
            let markers = named.target.markers;
            assert_eq!(markers.python_full_version, markers.implementation_version);
            markers.python_full_version
        };
        assert_eq!(full("3.12"), "3.12.0");
        assert_eq!(full("3.12.4"), "3.12.4");
        assert_eq!(full("3.13t"), "3.13.0");
    }

    #[test]
    fn what_runs_there_comes_best_first() {
        let of = |python: &str, platform: &str| {
            Target::named(&python.parse().unwrap(), &platform.parse().unwrap()).tags
        };
        assert_eq!(
            of("3.8", "manylinux_2_5_i686")[..9],
            [
                "cp38-cp38-linux_i686",
                "cp38-cp38-manylinux_2_5_i686",
                "cp38-cp38-manylinux1_i686",
                "cp38-abi3-linux_i686",
                "cp38-abi3-manylinux_2_5_i686",
                "cp38-abi3-manylinux1_i686",
                "cp38-none-linux_i686",
                "cp38-none-manylinux_2_5_i686",
                "cp38-none-manylinux1_i686",
            ]
        );
        let free_threaded = of("3.13t", "musllinux_1_2_aarch64");
        assert_eq!(free_threaded[1], "cp313-cp313t-musllinux_1_2_aarch64");
        assert_eq!(free_threaded[5], "cp313-abi3t-musllinux_1_2_aarch64");
        assert!(!free_threaded.iter().any(|tag| tag.contains("-abi3-")));
        assert_eq!(free_threaded.last().unwrap(), "py30-none-any");
    }
}
