//! Artifacts that are laid into a runtime and loaded there: here an interpreter of this machine; images
//! and root directories are the engine tests'.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::hostile::{LIMITS, Prey};
use crate::support::python;
use crate::support::sandbox::{Ran, Sandbox, names};
use crate::support::skip;
use crate::support::wheel::WheelBuilder;

/// A working directory with an artifact of these wheels, and its interpreter.
fn built(wheels: Vec<WheelBuilder>, output: &str) -> (Sandbox, String) {
    let interpreter = python::python().display().to_string();
    built_with(wheels, output, &interpreter)
}

/// The same, with scripts for another interpreter.
fn built_with(wheels: Vec<WheelBuilder>, output: &str, scripts: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    for (number, wheel) in wheels.into_iter().enumerate() {
        let wheel = wheel.build(&sandbox.links());
        let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
        let line = format!("{}\n", sandbox.links().join(name).display());
        sandbox.write(&format!("r{number}.txt"), line);
    }
    let inputs: Vec<String> = names(&sandbox.work());
    let interpreter = python::python().display().to_string();
    let mut args: Vec<&str> = inputs.iter().map(String::as_str).collect();
    args.extend(["--no-deps", "--python", &interpreter, "-o", output]);
    args.extend(["--script-python", scripts]);
    sandbox.offline(&args).ok();
    (sandbox, interpreter)
}

/// Runs `verify`; nothing where the kernel allows no sandbox and none is demanded.
fn run(sandbox: &Sandbox, args: &[&str]) -> Option<Ran> {
    let ran = sandbox.run(&[&["verify"], args].concat());
    if ran.code == Some(3) && ran.stderr.contains("cannot create a sandbox") {
        skip(&ran.stderr);
        return None;
    }
    Some(ran)
}

fn verify(
    sandbox: &Sandbox,
    artifact: &str,
    interpreter: &str,
    code: i32,
    more: &[&str],
) -> Option<Value> {
    let args = [
        artifact,
        "--runtime",
        interpreter,
        "--python",
        interpreter,
        "--format",
        "json",
    ];
    let ran = run(sandbox, &[&args, more].concat())?;
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    let proof: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(proof["version"], 3);
    assert_eq!(sandbox.left(), [""; 0]);
    Some(proof)
}

/// `GROUP KIND NAME: ERROR` of all that failed.
fn failed(proof: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for group in ["broken", "unverified", "optional", "allowed"] {
        for one in proof[group].as_array().unwrap() {
            let text = |name: &str| one[name].as_str().unwrap();
            let (kind, name, error) = (text("kind"), text("name"), text("error"));
            lines.push(format!("{group} {kind} {name}: {error}"));
        }
    }
    lines
}

/// An extension module of the interpreter's own standard library, and the end of its name.
fn extension(interpreter: &str) -> (Vec<u8>, String) {
    let script = "import _random; print(_random.__file__)";
    let output = Command::new(interpreter)
        .args(["-c", script])
        .output()
        .unwrap();
    let path = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let name = path.file_name().unwrap().to_str().unwrap();
    let suffix = name.strip_prefix("_random").unwrap().to_owned();
    (fs::read(path).unwrap(), suffix)
}

#[test]
fn every_format_is_read_back() {
    let (code, suffix) = extension(&python::python().display().to_string());
    for output in ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip", "a/"] {
        let wheel = WheelBuilder::new("demo", "1.0")
            .file("demo/__init__.py", "def main(): pass\n")
            .file(&format!("demo/_random{suffix}"), &code)
            .file("single.py", "")
            .file("space/inner/__init__.py", "")
            .entry_points("[console_scripts]\ndemo = demo:main\n[plugins]\none = single\n");
        let (sandbox, interpreter) = built(vec![wheel], output);
        let Some(proof) = verify(&sandbox, output.trim_end_matches('/'), &interpreter, 0, &[])
        else {
            return;
        };
        let checked = json!({ "modules": 3, "extensions": 1, "scripts": 1, "entry_points": 1 });
        assert_eq!(proof["checked"], checked, "{output}");
        assert_eq!(failed(&proof), [""; 0]);
        assert_eq!(proof["place"], "a sandbox");
    }
}

