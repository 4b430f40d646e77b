//! What the builder's interpreter says of itself: one question, one process, one answer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cache::{Bucket, Cache, Watched};
use crate::diagnosis::{Diagnosis, Kind};
use crate::digest::Digest;
use crate::fs;
use crate::requirements::hide_credentials;
use crate::runner::{self, Exec, Session};
use crate::target::{MarkerEnvironment, Named, Target};
use crate::tree::Tree;

/// pip, as it is in a builder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pip {
    /// Its version.
    pub version: String,
    /// The long options that its source defines, those of `install` among them.
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
    /// The fields `ID` and `ID_LIKE` of the builder's os-release file, separated by a space.
    #[serde(default)]
    pub os: String,
    /// The tags of the wheels that its pip would install, the best first; none if it has no pip.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The newest glibc that wheels may ask for, if it is not the interpreter's own: that of the runtime.
    #[serde(skip)]
    pub glibc: Option<(u32, u32)>,
    /// The paths that can change the answer while the interpreter stays.
    #[serde(default)]
    pub watched: Vec<PathBuf>,
}

impl Interpreter {
    /// What the interpreter of an open builder says, or said when it was the same: then no Python is
    /// started.
    ///
    /// `config` holds the caller's pip configuration files (path and text) where the builder does
    /// not see them itself; `env` is set for the question.
    pub fn ask(
        session: &mut dyn Session,
        config: &[(String, String)],
        env: BTreeMap<String, String>,
        cache: &Cache,
    ) -> Result<Self, Error> {
        let python = session.python().to_owned();
        let read = |answer: &str| {
            serde_json::from_str(answer).map_err(|source| Error::Unreadable {
                python: python.clone(),
                source: Box::new(source),
            })
        };
        let key = session.decides().map(|decides| {
            // Hashed: the caller's configuration may hold secrets.
            let all = format!("{decides} {config:?} {env:?} {PROBE}");
            Digest::of(all.as_bytes())
        });
        let kept = key.as_ref().map(|key| Watched {
            cache,
            bucket: Bucket::Interpreters,
            key,
            stamp: fs::Stamp::of,
        });
        if let Some(known) = kept.as_ref().and_then(Watched::known) {
            return Ok(known);
        }
        let answer = question(session, config, env)?;
        let interpreter: Self = read(&answer)?;
        if let Some(kept) = kept
            && !interpreter.tells_secrets()
        {
            // An image does not change.
            let watched = if session.inherits() {
                interpreter.watched.as_slice()
            } else {
                &[]
            };
            kept.keep(answer.as_bytes(), watched);
        }
        Ok(interpreter)
    }

    /// What the interpreter of a named target would say: it is not here, and neither is its pip.
    #[must_use]
    pub fn named(named: &Named) -> Self {
        let Target {
            markers,
            platform,
            soabi,
            libc,
        } = named.target.clone();
        Self {
            markers,
            platform,
            soabi,
            libc,
            tags: named.tags.clone(),
            glibc: None,
            executable: String::new(),
            interpreters: Vec::new(),
            prefix: String::new(),
            site_packages: Vec::new(),
            pip: None,
            config: Vec::new(),
            caller_config: Vec::new(),
            broken_config: Vec::new(),
            environment: BTreeMap::new(),
            prefix_map: None,
            optimisation: String::new(),
            os: String::new(),
            watched: Vec::new(),
        }
    }

    /// Whether a setting holds credentials, which must not be kept.
    fn tells_secrets(&self) -> bool {
        let settings = self.config.iter().chain(&self.caller_config);
        let mut values = settings
            .map(|(_, _, value)| value)
            .chain(self.environment.values());
        values.any(|value| hide_credentials(value) != *value)
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

/// Asks.
fn question(
    session: &mut dyn Session,
    config: &[(String, String)],
    env: BTreeMap<String, String>,
) -> Result<String, Error> {
    session.put("prebuild/ask", &Tree::of_file("probe.py", PROBE))?;
    let exec = Exec::new(session.python())
        .args([session.locate("prebuild/ask/probe.py")])
        // With this, an interpreter may not even start.
        .envs([("PYTHONHOME".to_owned(), String::new())])
        .envs(env);
    let question = serde_json::json!({ "config": config }).to_string();
    let answer = runner::answer(session, &exec, &question);
    answer.map_err(|error| match error {
        runner::Error::Failed { tail, .. } => Error::NoAnswer {
            python: session.python().to_owned(),
            reason: tail.last().cloned().unwrap_or_default(),
        },
        error @ (runner::Error::TooSlow { .. } | runner::Error::TooMuch { .. }) => {
            Error::NoAnswer {
                python: session.python().to_owned(),
                reason: error.to_string(),
            }
        }
        error => Error::Runner(error),
    })
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
    #[error("cannot query `{python}`: {reason}")]
    NoAnswer {
        /// The interpreter.
        python: String,
        /// The last line that it wrote.
        reason: String,
    },
    /// It answered something else.
    #[error("cannot read the answer of `{python}`")]
    Unreadable {
        /// The interpreter.
        python: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Runner(error) => Some(error),
            Self::NoAnswer { .. } | Self::Unreadable { .. } => None,
        }
    }

    fn kind(&self) -> Kind {
        self.wrapped().map_or(Kind::Setup, Diagnosis::kind)
    }

    fn hint(&self) -> Option<String> {
        match self.wrapped() {
            Some(cause) => cause.hint(),
            None => Some("prebuild needs CPython 3.8 or later".to_owned()),
        }
    }
}
