//! What the user sees: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use prebuild::artifact::Artifact;
use prebuild::audit::Severity;
use prebuild::cache::{Freed, Sizes, Verified};
use prebuild::error::{Error, Kind};
use prebuild::event::{Event, counted};
use prebuild::lock::{self, Recorded};
use prebuild::plan::{Form, Item, Plan, Planned};
use prebuild::requirements::What;
use prebuild::runtime::Runtime;
use prebuild::verify::{Counts, Failed, Proof};

use crate::args::{Color, Format, Messages};
use crate::environment::{Unusable, Wrong};
use crate::limits::Missing;

/// The build failed: pip, an index, a wheel, the disk.
const FAILED: u8 = 1;
/// The request is wrong: usage, requirements.
const WRONG: u8 = 2;
/// This machine is not set up: no Python, no pip, no engine, no such image.
const NOT_SET_UP: u8 = 3;
/// It would not work in its runtime.
const UNFIT: u8 = 4;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const STAGE: Style = AnsiColor::Green.on_default().bold();

/// Where messages go, and how many of them.
pub(crate) struct Report {
    format: Format,
    quiet: bool,
    verbose: bool,
    color: ColorChoice,
    bar: ProgressBar,
    lines: Mutex<()>,
    turning: Once,
}

impl Report {
    pub(crate) fn new(messages: &Messages) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if io::stderr().is_terminal() && !messages.quiet && !messages.verbose {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_style(spinner());
        Self {
            format: messages.format,
            quiet: messages.quiet,
            verbose: messages.verbose,
            color: match messages.color {
                Color::Auto => ColorChoice::Auto,
                Color::Always => ColorChoice::Always,
                Color::Never => ColorChoice::Never,
            },
            bar,
            lines: Mutex::new(()),
            turning: Once::new(),
        }
    }

    /// One line on standard error; a terminal's progress bar steps aside for it.
    fn say(&self, text: &str) {
        let _one_at_a_time = self.lines.lock();
        self.bar.suspend(|| {
            let mut stderr = AutoStream::new(io::stderr(), self.stderr_color());
            // Nobody is left to be told of it.
            let _ = writeln!(stderr, "{text}");
        });
    }

    fn stderr_color(&self) -> ColorChoice {
        match self.color {
            ColorChoice::Auto => AutoStream::choice(&io::stderr()),
            choice => choice,
        }
    }

    fn stage(&self, name: &str, about: &str) {
        if !self.quiet && !about.is_empty() {
            self.say(&format!("{STAGE}{name:>8}{STAGE:#}  {}", plain(about)));
        }
    }

    /// A warning, which `--quiet` does not silence.
    pub(crate) fn warning(&self, text: &str) {
        self.say(&format!("{WARNING}warning{WARNING:#}: {}", plain(text)));
    }

    /// What the library tells while it works.
    pub(crate) fn event(&self, event: &Event<'_>) {
        match event {
            Event::Stage(stage, about) => {
                self.stage(&stage.to_string(), about);
                self.bar.reset();
                self.bar.set_length(0);
                self.bar.set_style(spinner());
                self.bar.set_message(String::new());
                self.turning.call_once(|| turn(&self.bar));
            }
            Event::Builder(about) => self.stage("builder", about),
            Event::Runtime(about) => self.stage("runtime", about),
            Event::Line { text, .. } => {
                if self.verbose {
                    self.say(&plain(text));
                } else {
                    self.bar
                        .set_message(text.chars().take(70).collect::<String>());
                }
            }
            Event::Asking(why) if self.verbose => {
                self.stage("resolve", &format!("pip is asked: {why}"));
            }
            Event::Wheel {
                name,
                made: Some(why),
            } if self.verbose => self.stage("wheel", &format!("{name}: {why}")),
            Event::Note(text) => self.stage("note", text),
            Event::Waiting(what) => self.stage("wait", what),
            Event::Warning(text) => self.warning(text),
            Event::Changed(text) => self.say(&plain(text)),
            Event::Remedy(line) if !self.quiet => self.say(&remedy(line)),
            Event::Fetching(count) => self.stage("fetch", &counted(*count, "wheel")),
            Event::Fetched { done, total } | Event::Packed { done, total } => {
                if self.bar.length() != Some(*total) {
                    self.bar.set_length(*total);
                    self.bar.set_style(meter());
                }
                self.bar.set_position(*done);
            }
            _ => {}
        }
    }

