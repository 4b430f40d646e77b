//! What is asked for, in four parts: what to install, for which destination, how, and what to write.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::cache;
use crate::install::Installer;
use crate::pack::{self, Output};
use crate::pip;
use crate::requirements::{Chosen, Input};
use crate::runner::Local;
use crate::runtime;
use crate::target::Named;
use crate::wheel::{Leniency, Limits};

/// A lock file of a build, and how far the build trusts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockUse {
    /// The lock file; a relative path starts at the working folder.
    pub file: PathBuf,
    /// How far it is trusted.
    pub trust: Trust,
}

/// How far a build trusts a lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It decides, and there are no requirements that it could be out of date with.
    Alone,
    /// It decides, and must be up to date with the requirements.
    Required,
    /// It decides if it is up to date with the requirements; otherwise its versions are preferred. It may be
    /// missing.
    Preferred,
}

/// What is to be installed.
#[derive(Debug, Clone)]
pub struct What {
    /// The requirements files, and projects.
    pub inputs: Vec<Input>,
    /// Files of constraints.
    pub constraints: Vec<Input>,
    /// The lock file, if there may be one.
    pub lock: Option<LockUse>,
    /// The extras and groups that are asked of the lock file. Those of a project are in its [`Input`].
    pub chosen: Chosen,
    /// The working folder, absolute.
    pub cwd: PathBuf,
}

/// What it is installed for.
#[derive(Debug, Clone, Default)]
pub struct Destination {
    /// The target, if that is not the builder's own interpreter: then there is no builder.
    pub target: Option<Named>,
    /// The runtime that the prefix is checked against.
    pub runtime: Option<runtime::Wanted>,
    /// Where the prefix will lie in the runtime, if that does not follow from the runtime.
    pub dest: Option<String>,
    /// The interpreter that scripts name, if it is not what follows from `dest`.
    pub script_python: Option<String>,
    /// The findings that stop nothing though they are errors: `missing-library`, or
    /// `missing-library:libfoo.so.1`.
    pub allow: Vec<String>,
}

/// How it is installed.
#[derive(Debug, Clone)]
pub struct How {
    /// How pip is run; its `env` is also what `${NAME}` in requirements stands for.
    pub pip: pip::Options,
    /// Who puts distributions into the prefix.
    pub installer: Installer,
    /// What a wheel may take up.
    pub limits: Limits,
    /// What a wheel's `RECORD` may lack.
    pub leniency: Leniency,
    /// Whether bytecode is written.
    pub compile: bool,
    /// Whether libraries that the runtime lacks are copied from the builder.
    pub bundle_libs: bool,
    /// The cache.
    pub cache: cache::Place,
    /// Tells the time since some moment, for the summary; the library has no clock of its own.
    pub clock: Option<fn() -> Duration>,
}

/// What is written.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// The archives and directories.
    pub files: Vec<Output>,
    /// How they are written.
    pub options: pack::Options,
}

/// All that decides a build, as values.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be installed.
    pub what: What,
    /// What it is installed for.
    pub destination: Destination,
    /// How it is installed.
    pub how: How,
    /// What is written.
    pub outputs: Outputs,
}

impl Request {
    /// A request to install `inputs` for the builder's own interpreter. `env` holds the environment variables:
    /// pip's settings, those of the network, and what `${NAME}` in requirements stands for.
    ///
    /// It has no constraints, no lock file, no runtime to check against, and no outputs: name them in its
    /// fields. Everything else is as the command line has it, but for three things that only the caller knows:
    /// the cache is temporary and lies in `/tmp`, pip's configuration files are not read for a builder that
    /// does not see them, and there is no clock.
    #[must_use]
    pub fn new(inputs: Vec<Input>, cwd: impl Into<PathBuf>, env: BTreeMap<String, String>) -> Self {
        Self {
            what: What {
                inputs,
                constraints: Vec::new(),
                lock: None,
                chosen: Chosen::default(),
                cwd: cwd.into(),
            },
            destination: Destination::default(),
            how: How {
                pip: pip::Options {
                    env,
                    epoch: pack::DEFAULT_MTIME,
                    ..pip::Options::default()
                },
                installer: Installer::default(),
                limits: Limits::default(),
                leniency: Leniency::default(),
                compile: false,
                bundle_libs: false,
                cache: cache::Place::temporary("/tmp"),
                clock: None,
            },
            outputs: Outputs::default(),
        }
    }

    /// This machine as the builder, with the environment of the request: `python` is an interpreter's path, or
    /// its name on the `PATH`. Temporary files lie in the request's scratch folder.
    #[must_use]
    pub fn local(&self, python: &str) -> Local {
        let scratch = self.how.cache.scratch();
        Local::new(python, scratch, self.how.pip.env.clone())
    }

    pub(super) fn order(&self) -> Order<'_> {
        Order {
            what: &self.what,
            destination: &self.destination,
            how: &self.how,
        }
    }
}

/// A request without its outputs: what a plan follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) what: &'a What,
    pub(super) destination: &'a Destination,
    pub(super) how: &'a How,
}
