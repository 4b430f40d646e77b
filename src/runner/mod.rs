//! The one way out of this process: the builder, where pip runs.
//!
//! A command is a value ([`Exec`]). A [`Runner`] opens a builder as a [`Session`]: files go in and a
//! folder comes out as trees, commands run with an input, and everything that was started is gone
//! when the session is dropped. Every fact about the builder comes through it.
//!
//! There are three: [`Local`] is this machine, [`Container`] is Docker or podman by their command
//! lines, and a test's own script.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnosis::{Diagnosis, Kind};
use crate::event::{Cancel, Stream};
use crate::fs::{self, TempDir};
use crate::tree::{ReadError, Tree};

mod container;
mod image;
mod local;
mod process;
mod stream;
pub(crate) mod variables;

pub use container::{Container, Engine};
pub use image::{Image, unpack};
pub use local::Local;
pub use variables::engine as engine_variables;

/// How long a command may take that only answers a question, and how many bytes it may write. An emulated
/// interpreter takes some ten seconds, and writes some 100 KB.
const ANSWER_TIME: Duration = Duration::from_secs(120);
const ANSWER_SIZE: u64 = 16 << 20;

/// What a command of this machine writes to standard output.
pub(crate) fn ask(exec: &Exec, cancel: &Cancel) -> Result<String, Error> {
    process::capture(exec, cancel)
}

/// Runs a command of this machine to its end.
pub(crate) fn run(
    exec: &Exec,
    cancel: &Cancel,
    input: &[u8],
    on_line: &mut dyn FnMut(Stream, &str),
) -> Result<(), Error> {
    process::run(exec, cancel, input, on_line)
}

/// Runs a command in a builder that answers a question, and returns what it wrote to standard output. It may
/// take two minutes, or as long as `exec` says.
pub(crate) fn answer(
    session: &mut dyn Session,
    exec: &Exec,
    question: &str,
) -> Result<String, Error> {
    let mut exec = exec.clone();
    exec.time = exec.time.or(Some(ANSWER_TIME));
    exec.output = exec.output.min(ANSWER_SIZE);
    let mut answer = String::new();
    session.run(&exec, question.as_bytes(), &mut |stream, line| {
        if stream == Stream::Stdout {
            answer.push_str(line);
        }
    })?;
    Ok(answer)
}

/// Reads a tar stream into a tree of at most `limit` bytes of contents, which go into a file in `spool`.
pub fn read_tar(
    stream: impl io::Read,
    limit: u64,
    spool: &Arc<TempDir>,
) -> Result<Tree, ReadError> {
    stream::read(stream, "", limit, spool)
}

/// A command, not yet run.
#[derive(Clone, PartialEq, Eq)]
pub struct Exec {
    /// The program, as the builder knows it.
    pub program: String,
    /// Its arguments. Anyone on the builder's machine can read them: no secret may be here.
    pub args: Vec<String>,
    /// Variables set on top of the builder's own environment. Secrets may be here; an empty value
    /// takes away the meaning of a variable that the builder sets itself.
    pub env: BTreeMap<String, String>,
    /// How long it may take; for ever if this is not set. Then it is ended, with all that it started.
    pub time: Option<Duration>,
    /// How many bytes it may write, as lines, before it is ended.
    pub output: u64,
}

/// More than any build writes, in bytes.
const MAX_OUTPUT: u64 = 256 << 20;

impl Exec {
    /// A command without arguments.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            time: None,
            output: MAX_OUTPUT,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Ends it when it takes longer.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(env);
        self
    }
}

/// As one could type it, without the environment.
impl fmt::Display for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        for arg in &self.args {
            if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || "'\"$`\\".contains(c))
            {
                write!(f, " '{}'", arg.replace('\'', r"'\''"))?;
            } else {
                write!(f, " {arg}")?;
            }
        }
        Ok(())
    }
}

/// The environment may hold secrets: only its names are shown.
impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec")
            .field("command", &self.to_string())
            .field("env", &self.env.keys())
            .finish_non_exhaustive()
    }
}

/// What stands for a builder in a summary.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    /// `local`, `docker`, `podman`, or a name that another runner gives itself.
    pub kind: String,
    /// The image, as the user named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The image's digest: of its manifest in a registry where it has one, else the image's
    /// identity in the engine's store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.image {
            None => f.write_str(match self.kind.as_str() {
                "local" => "this machine",
                kind => kind,
            }),
            Some(image) => write!(f, "{} {image}", self.kind),
        }
    }
}

/// A place where commands can run, not yet opened.
pub trait Runner: Sync {
    /// Opens it. What the session starts ends when `cancel` is thrown or the session is dropped.
    fn open(&self, cancel: &Cancel) -> Result<Box<dyn Session>, Error>;

    /// The same place for code that nobody trusts, which may use so many bytes of memory; nothing where
    /// this runner has no walls of its own.
    fn isolated(&self, memory: u64) -> Option<Box<dyn Runner>> {
        let _ = memory;
        None
    }
}

