//! What will be installed. Deciders stand in a row, and the first that decides is right.

use crate::error::{Error, Result};
use crate::event::{Cancel, Event, Observer, Stage};
use crate::index::{Index, Strategy};
use crate::lock::{Current, Known, LockFile, LockedFor, Recorded};
use crate::pip::{self, Driver, Kept as Decision};
use crate::plan::{DecidedBy, Item, Place, Plan};
use crate::requirements::Requirements;
use crate::resolve::{self, Locked, Outcome, Reason};
use crate::runner::Session;

use super::elsewhere::no_builder;
use super::open::{Builder, Means, Opened};
use super::request::Order;
use super::watch::Watch;
use crate::digest::Digest;

mod download;
mod lock_file;
mod prefer;

use lock_file::Standing;

/// Who decides, the first to be asked first.
///
/// A decider that answers requirements which leave a choice belongs before pip.
const DECIDERS: [Decider; 6] = [
    from_plan,
    from_lock_file,
    from_cache,
    from_requirements,
    from_pip,
    from_pip_download,
];

/// Answers a question, or leaves it open for the next.
type Decider = fn(&Deciding<'_>, &mut Question<'_, '_>) -> Result<Outcome<Decision>>;

/// What every decision of a build follows from.
pub(super) struct Deciding<'a> {
    pub(super) request: Order<'a>,
    pub(super) opened: &'a Opened,
    pub(super) means: &'a Means<'a>,
    pub(super) basis: Basis<'a>,
    /// The indexes, unless pip alone can ask them.
    pub(super) index: Outcome<Index<'a>>,
    pub(super) observe: &'a Observer<'a>,
}

