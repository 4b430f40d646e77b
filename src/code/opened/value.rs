//! The possible values of an expression, as far as they matter for the names of libraries.

use super::syntax::{Function, Statement};

/// A text that may be a library's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Piece {
    Text(String),
    /// What `find_library` finds for this name.
    Found(String),
    /// A text that cffi's `dlopen` takes: it finds libraries as linkers do.
    Linked(String),
    /// A path of which the last part is known; `*` stands for anything.
    File(String),
}

/// What an expression stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Value<'a> {
    /// The texts that it may be, or contain.
    pub(super) pieces: Vec<Piece>,
    /// Whether it may be anything else.
    pub(super) unknown: bool,
    /// Whether it is true.
    pub(super) truth: Option<bool>,
    pub(super) is_none: bool,
    /// Whether it is a list or the like.
    pub(super) is_many: bool,
    pub(super) what: Option<What<'a>>,
}

/// Something that can be called or has attributes.
#[derive(Debug, Clone)]
pub(super) enum What<'a> {
    /// Of a module that is followed, and the class that it is bound to.
    Function(usize, &'a Function, Option<&'a [Statement]>),
    Class(usize, &'a [Statement]),
    /// A module that is followed.
    Module(usize),
    /// From outside: `ctypes.CDLL`.
    Dotted(String),
}

/// The most texts that one value has.
const MAX_PIECES: usize = 48;
/// The longest text, and the longest dotted name, in bytes.
const MAX_TEXT: usize = 512;
const MAX_DOTTED: usize = 128;

impl Piece {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Found(text) | Self::Linked(text) | Self::File(text) => text,
        }
    }

    /// The file at the end of a path.
    pub(super) fn file(path: &str) -> Self {
        Self::File(path.rsplit('/').next().unwrap_or_default().to_owned())
    }
}

impl<'a> Value<'a> {
    pub(super) fn unknown() -> Self {
        Self {
            unknown: true,
            ..Self::default()
        }
    }

    pub(super) fn none() -> Self {
        Self {
            truth: Some(false),
            is_none: true,
            ..Self::default()
        }
    }

    pub(super) fn truth(truth: Option<bool>) -> Self {
        Self {
            truth,
            unknown: truth.is_none(),
            ..Self::default()
        }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::of([Piece::Text(text.into())])
    }

    pub(super) fn of(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut value = Self::default();
        value.extend(pieces);
        let is_one_text = matches!(&value.pieces[..], [Piece::Text(_)]);
        value.truth = is_one_text.then(|| !value.pieces[0].text().is_empty());
        value
    }

    pub(super) fn what(what: What<'a>) -> Self {
        Self {
            unknown: true,
            what: Some(what),
            ..Self::default()
        }
    }

    pub(super) fn dotted(name: String) -> Self {
        if name.len() > MAX_DOTTED {
            return Self::unknown();
        }
        Self::what(What::Dotted(name))
    }

    pub(super) fn extend(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        for piece in pieces {
            if piece.text().len() > MAX_TEXT || self.pieces.len() >= MAX_PIECES {
                self.unknown = true;
            } else if !self.pieces.contains(&piece) {
                self.pieces.push(piece);
            }
        }
    }

    /// Either of two.
    pub(super) fn or(mut self, other: Self) -> Self {
        // `None` beside something is how "not found" is said.
        if self.is_none && self.pieces.is_empty() {
            let truth = other.truth.filter(|truth| !truth);
            return Self { truth, ..other };
        }
        if other.is_none && other.pieces.is_empty() {
            return Self {
                truth: None,
                ..self
            };
        }
        self.extend(other.pieces);
        self.unknown |= other.unknown;
        self.truth = self.truth.filter(|truth| other.truth == Some(*truth));
        self.is_none &= other.is_none;
        self.is_many |= other.is_many;
        self.what = self.what.or(other.what);
        self
    }

    /// The one text that it is.
    pub(super) fn only_text(&self) -> Option<&str> {
        match &self.pieces[..] {
            [Piece::Text(text)] if !self.unknown && !self.is_many => Some(text),
            _ => None,
        }
    }

    pub(super) fn path(&self) -> &str {
        match &self.what {
            Some(What::Dotted(name)) => name,
            _ => "",
        }
    }

    /// `self + other`, of texts and of lists.
    pub(super) fn plus(self, other: Self) -> Self {
        if self.is_many || other.is_many {
            let mut value = self.or(other);
            value.is_many = true;
            return value;
        }
        if other.pieces.is_empty() && self.pieces.is_empty() {
            return Self::unknown();
        }
        let star = [Piece::File("*".to_owned())];
        let side = |value: &Self| -> Vec<Piece> {
            if value.pieces.is_empty() {
                star.to_vec()
            } else {
                value.pieces.clone()
            }
        };
        let is_open = |value: &Self| value.unknown && !value.pieces.is_empty();
        let mut sum = Self {
            unknown: is_open(&self) || is_open(&other),
            ..Self::default()
        };
        for left in side(&self) {
            for right in side(&other) {
                if sum.pieces.len() >= MAX_PIECES
                    || left.text().len() + right.text().len() > MAX_TEXT
                {
                    return Self::unknown();
                }
                let both = format!("{}{}", left.text(), right.text());
                sum.extend([match (&left, &right) {
                    (Piece::Text(_), Piece::Text(_)) => Piece::Text(both),
                    _ => Piece::file(&both),
                }]);
            }
        }
        sum
    }

    /// The path of `other` below `self`.
    pub(super) fn below(self, other: &Self) -> Self {
        if let (Some(folder), Some(name)) = (self.only_text(), other.only_text()) {
            let name = if name.starts_with('/') {
                name.to_owned()
            } else {
                format!("{}/{name}", folder.trim_end_matches('/'))
            };
            return Self::text(name);
        }
        let unknown = other.pieces.is_empty();
        let mut value = Self::of(other.pieces.iter().map(|piece| match piece {
            Piece::Text(text) if text.starts_with('/') => piece.clone(),
            piece => Piece::file(piece.text()),
        }));
        value.unknown = unknown;
        value.truth = None;
        value
    }
}
