//! Bytecode, made in the builder by the interpreter that it is for: in a prefix that pip filled, or
//! once for each wheel, and kept.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::slice;
use std::sync::Arc;

use zip::write::SimpleFileOptions;

use super::wheels::place;
use super::{Edit, Error, Installed};
use crate::digest::Digest;
use crate::fs;
use crate::interpreter::{Interpreter, unset_python_variables};
use crate::layout::Layout;
use crate::piece::Piece;
use crate::runner::{self, Exec, Session};
use crate::target::MarkerEnvironment;
use crate::tree::{Content, Distribution, Entry, Node, RelPath, Tree};
use crate::wheel::{Archive, Store};

const SCRIPT: &str = include_str!("compile.py");

/// Where the sources of wheels lie in the builder, below the session's root.
const SOURCES: &str = "prebuild/bytecode";

/// Writes bytecode into a prefix in the builder, before it is read back.
pub fn compile(
    session: &mut dyn Session,
    inside: &str,
    layout: &Layout,
) -> Result<(), runner::Error> {
    let script = Tree::of_file("compile.py", SCRIPT);
    session.put("prebuild/compile", &script)?;
    let dest = layout.dest.trim_end_matches('/');
    let question = serde_json::json!({
        "root": session.locate(inside),
        "purelib": format!("{dest}/{}", layout.purelib),
        "platlib": format!("{dest}/{}", layout.platlib),
    });
    // The order of sets in constants follows the hashes of strings.
    let env = [("PYTHONHASHSEED".to_owned(), "0".to_owned())];
    let exec = Exec::new(session.python())
        .args([session.locate("prebuild/compile/compile.py")])
        .envs(unset_python_variables())
        .envs(env);
    session.run(&exec, question.to_string().as_bytes(), &mut |_, _| {})
}

/// The bytecode of the wheels in a prefix, as an edit: from the cache, or made by the builder.
pub fn bytecode(
    session: &mut dyn Session,
    store: &Store<'_>,
    installed: &Installed,
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<Edit, Error> {
    let wheels = installed.pieces.iter();
    let wheels: Vec<(&Piece, Digest)> = wheels
        .filter_map(|piece| {
            Some((
                piece,
                key(&piece.wheel.as_ref()?.digest, interpreter, layout),
            ))
        })
        .collect();
    let mut archives = Vec::new();
    let mut sources = Tree::new();
    for (index, (piece, key)) in wheels.iter().enumerate() {
        let archive = store.bytecode(key).ok();
        if archive.is_none() {
            add_sources(&mut sources, index, piece, interpreter, layout)?;
        }
        archives.push(archive);
    }
    if !sources.is_empty() {
        session.put(SOURCES, &sources)?;
        compile(session, SOURCES, layout)?;
        let made = session.get(SOURCES)?;
        for (index, (_, key)) in wheels.iter().enumerate() {
            if archives[index].is_none() {
                let zip = zip(&made, index, layout)?;
                archives[index] = Some(store.keep_bytecode(key, &zip)?);
            }
        }
    }
    let archives = archives.into_iter().flatten();
    let owners = wheels.iter().map(|(piece, _)| &piece.distribution);
    Ok(edit(&installed.tree, owners.zip(archives)))
}

/// Adds bytecode to a tree. Of what several distributions bring to one path, the bytecode of the source
/// that stayed there stays.
fn edit<'a>(tree: &Tree, compiled: impl Iterator<Item = (&'a Arc<Distribution>, Archive)>) -> Edit {
    let mut files: BTreeMap<RelPath, Vec<(&Arc<Distribution>, Content)>> = BTreeMap::new();
    for (owner, archive) in compiled {
        for entry in archive.entries() {
            let file = (owner, archive.content(entry));
            files.entry(entry.path.clone()).or_default().push(file);
        }
    }
    let mut edit = Edit::default();
    for (path, mut brought) in files {
        if brought.len() > 1 {
            let order = source(tree, &path).map_or(&[][..], |source| &source.owners);
            brought.sort_by_key(|(owner, _)| order.iter().position(|other| other == *owner));
        }
        let Some((_, content)) = brought.last() else {
            continue;
        };
        let content = content.clone();
        if tree.get(&path).is_some() {
            edit.replaced.insert(path, content);
            continue;
        }
        let identical = brought
            .iter()
            .all(|(_, other)| other.digest() == content.digest());
        let entry = Entry {
            node: Node::File {
                content,
                executable: false,
            },
            owners: brought.iter().map(|(owner, _)| Arc::clone(owner)).collect(),
            identical,
        };
        edit.added.insert(path, entry);
    }
    edit
}

/// The source that `FOLDER/__pycache__/NAME.TAG.pyc` was made of.
fn source<'a>(tree: &'a Tree, bytecode: &RelPath) -> Option<&'a Entry> {
    let folder = bytecode.parent()?.parent()?;
    let (name, _) = bytecode.name().split_once('.')?;
    tree.get(&folder.join(&format!("{name}.py")).ok()?)
}

