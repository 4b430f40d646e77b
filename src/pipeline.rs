//! The stages in their order. Read this file first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;

use crate::artifact::Artifact;
use crate::audit::{Finding, audit};
use crate::cache::{self, Cache, Why};
use crate::error::Result;
use crate::event::{Cancel, Event, Observer, Stage};
use crate::install::{self, Installed, Installer, Placed};
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::pack::{self, Output};
use crate::pip::{self, Driver, Item, Resolution, Source};
use crate::plan::Plan;
use crate::requirements::{Context, Input, Name, Requirements, same_version};
use crate::resolve::{self, Given};
use crate::runner::{self, Runner, Session};
use crate::tree::{Node, Tree};
use crate::wheel::{Expected, Filename, Leniency, Limits, Store, Wheel};

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
    /// Who puts distributions into the prefix.
    pub installer: Installer,
    /// What a wheel may take up.
    pub limits: Limits,
    /// What a wheel's `RECORD` may lack.
    pub leniency: Leniency,
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
            installer: Installer::default(),
            limits: Limits::default(),
            leniency: Leniency::default(),
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

    let mut building = Building {
        request,
        layout: &layout,
        driver: &driver,
        interpreter: &interpreter,
        requirements: &requirements,
        cache: &cache,
        store: Store::new(&cache, request.limits, request.leniency, cancel),
        forgotten: BTreeSet::new(),
        observe,
        cancel,
    };
    let identity = session.identity().clone();
    let (installed, findings, done_by, outputs) = loop {
        let made = building.install(session.as_mut(), &mut watch)?;
        let findings = findings(&made.installed, made.built.clone());
        let names: Vec<_> = request
            .outputs
            .iter()
            .map(|output| output.path().display().to_string())
            .collect();
        watch.stage(Stage::Pack, &names.join(", "));
        let tree = &made.installed.tree;
        match pack::pack(
            tree,
            &request.outputs,
            &request.pack,
            Some(&cache),
            observe,
            cancel,
        ) {
            Ok(outputs) => break (made.installed, findings, made.installer, outputs),
            // A kept wheel that was damaged since it was checked is taken anew, once.
            Err(pack::Error::Damaged(path)) if building.forget(&path) => cache.evict_holding(&path),
            Err(error) => return Err(error.into()),
        }
    };
    // What is needed of it is in the artifacts now.
    drop(session);
    for finding in &findings {
        let text = finding.to_string();
        observe(&if finding.is_warning() {
            Event::Warning(&text)
        } else {
            Event::Note(&text)
        });
    }
    for warning in cache.warnings() {
        watch.warn(&warning);
    }
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
        installer: done_by,
        builder: identity,
        pip: driver.version().to_owned(),
        target: interpreter.target(),
        layout: layout.clone(),
        settings: driver.settings().to_vec(),
        inputs: requirements.files().to_vec(),
        seconds: watch.finish(),
    })
}

/// A build whose requirements were read.
struct Building<'a> {
    request: &'a Request,
    layout: &'a Layout,
    driver: &'a Driver<'a>,
    interpreter: &'a Interpreter,
    requirements: &'a Requirements,
    cache: &'a Cache,
    store: Store<'a>,
    /// What was damaged in the cache.
    forgotten: BTreeSet<PathBuf>,
    observe: &'a Observer<'a>,
    cancel: &'a Cancel,
}

/// What was put into the prefix, and how.
struct Made {
    installed: Installed,
    installer: Installer,
    /// The distributions that were built from source, by name.
    built: Vec<String>,
}

