//! Chooses a file of a project, by pip's rules.
//!
//! Follows `LinkEvaluator` and `CandidateEvaluator` of pip 26.3.

use std::collections::HashMap;

use super::misfit::Misfit;
use crate::index::Found;
use crate::interpreter::Interpreter;
use crate::plan::Form;
use crate::requirements::{Hash, Name, Specifiers, Version, extension, is_archive};
use crate::wheel::Filename;

/// What an interpreter can use.
#[derive(Debug)]
pub(crate) struct Fit<'a> {
    /// How far behind the best each tag is.
    ranks: HashMap<&'a str, usize>,
    python: &'a str,
    short: &'a str,
    ignores_python: bool,
}

impl<'a> Fit<'a> {
    pub(crate) fn new(interpreter: &'a Interpreter, ignores_python: bool) -> Self {
        let tags = interpreter.tags.iter().enumerate();
        Self {
            ranks: tags.map(|(rank, tag)| (tag.as_str(), rank)).collect(),
            python: &interpreter.markers.python_full_version,
            short: &interpreter.markers.python_version,
            ignores_python,
        }
    }

    /// Whether a `Requires-Python` admits the interpreter.
    pub(crate) fn admits_python(&self, requires: Option<&str>) -> bool {
        self.ignores_python
            || requires.is_none_or(|requires| Specifiers::python_admitted(requires, self.python))
    }

    /// Why the interpreter can use none of these wheels; `None` where there is none.
    pub(super) fn misfit<'b>(&self, wheels: impl Iterator<Item = &'b Filename>) -> Option<Misfit> {
        Misfit::of(wheels, self.ranks.keys().copied())
    }

    /// The rank of a wheel's best tag; `None` if it is not for the interpreter.
    pub(crate) fn rank(&self, filename: &Filename) -> Option<usize> {
        let ranks = filename
            .tags()
            .filter_map(|tag| self.ranks.get(tag.as_str()).copied());
        ranks.min()
    }
}

/// A file that could be taken.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) found: &'a Found,
    pub(super) version: Version,
    pub(super) form: Form,
    order: Order,
}

/// The earlier fields count more; the largest value is the best.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    has_hash: bool,
    is_not_yanked: bool,
    is_preferred: bool,
    version: Version,
    rank: std::cmp::Reverse<usize>,
    build: Option<(u64, String)>,
}

/// Why a project has no usable file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The project has no files at all.
    #[error("no index has it")]
    Unknown,
    /// No file has that version.
    #[error("no index has that version; {}", match versions.as_slice() {
        [] => "it has no versions".to_owned(),
        versions => format!("available: {}", versions.join(", ")),
    })]
    Version {
        /// The latest of the available versions.
        versions: Vec<String>,
    },
    /// The files of that version are incompatible with the target.
    #[error("its wheels {0}")]
    Tags(Misfit),
    /// The project is incompatible with the target's Python.
    #[error("it requires Python {requires}, and this is {python}")]
    Python {
        /// The required Python.
        requires: String,
        /// The target's Python.
        python: String,
    },
    /// `--only-binary` or `--no-binary` excludes all files.
    #[error("--only-binary and --no-binary exclude all of its files")]
    Form,
    /// No file has one of the hashes.
    #[error("hash mismatch of all its files: {}", listed.join(", "))]
    Hash {
        /// The compatible files and their hashes.
        listed: Vec<String>,
    },
    /// All were yanked, and the requirement does not name the version.
    #[error("it was yanked: {0}")]
    Yanked(String),
}

/// The first of many, and how many more there are.
pub(crate) fn few(all: &[String]) -> String {
    const FEW: usize = 5;
    let mut text = all.iter().take(FEW).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > FEW {
        text.push_str(&format!(" and {} more", all.len() - FEW));
    }
    text
}

/// The criteria for a file of a project.
pub(super) struct Criteria<'a> {
    pub(super) name: &'a Name,
    pub(super) admits: &'a dyn Fn(&str) -> bool,
    pub(super) is_pinned: bool,
    /// The hashes that the file may have; any, if there are none.
    pub(super) hashes: Option<&'a [Hash]>,
    /// Whether wheels will do, and whether sdists.
    pub(super) forms: (bool, bool),
    pub(super) prefers_wheels: bool,
}

/// The file that pip takes.
pub(super) fn choose<'a>(
    files: &'a [Found],
    wish: &Criteria<'_>,
    fit: &Fit<'_>,
) -> Result<Candidate<'a>, Refused> {
    let mut seen = Seen::default();
    let mut candidates: Vec<Candidate<'a>> = files
        .iter()
        .filter_map(|found| seen.candidate(found, wish, fit))
        .collect();
    if let Some(hashes) = wish.hashes {
        let has = |one: &Candidate<'_>| is_allowed(&one.found.file.hashes, hashes);
        if candidates.iter().any(has) {
            candidates.retain(|one| has(one) || one.found.file.hashes.is_empty());
        } else if !candidates.is_empty()
            && candidates
                .iter()
                .all(|one| !one.found.file.hashes.is_empty())
        {
            let listed = candidates.iter().map(|one| {
                let hashes: Vec<_> = one.found.file.hashes.iter().map(Hash::to_string).collect();
                format!("{} has {}", one.found.file.name, hashes.join(" and "))
            });
            return Err(Refused::Hash {
                listed: listed.take(5).collect(),
            });
        }
    }
    let yanked = candidates
        .iter()
        .find_map(|one| one.found.file.yanked.clone());
    let all_yanked = candidates.iter().all(|one| one.found.file.yanked.is_some());
    if !(all_yanked && wish.is_pinned) {
        candidates.retain(|one| one.found.file.yanked.is_none());
    }
    // Of two that are equally good, pip takes the later one.
    match candidates.into_iter().max_by(|a, b| a.order.cmp(&b.order)) {
        Some(best) => Ok(best),
        None => Err(match yanked {
            Some(reason) => Refused::Yanked(reason),
            None => seen.refusal(files, fit),
        }),
    }
}

