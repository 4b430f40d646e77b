//! One module for each command: what it does, and how it prints the result.

use std::process::ExitCode;

use prebuild::event::Cancel;

use crate::args::{Cli, Command, Format};
use crate::environment::{Environment, Wrong};
use crate::printer::Printer;

mod build;
mod cache;
mod lock;
mod plan;
mod runtime;
pub(crate) mod verify;

/// Runs the command.
pub(crate) fn run(cli: Cli, printer: &Printer, cancel: &Cancel) -> anyhow::Result<ExitCode> {
    let environment = &Environment::of_this_process()?;
    check_format(&cli)?;
    match cli.command {
        None => build::run(cli.build, environment, printer, cancel),
        Some(Command::Plan(args)) => plan::run(*args, environment, printer, cancel),
        Some(Command::Lock(args)) => lock::run(*args, environment, printer, cancel),
        Some(Command::Verify(args)) => verify::run(*args, environment, printer, cancel),
        Some(Command::Runtime(args)) => runtime::run(*args, environment, printer, cancel),
        Some(Command::Cache(args)) => cache::run(args, environment, printer, cancel),
    }
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
