//! Arguments and environment into values: everything optional is decided here, and nothing else in
//! the program reads the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use prebuild::audit::Problem;
use prebuild::event::Cancel;
use prebuild::index::Strategy;
use prebuild::install::Installer;
use prebuild::lock;
use prebuild::pack::DEFAULT_MTIME;
use prebuild::pipeline::{Destination, LockUse, Request, Trust};
use prebuild::requirements::{Chosen, Detected, Input, Name};
use prebuild::runner::Runner;
use prebuild::target::{Named, Platform};
use prebuild::wheel::Leniency;

use crate::args::{self, Common, IndexStrategy, PipArgs};
use crate::environment::{Environment, Wrong};
use crate::places;

/// A build, decided.
pub(crate) struct Settings {
    pub(crate) request: Request,
    /// What it is for, if it is not for the builder: one artifact each.
    pub(crate) targets: Vec<(Platform, Named)>,
    pub(crate) runner: Box<dyn Runner>,
    /// What was decided for the user and may surprise.
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// What is asked for, once for each target. Of several, outputs are called after their platforms.
    pub(crate) fn requests(&self) -> Vec<Request> {
        if self.targets.is_empty() {
            return vec![self.request.clone()];
        }
        let requests = self.targets.iter().map(|(platform, named)| {
            let mut request = self.request.clone();
            request.destination.target = Some(named.clone());
            if self.targets.len() > 1 {
                let outputs = request.outputs.files.iter();
                request.outputs.files = outputs
                    .map(|output| output.called_after(&platform.to_string()))
                    .collect();
            }
            request
        });
        requests.collect()
    }

    /// The settings of a build.
    pub(crate) fn build(
        args: args::Build,
        environment: &Environment,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let args::Build {
            common,
            output,
            force,
            dest,
            bundle_libs,
            // Written when the build is over.
            write_packages: _,
            script_python,
            wheels,
            compile,
        } = args;
        if compile && !common.builder.platform.is_empty() {
            bail!(Wrong(
                "--compile needs an interpreter, and --platform uses none: remove one of the two"
                    .to_owned()
            ));
        }
        if wheels.installer == args::Installer::Pip {
            check_installed_by_pip(&common, &wheels)?;
        }
        let args::WheelArgs {
            installer,
            allow_unlisted,
            max_wheel_size,
            max_wheel_ratio,
        } = wheels;
        let mut settings = Self::common(common, environment, cancel)?;
        let Request {
            what,
            destination,
            how,
            outputs,
        } = &mut settings.request;
        let trust = what.lock.as_ref().map(|lock| lock.trust);
        let by_lock = matches!(trust, Some(Trust::Alone | Trust::Required));
        if by_lock && installer == args::Installer::Pip {
            bail!(Wrong(
                "--installer pip does not support lock files: name the requirements".to_owned()
            ));
        }
        outputs.files = output;
        outputs.options.force = force;
        destination.dest = dest;
        destination.script_python = script_python;
        how.bundle_libs = bundle_libs;
        how.compile = compile;
        how.installer = match installer {
            args::Installer::Wheel => Installer::Wheel,
            args::Installer::Pip => Installer::Pip,
        };
        if let Some(size) = max_wheel_size {
            how.limits.size = size.as_u64();
        }
        if let Some(ratio) = max_wheel_ratio {
            how.limits.ratio = ratio;
        }
        if allow_unlisted {
            how.leniency = Leniency::Unlisted;
        }
        Ok(settings)
    }

