//! The name of a wheel's file, which says what it is.
//!
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention>

use serde::{Deserialize, Serialize};

use crate::requirements::{Name, is_version, same_version};

/// `NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filename {
    /// The distribution's name, normalised.
    pub name: String,
    /// Its version, as it is written there.
    pub version: String,
    /// The build tag.
    pub build: Option<String>,
    /// The tags of Pythons, in lower case, such as `py2.py3`.
    pub python: String,
    /// The tags of ABIs, in lower case.
    pub abi: String,
    /// The tags of platforms, in lower case.
    pub platform: String,
}

/// A name that no wheel can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid wheel name `{}`: {reason}", name.escape_debug())]
pub struct ParseFilenameError {
    name: String,
    reason: &'static str,
}

/// What a file system takes, and more tags than any wheel has: each of its Pythons with each of its ABIs and
/// platforms.
const MAX_NAME: usize = 255;
const MAX_TAGS: usize = 200;

impl Filename {
    /// Takes a name apart, as pip does.
    pub fn parse(filename: &str) -> Result<Self, ParseFilenameError> {
        let refuse = |reason| ParseFilenameError {
            name: filename.to_owned(),
            reason,
        };
        let stem = filename
            .strip_suffix(".whl")
            .ok_or_else(|| refuse("it does not end in `.whl`"))?;
        // It becomes the name of a file here, and an index may say anything.
        if filename.len() > MAX_NAME {
            return Err(refuse("it is longer than 255 bytes"));
        }
        if filename.contains(|c: char| matches!(c, '/' | '\\') || c.is_control()) {
            return Err(refuse("it is not a file name"));
        }
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match *parts.as_slice() {
            [name, version, python, abi, platform] => {
                (name, version, None, [python, abi, platform])
            }
            [name, version, build, python, abi, platform] => {
                (name, version, Some(build), [python, abi, platform])
            }
            _ => return Err(refuse("it does not have five or six parts")),
        };
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        if name.is_empty() || name.contains("__") || !name.chars().all(plain) {
            return Err(refuse("its first part is not a valid name"));
        }
        if !is_version(version) {
            return Err(refuse("its second part is not a valid version"));
        }
        if build.is_some_and(|build| !build.starts_with(|c: char| c.is_ascii_digit())) {
            return Err(refuse("its build tag does not begin with a digit"));
        }
        if tags.iter().any(|set| set.split('.').any(str::is_empty)) {
            return Err(refuse("one of its tags is empty"));
        }
        let counts = tags.iter().map(|set| set.split('.').count());
        if counts.product::<usize>() > MAX_TAGS {
            return Err(refuse("it stands for more than 200 tags"));
        }
        if !tags[0].split('.').all(is_identifier) {
            return Err(refuse("one of its tags names no Python"));
        }
        let [python, abi, platform] = tags.map(str::to_lowercase);
        Ok(Self {
            name: Name::new(name).as_str().to_owned(),
            version: version.to_owned(),
            build: build.map(str::to_owned),
            python,
            abi,
            platform,
        })
    }

    /// Every tag that the name stands for, such as `cp311-cp311-linux_x86_64`.
    ///
    /// <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>
    pub fn tags(&self) -> impl Iterator<Item = String> {
        self.python.split('.').flat_map(move |python| {
            self.abi.split('.').flat_map(move |abi| {
                let platforms = self.platform.split('.');
                platforms.map(move |platform| format!("{python}-{abi}-{platform}"))
            })
        })
    }

    /// Whether a folder's `NAME-VERSION` says the same distribution. As pip has it, the name ends at
    /// the first `-`.
    pub(super) fn is_named(&self, stem: &str) -> bool {
        stem.split_once('-').is_some_and(|(name, version)| {
            Name::new(name).as_str() == self.name && same_version(version, &self.version)
        })
    }
}

fn is_identifier(tag: &str) -> bool {
    !tag.starts_with(|c: char| c.is_numeric())
        && tag.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = "Zope.Interface-1.0.post1-2b-py2.py3-none-Any.whl";
        let parsed = Filename::parse(name).unwrap();
        assert_eq!(
            (
                parsed.name.as_str(),
                parsed.version.as_str(),
                parsed.build.as_deref()
            ),
            ("zope-interface", "1.0.post1", Some("2b"))
        );
        let tags: Vec<_> = parsed.tags().collect();
        assert_eq!(tags, ["py2-none-any", "py3-none-any"]);
        let local = Filename::parse("torch-2.1.0+cpu-cp311-cp311-linux_x86_64.whl").unwrap();
        assert_eq!(local.version, "2.1.0+cpu");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "",
            ".whl",
            "a-1.0-py3-none-any.zip",
            "a-1.0-none-any.whl",
            "a-1.0-1-2-py3-none-any.whl",
            "-1.0-py3-none-any.whl",
            "a__b-1.0-py3-none-any.whl",
            "a/b-1.0-py3-none-any.whl",
            "a-one-py3-none-any.whl",
            "a-1_0-py3-none-any.whl",
            "a-1.0-x1-py3-none-any.whl",
            "a-1.0---any.whl",
            "a-1.0-py3.-none-any.whl",
            "a-1.0-3py-none-any.whl",
            "a-1.0-1/../../b-py3-none-any.whl",
            "a-1.0-py3-none/../../any-x.whl",
            "a-1.0-py3-none-..\\any.whl",
            "a-1.0-py3-none-any\0.whl",
        ] {
            assert!(Filename::parse(name).is_err(), "{name}");
        }
    }

    /// A short name may stand for millions of tags.
    #[test]
    fn a_name_stands_for_few_tags() {
        let sets = |python: usize, abi: usize, platform: usize| {
            let set = |count: usize, tag: &str| vec![tag; count].join(".");
            let (python, abi) = (set(python, "py3"), set(abi, "a"));
            let name = format!("a-1.0-{python}-{abi}-{}.whl", set(platform, "b"));
            Filename::parse(&name).map(|name| name.tags().count())
        };
        let why = |result: Result<usize, ParseFilenameError>| result.unwrap_err().reason;
        assert_eq!(sets(10, 4, 5), Ok(200));
        assert_eq!(why(sets(10, 4, 6)), "it stands for more than 200 tags");
        assert_eq!(why(sets(20, 20, 20)), "it stands for more than 200 tags");
        assert_eq!(why(sets(1, 1, 300)), "it is longer than 255 bytes");
    }

    #[test]
    fn folders_are_named_after_the_file() {
        let parsed = Filename::parse("a_b-1.0-py3-none-any.whl").unwrap();
        assert!(parsed.is_named("A.B-1.0.0"));
        assert!(!parsed.is_named("a-b-1.0"));
        assert!(!parsed.is_named("a_b-1.1"));
        assert!(!parsed.is_named("a_b"));
    }
}
