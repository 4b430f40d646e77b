//! Wheels into a tree, by the binary distribution format.
//!
//! Nothing is unpacked: a node points to its bytes in the wheel. Read besides are the scripts that a
//! wheel brings, whose first line may have to name the runtime's interpreter.
//!
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#installing-a-wheel-distribution-1-0-py32-none-any-whl>

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Error, Installed, is_local, rewritten, set_content, write_record};
use crate::digest::Digest;
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::tree::{Content, Distribution, Entry, Node, RelPath, Tree};
use crate::wheel::{Script, Wheel};

/// The name that is left in `INSTALLER`.
const INSTALLER: &str = "prebuild\n";

/// A wheel, and what is noted with its installation.
#[derive(Debug)]
pub struct Placed {
    /// The wheel.
    pub wheel: Wheel,
    /// Whether the user asked for it, rather than another distribution.
    pub requested: bool,
    /// The text of its `direct_url.json`, if it did not come from an index.
    pub direct_url: Option<String>,
}

/// Installs wheels in this order: of what several bring, the last stays, as with pip.
pub fn install_wheels(
    wheels: &[Placed],
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<Installed, Error> {
    let mut installing = Installing {
        interpreter,
        layout,
        tree: Tree::new(),
        equal: BTreeSet::new(),
    };
    let mut infos = Vec::with_capacity(wheels.len());
    for placed in wheels {
        infos.push(installing.install(placed)?);
    }
    let Installing {
        mut tree, equal, ..
    } = installing;
    // Now that it is known what each path holds in the end.
    let records: Vec<_> = infos
        .par_iter()
        .map(|info| Ok((&info.record, info.record_text(&tree)?)))
        .collect::<Result<_, Error>>()?;
    for (path, text) in records {
        set_content(&mut tree, path, text);
    }
    let native = wheels
        .iter()
        .flat_map(|placed| placed.wheel.archive.entries())
        .filter(|entry| entry.native)
        .count();
    let mut distributions: Vec<_> = infos
        .iter()
        .map(|info| Arc::clone(&info.distribution))
        .collect();
    distributions.sort();
    let mut compiled_here: Vec<_> = infos
        .iter()
        .zip(wheels)
        .filter(|(_, placed)| {
            let mut tags = placed.wheel.facts.tags.iter();
            tags.any(|tag| tag.contains("-linux_"))
        })
        .map(|(info, _)| Arc::clone(&info.distribution))
        .collect();
    compiled_here.sort();
    Ok(Installed {
        tree,
        distributions,
        compiled_here,
        native,
        equal,
    })
}

/// A tree that is being filled.
struct Installing<'a> {
    interpreter: &'a Interpreter,
    layout: &'a Layout,
    tree: Tree,
    equal: BTreeSet<RelPath>,
}

/// What became of a wheel.
struct Info {
    distribution: Arc<Distribution>,
    /// Its site folder, and its `RECORD` there.
    base: RelPath,
    record: RelPath,
    /// All that it brought.
    paths: BTreeSet<RelPath>,
}

impl Info {
    fn record_text(&self, tree: &Tree) -> Result<Vec<u8>, Error> {
        let mut files = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let file = match tree.get(path).map(|entry| &entry.node) {
                Some(Node::File { content, .. }) => Some((digest(content)?, content.size())),
                _ => None,
            };
            files.push((path.clone(), file));
        }
        Ok(write_record(&self.record, &self.base, files.into_iter()))
    }
}

fn digest(content: &Content) -> Result<Digest, Error> {
    Ok(match content.digest() {
        Some(digest) => digest,
        None => Digest::of(&content.read()?),
    })
}

