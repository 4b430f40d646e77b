//! Turns the prefix that pip wrote into the prefix for the runtime.
//!
//! pip's version and the builder's distribution decide where things lie and what is in them; here
//! they are put where the runtime's Python looks ([`Layout`]), scripts name the runtime's
//! interpreter, `direct_url.json` names no local path, and each `RECORD` is made true again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;

use rayon::prelude::*;

use super::relocate::{self, Relocation};
use super::{Error, Installed, is_local, rewritten, set_content, write_record};
use crate::code::{Code, Scanner, package_names, settle};
use crate::digest::{Digest, Hashing};
use crate::fs;
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::piece::{Origin, Piece};
use crate::plan::Item;
use crate::requirements::Name;
use crate::tree::{Content, Distribution, Entry, Node, RelPath, Tree};
use crate::wheel::{Headers, record};

/// What tools leave at the top of a prefix for their own use.
const DROPPINGS: [&str; 3] = [".lock", ".gitignore", "CACHEDIR.TAG"];

/// Puts what pip left into the shape that the runtime needs.
///
/// `root` is the prefix's absolute path in the builder: links that name it become relative.
pub fn install_prefix(
    prefix: Tree,
    root: &str,
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<Installed, Error> {
    let relocation = Relocation::new(&prefix, layout);
    let mut tree = move_nodes(prefix, root, &relocation, layout)?;
    rewrite_scripts(&mut tree, interpreter, layout)?;
    let mut infos = find_infos(&tree, layout)?;
    own(&mut tree, &infos, &relocation);
    drop_local_urls(&mut tree, &infos)?;
    let looked = look(&tree)?;
    write_records(&mut tree, &infos, &looked)?;
    learn(&mut tree, &mut infos, looked, layout);
    let mut pieces: Vec<_> = infos.into_iter().map(|info| info.piece).collect();
    pieces.sort_by(|a, b| a.distribution.cmp(&b.distribution));
    Ok(Installed { tree, pieces })
}

/// What is known of the distributions in a prefix that is finished: an artifact that is read back. Each
/// node is marked with those that list it, and each file of code with what it asks of the runtime.
pub fn describe(tree: &mut Tree, layout: &Layout) -> Result<Vec<Piece>, Error> {
    let relocation = Relocation::new(tree, layout);
    let mut infos = find_infos(tree, layout)?;
    own(tree, &infos, &relocation);
    let looked = look(tree)?;
    learn(tree, &mut infos, looked, layout);
    let mut pieces: Vec<_> = infos.into_iter().map(|info| info.piece).collect();
    pieces.sort_by(|a, b| a.distribution.cmp(&b.distribution));
    Ok(pieces)
}

/// Every node at its place in the runtime.
fn move_nodes(
    prefix: Tree,
    root: &str,
    relocation: &Relocation,
    layout: &Layout,
) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for (path, entry) in prefix.into_entries() {
        if DROPPINGS.contains(&path.as_str()) {
            continue;
        }
        let Some(to) = relocation.of(&path)? else {
            continue;
        };
        let node = match entry.node {
            Node::Symlink { target } => Node::Symlink {
                target: relocation.link(&path, &to, &target, &[root, &layout.dest])?,
            },
            node => node,
        };
        if let Some(there) = tree.get(&to)
            && same(&there.node, &node)?
        {
            continue;
        }
        tree.insert(to, node)
            .map_err(|occupied| Error::Merge(occupied.0))?;
    }
    relocate::refuse_loops(&tree)?;
    Ok(tree)
}

/// Whether two files are one: distributions that lie in `lib` and `lib64` share some.
fn same(a: &Node, b: &Node) -> Result<bool, fs::Error> {
    Ok(match (a, b) {
        (Node::File { content: a, .. }, Node::File { content: b, .. }) => {
            a.size() == b.size() && a.read()? == b.read()?
        }
        (Node::Symlink { target: a }, Node::Symlink { target: b }) => a == b,
        _ => false,
    })
}

