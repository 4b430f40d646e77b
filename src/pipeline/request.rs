//! What is asked for.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::cache;
use crate::install::Installer;
use crate::pack::{self, Output};
use crate::pip;
use crate::requirements::{Input, Name};
use crate::runtime;
use crate::target::Named;
use crate::wheel::{Leniency, Limits};

/// Whether a lock file decides what is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LockUse {
    /// None does.
    #[default]
    Never,
    /// This one does, and there are no requirements.
    Input {
        /// The lock file.
        path: PathBuf,
        /// The extras that are asked for.
        extras: BTreeSet<Name>,
        /// The dependency groups that are; the file's default ones, if none are named.
        groups: BTreeSet<Name>,
    },
    /// This one does if it is up to date with the requirements; otherwise its versions are preferred.
    Beside {
        /// The lock file, which may not be there.
        path: PathBuf,
        /// Whether it must be up to date.
        required: bool,
    },
}

/// What is asked for: all that decides a build, as values.
#[derive(Debug, Clone)]
pub struct Request {
    /// The requirements files, and projects.
    pub inputs: Vec<Input>,
    /// Whether a lock file says what they come to.
    pub lock: LockUse,
    /// Files of constraints.
    pub constraints: Vec<Input>,
    /// The working folder, absolute.
    pub cwd: PathBuf,
    /// What it is for, if that is not the builder's own interpreter: then there is no builder.
    pub target: Option<Named>,
    /// How pip is run; its `env` is also what `${NAME}` in requirements stands for.
    pub pip: pip::Options,
    /// What it will run in.
    pub runtime: Option<runtime::Wanted>,
    /// The findings that stop nothing though they are errors: `missing-library`, or
    /// `missing-library:libfoo.so.1`.
    pub allow: Vec<String>,
    /// Whether libraries that the runtime lacks are copied from the builder.
    pub bundle_libs: bool,
    /// Where the prefix will lie in the runtime, if that does not follow from the runtime.
    pub dest: Option<String>,
    /// The interpreter that scripts name, if it is not what follows from `dest`.
    pub script_python: Option<String>,
    /// Whether bytecode is written.
    pub compile: bool,
    /// Who puts distributions into the prefix.
    pub installer: Installer,
    /// What a wheel may take up.
    pub limits: Limits,
    /// What a wheel's `RECORD` may lack.
    pub leniency: Leniency,
    /// What to write.
    pub outputs: Vec<Output>,
    /// How.
    pub pack: pack::Options,
    /// Where what can be used again is kept.
    pub cache: cache::Place,
    /// Tells the time since some moment, for the summary; the library has no clock of its own.
    pub clock: Option<fn() -> Duration>,
}

impl Request {
    /// A request that reads `inputs`, with every default that the command line has.
    #[must_use]
    pub fn new(inputs: Vec<Input>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            inputs,
            lock: LockUse::default(),
            constraints: Vec::new(),
            cwd: cwd.into(),
            target: None,
            pip: pip::Options {
                epoch: pack::DEFAULT_MTIME,
                ..pip::Options::default()
            },
            runtime: None,
            allow: Vec::new(),
            bundle_libs: false,
            dest: None,
            script_python: None,
            compile: false,
            installer: Installer::default(),
            limits: Limits::default(),
            leniency: Leniency::default(),
            outputs: Vec::new(),
            pack: pack::Options::default(),
            cache: cache::Place::temporary("/tmp"),
            clock: None,
        }
    }
}
