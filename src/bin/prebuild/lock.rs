//! `prebuild lock`.

use anyhow::bail;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};
use prebuild::lock::{self, Lock};
use prebuild::pipeline::{self, LockUse};
use prebuild::requirements::Name;

use crate::args::{Format, LockArgs};
use crate::environment::{Environment, Wrong};
use crate::report::Report;
use crate::settings::Settings;

/// Locks the requirements.
pub(crate) fn run(
    args: LockArgs,
    environment: &Environment,
    report: &Report,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let LockArgs {
        common,
        output,
        upgrade,
        upgrade_package,
    } = args;
    let format = common.messages.format;
    let settings = Settings::common(common, environment, cancel)?;
    crate::warn(report, &settings);
    if settings.targets.len() > 1 {
        bail!(Wrong("a lock file is for one platform".to_owned()));
    }
    let beside = match &settings.request.lock {
        LockUse::Input { path, .. } => {
            bail!(Wrong(format!("{} is a lock file already", path.display())))
        }
        LockUse::Beside { path, .. } => Some(path.clone()),
        LockUse::Never => None,
    };
    let prints = format == Format::Requirements;
    let Some(path) = output.or(beside) else {
        bail!(Wrong(
            "requirements on standard input have no place for a lock file: name it with -o"
                .to_owned()
        ));
    };
    let runner = settings.runner.as_ref();
    let observe = |event: &Event<'_>| report.event(event);
    if let LockUse::Beside { required: true, .. } = &settings.request.lock {
        // Only looked at.
        for request in settings.requests() {
            let (plan, _) = pipeline::plan(&request, runner, &observe, cancel)?;
            report.locked(&path, plan.distributions.len(), false)?;
        }
        return Ok(());
    }
    let cwd = settings.request.cwd.clone();
    let whole = cwd.join(&path);
    let known = Lock::read(&path, &cwd).ok();
    let renewed: Vec<Name> = upgrade_package.iter().map(|name| Name::new(name)).collect();
    let preferred = known.as_ref().filter(|_| !upgrade);
    let preferred = preferred
        .map(|lock| lock.pins(&renewed))
        .unwrap_or_default();
    for request in settings.requests() {
        let (plan, recorded) = pipeline::lock(&request, &preferred, runner, &observe, cancel)?;
        if prints {
            report.text(&lock::requirements(&plan))?;
            continue;
        }
        let folder = whole.parent().unwrap_or(&cwd);
        let text = lock::text(&plan, &recorded, folder).map_err(Error::Unhashed)?;
        let is_new = lock::write(&whole, &text).map_err(Error::from)?;
        report.locked(&path, plan.distributions.len(), is_new)?;
    }
    Ok(())
}