impl Building<'_> {
    /// Installs by the wheels where that can be, else by pip.
    fn install(&self, session: &mut dyn Session, watch: &mut Watch<'_>) -> Result<Made> {
        if self.request.installer == Installer::Wheel {
            let why = match resolve::given(self.requirements, self.interpreter, self.driver)? {
                Ok(given) => return self.install_given(&given, session, watch),
                Err(why) => why,
            };
            if self.driver.can_resolve() {
                let resolution = self.resolve(why, session, watch)?;
                return self.install_resolved(resolution, session);
            }
            let version = self.driver.version();
            (self.observe)(&Event::Note(&format!(
                "pip {version} cannot say what it would install (23.0 and later can): it installs itself"
            )));
        }
        self.install_by_pip(session, watch)
    }

    fn install_given(
        &self,
        given: &[Given<'_>],
        session: &mut dyn Session,
        watch: &mut Watch<'_>,
    ) -> Result<Made> {
        watch.stage(Stage::Install, &format!("{} wheels", given.len()));
        let placed = given
            .par_iter()
            .map(|given| {
                let (wheel, why) = self.store.at(given.path, &given.expected)?;
                given.check(&wheel.facts, self.interpreter)?;
                let why = why.map(|why| why.to_string());
                (self.observe)(&Event::Wheel {
                    name: &wheel.facts.distribution.to_string(),
                    made: why.as_deref(),
                });
                Ok(Placed {
                    wheel,
                    requested: true,
                    direct_url: Some(given.direct_url()),
                    bytecode: Vec::new(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        self.install_placed(placed, session, Vec::new())
    }

    /// Has pip choose, unless it is known what it would.
    fn resolve(
        &self,
        why: &'static str,
        session: &mut dyn Session,
        watch: &mut Watch<'_>,
    ) -> Result<Resolution> {
        let key = self.driver.settled_key(self.requirements)?;
        if let Some(key) = &key
            && let Ok(resolution) = Resolution::kept(self.cache, key)
        {
            watch.stage(
                Stage::Install,
                &format!("{} wheels", resolution.items.len()),
            );
            return Ok(resolution);
        }
        (self.observe)(&Event::Asking(why));
        watch.stage(Stage::Install, &format!("pip {}", self.driver.version()));
        let resolution = self
            .driver
            .resolve(session, self.requirements, self.observe)?;
        if let Some(key) = &key {
            resolution.keep(self.cache, key);
        }
        Ok(resolution)
    }

    /// Installs what was chosen, and has pip get or build what is not there yet.
    fn install_resolved(&self, resolution: Resolution, session: &mut dyn Session) -> Result<Made> {
        let Self {
            driver,
            requirements,
            store,
            ..
        } = self;
        let mut wheels: Vec<Option<Wheel>> = Vec::new();
        let mut built = Vec::new();
        for item in &resolution.items {
            let found = match &item.source {
                Source::Wheel(Some(digest)) => store.get(digest),
                _ => match driver.built_key(session, requirements, item) {
                    Some(key) => {
                        built.push(item.name.as_str().to_owned());
                        store.built(&key)
                    }
                    None => Err(Why::Absent),
                },
            };
            let why = found.as_ref().err().map(ToString::to_string);
            let name = format!("{} {}", item.name, item.version);
            (self.observe)(&Event::Wheel {
                name: &name,
                made: why.as_deref(),
            });
            wheels.push(found.ok());
        }
        let missing: Vec<&Item> = resolution
            .items
            .iter()
            .zip(&wheels)
            .filter(|(_, wheel)| wheel.is_none())
            .map(|(item, _)| item)
            .collect();
        if !missing.is_empty() {
            let about = format!("{} of {} wheels", missing.len(), wheels.len());
            (self.observe)(&Event::Stage(Stage::Install, &about));
            let (folder, outcome) = driver.wheels(session, requirements, &missing, self.observe)?;
            built.extend(outcome.built);
            let mut got = self.take(&folder, &missing)?;
            for (item, wheel) in resolution.items.iter().zip(&mut wheels) {
                if wheel.is_some() {
                    continue;
                }
                *wheel = got.remove(&item.name);
                if let (Some(wheel), Some(key)) =
                    (&wheel, driver.built_key(session, requirements, item))
                {
                    store.keep_built(&key, wheel);
                }
            }
        }
        let mut placed = Vec::new();
        for (item, wheel) in resolution.items.into_iter().zip(wheels) {
            let wheel = wheel.ok_or_else(|| pip::Error::NoWheel {
                distribution: format!("{} {}", item.name, item.version),
            })?;
            wheel.admit(self.request.leniency)?;
            placed.push(Placed {
                wheel,
                requested: item.requested,
                direct_url: item.direct_url,
                bytecode: Vec::new(),
            });
        }
        self.install_placed(placed, session, built)
    }

    /// Takes the wheels that pip got out of a folder into the store, by the names of their
    /// distributions.
    fn take(&self, folder: &Tree, missing: &[&Item]) -> Result<BTreeMap<Name, Wheel>> {
        let files: Vec<_> = folder
            .iter()
            .filter_map(|(path, entry)| match &entry.node {
                Node::File { content, .. } => Some((path.as_str(), content)),
                _ => None,
            })
            .collect();
        files
            .into_par_iter()
            .filter_map(|(name, content)| {
                let filename = Filename::parse(name).ok()?;
                let item = missing.iter().find(|item| {
                    item.name.as_str() == filename.name
                        && same_version(&item.version, &filename.version)
                })?;
                // What was built has no hash to be held against.
                let sha256 = match &item.source {
                    Source::Wheel(Some(digest)) => vec![*digest],
                    _ => Vec::new(),
                };
                let taken = self.store.take(name, content, &Expected { sha256 });
                Some(taken.map(|(wheel, _)| (item.name.clone(), wheel)))
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(Into::into)
    }

    fn install_placed(
        &self,
        mut placed: Vec<Placed>,
        session: &mut dyn Session,
        built: Vec<String>,
    ) -> Result<Made> {
        for Placed { wheel, .. } in &placed {
            if let Some(format) = &wheel.facts.newer_format {
                let distribution = &wheel.facts.distribution;
                (self.observe)(&Event::Warning(&format!(
                    "{distribution} is a wheel of format {format}, newer than the 1.0 that is known"
                )));
            }
        }
        if self.cancel.is_cancelled() {
            return Err(runner::Error::Cancelled.into());
        }
        if self.request.compile {
            let (interpreter, layout) = (self.interpreter, self.layout);
            install::compile_wheels(session, &self.store, &mut placed, interpreter, layout)?;
        }
        Ok(Made {
            installed: install::install_wheels(&placed, self.interpreter, self.layout)?,
            installer: Installer::Wheel,
            built,
        })
    }

    fn install_by_pip(&self, session: &mut dyn Session, watch: &mut Watch<'_>) -> Result<Made> {
        watch.stage(Stage::Install, &format!("pip {}", self.driver.version()));
        let outcome = self
            .driver
            .install(session, self.requirements, self.observe)?;
        watch.stage(Stage::Collect, &self.layout.dest);
        if self.request.compile {
            install::compile(session, pip::prefix(), self.layout)?;
        }
        let root = session.locate(pip::prefix());
        let prefix = session.get(pip::prefix())?;
        Ok(Made {
            installed: install::install_prefix(prefix, &root, self.interpreter, self.layout)?,
            installer: Installer::Pip,
            built: outcome.built,
        })
    }

    /// Says that what is kept at `path` is damaged; whether that is news.
    fn forget(&mut self, path: &Path) -> bool {
        let text = format!(
            "`{}` was damaged in the cache and is made anew",
            path.display()
        );
        (self.observe)(&Event::Warning(&text));
        self.forgotten.insert(path.to_path_buf())
    }
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
    let mut findings = audit(&installed.tree, &installed.equal);
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
