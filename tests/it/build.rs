//! Whole builds on this machine, with wheels made here: what comes out, file by file.

use std::collections::BTreeSet;
use std::fs;

use crate::support::failing::backends;
use crate::support::python::python;
use crate::support::sandbox::{Sandbox, digest, names, unpacked};
use crate::support::wheel::{WheelBuilder, hash, project};

/// The site folder of the interpreter on the `PATH`, whatever its version.
fn site() -> String {
    let output = std::process::Command::new("python3")
        .args([
            "-c",
            "import sys; print('lib/python%d.%d/site-packages' % sys.version_info[:2])",
        ])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0")
        .file("demo/__init__.py", "def main():\n    print('demo runs')\n")
        .file("demo/native.so", b"\x7fELF not really")
        .console_script("demo", "demo:main")
        .data("scripts/tool", "#!python\nprint('tool')\n")
        .data("data/share/demo/file.txt", "data\n")
        .data("headers/demo.h", "#define DEMO\n")
        .metadata("Requires-Python: >=3.8")
}

/// H7, H18, H31 and H34: scripts name the runtime's Python, RECORD is true, data is there, and the
/// builder's umask does not count.
#[test]
fn a_wheel_with_everything_is_where_the_runtime_looks() {
    let sandbox = Sandbox::new();
    demo().build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    let links = sandbox.links().display().to_string();
    let program = env!("CARGO_BIN_EXE_prebuild");
    let script =
        format!("umask 077; exec {program} requirements.txt --no-index --find-links {links}");
    let mut command = std::process::Command::new("sh");
    let template = sandbox.command(&[]);
    command
        .args(["-c", &script])
        .current_dir(sandbox.work())
        .env_clear();
    command.envs(
        template
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let files = unpacked(&sandbox.work().join("deps.tar.gz"));
    let site = site();
    let version = site.split('/').nth(1).unwrap();
    let (mode, demo) = &files["bin/demo"];
    assert_eq!(*mode, 0o755);
    let first = demo.split(|byte| *byte == b'\n').next().unwrap();
    assert_eq!(first, format!("#!/usr/local/bin/{version}").as_bytes());
    assert!(
        files["bin/tool"]
            .1
            .starts_with(format!("#!/usr/local/bin/{version}\n").as_bytes())
    );
    assert_eq!(files["share/demo/file.txt"], (0o644, b"data\n".to_vec()));
    assert!(files.keys().any(|path| path.ends_with("demo.h")));
    assert_eq!(files[&format!("{site}/demo/native.so")].0, 0o644);
    assert_eq!(files[&format!("{site}/")].0, 0o755);
    let record = format!("{site}/demo-1.0.dist-info/RECORD");
    let rows = String::from_utf8(files[&record].1.clone()).unwrap();
    let rows: BTreeSet<&str> = rows.lines().collect();
    assert!(
        rows.iter()
            .any(|row| row.starts_with("../../../bin/tool,sha256="))
    );
    // A row for each file, with its hash and its size, and none besides.
    let expected: BTreeSet<String> = files
        .iter()
        .filter(|(path, _)| !path.ends_with('/'))
        .map(|(path, (_, bytes))| {
            let from_site = path.strip_prefix(&format!("{site}/"));
            let listed = from_site.map_or_else(|| format!("../../../{path}"), str::to_owned);
            if *path == record {
                format!("{listed},,")
            } else {
                format!("{listed},sha256={},{}", hash(bytes), bytes.len())
            }
        })
        .collect();
    assert_eq!(rows, expected.iter().map(String::as_str).collect());
    assert_eq!(sandbox.left(), [""; 0]);
}

/// The promise: the same bytes from another folder, umask, locale, time zone and thread count.
#[test]
fn two_builds_are_equal_to_the_byte() {
    let build = |env: &[(&str, &str)]| {
        let mut sandbox = Sandbox::new();
        for (name, value) in env {
            sandbox = sandbox.env(name, *value);
        }
        demo().requires("other").build(&sandbox.links());
        WheelBuilder::new("other", "2.0")
            .file("other.py", "x = 1\n")
            .build(&sandbox.links());
        sandbox.write("requirements.txt", "demo\n");
        let outputs = [
            "-o",
            "a.tar.gz",
            "-o",
            "a.tar.zst",
            "-o",
            "a.tar",
            "-o",
            "a.zip",
        ];
        sandbox
            .offline(&[&["requirements.txt", "--compile"][..], &outputs].concat())
            .ok();
        ["a.tar.gz", "a.tar.zst", "a.tar", "a.zip"].map(|name| digest(&sandbox.work().join(name)))
    };
    let plain = build(&[]);
    let other = build(&[
        ("LC_ALL", "de_DE.UTF-8"),
        ("TZ", "Pacific/Auckland"),
        ("RAYON_NUM_THREADS", "1"),
        ("PYTHONHASHSEED", "random"),
    ]);
    assert_eq!(plain, other);
}

/// H4: what the builder has already is in the prefix all the same.
#[test]
fn h4_what_the_builder_has_is_not_left_out() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("setuptools", "0.0.1")
        .file("setuptools/__init__.py", "")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "setuptools\n");
    sandbox.offline(&["requirements.txt"]).ok();
    let files = unpacked(&sandbox.work().join("deps.tar.gz"));
    assert!(files.contains_key(&format!("{}/setuptools/__init__.py", site())));
    // H30: nothing of pip's unless it was asked for.
    assert!(!files.keys().any(|path| path.contains("/pip")), "{files:?}");
}

