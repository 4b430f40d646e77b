//! A builder that was opened and asked, and the requirements read for it.

use super::fit;
use super::request::Order;
use super::watch::Watch;
use crate::cache::Cache;
use crate::error::Result;
use crate::event::{Cancel, Stage, counted};
use crate::index::{Downloads, Index};
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::pip::{self, Access, Driver, Settings};
use crate::requirements::{Applies, Context, Entry, Input, Requirements, What};
use crate::resolve::{Outcome, Rules};
use crate::runner::{Identity, Runner, Session};
use crate::runtime::Runtime;
use crate::wheel::Store;

/// The open builder; none for a target that no builder is.
pub(super) type Builder<'a> = Option<&'a mut (dyn Session + 'static)>;

/// All that deciding starts from.
pub(super) struct Opened {
    /// What the builder is, and whether its environment is the caller's.
    builder: Option<(Identity, bool)>,
    pub(super) interpreter: Interpreter,
    pub(super) runtime: Option<Runtime>,
    /// The requirements, and all constraints.
    pub(super) requirements: Requirements,
    /// Those without the constraints that pip's settings name.
    pub(super) written: Requirements,
    /// The constraints that pip's settings name: they are this machine's, and no input of a lock file.
    pub(super) limits: Vec<Entry>,
    pub(super) cache: Cache,
}

impl Opened {
    /// Opens the builder, asks it, and reads the requirements with what it and the caller say.
    pub(super) fn new(
        request: Order<'_>,
        runner: &dyn Runner,
        watch: &mut Watch<'_>,
        cancel: &Cancel,
    ) -> Result<(Self, Option<Box<dyn Session>>)> {
        watch.stage(Stage::Resolve, "");
        let context = Context {
            env: &request.how.pip.env,
            cwd: &request.what.cwd,
        };
        // Read before the builder is opened, which may take long: a mistake is told at once.
        let of_caller = Settings::of_caller(&request.how.pip);
        let (network, indexes) = of_caller.network(&request.how.pip, &request.what.cwd);
        let downloads = Downloads::new(&network, &indexes, cancel);
        let read = |constraints: &[Input]| {
            Requirements::read_with(
                &request.what.inputs,
                constraints,
                &context,
                Some(&downloads),
                cancel,
            )
        };
        let requirements = read(&request.what.constraints)?;

        watch.stage(Stage::Builder, "");
        let cache = Cache::open(&request.how.cache, watch.observe, cancel)?;
        let mut builder: Option<Box<dyn Session>> = None;
        let mut interpreter = if let Some(named) = &request.destination.target {
            let interpreter = Interpreter::named(named);
            watch.tell(&format!("none, for {}", interpreter.target()));
            interpreter
        } else {
            let session = builder.insert(runner.open(cancel)?);
            ask(request, session.as_mut(), &cache, watch)?
        };
        let runtime = match &request.destination.runtime {
            Some(wanted) => {
                let runtime = wanted.look(&cache, cancel)?;
                fit::fit(&mut interpreter, &runtime, &request.destination.allow)?;
                watch.found(&runtime);
                Some(runtime)
            }
            None => None,
        };
        let mut opened = Self {
            builder: builder
                .as_ref()
                .map(|session| (session.identity().clone(), session.inherits())),
            interpreter,
            runtime,
            written: requirements.clone(),
            requirements,
            limits: Vec::new(),
            cache,
        };
        let settings = settings(request, opened.driver(request)?.as_ref());
        let ignored = settings.ignored();
        if !ignored.is_empty() {
            watch.warn(&format!(
                "ignored, because they have no effect on a prefix: {}",
                ignored.join(", ")
            ));
        }
        let more = settings.constraints();
        if !more.is_empty() {
            let constraints = [request.what.constraints.as_slice(), &more].concat();
            opened.requirements = read(&constraints)?;
            let limits = Requirements::read_with(&[], &more, &context, Some(&downloads), cancel)?;
            opened.limits = limits.constraints().to_vec();
        }
        opened.tell(watch)?;
        Ok((opened, builder))
    }

    /// Checks what could not be checked before, and tells what the user may not expect.
    fn tell(&self, watch: &Watch<'_>) -> Result<()> {
        let requirements = &self.requirements;
        requirements.check(&self.interpreter.markers)?;
        for warning in requirements.warnings() {
            watch.warn(&format!("{}: {}", warning.at, warning.text));
        }
        self.tell_of_nothing(watch)?;
        for entry in requirements.entries().iter().filter(|entry| entry.editable) {
            watch.warn(&format!(
                "{}: `-e {}` is installed as an ordinary wheel: an artifact cannot point at a source tree",
                entry.at, entry.written
            ));
        }
        Ok(())
    }

    /// Tells that there is nothing to install: hardly what anybody means.
    fn tell_of_nothing(&self, watch: &Watch<'_>) -> Result<()> {
        let entries = self.requirements.entries();
        for entry in entries {
            if entry.applies(&self.interpreter.markers)? == Applies::Yes {
                return Ok(());
            }
        }
        let files = self.requirements.files().iter();
        let names: Vec<_> = files
            .filter(|file| !file.constraint)
            .map(|file| format!("`{}`", file.path.display()))
            .collect();
        let names = names.join(", ");
        match entries.len() {
            _ if names.is_empty() => {}
            0 => watch.warn(&format!(
                "no requirements in {names}: the artifact is empty"
            )),
            count => watch.warn(&format!(
                "{} in {names}, but the markers exclude all of them for {}: the artifact is empty",
                counted(count, "requirement"),
                self.interpreter.target()
            )),
        }
        Ok(())
    }

    /// What the builder is.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.builder.as_ref().map(|(identity, _)| identity)
    }

    /// Where the prefix lies in the runtime.
    pub(super) fn layout(&self, request: Order<'_>) -> Result<Layout> {
        let (dest, python) = (
            request.destination.dest.as_deref(),
            request.destination.script_python.as_deref(),
        );
        Ok(match &self.runtime {
            Some(runtime) => Layout::new(dest, &runtime.python, python)?,
            None => Layout::new(dest, &self.interpreter, python)?,
        })
    }

    /// What the stages work with.
    pub(super) fn means<'a>(&'a self, request: Order<'a>, cancel: &'a Cancel) -> Result<Means<'a>> {
        let driver = self.driver(request)?;
        let settings = settings(request, driver.as_ref());
        let access = settings.access(&request.how.pip, &self.requirements, &request.what.cwd)?;
        let rules = settings.rules(&request.how.pip, &self.requirements);
        Ok(Means {
            driver,
            settings,
            access,
            rules,
            store: Store::new(
                &self.cache,
                request.how.limits,
                request.how.leniency,
                cancel,
            ),
        })
    }

    fn driver<'a>(&'a self, request: Order<'a>) -> Result<Option<Driver<'a>>> {
        let driver = self
            .builder
            .as_ref()
            .map(|(_, inherits)| Driver::new(&self.interpreter, &request.how.pip, *inherits));
        Ok(driver.transpose()?)
    }
}

