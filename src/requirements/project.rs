//! `pyproject.toml` → entries: the dependencies of the project, of its extras, and its groups.
//!
//! By the specifications of the [project table](
//! https://packaging.python.org/en/latest/specifications/pyproject-toml/) and of [dependency groups](
//! https://packaging.python.org/en/latest/specifications/dependency-groups/).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Located;
use super::document;
use super::entry::{Entry, What};
use super::error::{Error, Fault, Problem};
use super::form;
use super::lines::{Line, Part, place_behind, trim};
use super::marker::Marker;
use super::reader::{MAX_DEPTH, Reader, Source};
use super::specifier::{self, Name, Specifiers};
use super::text::Text;
use super::tools;

/// How many bytes may be read under the markers of references to extras, these markers included.
/// Extras that name each other under several markers need few lines for more than any machine holds.
const MAX_CONDITIONAL: usize = 128 * 1024;

type Result<T> = std::result::Result<T, Fault>;

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    /// Reads a project's file.
    pub(super) fn project(
        &mut self,
        source: &Source<'_>,
        extras: &BTreeSet<Name>,
        groups: &BTreeSet<Name>,
    ) -> std::result::Result<(), Error> {
        let document = document::parse(source.text).map_err(|error| {
            source.error_at(Fault::new(error.at, Problem::NotToml(error.message)))
        })?;
        let chosen = Choice::of(document.get_ref(), extras, groups)
            .map_err(|fault| source.error_at(fault))?;
        let sources = self.sources(source, document.get_ref())?;
        let names: Vec<Name> = chosen
            .strings
            .values()
            .filter_map(|string| Some(specifier::parse(string.value).ok()?.name))
            .collect();
        // What a source says counts, whatever the tool that it is for.
        let names = names.iter().filter(|name| !sources.has(name)).collect();
        tools::check(document.get_ref(), &names).map_err(|fault| source.error_at(fault))?;
        let asked: BTreeSet<Name> = extras.union(groups).cloned().collect();
        if let Some(string) = &chosen.requires_python {
            let line = Place::start().line(source.text, string);
            let value = Specifiers::parse(string.value).map_err(|error| {
                let problem = Problem::RequiresPython(error.message);
                source.error(&line, Fault::new(error.at, problem))
            })?;
            let at = source.location(&line, 0);
            self.read.requires_python.push(Located { value, at });
        }
        let mut place = Place::start();
        for ((_, conditions), string) in &chosen.strings {
            let line = place.line(source.text, string);
            let part = Part::of(&line, 0..string.value.len());
            let form = form::read_specifier(part, self.context.cwd)
                .map_err(|fault| source.error(&line, fault))?;
            let written = part.trim();
            let at = written.offset(0);
            if let What::Named { name, .. } = &form.what
                && chosen.own.as_ref() == Some(name)
            {
                for extra in &form.extras {
                    if !chosen.extras.by_name.contains_key(extra) {
                        let what = format!("the project has no extra `{extra}`");
                        self.warn(source, &line, at, what);
                    }
                }
                continue;
            }
            let conditions = conditions.iter().filter_map(|at| chosen.markers.get(at));
            let entry = Entry {
                what: form.what,
                extras: form.extras,
                marker: Marker::all(conditions.cloned().chain(form.marker).collect()),
                hashes: Vec::new(),
                config_settings: Vec::new(),
                editable: false,
                written: written.to_text(),
                at: source.location(&line, at),
            };
            self.sourced(source, &line, entry, &sources, &asked)?;
        }
        Ok(())
    }
}

/// Goes along a text from string to string, so that each of its lines is counted once.
#[derive(Debug)]
pub(super) struct Place {
    at: usize,
    line: usize,
    column: usize,
}

