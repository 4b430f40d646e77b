//! Files → entries and options: what pip does with each line, and with the files that lines name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::decode::{decode, decode_told};
use super::detect::is_lock_file;
use super::entry::{Entry, Hash, What};
use super::error::{Error, Fault, Problem, Role, excerpt};
use super::lines::{Line, MAX_LINES, Part, logical_lines, place_behind, split_lines, variables};
use super::link::{Link, is_http, normalize};
use super::text::{Location, redact};
use super::words::{self, Given, Name};
use super::{Context, Download, File, Input, Requirements, Warning};
use super::{foreign, form};
use crate::digest::Digest;
use crate::event::Cancel;
use crate::fs;

/// How deep files may include one another, and how many inclusions there may be in all. Files that
/// include others twice over need few lines to ask for more than any machine can read.
pub(super) const MAX_DEPTH: usize = 200;
const MAX_FILES: usize = 10_000;
/// The most bytes of a file. The longest lists with hashes have some hundred kilobytes.
pub(super) const MAX_BYTES: u64 = 16 << 20;
/// How many variables that are not set are told.
const MAX_TOLD: usize = 100;

/// Reads files into [`Requirements`].
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) context: &'a Context<'a>,
    download: Option<&'a dyn Download>,
    cancel: &'a Cancel,
    pub(super) read: Requirements,
    /// The local projects whose own dependencies were looked at.
    pub(super) followed: BTreeSet<PathBuf>,
    /// The variables that are not set and were told.
    told: BTreeSet<String>,
    /// How many bytes the lines of further files may take.
    room: usize,
}

/// The bytes of a file, and where they came from.
#[derive(Debug)]
struct Opened {
    /// Where it is; for one that was downloaded, as if it were in the working folder.
    path: PathBuf,
    /// Where it was downloaded from, credentials and all.
    url: Option<Url>,
    data: Vec<u8>,
    /// The encoding that the server tells.
    charset: Option<String>,
}

impl Opened {
    /// What parts it from other files.
    fn key(&self) -> PathBuf {
        match &self.url {
            Some(url) => PathBuf::from(url.as_str()),
            None => self.path.clone(),
        }
    }
}

/// A file that is being read.
pub(super) struct Source<'a> {
    /// As it is named in messages.
    file: Arc<Path>,
    /// Where it is; relative names of other files start at its folder.
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) constraint: bool,
    /// Where it was downloaded from.
    url: Option<&'a Url>,
    /// The files that include it, and itself.
    stack: &'a [PathBuf],
}

