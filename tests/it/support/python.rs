//! A Python with a known pip, made once for all tests.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The pip that is the judge, and with it the `packaging` that it holds.
const PIP: &str = "26.3";

/// The interpreter of a virtual environment with [`PIP`].
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| with_pip(PIP))
}

/// The interpreter that `python3` starts, by its own path: the name may be that of a script of pyenv's.
pub(crate) fn itself() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let program = "import sys; print(sys.executable)";
        let asked = Command::new("python3").args(["-c", program]).output();
        let path = String::from_utf8(asked.unwrap().stdout).unwrap();
        PathBuf::from(path.trim())
    })
}

/// The interpreter of a virtual environment with this version of pip.
///
/// It is made on first use and kept beside the build, also for the next run. Test processes may
/// ask for it at once: a lock lets one of them make it, and it gets its name when it is whole.
pub(crate) fn with_pip(version: &str) -> PathBuf {
    made(&format!("pip-{version}"), Path::new("python3"), version)
}

/// The same, of an interpreter of pyenv's.
pub(crate) fn with_pip_of(interpreter: &Path, version: &str) -> PathBuf {
    let name = interpreter.ancestors().nth(2).and_then(Path::file_name);
    let name = name.unwrap().to_string_lossy();
    made(&format!("pip-{version}-of-{name}"), interpreter, version)
}

fn made(name: &str, interpreter: &Path, version: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let venv = folder.join(name);
    let lock = File::create(folder.join("venv.lock")).unwrap();
    lock.lock().unwrap();
    if !venv.exists() {
        make(&venv, interpreter, version);
    }
    venv.join("bin/python")
}

fn make(venv: &Path, interpreter: &Path, version: &str) {
    let unfinished = venv.with_extension("part");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).unwrap();
    }
    run(Command::new(interpreter)
        .args(["-m", "venv"])
        .arg(&unfinished));
    let python = unfinished.join("bin/python");
    run(Command::new(python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        &format!("pip=={version}"),
    ]));
    fs::rename(&unfinished, venv).unwrap();
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// pyenv's interpreters, by the names of their versions.
pub(crate) fn pyenv() -> Vec<(String, PathBuf)> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home);
    let folders = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let folders = folders.into_iter().flatten().map(|folder| folder.unwrap());
    folders
        .map(|folder| {
            let name = folder.file_name().into_string().unwrap();
            (name, folder.path().join("bin/python"))
        })
        .collect()
}

/// Runs a script of this folder over `input` and returns what it printed.
pub(crate) fn script(name: &str, folder: &Path, input: String) -> String {
    script_by(python(), name, folder, input)
}

/// The same, by some other interpreter.
pub(crate) fn script_by(python: &Path, name: &str, folder: &Path, input: String) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/support")
        .join(name);
    let mut child = Command::new(python)
        .arg(script)
        .current_dir(folder)
        .env_clear()
        .env("PYTHONIOENCODING", "utf-8")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Written from a thread: the script answers before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
