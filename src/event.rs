//! What the library tells its caller while it works, and how the caller stops it.
//!
//! The library itself prints nothing and handles no signal.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which stream a line of a command's output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The stages of a build, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// Reading the requirements.
    Resolve,
    /// Opening the builder, asking it for its interpreter and pip.
    Builder,
    /// pip installs into the prefix.
    Install,
    /// The prefix is read back and put as the runtime needs it.
    Collect,
    /// The prefix is held against the runtime.
    Audit,
    /// The artifacts are written.
    Pack,
    /// An artifact is tried in its runtime.
    Verify,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builder => "builder",
            Self::Resolve => "resolve",
            Self::Install => "install",
            Self::Collect => "collect",
            Self::Audit => "audit",
            Self::Pack => "pack",
            Self::Verify => "verify",
        })
    }
}

/// Something that happened during a build.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage began.
    Stage(Stage, &'a str),
    /// What the builder is: where it is, its interpreter and platform.
    Builder(&'a str),
    /// What the runtime is: where it is, its interpreter and C library.
    Runtime(&'a str),
    /// A command in the builder wrote a line.
    Line {
        /// The stream.
        stream: Stream,
        /// What, without its newline.
        text: &'a str,
    },
    /// Why pip must be asked what will be installed.
    Asking(&'a str),
    /// A wheel is ready.
    Wheel {
        /// Its distribution.
        name: &'a str,
        /// Why it could not be taken from the cache as it was.
        made: Option<&'a str>,
    },
    /// So many wheels are fetched.
    Fetching(usize),
    /// How far the downloads are, in bytes.
    Fetched {
        /// Bytes that have come so far.
        done: u64,
        /// Bytes that will come in all, as far as that is known.
        total: u64,
    },
    /// What it waits for.
    Waiting(&'a str),
    /// Something that is good to know.
    Note(&'a str),
    /// Something that the user should know of and that stops nothing.
    Warning(&'a str),
    /// Something that will be installed is not what the lock file has: shown whatever else is not.
    Changed(&'a str),
    /// The line of a Dockerfile that installs what the runtime should have for the artifact.
    Remedy(&'a str),
    /// How far packing is, in bytes before compression.
    Packed {
        /// Bytes of contents written so far.
        done: u64,
        /// Bytes of contents in all.
        total: u64,
    },
}

/// Called for each event, from any thread.
pub type Observer<'a> = dyn Fn(&Event<'_>) + Sync + 'a;

/// A switch that stops a build from another thread. Clones are the same switch.
///
/// A build that was stopped kills what it started, removes what it made, and returns an error.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A switch that has not been thrown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that holds this switch to stop. Safe to call more than once.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The switch itself, for signal handlers that can do no more than set a flag.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// A count with what is counted: `1 wheel`, `2 wheels`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
