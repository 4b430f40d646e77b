//! The cache directory and the runtime, from their names.

use std::path::{Path, PathBuf};

use anyhow::bail;
use prebuild::cache::Place;
use prebuild::event::Cancel;
use prebuild::runner::{Engine, Image, engine_variables};
use prebuild::runtime::{Source, Wanted};

use crate::args::{Builder, CacheArgs};
use crate::environment::{Environment, Wrong};

/// Where a build keeps what others can use.
pub(crate) fn cache(
    args: CacheArgs,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Place {
    let CacheArgs { folder, off } = args;
    let scratch = environment.scratch();
    if off {
        return Place::temporary(scratch);
    }
    if let Some(folder) = cache_directory(folder, environment) {
        return Place::kept(folder, scratch);
    }
    let why =
        "HOME is not set, so nothing is cached: name a cache with --cache-dir, or pass --no-cache";
    warnings.push(why.to_owned());
    Place::temporary(scratch)
}

/// The cache that is named, or else this user's.
///
/// <https://specifications.freedesktop.org/basedir-spec/latest/>
pub(crate) fn cache_directory(
    given: Option<PathBuf>,
    environment: &Environment,
) -> Option<PathBuf> {
    let named = environment.get("PREBUILD_CACHE_DIR").map(PathBuf::from);
    if let Some(folder) = given.or(named) {
        return Some(environment.path(&folder));
    }
    // One that is relative is to be ignored, says the specification.
    let absolute = |name| {
        let folder = environment.get(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("prebuild"))
}

/// What a runtime's name stands for: a file of facts, an interpreter, a folder, or else an image.
pub(crate) fn runtime(
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
            "--runtime {name}: no such file or directory"
        ))),
        None => Source::Image(image(name, builder, environment, cancel)?),
    };
    if let (Source::Interpreter(_), Some(python)) = (&source, &python) {
        bail!(Wrong(format!(
            "--runtime-python {python}: the runtime is already an interpreter, {name}"
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
