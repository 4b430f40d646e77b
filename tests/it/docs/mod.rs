//! The documentation: its links lead somewhere, its reference pages are what the program prints, and its commands run.
//!
//! `BLESS=1 cargo test --test it docs::` writes the pages that are generated, and the outputs that the pages show.

mod commands;
mod documents;
mod findings;

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use prebuild::audit::Problem;
use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::support::sandbox::{Sandbox, names};

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

/// A page with the text of its code blocks replaced.
fn replaced(page: &str, blocks: &[(Range<usize>, String)]) -> String {
    let mut page = page.to_owned();
    for (range, text) in blocks.iter().rev() {
        page.replace_range(range.clone(), text);
    }
    page
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

#[test]
fn the_readme_is_short_and_its_figures_are_those_of_the_source() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 120, "{}", readme.lines().count());
    let kinds = format!("{} kinds of error", Problem::ERRORS.len());
    assert!(readme.contains(&kinds), "{kinds}");
}

#[test]
fn each_directory_of_test_data_says_what_it_is_for() {
    for name in names(&root().join("testdata")) {
        let readme = root().join("testdata").join(&name).join("README.md");
        assert!(readme.is_file(), "testdata/{name} has no README.md");
    }
}