impl Place {
    pub(super) fn start() -> Self {
        Self {
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// A string of the file as a line.
    pub(super) fn line(&mut self, file: &str, string: &Quoted<'_>) -> Line {
        let raw = file.get(string.span.clone()).unwrap_or_default();
        // Behind three quotes or one, unless there are escapes.
        let quotes = [3, 1].into_iter().find(|&quotes| {
            let end = raw.len().checked_sub(quotes);
            end.and_then(|end| raw.get(quotes..end)) == Some(string.value)
        });
        let at = string.span.start + quotes.unwrap_or(0);
        let (line, column) = place_behind(&file[self.at..at]);
        self.column = if line == 1 {
            self.column + column - 1
        } else {
            column
        };
        self.line += line - 1;
        self.at = at;
        let place = (self.line, self.column);
        Line::of_string(string.value, place, quotes.is_some())
    }
}

/// A string of the file.
#[derive(Debug, Clone)]
pub(super) struct Quoted<'a> {
    pub(super) value: &'a str,
    /// Where it stands, quotes and all.
    pub(super) span: Range<usize>,
}

/// Lists by their names.
#[derive(Debug)]
struct Lists<'a> {
    /// The table in which they stand, and where it begins.
    key: &'static str,
    at: usize,
    by_name: BTreeMap<Name, &'a Value<'a>>,
    /// What to say where there is none of a name, and which there are.
    unknown: fn(String, String) -> Problem,
}

impl<'a> Lists<'a> {
    fn of(
        key: &'static str,
        table: Option<&'a Value<'a>>,
        unknown: fn(String, String) -> Problem,
    ) -> Result<Self> {
        let mut read = Self {
            key,
            at: table.map_or(0, |value| value.span().start),
            by_name: BTreeMap::new(),
            unknown,
        };
        let Some(table) = table else {
            return Ok(read);
        };
        let mut written = BTreeMap::new();
        for (name, list) in as_table(table, key)? {
            let normal = Name::new(name.get_ref());
            if let Some(other) = written.insert(normal.clone(), name) {
                let [one, two] = [other, name].map(|name| name.get_ref().to_string());
                let at = name.span().start.max(other.span().start);
                return Err(Fault::new(at, Problem::SameName(one, two)));
            }
            read.by_name.insert(normal, list);
        }
        Ok(read)
    }

    /// What a list holds.
    fn list(&self, name: &Name, form: &'static str) -> Option<Result<&'a [Value<'a>]>> {
        let list = self.by_name.get(name).copied()?;
        Some(as_list(list, &self.key_of(name), form))
    }

    fn key_of(&self, name: &Name) -> String {
        format!("{}.{name}", self.key)
    }

    /// That there is none of this name.
    fn unknown(&self, name: &Name) -> Problem {
        let known: Vec<_> = self
            .by_name
            .keys()
            .map(|name| format!("`{name}`"))
            .collect();
        let known = match known.as_slice() {
            [] => "nor any other".to_owned(),
            known => format!("only {}", known.join(", ")),
        };
        (self.unknown)(name.to_string(), known)
    }
}

/// The markers of references under which something is read, by where the references stand.
type Conditions = BTreeSet<usize>;

/// Which strings of a file are read.
#[derive(Debug)]
struct Choice<'a> {
    /// The name of the project.
    own: Option<Name>,
    extras: Lists<'a>,
    /// That they are dynamic.
    dynamic_extras: Option<Quoted<'a>>,
    groups: Lists<'a>,
    requires_python: Option<Quoted<'a>>,
    /// The strings by where they stand, and under which conditions.
    strings: BTreeMap<(usize, Conditions), Quoted<'a>>,
    /// The markers of references to extras of the project, by where the references stand.
    markers: BTreeMap<usize, Marker>,
    /// References that were found: the extras, and their conditions.
    references: Vec<(BTreeSet<Name>, Conditions)>,
    /// The extras that were read, and under which conditions.
    extras_read: BTreeMap<Name, Vec<Conditions>>,
    groups_read: BTreeSet<Name>,
    /// Counts up to [`MAX_CONDITIONAL`].
    conditional: usize,
    /// What uv had before there were groups, and puts into the group `dev`.
    dev_of_uv: Option<&'a Value<'a>>,
    /// What to do about dependencies that are dynamic.
    hint_of_dynamic: Option<String>,
}

/// What the lists of `[project]` are, and those of `[dependency-groups]`.
const STRINGS: &str = "a list of strings";
const MEMBERS: &str = "a list of strings and `{ include-group = \"name\" }`";

