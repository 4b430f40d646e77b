//! The page of findings: a heading for each kind, and the message that is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use prebuild::audit::{Finding, Problem, Severity};
use prebuild::code::Damaged;
use prebuild::tree::{Distribution, RelPath};

use super::{blocks_of, current, replaced, root};

/// The kinds of findings, from the one place in the source that names them.
fn kinds() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("src/audit/finding.rs")).unwrap();
    source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""))
        .map(|(_, kind)| kind.trim_end_matches("\",").to_owned())
        .collect()
}

/// One finding of each kind, as builds have them.
#[expect(clippy::too_many_lines, reason = "one entry a kind")]
fn findings() -> Vec<Finding> {
    let text = |text: &str| text.to_owned();
    let of = |severity, problem, path: &str, name: &str, version: &str| {
        let mut finding = Finding::about(severity, problem);
        if !path.is_empty() {
            finding.path = Some(RelPath::new(path).unwrap());
        }
        if !name.is_empty() {
            finding.distribution = Some(Distribution {
                name: text(name),
                version: text(version),
            });
            finding.required_by = vec![text("requirements.txt:1")];
        }
        finding
    };
    let site = |path: &str| format!("lib/python3.11/site-packages/{path}");
    let native = site("numpy/linalg/_umath_linalg.cpython-311-x86_64-linux-gnu.so");
    let numpy_file = |severity, problem| of(severity, problem, &native, "numpy", "2.1.3");
    let (error, warning, note) = (Severity::Error, Severity::Warning, Severity::Note);
    let mut already_there = of(
        warning,
        Problem::AlreadyThere {
            version: text("65.5.1"),
            folder: text("/usr/local/lib/python3.11/site-packages"),
        },
        "",
        "setuptools",
        "80.9.0",
    );
    // The line is made for the runtime at hand.
    let line =
        "add this line to the runtime stage of the Dockerfile: `RUN pip uninstall -y setuptools`";
    already_there.remedy = Some(text(line));
    vec![
        numpy_file(
            error,
            Problem::DamagedCode {
                reason: Damaged::Segments,
            },
        ),
        of(
            error,
            Problem::MissingInterpreter {
                interpreter: text("/opt/python/bin/python3"),
            },
            "bin/tool",
            "tool",
            "1.0",
        ),
        of(
            error,
            Problem::MissingLibrary {
                library: text("libpq.so.5"),
                package: Some(text("libpq5")),
                elsewhere: None,
                module: None,
                opened: Vec::new(),
            },
            &site("psycopg2/_psycopg.cpython-311-x86_64-linux-gnu.so"),
            "psycopg2",
            "2.9.9",
        ),
        of(
            error,
            Problem::MissingModule {
                module: text("distutils"),
                instead: Some(text("setuptools")),
                package: None,
            },
            &site("old/__init__.py"),
            "old",
            "1.0",
        ),
        of(
            note,
            Problem::MissingProgram {
                program: text("ffmpeg"),
                package: Some(text("ffmpeg")),
                purpose: text("to read and write all formats but WAV"),
            },
            "",
            "pydub",
            "0.25.1",
        ),
        numpy_file(
            error,
            Problem::MissingVersion {
                library: text("libc.so.6"),
                versions: vec![text("GLIBC_2.38")],
                newest: Some(text("GLIBC_2.36")),
            },
        ),
        of(
            error,
            Problem::NotImported {
                suffix: text(".cpython-312-x86_64-linux-gnu.so"),
                suffixes: vec![
                    text(".cpython-311-x86_64-linux-gnu.so"),
                    text(".abi3.so"),
                    text(".so"),
                ],
            },
            &site("fast.cpython-312-x86_64-linux-gnu.so"),
            "fast",
            "1.0",
        ),
        of(
            error,
            Problem::NotSearched {
                folder: text("/opt/app/lib/python3.11/site-packages"),
                searched: vec![text("/usr/local/lib/python3.11/site-packages")],
            },
            "",
            "",
            "",
        ),
        of(
            error,
            Problem::OldPython {
                tag: text("cp312"),
                runtime: text("3.11"),
            },
            "",
            "fast",
            "1.0",
        ),
        of(
            error,
            Problem::PathFile {
                folder: text("/src/app"),
            },
            &site("__editable__.app.pth"),
            "app",
            "1.0",
        ),
        of(
            error,
            Problem::ReplacesRuntime {
                file: text("/usr/local/bin/pip3"),
                of: text("pip 24.0"),
                hides: false,
            },
            "bin/pip3",
            "pip",
            "25.1",
        ),
        of(
            error,
            Problem::RequiresPython {
                requires: text(">=3.12"),
                runtime: text("3.11"),
            },
            "",
            "new",
            "1.0",
        ),
        of(error, Problem::Secret, &site("app/_build.py"), "app", "1.0"),
        of(
            error,
            Problem::UnmetRequirement {
                requires: text("urllib3<3,>=1.21.1"),
                has: None,
            },
            "",
            "requests",
            "2.32.5",
        ),
        numpy_file(
            error,
            Problem::WrongLibc {
                library: text("libc.musl-x86_64.so.1"),
                runtime: text("glibc 2.36"),
            },
        ),
        numpy_file(
            error,
            Problem::WrongMachine {
                machine: text("aarch64"),
                runtime: text("x86_64"),
            },
        ),
        of(
            error,
            Problem::WrongPython {
                builder: text("3.12"),
                runtime: text("3.11"),
            },
            "",
            "",
            "",
        ),
        already_there,
        of(
            warning,
            Problem::BuildFolder {
                folder: text("/tmp/build/lib"),
            },
            &native,
            "numpy",
            "2.1.3",
        ),
        of(
            warning,
            Problem::BuiltHere {
                distributions: vec![text("psycopg2")],
            },
            "",
            "",
            "",
        ),
        of(
            warning,
            Problem::CaseCollision {
                other: RelPath::new(&site("demo/readme.txt")).unwrap(),
            },
            &site("demo/README.txt"),
            "",
            "",
        ),
        of(
            warning,
            Problem::Conflict {
                distributions: vec![
                    Distribution {
                        name: text("opencv-python"),
                        version: text("4.10.0.84"),
                    },
                    Distribution {
                        name: text("opencv-python-headless"),
                        version: text("4.10.0.84"),
                    },
                ],
                equal: false,
            },
            &site("cv2/__init__.py"),
            "",
            "",
        ),
        of(
            warning,
            Problem::DanglingLink {
                target: text("/usr/share/data"),
            },
            "share/data",
            "data",
            "1.0",
        ),
        of(
            warning,
            Problem::ShadowsStandard {
                module: text("queue"),
            },
            &site("queue.py"),
            "queue",
            "1.0",
        ),
    ]
}

