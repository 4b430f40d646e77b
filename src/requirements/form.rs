//! The text of a requirement → what it requires: pip's constructors.

use std::collections::BTreeSet;
use std::path::Path;

use super::entry::{PathKind, UrlKind, What};
use super::error::{Fault, Problem};
use super::lines::Part;
use super::link::{self, Link};
use super::marker::{self, Marker};
use super::scan::Syntax;
use super::specifier::{self, Name, Parsed};
use super::text::{LocalPath, Text};
use crate::fs;

/// What the text of a requirement says.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) what: What,
    pub(super) extras: BTreeSet<Name>,
    pub(super) marker: Option<Marker>,
}

type Result<T> = std::result::Result<T, Fault>;

/// Reads a requirement; local paths are relative to `cwd`.
pub(super) fn read(part: Part<'_>, cwd: &Path) -> Result<Form> {
    // `;` may be part of a URL, `; ` may not.
    let separator = match link(part)? {
        Some(_) => "; ",
        None => ";",
    };
    let (name, marker) = match part.text.find(separator) {
        None => (part, None),
        Some(at) => {
            let rest = part.slice(at + separator.len()..part.text.len()).trim();
            (part.slice(0..at), marker(rest)?)
        }
    };
    let name = name.trim();
    let (what, extras) = if link(name)?.is_some() {
        let mut what = from_url(name, None, cwd)?;
        if let What::Path {
            kind,
            name: egg,
            fragment,
            ..
        } = &mut what
            && name.text.contains("../")
        {
            // pip makes such a URL absolute, and loses what stands behind `#`.
            *fragment = None;
            if *kind != PathKind::Wheel {
                *egg = None;
            }
        }
        (what, BTreeSet::new())
    } else if let Some(found) = from_path(name, cwd)? {
        found
    } else {
        let form = from_specifier(name, cwd)?;
        // Brackets at the end win, be they a URL's.
        let (_, extras) = split_extras(name)?;
        let own = if extras.is_empty() {
            form.extras
        } else {
            extras
        };
        (form.what, own)
    };
    let form = Form {
        what,
        extras,
        marker,
    };
    form.check_path(name)?;
    Ok(form)
}

/// Reads what stands behind `-e`.
pub(super) fn read_editable(part: Part<'_>, cwd: &Path) -> Result<Form> {
    if specifier::parse(part.text).is_ok_and(|parsed| parsed.url.is_some()) {
        let form = from_specifier(part, cwd)?;
        form.check_path(part)?;
        return match &form.what {
            What::Url { kind, .. } if *kind != UrlKind::Vcs => {
                Err(Fault::new(part.offset(0), Problem::Editable))
            }
            _ => Ok(form),
        };
    }
    let (path, extras) = split_extras(part)?;
    let form = |what, extras| Form {
        what,
        extras,
        marker: None,
    };
    let folder = cwd.join(path.text);
    if fs::exists(&folder).is_some_and(|found| found.is_dir()) {
        let what = local(path, &link::normalize(&folder), None, None)?;
        return Ok(form(what, extras));
    }
    if path.text.starts_with("file:") {
        let form = form(from_url(path, None, cwd)?, extras);
        form.check_path(path)?;
        return Ok(form);
    }
    let is_path = path.text.starts_with(['.', '/', '~']) || path.text.contains('\\');
    if is_path && !path.text.contains("://") && fs::exists(&folder).is_none() {
        let problem = Problem::NoSuchPath(path.to_text().to_string());
        return Err(Fault::new(part.offset(0), problem));
    }
    let what = repository(part)?;
    Ok(form(what, BTreeSet::new()))
}

/// `git+https://…#egg=name` behind `-e`; `git://…` is short for `git+git://…`.
fn repository(part: Part<'_>) -> Result<What> {
    let at = part.offset(0);
    let lower = part.text.to_ascii_lowercase();
    let short = ["git", "hg", "bzr", "svn"]
        .into_iter()
        .find(|vcs| lower.starts_with(&format!("{vcs}:")));
    let expanded = match short {
        Some(vcs) => format!("{vcs}+{}", part.text),
        None => part.text.to_owned(),
    };
    let fault = |problem| Fault::new(at, problem);
    let link = Link::new(&expanded)
        .map_err(fault)?
        .filter(Link::is_vcs)
        .ok_or_else(|| fault(Problem::Editable))?;
    let egg = link.egg().map_err(fault)?;
    let name = Some(egg_name(egg.ok_or_else(|| fault(Problem::EditableName))?).map_err(fault)?);
    let mut url = part.to_text();
    if let Some(vcs) = short {
        url = Text::new(&format!("{vcs}+{}", url.written()), &expanded);
    }
    Ok(What::Url {
        name,
        url,
        kind: UrlKind::Vcs,
    })
}

