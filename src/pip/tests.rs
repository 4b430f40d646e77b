//! The key of what is built from source.

use std::collections::BTreeSet;

use super::*;
use crate::event::Stream;
use crate::requirements::{Context, Input};
use crate::runner::Identity;
use crate::target::Target;

/// A builder that is only asked what it is.
struct Asked(&'static str, Identity);

impl Session for Asked {
    fn identity(&self) -> &Identity {
        &self.1
    }

    fn python(&self) -> &'static str {
        "python3"
    }

    fn locate(&self, inside: &str) -> String {
        format!("/{inside}")
    }

    fn inherits(&self) -> bool {
        false
    }

    fn builds(&self, _: &str) -> Option<String> {
        Some(self.0.to_owned())
    }

    fn put(&mut self, _: &str, _: &Tree) -> Result<(), runner::Error> {
        Err(runner::Error::Cancelled)
    }

    fn run(
        &mut self,
        _: &Exec,
        _: &[u8],
        _: &mut dyn FnMut(Stream, &str),
    ) -> Result<(), runner::Error> {
        Err(runner::Error::Cancelled)
    }

    fn get(&mut self, _: &str) -> Result<Tree, runner::Error> {
        Err(runner::Error::Cancelled)
    }
}

struct Owned {
    text: String,
    builder: &'static str,
    options: Options,
    interpreter: Interpreter,
    sdist: &'static [u8],
}

impl Owned {
    fn new() -> Self {
        let (python, platform) = ("3.12".parse().unwrap(), "linux/arm64".parse().unwrap());
        let mut interpreter = Interpreter::named(&Target::named(&python, &platform));
        interpreter.pip = Some(Pip {
            version: "24.0".to_owned(),
            options: Vec::new(),
            works: true,
        });
        Self {
            text: "a==1\n".to_owned(),
            builder: "image 1",
            options: Options::default(),
            interpreter,
            sdist: b"sdist",
        }
    }

    fn key(&self) -> Option<String> {
        let context = Context {
            env: &BTreeMap::new(),
            cwd: std::path::Path::new("/"),
        };
        let (main, limits) = self.text.split_once("---\n").unwrap_or((&self.text, ""));
        let input = |text: &str| Input::Stdin(text.as_bytes().to_vec());
        let read = Requirements::read(&[input(main)], &[input(limits)], &context).unwrap();
        let identity = Identity {
            kind: "fake".to_owned(),
            image: None,
            digest: None,
        };
        let driver = Driver::new(&self.interpreter, &self.options, false).unwrap();
        let hash = requirements::Hash::new("sha256", &Digest::of(self.sdist).hex());
        let item = Item {
            name: Name::new("a"),
            version: "1".to_owned(),
            requested: true,
            extras: BTreeSet::new(),
            source: Source::Index,
            form: Form::Sdist,
            url: String::new(),
            filename: String::new(),
            hashes: hash.into_iter().collect(),
            size: None,
            direct_url: None,
            requires: Vec::new(),
            requires_python: None,
            required_by: Vec::new(),
            metadata: crate::plan::Metadata::Preliminary,
            place: crate::plan::Place::Here,
        };
        let session = Asked(self.builder, identity);
        Some(driver.built_key(&session, &read, &item)?.hex())
    }

    fn variable(&mut self, name: &str, value: &str) {
        self.options.env.insert(name.to_owned(), value.to_owned());
    }
}

type Change = fn(&mut Owned);

#[test]
fn what_decides_a_build_changes_its_key() {
    let changes: [(&str, Change); 19] = [
        ("the source", |one| one.sdist = b"another"),
        ("the builder", |one| one.builder = "image 2"),
        ("pip", |one| {
            if let Some(pip) = &mut one.interpreter.pip {
                "25.0".clone_into(&mut pip.version);
            }
        }),
        ("a build's setting", |one| {
            "a==1 --config-settings=x=y\n".clone_into(&mut one.text);
        }),
        ("a constraint", |one| {
            "a==1\n---\nsetuptools<80\n".clone_into(&mut one.text);
        }),
        ("an index", |one| {
            "-i https://a.example/\na==1\n".clone_into(&mut one.text);
        }),
        ("formats", |one| {
            "--no-binary=b\na==1\n".clone_into(&mut one.text);
        }),
        ("an index of the settings", |one| {
            one.variable("PIP_INDEX_URL", "https://b.example/");
        }),
        ("isolation", |one| {
            one.variable("PIP_NO_BUILD_ISOLATION", "0");
        }),
        ("--env", |one| {
            one.options
                .set
                .insert("CFLAGS".to_owned(), "-O3".to_owned());
        }),
        ("arguments", |one| one.options.args.push("--pre".to_owned())),
        ("the time", |one| one.options.epoch = 7),
        ("the strategy", |one| {
            one.options.strategy = Strategy::FirstIndex;
        }),
        ("markers", |one| {
            "6".clone_into(&mut one.interpreter.markers.platform_release);
        }),
        ("the interpreter", |one| {
            "/x".clone_into(&mut one.interpreter.executable);
        }),
        ("libc", |one| {
            "glibc 2.1".clone_into(&mut one.interpreter.libc);
        }),
        ("the runtime's glibc", |one| {
            one.interpreter.glibc = Some((2, 28));
        }),
        ("the flag for paths", |one| {
            one.interpreter.prefix_map = Some("-f".to_owned());
        }),
        ("the optimisation", |one| {
            "-O3".clone_into(&mut one.interpreter.optimisation);
        }),
    ];
    let mut keys = BTreeSet::from([Owned::new().key()]);
    for (what, change) in changes {
        let mut one = Owned::new();
        change(&mut one);
        assert!(keys.insert(one.key()), "{what}");
    }
    let changes: [(&str, Change); 3] = [
        ("a comment", |one| "# x\na==1\n".clone_into(&mut one.text)),
        ("a variable that builds do not see", |one| {
            one.variable("TOKEN", "s3cret");
        }),
        ("offline", |one| one.options.offline = true),
    ];
    for (what, change) in changes {
        let mut one = Owned::new();
        change(&mut one);
        assert_eq!(one.key(), Owned::new().key(), "{what}");
    }
    let mut unknown = Owned::new();
    unknown.variable("PIP_BUILD_CONSTRAINT", "/nowhere/constraints.txt");
    assert_eq!(unknown.key(), None);
}
