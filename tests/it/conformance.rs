//! The two installers, held against each other: pip's prefix, put as the runtime needs it, and what
//! is made of the same wheels here. Path by path, byte by byte, mode by mode, owner by owner.
//!
//! They may differ in this:
//!
//! - `INSTALLER` says who it was;
//! - `RECORD` has another hash for `INSTALLER` therefore.
//!
//! The pip of `support/python.rs` is the judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use prebuild::cache::{Cache, Place};
use prebuild::digest::Digest;
use prebuild::event::Cancel;
use prebuild::fs::TempDir;
use prebuild::install::{Installed, install_prefix, install_wheels};
use prebuild::interpreter::Interpreter;
use prebuild::layout::Layout;
use prebuild::piece::Piece;
use prebuild::plan::Item;
use prebuild::runner::{Local, Runner as _};
use prebuild::tree::{Node, RelPath, Tree};
use prebuild::wheel::{Archive, Leniency, Limits, Wheel};
use rayon::prelude::*;

use crate::support::python::python;
use crate::support::skip;
use crate::support::wheel::WheelBuilder;

/// The judge, and where things lie for it.
struct Judge {
    interpreter: Interpreter,
    layout: Layout,
}

static JUDGE: LazyLock<Judge> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let cancel = Cancel::new();
    let runner = Local::new(python().to_str().unwrap(), folder.path(), env);
    let mut session = runner.open(&cancel).unwrap();
    let cache = Cache::open(&Place::temporary(folder.path()), &|_| {}, &cancel).unwrap();
    let interpreter = Interpreter::ask(session.as_mut(), &[], BTreeMap::new(), &cache).unwrap();
    let layout = Layout::new(None, &interpreter, None).unwrap();
    Judge {
        interpreter,
        layout,
    }
});

/// What pip makes of wheels, all in one call; or its last line.
fn by_pip(wheels: &[PathBuf]) -> Result<(Installed, tempfile::TempDir), String> {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("prefix");
    let output = Command::new(python())
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-compile",
        ])
        .args(["--ignore-installed", "--disable-pip-version-check"])
        .args(["--no-warn-script-location", "--no-cache-dir", "--prefix"])
        .arg(&prefix)
        .args(wheels)
        .current_dir(folder.path())
        .output()
        .unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().last().unwrap_or_default().to_owned());
    }
    let tree = Tree::read(&prefix).unwrap();
    let root = prefix.to_str().unwrap();
    let installed = install_prefix(tree, root, &JUDGE.interpreter, &JUDGE.layout);
    Ok((installed.unwrap(), folder))
}

fn open(path: &Path, guard: Option<Arc<TempDir>>, leniency: Leniency) -> Result<Wheel, String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let archive = Archive::open(path, guard, &Limits::default(), &Cancel::new());
    let archive = archive.map_err(|error| chain(&error))?;
    Wheel::check(name, Digest::of(b""), archive, leniency).map_err(|error| chain(&error))
}