/// The digest of all that decides a wheel's bytecode.
fn key(wheel: &Digest, interpreter: &Interpreter, layout: &Layout) -> Digest {
    let Interpreter {
        markers,
        soabi,
        platform,
        // Bytecode names the paths of the layout, and no path of the builder.
        executable: _,
        interpreters: _,
        prefix: _,
        site_packages: _,
        // It is made from Python sources: no library is loaded, and nothing is built or downloaded.
        libc: _,
        glibc: _,
        pip: _,
        config: _,
        caller_config: _,
        broken_config: _,
        environment: _,
        prefix_map: _,
        optimisation: _,
        tags: _,
        // It decides how packages are installed that a hint names.
        os: _,
        watched: _,
    } = interpreter;
    let Layout {
        dest,
        purelib,
        platlib,
        // Scripts have no bytecode.
        script_python: _,
    } = layout;
    let MarkerEnvironment {
        implementation_name,
        implementation_version,
        python_full_version,
        // The machine and the kernel change no bytecode, and the other versions follow from those.
        os_name: _,
        platform_machine: _,
        platform_python_implementation: _,
        platform_release: _,
        platform_system: _,
        platform_version: _,
        python_version: _,
        sys_platform: _,
    } = markers;
    let python = (
        implementation_name,
        implementation_version,
        python_full_version,
    );
    let place = (dest, purelib, platlib);
    let text = format!("{wheel} {python:?} {soabi:?} {platform} {place:?} {SCRIPT}");
    Digest::of(text.as_bytes())
}

/// The folder in the builder for a site folder's files of one wheel. The script tells the two kinds of
/// site folders by these names.
fn folder(index: usize, site: &RelPath, layout: &Layout) -> String {
    if *site == layout.purelib {
        format!("{index}/lib/site-packages")
    } else {
        format!("{index}/lib64/site-packages")
    }
}

fn has_ending(path: &RelPath, ending: &str) -> bool {
    let found = path.name().rsplit_once('.');
    found.is_some_and(|(_, found)| found == ending)
}

fn add_sources(
    sources: &mut Tree,
    index: usize,
    piece: &Piece,
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<(), Error> {
    let alone = place(slice::from_ref(piece), interpreter, layout)?;
    for (path, entry) in alone.iter() {
        if !has_ending(path, "py") {
            continue;
        }
        for site in layout.sites() {
            if let Some(below) = path.below(site) {
                let to = RelPath::new(&folder(index, site, layout))?.join(below)?;
                sources
                    .insert(to, entry.node.clone())
                    .map_err(|occupied| Error::Merge(occupied.0))?;
            }
        }
    }
    Ok(())
}

/// The bytecode of one wheel as an archive, by the paths that it will have in the prefix.
fn zip(made: &Tree, index: usize, layout: &Layout) -> Result<Vec<u8>, Error> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let failed = |error: zip::result::ZipError| {
        let source = std::io::Error::other(error);
        fs::Error::new("pack the bytecode into", "(in memory)", source)
    };
    for site in layout.sites() {
        let folder = RelPath::new(&folder(index, site, layout))?;
        for (path, entry) in made.below(&folder) {
            let Node::File { content, .. } = &entry.node else {
                continue;
            };
            if let Some(below) = path.below(&folder)
                && has_ending(path, "pyc")
            {
                zip.start_file(site.join(below)?.as_str(), SimpleFileOptions::default())
                    .map_err(failed)?;
                zip.write_all(&content.read()?)
                    .map_err(|error| failed(error.into()))?;
            }
        }
    }
    Ok(zip.finish().map_err(failed)?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::target::Target;

    type Change = fn(&mut Interpreter, &mut Layout);

    #[test]
    fn what_decides_bytecode_changes_its_key() {
        let of = |change: Option<Change>| {
            let (python, platform) = ("3.12".parse().unwrap(), "linux/arm64".parse().unwrap());
            let mut interpreter = Interpreter::named(&Target::named(&python, &platform));
            let mut layout = Layout {
                dest: "/usr/local".to_owned(),
                purelib: RelPath::new("lib").unwrap(),
                platlib: RelPath::new("lib").unwrap(),
                script_python: String::new(),
            };
            if let Some(change) = change {
                change(&mut interpreter, &mut layout);
            }
            key(&Digest::of(b"wheel"), &interpreter, &layout).hex()
        };
        let changes: [(&str, Change); 8] = [
            ("name", |one, _| {
                "x".clone_into(&mut one.markers.implementation_name);
            }),
            ("version", |one, _| {
                "x".clone_into(&mut one.markers.implementation_version);
            }),
            ("full version", |one, _| {
                "x".clone_into(&mut one.markers.python_full_version);
            }),
            ("soabi", |one, _| one.soabi = None),
            ("platform", |one, _| "x".clone_into(&mut one.platform)),
            ("dest", |_, layout| "/opt".clone_into(&mut layout.dest)),
            ("purelib", |_, layout| {
                layout.purelib = RelPath::new("x").unwrap();
            }),
            ("platlib", |_, layout| {
                layout.platlib = RelPath::new("x").unwrap();
            }),
        ];
        let mut keys = BTreeSet::from([of(None)]);
        for (what, change) in changes {
            assert!(keys.insert(of(Some(change))), "{what}");
        }
        let same: Change = |one, layout| {
            one.tags.clear();
            "/x".clone_into(&mut layout.script_python);
        };
        assert_eq!(of(Some(same)), of(None));
    }
}
