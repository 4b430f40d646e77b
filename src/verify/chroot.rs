//! A root folder as a place to run in: the artifact is written into it, `chroot` runs its Python, and
//! what was written is taken out again.
//!
//! A folder that cannot be written to is covered with an overlay, where the kernel allows one. Inside,
//! there may be no `/dev` and no `/proc`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::TempDir;

use crate::event::{Cancel, Stream};
use crate::fs;
use crate::runner::{self, Error, Exec, Identity, Runner, Session};
use crate::runtime::Resolver;
use crate::tree::{Node, Tree};

/// Runs commands in a root folder.
#[derive(Debug, Clone)]
pub struct Chroot {
    /// The folder.
    pub root: PathBuf,
    /// The interpreter in it.
    pub python: String,
    /// The `PATH` of this machine, where `chroot` and `mount` are.
    pub programs: String,
    /// Where temporary folders may be.
    pub scratch: PathBuf,
}

impl Runner for Chroot {
    fn open(&self, cancel: &Cancel) -> Result<Box<dyn Session>, Error> {
        let mut session = ChrootSession {
            place: self.clone(),
            cancel: cancel.clone(),
            identity: Identity {
                kind: "chroot".to_owned(),
                image: Some(self.root.display().to_string()),
                digest: None,
            },
            undo: Vec::new(),
            overlay: None,
        };
        if let Err(error) = fs::temp_dir(&self.root) {
            let closed = |reason: String| Error::Closed {
                root: self.root.clone(),
                reason,
            };
            let overlay = Overlay::mount(self, cancel);
            let overlay = overlay
                .map_err(|overlay| closed(format!("{error}; no overlay: {}", overlay.reason())))?;
            session.place.root.clone_from(&overlay.merged);
            session.overlay = Some(overlay);
        }
        session.enter()?;
        Ok(Box::new(session))
    }
}

struct ChrootSession {
    place: Chroot,
    cancel: Cancel,
    identity: Identity,
    /// What was written, and what was there before.
    undo: Vec<Undo>,
    overlay: Option<Overlay>,
}

enum Undo {
    Folder(PathBuf),
    File(PathBuf),
    /// A file that was moved aside.
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
}

impl ChrootSession {
    /// Sees whether its Python runs at all.
    fn enter(&mut self) -> Result<(), Error> {
        let exec = Exec::new(&self.place.python).args(["-I", "-B", "-c", ""]);
        match self.run(&exec, b"", &mut |_, _| {}) {
            Err(error @ Error::Failed { .. }) => Err(Error::NotEntered {
                root: self.place.root.clone(),
                reason: error.reason(),
            }),
            entered => entered,
        }
    }

    /// Writes a tree below a folder of the root; what is there already is moved aside.
    fn write(&mut self, inside: &str, tree: &Tree) -> Result<(), fs::Error> {
        let resolver = Resolver::new(&self.place.root);
        let mut parts = String::new();
        for part in inside.split('/').filter(|part| !part.is_empty()) {
            parts = format!("{parts}/{part}");
            self.folder(resolver.at(&parts))?;
        }
        for (path, entry) in tree.iter() {
            let to = format!("/{inside}/{path}");
            let (folder, name) = to.rsplit_once('/').unwrap_or(("", &to));
            let at = resolver.at(folder).join(name);
            match &entry.node {
                Node::Dir => self.folder(resolver.at(&to))?,
                Node::File {
                    content,
                    executable,
                } => {
                    self.make_room(&at)?;
                    let mut file = fs::create_new(&at)?;
                    self.undo.push(Undo::File(at.clone()));
                    std::io::copy(&mut content.open()?, &mut file)
                        .map_err(|source| fs::Error::new("write", &at, source))?;
                    fs::set_mode(&at, if *executable { 0o755 } else { 0o644 })?;
                }
                Node::Symlink { target } => {
                    self.make_room(&at)?;
                    fs::symlink(target, &at)?;
                    self.undo.push(Undo::File(at));
                }
            }
        }
        Ok(())
    }

    fn folder(&mut self, at: PathBuf) -> Result<(), fs::Error> {
        if fs::exists(&at).is_some_and(|found| found.is_dir()) {
            return Ok(());
        }
        fs::create_dir(&at)?;
        self.undo.push(Undo::Folder(at));
        Ok(())
    }

    fn make_room(&mut self, at: &Path) -> Result<(), fs::Error> {
        if fs::metadata(at).is_err() {
            return Ok(());
        }
        let (folder, name) = fs::split(at);
        let to = folder.join(format!(".prebuild-{}-{name}", self.undo.len()));
        fs::rename_away(at, &to)?;
        self.undo.push(Undo::Moved {
            from: at.to_path_buf(),
            to,
        });
        Ok(())
    }
}

impl Session for ChrootSession {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn python(&self) -> &str {
        &self.place.python
    }

    fn locate(&self, inside: &str) -> String {
        format!("/{inside}")
    }

    fn inherits(&self) -> bool {
        false
    }

    fn put(&mut self, inside: &str, tree: &Tree) -> Result<(), Error> {
        Ok(self.write(inside, tree)?)
    }

    fn run(
        &mut self,
        exec: &Exec,
        input: &[u8],
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<(), Error> {
        let root = self.place.root.display().to_string();
        let mut inner = Exec::new("chroot").args([root, exec.program.clone()]);
        inner.args.extend(exec.args.iter().cloned());
        inner.env.clone_from(&exec.env);
        inner.env.retain(|_, value| !value.is_empty());
        inner
            .env
            .insert("PATH".to_owned(), self.place.programs.clone());
        runner::run(&inner, &self.cancel, input, on_line)
    }

    fn get(&mut self, inside: &str) -> Result<Tree, Error> {
        let folder = Resolver::new(&self.place.root).at(&format!("/{inside}"));
        Tree::read(&folder).map_err(|source| Error::Read {
            inside: inside.to_owned(),
            source,
        })
    }
}

impl Drop for ChrootSession {
    fn drop(&mut self) {
        // What Python may have left beside what was written goes with its folder.
        for undo in self.undo.drain(..).rev() {
            let _ = match undo {
                Undo::Folder(at) | Undo::File(at) => fs::remove_all(&at),
                Undo::Moved { from, to } => fs::rename(&to, &from),
            };
        }
        if let Some(overlay) = self.overlay.take() {
            overlay.unmount(&self.place.programs);
        }
    }
}

/// A folder over a root that cannot be written to.
struct Overlay {
    merged: PathBuf,
    _folder: Arc<TempDir>,
}

impl Overlay {
    fn mount(place: &Chroot, cancel: &Cancel) -> Result<Self, Error> {
        let folder = fs::temp_dir(&place.scratch)?;
        let names = ["upper", "work", "merged"].map(|name| folder.path().join(name));
        for name in &names {
            fs::create_dir(name)?;
        }
        let [upper, work, merged] = names;
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            place.root.display(),
            upper.display(),
            work.display()
        );
        let at = merged.display().to_string();
        let mut exec = Exec::new("mount").args(["-t", "overlay", "overlay", "-o", &options, &at]);
        exec.env.insert("PATH".to_owned(), place.programs.clone());
        runner::run(&exec, cancel, b"", &mut |_, _| {})?;
        Ok(Self {
            merged,
            _folder: Arc::new(folder),
        })
    }

    fn unmount(self, programs: &str) {
        let at = self.merged.display().to_string();
        let mut exec = Exec::new("umount").args([at]);
        exec.env.insert("PATH".to_owned(), programs.to_owned());
        let _ = runner::run(&exec, &Cancel::new(), b"", &mut |_, _| {});
    }
}
