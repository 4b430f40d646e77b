//! The headers of a zip archive. The reader accepts no contradictions.
//!
//! A zip tells of each entry in two places, and readers differ in which they believe; bytes can lie
//! where none of them look. Here both places must agree, and the entries must fill the archive from
//! its first byte to the central directory, so that every reader sees the same files. The `zip`
//! crate reads more leniently (of two entries of one name it shows the last), which is right for
//! other uses.
//!
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::archive::Problem;

/// How an entry is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// An entry, as both of its headers have it.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) crc: u32,
    /// The packed bytes: where they begin, and how many there are.
    pub(super) offset: u64,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// The mode of Unix, or 0.
    pub(super) mode: u32,
}

impl Header {
    /// Whether its mode says that it is a regular file; or nothing, and then it is one too.
    pub(super) fn is_marked_as_file(&self) -> bool {
        matches!(self.mode & KIND, 0 | FILE)
    }
}

/// Why there are no headers.
pub(super) enum Error {
    Io(io::Error),
    /// The entry, if it is about one, and what is wrong.
    Problem(Option<String>, Problem),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(None, problem)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Problem(None, Problem::NotZip)
        } else {
            Self::Io(error)
        }
    }
}

// The kind of a file in its mode.
const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The largest central directory that is read: 200 bytes for each of 300 000 entries.
const MAX_DIRECTORY: u64 = 60_000_000;

// The lengths of the parts without what varies.
const END: u64 = 22;
const LOCATOR: usize = 20;
const END64: usize = 56;
const CENTRAL: usize = 46;
const LOCAL: usize = 30;

/// The flags that an entry may have: sizes behind the data, UTF-8, and two that tell of the effort
/// of compressing.
const FLAGS: u16 = DESCRIPTOR | UTF8 | 0b110;
const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;
/// Encrypted, strongly encrypted, or with its headers hidden.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

/// The headers of all entries of the archive in `file`, by where they lie.
pub(super) fn headers(file: &File, size: u64, limit: u64) -> Result<Vec<Header>, Error> {
    let directory = find_directory(file, size)?;
    if directory.count > limit {
        return Err(Problem::TooMany {
            count: directory.count,
            limit,
        }
        .into());
    }
    if directory.size > MAX_DIRECTORY {
        return Err(Problem::Structure("its central directory is larger than 60 MB").into());
    }
    let length = usize::try_from(directory.size).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, directory.start)?;
    let mut rest = bytes.as_slice();
    let mut centrals = Vec::new();
    for _ in 0..directory.count {
        let (central, after) = Central::read(rest)?;
        centrals.push(central);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(
            Problem::Structure("its central directory has more entries than it says").into(),
        );
    }
    drop(bytes);
    centrals.sort_by_key(|central| central.local);
    let mut headers = Vec::with_capacity(centrals.len());
    let mut expected = 0;
    let mut locals = ReadAhead::new(file, directory.start);
    for (index, central) in centrals.iter().enumerate() {
        let next = centrals
            .get(index + 1)
            .map_or(directory.start, |next| next.local);
        let named = |problem| Error::Problem(Some(central.name.clone()), problem);
        if central.local != expected {
            return Err(named(Problem::Layout(if central.local < expected {
                "it overlaps another entry"
            } else {
                "there are bytes before it that belong to no entry"
            })));
        }
        let header = central
            .join(&mut locals, next)
            .map_err(|error| match error {
                Error::Problem(None, problem) => named(problem),
                error => error,
            })?;
        expected = next;
        headers.push(header);
    }
    if expected != directory.start {
        return Err(Problem::Layout("there are bytes that belong to no entry").into());
    }
    Ok(headers)
}

/// Where the central directory lies, and how many entries it has.
struct Directory {
    start: u64,
    size: u64,
    count: u64,
}

