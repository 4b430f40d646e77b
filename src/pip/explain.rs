//! Why pip failed, read from what it wrote.
//!
//! pip's messages are for people, and each version words them anew; what is looked for here is what
//! has stayed from pip 20 to pip 26, and each pattern has a recorded output in `testdata/pip`.

use super::packages::{self, Kind};
use crate::requirements::Name;

/// One reason why pip failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What happened.
    pub what: String,
    /// What to do now.
    pub hint: Option<String>,
    /// The line of the requirements that pip was given which brought it about.
    pub line: Option<u32>,
}

/// The reasons that pip's output shows, the most telling first; nothing where none is known.
#[must_use]
pub fn explain<S: AsRef<str>>(lines: &[S]) -> Vec<Cause> {
    let output = Output {
        lines: lines.iter().map(AsRef::as_ref).collect(),
    };
    let readers: [fn(&Output<'_>) -> Vec<Cause>; 7] = [
        hashes,
        missing,
        machine,
        index,
        conflict,
        python,
        distribution,
    ];
    for read in readers {
        let causes = read(&output);
        if !causes.is_empty() {
            return causes;
        }
    }
    build(&output)
}

/// The distributions that were built from source.
pub(super) fn built(lines: &[String]) -> Vec<String> {
    let mut built: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let line = line.trim_start();
            let name = line
                .strip_prefix("Created wheel for ")
                .and_then(|rest| rest.split_once(':').map(|(name, _)| name))
                .or_else(|| {
                    let rest = line.strip_prefix("Running setup.py install for ")?;
                    rest.split([':', '.']).next()
                })?;
            Some(Name::new(name.trim()).as_str().to_owned())
        })
        .collect();
    built.sort();
    built.dedup();
    built
}

struct Output<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Output<'a> {
    /// What follows `marker` on the first line that has it.
    fn after(&self, marker: &str) -> Option<&'a str> {
        self.lines
            .iter()
            .find_map(|line| line.split_once(marker).map(|(_, rest)| rest))
    }

    fn has(&self, marker: &str) -> bool {
        self.after(marker).is_some()
    }

    /// The line of the requirements that names, or leads to, this distribution.
    fn origin(&self, name: &str) -> Option<u32> {
        let wanted = Name::new(name);
        self.lines.iter().find_map(|line| {
            let (_, collecting) = line
                .split_once("Collecting ")
                .or_else(|| line.split_once("Processing "))
                .or_else(|| line.split_once("satisfies the requirement "))
                .or_else(|| line.split_once("No matching distribution found for "))?;
            let end = collecting
                .find(|c: char| " <>=!~;[(@".contains(c))
                .unwrap_or(collecting.len());
            (Name::new(&collecting[..end]) == wanted)
                .then(|| requirement_line(line))
                .flatten()
        })
    }

    /// The distribution whose build failed.
    fn failed_build(&self) -> Option<String> {
        for marker in [
            "Failed building wheel for ",
            "ERROR: Failed to build '",
            "ERROR: Could not build wheels for ",
            "Failed to build ",
        ] {
            if let Some(rest) = self.after(marker) {
                let end = rest.find([' ', ',', '\'', '(']).unwrap_or(rest.len());
                if end > 0 {
                    return Some(rest[..end].to_owned());
                }
            }
        }
        // While metadata is prepared, pip names no one: it is the last that it collected.
        let build = self.lines.iter().position(|line| {
            line.contains("subprocess-exited-with-error")
                || line.contains("Command errored out")
                || line.contains("metadata-generation-failed")
        })?;
        self.lines[..build].iter().rev().find_map(|line| {
            let (_, rest) = line.split_once("Collecting ")?;
            let end = rest
                .find(|c: char| " <>=!~;[(@".contains(c))
                .unwrap_or(rest.len());
            Some(rest[..end].to_owned())
        })
    }

    fn cause(&self, name: Option<&str>, what: String, hint: Option<String>) -> Cause {
        Cause {
            line: name.and_then(|name| self.origin(name)),
            what,
            hint,
        }
    }
}