/// H19 and H20: bytecode that no time makes stale, with the paths of the runtime.
#[test]
fn h19_h20_bytecode_is_unchecked_and_names_the_destination() {
    let sandbox = Sandbox::new();
    demo().build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    sandbox
        .offline(&[
            "requirements.txt",
            "--compile",
            "-o",
            "out/",
            "--dest",
            "/opt/app",
        ])
        .ok();
    let cache = sandbox
        .work()
        .join("out")
        .join(site())
        .join("demo/__pycache__");
    let pyc = fs::read(cache.join(&names(&cache)[0])).unwrap();
    assert_eq!(pyc[4..8], [1, 0, 0, 0], "unchecked-hash");
    let wanted = format!("/opt/app/{}/demo/__init__.py", site());
    assert!(
        pyc.windows(wanted.len())
            .any(|window| window == wanted.as_bytes())
    );
    let record = sandbox
        .work()
        .join("out")
        .join(site())
        .join("demo-1.0.dist-info/RECORD");
    assert!(
        fs::read_to_string(record)
            .unwrap()
            .contains("__pycache__/__init__")
    );
}

/// H23 and H24: what stands behind `-e` is an ordinary wheel of a clean copy; the source is not
/// written to, and nothing in the artifact points at it.
#[test]
fn h23_h24_local_projects_are_built_from_a_copy() {
    let sandbox = Sandbox::new();
    let folder = sandbox.work().join("proj");
    project(&folder, "proj", "open('litter', 'w').close()");
    fs::create_dir_all(folder.join("build/lib")).unwrap();
    fs::create_dir_all(folder.join("src/proj.egg-info")).unwrap();
    let before = names(&folder);
    sandbox.write("requirements.txt", "-e ./proj\n");
    let ran = sandbox.offline(&["requirements.txt"]).ok();
    assert!(
        ran.stderr
            .contains("requirements.txt:1:4: `-e ./proj` is installed as an ordinary wheel"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("built from source: proj"),
        "{}",
        ran.stderr
    );
    assert_eq!(names(&folder), before);
    let files = unpacked(&sandbox.work().join("deps.tar.gz"));
    let module = String::from_utf8(files[&format!("{}/proj.py", site())].1.clone()).unwrap();
    assert!(
        !module.contains("'build'") && module.contains("backend.py"),
        "{module}"
    );
    let root = sandbox.work().display().to_string();
    for (path, (_, bytes)) in &files {
        assert!(!path.ends_with("direct_url.json"));
        assert!(
            !bytes
                .windows(root.len())
                .any(|window| window == root.as_bytes()),
            "{path}"
        );
    }
}

/// Wheels by path are relative to the working folder, and leave no trace of it.
#[test]
fn a_wheel_by_its_path() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("wheels")).unwrap();
    demo().build(&sandbox.work().join("wheels"));
    sandbox.write(
        "deps/requirements.txt",
        "./wheels/demo-1.0-py3-none-any.whl\n",
    );
    sandbox
        .offline(&["deps/requirements.txt", "-o", "out/"])
        .ok();
    let info = sandbox
        .work()
        .join("out")
        .join(site())
        .join("demo-1.0.dist-info");
    assert!(!info.join("direct_url.json").exists());
    assert!(info.join("REQUESTED").exists());
}

