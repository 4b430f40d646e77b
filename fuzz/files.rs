//! Inputs of several files, and a directory in memory for them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// What stands between the files of an input.
pub const BETWEEN: &[u8] = b"\n%%\n";

/// A directory for this process; `TMPDIR` decides where.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    DIRECTORY
        .get_or_init(|| TempDir::new().expect("there is a directory for temporary files"))
        .path()
}

/// Writes the parts of an input to files of these names, and removes those for which there is no part.
pub fn spread(input: &[u8], names: &[&str]) -> Vec<PathBuf> {
    let mut rest = Some(input);
    let write = |name: &&str| {
        let path = directory().join(name);
        let Some(all) = rest else {
            let _ = std::fs::remove_file(&path);
            return path;
        };
        let end = all.windows(BETWEEN.len()).position(|here| here == BETWEEN);
        let part = &all[..end.unwrap_or(all.len())];
        rest = end.map(|end| &all[end + BETWEEN.len()..]);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("the directory can be made");
        }
        std::fs::write(&path, part).expect("the file can be written");
        path
    };
    names.iter().map(write).collect()
}
