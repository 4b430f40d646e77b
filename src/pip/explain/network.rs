//! What could not be fetched.

use super::failure::{Cause, Failure, IndexFailure, Unavailable};
use super::output::{Line, Output, between, name_at_start, normalized};
use super::resolve::Wanted;
use super::{ENOUGH, Found};

pub(super) fn find(output: &Output) -> Vec<Found> {
    let cloning = output
        .lines
        .iter()
        .any(|line| line.text.starts_with("Cloning "));
    let mut found = Vec::new();
    for (at, line) in output.lines.iter().enumerate() {
        if found.len() >= ENOUGH {
            break;
        }
        let failure = file(line)
            .or_else(|| truncated(line, output.lines.get(at + 1)))
            .or_else(|| vcs(&line.text).filter(|_| cloning))
            .or_else(|| unreachable(&output.lines[at..]))
            .or_else(|| exception(line));
        if let Some(failure) = failure {
            let cause = Cause {
                distribution: line.about.clone(),
                line: line.place,
                failure,
            };
            found.push(Found { cause, at });
        }
    }
    found
}

/// A file that an index points to, or that a requirement names.
fn file(line: &Line) -> Option<Failure> {
    if let Some(rest) = line.text.strip_prefix("ERROR: HTTP error ") {
        let (status, url) = rest.split_once(" while getting ")?;
        return Some(Failure::Index {
            url: url.split_whitespace().next().map(shown_address),
            failure: IndexFailure::Status(status.parse().ok()?),
        });
    }
    let rest = line
        .text
        .strip_prefix("ERROR: Could not install packages due to ")?;
    let failure = classify(rest)?;
    let host = between(rest, "host='", "'");
    let path = between(rest, "with url: ", " ");
    let url = host.zip(path).map(|(host, path)| {
        let scheme = if rest.contains("HTTPSConnectionPool") {
            "https"
        } else {
            "http"
        };
        shown_address(&format!("{scheme}://{host}{path}"))
    });
    Some(Failure::Index { url, failure })
}

fn truncated(line: &Line, next: Option<&Line>) -> Option<Failure> {
    let is_one = line.indent == 0 && line.text.contains("not enough bytes were received");
    let url = next.and_then(|next| Some(next.text.split_once("URL: ")?.1));
    is_one.then(|| Failure::Index {
        url: url.map(shown_address),
        failure: IndexFailure::Dropped,
    })
}

/// What pip from 26.0 on says in words of its own: what failed, with which address, and why.
fn unreachable(lines: &[Line]) -> Option<Failure> {
    let (first, rest) = lines.split_first()?;
    let kind = first
        .text
        .strip_prefix("error: ")
        .filter(|_| first.indent == 0)?;
    let is_one = ["connection-", "proxy-connection-", "ssl-"]
        .iter()
        .any(|start| kind.starts_with(start));
    if !is_one {
        return None;
    }
    let told = || rest.iter().take(4).map(|line| line.text.as_str());
    let url = told().find_map(|text| {
        let (_, url) = text
            .split_once("fetching ")
            .or_else(|| text.split_once("fetch "))?;
        url.split_whitespace().next().map(shown_address)
    });
    let failure = if kind.starts_with("proxy-") {
        IndexFailure::Proxy
    } else if kind.starts_with("ssl-") {
        IndexFailure::Tls
    } else if kind == "connection-timeout" {
        IndexFailure::Timeout
    } else {
        told().find_map(classify)?
    };
    Some(Failure::Index { url, failure })
}

/// An exception that pip did not catch.
fn exception(line: &Line) -> Option<Failure> {
    const LIBRARIES: &[&str] = &[
        "pip._vendor.urllib3.exceptions.",
        "pip._vendor.requests.exceptions.",
        "ssl.SSL",
    ];
    let is_one = line.indent == 0 && LIBRARIES.iter().any(|start| line.text.starts_with(start));
    let failure = classify(&line.text).filter(|_| is_one)?;
    Some(Failure::Index { url: None, failure })
}

fn vcs(text: &str) -> Option<Failure> {
    let detail = text
        .strip_prefix("fatal: ")
        .filter(|detail| !detail.starts_with("not a git repository"))
        .or_else(|| {
            let said = text.strip_prefix("error: ")?;
            said.starts_with("pathspec ").then_some(said)
        })?;
    Some(Failure::Vcs {
        detail: without_credentials(detail),
    })
}

