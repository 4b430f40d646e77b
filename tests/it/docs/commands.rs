//! The commands and the Dockerfiles of the README and the guides: they run, and print what is shown.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Block, below, blocks_of, current, replaced, root};
use crate::support::sandbox::Sandbox;

/// The pages whose commands are run.
fn guides() -> Vec<PathBuf> {
    let mut guides = vec![root().join("README.md")];
    guides.extend(below("docs/guide"));
    guides
}

/// How a block of a page is run.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// It is a file for the commands of the page.
    File(String),
    /// Commands, by an ordinary test.
    Commands,
    /// Commands that need a container engine.
    EngineCommands,
    /// An image is built of it.
    Dockerfile,
    /// It says why it is not run.
    NotRun,
}

fn way(page: &Path, block: &Block) -> Way {
    let mark = block.mark.as_deref();
    if let Some(why) = mark.and_then(|mark| mark.strip_prefix("not run:")) {
        assert!(!why.trim().is_empty(), "{}", page.display());
        return Way::NotRun;
    }
    match (block.info.split_once(' '), block.info.as_str(), mark) {
        (Some((_, name)), _, None) => Way::File(name.to_owned()),
        (None, "console", None) => Way::Commands,
        (None, "console", Some("engine")) => Way::EngineCommands,
        (None, "dockerfile", None) => Way::Dockerfile,
        _ => panic!(
            "{}: nobody runs the block `{}` under \"{}\": see docs/internals/testing.md",
            page.display(),
            block.info,
            block.heading
        ),
    }
}

/// A command of a block, and the output that the page shows.
struct Shown {
    command: String,
    output: String,
}

fn shown_commands(text: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Shown {
                command: command.trim_end().to_owned(),
                output: String::new(),
            });
        } else {
            let last = commands.last_mut().expect("a block begins with a command");
            last.output.push_str(line);
        }
    }
    commands
}

/// A line without what differs from run to run and from machine to machine: times, sizes, digests, and versions of
/// the builder.
fn general(line: &str) -> String {
    const UNITS: [&str; 8] = ["s", "ms", "B", "KiB", "MiB", "GiB", "MB", "GB"];
    if line.trim_start().starts_with("builder ") {
        return "builder".to_owned();
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let mut general = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words
            .get(at + 1)
            .map_or("", |next| next.trim_end_matches(','));
        let before = at.checked_sub(1).map_or("", |before| words[before]);
        general.push(if is_number(word) && UNITS.contains(&next) {
            "[N]"
        } else if word.starts_with("sha256:") {
            "[DIGEST]"
        } else if matches!(before, "pip" | "CPython")
            && word.starts_with(|c: char| c.is_ascii_digit())
        {
            "[VERSION]"
        } else {
            word
        });
    }
    general.join(" ")
}

/// Whether an output is the one that is shown, where a line `...` stands for any lines.
fn is_shown(shown: &str, output: &str) -> bool {
    fn matches(shown: &[String], output: &[String]) -> bool {
        match shown.split_first() {
            None => output.is_empty(),
            Some((line, rest)) if line == "..." => {
                (0..=output.len()).any(|at| matches(rest, &output[at..]))
            }
            Some((line, rest)) => output.first() == Some(line) && matches(rest, &output[1..]),
        }
    }
    let lines = |text: &str| -> Vec<String> { text.lines().map(general).collect() };
    matches(&lines(shown), &lines(output))
}

/// Where the commands of one page run.
struct Desk {
    sandbox: Sandbox,
    has_engine: bool,
}

/// What the Dockerfiles of pages install, where the page does not say.
const REQUIREMENTS: &str = "gunicorn\nrequests\norjson\n";
const TAG: &str = "prebuild-test-docs";
/// The image that the page on private indexes builds by itself.
const SECRET_TAG: &str = "prebuild-test-secret";

