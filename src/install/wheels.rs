//! Wheels into a tree, by the binary distribution format.
//!
//! Nothing is unpacked: a node points to its bytes in the wheel. Read besides are the scripts that a
//! wheel brings, whose first line may have to name the runtime's interpreter.
//!
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#installing-a-wheel-distribution-1-0-py32-none-any-whl>

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;
use std::sync::Arc;

use rayon::prelude::*;

use super::wrappers::{Wrappers, made_of};
use super::{
    Described, Error, Installed, head, is_for_here, is_local, rewritten, set_content, write_record,
};
use crate::digest::Digest;
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::tree::{Below, Content, Distribution, Entry, Node, RelPath, Tree};
use crate::wheel::{self, Defect, Scheme, Wheel};

/// The name that is left in `INSTALLER`.
///
/// <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-installer-file>
const INSTALLER: &str = "prebuild\n";

/// A wheel, and what is noted with its installation.
#[derive(Debug)]
pub struct Placed {
    /// The wheel.
    pub wheel: Wheel,
    /// Whether the user asked for it, rather than another distribution.
    pub requested: bool,
    /// The text of its `direct_url.json`, if it did not come from an index. One that names a local path
    /// is left out.
    pub direct_url: Option<String>,
    /// Its bytecode: where that lies in the prefix, its SHA-256, and what it is.
    pub bytecode: Vec<(RelPath, Digest, Content)>,
}

/// Installs wheels in this order: of what several bring, the last stays, as with pip.
///
/// Two files of one wheel that would lie at one place must be equal; pip lets the order of the archive
/// decide.
pub fn install_wheels(
    wheels: &[Placed],
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<Installed, Error> {
    let mut names = BTreeSet::new();
    for placed in wheels {
        let distribution = &placed.wheel.facts.distribution;
        if !names.insert(&distribution.name) {
            return Err(Error::Again(distribution.name.clone()));
        }
    }
    let destination = Destination {
        interpreter,
        layout,
        wrappers: Wrappers::new(&interpreter.markers.python_version, &layout.script_python),
    };
    let brought = wheels
        .par_iter()
        .map(|placed| destination.bring(placed))
        .collect::<Result<Vec<_>, Error>>()?;
    let mut distributions: Vec<_> = brought.iter().map(Brought::owner).collect();
    distributions.sort();
    let mut described: Vec<_> = wheels.iter().map(describe).collect();
    described.sort_by(|a, b| a.distribution.cmp(&b.distribution));
    let merged = merge(brought);
    let mut tree = Tree::from_files(merged.files).map_err(Error::below)?;
    // Now that it is known what each path holds in the end.
    let records: Vec<_> = merged
        .lists
        .into_par_iter()
        .map(|list| {
            let text = write_record(&list.record, &list.base, list.files);
            (list.record, text)
        })
        .collect();
    for (path, text) in records {
        set_content(&mut tree, &path, text);
    }
    Ok(Installed {
        tree,
        distributions,
        described,
        native: merged.native,
        equal: merged.equal,
    })
}

fn describe(placed: &Placed) -> Described {
    let facts = &placed.wheel.facts;
    let tags: Vec<String> = facts.filename.tags().collect();
    Described {
        distribution: facts.distribution.clone(),
        requires: facts.requires.clone(),
        requires_python: facts.requires_python.clone(),
        imported: placed.wheel.archive.contents().imported.clone(),
        opened: placed.wheel.archive.contents().opened.clone(),
        built_here: placed.direct_url.is_some() && tags.iter().any(|tag| is_for_here(tag)),
        tags,
    }
}

/// Where wheels are installed to.
struct Destination<'a> {
    interpreter: &'a Interpreter,
    layout: &'a Layout,
    wrappers: Wrappers<'a>,
}

/// What a wheel brings.
struct Brought {
    distribution: Arc<Distribution>,
    /// Its site folder, and its `RECORD` there.
    base: RelPath,
    record: RelPath,
    files: BTreeMap<RelPath, File>,
}

