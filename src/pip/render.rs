//! The requirements file for pip: one canonical file, and the local files that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Error, Item};
use crate::fs;
use crate::requirements::{
    self, Applies, FindLinks, FormatControl, Location, Name, ReleaseControl, Requirements, Text,
    UrlKind, What,
};
use crate::target::MarkerEnvironment;
use crate::tree::{Content, Entry, Node, RelPath, Tree};

/// The files that go into the builder, and where their lines come from.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Where they lie in the builder, below the session's root.
    pub(super) work: String,
    /// `requirements.txt`, `constraints.txt`, and the local sources that they name.
    pub(super) tree: Tree,
    /// For each line of `requirements.txt`, where it was written.
    pub(super) lines: Vec<Option<Line>>,
    /// Whether a requirement names a repository.
    pub(super) has_repositories: bool,
    /// The files of constraints among them.
    pub(super) constraints: Vec<&'static str>,
}

const REQUIREMENTS: &str = "requirements.txt";
const CONSTRAINTS: &str = "constraints.txt";
const PINS: &str = "pins.txt";

impl Rendered {
    /// The folder for pip's log.
    pub(super) fn log(&self) -> String {
        self.work.replace("work", "log")
    }

    /// Narrows down to `items`, at the versions that were chosen: the lines that name them, with all
    /// that the user said of them; and a line for each that none names, as something requires it.
    pub(super) fn narrow(&mut self, items: &[&Item]) -> Result<(), Error> {
        let path = RelPath::new(REQUIREMENTS)?;
        let Some(Entry {
            node: Node::File { content, .. },
            ..
        }) = self.tree.remove(&path)
        else {
            return Ok(());
        };
        let text = content.read()?;
        let text = String::from_utf8_lossy(&text);
        let wanted = |name: &Name| items.iter().any(|item| item.name == *name);
        let named: BTreeSet<Name> = self
            .lines
            .iter()
            .flatten()
            .filter_map(|line| line.name.clone())
            .collect();
        // Requirements that name nothing: only their URL tells which of the items they are.
        let has_nameless = self.lines.iter().flatten().any(|line| line.name.is_none());
        let nameless = items
            .iter()
            .any(|item| item.is_direct() && item.requested && !named.contains(&item.name));
        let mut hashed = false;
        let mut kept = String::new();
        let lines = std::mem::take(&mut self.lines);
        for (line, from) in text.lines().zip(lines) {
            let keep = match &from {
                None => true,
                Some(Line {
                    name: Some(name), ..
                }) => wanted(name),
                Some(Line { name: None, .. }) => nameless,
            };
            if keep {
                hashed |= line.contains(" --hash=");
                kept.push_str(line);
                kept.push('\n');
                self.lines.push(from);
            }
        }
        let mut pins = String::new();
        for item in items {
            let is_nameless = has_nameless && item.is_direct() && item.requested;
            let known = named.contains(&item.name) || is_nameless;
            if !known {
                // By its URL with the hash, where there is one: what was decided on, and nothing else.
                let url = item.requirement_url();
                let line = if !item.is_direct() && item.sha256().is_none() {
                    format!("{}=={}", item.name, item.version)
                } else if url.contains("+file:") {
                    // Older pips know no URL without a host behind `@`.
                    let joint = if url.contains('#') { '&' } else { '#' };
                    format!("{url}{joint}egg={}", item.name)
                } else {
                    format!("{} @ {url}", item.name)
                };
                kept.push_str(&line);
                kept.push('\n');
                self.lines.push(None);
            } else if !item.is_direct() && !hashed {
                // With hashes, each line is a pin already.
                pins.push_str(&format!("{}=={}\n", item.name, item.version));
            }
        }
        self.insert(REQUIREMENTS, kept)?;
        if !pins.is_empty() {
            self.insert(PINS, pins)?;
            self.constraints.push(PINS);
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, text: String) -> Result<(), Error> {
        let node = Node::File {
            content: text.into_bytes().into(),
            executable: false,
        };
        self.tree
            .insert(RelPath::new(name)?, node)
            .map_err(|occupied| Error::Twice(occupied.0))
    }
}

/// Where a line comes from.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: Location,
    pub(super) name: Option<Name>,
    /// The requirement as the user wrote it.
    pub(super) written: String,
    /// The requirement as pip reads it, with the path of a local source in the builder.
    pub(super) rendered: String,
}

