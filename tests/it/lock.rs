//! Lock files: written, used, refused; those of other tools; projects; other targets.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::sandbox::{Ran, Sandbox, digest, names};
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
    assert!(said.contains("pip resolves"), "{said}");
    let ran = sandbox.offline(&["lock", "requirements.txt"]).ok();
    assert_eq!(ran.stdout, "pylock.toml\n");
    fs::remove_file(sandbox.work().join("deps.tar.gz")).unwrap();
    let (locked, said) = built();
    assert_eq!(locked, unlocked);
    assert!(!said.contains("pip resolves"), "{said}");

    // What is newer now changes nothing, until the requirements do.
    two(&sandbox, "3.0");
    assert_eq!(built().0, unlocked);
    let locked = ["requirements.txt", "--locked"];
    sandbox.offline(&locked).ok();
    // Another spelling of the same requirements is no change.
    sandbox.write("requirements.txt", "# a comment\n\n  One\n");
    assert_eq!(built().0, unlocked);
    sandbox.offline(&locked).ok();
    let lock = fs::read(sandbox.work().join("pylock.toml")).unwrap();
    let said = sandbox.offline(&["lock", "requirements.txt"]).ok().stderr;
    assert!(
        said.ends_with("locked  2 distributions, unchanged\n"),
        "{said}"
    );
    assert_eq!(fs::read(sandbox.work().join("pylock.toml")).unwrap(), lock);
    let upgrade = ["lock", "requirements.txt", "-q", "-P", "two"];
    let said = sandbox.offline(&upgrade).ok().stderr;
    assert_eq!(said, "Updated two 2.0 → 3.0\n");
    assert_ne!(built().0, unlocked);
    let said = sandbox.offline(&upgrade).ok().stderr;
    assert_eq!(said, "");
}

/// Versions stay where the requirements still admit them; what changes is told, with `-q` too.
#[test]
fn old_versions_are_preferred() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    WheelBuilder::new("kept", "1.0").build(&sandbox.links());
    sandbox.write("requirements.txt", "one\nkept\n");
    sandbox.offline(&["lock", "requirements.txt"]).ok();
    two(&sandbox, "3.0");
    WheelBuilder::new("kept", "2.0").build(&sandbox.links());
    WheelBuilder::new("more", "1.0").build(&sandbox.links());
    let out_of_date = |what: &str| {
        format!(
            "warning: `pylock.toml` is out of date: {what}. prebuild keeps its versions where the requirements allow them. To update it, run `prebuild lock`\n"
        )
    };
    let said = |args: &[&str]| sandbox.offline(&[args, &["-q"]].concat()).ok().stderr;
    let build = || said(&["requirements.txt"]);

    // A line more: nothing else moves.
    sandbox.write("requirements.txt", "one\nkept\nmore\n");
    let added = out_of_date("`more` was added (requirements.txt:3:1)") + "Added more 1.0\n";
    assert_eq!(build(), added);
    assert_eq!(said(&["plan", "requirements.txt"]), added);
    // What excludes an old version moves that one alone, be it a requirement ...
    sandbox.write("requirements.txt", "one\nkept\ntwo>=3\n");
    let changed = "Updated two 2.0 → 3.0\n";
    assert_eq!(
        build(),
        out_of_date("`two>=3` was added (requirements.txt:3:1)") + changed
    );
    // ... or the metadata of a distribution, which only pip reads.
    let three = WheelBuilder::new("three", "1.0").requires("two>=3");
    three.build(&sandbox.links());
    sandbox.write("requirements.txt", "one\nkept\nthree\n");
    assert_eq!(
        build(),
        out_of_date("`three` was added (requirements.txt:3:1)") + "Added three 1.0\n" + changed
    );
    // What is gone is told too, and the lock file says the same.
    sandbox.write("requirements.txt", "kept\n");
    let gone = "Removed one 1.0\nRemoved two 2.0\n";
    assert_eq!(build(), out_of_date("`one` was removed") + gone);
    assert_eq!(said(&["lock", "requirements.txt"]), gone);
    assert_eq!(planned(&sandbox, &["requirements.txt"]), ["kept 1.0"]);
    assert_eq!(
        said(&["lock", "requirements.txt", "-U"]),
        "Updated kept 1.0 → 2.0\n"
    );
    // pip by itself knows no lock file, which is said.
    assert_eq!(
        said(&["requirements.txt", "--installer", "pip"]),
        "warning: `pylock.toml` is ignored: with `--installer pip`, pip resolves the requirements itself\n"
    );
    // A requirement that nothing could meet is no reason to try other versions.
    sandbox.write("requirements.txt", "kept\nnosuch\n");
    insta::assert_snapshot!(sandbox.offline(&["requirements.txt"]).fails_with(1), @r"
     builder  [BUILDER]
    warning: `pylock.toml` is out of date: `nosuch` was added (requirements.txt:2:1). prebuild keeps its versions where the requirements allow them. To update it, run `prebuild lock`
     resolve  pip [VERSION]: `kept` is not pinned
      | [OUTPUT]
    error: requirements.txt:2:1: nothing was found for `nosuch`
    hint: check the name, the index, and whether there is a wheel for the target
    ");
}

