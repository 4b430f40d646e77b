//! Why nothing can be said of a runtime.

use std::path::PathBuf;

use super::VERSION;
use crate::diagnosis::{Diagnosis, Kind};
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

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Runner(error) => Some(error),
            Self::Fs(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Runner(error) => error.kind(),
            // The runtime is what the user names.
            _ => Kind::Request,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoPythons(_) => {
                "`--runtime` takes the image or root folder that the artifact will be used in"
            }
            Self::NoPython { .. } | Self::Ambiguous { .. } => {
                "name one of its interpreters with `--runtime-python X.Y` or `--runtime-python PATH`; \
                 `prebuild runtime` shows them"
            }
            Self::Json { .. } | Self::Version { .. } => {
                "`prebuild runtime IMAGE|ROOT --format json` writes such a file"
            }
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}
