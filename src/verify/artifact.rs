//! An artifact read back, whoever wrote it: names, kinds, sizes and counts are checked.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::Error;
use crate::event::Cancel;
use crate::fs;
use crate::pack::{Format, Output};
use crate::runner::read_tar;
use crate::tree::{Node, ReadError, Tree};
use crate::wheel::{Archive, Limits};

/// How many times its own size an artifact may unpack to, beyond the first bytes: what compresses best, files
/// of zeros, comes to about this by gzip.
const MAX_RATIO: u64 = 1000;
const FREE_SIZE: u64 = 1 << 30;

/// Reads an artifact into a tree; what it unpacks to lies in `scratch` for as long as the tree is there.
pub(super) fn read(output: &Output, scratch: &Path, cancel: &Cancel) -> Result<Tree, Error> {
    let path = output.path();
    let failed = |source| match source {
        // The artifact is not to blame where there is no room for what is in it.
        ReadError::Io(error) if error.kind() == io::ErrorKind::StorageFull => Error::Fs(error),
        source => Error::Artifact {
            path: path.to_path_buf(),
            source: Box::new(source),
        },
    };
    let open = || fs::open(path).map(|file| BufReader::with_capacity(1 << 18, file));
    let stream: Box<dyn Read> = match output.format() {
        Format::Directory => return Tree::read(path).map_err(failed),
        Format::Zip => return zip(path, cancel),
        Format::Tar => Box::new(open()?),
        Format::TarGz => Box::new(flate2::bufread::MultiGzDecoder::new(open()?)),
        Format::TarZst => Box::new(
            zstd::Decoder::with_buffer(open()?)
                .map_err(|source| fs::Error::new("read", path, source))?,
        ),
    };
    let spool = Arc::new(fs::temp_dir(scratch)?);
    let packed = fs::follow(path)?.len();
    let limit = packed.saturating_mul(MAX_RATIO).max(FREE_SIZE);
    read_tar(stream, limit, &spool).map_err(failed)
}

fn zip(path: &Path, cancel: &Cancel) -> Result<Tree, Error> {
    let archive = Archive::open(path, None, &Limits::default(), cancel)?;
    let mut tree = Tree::new();
    for entry in archive.entries() {
        let node = Node::File {
            content: archive.content(entry),
            executable: entry.executable,
        };
        // Each path is its own: the archive was checked for that.
        let _ = tree.insert(entry.path.clone(), node);
    }
    Ok(tree)
}
