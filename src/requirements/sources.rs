//! What `[tool.uv]` says of a project's dependencies: where some of them come from, and which indexes and
//! constraints there are.
//!
//! A source is honoured where pip can do the same, and refused by its name where it cannot: the name of
//! what only a private index has must not be asked of a public one.
//!
//! <https://docs.astral.sh/uv/concepts/projects/dependencies/#dependency-sources>

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::entry::{Entry, UrlKind, What};
use super::error::{Error, Fault, Problem};
use super::lines::{Line, Part};
use super::link::{self, Link, normalize};
use super::marker::{self, Marker};
use super::project::{Place, Quoted, Value, as_list, as_string, as_table};
use super::reader::{MAX_BYTES, Reader, Source};
use super::specifier::{self, Name};
use super::text::{LocalPath, Location, Text};
use super::{FindLinks, Located, ReleaseControl, Warning, document, form};
use crate::fs;

/// How many directories are looked at for the members of a workspace.
const MAX_DIRECTORIES: usize = 10_000;

/// How many local projects are followed from one to another.
const MAX_PROJECTS: usize = 200;

/// The command that gives what uv decides as a lock file.
const EXPORT: &str = "let uv decide: `uv export --no-emit-project --format pylock.toml -o pylock.toml`, then \
    `prebuild pylock.toml`";

type Result<T, E = Error> = std::result::Result<T, E>;

/// A file of a project that is read besides the one that the caller named.
pub(super) struct OtherFile {
    named: Arc<Path>,
    path: PathBuf,
    text: String,
}

impl OtherFile {
    fn source(&self) -> Source<'_> {
        Source::of_project(Arc::clone(&self.named), &self.path, &self.text)
    }
}

/// What `[tool.uv.sources]` says of a name, of all that it says.
#[derive(Debug, Clone)]
struct Given {
    at: Location,
    excerpt: Box<str>,
    /// The directory of the file.
    folder: PathBuf,
    /// `None` for a value that is neither a string nor a truth.
    keys: BTreeMap<String, Option<Setting>>,
}

#[derive(Debug, Clone)]
enum Setting {
    Text(String),
    Is(bool),
}

impl Given {
    fn text(&self, key: &str) -> Option<&str> {
        match self.keys.get(key) {
            Some(Some(Setting::Text(text))) => Some(text),
            _ => None,
        }
    }

    fn is(&self, key: &str) -> bool {
        matches!(self.keys.get(key), Some(Some(Setting::Is(true))))
    }

    fn error(&self, problem: Problem) -> Error {
        Error::Invalid {
            at: self.at.clone(),
            excerpt: self.excerpt.clone(),
            problem,
        }
    }

    fn refuse(&self, what: String) -> Error {
        self.error(Problem::OtherSetting {
            what,
            hint: EXPORT.to_owned(),
        })
    }
}

/// Where the dependencies of a project come from.
#[derive(Debug, Default)]
pub(super) struct Sources {
    by_name: BTreeMap<Name, Vec<Given>>,
    /// The names of indexes that stand for all others.
    defaults: BTreeSet<String>,
    workspace: Option<Workspace>,
}

/// A workspace: its root, and the patterns of its members.
#[derive(Debug, Clone)]
struct Workspace {
    root: PathBuf,
    members: Vec<String>,
    exclude: Vec<String>,
}

/// `[tool.uv]` of a document.
fn tool<'a>(document: &'a DeTable<'a>, name: &str) -> Option<&'a DeTable<'a>> {
    document
        .get("tool")?
        .get_ref()
        .as_table()?
        .get(name)?
        .get_ref()
        .as_table()
}

/// The settings of uv that change which versions are chosen, and that pip does not have.
const REFUSED: [(&str, &str); 3] = [
    ("override-dependencies", "pip has no overrides"),
    ("exclude-dependencies", "pip excludes no dependencies"),
    (
        "dependency-metadata",
        "pip reads the metadata of distributions alone",
    ),
];

