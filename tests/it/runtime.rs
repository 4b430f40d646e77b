//! What is found out of a runtime without running it, held against what it says of itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use prebuild::cache::{Cache, Place};
use prebuild::event::Cancel;
use prebuild::runtime::{Runtime, Source, Wanted};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::python;
use crate::support::sandbox::{Sandbox, names};
use crate::support::wheel::WheelBuilder;

/// The modules that some standard library has.
pub(crate) const STANDARD: &str = include_str!("../../src/code/stdlib.txt");

pub(crate) fn look(source: Source) -> Runtime {
    let scratch = TempDir::new().unwrap();
    let place = Place::temporary(scratch.path());
    let cancel = Cancel::new();
    let cache = Cache::open(&place, &|_| {}, &cancel).unwrap();
    let wanted = Wanted {
        source,
        python: None,
    };
    wanted.look(&cache, &cancel).unwrap()
}

/// What an interpreter says of itself, as a document with the fields of ours.
fn said(interpreter: &Path) -> Value {
    let text = python::script_by(
        interpreter,
        "runtime_facts.py",
        Path::new("/"),
        STANDARD.to_owned(),
    );
    serde_json::from_str(&text).unwrap()
}

/// The same of what was found.
pub(crate) fn found(runtime: &Runtime) -> Value {
    let python = &runtime.python;
    let libc = runtime.facts.libc.as_ref().unwrap();
    let lacks: Vec<&str> = STANDARD
        .lines()
        .filter(|name| !python.modules.contains(*name) && !python.builtin.contains(*name))
        .collect();
    serde_json::json!({
        "version": python.version,
        "full_version": python.full_version,
        "prefix": python.prefix,
        "soabi": python.soabi,
        "suffixes": python.suffixes,
        "site_packages": python.site_packages,
        "stdlib": python.stdlib,
        "modules": python.modules,
        "lacks": lacks,
        "libc": format!("glibc {}.{}", libc.version.0, libc.version.1),
        "machine": python.elf.machine.to_string(),
    })
}

fn check(interpreter: &Path) {
    let said = said(interpreter);
    let runtime = look(Source::Interpreter(interpreter.to_path_buf()));
    let found = found(&runtime);
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(value, &found[name], "{name} of {}", interpreter.display());
    }
}

/// Of each Python from 3.8 on, and of Debian's own.
#[test]
fn facts_are_those_that_interpreters_tell() {
    let own = PathBuf::from("/usr/bin/python3");
    let own = own.exists().then_some(own);
    let pyenv = python::pyenv().into_iter();
    let known = pyenv.filter(|(name, _)| {
        let minor = name
            .strip_prefix("3.")
            .and_then(|rest| rest.split('.').next());
        minor.is_some_and(|minor| minor.parse::<u32>().is_ok_and(|minor| minor >= 8))
    });
    let mut count = 0;
    for interpreter in known.map(|(_, path)| path).chain(own) {
        check(&interpreter);
        count += 1;
    }
    assert!(count > 0);
}

/// And of a virtual environment, which is another place with the same program.
#[test]
fn facts_of_an_environment_are_its_own() {
    check(python::python());
}

