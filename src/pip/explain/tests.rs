//! The recordings, each beside its explanation.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;

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
        if let Some(hint) = cause.hint() {
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
        let mut text = told(&explain(&output[1..]));
        let log = path.with_extension("log");
        if log.exists() {
            let with_log = told(&explain_with_log(&output[1..], &lines(&log)));
            write!(text, "\nwith the log:\n{with_log}").unwrap();
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
            "      /usr/bin/ld: cannot find -lpython3.11: No such file or directory",
            "`orjson` needs Python's headers, which the builder does not have",
        ),
    ] {
        let explanation = explain(&["Collecting orjson==3", line]);
        let messages: Vec<String> = explanation.causes.iter().map(Cause::message).collect();
        assert_eq!(messages, [message]);
    }
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
            let _ = (cause.message(), cause.hint());
        }
    }

    #[test]
    fn no_characters_are_too_odd(lines in prop::collection::vec(any::<String>(), 0..6)) {
        let _ = explain(&lines);
    }
}
