//! Builds of which nothing has changed: what they would write is there.

use std::io;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::{Destination, How, Order, Outputs, What};
use crate::audit::Finding;
use crate::bundle::Bundled;
use crate::cache::{Bucket, Cache, Lookup};
use crate::digest::Digest;
use crate::fs;
use crate::install::Installer;
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::pack::{self, Format, Output, Packed};
use crate::piece::Piece;
use crate::runtime::Runtime;

const WRITTEN: &str = "written.json";
const STATE: &str = "state.json";

/// What a build wrote, and what it said of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) outputs: Vec<Packed>,
    pub(super) distributions: Vec<Piece>,
    pub(super) files: usize,
    pub(super) native: usize,
    pub(super) size: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) bundled: Vec<Bundled>,
    pub(super) installer: Installer,
}

/// All that decides what a build writes, and what it says of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) request: Order<'a>,
    pub(super) outputs: &'a Outputs,
    /// The distributions with their wheels, the first to be installed first, each with the lines and
    /// distributions that require it: findings cite them.
    pub(super) pieces: &'a [Piece],
    pub(super) interpreter: &'a Interpreter,
    pub(super) layout: &'a Layout,
    pub(super) runtime: Option<&'a Runtime>,
    /// Whether dependencies are left out, whoever said so: the audit looks for them otherwise.
    pub(super) no_deps: bool,
    /// The credentials that the audit looks for.
    pub(super) secrets: &'a [String],
}

/// The digest of all that decides what is written, and where; `None` if a folder is, which may have
/// been changed anywhere within, or if libraries of the builder are, of which nobody knows here.
///
/// A field that is added to one of these types must be hashed here or left out by name.
pub(super) fn key(inputs: &Inputs<'_>) -> Option<Digest> {
    let Inputs {
        request,
        outputs,
        pieces,
        interpreter,
        layout,
        runtime,
        no_deps,
        secrets,
    } = *inputs;
    let given = given(request, outputs)?;
    let Interpreter {
        markers,
        executable,
        interpreters,
        prefix,
        // They are in `layout`.
        site_packages: _,
        soabi,
        platform,
        libc,
        // They decide how wheels are chosen and built, which are in `pieces`.
        pip: _,
        config: _,
        caller_config: _,
        broken_config: _,
        environment: _,
        prefix_map: _,
        optimisation: _,
        tags: _,
        glibc: _,
        // It decides how packages are installed that a hint names.
        os: _,
        // It says when the interpreter must be asked again.
        watched: _,
    } = interpreter;
    let wheels: Vec<_> = pieces
        .iter()
        .map(|piece| {
            let Piece {
                item,
                origin,
                wheel,
                // They follow from the wheel.
                distribution: _,
                tags: _,
                imported: _,
                opened: _,
            } = piece;
            let wheel = wheel.as_ref();
            let wheel = wheel.map(|wheel| (&wheel.digest, &wheel.facts.filename));
            (wheel, origin, item)
        })
        .collect();
    let program = ("output 4", env!("CARGO_PKG_VERSION"), pack::FORMAT_VERSION);
    let whole = (program, wheels, layout, no_deps);
    let python = (
        markers,
        executable,
        interpreters,
        prefix,
        soabi,
        platform,
        libc,
    );
    let runtime = runtime.map(Runtime::digest);
    // Hashed, so that no secret is kept.
    let text = format!("{whole:?} {python:?} {runtime:?} {given} {secrets:?}");
    Some(Digest::of(text.as_bytes()))
}