/// Folders that are no part of a project's source, though they lie in it.
const NOT_SOURCE: [&str; 6] = [
    "__pycache__",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    "node_modules",
];

/// Renders what applies in `environment`; `work` is where the files will lie below the session's root,
/// `root` is the same in the builder, and `folders` are folders and pages of this machine to look in besides.
pub(super) fn render(
    requirements: &Requirements,
    environment: &MarkerEnvironment,
    work: String,
    root: &str,
    folders: &[String],
) -> Result<Rendered, Error> {
    let mut renderer = Renderer {
        tree: Tree::new(),
        root,
        sources: 0,
    };
    let mut text = String::new();
    let mut lines = Vec::new();
    let mut options = renderer.options(requirements)?;
    for path in folders {
        options.push(format!(
            "--find-links={}",
            quoted(&renderer.links(Path::new(path))?)
        ));
    }
    for line in options {
        text.push_str(&line);
        text.push('\n');
        lines.push(None);
    }
    for entry in requirements.entries() {
        if entry.applies(environment)? == Applies::Yes {
            let line = renderer.entry(entry)?;
            text.push_str(&line);
            text.push('\n');
            lines.push(Some(Line {
                at: entry.at.clone(),
                name: entry.name().cloned(),
                written: entry.written.to_string(),
                rendered: line,
            }));
        }
    }
    let mut constraints = String::new();
    for entry in requirements.constraints() {
        if entry.applies(environment)? == Applies::Yes {
            constraints.push_str(&renderer.constraint(entry)?);
            constraints.push('\n');
        }
    }
    renderer.add(REQUIREMENTS, text)?;
    let mut files = Vec::new();
    if !constraints.is_empty() {
        renderer.add(CONSTRAINTS, constraints)?;
        files.push(CONSTRAINTS);
    }
    let is_repository = |entry: &requirements::Entry| {
        let kind = match &entry.what {
            What::Url { kind, .. } => Some(*kind),
            What::Named { .. } | What::Path { .. } => None,
        };
        kind == Some(UrlKind::Vcs)
    };
    Ok(Rendered {
        work,
        has_repositories: requirements.entries().iter().any(is_repository),
        tree: renderer.tree,
        lines,
        constraints: files,
    })
}

struct Renderer<'a> {
    tree: Tree,
    root: &'a str,
    sources: usize,
}

