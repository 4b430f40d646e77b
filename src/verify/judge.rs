//! The outcome of a check, and its meaning.

use serde::Deserialize;

use super::checks::{Check, Kind, top};
use super::sandbox::{CommandResult, Ended};

/// An exception, as the program tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Exception {
    #[serde(rename = "type")]
    pub(super) name: String,
    pub(super) text: String,
    /// The names of its classes.
    pub(super) bases: Vec<String>,
    /// The module that is missing.
    pub(super) missing: Option<String>,
}

impl Exception {
    fn is(&self, class: &str) -> bool {
        self.bases.iter().any(|base| base == class)
    }

    /// Its type and the first line of its text, as a traceback has them.
    fn line(&self) -> String {
        let first = self
            .text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty());
        match first {
            Some(text) => format!("{}: {text}", self.name),
            None => self.name.clone(),
        }
    }
}

/// How a target failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// With an exception, and those that led to it.
    Raised(Vec<Exception>),
    /// The process ended before everything was loaded.
    Ended(Ended),
}

/// What it means that a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It cannot work in the runtime.
    Broken,
    /// It depends on whether the builder can do it.
    Compare,
    /// It shows nothing.
    Unverified,
    /// Something optional is missing.
    Optional,
    /// It is no module at all.
    Nothing,
}

/// What became of each target of one process; nothing if the process ended before it told.
pub(super) fn outcomes(
    ran: &CommandResult,
    token: &str,
    count: usize,
) -> Option<Vec<Option<Failure>>> {
    let (_, told) = ran.stdout.rsplit_once(token)?;
    let told: Vec<Option<Vec<Exception>>> = serde_json::from_str(told).ok()?;
    (told.len() == count && ran.ended == Ended::Code(0)).then(|| {
        let failures = told.into_iter();
        failures.map(|one| one.map(Failure::Raised)).collect()
    })
}

impl Failure {
    /// What happened, on one line.
    pub(super) fn line(&self, stderr: &str, seconds: u64, memory: u64) -> String {
        let said = || {
            let line = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
            line.map_or_else(String::new, |line| format!(": {line}"))
        };
        match self {
            Self::Raised(chain) => chain
                .first()
                .map_or_else(|| "an exception without a name".to_owned(), Exception::line),
            Self::Ended(Ended::Time) => format!("it took longer than {seconds} seconds"),
            Self::Ended(Ended::Memory) => {
                format!("it took more than {} MiB of memory", memory >> 20)
            }
            Self::Ended(Ended::Signal(signal)) => format!("killed by signal {signal}{}", said()),
            Self::Ended(Ended::Code(code)) => {
                format!("the process ended with exit code {code}{}", said())
            }
        }
    }

    /// What two failures must share to be the same: texts may name paths.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Raised(chain) => chain.first().map_or_else(String::new, |it| it.name.clone()),
            Self::Ended(ended) => format!("{ended:?}"),
        }
    }

    /// What it means for a check. `is_optional` says whether a library that the text names is one that
    /// the audit takes for optional.
    pub(super) fn meaning(&self, check: &Check, is_optional: &dyn Fn(&str) -> bool) -> Meaning {
        let chain = match self {
            Self::Ended(Ended::Time | Ended::Memory) => return Meaning::Unverified,
            Self::Ended(_) => return Meaning::Compare,
            Self::Raised(chain) => chain,
        };
        let says = |text: &str| chain.iter().any(|one| one.text.contains(text));
        if check.kind == Kind::Extension && says("dynamic module does not define") {
            return Meaning::Nothing;
        }
        let missing = chain.iter().find_map(|one| one.missing.as_deref());
        let may_lack = match check.kind {
            Kind::Extension | Kind::EntryPoint => true,
            Kind::Script => check.has_extras,
            Kind::Module | Kind::PathFile => false,
        };
        if let Some(missing) = missing {
            // Another distribution's, which need not be there; its own is broken.
            let is_foreign = top(missing) != top(&check.module);
            return if may_lack && is_foreign {
                Meaning::Optional
            } else {
                Meaning::Broken
            };
        }
        if says_library(&says) {
            let of_back_end =
                check.kind == Kind::Extension && chain.iter().any(|one| is_optional(&one.text));
            return if of_back_end {
                Meaning::Optional
            } else {
                Meaning::Broken
            };
        }
        let is = |class: &str| chain.iter().any(|one| one.is(class));
        if is("ImportError") || is("SyntaxError") {
            return Meaning::Broken;
        }
        // What the entry point names is not there.
        if !check.attribute.is_empty() && chain.first().is_some_and(|one| one.is("AttributeError"))
        {
            return Meaning::Broken;
        }
        Meaning::Compare
    }
}

