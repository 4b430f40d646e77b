//! What an interpreter says of its pip is what that pip says itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use prebuild::cache::{Cache, Place};
use prebuild::event::Cancel;
use prebuild::interpreter::{Interpreter, Pip};
use prebuild::runner::{Local, Runner};

use crate::support::python::{pyenv, python, with_pip_of};

/// The options that prebuild gives where pip takes them.
const OPTIONS: [&str; 8] = [
    "--break-system-packages",
    "--disable-pip-version-check",
    "--dry-run",
    "--no-color",
    "--no-input",
    "--no-warn-script-location",
    "--progress-bar",
    "--report",
];

fn ask(python: &Path) -> Pip {
    let folder = tempfile::tempdir().unwrap();
    let env = BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap())]);
    let runner = Local::new(python.to_str().unwrap(), folder.path(), env.clone());
    let cancel = Cancel::new();
    let cache = Cache::open(
        &Place::temporary(folder.path().join("cache")),
        &|_| {},
        &cancel,
    )
    .unwrap();
    let mut session = runner.open(&cancel).unwrap();
    let interpreter = Interpreter::ask(&mut *session, &[], env, &cache).unwrap();
    interpreter.pip.unwrap()
}

fn help(python: &Path) -> String {
    let help = Command::new(python)
        .args(["-m", "pip", "install", "--help"])
        .env("COLUMNS", "500")
        .output()
        .unwrap();
    String::from_utf8(help.stdout).unwrap()
}

#[test]
fn options_are_those_of_its_help() {
    let pythons = pyenv();
    let of = |version: &str| -> PathBuf {
        let mut found = pythons.iter().filter(|(name, _)| name.starts_with(version));
        found.next().unwrap().1.clone()
    };
    let own = ["3.8.", "3.10.", "3.11.", "3.12.", "3.13."].map(of);
    let others = [
        with_pip_of(&of("3.9."), "20.3.4"),
        with_pip_of(&of("3.11."), "22.3.1"),
        python().to_path_buf(),
    ];
    for python in own.into_iter().chain(others) {
        let (pip, help) = (ask(&python), help(&python));
        assert!(pip.works, "{}", python.display());
        for option in OPTIONS {
            let is_listed = help.split_whitespace().any(|word| word == option);
            assert_eq!(
                pip.takes(option),
                is_listed,
                "{option} of pip {}",
                pip.version
            );
        }
    }
}

#[test]
fn a_pip_that_its_interpreter_cannot_run_does_not_work() {
    let pythons = pyenv();
    let (_, newer) = pythons
        .iter()
        .find(|(name, _)| name.starts_with("3.12."))
        .unwrap();
    let python = with_pip_of(newer, "20.3.4");
    assert!(help(&python).is_empty());
    assert!(!ask(&python).works);
}