fn find_directory(file: &File, size: u64) -> Result<Directory, Error> {
    // The end record is the last thing in the file, but for a comment of up to 65 535 bytes.
    let length = size.min(END + 0xffff);
    let mut tail = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut tail, size - length)?;
    let at = tail
        .windows(4)
        .rposition(|four| four == b"PK\x05\x06")
        .ok_or(Problem::NotZip)?;
    let end = Fields(&tail[at..]);
    if end.0.len() < 22 {
        return Err(Problem::NotZip.into());
    }
    if end.0.len() != 22 + usize::from(end.u16(20)) {
        return Err(Problem::Structure("there are bytes behind its end").into());
    }
    let end_at = size - length + at as u64;
    let said = (
        u64::from(end.u16(10)),
        u64::from(end.u32(12)),
        u64::from(end.u32(16)),
    );
    let several = || Problem::Structure("it is one of several volumes");
    let mut directory = Directory {
        start: said.2,
        size: said.1,
        count: said.0,
    };
    let mut behind = end_at;
    let locator = (end_at >= LOCATOR as u64)
        .then(|| {
            let mut bytes = [0; LOCATOR];
            file.read_exact_at(&mut bytes, end_at - LOCATOR as u64)
                .map(|()| bytes)
        })
        .transpose()?
        .filter(|bytes| bytes.starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let locator = Fields(&locator);
        behind = locator.u64(8);
        if locator.u32(4) != 0 || locator.u32(16) > 1 {
            return Err(several().into());
        }
        let wrong = || Problem::Structure("its zip64 end record is damaged or not in its place");
        if behind.checked_add((END64 + LOCATOR) as u64) != Some(end_at) {
            return Err(wrong().into());
        }
        let mut bytes = [0; END64];
        file.read_exact_at(&mut bytes, behind)?;
        let end64 = Fields(&bytes);
        if !bytes.starts_with(b"PK\x06\x06") || end64.u64(4) != END64 as u64 - 12 {
            return Err(wrong().into());
        }
        if end64.u32(16) != 0 || end64.u32(20) != 0 || end64.u64(24) != end64.u64(32) {
            return Err(several().into());
        }
        directory = Directory {
            start: end64.u64(48),
            size: end64.u64(40),
            count: end64.u64(32),
        };
        let agrees = |small: u64, limit: u64, large: u64| small == limit || small == large;
        if !agrees(said.0, 0xffff, directory.count)
            || !agrees(said.1, 0xffff_ffff, directory.size)
            || !agrees(said.2, 0xffff_ffff, directory.start)
        {
            return Err(Problem::Structure("its two end records differ").into());
        }
    } else if end.u16(4) != 0 || end.u16(6) != 0 || end.u16(8) != end.u16(10) {
        return Err(several().into());
    }
    if directory.start.checked_add(directory.size) != Some(behind) {
        return Err(
            Problem::Structure("its central directory is not where its end record says").into(),
        );
    }
    Ok(directory)
}

/// An entry of the central directory.
struct Central {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    mode: u32,
    /// Where its local header begins.
    local: u64,
}

impl Central {
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let damaged = || Problem::Structure("its central directory is damaged");
        if bytes.len() < CENTRAL || !bytes.starts_with(b"PK\x01\x02") {
            return Err(damaged().into());
        }
        let fields = Fields(bytes);
        let name_end = CENTRAL + usize::from(fields.u16(28));
        let extra_end = name_end + usize::from(fields.u16(30));
        let end = extra_end + usize::from(fields.u16(32));
        if bytes.len() < end {
            return Err(damaged().into());
        }
        let raw_name = &bytes[CENTRAL..name_end];
        let flags = fields.u16(8);
        let shown = || Some(String::from_utf8_lossy(raw_name).into_owned());
        let refuse = |problem| Error::Problem(shown(), problem);
        let name = str::from_utf8(raw_name).map_err(|_| refuse(Problem::Name))?;
        if !name.is_ascii() && flags & UTF8 == 0 {
            return Err(refuse(Problem::Name));
        }
        if flags & ENCRYPTED != 0 {
            return Err(refuse(Problem::Encrypted));
        }
        if flags & !FLAGS != 0 {
            return Err(refuse(Problem::Structure("it has flags that are unknown")));
        }
        let extra = &bytes[name_end..extra_end];
        let mut large = Large::find(extra).map_err(refuse)?;
        one_name(extra, raw_name).map_err(refuse)?;
        let mut wide = |small: u32| large.wide(small).map_err(refuse);
        // In this order, and only those that do not fit.
        let size = wide(fields.u32(24))?;
        let packed = wide(fields.u32(20))?;
        let local = wide(fields.u32(42))?;
        if !matches!(fields.u16(34), 0 | 0xffff) {
            return Err(refuse(Problem::Structure("it is one of several volumes")));
        }
        let mode = fields.u32(38) >> 16;
        // Its name says whether it is a folder. As with pip, what is marked as a symbolic link is a file.
        if ![0, DIRECTORY, FILE, LINK].contains(&(mode & KIND)) {
            return Err(refuse(Problem::Kind));
        }
        let central = Self {
            name: name.to_owned(),
            flags,
            method: fields.u16(10),
            crc: fields.u32(16),
            packed,
            size,
            mode,
            local,
        };
        Ok((central, &bytes[end..]))
    }

    /// Reads the local header too, and holds the two against each other. What follows must begin at
    /// `next`.
    fn join(&self, locals: &mut ReadAhead<'_>, next: u64) -> Result<Header, Error> {
        let method = match self.method {
            0 => Method::Stored,
            8 => Method::Deflated,
            other => return Err(Problem::Method(other).into()),
        };
        if method == Method::Stored && self.packed != self.size {
            return Err(Problem::Headers("a stored entry has two sizes").into());
        }
        let differ = |what| Err(Problem::Headers(what).into());
        let bytes = locals.read(self.local, LOCAL)?.to_vec();
        let fields = Fields(&bytes);
        if !bytes.starts_with(b"PK\x03\x04") {
            return differ("there is none where it should be");
        }
        let name_length = usize::from(fields.u16(26));
        let extra_length = usize::from(fields.u16(28));
        let start = self.local + LOCAL as u64;
        let rest = locals.read(start, name_length + extra_length)?;
        let (name, extra) = rest.split_at(name_length);
        if name != self.name.as_bytes() {
            return differ("the name");
        }
        one_name(extra, name)?;
        if fields.u16(6) != self.flags {
            return differ("the flags");
        }
        if fields.u16(8) != self.method {
            return differ("the method");
        }
        let mut large = Large::find(extra)?;
        let is_large = large.0.is_some();
        let said = (
            fields.u32(14),
            large.wide(fields.u32(22))?,
            large.wide(fields.u32(18))?,
        );
        let described = self.flags & DESCRIPTOR != 0;
        if said != (self.crc, self.size, self.packed) && !(described && said == (0, 0, 0)) {
            return differ("the checksum or the sizes");
        }
        let offset = start + (name_length + extra_length) as u64;
        let end = offset.checked_add(self.packed).filter(|end| *end <= next);
        let Some(end) = end else {
            return Err(Problem::Layout("it overlaps what follows it").into());
        };
        let between = next - end;
        if !described && between > 0 {
            return Err(
                Problem::Layout("there are bytes behind it that belong to no entry").into(),
            );
        }
        if described
            && !self.describes(
                locals.read(end, usize::try_from(between.min(25)).unwrap_or(0))?,
                is_large,
            )
        {
            return Err(
                Problem::Layout("its data descriptor is missing, or says something else").into(),
            );
        }
        Ok(Header {
            name: self.name.clone(),
            method,
            crc: self.crc,
            offset,
            packed: self.packed,
            size: self.size,
            mode: self.mode,
        })
    }

    /// Whether `bytes` are the data descriptor: with or without a signature; with sizes of eight
    /// bytes if the local header has a zip64 field, and of four otherwise.
    fn describes(&self, bytes: &[u8], large: bool) -> bool {
        let mut said = self.crc.to_le_bytes().to_vec();
        for number in [self.packed, self.size] {
            if large {
                said.extend(number.to_le_bytes());
            } else {
                match u32::try_from(number) {
                    Ok(number) => said.extend(number.to_le_bytes()),
                    Err(_) => return false,
                }
            }
        }
        bytes == said || bytes.strip_prefix(b"PK\x07\x08") == Some(&said)
    }
}

