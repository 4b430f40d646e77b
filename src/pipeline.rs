//! The stages in their order. Read this file first.

use std::path::PathBuf;
use std::time::Duration;

use crate::artifact::Artifact;
use crate::audit::{Finding, audit};
use crate::cache::{self, Cache};
use crate::error::Result;
use crate::event::{Cancel, Event, Observer, Stage};
use crate::install::{self, Installed};
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::pack::{self, Output};
use crate::pip::{self, Driver};
use crate::plan::Plan;
use crate::requirements::{Context, Input, Requirements};
use crate::runner::{Runner, Session};
use crate::tree::Node;

/// What is asked for: all that decides a build, as values.
#[derive(Debug)]
pub struct Request {
    /// The requirements files.
    pub inputs: Vec<Input>,
    /// Files of constraints.
    pub constraints: Vec<Input>,
    /// The working folder, absolute.
    pub cwd: PathBuf,
    /// How pip is run; its `env` is also what `${NAME}` in requirements stands for.
    pub pip: pip::Options,
    /// Where the prefix will lie in the runtime.
    pub dest: String,
    /// The interpreter that scripts name, if it is not what follows from `dest`.
    pub script_python: Option<String>,
    /// Whether bytecode is written.
    pub compile: bool,
    /// What to write.
    pub outputs: Vec<Output>,
    /// How.
    pub pack: pack::Options,
    /// Where what can be used again is kept.
    pub cache: cache::Place,
    /// Tells the time since some moment, for the summary; the library has no clock of its own.
    pub clock: Option<fn() -> Duration>,
}

impl Request {
    /// A request that reads `inputs`, with every default that the command line has.
    #[must_use]
    pub fn new(inputs: Vec<Input>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            inputs,
            constraints: Vec::new(),
            cwd: cwd.into(),
            pip: pip::Options {
                epoch: pack::DEFAULT_MTIME,
                ..pip::Options::default()
            },
            dest: "/usr/local".to_owned(),
            script_python: None,
            compile: false,
            outputs: Vec::new(),
            pack: pack::Options::default(),
            cache: cache::Place::temporary("/tmp"),
            clock: None,
        }
    }
}

/// A builder that was opened and asked, and the requirements read for it.
struct Resolved {
    session: Box<dyn Session>,
    interpreter: Interpreter,
    requirements: Requirements,
    cache: Cache,
}

