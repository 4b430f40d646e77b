//! Lock files: written, used, refused; those of other tools; projects; other targets.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::sandbox::{Sandbox, digest, names};
use crate::support::wheel::{WheelBuilder, project, sdist};

/// Two wheels, of which one needs the other, and a newer one of that.
fn wheels(sandbox: &Sandbox) {
    let one = WheelBuilder::new("one", "1.0")
        .file("one.py", "x = 1\n")
        .requires("two>=1");
    one.build(&sandbox.links());
    two(sandbox, "2.0");
}

fn two(sandbox: &Sandbox, version: &str) {
    let two = WheelBuilder::new("two", version).file("two.py", version);
    two.build(&sandbox.links());
}

/// The distributions that a plan has, in their order.
fn planned(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let ran = sandbox.offline(&[&["plan", "--format", "json"], args].concat());
    let plan: Value = serde_json::from_str(&ran.ok().stdout).unwrap();
    let items = plan["distributions"].as_array().unwrap().iter();
    items
        .map(|item| {
            let (name, version) = (item["name"].as_str(), item["version"].as_str());
            format!("{} {}", name.unwrap(), version.unwrap())
        })
        .collect()
}

#[test]
fn a_lock_that_holds_gives_the_same_bytes_without_pip() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one\n");
    let built = || {
        let ran = sandbox.offline(&["requirements.txt", "-v"]).ok();
        (digest(&sandbox.work().join("deps.tar.gz")), ran.stderr)
    };
    let (unlocked, said) = built();
    assert!(said.contains("pip is asked"), "{said}");
    let ran = sandbox.offline(&["lock", "requirements.txt"]).ok();
    assert_eq!(ran.stdout, "pylock.toml\n");
    fs::remove_file(sandbox.work().join("deps.tar.gz")).unwrap();
    let (locked, said) = built();
    assert_eq!(locked, unlocked);
    assert!(!said.contains("pip is asked"), "{said}");

    // What is newer now changes nothing, until the requirements do.
    two(&sandbox, "3.0");
    assert_eq!(built().0, unlocked);
    let locked = ["requirements.txt", "--locked"];
    sandbox.offline(&locked).ok();
    sandbox.write("requirements.txt", "one\n# a comment\n");
    let (newer, said) = built();
    assert_ne!(newer, unlocked);
    assert!(
        said.contains("`pylock.toml` is not used: `requirements.txt` has changed"),
        "{said}"
    );
    sandbox
        .offline(&locked)
        .fails(2, &["`requirements.txt` has changed", "`prebuild lock`"]);
    // Locked again, what was locked stays.
    sandbox.offline(&["lock", "requirements.txt"]).ok();
    assert_eq!(built().0, unlocked);
    sandbox
        .offline(&["lock", "requirements.txt", "-P", "two"])
        .ok();
    assert_eq!(built().0, newer);
}

#[test]
fn what_changes_makes_a_lock_stale() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("app.txt", "one\n");
    sandbox.offline(&["app.txt", "--locked"]).fails(
        2,
        &["the lock file `pylock.app.toml` cannot be used: it is not there"],
    );
    sandbox.offline(&["lock", "app.txt"]).ok();
    assert_eq!(names(&sandbox.work()), ["app.txt", "pylock.app.toml"]);
    sandbox.offline(&["app.txt", "--locked"]).ok();
    let other = ["app.txt", "--locked", "--prefer-binary"];
    sandbox
        .offline(&other)
        .fails(2, &["`prefer-binary = 1` is new"]);
    let elsewhere = ["app.txt", "--locked", "--python", "3.13"];
    sandbox
        .offline(&[&elsewhere[..], &["--platform", "musllinux_1_2_aarch64"]].concat())
        .fails(2, &["it is for cpython 3.11 on linux-x86_64 with glibc, and this is cpython 3.13 on linux-aarch64 with musl"]);
    // Requirements that fit no more with what was locked are decided anew.
    two(&sandbox, "3.0");
    sandbox.write("app.txt", "one\ntwo>=3\n");
    let ran = sandbox.offline(&["lock", "app.txt"]).ok();
    assert!(ran.stderr.contains("all is decided anew"), "{}", ran.stderr);
    assert!(planned(&sandbox, &["app.txt"]).contains(&"two 3.0".to_owned()));
    // A lock of another tool's is told of, and left alone.
    sandbox.write("pylock.app.toml", FOREIGN);
    let ran = sandbox.offline(&["app.txt"]).ok();
    assert!(
        ran.stderr.contains("prebuild did not write it"),
        "{}",
        ran.stderr
    );
}