/// A pip that cannot say what it chooses keeps the versions as well.
#[test]
fn old_versions_are_preferred_by_an_old_pip() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one\n");
    sandbox.offline(&["lock", "requirements.txt"]).ok();
    two(&sandbox, "3.0");
    WheelBuilder::new("more", "1.0").build(&sandbox.links());
    sandbox.write("requirements.txt", "one\nmore\n");
    let python = crate::support::python::with_pip("22.3.1");
    let python = python.display().to_string();
    let ran = sandbox.offline(&["requirements.txt", "-q", "--python", &python]);
    let said = ran.ok().stderr;
    assert!(
        said.ends_with("run `prebuild lock`\nAdded more 1.0\n"),
        "{said}"
    );
}

#[test]
fn standard_input_is_no_change() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    WheelBuilder::new("more", "1.0").build(&sandbox.links());
    sandbox.write("a.txt", "one\n");
    let links = sandbox.links().display().to_string();
    let lock = |text: &str| {
        let args = ["lock", "a.txt", "-", "--no-index", "--find-links", &links];
        let mut child = sandbox
            .command(&args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let ran = Ran::new(&child.wait_with_output().unwrap(), &sandbox);
        let said = ran.ok().stderr;
        said.lines().last().unwrap().trim().to_owned()
    };
    assert_eq!(lock("more\n"), "locked  3 distributions, written");
    let first = fs::read_to_string(sandbox.work().join("pylock.a.toml")).unwrap();
    assert_eq!(lock("more # again\n"), "locked  3 distributions, unchanged");
    assert_eq!(lock("more>=1\n"), "locked  3 distributions, written");
    assert!(
        first.contains("requirements = [\"more\", \"one\"]"),
        "{first}"
    );
}