impl Desk {
    fn new(has_engine: bool) -> Self {
        let index = std::env::var("PIP_INDEX_URL");
        let index = index.unwrap_or_else(|_| prebuild::index::DEFAULT_INDEX.to_owned());
        let sandbox = Sandbox::new().env("INDEX_URL", index);
        sandbox.write("requirements.txt", REQUIREMENTS);
        // A secret that opens nothing.
        sandbox.write(
            "netrc",
            "machine pypi.example.com login user password pass\n",
        );
        let program = env!("CARGO_BIN_EXE_prebuild");
        let script = |name: &str, text: &str| {
            let path = sandbox.write(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n"));
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        // Here, containers have no network but the machine's.
        script(
            "prebuild",
            &format!(
                "case \" $* \" in *' --image '*) set -- \"$@\" --network host;; esac\nexec {program} \"$@\""
            ),
        );
        script(
            "docker",
            "PATH=${PATH#*:}\ncase $1 in build) shift; set -- build --network host \"$@\";; esac\nexec docker \"$@\"",
        );
        if has_engine {
            // Without what only a debugger reads: it is sent to the engine again and again.
            let stripped = Command::new("strip")
                .args(["--strip-debug", "-o"])
                .arg(sandbox.work().join("prebuild"))
                .arg(program)
                .status();
            assert!(stripped.unwrap().success());
        }
        Self {
            sandbox,
            has_engine,
        }
    }

    /// Runs a command as a shell does; its exit code, and all that it prints.
    fn run(&self, command: &str) -> (bool, String) {
        let work = self.sandbox.work();
        let path = std::env::var("PATH").unwrap();
        let output = self
            .sandbox
            .shell(&format!("exec 2>&1; {command}"))
            .env("PATH", format!("{}:{path}", work.join("bin").display()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text)
    }

    /// Builds an image of a Dockerfile and looks into it, unless the page has commands for that, or another page
    /// had the same.
    fn build(&self, dockerfile: &str, is_built_next: bool, built: &mut BTreeSet<String>) {
        self.sandbox.write("Dockerfile", dockerfile);
        let requirements = fs::read_to_string(self.sandbox.work().join("requirements.txt"));
        let is_new = built.insert(format!("{dockerfile}{requirements:?}"));
        if !self.has_engine || is_built_next || !is_new {
            return;
        }
        let check = "python3 -c 'import requests' && gunicorn --version";
        let check = match requirements {
            Ok(text) if text == REQUIREMENTS => check,
            _ => "true",
        };
        let command = format!(
            "docker build --quiet --tag {TAG} . && docker run --rm {TAG} sh -c \"{check}\""
        );
        let (is_ok, said) = self.run(&command);
        assert!(is_ok, "{dockerfile}\n{said}");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if self.has_engine {
            let images = ["docker", "rmi", "--force", TAG, SECRET_TAG];
            let _ = Command::new(images[0]).args(&images[1..]).output();
        }
    }
}

/// Runs what a page shows: the files and the commands of `ways`, in their order; with `BLESS`, writes what the commands
/// print.
fn run_page(page: &Path, has_engine: bool, built: &mut BTreeSet<String>) {
    let text = fs::read_to_string(page).unwrap();
    let blocks = blocks_of(&text);
    let ways: Vec<Way> = blocks.iter().map(|block| way(page, block)).collect();
    let needs_engine = |way: &Way| matches!(way, Way::EngineCommands | Way::Dockerfile);
    if has_engine && !ways.iter().any(needs_engine) {
        return;
    }
    let desk = Desk::new(has_engine);
    let mut written = Vec::new();
    for (at, (block, way)) in blocks.iter().zip(&ways).enumerate() {
        let body = &text[block.body.clone()];
        match way {
            Way::NotRun => {}
            Way::File(name) => drop(desk.sandbox.write(name, body)),
            Way::Dockerfile => {
                let next = ways.iter().zip(&blocks).skip(at + 1);
                let next = next.take_while(|(way, _)| !matches!(way, Way::Dockerfile));
                let is_built_next = next
                    .filter(|(way, _)| **way == Way::EngineCommands)
                    .any(|(_, block)| text[block.body.clone()].contains("$ docker build"));
                desk.build(body, is_built_next, built);
            }
            Way::EngineCommands if !has_engine => {}
            Way::Commands | Way::EngineCommands => {
                let mut is_changed = false;
                let mut new = String::new();
                for Shown { command, output } in shown_commands(body) {
                    let (is_ok, said) = desk.run(&command);
                    let may_fail = output.lines().any(|line| line.starts_with("error: "));
                    assert!(is_ok != may_fail, "{}: {command}\n{said}", page.display());
                    let is_same = is_shown(&output, &said);
                    is_changed |= !is_same;
                    let output = if is_same { &output } else { &said };
                    new.push_str(&format!("$ {command}\n{output}"));
                    assert!(
                        is_same || std::env::var_os("BLESS").is_some(),
                        "{}: {command}\nprints\n{said}",
                        page.display()
                    );
                }
                if is_changed {
                    written.push((block.body.clone(), new));
                }
            }
        }
    }
    if !written.is_empty() {
        current(page, &replaced(&text, &written));
    }
}

#[test]
fn commands_of_the_guides_print_what_is_shown() {
    let mut built = BTreeSet::new();
    for page in guides() {
        run_page(&page, false, &mut built);
    }
}

/// The pages' Dockerfiles, as they are written there, and the commands that need an engine.
#[test]
#[ignore = "needs a container engine"]
fn engine_dockerfiles_and_commands_of_the_guides_work() {
    let mut built = BTreeSet::new();
    for page in guides() {
        run_page(&page, true, &mut built);
    }
}

#[test]
fn shown_outputs_are_compared() {
    let output = " builder  this machine\n    done  1 file, 1.96 MiB in\n   times  audit 0.1 s\na  sha256:12\n";
    assert!(is_shown(
        " builder  other\n    done  1 file, 7 MiB in\n   times  audit 2.0 s\na  sha256:34\n",
        output
    ));
    assert!(is_shown("...\na  sha256:34\n", output));
    assert!(is_shown("...\n", "") && is_shown("", ""));
    assert!(!is_shown("    done  2 files, 7 MiB in\n...\n", output));
    assert!(!is_shown("...\n    done  2 files, 7 MiB in\n...\n", output));
    assert!(!is_shown("", output));
}