    /// The settings of what every command does.
    pub(crate) fn common(
        common: Common,
        environment: &Environment,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let Common {
            requirements,
            requirement,
            constraint,
            extra,
            group,
            locked,
            runtime,
            builder,
            pip,
            cache,
            // The printer's.
            messages: _,
        } = common;
        environment.check_scratch()?;
        check_command(&requirements, environment)?;
        crate::builder::check_platform(&builder, runtime.runtime.is_some())?;
        let paths: Vec<PathBuf> = requirements.into_iter().chain(requirement).collect();
        let names = |names: Vec<String>| names.iter().map(|name| Name::new(name)).collect();
        let chosen = Chosen {
            extras: names(extra),
            groups: names(group),
        };
        let mut stdin = Stdin::default();
        let inputs = inputs(paths, chosen, locked, &mut stdin, cancel)?;
        if let Some(LockUse { file, trust }) = &inputs.lock
            && *trust == Trust::Alone
        {
            check_locked(file, !constraint.is_empty(), &pip)?;
        }
        let (strategy, offline) = (pip.index_strategy, pip.offline);
        let variables = pip_variables(environment, pip);
        let mut request = Request::new(inputs.requirements, environment.cwd(), variables);
        request.what.lock = inputs.lock;
        request.what.chosen = inputs.chosen;
        for path in constraint {
            request.what.constraints.push(stdin.input(path, cancel)?);
        }
        set_epoch(&mut request, environment)?;
        let mut warnings = Vec::new();
        request.how.cache = places::cache(cache, environment, &mut warnings);
        request.how.clock = Some(clock);
        let options = &mut request.how.pip;
        options.strategy = match strategy {
            IndexStrategy::UnsafeBestMatch => Strategy::UnsafeBestMatch,
            IndexStrategy::FirstIndex => Strategy::FirstIndex,
        };
        options.offline = offline;
        options.now = Some(now);
        options.set = set_variables(environment, &builder.env)?;
        options.ca_cert.clone_from(&builder.ca_cert);
        options.config = pip_config(environment);
        set_runtime(
            &mut request.destination,
            runtime,
            builder.builder,
            environment,
            cancel,
        )?;
        let targets = crate::builder::targets(&builder)?;
        let runner = crate::builder::runner(builder, environment, cancel)?;
        Ok(Self {
            request,
            targets,
            runner,
            warnings,
        })
    }
}

/// Sets the time of what is packed and built, if the environment has one.
fn set_epoch(request: &mut Request, environment: &Environment) -> Result<(), Wrong> {
    let Some(epoch) = environment.get("SOURCE_DATE_EPOCH") else {
        return Ok(());
    };
    let Ok(epoch) = epoch.parse() else {
        return Err(Wrong(format!(
            "invalid SOURCE_DATE_EPOCH `{epoch}`: expected a number of seconds"
        )));
    };
    request.outputs.options.mtime = epoch;
    // What is built is packed into a wheel, a zip, which knows no earlier year.
    request.how.pip.epoch = epoch.max(DEFAULT_MTIME);
    Ok(())
}

/// Sets the runtime, and the findings that it may have.
fn set_runtime(
    destination: &mut Destination,
    args: args::RuntimeArgs,
    engine: args::Builder,
    environment: &Environment,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let args::RuntimeArgs {
        runtime,
        runtime_python,
        allow,
    } = args;
    check_allowed(&allow)?;
    destination.allow = allow;
    destination.runtime = match (runtime, runtime_python) {
        (Some(name), python) => {
            let wanted = places::runtime(&name, python, engine, environment, cancel);
            Some(wanted?)
        }
        (None, Some(_)) => bail!(Wrong("--runtime-python needs --runtime".to_owned())),
        (None, None) => None,
    };
    Ok(())
}

/// Refuses options of wheels and of other builders where pip installs.
fn check_installed_by_pip(common: &Common, wheels: &args::WheelArgs) -> Result<(), Wrong> {
    let given = [
        ("--platform", !common.builder.platform.is_empty()),
        (
            "--index-strategy first-index",
            common.pip.index_strategy == IndexStrategy::FirstIndex,
        ),
        ("--allow-unlisted", wheels.allow_unlisted),
        ("--max-wheel-size", wheels.max_wheel_size.is_some()),
        ("--max-wheel-ratio", wheels.max_wheel_ratio.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Wrong(format!(
            "--installer pip does not support {option}: pip installs by its own rules"
        ))),
        None => Ok(()),
    }
}

/// Whether there are findings of these kinds.
fn check_allowed(allow: &[String]) -> anyhow::Result<()> {
    for allowed in allow {
        let (kind, _) = allowed.split_once(':').unwrap_or((allowed, ""));
        if !Problem::ERRORS.contains(&kind) {
            bail!(Wrong(format!(
                "--allow {allowed}: unknown finding; expected one of {}",
                Problem::ERRORS.join(", ")
            )));
        }
    }
    Ok(())
}