/// A finding as the terminal shows it.
fn shown(finding: &Finding) -> String {
    match finding.severity {
        Severity::Error => format!("{}: {}", finding.problem.kind(), finding.with_help()),
        Severity::Warning => format!("warning: {}", finding.with_help()),
        Severity::Note => format!("note  {}", finding.with_help()),
    }
}

#[test]
fn each_kind_of_finding_has_a_heading_and_the_message_that_is_printed() {
    let path = root().join("docs/reference/findings.md");
    let page = fs::read_to_string(&path).unwrap();
    let findings = findings();
    let examples: BTreeMap<&str, &Finding> = findings
        .iter()
        .map(|finding| (finding.problem.kind(), finding))
        .collect();
    let named: BTreeSet<String> = examples.keys().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(named, kinds(), "each kind has an example in this test");
    for kind in Problem::ERRORS {
        assert_eq!(examples[kind].severity, Severity::Error, "{kind}");
    }
    let mut blocks = Vec::new();
    let mut seen = BTreeSet::new();
    for block in blocks_of(&page) {
        let Some(finding) = examples.get(block.heading.as_str()) else {
            continue;
        };
        assert_eq!(block.info, "text", "{}", block.heading);
        assert!(
            seen.insert(block.heading.clone()),
            "one example of {}",
            block.heading
        );
        blocks.push((block.body, format!("{}\n", shown(finding))));
    }
    assert_eq!(seen, named, "each kind has a heading with an example");
    current(&path, &replaced(&page, &blocks));
}