impl<'a> Choice<'a> {
    fn of(
        document: &'a DeTable<'a>,
        extras: &BTreeSet<Name>,
        groups: &BTreeSet<Name>,
    ) -> Result<Self> {
        let project = match document.get("project") {
            Some(value) => Some(as_table(value, "project")?),
            None if extras.is_empty() && !groups.is_empty() => None,
            None => return Err(tools::instead(document)),
        };
        let optional = project.and_then(|project| project.get("optional-dependencies"));
        let mut choice = Self {
            own: None,
            extras: Lists::of(
                "project.optional-dependencies",
                optional,
                Problem::UnknownExtra,
            )?,
            groups: Lists::of(
                "dependency-groups",
                document.get("dependency-groups"),
                Problem::UnknownGroup,
            )?,
            dynamic_extras: None,
            requires_python: None,
            strings: BTreeMap::new(),
            markers: BTreeMap::new(),
            references: Vec::new(),
            extras_read: BTreeMap::new(),
            groups_read: BTreeSet::new(),
            conditional: 0,
            dev_of_uv: None,
            hint_of_dynamic: tools::dynamic(document),
        };
        let uv = document
            .get("tool")
            .and_then(|tool| tool.get_ref().as_table()?.get("uv"));
        if let Some(uv) = uv {
            choice.dev_of_uv = as_table(uv, "tool.uv")?.get("dev-dependencies");
        }
        if let Some(project) = project {
            choice.project(project, extras)?;
        }
        for group in groups {
            choice.group(group, choice.groups.at, &mut Vec::new())?;
        }
        while let Some((extras, conditions)) = choice.references.pop() {
            for extra in extras {
                choice.extra(&extra, &conditions)?;
            }
        }
        Ok(choice)
    }

    /// Chooses from `[project]`.
    fn project(&mut self, project: &'a DeTable<'a>, extras: &BTreeSet<Name>) -> Result<()> {
        let string = |key| {
            let value = project.get(key)?;
            Some(as_string(value, || format!("project.{key}"), "a string"))
        };
        self.own = string("name")
            .transpose()?
            .map(|name| Name::new(name.value));
        self.requires_python = string("requires-python").transpose()?;
        if let Some(dynamic) = project.get("dynamic") {
            let key = "project.dynamic";
            for value in as_list(dynamic, key, STRINGS)? {
                let field = as_string(value, || key.to_owned(), STRINGS)?;
                match field.value {
                    "dependencies" => return Err(self.dynamic(&field)),
                    "optional-dependencies" => self.dynamic_extras = Some(field),
                    _ => {}
                }
            }
        }
        if let Some(dependencies) = project.get("dependencies") {
            let key = "project.dependencies";
            for value in as_list(dependencies, key, STRINGS)? {
                let string = as_string(value, || key.to_owned(), STRINGS)?;
                self.string(string, &Conditions::new());
            }
        }
        for extra in extras {
            if self.dynamic_extras.is_none() && !self.extras.by_name.contains_key(extra) {
                return Err(Fault::new(self.extras.at, self.extras.unknown(extra)));
            }
        }
        self.references.push((extras.clone(), Conditions::new()));
        Ok(())
    }

    /// Chooses a group and those that it includes; `open` are the groups that include it.
    fn group(&mut self, name: &Name, at: usize, open: &mut Vec<Name>) -> Result<()> {
        if open.contains(name) {
            return Err(Fault::new(at, Problem::GroupCycle(name.to_string())));
        }
        if open.len() == MAX_DEPTH {
            return Err(Fault::new(at, Problem::TooMany("dependency groups")));
        }
        let of_uv = self.dev_of_uv.filter(|_| name.as_str() == "dev");
        let list = match (self.groups.list(name, MEMBERS), of_uv) {
            (None, None) => return Err(Fault::new(at, self.groups.unknown(name))),
            (None, Some(_)) => Ok(&[][..]),
            (Some(list), _) => list,
        };
        if !self.groups_read.insert(name.clone()) {
            return Ok(());
        }
        if let Some(list) = of_uv {
            let key = "tool.uv.dev-dependencies";
            for value in as_list(list, key, STRINGS)? {
                let string = as_string(value, || key.to_owned(), STRINGS)?;
                self.string(string, &Conditions::new());
            }
        }
        open.push(name.clone());
        for value in list? {
            let key = || self.groups.key_of(name);
            if let Some(table) = value.get_ref().as_table() {
                let included = table
                    .get("include-group")
                    .filter(|_| table.len() == 1)
                    .ok_or_else(|| misshapen(value, key(), MEMBERS))?;
                let included = as_string(included, key, MEMBERS)?;
                self.group(&Name::new(included.value), included.span.start, open)?;
            } else {
                let string = as_string(value, key, MEMBERS)?;
                self.string(string, &Conditions::new());
            }
        }
        open.pop();
        Ok(())
    }