/// Says of each requirement that nothing was found for, where pip told it, why.
pub(super) fn why_nothing_was_found(found: &mut Vec<Found>, output: &Output, log: &Output) {
    let mut refused = Vec::new();
    for Found { cause, at } in found.iter_mut() {
        let Failure::NoDistribution {
            requirement,
            available,
            why,
            ..
        } = &mut cause.failure
        else {
            continue;
        };
        let Some(name) = name_at_start(requirement).map(normalized) else {
            continue;
        };
        // The log has all that the output has, and more.
        let all = if log.lines.is_empty() {
            &output.lines
        } else {
            &log.lines
        };
        let told = || all.iter();
        let failures: Vec<(String, IndexFailure)> = told()
            .filter_map(|line| unfetched(&line.text, &name))
            .collect();
        let unknown = |failure: &IndexFailure| *failure == IndexFailure::Status(404);
        let worse = failures.iter().filter(|(_, failure)| !unknown(failure));
        // The log has the whole address.
        let known = worse.max_by_key(|(url, _)| url.contains("://")).cloned();
        let ignored = || {
            let host = told().find_map(ignored).filter(|_| available.is_empty())?;
            Some((host, IndexFailure::Insecure))
        };
        if let Some((url, failure)) = known.or_else(ignored) {
            let failure = Failure::Index {
                url: Some(url),
                failure,
            };
            refused.push(Found {
                cause: Cause {
                    failure,
                    ..cause.clone()
                },
                at: *at,
            });
        } else if *why == Unavailable::NothingFound || *why == Unavailable::NoVersionMatches {
            if let Some(passed_over) = passed_over(told(), &name, &Wanted::of(requirement)) {
                *why = passed_over;
            } else if let Some(latest) = seen(&log.lines, &name).filter(|_| available.is_empty()) {
                *available = latest;
                *why = Unavailable::NoVersionMatches;
            } else if available.is_empty() && !failures.is_empty() {
                *why = Unavailable::UnknownName;
            }
        }
    }
    found.extend(refused);
}

/// The host of an index that pip ignores.
fn ignored(line: &Line) -> Option<String> {
    let host = between(
        &line.text,
        "WARNING: The repository located at ",
        " is not a trusted",
    )?;
    Some(host.to_owned())
}

/// The page of the project `name` that could not be fetched, and why.
fn unfetched(text: &str, name: &str) -> Option<(String, IndexFailure)> {
    if let Some(rest) = text.strip_prefix("Could not fetch URL ") {
        let (url, why) = rest.split_once(": ")?;
        let page = url.trim_end_matches('/').rsplit('/').next()?;
        return (normalized(page) == name).then(|| Some((shown_address(url), classify(why)?)))?;
    }
    let (why, path) = text
        .strip_prefix("WARNING: Retrying ")?
        .rsplit_once(": /")?;
    let page = path.trim_end_matches('/').rsplit('/').next()?;
    (normalized(page) == name).then(|| Some((format!("/{path}"), classify(why)?)))?
}

/// The latest versions of the project `name` that pip saw, which some versions of it keep to themselves.
fn seen(log: &[Line], name: &str) -> Option<Vec<String>> {
    let version = |line: &Line| {
        let (link, version) = line
            .text
            .strip_prefix("Found link ")?
            .rsplit_once(", version: ")?;
        let page = between(link, " (from ", ")")?.trim_end_matches('/');
        (normalized(page.rsplit('/').next()?) == name).then(|| version.to_owned())
    };
    let mut versions: Vec<String> = log.iter().filter_map(version).collect();
    versions.dedup();
    versions.reverse();
    versions.truncate(5);
    (!versions.is_empty()).then_some(versions)
}

/// Why the listed files of the project `name` whose version is wanted were not considered.
fn passed_over<'a>(
    lines: impl Iterator<Item = &'a Line>,
    name: &str,
    wanted: &Wanted,
) -> Option<Unavailable> {
    let (mut pythons, mut tags, mut source) = (Vec::new(), Vec::new(), false);
    for line in lines {
        let filename = |rest: &str| {
            let url = rest.get(rest.rfind("://")?..)?;
            let path = url.split(['#', ' ']).next()?;
            Some(path.rsplit('/').next()?.to_owned())
        };
        let text = line.text.split(" (from ").next().unwrap_or(&line.text);
        let Some(file) = filename(text) else { continue };
        if !version_of(&file, name).is_some_and(|version| wanted.admits(version)) {
            continue;
        }
        if let Some(requires) = between(text, "not in: '", "'") {
            pythons.push(format!("{file} requires Python {requires}"));
        } else if let Some(rest) = text.strip_prefix("Skipping link: none of the wheel's tags") {
            let tag = between(rest, "(", ")").or_else(|| between(rest, "match: ", ": "));
            tags.extend(tag.map(str::to_owned));
        } else if text.starts_with("Skipping link: No sources permitted") {
            source = true;
        }
    }
    let latest = |mut told: Vec<String>| {
        told.reverse();
        told.dedup();
        told.truncate(3);
        told
    };
    if source {
        Some(Unavailable::SourceOnly)
    } else if !pythons.is_empty() {
        Some(Unavailable::OtherPython(latest(pythons)))
    } else {
        (!tags.is_empty()).then(|| Unavailable::OtherPlatform(latest(tags)))
    }
}

