//! The findings of the audit.

use serde::{Deserialize, Serialize};

use crate::code::Damaged;
use crate::tree::{Distribution, RelPath};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It may break something.
    Warning,
    /// It will not work: nothing is written.
    Error,
}

/// One thing that the user should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is.
    #[serde(flatten)]
    pub problem: Problem,
    /// The file that it is about, in the prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<RelPath>,
    /// How many more files of the distribution it is about.
    #[serde(default)]
    pub others: usize,
    /// The distribution that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Who wants that distribution: a line that the user wrote, or another distribution.
    #[serde(default)]
    pub required_by: Vec<String>,
    /// Whether it would be an error, had the user not allowed it.
    #[serde(default)]
    pub allowed: bool,
    /// What to do about it, if anything is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Problem {
    /// Several distributions brought the same path; one of them has overwritten the others (H39).
    Conflict {
        /// The distributions.
        distributions: Vec<Distribution>,
        /// Whether each brought the same bytes.
        equal: bool,
    },
    /// Another path differs only in case: a file system that ignores case holds one of them (H38).
    CaseCollision {
        /// The other.
        other: RelPath,
    },
    /// Distributions whose files were made here, from source: what a compiler makes is not
    /// promised to be the same twice.
    BuiltHere {
        /// The distributions.
        distributions: Vec<String>,
    },
    /// The builder has another Python than the runtime (H9).
    WrongPython {
        /// The builder's version.
        builder: String,
        /// The runtime's.
        runtime: String,
    },
    /// Native code for another machine (H12).
    WrongMachine {
        /// What it is for.
        machine: String,
        /// What the runtime is.
        runtime: String,
    },
    /// Native code for another C library (H11).
    WrongLibc {
        /// What it wants.
        library: String,
        /// What the runtime has.
        runtime: String,
    },
    /// The runtime's Python does not search the folder that distributions lie in (H2).
    NotSearched {
        /// The folder.
        folder: String,
        /// Those that it searches.
        searched: Vec<String>,
    },
    /// A library that the dynamic loader does not find (H13).
    MissingLibrary {
        /// The library.
        library: String,
        /// The runtime's package that has it, if that is known.
        package: Option<String>,
        /// Where in the prefix there is one of that name, which the loader does not search.
        elsewhere: Option<RelPath>,
        /// The module of the standard library that needs it, if one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module: Option<String>,
        /// The names by which Python code opens it, if it does: any of them would do.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        opened: Vec<String>,
    },
    /// A program that the distribution starts and that is not on the runtime's `PATH`.
    MissingProgram {
        /// The program.
        program: String,
        /// The runtime's package that has it, if that is known.
        package: Option<String>,
        /// What the distribution starts it for.
        purpose: String,
    },
    /// A file of the runtime that the prefix replaces, or a program that it hides.
    ReplacesRuntime {
        /// The file in the runtime.
        file: String,
        /// Whose it is.
        of: String,
        /// Whether both stay, and the prefix's comes first on the `PATH`.
        hides: bool,
    },
    /// Versions of symbols that a library of the runtime does not define (H10).
    MissingVersion {
        /// The library.
        library: String,
        /// The versions.
        versions: Vec<String>,
        /// What is there: the newest version of the kind, if there is one.
        newest: Option<String>,
    },
    /// An extension module that the runtime's Python does not look for (H9).
    NotImported {
        /// How its name ends.
        suffix: String,
        /// How names end that are looked for.
        suffixes: Vec<String>,
    },
    /// A wheel for a newer Python than the runtime's.
    OldPython {
        /// The tag of the wheel.
        tag: String,
        /// The runtime's version.
        runtime: String,
    },
    /// A distribution that is not for the runtime's Python.
    RequiresPython {
        /// Its `Requires-Python`.
        requires: String,
        /// The runtime's version.
        runtime: String,
    },
    /// A module of the standard library that the runtime's Python lacks (H29).
    MissingModule {
        /// The module.
        module: String,
        /// What has it instead, if something does.
        instead: Option<String>,
        /// The runtime's package that has it, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<String>,
    },
    /// A script whose interpreter is not in the runtime (H7).
    MissingInterpreter {
        /// The interpreter.
        interpreter: String,
    },
    /// A `.pth` file that names a folder that is not there.
    PathFile {
        /// The folder.
        folder: String,
    },
    /// A `Requires-Dist` that nothing in the prefix meets.
    UnmetRequirement {
        /// What is required.
        requires: String,
        /// The version that there is, if it is the wrong one.
        has: Option<String>,
    },
    /// A module that is called as one of the standard library (H32).
    ShadowsStandard {
        /// The module.
        module: String,
    },
    /// Another version of the distribution lies where the prefix will: files of both get mixed (H5).
    AlreadyThere {
        /// That version.
        version: String,
        /// The folder.
        folder: String,
    },
    /// A link that leads nowhere in the runtime (H37).
    DanglingLink {
        /// Where it leads.
        target: String,
    },
    /// Something that still names a folder of the builder.
    BuildFolder {
        /// The folder.
        folder: String,
    },
    /// Credentials that this build used (H25).
    Secret,
    /// Native code that cannot be read.
    DamagedCode {
        /// What is wrong with it.
        reason: Damaged,
    },
}

