//! What a build pays for its wheels: opening those that are new, putting them into a tree, and joining
//! their streams into an archive.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use prebuild::digest::Digest;
use prebuild::event::Cancel;
use prebuild::install::install_wheels;
use prebuild::interpreter::Interpreter;
use prebuild::layout::Layout;
use prebuild::pack::{Format, Options, Output, pack};
use prebuild::piece::Piece;
use prebuild::plan::Item;
use prebuild::tree::{Distribution, Method, Node, RelPath, Tree};
use prebuild::wheel::{Archive, Contents, Entry, Facts, Filename, Limits, Scripts, Wheel};
use tempfile::NamedTempFile;

/// A wheel with so many files, as it is found in the cache.
fn wheel(number: usize, files: usize) -> Piece {
    let name = format!("package_{number}");
    let stem = format!("{name}-1.0");
    let entry = |path: String| Entry {
        digest: Digest::of(path.as_bytes()),
        path: RelPath::new(&path).expect("the path is safe"),
        executable: false,
        code: None,
        offset: 0,
        packed: 1000,
        packed_crc: 0,
        size: 1000,
        crc: 0,
        method: Method::Stored,
        is_marked_otherwise: false,
    };
    let mut entries: Vec<_> = (0..files)
        .map(|file| entry(format!("{name}/part_{}/sub/module_{file}.py", file % 20)))
        .chain(
            ["METADATA", "WHEEL", "RECORD"].map(|text| entry(format!("{stem}.dist-info/{text}"))),
        )
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let filename = format!("{stem}-py3-none-any.whl");
    let facts = Facts {
        distribution: Distribution {
            name: name.replace('_', "-"),
            version: "1.0".to_owned(),
        },
        filename: Filename::parse(&filename).expect("the name is one"),
        stem,
        root_is_purelib: true,
        newer_format: None,
        tags: Vec::new(),
        requires: Vec::new(),
        requires_python: None,
        scripts: Scripts::read(&format!("[console_scripts]\n{name} = {name}:main\n"))
            .expect("the entry point is one"),
        gap: None,
        marked: None,
    };
    let item = Item::unknown(facts.distribution.clone(), Vec::new(), None);
    Piece::new(item).with(Wheel {
        digest: Digest::of(filename.as_bytes()),
        facts,
        archive: Archive::known(
            PathBuf::from(filename),
            None,
            Contents {
                entries,
                ..Contents::default()
            },
        ),
    })
}

fn interpreter() -> Interpreter {
    serde_json::from_value(serde_json::json!({
        "markers": {
            "implementation_name": "cpython", "implementation_version": "3.11.2",
            "os_name": "posix", "platform_machine": "x86_64",
            "platform_python_implementation": "CPython", "platform_release": "6",
            "platform_system": "Linux", "platform_version": "1",
            "python_full_version": "3.11.2", "python_version": "3.11", "sys_platform": "linux",
        },
        "executable": "/usr/local/bin/python3.11", "interpreters": [], "prefix": "/usr/local",
        "site_packages": [], "soabi": null, "platform": "linux-x86_64", "libc": "", "pip": null,
        "config": [], "caller_config": [], "broken_config": [], "environment": {},
        "prefix_map": null, "optimisation": "-O2",
    }))
    .expect("it is what an interpreter says")
}

fn installing(criterion: &mut Criterion) {
    let interpreter = interpreter();
    let layout = Layout::new(None, &interpreter, None).expect("it is absolute");
    let mut group = criterion.benchmark_group("install");
    // A scientific stack; and as many distributions as nobody has.
    for (wheels, files) in [(117, 370), (5000, 10)] {
        let pieces: Vec<_> = (0..wheels).map(|number| wheel(number, files)).collect();
        group.throughput(Throughput::Elements((wheels * files) as u64));
        group.bench_function(format!("{wheels} wheels of {files} files"), |bencher| {
            let install = |pieces| install_wheels(pieces, &interpreter, &layout).expect("they fit");
            bencher.iter_batched(
                || pieces.clone(),
                |pieces| install(black_box(pieces)),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// An archive of sources, which repeat themselves, and of one file of code, which does so less.
fn archive() -> NamedTempFile {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let mut state = 1u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..400 {
        let mut source = String::new();
        while source.len() < 20_000 {
            let (method, field, factor) = (random() % 500, random() % 50, random() % 1000);
            writeln!(source, "    def method_{method}(self, value):").expect("memory takes it");
            writeln!(
                source,
                "        return self.field_{field} + value * {factor}\n"
            )
            .expect("memory takes it");
        }
        zip.start_file(format!("package/module_{number}.py"), options)
            .and_then(|()| Ok(zip.write_all(source.as_bytes())?))
            .expect("the archive takes it");
    }
    let code: Vec<u8> = std::iter::repeat_with(|| random().to_le_bytes())
        .flat_map(|noise| [noise[0], noise[1], 0x48, 0x8b, noise[2] & 7, 0, 0, 0])
        .take(8 << 20)
        .collect();
    zip.start_file("package/native.so", options)
        .and_then(|()| Ok(zip.write_all(&code)?))
        .expect("the archive takes it");
    let bytes = zip.finish().expect("the archive takes it").into_inner();
    let mut file = NamedTempFile::new().expect("there is room for temporary files");
    file.write_all(&bytes)
        .expect("there is room for temporary files");
    file
}

fn opening_and_joining(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let file = archive();
    let cancel = Cancel::new();
    let open =
        || Archive::open(file.path(), None, &Limits::default(), &cancel).expect("it is whole");
    let archive = open();
    let size = archive.entries().iter().map(|entry| entry.size).sum();
    let mut group = criterion.benchmark_group("wheel");
    group.throughput(Throughput::Bytes(size)).sample_size(20);
    group.bench_function("open", |bencher| bencher.iter(|| black_box(open())));

    let mut tree = Tree::new();
    for entry in archive.entries() {
        let node = Node::File {
            content: archive.content(entry),
            executable: false,
        };
        tree.insert(entry.path.clone(), node)
            .expect("each path is there once");
    }
    let options = Options {
        force: true,
        ..Options::default()
    };
    for (name, format) in [("tar.gz", Format::TarGz), ("zip", Format::Zip)] {
        let output = [Output::new(folder.path().join(name), format)];
        group.bench_function(format!("join into {name}"), |bencher| {
            bencher.iter(|| {
                let packed = pack(&tree, &output, &options, None, &|_| {}, &cancel);
                black_box(packed.expect("it can be written"))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, opening_and_joining, installing);
criterion_main!(benches);
