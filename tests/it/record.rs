//! Records how pips fail, by running them as prebuild does: `testdata/pip`.
//!
//! `cargo test --test it -- --ignored record_pip` writes the recordings anew, or those alone whose name
//! contains `RECORD`; `record_packages` those of projects of `PyPI`, in containers. Then
//! `INSTA_UPDATE=always cargo test --lib explain` writes their explanations.

mod cases;
mod packages;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use prebuild::cache::{Cache, Place};
use prebuild::event::{Cancel, Stream};
use prebuild::interpreter::Interpreter;
use prebuild::pip::{Driver, Error, Options};
use prebuild::plan::{Form, Item};
use prebuild::requirements::{Context, Input, Requirements};
use prebuild::runner::{self, Exec, Identity, Local, Runner, Session};
use prebuild::tree::{Node, RelPath, Tree};

use crate::support::failing::{FAILING, backends, download};
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

impl Recorded {
    /// Without what is of this machine.
    fn scrubbed(self, scrubbed: &[(String, &str)]) -> Self {
        let scrub = |text: &String| {
            let scrubbed = scrubbed.iter().filter(|(from, _)| !from.is_empty());
            scrubbed.fold(text.clone(), |text, (from, to)| text.replace(from, to))
        };
        Self {
            command: scrub(&self.command),
            lines: self.lines.iter().map(scrub).collect(),
            log: scrub(&self.log),
        }
    }

    /// Writes it.
    fn write(&self, stem: &str) {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pip");
        let mut text = format!("# {}\n", self.command);
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        let mut log = String::new();
        for line in shortened(&self.log) {
            // The time, and what follows it.
            let rest = line.split_once(' ').map_or("", |(_, rest)| rest);
            writeln!(log, "2024-05-06T07:08:09,012 {rest}").unwrap();
        }
        fs::write(target.join(format!("{stem}.txt")), without_ports(text)).unwrap();
        fs::write(target.join(format!("{stem}.log")), without_ports(log)).unwrap();
    }
}

