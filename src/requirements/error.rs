//! The errors of requirements files and project files.

use std::fmt;
use std::path::PathBuf;

use super::DownloadError;
use super::marker::Undefined;
use super::text::Location;
use crate::diagnosis::{Diagnosis, Kind};
use crate::fs;

/// What a file that the caller named is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Requirements.
    Requirements,
    /// Constraints.
    Constraints,
    /// The dependencies of a project.
    Project,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requirements => "requirements file",
            Self::Constraints => "constraints file",
            Self::Project => "project file",
        })
    }
}

/// Why the requirements could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the caller named could not be read.
    #[error("the {role} `{}` cannot be read", file.display())]
    Read {
        /// The file, as it was named.
        file: PathBuf,
        /// What it was to be read for.
        role: Role,
        /// The names beside it that are nearest to its name.
        near: Box<[String]>,
        /// What went wrong.
        #[source]
        source: fs::Error,
    },
    /// What the caller named is no file of requirements.
    #[error("{0}")]
    Input(Problem),
    /// A URL that the caller named could not be downloaded.
    #[error("the {role} `{url}` cannot be downloaded")]
    Download {
        /// The URL, credentials hidden.
        url: String,
        /// What it was to be read for.
        role: Role,
        /// What went wrong.
        #[source]
        source: DownloadError,
    },
    /// A URL that a requirements file names could not be downloaded.
    #[error("{at}: the file at this URL cannot be downloaded")]
    IncludeDownload {
        /// Where it is named.
        at: Location,
        /// The line, and a caret under the place.
        excerpt: Box<str>,
        /// What went wrong.
        #[source]
        source: DownloadError,
    },
    /// A file that a requirements file names could not be read.
    #[error("{at}: the file that is named here cannot be read")]
    Include {
        /// Where it is named.
        at: Location,
        /// The line, and a caret under the place.
        excerpt: Box<str>,
        /// The names beside it that are nearest to its name.
        near: Box<[String]>,
        /// What went wrong.
        #[source]
        source: fs::Error,
    },
    /// Something in a file is wrong.
    #[error("{at}: {problem}")]
    Invalid {
        /// The place.
        at: Location,
        /// The line, and a caret under the place.
        excerpt: Box<str>,
        /// What is wrong there.
        problem: Problem,
    },
}

impl Error {
    /// Where it is; `None` if a file that the caller named could not be read.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Read { .. } | Self::Input(_) | Self::Download { .. } => None,
            Self::Include { at, .. }
            | Self::IncludeDownload { at, .. }
            | Self::Invalid { at, .. } => Some(at),
        }
    }
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Download { source, .. } | Self::IncludeDownload { source, .. } => {
                Some(source.diagnosis())
            }
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        self.wrapped().map_or(Kind::Request, Diagnosis::kind)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { near, .. } | Self::Include { near, .. } if !near.is_empty() => {
                let near: Vec<_> = near.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("did you mean {}?", near.join(" or ")))
            }
            Self::Include { .. } => {
                Some("`-r` and `-c` are relative to the file in which they stand".to_owned())
            }
            Self::Input(problem) | Self::Invalid { problem, .. } => problem.hint(),
            Self::Read { .. } | Self::Download { .. } | Self::IncludeDownload { .. } => {
                self.wrapped()?.hint()
            }
        }
    }

    fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Read { .. } | Self::Input(_) | Self::Download { .. } => None,
            Self::Include { excerpt, .. }
            | Self::IncludeDownload { excerpt, .. }
            | Self::Invalid { excerpt, .. } => Some(excerpt),
        }
    }
}