impl<'a> Source<'a> {
    /// A project's file.
    pub(super) fn of_project(file: Arc<Path>, path: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            path,
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            constraint: false,
            url: None,
            stack: &[],
        }
    }

    /// The same file, read for constraints.
    pub(super) fn for_constraints(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            constraint: true,
            ..*self
        }
    }

    /// The place of a byte of the text.
    pub(super) fn location_at(&self, at: usize) -> Location {
        let (line, column) = place_behind(&self.text[..at.min(self.text.len())]);
        Location {
            file: Arc::clone(&self.file),
            line,
            column,
        }
    }

    pub(super) fn location(&self, line: &Line, at: usize) -> Location {
        let (line, column) = line.place(at);
        Location {
            file: Arc::clone(&self.file),
            line,
            column,
        }
    }

    fn excerpt(&self, at: &Location) -> String {
        let line = split_lines(self.text).nth(at.line - 1).unwrap_or_default();
        excerpt(line, at.column)
    }

    pub(super) fn error(&self, line: &Line, fault: Fault) -> Error {
        let fault = likelier(line, fault);
        let at = self.location(line, fault.at);
        Error::Invalid {
            excerpt: self.excerpt(&at).into(),
            at,
            problem: fault.problem,
        }
    }

    /// An error at a byte of the text.
    pub(super) fn error_at(&self, fault: Fault) -> Error {
        invalid(&self.file, self.text.as_bytes(), fault.at, fault.problem)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        context: &'a Context<'a>,
        download: Option<&'a dyn Download>,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            context,
            download,
            cancel,
            read: Requirements::default(),
            followed: BTreeSet::new(),
            told: BTreeSet::new(),
            room: MAX_LINES,
        }
    }

    pub(super) fn finish(self) -> Requirements {
        self.read
    }

    /// Reads a file that the caller named.
    pub(super) fn input(&mut self, input: &Input, constraint: bool) -> Result<(), Error> {
        let role = if constraint {
            Role::Constraints
        } else {
            Role::Requirements
        };
        match input {
            Input::Path(named) => {
                let path = self.locate(named)?;
                if let Some(problem) = foreign::by_name(named, &path) {
                    return Err(Error::Input(problem));
                }
                let data = self.bytes(named, &path, role)?;
                if is_lock_file(named) {
                    let file = named.as_path().into();
                    return Err(invalid(&file, &data, 0, Problem::LockFile));
                }
                let opened = Opened {
                    path,
                    url: None,
                    data,
                    charset: None,
                };
                self.file(named, &opened, constraint, &[])
            }
            Input::Url(text) => {
                let named = PathBuf::from(text.to_string());
                let url = Url::parse(text.expanded())
                    .map_err(|error| Error::Input(Problem::Url(error.to_string())))?;
                if let Some(problem) = foreign::by_url(&named, &url) {
                    return Err(Error::Input(problem));
                }
                let opened = self.downloaded(url).map_err(|failed| match failed {
                    Failed::Problem(problem) => Error::Input(problem),
                    Failed::Download(source) => Error::Download {
                        url: text.to_string(),
                        role,
                        source,
                    },
                })?;
                self.file(&named, &opened, constraint, &[])
            }
            Input::Stdin(data) => {
                let opened = Opened {
                    path: self.context.cwd.join("-"),
                    url: None,
                    data: data.clone(),
                    charset: None,
                };
                self.file(Path::new("-"), &opened, constraint, &[])
            }
            Input::Project {
                path: named,
                extras,
                groups,
            } => {
                let path = normalize(&self.context.cwd.join(named));
                let data = self.bytes(named, &path, Role::Project)?;
                let file = self.opened(named, &data, constraint);
                let text = std::str::from_utf8(&data).map_err(|error| {
                    let problem = Problem::NotToml("it is not UTF-8".to_owned());
                    invalid(&file, &data, error.valid_up_to(), problem)
                })?;
                let source = Source {
                    constraint,
                    ..Source::of_project(file, &path, text)
                };
                self.project(&source, extras, groups)
            }
        }
    }

    fn bytes(&self, named: &Path, path: &Path, role: Role) -> Result<Vec<u8>, Error> {
        fs::read_any(path, MAX_BYTES, self.cancel).map_err(|source| Error::Read {
            file: named.to_owned(),
            role,
            near: foreign::near(path),
            source,
        })
    }

    /// Where a file is that the caller named by a path or a `file:` URL.
    fn locate(&self, named: &Path) -> Result<PathBuf, Error> {
        let url = named.to_str().filter(|text| text.starts_with("file:"));
        match url.map(Link::new) {
            Some(Ok(Some(link))) => link.to_path(self.context.cwd).map_err(Error::Input),
            Some(Err(problem)) => Err(Error::Input(problem)),
            _ => Ok(normalize(&self.context.cwd.join(named))),
        }
    }

    /// Downloads a file.
    fn downloaded(&self, url: Url) -> Result<Opened, Failed> {
        let download = self.download.ok_or(Failed::Problem(Problem::Remote))?;
        let downloaded = download.download(url.as_str()).map_err(Failed::Download)?;
        Ok(Opened {
            path: self.context.cwd.join("-"),
            url: Some(url),
            data: downloaded.data,
            charset: downloaded.charset,
        })
    }

    /// Takes down a file that is read.
    pub(super) fn opened(&mut self, named: &Path, data: &[u8], constraint: bool) -> Arc<Path> {
        self.read.files.push(File {
            path: named.to_owned(),
            digest: Digest::of(data),
            constraint,
        });
        named.into()
    }

    fn file(
        &mut self,
        named: &Path,
        opened: &Opened,
        constraint: bool,
        stack: &[PathBuf],
    ) -> Result<(), Error> {
        let data = &opened.data;
        let file = self.opened(named, data, constraint);
        // What cannot be read as requirements may be another tool's file.
        let other = |error: Error| match foreign::by_content(named, data) {
            Some(problem) => Error::Input(problem),
            None => error,
        };
        let text = match &opened.charset {
            Some(charset) => decode_told(data, charset),
            None => decode(data),
        };
        let text = text.map_err(|(at, problem)| other(invalid(&file, data, at, problem)))?;
        let stack = [stack, &[opened.key()]].concat();
        let source = Source {
            file,
            path: &opened.path,
            text: &text,
            constraint,
            url: opened.url.as_ref(),
            stack: &stack,
        };
        let none = BTreeMap::new();
        let env = match &opened.url {
            Some(_) => &none,
            None => self.context.env,
        };
        let lines = logical_lines(&text, env, &mut self.room)
            .map_err(|line| source.error(&line, Fault::new(0, Problem::TooMuch)))?;
        for line in lines {
            self.variables(&source, &line)?;
            self.line(&source, &line).map_err(|error| match error {
                Error::Invalid { ref at, .. } if at.file == source.file => other(error),
                error => error,
            })?;
        }
        Ok(())
    }

    /// Tells of the variables in a line that were not expanded. A downloaded file is not to learn any.
    fn variables(&mut self, source: &Source<'_>, line: &Line) -> Result<(), Error> {
        for variable in variables(line.text()) {
            let name = &variable[2..variable.len() - 1];
            if self.told.len() == MAX_TOLD || self.told.contains(name) {
                continue;
            }
            let at = line.text().find(&variable).unwrap_or_default();
            let is_set = match self.context.env.get(name) {
                Some(value) if value.is_empty() => "is empty",
                Some(_) if source.url.is_some() => {
                    let problem = Problem::RemoteVariable(name.to_owned());
                    return Err(source.error(line, Fault::new(at, problem)));
                }
                // What a value holds is not expanded again.
                Some(_) => continue,
                None => "is not set",
            };
            let what =
                format!("the environment variable `{name}` {is_set}: `{variable}` stays as it is");
            self.told.insert(name.to_owned());
            self.warn(source, line, at, what);
        }
        Ok(())
    }

    fn line(&mut self, source: &Source<'_>, line: &Line) -> Result<(), Error> {
        let text = line.text();
        let start = options_start(text);
        // Most lines have no options.
        let words = words::words(line, start).map_err(|fault| source.error(line, fault))?;
        let options = words::parse(line, &words).map_err(|fault| source.error(line, fault))?;
        for overlooked in &options.overlooked {
            let what = format!("pip overlooks `{}`", overlooked.to_text());
            self.warn(source, line, overlooked.offset(0), what);
        }
        for given in &options.given {
            self.value(source, line, *given)
                .map_err(|fault| source.error(line, fault))?;
        }
        let given = &options.given;
        let first = |name| given.iter().find(|given| given.name == name);
        let editable = first(Name::Editable);
        let before = text[..start].strip_suffix(' ').unwrap_or(&text[..start]);
        let requirement = if before.is_empty() {
            editable.map(|given| given.value)
        } else {
            Some(Part::of(line, 0..before.len()))
        };
        if let Some(part) = requirement {
            self.entry(source, line, part, given)
        } else if let Some(given) = first(Name::Requirement) {
            self.overlook(
                source,
                line,
                options.given.iter().filter(|other| other.at != given.at),
            );
            self.include(source, line, *given, false)
        } else if let Some(given) = first(Name::Constraint) {
            self.overlook(
                source,
                line,
                options.given.iter().filter(|other| other.at != given.at),
            );
            self.include(source, line, *given, true)
        } else {
            self.options(source, line, given)
        }
    }

    fn entry(
        &mut self,
        source: &Source<'_>,
        line: &Line,
        part: Part<'_>,
        given: &[Given<'_>],
    ) -> Result<(), Error> {
        let editable = given.iter().find(|given| given.name == Name::Editable);
        let is_editable = editable.is_some();
        let form = if is_editable {
            form::read_editable(part, self.context.cwd)
        } else {
            form::read(part, self.context.cwd)
        };
        let form = form.map_err(|fault| source.error(line, fault))?;
        let hashes = if is_editable {
            Vec::new()
        } else {
            self.hashes(source, line, given)
        };
        let config_settings = given
            .iter()
            .filter(|given| given.name == Name::ConfigSettings)
            .map(|given| given.value.to_text())
            .collect();
        let used = |name| match name {
            Name::Hash => !is_editable,
            name => name == Name::ConfigSettings,
        };
        let own = |given: &Given<'_>| editable.is_some_and(|own| own.at == given.at);
        self.overlook(
            source,
            line,
            given
                .iter()
                .filter(|given| !used(given.name) && !own(given)),
        );
        let at = part.offset(0);
        let entry = Entry {
            what: form.what,
            extras: form.extras,
            marker: form.marker,
            hashes,
            config_settings,
            editable: is_editable,
            written: part.trim().to_text(),
            at: source.location(line, at),
        };
        self.push(source, line, at, entry)
    }

    /// Takes over an entry that begins at a byte of a line.
    pub(super) fn push(
        &mut self,
        source: &Source<'_>,
        line: &Line,
        at: usize,
        entry: Entry,
    ) -> Result<(), Error> {
        if let What::Named { name, specifier } = &entry.what
            && name.as_str() == "pkg-resources"
            && specifier.to_string().ends_with("0.0.0")
        {
            let what = "no index has this distribution: `pip freeze` of Debian and Ubuntu wrote the line, delete it";
            self.warn(source, line, at, what.to_owned());
        }
        if source.constraint {
            if let Some(problem) = no_constraint(&entry) {
                return Err(source.error(line, Fault::new(at, problem)));
            }
            self.read.constraints.push(entry);
        } else {
            self.read.entries.push(entry);
        }
        Ok(())
    }

    /// The `--hash` options, which were checked before.
    fn hashes(&mut self, source: &Source<'_>, line: &Line, given: &[Given<'_>]) -> Vec<Hash> {
        let mut hashes = Vec::new();
        for given in given.iter().filter(|given| given.name == Name::Hash) {
            let Ok(hash) = Hash::parse(given.value.text) else {
                continue;
            };
            if !hash.is_well_formed() {
                let (algorithm, digits) = (hash.algorithm.as_str(), hash.algorithm.digits());
                let what = format!("no file has this hash: {algorithm} has {digits} hex digits");
                self.warn(source, line, given.value.offset(0), what);
            }
            hashes.push(hash);
        }
        hashes
    }

    /// Warns of options that have no effect where they stand.
    pub(super) fn overlook<'g>(
        &mut self,
        source: &Source<'_>,
        line: &Line,
        options: impl Iterator<Item = &'g Given<'g>>,
    ) {
        for given in options {
            let everywhere = matches!(
                given.name,
                Name::NoBinary | Name::OnlyBinary | Name::AllReleases | Name::OnlyFinal
            );
            if !everywhere {
                let what = format!("pip overlooks `{}` here", given.name.as_str());
                self.warn(source, line, given.at, what);
            }
        }
    }

    pub(super) fn warn(&mut self, source: &Source<'_>, line: &Line, at: usize, text: String) {
        self.read.warnings.push(Warning {
            at: source.location(line, at),
            text,
        });
    }

    /// Reads the file that `-r` or `-c` names.
    fn include(
        &mut self,
        source: &Source<'_>,
        line: &Line,
        given: Given<'_>,
        constraint: bool,
    ) -> Result<(), Error> {
        let value = given.value;
        let refuse = |problem| Err(source.error(line, Fault::new(value.offset(0), problem)));
        let (opened, written) = match self.included(source, value) {
            Ok(found) => found,
            Err(Included::Problem(problem)) => return refuse(problem),
            Err(Included::Download(error)) => {
                let at = source.location(line, value.offset(0));
                return Err(Error::IncludeDownload {
                    excerpt: source.excerpt(&at).into(),
                    at,
                    source: error,
                });
            }
            Err(Included::Read(error, near)) => {
                let at = source.location(line, value.offset(0));
                return Err(Error::Include {
                    excerpt: source.excerpt(&at).into(),
                    at,
                    near,
                    source: error,
                });
            }
        };
        match self.file(&written, &opened, constraint, source.stack) {
            // What it is instead is told where it is named.
            Err(Error::Input(problem)) => refuse(problem),
            done => done,
        }
    }

    /// The file that `-r` or `-c` names, and what it is called.
    fn included(
        &self,
        source: &Source<'_>,
        value: Part<'_>,
    ) -> Result<(Opened, PathBuf), Included> {
        let check = |key: &PathBuf, written: &PathBuf| {
            if source.stack.contains(key) {
                return Err(Included::Problem(Problem::Cycle(written.clone())));
            }
            if source.stack.len() >= MAX_DEPTH || self.read.files.len() >= MAX_FILES {
                return Err(Included::Problem(Problem::TooManyFiles));
            }
            Ok(())
        };
        let text = value.to_text();
        let shown = || redact(text.written());
        let is_remote = is_http(value.text);
        if let Some(name) = unset(value.text).filter(|_| is_remote || source.url.is_some()) {
            return Err(Included::Problem(Problem::UnsetVariable(name)));
        }
        if is_remote || source.url.is_some() {
            // As pip: relative to the URL by which the file was named.
            let url = match source.url {
                Some(base) => base.join(value.text),
                None => Url::parse(value.text),
            };
            let url = url.map_err(|error| Included::Problem(Problem::Url(error.to_string())))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(Included::Problem(Problem::RemoteNamesLocal));
            }
            let written = PathBuf::from(if is_remote {
                shown()
            } else {
                redact(url.as_str())
            });
            check(&PathBuf::from(url.as_str()), &written)?;
            if let Some(problem) = foreign::by_url(&written, &url) {
                return Err(Included::Problem(problem));
            }
            return Ok((self.downloaded(url)?, written));
        }
        let folder = source.path.parent().unwrap_or(Path::new("/"));
        let url = Link::new(value.text).map_err(Included::Problem)?;
        let (path, written) = match url {
            Some(url) if url.is_file() => {
                let path = url.to_path(folder).map_err(Included::Problem)?;
                (path, PathBuf::from(shown()))
            }
            _ => {
                let named = source.file.parent().unwrap_or(Path::new(""));
                let written = normalize(&named.join(shown()));
                (normalize(&folder.join(value.text)), written)
            }
        };
        check(&path, &written)?;
        if let Some(problem) = foreign::by_name(&written, &path) {
            return Err(Included::Problem(problem));
        }
        let data = fs::read_any(&path, MAX_BYTES, self.cancel).map_err(|error| {
            // An expanded name is not shown: what was written is told instead.
            if text.is_expanded() {
                Included::Read(
                    fs::Error::new("read", &written, error.kind().into()),
                    Box::default(),
                )
            } else {
                Included::Read(error, foreign::near(&path))
            }
        })?;
        let opened = Opened {
            path,
            url: None,
            data,
            charset: None,
        };
        Ok((opened, written))
    }
}

