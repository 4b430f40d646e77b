//! `prebuild`, the command: a thin client of the library.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use prebuild::event::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

mod args;
mod builder;
mod cache;
mod environment;
mod limits;
mod lock;
mod report;
mod runtime;
mod settings;
mod verify;

use args::{Cli, Command, Format};
use environment::{Environment, Wrong};
use report::Report;
use settings::Settings;

fn main() -> ExitCode {
    if let Some(code) = verify::helper() {
        return code;
    }
    let cli = Cli::parse();
    let messages = match &cli.command {
        Some(Command::Plan(common)) => &common.messages,
        Some(Command::Lock(lock)) => &lock.common.messages,
        Some(Command::Verify(verify)) => &verify.messages,
        Some(Command::Runtime(look)) => &look.messages,
        Some(Command::Cache(cache)) => &cache.messages,
        None => &cli.build.common.messages,
    };
    let report = Report::new(messages);
    let cancel = Cancel::new();
    let signal = match watch_signals(&cancel) {
        Ok(signal) => signal,
        Err(error) => return report.failure(&error.into()),
    };
    match limits::check().and_then(|()| run(cli, &report, &cancel)) {
        Ok(code) => code,
        Err(error) => match signal.load(Ordering::SeqCst) {
            0 => match error.downcast_ref::<io::Error>() {
                // Whoever read the result has seen enough.
                Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
                _ => report.failure(&error),
            },
            signal => report.interrupted(signal),
        },
    }
}

fn run(cli: Cli, report: &Report, cancel: &Cancel) -> anyhow::Result<ExitCode> {
    let environment = Environment::of_this_process()?;
    check_format(&cli)?;
    let observe = |event: &prebuild::event::Event<'_>| report.event(event);
    match cli.command {
        Some(Command::Plan(common)) => {
            let settings = Settings::common(*common, &environment, cancel)?;
            warn(report, &settings);
            for request in settings.requests() {
                let runner = settings.runner.as_ref();
                let (plan, recorded) =
                    prebuild::pipeline::plan(&request, runner, &observe, cancel)?;
                report.plan(&plan, &recorded, &request.cwd)?;
            }
        }
        Some(Command::Lock(args)) => lock::run(*args, &environment, report, cancel)?,
        Some(Command::Verify(args)) => {
            return verify::run(*args, &environment, report, cancel);
        }
        Some(Command::Runtime(look)) => runtime::run(*look, &environment, report, cancel)?,
        Some(Command::Cache(args)) => cache::run(args, &environment, report, cancel)?,
        None => {
            let packages = cli.build.write_packages.clone();
            let settings = Settings::build(cli.build, &environment, cancel)?;
            warn(report, &settings);
            let requests = settings.requests();
            let runner = settings.runner.as_ref();
            let (path, observe) = (packages.as_deref(), &observe);
            let built = prebuild::pipeline::build_all(&requests, path, runner, observe, cancel);
            if let (Some(path), Err(error)) = (path, &built)
                && !error.findings().is_empty()
            {
                // No artifact, but the list says what its runtime needs.
                runtime::write_packages(path, error.findings())?;
            }
            for artifact in built? {
                report.artifact(&artifact)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a format that a command does not print.
fn check_format(cli: &Cli) -> Result<(), Wrong> {
    let (name, format, can) = match &cli.command {
        Some(Command::Plan(_)) => return Ok(()),
        Some(Command::Lock(lock)) => (
            "lock",
            lock.common.messages.format,
            "text, json or requirements",
        ),
        Some(Command::Verify(verify)) => ("verify", verify.messages.format, "text or json"),
        Some(Command::Runtime(look)) => ("runtime", look.messages.format, "text or json"),
        Some(Command::Cache(cache)) => ("cache", cache.messages.format, "text or json"),
        None => ("a build", cli.build.common.messages.format, "text or json"),
    };
    let is_printed = match format {
        Format::Text | Format::Json => true,
        Format::Requirements => name == "lock",
        Format::Pylock => false,
    };
    if is_printed {
        return Ok(());
    }
    Err(Wrong(format!(
        "{name} prints {can}; `prebuild plan` prints the other formats"
    )))
}

pub(crate) fn warn(report: &Report, settings: &Settings) {
    for warning in &settings.warnings {
        report.warning(warning);
    }
}

/// Ctrl-C and its like throw the switch; which it was decides the exit code.
fn watch_signals(cancel: &Cancel) -> io::Result<Arc<AtomicUsize>> {
    let which = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal).unwrap_or(0);
        signal_hook::flag::register_usize(signal, Arc::clone(&which), number)?;
        signal_hook::flag::register(signal, cancel.flag())?;
    }
    // With a handler, a file beyond the limit on sizes is an error of the call that writes it.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    Ok(which)
}
