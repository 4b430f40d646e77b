//! Wheels that are installed here, and what is kept of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::sandbox::{Sandbox, digest, unpacked};
use crate::support::wheel::WheelBuilder;

const FORMATS: [&str; 5] = ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip", "a/"];

/// A requirements file that names wheels by their paths, so that nothing has to be asked.
fn by_path(sandbox: &Sandbox) {
    let noise: Vec<u8> = (0..300_000u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 17).to_le_bytes()[0])
        .collect();
    let text = "def f():\n    return 'text that compresses'\n".repeat(500);
    let one = WheelBuilder::new("one", "1.0")
        .file("one/noise.bin", &noise)
        .file("one/text.py", &text)
        .console_script("one", "one.text:f")
        .build(&sandbox.links());
    let two = WheelBuilder::new("two", "2.0")
        .file("two.py", "x = 2\n")
        .build(&sandbox.links());
    let list = format!("{}\n{}\n", one.display(), two.display());
    sandbox.write("requirements.txt", list);
}

fn build<'a>(outputs: &'a [&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "requirements.txt",
        "--no-deps",
        "--no-index",
        "--cache-dir",
        "cache",
        "--force",
    ];
    args.extend(outputs.iter().flat_map(|output| ["-o", *output]));
    args.extend(more);
    args
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn cold_or_warm_or_without_a_cache_the_bytes_are_the_same() {
    let sandbox = Sandbox::new();
    by_path(&sandbox);
    let all = |sandbox: &Sandbox| {
        FORMATS[..4]
            .iter()
            .map(|name| digest(&sandbox.work().join(name)))
            .collect::<Vec<_>>()
    };
    sandbox.run(&build(&FORMATS, &[])).ok();
    let cold = all(&sandbox);
    sandbox.run(&build(&FORMATS, &[])).ok();
    assert_eq!(all(&sandbox), cold);
    let mut args = vec![
        "requirements.txt",
        "--no-deps",
        "--no-index",
        "--no-cache",
        "--force",
    ];
    args.extend(FORMATS[..4].iter().flat_map(|output| ["-o", *output]));
    sandbox.run(&args).ok();
    assert_eq!(all(&sandbox), cold);
    let files = unpacked(&sandbox.work().join("a.tar.gz"));
    assert!(files.contains_key("bin/one"), "{:?}", files.keys());
    assert_eq!(files["bin/one"].0, 0o755);
}

#[test]
fn a_warm_build_finds_everything() {
    let sandbox = Sandbox::new();
    by_path(&sandbox);
    sandbox.run(&build(&["a.tar"], &[])).ok();
    let warm = sandbox.run(&build(&["a.tar"], &["-v"])).ok();
    assert!(!warm.stderr.contains("not in the cache"), "{}", warm.stderr);
    assert!(!warm.stderr.contains("pip resolves"), "{}", warm.stderr);
}

/// A bit that flips in anything that is kept: said, made anew, and the artifact is what it was.
#[test]
fn what_is_damaged_in_the_cache_is_made_anew() {
    for name in FORMATS {
        let sandbox = Sandbox::new();
        by_path(&sandbox);
        sandbox.run(&build(&["a.tar"], &[])).ok();
        let whole = digest(&sandbox.work().join("a.tar"));
        sandbox.run(&build(&[name], &[])).ok();
        for bucket in ["wheels-v5", "pieces-v2"] {
            for path in files(&sandbox.work().join("cache").join(bucket)) {
                let mut bytes = fs::read(&path).unwrap();
                if bytes.len() < 100 || path.ends_with("manifest.json") {
                    continue;
                }
                let middle = bytes.len() / 3;
                bytes[middle] ^= 1;
                fs::write(&path, bytes).unwrap();
                let ran = sandbox.run(&build(&[name, "b.tar"], &[])).ok();
                assert_eq!(
                    digest(&sandbox.work().join("b.tar")),
                    whole,
                    "{name} {}",
                    path.display()
                );
                drop(ran);
            }
        }
    }
}

