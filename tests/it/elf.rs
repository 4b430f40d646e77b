//! What is read of ELF files, held against binutils and auditwheel, and against files that lie.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use prebuild::code::{Code, Damaged, Elf, Scanner};
use prebuild::event::Cancel;
use prebuild::wheel::{Archive, Limits};
use proptest::prelude::*;

use crate::support::python;

/// Distributions with native code, of all makes: C, C++, Cython, Fortran, Rust, Go, bundled libraries.
const NAMES: [&str; 64] = [
    "aiohttp",
    "argon2-cffi-bindings",
    "asyncpg",
    "bcrypt",
    "bitarray",
    "brotli",
    "cffi",
    "charset-normalizer",
    "contourpy",
    "coverage",
    "cryptography",
    "cython",
    "debugpy",
    "fonttools",
    "frozenlist",
    "gevent",
    "greenlet",
    "grpcio",
    "h5py",
    "hiredis",
    "httptools",
    "kiwisolver",
    "levenshtein",
    "lxml",
    "lz4",
    "markupsafe",
    "matplotlib",
    "mmh3",
    "msgpack",
    "multidict",
    "numexpr",
    "numpy",
    "orjson",
    "pandas",
    "pillow",
    "propcache",
    "protobuf",
    "psutil",
    "psycopg-binary",
    "psycopg2-binary",
    "pycryptodome",
    "pydantic-core",
    "pymongo",
    "pynacl",
    "pyproj",
    "pyyaml",
    "pyzmq",
    "rapidfuzz",
    "regex",
    "rpds-py",
    "safetensors",
    "scipy",
    "setproctitle",
    "shapely",
    "simplejson",
    "sqlalchemy",
    "tokenizers",
    "tornado",
    "ujson",
    "uvloop",
    "watchfiles",
    "wrapt",
    "yarl",
    "zstandard",
];

fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {args:?}: {error}",
        program.display()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a file asks for and offers, in a form that two programs can be compared by.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    needed: Vec<String>,
    soname: Option<String>,
    rpath: Vec<String>,
    runpath: Vec<String>,
    versions: Vec<(String, Vec<(String, bool)>)>,
    defines: Vec<String>,
}

impl From<&Elf> for Said {
    fn from(elf: &Elf) -> Self {
        let versions = elf.versions.iter();
        Self {
            needed: elf.needed.clone(),
            soname: elf.soname.clone(),
            rpath: elf.rpath.clone(),
            runpath: elf.runpath.clone(),
            versions: versions
                .map(|one| (one.library.clone(), one.names.clone()))
                .collect(),
            defines: elf.defines.clone(),
        }
    }
}

/// The same by `readelf -d -V`.
fn by_readelf(path: &Path) -> Said {
    let text = run(
        Path::new("readelf"),
        &["-W", "-d", "-V", path.to_str().unwrap()],
    );
    let mut said = Said::default();
    let mut defined = false;
    for line in text.lines() {
        let bracketed = || {
            let (_, rest) = line.split_once('[').unwrap();
            rest.rsplit_once(']').unwrap().0.to_owned()
        };
        let folders = || -> Vec<String> {
            let text = bracketed();
            text.split(':')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let field = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}: "))?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        if line.contains("(NEEDED)") {
            said.needed.push(bracketed());
        } else if line.contains("(SONAME)") {
            said.soname = Some(bracketed());
        } else if line.contains("(RPATH)") {
            said.rpath = folders();
        } else if line.contains("(RUNPATH)") {
            said.runpath = folders();
        } else if line.starts_with("Version ") {
            defined = line.starts_with("Version definition");
        } else if let (true, Some(name)) = (defined, field("Name")) {
            if !line.contains("BASE") {
                said.defines.push(name);
            }
        } else if let Some(file) = field("File") {
            said.versions.push((file, Vec::new()));
        } else if let (false, Some(name)) = (defined, field("Name"))
            && let Some((_, names)) = said.versions.last_mut()
        {
            names.push((name, line.contains("WEAK")));
        }
    }
    if !said.runpath.is_empty() {
        said.rpath.clear();
    }
    said
}

/// The versions of the symbols that are taken from elsewhere, by `objdump -T`.
fn by_objdump(path: &Path) -> BTreeSet<String> {
    let text = run(Path::new("objdump"), &["-w", "-T", path.to_str().unwrap()]);
    let undefined = text.lines().filter(|line| line.contains("*UND*"));
    undefined
        .filter_map(|line| {
            // The version stands between the size and the name, in brackets if it is hidden.
            let (_, rest) = line.split_once("*UND*")?;
            let mut words = rest.split_whitespace().skip(1);
            let version = words.next()?.trim_matches(['(', ')']);
            words.next().map(|_| version.to_owned())
        })
        // Of no library in particular.
        .filter(|version| version != "Base")
        .collect()
}

