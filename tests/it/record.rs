//! Records how pips fail, by running them as prebuild does: `testdata/pip`.
//!
//! `cargo test --test it -- --ignored record_pip` writes the recordings anew, or those alone whose name
//! contains `RECORD`. Then `INSTA_UPDATE=always cargo test --lib explain` writes their explanations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use prebuild::cache::{Cache, Place};
use prebuild::event::{Cancel, Stream};
use prebuild::interpreter::Interpreter;
use prebuild::pip::{Driver, Error, Options};
use prebuild::plan::{Form, Item};
use prebuild::requirements::{Context, Input, Requirements};
use prebuild::runner::{self, Exec, Identity, Local, Runner as _, Session};
use prebuild::tree::{Node, RelPath, Tree};

use crate::support::failing::{FAILING, backends};
use crate::support::index::{self, Behaviour};
use crate::support::python::{pyenv, with_pip_of};
use crate::support::server::{Answer, Server};
use crate::support::wheel::{WheelBuilder, sdist};

/// The pips, each with the newest `CPython` that it runs on here.
const PIPS: [(&str, &str); 6] = [
    ("20.3.4", "3.9."),
    ("22.3.1", "3.11."),
    ("23.2.1", "3.11."),
    ("24.2", "3.12."),
    ("25.1.1", "3.13."),
    ("26.3", "3.13."),
];

/// What a pip is given.
struct Case {
    name: &'static str,
    requirements: String,
    /// In place of the index.
    index: Option<String>,
    /// More of the caller's environment.
    env: Vec<(&'static str, String)>,
    args: Vec<String>,
}

impl Case {
    fn new(name: &'static str, requirements: impl Into<String>) -> Self {
        Self {
            name,
            requirements: requirements.into(),
            index: None,
            env: Vec::new(),
            args: Vec::new(),
        }
    }

    fn index(mut self, url: impl Into<String>) -> Self {
        self.index = Some(url.into());
        self
    }

    fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    fn args(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }
}

/// What the last pip wrote that ran.
#[derive(Default)]
struct Recorded {
    command: String,
    lines: Vec<String>,
    log: String,
}

/// A session that records pip.
struct Recording {
    session: Box<dyn Session>,
    recorded: Arc<Mutex<Recorded>>,
}

impl Session for Recording {
    fn identity(&self) -> &Identity {
        self.session.identity()
    }

    fn python(&self) -> &str {
        self.session.python()
    }

    fn locate(&self, inside: &str) -> String {
        self.session.locate(inside)
    }

    fn inherits(&self) -> bool {
        self.session.inherits()
    }

    fn put(&mut self, inside: &str, tree: &Tree) -> Result<(), runner::Error> {
        self.session.put(inside, tree)
    }