/// Why a file was not downloaded.
enum Failed {
    Problem(Problem),
    Download(super::DownloadError),
}

/// Why a file that is named in another one is not read.
enum Included {
    Problem(Problem),
    Download(super::DownloadError),
    /// And the names that are nearest to its name.
    Read(fs::Error, Box<[String]>),
}

impl From<Failed> for Included {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Problem(problem) => Self::Problem(problem),
            Failed::Download(error) => Self::Download(error),
        }
    }
}

/// A variable in a text that was not expanded.
fn unset(text: &str) -> Option<String> {
    let variable = variables(text).into_iter().next()?;
    Some(variable[2..variable.len() - 1].to_owned())
}

/// What is more likely to be wrong than that a line is no requirement: a character that looks like
/// another, or a variable that is not set.
fn likelier(line: &Line, fault: Fault) -> Fault {
    let is_of_grammar = matches!(
        fault.problem,
        Problem::Requirement(_)
            | Problem::Marker(_)
            | Problem::SingleEquals
            | Problem::UnknownOption(_)
            | Problem::Names(_)
            | Problem::Quoting(_)
            | Problem::Editable
    );
    if !is_of_grammar {
        return fault;
    }
    if let Some((at, problem)) = foreign::look_alike(line.text()) {
        return Fault::new(at, problem);
    }
    match unset(line.text()) {
        Some(name) => {
            let at = line.text().find("${").unwrap_or(fault.at);
            Fault::new(at, Problem::UnsetVariable(name))
        }
        None => fault,
    }
}

