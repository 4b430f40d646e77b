//! The stages in their order. Read this file first.

use std::collections::BTreeSet;
use std::path::Path;

use crate::artifact::Artifact;
use crate::audit::{self, Finding, Severity};
use crate::bundle::Bundled;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::Result;
use crate::event::{Cancel, Event, Observer, Stage};
use crate::index::Index;
use crate::layout::Layout;
use crate::lock::{Known, Recorded};
use crate::pack::{self, Output, Packed, Staged};
use crate::pip::{self, Access, Driver, Settings};
use crate::plan::{self, Circumstances, Plan};
use crate::requirements::What;
use crate::resolve::Rules;
use crate::runner::Runner;
use crate::runtime::Runtime;
use crate::tree::Node;
use crate::wheel::Store;

mod auditing;
mod decide;
mod elsewhere;
mod fit;
mod fresh;
mod install;
mod open;
mod request;
mod secrets;
mod watch;

pub use request::{LockUse, Request};

use auditing::Auditing;
use decide::{Deciding, Decision};
use fresh::Written;
use install::{Building, Made, Prepared};
use open::Opened;
use watch::Watch;

/// Resolves the requirements for a lock file: the plan, and what it was made from.
///
/// The versions of the lock file that there was, `known`, are kept where it and the requirements allow
/// that. What changes is told ([`Event::Changed`]).
pub fn lock(
    request: &Request,
    known: Option<Known<'_>>,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<(Plan, Recorded)> {
    let mut request = request.clone();
    request.lock = LockUse::Never;
    planned(&request, known, runner, observe, cancel)
}

