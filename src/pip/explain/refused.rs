//! What pip refuses to go on with: lines, files, and the place that it runs in.

use super::failure::{Cause, Failure};
use super::output::{Line, Output, between, name_at_start, origin};
use super::{ENOUGH, Found, short};

pub(super) fn find(output: &Output) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, line) in output.lines.iter().enumerate() {
        if found.len() >= ENOUGH {
            break;
        }
        let rest = &output.lines[at..];
        let cause = invalid_requirement(rest)
            .or_else(|| wrong_file(line))
            .or_else(|| place(line))
            .or_else(|| crash(rest));
        found.extend(cause.map(|cause| Found { cause, at }));
    }
    found
}

fn invalid_requirement(lines: &[Line]) -> Option<Cause> {
    let (first, rest) = lines.split_first()?;
    let text = first
        .text
        .strip_prefix("ERROR: ")
        .filter(|_| first.indent == 0)?;
    let is_one = text.starts_with("Invalid requirement: ")
        || text.starts_with("Could not open requirements file: ")
        || text.starts_with("Could not parse ")
        || text.ends_with("Neither 'setup.py' nor 'pyproject.toml' found.")
        || text.ends_with("does not appear to be a Python project: neither 'setup.py' nor 'pyproject.toml' found.");
    if !is_one {
        return None;
    }
    // From pip 24.1 on a caret under the requirement comes before the line's number.
    let place = std::iter::once(first)
        .chain(rest)
        .take(4)
        .find_map(|line| between(&line.text, "(from line ", " of ")?.parse().ok());
    let message = text
        .split_once(" (from line ")
        .map_or(text, |(text, _)| text);
    let more = rest.iter().take(4).find_map(|line| {
        let hint = line.text.strip_prefix("Hint: ");
        hint.or_else(|| Some(line.text.split_once(": error: ")?.1))
    });
    Some(Cause {
        distribution: None,
        line: place.or(first.place),
        failure: Failure::InvalidRequirement {
            message: more.map_or_else(|| message.to_owned(), |more| format!("{message} ({more})")),
        },
    })
}

fn wrong_file(line: &Line) -> Option<Cause> {
    let text = line
        .text
        .strip_prefix("ERROR: ")
        .filter(|_| line.indent == 0)?;
    if let Some(filename) = text.strip_suffix(" is not a supported wheel on this platform.") {
        return Some(Cause {
            distribution: name_at_start(filename.split('-').next()?).map(str::to_owned),
            line: None,
            failure: Failure::UnsupportedWheel {
                filename: filename.to_owned(),
            },
        });
    }
    if let Some(wrong) = between(text, "Package ", " requires a different Python: ") {
        let (_, rest) = text.split_once(" requires a different Python: ")?;
        let (python, requires) = rest.split_once(" not in ")?;
        let name = wrong.trim_matches(['\'', '"']);
        return Some(Cause {
            distribution: Some(name.to_owned()),
            line: None,
            failure: Failure::PythonMismatch {
                requires: requires.trim_matches(['\'', '"']).to_owned(),
                python: python.to_owned(),
            },
        });
    }
    let broken = text.starts_with("Wheel '") && text.ends_with(" is invalid.");
    let name = between(text, "Wheel '", "'").filter(|_| broken)?;
    Some(Cause {
        distribution: Some(name.to_owned()),
        line: line.place,
        failure: Failure::BrokenFile {
            detail: format!("the wheel of `{name}` is invalid"),
        },
    })
}

/// What is wrong with the place that pip runs in.
fn place(line: &Line) -> Option<Cause> {
    let text = &line.text;
    let failure =
        if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
            Failure::DiskFull
        } else if text == "error: externally-managed-environment" {
            Failure::ExternallyManaged
        } else {
            let installing = text.starts_with("ERROR: Could not install packages due to");
            let kept = [
                "[Errno 30] Read-only file system",
                "[Errno 13] Permission denied",
            ];
            let after = kept.iter().find_map(|kept| text.split_once(kept));
            let (_, path) = after.filter(|_| installing)?;
            Failure::NotWritable {
                path: between(path, "'", "'").map(str::to_owned),
            }
        };
    Some(Cause {
        distribution: None,
        line: None,
        failure,
    })
}

/// The last of pip's own errors, with the line of the requirements file that it names or that pip was
/// at: for what nothing else explains.
pub(super) fn unexplained(output: &Output) -> Option<Found> {
    let is_own = |line: &Line| line.indent == 0 && !line.of_command;
    let (at, line) = output
        .lines
        .iter()
        .enumerate()
        .rfind(|(_, line)| is_own(line) && line.text.starts_with("ERROR: "))?;
    let text = line.text.get("ERROR: ".len()..).unwrap_or_default();
    let cause = Cause {
        distribution: line.about.clone(),
        line: origin(text).or(line.place),
        failure: Failure::Unexplained {
            message: short(text),
        },
    };
    Some(Found { cause, at })
}

/// A traceback of pip's own: the last line at its left has the exception.
fn crash(lines: &[Line]) -> Option<Cause> {
    let (first, rest) = lines.split_first()?;
    if first.text != "ERROR: Exception:" || first.indent > 0 {
        return None;
    }
    let (kind, exception) = rest.iter().rev().find_map(|line| {
        let kind = line.text.split_once(": ").map_or("", |(kind, _)| kind);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        let is_one = line.indent == 0 && !kind.is_empty() && kind.chars().all(is_name);
        is_one.then_some((kind, line))
    })?;
    let said = exception.text.get(kind.len() + 2..).unwrap_or_default();
    // What later versions of pip have words of their own for.
    let failure = match kind.rsplit('.').next()? {
        "InvalidMarker" | "InvalidRequirement" => Failure::InvalidRequirement {
            message: said.to_owned(),
        },
        "BackendUnavailable" => Failure::MissingBuildDependency {
            module: between(said, "Cannot import '", "'")?.to_owned(),
        },
        "TOMLDecodeError" | "TomlDecodeError" => Failure::BuildFailed {
            detail: Some(format!("its pyproject.toml is invalid: {said}")),
        },
        "BadZipFile" | "ReadError" => Failure::BrokenFile {
            detail: said.to_owned(),
        },
        _ => Failure::PipCrashed {
            detail: exception.text.clone(),
        },
    };
    Some(Cause {
        distribution: first.about.clone(),
        line: first.place,
        failure,
    })
}
