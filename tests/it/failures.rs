//! Bad input: what is said, the exit code, and that nothing is left.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::index::{self, Behaviour};
use crate::support::sandbox::{Ran, Sandbox, digest, names};
use crate::support::skip;
use crate::support::wheel::{WheelBuilder, project, sdist};

/// The whole output for each file; nothing is written.
#[test]
fn a_wrong_request_is_exit_code_2() {
    let mut told = String::new();
    for text in [
        "requests=>2.0\n",
        "requests ü\n",
        "a ; os_name == 'x' ü\n",
        "a[b ü\n",
        "ok\n--no-such-option x\n",
        "-r requirements.txt\n",
        "a ; python_versoin > '3'\n",
        "./missing-1.0-py3-none-any.whl\n",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("requirements.txt", text);
        let ran = sandbox.offline(&["requirements.txt"]).fails(2, &[]);
        told.push_str(&format!("{text}{}\n", ran.snapshot()));
        assert_eq!(names(&sandbox.work()), ["requirements.txt"]);
        assert_eq!(sandbox.left(), [""; 0]);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_is_shown_of_a_line_holds_no_secret() {
    let sandbox = Sandbox::new().env("TOKEN", "s3cret");
    sandbox.write(
        "requirements.txt",
        "--index-url https://u:p4ss@h/ --bogus\nx @ https://${TOKEN}@h/ bad\n",
    );
    let ran = sandbox.run(&["requirements.txt"]);
    insta::assert_snapshot!(ran.fails_with(2), @r"
    error: requirements.txt:1:31: a requirements file has no option `--bogus`
    --index-url https://****@h/ --bogus
                                ^
    hint: options that concern the whole run go on the command line
    ");
    assert!(
        !ran.stderr.contains("p4ss") && !ran.stderr.contains("s3cret"),
        "{}",
        ran.stderr
    );
}

#[test]
fn outputs_and_usage_are_checked_first() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "x\n");
    insta::assert_snapshot!(sandbox.run(&[]).fails_with(2), @r"
    Turns a requirements.txt into the install prefix that a Python image needs, and nothing else

    Usage: prebuild [OPTIONS] [REQUIREMENTS]...
           prebuild <COMMAND>

    Commands:
      plan     Print what a build would install, and why
      lock     Write a lock file, pylock.toml, beside the requirements
      verify   Check an artifact in its runtime, in a sandbox
      runtime  Print the facts about a runtime
      cache    Show, check and prune the cache
      help     Print this message or the help of the given subcommand(s)

    Arguments:
      [REQUIREMENTS]...  Requirements files, a pyproject.toml or a pylock.toml

    Options:
      -o, --output <PATH>  The artifact (repeatable) [default: deps.tar.gz]
          --locked         Require an up-to-date lock file [env: PREBUILD_LOCKED=]
      -h, --help           Print help (see more with '--help')
      -V, --version        Print version

    Runtime:
          --runtime <IMAGE|ROOT|PATH>  The runtime image, root directory or interpreter
          --allow <FINDING>            Ignore a finding: KIND or KIND:NAME (repeatable)

    Builder:
          --image <IMAGE>        Build in a container of this image
          --python <X.Y|PATH>    The builder's or target's Python [env: PREBUILD_PYTHON=]
          --platform <PLATFORM>  The target platform, such as linux/arm64

    pip options:
      -i, --index-url <URL>  The package index [env: PREBUILD_INDEX_URL] [alias: --pypi-url]

    Messages:
      -q, --quiet    Print only results, errors, warnings and changed versions
      -v, --verbose  Print the output of pip and of builds too

    `prebuild --help` lists all options, exit codes and examples.
    ");
    insta::assert_snapshot!(sandbox.run(&["missing.txt"]).fails_with(2), @r"
    error: the requirements file `missing.txt` cannot be read
      caused by: cannot open `[WORK]/missing.txt`
      caused by: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "-o", "x.rar"]).fails_with(2), @r"
    error: invalid value 'x.rar' for '--output <PATH>': `x.rar` has no known format: it must end in .tar, .tar.gz, .tgz, .tar.zst or .zip, or in / for a directory

    For more information, try '--help'.
    ");
    fs::create_dir(sandbox.work().join("d.tar")).unwrap();
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "-o", "d.tar"]).fails_with(2), @r"
    error: `d.tar` exists and is not a file
    hint: name another output with `-o`
    ");
    sandbox.write("full/file", "");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "-o", "full/"]).fails_with(2), @r"
    error: the directory `full/` is not empty
    hint: to replace its contents, pass `--force`
    ");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "--builder", "docker"]).fails_with(2), @"error: a container needs an image: pass --image, such as --image python:3.11");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "--env", "NOT_THERE"]).fails_with(2), @"error: --env NOT_THERE: this environment variable is not set");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "--dest", "relative"]).fails_with(2), @r"
     builder  [BUILDER]
    error: the destination `relative` is not an absolute path
    ");
    // What is not there, rather than wrong.
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "-o", "none/x.tar"]).fails_with(1), @r"
    error: cannot create a temporary directory in `none`
      caused by: No such file or directory (os error 2)
    hint: create the directory, or write elsewhere with `-o`
    ");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "-o", "/proc/x.tar"]).fails_with(1), @r"
    error: cannot create a temporary directory in `/proc`
      caused by: No such file or directory (os error 2)
    hint: create the directory, or write elsewhere with `-o`
    ");
}

