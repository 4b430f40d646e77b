//! `prebuild lock`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event, counted};
use prebuild::lock::{self, Replace, Rewrite, Upgrade};
use prebuild::pipeline::{self, LockUse, Trust};
use prebuild::requirements::Name;

use crate::args::{Format, LockArgs};
use crate::environment::{Environment, Wrong};
use crate::printer::{Printer, print_json, print_lines};
use crate::settings::Settings;

/// Locks the requirements.
pub(crate) fn run(
    args: LockArgs,
    environment: &Environment,
    printer: &Printer,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    let LockArgs {
        common,
        output,
        upgrade,
        upgrade_package,
    } = args;
    let format = common.messages.format;
    if format == Format::Requirements && output.is_some() {
        bail!(Wrong(
            "--format requirements prints to standard output: use `> FILE` instead of `-o`"
                .to_owned()
        ));
    }
    if common.locked && (upgrade || !upgrade_package.is_empty()) {
        bail!(Wrong(
            "--locked only checks the lock file, and --upgrade changes it: remove one of the two"
                .to_owned()
        ));
    }
    let settings = Settings::common(common, environment, cancel)?;
    printer.warnings(&settings.warnings);
    if settings.targets.len() > 1 {
        bail!(Wrong(
            "a lock file is for one platform: pass --platform once".to_owned()
        ));
    }
    let beside = match &settings.request.what.lock {
        Some(LockUse { file, trust }) if *trust == Trust::Alone => {
            bail!(Wrong(format!("{} is already a lock file", file.display())))
        }
        lock => lock.clone(),
    };
    let prints = format == Format::Requirements;
    let is_named = output.is_some();
    let is_required = beside.as_ref().map(|lock| lock.trust) == Some(Trust::Required);
    let path = output.or(beside.map(|lock| lock.file));
    let runner = settings.runner.as_ref();
    let observe = |event: &Event<'_>| printer.event(event);
    if is_required {
        let Some(path) = path else { bail!(no_place()) };
        return check(&settings, &path, printer, cancel);
    }
    let cwd = settings.request.what.cwd.clone();
    let upgrade = match (upgrade, upgrade_package.as_slice()) {
        (true, _) => Upgrade::All,
        (false, []) => Upgrade::None,
        (false, names) => Upgrade::Only(names.iter().map(|name| Name::new(name)).collect()),
    };
    let replace = match upgrade {
        _ if prints => Replace::Nothing,
        Upgrade::All => Replace::Any,
        Upgrade::None | Upgrade::Only(_) if is_named => Replace::Any,
        Upgrade::None | Upgrade::Only(_) => Replace::Same,
    };
    let rewrite = path.clone().map(|file| Rewrite {
        file,
        upgrade,
        replace,
    });
    for request in settings.requests() {
        let (plan, recorded) = pipeline::lock(
            &request.what,
            &request.destination,
            &request.how,
            rewrite.as_ref(),
            runner,
            &observe,
            cancel,
        )?;
        if prints {
            printer.text(&lock::requirements(&plan))?;
            continue;
        }
        let Some(path) = &path else { bail!(no_place()) };
        let whole = cwd.join(path);
        let folder = whole.parent().unwrap_or(&cwd);
        let text = lock::text(&plan, &recorded, folder).map_err(Error::Unhashed)?;
        let is_new = lock::write(&whole, &text).map_err(Error::from)?;
        print(printer, path, plan.distributions.len(), is_new)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks that the lock file is up to date; changes nothing.
fn check(
    settings: &Settings,
    path: &Path,
    printer: &Printer,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    let observe = |event: &Event<'_>| printer.event(event);
    for mut request in settings.requests() {
        request.what.lock = Some(LockUse {
            file: path.to_path_buf(),
            trust: Trust::Required,
        });
        let (plan, _) = pipeline::plan(
            &request.what,
            &request.destination,
            &request.how,
            settings.runner.as_ref(),
            &observe,
            cancel,
        )?;
        print(printer, path, plan.distributions.len(), false)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn no_place() -> Wrong {
    Wrong("requirements on standard input have no default lock file: name it with -o".to_owned())
}

/// Prints the path of the lock file.
fn print(printer: &Printer, path: &Path, count: usize, is_new: bool) -> io::Result<()> {
    printer.finish();
    let news = if is_new { "written" } else { "unchanged" };
    printer.stage(
        "locked",
        &format!("{}, {news}", counted(count, "distribution")),
    );
    match printer.format {
        Format::Json => print_json(&serde_json::json!({ "version": 1, "lock": path })),
        _ => print_lines([path.display().to_string()]),
    }
}
