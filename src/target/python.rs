//! The version of Python that a user names.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The minor versions of `CPython` 3 whose tags and markers are known.
const MINORS: RangeInclusive<u32> = 8..=14;
/// The first one that can be built without the global interpreter lock.
const FIRST_FREE_THREADED: u32 = 13;

/// A version of `CPython`, from 3.8 to 3.14: `3.12`, `3.12.4`, or `3.13t`, where `t` stands for the
/// [free-threaded build](https://docs.python.org/3/howto/free-threading-python.html).
///
/// # Examples
///
/// ```
/// use prebuild::target::PythonVersion;
///
/// let python: PythonVersion = "3.13t".parse()?;
/// assert_eq!(python.to_string(), "3.13t");
/// assert_eq!(
///     "2.7".parse::<PythonVersion>().unwrap_err().to_string(),
///     "Python `2.7` cannot be named as a target: only CPython 3.8 to 3.14 can",
/// );
/// # Ok::<(), prebuild::target::ParsePythonError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PythonVersion {
    /// The `12` of `3.12`.
    pub(super) minor: u32,
    /// The `4` of `3.12.4`.
    pub(super) patch: Option<u32>,
    /// Whether it is the build without the global interpreter lock.
    pub(super) free_threaded: bool,
}

impl PythonVersion {
    /// What names its own ABI after `cp` and `cpython-`, such as `312` and `313t`.
    pub(super) fn abi(&self) -> String {
        format!("3{}{}", self.minor, self.flag())
    }

    fn flag(&self) -> &'static str {
        if self.free_threaded { "t" } else { "" }
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}", self.minor)?;
        if let Some(patch) = self.patch {
            write!(f, ".{patch}")?;
        }
        f.write_str(self.flag())
    }
}

impl FromStr for PythonVersion {
    type Err = ParsePythonError;

    fn from_str(text: &str) -> Result<Self, ParsePythonError> {
        let release = text.strip_suffix('t').unwrap_or(text);
        let numbers: Option<Vec<u32>> = release.split('.').map(number).collect();
        let (major, minor, patch) = match numbers.as_deref() {
            Some(&[major, minor]) => (major, minor, None),
            Some(&[major, minor, patch]) => (major, minor, Some(patch)),
            _ => return Err(ParsePythonError::Form(text.to_owned())),
        };
        if major != 3 || !MINORS.contains(&minor) {
            return Err(ParsePythonError::Unknown(text.to_owned()));
        }
        let free_threaded = release != text;
        if free_threaded && minor < FIRST_FREE_THREADED {
            return Err(ParsePythonError::NeverFreeThreaded(text.to_owned()));
        }
        Ok(Self {
            minor,
            patch,
            free_threaded,
        })
    }
}

/// A number as versions and tags have it: digits alone, and no zero before them.
pub(super) fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| plain && !padded)
}

/// Why a text names no Python that an artifact can be for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePythonError {
    /// It is no version.
    #[error(
        "expected a version of Python such as `3.12`, `3.12.4` or `3.13t`, got `{}`",
        .0.escape_debug()
    )]
    Form(String),
    /// It is a version that is not known here.
    #[error(
        "Python `{}` cannot be named as a target: only CPython 3.{} to 3.{} can",
        .0.escape_debug(), MINORS.start(), MINORS.end()
    )]
    Unknown(String),
    /// That version has no free-threaded build.
    #[error(
        "Python `{}` does not exist: free-threaded builds begin with 3.{FIRST_FREE_THREADED}",
        .0.escape_debug()
    )]
    NeverFreeThreaded(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_printed_as_they_are_read() {
        for text in ["3.8", "3.12.0", "3.12.4", "3.13t", "3.14.10t"] {
            let version: PythonVersion = text.parse().unwrap();
            assert_eq!(version.to_string(), text);
        }
    }

    #[test]
    fn their_parts_are_told_apart() {
        let version: PythonVersion = "3.14.2t".parse().unwrap();
        let expected = PythonVersion {
            minor: 14,
            patch: Some(2),
            free_threaded: true,
        };
        assert_eq!(version, expected);
        assert_eq!(version.abi(), "314t");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "t",
            "3",
            "3t",
            "312",
            "3.",
            "3.12.",
            ".12",
            "3.12.4.1",
            "3.012",
            "03.12",
            "3.+12",
            "3.-12",
            "3.12tt",
            "3.12T",
            "3.14.0rc1",
            "3.12.*",
            " 3.12",
            "3.12 ",
            "python3.12",
            "cp312",
            "3.१२",
            "3.4294967296",
        ] {
            let error = ParsePythonError::Form(text.to_owned());
            assert_eq!(text.parse::<PythonVersion>(), Err(error));
        }
    }

    #[test]
    fn only_known_versions_can_be_named() {
        for text in ["0.0", "2.7", "2.12", "3.7", "3.7t", "3.15", "3.15t", "4.12"] {
            let error = ParsePythonError::Unknown(text.to_owned());
            assert_eq!(text.parse::<PythonVersion>(), Err(error));
        }
        for text in ["3.8t", "3.12t", "3.12.4t"] {
            let error = ParsePythonError::NeverFreeThreaded(text.to_owned());
            assert_eq!(text.parse::<PythonVersion>(), Err(error));
        }
    }
}
