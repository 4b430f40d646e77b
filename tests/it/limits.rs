//! Inputs of a few kilobytes or megabytes that stand for gigabytes, or for no end at all. The program has
//! 512 MB of address space; each input must end with a right result or a plain error, and leave nothing.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::sandbox::{Ran, Sandbox, names};
use crate::support::server::{Answer, Server};
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

fn wheel(wheel: WheelBuilder) -> Ran {
    let sandbox = Sandbox::new();
    wheel.build(&sandbox.links());
    sandbox.write("requirements.txt", "demo==1.0\n");
    let links = sandbox.links().display().to_string();
    build(&sandbox, &["--no-index", "--find-links", &links])
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

    /// A shared object for `x86_64`, all of it in one segment.
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

/// Native code whose few bytes name gigabytes is damaged code, and the wheel is built.
#[test]
fn native_code_that_names_one_string_many_times() {
    for (what, bytes) in [
        ("needed", needing(60_000, 4000)),
        ("taken", taking(60_000)),
        ("defined", defining(60_000)),
    ] {
        let mut wheel = demo().platform("cp311-cp311-manylinux_2_17_x86_64");
        // Each is let off by itself; all together are too much as well.
        for at in 0..10 {
            wheel = wheel.file(&format!("demo/{what}{at}.so"), &bytes);
        }
        let sandbox = Sandbox::new();
        wheel.build(&sandbox.links());
        sandbox.write("requirements.txt", "demo==1.0\n");
        let links = sandbox.links().display().to_string();
        build(&sandbox, &["--no-index", "--find-links", &links]).ok();
    }
    // As much as one file may name, in very many files.
    let mut wheel = demo().platform("cp311-cp311-manylinux_2_17_x86_64");
    let bytes = needing(250, 4000);
    for at in 0..200 {
        wheel = wheel.file(&format!("demo/{at}.so"), &bytes);
    }
    let sandbox = Sandbox::new();
    wheel.build(&sandbox.links());
    sandbox.write("requirements.txt", "demo==1.0\n");
    let links = sandbox.links().display().to_string();
    build(&sandbox, &["--no-index", "--find-links", &links])
        .fails(1, &["its files import or link to more than 96 MB of names"]);
}

/// One long `from` stands in each name behind it.
#[test]
fn python_that_imports_one_name_many_times() {
    let list = |count: usize| {
        let mut list = String::from("b0");
        (1..count).for_each(|at| write!(list, ", b{at}").unwrap());
        list
    };
    let product = format!("from {} import {}\n", "a".repeat(30_000), list(5000));
    let dots = format!(
        "from {} import {}\n",
        "a.".repeat(15_000).trim_end_matches('.'),
        list(5000)
    );
    let long = format!(
        "from {} import {}\n",
        "a.".repeat(500).trim_end_matches('.'),
        list(5000)
    );
    let relative = format!("from . import {}\n", list(5000));
    // A module's name is as long as its path.
    let deep = format!("{}m.py", "d/".repeat(1900));
    let mut wheel = demo().file("demo/__init__.py", "");
    for at in 0..8 {
        wheel = wheel
            .file(&format!("demo/p{at}.py"), product.repeat(20))
            .file(&format!("demo/d{at}.py"), dots.repeat(5))
            .file(&format!("demo/r{at}/{deep}"), relative.repeat(5))
            .file(
                &format!("demo/s{at}.py"),
                format!("import {}\n", list(8000)).repeat(20),
            );
    }
    self::wheel(wheel).ok();
    let mut wheel = demo();
    for at in 0..100 {
        wheel = wheel.file(&format!("demo/l{at}.py"), long.repeat(3));
    }
    self::wheel(wheel).fails(1, &["its files import or link to more than 96 MB of names"]);
}

/// The texts that describe a wheel: short lines take many times their bytes.
#[test]
fn texts_of_a_wheel_that_are_all_lines() {
    let info = "demo-1.0.dist-info";
    let head = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    let cases = [
        (
            demo().info("METADATA", format!("{head}{}", "a:\n".repeat(5_000_000))),
            format!("because of `{info}/METADATA`: it has more than 50000 headers"),
        ),
        (
            demo().info(
                "METADATA",
                format!("{head}{}", "Requires-Dist: x\n".repeat(500_000)),
            ),
            format!("because of `{info}/METADATA`: it has more than 50000 headers"),
        ),
        (
            demo().entry_points(&{
                let mut text = String::from("[console_scripts]\n");
                (0..500_000).for_each(|at| writeln!(text, "s{at}=a:b").unwrap());
                text
            }),
            format!(
                "because of `{info}/entry_points.txt`: \
                 the entry point `s10000=a:b` is one of more than 10000 entry points entry points"
            ),
        ),
    ];
    for (wheel, why) in cases {
        let ran = self::wheel(wheel);
        let flat = ran.stderr.replace("\n  caused by: ", ": ");
        assert!(flat.contains(&why), "{}", ran.stderr);
        assert_eq!(ran.code, Some(1));
    }
    // A row of commas has three fields that count, the first of which is no path.
    self::wheel(demo().record(|text| text + &",".repeat(30_000_000) + "\n")).fails(
        1,
        &["`demo-1.0.dist-info/RECORD`", "RECORD lists unsafe path ``"],
    );
}

/// An index whose pages are `page`, asked for `demo`.
fn index(kind: &str, page: Vec<u8>) -> Ran {
    let server = Server::start();
    server.route("/simple/demo/", [Answer::ok(kind, page)]);
    let sandbox = Sandbox::new()
        .env("PIP_INDEX_URL", format!("{}/simple", server.url))
        .env("PIP_TIMEOUT", "60");
    sandbox.write("requirements.txt", "demo==1.0\n");
    build(&sandbox, &[])
}

#[test]
fn pages_that_stand_for_more() {
    let html = "text/html";
    // A long base times many links.
    let based = |base: usize, links: usize| {
        let mut page = format!("<base href='/{}/'>", "b".repeat(base));
        (0..links).for_each(|at| write!(page, "<a href=demo-{at}.zip>").unwrap());
        page.into_bytes()
    };
    index(html, based(60_000, 200_000)).fails(1, &["it contains a URL longer than 8192 bytes"]);
    index(html, based(8_000, 100_000)).fails(1, &["its links take more than 64 MB"]);
    index(html, based(10, 300_000)).fails(1, &["it lists more than 200000 files"]);
    // One tag with more attributes than fit in memory.
    let mut page = String::from("<a ");
    (0..3_000_000).for_each(|at| write!(page, "x{at} ").unwrap());
    index(html, (page + ">").into_bytes()).fails(1, &["demo"]);
    let json = "application/vnd.pypi.simple.v1+json";
    let file = r#"{"filename": "demo-1.0.zip", "url": "demo-1.0.zip""#;
    let files = |more: &str| format!(r#"{{"files": [{file}{more}}}]}}"#).into_bytes();
    let many = format!(
        r#"{{"files": [{}]}}"#,
        format!("{file}}},").repeat(700_000) + file + "}"
    );
    index(json, many.into_bytes()).fails(1, &["it lists more than 200000 files"]);
    for (more, why) in [
        (
            format!(r#", "yanked": [{}1]"#, "1,".repeat(15_000_000)),
            "invalid type: sequence",
        ),
        (
            format!(r#", "core-metadata": {}"#, "[".repeat(1_000_000)),
            "invalid type: sequence",
        ),
        (
            format!(r#", "x": {}"#, "[".repeat(1_000_000)),
            "expected value at line 1 column",
        ),
        (
            format!(r#", "x": {}1{}"#, "[".repeat(100), "]".repeat(100)),
            "demo==1.0",
        ),
        (
            format!(
                r#", "hashes": {{{}"a": "b"}}"#,
                r#""a": "","#.repeat(1_000_000)
            ),
            "demo==1.0",
        ),
        (
            format!(r#", "requires-python": "{}""#, "<9,".repeat(1_000_000)),
            "demo",
        ),
    ] {
        index(json, files(&more)).fails(1, &[why]);
    }
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

const NONE: &str = "no Python found in the runtime `[WORK]/root`";
const LARGE: &str = "/root` has too many libraries, programs and packages";

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

/// Names of one file cost nothing, and each is read.
#[test]
fn roots_that_say_one_thing_many_times() {
    let links = |root: &Path, what: &[u8], folder: &str, name: &dyn Fn(usize) -> String, count| {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        let first = root.join("first");
        fs::write(&first, what).unwrap();
        (0..count).for_each(|at| fs::hard_link(&first, folder.join(name(at))).unwrap());
    };
    let status = |count: usize| {
        let mut text = String::new();
        (0..count).for_each(|at| write!(text, "Package: p{at}\n\n").unwrap());
        text
    };
    // One list of packages by many names: the packages are few.
    root(|root| {
        let text = status(100_000);
        let name = |at| format!("list{at}");
        links(root, text.as_bytes(), "var/lib/dpkg/status.d", &name, 50);
    })
    .fails(2, &[NONE]);
    root(|root| {
        let text = status(800_000);
        fs::write(root.join("var/lib/dpkg/status"), text).unwrap();
    })
    .fails(2, &[LARGE]);
    root(|root| {
        let mut text = String::new();
        (0..1_000_000).for_each(|at| write!(text, "P:{at}\n\n").unwrap());
        fs::create_dir_all(root.join("lib/apk/db")).unwrap();
        fs::write(root.join("lib/apk/db/installed"), text).unwrap();
    })
    .fails(2, &[LARGE]);
    // Configuration that includes itself by very many names.
    root(|root| {
        fs::write(root.join("etc/ld.so.conf"), "include /etc/ld.so.conf.d/*\n").unwrap();
        let text = "include /etc/ld.so.conf.d/*\n/usr/lib\n".repeat(20);
        let name = |at| format!("{at}.conf");
        links(root, text.as_bytes(), "etc/ld.so.conf.d", &name, 2000);
    })
    .fails(2, &[NONE]);
    // Libraries that each name as much as one may.
    root(|root| {
        let name = |at| format!("lib{at}.so");
        links(root, &needing(250, 4000), "usr/lib", &name, 400);
    })
    .fails(2, &[LARGE]);
    // Links that lead to links, forth and back, and a folder in itself.
    root(|root| {
        for at in 0..2000 {
            let target = format!("l{}/l{}", (at + 1) % 2000, (at + 2) % 2000);
            symlink(target, root.join(format!("usr/lib/l{at}"))).unwrap();
            symlink(format!("l{at}"), root.join(format!("usr/lib/lib{at}.so"))).unwrap();
        }
        symlink(".", root.join("usr/lib/self")).unwrap();
        let text = format!("/usr/lib{}\n", "/self".repeat(800)).repeat(50);
        fs::write(root.join("etc/ld.so.conf"), text).unwrap();
    })
    .fails(2, &[NONE]);
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
        (format!("{head}a = [{}]", "1,".repeat(15_000_000)), many),
        (format!("{head}{}", "[[a.b]]\n".repeat(1_000_000)), many),
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
    let said = "cannot query `";
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
