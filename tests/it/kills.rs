//! What a process leaves that is killed at any moment, and what the next build makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use walkdir::WalkDir;

use crate::support::chance::Chance;
use crate::support::sandbox::{Sandbox, names};
use crate::support::wheel::{WheelBuilder, project};

/// How many processes are killed.
const KILLS: usize = 200;
/// After how many of them a build runs to its end.
const BETWEEN: usize = 8;

/// What is killed: its arguments, and the outputs that it writes. `VERSION` is one of the two that take
/// turns.
const BUILDS: [(&str, &[&str]); 4] = [
    ("VERSION.txt -o a.tar.gz", &["a.tar.gz"]),
    ("VERSION.txt --force -o dir/", &["dir"]),
    (
        "VERSION.txt --force -o b.tar -o b.tar.zst -o b.zip -o both/",
        &["b.tar", "b.tar.zst", "b.zip", "both"],
    ),
    ("VERSION.txt --no-cache -o c.zip", &["c.zip"]),
];
const UPKEEP: [&str; 3] = ["cache prune", "cache prune --max-size 0", "cache clean"];
const VERSIONS: [&str; 2] = ["old", "new"];

/// The seed of a test: that of `PREBUILD_TEST_SEED`, or a new one; said aloud.
fn seed() -> u64 {
    let given = std::env::var("PREBUILD_TEST_SEED");
    let seed = given.map_or_else(
        |_| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            u64::from(now.unwrap().subsec_nanos())
        },
        |given| given.parse().unwrap(),
    );
    let _ = writeln!(std::io::stderr(), "kills: PREBUILD_TEST_SEED={seed}");
    seed
}

fn start(sandbox: &Sandbox, args: &str) -> Child {
    let links = sandbox.links().display().to_string();
    let mut args: Vec<&str> = args.split(' ').collect();
    if args[0] != "cache" {
        args.extend(["--no-index", "--find-links", &links]);
    }
    sandbox
        .command(&args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ends_well(sandbox: &Sandbox, args: &str) {
    let output = start(sandbox, args).wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args}: {stderr}");
}

/// What an output holds: of a directory, all its files.
fn state(path: &Path) -> BTreeMap<String, Vec<u8>> {
    WalkDir::new(path)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(path).unwrap();
            let name = name.display().to_string();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The names of files that only one of two outputs has, or that differ.
fn differences<'a>(
    now: &'a BTreeMap<String, Vec<u8>>,
    other: &'a BTreeMap<String, Vec<u8>>,
) -> Vec<String> {
    let names: BTreeSet<&String> = now.keys().chain(other.keys()).collect();
    let size = |files: &BTreeMap<String, Vec<u8>>, name| files.get(name).map(Vec::len);
    names
        .into_iter()
        .filter(|name| now.get(*name) != other.get(*name))
        .map(|name| format!("{name}: {:?} for {:?}", size(now, name), size(other, name)))
        .collect()
}

/// Temporary files and directories anywhere in the sandbox.
fn left(sandbox: &Sandbox) -> Vec<String> {
    let root = sandbox.work();
    let is_left = |name: &str| name.starts_with(".prebuild.") || name.starts_with("prebuild-");
    let mut left: Vec<String> = WalkDir::new(root.parent().unwrap())
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| is_left(&path.file_name().unwrap().to_string_lossy()))
        .map(|path| path.display().to_string())
        .collect();
    left.extend(sandbox.left());
    let tmp = sandbox.work().join("../home/.cache/prebuild/tmp");
    if tmp.exists() {
        left.extend(names(&tmp));
    }
    left
}

/// Waits until nothing runs any more that a process in the sandbox started.
fn wait_for_orphans(sandbox: &Sandbox) {
    let tmp = sandbox.tmp().display().to_string();
    let began = Instant::now();
    let names_it = |text: &[u8]| {
        text.windows(tmp.len())
            .any(|window| window == tmp.as_bytes())
    };
    let runs = || {
        let mut processes = fs::read_dir("/proc").unwrap().flatten();
        processes.any(|one| {
            let read = |name| fs::read(one.path().join(name)).unwrap_or_default();
            names_it(&read("environ")) || names_it(&read("cmdline"))
        })
    };
    while runs() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "orphans do not end"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "takes a minute"]
