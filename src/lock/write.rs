//! A plan → `pylock.toml`, or requirements with hashes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use url::Url;

use super::Recorded;
use crate::plan::{Form, Item, Plan, Source};
use crate::requirements::Name;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File<'a> {
    lock_version: &'static str,
    environments: Vec<String>,
    requires_python: String,
    created_by: &'static str,
    packages: Vec<Package<'a>>,
    tool: Tool<'a>,
}

#[derive(Serialize)]
struct Tool<'a> {
    prebuild: &'a Recorded,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Package<'a> {
    name: &'a Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requires_python: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<Dependency<'a>>,
    #[serde(flatten)]
    source: Of<'a>,
}

#[derive(Serialize)]
struct Dependency<'a> {
    name: &'a Name,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Of<'a> {
    Wheels([Archive<'a>; 1]),
    Sdist(Archive<'a>),
    Archive(Archive<'a>),
    Vcs(BTreeMap<&'static str, String>),
    Directory(BTreeMap<&'static str, String>),
}

#[derive(Serialize)]
struct Archive<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdirectory: Option<String>,
    hashes: BTreeMap<&'static str, &'a str>,
}

/// The plan as the text of a lock file in `folder`; `Err` names a distribution that it cannot hold, for
/// nobody knows its hash.
///
/// Of each distribution it has the one file that was chosen: it is for the plan's target, and says so.
pub fn text(plan: &Plan, recorded: &Recorded, folder: &Path) -> Result<String, Name> {
    let markers = &plan.target.markers;
    let mut items: Vec<&Item> = plan.distributions.iter().collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    let packages = items
        .iter()
        .map(|item| package(item, plan, folder).ok_or_else(|| item.name.clone()))
        .collect::<Result<_, _>>()?;
    let file = File {
        lock_version: "1.0",
        environments: vec![format!(
            "python_version == '{}' and implementation_name == '{}' and sys_platform == '{}' and platform_machine == '{}'",
            markers.python_version,
            markers.implementation_name,
            markers.sys_platform,
            markers.platform_machine,
        )],
        requires_python: format!("=={}.*", markers.python_version),
        created_by: "prebuild",
        packages,
        tool: Tool { prebuild: recorded },
    };
    // Nothing in it is of a kind that TOML cannot hold.
    Ok(toml::to_string(&file).unwrap_or_default())
}

fn package<'a>(item: &'a Item, plan: &'a Plan, folder: &Path) -> Option<Package<'a>> {
    let by = crate::plan::RequiredBy::Distribution {
        distribution: item.name.clone(),
    };
    let mut dependencies: Vec<_> = plan
        .distributions
        .iter()
        .filter(|other| other.required_by.contains(&by) && other.name != item.name)
        .map(|other| Dependency { name: &other.name })
        .collect();
    dependencies.sort_by_key(|dependency| dependency.name);
    let info: serde_json::Value = item
        .direct_url
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let subdirectory = info["subdirectory"].as_str().map(str::to_owned);
    let source = match (&item.source, item.form) {
        (Source::Index, Form::Wheel) => Of::Wheels([archive(item, None, folder)?]),
        (Source::Index, Form::Sdist) => Of::Sdist(archive(item, None, folder)?),
        (Source::Archive, _) => Of::Archive(archive(item, subdirectory, folder)?),
        (Source::Commit(commit), _) => {
            let mut vcs = located(&item.url, folder);
            let info = &info["vcs_info"];
            vcs.insert("type", info["vcs"].as_str().unwrap_or("git").to_owned());
            vcs.insert("commit-id", commit.clone());
            if let Some(revision) = info["requested_revision"].as_str() {
                vcs.insert("requested-revision", revision.to_owned());
            }
            vcs.extend(subdirectory.map(|path| ("subdirectory", path)));
            Of::Vcs(vcs)
        }
        // No plan holds one: only pip's own installation does not say where things are from.
        (Source::Unknown, _) => return None,
        (Source::Directory, _) => {
            let mut directory = located(&item.url, folder);
            directory.extend(subdirectory.map(|path| ("subdirectory", path)));
            Of::Directory(directory)
        }
    };
    let is_source = matches!(source, Of::Vcs(_) | Of::Directory(_));
    Some(Package {
        name: &item.name,
        // That of sources may be another one tomorrow.
        version: (!is_source).then_some(&item.version),
        requires_python: item.requires_python.as_deref(),
        dependencies,
        source,
    })
}

fn archive<'a>(item: &'a Item, subdirectory: Option<String>, folder: &Path) -> Option<Archive<'a>> {
    let hashes: BTreeMap<_, _> = item
        .hashes
        .iter()
        .map(|hash| (hash.algorithm.as_str(), hash.hex.as_str()))
        .collect();
    if hashes.is_empty() {
        return None;
    }
    let path = relative(&item.url, folder);
    let is_index = item.source == Source::Index;
    Some(Archive {
        name: is_index.then(|| item.filename.clone()),
        url: path.is_none().then_some(&item.url),
        path,
        // TOML's integers are signed; an index may say anything.
        size: item.size.filter(|size| i64::try_from(*size).is_ok()),
        subdirectory,
        hashes,
    })
}

fn located(url: &str, folder: &Path) -> BTreeMap<&'static str, String> {
    match relative(url, folder) {
        Some(path) => BTreeMap::from([("path", path)]),
        None => BTreeMap::from([("url", url.to_owned())]),
    }
}

/// The path of a `file:` URL, relative if it is below the lock file's folder.
fn relative(url: &str, folder: &Path) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    let path = url.to_file_path().ok()?;
    let path = path.strip_prefix(folder).unwrap_or(&path);
    Some(path.to_string_lossy().into_owned())
}

/// The plan as requirements: pins with hashes, and who wants each.
#[must_use]
pub fn requirements(plan: &Plan) -> String {
    let mut items: Vec<&Item> = plan.distributions.iter().collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    let target = &plan.target;
    let mut text = format!("# Locked by prebuild for {target}.\n");
    for item in items {
        let extras: Vec<_> = item.extras.iter().map(Name::as_str).collect();
        let extras = match extras.as_slice() {
            [] => String::new(),
            extras => format!("[{}]", extras.join(",")),
        };
        let what = if item.is_direct() {
            format!("{}{extras} @ {}", item.name, item.requirement_url())
        } else {
            format!("{}{extras}=={}", item.name, item.version)
        };
        text.push_str(&what);
        let has_hashes = !matches!(item.source, Source::Commit(_) | Source::Directory);
        for hash in item.hashes.iter().filter(|_| has_hashes) {
            text.push_str(&format!(" \\\n    --hash={hash}"));
        }
        text.push('\n');
        for by in &item.required_by {
            text.push_str(&format!("    # via {by}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_url_is_a_path() {
        let folder = Path::new("/srv/app");
        for (url, path) in [
            ("file:///srv/app/a.whl", Some("a.whl")),
            ("file:///srv/other/a.whl", Some("/srv/other/a.whl")),
            ("https://host/a.whl", None),
            ("ftp:/srv/app/a.whl", None),
            ("httpy:/srv/app/a.whl", None),
        ] {
            assert_eq!(relative(url, folder).as_deref(), path, "{url}");
        }
    }

    #[test]
    fn a_size_that_toml_cannot_hold_is_left_out() {
        for (size, written) in [
            (0, Some(0)),
            (i64::MAX as u64, Some(i64::MAX as u64)),
            (1 << 63, None),
            (u64::MAX, None),
        ] {
            let item = serde_json::json!({
                "name": "a", "version": "1", "requested": true, "extras": [], "source": "index",
                "form": "wheel", "url": "https://host/a-1-py3-none-any.whl", "direct_url": null,
                "filename": "a-1-py3-none-any.whl", "hashes": [format!("sha256:{}", "0".repeat(64))],
                "size": size, "requires": [], "requires_python": null,
            });
            let item: Item = serde_json::from_value(item).unwrap();
            let archive = archive(&item, None, Path::new("/")).unwrap();
            assert_eq!(archive.size, written);
            let text = toml::to_string(&archive).unwrap();
            assert_eq!(text.contains("size"), written.is_some(), "{text}");
        }
    }
}