/// Where the options of a line begin: at the first word that begins with `-`, where words are
/// parted by spaces alone.
fn options_start(text: &str) -> usize {
    if text.starts_with('-') {
        return 0;
    }
    text.find(" -").map_or(text.len(), |space| space + 1)
}

/// Why an entry cannot be a constraint.
fn no_constraint(entry: &Entry) -> Option<Problem> {
    if entry.editable {
        Some(Problem::EditableConstraint)
    } else if entry.name().is_none() {
        Some(Problem::UnnamedConstraint)
    } else if entry.extras.is_empty() {
        None
    } else {
        Some(Problem::ConstraintExtras)
    }
}

/// An error at a byte of a file.
fn invalid(file: &Arc<Path>, data: &[u8], at: usize, problem: Problem) -> Error {
    let (line, column) = place_behind(&String::from_utf8_lossy(&data[..at.min(data.len())]));
    let at = Location {
        file: Arc::clone(file),
        line,
        column,
    };
    let whole = String::from_utf8_lossy(data);
    let shown = split_lines(&whole).nth(line - 1).unwrap_or_default();
    Error::Invalid {
        excerpt: excerpt(shown, at.column).into(),
        at,
        problem,
    }
}

/// What lies at paths that a marker might have excluded: see [`Requirements::check`].
pub(super) fn missing(entry: &Entry) -> Option<Error> {
    match &entry.what {
        What::Path {
            kind: super::PathKind::Missing,
            written,
            ..
        } => Some(entry.invalid(Problem::NoSuchPath(written.to_string()))),
        _ => None,
    }
}
