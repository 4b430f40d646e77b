//! What can go wrong, in words.

use std::fmt;

use crate::pip::packages::{self, Kind, System};

/// One reason why pip failed.
///
/// Prints as its [`message`](Cause::message).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The distribution that it happened to, by the name that pip gave it: for a folder or a file
    /// that may be its path.
    pub distribution: Option<String>,
    /// The line of the requirements file, as pip was given it, that brought the distribution;
    /// counted from 1. pip before 23.1 mostly keeps it to itself.
    pub line: Option<u32>,
    /// What went wrong.
    pub failure: Failure,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing that can be installed satisfies a requirement.
    NoDistribution {
        /// The requirement, as pip wrote it.
        requirement: String,
        /// The latest versions that there are, the latest first.
        available: Vec<String>,
        /// Why none of them will do, as far as pip told.
        why: Unavailable,
        /// The distribution that requires it, if it is not the requirements file.
        wanted_by: Option<String>,
        /// Whether that distribution requires it to be built.
        for_build: bool,
    },
    /// What was downloaded is not what its hash says.
    HashMismatch {
        /// The requirement, as pip wrote it.
        requirement: String,
        /// Every hash that would have been right, as `algorithm:digest`.
        expected: Vec<String>,
        /// The hash of what came, in the same form.
        got: String,
    },
    /// Hashes are required, and this requirement has none.
    HashMissing {
        /// The requirement, as pip wrote it.
        requirement: String,
        /// The hash that its file has, as `algorithm:digest`.
        hash: Option<String>,
    },
    /// Hashes are required, and this requirement names no one version.
    NotPinned {
        /// The requirement, as pip wrote it.
        requirement: String,
    },
    /// Hashes are required, and this requirement can have none.
    Unhashable {
        /// The requirement.
        requirement: String,
        /// Whether it names a repository; otherwise a directory.
        is_repository: bool,
    },
    /// Requirements that cannot be satisfied together.
    Conflict {
        /// Who requires what, as pip wrote it.
        reasons: Vec<String>,
        /// The lines of the requirements file, as pip was given it, that brought them here.
        lines: Vec<u32>,
    },
    /// The distribution is for another Python.
    PythonMismatch {
        /// Its `Requires-Python`.
        requires: String,
        /// The builder's Python.
        python: String,
    },
    /// A compiler is not in the builder.
    MissingCompiler {
        /// The command that was not found.
        program: String,
    },
    /// A header is not in the builder.
    MissingHeader {
        /// As it was included.
        header: String,
    },
    /// A library is not in the builder.
    MissingLibrary {
        /// As the linker's `-l` or the build system calls it.
        library: String,
    },
    /// A program is not in the builder.
    MissingTool {
        /// The command that was not found.
        program: String,
    },
    /// A library that is looked for with `pkg-config` is not in the builder.
    MissingPkgConfig {
        /// The module's name.
        module: String,
    },
    /// Python's own headers are not in the builder.
    PythonHeaders,
    /// The build imports a module that it did not ask for.
    MissingBuildDependency {
        /// The module's name.
        module: String,
    },
    /// The build failed, and why is not known.
    BuildFailed {
        /// The line of its output that says most.
        detail: Option<String>,
    },
    /// An index, or a file that it points to, could not be had.
    Index {
        /// The address, without credentials.
        url: Option<String>,
        /// What kept it from being had.
        failure: IndexFailure,
    },
    /// A repository could not be cloned, or has no such revision.
    Vcs {
        /// What the version control system said.
        detail: String,
    },
    /// A line of the requirements file is no requirement.
    InvalidRequirement {
        /// What pip said about it.
        message: String,
    },
    /// A wheel that was asked for by its address is for another platform or Python.
    UnsupportedWheel {
        /// The file's name.
        filename: String,
    },
    /// A file that was downloaded is not what its name says.
    BrokenFile {
        /// What pip said about it.
        detail: String,
    },
    /// There is no space left in the builder.
    DiskFull,
    /// Something in the builder could not be written.
    NotWritable {
        /// The path.
        path: Option<String>,
    },
    /// A process was killed, or got no memory.
    Killed,
    /// The builder's Python belongs to its operating system.
    ExternallyManaged,
    /// pip gave up, in words that nothing else explains.
    Unexplained {
        /// What pip said.
        message: String,
    },
    /// pip itself failed with an exception.
    PipCrashed {
        /// The exception.
        detail: String,
    },
}