/// Whether a library is missing, or one that is there cannot be linked: the words of the dynamic loader,
/// of ctypes and of cffi.
fn says_library(says: &dyn Fn(&str) -> bool) -> bool {
    [
        "cannot open shared object file",
        "cannot load library",
        "no library called",
        "undefined symbol:",
        "' not found (required by ",
    ]
    .into_iter()
    .any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(name: &str, text: &str, bases: &[&str], missing: Option<&str>) -> Exception {
        Exception {
            name: name.to_owned(),
            text: text.to_owned(),
            bases: bases.iter().map(|base| (*base).to_owned()).collect(),
            missing: missing.map(str::to_owned),
        }
    }

    fn check(kind: Kind, has_extras: bool) -> Check {
        Check {
            distribution: "demo".to_owned(),
            kind,
            name: "x".to_owned(),
            module: "demo.x".to_owned(),
            attribute: "main".to_owned(),
            has_extras,
            path: None,
        }
    }

    #[test]
    fn failures_have_their_meaning() {
        let absent = |name| {
            let bases = ["ModuleNotFoundError", "ImportError", "Exception"];
            vec![exception(
                "ModuleNotFoundError",
                "No module",
                &bases,
                Some(name),
            )]
        };
        let error = |name, text| vec![exception(name, text, &[name, "Exception"], None)];
        let mut hidden = error("SystemExit", "1");
        hidden.extend(absent("click"));
        let library = "libx.so.1: cannot open shared object file: No such file or directory";
        let cases = [
            (Kind::Module, absent("other"), Meaning::Broken),
            (Kind::Script, absent("other"), Meaning::Broken),
            (Kind::Script, hidden, Meaning::Broken),
            (Kind::EntryPoint, absent("pytest"), Meaning::Optional),
            (Kind::EntryPoint, absent("demo.gone"), Meaning::Broken),
            (Kind::Extension, absent("mpi4py"), Meaning::Optional),
            (Kind::Module, error("OSError", library), Meaning::Broken),
            (
                Kind::Extension,
                error("ImportError", library),
                Meaning::Broken,
            ),
            (
                Kind::Extension,
                error("ImportError", "libtk.so: cannot open shared object file"),
                Meaning::Optional,
            ),
            (
                Kind::Extension,
                error(
                    "ImportError",
                    "dynamic module does not define module export function",
                ),
                Meaning::Nothing,
            ),
            (
                Kind::Module,
                error("ImportError", "failed to find libmagic"),
                Meaning::Broken,
            ),
            (
                Kind::Module,
                error("SyntaxError", "invalid syntax"),
                Meaning::Broken,
            ),
            (
                Kind::Script,
                error("AttributeError", "no main"),
                Meaning::Broken,
            ),
            (
                Kind::Module,
                error("locale.Error", "unsupported"),
                Meaning::Compare,
            ),
        ];
        let is_optional = |text: &str| text.contains("libtk.so");
        for (kind, chain, expected) in cases {
            let failure = Failure::Raised(chain);
            let meaning = failure.meaning(&check(kind, false), &is_optional);
            assert_eq!(meaning, expected, "{kind:?} {failure:?}");
        }
        let extras = check(Kind::Script, true);
        let failure = Failure::Raised(absent("other"));
        assert_eq!(failure.meaning(&extras, &is_optional), Meaning::Optional);
        let time = Failure::Ended(Ended::Time);
        assert_eq!(time.meaning(&extras, &is_optional), Meaning::Unverified);
    }

    #[test]
    fn a_line_has_the_type_and_the_first_line() {
        let text = "\ncannot load library 'x': no\nmore\nlibcairo-2.dll";
        let failure = Failure::Raised(vec![exception("OSError", text, &["OSError"], None)]);
        assert_eq!(
            failure.line("", 60, 1 << 30),
            "OSError: cannot load library 'x': no"
        );
        let failure = Failure::Ended(Ended::Signal(11));
        assert_eq!(failure.line("a\nb\n\n", 60, 0), "killed by signal 11: b");
    }

    #[test]
    fn a_process_that_did_not_get_to_the_end_told_nothing() {
        let ran = |stdout: &str, code| CommandResult {
            ended: Ended::Code(code),
            stdout: stdout.to_owned(),
            stderr: String::new(),
        };
        assert_eq!(outcomes(&ran("", 0), "T0", 1), None);
        assert_eq!(outcomes(&ran("T0[null]", 1), "T0", 1), None);
        assert_eq!(outcomes(&ran("T0[null, null]", 0), "T0", 1), None);
        assert_eq!(outcomes(&ran("T0[null] and more", 0), "T0", 1), None);
        assert_eq!(
            outcomes(&ran("noise T0[null]", 0), "T0", 1),
            Some(vec![None])
        );
    }
}
