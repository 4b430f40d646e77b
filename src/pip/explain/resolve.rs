//! What pip says itself: about requirements, hashes, versions, and the place it installs into.

use super::Found;
use super::failure::{Cause, Failure, Unavailable};
use super::output::{Line, Output, between, name_at_start, normalized, origin};

/// How many of the versions that there are get told.
const LATEST: usize = 5;

pub(super) fn find(output: &Output) -> Vec<Found> {
    let mut found = Vec::new();
    for (at, line) in output.lines.iter().enumerate() {
        let rest = &output.lines[at..];
        let causes = no_distribution(&output.lines, at)
            .or_else(|| hashes(rest))
            .or_else(|| conflict(rest).map(one))
            .or_else(|| invalid_requirement(rest).map(one))
            .or_else(|| wrong_file(line).map(one))
            .or_else(|| place(line).map(one))
            .or_else(|| crash(rest).map(one));
        let causes = causes.into_iter().flatten();
        found.extend(causes.map(|cause| Found { cause, at }));
    }
    found
}

fn one(cause: Cause) -> Vec<Cause> {
    vec![cause]
}

fn no_distribution(lines: &[Line], at: usize) -> Option<Vec<Cause>> {
    const SAYS: &str = "ERROR: Could not find a version that satisfies the requirement ";
    let line = lines.get(at)?;
    let rest = line.text.strip_prefix(SAYS)?;
    let (rest, versions) = match rest.split_once(" (from versions: ") {
        Some((rest, versions)) => (rest, versions.trim_end_matches(')')),
        None => (rest, ""),
    };
    let (requirement, by) = match rest.split_once(" (from ") {
        Some((requirement, by)) => (requirement, name_at_start(by)),
        None => (rest, None),
    };
    let mut available: Vec<String> = versions
        .split(',')
        .map(str::trim)
        .filter(|version| !version.is_empty() && *version != "none")
        .map(str::to_owned)
        .collect();
    available.reverse();
    available.truncate(LATEST);
    // What is indented was said by the pip that installs what a build needs.
    let building = line.about.as_deref().filter(|_| line.indent > 0);
    Some(one(Cause {
        distribution: building
            .or_else(|| name_at_start(requirement))
            .map(str::to_owned),
        line: origin(rest).or(line.place.filter(|_| building.is_some())),
        failure: Failure::NoDistribution {
            why: why_unavailable(lines.get(..at)?, requirement, line.indent, &available),
            requirement: requirement.to_owned(),
            available,
            wanted_by: building.or(by).map(str::to_owned),
        },
    }))
}

/// What pip says in the lines before it gives up.
fn why_unavailable(
    before: &[Line],
    requirement: &str,
    indent: usize,
    available: &[String],
) -> Unavailable {
    const PYTHON: &str =
        "ERROR: Ignored the following versions that require a different python version: ";
    const YANKED: &str = "ERROR: Ignored the following yanked versions: ";
    let name = name_at_start(requirement).map(normalized);
    let nearest = before.iter().rev();
    for line in nearest.take_while(|line| {
        line.indent == indent && (line.text.starts_with("ERROR: Ignored") || is_discarding(line))
    }) {
        if let Some(versions) = line.text.strip_prefix(PYTHON) {
            return Unavailable::OtherPython(list(versions, ';'));
        }
        if let Some(versions) = line.text.strip_prefix(YANKED) {
            return Unavailable::Yanked(list(versions, ','));
        }
        let discarded = between(&line.text, "Requested ", " from ");
        if discarded.and_then(name_at_start).map(normalized) == name
            && let Some(detail) = inconsistency(&line.text)
        {
            return Unavailable::Inconsistent(detail);
        }
    }
    if available.is_empty() {
        Unavailable::NothingFound
    } else {
        Unavailable::NoVersionMatches
    }
}

fn list(text: &str, separator: char) -> Vec<String> {
    let items = text.split(separator).map(str::trim);
    let mut items: Vec<String> = items
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect();
    items.reverse();
    items.truncate(LATEST);
    items
}

fn is_discarding(line: &Line) -> bool {
    line.text.starts_with("Discarding ") || line.text.starts_with("WARNING: Discarding ")
}

/// `has inconsistent version: expected '2.0', but metadata has '1.0'`, and its older wording.
fn inconsistency(text: &str) -> Option<String> {
    ["has inconsistent ", "has different "]
        .iter()
        .find_map(|start| Some(text.get(text.rfind(start)?..)?.to_owned()))
}

