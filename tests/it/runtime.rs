//! What is found out of a runtime without running it, held against what it says of itself.

use std::path::{Path, PathBuf};

use prebuild::cache::{Cache, Place};
use prebuild::event::Cancel;
use prebuild::runtime::{Runtime, Source, Wanted};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::python;

fn look(source: Source) -> Runtime {
    let scratch = TempDir::new().unwrap();
    let place = Place::temporary(scratch.path());
    let cancel = Cancel::new();
    let cache = Cache::open(&place, &|_| {}, &cancel).unwrap();
    let wanted = Wanted {
        source,
        python: None,
    };
    wanted.look(&cache, &cancel).unwrap()
}

/// What an interpreter says of itself, as a document with the fields of ours.
fn said(interpreter: &Path) -> Value {
    let text = python::script_by(
        interpreter,
        "runtime_facts.py",
        Path::new("/"),
        String::new(),
    );
    serde_json::from_str(&text).unwrap()
}

/// The same of what was found.
fn found(runtime: &Runtime) -> Value {
    let python = &runtime.python;
    let libc = runtime.facts.libc.as_ref().unwrap();
    let lacks: Vec<&str> = include_str!("../../src/code/stdlib.txt")
        .lines()
        .filter(|name| !python.modules.contains(*name) && !python.builtin.contains(*name))
        .collect();
    serde_json::json!({
        "version": python.version,
        "full_version": python.full_version,
        "prefix": python.prefix,
        "soabi": python.soabi,
        "suffixes": python.suffixes,
        "site_packages": python.site_packages,
        "stdlib": python.stdlib,
        "modules": python.modules,
        "lacks": lacks,
        "libc": format!("glibc {}.{}", libc.version.0, libc.version.1),
        "machine": python.elf.machine.to_string(),
    })
}

fn check(interpreter: &Path) {
    let said = said(interpreter);
    let runtime = look(Source::Interpreter(interpreter.to_path_buf()));
    let found = found(&runtime);
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(value, &found[name], "{name} of {}", interpreter.display());
    }
}

/// Of each Python from 3.8 on, and of Debian's own.
#[test]
fn facts_are_those_that_interpreters_tell() {
    let own = PathBuf::from("/usr/bin/python3");
    let own = own.exists().then_some(own);
    let pyenv = python::pyenv().into_iter();
    let known = pyenv.filter(|(name, _)| {
        let minor = name
            .strip_prefix("3.")
            .and_then(|rest| rest.split('.').next());
        minor.is_some_and(|minor| minor.parse::<u32>().is_ok_and(|minor| minor >= 8))
    });
    let mut count = 0;
    for interpreter in known.map(|(_, path)| path).chain(own) {
        check(&interpreter);
        count += 1;
    }
    assert!(count > 0);
}

/// And of a virtual environment, which is another place with the same program.
#[test]
fn facts_of_an_environment_are_its_own() {
    check(python::python());
}
