//! Libraries that Python code opens by their names.

use super::Subject;
use super::finding::{Finding, Problem, Severity};
use super::loader::World;
use super::native::INJECTED;
use super::python::place;
use crate::code::{Named, Necessity, Opened};
use crate::pip::packages;
use crate::runtime::Runtime;

/// What distributions open that neither the prefix nor the runtime has.
pub(super) fn audit(subject: &Subject<'_>, runtime: &Runtime, world: &World<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in subject.pieces {
        for opened in &one.opened {
            if opened
                .names
                .iter()
                .any(|name| is_there(name, runtime, world))
            {
                continue;
            }
            let Some((library, package)) = wanted(opened, runtime) else {
                continue;
            };
            let severity = match (opened.necessity, &package) {
                _ if INJECTED.contains(&library.as_str()) => Severity::Note,
                (Necessity::Required, _) => Severity::Error,
                (Necessity::Conditional, Some(_)) => Severity::Warning,
                (Necessity::Optional, Some(_)) => Severity::Note,
                // It may be for another system.
                (_, None) => continue,
            };
            let problem = Problem::MissingLibrary {
                library,
                package,
                elsewhere: None,
                module: None,
                opened: opened.names.iter().filter_map(written).collect(),
            };
            let mut finding = Finding::new(severity, problem).of(Some(&one.distribution));
            finding.path = place(subject, &opened.by);
            findings.push(finding);
        }
    }
    findings
}

/// Whether a name leads to a library once the prefix is there.
fn is_there(name: &Named, runtime: &Runtime, world: &World<'_>) -> bool {
    match name {
        Named::Library(path) if path.starts_with('/') => world.is_at(path),
        Named::Library(name) => world.is_found(name),
        // Whatever is loaded already has its name too.
        Named::Found(stem) => {
            let named = runtime.facts.named(stem);
            named.is_some_and(|name| world.is_found(&name))
                || world.brings(&format!("lib{stem}.so*"))
        }
        Named::Own(name) => {
            let named = any_version(name).and_then(|stem| runtime.facts.named(stem));
            world.brings(name) || named.is_some_and(|name| world.is_found(&name))
        }
    }
}

/// The stem of a library of any version: `GL` of `libGL.so.*`.
fn any_version(name: &str) -> Option<&str> {
    let stem = name.strip_prefix("lib")?.strip_suffix(".so.*")?;
    (!stem.contains('*')).then_some(stem)
}

/// The library that is missing, as it is called in the runtime's distribution, and its package.
fn wanted(opened: &Opened, runtime: &Runtime) -> Option<(String, Option<String>)> {
    let facts = &runtime.facts;
    let libraries = opened.names.iter().filter_map(|name| match name {
        Named::Library(path) => path.rsplit('/').next().map(str::to_owned),
        Named::Found(stem) => Some(facts.named(stem).unwrap_or_else(|| format!("lib{stem}.so"))),
        Named::Own(name) => facts.named(any_version(name)?),
    });
    let libraries: Vec<String> = libraries.collect();
    let known = libraries.iter().find_map(|library| {
        let package = facts.known_package(library)?;
        Some((library.clone(), Some(package)))
    });
    // Without a version, it is the name by which linkers look for it: packages for development have that.
    let development = |library: &String| {
        let stem = library.strip_prefix("lib")?.strip_suffix(".so")?;
        let packages = packages::find(packages::Kind::Library, stem)?;
        let package = match facts.os.id.as_str() {
            "debian" | "ubuntu" => packages.debian?,
            "alpine" => packages.alpine?,
            _ => return None,
        };
        Some((library.clone(), Some(package.to_owned())))
    };
    known
        .or_else(|| libraries.iter().find_map(development))
        .or_else(|| {
            let library = libraries.into_iter().next()?;
            let package = facts.package(&library);
            Some((library, package))
        })
}

/// A name as the code has it.
fn written(name: &Named) -> Option<String> {
    match name {
        Named::Library(name) | Named::Found(name) => Some(name.clone()),
        Named::Own(_) => None,
    }
}
