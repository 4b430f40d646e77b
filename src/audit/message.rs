//! The messages of findings, and their remedies.

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
                    "the files are identical"
                } else {
                    "one overwrites the other"
                };
                write!(f, "is in {names}: {what}")
            }
            Self::CaseCollision { other } => write!(
                f,
                "differs from `{other}` only in case: some file systems cannot hold both"
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
                write!(f, "is built for `{library}`, and the runtime has {runtime}")
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
                f.write_str(", which is missing in the runtime")?;
                match (elsewhere, package) {
                    (Some(path), _) => {
                        write!(f, "; `{path}` exists, but the loader does not search there")
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
                "ends in `{suffix}`, which the runtime's Python does not import: it imports {}",
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
                "imports `{module}`, which is missing in the runtime's standard library; its package `{package}` has it"
            ),
            Self::MissingModule {
                module, instead, ..
            } => {
                write!(f, "imports `{module}`, which ")?;
                match instead {
                    Some(name) if name == module => f.write_str("is missing in the prefix"),
                    Some(name) => write!(f, "is missing, as is `{name}`, which contains it"),
                    None => f.write_str("is missing in the runtime's standard library"),
                }
            }
            Self::MissingInterpreter { interpreter } => {
                write!(
                    f,
                    "is a script for `{interpreter}`, which is missing in the runtime"
                )
            }
            Self::PathFile { folder } => {
                write!(
                    f,
                    "adds the missing directory `{folder}` to the search path"
                )
            }
            Self::UnmetRequirement { requires, has } => {
                write!(f, "requires `{requires}`, ")?;
                match has {
                    Some(version) => write!(f, "but the version is {version}"),
                    None => f.write_str("which is missing"),
                }
            }
            Self::ShadowsStandard { module } => write!(
                f,
                "has the name of `{module}` in the standard library, which Python imports first"
            ),
            Self::AlreadyThere { version, folder } => write!(
                f,
                "overwrites version {version} in the runtime's `{folder}`: files and metadata of both versions remain"
            ),
            Self::MissingProgram {
                program,
                package,
                purpose,
            } => {
                write!(
                    f,
                    "starts `{program}` {purpose}, and `{program}` is missing in the runtime"
                )?;
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
            Self::DanglingLink { target } => write!(f, "is a link to `{target}`, which is missing"),
            Self::BuildFolder { folder } => {
                write!(
                    f,
                    "contains the path of `{folder}`, a directory of the builder"
                )
            }
            Self::Secret => f.write_str("contains credentials of this build"),
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
            Self::Conflict { .. } => "remove one of them, or pin versions that do not conflict".to_owned(),
            Self::WrongPython { runtime, .. } => format!(
                "build with the runtime's Python: `--python {runtime}`, or a builder image that has it"
            ),
            Self::NotSearched { .. } => {
                "remove `--dest`: prebuild takes it from the runtime".to_owned()
            }
            Self::MissingLibrary {
                elsewhere: Some(path),
                ..
            } => match path.parent() {
                Some(folder) if folder.as_str() == "lib" => {
                    "run `ldconfig` in the image after the `COPY`".to_owned()
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
            } => format!("install `{package}` in the runtime, or copy the library: `--bundle-libs`"),
            Self::MissingLibrary { .. } => {
                "install a package that contains it in the runtime, or copy it from the builder: `--bundle-libs`"
                    .to_owned()
            }
            Self::MissingVersion { .. } => {
                "use a newer runtime, or pin another version; if the builder compiled it, use a builder as old as the runtime"
                    .to_owned()
            }
            Self::WrongMachine { .. }
            | Self::WrongLibc { .. }
            | Self::NotImported { .. }
            | Self::OldPython { .. }
            | Self::RequiresPython { .. } => {
                "pin a version that has a wheel for the runtime, or use another runtime".to_owned()
            }
            Self::MissingModule {
                package: Some(package),
                ..
            } => format!("install `{package}` in the runtime"),
            Self::MissingModule { module, instead, .. } => match (module.as_str(), instead) {
                ("pkg_resources", _) => "require `setuptools<82`, which contains it".to_owned(),
                (_, Some(name)) => format!("require `{name}`"),
                (_, None) => {
                    "pin a version that does not import it, or use a runtime that has it".to_owned()
                }
            },
            Self::MissingInterpreter { .. } => "install it in the runtime".to_owned(),
            Self::ReplacesRuntime { .. } => {
                "remove the distribution, or pin a version without this file".to_owned()
            }
            Self::PathFile { .. } => {
                "install it from a wheel: a path to a source directory is for development".to_owned()
            }
            Self::UnmetRequirement { requires, .. } => format!("require `{requires}`, or lock again"),
            Self::AlreadyThere { .. } => {
                "remove that version in the runtime stage of the Dockerfile".to_owned()
            }
            Self::DanglingLink { .. } => "add the target of the link to the runtime".to_owned(),
            Self::BuildFolder { .. } => {
                "build it without absolute paths: the directory does not exist in the runtime"
                    .to_owned()
            }
            Self::Secret => {
                "keep the credentials out of the files of its build; prebuild wrote no artifact".to_owned()
            }
            Self::DamagedCode { .. } => "pin another version, or build it from source: `--no-binary`".to_owned(),
        })
    }
}