/// Why the interpreter can use none of the wheels of a project's version; `None` where there is none.
pub(super) fn why_no_wheel(
    files: &[Found],
    name: &Name,
    version: &Version,
    fit: &Fit<'_>,
) -> Option<Misfit> {
    let wheels = files.iter().filter_map(|found| {
        let filename = Filename::parse(&found.file.name).ok()?;
        let is_of_it = filename.name == name.as_str()
            && Version::parse(&filename.version).as_ref() == Some(version)
            && fit.rank(&filename).is_none();
        is_of_it.then_some(filename)
    });
    let wheels: Vec<Filename> = wheels.collect();
    fit.misfit(wheels.iter())
}

/// Whether one of a file's digests is among those that it may have.
fn is_allowed(digests: &[Hash], allowed: &[Hash]) -> bool {
    digests.iter().any(|digest| allowed.contains(digest))
}

/// Why files were passed over, for whoever has to be told.
#[derive(Debug, Default)]
struct Seen {
    versions: Vec<Version>,
    wheels: Vec<Filename>,
    python: Option<String>,
    form: bool,
}

impl Seen {
    /// The file as a candidate, if it is one.
    fn candidate<'a>(
        &mut self,
        found: &'a Found,
        wish: &Criteria<'_>,
        fit: &Fit<'_>,
    ) -> Option<Candidate<'a>> {
        let file = &found.file;
        // No file system takes a longer name, and a version in it may be as long.
        if file.name.len() > 255 {
            return None;
        }
        let (wheels, sdists) = wish.forms;
        let is_wheel = extension(&file.name).eq_ignore_ascii_case(".whl");
        let (version, rank, build, form) = if is_wheel {
            let filename = Filename::parse(&file.name).ok()?;
            if filename.name != wish.name.as_str() {
                return None;
            }
            let version = Version::parse(&filename.version)?;
            self.versions.push(version.clone());
            if !(wish.admits)(&version.to_string()) {
                return None;
            }
            if !wheels {
                self.form = true;
                return None;
            }
            let Some(rank) = fit.rank(&filename) else {
                self.wheels.push(filename);
                return None;
            };
            (version, rank, build(filename.build.as_deref()), Form::Wheel)
        } else {
            let version = sdist_version(&file.name, wish.name, fit)?;
            self.versions.push(version.clone());
            if !(wish.admits)(&version.to_string()) {
                return None;
            }
            if !sdists {
                self.form = true;
                return None;
            }
            (version, fit.ranks.len(), None, Form::Sdist)
        };
        if !fit.admits_python(file.requires_python.as_deref()) {
            self.python.clone_from(&file.requires_python);
            return None;
        }
        let order = Order {
            has_hash: wish
                .hashes
                .is_some_and(|hashes| is_allowed(&file.hashes, hashes)),
            is_not_yanked: file.yanked.is_none(),
            is_preferred: is_wheel && wish.prefers_wheels,
            version: version.clone(),
            rank: std::cmp::Reverse(rank),
            build,
        };
        Some(Candidate {
            found,
            version,
            form,
            order,
        })
    }

    fn refusal(mut self, files: &[Found], fit: &Fit<'_>) -> Refused {
        if files.is_empty() {
            return Refused::Unknown;
        }
        if let Some(requires) = self.python {
            return Refused::Python {
                requires,
                python: fit.python.to_owned(),
            };
        }
        if let Some(misfit) = fit.misfit(self.wheels.iter()) {
            return Refused::Tags(misfit);
        }
        if self.form {
            return Refused::Form;
        }
        self.versions.sort();
        self.versions.dedup();
        let latest = self.versions.iter().rev().take(8);
        Refused::Version {
            versions: latest.map(Version::to_string).collect(),
        }
    }
}

/// A build tag as pip orders it: its number, then the rest of it.
fn build(tag: Option<&str>) -> Option<(u64, String)> {
    let tag = tag?;
    let digits = tag.find(|c: char| !c.is_ascii_digit()).unwrap_or(tag.len());
    let number = tag[..digits].parse().unwrap_or(u64::MAX);
    Some((number, tag[digits..].to_owned()))
}

/// The version in the name of an archive of sources, behind the project's name.
fn sdist_version(file: &str, name: &Name, fit: &Fit<'_>) -> Option<Version> {
    let ending = extension(file);
    if !is_archive(file) || file.contains("macosx10") && ending.eq_ignore_ascii_case(".zip") {
        return None;
    }
    let stem = &file[..file.len() - ending.len()];
    let (at, _) = stem
        .match_indices('-')
        .find(|(at, _)| Name::new(&stem[..*at]) == *name)?;
    let mut version = &stem[at + 1..];
    // `-py2.7` at the end, as `bdist_dumb` wrote it.
    if let Some((before, python)) = version.rsplit_once("-py")
        && is_python(python)
    {
        if python != fit.short {
            return None;
        }
        version = before;
    }
    Version::parse(version)
}

/// `3`, `3.8` or `38`, as pip's regular expression has it.
fn is_python(text: &str) -> bool {
    let rest = text.strip_prefix(['1', '2', '3']);
    let rest = rest.map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit()
    })
}
