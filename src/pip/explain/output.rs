//! pip's output as lines that know which distribution pip was at.

use std::collections::HashMap;

use crate::requirements::{extension, is_archive, is_version};

/// A line of pip's output.
#[derive(Debug)]
pub(super) struct Line {
    /// Without colours, the time that `--log` puts before it, and white space around it.
    pub(super) text: String,
    /// How many characters of white space were before it. What pip itself says about the
    /// requirements begins at the left; what a build says is indented.
    pub(super) indent: usize,
    /// The distribution that pip was working on.
    pub(super) about: Option<String>,
    /// The line of the requirements file that brought it.
    pub(super) place: Option<u32>,
    /// Whether a command wrote it that pip ran: a build, or git.
    pub(super) of_command: bool,
}

/// pip's output.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) lines: Vec<Line>,
    /// By normalised name, the line of the requirements file that brought a distribution.
    places: HashMap<String, u32>,
}

impl Output {
    pub(super) fn read(lines: &[impl AsRef<str>]) -> Self {
        let lines = lines.iter().map(|line| (shown(line.as_ref()), false));
        Self::of(lines, [])
    }

    /// What pip wrote to its output, and within it what the log has of the commands that pip ran, in
    /// the order in which it was written.
    ///
    /// With `--log`, pip writes what a build or git says to the log alone.
    pub(super) fn read_with_log(lines: &[impl AsRef<str>], log: &[impl AsRef<str>]) -> Self {
        let lines: Vec<String> = lines.iter().map(|line| shown(line.as_ref())).collect();
        let mut written: Vec<(String, bool)> = Vec::with_capacity(lines.len());
        let mut rest = lines.as_slice();
        // The indentation of what the command writes that the log is at.
        let mut command: Option<usize> = None;
        let mut added = Vec::new();
        for line in log {
            let line = shown(line.as_ref());
            if line == EXCEPTION {
                break;
            }
            if let Some(place) = place_in_log(&line) {
                added.push(place);
            }
            let near = rest.get(..AHEAD).unwrap_or(rest);
            let at = (!line.is_empty())
                .then(|| near.iter().position(|told| *told == line))
                .flatten();
            if let Some(at) = at {
                let (told, after) = rest.split_at(at + 1);
                written.extend(told.iter().map(|told| (told.clone(), false)));
                rest = after;
                command = None;
            } else if line.trim_start().starts_with("Running command ") {
                command = Some(indent_of(&line));
            } else if let Some(indent) = command {
                if indent_of(&line) < indent && !line.is_empty() || is_end_of_command(&line) {
                    command = None;
                } else {
                    written.push((line, true));
                }
            }
        }
        written.extend(rest.iter().map(|told| (told.clone(), false)));
        Self::of(written.into_iter(), added)
    }

    /// The lines, and the places that are known before them.
    fn of(
        lines: impl ExactSizeIterator<Item = (String, bool)>,
        places: impl IntoIterator<Item = (String, u32)>,
    ) -> Self {
        let mut output = Self {
            lines: Vec::with_capacity(lines.len()),
            places: places.into_iter().collect(),
        };
        let (mut about, mut place) = (None, None);
        for (shown, of_command) in lines {
            let text = shown.trim_start();
            let indent = shown.len() - text.len();
            if let Some(subject) = subject(text, indent) {
                // Of a folder, pip knows no name yet.
                about = Some(name_of(subject).unwrap_or(subject).to_owned());
                place = origin(text);
                if let (Some(name), Some(place)) = (&about, place) {
                    output.places.entry(normalized(name)).or_insert(place);
                } else if place.is_none() {
                    place = about.as_deref().and_then(|name| output.place_of(name));
                }
            }
            output.lines.push(Line {
                text: text.to_owned(),
                indent,
                about: about.clone(),
                place,
                of_command,
            });
        }
        output
    }

    /// The line of the requirements file that brought the distribution `name`.
    pub(super) fn place_of(&self, name: &str) -> Option<u32> {
        self.places.get(&normalized(name)).copied()
    }
}

/// How far ahead a line of the log is looked for in the output: what pip writes there alone is shorter.
const AHEAD: usize = 64;

/// What the log has behind this is about pip.
const EXCEPTION: &str = "Exception information:";

