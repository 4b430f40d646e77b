//! pip, as a command line. No other module knows a flag of pip's.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::digest::Digest;
use crate::event::{Event, Observer, Stream};
use crate::fs;
use crate::index::Strategy;
use crate::interpreter::{Interpreter, Pip};
use crate::plan::{Asked, Form, Item, Source};
use crate::requirements::{self, Name, Requirements, Text, hide_credentials};
use crate::runner::{self, Exec, Session};
use crate::tree::{Entry, Node, RelPath, Tree};

mod access;
mod environment;
mod error;
pub mod explain;
mod kept;
pub mod packages;
mod render;
mod report;
mod settings;

pub use access::Access;
pub use error::{Error, LocatedCause};
pub use kept::Kept;
pub use report::{ReportError, Resolution};

use explain::{Cause, Failure};
use packages::System;
use render::{Line, Rendered};
pub use settings::Settings;

use settings::Origin;

/// Where things lie in the builder, below the session's root.
const PREFIX: &str = "install";
const TEMP: &str = "prebuild/tmp";
const REPORT: &str = "prebuild/report";
const WHEELS: &str = "prebuild/wheels";

/// The largest report that is read, in bytes: a thousand distributions with long metadata.
const MAX_REPORT: u64 = 256 << 20;

/// How much of pip's log is read from its start, and how much from its end, in bytes. What an index
/// gave comes first, the build that failed last.
const LOG_END: u64 = 8 << 20;

/// How many lines of each end: a build may write as many empty ones as it likes.
const LOG_LINES: usize = 50_000;

/// How many of pip's last lines an error shows.
const TAIL: usize = 15;