/// A root with an interpreter, or what looks like one: nothing is run.
pub(crate) fn put_python(root: &Path, prefix: &str, version: &str) {
    let home = root.join(prefix);
    fs::create_dir_all(home.join("bin")).unwrap();
    fs::create_dir_all(home.join(format!("lib/python{version}"))).unwrap();
    fs::write(home.join(format!("lib/python{version}/os.py")), "").unwrap();
    let program = home.join(format!("bin/python{version}"));
    fs::copy(python::python(), &program).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_root_may_hold_anything() {
    let sandbox = Sandbox::new();
    let root = sandbox.work().join("root");
    put_python(&root, "usr/local", "3.11");
    let library = root.join("usr/lib");
    fs::create_dir_all(&library).unwrap();
    for (link, target) in [
        ("lib", "usr/lib"),
        ("usr/lib/loop.so", "loop.so"),
        ("usr/lib/outside.so", "../../../../../../../../etc/passwd"),
        ("usr/lib/absolute.so", "/etc/passwd"),
        ("usr/local/bin/python3", "python3.11"),
        ("usr/local/bin/python", "nowhere"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let fifo = Command::new("mkfifo")
        .arg(library.join("libpipe.so"))
        .status();
    assert!(fifo.unwrap().success());
    fs::write(library.join("libtext.so"), "no library").unwrap();
    fs::write(library.join("libcut.so"), b"\x7fELF\x02\x01\x01").unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(
        root.join("etc/ld.so.conf"),
        "include ld.so.conf\ninclude /etc/*\n/usr/lib\n",
    )
    .unwrap();
    fs::write(
        root.join("etc/ld.so.cache"),
        [b"glibc-ld.so.cache1.1", &[0xff; 40][..]].concat(),
    )
    .unwrap();
    fs::write(root.join("etc/os-release"), "ID=\"odd\nVERSION_ID\n=\n").unwrap();
    let ran = sandbox.run(&["runtime", "root", "--format", "json"]).ok();
    let facts: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(facts["libc"], Value::Null);
    assert_eq!(
        facts["pythons"][0]["executable"],
        "/usr/local/bin/python3.11"
    );
    assert!(!ran.stdout.contains("passwd\": {"), "{}", ran.stdout);
    assert_eq!(sandbox.left(), [""; 0]);
}

/// What a program prints, which must succeed.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Builds packages; their paths.
fn rpms(sandbox: &Sandbox, specs: &[String]) -> Vec<String> {
    let top = sandbox.work().join("rpm").display().to_string();
    let define = format!("_topdir {top}");
    for spec in specs {
        let spec = sandbox.write("demo.spec", spec).display().to_string();
        run("rpmbuild", &["--quiet", "--define", &define, "-bb", &spec]);
    }
    let folder = format!("{top}/RPMS/noarch");
    let packages = names(Path::new(&folder)).into_iter();
    packages.map(|name| format!("{folder}/{name}")).collect()
}

/// rpm's database is read as rpm reads it.
#[test]
#[ignore = "needs rpm"]
fn engine_packages_are_those_that_rpm_lists() {
    let sandbox = Sandbox::new();
    let root = sandbox.work().join("root");
    put_python(&root, "usr", "3.11");
    let specs = [("demo-libs", "1.2"), ("other", "2.0~rc1")].map(|(name, version)| {
        format!(
            "Name: {name}\nVersion: {version}\nRelease: 3\nSummary: x\nLicense: MIT\nBuildArch: noarch\n\
             Provides: libdemo.so.1()(64bit)\n%description\nx\n%files\n"
        )
    });
    let packages = rpms(&sandbox, &specs);
    let place = root.display().to_string();
    let place = [
        "--root",
        &place,
        "--dbpath",
        "/usr/lib/sysimage/rpm",
        "--nodeps",
    ];
    let install: Vec<&str> = place
        .iter()
        .copied()
        .chain(["-i", "--justdb", "--nosignature"])
        .chain(packages.iter().map(String::as_str))
        .collect();
    run("rpm", &install);
    let list = [
        &place[..4],
        &["-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\n"],
    ];
    let mut said: Vec<String> = run("rpm", &list.concat())
        .lines()
        .map(str::to_owned)
        .collect();
    said.sort();
    let look = || -> Value {
        let ran = sandbox
            .run(&["runtime", "root", "--format", "json", "--no-cache"])
            .ok();
        let facts: Value = serde_json::from_str(&ran.stdout).unwrap();
        facts["packages"].clone()
    };
    let packages = look();
    assert_eq!(packages["database"], "rpm");
    let found: Vec<String> = packages["installed"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap()))
        .collect();
    assert_eq!(found, said);
    assert_eq!(found, ["demo-libs 1.2-3", "other 2.0~rc1-3"]);
    // A database that deceives: what never ends is ended, what is damaged holds nothing.
    let file = root.join("usr/lib/sysimage/rpm/rpmdb.sqlite");
    fs::remove_file(&file).unwrap();
    let endless = "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS (SELECT x'00' UNION ALL SELECT blob FROM n) \
                   SELECT blob FROM n;";
    run("sqlite3", &[file.to_str().unwrap(), endless]);
    assert_eq!(look()["installed"], serde_json::json!({}));
    fs::write(&file, "SQLite format 3\0and nothing of the kind").unwrap();
    assert_eq!(look()["installed"], serde_json::json!({}));
}

/// The files of rpm's packages, by directory, base name and package as rpm's headers have them: a path that an
/// artifact replaces is an error.
#[test]
#[ignore = "needs rpm"]
fn engine_files_are_those_that_rpm_lists() {
    let sandbox = Sandbox::new();
    let root = sandbox.work().join("root");
    put_python(&root, "usr", "3.11");
    // Several packages in one directory, several directories in one package, a directory of its own, and data.
    let files = [
        ("demo", "/usr/bin/demo"),
        ("demo", "/usr/lib64/libdemo.so.1"),
        ("demo", "/etc/demo.conf"),
        ("demo", "/usr/share/doc/demo/text"),
        ("other", "/usr/bin/other"),
        ("other", "/usr/lib/python3.11/site-packages/other.egg-info"),
    ];
    let specs = ["demo", "other"].map(|name| {
        let own: Vec<&str> = files
            .iter()
            .filter(|(package, _)| *package == name)
            .map(|(_, path)| *path)
            .collect();
        let make: Vec<String> = own
            .iter()
            .map(|path| format!("install -D /dev/null %{{buildroot}}{path}\n"))
            .collect();
        format!(
            "Name: {name}\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n\
             %description\nx\n%install\n{}%files\n{}\n",
            make.concat(),
            own.join("\n")
        )
    });
    let packages = rpms(&sandbox, &specs);
    let place = root.display().to_string();
    let mut args = vec!["--root", &place, "--dbpath", "/usr/lib/sysimage/rpm"];
    let list = [&args[..], &["-qa", "--qf", "[%{=NAME} %{FILENAMES}\n]"]].concat();
    args.extend(["--nodeps", "-i", "--nosignature"]);
    args.extend(packages.iter().map(String::as_str));
    run("rpm", &args);
    let mut said: Vec<String> = run("rpm", &list).lines().map(str::to_owned).collect();
    said.sort();
    let mut all: Vec<String> = files
        .iter()
        .map(|(package, path)| format!("{package} {path}"))
        .collect();
    all.sort();
    assert_eq!(said, all);
    let ran = sandbox
        .run(&["runtime", "root", "--format", "json", "--no-cache"])
        .ok();
    let facts: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut found = Vec::new();
    for (folder, names) in facts["packages"]["files"].as_object().unwrap() {
        for (name, package) in names.as_object().unwrap() {
            found.push(format!("{} {folder}/{name}", package.as_str().unwrap()));
        }
    }
    found.sort();
    // Texts for people may be replaced.
    said.retain(|line| !line.contains("/usr/share/"));
    assert_eq!(found, said);
}

/// What lies beside a standard library need not be a Python.
#[test]
fn a_program_that_is_no_python_is_none() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["runtime", "/usr/bin/true"]).fails_with(2), @r"
    error: Python `/usr/bin/true` not found in the runtime `/usr/bin/true`
    hint: name one of its interpreters with `--runtime-python X.Y` or `--runtime-python PATH`; `prebuild runtime` shows them
    ");
}

