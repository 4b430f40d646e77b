//! A folder, an environment, and the program, apart from everything else.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use prebuild::digest::Digest;
use regex::Regex;
use tempfile::TempDir;

use super::python;

/// Where one test works. Nothing of the caller's environment is seen but `PATH` and what is needed
/// to reach an index.
pub(crate) struct Sandbox {
    root: TempDir,
    env: BTreeMap<String, String>,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["work", "home", "tmp", "links"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let at = |name: &str| root.path().join(name).display().to_string();
        let mut env = BTreeMap::from([
            ("HOME".to_owned(), at("home")),
            ("TMPDIR".to_owned(), at("tmp")),
            ("PIP_RETRIES".to_owned(), "0".to_owned()),
        ]);
        // What leads to an engine, and what trusts the index where a machine has it its own way.
        let passed = [
            "PATH",
            "PYENV_ROOT",
            "DOCKER_HOST",
            "DOCKER_CONFIG",
            "CONTAINERS_CONF",
        ];
        for name in
            passed
                .into_iter()
                .chain(["CONTAINERS_STORAGE_CONF", "PIP_CERT", "PIP_INDEX_URL"])
        {
            if let Ok(value) = std::env::var(name) {
                env.insert(name.to_owned(), value);
            }
        }
        env.insert("PATH".to_owned(), search_path().to_owned());
        Self { root, env }
    }

    /// The working folder.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Where temporary files go.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// A folder of wheels, for `--find-links`.
    pub(crate) fn links(&self) -> PathBuf {
        self.root.path().join("links")
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Writes a file into the working folder, with its folders.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The program, ready to run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prebuild"));
        command
            .args(args)
            .current_dir(self.work())
            .env_clear()
            .envs(&self.env);
        command
    }

    /// A shell's command line, with the environment that the program has.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.work())
            .env_clear()
            .envs(&self.env);
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::new(&self.command(args).output().unwrap(), self)
    }

    /// Runs it with the wheels of this sandbox and no index.
    pub(crate) fn offline(&self, args: &[&str]) -> Ran {
        let links = self.links().display().to_string();
        self.run(&[args, &["--no-index", "--find-links", &links]].concat())
    }

    /// What temporary files are left; pip's own cache is none.
    pub(crate) fn left(&self) -> Vec<String> {
        names(&self.tmp())
    }
}

/// This process's `PATH`, with the directory of Python itself at its head: behind pyenv's scripts, which may
/// lead elsewhere the next time, nothing is known of a Python until it is asked again, for a second each time.
fn search_path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let bin = python::itself().parent().unwrap();
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
    })
}

/// How the program ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Paths of the sandbox become `[WORK]` and `[LINKS]`.
    pub(crate) fn new(output: &Output, sandbox: &Sandbox) -> Self {
        let clean = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes)
                .replace(&sandbox.work().display().to_string(), "[WORK]")
                .replace(&sandbox.links().display().to_string(), "[LINKS]")
        };
        Self {
            code: output.status.code(),
            stdout: clean(&output.stdout),
            stderr: clean(&output.stderr),
        }
    }

    /// Checks that all went well.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Checks that it failed with this code and said all of these.
    pub(crate) fn fails(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        for text in said {
            assert!(
                self.stderr.contains(text),
                "no `{text}` in:\n{}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert_eq!(self.stdout, "", "a failure prints no result");
        self
    }
}

impl Ran {
    /// Checks that it failed with this code and printed no result. Returns all that it said, for a snapshot.
    pub(crate) fn fails_with(&self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert_eq!(self.stdout, "", "a failure prints no result");
        filtered(&self.stderr)
    }

    /// Checks the exit code. Returns all that it said, and its result below a line, for a snapshot.
    pub(crate) fn whole(&self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let (said, result) = (filtered(&self.stderr), filtered(&self.stdout));
        let digest = Regex::new("sha256:[0-9a-f]{64}").unwrap();
        let text = format!("{said}-----\n{result}");
        digest.replace_all(&text, "sha256:[DIGEST]").into_owned()
    }

    /// The exit code and all that it printed, for a snapshot: without what is of this machine.
    pub(crate) fn snapshot(&self) -> String {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        let said: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| !line.starts_with(" builder "))
            .collect();
        format!("exit code {code}\n{}{}\n", self.stdout, said.join("\n"))
    }

    /// What it showed of a failed command, and what it said itself: the error and the hint.
    pub(crate) fn told(&self) -> (String, String) {
        let lines = self.stderr.split_inclusive('\n');
        let (shown, rest): (Vec<&str>, Vec<&str>) =
            lines.partition(|line| line.starts_with("  | "));
        let said = rest
            .into_iter()
            .skip_while(|line| !line.starts_with("error: "));
        (shown.concat(), said.collect())
    }
}

/// A text without what differs from run to run and from machine to machine: times, sizes, ports, temporary
/// paths, the builder and the runtime, and the output of commands.
fn filtered(text: &str) -> String {
    static FILTERS: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let filters = FILTERS.get_or_init(|| {
        let filters = [
            (r"(?m)^( builder  |builder  ).*$", "$1[BUILDER]"),
            (r"(?m)^( runtime  ).*$", "$1[RUNTIME]"),
            (r"(?m)^(   times  ).*$", "$1[TIMES]"),
            // What leads to the index on this machine, if anything does.
            (r"(?m)^setting  (cert|index-url) .*\n", ""),
            (r"(?m)^  \| .*\n(  \| .*\n)*", "  | [OUTPUT]\n"),
            (r" *\b\d+(\.\d+)? ?(B|KiB|MiB|GiB)\b", " [SIZE]"),
            (r"127\.0\.0\.1:\d+", "[HOST]"),
            (r"\bpip \d+(\.\d+)+", "pip [VERSION]"),
            (r"\b3\.(\d+)\.\d+\b", "3.$1.[X]"),
            (r"/[^ `]*/\.?tmp[A-Za-z0-9_.]{6,}", "[TMP]"),
            (r"/[^ `]*/bin/python3[0-9.]*", "[PYTHON]"),
        ];
        let filters = filters.into_iter();
        filters
            .map(|(pattern, to)| (Regex::new(pattern).unwrap(), to))
            .collect()
    });
    let mut text = text.to_owned();
    for (pattern, to) in filters {
        text = pattern.replace_all(&text, *to).into_owned();
    }
    text.replace(env!("CARGO_TARGET_TMPDIR"), "[TARGET]")
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The digest of a file.
pub(crate) fn digest(path: &Path) -> Digest {
    Digest::of(&fs::read(path).unwrap())
}

/// What is in a tar.gz: path to mode and contents; a link's contents are its target.
pub(crate) fn unpacked(path: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let file = fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            assert_eq!(
                (entry.header().uid().unwrap(), entry.header().gid().unwrap()),
                (0, 0)
            );
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            if let Some(target) = entry.link_name_bytes() {
                bytes = target.into_owned();
            }
            (path, (entry.header().mode().unwrap(), bytes))
        })
        .collect()
}
