//! What a pip would install that cannot say so: what it downloads, found again on the indexes.

use std::path::Path;

use super::Deciding;
use crate::digest::Digest;
use crate::error::Result;
use crate::pip::{self, Driver};
use crate::plan::{Asked, Item, sort};
use crate::requirements::{Entry, Hash, Location, Name, Requirements};
use crate::resolve::Outcome;
use crate::runner::Session;
use crate::tree::{Node, Tree};
use crate::wheel::Filename;

impl Deciding<'_> {
    /// Has pip download what it would install, and answers from these files' versions and hashes.
    pub(super) fn downloaded(
        &self,
        driver: &Driver<'_>,
        session: &mut dyn Session,
        requirements: &Requirements,
    ) -> Result<Vec<Item>> {
        let cannot = || pip::Error::CannotSay(driver.version().to_owned());
        let Outcome::Decided(index) = &self.index else {
            return Err(cannot().into());
        };
        let folder = driver.download(session, requirements, self.observe)?;
        let pins = Requirements::of(pins(&folder, driver)?);
        let answer = self.pinned(index, &pins, false).answer(self.observe)?;
        let Outcome::Decided(mut items) = answer else {
            return Err(cannot().into());
        };
        let environment = &self.opened.interpreter.markers;
        let no_deps = self.means.rules.no_deps;
        let asked = Asked::new(&self.opened.requirements, no_deps, environment)?;
        for item in &mut items {
            let extras = asked.extras(&item.name);
            item.requested = extras.is_some();
            item.extras = extras.unwrap_or_default();
        }
        sort(&mut items, &asked, self.pip());
        Ok(items)
    }
}

/// The wheels in a folder as pins with hashes.
fn pins(folder: &Tree, driver: &Driver<'_>) -> Result<Vec<Entry>> {
    let cannot = || pip::Error::CannotSay(driver.version().to_owned());
    let at = Location {
        file: Path::new("pip download").into(),
        line: 1,
        column: 1,
    };
    let mut pins = Vec::new();
    for (path, entry) in folder.iter() {
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        let filename = Filename::parse(path.as_str()).map_err(|_| cannot())?;
        let digest = Digest::of(&content.read()?);
        let hashes = Hash::new("sha256", &digest.hex()).into_iter().collect();
        let Filename { name, version, .. } = filename;
        let pin = Entry::pin(&Name::new(&name), &version, hashes, at.clone());
        pins.push(pin.ok_or_else(cannot)?);
    }
    Ok(pins)
}
