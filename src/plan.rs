//! What will be done, decided before any of it is: requirements, and whether each applies.

use serde::Serialize;

use crate::pip::Setting;
use crate::requirements::{self, Applies, Entry, Options, Requirements};
use crate::runner::Identity;
use crate::target::Target;

/// A build, decided and not yet done.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The version of this document.
    pub version: u32,
    /// Where pip runs.
    pub builder: Identity,
    /// What the artifact is for.
    pub target: Target,
    /// The version of the builder's pip.
    pub pip: String,
    /// The requirements, in the order that they were read.
    pub requirements: Vec<Planned>,
    /// What `-c` files say.
    pub constraints: Vec<Planned>,
    /// The options that hold for all.
    pub options: Options,
    /// The settings of pip's that reach the build.
    pub settings: Vec<Setting>,
    /// The files that were read.
    pub files: Vec<requirements::File>,
}

/// A requirement, and whether it applies.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// What was read.
    #[serde(flatten)]
    pub entry: Entry,
    /// Whether it applies for the target.
    pub applies: bool,
    /// Why it does not.
    pub reason: Option<String>,
}

impl Plan {
    /// Decides what applies.
    pub fn new(
        builder: Identity,
        target: Target,
        pip: String,
        settings: Vec<Setting>,
        requirements: &Requirements,
    ) -> Result<Self, requirements::Error> {
        let decide = |entries: &[Entry]| -> Result<Vec<Planned>, requirements::Error> {
            entries
                .iter()
                .map(|entry| {
                    let reason = match entry.applies(&target.markers)? {
                        Applies::Yes => None,
                        Applies::No(reason) => Some(reason),
                    };
                    Ok(Planned {
                        entry: entry.clone(),
                        applies: reason.is_none(),
                        reason,
                    })
                })
                .collect()
        };
        Ok(Self {
            version: 1,
            requirements: decide(requirements.entries())?,
            constraints: decide(requirements.constraints())?,
            options: requirements.options().clone(),
            files: requirements.files().to_vec(),
            builder,
            target,
            pip,
            settings,
        })
    }
}