    /// The summary of a build on standard error, the result on standard output.
    pub(crate) fn artifact(&self, artifact: &Artifact) -> io::Result<()> {
        self.bar.finish_and_clear();
        if self.verbose {
            for distribution in &artifact.distributions {
                self.stage("with", &distribution.to_string());
            }
        }
        for one in &artifact.bundled {
            let package = one.package.as_deref().unwrap_or("no package");
            let licence = one.licence.as_ref().map(|path| format!(", licence {path}"));
            let licence = licence.unwrap_or_default();
            self.stage("bundle", &format!("{} of {package}{licence}", one.library));
        }
        let outputs: Vec<_> = artifact
            .outputs
            .iter()
            .map(|output| format!("{} {}", output.path.display(), HumanBytes(output.size)))
            .collect();
        let times: Vec<_> = artifact
            .seconds
            .iter()
            .map(|(stage, seconds)| format!("{stage} {seconds:.1} s"))
            .collect();
        self.stage(
            "done",
            &format!(
                "{}, {}, {} of them native, {} in, {} out",
                counted(artifact.distributions.len(), "distribution"),
                counted(artifact.files, "file"),
                artifact.native,
                HumanBytes(artifact.size),
                outputs.join(", "),
            ),
        );
        self.stage("times", &times.join(", "));
        if !["/usr/local", "/usr"].contains(&artifact.layout.dest.as_str()) {
            let dest = &artifact.layout.dest;
            self.stage("use", &format!("ENV PATH={dest}/bin:$PATH"));
        }
        if self.format == Format::Json {
            return print_json(artifact);
        }
        print_lines(artifact.outputs.iter().map(|output| {
            let path = output.path.display();
            match &output.digest {
                Some(digest) => format!("{path}  {digest}"),
                None => path.to_string(),
            }
        }))
    }

