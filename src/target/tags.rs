//! The wheel tags that a named target accepts, computed without an interpreter.
//!
//! They are those of `packaging.tags.sys_tags()` of `packaging` 26.3, in its order. It puts
//! `linux_*` before what names a C library; older ones put it after.

use super::platform::{LEGACY, Libc, Platform};
use super::python::PythonVersion;

/// The first minor version with a [stable ABI](https://peps.python.org/pep-0384/).
const FIRST_STABLE: u32 = 2;

/// The tags, the best first.
pub(super) fn tags(python: &PythonVersion, platform: &Platform) -> Vec<String> {
    let minor = python.minor;
    let own = format!("cp3{minor}");
    let abi = python.abi();
    // Free-threaded builds load what was made for their own stable ABI alone:
    // https://peps.python.org/pep-0803/.
    let stable = if python.free_threaded {
        "abi3t"
    } else {
        "abi3"
    };
    let cpython = [
        format!("{own}-cp{abi}"),
        format!("{own}-{stable}"),
        format!("{own}-none"),
    ]
    .into_iter()
    .chain(older(FIRST_STABLE, minor).map(|older| format!("cp3{older}-{stable}")));
    let any_python = || {
        [format!("py3{minor}-none"), "py3-none".to_owned()]
            .into_iter()
            .chain(older(0, minor).map(|older| format!("py3{older}-none")))
    };
    let platforms = platforms(platform);
    let on_platforms = |python: String| {
        let platforms = platforms.iter();
        platforms.map(move |platform| format!("{python}-{platform}"))
    };
    let mut tags: Vec<_> = cpython.chain(any_python()).flat_map(on_platforms).collect();
    tags.push(format!("{own}-none-any"));
    tags.extend(any_python().map(|python| format!("{python}-any")));
    tags
}

/// The minor versions from `first` to before `minor`, the newest first.
fn older(first: u32, minor: u32) -> impl Iterator<Item = u32> {
    (first..minor).rev()
}

/// The tags of the platforms whose wheels run there, the best first.
fn platforms(platform: &Platform) -> Vec<String> {
    let machine = platform.architecture.machine;
    let newest = platform.minor;
    let mut tags = vec![format!("linux_{machine}")];
    match platform.libc {
        // https://peps.python.org/pep-0600/
        Libc::Glibc => {
            for minor in (platform.architecture.oldest_glibc..=newest).rev() {
                tags.push(format!("manylinux_2_{minor}_{machine}"));
                let legacy = LEGACY.iter().filter(|(_, stands_for)| *stands_for == minor);
                tags.extend(legacy.map(|(name, _)| format!("{name}_{machine}")));
            }
        }
        // https://peps.python.org/pep-0656/
        Libc::Musl => {
            let minors = (0..=newest).rev();
            tags.extend(minors.map(|minor| format!("musllinux_1_{minor}_{machine}")));
        }
    }
    tags
}
