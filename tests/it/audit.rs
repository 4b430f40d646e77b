//! Artifacts that are broken on purpose, one for each kind of finding, and the loader's rules: by the real
//! program, against facts about an interpreter of this machine, some of them changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::python;
use crate::support::sandbox::{Ran, Sandbox, names};
use crate::support::wheel::{WheelBuilder, project};

/// What is known of the interpreter that the tests build with.
fn facts() -> &'static Value {
    static FACTS: OnceLock<Value> = OnceLock::new();
    FACTS.get_or_init(|| {
        let interpreter = python::python().display().to_string();
        let ran = Sandbox::new()
            .run(&["runtime", &interpreter, "--format", "json"])
            .ok();
        let mut facts: Value = serde_json::from_str(&ran.stdout).unwrap();
        // The one that was named; there may be others in this machine's folders.
        let pythons = facts["pythons"].as_array_mut().unwrap();
        pythons.retain(|one| one["names"].to_string().contains(&interpreter));
        facts
    })
}

/// The ending of extension modules.
fn suffix() -> String {
    facts()["pythons"][0]["suffixes"][0]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A build that is audited.
struct Case {
    sandbox: Sandbox,
    facts: Value,
    args: Vec<String>,
}

impl Case {
    /// Of these wheels, each of which is required on a line of its own.
    fn new(wheels: Vec<WheelBuilder>) -> Self {
        let sandbox = Sandbox::new();
        let mut requirements = Vec::new();
        for wheel in wheels {
            let path = wheel.build(&sandbox.links());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // Pinned, so that most cases need no pip, which takes a second each time.
            let parts: Vec<&str> = name.split('-').collect();
            requirements.push(format!("{}=={}", parts[0], parts[1]));
        }
        sandbox.write("requirements.txt", requirements.join("\n"));
        Self {
            sandbox,
            facts: facts().clone(),
            args: Vec::new(),
        }
    }

    fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Against other facts.
    fn facts(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.facts);
        self
    }

    fn run(&self, more: &[&str]) -> Ran {
        self.sandbox.write("facts.json", self.facts.to_string());
        let interpreter = python::python().display().to_string();
        let mut args = vec!["--python", &interpreter, "--runtime", "facts.json"];
        args.extend(self.args.iter().map(String::as_str));
        if !self.args.iter().any(|arg| arg.ends_with(".toml")) {
            args.push("requirements.txt");
        }
        args.extend(more);
        self.sandbox.offline(&args)
    }

    /// Runs it; all that was found.
    fn findings(&self, more: &[&str]) -> Vec<Value> {
        let ran = self.run(&[more, &["--format", "json"]].concat()).ok();
        let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
        summary["findings"].as_array().unwrap().clone()
    }

    /// It is refused for one thing, and nothing is written; allowed, it is built, and says so. Returns all
    /// that the refusal says.
    fn refused(&self, kind: &str) -> String {
        let text = format!("  {kind}: ");
        let said = self.run(&[]).fails_with(4);
        assert!(said.contains(&text) && said.contains("1 error"), "{said}");
        assert!(!names(&self.sandbox.work()).contains(&"deps.tar.gz".to_owned()));
        assert_eq!(self.sandbox.left(), [""; 0]);
        let other = self.run(&["--allow", "damaged-code:nothing"]);
        assert!(other.fails_with(4).contains(&text), "{}", other.stderr);
        let findings = self.findings(&["--allow", kind]);
        let found = findings.iter().find(|one| one["kind"] == kind).unwrap();
        assert_eq!(
            (&found["severity"], &found["allowed"]),
            (&"warning".into(), &true.into())
        );
        said
    }

    /// It is built, with this to say of it.
    fn told(&self, kind: &str, severity: &str) -> Value {
        let findings = self.findings(&[]);
        let found = findings.iter().find(|one| one["kind"] == kind);
        let found = found.unwrap_or_else(|| panic!("no {kind} in {findings:?}"));
        assert_eq!(found["severity"], severity, "{found}");
        found.clone()
    }

    /// There is nothing to say.
    fn sound(&self) {
        assert_eq!(self.findings(&[]), [Value::Null; 0]);
    }
}

/// A wheel of one package.
fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0").file("demo/__init__.py", "")
}

/// A wheel for the interpreter's platform.
fn native(files: &[(&str, &Path)]) -> WheelBuilder {
    let mut wheel = demo().platform("cp311-cp311-linux_x86_64");
    for (path, from) in files {
        wheel = wheel.file(path, fs::read(from).unwrap());
    }
    wheel
}

/// Compiles a shared object; `args` are the compiler's.
fn shared(folder: &Path, name: &str, code: &str, args: &[&str]) -> PathBuf {
    let source = folder.join(format!("{name}.c"));
    fs::write(&source, code).unwrap();
    let path = folder.join(name);
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&path)
        .arg(&source)
        .arg(format!("-L{}", folder.display()))
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    path
}

/// The path of an extension module in a wheel.
fn module(stem: &str) -> String {
    format!("demo/{stem}{}", suffix())
}

const EMPTY: &str = "int unused;";
const CALLS: &str = "int f(void); int g(void) { return f(); }";
const IS_F: &str = "int f(void) { return 1; }";

/// A library that is not in the wheel, and an extension module that needs it.
fn lacking(folder: &Path, soname: &str, args: &[&str]) -> PathBuf {
    shared(
        folder,
        "liblacked.so",
        IS_F,
        &[&format!("-Wl,-soname,{soname}")],
    );
    shared(folder, "ext.so", CALLS, &[&["-llacked"], args].concat())
}

#[test]
fn what_is_sound_has_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let ext = shared(folder.path(), "ext.so", EMPTY, &[]);
    let wheel = demo()
        .platform("cp311-cp311-manylinux_2_17_x86_64")
        .file(&module("ext"), fs::read(ext).unwrap())
        .file(
            "demo/a.py",
            "import os, sys, json, sqlite3, ssl, zlib, ctypes\n",
        )
        .data("scripts/tool", "#!/bin/sh\n")
        .console_script("demo", "demo:main")
        .requires("other>=1");
    let other = WheelBuilder::new("other", "1.0").file("other.py", "import demo\n");
    Case::new(vec![wheel, other]).sound();
}