/// A line as it is shown.
fn shown(line: &str) -> String {
    let shown = without_colours(line);
    without_time(&shown).trim_end().to_owned()
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether these are pip's words in its log about a command that has ended.
fn is_end_of_command(line: &str) -> bool {
    let text = line.trim_start();
    text.starts_with("ERROR: ") && text.contains(" exited with ")
        || text.starts_with("[bold magenta]")
}

/// The distribution, and the line of the requirements file that brought it, which pip before 23.1
/// writes to its log alone: `  Added a==1 from URL (from -r r.txt (line 1)) to build tracker 'PATH'`.
fn place_in_log(line: &str) -> Option<(String, u32)> {
    let text = line.trim_start().strip_prefix("Added ")?;
    let (text, _) = text.split_once(" to build tracker ")?;
    let name = name_at_start(text).filter(|_| !text.contains("->"))?;
    Some((normalized(name), origin(text)?))
}

/// The distribution that a subject names: `a==1`, `a@ URL`, or the path or URL of a file.
fn name_of(subject: &str) -> Option<&str> {
    let name = name_at_start(subject);
    let rest = name.and_then(|name| subject.strip_prefix(name));
    if rest.is_some_and(|rest| rest.trim_start().starts_with(['@', '['])) {
        return name;
    }
    name_of_file(subject).or(name)
}

/// The distribution that the path or URL of an sdist or a wheel names.
fn name_of_file(path: &str) -> Option<&str> {
    let path = path.split(" (from ").next()?.split('#').next()?;
    let file = path.rsplit('/').next()?;
    if file.ends_with(".whl") {
        return name_at_start(file.split('-').next()?);
    }
    let stem = file
        .strip_suffix(extension(file))
        .filter(|_| is_archive(file))?;
    let mut dashes = stem.rmatch_indices('-');
    let (name, _) = dashes.find_map(|(at, _)| {
        let (name, version) = (stem.get(..at)?, stem.get(at + 1..)?);
        is_version(version).then_some((name, version))
    })?;
    name_at_start(name)
}

/// What a line that opens a new subject names, up to its end.
fn subject(text: &str, indent: usize) -> Option<&str> {
    if indent == 0 {
        // An indented one is of the pip that installs what a build needs.
        if let Some(rest) = text.strip_prefix("Collecting ") {
            return Some(rest);
        }
        if let Some(path) = text.strip_prefix("Processing ") {
            return path.split(" (from ").next();
        }
    }
    if indent > 4 {
        return None;
    }
    [
        "Building wheel for ",
        "Building editable for ",
        "Running setup.py install for ",
        "Running setup.py bdist_wheel for ",
    ]
    .iter()
    .find_map(|start| text.strip_prefix(start))
}

/// What pip's closing words about a build name: a distribution, or the address of its source.
pub(super) fn failed_build(text: &str) -> Option<&str> {
    if let Some(name) = text.strip_prefix("ERROR: Failed building wheel for ") {
        return Some(name);
    }
    let rest = text.strip_prefix("ERROR: Failed to build '")?;
    Some(rest.split_once('\'')?.0)
}

/// The name that a requirement begins with.
pub(super) fn name_at_start(requirement: &str) -> Option<&str> {
    let end = requirement
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(requirement.len());
    let name = requirement.get(..end)?;
    let name = name.trim_end_matches(['-', '_', '.']);
    (name.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(name)
}

/// The line number in `(from -r /requirements.txt (line 3))`, also behind the distributions that
/// lead from there.
pub(super) fn origin(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("-r ")?;
    let (_, rest) = rest.split_once(" (line ")?;
    rest.split_once(')')?.0.parse().ok()
}

/// The name by which distributions are compared.
///
/// <https://packaging.python.org/en/latest/specifications/name-normalization/>
pub(super) fn normalized(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            c => normalized.push(c.to_ascii_lowercase()),
        }
    }
    normalized
}

