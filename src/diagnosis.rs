//! What an error says of itself besides its message: its kind, a hint, the line that it is about, and the
//! last output of what failed.
//!
//! Each stage's error implements [`Diagnosis`] beside its definition. An error that passes on that of
//! another stage names it as the [`wrapped`](Diagnosis::wrapped) one, and says nothing in its place: neither a hint
//! nor an output is lost on the way up.

use std::error::Error;

/// The kind of a failure. The command line turns it into its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The build failed: pip, an index, a wheel, the disk.
    Build,
    /// The request is invalid.
    Request,
    /// This machine is not set up: no Python, no pip, no engine, no such image.
    Setup,
    /// The artifact is incompatible with its runtime.
    Unfit,
    /// The caller stopped it.
    Cancelled,
}

/// An error that describes itself.
pub trait Diagnosis: Error {
    /// The error of an earlier stage that this one passes on.
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        None
    }

    /// The kind of the failure; that of the wrapped error by default, and a failed build without one.
    fn kind(&self) -> Kind {
        self.wrapped().map_or(Kind::Build, Diagnosis::kind)
    }

    /// What the user can do: a command, an option, or a line to change. By default that of the wrapped error.
    fn hint(&self) -> Option<String> {
        self.wrapped()?.hint()
    }

    /// The line of the user's file that is invalid, with a caret under the place; by default that of the wrapped
    /// error.
    fn excerpt(&self) -> Option<&str> {
        self.wrapped()?.excerpt()
    }

    /// The last lines that the failed command wrote; by default those of the wrapped error.
    fn tail(&self) -> &[String] {
        self.wrapped().map_or(&[], Diagnosis::tail)
    }
}
