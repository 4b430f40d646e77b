//! `prebuild cache …`.

use std::time::SystemTime;

use anyhow::bail;
use prebuild::cache::{self, Limits};
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};

use crate::args::{Cache, CacheCommand};
use crate::environment::{Environment, Wrong};
use crate::report::Report;
use crate::settings;

pub(crate) fn run(
    args: Cache,
    environment: &Environment,
    report: &Report,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let Cache {
        command,
        folder,
        // The report's.
        messages: _,
    } = args;
    let Some(folder) = &settings::cache_folder(folder, environment) else {
        let why = "there is no HOME to find the cache in: name it with --cache-dir";
        bail!(Wrong(why.to_owned()));
    };
    let observe = |event: &Event<'_>| report.event(event);
    match command {
        CacheCommand::Dir => report.cache_folder(folder)?,
        CacheCommand::Size => report.sizes(&cache::size(folder).map_err(Error::from)?)?,
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
            report.freed(&freed)?;
        }
        CacheCommand::Clean => {
            let freed = cache::clean(folder, &observe, cancel).map_err(Error::from)?;
            report.freed(&freed)?;
        }
        CacheCommand::Verify => {
            let verified = cache::verify(folder, &observe, cancel).map_err(Error::from)?;
            report.verified(&verified)?;
            if !verified.damaged.is_empty() {
                bail!(
                    "{} of {} entries were damaged; they are removed",
                    verified.damaged.len(),
                    verified.entries
                );
            }
        }
    }
    Ok(())
}
