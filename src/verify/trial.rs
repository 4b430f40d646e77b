//! The checks in their order, and the groups that they fall into.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};

use super::checks::{Check, Kind};
use super::judge::{Failure, Meaning, outcomes};
use super::place::Place;
use super::sandbox::{CommandResult, Ended, Limits};
use super::{Claim, Counts, Error, Failed};
use crate::audit::{Finding, Problem, Severity};
use crate::layout::Layout;
use crate::tree::{RelPath, Tree};

/// What a check that failed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Broken,
    Unverified,
    Optional,
}

/// The checks of an artifact.
pub(super) struct Trial<'a> {
    limits: Limits,
    layout: &'a Layout,
    findings: &'a [Finding],
    /// The `.pth` files in site directories, and whose they are.
    path_files: BTreeMap<RelPath, String>,
    pub(super) counts: Counts,
    failures: Vec<Fault>,
}

/// A check that failed, and how.
struct Fault {
    check: Check,
    failure: Failure,
    error: String,
    stderr: String,
    meaning: Meaning,
    /// Whether the builder fails alike.
    is_shared: bool,
}

/// As many checks as are tried once more, with nothing beside them, when they took too long.
const MAX_LATE: usize = 8;

/// As many targets as one process loads: a list that grows without end must not become one program.
const BATCH: usize = 200;

impl<'a> Trial<'a> {
    pub(super) fn new(
        claim: &Claim,
        tree: &Tree,
        layout: &'a Layout,
        findings: &'a [Finding],
    ) -> Self {
        let mut path_files = BTreeMap::new();
        for site in layout.sites() {
            for (path, entry) in tree.children(site) {
                if path.name().ends_with(".pth") {
                    let owner = entry.owner();
                    let owner = owner.map_or("no distribution", |one| one.name.as_str());
                    path_files.insert(path.clone(), owner.to_owned());
                }
            }
        }
        Self {
            limits: claim.limits,
            layout,
            findings,
            path_files,
            counts: Counts::default(),
            failures: Vec::new(),
        }
    }

    /// Carries out the checks.
    pub(super) fn run(&mut self, place: &mut dyn Place, checks: Vec<Check>) -> Result<(), Error> {
        for check in &checks {
            let count = match check.kind {
                Kind::Module => &mut self.counts.modules,
                Kind::Extension => &mut self.counts.extensions,
                Kind::Script => &mut self.counts.scripts,
                Kind::EntryPoint => &mut self.counts.entry_points,
                Kind::PathFile => continue,
            };
            *count += 1;
        }
        if !self.starts(place)? {
            // Nothing else can be loaded by a Python that does not start.
            return Ok(());
        }
        let (alone, together): (Vec<Check>, Vec<Check>) = checks
            .into_iter()
            .partition(|check| matches!(check.kind, Kind::Module | Kind::Script));
        self.alone(place, &alone)?;
        // An extension module whose package fails tells nothing new.
        let dead: BTreeSet<String> = self
            .failures
            .iter()
            .filter(|fault| fault.check.kind == Kind::Module)
            .map(|fault| fault.check.module.clone())
            .collect();
        let is_below = |module: &str| {
            let ends = module.match_indices('.').map(|(at, _)| at);
            ends.chain([module.len()])
                .any(|end| dead.contains(&module[..end]))
        };
        let together = together
            .into_iter()
            .filter(|check| check.kind != Kind::Extension || !is_below(&check.module));
        let mut batches: BTreeMap<(Kind, String), Vec<Check>> = BTreeMap::new();
        for check in together {
            let key = (check.kind, check.distribution.clone());
            batches.entry(key).or_default().push(check);
        }
        let batches: Vec<Vec<Check>> = batches
            .into_values()
            .flat_map(|batch| {
                batch
                    .chunks(BATCH)
                    .map(<[Check]>::to_vec)
                    .collect::<Vec<_>>()
            })
            .collect();
        let asked: Vec<&[Check]> = batches.iter().map(Vec::as_slice).collect();
        let answers = ask(place, &asked)?;
        // What failed beside others, or was not reached, is tried by itself.
        let mut again = Vec::new();
        for (batch, (_, outcomes)) in batches.iter().zip(answers) {
            match outcomes {
                None => again.extend(batch.iter().cloned()),
                Some(outcomes) => {
                    let failed = batch.iter().zip(outcomes);
                    again.extend(
                        failed.filter_map(|(check, outcome)| outcome.map(|_| check.clone())),
                    );
                }
            }
        }
        self.alone(place, &again)
    }

