//! The command line. Doc comments are the help; there is no logic here.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser as Text};
use clap::{Args, Parser, Subcommand, ValueEnum};
use prebuild::pack::Output;
use prebuild::target::Platform;

/// Turns a requirements.txt into the install prefix that a Python image needs, and nothing else.
///
/// What locked requirements name is found and fetched; where they leave a choice, pip chooses in a
/// builder: a container, or this machine. The wheels are installed as pip would, as the runtime needs
/// them, and packed into bytes that are the same every time.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done; 1 the build failed; 2 the request is wrong; 3 this machine is not set up;
4 it would not work in its runtime; 130 and 143 interrupted.

Examples:
  prebuild requirements.txt
  prebuild requirements.txt --image python:3.11 -o deps.tar.gz
  prebuild requirements.txt -o /install/        in a Dockerfile's builder stage
  prebuild requirements.txt --runtime python:3.11-slim
  prebuild lock requirements.txt
  prebuild locked.txt --python 3.12 --platform linux/arm64"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) build: Build,
}

/// What else it can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print what will be installed, and for whom; install nothing
    Plan(Box<Common>),
    /// Write what will be installed into a lock file: pylock.toml beside the requirements
    ///
    /// The next build of the same requirements uses it. Versions that were locked before stay where the
    /// requirements admit them, and each that changes is printed.
    Lock(Box<LockArgs>),
    /// Check an artifact against its runtime and load all that it brings, in a sandbox
    ///
    /// Audits the artifact, starts Python, and loads every module, extension module and entry point.
    /// For an image, the code of the artifact runs in a container without network. For a root directory
    /// or an interpreter, it runs in namespaces of its own, without network and privileges.
    Verify(Box<VerifyArgs>),
    /// Print what is known of a runtime: an image, or the root folder of one
    Runtime(Box<Look>),
    /// Look at what was kept of other builds, or remove it
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Cache(Cache),
}

/// What locking takes.
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The lock file [default: pylock.toml, or pylock.NAME.toml for NAME.txt, beside the requirements]
    #[arg(short, long, value_name = "FILE", help_heading = "Lock")]
    pub(crate) output: Option<PathBuf>,
    /// Choose the newest versions, and replace any lock file
    #[arg(short = 'U', long, help_heading = "Lock")]
    pub(crate) upgrade: bool,
    /// Choose the newest version of this distribution alone (repeatable)
    #[arg(short = 'P', long, value_name = "NAME", help_heading = "Lock")]
    pub(crate) upgrade_package: Vec<String>,
}

/// What a build takes.
#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to write: .tar, .tar.gz, .tgz, .tar.zst, .zip, or DIR/ (repeatable)
    #[arg(
        short,
        long,
        value_name = "PATH",
        default_value = "deps.tar.gz",
        help_heading = "Output"
    )]
    pub(crate) output: Vec<Output>,
    /// Replace an output folder that is not empty
    #[arg(long, help_heading = "Output")]
    pub(crate) force: bool,
    /// Where the prefix will lie in the runtime [default: /usr/local, or where its Python searches]
    #[arg(long, value_name = "PATH", help_heading = "Output", value_parser = Text::new())]
    pub(crate) dest: Option<String>,
    /// Copy libraries that the runtime lacks from the builder, under names of their own
    #[arg(
        long,
        requires = "runtime",
        conflicts_with = "platform",
        help_heading = "Runtime"
    )]
    pub(crate) bundle_libs: bool,
    /// Write the packages that the runtime lacks here, one a line; the file is empty if it lacks none
    #[arg(
        long,
        value_name = "FILE",
        requires = "runtime",
        help_heading = "Runtime"
    )]
    pub(crate) write_packages: Option<PathBuf>,
    /// The interpreter that scripts name in their first line [default: the runtime's, or follows from
    /// --dest]
    #[arg(long, value_name = "PATH", help_heading = "Output", value_parser = Text::new())]
    pub(crate) script_python: Option<String>,
    #[command(flatten)]
    pub(crate) wheels: WheelArgs,
    /// Write bytecode too: unchecked-hash, with the destination's paths
    #[arg(long, help_heading = "Output")]
    pub(crate) compile: bool,
}

/// How wheels are installed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Wheels")]
pub(crate) struct WheelArgs {
    /// Who puts distributions into the prefix: prebuild, from wheels, or pip in the builder
    #[arg(long, value_enum, default_value_t = Installer::Wheel)]
    pub(crate) installer: Installer,
    /// Take wheels whose RECORD lacks files or hashes, as pip does
    #[arg(long)]
    pub(crate) allow_unlisted: bool,
    /// Refuse wheels that unpack to more [default: 32GiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_wheel_size: Option<ByteSize>,
    /// Refuse wheels that unpack to more than 64 MiB and so many times their own size [default: 100]
    #[arg(long, value_name = "TIMES")]
    pub(crate) max_wheel_ratio: Option<u64>,
}