fn rewrite_scripts(
    tree: &mut Tree,
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<(), Error> {
    let mut changed = Vec::new();
    for (path, entry) in tree.iter() {
        if let Node::File { content, .. } = &entry.node
            && let Some(bytes) = rewritten(path, content, interpreter, layout)?
        {
            changed.push((path.clone(), bytes));
        }
    }
    for (path, bytes) in changed {
        set_content(tree, &path, bytes);
    }
    Ok(())
}

/// A distribution's metadata folder.
struct Info {
    piece: Piece,
    /// `…/name-version.dist-info`, or `….egg-info` of installers before wheels.
    folder: RelPath,
    /// The paths that it lists, relative to `base`.
    listed: Vec<String>,
    /// What `listed` is relative to.
    base: RelPath,
    has_record: bool,
}

/// Every distribution that has metadata in a site folder. What lies deeper is what some distribution
/// brings of others for its own use, and Python does not find it.
fn find_infos(tree: &Tree, layout: &Layout) -> Result<Vec<Info>, Error> {
    let read = |folder: &RelPath, name: &str| -> Result<Option<String>, Error> {
        match tree.get(&folder.join(name)?).map(|entry| &entry.node) {
            Some(Node::File { content, .. }) => {
                Ok(Some(String::from_utf8_lossy(&content.read()?).into_owned()))
            }
            _ => Ok(None),
        }
    };
    let mut infos = Vec::new();
    for (folder, entry) in tree.iter() {
        if !matches!(entry.node, Node::Dir) {
            continue;
        }
        let Some(site) = folder.parent() else {
            continue;
        };
        if !relocate::is_metadata(folder) || ![&layout.purelib, &layout.platlib].contains(&&site) {
            continue;
        }
        let wheel = folder.as_str().ends_with(".dist-info");
        let name = if wheel { "METADATA" } else { "PKG-INFO" };
        let Some(metadata) = read(folder, name)? else {
            continue;
        };
        let distribution = distribution(&metadata).ok_or_else(|| Error::Metadata {
            path: folder.join(name).unwrap_or_else(|_| folder.clone()),
        })?;
        let record = read(folder, "RECORD")?;
        let has_record = wheel && record.is_some();
        let (listed, base) = match record {
            Some(record) if wheel => (record::paths(&record), site),
            _ => {
                let files = read(folder, "installed-files.txt")?.unwrap_or_default();
                (files.lines().map(str::to_owned).collect(), folder.clone())
            }
        };
        let tags = read(folder, "WHEEL")?.unwrap_or_default();
        let tags = tags.lines().filter_map(|line| line.strip_prefix("Tag:"));
        let direct_url = read(folder, "direct_url.json")?;
        let headers = Headers::read(&metadata);
        let requires = headers.all("Requires-Dist").map(str::to_owned).collect();
        let requires_python = headers.first("Requires-Python").map(str::to_owned);
        let mut item = Item::unknown(distribution, requires, requires_python);
        item.direct_url = direct_url;
        infos.push(Info {
            piece: Piece {
                origin: Origin::Installed,
                tags: tags.map(|tag| tag.trim().to_owned()).collect(),
                ..Piece::new(item)
            },
            folder: folder.clone(),
            listed,
            base,
            has_record,
        });
    }
    Ok(infos)
}

/// The name and version of core metadata.
///
/// <https://packaging.python.org/en/latest/specifications/core-metadata/>
fn distribution(metadata: &str) -> Option<Distribution> {
    let field = |name: &str| {
        metadata
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    };
    Some(Distribution {
        name: Name::new(field("Name")?).as_str().to_owned(),
        version: field("Version")?.to_owned(),
    })
}

/// Marks every node with the distributions that list it.
fn own(tree: &mut Tree, infos: &[Info], relocation: &Relocation) {
    for info in infos {
        let mut paths = BTreeSet::new();
        for listed in &info.listed {
            if let Some(path) = relocation.listed(&info.base, listed) {
                paths.insert(path);
            }
        }
        paths.extend(tree.below(&info.folder).map(|(path, _)| path.clone()));
        // Bytecode that pip did not write is listed nowhere; it goes with its source.
        let compiled: Vec<_> = paths.iter().flat_map(|path| bytecode(tree, path)).collect();
        paths.extend(compiled);
        for path in paths {
            if let Some(entry) = tree.get_mut(&path)
                && !matches!(entry.node, Node::Dir)
                && !entry.owners.contains(&info.piece.distribution)
            {
                entry.owners.push(Arc::clone(&info.piece.distribution));
            }
        }
    }
}

/// The bytecode of a source file: `__pycache__/name.*.pyc` beside it.
fn bytecode(tree: &Tree, source: &RelPath) -> Vec<RelPath> {
    let Some(stem) = source.name().strip_suffix(".py") else {
        return Vec::new();
    };
    let folder = source
        .parent()
        .map_or_else(String::new, |parent| format!("{parent}/"));
    let start = format!("{folder}__pycache__/{stem}.");
    let Ok(cache) = RelPath::new(&format!("{folder}__pycache__")) else {
        return Vec::new();
    };
    tree.below(&cache)
        .filter(|(path, _)| path.as_str().starts_with(&start))
        .map(|(path, _)| path.clone())
        .collect()
}

/// Takes out each `direct_url.json` that names a path of the builder.
///
/// <https://packaging.python.org/en/latest/specifications/direct-url/>
fn drop_local_urls(tree: &mut Tree, infos: &[Info]) -> Result<(), Error> {
    for info in infos {
        let path = info.folder.join("direct_url.json")?;
        let Some(Entry {
            node: Node::File { content, .. },
            ..
        }) = tree.get(&path)
        else {
            continue;
        };
        if is_local(&content.read()?) {
            tree.remove(&path);
        }
    }
    Ok(())
}

/// What was learnt of a file when it was read.
struct Inspected {
    digest: Digest,
    size: u64,
    code: Code,
}

/// Reads every file once, on all cores.
fn look(tree: &Tree) -> Result<BTreeMap<RelPath, Inspected>, Error> {
    let files: Vec<(&RelPath, &Content)> = tree
        .iter()
        .filter_map(|(path, entry)| match &entry.node {
            Node::File { content, .. } => Some((path, content)),
            _ => None,
        })
        .collect();
    files
        .into_par_iter()
        .map(|(path, content)| Ok((path.clone(), look_at(path, content)?)))
        .collect()
}

fn look_at(path: &RelPath, content: &Content) -> Result<Inspected, fs::Error> {
    let failed = |source| fs::Error::new("read", content.path(), source);
    let mut hashing = Hashing::new(io::sink());
    let mut scanner = Scanner::new(path.as_str(), content.size());
    let mut reader = content.open()?;
    loop {
        let bytes = reader.fill_buf().map_err(failed)?;
        if bytes.is_empty() {
            break;
        }
        hashing.write_all(bytes).map_err(failed)?;
        scanner.feed(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
    let again = |scanner: &mut Scanner| {
        scanner.feed(&content.read().map_err(io::Error::other)?);
        Ok(())
    };
    let code = scanner.finish(again).map_err(failed)?;
    let (_, digest, size) = hashing.finish();
    Ok(Inspected { digest, size, code })
}

/// Works out what each distribution imports, and notes with files of code what they ask for.
fn learn(
    tree: &mut Tree,
    infos: &mut [Info],
    mut looked: BTreeMap<RelPath, Inspected>,
    layout: &Layout,
) {
    let sites = [&layout.purelib, &layout.platlib];
    let mut files: HashMap<Arc<Distribution>, Vec<(&str, &mut Code)>> = HashMap::new();
    let mut contents: HashMap<Arc<Distribution>, Vec<Option<Content>>> = HashMap::new();
    for (path, Inspected { code, .. }) in &mut looked {
        let entry = tree.get(path);
        let owner = entry.and_then(|entry| entry.owners.first());
        let below = sites.iter().find_map(|site| path.below(site));
        if let (Some(owner), Some(below)) = (owner, below) {
            let content = entry.and_then(|entry| match &entry.node {
                Node::File { content, .. } if code.opens => Some(content.clone()),
                _ => None,
            });
            contents.entry(Arc::clone(owner)).or_default().push(content);
            files
                .entry(Arc::clone(owner))
                .or_default()
                .push((below, code));
        }
    }
    for info in infos {
        let contents = contents
            .remove(&info.piece.distribution)
            .unwrap_or_default();
        if let Some(mut files) = files.remove(&info.piece.distribution) {
            let read = |at: usize| contents.get(at)?.as_ref()?.read().ok();
            let packages = package_names(files.iter().map(|(path, _)| *path));
            let asked = settle(&mut files, &packages, read);
            info.piece.imported = asked.imported;
            info.piece.opened = asked.opened;
        }
    }
    // Of most files there is nothing to say; that they were looked at is worth knowing too.
    let nothing = Arc::new(Code::default());
    for (path, looked) in looked {
        let mut known = looked.code;
        known.imports = Vec::new();
        known.opens = false;
        if let Some(Entry {
            node:
                Node::File {
                    content: Content::File { code, .. },
                    ..
                },
            ..
        }) = tree.get_mut(&path)
        {
            *code = Some(if known.is_empty() {
                Arc::clone(&nothing)
            } else {
                Arc::new(known)
            });
        }
    }
}

/// Makes each `RECORD` say what is there: H18.
fn write_records(
    tree: &mut Tree,
    infos: &[Info],
    looked: &BTreeMap<RelPath, Inspected>,
) -> Result<(), Error> {
    let mut rows: HashMap<Arc<Distribution>, Vec<RelPath>> = HashMap::new();
    for (path, entry) in tree.iter() {
        for owner in &entry.owners {
            rows.entry(Arc::clone(owner))
                .or_default()
                .push(path.clone());
        }
    }
    for info in infos.iter().filter(|info| info.has_record) {
        let record = info.folder.join("RECORD")?;
        let paths = rows.remove(&info.piece.distribution).unwrap_or_default();
        let files = paths.into_iter().map(|path| {
            let file = looked.get(&path).map(|file| (file.digest, file.size));
            (path, file)
        });
        let text = write_record(&record, &info.base, files);
        set_content(tree, &record, text);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
