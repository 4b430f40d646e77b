//! Wheels that are refused for what they say of themselves, each with the entry named and the reason
//! told. Some of them pip installs. (What is wrong with an archive has tests of its own.)

use prebuild::digest::Digest;
use prebuild::error::Diagnosis as _;
use prebuild::event::Cancel;
use prebuild::wheel::{Archive, Defect, Error, Leniency, Limits, Wheel};
use sha2::{Digest as _, Sha384, Sha512};

use crate::support::python::python;
use crate::support::sandbox::{Sandbox, unpacked};
use crate::support::wheel::{WheelBuilder, base64, hash};

const METADATA: &str = "demo-1.0.dist-info/METADATA";
const WHEEL: &str = "demo-1.0.dist-info/WHEEL";
const RECORD: &str = "demo-1.0.dist-info/RECORD";
const ENTRY_POINTS: &str = "demo-1.0.dist-info/entry_points.txt";

fn check(wheel: WheelBuilder, leniency: Leniency) -> Result<Wheel, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = wheel.build(folder.path());
    let name = path.file_name().unwrap().to_str().unwrap();
    let archive = Archive::open(&path, None, &Limits::default(), &Cancel::new()).unwrap();
    Wheel::check(name, Digest::of(b""), archive, leniency)
}

fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0").file("demo.py", "x = 1\n")
}

/// A wheel with an entry point.
fn script(entry: &str) -> WheelBuilder {
    demo().entry_points(&format!("[console_scripts]\n{entry}\n"))
}

/// A wheel whose row for `demo.py` has this hash and size.
fn row(rest: &'static str) -> WheelBuilder {
    demo().record(move |text| {
        let row = format!("demo.py,sha256={},6\n", hash(b"x = 1\n"));
        assert!(text.contains(&row));
        text.replace(&row, &format!("demo.py,{rest}\n"))
    })
}

fn metadata(text: &str) -> WheelBuilder {
    demo().info("METADATA", text)
}

fn format(version: &str) -> WheelBuilder {
    demo().info("WHEEL", format!("Wheel-Version: {version}\n"))
}

/// The entry, and what is wrong with it.
fn refused(wheel: WheelBuilder, leniency: Leniency) -> (String, Defect) {
    match check(wheel, leniency) {
        Err(Error::Refused { entry, defect, .. }) => (entry, *defect),
        other => panic!("{other:?}"),
    }
}

/// Checks that each is refused, however lenient one is: for which entry, and why.
fn all_refused<const N: usize>(wheels: [(WheelBuilder, &str, &str); N]) {
    for (wheel, entry, reason) in wheels {
        let (found, defect) = refused(wheel, Leniency::Unlisted);
        assert_eq!(
            (found.as_str(), defect.to_string().as_str()),
            (entry, reason)
        );
    }
}

#[test]
fn folders_of_another_distribution() {
    all_refused([
        (
            demo().stem("other-1.0"),
            "other-1.0.dist-info",
            "its name does not match the wheel's",
        ),
        (
            demo().stem("demo-1.1"),
            "demo-1.1.dist-info",
            "its name does not match the wheel's",
        ),
        (
            demo().stem("demo"),
            "demo.dist-info",
            "its name does not match the wheel's",
        ),
        (
            demo().file("x-1.dist-info/METADATA", "Name: x"),
            "demo-1.0.dist-info",
            "the wheel also contains `x-1.dist-info`: a wheel is one distribution",
        ),
        (
            demo().file("x-1.dist-info", "a file"),
            "demo-1.0.dist-info",
            "the wheel also contains `x-1.dist-info`: a wheel is one distribution",
        ),
        (demo().without("WHEEL"), WHEEL, "it is missing"),
        (demo().without("METADATA"), METADATA, "it is missing"),
        (demo().without("RECORD"), RECORD, "it is missing"),
    ]);
}

