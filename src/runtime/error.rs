//! Why nothing can be said of a runtime.

use std::path::PathBuf;

use super::VERSION;
use crate::{fs, runner};

/// Why nothing can be said of a runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No interpreter at all.
    #[error("there is no Python in the runtime `{0}`")]
    NoPythons(String),
    /// Not the one that was asked for.
    #[error("there is no Python `{python}` in the runtime `{runtime}`")]
    NoPython {
        /// The runtime.
        runtime: String,
        /// What was asked for.
        python: String,
    },
    /// Several, and none on the `PATH`.
    #[error("the runtime `{runtime}` has several Pythons, and none on its PATH: {}", pythons.join(", "))]
    Ambiguous {
        /// The runtime.
        runtime: String,
        /// Their paths.
        pythons: Vec<String>,
    },
    /// More than any image has.
    #[error("the root `{}` has more libraries, programs and packages than any image", .0.display())]
    TooLarge(PathBuf),
    /// No facts.
    #[error("`{}` holds no facts about a runtime", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Facts of another time.
    #[error("`{}` holds facts of version {version}, and {VERSION} is known", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The engine.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// The file system of this machine.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

impl Error {
    /// What the user can do, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoPythons(_) => {
                Some("`--runtime` takes the image or root folder that the artifact will be used in")
            }
            Self::NoPython { .. } | Self::Ambiguous { .. } => Some(
                "name one of its interpreters with `--runtime-python X.Y` or `--runtime-python PATH`; \
                 `prebuild runtime` shows them",
            ),
            Self::Json { .. } | Self::Version { .. } => {
                Some("`prebuild runtime IMAGE|ROOT --format json` writes such a file")
            }
            _ => None,
        }
    }
}
