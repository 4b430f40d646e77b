//! Into a tree: wheels by the binary distribution format ([`install_wheels`]), or the prefix that
//! pip left in the builder ([`install_prefix`]). Both promise the same tree.

use std::io::Read as _;

use crate::diagnosis::Diagnosis;
use crate::digest::Digest;
use crate::fs;
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::piece::Piece;
use crate::runner;
use crate::tree::{Content, Entry, Node, RelPath, Tree, UnsafePath};
use crate::wheel;
use crate::wheel::record::{self, Row};

mod bytecode;
mod edit;
mod prefix;
mod relocate;
mod scripts;
mod wheels;
mod wrappers;

pub use bytecode::{bytecode, compile};
pub use edit::Edit;
pub use prefix::{describe, install_prefix};
pub use wheels::install_wheels;

pub(crate) use relocate::relative;

/// Who puts distributions into the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Installer {
    /// prebuild: pip resolves and builds, wheels are installed here.
    #[default]
    Wheel,
    /// pip, in the builder: the reference.
    Pip,
}

/// A prefix, ready for the runtime.
#[derive(Debug)]
pub struct Installed {
    /// Everything in it.
    pub tree: Tree,
    /// The distributions in it, by name.
    pub pieces: Vec<Piece>,
}

/// Why the prefix cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The builder failed.
    #[error(transparent)]
    Runner(#[from] runner::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] fs::Error),
    /// A path is not safe.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// Two different files have the same path in the runtime.
    #[error("two different files have the path `{0}` in the runtime")]
    Merge(RelPath),
    /// A link that leads out of the prefix, or in a circle.
    #[error("the link `{path}` -> `{target}` {problem}")]
    Link {
        /// The link.
        path: String,
        /// The target of the link.
        target: String,
        /// The problem.
        problem: &'static str,
    },
    /// A wheel cannot be installed.
    #[error(transparent)]
    Wheel(#[from] wheel::Error),
    /// Two wheels are of the same distribution.
    #[error("two wheels of the distribution `{0}`")]
    Again(String),
    /// A distribution has a file where another one needs a directory.
    #[error("{owner} contains the file `{file}`, and {other} contains `{below}` below it")]
    Below {
        /// The file.
        file: RelPath,
        /// The distribution that contains it.
        owner: String,
        /// The path below it.
        below: RelPath,
        /// The distribution that contains that.
        other: String,
    },
    /// An edit of a file that the prefix does not hold, or an addition where there is one.
    #[error("cannot edit `{path}`: {problem}")]
    Edit {
        /// The path that the edit names.
        path: RelPath,
        /// The problem.
        problem: &'static str,
    },
    /// A distribution whose metadata does not say what it is.
    #[error("`{path}` does not name a distribution and its version")]
    Metadata {
        /// The metadata file.
        path: RelPath,
    },
}

impl Diagnosis for Error {
    fn wrapped(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Runner(error) => Some(error),
            Self::Fs(error) => Some(error),
            Self::Wheel(error) => Some(error),
            _ => None,
        }
    }
}

/// The script with the runtime's interpreter in its first line, if it lies where scripts do and
/// named the builder's.
fn rewritten(
    path: &RelPath,
    content: &Content,
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<Option<Vec<u8>>, fs::Error> {
    if !path.as_str().starts_with("bin/") || head(content, 2)? != b"#!" {
        return Ok(None);
    }
    let python = &layout.script_python;
    Ok(scripts::rewrite(
        &content.read()?,
        &interpreter.interpreters,
        python,
    ))
}

/// The first bytes of a file, as many as there are up to `count`.
fn head(content: &Content, count: u64) -> Result<Vec<u8>, fs::Error> {
    let mut bytes = Vec::new();
    content
        .open()?
        .take(count)
        .read_to_end(&mut bytes)
        .map_err(|source| fs::Error::new("read", content.path(), source))?;
    Ok(bytes)
}

/// Whether a `direct_url.json` names a path of the builder, or cannot be read and so may name one.
///
/// <https://packaging.python.org/en/latest/specifications/direct-url/>
fn is_local(direct_url: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(direct_url)
        .ok()
        .and_then(|json| json.get("url")?.as_str().map(str::to_owned))
        .is_none_or(|url| url.starts_with("file:"))
}

/// The text of a `RECORD` that lies at `own`, whose paths are relative to `base`: H18.
fn write_record(
    own: &RelPath,
    base: &RelPath,
    files: impl IntoIterator<Item = (RelPath, Option<(Digest, u64)>)>,
) -> Vec<u8> {
    let rows = files
        .into_iter()
        .map(|(path, file)| Row {
            file: file.filter(|_| path != *own),
            path: relocate::relative(base, &path),
        })
        .collect();
    record::write(rows).into_bytes()
}

fn set_content(tree: &mut Tree, path: &RelPath, new: impl Into<Content>) {
    if let Some(Entry {
        node: Node::File { content, .. },
        ..
    }) = tree.get_mut(path)
    {
        *content = new.into();
    }
}
