//! What the user sees: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prebuild::audit::Severity;
use prebuild::error::{Diagnosis, Error, Kind};
use prebuild::event::{Event, Stage, counted};

use crate::args::{Color, Format, Messages};
use crate::environment::{Unusable, Wrong, is_watched};
use crate::limits::Missing;
use crate::terminal;

/// The build failed: pip, an index, a wheel, the disk.
const FAILED: u8 = 1;
/// The request is wrong: usage, requirements.
const WRONG: u8 = 2;
/// This machine is not set up: no Python, no pip, no engine, no such image.
const NOT_SET_UP: u8 = 3;
/// It would not work in its runtime.
pub(crate) const UNFIT: u8 = 4;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default().bold();
const STAGE: Style = AnsiColor::Green.on_default().bold();

/// Where messages go, and how many of them.
pub(crate) struct Printer {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    color: ColorChoice,
    bar: ProgressBar,
    lines: Mutex<()>,
    turning: Once,
}

impl Printer {
    pub(crate) fn new(messages: &Messages) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
            .with_style(style(SPINNER));
        if io::stderr().is_terminal() && !messages.quiet && !messages.verbose && is_watched() {
            bar.set_draw_target(terminal::target());
        }
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

    /// Takes the progress bar away: the result comes.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// One line on standard error; a terminal's progress bar steps aside for it.
    pub(crate) fn say(&self, text: &str) {
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

    pub(crate) fn stage(&self, name: &str, about: &str) {
        if !self.quiet && !about.is_empty() {
            self.say(&format!("{STAGE}{name:>8}{STAGE:#}  {}", plain(about)));
        }
    }

    /// A warning, which `--quiet` does not silence.
    pub(crate) fn warning(&self, text: &str) {
        self.say(&format!("{WARNING}warning{WARNING:#}: {}", plain(text)));
    }

    /// Warnings, one a line.
    pub(crate) fn warnings(&self, texts: &[String]) {
        for text in texts {
            self.warning(text);
        }
    }

    /// What the library tells while it works.
    pub(crate) fn event(&self, event: &Event<'_>) {
        match event {
            Event::Stage(stage, about) => {
                self.stage(&stage.to_string(), about);
                self.begin(*stage, about);
            }
            Event::Builder(about) => {
                self.stage("builder", about);
                self.begin(Stage::Resolve, "");
            }
            Event::Runtime(about) => self.stage("runtime", about),
            Event::Line { text, .. } => {
                if self.verbose {
                    self.say(&plain(text));
                } else {
                    self.bar.set_message(plain(text.trim()));
                }
            }
            Event::Asking(why) if self.verbose => {
                self.stage("resolve", &format!("pip resolves: {why}"));
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
            Event::Fetching(count) => {
                self.stage("download", &counted(*count, "wheel"));
                self.turn("download", "waiting for the index");
            }
            Event::Fetched { done, total } | Event::Packed { done, total } => {
                self.measure(*done, *total);
            }
            _ => {}
        }
    }

    /// Shows what goes on in a stage, which said `about` when it began.
    fn begin(&self, stage: Stage, about: &str) {
        self.turn(&stage.to_string(), doing(stage, about));
    }

    /// Shows that something of unknown length is going on, and what.
    fn turn(&self, label: &str, what: &str) {
        // On a clone, which is the same bar, all of it changes before any of it is drawn.
        let changed = self.bar.clone().with_style(style(SPINNER));
        drop(
            changed
                .with_prefix(label.to_owned())
                .with_message(what.to_owned()),
        );
        self.bar.reset();
        self.bar.unset_length();
        self.turning.call_once(|| turn(&self.bar));
    }

    /// Shows how many bytes of how many are done, how many a second, and how long the rest takes.
    fn measure(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_style(style(METER));
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    /// A text on standard output.
    pub(crate) fn text(&self, text: &str) -> io::Result<()> {
        self.bar.finish_and_clear();
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
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
        let findings = ours.map(Error::findings).unwrap_or_default();
        if let Some(page) = prebuild::audit::explained(findings) {
            text.push_str(&format!("{HINT}hint{HINT:#}: see {page}\n"));
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
pub(crate) fn remedy(line: &str) -> String {
    let line = plain(line);
    format!("{HINT}hint{HINT:#}: add this line to the runtime stage of the Dockerfile\n{line}")
}

/// A text without what a terminal would obey: names come from wheels, images and indexes.
pub(crate) fn plain(text: &str) -> String {
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

const SPINNER: &str = "{prefix:>8} {spinner} {wide_msg:.dim}";
/// Fits into 76 columns.
const METER: &str = "{prefix:>8} {spinner} {bar:18} {decimal_bytes:>9} of {decimal_total_bytes:<9} \
                     {decimal_bytes_per_sec:>11} {eta:>4} left";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What goes on in a stage until it says more; `about` is what the stage said when it began.
fn doing(stage: Stage, about: &str) -> &'static str {
    match stage {
        Stage::Resolve if !about.is_empty() => "pip resolves the requirements",
        Stage::Resolve => "reading the requirements",
        Stage::Builder => "starting the builder",
        Stage::Install => "installing",
        Stage::Collect => "reading the installed files",
        Stage::Audit => "checking the prefix",
        Stage::Pack => "packing",
        Stage::Verify => "importing the modules",
        _ => "",
    }
}

pub(crate) fn print_lines(lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for line in lines {
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()
}

pub(crate) fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, value)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