/// The settings of uv that change which versions are chosen or how they are built, and may be left out.
const LEFT_OUT: [&str; 13] = [
    "build-constraint-dependencies",
    "config-settings",
    "exclude-newer",
    "exclude-newer-package",
    "extra-build-dependencies",
    "fork-strategy",
    "index-strategy",
    "no-binary",
    "no-binary-package",
    "no-build",
    "no-build-isolation-package",
    "no-build-package",
    "resolution",
];

impl Reader<'_> {
    /// Reads where the dependencies of a project come from, and takes over what holds for all of them.
    pub(super) fn sources(
        &mut self,
        source: &Source<'_>,
        document: &DeTable<'_>,
    ) -> Result<Sources> {
        let mut sources = Self::own_sources(source, document)?;
        let above = match &sources.workspace {
            Some(_) => None,
            None => self.workspace_above(source.path),
        };
        let Some((file, workspace)) = above else {
            self.settings(source, document, &mut sources)?;
            return Ok(sources);
        };
        // The members of a workspace have the sources of its root, and its settings alone.
        self.opened(&file.named, file.text.as_bytes(), source.constraint);
        let root = file.source();
        let document = parsed(&root)?;
        let of_root = Self::own_sources(&root, document.get_ref())?;
        for (name, given) in of_root.by_name {
            sources.by_name.entry(name).or_insert(given);
        }
        sources.workspace = Some(workspace);
        self.settings(&root, document.get_ref(), &mut sources)?;
        Ok(sources)
    }

    /// `[tool.uv.sources]` and `[tool.uv.workspace]` of one file.
    fn own_sources(source: &Source<'_>, document: &DeTable<'_>) -> Result<Sources> {
        let mut sources = Sources::default();
        let Some(uv) = tool(document, "uv") else {
            return Ok(sources);
        };
        let fail = |fault| source.error_at(fault);
        let folder = source.path.parent().unwrap_or(Path::new("/"));
        if let Some(workspace) = uv.get("workspace") {
            let workspace = as_table(workspace, "tool.uv.workspace").map_err(fail)?;
            sources.workspace = Some(Workspace {
                root: folder.to_owned(),
                members: strings(workspace, "members").map_err(fail)?,
                exclude: strings(workspace, "exclude").map_err(fail)?,
            });
        }
        let is_off = |value: &Value<'_>| value.get_ref().as_bool() == Some(true);
        if uv.get("no-sources").is_some_and(is_off) {
            return Ok(sources);
        }
        let Some(table) = uv.get("sources") else {
            return Ok(sources);
        };
        for (name, value) in as_table(table, "tool.uv.sources").map_err(fail)? {
            let key = format!("tool.uv.sources.{}", name.get_ref());
            let list = match value.get_ref() {
                DeValue::Array(list) => list.iter().collect(),
                _ => vec![value],
            };
            let mut all = Vec::new();
            for value in list {
                let table = as_table(value, &key).map_err(fail)?;
                // A table of its own begins far from its name.
                let place = source.error_at(Fault::new(name.span().start, Problem::NoProject));
                let Error::Invalid { at, excerpt, .. } = place else {
                    continue;
                };
                let keys = table.iter().map(|(key, value)| {
                    let setting = match value.get_ref() {
                        DeValue::String(text) => Some(Setting::Text(text.to_string())),
                        DeValue::Boolean(is) => Some(Setting::Is(*is)),
                        _ => None,
                    };
                    (key.get_ref().to_string(), setting)
                });
                all.push(Given {
                    at,
                    excerpt,
                    folder: folder.to_owned(),
                    keys: keys.collect(),
                });
            }
            sources.by_name.insert(Name::new(name.get_ref()), all);
        }
        Ok(sources)
    }

    /// The workspace of which a project is a member: the nearest above it.
    fn workspace_above(&self, path: &Path) -> Option<(OtherFile, Workspace)> {
        let folder = path.parent()?;
        for above in folder.ancestors().skip(1) {
            let path = above.join("pyproject.toml");
            let Some(file) = self.other_file(&path) else {
                continue;
            };
            let source = file.source();
            let Ok(document) = document::parse(&file.text) else {
                continue;
            };
            let Ok(found) = Self::own_sources(&source, document.get_ref()) else {
                continue;
            };
            if let Some(workspace) = found.workspace {
                let below = folder.strip_prefix(above).ok()?;
                let is_member = workspace.has(below);
                return is_member.then_some((file, workspace));
            }
        }
        None
    }

    /// A `pyproject.toml` that the caller did not name.
    fn other_file(&self, path: &Path) -> Option<OtherFile> {
        if !fs::exists(path).is_some_and(|found| found.is_file()) {
            return None;
        }
        let text = String::from_utf8(fs::read_at_most(path, MAX_BYTES).ok()?).ok()?;
        let named = path.strip_prefix(self.context.cwd).unwrap_or(path);
        Some(OtherFile {
            named: named.into(),
            path: path.to_owned(),
            text,
        })
    }

    /// Takes over the settings of `[tool.uv]`; refuses what pip cannot do.
    fn settings(
        &mut self,
        source: &Source<'_>,
        document: &DeTable<'_>,
        sources: &mut Sources,
    ) -> Result<()> {
        let Some(uv) = tool(document, "uv") else {
            return Ok(());
        };
        let fail = |fault| source.error_at(fault);
        let at = |value: &Value<'_>| value.span().start;
        for (key, why) in REFUSED {
            let is_empty = |value: &Value<'_>| {
                value
                    .get_ref()
                    .as_array()
                    .is_some_and(|list| list.is_empty())
            };
            if let Some(value) = uv.get(key).filter(|value| !is_empty(value)) {
                let problem = Problem::OtherSetting {
                    what: format!("`tool.uv.{key}` changes what is installed, and {why}"),
                    hint: EXPORT.to_owned(),
                };
                return Err(fail(Fault::new(at(value), problem)));
            }
        }
        for key in LEFT_OUT {
            if let Some(value) = uv.get(key) {
                self.tell(
                    source,
                    at(value),
                    format!("`tool.uv.{key}` has no effect here"),
                );
            }
        }
        if let Some(list) = uv.get("constraint-dependencies") {
            let key = "tool.uv.constraint-dependencies";
            let mut place = Place::start();
            for value in as_list(list, key, "a list of strings").map_err(fail)? {
                let string =
                    as_string(value, || key.to_owned(), "a list of strings").map_err(fail)?;
                let line = place.line(source.text, &string);
                let entry = self.specifier(source, &line)?;
                self.constrain(source, &line, entry)?;
            }
        }
        self.indexes_of_uv(source, uv, sources)
    }

    /// Reads a dependency specifier that is a string of a project's file.
    fn specifier(&self, source: &Source<'_>, line: &Line) -> Result<Entry> {
        let part = Part::of(line, 0..line.text().len());
        let form = form::read_specifier(part, self.context.cwd)
            .map_err(|fault| source.error(line, fault))?;
        let written = part.trim();
        Ok(Entry {
            what: form.what,
            extras: form.extras,
            marker: form.marker,
            hashes: Vec::new(),
            config_settings: Vec::new(),
            editable: false,
            written: written.to_text(),
            at: source.location(line, written.offset(0)),
        })
    }

    fn constrain(&mut self, source: &Source<'_>, line: &Line, entry: Entry) -> Result<()> {
        self.push(&source.for_constraints(), line, 0, entry)
    }

    /// The indexes of `[tool.uv]`. One that stands for all is pip's main one. Of others uv takes what they
    /// have before it asks the main one; pip takes the best of all, which may be a stranger's.
    fn indexes_of_uv(
        &mut self,
        source: &Source<'_>,
        uv: &DeTable<'_>,
        sources: &mut Sources,
    ) -> Result<()> {
        let fail = |fault| source.error_at(fault);
        let refuse = |at, what| {
            let hint = format!(
                "{EXPORT}; or read a requirements.txt, with the index as --extra-index-url"
            );
            let problem = Problem::OtherSetting { what, hint };
            Err(source.error_at(Fault::new(at, problem)))
        };
        let located = |at: usize, value: &str| Located {
            value: Text::new(value, value),
            at: source.location_at(at),
        };
        let text = |key: &str| {
            let value = uv.get(key)?;
            Some(as_string(value, || format!("tool.uv.{key}"), "a string"))
        };
        if let Some(url) = text("index-url").transpose().map_err(fail)? {
            self.read.options.index_url = Some(located(url.span.start, url.value));
        }
        if let Some(value) = uv.get("extra-index-url") {
            let what =
                "pip does not ask `tool.uv.extra-index-url` before the main index, as uv does";
            return refuse(value.span().start, what.to_owned());
        }
        if let Some(value) = uv.get("index") {
            for index in as_list(value, "tool.uv.index", "a list of tables").map_err(fail)? {
                let table = as_table(index, "tool.uv.index").map_err(fail)?;
                let text = |key: &str| table.get(key).and_then(|value| value.get_ref().as_str());
                let is = |key: &str| {
                    let value = table.get(key);
                    value.and_then(|value| value.get_ref().as_bool()) == Some(true)
                };
                let url = text("url").unwrap_or_default();
                let name = text("name").unwrap_or(url);
                let at = table.get("url").unwrap_or(index).span().start;
                let shown = Text::new(name, name);
                if is("default") && text("format").is_none_or(|format| format == "simple") {
                    sources.defaults.insert(name.to_owned());
                    self.read.options.index_url = Some(located(at, url));
                } else if is("default") {
                    return refuse(
                        at,
                        format!("the index `{shown}` has another format than pip reads"),
                    );
                } else if !is("explicit") {
                    let what = format!(
                        "pip does not ask the index `{shown}` before the main index, as uv does"
                    );
                    return refuse(at, what);
                }
            }
        }
        if uv
            .get("no-index")
            .is_some_and(|value| value.get_ref().as_bool() == Some(true))
        {
            let at = uv.get("no-index").map_or(0, |value| value.span().start);
            self.read.options.no_index = Some(source.location_at(at));
            self.read.options.index_url = None;
        }
        self.choices_of_uv(source, uv)
    }

    /// Where else `[tool.uv]` looks for archives, and whether it takes pre-releases.
    fn choices_of_uv(&mut self, source: &Source<'_>, uv: &DeTable<'_>) -> Result<()> {
        let fail = |fault| source.error_at(fault);
        if let Some(value) = uv.get("find-links") {
            let key = "tool.uv.find-links";
            for value in as_list(value, key, "a list of strings").map_err(fail)? {
                let string =
                    as_string(value, || key.to_owned(), "a list of strings").map_err(fail)?;
                let written = Text::new(string.value, string.value);
                let value = if string.value.contains("://") {
                    FindLinks::Url(written)
                } else {
                    let folder = source.path.parent().unwrap_or(Path::new("/"));
                    FindLinks::Path {
                        path: LocalPath::new(normalize(&folder.join(string.value))),
                        written,
                    }
                };
                let at = source.location_at(string.span.start);
                self.read.options.find_links.push(Located { value, at });
            }
        }
        if let Some(value) = uv.get("prerelease") {
            let at = value.span().start;
            match value.get_ref().as_str() {
                Some("allow") => self.read.options.release_control.push(Located {
                    value: ReleaseControl::Pre,
                    at: source.location_at(at),
                }),
                Some("if-necessary" | "if-necessary-or-explicit") => {}
                _ => self.tell(
                    source,
                    at,
                    "`tool.uv.prerelease` has no effect here".to_owned(),
                ),
            }
        }
        Ok(())
    }

    fn tell(&mut self, source: &Source<'_>, at: usize, text: String) {
        let at = source.location_at(at);
        self.read.warnings.push(Warning { at, text });
    }

    /// Takes over a dependency of a project, from where its sources say that it comes.
    pub(super) fn sourced(
        &mut self,
        source: &Source<'_>,
        line: &Line,
        entry: Entry,
        sources: &Sources,
        asked: &BTreeSet<Name>,
    ) -> Result<()> {
        let given = match &entry.what {
            What::Named { name, .. } => sources.by_name.get(name).map(|given| (name, given)),
            _ => None,
        };
        let Some((name, given)) = given else {
            return self.push(source, line, 0, entry);
        };
        let mut projects = Vec::new();
        let mut is_elsewhere = false;
        for one in given {
            if !one.is_for(asked) {
                continue;
            }
            let Some(mut found) = self.source_of(name, one, &entry, sources, &mut projects)? else {
                continue;
            };
            is_elsewhere |= one.text("marker").is_none();
            if source.constraint {
                found.extras.clear();
            }
            self.push(source, line, 0, found)?;
        }
        if !is_elsewhere {
            // Where none of the markers holds, an index has it.
            self.push(source, line, 0, entry)?;
        }
        self.follow(projects)
    }

    /// The requirement with one of its sources; `None` if that is an index that stands for all.
    fn source_of(
        &self,
        name: &Name,
        given: &Given,
        entry: &Entry,
        sources: &Sources,
        projects: &mut Vec<PathBuf>,
    ) -> Result<Option<Entry>> {
        let known = [
            "path",
            "git",
            "url",
            "index",
            "workspace",
            "marker",
            "extra",
            "group",
            "editable",
            "package",
            "subdirectory",
            "rev",
            "tag",
            "branch",
        ];
        let is_false = |key: &str| matches!(given.keys.get(key), Some(Some(Setting::Is(false))));
        let odd = given.keys.iter().find(|(key, value)| {
            value.is_none() || !known.contains(&key.as_str()) && !is_false(key)
        });
        if let Some((key, _)) = odd {
            return Err(given.refuse(format!(
                "the source of `{name}` has the setting `{key}`, which pip does not have"
            )));
        }
        if is_false("package") {
            return Err(given.refuse(format!(
                "the source of `{name}` is no package: uv installs its dependencies alone, and pip cannot"
            )));
        }
        let what = if let Some(path) = given.text("path") {
            let path = normalize(&given.folder.join(path));
            self.local_source(name, given, &path, projects)?
        } else if given.is("workspace") {
            let workspace = sources.workspace.as_ref();
            let found = workspace.and_then(|workspace| workspace.member(name));
            let Some(folder) = found else {
                return Err(given.error(Problem::OtherSetting {
                    what: format!("no member of the workspace is called `{name}`"),
                    hint:
                        "`[tool.uv.workspace]` in the pyproject.toml of the root lists the members"
                            .to_owned(),
                }));
            };
            self.local_source(name, given, &folder, projects)?
        } else if let Some(url) = given.text("git") {
            remote(name, given, &git(url, given), true)?
        } else if let Some(url) = given.text("url") {
            remote(
                name,
                given,
                &with_subdirectory(url.to_owned(), given),
                false,
            )?
        } else if let Some(index) = given.text("index") {
            if sources.defaults.contains(index) {
                return Ok(None);
            }
            let shown = Text::new(index, index);
            return Err(given.refuse(format!(
                "`{name}` comes from the index `{shown}`, and pip takes no distribution from one index alone"
            )));
        } else {
            return Err(given.refuse(format!(
                "the source of `{name}` is none of path, workspace, git, url and index"
            )));
        };
        let marker = match given.text("marker") {
            Some(text) => {
                let expression = marker::expression(text)
                    .map_err(|error| given.error(Problem::Marker(error.message)))?;
                Some(Marker::new(Text::new(text, text), expression))
            }
            None => None,
        };
        Ok(Some(Entry {
            what,
            marker: Marker::all(entry.marker.clone().into_iter().chain(marker).collect()),
            ..entry.clone()
        }))
    }

    /// A project or an archive on this machine.
    fn local_source(
        &self,
        name: &Name,
        given: &Given,
        path: &Path,
        projects: &mut Vec<PathBuf>,
    ) -> Result<What> {
        let shown = path.strip_prefix(self.context.cwd).unwrap_or(path);
        let written = Text::new(&shown.to_string_lossy(), &shown.to_string_lossy());
        if fs::exists(path).is_none() {
            return Err(given.error(Problem::NoSuchPath(written.to_string())));
        }
        let subdirectory = given.text("subdirectory");
        let kind = form::kind_at(path, subdirectory.is_some())
            .map_err(|()| given.error(Problem::NotInstallable(written.to_string())))?;
        if let Some(found) = project_name(path).filter(|found| found != name) {
            return Err(given.error(Problem::OtherSetting {
                what: format!("the source of `{name}` is the project `{found}`"),
                hint: "the names of the source and of the project have to be the same".to_owned(),
            }));
        }
        projects.push(path.to_owned());
        let fragment = subdirectory.map(|folder| {
            let fragment = format!("subdirectory={folder}");
            Text::new(&fragment, &fragment)
        });
        Ok(What::Path {
            name: Some(name.clone()),
            path: LocalPath::new(path.to_owned()),
            written,
            kind,
            fragment,
        })
    }

    /// Takes over where the dependencies of local projects come from: pip would ask an index for them.
    fn follow(&mut self, mut projects: Vec<PathBuf>) -> Result<()> {
        while let Some(folder) = projects.pop() {
            if !self.followed.insert(folder.clone()) {
                continue;
            }
            let Some(file) = self.other_file(&folder.join("pyproject.toml")) else {
                continue;
            };
            let source = file.source();
            if self.followed.len() > MAX_PROJECTS {
                let problem = Problem::TooMany("projects");
                return Err(source.error_at(Fault::new(0, problem)));
            }
            let document = parsed(&source)?;
            let document = document.get_ref();
            let mut sources = Self::own_sources(&source, document)?;
            if sources.workspace.is_none()
                && let Some((root, workspace)) = self.workspace_above(&file.path)
            {
                let root_source = root.source();
                let of_root = Self::own_sources(&root_source, parsed(&root_source)?.get_ref())?;
                for (name, given) in of_root.by_name {
                    sources.by_name.entry(name).or_insert(given);
                }
                sources.workspace = Some(workspace);
            }
            let names = dependencies(document);
            for (name, all) in &sources.by_name {
                if names.as_ref().is_some_and(|names| !names.contains(name)) {
                    continue;
                }
                for given in all {
                    let text = Text::new(name.as_str(), name.as_str());
                    let entry = Entry {
                        what: What::Named {
                            name: name.clone(),
                            specifier: specifier::Specifiers::default(),
                        },
                        extras: BTreeSet::new(),
                        marker: None,
                        hashes: Vec::new(),
                        config_settings: Vec::new(),
                        editable: false,
                        written: text,
                        at: given.at.clone(),
                    };
                    let found = self.source_of(name, given, &entry, &sources, &mut projects)?;
                    self.read.constraints.extend(found);
                }
            }
        }
        Ok(())
    }
}

