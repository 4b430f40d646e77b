//! Causes as hints: what to do now.

use super::failure::{Cause, Failure, IndexFailure, Unavailable};
use crate::pip::packages::{self, System};

/// What to do now about these causes in a builder of this system, as a fragment: the packages to
/// install where the causes are missing packages, else what is known of the first cause.
#[must_use]
pub fn hint(causes: &[&Cause], system: System) -> Option<String> {
    let (first, _) = causes.split_first()?;
    let is_missing = |cause: &&&Cause| cause.failure.packages().is_some();
    if is_missing(&first) {
        let missing: Vec<_> = causes.iter().filter(is_missing).collect();
        let packages: Vec<_> = missing
            .iter()
            .filter_map(|one| one.failure.packages())
            .collect();
        if let Some(commands) = packages::commands(&packages, system) {
            let is_rust = |cause: &&&&Cause| matches!(&cause.failure, Failure::MissingCompiler { program } if program == "cargo");
            // What is built today may need a newer Rust than a distribution has.
            let or = if missing.iter().any(|cause| is_rust(&cause)) {
                "; if that Rust is too old, install it with rustup"
            } else {
                ""
            };
            let it = if missing.len() == 1 { "it" } else { "them" };
            return Some(format!("install {it} in the builder: {commands}{or}"));
        }
    }
    causes.iter().find_map(|cause| of(&cause.failure))
}

/// What to do now, where no package is known that would help.
fn of(failure: &Failure) -> Option<String> {
    let hint = match failure {
        Failure::NoDistribution { available, why, .. } => {
            return unavailable(why, available).map(str::to_owned);
        }
        Failure::Index { failure, .. } => index(*failure),
        Failure::HashMissing {
            hash: Some(hash), ..
        } => return Some(format!("add `--hash={hash}` if that is the file you mean")),
        Failure::HashMissing { hash: None, .. } => "give every requirement a hash, or none",
        Failure::HashMismatch { .. } => {
            "if the file was meant to change, lock the requirements anew; \
             if not, do not trust it"
        }
        Failure::NotPinned { .. } => "pin it with `==`, and all that it requires",
        Failure::Unhashable {
            is_repository: false,
            ..
        } => {
            "leave it out of the locked requirements (uv: `uv export --no-emit-project`), \
             or lock as `pylock.toml`, where a directory needs no hash"
        }
        Failure::Unhashable { .. } => {
            "require an archive of that commit by its URL, with `--hash`, \
             or lock as `pylock.toml`, where a commit needs no hash"
        }
        Failure::Conflict { .. } => "loosen one of them",
        Failure::PythonMismatch { .. } | Failure::UnsupportedWheel { .. } => {
            "use another version of it, or another Python"
        }
        Failure::MissingCompiler { .. } => {
            "install it in the builder, or use a version that has a wheel"
        }
        Failure::MissingHeader { header } if header == "longintrepr.h" => {
            "it is a header of Python's, elsewhere since 3.11: use a newer version, or Python 3.10"
        }
        Failure::MissingHeader { .. }
        | Failure::MissingLibrary { .. }
        | Failure::MissingPkgConfig { .. } => {
            "install the development package that has it in the builder"
        }
        Failure::MissingTool { .. } => "install the package that has it in the builder",
        Failure::PythonHeaders => "install the headers of the builder's Python",
        Failure::MissingBuildDependency { module } => build_dependency(module),
        Failure::BuildFailed { detail } => return built(detail.as_deref()),
        Failure::DiskFull => "make space where the builder keeps its files",
        Failure::Killed => "give the builder more memory, or build fewer things at a time",
        Failure::ExternallyManaged => "use a Python of your own, or another image",
        Failure::Vcs { .. } => "check the address, the revision, and the credentials",
        Failure::BrokenFile { .. } => "try again; if it stays, the index has a broken file",
        Failure::NotWritable { .. }
        | Failure::InvalidRequirement { .. }
        | Failure::Unexplained { .. }
        | Failure::PipCrashed { .. } => return None,
    };
    Some(hint.to_owned())
}

fn unavailable(why: &Unavailable, available: &[String]) -> Option<&'static str> {
    // `3.0rc1`, `2.0a1`, `1.0.dev3`; not `1.0.post1`, nor `1.0+local`.
    let is_pre_release = |version: &String| {
        let public = version.split('+').next().unwrap_or(version);
        public.contains(['a', 'b', 'c']) || public.contains("dev")
    };
    Some(match why {
        Unavailable::NoVersionMatches if available.first().is_some_and(is_pre_release) => {
            "require a version that there is; a pre-release is taken with `--pre` only"
        }
        Unavailable::NothingFound => {
            "check the name, the index, and whether there is a wheel for the target"
        }
        Unavailable::UnknownName => "check the name and the index",
        Unavailable::NoVersionMatches => "require a version that there is",
        Unavailable::OtherPython(_) => "use an older version, or a newer Python",
        Unavailable::OtherPlatform(_) => "use another version, Python, or platform",
        Unavailable::SourceOnly => "allow sdists, or use a version that has a wheel",
        Unavailable::Yanked(_) => "use another version, or pin it with `==`",
        Unavailable::InvalidMetadata { .. } => {
            "require another version, or use a builder with pip < 24.1, which accepts it"
        }
        Unavailable::PassedOver(_) => {
            "if the index has yanked it, use another version, or pin it with `==`"
        }
        Unavailable::Inconsistent(_) => return None,
    })
}

fn index(failure: IndexFailure) -> &'static str {
    match failure {
        IndexFailure::Status(401 | 403) => "check the credentials for the index",
        IndexFailure::Status(404) => "check the address",
        IndexFailure::Status(407) | IndexFailure::Proxy => "check the proxy and its credentials",
        IndexFailure::Tls => {
            "check the address, and whether the builder trusts the index's certificate"
        }
        IndexFailure::Dns | IndexFailure::Refused | IndexFailure::Unreachable => {
            "check the address, and whether the builder may use the network"
        }
        IndexFailure::Insecure => "use https, or trust the host: `--trusted-host HOST`",
        IndexFailure::Status(_) | IndexFailure::Timeout | IndexFailure::Dropped => "try again",
    }
}

/// A module that a build imports comes from a distribution, mostly of the same name.
fn build_dependency(module: &str) -> &'static str {
    match module.split('.').next().unwrap_or(module) {
        "pkg_resources" => {
            "use a newer version of it, or constrain its build to `setuptools<82`, \
             the last to have `pkg_resources`"
        }
        "distutils" => "use a newer version of it, or Python 3.11: later ones have no `distutils`",
        _ => "use a newer version of it, or one that has a wheel",
    }
}

fn built(detail: Option<&str>) -> Option<String> {
    let detail = detail?;
    if detail.contains("module 'pkgutil' has no attribute 'ImpImporter'") {
        let hint = "it is built with a `setuptools` that is too old for this Python; \
                    use a newer version of it, or Python 3.11";
        return Some(hint.to_owned());
    }
    let python_2 = detail.contains("Missing parentheses in call to 'print'")
        || detail.contains("multiple exception types must be parenthesized");
    python_2.then(|| "it is written for Python 2; use a newer version of it".to_owned())
}