fn kill_at_any_moment_leaves_whole_outputs() {
    let sandbox = Sandbox::new();
    let mut chance = Chance(seed());
    for (number, version) in VERSIONS.into_iter().enumerate() {
        let mut wheel = WheelBuilder::new("demo", &format!("{}.0", number + 1));
        for file in 0..12 + number {
            let noise: Vec<u8> = (0..8_000)
                .map(|_| u8::try_from(chance.below(256)).unwrap())
                .collect();
            wheel = wheel.file(&format!("demo/{version}{file}.bin"), noise);
        }
        wheel.build(&sandbox.links());
        sandbox.write(
            &format!("{version}.txt"),
            format!("demo=={}.0\n", number + 1),
        );
    }
    // What each output is with either version, and how long it takes.
    let mut whole = BTreeMap::new();
    let mut took = Duration::ZERO;
    for version in VERSIONS {
        for (args, outputs) in BUILDS {
            let began = Instant::now();
            ends_well(&sandbox, &args.replace("VERSION", version));
            took = began.elapsed();
            for output in outputs {
                let states: &mut Vec<_> = whole.entry(*output).or_default();
                states.push(state(&sandbox.work().join(output)));
            }
        }
    }
    assert!(whole.values().all(|states| states[0] != states[1]));
    let mut killed = 0;
    for kill in 0..KILLS {
        let upkeep = chance.one_in(4);
        let (args, outputs) = if upkeep {
            (chance.pick(&UPKEEP).to_owned(), &[][..])
        } else {
            let (args, outputs) = chance.pick(&BUILDS);
            (args.replace("VERSION", chance.pick(&VERSIONS)), outputs)
        };
        let mut child = start(&sandbox, &args);
        let most = if upkeep { took / 4 } else { took * 5 / 4 };
        let most = usize::try_from(most.as_micros()).unwrap();
        thread::sleep(Duration::from_micros(chance.below(most) as u64));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        killed += usize::from(ended.code().is_none());
        for output in outputs {
            let now = state(&sandbox.work().join(output));
            let known = &whole[output];
            assert!(
                known.contains(&now),
                "kill {kill}: {args}: {output} is torn: {:?}",
                differences(&now, &known[known.len() - 1])
            );
        }
        if upkeep {
            ends_well(&sandbox, "cache verify");
        }
        if kill % BETWEEN == BETWEEN - 1 {
            wait_for_orphans(&sandbox);
            // One that writes to where all the others do.
            ends_well(
                &sandbox,
                &BUILDS[2].0.replace("VERSION", chance.pick(&VERSIONS)),
            );
            assert_eq!(left(&sandbox), [""; 0], "kill {kill}: {args}");
        }
    }
    let outputs = [
        "a.tar.gz",
        "b.tar",
        "b.tar.zst",
        "b.zip",
        "both",
        "c.zip",
        "dir",
    ];
    let inputs = ["new.txt", "old.txt"];
    let mut expected: Vec<_> = outputs.into_iter().chain(inputs).collect();
    expected.sort_unstable();
    assert_eq!(names(&sandbox.work()), expected);
    let _ = writeln!(
        std::io::stderr(),
        "kills: {killed} of {KILLS} before the end"
    );
    // How long a build takes varies with what else the machine does: many end before they are killed.
    assert!(killed > KILLS / 4);
}

/// A build backend outlives the build that was killed: its folder is in use, and then it is swept.
#[test]
fn what_an_orphan_writes_to_is_swept_when_it_ends() {
    let sandbox = Sandbox::new();
    let started = sandbox.work().join("started");
    let go_on = sandbox.work().join("go-on");
    let hook = format!(
        "open({started:?}, 'w').close()
    while not os.path.exists({go_on:?}):
        time.sleep(0.05)"
    );
    project(&sandbox.work().join("proj"), "proj", &hook);
    WheelBuilder::new("demo", "1.0").build(&sandbox.links());
    sandbox.write("slow.txt", "./proj\n");
    sandbox.write("demo.txt", "demo==1.0\n");
    let mut child = start(&sandbox, "slow.txt");
    while !started.exists() {
        assert!(child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = sandbox.left();
    assert!(before.iter().any(|name| name.starts_with("prebuild-")));
    ends_well(&sandbox, "demo.txt");
    let is_used = |name: &String| name.starts_with("prebuild-") && before.contains(name);
    assert!(sandbox.left().iter().any(is_used), "{:?}", sandbox.left());
    fs::write(&go_on, "").unwrap();
    wait_for_orphans(&sandbox);
    ends_well(&sandbox, "demo.txt");
    assert!(!sandbox.left().iter().any(is_used), "{:?}", sandbox.left());
}

/// A user's own directory that is called like ours, and one that another user's build left.
#[test]
fn only_what_builds_left_is_swept() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("demo", "1.0").build(&sandbox.links());
    sandbox.write("demo.txt", "demo==1.0\n");
    sandbox.write(".prebuild.foo/precious", "");
    sandbox.write(".prebuild.abcdefghijkl/precious", "");
    sandbox.write("dir/.prebuild.foo", "");
    let mut expected = vec![
        ".prebuild.abcdefghijkl",
        ".prebuild.foo",
        "demo.txt",
        "deps.tar.gz",
        "dir",
    ];
    let theirs = sandbox.write(".prebuild.zzzzzzzzzzzz/file", "");
    let lock = sandbox.write(".prebuild.zzzzzzzzzzzz.lock", "");
    let given = Command::new("chown").arg("54321").arg(&lock).status();
    let is_theirs = given.unwrap().success();
    if is_theirs {
        expected.splice(
            2..2,
            [".prebuild.zzzzzzzzzzzz", ".prebuild.zzzzzzzzzzzz.lock"],
        );
    } else {
        crate::support::skip("files cannot be given to another user");
    }
    ends_well(&sandbox, "demo.txt");
    assert_eq!(names(&sandbox.work()), expected);
    assert_eq!(theirs.exists(), is_theirs);
    assert!(sandbox.work().join(".prebuild.foo/precious").exists());
}
