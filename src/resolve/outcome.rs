//! What a decider says: what will be installed, or that it cannot tell.

use std::fmt;

/// What a decider says.
///
/// Deciders stand in a row, and the first that decides is right. What is wrong with the question itself is
/// an error instead: no decider behind would answer it better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It decided.
    Decided(T),
    /// It leaves the question to the deciders behind it, and says why.
    Open(Reason),
}

/// Why a decider leaves a question open: a clause that a message can end with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason(String);

impl<T> Outcome<T> {
    /// Leaves the question open.
    pub(crate) fn open(why: impl Into<String>) -> Self {
        Self::Open(Reason(why.into()))
    }

    /// What was decided, if it was.
    pub fn decided(&self) -> Option<&T> {
        match self {
            Self::Decided(decided) => Some(decided),
            Self::Open(_) => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
