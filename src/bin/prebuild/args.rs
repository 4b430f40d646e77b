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
/// prebuild downloads the wheels of locked requirements directly. It resolves other requirements with
/// pip, and builds sdists with pip, in a builder: a container or this machine. It installs the wheels
/// as pip does, for the Python of the runtime, and packs them. Equal inputs give equal bytes.
#[derive(Debug, Parser)]
#[command(
    name = "prebuild",
    version,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    max_term_width = 100,
    after_help = "\
`prebuild --help` lists all options, exit codes and examples.",
    after_long_help = "\
Exit codes:
  0  done
  1  the build failed
  2  the request is invalid
  3  a prerequisite is missing, such as a container engine
  4  the prefix is incompatible with the runtime
  130, 143  interrupted

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

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print what a build would install, and why
    Plan(Box<Common>),
    /// Write a lock file, pylock.toml, beside the requirements
    ///
    /// Builds use the lock file while it is up to date. `lock` keeps the locked versions that the
    /// requirements still allow, and prints each version that changes.
    Lock(Box<LockArgs>),
    /// Check an artifact in its runtime, in a sandbox
    ///
    /// Audits the artifact, starts Python, and loads every module, extension module and entry point.
    /// For an image, the code of the artifact runs in a container without network. For a root directory
    /// or an interpreter, it runs in namespaces of its own, without network and privileges.
    Verify(Box<VerifyArgs>),
    /// Print the facts about a runtime
    Runtime(Box<Look>),
    /// Show, check and prune the cache
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Cache(Cache),
}

/// The options of `lock`.
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The lock file [default: pylock.toml, or pylock.NAME.toml for NAME.txt, beside the requirements]
    #[arg(short, long, value_name = "FILE", help_heading = "Lock")]
    pub(crate) output: Option<PathBuf>,
    /// Upgrade all distributions, and replace any lock file
    #[arg(short = 'U', long, help_heading = "Lock")]
    pub(crate) upgrade: bool,
    /// Upgrade this distribution only (repeatable)
    #[arg(short = 'P', long, value_name = "NAME", help_heading = "Lock")]
    pub(crate) upgrade_package: Vec<String>,
}

/// The options of a build.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The artifact (repeatable)
    ///
    /// The name decides the format: .tar, .tar.gz, .tgz, .tar.zst, .zip or DIR/.
    #[arg(short, long, value_name = "PATH", default_value = "deps.tar.gz")]
    pub(crate) output: Vec<Output>,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Replace an output directory that is not empty
    #[arg(hide_short_help = true, long, help_heading = "Output")]
    pub(crate) force: bool,
    /// The directory of the prefix in the runtime [default: /usr/local, or where its Python searches]
    #[arg(hide_short_help = true, long, value_name = "PATH", help_heading = "Output", value_parser = Text::new())]
    pub(crate) dest: Option<String>,
    /// Copy libraries that are missing in the runtime from the builder into the prefix
    #[arg(
        hide_short_help = true,
        long,
        requires = "runtime",
        conflicts_with = "platform",
        help_heading = "Runtime"
    )]
    pub(crate) bundle_libs: bool,
    /// Write the missing system packages to FILE, one a line; an empty file if none is missing
    #[arg(
        hide_short_help = true,
        long,
        value_name = "FILE",
        requires = "runtime",
        help_heading = "Runtime"
    )]
    pub(crate) write_packages: Option<PathBuf>,
    /// The interpreter in the first line of scripts [default: the runtime's, or that of --dest]
    #[arg(hide_short_help = true, long, value_name = "PATH", help_heading = "Output", value_parser = Text::new())]
    pub(crate) script_python: Option<String>,
    #[command(flatten)]
    pub(crate) wheels: WheelArgs,
    /// Compile Python files to bytecode (unchecked-hash .pyc)
    #[arg(hide_short_help = true, long, help_heading = "Output")]
    pub(crate) compile: bool,
}