/// What is made of them here. pip installs what depends on nothing by name, backwards.
///
/// `guard` keeps the folder that they lie in.
fn by_us(
    wheels: &[PathBuf],
    guard: Option<&Arc<TempDir>>,
    leniency: Leniency,
) -> Result<Installed, String> {
    let mut pieces = wheels
        .iter()
        .map(|path| {
            let wheel = open(path, guard.cloned(), leniency)?;
            let item = Item {
                requested: true,
                direct_url: Some("{\"url\": \"file:///where/it/is\"}".to_owned()),
                ..Item::unknown(wheel.facts.distribution.clone(), Vec::new(), None)
            };
            Ok(Piece::new(item).with(wheel))
        })
        .collect::<Result<Vec<_>, String>>()?;
    pieces.sort_by(|a, b| b.distribution.name.cmp(&a.distribution.name));
    install_wheels(pieces, &JUDGE.interpreter, &JUDGE.layout).map_err(|error| chain(&error))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Everything in which two prefixes differ that may not.
fn differences(pip: &Installed, ours: &Installed) -> Vec<String> {
    let nodes = |installed: &Installed| -> BTreeMap<RelPath, (Node, BTreeSet<String>)> {
        let entries = installed.tree.iter();
        entries
            .map(|(path, entry)| {
                let owners = entry.owners.iter().map(ToString::to_string).collect();
                (path.clone(), (entry.node.clone(), owners))
            })
            .collect()
    };
    let (theirs, mine) = (nodes(pip), nodes(ours));
    let mut found = Vec::new();
    for path in theirs.keys().chain(mine.keys()).collect::<BTreeSet<_>>() {
        match (theirs.get(path), mine.get(path)) {
            (Some(_), None) => found.push(format!("only pip: {path}")),
            (None, Some(_)) => found.push(format!("only here: {path}")),
            (Some((a, a_owners)), Some((b, b_owners))) => {
                if a_owners != b_owners {
                    found.push(format!("{path}: of {a_owners:?}, here of {b_owners:?}"));
                }
                found.extend(compare(path, a, b).map(|what| format!("{path}: {what}")));
            }
            (None, None) => {}
        }
    }
    let pieces = |installed: &Installed| -> Vec<_> {
        let pieces = installed.pieces.iter();
        pieces
            .map(|piece| (Arc::clone(&piece.distribution), piece.is_built_here()))
            .collect()
    };
    if pieces(pip) != pieces(ours) {
        found.push("the distributions differ".to_owned());
    }
    let native = [pip, ours].map(|installed| installed.tree.native());
    if native[0] != native[1] {
        found.push(format!("native: {}, here {}", native[0], native[1]));
    }
    found
}

fn compare(path: &RelPath, a: &Node, b: &Node) -> Option<String> {
    match (a, b) {
        (Node::Dir, Node::Dir) => None,
        (
            Node::File {
                content: a,
                executable: a_mode,
            },
            Node::File {
                content: b,
                executable: b_mode,
            },
        ) => {
            if a_mode != b_mode {
                return Some(format!("executable: {a_mode}, here {b_mode}"));
            }
            let (a, b) = (a.read().unwrap(), b.read().unwrap());
            (allowed(path, &a) != allowed(path, &b)).then(|| {
                let show = |bytes: &[u8]| {
                    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
                };
                format!("bytes\n--- pip\n{}\n--- here\n{}", show(&a), show(&b))
            })
        }
        _ => Some(format!("{a:?}, here {b:?}")),
    }
}

/// The bytes of a file without that in which the two may differ.
fn allowed(path: &RelPath, bytes: &[u8]) -> Vec<u8> {
    match path.as_str().rsplit_once(".dist-info/") {
        Some((_, "INSTALLER")) => Vec::new(),
        Some((_, "RECORD")) => {
            let text = str::from_utf8(bytes).unwrap();
            let rows = text
                .lines()
                .map(|row| match row.split_once(".dist-info/INSTALLER,") {
                    Some((stem, _)) => format!("{stem}.dist-info/INSTALLER\n"),
                    None => format!("{row}\n"),
                });
            rows.collect::<String>().into_bytes()
        }
        _ => bytes.to_vec(),
    }
}

/// Checks that both install the same.
fn agree(wheels: &[PathBuf], guard: Option<&Arc<TempDir>>, leniency: Leniency) -> Installed {
    let (pip, _folder) = by_pip(wheels).unwrap();
    let ours = by_us(wheels, guard, leniency).unwrap();
    let found = differences(&pip, &ours);
    assert!(found.is_empty(), "{wheels:?}\n{}", found.join("\n"));
    ours
}

/// Builds wheels and checks that both install the same.
fn agree_on(wheels: impl IntoIterator<Item = WheelBuilder>) -> Installed {
    agree_leniently(wheels, Leniency::Strict)
}

fn agree_leniently(
    wheels: impl IntoIterator<Item = WheelBuilder>,
    leniency: Leniency,
) -> Installed {
    let folder = Arc::new(TempDir::from(tempfile::tempdir().unwrap()));
    let wheels: Vec<_> = wheels
        .into_iter()
        .map(|wheel| wheel.build(folder.path()))
        .collect();
    agree(&wheels, Some(&folder), leniency)
}

fn text(installed: &Installed, path: &str) -> String {
    let entry = installed.tree.get(&RelPath::new(path).unwrap());
    match &entry.unwrap_or_else(|| panic!("no {path}")).node {
        Node::File { content, .. } => String::from_utf8(content.read().unwrap()).unwrap(),
        node => panic!("{path}: {node:?}"),
    }
}

#[test]
fn every_scheme_of_data() {
    let wheel = WheelBuilder::new("Demo.X", "1.0")
        .stem("demo_x-1.0")
        .file("demo/__init__.py", "")
        .file("demo/ünï,\"x\" y.txt", "a")
        .executable("demo/run.sh", "#!/bin/sh\n")
        .file("demo/native.so", b"\x7fELF and more")
        .data("purelib/pure.py", "x = 1\n")
        .data("platlib/plat.py", "x = 2\n")
        .data("headers/demo.h", "#define DEMO\n")
        .data("headers/sub/demo.h", "#define SUB\n")
        .data("data/share/demo/data.txt", "data\n")
        .data("data/bin/data-tool", "#!python -E\nx\n")
        .data("data/bin/plain", "#!/bin/sh\n")
        .program("data/etc/run", "#!python\n")
        .program("scripts/tool", "#!python -E\nprint()\n")
        .data("scripts/not-executable", "#!pythonw\nprint()\n")
        .program("scripts/only-first-line", "#!python")
        .program("scripts/crlf", "#!python\r\nx\r\n")
        .program("scripts/env", "#!/usr/bin/env python3\nx\n")
        .program("scripts/sub/deeper", "#!python3\nx\n")
        .program("scripts/shell", "#!/bin/sh\n")
        .program("scripts/empty", "")
        .program("scripts/binary", b"\x7fELF\0\xff");
    let done = agree_on([wheel]);
    assert!(text(&done, "bin/tool").starts_with("#!/usr/local/bin/python3"));
    assert_eq!(done.tree.native(), 2);
}

#[test]
fn a_wheel_for_a_platform() {
    let done = agree_on([WheelBuilder::new("plat", "1.0")
        .platform("py3-none-linux_x86_64")
        .file("plat.py", "")
        .data("purelib/pure.py", "")]);
    assert!(done.pieces[0].is_built_here());
}

#[test]
fn entry_points() {
    let done = agree_on([WheelBuilder::new("points", "1.0")
        .file("points.py", "def main(): pass\n")
        .entry_points(
            "stray = no:where\n[console_scripts]\n# comment\none=points:main\n\
             two = points:Class.method [extra, other=x]\nünï = points:main() # junk\nA-b_c.d+e = a.b.c:d\n\
             one = points:other\n\n[[gui_scripts]]\ngui = points:gui\nwin.exe = points:exe\n\
             one = points:shown\n\n[other]\nx = no function\n",
        )
        // What setuptools once made of them.
        .program("scripts/two", "#!python\nold\n")
        .program("scripts/gui.exe", "MZ")
        .program("scripts/Gui-script.PYW", "kept")
        .program("scripts/one-script.py", "#!python\n")
        .program("scripts/a.pya", "kept")
        .program("scripts/win.exe", "MZ kept, as its entry point ends in .exe too")
        // What has the place of an entry point and did not come as a script.
        .data("data/bin/two", "overwritten")]);
    assert!(text(&done, "bin/one").contains("shown"));
}

#[test]
fn pip_and_setuptools_are_named_after_the_interpreter() {
    let done = agree_on([
        WheelBuilder::new("pip", "1.0").entry_points(
            "[console_scripts]\npip = pip:main\npip2 = pip:main\npip9.9 = pip:main\npip-x = pip:x\n\
             [gui_scripts]\npip8 = pip:gui\n",
        ),
        WheelBuilder::new("setuptools", "1.0")
            .entry_points("[console_scripts]\neasy_install-9.9 = s:main\neasy_install = s:main\n"),
    ]);
    let version = &JUDGE.interpreter.markers.python_version;
    assert!(text(&done, &format!("bin/pip{version}")).contains("pip"));
}

#[test]
fn notes_that_a_wheel_brings_itself() {
    for url in ["https://host/x.whl", "file:///build/x.whl", ""] {
        agree_on([WheelBuilder::new("notes", "1.0")
            .info("INSTALLER", "other\n")
            .info("REQUESTED", "not empty")
            .info("direct_url.json", format!("{{\"url\": \"{url}\"}}"))
            .info("RECORD.jws", "{}")
            .info("RECORD.p7s", "x")
            .info("licenses/LICENSE", "free")
            .record(|text| {
                let kept = text.lines().filter(|line| !line.contains("RECORD."));
                kept.map(|line| format!("{line}\n")).collect()
            })]);
    }
}

#[test]
fn bytecode_that_a_wheel_brings() {
    agree_on([WheelBuilder::new("code", "1.0")
        .file("code.py", "")
        .file("__pycache__/code.cpython-311.pyc", "old")
        .file("alone.pyc", "old")]);
}

#[test]
fn texts_in_odd_forms() {
    agree_on([WheelBuilder::new("Odd_Name", "01.0")
        .stem("odd.name-1.0.0")
        .info(
            "METADATA",
            "name:   ODD-name\r\nMetadata-Version: 2.1\r\nVersion: 1.0.0\r\nSummary: folded\r\n \
             over lines\r\n\r\nName: body\r\n",
        )
        .info(
            "WHEEL",
            "Wheel-Version: 1.0\nroot-is-purelib: TRUE\nTag: py3-none-any\n",
        )
        .record(|text| text.replace('\n', "\r\n"))]);
}

/// H39: of two files at one path, that of the later distribution stays and belongs to both.
#[test]
fn h39_of_what_several_bring_the_last_stays() {
    let shared = |name: &str, text: &str| {
        WheelBuilder::new(name, "1.0")
            .file("shared/differs.py", text)
            .file("shared/same.py", "same\n")
            .console_script("tool", &format!("{name}:main"))
    };
    let done = agree_on([shared("aaa", "x = 'a'\n"), shared("bbb", "x = 'bb'\n")]);
    let site = &JUDGE.layout.purelib;
    // By name, backwards: `aaa` comes last.
    assert_eq!(
        text(&done, &format!("{site}/shared/differs.py")),
        "x = 'a'\n"
    );
    let shared = done.tree.iter().filter(|(_, entry)| entry.owners.len() > 1);
    let equal: Vec<_> = shared
        .filter(|(_, entry)| entry.identical)
        .map(|(path, _)| path.to_string())
        .collect();
    assert_eq!(equal, [format!("{site}/shared/same.py")]);
    let owners = |path: &str| {
        let path = RelPath::new(path).unwrap();
        done.tree.get(&path).unwrap().owners.len()
    };
    assert_eq!(owners("bin/tool"), 2);
}

/// What only `--allow-unlisted` lets through is installed as pip installs it.
#[test]
fn records_that_lack_something() {
    for change in [
        |text: String| text.replace("lack.py,", "gone.py,"),
        |text: String| {
            text.lines()
                .take(1)
                .map(|line| format!("{line}\n"))
                .collect()
        },
        |text: String| {
            text.lines()
                .map(|line| format!("{},,\n", line.split(',').next().unwrap()))
                .collect()
        },
        |text: String| {
            text.lines()
                .map(|line| format!("{}\n", line.split(',').next().unwrap()))
                .collect()
        },
        |text: String| format!("{text}also/gone.py,sha256=x,1\nfolder/,,\n"),
        |text: String| text.replace("RECORD,,", "RECORD,,,,"),
    ] {
        let wheel = || {
            WheelBuilder::new("lack", "1.0")
                .file("lack.py", "x = 1\n")
                .file("more.py", "x = 1\n")
                .console_script("lack", "lack:main")
                .record(change)
        };
        agree_leniently([wheel()], Leniency::Unlisted);
    }
}

/// What pip refuses is refused here too.
#[test]
fn what_pip_refuses_is_refused() {
    let demo = || WheelBuilder::new("demo", "1.0");
    let script = |entry: &str| demo().entry_points(&format!("[console_scripts]\n{entry}\n"));
    let wheels = [
        demo().stem("other-1.0"),
        demo().stem("de-mo-1.0"),
        demo().file("other-1.0.dist-info/METADATA", "Name: other\n"),
        demo().file("other-1.0.dist-info", "a file"),
        demo().without("WHEEL"),
        demo().without("METADATA"),
        demo().without("RECORD"),
        demo().info("WHEEL", "Root-Is-Purelib: true\n"),
        demo().info("WHEEL", "Wheel-Version: 2.0\n"),
        demo().info("WHEEL", "Wheel-Version: one\n"),
        demo().info("WHEEL", b"Wheel-Version: 1.0\nGenerator: \xff\n"),
        demo().info("METADATA", b"Name: demo\nVersion: 1.0\nAuthor: \xff\n"),
        demo().info("entry_points.txt", b"[console_scripts]\n# \xff\n"),
        demo().data("elsewhere/x", ""),
        demo().data("x", ""),
        demo().file("other-1.0.data/elsewhere/x", ""),
        demo().file("other.data", "a file"),
        script("a = b"),
        script("a = b : c"),
        script("a = b:c:d"),
        script("a = b:c [x"),
        script("a[ = b:c"),
        script("../a = b:c"),
        script(".. = b:c"),
        script("/a = b:c"),
        script("a"),
    ];
    wheels.into_par_iter().for_each(|wheel| {
        let folder = tempfile::tempdir().unwrap();
        let path = wheel.build(folder.path());
        let ours = by_us(std::slice::from_ref(&path), None, Leniency::Unlisted);
        let ours = ours.map(|installed| installed.tree.len());
        let pip = by_pip(&[path]).map(|(installed, _)| installed.tree.len());
        assert!(
            pip.is_err() && ours.is_err(),
            "pip: {pip:?}\nhere: {ours:?}"
        );
    });
}

/// Small wheels of all kinds: for Python and for a platform, with programs, headers and data, with
/// one entry point and with many.
const REAL: [&str; 13] = [
    "argon2-cffi-bindings==25.1.0",
    "cffi==1.17.1",
    "docutils==0.21.2",
    "greenlet==3.2.4",
    "h11==0.16.0",
    "idna==3.10",
    "ipykernel==6.29.5",
    "jmespath==1.0.1",
    "nh3==0.3.0",
    "pip==25.1",
    "pygments==2.19.2",
    "pytest==8.4.1",
    "setuptools==80.9.0",
];

#[test]
fn real_wheels() {
    REAL.par_iter()
        .for_each(|requirement| match fetch(requirement) {
            Ok(wheel) => drop(agree(&[wheel], None, Leniency::Strict)),
            Err(why) => skip(&format!("cannot download {requirement}: {why}")),
        });
}

/// All of them into one prefix.
#[test]
fn real_wheels_together() {
    let wheels: Vec<_> = REAL.iter().filter_map(|one| fetch(one).ok()).collect();
    drop(agree(&wheels, None, Leniency::Strict));
}

/// The wheel of a requirement for this interpreter, from a folder that is kept beside the build.
fn fetch(requirement: &str) -> Result<PathBuf, String> {
    /// Why there is none, kept too.
    const NONE: &str = "none";
    let corpus = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    let folder = corpus.join(requirement);
    if !folder.exists() {
        fs::create_dir_all(&corpus).unwrap();
        let part = tempfile::tempdir_in(&corpus).unwrap();
        let output = Command::new(python())
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-cache-dir",
            ])
            .args([
                "--only-binary",
                ":all:",
                "--disable-pip-version-check",
                "-d",
            ])
            .arg(part.path())
            .arg(requirement)
            .output()
            .unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            if !said.contains("No matching distribution") || said.contains("Retrying") {
                // The index cannot be reached, which may be otherwise next time.
                return Err(said.lines().last().unwrap_or_default().to_owned());
            }
            fs::write(part.path().join(NONE), said.as_bytes()).unwrap();
        }
        // Of two that do this at once, the first has done it.
        let _ = fs::rename(part.path(), &folder);
    }
    let mut files = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let wheel = files.find(|path| path.extension().is_some_and(|ending| ending == "whl"));
    wheel.ok_or_else(|| "there is no wheel".to_owned())
}

