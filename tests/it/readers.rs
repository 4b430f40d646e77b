//! Every reader in use takes what is written: the same paths, modes, links and contents.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use prebuild::digest::Digest;
use prebuild::event::Cancel;
use prebuild::pack::{Options, Output, pack};
use prebuild::tree::{Node, RelPath, Tree};
use prebuild::wheel::{self, Limits};
use serde_json::json;
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::support::skip;

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

/// `ADD`, of the engine `$R`; the image is written as a folder.
const ADD: &str = r#"
printf 'FROM scratch\nADD %s /\n' "${A##*/}" >"$T/Dockerfile"
$R build -q -f "$T/Dockerfile" --output type=local,dest=. "${A%/*}"
"#;

const BUILDAH: &str = r#"
container=$(buildah from scratch)
trap 'buildah rm "$container"' EXIT
buildah add -q "$container" "$A" /
cp -a "$(buildah mount "$container")/." .
"#;

const UMOCI: &str = r#"
umoci unpack --image "$A:deps" "$T/bundle"
cp -a "$T/bundle/rootfs/." .
"#;

/// A layer that is decompressed has the name that the image's configuration promises.
const SKOPEO: &str = r#"
skopeo --insecure-policy copy -q --dest-decompress "oci:$A:deps" "dir:$T/copy"
digest=$(sha256sum <"${A%/*}/a.tar")
tar -xpf "$T/copy/${digest%% *}"
"#;

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

/// The same tree, with all contents in a wheel, from where streams are copied: stored ones, and ones
/// of every level.
fn in_a_wheel(tree: &Tree, folder: &Path) -> Tree {
    let path = folder.join("contents.whl");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    for (number, (_, entry)) in tree.iter().enumerate() {
        if let Node::File { content, .. } = &entry.node {
            let level = number % 10;
            let options = if level == 0 {
                SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
            } else {
                SimpleFileOptions::default().compression_level(Some(level.try_into().unwrap()))
            };
            zip.start_file(number.to_string(), options).unwrap();
            zip.write_all(&content.read().unwrap()).unwrap();
        }
    }
    zip.finish().unwrap();
    let wheel = wheel::Archive::open(&path, None, &Limits::default(), &Cancel::new()).unwrap();
    let mut copy = Tree::new();
    for (number, (path, entry)) in tree.iter().enumerate() {
        let mut node = entry.node.clone();
        if let Node::File { content, .. } = &mut node {
            *content = wheel.content(wheel.get(&number.to_string()).unwrap());
        }
        copy.insert(path.clone(), node).unwrap();
    }
    copy
}

/// An archive of each format.
fn archives(tree: &Tree) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let outputs: Vec<Output> = ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip"]
        .map(|name| folder.path().join(name).to_str().unwrap().parse().unwrap())
        .into();
    let options = Options::default();
    pack(tree, &outputs, &options, None, &|_| {}, &Cancel::new()).unwrap();
    folder
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

/// An image whose only layer is one of the archives, as a folder of OCI's.
/// <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>
fn image(folder: &Path, archive: &str, layer: &str) -> PathBuf {
    let layout = folder.join(format!("{archive}.image"));
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.to_string().replace("sha256:", "")), bytes).unwrap();
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest.to_string(),
            "size": bytes.len(),
        })
    };
    let unpacked = Digest::of(&fs::read(folder.join("a.tar")).unwrap());
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [unpacked.to_string()] },
    });
    let manifest = json!({
        "schemaVersion": 2,
        "config": blob("config.v1+json", config.to_string().as_bytes()),
        "layers": [blob(layer, &fs::read(folder.join(archive)).unwrap())],
    });
    let mut manifest = blob("manifest.v1+json", manifest.to_string().as_bytes());
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "deps" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    layout
}

/// Runs a shell script that has the reader `$R` unpack `$A` into the working folder, and compares.
/// It may leave things in `$T`.
///
/// A missing reader is [skipped](skip).
fn reads(reader: &str, archive: &Path, script: &str, tree: &Tree) {
    let there = Command::new("sh")
        .args(["-c", &format!("command -v {reader} >/dev/null")])
        .status()
        .unwrap();
    if !there.success() {
        return skip(&format!("there is no `{reader}`"));
    }
    let into = tempfile::tempdir().unwrap();
    let aside = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("set -e; umask 022; {script}")])
        .env("R", reader)
        .env("A", archive)
        .env("T", aside.path())
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
    let folder = tempfile::tempdir().unwrap();
    let here = tree();
    for tree in [&here, &in_a_wheel(&here, folder.path())] {
        let archives = archives(tree);
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
            reads(reader, &archives.path().join(archive), script, tree);
        }
    }
}

/// So do the programs that make images, and those that unpack them.
#[test]
#[ignore = "needs a container engine"]
fn engine_readers_take_every_archive() {
    let folder = tempfile::tempdir().unwrap();
    let here = tree();
    for tree in [&here, &in_a_wheel(&here, folder.path())] {
        let archives = archives(tree);
        for (archive, layer) in [
            ("a.tar", "layer.v1.tar"),
            ("a.tar.gz", "layer.v1.tar+gzip"),
            ("a.tar.zst", "layer.v1.tar+zstd"),
        ] {
            let path = archives.path().join(archive);
            reads("docker", &path, ADD, tree);
            reads("podman", &path, ADD, tree);
            reads("buildah", &path, BUILDAH, tree);
            let image = image(archives.path(), archive, layer);
            reads("skopeo", &image, SKOPEO, tree);
            if archive != "a.tar.zst" {
                reads("umoci", &image, UMOCI, tree); // knows no zstd
            }
        }
    }
}