#[test]
fn texts_that_say_something_else() {
    all_refused([
        (metadata("Version: 1.0\n"), METADATA, "it has no `Name`"),
        (
            metadata("Name: demo\n\nVersion: 1.0\n"),
            METADATA,
            "it has no `Version`",
        ),
        (
            metadata("Name: evil\nVersion: 1.0\n"),
            METADATA,
            "it names the distribution `evil`, and the wheel's file name does not",
        ),
        (
            metadata("Name: demo\nVersion: 1.0+evil\n"),
            METADATA,
            "it names the version `1.0+evil`, and the wheel's file name does not",
        ),
        (
            demo().info("METADATA", b"Name: demo\nVersion: 1.0\n\n\xff"),
            METADATA,
            "it is not UTF-8",
        ),
        (
            demo().info("WHEEL", "Root-Is-Purelib: true\n"),
            WHEEL,
            "it has no `Wheel-Version`",
        ),
        (
            format("2.0"),
            WHEEL,
            "its Wheel-Version `2.0` is not supported: expected 1",
        ),
        (
            format("0.9"),
            WHEEL,
            "its Wheel-Version `0.9` is not supported: expected 1",
        ),
        (
            format("+1.0"),
            WHEEL,
            "its Wheel-Version `+1.0` is not supported: expected 1",
        ),
        (
            format("1.x"),
            WHEEL,
            "its Wheel-Version `1.x` is not supported: expected 1",
        ),
    ]);
}

#[test]
fn files_that_have_no_place() {
    all_refused([
        (
            demo().data("etc/passwd", ""),
            "demo-1.0.data/etc/passwd",
            "its directory is none of purelib, platlib, scripts, headers and data",
        ),
        (
            demo().data("scripts", ""),
            "demo-1.0.data/scripts",
            "its directory is none of purelib, platlib, scripts, headers and data",
        ),
        (
            demo().file("demo-1.1.data/data/x", ""),
            "demo-1.1.data/data/x",
            "its name does not match the wheel's",
        ),
        (
            demo().file("x.data", ""),
            "x.data",
            "its name does not match the wheel's",
        ),
        (
            demo().data("purelib/victim-1.0.dist-info/METADATA", "Name: victim"),
            "demo-1.0.data/purelib/victim-1.0.dist-info/METADATA",
            "it would describe a distribution, which the wheel's own `.dist-info` does",
        ),
    ]);
}

#[test]
fn entry_points_that_make_no_script() {
    all_refused([
        (
            script("a = b"),
            ENTRY_POINTS,
            "the entry point `a = b` does not name a function",
        ),
        (script("a"), ENTRY_POINTS, "the entry point `a` has no `=`"),
        (
            script("= b:c = d:e"),
            ENTRY_POINTS,
            "the entry point `= b:c = d:e` has a name that no script can have",
        ),
        (
            script("a\u{1b}[2J = b:c"),
            ENTRY_POINTS,
            "the entry point `a\\u{1b}[2J = b:c` has a name that no script can have",
        ),
        (
            script("two words = b:c"),
            ENTRY_POINTS,
            "the entry point `two words = b:c` has a name that no script can have",
        ),
        (
            script("../../etc/cron.d/x = b:c"),
            ENTRY_POINTS,
            "the entry point `../../etc/cron.d/x = b:c` has a name that leads out of the directory of scripts",
        ),
        (
            script("a = b;import os:c"),
            ENTRY_POINTS,
            "the entry point `a = b;import os:c` does not name a function",
        ),
    ]);
}

#[test]
fn records_that_are_wrong() {
    all_refused([
        (
            row("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,6"),
            "demo.py",
            "hash mismatch: its SHA-256 differs from RECORD",
        ),
        (
            row("sha512=AAAA,6"),
            "demo.py",
            "hash mismatch: its SHA-512 differs from RECORD",
        ),
        (
            row("md5=AAAA,6"),
            "demo.py",
            "its hash in RECORD is of the kind `md5`: expected SHA-256, SHA-384 or SHA-512",
        ),
        (
            row("sha1=AAAA,6"),
            "demo.py",
            "its hash in RECORD is of the kind `sha1`: expected SHA-256, SHA-384 or SHA-512",
        ),
        (
            row(",7"),
            "demo.py",
            "size mismatch: RECORD lists `7` bytes, got 6",
        ),
        (
            row(",+6"),
            "demo.py",
            "size mismatch: RECORD lists `+6` bytes, got 6",
        ),
        (
            demo().record(|text| format!("{text}../../../etc/passwd,,\n")),
            RECORD,
            "RECORD lists unsafe path `../../../etc/passwd`: it has a part that is `.` or `..`",
        ),
        (
            demo().record(|text| format!("{text}/etc/passwd,,\n")),
            RECORD,
            "RECORD lists unsafe path `/etc/passwd`: it is absolute",
        ),
    ]);
}