/// A `file:` URL with a hash that is right, and one that is not.
#[test]
fn a_file_url_with_a_hash() {
    let sandbox = Sandbox::new();
    let wheel = demo().build(&sandbox.work());
    let right = digest(&wheel).hex();
    let url = format!("demo @ file://{}#sha256=", wheel.display());
    sandbox.write("requirements.txt", format!("{url}{right}\n"));
    sandbox.offline(&["requirements.txt"]).ok();
    sandbox.write(
        "requirements.txt",
        format!("{url}{}\n", right.replace('a', "b")),
    );
    let ran = sandbox.offline(&["requirements.txt"]);
    insta::assert_snapshot!(ran.fails_with(1), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo @ file://[WORK]/demo-1.0-py3-none-any.whl#sha256=16758d88bf91599013e2c808b651b9619596605bf40c707e8fb5856470202719` failed
      caused by: hash mismatch of `file://[WORK]/demo-1.0-py3-none-any.whl`: expected sha256:16758d88bf91599013e2c808b651b9619596605bf40c707e8fb5856470202719, got sha256:16758d88af91599013e2c808a651b9619596605af40c707e8fa5856470202719
    hint: the file has changed, or the hash belongs to another file: check both before you lock again
    ");
    assert!(ran.stderr.contains(&right), "{}", ran.stderr);
}

/// H26: variables that would put files elsewhere are left out, and said.
#[test]
fn h26_pip_settings_that_move_files_are_left_out() {
    let sandbox = Sandbox::new()
        .env("PIP_TARGET", "/nowhere")
        .env("PIP_USER", "1")
        .env("PYTHONPATH", "/x")
        .env("PYTHONHOME", "/nowhere")
        .env("PYTHONPYCACHEPREFIX", "/tmp/nowhere");
    demo().build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    let ran = sandbox.offline(&["requirements.txt", "--compile"]).ok();
    let files = unpacked(&sandbox.work().join("deps.tar.gz"));
    assert!(files.keys().any(|path| path.contains("/__pycache__/")));
    for name in ["`PIP_TARGET`", "`PIP_USER`", "`PYTHONPATH`", "`PYTHONHOME`"] {
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
    }
}

/// What changes the result is an input like any other, and is recorded.
#[test]
fn pip_constraint_is_taken_over() {
    let sandbox = Sandbox::new();
    let limits = sandbox
        .write("limits.txt", "demo==1.0\n")
        .display()
        .to_string();
    let sandbox = sandbox.env("PIP_CONSTRAINT", limits);
    demo().build(&sandbox.links());
    WheelBuilder::new("demo", "2.0")
        .file("demo.py", "")
        .build(&sandbox.links());
    sandbox.write("requirements.txt", "demo\n");
    let ran = sandbox
        .offline(&["requirements.txt", "--format", "json"])
        .ok();
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["distributions"][0]["version"], "1.0");
    assert_eq!(json["version"], 3);
    assert!(json["settings"].to_string().contains("PIP_CONSTRAINT"));
}