    /// Chooses an extra, unless it was chosen under fewer conditions. One that is not there is told
    /// of where it is referred to.
    fn extra(&mut self, name: &Name, conditions: &Conditions) -> Result<()> {
        if let Some(dynamic) = &self.dynamic_extras {
            return Err(self.dynamic(dynamic));
        }
        let Some(list) = self.extras.list(name, STRINGS) else {
            return Ok(());
        };
        let read = self.extras_read.entry(name.clone()).or_default();
        if read.iter().any(|fewer| fewer.is_subset(conditions)) {
            return Ok(());
        }
        read.push(conditions.clone());
        let list = list?;
        if !conditions.is_empty() {
            let markers = conditions.iter().filter_map(|at| self.markers.get(at));
            let copied: usize = markers.map(|marker| marker.text().expanded().len()).sum();
            let strings: usize = list.iter().map(|string| string.span().len()).sum();
            self.conditional += copied * (1 + list.len()) + strings;
            if self.conditional > MAX_CONDITIONAL {
                return Err(Fault::new(self.extras.at, Problem::TooMany("extras")));
            }
        }
        for value in list {
            let string = as_string(value, || self.extras.key_of(name), STRINGS)?;
            self.string(string, conditions);
        }
        Ok(())
    }

    /// That a field of `[project]` is dynamic.
    fn dynamic(&self, field: &Quoted<'_>) -> Fault {
        let name = format!("project.{}", field.value);
        let problem = Problem::Dynamic(name, self.hint_of_dynamic.clone());
        Fault::new(field.span.start, problem)
    }

    /// Chooses a string, or what a reference to the project's extras leads to.
    fn string(&mut self, string: Quoted<'a>, conditions: &Conditions) {
        let at = string.span.start;
        // What is no requirement is told of when it is read.
        let reference = specifier::parse(string.value)
            .ok()
            .filter(|parsed| parsed.url.is_none() && self.own.as_ref() == Some(&parsed.name));
        let Some(reference) = reference else {
            self.strings.insert((at, conditions.clone()), string);
            return;
        };
        // It stays, for extras in it that are not there to be told of.
        self.strings.insert((at, Conditions::new()), string.clone());
        let mut conditions = conditions.clone();
        if let Some((range, expression)) = reference.marker {
            let text = trim(&string.value[range]);
            let marker = Marker::new(Text::new(text, text), expression);
            self.markers.insert(at, marker);
            conditions.insert(at);
        }
        self.references.push((reference.extras, conditions));
    }
}

pub(super) fn as_table<'a>(value: &'a Value<'a>, key: &str) -> Result<&'a DeTable<'a>> {
    let table = value.get_ref().as_table();
    table.ok_or_else(|| misshapen(value, key.to_owned(), "a table"))
}

pub(super) fn as_list<'a>(
    value: &'a Value<'a>,
    key: &str,
    form: &'static str,
) -> Result<&'a [Value<'a>]> {
    let list = value.get_ref().as_array();
    list.map(|list| &**list)
        .ok_or_else(|| misshapen(value, key.to_owned(), form))
}

pub(super) fn as_string<'a>(
    value: &'a Value<'a>,
    key: impl FnOnce() -> String,
    form: &'static str,
) -> Result<Quoted<'a>> {
    match value.get_ref().as_str() {
        Some(text) => Ok(Quoted {
            value: text,
            span: value.span(),
        }),
        None => Err(misshapen(value, key(), form)),
    }
}

/// That a value is not of the form that it should have.
fn misshapen(value: &Value<'_>, key: String, form: &'static str) -> Fault {
    Fault::new(value.span().start, Problem::Shape(key, form))
}
