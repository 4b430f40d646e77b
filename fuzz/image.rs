//! Streams of images: what is unpacked lies in its directory and takes nothing from elsewhere; and of what
//! two readers take, both have the same.

#![no_main]

#[allow(dead_code, reason = "each target takes what it needs")]
mod files;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use prebuild::runner::{read_tar, unpack};
use prebuild::tree::{Node, Tree};
use tempfile::TempDir;

/// The contents of a file beside the directory, which no stream has by chance.
const SECRET: &str = "wh4t-l135-b351d3";

fuzz_target!(|stream: &[u8]| {
    let mut parts = stream.windows(SECRET.len());
    if parts.any(|part| part == SECRET.as_bytes()) {
        return;
    }
    let outside = files::directory().join("outside");
    let secret = outside.join("secret");
    fs::create_dir_all(&outside).expect("it can be made");
    fs::write(&secret, SECRET).expect("it can be written");
    let root = files::directory().join("root");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir(&root).expect("it can be made");

    let unpacked = unpack(stream, &root);
    assert_eq!(fs::read(&secret).expect("it is there"), SECRET.as_bytes());
    assert_eq!(fs::metadata(&secret).expect("it is there").nlink(), 1);
    for (directory, count) in [(&outside, 1), (&files::directory().to_owned(), 2)] {
        let names = fs::read_dir(directory).expect("it is there");
        assert_eq!(names.count(), count, "{} has changed", directory.display());
    }
    let mut found = Found::default();
    found.add(&root);
    assert!(found.bytes <= stream.len() as u64, "{} bytes", found.bytes);
    assert!(found.names <= stream.len() as u64, "{} names", found.names);

    let spool = TempDir::new_in(files::directory()).expect("it can be made");
    let spool = Arc::new(spool.into());
    if let (Ok(tree), Ok(())) = (read_tar(stream, u64::MAX, &spool), unpacked) {
        agree(&tree, &root);
    }
});

// Checksums are repaired, else no change would get past them.
fuzz_mutator!(
    |data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
        let size = fuzzer_mutate(data, size, max_size);
        let mut at = 0;
        while let Some(header) = data[..size].get_mut(at..at + 512) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let digits = header[124..136]
                .iter()
                .filter(|byte| (b'0'..=b'7').contains(byte));
            let length = digits.fold(0_usize, |sum, digit| {
                sum.saturating_mul(8)
                    .saturating_add(usize::from(digit - b'0'))
            });
            at = at
                .saturating_add(512)
                .saturating_add(length.div_ceil(512).saturating_mul(512));
        }
        size
    }
);

/// What lies in a directory.
#[derive(Default)]
struct Found {
    bytes: u64,
    names: u64,
}

impl Found {
    fn add(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).expect("it is there") {
            let path = entry.expect("it is there").path();
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            self.names += 1;
            if metadata.is_dir() {
                self.add(&path);
            } else if metadata.is_file() {
                // A file with two names is there once.
                self.bytes += metadata.len() / metadata.nlink();
                let bytes = fs::read(&path).expect("it is readable");
                assert!(
                    bytes != SECRET.as_bytes(),
                    "{} is from outside",
                    path.display()
                );
            } else {
                assert!(metadata.is_symlink(), "{} is special", path.display());
            }
        }
    }
}

/// That what is in a tree and in a directory is the same. Files that no runtime needs are in the tree alone.
fn agree(tree: &Tree, root: &Path) {
    let root = root.canonicalize().expect("it is there");
    for (path, entry) in tree.iter() {
        let Node::File {
            content,
            executable,
        } = &entry.node
        else {
            continue;
        };
        let at = root.join(path.as_str());
        // What lies below a link is left out.
        let parent = at.parent().expect("it is below the root");
        if parent.canonicalize().ok().as_deref() != Some(parent) {
            continue;
        }
        let Ok(metadata) = fs::symlink_metadata(&at) else {
            continue;
        };
        assert!(metadata.is_file(), "{path} is another kind of file");
        assert_eq!(
            fs::read(&at).expect("it is readable"),
            content.read().expect("it is here")
        );
        let mode = metadata.permissions().mode();
        assert_eq!(mode & 0o111 != 0, *executable, "{path}");
    }
}