    fn run(
        &mut self,
        exec: &Exec,
        input: &[u8],
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<(), runner::Error> {
        *self.recorded.lock().unwrap() = Recorded {
            command: exec.to_string(),
            ..Recorded::default()
        };
        let recorded = &self.recorded;
        self.session.run(exec, input, &mut |stream, line| {
            recorded.lock().unwrap().lines.push(line.to_owned());
            on_line(stream, line);
        })
    }

    fn get(&mut self, inside: &str) -> Result<Tree, runner::Error> {
        let tree = self.session.get(inside)?;
        if let Some(entry) = tree.get(&RelPath::new("pip.log").unwrap())
            && let Node::File { content, .. } = &entry.node
        {
            let text = content.read().unwrap();
            self.recorded.lock().unwrap().log = String::from_utf8_lossy(&text).into_owned();
        }
        Ok(tree)
    }
}

/// Where everything lies, and an index that has the cases' distributions.
struct World {
    folder: tempfile::TempDir,
    server: Server,
}

impl World {
    fn new(python: &Path) -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            server: Server::start(),
        };
        let links = world.make("links");
        fs::create_dir(world.folder.path().join("bin")).unwrap();
        backends(python, &links);
        for failing in FAILING {
            failing.pack(&world.folder.path().join("sources"), &links);
        }
        distributions(&links, &world.folder.path().join("sources"));
        let mut pages: BTreeMap<String, String> = BTreeMap::new();
        for file in fs::read_dir(&links).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let project = project_of(&name);
            let attributes = attributes(&name);
            let page = pages.entry(project).or_default();
            writeln!(page, "<a href=\"/files/{name}\"{attributes}>{name}</a>").unwrap();
            let body = fs::read(file.path()).unwrap();
            let answer = Answer::ok("application/octet-stream", body);
            world.server.route(&format!("/files/{name}"), [answer]);
        }
        for (project, page) in pages {
            let page = Answer::ok("text/html", page);
            world.server.route(&format!("/simple/{project}/"), [page]);
        }
        world.broken();
        world
    }

    fn make(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn index(&self) -> String {
        format!("{}/simple/", self.server.url)
    }

    /// Pages whose files cannot be had.
    fn broken(&self) {
        for (project, answer) in [
            ("gone", Answer::status(404)),
            ("locked", Answer::status(401)),
            ("failing", Answer::status(500)),
            (
                "cut",
                Answer::ok("application/octet-stream", vec![b'x'; 1000]).cut(10),
            ),
            (
                "nonsense",
                Answer::ok("application/octet-stream", "not a zip"),
            ),
        ] {
            let file = format!("{project}-1.0-py3-none-any.whl");
            let page = Answer::ok("text/html", format!("<a href=\"/files/{file}\">{file}</a>"));
            self.server.route(&format!("/simple/{project}/"), [page]);
            self.server.route(&format!("/files/{file}"), [answer]);
        }
    }

    /// Runs the pip of `python` on a case as prebuild does; returns what it wrote.
    fn record(&self, python: &Path, case: &Case) -> (Recorded, Vec<(String, &'static str)>) {
        let work = self.make("work");
        fs::write(work.join("requirements.txt"), &case.requirements).unwrap();
        let mut env: BTreeMap<String, String> = BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("HOME".to_owned(), self.make("home").display().to_string()),
            ("PIP_CONFIG_FILE".to_owned(), "/dev/null".to_owned()),
            ("PIP_RETRIES".to_owned(), "0".to_owned()),
            ("PIP_NO_CACHE_DIR".to_owned(), "1".to_owned()),
        ]);
        let index = case.index.clone().unwrap_or_else(|| self.index());
        env.insert("PIP_INDEX_URL".to_owned(), index);
        for (name, value) in &case.env {
            env.insert((*name).to_owned(), value.clone());
        }
        let cancel = Cancel::new();
        let scratch = tempfile::tempdir().unwrap();
        let runner = Local::new(python.to_str().unwrap(), scratch.path(), env.clone());
        let recorded: Arc<Mutex<Recorded>> = Arc::default();
        let mut session = Recording {
            session: runner.open(&cancel).unwrap(),
            recorded: Arc::clone(&recorded),
        };
        let cache = Cache::open(&Place::temporary(scratch.path()), &|_| {}, &cancel).unwrap();
        let interpreter = Interpreter::ask(&mut session, &[], env.clone(), &cache).unwrap();
        let options = Options {
            env: env.clone(),
            args: case.args.clone(),
            ..Options::default()
        };
        let context = Context {
            env: &env,
            cwd: &work,
        };
        let input = [Input::Path(work.join("requirements.txt"))];
        let requirements = Requirements::read(&input, &[], &context).unwrap();
        let driver = Driver::new(&interpreter, &options, true).unwrap();
        let ended = run(&driver, &mut session, &requirements);
        assert!(
            matches!(ended, Err(Error::Failed { .. })),
            "{} with pip {}: {ended:?}",
            case.name,
            driver.version()
        );
        let at = |path: &Path| path.display().to_string();
        let venv = python.ancestors().nth(2).unwrap();
        let real = fs::canonicalize(python).unwrap();
        let scrubbed = vec![
            (session.locate("x").trim_end_matches("/x").to_owned(), ""),
            (at(venv), "/opt/python"),
            (at(real.ancestors().nth(2).unwrap()), "/usr/local"),
            (at(self.folder.path()), ""),
            (at(scratch.path()), ""),
            (self.server.url.clone(), "https://index.example"),
        ];
        drop(session);
        let recorded = std::mem::take(&mut *recorded.lock().unwrap());
        (recorded, scrubbed)
    }
}

/// As prebuild does: pip resolves and then builds, where it can say what it would install.
fn run(
    driver: &Driver<'_>,
    session: &mut dyn Session,
    requirements: &Requirements,
) -> Result<(), Error> {
    if !driver.can_resolve() {
        return driver.install(session, requirements, &|_| {}).map(drop);
    }
    let resolution = driver.resolve(session, requirements, &|_| {})?;
    let is_built = |item: &&Item| item.form == Form::Sdist;
    let built: Vec<&Item> = resolution.items.iter().filter(is_built).collect();
    driver
        .wheels(session, requirements, &built, &|_| {})
        .map(drop)
}