/// Refuses extra fields that give another name than the header, for readers that prefer it:
/// Info-ZIP's Unicode path, 0x7075, with a version and a checksum before the name.
fn one_name(extra: &[u8], name: &[u8]) -> Result<(), Problem> {
    match extra_field(extra, 0x7075)? {
        Some(field) if field.get(5..) != Some(name) => {
            Err(Problem::Headers("it has a second name"))
        }
        _ => Ok(()),
    }
}

/// The extra field of this kind.
fn extra_field(mut extra: &[u8], kind: u16) -> Result<Option<&[u8]>, Problem> {
    let mut found = None;
    while extra.len() >= 4 {
        let fields = Fields(extra);
        let end = 4 + usize::from(fields.u16(2));
        if extra.len() < end {
            return Err(Problem::Structure("its extra fields are damaged"));
        }
        if fields.u16(0) == kind && found.replace(&extra[4..end]).is_some() {
            return Err(Problem::Structure("it has an extra field twice"));
        }
        extra = &extra[end..];
    }
    Ok(found)
}

/// What is left of an entry's zip64 field: the numbers that its header has no room for.
struct Large<'a>(Option<&'a [u8]>);

impl<'a> Large<'a> {
    fn find(extra: &'a [u8]) -> Result<Self, Problem> {
        extra_field(extra, 1).map(Self)
    }

    fn wide(&mut self, small: u32) -> Result<u64, Problem> {
        if small != u32::MAX {
            return Ok(u64::from(small));
        }
        let missing = Problem::Structure("it lacks the zip64 field that its header points to");
        let (number, rest) = self
            .0
            .and_then(|bytes| bytes.split_first_chunk::<8>())
            .ok_or(missing)?;
        self.0 = Some(rest);
        Ok(u64::from_le_bytes(*number))
    }
}

/// Reads parts of a file that lie one behind the other, without a call for each.
struct ReadAhead<'a> {
    file: &'a File,
    end: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> ReadAhead<'a> {
    fn new(file: &'a File, end: u64) -> Self {
        Self {
            file,
            end,
            start: 0,
            bytes: Vec::new(),
        }
    }

    fn read(&mut self, offset: u64, length: usize) -> Result<&[u8], Error> {
        let behind = offset.checked_add(length as u64);
        if behind.is_none_or(|behind| behind > self.end) {
            return Err(Problem::Layout("it overlaps the central directory").into());
        }
        let have = self.start..=self.start + self.bytes.len() as u64;
        if !(have.contains(&offset) && behind.is_some_and(|behind| have.contains(&behind))) {
            // A page or so: the headers of small entries lie close together.
            let wanted = (self.end - offset).min(4096.max(length as u64));
            self.bytes.resize(usize::try_from(wanted).unwrap_or(0), 0);
            self.file.read_exact_at(&mut self.bytes, offset)?;
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(0);
        Ok(&self.bytes[from..from + length])
    }
}

/// Little-endian numbers at places in bytes that are known to be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[at..at + N]);
        bytes
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}