/// Reads the requirements and decides what applies, in the builder; installs nothing.
pub fn plan(
    request: &Request,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Plan> {
    let mut watch = Watch::new(request, observe);
    let resolved = resolve(request, runner, &mut watch, cancel)?;
    let session = resolved.session.as_ref();
    let driver = Driver::new(&resolved.interpreter, &request.pip, session.inherits())?;
    Ok(Plan::new(
        session.identity().clone(),
        resolved.interpreter.target(),
        driver.version().to_owned(),
        driver.settings().to_vec(),
        &resolved.requirements,
    )?)
}

/// Installs the requirements in the builder and writes the artifacts.
///
/// On failure nothing is written, and nothing that was started goes on.
pub fn build(
    request: &Request,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Artifact> {
    // Before anything long: an output that cannot be written is known now.
    pack::check(&request.outputs, &request.pack)?;
    let mut watch = Watch::new(request, observe);
    let Resolved {
        mut session,
        interpreter,
        requirements,
        cache,
    } = resolve(request, runner, &mut watch, cancel)?;
    let layout = Layout::new(
        &request.dest,
        &interpreter,
        request.script_python.as_deref(),
    )?;
    let driver = Driver::new(&interpreter, &request.pip, session.inherits())?;

    watch.stage(Stage::Install, &format!("pip {}", driver.version()));
    let outcome = driver.install(session.as_mut(), &requirements, observe)?;

    watch.stage(Stage::Collect, &layout.dest);
    if request.compile {
        install::compile(session.as_mut(), pip::prefix(), &layout)?;
    }
    let root = session.locate(pip::prefix());
    let prefix = session.get(pip::prefix())?;
    let installed = install::install(prefix, &root, &interpreter, &layout)?;
    let identity = session.identity().clone();
    // What is needed of it is in the tree now.
    drop(session);
    let findings = findings(&installed, outcome.built);
    for finding in &findings {
        observe(&Event::Warning(&finding.to_string()));
    }

    let names: Vec<_> = request
        .outputs
        .iter()
        .map(|output| output.path().display().to_string())
        .collect();
    watch.stage(Stage::Pack, &names.join(", "));
    let outputs = pack::pack(
        &installed.tree,
        &request.outputs,
        &request.pack,
        observe,
        cancel,
    )?;
    let is_file = |node: &Node| !matches!(node, Node::Dir);
    Ok(Artifact {
        version: 1,
        outputs,
        files: installed
            .tree
            .iter()
            .filter(|(_, entry)| is_file(&entry.node))
            .count(),
        native: installed.native,
        size: installed.tree.size(),
        distributions: installed
            .distributions
            .iter()
            .map(|one| (**one).clone())
            .collect(),
        findings,
        builder: identity,
        pip: driver.version().to_owned(),
        target: interpreter.target(),
        layout,
        settings: driver.settings().to_vec(),
        inputs: requirements.files().to_vec(),
        seconds: watch.finish(),
    })
}

/// Opens the builder, asks it, and reads the requirements with what it and the caller say.
fn resolve(
    request: &Request,
    runner: &dyn Runner,
    watch: &mut Watch<'_>,
    cancel: &Cancel,
) -> Result<Resolved> {
    watch.stage(Stage::Resolve, "");
    let context = Context {
        env: &request.pip.env,
        cwd: &request.cwd,
    };
    // Read before the builder is opened, which may take long: a mistake is told at once.
    let mut requirements = Requirements::read(&request.inputs, &request.constraints, &context)?;

    watch.stage(Stage::Builder, "");
    let cache = Cache::open(&request.cache, watch.observe, cancel)?;
    let mut session = runner.open(cancel)?;
    let env = request.pip.set.clone();
    let config = if session.inherits() {
        &[][..]
    } else {
        &request.pip.config
    };
    let interpreter = Interpreter::ask(session.as_mut(), config, env, &cache)?;
    let driver = Driver::new(&interpreter, &request.pip, session.inherits())?;
    let told = format!("{}, {}", session.identity(), interpreter.target());
    watch.tell(&told);
    for (file, why) in &interpreter.broken_config {
        watch.warn(&format!("pip's configuration {file} cannot be read: {why}"));
    }
    let ignored = driver.ignored();
    if !ignored.is_empty() {
        watch.warn(&format!(
            "left out, since an install into a prefix of its own has no use for it: {}",
            ignored.join(", ")
        ));
    }
    let more = driver.constraints();
    if !more.is_empty() {
        let constraints = [request.constraints.as_slice(), &more].concat();
        requirements = Requirements::read(&request.inputs, &constraints, &context)?;
    }
    requirements.check(&interpreter.markers)?;
    for warning in requirements.warnings() {
        watch.warn(&format!("{}: {}", warning.at, warning.text));
    }
    for entry in requirements.entries().iter().filter(|entry| entry.editable) {
        watch.warn(&format!(
            "{}: `-e {}` is installed as an ordinary wheel: an artifact cannot point at a source tree",
            entry.at, entry.written
        ));
    }
    Ok(Resolved {
        session,
        interpreter,
        requirements,
        cache,
    })
}

fn findings(installed: &Installed, mut built: Vec<String>) -> Vec<Finding> {
    let mut findings = audit(&installed.tree);
    built.extend(installed.compiled_here.iter().map(|one| one.name.clone()));
    built.sort();
    built.dedup();
    // What was built and is not in the prefix was needed for building only.
    built.retain(|name| installed.distributions.iter().any(|one| one.name == *name));
    if !built.is_empty() {
        findings.push(Finding::BuiltHere {
            distributions: built,
        });
    }
    findings
}

/// Tells stages and takes their times.
struct Watch<'a> {
    observe: &'a Observer<'a>,
    clock: Option<fn() -> Duration>,
    stages: Vec<(Stage, Duration)>,
}

impl<'a> Watch<'a> {
    fn new(request: &Request, observe: &'a Observer<'a>) -> Self {
        Self {
            observe,
            clock: request.clock,
            stages: Vec::new(),
        }
    }

    fn stage(&mut self, stage: Stage, about: &str) {
        (self.observe)(&Event::Stage(stage, about));
        if let Some(clock) = self.clock {
            self.stages.push((stage, clock()));
        }
    }

    fn tell(&self, about: &str) {
        (self.observe)(&Event::Builder(about));
    }

    fn warn(&self, text: &str) {
        (self.observe)(&Event::Warning(text));
    }

    fn finish(self) -> Vec<(Stage, f64)> {
        let Some(clock) = self.clock else {
            return Vec::new();
        };
        let ends = self.stages.iter().skip(1).map(|(_, start)| *start);
        let ends: Vec<_> = ends.chain([clock()]).collect();
        self.stages
            .iter()
            .zip(ends)
            .map(|((stage, start), end)| (*stage, end.saturating_sub(*start).as_secs_f64()))
            .collect()
    }
}
