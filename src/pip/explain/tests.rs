//! The recordings, each beside its explanation.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::pip::packages::System;

/// The lines of a recording; the first tells the command that was recorded.
fn lines(path: &Path) -> Vec<String> {
    let text = String::from_utf8(crate::fs::read(path).unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn told(explanation: &Explanation) -> String {
    let mut text = String::new();
    for cause in &explanation.causes {
        let name = cause.distribution.as_deref().unwrap_or("-");
        let line = cause.line.map_or("-".to_owned(), |line| line.to_string());
        writeln!(text, "{name}, line {line}: {cause}").unwrap();
        if let Some(hint) = cause.hint(System::Other) {
            writeln!(text, "    hint: {hint}").unwrap();
        }
    }
    if text.is_empty() {
        text.push_str("nothing\n");
    }
    text
}

/// A recording is added by adding its file; `INSTA_UPDATE=always cargo test` writes its snapshot.
#[test]
fn every_recording_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pip");
    let mut recordings: Vec<_> = crate::fs::list(&folder)
        .unwrap()
        .into_iter()
        .map(|name| folder.join(name))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    recordings.sort();
    assert!(recordings.len() > 100, "the recordings are in {folder:?}");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder.join("explained"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for path in recordings {
        let output = lines(&path);
        let log = path.with_extension("log");
        let log = if log.exists() {
            lines(&log)
        } else {
            Vec::new()
        };
        let explanation = explain_with_log(&output[1..], &log);
        let mut text = told(&explanation);
        for line in &explanation.excerpt {
            writeln!(text, "  | {line}").unwrap();
        }
        insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), text);
    }
}

#[test]
fn what_needs_a_network_to_record_is_explained() {
    for (line, message) in [
        (
            "      Rust not found, installing into a temporary directory",
            "`orjson` has to be compiled, and the builder has no `cargo`",
        ),
        (
            "      x.c:1:10: fatal error: Python.h: No such file or directory",
            "`orjson` needs Python's headers, which the builder does not have",
        ),
        (
            "      error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
            "`orjson` has to be compiled, and the builder has no `gcc`",
        ),
        (
            "      CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage",
            "`orjson` has to be compiled, and the builder has no `g++`",
        ),
        (
            "      CMake Error: CMake was unable to find a build program corresponding to \"Unix Makefiles\".",
            "`orjson` needs the program `make`, which the builder does not have",
        ),
        (
            "      /usr/bin/ld: cannot find -lpython3.11: No such file or directory",
            "`orjson` needs Python's headers, which the builder does not have",
        ),
    ] {
        let explanation = explain(&["Collecting orjson==3", line]);
        let messages: Vec<String> = explanation.causes.iter().map(Cause::message).collect();
        assert_eq!(messages, [message]);
    }
}

/// pip before 21.1 tries an older version then.
#[test]
fn a_discarded_build_is_a_cause_if_no_version_is_left() {
    let told = |missing: &str| {
        told(&explain(&[
            "Collecting a",
            "WARNING: Discarding https://h/a-2.tar.gz (from https://h/a/). Command errored out with \
             exit status 1: python setup.py egg_info Check the logs for full command output.",
            missing,
        ]))
    };
    assert_eq!(
        told("ERROR: Could not find a version that satisfies the requirement a>=1"),
        "a, line -: the build of `a` failed: no output, exit code 1\n"
    );
    assert_eq!(
        told("ERROR: Could not find a version that satisfies the requirement b"),
        "b, line -: nothing was found for `b`\n    \
         hint: check the name, the index, and whether there is a wheel for the target\n"
    );
}

#[test]
fn no_output_explains_nothing() {
    assert_eq!(explain(&[] as &[&str]), Explanation::default());
    assert_eq!(explain(&[""]), Explanation::default());
}

