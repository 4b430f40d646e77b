//! `prebuild lock`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event, counted};
use prebuild::lock::{self, Known, Lock, Replace, Upgrade};
use prebuild::pipeline::{self, LockUse};
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
    let beside = match &settings.request.lock {
        LockUse::Input { path, .. } => {
            bail!(Wrong(format!("{} is already a lock file", path.display())))
        }
        LockUse::Beside { path, .. } => Some(path.clone()),
        LockUse::Never => None,
    };
    let prints = format == Format::Requirements;
    let is_named = output.is_some();
    let path = output.or(beside);
    let runner = settings.runner.as_ref();
    let observe = |event: &Event<'_>| printer.event(event);
    if let LockUse::Beside { required: true, .. } = &settings.request.lock {
        let Some(path) = path else { bail!(no_place()) };
        // Only looked at.
        for mut request in settings.requests() {
            request.lock = LockUse::Beside {
                path: path.clone(),
                required: true,
            };
            let (plan, _) = pipeline::plan(&request, runner, &observe, cancel)?;
            print(printer, &path, plan.distributions.len(), false)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let cwd = settings.request.cwd.clone();
    let upgrade = match (upgrade, upgrade_package.as_slice()) {
        (true, _) => Upgrade::All,
        (false, []) => Upgrade::None,
        (false, names) => Upgrade::Only(names.iter().map(|name| Name::new(name)).collect()),
    };
    let known = match &path {
        Some(path) => known(&cwd, path, &upgrade)?,
        None => None,
    };
    let replace = match upgrade {
        _ if prints => Replace::Nothing,
        Upgrade::All => Replace::Any,
        Upgrade::None | Upgrade::Only(_) if is_named => Replace::Any,
        Upgrade::None | Upgrade::Only(_) => Replace::Same,
    };
    let known = known.as_ref().map(|lock| Known {
        lock,
        upgrade: &upgrade,
        replace,
    });
    for request in settings.requests() {
        let (plan, recorded) = pipeline::lock(&request, known, runner, &observe, cancel)?;
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

/// The lock file that there is. One that cannot be read is only ever replaced by `--upgrade`: it may be no
/// lock file, or one with the marks of a merge in it.
fn known(cwd: &Path, path: &Path, upgrade: &Upgrade) -> anyhow::Result<Option<Lock>> {
    let whole = cwd.join(path);
    if prebuild::fs::kind(&whole).is_none() {
        return Ok(None);
    }
    let file = prebuild::fs::open_for_reading(&whole).map_err(Error::from)?;
    if file.metadata().is_ok_and(|file| file.len() == 0) {
        return Ok(None);
    }
    match Lock::read(path, cwd) {
        Ok(lock) => Ok(Some(lock)),
        Err(_) if *upgrade == Upgrade::All => Ok(None),
        Err(error) => Err(Error::from(error).into()),
    }
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
