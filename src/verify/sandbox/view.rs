//! The files that a command sees: the artifact over a root directory, or over a part of this machine.
//!
//! Everything is mounted read-only. What can be written to is empty and in memory.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount as mount_new, mount_bind,
    mount_bind_recursive, mount_change, mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::enter::doing;
use super::{Limits, Spec, View};
use crate::fs;
use crate::runner::Error;
use crate::runtime::{Python, Resolver};
use crate::tree::{Node, Tree};

/// The layer with the artifact, in the directory of the layers.
pub(super) const LAYER: &str = "layer";
/// Where the view is put together, beside it.
const ROOT: &str = "root";

/// Directories that are empty and can be written to.
const TEMPORARY: [&str; 4] = ["tmp", "var/tmp", "run", "dev/shm"];
/// Devices that do no harm.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Links in `/dev`, and where they lead.
const STREAMS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// What every program of this machine may need. Homes, `/var`, `/srv` and the like are none of its
/// business.
const SYSTEM: [&str; 9] = [
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/etc", "/opt",
];
/// The parts of an interpreter's prefix: the prefix itself may be somebody's home.
const PARTS: [&str; 9] = [
    "bin",
    "lib",
    "lib32",
    "lib64",
    "libexec",
    "include",
    "share",
    "ssl",
    "pyvenv.cfg",
];

/// The directory that holds what lies over a root: the artifact, and what mounts take the place of. It is
/// removed as a whole with the value, and nobody but this process ever writes to it.
#[derive(Debug)]
pub(crate) struct Layers {
    folder: fs::TempDir,
    view: View,
}

impl Layers {
    /// Writes a tree into a new layer, as `dest`. Without `walls`, nothing is mounted: the layer of a root
    /// directory is a copy of all of it, and that of this machine is the artifact alone.
    pub(crate) fn new(
        view: View,
        tree: &Tree,
        dest: &str,
        scratch: &Path,
        walls: bool,
    ) -> Result<Self, Error> {
        let folder = fs::temp_dir(scratch)?;
        let layers = Self { folder, view };
        let layer = layers.layer();
        for folder in [&layers.path().join(ROOT), &layer] {
            fs::create_dir(folder)?;
            fs::set_mode(folder, 0o755)?;
        }
        let over = match &layers.view {
            View::Root(over) if walls => over.clone(),
            View::Root(over) => {
                fs::copy_tree(over, &layer)?;
                layer.clone()
            }
            View::Machine(_) if walls => PathBuf::from("/"),
            View::Machine(_) => layer.clone(),
        };
        // A link of the root must stay one: what lies behind it is where it leads.
        let resolver = Resolver::new(&over);
        let real = |inside: &str| -> PathBuf {
            let at = resolver.at(inside);
            layer.join(at.strip_prefix(&over).unwrap_or(&at))
        };
        layers.write(tree, dest, &real)?;
        if walls || matches!(layers.view, View::Root(_)) {
            layers.prepare(&real)?;
        }
        Ok(layers)
    }

    /// The directory of the layers.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the command sees.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The layer itself.
    pub(crate) fn layer(&self) -> PathBuf {
        self.path().join(LAYER)
    }