/// Pieces of what pip writes, cut and joined in ways that it never would.
fn pieces() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "Collecting ",
        "ERROR: Could not find a version that satisfies the requirement ",
        " (from versions: ",
        "Could not fetch URL ",
        "ERROR: HTTP error 401 while getting ",
        " fatal error: ",
        ": No such file or directory",
        "No such file or directory: '",
        "Skipping link: none of the wheel's tags",
        "DO NOT MATCH THE HASHES FROM",
        "Expected sha256 ",
        "Got ",
        "ERROR: Invalid requirement: ",
        "ERROR: Exception:",
        "(from -r x (line 3))",
        "://",
        "\u{1b}[",
        "'",
        "‘ü’",
        "ERROR: Failed to build '",
        "WARNING: Retrying : /",
        "Package ",
        " was not found in the pkg-config search path",
        "    ",
        "/bin/sh: ",
        ": not found",
    ];
    let piece = prop_oneof![
        prop::sample::select(PIECES).prop_map(str::to_owned),
        "\\PC{0,8}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// What a build says is in the log alone; where pip said what is in its output alone.
#[test]
fn the_log_is_woven_into_the_output() {
    let output = [
        "Collecting a (from -r r.txt (line 2))",
        "  Building wheel for a (pyproject.toml): started",
        "  error: subprocess-exited-with-error",
        "  ",
        "  × Building wheel for a (pyproject.toml) did not run successfully.",
        "  ╰─> See above for output.",
        "  Building wheel for a (pyproject.toml): finished with status 'error'",
        "  ERROR: Failed building wheel for a",
    ];
    let mut log = vec![
        "2024-05-06T07:08:09,012 Using pip 24.2".to_owned(),
        "2024-05-06T07:08:09,012 Collecting a (from -r r.txt (line 2))".to_owned(),
        "2024-05-06T07:08:09,012   Building wheel for a (pyproject.toml): started".to_owned(),
        "2024-05-06T07:08:09,012   Running command Building wheel for a".to_owned(),
        "2024-05-06T07:08:09,012   gcc -c a.c".to_owned(),
        "2024-05-06T07:08:09,012   a.c:1:1: fatal error: zlib.h: No such file or directory"
            .to_owned(),
    ];
    log.extend((0..3000).map(|at| format!("2024-05-06T07:08:09,012   \u{1b}[31mline\u{7} {at}")));
    log.extend([
        "2024-05-06T07:08:09,012   ERROR: Building wheel for a exited with 1".to_owned(),
        "2024-05-06T07:08:09,012   Building wheel for a (pyproject.toml): finished with status 'error'"
            .to_owned(),
        "2024-05-06T07:08:09,012   ERROR: Failed building wheel for a".to_owned(),
        "2024-05-06T07:08:09,012 Exception information:".to_owned(),
        "2024-05-06T07:08:09,012 ERROR: No space left on device".to_owned(),
    ]);
    let explanation = explain_with_log(&output, &log);
    let failure = Failure::MissingHeader {
        header: "zlib.h".to_owned(),
    };
    let cause = Cause {
        distribution: Some("a".to_owned()),
        line: Some(2),
        failure,
    };
    assert_eq!(explanation.causes, [cause]);
    assert_eq!(explanation.excerpt.len(), SHOWN);
    assert_eq!(
        explanation.excerpt[..7],
        [
            "  gcc -c a.c",
            "  a.c:1:1: fatal error: zlib.h: No such file or directory",
            "  line 0",
            "  line 1",
            "  line 2",
            "  line 3",
            "…",
        ]
    );
    assert_eq!(explanation.excerpt[SHOWN - 1], "  line 2999");
    assert_eq!(explanation.command.len(), 2000);
}

#[test]
fn side_remarks_are_held_against_the_requirement() {
    let said = |requirement: &str| {
        let lines = [
            "WARNING: Ignoring version 1.5 of a since it has invalid metadata:".to_owned(),
            "Requested a from u has invalid metadata: .* is odd".to_owned(),
            "    b (>=0.9.*)".to_owned(),
            "ERROR: Ignored the following yanked versions: 1.0, 2.0".to_owned(),
            "ERROR: Ignored the following versions that require a different python version: \
             3.0 Requires-Python >=4; 3.1 Requires-Python >=4"
                .to_owned(),
            format!(
                "ERROR: Could not find a version that satisfies the requirement {requirement} \
                 (from versions: 0.1, 0.2)"
            ),
        ];
        let log = [
            "Skipping link: none of the wheel's tags (cp27-none-any) are compatible: https://h/a-4.0-cp27-none-any.whl (from x)",
        ];
        told(&explain_with_log(&lines, &log))
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    for (requirement, expected) in [
        (
            "a==9",
            "no version satisfies `a==9`; the latest are 0.2, 0.1",
        ),
        (
            "a<0.1",
            "no version satisfies `a<0.1`; the latest are 0.2, 0.1",
        ),
        (
            "a[x]<1.1,>0.5",
            "all that satisfies `a[x]<1.1,>0.5` was yanked: 1.0",
        ),
        (
            "a>=3,<4",
            "`a>=3,<4` is for other Pythons: 3.1 Requires-Python >=4; 3.0 Requires-Python >=4",
        ),
        (
            "a~=4.0",
            "`a~=4.0` has no sdist, and wheels for other platforms or Pythons only: cp27-none-any",
        ),
        (
            "a==1.5",
            "the builder's pip refuses the invalid metadata of all that satisfies `a==1.5`: 1.5: \
             `b (>=0.9.*)`: .* is odd",
        ),
    ] {
        assert_eq!(said(requirement), format!("a, line -: {expected}"));
    }
}

#[test]
fn what_nothing_explains_is_told_in_pips_words() {
    let lines = [
        "Processing ./x (from -r r.txt (line 4))",
        "ERROR: the moon is in the wrong house",
    ];
    assert_eq!(
        told(&explain(&lines)),
        "./x, line 4: pip failed: the moon is in the wrong house\n"
    );
}

#[test]
fn a_long_output_takes_no_longer_than_it_should() {
    let line = "ERROR: Command errored out with exit status 1: \
                ERROR: Could not find a version that satisfies the requirement a";
    let lines = vec![line; 20_000];
    assert_eq!(explain(&lines).causes.len(), 1);
}

proptest! {
    #[test]
    fn no_text_is_too_odd(lines in prop::collection::vec(pieces(), 0..12)) {
        for cause in explain_with_log(&lines, &lines).causes {
            let _ = (cause.message(), cause.hint(System::Other));
        }
    }

    #[test]
    fn no_characters_are_too_odd(lines in prop::collection::vec(any::<String>(), 0..6)) {
        let _ = explain(&lines);
    }
}