/// The bytes come from the cache: a file that changes meanwhile, or is gone, is no matter once it is
/// kept; one that changed since is another wheel.
#[test]
fn a_path_with_another_wheel_is_noticed() {
    let sandbox = Sandbox::new();
    let wheel = WheelBuilder::new("one", "1.0")
        .file("one.py", "x = 1\n")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", format!("{}\n", wheel.display()));
    sandbox.run(&build(&["a.tar"], &[])).ok();
    let before = digest(&sandbox.work().join("a.tar"));
    WheelBuilder::new("one", "1.0")
        .file("one.py", "x = 2\n")
        .build(&sandbox.links());
    sandbox.run(&build(&["a.tar"], &[])).ok();
    assert_ne!(digest(&sandbox.work().join("a.tar")), before);
}

#[test]
fn hashes_that_are_asked_for_are_checked() {
    let sandbox = Sandbox::new();
    let wheel = WheelBuilder::new("one", "1.0")
        .file("one.py", "x = 1\n")
        .build(&sandbox.links());
    let right = digest(&wheel).hex();
    for (hash, fits) in [(right.as_str(), true), (&"0".repeat(64), false)] {
        let line = format!("{} --hash=sha256:{hash}\n", wheel.display());
        sandbox.write("requirements.txt", line);
        // Cold, and again when the wheel is known.
        for _ in 0..2 {
            let ran = sandbox.run(&build(&["a.tar"], &[]));
            if fits {
                ran.ok();
            } else {
                insta::assert_snapshot!(ran.fails_with(1));
            }
        }
    }
}

/// pip resolves, and the two installers make the same of it.
#[test]
fn a_built_wheel_is_kept_and_said() {
    let sandbox = Sandbox::new();
    let folder = sandbox.links().join("proj");
    crate::support::wheel::project(&folder, "proj", "pass");
    let sdist = crate::support::wheel::sdist(&sandbox.links(), &folder, "proj");
    sandbox.write(
        "requirements.txt",
        format!("proj @ file://{}\n", sdist.display()),
    );
    let args = |more: &[&'static str]| {
        let mut args = vec![
            "requirements.txt",
            "--no-index",
            "--cache-dir",
            "cache",
            "-o",
            "a.tar",
        ];
        args.extend(more);
        args
    };
    let first = sandbox.run(&args(&["-v"])).ok();
    assert!(
        first.stderr.contains("built from source: proj"),
        "{}",
        first.stderr
    );
    let again = sandbox.run(&args(&["-v"])).ok();
    assert!(
        again.stderr.contains("built from source: proj"),
        "{}",
        again.stderr
    );
    assert!(!again.stderr.contains("of 1 wheels"), "{}", again.stderr);
}

/// Bytecode: the same from both installers, kept once it is made, and in `RECORD`.
#[test]
fn bytecode_is_made_once_and_is_the_same_from_both_installers() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("one", "1.0")
        .file("one/__init__.py", "x = {'a', 'b', 'c'}\n")
        .file("one/sub/deep.py", "def f():\n    return 1\n")
        .file("one/template.py", "this is {{no}} python\n")
        .data("purelib/more.py", "y = 1\n")
        .data("scripts/tool.py", "#!python\nz = 1\n")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "one\n");
    let pip = [
        "requirements.txt",
        "--compile",
        "--installer",
        "pip",
        "-o",
        "pip.tar.gz",
    ];
    sandbox.offline(&pip).ok();
    let wheel = [
        "requirements.txt",
        "--compile",
        "--cache-dir",
        "cache",
        "-o",
        "wheel.tar.gz",
    ];
    sandbox.offline(&wheel).ok();
    let cold = digest(&sandbox.work().join("wheel.tar.gz"));
    let bytecode = |name: &str| {
        let mut files = unpacked(&sandbox.work().join(name));
        files.retain(|path, _| path.contains(".pyc"));
        files
    };
    assert_eq!(bytecode("pip.tar.gz"), bytecode("wheel.tar.gz"));
    assert_eq!(bytecode("wheel.tar.gz").len(), 3);
    let files = unpacked(&sandbox.work().join("wheel.tar.gz"));
    let (_, (_, record)) = files
        .iter()
        .find(|(path, _)| path.ends_with("one-1.0.dist-info/RECORD"))
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(record)
            .matches(".pyc,sha256=")
            .count(),
        3
    );
    sandbox.offline(&wheel).ok();
    assert_eq!(digest(&sandbox.work().join("wheel.tar.gz")), cold);
}
