//! What is read of ELF files, held against binutils and auditwheel, and against files that lie.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use prebuild::code::{Code, Elf, Scanner};
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

/// Counts and sizes of the largest kind, in each field of the headers in turn.
#[test]
fn sizes_that_lie_are_refused_at_once() {
    let bytes = sample();
    let headers = 64 + 56 * usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    for width in [2, 4, 8] {
        for at in (16..headers).step_by(2) {
            for fill in [0xff, 0x7f, 0] {
                let mut damaged = bytes.clone();
                damaged[at..at + width].fill(fill);
                let _ = read(&damaged);
            }
        }
    }
}

/// Lists of versions whose next entry is themselves, or before them.
#[test]
fn circles_end() {
    let bytes = sample();
    let whole = read(&bytes).elf.unwrap().unwrap();
    assert!(!whole.versions.is_empty());
    // Each word of the file in turn: one of them is `vn_next`.
    for at in (0..bytes.len().min(4096) - 4).step_by(4) {
        for next in [0u32, 1, 4, u32::MAX, u32::MAX - 15] {
            let mut damaged = bytes.clone();
            damaged[at..at + 4].copy_from_slice(&next.to_le_bytes());
            let _ = read(&damaged);
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
