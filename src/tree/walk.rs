//! Reads a directory of this machine into a tree.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::fs::TempDir;
use walkdir::WalkDir;

use super::{Content, Node, RelPath, Tree, UnsafePath};
use crate::fs;

impl Tree {
    /// Reads the folder `root`: regular files, folders and symbolic links, which are kept as they
    /// are and not followed. Contents stay where they are and are opened when they are needed.
    ///
    /// # Errors
    /// A name that is not UTF-8, a file that cannot be opened, and anything that is neither file,
    /// folder nor link (a fifo, a socket, a device) is refused by its path.
    pub fn read(root: &Path) -> Result<Self, ReadError> {
        Self::read_guarded(root, None)
    }

    /// As [`read`](Self::read), for a temporary folder that must live as long as the tree.
    pub(crate) fn read_guarded(
        root: &Path,
        guard: Option<&Arc<TempDir>>,
    ) -> Result<Self, ReadError> {
        Self::walk(root, guard, &|_, _| false)
    }

    /// As [`read`](Self::read), without the folders that `skip` names; it is told of each whether
    /// it lies at the top.
    pub(crate) fn read_without(
        root: &Path,
        skip: &dyn Fn(&Path, bool) -> bool,
    ) -> Result<Self, ReadError> {
        Self::walk(root, None, skip)
    }

    fn walk(
        root: &Path,
        guard: Option<&Arc<TempDir>>,
        skip: &dyn Fn(&Path, bool) -> bool,
    ) -> Result<Self, ReadError> {
        let mut tree = Self::new();
        let entries = WalkDir::new(root).min_depth(1).sort_by_file_name();
        let entries = entries.into_iter().filter_entry(|entry| {
            !(entry.file_type().is_dir() && skip(entry.path(), entry.depth() == 1))
        });
        for found in entries {
            let found = found.map_err(|error| {
                let path = error.path().unwrap_or(root).to_path_buf();
                let source = error
                    .into_io_error()
                    .unwrap_or_else(|| io::Error::other("the directory contains itself"));
                fs::Error::new("read", path, source)
            })?;
            let below = found.path().strip_prefix(root).unwrap_or(found.path());
            let name = below.to_str().ok_or_else(|| ReadError::NotUtf8 {
                path: below.to_string_lossy().into_owned(),
            })?;
            let node = node(found.path(), name, guard)?;
            tree.insert(RelPath::new(name)?, node)
                .map_err(|occupied| ReadError::Twice(occupied.0))?;
        }
        Ok(tree)
    }
}

impl Tree {
    /// Writes everything under `root`, which is created with its parents: files with mode 0644 or
    /// 0755, folders with 0755, whatever the umask.
    pub fn write_to(&self, root: &Path) -> Result<(), fs::Error> {
        fs::create_dir_all(root)?;
        for (path, entry) in self.iter() {
            let to = root.join(path.as_str());
            match &entry.node {
                Node::Dir => {
                    fs::create_dir(&to)?;
                    fs::set_mode(&to, 0o755)?;
                }
                Node::File {
                    content,
                    executable,
                } => {
                    let mut file = fs::create_new(&to)?;
                    io::copy(&mut content.open()?, &mut file)
                        .map_err(|source| fs::Error::new("write", &to, source))?;
                    fs::set_mode(&to, if *executable { 0o755 } else { 0o644 })?;
                }
                Node::Symlink { target } => fs::symlink(target, &to)?,
            }
        }
        Ok(())
    }
}

/// What is at `path`.
fn node(path: &Path, name: &str, guard: Option<&Arc<TempDir>>) -> Result<Node, ReadError> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = fs::metadata(path)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Ok(Node::Dir);
    }
    if kind.is_symlink() {
        let target = fs::read_link(path)?;
        let target = target.to_str().ok_or_else(|| ReadError::NotUtf8 {
            path: format!("{name} -> {}", target.to_string_lossy()),
        })?;
        return Ok(Node::Symlink {
            target: target.to_owned(),
        });
    }
    if !kind.is_file() {
        return Err(ReadError::Special {
            path: name.to_owned(),
        });
    }
    // Opened once now: a file that cannot be read is told before anything is written.
    fs::open(path)?;
    Ok(Node::File {
        content: Content::File {
            path: path.to_path_buf(),
            offset: 0,
            size: metadata.len(),
            guard: guard.cloned(),
            code: None,
        },
        executable: metadata.permissions().mode() & 0o111 != 0,
    })
}

/// Why a directory or a stream cannot be read as a tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file system call failed.
    #[error(transparent)]
    Io(#[from] fs::Error),
    /// A name is not text.
    #[error("the name `{path}` is not UTF-8")]
    NotUtf8 {
        /// The path, as well as it can be shown.
        path: String,
    },
    /// A fifo, a socket or a device.
    #[error("`{path}` is neither a file, a directory nor a link")]
    Special {
        /// The path.
        path: String,
    },
    /// An entry of a stream is outside the requested directory.
    #[error("`{}` is outside the requested directory", path.escape_debug())]
    Outside {
        /// The path.
        path: String,
    },
    /// There are too many files.
    #[error("there are more than {limit} files")]
    TooMany {
        /// The limit.
        limit: u64,
    },
    /// The files are too large.
    #[error("its files have more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A path is not safe.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// The same path twice, or a file where a folder is.
    #[error("duplicate path `{0}`")]
    Twice(RelPath),
}
