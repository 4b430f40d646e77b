//! The stages in their order. Read this file first.

use std::collections::BTreeSet;
use std::path::Path;

use crate::artifact::Artifact;
use crate::audit::{self, Finding, Severity};
use crate::bundle::Bundled;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{Cancel, Event, Observer, Stage, Throttle};
use crate::install::Installed;
use crate::lock::{Recorded, Rewrite};
use crate::pack::{self, Output, Packed, Staged};
use crate::pip::{self, Kept as Decision};
use crate::plan::{Circumstances, Plan};
use crate::resolve::Outcome;
use crate::runner::Runner;
use crate::runtime::Runtime;

mod auditing;
mod decide;
mod elsewhere;
mod fit;
mod fresh;
mod install;
mod obtain;
mod open;
mod request;
mod secrets;
mod watch;

pub use request::{Destination, How, LockUse, Outputs, Request, Trust, What};

use decide::{Basis, Deciding};
use fresh::Written;
use install::{Building, Made};
use obtain::Obtained;
use open::{Builder, Opened};
use request::Order;
use watch::Watch;

/// Resolves the requirements for a lock file: the plan, and what it was made from.
///
/// The versions of the lock file that there is are kept where `rewrite` and the requirements allow that. What
/// changes is told ([`Event::Changed`]). The lock file of `what` decides nothing.
pub fn lock(
    what: &What,
    destination: &Destination,
    how: &How,
    rewrite: Option<&Rewrite>,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<(Plan, Recorded)> {
    let mut what = what.clone();
    what.lock = None;
    let order = Order {
        what: &what,
        destination,
        how,
    };
    let Some(rewrite) = rewrite else {
        return planned(order, Basis::Request, runner, observe, cancel);
    };
    let lock = rewrite.read(&what.cwd)?;
    let basis = match &lock {
        Some(lock) => Basis::Known(rewrite.of(lock)),
        None => Basis::Request,
    };
    planned(order, basis, runner, observe, cancel)
}

/// Reads the requirements and decides what will be installed; installs nothing. Returns the plan, and
/// what it was made from, for a lock file.
pub fn plan(
    what: &What,
    destination: &Destination,
    how: &How,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<(Plan, Recorded)> {
    let order = Order {
        what,
        destination,
        how,
    };
    planned(order, Basis::Request, runner, observe, cancel)
}

fn planned(
    request: Order<'_>,
    basis: Basis<'_>,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<(Plan, Recorded)> {
    let throttle = Throttle::new(observe, request.how.clock);
    let observe: &Observer<'_> = &|event| throttle.event(event);
    let mut watch = Watch::new(request.how.clock, observe);
    let (opened, mut builder) = Opened::new(request, runner, &mut watch, cancel)?;
    let means = opened.means(request, cancel)?;
    let deciding = Deciding::new(request, &opened, &means, basis, observe, cancel)?;
    let outcome = deciding.decide(builder.as_deref_mut(), false, &mut watch)?;
    let Outcome::Decided(Decision { items, by }) = outcome else {
        return Err(pip::Error::CannotSay(means.pip().unwrap_or_default()).into());
    };
    let recorded = deciding.recorded(&items)?;
    let circumstances = Circumstances {
        builder: opened.identity().cloned(),
        target: opened.interpreter.target(),
        pip: means.pip(),
        decided_by: by,
        settings: means.settings.recorded().to_vec(),
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
    build_one(request, Basis::Request, runner, observe, cancel)
}

/// Does what [`build`] does, and installs what a plan has: nothing is decided again.
///
/// The plan is one that [`plan()`] made for the same requirements and destination, perhaps looked at or written
/// down since. The requirements are read again, for pip's options in them and to name who requires what.
pub fn build_planned(
    plan: &Plan,
    request: &Request,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Artifact> {
    build_one(request, Basis::Plan(plan), runner, observe, cancel)
}

fn build_one(
    request: &Request,
    basis: Basis<'_>,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
) -> Result<Artifact> {
    check(std::slice::from_ref(request), None)?;
    let mut staged = Staged::new();
    let whole = stage(request, basis, runner, observe, cancel, &mut staged)?;
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
        let basis = Basis::Request;
        built.push(stage(request, basis, runner, observe, cancel, &mut staged)?);
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
    let outputs = requests.iter().flat_map(|request| &request.outputs.files);
    let outputs = outputs.filter(|output| !output.is_writer());
    pack::refuse_twice(outputs.map(Output::path).chain(packages))?;
    for request in requests {
        let Outputs { files, options } = &request.outputs;
        pack::sweep(files);
        pack::check(files, options)?;
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
    basis: Basis<'_>,
    runner: &dyn Runner,
    observe: &Observer<'_>,
    cancel: &Cancel,
    staged: &mut Staged,
) -> Result<Whole> {
    let order = request.order();
    let throttle = Throttle::new(observe, order.how.clock);
    let observe: &Observer<'_> = &|event| throttle.event(event);
    let mut watch = Watch::new(order.how.clock, observe);
    let (opened, mut builder) = Opened::new(order, runner, &mut watch, cancel)?;
    let means = opened.means(order, cancel)?;
    let layout = opened.layout(order)?;
    let building = Building {
        deciding: Deciding::new(order, &opened, &means, basis, observe, cancel)?,
        outputs: &request.outputs,
        layout: &layout,
        cancel,
    };
    let (key, written) = building.whole(builder.as_deref_mut(), staged, &mut watch)?;
    // What is needed of it is in the artifacts now.
    drop(builder);
    tell(&written.findings, opened.runtime.as_ref(), observe);
    for warning in opened.cache.warnings() {
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
        pip: means.pip(),
        target: opened.interpreter.target(),
        runtime: opened.runtime.clone(),
        layout: layout.clone(),
        settings: means.settings.recorded().to_vec(),
        inputs: opened.requirements.files().to_vec(),
        seconds: watch.finish(),
    };
    Ok(Whole {
        artifact,
        written: key.map(|key| (key, written)),
        cache: opened.cache,
    })
}

impl Building<'_> {
    /// The line of stages. A cached wheel that was damaged since it was checked is obtained again, once.
    fn whole(
        &self,
        mut builder: Builder<'_>,
        staged: &mut Staged,
        watch: &mut Watch<'_>,
    ) -> Result<(Option<Digest>, Written)> {
        let mut damaged = BTreeSet::new();
        loop {
            match self.line(builder.as_deref_mut(), staged, watch) {
                // What a writer got already cannot be taken back: no second try.
                Err(Error::Pack(pack::Error::Writer { source })) => {
                    if let pack::Error::Damaged(path) = &*source {
                        self.deciding.opened.cache.evict_holding(path);
                    }
                    return Err(pack::Error::Writer { source }.into());
                }
                Err(Error::Pack(pack::Error::Damaged(path))) if damaged.insert(path.clone()) => {
                    let name = path.display();
                    watch.warn(&format!(
                        "`{name}` is damaged in the cache: prebuild replaces it"
                    ));
                    self.deciding.opened.cache.evict_holding(&path);
                }
                result => return result,
            }
        }
    }

    /// Obtain, install, edit, audit, pack: each takes what the one before it made. Returns what is written
    /// and the key by which it is found again, unless it is there already.
    fn line(
        &self,
        mut builder: Builder<'_>,
        staged: &mut Staged,
        watch: &mut Watch<'_>,
    ) -> Result<(Option<Digest>, Written)> {
        let cache = &self.deciding.opened.cache;
        let obtained = self.obtain(builder.as_deref_mut(), watch)?;
        let key = self.key(&obtained);
        if let Some(key) = &key
            && let Some(written) = Written::known(cache, key)
        {
            (watch.observe)(&Event::Note("the artifact is up to date"));
            return Ok((None, written));
        }
        let mut made = self.install(obtained, builder.as_deref_mut(), watch)?;
        watch.stage(Stage::Audit, "");
        let (findings, bundled) = self.audited(&mut made, builder)?;
        let Outputs { files, options } = self.outputs;
        let names = files
            .iter()
            .map(|output| output.path().display().to_string());
        watch.stage(Stage::Pack, &names.collect::<Vec<_>>().join(", "));
        let tree = &made.installed.tree;
        let packed = staged.add(
            tree,
            files,
            options,
            Some(cache),
            watch.observe,
            self.cancel,
        )?;
        Ok((key, written(made, findings, bundled, packed)))
    }

    /// The digest of all that decides what is written; `None` if what is written is not known again.
    fn key(&self, obtained: &Obtained) -> Option<Digest> {
        let Obtained::Pieces(pieces) = obtained else {
            return None;
        };
        let Deciding {
            request,
            opened,
            means,
            ..
        } = self.deciding;
        fresh::key(&fresh::Inputs {
            request,
            outputs: self.outputs,
            pieces,
            interpreter: &opened.interpreter,
            layout: self.layout,
            runtime: opened.runtime.as_ref(),
            no_deps: means.settings.is_on("no-deps"),
            secrets: &secrets::given(opened, request),
        })
    }
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
    let Installed { tree, pieces } = made.installed;
    Written {
        outputs,
        files: tree.files(),
        native: tree.native(),
        size: tree.size(),
        distributions: pieces,
        findings,
        bundled,
        installer: made.installer,
    }
}
