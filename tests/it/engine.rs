//! Real containers. These need an engine with the images `python:3.11` and `python:3.11-slim`, and
//! are run by `.ci/run`: `cargo test -- --ignored engine`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::failing::{backends, failing};
use crate::support::hostile::{LIMITS, Prey};
use crate::support::index::{self, Behaviour};
use crate::support::python::python;
use crate::support::sandbox::{Sandbox, digest, names};
use crate::support::wheel::{WheelBuilder, project};

const ENGINES: [&str; 2] = ["docker", "podman"];
const LABEL: &str = "dev.prebuild.process";

/// Runs an engine's command, giving it `input`, and checks that it went well.
pub(crate) fn engine(engine: &str, args: &[&str], input: &[u8]) -> String {
    let output = try_engine(engine, args, input);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{engine} {args:?}:\n{out}{err}");
    out.into_owned()
}

fn try_engine(engine: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(engine)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    output
}

/// The containers that a process of ours started.
fn containers(name: &str, pid: u32) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let filter = format!("label={LABEL}={}:{pid}", host.trim());
    engine(name, &["ps", "-aq", "--filter", &filter], b"")
}

fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(path)
        .display()
        .to_string()
}

fn builder<'a>(engine: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            "--builder",
            engine,
            "--image",
            "python:3.11",
            "--network",
            "host",
        ][..],
        more,
    ]
    .concat()
}

/// The same wheels, the same Python: the same bytes, wherever pip ran.
#[test]
#[ignore = "needs a container engine"]
fn engine_builds_are_equal_to_local_ones() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("demo", "1.0")
        .file("demo/__init__.py", "def main(): pass\n")
        .console_script("demo", "demo:main")
        .data("scripts/tool", "#!python\n")
        .data("data/share/demo", "x")
        .build(&sandbox.links());
    project(&sandbox.work().join("proj"), "proj", "pass");
    sandbox.write("requirements.txt", "demo\n./proj\n");
    sandbox
        .offline(&[
            "requirements.txt",
            "--python",
            "3.11",
            "--compile",
            "-o",
            "local.tar.gz",
        ])
        .ok();
    for engine in ENGINES {
        let output = format!("{engine}.tar.gz");
        sandbox
            .offline(&builder(
                engine,
                &["requirements.txt", "--compile", "-o", &output],
            ))
            .ok();
        assert_eq!(
            digest(&sandbox.work().join(&output)),
            digest(&sandbox.work().join("local.tar.gz")),
            "{engine}"
        );
        assert_eq!(sandbox.left(), [""; 0]);
    }
}

/// The main job: a real web stack, built in `python:3.11`, works in `python:3.11-slim`.
#[test]
#[ignore = "needs a container engine"]
fn engine_web_stack_works_in_slim() {
    let web = repository("testdata/requirements/web.txt");
    let imports = fs::read(repository("tests/it/support/imports.py")).unwrap();
    for name in ENGINES {
        let sandbox = Sandbox::new();
        sandbox.run(&builder(name, &[&web, "-o", "deps.tar"])).ok();
        let tar = fs::read(sandbox.work().join("deps.tar")).unwrap();
        for (command, expected) in [
            (&["python3", "-"][..], "all importable"),
            (&["gunicorn", "--version"], "gunicorn"),
            (&["celery", "--version"], "5."),
            (&["alembic", "--help"], "usage: alembic"),
        ] {
            let create = [
                &["create", "-i", "--network", "none", "python:3.11-slim"][..],
                command,
            ]
            .concat();
            let id = engine(name, &create, b"").trim().to_owned();
            engine(name, &["cp", "-", &format!("{id}:/usr/local")], &tar);
            let output = try_engine(name, &["start", "-a", "-i", &id], &imports);
            engine(name, &["rm", "-f", &id], b"");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                text.contains(expected),
                "{name} {command:?}: {text}{errors}"
            );
        }
    }
}

/// H1 and H2: Debian's own Python, whose pip and whose `sys.path` go ways of their own.
#[test]
#[ignore = "needs a container engine"]
fn engine_h1_h2_debians_python_finds_what_it_built() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("demo", "1.0")
        .file("demo/__init__.py", "def main(): print('demo runs')\n")
        .console_script("demo", "demo:main")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    let image = "debian-python:bookworm";
    let args = [
        "requirements.txt",
        "--builder",
        "docker",
        "--image",
        image,
        "-o",
        "deps.tar",
    ];
    sandbox.offline(&args).ok();
    sandbox.write(
        "Dockerfile",
        format!("FROM {image}\nADD deps.tar /usr/local/\n"),
    );
    let context = sandbox.work().display().to_string();
    engine(
        "docker",
        &["build", "-q", "-t", "prebuild-test-debian", &context],
        b"",
    );
    let text = engine(
        "docker",
        &["run", "--rm", "prebuild-test-debian", "demo"],
        b"",
    );
    assert_eq!(text.trim(), "demo runs");
    engine("docker", &["rmi", "-f", "prebuild-test-debian"], b"");
}

