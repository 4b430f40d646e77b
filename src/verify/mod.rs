//! Verifies an artifact: puts it into its runtime and loads its modules there.
//!
//! First comes the audit, then Python is started once, for `.pth` files. Then every top-level module, every
//! extension module and every entry point is loaded, each in a process of its own. Code that is verified
//! runs in a sandbox of this machine or in a container without network, never beside what verifies it.
//!
//! A check that fails is *broken* if something is missing, or if it fails in the runtime and not in the
//! builder. It is *unverified* if the builder fails alike, or if it exceeds a limit. An extension module
//! or a plugin that lacks another distribution is *optional*, and counts for nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::audit::{self, Finding, Problem, Severity, Subject};
use crate::cache::Cache;
use crate::diagnosis::{self, Diagnosis};
use crate::event::{Cancel, Event, Observer, Stage};
use crate::fs;
use crate::install;
use crate::layout::{self, Layout};
use crate::pack::Output;
use crate::runner::{self, Container, Exec, Runner};
use crate::runtime::{self, Runtime, Source, Wanted};
use crate::target::{MarkerEnvironment, PythonVersion};
use crate::tree::{ReadError, RelPath, Tree};
use crate::wheel;

mod artifact;
mod checks;
mod judge;
mod place;
mod sandbox;
mod trial;

pub use checks::Kind;
pub use sandbox::{ARGUMENT, Limits, enter};

use place::{Contained, Place, Walled, view_of};
use trial::{Group, Trial};

/// What is to be proved.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The artifact: an archive or a folder.
    pub artifact: Output,
    /// What it will run in.
    pub runtime: Wanted,
    /// Where it will lie there, if that does not follow from the runtime.
    pub dest: Option<String>,
    /// What one check may use.
    pub limits: Limits,
    /// How many checks run at a time.
    pub jobs: usize,
    /// Where temporary files lie.
    pub scratch: PathBuf,
    /// The `PATH` of this machine.
    pub programs: String,
    /// The program that calls [`enter`] if its first argument is [`ARGUMENT`].
    pub helper: PathBuf,
    /// Whether code of the artifact may run on this machine without a sandbox.
    pub no_sandbox: bool,
    /// Findings and checks that the user knows better: `KIND`, `NAME` or `KIND:NAME`.
    pub allowed: Vec<String>,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The distribution.
    pub distribution: String,
    /// What was tried.
    pub kind: Kind,
    /// Its name. That of an entry point begins with its group.
    pub name: String,
    /// What was loaded: `MODULE`, or `MODULE:ATTRIBUTE`.
    pub target: String,
    /// The type of the exception and the first line of its text, or how the process ended.
    pub error: String,
    /// What was written to standard error; only the beginning and the end of much.
    pub details: String,
}

impl Failed {
    /// Whether the user allows it: by its kind, its name, its distribution, or a kind and one of these.
    #[must_use]
    pub fn is_named(&self, allowed: &str) -> bool {
        let names = |name: &str| name == self.name || name == self.distribution;
        match allowed.split_once(':') {
            Some((kind, name)) => kind == self.kind.name() && names(name),
            None => allowed == self.kind.name() || names(allowed),
        }
    }
}

/// How many checks of each kind there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Top-level modules.
    pub modules: usize,
    /// Extension modules below packages.
    pub extensions: usize,
    /// Scripts.
    pub scripts: usize,
    /// Entry points of other groups.
    pub entry_points: usize,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// The version of this document.
    pub version: u32,
    /// The runtime.
    pub runtime: String,
    /// Where the checks ran.
    pub place: String,
    /// Where failures were tried again, if they were: in the builder, in walls of its own.
    pub compared_in: Option<String>,
    /// Why failures were not compared with the builder, if a builder was needed.
    pub not_compared: Option<String>,
    /// The numbers of checks.
    pub checked: Counts,
    /// The findings of the audit.
    pub findings: Vec<Finding>,
    /// The line of a Dockerfile that installs missing packages.
    pub remedy: Option<String>,
    /// Failures of the artifact in its runtime.
    pub broken: Vec<Failed>,
    /// Failures that the builder shares, or that exceed a limit.
    pub unverified: Vec<Failed>,
    /// Failures that need a missing optional distribution. They do not count.
    pub optional: Vec<Failed>,
    /// Failures that the user allows.
    pub allowed: Vec<Failed>,
}

