//! Why a runtime cannot be inspected.

use std::path::PathBuf;

use super::VERSION;
use crate::diagnosis::{Diagnosis, Kind};
use crate::{fs, runner};

/// Why a runtime cannot be inspected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runtime has no interpreter.
    #[error("no Python found in the runtime `{0}`")]
    NoPythons(String),
    /// The runtime does not have the requested interpreter.
    #[error("Python `{python}` not found in the runtime `{runtime}`")]
    NoPython {
        /// The runtime.
        runtime: String,
        /// The requested interpreter.
        python: String,
    },
    /// The runtime has several interpreters, and none on its `PATH`.
    #[error("the runtime `{runtime}` has several Pythons, and none on its PATH: {}", pythons.join(", "))]
    Ambiguous {
        /// The runtime.
        runtime: String,
        /// Their paths.
        pythons: Vec<String>,
    },
    /// The root is larger than any image.
    #[error("the root `{}` has too many libraries, programs and packages", .0.display())]
    TooLarge(PathBuf),
    /// The file is not a JSON file of facts.
    #[error("`{}` is not a JSON file of `prebuild runtime`", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The problem.
        #[source]
        source: serde_json::Error,
    },
    /// The file has an unsupported version.
    #[error("`{}` has the unsupported version {version}: expected {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The container engine failed.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// A file system call of this machine failed.
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
                "`--runtime` takes the runtime image, root directory or interpreter"
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
