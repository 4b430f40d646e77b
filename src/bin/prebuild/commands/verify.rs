//! `prebuild verify …`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use prebuild::audit::Severity;
use prebuild::cache::Cache;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event, counted};
use prebuild::pack::Output;
use prebuild::verify::{
    ARGUMENT, Claim, Counts, Failed, Kind, Limits, Verification, enter, verify,
};

use crate::args::{Format, VerifyArgs};
use crate::environment::{Environment, Wrong};
use crate::places;
use crate::printer::{HINT, Printer, UNFIT, plain, print_json, print_lines, remedy};

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
    printer: &Printer,
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
        // The printer's.
        messages: _,
    } = args;
    let given = [
        ("--platform", !builder.platform.is_empty()),
        ("--env", !builder.env.is_empty()),
        ("--ca-cert", builder.ca_cert.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        bail!(Wrong(format!("verify does not support {option}")));
    }
    let engine = builder.builder;
    let mut warnings = Vec::new();
    let claim = Claim {
        artifact: output(&artifact, environment)?,
        runtime: places::runtime(&runtime, runtime_python, engine, environment, cancel)?,
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
    let place = places::cache(cache, environment, &mut warnings);
    let builder = crate::builder::runner(builder, environment, cancel)?;
    printer.warnings(&warnings);
    let observe = |event: &Event<'_>| printer.event(event);
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
            printer.warning(&format!("--allow {allowed}: nothing of that name failed"));
        }
    }
    Ok(print(printer, &verified)?)
}

/// The artifact that is named: a folder needs no slash to be one.
fn output(path: &Path, environment: &Environment) -> anyhow::Result<Output> {
    let path = environment.path(path);
    let Some(kind) = prebuild::fs::kind(&path) else {
        bail!(Wrong(format!("no artifact found at {}", path.display())));
    };
    let mut name = path.display().to_string();
    if kind == prebuild::fs::Kind::Folder && !name.ends_with('/') {
        name.push('/');
    }
    Ok(name
        .parse()
        .map_err(|error: prebuild::pack::ParseOutputError| Wrong(error.to_string()))?)
}

/// Prints failures to standard error and the summary to standard output. Returns the exit code.
fn print(printer: &Printer, proof: &Verification) -> io::Result<ExitCode> {
    printer.finish();
    if let Some(why) = &proof.not_compared {
        printer.warning(&format!("not compared with the builder: {why}"));
    }
    printer.stage("place", &proof.place);
    if let Some(place) = &proof.compared_in {
        printer.stage("compared", &format!("with the builder, in {place}"));
    }
    for finding in &proof.findings {
        let said = plain(&finding.to_string());
        match finding.severity {
            Severity::Error => printer.say(&format!("{}: {said}", finding.problem.kind())),
            Severity::Warning => printer.warning(&said),
            Severity::Note => {}
        }
    }
    let groups = [
        ("broken", &proof.broken),
        ("unverified", &proof.unverified),
        ("optional", &proof.optional),
        ("allowed", &proof.allowed),
    ];
    for (group, failures) in groups {
        let counts = matches!(group, "broken" | "unverified");
        if counts || (!printer.quiet && group == "allowed") || printer.verbose {
            for failed in failures {
                print_failed(printer, group, failed);
            }
        }
    }
    if let Some(line) = &proof.remedy
        && !proof.holds()
    {
        printer.say(&remedy(line));
    }
    let code = if proof.holds() {
        ExitCode::SUCCESS
    } else {
        printer.say(&format!(
            "{HINT}hint{HINT:#}: to ignore a failure, pass `--allow KIND:NAME`, such as \
             `--allow module:tests`"
        ));
        ExitCode::from(UNFIT)
    };
    match printer.format {
        Format::Json => print_json(proof)?,
        _ => print_lines([summary(proof)])?,
    }
    Ok(code)
}

fn print_failed(printer: &Printer, group: &str, failed: &Failed) {
    let Failed {
        distribution,
        kind,
        name,
        target: _,
        error,
        details,
    } = failed;
    let line = format!("{group}: {distribution}: {} {name}: {error}", kind.name());
    printer.say(&plain(&line));
    if printer.verbose {
        for line in details.lines() {
            let line: String = line.chars().take(500).collect();
            printer.say(&format!("  | {}", plain(&line)));
        }
    }
}

/// The numbers of checks and of failures, on one line.
fn summary(proof: &Verification) -> String {
    let Counts {
        modules,
        extensions,
        scripts,
        entry_points,
    } = proof.checked;
    let errors = proof.findings.iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    let mut line = format!(
        "{}, {}, {} and {} in {}: {}, {} broken, {} unverified, {} optional",
        counted(modules, "module"),
        counted(extensions, "extension module"),
        counted(scripts, "script"),
        counted(entry_points, "entry point"),
        plain(&proof.runtime),
        counted(errors.count(), "audit error"),
        proof.broken.len(),
        proof.unverified.len(),
        proof.optional.len(),
    );
    if !proof.allowed.is_empty() {
        line.push_str(&format!(", {} allowed", proof.allowed.len()));
    }
    line
}