/// Docker's own `ADD` takes every archive.
#[test]
#[ignore = "needs a container engine"]
fn engine_add_reads_every_archive() {
    let sandbox = Sandbox::new();
    let long = format!("demo/{}/{}.py", "d".repeat(120), "f".repeat(120));
    WheelBuilder::new("demo", "1.0")
        .file("demo/ü.py", "x")
        .file(&long, "y")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    let outputs = ["a.tar", "a.tar.gz", "a.tar.zst"];
    let args: Vec<&str> = outputs.iter().flat_map(|output| ["-o", output]).collect();
    sandbox
        .offline(&[&["requirements.txt", "--python", "3.11"][..], &args].concat())
        .ok();
    for output in outputs {
        sandbox.write(
            "Dockerfile",
            format!("FROM python:3.11-slim\nADD {output} /usr/local/\n"),
        );
        let context = sandbox.work().display().to_string();
        engine(
            "docker",
            &["build", "-q", "-t", "prebuild-test-add", &context],
            b"",
        );
        let script = format!(
            "import demo, os; d = demo.__path__[0]; print(sorted(os.listdir(d)), open(os.path.join(d, '..', '{long}')).read())"
        );
        let text = engine(
            "docker",
            &["run", "--rm", "prebuild-test-add", "python3", "-c", &script],
            b"",
        );
        assert!(
            text.contains("ü.py") && text.trim().ends_with('y'),
            "{output}: {text}"
        );
    }
    engine("docker", &["rmi", "-f", "prebuild-test-add"], b"");
}

#[test]
#[ignore = "needs a container engine"]
fn engine_failures_are_told_apart() {
    for name in ENGINES {
        let sandbox = Sandbox::new();
        sandbox.write("requirements.txt", "x\n");
        let image = [
            "requirements.txt",
            "--builder",
            name,
            "--image",
            "no-such-image:1",
        ];
        sandbox.run(&image).fails(3, &["no-such-image:1", "hint: "]);
        let python = builder(name, &["requirements.txt", "--python", "no-python"]);
        sandbox.run(&python).fails(3, &["no-python"]);
        let argument = builder(name, &["requirements.txt", "--engine-arg=--no-such-flag"]);
        sandbox.run(&argument).fails(1, &["--no-such-flag"]);
        assert_eq!(sandbox.left(), [""; 0]);
    }
}

