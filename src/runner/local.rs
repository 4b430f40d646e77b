//! This machine as a builder.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::TempDir;

use super::{Error, Exec, Identity, Runner, Session, process, variables};
use crate::event::{Cancel, Stream};
use crate::fs;
use crate::tree::Tree;

/// Where distributions keep what is installed.
const PACKAGES: [&str; 4] = [
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/pacman/local",
];

/// Runs commands on this machine, in a temporary folder.
#[derive(Debug, Clone)]
pub struct Local {
    python: String,
    scratch: PathBuf,
    /// What any command may see.
    env: BTreeMap<String, String>,
    /// What builds see besides.
    tools: BTreeMap<String, String>,
}

impl Local {
    /// Uses the interpreter `python`, a path or a name on the `PATH` of `env`; makes its folder in
    /// `scratch`; gives its commands those variables of `env` that any program needs.
    #[must_use]
    pub fn new(
        python: impl Into<String>,
        scratch: impl Into<PathBuf>,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            python: python.into(),
            scratch: scratch.into(),
            tools: variables::tools(&env),
            env: variables::plain(env),
        }
    }

    /// The program by its path: processes are started with a `PATH` that is a value.
    fn find(&self) -> Result<String, Error> {
        if self.python.contains('/') {
            return match fs::exists(Path::new(&self.python)) {
                Some(found) if found.is_file() => Ok(self.python.clone()),
                _ => Err(self.no_python()),
            };
        }
        let path = self.env.get("PATH").map_or("", String::as_str);
        path.split(':')
            .filter(|folder| !folder.is_empty())
            .map(|folder| Path::new(folder).join(&self.python))
            .find(|program| fs::is_executable(program))
            .and_then(|program| program.to_str().map(str::to_owned))
            .ok_or_else(|| self.no_python())
    }

    fn no_python(&self) -> Error {
        Error::NoPython {
            python: self.python.clone(),
            place: "this machine".to_owned(),
        }
    }
}

impl Runner for Local {
    fn open(&self, cancel: &Cancel) -> Result<Box<dyn Session>, Error> {
        Ok(Box::new(LocalSession {
            python: self.find()?,
            // A command may outlive a process that is killed, and go on writing there.
            root: Arc::new(fs::temp_dir(&self.scratch)?.share()),
            env: self.env.clone(),
            tools: self.tools.clone(),
            cancel: cancel.clone(),
            identity: Identity {
                kind: "local".to_owned(),
                image: None,
                digest: None,
            },
        }))
    }
}

struct LocalSession {
    python: String,
    root: Arc<TempDir>,
    env: BTreeMap<String, String>,
    tools: BTreeMap<String, String>,
    cancel: Cancel,
    identity: Identity,
}

/// What an interpreter and the kernel are at this moment; `None` for a script, such as a version
/// manager's shim, which may start any interpreter.
fn state(python: &str) -> Option<String> {
    let path = fs::canonicalize(Path::new(python)).ok()?;
    let mut start = [0; 4];
    fs::open(&path).ok()?.read_exact(&mut start).ok()?;
    if &start != b"\x7fELF" {
        return None;
    }
    let stamp = fs::Stamp::of(&path).ok()?;
    let system = rustix::system::uname();
    Some(format!(
        "{python} {} {stamp:?} {:?} {:?} {:?}",
        path.display(),
        system.release(),
        system.version(),
        system.machine(),
    ))
}

impl Session for LocalSession {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn python(&self) -> &str {
        &self.python
    }

    fn locate(&self, inside: &str) -> String {
        self.root.path().join(inside).to_string_lossy().into_owned()
    }

    fn inherits(&self) -> bool {
        true
    }

    fn decides(&self) -> Option<String> {
        Some(format!("{} {:?}", state(&self.python)?, self.env))
    }

    fn builds(&self, executable: &str) -> Option<String> {
        // Compilers, headers and libraries come and go with packages.
        let packages = PACKAGES.map(|path| fs::Stamp::of(Path::new(path)).ok());
        let state = state(executable)?;
        let (env, tools) = (&self.env, &self.tools);
        Some(format!("{state} {packages:?} {env:?} {tools:?}"))
    }

    fn put(&mut self, inside: &str, tree: &Tree) -> Result<(), Error> {
        Ok(tree.write_to(&self.root.path().join(inside))?)
    }

    fn run(
        &mut self,
        exec: &Exec,
        input: &[u8],
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<(), Error> {
        let mut whole = exec.clone();
        whole.env = self.env.clone();
        whole.env.extend(exec.env.clone());
        // What was taken away with an empty value is not there at all.
        whole.env.retain(|_, value| !value.is_empty());
        process::run(&whole, &self.cancel, input, on_line)
    }

    fn get(&mut self, inside: &str) -> Result<Tree, Error> {
        let folder = self.root.path().join(inside);
        Tree::read_guarded(&folder, Some(&self.root)).map_err(|source| Error::Read {
            inside: inside.to_owned(),
            source,
        })
    }
}
