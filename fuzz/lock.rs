//! Lock files: what a lock file says survives being written anew.
//!
//! What is read of a text for one target is written as a lock file of prebuild's, which says the same for
//! that target; and as requirements with hashes, which name the same distributions.

#![no_main]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use prebuild::Diagnosis as _;
use prebuild::interpreter::Interpreter;
use prebuild::lock::{self, Current, Error, Pylock, Recorded};
use prebuild::plan::{Circumstances, DecidedBy, Form, Item, Plan, Source};
use prebuild::requirements::Requirements;
use prebuild::target::Target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let lock = match parse(&text) {
        Ok(lock) => lock,
        Err(error) => return place(&error, &text),
    };
    assert!(lock.pins().len() <= text.len());
    for interpreter in interpreters() {
        let none = BTreeSet::new();
        let items = match lock.items(interpreter, &none, &none) {
            Ok(items) => items,
            Err(error) => {
                place(&error, &text);
                continue;
            }
        };
        assert!(size(&items) <= 64 * text.len() + 4096);
        written(items, interpreter);
    }
});

fn parse(text: &str) -> Result<Pylock, Error> {
    Pylock::parse(text, Path::new("pylock.toml"), Path::new("/srv/app"))
}

fn interpreters() -> &'static [Interpreter] {
    static BOTH: OnceLock<Vec<Interpreter>> = OnceLock::new();
    BOTH.get_or_init(|| {
        let targets = [
            ("3.12", "manylinux_2_36_x86_64"),
            ("3.9", "musllinux_1_2_aarch64"),
        ];
        let named = targets.map(|(python, platform)| {
            let python = python.parse().expect("it is a version");
            Target::named(&python, &platform.parse().expect("it is a platform"))
        });
        named.iter().map(Interpreter::named).collect()
    })
}

/// An error that has a place has one in the text.
fn place(error: &Error, text: &str) {
    let _ = (error.to_string(), error.hint());
    if let Error::Invalid { at, excerpt, .. } = error {
        assert!(at.line + at.column <= text.len() + 2, "{at} lies outside");
        assert!(excerpt.len() <= 4 * text.len() + 4096);
    }
}

/// How many bytes distributions take.
fn size(items: &[Item]) -> usize {
    serde_json::to_vec(items).expect("it is JSON").len()
}

/// The distributions as a lock file and as requirements, both read again.
fn written(items: Vec<Item>, interpreter: &Interpreter) {
    let circumstances = Circumstances {
        builder: None,
        target: interpreter.target(),
        pip: None,
        decided_by: DecidedBy::Lock,
        settings: Vec::new(),
    };
    let plan = Plan::new(circumstances, &Requirements::default(), items);
    let plan = plan.expect("no requirement is wrong");
    let current = Current::new(&plan.target, &[], &Requirements::default(), Vec::new());
    let current = current.expect("no requirement is wrong");
    let recorded = Recorded::new(&current, &plan.distributions);
    let Ok(text) = lock::text(&plan, &recorded, Path::new("/srv/app")) else {
        return; // What has no hash cannot be locked.
    };
    let lock = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(lock.recorded.as_ref(), Some(&recorded));
    assert_eq!(recorded.changes(&current), [""; 0]);
    let none = BTreeSet::new();
    let again = lock.items(interpreter, &none, &none);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let told = |item: &Item| {
        let is_source = matches!(item.source, Source::Commit(_) | Source::Directory);
        (
            item.name.clone(),
            // That of sources is not written.
            (!is_source).then(|| item.version.clone()),
            item.source.clone(),
            item.form == Form::Wheel,
            item.url.clone(),
            item.hashes.clone(),
            item.size,
        )
    };
    let both =
        [&plan.distributions, &again].map(|items| items.iter().map(told).collect::<Vec<_>>());
    assert_eq!(both[0], both[1], "{text}");
}
