//! What other tools say of a project's dependencies in its `pyproject.toml`: prebuild does not read it, and
//! refuses the project where that would change what is installed.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::error::{Fault, Problem};
use super::project::Value;
use super::specifier::Name;

const POETRY: &str = "`poetry export -f requirements.txt -o requirements.txt` writes a requirements file (the \
    command comes with the package poetry-plugin-export)";
const PDM: &str = "`pdm export -f requirements -o requirements.txt` writes a requirements file";
const PIXI: &str = "prebuild installs from Python package indexes, not from conda channels: write the packages \
    of `pypi-dependencies` into a requirements.txt";
const RYE: &str = "`rye lock` writes requirements.lock, which is a requirements file: `prebuild requirements.lock`";
const BACKEND: &str = "require the project itself: `echo . | prebuild -` asks its build backend";

/// The tools whose tables may hold the dependencies in place of `[project]`.
const INSTEAD: [(&str, &str, &str); 6] = [
    ("poetry", "Poetry", POETRY),
    ("pdm", "PDM", PDM),
    ("pixi", "pixi", PIXI),
    ("flit", "Flit", BACKEND),
    ("rye", "Rye", RYE),
    ("hatch", "Hatch", BACKEND),
];

fn at<'a>(table: &'a DeTable<'a>, path: &[&str]) -> Option<&'a Value<'a>> {
    let (last, above) = path.split_last()?;
    let mut table = table;
    for key in above {
        table = table.get(*key)?.get_ref().as_table()?;
    }
    table.get(*last)
}

/// Why a file has no `[project]`: where the dependencies are instead.
pub(super) fn instead(document: &DeTable<'_>) -> Fault {
    for (table, tool, hint) in INSTEAD {
        if let Some(value) = at(document, &["tool", table]) {
            let problem = Problem::OtherTool {
                table: format!("tool.{table}"),
                tool,
                hint: hint.into(),
            };
            return Fault::new(value.span().start, problem);
        }
    }
    if let Some(value) = at(document, &["tool", "uv", "workspace"]) {
        let problem = Problem::OtherSetting {
            what: "this is the root of a workspace, and no project".to_owned(),
            hint: "name the pyproject.toml of a member, or a dependency group with --group"
                .to_owned(),
        };
        return Fault::new(value.span().start, problem);
    }
    Fault::new(0, Problem::NoProject)
}

/// What to do about dependencies that only the build backend tells.
pub(super) fn dynamic(document: &DeTable<'_>) -> Option<String> {
    let files = at(
        document,
        &["tool", "setuptools", "dynamic", "dependencies", "file"],
    )
    .or_else(|| {
        let hooks = [
            "tool",
            "hatch",
            "metadata",
            "hooks",
            "requirements_txt",
            "files",
        ];
        at(document, &hooks)
    });
    let names: Vec<&str> = match files.map(toml::Spanned::get_ref) {
        Some(DeValue::Array(list)) => list
            .iter()
            .filter_map(|one| one.get_ref().as_str())
            .collect(),
        Some(DeValue::String(name)) => vec![name],
        _ => Vec::new(),
    };
    if !names.is_empty() {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        return Some(format!(
            "the backend reads {}: name it instead",
            names.join(", ")
        ));
    }
    at(document, &["tool", "poetry", "dependencies"]).map(|_| POETRY.to_owned())
}

/// Refuses what other tools say of indexes, and of the dependencies that are read.
pub(super) fn check(document: &DeTable<'_>, names: &BTreeSet<&Name>) -> Result<(), Fault> {
    let refuse = |value: &Value<'_>, what: String, hint: &str| {
        let hint = hint.to_owned();
        Err(Fault::new(
            value.span().start,
            Problem::OtherSetting { what, hint },
        ))
    };
    let lists: [(&[&str], &str, &str); 3] = [
        (&["tool", "poetry", "source"], "Poetry", POETRY),
        (&["tool", "pdm", "source"], "PDM", PDM),
        (&["tool", "rye", "sources"], "Rye", RYE),
    ];
    for (path, tool, hint) in lists {
        let list = at(document, path).and_then(|value| value.get_ref().as_array());
        for value in list.into_iter().flat_map(|list| list.iter()) {
            let text = |key: &str| value.get_ref().as_table()?.get(key)?.get_ref().as_str();
            if text("priority") == Some("explicit") {
                continue;
            }
            let name = text("name").unwrap_or_default();
            let what = format!("the index `{name}` is for {tool} alone: pip does not ask it");
            return refuse(value, what, hint);
        }
    }
    for (path, hint) in [
        (["tool", "pdm", "resolution", "overrides"], PDM),
        (["tool", "pdm", "resolution", "excludes"], PDM),
    ] {
        if let Some(value) = at(document, &path) {
            let what = format!(
                "`{}` changes what is installed, and pip does not have it",
                path.join(".")
            );
            return refuse(value, what, hint);
        }
    }
    for key in ["index-url", "extra-index-urls", "find-links"] {
        if let Some(value) = at(document, &["tool", "pixi", "pypi-options", key]) {
            let what = format!("`tool.pixi.pypi-options.{key}` is for pixi alone");
            return refuse(value, what, PIXI);
        }
    }
    let tables: [(&[&str], &str, &str); 2] = [
        (&["tool", "poetry", "dependencies"], "Poetry", POETRY),
        (&["tool", "pixi", "pypi-dependencies"], "pixi", PIXI),
    ];
    for (path, tool, hint) in tables {
        let table = at(document, path).and_then(|value| value.get_ref().as_table());
        for (name, value) in table.into_iter().flat_map(|table| table.iter()) {
            if names.contains(&Name::new(name.get_ref())) && is_elsewhere(value.get_ref()) {
                let what = format!("`{}` comes from somewhere else with {tool}", name.get_ref());
                return refuse(value, what, hint);
            }
        }
    }
    Ok(())
}

/// Whether a dependency of another tool's comes from a place that is not the main index.
fn is_elsewhere(value: &DeValue<'_>) -> bool {
    const PLACES: [&str; 6] = ["source", "path", "git", "url", "file", "index"];
    match value {
        DeValue::Table(table) => PLACES.iter().any(|key| table.contains_key(*key)),
        DeValue::Array(list) => list.iter().any(|value| is_elsewhere(value.get_ref())),
        _ => false,
    }
}
