//! `prebuild runtime`.

use std::io;
use std::process::ExitCode;

use prebuild::cache::Cache;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};
use prebuild::runtime::Runtime;

use crate::args::{Format, Look};
use crate::environment::Environment;
use crate::places;
use crate::printer::{Printer, plain, print_json, print_lines};

pub(crate) fn run(
    args: Look,
    environment: &Environment,
    printer: &Printer,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    let Look {
        runtime,
        runtime_python,
        engine,
        cache,
        // The printer's.
        messages: _,
    } = args;
    let wanted = places::runtime(
        &runtime,
        runtime_python,
        engine.builder,
        environment,
        cancel,
    )?;
    let mut warnings = Vec::new();
    let place = places::cache(cache, environment, &mut warnings);
    printer.warnings(&warnings);
    let observe = |event: &Event<'_>| printer.event(event);
    let cache = Cache::open(&place, &observe, cancel).map_err(Error::from)?;
    let runtime = wanted.look(&cache, cancel).map_err(Error::from)?;
    print(printer, &runtime)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the facts about a runtime.
fn print(printer: &Printer, runtime: &Runtime) -> io::Result<()> {
    printer.finish();
    let facts = &runtime.facts;
    if printer.format == Format::Json {
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
            ", used"
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
