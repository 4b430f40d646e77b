//! What is drawn on a terminal, byte by byte, by `script` from util-linux.

use crate::support::sandbox::Sandbox;
use crate::support::wheel::{WheelBuilder, project};

/// What begins a line again.
const CLEARED: &str = "\r\u{1b}[2K";

/// What prebuild writes onto a terminal of 80 columns.
fn on_a_terminal(sandbox: &Sandbox, args: &str) -> String {
    let program = env!("CARGO_BIN_EXE_prebuild");
    let line = format!("script -qec 'stty cols 80; exec {program} {args}' /dev/null </dev/null");
    let output = sandbox.shell(&line).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

fn is_spinner(c: char) -> bool {
    ('⠀'..='⣿').contains(&c)
}

/// How many columns a line takes up: sequences that set colours take none.
fn columns(line: &str) -> usize {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap().chars().count();
    let behind = |part: &str| {
        part.split_once('m')
            .map_or(0, |(_, rest)| rest.chars().count())
    };
    first + parts.map(behind).sum::<usize>()
}

/// A sandbox with requirements that take a while to build.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().env("TERM", "xterm");
    WheelBuilder::new("demo", "1.0").build(&sandbox.links());
    project(&sandbox.work().join("proj"), "proj", "time.sleep(1)");
    let links = sandbox.links().display().to_string();
    let text = format!("--no-index\n--find-links {links}\ndemo==1.0\n./proj\n");
    sandbox.write("requirements.txt", text);
    sandbox
}

#[test]
fn progress_stays_within_its_line_and_goes() {
    let text = on_a_terminal(&sandbox(), "requirements.txt");
    let drawn: Vec<&str> = text
        .split(CLEARED)
        .flat_map(|part| part.split("\r\n"))
        .collect();
    for line in &drawn {
        if line.contains(is_spinner) {
            assert!(columns(line) <= 76, "{line}");
        }
    }
    // What stands beside a label belongs to it.
    let beside = |label: &str, what: &str| {
        let mut own = drawn.iter().filter(|line| line.contains(what));
        assert!(own.clone().count() > 0, "{text}");
        assert!(own.all(|line| line.starts_with(label)), "{text}");
    };
    beside(" resolve ", "reading the requirements");
    beside(" builder ", "starting the builder");
    beside(" resolve ", "pip resolves the requirements");
    assert!(!text.contains("0/0"), "{text}");
    // The result comes last, on a line that was cleared.
    let last = text.rsplit(CLEARED).next().unwrap();
    assert!(!last.contains(is_spinner), "{last}");
    assert!(last.contains("deps.tar.gz"), "{last}");
}

#[test]
fn nothing_is_drawn_where_nobody_watches() {
    for (name, value) in [("CI", "true"), ("TERM", "dumb")] {
        let text = on_a_terminal(&sandbox().env(name, value), "requirements.txt");
        assert!(!text.contains(CLEARED), "{name}: {text}");
        assert!(text.contains("deps.tar.gz"), "{text}");
    }
}

/// A terminal shows `^C` where the cursor is: what is drawn must still be cleared.
#[test]
fn an_interrupt_leaves_no_progress_behind() {
    let sandbox = sandbox();
    let program = env!("CARGO_BIN_EXE_prebuild");
    let keys = "sleep 2; printf '\\003'; sleep 3";
    let line = format!(
        "({keys}) | script -qec 'stty cols 80; {program} requirements.txt; true' /dev/null"
    );
    project(&sandbox.work().join("proj"), "proj", "time.sleep(20)");
    let output = sandbox.shell(&line).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (before, after) = text.split_once("^C").unwrap();
    // Before it, less than a whole line; behind it, that line is cleared before the error.
    let line = before.rsplit(CLEARED).next().unwrap();
    assert!(columns(line) <= 76, "{line}");
    let (_, error) = after.rsplit_once(CLEARED).unwrap();
    assert!(error.contains("interrupted"), "{error}");
}
