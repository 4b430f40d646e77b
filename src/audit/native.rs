//! Native code: whether the runtime's dynamic loader finds what it needs.
//!
//! Looked at is what is loaded by itself, extension modules and programs, each with all that it comes to.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use super::finding::{Finding, Problem, Severity};
use super::loader::{Native, Object, World};
use crate::code::{Damaged, Elf, Necessity};
use crate::runtime::{Family, Runtime};
use crate::tree::Distribution;

/// Libraries that a host puts into containers, as its drivers have them.
pub(super) const INJECTED: [&str; 9] = [
    "libcuda.so.1",
    "libcudadebugger.so.1",
    "libnvcuvid.so.1",
    "libnvidia-encode.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-opticalflow.so.1",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvoptix.so.1",
    "libamdhip64.so",
];

/// What native code needs that is not there.
pub(super) fn audit(
    subject: &Subject<'_>,
    runtime: &Runtime,
    native: &[Native<'_>],
) -> Vec<Finding> {
    let world = World::new(subject.tree, subject.layout, runtime, native);
    let mut findings = world.machines(native);
    let process = world.process();
    findings.extend(super::named::audit(subject, runtime, &world));
    for one in native {
        let Some(role) = world.role(one) else {
            continue;
        };
        match one.code.elf.as_ref() {
            Some(Ok(elf)) if elf.loadable && Some(elf.machine) == runtime.facts.machine => {
                findings.extend(world.load(one, elf, role, &process));
            }
            Some(Err(reason)) => findings.push(damaged(one, *reason)),
            _ => {}
        }
    }
    findings
}

fn damaged(one: &Native<'_>, reason: Damaged) -> Finding {
    // What is no module may be meant to be broken: tools that read ELF bring such files.
    let severity =
        if one.path.as_str().contains(".cpython-") || one.path.as_str().contains(".abi3.") {
            Severity::Error
        } else {
            Severity::Warning
        };
    let problem = Problem::DamagedCode { reason };
    Finding::new(severity, problem).at(one.path).of(one.owner)
}

/// How native code comes to be loaded by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Imported by Python, or opened by what is imported.
    Module,
    /// Run.
    Program,
    /// Perhaps opened by name, perhaps by others.
    Library,
}