#[test]
fn a_machine_that_is_not_set_up_is_exit_code_3() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "x\n");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "--python", "/no/python"]).fails_with(3), @r"
    error: Python `/no/python` not found in this machine
    hint: name an interpreter with `--python X.Y` or `--python PATH`
    ");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "--python", "3.99"]).fails_with(3), @r"
    error: Python `python3.99` not found in this machine
    hint: name an interpreter with `--python X.Y` or `--python PATH`
    ");
    let venv = sandbox.tmp().join("venv");
    let made = Command::new("python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status()
        .unwrap();
    assert!(made.success());
    let python = venv.join("bin/python").display().to_string();
    insta::assert_snapshot!(sandbox.run(&["requirements.txt", "--python", &python]).fails_with(3), @r"
     builder  [BUILDER]
    error: `[TMP][PYTHON]` has no pip
    hint: install pip with `[TMP][PYTHON] -m ensurepip`, or the package `python3-pip` on Debian and `py3-pip` on Alpine
    ");
    let sandbox = Sandbox::new().env("PATH", "/nowhere");
    sandbox.write("requirements.txt", "x\n");
    let engine = [
        "requirements.txt",
        "--builder",
        "docker",
        "--image",
        "python:3.11",
    ];
    insta::assert_snapshot!(sandbox.run(&engine).fails_with(3), @r"
    error: cannot find `docker`
    hint: install `docker`, or build on this machine with `--builder local`
    ");
}

#[test]
#[ignore = "needs a client of Docker"]
fn engine_that_does_not_run_is_exit_code_3() {
    let sandbox = Sandbox::new().env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    sandbox.write("requirements.txt", "x\n");
    let engine = [
        "requirements.txt",
        "--builder",
        "docker",
        "--image",
        "python:3.11",
    ];
    sandbox
        .run(&engine)
        .fails(3, &["docker does not answer", "hint: start it"]);
}

/// Something else listens where the engine should: its client would wait for ever.
#[test]
fn an_engine_that_is_silent_is_exit_code_3() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    let docker = sandbox.write("bin/docker", "#!/bin/sh\nexec sleep 100\n");
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", docker.parent().unwrap().display());
    let sandbox = sandbox.env("PATH", path);
    sandbox.write("requirements.txt", "x\n");
    let engine = [
        "requirements.txt",
        "--builder",
        "docker",
        "--image",
        "python:3.11",
    ];
    insta::assert_snapshot!(sandbox.run(&engine).fails_with(3), @r"
    error: docker does not answer: it is silent for 10 seconds
    hint: start it (`docker version` shows whether it answers), or build on this machine with `--builder local`
    ");
}

#[test]
fn pip_failures_are_explained_with_the_line() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("one", "1.0")
        .requires("dep==1.0")
        .build(&sandbox.links());
    WheelBuilder::new("two", "1.0")
        .requires("dep==2.0")
        .build(&sandbox.links());
    WheelBuilder::new("dep", "1.0").build(&sandbox.links());
    WheelBuilder::new("dep", "2.0").build(&sandbox.links());
    WheelBuilder::new("new", "1.0")
        .metadata("Requires-Python: >=4")
        .build(&sandbox.links());
    let zeros = "0".repeat(64);
    for text in [
        "# first\nno-such-thing\n".to_owned(),
        "\none\ntwo\n".to_owned(),
        format!("dep==1.0 --hash=sha256:{zeros}\n"),
        "dep==3.0\n".to_owned(),
        "one==1.0\none>=2\n".to_owned(),
    ] {
        sandbox.write("requirements.txt", &text);
        let ran = sandbox.offline(&["requirements.txt"]);
        let code = if text.contains(">=2") { 2 } else { 1 };
        insta::assert_snapshot!(ran.fails_with(code));
        assert_eq!(names(&sandbox.work()), ["requirements.txt"]);
    }
    assert_eq!(sandbox.left(), [""; 0]);
}

/// `uv export` writes the project itself among the pins.
#[test]
fn a_directory_among_hashes_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    let wheel = WheelBuilder::new("demo", "1.0").build(&sandbox.links());
    let hash = digest(&wheel);
    project(&sandbox.work().join("proj"), "proj", "pass");
    let pin = format!("demo==1.0 --hash={hash}\n");
    let mut told = String::new();
    for line in [
        "-e ./proj",
        "./proj",
        "proj @ git+file:///no/repository@main",
    ] {
        sandbox.write("requirements.txt", format!("# exported\n{pin}{line}\n"));
        let ran = sandbox.offline(&["requirements.txt"]).fails(1, &[]);
        told.push_str(&format!("{line}\n{}\n", ran.told().1));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_wheels_need_is_told_with_the_platform_to_give() {
    let sandbox = Sandbox::new();
    for tag in [
        "manylinux_2_28_x86_64",
        "manylinux_2_34_x86_64",
        "macosx_11_0_arm64",
    ] {
        WheelBuilder::new("demo", "1.0")
            .platform(&format!("cp312-cp312-{tag}"))
            .build(&sandbox.links());
    }
    project(&sandbox.work().join("demo"), "demo", "pass");
    let mut told = String::new();
    sandbox.write("requirements.txt", "demo==1.0\n");
    for sources in [false, true] {
        if sources {
            sdist(&sandbox.links(), &sandbox.work().join("demo"), "demo");
        }
        for (python, platform) in [
            ("3.12", "manylinux2014_x86_64"),
            ("3.12", "musllinux_1_2_x86_64"),
            ("3.12", "linux/arm64"),
            ("3.11", "manylinux_2_28_x86_64"),
        ] {
            let args = [
                "requirements.txt",
                "--python",
                python,
                "--platform",
                platform,
            ];
            let ran = sandbox.offline(&args).fails(1, &[]);
            told.push_str(&format!("{python} {platform}\n{}\n", ran.told().1));
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn an_index_that_fails_is_told_apart() {
    for status in [401, 403, 404, 500] {
        let sandbox = Sandbox::new().env("PIP_INDEX_URL", index::start(Behaviour::Status(status)));
        sandbox.write("requirements.txt", "x==1.0\n");
        insta::assert_snapshot!(sandbox.run(&["requirements.txt"]).fails_with(1));
        // pip's own failures are told alike.
        sandbox.write("requirements.txt", "x\n");
        insta::assert_snapshot!(sandbox.run(&["requirements.txt"]).fails_with(1));
    }
    let sandbox = Sandbox::new().env("PIP_INDEX_URL", index::nowhere());
    sandbox.write("requirements.txt", "x==1.0\n");
    insta::assert_snapshot!(sandbox.run(&["requirements.txt"]).fails_with(1), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `x==1.0` failed
      caused by: cannot download `http://[HOST]/simple/x/`
      caused by: Connection refused (os error 111)
    hint: check the network; set HTTPS_PROXY to use a proxy, or --index-url to use another index
    ");
    let slow = index::start(Behaviour::Silent);
    let sandbox = Sandbox::new()
        .env("PIP_INDEX_URL", slow)
        .env("PIP_TIMEOUT", "1");
    sandbox.write("requirements.txt", "x==1.0\n");
    let ran = sandbox.run(&["requirements.txt"]).fails(1, &[]);
    assert!(ran.stderr.contains("time"), "{}", ran.stderr);
}

/// pip dies under our hands: its own process kills it.
#[test]
fn pip_killed_half_way_is_exit_code_1() {
    let sandbox = Sandbox::new();
    // The backend runs in a child of pip's: up to pip, by the name of its command line.
    let hook = "\n    pid = os.getppid()\n    os.kill(pid, signal.SIGKILL)\n    time.sleep(1)";
    project(&sandbox.work().join("proj"), "proj", hook);
    sandbox.write("requirements.txt", "./proj\n");
    let ran = sandbox.offline(&["requirements.txt"]).fails(1, &[]);
    assert!(ran.stderr.contains("killed"), "{}", ran.stderr);
    assert!(!sandbox.work().join("deps.tar.gz").exists());
    assert_eq!(sandbox.left(), [""; 0]);
}

/// Ctrl-C and SIGTERM while pip or we wait: the exit code is a shell's, and nothing is left.
#[test]
fn an_interrupt_leaves_nothing() {
    // The one is for pip to resolve, the other for us.
    for (signal, code, requirement) in [("INT", 130, "x\n"), ("TERM", 143, "x==1.0\n")] {
        let sandbox = Sandbox::new().env("PIP_INDEX_URL", index::start(Behaviour::Silent));
        sandbox.write("requirements.txt", requirement);
        let mut child = sandbox
            .command(&["requirements.txt", "-v"])
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        lines.find(|line| line.contains("builder")).unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        let asked = Instant::now();
        Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()
            .unwrap();
        let rest: Vec<_> = lines.collect();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{rest:?}");
        assert!(asked.elapsed() < Duration::from_secs(10));
        assert!(
            rest.iter().any(|line| line.contains("interrupted")),
            "{rest:?}"
        );
        assert_eq!(names(&sandbox.work()), ["requirements.txt"]);
        assert_eq!(sandbox.left(), [""; 0]);
        let left = Command::new("pgrep")
            .args(["-f", &sandbox.tmp().display().to_string()])
            .output();
        if let Ok(left) = left {
            assert!(
                left.stdout.is_empty(),
                "{}",
                String::from_utf8_lossy(&left.stdout)
            );
        }
    }
}

/// A disk that fills while an artifact is written; a file system of that size needs root.
#[test]
fn a_full_disk_leaves_nothing() {
    let sandbox = Sandbox::new();
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(600_000)
    .collect();
    WheelBuilder::new("big", "1.0")
        .file("big/noise.bin", noise)
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "big\n");
    let disk = sandbox.work().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=128k", "none"])
        .arg(&disk)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skip("this user cannot mount a file system");
    }
    let results: Vec<Ran> = ["disk/a.tar.gz", "disk/a.tar.zst", "disk/a.zip", "disk/out/"]
        .map(|output| sandbox.offline(&["requirements.txt", "-o", output]))
        .into();
    let left = names(&disk);
    assert!(
        Command::new("umount")
            .arg(&disk)
            .status()
            .unwrap()
            .success()
    );
    for ran in results {
        insta::assert_snapshot!(ran.fails_with(1));
    }
    assert_eq!(left, [""; 0]);
}

/// H37 and the like: what cannot be in an artifact is refused by its path.
#[test]
fn odd_prefixes_are_refused() {
    use prebuild::tree::Tree;
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let error = Tree::read(folder.path()).unwrap_err().to_string();
    assert_eq!(error, "`fifo` is neither a file, a directory nor a link");
    fs::remove_file(&fifo).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.py");
    fs::write(folder.path().join(name), "").unwrap();
    let error = Tree::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is not UTF-8"), "{error}");
}

/// A file that not even root can read: one of the kernel's that only takes.
#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let folder = std::path::Path::new("/sys/bus/platform");
    if !folder.join("drivers_probe").exists() {
        return skip("this kernel has no file that can only be written");
    }
    let error = prebuild::tree::Tree::read(folder).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot open `/sys/bus/platform/"),
        "{error}"
    );
}

/// Two builds to one output: whichever comes last, the file is whole.
#[test]
fn two_builds_to_one_output_leave_one_whole_file() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("demo", "1.0")
        .file("demo.py", "x = 1\n")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    let links = sandbox.links().display().to_string();
    let args = ["requirements.txt", "--no-index", "-f", &links];
    let mut children: Vec<_> = (0..2)
        .map(|_| {
            sandbox
                .command(&args)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(names(&sandbox.work()), ["deps.tar.gz", "requirements.txt"]);
    assert!(!crate::support::sandbox::unpacked(&sandbox.work().join("deps.tar.gz")).is_empty());
}