/// Why no distribution will do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// There are versions, and the requirement allows none of them.
    NoVersionMatches,
    /// pip found nothing, and did not say why.
    NothingFound,
    /// No index has a project of this name.
    UnknownName,
    /// The versions that match are for other Pythons: each version with its `Requires-Python`.
    OtherPython(Vec<String>),
    /// The wheels that match are for other platforms or Pythons: their tags.
    OtherPlatform(Vec<String>),
    /// There is an sdist only, and building was not allowed.
    SourceOnly,
    /// The versions that match were withdrawn, and nothing pins them.
    Yanked(Vec<String>),
    /// Versions match, and pip took none of them without a word: those before 24.0 say nothing of yanked ones.
    PassedOver(Vec<String>),
    /// The file says another name or version of itself than its file name does.
    Inconsistent(String),
    /// The metadata of the versions that match is invalid, and this pip refuses it.
    InvalidMetadata {
        /// The versions, the latest first.
        versions: Vec<String>,
        /// What is wrong with the first of them.
        detail: String,
    },
}

/// What kept an address from being had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexFailure {
    /// It answered with this HTTP status.
    Status(u16),
    /// It did not answer in time.
    Timeout,
    /// Nobody listens there.
    Refused,
    /// Its name is not known.
    Dns,
    /// No secure connection could be made.
    Tls,
    /// The proxy could not be used.
    Proxy,
    /// There is no way there.
    Unreachable,
    /// The connection ended too early.
    Dropped,
    /// It is not reached by https, and pip ignores it.
    Insecure,
}

impl Failure {
    /// Whether it is the builder that failed: then nothing else that went wrong means anything.
    pub(super) fn is_the_builder(&self) -> bool {
        matches!(self, Self::DiskFull | Self::ExternallyManaged)
    }

    /// Whether a command failed that pip ran, so that its output shows why.
    pub(super) fn is_of_command(&self) -> bool {
        matches!(
            self,
            Self::BuildFailed { .. } | Self::Killed | Self::Vcs { .. }
        )
    }

    /// The place in the order of telling, the most to the point first.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::DiskFull | Self::ExternallyManaged => 0,
            Self::Killed | Self::NotWritable { .. } => 1,
            Self::InvalidRequirement { .. } => 2,
            Self::Conflict { .. }
            | Self::HashMismatch { .. }
            | Self::HashMissing { .. }
            | Self::Unhashable { .. }
            | Self::NotPinned { .. }
            | Self::PythonMismatch { .. }
            | Self::UnsupportedWheel { .. }
            | Self::BrokenFile { .. } => 3,
            Self::Index { .. } | Self::Vcs { .. } => 4,
            Self::MissingCompiler { .. } => 5,
            Self::PythonHeaders => 6,
            // A compiler's word is final; a program or module that is not there may be one of
            // several that would do.
            Self::MissingHeader { .. } => 7,
            Self::MissingLibrary { .. } => 8,
            Self::MissingTool { .. } => 9,
            Self::MissingPkgConfig { .. } => 10,
            Self::MissingBuildDependency { .. } => 11,
            Self::NoDistribution {
                for_build: true, ..
            } => 12,
            Self::BuildFailed { .. } => 13,
            Self::NoDistribution { .. } => 14,
            Self::PipCrashed { .. } => 15,
            Self::Unexplained { .. } => 16,
        }
    }

    /// What of the operating system would have to be there.
    fn missing(&self) -> Option<(Kind, &str)> {
        Some(match self {
            Self::MissingHeader { header } => (Kind::Header, header),
            Self::MissingLibrary { library } => (Kind::Library, library),
            Self::MissingTool { program } | Self::MissingCompiler { program } => {
                (Kind::Program, program)
            }
            Self::MissingPkgConfig { module } => (Kind::PkgConfig, module),
            Self::PythonHeaders => (Kind::Header, "Python.h"),
            _ => return None,
        })
    }

    /// The operating system's packages that have what is missing, where the table knows them.
    #[must_use]
    pub fn packages(&self) -> Option<packages::Packages> {
        let (kind, name) = self.missing()?;
        // Build systems call libraries by names of their own.
        packages::find(kind, name).or_else(|| packages::find(Kind::Name, name))
    }
}

impl Cause {
    /// What went wrong, as a fragment: lower case, and no full stop.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What to do now in a builder of this system, as a fragment; none where there is nothing to say.
    #[must_use]
    pub fn hint(&self, system: System) -> Option<String> {
        super::hint(&[self], system)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::message::write(f, self.distribution.as_deref(), &self.failure)
    }
}
