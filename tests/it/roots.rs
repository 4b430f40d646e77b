//! Root folders: what an engine exports of an image, and so without `/dev` and `/proc`. They are looked at,
//! and entered in a sandbox. These need Docker with the images that `.ci/world.sh` makes, and root:
//! `cargo test -- --ignored engine`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prebuild::runtime::Source;
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::engine;
use crate::runtime::{STANDARD, found, look, put_python};
use crate::support::hostile::{LIMITS, Prey};
use crate::support::sandbox::Sandbox;

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/locks/small.txt");

/// The root of an image, with nothing in `/dev` and `/proc`.
fn root(image: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let id = engine("docker", &["create", image, "true"], b"");
    let mut export = Command::new("docker")
        .args(["export", id.trim()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let unpacked = Command::new("tar")
        .args(["-xf", "-", "-C"])
        .arg(folder.path())
        .stdin(export.stdout.take().unwrap())
        .status();
    assert!(export.wait().unwrap().success() && unpacked.unwrap().success());
    engine("docker", &["rm", id.trim()], b"");
    for name in ["dev", "proc"] {
        fs::remove_dir_all(folder.path().join(name)).unwrap();
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

/// What the interpreter in a root says of itself.
fn said(root: &Path, python: &str) -> Value {
    let script = include_str!("support/runtime_facts.py");
    let mut child = Command::new("chroot")
        .arg(root)
        .args([python, "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, STANDARD.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A root folder that is mounted read-only for as long as the value is there.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn of(root: &Path, at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        for options in ["bind", "remount,ro,bind"] {
            let mount = Command::new("mount")
                .args(["-o", options])
                .args([root, at])
                .status();
            assert!(mount.unwrap().success());
        }
        Self(at.to_path_buf())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// All paths of a folder.
fn paths(folder: &Path) -> BTreeSet<String> {
    let found = Command::new("find").arg(folder).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

/// Facts are those that the interpreter inside tells, of an official image and of Debian's own Python.
#[test]
#[ignore = "needs a container engine"]
fn engine_roots_are_what_their_python_says() {
    for (image, python) in [
        ("python:3.11-slim", "/usr/local/bin/python3"),
        ("debian-python:bookworm", "/usr/bin/python3"),
    ] {
        let root = root(image);
        let runtime = look(Source::Root(root.path().to_path_buf()));
        let (said, found) = (said(root.path(), python), found(&runtime));
        for (name, value) in said.as_object().unwrap() {
            assert_eq!(value, &found[name], "{name} of {image}");
        }
        assert_eq!(runtime.facts.os.id, "debian");
        assert!(runtime.facts.packages.installed.contains_key("libc6"));
        let installed = &runtime.python.installed;
        assert!(
            installed.iter().any(|one| one.name == "setuptools"),
            "{image}"
        );
    }
}

/// Every engine tells the same of an image, and of its root the same is found.
#[test]
#[ignore = "needs container engines"]
fn engine_roots_are_what_engines_have() {
    let sandbox = Sandbox::new();
    let image = "python:3.11-slim";
    let facts = |args: &[&str]| -> Value {
        let args = [&["runtime", "--format", "json", "--no-cache"], args].concat();
        serde_json::from_str(&sandbox.run(&args).ok().stdout).unwrap()
    };
    let docker = facts(&[image, "--builder", "docker"]);
    assert_eq!(docker, facts(&[image, "--builder", "podman"]));
    let root = root(image);
    let folder = facts(&[root.path().to_str().unwrap()]);
    for name in ["os", "machine", "libc", "pythons", "loader", "packages"] {
        assert_eq!(docker[name], folder[name], "{name}");
    }
    assert_eq!(sandbox.left(), [""; 0]);
}

/// A root is left as it was, whether or not it can be written to.
#[test]
#[ignore = "needs a container engine"]
fn engine_roots_are_verified_in() {
    let sandbox = Sandbox::new();
    let root = root("python:3.11-slim");
    let before = paths(root.path());
    let at = root.path().display().to_string();
    let build = [SMALL, "--python", "3.11", "--runtime", &at, "-o", "a.tar"];
    sandbox.run(&build).ok();
    let verify = |at: &str| sandbox.run(&["verify", "a.tar", "--runtime", at]);
    let ran = verify(&at).ok();
    let good = "5 modules, 2 extension modules, 2 scripts and 0 entry points in";
    let well = "0 audit errors, 0 broken, 0 unverified, 0 optional\n";
    assert!(ran.stdout.starts_with(good), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(well), "{}", ran.stdout);
    let closed = ReadOnly::of(root.path(), &sandbox.work().join("closed"));
    let ran = verify(&closed.0.display().to_string()).ok();
    assert!(ran.stdout.starts_with(good), "{}", ran.stdout);
    // Without a sandbox, what is entered is a copy.
    let bare = ["verify", "a.tar", "--runtime", &at, "--unsafe-no-sandbox"];
    let ran = sandbox.run(&bare).ok();
    assert!(ran.stdout.starts_with(good), "{}", ran.stdout);
    assert!(ran.stderr.contains("place  no sandbox\n"), "{}", ran.stderr);
    assert_eq!(paths(root.path()), before);
    assert_eq!(sandbox.left(), [""; 0]);
    // What is damaged there is broken, though the builder, which has the same Python, can do it.
    let stdlib = root.path().join("usr/local/lib/python3.11");
    fs::remove_file(stdlib.join("mimetypes.py")).unwrap();
    let verify = ["verify", "a.tar", "--runtime", &at, "--python", "3.11"];
    let ran = sandbox.run(&verify);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let broken =
        "broken: requests: module requests: ModuleNotFoundError: No module named 'mimetypes'\n";
    assert!(ran.stderr.contains(broken), "{}", ran.stderr);
    // Nothing runs whose loader is not there.
    fs::remove_dir_all(root.path().join("lib64")).unwrap_or_else(|_| {
        fs::remove_file(root.path().join("lib64")).unwrap();
    });
    sandbox.run(&verify).fails(
        3,
        &[
            "cannot run the runtime's Python",
            "or name an image, for an engine",
        ],
    );
    assert_eq!(sandbox.left(), [""; 0]);
}

/// What is imported changes nothing of a root and of this machine, whatever it tries: there is no clean-up
/// that could follow its links.
#[test]
#[ignore = "needs a container engine"]
fn engine_roots_hold_hostile_modules() {
    let (sandbox, prey) = (Sandbox::new(), Prey::new());
    let root = root("python:3.11-slim");
    prey.wheel().build(&sandbox.links());
    let at = root.path().display().to_string();
    let build = [
        "-",
        "--no-deps",
        "--python",
        "3.11",
        "--runtime",
        &at,
        "-o",
        "a.tar",
    ];
    sandbox.write("hostile.txt", "hostile==1.0\n");
    let build = [&["hostile.txt"], &build[1..]].concat();
    sandbox.offline(&build).ok();
    let before = paths(root.path());
    let verify = [
        "verify",
        "a.tar",
        "--runtime",
        &at,
        "--python",
        "3.11",
        "--format",
        "json",
    ];
    let ran = sandbox.run(&[&verify[..], &LIMITS].concat());
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let site = Path::new("/usr/local/lib/python3.11/site-packages");
    prey.survived(&serde_json::from_str(&ran.stdout).unwrap(), site, false);
    assert_eq!(paths(root.path()), before);
    assert_eq!(sandbox.left(), [""; 0]);
}

/// Of an image without a shell, all is known; and what lies elsewhere than it looks proves nothing.
#[test]
#[ignore = "needs a container engine"]
fn engine_roots_need_no_shell() {
    let sandbox = Sandbox::new();
    let root = root("python:3.11-slim");
    for name in ["sh", "bash", "dash", "env"] {
        fs::remove_file(root.path().join("usr/bin").join(name)).unwrap();
    }
    let at = root.path().display().to_string();
    let build = [SMALL, "--python", "3.11", "--runtime", &at, "-o", "a.tar"];
    sandbox.run(&build).ok();
    let verify = ["verify", "a.tar", "--runtime", &at];
    sandbox.run(&verify).ok();
    // Distroless images have a file for each package instead of one list.
    let dpkg = root.path().join("var/lib/dpkg");
    let packages = || {
        let runtime = look(Source::Root(root.path().to_path_buf()));
        runtime.facts.packages.installed.into_keys()
    };
    let before: Vec<String> = packages().collect();
    fs::create_dir(dpkg.join("status.d")).unwrap();
    let status = fs::read_to_string(dpkg.join("status")).unwrap();
    for (number, paragraph) in status.split("\n\n").enumerate() {
        let lines = paragraph
            .lines()
            .filter(|line| !line.starts_with("Status:"));
        let text = lines.collect::<Vec<_>>().join("\n");
        fs::write(dpkg.join(format!("status.d/{number}")), text).unwrap();
        fs::write(dpkg.join(format!("status.d/{number}.md5sums")), "x").unwrap();
    }
    fs::remove_file(dpkg.join("status")).unwrap();
    assert_eq!(packages().collect::<Vec<_>>(), before);
    let other = root.path().join("usr/local");
    fs::rename(other.join("lib/python3.11"), other.join("lib/python3.12")).unwrap();
    for name in ["python3.11", "python3", "python"] {
        fs::rename(
            other.join("bin").join(name),
            other.join("bin").join(name.replace("11", "12")),
        )
        .unwrap();
    }
    let _ = fs::remove_file(other.join("bin/python3"));
    std::os::unix::fs::symlink("python3.12", other.join("bin/python3")).unwrap();
    sandbox.run(&verify).fails(
        4,
        &[
            "are in `lib/python3.11/site-packages`, and the runtime's Python searches `lib/python3.12/site-packages`",
            "build the artifact for this runtime",
        ],
    );
}

/// musl's loader is its C library, and says so; Alpine's packages are listed in one of two places.
#[test]
#[ignore = "needs musl"]
fn engine_roots_of_musl() {
    let sandbox = Sandbox::new();
    let root = sandbox.work().join("root");
    put_python(&root, "usr/local", "3.11");
    fs::create_dir_all(root.join("lib")).unwrap();
    fs::copy(
        "/lib/ld-musl-x86_64.so.1",
        root.join("lib/ld-musl-x86_64.so.1"),
    )
    .unwrap();
    let link = root.join("lib/libc.musl-x86_64.so.1");
    std::os::unix::fs::symlink("ld-musl-x86_64.so.1", link).unwrap();
    sandbox.write("root/etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n");
    sandbox.write(
        "root/etc/ld-musl-x86_64.path",
        "/lib\n/usr/local/lib:/opt/lib\n",
    );
    fs::create_dir_all(root.join("opt/lib")).unwrap();
    for place in ["lib/apk/db", "usr/lib/apk/db"] {
        sandbox.write(
            &format!("root/{place}/installed"),
            "C:Q1\nP:musl\nV:1.2.5-r0\n\nP:zlib\nV:1.3.1-r1\n",
        );
        let runtime = look(Source::Root(root.clone()));
        let facts = &runtime.facts;
        let libc = facts.libc.as_ref().unwrap().to_string();
        assert!(libc.starts_with("musl 1."), "{libc}");
        assert_eq!(facts.loader.folders, ["/lib", "/usr/local/lib", "/opt/lib"]);
        assert_eq!(facts.packages.installed["zlib"], "1.3.1-r1");
        fs::remove_dir_all(root.join(place)).unwrap();
    }
    let at = root.display().to_string();
    sandbox
        .run(&[SMALL, "--python", "3.11", "--runtime", &at])
        .fails(
            4,
            &[
                "wrong-libc: the builder has glibc, and the runtime has musl 1.",
                "--python 3.11 --platform musllinux_1_",
            ],
        );
}
