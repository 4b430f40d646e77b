//! Requirements files as pip reads them. pip is the judge: see `support/pip_reads.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use prebuild::error::Diagnosis as _;
use prebuild::requirements::{
    Applies, Context, Entry, Error, FindLinks, FormatControl, Input, LockMarker, Name,
    ReleaseControl, Requirements, Text, What,
};
use prebuild::target::MarkerEnvironment;
use serde_json::{Value, json};

use crate::support::chance::Chance;
use crate::support::python::script;

mod generate;
mod project;

/// Where the corpus is. Its own paths are relative to it.
fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/requirements")
}

fn variables() -> BTreeMap<String, String> {
    [
        ("TOKEN", "s3cret"),
        ("NAME", "requests"),
        ("VERSION", "2.31.0"),
        ("HASH_SIGN", "a # b"),
        ("EMPTY", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Three interpreters: an ordinary one, one that is no release, and one whose values are odd.
fn environments() -> [MarkerEnvironment; 3] {
    let linux = MarkerEnvironment {
        implementation_name: "cpython".to_owned(),
        implementation_version: "3.11.7".to_owned(),
        os_name: "posix".to_owned(),
        platform_machine: "x86_64".to_owned(),
        platform_python_implementation: "CPython".to_owned(),
        platform_release: "5.10.0-28-amd64".to_owned(),
        platform_system: "Linux".to_owned(),
        platform_version: "#1 SMP".to_owned(),
        python_full_version: "3.11.7".to_owned(),
        python_version: "3.11".to_owned(),
        sys_platform: "linux".to_owned(),
    };
    let windows = MarkerEnvironment {
        implementation_version: "3.8.0rc1".to_owned(),
        os_name: "nt".to_owned(),
        platform_release: "10".to_owned(),
        platform_system: "Windows".to_owned(),
        python_full_version: "3.8.0rc1+".to_owned(),
        python_version: "3.8".to_owned(),
        sys_platform: "win32".to_owned(),
        ..linux.clone()
    };
    let pypy = MarkerEnvironment {
        implementation_name: "pypy".to_owned(),
        implementation_version: "7.3.16".to_owned(),
        platform_machine: String::new(),
        platform_python_implementation: "PyPy".to_owned(),
        platform_release: "5.10.0".to_owned(),
        python_full_version: "3.10.14".to_owned(),
        python_version: "3.10".to_owned(),
        ..linux.clone()
    };
    [linux, windows, pypy]
}

fn read(inputs: &[Input]) -> Result<Requirements, Error> {
    let (env, cwd) = (variables(), corpus());
    let context = Context {
        env: &env,
        cwd: &cwd,
    };
    Requirements::read(inputs, &[], &context)
}

fn read_text(text: &str) -> Result<Requirements, Error> {
    let (env, cwd) = (BTreeMap::new(), corpus());
    let context = Context {
        env: &env,
        cwd: &cwd,
    };
    Requirements::read(&[Input::Stdin(text.into())], &[], &context)
}

// What we read, in the words of `pip_reads.py`.

fn applies(entry: &Entry) -> Result<Vec<bool>, Error> {
    let answers = environments().map(|environment| entry.applies(&environment));
    let answers: Result<Vec<_>, _> = answers.into_iter().collect();
    Ok(answers?
        .iter()
        .map(|answer| *answer == Applies::Yes)
        .collect())
}

fn entry_value(entry: &Entry) -> Result<Value, Error> {
    let (mut url, mut path, mut clauses) = (Value::Null, Value::Null, Vec::new());
    match &entry.what {
        What::Named { specifier, .. } => {
            let texts = specifier.clauses().iter();
            clauses = texts
                .map(|clause| format!("{}{}", clause.operator, clause.version))
                .collect();
            // A set, to pip.
            clauses.sort();
        }
        What::Url { url: text, .. } => url = text.expanded().into(),
        What::Path { path: at, .. } => path = at.to_str().unwrap().into(),
    }
    let mut hashes: Vec<_> = entry.hashes.iter().map(ToString::to_string).collect();
    hashes.sort();
    Ok(json!({
        "name": entry.name().map(Name::as_str),
        "extras": entry.extras,
        "specifier": clauses,
        "applies": applies(entry)?,
        "hashes": hashes,
        "editable": entry.editable,
        "url": url,
        "path": path,
    }))
}

fn checked(read: &Requirements) -> Result<(), Error> {
    environments()
        .iter()
        .try_for_each(|environment| read.check(environment))
}

/// The two sets that a pair of options like `--no-binary` and `--only-binary` leaves.
#[derive(Default)]
struct Exclusive([BTreeSet<String>; 2]);

impl Exclusive {
    fn give(&mut self, to: usize, value: &str) {
        let mut names: Vec<_> = value.split(',').collect();
        while let Some(all) = names.iter().position(|name| *name == ":all:") {
            self.0 = Default::default();
            self.0[to].insert(":all:".to_owned());
            names.drain(..=all);
            if !names.contains(&":none:") {
                return;
            }
        }
        for name in names {
            if name == ":none:" {
                self.0[to].clear();
                continue;
            }
            let mut normal = name.to_lowercase().replace(['_', '.'], "-");
            while normal.contains("--") {
                normal = normal.replace("--", "-");
            }
            self.0[1 - to].remove(&normal);
            self.0[to].insert(normal);
        }
    }
}

fn file_value(read: &Requirements) -> Result<Value, Error> {
    checked(read)?;
    let mut entries = Vec::new();
    let both = [(read.entries(), false), (read.constraints(), true)];
    for (entry, constraint) in both
        .iter()
        .flat_map(|(list, is)| list.iter().map(move |e| (e, is)))
    {
        let mut value = entry_value(entry)?;
        value["constraint"] = (*constraint).into();
        value["line"] = entry.at.line.into();
        let settings = entry.config_settings.iter();
        let mut settings: Vec<_> = settings.map(Text::expanded).collect();
        settings.sort_unstable();
        value["settings"] = json!(settings);
        entries.push(value);
    }
    let options = read.options();
    let mut indexes: Vec<_> = match (&options.no_index, &options.index_url) {
        (Some(_), _) => vec![],
        (None, Some(index)) => vec![index.value.expanded()],
        (None, None) => vec!["default"],
    };
    indexes.extend(
        options
            .extra_index_urls
            .iter()
            .map(|url| url.value.expanded()),
    );
    let (mut formats, mut releases) = (Exclusive::default(), Exclusive::default());
    for control in &options.format_control {
        match &control.value {
            FormatControl::OnlyBinary(value) => formats.give(0, value.expanded()),
            FormatControl::NoBinary(value) => formats.give(1, value.expanded()),
        }
    }
    for control in &options.release_control {
        match &control.value {
            ReleaseControl::Pre => drop(releases.0[0].insert(":all:".to_owned())),
            ReleaseControl::AllReleases(value) => releases.give(0, value.expanded()),
            ReleaseControl::OnlyFinal(value) => releases.give(1, value.expanded()),
        }
    }
    let links = options.find_links.iter().map(|links| match &links.value {
        FindLinks::Path { path, .. } if path.exists() => path.to_str().unwrap(),
        FindLinks::Path { written, .. } | FindLinks::Url(written) => written.expanded(),
    });
    let hashes = options.require_hashes.as_ref().map(|mode| mode.value);
    let hosts = options
        .trusted_hosts
        .iter()
        .map(|host| host.value.expanded());
    let features: BTreeSet<_> = options
        .use_features
        .iter()
        .map(|f| f.value.expanded())
        .collect();
    Ok(json!({
        "entries": entries,
        "indexes": indexes,
        "find_links": links.collect::<Vec<_>>(),
        "no_index": options.no_index.is_some(),
        "only_binary": formats.0[0],
        "no_binary": formats.0[1],
        "all_releases": releases.0[0],
        "only_final": releases.0[1],
        "prefer_binary": options.prefer_binary.is_some(),
        "require_hashes": hashes == Some(true),
        "no_require_hashes": hashes == Some(false),
        "trusted_hosts": hosts.collect::<Vec<_>>(),
        "features": features,
    }))
}

/// Lists whose order means nothing, or where pip mixes what we keep apart.
fn sorted(mut value: Value) -> Value {
    for key in ["entries", "features"] {
        if let Some(list) = value.get_mut(key).and_then(Value::as_array_mut) {
            list.sort_by_key(ToString::to_string);
        }
    }
    value
}

fn forget_lines(value: &mut Value) {
    let entries = value.get_mut("entries").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        entry["line"] = Value::Null;
    }
}

/// A question to pip, and our answer.
struct Job {
    question: Value,
    answer: Value,
}

/// Asks pip, and tells where the answers differ.
fn differences(jobs: &[Job]) -> Vec<String> {
    let mut input = format!("{}\n", json!(environments()));
    for job in jobs {
        writeln!(input, "{}", job.question).unwrap();
    }
    let output = script("pip_reads.py", &corpus(), input);
    let answers: Vec<&str> = output.lines().collect();
    assert_eq!(answers.len(), jobs.len());
    let mut differences = Vec::new();
    for (job, answer) in jobs.iter().zip(answers) {
        let mut pip = serde_json::from_str(answer).unwrap();
        let mut ours = job.answer.clone();
        if job.question.get("line").is_some() {
            // Where lines are joined, pip has the first, and we the one with the first character.
            forget_lines(&mut pip);
            forget_lines(&mut ours);
        }
        let (pip, ours) = (sorted(pip), sorted(ours));
        if pip != ours {
            differences.push(format!("{}\n  pip:  {pip}\n  ours: {ours}", job.question));
        }
    }
    differences
}

fn assert_agreed(jobs: &[Job]) {
    let differences = differences(jobs);
    let shown = differences.iter().take(20).map(String::as_str);
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        jobs.len(),
        shown.collect::<Vec<_>>().join("\n")
    );
}

/// Whether the text means more to a file than to the constructor that takes one requirement.
fn needs_a_file(text: &str) -> bool {
    text.trim().len() < text.len()
        || text.is_empty()
        || text.starts_with('-')
        || text.contains(" -")
        || text.contains("${")
        || text
            .contains(|c: char| matches!(c, '#' | '\\' | '\u{b}'..='\u{d}' | '\u{1c}'..='\u{1f}'))
        || text.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}'])
}

