//! Trees whose parts end where a buffer, a window or a group of the packer ends: Python reads every
//! archive back.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use prebuild::cache::{Cache, Place};
use prebuild::event::Cancel;
use prebuild::pack::{Options, Output, pack};
use prebuild::tree::{Content, Node, RelPath, Tree};
use prebuild::wheel::{Archive, Limits};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::sandbox::Sandbox;

/// How contents are packed in the wheel that they come from.
const KINDS: [&str; 4] = ["stored", "level0", "fixed", "dynamic"];
const FORMATS: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip", "/"];
/// How far around a boundary sizes go.
const AROUND: usize = 4;

/// One Python for all archives of a test.
struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    folder: TempDir,
    archives: Vec<String>,
}

impl Python {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/boundaries.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            folder: tempfile::tempdir().unwrap(),
            archives: Vec::new(),
        }
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{request}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The sizes of contents of this kind that are packed to these lengths, or to the next ones.
    fn sizes(&mut self, kind: &str, lengths: &[usize]) -> Vec<usize> {
        let request = json!({ "do": "sizes", "kind": kind, "lengths": lengths });
        serde_json::from_value(self.ask(&request)).unwrap()
    }

    /// Contents of this kind and these sizes, in a wheel, and the length that each is packed to.
    fn contents(&mut self, kind: &str, sizes: &[usize]) -> Vec<(Content, usize)> {
        let path = self.path(".whl");
        let request = json!({ "do": "wheel", "kind": kind, "sizes": sizes, "path": path });
        let packed: Vec<usize> = serde_json::from_value(self.ask(&request)).unwrap();
        let archive = Archive::open(&path, None, &Limits::default(), &Cancel::new()).unwrap();
        let numbers = (0..sizes.len()).map(|number| number.to_string());
        numbers
            .zip(packed)
            .map(|(name, packed)| (archive.content(archive.get(&name).unwrap()), packed))
            .collect()
    }

    /// A path that is not there yet.
    fn path(&mut self, ending: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{}", self.archives.len()));
        let path = PathBuf::from(format!("{}{ending}", path.display()));
        self.archives.push(path.display().to_string());
        path
    }

    /// Packs a tree in these formats, and has Python compare each with what is in the tree; returns how
    /// many bytes each is.
    fn check(&mut self, files: &Files, formats: &[&str], cache: Option<&Cache>) -> Vec<u64> {
        let mut tree = Tree::new();
        let mut expected = BTreeMap::new();
        for (path, (content, kind, size)) in files {
            let node = Node::File {
                content: content.clone(),
                executable: false,
            };
            tree.insert(RelPath::new(path).unwrap(), node).unwrap();
            expected.insert(path, (kind, size));
        }
        let paths: Vec<PathBuf> = formats.iter().map(|ending| self.path(ending)).collect();
        let outputs: Vec<Output> = paths
            .iter()
            .map(|path| path.to_str().unwrap().parse().unwrap())
            .collect();
        let options = Options::default();
        let packed = pack(&tree, &outputs, &options, cache, &|_| {}, &Cancel::new()).unwrap();
        let read: Vec<PathBuf> = paths
            .into_iter()
            .inspect(|path| {
                // Python's standard library learns zstd in 3.14.
                if path.extension().is_none_or(|ending| ending != "zst") {
                    return;
                }
                let tar = zstd::decode_all(&*fs::read(path).unwrap()).unwrap();
                fs::write(path, tar).unwrap();
            })
            .collect();
        let request = json!({ "do": "check", "files": expected, "archives": read });
        assert_eq!(self.ask(&request), json!([]), "{expected:?}");
        for path in read {
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        packed.into_iter().map(|one| one.size).collect()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.input.take();
        let _ = self.child.wait();
    }
}

