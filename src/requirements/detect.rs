//! What a file is that the user names, by its name.

use std::path::{Path, PathBuf};

use super::{Input, Name, link};
use std::collections::BTreeSet;

/// What a name stands for, where requirements are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detected {
    /// `-`: the caller reads standard input, and makes an [`Input::Stdin`] of it.
    Stdin,
    /// A lock file, `pylock.toml` or `pylock.NAME.toml`, which stands in place of requirements.
    LockFile(PathBuf),
    /// A file to read requirements from. A `pyproject.toml` is an [`Input::Project`] without extras and groups.
    /// A directory is an [`Input::Path`], and reading it says which file in it to name.
    Input(Input),
}

/// Extras and dependency groups that are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The extras.
    pub extras: BTreeSet<Name>,
    /// The [dependency groups](
    /// https://packaging.python.org/en/latest/specifications/dependency-groups/).
    pub groups: BTreeSet<Name>,
}

impl Chosen {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.extras.is_empty() && self.groups.is_empty()
    }
}

impl Input {
    /// What a name stands for that pip's `-r` or `-c` takes: a URL, or a path.
    #[must_use]
    pub fn named(name: PathBuf) -> Self {
        match name.to_str() {
            Some(text) if link::is_http(text) => Self::Url(super::Text::new(text, text)),
            _ => Self::Path(name),
        }
    }

    /// What a name stands for where requirements are named: standard input, a lock file, a project, a URL, or
    /// a requirements file. The name alone decides; nothing is opened.
    #[must_use]
    pub fn detect(name: PathBuf) -> Detected {
        if name == Path::new("-") {
            return Detected::Stdin;
        }
        match Self::named(name) {
            Self::Path(path) if is_lock_file(&path) => Detected::LockFile(path),
            Self::Path(path) if path.file_name() == Some("pyproject.toml".as_ref()) => {
                Detected::Input(Self::Project {
                    path,
                    extras: BTreeSet::new(),
                    groups: BTreeSet::new(),
                })
            }
            input => Detected::Input(input),
        }
    }

    /// The same with these extras and groups, if it is a project.
    #[must_use]
    pub fn choosing(self, chosen: &Chosen) -> Self {
        match self {
            Self::Project { path, .. } => Self::Project {
                path,
                extras: chosen.extras.clone(),
                groups: chosen.groups.clone(),
            },
            Self::Path(_) | Self::Url(_) | Self::Stdin(_) => self,
        }
    }
}

/// Whether a file's name is one of a lock file: `pylock.toml` or `pylock.NAME.toml`.
///
/// <https://packaging.python.org/en/latest/specifications/pylock-toml/#file-name>
pub(super) fn is_lock_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let between = name.strip_prefix("pylock.");
    let between = between.and_then(|rest| rest.strip_suffix(".toml"));
    name == "pylock.toml" || between.is_some_and(|name| !name.is_empty() && !name.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_what_a_file_is() {
        let path = |name: &str| Detected::Input(Input::Path(name.into()));
        let lock = |name: &str| Detected::LockFile(name.into());
        let project = |name: &str| {
            Detected::Input(Input::Project {
                path: name.into(),
                extras: BTreeSet::new(),
                groups: BTreeSet::new(),
            })
        };
        let url = |url: &str| Detected::Input(Input::named(url.into()));
        for (name, detected) in [
            ("-", Detected::Stdin),
            ("./-", path("./-")),
            ("requirements.txt", path("requirements.txt")),
            (".", path(".")),
            ("app/", path("app/")),
            ("pyproject.toml", project("pyproject.toml")),
            ("app/pyproject.toml", project("app/pyproject.toml")),
            ("my-pyproject.toml", path("my-pyproject.toml")),
            ("pylock.toml", lock("pylock.toml")),
            ("a/pylock.dev.toml", lock("a/pylock.dev.toml")),
            ("pylock..toml", path("pylock..toml")),
            ("pylock.a.b.toml", path("pylock.a.b.toml")),
            ("pylock.xtoml", path("pylock.xtoml")),
            ("https://host/pylock.toml", url("https://host/pylock.toml")),
            ("file:///app/pylock.toml", lock("file:///app/pylock.toml")),
        ] {
            assert_eq!(Input::detect(name.into()), detected, "{name}");
        }
    }
}
