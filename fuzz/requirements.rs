//! Requirements files, what they include, and `pyproject.toml`.
//!
//! - The same files give the same answer, and no answer is larger than what was read allows.
//! - Every place that is named exists.
//! - A requirement that is written anew from its value is the same requirement.
//! - The value of an environment variable is shown nowhere.

#![no_main]

#[allow(dead_code, reason = "each target takes what it needs")]
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use prebuild::Diagnosis as _;
use prebuild::requirements::{
    Context, Entry, Error, Input, Location, Name, Requirements, What, hide_credentials,
};
use prebuild::target::{MarkerEnvironment, PythonVersion};

/// A value that no input has by chance. It is no name: the names of distributions are shown, variables or not.
const SECRET: &str = "7h3?v4lu3?0f?4?v4r14bl3";
const NAMES: [&str; 4] = ["requirements.txt", "a.txt", "b/c.txt", "pyproject.toml"];

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    if SECRET
        .as_bytes()
        .windows(8)
        .any(|part| contains(rest, part))
    {
        return;
    }
    let mut names = NAMES;
    if kind % 2 == 1 {
        names.reverse();
    }
    files::spread(rest, &names);
    let inputs = inputs(*kind);
    let environment = [("TOKEN", SECRET), ("EMPTY", "")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let context = Context {
        env: &BTreeMap::from(environment),
        cwd: files::directory(),
    };
    let read = Requirements::read(&inputs, &[], &context);
    match &read {
        Err(error) => refused(error),
        Ok(read) => taken(read, &context),
    }
    let again = Requirements::read(&inputs, &[], &context);
    assert_eq!(format!("{read:?}"), format!("{again:?}"));
});

/// What is read: requirements, or a project with some of its extras and groups.
fn inputs(kind: u8) -> Vec<Input> {
    let some = |bit: u8| -> BTreeSet<Name> {
        let names = ["test", "all"].into_iter().filter(|_| kind & bit != 0);
        names.map(Name::new).collect()
    };
    if kind % 2 == 0 {
        return vec![Input::Path(NAMES[0].into())];
    }
    vec![Input::Project {
        path: NAMES[3].into(),
        extras: some(2),
        groups: some(4),
    }]
}

fn refused(error: &Error) {
    let mut shown = vec![error.to_string(), format!("{error:?}")];
    shown.extend(error.excerpt().map(str::to_owned));
    shown.extend(std::error::Error::source(error).map(ToString::to_string));
    for text in shown {
        assert!(!text.contains(SECRET), "the message holds a secret");
    }
    if let Some(at) = error.location() {
        exists(at);
    }
}

fn taken(read: &Requirements, context: &Context<'_>) {
    let shown = format!(
        "{read:?}{}",
        serde_json::to_string(read).expect("it is JSON")
    );
    assert!(!shown.contains(SECRET), "what is shown holds a secret");

    // A file may be read several times.
    let size = |path: &Path| {
        std::fs::metadata(files::directory().join(path)).map_or(1 << 32, |file| file.len())
    };
    let bytes: u64 = read.files().iter().map(|file| size(&file.path)).sum();
    let all = [read.entries(), read.constraints()].concat();
    assert!((all.len() + read.warnings().len()) as u64 <= bytes + 1);
    for warning in read.warnings() {
        exists(&warning.at);
    }
    let environment = MarkerEnvironment::default();
    for entry in &all {
        exists(&entry.at);
        // Whatever it is for this interpreter: it is no panic.
        let _ = entry.applies(&environment);
        again(entry, context);
    }
    let python = "3.12".parse::<PythonVersion>().expect("it is a version");
    for requires in read.requires_python() {
        let _ = requires.value.admit(&python.to_string());
    }
    let _ = read.check(&environment);
}

/// The entry, written from its value and read again.
fn again(entry: &Entry, context: &Context<'_>) {
    let What::Named { name, specifier } = &entry.what else {
        return;
    };
    // As `packaging` does, a name may end in `_`; normalized it ends in `-`, which is no name, nor one of a project.
    if std::iter::once(name).chain(&entry.extras).any(|name| name.as_str().ends_with('-')) {
        return;
    }
    let extras: Vec<_> = entry.extras.iter().map(Name::as_str).collect();
    let mut text = format!("{name}[{}]{}", extras.join(","), specifier.expanded());
    if let Some(marker) = &entry.marker {
        text.push_str(&format!(" ; {}", marker.text().expanded()));
    }
    // What variables stand for is not expanded twice.
    let context = Context {
        env: &BTreeMap::new(),
        ..*context
    };
    let read = Requirements::read(&[Input::Stdin(text.clone().into_bytes())], &[], &context);
    let read = read.unwrap_or_else(|error| panic!("{text:?} is refused: {error}"));
    let [second] = read.entries() else {
        panic!("{text:?} is {} requirements", read.entries().len());
    };
    let What::Named {
        name: same_name,
        specifier: same_specifier,
    } = &second.what
    else {
        panic!("{text:?} is another kind of requirement");
    };
    assert_eq!(name, same_name);
    assert_eq!(specifier.clauses(), same_specifier.clauses());
    assert_eq!(entry.extras, second.extras);
    let markers = [entry, second].map(|entry| {
        let marker = entry.marker.as_ref();
        marker.map(|marker| marker.evaluate(&MarkerEnvironment::default(), &[]))
    });
    assert_eq!(markers[0], markers[1]);
    let hidden = hide_credentials(&text);
    assert_eq!(hidden, hide_credentials(&hidden));
}

/// That a place lies in its file.
fn exists(at: &Location) {
    assert!(at.line > 0 && at.column > 0);
    let path = files::directory().join(&at.file);
    let size = std::fs::metadata(&path);
    // The name that is shown need not be the file's, where variables are expanded in it.
    let size = size.map_or(1 << 32, |file| file.len());
    assert!(
        (at.line + at.column) as u64 <= size + 2,
        "{at} lies outside"
    );
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|here| here == part)
}
