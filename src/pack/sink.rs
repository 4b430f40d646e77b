//! Where an archive's bytes go: the file and its SHA-256, at once.
//!
//! Whoever makes the bytes does not wait for either: full buffers go to a thread that writes and to
//! one that hashes, in order. How many are under way is bounded, so memory does not grow.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder};

use crate::digest::{Digest, Hashing};

/// How much goes over at a time: little enough to stay in a core's cache on its way. Also the most
/// that [`Sink::fill`] takes at a time.
pub(super) const BUFFER: usize = 1 << 17;
/// How many buffers may wait for each thread.
const WAITING: usize = 8;

/// Writes what `make` makes to `file`; returns its digest and length.
pub(super) fn write(
    file: &mut (impl Write + Send),
    make: impl FnOnce(&mut Sink) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    thread::scope(|scope| {
        let (to_file, from_sink) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let (to_hash, for_hash) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let writing = Builder::new().spawn_scoped(scope, move || -> io::Result<()> {
            for buffer in from_sink {
                file.write_all(&buffer)?;
            }
            file.flush()
        })?;
        let hashing = Builder::new().spawn_scoped(scope, move || hash(&for_hash))?;
        let mut out = Sink {
            buffer: Vec::with_capacity(BUFFER),
            sent: VecDeque::new(),
            to_file,
            to_hash,
        };
        let result = make(&mut out).and_then(|()| out.send());
        // The threads end when nothing more can come.
        drop(out);
        let writing = writing.join().map_err(|_| died())?;
        let hashed = hashing.join().map_err(|_| died())?;
        // Why the file took no more says more than that it did not.
        writing?;
        result?;
        Ok(hashed)
    })
}

fn hash(buffers: &Receiver<Arc<Vec<u8>>>) -> (Digest, u64) {
    let mut hashing = Hashing::new(io::sink());
    for buffer in buffers {
        hashing.update(&buffer);
    }
    let (_, digest, length) = hashing.finish();
    (digest, length)
}

fn died() -> io::Error {
    io::Error::other("a thread that writes has died")
}

/// Takes the bytes of one archive, in order.
pub(super) struct Sink {
    /// At most [`BUFFER`] bytes. It may be full: [`pop`](Sink::pop) needs the last byte here.
    buffer: Vec<u8>,
    /// Buffers on their way, the oldest first: what both threads are done with is used again.
    sent: VecDeque<Arc<Vec<u8>>>,
    to_file: SyncSender<Arc<Vec<u8>>>,
    to_hash: SyncSender<Arc<Vec<u8>>>,
}

impl Sink {
    fn send(&mut self) -> io::Result<()> {
        let mut next = match self.sent.pop_front().map(Arc::try_unwrap) {
            Some(Ok(buffer)) => buffer,
            Some(Err(busy)) => {
                self.sent.push_front(busy);
                Vec::with_capacity(BUFFER)
            }
            None => Vec::with_capacity(BUFFER),
        };
        next.clear();
        let full = Arc::new(std::mem::replace(&mut self.buffer, next));
        self.sent.push_back(Arc::clone(&full));
        // A thread that is gone has left an error that says why.
        let gone = |_| io::Error::other("the file takes no more");
        self.to_hash.send(Arc::clone(&full)).map_err(gone)?;
        self.to_file.send(full).map_err(gone)
    }

    /// Takes back the last byte of what was filled in last.
    pub(super) fn pop(&mut self) -> Option<u8> {
        self.buffer.pop()
    }

    /// Lets `fill` write `count` bytes, at most [`BUFFER`], directly into the buffer.
    pub(super) fn fill(
        &mut self,
        count: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        debug_assert!(count <= BUFFER, "{count} bytes do not fit");
        if self.room() < count {
            self.send()?;
        }
        let start = self.buffer.len();
        self.buffer.resize(start + count, 0);
        fill(&mut self.buffer[start..])
    }

    fn room(&self) -> usize {
        BUFFER.saturating_sub(self.buffer.len())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `fill` may have left no room, and to take nothing is to fail.
        if self.room() == 0 {
            self.send()?;
        }
        let count = bytes.len().min(self.room());
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
