//! Why a build failed.

use std::path::PathBuf;

use crate::requirements::Name;
use crate::{
    audit, bundle, cache, fs, index, install, interpreter, layout, lock, pack, pip, requirements,
    resolve, runner, runtime, verify, wheel,
};

/// Why a build failed: one variant a stage.
///
/// Each message says what this stage was doing and to what; why it failed is the `source`, and is
/// never repeated in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The requirements could not be read.
    #[error(transparent)]
    Requirements(#[from] requirements::Error),
    /// The builder could not be used.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// The builder's interpreter could not be asked.
    #[error(transparent)]
    Interpreter(#[from] interpreter::Error),
    /// The destination cannot be used.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// pip did not deliver.
    #[error(transparent)]
    Pip(#[from] pip::Error),
    /// What was asked for cannot be installed.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// A lock file cannot be used.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The lock file is out of date, and it must not be.
    #[error("the lock file `{}` is out of date: {}", file.display(), why.join("; "))]
    OutOfDate {
        /// The lock file.
        file: PathBuf,
        /// What has changed.
        why: Vec<String>,
    },
    /// What was decided cannot be locked.
    #[error("`{0}` cannot be locked: nobody knows its hash")]
    Unhashed(Name),
    /// An index does not deliver.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// A wheel cannot be used.
    #[error(transparent)]
    Wheel(#[from] wheel::Error),
    /// The prefix cannot be used.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// Nothing can be said of the runtime.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// An artifact cannot be put into its runtime.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// Libraries cannot be bundled.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// It would not work in its runtime.
    #[error(transparent)]
    Unfit(Box<audit::Unfit>),
    /// It would work nowhere.
    #[error("the audit found errors")]
    Findings(Vec<audit::Finding>),
    /// The artifact could not be written.
    #[error(transparent)]
    Pack(#[from] pack::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The file system.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

/// What kind of failure it is; the command line turns it into its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The build failed: pip, an index, a wheel, the disk.
    Build,
    /// The request is wrong.
    Request,
    /// This machine is not set up: no Python, no pip, no engine, no such image.
    Setup,
    /// It would not work in its runtime.
    Unfit,
    /// The caller stopped it.
    Cancelled,
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            // Those that another stage passes on come first.
            Self::Runner(error)
            | Self::Interpreter(interpreter::Error::Runner(error))
            | Self::Bundle(bundle::Error::Runner(error))
            | Self::Verify(verify::Error::Runner(error))
            | Self::Install(install::Error::Runner(error)) => runner_kind(error),
            Self::Runtime(error) | Self::Verify(verify::Error::Runtime(error)) => {
                runtime_kind(error)
            }
            Self::Requirements(error) if downloaded(error).is_some() => {
                downloaded(error).map_or(Kind::Build, index_kind)
            }
            Self::Requirements(_)
            | Self::Lock(_)
            | Self::OutOfDate { .. }
            | Self::Layout(_)
            | Self::Verify(
                verify::Error::Artifact { .. }
                | verify::Error::Install(_)
                | verify::Error::Layout(_),
            )
            | Self::Resolve(
                resolve::Error::Requirements(_)
                | resolve::Error::Conflict { .. }
                | resolve::Error::Open { .. }
                | resolve::Error::Unmet { .. },
            ) => Kind::Request,
            Self::Index(error) | Self::Pip(pip::Error::Index(error)) => index_kind(error),
            Self::Resolve(resolve::Error::Unavailable { source, .. }) => index_kind(source),
            Self::Unfit(_) | Self::Findings(_) | Self::Verify(verify::Error::Elsewhere { .. }) => {
                Kind::Unfit
            }
            Self::Interpreter(_)
            | Self::Verify(
                verify::Error::FactsOnly
                | verify::Error::NoSandbox { .. }
                | verify::Error::NotEntered { .. },
            ) => Kind::Setup,
            Self::Pip(error) => match error {
                pip::Error::Runner(error) => runner_kind(error),
                pip::Error::NoPip { .. } | pip::Error::Broken { .. } => Kind::Setup,
                pip::Error::Requirements(_) => Kind::Request,
                _ => Kind::Build,
            },
            Self::Pack(error) if error.is_cancelled() => Kind::Cancelled,
            Self::Pack(error) if error.is_request() => Kind::Request,
            Self::Wheel(error) | Self::Install(install::Error::Wheel(error))
                if error.is_cancelled() =>
            {
                Kind::Cancelled
            }
            Self::Cache(error) if error.is_cancelled() => Kind::Cancelled,
            Self::Cache(error) if error.is_request() => Kind::Request,
            Self::Cache(error) if error.is_unsafe() => Kind::Setup,
            Self::Resolve(_)
            | Self::Unhashed(_)
            | Self::Wheel(_)
            | Self::Install(_)
            | Self::Bundle(_)
            | Self::Verify(_)
            | Self::Pack(_)
            | Self::Cache(_)
            | Self::Fs(_) => Kind::Build,
        }
    }

    /// What the user can do, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Requirements(error) | Self::Pip(pip::Error::Requirements(error)) => {
                error.hint().or_else(|| download_hint(error))
            }
            Self::Runner(error)
            | Self::Interpreter(interpreter::Error::Runner(error))
            | Self::Runtime(runtime::Error::Runner(error))
            | Self::Install(install::Error::Runner(error))
            | Self::Pip(pip::Error::Runner(error)) => runner_hint(error),
            Self::Interpreter(_) => Some("prebuild needs CPython 3.8 or later".to_owned()),
            Self::Pip(error) => error.hint(),
            Self::Pack(error) => error.hint(),
            Self::Cache(error) => error.hint().map(str::to_owned),
            Self::Wheel(error) => error.hint().map(str::to_owned),
            Self::Lock(error) => error.hint().map(str::to_owned),
            Self::OutOfDate { .. } => Some("`prebuild lock` updates it".to_owned()),
            Self::Resolve(error) => error.hint(),
            Self::Index(error) => error.hint(),
            Self::Runtime(error) => error.hint().map(str::to_owned),
            Self::Verify(error) => match error {
                verify::Error::Runner(error) => runner_hint(error),
                verify::Error::Runtime(error) => error.hint().map(str::to_owned),
                verify::Error::Elsewhere { .. } => {
                    Some("build it for this runtime: `prebuild … --runtime`".to_owned())
                }
                verify::Error::FactsOnly => {
                    Some("name the image or the root folder itself".to_owned())
                }
                verify::Error::NoSandbox { .. } => Some(
                    "allow user namespaces, run as root with CAP_SYS_ADMIN, or name an image; \
                     `--unsafe-no-sandbox` runs the artifact's code without a sandbox"
                        .to_owned(),
                ),
                verify::Error::NotEntered { .. } => Some(
                    "it must be for this machine's architecture, and every user must be able to read \
                     it; an engine can run an image of it"
                        .to_owned(),
                ),
                _ => None,
            },
            Self::Unfit(_) | Self::Findings(_) => Some(
                "what you know better can be allowed: `--allow KIND`, or `--allow KIND:NAME`"
                    .to_owned(),
            ),
            Self::Bundle(_)
            | Self::Unhashed(_)
            | Self::Layout(_)
            | Self::Install(_)
            | Self::Fs(_) => None,
        }
    }

    /// The line that is wrong, with a caret, where a requirements file is the reason.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Requirements(error) | Self::Pip(pip::Error::Requirements(error)) => {
                error.excerpt()
            }
            Self::Lock(error) => error.excerpt(),
            _ => None,
        }
    }

    /// What the audit found, if that is the reason.
    #[must_use]
    pub fn findings(&self) -> &[audit::Finding] {
        match self {
            Self::Unfit(unfit) => &unfit.findings,
            Self::Findings(findings) => findings,
            _ => &[],
        }
    }

    /// The last lines of what failed.
    #[must_use]
    pub fn tail(&self) -> &[String] {
        match self {
            Self::Pip(pip::Error::Runner(runner::Error::Failed { tail, .. }))
            | Self::Verify(verify::Error::Runner(runner::Error::Failed { tail, .. }))
            | Self::Runner(runner::Error::Failed { tail, .. }) => tail,
            Self::Pip(error) => error.tail(),
            _ => &[],
        }
    }
}

