//! A folder as an artifact: made beside its name and moved there when it is whole.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tempfile::TempDir;

use super::{Error, Meter, Options, groups, refuse_collisions};
use crate::fs;
use crate::tree::{Content, Node, Tree};

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
    let there = fs::exists(&path).is_some();
    // A folder that something is mounted on cannot be replaced, nor one whose parent is another
    // user's: it is filled from inside.
    let mounted = || -> fs::Result<bool> {
        Ok(fs::mounts().contains(&path) || !fs::same_device(&path, &parent)?)
    };
    let (made, inside) = if there && mounted()? {
        (fs::temp_dir(&path, ".prebuild.")?, true)
    } else {
        match fs::temp_dir(&parent, ".prebuild.") {
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
                match content {
                    // The file system may let both share their bytes.
                    Content::File {
                        path, offset, size, ..
                    } => {
                        fs::copy_part(path, *offset, *size, &mut file).map_err(own)?;
                        meter.advance(*size)?;
                    }
                    content => groups::copy(content, &mut file, meter)?,
                }
                fs::set_mode(&to, if *executable { 0o755 } else { 0o644 }).map_err(own)?;
                fs::set_mtime(&file, &to, mtime).map_err(own)
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

/// Refuses a folder that something is mounted in: what is mounted would be removed with the folder.
pub(super) fn refuse_mounts(path: &Path) -> Result<(), Error> {
    let below = |mount: &PathBuf| mount != path && mount.starts_with(path);
    match fs::mounts().into_iter().find(below) {
        Some(mount) => Err(Error::Mounted {
            path: path.to_path_buf(),
            mount,
        }),
        None => Ok(()),
    }
}

impl Staged {
    /// Gives the folder its name, and what was there none, or leaves all as it was.
    pub(super) fn place(self) -> Result<(), Error> {
        // Again: much may have happened since it was checked.
        refuse_mounts(&self.path)?;
        let Err((source, stranded)) = swap(&self.renames()?) else {
            return Ok(());
        };
        if !stranded {
            return Err(source.into());
        }
        Err(Error::Stranded {
            left: self.made.keep(),
            path: self.path,
            source,
        })
    }

    /// What is to be renamed, in this order.
    fn renames(&self) -> fs::Result<Vec<Rename>> {
        let new = self.made.path().join("new");
        let old = self.made.path().join("old");
        if !self.inside {
            let away = fs::exists(&self.path).map(|_| Rename::Away(self.path.clone(), old));
            let into_place = Rename::IntoPlace(new, self.path.clone());
            return Ok(away.into_iter().chain([into_place]).collect());
        }
        fs::create_dir(&old)?;
        let mut there = fs::list(&self.path)?;
        there.retain(|name| Some(name.as_os_str()) != self.made.path().file_name());
        let away = there
            .into_iter()
            .map(|name| Rename::Away(self.path.join(&name), old.join(&name)));
        let coming = fs::list(&new)?;
        let into_place = coming
            .into_iter()
            .map(|name| Rename::IntoPlace(new.join(&name), self.path.join(&name)));
        Ok(away.chain(into_place).collect())
    }
}

/// A rename from the first path to the second one.
#[derive(Debug)]
enum Rename {
    Away(PathBuf, PathBuf),
    IntoPlace(PathBuf, PathBuf),
}

impl Rename {
    fn make(&self) -> fs::Result<()> {
        match self {
            Self::Away(from, to) => fs::rename_away(from, to),
            Self::IntoPlace(from, to) => fs::rename(from, to),
        }
    }

    fn undo(&self) -> fs::Result<()> {
        let (Self::Away(from, to) | Self::IntoPlace(from, to)) = self;
        fs::rename(to, from)
    }
}

/// Makes all these renames, or none. If one fails, says why, and whether one of those before it could
/// not be undone.
fn swap(renames: &[Rename]) -> Result<(), (fs::Error, bool)> {
    for (count, rename) in renames.iter().enumerate() {
        if let Err(error) = rename.make() {
            // As many as can be: the last ones first, for they may be in the way of others.
            let undone = renames[..count].iter().rev().map(Rename::undo);
            let stranded = undone.filter(Result::is_err).count() > 0;
            return Err((error, stranded));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the files `a`, `b` and `c`, which hold their names.
    fn folder() -> TempDir {
        let folder = fs::temp_dir(Path::new("/tmp"), "pack-test-").unwrap();
        for name in ["a", "b", "c"] {
            fs::write_new(&folder.path().join(name), name.as_bytes()).unwrap();
        }
        folder
    }

    #[test]
    fn renames_are_all_made_or_none() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let mut renames = vec![
            Rename::Away(at("a"), at("old")),
            Rename::IntoPlace(at("b"), at("a")),
            Rename::IntoPlace(at("c"), at("nowhere/c")),
        ];
        let (error, stranded) = swap(&renames).unwrap_err();
        assert_eq!(error.path(), at("nowhere/c"));
        assert!(!stranded);
        assert_eq!(fs::list(folder.path()).unwrap(), ["a", "b", "c"]);
        assert_eq!(fs::read(&at("a")).unwrap(), b"a");
        renames.pop();
        swap(&renames).unwrap();
        assert_eq!(fs::list(folder.path()).unwrap(), ["a", "c", "old"]);
        assert_eq!(fs::read(&at("a")).unwrap(), b"b");
    }

    #[test]
    fn what_cannot_be_undone_is_told() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        // The second takes the place of what the first moved: there is no way back for that.
        let renames = [
            Rename::Away(at("a"), at("old")),
            Rename::Away(at("b"), at("old")),
            Rename::IntoPlace(at("c"), at("nowhere/c")),
        ];
        let (_, stranded) = swap(&renames).unwrap_err();
        assert!(stranded);
        assert_eq!(fs::list(folder.path()).unwrap(), ["b", "c"]);
    }
}
