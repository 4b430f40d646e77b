//! Zip archives: entries of wheels are copied as they are packed there, others are deflated here.
//!
//! Written field by field, since the `zip` crate takes packed bytes only from an archive of its own;
//! and so from first byte to last, with sizes known before the bytes, without going back.
//!
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::io::{self, Write};

use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rayon::prelude::*;
use zip::DateTime;

use super::Meter;
use super::members::Members;
use super::sink::Sink;
use super::{groups, gzip};
use crate::tree::{Content, Member, Method, Node, Tree};

/// How many bytes of contents are deflated at a time, if they are in several files.
const BATCH: u64 = 1 << 25;
/// How many entries wait at most.
const ENTRIES: usize = 1024;
const LEVEL: u32 = 6;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Writes the archive of `tree`; every entry has the time `mtime`, no earlier than 1980.
pub(super) fn write(tree: &Tree, mtime: u64, out: &mut Sink, meter: &Meter<'_>) -> io::Result<()> {
    let mut writer = Writer {
        out,
        time: date_time(mtime),
        at: 0,
        directory: Vec::new(),
        count: 0,
        members: Members::default(),
    };
    let mut waiting = Vec::new();
    let mut size = 0;
    for (path, entry) in tree.in_archive_order() {
        let path = path.as_str();
        waiting.push(match &entry.node {
            Node::Dir => Entry {
                name: format!("{path}/"),
                mode: 0o040_755,
                bytes: Bytes::Here(b""),
            },
            Node::Symlink { target } => Entry {
                name: path.to_owned(),
                mode: 0o120_777,
                bytes: Bytes::Here(target.as_bytes()),
            },
            Node::File {
                content,
                executable,
            } => Entry {
                name: path.to_owned(),
                mode: if *executable { 0o100_755 } else { 0o100_644 },
                bytes: match content {
                    Content::Member(member) if gzip::worth_joining(member) => Bytes::Packed(member),
                    content => {
                        size += content.size();
                        Bytes::Deflate(content)
                    }
                },
            },
        });
        if size >= BATCH || waiting.len() >= ENTRIES {
            writer.entries(&waiting, meter)?;
            waiting.clear();
            size = 0;
        }
    }
    writer.entries(&waiting, meter)?;
    writer.finish()
}