fn job(chance: &mut Chance) -> Job {
    let (kind, text) = match chance.below(100) {
        0..60 => ("marker", generate::marker(chance)),
        60..97 => ("requirement", generate::requirement(chance)),
        _ => ("line", generate::line(chance)),
    };
    let whole = if kind == "marker" {
        format!("a ; {text}")
    } else {
        text.clone()
    };
    let read = read_text(&whole);
    if kind == "line" || needs_a_file(&text) {
        return Job {
            question: json!({ "line": whole }),
            answer: read.and_then(|read| file_value(&read)).unwrap_or_default(),
        };
    }
    let one = |value: fn(&Entry) -> Result<Value, Error>| {
        let read = read?;
        checked(&read)?;
        value(&read.entries()[0])
    };
    let answer = if kind == "marker" {
        one(|entry| Ok(json!(applies(entry)?)))
    } else {
        one(entry_value)
    };
    Job {
        question: json!({ kind: text }),
        answer: answer.unwrap_or_default(),
    }
}

#[test]
fn pip_agrees_on_generated_requirements() {
    let mut chance = Chance(263);
    let jobs: Vec<_> = (0..20_000).map(|_| job(&mut chance)).collect();
    assert_agreed(&jobs);
    // A generator that makes only nonsense would agree as well.
    let accepted = jobs.iter().filter(|job| !job.answer.is_null()).count();
    assert!(accepted > 5_000, "{accepted}");
}

