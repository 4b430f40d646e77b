//! The dependencies of projects. pip is the judge of dependency groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use prebuild::requirements::{Context, Error, Input, Name, Requirements};
use serde_json::{Value, json};

use super::{Job, assert_agreed, checked, corpus, entry_value, environments, explain, generate};
use crate::support::chance::Chance;

fn names(names: &[&str]) -> BTreeSet<Name> {
    names.iter().map(|name| Name::new(name)).collect()
}

/// Reads a project with the working folder `cwd`; the project is there if none is given.
fn read_in(
    cwd: Option<&Path>,
    bytes: &[u8],
    extras: &[&str],
    groups: &[&str],
) -> Result<Requirements, Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pyproject.toml");
    fs::write(&file, bytes).unwrap();
    let context = Context {
        env: &BTreeMap::new(),
        cwd: cwd.unwrap_or(folder.path()),
    };
    let input = Input::Project {
        path: cwd.map_or("pyproject.toml".into(), |_| file),
        extras: names(extras),
        groups: names(groups),
    };
    Requirements::read(&[input], &[], &context)
}

fn read(text: &str, extras: &[&str], groups: &[&str]) -> Result<Requirements, Error> {
    read_in(None, text.as_bytes(), extras, groups)
}

/// Each entry with its place and its marker.
fn told(read: &Requirements) -> String {
    let mut told = String::new();
    for entry in read.entries() {
        write!(told, "{} {}", entry.at, entry.written).unwrap();
        if let Some(marker) = &entry.marker {
            write!(told, " <{marker}>").unwrap();
        }
        told.push('\n');
    }
    for warning in read.warnings() {
        writeln!(told, "{}: {}", warning.at, warning.text).unwrap();
    }
    told
}

const DEMO: &str = r#"
[build-system]
requires = ["hatchling"]

[project]
name = "Demo.App"
version = "1"
requires-python = ">=3.10"
dependencies = [
    "flask[async]>=3",
    'typing-extensions; python_version < "3.11"',
    "caf\u0065 >= 1",
]

[project.optional-dependencies]
cli = ["click"]
Test_Suite = ["pytest", "demo-app[cli]"]
windows = ["pywin32"]
all = ["demo.app[test.suite]", "Demo_App[windows] ; sys_platform == 'win32'"]

[dependency-groups]
dev = ["ruff", { include-group = "Type.Checks" }]
type_checks = ["mypy ; os_name == 'posix'"]
"#;

