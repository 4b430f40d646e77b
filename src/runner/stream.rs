//! Directories as tar streams, into and out of a container.
//!
//! A container is hostile until checked. Names, kinds, sizes and counts of the entries are, and
//! contents go into one file of our own, under no name that the stream chose.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crate::fs::TempDir;
use tar::{Archive, Builder, EntryType, Header};

use crate::code::weight;
use crate::fs;
use crate::tree::{Content, Entry, Node, ReadError, RelPath, Tree};

/// More nodes than any prefix has; the largest seen in the field has some hundred thousand.
const MAX_ENTRIES: u64 = 1_000_000;
/// The most bytes that the names and links of a tree take, as [`weight`] counts them.
const MAX_NAMES: usize = 256 << 20;
/// The most bytes of contents, second names of a file counted again: each becomes a file of its own. A wheel
/// may unpack to as many.
const MAX_BYTES: u64 = 32 << 30;

/// The entries of a tar stream, which is read as [`Archive`] reads it, but for two things: what lies between
/// entries (long names, extended headers) is bounded, for `tar` holds it in memory, however long it is; and
/// sparse files, of which a few bytes stand for any number of zeros, end it.
///
/// `take` is given each entry and need not read it.
pub(super) fn each_entry<R: Read, E>(
    stream: R,
    broken: impl Fn(io::Error) -> E,
    mut take: impl FnMut(&mut tar::Entry<'_, Metered<R>>) -> Result<(), E>,
) -> Result<(), E> {
    let room = Rc::new(Cell::new(MAX_BETWEEN));
    let mut archive = Archive::new(Metered {
        inner: stream,
        room: Rc::clone(&room),
    });
    let mut entries = archive.entries().map_err(&broken)?;
    loop {
        room.set(MAX_BETWEEN);
        let Some(entry) = entries.next() else {
            return Ok(());
        };
        let mut entry = entry.map_err(&broken)?;
        if entry.header().entry_type() == EntryType::GNUSparse {
            let error = io::Error::new(io::ErrorKind::InvalidData, "it has a sparse file");
            return Err(broken(error));
        }
        room.set(u64::MAX);
        take(&mut entry)?;
        io::copy(&mut entry, &mut io::sink()).map_err(&broken)?;
    }
}

/// How many bytes may lie between the contents of one file and the header of the next.
const MAX_BETWEEN: u64 = 1 << 20;

/// A reader that ends with an error when more is read of it than there is room for.
pub(super) struct Metered<R> {
    inner: R,
    room: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(left) = self.room.get().checked_sub(read as u64) else {
            let what = "a name or a header in it is longer than 1 MB";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        };
        self.room.set(left);
        Ok(read)
    }
}

/// Writes `tree` as a tar stream whose paths lie below `folder`.
pub(super) fn write(tree: &Tree, folder: &str, out: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(out);
    for (depth, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
        builder.append_data(
            &mut header(EntryType::Directory, 0, true),
            &folder[..depth],
            io::empty(),
        )?;
    }
    for (path, entry) in tree.iter() {
        let path = format!("{folder}/{path}");
        match &entry.node {
            Node::Dir => {
                let mut header = header(EntryType::Directory, 0, true);
                builder.append_data(&mut header, path, io::empty())?;
            }
            Node::File {
                content,
                executable,
            } => {
                let mut header = header(EntryType::Regular, content.size(), *executable);
                let reader = content.open().map_err(io::Error::other)?;
                builder.append_data(&mut header, path, reader)?;
            }
            Node::Symlink { target } => {
                let mut header = header(EntryType::Symlink, 0, true);
                builder.append_link(&mut header, path, target)?;
            }
        }
    }
    builder.into_inner()?.flush()
}

fn header(kind: EntryType, size: u64, executable: bool) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    // 1980, the first year that a wheel, being a zip, can hold: what builds from these files
    // must be able to pack them.
    header.set_mtime(315_532_800);
    header
}

