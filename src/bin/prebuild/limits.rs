//! Checks that the limits of this process (`ulimit`) are high enough.

use anyhow::{Result, bail};
use bytesize::ByteSize;
use rustix::process::{Resource, getrlimit};

/// A prerequisite that is missing; exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(pub(crate) String);

/// The least address space to work in, in bytes: threads, their stacks, and what one wheel needs.
/// Memory that cannot be had otherwise ends the process on the spot.
const ADDRESS_SPACE: u64 = 256 << 20;

/// Checks the limits, and starts the threads that all commands share.
pub(crate) fn check() -> Result<()> {
    if let Some(limit) = getrlimit(Resource::As).current
        && limit < ADDRESS_SPACE
    {
        bail!(Missing(format!(
            "the limit on address space is {}, and prebuild needs {}: raise it with `ulimit -v`",
            ByteSize(limit),
            ByteSize(ADDRESS_SPACE)
        )));
    }
    // Started later, on first use, a thread that the system refuses would be a panic.
    if let Err(error) = rayon::ThreadPoolBuilder::new().build_global() {
        bail!(Missing(format!(
            "cannot start threads: {error}: raise the limit on processes with `ulimit -u`"
        )));
    }
    Ok(())
}