fn lock_job(text: &str, extras: &[&str], groups: &[&str]) -> Job {
    let names = |names: &[&str]| names.iter().map(|name| Name::new(name)).collect();
    let answers = text.parse().ok().and_then(|marker: LockMarker| {
        let (extras, groups) = (names(extras), names(groups));
        environments()
            .iter()
            .map(|environment| marker.evaluate(environment, &extras, &groups).ok())
            .collect::<Option<Vec<_>>>()
    });
    Job {
        question: json!({ "lock_marker": text, "extras": extras, "groups": groups }),
        answer: json!(answers),
    }
}

#[test]
fn pip_agrees_on_the_markers_of_lock_files() {
    let written = [
        "'cli' in extras",
        "'CLI' in extras",
        "\"foo_bar\" in extras",
        "'Foo.-Bar' in extras",
        "'cli' not in extras",
        "'cli'  not \t in  extras",
        "'dev' in dependency_groups",
        "'dev' not in dependency_groups",
        "'cli' in dependency_groups",
        "'' in extras",
        "'' not in extras",
        " 'cli' in extras ",
        "('cli' in extras)",
        "'cli' in extras and 'dev' in dependency_groups",
        "'cli' in extras or python_version < '3'",
        "'x' in extras or 'dev' in dependency_groups and os_name == 'posix'",
        "('x' in extras or 'dev' in dependency_groups) and os_name == 'nt'",
        "python_full_version >= '3.8' and 'c\\x6ci' in extras",
        "'cli' in 'extras'",
        "os_name == extras",
        "os_name in extras",
        "python_version >= '3.10'",
        "'3.11' ~= platform_release",
        "extras == 'cli'",
        "extras in 'cli'",
        "extras in extras",
        "extras not in 'cli'",
        "dependency_groups in 'dev'",
        "'cli' == extras",
        "'cli' != extras",
        "'cli' <= extras",
        "'cli' ~= extras",
        "'cli' === dependency_groups",
        "'cli' in extra",
        "extra == 'cli'",
        "'cli' == extra",
        "'cli' in extras and extra == 'cli'",
        "'cli' in extras and",
        "'cli' in extras and and 'x' in extras",
        "'cli' in extras 'x' in extras",
        "'cli' in",
        "in extras",
        "cli in extras",
        "'cli in extras",
        "('cli' in extras",
        "'cli' in extras)",
        "'cli' in extras\n",
        "'cli' notin extras",
        "'cli' not extras",
        "'cli' in extrass",
        "'cli' in dependency-groups",
        "'cli' in dependency_groups ü",
        "'\\x' in extras",
        "",
    ];
    let mut jobs = Vec::new();
    for text in written {
        jobs.push(lock_job(text, &[], &[]));
        jobs.push(lock_job(text, &["Cli", "foo-bar"], &["DEV"]));
    }
    let mut chance = Chance(751);
    for _ in 0..5_000 {
        let text = generate::lock_marker(&mut chance);
        jobs.push(lock_job(&text, &["foo_bar", "x"], &["cli", "Dev"]));
    }
    assert_agreed(&jobs);
    let accepted = jobs.iter().filter(|job| !job.answer.is_null()).count();
    assert!(accepted > 1_500, "{accepted}");
}