/// What a request says of what is written, and where; `None` if what is written is not known again. Long, since
/// each field is named.
fn given(request: Order<'_>, outputs: &Outputs) -> Option<String> {
    let Order {
        what,
        destination,
        how,
    } = request;
    let What {
        // What they come to is in `pieces`.
        inputs: _,
        lock: _,
        chosen: _,
        constraints: _,
        cwd,
    } = what;
    let Destination {
        // It is the interpreter.
        target: _,
        // Its facts are in `runtime`.
        runtime: _,
        // They are in `layout`.
        dest: _,
        script_python: _,
        allow,
    } = destination;
    let How {
        // They decide which wheels there are (`pieces`); `no_deps` and `secrets` are taken from them.
        pip: _,
        bundle_libs,
        compile,
        installer,
        limits,
        leniency,
        // Where what can be used again is kept decides no byte.
        cache: _,
        // Times are told and not written.
        clock: _,
    } = how;
    let Outputs { files, options } = outputs;
    let pack::Options {
        mtime,
        // It is about output folders, which have no key.
        force: _,
    } = options;
    // A directory may have been changed anywhere within, and what a writer got is not known here.
    let is_unknown = |output: &Output| output.format() == Format::Directory || output.is_writer();
    if *bundle_libs || files.iter().any(is_unknown) {
        return None;
    }
    let outputs: Vec<_> = files
        .iter()
        .map(|output| (cwd.join(output.path()), output.format()))
        .collect();
    let given = (allow, compile, installer, limits, leniency, mtime, outputs);
    Some(format!("{given:?}"))
}

impl Written {
    /// What was written before, if all of it is as it was left.
    pub(super) fn known(cache: &Cache, key: &Digest) -> Option<Self> {
        let Lookup::Hit(entry) = cache.lookup(Bucket::Outputs, key) else {
            return None;
        };
        let read = |name| fs::read(&entry.path(name)?).ok();
        let written: Self = serde_json::from_slice(&read(WRITTEN)?).ok()?;
        let stamps: Vec<fs::Stamp> = serde_json::from_slice(&read(STATE)?).ok()?;
        let is_same = |(output, stamp): (&Packed, &fs::Stamp)| {
            fs::Stamp::of(&output.path).is_ok_and(|now| now == *stamp)
        };
        if written.outputs.iter().zip(&stamps).all(is_same) {
            return Some(written);
        }
        cache.evict(Bucket::Outputs, key);
        None
    }

