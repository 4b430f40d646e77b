//! Why pip failed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::ReportError;
use super::explain::{self, Cause, Failure};
use super::packages::System;
use crate::diagnosis::{Diagnosis, Kind};
use crate::requirements::{self, Dependency, Location, Name, hide_credentials};
use crate::tree::{ReadError, RelPath, UnsafePath};
use crate::{fs, index, runner};

/// A cause, and the place of its requirement.
#[derive(Debug)]
pub struct LocatedCause {
    /// The place of the requirement.
    pub at: Option<Location>,
    /// The cause.
    pub cause: Cause,
}

/// Why pip did not resolve, build or install.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The interpreter has no pip.
    #[error("`{python}` has no pip")]
    NoPip {
        /// The interpreter.
        python: String,
    },
    /// The interpreter's pip does not run.
    #[error("pip {version} of `{python}` does not run")]
    Broken {
        /// The interpreter.
        python: String,
        /// Its version.
        version: String,
    },
    /// pip failed.
    #[error("{}", failure(causes, *ending))]
    Failed {
        /// The causes in its output, the most specific first; empty if none is known.
        causes: Vec<LocatedCause>,
        /// The builder's operating system, which decides how packages are installed.
        system: System,
        /// How it ended.
        ending: runner::Ending,
        /// The output of the command that failed, or pip's last lines.
        tail: Vec<String>,
    },
    /// A path of this machine that the builder cannot read.
    #[error("{distribution} is at `{url}` on this machine, and the builder cannot read it")]
    Outside {
        /// The distribution.
        distribution: Name,
        /// The URL.
        url: String,
    },
    /// pip is too old to report its resolution.
    #[error("pip {0} cannot report its resolution")]
    CannotSay(String),
    /// pip resolved a distribution and built no wheel for it.
    #[error("pip resolved {distribution} and built no wheel for it")]
    NoWheel {
        /// The distribution.
        distribution: String,
    },
    /// pip's report is invalid.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A local project could not be read.
    #[error("cannot copy `{}` into the builder", path.display())]
    Source {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: ReadError,
    },
    /// Two inputs have the same path in the builder.
    #[error("duplicate path `{0}`")]
    Twice(RelPath),
    /// A path is not safe.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// A setting has an invalid index.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// A file system call of this machine failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// A marker cannot be evaluated for this interpreter.
    #[error(transparent)]
    Requirements(#[from] requirements::Error),
    /// The builder failed.
    #[error(transparent)]
    Runner(#[from] runner::Error),
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Index(error) => Some(error),
            Self::Fs(error) => Some(error),
            Self::Requirements(error) => Some(error),
            Self::Runner(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NoPip { .. } | Self::Broken { .. } => Kind::Setup,
            _ => self.wrapped().map_or(Kind::Build, Diagnosis::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoPip { python } => format!(
                "install pip with `{python} -m ensurepip`, or the package `python3-pip` on Debian and `py3-pip` on Alpine"
            ),
            Self::Broken { python, .. } => format!(
                "`{python} -m pip --version` shows why; `{python} -m ensurepip --upgrade` may repair it"
            ),
            Self::Outside { .. } => {
                "build on this machine with `--builder local`, or name the path in a requirements file"
                    .to_owned()
            }
            Self::CannotSay(_) => "upgrade pip in the builder to 23.0 or later".to_owned(),
            Self::NoWheel { .. } => {
                "the index may have changed: try again, or pass `--installer pip`".to_owned()
            }
            Self::Failed { causes, system, .. } => {
                let causes: Vec<&Cause> = causes.iter().map(|told| &told.cause).collect();
                return explain::hint(&causes, *system);
            }
            _ => return self.wrapped()?.hint(),
        };
        Some(hint)
    }

    /// What shows why: what a command of pip's wrote, or the last lines that pip wrote itself.
    fn tail(&self) -> &[String] {
        match self {
            Self::Failed { tail, .. } => tail,
            _ => self.wrapped().map_or(&[], Diagnosis::tail),
        }
    }
}

impl Error {
    /// The distributions whose constraints are in the way of others, as far as pip tells.
    #[must_use]
    pub fn held_back(&self) -> BTreeSet<Name> {
        const CONSTRAINT: &str = "The user requested (constraint) ";
        let Self::Failed { causes, tail, .. } = self else {
            return BTreeSet::new();
        };
        let constrained = |line: &String| {
            let constraint = line.trim_start().strip_prefix(CONSTRAINT)?;
            Some(Dependency::parse(constraint)?.name)
        };
        // pip says that there is a conflict on one stream and which on the other: either may come first.
        let mut names: BTreeSet<Name> = tail.iter().filter_map(constrained).collect();
        for LocatedCause { cause, .. } in causes {
            match &cause.failure {
                Failure::Conflict { reasons, .. } => {
                    names.extend(reasons.iter().filter_map(constrained));
                }
                Failure::NoDistribution { requirement, .. } => {
                    names.extend(Dependency::parse(requirement).map(|wanted| wanted.name));
                }
                _ => names.extend(cause.distribution.as_deref().map(Name::new)),
            }
        }
        names
    }

    /// Whether other versions of what is required could make a difference.
    #[must_use]
    pub fn is_about_versions(&self) -> bool {
        let Self::Failed { causes, .. } = self else {
            return false;
        };
        let hopeless = |failure: &Failure| {
            matches!(
                failure,
                Failure::NoDistribution { .. }
                    | Failure::Index { .. }
                    | Failure::InvalidRequirement { .. }
                    | Failure::HashMismatch { .. }
                    | Failure::HashMissing { .. }
                    | Failure::NotPinned { .. }
                    | Failure::Unhashable { .. }
                    | Failure::DiskFull
                    | Failure::NotWritable { .. }
                    | Failure::ExternallyManaged
            )
        };
        causes.is_empty() || !causes.iter().all(|told| hopeless(&told.cause.failure))
    }
}

fn failure(causes: &[LocatedCause], ending: runner::Ending) -> String {
    if causes.is_empty() {
        return format!("pip failed ({ending})");
    }
    let causes: Vec<_> = causes
        .iter()
        .map(|told| match &told.at {
            Some(at) => format!("{at}: {}", hide_credentials(&told.cause.message())),
            None => hide_credentials(&told.cause.message()),
        })
        .collect();
    causes.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Under load, the two streams of pip come in any order.
    #[test]
    fn constraints_in_the_way_are_found_in_any_order() {
        let conflict = |reasons: &[&str]| LocatedCause {
            at: None,
            cause: Cause {
                distribution: Some("one".to_owned()),
                line: None,
                failure: Failure::Conflict {
                    reasons: reasons.iter().map(ToString::to_string).collect(),
                    lines: Vec::new(),
                },
            },
        };
        let reasons = [
            "one 1.0 depends on two>=1",
            "The user requested (constraint) two==2.0",
        ];
        for (reasons, tail) in [
            (&reasons[..], &[][..]),
            (
                &[],
                &[
                    "",
                    "    The user requested (constraint) two==2.0",
                    "ERROR: x",
                ],
            ),
        ] {
            let error = Error::Failed {
                causes: vec![conflict(reasons)],
                ending: runner::Ending::Code(1),
                system: System::Other,
                tail: tail.iter().map(ToString::to_string).collect(),
            };
            let names: Vec<_> = error.held_back().into_iter().collect();
            assert_eq!(names, [Name::new("two")]);
            assert!(error.is_about_versions());
        }
    }
}
