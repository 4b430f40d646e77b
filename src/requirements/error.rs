//! What is wrong with requirements, where, and what to do.

use std::fmt;
use std::path::PathBuf;

use crate::fs;

/// A place in a file that the user wrote. Lines and columns count from 1, columns in characters;
/// lines end where Python's `str.splitlines` ends them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Location {
    /// The file, as it was named; `-` for standard input.
    pub file: PathBuf,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Why requirements could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] fs::Error),
    /// A file that another one names could not be read.
    #[error("{at}: cannot read what is included here\n{excerpt}")]
    Included {
        /// Where it is named.
        at: Location,
        /// The line and a caret.
        excerpt: String,
        /// Why.
        #[source]
        source: fs::Error,
    },
    /// The bytes of a file are no text.
    #[error("{}:{line}: {problem}", file.display())]
    NotText {
        /// The file.
        file: PathBuf,
        /// The line, as far as it can be told.
        line: u32,
        /// What is wrong.
        problem: String,
    },
    /// A line could not be understood.
    #[error("{at}: {problem}\n{excerpt}")]
    Invalid {
        /// Where.
        at: Location,
        /// The line as it was written, credentials hidden, with a caret under the place.
        excerpt: String,
        /// What is wrong there.
        problem: Problem,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not a dependency specifier, a path or a URL.
    #[error("not a valid requirement: {0}")]
    Requirement(String),
    /// Not a marker, or one that has no answer.
    #[error("not a valid marker: {0}")]
    Marker(String),
    /// Not an option, or not its value.
    #[error("not a valid option: {0}")]
    Option(String),
    /// A file that includes itself.
    #[error("`{}` includes itself", .0.display())]
    Cycle(PathBuf),
    /// Requirements of another machine.
    #[error("requirements are not read from a URL")]
    Url,
    /// A path to a project or an archive that is not there.
    #[error("`{}` does not exist", .0.display())]
    NoSuchPath(PathBuf),
    /// A folder without a project in it.
    #[error("`{}` is no project: it has neither `pyproject.toml` nor `setup.py`", .0.display())]
    NotAProject(PathBuf),
    /// A requirement that a constraint cannot be.
    #[error("not a valid constraint: {0}")]
    Constraint(&'static str),
}

impl Error {
    /// What the user can do, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Read(error) if error.kind() == std::io::ErrorKind::NotFound => {
                "name the requirements file, or `-` for standard input".to_owned()
            }
            Self::Included { .. } => {
                "a path behind `-r` or `-c` is relative to the file that it stands in".to_owned()
            }
            Self::NotText { .. } => {
                "save the file as UTF-8, or name its encoding in the first line: `# -*- coding: latin-1 -*-`"
                    .to_owned()
            }
            Self::Invalid { problem, .. } => return problem.hint(),
            Self::Read(_) => return None,
        };
        Some(hint)
    }
}

impl Problem {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Requirement(problem) if problem.ends_with("got `=`") => {
                "`=` is no operator: did you mean `==`?"
            }
            Self::Url => "download the file and name it here",
            Self::NoSuchPath(_) => {
                "a path that stands for a project or an archive is relative to the working folder, not to the file"
            }
            Self::Cycle(_) => "take out one of the `-r` or `-c` lines",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
