//! What the processes see that a build starts: no secret of the caller's.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::sandbox::{Sandbox, unpacked};
use crate::support::wheel::{project, sdist};

/// Python that notes its own environment and arguments, and those of the processes above it.
const SPY: &str = r#"
import json, os
pid, seen = os.getpid(), []
while pid > 1:
    read = lambda name: open("/proc/%d/%s" % (pid, name), "rb").read().decode("utf-8", "replace")
    name = read("comm").strip()
    seen.append([name, read("environ").split("\0"), read("cmdline").split("\0")])
    if name == "prebuild":
        break
    pid = int(read("stat").rsplit(")", 1)[1].split()[1])
"#;

/// A caller whose environment is full of secrets.
fn with_secrets(sandbox: Sandbox) -> Sandbox {
    let url = "https://user:s3cret@index.invalid/simple";
    [
        ("PREBUILD_INDEX_URL", url),
        ("PREBUILD_EXTRA_INDEX_URL", url),
        ("PIP_EXTRA_INDEX_URL", url),
        ("UV_INDEX_URL", url),
        ("UV_INDEX_OURS_PASSWORD", "s3cret"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("GITHUB_TOKEN", "s3cret"),
        ("CARGO_REGISTRY_TOKEN", "s3cret"),
        ("PGPASSWORD", "s3cret"),
        ("DATABASE_URL", "postgres://user:s3cret@db/x"),
        ("CMAKE_PREFIX_PATH", "https://user:s3cret@host/"),
        ("NETRC", "/s3cret/netrc"),
        ("WHATEVER", "s3cret"),
        ("DEMO_CFLAGS", "-I/opt/demo"),
    ]
    .into_iter()
    .fold(sandbox, |sandbox, (name, value)| sandbox.env(name, value))
}

/// An sdist whose build runs `hook`.
fn hostile(sandbox: &Sandbox, hook: &str) {
    let there = sandbox.work().join("there");
    project(&there, "there", hook);
    sdist(&sandbox.links(), &there, "there");
    sandbox.write("requirements.txt", "there==1.0\n");
}

/// Of this machine's builder: Python's questions, pip, and what pip builds. The environment of prebuild
/// itself is the caller's, and processes of the same user can read it: that is the kernel's to prevent.
#[test]
fn processes_of_this_machine_see_no_secret() {
    let sandbox = with_secrets(Sandbox::new());
    let notes = sandbox.work().join("notes");
    let note = format!(
        "{SPY}\nopen({:?}, 'a').write(json.dumps(seen) + '\\n')\n",
        notes.display().to_string()
    );
    let venv = sandbox.work().join("venv");
    let made = Command::new("python3")
        .args(["-m", "venv", "--without-pip", "--system-site-packages"])
        .arg(&venv)
        .status();
    assert!(made.unwrap().success());
    let lib = fs::read_dir(venv.join("lib")).unwrap().next().unwrap();
    let site = lib.unwrap().path().join("site-packages");
    fs::write(site.join("sitecustomize.py"), &note).unwrap();
    let spy = sandbox.write("spy.py", &note);
    hostile(
        &sandbox,
        &format!("exec(open({:?}).read(), {{}})", spy.display().to_string()),
    );
    let python = venv.join("bin/python").display().to_string();
    let args = [
        "requirements.txt",
        "--python",
        &python,
        "--env",
        "WANTED=yes",
        "--compile",
    ];
    sandbox.offline(&args).ok();

    let text = fs::read_to_string(&notes).unwrap();
    let (mut asked, mut built) = (false, false);
    for line in text.lines() {
        let seen: Value = serde_json::from_str(line).unwrap();
        for process in seen.as_array().unwrap() {
            let (name, env) = (process[0].as_str().unwrap(), process[1].to_string());
            let args = process[2].to_string();
            assert!(!args.contains("s3cret"), "{name}: {args}");
            if name == "prebuild" {
                continue;
            }
            assert!(!env.contains("s3cret"), "{name}: {env}");
            if args.contains("probe.py") {
                asked = true;
                assert!(
                    !env.contains("DEMO_CFLAGS") && !env.contains("INDEX_URL"),
                    "{env}"
                );
            }
            if args.contains("\"wheel\"") {
                built = true;
                assert!(env.contains("DEMO_CFLAGS=-I/opt/demo"), "{env}");
                assert!(env.contains("WANTED=yes"), "{env}");
            }
        }
    }
    assert!(asked && built, "{text}");
}

/// The same in a container, whose first process and client see none either.
#[test]
#[ignore = "needs a container engine"]
fn engine_processes_of_containers_see_no_secret() {
    let sandbox = with_secrets(Sandbox::new());
    let spy = SPY
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"");
    let hook = format!(
        "space = {{}}; exec(\"{spy}\", space); open('found-' + ('s3cret' if 's3cret' in repr(space['seen']) else 'nothing'), 'w')"
    );
    hostile(&sandbox, &hook);
    sandbox
        .offline(&["requirements.txt", "--image", "python:3.11"])
        .ok();
    let files = unpacked(&sandbox.work().join("deps.tar.gz"));
    let module = &files["lib/python3.11/site-packages/there.py"].1;
    let module = String::from_utf8_lossy(module);
    assert!(module.contains("found-nothing"), "{module}");
}