/// Text without what is of this machine and this moment.
fn scrub(text: &str, scrubbed: &[(String, &'static str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in scrubbed {
        text = text.replace(from.as_str(), to);
    }
    for (_, url) in scrubbed.iter().filter(|(from, _)| from.starts_with("http")) {
        assert!(!url.is_empty());
    }
    let ports = regex_ports(&text);
    for port in ports {
        text = text.replace(&format!("127.0.0.1:{port}"), "index.example");
        text = text.replace(&format!("port={port}"), "port=80");
    }
    text.replace("127.0.0.1", "index.example")
}

/// The ports of servers on loopback that a text names.
fn regex_ports(text: &str) -> Vec<String> {
    let mut ports: Vec<String> = ["127.0.0.1:", "port="]
        .iter()
        .flat_map(|before| text.split(before).skip(1))
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect())
        .filter(|port: &String| !port.is_empty())
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// The project of a file, normalised.
fn project_of(file: &str) -> String {
    let end = if file.ends_with(".whl") {
        file.find('-')
    } else {
        file.rfind('-')
    };
    file[..end.unwrap()].to_lowercase().replace('_', "-")
}

/// What the index says of a file.
fn attributes(file: &str) -> &'static str {
    match file {
        "newer-2.0-py3-none-any.whl"
        | "partly-2.0-py3-none-any.whl"
        | "side-2.0-py3-none-any.whl" => " data-requires-python=\"&gt;=3.99\"",
        "newer-1.0-py3-none-any.whl" => " data-requires-python=\"&gt;=3.98\"",
        "withdrawn-1.0-py3-none-any.whl" | "side-0.9-py3-none-any.whl" => {
            " data-yanked=\"it is broken\""
        }
        _ => "",
    }
}

