//! Where checks run: in a sandbox of this machine, or in a container without network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::sandbox::{self, ARGUMENT, CommandResult, Ended, Layers, Limits, Reply, Spec, View};
use super::{Claim, Error};
use crate::event::{Cancel, Stream};
use crate::interpreter::unset_python_variables;
use crate::runner::{self, Exec, Session};
use crate::runtime::{PATH, Python};
use crate::tree::Tree;

/// The program that loads modules.
const PROGRAM: &str = include_str!("try.py");
/// What runs it in a container.
const GUARD: &str = include_str!("guard.py");

/// How much longer than its command a sandbox may take.
const SLACK: Duration = Duration::from_secs(120);

/// Where programs run, each apart from all others.
pub(super) trait Place {
    /// What stands for it in the output.
    fn name(&self) -> String;

    /// The site directories that the interpreter does not search by itself.
    fn sites(&self) -> &[String];

    /// Has the interpreter load what each question names.
    fn ask(&mut self, questions: &[String]) -> Result<Vec<CommandResult>, Error>;
}

/// A sandbox on this machine, or the same without walls.
pub(super) struct Walled {
    layers: Layers,
    python: String,
    env: BTreeMap<String, String>,
    sites: Vec<String>,
    walls: bool,
    helper: PathBuf,
    limits: Limits,
    jobs: usize,
    cancel: Cancel,
}

impl Walled {
    /// Lays `tree` as `dest` over what `view` shows. `sites` are paths below `dest` that `python` does not
    /// search by itself.
    pub(super) fn new(
        claim: &Claim,
        view: View,
        python: &str,
        (tree, dest): (&Tree, &str),
        sites: &[String],
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let walls = !claim.no_sandbox;
        let layers = Layers::new(view, tree, dest, &claim.scratch, walls)?;
        let base = match layers.view() {
            // Nothing is mounted: the layer is read where it lies.
            View::Machine(_) if !walls => layers.layer().display().to_string(),
            _ => String::new(),
        };
        let sites = sites.iter().map(|site| format!("{base}{dest}/{site}"));
        let path = match layers.view() {
            View::Machine(_) => claim.programs.clone(),
            View::Root(_) => PATH.to_owned(),
        };
        let mut env = environment();
        env.insert("PATH".to_owned(), path);
        env.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        env.retain(|_, value| !value.is_empty());
        Ok(Self {
            sites: sites.collect(),
            layers,
            python: python.to_owned(),
            env,
            walls,
            helper: claim.helper.clone(),
            limits: claim.limits,
            jobs: claim.jobs,
            cancel: cancel.clone(),
        })
    }

    fn run(&self, question: &str) -> Result<CommandResult, Error> {
        let spec = Spec {
            walls: self.walls,
            view: self.layers.view().clone(),
            layers: self.layers.path().to_path_buf(),
            command: [&self.python, "-c", PROGRAM].map(str::to_owned).into(),
            env: self.env.clone(),
            input: question.to_owned(),
            limits: self.limits,
        };
        let spec = serde_json::to_string(&spec).map_err(Error::Answer)?;
        // The sandbox keeps to its own limit; this is for one that is stuck.
        let limit = Duration::from_secs(self.limits.seconds) + SLACK;
        let exec = Exec::new(self.helper.display().to_string())
            .args([ARGUMENT])
            .within(limit);
        let mut reply = String::new();
        runner::run(&exec, &self.cancel, spec.as_bytes(), &mut |stream, line| {
            if stream == Stream::Stdout {
                reply.push_str(line);
            }
        })?;
        match serde_json::from_str(&reply).map_err(Error::Answer)? {
            Reply::CommandResult(ran) => Ok(ran),
            Reply::Refused(reason) => Err(if self.walls {
                Error::NoSandbox { reason }
            } else {
                Error::NotEntered { reason }
            }),
            Reply::NotStarted(reason) => Err(Error::NotEntered { reason }),
        }
    }
}

impl Place for Walled {
    fn name(&self) -> String {
        let place = if self.walls {
            "a sandbox"
        } else {
            "no sandbox"
        };
        place.to_owned()
    }

    fn sites(&self) -> &[String] {
        &self.sites
    }

