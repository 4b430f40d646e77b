//! Causes as messages: what went wrong, to what.

use std::fmt::{self, Formatter};

use super::failure::{Failure, IndexFailure, Unavailable};

/// Writes what went wrong with `distribution`.
pub(super) fn write(
    f: &mut Formatter<'_>,
    distribution: Option<&str>,
    failure: &Failure,
) -> fmt::Result {
    match failure {
        Failure::NoDistribution { .. }
        | Failure::HashMismatch { .. }
        | Failure::HashMissing { .. }
        | Failure::NotPinned { .. }
        | Failure::Unhashable { .. }
        | Failure::Conflict { .. }
        | Failure::PythonMismatch { .. }
        | Failure::InvalidRequirement { .. } => resolving(f, distribution, failure),
        Failure::Index { .. }
        | Failure::Vcs { .. }
        | Failure::UnsupportedWheel { .. }
        | Failure::BrokenFile { .. } => fetching(f, distribution, failure),
        _ => building(f, distribution, failure),
    }
}

fn resolving(f: &mut Formatter<'_>, distribution: Option<&str>, failure: &Failure) -> fmt::Result {
    match failure {
        Failure::NoDistribution {
            requirement,
            available,
            why,
            wanted_by,
            for_build,
        } => {
            let wish = match wanted_by {
                Some(name) if *for_build => {
                    format!("`{requirement}` (required by the build of `{name}`)")
                }
                Some(name) => format!("`{requirement}` (required by `{name}`)"),
                None => format!("`{requirement}`"),
            };
            no_distribution(f, &wish, available, why)
        }
        Failure::HashMismatch {
            requirement,
            expected,
            got,
        } => {
            let expected = expected.join("` or `");
            write!(
                f,
                "what was downloaded for `{requirement}` has another hash: "
            )?;
            write!(f, "expected `{expected}`, got `{got}`")
        }
        Failure::HashMissing { requirement, .. } => {
            write!(
                f,
                "`{requirement}` has no hash, and other requirements have"
            )
        }
        Failure::NotPinned { requirement } => write!(
            f,
            "`{requirement}` is not pinned with `==`, and hashes are required"
        ),
        Failure::Unhashable {
            requirement,
            is_repository,
        } => {
            let what = if *is_repository {
                "a repository"
            } else {
                "a directory"
            };
            write!(
                f,
                "`{requirement}` is {what}, which has no hash, and other requirements have hashes"
            )
        }
        Failure::Conflict { reasons, .. } => {
            f.write_str("requirements conflict")?;
            for (nth, reason) in reasons.iter().enumerate() {
                let before = if nth == 0 { ": " } else { "; " };
                write!(f, "{before}{reason}")?;
            }
            Ok(())
        }
        Failure::PythonMismatch { requires, python } => write!(
            f,
            "{} requires Python `{requires}`, and the builder has {python}",
            Named(distribution)
        ),
        Failure::InvalidRequirement { message } => {
            write!(f, "pip refuses a requirement: {message}")
        }
        _ => Ok(()),
    }
}

fn no_distribution(
    f: &mut Formatter<'_>,
    wish: &str,
    available: &[String],
    why: &Unavailable,
) -> fmt::Result {
    match why {
        Unavailable::NoVersionMatches if available.is_empty() => {
            write!(f, "no version satisfies {wish}")
        }
        Unavailable::NoVersionMatches => write!(
            f,
            "no version satisfies {wish}; the latest are {}",
            available.join(", ")
        ),
        Unavailable::NothingFound => write!(f, "nothing was found for {wish}"),
        Unavailable::UnknownName => {
            write!(f, "the index knows no project for {wish}")
        }
        Unavailable::OtherPython(versions) => {
            write!(f, "{wish} is for other Pythons: {}", versions.join("; "))
        }
        Unavailable::OtherPlatform(tags) => write!(
            f,
            "{wish} has no sdist, and wheels for other platforms or Pythons only: {}",
            tags.join(", ")
        ),
        Unavailable::SourceOnly => write!(
            f,
            "{wish} has no wheel for the target, and sdists are not allowed"
        ),
        Unavailable::Yanked(versions) => write!(
            f,
            "all that satisfies {wish} was yanked: {}",
            versions.join(", ")
        ),
        Unavailable::PassedOver(versions) => write!(
            f,
            "pip takes no version that satisfies {wish}: {}",
            versions.join(", ")
        ),
        Unavailable::Inconsistent(detail) => write!(f, "{wish} {detail}"),
        Unavailable::InvalidMetadata { versions, detail } => write!(
            f,
            "the builder's pip refuses the invalid metadata of all that satisfies {wish}: \
             {}: {detail}",
            versions.join(", ")
        ),
    }
}