/// Where files are looked for is this machine's; the lock file has what was found.
#[test]
fn settings_do_not_outdate_a_lock() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one\n");
    sandbox.write("limits.txt", "two<9\n");
    let links = sandbox.links().display().to_string();
    let limits = sandbox.work().join("limits.txt").display().to_string();
    let sandbox = sandbox
        .env("PIP_FIND_LINKS", &links)
        .env("PIP_NO_INDEX", "1")
        .env("PIP_CONSTRAINT", &limits)
        .env("PIP_PRE", "1");
    sandbox.run(&["lock", "requirements.txt"]).ok();
    let text = fs::read_to_string(sandbox.work().join("pylock.toml")).unwrap();
    let tool = &text[text.find("[tool.prebuild]").unwrap()..];
    assert_eq!(
        tool,
        "[tool.prebuild]\nversion = 2\norder = [\"two\", \"one\"]\nrequested = [\"one\"]\n\
         requirements = [\"one\"]\nsettings = [\"pre = 1\"]\n\n[tool.prebuild.target]\n\
         python = \"cpython 3.11\"\nplatform = \"linux-x86_64\"\nlibc = \"glibc\"\n"
    );
    let sandbox = [
        "PIP_FIND_LINKS",
        "PIP_NO_INDEX",
        "PIP_CONSTRAINT",
        "PIP_PRE",
    ]
    .into_iter()
    .fold(sandbox, |sandbox, name| sandbox.env(name, ""));
    let said = sandbox.run(&["requirements.txt", "--locked"]).ok().stderr;
    assert!(
        said.contains("`pylock.toml` is up to date, so these settings have no effect: `pre = 1` was set when it was locked"),
        "{said}"
    );
    let sandbox = sandbox.env("PIP_INDEX_URL", "https://u:s3cret@index.invalid/simple");
    sandbox.run(&["requirements.txt", "--locked"]).ok();
}

/// What a setting forbids is not installed because a lock file has it.
#[test]
fn settings_that_forbid_are_held_against_a_lock() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    let there = sandbox.work().join("there");
    project(&there, "there", "");
    let archive = sdist(&sandbox.links(), &there, "there");
    assert!(archive.is_file());
    sandbox.write("app.txt", "one\nthere\n");
    sandbox.write("limits.txt", "\ntwo<2\n");
    let sandbox = sandbox.env("PIP_NO_BUILD_ISOLATION", "0");
    sandbox.offline(&["lock", "app.txt"]).ok();
    for (args, why) in [
        (
            ["--only-binary", ":all:"],
            "it has an sdist of `there`, which `--only-binary` excludes",
        ),
        (
            ["--no-binary", "one"],
            "it has a wheel of `one`, which `--no-binary` excludes",
        ),
        (
            ["--no-deps", "--offline"],
            "it has the dependency `two`, and `--no-deps` is set",
        ),
    ] {
        let ran = sandbox.offline(&[&["app.txt", "--locked", "-q"], &args[..]].concat());
        let said = ran.fails(2, &[]).stderr;
        assert_eq!(
            said,
            format!(
                "error: the lock file `pylock.app.toml` is out of date: {why}\nhint: to update it, run `prebuild lock`\n"
            )
        );
    }
    let sandbox = sandbox.env("PIP_CONSTRAINT", "limits.txt");
    sandbox.offline(&["app.txt", "--locked", "-q"]).fails(
        2,
        &["it has two 2.0, which the constraint `two<2` excludes (limits.txt:2:1)"],
    );
}

/// Each difference is named, with its place.
#[test]
fn the_differences_are_named() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    WheelBuilder::new("more", "1.0").build(&sandbox.links());
    sandbox.write("app.txt", "-c limits.txt\none\nmore>=1,<9\n");
    sandbox.write("limits.txt", "two<9\n");
    sandbox.offline(&["lock", "app.txt"]).ok();
    let sandbox = sandbox.env("TOKEN", "s3cret");
    sandbox.write(
        "app.txt",
        "--pre\n--extra-index-url https://u:s3cret@index.invalid/simple/\n\
         --extra-index-url https://${TOKEN}@index.invalid/simple/\n\
         -c limits.txt\nmore <9, >=1\none[x] ; python_version > '3'\n\n   two\n\
         other ; sys_platform == 'win32'\n",
    );
    sandbox.write("limits.txt", "two<8\n");
    let said = sandbox
        .offline(&["app.txt", "--locked", "-q"])
        .fails(2, &[]);
    assert_eq!(
        said.stderr,
        "error: the lock file `pylock.app.toml` is out of date: \
         `one` is now `one[x]` (app.txt:6:1); `two` was added (app.txt:8:4); \
         the constraint `two<9` is now `two<8` (limits.txt:1:1); \
         the option `--extra-index-url https://****@index.invalid/simple/` was added (app.txt:2:1); \
         the option `--extra-index-url https://${TOKEN}@index.invalid/simple/` was added (app.txt:3:1); \
         the option `--pre` was added (app.txt:1:1)\nhint: to update it, run `prebuild lock`\n"
    );
    sandbox.offline(&["lock", "app.txt"]).ok();
    let text = fs::read_to_string(sandbox.work().join("pylock.app.toml")).unwrap();
    assert!(
        !text.contains("s3cret") && text.contains("${TOKEN}"),
        "{text}"
    );
}

