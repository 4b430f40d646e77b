//! What a file is that is no requirements file, and the command that makes one of it.

use std::path::Path;

use url::Url;

use super::document;
use super::error::{CONDA, Problem};
use super::link::{self, file_name};
use crate::fs;

/// How many names of a directory are looked at.
const MAX_NAMES: usize = 2000;

const UV: &str = "in the project, `uv export --frozen --no-emit-project --format pylock.toml -o pylock.toml` \
    writes a lock file that prebuild reads";
const POETRY: &str = "in the project, `poetry export -f requirements.txt -o requirements.txt` writes one \
    (the command comes with the package poetry-plugin-export)";
const PDM: &str = "in the project, `pdm export -f requirements -o requirements.txt` writes one";
const PIPENV: &str = "in the project, `pipenv requirements --hash > requirements.txt` writes one from \
    Pipfile.lock, which `pipenv lock` makes";
const PIXI: &str = "prebuild installs from Python package indexes, not from conda channels: write the \
    packages of `pypi-dependencies` into a requirements.txt";
const PROJECT: &str = "`.` is a requirement: in the project, `echo . | prebuild -` builds the project and \
    installs it with its dependencies";
const PYTHON: &str = "name the file that lists the requirements";

/// A file by its name, in lower case: what it is, and what can be done.
const NAMES: [(&str, &str, &str); 27] = [
    ("uv.lock", "uv's lock file", UV),
    ("poetry.lock", "Poetry's lock file", POETRY),
    ("pdm.lock", "PDM's lock file", PDM),
    ("pipfile", "Pipenv's project file", PIPENV),
    ("pipfile.lock", "Pipenv's lock file", PIPENV),
    ("pixi.lock", "pixi's lock file", PIXI),
    ("pixi.toml", "pixi's project file", PIXI),
    ("environment.yml", "conda's environment file", CONDA),
    ("environment.yaml", "conda's environment file", CONDA),
    ("conda.yml", "conda's environment file", CONDA),
    ("conda.yaml", "conda's environment file", CONDA),
    ("conda-lock.yml", "conda-lock's lock file", CONDA),
    ("conda-lock.yaml", "conda-lock's lock file", CONDA),
    ("meta.yaml", "conda's recipe", CONDA),
    ("recipe.yaml", "conda's recipe", CONDA),
    ("setup.py", "a project's build script", PROJECT),
    ("setup.cfg", "a project's configuration", PROJECT),
    ("tox.ini", "tox's configuration", PYTHON),
    ("noxfile.py", "nox's configuration", PYTHON),
    ("package.json", "npm's project file", NPM),
    ("package-lock.json", "npm's lock file", NPM),
    ("yarn.lock", "Yarn's lock file", NPM),
    ("pnpm-lock.yaml", "pnpm's lock file", NPM),
    ("dockerfile", "a Dockerfile", PYTHON),
    ("containerfile", "a Containerfile", PYTHON),
    ("compose.yaml", "a Compose file", PYTHON),
    ("docker-compose.yml", "a Compose file", PYTHON),
];

const NPM: &str = "prebuild installs Python packages";

/// The beginnings of files that are no text, and what they are.
const MAGIC: [(&[u8], &str); 9] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x7fELF", "a program"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"SQLite format 3\0", "a database"),
];

/// What a file is by its name, or a directory, if that is no requirements file.
pub(super) fn by_name(named: &Path, path: &Path) -> Option<Problem> {
    if fs::exists(path).is_some_and(|found| found.is_dir()) {
        return Some(directory(named, path));
    }
    let name = path.file_name()?.to_string_lossy();
    by_file_name(&name, named)
}

/// The same of the file that a URL leads to.
pub(super) fn by_url(named: &Path, url: &Url) -> Option<Problem> {
    let name = file_name(url.as_str());
    if name.eq_ignore_ascii_case("pyproject.toml") {
        let hint = "download the project, and name the file in it";
        return Some(other(named, "a project's file", hint));
    }
    if name.starts_with("pylock.") && name.ends_with(".toml") {
        return Some(other(
            named,
            "a lock file",
            "download it, and name the copy",
        ));
    }
    by_file_name(&name, named)
}