    /// Starts Python once, which reads the `.pth` files. Returns whether it started.
    fn starts(&mut self, place: &mut dyn Place) -> Result<bool, Error> {
        let (ran, outcomes) = ask(place, &[&[]])?.remove(0);
        let mut seen = BTreeSet::new();
        for (file, message) in messages(&ran.stderr) {
            // Where `lib64` is `lib`, Python reads a directory twice.
            if !seen.insert(file.clone()) {
                continue;
            }
            let ours = self.path_files.iter().find(|(path, _)| {
                let at = format!("{}/{path}", self.layout.dest.trim_end_matches('/'));
                // Where the artifact lies elsewhere, its place begins otherwise.
                file == at || file.ends_with(&format!("/{path}"))
            });
            let Some((path, owner)) = ours else { continue };
            let check = path_file(path.name(), owner);
            let error = last_line(&message);
            self.failures.push(Fault {
                check,
                failure: Failure::Raised(Vec::new()),
                error,
                stderr: message,
                meaning: Meaning::Broken,
                is_shared: false,
            });
        }
        if ran.stderr.contains("Error in sitecustomize")
            || ran.stderr.contains("Error in usercustomize")
        {
            let failure = Failure::Raised(Vec::new());
            let check = path_file("sitecustomize", "no distribution");
            self.fault(check, failure, Meaning::Broken, ran.stderr.clone());
        }
        if outcomes.is_some() {
            return Ok(true);
        }
        let names: Vec<&str> = self.path_files.keys().map(RelPath::name).collect();
        let owners: BTreeSet<&str> = self.path_files.values().map(String::as_str).collect();
        let owners: Vec<&str> = owners.into_iter().collect();
        let name = if names.is_empty() {
            "Python".to_owned()
        } else {
            names.join(", ")
        };
        let failure = Failure::Ended(ran.ended);
        self.fault(
            path_file(&name, &owners.join(", ")),
            failure,
            Meaning::Broken,
            ran.stderr,
        );
        Ok(false)
    }

    /// Carries out checks, each in a process of its own.
    fn alone(&mut self, place: &mut dyn Place, checks: &[Check]) -> Result<(), Error> {
        let asked: Vec<&[Check]> = checks.iter().map(std::slice::from_ref).collect();
        let mut answers = ask(place, &asked)?;
        // A check that took all processors from the others must not be their undoing.
        let is_late = |answer: &&mut (CommandResult, Outcomes)| answer.0.ended == Ended::Time;
        let mut late = answers
            .iter_mut()
            .zip(&asked)
            .filter_map(|(answer, asked)| {
                Some(answer).filter(is_late).map(|answer| (answer, asked))
            });
        if asked.len() > 1 {
            for (answer, asked) in late.by_ref().take(MAX_LATE) {
                *answer = ask(place, &[asked])?.remove(0);
            }
        }
        for (check, (ran, outcomes)) in checks.iter().zip(answers) {
            let failure = match outcomes {
                Some(mut outcomes) => outcomes.pop().flatten(),
                None => Some(Failure::Ended(ran.ended)),
            };
            if let Some(failure) = failure {
                let meaning = failure.meaning(check, &|text| self.is_optional(text));
                if meaning != Meaning::Nothing {
                    self.fault(check.clone(), failure, meaning, ran.stderr);
                }
            }
        }
        Ok(())
    }

    fn fault(&mut self, check: Check, failure: Failure, meaning: Meaning, stderr: String) {
        let error = failure.line(&stderr, self.limits.seconds, self.limits.memory);
        self.failures.push(Fault {
            check,
            failure,
            error,
            stderr,
            meaning,
            is_shared: false,
        });
    }