/// `cargo test --release --test it -- --ignored ten_million --nocapture`
#[test]
#[ignore = "takes a quarter of an hour"]
fn pip_agrees_on_ten_million() {
    const BATCH: usize = 50_000;
    let next = std::sync::atomic::AtomicU64::new(0);
    let found = std::sync::Mutex::new((0_usize, 0_usize, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let batch = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if batch >= 200 {
                        break;
                    }
                    let mut chance = Chance(0x5eed_0000 + batch);
                    let jobs: Vec<_> = (0..BATCH).map(|_| job(&mut chance)).collect();
                    let differences = differences(&jobs);
                    for difference in &differences {
                        println!("{difference}");
                    }
                    let mut found = found.lock().unwrap();
                    found.0 += jobs.len();
                    found.1 += jobs.iter().filter(|job| !job.answer.is_null()).count();
                    found.2.extend(differences);
                    println!(
                        "{} asked, {} accepted, {} differ",
                        found.0,
                        found.1,
                        found.2.len()
                    );
                }
            });
        }
    });
    let (_, _, differences) = found.into_inner().unwrap();
    assert!(
        differences.is_empty(),
        "{}",
        differences[..differences.len().min(50)].join("\n")
    );
}

/// Every `.txt` of the corpus; files for others to include lie in folders.
fn files() -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