fn by_file_name(name: &str, named: &Path) -> Option<Problem> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, what, hint)) = NAMES.iter().find(|(known, ..)| *known == lower) {
        return Some(other(named, what, hint));
    }
    if lower.ends_with(".dockerfile") || lower.starts_with("dockerfile.") {
        return Some(other(named, "a Dockerfile", PYTHON));
    }
    if lower.ends_with(".ipynb") {
        return Some(other(named, "a notebook", PYTHON));
    }
    if lower.ends_with(".py") {
        return Some(other(named, "a Python program", PYTHON));
    }
    if link::extension(&lower) == ".whl" {
        return Some(other(named, "a wheel", &as_requirement(named)));
    }
    link::is_archive(&lower).then(|| other(named, "an archive", &as_requirement(named)))
}

fn as_requirement(named: &Path) -> String {
    let named = named.display().to_string();
    let path = if named.starts_with('/') || named.contains("://") {
        named
    } else {
        format!("./{named}")
    };
    format!("it is a requirement itself: `echo {path} | prebuild -` installs it")
}

/// What to name in place of a directory.
fn directory(named: &Path, path: &Path) -> Problem {
    let has = |name: &str| fs::exists(&path.join(name)).is_some_and(|found| found.is_file());
    let known = ["requirements.txt", "pylock.toml", "pyproject.toml"];
    let found: Vec<String> = known
        .into_iter()
        .filter(|name| has(name))
        .map(|name| format!("`{}`", named.join(name).display()))
        .collect();
    let hint = match found.as_slice() {
        [] if has("setup.py") || has("setup.cfg") => PROJECT.to_owned(),
        [] => "name a requirements file in it".to_owned(),
        found => format!("name {}", found.join(" or ")),
    };
    other(named, "a directory", &hint)
}

/// What a file is by its contents, once it could not be read as requirements.
pub(super) fn by_content(named: &Path, data: &[u8]) -> Option<Problem> {
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| data.starts_with(magic)) {
        return Some(other(named, what, PYTHON));
    }
    if data.get(257..262) == Some(b"ustar") {
        return Some(other(named, "a tar archive", PYTHON));
    }
    let text = std::str::from_utf8(data).ok()?;
    let (what, hint) = by_text(text.trim_start_matches('\u{feff}').trim_start())?;
    Some(other(named, what, hint))
}

fn by_text(text: &str) -> Option<(&'static str, &'static str)> {
    let start: String = text.chars().take(64).collect();
    let start = start.to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml") {
        let hint = "this is the page around the file: download the file itself (on GitHub, `Raw`)";
        return Some(("a web page", hint));
    }
    if text.starts_with('{') {
        return by_json(text);
    }
    if let Some(found) = by_toml(text) {
        return Some(found);
    }
    let has_line = |start: &str| text.lines().any(|line| line.starts_with(start));
    if has_line("@EXPLICIT") {
        return Some(("conda's list of packages", CONDA));
    }
    if has_line("dependencies:") || has_line("channels:") {
        return Some(("conda's environment file", CONDA));
    }
    if has_line("metadata:") && has_line("package:") {
        return Some(("conda-lock's lock file", CONDA));
    }
    if has_line("[metadata]") && has_line("[options]") {
        return Some(("a project's configuration", PROJECT));
    }
    let is_program = start.starts_with("#!") || has_line("import ") || has_line("from setuptools");
    if is_program {
        return Some(("a program", PYTHON));
    }
    let is_dockerfile = start.starts_with("from ") && (has_line("RUN ") || has_line("COPY "));
    is_dockerfile.then_some(("a Dockerfile", PYTHON))
}

fn by_json(text: &str) -> Option<(&'static str, &'static str)> {
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let has = |key| json.contains_key(key);
    Some(if has("_meta") && has("default") {
        ("Pipenv's lock file", PIPENV)
    } else if has("nbformat") {
        ("a notebook", PYTHON)
    } else if has("lockfileVersion") || has("devDependencies") || has("scripts") {
        ("npm's project file", NPM)
    } else {
        ("a JSON document", PYTHON)
    })
}

