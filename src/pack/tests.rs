use std::io::Read;
use std::path::Path;

use super::*;
use crate::tree::Node;

fn path(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn file(bytes: impl Into<Vec<u8>>, executable: bool) -> Node {
    Node::File {
        content: bytes.into().into(),
        executable,
    }
}

/// Names and contents that writers and readers have stumbled over.
fn awkward() -> Tree {
    let noise: Vec<u8> = (0..700_000u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    let mut tree = Tree::new();
    for (name, node) in [
        ("bin/run".to_owned(), file(*b"#!/usr/bin/python3\n", true)),
        ("empty".to_owned(), file(*b"", false)),
        ("lib/a folder/ü.py".to_owned(), file("é\n", false)),
        (format!("lib/{}", "n".repeat(95)), file(*b"99", false)),
        (format!("lib/{}", "n".repeat(96)), file(*b"100", false)),
        (format!("{}/cut", "d".repeat(98)), file(*b"H46", false)),
        (
            format!("deep/{}/{}", "x".repeat(200), "y".repeat(200)),
            file(*b"long", false),
        ),
        ("lib/noise.so".to_owned(), file(noise, false)),
        ("lib/zeros".to_owned(), file(vec![0; 600_000], false)),
        ("lib/block".to_owned(), file(vec![b'x'; 512], false)),
        ("share/nothing".to_owned(), Node::Dir),
        (
            "lib64".to_owned(),
            Node::Symlink {
                target: "lib".to_owned(),
            },
        ),
    ] {
        tree.insert(path(&name), node).unwrap();
    }
    tree
}

fn packed(tree: &Tree, name: &str) -> (Vec<u8>, Packed) {
    let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
    let output: Output = folder.path().join(name).to_str().unwrap().parse().unwrap();
    let done = pack(
        tree,
        &[output],
        &Options::default(),
        None,
        &|_| {},
        &Cancel::new(),
    )
    .unwrap();
    let bytes = fs::read(&folder.path().join(name)).unwrap();
    assert_eq!(
        fs::list(folder.path()).unwrap().len(),
        1,
        "something was left beside it"
    );
    (bytes, done.into_iter().next().unwrap())
}

/// These change only together with `FORMAT_VERSION`, or where a compressor's new version makes
/// other bytes, which must then be said in the changelog.
#[test]
fn golden_digests() {
    let tree = awkward();
    let found: Vec<_> = ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip"]
        .map(|name| {
            let (bytes, packed) = packed(&tree, name);
            assert_eq!(packed.digest, Some(Digest::of(&bytes)));
            assert_eq!(packed.size, bytes.len() as u64);
            format!("{name} {}", Digest::of(&bytes))
        })
        .to_vec();
    insta::assert_snapshot!(found.join("\n"));
    assert_eq!(FORMAT_VERSION, 2);
}

#[test]
fn gzip_is_one_member_that_holds_the_tar() {
    let tree = awkward();
    let (tar, _) = packed(&tree, "a.tar");
    let (gzip, _) = packed(&tree, "a.tgz");
    let mut unpacked = Vec::new();
    let mut reader = flate2::bufread::GzDecoder::new(&gzip[..]);
    reader.read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == tar);
    assert!(reader.into_inner().is_empty(), "there is a second member");
    let (zst, _) = packed(&tree, "a.tar.zst");
    assert!(zstd::decode_all(&zst[..]).unwrap() == tar);
}

#[test]
fn threads_and_order_of_insertion_do_not_count() {
    let tree = awkward();
    let mut backwards = Tree::new();
    let mut entries: Vec<_> = tree.iter().collect();
    entries.reverse();
    for (path, entry) in entries {
        backwards.insert(path.clone(), entry.node.clone()).unwrap();
    }
    for name in ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip"] {
        let (expected, _) = packed(&tree, name);
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let (bytes, _) = pool.install(|| packed(&backwards, name));
            assert!(bytes == expected, "{name} with {threads} threads");
        }
    }
}