/// An open builder.
///
/// Paths inside are relative to a root that belongs to the session: `install` is `/install` in a
/// container, and lies in a temporary folder on this machine. [`locate`](Self::locate) tells.
pub trait Session {
    /// What stands for this builder.
    fn identity(&self) -> &Identity;

    /// The program that runs Python here.
    fn python(&self) -> &str;

    /// The absolute path by which commands in this builder know `inside`.
    fn locate(&self, inside: &str) -> String;

    /// Whether the builder is this machine: the caller's paths, and those of its variables that any
    /// program needs, are the builder's too.
    fn inherits(&self) -> bool;

    /// All that decides what this builder's interpreter says of itself, as text; `None` where only
    /// asking it tells.
    fn decides(&self) -> Option<String> {
        None
    }

    /// All that decides what a build from source makes here with the interpreter `executable`, besides
    /// the source and how it is built, as text; `None` where that is not known, and so what is built
    /// is not kept.
    fn builds(&self, executable: &str) -> Option<String> {
        let _ = executable;
        None
    }

    /// Puts `tree` into the folder `inside`, which is created with its parents.
    fn put(&mut self, inside: &str, tree: &Tree) -> Result<(), Error>;

    /// Runs `exec` to its end, gives it `input`, and hands over each line of output as it comes.
    fn run(
        &mut self,
        exec: &Exec,
        input: &[u8],
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<(), Error>;

    /// Takes the folder `inside` out. What is in it is checked as hostile input: names, kinds and
    /// sizes. The tree keeps alive whatever it needs.
    fn get(&mut self, inside: &str) -> Result<Tree, Error>;
}

/// How a failed command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What a shell and the engines make of a signal inside.
            Self::Code(137) => f.write_str("exit code 137: killed"),
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// Why a builder could not be used, or why a command in it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller cancelled the operation.
    #[error("interrupted")]
    Cancelled,
    /// The program is not installed.
    #[error("cannot find `{program}`")]
    NotFound {
        /// The program.
        program: String,
    },
    /// A command could not be started, or its streams broke.
    #[error("cannot run `{command}`")]
    Io {
        /// The command line.
        command: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The command failed.
    #[error("`{command}` failed ({ending})")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        ending: Ending,
        /// The last lines that it wrote.
        tail: Vec<String>,
    },
    /// The command exceeded its time limit.
    #[error("`{command}` takes longer than {} seconds", limit.as_secs())]
    TooSlow {
        /// The command line.
        command: String,
        /// The time limit.
        limit: Duration,
    },
    /// The command exceeded its output limit.
    #[error("`{command}` writes more than {} MB", limit >> 20)]
    TooMuch {
        /// The command line.
        command: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The container engine does not answer.
    #[error("{engine} does not answer: {reason}")]
    EngineDown {
        /// The engine.
        engine: Engine,
        /// The message of the engine's client.
        reason: String,
    },
    /// The image is missing and cannot be pulled.
    #[error("{engine} has no image `{image}`: {reason}")]
    NoImage {
        /// Which engine.
        engine: Engine,
        /// Which image.
        image: String,
        /// The message of the engine's client.
        reason: String,
    },
    /// The container ended before the build did.
    #[error("the {engine} container ended while the build ran")]
    Died {
        /// Which engine.
        engine: Engine,
    },
    /// The builder has no such Python.
    #[error("Python `{python}` not found in {place}")]
    NoPython {
        /// The name or path of the interpreter.
        python: String,
        /// The place.
        place: String,
    },
    /// A directory of the builder cannot be read.
    #[error("cannot copy `{inside}` out of the builder")]
    Read {
        /// The directory.
        inside: String,
        /// The cause.
        #[source]
        source: ReadError,
    },
    /// A file system call of this machine failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

impl Error {
    /// The reason on one line: the last line of the output of a failed command, or the message.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Failed { tail, .. } if !tail.is_empty() => tail[tail.len() - 1].clone(),
            error => error.to_string(),
        }
    }
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Fs(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Cancelled => Kind::Cancelled,
            Self::NotFound { .. }
            | Self::EngineDown { .. }
            | Self::NoImage { .. }
            | Self::NoPython { .. } => Kind::Setup,
            _ => Kind::Build,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { program } => {
                format!("install `{program}`, or build on this machine with `--builder local`")
            }
            Self::EngineDown { engine, .. } => format!(
                "start it (`{engine} version` shows whether it answers), or build on this machine with \
                 `--builder local`"
            ),
            Self::NoImage { engine, image, .. } => {
                format!("check the name: `{engine} pull {image}` shows whether the image exists")
            }
            Self::NoPython { .. } => {
                "name an interpreter with `--python X.Y` or `--python PATH`".to_owned()
            }
            Self::Died { .. } => {
                "it was removed, or it ran out of memory: run prebuild again".to_owned()
            }
            _ => return self.wrapped()?.hint(),
        };
        Some(hint)
    }

    fn tail(&self) -> &[String] {
        match self {
            Self::Failed { tail, .. } => tail,
            _ => &[],
        }
    }
}