/// Why a requirements file was not downloaded, if that is what is wrong.
fn downloaded(error: &requirements::Error) -> Option<&index::Error> {
    error.download()?.downcast_ref()
}

fn download_hint(error: &requirements::Error) -> Option<String> {
    let hint = match downloaded(error)? {
        index::Error::Status {
            status: 401 | 403, ..
        } => "name a user and a password in the URL, or in ~/.netrc",
        index::Error::Status {
            status: 404 | 410, ..
        } => "is the URL right? a browser shows what is there",
        index::Error::Status { .. } => "try again later",
        index::Error::Offline(_) => {
            "run it without --offline, or download the file and name the copy"
        }
        index::Error::Unreachable {
            proxy: None,
            source,
            ..
        } if !source.to_string().contains("certificate") => {
            "is the network there? a proxy is named by HTTPS_PROXY"
        }
        error => return error.hint(),
    };
    Some(hint.to_owned())
}

fn index_kind(error: &index::Error) -> Kind {
    if error.is_cancelled() {
        Kind::Cancelled
    } else if error.is_request() {
        Kind::Request
    } else {
        Kind::Build
    }
}

fn runtime_kind(error: &runtime::Error) -> Kind {
    match error {
        runtime::Error::Runner(error) => runner_kind(error),
        _ => Kind::Request,
    }
}

fn runner_kind(error: &runner::Error) -> Kind {
    match error {
        runner::Error::Cancelled => Kind::Cancelled,
        runner::Error::NotFound { .. }
        | runner::Error::EngineDown { .. }
        | runner::Error::NoImage { .. }
        | runner::Error::NoPython { .. } => Kind::Setup,
        _ => Kind::Build,
    }
}

fn runner_hint(error: &runner::Error) -> Option<String> {
    let hint = match error {
        runner::Error::NotFound { program } => {
            format!("install `{program}`, or build on this machine with `--builder local`")
        }
        runner::Error::EngineDown { engine, .. } => format!(
            "start it (`{engine} version` shows whether it answers), or build on this machine with `--builder local`"
        ),
        runner::Error::NoImage { engine, image, .. } => {
            format!("check the name; `{engine} pull {image}` shows whether it can be had")
        }
        runner::Error::NoPython { .. } => {
            "name an interpreter with `--python X.Y` or `--python PATH`".to_owned()
        }
        runner::Error::Died { .. } => {
            "it was removed, or killed for want of memory; run it again".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
