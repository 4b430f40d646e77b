//! Real images, built and run as the README has it. These need Docker with `BuildKit`, the images
//! `python:3.11`, `python:3.11-slim` and `debian-python:bookworm`, and an index, and are run by
//! `.ci/run`: `cargo test -- --ignored engine`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use prebuild::audit::{Dependencies, dependencies};
use prebuild::cache::{Cache, Place};
use prebuild::event::Cancel;
use prebuild::layout::Layout;
use prebuild::runtime::{Source, Wanted, normal};
use prebuild::tree::{RelPath, Tree};

use crate::engine::engine;
use crate::support::python;
use crate::support::sandbox::{Sandbox, names};
use crate::support::wheel::WheelBuilder;

const SMALL: &str = include_str!("../../benches/locks/small.txt");
const LINE: &str = "RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && \
    rm -rf /var/lib/apt/lists/*";
/// How a stage runs the program.
const BUILD: &str = "COPY prebuild /usr/local/bin/\nCOPY requirements.txt .\n\
    RUN --mount=type=cache,target=/root/.cache/prebuild";
const CHECK: &str = "import certifi, charset_normalizer, requests; print(requests.__file__)";
const SITE: &str = "/usr/local/lib/python3.11/site-packages/requests/__init__.py";

/// A folder to build images from; what is built goes with the value.
struct Desk {
    sandbox: Sandbox,
    tags: Vec<String>,
}

impl Desk {
    fn new(requirements: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("requirements.txt", requirements);
        // Without what only a debugger reads: it is sent to the engine again and again.
        let stripped = Command::new("strip")
            .args(["--strip-debug", "-o"])
            .arg(sandbox.work().join("prebuild"))
            .arg(env!("CARGO_BIN_EXE_prebuild"))
            .status();
        assert!(stripped.unwrap().success());
        let tags = Vec::new();
        Self { sandbox, tags }
    }

    fn try_build(&mut self, dockerfile: &str) -> (String, Output) {
        self.sandbox.write("Dockerfile", dockerfile);
        let number = self.tags.len();
        let tag = format!("prebuild-test-{}-{number}", std::process::id());
        let tag = format!(
            "{tag}-{}",
            self.sandbox
                .work()
                .ancestors()
                .nth(1)
                .unwrap()
                .file_name()
                .unwrap()
                .to_string_lossy()
                .trim_start_matches('.')
                .to_lowercase()
        );
        let output = Command::new("docker")
            .args([
                "build",
                "--network",
                "host",
                "--progress",
                "plain",
                "-t",
                &tag,
                ".",
            ])
            .current_dir(self.sandbox.work())
            .output()
            .unwrap();
        self.tags.push(tag.clone());
        (tag, output)
    }

    /// Builds an image.
    fn build(&mut self, dockerfile: &str) -> String {
        let (tag, output) = self.try_build(dockerfile);
        assert!(output.status.success(), "{dockerfile}\n{}", said(&output));
        tag
    }

    /// Builds nothing; returns what was printed.
    fn refused(&mut self, dockerfile: &str) -> String {
        let (_, output) = self.try_build(dockerfile);
        assert!(!output.status.success(), "{dockerfile}\n{}", said(&output));
        said(&output)
    }