    /// Keeps it for the next time.
    pub(super) fn keep(&self, cache: &Cache, key: &Digest) {
        let kept = cache.insert(Bucket::Outputs, key, |folder| -> io::Result<()> {
            let path = folder.join(WRITTEN);
            fs::write_new(&path, &serde_json::to_vec(self)?).map_err(io::Error::other)?;
            let stamps = self
                .outputs
                .iter()
                .map(|output| fs::Stamp::of(&output.path));
            let stamps = stamps
                .collect::<Result<Vec<_>, _>>()
                .map_err(io::Error::other)?;
            let state = folder.join(STATE);
            // Within the grain of the file system's clock, what is written could change unseen.
            for pause in [0, 5, 20] {
                thread::sleep(Duration::from_millis(pause));
                let _ = fs::remove_file(&state);
                fs::write_new(&state, &serde_json::to_vec(&stamps)?).map_err(io::Error::other)?;
                let now = fs::Stamp::of(&state).map_err(io::Error::other)?;
                if stamps.iter().all(|stamp| stamp.is_past(&now)) {
                    return Ok(());
                }
            }
            Err(io::Error::other("the clock stands still"))
        });
        // It is written again next time.
        drop(kept);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::Request;
    use super::*;
    use crate::piece::Origin;
    use crate::plan::{Item, RequiredBy, Source};
    use crate::requirements::Input;
    use crate::target::Target;
    use crate::tree::{Distribution, RelPath};
    use crate::wheel::Leniency;

    /// What a key is made of, but for wheels, which have a digest of their own.
    struct Owned {
        request: Request,
        pieces: Vec<Piece>,
        interpreter: Interpreter,
        layout: Layout,
        no_deps: bool,
        secrets: Vec<String>,
    }

    impl Owned {
        fn new() -> Self {
            let mut request =
                Request::new(vec![Input::Path("a.txt".into())], "/work", BTreeMap::new());
            request.outputs.files = vec!["deps.tar".parse().unwrap()];
            let (python, platform) = ("3.12".parse().unwrap(), "linux/arm64".parse().unwrap());
            let demo = Distribution {
                name: "demo".to_owned(),
                version: "1.0".to_owned(),
            };
            Self {
                request,
                pieces: vec![Piece::new(Item {
                    requested: true,
                    source: Source::Index,
                    required_by: vec![line(1)],
                    ..Item::unknown(demo, Vec::new(), None)
                })],
                interpreter: Interpreter::named(&Target::named(&python, &platform)),
                layout: Layout {
                    dest: "/usr/local".to_owned(),
                    purelib: RelPath::new("lib").unwrap(),
                    platlib: RelPath::new("lib").unwrap(),
                    script_python: "/usr/local/bin/python3".to_owned(),
                },
                no_deps: false,
                secrets: Vec::new(),
            }
        }

        fn key(&self) -> Option<Digest> {
            key(&Inputs {
                request: self.request.order(),
                outputs: &self.request.outputs,
                pieces: &self.pieces,
                interpreter: &self.interpreter,
                layout: &self.layout,
                runtime: None,
                no_deps: self.no_deps,
                secrets: &self.secrets,
            })
        }
    }

    fn line(line: usize) -> RequiredBy {
        RequiredBy::Requirement {
            file: "a.txt".to_owned(),
            line,
        }
    }

    type Change = fn(&mut Owned);

    #[test]
    fn what_decides_an_artifact_changes_its_key() {
        let changes: [(&str, Change); 23] = [
            ("cwd", |one| one.request.what.cwd = "/other".into()),
            ("allow", |one| {
                one.request.destination.allow = vec!["x".to_owned()];
            }),
            ("compile", |one| one.request.how.compile = true),
            ("installer", |one| {
                one.request.how.installer = Installer::Pip;
            }),
            ("limits", |one| one.request.how.limits.size = 1),
            ("leniency", |one| {
                one.request.how.leniency = Leniency::Unlisted;
            }),
            ("format", |one| {
                one.request.outputs.files = vec!["deps.zip".parse().unwrap()];
            }),
            ("mtime", |one| one.request.outputs.options.mtime = 1),
            ("origin", |one| one.pieces[0].origin = Origin::Built),
            ("url", |one| {
                "https://x/".clone_into(&mut one.pieces[0].item.url);
            }),
            ("the lines that findings cite", |one| {
                one.pieces[0].item.required_by = vec![line(2)];
            }),
            ("pieces", |one| one.pieces.clear()),
            ("markers", |one| {
                "3".clone_into(&mut one.interpreter.markers.python_version);
            }),
            ("executable", |one| {
                "/x".clone_into(&mut one.interpreter.executable);
            }),
            ("interpreters", |one| {
                one.interpreter.interpreters.push("/x".to_owned());
            }),
            ("prefix", |one| "/x".clone_into(&mut one.interpreter.prefix)),
            ("soabi", |one| one.interpreter.soabi = None),
            ("platform", |one| {
                "x".clone_into(&mut one.interpreter.platform);
            }),
            ("libc", |one| "x".clone_into(&mut one.interpreter.libc)),
            ("dest", |one| "/opt".clone_into(&mut one.layout.dest)),
            ("script_python", |one| {
                "/x".clone_into(&mut one.layout.script_python);
            }),
            ("no_deps", |one| one.no_deps = true),
            ("secrets", |one| one.secrets.push("s3cret".to_owned())),
        ];
        let mut keys = BTreeSet::from([Owned::new().key().unwrap().hex()]);
        for (what, change) in changes {
            let mut one = Owned::new();
            change(&mut one);
            assert!(keys.insert(one.key().unwrap().hex()), "{what}");
        }
    }

    /// What the wheels and items say already, and what decides nothing.
    #[test]
    fn what_decides_nothing_leaves_the_key() {
        let changes: [(&str, Change); 5] = [
            ("inputs", |one| one.request.what.inputs.clear()),
            ("pip", |one| one.request.how.pip.epoch = 7),
            ("force", |one| one.request.outputs.options.force = true),
            ("dest", |one| {
                one.request.destination.dest = Some("/usr/local".to_owned());
            }),
            ("tags", |one| one.interpreter.tags.clear()),
        ];
        for (what, change) in changes {
            let mut one = Owned::new();
            change(&mut one);
            assert_eq!(one.key(), Owned::new().key(), "{what}");
        }
        let mut folder = Owned::new();
        folder.request.outputs.files.push("out/".parse().unwrap());
        assert_eq!(folder.key(), None);
        let mut bundling = Owned::new();
        bundling.request.how.bundle_libs = true;
        assert_eq!(bundling.key(), None);
    }
}