impl Problem {
    /// The name of its kind, by which it can be allowed.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::CaseCollision { .. } => "case-collision",
            Self::BuiltHere { .. } => "built-here",
            Self::WrongPython { .. } => "wrong-python",
            Self::WrongMachine { .. } => "wrong-machine",
            Self::WrongLibc { .. } => "wrong-libc",
            Self::NotSearched { .. } => "not-searched",
            Self::MissingLibrary { .. } => "missing-library",
            Self::MissingProgram { .. } => "missing-program",
            Self::MissingVersion { .. } => "missing-version",
            Self::ReplacesRuntime { .. } => "replaces-runtime",
            Self::NotImported { .. } => "not-imported",
            Self::OldPython { .. } => "old-python",
            Self::RequiresPython { .. } => "requires-python",
            Self::MissingModule { .. } => "missing-module",
            Self::MissingInterpreter { .. } => "missing-interpreter",
            Self::PathFile { .. } => "path-file",
            Self::UnmetRequirement { .. } => "unmet-requirement",
            Self::ShadowsStandard { .. } => "shadows-standard",
            Self::AlreadyThere { .. } => "already-there",
            Self::DanglingLink { .. } => "dangling-link",
            Self::BuildFolder { .. } => "build-folder",
            Self::Secret => "secret",
            Self::DamagedCode { .. } => "damaged-code",
        }
    }

    /// The kinds of all findings that can be errors.
    pub const ERRORS: [&str; 16] = [
        "damaged-code",
        "missing-interpreter",
        "missing-library",
        "missing-module",
        "missing-version",
        "not-imported",
        "not-searched",
        "old-python",
        "path-file",
        "replaces-runtime",
        "requires-python",
        "secret",
        "unmet-requirement",
        "wrong-libc",
        "wrong-machine",
        "wrong-python",
    ];

    /// What it is about besides its kind: what `--allow KIND:SUBJECT` names.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::MissingLibrary { library, .. }
            | Self::MissingVersion { library, .. }
            | Self::WrongLibc { library, .. } => Some(library),
            Self::MissingModule { module, .. } | Self::ShadowsStandard { module } => Some(module),
            Self::MissingInterpreter { interpreter } => Some(interpreter),
            Self::MissingProgram { program, .. } => Some(program),
            Self::ReplacesRuntime { file, .. } => Some(file),
            Self::UnmetRequirement { requires, .. } => Some(requires),
            Self::PathFile { folder } | Self::BuildFolder { folder } => Some(folder),
            _ => None,
        }
    }
}

impl Finding {
    /// The package of the runtime's distribution that has what is missing, of what is more than good to know.
    #[must_use]
    pub fn package(&self) -> Option<&str> {
        match &self.problem {
            Problem::MissingLibrary {
                package,
                elsewhere: None,
                ..
            }
            | Problem::MissingModule { package, .. }
                if self.severity > Severity::Note =>
            {
                package.as_deref()
            }
            _ => None,
        }
    }

    /// The library that the dynamic loader does not find for a file of the prefix.
    #[must_use]
    pub fn needed_library(&self) -> Option<&str> {
        match &self.problem {
            Problem::MissingLibrary {
                library,
                module: None,
                opened,
                ..
            } if opened.is_empty() => Some(library),
            _ => None,
        }
    }

    /// A finding about no file and no distribution.
    #[must_use]
    pub fn about(severity: Severity, problem: Problem) -> Self {
        Self::new(severity, problem)
    }

    /// Makes a warning of an error that the user allows.
    pub fn allow(&mut self, allowed: &[String]) {
        let is_allowed = || allowed.iter().any(|allowed| self.is_named(allowed));
        if self.severity == Severity::Error && is_allowed() {
            self.severity = Severity::Warning;
            self.allowed = true;
        }
    }

    /// Names the package that has the library that is missing.
    pub fn is_in(&mut self, name: &str) {
        if let Problem::MissingLibrary { package, .. } = &mut self.problem {
            *package = Some(name.to_owned());
            self.remedy = self.problem.remedy();
        }
    }

    pub(super) fn new(severity: Severity, problem: Problem) -> Self {
        Self {
            severity,
            remedy: problem.remedy(),
            problem,
            path: None,
            others: 0,
            distribution: None,
            required_by: Vec::new(),
            allowed: false,
        }
    }

    pub(super) fn at(mut self, path: &RelPath) -> Self {
        self.path = Some(path.clone());
        self
    }

    pub(super) fn of(mut self, distribution: Option<&Distribution>) -> Self {
        self.distribution = distribution.cloned();
        self
    }

    /// Whether it is what the user allows: `missing-library`, or `missing-library:libfoo.so.1`.
    #[must_use]
    pub fn is_named(&self, allowed: &str) -> bool {
        let (kind, subject) = match allowed.split_once(':') {
            Some((kind, subject)) => (kind, Some(subject)),
            None => (allowed, None),
        };
        kind == self.problem.kind()
            && subject.is_none_or(|subject| {
                self.problem.subject() == Some(subject)
                    || self
                        .distribution
                        .as_ref()
                        .is_some_and(|one| one.name == subject)
            })
    }
}