/// The time since the first look at it.
fn clock() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// The most bytes of standard input that are read.
const MAX_STDIN: u64 = 16 << 20;

/// Standard input, which can be read once.
#[derive(Default)]
struct Stdin {
    is_read: bool,
}

impl Stdin {
    /// What a name of constraints stands for; `-` is standard input.
    fn input(&mut self, path: PathBuf, cancel: &Cancel) -> anyhow::Result<Input> {
        match Input::detect(path.clone()) {
            Detected::Stdin => self.read(cancel),
            Detected::Input(_) | Detected::LockFile(_) => Ok(Input::named(path)),
        }
    }

    fn read(&mut self, cancel: &Cancel) -> anyhow::Result<Input> {
        if std::mem::replace(&mut self.is_read, true) {
            bail!(Wrong(
                "`-` is named twice, and standard input can be read once".to_owned()
            ));
        }
        let bytes = prebuild::fs::read_stream(std::io::stdin(), MAX_STDIN, cancel)
            .context("cannot read standard input")?;
        if bytes.trim_ascii().is_empty() {
            bail!(Wrong(
                "standard input is empty: `-` reads requirements from it".to_owned()
            ));
        }
        Ok(Input::Stdin(bytes))
    }
}

/// Words for what prebuild does that other tools have as commands.
const COMMANDS_OF_OTHERS: [&str; 8] = [
    "add", "build", "compile", "download", "export", "freeze", "install", "sync",
];

/// Refuses a mistyped command, which would be a missing file.
fn check_command(requirements: &[PathBuf], environment: &Environment) -> Result<(), Wrong> {
    let Some(first) = requirements.first().and_then(|path| path.to_str()) else {
        return Ok(());
    };
    let is_word = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_word || prebuild::fs::kind(&environment.path(Path::new(first))).is_some() {
        return Ok(());
    }
    let command = args::Cli::command();
    let mut known: Vec<(f64, &str)> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .map(|name| (strsim::normalized_damerau_levenshtein(name, first), name))
        .filter(|(likeness, _)| *likeness >= 0.5 && *likeness < 1.0)
        .collect();
    known.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let hint = match known.first() {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if COMMANDS_OF_OTHERS.contains(&first) => {
            "to build, run `prebuild requirements.txt`".to_owned()
        }
        None => return Ok(()),
    };
    Err(Wrong(format!(
        "`{first}` is neither a file nor a command: {hint}"
    )))
}

