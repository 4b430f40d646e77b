//! What a build pays for looking at its prefix: everything in it held against the runtime, as it is when
//! each wheel was checked before.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use prebuild::audit::{Subject, audit};
use prebuild::code::{Code, Elf, Machine, Versions};
use prebuild::digest::Digest;
use prebuild::interpreter::Interpreter;
use prebuild::layout::Layout;
use prebuild::piece::Piece;
use prebuild::plan::Item;
use prebuild::runtime::Runtime;
use prebuild::tree::{Archive, Content, Distribution, Member, Method, Node, RelPath, Tree};

const MACHINE: Machine = Machine {
    code: 62,
    wide: true,
    big_endian: false,
};

/// As many as the lock `sci` has: distributions, files of each, and native ones among them.
const DISTRIBUTIONS: usize = 117;
const FILES: usize = 185;
const NATIVE: usize = 3;

fn elf(soname: Option<&str>, needed: &[&str]) -> Elf {
    Elf {
        machine: MACHINE,
        loadable: true,
        soname: soname.map(str::to_owned),
        needed: needed.iter().map(|name| (*name).to_owned()).collect(),
        rpath: vec!["$ORIGIN/package.libs".to_owned()],
        versions: vec![Versions {
            library: "libc.so.6".to_owned(),
            names: vec![("GLIBC_2.2.5".to_owned(), false)],
        }],
        ..Elf::default()
    }
}

/// A runtime with a C library, and nothing else to speak of.
fn runtime() -> Runtime {
    let library = |soname| Elf {
        soname: Some(soname),
        defines: vec!["GLIBC_2.2.5".to_owned()],
        ..elf(None, &[])
    };
    let libraries: BTreeMap<String, Elf> = ["libc.so.6", "libm.so.6", "libstdc++.so.6"]
        .map(|name| (format!("/usr/lib/{name}"), library(name.to_owned())))
        .into();
    let python = serde_json::json!({
        "executable": "/usr/local/bin/python3.11", "names": ["/usr/local/bin/python3.11"],
        "version": "3.11", "full_version": "3.11.7", "prefix": "/usr/local", "soabi": null,
        "suffixes": [".cpython-311-x86_64-linux-gnu.so", ".abi3.so", ".so"],
        "site_packages": ["/usr/local/lib/python3.11/site-packages"],
        "stdlib": "/usr/local/lib/python3.11", "modules": ["os"], "builtin": ["sys"],
        "lacking": {}, "files": [], "installed": [], "installed_modules": [], "elf": elf(None, &["libc.so.6"]),
    });
    let facts = serde_json::json!({
        "version": 2, "os": { "id": "debian", "version_id": "12", "name": "" }, "machine": MACHINE,
        "libc": { "family": "glibc", "version": [2, 36] }, "pythons": [python],
        "loader": { "folders": ["/usr/lib"], "cache": {}, "libraries": libraries },
        "packages": { "database": null, "installed": {}, "files": {} }, "path": ["/usr/local/bin"],
        "programs": [], "user": null, "links": { "/lib": "usr/lib" },
    });
    Runtime {
        name: "bench".to_owned(),
        python: serde_json::from_value(facts["pythons"][0].clone()).expect("it is a Python"),
        facts: serde_json::from_value(facts).expect("they are facts"),
    }
}

fn interpreter() -> Interpreter {
    serde_json::from_value(serde_json::json!({
        "markers": {
            "implementation_name": "cpython", "implementation_version": "3.11.7", "os_name": "posix",
            "platform_machine": "x86_64", "platform_python_implementation": "CPython",
            "platform_release": "6", "platform_system": "Linux", "platform_version": "1",
            "python_full_version": "3.11.7", "python_version": "3.11", "sys_platform": "linux",
        },
        "executable": "/usr/local/bin/python3.11", "interpreters": ["/usr/local/bin/python3.11"],
        "prefix": "/usr/local", "site_packages": ["/usr/local/lib/python3.11/site-packages"],
        "soabi": null, "platform": "linux-x86_64", "libc": "glibc 2.36", "pip": null, "config": [],
        "caller_config": [], "broken_config": [], "environment": {}, "prefix_map": null,
        "optimisation": "",
    }))
    .expect("it is an interpreter")
}

fn node(code: Option<Elf>) -> Node {
    let archive = Arc::new(Archive {
        path: PathBuf::from("wheel"),
        guard: None,
    });
    Node::File {
        content: Content::Member(Member {
            archive,
            offset: 0,
            packed: 1000,
            packed_crc: 0,
            size: 1000,
            crc: 0,
            digest: Digest::of(b""),
            method: Method::Stored,
            code: code.map(|elf| {
                Arc::new(Code {
                    elf: Some(Ok(elf)),
                    ..Code::default()
                })
            }),
        }),
        executable: false,
    }
}

/// A prefix of so many files, and its distributions.
fn prefix(site: &RelPath) -> (Tree, Vec<Piece>) {
    let mut tree = Tree::new();
    let mut pieces = Vec::new();
    for number in 0..DISTRIBUTIONS {
        let owner = Arc::new(Distribution {
            name: format!("package-{number}"),
            version: "1.0".to_owned(),
        });
        let mut add = |path: String, code: Option<Elf>| {
            let path = site.join(&path).expect("the path is safe");
            tree.insert(path.clone(), node(code))
                .expect("each path is its own");
            let owners = tree.get_mut(&path).map(|entry| &mut entry.owners);
            owners.expect("it is there").push(Arc::clone(&owner));
        };
        for file in 0..FILES {
            add(
                format!("package_{number}/part_{}/sub/module_{file}.py", file % 20),
                None,
            );
        }
        for file in 0..NATIVE {
            let path = format!("package_{number}/native_{file}.cpython-311-x86_64-linux-gnu.so");
            let needed = ["libshared.so.1", "libm.so.6", "libc.so.6"];
            add(path, Some(elf(None, &needed)));
        }
        let shared = elf(Some("libshared.so.1"), &["libstdc++.so.6", "libc.so.6"]);
        add(
            format!("package_{number}/package.libs/libshared.so.1"),
            Some(shared),
        );
        let requires = (0..number.min(8)).map(|other| {
            format!("package-{other}>=0.9,<2; python_version>='3.8' and extra != 'x'")
        });
        let requires_python = Some(">=3.8".to_owned());
        let item = Item::unknown((*owner).clone(), requires.collect(), requires_python);
        pieces.push(Piece {
            tags: vec!["cp311-cp311-manylinux_2_17_x86_64".to_owned()],
            ..Piece::new(item)
        });
    }
    (tree, pieces)
}

fn audits(c: &mut Criterion) {
    let (runtime, interpreter) = (runtime(), interpreter());
    let layout = Layout::new(None, &runtime.python, None).expect("the place is one");
    let (tree, pieces) = prefix(&layout.platlib);
    let subject = Subject {
        tree: &tree,
        layout: &layout,
        pieces: &pieces,
        markers: &interpreter.markers,
        no_deps: false,
        runtime: Some(&runtime),
        secrets: &[],
        allowed: &[],
    };
    c.bench_function("audit/sci", |b| b.iter(|| audit(black_box(&subject))));
}

criterion_group!(benches, audits);
criterion_main!(benches);
