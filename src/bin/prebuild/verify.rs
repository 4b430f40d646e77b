//! `prebuild verify …`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use prebuild::cache::Cache;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};
use prebuild::pack::Output;
use prebuild::verify::{ARGUMENT, Claim, Kind, Limits, enter, verify};

use crate::args::VerifyArgs;
use crate::environment::{Environment, Wrong};
use crate::report::Report;
use crate::settings;

/// This program, as a process starts it again: it may have been replaced meanwhile, or have no path.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Does the work of a sandbox's process if this is one; it has no arguments of a user's.
pub(crate) fn helper() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (first, rest) = arguments.split_first()?;
    (first == ARGUMENT).then(|| {
        enter(rest, io::stdin().lock(), io::stdout().lock());
        ExitCode::SUCCESS
    })
}

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
        allow,
        timeout,
        memory,
        jobs,
        unsafe_no_sandbox,
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
        limits: Limits {
            seconds: timeout.clamp(1, 86400),
            memory: memory.as_u64(),
        },
        jobs: jobs.clamp(1, 256),
        scratch: environment.scratch(),
        programs: environment
            .variables()
            .get("PATH")
            .cloned()
            .unwrap_or_default(),
        helper: PathBuf::from(THIS_PROGRAM),
        no_sandbox: unsafe_no_sandbox,
        allowed: allow,
    };
    if unsafe_no_sandbox {
        warnings.push("the artifact's code runs without a sandbox: --unsafe-no-sandbox".to_owned());
    }
    let place = settings::cache_place(cache, environment, &mut warnings);
    let builder = crate::builder::runner(builder, environment, cancel)?;
    for warning in &warnings {
        report.warning(warning);
    }
    let observe = |event: &Event<'_>| report.event(event);
    let cache = Cache::open(&place, &observe, cancel).map_err(Error::from)?;
    let verified = verify(&claim, builder.as_ref(), &cache, &observe, cancel);
    let verified = verified.map_err(Error::from)?;
    for allowed in &claim.allowed {
        let is_used = verified
            .findings
            .iter()
            .any(|finding| finding.is_named(allowed))
            || verified
                .allowed
                .iter()
                .any(|failed| failed.is_named(allowed));
        if !is_used && !Kind::ALL.iter().any(|kind| kind.name() == allowed) {
            report.warning(&format!("--allow {allowed}: nothing of that name failed"));
        }
    }
    Ok(report.proved(&verified)?)
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