/// The text between `before` and the next `after`.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// The text without terminal escapes, as it stands once carriage returns have done their work.
fn without_colours(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once("\u{1b}[") {
        shown.push_str(before);
        rest = escaped
            .split_once(|c: char| c.is_ascii_alphabetic())
            .map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    shown
}

/// The text without the time that pip puts before each line of its log.
fn without_time(text: &str) -> &str {
    let is_time = |word: &str| {
        word.len() >= 19
            && word.contains('T')
            && word
                .bytes()
                .all(|b| b.is_ascii_digit() || b"T:,.-+Z".contains(&b))
    };
    match text.split_once(' ') {
        Some((word, rest)) if is_time(word) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_read_without_its_time_and_colours() {
        let output = Output::read(&["2024-05-06T07:08:09,012   \u{1b}[31mERROR: x\u{1b}[0m\r"]);
        assert_eq!(output.lines[0].text, "ERROR: x");
        assert_eq!(output.lines[0].indent, 2);
    }

    #[test]
    fn names_are_cut_where_the_requirement_goes_on() {
        for (requirement, name) in [
            ("alpha==1.0", Some("alpha")),
            ("A.b_c-d[x]>=2", Some("A.b_c-d")),
            ("alpha@ git+https://host/a", Some("alpha")),
            ("./folder", None),
            ("", None),
            ("ü", None),
        ] {
            assert_eq!(name_at_start(requirement), name, "{requirement}");
        }
    }

    #[test]
    fn lines_know_the_distribution_and_the_place_that_pip_is_at() {
        let output = Output::read(&[
            "Collecting foo==1 (from -r /prebuild/requirements.txt (line 3))",
            "Collecting Bar_Baz (from foo==1->-r /prebuild/requirements.txt (line 3))",
            "  Preparing metadata",
            "      Collecting setuptools",
            "Building wheel for foo (setup.py)",
        ]);
        let seen: Vec<_> = output
            .lines
            .iter()
            .map(|line| (line.about.as_deref(), line.place))
            .collect();
        let bar = (Some("Bar_Baz"), Some(3));
        let foo = (Some("foo"), Some(3));
        assert_eq!(seen, [foo, bar, bar, bar, foo]);
        assert_eq!(output.place_of("bar-baz"), Some(3));
    }

    #[test]
    fn a_folder_is_named_by_its_path_until_its_name_is_known() {
        let output = Output::read(&[
            "Processing ./folder (from -r /prebuild/requirements.txt (line 1))",
            "Building wheel for thing (pyproject.toml): started",
        ]);
        let names: Vec<_> = output
            .lines
            .iter()
            .map(|line| line.about.as_deref())
            .collect();
        assert_eq!(names, [Some("./folder"), Some("thing")]);
    }

    #[test]
    fn files_are_named_by_their_distribution() {
        for (path, name) in [
            ("/links/wants-python-2-1.0.tar.gz", Some("wants-python-2")),
            ("./a_b-1.0.post1.zip", Some("a_b")),
            ("/links/a.b-2!1.0+x-py3-none-any.whl", Some("a.b")),
            ("-1.0.tar.gz", None),
            ("/links/archive.tar.gz", None),
            ("/folder-1.0", None),
            ("", None),
        ] {
            assert_eq!(name_of_file(path), name, "{path}");
        }
        for (subject, name) in [
            ("https://h/a-1.0.zip#sha256=0 (from -r r.txt (line 2))", "a"),
            ("links/a-1.0.zip", "a"),
            ("a@ file:///b-1.0.zip", "a"),
            ("a[x] @ file:///b-1.0.zip", "a"),
            ("a==1.0", "a"),
        ] {
            assert_eq!(name_of(subject), Some(name), "{subject}");
        }
        let output = Output::read(&["Processing /links/1/a-b-1.0.tar.gz (from -r r.txt (line 2))"]);
        assert_eq!(output.lines[0].about.as_deref(), Some("a-b"));
        assert_eq!(output.place_of("a.b"), Some(2));
    }

    #[test]
    fn places_that_the_log_alone_has_are_known() {
        let log = [
            "2024-05-06T07:08:09,012   Added a from https://h/a.tar.gz (from -r r.txt (line 3)) to build tracker '/t'",
            "2024-05-06T07:08:09,012   Added b from https://h/b.tar.gz (from a->-r r.txt (line 3)) to build tracker '/t'",
        ];
        let output = Output::read_with_log(&["Collecting a", "Collecting b"], &log);
        let places: Vec<_> = output.lines.iter().map(|line| line.place).collect();
        assert_eq!(places, [Some(3), None]);
    }
}
