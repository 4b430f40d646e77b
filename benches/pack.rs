//! How fast a prefix is packed, in each format.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prebuild::event::Cancel;
use prebuild::pack::{Format, Options, Output, pack};
use prebuild::tree::{Node, RelPath, Tree};

/// What a prefix is made of, in memory so that the disk is not measured: sources that repeat
/// themselves, and code that does not.
fn tree() -> Tree {
    let mut state = 1u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut tree = Tree::new();
    for number in 0..400 {
        let mut source = String::new();
        while source.len() < 20_000 {
            source.push_str(&format!(
                "    def method_{}(self, value):\n        return self.field_{} + value * {}\n\n",
                random() % 500,
                random() % 50,
                random() % 1000,
            ));
        }
        insert(
            &mut tree,
            &format!("lib/package{}/module{number}.py", number % 20),
            source.into(),
        );
    }
    for number in 0..8 {
        let code: Vec<u8> = std::iter::repeat_with(|| random().to_le_bytes())
            // Half noise, half what repeats: about what machine code compresses to.
            .flat_map(|noise| [noise[0], noise[1], 0x48, 0x8b, noise[2] & 7, 0, 0, 0])
            .take(1 << 20)
            .collect();
        insert(&mut tree, &format!("lib/package{number}/native.so"), code);
    }
    tree
}

fn insert(tree: &mut Tree, path: &str, bytes: Vec<u8>) {
    let path = RelPath::new(path).expect("the path is safe");
    let node = Node::File {
        content: bytes.into(),
        executable: false,
    };
    tree.insert(path, node).expect("each path is there once");
}

fn packing(criterion: &mut Criterion) {
    let tree = tree();
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let options = Options {
        force: true,
        ..Options::default()
    };
    let mut group = criterion.benchmark_group("pack");
    group
        .throughput(Throughput::Bytes(tree.size()))
        .sample_size(10);
    for (name, format) in [
        ("tar", Format::Tar),
        ("tar.gz", Format::TarGz),
        ("tar.zst", Format::TarZst),
        ("zip", Format::Zip),
        ("directory", Format::Directory),
    ] {
        let output = Output::new(folder.path().join(name), format);
        let run = || {
            let outputs = std::slice::from_ref(&output);
            pack(&tree, outputs, &options, None, &|_| {}, &Cancel::new())
                .expect("it can be written")
        };
        let first = run();
        assert_eq!(
            first[0].digest,
            run()[0].digest,
            "the bytes are the same every time"
        );
        group.bench_function(name, |bencher| bencher.iter(|| black_box(run())));
    }
    group.finish();
}

criterion_group!(benches, packing);
criterion_main!(benches);
