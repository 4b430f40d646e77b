//! What pip says that it would install.
//!
//! <https://pip.pypa.io/en/stable/reference/installation-report/>

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::order::{self, Asked};
use crate::cache::{Bucket, Cache, Lookup, Why};
use crate::digest::Digest;
use crate::fs;
use crate::requirements::{Name, hide_credentials};

/// What will be installed, in pip's order of installation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resolution {
    /// The distributions, the first to be installed first.
    pub items: Vec<Item>,
}

/// A distribution that pip chose.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: String,
    /// Whether the user asked for it.
    pub requested: bool,
    /// With which extras the user did.
    pub extras: BTreeSet<Name>,
    /// What is fetched for it.
    pub source: Source,
    /// Whether it comes from a URL of its own rather than from an index.
    pub is_direct: bool,
    /// The URL, without credentials.
    pub url: String,
    /// Its `direct_url.json`, if it does not come from an index: the text that pip would write.
    pub direct_url: Option<String>,
    /// The `Requires-Dist` of its metadata.
    pub requires: Vec<String>,
}

/// What is fetched for a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A wheel, and its SHA-256 where pip knows it.
    Wheel(Option<Digest>),
    /// An archive of sources.
    Sdist(Option<Digest>),
    /// A commit of a repository.
    Commit(String),
    /// A folder of the builder.
    Folder,
}

/// Why a report cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// It is no report.
    #[error("pip's report cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// Of another version of the format.
    #[error("pip's report is of version `{0}`, and not 1")]
    Version(String),
    /// There is none.
    #[error("pip wrote no report")]
    Missing,
}

const KEPT: &str = "resolution.json";

#[derive(Deserialize)]
struct Report {
    version: String,
    #[serde(default)]
    pip_version: String,
    install: Vec<Reported>,
}

#[derive(Deserialize)]
struct Reported {
    download_info: Value,
    #[serde(default)]
    is_direct: bool,
    #[serde(default)]
    requested: bool,
    #[serde(default)]
    requested_extras: Vec<String>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
    #[serde(default)]
    requires_dist: Vec<String>,
}

impl Resolution {
    /// Reads the report on what was asked.
    pub(super) fn read(bytes: &[u8], asked: &Asked<'_>) -> Result<Self, ReportError> {
        let report: Report = serde_json::from_slice(bytes).map_err(ReportError::Unreadable)?;
        if report.version != "1" {
            return Err(ReportError::Version(report.version));
        }
        let mut items: Vec<Item> = report.install.into_iter().map(Item::new).collect();
        order::sort(&mut items, asked, &report.pip_version);
        Ok(Self { items })
    }

    /// What pip answered before, when what `key` stands for was asked.
    pub fn kept(cache: &Cache, key: &Digest) -> Result<Self, Why> {
        let entry = match cache.lookup(Bucket::Resolutions, key) {
            Lookup::Hit(entry) => entry,
            Lookup::Miss(why) => return Err(why),
        };
        let text = entry.path(KEPT).and_then(|path| fs::read(&path).ok());
        let resolution = text.and_then(|text| serde_json::from_slice(&text).ok());
        resolution.ok_or_else(|| {
            cache.evict(Bucket::Resolutions, key);
            Why::Damaged("it cannot be read".to_owned())
        })
    }

    /// Keeps it for the next time, unless a URL in it holds credentials.
    pub fn keep(&self, cache: &Cache, key: &Digest) {
        let texts = self.items.iter().flat_map(|item| {
            let direct_url = item.direct_url.iter();
            direct_url.chain([&item.url])
        });
        if texts
            .into_iter()
            .any(|text| hide_credentials(text) != *text)
        {
            return;
        }
        let kept = cache.insert(Bucket::Resolutions, key, |folder| -> io::Result<()> {
            let text = serde_json::to_vec(self)?;
            fs::write_new(&folder.join(KEPT), &text).map_err(io::Error::other)
        });
        // pip is asked again next time.
        drop(kept);
    }
}

impl Item {
    fn new(reported: Reported) -> Self {
        let Reported {
            download_info,
            is_direct,
            requested,
            requested_extras,
            metadata,
        } = reported;
        let url = download_info["url"].as_str().unwrap_or_default().to_owned();
        let file = url.split(['?', '#']).next().unwrap_or_default();
        let sha256 = download_info["archive_info"]["hashes"]["sha256"]
            .as_str()
            .and_then(|hex| format!("sha256:{hex}").parse().ok());
        let source = if let Some(commit) = download_info["vcs_info"]["commit_id"].as_str() {
            Source::Commit(commit.to_owned())
        } else if download_info.get("dir_info").is_some() {
            Source::Folder
        } else if file.to_ascii_lowercase().ends_with(".whl") {
            Source::Wheel(sha256)
        } else {
            Source::Sdist(sha256)
        };
        Self {
            name: Name::new(&metadata.name),
            version: metadata.version,
            requested,
            extras: requested_extras
                .iter()
                .map(|extra| Name::new(extra))
                .collect(),
            source,
            is_direct,
            direct_url: is_direct.then(|| python_json(&download_info)),
            url,
            requires: metadata.requires_dist,
        }
    }
}

/// JSON as Python's `json.dumps` writes it with its keys sorted: a space behind `:` and `,`.
fn python_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            // The map of serde_json is sorted.
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| {
                    let key = Value::String(key.clone());
                    format!("{key}: {}", python_json(value))
                })
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(python_json).collect();
            format!("[{}]", values.join(", "))
        }
        Value::String(text) => {
            let mut json = String::new();
            for c in Value::String(text.clone()).to_string().chars() {
                if c.is_ascii() {
                    json.push(c);
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        json.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
            json
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = serde_json::json!({"b": [1, true, null], "a": {"x": "ü\n"}});
        assert_eq!(
            python_json(&value),
            r#"{"a": {"x": "\u00fc\n"}, "b": [1, true, null]}"#
        );
    }
}