/// The lines of a log, without the middle of each long run of links: a project has hundreds of files.
fn shortened(log: &str) -> Vec<&str> {
    const ENDS: usize = 10;
    let is_link = |line: &str| {
        let text = line
            .split_once(' ')
            .map_or("", |(_, rest)| rest.trim_start());
        text.starts_with("Found link ")
            || text.starts_with("Skipping link: ")
            || text.starts_with("Link requires a different Python ")
    };
    let lines: Vec<&str> = log.lines().collect();
    let runs = lines.chunk_by(|one, other| is_link(one) == is_link(other));
    runs.flat_map(|run| {
        let is_long = is_link(run[0]) && run.len() > 2 * ENDS;
        let (start, end) = if is_long {
            (&run[..ENDS], &run[run.len() - ENDS..])
        } else {
            (run, &run[..0])
        };
        start.iter().chain(end).copied()
    })
    .collect()
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
        download(python, &links, &["--no-deps", "setuptools==59.8.0"]);
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

    /// The index's host and port.
    fn host(&self) -> &str {
        self.server.url.trim_start_matches("http://")
    }

    /// A `PATH` without programs.
    fn bin(&self) -> String {
        self.folder.path().join("bin").display().to_string()
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

    /// What a pip on this machine wrote about a case.
    fn record(&self, python: &Path, case: &Case) -> Option<Recorded> {
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
        let at = |path: &Path| path.display().to_string();
        let scratch = self.make("scratch");
        let runner = Local::new(python.to_str().unwrap(), &scratch, env.clone());
        let recorded = record(&runner, case, &env, self.folder.path())?;
        let venv = python.ancestors().nth(2).unwrap();
        let real = fs::canonicalize(python).unwrap();
        Some(recorded.scrubbed(&[
            (at(venv), "/opt/python"),
            (at(real.ancestors().nth(2).unwrap()), "/usr/local"),
            (at(&scratch), ""),
            (at(self.folder.path()), ""),
            (self.server.url.clone(), "https://index.example"),
        ]))
    }
}

/// Runs the pip of a builder on a case as prebuild does; returns what it wrote, or nothing if it did not
/// fail. `folder` is for what that needs.
fn record(
    runner: &dyn Runner,
    case: &Case,
    env: &BTreeMap<String, String>,
    folder: &Path,
) -> Option<Recorded> {
    let work = folder.join("work");
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("requirements.txt"), &case.requirements).unwrap();
    fs::write(work.join("constraints.txt"), "alpha==9.0\n").unwrap();
    let cancel = Cancel::new();
    let place = Place::temporary(folder.join("cache"));
    let cache = Cache::open(&place, &|_| {}, &cancel).unwrap();
    let mut session = runner.open(&cancel).unwrap();
    let interpreter = Interpreter::ask(&mut *session, &[], env.clone(), &cache).unwrap();
    let recorded: Arc<Mutex<Recorded>> = Arc::default();
    let mut session = Recording {
        session,
        recorded: Arc::clone(&recorded),
    };
    let options = Options {
        env: env.clone(),
        args: case.args.clone(),
        ..Options::default()
    };
    let context = Context { env, cwd: &work };
    let input = [Input::Path(work.join("requirements.txt"))];
    let requirements = match Requirements::read(&input, &[], &context) {
        Ok(requirements) => requirements,
        Err(error) => {
            eprintln!("{} is refused before pip runs: {error}", case.name);
            return None;
        }
    };
    let driver = Driver::new(&interpreter, &options, session.inherits()).unwrap();
    let ended = run(&driver, &mut session, &requirements);
    if !matches!(ended, Err(Error::Failed { .. })) {
        eprintln!("{} with pip {}: {ended:?}", case.name, driver.version());
        return None;
    }
    let root = session.locate("x").trim_end_matches("/x").to_owned();
    let recorded = std::mem::take(&mut *recorded.lock().unwrap());
    Some(recorded.scrubbed(&[(root, "")]))
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

/// Text without the addresses of servers on this machine.
fn without_ports(mut text: String) -> String {
    for port in ports(&text) {
        text = text.replace(&format!("127.0.0.1:{port}"), "index.example");
        text = text.replace(&format!("port={port}"), "port=80");
    }
    text.replace("127.0.0.1", "index.example")
}

/// The ports of servers on loopback that a text names.
fn ports(text: &str) -> Vec<String> {
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
    WheelBuilder::new("plainly", "1.0")
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
    WheelBuilder::new("modern", "1.0")
        .metadata("Requires-Python: >=3.99")
        .build(links);
    WheelBuilder::new("misnamed", "1.0")
        .stem("other-1.0")
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

/// Whether the case is to be recorded: its name contains `RECORD`.
fn is_wanted(stem: &str) -> bool {
    let wanted = std::env::var("RECORD").unwrap_or_default();
    stem.contains(&wanted)
}

/// `26.3` of `26.3.1`.
fn minor(pip: &str) -> String {
    pip.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Whether a pip takes what others refuse.
fn is_fine(case: &Case, pip: &str) -> bool {
    let is_old = ["20.3", "22.3", "23.2"].contains(&pip);
    match case.name {
        "yanked" => pip == "20.3",
        name => {
            is_old
                && (name.starts_with("invalid-metadata")
                    || name.starts_with("wants-old-setuptools"))
        }
    }
}

/// Records all cases of a pip; returns those that do not fail.
fn record_all(pip: &str, python: &str) -> Vec<String> {
    let pythons = pyenv();
    let (_, python) = pythons
        .iter()
        .find(|(name, _)| name.starts_with(python))
        .unwrap();
    let python = with_pip_of(python, pip);
    let world = World::new(&python);
    let pip = minor(pip);
    let mut fine = Vec::new();
    for case in cases::cases(&world) {
        let stem = format!("pip-{pip}--{}", case.name);
        if !is_wanted(&stem) || is_fine(&case, &pip) {
            continue;
        }
        match world.record(&python, &case) {
            Some(recorded) => recorded.write(&stem),
            None => fine.push(stem),
        }
    }
    fine
}

#[test]
#[ignore = "writes the recordings in testdata/pip"]
fn record_pip() {
    let (next, fine) = (Mutex::new(PIPS.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let pip = next.lock().unwrap().next();
                    let Some((pip, python)) = pip else { break };
                    let did_not_fail = record_all(pip, python);
                    fine.lock().unwrap().extend(did_not_fail);
                }
            });
        }
    });
    assert_eq!(*fine.lock().unwrap(), [""; 0]);
}