/// The libraries from outside and the versions that a wheel takes of them, by `auditwheel show`.
fn by_auditwheel(auditwheel: &Path, wheel: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let text = run(
        auditwheel,
        &["-m", "auditwheel", "show", wheel.to_str().unwrap()],
    );
    let text = text.replace('\n', " ");
    let mut found = BTreeMap::new();
    for (at, _) in text.match_indices(" with versions ") {
        let library = text[..at].rsplit(' ').next().unwrap().to_owned();
        let (_, rest) = text[at..].split_once('{').unwrap();
        let (versions, _) = rest.split_once('}').unwrap();
        let versions = versions
            .split(',')
            .map(|one| one.trim().trim_matches('\'').to_owned());
        found.insert(library, versions.collect());
    }
    found
}

/// The interpreter of an environment with auditwheel.
fn auditwheel() -> PathBuf {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("auditwheel-6.8.2");
    if !venv.exists() {
        let part = venv.with_extension("part");
        let _ = fs::remove_dir_all(&part);
        run(python::python(), &["-m", "venv", part.to_str().unwrap()]);
        run(
            &part.join("bin/python"),
            &["-m", "pip", "install", "--quiet", "auditwheel==6.8.2"],
        );
        fs::rename(part, &venv).unwrap();
    }
    venv.join("bin/python")
}

#[test]
#[ignore = "needs an index"]
fn index_elf_files_say_what_binutils_and_auditwheel_say() {
    let folder = tempfile::tempdir().unwrap();
    let links = folder.path().display().to_string();
    let mut args = vec![
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "-d",
        &links,
    ];
    args.extend(NAMES);
    run(python::python(), &args);
    let auditwheel = auditwheel();
    let (mut wheels, mut files) = (0, 0);
    for name in crate::support::sandbox::names(folder.path()) {
        let path = folder.path().join(&name);
        let archive = Archive::open(&path, None, &Limits::default(), &Cancel::new()).unwrap();
        let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let before = files;
        for entry in archive.entries().iter().filter(|entry| entry.is_native()) {
            let elf = entry.code.as_ref().unwrap().elf.as_ref().unwrap().as_ref();
            let elf = elf.unwrap_or_else(|error| panic!("{name} {}: {error}", entry.path));
            let file = folder.path().join("file.so");
            fs::write(&file, archive.content(entry).read().unwrap()).unwrap();
            assert_eq!(Said::from(elf), by_readelf(&file), "{name} {}", entry.path);
            let names = elf.versions.iter().flat_map(|one| &one.names);
            let ours: BTreeSet<String> = names.map(|(name, _)| name.clone()).collect();
            // Those that no symbol has: a linker's `GLIBC_ABI_…` is a demand on the loader.
            let ours: BTreeSet<String> = ours
                .into_iter()
                .filter(|name| !name.starts_with("GLIBC_ABI_"))
                .collect();
            let theirs = by_objdump(&file);
            assert!(
                theirs.is_subset(&ours),
                "{name} {}: {theirs:?}, {ours:?}",
                entry.path
            );
            for one in &elf.versions {
                let names = one.names.iter().map(|(name, _)| name.clone());
                taken.entry(one.library.clone()).or_default().extend(names);
            }
            fs::remove_file(&file).unwrap();
            files += 1;
        }
        assert!(files > before, "{name} has no native code");
        // The one difference: auditwheel leaves out the loader, whose versions are the C library's.
        taken.retain(|library, _| !library.starts_with("ld-linux"));
        assert_eq!(taken, by_auditwheel(&auditwheel, &path), "{name}");
        wheels += 1;
    }
    eprintln!("{wheels} wheels, {files} ELF files");
    assert!(wheels >= 60, "{wheels}");
}

/// A small file of some interpreter's, to be damaged.
fn sample() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.c");
    fs::write(
        &source,
        "extern int printf(const char *, ...); int f(void) { return printf(\"\"); }",
    )
    .unwrap();
    let path = folder.path().join("a.so");
    let output = [source.to_str().unwrap(), "-o", path.to_str().unwrap()];
    run(
        Path::new("cc"),
        &[
            &["-shared", "-fPIC", "-Wl,-soname,liba.so.1", "-Wl,-rpath,/x"],
            &output[..],
        ]
        .concat(),
    );
    fs::read(path).unwrap()
}