    /// The program outside of containers.
    fn outside(&self, args: &[&str]) -> crate::support::sandbox::Ran {
        self.sandbox.run(args)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for tag in &self.tags {
            let _ = Command::new("docker").args(["rmi", "-f", tag]).output();
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Runs Python in an image, as nobody and with nothing to write to.
fn python_in(tag: &str, code: &str) -> String {
    let args = [
        "run",
        "--rm",
        "--network",
        "none",
        "--user",
        "1000:1000",
        "--read-only",
        tag,
    ];
    engine(
        "docker",
        &[&args[..], &["python3", "-c", code]].concat(),
        b"",
    )
}

/// 1 and 8: the classic, by the stage's name and by its number.
#[test]
#[ignore = "needs a container engine"]
fn engine_image_in_two_stages() {
    let mut desk = Desk::new(SMALL);
    for (name, from) in [(" AS builder", "builder"), ("", "0")] {
        let tag = desk.build(&format!(
            "FROM python:3.11{name}\n{BUILD} prebuild requirements.txt -o /install/\n\
             FROM python:3.11-slim\nCOPY --from={from} /install /usr/local\n"
        ));
        assert_eq!(python_in(&tag, CHECK).trim(), SITE);
        let script = [
            "run",
            "--rm",
            "--user",
            "1000:1000",
            "--read-only",
            &tag,
            "normalizer",
            "--version",
        ];
        assert!(engine("docker", &script, b"").contains("Charset-Normalizer"));
    }
}

/// 2 and 3: a tarball that was made outside.
#[test]
#[ignore = "needs a container engine"]
fn engine_image_of_a_tarball() {
    let mut desk = Desk::new(SMALL);
    desk.outside(&[
        "requirements.txt",
        "--builder",
        "docker",
        "--image",
        "python:3.11",
        "--network",
        "host",
        "--runtime",
        "python:3.11-slim",
        "-o",
        "deps.tar.gz",
    ])
    .ok();
    for dockerfile in [
        "FROM scratch AS deps\nADD deps.tar.gz /\nFROM python:3.11-slim\nCOPY --from=deps / /usr/local\n",
        "FROM python:3.11-slim\nADD deps.tar.gz /usr/local/\n",
    ] {
        let tag = desk.build(dockerfile);
        assert_eq!(python_in(&tag, CHECK).trim(), SITE);
    }
}

/// 4: the builder sees the runtime; a step of a build allows no sandbox, and is one itself.
#[test]
#[ignore = "needs a container engine"]
fn engine_image_with_its_runtime_mounted() {
    let mut desk = Desk::new(SMALL);
    let stages = |mount: &str, then: &str| {
        format!(
            "FROM python:3.11-slim AS runtime\nFROM python:3.11 AS builder\n{BUILD} \
             --mount=type=bind,from=runtime,target=/runtime{mount} \
             prebuild requirements.txt --runtime /runtime -o /install/{then}\n\
             FROM runtime\nCOPY --from=builder /install /usr/local\n"
        )
    };
    let tag = desk.build(&stages("", ""));
    assert_eq!(python_in(&tag, CHECK).trim(), SITE);
    let verify = " && { prebuild verify /install --runtime /runtime; test $? = 3; } \
                  && prebuild verify /install --runtime /runtime --unsafe-no-sandbox \
                  && test ! -e /runtime/usr/local/bin/normalizer";
    let (tag, output) = desk.try_build(&stages("", verify));
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("cannot create a sandbox: "), "{said}");
    assert_eq!(python_in(&tag, CHECK).trim(), SITE);
}

/// 5: Debian's own Python looks elsewhere, and scripts name it.
#[test]
#[ignore = "needs a container engine"]
fn engine_image_of_debians_python() {
    let mut desk = Desk::new(SMALL);
    let tag = desk.build(&format!(
        "FROM debian-python:bookworm AS runtime\nFROM python:3.11 AS builder\n{BUILD} \
         --mount=type=bind,from=runtime,target=/runtime \
         prebuild requirements.txt --runtime /runtime -o /install/\n\
         FROM runtime\nCOPY --from=builder /install /usr/local\n"
    ));
    let found = python_in(&tag, CHECK);
    assert_eq!(
        found.trim(),
        "/usr/local/lib/python3.11/dist-packages/requests/__init__.py"
    );
    let script = [
        "run",
        "--rm",
        &tag,
        "sh",
        "-c",
        "head -1 /usr/local/bin/normalizer; normalizer --version",
    ];
    let script = engine("docker", &script, b"");
    assert!(script.starts_with("#!/usr/bin/python3.11\n"), "{script}");
    assert!(script.contains("Charset-Normalizer"), "{script}");
}

/// 6: what is built from source wants a library that the runtime lacks.
#[test]
#[ignore = "needs a container engine"]
fn engine_image_that_lacks_a_library() {
    let mut desk = Desk::new("psycopg2==2.9.9\n");
    let stages = |line: &str, option: &str| {
        format!(
            "FROM python:3.11-slim AS runtime\n{line}\nFROM python:3.11 AS builder\n{BUILD} \
             --mount=type=bind,from=runtime,target=/runtime \
             prebuild requirements.txt --runtime /runtime {option} -o /install/\n\
             FROM runtime\nCOPY --from=builder /install /usr/local\n"
        )
    };
    let said = desk.refused(&stages("", ""));
    assert!(
        said.contains("needs `libpq.so.5`, which is missing in the runtime"),
        "{said}"
    );
    assert!(said.contains("for requirements.txt:1"), "{said}");
    assert!(said.contains(LINE), "{said}");
    assert!(said.contains("exit code: 4"), "{said}");
    let check = "import psycopg2; print(psycopg2.extensions.libpq_version() > 0)";
    let tag = desk.build(&stages(LINE, ""));
    assert_eq!(python_in(&tag, check).trim(), "True");
    let tag = desk.build(&stages("", "--bundle-libs"));
    assert_eq!(python_in(&tag, check).trim(), "True");
    // What was relinked is in RECORD as it is now.
    let record = "import base64, csv, hashlib, importlib.metadata as m; d = m.distribution('psycopg2'); \
        print(all(f.hash is None or f.hash.value == base64.urlsafe_b64encode(hashlib.sha256(\
        f.locate().read_bytes()).digest()).rstrip(b'=').decode() for f in d.files))";
    assert_eq!(python_in(&tag, record).trim(), "True");

    desk.outside(&[
        "requirements.txt",
        "--builder",
        "docker",
        "--image",
        "python:3.11",
        "--network",
        "host",
        "--runtime",
        "python:3.11-slim",
        "--write-packages",
        "packages.txt",
    ])
    .fails(4, &[LINE]);
    let work = desk.sandbox.work();
    assert_eq!(
        fs::read_to_string(work.join("packages.txt")).unwrap(),
        "libpq5\n"
    );
    assert!(!names(&work).contains(&"deps.tar.gz".to_owned()));
    assert_eq!(desk.sandbox.left(), [""; 0]);
}

/// The path of an extension module of some interpreter of this machine.
fn extension_module() -> PathBuf {
    let interpreter = python::pyenv()
        .into_iter()
        .find(|(name, _)| name.starts_with("3.11."));
    let (_, interpreter) = interpreter.expect("CI has a CPython 3.11 of pyenv's");
    let folder = interpreter
        .ancestors()
        .nth(2)
        .unwrap()
        .join("lib/python3.11/lib-dynload");
    let name = names(&folder)
        .into_iter()
        .find(|name| name.starts_with("_socket."));
    folder.join(name.unwrap())
}

/// Other text of the same length in a file.
fn patched(path: &Path, from: &str, to: &str) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let places: Vec<_> = memchr::memmem::find_iter(&bytes, from.as_bytes()).collect();
    assert!(!places.is_empty() && from.len() == to.len());
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// 7: too new a C library, another Python, a script for the builder's interpreter.
#[test]
#[ignore = "needs a container engine"]
fn engine_image_is_refused() {
    let sandbox = Sandbox::new();
    let module = extension_module();
    let name = module.file_name().unwrap().to_string_lossy().into_owned();
    let newer = patched(&module, "GLIBC_2.2.5\0", "GLIBC_9.9.9\0");
    WheelBuilder::new("newer", "1.0")
        .platform("cp311-cp311-manylinux_2_17_x86_64")
        .file(&format!("newer/{name}"), newer)
        .build(&sandbox.links());
    WheelBuilder::new("script", "1.0")
        .data("scripts/tool", "#!/opt/only-here/bin/python3\n")
        .build(&sandbox.links());
    WheelBuilder::new("plain", "1.0")
        .file("plain.py", "")
        .build(&sandbox.links());
    let refused = |requirement: &str, python: &str, said: &[&str]| {
        sandbox.write("requirements.txt", requirement);
        let args = [
            "requirements.txt",
            "--python",
            python,
            "--runtime",
            "python:3.11-slim",
        ];
        sandbox.offline(&args).fails(4, said);
        assert_eq!(names(&sandbox.work()), ["requirements.txt"]);
    };
    refused(
        "newer",
        "3.11",
        &[
            "missing-version: newer 1.0 (for requirements.txt:1)",
            "needs GLIBC_9.9.9 of `libc.so.6`, and the runtime's goes up to GLIBC_2.36",
        ],
    );
    refused(
        "script",
        "3.11",
        &[
            "missing-interpreter: script 1.0",
            "is a script for `/opt/only-here/bin/python3`",
        ],
    );
    refused(
        "plain",
        "3.12",
        &["wrong-python: the builder has Python 3.12, and the runtime has 3.11"],
    );
}

/// What `ldd` says in a container of each file, by the names under which libraries are needed.
fn by_ldd(tag: &str, tar: &[u8]) -> BTreeMap<String, Dependencies> {
    let script = "cd /usr/local && find . -type f -name '*.so*' | sort | \
        while read -r file; do echo \"== $file\"; ldd \"$file\" 2>/dev/null; done; exit 0";
    let create = ["create", "--network", "none", tag, "sh", "-c", script];
    let id = engine("docker", &create, b"").trim().to_owned();
    engine("docker", &["cp", "-", &format!("{id}:/usr/local")], tar);
    let text = engine("docker", &["start", "-a", &id], b"");
    engine("docker", &["rm", "-f", &id], b"");
    let mut found: BTreeMap<String, Dependencies> = BTreeMap::new();
    let mut file = String::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("== ./") {
            path.clone_into(&mut file);
        } else if let Some((name, path)) = line.trim().split_once(" => ") {
            let path = path.split(" (").next().unwrap();
            let path = (path != "not found").then(|| normal(path));
            found
                .entry(file.clone())
                .or_default()
                .insert(name.to_owned(), path);
        }
    }
    found
}

/// Every library that every file comes to is the one that the runtime's own loader takes.
#[test]
#[ignore = "needs a container engine"]
fn engine_image_resolves_libraries_as_ldd() {
    for (set, least) in [("web", 60), ("sci", 350)] {
        let sandbox = Sandbox::new();
        let lock = format!("{}/benches/locks/{set}.txt", env!("CARGO_MANIFEST_DIR"));
        let slim = "python:3.11-slim";
        let args = [
            &lock,
            "--python",
            "3.11",
            "--runtime",
            slim,
            "-o",
            "deps.tar",
            "-o",
            "deps/",
        ];
        sandbox.run(&args).ok();
        let facts = sandbox.run(&["runtime", slim, "--format", "json"]).ok();
        let facts = sandbox.write("facts.json", facts.stdout);
        let place = Place::temporary(sandbox.tmp());
        let cancel = Cancel::new();
        let cache = Cache::open(&place, &|_| {}, &cancel).unwrap();
        let wanted = Wanted {
            source: Source::Json(facts),
            python: None,
        };
        let runtime = wanted.look(&cache, &cancel).unwrap();
        let layout = Layout::new(None, &runtime.python, None).unwrap();
        let tree = Tree::read(&sandbox.work().join("deps")).unwrap();
        let ours = dependencies(&tree, &layout, &runtime);
        let ldd = by_ldd(slim, &fs::read(sandbox.work().join("deps.tar")).unwrap());
        let (mut files, mut compared) = (0, 0);
        for (file, theirs) in &ldd {
            // The image has libraries of its own.
            let Some(ours) = ours.get(&RelPath::new(file).unwrap()) else {
                continue;
            };
            files += 1;
            for (name, path) in theirs {
                // The loader itself has no `=>`, and is told by its path.
                let path = path.as_ref().map(|path| runtime.facts.real(path));
                assert_eq!(ours.get(name), Some(&path), "{set}: {name} of {file}");
                compared += 1;
            }
        }
        eprintln!("{set}: {files} files, {compared} libraries");
        assert!(files >= least, "{set}: {files}");
    }
}
