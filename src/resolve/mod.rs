//! Resolves pinned requirements without pip.
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

/// The rules for the choice of files, besides the requirements: pip's options of the same names.
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

/// Why requirements cannot be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A distribution has no usable file.
    #[error("{at}: cannot install {wish} for {target}: {reason}")]
    Refused {
        /// The place of the requirement.
        at: Location,
        /// The requirement.
        wish: String,
        /// The target.
        target: String,
        /// The reason.
        reason: Box<Refused>,
    },
    /// A distribution must be built from source, and the target has no builder.
    #[error("{at}: `{wish}` has no wheel for {target}: {}", match misfit {
        Some(misfit) => format!("its wheels {misfit}"),
        None => "the index has only its sdists".to_owned(),
    })]
    NoWheel {
        /// The place of the requirement.
        at: Location,
        /// The requirement.
        wish: String,
        /// The target.
        target: String,
        /// Why its wheels are incompatible; `None` if it has no wheels.
        misfit: Option<Box<Misfit>>,
    },
    /// Two requirements conflict.
    #[error("{at}: `{one}` conflicts with `{other}` ({other_at})")]
    Conflict {
        /// The place of the first requirement.
        at: Location,
        /// The first requirement.
        one: String,
        /// The second requirement.
        other: String,
        /// The place of the second requirement.
        other_at: Location,
    },
    /// A dependency is missing among the requirements.
    #[error("{at}: {chain} requires `{requires}`, which is not among the requirements")]
    Open {
        /// The place of the first requirement of the chain.
        at: Location,
        /// The distributions from that requirement to the dependency.
        chain: String,
        /// The requirement.
        requires: String,
    },
    /// A dependency has an incompatible version among the requirements.
    #[error("{at}: {chain} requires `{requires}`, but the requirements have version {has}")]
    Unmet {
        /// The place of the first requirement of the chain.
        at: Location,
        /// The distributions from that requirement to the dependency.
        chain: String,
        /// The requirement.
        requires: String,
        /// The version among the requirements.
        has: String,
    },
    /// A distribution is incompatible with the target's Python.
    #[error("{at}: {distribution} requires Python {requires}, and this is {python}")]
    Python {
        /// The place of the requirement.
        at: Location,
        /// The distribution.
        distribution: String,
        /// The required Python.
        requires: String,
        /// The target's Python.
        python: String,
    },
    /// A URL or a path contains another distribution than the requirement names.
    #[error("{at}: `{requirement}` leads to {found}")]
    Other {
        /// The place of the requirement.
        at: Location,
        /// The requirement.
        requirement: String,
        /// The distribution that was found.
        found: String,
    },
    /// The requirements need pip, and the target has no builder.
    #[error("this needs pip on {target}, and --platform uses no builder: {why}")]
    NoBuilder {
        /// The target.
        target: String,
        /// The reason why pip is needed.
        why: String,
        /// The commands that resolve for the target, where there are some.
        command: Option<String>,
    },
    /// The requirements need pip, which has no order of indexes.
    #[error("this needs pip, and pip does not support `--index-strategy first-index`: {why}")]
    FirstIndex {
        /// The reason why pip is needed.
        why: String,
    },
    /// The requirements need pip and an index, and the build is offline.
    #[error("this needs pip and an index, and --offline allows no download: {why}")]
    Offline {
        /// The reason why pip is needed.
        why: String,
    },
    /// A download for a requirement failed.
    #[error("{at}: the download for `{wish}` failed")]
    Unavailable {
        /// The place of the requirement.
        at: Location,
        /// The requirement.
        wish: String,
        /// The cause.
        #[source]
        source: Box<index::Error>,
    },
    /// A marker cannot be evaluated for this interpreter.
    #[error(transparent)]
    Requirements(#[from] requirements::Error),
}

/// The hint for a version such as `1.9+cu102`, which the main index never has.
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
                        "check the name and the index: the URL of an index usually ends in `/simple`"
                    }
                    _ => return None,
                }
            }
            Self::Refused { reason, .. } => match **reason {
                Refused::Hash { .. } => {
                    "the files have changed since the requirements were locked: check the files before you lock again"
                }
                Refused::Tags(ref misfit) => return Some(fitting(Some(misfit), SOURCES)),
                _ => return None,
            },
            Self::NoWheel { misfit, .. } => return Some(fitting(misfit.as_deref(), BUILDER)),
            Self::Open { .. } => {
                "lock the requirements again, or pass `--no-deps` to install no dependencies"
            }
            Self::Conflict { .. } | Self::Unmet { .. } => "lock the requirements again",
            Self::Offline { .. } => "run `prebuild lock` once without --offline",
            Self::NoBuilder {
                command: Some(command),
                ..
            } => return Some(format!("uv resolves for other platforms: {command}")),
            Self::NoBuilder { .. } => {
                "run `prebuild lock` on that platform, and build here from its pylock.toml"
            }
            Self::FirstIndex { .. } => {
                "pin every requirement (`name==version`), use one index only, or pass `--index-strategy unsafe-best-match`"
            }
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}

/// The hint if the target's wheels are missing, and there is a builder.
const SOURCES: &str = "require a version that has a wheel for the target, or an sdist";
/// The hint if there is no builder.
const BUILDER: &str =
    "require a version that has a wheel for the target, or build on that platform";

/// The hint for wheels that are incompatible with the target.
fn fitting(misfit: Option<&Misfit>, or: &str) -> String {
    match misfit.and_then(Misfit::platform) {
        Some(platform) => {
            format!("if the runtime is new enough, pass `--platform {platform}`; otherwise {or}")
        }
        None => or.to_owned(),
    }
}
