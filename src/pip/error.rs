//! Why pip did not deliver.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::ReportError;
use super::explain::{self, Cause, Failure};
use super::packages::System;
use crate::diagnosis::{Diagnosis, Kind};
use crate::requirements::{self, Dependency, Location, Name, hide_credentials};
use crate::tree::{ReadError, RelPath, UnsafePath};
use crate::{fs, index, runner};

/// A cause, and where the requirement was written.
#[derive(Debug)]
pub struct Told {
    /// Where the requirement was written.
    pub at: Option<Location>,
    /// What happened.
    pub cause: Cause,
}

/// pip did not deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The interpreter has no pip.
    #[error("`{python}` has no pip")]
    NoPip {
        /// Which.
        python: String,
    },
    /// Its pip does not run.
    #[error("pip {version} of `{python}` does not run")]
    Broken {
        /// Which.
        python: String,
        /// Its version.
        version: String,
    },
    /// pip failed.
    #[error("{}", failure(causes, *ending))]
    Failed {
        /// What its output shows, the most telling first; empty if nothing is known.
        causes: Vec<Told>,
        /// The builder's operating system, which decides how packages are installed.
        system: System,
        /// How it ended.
        ending: runner::Ending,
        /// What shows why: what a command of its wrote, or the last lines that it wrote itself.
        tail: Vec<String>,
    },
    /// Something of this machine that the builder cannot see.
    #[error("{distribution} lies at `{url}` of this machine, where the builder does not look")]
    Outside {
        /// Which.
        distribution: Name,
        /// Where.
        url: String,
    },
    /// pip is too old to say what it would install.
    #[error("pip {0} cannot say what it would install")]
    CannotSay(String),
    /// pip chose a distribution and did not deliver its wheel.
    #[error("pip chose {distribution} and made no wheel of it")]
    NoWheel {
        /// Which.
        distribution: String,
    },
    /// pip's report says nothing.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A local project could not be read.
    #[error("cannot take along `{}`", path.display())]
    Source {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// Two things that would lie at one path in the builder.
    #[error("`{0}` is there twice")]
    Twice(RelPath),
    /// A path that the builder cannot have.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// A setting that names no index.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// The file system of this machine.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// A marker that has no answer for this interpreter.
    #[error(transparent)]
    Requirements(#[from] requirements::Error),
    /// The builder.
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
                "`{python} -m ensurepip` installs it, or the package `python3-pip` of Debian and `py3-pip` of Alpine"
            ),
            Self::Broken { python, .. } => format!(
                "`{python} -m pip --version` shows why; `{python} -m ensurepip --upgrade` may mend it"
            ),
            Self::Outside { .. } => {
                "build on this machine (`--builder local`), or name it in a requirements file, which takes it along"
                    .to_owned()
            }
            Self::CannotSay(_) => "pip 23.0 and later can: upgrade the builder's".to_owned(),
            Self::NoWheel { .. } => {
                "the index may have changed meanwhile: try again, or with `--installer pip`".to_owned()
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
        for Told { cause, .. } in causes {
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

fn failure(causes: &[Told], ending: runner::Ending) -> String {
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
        let conflict = |reasons: &[&str]| Told {
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
