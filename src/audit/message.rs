//! What findings say, and what to do about them.

use std::fmt;

use super::finding::{Finding, Problem};

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(distribution) = &self.distribution {
            write!(f, "{distribution}")?;
            if !self.required_by.is_empty() {
                write!(f, " (for {})", self.required_by.join(", "))?;
            }
            f.write_str(": ")?;
        }
        if let Some(path) = &self.path {
            write!(f, "`{path}`")?;
            match self.others {
                0 => {}
                1 => f.write_str(" and another file")?,
                others => write!(f, " and {others} other files")?,
            }
            f.write_str(" ")?;
        } else if self.distribution.is_none() {
            // It is about the builder.
            match &self.problem {
                Problem::WrongMachine { machine, runtime } => {
                    return write!(f, "the builder is {machine}, and the runtime is {runtime}");
                }
                Problem::WrongLibc { library, runtime } => {
                    return write!(
                        f,
                        "the builder has {library}, and the runtime has {runtime}"
                    );
                }
                _ => {}
            }
        }
        self.problem.fmt(f)
    }
}

impl Finding {
    /// What it says, and on a line of its own what to do about it.
    #[must_use]
    pub fn with_help(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{self}\n    help: {remedy}"),
            None => self.to_string(),
        }
    }
}

/// As the end of a sentence that begins with the file, if there is one.
impl fmt::Display for Problem {
    #[expect(clippy::too_many_lines, reason = "one arm a kind")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict {
                distributions,
                equal,
            } => {
                let names: Vec<_> = distributions.iter().map(ToString::to_string).collect();
                let names = names.join(" and ");
                let what = if *equal {
                    "the files are equal"
                } else {
                    "one has overwritten the other"
                };
                write!(f, "is brought by {names}: {what}")
            }
            Self::CaseCollision { other } => write!(
                f,
                "differs from `{other}` only in case: not every file system holds both"
            ),
            Self::BuiltHere { distributions } => write!(
                f,
                "built from source: {}; their bytes may differ from build to build",
                distributions.join(", ")
            ),
            Self::WrongPython { builder, runtime } => write!(
                f,
                "the builder has Python {builder}, and the runtime has {runtime}"
            ),
            Self::WrongMachine { machine, runtime } => {
                write!(f, "is for {machine}, and the runtime is {runtime}")
            }
            Self::WrongLibc { library, runtime } => {
                write!(f, "is made for `{library}`, and the runtime has {runtime}")
            }
            Self::NotSearched { folder, searched } => write!(
                f,
                "the runtime's Python does not search `{folder}`; it searches {}",
                searched.join(", ")
            ),
            Self::MissingLibrary {
                library,
                package,
                elsewhere,
                module,
                opened,
            } => {
                if let Some(module) = module {
                    write!(f, "imports `{module}`, which ")?;
                }
                match opened.as_slice() {
                    [] => write!(f, "needs `{library}`")?,
                    [name] if name == library => write!(f, "opens `{library}`")?,
                    names => write!(f, "opens `{library}` (by {})", quoted(names))?,
                }
                f.write_str(", which the runtime lacks")?;
                match (elsewhere, package) {
                    (Some(path), _) => {
                        write!(f, "; there is `{path}`, where the loader does not look")
                    }
                    (None, Some(package)) => write!(f, "; its package `{package}` has it"),
                    (None, None) => Ok(()),
                }
            }
            Self::MissingVersion {
                library,
                versions,
                newest,
            } => {
                let versions = versions.join(", ");
                write!(f, "needs {versions} of `{library}`, and the runtime's ")?;
                match newest {
                    Some(newest) => write!(f, "goes up to {newest}"),
                    None => f.write_str("has none of that kind"),
                }
            }
            Self::NotImported { suffix, suffixes } => write!(
                f,
                "ends in `{suffix}`, which the runtime's Python does not import: it looks for {}",
                suffixes.join(", ")
            ),
            Self::OldPython { tag, runtime } => write!(
                f,
                "its wheel is for `{tag}`, and the runtime has Python {runtime}"
            ),
            Self::RequiresPython { requires, runtime } => {
                write!(
                    f,
                    "requires Python {requires}, and the runtime has {runtime}"
                )
            }
            Self::MissingModule {
                module,
                package: Some(package),
                ..
            } => write!(
                f,
                "imports `{module}`, which the runtime's standard library lacks; its package `{package}` has it"
            ),
            Self::MissingModule {
                module, instead, ..
            } => {
                write!(f, "imports `{module}`, which ")?;
                match instead {
                    Some(name) if name == module => f.write_str("is not in the prefix"),
                    Some(name) => write!(f, "is not there, and neither is `{name}`, which has it"),
                    None => f.write_str("the runtime's standard library lacks"),
                }
            }
            Self::MissingInterpreter { interpreter } => {
                write!(
                    f,
                    "is a script for `{interpreter}`, which is not in the runtime"
                )
            }
            Self::PathFile { folder } => {
                write!(f, "adds `{folder}` to the search path, which is not there")
            }
            Self::UnmetRequirement { requires, has } => {
                write!(f, "requires `{requires}`, ")?;
                match has {
                    Some(version) => write!(f, "and there is {version}"),
                    None => f.write_str("which is not there"),
                }
            }
            Self::ShadowsStandard { module } => write!(
                f,
                "has the name of the standard library's `{module}`, which comes first"
            ),
            Self::AlreadyThere { version, folder } => write!(
                f,
                "is copied over version {version} in the runtime's `{folder}`: files and metadata of both \
                 versions will be there"
            ),
            Self::MissingProgram {
                program,
                package,
                purpose,
            } => {
                write!(f, "starts `{program}` {purpose}, and the runtime lacks it")?;
                match package {
                    Some(package) => write!(f, "; its package `{package}` has it"),
                    None => Ok(()),
                }
            }
            Self::ReplacesRuntime {
                file,
                of,
                hides: false,
            } => write!(f, "replaces `{file}` of {of}"),
            Self::ReplacesRuntime { file, of, .. } => {
                write!(f, "hides `{file}` of {of}: it comes first on the PATH")
            }
            Self::DanglingLink { target } => write!(f, "leads to `{target}`, which is not there"),
            Self::BuildFolder { folder } => {
                write!(f, "names `{folder}`, a folder of the builder")
            }
            Self::Secret => f.write_str("holds credentials that this build used"),
            Self::DamagedCode { reason } => write!(f, "cannot be loaded: {reason}"),
        }
    }
}

