//! What the builder's interpreter says of itself: one question, one process, one answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Stream;
use crate::runner::{self, Exec, Session};
use crate::target::{MarkerEnvironment, Target};
use crate::tree::Tree;

/// pip, as it is in a builder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pip {
    /// Its version.
    pub version: String,
    /// The long options that its `install` takes.
    pub options: Vec<String>,
    /// Whether it runs at all: a pip too old for its interpreter does not.
    pub works: bool,
}

impl Pip {
    /// Whether `install` takes this option.
    #[must_use]
    pub fn takes(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }
}

/// What a builder's interpreter says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Interpreter {
    /// The values of the environment markers.
    pub markers: MarkerEnvironment,
    /// Its path, by the name that lasts (`python3.11` rather than `python3`).
    pub executable: String,
    /// Every path under which scripts may name it.
    pub interpreters: Vec<String>,
    /// `sys.prefix`.
    pub prefix: String,
    /// The site folders that it searches.
    pub site_packages: Vec<String>,
    /// See [`Target::soabi`].
    pub soabi: Option<String>,
    /// See [`Target::platform`].
    pub platform: String,
    /// See [`Target::libc`].
    pub libc: String,
    /// pip, if it has one.
    pub pip: Option<Pip>,
    /// The settings of the builder's own pip configuration files that count for `pip install`:
    /// file, option, value; later ones win.
    pub config: Vec<(String, String, String)>,
    /// Those of the caller's files: paths in them are of the caller's machine.
    pub caller_config: Vec<(String, String, String)>,
    /// Configuration files that cannot be read: file, why.
    pub broken_config: Vec<(String, String)>,
    /// The variables of the builder's own environment that pip and Python look at.
    pub environment: BTreeMap<String, String>,
    /// The compiler's flag that takes paths out of what it makes.
    pub prefix_map: Option<String>,
    /// The optimisation level that extension modules get by default.
    pub optimisation: String,
}

impl Interpreter {
    /// Asks the interpreter of an open builder.
    ///
    /// `config` holds the caller's pip configuration files (path and text) where the builder does
    /// not see them itself; `env` is set for the question.
    pub fn ask(
        session: &mut dyn Session,
        config: &[(String, String)],
        env: BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        session.put("prebuild/ask", &Tree::of_file("probe.py", PROBE))?;
        let exec = Exec::new(session.python())
            .args([session.locate("prebuild/ask/probe.py")])
            // With this, an interpreter may not even start.
            .envs([("PYTHONHOME".to_owned(), String::new())])
            .envs(env);
        let question = serde_json::json!({ "config": config }).to_string();
        let mut answer = String::new();
        session
            .run(&exec, question.as_bytes(), &mut |stream, line| {
                if stream == Stream::Stdout {
                    answer.push_str(line);
                }
            })
            .map_err(|error| match error {
                runner::Error::Failed { tail, .. } => Error::NoAnswer {
                    python: session.python().to_owned(),
                    reason: tail.last().cloned().unwrap_or_default(),
                },
                error => Error::Runner(error),
            })?;
        serde_json::from_str(&answer).map_err(|source| Error::Unreadable {
            python: session.python().to_owned(),
            source: Box::new(source),
        })
    }

    /// What an artifact from here is for.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            markers: self.markers.clone(),
            platform: self.platform.clone(),
            soabi: self.soabi.clone(),
            libc: self.libc.clone(),
        }
    }
}

/// Variables that change what Python does with a script, without their meaning: for scripts of
/// prebuild's own, which must do the same everywhere.
pub(crate) fn unset_python_variables() -> impl Iterator<Item = (String, String)> {
    [
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONOPTIMIZE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONSTARTUP",
        "PYTHONINSPECT",
        "PYTHONWARNINGS",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), String::new()))
}

const PROBE: &str = include_str!("probe.py");

/// Why a builder's interpreter could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The builder failed.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// It ran and failed: no Python, or too old a one.
    #[error("`{python}` does not say what it is: {reason}")]
    NoAnswer {
        /// Which.
        python: String,
        /// The last line that it wrote.
        reason: String,
    },
    /// It answered something else.
    #[error("the answer of `{python}` cannot be read")]
    Unreadable {
        /// Which.
        python: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
