//! Plans held against pip's own: the same files, or the same refusal.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::python::{pyenv, python, script, with_pip_of};
use crate::support::sandbox::{Sandbox, digest, names};
use crate::support::wheel::WheelBuilder;

/// What is chosen: names, versions and files; `Err` has what was said instead.
type Chosen = Result<Vec<[String; 3]>, String>;

fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

fn file(url: &Value) -> String {
    let url = url.as_str().unwrap();
    let path = url.split('#').next().unwrap();
    path.rsplit('/').next().unwrap().replace("%2B", "+")
}

fn by_pip(python: &Path, args: &[&str], folder: &Path) -> Chosen {
    let output = Command::new(python)
        .args(["-m", "pip", "install", "--dry-run", "--ignore-installed"])
        .args(["--quiet", "--disable-pip-version-check", "--report", "-"])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut chosen: Vec<_> = report["install"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let metadata = &item["metadata"];
            [
                normal(metadata["name"].as_str().unwrap()),
                metadata["version"].as_str().unwrap().to_owned(),
                file(&item["download_info"]["url"]),
            ]
        })
        .collect();
    chosen.sort();
    Ok(chosen)
}

/// What is planned here, and who decided.
fn by_us(sandbox: &Sandbox, args: &[&str]) -> (Chosen, String) {
    let ran = sandbox.run(&[&["plan", "--format", "json", "--quiet"], args].concat());
    if ran.code != Some(0) {
        return (Err(ran.stderr), String::new());
    }
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut chosen: Vec<_> = plan["distributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let text = |key: &str| item[key].as_str().unwrap().to_owned();
            [text("name"), text("version"), file(&item["url"])]
        })
        .collect();
    chosen.sort();
    let by = plan["decided_by"].as_str().unwrap().to_owned();
    (Ok(chosen), by)
}

fn same(pip: &Chosen, ours: &Chosen) -> bool {
    match (pip, ours) {
        (Ok(pip), Ok(ours)) => pip == ours,
        (pip, ours) => pip.is_err() && ours.is_err(),
    }
}

/// Local versions, pre-releases, build tags and hashes, of wheels that were made for it.
#[test]
fn local_versions_are_chosen_as_by_pip() {
    let sandbox = Sandbox::new();
    let folder = sandbox.links();
    for version in [
        "1.0",
        "1.0+cpu",
        "1.0+cu118",
        "1.0+1",
        "1.0.post1",
        "1.1rc1",
        "1.1.dev3",
        "2.0",
    ] {
        let wheel = WheelBuilder::new("demo", version).file("demo.py", version);
        wheel.build(&folder);
    }
    let hash = |version: &str| {
        let name = format!("demo-{version}-py3-none-any.whl");
        digest(&folder.join(name)).to_string()
    };
    for (line, by) in [
        ("demo==1.0".to_owned(), "requirements"),
        ("demo==1".to_owned(), "requirements"),
        ("demo==1.0+cpu".to_owned(), "requirements"),
        ("demo==1.0+CPU".to_owned(), "requirements"),
        ("demo===1.0".to_owned(), "requirements"),
        ("demo===1.0+cpu".to_owned(), "requirements"),
        ("demo===1".to_owned(), ""),
        ("demo==1.0+gpu".to_owned(), ""),
        ("demo==1.1rc1".to_owned(), "requirements"),
        ("demo==1.1.dev3".to_owned(), "requirements"),
        ("demo==1.1".to_owned(), ""),
        ("demo==1.0.post1".to_owned(), "requirements"),
        ("demo==1.0,!=1.0+cu118".to_owned(), "requirements"),
        ("demo==1.0\ndemo==1.0+cpu".to_owned(), "requirements"),
        ("demo==1.0\ndemo!=1.0+cu118".to_owned(), "requirements"),
        ("demo==1.0\ndemo==2.0".to_owned(), ""),
        (format!("demo==1.0 --hash={}", hash("1.0+cpu")), ""),
        (
            format!(
                "demo==1.0 --hash={} --hash={}",
                hash("1.0"),
                hash("1.0+cpu")
            ),
            "",
        ),
        // A folder says nothing of hashes: the best file is taken, and has another.
        (format!("demo==1.0 --hash={}", hash("2.0")), ""),
        (
            format!("demo==1.0+cpu --hash={}", hash("1.0+cpu")),
            "requirements",
        ),
        ("demo==1.*".to_owned(), "pip"),
        ("demo".to_owned(), "pip"),
    ] {
        sandbox.write("requirements.txt", format!("{line}\n"));
        let links = folder.display().to_string();
        let offline = ["--no-index", "--find-links", &links];
        let pip = by_pip(
            python(),
            &[&offline[..], &["-r", "requirements.txt"]].concat(),
            &sandbox.work(),
        );
        let python = python().display().to_string();
        let args = ["requirements.txt", "--python", &python];
        let (ours, decided) = by_us(&sandbox, &[&args[..], &offline].concat());
        assert!(same(&pip, &ours), "{line}: {pip:?}\n{ours:?}");
        assert_eq!(decided, by, "{line}");
    }
}