/// Path to contents, their kind and their size.
type Files = BTreeMap<String, (Content, &'static str, usize)>;

fn one(content: Content, kind: &'static str, size: usize) -> Files {
    BTreeMap::from([("file".to_owned(), (content, kind, size))])
}

/// Where the packed bytes of the one file of a tree begin in an archive of it.
fn offset(python: &mut Python, content: &Content, format: &str) -> usize {
    let Content::Member(member) = content else {
        panic!("contents of a wheel are members of it");
    };
    let wheel = fs::read(&member.archive.path).unwrap();
    let start = usize::try_from(member.offset).unwrap();
    // Without the first byte, which may say that the block is the last one.
    let packed = &wheel[start + 1..start + 65];
    let path = python.path(format);
    let mut tree = Tree::new();
    let node = Node::File {
        content: content.clone(),
        executable: false,
    };
    tree.insert(RelPath::new("file").unwrap(), node).unwrap();
    let output: Output = path.to_str().unwrap().parse().unwrap();
    let options = Options::default();
    pack(&tree, &[output], &options, None, &|_| {}, &Cancel::new()).unwrap();
    let archive = fs::read(&path).unwrap();
    let mut windows = archive.windows(packed.len());
    windows.position(|window| window == packed).unwrap() - 1
}

/// The buffers of 128 KiB that packed bytes are copied through: the copy ends before, at and behind
/// the end of the first and the second one.
#[test]
fn packed_bytes_end_where_a_buffer_ends() {
    let mut python = Python::start();
    for kind in KINDS {
        for format in [".tar.gz", ".zip"] {
            if (kind, format) == ("stored", ".tar.gz") {
                // Deflated there: no packed bytes are copied.
                continue;
            }
            for buffers in [1, 2] {
                let about = python.sizes(kind, &[buffers * (1 << 17) - 500]);
                let (content, _) = python.contents(kind, &about).remove(0);
                let end = buffers * (1 << 17) - offset(&mut python, &content, format);
                let lengths: Vec<usize> = (end - AROUND..=end + AROUND).collect();
                let sizes = python.sizes(kind, &lengths);
                let contents = python.contents(kind, &sizes);
                let mut exact = 0;
                for (size, (content, packed)) in sizes.into_iter().zip(contents) {
                    exact += usize::from(packed == end);
                    python.check(&one(content, kind, size), &[format], None);
                }
                // A compressor of streams reaches nearly every length, but not all.
                assert!(
                    exact > 0 || kind == "dynamic",
                    "{kind}{format} at {buffers}"
                );
            }
        }
    }
}

/// The same for a frame of zstd, which is made and then copied from the cache.
#[test]
fn frames_end_where_a_buffer_ends() {
    let mut python = Python::start();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::kept(folder.path().join("cache"), folder.path());
    let cache = Cache::open(&place, &|_| {}, &Cancel::new()).unwrap();
    // What compresses, and bytes beside it that do not: each of them makes the frame longer by about one.
    let mut length = |size: usize, more: usize| {
        let (content, _) = python.contents("dynamic", &[size]).remove(0);
        let mut files = one(content, "dynamic", size);
        let (content, _) = python.contents("stored", &[more]).remove(0);
        files.insert("more".to_owned(), (content, "stored", more));
        let made = python.check(&files, &[".tar.zst"], Some(&cache));
        assert_eq!(python.check(&files, &[".tar.zst"], Some(&cache)), made);
        usize::try_from(made[0]).unwrap()
    };
    let end = 1 << 17;
    let mut size = end;
    for _ in 0..6 {
        size = size * (end - 10) / length(size, 1);
    }
    // The length jumps where the compressor changes its mind, so more than one size is tried.
    let mut sizes = (0..400).map(|less| size - less).zip((1..30).cycle());
    let found = sizes.any(|(size, more)| length(size, more) == end);
    assert!(found, "no frame ends there");
}

/// The sizes at which something inside of the packer ends: blocks of a tar, stored blocks of deflate,
/// its window, buffers, the blocks that are deflated at a time, and groups.
const BOUNDARIES: [usize; 8] = [
    512,
    16_383,
    1 << 15,
    65_535,
    1 << 16,
    1 << 17,
    1 << 18,
    1 << 19,
];

#[test]
fn files_end_where_anything_ends() {
    let mut python = Python::start();
    let file = (0..KINDS.len(), 0..BOUNDARIES.len(), 0..=2 * AROUND);
    let files = proptest::collection::vec((file, any::<bool>()), 1..12);
    let mut runner = TestRunner::new(Config {
        cases: 8,
        failure_persistence: None,
        ..Config::default()
    });
    let python = std::cell::RefCell::new(&mut python);
    runner
        .run(&files, |picked| {
            let mut python = python.borrow_mut();
            let mut tree = Files::new();
            for (number, ((kind, boundary, around), loose)) in picked.into_iter().enumerate() {
                let (kind, size) = (KINDS[kind], BOUNDARIES[boundary] + around - AROUND);
                let (content, _) = python.contents(kind, &[size]).remove(0);
                let content = if loose {
                    Content::Bytes(content.read().unwrap().into())
                } else {
                    content
                };
                tree.insert(format!("{number}/{size}"), (content, kind, size));
            }
            python.check(&tree, &FORMATS, None);
            Ok(())
        })
        .unwrap();
}

/// Groups of 8 MiB, and those of 32 MiB, which are made in the file rather than in memory.
#[test]
fn groups_end_where_a_file_ends() {
    let mut python = Python::start();
    for boundary in [8 << 20, 32 << 20] {
        let sizes = [boundary - 1, boundary, boundary + 1];
        let contents = python.contents("stored", &sizes);
        let files = sizes.into_iter().zip(contents).map(|(size, (content, _))| {
            let content = Content::Bytes(content.read().unwrap().into());
            (size.to_string(), (content, "stored", size))
        });
        let files: Files = files.collect();
        let formats: &[&str] = if boundary == 8 << 20 {
            &[".tar", ".tar.zst"]
        } else {
            &[".tar.zst"]
        };
        python.check(&files, formats, None);
    }
}

/// A wheel of 80 MB whose entries end where buffers end: every row of its RECORD holds in the archives.
#[test]
#[ignore = "needs an index"]
fn index_a_large_wheel_is_packed() {
    const CHECK: &str = r#"
import base64, csv, hashlib, io, sys, tarfile, zipfile
for path in sys.argv[1:]:
    if path.endswith(".zip"):
        archive = zipfile.ZipFile(path)
        names, read = archive.namelist(), archive.read
    else:
        archive = tarfile.open(path)
        names, read = archive.getnames(), lambda name: archive.extractfile(name).read()
    site, = {name.split("/ziglang/")[0] for name in names if "/ziglang/" in name}
    record, = [name for name in names if name.endswith(".dist-info/RECORD")]
    rows = [row for row in csv.reader(io.StringIO(read(record).decode())) if row[1]]
    for name, digest, size in rows:
        data = read(f"{site}/{name}")
        found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        assert (digest, int(size)) == ("sha256=" + found, len(data)), name
    print(len(rows))
"#;
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "ziglang==0.12.0\n");
    let args = [
        "requirements.txt",
        "--python",
        "3.11",
        "--platform",
        "linux/amd64",
    ];
    sandbox
        .run(&[&args[..], &["-o", "a.tar.gz", "-o", "a.zip"]].concat())
        .ok();
    let checked = Command::new("python3")
        .args(["-c", CHECK, "a.tar.gz", "a.zip"])
        .current_dir(sandbox.work())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let counts = String::from_utf8(checked.stdout).unwrap();
    let counts: Vec<usize> = counts.lines().map(|line| line.parse().unwrap()).collect();
    assert!(
        counts.len() == 2 && counts[0] == counts[1] && counts[0] > 10_000,
        "{counts:?}"
    );
}