const FOREIGN: &str = "lock-version = \"1.0\"\ncreated-by = \"me\"\npackages = []\n";

#[test]
fn a_lock_as_requirements_is_closed() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("in.txt", "one\n");
    let args = ["lock", "in.txt", "--format", "requirements"];
    let text = sandbox.offline(&args).ok().stdout;
    assert!(
        text.contains("two==2.0 \\\n    --hash=sha256:") && text.contains("# via one\n"),
        "{text}"
    );
    assert!(text.contains("# via in.txt:1\n"), "{text}");
    sandbox.write("requirements.txt", &text);
    let ran = sandbox.offline(&["requirements.txt", "-v"]).ok();
    assert!(!ran.stderr.contains("pip is asked"), "{}", ran.stderr);
    let args = ["plan", "in.txt", "--format", "pylock"];
    sandbox.write("pylock.toml", sandbox.offline(&args).ok().stdout);
    assert_eq!(
        planned(&sandbox, &["pylock.toml"]),
        planned(&sandbox, &["in.txt"])
    );
}

/// What pip 26.3 and uv write, for the interpreters that it fits.
#[test]
fn locks_of_other_tools_are_read() {
    let sandbox = Sandbox::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pylock");
    let of = |name: &str, args: &[&str]| {
        let file = folder.join(name).display().to_string();
        planned(&sandbox, &[&[file.as_str()], args].concat())
    };
    let common = [
        "urllib3 2.8.0",
        "requests 2.34.2",
        "idna 3.20",
        "charset-normalizer 3.5.2",
        "certifi 2026.10.18",
    ];
    let with = |more: &[&str]| {
        let mut all: Vec<String> = common.iter().chain(more).map(ToString::to_string).collect();
        all.sort();
        all
    };
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    assert_eq!(sorted(of("pylock.pip.toml", &[])), with(&["pysocks 1.7.1"]));
    let uv = |args: &[&str]| sorted(of("pylock.uv.toml", args));
    assert_eq!(uv(&[]), with(&["click 8.5.1", "iniconfig 2.3.1"]));
    let old = uv(&["--python", "3.9", "--platform", "linux/arm64"]);
    assert!(
        old.iter().any(|one| one.starts_with("tomli ")) && !old.contains(&"click 8.5.1".to_owned()),
        "{old:?}"
    );
}

const MARKED: &str = r#"lock-version = "1.0"
created-by = "hand"
extras = ["cli"]
dependency-groups = ["dev", "docs"]
default-groups = ["docs"]

[[packages]]
name = "always"
version = "1.0"
archive = { path = "links/always-1.0-py3-none-any.whl", hashes = { sha256 = "HASH" } }

[[packages]]
name = "ofcli"
version = "1.0"
marker = "'cli' in extras"
wheels = [{ path = "links/ofcli-1.0-py3-none-any.whl", hashes = { sha256 = "HASH" } }]

[[packages]]
name = "ofdev"
version = "1.0"
marker = "'dev' in dependency_groups and python_version >= '3'"
wheels = [{ path = "links/ofdev-1.0-py3-none-any.whl", hashes = { sha256 = "HASH" } }]

[[packages]]
name = "ofdocs"
version = "1.0"
marker = "'docs' in dependency_groups"
wheels = [{ path = "links/ofdocs-1.0-py3-none-any.whl", hashes = { sha256 = "HASH" } }]
"#;