/// What is missing is broken, whatever the builder does; what the builder does alike is unverified.
/// Builder and runtime are one interpreter here.
#[test]
fn failures_fall_into_three_groups() {
    let library = "print('-----')\nraise OSError('cannot load library \\'x\\': no\\nmore\\nlibcairo-2.dll')\n";
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("fine.py", "")
        .file("picky.py", "raise RuntimeError('set PICKY\\nor not')\n")
        .file("locales.py", "import locale\nlocale.setlocale(locale.LC_ALL, 'xx_XX.UTF-8')\n")
        .file("dies.py", "import os\nos.kill(os.getpid(), 9)\n")
        .file("quits.py", "import sys\nsys.exit('no')\n")
        .file("lacks.py", "import only_elsewhere\n")
        .file("hides.py", "try:\n import only_elsewhere\nexcept ImportError:\n raise SystemExit(1)\n")
        .file("magic.py", "raise ImportError('failed to find libmagic')\n")
        .file("cairo.py", library)
        .file("loads.py", "import ctypes\nctypes.CDLL('libnothing.so.7')\n")
        .file("pkg/__init__.py", "")
        .file("pkg/_broken.so", "no library")
        .file("pkg/cli.py", "import absent_cli\n")
        .entry_points(
            "[console_scripts]\ngone = fine:gone\nnowhere = absent.cli:main\nextra = pkg.cli:main [cli]\n\
             [gui_scripts]\nwindow = fine:window\n\
             [pytest11]\nhost = with_host\nown = fine:nothing\nother = plug.host\n",
        )
        .file("with_host.py", "");
    let wheel = wheel
        .file("plug/__init__.py", "")
        .file("plug/host.py", "import absent_host\n");
    let (sandbox, interpreter) = built(vec![wheel], "a.tar");
    let Some(proof) = verify(&sandbox, "a.tar", &interpreter, 4, &[]) else {
        return;
    };
    let library = "cannot open shared object file: No such file or directory";
    assert_eq!(
        failed(&proof),
        [
            "broken module cairo: OSError: cannot load library 'x': no".to_owned(),
            "broken module hides: SystemExit: 1".to_owned(),
            "broken module lacks: ModuleNotFoundError: No module named 'only_elsewhere'".to_owned(),
            format!("broken module loads: OSError: libnothing.so.7: {library}"),
            "broken module magic: ImportError: failed to find libmagic".to_owned(),
            "broken script gone: AttributeError: module 'fine' has no attribute 'gone'".to_owned(),
            "broken script nowhere: ModuleNotFoundError: No module named 'absent'".to_owned(),
            "broken script window: AttributeError: module 'fine' has no attribute 'window'".to_owned(),
            format!(
                "broken extension pkg._broken: ImportError: {}: file too short",
                proof["broken"][8]["error"].as_str().unwrap().split(": ").nth(1).unwrap()
            ),
            "broken entry-point pytest11/own: AttributeError: module 'fine' has no attribute 'nothing'"
                .to_owned(),
            "unverified module dies: killed by signal 9".to_owned(),
            "unverified module locales: locale.Error: unsupported locale setting".to_owned(),
            "unverified module picky: RuntimeError: set PICKY".to_owned(),
            "unverified module quits: SystemExit: no".to_owned(),
            "optional script extra: ModuleNotFoundError: No module named 'absent_cli'".to_owned(),
            "optional entry-point pytest11/other: ModuleNotFoundError: No module named 'absent_host'"
                .to_owned(),
        ]
    );
    assert_eq!(proof["compared_in"], "a sandbox");
    let ran = run(&sandbox, &["a.tar", "--runtime", &interpreter]).unwrap();
    insta::assert_snapshot!(ran.whole(4), @r"
     runtime  [RUNTIME]
      verify  [TARGET]/pip-26.3
       place  a sandbox
    compared  with the builder, in a sandbox
    missing-library: demo 1.0: `lib/python3.11/site-packages/loads.py` opens `libnothing.so.7`, which is missing in the runtime
    broken: demo: module cairo: OSError: cannot load library 'x': no
    broken: demo: module hides: SystemExit: 1
    broken: demo: module lacks: ModuleNotFoundError: No module named 'only_elsewhere'
    broken: demo: module loads: OSError: libnothing.so.7: cannot open shared object file: No such file or directory
    broken: demo: module magic: ImportError: failed to find libmagic
    broken: demo: script gone: AttributeError: module 'fine' has no attribute 'gone'
    broken: demo: script nowhere: ModuleNotFoundError: No module named 'absent'
    broken: demo: script window: AttributeError: module 'fine' has no attribute 'window'
    broken: demo: extension pkg._broken: ImportError: [TARGET]/pip-26.3/lib/python3.11/site-packages/pkg/_broken.so: file too short
    broken: demo: entry-point pytest11/own: AttributeError: module 'fine' has no attribute 'nothing'
    unverified: demo: module dies: killed by signal 9
    unverified: demo: module locales: locale.Error: unsupported locale setting
    unverified: demo: module picky: RuntimeError: set PICKY
    unverified: demo: module quits: SystemExit: no
    hint: to ignore a failure, pass `--allow KIND:NAME`, such as `--allow module:tests`
    -----
    13 modules, 1 extension module, 4 scripts and 3 entry points in [TARGET]/pip-26.3/bin/python: 1 audit error, 10 broken, 4 unverified, 2 optional
    ");
    let picky = proof["unverified"][2]["details"].as_str().unwrap();
    assert!(
        picky.ends_with("RuntimeError: set PICKY\nor not\n"),
        "{picky}"
    );
}

/// What only fails in the runtime is broken: the builder here sets what the module asks for.
#[test]
fn what_fails_in_the_runtime_alone_is_broken() {
    let code =
        "import sys\nif 'pip-26.3/' not in sys.prefix + '/':\n raise RuntimeError('not here')\n";
    let wheel = WheelBuilder::new("demo", "1.0").file("demo.py", code);
    let (sandbox, builder) = built(vec![wheel], "a.tar");
    let real = fs::canonicalize(&builder).unwrap().display().to_string();
    let args = ["a.tar", "--runtime", &real, "--python", &builder];
    let Some(ran) = run(&sandbox, &args) else {
        return;
    };
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let broken = "broken: demo: module demo: RuntimeError: not here\n";
    assert!(ran.stderr.contains(broken), "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("0 audit errors, 1 broken, 0 unverified, 0 optional"),
        "{}",
        ran.stdout
    );
}

/// A `.pth` file is read at every start of Python.
#[test]
fn path_files_that_fail_are_broken() {
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("demo.py", "")
        .file("demo-bad.pth", "import absent_thing\n")
        .file("demo-fine.pth", "import sys\n");
    let (sandbox, interpreter) = built(vec![wheel], "a.tar");
    let Some(proof) = verify(&sandbox, "a.tar", &interpreter, 4, &[]) else {
        return;
    };
    let broken =
        "broken path-file demo-bad.pth: ModuleNotFoundError: No module named 'absent_thing'";
    assert_eq!(failed(&proof), [broken]);
    assert_eq!(proof["broken"][0]["distribution"], "demo");
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("demo.py", "")
        .file("end.pth", "import os; os._exit(0)\n");
    let (sandbox, interpreter) = built(vec![wheel], "a.tar");
    let proof = verify(&sandbox, "a.tar", &interpreter, 4, &[]).unwrap();
    let broken = "broken path-file end.pth: the process ended with exit code 0";
    assert_eq!(failed(&proof), [broken]);
}

/// An artifact that was built for no runtime is audited.
#[test]
fn the_audit_comes_first() {
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("demo.py", "def main(): pass\n")
        .console_script("demo", "demo:main");
    let (sandbox, interpreter) = built_with(vec![wheel], "a.tar", "/opt/none/bin/python3");
    let Some(proof) = verify(&sandbox, "a.tar", &interpreter, 4, &[]) else {
        return;
    };
    assert_eq!(failed(&proof), [""; 0]);
    let errors: Vec<_> = proof["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| {
            (
                finding["kind"].as_str().unwrap(),
                finding["interpreter"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(errors, [("missing-interpreter", "/opt/none/bin/python3")]);
    let allow = ["--allow", "missing-interpreter:/opt/none/bin/python3"];
    verify(&sandbox, "a.tar", &interpreter, 0, &allow).unwrap();
}

#[test]
fn what_the_user_knows_better_is_allowed() {
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("picky.py", "raise RuntimeError('set PICKY')\n")
        .file("tests/__init__.py", "import pytest_absent\n")
        .console_script("gone", "picky:main");
    let (sandbox, interpreter) = built(vec![wheel], "a.tar");
    let allow = [
        "--allow",
        "module:tests",
        "--allow",
        "picky",
        "--allow",
        "script:demo",
        "--allow",
        "none",
    ];
    let args = ["a.tar", "--runtime", &interpreter, "--python", &interpreter];
    let Some(ran) = run(&sandbox, &[&args[..], &allow].concat()) else {
        return;
    };
    let ran = ran.ok();
    let summary = "0 audit errors, 0 broken, 0 unverified, 0 optional, 3 allowed\n";
    assert!(ran.stdout.ends_with(summary), "{}", ran.stdout);
    let unused = "warning: --allow none: nothing of that name failed\n";
    assert!(ran.stderr.contains(unused), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--allow picky"), "{}", ran.stderr);
}

/// Each module of an artifact tries to get out, and is named; nothing outside changes.
#[test]
fn nothing_gets_out_of_the_sandbox() {
    let prey = Prey::new();
    let (sandbox, interpreter) = built(vec![prey.wheel()], "a.tar");
    let Some(proof) = verify(&sandbox, "a.tar", &interpreter, 4, &LIMITS) else {
        return;
    };
    let site = Path::new(&interpreter).ancestors().nth(2).unwrap();
    let lib = names(&site.join("lib"));
    prey.survived(
        &proof,
        &site.join("lib").join(&lib[0]).join("site-packages"),
        false,
    );
}

/// A directory that the caller holds open is no way out.
#[test]
fn what_the_caller_has_open_is_closed() {
    let code = "import os\nseen = []\nfor name in range(3, 64):\n try:\n  os.fstat(name)\n  seen.append(name)\n \
                except OSError:\n  pass\nraise LookupError(str(seen))\n";
    let wheel = WheelBuilder::new("demo", "1.0").file("demo.py", code);
    let (sandbox, interpreter) = built(vec![wheel], "a.tar");
    let program = env!("CARGO_BIN_EXE_prebuild");
    let script = format!(
        "exec 9</ 17</etc; exec {program} verify a.tar --runtime {interpreter} --python {interpreter}"
    );
    let mut command = sandbox.command(&[]);
    let environment: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = Command::new("bash");
    command
        .args(["-c", &script])
        .env_clear()
        .envs(environment)
        .current_dir(sandbox.work());
    let ran = Ran::new(&command.output().unwrap(), &sandbox);
    if ran.code == Some(3) {
        return skip(&ran.stderr);
    }
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    // The program's own channel and `/dev/null` are all there is.
    let line = "unverified: demo: module demo: LookupError: [3, 4]\n";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
}

/// A script that runs prebuild as a user without privileges; nothing where root cannot become one.
fn as_nobody(sandbox: &Sandbox, before: &str, args: &str) -> Option<Ran> {
    let program = tempfile::tempdir().unwrap();
    let copy = program.path().join("prebuild");
    fs::copy(env!("CARGO_BIN_EXE_prebuild"), &copy).unwrap();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(program.path(), open.clone()).unwrap();
    for folder in [sandbox.work(), sandbox.tmp()] {
        fs::set_permissions(folder.parent().unwrap(), open.clone()).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = format!("{before} {} {args}", copy.display());
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("TMPDIR", sandbox.tmp())
        .current_dir(sandbox.work())
        .output()
        .unwrap();
    let ran = Ran::new(&output, sandbox);
    let cannot = ["setpriv: ", "unshare: "]
        .iter()
        .any(|name| ran.stderr.starts_with(name));
    if cannot || (ran.code == Some(3) && ran.stderr.contains("no user namespaces")) {
        skip(&ran.stderr);
        return None;
    }
    Some(ran)
}

/// A directory that is an artifact for the interpreter of this machine's own package manager.
fn installed(sandbox: &Sandbox, modules: &[(&str, &str)]) -> bool {
    let script = "import sysconfig, sys; print('%d.%d' % sys.version_info[:2])";
    let output = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .output();
    let Ok(output) = output else {
        skip("there is no `/usr/bin/python3`");
        return false;
    };
    let version = String::from_utf8(output.stdout).unwrap();
    for kind in ["site-packages", "dist-packages"] {
        if kind == "site-packages" && Path::new("/etc/debian_version").exists() {
            continue;
        }
        let site = format!("art/lib/python{}/{kind}", version.trim());
        for (name, text) in modules {
            sandbox.write(&format!("{site}/{name}"), text);
        }
        let metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
        sandbox.write(&format!("{site}/demo-1.0.dist-info/METADATA"), metadata);
    }
    true
}

#[test]
fn a_user_without_privileges_has_a_sandbox_too() {
    let sandbox = Sandbox::new();
    let code = "import os, socket\ntry:\n socket.create_connection(('127.0.0.1', 9), 1)\n\
                except OSError as error:\n raise LookupError('%d %d %s' % (os.getuid(), os.getpid(), error.errno))\n";
    if !installed(&sandbox, &[("fine.py", ""), ("spy.py", code)]) {
        return;
    }
    let before = "exec setpriv --reuid 1234 --regid 1234 --clear-groups";
    let args = "verify art --runtime /usr/bin/python3 --python /usr/bin/python3 --no-cache";
    let Some(ran) = as_nobody(&sandbox, before, args) else {
        return;
    };
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let line = "unverified: no distribution: module spy: LookupError: 65534 2 101\n";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    assert_eq!(sandbox.left(), [""; 0]);
}

/// As in a container that may do nothing: no namespaces, no sandbox, unless the user wants none.
#[test]
fn without_namespaces_nothing_runs_unasked() {
    let sandbox = Sandbox::new();
    if !installed(&sandbox, &[("fine.py", "open('/tmp/ran', 'w')\n")]) {
        return;
    }
    let before = "exec unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; \
                  exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs \"$@\"' sh";
    let args = "verify art --runtime /usr/bin/python3 --python /usr/bin/python3 --no-cache";
    let Some(ran) = as_nobody(&sandbox, before, args) else {
        return;
    };
    insta::assert_snapshot!(ran.fails_with(3), @r"
     runtime  [RUNTIME]
      verify  /usr/local
    error: cannot create a sandbox: cannot give up root: Operation not permitted (os error 1)
    hint: allow user namespaces, run as root with CAP_SYS_ADMIN, or name an image; `--unsafe-no-sandbox` runs the artifact's code without a sandbox
    ");
    let args = format!("{args} --unsafe-no-sandbox");
    let ran = as_nobody(&sandbox, before, &args).unwrap().ok();
    let warning = "warning: the artifact's code runs without a sandbox: --unsafe-no-sandbox\n";
    assert!(ran.stderr.starts_with(warning), "{}", ran.stderr);
    assert!(ran.stderr.contains("place  no sandbox\n"), "{}", ran.stderr);
    assert_eq!(sandbox.left(), [""; 0]);
}

#[test]
fn mistakes_are_told() {
    let sandbox = Sandbox::new();
    let interpreter = python::python().display().to_string();
    insta::assert_snapshot!(sandbox.run(&["verify", "nothing.tar", "--runtime", &interpreter]).fails_with(2), @"error: no artifact found at [WORK]/nothing.tar");
    sandbox.write("broken.tar", "no archive at all");
    insta::assert_snapshot!(sandbox.run(&["verify", "broken.tar", "--runtime", &interpreter]).fails_with(2), @r"
    error: cannot read the artifact `[WORK]/broken.tar`
      caused by: cannot read the stream of ``
      caused by: failed to read entire block
    ");
    insta::assert_snapshot!(sandbox.run(&["verify", "broken.tar", "--runtime", "./nowhere"]).fails_with(2), @"error: --runtime ./nowhere: no such file or directory");
    let facts = sandbox
        .run(&["runtime", &interpreter, "--format", "json"])
        .ok();
    sandbox.write("facts.json", facts.stdout);
    fs::create_dir(sandbox.work().join("empty")).unwrap();
    insta::assert_snapshot!(sandbox.run(&["verify", "empty", "--runtime", "facts.json"]).fails_with(3), @r"
     runtime  [RUNTIME]
      verify  /usr/local
    error: a JSON file of facts is not a runtime: nothing can run in it
    hint: name the image or the root directory
    ");
}