#[test]
fn a_folder_is_written_whole_and_replaced_whole() {
    let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
    // As long as a name can be.
    let long = "o".repeat(255);
    let name = format!("{}/{long}/", folder.path().display());
    let output: Output = name.parse().unwrap();
    let outputs = [output];
    let mut options = Options::default();
    let again =
        |options: &Options| pack(&awkward(), &outputs, options, None, &|_| {}, &Cancel::new());
    again(&options).unwrap();
    let back = Tree::read(&folder.path().join(&long)).unwrap();
    let list = |tree: &Tree| -> Vec<String> {
        tree.iter()
            .map(|(path, entry)| match &entry.node {
                Node::File {
                    content,
                    executable,
                } => {
                    format!(
                        "{path} {executable} {}",
                        Digest::of(&content.read().unwrap())
                    )
                }
                node => format!("{path} {node:?}"),
            })
            .collect()
    };
    assert_eq!(list(&back), list(&awkward()));
    assert!(matches!(again(&options), Err(Error::NotEmpty(_))));
    options.force = true;
    again(&options).unwrap();
    assert_eq!(fs::list(folder.path()).unwrap(), [long.as_str()]);
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_built() {
    let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
    let at = |name: &str| -> Output { folder.path().join(name).to_str().unwrap().parse().unwrap() };
    let refused = |outputs: &[Output]| check(outputs, &Options::default()).unwrap_err();
    fs::create_dir(&folder.path().join("a.tar")).unwrap();
    assert!(matches!(refused(&[at("a.tar")]), Error::Occupied { .. }));
    assert!(matches!(
        refused(&[at("b.tar"), at("b.tar")]),
        Error::Twice(_)
    ));
    assert!(matches!(refused(&[at("none/b.tar")]), Error::Fs(_)));
    let device = Output::new("/dev/null", Format::Tar);
    assert!(matches!(refused(&[device]), Error::Special(_)));
    assert_eq!(fs::list(folder.path()).unwrap().len(), 1);
}

#[test]
fn a_thrown_switch_leaves_nothing() {
    let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
    for name in ["a.tar.gz", "a.zip", "dir/"] {
        let output: Output = folder.path().join(name).to_str().unwrap().parse().unwrap();
        let cancel = Cancel::new();
        let observe = |event: &Event<'_>| {
            if matches!(event, Event::Packed { .. }) {
                cancel.cancel();
            }
        };
        let result = pack(
            &awkward(),
            &[output],
            &Options::default(),
            None,
            &observe,
            &cancel,
        );
        assert!(
            matches!(result, Err(Error::Cancelled)),
            "{name}: {result:?}"
        );
        assert!(fs::list(folder.path()).unwrap().is_empty(), "{name}");
    }
}

/// H36 and the like: a file that shrinks meanwhile is an error, and no output.
#[test]
fn contents_that_vanish_are_an_error() {
    let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
    let mut tree = Tree::new();
    let content = crate::tree::Content::File {
        path: folder.path().join("gone"),
        offset: 0,
        size: 3,
        guard: None,
        code: None,
    };
    let node = Node::File {
        content,
        executable: false,
    };
    tree.insert(path("x"), node).unwrap();
    for name in ["a.tar", "a.tar.zst", "a.zip", "dir/"] {
        let output: Output = folder.path().join(name).to_str().unwrap().parse().unwrap();
        let error = pack(
            &tree,
            &[output],
            &Options::default(),
            None,
            &|_| {},
            &Cancel::new(),
        );
        let error = error.unwrap_err();
        assert!(error.to_string().contains("gone"), "{name}: {error}");
        assert!(fs::list(folder.path()).unwrap().is_empty(), "{name}");
    }
}

/// Several outputs and a document, the last of which cannot get its name: those before it lose theirs
/// again.
#[test]
fn outputs_get_their_names_all_or_none() {
    let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["old", "gone", "dir"] {
        fs::create_dir(&at(name)).unwrap();
    }
    for name in ["old/a.tar", "old/list", "dir/file"] {
        fs::write_new(&at(name), b"old").unwrap();
    }
    let before = || {
        assert_eq!(fs::list(folder.path()).unwrap(), ["dir", "old"]);
        assert_eq!(fs::list(&at("old")).unwrap(), ["a.tar", "list"]);
        for name in ["old/a.tar", "old/list", "dir/file"] {
            assert_eq!(fs::read(&at(name)).unwrap(), b"old");
        }
    };
    let options = Options {
        force: true,
        ..Options::default()
    };
    let names = ["old/a.tar", "new.zip", "dir/", "fresh/", "gone/c.tar"];
    let outputs = |names: &[&str]| -> Vec<Output> {
        let paths = names.iter().map(|name| at(name).display().to_string());
        paths.map(|path| path.parse().unwrap()).collect()
    };
    let stage = |names: &[&str]| {
        let mut staged = Staged::new();
        staged.add_document(&at("old/list"), b"new").unwrap();
        let outputs = outputs(names);
        let cancel = Cancel::new();
        staged
            .add(&awkward(), &outputs, &options, None, &|_| {}, &cancel)
            .unwrap();
        staged
    };
    let staged = stage(&names);
    fs::remove_all(&at("gone")).unwrap();
    let error = staged.place(&Cancel::new()).unwrap_err();
    assert!(
        matches!(&error, Error::Fs(error) if error.path() == at("gone/c.tar")),
        "{error}"
    );
    before();
    let cancelled = Cancel::new();
    cancelled.cancel();
    let staged = stage(&names[..4]);
    assert!(staged.place(&cancelled).unwrap_err().kind() == Kind::Cancelled);
    before();
    drop(stage(&names[..4]));
    before();
    stage(&names[..4]).place(&Cancel::new()).unwrap();
    assert_eq!(
        fs::list(folder.path()).unwrap(),
        ["dir", "fresh", "new.zip", "old"]
    );
    assert_eq!(fs::list(&at("old")).unwrap(), ["a.tar", "list"]);
    assert_eq!(fs::read(&at("old/list")).unwrap(), b"new");
    assert_eq!(
        fs::list(&at("dir")).unwrap(),
        fs::list(&at("fresh")).unwrap()
    );
}
