//! Who decides what is installed: a plan, the lock file, the cache, the requirements, pip, or what pip downloads; with
//! a builder that is a script, so that every question to pip is seen.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use prebuild::cache::Place;
use prebuild::digest::Digest;
use prebuild::error::{Diagnosis as _, Error, Kind};
use prebuild::event::{Cancel, Event};
use prebuild::index::Strategy;
use prebuild::lock::{Recorded, text};
use prebuild::pipeline::{self, LockUse, Request, Trust};
use prebuild::plan::{DecidedBy, Plan};
use prebuild::requirements::Input;
use prebuild::target::Target;
use prebuild::tree::Tree;
use prebuild::{Format, Output, build, build_planned};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::fake::FakeRunner;
use crate::support::wheel::WheelBuilder;

/// A folder with wheels, a cache, and a place for outputs.
struct Case {
    folder: TempDir,
    request: Request,
    /// Why pip was asked.
    why: Mutex<Vec<String>>,
}

impl Case {
    /// Requirements that are looked for among the links alone.
    fn new(requirements: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("links")).unwrap();
        let text = format!(
            "--no-index\n--find-links {}/links\n{requirements}",
            path.display()
        );
        let mut request =
            Request::new(vec![Input::Stdin(text.into_bytes())], path, BTreeMap::new());
        request.how.cache = Place::kept(path.join("cache"), path);
        request.outputs.files = vec![format!("{}/deps.tar", path.display()).parse().unwrap()];
        Self {
            folder,
            request,
            why: Mutex::default(),
        }
    }

    fn links(&self) -> std::path::PathBuf {
        self.folder.path().join("links")
    }

    fn plan(&self, runner: &FakeRunner) -> Result<(Plan, Recorded), Box<Error>> {
        let observe = |event: &Event<'_>| {
            if let Event::Asking(why) = event {
                self.why.lock().unwrap().push((*why).to_owned());
            }
        };
        let Request {
            what,
            destination,
            how,
            ..
        } = &self.request;
        pipeline::plan(what, destination, how, runner, &observe, &Cancel::new()).map_err(Box::new)
    }

    /// Who decided, what was decided, and why pip was asked.
    fn decided(&self, runner: &FakeRunner) -> (DecidedBy, Vec<String>, Vec<String>) {
        let (plan, _) = self.plan(runner).unwrap();
        let items = plan.distributions.iter();
        let items = items.map(|item| format!("{} {}", item.name, item.version));
        let why = std::mem::take(&mut *self.why.lock().unwrap());
        (plan.decided_by, items.collect(), why)
    }
}

/// A wheel among the links; returns its hash as requirements have it.
fn wheel(folder: &Path, name: &str, version: &str) -> String {
    let path = WheelBuilder::new(name, version)
        .file(&format!("{name}.py"), "")
        .build(folder);
    Digest::of(&fs::read(path).unwrap()).to_string()
}

/// pip's report that it would install this wheel.
fn report(folder: &Path, name: &str, version: &str) -> Value {
    let path = folder.join(format!("{name}-{version}-py3-none-any.whl"));
    let digest = Digest::of(&fs::read(&path).unwrap()).hex();
    json!({
        "version": "1", "pip_version": "24.0",
        "install": [{
            "download_info": {
                "url": format!("file://{}", path.display()),
                "archive_info": { "hashes": { "sha256": digest } },
            },
            "requested": true,
            "metadata": { "name": name, "version": version },
        }],
    })
}

fn one(version: &str) -> Vec<String> {
    vec![format!("one {version}")]
}

#[test]
fn pinned_requirements_decide_and_pip_is_not_asked() {
    let case = Case::new("one==1.0\n");
    wheel(&case.links(), "one", "1.0");
    for runner in [FakeRunner::new(), FakeRunner::reporting(Value::Null)] {
        let decided = case.decided(&runner);
        assert_eq!(decided, (DecidedBy::Requirements, one("1.0"), vec![]));
        assert_eq!(runner.asked(), [""; 0]);
    }
}

#[test]
fn pip_decides_what_requirements_leave_open() {
    let case = Case::new("one\n");
    wheel(&case.links(), "one", "1.0");
    let runner = FakeRunner::reporting(report(&case.links(), "one", "1.0"));
    let why = vec!["`one` is not pinned".to_owned()];
    assert_eq!(case.decided(&runner), (DecidedBy::Pip, one("1.0"), why));
    assert_eq!(runner.asked(), ["install --dry-run"]);
}