impl Given {
    /// Whether it holds for a build with these extras and groups.
    fn is_for(&self, asked: &BTreeSet<Name>) -> bool {
        ["extra", "group"].iter().all(|key| match self.text(key) {
            Some(name) => asked.contains(&Name::new(name)),
            None => true,
        })
    }
}

impl Sources {
    /// The names that have a source.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.by_name.contains_key(name)
    }
}

impl Workspace {
    /// Whether the directory at a path below the root is a member.
    fn has(&self, below: &Path) -> bool {
        let matches = |patterns: &[String]| {
            patterns.iter().any(|pattern| {
                let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
                let options = glob::MatchOptions {
                    require_literal_separator: true,
                    ..glob::MatchOptions::new()
                };
                glob::Pattern::new(pattern)
                    .is_ok_and(|pattern| pattern.matches_path_with(below, options))
            })
        };
        below.as_os_str().is_empty() || matches(&self.members) && !matches(&self.exclude)
    }

    /// The directory of the member with a name.
    fn member(&self, name: &Name) -> Option<PathBuf> {
        let mut open = vec![self.root.clone()];
        let mut left = MAX_DIRECTORIES;
        let depth = |pattern: &String| {
            if pattern.contains("**") {
                usize::MAX
            } else {
                pattern.trim_start_matches("./").split('/').count()
            }
        };
        let deepest = self.members.iter().map(depth).max().unwrap_or(0);
        while let Some(folder) = open.pop() {
            left = left.checked_sub(1)?;
            let below = folder.strip_prefix(&self.root).ok()?.to_owned();
            if self.has(&below) && project_name(&folder).as_ref() == Some(name) {
                return Some(folder);
            }
            if below.components().count() >= deepest {
                continue;
            }
            for found in fs::names(&folder).unwrap_or_default() {
                let path = folder.join(&found);
                let is_folder = fs::metadata(&path).is_ok_and(|found| found.is_dir());
                if is_folder && !found.starts_with('.') && found != "node_modules" {
                    open.push(path);
                }
            }
        }
        None
    }
}