/// The newest wheels of 300 distributions, taken at random from the most used. Some 800 MB are
/// downloaded on first use.
#[test]
#[ignore = "long: cargo test --release -- --ignored conformance"]
fn corpus() {
    let names = include_str!("../../testdata/corpus/packages.txt");
    let names: Vec<_> = names.lines().collect();
    let verdicts: BTreeMap<&str, Verdict> =
        names.par_iter().map(|name| (*name, judge(name))).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, verdict) in &verdicts {
        let (kind, about) = match verdict {
            Verdict::Agree => ("agree", None),
            Verdict::AgreeWithGap(gap) => ("agree, RECORD lacks something", Some(gap)),
            Verdict::Differ(what) => ("differ", Some(what)),
            Verdict::Refused(why) => ("refused here, installed by pip", Some(why)),
            Verdict::NotByPip(why) => ("refused by pip", Some(why)),
            Verdict::NoWheel(why) => ("no wheel", Some(why)),
        };
        *counts.entry(kind).or_default() += 1;
        if let Some(about) = about {
            eprintln!("{name}: {kind}: {about}");
        }
    }
    for (kind, count) in &counts {
        eprintln!("{count:4} {kind}");
    }
    let bad = ["differ", "refused here, installed by pip"];
    assert!(bad.iter().all(|kind| !counts.contains_key(kind)));
}

enum Verdict {
    Agree,
    AgreeWithGap(String),
    Differ(String),
    Refused(String),
    NotByPip(String),
    NoWheel(String),
}

fn judge(name: &str) -> Verdict {
    let wheel = match fetch(name) {
        Ok(wheel) => wheel,
        Err(why) => return Verdict::NoWheel(why),
    };
    let strict = by_us(std::slice::from_ref(&wheel), None, Leniency::Strict);
    let ours = by_us(std::slice::from_ref(&wheel), None, Leniency::Unlisted);
    let (pip, _folder) = match by_pip(&[wheel]) {
        Ok(installed) => installed,
        Err(why) => return Verdict::NotByPip(why),
    };
    let ours = match ours {
        Ok(installed) => installed,
        Err(why) => return Verdict::Refused(why),
    };
    let found = differences(&pip, &ours);
    match strict {
        _ if !found.is_empty() => Verdict::Differ(found.join("; ")),
        Ok(_) => Verdict::Agree,
        Err(gap) => Verdict::AgreeWithGap(gap),
    }
}