impl Renderer<'_> {
    fn add(&mut self, name: &str, text: String) -> Result<(), Error> {
        let node = Node::File {
            content: text.into_bytes().into(),
            executable: false,
        };
        self.insert(name, node)
    }

    fn insert(&mut self, path: &str, node: Node) -> Result<(), Error> {
        self.tree
            .insert(RelPath::new(path)?, node)
            .map_err(|occupied| Error::Twice(occupied.0))
    }

    fn options(&mut self, requirements: &Requirements) -> Result<Vec<String>, Error> {
        let options = requirements.options();
        let mut lines = Vec::new();
        let mut line =
            |option: &str, value: &str| lines.push(format!("{option}={}", quoted(value)));
        if let Some(url) = &options.index_url {
            line("--index-url", url.value.expanded());
        }
        for url in &options.extra_index_urls {
            line("--extra-index-url", url.value.expanded());
        }
        for links in &options.find_links {
            let value = match &links.value {
                FindLinks::Url(url) => url.expanded().to_owned(),
                FindLinks::Path { path, .. } => self.links(path)?,
            };
            line("--find-links", &value);
        }
        for control in &options.format_control {
            match &control.value {
                FormatControl::OnlyBinary(value) => line("--only-binary", value.expanded()),
                FormatControl::NoBinary(value) => line("--no-binary", value.expanded()),
            }
        }
        let mut pre = false;
        for control in &options.release_control {
            match &control.value {
                ReleaseControl::Pre => pre = true,
                ReleaseControl::AllReleases(value) => line("--all-releases", value.expanded()),
                ReleaseControl::OnlyFinal(value) => line("--only-final", value.expanded()),
            }
        }
        for host in &options.trusted_hosts {
            line("--trusted-host", host.value.expanded());
        }
        for feature in &options.use_features {
            line("--use-feature", feature.value.expanded());
        }
        let hashes = options.require_hashes.as_ref().map(|require| require.value);
        for (set, option) in [
            (options.no_index.is_some(), "--no-index"),
            (options.prefer_binary.is_some(), "--prefer-binary"),
            (pre, "--pre"),
            (hashes == Some(true), "--require-hashes"),
            (hashes == Some(false), "--no-require-hashes"),
        ] {
            if set {
                lines.push(option.to_owned());
            }
        }
        Ok(lines)
    }

    /// A constraint, which needs a name in front of its path.
    fn constraint(&mut self, entry: &requirements::Entry) -> Result<String, Error> {
        match &entry.what {
            What::Path {
                name: Some(name),
                path,
                fragment: None,
                ..
            } => Ok(format!("{name} @ file://{}", self.source(path)?)),
            _ => self.entry(entry),
        }
    }

    fn entry(&mut self, entry: &requirements::Entry) -> Result<String, Error> {
        let extras: Vec<&str> = entry.extras.iter().map(Name::as_str).collect();
        let extras = match extras.as_slice() {
            [] => String::new(),
            extras => format!("[{}]", extras.join(",")),
        };
        let mut line = match &entry.what {
            What::Named { name, specifier } => format!("{name}{extras}{}", specifier.expanded()),
            What::Url { name, url, .. } => match name {
                Some(name) => direct(name, &extras, url.expanded()),
                None => url.expanded().to_owned(),
            },
            What::Path {
                name,
                path,
                fragment,
                ..
            } => {
                let inside = self.source(path)?;
                let fragment = fragment.as_ref().map(Text::expanded);
                match (name, fragment) {
                    (Some(name), Some(fragment)) => {
                        format!("{name}{extras} @ file://{inside}#{fragment}")
                    }
                    (None, Some(fragment)) => format!("file://{inside}#{fragment}"),
                    _ => format!("{inside}{extras}"),
                }
            }
        };
        for setting in &entry.config_settings {
            line.push_str(&format!(
                " --config-settings={}",
                quoted(setting.expanded())
            ));
        }
        for hash in &entry.hashes {
            line.push_str(&format!(" --hash={hash}"));
        }
        Ok(line)
    }

    /// Brings a local source along under a name of ours; returns its path in the builder.
    fn source(&mut self, path: &Path) -> Result<String, Error> {
        self.sources += 1;
        let folder = format!("sources/{}", self.sources);
        if !fs::exists(path).is_some_and(|found| found.is_dir()) {
            let inside = format!("{folder}/{}", plain_name(path));
            self.file(&inside, path)?;
            return Ok(format!("{}/{inside}", self.root));
        }
        let inside = format!("{folder}/project");
        self.project(path, &inside)?;
        Ok(format!("{}/{inside}", self.root))
    }

    /// A folder or a page of links.
    fn links(&mut self, path: &Path) -> Result<String, Error> {
        self.sources += 1;
        let folder = format!("links/{}", self.sources);
        if fs::exists(path).is_some_and(|found| found.is_dir()) {
            self.insert(&folder, Node::Dir)?;
            for name in fs::list(path)? {
                let from = path.join(&name);
                if fs::exists(&from).is_some_and(|found| found.is_file())
                    && let Some(name) = name.to_str()
                {
                    self.file(&format!("{folder}/{name}"), &from)?;
                }
            }
            return Ok(format!("{}/{folder}", self.root));
        }
        let inside = format!("{folder}/{}", plain_name(path));
        self.file(&inside, path)?;
        Ok(format!("{}/{inside}", self.root))
    }

    fn file(&mut self, inside: &str, path: &Path) -> Result<(), Error> {
        let size = fs::follow(path)?.len();
        let node = Node::File {
            content: Content::File {
                path: path.to_path_buf(),
                offset: 0,
                size,
                guard: None,
                code: None,
            },
            executable: false,
        };
        self.insert(inside, node)
    }

    /// A copy of a project without what earlier builds left in it: H23, and stale modules.
    fn project(&mut self, path: &Path, inside: &str) -> Result<(), Error> {
        let skip = |folder: &Path, top: bool| {
            let name = folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let has = |file: &str| fs::exists(&folder.join(file)).is_some();
            NOT_SOURCE.contains(&name.as_str())
                || name.ends_with(".egg-info")
                // A package may be called `build`; what a build leaves is none.
                || (top && name == "build" && !has("__init__.py"))
                || has("pyvenv.cfg")
        };
        let tree = Tree::read_without(path, &skip).map_err(|source| Error::Source {
            path: path.to_path_buf(),
            source,
        })?;
        self.insert(inside, Node::Dir)?;
        for (below, entry) in tree.into_entries() {
            self.insert(&format!("{inside}/{below}"), entry.node)?;
        }
        Ok(())
    }
}