    /// A plan on standard output.
    pub(crate) fn plan(
        &self,
        plan: &Plan,
        recorded: &Recorded,
        folder: &Path,
    ) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        match self.format {
            Format::Json => return Ok(print_json(plan)?),
            Format::Requirements => return Ok(self.text(&lock::requirements(plan))?),
            Format::Pylock => {
                let text = lock::text(plan, recorded, folder).map_err(Error::Unhashed)?;
                return Ok(self.text(&text)?);
            }
            Format::Text => {}
        }
        let mut out = io::stdout().lock();
        match &plan.builder {
            Some(builder) => writeln!(out, "builder  {builder}")?,
            None => writeln!(out, "builder  none")?,
        }
        writeln!(out, "target   {}", plan.target)?;
        if let Some(pip) = &plan.pip {
            writeln!(out, "pip      {pip}")?;
        }
        for setting in &plan.settings {
            writeln!(
                out,
                "setting  {} = {} (from {})",
                setting.name, setting.value, setting.from
            )?;
        }
        for line in options(plan) {
            writeln!(out, "option   {line}")?;
        }
        for entry in &plan.requirements {
            writeln!(out, "require  {}", entry_line(entry))?;
        }
        for entry in &plan.constraints {
            writeln!(out, "limit    {}", entry_line(entry))?;
        }
        for item in &plan.distributions {
            writeln!(out, "install  {}", item_line(item))?;
        }
        Ok(out.flush()?)
    }

    /// A text on standard output.
    pub(crate) fn text(&self, text: &str) -> io::Result<()> {
        self.bar.finish_and_clear();
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// What came of verifying: failures on standard error, the summary on standard output; returns the
    /// exit code that it means.
    pub(crate) fn proved(&self, proof: &Proof) -> io::Result<ExitCode> {
        self.bar.finish_and_clear();
        if let Some(why) = &proof.not_compared {
            self.warning(&format!("not compared with the builder: {why}"));
        }
        self.stage("place", &proof.place);
        if let Some(place) = &proof.compared_in {
            self.stage("compared", &format!("with the builder, in {place}"));
        }
        for finding in &proof.findings {
            let said = plain(&finding.to_string());
            match finding.severity {
                Severity::Error => self.say(&format!("{}: {said}", finding.problem.kind())),
                Severity::Warning => self.warning(&said),
                Severity::Note => {}
            }
        }
        let groups = [
            ("broken", &proof.broken),
            ("not proved", &proof.not_proved),
            ("optional", &proof.optional),
            ("allowed", &proof.allowed),
        ];
        for (group, failures) in groups {
            let counts = matches!(group, "broken" | "not proved");
            if counts || (!self.quiet && group == "allowed") || self.verbose {
                for failed in failures {
                    self.failed(group, failed);
                }
            }
        }
        if let Some(remedy) = &proof.remedy
            && !proof.holds()
        {
            self.say(&format!(
                "{HINT}hint{HINT:#}: put this line into the stage of the runtime\n{}",
                plain(remedy)
            ));
        }
        let code = if proof.holds() {
            ExitCode::SUCCESS
        } else {
            self.say(&format!(
                "{HINT}hint{HINT:#}: to ignore a failure, pass `--allow KIND:NAME`, such as \
                 `--allow module:tests`"
            ));
            ExitCode::from(UNFIT)
        };
        match self.format {
            Format::Json => print_json(proof)?,
            _ => print_lines([summary(proof)])?,
        }
        Ok(code)
    }

    fn failed(&self, group: &str, failed: &Failed) {
        let Failed {
            distribution,
            kind,
            name,
            target: _,
            error,
            details,
        } = failed;
        let line = format!("{group}: {distribution}: {} {name}: {error}", kind.name());
        self.say(&plain(&line));
        if self.verbose {
            for line in details.lines() {
                let line: String = line.chars().take(500).collect();
                self.say(&format!("  | {}", plain(&line)));
            }
        }
    }

    /// What is known of a runtime, on standard output.
    pub(crate) fn runtime(&self, runtime: &Runtime) -> io::Result<()> {
        self.bar.finish_and_clear();
        let facts = &runtime.facts;
        if self.format == Format::Json {
            return print_json(facts);
        }
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| {
            if !value.is_empty() {
                lines.push(format!("{name:<9} {}", plain(&value)));
            }
        };
        line("system", facts.os.name.clone());
        line(
            "machine",
            facts
                .machine
                .map_or(String::new(), |machine| machine.to_string()),
        );
        line(
            "libc",
            facts
                .libc
                .as_ref()
                .map_or(String::new(), ToString::to_string),
        );
        for python in &facts.pythons {
            let chosen = if *python == runtime.python {
                ", which is taken"
            } else {
                ""
            };
            let version = python.full_version.as_ref().unwrap_or(&python.version);
            line(
                "python",
                format!("{version} at {}{chosen}", python.executable),
            );
            line("  names", python.names.join(" "));
            line("  prefix", python.prefix.clone());
            line("  sites", python.site_packages.join(" "));
            line("  suffixes", python.suffixes.join(" "));
            let installed = python.installed.iter();
            let installed = installed.map(|one| format!("{} {}", one.name, one.version));
            line("  with", installed.collect::<Vec<_>>().join(", "));
        }
        line("loader", facts.loader.folders.join(" "));
        line("libraries", facts.loader.libraries.len().to_string());
        line(
            "packages",
            match facts.packages.database {
                Some(_) => facts.packages.installed.len().to_string(),
                None => "no database".to_owned(),
            },
        );
        line("path", facts.path.join(":"));
        line("user", facts.user.clone().unwrap_or_default());
        print_lines(lines)
    }

    /// Where a lock file is, on standard output.
    pub(crate) fn locked(&self, path: &Path, count: usize, is_new: bool) -> io::Result<()> {
        self.bar.finish_and_clear();
        let news = if is_new { "written" } else { "as it was" };
        self.stage(
            "locked",
            &format!("{}, {news}", counted(count, "distribution")),
        );
        match self.format {
            Format::Json => print_json(&serde_json::json!({ "version": 1, "lock": path })),
            _ => print_lines([path.display().to_string()]),
        }
    }

    /// The cache's folder on standard output.
    pub(crate) fn cache_folder(&self, folder: &Path) -> io::Result<()> {
        match self.format {
            Format::Json => print_json(&serde_json::json!({ "version": 1, "folder": folder })),
            _ => print_lines([folder.display().to_string()]),
        }
    }

    /// How much the cache holds, on standard output.
    pub(crate) fn sizes(&self, sizes: &Sizes) -> io::Result<()> {
        if self.format == Format::Json {
            return print_json(sizes);
        }
        let line = |name: &str, entries: String, bytes: u64| {
            format!(
                "{name:<16} {entries:>6} {:>12}",
                HumanBytes(bytes).to_string()
            )
        };
        let parts = &sizes.buckets;
        let in_all: usize = parts.iter().map(|part| part.entries).sum();
        let buckets = parts
            .iter()
            .map(|part| line(part.bucket.name(), part.entries.to_string(), part.bytes));
        print_lines(buckets.chain([
            line("leftovers", String::new(), sizes.leftovers),
            line("in all", in_all.to_string(), sizes.bytes),
        ]))
    }

    /// What was removed from the cache, on standard output.
    pub(crate) fn freed(&self, freed: &Freed) -> io::Result<()> {
        match self.format {
            Format::Json => print_json(freed),
            _ => print_lines([format!(
                "removed {} entries, {} in all",
                freed.entries,
                HumanBytes(freed.bytes)
            )]),
        }
    }

    /// What was damaged in the cache, on standard output.
    pub(crate) fn verified(&self, verified: &Verified) -> io::Result<()> {
        if self.format == Format::Json {
            return print_json(verified);
        }
        self.stage("verified", &format!("{} entries", verified.entries));
        let damaged = verified.damaged.iter();
        print_lines(damaged.map(|one| format!("{} {}: {}", one.bucket, one.key, one.reason)))
    }

    /// An error on standard error; returns the exit code that it means.
    pub(crate) fn failure(&self, error: &anyhow::Error) -> ExitCode {
        self.bar.finish_and_clear();
        let ours = error.downcast_ref::<prebuild::error::Error>();
        if self.verbose || ours.is_none_or(|error| error.tail().is_empty()) {
            // Shown already, or there is none.
        } else if let Some(ours) = ours {
            for line in ours.tail() {
                self.say(&format!("  | {}", plain(line)));
            }
        }
        let mut text = String::new();
        for line in plain(&error.to_string()).lines() {
            text.push_str(&format!("{ERROR}error{ERROR:#}: {line}\n"));
        }
        if let Some(excerpt) = ours.and_then(prebuild::error::Error::excerpt) {
            text.push_str(excerpt.trim_end_matches('\n'));
            text.push('\n');
        }
        for cause in error.chain().skip(1) {
            text.push_str(&format!("  caused by: {}\n", plain(&cause.to_string())));
        }
        for finding in ours.map(Error::findings).unwrap_or_default() {
            match finding.severity {
                Severity::Error => {
                    let said = plain(&finding.to_string());
                    text.push_str(&format!("  {}: {said}\n", finding.problem.kind()));
                    if let Some(remedy) = &finding.remedy {
                        let remedy = plain(remedy);
                        text.push_str(&format!("    {HINT}help{HINT:#}: {remedy}\n"));
                    }
                }
                Severity::Warning => self.warning(&finding.with_help()),
                Severity::Note => {}
            }
        }
        if let Some(Error::Unfit(unfit)) = ours
            && let Some(line) = &unfit.remedy
        {
            text.push_str(&format!("{}\n", remedy(line)));
        }
        let unusable = error.downcast_ref::<Unusable>();
        let hint = unusable.map(|unusable| unusable.hint.clone());
        if let Some(hint) = hint.or_else(|| ours.and_then(prebuild::error::Error::hint)) {
            text.push_str(&format!("{HINT}hint{HINT:#}: {hint}\n"));
        }
        self.say(text.trim_end());
        ExitCode::from(match ours.map(prebuild::error::Error::kind) {
            Some(Kind::Request) => WRONG,
            Some(Kind::Setup) => NOT_SET_UP,
            Some(Kind::Unfit) => UNFIT,
            None if error.is::<Wrong>() => WRONG,
            None if error.is::<Missing>() || unusable.is_some() => NOT_SET_UP,
            Some(Kind::Build | Kind::Cancelled) | None => FAILED,
        })
    }

    /// A build that a signal stopped; the exit code is a shell's for that signal.
    pub(crate) fn interrupted(&self, signal: usize) -> ExitCode {
        self.bar.finish_and_clear();
        self.say(&format!(
            "{ERROR}error{ERROR:#}: interrupted; nothing was written"
        ));
        ExitCode::from(u8::try_from(128 + signal).unwrap_or(FAILED))
    }
}

