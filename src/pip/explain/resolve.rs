//! What pip says of requirements that cannot be satisfied.

use super::failure::{Cause, Failure, Unavailable};
use super::output::{Line, Output, between, name_at_start, normalized, origin};
use super::{ENOUGH, Found};
use crate::requirements::{Specifiers, is_version};

/// How many of the versions that there are get told.
const LATEST: usize = 5;

pub(super) fn find(output: &Output) -> Vec<Found> {
    let mut found = Vec::new();
    for at in 0..output.lines.len() {
        if found.len() >= ENOUGH {
            break;
        }
        let rest = &output.lines[at..];
        let causes = no_distribution(&output.lines, at)
            .or_else(|| hashes(rest))
            .or_else(|| conflict(&output.lines, at).map(one));
        let causes = causes.into_iter().flatten();
        found.extend(causes.map(|cause| Found { cause, at }));
    }
    found
}

fn one(cause: Cause) -> Vec<Cause> {
    vec![cause]
}

/// How pip begins to say that no version will do.
pub(super) const NO_VERSION: &str =
    "ERROR: Could not find a version that satisfies the requirement ";

fn no_distribution(lines: &[Line], at: usize) -> Option<Vec<Cause>> {
    let line = lines.get(at)?;
    let rest = line.text.strip_prefix(NO_VERSION)?;
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
            why: why_unavailable(lines, at, requirement, &available),
            requirement: requirement.to_owned(),
            available,
            wanted_by: building.or(by).map(str::to_owned),
            for_build: building.is_some(),
        },
    }))
}

/// What pip says in the lines before it gives up, in line `at`.
fn why_unavailable(
    lines: &[Line],
    at: usize,
    requirement: &str,
    available: &[String],
) -> Unavailable {
    const PYTHON: &str =
        "ERROR: Ignored the following versions that require a different python version: ";
    const YANKED: &str = "ERROR: Ignored the following yanked versions: ";
    let name = name_at_start(requirement).map(normalized);
    let wanted = Wanted::of(requirement);
    let (before, indent) = (
        lines.get(..at).unwrap_or_default(),
        lines.get(at).map_or(0, |line| line.indent),
    );
    if let Some(invalid) = invalid_metadata(before, name.as_deref(), &wanted) {
        return invalid;
    }
    let nearest = before.iter().rev();
    for line in nearest.take_while(|line| {
        line.indent == indent && (line.text.starts_with("ERROR: Ignored") || is_discarding(line))
    }) {
        // pip lists every version of the project there, also those that nobody asked for.
        if let Some(versions) = line.text.strip_prefix(PYTHON) {
            let versions = list(versions, ';', &wanted);
            if !versions.is_empty() {
                return Unavailable::OtherPython(versions);
            }
        }
        if let Some(versions) = line.text.strip_prefix(YANKED) {
            let versions = list(versions, ',', &wanted);
            if !versions.is_empty() {
                return Unavailable::Yanked(versions);
            }
        }
    }
    // pip discards on its standard output, and gives up on its standard error.
    let discarded = lines
        .iter()
        .filter(|line| line.indent == indent && is_discarding(line));
    for line in discarded {
        let requested = between(&line.text, "Requested ", " from ");
        if requested.and_then(name_at_start).map(normalized) == name
            && let Some(detail) = inconsistency(&line.text)
        {
            return Unavailable::Inconsistent(detail);
        }
    }
    if available.is_empty() {
        return Unavailable::NothingFound;
    }
    let matching = available.iter().filter(|version| wanted.admits(version));
    let matching: Vec<String> = matching.cloned().collect();
    if matching.is_empty() {
        Unavailable::NoVersionMatches
    } else {
        Unavailable::PassedOver(matching)
    }
}

/// The versions that pip passed over because their metadata is invalid, from 24.1 on.
fn invalid_metadata(before: &[Line], name: Option<&str>, wanted: &Wanted) -> Option<Unavailable> {
    let mut versions: Vec<String> = Vec::new();
    let mut detail = String::new();
    for (at, line) in before.iter().enumerate() {
        let ignored = line.text.strip_prefix("WARNING: Ignoring version ");
        let Some((version, rest)) = ignored.and_then(|rest| rest.split_once(" of ")) else {
            continue;
        };
        let project = rest.split_once(" since it has invalid metadata");
        let project = project.map(|(project, _)| normalized(project));
        if project.as_deref() != name || !wanted.admits(version) {
            continue;
        }
        if versions.is_empty() {
            detail = why_invalid(before.get(at + 1..).unwrap_or_default());
        }
        if versions.len() < LATEST && !versions.iter().any(|known| known == version) {
            versions.push(version.to_owned());
        }
    }
    (!versions.is_empty()).then_some(Unavailable::InvalidMetadata { versions, detail })
}