/// `(from -r …/requirements.txt (line 3))`: 3.
fn requirement_line(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("requirements.txt (line ")?;
    rest.split(')').next()?.parse().ok()
}

/// The text up to the white space or quote that ends it.
fn word(text: &str) -> &str {
    let text = text.trim_start_matches(['\'', '"', '`']);
    &text[..text
        .find([' ', '\'', '"', '`', ',', ';'])
        .unwrap_or(text.len())]
}

fn hashes(output: &Output<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mismatch = |line: &&str| {
        line.contains("DO NOT MATCH THE HASHES") || line.contains("don't match the hashes")
    };
    if let Some(start) = output.lines.iter().position(mismatch) {
        let mut expected: Vec<&str> = Vec::new();
        let mut subject: Option<&str> = None;
        for line in &output.lines[start + 1..] {
            let text = line.trim();
            if let Some((what, _)) = text.split_once(" from ").filter(|_| text.ends_with(':')) {
                subject = Some(what);
            } else if text.contains("(line ") && text.ends_with(':') {
                subject = Some(word(text));
            } else if let Some((_, hash)) = text.split_once("Expected ") {
                expected.push(hash.split_whitespace().last().unwrap_or(hash));
            } else if let Some((_, got)) = text.split_once("Got ") {
                let name = subject.unwrap_or("a file");
                let wanted = expected.join(" or ");
                causes.push(Cause {
                    line: output.lines[start..].iter().find_map(|line| requirement_line(line)),
                    what: format!("the file of `{name}` has SHA-256 {}, expected {wanted}", got.trim()),
                    hint: Some("if the requirement is right, the file was changed on the index or on its way: do not install it".to_owned()),
                });
                expected.clear();
            }
        }
        return causes;
    }
    if output.has("Hashes are required in --require-hashes mode") {
        let names: Vec<_> = output
            .lines
            .iter()
            .filter(|line| line.contains(" --hash=") && !line.contains("ERROR"))
            .map(|line| format!("`{}`", word(line.trim())))
            .collect();
        let line = output.lines.iter().find_map(|line| requirement_line(line));
        causes.push(Cause {
            line,
            what: format!("one requirement has a hash, so all must; these have none: {}", names.join(", ")),
            hint: Some("pip lists the hashes that they would need; `pip-compile --generate-hashes` and `uv pip compile --generate-hashes` write them".to_owned()),
        });
    } else if output
        .has("In --require-hashes mode, all requirements must have their versions pinned")
    {
        causes.push(Cause {
            line: output.lines.iter().find_map(|line| requirement_line(line)),
            what: "where one requirement has a hash, all must be pinned with `==`".to_owned(),
            hint: Some("lock all of them: `pip-compile --generate-hashes`, `uv pip compile --generate-hashes`".to_owned()),
        });
    }
    causes
}

/// What a build from source did not find: a compiler, a header, a library, a program.
fn missing(output: &Output<'_>) -> Vec<Cause> {
    let dist = output.failed_build();
    let mut causes: Vec<Cause> = Vec::new();
    for line in &output.lines {
        let Some((kind, thing)) = packages::missing_in(line) else {
            continue;
        };
        let who = match &dist {
            Some(dist) => format!("building `{dist}` needs"),
            None => "a build needs".to_owned(),
        };
        let what = match kind {
            Kind::Header => format!("{who} the header `{thing}`"),
            Kind::Library => format!("{who} the library `{thing}`"),
            Kind::PkgConfig => format!("{who} `{thing}`, which pkg-config does not find"),
            Kind::Program => format!("{who} the program `{thing}`"),
            Kind::Module => format!("{who} the Python module `{thing}`"),
        };
        let cause = output.cause(dist.as_deref(), what, packages::hint(kind, &thing));
        if !causes.iter().any(|known| known.what == cause.what) {
            causes.push(cause);
        }
    }
    // A failed link names the library many times, and everything after the first miss follows.
    causes.truncate(3);
    causes
}