    /// A directory that everybody may enter, with those above it. A link of the artifact in its place would
    /// lead out of the layer.
    fn make(&self, folder: &Path) -> Result<(), fs::Error> {
        let layer = self.layer();
        if folder == layer || !folder.starts_with(&layer) {
            return Ok(());
        }
        if let Some(above) = folder.parent() {
            self.make(above)?;
        }
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => fs::remove_file(folder)?,
            Err(_) => {}
        }
        fs::create_dir(folder)?;
        fs::set_mode(folder, 0o755)
    }

    fn write(
        &self,
        tree: &Tree,
        dest: &str,
        real: &dyn Fn(&str) -> PathBuf,
    ) -> Result<(), fs::Error> {
        self.make(&real(dest))?;
        for (path, entry) in tree.iter() {
            let inside = format!("{dest}/{path}");
            let (above, name) = inside.rsplit_once('/').unwrap_or(("", &inside));
            let at = real(above).join(name);
            match &entry.node {
                Node::Dir => self.make(&real(&inside))?,
                Node::File {
                    content,
                    executable,
                } => {
                    if !make_way(&at)? {
                        continue;
                    }
                    let mut file = fs::create_new(&at)?;
                    std::io::copy(&mut content.open()?, &mut file)
                        .map_err(|source| fs::Error::new("write", &at, source))?;
                    fs::set_mode(&at, if *executable { 0o755 } else { 0o644 })?;
                }
                Node::Symlink { target } => {
                    if make_way(&at)? {
                        fs::symlink(target, &at)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes what things are mounted on, and the links of this machine.
    fn prepare(&self, real: &dyn Fn(&str) -> PathBuf) -> Result<(), fs::Error> {
        let layer = self.layer();
        let devices = real("/dev");
        for name in TEMPORARY.into_iter().chain(["proc", "dev"]) {
            self.make(&real(&format!("/{name}")))?;
        }
        for name in DEVICES {
            let at = devices.join(name);
            if fs::metadata(&at).is_err() {
                fs::write_new(&at, b"")?;
                fs::set_mode(&at, 0o666)?;
            }
        }
        for (name, target) in STREAMS {
            let at = devices.join(name);
            if fs::metadata(&at).is_err() {
                fs::symlink(target, &at)?;
            }
        }
        let View::Machine(places) = &self.view else {
            return Ok(());
        };
        for place in places {
            let at = layer.join(place.strip_prefix("/").unwrap_or(place));
            if let Some(above) = at.parent() {
                self.make(above)?;
            }
            let found = fs::metadata(place)?;
            if fs::metadata(&at).is_ok() {
                // The artifact has something there, which lies over it.
            } else if found.is_symlink() {
                fs::symlink(&fs::read_link(place)?.to_string_lossy(), &at)?;
            } else if found.is_dir() {
                self.make(&at)?;
            } else {
                fs::copy(place, &at)?;
                fs::set_mode(&at, 0o644)?;
            }
        }
        Ok(())
    }
}

/// Makes room for a file or a link of the artifact. Returns whether there is room: a directory that is there
/// stays, for a link of the root may lead into it.
fn make_way(at: &Path) -> Result<bool, fs::Error> {
    match fs::metadata(at) {
        Ok(found) if found.is_dir() => Ok(false),
        Ok(_) => fs::remove_file(at).map(|()| true),
        Err(_) => Ok(true),
    }
}

/// The parts of this machine that an interpreter needs.
pub(crate) fn usable(python: &Python) -> View {
    let mut places: BTreeSet<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let above = |path: &str| Path::new(path).ancestors().nth(2).map(Path::to_path_buf);
    let mut prefixes: BTreeSet<PathBuf> = [above(&python.executable), above(&python.stdlib)]
        .into_iter()
        .flatten()
        .collect();
    prefixes.insert(PathBuf::from(&python.prefix));
    let named: Vec<PathBuf> = python
        .names
        .iter()
        .chain([&python.executable])
        .filter_map(|name| fs::canonicalize(Path::new(name)).ok())
        .collect();
    prefixes.extend(named.iter().filter_map(|path| above(path.to_str()?)));
    let real: Vec<PathBuf> = prefixes
        .iter()
        .filter_map(|prefix| fs::canonicalize(prefix).ok())
        .collect();
    prefixes.extend(real);
    for prefix in prefixes {
        places.extend(PARTS.iter().map(|part| prefix.join(part)));
    }
    places.retain(|place| fs::metadata(place).is_ok());
    // What lies in another is there with it.
    let within = |place: &PathBuf, other: &PathBuf| {
        place != other
            && place.starts_with(other)
            && fs::metadata(other).is_ok_and(|found| found.is_dir())
    };
    let outer = places
        .iter()
        .filter(|place| !places.iter().any(|other| within(place, other)));
    View::Machine(outer.cloned().collect())
}

/// Puts the view together and makes it the root of this mount namespace.
pub(super) fn mount(spec: &Spec) -> Result<(), String> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(doing("cannot part mounts from those of this machine"))?;
    // From here on, names are relative to the layers, whatever characters their own path has.
    chdir(&spec.layers).map_err(doing("cannot enter the directory of the layers"))?;
    let root = Path::new(ROOT);
    match &spec.view {
        View::Root(over) => overlay(Path::new(LAYER), over, root)?,
        View::Machine(places) => {
            bind(Path::new(LAYER), root)?;
            for place in places {
                show(place)?;
            }
        }
    }
    for name in TEMPORARY {
        temporary(&root.join(name))?;
    }
    for name in DEVICES {
        let (from, to) = (Path::new("/dev").join(name), root.join("dev").join(name));
        mount_bind(&from, &to).map_err(doing(&format!("cannot show `{}`", from.display())))?;
    }
    // Where a container hides a part of its `/proc`, the kernel allows no user a whole one.
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let _ = mount_new("proc", root.join("proc"), "proc", flags, None);
    chdir(root).map_err(doing("cannot enter the new root"))?;
    pivot_root(".", ".").map_err(doing("cannot change the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(doing("cannot let go of the old root"))?;
    chdir("/").map_err(doing("cannot enter the new root"))
}

/// Shows a directory of this machine where it is, below what the artifact has there.
fn show(place: &Path) -> Result<(), String> {
    let relative = place.strip_prefix("/").unwrap_or(place);
    let (layer, at) = (
        Path::new(LAYER).join(relative),
        Path::new(ROOT).join(relative),
    );
    let is_folder = |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_dir());
    if !is_folder(place) || !is_folder(&layer) {
        // A link or a file, which the layer has.
        return Ok(());
    }
    match fs::list(&layer) {
        Ok(names) if !names.is_empty() => overlay(&layer, place, &at),
        _ => bind(place, &at),
    }
}

/// Mounts `layer` over `over`, so that nothing can be written.
fn overlay(layer: &Path, over: &Path, at: &Path) -> Result<(), String> {
    let lower = format!("lowerdir={}:{}", escaped(layer)?, escaped(over)?);
    let lower = CString::new(lower).map_err(doing("a path holds a NUL byte"))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_new("overlay", at, "overlay", flags, &*lower).map_err(doing(&format!(
        "cannot lay the artifact over `{}`",
        over.display()
    )))
}

/// A path as an option of an overlay: some characters part options and layers.
fn escaped(path: &Path) -> Result<String, String> {
    let text = path
        .to_str()
        .ok_or_else(|| format!("`{}` is not UTF-8", path.display()))?;
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '\\' | ':' | ',') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    Ok(escaped)
}

/// Shows a directory with all that is mounted in it, read-only.
fn bind(from: &Path, to: &Path) -> Result<(), String> {
    let failed = format!("cannot show `{}`", from.display());
    mount_bind_recursive(from, to).map_err(doing(&failed))?;
    let here = fs::canonicalize(to).map_err(doing(&failed))?;
    for mounted in fs::mounts() {
        if mounted.starts_with(&here) {
            read_only(&mounted).map_err(doing(&failed))?;
        }
    }
    Ok(())
}

fn read_only(at: &Path) -> rustix::io::Result<()> {
    let mut flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    // The kernel takes it for an attempt to be allowed more if this is left out.
    if statvfs(at)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        flags |= MountFlags::NOEXEC;
    }
    mount_remount(at, flags, "")
}

/// Mounts an empty directory in memory.
fn temporary(at: &Path) -> Result<(), String> {
    let options = format!("mode=1777,size={}", Limits::TEMPORARY);
    let options = CString::new(options).map_err(doing("a size"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount_new("tmpfs", at, "tmpfs", flags, &*options)
        .map_err(doing(&format!("cannot mount on `{}`", at.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::RelPath;

    /// Neither a link of the artifact nor one of the root makes prebuild write elsewhere.
    #[test]
    fn links_lead_nowhere() {
        for walls in [true, false] {
            let folders = [(); 3].map(|()| fs::temp_dir(Path::new("/tmp")).unwrap());
            let [outside, root, scratch] = &folders;
            let target = outside.path().to_str().unwrap();
            for name in ["dev", "var", "lib"] {
                fs::symlink(target, &root.path().join(name)).unwrap();
            }
            // Inside of the root, the links lead to a directory of the same name.
            let same = root.path().join(target.trim_start_matches('/'));
            fs::create_dir_all(&same).unwrap();
            let mut tree = Tree::new();
            for name in ["proc", "tmp", "run"] {
                let target = target.to_owned();
                let path = RelPath::new(name).unwrap();
                tree.insert(path, Node::Symlink { target }).unwrap();
            }
            let node = Node::File {
                content: b"x".to_vec().into(),
                executable: false,
            };
            tree.insert(RelPath::new("lib/x").unwrap(), node).unwrap();
            let view = View::Root(root.path().to_path_buf());
            let layers = Layers::new(view, &tree, "/", scratch.path(), walls).unwrap();
            let inside = layers.layer().join(target.trim_start_matches('/'));
            assert_eq!(fs::read(&inside.join("x")).unwrap(), b"x");
            assert!(fs::metadata(&inside.join("null")).unwrap().is_file());
            assert!(fs::metadata(&layers.layer().join("tmp")).unwrap().is_dir());
            drop(layers);
            assert_eq!(fs::list(outside.path()).unwrap().len(), 0);
            assert_eq!(fs::list(scratch.path()).unwrap().len(), 0);
            assert_eq!(fs::list(root.path()).unwrap(), ["dev", "lib", "tmp", "var"]);
        }
    }

    #[test]
    fn paths_are_escaped_in_options() {
        let escaped = escaped(Path::new(r"/a:b,c\d")).unwrap();
        assert_eq!(escaped, r"/a\:b\,c\\d");
    }
}
