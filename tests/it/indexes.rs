//! Indexes that misbehave: a server of the suite's own says what it says, on demand.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::chance::Chance;
use crate::support::mount::Mount;
use crate::support::sandbox::{Ran, Sandbox, digest, names};
use crate::support::server::{Answer, Server};
use crate::support::wheel::WheelBuilder;

/// A sandbox whose only index is a server, and a wheel that the server has.
struct Desk {
    sandbox: Sandbox,
    server: Server,
    wheel: PathBuf,
}

const NAME: &str = "demo-1.0-py3-none-any.whl";
const FILE: &str = "/files/demo-1.0-py3-none-any.whl";
const PAGE: &str = "/simple/demo/";

impl Desk {
    fn new() -> Self {
        let server = Server::start();
        let sandbox = Sandbox::new()
            .env("PIP_INDEX_URL", format!("{}/simple", server.url))
            .env("PIP_TIMEOUT", "1")
            .env("PIP_RETRIES", "2");
        let wheel = WheelBuilder::new("demo", "1.0")
            .file("demo.py", "x".repeat(100_000))
            .build(&sandbox.links());
        let desk = Self {
            sandbox,
            server,
            wheel,
        };
        desk.page(&desk.file());
        desk.server.route(FILE, [desk.answer()]);
        desk.require("demo==1.0");
        desk
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.wheel).unwrap()
    }

    fn answer(&self) -> Answer {
        Answer::ok("application/zip", self.bytes())
    }

    fn hash(&self) -> String {
        digest(&self.wheel).hex()
    }

    /// What a page says of the wheel.
    fn file(&self) -> Value {
        json!({
            "filename": NAME,
            "url": format!("../..{FILE}"),
            "hashes": { "sha256": self.hash() },
            "size": self.bytes().len(),
        })
    }

    fn page(&self, file: &Value) {
        let page = json!({ "meta": { "api-version": "1.1" }, "name": "demo", "files": [file] });
        self.server.route(PAGE, [Answer::json(&page)]);
    }

    /// The page with one thing about the wheel changed.
    fn change(&self, key: &str, value: Value) {
        let mut file = self.file();
        file[key] = value;
        self.page(&file);
    }

    fn require(&self, text: &str) {
        self.sandbox.write("requirements.txt", format!("{text}\n"));
    }

    fn build(&self) -> Ran {
        self.with(&[])
    }

    fn with(&self, args: &[&str]) -> Ran {
        let build = ["requirements.txt", "--cache-dir", "cache", "-o", "out.tar"];
        self.sandbox.run(&[&build[..], args].concat())
    }

    fn plan(&self) -> Ran {
        let plan = ["plan", "requirements.txt", "--cache-dir", "cache"];
        self.sandbox.run(&plan)
    }

    /// It fails, and leaves nothing; all that it says.
    fn fails(&self) -> String {
        let said = self.build().fails_with(1);
        assert!(!names(&self.sandbox.work()).contains(&"out.tar".to_owned()));
        assert_eq!(names(&self.sandbox.work().join("cache/tmp")), [""; 0]);
        assert_eq!(self.sandbox.left(), [""; 0]);
        said
    }

    fn forget(&self) {
        let _ = fs::remove_dir_all(self.sandbox.work().join("cache"));
        self.server.asked();
    }
}

#[test]
fn every_kind_of_index_gives_the_same() {
    let desk = Desk::new();
    desk.build().ok();
    let expected = digest(&desk.sandbox.work().join("out.tar"));
    let hash = desk.hash();
    let html = format!(
        "<html><head><base href=\"/files/x\"></head><a href=\"{NAME}#sha256={hash}\" data-requires-python=\"&gt;=3.8\">x</a>"
    );
    let page = || Answer::ok("text/html; charset=utf-8", html.clone());
    let folder = desk.sandbox.work().join("pages/demo");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&desk.wheel, folder.join(NAME)).unwrap();
    fs::write(folder.join("index.html"), format!("<a href={NAME}>x</a>")).unwrap();
    let pages = format!("file://{}", folder.parent().unwrap().display());
    desk.server.route("/links", [page()]);
    let links = format!("{}/links", desk.server.url);
    let here = desk.sandbox.links().display().to_string();
    desk.server.route(PAGE, [page()]);
    for args in [
        &[][..],
        &["--no-index", "-f", &links],
        &["--no-index", "-f", &here],
        &["-i", &pages],
    ] {
        desk.forget();
        desk.with(args).ok();
        let output = desk.sandbox.work().join("out.tar");
        assert_eq!(digest(&output), expected, "{args:?}");
        fs::remove_file(output).unwrap();
    }
}

