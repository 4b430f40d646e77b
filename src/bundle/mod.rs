//! The libraries that a runtime lacks: which package of the builder has them, and, on request, their
//! files, copied into the prefix under names of their own.
//!
//! As `auditwheel repair` does it for a wheel, for the whole prefix: a copy is called after its contents,
//! so that it is never taken for another; what needs it names it, and says where it lies. The C library
//! itself is never copied: it must be the one of the loader.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::audit::{Finding, Problem, Severity};
use crate::code::Elf;
use crate::diagnosis::Diagnosis;
use crate::digest::Digest;
use crate::fs;
use crate::install::{self, Edit, relative};
use crate::interpreter::unset_python_variables;
use crate::layout::Layout;
use crate::relink::{self, Changes, relink};
use crate::runner::{self, Exec, Session};
use crate::runtime::{Os, Runtime};
use crate::tree::{Content, Node, RelPath, Tree, UnsafePath};

const SCRIPT: &str = include_str!("libraries.py");

/// The folder of the copies, in the folder of distributions with compiled code.
const FOLDER: &str = "prebuild.libs";

/// Parts of the C library and of the loader.
const NEVER: [&str; 14] = [
    "ld-linux",
    "ld-musl",
    "ld64.so",
    "libanl.so",
    "libBrokenLocale.so",
    "libc.musl",
    "libc.so",
    "libdl.so",
    "libm.so",
    "libnss_",
    "libpthread.so",
    "libresolv.so",
    "librt.so",
    "libutil.so",
];

/// How deep libraries may need others.
const ROUNDS: usize = 32;

/// A library that was copied from the builder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundled {
    /// The name by which it is needed.
    pub library: String,
    /// Its copy.
    pub path: RelPath,
    /// The builder's package that it is of.
    pub package: Option<String>,
    /// Where in the builder that package's licence is.
    pub licence: Option<String>,
}

/// What the builder says of libraries.
#[derive(Debug, Deserialize)]
struct Answer {
    os: String,
    libraries: BTreeMap<String, Owned>,
}

#[derive(Debug, Clone, Deserialize)]
struct Owned {
    package: Option<String>,
    licence: Option<String>,
}

/// Asks the builder for libraries; with a folder, has it copy them there. `question` is a name that no
/// other question to this builder has.
fn ask(
    session: &mut dyn Session,
    libraries: &BTreeSet<String>,
    into: Option<&str>,
    question: &str,
) -> Result<Answer, Error> {
    let folder = format!("prebuild/libraries/{question}");
    session.put(&folder, &Tree::of_file("libraries.py", SCRIPT))?;
    let question = serde_json::json!({
        "libraries": libraries,
        "into": into.map(|into| session.locate(into)),
    });
    let exec = Exec::new(session.python())
        .args([
            "-I".to_owned(),
            session.locate(&format!("{folder}/libraries.py")),
        ])
        .envs(unset_python_variables());
    let answer = runner::answer(session, &exec, &question.to_string())?;
    serde_json::from_str(&answer).map_err(Error::Answer)
}

/// Names the packages of what is missing by the builder's own database, if it is of the same release of
/// the same distribution as the runtime.
pub fn name_packages(
    session: &mut dyn Session,
    runtime: &Runtime,
    findings: &mut [Finding],
) -> Result<(), Error> {
    let missing = packaged(findings);
    if missing.is_empty() || runtime.facts.os.id.is_empty() {
        return Ok(());
    }
    let answer = ask(session, &missing, None, "packages")?;
    let (here, there) = (Os::parse(&answer.os), &runtime.facts.os);
    if (&here.id, &here.version_id) != (&there.id, &there.version_id) {
        return Ok(());
    }
    for finding in findings {
        if let Problem::MissingLibrary { library, .. } = &finding.problem
            && let Some(owned) = answer.libraries.get(library)
            && let Some(package) = &owned.package
        {
            finding.is_in(package);
        }
    }
    Ok(())
}

/// The libraries that a copy would help: those that the loader does not find, and whose lack is an error.
fn missing(findings: &[Finding]) -> BTreeSet<String> {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let libraries = errors.filter_map(Finding::needed_library);
    libraries.map(str::to_owned).collect()
}

/// The libraries that a package of the runtime's distribution would help.
fn packaged(findings: &[Finding]) -> BTreeSet<String> {
    let findings = findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note);
    let libraries = findings.filter_map(|finding| match &finding.problem {
        Problem::MissingLibrary { library, .. } => Some(library.clone()),
        _ => None,
    });
    libraries.collect()
}

/// A library of the builder's.
struct Copied {
    bytes: Vec<u8>,
    elf: Elf,
    owned: Owned,
    /// Its name from now on.
    name: String,
}

