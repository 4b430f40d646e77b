//! Outputs on their way: whole, and without their names.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::{
    Error, Format, Meter, Options, Output, Packed, ZSTD_LEVEL, check, directory, groups, gzip,
    real, sink, sweep, tar, zip,
};
use crate::cache::Cache;
use crate::digest::Digest;
use crate::event::{Cancel, Observer};
use crate::fs;
use crate::tree::Tree;

/// Outputs, of one build or several, that are whole and do not have their names yet. Without
/// [`place`](Self::place) they are removed with the value.
#[derive(Debug, Default)]
pub struct Staged(Vec<Box<dyn Stage>>);

/// Something that is whole and gets its names in one step: a file, a directory.
pub(super) trait Stage: fmt::Debug + Send {
    /// Gives it its names, or leaves all as it was.
    fn place(&mut self) -> Result<(), Error>;

    /// Undoes [`place`](Self::place): what was there before is there again.
    fn take_back(self: Box<Self>) -> Result<(), Error>;
}

/// A [`Stage`] before it is placed, if there is anything to place, its size in bytes, and its digest if it has
/// one.
type Whole = (Option<Box<dyn Stage>>, u64, Option<Digest>);

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
        // Writers come last: what fails before them leaves them empty.
        let mut order: Vec<_> = outputs.iter().enumerate().collect();
        order.sort_by_key(|(_, output)| output.is_writer());
        for (place, output) in order {
            let (one, size, digest) = stage(tree, output, options, cache, &meter)?;
            staged.extend(one);
            let path = output.path().to_path_buf();
            let format = output.format();
            packed.push((
                place,
                Packed {
                    path,
                    format,
                    size,
                    digest,
                },
            ));
        }
        self.0.append(&mut staged);
        packed.sort_by_key(|(place, _)| *place);
        Ok(packed.into_iter().map(|(_, packed)| packed).collect())
    }

    /// Writes a document that appears together with the outputs.
    pub fn add_document(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let path = real(path)?;
        let (above, _) = fs::split(&path);
        fs::sweep(&above);
        let mut file = fs::new_file(&path)?;
        file.write_all(bytes)
            .map_err(|source| Error::Write { path, source })?;
        self.0.push(Box::new(file));
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
    fn place_each(&mut self) -> Option<(Error, Vec<Box<dyn Stage>>)> {
        let mut placed = Vec::new();
        for mut one in self.0.drain(..) {
            if let Err(error) = one.place() {
                return Some((error, placed));
            }
            placed.push(one);
        }
        None
    }
}

/// Writes one output of a tree.
fn stage(
    tree: &Tree,
    output: &Output,
    options: &Options,
    cache: Option<&Cache>,
    meter: &Meter<'_>,
) -> Result<Whole, Error> {
    let mtime = options.mtime;
    match output.format() {
        Format::Directory => {
            let staged = directory::stage(tree, output.path(), options, meter)?;
            Ok((Some(Box::new(staged)), tree.size(), None))
        }
        Format::Tar => file(output, meter, |out| {
            let mut plain = groups::Writer::new(out, groups::Plain, meter);
            tar::write(tree, mtime, &mut plain, meter)?;
            plain.finish()
        }),
        Format::TarGz => file(output, meter, |out| {
            let mut gzip = gzip::Writer::new(out)?;
            tar::write(tree, mtime, &mut gzip, meter)?;
            gzip.finish()
        }),
        Format::TarZst => file(output, meter, |out| {
            let frames = groups::Frames {
                level: ZSTD_LEVEL,
                cache,
            };
            let mut zstd = groups::Writer::new(out, frames, meter);
            tar::write(tree, mtime, &mut zstd, meter)?;
            zstd.finish()
        }),
        Format::Zip => file(output, meter, |out| zip::write(tree, mtime, out, meter)),
    }
}

/// A file of the bytes that `write` makes, or what a writer got of them.
fn file(
    output: &Output,
    meter: &Meter<'_>,
    write: impl FnOnce(&mut sink::Sink) -> io::Result<()>,
) -> Result<Whole, Error> {
    if let Some(writer) = output.writer() {
        let mut writer = writer.lock();
        let written = sink::write(&mut &mut *writer, write);
        let (digest, size) = written.map_err(|source| Error::Writer {
            source: Box::new(meter.error(output.path(), source)),
        })?;
        return Ok((None, size, Some(digest)));
    }
    let path = real(output.path())?;
    let mut file = fs::new_file(&path)?;
    let (digest, size) =
        sink::write(&mut file, write).map_err(|source| meter.error(&path, source))?;
    Ok((Some(Box::new(file)), size, Some(digest)))
}

impl Stage for fs::NewFile {
    fn place(&mut self) -> Result<(), Error> {
        Ok(Self::place(self)?)
    }

    fn take_back(mut self: Box<Self>) -> Result<(), Error> {
        Self::take_back(&mut self).map_err(|source| Error::NotRestored {
            path: self.path().to_path_buf(),
            left: self.keep(),
            source,
        })
    }
}