/// What is there besides the request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Basis<'a> {
    /// Nothing.
    Request,
    /// A plan that decides.
    Plan(&'a Plan),
    /// A lock file that is to be written again.
    Known(Known<'a>),
}

/// What decides by itself.
#[derive(Debug, Clone, Copy)]
enum Given<'q> {
    Nothing,
    Plan(&'q Plan),
    /// A lock file that is up to date, or stands alone.
    LockFile(&'q LockFile),
}

/// What every decider is asked.
struct Question<'q, 'w> {
    given: Given<'q>,
    /// The requirements, with the versions that are preferred as constraints.
    requirements: &'q Requirements,
    /// The cache key of the requirements, if no index can change what they come to.
    key: Option<Digest>,
    /// Whether the wheels are needed afterwards.
    fetch: bool,
    /// Why the deciders before leave it open.
    why: Reason,
    builder: Builder<'q>,
    watch: &'q mut Watch<'w>,
}

/// A plan that was made before decides, if it is for the same target.
fn from_plan(
    deciding: &Deciding<'_>,
    question: &mut Question<'_, '_>,
) -> Result<Outcome<Decision>> {
    let Given::Plan(plan) = question.given else {
        return Ok(Outcome::open("there is no plan"));
    };
    let planned = LockedFor::new(&plan.target);
    let target = LockedFor::new(&deciding.opened.interpreter.target());
    if planned != target {
        return Err(Error::OtherPlan(format!(
            "it is for {planned}, and the build is for {target}"
        )));
    }
    Ok(Outcome::Decided(Decision {
        items: plan.distributions.clone(),
        by: plan.decided_by,
    }))
}

/// The lock file decides if it is up to date, or if it was named in place of requirements.
fn from_lock_file(
    deciding: &Deciding<'_>,
    question: &mut Question<'_, '_>,
) -> Result<Outcome<Decision>> {
    let Given::LockFile(lock) = question.given else {
        return Ok(Outcome::open("there is no lock file"));
    };
    let items = deciding.locked_items(lock)?;
    let by = DecidedBy::Lock;
    Ok(Outcome::Decided(Decision { items, by }))
}

/// What was decided before is right if nothing can have changed it.
fn from_cache(
    deciding: &Deciding<'_>,
    question: &mut Question<'_, '_>,
) -> Result<Outcome<Decision>> {
    let Deciding {
        request, opened, ..
    } = deciding;
    question.key = deciding.means.settings.settled_key(
        &request.how.pip,
        &opened.interpreter,
        deciding.pip(),
        question.requirements,
    )?;
    let cached = question.key.as_ref();
    let cached = cached.and_then(|key| Decision::get(&opened.cache, key).ok());
    Ok(match cached {
        Some(decision) => Outcome::Decided(decision),
        None => Outcome::open("it was not decided before"),
    })
}

/// The requirements decide if each is pinned and none is missing: then there is one answer.
fn from_requirements(
    deciding: &Deciding<'_>,
    question: &mut Question<'_, '_>,
) -> Result<Outcome<Decision>> {
    let index = match &deciding.index {
        Outcome::Decided(index) => index,
        Outcome::Open(why) => return Ok(Outcome::Open(why.clone())),
    };
    let locked = deciding.pinned(index, question.requirements, question.fetch);
    let answer = locked.answer(deciding.observe);
    for warning in index.warnings() {
        (deciding.observe)(&Event::Warning(&warning));
    }
    Ok(match answer? {
        Outcome::Decided(items) => deciding.decided(items, DecidedBy::Requirements, question),
        Outcome::Open(why) => Outcome::Open(why),
    })
}

/// pip decides, and says what it would install.
fn from_pip(deciding: &Deciding<'_>, question: &mut Question<'_, '_>) -> Result<Outcome<Decision>> {
    let (driver, session) = deciding.asking(question.builder.as_deref_mut(), &question.why)?;
    let open = Outcome::Open(question.why.clone());
    if !driver.can_resolve() {
        return Ok(open);
    }
    deciding.tell_asking(driver, &question.why, question.watch);
    let resolution = driver.resolve(session, question.requirements, deciding.observe);
    let mut items = match resolution {
        Ok(resolution) => resolution.items,
        // It ran, and says nothing of use.
        Err(pip::Error::Report(_)) => return Ok(open),
        Err(error) => return Err(error.into()),
    };
    if !driver.is_here() {
        for item in &mut items {
            item.place = Place::Builder;
        }
    }
    Ok(deciding.decided(items, DecidedBy::Pip, question))
}

/// pip decides by downloading what it would install: prebuild finds these files on the indexes.
///
/// If the wheels are needed anyway, a pip that is too old to say what it would install does better to install
/// it: the question stays open.
fn from_pip_download(
    deciding: &Deciding<'_>,
    question: &mut Question<'_, '_>,
) -> Result<Outcome<Decision>> {
    let (driver, session) = deciding.asking(question.builder.as_deref_mut(), &question.why)?;
    if !driver.can_resolve() {
        if question.fetch {
            return Ok(Outcome::Open(question.why.clone()));
        }
        deciding.tell_asking(driver, &question.why, question.watch);
    }
    let items = deciding.downloaded(driver, session, question.requirements)?;
    Ok(deciding.decided(items, DecidedBy::Pip, question))
}

impl<'a> Deciding<'a> {
    pub(super) fn new(
        request: Order<'a>,
        opened: &'a Opened,
        means: &'a Means<'a>,
        basis: Basis<'a>,
        observe: &'a Observer<'a>,
        cancel: &'a Cancel,
    ) -> Result<Self> {
        Ok(Self {
            request,
            opened,
            means,
            basis,
            index: means.index(opened, cancel)?,
            observe,
        })
    }
}

impl Deciding<'_> {
    /// Decides; `fetch` tells whether the wheels are needed afterwards. It stays open only if pip is to decide
    /// and install in one.
    pub(super) fn decide(
        &self,
        builder: Builder<'_>,
        fetch: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome<Decision>> {
        let requirements = &self.opened.requirements;
        match self.basis {
            Basis::Known(known) => return self.prefer(known, builder, fetch, watch),
            Basis::Plan(plan) => {
                return self.ask(Given::Plan(plan), requirements, builder, fetch, watch);
            }
            Basis::Request => {}
        }
        let standing = self.lock_file()?;
        let given = match &standing {
            Standing::OutOfDate(lock) => {
                return self.prefer(Known::kept(lock), builder, fetch, watch);
            }
            Standing::Decides(lock) => Given::LockFile(lock),
            Standing::Absent => Given::Nothing,
        };
        self.ask(given, requirements, builder, fetch, watch)
    }

    /// Asks one decider after the other.
    fn ask(
        &self,
        given: Given<'_>,
        requirements: &Requirements,
        builder: Builder<'_>,
        fetch: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome<Decision>> {
        let mut question = Question {
            given,
            requirements,
            key: None,
            fetch,
            why: Reason::default(),
            builder,
            watch,
        };
        for decider in DECIDERS {
            match decider(self, &mut question)? {
                Outcome::Decided(decision) => return Ok(Outcome::Decided(decision)),
                Outcome::Open(why) => question.why = why,
            }
        }
        Ok(Outcome::Open(question.why))
    }

    /// A decision, which the cache holds from now on if nothing can change it.
    fn decided(
        &self,
        items: Vec<Item>,
        by: DecidedBy,
        question: &Question<'_, '_>,
    ) -> Outcome<Decision> {
        let decision = Decision { items, by };
        decision.keep(&self.opened.cache, question.key.as_ref());
        Outcome::Decided(decision)
    }

    /// Requirements that are to be answered without pip.
    fn pinned<'q>(
        &'q self,
        index: &'q Index<'q>,
        requirements: &'q Requirements,
        fetch: bool,
    ) -> Locked<'q> {
        Locked {
            requirements,
            interpreter: &self.opened.interpreter,
            rules: &self.means.rules,
            index,
            store: &self.means.store,
            pip: self.pip(),
            fetch,
        }
    }

    /// pip and its builder, if pip may be asked. `why` says why it must be.
    fn asking<'q>(
        &self,
        builder: Builder<'q>,
        why: &Reason,
    ) -> Result<(&Driver<'_>, &'q mut (dyn Session + 'static))> {
        let why = why.to_string();
        let (Some(driver), Some(session)) = (self.means.driver.as_ref(), builder) else {
            let target = self.opened.interpreter.target().to_string();
            return Err(no_builder(self.request, target, why).into());
        };
        let is_only = matches!(&self.index, Outcome::Decided(index) if index.is_only_one());
        if self.request.how.pip.strategy == Strategy::FirstIndex && !is_only {
            return Err(resolve::Error::FirstIndex { why }.into());
        }
        if self.request.how.pip.offline && !driver.is_on("no-index") {
            return Err(resolve::Error::Offline { why }.into());
        }
        Ok((driver, session))
    }

    /// Tells that pip is asked, and why.
    fn tell_asking(&self, driver: &Driver<'_>, why: &Reason, watch: &mut Watch<'_>) {
        (self.observe)(&Event::Asking(&why.to_string()));
        watch.stage(Stage::Resolve, &format!("pip {}: {why}", driver.version()));
    }

    /// What a lock file is made from, or held against.
    fn current(&self) -> Result<Current> {
        let settings = self.means.settings.choosing(self.request.how.pip.strategy);
        let target = self.opened.interpreter.target();
        let inputs = &self.request.what.inputs;
        Ok(Current::new(
            &target,
            inputs,
            &self.opened.written,
            settings,
        )?)
    }

    /// What a lock of these items would be made from.
    pub(super) fn recorded(&self, items: &[Item]) -> Result<Recorded> {
        Ok(Recorded::new(&self.current()?, items))
    }

    /// The version of the builder's pip.
    fn pip(&self) -> Option<&str> {
        self.means.driver.as_ref().map(Driver::version)
    }
}