/// An entry that waits for its turn.
struct Entry<'a> {
    name: String,
    mode: u32,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    Here(&'a [u8]),
    Deflate(&'a Content),
    Packed(&'a Member),
}

/// What the headers say of an entry's bytes.
#[derive(Clone, Copy)]
struct Sizes {
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
}

struct Writer<'s> {
    out: &'s mut Sink,
    time: DateTime,
    at: u64,
    directory: Vec<u8>,
    count: u64,
    members: Members,
}

impl Writer<'_> {
    /// Deflates on all cores what must be, and writes all in order.
    fn entries(&mut self, entries: &[Entry<'_>], meter: &Meter<'_>) -> io::Result<()> {
        let deflated: Vec<(Sizes, Vec<u8>)> = entries
            .par_iter()
            .filter_map(|entry| match entry.bytes {
                Bytes::Deflate(content) => Some(deflate(content, meter)),
                Bytes::Here(_) | Bytes::Packed(_) => None,
            })
            .collect::<io::Result<_>>()?;
        let mut deflated = deflated.into_iter();
        for entry in entries {
            match entry.bytes {
                Bytes::Here(bytes) => {
                    let size = bytes.len() as u64;
                    let sizes = Sizes {
                        method: STORED,
                        crc: crc32fast::hash(bytes),
                        packed: size,
                        size,
                    };
                    self.header(entry, sizes)?;
                    self.write(bytes)?;
                }
                Bytes::Deflate(_) => {
                    if let Some((sizes, bytes)) = deflated.next() {
                        self.header(entry, sizes)?;
                        self.write(&bytes)?;
                    }
                }
                Bytes::Packed(member) => {
                    let sizes = Sizes {
                        method: match member.method {
                            Method::Stored => STORED,
                            Method::Deflated(_) => DEFLATED,
                        },
                        crc: member.crc,
                        packed: member.packed,
                        size: member.size,
                    };
                    self.header(entry, sizes)?;
                    self.members.copy(member, self.out, |_, _| {})?;
                    self.at += member.packed;
                    meter.advance(member.size)?;
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Writes an entry's local header, and keeps the one for the directory.
    fn header(&mut self, entry: &Entry<'_>, sizes: Sizes) -> io::Result<()> {
        let name = entry.name.as_bytes();
        let name_length = u16::try_from(name.len()).map_err(io::Error::other)?;
        let offset = self.at;
        let large = |number: u64| number >= u64::from(u32::MAX);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        // In the local header both sizes or none; in the directory those that do not fit.
        let both = large(sizes.size) || large(sizes.packed);
        let mut local_extra = Vec::new();
        if both {
            local_extra.extend(extra(&[sizes.size, sizes.packed]));
        }
        let numbers = [sizes.size, sizes.packed, offset];
        let wide: Vec<u64> = numbers
            .into_iter()
            .filter(|number| large(*number))
            .collect();
        let extra = if wide.is_empty() {
            Vec::new()
        } else {
            extra(&wide)
        };

        let version: u16 = if both || large(offset) { 45 } else { 20 };
        let flags: u16 = if name.is_ascii() { 0 } else { 1 << 11 };
        let mut common = Vec::with_capacity(64);
        for field in [
            version,
            flags,
            sizes.method,
            self.time.timepart(),
            self.time.datepart(),
        ] {
            common.extend(field.to_le_bytes());
        }
        common.extend(sizes.crc.to_le_bytes());
        let of_sizes = |packed, size| [small(packed), small(size)].concat();

        let mut local = b"PK\x03\x04".to_vec();
        local.extend(&common);
        local.extend(if both {
            vec![0xff; 8]
        } else {
            of_sizes(sizes.packed, sizes.size)
        });
        local.extend(name_length.to_le_bytes());
        local.extend(short(local_extra.len()));
        local.extend(name);
        local.extend(local_extra);
        self.write(&local)?;

        let directory = &mut self.directory;
        directory.extend(b"PK\x01\x02");
        // Made by version 4.5 of a Unix tool: so the mode counts.
        directory.extend([45, 3]);
        directory.extend(&common);
        directory.extend(of_sizes(sizes.packed, sizes.size));
        directory.extend(name_length.to_le_bytes());
        directory.extend(short(extra.len()));
        // No comment, the first disk, no attribute.
        directory.extend([0; 6]);
        let folder = u32::from(entry.name.ends_with('/')) << 4;
        directory.extend((entry.mode << 16 | folder).to_le_bytes());
        directory.extend(small(offset));
        directory.extend(name);
        directory.extend(extra);
        self.count += 1;
        Ok(())
    }

    /// Writes the central directory and the end records.
    fn finish(mut self) -> io::Result<()> {
        let (start, count) = (self.at, self.count);
        let directory = std::mem::take(&mut self.directory);
        let size = directory.len() as u64;
        self.write(&directory)?;
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let entries = u16::try_from(count).unwrap_or(u16::MAX);
        if entries == u16::MAX || small(size) == u32::MAX || small(start) == u32::MAX {
            let mut end = b"PK\x06\x06".to_vec();
            end.extend(44u64.to_le_bytes());
            end.extend([45, 3, 45, 0]);
            end.extend([0; 8]);
            for number in [count, count, size, start] {
                end.extend(number.to_le_bytes());
            }
            end.extend(b"PK\x06\x07");
            end.extend([0; 4]);
            end.extend((start + size).to_le_bytes());
            end.extend(1u32.to_le_bytes());
            self.write(&end)?;
        }
        let mut end = b"PK\x05\x06".to_vec();
        end.extend([0; 4]);
        end.extend(entries.to_le_bytes());
        end.extend(entries.to_le_bytes());
        end.extend(small(size).to_le_bytes());
        end.extend(small(start).to_le_bytes());
        end.extend([0; 2]);
        self.write(&end)
    }
}

/// A zip64 field with these numbers.
fn extra(numbers: &[u64]) -> Vec<u8> {
    let mut field = vec![1, 0];
    field.extend(short(numbers.len() * 8));
    field.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    field
}

/// The length of a field of ours, which are all short.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()
}

fn deflate(content: &Content, meter: &Meter<'_>) -> io::Result<(Sizes, Vec<u8>)> {
    let mut counting = Counting {
        encoder: DeflateEncoder::new(Vec::new(), Compression::new(LEVEL)),
        crc: Hasher::new(),
    };
    groups::copy(content, &mut counting, meter)?;
    let size = content.size();
    let bytes = counting.encoder.finish()?;
    let sizes = Sizes {
        method: if size == 0 { STORED } else { DEFLATED },
        crc: counting.crc.finalize(),
        packed: if size == 0 { 0 } else { bytes.len() as u64 },
        size,
    };
    Ok((sizes, if size == 0 { Vec::new() } else { bytes }))
}

/// Deflates what is written to it, and takes its checksum.
struct Counting {
    encoder: DeflateEncoder<Vec<u8>>,
    crc: Hasher,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder.write_all(bytes)?;
        self.crc.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The date and time of a moment, in UTC; a zip holds the years from 1980 to 2107.
fn date_time(mtime: u64) -> DateTime {
    let day = i64::try_from(mtime / 86400).unwrap_or(i64::MAX / 2);
    let second = u32::try_from(mtime % 86400).unwrap_or(0);
    let (year, month, day) = civil(day);
    if year < 1980 {
        return DateTime::default();
    }
    let part = |number: u32| u8::try_from(number).unwrap_or(0);
    u16::try_from(year)
        .ok()
        .and_then(|year| {
            let (hour, minute) = (part(second / 3600), part(second / 60 % 60));
            DateTime::from_date_and_time(year, month, day, hour, minute, part(second % 60)).ok()
        })
        .unwrap_or_default()
}

/// Year, month and day of a number of days since 1970, by the Gregorian calendar: years are counted
/// from March, so that the day of a leap year is its last.
fn civil(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (
        year,
        u8::try_from(month).unwrap_or(1),
        u8::try_from(day).unwrap_or(1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (315_532_801, (1980, 1, 1)),
            (1_700_000_000, (2023, 11, 14)),
            (4_107_542_400, (2100, 3, 1)),
        ] {
            assert_eq!(civil(seconds / 86400), date);
        }
        let time = date_time(1_700_000_000);
        assert_eq!((time.hour(), time.minute(), time.second()), (22, 13, 20));
        assert_eq!(date_time(0).year(), 1980);
    }
}
