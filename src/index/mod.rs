//! Package indexes: lists the files of a project and downloads them.
//!
//! An index is asked by the [Simple API](
//! https://packaging.python.org/en/latest/specifications/simple-repository-api/), as JSON or HTML; a
//! page or a folder of links is one that has all projects in one place. What is said here of an
//! index's order and of credentials is what pip does, unless a [`Strategy`] says otherwise.
//!
//! **Nothing is believed.** What a page says of a file (its digest, its length, its metadata) is held
//! against the file. Credentials go to the host that they are for, and never along with a redirect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use url::Url;

use crate::cache::Cache;
use crate::event::{Cancel, counted};
use crate::fs;
use crate::requirements::{Name, hide_credentials, is_archive};

mod client;
mod credentials;
mod download;
mod error;
mod fetch;
mod page;
mod pages;
mod resolver;
mod text;

pub use client::Network;
pub use error::Error;
pub use fetch::Wanted;
pub use page::{File, Problem, parse as parse_page};
pub use text::Downloads;

use client::{Client, shown};

/// How many requests are under way at a time.
const WORKERS: usize = 16;
/// How often the switch is looked at while they are.
const TICK: Duration = Duration::from_millis(50);

/// The index that is asked where none is named.
pub const DEFAULT_INDEX: &str = "https://pypi.org/simple";

/// Where files are looked for.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The URLs of indexes, credentials and all, the main one first.
    pub indexes: Vec<String>,
    /// Pages, files and folders of links.
    pub links: Vec<Links>,
    /// Which of them counts.
    pub strategy: Strategy,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            indexes: vec![DEFAULT_INDEX.to_owned()],
            links: Vec::new(),
            strategy: Strategy::default(),
        }
    }
}

/// A place with links to files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Links {
    /// A page.
    Page(String),
    /// A folder with files, or a page in a file.
    Path(PathBuf),
}

/// Which index a project is taken from if several have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Strategy {
    /// The best file of all of them, as pip has it.
    #[default]
    UnsafeBestMatch,
    /// The first that has the project at all: extra indexes in their order, and the main one last. A
    /// name that somebody else takes on the main index is of no use to him then.
    FirstIndex,
}

/// A file that a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the source says of it.
    pub file: File,
    /// The source, credentials hidden.
    pub source: String,
}

/// A failure, and which of the things that were asked for it is about.
#[derive(Debug)]
pub struct Failed {
    /// Its place among them.
    pub about: usize,
    /// What happened.
    pub error: Error,
}

/// A project that is asked for.
pub struct Project<'a> {
    /// The name.
    pub name: &'a Name,
    /// Whether what is kept of its page is enough, however old it is.
    pub suffices: Suffices<'a>,
}

/// Whether the files of a page are all that matter.
pub type Suffices<'a> = Box<dyn Fn(&[File]) -> bool + Sync + 'a>;

impl std::fmt::Debug for Project<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.name.fmt(f)
    }
}

/// The sources of files, and what they said so far.
#[derive(Debug)]
pub struct Index<'a> {
    client: Client<'a>,
    cache: &'a Cache,
    cancel: &'a Cancel,
    indexes: Vec<Url>,
    links: Vec<Links>,
    strategy: Strategy,
    /// Pages of links: read once, for all projects.
    pages: Mutex<BTreeMap<String, Vec<File>>>,
    /// What was overlooked.
    warnings: Mutex<BTreeSet<String>>,
    /// How many bytes the files of further pages may take.
    room: AtomicUsize,
}

/// The most bytes that the files of all pages take, as [`File::weight`] counts them. A project with 10 000
/// files takes 7 MB.
const MAX_FILES: usize = 512 << 20;

impl<'a> Index<'a> {
    /// Takes note of the sources; asks nobody.
    pub fn new(
        sources: &Sources,
        network: &'a Network,
        cache: &'a Cache,
        cancel: &'a Cancel,
    ) -> Result<Self, Error> {
        let client = Client::new(network, cancel);
        let mut indexes = Vec::new();
        for text in &sources.indexes {
            let url = parse(text)?;
            client.learn(&url);
            indexes.push(url);
        }
        for links in &sources.links {
            if let Links::Page(text) = links {
                client.learn(&parse(text)?);
            }
        }
        Ok(Self {
            client,
            cache,
            cancel,
            indexes,
            links: sources.links.clone(),
            strategy: sources.strategy,
            pages: Mutex::default(),
            warnings: Mutex::default(),
            room: AtomicUsize::new(MAX_FILES),
        })
    }

    /// Whether there is one source alone, and no order of several.
    pub(crate) fn is_only_one(&self) -> bool {
        self.indexes.len() + self.links.len() <= 1
    }

    /// The passwords that are known besides those in URLs: of a `.netrc`, and a keyring's.
    pub(crate) fn passwords(&self) -> Vec<String> {
        self.client.passwords()
    }

