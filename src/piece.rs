//! One distribution on its way from the plan to the artifact.
//!
//! The plan names a distribution and where it comes from; obtaining it adds its wheel, and with the wheel
//! what it asks of the runtime. Every stage takes pieces and returns pieces, so nothing that the plan knew
//! is lost before the artifact is described.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::code::{Imported, Opened};
use crate::plan::{Form, Item};
use crate::tree::Distribution;
use crate::wheel::Wheel;

/// How a distribution came into the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From a wheel that an index, a URL or a path holds.
    Downloaded,
    /// From a wheel that pip built from source.
    Built,
    /// pip installed it, and does not say from what.
    Installed,
}

/// A distribution: what the plan says of it, and what is known of it since.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Recorded")]
pub struct Piece {
    /// What the plan says.
    #[serde(flatten)]
    pub item: Item,
    /// How it came into the prefix.
    pub origin: Origin,
    /// Its name and version, as the plan and then its own metadata have them; the owner of its files.
    #[serde(skip)]
    pub distribution: Arc<Distribution>,
    /// Its wheel. `None` until it is obtained, and where pip installed the distribution.
    #[serde(skip)]
    pub wheel: Option<Wheel>,
    /// The tags that its wheel names.
    #[serde(skip)]
    pub tags: Vec<String>,
    /// The modules that its files import and that it does not bring.
    #[serde(skip)]
    pub imported: Vec<Imported>,
    /// The libraries that its Python code opens by name.
    #[serde(skip)]
    pub opened: Vec<Opened>,
}

/// What a record of a build holds of a piece.
#[derive(Deserialize)]
struct Recorded {
    #[serde(flatten)]
    item: Item,
    origin: Origin,
}

impl From<Recorded> for Piece {
    fn from(Recorded { item, origin }: Recorded) -> Self {
        Self {
            origin,
            ..Self::new(item)
        }
    }
}

impl Piece {
    /// A distribution of the plan, not obtained yet.
    #[must_use]
    pub fn new(item: Item) -> Self {
        Self {
            distribution: Arc::new(item.distribution()),
            origin: match item.form {
                Form::Wheel => Origin::Downloaded,
                Form::Sdist => Origin::Built,
            },
            item,
            wheel: None,
            tags: Vec::new(),
            imported: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// The distribution with its wheel.
    #[must_use]
    pub fn with(mut self, wheel: Wheel) -> Self {
        self.attach(wheel);
        self
    }

    /// Gives the distribution its wheel.
    pub fn attach(&mut self, wheel: Wheel) {
        let facts = &wheel.facts;
        self.distribution = Arc::new(facts.distribution.clone());
        // A lock file does not say which version the sources have.
        self.item.version.clone_from(&facts.distribution.version);
        self.tags = facts.filename.tags().collect();
        let contents = wheel.archive.contents();
        self.imported.clone_from(&contents.imported);
        self.opened.clone_from(&contents.opened);
        self.item.requires.clone_from(&facts.requires);
        self.item.requires_python.clone_from(&facts.requires_python);
        self.wheel = Some(wheel);
    }

    /// Whether it was built from source, rather than downloaded from an index: by this build, or its wheel was
    /// given by a path or URL and is for `linux_…`, which says nothing of the system that it runs on.
    #[must_use]
    pub fn is_built_here(&self) -> bool {
        let is_given = self.item.direct_url.is_some();
        // Builds give their wheels such tags, and public indexes take none.
        let is_for_here = || self.tags.iter().any(|tag| tag.contains("-linux_"));
        self.origin == Origin::Built || (is_given && is_for_here())
    }
}