fn fetching(f: &mut Formatter<'_>, distribution: Option<&str>, failure: &Failure) -> fmt::Result {
    match failure {
        Failure::Index { url, failure } => {
            match url {
                Some(url) => write!(f, "cannot fetch `{url}`: ")?,
                None => write!(f, "cannot fetch {}: ", Named(distribution))?,
            }
            write!(f, "{failure}")
        }
        Failure::Vcs { detail } => {
            write!(f, "cannot clone {}: {detail}", Named(distribution))
        }
        Failure::UnsupportedWheel { filename } => {
            write!(
                f,
                "`{filename}` is not for the builder's Python and platform"
            )
        }
        Failure::BrokenFile { detail } => write!(f, "a downloaded file is broken: {detail}"),
        _ => Ok(()),
    }
}

fn building(f: &mut Formatter<'_>, distribution: Option<&str>, failure: &Failure) -> fmt::Result {
    let name = Named(distribution);
    match failure {
        Failure::MissingCompiler { program } => {
            write!(
                f,
                "{name} has to be compiled, and the builder has no `{program}`"
            )
        }
        Failure::MissingHeader { header } => {
            write!(
                f,
                "{name} needs the header `{header}`, which the builder does not have"
            )
        }
        Failure::MissingLibrary { library } => {
            write!(
                f,
                "{name} needs the library `{library}`, which the builder does not have"
            )
        }
        Failure::MissingTool { program } => {
            write!(
                f,
                "{name} needs the program `{program}`, which the builder does not have"
            )
        }
        Failure::MissingPkgConfig { module } => {
            write!(
                f,
                "{name} needs `{module}`, which `pkg-config` does not find in the builder"
            )
        }
        Failure::PythonHeaders => {
            write!(
                f,
                "{name} needs Python's headers, which the builder does not have"
            )
        }
        Failure::MissingBuildDependency { module } => {
            write!(
                f,
                "the build of {name} imports `{module}`, which is not there"
            )
        }
        Failure::BuildFailed { detail: None } => write!(f, "the build of {name} failed"),
        Failure::BuildFailed {
            detail: Some(detail),
        } => write!(f, "the build of {name} failed: {detail}"),
        _ => running(f, name, failure),
    }
}

fn running(f: &mut Formatter<'_>, name: Named<'_>, failure: &Failure) -> fmt::Result {
    match failure {
        Failure::DiskFull => f.write_str("no space is left in the builder"),
        Failure::NotWritable { path: Some(path) } => {
            write!(f, "`{path}` in the builder cannot be written")
        }
        Failure::NotWritable { path: None } => {
            f.write_str("a file in the builder cannot be written")
        }
        Failure::Killed => {
            write!(
                f,
                "a process was killed, or got no memory, while {name} was built"
            )
        }
        Failure::ExternallyManaged => {
            f.write_str("the builder's Python is managed by its operating system")
        }
        Failure::Unexplained { message } => write!(f, "pip failed: {message}"),
        Failure::PipCrashed { detail } => write!(f, "pip failed with an exception: {detail}"),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Named<'a>(Option<&'a str>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "`{name}`"),
            None => f.write_str("a distribution"),
        }
    }
}

impl fmt::Display for IndexFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status(401) => "it wants credentials (401)",
            Self::Status(403) => "it is forbidden (403)",
            Self::Status(404) => "it is not there (404)",
            Self::Status(407) => "the proxy wants credentials (407)",
            Self::Status(code) if *code >= 500 => {
                return write!(f, "the server failed ({code})");
            }
            Self::Status(code) => return write!(f, "it answered {code}"),
            Self::Timeout => "no answer in time",
            Self::Refused => "the connection was refused",
            Self::Dns => "the host's name is not known",
            Self::Tls => "no secure connection could be made",
            Self::Proxy => "the proxy cannot be used",
            Self::Unreachable => "there is no way to the host",
            Self::Dropped => "the connection ended too early",
            Self::Insecure => "pip ignores an index without https",
        })
    }
}
