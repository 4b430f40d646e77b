//! What exactly will be installed.
//!
//! Where the requirements say it themselves, nobody is asked but indexes for their files: [`Locked`].
//! All else is for pip to choose.

use crate::diagnosis::{Diagnosis, Kind};
use crate::index;
use crate::requirements::{self, Formats, Location};

mod choose;
mod closure;
mod locked;
mod misfit;
mod outcome;
mod pins;

pub use choose::Refused;
pub(crate) use choose::{Fit, few};
pub use locked::Locked;
pub use misfit::Misfit;
pub use outcome::{Outcome, Reason};

/// What decides which files are taken, besides the requirements: pip's options of the same names.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// `--only-binary` and `--no-binary`.
    pub formats: Formats,
    /// `--prefer-binary`.
    pub prefer_binary: bool,
    /// `--require-hashes`; `None` leaves it to the requirements.
    pub require_hashes: Option<bool>,
    /// `--no-deps`.
    pub no_deps: bool,
    /// `--ignore-requires-python`.
    pub ignore_requires_python: bool,
}

/// What was asked for cannot be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No file of a distribution can be taken.
    #[error("{at}: {wish} cannot be had for {target}: {reason}")]
    Refused {
        /// Where the requirement is written.
        at: Location,
        /// What is required.
        wish: String,
        /// What the artifact is for.
        target: String,
        /// Why.
        reason: Box<Refused>,
    },
    /// A distribution that would be built from source, and there is no builder for the target.
    #[error("{at}: `{wish}` has no wheel for {target}: {}", match misfit {
        Some(misfit) => format!("its wheels {misfit}"),
        None => "the index has its sources alone".to_owned(),
    })]
    NoWheel {
        /// Where the requirement is written.
        at: Location,
        /// What is required.
        wish: String,
        /// What the artifact is for.
        target: String,
        /// Why its wheels are of no use; `None` where it has none.
        misfit: Option<Box<Misfit>>,
    },
    /// Two requirements that no version meets.
    #[error("{at}: `{one}` and `{other}` ({other_at}) cannot both be met")]
    Conflict {
        /// Where the one is written.
        at: Location,
        /// The one.
        one: String,
        /// The other.
        other: String,
        /// Where the other is written.
        other_at: Location,
    },
    /// A distribution that something needs, and that no requirement names.
    #[error("{at}: {chain} requires `{requires}`, which is not among the requirements")]
    Open {
        /// Where the first of the chain is written.
        at: Location,
        /// The distributions that lead there.
        chain: String,
        /// What is required.
        requires: String,
    },
    /// A distribution that something needs in another version.
    #[error("{at}: {chain} requires `{requires}`, and the requirements have version {has}")]
    Unmet {
        /// Where the first of the chain is written.
        at: Location,
        /// The distributions that lead there.
        chain: String,
        /// What is required.
        requires: String,
        /// The version that is there.
        has: String,
    },
    /// Its metadata says that it is for other Pythons.
    #[error("{at}: {distribution} requires Python {requires}, and this is {python}")]
    Python {
        /// Where the requirement is written.
        at: Location,
        /// The distribution.
        distribution: String,
        /// What it requires.
        requires: String,
        /// What there is.
        python: String,
    },
    /// It leads to something else than it says.
    #[error("{at}: `{requirement}` leads to {found}")]
    Other {
        /// Where the requirement is written.
        at: Location,
        /// What is required.
        requirement: String,
        /// What is there.
        found: String,
    },
    /// Only pip in a builder could go on, and there is no builder for the target.
    #[error("pip would have to run on {target}, and with --platform there is no builder: {why}")]
    NoBuilder {
        /// What the artifact is for.
        target: String,
        /// Why pip is needed.
        why: String,
        /// The commands that resolve for the target, where there are some.
        command: Option<String>,
    },
    /// pip would have to choose, and it knows no order of indexes.
    #[error(
        "pip would have to choose a version, and it does not know `--index-strategy first-index`: {why}"
    )]
    FirstIndex {
        /// Why pip is needed.
        why: String,
    },
    /// Only pip could go on, and it would ask an index.
    #[error("pip would have to ask an index, and nothing is fetched with --offline: {why}")]
    Offline {
        /// Why pip is needed.
        why: String,
    },
    /// An index does not give what is needed.
    #[error("{at}: cannot get what `{wish}` needs")]
    Unavailable {
        /// Where the requirement is written.
        at: Location,
        /// What is required.
        wish: String,
        /// Why.
        #[source]
        source: Box<index::Error>,
    },
    /// A marker that has no answer for this interpreter.
    #[error(transparent)]
    Requirements(#[from] requirements::Error),
}

