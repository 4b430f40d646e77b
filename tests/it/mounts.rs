//! Folders as outputs where something is mounted on them, in them, or stands in the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use prebuild::error::{Diagnosis as _, Kind};
use prebuild::event::Cancel;
use prebuild::pack::{self, Error, Format, Options, Output};
use prebuild::tree::Tree;
use tempfile::TempDir;

use crate::support::mount::Mount;
use crate::support::sandbox::names;
use crate::support::skip;

/// A folder with a tree to pack in it and a target with `old/file` and `kept`.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            ("tree/a/new", "new"),
            ("tree/old", "new"),
            ("tree/z", "new"),
        ] {
            write(&desk.at(name), text);
        }
        fs::create_dir(desk.target()).unwrap();
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.at("target")
    }

    /// Puts something into the target.
    fn fill(&self) {
        write(&self.target().join("kept"), "old");
        write(&self.target().join("old/file"), "old");
    }

    fn pack(&self, force: bool) -> Result<(), Error> {
        let output = Output::new(self.target(), Format::Directory);
        let options = Options {
            force,
            ..Options::default()
        };
        let tree = Tree::read(&self.at("tree")).unwrap();
        pack::pack(&tree, &[output], &options, None, &|_| {}, &Cancel::new()).map(drop)
    }

    /// The target is the tree, and nothing is left of what was there, nor of the work.
    fn is_packed(&self) {
        assert_eq!(names(&self.target()), ["a", "old", "z"]);
        assert_eq!(
            fs::read_to_string(self.target().join("a/new")).unwrap(),
            "new"
        );
        assert_eq!(names(self.0.path()), ["target", "tree"]);
    }

    /// The target is what it was.
    fn is_as_it_was(&self) {
        assert_eq!(
            fs::read_to_string(self.target().join("kept")).unwrap(),
            "old"
        );
        assert_eq!(
            fs::read_to_string(self.target().join("old/file")).unwrap(),
            "old"
        );
        let left = |folder: &Path| {
            names(folder)
                .iter()
                .any(|name| name.starts_with(".prebuild"))
        };
        assert!(!left(&self.target()) && !left(self.0.path()));
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The message of an error and of its causes.
fn said(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |one| one.source());
    causes.map(|one| format!("{one}\n")).collect()
}

#[test]
fn a_file_system_is_filled_from_inside() {
    let desk = Desk::new();
    let Some(_mount) = Mount::tmpfs(&desk.target(), 1 << 20) else {
        return;
    };
    desk.pack(false).unwrap();
    desk.is_packed();
    assert!(matches!(desk.pack(false), Err(Error::NotEmpty(_))));
    write(&desk.target().join("kept"), "old");
    desk.pack(true).unwrap();
    desk.is_packed();
}

#[test]
fn a_bind_mount_of_the_same_file_system_is_filled_from_inside() {
    let desk = Desk::new();
    fs::create_dir(desk.at("real")).unwrap();
    let Some(mount) = Mount::bind(&desk.at("real"), &desk.target()) else {
        return;
    };
    desk.fill();
    desk.pack(true).unwrap();
    drop(mount);
    fs::remove_dir(desk.target()).unwrap();
    fs::rename(desk.at("real"), desk.target()).unwrap();
    desk.is_packed();
}

#[test]
fn what_is_mounted_in_a_folder_is_not_removed_with_it() {
    for above in ["", "old"] {
        let desk = Desk::new();
        desk.fill();
        write(&desk.at("data/precious"), "precious");
        let at = desk.target().join(above).join("a b");
        fs::create_dir(&at).unwrap();
        let Some(_mount) = Mount::bind(&desk.at("data"), &at) else {
            return;
        };
        let refused = desk.pack(true).unwrap_err();
        assert!(
            said(&refused).contains(&at.display().to_string()),
            "{refused}"
        );
        assert!(refused.kind() == Kind::Request && refused.hint().unwrap().contains("unmount"));
        desk.is_as_it_was();
        assert_eq!(fs::read_to_string(at.join("precious")).unwrap(), "precious");
    }
}

/// The same where the target is filled from inside, and what is mounted is one file.
#[test]
fn what_is_mounted_in_a_file_system_is_not_removed() {
    let desk = Desk::new();
    let Some(_mount) = Mount::tmpfs(&desk.target(), 1 << 20) else {
        return;
    };
    desk.fill();
    write(&desk.at("precious"), "precious");
    let at = desk.target().join("middle");
    fs::write(&at, "").unwrap();
    let _file = Mount::bind(&desk.at("precious"), &at).unwrap();
    let refused = desk.pack(true).unwrap_err();
    assert!(
        said(&refused).contains(&at.display().to_string()),
        "{refused}"
    );
    desk.is_as_it_was();
    assert_eq!(fs::read_to_string(&at).unwrap(), "precious");
}

/// A build that was killed left a directory, and something is mounted in it.
#[test]
fn what_is_mounted_in_a_leftover_is_not_removed_with_it() {
    let desk = Desk::new();
    let left = desk.at(".prebuild.abcdefghijkl");
    write(&desk.at(".prebuild.abcdefghijkl.lock"), "");
    write(&left.join("file"), "");
    write(&desk.at("data/precious"), "precious");
    fs::create_dir(left.join("mounted")).unwrap();
    let Some(mount) = Mount::bind(&desk.at("data"), &left.join("mounted")) else {
        return;
    };
    desk.pack(true).unwrap();
    assert_eq!(names(&left), ["file", "mounted"]);
    drop(mount);
    desk.pack(true).unwrap();
    assert!(!left.exists());
    assert_eq!(names(&desk.at("data")), ["precious"]);
}

/// A file that even root cannot move, after others were.
#[test]
fn what_was_moved_out_is_moved_back() {
    let desk = Desk::new();
    let Some(_mount) = Mount::tmpfs(&desk.target(), 1 << 20) else {
        return;
    };
    desk.fill();
    let fixed = desk.target().join("middle");
    fs::write(&fixed, "fixed").unwrap();
    let attribute = |change: &str| {
        let done = Command::new("chattr").arg(change).arg(&fixed).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !attribute("+i") {
        return skip("no file can be made immutable here");
    }
    let refused = desk.pack(true).unwrap_err();
    assert!(attribute("-i"));
    assert!(
        said(&refused).contains(&fixed.display().to_string()),
        "{refused}"
    );
    assert_eq!(names(&desk.target()), ["kept", "middle", "old"]);
    desk.is_as_it_was();
}

#[test]
fn a_file_system_that_is_too_small_keeps_what_it_has() {
    let desk = Desk::new();
    let Some(_mount) = Mount::tmpfs(&desk.target(), 1 << 20) else {
        return;
    };
    desk.fill();
    write(&desk.at("tree/large"), &"x".repeat(2 << 20));
    let failed = desk.pack(true).unwrap_err();
    assert!(said(&failed).contains("No space left"), "{failed}");
    desk.is_as_it_was();
}

#[test]
fn a_read_only_file_system_is_refused() {
    let desk = Desk::new();
    let Some(mount) = Mount::tmpfs(&desk.target(), 1 << 20) else {
        return;
    };
    desk.fill();
    mount.read_only();
    let failed = desk.pack(true).unwrap_err();
    assert!(said(&failed).contains("Read-only"), "{failed}");
    desk.is_as_it_was();
}