/// Reads the requirements and decides what will be installed; installs nothing. Returns the plan, and
/// what it was made from, for a lock file.
pub fn plan(
    request: &Request,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<(Plan, Recorded)> {
    planned(request, None, runner, observe, cancel)
}

fn planned(
    request: &Request,
    known: Option<Known<'_>>,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<(Plan, Recorded)> {
    let mut watch = Watch::new(request, observe);
    let (opened, mut builder) = Opened::new(request, runner, &mut watch, cancel)?;
    let (driver, settings) = (opened.driver(request)?, opened.settings(request)?);
    let access = opened.access(request)?;
    let store = Store::new(&opened.cache, request.limits, request.leniency, cancel);
    let deciding = Deciding {
        request,
        driver: driver.as_ref(),
        settings: &settings,
        interpreter: &opened.interpreter,
        requirements: &opened.requirements,
        written: &opened.written,
        limits: &opened.limits,
        known,
        cache: &opened.cache,
        store: &store,
        index: index(&opened, access.as_ref(), cancel)?,
        observe,
    };
    let (items, decided_by) = match deciding.decide(builder.as_deref_mut(), false, &mut watch)? {
        Decision::Items(items, by) => (items, by),
        Decision::LeftToPip => {
            let version = driver.as_ref().map_or("", Driver::version);
            return Err(pip::Error::CannotSay(version.to_owned()).into());
        }
    };
    let recorded = deciding.recorded(&items)?;
    let circumstances = Circumstances {
        builder: opened.identity().cloned(),
        target: opened.interpreter.target(),
        pip: driver.as_ref().map(|driver| driver.version().to_owned()),
        decided_by,
        settings: settings.recorded().to_vec(),
    };
    let plan = Plan::new(circumstances, &opened.requirements, items)?;
    Ok((plan, recorded))
}

/// Installs the requirements and writes the artifacts.
///
/// On failure nothing is written, and nothing that was started goes on.
pub fn build(
    request: &Request,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Artifact> {
    check(std::slice::from_ref(request), None)?;
    let mut staged = Staged::new();
    let whole = stage(request, runner, observe, cancel, &mut staged)?;
    staged.place(cancel)?;
    Ok(whole.placed())
}

/// Does what [`build`] does for several requests, such as one for each platform, and writes the
/// packages that their runtimes lack to `packages`, one a line. All artifacts and that file appear, or
/// none.
pub fn build_all(
    requests: &[Request],
    packages: Option<&Path>,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Vec<Artifact>> {
    check(requests, packages)?;
    let mut staged = Staged::new();
    let mut built = Vec::new();
    for request in requests {
        built.push(stage(request, runner, observe, cancel, &mut staged)?);
    }
    if let Some(path) = packages {
        let findings = built.iter().flat_map(|whole| &whole.artifact.findings);
        staged.add_document(path, packages_text(findings).as_bytes())?;
    }
    staged.place(cancel)?;
    Ok(built.into_iter().map(Whole::placed).collect())
}

/// The packages that a runtime lacks, as a file has them.
#[must_use]
pub fn packages_text<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> String {
    let packages = audit::packages(findings);
    packages.iter().map(|name| format!("{name}\n")).collect()
}

/// Finds out, before anything long, whether the outputs can be written.
fn check(requests: &[Request], packages: Option<&Path>) -> Result<()> {
    let outputs = requests.iter().flat_map(|request| &request.outputs);
    pack::refuse_twice(outputs.map(Output::path).chain(packages))?;
    for request in requests {
        pack::sweep(&request.outputs);
        pack::check(&request.outputs, &request.pack)?;
    }
    Ok(())
}

/// A build whose outputs are whole and need their names.
struct Whole {
    artifact: Artifact,
    /// What is kept of it for the next time, unless it was kept before.
    written: Option<(Digest, Written)>,
    cache: Cache,
}

impl Whole {
    fn placed(self) -> Artifact {
        if let Some((key, written)) = self.written {
            written.keep(&self.cache, &key);
        }
        // What others left is not in use any more by now, or it is not theirs to leave.
        self.cache.sweep();
        self.artifact
    }
}

/// Does all of a build but give the outputs their names.
fn stage(
    request: &Request,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
    staged: &mut Staged,
) -> Result<Whole> {
    let mut watch = Watch::new(request, observe);
    let (opened, mut builder) = Opened::new(request, runner, &mut watch, cancel)?;
    let (interpreter, cache) = (&opened.interpreter, &opened.cache);
    let (dest, script_python) = (request.dest.as_deref(), request.script_python.as_deref());
    let layout = match &opened.runtime {
        Some(runtime) => Layout::new(dest, &runtime.python, script_python)?,
        None => Layout::new(dest, interpreter, script_python)?,
    };
    let (driver, settings) = (opened.driver(request)?, opened.settings(request)?);
    let access = opened.access(request)?;
    let store = Store::new(cache, request.limits, request.leniency, cancel);
    let mut building = Building {
        deciding: Deciding {
            request,
            driver: driver.as_ref(),
            settings: &settings,
            interpreter,
            requirements: &opened.requirements,
            written: &opened.written,
            limits: &opened.limits,
            known: None,
            cache,
            store: &store,
            index: index(&opened, access.as_ref(), cancel)?,
            observe,
        },
        layout: &layout,
        forgotten: BTreeSet::new(),
        cancel,
    };
    let (key, written) = loop {
        let prepared = building.prepare(builder.as_deref_mut(), &mut watch)?;
        let key = key(request, &prepared, &opened, &layout, &settings)?;
        if let Some(key) = &key
            && let Some(written) = Written::known(cache, key)
        {
            observe(&Event::Note("nothing has changed since it was written"));
            break (None, written);
        }
        let mut made = building.install(prepared, builder.as_deref_mut(), &mut watch)?;
        watch.stage(Stage::Audit, "");
        let index = building.deciding.index.as_ref().ok();
        let auditing = Auditing::new(&opened, request, &layout, index.map(|(index, _)| index));
        let (findings, bundled) = auditing.audited(&mut made, builder.as_deref_mut())?;
        let names: Vec<_> = request
            .outputs
            .iter()
            .map(|output| output.path().display().to_string())
            .collect();
        watch.stage(Stage::Pack, &names.join(", "));
        let (outputs, options) = (&request.outputs, &request.pack);
        let tree = &made.installed.tree;
        match staged.add(tree, outputs, options, Some(cache), observe, cancel) {
            Ok(outputs) => break (key, written(made, findings, bundled, outputs)),
            // A kept wheel that was damaged since it was checked is taken anew, once.
            Err(pack::Error::Damaged(path)) if building.forget(&path) => cache.evict_holding(&path),
            Err(error) => return Err(error.into()),
        }
    };
    // What is needed of it is in the artifacts now.
    drop(builder);
    tell(&written.findings, opened.runtime.as_ref(), observe);
    for warning in cache.warnings() {
        watch.warn(&warning);
    }
    let artifact = Artifact {
        version: 3,
        outputs: written.outputs.clone(),
        files: written.files,
        native: written.native,
        size: written.size,
        distributions: written.distributions.clone(),
        findings: written.findings.clone(),
        bundled: written.bundled.clone(),
        installer: written.installer,
        builder: opened.identity().cloned(),
        pip: driver.as_ref().map(|driver| driver.version().to_owned()),
        target: interpreter.target(),
        runtime: opened.runtime.clone(),
        layout: layout.clone(),
        settings: settings.recorded().to_vec(),
        inputs: opened.requirements.files().to_vec(),
        seconds: watch.finish(),
    };
    Ok(Whole {
        artifact,
        written: key.map(|key| (key, written)),
        cache: opened.cache,
    })
}

/// The digest of all that decides what is written; `None` if what is written is not known again.
fn key(
    request: &Request,
    prepared: &Prepared,
    opened: &Opened,
    layout: &Layout,
    settings: &Settings,
) -> Result<Option<Digest>> {
    let Prepared::Wheels(placed, built, items) = prepared else {
        return Ok(None);
    };
    let (interpreter, mut items) = (&opened.interpreter, items.clone());
    plan::required_by(&mut items, &opened.requirements, &interpreter.markers)?;
    Ok(fresh::key(&fresh::Inputs {
        request,
        placed,
        built,
        items: &items,
        interpreter,
        layout,
        runtime: opened.runtime.as_ref(),
        no_deps: settings.is_on("no-deps"),
        secrets: &secrets::given(opened, request),
    }))
}

/// Tells what was found and stopped nothing.
fn tell(findings: &[Finding], runtime: Option<&Runtime>, observe: &Observer<'_>) {
    for finding in findings {
        let text = finding.with_help();
        observe(&if finding.severity == Severity::Note {
            Event::Note(&text)
        } else {
            Event::Warning(&text)
        });
    }
    if let Some(line) = runtime.and_then(|runtime| audit::remedy(findings, runtime)) {
        observe(&Event::Remedy(&line));
    }
}

/// What was written of what was made.
fn written(
    made: Made,
    findings: Vec<Finding>,
    bundled: Vec<Bundled>,
    outputs: Vec<Packed>,
) -> Written {
    let installed = made.installed;
    let is_file = |node: &Node| !matches!(node, Node::Dir);
    let distributions = installed.distributions.iter();
    Written {
        outputs,
        files: installed
            .tree
            .iter()
            .filter(|(_, entry)| is_file(&entry.node))
            .count(),
        native: installed.native,
        size: installed.tree.size(),
        distributions: distributions.map(|one| (**one).clone()).collect(),
        findings,
        bundled,
        installer: made.installer,
    }
}

/// The indexes, if they can be asked in pip's place, and pip's rules.
fn index<'a>(
    opened: &'a Opened,
    access: std::result::Result<&'a Access, &String>,
    cancel: &'a Cancel,
) -> Result<std::result::Result<(Index<'a>, Rules), String>> {
    let access = match access {
        Ok(access) => access,
        Err(why) => return Ok(Err(why.clone())),
    };
    let index = Index::new(&access.sources, &access.network, &opened.cache, cancel)
        .map_err(pip::Error::from)?;
    for entry in opened.requirements.entries() {
        if let What::Url { url, .. } = &entry.what {
            index.learn(url.expanded());
        }
    }
    Ok(Ok((index, access.rules.clone())))
}