fn machine(output: &Output<'_>) -> Vec<Cause> {
    let full = output.has("No space left on device") || output.has("[Errno 28]");
    let memory = output.has("MemoryError") || output.has("Cannot allocate memory");
    let cause = if full {
        (
            "the builder's disk is full",
            "free room there: `docker system prune` for containers, the folder for temporary files for this machine",
        )
    } else if memory {
        (
            "the builder ran out of memory",
            "give it more, or install wheels: `--only-binary :all:`",
        )
    } else {
        return Vec::new();
    };
    vec![output.cause(None, cause.0.to_owned(), Some(cause.1.to_owned()))]
}

fn index(output: &Output<'_>) -> Vec<Cause> {
    let told = |what: String, hint: &str| vec![output.cause(None, what, Some(hint.to_owned()))];
    for (marker, status) in [
        ("401 Client Error", "401"),
        ("HTTP error 401", "401"),
        ("401 Error", "401"),
        ("403 Client Error", "403"),
        ("HTTP error 403", "403"),
        ("HTTP error 404", "404"),
        ("404 Client Error", "404"),
        ("500 Server Error", "500"),
        ("HTTP error 500", "500"),
        ("502 Server Error", "502"),
        ("503 Server Error", "503"),
        ("HTTP error 503", "503"),
        ("too many 500 error responses", "500"),
        ("too many 503 error responses", "503"),
        ("too many 502 error responses", "502"),
    ] {
        let Some(line) = output.lines.iter().find(|line| line.contains(marker)) else {
            continue;
        };
        // A page of the index that is not there means only that it does not know the name.
        if status == "404" && output.has("No matching distribution found") {
            continue;
        }
        let url = line
            .split_whitespace()
            .find(|word| word.contains("://"))
            .map_or_else(String::new, |url| {
                format!(
                    " for {}",
                    url.trim_matches(['<', '>', '\'', '"', ',', ')', ':'])
                )
            });
        let hint = match status {
            "401" => {
                "name the credentials in `PIP_INDEX_URL=https://${USER}:${TOKEN}@…` or with `--env`"
            }
            "403" => "the credentials are known and not allowed: ask who runs the index",
            "404" => "check the URL: an index ends in `/simple`",
            _ => "the index is in trouble: try again later",
        };
        return told(format!("the index answered {status}{url}"), hint);
    }
    let patterns = [
        (
            "CERTIFICATE_VERIFY_FAILED",
            "the index's certificate is not trusted",
            "name the authority's certificates with `--ca-cert FILE` or `PIP_CERT`",
        ),
        (
            "Cannot connect to proxy",
            "the proxy does not answer",
            "check `HTTPS_PROXY`",
        ),
        (
            "ProxyError",
            "the proxy does not answer",
            "check `HTTPS_PROXY`",
        ),
        (
            "Name or service not known",
            "the index's host name is not known",
            "check the URL and the network; a container may need `--network host`",
        ),
        (
            "Temporary failure in name resolution",
            "the index's host name is not known",
            "check the URL and the network; a container may need `--network host`",
        ),
        (
            "Failed to resolve",
            "the index's host name is not known",
            "check the URL and the network; a container may need `--network host`",
        ),
        (
            "Connection refused",
            "the index does not answer: connection refused",
            "check the URL; in a container, `localhost` is the container itself",
        ),
        (
            "Network is unreachable",
            "the index cannot be reached",
            "check the network; a container may need `--network host`",
        ),
        (
            "Read timed out",
            "the index is too slow: it timed out",
            "try again, or allow more time: `PIP_TIMEOUT=60`",
        ),
        (
            "ConnectTimeoutError",
            "the index does not answer: it timed out",
            "check the URL and the network, or allow more time: `PIP_TIMEOUT=60`",
        ),
        (
            "ReadTimeoutError",
            "the index is too slow: it timed out",
            "try again, or allow more time: `PIP_TIMEOUT=60`",
        ),
        ("IncompleteRead", "a download broke off", "try again"),
        ("Connection broken", "a download broke off", "try again"),
    ];
    for (marker, what, hint) in patterns {
        if output.has(marker) {
            return told(what.to_owned(), hint);
        }
    }
    Vec::new()
}

