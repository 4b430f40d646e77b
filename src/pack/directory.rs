//! A folder as an artifact: made beside its name and moved there when it is whole.

use std::io;
use std::path::{Path, PathBuf};

use super::staged::Stage;
use super::{Error, Meter, Options, groups, refuse_collisions};
use crate::fs::replace::{self, COMING, LEAVING, NEW, OLD, Placed};
use crate::fs::{self, TempDir};
use crate::tree::{Content, Node, Tree};
use rayon::prelude::*;

/// A folder that is whole and does not have its name yet.
#[derive(Debug)]
pub(super) struct Staged {
    made: TempDir,
    path: PathBuf,
    /// Whether the folder stays, and what is in it is replaced.
    inside: bool,
    /// How it got its name.
    placed: Option<Placed>,
    /// What was renamed in it.
    done: Vec<Rename>,
}

/// Writes `tree` into a folder that will be `path`.
pub(super) fn stage(
    tree: &Tree,
    path: &Path,
    options: &Options,
    meter: &Meter<'_>,
) -> Result<Staged, Error> {
    let path = super::real(path)?;
    let (made, inside) = beside(&path)?;
    refuse_collisions(tree, made.path())?;
    let root = made.path().join(NEW);
    write(tree, &root, options.mtime, meter).map_err(|source| meter.error(&path, source))?;
    Ok(Staged {
        made,
        path,
        inside,
        placed: None,
        done: Vec::new(),
    })
}

/// A new directory from which a folder can get this name, and whether that is inside of the folder.
///
/// A folder that something is mounted on cannot be replaced, nor one whose parent is another user's: it is
/// filled from inside. Any other folder is not written to before it is replaced.
pub(super) fn beside(path: &Path) -> fs::Result<(TempDir, bool)> {
    let (parent, _) = fs::split(path);
    let there = fs::exists(path).is_some();
    if there && (fs::mounts().iter().any(|mount| mount == path) || !fs::same_device(path, &parent)?)
    {
        return Ok((fs::hidden_dir(path)?, true));
    }
    match fs::hidden_dir(&parent) {
        Err(_) if there => Ok((fs::hidden_dir(path)?, true)),
        made => Ok((made?, false)),
    }
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

impl Stage for Staged {
    fn place(&mut self) -> Result<(), Error> {
        // Again: much may have happened since it was checked.
        refuse_mounts(&self.path)?;
        if !self.inside {
            let placed = replace::place(&self.made, &self.path);
            let stranded = fs::metadata(&self.made.path().join(OLD)).is_ok();
            self.placed = Some(placed.map_err(|source| self.failed(source, stranded))?);
            return Ok(());
        }
        let renames = self.renames()?;
        swap(&renames).map_err(|(source, stranded)| self.failed(source, stranded))?;
        self.done = renames;
        Ok(())
    }

    fn take_back(mut self: Box<Self>) -> Result<(), Error> {
        let undone = match self.placed {
            Some(placed) => replace::take_back(&self.made, &self.path, placed),
            None => undo(&self.done).map_or(Ok(()), Err),
        };
        undone.map_err(|source| Error::NotRestored {
            left: self.made.keep(),
            path: self.path,
            source,
        })
    }
}

impl Staged {
    fn failed(&mut self, source: fs::Error, stranded: bool) -> Error {
        if !stranded {
            return source.into();
        }
        Error::Stranded {
            left: self.made.keep(),
            path: self.path.clone(),
            source,
        }
    }

    /// What is to be renamed to replace what is in the folder, in this order.
    fn renames(&self) -> fs::Result<Vec<Rename>> {
        let [new, old, leaving, coming] =
            [NEW, OLD, LEAVING, COMING].map(|name| self.made.path().join(name));
        fs::create_dir(&old)?;
        fs::write_new(&leaving, b"")?;
        let mut there = fs::list(&self.path)?;
        there.retain(|name| !self.made.is_named(name));
        let away = there
            .into_iter()
            .map(|name| Rename::Away(self.path.join(&name), old.join(&name)));
        // Which of the two a killed process was at is told by this name.
        let turn = Rename::IntoPlace(leaving, coming);
        let into_place = fs::list(&new)?
            .into_iter()
            .map(|name| Rename::IntoPlace(new.join(&name), self.path.join(&name)));
        Ok(away.chain([turn]).chain(into_place).collect())
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
            return Err((error, undo(&renames[..count]).is_some()));
        }
    }
    Ok(())
}

/// Undoes as many as can be, the last ones first, for they may be in the way of others; returns one of
/// the errors.
fn undo(renames: &[Rename]) -> Option<fs::Error> {
    let mut failed = None;
    for rename in renames.iter().rev() {
        if let Err(error) = rename.undo() {
            failed = Some(error);
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the files `a`, `b` and `c`, which hold their names.
    fn folder() -> TempDir {
        let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
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

    /// What a process leaves that is killed after any of its steps becomes the old folder or the new
    /// one, and nothing else is left.
    #[test]
    fn a_folder_is_whole_whenever_its_process_is_killed() {
        let mut turns = [0, 0];
        for killed_after in 0..=7 {
            let above = fs::temp_dir(Path::new("/tmp")).unwrap();
            let target = above.path().join("target");
            fs::create_dir(&target).unwrap();
            for name in ["a", "b", "kept"] {
                fs::write_new(&target.join(name), b"old").unwrap();
            }
            let made = fs::temp_dir(&target).unwrap();
            let new = made.path().join(NEW);
            fs::create_dir(&new).unwrap();
            for name in ["a", "c", "d"] {
                fs::write_new(&new.join(name), b"new").unwrap();
            }
            let staged = Staged {
                made,
                path: target.clone(),
                inside: true,
                placed: None,
                done: Vec::new(),
            };
            let renames = staged.renames().unwrap();
            assert_eq!(renames.len(), 7);
            for rename in &renames[..killed_after] {
                rename.make().unwrap();
            }
            // In use, it is nobody's to remove.
            fs::sweep(&target);
            assert!(fs::metadata(staged.made.path()).is_ok());
            staged.made.kill();
            fs::sweep(&target);
            let is_new = killed_after >= 4;
            let (names, text) = if is_new {
                (["a", "c", "d"], "new")
            } else {
                (["a", "b", "kept"], "old")
            };
            assert_eq!(fs::list(&target).unwrap(), names, "{killed_after}");
            for name in names {
                assert_eq!(fs::read(&target.join(name)).unwrap(), text.as_bytes());
            }
            turns[usize::from(is_new)] += 1;
        }
        assert_eq!(turns, [4, 4]);
    }
}