    fn ask(&mut self, questions: &[String]) -> Result<Vec<CommandResult>, Error> {
        let next = AtomicUsize::new(0);
        let answers = Mutex::new(vec![None; questions.len()]);
        let failed = Mutex::new(None);
        let this = &*self;
        thread::scope(|scope| {
            for _ in 0..this.jobs.min(questions.len()) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        let Some(question) = questions.get(index) else {
                            return;
                        };
                        match this.run(question) {
                            Ok(ran) => {
                                if let Ok(mut answers) = answers.lock() {
                                    answers[index] = Some(ran);
                                }
                            }
                            Err(error) => {
                                next.store(questions.len(), Ordering::SeqCst);
                                if let Ok(mut failed) = failed.lock() {
                                    failed.get_or_insert(error);
                                }
                                return;
                            }
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().ok().flatten();
        let answers = answers.into_inner().unwrap_or_default();
        let answers: Option<Vec<CommandResult>> = answers.into_iter().collect();
        match (failed, answers) {
            (None, Some(answers)) => Ok(answers),
            (Some(error), _) => Err(error),
            (None, None) => Err(runner::Error::Cancelled.into()),
        }
    }
}

/// A container without network.
pub(super) struct Contained {
    session: Box<dyn Session>,
    sites: Vec<String>,
    limits: Limits,
    jobs: usize,
}

/// Where the program that runs programs lies in a container.
const INSIDE: &str = "prebuild-verify";

/// What a guard tells of a program.
#[derive(Deserialize)]
struct GuardReport {
    index: usize,
    #[serde(flatten)]
    ran: CommandResult,
}

impl Contained {
    /// Puts `tree` as `dest` into the container.
    pub(super) fn new(
        claim: &Claim,
        mut session: Box<dyn Session>,
        (tree, dest): (&Tree, &str),
        sites: &[String],
    ) -> Result<Self, Error> {
        session.put(dest.trim_matches('/'), tree)?;
        session.put(INSIDE, &Tree::of_file("guard.py", GUARD))?;
        let sites = sites.iter().map(|site| format!("{dest}/{site}"));
        Ok(Self {
            session,
            sites: sites.collect(),
            limits: claim.limits,
            jobs: claim.jobs,
        })
    }
}

impl Place for Contained {
    fn name(&self) -> String {
        let kind = &self.session.identity().kind;
        format!("a {kind} container without network")
    }

    fn sites(&self) -> &[String] {
        &self.sites
    }

    fn ask(&mut self, questions: &[String]) -> Result<Vec<CommandResult>, Error> {
        let input = serde_json::json!({
            "program": PROGRAM,
            "questions": questions,
            "env": environment(),
            "jobs": self.jobs,
            "seconds": self.limits.seconds,
            "memory": self.limits.memory,
            "processes": Limits::PROCESSES,
            "file": Limits::FILE,
            "files": Limits::FILES,
            "keep": sandbox::KEEP,
            "machine": std::env::consts::ARCH,
            "filters": filters()?,
        });
        // Neither `.pth` files nor anything else of the prefix runs in the guard itself.
        let guard = self.session.locate(&format!("{INSIDE}/guard.py"));
        let exec = Exec::new(self.session.python()).args(["-I", "-S", "-B", &guard]);
        let mut answers = vec![None; questions.len()];
        let ran = self
            .session
            .run(&exec, input.to_string().as_bytes(), &mut |stream, line| {
                if stream == Stream::Stdout
                    && let Ok(told) = serde_json::from_str::<GuardReport>(line)
                    && let Some(answer) = answers.get_mut(told.index)
                {
                    *answer = Some(told.ran);
                }
            });
        let answers: Option<Vec<CommandResult>> = answers.into_iter().collect();
        match (answers, ran) {
            (Some(answers), _) if !answers.iter().any(is_unstarted) => Ok(answers),
            (Some(answers), _) => {
                let unstarted = answers.into_iter().find(is_unstarted);
                let reason = unstarted.map_or_else(String::new, |ran| ran.stderr);
                Err(Error::NotEntered { reason })
            }
            (None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(Error::NotEntered {
                reason: "the checks did not come to an end".to_owned(),
            }),
        }
    }
}

/// One of a filter: code, where it goes on if true and if false, value.
type Instruction = (u16, u8, u8, u32);

/// The filters of system calls as a guard puts them on: the fields of each instruction, encoded as the kernel
/// reads them. An engine has filters of its own, which may allow more: Podman's lets everybody make namespaces.
fn filters() -> Result<Vec<Vec<Instruction>>, Error> {
    let programs = sandbox::filters().map_err(|error| Error::NotEntered {
        reason: format!("system calls cannot be filtered: {error}"),
    })?;
    let instructions = |program: Vec<_>| {
        program
            .into_iter()
            .map(|one: seccompiler::sock_filter| (one.code, one.jt, one.jf, one.k))
            .collect()
    };
    Ok(programs.into_iter().map(instructions).collect())
}

/// Whether the guard could not start the interpreter.
fn is_unstarted(ran: &CommandResult) -> bool {
    ran.ended == Ended::Code(126) && ran.stderr.starts_with("guard: ")
}

/// The variables of every program. What is empty is taken away.
fn environment() -> BTreeMap<String, String> {
    let set = [("HOME", "/tmp"), ("PYTHONDONTWRITEBYTECODE", "1")];
    unset_python_variables()
        .chain(set.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect()
}

/// The root directory itself is this machine, of which only a part is shown.
pub(super) fn view_of(root: &Path, python: &Python) -> View {
    if root.parent().is_none() {
        sandbox::usable(python)
    } else {
        View::Root(root.to_path_buf())
    }
}