/// What pip lets pass, and `--allow-unlisted` too.
#[test]
fn records_that_lack_something() {
    let without = |start: &'static str| {
        demo().record(move |text| {
            let kept = text.lines().filter(|line| !line.starts_with(start));
            kept.map(|line| format!("{line}\n")).collect()
        })
    };
    for (wheel, entry, reason) in [
        (without("demo.py"), "demo.py", "it is not in RECORD"),
        (
            without("demo-1.0.dist-info/WHEEL"),
            "demo-1.0.dist-info/WHEEL",
            "it is not in RECORD",
        ),
        (row(","), "demo.py", "it has no hash in RECORD"),
        (row(",6"), "demo.py", "it has no hash in RECORD"),
        (
            demo().record(|text| format!("{text}gone.py,sha256=x,1\n")),
            "gone.py",
            "it is in RECORD, and not in the wheel",
        ),
        (
            demo().record(|text| text.replace(",6\n", ",6,more\n")),
            "demo.py",
            "its row in RECORD has more than three fields",
        ),
        (
            demo().info("RECORD", ""),
            "demo-1.0.dist-info/METADATA",
            "it is not in RECORD",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = wheel.build(folder.path());
        let archive = Archive::open(&path, None, &Limits::default(), &Cancel::new()).unwrap();
        let check = |leniency| {
            Wheel::check(
                "demo-1.0-py3-none-any.whl",
                Digest::of(b""),
                archive.clone(),
                leniency,
            )
        };
        assert!(check(Leniency::Unlisted).unwrap().facts.gap.is_some());
        let error = check(Leniency::Strict).unwrap_err();
        assert_eq!(
            error.hint().as_deref(),
            Some("to accept the wheel as pip does, pass `--allow-unlisted`")
        );
        match error {
            Error::Refused {
                entry: found,
                defect,
                ..
            } => {
                assert_eq!(
                    (found.as_str(), defect.to_string().as_str()),
                    (entry, reason)
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn records_that_say_the_same_in_other_ways() {
    let contents = b"x = 1\n";
    let sha384 = format!("sha384={}", base64(&Sha384::digest(contents)));
    let sha512 = format!("sha512={}", base64(&Sha512::digest(contents)));
    let sha256 = format!("sha256={}=", hash(contents));
    for hash in [sha256, sha384, sha512] {
        for ending in ["", ",", ",6"] {
            let rest: &'static str = format!("{hash}{ending}").leak();
            check(row(rest), Leniency::Strict).unwrap();
        }
    }
    for change in [
        |text: String| text.replace('\n', "\r\n"),
        |text: String| format!("\"demo.py\",{}", text.split_once(',').unwrap().1),
        |text: String| format!("{text}{}\n", text.lines().next().unwrap()),
        |text: String| format!("{text}demo-1.0.dist-info/,,\n"),
        |text: String| text.replace("RECORD,,", "RECORD,sha256=x,1"),
        |text: String| text.replace("demo-1.0.dist-info/RECORD,,\n", ""),
    ] {
        check(demo().record(change), Leniency::Strict).unwrap();
    }
}

#[test]
fn a_newer_format_of_the_same_kind_is_taken_and_told() {
    for (version, newer) in [
        ("1.0", None),
        ("1", None),
        ("1.1", Some("1.1")),
        ("1.10", Some("1.10")),
    ] {
        let wheel = check(format(version), Leniency::Strict).unwrap();
        assert_eq!(wheel.facts.newer_format.as_deref(), newer);
    }
}

/// What pip installs is installed as pip does, and told.
#[test]
fn odd_wheels_are_installed_as_pip_does() {
    let sandbox = Sandbox::new();
    let wheel = demo()
        .link("demo/bin/npm", "../lib/npm.js")
        .link("demo/bin/npx", "")
        .file("demo/Case.txt", "one")
        .file("demo/case.txt", "other");
    wheel.build(&sandbox.links());
    sandbox.write("requirements.txt", "demo==1.0\n");
    let target = ["--python", "3.11", "--platform", "linux/amd64"];
    let args = [
        &["requirements.txt", "-q", "-o", "ours.tar.gz"],
        &target[..],
    ]
    .concat();
    let ran = sandbox.offline(&args).ok();
    insta::assert_snapshot!(ran.stderr, @r"
    warning: demo 1.0: 2 files are marked as symbolic links or directories, such as `demo/bin/npm`: as with pip, they become files
    warning: demo 1.0 (for requirements.txt:1): `lib/python3.11/site-packages/demo/case.txt` differs from `lib/python3.11/site-packages/demo/Case.txt` only in case: some file systems cannot hold both
    ");
    let args = [
        "requirements.txt",
        "-q",
        "-o",
        "pip.tar.gz",
        "--installer",
        "pip",
    ];
    sandbox.offline(&args).ok();
    let of = |name: &str| {
        let files = unpacked(&sandbox.work().join(name)).into_iter();
        let below = files.filter_map(|(path, file)| {
            let (_, below) = path.split_once("/site-packages/demo/")?;
            Some((below.to_owned(), file))
        });
        below.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(of("ours.tar.gz"), of("pip.tar.gz"));
    let paths: Vec<String> = of("ours.tar.gz").into_keys().collect();
    assert_eq!(
        paths,
        ["", "Case.txt", "bin/", "bin/npm", "bin/npx", "case.txt"]
    );
}

/// Where pip would install a wheel that is refused, the hint says so. pip is the judge.
#[test]
fn hints_name_pip_where_it_would_install() {
    let cases: Vec<WheelBuilder> = vec![
        demo().stem("other-1.0"),
        demo().stem("demo-1.1"),
        demo().file("x-1.dist-info/METADATA", "Name: x"),
        demo().without("WHEEL"),
        demo().without("METADATA"),
        metadata("Version: 1.0\n"),
        metadata("Name: evil\nVersion: 1.0\n"),
        metadata("Name: demo\nVersion: 1.0+evil\n"),
        demo().info("WHEEL", "Root-Is-Purelib: true\n"),
        format("2.0"),
        format("0.9"),
        demo().data("etc/passwd", ""),
        demo().data("scripts", ""),
        demo().file("demo-1.1.data/data/x", ""),
        demo().data("purelib/victim-1.0.dist-info/METADATA", "Name: victim"),
        script("a = b"),
        script("a"),
        script("../../etc/cron.d/x = b:c"),
        row("sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,6"),
        row("md5=AAAA,6"),
        row(",7"),
        demo().record(|text| format!("{text}../../../etc/passwd,,\n")),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut wheels = Vec::new();
    for (index, wheel) in cases.into_iter().enumerate() {
        let below = folder.path().join(index.to_string());
        std::fs::create_dir(&below).unwrap();
        wheels.push(wheel.build(&below));
    }
    let judge = "import sys\nfrom pip._internal.cli.main import main\nfor wheel in sys.argv[1:]:\n    \
        code = main(['install', '--quiet', '--quiet', '--quiet', '--no-deps', '--no-index', '--ignore-installed', '--prefix', wheel + '.d', wheel])\n    \
        print('=', code)\n";
    let output = std::process::Command::new(python())
        .args(["-c", judge])
        .args(&wheels)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let codes: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("= "))
        .collect();
    assert_eq!(
        codes.len(),
        wheels.len(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut installed = 0;
    for (index, (wheel, code)) in wheels.iter().zip(codes).enumerate() {
        let archive = Archive::open(wheel, None, &Limits::default(), &Cancel::new()).unwrap();
        let name = wheel.file_name().unwrap().to_str().unwrap();
        let error = Wheel::check(name, Digest::of(b""), archive, Leniency::Unlisted).unwrap_err();
        let hint = error.hint().unwrap_or_default();
        if code == "0" {
            installed += 1;
            assert!(
                hint.contains("--installer pip"),
                "{index}: {error:?}: {hint}"
            );
        }
    }
    assert!(installed > 3, "{installed}");
}
