//! Installs Python requirements ahead of time: a `requirements.txt` in, a reproducible install
//! prefix out.
//!
//! ```text
//! requirements ─► plan ─► builder ─► tree ─► findings ─► artifact
//!      resolver           runner              packer
//! ```
//!
//! [`requirements`] reads the user's files. A [`runner`] opens a builder, and [`interpreter`] describes
//! its Python; or the user names a [`target`]. A [`mod@plan`] lists what a build installs: [`resolve`] makes
//! it from pinned requirements and the files of an [`index`], a [`mod@lock`] file contains it, or [`pip`]
//! resolves in the builder. prebuild verifies each [`wheel`] and reads what its [`code`] needs from the
//! [`runtime`]. [`install`] puts the wheels together as a [`tree`]. [`mod@audit`] finds incompatibilities
//! with the runtime; [`mod@bundle`] copies missing libraries, and [`mod@relink`] changes the files that
//! need them. [`mod@pack`] writes the artifact, and [`mod@verify`] imports it in its runtime. [`mod@pipeline`]
//! holds the order of the stages. A [`mod@cache`] holds what later builds can use again.
//!
//! The library prints nothing, reads neither environment nor clock, and handles no signal. The caller
//! passes them in as values, and receives an [`event`] for each thing that happens.
//!
//! # Where to begin
//!
//! A program that embeds prebuild needs the names at the root of this crate: a [`Request`] says what to install,
//! for which [`Destination`], [`How`], and what to write ([`Outputs`]); a [`Runner`](runner::Runner) such as
//! [`Local`] or [`Container`] is the builder. [`build()`] returns an [`Artifact`], [`plan()`] a [`Plan`], which
//! [`build_planned()`] builds. [`Event`]s tell what happens, [`Cancel`] stops it, and an [`Error`] has a
//! [`Kind`], a message, and often a hint.
//!
//! The modules below are building blocks. They are public for programs that need a part alone, such as reading
//! requirements or packing a directory, and change more often than the root does.
//!
//! # Examples
//!
//! Read requirements:
//!
//! ```
//! use std::{collections::BTreeMap, path::Path};
//! use prebuild::requirements::{Context, Input, Requirements};
//!
//! let env = BTreeMap::from([("TOKEN".to_owned(), "secret".to_owned())]);
//! let context = Context { env: &env, cwd: Path::new("/srv/app") };
//! let text = b"-i https://${TOKEN}@index.example/simple\nflask[async]>=3 # the web\n";
//! let read = Requirements::read(&[Input::Stdin(text.to_vec())], &[], &context)?;
//! let flask = &read.entries()[0];
//! assert_eq!(flask.written.to_string(), "flask[async]>=3");
//! assert_eq!(flask.at.to_string(), "-:2:1");
//! assert!(!format!("{read:?}").contains("secret"));
//! # Ok::<(), prebuild::requirements::Error>(())
//! ```
//!
//! Build with a [`Runner`](runner::Runner) of your own, here one that prints each command:
//!
//! ```
//! use std::collections::BTreeMap;
//! use prebuild::event::Stream;
//! use prebuild::runner::{Error, Exec, Identity, Runner, Session};
//! use prebuild::tree::Tree;
//! use prebuild::{Cancel, Input, Local, Request};
//!
//! struct Printing(Local);
//! struct PrintingSession(Box<dyn Session>);
//!
//! impl Runner for Printing {
//!     fn open(&self, cancel: &Cancel) -> Result<Box<dyn Session>, Error> {
//!         Ok(Box::new(PrintingSession(self.0.open(cancel)?)))
//!     }
//! }
//!
//! impl Session for PrintingSession {
//!     fn identity(&self) -> &Identity { self.0.identity() }
//!     fn python(&self) -> &str { self.0.python() }
//!     fn locate(&self, inside: &str) -> String { self.0.locate(inside) }
//!     fn inherits(&self) -> bool { self.0.inherits() }
//!     fn put(&mut self, inside: &str, tree: &Tree) -> Result<(), Error> { self.0.put(inside, tree) }
//!     fn get(&mut self, inside: &str) -> Result<Tree, Error> { self.0.get(inside) }
//!     fn run(
//!         &mut self,
//!         exec: &Exec,
//!         input: &[u8],
//!         on_line: &mut dyn FnMut(Stream, &str),
//!     ) -> Result<(), Error> {
//!         println!("runs {exec}");
//!         self.0.run(exec, input, on_line)
//!     }
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let env: BTreeMap<String, String> = std::env::vars().collect();
//! let mut request = Request::new(vec![Input::Stdin(Vec::new())], folder, env);
//! request.outputs.files = vec![format!("{}/deps.tar.gz", folder.display()).parse()?];
//! let runner = Printing(request.local("python3"));
//! let artifact = prebuild::build(&request, &runner, &|_| {}, &Cancel::new())?;
//! assert_eq!(artifact.files, 0); // Nothing was asked for.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Plan, look at the plan, and build it into memory, with no lock file:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::{Arc, Mutex};
//! use prebuild::{Cancel, Format, Input, Output, Request, build_planned, plan};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let env: BTreeMap<String, String> = std::env::vars().collect();
//! let requirements = Input::Stdin(b"six==1.17.0 ; python_version < '3'\n".to_vec());
//! let mut request = Request::new(vec![requirements], folder, env);
//! let runner = request.local("python3");
//! let cancel = Cancel::new();
//!
//! let Request { what, destination, how, .. } = &request;
//! let (plan, _) = plan(what, destination, how, &runner, &|_| {}, &cancel)?;
//! for item in &plan.distributions {
//!     println!("{} {} from {}", item.name, item.version, item.url);
//! }
//! assert!(!plan.requirements[0].applies); // Its marker excludes it.
//!
//! let bytes = Arc::new(Mutex::new(Vec::new()));
//! request.outputs.files.extend(Output::to_writer(Arc::clone(&bytes), Format::TarGz));
//! let artifact = build_planned(&plan, &request, &runner, &|_| {}, &cancel)?;
//! assert_eq!(artifact.outputs[0].size, bytes.lock().unwrap().len() as u64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Pack a folder that some other tool filled:
//!
//! ```
//! use prebuild::event::Cancel;
//! use prebuild::pack::{self, Format, Options, Output};
//! use prebuild::tree::Tree;
//!
//! # let folder = tempfile::tempdir()?;
//! # let filled = folder.path().join("filled");
//! # std::fs::create_dir(&filled)?;
//! # std::fs::write(filled.join("module.py"), "x = 1\n")?;
//! let tree = Tree::read(&filled)?;
//! let output = Output::new(folder.path().join("deps.tar.zst"), Format::TarZst);
//! let packed = pack::pack(&tree, &[output], &Options::default(), None, &|_| {}, &Cancel::new())?;
//! println!("{}", packed[0].digest.unwrap()); // The same wherever and whenever this runs.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod artifact;
pub mod audit;
pub mod bundle;
pub mod cache;
pub mod code;
pub mod diagnosis;
pub mod digest;
pub mod error;
pub mod event;
pub mod fs;
pub mod index;
pub mod inflate;
pub mod install;
pub mod interpreter;
pub mod layout;
pub mod lock;
pub mod pack;
pub mod piece;
pub mod pip;
pub mod pipeline;
pub mod plan;
pub mod relink;
pub mod requirements;
pub mod resolve;
pub mod runner;
pub mod runtime;
pub mod target;
pub mod tree;
pub mod verify;
pub mod wheel;

pub use artifact::Artifact;
pub use error::{Diagnosis, Error, Kind};
pub use event::{Cancel, Event, Stage};
pub use pack::{Format, Output};
pub use pipeline::{
    Destination, How, LockUse, Outputs, Request, Trust, What, build, build_all, build_planned,
    lock, plan,
};
pub use plan::Plan;
pub use requirements::Input;
pub use runner::{Container, Local};