#[test]
fn pip_agrees_on_the_corpus() {
    let jobs: Vec<_> = files()
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let read = read(&[Input::Path(name.into())]);
            Job {
                question: json!({ "file": name, "variables": variables() }),
                answer: read.and_then(|read| file_value(&read)).unwrap_or_default(),
            }
        })
        .collect();
    assert!(jobs.len() >= 60, "{}", jobs.len());
    assert_agreed(&jobs);
}

/// What the user is told of each bad file stands beside it in an `.err` file. To write them anew:
/// `BLESS=1 cargo test --test it bad_files`.
#[test]
fn bad_files_are_explained() {
    let mut wrong = String::new();
    for path in files() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let result = read(&[Input::Path(name.into())]).and_then(|read| checked(&read));
        let told = result.err().map(|error| explain(&error));
        let expected = path.with_extension("err");
        if std::env::var_os("BLESS").is_some() {
            match &told {
                Some(told) => fs::write(&expected, told).unwrap(),
                None => drop(fs::remove_file(&expected)),
            }
        }
        let expected = fs::read_to_string(&expected).ok();
        if told != expected {
            writeln!(wrong, "{name}:\n{told:?}\nexpected:\n{expected:?}").unwrap();
        }
        let told = told.unwrap_or_default();
        assert!(
            !told.contains("s3cret") && !told.contains("hunter2"),
            "{told}"
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The error as a command line would show it.
fn explain(error: &Error) -> String {
    let mut told = format!("error: {error}\n");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string().replace(corpus().to_str().unwrap(), "…");
        writeln!(told, "  caused by: {cause_text}").unwrap();
        source = cause.source();
    }
    for line in error.excerpt().unwrap_or_default().lines() {
        writeln!(told, "  | {line}").unwrap();
    }
    if let Some(hint) = error.hint() {
        writeln!(told, "  hint: {hint}").unwrap();
    }
    told
}

/// Line endings mean nothing: each file of the corpus reads the same with either, but for where a
/// carriage return is part of what is tested.
#[test]
fn line_endings_mean_nothing() {
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let plain = text.replace("\r\n", "\n");
        let told = |text: &str| match read(&[Input::Stdin(text.into())]) {
            Ok(read) => format!("{:?} {:?}", read.entries(), read.options()),
            Err(error) => explain(&error),
        };
        assert_eq!(
            told(&plain),
            told(&plain.replace('\n', "\r\n")),
            "{}",
            path.display()
        );
    }
}

#[test]
fn hazard_25_credentials_are_never_shown() {
    let read = read(&[Input::Path("good-variables.txt".into())]).unwrap();
    let shown = format!("{read:?} {}", serde_json::to_string(&read).unwrap());
    for secret in ["s3cret", "hunter2", "2.31.0"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(
        shown.contains("https://${TOKEN}@example.org/simple"),
        "{shown}"
    );
    let index = read.options().index_url.as_ref().unwrap();
    assert_eq!(index.value.expanded(), "https://s3cret@example.org/simple");
}

#[test]
fn a_missing_file_is_told_as_it_was_named() {
    let error = read(&[Input::Path("no/such.txt".into())]).unwrap_err();
    let told = "the requirements file `no/such.txt` cannot be read";
    assert_eq!((error.to_string().as_str(), error.location()), (told, None));
}

#[test]
fn the_web_stack_is_read() {
    let read_file = |name: &str| read(&[Input::Path(name.into())]).unwrap();
    let loose = read_file("web.txt");
    let locked = read_file("web.lock.txt");
    assert_eq!(loose.entries().len(), 20);
    for entry in loose.entries() {
        let mut pins = locked
            .entries()
            .iter()
            .filter(|pin| pin.name() == entry.name());
        assert!(pins.all(|pin| {
            pin.hashes
                .iter()
                .all(prebuild::requirements::Hash::is_well_formed)
        }));
    }
    assert!(locked.warnings().is_empty());
}

/// A file may be named by a `file:` URL, and its own names are relative to it.
#[test]
fn a_file_url_names_a_requirements_file() {
    let base = corpus().join("nested/base.txt");
    let read = read_text(&format!("-r file://{}\n", base.display())).unwrap();
    let names: Vec<_> = read
        .entries()
        .iter()
        .map(|entry| entry.written.to_string())
        .collect();
    assert_eq!(names, ["flask", "django>=5", "./projects/good"]);
    assert_eq!(read.constraints().len(), 2);
    assert_eq!(read.files().len(), 4);
}

/// pip takes such a file for a lock file, by its name alone.
#[test]
fn a_lock_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("pylock.dev.toml"),
        "lock-version = '1.0'\n",
    )
    .unwrap();
    let context = Context {
        env: &BTreeMap::new(),
        cwd: folder.path(),
    };
    let input = Input::Path("pylock.dev.toml".into());
    let error = Requirements::read(&[input], &[], &context).unwrap_err();
    insta::assert_snapshot!(explain(&error), @r"
    error: pylock.dev.toml:1:1: this is the name of a lock file, which is not read as requirements
      | lock-version = '1.0'
      | ^
      hint: name the requirements from which it was made
    ");
}