/// A lock file is replaced by one for another Python only if that is what the user says.
#[test]
fn a_lock_for_another_target_is_not_overwritten() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one==1.0\ntwo==2.0\n");
    sandbox.offline(&["lock", "requirements.txt"]).ok();
    let path = sandbox.work().join("pylock.toml");
    let first = fs::read_to_string(&path).unwrap();
    let other = |more: &[&str]| {
        let lock = ["lock", "requirements.txt", "-q", "--python", "3.12"];
        let platform = ["--platform", "manylinux_2_28_x86_64"];
        sandbox.offline(&[&lock[..], &platform, more].concat())
    };
    let said = other(&[]).fails(2, &[]).stderr;
    assert_eq!(
        said,
        "error: `pylock.toml` is for cpython 3.11 on linux-x86_64 with glibc: \
         a lock file for cpython 3.12 on linux-x86_64 with glibc would replace it\n\
         hint: to have both, pass `-o pylock.py312.toml`, and build with `prebuild pylock.py312.toml`; \
         to replace it, pass `-o pylock.toml`\n"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    other(&["-o", "pylock.py312.toml"]).ok();
    other(&["-o", "pylock.py312.toml", "--locked"]).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    let said = other(&["-o", "pylock.toml"]).ok().stderr;
    assert_eq!(
        said,
        "warning: `pylock.toml` is for cpython 3.11 on linux-x86_64 with glibc: \
         a lock file for cpython 3.12 on linux-x86_64 with glibc replaces it\n"
    );
    // Neither is one of another tool, one that cannot be read, or what is none.
    for (text, code, what) in [
        (FOREIGN, 2, "`pylock.toml` was written by me"),
        ("<<<<<<< HEAD\n", 2, "pylock.toml:1:9: "),
        ("", 0, ""),
    ] {
        sandbox.write("pylock.toml", text);
        let ran = sandbox.offline(&["lock", "requirements.txt", "-q"]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(what), "{}", ran.stderr);
        sandbox.write("pylock.toml", text);
        sandbox.offline(&["lock", "requirements.txt", "-U"]).ok();
    }
    insta::assert_snapshot!(sandbox.offline(&["lock", "requirements.txt", "-o", "requirements.txt"]).fails_with(2), @r"
    error: requirements.txt:1:5: extra `=`, expected nothing
    one==1.0
        ^
    ");
}

#[test]
fn an_unknown_name_is_not_upgraded() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one\n");
    sandbox.offline(&["lock", "requirements.txt"]).ok();
    two(&sandbox, "3.0");
    let upgrade = [
        "lock",
        "requirements.txt",
        "-q",
        "-P",
        "two",
        "-P",
        "nosuch",
    ];
    assert_eq!(
        sandbox.offline(&upgrade).fails(2, &[]).stderr,
        "error: cannot upgrade `nosuch`: neither in the lock file nor required\n\
         hint: check the names that `--upgrade-package` gives\n"
    );
    assert_eq!(
        planned(&sandbox, &["requirements.txt"]),
        ["two 2.0", "one 1.0"]
    );
}