impl<'w> World<'w> {
    /// Native code for another machine. Some distributions bring code for several: one that has any for
    /// the runtime's knows what it does.
    fn machines(&self, native: &[Native<'_>]) -> Vec<Finding> {
        let Some(machine) = self.runtime.facts.machine else {
            return Vec::new();
        };
        let mut foreign: BTreeMap<Option<&Distribution>, Vec<(&Native<'_>, &Elf)>> =
            BTreeMap::new();
        let mut at_home = BTreeSet::new();
        for one in native {
            match one.code.elf.as_ref() {
                Some(Ok(elf)) if elf.loadable && elf.machine != machine => {
                    foreign.entry(one.owner).or_default().push((one, elf));
                }
                Some(Ok(elf)) if elf.loadable => drop(at_home.insert(one.owner)),
                _ => {}
            }
        }
        let findings = foreign.into_iter().map(|(owner, files)| {
            let (first, elf) = files[0];
            let severity = if at_home.contains(&owner) {
                Severity::Note
            } else {
                Severity::Error
            };
            let problem = Problem::WrongMachine {
                machine: elf.machine.to_string(),
                runtime: machine.to_string(),
            };
            let mut finding = Finding::new(severity, problem).at(first.path).of(owner);
            finding.others = files.len() - 1;
            finding
        });
        findings.collect()
    }

    /// How a file comes to be loaded; nothing for one that only others load.
    fn role(&self, one: &Native<'_>) -> Option<Role> {
        let path = one.path.as_str();
        if one.code.opened {
            return Some(Role::Module);
        }
        if path.starts_with("bin/") {
            return Some(Role::Program);
        }
        let below = self.sites.iter().find_map(|site| one.path.below(site))?;
        let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
        let is_name =
            |part: &str| !part.is_empty() && part.chars().all(|c| c == '_' || c.is_alphanumeric());
        if !folder.is_empty() && !folder.split('/').all(is_name) {
            // `numpy.libs` and its like.
            return None;
        }
        let stem = self.runtime.python.suffixes.iter().find_map(|suffix| {
            let stem = name.strip_suffix(suffix.as_str())?;
            is_name(stem).then_some((stem, suffix))
        });
        match stem {
            Some((stem, suffix)) if suffix == ".so" && stem.starts_with("lib") => {
                Some(Role::Library)
            }
            Some(_) => Some(Role::Module),
            None => None,
        }
    }

    /// Loads a file with all that it comes to, and tells what is missing.
    fn load(
        &self,
        one: &Native<'_>,
        elf: &'w Elf,
        role: Role,
        process: &[Object<'w>],
    ) -> Vec<Finding> {
        let root = self.root(one, elf);
        // A module comes into a process where the interpreter's libraries are.
        let mut objects: Vec<Object<'w>> = match role {
            Role::Program => Vec::new(),
            Role::Module | Role::Library => process.iter().map(Object::again).collect(),
        };
        let mut known: BTreeMap<String, Option<usize>> = BTreeMap::new();
        for (at, object) in objects.iter().enumerate() {
            if let Some(soname) = &object.elf.soname {
                known.insert(soname.clone(), Some(at));
            }
        }
        let at = objects.len();
        objects.push(root);
        let missing = self.close(&mut objects, at, &mut known);
        let mut findings: Vec<Finding> = missing
            .into_iter()
            // What the runtime's own libraries lack, it lacks without us.
            .filter(|(by, _)| objects[*by].is_ours)
            .map(|(_, library)| self.missing(one, role, library))
            .collect();
        if let Some(interpreter) = elf.interpreter.as_ref().filter(|_| role == Role::Program)
            && self.runtime.facts.library(interpreter).is_none()
        {
            let problem = Problem::MissingInterpreter {
                interpreter: interpreter.clone(),
            };
            findings.push(
                Finding::new(Severity::Error, problem)
                    .at(one.path)
                    .of(one.owner),
            );
        }
        if self.family() != Some(Family::Musl) {
            findings.extend(Self::versions(one, role, &objects, &known));
        }
        findings
    }

    /// The finding about a library that is not found.
    fn missing(&self, one: &Native<'_>, role: Role, library: String) -> Finding {
        let facts = &self.runtime.facts;
        let of_libc = if library.starts_with("libc.musl-") || library.starts_with("ld-musl-") {
            Some(Family::Musl)
        } else if library == "libc.so.6" || library.starts_with("ld-linux") {
            Some(Family::Glibc)
        } else {
            None
        };
        let at_worst = worst(one, role);
        if let (Some(family), Some(libc)) = (of_libc, &facts.libc)
            && family != libc.family
        {
            let problem = Problem::WrongLibc {
                library,
                runtime: libc.to_string(),
            };
            return Finding::new(at_worst, problem).at(one.path).of(one.owner);
        }
        let elsewhere = self.names.get(library.as_str()).map(|path| (*path).clone());
        let severity = if INJECTED.contains(&library.as_str()) {
            Severity::Note
        } else if elsewhere.is_some() {
            at_worst.min(Severity::Warning)
        } else {
            at_worst
        };
        let package = facts.package(&library);
        let problem = Problem::MissingLibrary {
            package,
            library,
            elsewhere,
            module: None,
            opened: Vec::new(),
        };
        Finding::new(severity, problem).at(one.path).of(one.owner)
    }

    /// The versions of symbols that the libraries that were found do not define.
    fn versions(
        one: &Native<'_>,
        role: Role,
        objects: &[Object<'_>],
        known: &BTreeMap<String, Option<usize>>,
    ) -> Vec<Finding> {
        let mut lacking: BTreeMap<(&str, Severity), BTreeSet<&str>> = BTreeMap::new();
        for object in objects.iter().filter(|object| object.is_ours) {
            for versions in &object.elf.versions {
                let Some(Some(at)) = known.get(&versions.library) else {
                    continue;
                };
                let there = &objects[*at].elf.defines;
                for (name, weak) in &versions.names {
                    if there.contains(name) {
                        continue;
                    }
                    // The loader only warns of a library that has no versions at all.
                    let at_worst = worst(one, role);
                    let severity = if *weak || there.is_empty() {
                        at_worst.min(Severity::Warning)
                    } else {
                        at_worst
                    };
                    let key = (versions.library.as_str(), severity);
                    lacking.entry(key).or_default().insert(name);
                }
            }
        }
        let findings = lacking.into_iter().map(|((library, severity), names)| {
            let there = known.get(library).copied().flatten();
            let there = there.map_or(&[][..], |at| &objects[at].elf.defines);
            let kind = names.first().map_or("", |name| kind(name));
            let newest = there
                .iter()
                .filter(|name| self::kind(name) == kind)
                .max_by_key(|name| numbers(name));
            let mut versions: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            versions.sort_by_key(|name| numbers(name));
            let problem = Problem::MissingVersion {
                library: library.to_owned(),
                versions,
                newest: newest.cloned(),
            };
            Finding::new(severity, problem).at(one.path).of(one.owner)
        });
        findings.collect()
    }
}

/// How much it matters at most that something of a file is missing.
fn worst(one: &Native<'_>, role: Role) -> Severity {
    match (role, one.code.necessity) {
        (Role::Library, _) | (_, Necessity::Conditional) => Severity::Warning,
        (_, Necessity::Optional) => Severity::Note,
        (_, Necessity::Required) => Severity::Error,
    }
}

/// `GLIBC` of `GLIBC_2.34`.
fn kind(version: &str) -> &str {
    version.split_once('_').map_or(version, |(kind, _)| kind)
}

/// The numbers of a version, which tell which is newer.
fn numbers(version: &str) -> Vec<u64> {
    let numbers = version.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}