fn read(bytes: &[u8]) -> Code {
    Code::of("a.so", bytes)
}

/// The same in chunks: what is found does not depend on how the bytes come.
fn read_in_chunks(bytes: &[u8], chunk: usize) -> Code {
    let mut scanner = Scanner::new("a.so", bytes.len() as u64);
    for part in bytes.chunks(chunk) {
        scanner.feed(part);
    }
    let again = |scanner: &mut Scanner| {
        for part in bytes.chunks(chunk) {
            scanner.feed(part);
        }
        Ok(())
    };
    scanner.finish(again).unwrap()
}

#[test]
fn what_is_cut_off_is_damaged_or_whole() {
    let bytes = sample();
    let whole = read(&bytes).elf.unwrap().unwrap();
    assert_eq!(whole.soname.as_deref(), Some("liba.so.1"));
    for end in 4..bytes.len() {
        // Behind the last segment there is nothing that the loader reads.
        if let Ok(elf) = read(&bytes[..end]).elf.unwrap() {
            assert_eq!(elf, whole, "{end}");
        }
    }
}

/// How often the bytes of a file are gone through: once, and as often again as parts of it are looked for
/// that are not kept.
fn read_counting(bytes: &[u8]) -> (Result<Elf, Damaged>, usize) {
    let mut scanner = Scanner::new("a.so", bytes.len() as u64);
    scanner.feed(bytes);
    let mut times = 1;
    let again = |scanner: &mut Scanner| {
        times += 1;
        scanner.feed(bytes);
        Ok(())
    };
    let code = scanner.finish(again).unwrap();
    // Without its first bytes it is no native code at all.
    (code.elf.unwrap_or(Err(Damaged::Header)), times)
}