/// A decision that nothing can change is not made again, and keeps who made it: here the requirements, whose
/// wheel is gone by then, and pip, which is asked since only sources match the hash.
#[test]
fn the_cache_knows_what_was_decided_and_by_whom() {
    let mut case = Case::new("");
    let hash = wheel(&case.links(), "one", "1.0");
    let hashed = format!("--no-index\n--find-links links\none==1.0 --hash={hash}\n");
    case.request.what.inputs = vec![Input::Stdin(hashed.into_bytes())];
    let runner = FakeRunner::reporting(Value::Null);
    let first = case.decided(&runner);
    assert_eq!(first, (DecidedBy::Requirements, one("1.0"), vec![]));
    fs::remove_file(case.links().join("one-1.0-py3-none-any.whl")).unwrap();
    assert_eq!(case.decided(&runner), first);
    assert_eq!(runner.asked(), [""; 0]);

    wheel(&case.links(), "one", "1.0");
    fs::write(case.links().join("two-1.0.tar.gz"), "sources").unwrap();
    let hash = Digest::of(b"sources");
    let hashed = format!("--no-index\n--find-links links\ntwo==1.0 --hash={hash}\n");
    case.request.what.inputs = vec![Input::Stdin(hashed.into_bytes())];
    let runner = FakeRunner::reporting(report(&case.links(), "one", "1.0"));
    let why = vec!["-:3:1: `two` must be built from source".to_owned()];
    assert_eq!(case.decided(&runner), (DecidedBy::Pip, one("1.0"), why));
    assert_eq!(case.decided(&runner), (DecidedBy::Pip, one("1.0"), vec![]));
    assert_eq!(runner.asked(), ["install --dry-run"]);
}

/// An up-to-date lock file decides before the cache and pip do; one that is out of date only says which versions
/// pip should prefer.
#[test]
fn a_lock_file_decides_while_it_is_up_to_date() {
    let mut case = Case::new("one\n");
    wheel(&case.links(), "one", "1.0");
    let runner = FakeRunner::reporting(report(&case.links(), "one", "1.0"));
    let (plan, recorded) = case.plan(&runner).unwrap();
    let lock = text(&plan, &recorded, case.folder.path()).unwrap();
    fs::write(case.folder.path().join("pylock.toml"), lock).unwrap();
    case.request.what.lock = Some(LockUse {
        file: "pylock.toml".into(),
        trust: Trust::Preferred,
    });
    case.why.lock().unwrap().clear();

    let runner = FakeRunner::reporting(Value::Null);
    assert_eq!(case.decided(&runner), (DecidedBy::Lock, one("1.0"), vec![]));
    assert_eq!(runner.asked(), [""; 0]);

    wheel(&case.links(), "two", "1.0");
    let Input::Stdin(text) = &mut case.request.what.inputs[0] else {
        unreachable!("it was made so")
    };
    text.extend_from_slice(b"two\n");
    let mut report_of_both = report(&case.links(), "one", "1.0");
    let two = report(&case.links(), "two", "1.0")["install"][0].clone();
    report_of_both["install"].as_array_mut().unwrap().push(two);
    let runner = FakeRunner::reporting(report_of_both);
    let (by, items, _) = case.decided(&runner);
    assert_eq!(by, DecidedBy::Pip);
    assert_eq!(items.len(), 2);
    let log = runner.log.lock().unwrap();
    let mut constraints = log
        .put
        .iter()
        .filter(|(path, _)| path.contains("constraint"));
    let (_, text) = constraints.next().unwrap();
    assert_eq!(text, "one==1.0\n");
}

/// What pip says is of no use, or it cannot say anything: what it downloads tells the same.
#[test]
fn what_pip_downloads_decides_where_it_does_not_say() {
    let case = Case::new("one\n");
    wheel(&case.links(), "one", "1.0");
    let why = vec!["`one` is not pinned".to_owned()];

    let mut silent = FakeRunner::reporting(json!({ "version": "7", "install": [] }));
    silent.downloads = Tree::read(&case.links()).unwrap();
    let decided = (DecidedBy::Pip, one("1.0"), why);
    assert_eq!(case.decided(&silent), decided);
    assert_eq!(silent.asked(), ["install --dry-run", "download"]);

    let mut old = FakeRunner::new();
    old.downloads = Tree::read(&case.links()).unwrap();
    assert_eq!(case.decided(&old), decided);
    assert_eq!(old.asked(), ["download"]);
}

/// For a build, which needs the wheels anyway, nobody decides then: pip installs.
#[test]
fn an_old_pip_installs_by_itself() {
    let case = Case::new("one\n");
    wheel(&case.links(), "one", "1.0");
    let runner = FakeRunner::new();
    let notes = Mutex::new(Vec::new());
    let observe = |event: &Event<'_>| {
        if let Event::Note(text) = event {
            notes.lock().unwrap().push((*text).to_owned());
        }
    };
    let artifact = pipeline::build(&case.request, &runner, &observe, &Cancel::new()).unwrap();
    assert_eq!(artifact.files, 0);
    assert_eq!(runner.asked(), ["install"]);
    assert_eq!(notes.lock().unwrap().len(), 1, "{notes:?}");
}