/// What is wrong at a place. Messages hold what was written, never the values of variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not in the encoding that it should be in.
    #[error("not text in the encoding `{0}`")]
    Undecodable(String),
    /// A wide encoding without a byte order mark.
    #[error("this is text in {0} without a byte order mark")]
    Unmarked(&'static str),
    /// The file names an encoding that is not read.
    #[error("unknown encoding `{0}`")]
    UnknownEncoding(String),
    /// The line is no requirement.
    #[error("not a requirement: {0}")]
    Requirement(String),
    /// One `=` where two were meant.
    #[error("not a requirement: `=` is not an operator")]
    SingleEquals,
    /// It looks like a path, and nothing is there.
    #[error("there is no project, source distribution or wheel at `{0}`")]
    NoSuchPath(String),
    /// A folder that is no Python project.
    #[error("`{0}` is not a Python project: it has neither `pyproject.toml` nor `setup.py`")]
    NotInstallable(String),
    /// A requirements file where a requirement should be.
    #[error("`{0}` is a file, and neither a wheel nor an archive")]
    NotAnArchive(String),
    /// The marker cannot be parsed.
    #[error("not a marker: {0}")]
    Marker(String),
    /// The marker has no answer for this interpreter.
    #[error("the marker has no answer: {0}")]
    Undefined(Undefined),
    /// The address is not one.
    #[error("not a usable URL: {0}")]
    Url(String),
    /// `#egg=` holds something else than a name.
    #[error("`egg=` takes the name of a project and nothing more")]
    Egg,
    /// A file ends in `.whl`, and its name is not a wheel's.
    #[error("not the file name of a wheel: {0}")]
    WheelName(&'static str),
    /// `-e` with something that cannot be a project.
    #[error("`-e` takes the path of a project or a URL of git, hg, bzr or svn")]
    Editable,
    /// `-e` with a repository that has no name.
    #[error("this repository needs the name of the project in it")]
    EditableName,
    /// `-e` in a constraints file.
    #[error("a constraint cannot be editable")]
    EditableConstraint,
    /// A constraint that names no project.
    #[error("a constraint needs a name")]
    UnnamedConstraint,
    /// A constraint with extras.
    #[error("a constraint cannot have extras")]
    ConstraintExtras,
    /// A quote that is not closed, or a `\` with nothing behind it.
    #[error("{0}")]
    Quoting(&'static str),
    /// No such option.
    #[error("a requirements file has no option `{0}`")]
    UnknownOption(String),
    /// An abbreviation that several options begin with.
    #[error("`{0}` may stand for {1}")]
    AmbiguousOption(String, String),
    /// An option without its value.
    #[error("`{0}` needs a value")]
    MissingValue(&'static str),
    /// A value where none is taken.
    #[error("`{0}` takes no value")]
    UnexpectedValue(&'static str),
    /// `--use-feature` with a feature that pip does not have.
    #[error("`--use-feature` takes one of {0}")]
    Feature(String),
    /// `--hash` without an algorithm.
    #[error("`--hash` takes an algorithm and a digest, as in `sha256:0123…`")]
    HashForm,
    /// `--hash` with an algorithm that pip does not take.
    #[error("`--hash` takes sha256, sha384 or sha512")]
    HashAlgorithm,
    /// `--config-settings` without `=`.
    #[error("`--config-settings` takes `KEY=VALUE`")]
    SettingForm,
    /// `--only-binary --other`.
    #[error("`{0}` takes names with commas between them, `:all:` or `:none:`")]
    Names(&'static str),
    /// Both `--require-hashes` and `--no-require-hashes`.
    #[error("`--require-hashes` and `--no-require-hashes` exclude each other")]
    HashModes,
    /// A URL where nothing is downloaded.
    #[error("nothing is downloaded here")]
    Remote,
    /// A file on this machine that a downloaded file names.
    #[error("a downloaded file cannot name a file on this machine")]
    RemoteNamesLocal,
    /// A variable that a downloaded file names.
    #[error("a downloaded file cannot name the environment variable `{0}`")]
    RemoteVariable(String),
    /// A variable that is not set where it has to be.
    #[error("the environment variable `{0}` is not set")]
    UnsetVariable(String),
    /// Another tool's file, or no file of text.
    #[error("`{file}` is {what}, not a requirements file")]
    OtherFile {
        /// The file, as it was named.
        file: String,
        /// What it is.
        what: &'static str,
        /// What can be done with it.
        hint: Box<str>,
    },
    /// A character that looks like another.
    #[error("U+{:04X} is {name}{}", u32::from(*found), match *instead {
        "" => String::new(),
        instead => format!(", not `{instead}`"),
    })]
    LookAlike {
        /// The character.
        found: char,
        /// The name.
        name: &'static str,
        /// What was meant.
        instead: &'static str,
    },
    /// A line of `conda list --export`.
    #[error("`{0}` is a line of `conda list --export`, not a requirement")]
    CondaExport(String),
    /// A lock file where requirements should be.
    #[error("this is the name of a lock file, which is not read as requirements")]
    LockFile,
    /// A file that includes itself, perhaps through others.
    #[error("`{}` includes itself", .0.display())]
    Cycle(PathBuf),
    /// More files than anyone means.
    #[error("too many files include one another")]
    TooManyFiles,
    /// More lines than anyone means, or longer ones, with the values of variables.
    #[error("too much text up to this line, with the values of variables")]
    TooMuch,
    /// The project's file is no TOML.
    #[error("not TOML: {0}")]
    NotToml(String),
    /// A key of the project's file with a value of the wrong type.
    #[error("`{0}` must be {1}")]
    Shape(String, &'static str),
    /// A file without `[project]`.
    #[error("there is no `[project]` table")]
    NoProject,
    /// A file in the format of another tool.
    #[error("the dependencies are in `[{table}]`, which {tool} alone reads")]
    OtherTool {
        /// The table.
        table: String,
        /// The tool.
        tool: &'static str,
        /// What exports them.
        hint: Box<str>,
    },
    /// A setting of another tool's that changes what is installed.
    #[error("{what}")]
    OtherSetting {
        /// What it says.
        what: String,
        /// What can be done.
        hint: String,
    },
    /// Dependencies that are not written down.
    #[error("`{0}` is dynamic: only the project's build backend can tell it")]
    Dynamic(String, Option<String>),
    /// `requires-python` with something else than versions.
    #[error("invalid Python versions: {0}")]
    RequiresPython(String),
    /// An extra that is not there, and those that are.
    #[error("there is no extra `{0}`, {1}")]
    UnknownExtra(String, String),
    /// A dependency group that is not there, and those that are.
    #[error("there is no dependency group `{0}`, {1}")]
    UnknownGroup(String, String),
    /// Two names that are one in their normal form.
    #[error("`{0}` and `{1}` are the same name")]
    SameName(String, String),
    /// A dependency group that includes itself, perhaps through others.
    #[error("the dependency group `{0}` includes itself")]
    GroupCycle(String),
    /// More groups or extras than anyone means.
    #[error("too many {0} include one another")]
    TooMany(&'static str),
}

impl Problem {
    /// What to do about it, if that is not plain from the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Undecodable(_) => {
                "save the file as UTF-8, or name its encoding in its first line: \
                 `# -*- coding: latin-1 -*-`"
            }
            Self::UnknownEncoding(_) | Self::Unmarked(_) => "save the file as UTF-8",
            Self::SingleEquals => "`==` pins a version",
            Self::NoSuchPath(written) => return hint_of_path(written).map(str::to_owned),
            Self::NotAnArchive(_) => "`-r` reads a requirements file",
            Self::Egg => "write `name[extra] @ URL` in place of `URL#egg=name[extra]`",
            Self::EditableName => "write `-e \"name @ URL\"`",
            Self::UnnamedConstraint => "write `name @ URL`",
            Self::ConstraintExtras => "name the extras where the requirement stands",
            Self::UnknownOption(_) => "options that concern the whole run go on the command line",
            Self::LockFile => "name the requirements from which it was made",
            Self::NoProject => "without it, only dependency groups can be asked for",
            Self::Dynamic(_, Some(hint)) | Self::OtherSetting { hint, .. } => {
                return Some(hint.clone());
            }
            Self::Dynamic(_, None) => {
                "require the project itself, as `.` or `.[extra]`: pip asks its build backend"
            }
            Self::Remote => "download the file first, and name the copy",
            Self::RemoteNamesLocal => "download the file, and name the copy",
            Self::RemoteVariable(_) => {
                "whoever writes the file could read the variable: download the file, and name the copy"
            }
            Self::UnsetVariable(name) => {
                return Some(format!("set it: `export {name}=…`"));
            }
            Self::CondaExport(_) => CONDA,
            Self::LookAlike { instead: "", .. } => "delete it: no editor shows it",
            Self::LookAlike { instead, .. } => {
                return Some(format!(
                    "write `{instead}`: word processors and web pages replace it"
                ));
            }
            Self::OtherFile { hint, .. } | Self::OtherTool { hint, .. } => {
                return Some(hint.to_string());
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// What to do with a list that conda made.
pub(super) const CONDA: &str = "prebuild installs from Python package indexes: in the conda environment, \
    `pip list --format=freeze > requirements.txt` writes the Python packages";

/// What to do about a path at which nothing is.
fn hint_of_path(written: &str) -> Option<&'static str> {
    let is_of_windows = written.contains('\\')
        || written.get(1..3) == Some(":/")
            && written.starts_with(|c: char| c.is_ascii_alphabetic());
    Some(if is_of_windows {
        "this is a path of Windows: write the path on this machine, with `/`"
    } else if written.starts_with("file:///") {
        "`pip freeze` writes such a line for what conda or a local directory installed: write \
         `name==VERSION`, as `pip list --format=freeze` does"
    } else if written.starts_with('/') {
        return None;
    } else {
        "paths of requirements are relative to the working folder, not to the file in which they stand"
    })
}

/// A problem and the byte of the line at which it is.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) problem: Problem,
}

impl Fault {
    pub(super) fn new(at: usize, problem: Problem) -> Self {
        Self { at, problem }
    }
}

/// A line and a caret under a column of it.
pub(crate) fn excerpt(line: &str, column: usize) -> String {
    let offset = line
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(line.len(), |(offset, _)| offset);
    let (shown, offset) = super::text::redact_at(line, offset);
    let (shown, offset) = window(&shown, offset);
    // Tabs stay tabs, so that the caret stands where the reader's tabs put it.
    let indent: String = shown[..offset]
        .chars()
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let line: String = shown
        .chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    format!("{line}\n{indent}^")
}

/// The part of a long line that is worth showing.
fn window(line: &str, offset: usize) -> (String, usize) {
    const BEFORE: usize = 60;
    const ALL: usize = 120;
    let before = line[..offset].chars().count();
    if line.chars().count() <= ALL {
        return (line.to_owned(), offset);
    }
    let skipped = before.saturating_sub(BEFORE);
    let mut shown = String::from(if skipped > 0 { "…" } else { "" });
    let start = line.char_indices().nth(skipped).map_or(0, |(at, _)| at);
    let moved = shown.len() + offset - start;
    shown.extend(line[start..].chars().take(ALL));
    if line[start..].chars().count() > ALL {
        shown.push('…');
    }
    (shown, moved)
}
