//! pip's installation report.
//!
//! <https://pip.pypa.io/en/stable/reference/installation-report/>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::plan::{self, Asked, Form, Item, Source, python_json};
use crate::requirements::{Hash, Name, file_name};

/// What will be installed, in pip's order of installation.
#[derive(Debug)]
pub struct Resolution {
    /// The distributions, the first to be installed first.
    pub items: Vec<Item>,
}

/// Why a report cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// It is no report.
    #[error("cannot read pip's report")]
    Unreadable(#[source] serde_json::Error),
    /// Of another version of the format.
    #[error("unsupported version `{0}` of pip's report: expected 1")]
    Version(String),
    /// There is none.
    #[error("pip wrote no report")]
    Missing,
}

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
    requires_python: Option<String>,
}

impl Resolution {
    /// Reads the report on what was asked.
    pub(super) fn read(bytes: &[u8], asked: &Asked<'_>) -> Result<Self, ReportError> {
        let report: Report = serde_json::from_slice(bytes).map_err(ReportError::Unreadable)?;
        if report.version != "1" {
            return Err(ReportError::Version(report.version));
        }
        let mut items: Vec<Item> = report.install.into_iter().map(item).collect();
        plan::sort(&mut items, asked, Some(&report.pip_version));
        Ok(Self { items })
    }
}

/// What was reported, as a plan has it.
fn item(reported: Reported) -> Item {
    let Reported {
        download_info,
        is_direct,
        requested,
        requested_extras,
        metadata,
    } = reported;
    let url = download_info["url"].as_str().unwrap_or_default().to_owned();
    let file = url.split(['?', '#']).next().unwrap_or_default();
    let hashes = &download_info["archive_info"]["hashes"];
    let hashes: BTreeMap<String, String> =
        serde_json::from_value(hashes.clone()).unwrap_or_default();
    let form = if file.to_ascii_lowercase().ends_with(".whl") {
        Form::Wheel
    } else {
        Form::Sdist
    };
    let source = if let Some(commit) = download_info["vcs_info"]["commit_id"].as_str() {
        Source::Commit(commit.to_owned())
    } else if download_info.get("dir_info").is_some() {
        Source::Directory
    } else if is_direct {
        Source::Archive
    } else {
        Source::Index
    };
    Item {
        name: Name::new(&metadata.name),
        version: metadata.version,
        requested,
        extras: requested_extras
            .iter()
            .map(|extra| Name::new(extra))
            .collect(),
        source,
        form,
        hashes: hashes
            .iter()
            .filter_map(|(algorithm, hex)| Hash::new(algorithm, hex))
            .collect(),
        size: None,
        filename: file_name(&url),
        direct_url: is_direct.then(|| python_json(&download_info)),
        url,
        requires: metadata.requires_dist,
        requires_python: metadata.requires_python,
        required_by: Vec::new(),
        metadata: plan::Metadata::Preliminary,
        place: plan::Place::Here,
    }
}
