//! The directories of site-packages, scripts and other files in the prefix.
//!
//! Data, not a rule: Debian's Python looks in `dist-packages`, python.org's in `site-packages`,
//! Fedora's also in `lib64`, and pip's `--prefix` has meant each of them. What counts is where the
//! interpreter that will run the code searches; where pip happened to write does not.

use crate::diagnosis::{Diagnosis, Kind};
use crate::interpreter::Interpreter;
use crate::runtime::Python;
use crate::tree::{RelPath, UnsafePath};

/// Where things lie in the runtime.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Layout {
    /// Where the prefix will be, an absolute path such as `/usr/local`.
    pub dest: String,
    /// The folder for distributions without compiled code, relative to the prefix.
    pub purelib: RelPath,
    /// The folder for distributions with compiled code, relative to the prefix.
    pub platlib: RelPath,
    /// The interpreter that scripts name, an absolute path or `/usr/bin/env python3`.
    pub script_python: String,
}

/// What decides a layout of the interpreter that will run the code: the runtime's, or for want of one
/// the builder's.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    executable: &'a str,
    prefix: &'a str,
    site_packages: &'a [String],
    version: &'a str,
    is_runtime: bool,
}

impl<'a> From<&'a Interpreter> for Home<'a> {
    fn from(interpreter: &'a Interpreter) -> Self {
        Self {
            executable: &interpreter.executable,
            prefix: &interpreter.prefix,
            site_packages: &interpreter.site_packages,
            version: &interpreter.markers.python_version,
            is_runtime: false,
        }
    }
}

impl<'a> From<&'a Python> for Home<'a> {
    fn from(python: &'a Python) -> Self {
        Self {
            executable: &python.executable,
            prefix: &python.prefix,
            site_packages: &python.site_packages,
            version: &python.version,
            is_runtime: true,
        }
    }
}

/// Where the prefix lies if nobody says.
const DEST: &str = "/usr/local";

impl Home<'_> {
    /// Where the prefix lies: `/usr/local`, unless the runtime's Python has its own prefix elsewhere and
    /// searches nothing there.
    fn dest(&self) -> &str {
        let in_local = |folder: &String| folder.starts_with("/usr/local/");
        if self.is_runtime && !self.site_packages.iter().any(in_local) {
            self.prefix
        } else {
            DEST
        }
    }
}

impl Layout {
    /// The folders of distributions, each once.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &RelPath> {
        let platlib = (self.platlib != self.purelib).then_some(&self.platlib);
        [&self.purelib].into_iter().chain(platlib)
    }

    /// The layout for a prefix that will lie at `dest`; by default, where the runtime's Python searches.
    ///
    /// If the interpreter searches site folders under `dest`, those are used; else
    /// `lib/pythonX.Y/site-packages`, which is what a Python searches whose own prefix is `dest`.
    /// Scripts name `script_python`; by default the interpreter when it lives under `dest` or
    /// searches a folder under it, else `DEST/bin/pythonX.Y`. The runtime's is always named.
    pub fn new<'a>(
        dest: Option<&str>,
        home: impl Into<Home<'a>>,
        script_python: Option<&str>,
    ) -> Result<Self, Error> {
        let home = home.into();
        let dest = dest.unwrap_or_else(|| home.dest());
        let dest = match dest.trim_end_matches('/') {
            "" if dest.starts_with('/') => "/".to_owned(),
            trimmed if trimmed.starts_with('/') => trimmed.to_owned(),
            _ => return Err(Error::NotAbsolute(dest.to_owned())),
        };
        let inside = format!("{}/", dest.trim_end_matches('/'));
        if let Some(below) = dest.strip_prefix('/').filter(|below| !below.is_empty()) {
            RelPath::new(below)?;
        }
        let searched = home
            .site_packages
            .iter()
            .filter_map(|folder| folder.strip_prefix(&inside))
            .map(RelPath::new)
            .collect::<Result<Vec<_>, _>>()?;
        let version = home.version;
        let standard = RelPath::new(&format!("lib/python{version}/site-packages"))?;
        let in_lib64 = |path: &&RelPath| path.as_str().starts_with("lib64/");
        let first = searched.first().unwrap_or(&standard);
        let purelib = searched
            .iter()
            .find(|path| !in_lib64(path))
            .unwrap_or(first);
        let platlib = searched.iter().find(in_lib64).unwrap_or(purelib);
        let own = home.is_runtime || home.executable.starts_with(&inside) || !searched.is_empty();
        let script_python = match script_python {
            Some(python) if !python.starts_with('/') => {
                return Err(Error::ScriptPython(python.to_owned()));
            }
            Some(python) => python.to_owned(),
            None if own => home.executable.to_owned(),
            None => format!("{inside}bin/python{version}"),
        };
        // The kernel reads no more of a first line.
        if script_python.len() > 125 || script_python.contains('\n') {
            return Err(Error::ScriptPython(script_python));
        }
        Ok(Self {
            purelib: purelib.clone(),
            platlib: platlib.clone(),
            script_python,
            dest,
        })
    }
}

/// The destination cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A relative destination would be relative to what?
    #[error("the destination `{0}` is not an absolute path")]
    NotAbsolute(String),
    /// The first line of a script cannot name it.
    #[error(
        "invalid interpreter `{0}` for scripts: expected an absolute path of at most 125 bytes"
    )]
    ScriptPython(String),
    /// A folder that no prefix can have.
    #[error(transparent)]
    Path(#[from] UnsafePath),
}

impl Diagnosis for Error {
    fn kind(&self) -> Kind {
        Kind::Request
    }
}
