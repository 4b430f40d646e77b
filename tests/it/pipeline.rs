//! The pipeline's logic, with a builder that is a script: what it is asked, and what is made of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use prebuild::error::{Diagnosis as _, Kind};
use prebuild::event::Cancel;
use prebuild::pipeline::{self, Request};
use prebuild::requirements::Input;
use prebuild::tree::{Node, RelPath};

use crate::support::fake::FakeRunner;
use crate::support::sandbox::names;

// Who decides what is installed, in which circumstances.
mod deciders;

fn request(text: &str, folder: &std::path::Path) -> Request {
    let mut request = Request::new(
        vec![Input::Stdin(text.as_bytes().to_vec())],
        folder,
        BTreeMap::from([("TOKEN".to_owned(), "s3cret".to_owned())]),
    );
    request.outputs.files = vec![format!("{}/deps.tar", folder.display()).parse().unwrap()];
    request
}

/// Markers are the builder's, secrets go in files, and pip is given only options that it has.
#[test]
fn pip_is_asked_for_what_applies_in_the_builder() {
    let folder = tempfile::tempdir().unwrap();
    let runner = FakeRunner::new();
    let text = "-i https://${TOKEN}@index.example/simple\n\
                here ; platform_machine == 'riscv64'\n\
                other ; platform_machine == 'x86_64'\n\
                Pinned[B,a] == 1.0  --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n";
    let told = Mutex::new(Vec::new());
    let observe =
        |event: &prebuild::event::Event<'_>| told.lock().unwrap().push(format!("{event:?}"));
    pipeline::build(
        &request(text, folder.path()),
        &runner,
        &observe,
        &Cancel::new(),
    )
    .unwrap();
    let log = runner.log.lock().unwrap();
    assert_eq!(
        log.put["prebuild/work/requirements.txt"],
        "--index-url=https://s3cret@index.example/simple\n\
         here\n\
         pinned[a,b]==1.0 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
    );
    let pip = &log.ran[1];
    assert_eq!(
        pip.to_string(),
        "python3 -m pip install --prefix /install --ignore-installed --no-compile --no-input \
         --progress-bar off --log /prebuild/log/pip.log -r /prebuild/work/requirements.txt"
    );
    assert_eq!(
        (
            pip.env["PIP_TARGET"].as_str(),
            pip.env["PIP_CONFIG_FILE"].as_str()
        ),
        ("", "/dev/null")
    );
    assert_eq!(pip.env["SOURCE_DATE_EPOCH"], "315532801");
    assert!(log.closed);
    let told = told.lock().unwrap().join("\n");
    assert!(
        told.contains("PIP_TARGET") && told.contains("constraint ="),
        "{told}"
    );
    assert!(!told.contains("s3cret"), "{told}");
}

/// A failure names the line that the user wrote, closes the builder, and leaves nothing.
#[test]
fn a_failure_of_pip_is_told_by_the_users_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = FakeRunner::new();
    runner.fails = true;
    runner.lines = &[
        "ERROR: Could not find a version that satisfies the requirement nothing>=9 (from versions: none)",
        "ERROR: No matching distribution found for nothing>=9",
    ];
    let request = request("\n\n# why\nnothing>=9\n", folder.path());
    let error = pipeline::build(&request, &runner, &|_| {}, &Cancel::new()).unwrap_err();
    assert!(error.to_string().starts_with("-:4:1: "), "{error}");
    assert_eq!((error.kind(), error.tail().len()), (Kind::Build, 2));
    assert!(runner.log.lock().unwrap().closed);
    assert_eq!(names(folder.path()), [""; 0]);
}

/// What comes out of a builder is not believed: a link out of the prefix stops the build.
#[test]
fn a_hostile_prefix_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = FakeRunner::new();
    let link = Node::Symlink {
        target: "/etc/passwd".to_owned(),
    };
    runner
        .prefix
        .insert(RelPath::new("bin/x").unwrap(), link)
        .unwrap();
    let error = pipeline::build(
        &request("x", folder.path()),
        &runner,
        &|_| {},
        &Cancel::new(),
    );
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "the link `bin/x` -> `/etc/passwd` leads out of the prefix"
    );
    assert_eq!(names(folder.path()), [""; 0]);
}
