//! Whole outputs of every command, as the user sees them: a change of wording is seen in review.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::sandbox::Sandbox;
use crate::support::wheel::WheelBuilder;

/// A target that every machine can have, without a builder.
const TARGET: [&str; 4] = ["--python", "3.12", "--platform", "manylinux_2_28_x86_64"];

/// Wheels of which one needs the other.
fn wheels(sandbox: &Sandbox) {
    let one = WheelBuilder::new("one", "1.0").file("one.py", "x = 1\n");
    one.requires("two>=1").build(&sandbox.links());
    two(sandbox, "2.0");
}

fn two(sandbox: &Sandbox, version: &str) {
    let two = WheelBuilder::new("two", version).file("two.py", version);
    two.build(&sandbox.links());
}

#[test]
fn a_build() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "# pinned\none==1.0\ntwo==2.0\n");
    let place = ["--cache-dir", "cache"];
    let build = ["requirements.txt", "-o", "deps.tar.gz", "-o", "dir/"];
    let ran = sandbox.offline(&[&build[..], &place].concat());
    insta::assert_snapshot!(ran.whole(0), @r"
     builder  [BUILDER]
    download  2 wheels
     install  2 wheels
        pack  deps.tar.gz, dir/
        done  2 distributions, 12 files, no native code, [SIZE] in, deps.tar.gz [SIZE], dir/ [SIZE] out
       times  [TIMES]
    -----
    deps.tar.gz  sha256:[DIGEST]
    dir/
    ");
    // Again: there is nothing to do.
    let again = ["requirements.txt", "-o", "deps.tar.gz"];
    let ran = sandbox.offline(&[&again[..], &place].concat());
    insta::assert_snapshot!(ran.whole(0), @r"
     builder  [BUILDER]
    download  2 wheels
     install  2 wheels
        pack  deps.tar.gz
        done  2 distributions, 12 files, no native code, [SIZE] in, deps.tar.gz [SIZE] out
       times  [TIMES]
    -----
    deps.tar.gz  sha256:[DIGEST]
    ");
    let named = [
        "requirements.txt",
        "-v",
        "--dest",
        "/opt/app",
        "-o",
        "other.zip",
    ];
    let ran = sandbox.offline(&[&named[..], &TARGET, &place].concat());
    insta::assert_snapshot!(ran.whole(0), @r"
     builder  [BUILDER]
    download  2 wheels
     install  2 wheels
        pack  other.zip
        with  one 1.0
        with  two 2.0
        done  2 distributions, 12 files, no native code, [SIZE] in, other.zip [SIZE] out
       times  [TIMES]
         use  ENV PATH=/opt/app/bin:$PATH
    -----
    other.zip  sha256:[DIGEST]
    ");
}

#[test]
fn a_build_that_pip_resolves() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one\n");
    insta::assert_snapshot!(sandbox.offline(&["requirements.txt"]).whole(0), @r"
     builder  [BUILDER]
     resolve  pip [VERSION]: `one` is not pinned
     install  2 wheels
    download  2 wheels
        pack  deps.tar.gz
        done  2 distributions, 11 files, no native code, [SIZE] in, deps.tar.gz [SIZE] out
       times  [TIMES]
    -----
    deps.tar.gz  sha256:[DIGEST]
    ");
    sandbox.write("empty.txt", "one ; python_version < '3'\n");
    insta::assert_snapshot!(sandbox.offline(&["empty.txt"]).whole(0), @r"
     builder  [BUILDER]
    warning: 1 requirement in `empty.txt`, but the markers exclude all of them for CPython 3.11.[X] on linux-x86_64, glibc 2.36: the artifact is empty
     install  0 wheels
        pack  deps.tar.gz
        done  0 distributions, 0 files, no native code, [SIZE] in, deps.tar.gz [SIZE] out
       times  [TIMES]
    -----
    deps.tar.gz  sha256:[DIGEST]
    ");
}

#[test]
fn a_plan() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("limits.txt", "two<3\n");
    let text = "-c limits.txt\none==1.0\ntwo==2.0\nthree ; sys_platform == 'win32'\n";
    sandbox.write("requirements.txt", text);
    let plan = [&["plan", "requirements.txt"], &TARGET[..]].concat();
    insta::assert_snapshot!(sandbox.offline(&plan).whole(0), @r"
     builder  [BUILDER]
    download  2 wheels
    -----
    builder  [BUILDER]
    target   CPython 3.12.[X] on linux-x86_64, glibc 2.28
    setting  find-links = [LINKS] (from PIP_FIND_LINKS)
    setting  no-index = 1 (from PIP_NO_INDEX)
    setting  retries = 0 (from PIP_RETRIES)
    require  one==1.0                                 requirements.txt:2
    require  two==2.0                                 requirements.txt:3
    require  three ; sys_platform == 'win32'          requirements.txt:4, left out: marker `sys_platform == 'win32'` is false for Python 3.12 on linux
    limit    two<3                                    limits.txt:1
    install  two 2.0                                  wheel, file://[LINKS]/two-2.0-py3-none-any.whl, for requirements.txt:3, one
    install  one 1.0                                  wheel, file://[LINKS]/one-1.0-py3-none-any.whl, for requirements.txt:2
    ");
    let plan = [&plan[..], &["--format", "requirements"]].concat();
    insta::assert_snapshot!(sandbox.offline(&plan).whole(0), @r"
     builder  [BUILDER]
    download  2 wheels
    -----
    # Locked by prebuild for CPython 3.12.[X] on linux-x86_64, glibc 2.28.
    one==1.0 \
        --hash=sha256:[DIGEST]
        # via requirements.txt:2
    two==2.0 \
        --hash=sha256:[DIGEST]
        # via requirements.txt:3
        # via one
    ");
}

#[test]
fn a_lock() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one==1.0\ntwo==2.0\n");
    let lock = [&["lock", "requirements.txt"], &TARGET[..]].concat();
    insta::assert_snapshot!(sandbox.offline(&lock).whole(0), @r"
     builder  [BUILDER]
    download  2 wheels
      locked  2 distributions, written
    -----
    pylock.toml
    ");
    let text = fs::read_to_string(sandbox.work().join("pylock.toml")).unwrap();
    let text = text.replace(&sandbox.links().display().to_string(), "[LINKS]");
    insta::assert_snapshot!(text, @r#"
    lock-version = "1.0"
    environments = ["python_version == '3.12' and implementation_name == 'cpython' and sys_platform == 'linux' and platform_machine == 'x86_64'"]
    requires-python = "==3.12.*"
    created-by = "prebuild"

    [[packages]]
    name = "one"
    version = "1.0"

    [[packages.dependencies]]
    name = "two"

    [[packages.wheels]]
    name = "one-1.0-py3-none-any.whl"
    path = "[LINKS]/one-1.0-py3-none-any.whl"

    [packages.wheels.hashes]
    sha256 = "d7419284d341a0841ac8f0662fb5398c46bc94125c9907b68e8ffc28b586c37a"

    [[packages]]
    name = "two"
    version = "2.0"

    [[packages.wheels]]
    name = "two-2.0-py3-none-any.whl"
    path = "[LINKS]/two-2.0-py3-none-any.whl"

    [packages.wheels.hashes]
    sha256 = "eb7ef6af09e167e1c4ca1985e79eb696138598b030a0869df622508d0fc1842d"

    [tool.prebuild]
    version = 2
    order = ["two", "one"]
    requested = ["two", "one"]
    requirements = ["one==1.0", "two==2.0"]

    [tool.prebuild.target]
    python = "cpython 3.12"
    platform = "linux-x86_64"
    libc = "glibc"
    "#);
    // Again: nothing has changed.
    insta::assert_snapshot!(sandbox.offline(&lock).whole(0), @r"
     builder  [BUILDER]
    download  2 wheels
      locked  2 distributions, unchanged
    -----
    pylock.toml
    ");
    let build = [&["requirements.txt"], &TARGET[..]].concat();
    let locked = [&build[..], &["--locked"]].concat();
    insta::assert_snapshot!(sandbox.offline(&locked).whole(0), @r"
     builder  [BUILDER]
     install  2 wheels
        pack  deps.tar.gz
        done  2 distributions, 12 files, no native code, [SIZE] in, deps.tar.gz [SIZE] out
       times  [TIMES]
    -----
    deps.tar.gz  sha256:[DIGEST]
    ");
    // Other requirements: they are told by a build, and the versions by `lock`.
    two(&sandbox, "3.0");
    WheelBuilder::new("new", "1.0").build(&sandbox.links());
    sandbox.write("requirements.txt", "one==1.0\ntwo==3.0\nnew==1.0\n");
    insta::assert_snapshot!(sandbox.offline(&locked).fails_with(2), @r"
     builder  [BUILDER]
    error: the lock file `pylock.toml` is out of date: `two==2.0` is now `two==3.0` (requirements.txt:2:1); `new==1.0` was added (requirements.txt:3:1)
    hint: to update it, run `prebuild lock`
    ");
    insta::assert_snapshot!(sandbox.offline(&build).whole(0), @r"
     builder  [BUILDER]
    warning: `pylock.toml` is out of date: `two==2.0` is now `two==3.0` (requirements.txt:2:1); `new==1.0` was added (requirements.txt:3:1). prebuild keeps its versions where the requirements allow them. To update it, run `prebuild lock`
    download  3 wheels
    Added new 1.0
    Updated two 2.0 → 3.0
     install  3 wheels
        pack  deps.tar.gz
        done  3 distributions, 17 files, no native code, [SIZE] in, deps.tar.gz [SIZE] out
       times  [TIMES]
    -----
    deps.tar.gz  sha256:[DIGEST]
    ");
    insta::assert_snapshot!(sandbox.offline(&lock).whole(0), @r"
     builder  [BUILDER]
    download  3 wheels
    Added new 1.0
    Updated two 2.0 → 3.0
      locked  3 distributions, written
    -----
    pylock.toml
    ");
}

#[test]
fn a_cache() {
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "one==1.0\ntwo==2.0\n");
    let place = ["--cache-dir", "cache"];
    let build = [&["requirements.txt"], &TARGET[..], &place].concat();
    sandbox.offline(&build).ok();
    let cache = |command: &str| sandbox.run(&[&["cache", command], &place[..]].concat());
    insta::assert_snapshot!(cache("dir").whole(0), @r"
    -----
    [WORK]/cache
    ");
    insta::assert_snapshot!(cache("size").whole(0), @r"
    -----
    wheels-v5             2 [SIZE]
    built-v2              0 [SIZE]
    interpreters-v2       0 [SIZE]
    resolutions-v3        0 [SIZE]
    pages-v2              0 [SIZE]
    seen-v2               0 [SIZE]
    bytecode-v3           0 [SIZE]
    pieces-v2             0 [SIZE]
    outputs-v3            1 [SIZE]
    runtimes-v2           0 [SIZE]
    leftovers [SIZE]
    total                 3 [SIZE]
    ");
    insta::assert_snapshot!(cache("verify").whole(0), @r"
    verified  3 entries
    -----
    ");
    insta::assert_snapshot!(cache("prune").whole(0), @r"
    -----
    removed 0 entries, [SIZE]
    ");
    insta::assert_snapshot!(cache("clean").whole(0), @r"
    -----
    removed 3 entries, [SIZE]
    ");
}

/// Kinds of errors that no other test shows whole, each brought about by a user's means.
#[test]
fn errors() {
    let mut told = String::new();
    let mut tell = |sandbox: &Sandbox, what: &str, args: &[&str]| {
        let all = [&["requirements.txt", "-q"], &TARGET[..], args].concat();
        let ran = sandbox.offline(&all);
        let code = ran.code.unwrap();
        assert_ne!(code, 0, "{what}");
        let said = ran.fails_with(code);
        told.push_str(&format!("# {what} (exit code {code})\n{said}\n"));
    };

    // Outputs.
    let sandbox = Sandbox::new();
    wheels(&sandbox);
    sandbox.write("requirements.txt", "two==2.0\n");
    sandbox.write("a file", "");
    tell(
        &sandbox,
        "-o a.tar -o a.tar",
        &["-o", "a.tar", "-o", "a.tar"],
    );
    tell(
        &sandbox,
        "-o /dev/null.zip/a.tar",
        &["-o", "/dev/null.zip/a.tar"],
    );
    let fifo = sandbox.work().join("pipe.tar");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    tell(&sandbox, "-o pipe.tar", &["-o", "pipe.tar"]);
    tell(
        &sandbox,
        "--script-python python3",
        &["--script-python", "python3"],
    );
    tell(&sandbox, "--dest /opt/../app", &["--dest", "/opt/../app"]);

    // The cache.
    sandbox.write("full/of things", "");
    symlink("nowhere", sandbox.work().join("link")).unwrap();
    tell(&sandbox, "--cache-dir a file", &["--cache-dir", "a file"]);
    tell(&sandbox, "--cache-dir full", &["--cache-dir", "full"]);
    tell(&sandbox, "--cache-dir link", &["--cache-dir", "link"]);

    // Runtimes.
    sandbox.write("facts.json", "{\"version\": 1}");
    tell(
        &sandbox,
        "--runtime facts.json",
        &["--runtime", "facts.json"],
    );
    tell(&sandbox, "--runtime full/", &["--runtime", "full/"]);

    // Requirements that do not fit together, and wheels that do not fit the target.
    WheelBuilder::new("native", "1.0")
        .platform("cp312-cp312-manylinux_2_39_x86_64")
        .build(&sandbox.links());
    WheelBuilder::new("three", "1.0")
        .metadata("Requires-Python: >=4")
        .build(&sandbox.links());
    for text in [
        "one==1.0\n",
        "one==1.0\ntwo==3.0\n",
        "two==2.0\ntwo==3.0\n",
        "native==1.0\n",
        "three==1.0\n",
        "two\n",
        "two==2.0 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
    ] {
        sandbox.write("requirements.txt", text);
        tell(&sandbox, text.trim_end(), &[]);
    }

    // Wheels that are damaged, or do not fit into one prefix.
    let sandbox = Sandbox::new();
    WheelBuilder::new("damaged", "1.0")
        .record(|text| text.replace("damaged.py", "other.py"))
        .file("damaged.py", "")
        .build(&sandbox.links());
    WheelBuilder::new("nameless", "1.0")
        .without("METADATA")
        .build(&sandbox.links());
    WheelBuilder::new("file", "1.0")
        .file("same", "")
        .build(&sandbox.links());
    WheelBuilder::new("below", "1.0")
        .file("same/one.py", "")
        .build(&sandbox.links());
    fs::write(sandbox.links().join("none-1.0-py3-none-any.whl"), "no zip").unwrap();
    for text in [
        "damaged==1.0\n",
        "nameless==1.0\n",
        "none==1.0\n",
        "file==1.0\nbelow==1.0\n",
    ] {
        sandbox.write("requirements.txt", text);
        tell(&sandbox, text.trim_end(), &[]);
    }
    insta::assert_snapshot!(told);
}
