//! The environment of this process, and errors of invalid requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What this process was started with.
pub(crate) struct Environment {
    env: BTreeMap<String, String>,
    cwd: PathBuf,
}

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        Ok(Self {
            env: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            cwd: std::env::current_dir().context("there is no working directory")?,
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// All variables.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The working folder.
    pub(crate) fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// A path as it is meant here.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        PathBuf::from(self.get("TMPDIR").unwrap_or("/tmp"))
    }

    /// Checks that temporary files have a place: everything fails without one, and far from the reason.
    pub(crate) fn check_scratch(&self) -> Result<(), Unusable> {
        let folder = self.scratch();
        let Err(error) = prebuild::fs::check_scratch(&self.path(&folder)) else {
            return Ok(());
        };
        let hint = match self.get("TMPDIR") {
            Some(_) => "TMPDIR names this directory: set it to one that exists and is writable",
            None => "set TMPDIR to a directory that exists and is writable",
        };
        let why = std::error::Error::source(&error).map(ToString::to_string);
        Err(Unusable {
            what: format!(
                "cannot write temporary files to `{}`: {}",
                folder.display(),
                why.unwrap_or_default()
            ),
            hint: hint.to_owned(),
        })
    }
}

/// Whether somebody may watch, if there is a terminal. Services that build and test set `CI`; a `dumb` terminal
/// cannot draw over what it has drawn.
#[expect(
    clippy::disallowed_methods,
    reason = "this file is the one place that reads the environment"
)]
pub(crate) fn is_watched() -> bool {
    let is_set =
        |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "false");
    !is_set("CI") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A machine that lacks what the request needs; exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Unusable {
    pub(crate) what: String,
    pub(crate) hint: String,
}

/// A request that cannot be meant; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Wrong(pub(crate) String);