/// What it will run in.
#[derive(Debug, Args)]
#[command(next_help_heading = "Runtime")]
pub(crate) struct RuntimeArgs {
    /// What the artifact will run in: an image, a root folder, an interpreter, or a file of facts
    /// (.json). It is placed for it, made of wheels that run in it, and checked against it
    #[arg(long, value_name = "IMAGE|ROOT|PATH", value_parser = Text::new())]
    pub(crate) runtime: Option<String>,
    /// Which of its interpreters [default: the one on its PATH]
    #[arg(long, value_name = "X.Y|PATH", value_parser = Text::new())]
    pub(crate) runtime_python: Option<String>,
    /// Let a finding pass: its kind, or KIND:NAME with the library, module or distribution (repeatable)
    #[arg(long, value_name = "FINDING")]
    pub(crate) allow: Vec<String>,
}

/// What looking at a runtime takes.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// An image, a root folder, an interpreter, or a file of facts (.json)
    #[arg(value_name = "IMAGE|ROOT|PATH", value_parser = Text::new())]
    pub(crate) runtime: String,
    /// Which of its interpreters [default: the one on its PATH]
    #[arg(long, value_name = "X.Y|PATH", value_parser = Text::new())]
    pub(crate) runtime_python: Option<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// What verifying takes.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The artifact: an archive, or a folder
    #[arg(value_name = "ARTIFACT")]
    pub(crate) artifact: PathBuf,
    /// The runtime: an image, a root directory, or an interpreter
    #[arg(long, value_name = "IMAGE|ROOT|PATH", value_parser = Text::new())]
    pub(crate) runtime: String,
    /// Which of its interpreters [default: the one on its PATH]
    #[arg(long, value_name = "X.Y|PATH", value_parser = Text::new())]
    pub(crate) runtime_python: Option<String>,
    /// Where the prefix will lie in the runtime [default: /usr/local, or where its Python searches]
    #[arg(long, value_name = "PATH", value_parser = Text::new())]
    pub(crate) dest: Option<String>,
    /// Ignore a finding or a failure: KIND, NAME or KIND:NAME, such as module:tests (repeatable)
    #[arg(long, value_name = "FAILURE", value_parser = Text::new())]
    pub(crate) allow: Vec<String>,
    /// The time limit of one check, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
    /// The memory limit of one check
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    pub(crate) memory: ByteSize,
    /// The number of checks that run at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) jobs: usize,
    /// Run the artifact's code on this machine where the kernel allows no sandbox
    #[arg(long)]
    pub(crate) unsafe_no_sandbox: bool,
    #[command(flatten)]
    pub(crate) builder: BuilderArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// The engine that has an image.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// The engine that has the image [default: the one that answers]
    #[arg(long, value_enum, default_value_t = Builder::Auto)]
    pub(crate) builder: Builder,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Requirements files or their URLs, a pyproject.toml or a pylock.toml; `-` is standard input
    #[arg(required_unless_present = "requirement", value_name = "REQUIREMENTS")]
    pub(crate) requirements: Vec<PathBuf>,
    /// A requirements file, as pip names it
    #[arg(short, long, value_name = "FILE|URL")]
    pub(crate) requirement: Vec<PathBuf>,
    /// A file of constraints
    #[arg(short, long, value_name = "FILE|URL")]
    pub(crate) constraint: Vec<PathBuf>,
    /// An extra of the project or the lock file (repeatable)
    #[arg(long, value_name = "NAME", value_parser = Text::new())]
    pub(crate) extra: Vec<String>,
    /// A dependency group of the project or the lock file (repeatable)
    #[arg(long, value_name = "NAME", value_parser = Text::new())]
    pub(crate) group: Vec<String>,
    /// Require an up-to-date lock file; with `lock`, only check it
    #[arg(long, env = "PREBUILD_LOCKED", value_parser = FalseyValueParser::new())]
    pub(crate) locked: bool,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,
    #[command(flatten)]
    pub(crate) builder: BuilderArgs,
    #[command(flatten)]
    pub(crate) pip: PipArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// What is printed, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Messages {
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) format: Format,
    /// Print the result, errors, warnings and changed versions only
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub(crate) quiet: bool,
    /// Print pip's own output too
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Whether messages are coloured
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
}

const CACHE_DIR: &str = "Where builds keep what others can use [default: $PREBUILD_CACHE_DIR, \
    else $XDG_CACHE_HOME/prebuild, else ~/.cache/prebuild]";

/// What is kept of other builds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheArgs {
    #[arg(long = "cache-dir", value_name = "DIR", help = CACHE_DIR)]
    pub(crate) folder: Option<PathBuf>,
    /// Take nothing from other builds and keep nothing for them
    #[arg(long = "no-cache", conflicts_with = "folder")]
    pub(crate) off: bool,
}

