//! `prebuild runtime …`, and what builds say of the runtime's packages.

use std::path::Path;

use anyhow::bail;
use prebuild::audit::Finding;
use prebuild::cache::Cache;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};
use prebuild::pipeline::packages_text;
use prebuild::runner::{Engine, Image, engine_variables};
use prebuild::runtime::{Source, Wanted};

use crate::args::{Builder, Look};
use crate::environment::{Environment, Wrong};
use crate::report::Report;
use crate::settings;

pub(crate) fn run(
    args: Look,
    environment: &Environment,
    report: &Report,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let Look {
        runtime,
        runtime_python,
        engine,
        cache,
        // The report's.
        messages: _,
    } = args;
    let wanted = wanted(
        &runtime,
        runtime_python,
        engine.builder,
        environment,
        cancel,
    )?;
    let mut warnings = Vec::new();
    let place = settings::cache_place(cache, environment, &mut warnings);
    for warning in &warnings {
        report.warning(warning);
    }
    let observe = |event: &Event<'_>| report.event(event);
    let cache = Cache::open(&place, &observe, cancel).map_err(Error::from)?;
    let runtime = wanted.look(&cache, cancel).map_err(Error::from)?;
    report.runtime(&runtime)?;
    Ok(())
}

/// What a runtime's name stands for: a file of facts, an interpreter, a folder, or else an image.
pub(crate) fn wanted(
    name: &str,
    python: Option<String>,
    builder: Builder,
    environment: &Environment,
    cancel: &Cancel,
) -> anyhow::Result<Wanted> {
    let path = environment.path(Path::new(name));
    let is_path = name.starts_with(['/', '.', '~']);
    let source = match prebuild::fs::kind(&path) {
        Some(prebuild::fs::Kind::Folder) => Source::Root(path),
        Some(prebuild::fs::Kind::File) if name.ends_with(".json") => Source::Json(path),
        Some(prebuild::fs::Kind::File) => Source::Interpreter(path),
        None if is_path => bail!(Wrong(format!(
            "--runtime {name}: there is no such file or folder"
        ))),
        None => Source::Image(image(name, builder, environment, cancel)?),
    };
    if let (Source::Interpreter(_), Some(python)) = (&source, &python) {
        bail!(Wrong(format!(
            "--runtime-python {python}: the runtime is the interpreter {name} already"
        )));
    }
    Ok(Wanted { source, python })
}

fn image(
    name: &str,
    builder: Builder,
    environment: &Environment,
    cancel: &Cancel,
) -> anyhow::Result<Image> {
    let env = engine_variables(environment.variables());
    let engine = match builder {
        Builder::Docker => Engine::Docker,
        Builder::Podman => Engine::Podman,
        Builder::Auto | Builder::Local => {
            let wanted = format!("the runtime image {name}");
            crate::builder::answering(&wanted, environment, cancel)?
        }
    };
    Ok(Image {
        engine,
        name: name.to_owned(),
        env,
        scratch: environment.scratch(),
        process: crate::builder::process(),
    })
}

/// Writes the packages that a runtime lacks, one a line.
pub(crate) fn write_packages(path: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    let text = packages_text(findings);
    prebuild::fs::write_whole(path, text.as_bytes()).map_err(Error::from)?;
    Ok(())
}