/// The locked sets of the repository, for three Pythons, with the newest pip that each can have.
#[test]
#[ignore = "asks the package index"]
fn index_locked_sets_are_planned_as_by_pip() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sets: Vec<PathBuf> = ["benches/locks", "testdata/locked"]
        .into_iter()
        .flat_map(|folder| {
            let folder = root.join(folder);
            let files = names(&folder).into_iter();
            files.map(move |name| folder.join(name)).collect::<Vec<_>>()
        })
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.ends_with(".txt") && !name.starts_with("limits")
        })
        .collect();
    sets.sort();
    let mut pythons = Vec::new();
    for (version, pip) in [("3.9.", "26.0.1"), ("3.11.", "26.3"), ("3.13.", "26.3")] {
        let found = pyenv()
            .into_iter()
            .find(|(name, _)| name.starts_with(version));
        let (_, interpreter) = found.expect("pyenv has 3.9, 3.11 and 3.13");
        pythons.push(with_pip_of(&interpreter, pip));
    }
    let todo: Mutex<Vec<(&PathBuf, &PathBuf)>> = Mutex::new(
        sets.iter()
            .flat_map(|set| pythons.iter().map(move |python| (set, python)))
            .collect(),
    );
    let different = Mutex::new(Vec::new());
    let (counted, refused) = (Mutex::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let sandbox = Sandbox::new();
                loop {
                    let next = todo.lock().unwrap().pop();
                    let Some((set, python)) = next else {
                        break;
                    };
                    let name = set.display().to_string();
                    let folder = set.parent().unwrap();
                    let pip = by_pip(python, &["-r", &name], folder);
                    let python = python.display().to_string();
                    let (ours, _) = by_us(&sandbox, &[&name, "--python", &python]);
                    *counted.lock().unwrap() += 1;
                    *refused.lock().unwrap() += usize::from(pip.is_err());
                    if !same(&pip, &ours) {
                        let text = format!("{name} {python}:\n{pip:?}\n{ours:?}");
                        different.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let different = different.into_inner().unwrap();
    println!(
        "{} plans, {} refused by both, {} different",
        counted.into_inner().unwrap(),
        refused.into_inner().unwrap(),
        different.len()
    );
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Versions in their order, and what every clause admits, as `packaging` has it: each row of PEP 440's
/// summary, and what lies between.
#[test]
fn versions_are_ordered_and_admitted_as_by_packaging() {
    use prebuild::requirements::{Specifiers, Version};
    let mut versions = Vec::new();
    for release in [
        "1", "1.0", "1.0.0", "1.1", "1.10", "2", "0", "1!1.0", "2012.4",
    ] {
        for pre in [
            "",
            ".dev0",
            ".dev456",
            "a1",
            "a2.dev456",
            "a12",
            "b1.dev456",
            "b2",
            "b2.post345.dev456",
            "b2.post345",
            "rc1.dev456",
            "rc1",
            "C1",
            "-alpha.1",
            "_pre2",
        ] {
            for post in ["", ".post456.dev34", ".post456", "-1", ".rev2"] {
                for local in ["", "+abc.5", "+abc.7", "+5", "+ABC-10", "+0"] {
                    if pre.contains("post") && !post.is_empty()
                        || pre.contains("dev") && !post.is_empty()
                    {
                        continue;
                    }
                    versions.push(format!("{release}{pre}{post}{local}"));
                }
            }
        }
    }
    versions.extend(
        [
            "v1.0", " 1.0 ", "1.0.DEV", "1.0.post", "1.0c", "nope", "1.0-x", "1..0", "1.0+",
            "01.002",
        ]
        .map(str::to_owned),
    );
    let mut clauses = Vec::new();
    for base in [
        "1.0",
        "1",
        "1.0.post456",
        "1.0a1",
        "1.0.dev456",
        "1.0+abc.5",
        "1!1.0",
        "1.1rc1",
        "2.0",
    ] {
        for operator in ["==", "!=", "<=", ">=", "<", ">", "~=", "==="] {
            clauses.push(format!("{operator}{base}"));
        }
        clauses.push(format!("=={base}.*"));
        clauses.push(format!("!={base}.*"));
    }
    let input = serde_json::json!({ "versions": versions, "clauses": clauses });
    let folder = tempfile::tempdir().unwrap();
    let judged = script("pip_versions.py", folder.path(), input.to_string());
    let judged: Value = serde_json::from_str(&judged).unwrap();
    let parsed: Vec<_> = versions.iter().map(|text| Version::parse(text)).collect();
    let normal: Vec<_> = parsed
        .iter()
        .map(|version| version.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(serde_json::to_value(&normal).unwrap(), judged["normal"]);
    let mut order: Vec<usize> = (0..versions.len())
        .filter(|&at| parsed[at].is_some())
        .collect();
    order.sort_by(|&a, &b| parsed[a].cmp(&parsed[b]).then(a.cmp(&b)));
    assert_eq!(serde_json::to_value(&order).unwrap(), judged["order"]);
    let mut pairs = 0;
    for (clause, admitted) in clauses.iter().zip(judged["admitted"].as_array().unwrap()) {
        let read: Result<Specifiers, _> = clause.parse();
        let Ok(specifiers) = read else {
            assert!(admitted.is_null(), "{clause} is refused here alone");
            continue;
        };
        let ours: Vec<bool> = normal
            .iter()
            .flatten()
            .map(|version| specifiers.admit(version))
            .collect();
        pairs += ours.len();
        assert_eq!(&serde_json::to_value(&ours).unwrap(), admitted, "{clause}");
    }
    assert!(pairs > 50_000, "{pairs}");
}
