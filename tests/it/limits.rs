//! Inputs of a few kilobytes or megabytes that stand for gigabytes, or for no end at all. The program has
//! 512 MB of address space; each input must end with a right result or a plain error, and leave nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::sandbox::{Ran, Sandbox, names};
use crate::support::wheel::WheelBuilder;

/// How much address space the program has.
const SPACE: u64 = 512 << 20;

/// Runs the program in so little space that what is unbounded ends it by a signal. A run that goes on for
/// minutes is ended too.
fn run(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let plain = sandbox.command(args);
    let mut command = Command::new("prlimit");
    command
        .arg(format!("--as={SPACE}"))
        .args(["timeout", "--signal=KILL", "300"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(sandbox.work())
        .env_clear()
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        // A thread's own heap reserves 64 MB, used or not.
        .env("MALLOC_ARENA_MAX", "1")
        .env("RAYON_NUM_THREADS", "2");
    let output = command.output().unwrap();
    let ran = Ran::new(&output, sandbox);
    assert!(
        matches!(ran.code, Some(0..=4)),
        "{:?}: {}",
        output.status,
        ran.stderr
    );
    assert_eq!(sandbox.left(), [""; 0], "{}", ran.stderr);
    ran
}

/// What is left in the working folder besides what the test put there.
fn written(sandbox: &Sandbox) -> Vec<String> {
    let mut names = names(&sandbox.work());
    names.retain(|name| name.starts_with("out") || name.starts_with(".prebuild"));
    names
}

/// Builds what `requirements.txt` of the sandbox says, for a target that needs no builder.
fn build(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let target = ["--python", "3.11", "--platform", "linux/amd64"];
    let args = [&["requirements.txt", "-o", "out.tar"], &target[..], more].concat();
    let ran = run(sandbox, &args);
    let expected: &[&str] = if ran.code == Some(0) {
        &["out.tar"]
    } else {
        &[]
    };
    assert_eq!(written(sandbox), expected, "{}", ran.stderr);
    ran
}

fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0")
}

/// What an ELF file says: names, and entries that point at them.
#[derive(Default)]
struct Elf {
    names: Vec<u8>,
    /// Tag and value.
    dynamic: Vec<(u64, u64)>,
    /// `Verneed` and `Verdef` entries, as they lie in the file.
    versions: Vec<u8>,
    version_tag: u64,
}

const NEEDED: u64 = 1;
const SONAME: u64 = 14;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;
const VERNEED: u64 = 0x6fff_fffe;
const VERDEF: u64 = 0x6fff_fffc;

impl Elf {
    fn new() -> Self {
        Self {
            names: vec![0],
            ..Self::default()
        }
    }

    /// Adds a name; where it is.
    fn name(&mut self, name: &str) -> u64 {
        let at = self.names.len() as u64;
        self.names.extend(name.as_bytes());
        self.names.push(0);
        at
    }

    fn entry(&mut self, tag: u64, value: u64) {
        self.dynamic.push((tag, value));
    }

    /// A shared object for x86_64, all of it in one segment.
    fn bytes(&self) -> Vec<u8> {
        let names_at = 64 + 2 * 56;
        let versions_at = (names_at + self.names.len()).next_multiple_of(8);
        let dynamic_at = (versions_at + self.versions.len()).next_multiple_of(8);
        let mut dynamic = self.dynamic.clone();
        if !self.versions.is_empty() {
            dynamic.push((self.version_tag, versions_at as u64));
        }
        dynamic.extend([(5, names_at as u64), (10, self.names.len() as u64), (0, 0)]);
        let size = dynamic_at + dynamic.len() * 16;
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]);
        for word in [0u64, 64, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        for (kind, at, size) in [(1u32, 0, size), (2, dynamic_at, dynamic.len() * 16)] {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(6u32.to_le_bytes());
            for word in [at, at, at, size, size, 8] {
                bytes.extend((word as u64).to_le_bytes());
            }
        }
        bytes.extend(&self.names);
        bytes.resize(versions_at, 0);
        bytes.extend(&self.versions);
        bytes.resize(dynamic_at, 0);
        for (tag, value) in dynamic {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes
    }
}

/// A file that needs a library by a name of `length` bytes so many times.
fn needing(count: usize, length: usize) -> Vec<u8> {
    let mut elf = Elf::new();
    let name = elf.name(&"n".repeat(length));
    (0..count).for_each(|_| elf.entry(NEEDED, name));
    elf.bytes()
}

/// A file that takes so many versions of one name from one library.
fn taking(count: u16) -> Vec<u8> {
    let mut elf = Elf::new();
    let name = u32::try_from(elf.name(&"v".repeat(4000))).unwrap();
    elf.version_tag = VERNEED;
    for library in 0..count {
        let next = if library + 1 == count { 0u32 } else { 32 };
        elf.versions.extend([1, 0, 1, 0]);
        for word in [name, 16, next] {
            elf.versions.extend(word.to_le_bytes());
        }
        for word in [0u32, 0, name, 0] {
            elf.versions.extend(word.to_le_bytes());
        }
    }
    elf.bytes()
}

/// A file that defines one version so many times.
fn defining(count: u16) -> Vec<u8> {
    let mut elf = Elf::new();
    let name = u32::try_from(elf.name(&"v".repeat(4000))).unwrap();
    elf.version_tag = VERDEF;
    for version in 0..count {
        let next = if version + 1 == count { 0u32 } else { 28 };
        elf.versions.extend([1, 0, 0, 0, 2, 0, 1, 0]);
        for word in [0, 20, next, name, 0] {
            elf.versions.extend(word.to_le_bytes());
        }
    }
    elf.bytes()
}

/// A file that searches so many folders for each of so many libraries.
fn searching(tag: u64, folders: usize, needed: usize) -> Vec<u8> {
    let mut elf = Elf::new();
    let path = elf.name(&"/a:".repeat(folders));
    elf.entry(tag, path);
    for library in 0..needed {
        let name = elf.name(&format!("lib{library}.so"));
        elf.entry(NEEDED, name);
    }
    elf.bytes()
}

#[test]
fn an_elf_file_that_is_built_here_is_read() {
    let mut elf = Elf::new();
    let (needed, soname) = (elf.name("libm.so.6"), elf.name("libx.so"));
    elf.entry(NEEDED, needed);
    elf.entry(SONAME, soname);
    let code = prebuild::code::Code::of("x.so", &elf.bytes());
    let elf = code.elf.unwrap().unwrap();
    assert_eq!(elf.needed, ["libm.so.6"]);
    assert_eq!(elf.soname.as_deref(), Some("libx.so"));
    let count = |bytes: &[u8]| {
        let elf = prebuild::code::Code::of("x.so", bytes).elf.unwrap();
        elf.map(|elf| {
            (
                elf.needed.len(),
                elf.versions.len(),
                elf.defines.len(),
                elf.runpath.len(),
            )
        })
    };
    assert_eq!(count(&needing(200, 4000)), Ok((200, 0, 0, 0)));
    assert_eq!(count(&taking(100)), Ok((0, 100, 0, 0)));
    assert_eq!(count(&defining(200)), Ok((0, 0, 200, 0)));
    assert_eq!(count(&searching(RUNPATH, 500, 1000)), Ok((1000, 0, 0, 500)));
    let too_many = Err(prebuild::code::Damaged::TooMany);
    assert_eq!(count(&needing(300, 4000)), too_many);
    assert_eq!(count(&needing(1025, 3)), too_many);
    assert_eq!(count(&taking(150)), too_many);
    assert_eq!(count(&defining(300)), too_many);
    assert_eq!(count(&searching(RUNPATH, 600, 1)), too_many);
    assert_eq!(count(&searching(RPATH, 600, 1)), too_many);
}

/// A root that is looked at in little space. It has no interpreter: that is the plain answer.
fn root(fill: impl FnOnce(&Path)) -> Ran {
    let sandbox = Sandbox::new();
    let folder = sandbox.work().join("root");
    for name in ["usr/bin", "usr/lib", "etc", "var/lib/dpkg"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fill(&folder);
    run(&sandbox, &["runtime", "root"])
}

const NONE: &str = "there is no Python in the runtime `[WORK]/root`";

/// An `ld.so.cache` whose entries point into one text.
fn loader_cache(entries: usize, text: &[u8], at: impl Fn(usize) -> u32) -> Vec<u8> {
    let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
    bytes.extend(u32::try_from(entries).unwrap().to_ne_bytes());
    bytes.resize(48, 0);
    let start = u32::try_from(48 + entries * 24).unwrap();
    for entry in 0..entries {
        let place = start + at(entry);
        for word in [1, place, place, 0, 0, 0] {
            bytes.extend(u32::to_ne_bytes(word));
        }
    }
    bytes.extend(text);
    bytes
}

#[test]
fn loader_caches_that_stand_for_more() {
    let path = format!("/{}\0", "x".repeat(4000));
    let bytes = loader_cache(300_000, path.as_bytes(), |_| 0);
    root(|root| fs::write(root.join("etc/ld.so.cache"), bytes).unwrap()).fails(2, &[NONE]);
    // Each entry is the end of another one's text.
    let slashes = format!("{}\0", "/".repeat(4000)).repeat(100);
    let bytes = loader_cache(400_000, slashes.as_bytes(), |at| {
        u32::try_from(at % slashes.len()).unwrap()
    });
    root(|root| fs::write(root.join("etc/ld.so.cache"), bytes).unwrap()).fails(2, &[NONE]);
}

/// rpm's table may be a view, which makes up any number of rows of any size.
#[test]
fn package_databases_that_make_up_their_rows() {
    for view in [
        "CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) \
         SELECT x'0000000300001800000003e80000000600000000000000010000' || randomblob(10) AS blob FROM n",
        "CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) \
         SELECT zeroblob(16000000) AS blob FROM n ORDER BY randomblob(1000000)",
        "CREATE VIEW Packages AS SELECT zeroblob(2000000000) AS blob",
        // Headers of 8 KB with names of their own: count, size, three entries, and the texts.
        "CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) \
         SELECT x'0000000300002000' || x'000003e8' || x'00000006' || x'00000000' || x'00000001' \
         || x'000003e9' || x'00000006' || x'00000fa0' || x'00000001' \
         || x'000003ea' || x'00000006' || x'00000fa0' || x'00000001' \
         || CAST(printf('%03999d', i) AS BLOB) || x'00' || CAST(printf('%03999d', i) AS BLOB) || x'00' \
         AS blob FROM n",
    ] {
        root(|root| {
            fs::create_dir_all(root.join("var/lib/rpm")).unwrap();
            let made = Command::new("sqlite3")
                .arg(root.join("var/lib/rpm/rpmdb.sqlite"))
                .arg(view)
                .status()
                .unwrap();
            assert!(made.success());
        })
        .fails(2, &[NONE]);
    }
}

#[test]
fn requirements_that_stand_for_more() {
    let told = |text: &str, why: &str| {
        let sandbox = Sandbox::new();
        sandbox.write("requirements.txt", text);
        build(&sandbox, &["--no-index"]).fails(2, &[why]);
    };
    let list = |item: &str, count: usize| vec![item; count].join(",");
    told(
        &format!("demo{}\n", list(">1", 1_000_000)),
        "more than 1000 version specifiers",
    );
    let extras: Vec<String> = (0..100_000).map(|at| format!("e{at}")).collect();
    told(
        &format!("demo[{}]\n", extras.join(",")),
        "more than 1000 extras",
    );
    let nested = format!(
        "{}os_name == 'x'{}",
        "(".repeat(100_000),
        ")".repeat(100_000)
    );
    told(
        &format!("demo; {nested}\n"),
        "too many parentheses within one another",
    );
}

fn lock(text: &str) -> Ran {
    let sandbox = Sandbox::new();
    sandbox.write("pylock.toml", text);
    run(
        &sandbox,
        &[
            "pylock.toml",
            "-o",
            "out.tar",
            "--python",
            "3.11",
            "--platform",
            "linux/amd64",
        ],
    )
}

#[test]
fn lock_files_that_stand_for_more() {
    let head = "lock-version = '1.0'\npackages = []\n";
    let deep = "too many tables within one another";
    let many = "more than any such file holds";
    for (text, why) in [
        (format!("{head}a = {}", "[".repeat(1_000_000)), deep),
        (format!("{head}a = {}", "{a=".repeat(100_000)), deep),
        (format!("{head}a{} = 1", ".a".repeat(100_000)), deep),
        (format!("{head}a = [{}]", "1,".repeat(20_000_000)), many),
        (format!("{head}{}", "[[a.b]]\n".repeat(5_000_000)), many),
    ] {
        let ran = lock(&text);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        let is_told = ran.stderr.contains(why) || ran.stderr.contains("recursion");
        assert!(is_told, "{}", ran.stderr);
    }
    let marker = |marker: &str| {
        format!("lock-version = '1.0'\npackages = []\nenvironments = [\"{marker}\"]\n")
    };
    let nested = |depth: usize| {
        let open = "(".repeat(depth);
        marker(&format!("{open}os_name == 'x'{}", ")".repeat(depth)))
    };
    lock(&nested(100_000)).fails(2, &["too many parentheses within one another"]);
    lock(&marker(&"os_name == 'x' or ".repeat(100_000))).fails(2, &["pylock.toml:3:"]);
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// What is no file is not opened, wherever a file is named: a pipe that nobody writes to, a device that never
/// ends, a socket.
#[test]
fn only_files_are_read() {
    let target = [
        "-o",
        "out.tar",
        "--no-index",
        "--python",
        "3.11",
        "--platform",
        "linux/amd64",
    ];
    let no_file = "it is not a regular file";
    let name = "demo-1.0-py3-none-any.whl";
    for kind in ["pipe", "zero"] {
        let at = |sandbox: &Sandbox, name: &str| {
            let path = sandbox.work().join(name);
            match kind {
                "pipe" => pipe(&path),
                _ => symlink("/dev/zero", &path).unwrap(),
            }
        };
        let sandbox = Sandbox::new();
        at(&sandbox, name);
        at(&sandbox, "pylock.x.toml");
        at(&sandbox, "pip.conf");
        at(&sandbox, "netrc");
        at(&sandbox, "links.html");
        sandbox.write("requirements.txt", format!("./{name}\n"));
        let ran = run(&sandbox, &[&["requirements.txt"], &target[..]].concat());
        ran.fails(1, &[name, no_file]);
        let ran = run(&sandbox, &[&["pylock.x.toml"], &target[..]].concat());
        ran.fails(2, &["pylock.x.toml", no_file]);
        sandbox.write("requirements.txt", "demo==1.0\n");
        let links = sandbox.work().join("links.html").display().to_string();
        let ran = run(
            &sandbox,
            &[&["requirements.txt", "-f", &links], &target[..]].concat(),
        );
        ran.fails(1, &["links.html", no_file]);
        let at = |name: &str| sandbox.work().join(name).display().to_string();
        let (config, netrc) = (at("pip.conf"), at("netrc"));
        let sandbox = sandbox.env("PIP_CONFIG_FILE", config).env("NETRC", netrc);
        let ran = run(&sandbox, &[&["requirements.txt"], &target[..]].concat());
        ran.fails(1, &["demo==1.0"]);
    }
}

/// A list of requirements may come from a pipe, as a shell's `<(…)` is one; not from one without end.
#[test]
fn requirements_come_from_pipes() {
    let sandbox = Sandbox::new();
    let program = env!("CARGO_BIN_EXE_prebuild");
    demo().file("demo.py", "").build(&sandbox.links());
    let mut command = Command::new("bash");
    let plain = sandbox.command(&[]);
    command
        .arg("-c")
        .arg(format!(
            "{program} <(printf 'demo==%s\\n' 1.0) -c <(echo 'demo<2') -o out.tar --no-index \
             -f ../links --python 3.11 --platform linux/amd64"
        ))
        .current_dir(sandbox.work())
        .env_clear()
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    Ran::new(&command.output().unwrap(), &sandbox).ok();
    assert_eq!(written(&sandbox), ["out.tar"]);
    let args = [
        "-o",
        "out2.tar",
        "--no-index",
        "--python",
        "3.11",
        "--platform",
        "linux/amd64",
    ];
    for named in ["/dev/zero", "/dev/urandom"] {
        let ran = run(&sandbox, &[&[named], &args[..]].concat());
        ran.fails(2, &[named, "it is longer than 16 MB"]);
    }
    sandbox.write("include.txt", "-r /dev/zero\n");
    let ran = run(&sandbox, &[&["include.txt"], &args[..]].concat());
    ran.fails(2, &["include.txt:1:4", "it is longer than 16 MB"]);
}

/// An interpreter that never stops writing is ended, and so is all that it started.
#[test]
fn interpreters_that_never_end() {
    let sandbox = Sandbox::new();
    let python = sandbox.work().join("python");
    let said = "does not say what it is: ";
    for (script, why) in [
        ("exec yes", "writes more than 16 MB"),
        ("exec tr '\\0' x </dev/zero", "writes more than 16 MB"),
        ("yes & yes >&2", "writes more than 16 MB"),
    ] {
        fs::write(&python, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        sandbox.write("requirements.txt", "demo==1.0\n");
        let ran = run(
            &sandbox,
            &["requirements.txt", "-o", "out.tar", "--python", "./python"],
        );
        ran.fails(3, &[said, why]);
        assert_eq!(written(&sandbox), [""; 0]);
    }
}

/// A signal ends what waits: for somebody who writes, for an interpreter, for a server.
#[test]
fn a_signal_ends_every_wait() {
    let sandbox = Sandbox::new();
    let python = sandbox.work().join("python");
    fs::write(
        &python,
        "#!/bin/sh\ntrap '' TERM\necho waiting >&2\nsleep 1000\n",
    )
    .unwrap();
    fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    pipe(&sandbox.work().join("pipe.txt"));
    sandbox.write("requirements.txt", "demo==1.0\n");
    let target = [
        "-o",
        "out.tar",
        "--no-index",
        "--python",
        "3.11",
        "--platform",
        "linux/amd64",
    ];
    for args in [
        [&["pipe.txt"][..], &target].concat(),
        [&["requirements.txt", "-c", "pipe.txt"][..], &target].concat(),
        [&["-"][..], &target].concat(),
        vec!["requirements.txt", "-o", "out.tar", "--python", "./python"],
    ] {
        let mut child = sandbox
            .command(&args)
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Until it waits: it reads, or something that it started does.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        assert!(child.try_wait().unwrap().is_none(), "{args:?}");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let stdin = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let ran = Ran::new(&output, &sandbox);
        assert_eq!(ran.code, Some(143), "{args:?} {}", ran.stderr);
        assert_eq!(written(&sandbox), [""; 0]);
        assert_eq!(sandbox.left(), [""; 0]);
    }
}