/// pip's settings, be there a pip or not.
fn settings(request: Order<'_>, driver: Option<&Driver<'_>>) -> Settings {
    match driver {
        Some(driver) => driver.settings().clone(),
        None => Settings::of_caller(&request.how.pip),
    }
}

/// What the stages work with: pip, its settings, and the store of wheels.
pub(super) struct Means<'a> {
    /// The builder's pip; none for a target that no builder is.
    pub(super) driver: Option<Driver<'a>>,
    /// pip's settings, be there a pip or not.
    pub(super) settings: Settings,
    /// How indexes are asked, unless pip alone can ask them.
    access: Outcome<Access>,
    /// Which files are taken.
    pub(super) rules: Rules,
    pub(super) store: Store<'a>,
}

impl Means<'_> {
    /// The version of pip.
    pub(super) fn pip(&self) -> Option<String> {
        self.driver
            .as_ref()
            .map(|driver| driver.version().to_owned())
    }

    /// The indexes, unless pip alone can ask them.
    pub(super) fn index<'a>(
        &'a self,
        opened: &'a Opened,
        cancel: &'a Cancel,
    ) -> Result<Outcome<Index<'a>>> {
        let access = match &self.access {
            Outcome::Decided(access) => access,
            Outcome::Open(why) => return Ok(Outcome::Open(why.clone())),
        };
        let index = Index::new(&access.sources, &access.network, &opened.cache, cancel)
            .map_err(pip::Error::from)?;
        for entry in opened.requirements.entries() {
            if let What::Url { url, .. } = &entry.what {
                index.learn(url.expanded());
            }
        }
        Ok(Outcome::Decided(index))
    }
}

/// Asks the builder's interpreter.
fn ask(
    request: Order<'_>,
    session: &mut dyn Session,
    cache: &Cache,
    watch: &Watch<'_>,
) -> Result<Interpreter> {
    let env = request.how.pip.set.clone();
    let config = if session.inherits() {
        &[][..]
    } else {
        &request.how.pip.config
    };
    let interpreter = Interpreter::ask(session, config, env, cache)?;
    watch.tell(&format!("{}, {}", session.identity(), interpreter.target()));
    for (file, why) in &interpreter.broken_config {
        watch.warn(&format!("cannot read pip's configuration {file}: {why}"));
    }
    Ok(interpreter)
}