fn hashes(lines: &[Line]) -> Option<Vec<Cause>> {
    let (first, rest) = lines.split_first()?;
    let listed = rest
        .iter()
        .take_while(|line| line.indent > first.indent && !line.text.is_empty());
    if first.text.contains("DO NOT MATCH THE HASHES FROM") {
        return Some(mismatches(listed));
    }
    if first
        .text
        .contains("Hashes are required in --require-hashes mode")
    {
        return Some(
            listed
                .map(|line| {
                    let (requirement, hash) = match line.text.split_once(" --hash=") {
                        Some((requirement, hash)) => (requirement, Some(hash.to_owned())),
                        None => (line.text.as_str(), None),
                    };
                    let requirement = requirement_of(requirement);
                    about(
                        line,
                        &requirement.clone(),
                        Failure::HashMissing { requirement, hash },
                    )
                })
                .collect(),
        );
    }
    if first
        .text
        .contains("must have their versions pinned with ==")
    {
        return Some(
            listed
                .map(|line| {
                    let requirement = requirement_of(&line.text);
                    about(
                        line,
                        &requirement.clone(),
                        Failure::NotPinned { requirement },
                    )
                })
                .collect(),
        );
    }
    None
}

/// What a line lists: the requirement is before where it came from.
fn requirement_of(text: &str) -> String {
    let end = [" from ", " (from "]
        .iter()
        .filter_map(|marker| text.find(marker))
        .min();
    let requirement = end.and_then(|end| text.get(..end)).unwrap_or(text);
    requirement.trim_end_matches(':').to_owned()
}

fn about(line: &Line, requirement: &str, failure: Failure) -> Cause {
    Cause {
        distribution: name_at_start(requirement).map(str::to_owned),
        line: origin(&line.text),
        failure,
    }
}

fn mismatches<'a>(listed: impl Iterator<Item = &'a Line>) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    let mut algorithm = String::new();
    for line in listed {
        let mut words = line.text.split_whitespace();
        let (first, second, third) = (words.next(), words.next(), words.next());
        let last = causes.last_mut().map(|cause| &mut cause.failure);
        match (first, second, third, last) {
            (
                Some("Expected" | "or"),
                Some(name),
                Some(digest),
                Some(Failure::HashMismatch { expected, .. }),
            ) => {
                name.clone_into(&mut algorithm);
                expected.push(format!("{name}:{digest}"));
            }
            // Further digests of one algorithm are listed without its name.
            (Some("or"), Some(digest), None, Some(Failure::HashMismatch { expected, .. })) => {
                expected.push(format!("{algorithm}:{digest}"));
            }
            (Some("Got"), Some(digest), None, Some(Failure::HashMismatch { got, .. })) => {
                digest.clone_into(got);
            }
            _ => {
                let requirement = requirement_of(&line.text);
                let failure = Failure::HashMismatch {
                    requirement: requirement.clone(),
                    expected: Vec::new(),
                    got: String::new(),
                };
                causes.push(about(line, &requirement, failure));
            }
        }
    }
    causes
}

fn conflict(lines: &[Line]) -> Option<Cause> {
    let (first, rest) = lines.split_first()?;
    if let Some(twice) = first.text.strip_prefix("ERROR: Double requirement given: ") {
        // Of pip before 20.3.
        return Some(Cause {
            distribution: name_at_start(twice).map(str::to_owned),
            line: origin(twice),
            failure: Failure::Conflict {
                reasons: vec![twice.to_owned()],
                lines: origins(twice),
            },
        });
    }
    if !first
        .text
        .ends_with("because these package versions have conflicting dependencies.")
    {
        return None;
    }
    let reasons: Vec<String> = rest
        .iter()
        .skip_while(|line| line.text != "The conflict is caused by:")
        .skip(1)
        .take_while(|line| !line.text.is_empty())
        .map(|line| line.text.clone())
        .collect();
    let lines = origins(&first.text);
    Some(Cause {
        distribution: reasons.first().and_then(|reason| in_conflict(reason)),
        line: lines.first().copied(),
        failure: Failure::Conflict { reasons, lines },
    })
}

/// The distribution of `beta 1.0 depends on alpha<1.2` or `The user requested alpha==2.0`.
fn in_conflict(reason: &str) -> Option<String> {
    let reason = reason
        .strip_prefix("The user requested (constraint) ")
        .or_else(|| reason.strip_prefix("The user requested "))
        .unwrap_or(reason);
    name_at_start(reason).map(str::to_owned)
}

/// All the lines of the requirements file that `text` mentions.
fn origins(text: &str) -> Vec<u32> {
    text.split(" (line ")
        .skip(1)
        .filter_map(|rest| rest.split_once(')')?.0.parse().ok())
        .collect()
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
        line: place,
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
    broken.then(|| Cause {
        distribution: between(text, "Wheel '", "'").map(str::to_owned),
        line: line.place,
        failure: Failure::BrokenFile {
            detail: text.trim_end_matches('.').to_owned(),
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

/// A traceback of pip's own: the last line at its left has the exception.
fn crash(lines: &[Line]) -> Option<Cause> {
    let (first, rest) = lines.split_first()?;
    if first.text != "ERROR: Exception:" || first.indent > 0 {
        return None;
    }
    let exception = rest.iter().rfind(|line| {
        let kind = line.text.split_once(": ").map_or("", |(kind, _)| kind);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        line.indent == 0 && !kind.is_empty() && kind.chars().all(is_name)
    })?;
    Some(Cause {
        distribution: first.about.clone(),
        line: first.place,
        failure: Failure::PipCrashed {
            detail: exception.text.clone(),
        },
    })
}
