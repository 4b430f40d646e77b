//! The two installers from end to end, with whatever requirements can ask for: pip that installs, and
//! pip that only chooses. What is in their archives may differ in `INSTALLER` and its row of `RECORD`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use prebuild::digest::Digest;

use crate::support::python::python;
use crate::support::sandbox::{Sandbox, unpacked};
use crate::support::wheel::{WheelBuilder, project, sdist};

/// Distributions that need one another in all ways, and a project in each form that it can have.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let links = sandbox.links();
    let wheel = |name: &str, version: &str| {
        WheelBuilder::new(name, version).file(&format!("{name}.py"), version)
    };
    wheel("base", "1.0").build(&links);
    wheel("base", "2.0").build(&links);
    wheel("base", "3.0a1").build(&links);
    wheel("extra", "1.0").requires("base>=1").build(&links);
    wheel("old", "1.0").build(&links);
    wheel("app", "1.0")
        .metadata("Provides-Extra: more")
        .requires("base<3")
        .requires("extra; extra == 'more'")
        .requires("old; python_version < '3'")
        .console_script("app", "app:main")
        .build(&links);
    for name in ["same", "other"] {
        let text = if name == "same" { "equal" } else { "changed" };
        wheel(name, "1.0")
            .file("shared/equal.py", "equal")
            .file("shared/differs.py", text)
            .requires(if name == "same" { "base" } else { "same" })
            .build(&links);
    }
    for name in ["local", "remote", "packed"] {
        project(&sandbox.work().join(name), name, "pass");
    }
    sdist(&links, &sandbox.work().join("packed"), "packed");
    for args in [
        &["init", "-q"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x",
            "commit",
            "-qm",
            "x",
        ],
    ] {
        let git = Command::new("git")
            .args(args)
            .current_dir(sandbox.work().join("remote"))
            .status();
        assert!(git.unwrap().success());
    }
    sandbox
}

type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// What an installer makes of the requirements, without what may differ; and what was said.
fn by(installer: &str, sandbox: &Sandbox, args: &[&str]) -> (Files, String) {
    let python = python().display().to_string();
    let output = format!("{installer}.tar.gz");
    let all = ["requirements.txt", "--python", &python, "-o", &output];
    let all = [&all[..], &["--installer", installer], args].concat();
    let ran = sandbox.offline(&all).ok();
    let mut files = unpacked(&sandbox.work().join(&output));
    for (path, (_, bytes)) in &mut files {
        if path.ends_with(".dist-info/INSTALLER") {
            bytes.clear();
        }
        if path.ends_with(".dist-info/RECORD") {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let mut rows: Vec<_> = text
                .lines()
                .filter(|row| !row.contains(".dist-info/INSTALLER,"))
                .collect();
            rows.sort_unstable();
            *bytes = rows.join("\n").into_bytes();
        }
    }
    (files, ran.stderr)
}

fn agree(sandbox: &Sandbox, requirements: &str, args: &[&str]) -> (Files, String) {
    sandbox.write("requirements.txt", requirements);
    let (pip, _) = by("pip", sandbox, args);
    let (wheel, said) = by("wheel", sandbox, args);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&wheel), names(&pip), "{requirements}");
    for (path, entry) in &pip {
        let texts = [entry, &wheel[path]].map(|(_, bytes)| String::from_utf8_lossy(bytes));
        assert!(*entry == wheel[path], "{requirements} {path}: {texts:#?}");
    }
    assert!(!wheel.is_empty());
    (wheel, said)
}

fn text<'a>(files: &'a Files, path: &str) -> &'a str {
    let found = files.iter().find(|(name, _)| name.ends_with(path));
    str::from_utf8(&found.unwrap_or_else(|| panic!("no {path}")).1.1).unwrap()
}

