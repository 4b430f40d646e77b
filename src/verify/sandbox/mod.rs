//! A sandbox for code that nobody trusts: namespaces, a root of its own, no privileges, limits.
//!
//! A program that forks cannot do so safely once it has threads, and a new PID namespace holds only
//! children. So the sandbox is entered by a program that is started for it: prebuild itself, with
//! [`ARGUMENT`] as its first argument, which calls [`enter`]. It has one thread, and is started twice:
//!
//! 1. The *outer* stage leaves the namespaces of this machine, as root or with a user namespace, and
//!    starts the inner stage, the first process of the new PID namespace.
//! 2. The *inner* stage mounts the [`View`], makes it the root by `pivot_root`, gives up every privilege,
//!    starts the command, and watches time, memory and output. When it ends, the kernel ends all
//!    processes of the namespace.
//!
//! A [`Spec`] goes in by standard input, and one [`Reply`] comes out by standard output, which the command
//! does not have.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod enter;
mod filter;
mod view;
mod watch;

pub use enter::{ARGUMENT, enter};
pub(crate) use filter::programs as filters;
pub(crate) use view::{Layers, usable};

/// How much of the beginning, and how much of the end of an output is kept, in bytes.
pub(crate) const KEEP: usize = 16 << 10;

/// What runs in a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Whether there is a sandbox at all: without, the limits are all that is left.
    pub(crate) walls: bool,
    /// What the command sees.
    pub(crate) view: View,
    /// The directory with the layers of the view: see [`Layers`].
    pub(crate) layers: PathBuf,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// All environment variables.
    pub(crate) env: BTreeMap<String, String>,
    /// What the command reads from standard input.
    pub(crate) input: String,
    /// What the command may use.
    pub(crate) limits: Limits,
}

/// The files that a command sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum View {
    /// A root directory, below the layer.
    Root(PathBuf),
    /// These directories of this machine, each where it is; nothing else.
    Machine(Vec<PathBuf>),
}

/// What a command and all that it starts may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time, in seconds.
    pub seconds: u64,
    /// Memory, in bytes.
    pub memory: u64,
}

impl Limits {
    /// Processes and threads.
    pub(crate) const PROCESSES: u64 = 256;
    /// The size of a file, in bytes.
    pub(crate) const FILE: u64 = 256 << 20;
    /// Open files of a process.
    pub(crate) const FILES: u64 = 1024;
    /// The size of a directory for temporary files, in bytes.
    pub(crate) const TEMPORARY: u64 = 256 << 20;
}

/// What a sandbox tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The command ran.
    CommandResult(CommandResult),
    /// There is no sandbox, and why.
    Refused(String),
    /// The command cannot be started in it, and why.
    NotStarted(String),
}

/// How a command ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommandResult {
    /// How it ended.
    pub(crate) ended: Ended,
    /// The end of its standard output.
    #[serde(default)]
    pub(crate) stdout: String,
    /// The beginning and the end of its standard error.
    #[serde(default)]
    pub(crate) stderr: String,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ended {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// By its limit of time.
    Time,
    /// By its limit of memory.
    Memory,
}