/// The name of the project in a directory, if its file tells.
fn project_name(folder: &Path) -> Option<Name> {
    let path = folder.join("pyproject.toml");
    if !fs::exists(&path).is_some_and(|found| found.is_file()) {
        return None;
    }
    let text = String::from_utf8(fs::read_at_most(&path, MAX_BYTES).ok()?).ok()?;
    let document = document::parse(&text).ok()?;
    let project = document.get_ref().get("project")?.get_ref().as_table()?;
    Some(Name::new(project.get("name")?.get_ref().as_str()?))
}

/// The names of a project's dependencies, with all extras; `None` if only its build backend knows them.
fn dependencies(document: &DeTable<'_>) -> Option<BTreeSet<Name>> {
    let project = document.get("project")?.get_ref().as_table()?;
    if let Some(dynamic) = project.get("dynamic") {
        let dynamic = dynamic.get_ref().as_array()?;
        if dynamic.iter().any(|field| {
            let field = field.get_ref().as_str();
            matches!(field, Some("dependencies" | "optional-dependencies"))
        }) {
            return None;
        }
    }
    let mut lists: Vec<&Value<'_>> = project.get("dependencies").into_iter().collect();
    if let Some(extras) = project.get("optional-dependencies") {
        lists.extend(extras.get_ref().as_table()?.values());
    }
    let strings = lists
        .into_iter()
        .filter_map(|list| list.get_ref().as_array());
    let names = strings.flatten().filter_map(|string| {
        let parsed = specifier::parse(string.get_ref().as_str()?).ok()?;
        Some(parsed.name)
    });
    Some(names.collect())
}