/// What is invalid, and the text that is, which pip writes below.
fn why_invalid(lines: &[Line]) -> String {
    let says = |line: &Line| {
        let (_, why) = line.text.split_once(" has invalid metadata: ")?;
        Some(why.to_owned())
    };
    let mut near = lines.iter().take(3);
    let Some(why) = near.find_map(says) else {
        return String::new();
    };
    match near.next().filter(|line| line.indent > 0) {
        Some(written) => format!("`{}`: {why}", written.text),
        None => why,
    }
}

/// What a requirement asks of a version.
pub(super) struct Wanted(Specifiers);

impl Wanted {
    /// Reads a requirement as pip writes it.
    pub(super) fn of(requirement: &str) -> Self {
        let name = name_at_start(requirement).unwrap_or_default();
        let rest = requirement.get(name.len()..).unwrap_or_default().trim();
        let rest = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((_, behind)) => behind.trim(),
            None => rest,
        };
        let rest = rest.trim_start_matches('(').trim_end_matches(')');
        Self(rest.parse().unwrap_or_default())
    }

    /// Whether the requirement admits the version; no text that is no version.
    pub(super) fn admits(&self, version: &str) -> bool {
        let version = version.replace("%2B", "+");
        is_version(&version) && self.0.admit(&version)
    }
}

/// The latest entries of one of pip's lists whose version is wanted.
fn list(text: &str, separator: char, wanted: &Wanted) -> Vec<String> {
    let items = text.split(separator).map(str::trim);
    let is_wanted = |item: &&str| {
        let version = item.split_whitespace().next().unwrap_or_default();
        wanted.admits(version)
    };
    let mut items: Vec<String> = items.filter(is_wanted).map(str::to_owned).collect();
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
    // An empty line may stand between two of what is listed.
    let listed = rest
        .iter()
        .take_while(|line| line.indent > first.indent || line.text.is_empty())
        .filter(|line| !line.text.is_empty() && !is_progress(&line.text));
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
    if let Some(causes) = unhashable(first, listed.clone()) {
        return Some(causes);
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

/// What pip writes to its standard output while it downloads: it may come in between the lines of an error.
fn is_progress(text: &str) -> bool {
    [
        "Collecting ",
        "Downloading ",
        "Processing ",
        "Using cached ",
    ]
    .iter()
    .any(|start| text.starts_with(start))
}

/// What can have no hash, where hashes are required.
fn unhashable<'a>(first: &Line, listed: impl Iterator<Item = &'a Line>) -> Option<Vec<Cause>> {
    let cause = |line: &Line, requirement: &str, is_repository| {
        let requirement = requirement_of(requirement);
        let failure = Failure::Unhashable {
            requirement: requirement.clone(),
            is_repository,
        };
        about(line, &requirement, failure)
    };
    if let Some(editable) = between(
        &first.text,
        "ERROR: The editable requirement ",
        " cannot be installed when requiring hashes",
    ) {
        return Some(vec![cause(first, editable, editable.contains('+'))]);
    }
    let is_repository = first
        .text
        .contains("we don't have a way to hash version control repositories");
    let is_directory = first.text.contains("because they point to directories");
    (is_repository || is_directory).then(|| {
        listed
            .map(|line| cause(line, &line.text, is_repository))
            .collect()
    })
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
                Some("Expected"),
                Some(name),
                Some(digest),
                Some(Failure::HashMismatch { expected, .. }),
            ) => {
                // Of one algorithm, all but the first are listed as `or`.
                if name != "or" {
                    name.clone_into(&mut algorithm);
                }
                expected.push(format!("{algorithm}:{digest}"));
            }
            (Some("Got"), Some(digest), None, Some(Failure::HashMismatch { got, .. })) => {
                // One algorithm is enough to tell the file by.
                if got.is_empty() {
                    *got = format!("{algorithm}:{digest}");
                }
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

fn conflict(lines: &[Line], at: usize) -> Option<Cause> {
    let first = lines.get(at)?;
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
    // pip writes them to its standard output, and the error to its standard error: either may come first.
    let is_head = |at: &usize| {
        let line = lines.get(*at);
        line.is_some_and(|line| line.text == "The conflict is caused by:")
    };
    let head = (at..lines.len()).find(is_head);
    let head = head.or_else(|| (0..at).rev().find(is_head));
    let reasons = head.and_then(|head| lines.get(head + 1..));
    let reasons: Vec<String> = reasons
        .unwrap_or_default()
        .iter()
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