impl Verification {
    /// Whether all is well, but for what the user allows.
    #[must_use]
    pub fn holds(&self) -> bool {
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        self.broken.is_empty() && self.unverified.is_empty() && !self.findings.iter().any(is_error)
    }
}

/// Puts an artifact into its runtime and loads its modules. It tries failures in the builder too.
pub fn verify(
    claim: &Claim,
    builder: &dyn Runner,
    cache: &Cache,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Verification, Error> {
    let mut tree = artifact::read(&claim.artifact, &claim.scratch, cancel)?;
    let runtime = claim.runtime.look(cache, cancel)?;
    observe(&Event::Runtime(&runtime.to_string()));
    let layout = Layout::new(claim.dest.as_deref(), &runtime.python, None)?;
    look_for_it(&tree, &layout)?;
    let findings = findings(claim, &mut tree, &layout, &runtime)?;
    observe(&Event::Stage(Stage::Verify, &layout.dest));
    let mut place = place_of(claim, &runtime, &layout, &tree, cancel)?;
    let checks = checks::find(&tree, &layout, &runtime.python.suffixes)?;
    let mut trial = Trial::new(claim, &tree, &layout, &findings);
    trial.run(place.as_mut(), checks)?;
    let mut proof = Verification {
        version: 3,
        place: place.name(),
        compared_in: None,
        not_compared: None,
        checked: trial.counts,
        findings: Vec::new(),
        remedy: audit::remedy(&findings, &runtime),
        runtime: runtime.name.clone(),
        broken: Vec::new(),
        unverified: Vec::new(),
        optional: Vec::new(),
        allowed: Vec::new(),
    };
    drop(place);
    if trial.is_to_compare() {
        match compared(claim, builder, &tree, &layout, &runtime, cache, cancel) {
            Ok(mut there) => {
                proof.compared_in = Some(there.name());
                trial.compare(there.as_mut())?;
            }
            Err(Error::Runner(runner::Error::Cancelled)) => {
                return Err(runner::Error::Cancelled.into());
            }
            Err(error) => proof.not_compared = Some(error.to_string()),
        }
    }
    for (group, failed) in trial.failed() {
        let is_allowed = claim.allowed.iter().any(|allowed| failed.is_named(allowed));
        match group {
            Group::Optional => proof.optional.push(failed),
            _ if is_allowed => proof.allowed.push(failed),
            Group::Broken => proof.broken.push(failed),
            Group::Unverified => proof.unverified.push(failed),
        }
    }
    proof.findings = findings;
    Ok(proof)
}

/// What lies where the runtime's Python does not look proves nothing.
fn look_for_it(tree: &Tree, layout: &Layout) -> Result<(), Error> {
    let is_site = |path: &RelPath| layout.sites().any(|site| site == path);
    let (mut is_there, mut elsewhere) = (false, BTreeSet::new());
    for (path, _) in tree.iter() {
        match path.parent() {
            Some(site) if path.name().ends_with(".dist-info") => {
                if is_site(&site) {
                    is_there = true;
                } else {
                    elsewhere.insert(site.to_string());
                }
            }
            _ => {}
        }
    }
    match elsewhere.pop_first() {
        // Beside others, it is what they bring for their own use.
        Some(there) if !is_there => Err(Error::Elsewhere {
            there,
            site: layout.platlib.to_string(),
        }),
        _ => Ok(()),
    }
}

/// What the audit finds, without what an artifact cannot say of its build.
fn findings(
    claim: &Claim,
    tree: &mut Tree,
    layout: &Layout,
    runtime: &Runtime,
) -> Result<Vec<Finding>, Error> {
    let pieces = install::describe(tree, layout)?;
    let python = &runtime.python;
    let version: Option<PythonVersion> = [python.full_version.as_deref(), Some(&python.version)]
        .into_iter()
        .flatten()
        .find_map(|version| version.parse().ok());
    let machine = runtime.facts.machine.map(|machine| machine.to_string());
    let Some(version) = version else {
        return Ok(Vec::new());
    };
    let markers = MarkerEnvironment::named(&version, &machine.unwrap_or_default());
    let mut findings = audit::audit(&Subject {
        tree,
        layout,
        pieces: &pieces,
        markers: &markers,
        no_deps: false,
        runtime: Some(runtime),
        secrets: &[],
        allowed: &claim.allowed,
    });
    // Several distributions list a path, and which brought it is forgotten.
    findings.retain(|finding| !matches!(finding.problem, Problem::Conflict { .. }));
    Ok(findings)
}

/// Where the runtime's Python runs.
fn place_of(
    claim: &Claim,
    runtime: &Runtime,
    layout: &Layout,
    tree: &Tree,
    cancel: &Cancel,
) -> Result<Box<dyn Place>, Error> {
    let python = &runtime.python;
    let (dest, sites) = (layout.dest.as_str(), &[][..]);
    let view = match &claim.runtime.source {
        Source::Image(image) => {
            let container = Container {
                engine: image.engine,
                image: image.name.clone(),
                python: python.executable.clone(),
                network: None,
                engine_args: Vec::new(),
                env: image.env.clone(),
                scratch: claim.scratch.clone(),
                process: image.process.clone(),
            };
            let session = container.isolated(memory(claim)).open(cancel)?;
            return Ok(Box::new(Contained::new(
                claim,
                session,
                (tree, dest),
                sites,
            )?));
        }
        Source::Root(root) => view_of(&fs::canonicalize(root)?, python),
        Source::Interpreter(_) => sandbox::usable(python),
        Source::Json(_) => return Err(Error::FactsOnly),
    };
    let outside: Vec<String> = match &view {
        // Without mounts, the artifact lies where nothing looks.
        sandbox::View::Machine(_) if claim.no_sandbox => {
            layout.sites().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    let walled = Walled::new(
        claim,
        view,
        &python.executable,
        (tree, dest),
        &outside,
        cancel,
    )?;
    Ok(Box::new(walled))
}

/// What a container may use: one check that takes all that it may must not end the others.
fn memory(claim: &Claim) -> u64 {
    claim.limits.memory.saturating_add(512 << 20)
}

/// Where the artifact lies in a builder.
const IN_BUILDER: &str = "/prebuild/prefix";

/// The builder as a place for checks, apart from this machine. It must have the runtime's Python.
fn compared(
    claim: &Claim,
    builder: &dyn Runner,
    tree: &Tree,
    layout: &Layout,
    runtime: &Runtime,
    cache: &Cache,
    cancel: &Cancel,
) -> Result<Box<dyn Place>, Error> {
    let sites: Vec<String> = layout.sites().map(ToString::to_string).collect();
    let wanted = runtime.python.version.clone();
    let same = |version: &str| {
        if version == wanted {
            return Ok(());
        }
        Err(Error::OtherPython {
            builder: version.to_owned(),
            runtime: wanted.clone(),
        })
    };
    // What the builder's own Python says of itself; nothing of the artifact is there.
    let script = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)";
    let isolated = builder.isolated(memory(claim));
    let mut session = match &isolated {
        Some(isolated) => isolated.open(cancel)?,
        None => builder.open(cancel)?,
    };
    let mut said = Vec::new();
    let exec = Exec::new(session.python()).args(["-I", "-S", "-c", script]);
    session.run(&exec, b"", &mut |_, line| said.push(line.to_owned()))?;
    same(said.first().map_or("", String::as_str))?;
    if isolated.is_some() {
        let contained = Contained::new(claim, session, (tree, IN_BUILDER), &sites)?;
        return Ok(Box::new(contained));
    }
    if session.identity().kind != "local" {
        return Err(Error::NoWalls);
    }
    let source = Source::Interpreter(PathBuf::from(said.pop().unwrap_or_default()));
    let wanted = Wanted {
        source,
        python: None,
    };
    let python = wanted.look(cache, cancel)?.python;
    let view = sandbox::usable(&python);
    let walled = Walled::new(
        claim,
        view,
        &python.executable,
        (tree, IN_BUILDER),
        &sites,
        cancel,
    )?;
    Ok(Box::new(walled))
}

/// Why an artifact cannot be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The artifact cannot be read.
    #[error("cannot read the artifact `{}`", path.display())]
    Artifact {
        /// The path of the artifact.
        path: PathBuf,
        /// The problem.
        #[source]
        source: Box<ReadError>,
    },
    /// The runtime cannot be inspected.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The runtime is a JSON file of facts, in which nothing can run.
    #[error("a JSON file of facts is not a runtime: nothing can run in it")]
    FactsOnly,
    /// The builder has another Python than the runtime.
    #[error("the builder has Python {builder}, and the runtime has {runtime}")]
    OtherPython {
        /// The builder's Python.
        builder: String,
        /// The runtime's Python.
        runtime: String,
    },
    /// The builder is neither a container nor this machine.
    #[error("the builder is neither a container nor this machine")]
    NoWalls,
    /// The runtime's Python does not search the artifact's distributions.
    #[error("its distributions are in `{there}`, and the runtime's Python searches `{site}`")]
    Elsewhere {
        /// Their directory in the artifact.
        there: String,
        /// The directory that the runtime's Python searches.
        site: String,
    },
    /// The kernel allows no sandbox.
    #[error("cannot create a sandbox: {reason}")]
    NoSandbox {
        /// The reason.
        reason: String,
    },
    /// The runtime's Python does not start.
    #[error("cannot run the runtime's Python: {reason}")]
    NotEntered {
        /// The reason.
        reason: String,
    },
    /// The answer of a check is invalid.
    #[error("a check does not answer")]
    Answer(#[source] serde_json::Error),
    /// The metadata of its distributions is invalid.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// The runtime or the builder cannot be used.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// The destination cannot be used.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// A zip archive that is damaged.
    #[error(transparent)]
    Archive(#[from] wheel::ArchiveError),
    /// A file system call of this machine failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Runtime(error) => Some(error),
            Self::Install(error) => Some(error),
            Self::Runner(error) => Some(error),
            Self::Layout(error) => Some(error),
            Self::Archive(error) => Some(error),
            Self::Fs(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> diagnosis::Kind {
        match self {
            Self::Install(install::Error::Runner(error)) => error.kind(),
            // The artifact is what the user names.
            Self::Artifact { .. } | Self::Install(_) => diagnosis::Kind::Request,
            Self::Elsewhere { .. } => diagnosis::Kind::Unfit,
            Self::FactsOnly | Self::NoSandbox { .. } | Self::NotEntered { .. } => {
                diagnosis::Kind::Setup
            }
            _ => self
                .wrapped()
                .map_or(diagnosis::Kind::Build, Diagnosis::kind),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Elsewhere { .. } => "build the artifact for this runtime with `--runtime`",
            Self::FactsOnly => "name the image or the root directory",
            Self::NoSandbox { .. } => {
                "allow user namespaces, run as root with CAP_SYS_ADMIN, or name an image; \
                 `--unsafe-no-sandbox` runs the artifact's code without a sandbox"
            }
            Self::NotEntered { .. } => {
                "every user must be able to read it, and it must have this machine's architecture; or name an image, for an engine"
            }
            _ => return self.wrapped()?.hint(),
        };
        Some(hint.to_owned())
    }
}
