//! Outputs on their way: whole, and without their names.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::{
    Error, Format, Meter, Options, Output, Packed, archive, check, directory, real, sweep,
};
use crate::cache::Cache;
use crate::event::{Cancel, Observer};
use crate::fs;
use crate::tree::Tree;

/// Outputs, of one build or several, that are whole and do not have their names yet. Without
/// [`place`](Self::place) they are removed with the value.
#[derive(Debug, Default)]
pub struct Staged(Vec<One>);

#[derive(Debug)]
enum One {
    File(fs::NewFile),
    Directory(directory::Staged),
}

impl Staged {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes outputs of a tree. What pays to be kept for other builds goes into `cache`, if there is
    /// one.
    pub fn add(
        &mut self,
        tree: &Tree,
        outputs: &[Output],
        options: &Options,
        cache: Option<&Cache>,
        observe: &Observer<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<Packed>, Error> {
        sweep(outputs);
        check(outputs, options)?;
        let meter = Meter {
            observe,
            cancel,
            total: tree.size() * outputs.len() as u64,
            done: AtomicU64::new(0),
        };
        // Apart, so that what failed leaves none of them.
        let mut staged = Vec::new();
        let mut packed = Vec::new();
        for output in outputs {
            let (one, size, digest) = match output.format() {
                Format::Directory => {
                    let one = directory::stage(tree, output.path(), options, &meter)?;
                    (One::Directory(one), tree.size(), None)
                }
                format => {
                    let path = real(output.path())?;
                    let mut file = fs::new_file(&path)?;
                    let (digest, size) = archive(tree, format, options, cache, &mut file, &meter)
                        .map_err(|source| meter.error(&path, source))?;
                    (One::File(file), size, Some(digest))
                }
            };
            staged.push(one);
            packed.push(Packed {
                path: output.path().to_path_buf(),
                format: output.format(),
                size,
                digest,
            });
        }
        self.0.append(&mut staged);
        Ok(packed)
    }

    /// Writes a document that appears together with the outputs.
    pub fn add_document(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let path = real(path)?;
        let (above, _) = fs::split(&path);
        fs::sweep(&above);
        let mut file = fs::new_file(&path)?;
        file.write_all(bytes)
            .map_err(|source| Error::Write { path, source })?;
        self.0.push(One::File(file));
        Ok(())
    }

    /// Gives all of them their names, or none. A switch that is thrown while it does comes too late.
    pub fn place(mut self, cancel: &Cancel) -> Result<(), Error> {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let Some((error, mut placed)) = self.place_each() else {
            return Ok(());
        };
        // The last ones first, as far as that goes.
        let mut left = None;
        while let Some(one) = placed.pop() {
            left = one.take_back().err().or(left);
        }
        Err(left.unwrap_or(error))
    }

    /// Gives one after the other its name; returns the first error, and those that have theirs.
    fn place_each(&mut self) -> Option<(Error, Vec<One>)> {
        let mut placed = Vec::new();
        for mut one in self.0.drain(..) {
            let result = match &mut one {
                One::File(file) => file.place().map_err(Error::from),
                One::Directory(directory) => directory.place(),
            };
            if let Err(error) = result {
                return Some((error, placed));
            }
            placed.push(one);
        }
        None
    }
}

impl One {
    fn take_back(self) -> Result<(), Error> {
        match self {
            Self::File(mut file) => file.take_back().map_err(|source| Error::NotRestored {
                path: file.path().to_path_buf(),
                left: file.keep(),
                source,
            }),
            Self::Directory(directory) => directory.take_back(),
        }
    }
}
