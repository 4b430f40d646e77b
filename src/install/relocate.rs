//! Moves files from pip's directories to those that the runtime searches.

use super::Error;
use crate::layout::Layout;
use crate::tree::{Node, RelPath, Tree, UnsafePath};

/// How many links may lead to one another: what Linux allows.
const MAX_LINKS: usize = 40;

/// Where the site folders of a prefix are, and where they go.
///
/// H1 to H3: pip writes to `lib/pythonX.Y/site-packages`, on Debian to
/// `local/lib/pythonX.Y/dist-packages`, on Fedora to `lib64` too; nothing is assumed. A site folder
/// is one that holds a distribution's metadata.
///
/// Headers go where the format has them, whatever the builder is: in a virtual environment pip writes
/// them to `include/site`, where no compiler looks.
pub(super) struct Relocation {
    sites: Vec<(RelPath, RelPath)>,
    local: bool,
}

impl Relocation {
    pub(super) fn new(prefix: &Tree, layout: &Layout) -> Self {
        let mut sites: Vec<(RelPath, RelPath)> = Vec::new();
        for (path, _) in prefix.iter() {
            if !is_metadata(path) {
                continue;
            }
            let Some(site) = path.parent() else {
                continue;
            };
            // Metadata inside a distribution (a vendored one's) makes no site folder.
            if sites
                .iter()
                .any(|(known, _)| *known == site || site.below(known).is_some())
            {
                continue;
            }
            let lib64 = site.as_str().split('/').any(|part| part == "lib64");
            let to = if lib64 {
                &layout.platlib
            } else {
                &layout.purelib
            };
            sites.push((site, to.clone()));
        }
        let local = sites
            .iter()
            .any(|(site, _)| site.as_str().starts_with("local/"));
        Self { sites, local }
    }

    /// Where a path goes; `None` for the folder that Debian puts around everything.
    pub(super) fn of(&self, path: &RelPath) -> Result<Option<RelPath>, UnsafePath> {
        for (site, to) in &self.sites {
            if path == site {
                return Ok(Some(to.clone()));
            }
            if let Some(below) = path.below(site) {
                return to.join(below).map(Some);
            }
        }
        if self.is_above_a_site(path) {
            // It is made again where something is in it.
            return Ok(None);
        }
        if path.as_str() == "include/site" {
            return Ok(None);
        }
        if let Some(below) = path.as_str().strip_prefix("include/site/python") {
            return RelPath::new(&format!("include/python{below}")).map(Some);
        }
        match path.as_str().strip_prefix("local/") {
            Some(below) if self.local => RelPath::new(below).map(Some),
            _ => Ok(Some(path.clone())),
        }
    }

    fn is_above_a_site(&self, path: &RelPath) -> bool {
        self.sites
            .iter()
            .any(|(site, _)| site.below(path).is_some())
    }

    /// Where a path goes that a `RECORD` at `base` lists; `base` is where the record is now.
    ///
    /// Moving keeps what lies beside each other beside each other, so the listed path still leads
    /// there, except between `lib` and `lib64`, where it is looked up in both.
    pub(super) fn listed(&self, base: &RelPath, listed: &str) -> Option<RelPath> {
        let path = resolve(base, listed)?;
        match self.of(&path) {
            Ok(Some(to)) => Some(to),
            _ => Some(path),
        }
    }

    /// What a link must say at its new place: relative, and inside the prefix (H37).
    pub(super) fn link(
        &self,
        from: &RelPath,
        to: &RelPath,
        target: &str,
        roots: &[&str],
    ) -> Result<String, Error> {
        let refuse = |problem| Error::Link {
            path: from.as_str().to_owned(),
            target: target.to_owned(),
            problem,
        };
        let inside = roots
            .iter()
            .find_map(|root| target.strip_prefix(root)?.strip_prefix('/'));
        let aim = match inside {
            Some(inside) => RelPath::new(inside).ok(),
            None if target.starts_with('/') => None,
            None => match from.parent() {
                Some(folder) => resolve(&folder, target),
                None => RelPath::new(target).ok(),
            },
        };
        let aim = aim.ok_or_else(|| refuse("leads out of the prefix"))?;
        // A folder above a site folder is made anew, where it was or without Debian's `local`.
        let aim = match self.of(&aim)? {
            Some(to) => to,
            None => match aim.as_str().strip_prefix("local/") {
                Some(below) if self.local => RelPath::new(below)?,
                _ => aim,
            },
        };
        Ok(match to.parent() {
            Some(folder) => relative(&folder, &aim),
            None => aim.as_str().to_owned(),
        })
    }
}

/// Whether a path is a distribution's metadata: of a wheel, or of installers before wheels.
pub(super) fn is_metadata(path: &RelPath) -> bool {
    let name = path.name();
    [".dist-info", ".egg-info"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Refuses links that lead in a circle.
pub(super) fn refuse_loops(tree: &Tree) -> Result<(), Error> {
    for (path, entry) in tree.iter() {
        let mut node = &entry.node;
        let mut at = path.clone();
        let mut steps = 0;
        while let Node::Symlink { target } = node {
            steps += 1;
            if steps > MAX_LINKS {
                let Node::Symlink { target } = &entry.node else {
                    break;
                };
                return Err(Error::Link {
                    path: path.as_str().to_owned(),
                    target: target.clone(),
                    problem: "leads in a circle",
                });
            }
            let aim = match at.parent() {
                Some(folder) => resolve(&folder, target),
                None => RelPath::new(target).ok(),
            };
            match aim.and_then(|aim| Some((tree.get(&aim)?, aim))) {
                Some((next, aim)) => {
                    node = &next.node;
                    at = aim;
                }
                None => break,
            }
        }
    }
    Ok(())
}

/// The path that `target` means in `folder`; `None` if it leads out of the prefix or to its root.
pub(super) fn resolve(folder: &RelPath, target: &str) -> Option<RelPath> {
    let mut parts: Vec<&str> = folder.as_str().split('/').collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    RelPath::new(&parts.join("/")).ok()
}

/// How to get from the folder `from` to `to`.
pub(crate) fn relative(from: &RelPath, to: &RelPath) -> String {
    if let Some(below) = to.below(from) {
        return below.to_owned();
    }
    let from: Vec<&str> = from.as_str().split('/').collect();
    let to: Vec<&str> = to.as_str().split('/').collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - shared);
    up.chain(to[shared..].iter().copied())
        .collect::<Vec<_>>()
        .join("/")
}