#[test]
fn names_extras_markers_and_constraints() {
    let sandbox = sandbox();
    let (files, _) = agree(&sandbox, "app\n", &[]);
    assert_eq!(text(&files, "/base.py"), "2.0");
    let (files, _) = agree(&sandbox, "app[more]\nold; python_version < '3'\n", &[]);
    assert_eq!(text(&files, "/extra.py"), "1.0");
    assert!(!files.keys().any(|path| path.ends_with("/old.py")));
    let (files, _) = agree(&sandbox, "base\n", &["--pre"]);
    assert_eq!(text(&files, "/base.py"), "3.0a1");
    sandbox.write("constraints.txt", "base<2\n");
    let (files, _) = agree(&sandbox, "app\n", &["-c", "constraints.txt"]);
    assert_eq!(text(&files, "/base.py"), "1.0");
    let (files, _) = agree(&sandbox, "app\n", &["--no-deps"]);
    assert!(!files.keys().any(|path| path.ends_with("/base.py")));
}

#[test]
fn what_is_built_from_source() {
    let sandbox = sandbox();
    let (files, said) = agree(&sandbox, "./local\npacked\n", &[]);
    assert!(files.keys().any(|path| path.ends_with("/local.py")));
    assert!(said.contains("built from source"), "{said}");
    let remote = sandbox.work().join("remote").display().to_string();
    let (files, _) = agree(&sandbox, &format!("remote @ git+file://{remote}\n"), &[]);
    assert!(files.keys().any(|path| path.ends_with("/remote.py")));
}

#[test]
fn hashes_and_paths() {
    let sandbox = sandbox();
    let wheel = sandbox.links().join("base-2.0-py3-none-any.whl");
    let digest = Digest::of(&fs::read(&wheel).unwrap()).to_string();
    agree(&sandbox, &format!("base==2.0 --hash={digest}\n"), &[]);
    let url = format!(
        "base @ file://{}#{}\n",
        wheel.display(),
        digest.replace(':', "=")
    );
    agree(&sandbox, &url, &[]);
    agree(&sandbox, &format!("{}\n", wheel.display()), &[]);
    let wrong = format!("base==2.0 --hash={}\n", Digest::of(b""));
    sandbox.write("requirements.txt", wrong);
    for installer in ["pip", "wheel"] {
        let ran = sandbox.offline(&["requirements.txt", "--installer", installer]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    }
}

/// Who has the last word on a path is pip's order: `same` is needed by `other`, so it comes first.
#[test]
fn one_path_of_two_distributions() {
    let sandbox = sandbox();
    let (files, said) = agree(&sandbox, "same\nother\n", &[]);
    assert_eq!(text(&files, "shared/differs.py"), "changed");
    assert!(
        said.contains("other 1.0 and same 1.0") || said.contains("same 1.0 and other 1.0"),
        "{said}"
    );
}

/// Credentials reach no archive, no cache and no message.
#[test]
fn credentials_stay_out() {
    let sandbox = sandbox();
    let secret = "s3cr3t-word";
    let links = sandbox.links().display().to_string();
    let server = crate::support::index::serve(Path::new(&links));
    let url = server.replace("http://", &format!("http://user:{secret}@"));
    let wheel = format!("app @ {url}/app-1.0-py3-none-any.whl\n");
    sandbox.write("requirements.txt", wheel);
    let args = [
        "requirements.txt",
        "-v",
        "--cache-dir",
        "cache",
        "--no-deps",
    ];
    let ran = sandbox.offline(&args).ok();
    assert!(
        !ran.stderr.contains(secret) && !ran.stdout.contains(secret),
        "{}",
        ran.stderr
    );
    let holds = Command::new("grep")
        .args(["-rlaF", secret, "cache"])
        .current_dir(sandbox.work())
        .output()
        .unwrap();
    assert!(holds.stdout.is_empty(), "{holds:?}");
    let files = unpacked(&sandbox.work().join("deps.tar.gz"));
    for (path, (_, bytes)) in &files {
        assert!(!String::from_utf8_lossy(bytes).contains(secret), "{path}");
    }
}