#[test]
fn metadata_is_asked_for_and_not_believed() {
    let desk = Desk::new();
    let metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    let route = format!("{FILE}.metadata");
    desk.change("core-metadata", json!(true));
    desk.server
        .route(&route, [Answer::ok("text/plain", metadata)]);
    desk.plan().ok();
    assert_eq!(desk.server.targets(), [route.as_str(), PAGE]);
    desk.change("core-metadata", json!({ "sha256": "0".repeat(64) }));
    desk.forget();
    insta::assert_snapshot!(desk.plan().fails_with(1), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: hash mismatch of `http://[HOST]/files/demo-1.0-py3-none-any.whl.metadata`: expected sha256:0000000000000000000000000000000000000000000000000000000000000000, got sha256:34aa27a6064f958b41b781a217f290fd0ab5f9651e2b6e4acdab341b7b93c305
    hint: the file has changed, or the hash belongs to another file: check both before you lock again
    ");
    desk.change("core-metadata", json!(true));
    for text in [
        metadata.replace("demo", "other"),
        metadata.replace("1.0\n", "2.0\n"),
    ] {
        desk.server.route(&route, [Answer::ok("text/plain", text)]);
        desk.forget();
        insta::assert_snapshot!(desk.plan().fails_with(1));
    }
    // With hashes the plan is kept, and the wheel that comes later is held against it.
    let locked = format!("demo==1.0 --hash=sha256:{}", desk.hash());
    desk.require(&format!(
        "{locked}\nother==1.0 --hash=sha256:{}",
        desk.hash()
    ));
    desk.require(&locked);
    let more = format!("{metadata}Requires-Dist: other; python_version < '3'\n");
    desk.server.route(&route, [Answer::ok("text/plain", more)]);
    desk.forget();
    desk.plan().ok();
    insta::assert_snapshot!(desk.build().fails_with(1), @r"
     builder  [BUILDER]
     install  1 wheel
    download  1 wheel
    error: the metadata of `http://[HOST]/files/demo-1.0-py3-none-any.whl` differs from the index: it requires other distributions
    ");
}

#[test]
fn what_breaks_off_goes_on_where_it_did() {
    let desk = Desk::new();
    let etag = |answer: Answer| answer.header("ETag", "\"one\"");
    let broken = || {
        etag(
            desk.answer()
                .header("Content-Length", &desk.bytes().len().to_string()),
        )
    };
    desk.server
        .route(FILE, [broken().cut(200), etag(desk.answer().ranges())]);
    desk.build().ok();
    let asked = desk.server.asked();
    let last = &asked.last().unwrap().headers;
    assert_eq!(
        (last["range"].as_str(), last["if-range"].as_str()),
        ("bytes=200-", "\"one\"")
    );
    // A server that knows no ranges, one that has another file by now, and one that is silent.
    for answers in [
        vec![broken().cut(200), desk.answer()],
        vec![broken().cut(200), Answer::status(416), desk.answer()],
        vec![broken().silent(300), desk.answer().ranges()],
    ] {
        desk.server.route(FILE, answers);
        desk.forget();
        fs::remove_file(desk.sandbox.work().join("out.tar")).unwrap();
        desk.build().ok();
    }
}

#[test]
fn files_that_are_not_what_the_index_says_are_refused() {
    let desk = Desk::new();
    let length = desk.bytes().len();
    desk.server.route(
        FILE,
        [Answer::ok("application/zip", &desk.bytes()[..length - 9])],
    );
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: size mismatch of `http://[HOST]/files/demo-1.0-py3-none-any.whl`: expected 918 bytes, got 909
    hint: try again later, or use another index
    ");
    let long = [desk.bytes(), b"more".to_vec()].concat();
    desk.server
        .route(FILE, [Answer::ok("application/zip", long.clone())]);
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: size mismatch of `http://[HOST]/files/demo-1.0-py3-none-any.whl`: expected 918 bytes, got more
    hint: try again later, or use another index
    ");
    // Of the right length, or of one that is not told.
    let other = [&desk.bytes()[..length - 4], b"more"].concat();
    desk.server
        .route(FILE, [Answer::ok("application/zip", other)]);
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: hash mismatch of `http://[HOST]/files/demo-1.0-py3-none-any.whl`: expected sha256:1483417533ed90b7966ae6e447d3f419fef4ef09cd1e5b51e34ef5ef5b12b54f, got sha256:e9b67f3d149bd921a9f81e6a6efcb409a9b2fa7a51061004dbe23690f83594d6
    hint: the file has changed, or the hash belongs to another file: check both before you lock again
    ");
    desk.change("size", Value::Null);
    desk.server
        .route(FILE, [Answer::ok("application/zip", long)]);
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: hash mismatch of `http://[HOST]/files/demo-1.0-py3-none-any.whl`: expected sha256:1483417533ed90b7966ae6e447d3f419fef4ef09cd1e5b51e34ef5ef5b12b54f, got sha256:8384f05bc36d0ce848969a385fdb886bfc2d4eb962e37b78c8b15bb82f82e506
    hint: the file has changed, or the hash belongs to another file: check both before you lock again
    ");
    desk.server.route(FILE, [Answer::status(404)]);
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: `http://[HOST]/files/demo-1.0-py3-none-any.whl` answers with status 404
    hint: try again later, or use another index
    ");
    // The user's own hash.
    let zeros = "0".repeat(64);
    desk.require(&format!("demo==1.0 --hash=sha256:{zeros}"));
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: cannot install demo==1.0 for CPython 3.11.[X] on linux-x86_64, glibc 2.36: hash mismatch of all its files: demo-1.0-py3-none-any.whl has sha256:1483417533ed90b7966ae6e447d3f419fef4ef09cd1e5b51e34ef5ef5b12b54f
    hint: the files have changed since the requirements were locked: check the files before you lock again
    ");
    desk.change("hashes", json!({}));
    desk.server.route(FILE, [desk.answer()]);
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: hash mismatch of `http://[HOST]/files/demo-1.0-py3-none-any.whl`: expected sha256:0000000000000000000000000000000000000000000000000000000000000000, got sha256:1483417533ed90b7966ae6e447d3f419fef4ef09cd1e5b51e34ef5ef5b12b54f
    hint: the file has changed, or the hash belongs to another file: check both before you lock again
    ");
    let sha512 = "0".repeat(128);
    desk.require(&format!("demo==1.0 --hash=sha512:{sha512}"));
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: hash mismatch of `http://[HOST]/files/demo-1.0-py3-none-any.whl`: expected sha512:00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000, got sha512:b9b9a3cbb6b1a99f4c5eda28a4ff0eeb80d2e77d54ee9bce9e5d3a39a29d430068a44907f7819cba3d5062d5de0e3fdc8b162c8f77a3508872ff71dc8cf45870
    hint: the file has changed, or the hash belongs to another file: check both before you lock again
    ");
}

/// The name of a file becomes one here: it cannot lead out of the cache.
#[test]
fn names_of_files_lead_nowhere() {
    let desk = Desk::new();
    for name in [
        "demo-1.0-1/../../../../evil-py3-none-any.whl",
        "demo-1.0-py3-none/../../../../any-any.whl",
        "../demo-1.0-py3-none-any.whl",
        "demo-1.0-py3-none-any.whl/",
    ] {
        desk.change("filename", json!(name));
        desk.forget();
        insta::assert_snapshot!(desk.fails());
        assert_eq!(desk.server.targets(), [PAGE]);
    }
}

#[test]
fn a_file_need_not_be_called_as_its_url_is() {
    let desk = Desk::new();
    desk.change("url", json!("/blob/5d41402abc"));
    desk.server.route("/blob/5d41402abc", [desk.answer()]);
    desk.require(&format!("demo==1.0 --hash=sha256:{}", desk.hash()));
    desk.build().ok();
    // What was decided is kept, and the wheel comes again; so it does by a lock.
    for bucket in ["wheels-v5", "outputs-v3"] {
        fs::remove_dir_all(desk.sandbox.work().join("cache").join(bucket)).unwrap();
    }
    desk.build().ok();
    let lock = ["lock", "requirements.txt", "--cache-dir", "cache"];
    desk.sandbox.run(&lock).ok();
    desk.forget();
    desk.with(&["--locked"]).ok();
    assert_eq!(desk.server.targets(), ["/blob/5d41402abc"]);
}

#[test]
fn what_may_pass_is_asked_again() {
    let desk = Desk::new();
    for status in [408, 429, 500, 502, 503] {
        let again = Answer::status(status).header("Retry-After", "0");
        desk.server.route(FILE, [again, desk.answer()]);
        desk.forget();
        desk.build().ok();
        fs::remove_file(desk.sandbox.work().join("out.tar")).unwrap();
        assert_eq!(desk.server.targets(), [FILE, FILE, PAGE], "{status}");
    }
    let past = Answer::status(503).header("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT");
    desk.server.route(FILE, [past, desk.answer()]);
    desk.forget();
    desk.build().ok();
    fs::remove_file(desk.sandbox.work().join("out.tar")).unwrap();
    // What lasts fails, with the place; what asks for too long a wait, at once.
    desk.server.route(PAGE, [Answer::status(503)]);
    desk.forget();
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: `http://[HOST]/simple/demo/` answers with status 503
    hint: try again later, or use another index
    ");
    assert_eq!(desk.server.asked().len(), 3);
    desk.server
        .route(PAGE, [Answer::status(429).header("Retry-After", "4000")]);
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: `http://[HOST]/simple/demo/` answers with status 429
    hint: the server limits requests: try again later
    ");
    assert_eq!(desk.server.asked().len(), 1);
    for status in [401, 403] {
        desk.server.route(PAGE, [Answer::status(status)]);
        insta::assert_snapshot!(desk.fails());
        assert_eq!(desk.server.asked().len(), 1);
    }
}

/// The credentials that a request brought, decoded.
fn brought(headers: &std::collections::BTreeMap<String, String>) -> Option<String> {
    headers.get("authorization").cloned()
}

const SECRET: &str = "s3cr3t";
/// `Basic`, and `me:s3cr3t` in Base64.
const BASIC: &str = "Basic bWU6czNjcjN0";

#[test]
fn credentials_go_where_they_belong_and_nowhere_else() {
    let other = Server::start();
    for way in ["url", "variable", "netrc", "keyring"] {
        let desk = Desk::new();
        let host = desk.server.url.strip_prefix("http://").unwrap().to_owned();
        let home = desk.sandbox.work().join("home");
        fs::create_dir(&home).unwrap();
        let plain = format!("http://{host}/simple");
        let with = format!("http://me:{SECRET}@{host}/simple");
        let mut env = vec![("HOME", home.display().to_string())];
        match way {
            "url" => env.push(("PIP_INDEX_URL", with)),
            "variable" => {
                env.push(("TOKEN", SECRET.to_owned()));
                desk.require(&format!("-i http://me:${{TOKEN}}@{host}/simple\ndemo==1.0"));
            }
            "netrc" => fs::write(
                home.join(".netrc"),
                format!("machine 127.0.0.1 login me password {SECRET}\n"),
            )
            .unwrap(),
            _ => {
                use std::os::unix::fs::PermissionsExt as _;
                let program = home.join("keyring");
                let script = format!(
                    "#!/bin/sh\necho \"$@\" >>{}/asked\necho {SECRET}\n",
                    home.display()
                );
                fs::write(&program, script).unwrap();
                fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
                let path = std::env::var("PATH").unwrap();
                env.push(("PATH", format!("{}:{path}", home.display())));
                env.push(("PIP_KEYRING_PROVIDER", "subprocess".to_owned()));
                env.push(("PIP_INDEX_URL", plain.replace("//", "//me@")));
                let page = json!({ "files": [desk.file()] });
                desk.server.route(
                    PAGE,
                    [
                        Answer::status(401).header("WWW-Authenticate", "Basic realm=x"),
                        Answer::json(&page),
                    ],
                );
            }
        }
        // The file is on another host, by way of a redirect.
        let elsewhere = format!("{}/there.whl", other.url);
        desk.server.route(FILE, [Answer::redirect(&elsewhere)]);
        other.route("/there.whl", [desk.answer()]);
        let build = [
            "requirements.txt",
            "--cache-dir",
            "cache",
            "-o",
            "out.tar",
            "-v",
        ];
        let mut command = desk.sandbox.command(&build);
        let ran = Ran::new(&command.envs(env).output().unwrap(), &desk.sandbox).ok();
        let asked = desk.server.asked();
        let last = asked.iter().rfind(|one| one.target == FILE).unwrap();
        assert_eq!(brought(&last.headers).as_deref(), Some(BASIC), "{way}");
        let there = other.asked();
        // A netrc is by host, and the host is the same.
        if way != "netrc" {
            assert!(
                there.iter().all(|one| brought(&one.headers).is_none()),
                "{way}"
            );
        }
        assert!(
            !format!("{}{}", ran.stdout, ran.stderr).contains(SECRET),
            "{way}"
        );
        let found = Command::new("grep")
            .args(["-rl", "-e", SECRET, "-e", &BASIC[6..]])
            .arg(desk.sandbox.work().join("cache"))
            .arg(desk.sandbox.work().join("out.tar"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{way}");
        if way == "keyring" {
            let asked = fs::read_to_string(home.join("asked")).unwrap();
            assert_eq!(
                asked,
                format!("get http://me@{host}{PAGE} me\n").replace("me@", "****@")
            );
        }
    }
}

#[test]
fn redirects_are_followed_as_far_as_they_may() {
    let desk = Desk::new();
    for status in [301, 302, 303, 307, 308] {
        let there = Answer::status(status).header("Location", "../there/demo.whl");
        desk.server.route(FILE, [there]);
        desk.server.route("/there/demo.whl", [desk.answer()]);
        desk.forget();
        desk.build().ok();
        fs::remove_file(desk.sandbox.work().join("out.tar")).unwrap();
    }
    for to in [
        FILE,
        "ftp://host/x",
        "file:///etc/passwd",
        "http://[",
        "http://a:b@localhost:1/x",
    ] {
        desk.server.route(FILE, [Answer::redirect(to)]);
        desk.forget();
        insta::assert_snapshot!(desk.fails());
    }
    for number in 0..30 {
        let next = format!("/{}", number + 1);
        desk.server
            .route(&format!("/{number}"), [Answer::redirect(&next)]);
    }
    desk.server.route(FILE, [Answer::redirect("/0")]);
    desk.forget();
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: `http://[HOST]/19` redirects to `/20`: the redirects have no end
    ");
    assert!(desk.server.asked().len() < 25);
}

#[test]
fn pages_are_kept_as_http_says() {
    let desk = Desk::new();
    let page = || Answer::json(&json!({ "files": [desk.file()] }));
    let mut turn = 0;
    let mut again = |args: &[&str]| {
        turn += 1;
        desk.require(&format!("demo==1.0\n# {turn}"));
        desk.with(args).ok();
        desk.server.asked()
    };
    desk.server
        .route(PAGE, [page().header("Cache-Control", "max-age=600")]);
    assert_eq!(again(&[]).len(), 2);
    assert_eq!(again(&[]).len(), 0);
    desk.forget();
    let stale = |answer: Answer| {
        answer
            .header("ETag", "\"p\"")
            .header("Cache-Control", "max-age=0")
    };
    desk.server
        .route(PAGE, [stale(page()), stale(Answer::status(304))]);
    assert_eq!(again(&[]).len(), 2);
    for _ in 0..2 {
        let asked = again(&[]);
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].headers["if-none-match"], "\"p\"");
    }
    // Where all that a hash lets through is on a page, nothing newer matters.
    desk.require(&format!("demo==1.0 --hash=sha256:{}", desk.hash()));
    desk.build().ok();
    assert_eq!(desk.server.asked().len(), 0);
    desk.forget();
    desk.server
        .route(PAGE, [page().header("Cache-Control", "no-store")]);
    assert_eq!(again(&[]).len(), 2);
    assert_eq!(again(&[]).len(), 1);
}

#[test]
fn offline_nobody_is_asked() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.with(&["--offline"]).fails_with(1), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: not cached, and --offline allows no download: http://[HOST]/simple/demo/
    hint: run prebuild once without --offline
    ");
    desk.build().ok();
    desk.server.asked();
    desk.require("demo==1.0\n# again");
    desk.with(&["--offline"]).ok();
    assert_eq!(desk.server.asked().len(), 0);
    fs::remove_dir_all(desk.sandbox.work().join("cache/wheels-v5")).unwrap();
    fs::remove_file(desk.sandbox.work().join("out.tar")).unwrap();
    insta::assert_snapshot!(desk.with(&["--offline"]).fails_with(1), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: not cached, and --offline allows no download: http://[HOST]/files/demo-1.0-py3-none-any.whl
    hint: run prebuild once without --offline
    ");
    assert_eq!(desk.server.asked().len(), 0);
}

#[test]
fn what_is_no_page_is_told() {
    let desk = Desk::new();
    let json = "application/vnd.pypi.simple.v1+json";
    for answer in [
        Answer::ok("image/png", "x"),
        Answer::ok(json, "<html>"),
        Answer::ok(
            json,
            "{\"meta\": {\"api-version\": \"2.0\"}, \"files\": []}",
        ),
        Answer::ok("text/html", "<h1>Welcome</h1>"),
        Answer::status(404),
    ] {
        desk.server.route(PAGE, [answer]);
        insta::assert_snapshot!(desk.fails());
    }
    insta::assert_snapshot!(desk.with(&["-i", "http://example.invalid/simple"]).fails_with(2), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: `http://example.invalid/simple/demo/` does not use https
    hint: use https, or trust the host with --trusted-host
    ");
    insta::assert_snapshot!(desk.with(&["-i", "gopher://host/"]).fails_with(2), @r"
     builder  [BUILDER]
    error: invalid index URL `gopher://host/`
    ");
}

#[test]
fn a_name_on_two_indexes_is_told() {
    let desk = Desk::new();
    let squatter = Server::start();
    let wheel = WheelBuilder::new("demo", "1.0")
        .file("demo.py", "evil")
        .build(&desk.sandbox.work());
    let file = json!({ "filename": "demo-1.0-1-py3-none-any.whl", "url": "/evil.whl" });
    squatter.route(PAGE, [Answer::json(&json!({ "files": [file] }))]);
    squatter.route(
        "/evil.whl",
        [Answer::ok("application/zip", fs::read(wheel).unwrap())],
    );
    let extra = format!("{}/simple", squatter.url);
    let main = format!("{}/simple", desk.server.url);
    // As with pip, the better file wins, whoever has it.
    let ran = desk.with(&["--extra-index-url", &extra]).ok();
    assert!(
        ran.stderr.contains("have a project `demo`"),
        "{}",
        ran.stderr
    );
    assert!(squatter.targets().contains(&"/evil.whl".to_owned()));
    desk.forget();
    let first = [
        "-i",
        &extra,
        "--extra-index-url",
        &main,
        "--index-strategy",
        "first-index",
    ];
    let ran = desk.with(&first).ok();
    assert!(!ran.stderr.contains("have a project"), "{}", ran.stderr);
    assert_eq!(squatter.asked().len(), 0);
    desk.require(&format!("demo==1.0 --hash=sha256:{}", desk.hash()));
    desk.forget();
    let ran = desk.with(&["--extra-index-url", &extra]).ok();
    assert!(!ran.stderr.contains("have a project"), "{}", ran.stderr);
    // One index that has nothing is no failure.
    squatter.route(PAGE, [Answer::status(404)]);
    desk.forget();
    desk.with(&["--extra-index-url", &extra]).ok();
}

#[test]
fn pins_that_cannot_be_met_are_told_with_the_reason() {
    let desk = Desk::new();
    desk.change("yanked", json!("broken on Tuesdays"));
    let ran = desk.build().ok();
    assert!(
        ran.stderr
            .contains("demo 1.0 was yanked by its authors: broken on Tuesdays"),
        "{}",
        ran.stderr
    );
    fs::remove_file(desk.sandbox.work().join("out.tar")).unwrap();
    desk.change("requires-python", json!(">=4"));
    desk.forget();
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: cannot install demo==1.0 for CPython 3.11.[X] on linux-x86_64, glibc 2.36: it requires Python >=4, and this is 3.11.[X]
    ");
    desk.change("filename", json!("demo-1.0-cp311-cp311-win_amd64.whl"));
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: cannot install demo==1.0 for CPython 3.11.[X] on linux-x86_64, glibc 2.36: its wheels are for win_amd64
    hint: require a version that has a wheel for the target, or an sdist
    ");
    desk.page(&desk.file());
    for (text, code) in [
        ("demo==2.0", 1),
        ("none==1.0", 1),
        ("demo==1.0\ndemo==2.0", 2),
    ] {
        desk.require(text);
        desk.forget();
        insta::assert_snapshot!(desk.build().fails_with(code));
    }
}

#[test]
fn a_proxy_is_used_unless_it_is_not_to_be() {
    let desk = Desk::new();
    let proxy = Server::start();
    let host = "index.test";
    let page = json!({ "files": [{ "filename": NAME, "url": FILE }] });
    proxy.route(&format!("{host}:80{PAGE}"), [Answer::json(&page)]);
    proxy.route(&format!("{host}:80{FILE}"), [desk.answer()]);
    let index = format!("http://{host}/simple");
    let args = [
        "requirements.txt",
        "--cache-dir",
        "cache",
        "-i",
        &index,
        "--trusted-host",
        host,
    ];
    let run = |env: &[(&str, &str)]| {
        let mut command = desk.sandbox.command(&args);
        Ran::new(
            &command.envs(env.iter().copied()).output().unwrap(),
            &desk.sandbox,
        )
    };
    run(&[("HTTP_PROXY", &proxy.url)]).ok();
    assert_eq!(proxy.asked().len(), 2);
    desk.forget();
    insta::assert_snapshot!(run(&[("http_proxy", &proxy.url), ("NO_PROXY", "other,.test")]).fails_with(1), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: cannot download `http://index.test/simple/demo/`
      caused by: failed to lookup address information: Name or service not known
    hint: check the network; set HTTPS_PROXY to use a proxy, or --index-url to use another index
    ");
    assert_eq!(proxy.asked().len(), 0);
}

#[test]
fn an_interrupt_in_the_middle_of_a_download_leaves_nothing() {
    let desk = Desk::new();
    desk.server.route(FILE, [desk.answer().silent(500)]);
    let args = ["requirements.txt", "--cache-dir", "cache", "-o", "out.tar"];
    let mut child = desk
        .sandbox
        .command(&args)
        .env("PIP_TIMEOUT", "60")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok);
    lines.find(|line| line.contains("download")).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    let id = child.id().to_string();
    Command::new("kill")
        .args(["-s", "INT", &id])
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "not the 60 seconds of silence"
    );
    assert_eq!(names(&desk.sandbox.work()), ["cache", "requirements.txt"]);
    assert_eq!(names(&desk.sandbox.work().join("cache/tmp")), [""; 0]);
}

/// Bytes that cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut chance = Chance(7);
    let byte = |_| u8::try_from(chance.below(256)).unwrap();
    (0..length).map(byte).collect()
}

/// A disk that is full while a wheel comes: the wheel goes elsewhere, and that is told.
#[test]
fn a_full_disk_is_told() {
    let desk = Desk::new();
    let big = WheelBuilder::new("demo", "1.0")
        .file("demo.bin", noise(3 << 20))
        .build(&desk.sandbox.work());
    let bytes = fs::read(&big).unwrap();
    fs::remove_file(&big).unwrap();
    let file = json!({ "filename": NAME, "url": FILE });
    desk.page(&file);
    desk.server
        .route(FILE, [Answer::ok("application/zip", bytes)]);
    let cache = desk.sandbox.work().join("cache");
    fs::create_dir(&cache).unwrap();
    let Some(_mounted) = Mount::tmpfs(&cache, 2 << 20) else {
        return;
    };
    let ran = desk.build().ok();
    assert!(
        ran.stderr.contains("cannot write to the cache"),
        "{}",
        ran.stderr
    );
}

/// A server that breaks off a byte later each second time goes nowhere: the retries that were asked for are
/// all that there are.
#[test]
fn progress_is_against_the_best_so_far() {
    let desk = Desk::new();
    let length = desk.bytes().len().to_string();
    let broken = |after| {
        let answer = Answer::ok("application/zip", vec![b'x'; 200_000]);
        answer.header("Content-Length", &length).cut(after)
    };
    for ends in [[200, 201], [0, 1]] {
        let turns = (0..50).flat_map(|_| ends).map(broken);
        desk.server.route(FILE, turns.collect::<Vec<_>>());
        desk.forget();
        insta::assert_snapshot!(desk.fails());
        let targets = desk.server.targets();
        assert_eq!(targets, [FILE, FILE, FILE, PAGE], "{ends:?}");
    }
}

/// A byte now and then is no silence, and no end either.
#[test]
fn a_server_that_sends_next_to_nothing_is_left() {
    let pace = Duration::from_millis(20);
    let desk = Desk::new();
    desk.server.route(FILE, [desk.answer().paced(pace)]);
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: cannot download `http://[HOST]/files/demo-1.0-py3-none-any.whl`
      caused by: the server sends less than 1024 bytes a second
    hint: check the network; set HTTPS_PROXY to use a proxy, or --index-url to use another index
    ");
    assert_eq!(desk.server.targets(), [FILE, PAGE]);
    let long = json!({ "meta": { "api-version": "1.1" }, "files": [], "x": "x".repeat(10_000) });
    desk.server.route(PAGE, [Answer::json(&long).paced(pace)]);
    desk.forget();
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: cannot download `http://[HOST]/simple/demo/`
      caused by: the server sends less than 1024 bytes a second
    hint: check the network; set HTTPS_PROXY to use a proxy, or --index-url to use another index
    ");
    assert_eq!(desk.server.targets(), [PAGE]);
}

/// What a server sends names no file of this machine, and nothing that is not downloaded over HTTP.
#[test]
fn links_stay_with_what_a_page_came_over() {
    let desk = Desk::new();
    let html = |text: &str| desk.server.route(PAGE, [Answer::ok("text/html", text)]);
    let own = format!("file://{}", desk.wheel.display());
    let folder = format!("file://{}/", desk.sandbox.links().display());
    let page = format!("{}{PAGE}", desk.server.url);
    let ignored = |count: &str, why: &str| format!("warning: {page}: ignored {count}: {why}\n");
    let here = "only a page of this machine links to its files";
    let http = "files are downloaded over HTTP and HTTPS";
    let one = |text: &str| text.to_owned();
    for (text, warning) in [
        (
            format!("<a href='{own}'>x</a>"),
            ignored("1 `file:` link", here),
        ),
        (
            format!("<base href='{folder}'><a href={NAME}>x</a><a href=demo-1.0.zip>x</a>"),
            ignored("2 `file:` links", here),
        ),
        (
            format!("<a href='FILE:{}'>x</a>", desk.wheel.display()),
            ignored("1 `file:` link", here),
        ),
        (
            one("<a href='ftp://127.0.0.1/demo-1.0.zip'>x</a>"),
            ignored("1 `ftp:` link", http),
        ),
        (
            one("<a href='data:application/zip,demo-1.0.zip'>x</a>"),
            ignored("1 `data:` link", http),
        ),
    ] {
        html(&text);
        desk.forget();
        let ran = desk.build();
        insta::assert_snapshot!(ran.fails_with(1));
        assert!(ran.stderr.contains(&warning), "{warning}{}", ran.stderr);
        // And as often as it is asked.
        let ran = desk.with(&["-q"]);
        insta::assert_snapshot!(ran.fails_with(1));
        assert!(ran.stderr.contains(&warning), "{warning}{}", ran.stderr);
    }
    // As JSON too; and what else is there is taken.
    desk.change("url", json!(own));
    desk.forget();
    let ran = desk.build();
    insta::assert_snapshot!(ran.fails_with(1), @r"
     builder  [BUILDER]
    warning: http://[HOST]/simple/demo/: ignored 1 `file:` link: only a page of this machine links to its files
    error: requirements.txt:1:1: cannot install demo==1.0 for CPython 3.11.[X] on linux-x86_64, glibc 2.36: no index has it
    hint: check the name and the index: the URL of an index usually ends in `/simple`
    ");
    assert!(
        ran.stderr.contains(&ignored("1 `file:` link", here)),
        "{}",
        ran.stderr
    );
    html(&format!(
        "<a href='ftp://127.0.0.1/{NAME}'>x</a><a href='mailto:a@b'>x</a><a href='../..{FILE}'>x</a>"
    ));
    desk.forget();
    let ran = desk.build().ok();
    assert!(
        ran.stderr.contains(&ignored("1 `ftp:` link", http)),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("mailto"), "{}", ran.stderr);
    // A page of this machine may have links to its files.
    let links = desk
        .sandbox
        .write("links.html", format!("<a href='{own}'>x</a>"));
    desk.forget();
    desk.with(&["--no-index", "-f", links.to_str().unwrap()])
        .ok();
    // A redirect is a link as well.
    fs::remove_file(desk.sandbox.work().join("out.tar")).unwrap();
    desk.page(&desk.file());
    desk.server.route(FILE, [Answer::redirect(&own)]);
    desk.forget();
    insta::assert_snapshot!(desk.fails(), @r"
     builder  [BUILDER]
    download  1 wheel
    error: requirements.txt:1:1: the download for `demo==1.0` failed
      caused by: `http://[HOST]/files/demo-1.0-py3-none-any.whl` redirects to `file://[LINKS]/demo-1.0-py3-none-any.whl`: that is another scheme
    ");
}