    /// Whether a text names a library that the audit takes for optional.
    fn is_optional(&self, text: &str) -> bool {
        let named = self
            .findings
            .iter()
            .filter_map(|finding| match &finding.problem {
                Problem::MissingLibrary { library, .. } if text.contains(library.as_str()) => {
                    Some(finding.severity)
                }
                _ => None,
            });
        let severities: Vec<Severity> = named.collect();
        !severities.is_empty() && !severities.contains(&Severity::Error)
    }

    /// Whether the builder would tell something.
    pub(super) fn is_to_compare(&self) -> bool {
        let mut faults = self.failures.iter();
        faults.any(|fault| fault.meaning == Meaning::Compare)
    }

    /// Tries in the builder what only that can tell.
    pub(super) fn compare(&mut self, place: &mut dyn Place) -> Result<(), Error> {
        let faults = self.failures.iter_mut();
        let mut faults: Vec<&mut Fault> = faults
            .filter(|fault| fault.meaning == Meaning::Compare)
            .collect();
        let checks: Vec<Check> = faults.iter().map(|fault| fault.check.clone()).collect();
        let asked: Vec<&[Check]> = checks.iter().map(std::slice::from_ref).collect();
        for (fault, (ran, outcomes)) in faults.iter_mut().zip(ask(place, &asked)?) {
            let there = match outcomes {
                Some(mut outcomes) => outcomes.pop().flatten(),
                None => Some(Failure::Ended(ran.ended)),
            };
            fault.is_shared = there.is_some_and(|there| there.key() == fault.failure.key());
        }
        Ok(())
    }

    /// What failed, and what that is.
    pub(super) fn failed(self) -> impl Iterator<Item = (Group, Failed)> {
        self.failures.into_iter().map(|fault| {
            let group = match fault.meaning {
                Meaning::Optional => Group::Optional,
                Meaning::Unverified => Group::Unverified,
                Meaning::Compare if fault.is_shared => Group::Unverified,
                Meaning::Broken | Meaning::Compare | Meaning::Nothing => Group::Broken,
            };
            let failed = Failed {
                target: fault.check.target(),
                distribution: fault.check.distribution,
                kind: fault.check.kind,
                name: fault.check.name,
                error: fault.error,
                details: fault.stderr,
            };
            (group, failed)
        })
    }
}

fn path_file(name: &str, distribution: &str) -> Check {
    Check {
        distribution: distribution.to_owned(),
        kind: Kind::PathFile,
        name: name.to_owned(),
        module: name.to_owned(),
        attribute: String::new(),
        has_extras: false,
        path: None,
    }
}

/// The last line of a message that is not empty, without its indentation and what `site` puts behind it.
fn last_line(message: &str) -> String {
    let lines = message.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with("Remainder of file"));
    lines.next_back().unwrap_or_default().to_owned()
}

/// What `site` says of `.pth` files: the file, and the message.
fn messages(stderr: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in stderr.lines() {
        let said = line.strip_prefix("Error processing line ");
        if let Some(file) = said.and_then(|rest| rest.split_once(" of ")) {
            let file = file.1.trim_end_matches(':').to_owned();
            found.push((file, line.to_owned()));
        } else if let Some((_, message)) = found.last_mut() {
            message.push('\n');
            message.push_str(line);
        }
    }
    found
}

/// What became of each target of a process; nothing if it ended before it told.
type Outcomes = Option<Vec<Option<Failure>>>;

/// Loads each list of targets in a process of its own.
fn ask(place: &mut dyn Place, asked: &[&[Check]]) -> Result<Vec<(CommandResult, Outcomes)>, Error> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let tokens: Vec<String> = asked.iter().map(|_| token()).collect();
    let questions: Vec<String> = asked
        .iter()
        .zip(&tokens)
        .map(|(checks, token)| {
            let targets: Vec<_> = checks
                .iter()
                .map(|check| (&check.module, &check.attribute))
                .collect();
            let sites = place.sites();
            serde_json::json!({ "token": token, "sites": sites, "targets": targets }).to_string()
        })
        .collect();
    let answers = place.ask(&questions)?;
    let answers = answers.into_iter().zip(asked).zip(&tokens);
    Ok(answers
        .map(|((ran, checks), token)| {
            let outcomes = outcomes(&ran, token, checks.len());
            (ran, outcomes)
        })
        .collect())
}

/// A text that nobody guesses.
fn token() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}
