//! `prebuild cache …`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use indicatif::HumanBytes;
use prebuild::cache::{self, Freed, Limits, Sizes, Verified};
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};

use crate::args::{Cache, CacheCommand, Format};
use crate::environment::{Environment, Wrong};
use crate::places;
use crate::printer::{Printer, print_json, print_lines};

pub(crate) fn run(
    args: Cache,
    environment: &Environment,
    printer: &Printer,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    let Cache {
        command,
        folder,
        // The printer's.
        messages: _,
    } = args;
    let Some(folder) = &places::cache_directory(folder, environment) else {
        let why = "HOME is not set: name the cache with --cache-dir";
        bail!(Wrong(why.to_owned()));
    };
    let observe = |event: &Event<'_>| printer.event(event);
    match command {
        CacheCommand::Dir => print_directory(printer, folder)?,
        CacheCommand::Size => print_sizes(printer, &cache::size(folder).map_err(Error::from)?)?,
        CacheCommand::Prune {
            max_size,
            older_than,
        } => {
            let limits = Limits {
                max_size: max_size.map(|size| size.as_u64()),
                // Nothing is older than what no clock can say.
                used_since: older_than.and_then(|time| SystemTime::now().checked_sub(time)),
            };
            let freed = cache::prune(folder, &limits, &observe, cancel).map_err(Error::from)?;
            print_freed(printer, &freed)?;
        }
        CacheCommand::Clean => {
            let freed = cache::clean(folder, &observe, cancel).map_err(Error::from)?;
            print_freed(printer, &freed)?;
        }
        CacheCommand::Verify => {
            let verified = cache::verify(folder, &observe, cancel).map_err(Error::from)?;
            print_verified(printer, &verified)?;
            if !verified.damaged.is_empty() {
                bail!(
                    "{} of {} entries were damaged; prebuild removed them",
                    verified.damaged.len(),
                    verified.entries
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the cache directory.
fn print_directory(printer: &Printer, folder: &Path) -> io::Result<()> {
    match printer.format {
        Format::Json => print_json(&serde_json::json!({ "version": 1, "folder": folder })),
        _ => print_lines([folder.display().to_string()]),
    }
}

/// Prints the size of each part of the cache.
fn print_sizes(printer: &Printer, sizes: &Sizes) -> io::Result<()> {
    if printer.format == Format::Json {
        return print_json(sizes);
    }
    let line = |name: &str, entries: String, bytes: u64| {
        format!(
            "{name:<16} {entries:>6} {:>12}",
            HumanBytes(bytes).to_string()
        )
    };
    let parts = &sizes.buckets;
    let in_all: usize = parts.iter().map(|part| part.entries).sum();
    let buckets = parts
        .iter()
        .map(|part| line(part.bucket.name(), part.entries.to_string(), part.bytes));
    print_lines(buckets.chain([
        line("leftovers", String::new(), sizes.leftovers),
        line("total", in_all.to_string(), sizes.bytes),
    ]))
}

/// Prints how many entries were removed.
fn print_freed(printer: &Printer, freed: &Freed) -> io::Result<()> {
    match printer.format {
        Format::Json => print_json(freed),
        _ => print_lines([format!(
            "removed {} entries, {}",
            freed.entries,
            HumanBytes(freed.bytes)
        )]),
    }
}

/// Prints the damaged entries.
fn print_verified(printer: &Printer, verified: &Verified) -> io::Result<()> {
    if printer.format == Format::Json {
        return print_json(verified);
    }
    printer.stage("verified", &format!("{} entries", verified.entries));
    let damaged = verified.damaged.iter();
    print_lines(damaged.map(|one| format!("{} {}: {}", one.bucket, one.key, one.reason)))
}
