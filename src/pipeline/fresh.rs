//! Builds of which nothing has changed: what they would write is there.

use std::io;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Request;
use crate::audit::Finding;
use crate::bundle::Bundled;
use crate::cache::{Bucket, Cache, Lookup};
use crate::digest::Digest;
use crate::fs;
use crate::install::{Installer, Placed};
use crate::interpreter::Interpreter;
use crate::layout::Layout;
use crate::pack::{Format, Packed};
use crate::runtime::Runtime;
use crate::tree::Distribution;

const WRITTEN: &str = "written.json";
const STATE: &str = "state.json";

/// What a build wrote, and what it said of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) outputs: Vec<Packed>,
    pub(super) distributions: Vec<Distribution>,
    pub(super) files: usize,
    pub(super) native: usize,
    pub(super) size: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) bundled: Vec<Bundled>,
    pub(super) installer: Installer,
}

/// The digest of all that decides what is written, and where; `None` if a folder is, which may have
/// been changed anywhere within, or if libraries of the builder are, of which nobody knows here.
pub(super) fn key(
    request: &Request,
    placed: &[Placed],
    built: &[String],
    interpreter: &Interpreter,
    layout: &Layout,
    runtime: Option<&Runtime>,
) -> Option<Digest> {
    let is_folder = |format| format == Format::Directory;
    if request.bundle_libs {
        return None;
    }
    if request
        .outputs
        .iter()
        .any(|output| is_folder(output.format()))
    {
        return None;
    }
    let wheels: Vec<_> = placed
        .iter()
        .map(|one| (&one.wheel.digest, one.requested, &one.direct_url))
        .collect();
    let outputs: Vec<_> = request
        .outputs
        .iter()
        .map(|output| (request.cwd.join(output.path()), output.format()))
        .collect();
    let text = format!(
        "output 2 {} {wheels:?} {built:?} {layout:?} {:?} {:?} {:?} {} {outputs:?} {:?} {:?} {:?}",
        env!("CARGO_PKG_VERSION"),
        interpreter.markers,
        interpreter.soabi,
        interpreter.interpreters,
        request.compile,
        request.pack.mtime,
        runtime.map(Runtime::digest),
        request.allow,
    );
    Some(Digest::of(text.as_bytes()))
}

impl Written {
    /// What was written before, if all of it is as it was left.
    pub(super) fn known(cache: &Cache, key: &Digest) -> Option<Self> {
        let Lookup::Hit(entry) = cache.lookup(Bucket::Outputs, key) else {
            return None;
        };
        let read = |name| fs::read(&entry.path(name)?).ok();
        let written: Self = serde_json::from_slice(&read(WRITTEN)?).ok()?;
        let stamps: Vec<fs::Stamp> = serde_json::from_slice(&read(STATE)?).ok()?;
        let is_same = |(output, stamp): (&Packed, &fs::Stamp)| {
            fs::Stamp::of(&output.path).is_ok_and(|now| now == *stamp)
        };
        if written.outputs.iter().zip(&stamps).all(is_same) {
            return Some(written);
        }
        cache.evict(Bucket::Outputs, key);
        None
    }

    /// Keeps it for the next time.
    pub(super) fn keep(&self, cache: &Cache, key: &Digest) {
        let kept = cache.insert(Bucket::Outputs, key, |folder| -> io::Result<()> {
            let path = folder.join(WRITTEN);
            fs::write_new(&path, &serde_json::to_vec(self)?).map_err(io::Error::other)?;
            let stamps = self
                .outputs
                .iter()
                .map(|output| fs::Stamp::of(&output.path));
            let stamps = stamps
                .collect::<Result<Vec<_>, _>>()
                .map_err(io::Error::other)?;
            let state = folder.join(STATE);
            // Within the grain of the file system's clock, what is written could change unseen.
            for pause in [0, 5, 20] {
                thread::sleep(Duration::from_millis(pause));
                let _ = fs::remove_file(&state);
                fs::write_new(&state, &serde_json::to_vec(&stamps)?).map_err(io::Error::other)?;
                let now = fs::Stamp::of(&state).map_err(io::Error::other)?;
                if stamps.iter().all(|stamp| stamp.is_past(&now)) {
                    return Ok(());
                }
            }
            Err(io::Error::other("the clock stands still"))
        });
        // It is written again next time.
        drop(kept);
    }
}