/// Starts a build whose index never answers, and waits until pip runs in the container.
fn waiting(
    sandbox: &Sandbox,
    engine: &str,
) -> (std::process::Child, impl Iterator<Item = String> + use<>) {
    let mut child = sandbox
        .command(&builder(engine, &["requirements.txt"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    lines.find(|line| line.contains("resolve  pip")).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    (child, lines)
}

#[test]
#[ignore = "needs a container engine"]
fn engine_interrupts_and_deaths_leave_nothing() {
    for name in ENGINES {
        for (what, code) in [("INT", 130), ("TERM", 143), ("death", 1)] {
            let sandbox = Sandbox::new().env("PIP_INDEX_URL", index::start(Behaviour::Silent));
            sandbox.write("requirements.txt", "x\n");
            let (child, lines) = waiting(&sandbox, name);
            let pid = child.id();
            let ours = containers(name, pid);
            assert!(
                !ours.trim().is_empty(),
                "there is a container while the build runs"
            );
            if what == "death" {
                for id in ours.lines() {
                    engine(name, &["kill", id], b"");
                }
            } else {
                assert!(
                    Command::new("kill")
                        .args(["-s", what, &pid.to_string()])
                        .status()
                        .unwrap()
                        .success()
                );
            }
            let rest: Vec<_> = lines.collect();
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{name} {what}: {rest:?}");
            if what == "death" {
                assert!(
                    rest.iter().any(|line| line.contains("container ended")),
                    "{name}: {rest:?}"
                );
            }
            assert_eq!(containers(name, pid).trim(), "", "{name} {what}");
            assert_eq!(names(&sandbox.work()), ["requirements.txt"]);
            assert_eq!(sandbox.left(), [""; 0]);
        }
    }
}

/// What a killed run left behind is found by its label and removed by the next one; a container of
/// a run that lives is left alone.
#[test]
#[ignore = "needs a container engine"]
fn engine_leftovers_are_removed_by_the_next_run() {
    for name in ENGINES {
        let sandbox = Sandbox::new();
        WheelBuilder::new("demo", "1.0").build(&sandbox.links());
        sandbox.write("requirements.txt", "demo\n");
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let create = |pid: u32| {
            let label = format!("{LABEL}={}:{pid}", host.trim());
            engine(
                name,
                &["create", "--label", &label, "python:3.11-slim"],
                b"",
            )
            .trim()
            .to_owned()
        };
        let (dead, alive) = (create(4_194_303), create(std::process::id()));
        sandbox.offline(&builder(name, &["requirements.txt"])).ok();
        let exists = |id: &str| try_engine(name, &["inspect", id], b"").status.success();
        assert!(!exists(&dead) && exists(&alive), "{name}");
        engine(name, &["rm", "-f", &alive], b"");
    }
}

/// What a build lacks is named, with its package, by the build's own output in the log of a real pip.
#[test]
#[ignore = "needs a container engine"]
fn engine_names_what_builds_lack() {
    let install =
        "install it in the builder: `apt-get update && apt-get install -y --no-install-recommends";
    let (slim, whole) = ("python:3.11-slim", "python:3.11");
    let sandbox = Sandbox::new();
    backends(python(), &sandbox.links());
    for (name, image, said, hint) in [
        (
            "wants-header",
            whole,
            "needs the header `sasl/sasl.h`, which the builder does not have",
            format!("{install} libsasl2-dev`"),
        ),
        (
            "wants-library",
            whole,
            "needs the library `portaudio`, which the builder does not have",
            format!("{install} portaudio19-dev`"),
        ),
        (
            "wants-program",
            slim,
            "needs the program `pg_config`, which the builder does not have",
            format!("{install} libpq-dev`"),
        ),
        (
            "wants-compiler",
            slim,
            "has to be compiled, and the builder has no `gcc`",
            format!("{install} gcc libc6-dev`"),
        ),
        (
            "wants-pkg-config",
            slim,
            "needs the program `pkg-config`, which the builder does not have",
            format!("{install} pkg-config`"),
        ),
        (
            "wants-pkg-config",
            whole,
            "needs `portaudio-2.0`, which `pkg-config` does not find in the builder",
            format!("{install} portaudio19-dev`"),
        ),
        (
            "wants-cmake",
            slim,
            "needs the program `cmake`, which the builder does not have",
            format!("{install} cmake`"),
        ),
        (
            "wants-rust",
            slim,
            "has to be compiled, and the builder has no `cargo`",
            format!("{install} cargo rustc`; if that Rust is too old, install it with rustup"),
        ),
        (
            "wants-words",
            slim,
            "the build of `wants-words` failed: The Foo SDK is missing. Install it, then set FOO_HOME to its directory.",
            String::new(),
        ),
        (
            "wants-python",
            slim,
            "requires Python `>=3.99`, and the builder has 3.11.7",
            "use another version of it, or another Python".to_owned(),
        ),
        (
            "wants-setuptools",
            slim,
            "no version satisfies `setuptools>=999` (required by the build of `wants-setuptools`); \
             the latest are 68.2.2",
            "require a version that there is".to_owned(),
        ),
    ] {
        failing(name).pack(&sandbox.work().join("sources"), &sandbox.links());
        sandbox.write("requirements.txt", format!("{name}\n"));
        let engine = ["--builder", "docker", "--image", image, "requirements.txt"];
        let ran = sandbox.offline(&engine).fails(1, &[]);
        let (lines, told) = ran.told();
        let about = if said.contains(name) {
            String::new()
        } else {
            format!("`{name}` ")
        };
        let mut expected = format!("error: requirements.txt:1:1: {about}{said}\n");
        if !hint.is_empty() {
            expected.push_str(&format!("hint: {hint}\n"));
        }
        assert_eq!(told, expected, "{}", ran.stderr);
        // Why is seen without `-v`: what pip wrote to its log alone.
        assert!(
            !lines.is_empty() && lines.lines().count() <= 21,
            "{}",
            ran.stderr
        );
        if name == "wants-words" {
            assert!(lines.contains("The Foo SDK is missing."), "{lines}");
        }
        assert_eq!(sandbox.left(), [""; 0]);
    }
}

/// Each module of an artifact tries to get out of a container, and is named; nothing outside changes.
#[test]
#[ignore = "needs container engines"]
fn engine_containers_hold_hostile_modules() {
    let (sandbox, prey) = (Sandbox::new(), Prey::new());
    prey.wheel().build(&sandbox.links());
    sandbox.write("hostile.txt", "hostile==1.0\n");
    let build = [
        "hostile.txt",
        "--no-deps",
        "--python",
        "3.11",
        "-o",
        "a.tar",
    ];
    sandbox.offline(&build).ok();
    for engine in ENGINES {
        let verify = [
            "verify",
            "a.tar",
            "--runtime",
            "python:3.11-slim",
            "--builder",
            engine,
            "--image",
            "python:3.11",
            "--format",
            "json",
        ];
        let ran = sandbox.run(&[&verify[..], &LIMITS].concat());
        assert_eq!(ran.code, Some(4), "{}", ran.stderr);
        let proof: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let place = format!("a {engine} container without network");
        assert_eq!(proof["place"], place.as_str());
        assert_eq!(proof["compared_in"], place.as_str());
        let site = Path::new("/usr/local/lib/python3.11/site-packages");
        prey.survived(&proof, site, true);
        assert_eq!(sandbox.left(), [""; 0], "{engine}");
    }
}
