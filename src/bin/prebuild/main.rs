//! `prebuild`, the command: a thin client of the library.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{CommandFactory as _, Parser as _};
use prebuild::event::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

mod args;
mod builder;
mod commands;
mod environment;
mod limits;
mod places;
mod printer;
mod settings;
mod terminal;

use args::{Cli, Command};
use printer::Printer;

fn main() -> ExitCode {
    if let Some(code) = commands::verify::helper() {
        return code;
    }
    let cli = parse();
    let messages = match &cli.command {
        Some(Command::Plan(common)) => &common.messages,
        Some(Command::Lock(lock)) => &lock.common.messages,
        Some(Command::Verify(verify)) => &verify.messages,
        Some(Command::Runtime(look)) => &look.messages,
        Some(Command::Cache(cache)) => &cache.messages,
        None => &cli.build.common.messages,
    };
    let printer = Printer::new(messages);
    let cancel = Cancel::new();
    let signal = match watch_signals(&cancel) {
        Ok(signal) => signal,
        Err(error) => return printer.failure(&error.into()),
    };
    match limits::check().and_then(|()| commands::run(cli, &printer, &cancel)) {
        Ok(code) => code,
        Err(error) => match signal.load(Ordering::SeqCst) {
            0 => match error.downcast_ref::<io::Error>() {
                // Whoever read the result has seen enough.
                Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
                _ => printer.failure(&error),
            },
            signal => printer.interrupted(signal),
        },
    }
}

/// Parses the arguments of this process. Options may also stand before the subcommand, as cargo and git have it:
/// `prebuild -q plan requirements.txt`.
fn parse() -> Cli {
    let given: Vec<OsString> = std::env::args_os().collect();
    let begins = given
        .get(1)
        .map_or(&[][..], |first| first.as_encoded_bytes());
    if !begins.starts_with(b"-") {
        return Cli::parse_from(given);
    }
    let parsed = Cli::try_parse_from(&given);
    let commands = Cli::command();
    let place = given
        .iter()
        .skip(2)
        .position(|one| commands.find_subcommand(one).is_some());
    if let Some(place) = place {
        let name = &given[place + 2];
        let is_meant = match &parsed {
            Ok(cli) => {
                let first = cli.build.common.requirements.first();
                cli.command.is_none()
                    && first.is_some_and(|first| first == name)
                    && prebuild::fs::kind(Path::new(name)).is_none()
            }
            Err(_) => true,
        };
        if is_meant {
            let mut ordered = given.clone();
            ordered[1..=place + 2].rotate_right(1);
            return match (Cli::try_parse_from(ordered), parsed) {
                (Ok(cli), _) => cli,
                // Of two errors, the one about the arguments as they were given, but for help that was asked for.
                (Err(error), Err(_)) if error.exit_code() == 0 => error.exit(),
                (Err(_), Err(error)) | (Err(error), Ok(_)) => error.exit(),
            };
        }
    }
    parsed.unwrap_or_else(|error| error.exit())
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