/// A file at its place.
struct File {
    content: Content,
    digest: Digest,
    executable: bool,
    native: bool,
}

impl File {
    /// A file that is made here.
    fn made(bytes: Vec<u8>, executable: bool) -> Self {
        Self {
            digest: Digest::of(&bytes),
            content: bytes.into(),
            executable,
            native: false,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self.digest == other.digest && self.executable == other.executable
    }
}

impl Brought {
    fn owner(&self) -> Arc<Distribution> {
        Arc::clone(&self.distribution)
    }
}

impl Destination<'_> {
    fn bring(&self, placed: &Placed) -> Result<Brought, Error> {
        let wheel = &placed.wheel;
        let facts = &wheel.facts;
        let base = if facts.root_is_purelib {
            &self.layout.purelib
        } else {
            &self.layout.platlib
        };
        let info = base.join(&format!("{}.dist-info", facts.stem))?;
        let entry_points: HashSet<&str> =
            facts.scripts.iter().map(|one| one.name.as_str()).collect();
        let mut files = BTreeMap::new();
        for entry in wheel.archive.entries() {
            let (scheme, below) = wheel.place(entry)?;
            // What an older builder made of an entry point is made anew.
            if scheme == Scheme::Scripts && entry_points.contains(made_of(below)) {
                continue;
            }
            let to = self.path(wheel, base, scheme, below)?;
            let file = self.file(wheel, entry, scheme, &to)?;
            if let Some(other) = files.get(&to)
                && !file.equals(other)
            {
                return Err(wheel
                    .refuse(entry.path.as_str(), Defect::SamePlace(to))
                    .into());
            }
            files.insert(to, file);
        }
        for (path, digest, content) in &placed.bytecode {
            let file = File {
                content: content.clone(),
                digest: *digest,
                executable: false,
                native: false,
            };
            files.insert(path.clone(), file);
        }
        let bin = RelPath::new("bin")?;
        for (name, text) in self.wrappers.make(&facts.scripts) {
            files.insert(bin.join(&name)?, File::made(text.into_bytes(), true));
        }
        for (name, text) in notes(placed) {
            files.insert(info.join(name)?, File::made(text.into(), false));
        }
        // The wheel may have brought one too.
        let direct_url = info.join("direct_url.json")?;
        if let Some(file) = files.get(&direct_url)
            && is_local(&file.content.read()?)
        {
            files.remove(&direct_url);
        }
        Ok(Brought {
            distribution: Arc::new(facts.distribution.clone()),
            base: base.clone(),
            record: info.join("RECORD")?,
            files,
        })
    }

    /// Where a file of a wheel lies that belongs `below` a scheme's folder.
    fn path(
        &self,
        wheel: &Wheel,
        base: &RelPath,
        scheme: Scheme,
        below: &str,
    ) -> Result<RelPath, Error> {
        Ok(match scheme {
            Scheme::Root => base.join(below)?,
            Scheme::Purelib => self.layout.purelib.join(below)?,
            Scheme::Platlib => self.layout.platlib.join(below)?,
            Scheme::Scripts => RelPath::new(&format!("bin/{below}"))?,
            Scheme::Data => RelPath::new(below)?,
            Scheme::Headers => {
                let version = &self.interpreter.markers.python_version;
                let name = &wheel.facts.distribution.name;
                RelPath::new(&format!("include/python{version}/{name}/{below}"))?
            }
        })
    }

