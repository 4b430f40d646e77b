//! Outputs appear all or none, whatever fails: another output, a limit of the process, the disk.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::support::mount::Mount;
use crate::support::python;
use crate::support::sandbox::{Ran, Sandbox, names};
use crate::support::skip;
use crate::support::wheel::{WheelBuilder, project};

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A sandbox with a distribution of this many bytes that is required.
fn sandbox(length: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    WheelBuilder::new("demo", "1.0")
        .file("demo/noise.bin", noise(length))
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "demo==1.0\n");
    sandbox
}

/// Runs the program by a shell line, in which `prebuild` is it.
fn by_shell(sandbox: &Sandbox, line: &str, args: &[&str]) -> Output {
    let links = sandbox.links().display().to_string();
    let program = sandbox.command(&[]);
    let line = line.replace("prebuild", "\"$0\" \"$@\"");
    let variables = program.get_envs();
    let variables = variables.filter_map(|(name, value)| Some((name, value?)));
    Command::new("sh")
        .args(["-c", &line])
        .arg(program.get_program())
        .args(args)
        .args(["--no-index", "--find-links", &links])
        .current_dir(sandbox.work())
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

const PLATFORMS: [&str; 7] = [
    "requirements.txt",
    "--python",
    "3.11",
    "--platform",
    "manylinux_2_28_x86_64",
    "--platform",
    "manylinux_2_28_aarch64",
];

#[test]
fn all_platforms_appear_or_none() {
    let sandbox = Sandbox::new();
    let wheel = |machine: &str| {
        WheelBuilder::new("native", "1.0")
            .platform(&format!("cp311-cp311-manylinux_2_17_{machine}"))
            .file("native.py", machine)
            .build(&sandbox.links());
    };
    wheel("x86_64");
    sandbox.write("requirements.txt", "native==1.0\n");
    let outputs = ["-o", "deps.tar.gz", "-o", "dir/"];
    let args = [&PLATFORMS[..], &outputs].concat();
    insta::assert_snapshot!(sandbox.offline(&args).fails_with(1), @r"
     builder  [BUILDER]
    download  1 wheel
     install  1 wheel
        pack  deps-manylinux_2_28_x86_64.tar.gz, dir-manylinux_2_28_x86_64
     builder  [BUILDER]
    error: requirements.txt:1:1: cannot install native==1.0 for CPython 3.11.[X] on linux-aarch64, glibc 2.28: its wheels are for manylinux_2_17_x86_64
    hint: require a version that has a wheel for the target, or an sdist
    ");
    assert_eq!(names(&sandbox.work()), ["requirements.txt"]);
    // What was there before is still there.
    sandbox.write("deps-manylinux_2_28_x86_64.tar.gz", "old");
    sandbox.write("dir-manylinux_2_28_x86_64/old", "old");
    insta::assert_snapshot!(sandbox.offline(&[&args[..], &["--force"]].concat()).fails_with(1), @r"
     builder  [BUILDER]
    download  1 wheel
     install  1 wheel
        pack  deps-manylinux_2_28_x86_64.tar.gz, dir-manylinux_2_28_x86_64
     builder  [BUILDER]
    error: requirements.txt:1:1: cannot install native==1.0 for CPython 3.11.[X] on linux-aarch64, glibc 2.28: its wheels are for manylinux_2_17_x86_64
    hint: require a version that has a wheel for the target, or an sdist
    ");
    let before = [
        "deps-manylinux_2_28_x86_64.tar.gz",
        "dir-manylinux_2_28_x86_64",
        "requirements.txt",
    ];
    assert_eq!(names(&sandbox.work()), before);
    let old = sandbox.work().join("deps-manylinux_2_28_x86_64.tar.gz");
    assert_eq!(fs::read(old).unwrap(), b"old");
    assert_eq!(
        names(&sandbox.work().join("dir-manylinux_2_28_x86_64")),
        ["old"]
    );
    // With the other wheel, both.
    wheel("aarch64");
    sandbox.offline(&[&args[..], &["--force"]].concat()).ok();
    assert_eq!(
        names(&sandbox.work()),
        [
            "deps-manylinux_2_28_aarch64.tar.gz",
            "deps-manylinux_2_28_x86_64.tar.gz",
            "dir-manylinux_2_28_aarch64",
            "dir-manylinux_2_28_x86_64",
            "requirements.txt"
        ]
    );
    assert_eq!(
        names(&sandbox.work().join("dir-manylinux_2_28_x86_64")),
        ["lib"]
    );
    assert_eq!(sandbox.left(), [""; 0]);
}

/// The list of packages is an output too: a build that fails leaves the old one.
#[test]
fn a_list_of_packages_appears_with_the_artifact() {
    let sandbox = sandbox(10);
    let python = python::itself().display().to_string();
    let args = [
        "requirements.txt",
        "--runtime",
        &python,
        "--write-packages",
        "packages.txt",
    ];
    sandbox.write("packages.txt", "old\n");
    let packages = || fs::read_to_string(sandbox.work().join("packages.txt")).unwrap();
    sandbox.write("requirements.txt", "demo==2.0\n");
    insta::assert_snapshot!(sandbox.offline(&args).fails_with(1), @r"
     builder  [BUILDER]
     runtime  [RUNTIME]
    error: requirements.txt:1:1: cannot install demo==2.0 for CPython 3.11.[X] on linux-x86_64, glibc 2.36: no index has that version; available: 1.0
    ");
    assert_eq!(packages(), "old\n");
    sandbox.write("requirements.txt", "demo==1.0\n");
    sandbox.offline(&args).ok();
    assert_eq!(packages(), "");
    let twice = [
        "-o",
        "packages.txt.tar",
        "--write-packages",
        "packages.txt.tar",
    ];
    insta::assert_snapshot!(sandbox.offline(&[&args[..3], &twice].concat()).fails_with(2), @"error: `packages.txt.tar` is named twice");
}

/// Temporary directories are their user's alone, whatever the umask.
#[test]
fn temporary_directories_are_private() {
    for umask in ["0000", "0077", "0777"] {
        if umask == "0777" && !is_root() {
            skip("only root can work with this umask");
            continue;
        }
        let sandbox = Sandbox::new();
        // Those of ours that the build's own temporary directory lies in.
        let hook = "
    here = os.environ['TMPDIR']
    while here != '/':
        if os.path.basename(here).startswith('prebuild-'):
            with open('/MODES', 'a') as file:
                file.write('%o ' % os.stat(here).st_mode)
        here = os.path.dirname(here)";
        let modes = sandbox.work().join("modes");
        let hook = hook.replace("/MODES", modes.to_str().unwrap());
        project(&sandbox.work().join("proj"), "proj", &hook);
        sandbox.write("requirements.txt", "./proj\n");
        let line = format!("umask {umask}; exec prebuild");
        let output = by_shell(&sandbox, &line, &["requirements.txt"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{umask}: {stderr}");
        let modes = fs::read_to_string(modes).unwrap();
        assert!(!modes.is_empty(), "{umask}");
        assert!(
            modes.split_whitespace().all(|mode| mode == "40700"),
            "{umask}: {modes}"
        );
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Under a limit, a build to `output` succeeds, or says what failed and leaves nothing.
fn ends_in_order(sandbox: &Sandbox, output: &str, what: &str, ran: &Output) -> Option<i32> {
    let ran = Ran::new(ran, sandbox);
    assert!(
        matches!(ran.code, Some(0 | 1 | 3)) && !ran.stderr.contains("panicked"),
        "{what}: {:?}\n{}",
        ran.code,
        ran.stderr
    );
    let mut expected = vec!["requirements.txt"];
    if ran.code == Some(0) {
        expected.insert(0, output.trim_end_matches('/'));
    } else {
        assert!(ran.stderr.contains("error: "), "{what}: {}", ran.stderr);
    }
    assert_eq!(names(&sandbox.work()), expected, "{what}");
    assert_eq!(sandbox.left(), [""; 0], "{what}");
    ran.code
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    for output in ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip", "a.dir/"] {
        let sandbox = sandbox(600_000);
        // The wheel is in the cache, and may not be written again.
        sandbox.offline(&["plan", "requirements.txt"]).ok();
        let what = ["requirements.txt", "-o", output];
        let limited = by_shell(&sandbox, "exec prlimit --fsize=100000 prebuild", &what);
        assert_eq!(ends_in_order(&sandbox, output, output, &limited), Some(1));
        let stderr = String::from_utf8_lossy(&limited.stderr);
        assert!(
            stderr.contains("File too large") && stderr.contains("hint: raise the limit"),
            "{stderr}"
        );
    }
}

/// As a user of their own, since limits of this kind count all processes of a user, and not root's.
#[test]
fn a_limit_on_processes_is_an_error() {
    let mut codes = Vec::new();
    for limit in [1, 2, 3, 4, 6, 8, 200] {
        let sandbox = sandbox(10_000);
        let Some(user) = other_user(&sandbox) else {
            return;
        };
        let line = format!("exec {user} prlimit --nproc={limit} prebuild");
        let output = by_shell(&sandbox, &line, &["requirements.txt", "-o", "a.tar.gz"]);
        let what = format!("{limit} processes");
        codes.push(ends_in_order(&sandbox, "a.tar.gz", &what, &output));
    }
    assert_eq!(
        (codes[0], codes.last()),
        (Some(3), Some(&Some(0))),
        "{codes:?}"
    );
}

#[test]
fn a_limit_on_memory_is_an_error() {
    for limit in ["50M", "200M"] {
        let limit = limit.replace('M', "000000");
        let sandbox = sandbox(10_000);
        let line = format!("exec prlimit --as={limit} prebuild");
        let output = by_shell(&sandbox, &line, &["requirements.txt", "-o", "a.tar.gz"]);
        let ran = Ran::new(&output, &sandbox);
        if ran.stderr.contains("error while loading shared libraries") || ran.code.is_none() {
            // The kernel did not start it: a build for tests has more code than that.
            continue;
        }
        assert_eq!(
            ends_in_order(&sandbox, "a.tar.gz", &limit, &output),
            Some(3)
        );
        assert!(
            ran.stderr.contains("the limit on address space is"),
            "{}",
            ran.stderr
        );
    }
    let sandbox = sandbox(10_000);
    let line = "exec prlimit --as=512000000 prebuild";
    let output = by_shell(&sandbox, line, &["requirements.txt", "-o", "a.tar.gz"]);
    assert_eq!(
        ends_in_order(&sandbox, "a.tar.gz", "512 MB", &output),
        Some(0)
    );
}

/// Where nobody reads what is printed, the artifact is there all the same.
#[test]
fn streams_that_are_closed_do_no_harm() {
    let lines = [
        ("exec prebuild >&-", 0),
        ("exec prebuild 2>&-", 0),
        ("exec prebuild >&- 2>&- <&-", 0),
        ("prebuild | true", 0),
        ("prebuild 2>&1 >/dev/null | true", 0),
        ("exec prebuild 2>/dev/full", 0),
        ("exec prebuild >/dev/full", 1),
    ];
    for (line, code) in lines {
        let sandbox = sandbox(10_000);
        let output = by_shell(
            &sandbox,
            line,
            &["requirements.txt", "-v", "-o", "a.tar.gz"],
        );
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
        assert!(!stderr.contains("panicked"), "{line}: {stderr}");
        let written = sandbox.work().join("a.tar.gz");
        assert!(
            !crate::support::sandbox::unpacked(&written).is_empty(),
            "{line}"
        );
        assert_eq!(names(&sandbox.work()), ["a.tar.gz", "requirements.txt"]);
        assert_eq!(sandbox.left(), [""; 0], "{line}");
    }
}

/// Where temporary files, the cache or the outputs have no room.
#[test]
fn a_disk_that_fills_anywhere_is_an_error() {
    for (full, code) in [("tmp", 0), ("home", 0), ("work/disk", 1)] {
        for size in [16 << 10, 300 << 10, 900 << 10] {
            let sandbox = sandbox(600_000);
            let disk = sandbox.work().join("..").join(full);
            fs::create_dir_all(&disk).unwrap();
            let Some(mount) = Mount::tmpfs(&disk, size) else {
                return;
            };
            let outputs = ["-o", "disk/b.zip", "-o", "disk/b/", "-o", "a.tar.gz"];
            fs::create_dir_all(sandbox.work().join("disk")).unwrap();
            let ran = sandbox.offline(&[&["requirements.txt"], &outputs[..]].concat());
            assert_eq!(ran.code, Some(code), "{full} {size}: {}", ran.stderr);
            assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
            if code == 1 {
                assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
                assert!(
                    ran.stderr.contains("hint: free disk space there"),
                    "{}",
                    ran.stderr
                );
                assert_eq!(names(&sandbox.work()), ["disk", "requirements.txt"]);
                assert_eq!(names(&disk), [""; 0]);
            } else {
                assert_eq!(names(&sandbox.work().join("disk")), ["b", "b.zip"]);
            }
            assert_eq!(sandbox.left(), [""; 0]);
            drop(mount);
        }
    }
}

/// What a shell line begins with to run as a user of this test's own, who may write in the sandbox;
/// skipped where that is not possible.
fn other_user(sandbox: &Sandbox) -> Option<String> {
    let possible = Command::new("setpriv").arg("--version").output();
    if !is_root() || possible.is_err() {
        skip("the program cannot be run as another user");
        return None;
    }
    let user = 54_000 + std::process::id() % 1000;
    for entry in walkdir::WalkDir::new(sandbox.work().parent().unwrap()) {
        let path = entry.unwrap().into_path();
        std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    }
    Some(format!(
        "setpriv --reuid={user} --regid={user} --clear-groups"
    ))
}