#[test]
fn missing_library() {
    let folder = tempfile::tempdir().unwrap();
    let ext = lacking(folder.path(), "libpq.so.5", &[]);
    let case = Case::new(vec![native(&[(&module("ext"), &ext)])]).facts(|facts| {
        facts["os"] = serde_json::json!({ "id": "debian", "version_id": "99", "name": "" });
        // This machine may have it.
        facts["loader"]["cache"]
            .as_object_mut()
            .unwrap()
            .remove("libpq.so.5");
        let libraries = facts["loader"]["libraries"].as_object_mut().unwrap();
        libraries.retain(|_, elf| elf["soname"] != "libpq.so.5");
    });
    insta::assert_snapshot!(case.refused("missing-library"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-library: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-311-x86_64-linux-gnu.so` needs `libpq.so.5`, which is missing in the runtime; its package `libpq5` has it
        help: install `libpq5` in the runtime, or copy the library: `--bundle-libs`
    hint: add this line to the runtime stage of the Dockerfile
    RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
    hint: see docs/reference/findings.md#missing-library
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    assert_eq!(
        case.findings(&["--allow", "missing-library:libpq.so.5"])
            .len(),
        1
    );
    insta::assert_snapshot!(case.run(&["--allow", "missing-library:libother.so.1"]).fails_with(4), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-library: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-311-x86_64-linux-gnu.so` needs `libpq.so.5`, which is missing in the runtime; its package `libpq5` has it
        help: install `libpq5` in the runtime, or copy the library: `--bundle-libs`
    hint: add this line to the runtime stage of the Dockerfile
    RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
    hint: see docs/reference/findings.md#missing-library
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    case.run(&["--write-packages", "packages.txt"])
        .fails(4, &[]);
    let packages = fs::read_to_string(case.sandbox.work().join("packages.txt")).unwrap();
    assert_eq!(packages, "libpq5\n");
}

/// The line is one that the runtime's own package manager takes, whatever the name of a library is.
#[test]
fn missing_libraries_are_installed_as_the_runtime_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let said = |database: &str, id: &str, programs: &[&str], soname: &str| -> String {
        let ext = lacking(folder.path(), soname, &[]);
        let case = Case::new(vec![native(&[(&module("ext"), &ext)])]).facts(|facts| {
            facts["os"] = serde_json::json!({ "id": id, "version_id": "1", "name": "" });
            facts["packages"]["database"] = database.into();
            facts["programs"]
                .as_array_mut()
                .unwrap()
                .extend(programs.iter().map(|name| (*name).into()));
        });
        let ran = case.run(&[]);
        assert_eq!(ran.code, Some(4), "{}", ran.stderr);
        let line = ran.stderr.lines().find(|line| line.starts_with("RUN "));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(
        said("apk", "alpine", &[], "liblacked.so.1"),
        "RUN apk add --no-cache so:liblacked.so.1"
    );
    assert_eq!(
        said("rpm", "fedora", &["/usr/bin/microdnf"], "liblacked.so.1"),
        "RUN microdnf install -y 'liblacked.so.1()(64bit)' && microdnf clean all"
    );
    assert_eq!(
        said("rpm", "sles", &["/usr/bin/zypper"], "lib;'x.so.1"),
        r"RUN zypper --non-interactive install --no-recommends 'lib;'\''x.so.1()(64bit)' && zypper clean --all"
    );
    assert_eq!(said("dpkg", "debian", &[], "liblacked.so.1"), "");
    // Nor does a terminal obey what a wheel brings.
    let ext = lacking(folder.path(), "lib\u{1b}[2Jx.so.1", &[]);
    let case = Case::new(vec![native(&[(&module("ext"), &ext)])]);
    let ran = case.with(&["--color", "always"]).run(&[]);
    let said = "needs `lib\u{fffd}[2Jx.so.1`";
    assert!(ran.stderr.contains(said), "{:?}", ran.stderr);
}

#[test]
fn missing_version() {
    let folder = tempfile::tempdir().unwrap();
    let code = "extern int pthread_create(); int g(void) { return pthread_create(0, 0, 0, 0); }";
    let ext = shared(folder.path(), "ext.so", code, &[]);
    let version = "GLIBC_2.34";
    let case = Case::new(vec![native(&[(&module("ext"), &ext)])]).facts(|facts| {
        for elf in facts["loader"]["libraries"]
            .as_object_mut()
            .unwrap()
            .values_mut()
        {
            let defines = elf["defines"].as_array_mut().unwrap();
            defines.retain(|name| {
                let name = name.as_str().unwrap();
                !name.starts_with("GLIBC_2.3") || name == "GLIBC_2.3"
            });
        }
    });
    let said = case
        .refused("missing-version")
        .replace(version, "[VERSION]");
    insta::assert_snapshot!(said, @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-version: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-311-x86_64-linux-gnu.so` needs [VERSION] of `libc.so.6`, and the runtime's goes up to GLIBC_2.29
        help: use a newer runtime, or pin another version; if the builder compiled it, use a builder as old as the runtime
    hint: see docs/reference/findings.md#missing-version
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    // musl has no versions, and looks at none.
    let case = case.facts(|facts| facts["libc"]["family"] = "musl".into());
    let findings = case.findings(&["--allow", "wrong-libc"]);
    assert!(
        !findings.iter().any(|one| one["kind"] == "missing-version"),
        "{findings:?}"
    );
}

#[test]
fn wrong_machine() {
    let folder = tempfile::tempdir().unwrap();
    let ext = shared(folder.path(), "ext.so", EMPTY, &[]);
    let mut bytes = fs::read(&ext).unwrap();
    bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
    fs::write(&ext, &bytes).unwrap();
    let case = Case::new(vec![native(&[(&module("ext"), &ext)])]);
    insta::assert_snapshot!(case.refused("wrong-machine"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      wrong-machine: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-311-x86_64-linux-gnu.so` is for aarch64, and the runtime is x86_64
        help: pin a version that has a wheel for the runtime, or use another runtime
    hint: see docs/reference/findings.md#wrong-machine
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    // What brings code for the runtime too knows what it does.
    let good = shared(folder.path(), "good.so", EMPTY, &[]);
    let both = native(&[(&module("good"), &good), ("demo/other.so", &ext)]);
    Case::new(vec![both]).told("wrong-machine", "note");
}

#[test]
fn wrong_libc() {
    let folder = tempfile::tempdir().unwrap();
    let ext = lacking(folder.path(), "libc.musl-x86_64.so.1", &[]);
    let case = Case::new(vec![native(&[(&module("ext"), &ext)])]);
    insta::assert_snapshot!(case.refused("wrong-libc"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      wrong-libc: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-311-x86_64-linux-gnu.so` is built for `libc.musl-x86_64.so.1`, and the runtime has glibc 2.36
        help: pin a version that has a wheel for the runtime, or use another runtime
    hint: see docs/reference/findings.md#wrong-libc
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

#[test]
fn not_searched() {
    let case = Case::new(vec![demo()]).with(&["--dest", "/opt/elsewhere"]);
    insta::assert_snapshot!(case.refused("not-searched"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      not-searched: the runtime's Python does not search `/opt/elsewhere/lib/python3.11/site-packages`; it searches [TARGET]/pip-26.3/lib/python3.11/site-packages
        help: remove `--dest`: prebuild takes it from the runtime
    hint: see docs/reference/findings.md#not-searched
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

#[test]
fn not_imported() {
    let folder = tempfile::tempdir().unwrap();
    let ext = shared(folder.path(), "ext.so", EMPTY, &[]);
    let other = "demo/ext.cpython-39-x86_64-linux-gnu.so";
    let case = Case::new(vec![native(&[(other, &ext)])]);
    insta::assert_snapshot!(case.refused("not-imported"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      not-imported: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-39-x86_64-linux-gnu.so` ends in `.cpython-39-x86_64-linux-gnu.so`, which the runtime's Python does not import: it imports .cpython-311-x86_64-linux-gnu.so, .abi3.so, .so
        help: pin a version that has a wheel for the runtime, or use another runtime
    hint: see docs/reference/findings.md#not-imported
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    // One for each Python, among them the right one.
    let both = native(&[(other, &ext), (&module("ext"), &ext)]);
    let findings = Case::new(vec![both]).findings(&[]);
    assert!(
        !findings.iter().any(|one| one["kind"] == "not-imported"),
        "{findings:?}"
    );
}

/// The Python of the runtime is another one, which the user says is right.
#[test]
fn old_python_and_wrong_python() {
    let wheel = demo().platform("cp311-abi3-linux_x86_64");
    let older = |facts: &mut Value| facts["pythons"][0]["version"] = "3.9".into();
    let case = Case::new(vec![wheel]).facts(older);
    insta::assert_snapshot!(case.run(&[]).fails_with(4), @r"
     builder  [BUILDER]
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      wrong-python: the builder has Python 3.11, and the runtime has 3.9
        help: build with the runtime's Python: `--python 3.9`, or a builder image that has it
    hint: see docs/reference/findings.md#wrong-python
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let case = case.with(&["--allow", "wrong-python"]);
    insta::assert_snapshot!(case.refused("old-python"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      old-python: demo 1.0 (for requirements.txt:1): its wheel is for `cp311-abi3-linux_x86_64`, and the runtime has Python 3.9
        help: pin a version that has a wheel for the runtime, or use another runtime
    hint: see docs/reference/findings.md#old-python
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

#[test]
fn requires_python() {
    let wheel = demo().metadata("Requires-Python: !=3.11.99");
    let case = Case::new(vec![wheel])
        .facts(|facts| facts["pythons"][0]["full_version"] = "3.11.99".into());
    insta::assert_snapshot!(case.refused("requires-python"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      requires-python: demo 1.0 (for requirements.txt:1): requires Python !=3.11.[X], and the runtime has 3.11.[X]
        help: pin a version that has a wheel for the runtime, or use another runtime
    hint: see docs/reference/findings.md#requires-python
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

#[test]
fn missing_module() {
    let without = |facts: &mut Value| {
        let modules = facts["pythons"][0]["modules"].as_array_mut().unwrap();
        modules.retain(|name| name != "imp");
    };
    // The same, whoever installs.
    for installer in ["wheel", "pip"] {
        let wheel = WheelBuilder::new("demo", "1.0")
            .file("demo/__init__.py", "from . import a\n")
            .file("demo/a.py", "\"\"\"\nimport nis\n\"\"\"\nimport imp\n")
            .requires("other");
        let other = WheelBuilder::new("other", "1.0").file("other.py", "");
        let case = Case::new(vec![wheel, other]).facts(without);
        let case = case.with(&["--installer", installer]);
        insta::assert_snapshot!(case.refused("missing-module"));
    }
    // What is never imported with the package, or need not be there, stops nothing.
    let wheel = demo().file("demo/late.py", "import imp\n");
    Case::new(vec![wheel])
        .facts(without)
        .told("missing-module", "note");
    // Below a namespace every package is a top-level one.
    let wheel = WheelBuilder::new("demo", "1.0").file("space/demo/__init__.py", "import imp\n");
    let case = Case::new(vec![wheel]).facts(without);
    insta::assert_snapshot!(case.refused("missing-module"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-module: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/space/demo/__init__.py` imports `imp`, which is missing in the runtime's standard library
        help: pin a version that does not import it, or use a runtime that has it
    hint: see docs/reference/findings.md#missing-module
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let wheel = demo().file(
        "demo.py",
        "try:\n    import imp\nexcept ImportError:\n    imp = None\n",
    );
    Case::new(vec![wheel]).facts(without).sound();
}

#[test]
fn pkg_resources_without_setuptools() {
    let wheel = || WheelBuilder::new("demo", "1.0").file("demo.py", "import pkg_resources\n");
    let case = Case::new(vec![wheel()]).facts(with_installed(&[]));
    insta::assert_snapshot!(case.refused("missing-module"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-module: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo.py` imports `pkg_resources`, which is missing, as is `setuptools`, which contains it
        help: require `setuptools<82`, which contains it
    hint: see docs/reference/findings.md#missing-module
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let setuptools = WheelBuilder::new("setuptools", "80.0").file("pkg_resources/__init__.py", "");
    Case::new(vec![wheel(), setuptools])
        .facts(with_installed(&[]))
        .sound();
    // Images of Python up to 3.11 bring it.
    Case::new(vec![wheel()])
        .facts(with_installed(&[("setuptools", "65.5.0", "pkg_resources")]))
        .sound();
}

/// Facts about a runtime in which these distributions lie: name, version, module.
fn with_installed(distributions: &[(&str, &str, &str)]) -> impl FnOnce(&mut Value) {
    let site = facts()["pythons"][0]["site_packages"][0].clone();
    let installed: Vec<Value> = distributions
        .iter()
        .map(|(name, version, _)| {
            let metadata = format!("{}/{name}-{version}.dist-info", site.as_str().unwrap());
            serde_json::json!({
                "name": name, "version": version, "folder": site, "metadata": metadata, "files": [],
            })
        })
        .collect();
    let modules: Vec<Value> = distributions.iter().map(|one| one.2.into()).collect();
    |facts| {
        facts["pythons"][0]["installed"] = installed.into();
        facts["pythons"][0]["installed_modules"] = modules.into();
    }
}

/// What is copied over another version removes nothing of it; what the runtime has meets requirements.
#[test]
fn already_there() {
    let old = with_installed(&[("demo", "0.9", "demo"), ("pip", "23.2.1", "pip")]);
    let case = Case::new(vec![demo()]).facts(|facts| {
        old(facts);
        facts["path"] = serde_json::json!(["/usr/local/bin", "/usr/bin"]);
        facts["programs"] = serde_json::json!(["/usr/local/bin/pip"]);
        facts["pythons"][0]["names"] = serde_json::json!(["/usr/local/bin/python3"]);
    });
    let found = case.told("already-there", "warning");
    assert_eq!(found["version"], "0.9");
    let line =
        |line: &str| format!("add this line to the runtime stage of the Dockerfile: `RUN {line}`");
    assert_eq!(found["remedy"], line("pip uninstall -y demo"));
    let ran = case.run(&["-o", "other.tar"]).ok();
    assert!(ran.stderr.contains("help: add this line"), "{}", ran.stderr);
    // `pip` on the PATH is another Python's, and this one is the distribution's.
    let case = case.facts(|facts| {
        facts["programs"] = serde_json::json!(["/usr/bin/pip"]);
        facts["pythons"][0]["executable"] = "/opt/python3.11".into();
        facts["pythons"][0]["files"] =
            serde_json::json!(["/opt/lib/python3.11/EXTERNALLY-MANAGED"]);
    });
    let found = case.told("already-there", "warning");
    let by = "/opt/python3.11 -m pip uninstall -y --break-system-packages demo";
    assert_eq!(found["remedy"], line(by));
    // Without pip, its metadata goes; what a package manager has brought, that removes.
    let alone = with_installed(&[("demo", "0.9", "demo")]);
    let case = Case::new(vec![demo()]).facts(alone);
    let metadata = case.facts["pythons"][0]["installed"][0]["metadata"].clone();
    let metadata = metadata.as_str().unwrap();
    let found = case.told("already-there", "warning");
    assert_eq!(found["remedy"], line(&format!("rm -r {metadata}")));
    let case = case.facts(|facts| {
        facts["packages"]["database"] = "dpkg".into();
        facts["packages"]["files"] =
            serde_json::json!({ metadata: { "METADATA": "python3-demo" } });
    });
    let found = case.told("already-there", "warning");
    assert_eq!(found["remedy"], line("apt-get purge -y python3-demo"));
    Case::new(vec![demo()])
        .facts(with_installed(&[("demo", "1.0.0", "demo")]))
        .sound();
    let case = Case::new(vec![demo().requires("other>=2")])
        .with(&["--no-deps"])
        .facts(with_installed(&[("other", "2.1", "other")]));
    case.sound();
}

/// An extension module of the standard library is there, and a library that it needs is not: that is what is missing,
/// and its package.
#[test]
fn modules_that_lack_a_library_name_it() {
    let wheel = WheelBuilder::new("demo", "1.0").file("demo/__init__.py", "import tkinter\n");
    let case = Case::new(vec![wheel]).facts(without_tk);
    insta::assert_snapshot!(case.refused("missing-library"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-library: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/__init__.py` imports `tkinter`, which needs `libtk8.6.so`, which is missing in the runtime; its package `libtk8.6` has it
        help: install `libtk8.6` in the runtime
    hint: add this line to the runtime stage of the Dockerfile
    RUN apt-get update && apt-get install -y --no-install-recommends libtk8.6 && rm -rf /var/lib/apt/lists/*
    hint: see docs/reference/findings.md#missing-library
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    // In the distribution's own Python, the module is in a package of its own.
    let wheel = WheelBuilder::new("demo", "1.0").file("demo/__init__.py", "import tkinter\n");
    let case = Case::new(vec![wheel]).facts(|facts| {
        without_tk(facts);
        facts["packages"]["database"] = "dpkg".into();
        facts["pythons"][0]["lacking"] = serde_json::json!({});
        facts["pythons"][0]["prefix"] = "/usr".into();
    });
    let case = case.with(&["--dest", "/usr"]);
    insta::assert_snapshot!(case.run(&["--allow", "not-searched", "--allow", "missing-interpreter"]).fails_with(4), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    warning: the runtime's Python does not search `/usr/lib/python3.11/site-packages`; it searches [TARGET]/pip-26.3/lib/python3.11/site-packages
        help: remove `--dest`: prebuild takes it from the runtime
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-module: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/__init__.py` imports `tkinter`, which is missing in the runtime's standard library; its package `python3-tk` has it
        help: install `python3-tk` in the runtime
    hint: add this line to the runtime stage of the Dockerfile
    RUN apt-get update && apt-get install -y --no-install-recommends python3-tk && rm -rf /var/lib/apt/lists/*
    hint: see docs/reference/findings.md#missing-module
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    // As pillow has it: a module that nothing imports with the rest.
    let wheel = demo().file("demo/late.py", "import tkinter\n");
    let case = Case::new(vec![wheel]).facts(without_tk);
    assert_eq!(case.told("missing-library", "note")["module"], "tkinter");
    let ran = case
        .run(&["--write-packages", "packages.txt", "-o", "other.tar"])
        .ok();
    assert!(!ran.stderr.contains("RUN"), "{}", ran.stderr);
    assert_eq!(
        fs::read_to_string(case.sandbox.work().join("packages.txt")).unwrap(),
        ""
    );
    // As tqdm has it.
    let guarded = "try:\n    import tkinter\nexcept ImportError:\n    tkinter = None\n";
    Case::new(vec![
        WheelBuilder::new("demo", "1.0").file("demo/__init__.py", guarded),
    ])
    .facts(without_tk)
    .sound();
}

fn without_tk(facts: &mut Value) {
    facts["os"] = serde_json::json!({ "id": "debian", "version_id": "12", "name": "" });
    let python = &mut facts["pythons"][0];
    let modules = python["modules"].as_array_mut().unwrap();
    modules.retain(|name| name != "tkinter" && name != "_tkinter");
    python["lacking"] =
        serde_json::json!({ "tkinter": ["libtk8.6.so"], "_tkinter": ["libtk8.6.so"] });
}

/// A runtime of Debian 12, without the libraries of these names.
fn without_libraries(names: &'static [&str]) -> impl FnOnce(&mut Value) {
    |facts| {
        facts["os"] = serde_json::json!({ "id": "debian", "version_id": "12", "name": "" });
        let is_one = |name: &str| names.iter().any(|one| name.starts_with(one));
        let cache = facts["loader"]["cache"].as_object_mut().unwrap();
        cache.retain(|name, _| !is_one(name));
        let libraries = facts["loader"]["libraries"].as_object_mut().unwrap();
        libraries.retain(|path, _| !is_one(path.rsplit('/').next().unwrap()));
    }
}

/// Libraries that Python code opens by their names.
#[test]
fn libraries_that_are_opened_by_name() {
    let without = || without_libraries(&["libmagic.", "libcairo."]);
    for installer in ["wheel", "pip"] {
        let code = "import ctypes.util\npath = ctypes.util.find_library('magic')\nif not path:\n    raise ImportError\n";
        let case = Case::new(vec![
            WheelBuilder::new("demo", "1.0").file("demo/__init__.py", code),
        ])
        .facts(without())
        .with(&["--installer", installer]);
        insta::assert_snapshot!(case.refused("missing-library"));
    }
    let code = "import ctypes\ntry:\n    ctypes.CDLL('libcairo-2.dll')\nexcept OSError:\n    ctypes.CDLL('libcairo.so.2')\n";
    let case = Case::new(vec![
        WheelBuilder::new("demo", "1.0").file("demo/__init__.py", code),
    ])
    .facts(without());
    insta::assert_snapshot!(case.refused("missing-library"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-library: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/__init__.py` opens `libcairo.so.2`, which is missing in the runtime; its package `libcairo2` has it
        help: install `libcairo2` in the runtime
    hint: add this line to the runtime stage of the Dockerfile
    RUN apt-get update && apt-get install -y --no-install-recommends libcairo2 && rm -rf /var/lib/apt/lists/*
    hint: see docs/reference/findings.md#missing-library
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    // In a function that is called later; it is said, with its package, and stops nothing.
    let code = "import ctypes\ndef late():\n    return ctypes.CDLL('libcairo.so.2')\n";
    let case = Case::new(vec![
        WheelBuilder::new("demo", "1.0").file("demo/__init__.py", code),
    ])
    .facts(without());
    case.told("missing-library", "warning");
    let ran = case
        .run(&["--write-packages", "packages.txt", "-o", "other.tar"])
        .ok();
    let line = "add this line to the runtime stage of the Dockerfile\nRUN apt-get update && apt-get install -y \
                --no-install-recommends libcairo2 && rm -rf /var/lib/apt/lists/*";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    let packages = fs::read_to_string(case.sandbox.work().join("packages.txt")).unwrap();
    assert_eq!(packages, "libcairo2\n");
    // What the runtime or the prefix has is no finding, nor what is handled.
    let code = "import ctypes\nctypes.CDLL('libc.so.6')\nctypes.CDLL(ctypes.util.find_library('c'))\n\
                try:\n    ctypes.CDLL('libcairo.so.2')\nexcept OSError:\n    pass\n";
    Case::new(vec![
        WheelBuilder::new("demo", "1.0").file("demo/__init__.py", code),
    ])
    .facts(without())
    .sound();
    let folder = tempfile::tempdir().unwrap();
    let library = shared(
        folder.path(),
        "libcairo.so",
        EMPTY,
        &["-Wl,-soname,libcairo.so.2"],
    );
    let wheel = native(&[("demo/libcairo.so.2", &library)]).file(
        "use_demo.py",
        "import ctypes\nctypes.CDLL('libcairo.so.2')\n",
    );
    Case::new(vec![wheel]).facts(without()).sound();
}

/// As Django has it: a part of a distribution that nothing imports opens a library. It is a note, and nobody is to
/// install a package for it.
#[test]
fn libraries_of_parts_that_nothing_imports_are_notes() {
    let case = Case::new(vec![
        WheelBuilder::new("demo", "1.0")
            .file("demo/__init__.py", "from demo.core import x\n")
            .file("demo/core.py", "import os\nx = 1\n")
            .file("demo/gis/__init__.py", "")
            .file(
                "demo/gis/geos.py",
                "import ctypes\nlib = ctypes.CDLL('libcairo.so.2')\n",
            ),
    ])
    .facts(without_libraries(&["libcairo."]));
    let found = case.told("missing-library", "note");
    assert_eq!(found["package"], "libcairo2");
    let ran = case
        .run(&["--write-packages", "packages.txt", "-o", "other.tar"])
        .ok();
    assert!(!ran.stderr.contains("RUN "), "{}", ran.stderr);
    let packages = fs::read_to_string(case.sandbox.work().join("packages.txt")).unwrap();
    assert_eq!(packages, "");
}

/// Some wheels on indexes say `linux_x86_64` inside, and their file names are for manylinux; what comes from an index
/// was not built here, whatever it is called.
#[test]
fn wheels_of_an_index_were_not_built_here() {
    let renamed = WheelBuilder::new("demo", "1.0").file("demo/__init__.py", "");
    Case::new(vec![renamed.platform("cp311-cp311-linux_x86_64")]).sound();
    let case = Case::new(Vec::new());
    let given = case.sandbox.work().join("given");
    fs::create_dir(&given).unwrap();
    let wheel = native(&[]).build(&given);
    let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
    case.sandbox
        .write("requirements.txt", format!("./given/{name}\n"));
    case.told("built-here", "warning");
}

/// A library of its own that a distribution opens by a path when it is imported is as important as a module.
#[test]
fn libraries_that_are_opened_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let library = lacking(folder.path(), "libgomp.so.1", &[]);
    let with = |code: &str| {
        let wheel = native(&[("demo/lib/lib_demo.so", &library)]).file("use_demo.py", code);
        Case::new(vec![wheel]).facts(without_libraries(&["libgomp."]))
    };
    let open = "import ctypes, os\ndef load():\n    here = os.path.dirname(__file__)\n    \
                return ctypes.CDLL(os.path.join(here, 'demo', 'lib', 'lib_demo.so'))\n";
    let case = with(&format!("{open}LIB = load()\n"));
    insta::assert_snapshot!(case.refused("missing-library"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-library: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/lib/lib_demo.so` needs `libgomp.so.1`, which is missing in the runtime; its package `libgomp1` has it
        help: install `libgomp1` in the runtime, or copy the library: `--bundle-libs`
    hint: add this line to the runtime stage of the Dockerfile
    RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
    hint: see docs/reference/findings.md#missing-library
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    case.run(&["--write-packages", "packages.txt"])
        .fails(4, &[]);
    let packages = fs::read_to_string(case.sandbox.work().join("packages.txt")).unwrap();
    assert_eq!(packages, "libgomp1\n");
    // Opened later, it is a warning, whose package is said too.
    let case = with(open);
    case.told("missing-library", "warning");
    let ran = case
        .run(&["--write-packages", "packages.txt", "-o", "other.tar"])
        .ok();
    assert!(
        ran.stderr.contains("--no-install-recommends libgomp1 &&"),
        "{}",
        ran.stderr
    );
    let packages = fs::read_to_string(case.sandbox.work().join("packages.txt")).unwrap();
    assert_eq!(packages, "libgomp1\n");
}

/// Facts about an official image, as far as they bear on what may be replaced.
fn official(facts: &mut Value) {
    let prefix = facts["pythons"][0]["prefix"].as_str().unwrap().to_owned();
    let site = facts["pythons"][0]["site_packages"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let at = |path: &str| format!("{prefix}/{path}");
    facts["pythons"][0]["files"] = serde_json::json!([
        at("bin/python3.11"),
        at("bin/python3"),
        at("lib/python3.11/os.py"),
        at("lib/libpython3.11.so.1.0"),
    ]);
    facts["pythons"][0]["installed"] = serde_json::json!([{
        "name": "pip", "version": "23.2.1", "folder": site, "metadata": format!("{site}/pip-23.2.1.dist-info"),
        "files": [at("bin/pip"), format!("{site}/pip/__init__.py")],
    }]);
    facts["path"] = serde_json::json!([at("bin"), "/usr/bin", "/bin"]);
    facts["links"] = serde_json::json!({ "/bin": "usr/bin", "/lib64": "usr/lib64" });
    facts["packages"] = serde_json::json!({
        "database": "dpkg", "installed": {},
        "files": { "/usr/bin": { "dash": "dash", "sh": "dash", "diff": "diffutils", "env": "coreutils" } },
    });
    let programs = facts["programs"].as_array_mut().unwrap();
    for program in ["/usr/bin/sh", "/usr/bin/diff", "/usr/bin/env"] {
        programs.push(program.into());
    }
    programs.extend([at("bin/pip"), at("bin/python3"), at("bin/tini")].map(Value::from));
}

/// What is copied into an image wins: a file of the runtime's Python, or of its packages, must not be replaced.
#[test]
fn replaces_runtime() {
    let script = "#!/bin/sh\n";
    let prefix = facts()["pythons"][0]["prefix"].as_str().unwrap().to_owned();
    for (path, said) in [
        (
            "data/bin/python3.11",
            "replaces `[PREFIX]/bin/python3.11` of the runtime's Python",
        ),
        (
            "scripts/python3",
            "replaces `[PREFIX]/bin/python3` of the runtime's Python",
        ),
        (
            "data/lib/python3.11/os.py",
            "replaces `[PREFIX]/lib/python3.11/os.py` of the runtime's Python",
        ),
        (
            "data/lib/libpython3.11.so.1.0",
            "replaces `[PREFIX]/lib/libpython3.11.so.1.0` of the runtime's Python",
        ),
        (
            "scripts/pip",
            "replaces `[PREFIX]/bin/pip` of the runtime's distribution `pip`",
        ),
        (
            "scripts/sh",
            "hides `/usr/bin/sh` of the runtime's package `dash`: it comes first on the PATH",
        ),
        (
            "scripts/env",
            "hides `/usr/bin/env` of the runtime's package `coreutils`",
        ),
        (
            "data/lib/python3.11/site-packages/pip/__init__.py",
            "pip/__init__.py` of the runtime's distribution `pip`",
        ),
    ] {
        let case = Case::new(vec![demo().data(path, script)]).facts(official);
        let said = said.replace("[PREFIX]", &prefix);
        case.refused("replaces-runtime");
        case.run(&[]).fails(4, &[&said]);
    }
    // Nobody knows whose it is, and a name that means little may come first.
    let case = Case::new(vec![demo().data("scripts/tini", script)]).facts(official);
    case.told("replaces-runtime", "warning");
    let quiet = demo()
        .data("scripts/diff", script)
        .data("scripts/pipx", script);
    Case::new(vec![quiet]).facts(official).sound();
    // A distribution may replace its own files.
    let pip = WheelBuilder::new("pip", "24.0")
        .file("pip/__init__.py", "")
        .data("scripts/pip", script);
    let findings = Case::new(vec![pip]).facts(official).findings(&[]);
    let kinds: Vec<_> = findings
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["already-there"]);
    // Through a link of the runtime, and where the prefix lies elsewhere.
    let linked = |facts: &mut Value| {
        official(facts);
        facts["links"] = serde_json::json!({ "/opt/there": "/usr" });
    };
    let case = Case::new(vec![demo().data("data/bin/diff", script)]).facts(linked);
    let case = case.with(&["--dest", "/opt/there"]);
    insta::assert_snapshot!(case.run(&["--allow", "not-searched"]).fails_with(4), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    warning: the runtime's Python does not search `/opt/there/lib/python3.11/site-packages`; it searches [TARGET]/pip-26.3/lib/python3.11/site-packages
        help: remove `--dest`: prebuild takes it from the runtime
    warning: demo 1.0 (for requirements.txt:1): `bin/diff` is a script for `/bin/sh`, which is missing in the runtime
        help: install it in the runtime
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      replaces-runtime: demo 1.0 (for requirements.txt:1): `bin/diff` replaces `/usr/bin/diff` of the runtime's package `diffutils`
        help: remove the distribution, or pin a version without this file
    hint: see docs/reference/findings.md#replaces-runtime
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let case = Case::new(vec![demo().data("scripts/python3", script)]).facts(official);
    let case = case.with(&["--dest", "/opt/other"]);
    insta::assert_snapshot!(case.run(&["--allow", "not-searched"]).fails_with(4), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    warning: the runtime's Python does not search `/opt/other/lib/python3.11/site-packages`; it searches [TARGET]/pip-26.3/lib/python3.11/site-packages
        help: remove `--dest`: prebuild takes it from the runtime
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      replaces-runtime: demo 1.0 (for requirements.txt:1): `bin/python3` hides `[PYTHON]` of the runtime's Python: it comes first on the PATH
        help: remove the distribution, or pin a version without this file
    hint: see docs/reference/findings.md#replaces-runtime
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

/// Programs that well-known distributions start are good to know of.
#[test]
fn missing_programs() {
    let pydub = || WheelBuilder::new("pydub", "0.25.1").file("pydub/__init__.py", "");
    let debian = |facts: &mut Value| {
        facts["os"] = serde_json::json!({ "id": "debian", "version_id": "12", "name": "" });
        let programs = facts["programs"].as_array_mut().unwrap();
        programs.retain(|path| !path.as_str().unwrap().ends_with("/ffmpeg"));
    };
    let case = Case::new(vec![pydub()]).facts(debian);
    let found = case.told("missing-program", "note");
    assert_eq!(
        (&found["program"], &found["package"]),
        (&"ffmpeg".into(), &"ffmpeg".into())
    );
    let ran = case.run(&["-o", "other.tar"]).ok();
    let said = "pydub 0.25.1 (for requirements.txt:1): starts `ffmpeg` to read and write audio other than WAV, and `ffmpeg` is missing in the runtime; its package `ffmpeg` has it";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(!ran.stderr.contains("RUN"), "{}", ran.stderr);
    // The runtime has it, or the prefix brings it.
    Case::new(vec![pydub()])
        .facts(|facts| {
            facts["path"] = serde_json::json!(["/usr/bin"]);
            facts["programs"]
                .as_array_mut()
                .unwrap()
                .push("/usr/bin/avconv".into());
        })
        .sound();
    let other = WheelBuilder::new("other", "1.0").data("scripts/ffmpeg", "#!/bin/sh\n");
    Case::new(vec![pydub(), other]).facts(debian).sound();
}

/// `sqlite3` is nothing without the extension module that some builds of Python lack.
#[test]
fn modules_without_their_parts_are_missing() {
    let sandbox = Sandbox::new();
    let home = sandbox.work().join("root/usr/local");
    let stdlib = home.join("lib/python3.11");
    fs::create_dir_all(home.join("bin")).unwrap();
    fs::create_dir_all(stdlib.join("lib-dynload")).unwrap();
    fs::create_dir_all(stdlib.join("distutils")).unwrap();
    fs::copy(python::python(), home.join("bin/python3.11")).unwrap();
    for name in [
        "os.py",
        "ssl.py",
        "bz2.py",
        "distutils/__init__.py",
        "lib-dynload/_bz2.so",
    ] {
        fs::write(stdlib.join(name), "").unwrap();
    }
    let modules = || -> Vec<String> {
        let ran = sandbox.run(&["runtime", "root", "--format", "json"]).ok();
        let facts: Value = serde_json::from_str(&ran.stdout).unwrap();
        serde_json::from_value(facts["pythons"][0]["modules"].clone()).unwrap()
    };
    assert_eq!(modules(), ["_bz2", "bz2", "os"]);
    fs::write(stdlib.join("lib-dynload/_ssl.so"), "").unwrap();
    fs::write(stdlib.join("distutils/core.py"), "").unwrap();
    assert_eq!(modules(), ["_bz2", "_ssl", "bz2", "distutils", "os", "ssl"]);
}

#[test]
fn missing_interpreter() {
    let wheel = demo().data("scripts/tool", "#!/opt/only-here/python3\n");
    insta::assert_snapshot!(Case::new(vec![wheel]).refused("missing-interpreter"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-interpreter: demo 1.0 (for requirements.txt:1): `bin/tool` is a script for `/opt/only-here/python3`, which is missing in the runtime
        help: install it in the runtime
    hint: see docs/reference/findings.md#missing-interpreter
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let wheel = demo().data("scripts/tool", "#!/usr/bin/env no-such-shell\n");
    Case::new(vec![wheel]).told("missing-interpreter", "warning");
}

#[test]
fn path_file() {
    let wheel = demo().file("demo.pth", "# a comment\nimport sys\n/builder/src\n");
    insta::assert_snapshot!(Case::new(vec![wheel]).refused("path-file"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      path-file: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo.pth` adds the missing directory `/builder/src` to the search path
        help: install it from a wheel: a path to a source directory is for development
    hint: see docs/reference/findings.md#path-file
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let wheel = demo().file("demo.pth", "demo\n");
    Case::new(vec![wheel]).sound();
}

#[test]
fn unmet_requirement() {
    let case = Case::new(vec![demo().requires("other>=2")]).with(&["--no-deps"]);
    case.told("unmet-requirement", "warning");
    // A lock file says all, and nobody has held it against what it names.
    let case = Case::new(vec![demo().requires("other>=2")]);
    let wheel = case.sandbox.links().join("demo-1.0-py3-none-any.whl");
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"demo\"\nversion = \"1.0\"\n\
         wheels = [{{ name = \"demo-1.0-py3-none-any.whl\", path = \"{}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
        wheel.display(),
        crate::support::sandbox::digest(&wheel).hex(),
    );
    case.sandbox.write("pylock.toml", lock);
    let case = case.with(&["pylock.toml"]);
    insta::assert_snapshot!(case.refused("unmet-requirement"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
     install  1 wheel
    download  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      unmet-requirement: demo 1.0: requires `other>=2`, which is missing
        help: require `other>=2`, or lock again
    hint: see docs/reference/findings.md#unmet-requirement
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

#[test]
fn secret() {
    let case = Case::new(Vec::new());
    let hook = "os.listdir = lambda _: ['https://user:s3cr%40t-pass@index.example/']";
    project(&case.sandbox.work().join("proj"), "proj", hook);
    case.sandbox.write("requirements.txt", "./proj\n");
    let case = Case {
        sandbox: case.sandbox.env(
            "PIP_EXTRA_INDEX_URL",
            "https://user:s3cr%40t-pass@index.example/",
        ),
        ..case
    };
    let ran = case.run(&[]);
    assert!(!ran.stderr.contains("s3cr"), "{}", ran.stderr);
    insta::assert_snapshot!(case.refused("secret"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
     resolve  pip [VERSION]: `./proj` must be built from source
     install  1 wheel
     install  pip [VERSION]: 1 to build
    warning: built from source: proj; their bytes may differ from build to build
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      secret: proj 1.0: `lib/python3.11/site-packages/proj.py` contains credentials of this build
        help: keep the credentials out of the files of its build; prebuild wrote no artifact
    hint: see docs/reference/findings.md#secret
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    // A password that no variable names.
    let case = Case::new(Vec::new());
    let hook = "os.listdir = lambda _: ['s3cret-of-netrc']";
    project(&case.sandbox.work().join("proj"), "proj", hook);
    case.sandbox.write("requirements.txt", "./proj\n");
    case.sandbox.write(
        "../home/.netrc",
        "machine index.example login user password s3cret-of-netrc\n",
    );
    insta::assert_snapshot!(case.refused("secret"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
     resolve  pip [VERSION]: `./proj` must be built from source
     install  1 wheel
     install  pip [VERSION]: 1 to build
    warning: built from source: proj; their bytes may differ from build to build
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      secret: proj 1.0: `lib/python3.11/site-packages/proj.py` contains credentials of this build
        help: keep the credentials out of the files of its build; prebuild wrote no artifact
    hint: see docs/reference/findings.md#secret
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

#[test]
fn damaged_code() {
    let folder = tempfile::tempdir().unwrap();
    let ext = shared(folder.path(), "ext.so", EMPTY, &[]);
    let bytes = fs::read(&ext).unwrap();
    fs::write(&ext, &bytes[..200]).unwrap();
    let case = Case::new(vec![native(&[(&module("ext"), &ext)])]);
    insta::assert_snapshot!(case.refused("damaged-code"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      damaged-code: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-311-x86_64-linux-gnu.so` cannot be loaded: its program headers lie outside the file
        help: pin another version, or build it from source: `--no-binary`
    hint: see docs/reference/findings.md#damaged-code
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

#[test]
fn warnings_stop_nothing() {
    let wheel = demo().file("typing.py", "");
    let found = Case::new(vec![wheel]).told("shadows-standard", "warning");
    assert_eq!(found["module"], "typing");
    let one = |name: &str| WheelBuilder::new(name, "1.0").file("shared.py", name);
    Case::new(vec![one("a"), one("b")]).told("conflict", "warning");
    let wheel = demo().file("demo/A.py", "").file("b/B.py", "");
    let other = WheelBuilder::new("other", "1.0").file("demo/a.py", "");
    Case::new(vec![wheel, other]).told("case-collision", "warning");
    let case = Case::new(Vec::new());
    let hook = "os.listdir = lambda _: ['/tmp/pip-install-abc_1/proj/proj.c']";
    project(&case.sandbox.work().join("proj"), "proj", hook);
    case.sandbox.write("requirements.txt", "./proj\n");
    case.told("built-here", "warning");
    let found = case.told("build-folder", "warning");
    assert_eq!(found["folder"], "/tmp/pip-install-abc_1/proj/proj.c");
}

#[test]
fn kinds_that_are_none_are_told() {
    let case = Case::new(vec![demo()]);
    insta::assert_snapshot!(case.run(&["--allow", "missing-librarie"]).fails_with(2), @"error: --allow missing-librarie: unknown finding; expected one of damaged-code, missing-interpreter, missing-library, missing-module, missing-version, not-imported, not-searched, old-python, path-file, replaces-runtime, requires-python, secret, unmet-requirement, wrong-libc, wrong-machine, wrong-python");
    case.sandbox.write("facts.json", "{}");
    let ran = case
        .sandbox
        .offline(&["requirements.txt", "--runtime", "facts.json"]);
    insta::assert_snapshot!(ran.fails_with(2), @r"
     builder  [BUILDER]
    error: `[WORK]/facts.json` is not a JSON file of `prebuild runtime`
      caused by: missing field `version` at line 1 column 2
    hint: `prebuild runtime IMAGE|ROOT --format json` writes such a file
    ");
    let ran = case
        .sandbox
        .offline(&["requirements.txt", "--runtime-python", "3.11"]);
    insta::assert_snapshot!(ran.fails_with(2), @"error: --runtime-python needs --runtime");
    let ran = case.run(&["--runtime-python", "3.99"]);
    insta::assert_snapshot!(ran.fails_with(2), @r"
     builder  [BUILDER]
    error: Python `3.99` not found in the runtime `[WORK]/facts.json`
    hint: name one of its interpreters with `--runtime-python X.Y` or `--runtime-python PATH`; `prebuild runtime` shows them
    ");
}

/// A library in a folder of its own, one that needs it, and an extension module that needs that one.
fn chain(folder: &Path, search: &str) -> Vec<(String, PathBuf)> {
    let deep = shared(folder, "libdeep.so", IS_F, &["-Wl,-soname,libdeep.so.1"]);
    let middle = shared(
        folder,
        "libmiddle.so",
        CALLS,
        &["-ldeep", "-Wl,-soname,libmiddle.so.1"],
    );
    let code = "int g(void); int h(void) { return g(); }";
    let link = format!("-Wl,-rpath-link,{}", folder.display());
    let ext = shared(
        folder,
        "ext.so",
        code,
        &["-lmiddle", &link, search, "-Wl,-rpath,$ORIGIN/../demo.libs"],
    );
    vec![
        ("demo.libs/libdeep.so.1".to_owned(), deep),
        ("demo.libs/libmiddle.so.1".to_owned(), middle),
        (module("ext"), ext),
    ]
}

fn wheel_of(files: &[(String, PathBuf)]) -> WheelBuilder {
    let files: Vec<(&str, &Path)> = files
        .iter()
        .map(|(path, from)| (path.as_str(), from.as_path()))
        .collect();
    native(&files)
}

/// An RPATH counts for what is loaded further down; a RUNPATH does not.
#[test]
fn an_rpath_is_inherited_and_a_runpath_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = chain(folder.path(), "-Wl,--disable-new-dtags");
    Case::new(vec![wheel_of(&files)]).sound();
    let files = chain(folder.path(), "-Wl,--enable-new-dtags");
    let found = Case::new(vec![wheel_of(&files)]).told("missing-library", "warning");
    assert_eq!(found["library"], "libdeep.so.1");
    assert!(
        found["elsewhere"]
            .to_string()
            .contains("demo.libs/libdeep.so.1"),
        "{found}"
    );
}

/// What is loaded already is not searched for again: the second way to it may be closed.
#[test]
fn a_library_that_is_loaded_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = chain(folder.path(), "-Wl,--enable-new-dtags");
    let code = "int f(void); int g(void); int h(void) { return f() + g(); }";
    let args = [
        "-Wl,--no-as-needed",
        "-ldeep",
        "-lmiddle",
        "-Wl,--enable-new-dtags",
        "-Wl,-rpath,$ORIGIN/../demo.libs",
    ];
    files[2].1 = shared(folder.path(), "ext.so", code, &args);
    Case::new(vec![wheel_of(&files)]).sound();
}

/// `lib` of the prefix is searched only through the loader's cache, which knows nothing of it yet.
#[test]
fn lib_of_the_prefix_is_searched_only_after_ldconfig() {
    let folder = tempfile::tempdir().unwrap();
    let ext = lacking(folder.path(), "liblacked.so.1", &[]);
    let library = fs::read(folder.path().join("liblacked.so")).unwrap();
    let wheel = || {
        native(&[(&module("ext"), &ext)]).file("demo-1.0.data/data/lib/liblacked.so.1", &library)
    };
    let found = Case::new(vec![wheel()]).told("missing-library", "warning");
    assert_eq!(found["elsewhere"], "lib/liblacked.so.1");
    // After `ldconfig`, it does.
    let case = Case::new(vec![wheel()]).facts(|facts| {
        let prefix = facts["pythons"][0]["prefix"].as_str().unwrap();
        facts["loader"]["cache"]["liblacked.so.1"] = format!("{prefix}/lib/liblacked.so.1").into();
    });
    case.sound();
}

/// Libraries without versions, and versions that may be missing, are warned of, as by the loader.
#[test]
fn versions_that_may_be_missing_are_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map");
    fs::write(&map, "V_1 { global: f; };").unwrap();
    let script = format!("-Wl,--version-script={}", map.display());
    shared(
        folder.path(),
        "liblacked.so",
        IS_F,
        &["-Wl,-soname,liblacked.so.1", &script],
    );
    let ext = shared(
        folder.path(),
        "ext.so",
        CALLS,
        &["-llacked", "-Wl,-rpath,$ORIGIN"],
    );
    let with = |library: &Path| {
        let wheel = native(&[(&module("ext"), &ext), ("demo/liblacked.so.1", library)]);
        Case::new(vec![wheel])
    };
    let plain = shared(
        folder.path(),
        "plain.so",
        IS_F,
        &["-Wl,-soname,liblacked.so.1"],
    );
    with(&plain).told("missing-version", "warning");
    fs::write(&map, "V_2 { global: f; };").unwrap();
    let other = shared(
        folder.path(),
        "other.so",
        IS_F,
        &["-Wl,-soname,liblacked.so.1", &script],
    );
    insta::assert_snapshot!(with(&other).refused("missing-version"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-version: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/ext.cpython-311-x86_64-linux-gnu.so` needs V_1 of `liblacked.so.1`, and the runtime's goes up to V_2
        help: use a newer runtime, or pin another version; if the builder compiled it, use a builder as old as the runtime
    hint: see docs/reference/findings.md#missing-version
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
}

/// An optional back end: its package does without it.
#[test]
fn optional_modules_and_drivers_of_the_host_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ext = lacking(folder.path(), "liblacked.so.1", &[]);
    let wheel = native(&[(&module("backend"), &ext)]).file(
        "demo/use.py",
        "try:\n    from . import backend\nexcept ImportError:\n    pass\n",
    );
    Case::new(vec![wheel]).told("missing-library", "note");
    // As numba has it: in a function, below other conditions; and in a module that is imported so.
    let pool = "def select(name):\n    if name == 'omp':\n        try:\n            from demo import backend as lib\n        \
                except (ImportError, RuntimeError):\n            lib = None\n        return lib\n";
    let wheel = native(&[(&module("backend"), &ext)]).file("demo/use.py", pool);
    Case::new(vec![wheel]).told("missing-library", "note");
    let wheel = native(&[(&module("backend"), &ext)])
        .file("demo/fast.py", "from . import backend\n")
        .file(
            "demo/use.py",
            "try:\n    from demo.fast import run\nexcept ImportError:\n    run = None\n",
        );
    Case::new(vec![wheel]).told("missing-library", "note");
    // Without a handler, or with one that raises, it is none.
    let late = "def select():\n    from demo import backend\n";
    let wheel = native(&[(&module("backend"), &ext)]).file("demo/use.py", late);
    Case::new(vec![wheel]).told("missing-library", "warning");
    let raises = "try:\n    from . import backend\nexcept ImportError as e:\n    raise ImportError('x') from e\n";
    let wheel = native(&[(&module("backend"), &ext)]).file("demo/use.py", raises);
    insta::assert_snapshot!(Case::new(vec![wheel]).refused("missing-library"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-library: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/backend.cpython-311-x86_64-linux-gnu.so` needs `liblacked.so.1`, which is missing in the runtime
        help: install a package that contains it in the runtime, or copy it from the builder: `--bundle-libs`
    hint: see docs/reference/findings.md#missing-library
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let wheel =
        native(&[(&module("backend"), &ext)]).file("demo/use.py", "from . import backend\n");
    insta::assert_snapshot!(Case::new(vec![wheel]).refused("missing-library"), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    download  1 wheel
     install  1 wheel
    error: the prefix is incompatible with `[WORK]/facts.json`: 1 error
      missing-library: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/backend.cpython-311-x86_64-linux-gnu.so` needs `liblacked.so.1`, which is missing in the runtime
        help: install a package that contains it in the runtime, or copy it from the builder: `--bundle-libs`
    hint: see docs/reference/findings.md#missing-library
    hint: to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`
    ");
    let driver = lacking(folder.path(), "libcuda.so.1", &[]);
    let wheel = native(&[(&module("gpu"), &driver)]);
    Case::new(vec![wheel]).told("missing-library", "note");
}
