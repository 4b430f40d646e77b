//! Installs wheels into a tree, by the binary distribution format.
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
use super::{Error, Installed, head, is_local, rewritten, set_content, write_record};
use crate::digest::Digest;
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::piece::Piece;
use crate::plan::Item;
use crate::tree::{Below, Content, Distribution, Entry, Node, RelPath, Tree};
use crate::wheel::{self, Defect, Scheme, Wheel};

/// The name that is left in `INSTALLER`.
///
/// <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-installer-file>
const INSTALLER: &str = "prebuild\n";

/// Installs wheels in this order: of what several bring, the last stays, as with pip.
///
/// Two files of one wheel that would lie at one place must be equal; pip lets the order of the archive
/// decide.
pub fn install_wheels(
    mut pieces: Vec<Piece>,
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<Installed, Error> {
    let tree = place(&pieces, interpreter, layout)?;
    pieces.sort_by(|a, b| a.distribution.cmp(&b.distribution));
    Ok(Installed { tree, pieces })
}

/// The tree that the wheels of these pieces make; a piece without a wheel brings nothing.
pub(super) fn place(
    pieces: &[Piece],
    interpreter: &Interpreter,
    layout: &Layout,
) -> Result<Tree, Error> {
    let mut names = BTreeSet::new();
    for piece in pieces {
        if !names.insert(&piece.distribution.name) {
            return Err(Error::Again(piece.distribution.name.clone()));
        }
    }
    let destination = Destination {
        interpreter,
        layout,
        wrappers: Wrappers::new(&interpreter.markers.python_version, &layout.script_python),
    };
    let brought = pieces
        .par_iter()
        .filter_map(|piece| Some((piece, piece.wheel.as_ref()?)))
        .map(|(piece, wheel)| destination.bring(piece, wheel))
        .collect::<Result<Vec<_>, Error>>()?;
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
    Ok(tree)
}

/// Where wheels are installed to.
struct Destination<'a> {
    interpreter: &'a Interpreter,
    layout: &'a Layout,
    wrappers: Wrappers<'a>,
}

/// What a wheel brings.
struct WheelFiles {
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
}

impl File {
    /// A file that is made here.
    fn made(bytes: Vec<u8>, executable: bool) -> Self {
        Self {
            digest: Digest::of(&bytes),
            content: bytes.into(),
            executable,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        self.digest == other.digest && self.executable == other.executable
    }
}

impl Destination<'_> {
    fn bring(&self, piece: &Piece, wheel: &Wheel) -> Result<WheelFiles, Error> {
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
        let bin = RelPath::new("bin")?;
        for (name, text) in self.wrappers.make(&facts.scripts) {
            files.insert(bin.join(&name)?, File::made(text.into_bytes(), true));
        }
        for (name, text) in notes(&piece.item) {
            files.insert(info.join(name)?, File::made(text.into(), false));
        }
        // The wheel may have brought one too.
        let direct_url = info.join("direct_url.json")?;
        if let Some(file) = files.get(&direct_url)
            && is_local(&file.content.read()?)
        {
            files.remove(&direct_url);
        }
        Ok(WheelFiles {
            distribution: Arc::clone(&piece.distribution),
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
        })
    }
}

/// What an installer leaves beside the metadata.
///
/// <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>
fn notes(item: &Item) -> impl Iterator<Item = (&'static str, &str)> {
    let requested = item.requested.then_some(("REQUESTED", ""));
    let direct_url = item.direct_url.as_deref();
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
}

/// What a `RECORD` lists.
struct List {
    record: RelPath,
    base: RelPath,
    files: Vec<(RelPath, Option<(Digest, u64)>)>,
}

/// Puts together what several wheels bring; of what lies at one path, the last stays, and belongs to
/// them all.
fn merge(brought: Vec<WheelFiles>) -> Merged {
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
    };
    let mut entries = Vec::with_capacity(all.len());
    let mut rest = all.into_iter().peekable();
    while let Some((path, first, mut file)) = rest.next() {
        let mut claimed = vec![first];
        let mut identical = true;
        while let Some((_, index, later)) = rest.next_if(|(next, ..)| *next == path) {
            claimed.push(index);
            identical &= later.equals(&file);
            file = later;
        }
        for index in &claimed {
            let known = (file.digest, file.content.size());
            merged.lists[*index].files.push((path.clone(), Some(known)));
        }
        let entry = Entry {
            node: Node::File {
                content: file.content,
                executable: file.executable,
            },
            owners: claimed
                .iter()
                .map(|index| Arc::clone(&owners[*index]))
                .collect(),
            identical,
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