/// The version in the name of a file of the project `name`.
fn version_of<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let mut dashes = file.match_indices('-');
    let (at, _) =
        dashes.find(|(at, _)| file.get(..*at).map(normalized).as_deref() == Some(name))?;
    let rest = file.get(at + 1..)?;
    if let Some(wheel) = rest.strip_suffix(".whl") {
        return wheel.split('-').next();
    }
    let ends = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".tar"];
    ends.iter().find_map(|end| rest.strip_suffix(end))
}

/// The words of pip and of the libraries in it for what kept an address from being had.
const WORDS: &[(IndexFailure, &[&str])] = &[
    (
        IndexFailure::Proxy,
        &[
            "ProxyError",
            "proxy connection error",
            "Cannot connect to proxy",
            "connect to proxy",
        ],
    ),
    (
        IndexFailure::Tls,
        &[
            "SSLError",
            "[SSL:",
            "[SSL]",
            "CERTIFICATE_VERIFY_FAILED",
            "ssl certificate",
        ],
    ),
    (
        IndexFailure::Dns,
        &[
            "Name or service not known",
            "Failed to resolve",
            "name resolution",
            "getaddrinfo failed",
            "Name does not resolve",
            "nodename nor servname",
            "No address associated with hostname",
        ],
    ),
    (IndexFailure::Refused, &["Connection refused"]),
    (
        IndexFailure::Unreachable,
        &[
            "Network is unreachable",
            "No route to host",
            "Network unreachable",
        ],
    ),
    (
        IndexFailure::Timeout,
        &["timed out", "TimeoutError", "didn't respond within"],
    ),
    (
        IndexFailure::Dropped,
        &[
            "Connection aborted",
            "Connection reset",
            "Connection broken",
            "connection was closed",
            "IncompleteRead",
            "RemoteDisconnected",
        ],
    ),
];

fn classify(text: &str) -> Option<IndexFailure> {
    if let Some(status) = status(text) {
        return Some(IndexFailure::Status(status));
    }
    WORDS
        .iter()
        .find(|(_, words)| words.iter().any(|word| text.contains(word)))
        .map(|(failure, _)| *failure)
}

fn status(text: &str) -> Option<u16> {
    let before = [" Client Error", " Server Error", " error responses"]
        .iter()
        .find_map(|end| text.split_once(end))?
        .0;
    let number = before.rsplit([' ', '\'', '"']).next()?;
    number.parse().ok().filter(|code| (400..600).contains(code))
}

/// An address as it may be shown: without credentials, and without the hash behind it.
fn shown_address(url: &str) -> String {
    let quote = |c: char| matches!(c, '\'' | '"' | '(' | ')' | ',');
    let url = url
        .trim_matches(quote)
        .trim_end_matches(':')
        .trim_matches(quote);
    let url = url.split('#').next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    format!("{scheme}://{}", without_user(rest))
}

/// A text without the credentials of the addresses in it.
fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| {
        format!("{shown}://{}", without_user(part))
    })
}

/// What follows an address's scheme, without what stands before its host.
fn without_user(rest: &str) -> &str {
    let end = rest.find(['/', ' ', '\'', '"']).unwrap_or(rest.len());
    let user = rest.get(..end).and_then(|authority| authority.rfind('@'));
    user.and_then(|at| rest.get(at + 1..)).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_credentials_and_hashes() {
        for (url, shown) in [
            ("https://me:pass@host/a#sha256=00", "https://host/a"),
            ("'https://me:p@ss@host:8080/a@b'", "https://host:8080/a@b"),
            ("https://host", "https://host"),
            ("host", "host"),
            ("", ""),
        ] {
            assert_eq!(shown_address(url), shown);
        }
        assert_eq!(
            without_credentials("cannot access 'https://me:pass@host/a@b': no x://y@z"),
            "cannot access 'https://host/a@b': no x://z"
        );
    }

    #[test]
    fn a_status_is_a_number_that_a_server_answers() {
        assert_eq!(
            status("401 Client Error: Unauthorized for url: x"),
            Some(401)
        );
        assert_eq!(
            status("ResponseError('too many 503 error responses')"),
            Some(503)
        );
        assert_eq!(status("many Client Errors"), None);
        assert_eq!(status("99999999 Server Error"), None);
    }
}