/// A lock file that an earlier version wrote is locked again, with its versions.
#[test]
fn a_lock_of_an_earlier_version_is_read() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one\n");
    sandbox.offline(&["lock", "requirements.txt"]).ok();
    let text = fs::read_to_string(sandbox.work().join("pylock.toml")).unwrap();
    let old = text.replace("version = 2\n", "version = 1\n").replace(
        "requirements = [\"one\"]\n",
        "options = [\"no-index = 1\"]\n",
    ) + "\n[[tool.prebuild.inputs]]\npath = \"requirements.txt\"\ndigest = \"sha256:00\"\n";
    sandbox.write("pylock.toml", old);
    two(&sandbox, "3.0");
    assert_eq!(planned(&sandbox, &["pylock.toml"]), ["two 2.0", "one 1.0"]);
    insta::assert_snapshot!(sandbox.offline(&["requirements.txt", "--locked"]).fails_with(2), @r"
     builder  [BUILDER]
    error: the lock file `pylock.toml` is out of date: another version of prebuild wrote it
    hint: to update it, run `prebuild lock`
    ");
    let said = sandbox
        .offline(&["lock", "requirements.txt", "-q"])
        .ok()
        .stderr;
    assert_eq!(said, "");
    assert_eq!(
        fs::read_to_string(sandbox.work().join("pylock.toml")).unwrap(),
        text
    );
}

