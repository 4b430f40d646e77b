//! Zip archives.

use std::fs::File;
use std::io::{self, Cursor, Write};

use rayon::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::Meter;
use crate::tree::{Content, Node, Tree};

/// How many bytes of contents are compressed at a time, if they are in several files.
const BATCH: u64 = 1 << 25;

/// Writes the archive of `tree`; every entry has the time `mtime`, no earlier than 1980.
///
/// Files are compressed on all cores, each into an archive of its own, and copied from there as
/// they are.
pub(super) fn write(tree: &Tree, mtime: u64, out: &mut File, meter: &Meter<'_>) -> io::Result<()> {
    let time = date_time(mtime);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .last_modified_time(time);
    let mut zip = ZipWriter::new(out);
    let mut batch: Vec<(&str, &Content, SimpleFileOptions)> = Vec::new();
    let mut size = 0;
    for (path, entry) in tree.in_archive_order() {
        match &entry.node {
            Node::Dir => zip.add_directory(path.as_str(), options.unix_permissions(0o755))?,
            Node::Symlink { target } => {
                flush(&mut zip, &mut batch, meter)?;
                zip.add_symlink(path.as_str(), target, options.unix_permissions(0o777))?;
            }
            Node::File {
                content,
                executable,
            } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                let large = content.size() >= u64::from(u32::MAX);
                let options = options.unix_permissions(mode).large_file(large);
                batch.push((path.as_str(), content, options));
                size += content.size();
                if size >= BATCH {
                    flush(&mut zip, &mut batch, meter)?;
                    size = 0;
                }
            }
        }
    }
    flush(&mut zip, &mut batch, meter)?;
    zip.finish()?.flush()
}

fn flush(
    zip: &mut ZipWriter<&mut File>,
    batch: &mut Vec<(&str, &Content, SimpleFileOptions)>,
    meter: &Meter<'_>,
) -> io::Result<()> {
    let compressed: Vec<Vec<u8>> = batch
        .par_drain(..)
        .map(|(path, content, options)| {
            let mut one = ZipWriter::new(Cursor::new(Vec::new()));
            one.start_file(path, options)?;
            let mut reader = content.open().map_err(io::Error::other)?;
            io::copy(&mut reader, &mut one)?;
            meter.advance(content.size())?;
            Ok(one.finish()?.into_inner())
        })
        .collect::<io::Result<_>>()?;
    for bytes in compressed {
        let mut one = ZipArchive::new(Cursor::new(bytes))?;
        zip.raw_copy_file(one.by_index(0)?)?;
    }
    Ok(())
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