/// A line of a Dockerfile, and where it goes.
fn remedy(line: &str) -> String {
    let line = plain(line);
    format!("{HINT}hint{HINT:#}: put this line into the stage of the runtime\n{line}")
}

/// A text without what a terminal would obey: names come from wheels, images and indexes.
fn plain(text: &str) -> String {
    let is_obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.replace(is_obeyed, "\u{fffd}")
}

/// Has the spinner turn. Not with a thread of the bar's, which panics where it cannot be started.
fn turn(bar: &ProgressBar) {
    if bar.is_hidden() {
        return;
    }
    let bar = bar.clone();
    let turning = thread::Builder::new().spawn(move || {
        while !bar.is_finished() {
            bar.tick();
            thread::sleep(Duration::from_millis(120));
        }
    });
    // Without a thread it stands still.
    drop(turning);
}

/// What was checked, and how much of it failed.
fn summary(proof: &Proof) -> String {
    let Counts {
        modules,
        extensions,
        scripts,
        entry_points,
    } = proof.checked;
    let errors = proof.findings.iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    let mut line = format!(
        "{}, {}, {} and {} in {}: {}, {} broken, {} not proved, {} optional",
        counted(modules, "module"),
        counted(extensions, "extension module"),
        counted(scripts, "script"),
        counted(entry_points, "entry point"),
        plain(&proof.runtime),
        counted(errors.count(), "audit error"),
        proof.broken.len(),
        proof.not_proved.len(),
        proof.optional.len(),
    );
    if !proof.allowed.is_empty() {
        line.push_str(&format!(", {} allowed", proof.allowed.len()));
    }
    line
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn meter() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn print_lines(lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()
}

fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, value)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// A requirement on one line: what was written, where, and whether it applies.
fn entry_line(planned: &Planned) -> String {
    let entry = &planned.entry;
    let at = format!("{}:{}", entry.at.file.display(), entry.at.line);
    let mut line = format!("{:<40} {at}", entry.written.to_string());
    if !entry.hashes.is_empty() {
        line.push_str(&format!(", {} hashes", entry.hashes.len()));
    }
    if let What::Path { path, .. } = &entry.what {
        line.push_str(&format!(", {}", path.display()));
    }
    if let Some(reason) = &planned.reason {
        line.push_str(&format!(", left out: {reason}"));
    }
    line
}

/// A distribution on one line: what it is, how it will be had, from where, and who wants it.
fn item_line(item: &Item) -> String {
    let what = format!("{} {}", item.name, item.version);
    let how = match item.form {
        Form::Wheel => "wheel",
        Form::Sdist => "to be built",
    };
    let mut line = format!("{what:<40} {how}");
    if let Some(size) = item.size {
        line.push_str(&format!(", {}", HumanBytes(size)));
    }
    let by: Vec<_> = item.required_by.iter().map(ToString::to_string).collect();
    line.push_str(&format!(", {}, for {}", item.url, by.join(", ")));
    line
}

/// The options as one JSON value a line: their forms are many, and each knows where it stands.
fn options(plan: &Plan) -> Vec<String> {
    let Ok(serde_json::Value::Object(options)) = serde_json::to_value(&plan.options) else {
        return Vec::new();
    };
    options
        .into_iter()
        .filter(|(_, value)| {
            !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
        })
        .map(|(name, value)| format!("{} {value}", name.replace('_', "-")))
        .collect()
}
