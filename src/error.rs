//! Why a build failed.

use std::path::PathBuf;

pub use crate::diagnosis::{Diagnosis, Kind};
use crate::requirements::Name;
use crate::{
    audit, bundle, cache, fs, index, install, interpreter, layout, lock, pack, pip, requirements,
    resolve, runner, runtime, verify, wheel,
};

/// Why a build failed: one variant a stage.
///
/// Each message says what this stage was doing and to what; why it failed is the `source`, and is
/// never repeated in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The requirements could not be read.
    #[error(transparent)]
    Requirements(#[from] requirements::Error),
    /// The builder could not be used.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// The builder's interpreter could not be queried.
    #[error(transparent)]
    Interpreter(#[from] interpreter::Error),
    /// The destination cannot be used.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// pip failed.
    #[error(transparent)]
    Pip(#[from] pip::Error),
    /// The requirements cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// A lock file cannot be used.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The lock file is out of date, and the request requires an up-to-date one.
    #[error("the lock file `{}` is out of date: {}", file.display(), why.join("; "))]
    OutOfDate {
        /// The lock file.
        file: PathBuf,
        /// The changes.
        why: Vec<String>,
    },
    /// The plan does not fit the request.
    #[error("cannot build the plan: {0}")]
    OtherPlan(String),
    /// A distribution without a hash cannot be locked.
    #[error("cannot lock `{0}`: it has no hash")]
    Unhashed(Name),
    /// A request to an index failed.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// A wheel cannot be used.
    #[error(transparent)]
    Wheel(#[from] wheel::Error),
    /// The prefix cannot be used.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// The runtime cannot be inspected.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// An artifact cannot be verified.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// Libraries cannot be bundled.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// The prefix is incompatible with its runtime.
    #[error(transparent)]
    Unfit(Box<audit::Unfit>),
    /// The audit found errors, and there is no runtime.
    #[error("the audit found errors")]
    Findings(Vec<audit::Finding>),
    /// The artifact could not be written.
    #[error(transparent)]
    Pack(#[from] pack::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A file system call failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        Some(match self {
            Self::Requirements(error) => error,
            Self::Runner(error) => error,
            Self::Interpreter(error) => error,
            Self::Layout(error) => error,
            Self::Pip(error) => error,
            Self::Resolve(error) => error,
            Self::Lock(error) => error,
            Self::Index(error) => error,
            Self::Wheel(error) => error,
            Self::Install(error) => error,
            Self::Runtime(error) => error,
            Self::Verify(error) => error,
            Self::Bundle(error) => error,
            Self::Unfit(error) => error.as_ref(),
            Self::Pack(error) => error,
            Self::Cache(error) => error,
            Self::Fs(error) => error,
            Self::OutOfDate { .. } | Self::OtherPlan(_) | Self::Unhashed(_) | Self::Findings(_) => {
                return None;
            }
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Self::OutOfDate { .. } | Self::OtherPlan(_) => Kind::Request,
            Self::Findings(_) => Kind::Unfit,
            _ => self.wrapped().map_or(Kind::Build, Diagnosis::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::OutOfDate { .. } => Some("to update it, run `prebuild lock`".to_owned()),
            Self::OtherPlan(_) => Some("make a new plan with this request".to_owned()),
            Self::Findings(_) => Some(audit::ALLOW.to_owned()),
            _ => self.wrapped()?.hint(),
        }
    }
}

impl Error {
    /// The findings of the audit, if they are the reason.
    #[must_use]
    pub fn findings(&self) -> &[audit::Finding] {
        match self {
            Self::Unfit(unfit) => &unfit.findings,
            Self::Findings(findings) => findings,
            _ => &[],
        }
    }
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::requirements::{Context, Input, Requirements};
    use crate::runner::{Ending, Engine};

    /// Checks that an error says the same of itself behind every wrapper.
    fn is_kept<E: Diagnosis>(make: impl Fn() -> E, wrappers: &[fn(E) -> Error]) {
        let said = |error: &dyn Diagnosis| {
            (
                error.kind(),
                error.hint(),
                error.excerpt().map(str::to_owned),
                error.tail().to_vec(),
            )
        };
        let expected = said(&make());
        for (number, wrap) in wrappers.iter().enumerate() {
            assert_eq!(said(&wrap(make())), expected, "wrapper {number}");
        }
    }

    #[test]
    fn what_a_builder_says_is_kept() {
        let engine = Engine::Docker;
        let errors: [fn() -> runner::Error; 6] = [
            || runner::Error::Cancelled,
            || runner::Error::NotFound {
                program: "docker".to_owned(),
            },
            || runner::Error::Failed {
                command: "pip".to_owned(),
                ending: Ending::Code(2),
                tail: vec!["one".to_owned(), "two".to_owned()],
            },
            || runner::Error::NoImage {
                engine: Engine::Podman,
                image: "python:9".to_owned(),
                reason: "not found".to_owned(),
            },
            || runner::Error::NoPython {
                python: "3.99".to_owned(),
                place: "this machine".to_owned(),
            },
            || runner::Error::Io {
                command: "pip".to_owned(),
                source: io::ErrorKind::PermissionDenied.into(),
            },
        ];
        let wrappers: [fn(runner::Error) -> Error; 10] = [
            |error| error.into(),
            |error| interpreter::Error::from(error).into(),
            |error| pip::Error::from(error).into(),
            |error| install::Error::from(error).into(),
            |error| runtime::Error::from(error).into(),
            |error| bundle::Error::from(error).into(),
            |error| bundle::Error::from(install::Error::from(error)).into(),
            |error| verify::Error::from(error).into(),
            |error| verify::Error::from(runtime::Error::from(error)).into(),
            |error| verify::Error::from(install::Error::from(error)).into(),
        ];
        for make in errors {
            is_kept(make, &wrappers);
        }
        let down = || runner::Error::EngineDown {
            engine,
            reason: "no answer".to_owned(),
        };
        is_kept(down, &wrappers);
        let died = || runner::Error::Died { engine };
        is_kept(died, &wrappers);
        assert_eq!(Error::from(down()).kind(), Kind::Setup);
        assert!(Error::from(died()).hint().is_some());
        assert_eq!(Error::from(errors[2]()).tail(), ["one", "two"]);
    }

    #[test]
    fn what_an_index_says_is_kept() {
        let errors: [fn() -> index::Error; 4] = [
            || index::Error::Cancelled,
            || index::Error::Url("x y".to_owned()),
            || index::Error::Insecure("http://index".to_owned()),
            || wheel_too_large().into(),
        ];
        for make in errors {
            is_kept(
                make,
                &[
                    |error| error.into(),
                    |error| pip::Error::from(error).into(),
                    |error| {
                        let at = invalid().location().unwrap().clone();
                        let source = Box::new(error);
                        let wish = "x".to_owned();
                        resolve::Error::Unavailable { at, wish, source }.into()
                    },
                    |error| {
                        let source = requirements::DownloadError::new(error);
                        let url = "http://index".to_owned();
                        let role = requirements::Role::Requirements;
                        requirements::Error::Download { url, role, source }.into()
                    },
                ],
            );
        }
    }

    #[test]
    fn what_a_wheel_says_is_kept() {
        is_kept(
            wheel_too_large,
            &[
                |error| error.into(),
                |error| install::Error::from(error).into(),
                |error| bundle::Error::from(install::Error::from(error)).into(),
                |error| index::Error::from(error).into(),
            ],
        );
        assert!(wheel_too_large().hint().is_some());
        // The artifact, which the user names, is at fault.
        let verified = Error::from(verify::Error::from(install::Error::from(wheel_too_large())));
        assert_eq!(verified.kind(), Kind::Request);
    }

    #[test]
    fn what_requirements_say_is_kept() {
        let wrappers: [fn(requirements::Error) -> Error; 3] = [
            |error| error.into(),
            |error| pip::Error::from(error).into(),
            |error| resolve::Error::from(error).into(),
        ];
        is_kept(invalid, &wrappers);
        assert!(invalid().excerpt().is_some());
    }

    fn invalid() -> requirements::Error {
        let env = std::collections::BTreeMap::new();
        let context = Context {
            env: &env,
            cwd: Path::new("/"),
        };
        Requirements::read(&[Input::Stdin(b"a=1".to_vec())], &[], &context).unwrap_err()
    }

    fn wheel_too_large() -> wheel::Error {
        wheel::Error::Archive(wheel::ArchiveError::Refused {
            wheel: "x.whl".into(),
            entry: None,
            problem: wheel::Problem::TooLarge { size: 2, limit: 1 },
        })
    }
}