#[test]
fn the_dependencies_of_a_project_are_read() {
    let only = read(DEMO, &[], &[]).unwrap();
    insta::assert_snapshot!(told(&only), @r#"
    pyproject.toml:10:6 flask[async]>=3
    pyproject.toml:11:6 typing-extensions; python_version < "3.11" <python_version < "3.11">
    pyproject.toml:12:5 cafe >= 1
    "#);
    let python = &only.requires_python()[0];
    let told_python = format!("{} {}", python.at, python.value);
    assert_eq!(told_python, "pyproject.toml:8:20 >=3.10");
    assert!(python.value.admit("3.12.0rc1") && !python.value.admit("3.9.2"));
    assert_eq!(only.files().len(), 1);
    assert_eq!(only.files()[0].path.to_str(), Some("pyproject.toml"));
}

#[test]
fn extras_and_groups_are_read_besides() {
    let some = read(DEMO, &["test-suite"], &["DEV"]).unwrap();
    insta::assert_snapshot!(told(&some), @r#"
    pyproject.toml:10:6 flask[async]>=3
    pyproject.toml:11:6 typing-extensions; python_version < "3.11" <python_version < "3.11">
    pyproject.toml:12:5 cafe >= 1
    pyproject.toml:16:9 click
    pyproject.toml:17:16 pytest
    pyproject.toml:22:9 ruff
    pyproject.toml:23:17 mypy ; os_name == 'posix' <os_name == 'posix'>
    "#);
}

/// What a reference to the project leads to is under the reference's marker.
#[test]
fn a_project_may_refer_to_its_own_extras() {
    let all = read(DEMO, &["all"], &[]).unwrap();
    insta::assert_snapshot!(told(&all), @r#"
    pyproject.toml:10:6 flask[async]>=3
    pyproject.toml:11:6 typing-extensions; python_version < "3.11" <python_version < "3.11">
    pyproject.toml:12:5 cafe >= 1
    pyproject.toml:16:9 click
    pyproject.toml:17:16 pytest
    pyproject.toml:18:13 pywin32 <sys_platform == 'win32'>
    "#);
}

#[test]
fn references_may_go_round() {
    let text = "
[project]
name = 'demo'
optional-dependencies.a = ['one', 'demo[b,c] ; os_name == \"nt\"', 'demo']
optional-dependencies.b = ['two ; python_version < \"4\"', 'demo[a,b] ; sys_platform == \"x\"']
optional-dependencies.c = ['demo[none]', 'demo @ https://example.org/demo-1.tar.gz']
[dependency-groups]
x = ['demo[a]>=2']
";
    insta::assert_snapshot!(told(&read(text, &[], &["x"]).unwrap()), @r#"
    pyproject.toml:4:29 one
    pyproject.toml:5:29 two ; python_version < "4" <(os_name == "nt") and (python_version < "4")>
    pyproject.toml:6:43 demo @ https://example.org/demo-1.tar.gz <os_name == "nt">
    pyproject.toml:6:29: the project has no extra `none`
    "#);
}

#[test]
fn groups_need_no_project() {
    let text = "dependency-groups.dev = ['ruff', \"\"\"mypy\"\"\", '''\nblack''']\n";
    insta::assert_snapshot!(told(&read(text, &[], &["dev"]).unwrap()), @r"
    pyproject.toml:1:27 ruff
    pyproject.toml:1:37 mypy
    pyproject.toml:1:46 black
    ");
}

#[test]
fn a_project_may_be_a_constraint() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[project]\ndependencies = ['a<2', 'b[c]']\n";
    fs::write(folder.path().join("p.toml"), text).unwrap();
    let context = Context {
        env: &BTreeMap::new(),
        cwd: folder.path(),
    };
    let input = Input::Project {
        path: "p.toml".into(),
        extras: names(&[]),
        groups: names(&[]),
    };
    let error = Requirements::read(&[], &[input], &context).unwrap_err();
    insta::assert_snapshot!(explain(&error), @r"
    error: p.toml:2:25: a constraint cannot have extras
      | dependencies = ['a<2', 'b[c]']
      |                         ^
      hint: name the extras where the requirement stands
    ");
}

#[test]
fn what_is_wrong_is_explained() {
    let project = |rest: &str| format!("[project]\nname = 'demo'\n{rest}\n");
    let asked: [(String, &[&str], &[&str]); 33] = [
        (String::new(), &[], &[]),
        ("[tool.x]\n".to_owned(), &["cli"], &["dev"]),
        ("[project\nname = 'x'".to_owned(), &[], &[]),
        (project("name = 'x'"), &[], &[]),
        (project("dependencies = ['a', 'b"), &[], &[]),
        (format!("x = {}", "[".repeat(100_000)), &[], &[]),
        (format!("{}x = 1", "x.".repeat(100_000)), &[], &[]),
        ("project = 1".to_owned(), &[], &[]),
        ("project.name = 1".to_owned(), &[], &[]),
        (project("dependencies = 'a'"), &[], &[]),
        (project("dependencies = ['a', 1]"), &[], &[]),
        (project("requires-python = '3.10'"), &[], &[]),
        (project("requires-python = '>=3.10 x'"), &[], &[]),
        (project("dynamic = ['version', 'dependencies']"), &[], &[]),
        (project("dynamic = ['optional-dependencies']"), &["x"], &[]),
        (
            project("dynamic = ['optional-dependencies']\ndependencies = ['demo[x]']"),
            &[],
            &[],
        ),
        (project("dependencies = ['a', 'b=1']"), &[], &[]),
        (project("dependencies = [\n  \"é\", # ü\n]"), &[], &[]),
        (project(r#"dependencies = ["a\u003d1"]"#), &[], &[]),
        (project("dependencies = ['']"), &[], &[]),
        (project("dependencies = ['./a']"), &[], &[]),
        (project("dependencies = ['-r a.txt']"), &[], &[]),
        (project("dependencies = ['a --hash=sha256:00']"), &[], &[]),
        (project("dependencies = [\"a ; 'x' in extras\"]"), &[], &[]),
        (project("dependencies = ['a @ file:///no/such']"), &[], &[]),
        (
            project("dependencies = ['a @ https://me:hunter2@h/a.zip x']"),
            &[],
            &[],
        ),
        (
            project("[project.optional-dependencies]\na = []\nb = []"),
            &["c"],
            &[],
        ),
        (
            project("optional-dependencies = {a = [], A = []}"),
            &[],
            &[],
        ),
        (project("[dependency-groups]\n"), &[], &["dev"]),
        (
            project("[dependency-groups]\na = [{include-group = 'b'}]"),
            &[],
            &["a"],
        ),
        (
            project(
                "[dependency-groups]\na = [{include-group = 'B'}]\nb = [{include-group = 'a'}]",
            ),
            &[],
            &["a"],
        ),
        (
            project("[dependency-groups]\na = [{include = 'b'}]"),
            &[],
            &["a"],
        ),
        (project("[dependency-groups]\na-b = []\na_b = []"), &[], &[]),
    ];
    let told: Vec<_> = asked
        .iter()
        .map(|(text, extras, groups)| explain(&read(text, extras, groups).unwrap_err()))
        .collect();
    let told = told.join("\n");
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn bytes_that_are_no_text_are_explained() {
    let error = read_in(None, b"[project]\nname = 'caf\xe9'\n", &[], &[]).unwrap_err();
    insta::assert_snapshot!(explain(&error), @r"
    error: pyproject.toml:2:12: not TOML: it is not UTF-8
      | name = 'caf�'
      |            ^
    ");
    let marked = "\u{feff}[project]\ndependencies = ['a']\n";
    assert_eq!(
        told(&read(marked, &[], &[]).unwrap()),
        "pyproject.toml:2:18 a\n"
    );
}

#[test]
fn pip_agrees_on_dependency_groups() {
    let mut chance = Chance(735);
    let mut job = || {
        let text = generate::groups(&mut chance);
        let name = chance.pick(&["dev", "DEV", "test", "A-B", "docs", "none"]);
        let answers = read_in(Some(&corpus()), text.as_bytes(), &[], &[name]).and_then(|read| {
            checked(&read)?;
            let answers = read.entries().iter().map(entry_value);
            answers.collect::<Result<Vec<Value>, _>>()
        });
        let answer = answers.map(|mut answers| {
            answers.sort_by_key(ToString::to_string);
            answers.dedup();
            json!({ "entries": answers })
        });
        Job {
            question: json!({ "project": text, "group": name }),
            answer: answer.unwrap_or_default(),
        }
    };
    let jobs: Vec<_> = (0..3_000).map(|_| job()).collect();
    assert_agreed(&jobs);
    let accepted = jobs
        .iter()
        .filter(|job| {
            job.answer["entries"]
                .as_array()
                .is_some_and(|list| list.len() > 1)
        })
        .count();
    assert!(accepted > 300, "{accepted}");
}

/// Files that would take longer than the universe has, or more memory than there is.
#[test]
fn hostile_projects_come_to_an_end() {
    let start = Instant::now();
    let mut groups = String::from("[dependency-groups]\n");
    let mut extras = String::from("[project]\nname = 'p'\n[project.optional-dependencies]\n");
    let mut chain = String::from("[dependency-groups]\n");
    for depth in 0..1_000 {
        let next = depth + 1;
        let include = format!("{{ include-group = 'g{next}' }}");
        if depth < 100 {
            writeln!(groups, "g{depth} = ['a', {include}, {include}]").unwrap();
        }
        writeln!(chain, "g{depth} = [{include}]").unwrap();
        let reference = |value| format!("\"p[e{next}] ; os_name == '{depth}{value}'\"");
        let (one, two) = (reference("x"), reference("y"));
        writeln!(extras, "e{depth} = ['a', {one}, {two}]").unwrap();
    }
    groups.push_str("g100 = ['z']\n");
    assert_eq!(read(&groups, &[], &["g0"]).unwrap().entries().len(), 101);
    for (text, asked, message) in [
        (&chain, (&[][..], &["g0"][..]), "too many dependency groups"),
        (&extras, (&["e0"], &[]), "too many extras"),
    ] {
        let error = read(text, asked.0, asked.1).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let many = (0..20_000).map(|n| format!("\"p[none] ; os_name == '{n}'\""));
    let many = many.collect::<Vec<_>>().join(",");
    let file = format!("[project]\nname = 'p'\ndependencies = [{many}]\n");
    assert_eq!(read(&file, &[], &[]).unwrap().warnings().len(), 20_000);
    let empty = file + "optional-dependencies.none = []\n";
    let error = read(&empty, &[], &[]).unwrap_err().to_string();
    assert!(error.contains("too many extras"), "{error}");
    let long = format!("project.dependencies = [{}]", "'a',".repeat(100_000));
    assert_eq!(read(&long, &[], &[]).unwrap().entries().len(), 100_000);
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = read(&text, &[], &[]).map_err(|error| explain(&error));
        }

        #[test]
        fn no_requirement_makes_the_parser_panic(
            text in r"([a-zé]{0,3}(\[| ?@ ?|;|==|\$\{NAME\}|\\u0041|\\n|'|#|https://|[(),.*! ]|\u{2028}|😀)){0,8}",
            quote in prop::sample::select(vec!["\"", "'", "\"\"\"", "'''"]),
        ) {
            let file = format!("[project]\nname = 'é'\ndependencies = ['ü', {quote}{text}{quote}]\n");
            match read(&file, &[], &[]) {
                Ok(read) => {
                    for environment in environments() {
                        let _ = read.check(&environment);
                    }
                }
                Err(error) => {
                    explain(&error);
                    let at = error.location().unwrap();
                    prop_assert!(at.line >= 1 && at.column >= 1);
                }
            }
        }

        #[test]
        fn no_table_makes_the_parser_panic(
            text in r#"((\[|\]|\{|\}|=|,|\.|\n|#|"| |'|project|dependenc(y-groups|ies)|name|dynamic|include-group|optional-dependencies|[a1é]){1,12}\n){0,6}"#
        ) {
            let _ = read(&text, &["a"], &["a"]).map_err(|error| explain(&error));
            let _ = read(&text, &[], &["a"]).map_err(|error| explain(&error));
        }
    }
}
