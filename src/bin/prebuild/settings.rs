//! Arguments and environment into values: everything optional is decided here, and nothing else in
//! the program reads the environment.

use std::collections::{BTreeMap, BTreeSet};
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
use prebuild::pipeline::{LockUse, Request};
use prebuild::requirements::{Input, Name};
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
            request.target = Some(named.clone());
            if self.targets.len() > 1 {
                let outputs = request.outputs.iter();
                request.outputs = outputs
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
        let args::WheelArgs {
            installer,
            allow_unlisted,
            max_wheel_size,
            max_wheel_ratio,
        } = wheels;
        if installer == args::Installer::Pip {
            let given = [
                ("--platform", !common.builder.platform.is_empty()),
                (
                    "--index-strategy first-index",
                    common.pip.index_strategy == IndexStrategy::FirstIndex,
                ),
                ("--allow-unlisted", allow_unlisted),
                ("--max-wheel-size", max_wheel_size.is_some()),
                ("--max-wheel-ratio", max_wheel_ratio.is_some()),
            ];
            if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
                bail!(Wrong(format!(
                    "--installer pip does not support {option}: pip installs by its own rules"
                )));
            }
        }
        let mut settings = Self::common(common, environment, cancel)?;
        let request = &mut settings.request;
        let by_lock = match &request.lock {
            LockUse::Input { .. } => true,
            LockUse::Beside { required, .. } => *required,
            LockUse::Never => false,
        };
        if by_lock && installer == args::Installer::Pip {
            bail!(Wrong(
                "--installer pip does not support lock files: name the requirements".to_owned()
            ));
        }
        request.outputs = output;
        request.pack.force = force;
        request.dest = dest;
        request.bundle_libs = bundle_libs;
        request.script_python = script_python;
        request.compile = compile;
        request.installer = match installer {
            args::Installer::Wheel => Installer::Wheel,
            args::Installer::Pip => Installer::Pip,
        };
        if let Some(size) = max_wheel_size {
            request.limits.size = size.as_u64();
        }
        if let Some(ratio) = max_wheel_ratio {
            request.limits.ratio = ratio;
        }
        if allow_unlisted {
            request.leniency = Leniency::Unlisted;
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
        let mut stdin = Stdin::default();
        let inputs = inputs(
            paths,
            names(extra),
            names(group),
            locked,
            &mut stdin,
            cancel,
        )?;
        if let LockUse::Input { path, .. } = &inputs.lock {
            check_locked(path, !constraint.is_empty(), &pip)?;
        }
        let mut request = Request::new(inputs.requirements, environment.cwd());
        request.lock = inputs.lock;
        for path in constraint {
            request.constraints.push(stdin.input(path, cancel)?);
        }
        request.clock = Some(clock);
        if let Some(epoch) = environment.get("SOURCE_DATE_EPOCH") {
            let Ok(epoch) = epoch.parse() else {
                bail!(Wrong(format!(
                    "invalid SOURCE_DATE_EPOCH `{epoch}`: expected a number of seconds"
                )));
            };
            request.pack.mtime = epoch;
            // What is built is packed into a wheel, a zip, which knows no earlier year.
            request.pip.epoch = epoch.max(DEFAULT_MTIME);
        }
        request.pip.strategy = match pip.index_strategy {
            IndexStrategy::UnsafeBestMatch => Strategy::UnsafeBestMatch,
            IndexStrategy::FirstIndex => Strategy::FirstIndex,
        };
        request.pip.offline = pip.offline;
        request.pip.now = Some(now);
        request.pip.env = pip_variables(environment, pip);
        request.pip.set = set_variables(environment, &builder.env)?;
        request.pip.ca_cert.clone_from(&builder.ca_cert);
        request.pip.config = pip_config(environment);
        let mut warnings = Vec::new();
        request.cache = places::cache(cache, environment, &mut warnings);
        let args::RuntimeArgs {
            runtime,
            runtime_python,
            allow,
        } = runtime;
        check_allowed(&allow)?;
        request.allow = allow;
        request.runtime = match (runtime, runtime_python) {
            (Some(name), python) => {
                let engine = builder.builder;
                let wanted = places::runtime(&name, python, engine, environment, cancel);
                Some(wanted?)
            }
            (None, Some(_)) => bail!(Wrong("--runtime-python needs --runtime".to_owned())),
            (None, None) => None,
        };
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
    /// What a name stands for; `-` is standard input.
    fn input(&mut self, path: PathBuf, cancel: &Cancel) -> anyhow::Result<Input> {
        if path != Path::new("-") {
            return Ok(Input::named(path));
        }
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

fn is_url(path: &Path) -> bool {
    matches!(Input::named(path.to_owned()), Input::Url(_))
}

/// What the files that were named are.
struct Inputs {
    requirements: Vec<Input>,
    lock: LockUse,
}

fn inputs(
    mut paths: Vec<PathBuf>,
    extras: BTreeSet<Name>,
    groups: BTreeSet<Name>,
    locked: bool,
    stdin: &mut Stdin,
    cancel: &Cancel,
) -> anyhow::Result<Inputs> {
    if let Some(at) = paths
        .iter()
        .position(|path| lock::is_name(path) && !is_url(path))
    {
        let path = paths.swap_remove(at);
        if !paths.is_empty() {
            let name = path.display();
            bail!(Wrong(format!(
                "the lock file {name} must be the only input"
            )));
        }
        return Ok(Inputs {
            requirements: Vec::new(),
            lock: LockUse::Input {
                path,
                extras,
                groups,
            },
        });
    }
    let is_project =
        |path: &PathBuf| path.file_name() == Some("pyproject.toml".as_ref()) && !is_url(path);
    let has_names = !extras.is_empty() || !groups.is_empty();
    if has_names && !paths.iter().any(is_project) {
        let why = "--extra and --group need a pyproject.toml or a pylock.toml";
        bail!(Wrong(why.to_owned()));
    }
    let mut requirements = Vec::new();
    for path in paths {
        requirements.push(if is_project(&path) {
            Input::Project {
                path,
                extras: extras.clone(),
                groups: groups.clone(),
            }
        } else {
            stdin.input(path, cancel)?
        });
    }
    let lock = match requirements.first().and_then(lock::beside) {
        Some(path) => LockUse::Beside {
            path,
            required: locked,
        },
        None if locked => bail!(Wrong(
            "--locked: standard input and URLs have no lock file".to_owned()
        )),
        None => LockUse::Never,
    };
    Ok(Inputs { requirements, lock })
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
