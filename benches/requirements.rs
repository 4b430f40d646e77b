//! How fast a locked set of requirements is read.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prebuild::requirements::{Context, Input, Requirements};

const WEB: &[u8] = include_bytes!("../testdata/requirements/web.lock.txt");

fn read(text: &[u8]) -> Requirements {
    let context = Context {
        env: &BTreeMap::new(),
        cwd: Path::new("/"),
    };
    Requirements::read(&[Input::Stdin(text.to_vec())], &[], &context)
        .expect("the set is well formed")
}

fn locked(criterion: &mut Criterion) {
    let read_once = read(WEB);
    let pins = WEB
        .split(|&byte| byte == b'\n')
        .filter(|line| line.first().is_some_and(u8::is_ascii_alphanumeric));
    assert_eq!(read_once.entries().len(), pins.count());
    assert!(
        read_once
            .entries()
            .iter()
            .all(|entry| !entry.hashes.is_empty())
    );
    assert!(read_once.warnings().is_empty());

    let mut group = criterion.benchmark_group("requirements");
    group.throughput(Throughput::Bytes(WEB.len() as u64));
    group.bench_function("web.lock.txt", |bencher| {
        bencher.iter(|| read(black_box(WEB)));
    });
    group.finish();
}

criterion_group!(benches, locked);
criterion_main!(benches);
