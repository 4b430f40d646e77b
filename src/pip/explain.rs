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

use std::ops::Range;

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
    let shown = at.map(|at| (shows_why(&output, causes.first(), at), at));
    let (excerpt, command) = match shown {
        Some((command, at)) if !command.is_empty() => (
            excerpt::of(&output, &command, at),
            excerpt::all(&output, &command),
        ),
        _ => Default::default(),
    };
    Explanation {
        causes,
        excerpt,
        command,
    }
}

/// The lines of a command that show why `first` came about, which was seen in the line `at`.
fn shows_why(output: &Output, first: Option<&Cause>, at: usize) -> Range<usize> {
    let failure = first.map(|cause| &cause.failure);
    let is_of_command = output.lines.get(at).is_some_and(|line| line.of_command);
    match failure {
        // Of the pip that installs what a build needs, the rest is how it came to say so.
        Some(Failure::NoDistribution { .. }) if is_of_command => excerpt::errors(output, at),
        _ if is_of_command => excerpt::command(output, at),
        Some(failure) if failure.is_of_command() => excerpt::command(output, at),
        // What pip says of what it does itself has nothing to do with the command before.
        _ => 0..0,
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
        failure if same && is_mysql(failure) && is_mysql(&known.failure) => true,
        // Builds ask for one thing by several names.
        failure if failure.packages().is_some() => {
            same && failure.packages() == known.failure.packages()
        }
        Failure::PipCrashed { .. } => true,
        failure => same && *failure == known.failure,
    }
}

/// Whether the client library of `MySQL` is missing, or one of those that builds take in its place.
fn is_mysql(failure: &Failure) -> bool {
    const NAMES: &[&str] = &[
        "libmariadb",
        "mariadb",
        "mariadb_config",
        "mysql_config",
        "mysqlclient",
        "perconaserverclient",
    ];
    let name = match failure {
        Failure::MissingPkgConfig { module } => module,
        Failure::MissingTool { program } => program,
        _ => return false,
    };
    NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests;
