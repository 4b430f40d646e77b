//! Files → entries and options: what pip does with each line, and with the files that lines name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decode::decode;
use super::entry::{Entry, Hash, What};
use super::error::{Error, Fault, Problem, excerpt};
use super::form;
use super::lines::{Line, MAX_LINES, Part, logical_lines, place_behind, split_lines};
use super::link::{Link, normalize};
use super::text::{Location, redact};
use super::words::{self, Given, Name};
use super::{Context, File, Input, Requirements, Warning};
use crate::digest::Digest;
use crate::event::Cancel;
use crate::fs;

/// How deep files may include one another, and how many inclusions there may be in all. Files that
/// include others twice over need few lines to ask for more than any machine can read.
pub(super) const MAX_DEPTH: usize = 200;
const MAX_FILES: usize = 10_000;
/// The most bytes of a file. The longest lists with hashes have some hundred kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// Reads files into [`Requirements`].
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) context: &'a Context<'a>,
    cancel: &'a Cancel,
    pub(super) read: Requirements,
    /// How many bytes the lines of further files may take.
    room: usize,
}

/// A file that is being read.
pub(super) struct Source<'a> {
    /// As it is named in messages.
    file: Arc<Path>,
    /// Where it is; relative names of other files start at its folder.
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    constraint: bool,
    /// The files that include it, and itself.
    stack: &'a [PathBuf],
}

impl Source<'_> {
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
        let at = self.location(line, fault.at);
        Error::Invalid {
            excerpt: self.excerpt(&at),
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
    pub(super) fn new(context: &'a Context<'a>, cancel: &'a Cancel) -> Self {
        Self {
            context,
            cancel,
            read: Requirements::default(),
            room: MAX_LINES,
        }
    }

    pub(super) fn finish(self) -> Requirements {
        self.read
    }

    /// Reads a file that the caller named.
    pub(super) fn input(&mut self, input: &Input, constraint: bool) -> Result<(), Error> {
        let read = |named: &Path| {
            let path = normalize(&self.context.cwd.join(named));
            match fs::read_any(&path, MAX_BYTES, self.cancel) {
                Ok(data) => Ok((path, data)),
                Err(source) => Err(Error::Read {
                    file: named.to_owned(),
                    source,
                }),
            }
        };
        match input {
            Input::Path(named) => {
                let (path, data) = read(named)?;
                if is_lock_file(named) {
                    let file = named.as_path().into();
                    return Err(invalid(&file, &data, 0, Problem::LockFile));
                }
                self.file(named, &path, &data, constraint, &[])
            }
            Input::Stdin(data) => {
                let path = self.context.cwd.join("-");
                self.file(Path::new("-"), &path, data, constraint, &[])
            }
            Input::Project {
                path: named,
                extras,
                groups,
            } => {
                let (path, data) = read(named)?;
                let file = self.opened(named, &data, constraint);
                let text = std::str::from_utf8(&data).map_err(|error| {
                    let problem = Problem::NotToml("it is not UTF-8".to_owned());
                    invalid(&file, &data, error.valid_up_to(), problem)
                })?;
                let source = Source {
                    file,
                    path: &path,
                    text: text.strip_prefix('\u{feff}').unwrap_or(text),
                    constraint,
                    stack: &[],
                };
                self.project(&source, extras, groups)
            }
        }
    }

    /// Takes down a file that is read.
    fn opened(&mut self, named: &Path, data: &[u8], constraint: bool) -> Arc<Path> {
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
        path: &Path,
        data: &[u8],
        constraint: bool,
        stack: &[PathBuf],
    ) -> Result<(), Error> {
        let file = self.opened(named, data, constraint);
        let text = decode(data).map_err(|(at, problem)| invalid(&file, data, at, problem))?;
        let stack = [stack, &[path.to_owned()]].concat();
        let source = Source {
            file,
            path,
            text: &text,
            constraint,
            stack: &stack,
        };
        let lines = logical_lines(&text, self.context.env, &mut self.room)
            .map_err(|line| source.error(&line, Fault::new(0, Problem::TooMuch)))?;
        for line in lines {
            self.line(&source, &line)?;
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
        let folder = source.path.parent().unwrap_or(Path::new("/"));
        let scheme = value
            .text
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let url = match Link::new(value.text) {
            Ok(url) => url,
            Err(problem) => return refuse(problem),
        };
        let (path, written) = match url {
            Some(url) if url.is_file() => match url.to_path(folder) {
                Ok(path) => (path, PathBuf::from(redact(value.to_text().written()))),
                Err(problem) => return refuse(problem),
            },
            Some(_) if matches!(&*scheme, "http" | "https") => return refuse(Problem::Remote),
            _ => {
                let named = source.file.parent().unwrap_or(Path::new(""));
                let written = normalize(&named.join(redact(value.to_text().written())));
                (normalize(&folder.join(value.text)), written)
            }
        };
        if source.stack.contains(&path) {
            return refuse(Problem::Cycle(written));
        }
        if source.stack.len() >= MAX_DEPTH || self.read.files.len() >= MAX_FILES {
            return refuse(Problem::TooManyFiles);
        }
        let data = fs::read_any(&path, MAX_BYTES, self.cancel).map_err(|error| {
            let at = source.location(line, value.offset(0));
            // An expanded name is not shown: what was written is told instead.
            let error = if value.to_text().is_expanded() {
                fs::Error::new("read", &written, error.kind().into())
            } else {
                error
            };
            Error::Include {
                excerpt: source.excerpt(&at),
                at,
                source: error,
            }
        })?;
        self.file(&written, &path, &data, constraint, source.stack)
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

/// Whether pip would read the file as a lock file, and not as requirements.
fn is_lock_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let middle = name
        .strip_prefix("pylock.")
        .and_then(|rest| rest.strip_suffix("toml"));
    middle.is_some_and(|middle| middle.trim_end_matches('.').chars().all(|c| c != '.'))
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
        excerpt: excerpt(shown, at.column),
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