/// Copies the missing libraries, with those that they need in turn and the runtime lacks, into the prefix,
/// and has the files that need them find the copies. A library that the builder lacks too stays missing.
pub fn bundle(
    session: &mut dyn Session,
    tree: &Tree,
    layout: &Layout,
    runtime: &Runtime,
    findings: &[Finding],
) -> Result<(Edit, Vec<Bundled>), Error> {
    let copied = copy(session, runtime, missing(findings))?;
    let folder = layout.platlib.join(FOLDER)?;
    let mut edit = Edit::default();
    for (path, entry) in tree.iter() {
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        let Some(elf) = elf(path, content) else {
            continue;
        };
        let Some(parent) = path.parent() else {
            continue;
        };
        let origin = relative(&parent, &folder);
        if let Some(changes) = changes(&elf, &copied, &origin) {
            let bytes = relink(&content.read()?, &changes);
            let bytes = bytes.map_err(|source| Error::Relink {
                path: path.to_string(),
                source,
            })?;
            edit.replaced.insert(path.clone(), bytes.into());
        }
    }
    let mut bundled = Vec::new();
    for (library, one) in &copied {
        let mut changes = changes(&one.elf, &copied, "").unwrap_or_default();
        changes.soname = Some(one.name.clone());
        let bytes = relink(&one.bytes, &changes).map_err(|source| Error::Relink {
            path: library.clone(),
            source,
        })?;
        let path = folder.join(&one.name)?;
        let node = Node::File {
            content: bytes.into(),
            executable: false,
        };
        if tree.get(&path).is_some() {
            return Err(Error::Occupied(path));
        }
        edit.added.insert(path.clone(), node.into());
        bundled.push(Bundled {
            library: library.clone(),
            path,
            package: one.owned.package.clone(),
            licence: one.owned.licence.clone(),
        });
    }
    Ok((edit, bundled))
}

/// The libraries, and all that they need in turn and the runtime lacks.
fn copy(
    session: &mut dyn Session,
    runtime: &Runtime,
    mut wanted: BTreeSet<String>,
) -> Result<BTreeMap<String, Copied>, Error> {
    let mut copied: BTreeMap<String, Copied> = BTreeMap::new();
    for round in 0..ROUNDS {
        wanted.retain(|name| !NEVER.iter().any(|never| name.starts_with(never)));
        if wanted.is_empty() {
            break;
        }
        let into = format!("prebuild/bundle/{round}");
        let answer = ask(session, &wanted, Some(&into), &round.to_string())?;
        if answer.libraries.is_empty() {
            break;
        }
        let tree = session.get(&into)?;
        let mut next = BTreeSet::new();
        for (name, owned) in answer.libraries {
            let path = RelPath::new(&name)?;
            let Some(Node::File { content, .. }) = tree.get(&path).map(|entry| &entry.node) else {
                continue;
            };
            let Some(elf) = elf(&path, content) else {
                continue;
            };
            if Some(elf.machine) != runtime.facts.machine {
                continue;
            }
            let lacks = |name: &&String| !copied.contains_key(*name) && !has(runtime, name);
            next.extend(elf.needed.iter().filter(lacks).cloned());
            let bytes = content.read()?;
            let hash = Digest::of(&bytes).hex();
            let (stem, ending) = name.split_once(".so").unwrap_or((&name, ""));
            copied.insert(
                name.clone(),
                Copied {
                    name: format!("{stem}-{}.so{ending}", &hash[..8]),
                    bytes,
                    elf,
                    owned,
                },
            );
        }
        next.retain(|name| !copied.contains_key(name));
        wanted = next;
    }
    Ok(copied)
}

/// Whether the runtime's loader finds a library by itself.
fn has(runtime: &Runtime, name: &str) -> bool {
    let loader = &runtime.facts.loader;
    let folders = loader
        .folders
        .iter()
        .map(|folder| format!("{folder}/{name}"));
    let paths = folders.chain(loader.cache.get(name).cloned());
    let mut found = paths.filter_map(|path| runtime.facts.library(&path));
    found.any(|(_, elf)| Some(elf.machine) == runtime.facts.machine)
}

/// What must change for a file to find copies that lie in the folder `origin` from its own; nothing if
/// it needs none.
fn changes(elf: &Elf, copied: &BTreeMap<String, Copied>, origin: &str) -> Option<Changes> {
    let needed: BTreeMap<String, String> = elf
        .needed
        .iter()
        .filter_map(|name| Some((name.clone(), copied.get(name)?.name.clone())))
        .collect();
    if needed.is_empty() {
        return None;
    }
    let slash = if origin.is_empty() { "" } else { "/" };
    Some(Changes {
        needed,
        soname: None,
        search: vec![format!("$ORIGIN{slash}{origin}")],
    })
}

fn elf(path: &RelPath, content: &Content) -> Option<Elf> {
    content.native(path)?.elf.clone()?.ok()
}

/// Why libraries cannot be bundled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The builder failed.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// The builder's answer is invalid.
    #[error("cannot read the builder's list of libraries")]
    Answer(#[source] serde_json::Error),
    /// A file cannot be relinked.
    #[error("cannot relink `{path}` to the copied libraries")]
    Relink {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: relink::Error,
    },
    /// A distribution contains the path of a copied library.
    #[error("a distribution contains `{0}`, the path of a copied library")]
    Occupied(RelPath),
    /// A name is not safe.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// The prefix cannot be edited.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// A file system call of this machine failed.
    #[error(transparent)]
    Fs(#[from] fs::Error),
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Runner(error) => Some(error),
            Self::Install(error) => Some(error),
            Self::Fs(error) => Some(error),
            Self::Answer(_) | Self::Relink { .. } | Self::Occupied(_) | Self::Path(_) => None,
        }
    }
}