/// `name @ URL`; pip before 23.3 takes no URL without a host there, and wants the older form.
fn direct(name: &Name, extras: &str, url: &str) -> String {
    let hostless = url.contains("+file:///") && extras.is_empty();
    match url.split_once('#') {
        Some(_) if hostless && url.contains("egg=") => url.to_owned(),
        Some(_) if hostless => format!("{url}&egg={name}"),
        None if hostless => format!("{url}#egg={name}"),
        _ => format!("{name}{extras} @ {url}"),
    }
}

/// The name of a file, without what a requirement's line cannot hold.
fn plain_name(path: &Path) -> String {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._+-!".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// A value behind an option, quoted where pip's reader would part it.
fn quoted(value: &str) -> String {
    if value
        .chars()
        .all(|c| c.is_alphanumeric() || "_@%+=:,./-~?&!*[]{}".contains(c))
    {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// Options of pip's that are set by variables, from options by name.
pub(super) fn variables(options: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    options
        .iter()
        .map(|(name, value)| {
            let variable = format!("PIP_{}", name.to_uppercase().replace('-', "_"));
            (variable, value.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_without_a_host_are_written_as_every_pip_reads_them() {
        let name = Name::new("demo");
        for (extras, url, line) in [
            ("", "https://h/x.whl", "demo @ https://h/x.whl"),
            ("[a]", "git+https://h/x@v1", "demo[a] @ git+https://h/x@v1"),
            ("", "git+file:///x@v1", "git+file:///x@v1#egg=demo"),
            (
                "",
                "git+file:///x#subdirectory=y",
                "git+file:///x#subdirectory=y&egg=demo",
            ),
            ("", "git+file:///x#egg=demo", "git+file:///x#egg=demo"),
            ("[a]", "git+file:///x", "demo[a] @ git+file:///x"),
        ] {
            assert_eq!(direct(&name, extras, url), line);
        }
    }

    #[test]
    fn values_are_quoted_where_pips_reader_would_part_them() {
        assert_eq!(quoted("https://u:p@h/a?b=c&d"), "https://u:p@h/a?b=c&d");
        assert_eq!(quoted("--flag=a b"), "\"--flag=a b\"");
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
    }
}