    /// Takes note of the credentials in a URL, for all that is on its host.
    pub fn learn(&self, url: &str) {
        if let Ok(url) = parse(url) {
            self.client.learn(&url);
        }
    }

    /// The files of each project, in the order of pip's preference: of two that are equally good, the
    /// later one is taken. Projects are asked for at the same time.
    pub fn files<'b>(
        &self,
        projects: &[Project<'b>],
    ) -> Result<BTreeMap<&'b Name, Vec<Found>>, Failed> {
        let found = self.at_once(projects, |project| {
            Ok((project.name, self.of_project(project)?))
        })?;
        Ok(found.into_iter().collect())
    }

    fn of_project(&self, project: &Project<'_>) -> Result<Vec<Found>, Error> {
        let Project { name, suffices } = project;
        let mut found = Vec::new();
        let (folders, pages): (Vec<_>, Vec<_>) = self
            .links
            .iter()
            .partition(|links| matches!(links, Links::Path(path) if !is_page(path)));
        for links in folders.into_iter().chain(pages) {
            let source = links.to_string();
            let files = self.linked(links)?;
            // Only what may be of the project is worth a copy.
            let of_project = files.into_iter().filter(|file| is_of(&file.name, name));
            found.extend(of_project.map(|file| Found {
                file,
                source: source.clone(),
            }));
        }
        let order: Vec<&Url> = match self.strategy {
            Strategy::UnsafeBestMatch => self.indexes.iter().collect(),
            Strategy::FirstIndex => self
                .indexes
                .iter()
                .skip(1)
                .chain(self.indexes.first())
                .collect(),
        };
        for index in order {
            let url = project_url(index, name)?;
            let Some(files) = self.page(&url, suffices)? else {
                continue;
            };
            let source = shown(index);
            let is_there = !files.is_empty();
            found.extend(files.into_iter().map(|file| Found {
                file,
                source: source.clone(),
            }));
            if is_there && self.strategy == Strategy::FirstIndex {
                break;
            }
        }
        Ok(found)
    }

    /// What was overlooked so far, and is not told again.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *warnings).into_iter().collect()
    }

    /// A page of an index, from wherever it is, with the links that it may have.
    fn page(
        &self,
        url: &Url,
        suffices: &dyn Fn(&[File]) -> bool,
    ) -> Result<Option<Vec<File>>, Error> {
        let Some(mut files) = self.any_page(url, suffices)? else {
            return Ok(None);
        };
        self.leave_out(url, &mut files);
        let weight = files.iter().map(File::weight).sum();
        let room = |room: usize| room.checked_sub(weight);
        let order = Ordering::Relaxed;
        if self.room.fetch_update(order, order, room).is_err() {
            return Err(Error::TooMany(shown(url)));
        }
        Ok(Some(files))
    }

    /// Leaves out links that a page may not have: one that a server sends has none to files of this machine,
    /// and what TLS brought names nothing without TLS that has no hash.
    fn leave_out(&self, page: &Url, files: &mut Vec<File>) {
        let is_secure = page.scheme() == "https";
        let mut left_out: BTreeMap<(String, &str), usize> = BTreeMap::new();
        files.retain(|file| {
            let (scheme, _) = file.url.split_once(':').unwrap_or_default();
            let why = match scheme {
                "https" => return true,
                "file" if page.scheme() == "file" => return true,
                "http" if !is_secure || !file.hashes.is_empty() => return true,
                "http" if Url::parse(&file.url).is_ok_and(|url| self.client.is_secure(&url)) => {
                    return true;
                }
                "http" => "a page with TLS links without TLS only to files with a hash",
                "file" => "only a page of this machine links to its files",
                _ => "files are downloaded over HTTP and HTTPS",
            };
            // Pages of links have others than to files: `mailto:`.
            if is_archive(&file.name) || file.name.ends_with(".whl") {
                *left_out.entry((scheme.to_owned(), why)).or_default() += 1;
            }
            false
        });
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for ((scheme, why), count) in left_out {
            let count = counted(count, &format!("`{scheme}:` link"));
            warnings.insert(format!("{}: ignored {count}: {why}", shown(page)));
        }
    }

    fn any_page(
        &self,
        url: &Url,
        suffices: &dyn Fn(&[File]) -> bool,
    ) -> Result<Option<Vec<File>>, Error> {
        if url.scheme() == "file" {
            let path = url.to_file_path().map_err(|()| Error::Url(shown(url)))?;
            let page = if fs::exists(&path).is_some_and(|found| found.is_dir()) {
                path.join("index.html")
            } else {
                path
            };
            return match fs::exists(&page) {
                Some(_) => read_page(&page, url).map(Some),
                None => Ok(None),
            };
        }
        if !self.client.is_secure(url) {
            return Err(Error::Insecure(shown(url)));
        }
        pages::get(&self.client, self.cache, url, suffices)
    }

    /// The files of a place with links.
    fn linked(&self, links: &Links) -> Result<Vec<File>, Error> {
        let key = links.to_string();
        if let Some(files) = self.pages().get(&key) {
            return Ok(files.clone());
        }
        let files = match links {
            Links::Page(text) => self
                .page(&parse(text)?, &|_: &[File]| false)?
                .unwrap_or_default(),
            Links::Path(path) if is_page(path) => {
                let url = Url::from_file_path(path).map_err(|()| Error::Url(key.clone()))?;
                let mut files = read_page(path, &url)?;
                self.leave_out(&url, &mut files);
                files
            }
            Links::Path(path) => folder(path)?,
        };
        self.pages().insert(key, files.clone());
        Ok(files)
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<File>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something for each of many at the same time; the first failure ends all.
    fn at_once<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Failed> {
        let next = AtomicUsize::new(0);
        let (done, results) = mpsc::channel();
        let mut made: Vec<Option<T>> = items.iter().map(|_| None).collect();
        let mut failed = None;
        // All that is missing is told at once.
        let mut offline: Vec<(usize, String)> = Vec::new();
        thread::scope(|scope| {
            let worker = || {
                let (done, next, work) = (done.clone(), &next, &work);
                move || {
                    while let Some((at, item)) = {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        items.get(at).map(|item| (at, item))
                    } {
                        // Nobody listens any more if another one failed.
                        if done.send((at, work(item))).is_err() {
                            break;
                        }
                    }
                }
            };
            let mut threads = (0..WORKERS.min(items.len()))
                .map(|_| thread::Builder::new().spawn_scoped(scope, worker()));
            // As many as the system lets start; without any, this thread does it alone.
            if threads.by_ref().take_while(Result::is_ok).count() == 0 {
                worker()();
            }
            drop(done);
            loop {
                match results.recv_timeout(TICK) {
                    Ok((at, Ok(value))) => made[at] = Some(value),
                    Ok((about, Err(Error::Offline(missing)))) => {
                        offline.extend(missing.into_iter().map(|url| (about, url)));
                    }
                    Ok((about, Err(error))) => {
                        failed = Some(Failed { about, error });
                        break;
                    }
                    Err(RecvTimeoutError::Timeout) if self.cancel.is_cancelled() => {
                        let error = Error::Cancelled;
                        failed = Some(Failed { about: 0, error });
                        break;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if failed.is_some() {
                next.store(items.len(), Ordering::Relaxed);
                self.client.stop();
            }
            drop(results);
        });
        offline.sort();
        let missing = offline.first().map(|(about, _)| Failed {
            about: *about,
            error: Error::Offline(offline.iter().map(|(_, url)| url.clone()).collect()),
        });
        match failed.or(missing) {
            Some(failed) => Err(failed),
            None => Ok(made.into_iter().flatten().collect()),
        }
    }
}

impl std::fmt::Display for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Page(url) => f.write_str(&hide_credentials(url)),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

fn parse(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::Url(hide_credentials(text)))?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url),
        _ => Err(Error::Url(hide_credentials(text))),
    }
}