/// Distributions that can be had, and that cannot be installed.
fn distributions(links: &Path, sources: &Path) {
    for version in ["1.0", "1.1", "1.2"] {
        WheelBuilder::new("alpha", version).build(links);
    }
    WheelBuilder::new("beta", "1.0")
        .requires("alpha<1.1")
        .build(links);
    WheelBuilder::new("gamma", "1.0")
        .requires("alpha>=1.2")
        .build(links);
    WheelBuilder::new("delta", "1.0")
        .requires("no-such-project>=1")
        .build(links);
    WheelBuilder::new("needs-plain", "1.0")
        .requires("wants-unknown-header")
        .build(links);
    WheelBuilder::new("preview", "2.0rc1").build(links);
    for name in ["newer", "partly", "side"] {
        for version in ["1.0", "2.0"] {
            WheelBuilder::new(name, version).build(links);
        }
    }
    // What pip says of these has nothing to do with a version that nobody has.
    WheelBuilder::new("side", "0.9").build(links);
    WheelBuilder::new("side", "1.5")
        .platform("cp27-cp27m-win32")
        .build(links);
    WheelBuilder::new("withdrawn", "1.0").build(links);
    WheelBuilder::new("elsewhere", "1.0")
        .platform("cp39-cp39-win_amd64")
        .build(links);
    WheelBuilder::new("invalid", "1.0")
        .requires("alpha (>=0.9.*)")
        .build(links);
    let folder = sources.join("impostor");
    fs::create_dir_all(&folder).unwrap();
    let setup = "from setuptools import setup\nsetup(name='impostor', version='2.0')\n";
    fs::write(folder.join("setup.py"), setup).unwrap();
    sdist(links, &folder, "impostor");
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases(world: &World) -> Vec<Case> {
    let hash = "0".repeat(64);
    let nobody = index::nowhere();
    let host = world.server.url.trim_start_matches("http://").to_owned();
    let project = world.make("work/project");
    fs::write(
        project.join("setup.py"),
        "from setuptools import setup\nsetup(name='project')\n",
    )
    .unwrap();
    world.make("work/empty");
    let mut cases: Vec<Case> = FAILING
        .iter()
        .map(|failing| Case::new(failing.name, format!("alpha==1.0\n{}\n", failing.name)))
        .collect();
    for case in &mut cases {
        // This machine has a compiler and more; what a case wants is not on this path.
        if ![
            "wants-header",
            "wants-unknown-header",
            "wants-library",
            "wants-better-code",
        ]
        .contains(&case.name)
        {
            let bin = world.folder.path().join("bin").display().to_string();
            case.env.push(("PATH", bin));
        }
    }
    cases.extend([
        Case::new("wants-pkg-config-module", "wants-pkg-config\n"),
        Case::new("transitive-build", "needs-plain\n"),
        Case::new("unknown-name", "alpha\nno-such-project==1.0\n"),
        Case::new("no-such-version", "alpha==9.0\n"),
        Case::new("no-such-version-side-remarks", "side==9.0\n"),
        Case::new("no-such-version-below", "beta\nside<0.5\n"),
        Case::new("pre-release", "preview\n"),
        Case::new("transitive-unknown", "alpha\ndelta\n"),
        Case::new("newer-python", "newer\n"),
        Case::new("newer-python-partly", "partly==2.0\n"),
        Case::new("other-platform", "elsewhere\n"),
        Case::new("yanked", "withdrawn>=1.0\n"),
        Case::new("invalid-metadata", "invalid==1.0\n"),
        Case::new("invalid-metadata-any", "alpha\ninvalid\n"),
        Case::new("only-binary", "wants-compiler\n").args(&["--only-binary=:all:"]),
        Case::new("sdist-wrong-version", "impostor==1.0\n"),
        Case::new("conflict", "beta\ngamma\n"),
        Case::new("conflict-pin", "beta\nalpha==1.2\n"),
        Case::new(
            "hash-mismatch",
            format!("alpha==1.0 --hash=sha256:{hash}\n"),
        ),
        Case::new(
            "hash-missing",
            format!("alpha==1.0 --hash=sha256:{hash}\nbeta==1.0\n"),
        ),
        Case::new(
            "hash-unpinned",
            format!("alpha>=1.0 --hash=sha256:{hash}\n"),
        ),
        Case::new(
            "hash-directory",
            format!("# exported\nalpha==1.0 --hash=sha256:{hash}\n-e ./project\n"),
        ),
        Case::new(
            "hash-repository",
            format!("alpha==1.0 --hash=sha256:{hash}\nrepo @ git+file:///no/repository@main\n"),
        ),
        Case::new("folder-empty", "alpha\n./empty\n"),
        Case::new(
            "git-no-repository",
            "alpha\nrepo @ git+file:///no/repository@main\n",
        ),
        Case::new("git-missing", "repo @ git+https://git.example/repo@main\n").env(
            "PATH",
            world.folder.path().join("bin").display().to_string(),
        ),
        Case::new(
            "git-unreachable",
            format!("repo @ git+http://{host}/repo@main\n"),
        ),
        Case::new("file-404", "gone\n"),
        Case::new("file-401", "locked\n"),
        Case::new("file-500", "failing\n"),
        Case::new("file-truncated", "cut\n"),
        Case::new("wheel-not-a-zip", "nonsense\n"),
        Case::new(
            "url-404",
            format!("alpha @ http://{host}/nothing-1.0-py3-none-any.whl\n"),
        ),
        Case::new(
            "url-refused",
            format!("alpha @ {nobody}/alpha-1.0-py3-none-any.whl\n"),
        ),
        Case::new("index-refused", "alpha\n").index(nobody.clone()),
        Case::new("index-dns", "alpha\n").index("http://index.invalid/simple/"),
        Case::new("index-proxy", "alpha\n").env("PIP_PROXY", nobody.replace("/simple", "")),
        Case::new("index-tls", "alpha\n").index(format!("https://{host}/simple/")),
        Case::new("index-timeout", "alpha\n")
            .index(index::start(Behaviour::Silent))
            .env("PIP_TIMEOUT", "1"),
    ]);
    for (name, status) in [
        ("index-401", 401),
        ("index-403", 403),
        ("index-404", 404),
        ("index-500", 500),
        ("index-503", 503),
    ] {
        cases.push(Case::new(name, "alpha\n").index(index::start(Behaviour::Status(status))));
    }
    cases
}

#[test]
#[ignore = "writes the recordings in testdata/pip"]
fn record_pip() {
    let wanted = std::env::var("RECORD").unwrap_or_default();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pip");
    let pythons = pyenv();
    for (pip, python) in PIPS {
        let (_, python) = pythons
            .iter()
            .find(|(name, _)| name.starts_with(python))
            .unwrap();
        let python = with_pip_of(python, pip);
        let world = World::new(&python);
        let minor = pip.split('.').take(2).collect::<Vec<_>>().join(".");
        for case in cases(&world) {
            let stem = format!("pip-{minor}--{}", case.name);
            // These pips accept what later ones refuse.
            let is_fine = case.name.starts_with("invalid-metadata")
                && ["20.3", "22.3", "23.2"].contains(&&*minor);
            if !stem.contains(&wanted) || is_fine {
                continue;
            }
            let (recorded, scrubbed) = world.record(&python, &case);
            let mut text = format!("# {}\n", recorded.command);
            for line in &recorded.lines {
                text.push_str(line);
                text.push('\n');
            }
            let mut log = String::new();
            for line in recorded.log.lines() {
                // The time, and what follows it.
                let rest = line.split_once(' ').map_or("", |(_, rest)| rest);
                writeln!(log, "2024-05-06T07:08:09,012 {rest}").unwrap();
            }
            fs::write(target.join(format!("{stem}.txt")), scrub(&text, &scrubbed)).unwrap();
            fs::write(target.join(format!("{stem}.log")), scrub(&log, &scrubbed)).unwrap();
        }
    }
}