fn marker(part: Part<'_>) -> Result<Option<Marker>> {
    if part.text.is_empty() {
        return Ok(None);
    }
    let expression = marker::expression(part.text)
        .map_err(|error| Fault::new(part.offset(error.at), Problem::Marker(error.message)))?;
    Ok(Some(Marker::new(part.to_text(), expression)))
}

/// Reads a dependency specifier, where no path may stand.
pub(super) fn read_specifier(part: Part<'_>, cwd: &Path) -> Result<Form> {
    let parsed = specifier::parse(part.text).map_err(|error| no_specifier(part, error))?;
    let form = from_parsed(part, parsed, cwd)?;
    form.check_path(part)?;
    Ok(form)
}

/// `name[extra]>=1`, `name @ URL`.
fn from_specifier(part: Part<'_>, cwd: &Path) -> Result<Form> {
    let parsed = specifier::parse(part.text).map_err(|error| no_requirement(part, error, cwd))?;
    from_parsed(part, parsed, cwd)
}

fn from_parsed(part: Part<'_>, parsed: Parsed, cwd: &Path) -> Result<Form> {
    let what = if let Some(url) = parsed.url {
        let url = part.slice(url);
        if link(url)?.is_none() {
            let problem = "it must begin with `https:`, `file:`, `git+https:` or the like";
            return Err(Fault::new(url.offset(0), Problem::Url(problem.to_owned())));
        }
        from_url(url, Some(parsed.name), cwd)?
    } else {
        let clauses = part.slice(parsed.clauses).to_text();
        let specifier = if clauses.is_expanded() {
            parsed.specifiers.with_written(&clauses.to_string())
        } else {
            parsed.specifiers
        };
        What::Named {
            name: parsed.name,
            specifier,
        }
    };
    let marker = parsed
        .marker
        .map(|(range, expression)| Marker::new(part.slice(range).trim().to_text(), expression));
    Ok(Form {
        what,
        extras: parsed.extras,
        marker,
    })
}

/// Why the text is no requirement, in the words that help most.
fn no_requirement(part: Part<'_>, error: Syntax, cwd: &Path) -> Fault {
    if part.text.contains('/') && !part.text.contains('@') {
        let problem = match fs::exists(&cwd.join(part.text)) {
            Some(_) => Problem::NotAnArchive(part.to_text().to_string()),
            None => Problem::NoSuchPath(part.to_text().to_string()),
        };
        return Fault::new(part.offset(0), problem);
    }
    no_specifier(part, error)
}

fn no_specifier(part: Part<'_>, error: Syntax) -> Fault {
    let at = part.offset(error.at);
    let rest = &part.text[error.at..];
    let has_operator = ["==", "~=", "!=", "<=", ">=", "<", ">"]
        .iter()
        .any(|operator| part.text.contains(operator));
    if let [name, version, build] = part.text.split('=').collect::<Vec<_>>()[..]
        && [name, version, build].iter().all(|word| is_word(word))
    {
        let written = part.to_text().to_string();
        return Fault::new(part.offset(0), Problem::CondaExport(written));
    }
    if rest.starts_with('=') && !has_operator {
        return Fault::new(at, Problem::SingleEquals);
    }
    if part.text.contains('\\') {
        let written = part.to_text().to_string();
        return Fault::new(part.offset(0), Problem::NoSuchPath(written));
    }
    Fault::new(at, Problem::Requirement(error.message))
}

/// Whether the text is one word, as names, versions and builds of conda's are.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-+!".contains(&byte))
}