#[test]
fn entries_are_told_as_json() {
    let text = "Foo_Bar[X]>=1, <2 ; python_version < '3' --hash=sha256:00\n";
    let read = read_text(text).unwrap();
    let json = serde_json::to_string_pretty(&read.entries()[0]).unwrap();
    insta::assert_snapshot!(json, @r#"
    {
      "kind": "named",
      "name": "foo-bar",
      "specifier": ">=1,<2",
      "extras": [
        "x"
      ],
      "marker": "python_version < '3'",
      "hashes": [
        "sha256:00"
      ],
      "config_settings": [],
      "editable": false,
      "written": "Foo_Bar[X]>=1, <2 ; python_version < '3'",
      "file": "-",
      "line": 1,
      "column": 1
    }
    "#);
    let [linux, ..] = environments();
    let why = "marker `python_version < '3'` is false for Python 3.11 on linux";
    assert_eq!(
        read.entries()[0].applies(&linux).unwrap(),
        Applies::No(why.to_owned())
    );
}

#[test]
fn what_pip_overlooks_is_reported() {
    let read = read(&[Input::Path("good-options-behind.txt".into())]).unwrap();
    let told: Vec<_> = read
        .warnings()
        .iter()
        .map(|warning| format!("{}: {}", warning.at, warning.text))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

/// Files that include others twice over would take longer than the universe has.
#[test]
fn inclusions_come_to_an_end() {
    let folder = tempfile::tempdir().unwrap();
    for depth in 0..40 {
        let next = format!("-r {}.txt\n", depth + 1).repeat(2);
        fs::write(folder.path().join(format!("{depth}.txt")), next).unwrap();
    }
    fs::write(folder.path().join("40.txt"), "").unwrap();
    let context = Context {
        env: &BTreeMap::new(),
        cwd: folder.path(),
    };
    let error = Requirements::read(&[Input::Path("0.txt".into())], &[], &context).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("too many files include one another"),
        "{error}"
    );
}

/// A requirement is found again after any text: nothing makes the parser panic, and every place
/// that it names exists.
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = read_text(&text).map_err(|error| explain(&error));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&[Input::Stdin(bytes)]).map_err(|error| explain(&error));
        }

        #[test]
        fn no_syntax_makes_the_parser_panic(
            text in r#"([a-zé]{0,3}(\[| ?@ ?|;|==|\$\{NAME\}|\\|\r|\n|'|"|#|-[irce]|--[a-z]{1,5}|https://|[(),.*! ]|\u{2028}|😀)){0,12}"#
        ) {
            let result = read(&[Input::Stdin(text.clone().into())]);
            if let Err(error) = &result {
                explain(error);
                let at = error.location().unwrap();
                prop_assert!(at.line >= 1 && at.column >= 1);
            }
        }

        #[test]
        fn both_line_endings_parse_the_same(
            lines in prop::collection::vec(r"[a-z=>0-9;' \\#-]{0,20}", 0..6)
        ) {
            let told = |end: &str| match read_text(&lines.join(end)) {
                Ok(read) => format!("{:?} {:?}", read.entries(), read.options()),
                Err(error) => explain(&error),
            };
            prop_assert_eq!(told("\n"), told("\r\n"));
        }
    }
}
