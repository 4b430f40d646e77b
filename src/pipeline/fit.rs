//! The builder, or the named target, held against the runtime: what is built is for the runtime, so only
//! wheels are taken that run there.

use crate::audit::{Finding, Problem, Severity, Unfit};
use crate::error::{Error, Result};
use crate::interpreter::Interpreter;
use crate::runtime::{Facts, Family, Runtime};

/// Leaves the interpreter the wheels that would run in the runtime; refuses one for which none would.
pub(super) fn fit(
    interpreter: &mut Interpreter,
    runtime: &Runtime,
    allowed: &[String],
) -> Result<()> {
    let (python, facts) = (&runtime.python, &runtime.facts);
    let mut findings = Vec::new();
    if interpreter.markers.python_version != python.version {
        findings.push(Problem::WrongPython {
            builder: interpreter.markers.python_version.clone(),
            runtime: python.version.clone(),
        });
    }
    let machine = python.elf.machine.to_string();
    if interpreter.markers.platform_machine != machine {
        findings.push(Problem::WrongMachine {
            machine: interpreter.markers.platform_machine.clone(),
            runtime: machine.clone(),
        });
    }
    if let Some(libc) = &facts.libc {
        let name = libc.family.name();
        let theirs = interpreter.libc.split_once(' ');
        match theirs {
            Some((theirs, _)) if theirs != name => findings.push(Problem::WrongLibc {
                library: theirs.to_owned(),
                runtime: libc.to_string(),
            }),
            Some((_, version)) if pair(version).is_some_and(|theirs| libc.version < theirs) => {
                interpreter.libc = libc.to_string();
                interpreter.glibc = (libc.family == Family::Glibc).then_some(libc.version);
            }
            _ => {}
        }
        let runs = |tag: &String| runs(tag, libc.family, libc.version, &machine);
        interpreter.tags.retain(runs);
    }
    let findings = findings.into_iter().map(|problem| {
        let mut finding = Finding::about(Severity::Error, problem);
        let is_wrong_place = !matches!(finding.problem, Problem::WrongPython { .. });
        if let Some(platform) = platform(facts, &machine).filter(|_| is_wrong_place) {
            let version = &python.version;
            finding.remedy = Some(format!(
                "use a builder like the runtime; locked requirements need no builder: `--python {version} --platform {platform}`"
            ));
        }
        finding.allow(allowed);
        finding
    });
    match Unfit::of(findings.collect(), runtime) {
        Some(unfit) => Err(Error::Unfit(Box::new(unfit))),
        None => Ok(()),
    }
}

/// The platform that a runtime is, as `--platform` names it.
fn platform(facts: &Facts, machine: &str) -> Option<String> {
    let libc = facts.libc.as_ref()?;
    let kind = match libc.family {
        Family::Glibc => "manylinux",
        Family::Musl => "musllinux",
    };
    let (major, minor) = libc.version;
    Some(format!("{kind}_{major}_{minor}_{machine}"))
}

/// Whether a wheel of this tag runs with a C library.
///
/// <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>
fn runs(tag: &str, family: Family, libc: (u32, u32), machine: &str) -> bool {
    let Some(platform) = tag.splitn(3, '-').nth(2) else {
        return false;
    };
    if platform == "any" {
        return true;
    }
    let Some(platform) = platform
        .strip_suffix(machine)
        .and_then(|it| it.strip_suffix('_'))
    else {
        return false;
    };
    let (kind, version) = platform.split_once('_').unwrap_or((platform, ""));
    let wanted = match kind {
        "linux" => return true,
        "manylinux1" => Some((2, 5)),
        "manylinux2010" => Some((2, 12)),
        "manylinux2014" => Some((2, 17)),
        _ => pair(&version.replace('_', ".")),
    };
    let theirs = if kind == "musllinux" {
        Family::Musl
    } else {
        Family::Glibc
    };
    theirs == family && wanted.is_some_and(|wanted| wanted <= libc)
}

fn pair(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_run_or_do_not() {
        let runs = |tag: &str, family, libc| super::runs(tag, family, libc, "x86_64");
        let glibc = |tag: &str, minor| runs(tag, Family::Glibc, (2, minor));
        assert!(glibc("py3-none-any", 17));
        assert!(glibc("cp311-cp311-manylinux_2_28_x86_64", 28));
        assert!(!glibc("cp311-cp311-manylinux_2_34_x86_64", 28));
        assert!(!glibc("cp311-cp311-manylinux2014_aarch64", 28));
        assert!(glibc("cp311-cp311-manylinux1_x86_64", 5));
        assert!(!glibc("cp311-cp311-musllinux_1_1_x86_64", 28));
        assert!(glibc("cp311-cp311-linux_x86_64", 28));
        assert!(runs(
            "cp311-cp311-musllinux_1_1_x86_64",
            Family::Musl,
            (1, 2)
        ));
        assert!(!runs("cp311-cp311-manylinux1_x86_64", Family::Musl, (1, 2)));
    }
}
