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
    let ran = sandbox
        .run(&["requirements.txt"])
        .fails(2, &["requirements.txt:1:"]);
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
    sandbox.run(&[]).fails(2, &["REQUIREMENTS"]);
    sandbox.run(&["missing.txt"]).fails(2, &["missing.txt"]);
    sandbox
        .run(&["requirements.txt", "-o", "x.rar"])
        .fails(2, &["x.rar", ".tar.gz"]);
    fs::create_dir(sandbox.work().join("d.tar")).unwrap();
    sandbox
        .run(&["requirements.txt", "-o", "d.tar"])
        .fails(2, &["d.tar"]);
    sandbox.write("full/file", "");
    sandbox
        .run(&["requirements.txt", "-o", "full/"])
        .fails(2, &["is not empty", "--force"]);
    sandbox
        .run(&["requirements.txt", "--builder", "docker"])
        .fails(2, &["--image"]);
    sandbox
        .run(&["requirements.txt", "--env", "NOT_THERE"])
        .fails(2, &["NOT_THERE"]);
    sandbox
        .run(&["requirements.txt", "--dest", "relative"])
        .fails(2, &["relative"]);
    // What is not there, rather than wrong.
    sandbox
        .run(&["requirements.txt", "-o", "none/x.tar"])
        .fails(1, &["none", "hint: create the folder"]);
    sandbox
        .run(&["requirements.txt", "-o", "/proc/x.tar"])
        .fails(1, &["/proc"]);
}

#[test]
fn a_machine_that_is_not_set_up_is_exit_code_3() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "x\n");
    sandbox
        .run(&["requirements.txt", "--python", "/no/python"])
        .fails(3, &["/no/python", "hint: "]);
    sandbox
        .run(&["requirements.txt", "--python", "3.99"])
        .fails(3, &["python3.99"]);
    let venv = sandbox.tmp().join("venv");
    let made = Command::new("python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status()
        .unwrap();
    assert!(made.success());
    let python = venv.join("bin/python").display().to_string();
    sandbox
        .run(&["requirements.txt", "--python", &python])
        .fails(3, &["has no pip", "ensurepip"]);
    let sandbox = Sandbox::new().env("PATH", "/nowhere");
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
        .fails(3, &["cannot find `docker`", "hint: "]);
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
    sandbox
        .run(&engine)
        .fails(3, &["docker does not answer: it is silent for 10 seconds"]);
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
    for (text, said) in [
        (
            "# first\nno-such-thing\n".to_owned(),
            &["requirements.txt:2:1: ", "no-such-thing"][..],
        ),
        ("\none\ntwo\n".to_owned(), &["dep==1.0", "dep==2.0"]),
        (
            format!("dep==1.0 --hash=sha256:{zeros}\n"),
            &["requirements.txt:1:1: ", &zeros[..8]],
        ),
        (
            "dep==3.0\n".to_owned(),
            &["requirements.txt:1:1: ", "dep==3.0"],
        ),
        ("one==1.0\none>=2\n".to_owned(), &["one"]),
    ] {
        sandbox.write("requirements.txt", &text);
        let ran = sandbox.offline(&["requirements.txt"]);
        let code = if text.contains(">=2") { 2 } else { 1 };
        ran.fails(code, said);
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
    for (status, said) in [(401, "401"), (403, "403"), (404, "x"), (500, "500")] {
        let sandbox = Sandbox::new().env("PIP_INDEX_URL", index::start(Behaviour::Status(status)));
        sandbox.write("requirements.txt", "x==1.0\n");
        sandbox
            .run(&["requirements.txt"])
            .fails(1, &["requirements.txt:1:1: ", said]);
        // pip's own failures are told alike.
        sandbox.write("requirements.txt", "x\n");
        sandbox
            .run(&["requirements.txt"])
            .fails(1, &["requirements.txt:1:1: ", said]);
    }
    let sandbox = Sandbox::new().env("PIP_INDEX_URL", index::nowhere());
    sandbox.write("requirements.txt", "x==1.0\n");
    sandbox.run(&["requirements.txt"]).fails(1, &["refused"]);
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
        ran.fails(1, &["disk/", "No space left", "hint: free room"]);
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
    assert_eq!(error, "`fifo` is neither a file, a folder nor a link");
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
