//! Installs Python requirements ahead of time: a `requirements.txt` in, a reproducible install
//! prefix out.
//!
//! ```text
//! requirements ─► plan ─► builder ─► tree ─► findings ─► artifact
//!      resolver           runner              packer
//! ```
//!
//! [`requirements`] reads the user's files. A [`runner`] opens a builder, and [`interpreter`] describes
//! its Python; or the user names a [`target`]. A [`plan`] lists what a build installs: [`resolve`] makes
//! it from pinned requirements and the files of an [`index`], a [`lock`] file contains it, or [`pip`]
//! resolves in the builder. prebuild verifies each [`wheel`] and reads what its [`code`] needs from the
//! [`runtime`]. [`install`] puts the wheels together as a [`tree`]. [`mod@audit`] finds incompatibilities
//! with the runtime; [`mod@bundle`] copies missing libraries, and [`mod@relink`] changes the files that
//! need them. [`mod@pack`] writes the artifact, and [`mod@verify`] imports it in its runtime. [`pipeline`]
//! holds the order of the stages. A [`mod@cache`] holds what later builds can use again.
//!
//! The library prints nothing, reads neither environment nor clock, and handles no signal. The caller
//! passes them in as values, and receives an [`event`] for each thing that happens.
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
//! use prebuild::event::{Cancel, Stream};
//! use prebuild::pipeline::{self, Request};
//! use prebuild::requirements::Input;
//! use prebuild::runner::{Error, Exec, Identity, Local, Runner, Session};
//! use prebuild::tree::Tree;
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
//! let mut request = Request::new(vec![Input::Stdin(Vec::new())], folder);
//! request.pip.env = env.clone();
//! request.outputs = vec![format!("{}/deps.tar.gz", folder.display()).parse()?];
//! let runner = Printing(Local::new("python3", folder, env));
//! let artifact = pipeline::build(&request, &runner, &|_| {}, &Cancel::new())?;
//! assert_eq!(artifact.files, 0); // Nothing was asked for.
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
