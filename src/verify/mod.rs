//! The proof: an artifact is put into its runtime, and what it brings is imported there.
//!
//! Every top-level module that a `RECORD` names is imported, and every console script's entry point is
//! loaded, each in a process of its own. Some modules are made not to be imported just so: they want
//! settings, or something optional. Those fail in the builder too, in the same way, and are told apart
//! by that.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::event::{Cancel, Event, Observer, Stage};
use crate::fs;
use crate::interpreter::unset_python_variables;
use crate::layout::{self, Layout};
use crate::pack::Output;
use crate::runner::{self, Container, Exec, Local, Runner, Session};
use crate::runtime::{self, Runtime, Source, Wanted};
use crate::tree::{ReadError, RelPath, Tree};
use crate::wheel;

mod artifact;
mod chroot;

pub use chroot::Chroot;

const SCRIPT: &str = include_str!("imports.py");

/// What is to be proved.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The artifact: an archive or a folder.
    pub artifact: Output,
    /// What it will run in.
    pub runtime: Wanted,
    /// Where it will lie there, if that does not follow from the runtime.
    pub dest: Option<String>,
    /// How long one import may take, in seconds.
    pub seconds: u64,
    /// How many are carried out at a time.
    pub jobs: usize,
    /// Where temporary files lie.
    pub scratch: PathBuf,
    /// The `PATH` of this machine.
    pub programs: String,
}

/// An import that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The distribution.
    pub distribution: String,
    /// Whether it is a module or a script.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What was loaded: a module, or a script's `module:attribute`.
    pub target: String,
    /// The last line of what went wrong.
    pub error: Option<String>,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A top-level module.
    Module,
    /// A script's entry point.
    Script,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// The version of this document.
    pub version: u32,
    /// The runtime.
    pub runtime: String,
    /// How many modules were tried.
    pub modules: usize,
    /// How many scripts were.
    pub scripts: usize,
    /// What fails in the runtime, and not in the builder.
    pub broken: Vec<Check>,
    /// What fails in the builder in the same way: it is not made to be imported just so.
    pub by_design: Vec<Check>,
    /// Why nothing was compared with the builder, if that is so.
    pub not_compared: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    version: String,
    checks: Vec<Check>,
}