/// H39: two distributions with one path are a finding that names both.
#[test]
fn h39_conflicts_are_found() {
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        WheelBuilder::new(name, "1.0")
            .file("shared/thing.py", name)
            .build(&sandbox.links());
    }
    sandbox.write("requirements.txt", "one\ntwo\n");
    let ran = sandbox.offline(&["requirements.txt"]).ok();
    assert!(
        ran.stderr.contains("is in one 1.0 and two 1.0"),
        "{}",
        ran.stderr
    );
}

/// H38: a warning where an archive holds both.
#[test]
fn h38_names_that_differ_in_case_are_found() {
    let sandbox = Sandbox::new();
    for (name, path) in [("one", "pkg/A.py"), ("two", "pkg/a.py")] {
        WheelBuilder::new(name, "1.0")
            .file(path, name)
            .build(&sandbox.links());
    }
    sandbox.write("requirements.txt", "one\ntwo\n");
    let ran = sandbox.offline(&["requirements.txt"]).ok();
    assert!(ran.stderr.contains("only in case"), "{}", ran.stderr);
}

#[test]
fn requirements_come_by_standard_input() {
    use std::io::Write as _;
    let sandbox = Sandbox::new();
    demo().build(&sandbox.links());
    let links = sandbox.links().display().to_string();
    let mut child = sandbox
        .command(&["-", "--no-index", "-f", &links])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"demo\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(sandbox.work().join("deps.tar.gz").exists());
}

#[test]
fn a_plan_says_what_applies_and_why_not() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "requirements.txt",
        "flask[async]>=2 ; python_version >= '3'\nolder ; python_version < '3'\n-i https://u:secret@index.example/simple\n",
    );
    WheelBuilder::new("flask", "2.1")
        .metadata("Provides-Extra: async")
        .requires("asgiref>=3; extra == 'async'")
        .build(&sandbox.links());
    WheelBuilder::new("asgiref", "3.0").build(&sandbox.links());
    let ran = sandbox
        .offline(&["plan", "requirements.txt", "--format", "json"])
        .ok();
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let [flask, older] = json["requirements"].as_array().unwrap().as_slice() else {
        panic!("{json}");
    };
    assert_eq!(
        (&flask["name"], &flask["applies"]),
        (&"flask".into(), &true.into())
    );
    assert_eq!(
        (&flask["extras"][0], &flask["line"]),
        (&"async".into(), &1.into())
    );
    assert_eq!(older["applies"], false);
    assert!(
        older["reason"]
            .as_str()
            .unwrap()
            .contains("python_version < '3'")
    );
    assert!(
        !ran.stdout.contains("secret") && ran.stdout.contains("https://****@index.example/simple")
    );
    assert_eq!(json["decided_by"], "pip");
    let of = |name: &str| {
        let all = json["distributions"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap()
    };
    assert_eq!(
        of("flask")["required_by"],
        serde_json::json!([{"file": "requirements.txt", "line": 1}])
    );
    assert_eq!(
        of("asgiref")["required_by"],
        serde_json::json!([{"distribution": "flask"}])
    );
    let text = sandbox.offline(&["plan", "requirements.txt"]).ok().stdout;
    assert!(
        text.contains("left out: ") && !text.contains("secret"),
        "{text}"
    );
    assert!(text.contains("install  asgiref 3.0") && text.contains("for flask"));
}

/// pip knows a local source by a path of prebuild's; the user knows it by the line.
#[test]
fn a_folder_that_cannot_be_built_is_named_as_it_was_written() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "folder/setup.py",
        "raise RuntimeError('the moon is in the wrong house')\n",
    );
    sandbox.write("requirements.txt", "# mine\n./folder\n");
    let links = sandbox.links();
    backends(python(), &links);
    sandbox.offline(&["requirements.txt"]).fails(
        1,
        &["error: requirements.txt:2:1: the build of `./folder` failed: RuntimeError: the moon is in the wrong house\n"],
    );
}