/// The page of a project: `INDEX/NAME/`.
fn project_url(index: &Url, name: &Name) -> Result<Url, Error> {
    let mut url = index.clone();
    url.path_segments_mut()
        .map_err(|()| Error::Url(shown(index)))?
        .pop_if_empty()
        .push(name.as_str())
        .push("");
    Ok(url)
}

fn is_page(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    ending.eq_ignore_ascii_case("html") || ending.eq_ignore_ascii_case("htm")
}

fn read_page(path: &Path, url: &Url) -> Result<Vec<File>, Error> {
    let text = fs::read_to(path, pages::MAX_PAGE)?;
    page::parse("text/html", &text, url).map_err(|problem| Error::NotAPage {
        url: shown(url),
        problem,
    })
}

/// The files of a folder, those with later names first, as pip has it.
fn folder(path: &Path) -> Result<Vec<File>, Error> {
    let mut names = match fs::names(path) {
        Ok(names) => names,
        // pip warns, and goes on.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    names.sort_by(|a, b| b.cmp(a));
    let files = names.into_iter().filter_map(|name| {
        let url = Url::from_file_path(path.join(&name)).ok()?;
        Some(File {
            name,
            url: url.into(),
            hashes: Vec::new(),
            requires_python: None,
            yanked: None,
            size: None,
            metadata: None,
        })
    });
    Ok(files.collect())
}

/// Whether a file may be one of a project: its name begins with the project's.
fn is_of(file: &str, project: &Name) -> bool {
    let start = file.bytes().position(|byte| byte == b'-').unwrap_or(0);
    let wheel = Name::new(&file[..start]);
    wheel == *project || Name::new(file).as_str().starts_with(project.as_str())
}