/// Reads a tar stream of the folder called `root` into a tree of at most `limit` bytes of contents, which go
/// into a file in `spool`.
pub(super) fn read(
    stream: impl Read,
    root: &str,
    limit: u64,
    spool: &Arc<TempDir>,
) -> Result<Tree, ReadError> {
    let path = spool.path().join("contents");
    let mut reader = StreamReader {
        root,
        tree: Tree::new(),
        contents: fs::create_new(&path)?,
        offset: 0,
        names: MAX_NAMES,
        bytes: limit.min(MAX_BYTES),
        limit: limit.min(MAX_BYTES),
        path: &path,
        spool,
    };
    let broken = |source| ReadError::Io(fs::Error::new("read the stream of", root, source));
    let mut count = 0;
    each_entry(stream, broken, |entry| {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(ReadError::TooMany { limit: MAX_ENTRIES });
        }
        reader.take(entry)
    })?;
    Ok(reader.tree)
}

struct StreamReader<'a> {
    root: &'a str,
    tree: Tree,
    contents: std::fs::File,
    offset: u64,
    /// How many bytes of names and links, and of contents, may still come.
    names: usize,
    bytes: u64,
    /// How many bytes of contents may come in all.
    limit: u64,
    path: &'a Path,
    spool: &'a Arc<TempDir>,
}

impl StreamReader<'_> {
    fn take<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), ReadError> {
        let Some(name) = self.below(&entry.path_bytes())? else {
            return Ok(());
        };
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let kind = entry.header().entry_type();
        let node = match kind {
            EntryType::Directory => Node::Dir,
            EntryType::Regular | EntryType::Continuous => Node::File {
                content: self.keep(entry)?,
                executable,
            },
            EntryType::Symlink => Node::Symlink {
                target: text(&entry.link_name_bytes().unwrap_or_default())?,
            },
            EntryType::Link => {
                let target = self.below(&entry.link_name_bytes().unwrap_or_default())?;
                match target.and_then(|target| self.tree.get(&target)) {
                    // A hard link is a second name for a file: in a tree, a second file.
                    Some(Entry {
                        node: node @ Node::File { .. },
                        ..
                    }) => node.clone(),
                    _ => {
                        return Err(ReadError::Special {
                            path: name.as_str().to_owned(),
                        });
                    }
                }
            }
            EntryType::XGlobalHeader => return Ok(()),
            _ => {
                return Err(ReadError::Special {
                    path: name.as_str().to_owned(),
                });
            }
        };
        // A node has an owner, contents and a place in the tree besides its name.
        let weight = weight(name.as_str()) + size_of::<Entry>();
        let target = match &node {
            Node::Symlink { target } => target.len(),
            Node::File { content, .. } => {
                let left = self.bytes.checked_sub(content.size());
                self.bytes = left.ok_or(ReadError::TooLarge { limit: self.limit })?;
                0
            }
            Node::Dir => 0,
        };
        let left = self.names.checked_sub(weight + target);
        self.names = left.ok_or(ReadError::TooMany { limit: MAX_ENTRIES })?;
        self.tree
            .insert(name, node)
            .map_err(|occupied| ReadError::Twice(occupied.0))
    }

    /// The path below the root; `None` for the root itself.
    fn below(&self, name: &[u8]) -> Result<Option<RelPath>, ReadError> {
        let name = text(name)?;
        let name = name.trim_start_matches("./").trim_end_matches('/');
        if self.root.is_empty() && !name.is_empty() && name != "." {
            return Ok(Some(RelPath::new(name)?));
        }
        let below = match name.strip_prefix(self.root) {
            _ if self.root.is_empty() => return Ok(None),
            Some("") => return Ok(None),
            Some(below) => below.strip_prefix('/'),
            None => None,
        };
        match below {
            Some(below) => Ok(Some(RelPath::new(below)?)),
            None => Err(ReadError::Outside {
                path: name.to_owned(),
            }),
        }
    }

    /// Copies the contents of an entry to the end of our file.
    fn keep<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<Content, ReadError> {
        let expected = entry.size();
        if expected > self.bytes {
            return Err(ReadError::TooLarge { limit: self.limit });
        }
        let size = io::copy(entry, &mut self.contents)
            .map_err(|source| fs::Error::new("write", self.path, source))?;
        if size != expected {
            let source = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(fs::Error::new("read the stream of", self.root, source).into());
        }
        let offset = self.offset;
        self.offset += size;
        Ok(Content::File {
            path: self.path.to_path_buf(),
            offset,
            size,
            guard: Some(Arc::clone(self.spool)),
            code: None,
        })
    }
}