/// Puts an artifact into its runtime and imports what it brings; what fails is tried in the builder too.
pub fn verify(
    claim: &Claim,
    builder: &dyn Runner,
    cache: &Cache,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Proof, Error> {
    let tree = artifact::read(&claim.artifact, &claim.scratch, cancel)?;
    let runtime = claim.runtime.look(cache, cancel)?;
    observe(&Event::Runtime(&runtime.to_string()));
    let layout = Layout::new(claim.dest.as_deref(), &runtime.python, None)?;
    let brought = Brought::new(tree, layout)?;
    let layout = &brought.layout;
    let dest = layout.dest.trim_matches('/').to_owned();
    let place = place(claim, &runtime)?;
    let mut session = place.open(cancel)?;
    observe(&Event::Stage(Stage::Verify, &layout.dest));
    // On this machine, the prefix lies in a folder that its interpreter does not search.
    let is_added = session.inherits();
    let inside = if is_added { "prebuild/prefix" } else { &dest };
    session.put(inside, &brought.tree)?;
    let asking = Asking {
        claim,
        brought: &brought,
        is_added,
        only: None,
    };
    let answer = asking.ask(session.as_mut(), inside)?;
    drop(session);
    let count = |kind| {
        answer
            .checks
            .iter()
            .filter(|check| check.kind == kind)
            .count()
    };
    let (modules, scripts) = (count(Kind::Module), count(Kind::Script));
    let failed: Vec<Check> = answer
        .checks
        .into_iter()
        .filter(|check| check.error.is_some())
        .collect();
    let (by_design, not_compared) = if failed.is_empty() {
        (Vec::new(), None)
    } else {
        match compare(claim, builder, &brought, &answer.version, &failed, cancel) {
            Ok(there) => (there, None),
            Err(Error::Runner(runner::Error::Cancelled)) => {
                return Err(runner::Error::Cancelled.into());
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        }
    };
    let is_by_design = |check: &Check| {
        let mut same = by_design
            .iter()
            .filter(|there| (there.kind, &there.name) == (check.kind, &check.name));
        same.any(|there| kind_of(there.error.as_deref()) == kind_of(check.error.as_deref()))
    };
    let (by_design, broken) = failed.into_iter().partition(is_by_design);
    Ok(Proof {
        version: 1,
        runtime: runtime.name,
        modules,
        scripts,
        broken,
        by_design,
        not_compared,
    })
}

/// The name of the exception, by which two failures are held against each other: their texts may name
/// paths.
fn kind_of(error: Option<&str>) -> Option<&str> {
    error.map(|error| error.split(':').next().unwrap_or(error))
}

/// Where the runtime's Python is run.
fn place(claim: &Claim, runtime: &Runtime) -> Result<Box<dyn Runner>, Error> {
    let python = runtime.python.executable.clone();
    Ok(match &claim.runtime.source {
        Source::Image(image) => Box::new(Container {
            engine: image.engine,
            image: image.name.clone(),
            python,
            // What is imported asks nobody.
            network: Some("none".to_owned()),
            engine_args: Vec::new(),
            env: image.env.clone(),
            scratch: claim.scratch.clone(),
            process: image.process.clone(),
        }),
        Source::Root(root) => Box::new(Chroot {
            root: root.clone(),
            python,
            programs: claim.programs.clone(),
            scratch: claim.scratch.clone(),
        }),
        Source::Interpreter(path) => {
            let env = [("PATH".to_owned(), claim.programs.clone())];
            let path = path.display().to_string();
            Box::new(Local::new(path, &claim.scratch, env.into()))
        }
        Source::Json(_) => return Err(Error::FactsOnly),
    })
}

/// What an artifact brings, and where that will lie.
struct Brought {
    tree: Tree,
    layout: Layout,
    /// The metadata folders of its distributions, by their names.
    metadata: Vec<String>,
}

impl Brought {
    fn new(tree: Tree, layout: Layout) -> Result<Self, Error> {
        let is_site = |path: &RelPath| *path == layout.purelib || *path == layout.platlib;
        let (mut metadata, mut elsewhere) = (Vec::new(), BTreeSet::new());
        for (path, _) in tree.iter() {
            if !path.name().ends_with(".dist-info") {
                continue;
            }
            match path.parent() {
                Some(site) if is_site(&site) => metadata.push(path.name().to_owned()),
                Some(site) => drop(elsewhere.insert(site.to_string())),
                None => {}
            }
        }
        match elsewhere.pop_first() {
            // Beside others, it is what they bring for their own use.
            Some(there) if metadata.is_empty() => Err(Error::Elsewhere {
                there,
                site: layout.platlib.to_string(),
            }),
            _ => Ok(Self {
                tree,
                layout,
                metadata,
            }),
        }
    }
}

/// What an interpreter is to import.
struct Asking<'a> {
    claim: &'a Claim,
    brought: &'a Brought,
    /// Whether it does not search their folders by itself.
    is_added: bool,
    /// Nothing but these.
    only: Option<&'a [Check]>,
}

impl Asking<'_> {
    /// Asks about a prefix that lies in the folder `inside` of the session.
    fn ask(&self, session: &mut dyn Session, inside: &str) -> Result<Answer, Error> {
        let sites = self.brought.layout.sites();
        let sites = sites.map(|site| session.locate(&format!("{inside}/{site}")));
        let sites: Vec<String> = sites.collect();
        session.put("prebuild-verify", &Tree::of_file("imports.py", SCRIPT))?;
        let pair = |check: &Check| (check.kind, check.name.clone());
        let only: Option<Vec<_>> = self.only.map(|checks| checks.iter().map(pair).collect());
        let question = serde_json::json!({
            "sites": sites,
            "metadata": self.brought.metadata,
            "add": self.is_added,
            "only": only,
            "jobs": self.claim.jobs,
            "seconds": self.claim.seconds,
        });
        let exec = Exec::new(session.python())
            .args([session.locate("prebuild-verify/imports.py")])
            .envs(unset_python_variables())
            .envs([("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())]);
        let answer = runner::answer(session, &exec, &question.to_string())?;
        serde_json::from_str(&answer).map_err(Error::Answer)
    }
}

/// What of that which failed fails in the builder too.
fn compare(
    claim: &Claim,
    builder: &dyn Runner,
    brought: &Brought,
    version: &str,
    failed: &[Check],
    cancel: &Cancel,
) -> Result<Vec<Check>, Error> {
    let mut session = builder.open(cancel)?;
    session.put("prebuild/prefix", &brought.tree)?;
    let asking = Asking {
        claim,
        brought,
        is_added: true,
        only: Some(failed),
    };
    let answer = asking.ask(session.as_mut(), "prebuild/prefix")?;
    if answer.version != version {
        return Err(Error::OtherPython {
            builder: answer.version,
            runtime: version.to_owned(),
        });
    }
    let failed = answer
        .checks
        .into_iter()
        .filter(|check| check.error.is_some());
    Ok(failed.collect())
}

/// Why an artifact cannot be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no artifact.
    #[error("`{}` is no artifact that can be read", path.display())]
    Artifact {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<ReadError>,
    },
    /// Nothing can be said of the runtime.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// Facts do not run.
    #[error("facts about a runtime are not the runtime: nothing can be run in them")]
    FactsOnly,
    /// The builder's Python is another one.
    #[error("the builder has Python {builder}, and the runtime has {runtime}")]
    OtherPython {
        /// The builder's.
        builder: String,
        /// The runtime's.
        runtime: String,
    },
    /// Its distributions lie where the runtime's Python does not look.
    #[error("its distributions lie in `{there}`, and the runtime's Python looks in `{site}`")]
    Elsewhere {
        /// Where they lie in the artifact.
        there: String,
        /// Where it looks.
        site: String,
    },
    /// The interpreter's answer is none.
    #[error("the runtime's Python does not answer")]
    Answer(#[source] serde_json::Error),
    /// The runtime or the builder cannot be used.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// The destination cannot be used.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// A zip archive that is damaged.
    #[error(transparent)]
    Archive(#[from] wheel::ArchiveError),
    /// The file system of this machine.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}