/// The text as a URL, if it has a scheme that pip knows.
fn link(part: Part<'_>) -> Result<Option<Link<'_>>> {
    Link::new(part.text).map_err(|problem| Fault::new(part.offset(0), problem))
}

/// The name in `#egg=`, where it has to be one.
fn egg_name(egg: &str) -> std::result::Result<Name, Problem> {
    if egg.is_ascii() {
        Ok(Name::new(egg))
    } else {
        Err(Problem::Egg)
    }
}

fn from_url(part: Part<'_>, name: Option<Name>, cwd: &Path) -> Result<What> {
    let fault = |problem| Fault::new(part.offset(0), problem);
    let Some(link) = link(part)? else {
        return Err(fault(Problem::Url("it has no scheme".to_owned())));
    };
    let egg = link.egg().map_err(fault)?;
    let file_name = link.file_name();
    let is_wheel = link::extension(&file_name) == ".whl";
    // A name in front of the URL is taken at its word, here as in pip.
    let name = match name {
        Some(name) => Some(name),
        None if is_wheel => Some(link::wheel_name(&file_name).map_err(fault)?),
        None => egg.map(egg_name).transpose().map_err(fault)?,
    };
    if link.is_file() {
        let path = link.to_path(cwd).map_err(fault)?;
        let fragment = part.text.find('#').map(|hash| {
            let fragment = part.slice(hash + 1..part.text.len());
            fragment.to_text()
        });
        return local(part, &path, name, fragment);
    }
    Ok(What::Url {
        name,
        url: part.to_text(),
        kind: match (link.is_vcs(), is_wheel) {
            (true, _) => UrlKind::Vcs,
            (false, true) => UrlKind::Wheel,
            (false, false) => UrlKind::Sdist,
        },
    })
}

/// A path, if the text is one: it leads to a project, or ends as an archive does.
fn from_path(part: Part<'_>, cwd: &Path) -> Result<Option<(What, BTreeSet<Name>)>> {
    // Brackets at the end are extras to pip before it knows what the text is.
    let (path, extras) = split_extras(part)?;
    let looks_like_path = |text: &str| text.contains('/') || text.starts_with('.');
    let is_archive = link::is_archive(path.text.trim_end_matches('/'));
    if !looks_like_path(part.text) && !is_archive {
        return Ok(None);
    }
    let target = link::normalize(&cwd.join(path.text));
    let found = fs::exists(&target);
    let is_folder = found.as_ref().is_some_and(std::fs::Metadata::is_dir);
    let is_file = found.as_ref().is_some_and(std::fs::Metadata::is_file);
    if !(is_folder && looks_like_path(part.text)) {
        if !is_archive {
            return Ok(None);
        }
        // `name @ https://…/name-1.0.tar.gz` ends as an archive does, too.
        let names_url = part.text.split_once('@');
        if !is_file && names_url.is_some_and(|(name, _)| !looks_like_path(name)) {
            return Ok(None);
        }
    }
    let file_name = target.file_name().unwrap_or_default().to_string_lossy();
    if found.is_none() && path.text.contains('\\') {
        let problem = Problem::NoSuchPath(path.to_text().to_string());
        return Err(Fault::new(part.offset(0), problem));
    }
    let name = if !is_folder && link::extension(&file_name) == ".whl" {
        let name = link::wheel_name(&file_name);
        Some(name.map_err(|problem| Fault::new(part.offset(0), problem))?)
    } else {
        None
    };
    Ok(Some((local(path, &target, name, None)?, extras)))
}

/// Takes the extras off: `./project[extra]`.
fn split_extras(part: Part<'_>) -> Result<(Part<'_>, BTreeSet<Name>)> {
    let Some(range) = link::extras(part.text) else {
        return Ok((part, BTreeSet::new()));
    };
    let path = &part.text[..range.start];
    let path = part.slice(0..super::lines::trim_end(path).len());
    let brackets = part.slice(range);
    let extras = specifier::parse_extras(brackets.text).map_err(|error| {
        Fault::new(
            brackets.offset(error.at),
            Problem::Requirement(error.message),
        )
    })?;
    Ok((path, extras))
}

/// Something at a path of this machine.
fn local(part: Part<'_>, path: &Path, name: Option<Name>, fragment: Option<Text>) -> Result<What> {
    // A project in a folder of this one is looked for when it is built.
    let is_deeper = fragment
        .as_ref()
        .is_some_and(|fragment| fragment.expanded().contains("subdirectory="));
    let kind = kind_at(path, is_deeper).map_err(|()| {
        let problem = Problem::NotInstallable(part.to_text().to_string());
        Fault::new(part.offset(0), problem)
    })?;
    Ok(What::Path {
        name,
        path: LocalPath::new(path.to_owned()),
        written: part.to_text(),
        kind,
        fragment,
    })
}

/// What is at a path; an error if it is a folder that is no project, and none has to be deeper in it.
pub(super) fn kind_at(path: &Path, is_deeper: bool) -> std::result::Result<PathKind, ()> {
    match fs::exists(path) {
        None => Ok(PathKind::Missing),
        Some(found) if found.is_dir() => {
            let is_file = |name| fs::exists(&path.join(name)).is_some_and(|file| file.is_file());
            if is_deeper || is_file("pyproject.toml") || is_file("setup.py") {
                Ok(PathKind::Project)
            } else {
                Err(())
            }
        }
        Some(_) if path.extension().is_some_and(|extension| extension == "whl") => {
            Ok(PathKind::Wheel)
        }
        Some(_) => Ok(PathKind::Sdist),
    }
}

impl Form {
    /// Refuses a path at which nothing is, unless a marker may yet exclude the requirement.
    fn check_path(&self, part: Part<'_>) -> Result<()> {
        match &self.what {
            What::Path {
                kind: PathKind::Missing,
                written,
                ..
            } if self.marker.is_none() => {
                let problem = Problem::NoSuchPath(written.to_string());
                Err(Fault::new(part.offset(0), problem))
            }
            _ => Ok(()),
        }
    }
}
