//! Every reader in use takes what is written: the same paths, modes, links and contents.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use prebuild::event::Cancel;
use prebuild::pack::{Options, Output, pack};
use prebuild::tree::{Node, RelPath, Tree};

/// Python's zipfile, with what its `extractall` leaves out: it gives no modes and makes no links.
const ZIPFILE: &str = r#"python3 -c "
import os, stat, zipfile
archive = zipfile.ZipFile(os.environ['A'])
for info in archive.infolist():
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        os.makedirs(os.path.dirname(info.filename) or '.', exist_ok=True)
        os.symlink(archive.read(info), info.filename)
    else:
        archive.extract(info)
        os.chmod(info.filename, stat.S_IMODE(mode))
""#;

/// Names at the edges of the format's fields, and contents around its blocks.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let file = |bytes: &[u8], executable| Node::File {
        content: bytes.to_vec().into(),
        executable,
    };
    let of_length = |length: usize| format!("lengths/{}", "n".repeat(length - 8));
    let many: Vec<u8> = (0..3_000_000u32)
        .map(|n| (n / 7 % 251).to_le_bytes()[0])
        .collect();
    for (path, node) in [
        ("bin/run".to_owned(), file(b"#!/bin/sh\n", true)),
        ("empty".to_owned(), file(b"", false)),
        ("folder/empty".to_owned(), Node::Dir),
        ("a space/in a name".to_owned(), file(b"s", false)),
        ("ünïcödé/文字.py".to_owned(), file(b"u", false)),
        ("a new\nline".to_owned(), file(b"n", false)),
        (of_length(99), file(b"99", false)),
        (of_length(100), file(b"100", false)),
        (of_length(101), file(b"101", false)),
        (of_length(155), file(b"155", false)),
        (of_length(256), file(b"256", false)),
        (
            format!("{}/{}", "p".repeat(200), "q".repeat(200)),
            file(b"401", false),
        ),
        // H46: cut after a hundred bytes, this is a folder's name.
        (format!("{}/cut", "c".repeat(99)), file(b"H46", false)),
        (format!("{}/cut", "c".repeat(98)), file(b"H46", false)),
        ("block".to_owned(), file(&[b'x'; 512], false)),
        ("large".to_owned(), file(&many, false)),
        (
            "link".to_owned(),
            Node::Symlink {
                target: "bin/run".to_owned(),
            },
        ),
        (
            "deep/link".to_owned(),
            Node::Symlink {
                target: format!("../{}", of_length(155)),
            },
        ),
    ] {
        tree.insert(RelPath::new(&path).unwrap(), node).unwrap();
    }
    tree
}

/// Path to mode and contents, as a folder has them; a link's are its target.
fn folder(root: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let contents = if metadata.is_dir() {
                open.push(path);
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().to_str().unwrap().into()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(
                name,
                (if metadata.is_symlink() { 0 } else { mode }, contents),
            );
        }
    }
    found
}

fn expected(tree: &Tree) -> BTreeMap<String, (u32, Vec<u8>)> {
    tree.iter()
        .map(|(path, entry)| {
            let value = match &entry.node {
                Node::File {
                    content,
                    executable,
                } => (
                    if *executable { 0o755 } else { 0o644 },
                    content.read().unwrap(),
                ),
                Node::Symlink { target } => (0, target.clone().into_bytes()),
                _ => (0o755, Vec::new()),
            };
            (path.to_string(), value)
        })
        .collect()
}

/// Runs a shell command that unpacks `$A` into the working folder, and compares.
///
/// A reader that is not here is skipped aloud, but where everything is installed (`CI=true`).
fn reads(reader: &str, archive: &Path, script: &str, tree: &Tree) {
    let there = Command::new("sh")
        .args(["-c", &format!("command -v {reader} >/dev/null")])
        .status()
        .unwrap();
    if !there.success() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "there is no {reader}"
        );
        eprintln!("skipped: there is no {reader} here");
        return;
    }
    let into = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("umask 022; {script}")])
        .env("A", archive)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(into.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found = folder(into.path());
    let wanted = expected(tree);
    for (path, value) in &wanted {
        let got = found.get(path);
        assert!(
            got == Some(value),
            "{script}: {path} is {:?}",
            got.map(|(mode, bytes)| (mode, bytes.len()))
        );
    }
    assert_eq!(found.len(), wanted.len(), "{script}");
}

#[test]
fn every_reader_takes_every_archive() {
    let tree = tree();
    let folder = tempfile::tempdir().unwrap();
    let outputs: Vec<Output> = ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip"]
        .map(|name| folder.path().join(name).to_str().unwrap().parse().unwrap())
        .into();
    pack(
        &tree,
        &outputs,
        &Options::default(),
        None,
        &|_| {},
        &Cancel::new(),
    )
    .unwrap();
    for (reader, archive, script) in [
        ("tar", "a.tar", "tar -xpf \"$A\""),
        ("tar", "a.tar.gz", "tar -xzpf \"$A\""),
        ("bsdtar", "a.tar", "bsdtar -xpf \"$A\""),
        ("bsdtar", "a.tar.gz", "bsdtar -xpf \"$A\""),
        ("bsdtar", "a.zip", "bsdtar -xpf \"$A\""),
        ("busybox", "a.tar", "busybox tar -xpf \"$A\""),
        ("busybox", "a.tar.gz", "busybox tar -xzpf \"$A\""),
        (
            "python3",
            "a.tar",
            "python3 -c \"import os, tarfile; tarfile.open(os.environ['A']).extractall()\"",
        ),
        (
            "python3",
            "a.tar.gz",
            "python3 -c \"import os, tarfile; tarfile.open(os.environ['A']).extractall()\"",
        ),
        ("gzip", "a.tar.gz", "gzip -dc \"$A\" | tar -xp"),
        ("pigz", "a.tar.gz", "pigz -dc \"$A\" | tar -xp"),
        ("igzip", "a.tar.gz", "igzip -dc \"$A\" | tar -xp"),
        ("zstd", "a.tar.zst", "zstd -dc \"$A\" | tar -xp"),
        ("bsdtar", "a.tar.zst", "bsdtar -xpf \"$A\""),
        ("python3", "a.zip", ZIPFILE),
        // Without `-^` it drops control characters, here a newline, from names.
        ("unzip", "a.zip", "unzip -^ -q \"$A\""),
    ] {
        reads(reader, &folder.path().join(archive), script, &tree);
    }
}