/// A folder of links in the builder: pip alone can look there, so what it downloads cannot be found again.
#[test]
fn an_old_pip_whose_settings_only_it_can_follow_cannot_say() {
    let mut case = Case::new("one\n");
    wheel(&case.links(), "one", "1.0");
    let env = &mut case.request.how.pip.env;
    env.insert("PIP_USE_FEATURE".to_owned(), "fast-deps".to_owned());
    let error = case.plan(&FakeRunner::new()).unwrap_err();
    assert!(
        matches!(&*error, Error::Pip(prebuild::pip::Error::CannotSay(pip)) if pip == "20.0"),
        "{error}"
    );
    assert_eq!(
        *case.why.lock().unwrap(),
        ["`use-feature` is set".to_owned()]
    );
}

/// Where pip may not be asked, the error says why it would have to be.
#[test]
fn pip_is_not_asked_where_it_may_not_be() {
    let open = "`one` is not pinned";
    let mut case = Case::new("one\n");
    wheel(&case.links(), "one", "1.0");
    let runner = FakeRunner::reporting(Value::Null);

    let (python, platform) = ("3.12".parse().unwrap(), "linux/arm64".parse().unwrap());
    case.request.destination.target = Some(Target::named(&python, &platform));
    let error = case.plan(&runner).unwrap_err();
    assert!(
        matches!(&*error, Error::Resolve(prebuild::resolve::Error::NoBuilder { why, .. }) if why == open),
        "{error}"
    );
    case.request.destination.target = None;

    let Input::Stdin(text) = &mut case.request.what.inputs[0] else {
        unreachable!("it was made so")
    };
    *text = b"one\n".to_vec();
    case.request.how.pip.offline = true;
    let error = case.plan(&runner).unwrap_err();
    assert!(
        matches!(&*error, Error::Resolve(prebuild::resolve::Error::Offline { why }) if why == open),
        "{error}"
    );

    case.request.how.pip.strategy = Strategy::FirstIndex;
    let variable = ("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:9/simple");
    let env = &mut case.request.how.pip.env;
    env.insert(variable.0.to_owned(), variable.1.to_owned());
    let error = case.plan(&runner).unwrap_err();
    assert!(
        matches!(&*error, Error::Resolve(prebuild::resolve::Error::FirstIndex { why }) if why == open),
        "{error}"
    );
    assert_eq!(runner.asked(), [""; 0]);
}

/// A plan is built as it is, whatever the requirements come to by then, into memory as into a file.
#[test]
fn a_plan_is_built_without_a_lock_file() {
    let mut case = Case::new("one\n");
    wheel(&case.links(), "one", "1.0");
    let report = report(&case.links(), "one", "1.0");
    let mut runner = FakeRunner::reporting(report);
    runner.downloads = Tree::read(&case.links()).unwrap();
    let (plan, _) = case.plan(&runner).unwrap();
    assert_eq!(runner.asked(), ["install --dry-run"]);

    let memory = Arc::new(Mutex::new(Vec::new()));
    let writer = Output::to_writer(Arc::clone(&memory), Format::Tar).unwrap();
    // Named first, written last.
    case.request.outputs.files.insert(0, writer);
    let built = |request: &Request| {
        build_planned(&plan, request, &runner, &|_| {}, &Cancel::new()).map_err(Box::new)
    };
    let artifact = built(&case.request).unwrap();
    let file = fs::read(case.folder.path().join("deps.tar")).unwrap();
    assert_eq!(*memory.lock().unwrap(), file);
    let [first, second] = artifact.outputs.as_slice() else {
        panic!("{:?}", artifact.outputs);
    };
    assert_eq!(
        (first.path.as_path(), first.size),
        (Path::new("-"), second.size)
    );
    assert_eq!(first.digest, Some(Digest::of(&file)));
    // pip got the wheel, and was not asked what to install again.
    assert_eq!(runner.asked(), ["install --dry-run", "wheel"]);

    let mut other = case.request.clone();
    let (python, platform) = ("3.9".parse().unwrap(), "linux/arm64".parse().unwrap());
    other.destination.target = Some(Target::named(&python, &platform));
    let error = built(&other).unwrap_err();
    assert!(matches!(*error, Error::OtherPlan(_)), "{error}");
    assert_eq!(error.kind(), Kind::Request);
}

/// What a writer got cannot be taken back, and the error says so; no other output appears.
#[test]
fn a_writer_that_fails_may_hold_a_part() {
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.0);
            self.0 -= count;
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut case = Case::new("one==1.0\n");
    wheel(&case.links(), "one", "1.0");
    for format in [Format::Tar, Format::TarGz, Format::TarZst, Format::Zip] {
        let writer = Output::to_writer(Arc::new(Mutex::new(Full(100))), format).unwrap();
        case.request.outputs.files.truncate(1);
        case.request.outputs.files.push(writer);
        let runner = FakeRunner::new();
        let error = build(&case.request, &runner, &|_| {}, &Cancel::new()).unwrap_err();
        assert!(
            matches!(error, Error::Pack(prebuild::pack::Error::Writer { .. })),
            "{error}"
        );
        assert!(!case.folder.path().join("deps.tar").exists());
    }
    let writer = Arc::new(Mutex::new(Full(0)));
    assert_eq!(Output::to_writer(writer, Format::Directory), None);
}