/// What a build asks of pip besides the requirements.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The caller's environment: pip's variables and the network's are taken from it.
    pub env: BTreeMap<String, String>,
    /// The caller's pip configuration files: path and text. Read where the builder does not see
    /// them itself.
    pub config: Vec<(String, String)>,
    /// Variables set for pip and what it builds, whatever else is said.
    pub set: BTreeMap<String, String>,
    /// A bundle of certificates that the builder must trust.
    pub ca_cert: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH` for what is built from source, in seconds since 1970.
    pub epoch: u64,
    /// Options on pip's command line, in pip's own spelling, such as `--no-deps`.
    pub args: Vec<String>,
    /// Which index a project is taken from if several have it.
    pub strategy: Strategy,
    /// Whether no host is asked for anything.
    pub offline: bool,
    /// Tells the seconds since 1970: without it, no page of an index is fresh.
    pub now: Option<fn() -> u64>,
}

/// pip in an open builder, asked what it can do, its settings sorted out.
#[derive(Debug)]
pub struct Driver<'a> {
    interpreter: &'a Interpreter,
    pip: &'a Pip,
    settings: Settings,
    options: &'a Options,
    inherits: bool,
    /// How often pip was run to build wheels, and how often for anything else.
    runs: [AtomicUsize; 2],
}

/// What pip is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// To install.
    Install,
    /// To say what it would install.
    Resolve,
    /// To download or build wheels.
    Wheels,
    /// To download whatever it would install.
    Download,
}

/// What pip said and did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The distributions that were built from source, as pip names them.
    pub built: Vec<String>,
}

impl<'a> Driver<'a> {
    /// Sorts out the settings. `inherits` tells that the builder's environment is the caller's.
    pub fn new(
        interpreter: &'a Interpreter,
        options: &'a Options,
        inherits: bool,
    ) -> Result<Self, Error> {
        let executable = || interpreter.executable.clone();
        let pip = interpreter.pip.as_ref().ok_or_else(|| Error::NoPip {
            python: executable(),
        })?;
        if !pip.works {
            return Err(Error::Broken {
                python: executable(),
                version: pip.version.clone(),
            });
        }
        let builder = if inherits {
            &BTreeMap::new()
        } else {
            &interpreter.environment
        };
        let mut settings = Settings::sort(
            &interpreter.config,
            &interpreter.caller_config,
            builder,
            &options.env,
        );
        settings.is_here = inherits;
        if !inherits {
            // Constraints are read here, and a file of the image's is not here.
            settings.leave_out("constraint", &Origin::Builder);
        }
        Ok(Self {
            interpreter,
            pip,
            settings,
            options,
            inherits,
            runs: Default::default(),
        })
    }

    /// The version of pip.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.pip.version
    }

    /// The settings that reach the build.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a setting that is a switch, such as `no-deps`, is on.
    #[must_use]
    pub fn is_on(&self, setting: &str) -> bool {
        let given = format!("--{setting}");
        self.options.args.contains(&given) || self.settings.is_on(setting)
    }

    /// Whether the builder is this machine: its paths are ours.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.inherits
    }

    /// Installs what applies into the prefix `install` of the session.
    pub fn install(
        &self,
        session: &mut dyn Session,
        requirements: &Requirements,
        observe: &Observer<'_>,
    ) -> Result<Outcome, Error> {
        session.put(PREFIX, &Tree::new())?;
        let rendered = self.render(session, Task::Install, requirements)?;
        let lines = self.run(session, Task::Install, rendered, observe)?;
        Ok(Outcome {
            built: built(&lines),
        })
    }

    /// Whether this pip can say what it would install: from 23.0 on. The reports of 22.2 and 22.3
    /// were an experiment.
    #[must_use]
    pub fn can_resolve(&self) -> bool {
        is_from(&self.pip.version, (23, 0))
            && self.pip.takes("--report")
            && self.pip.takes("--dry-run")
    }

    /// Asks pip what it would install, and installs nothing.
    pub fn resolve(
        &self,
        session: &mut dyn Session,
        requirements: &Requirements,
        observe: &Observer<'_>,
    ) -> Result<Resolution, Error> {
        session.put(REPORT, &Tree::new())?;
        let rendered = self.render(session, Task::Resolve, requirements)?;
        self.run(session, Task::Resolve, rendered, observe)?;
        let tree = session.get(REPORT)?;
        let report = match tree.get(&RelPath::new("report.json")?) {
            Some(Entry {
                node: Node::File { content, .. },
                ..
            }) if content.size() <= MAX_REPORT => content.read()?,
            _ => return Err(ReportError::Missing.into()),
        };
        let environment = &self.interpreter.markers;
        let asked = Asked::new(requirements, self.is_on("no-deps"), environment)?;
        Ok(Resolution::read(&report, &asked)?)
    }

    /// Has pip download whatever it would install, which any pip can; returns the folder with it.
    pub fn download(
        &self,
        session: &mut dyn Session,
        requirements: &Requirements,
        observe: &Observer<'_>,
    ) -> Result<Tree, Error> {
        session.put(WHEELS, &Tree::new())?;
        let rendered = self.render(session, Task::Download, requirements)?;
        self.run(session, Task::Download, rendered, observe)?;
        Ok(session.get(WHEELS)?)
    }

    /// Has pip download the wheels of `items`, or build them; returns the folder with all of them.
    pub fn wheels(
        &self,
        session: &mut dyn Session,
        requirements: &Requirements,
        items: &[&Item],
        observe: &Observer<'_>,
    ) -> Result<(Tree, Outcome), Error> {
        session.put(WHEELS, &Tree::new())?;
        let mut rendered = self.render(session, Task::Wheels, requirements)?;
        rendered.narrow(items)?;
        let lines = self.run(session, Task::Wheels, rendered, observe)?;
        let outcome = Outcome {
            built: built(&lines),
        };
        Ok((session.get(WHEELS)?, outcome))
    }

    /// The digest of all that decides the wheel that is built of an item: its source, the builder, how
    /// it is built. `None` where one of them is not known, or may change at any time: what is built
    /// then is not kept.
    pub fn built_key(
        &self,
        session: &dyn Session,
        requirements: &Requirements,
        item: &Item,
    ) -> Option<Digest> {
        let source = match &item.source {
            Source::Commit(commit) => format!("{} {commit}", item.url),
            Source::Index | Source::Archive if item.form == Form::Sdist => {
                item.sha256()?.to_string()
            }
            _ => return None,
        };
        if self.inherits && self.settings.pass.contains_key("no-build-isolation") {
            // The build sees this machine's packages, which change at any time.
            return None;
        }
        let builder = session.builds(&self.interpreter.executable)?;
        let of_item =
            |entry: &&requirements::Entry| entry.name().is_none_or(|name| *name == item.name);
        let config_settings: Vec<_> = requirements
            .entries()
            .iter()
            .filter(of_item)
            .flat_map(|entry| &entry.config_settings)
            .map(Text::expanded)
            .collect();
        let constraints: Vec<_> = requirements
            .constraints()
            .iter()
            .map(|entry| (entry.written.expanded(), &entry.hashes))
            .collect();
        let options = requirements.options().given();
        let options: Vec<_> = options
            .iter()
            .map(|one| (one.name, one.value.map(Text::expanded)))
            .collect();
        let Settings {
            pass,
            is_here,
            // They are words for the user.
            recorded: _,
            ignored: _,
            // They never reach pip.
            unset: _,
        } = &self.settings;
        let build_constraints = match pass.get("build-constraint") {
            // The files of an image are the builder's.
            Some((_, Origin::Builder)) if !is_here => None,
            Some((paths, _)) => Some(
                paths
                    .split_whitespace()
                    .map(|path| Some(Digest::of(&fs::read(Path::new(path)).ok()?)))
                    .collect::<Option<Vec<_>>>()?,
            ),
            None => None,
        };
        let Options {
            set,
            args,
            epoch,
            strategy,
            // What reaches the build is in the settings and in `builder`.
            env: _,
            config: _,
            // How hosts are reached decides whether there is a wheel, not which.
            ca_cert: _,
            offline: _,
            now: _,
        } = self.options;
        let Interpreter {
            markers,
            executable,
            prefix,
            soabi,
            platform,
            libc,
            glibc,
            prefix_map,
            optimisation,
            tags,
            // Other names of the same interpreter, and what it has installed: isolated builds see neither.
            // Others see the packages of the image, which `builder` names.
            interpreters: _,
            site_packages: _,
            // Its version is hashed below.
            pip: _,
            // They are in the settings.
            config: _,
            caller_config: _,
            broken_config: _,
            environment: _,
            // It decides how packages are installed that a hint names.
            os: _,
            // It says when the interpreter must be asked again.
            watched: _,
        } = self.interpreter;
        let python = (
            markers, executable, prefix, soabi, platform, libc, glibc, tags,
        );
        let flags = (prefix_map, optimisation, set, args, epoch, strategy);
        let asked = (config_settings, constraints, build_constraints, options);
        let pip = &self.pip.version;
        let text =
            format!("built 2 {source} {builder} {pip} {python:?} {flags:?} {asked:?} {pass:?}");
        Some(Digest::of(text.as_bytes()))
    }

    fn render(
        &self,
        session: &dyn Session,
        task: Task,
        requirements: &Requirements,
    ) -> Result<Rendered, Error> {
        let environment = &self.interpreter.markers;
        let work = self.work(task);
        let root = session.locate(&work);
        render::render(requirements, environment, work, &root, &self.links())
    }

    /// Where the files of a run lie in the builder, below the session's root: each run leaves its own.
    /// What is built lies at one path, however often pip was asked what to build.
    fn work(&self, task: Task) -> String {
        let [builds, others] = &self.runs;
        let (runs, name) = match task {
            Task::Wheels => (builds, "prebuild/wheels-work"),
            Task::Install | Task::Resolve | Task::Download => (others, "prebuild/work"),
        };
        match runs.fetch_add(1, Ordering::Relaxed) {
            0 => name.to_owned(),
            runs => format!("{name}-{}", runs + 1),
        }
    }

    /// Runs pip; returns what it wrote.
    fn run(
        &self,
        session: &mut dyn Session,
        task: Task,
        mut rendered: Rendered,
        observe: &Observer<'_>,
    ) -> Result<Vec<String>, Error> {
        let env = self.environment(session, &mut rendered)?;
        session.put(&rendered.work, &rendered.tree)?;
        session.put(TEMP, &Tree::new())?;
        session.put(&rendered.log(), &Tree::new())?;
        let exec = self.command(session, task, &rendered, env);
        let mut lines: Vec<String> = Vec::new();
        let ran = session.run(&exec, b"", &mut |stream, line| {
            let text = hide_credentials(line);
            observe(&Event::Line {
                stream,
                text: &text,
            });
            lines.push(text);
        });
        match ran {
            Ok(()) => Ok(lines),
            Err(runner::Error::Failed { ending, .. }) => {
                let log = read_log(session, &rendered.log());
                let explanation = explain::explain_with_log(&lines, &log);
                for text in &explanation.command {
                    let stream = Stream::Stderr;
                    observe(&Event::Line { stream, text });
                }
                let mut tail = explanation.excerpt;
                if tail.is_empty() {
                    let start = lines.len().saturating_sub(TAIL);
                    tail.extend(lines[start..].iter().map(|line| explain::short(line)));
                }
                Err(Error::Failed {
                    causes: explanation
                        .causes
                        .into_iter()
                        .map(|cause| told(&rendered.lines, cause))
                        .collect(),
                    system: System::of(&self.interpreter.os),
                    ending,
                    tail,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The command. Pure: the tests read it.
    fn command(
        &self,
        session: &dyn Session,
        task: Task,
        rendered: &Rendered,
        env: BTreeMap<String, String>,
    ) -> Exec {
        let exec = Exec::new(session.python()).envs(env).args(["-m", "pip"]);
        let mut exec = match task {
            Task::Install => exec.args([
                "install",
                "--prefix",
                &session.locate(PREFIX),
                // What the builder has already would be left out of the prefix: H4.
                "--ignore-installed",
                "--no-compile",
            ]),
            Task::Resolve => exec.args([
                "install",
                "--dry-run",
                "--ignore-installed",
                "--report",
                &session.locate(&format!("{REPORT}/report.json")),
            ]),
            Task::Download => exec.args(["download", "--dest", &session.locate(WHEELS)]),
            Task::Wheels => {
                exec.args(["wheel", "--no-deps", "--wheel-dir", &session.locate(WHEELS)])
            }
        };
        for (option, values, everywhere) in [
            ("--no-warn-script-location", &[][..], false),
            ("--disable-pip-version-check", &[], true),
            ("--no-input", &[], true),
            ("--no-color", &[], true),
            ("--break-system-packages", &[], false),
            ("--progress-bar", &["off"], true),
        ] {
            let installs = !matches!(task, Task::Wheels | Task::Download);
            if self.pip.takes(option) && (everywhere || installs) {
                exec = exec.args([option]).args(values.iter().copied());
            }
        }
        // pip writes to its log alone why an index gave nothing, and what builds say.
        exec = exec.args([
            "--log",
            &session.locate(&format!("{}/pip.log", rendered.log())),
        ]);
        exec = exec.args(self.options.args.clone());
        exec = exec.args([
            "-r",
            &session.locate(&format!("{}/requirements.txt", rendered.work)),
        ]);
        for name in &rendered.constraints {
            exec = exec.args(["-c", &session.locate(&format!("{}/{name}", rendered.work))]);
        }
        exec
    }
}

/// The prefix's path below the session's root.
#[must_use]
pub fn prefix() -> &'static str {
    PREFIX
}

/// What pip wrote to its log, without what is in the middle of a long one; nothing where it cannot be
/// read, since it only adds to what is known.
fn read_log(session: &mut dyn Session, folder: &str) -> Vec<String> {
    let mut read = || -> Option<[Vec<u8>; 2]> {
        let tree = session.get(folder).ok()?;
        match &tree.get(&RelPath::new("pip.log").ok()?)?.node {
            Node::File { content, .. } => ends(content.open().ok()?, content.size()).ok(),
            _ => None,
        }
    };
    let [start, end] = read().unwrap_or_default();
    let (start, end) = (
        String::from_utf8_lossy(&start),
        String::from_utf8_lossy(&end),
    );
    let mut last: Vec<&str> = end.lines().rev().take(LOG_LINES).collect();
    last.reverse();
    let lines = start.lines().take(LOG_LINES).chain(last);
    lines.map(hide_credentials).collect()
}

/// The first and the last [`LOG_END`] bytes of what has `size` bytes.
fn ends(mut from: impl Read, size: u64) -> io::Result<[Vec<u8>; 2]> {
    let (mut start, mut end) = (Vec::new(), Vec::new());
    (&mut from).take(LOG_END).read_to_end(&mut start)?;
    let middle = size.saturating_sub(2 * LOG_END);
    io::copy(&mut (&mut from).take(middle), &mut io::sink())?;
    from.take(LOG_END).read_to_end(&mut end)?;
    Ok([start, end])
}

/// The distributions that pip built from source, by what it wrote.
fn built(lines: &[String]) -> Vec<String> {
    let mut built: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let line = line.trim_start();
            let name = line
                .strip_prefix("Created wheel for ")
                .and_then(|rest| rest.split_once(':').map(|(name, _)| name))
                .or_else(|| {
                    let rest = line.strip_prefix("Running setup.py install for ")?;
                    rest.split([':', '.']).next()
                })
                .or_else(|| {
                    // Of a build before: public indexes take no wheels for `linux_…`.
                    let file = line.strip_prefix("Using cached ")?.split(' ').next()?;
                    let is_built = file.ends_with(".whl") && file.contains("-linux_");
                    file.split('-').next().filter(|_| is_built)
                })?;
            Some(Name::new(name.trim()).as_str().to_owned())
        })
        .collect();
    built.sort();
    built.dedup();
    built
}

/// A cause with the place of the requirement that it is about, which is named as the user wrote it where
/// pip knows it by a path in the builder.
fn told(lines: &[Option<Line>], mut cause: Cause) -> LocatedCause {
    let line = line_of(lines, &cause);
    if let Some(line) = line {
        let mut names = vec![&mut cause.distribution];
        if let Failure::NoDistribution { wanted_by, .. } = &mut cause.failure {
            names.push(wanted_by);
        }
        for name in names {
            if name.as_deref().and_then(path).is_some() {
                *name = Some(line.written.clone());
            }
        }
        if let Failure::Unhashable { requirement, .. } = &mut cause.failure {
            requirement.clone_from(&line.written);
        }
    }
    LocatedCause {
        at: line.map(|line| line.at.clone()),
        cause,
    }
}

/// The path in the builder by which pip names a local source.
fn path(name: &str) -> Option<&str> {
    let path = name.strip_prefix("file://").unwrap_or(name);
    path.starts_with('/').then_some(path)
}

/// The line that a cause is about: the one that pip names, else the one of the distribution.
fn line_of<'a>(lines: &'a [Option<Line>], cause: &Cause) -> Option<&'a Line> {
    let by_line = || {
        let index = usize::try_from(cause.line?).ok()?.checked_sub(1)?;
        lines.get(index)?.as_ref()
    };
    let wanted_by = match &cause.failure {
        Failure::NoDistribution { wanted_by, .. } => wanted_by.as_deref(),
        _ => None,
    };
    let by_name = |name: Option<&str>| {
        let name = Name::new(name?);
        lines
            .iter()
            .flatten()
            .find(|line| line.name.as_ref() == Some(&name))
    };
    let by_path = || {
        let path = path(cause.distribution.as_deref()?)?;
        let mut lines = lines.iter().flatten();
        lines.find(|line| line.rendered.contains(path))
    };
    by_line()
        .or_else(by_path)
        .or_else(|| by_name(cause.distribution.as_deref()))
        .or_else(|| by_name(wanted_by))
}

/// Whether this pip is that version or a later one.
fn is_from(pip: &str, version: (u32, u32)) -> bool {
    let mut numbers = pip.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= version
}

#[cfg(test)]
mod tests;