    /// A file of a wheel. Of the scripts, those that begin with `#!python` name no path: as pip does
    /// it, whatever follows on that line is replaced.
    ///
    /// <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#recommended-installer-features>
    fn file(
        &self,
        wheel: &Wheel,
        entry: &wheel::Entry,
        scheme: Scheme,
        to: &RelPath,
    ) -> Result<File, Error> {
        let content = wheel.archive.content(entry);
        if scheme == Scheme::Scripts && head(&content, 8)? == b"#!python" {
            let bytes = content.read()?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let rest = end.map_or(&[][..], |end| &bytes[end + 1..]);
            let first = format!("#!{}\n", self.layout.script_python);
            let script = [first.as_bytes(), rest].concat();
            return Ok(File::made(script, entry.executable));
        }
        if let Some(script) = rewritten(to, &content, self.interpreter, self.layout)? {
            return Ok(File::made(script, entry.executable));
        }
        Ok(File {
            content,
            digest: entry.digest,
            executable: entry.executable,
            native: entry.is_native(),
        })
    }
}

/// What an installer leaves beside the metadata.
///
/// <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>
fn notes(placed: &Placed) -> impl Iterator<Item = (&'static str, &str)> {
    let requested = placed.requested.then_some(("REQUESTED", ""));
    let direct_url = placed.direct_url.as_deref();
    // The contents of RECORD come when all is in its place.
    [("INSTALLER", INSTALLER), ("RECORD", "")]
        .into_iter()
        .chain(requested)
        .chain(direct_url.map(|text| ("direct_url.json", text)))
}

/// What all wheels bring together.
struct Merged {
    files: BTreeMap<RelPath, Entry>,
    lists: Vec<List>,
    native: usize,
    equal: BTreeSet<RelPath>,
}

/// What a `RECORD` lists.
struct List {
    record: RelPath,
    base: RelPath,
    files: Vec<(RelPath, Option<(Digest, u64)>)>,
}

/// Puts together what several wheels bring; of what lies at one path, the last stays, and belongs to
/// them all.
fn merge(brought: Vec<Brought>) -> Merged {
    let mut lists = Vec::with_capacity(brought.len());
    let mut owners = Vec::with_capacity(brought.len());
    let mut all = Vec::new();
    for (index, one) in brought.into_iter().enumerate() {
        lists.push(List {
            record: one.record,
            base: one.base,
            files: Vec::with_capacity(one.files.len()),
        });
        owners.push(one.distribution);
        all.extend(
            one.files
                .into_iter()
                .map(|(path, file)| (path, index, file)),
        );
    }
    // Stable: at one path, in the order of installation.
    all.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let mut merged = Merged {
        files: BTreeMap::new(),
        lists,
        native: 0,
        equal: BTreeSet::new(),
    };
    let mut entries = Vec::with_capacity(all.len());
    let mut rest = all.into_iter().peekable();
    while let Some((path, first, mut file)) = rest.next() {
        let mut claimed = vec![first];
        let mut equal = true;
        while let Some((_, index, later)) = rest.next_if(|(next, ..)| *next == path) {
            claimed.push(index);
            equal &= later.equals(&file);
            file = later;
        }
        for index in &claimed {
            let known = (file.digest, file.content.size());
            merged.lists[*index].files.push((path.clone(), Some(known)));
        }
        if equal && claimed.len() > 1 {
            merged.equal.insert(path.clone());
        }
        merged.native += usize::from(file.native);
        let entry = Entry {
            node: Node::File {
                content: file.content,
                executable: file.executable,
            },
            owners: claimed
                .iter()
                .map(|index| Arc::clone(&owners[*index]))
                .collect(),
        };
        entries.push((path, entry));
    }
    merged.files = entries.into_iter().collect();
    merged
}

impl Error {
    fn below(below: Box<Below>) -> Self {
        let owner = |entry: &mut Entry| {
            let mut owners = mem::take(&mut entry.owners).into_iter();
            owners
                .next_back()
                .map_or_else(String::new, |owner| owner.to_string())
        };
        let Below {
            file: (file, mut holds),
            below: (below, mut wants),
        } = *below;
        Self::Below {
            file,
            owner: owner(&mut holds),
            below,
            other: owner(&mut wants),
        }
    }
}
