//! pip's failures, explained.
//!
//! pip's output is written for people and worded differently by each version; what is read here is
//! what pip 20.0 to 26.3, the compilers and the build systems under it really wrote. The recordings
//! are in `testdata/pip`, each with its explanation in a snapshot. A text that nobody has recorded
//! explains nothing, and breaks nothing.
//!
//! With `--log`, pip writes two things to the log alone: why an index gave nothing, and whatever the
//! commands say that it runs, which are builds and git. So [`explain_with_log`] takes that too.

mod build;
mod excerpt;
mod failure;
mod hint;
mod message;
mod network;
mod output;
mod refused;
mod resolve;

pub use excerpt::SHOWN;
pub(crate) use excerpt::short;
pub use failure::{Cause, Failure, IndexFailure, Unavailable};
pub use hint::hint;

use output::Output;

/// How many causes are worth telling: a build that fails tells the same thing many times over.
const MOST: usize = 8;

/// What pip's output shows of why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// The causes that were recognised, most to the point first; none if nothing was.
    pub causes: Vec<Cause>,
    /// What the command wrote that failed, where that is the cause: the lines around the cause and the
    /// last ones. At most [`SHOWN`] lines, without control characters.
    pub excerpt: Vec<String>,
    /// All that this command wrote, or the last of it.
    pub command: Vec<String>,
}

/// Explains a failed run of pip by what it wrote: the lines of its standard output and standard
/// error, merged in their order.
#[must_use]
pub fn explain(lines: &[impl AsRef<str>]) -> Explanation {
    explain_with_log(lines, &[] as &[&str])
}

/// As [`explain`], with the lines of the file that pip wrote for `--log`.
///
/// The log tells what builds and git said, which addresses could not be fetched, and which files were
/// passed over.
#[must_use]
pub fn explain_with_log(lines: &[impl AsRef<str>], log: &[impl AsRef<str>]) -> Explanation {
    let output = Output::read_with_log(lines, log);
    let log = Output::read(log);
    let mut found = resolve::find(&output);
    found.extend(refused::find(&output));
    found.extend(build::find(&output));
    found.extend(network::find(&output));
    network::why_nothing_was_found(&mut found, &output, &log);
    if found.is_empty() {
        found.extend(refused::unexplained(&output));
    }
    let (causes, at) = most_to_the_point(found, &output);
    let command = at
        .map(|at| excerpt::command(&output, at))
        .unwrap_or_default();
    Explanation {
        causes,
        excerpt: at
            .map(|at| excerpt::of(&output, &command, at))
            .unwrap_or_default(),
        command: excerpt::all(&output, &command),
    }
}

/// How many causes are considered: an output may be as long as whoever wrote it likes.
const ENOUGH: usize = 1000;

/// A cause, and where in the output it was seen.
#[derive(Debug)]
struct Found {
    cause: Cause,
    at: usize,
}

/// The causes, and where in the output the first of them was seen.
fn most_to_the_point(mut found: Vec<Found>, output: &Output) -> (Vec<Cause>, Option<usize>) {
    found.sort_by_key(order);
    let at = found.first().map(|found| found.at);
    let mut causes: Vec<Cause> = Vec::new();
    for Found { mut cause, .. } in found {
        if let (None, Some(name)) = (cause.line, cause.distribution.as_deref()) {
            cause.line = output.place_of(name);
        }
        if let (None, Failure::NoDistribution { wanted_by, .. }) = (cause.line, &cause.failure) {
            cause.line = wanted_by.as_deref().and_then(|name| output.place_of(name));
        }
        if causes.len() == MOST {
            break;
        }
        if !causes.iter().any(|known| says_as_much(known, &cause)) {
            causes.push(cause);
        }
    }
    (causes, at)
}

/// Where a cause comes in the order of telling.
///
/// A compiler stops at the first header that is not there, but what a build probes for comes
/// before what it cannot do without: of headers and libraries, the last one is told first.
fn order(found: &Found) -> (u8, usize) {
    let at = match found.cause.failure {
        Failure::MissingHeader { .. } | Failure::MissingLibrary { .. } => usize::MAX - found.at,
        _ => found.at,
    };
    (found.cause.failure.rank(), at)
}

/// Whether `known`, which is more to the point, leaves nothing to say for `other`.
fn says_as_much(known: &Cause, other: &Cause) -> bool {
    let same = known.distribution == other.distribution;
    match &other.failure {
        // The rest is what follows from it.
        _ if known.failure.is_the_builder() => true,
        Failure::BuildFailed { .. } => {
            same || matches!(known.failure, Failure::BuildFailed { .. })
                && other.distribution.is_none()
        }
        // pip before 21.1 tries other versions after a failed build, and in the end knows of none.
        Failure::NoDistribution { .. } => same,
        // Builds ask for one thing by several names.
        failure if failure.packages().is_some() => {
            same && failure.packages() == known.failure.packages()
        }
        Failure::PipCrashed { .. } => true,
        failure => same && *failure == known.failure,
    }
}

#[cfg(test)]
mod tests;