#[test]
fn what_changes_makes_a_lock_stale() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("app.txt", "one\n");
    insta::assert_snapshot!(sandbox.offline(&["app.txt", "--locked"]).fails_with(2), @r"
     builder  [BUILDER]
    error: the lock file `pylock.app.toml` is out of date: it does not exist
    hint: to update it, run `prebuild lock`
    ");
    sandbox.offline(&["lock", "app.txt"]).ok();
    assert_eq!(names(&sandbox.work()), ["app.txt", "pylock.app.toml"]);
    sandbox.offline(&["app.txt", "--locked"]).ok();
    let elsewhere = ["app.txt", "--locked", "--python", "3.13"];
    insta::assert_snapshot!(sandbox.offline(&[&elsewhere[..], &["--platform", "musllinux_1_2_aarch64"]].concat()).fails_with(2), @r"
     builder  [BUILDER]
    error: the lock file `pylock.app.toml` is out of date: it is for cpython 3.11 on linux-x86_64 with glibc, not for cpython 3.13 on linux-aarch64 with musl
    hint: to update it, run `prebuild lock`
    ");
    // A lock of another tool's is told of, and its versions are preferred.
    two(&sandbox, "3.0");
    sandbox.write("pylock.app.toml", FOREIGN);
    let ran = sandbox.offline(&["app.txt", "-q"]).ok();
    assert_eq!(
        ran.stderr,
        "warning: `pylock.app.toml` is out of date: me wrote it and did not record the requirements. prebuild keeps its versions where the requirements allow them. To update it, run `prebuild lock`\n\
         Added one 1.0\nAdded two 3.0\n"
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
    assert!(!ran.stderr.contains("pip resolves"), "{}", ran.stderr);
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
    insta::assert_snapshot!(sandbox.offline(&["pylock.toml", "--extra", "gui"]).fails_with(2), @r"
     builder  [BUILDER]
    error: `pylock.toml` has no extra `gui`: it has `cli`
    ");
    insta::assert_snapshot!(sandbox.offline(&["pylock.toml", "other.txt"]).fails_with(2), @"error: the lock file pylock.toml must be the only input");
    insta::assert_snapshot!(sandbox.offline(&["pylock.toml", "--installer", "pip"]).fails_with(2), @"error: --installer pip does not support lock files: name the requirements");
    // A hash that is another file's.
    let wrong = text.replacen("sha256 = \"", "sha256 = \"0000", 1);
    let wrong = wrong.replacen("0000", "", 1).replacen(
        &text[text.find("sha256 = \"").unwrap() + 10..][..4],
        "0000",
        1,
    );
    sandbox.write("pylock.toml", wrong);
    insta::assert_snapshot!(sandbox.offline(&["pylock.toml"]).fails_with(1), @r"
     builder  [BUILDER]
     install  2 wheels
    download  1 wheel
    error: hash mismatch of `file://[WORK]/links/always-1.0-py3-none-any.whl`: expected sha256:0000821fe36fe9df3be16aa81a0902122b7dd3abd441a2823286b5eafb6562f4, got sha256:936b821fe36fe9df3be16aa81a0902122b7dd3abd441a2823286b5eafb6562f4
    hint: the file has changed, or the hash belongs to another file: check both before you lock again
    ");
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
    insta::assert_snapshot!(sandbox.offline(&["pyproject.toml", "--locked"]).fails_with(2), @r"
     builder  [BUILDER]
    error: the lock file `pylock.toml` is out of date: it has the extra `more`, which `--extra` does not name; `three` was removed
    hint: to update it, run `prebuild lock`
    ");
    sandbox.write("requirements.txt", "one\n");
    insta::assert_snapshot!(sandbox.offline(&["requirements.txt", "--extra", "more"]).fails_with(2), @"error: --extra and --group need a pyproject.toml or a pylock.toml");
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
    insta::assert_snapshot!(sandbox.offline(&[&python[..], &riscv].concat()).fails_with(1), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: cannot install native==1.0 for CPython 3.12.[X] on linux-riscv64, glibc 2.28: its wheels are for manylinux_2_17_aarch64, musllinux_1_1_x86_64
    hint: require a version that has a wheel for the target, or an sdist
    ");
    fs::write(sandbox.links().join("source-1.0.tar.gz"), "").unwrap();
    sandbox.write("requirements.txt", "pure==1.0\nsource==1.0\n");
    insta::assert_snapshot!(sandbox.offline(&[&python[..], &riscv].concat()).fails_with(1), @r"
     builder  [BUILDER]
    error: requirements.txt:2:1: `source==1.0` has no wheel for CPython 3.12.[X] on linux-riscv64, glibc 2.28: the index has only its sdists
    hint: require a version that has a wheel for the target, or build on that platform
    ");
    sandbox.write("requirements.txt", "pure\n");
    insta::assert_snapshot!(sandbox.offline(&[&python[..], &riscv].concat()).fails_with(1), @r"
     builder  [BUILDER]
    error: this needs pip on CPython 3.12.[X] on linux-riscv64, glibc 2.28, and --platform uses no builder: `pure` is not pinned
    hint: run `prebuild lock` on that platform, and build here from its pylock.toml
    ");
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
    let news = "the artifact is up to date";
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
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "--offline"]).fails_with(1), @r"
     builder  [BUILDER]
    error: this needs pip and an index, and --offline allows no download: `one` is not pinned
    hint: run `prebuild lock` once without --offline
    ");
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
    insta::assert_snapshot!(sandbox.offline(&["pylock.toml"]).fails_with(1), @r"
     builder  [BUILDER]
     install  2 wheels
     install  pip [VERSION]: 2 to build
      | [OUTPUT]
    error: what was downloaded for `there@ file://[WORK]/there-1.0.tar.gz#sha256=0000000000000000000000000000000000000000000000000000000000000000` has another hash: expected `sha256:0000000000000000000000000000000000000000000000000000000000000000`, got `sha256:874812d135d01ee64b34dff2c890ef63411a6d37eacb5963aaf9a481a8c63100`
    hint: if the file was meant to change, lock the requirements anew; if not, do not trust it
    ");
    let target = ["--python", "3.12", "--platform", "linux/arm64"];
    insta::assert_snapshot!(sandbox.offline(&[&["pylock.toml"], &target[..]].concat()).fails_with(1), @r"
     builder  [BUILDER]
     install  2 wheels
    error: this needs pip on CPython 3.12.[X] on linux-aarch64, glibc 2.28, and --platform uses no builder: there, here must be built from source
    hint: uv resolves for other platforms: `uv pip compile  --python-version 3.12 --python-platform aarch64-manylinux_2_28 --only-binary :all: --generate-hashes -o locked.txt`, then `prebuild locked.txt --python 3.12 --platform manylinux_2_28_aarch64`
    ");
}