/// What to do about a version such as `1.9+cu102`, which the main index never has.
fn local_version(wish: &str) -> Option<String> {
    let (name, version) = wish.split_once("==")?;
    let (_, label) = version.split_once('+')?;
    let is_of_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let label = label.split(|c| !is_of_label(c)).next().unwrap_or_default();
    let is_torch = name.starts_with("torch");
    let is_of_torch = ["cu", "cpu", "rocm", "xpu"]
        .iter()
        .any(|start| label.starts_with(start));
    Some(if is_torch && is_of_torch {
        format!(
            "`+{label}` is a local version, which PyPI does not have; PyTorch's index has it: \
             --extra-index-url https://download.pytorch.org/whl/{label}"
        )
    } else {
        format!(
            "`+{label}` is a local version, which PyPI does not have: name the index that has it with \
             --extra-index-url"
        )
    })
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Unavailable { source, .. } => Some(source.as_ref()),
            Self::Requirements(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Conflict { .. } | Self::Open { .. } | Self::Unmet { .. } => Kind::Request,
            _ => self.wrapped().map_or(Kind::Build, Diagnosis::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Refused { reason, wish, .. }
                if matches!(**reason, Refused::Unknown | Refused::Version { .. }) =>
            {
                if let Some(hint) = local_version(wish) {
                    return Some(hint);
                }
                match **reason {
                    Refused::Unknown => {
                        "is the name right, and is it on this index? the URL of an index usually ends in `/simple`"
                    }
                    _ => return None,
                }
            }
            Self::Refused { reason, .. } => match **reason {
                Refused::Hash { .. } => {
                    "the requirements were locked against other files: lock them again, or find out who changed them"
                }
                Refused::Tags(ref misfit) => return Some(fitting(Some(misfit), SOURCES)),
                _ => return None,
            },
            Self::NoWheel { misfit, .. } => return Some(fitting(misfit.as_deref(), BUILDER)),
            Self::Open { .. } => {
                "lock the requirements again; `--no-deps` installs what is named and nothing else"
            }
            Self::Conflict { .. } | Self::Unmet { .. } => "lock the requirements again",
            Self::Offline { .. } => "lock the requirements before, without --offline",
            Self::NoBuilder {
                command: Some(command),
                ..
            } => return Some(format!("uv resolves for other platforms: {command}")),
            Self::NoBuilder { .. } => {
                "run `prebuild lock` on such a machine, and build here from its pylock.toml"
            }
            Self::FirstIndex { .. } => {
                "pin every requirement (`name==version`), name one index alone, or take \
                 `--index-strategy unsafe-best-match`"
            }
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}

/// What else helps where the target's wheels are missing, and there is a builder.
const SOURCES: &str = "require a version that has a wheel for it, or one with sources to build";
/// What else helps where there is none.
const BUILDER: &str = "require a version that has a wheel for it, or build on a machine like it";

/// What to do about wheels that the target cannot use.
fn fitting(misfit: Option<&Misfit>, or: &str) -> String {
    match misfit.and_then(Misfit::platform) {
        Some(platform) => {
            format!("if the runtime is new enough, pass `--platform {platform}`; else {or}")
        }
        None => or.to_owned(),
    }
}