fn by_toml(text: &str) -> Option<(&'static str, &'static str)> {
    let document = document::parse(text).ok()?;
    let table = document.get_ref();
    let has = |key: &str| table.contains_key(key);
    Some(if has("lock-version") {
        let hint = "a lock file is read under the name pylock.toml or pylock.NAME.toml: rename it";
        ("a lock file", hint)
    } else if has("package")
        && (text.contains("@generated by PDM") || text.contains("inherit_metadata"))
    {
        ("PDM's lock file", PDM)
    } else if has("package") && has("metadata") {
        ("Poetry's lock file", POETRY)
    } else if has("package") && has("version") {
        ("uv's lock file", UV)
    } else if has("project") || has("build-system") || has("tool") {
        let hint = "a project's file is read under the name pyproject.toml: rename it";
        ("a project's file", hint)
    } else if has("packages") || has("dev-packages") {
        ("Pipenv's project file", PIPENV)
    } else if has("workspace") || has("dependencies") {
        ("pixi's project file", PIXI)
    } else {
        return None;
    })
}

fn other(named: &Path, what: &'static str, hint: &str) -> Problem {
    Problem::OtherFile {
        file: named.display().to_string(),
        what,
        hint: hint.into(),
    }
}

/// The names beside a missing file that are nearest to its name, the nearest first.
pub(super) fn near(path: &Path) -> Box<[String]> {
    let (Some(folder), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Box::default();
    };
    let lower = name.to_lowercase();
    let names = fs::names(folder).unwrap_or_default();
    let mut near: Vec<(f64, String)> = names
        .into_iter()
        .take(MAX_NAMES)
        .map(|other| {
            let likeness = strsim::normalized_damerau_levenshtein(&lower, &other.to_lowercase());
            (likeness, other)
        })
        .filter(|(likeness, other)| *likeness >= 0.7 && other != name)
        .filter(|(_, other)| fs::exists(&folder.join(other)).is_some_and(|found| found.is_file()))
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let best = near.first().map_or(0.0, |(likeness, _)| *likeness);
    near.retain(|(likeness, _)| *likeness >= best - 0.1);
    near.into_iter().take(2).map(|(_, other)| other).collect()
}

/// A character that looks like another one of the grammar's: where it is.
pub(super) fn look_alike(text: &str) -> Option<(usize, Problem)> {
    text.char_indices().find_map(|(at, found)| {
        let (name, instead) = match found {
            '\u{2010}' => ("a typographic hyphen", "-"),
            '\u{2011}' => ("a non-breaking hyphen", "-"),
            '\u{2012}' => ("a figure dash", "-"),
            '\u{2013}' => ("an en dash", "-"),
            '\u{2014}' | '\u{2015}' => ("an em dash", "-"),
            '\u{2212}' => ("a minus sign", "-"),
            '\u{ff0d}' => ("a full-width hyphen", "-"),
            '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' | '\u{2032}' => {
                ("a typographic quote", "'")
            }
            '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' => {
                ("a typographic quote", "\"")
            }
            '\u{ff1d}' => ("a full-width equals sign", "="),
            '\u{ff1e}' => ("a full-width greater-than sign", ">"),
            '\u{ff1c}' => ("a full-width less-than sign", "<"),
            '\u{2265}' => ("a greater-or-equal sign", ">="),
            '\u{2264}' => ("a less-or-equal sign", "<="),
            '\u{2260}' => ("a not-equal sign", "!="),
            '\u{ff0c}' => ("a full-width comma", ","),
            '\u{ff1b}' => ("a full-width semicolon", ";"),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
                ("a wide or no-break space", " ")
            }
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {
                ("an invisible character", "")
            }
            '\0' => ("a NUL character", ""),
            _ => return None,
        };
        Some((
            at,
            Problem::LookAlike {
                found,
                name,
                instead,
            },
        ))
    })
}
