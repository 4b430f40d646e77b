//! Targets that are named: what pip's `packaging` says in their interpreters, and what it would.

use std::path::Path;

use prebuild::target::{Named, Platform, PythonVersion, Target};
use serde_json::{Value, json};

use crate::support::python::{pyenv, python, script, script_by};

fn named(python: &str, platform: &str) -> Named {
    let python: PythonVersion = python.parse().unwrap();
    let platform: Platform = platform.parse().unwrap();
    Target::named(&python, &platform)
}

/// Compares tags, and shows no more than the first that differ.
fn agree(what: &str, ours: &[String], theirs: &Value) {
    let theirs: Vec<_> = theirs.as_array().unwrap().iter().collect();
    for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs.as_str().unwrap(), "{what}: tag {at}");
    }
    assert_eq!(ours.len(), theirs.len(), "{what}");
}

/// What an interpreter says of itself, by the pip in a folder or by its own; compared with what its
/// names alone say.
fn ask(interpreter: &Path, folder: Option<&str>) -> Value {
    let job = format!("{}\n", json!({ "folder": folder }));
    let answer = script_by(interpreter, "pip_tags.py", Path::new("."), job);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let part = |name: &str| answer[name].as_str().unwrap();
    let named = named(part("python"), part("platform"));
    let target = serde_json::to_value(&named.target).unwrap();
    assert_eq!(target, answer["target"], "{}", interpreter.display());
    agree(part("python"), &named.tags, &answer["tags"]);
    answer
}

#[test]
fn interpreters_say_the_same_of_themselves() {
    // One is always there.
    let judge = ask(python(), None);
    let judge = judge["folder"].as_str().unwrap();
    let interpreters = pyenv().into_iter().filter_map(|(name, interpreter)| {
        // pyenv names them as users do; others are not to be named.
        let version: PythonVersion = name.parse().ok()?;
        Some((version, interpreter))
    });
    for (version, interpreter) in interpreters {
        let version = version.to_string();
        // Older pips do not know the stable ABI of free-threaded builds; the judge does.
        if !version.ends_with('t') {
            assert_eq!(ask(&interpreter, None)["python"], version);
        }
        // The judge does not run on 3.8.
        if !version.starts_with("3.8.") {
            assert_eq!(ask(&interpreter, Some(judge))["python"], version);
        }
    }
}

/// Platforms by their names, and what a system says there.
fn platforms() -> Vec<(String, Value)> {
    let glibc = |machine, minor| json!({ "machine": machine, "glibc": [2, minor], "musl": null });
    let musl = |machine, minor| json!({ "machine": machine, "glibc": null, "musl": [1, minor] });
    let mut platforms = Vec::new();
    for machine in [
        "x86_64", "i686", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64",
    ] {
        for minor in [17, 28, 39, 50] {
            let name = format!("manylinux_2_{minor}_{machine}");
            platforms.push((name, glibc(machine, minor)));
        }
        for minor in [0, 1, 2] {
            let name = format!("musllinux_1_{minor}_{machine}");
            platforms.push((name, musl(machine, minor)));
        }
    }
    for (name, machine, minor) in [
        ("linux/amd64", "x86_64", 28),
        ("linux/arm64", "aarch64", 28),
        ("linux/arm/v7", "armv7l", 28),
        ("linux_i686", "i686", 28),
        ("manylinux2014_s390x", "s390x", 17),
        ("manylinux2010_x86_64", "x86_64", 12),
        ("manylinux_2_5_x86_64", "x86_64", 5),
        ("manylinux1_i686", "i686", 5),
    ] {
        platforms.push((name.to_owned(), glibc(machine, minor)));
    }
    platforms
}

#[test]
fn packaging_accepts_the_same_elsewhere() {
    let mut jobs = String::new();
    let mut ours = Vec::new();
    for (python, minor, free_threaded) in [
        ("3.8", 8, false),
        ("3.9", 9, false),
        ("3.10", 10, false),
        ("3.11", 11, false),
        ("3.12", 12, false),
        ("3.13", 13, false),
        ("3.13t", 13, true),
        ("3.14", 14, false),
        ("3.14t", 14, true),
    ] {
        for (platform, system) in platforms() {
            let job = json!({ "minor": minor, "free_threaded": free_threaded, "system": system });
            jobs.push_str(&format!("{job}\n"));
            let tags = named(python, &platform).tags;
            ours.push((format!("{python} on {platform}"), tags));
        }
    }
    let answers = script("pip_tags.py", Path::new("."), jobs);
    let answers: Vec<_> = answers.lines().collect();
    assert_eq!(answers.len(), ours.len());
    for ((what, ours), theirs) in ours.iter().zip(answers) {
        agree(what, ours, &serde_json::from_str(theirs).unwrap());
    }
}

#[test]
fn what_cannot_be_named_is_refused_with_the_reason() {
    let python = |text: &str| text.parse::<PythonVersion>().unwrap_err().to_string();
    let platform = |text: &str| text.parse::<Platform>().unwrap_err().to_string();
    let said = [
        python("cp312"),
        python("3.12\n"),
        python("2.7"),
        python("3.15"),
        python("3.12t"),
        platform("x86_64"),
        platform("macosx_11_0_arm64"),
        platform("win_amd64"),
        platform("windows/amd64"),
        platform("linux/arm/v6"),
        platform("manylinux_2_28_amd64"),
        platform("manylinux_2_82_x86_64"),
        platform("manylinux2010_aarch64"),
        platform("musllinux_2_0_x86_64"),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    expected a version of Python such as `3.12`, `3.12.4` or `3.13t`, got `cp312`
    expected a version of Python such as `3.12`, `3.12.4` or `3.13t`, got `3.12\n`
    Python `2.7` cannot be named as a target: only CPython 3.8 to 3.14 can
    Python `3.15` cannot be named as a target: only CPython 3.8 to 3.14 can
    Python `3.12t` does not exist: free-threaded builds begin with 3.13
    expected a platform such as `manylinux_2_28_x86_64`, `musllinux_1_2_x86_64` or `linux/amd64`, got `x86_64`
    `macosx_11_0_arm64` cannot be a target: prebuild builds prefixes for Linux
    `win_amd64` cannot be a target: prebuild builds prefixes for Linux
    `windows/amd64` cannot be a target: prebuild builds prefixes for Linux
    `linux/arm/v6` cannot be a target: `arm/v6` is not among the architectures amd64, 386, arm64, arm/v7, ppc64le, s390x, riscv64
    `manylinux_2_28_amd64` cannot be a target: `amd64` is not among the architectures x86_64, i686, aarch64, armv7l, ppc64le, s390x, riscv64
    `manylinux_2_82_x86_64` cannot be a target: its C library is none of glibc 2.5 to 2.50
    `manylinux2010_aarch64` cannot be a target: its C library is none of glibc 2.17 to 2.50
    `musllinux_2_0_x86_64` cannot be a target: its C library is none of musl 1.0 to 1.9
    ");
}
