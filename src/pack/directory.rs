//! A folder as an artifact: made beside its name and moved there when it is whole.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tempfile::TempDir;

use super::{Error, Meter, Options, refuse_collisions};
use crate::fs;
use crate::tree::{Node, Tree};

/// A folder that is whole and does not have its name yet.
pub(super) struct Staged {
    made: TempDir,
    path: PathBuf,
    inside: bool,
}

/// Writes `tree` into a folder that will be `path`.
pub(super) fn stage(
    tree: &Tree,
    path: &Path,
    options: &Options,
    meter: &Meter<'_>,
) -> Result<Staged, Error> {
    let path = super::real(path)?;
    let (parent, _) = fs::split(&path);
    // A folder that something is mounted on cannot be replaced, nor one whose parent is another
    // user's: it is filled from inside.
    let there = fs::exists(&path).is_some();
    let beside = || fs::temp_dir(&parent, ".prebuild.");
    let (made, inside) = if there && !fs::same_device(&path, &parent)? {
        (fs::temp_dir(&path, ".prebuild.")?, true)
    } else {
        match beside() {
            Err(_) if there => (fs::temp_dir(&path, ".prebuild.")?, true),
            made => (made?, false),
        }
    };
    refuse_collisions(tree, made.path())?;
    let root = made.path().join("new");
    write(tree, &root, options.mtime, meter).map_err(|source| meter.error(&path, source))?;
    Ok(Staged { made, path, inside })
}

/// Writes files on all cores: most of the time goes into opening and closing them.
fn write(tree: &Tree, root: &Path, mtime: u64, meter: &Meter<'_>) -> io::Result<()> {
    let own = |error: fs::Error| io::Error::other(error);
    fs::create_dir(root).map_err(own)?;
    let entries = tree.in_archive_order();
    let is_dir = |node: &Node| matches!(node, Node::Dir);
    for (path, _) in entries.iter().filter(|(_, entry)| is_dir(&entry.node)) {
        fs::create_dir(&root.join(path.as_str())).map_err(own)?;
    }
    entries.par_iter().try_for_each(|(path, entry)| {
        let to = root.join(path.as_str());
        match &entry.node {
            Node::Dir => Ok(()),
            Node::Symlink { target } => fs::symlink(target, &to).map_err(own),
            Node::File {
                content,
                executable,
            } => {
                let mut file = fs::create_new(&to).map_err(own)?;
                let mut reader = content.open().map_err(own)?;
                io::copy(&mut reader, &mut file)
                    .map_err(|source| own(fs::Error::new("write", &to, source)))?;
                fs::set_mode(&to, if *executable { 0o755 } else { 0o644 }).map_err(own)?;
                fs::set_mtime(&file, &to, mtime).map_err(own)?;
                meter.advance(content.size())
            }
        }
    })?;
    // Now that nothing more is made in them, the folders, the innermost first.
    for (path, _) in entries
        .iter()
        .rev()
        .filter(|(_, entry)| is_dir(&entry.node))
    {
        finish_dir(&root.join(path.as_str()), mtime).map_err(own)?;
    }
    finish_dir(root, mtime).map_err(own)
}

fn finish_dir(path: &Path, mtime: u64) -> fs::Result<()> {
    fs::set_mode(path, 0o755)?;
    fs::set_mtime(&fs::open(path)?, path, mtime)
}

impl Staged {
    /// Gives the folder its name. What was there stays until the new one is in its place.
    pub(super) fn place(self) -> Result<(), Error> {
        let new = self.made.path().join("new");
        let old = self.made.path().join("old");
        if self.inside {
            return Ok(self.fill(&new, &old)?);
        }
        let replaced = fs::exists(&self.path).is_some();
        if replaced {
            fs::rename(&self.path, &old)?;
        }
        if let Err(error) = fs::rename(&new, &self.path) {
            if replaced {
                fs::rename(&old, &self.path)?;
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// Moves what is in the new folder into one that must stay, and what was there out of it.
    fn fill(&self, new: &Path, old: &Path) -> fs::Result<()> {
        fs::create_dir(old)?;
        let own = self.made.path().file_name();
        for name in fs::list(&self.path)? {
            if Some(name.as_os_str()) != own {
                fs::rename(&self.path.join(&name), &old.join(&name))?;
            }
        }
        for name in fs::list(new)? {
            fs::rename(&new.join(&name), &self.path.join(&name))?;
        }
        Ok(())
    }
}
