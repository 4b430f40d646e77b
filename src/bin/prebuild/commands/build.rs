//! `prebuild REQUIREMENTS…`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use indicatif::HumanBytes;
use prebuild::artifact::Artifact;
use prebuild::audit::Finding;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event, counted};
use prebuild::pipeline::{build_all, packages_text};

use crate::args::{Build, Format};
use crate::environment::Environment;
use crate::printer::{Printer, print_json, print_lines};
use crate::settings::Settings;

/// Builds the artifacts.
pub(crate) fn run(
    args: Build,
    environment: &Environment,
    printer: &Printer,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    let packages = args.write_packages.clone();
    let settings = Settings::build(args, environment, cancel)?;
    printer.warnings(&settings.warnings);
    let observe = |event: &Event<'_>| printer.event(event);
    let (requests, runner) = (settings.requests(), settings.runner.as_ref());
    let built = build_all(&requests, packages.as_deref(), runner, &observe, cancel);
    if let (Some(path), Err(error)) = (&packages, &built)
        && !error.findings().is_empty()
    {
        // No artifact, but the list says what its runtime needs.
        write_packages(path, error.findings())?;
    }
    for artifact in built? {
        print(printer, &artifact)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the packages that a runtime lacks, one a line.
fn write_packages(path: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    let text = packages_text(findings);
    prebuild::fs::write_whole(path, text.as_bytes()).map_err(Error::from)?;
    Ok(())
}

/// Prints the summary of a build to standard error, and the outputs to standard output.
fn print(printer: &Printer, artifact: &Artifact) -> io::Result<()> {
    printer.finish();
    if printer.verbose {
        for piece in &artifact.distributions {
            printer.stage("with", &piece.distribution.to_string());
        }
    }
    for one in &artifact.bundled {
        let package = one.package.as_deref().unwrap_or("an unknown package");
        let licence = one.licence.as_ref().map(|path| format!(", licence {path}"));
        let licence = licence.unwrap_or_default();
        printer.stage("bundle", &format!("{} of {package}{licence}", one.library));
    }
    let outputs: Vec<_> = artifact
        .outputs
        .iter()
        .map(|output| format!("{} {}", output.path.display(), HumanBytes(output.size)))
        .collect();
    let times: Vec<_> = artifact
        .seconds
        .iter()
        .map(|(stage, seconds)| format!("{stage} {seconds:.1} s"))
        .collect();
    let native = match artifact.native {
        0 => "no native code".to_owned(),
        native => format!("{native} of them native"),
    };
    printer.stage(
        "done",
        &format!(
            "{}, {}, {native}, {} in, {} out",
            counted(artifact.distributions.len(), "distribution"),
            counted(artifact.files, "file"),
            HumanBytes(artifact.size),
            outputs.join(", "),
        ),
    );
    printer.stage("times", &times.join(", "));
    if !["/usr/local", "/usr"].contains(&artifact.layout.dest.as_str()) {
        let dest = &artifact.layout.dest;
        printer.stage("use", &format!("ENV PATH={dest}/bin:$PATH"));
    }
    if printer.format == Format::Json {
        return print_json(artifact);
    }
    print_lines(artifact.outputs.iter().map(|output| {
        let path = output.path.display();
        match &output.digest {
            Some(digest) => format!("{path}  {digest}"),
            None => path.to_string(),
        }
    }))
}