impl Installing<'_> {
    fn install(&mut self, placed: &Placed) -> Result<Info, Error> {
        let wheel = &placed.wheel;
        let facts = &wheel.facts;
        let base = if facts.root_is_purelib {
            &self.layout.purelib
        } else {
            &self.layout.platlib
        };
        let info = base.join(&format!("{}.dist-info", facts.stem))?;
        let mut installed = Info {
            distribution: Arc::new(facts.distribution.clone()),
            base: base.clone(),
            record: info.join("RECORD")?,
            paths: BTreeSet::new(),
        };
        let data = format!("{}.data/", facts.stem);
        let scripts = format!("{data}scripts/");
        // As with pip: the files beside the metadata, then those with a place of their own, then the
        // scripts. Of two that come to one place, the later stays.
        let of_wheel = |path: &str| path.starts_with(&scripts);
        let turn = |path: &str| match path {
            path if of_wheel(path) => 2,
            path if path.starts_with(&data) => 1,
            _ => 0,
        };
        let mut entries: Vec<_> = wheel.archive.entries().iter().collect();
        entries.sort_by_key(|entry| turn(entry.path.as_str()));
        for entry in entries {
            let path = entry.path.as_str();
            let to = if let Some(script) = path.strip_prefix(&scripts) {
                // What an older builder made of an entry point is made anew.
                if is_wrapper(script, &facts.scripts) {
                    continue;
                }
                RelPath::new("bin")?.join(script)?
            } else if let Some(below) = path.strip_prefix(&data) {
                self.scheme(wheel, path, below)?
            } else {
                base.join(path)?
            };
            let content = self.script(&to, of_wheel(path), wheel.archive.content(entry))?;
            self.put(&mut installed, to, content, entry.executable)?;
        }
        for script in &self.scripts(&facts.scripts) {
            let to = RelPath::new("bin")?.join(&script.name)?;
            self.put(&mut installed, to, self.wrapper(script), true)?;
        }
        let mut notes = vec![("INSTALLER", INSTALLER.to_owned())];
        if let Some(url) = &placed.direct_url
            && !is_local(url.as_bytes())
        {
            notes.push(("direct_url.json", url.clone()));
        }
        if placed.requested {
            notes.push(("REQUESTED", String::new()));
        }
        // Its contents come when all is in its place.
        notes.push(("RECORD", String::new()));
        for (name, text) in notes {
            let content = text.into_bytes().into();
            self.put(&mut installed, info.join(name)?, content, false)?;
        }
        self.drop_local_url(&mut installed, &info)?;
        Ok(installed)
    }

    /// Where a file of the `.data` folder goes: `SCHEME/PATH`.
    fn scheme(&self, wheel: &Wheel, path: &str, below: &str) -> Result<RelPath, Error> {
        let refuse = |reason| Error::Scheme {
            wheel: wheel.archive.path().to_path_buf(),
            path: path.to_owned(),
            reason,
        };
        let (scheme, rest) = below
            .split_once('/')
            .ok_or_else(|| refuse("lies in no folder that says where it goes"))?;
        Ok(match scheme {
            "purelib" => self.layout.purelib.join(rest)?,
            "platlib" => self.layout.platlib.join(rest)?,
            "headers" => {
                let version = &self.interpreter.markers.python_version;
                let name = &wheel.facts.distribution.name;
                RelPath::new(&format!("include/python{version}/{name}"))?.join(rest)?
            }
            "data" => RelPath::new(rest)?,
            _ => return Err(refuse("lies in a folder that the format does not know")),
        })
    }

    /// The content of a file, with the runtime's interpreter in its first line where that is a
    /// script's. Of the scripts of a wheel, those that begin with `#!python` name no path: whatever
    /// follows on that line is replaced, as pip does it.
    fn script(&self, to: &RelPath, of_wheel: bool, content: Content) -> Result<Content, Error> {
        if of_wheel && content.size() >= 8 {
            let bytes = content.read()?;
            if bytes.starts_with(b"#!python") {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let rest = end.map_or(&[][..], |end| &bytes[end + 1..]);
                let mut script = format!("#!{}\n", self.layout.script_python).into_bytes();
                script.extend_from_slice(rest);
                return Ok(script.into());
            }
        }
        let changed = rewritten(to, &content, self.interpreter, self.layout)?;
        Ok(changed.map_or(content, Content::from))
    }

    /// The scripts to be made. pip and setuptools name some after the Python that built their wheel;
    /// as pip does, they are named after the one that will run them.
    fn scripts(&self, scripts: &[Script]) -> Vec<Script> {
        let version = &self.interpreter.markers.python_version;
        let major = version.split('.').next().unwrap_or(version);
        let mut made = Vec::new();
        let mut rest: Vec<Script> = scripts.to_vec();
        for (name, versioned) in [
            ("pip", vec![format!("pip{major}"), format!("pip{version}")]),
            ("easy_install", vec![format!("easy_install-{version}")]),
        ] {
            let Some(script) = rest.iter().find(|script| script.name == name).cloned() else {
                continue;
            };
            rest.retain(|script| {
                let suffix = script.name.strip_prefix(name);
                suffix.is_none_or(|suffix| !is_version_suffix(suffix))
            });
            for name in std::iter::once(name.to_owned()).chain(versioned) {
                made.push(Script {
                    name,
                    ..script.clone()
                });
            }
        }
        made.extend(rest);
        made
    }

    /// The script of an entry point, as pip 26.3 writes it.
    fn wrapper(&self, script: &Script) -> Content {
        let Script {
            module, function, ..
        } = script;
        let import = function.split('.').next().unwrap_or(function);
        let python = &self.layout.script_python;
        format!(
            "#!{python}\nimport sys\nfrom {module} import {import}\nif __name__ == '__main__':\n    \
             sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit({function}())\n"
        )
        .into_bytes()
        .into()
    }

    /// Puts a file into the tree, in place of what another distribution brought.
    fn put(
        &mut self,
        installed: &mut Info,
        path: RelPath,
        content: Content,
        executable: bool,
    ) -> Result<(), Error> {
        let owner = &installed.distribution;
        if let Some(there) = self.tree.get_mut(&path) {
            let Node::File {
                content: before,
                executable: mode,
            } = &mut there.node
            else {
                return Err(Error::Merge(path));
            };
            if !there.owners.contains(owner) {
                let first = there.owners.len() == 1;
                there.owners.push(Arc::clone(owner));
                let equal = before.size() == content.size()
                    && digest(before)? == digest(&content)?
                    && *mode == executable;
                if !equal {
                    self.equal.remove(&path);
                } else if first {
                    self.equal.insert(path.clone());
                }
            }
            (*before, *mode) = (content, executable);
        } else {
            let entry = Entry {
                node: Node::File {
                    content,
                    executable,
                },
                owners: vec![Arc::clone(owner)],
            };
            self.tree
                .insert_entry(path.clone(), entry)
                .map_err(|occupied| Error::Merge(occupied.0))?;
        }
        installed.paths.insert(path);
        Ok(())
    }

    /// Takes out a `direct_url.json` that the wheel itself brought and that names a local path.
    fn drop_local_url(&mut self, installed: &mut Info, info: &RelPath) -> Result<(), Error> {
        let path = info.join("direct_url.json")?;
        if let Some(Entry {
            node: Node::File { content, .. },
            ..
        }) = self.tree.get(&path)
            && is_local(&content.read()?)
        {
            self.tree.remove(&path);
            installed.paths.remove(&path);
        }
        Ok(())
    }
}

/// Whether a script of a wheel is one that setuptools made of an entry point.
fn is_wrapper(script: &str, scripts: &[Script]) -> bool {
    let name = script.rsplit('/').next().unwrap_or(script);
    let lower = name.to_ascii_lowercase();
    let cut = [".exe", "-script.py", ".pya"]
        .iter()
        .find(|ending| lower.ends_with(**ending))
        .map_or(0, |ending| ending.len());
    let name = &name[..name.len() - cut];
    scripts.iter().any(|script| script.name == name)
}

/// What stands behind `pip` or `easy_install` in the name of a versioned script, or nothing.
fn is_version_suffix(suffix: &str) -> bool {
    let digits = suffix.trim_start_matches('-');
    digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}
