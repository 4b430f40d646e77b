//! The documentation: its links lead somewhere, its reference pages are what the program prints, and its commands run.
//!
//! `BLESS=1 cargo test --test it docs::` writes the pages that are generated, and the outputs that the pages show.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use prebuild::audit::{Finding, Problem, Severity};
use prebuild::code::Damaged;
use prebuild::tree::{Distribution, RelPath};
use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::support::python;
use crate::support::sandbox::{Sandbox, names};
use crate::support::wheel::{WheelBuilder, project};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of Markdown below a directory, sorted.
fn below(folder: &str) -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = walkdir::WalkDir::new(root().join(folder))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    pages.sort();
    pages
}

/// All pages of the project.
fn pages() -> Vec<PathBuf> {
    let names = ["README", "CHANGELOG", "CONTRIBUTING", "SECURITY"];
    let mut pages: Vec<PathBuf> = names
        .iter()
        .map(|name| root().join(format!("{name}.md")))
        .collect();
    for folder in ["docs", "testdata", "tests"] {
        pages.extend(below(folder));
    }
    pages
}

fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter()
}

/// The anchor that a heading gets where Markdown is shown.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The headings of a page, as they read.
fn headings(text: &str) -> Vec<String> {
    let mut headings = Vec::new();
    let mut heading = None;
    for (event, _) in events(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => headings.extend(heading.take()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    headings
}

/// Links that lead nowhere, of one page.
fn broken(page: &Path, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for (event, _) in events(text) {
        let target = match event {
            Event::Start(Tag::Link {
                dest_url,
                link_type,
                ..
            }) if link_type != LinkType::Email => dest_url,
            Event::Start(Tag::Image { dest_url, .. }) => dest_url,
            _ => continue,
        };
        if target.starts_with("https://") {
            continue;
        }
        let (path, fragment) = target.split_once('#').unwrap_or((&target, ""));
        let file = page.parent().unwrap().join(path);
        let is_on = |text: &str| {
            let headings = headings(text);
            headings.iter().any(|heading| anchor(heading) == fragment)
        };
        let is_there = if path.is_empty() {
            is_on(text)
        } else {
            file.exists()
                && (fragment.is_empty() || fs::read_to_string(&file).is_ok_and(|text| is_on(&text)))
        };
        if !is_there {
            let page = page.strip_prefix(root()).unwrap_or(page);
            broken.push(format!("{}: {target}", page.display()));
        }
    }
    broken
}

#[test]
fn links_and_anchors_lead_somewhere() {
    let mut found = Vec::new();
    for page in pages() {
        found.extend(broken(&page, &fs::read_to_string(&page).unwrap()));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let page = root().join("README.md");
    let text = "# The end\n[a](#the-end) [b](#no-end) [c](no.md) [d](docs/internals/hazards.md#hazards) `[e](x)`\n";
    let expected = ["README.md: #no-end", "README.md: no.md"];
    assert_eq!(broken(&page, text), expected);
}

/// A page that is generated, or a part of one: written with `BLESS`, else compared.
fn current(path: &Path, expected: &str) {
    let text = fs::read_to_string(path).unwrap_or_default();
    if text == expected {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, expected).unwrap();
        return;
    }
    let name = path.strip_prefix(root()).unwrap();
    let difference = text
        .lines()
        .zip(expected.lines())
        .find(|(old, new)| old != new)
        .map_or_else(String::new, |(old, new)| format!("\n- {old}\n+ {new}"));
    panic!(
        "{} is out of date: `BLESS=1 cargo test --test it docs::` writes it{difference}",
        name.display()
    );
}

/// The names under `Commands:` in a help text.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}

fn reference(sandbox: &Sandbox, command: &[&str], page: &mut String) {
    let help = sandbox.run(&[command, &["--help"]].concat()).ok().stdout;
    let name = [&["prebuild"], command].concat().join(" ");
    let text: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(
        page,
        "\n## {name}\n\n```text\n{}\n```\n",
        text.join("\n").trim()
    )
    .unwrap();
    for subcommand in commands(&help) {
        reference(sandbox, &[command, &[subcommand.as_str()]].concat(), page);
    }
}

#[test]
fn the_command_line_reference_is_current() {
    let mut page = "# Command line\n\n\
        Each section is the output of `--help`. A test generates this page. \
        [Exit codes](exit-codes.md) and [environment variables](environment.md) have pages of their own.\n"
        .to_owned();
    reference(&Sandbox::new(), &[], &mut page);
    assert!(page.contains("\n## prebuild cache prune\n"), "{page}");
    current(&root().join("docs/reference/cli.md"), &page);
}

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
    let line = "put this line into the stage of the runtime: `RUN pip uninstall -y setuptools`";
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

/// A page with the text of its code blocks replaced.
fn replaced(page: &str, blocks: &[(Range<usize>, String)]) -> String {
    let mut page = page.to_owned();
    for (range, text) in blocks.iter().rev() {
        page.replace_range(range.clone(), text);
    }
    page
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

/// A fenced block of a page.
struct Block {
    /// What stands behind the fence.
    info: String,
    /// The heading above it.
    heading: String,
    /// The comment right above it, without its marks.
    mark: Option<String>,
    /// Where its lines are.
    body: Range<usize>,
}

/// The fenced blocks of a page, in their order.
fn blocks_of(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut heading, mut mark) = (String::new(), None);
    let mut is_heading = false;
    for (event, range) in events(page) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                heading.clear();
                is_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => is_heading = false,
            Event::Text(text) | Event::Code(text) if is_heading => heading.push_str(&text),
            Event::Start(Tag::HtmlBlock) => {
                let text = page[range].trim();
                let text = text
                    .strip_prefix("<!--")
                    .and_then(|text| text.strip_suffix("-->"));
                mark = Some(text.expect("a comment").trim().to_owned());
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let text = &page[range.clone()];
                let start = range.start + text.find('\n').unwrap() + 1;
                let end = range.start + text.rfind("```").unwrap();
                blocks.push(Block {
                    info: info.into_string(),
                    heading: heading.clone(),
                    mark: mark.take(),
                    body: start..end,
                });
            }
            Event::Start(Tag::Paragraph | Tag::List(_) | Tag::Table(_)) => mark = None,
            _ => {}
        }
    }
    blocks
}

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

    /// Builds an image of a Dockerfile and looks into it, unless the page has commands for that.
    fn build(&self, dockerfile: &str, is_built_next: bool) {
        self.sandbox.write("Dockerfile", dockerfile);
        if !self.has_engine || is_built_next {
            return;
        }
        let check = "python3 -c 'import requests' && gunicorn --version";
        let check = match fs::read_to_string(self.sandbox.work().join("requirements.txt")) {
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
fn run_page(page: &Path, has_engine: bool) {
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
                desk.build(body, is_built_next);
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
    for page in guides() {
        run_page(&page, false);
    }
}

/// The pages' Dockerfiles, as they are written there, and the commands that need an engine.
#[test]
#[ignore = "needs a container engine"]
fn engine_dockerfiles_and_commands_of_the_guides_work() {
    for page in guides() {
        run_page(&page, true);
    }
}

#[test]
fn the_readme_is_short_and_its_figures_are_those_of_the_source() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 120, "{}", readme.lines().count());
    let kinds = format!("{} kinds of error", Problem::ERRORS.len());
    assert!(readme.contains(&kinds), "{kinds}");
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

/// The errors of a document by its schema in the reference.
fn invalid(schema: &str, document: &serde_json::Value) -> Vec<String> {
    let path = root().join("docs/reference/schema").join(schema);
    let schema: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors = validator.iter_errors(document);
    errors
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect()
}

#[test]
fn documents_are_what_their_schemas_say() {
    let sandbox = Sandbox::new();
    // With a note, a dependency and an extra; one is built from source, with a warning.
    WheelBuilder::new("demo", "1.0")
        .requires("other>=1")
        .metadata("Provides-Extra: more")
        .file("demo/__init__.py", "import other\n")
        .file("shared.py", "1")
        .build(&sandbox.links());
    WheelBuilder::new("other", "1.0")
        .file("other.py", "import absent\n")
        .file("shared.py", "2")
        .build(&sandbox.links());
    project(&sandbox.work().join("proj"), "proj", "pass");
    sandbox.write("constraints.txt", "other<2\n");
    let text = "-c constraints.txt\n--only-binary demo\n--prefer-binary\ndemo[more]\n./proj\nnever; python_version < '3'\n";
    sandbox.write("requirements.txt", text);
    sandbox.write("wheels.txt", "demo==1.0\nother==1.0\n");
    let python = python::python().display().to_string();
    let document = |args: &[&str], python: &str| {
        let more = ["--python", python, "--format", "json"];
        let ran = sandbox.offline(&[args, &more].concat()).ok();
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let alone = |args: &[&str], code: i32| {
        let ran = sandbox.run(&[args, &["--format", "json"]].concat());
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{args:?}: {}", ran.stderr))
    };
    let facts: serde_json::Value = alone(&["runtime", &python], 0);
    let built = [
        "requirements.txt",
        "--runtime",
        &python,
        "-o",
        "d.tar",
        "-o",
        "d/",
    ];
    let targeted = ["wheels.txt", "--platform", "linux/arm64", "-o", "a.zip"];
    let artifact = [
        "verify",
        "d.tar",
        "--runtime",
        &python,
        "--unsafe-no-sandbox",
        "--python",
        &python,
    ];
    let documents: [(&str, serde_json::Value); 11] = [
        ("runtime.json", facts),
        ("build.json", document(&built, &python)),
        (
            "plan.json",
            document(&["plan", "requirements.txt"], &python),
        ),
        ("lock.json", document(&["lock", "wheels.txt"], &python)),
        ("build.json", document(&targeted, "3.12")),
        ("verify.json", alone(&artifact, 4)),
        ("cache-dir.json", alone(&["cache", "dir"], 0)),
        ("cache-size.json", alone(&["cache", "size"], 0)),
        ("cache-verify.json", alone(&["cache", "verify"], 0)),
        ("cache-freed.json", alone(&["cache", "prune"], 0)),
        ("cache-freed.json", alone(&["cache", "clean"], 0)),
    ];
    let mut seen = BTreeSet::new();
    for (schema, document) in &documents {
        assert_eq!(invalid(schema, document), [""; 0], "{schema}: {document:#}");
        let mut more = document.clone();
        more["something"] = 1.into();
        assert!(!invalid(schema, &more).is_empty(), "{schema}");
        seen.insert((*schema).to_owned());
    }
    let schemas = names(&root().join("docs/reference/schema"));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), schemas);
    let page = fs::read_to_string(root().join("docs/reference/json.md")).unwrap();
    for (schema, document) in &documents {
        let row = page
            .lines()
            .find(|line| line.contains(&format!("(schema/{schema})")));
        assert!(
            row.unwrap()
                .ends_with(&format!("| {} |", document["version"])),
            "{schema}"
        );
    }
    let findings = documents[1].1["findings"].as_array().unwrap();
    assert!(findings.len() >= 2, "{findings:?}");
    assert_eq!(documents[5].1["broken"].as_array().unwrap().len(), 2);
}

#[test]
fn each_directory_of_test_data_says_what_it_is_for() {
    for name in names(&root().join("testdata")) {
        let readme = root().join("testdata").join(&name).join("README.md");
        assert!(readme.is_file(), "testdata/{name} has no README.md");
    }
}