#[test]
fn extras_and_groups_of_a_lock() {
    let sandbox = Sandbox::new();
    let folder = sandbox.work().join("links");
    fs::create_dir(&folder).unwrap();
    let mut text = MARKED.to_owned();
    for name in ["always", "ofcli", "ofdev", "ofdocs"] {
        let wheel = WheelBuilder::new(name, "1.0")
            .file(&format!("{name}.py"), "")
            .build(&folder);
        text = text.replacen("HASH", &digest(&wheel).hex(), 1);
    }
    sandbox.write("pylock.toml", &text);
    for (args, expected) in [
        (&[][..], &["ofdocs 1.0", "always 1.0"][..]),
        (
            &["--extra", "CLI"],
            &["ofdocs 1.0", "ofcli 1.0", "always 1.0"],
        ),
        (&["--group", "dev"], &["ofdev 1.0", "always 1.0"]),
    ] {
        assert_eq!(
            planned(&sandbox, &[&["pylock.toml"], args].concat()),
            expected
        );
    }
    sandbox.offline(&["pylock.toml", "--extra", "cli"]).ok();
    sandbox
        .offline(&["pylock.toml", "--extra", "gui"])
        .fails(2, &["`pylock.toml` has no extra `gui`, only `cli`"]);
    sandbox
        .offline(&["pylock.toml", "other.txt"])
        .fails(2, &["name nothing besides"]);
    sandbox
        .offline(&["pylock.toml", "--installer", "pip"])
        .fails(2, &["it has no use for a lock file"]);
    // A hash that is another file's.
    let wrong = text.replacen("sha256 = \"", "sha256 = \"0000", 1);
    let wrong = wrong.replacen("0000", "", 1).replacen(
        &text[text.find("sha256 = \"").unwrap() + 10..][..4],
        "0000",
        1,
    );
    sandbox.write("pylock.toml", wrong);
    sandbox
        .offline(&["pylock.toml"])
        .fails(1, &["has other bytes than it should"]);
}