fn text(bytes: &[u8]) -> Result<String, ReadError> {
    str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| ReadError::NotUtf8 {
            path: String::from_utf8_lossy(bytes).into_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: EntryType, name: &[u8], link: &str) -> Vec<u8> {
        let mut header = header(kind, 0, false);
        let raw = header.as_old_mut();
        raw.name[..name.len()].copy_from_slice(name);
        raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn read_all(blocks: &[Vec<u8>]) -> Result<Tree, ReadError> {
        let spool = Arc::new(fs::temp_dir(Path::new("/tmp")).unwrap());
        read(&blocks.concat()[..], "install", u64::MAX, &spool)
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut tree = Tree::new();
        let file = |bytes: &[u8], executable| Node::File {
            content: bytes.to_vec().into(),
            executable,
        };
        let long = format!("lib/{}/x", "n".repeat(150));
        tree.insert(RelPath::new("bin/run").unwrap(), file(b"#!x", true))
            .unwrap();
        tree.insert(RelPath::new(&long).unwrap(), file(b"abc", false))
            .unwrap();
        let link = Node::Symlink {
            target: "bin".into(),
        };
        tree.insert(RelPath::new("sbin").unwrap(), link).unwrap();
        let mut stream = Vec::new();
        write(&tree, "install", &mut stream).unwrap();
        let spool = Arc::new(fs::temp_dir(Path::new("/tmp")).unwrap());
        let back = read(&stream[..], "install", u64::MAX, &spool).unwrap();
        let list = |tree: &Tree| -> Vec<String> {
            tree.iter()
                .map(|(path, entry)| match &entry.node {
                    Node::Dir => format!("{path}/"),
                    Node::Symlink { target } => format!("{path} -> {target}"),
                    Node::File {
                        content,
                        executable,
                    } => format!("{path} {executable} {:?}", content.read().unwrap()),
                })
                .collect()
        };
        assert_eq!(list(&tree), list(&back));
    }

    #[test]
    fn hostile_entries_are_refused() {
        let cases: [(EntryType, &[u8], &str, &str); 8] = [
            (
                EntryType::Regular,
                b"install/../etc/passwd",
                "",
                "unsafe path",
            ),
            (EntryType::Regular, b"/etc/passwd", "", "outside"),
            (EntryType::Regular, b"installed/x", "", "outside"),
            (EntryType::Fifo, b"install/x", "", "neither"),
            (EntryType::Char, b"install/x", "", "neither"),
            (EntryType::Link, b"install/x", "/etc/passwd", "outside"),
            (EntryType::Link, b"install/x", "install/y", "neither"),
            (EntryType::Regular, b"install/\xff", "", "UTF-8"),
        ];
        for (kind, name, link, expected) in cases {
            let error = read_all(&[entry(kind, name, link)])
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_path_twice_is_refused() {
        let file = entry(EntryType::Regular, b"install/x", "");
        let error = read_all(&[file.clone(), file]).unwrap_err();
        assert!(matches!(error, ReadError::Twice(_)), "{error}");
    }

    #[test]
    fn a_stream_that_ends_early_is_refused() {
        let mut header = header(EntryType::Regular, 1000, false);
        header.set_path("install/x").unwrap();
        header.set_cksum();
        assert!(read_all(&[header.as_bytes().to_vec(), vec![0; 512]]).is_err());
    }
}