/// How wheels are installed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Wheels")]
pub(crate) struct WheelArgs {
    /// The installer: prebuild itself, from wheels, or pip in the builder
    #[arg(hide_short_help = true, long, value_enum, default_value_t = Installer::Wheel)]
    pub(crate) installer: Installer,
    /// Accept wheels with files or hashes missing in RECORD, as pip does
    #[arg(hide_short_help = true, long)]
    pub(crate) allow_unlisted: bool,
    /// The largest unpacked size of a wheel [default: 32GiB]
    #[arg(hide_short_help = true, long, value_name = "SIZE")]
    pub(crate) max_wheel_size: Option<ByteSize>,
    /// The largest ratio of unpacked to packed size, for wheels over 64 MiB [default: 100]
    #[arg(hide_short_help = true, long, value_name = "TIMES")]
    pub(crate) max_wheel_ratio: Option<u64>,
}

/// The runtime, and what it is checked for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Runtime")]
pub(crate) struct RuntimeArgs {
    /// The runtime image, root directory or interpreter
    ///
    /// A JSON file of `prebuild runtime` works too. prebuild places the prefix for the Python of the
    /// runtime, chooses compatible wheels, and checks the prefix against the runtime.
    #[arg(long, value_name = "IMAGE|ROOT|PATH", value_parser = Text::new())]
    pub(crate) runtime: Option<String>,
    /// The interpreter in the runtime [default: python3 on its PATH]
    #[arg(hide_short_help = true, long, value_name = "X.Y|PATH", value_parser = Text::new())]
    pub(crate) runtime_python: Option<String>,
    /// Ignore a finding: KIND or KIND:NAME (repeatable)
    ///
    /// Example: missing-library:libpq.so.5.
    #[arg(long, value_name = "FINDING")]
    pub(crate) allow: Vec<String>,
}

/// The options of `runtime`.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// An image, a root directory, an interpreter or a JSON file of `prebuild runtime`
    #[arg(value_name = "IMAGE|ROOT|PATH", value_parser = Text::new())]
    pub(crate) runtime: String,
    /// The interpreter in the runtime [default: python3 on its PATH]
    #[arg(long, value_name = "X.Y|PATH", value_parser = Text::new())]
    pub(crate) runtime_python: Option<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// The options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The artifact: an archive or a directory
    #[arg(value_name = "ARTIFACT")]
    pub(crate) artifact: PathBuf,
    /// The runtime: an image, a root directory or an interpreter
    #[arg(long, value_name = "IMAGE|ROOT|PATH", value_parser = Text::new())]
    pub(crate) runtime: String,
    /// The interpreter in the runtime [default: python3 on its PATH]
    #[arg(long, value_name = "X.Y|PATH", value_parser = Text::new())]
    pub(crate) runtime_python: Option<String>,
    /// The directory of the prefix in the runtime [default: /usr/local, or where its Python searches]
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

/// The container engine.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// The container engine [default: the one that answers]
    #[arg(long, value_enum, default_value_t = Builder::Auto)]
    pub(crate) builder: Builder,
}

/// The options of builds, `plan` and `lock`.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Requirements files, a pyproject.toml or a pylock.toml
    ///
    /// A requirements file may be a URL; `-` is standard input.
    #[arg(required_unless_present = "requirement", value_name = "REQUIREMENTS")]
    pub(crate) requirements: Vec<PathBuf>,
    /// A requirements file, spelled as for pip
    #[arg(hide_short_help = true, short, long, value_name = "FILE|URL")]
    pub(crate) requirement: Vec<PathBuf>,
    /// A constraints file
    #[arg(hide_short_help = true, short, long, value_name = "FILE|URL")]
    pub(crate) constraint: Vec<PathBuf>,
    /// An extra of the project or the lock file (repeatable)
    #[arg(hide_short_help = true, long, value_name = "NAME", value_parser = Text::new())]
    pub(crate) extra: Vec<String>,
    /// A dependency group of the project or the lock file (repeatable)
    #[arg(hide_short_help = true, long, value_name = "NAME", value_parser = Text::new())]
    pub(crate) group: Vec<String>,
    /// Require an up-to-date lock file
    ///
    /// With `lock`, only check the lock file.
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

