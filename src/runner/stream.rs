//! Folders as tar streams: what goes into a container and what comes out of it.
//!
//! A container is hostile until checked. Names, kinds, sizes and counts of the entries are, and
//! contents go into one file of our own, under no name that the stream chose.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::fs::TempDir;
use tar::{Archive, Builder, EntryType, Header};

use crate::fs;
use crate::tree::{Content, Entry, Node, ReadError, RelPath, Tree};

/// More nodes than any prefix has; the largest seen in the field has some hundred thousand.
const MAX_ENTRIES: u64 = 4_000_000;

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

/// Reads a tar stream of the folder called `root` into a tree; contents go into a file in `spool`.
pub(super) fn read(stream: impl Read, root: &str, spool: &Arc<TempDir>) -> Result<Tree, ReadError> {
    let path = spool.path().join("contents");
    let mut reader = StreamReader {
        root,
        tree: Tree::new(),
        contents: fs::create_new(&path)?,
        offset: 0,
        path: &path,
        spool,
    };
    let broken = |source| ReadError::Io(fs::Error::new("read the stream of", root, source));
    let mut archive = Archive::new(stream);
    let mut count = 0;
    for entry in archive.entries().map_err(broken)? {
        count += 1;
        if count > MAX_ENTRIES {
            return Err(ReadError::TooMany { limit: MAX_ENTRIES });
        }
        reader.take(entry.map_err(broken)?)?;
    }
    Ok(reader.tree)
}

struct StreamReader<'a> {
    root: &'a str,
    tree: Tree,
    contents: std::fs::File,
    offset: u64,
    path: &'a Path,
    spool: &'a Arc<TempDir>,
}

impl StreamReader<'_> {
    fn take<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), ReadError> {
        let Some(name) = self.below(&entry.path_bytes())? else {
            return Ok(());
        };
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let kind = entry.header().entry_type();
        let node = match kind {
            EntryType::Directory => Node::Dir,
            EntryType::Regular | EntryType::Continuous => Node::File {
                content: self.keep(&mut entry)?,
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
        read(&blocks.concat()[..], "install", &spool)
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
        let back = read(&stream[..], "install", &spool).unwrap();
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
