//! `prebuild verify …`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use prebuild::cache::Cache;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};
use prebuild::pack::Output;
use prebuild::verify::{Claim, verify};

use crate::args::VerifyArgs;
use crate::environment::{Environment, Wrong};
use crate::report::Report;
use crate::settings;

pub(crate) fn run(
    args: VerifyArgs,
    environment: &Environment,
    report: &Report,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    let VerifyArgs {
        artifact,
        runtime,
        runtime_python,
        dest,
        timeout,
        jobs,
        builder,
        cache,
        // The report's.
        messages: _,
    } = args;
    let given = [
        ("--platform", !builder.platform.is_empty()),
        ("--env", !builder.env.is_empty()),
        ("--ca-cert", builder.ca_cert.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        bail!(Wrong(format!("verify has no use for {option}")));
    }
    let engine = builder.builder;
    let mut warnings = Vec::new();
    let claim = Claim {
        artifact: output(&artifact, environment)?,
        runtime: crate::runtime::wanted(&runtime, runtime_python, engine, environment, cancel)?,
        dest,
        seconds: timeout.max(1),
        jobs: jobs.clamp(1, 256),
        scratch: environment.scratch(),
        programs: environment
            .variables()
            .get("PATH")
            .cloned()
            .unwrap_or_default(),
    };
    let place = settings::cache_place(cache, environment, &mut warnings);
    let builder = crate::builder::runner(builder, environment, cancel)?;
    for warning in &warnings {
        report.warning(warning);
    }
    let observe = |event: &Event<'_>| report.event(event);
    let cache = Cache::open(&place, &observe, cancel).map_err(Error::from)?;
    let verified = verify(&claim, builder.as_ref(), &cache, &observe, cancel);
    Ok(report.proved(&verified.map_err(Error::from)?)?)
}

/// The artifact that is named: a folder needs no slash to be one.
fn output(path: &Path, environment: &Environment) -> anyhow::Result<Output> {
    let path = environment.path(path);
    let Some(kind) = prebuild::fs::kind(&path) else {
        bail!(Wrong(format!("there is no artifact {}", path.display())));
    };
    let mut name = path.display().to_string();
    if kind == prebuild::fs::Kind::Folder && !name.ends_with('/') {
        name.push('/');
    }
    Ok(name
        .parse()
        .map_err(|error: prebuild::pack::ParseOutputError| Wrong(error.to_string()))?)
}