/// The messages.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Messages {
    /// The format of results
    #[arg(hide_short_help = true, long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) format: Format,
    /// Print only results, errors, warnings and changed versions
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub(crate) quiet: bool,
    /// Print the output of pip and of builds too
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Colour messages
    #[arg(hide_short_help = true, long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
}

const CACHE_DIR: &str = "The cache directory [default: $PREBUILD_CACHE_DIR, \
    $XDG_CACHE_HOME/prebuild or ~/.cache/prebuild]";

/// The cache of a build.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub(crate) struct CacheArgs {
    #[arg(hide_short_help = true, long = "cache-dir", value_name = "DIR", help = CACHE_DIR)]
    pub(crate) folder: Option<PathBuf>,
    /// Use no cache
    #[arg(hide_short_help = true, long = "no-cache", conflicts_with = "folder")]
    pub(crate) off: bool,
}

/// The options of `cache`.
#[derive(Debug, Args)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
    #[arg(long = "cache-dir", value_name = "DIR", help = CACHE_DIR, global = true)]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// The subcommands of `cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print the cache directory
    Dir,
    /// Print the size of the cache
    Size,
    /// Remove leftovers of interrupted builds and other versions, and entries that the options name
    ///
    /// Waits until no build uses the cache.
    Prune {
        /// Remove least recently used entries until the cache is at most this size: 5GB, 500MiB
        #[arg(long, value_name = "SIZE")]
        max_size: Option<ByteSize>,
        /// Remove entries that were not used for this time: 30d, 12h
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        older_than: Option<Duration>,
    },
    /// Check the digests of all entries, and remove damaged ones
    ///
    /// Waits until no build uses the cache. The exit code is 1 if an entry was damaged.
    Verify,
    /// Remove all entries
    ///
    /// Waits until no build uses the cache. The directory, its lock file and files that are not
    /// prebuild's stay.
    Clean,
}

const PLATFORMS: &str = "The target platform: linux/arm64, manylinux_2_28_aarch64, \
    musllinux_1_2_x86_64 [default: the builder's]

Repeatable: one artifact for each platform.";
const PLATFORM: &str = "The target platform, such as linux/arm64";

/// The builder.
#[derive(Debug, Args)]
#[command(next_help_heading = "Builder")]
pub(crate) struct BuilderArgs {
    /// The builder, where pip runs; `auto`: a container with --image, else this machine
    #[arg(hide_short_help = true, long, value_enum, default_value_t = Builder::Auto)]
    pub(crate) builder: Builder,
    /// Build in a container of this image
    #[arg(long, value_name = "IMAGE", value_parser = Text::new())]
    pub(crate) image: Option<String>,
    /// The builder's or target's Python
    ///
    /// A version or a path in the builder; with --platform, the version of the target. The default is
    /// python3 on PATH.
    #[arg(long, value_name = "X.Y|PATH", env = "PREBUILD_PYTHON", value_parser = Text::new())]
    pub(crate) python: Option<String>,
    #[arg(long, value_name = "PLATFORM", requires = "python", help = PLATFORM, long_help = PLATFORMS)]
    pub(crate) platform: Vec<Platform>,
    /// Pass an environment variable to pip and builds; without VALUE, this process's
    #[arg(hide_short_help = true, long, value_name = "NAME[=VALUE]", value_parser = Text::new())]
    pub(crate) env: Vec<String>,
    /// A CA bundle that the builder trusts
    #[arg(hide_short_help = true, long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// The container's network, spelled as for the engine
    #[arg(hide_short_help = true, long, value_name = "MODE", value_parser = Text::new())]
    pub(crate) network: Option<String>,
    /// An argument for the engine's `create`, such as --engine-arg=--memory=2g (repeatable)
    #[arg(
        hide_short_help = true,
        long,
        value_name = "ARG",
        allow_hyphen_values = true
    )]
    pub(crate) engine_arg: Vec<String>,
}

