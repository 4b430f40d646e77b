//! File systems for tests that need one of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip;

/// A mount, undone with the value.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A file system of `size` bytes, in memory; `None` where this user cannot mount: the test is [skipped](skip).
    pub(crate) fn tmpfs(at: &Path, size: u64) -> Option<Self> {
        let options = format!("size={size}");
        Self::new(&["-t", "tmpfs", "-o", &options, "tmpfs"], at)
    }

    /// The folder or file `from` at another place too.
    pub(crate) fn bind(from: &Path, at: &Path) -> Option<Self> {
        Self::new(&["--bind", from.to_str().unwrap()], at)
    }

    /// Takes the right to write from everyone.
    pub(crate) fn read_only(&self) {
        let done = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .status();
        assert!(done.unwrap().success());
    }

    fn new(args: &[&str], at: &Path) -> Option<Self> {
        let done = Command::new("mount").args(args).arg(at).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_path_buf()));
        }
        skip("this user cannot mount a file system");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