/// The cache itself.
#[derive(Debug, Args)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
    #[arg(long = "cache-dir", value_name = "DIR", help = CACHE_DIR, global = true)]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// What is done to the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print where it is
    Dir,
    /// Print how much it holds
    Size,
    /// Remove what interrupted builds and other versions of prebuild left, and what the options say
    ///
    /// Waits until no build uses the cache.
    Prune {
        /// What was used longest ago, until the rest is no larger: 5GB, 500MiB
        #[arg(long, value_name = "SIZE")]
        max_size: Option<ByteSize>,
        /// What was not used for so long: 30d, 12h
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        older_than: Option<Duration>,
    },
    /// Compare all contents with what they were, and remove what is damaged
    ///
    /// Waits until no build uses the cache. The exit code is 1 if anything was damaged.
    Verify,
    /// Remove all of it
    ///
    /// Waits until no build uses the cache. Files that are not prebuild's stay, and so do the folder
    /// and the file in it that locks are held on.
    Clean,
}

const PLATFORM: &str = "What to build for, if not for the builder: manylinux_2_28_aarch64, \
    musllinux_1_2_x86_64, linux/arm64 (repeatable: one artifact each)";

/// Where pip runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Builder")]
pub(crate) struct BuilderArgs {
    /// Where pip runs; `auto`: in a container if --image names an image, else on this machine
    #[arg(long, value_enum, default_value_t = Builder::Auto)]
    pub(crate) builder: Builder,
    /// The builder's image, such as python:3.11
    #[arg(long, value_name = "IMAGE", value_parser = Text::new())]
    pub(crate) image: Option<String>,
    /// The builder's interpreter, or with --platform the target's version [default: python3 on PATH]
    #[arg(long, value_name = "X.Y|PATH", env = "PREBUILD_PYTHON", value_parser = Text::new())]
    pub(crate) python: Option<String>,
    #[arg(long, value_name = "PLATFORM", requires = "python", help = PLATFORM)]
    pub(crate) platform: Vec<Platform>,
    /// Give pip and what it builds a variable; without a value, the one that it has here
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = Text::new())]
    pub(crate) env: Vec<String>,
    /// Certificates that the builder must trust
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// The container's network, as the engine names it
    #[arg(long, value_name = "MODE", value_parser = Text::new())]
    pub(crate) network: Option<String>,
    /// An argument for the engine's `create` (repeatable; `--engine-arg=--memory=2g`)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) engine_arg: Vec<String>,
}

/// pip's options, with pip's names and meaning.
#[expect(clippy::struct_excessive_bools, reason = "pip has as many switches")]
#[derive(Debug, Args)]
#[command(next_help_heading = "As pip has them")]
pub(crate) struct PipArgs {
    /// The index
    #[arg(
        short,
        long,
        value_name = "URL",
        visible_alias = "pypi-url",
        env = "PREBUILD_INDEX_URL",
        hide_env_values = true, value_parser = Text::new())]
    pub(crate) index_url: Option<String>,
    /// Another index
    #[arg(
        long,
        value_name = "URL",
        env = "PREBUILD_EXTRA_INDEX_URL",
        value_delimiter = ' ',
        hide_env_values = true, value_parser = Text::new())]
    pub(crate) extra_index_url: Vec<String>,
    /// A page or folder of links to archives
    #[arg(
        short,
        long,
        value_name = "URL|PATH",
        env = "PREBUILD_FIND_LINKS",
        value_delimiter = ' ',
        hide_env_values = true, value_parser = Text::new())]
    pub(crate) find_links: Vec<String>,
    /// Ask no index
    #[arg(long)]
    pub(crate) no_index: bool,
    /// A host that is trusted without a valid certificate
    #[arg(long, value_name = "HOST", value_parser = Text::new())]
    pub(crate) trusted_host: Vec<String>,
    /// Take pre-releases too
    #[arg(long)]
    pub(crate) pre: bool,
    /// Take wheels only, for these names or `:all:`
    #[arg(long, value_name = "NAMES", value_parser = Text::new())]
    pub(crate) only_binary: Vec<String>,
    /// Build from source, these names or `:all:`
    #[arg(long, value_name = "NAMES", value_parser = Text::new())]
    pub(crate) no_binary: Vec<String>,
    /// Prefer an older wheel to a newer sdist
    #[arg(long)]
    pub(crate) prefer_binary: bool,
    /// Every requirement must have a hash
    #[arg(long)]
    pub(crate) require_hashes: bool,
    /// Install what is named and not what it needs
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Which index a project is taken from if several have it: the best file of all, as pip does, or
    /// the first that has it, the extra ones before the main one
    #[arg(long, value_enum, default_value_t = IndexStrategy::UnsafeBestMatch, env = "PREBUILD_INDEX_STRATEGY")]
    pub(crate) index_strategy: IndexStrategy,
    /// Ask no host for anything: what is in the cache has to do
    #[arg(long, env = "PREBUILD_OFFLINE", value_parser = FalseyValueParser::new())]
    pub(crate) offline: bool,
}

/// Which index counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexStrategy {
    UnsafeBestMatch,
    FirstIndex,
}

/// Where pip runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Builder {
    Auto,
    Local,
    Docker,
    Podman,
}

/// Who puts distributions into the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Installer {
    /// prebuild: pip resolves and builds
    Wheel,
    /// pip, in the builder: the reference
    Pip,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    /// A pylock.toml (of `plan`)
    Pylock,
    /// Requirements with hashes (of `plan` and `lock`)
    Requirements,
}

/// Whether messages are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}