/// Refuses options that choose what is installed, where a lock file says it.
fn check_locked(path: &Path, has_constraints: bool, pip: &PipArgs) -> Result<(), Wrong> {
    let given = [
        ("--constraint", has_constraints),
        ("--pre", pip.pre),
        ("--prefer-binary", pip.prefer_binary),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Wrong(format!(
            "{option} has no effect on the lock file {}: remove it",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// What the files that were named are.
struct Inputs {
    requirements: Vec<Input>,
    lock: Option<LockUse>,
    /// What is asked of the lock file.
    chosen: Chosen,
}

fn inputs(
    paths: Vec<PathBuf>,
    chosen: Chosen,
    locked: bool,
    stdin: &mut Stdin,
    cancel: &Cancel,
) -> anyhow::Result<Inputs> {
    let is_lock = |path: &PathBuf| matches!(Input::detect(path.clone()), Detected::LockFile(_));
    if let Some(file) = paths.iter().find(|path| is_lock(path)) {
        if paths.len() > 1 {
            let name = file.display();
            bail!(Wrong(format!(
                "the lock file {name} must be the only input"
            )));
        }
        return Ok(Inputs {
            requirements: Vec::new(),
            lock: Some(LockUse {
                file: file.clone(),
                trust: Trust::Alone,
            }),
            chosen,
        });
    }
    let is_project = |path: &PathBuf| {
        let detected = Input::detect(path.clone());
        matches!(detected, Detected::Input(Input::Project { .. }))
    };
    if !chosen.is_empty() && !paths.iter().any(is_project) {
        let why = "--extra and --group need a pyproject.toml or a pylock.toml";
        bail!(Wrong(why.to_owned()));
    }
    let mut requirements = Vec::new();
    for path in paths {
        requirements.push(match Input::detect(path) {
            Detected::Input(input) => input.choosing(&chosen),
            Detected::Stdin => stdin.read(cancel)?,
            // None is left.
            Detected::LockFile(path) => Input::Path(path),
        });
    }
    let trust = if locked {
        Trust::Required
    } else {
        Trust::Preferred
    };
    let file = requirements.first().and_then(lock::beside);
    if locked && file.is_none() {
        bail!(Wrong(
            "--locked: standard input and URLs have no lock file".to_owned()
        ));
    }
    Ok(Inputs {
        requirements,
        lock: file.map(|file| LockUse { file, trust }),
        chosen: Chosen::default(),
    })
}

/// The caller's environment with pip's options put in as pip's variables: pip takes both alike, and
/// variables are seen by no one else.
fn pip_variables(environment: &Environment, pip: PipArgs) -> BTreeMap<String, String> {
    let PipArgs {
        index_url,
        extra_index_url,
        find_links,
        no_index,
        trusted_host,
        pre,
        only_binary,
        no_binary,
        prefer_binary,
        require_hashes,
        no_deps,
        // Not pip's.
        index_strategy: _,
        offline: _,
    } = pip;
    let mut env = environment.variables().clone();
    let mut set = |name: &str, value: String| {
        if !value.is_empty() {
            env.insert(name.to_owned(), value);
        }
    };
    let flag = |given: bool| if given { "1".to_owned() } else { String::new() };
    set("PIP_INDEX_URL", index_url.unwrap_or_default());
    set("PIP_EXTRA_INDEX_URL", extra_index_url.join(" "));
    set("PIP_FIND_LINKS", find_links.join(" "));
    set("PIP_NO_INDEX", flag(no_index));
    set("PIP_TRUSTED_HOST", trusted_host.join(" "));
    set("PIP_PRE", flag(pre));
    set("PIP_ONLY_BINARY", only_binary.join(","));
    set("PIP_NO_BINARY", no_binary.join(","));
    set("PIP_PREFER_BINARY", flag(prefer_binary));
    set("PIP_REQUIRE_HASHES", flag(require_hashes));
    set("PIP_NO_DEPS", flag(no_deps));
    env
}

/// `--env NAME=VALUE`, and `--env NAME` with the value that it has here.
fn set_variables(
    environment: &Environment,
    given: &[String],
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut set = BTreeMap::new();
    for given in given {
        let (name, value) = match given.split_once('=') {
            Some((name, value)) => (name, value),
            None => match environment.variables().get(given) {
                Some(value) => (given.as_str(), value.as_str()),
                None => bail!(Wrong(format!(
                    "--env {given}: this environment variable is not set"
                ))),
            },
        };
        if name.is_empty() || name.contains('\0') || value.contains('\0') {
            bail!(Wrong("--env takes NAME=VALUE or NAME".to_owned()));
        }
        set.insert(name.to_owned(), value.to_owned());
    }
    Ok(set)
}

/// The texts of the caller's pip configuration files, for builders that do not see them.
///
/// <https://pip.pypa.io/en/stable/topics/configuration/#location>
fn pip_config(environment: &Environment) -> Vec<(String, String)> {
    let home = environment.get("HOME").unwrap_or("/");
    let config_home = environment
        .get("XDG_CONFIG_HOME")
        .map_or_else(|| format!("{home}/.config"), str::to_owned);
    let mut paths = vec![
        "/etc/pip.conf".to_owned(),
        format!("{home}/.pip/pip.conf"),
        format!("{config_home}/pip/pip.conf"),
    ];
    match environment.get("PIP_CONFIG_FILE") {
        Some("/dev/null") => return Vec::new(),
        Some(file) => paths.push(file.to_owned()),
        None => {}
    }
    let read = |path: &String| -> Option<String> {
        let bytes = prebuild::fs::read_small(Path::new(path), 1 << 20).ok()?;
        String::from_utf8(bytes).ok()
    };
    paths
        .into_iter()
        .filter_map(|path| read(&path).map(|text| (path, text)))
        .collect()
}
