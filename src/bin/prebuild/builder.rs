//! The builder and the target, from the arguments and the environment.

use std::path::{Path, PathBuf};

use anyhow::bail;
use prebuild::event::Cancel;
use prebuild::runner::{Container, Engine, Local, Runner, engine_variables};
use prebuild::target::{Named, Platform, PythonVersion, Target};

use crate::args::{Builder, BuilderArgs};
use crate::environment::{Environment, Unusable, Wrong};

/// The targets that are named, each with what its outputs are called after.
pub(crate) fn targets(builder: &BuilderArgs) -> anyhow::Result<Vec<(Platform, Named)>> {
    let Some(python) = builder
        .python
        .as_ref()
        .filter(|_| !builder.platform.is_empty())
    else {
        return Ok(Vec::new());
    };
    let python: PythonVersion = python
        .parse()
        .map_err(|error| Wrong(format!("--python {python} with --platform: {error}")))?;
    let platforms = builder.platform.iter();
    Ok(platforms
        .map(|platform| (*platform, Target::named(&python, platform)))
        .collect())
}

/// The builder that was asked for.
pub(crate) fn runner(
    args: BuilderArgs,
    environment: &Environment,
    cancel: &Cancel,
) -> anyhow::Result<Box<dyn Runner>> {
    let BuilderArgs {
        builder,
        image,
        python,
        // Put into the request.
        env: _,
        ca_cert: _,
        platform,
        network,
        engine_arg,
    } = args;
    let engine = match (builder, &image) {
        // Nothing is run for a target that no builder is.
        _ if !platform.is_empty() => None,
        (Builder::Local, Some(_)) => {
            bail!(Wrong("--builder local does not support --image".to_owned()))
        }
        (Builder::Docker | Builder::Podman, None) => {
            bail!(Wrong(
                "a container needs an image: pass --image, such as --image python:3.11".to_owned()
            ))
        }
        (Builder::Local | Builder::Auto, None) => None,
        (Builder::Docker, Some(_)) => Some(Engine::Docker),
        (Builder::Podman, Some(_)) => Some(Engine::Podman),
        (Builder::Auto, Some(image)) => {
            let wanted = format!("--image {image}");
            Some(answering(&wanted, environment, cancel)?)
        }
    };
    if engine.is_none() {
        let given = [
            ("--network", network.is_some()),
            ("--engine-arg", !engine_arg.is_empty()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            bail!(Wrong(format!("{option} needs a container: pass --image")));
        }
    }
    let program = |python: Option<String>| match python {
        None => "python3".to_owned(),
        Some(version) if is_version(&version) => format!("python{version}"),
        Some(path) => path,
    };
    if let (Some(engine), Some(image)) = (engine, image) {
        return Ok(Box::new(Container {
            engine,
            image,
            python: program(python),
            network,
            engine_args: engine_arg,
            env: engine_variables(environment.variables()),
            scratch: environment.scratch(),
            process: process(),
        }));
    }
    let python = match python {
        Some(version) if is_version(&version) => {
            pyenv(environment, &version).unwrap_or_else(|| program(Some(version)))
        }
        python => program(python),
    };
    let (scratch, env) = (environment.scratch(), environment.variables().clone());
    Ok(Box::new(Local::new(python, scratch, env)))
}

/// The engine that answers, Docker before Podman. `wanted` is the option that needs one.
pub(crate) fn answering(
    wanted: &str,
    environment: &Environment,
    cancel: &Cancel,
) -> anyhow::Result<Engine> {
    let env = engine_variables(environment.variables());
    let mut reasons = Vec::new();
    for engine in [Engine::Docker, Engine::Podman] {
        match engine.ping(&env, cancel) {
            Ok(()) => return Ok(engine),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    bail!(Unusable {
        what: format!(
            "{wanted} needs a container engine, and no engine answers: {}",
            reasons.join("; ")
        ),
        hint:
            "check `docker version` or `podman version`; without an image, prebuild needs no engine"
                .to_owned(),
    })
}

/// Refuses options of the builder where there is none: what is built for a named platform is put
/// together from wheels, and nothing is run.
pub(crate) fn check_platform(args: &BuilderArgs, has_runtime: bool) -> Result<(), Wrong> {
    if args.platform.is_empty() {
        return Ok(());
    }
    let is_engine = matches!(args.builder, Builder::Docker | Builder::Podman);
    let given = [
        ("--image", args.image.is_some()),
        ("--env", !args.env.is_empty()),
        ("--network", args.network.is_some()),
        ("--engine-arg", !args.engine_arg.is_empty()),
        (
            "--builder",
            args.builder == Builder::Local || is_engine && !has_runtime,
        ),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Wrong(format!(
            "{option} is for a builder, and --platform uses none: remove one of the two"
        ))),
        None => Ok(()),
    }
}

fn is_version(text: &str) -> bool {
    text.split('.').count() == 2
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
}

/// pyenv's interpreter of a version, where the one on the `PATH` is a shim of pyenv's: a shim starts
/// only the versions that are switched on.
fn pyenv(environment: &Environment, version: &str) -> Option<String> {
    let search = environment.get("PATH")?;
    let program = format!("python{version}");
    let folder = search
        .split(':')
        .map(Path::new)
        .find(|folder| folder.join(&program).is_file())?;
    if !folder.ends_with("shims") {
        return None;
    }
    let installed = folder.parent()?.join("versions");
    let mut found: Vec<(u32, PathBuf)> = prebuild::fs::names(&installed)
        .ok()?
        .into_iter()
        .filter_map(|name| {
            let release = name.strip_prefix(&format!("{version}."))?.parse().ok()?;
            Some((release, installed.join(&name).join("bin").join(&program)))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort();
    found.pop()?.1.to_str().map(str::to_owned)
}

/// What stands for this process among all that use an engine.
pub(crate) fn process() -> String {
    format!("{}:{}", host(), std::process::id())
}

/// This machine's name, which parts its containers from those of others on one engine.
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .replace([':', ' '], "-")
}