fn conflict(output: &Output<'_>) -> Vec<Cause> {
    let marker = "The conflict is caused by:";
    let Some(start) = output.lines.iter().position(|line| line.contains(marker)) else {
        return Vec::new();
    };
    let sides: Vec<&str> = output.lines[start + 1..]
        .iter()
        .map(|line| line.trim())
        .take_while(|line| !line.is_empty())
        .collect();
    let line = output.lines[..start]
        .iter()
        .find(|line| line.contains("ERROR: Cannot install"))
        .and_then(|line| requirement_line(line));
    let what = format!("these requirements cannot all hold: {}", sides.join("; "));
    vec![Cause {
        line,
        what,
        hint: Some("loosen one of them".to_owned()),
    }]
}

fn python(output: &Output<'_>) -> Vec<Cause> {
    let Some(rest) = output.after("ERROR: Package '") else {
        return Vec::new();
    };
    let Some((name, rest)) = rest.split_once("' requires a different Python: ") else {
        return Vec::new();
    };
    let (have, wanted) = rest
        .split_once(" not in ")
        .unwrap_or((rest, "other versions"));
    let what = format!(
        "`{name}` needs Python {}, the builder has {have}",
        wanted.trim_matches('\'')
    );
    vec![output.cause(
        Some(name),
        what,
        Some("use another version of it, or another Python: `--python X.Y`".to_owned()),
    )]
}

fn distribution(output: &Output<'_>) -> Vec<Cause> {
    let marker = "Could not find a version that satisfies the requirement ";
    let Some(line) = output.lines.iter().find(|line| line.contains(marker)) else {
        return Vec::new();
    };
    let rest = line.split_once(marker).map_or("", |(_, rest)| rest);
    let (requirement, versions) = rest
        .split_once(" (from versions: ")
        .unwrap_or((rest, "none)"));
    let requirement = requirement.split(" (from ").next().unwrap_or(requirement);
    let versions: Vec<&str> = versions.trim_end_matches(')').split(", ").collect();
    let newer = output
        .after("require a different python version: ")
        .or_else(|| output.after("requires a different python version: "));
    let (what, hint) = if let Some(newer) = newer {
        let wanted = newer.rsplit("Requires-Python ").next().unwrap_or(newer);
        (
            format!("no version of `{requirement}` is for this Python: it needs {wanted}"),
            "use an older version of it, or another Python: `--python X.Y`",
        )
    } else if versions == ["none"] {
        (
            format!("the index has no `{requirement}` that this Python can install"),
            "check the name; it may have files for other Pythons or platforms only, or none without `--only-binary`",
        )
    } else {
        let newest = versions[versions.len().saturating_sub(3)..].join(", ");
        (
            format!("no version fits `{requirement}`; the newest are {newest}"),
            "check the version; pre-releases need `--pre`",
        )
    };
    let line = requirement_line(line).or_else(|| output.origin(word(requirement)));
    vec![Cause {
        line,
        what,
        hint: Some(hint.to_owned()),
    }]
}

/// What is left: a build from source that failed for reasons of its own, a line that pip refused.
fn build(output: &Output<'_>) -> Vec<Cause> {
    if let Some(name) = output.failed_build() {
        let what = format!("`{name}` could not be built from source");
        let hint = "its own messages are above; `-v` shows all of pip's output; a version with a wheel needs no build".to_owned();
        return vec![output.cause(Some(&name), what, Some(hint))];
    }
    let refused = output.lines.iter().find_map(|line| {
        let rest = line.strip_prefix("ERROR: ")?;
        Some((*line, rest))
    });
    match refused {
        Some((line, rest)) => vec![Cause {
            line: requirement_line(line),
            what: format!("pip says: {rest}"),
            hint: None,
        }],
        None => Vec::new(),
    }
}
