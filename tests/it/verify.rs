//! Artifacts that are put into a runtime and imported there: here an interpreter of this machine; images
//! and root folders are the engine tests'.

use serde_json::Value;

use crate::support::python;
use crate::support::sandbox::Sandbox;
use crate::support::wheel::WheelBuilder;

/// A sandbox with an artifact of these wheels, and its interpreter.
fn built(wheels: Vec<WheelBuilder>, output: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    for (number, wheel) in wheels.into_iter().enumerate() {
        let wheel = wheel.build(&sandbox.links());
        let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
        let line = format!("{}\n", sandbox.links().join(name).display());
        sandbox.write(&format!("r{number}.txt"), line);
    }
    let inputs: Vec<String> = crate::support::sandbox::names(&sandbox.work());
    let interpreter = python::python().display().to_string();
    let mut args: Vec<&str> = inputs.iter().map(String::as_str).collect();
    args.extend(["--no-deps", "--python", &interpreter, "-o", output]);
    sandbox.offline(&args).ok();
    (sandbox, interpreter)
}

fn verify(sandbox: &Sandbox, artifact: &str, interpreter: &str, code: i32) -> Value {
    let args = [
        "verify",
        artifact,
        "--runtime",
        interpreter,
        "--python",
        interpreter,
        "--format",
        "json",
        "--timeout",
        "5",
    ];
    let ran = sandbox.run(&args);
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn names(checks: &Value) -> Vec<&str> {
    let checks = checks.as_array().unwrap().iter();
    checks
        .map(|check| check["name"].as_str().unwrap())
        .collect()
}

#[test]
fn every_format_is_read_back() {
    for output in ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip", "a/"] {
        let wheel = WheelBuilder::new("demo", "1.0")
            .file("demo/__init__.py", "def main(): pass\n")
            .file("single.py", "")
            .file("space/inner/__init__.py", "")
            .console_script("demo", "demo:main");
        let (sandbox, interpreter) = built(vec![wheel], output);
        let proof = verify(&sandbox, output.trim_end_matches('/'), &interpreter, 0);
        assert_eq!(
            (&proof["modules"], &proof["scripts"]),
            (&3.into(), &1.into()),
            "{output}"
        );
        assert_eq!(
            (
                names(&proof["broken"]).len(),
                names(&proof["by_design"]).len()
            ),
            (0, 0)
        );
        assert_eq!(sandbox.left(), [""; 0]);
    }
}

/// What fails here and in the builder alike is made so: builder and runtime are one interpreter here.
#[test]
fn what_fails_everywhere_is_told_apart() {
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("fine.py", "")
        .file("picky.py", "raise RuntimeError('set PICKY')\n")
        .file("slow.py", "import time\ntime.sleep(60)\n")
        .file("dies.py", "import os\nos.kill(os.getpid(), 9)\n")
        .console_script("gone", "fine:gone");
    let (sandbox, interpreter) = built(vec![wheel], "a.tar");
    let proof = verify(&sandbox, "a.tar", &interpreter, 0);
    assert_eq!(names(&proof["broken"]), [""; 0]);
    assert_eq!(
        names(&proof["by_design"]),
        ["dies", "picky", "slow", "gone"]
    );
    assert_eq!(proof["by_design"][1]["error"], "RuntimeError: set PICKY");
    assert_eq!(
        proof["by_design"][2]["error"],
        "it took longer than 5 seconds"
    );
}

/// What only fails in the runtime is broken. The builder here has a module that the runtime lacks.
#[test]
fn what_fails_in_the_runtime_alone_is_broken() {
    let wheel = WheelBuilder::new("demo", "1.0").file("demo.py", "import only_here\n");
    let (sandbox, interpreter) = built(vec![wheel], "a.tar");
    sandbox.write("more/only_here.py", "");
    let builder = sandbox.write(
        "builder",
        format!(
            "#!/bin/sh\nPYTHONPATH={} exec {interpreter} \"$@\"\n",
            sandbox.work().join("more").display()
        ),
    );
    make_executable(&builder);
    let builder = builder.display().to_string();
    let args = [
        "verify",
        "a.tar",
        "--runtime",
        &interpreter,
        "--python",
        &builder,
    ];
    let ran = sandbox.run(&args);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let broken = "broken: demo: module demo: ModuleNotFoundError: No module named 'only_here'";
    assert!(ran.stderr.contains(broken), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("1 broken, 0 not importable by design"),
        "{}",
        ran.stdout
    );
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn mistakes_are_told() {
    let sandbox = Sandbox::new();
    let interpreter = python::python().display().to_string();
    sandbox
        .run(&["verify", "nothing.tar", "--runtime", &interpreter])
        .fails(2, &["there is no artifact", "nothing.tar"]);
    sandbox.write("broken.tar", "no archive at all");
    sandbox
        .run(&["verify", "broken.tar", "--runtime", &interpreter])
        .fails(2, &["is no artifact that can be read"]);
    sandbox
        .run(&["verify", "broken.tar", "--runtime", "./nowhere"])
        .fails(2, &["there is no such file or folder"]);
    sandbox
        .run(&["runtime", &interpreter, "--format", "json"])
        .ok();
    let facts = sandbox
        .run(&["runtime", &interpreter, "--format", "json"])
        .ok();
    sandbox.write("facts.json", facts.stdout);
    std::fs::create_dir(sandbox.work().join("empty")).unwrap();
    sandbox
        .run(&["verify", "empty", "--runtime", "facts.json"])
        .fails(
            3,
            &[
                "nothing can be run in them",
                "name the image or the root folder",
            ],
        );
}