/// Names, each in quotes.
fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl Problem {
    /// What to do about it; nothing for what is only good to know, or says so itself.
    pub(super) fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::CaseCollision { .. }
            | Self::BuiltHere { .. }
            | Self::ShadowsStandard { .. }
            | Self::MissingProgram { .. }
            | Self::Conflict { equal: true, .. } => return None,
            Self::Conflict { .. } => "leave one of them out, or pin versions that do not clash".to_owned(),
            Self::WrongPython { runtime, .. } => format!(
                "build with that Python: `--python {runtime}`, or a builder's image that has it"
            ),
            Self::NotSearched { .. } => {
                "leave `--dest` out: it follows from the runtime".to_owned()
            }
            Self::MissingLibrary {
                elsewhere: Some(path),
                ..
            } => match path.parent() {
                Some(folder) if folder.as_str() == "lib" => {
                    "run `ldconfig` in the image behind the `COPY`".to_owned()
                }
                _ => return None,
            },
            // Python looks for it by its name, which a copy does not have.
            Self::MissingLibrary {
                library,
                package,
                module,
                opened,
                ..
            } if module.is_some() || !opened.is_empty() => match package {
                Some(package) => format!("install `{package}` in the runtime"),
                None => format!("install the package that has `{library}` in the runtime"),
            },
            Self::MissingLibrary {
                package: Some(package),
                ..
            } => format!("install `{package}` in the runtime, or copy it: `--bundle-libs`"),
            Self::MissingLibrary { .. } => {
                "install what has it in the runtime, or copy it from the builder: `--bundle-libs`"
                    .to_owned()
            }
            Self::MissingVersion { .. } => {
                "take a newer runtime; for what is built here, a builder as old as the runtime; or pin \
                 another version"
                    .to_owned()
            }
            Self::WrongMachine { .. }
            | Self::WrongLibc { .. }
            | Self::NotImported { .. }
            | Self::OldPython { .. }
            | Self::RequiresPython { .. } => {
                "pin a version that has a file for the runtime, or take another runtime".to_owned()
            }
            Self::MissingModule {
                package: Some(package),
                ..
            } => format!("install `{package}` in the runtime"),
            Self::MissingModule { module, instead, .. } => match (module.as_str(), instead) {
                ("pkg_resources", _) => "require `setuptools<82`, which brings it".to_owned(),
                (_, Some(name)) => format!("require `{name}`"),
                (_, None) => {
                    "pin a version that does without it, or take a runtime that has it".to_owned()
                }
            },
            Self::MissingInterpreter { .. } => "install it in the runtime".to_owned(),
            Self::ReplacesRuntime { .. } => {
                "leave the distribution out, or pin a version that does not bring this file".to_owned()
            }
            Self::PathFile { .. } => {
                "install it from a wheel: what points at a source folder is for development".to_owned()
            }
            Self::UnmetRequirement { requires, .. } => format!("require `{requires}`, or lock again"),
            Self::AlreadyThere { .. } => {
                "remove that version in the stage of the runtime".to_owned()
            }
            Self::DanglingLink { .. } => "put there what it leads to".to_owned(),
            Self::BuildFolder { .. } => {
                "have its build take no absolute paths; what it opens there is not in the runtime"
                    .to_owned()
            }
            Self::Secret => {
                "keep the credentials out of what its build writes; nothing was written here".to_owned()
            }
            Self::DamagedCode { .. } => "pin another version, or build it from source: `--no-binary`".to_owned(),
        })
    }
}