/// pip's options, with pip's names and meaning.
#[expect(clippy::struct_excessive_bools, reason = "pip has as many switches")]
#[derive(Debug, Args)]
#[command(next_help_heading = "pip options")]
pub(crate) struct PipArgs {
    /// The package index
    #[arg(
        short,
        long,
        value_name = "URL",
        visible_alias = "pypi-url",
        env = "PREBUILD_INDEX_URL",
        hide_env_values = true, value_parser = Text::new())]
    pub(crate) index_url: Option<String>,
    /// Another package index
    #[arg(hide_short_help = true,
        long,
        value_name = "URL",
        env = "PREBUILD_EXTRA_INDEX_URL",
        value_delimiter = ' ',
        hide_env_values = true, value_parser = Text::new())]
    pub(crate) extra_index_url: Vec<String>,
    /// A page or directory of distribution files
    #[arg(hide_short_help = true,
        short,
        long,
        value_name = "URL|PATH",
        env = "PREBUILD_FIND_LINKS",
        value_delimiter = ' ',
        hide_env_values = true, value_parser = Text::new())]
    pub(crate) find_links: Vec<String>,
    /// Use no package index
    #[arg(hide_short_help = true, long)]
    pub(crate) no_index: bool,
    /// Trust this host without a valid certificate
    #[arg(hide_short_help = true, long, value_name = "HOST", value_parser = Text::new())]
    pub(crate) trusted_host: Vec<String>,
    /// Allow pre-releases
    #[arg(hide_short_help = true, long)]
    pub(crate) pre: bool,
    /// Use wheels only, for these names or `:all:`
    #[arg(hide_short_help = true, long, value_name = "NAMES", value_parser = Text::new())]
    pub(crate) only_binary: Vec<String>,
    /// Build these names, or `:all:`, from source
    #[arg(hide_short_help = true, long, value_name = "NAMES", value_parser = Text::new())]
    pub(crate) no_binary: Vec<String>,
    /// Prefer an older wheel to a newer sdist
    #[arg(hide_short_help = true, long)]
    pub(crate) prefer_binary: bool,
    /// Require a hash for every requirement
    #[arg(hide_short_help = true, long)]
    pub(crate) require_hashes: bool,
    /// Install no dependencies
    #[arg(hide_short_help = true, long)]
    pub(crate) no_deps: bool,
    /// The index of a project that several have: the best file of all, or the first index
    ///
    /// `unsafe-best-match` is what pip does. `first-index` asks extra indexes before the main one.
    #[arg(hide_short_help = true, long, value_enum, default_value_t = IndexStrategy::UnsafeBestMatch, env = "PREBUILD_INDEX_STRATEGY")]
    pub(crate) index_strategy: IndexStrategy,
    /// Use no network: only the cache and local files
    #[arg(hide_short_help = true, long, env = "PREBUILD_OFFLINE", value_parser = FalseyValueParser::new())]
    pub(crate) offline: bool,
}

/// How indexes are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexStrategy {
    UnsafeBestMatch,
    FirstIndex,
}

/// The kinds of builders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Builder {
    Auto,
    Local,
    Docker,
    Podman,
}

/// The installers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Installer {
    /// prebuild: pip resolves and builds
    Wheel,
    /// pip, in the builder: the reference
    Pip,
}

/// The formats of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    /// A pylock.toml (of `plan`)
    Pylock,
    /// Requirements with hashes (of `plan` and `lock`)
    Requirements,
}

/// When messages have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}
