//! The result of a build.

use serde::Serialize;

use crate::audit::Finding;
use crate::bundle::Bundled;
use crate::event::Stage;
use crate::install::Installer;
use crate::layout::Layout;
use crate::pack::Packed;
use crate::piece::Piece;
use crate::plan::Setting;
use crate::requirements;
use crate::runner::Identity;
use crate::runtime::Runtime;
use crate::target::Target;

/// A finished build: the artifacts, and what is in them.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Artifact {
    /// The version of this document.
    pub version: u32,
    /// What was written.
    pub outputs: Vec<Packed>,
    /// The distributions in it, by name.
    pub distributions: Vec<Piece>,
    /// How many files there are.
    pub files: usize,
    /// How many of them are native code.
    pub native: usize,
    /// The bytes of all files together, before packing.
    pub size: u64,
    /// What the audit found.
    pub findings: Vec<Finding>,
    /// The libraries that were copied from the builder.
    pub bundled: Vec<Bundled>,
    /// Who put the distributions into the prefix.
    pub installer: Installer,
    /// Where sources were built; none for a target that no builder is.
    pub builder: Option<Identity>,
    /// The version of the builder's pip, if there is a builder.
    pub pip: Option<String>,
    /// What the artifact is for.
    pub target: Target,
    /// What it will run in, if that was looked at.
    pub runtime: Option<Runtime>,
    /// Where it will lie.
    pub layout: Layout,
    /// The settings of pip's that reached the build.
    pub settings: Vec<Setting>,
    /// The requirements files that were read.
    pub inputs: Vec<requirements::File>,
    /// How long each stage took, in seconds; empty unless the caller gave a clock.
    pub seconds: Vec<(Stage, f64)>,
}