/// Each text is wrong in one place, which is told with the line and a caret.
#[test]
fn malformed_locks_are_explained() {
    let sandbox = Sandbox::new();
    let mut told = String::new();
    let package = "[[packages]]\nname = \"a\"\n";
    let wheel = "wheels = [{ url = \"https://host/a-1-py3-none-any.whl\", hashes = { sha256 = ";
    for text in [
        "",
        "lock-version = 1",
        "lock-version = \"2.0\"",
        "lock-version = \"1.0\"",
        "lock-version = \"1.0\"\npackages = 1",
        "lock-version = \"1.0\"\npackages = [1]",
        "lock-version = \"1.0\nx",
        "lock-version = \"1.0\"\nenvironments = [\"python_version\"]\npackages = []",
        "lock-version = \"1.0\"\nrequires-python = \"3\"\npackages = []",
        "lock-version = \"1.0\"\nenvironments = [\"sys_platform == 'win32'\"]\npackages = []",
        "lock-version = \"1.0\"\nrequires-python = \"<3\"\npackages = []",
        "lock-version = \"1.0\"\n[[packages]]\nversion = \"1\"",
        &format!("lock-version = \"1.0\"\n{package}"),
        &format!(
            "lock-version = \"1.0\"\n{package}marker = \"extras == 'x'\"\n{wheel}\"00\" }} }}]"
        ),
        &format!("lock-version = \"1.0\"\n{package}{wheel}\"00\" }} }}]"),
        &format!("lock-version = \"1.0\"\n{package}wheels = [{{ hashes = {{}} }}]"),
        &format!("lock-version = \"1.0\"\n{package}wheels = [{{ url = \"nowhere\" }}]"),
        &format!("lock-version = \"1.0\"\n{package}wheels = []\nvcs = {{}}"),
        &format!(
            "lock-version = \"1.0\"\n{package}vcs = {{ url = \"https://host/a\", type = \"git\" }}"
        ),
        &format!(
            "lock-version = \"1.0\"\n{package}wheels = [{{ url = \"https://host/a-1-cp38-cp38-win32.whl\", size = -1, hashes = {{ sha256 = \"{}\" }} }}]",
            "0".repeat(64)
        ),
        &format!(
            "lock-version = \"1.0\"\n{package}wheels = [{{ url = \"https://host/a-1-cp38-cp38-win32.whl\", hashes = {{ sha256 = \"{}\" }} }}]",
            "0".repeat(64)
        ),
        &format!("lock-version = \"1.0\"\n{package}wheels = []\nrequires-python = \"<3\"\n"),
        &format!(
            "lock-version = \"1.0\"\n{package}directory = {{ path = \".\" }}\n{package}directory = {{ path = \".\" }}\n"
        ),
    ] {
        sandbox.write("pylock.toml", text);
        let ran = sandbox.offline(&["plan", "pylock.toml"]);
        assert_eq!(ran.code, Some(2), "{text}: {}", ran.stderr);
        let error = ran.stderr.find("error:").unwrap();
        told.push_str(&ran.stderr[error..]);
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_project_is_an_input() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    WheelBuilder::new("three", "1.0").build(&sandbox.links());
    sandbox.write(
        "pyproject.toml",
        "[project]\nname = \"x\"\ndependencies = [\"one\"]\n[project.optional-dependencies]\nmore = [\"three\"]\n[dependency-groups]\ndev = [\"two\"]\n",
    );
    let plan = |args: &[&str]| planned(&sandbox, &[&["pyproject.toml"], args].concat());
    assert_eq!(plan(&[]), ["two 2.0", "one 1.0"]);
    assert_eq!(
        plan(&["--extra", "more", "--group", "dev"]),
        ["two 2.0", "three 1.0", "one 1.0"]
    );
    sandbox
        .offline(&["lock", "pyproject.toml", "--extra", "more"])
        .ok();
    let locked = ["pyproject.toml", "--locked", "--extra", "more"];
    sandbox.offline(&locked).ok();
    sandbox
        .offline(&["pyproject.toml", "--locked"])
        .fails(2, &["extra"]);
    sandbox.write("requirements.txt", "one\n");
    sandbox
        .offline(&["requirements.txt", "--extra", "more"])
        .fails(2, &["--extra and --group"]);
}

/// For another machine there is no builder: wheels are found, and what has none is refused by name.
#[test]
fn other_targets_need_no_builder() {
    let sandbox = Sandbox::new();
    let arm = "cp312-cp312-manylinux_2_17_aarch64";
    let musl = "cp312-cp312-musllinux_1_1_x86_64";
    for tag in [arm, musl] {
        let module = format!("native/{tag}.so");
        WheelBuilder::new("native", "1.0")
            .platform(tag)
            .file(&module, "x")
            .build(&sandbox.links());
    }
    WheelBuilder::new("pure", "1.0")
        .file("pure.py", "")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "native==1.0\npure==1.0\n");
    let python = ["requirements.txt", "--python", "3.12", "-o", "a.tar.gz"];
    let platforms = [
        "--platform",
        "linux/arm64",
        "--platform",
        "musllinux_1_2_x86_64",
    ];
    let ran = sandbox.offline(&[&python[..], &platforms].concat()).ok();
    let outputs: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(
        outputs,
        [
            "a-manylinux_2_28_aarch64.tar.gz",
            "a-musllinux_1_2_x86_64.tar.gz"
        ]
    );
    for (output, tag) in outputs.iter().zip([arm, musl]) {
        let files = crate::support::sandbox::unpacked(&sandbox.work().join(output));
        let module = format!("lib/python3.12/site-packages/native/{tag}.so");
        assert!(files.contains_key(&module), "{files:?}");
    }
    let riscv = ["--platform", "linux/riscv64"];
    sandbox.offline(&[&python[..], &riscv].concat()).fails(
        1,
        &["requirements.txt:1:1: native==1.0 cannot be had for CPython 3.12.0 on linux-riscv64"],
    );
    fs::write(sandbox.links().join("source-1.0.tar.gz"), "").unwrap();
    sandbox.write("requirements.txt", "pure==1.0\nsource==1.0\n");
    sandbox
        .offline(&[&python[..], &riscv].concat())
        .fails(1, &["requirements.txt:2:1: `source` has to be built"]);
    sandbox.write("requirements.txt", "pure\n");
    sandbox
        .offline(&[&python[..], &riscv].concat())
        .fails(1, &["only pip could go on: `pure` is not pinned"]);
}