/// Counts and sizes of the largest kind, in each field of the headers in turn: the file is what it was, or
/// damaged, and is gone through once. What is said of it is bounded by what it has.
#[test]
fn sizes_that_lie_are_refused_at_once() {
    let bytes = sample();
    let whole = read(&bytes).elf.unwrap().unwrap();
    let segments = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    let headers = 64 + 56 * segments;
    let mut refused = BTreeMap::new();
    for width in [2, 4, 8] {
        for at in (16..headers).step_by(2) {
            for fill in [0xff, 0x7f, 0] {
                let mut damaged = bytes.clone();
                damaged[at..at + width].fill(fill);
                let (read, times) = read_counting(&damaged);
                assert_eq!(times, 1, "{at} {width} {fill}");
                match read {
                    Ok(elf) => assert!(elf.weight() <= whole.weight(), "{at} {width} {fill}"),
                    Err(why) => *refused.entry(why.to_string()).or_insert(0) += 1,
                }
            }
        }
    }
    // Each field that counts, by itself.
    let dynamic = (0..segments)
        .map(|index| 64 + 56 * index)
        .find(|at| bytes[*at..*at + 4] == 2u32.to_le_bytes());
    let dynamic = dynamic.unwrap();
    // Not 65535 program headers, which stands for a count elsewhere.
    let max = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for (what, at, width, why) in [
        ("where the program headers are", 32, 8, Damaged::Segments),
        (
            "how many program headers there are",
            56,
            2,
            Damaged::Segments,
        ),
        ("how long a program header is", 54, 2, Damaged::Segments),
        (
            "where the dynamic section is",
            dynamic + 8,
            8,
            Damaged::Dynamic,
        ),
        (
            "how long the dynamic section is",
            dynamic + 32,
            8,
            Damaged::TooMany,
        ),
    ] {
        let mut damaged = bytes.clone();
        damaged[at..at + width].copy_from_slice(&max[..width]);
        assert_eq!(read_counting(&damaged), (Err(why), 1), "{what}");
    }
    // The entries of the dynamic section: where its names are, and how long they are.
    let place = |at: usize| {
        let word = bytes[at..at + 8].try_into().unwrap();
        usize::try_from(u64::from_le_bytes(word)).unwrap()
    };
    let (start, size) = (place(dynamic + 8), place(dynamic + 32));
    let entry = |tag: u64| {
        let mut entries = (start..start + size).step_by(16);
        entries
            .find(|at| bytes[*at..*at + 8] == tag.to_le_bytes())
            .unwrap()
            + 8
    };
    for (tag, value, why) in [
        (1, u64::MAX, Damaged::Name),
        (5, u64::MAX, Damaged::Name),
        (5, 0x7fff_ffff, Damaged::Name),
        (10, u64::MAX, Damaged::TooMany),
        (10, 65 << 20, Damaged::TooMany),
        (10, 1 << 20, Damaged::Name),
        (10, 0, Damaged::Name),
        (14, u64::MAX, Damaged::Name),
        (0x6fff_fffe, u64::MAX, Damaged::Versions),
    ] {
        let mut damaged = bytes.clone();
        let at = entry(tag);
        damaged[at..at + 8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(read_counting(&damaged), (Err(why), 1), "{tag:x} {value:x}");
    }
    assert!(!refused.is_empty());
    // No bytes lie nowhere: both readers take an empty section for none.
    let mut empty = bytes.clone();
    empty[dynamic + 8..dynamic + 16].copy_from_slice(&(1_u64 << 47).to_le_bytes());
    empty[dynamic + 32..dynamic + 40].fill(0);
    let (in_one, times) = read_counting(&empty);
    assert_eq!(
        (in_one.as_ref(), times),
        (Ok(&Elf::read(&empty[..]).unwrap()), 1)
    );
    assert_eq!(in_one.unwrap().needed, [""; 0]);
}

/// Lists of versions whose next entry is themselves, or lies before them, are no lists; those that go on for
/// very long have an end.
#[test]
fn circles_end() {
    let bytes = sample();
    let whole = read(&bytes).elf.unwrap().unwrap();
    assert!(!whole.versions.is_empty());
    // Where the list begins: `DT_VERNEED`, whose address is its place in a file like this.
    let at = bytes
        .windows(8)
        .position(|word| word == 0x6fff_fffe_u64.to_le_bytes())
        .unwrap();
    let list = u64::from_le_bytes(bytes[at + 8..at + 16].try_into().unwrap());
    let list = usize::try_from(list).unwrap();
    assert_eq!(bytes[list..list + 2], [1, 0]);
    // The first entry: how many names, where they are, and where the next entry is.
    let (count, aux, next) = (list + 2, list + 8, list + 12);
    let names = list
        + usize::try_from(u32::from_le_bytes(bytes[aux..aux + 4].try_into().unwrap())).unwrap();
    let with = |changes: &[(usize, &[u8])]| {
        let mut damaged = bytes.clone();
        for (at, new) in changes {
            damaged[*at..*at + new.len()].copy_from_slice(new);
        }
        let (read, times) = read_counting(&damaged);
        assert_eq!(times, 1);
        read
    };
    // An offset is unsigned: one that overflows the file lies outside, and cannot lead back.
    let far = u32::MAX.to_le_bytes();
    let back = (u32::MAX - 15).to_le_bytes();
    for next_entry in [far, back] {
        assert_eq!(with(&[(next, &next_entry)]), Err(Damaged::Versions));
        let name_next = names + 12;
        assert_eq!(
            with(&[(count, &[2, 0]), (name_next, &next_entry)]),
            Err(Damaged::Versions)
        );
        assert_eq!(with(&[(aux, &next_entry)]), Err(Damaged::Versions));
    }
    // The largest count, of names that lie in one another: the list ends where it says 0.
    let ended = with(&[(count, &[0xff, 0xff]), (names + 12, &[0; 4])]).unwrap();
    assert_eq!(ended.versions[0].names.len(), 1);
    // What a step of one byte finds is no list, or one that ends.
    match with(&[(count, &[0xff, 0xff]), (names + 12, &1u32.to_le_bytes())]) {
        Ok(elf) => assert!(elf.weight() < 1 << 20),
        Err(why) => assert!(matches!(
            why,
            Damaged::Versions | Damaged::Name | Damaged::TooMany
        )),
    }
    // Each word of the file in turn: one of them is each `next`.
    for at in (0..bytes.len().min(4096) - 4).step_by(4) {
        for next in [0u32, 1, 4, u32::MAX, u32::MAX - 15] {
            match with(&[(at, &next.to_le_bytes())]) {
                Ok(elf) => assert!(elf.weight() < 2 << 20, "{at} {next}"),
                Err(Damaged::Header) => assert!(at < 64, "{at} {next}"),
                Err(_) => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn damaged_bytes_make_no_panic(flips in prop::collection::vec((0usize..16384, any::<u8>()), 1..20), chunk in 1usize..5000) {
        let mut bytes = sample_once().clone();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        prop_assert_eq!(read(&bytes), read_in_chunks(&bytes, chunk));
    }
}

fn sample_once() -> &'static Vec<u8> {
    static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(sample)
}
