//! The packed bytes of archives' members.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crc32fast::Hasher;

use super::sink::{BUFFER, Sink};
use crate::fs;
use crate::tree::{Archive, Member};

/// Copies members as they are packed. Those of one archive come together, so one file is open.
#[derive(Default)]
pub(super) struct Members {
    open: Option<(Arc<Archive>, File)>,
}

impl Members {
    /// Sends the packed bytes, as `edit` leaves them: it is given each part and where in the member
    /// that begins. The last byte is still in the sink, which can give it back.
    ///
    /// # Errors
    /// [`Damaged`], if the bytes are not those that were checked.
    pub(super) fn copy(
        &mut self,
        member: &Member,
        sink: &mut Sink,
        mut edit: impl FnMut(u64, &mut [u8]),
    ) -> io::Result<()> {
        let path = &member.archive.path;
        let file = self.file(&member.archive)?;
        let mut crc = Hasher::new();
        let mut at = 0;
        while at < member.packed {
            let left = member.packed - at;
            let length = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            sink.fill(length, |bytes| {
                file.read_exact_at(bytes, member.offset + at)
                    .map_err(|source| match source.kind() {
                        io::ErrorKind::UnexpectedEof => damaged(member),
                        _ => io::Error::other(fs::Error::new("read", path, source)),
                    })?;
                crc.update(bytes);
                edit(at, bytes);
                Ok(())
            })?;
            at += length as u64;
        }
        if crc.finalize() != member.packed_crc {
            return Err(damaged(member));
        }
        Ok(())
    }

    fn file(&mut self, archive: &Arc<Archive>) -> io::Result<&File> {
        let same = |(open, _): &(Arc<Archive>, File)| Arc::ptr_eq(open, archive);
        if !self.open.as_ref().is_some_and(same) {
            let file = fs::open(&archive.path).map_err(io::Error::other)?;
            self.open = Some((Arc::clone(archive), file));
        }
        match &self.open {
            Some((_, file)) => Ok(file),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// What a member is that holds other bytes than it should.
pub(super) fn damaged(member: &Member) -> io::Error {
    io::Error::other(Damaged(member.archive.path.clone()))
}

/// An archive holds other bytes than when it was checked.
#[derive(Debug, thiserror::Error)]
#[error("`{}` has changed since it was checked", .0.display())]
pub(super) struct Damaged(pub(super) PathBuf);
