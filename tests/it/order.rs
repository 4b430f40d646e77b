//! The order of installation, held against the pips that decide it: what `pip install` says that it
//! installs, in the order in which it says so.

use std::path::Path;
use std::process::Command;

use crate::support::chance::Chance;
use crate::support::python::{python, with_pip};
use crate::support::sandbox::Sandbox;
use crate::support::wheel::WheelBuilder;

/// Distributions, what each requires, and what the user asks for.
#[derive(Debug)]
struct Case {
    name: String,
    distributions: Vec<(String, Vec<String>)>,
    asked: Vec<String>,
}

fn case(name: &str, distributions: &[(&str, &[&str])], asked: &[&str]) -> Case {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Case {
        name: name.to_owned(),
        distributions: distributions
            .iter()
            .map(|(name, requires)| ((*name).to_owned(), owned(requires)))
            .collect(),
        asked: owned(asked),
    }
}

fn cases() -> Vec<Case> {
    vec![
        case(
            "alone",
            &[("a", &[]), ("b", &[]), ("c", &[])],
            &["b", "a", "c"],
        ),
        case("chain", &[("a", &["b"]), ("b", &["c"]), ("c", &[])], &["a"]),
        case(
            "diamond",
            &[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])],
            &["a"],
        ),
        case(
            "diamond, one side longer",
            &[
                ("a", &["b", "c"]),
                ("b", &["e"]),
                ("e", &["d"]),
                ("c", &["d"]),
                ("d", &[]),
            ],
            &["a", "d"],
        ),
        case("circle of two", &[("a", &["b"]), ("b", &["a"])], &["a"]),
        case(
            "circle of three, asked in the middle, and what it hangs on",
            &[
                ("a", &["b"]),
                ("b", &["c", "x"]),
                ("c", &["a"]),
                ("x", &[]),
                ("y", &["a"]),
            ],
            &["y", "b"],
        ),
        case(
            "two circles that share one",
            &[
                ("a", &["b", "c"]),
                ("b", &["a"]),
                ("c", &["d"]),
                ("d", &["a"]),
            ],
            &["c"],
        ),
        case(
            "an extra",
            &[("a", &["b; extra == 'x'", "c"]), ("b", &["a"]), ("c", &[])],
            &["a[x]"],
        ),
        case(
            "extras of itself",
            &[
                ("a", &["a[x]; extra == 'all'", "b; extra == 'x'"]),
                ("b", &["c"]),
                ("c", &[]),
            ],
            &["a[all]"],
        ),
        case(
            "a circle through an extra",
            &[
                ("a", &["b[x]"]),
                ("b", &["c; extra == 'x'"]),
                ("c", &["a"]),
                ("d", &["b"]),
            ],
            &["d", "a"],
        ),
        case(
            "a marker that does not hold",
            &[
                ("a", &["b; python_version < '3'", "c"]),
                ("b", &[]),
                ("c", &["b"]),
            ],
            &["a"],
        ),
    ]
}

/// Graphs with so few edges that no walk reaches its limits, where pip's order is one of several.
fn by_chance() -> Vec<Case> {
    let mut chance = Chance(7);
    let mut cases = Vec::new();
    for number in 0..12 {
        let count = 4 + chance.below(5);
        let name = |index: usize| format!("p{index}");
        let distributions = (0..count)
            .map(|index| {
                let edges = usize::from(chance.one_in(2)) + chance.below(2);
                let mut requires = Vec::new();
                for _ in 0..edges {
                    let other = chance.below(count);
                    match chance.below(4) {
                        _ if other == index => {}
                        0 => requires.push(format!("{}[x]", name(other))),
                        1 => requires.push(format!("{}; extra == 'x'", name(other))),
                        _ => requires.push(name(other)),
                    }
                }
                requires.dedup();
                (name(index), requires)
            })
            .collect();
        let asked = (0..=chance.below(3)).map(|_| name(chance.below(count)));
        let mut asked: Vec<_> = asked.collect();
        asked.sort();
        asked.dedup();
        cases.push(Case {
            name: format!("chance {number}"),
            distributions,
            asked,
        });
    }
    cases
}

/// What pip says that it installs.
fn by_pip(python: &Path, case: &Case, sandbox: &Sandbox) -> Vec<String> {
    let output = Command::new(python)
        .args(["-m", "pip", "install", "--no-index", "--no-compile"])
        .args([
            "--disable-pip-version-check",
            "--ignore-installed",
            "--find-links",
        ])
        .arg(sandbox.links())
        .arg("--prefix")
        .arg(sandbox.work().join("prefix"))
        .args(&case.asked)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("Installing collected packages: "));
    let names = line.unwrap_or_else(|| panic!("{}: {said}", case.name));
    names.split(", ").map(ToOwned::to_owned).collect()
}

/// What is installed here, in the order of the plan.
fn by_us(python: &Path, case: &Case, sandbox: &Sandbox) -> Vec<String> {
    sandbox.write("requirements.txt", case.asked.join("\n"));
    let python = python.display().to_string();
    let args = ["plan", "requirements.txt", "--python", &python];
    let ran = sandbox.offline(&[&args[..], &["--format", "json"]].concat());
    let plan: serde_json::Value = serde_json::from_str(&ran.ok().stdout).unwrap();
    let items = plan["distributions"].as_array().unwrap().iter();
    items
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

fn agree(python: &Path) {
    for case in cases().into_iter().chain(by_chance()) {
        let sandbox = Sandbox::new();
        for (name, requires) in &case.distributions {
            let wheel = WheelBuilder::new(name, "1.0").file(&format!("{name}.py"), "");
            let wheel = requires
                .iter()
                .fold(wheel, |wheel, requirement| wheel.requires(requirement));
            let extra = requires.iter().any(|text| text.contains("extra"));
            let extras: &[&str] = if extra { &["x", "all"] } else { &["x"] };
            let wheel = extras.iter().fold(wheel, |wheel, extra| {
                wheel.metadata(&format!("Provides-Extra: {extra}"))
            });
            wheel.build(&sandbox.links());
        }
        assert_eq!(
            by_us(python, &case, &sandbox),
            by_pip(python, &case, &sandbox),
            "{case:?}"
        );
    }
}

#[test]
fn is_that_of_this_pip() {
    agree(python());
}

#[test]
#[ignore = "long: makes environments with other pips"]
fn is_that_of_other_pips() {
    for version in ["23.0", "24.0", "25.1.1", "25.2"] {
        agree(&with_pip(version));
    }
}