#[test]
fn one_python_of_several_must_be_named() {
    let sandbox = Sandbox::new();
    let root = sandbox.work().join("root");
    put_python(&root, "opt/a", "3.11");
    let ran = sandbox.run(&["runtime", "root"]).ok();
    insta::assert_snapshot!(ran.whole(0), @r"
    -----
    machine   x86_64
    python    3.11 at [PYTHON], used
      names   [PYTHON]
      prefix  /opt/a
      sites   /opt/a/lib/python3.11/site-packages
      suffixes .abi3.so .so
    libraries 0
    packages  no database
    path      /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    ");
    put_python(&root, "opt/b", "3.12");
    insta::assert_snapshot!(sandbox.run(&["runtime", "root"]).fails_with(2), @r"
    error: the runtime `[WORK]/root` has several Pythons, and none on its PATH: [PYTHON], [PYTHON]
    hint: name one of its interpreters with `--runtime-python X.Y` or `--runtime-python PATH`; `prebuild runtime` shows them
    ");
    for named in ["3.12", "/opt/b/bin/python3.12"] {
        let ran = sandbox
            .run(&["runtime", "root", "--runtime-python", named])
            .ok();
        assert!(ran.stdout.contains("3.12 at /opt/b/bin/python3.12, used"));
    }
    // What is on the PATH goes first.
    put_python(&root, "usr/local", "3.10");
    symlink("python3.10", root.join("usr/local/bin/python3")).unwrap();
    let ran = sandbox.run(&["runtime", "root"]).ok();
    assert!(
        ran.stdout
            .contains("3.10 at /usr/local/bin/python3.10, used")
    );
}

/// The prefix lies where the runtime's Python searches, and scripts name it.
#[test]
fn the_prefix_is_placed_for_the_runtime() {
    let sandbox = Sandbox::new();
    let root = sandbox.work().join("root");
    put_python(&root, "opt/python", "3.11");
    WheelBuilder::new("demo", "1.0")
        .file("demo.py", "def main(): pass\n")
        .console_script("demo", "demo:main")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    let args = [
        "requirements.txt",
        "--python",
        "3.11",
        "--runtime",
        "root",
        "--format",
        "json",
    ];
    let ran = sandbox.offline(&args).ok();
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(summary["layout"]["dest"], "/opt/python");
    assert_eq!(
        summary["layout"]["script_python"],
        "/opt/python/bin/python3.11"
    );
    assert!(
        ran.stderr.contains("ENV PATH=/opt/python/bin:$PATH"),
        "{}",
        ran.stderr
    );
    // Debian's own.
    let rules = "sitepackages.append(os.path.join(prefix, \"dist-packages\"))\n";
    put_python(&root, "usr", "3.11");
    fs::write(root.join("usr/lib/python3.11/site.py"), rules).unwrap();
    let ran = sandbox.offline(&args).ok();
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(summary["layout"]["dest"], "/usr/local");
    assert_eq!(summary["layout"]["purelib"], "lib/python3.11/dist-packages");
    assert_eq!(summary["layout"]["script_python"], "/usr/bin/python3.11");
}

/// A wheel that would not run there is not taken: another of the same version is, or an older version, by pip
/// too, which knows the builder only.
#[test]
fn wheels_that_run_in_the_runtime_are_taken() {
    let sandbox = Sandbox::new();
    for (name, version, tag) in [
        ("demo", "1.0", "manylinux_2_30_x86_64"),
        ("demo", "1.0", "manylinux_2_17_x86_64"),
        ("other", "1.0", "manylinux_2_17_x86_64"),
        ("other", "2.0", "manylinux_2_30_x86_64"),
    ] {
        WheelBuilder::new(name, version)
            .platform(&format!("cp311-cp311-{tag}"))
            .file(&format!("{name}.py"), tag)
            .build(&sandbox.links());
    }
    let interpreter = python::python().display().to_string();
    let facts = sandbox
        .run(&["runtime", &interpreter, "--format", "json"])
        .ok();
    let mut facts: Value = serde_json::from_str(&facts.stdout).unwrap();
    let python = &facts["pythons"].as_array().unwrap().clone();
    let python = python
        .iter()
        .find(|one| one["names"].to_string().contains(&interpreter))
        .unwrap();
    let site = python["site_packages"][0].as_str().unwrap();
    let site = site
        .strip_prefix(python["prefix"].as_str().unwrap())
        .unwrap();
    let runtime = [
        "--python",
        &interpreter,
        "--runtime",
        "facts.json",
        "--runtime-python",
        &interpreter,
    ];
    let taken = |requirements: &str, glibc: u32, installer: &str, facts: &mut Value| {
        facts["libc"]["version"] = serde_json::json!([2, glibc]);
        sandbox.write("facts.json", facts.to_string());
        sandbox.write("requirements.txt", requirements);
        let args = [
            "requirements.txt",
            "-o",
            "deps/",
            "--force",
            "--installer",
            installer,
        ];
        sandbox.offline(&[&args[..], &runtime].concat()).ok();
        let name = &requirements[..requirements.find(['=', '\n']).unwrap()];
        let file = format!("deps{site}/{name}.py");
        fs::read_to_string(sandbox.work().join(file)).unwrap()
    };
    for installer in ["wheel", "pip"] {
        for requirements in ["demo\n", "demo==1.0\n", "other\n"] {
            let newest = taken(requirements, 36, installer, &mut facts);
            assert_eq!(newest, "manylinux_2_30_x86_64", "{requirements}");
            let fitting = taken(requirements, 28, installer, &mut facts);
            assert_eq!(fitting, "manylinux_2_17_x86_64", "{requirements}");
        }
    }
    // The same is planned and locked.
    let plan = [&["plan", "requirements.txt"][..], &runtime].concat();
    let plan = sandbox.offline(&plan).ok();
    assert!(
        plan.stdout.contains("install  other 1.0 "),
        "{}",
        plan.stdout
    );
    let lock = [&["lock", "requirements.txt"][..], &runtime].concat();
    sandbox.offline(&lock).ok();
    let lock = fs::read_to_string(sandbox.work().join("pylock.toml")).unwrap();
    assert!(lock.contains("other-1.0-cp311-cp311-manylinux_2_17_x86_64"));
}