fn parsed<'a>(source: &Source<'a>) -> Result<toml::Spanned<DeTable<'a>>> {
    document::parse(source.text)
        .map_err(|error| source.error_at(Fault::new(error.at, Problem::NotToml(error.message))))
}

fn strings(table: &DeTable<'_>, key: &'static str) -> Result<Vec<String>, Fault> {
    let Some(list) = table.get(key) else {
        return Ok(Vec::new());
    };
    let strings = as_list(list, key, "a list of strings")?.iter();
    let strings = strings.map(|value| {
        let string: Quoted<'_> = as_string(value, || key.to_owned(), "a list of strings")?;
        Ok(string.value.to_owned())
    });
    strings.collect()
}

/// The URL of a repository as pip takes it.
fn git(url: &str, given: &Given) -> String {
    let mut url = match url.strip_prefix("git+") {
        Some(_) => url.to_owned(),
        None => format!("git+{url}"),
    };
    let revision = ["rev", "tag", "branch"]
        .iter()
        .find_map(|key| given.text(key));
    if let Some(revision) = revision {
        url.push_str(&format!("@{revision}"));
    }
    with_subdirectory(url, given)
}

fn with_subdirectory(mut url: String, given: &Given) -> String {
    if let Some(folder) = given.text("subdirectory") {
        let joint = if url.contains('#') { '&' } else { '#' };
        url.push_str(&format!("{joint}subdirectory={folder}"));
    }
    url
}

/// What a URL leads to.
fn remote(name: &Name, given: &Given, url: &str, is_vcs: bool) -> Result<What> {
    let unusable = |why: &str| given.error(Problem::Url(why.to_owned()));
    let link = Link::new(url).map_err(|problem| given.error(problem))?;
    let link = link
        .filter(|link| link.is_vcs() == is_vcs && !link.is_file())
        .ok_or_else(|| {
            if is_vcs {
                unusable("a repository begins with `https:`, `ssh:` or `file:`")
            } else {
                unusable("it must begin with `https:`")
            }
        })?;
    let kind = match link::extension(&link.file_name()) {
        _ if is_vcs => UrlKind::Vcs,
        ".whl" => UrlKind::Wheel,
        _ => UrlKind::Sdist,
    };
    Ok(What::Url {
        name: Some(name.clone()),
        url: Text::new(url, url),
        kind,
    })
}