/// What nothing has changed of is left as it lies; what was touched is written again.
#[test]
fn a_build_of_which_nothing_has_changed_writes_nothing() {
    use std::os::unix::fs::MetadataExt as _;
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one==1.0\ntwo==2.0\n");
    let output = sandbox.work().join("deps.tar.gz");
    let inode = || fs::metadata(&output).unwrap().ino();
    let news = "nothing has changed since it was written";
    let build = |args: &[&str]| {
        let ran = sandbox.offline(&[&["requirements.txt"], args].concat());
        ran.ok().stderr.contains(news)
    };
    assert!(!build(&[]));
    let (first, whole) = (inode(), fs::read(&output).unwrap());
    assert!(build(&[]));
    assert_eq!(inode(), first);
    for change in [
        |path: &Path| fs::write(path, "x").unwrap(),
        |path: &Path| fs::remove_file(path).unwrap(),
        |path: &Path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, bytes).unwrap();
        },
    ] {
        change(&output);
        assert!(!build(&[]));
        assert_eq!(fs::read(&output).unwrap(), whole);
    }
    assert!(build(&[]));
    // Other options are another build.
    assert!(!build(&["--dest", "/opt/app"]));
    assert!(!build(&["--compile"]));
    assert!(build(&["--compile"]));
    sandbox.write("requirements.txt", "two==2.0\n");
    assert!(!build(&["--compile"]));
}

/// pip 22.3 has no report that could be read: what it downloads is found again.
#[test]
fn a_pip_that_cannot_say_downloads() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one\n");
    let python = crate::support::python::with_pip("22.3.1");
    let python = python.display().to_string();
    let args = ["requirements.txt", "--python", &python];
    assert_eq!(planned(&sandbox, &args), ["two 2.0", "one 1.0"]);
    let lock = [&["lock"], &args[..]].concat();
    sandbox.offline(&lock).ok();
    let ran = sandbox.offline(&[&args[..], &["--locked"]].concat()).ok();
    assert!(ran.stderr.contains("install  2 wheels"), "{}", ran.stderr);
}

#[test]
fn offline_pip_is_not_asked() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "one\n");
    sandbox.run(&["requirements.txt", "--offline"]).fails(
        1,
        &["nothing is fetched with --offline: `one` is not pinned"],
    );
    // Where no index is asked anyway, pip may be.
    wheels(&sandbox);
    sandbox.offline(&["requirements.txt", "--offline"]).ok();
}

/// What a lock has as sources, pip builds, and holds against the hash.
#[test]
fn sources_of_a_lock_are_built() {
    let sandbox = Sandbox::new();
    project(&sandbox.work().join("here"), "here", "");
    let there = sandbox.links().join("there");
    project(&there, "there", "");
    let archive = sdist(&sandbox.work(), &there, "there");
    let name = archive.file_name().unwrap().to_string_lossy().into_owned();
    let lock = |hash: &str| {
        format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"here\"\ndirectory = {{ path = \"here\" }}\n[[packages]]\nname = \"there\"\nversion = \"1.0\"\nsdist = {{ path = \"{name}\", hashes = {{ sha256 = \"{hash}\" }} }}\n"
        )
    };
    sandbox.write("pylock.toml", lock(&digest(&archive).hex()));
    let ran = sandbox.offline(&["pylock.toml", "--format", "json"]).ok();
    let built: Value = serde_json::from_str(&ran.stdout).unwrap();
    let names: Vec<_> = built["distributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["here", "there"]);
    sandbox.write("pylock.toml", lock(&"0".repeat(64)));
    sandbox.offline(&["pylock.toml"]).fails(1, &["there"]);
    let target = ["--python", "3.12", "--platform", "linux/arm64"];
    sandbox
        .offline(&[&["pylock.toml"], &target[..]].concat())
        .fails(1, &["there, here must be built"]);
}
