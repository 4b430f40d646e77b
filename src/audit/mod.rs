//! Compares a prefix with its runtime and reports findings.
//!
//! An error means that something would not work there, and nothing is written; a warning may mean that,
//! and a note is good to know. What only the runtime can tell is told if one is named.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnosis::{Diagnosis, Kind};
use crate::event::counted;
use crate::layout::Layout;
use crate::piece::Piece;
use crate::runtime::Runtime;
use crate::target::MarkerEnvironment;
use crate::tree::Tree;

mod files;
mod finding;
mod loader;
mod message;
mod named;
mod native;
mod programs;
mod python;
mod replaced;

pub use finding::{Finding, Problem, Severity};
pub use loader::{Dependencies, dependencies};

/// What is audited.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The prefix.
    pub tree: &'a Tree,
    /// Where it will lie.
    pub layout: &'a Layout,
    /// The distributions in it.
    pub pieces: &'a [Piece],
    /// The values of the environment markers.
    pub markers: &'a MarkerEnvironment,
    /// Whether what distributions require was left out on purpose.
    pub no_deps: bool,
    /// The runtime, if there is one.
    pub runtime: Option<&'a Runtime>,
    /// Credentials that this build used.
    pub secrets: &'a [String],
    /// What the user knows better: kinds of findings, each perhaps with what it is about.
    pub allowed: &'a [String],
}

/// Looks at a tree as a whole. The findings that matter most come first.
#[must_use]
pub fn audit(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = files::conflicts(subject);
    findings.extend(files::collisions(subject));
    findings.extend(files::built_here(subject));
    findings.extend(files::secrets(subject));
    findings.extend(python::requirements(subject));
    findings.extend(python::path_files(subject));
    if let Some(runtime) = subject.runtime {
        findings.extend(files::not_searched(subject, runtime));
        findings.extend(files::dangling_links(subject, runtime));
        findings.extend(python::audit(subject, runtime));
        findings.extend(python::scripts(subject, runtime));
        let native = loader::find(subject.tree);
        findings.extend(python::suffixes(subject, runtime, &native));
        findings.extend(native::audit(subject, runtime, &native));
        findings.extend(replaced::audit(subject, runtime));
        findings.extend(programs::audit(subject, runtime));
    }
    let mut findings = together(findings);
    for finding in &mut findings {
        finding.allow(subject.allowed);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Makes one finding of those that say the same of several files of one distribution.
fn together(findings: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for finding in findings {
        let about = (&finding.problem, &finding.severity, &finding.distribution);
        let key = serde_json::to_string(&about).unwrap_or_default();
        // What is about one path, or none, stands by itself.
        let is_one = finding.distribution.is_none() || finding.path.is_none();
        match places.get(&key).map(|at| &mut merged[*at]) {
            Some(there) if !is_one => there.others += 1 + finding.others,
            Some(there) if *there == finding => {}
            _ => {
                places.insert(key, merged.len());
                merged.push(finding);
            }
        }
    }
    merged
}

/// The line of a Dockerfile that installs the packages that a runtime lacks, by what its distribution
/// uses; nothing if none is lacking, or nobody knows which.
#[must_use]
pub fn remedy(findings: &[Finding], runtime: &Runtime) -> Option<String> {
    let packages = packages(findings);
    (!packages.is_empty()).then(|| format!("RUN {}", runtime.facts.install(&packages)))
}

/// The packages that have what is missing, of errors and of warnings.
#[must_use]
pub fn packages<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> BTreeSet<String> {
    let packages = findings.into_iter().filter_map(Finding::package);
    packages.map(str::to_owned).collect()
}

/// Where the documentation explains the errors among these findings, one heading for each kind; nothing
/// without an error.
#[must_use]
pub fn explained(findings: &[Finding]) -> Option<String> {
    let errors = findings.iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    let kinds: BTreeSet<&str> = errors.map(|finding| finding.problem.kind()).collect();
    let anchors: Vec<String> = kinds.iter().map(|kind| format!("#{kind}")).collect();
    (!anchors.is_empty()).then(|| format!("docs/reference/findings.md{}", anchors.join(", ")))
}

/// Why a prefix is incompatible with its runtime.
#[derive(Debug, thiserror::Error)]
#[error("the prefix is incompatible with `{runtime}`: {}", count(findings))]
pub struct Unfit {
    /// The runtime.
    pub runtime: String,
    /// The findings, errors first.
    pub findings: Vec<Finding>,
    /// The line of a Dockerfile that would help, see [`remedy`].
    pub remedy: Option<String>,
    /// The packages that it installs.
    pub packages: BTreeSet<String>,
}

impl Diagnosis for Unfit {
    fn kind(&self) -> Kind {
        Kind::Unfit
    }

    fn hint(&self) -> Option<String> {
        Some(ALLOW.to_owned())
    }
}

/// The hint for findings that do no harm.
pub const ALLOW: &str = "to ignore a finding, pass `--allow KIND` or `--allow KIND:NAME`";

impl Unfit {
    /// Made of findings if there is an error among them.
    #[must_use]
    pub fn of(findings: Vec<Finding>, runtime: &Runtime) -> Option<Self> {
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        findings.iter().any(is_error).then(|| Self {
            runtime: runtime.name.clone(),
            remedy: remedy(&findings, runtime),
            packages: packages(&findings),
            findings,
        })
    }
}

/// How many errors there are.
fn count(findings: &[Finding]) -> String {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    counted(errors.count(), "error")
}
