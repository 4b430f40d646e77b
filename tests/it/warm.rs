//! What is not done again: a Python that notes each of its starts tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use prebuild::digest::Digest;

use crate::support::sandbox::{Sandbox, digest};
use crate::support::wheel::WheelBuilder;

/// An interpreter that writes a line to a file whenever it starts.
struct Counted {
    python: String,
    starts: PathBuf,
}

impl Counted {
    fn new(sandbox: &Sandbox) -> Self {
        let venv = sandbox.work().join("venv");
        let status = Command::new("python3")
            .args(["-m", "venv", "--without-pip", "--system-site-packages"])
            .arg(&venv)
            .status()
            .unwrap();
        assert!(status.success());
        let starts = sandbox.work().join("starts");
        let note = format!("open({:?}, 'a').write('x')\n", starts.display().to_string());
        let lib = fs::read_dir(venv.join("lib")).unwrap().next().unwrap();
        let site = lib.unwrap().path().join("site-packages");
        fs::write(site.join("sitecustomize.py"), note).unwrap();
        let counted = Self {
            python: venv.join("bin/python").display().to_string(),
            starts,
        };
        // Its first start leaves bytecode there; and what changed in the last two seconds could change
        // again unseen, so it would not be kept.
        let started = Command::new(&counted.python)
            .args(["-c", ""])
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .status();
        assert!(started.unwrap().success() && counted.starts() == 1);
        thread::sleep(Duration::from_millis(2100));
        counted
    }

    /// How often it was started since it was asked last.
    fn starts(&self) -> usize {
        let text = fs::read_to_string(&self.starts).unwrap_or_default();
        let _ = fs::remove_file(&self.starts);
        text.len()
    }
}

fn hash(wheel: &Path) -> String {
    Digest::of(&fs::read(wheel).unwrap()).to_string()
}

/// Two wheels, of which one needs the other.
fn wheels(sandbox: &Sandbox) -> [PathBuf; 2] {
    let one = WheelBuilder::new("one", "1.0")
        .file("one.py", "x = 1\n")
        .requires("two>=1");
    let two = WheelBuilder::new("two", "2.0").file("two.py", "x = 2\n");
    [one.build(&sandbox.links()), two.build(&sandbox.links())]
}

fn build(sandbox: &Sandbox, counted: &Counted) -> (String, String, usize) {
    let output = ["-o", "deps.tar.gz", "-v", "--cache-dir", "cache"];
    let python = ["requirements.txt", "--python", &counted.python];
    let ran = sandbox.offline(&[&python[..], &output].concat()).ok();
    let digest = digest(&sandbox.work().join("deps.tar.gz"));
    (digest.to_string(), ran.stderr, counted.starts())
}

#[test]
fn wheels_by_path_need_no_python() {
    let sandbox = Sandbox::new();
    let [one, two] = wheels(&sandbox);
    let counted = Counted::new(&sandbox);
    let list = format!("{}\n{}\n", one.display(), two.display());
    sandbox.write("requirements.txt", list);
    let args = ["requirements.txt", "--python", &counted.python, "--no-deps"];
    let args = [&args[..], &["--cache-dir", "cache"]].concat();
    sandbox.offline(&args).ok();
    assert!(counted.starts() > 0, "what it says of itself is asked");
    sandbox.offline(&args).ok();
    assert_eq!(counted.starts(), 0);
}

#[test]
fn what_has_hashes_is_resolved_once() {
    let sandbox = Sandbox::new();
    let [one, two] = wheels(&sandbox);
    let counted = Counted::new(&sandbox);
    let locked = format!(
        "one==1.0 --hash={}\ntwo==2.0 --hash={}\n",
        hash(&one),
        hash(&two)
    );
    sandbox.write("requirements.txt", &locked);
    let (cold, said, starts) = build(&sandbox, &counted);
    assert!(!said.contains("pip resolves") && starts > 0, "{said}");
    let (warm, said, starts) = build(&sandbox, &counted);
    assert_eq!((&warm, starts), (&cold, 0), "{said}");
    assert!(said.contains("install  2 wheels"), "{said}");

    // The answer is kept, the wheels are not: they are got, as they were.
    fs::remove_dir_all(sandbox.work().join("cache/wheels-v5")).unwrap();
    let (again, said, starts) = build(&sandbox, &counted);
    assert_eq!((&again, starts), (&cold, 0), "{said}");

    // A damaged answer is looked for anew.
    for entry in walk(&sandbox.work().join("cache/resolutions-v3")) {
        fs::write(entry, "{").unwrap();
    }
    let (again, said, starts) = build(&sandbox, &counted);
    assert_eq!((&again, starts), (&cold, 0), "{said}");

    // Another hash is another question, and a wrong one is refused.
    let wrong = locked.replace(&hash(&two), &Digest::of(b"").to_string());
    sandbox.write("requirements.txt", wrong);
    let args = ["requirements.txt", "--python", &counted.python];
    let ran = sandbox.offline(&[&args[..], &["--cache-dir", "cache"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    // What is not closed is refused as often as it is asked.
    let open = locked.lines().next().unwrap().to_owned() + "\n";
    sandbox.write("requirements.txt", open);
    for _ in 0..2 {
        let ran = sandbox.offline(&[&args[..], &["--cache-dir", "cache"]].concat());
        insta::assert_snapshot!(ran.fails_with(2));
    }
}

#[test]
fn pins_without_hashes_that_are_closed_need_no_pip() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    let counted = Counted::new(&sandbox);
    sandbox.write("requirements.txt", "one==1.0\ntwo==2.0\n");
    let (first, said, _) = build(&sandbox, &counted);
    assert!(!said.contains("pip resolves"), "{said}");
    let (again, said, starts) = build(&sandbox, &counted);
    assert_eq!((&again, starts), (&first, 0), "{said}");
    // What they leave open, pip is asked for, every time.
    sandbox.write("requirements.txt", "one==1.0\n");
    for _ in 0..2 {
        let (open, said, starts) = build(&sandbox, &counted);
        assert!(
            said.contains("pip resolves: one requires `two>=1`") && starts > 0,
            "{said}"
        );
        assert_ne!(open, first, "two is no more one that was asked for");
    }
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.ends_with("resolution.json") {
            found.push(path);
        }
    }
    found
}
