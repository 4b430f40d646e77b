//! Reading tokens off a text, with the rules of `packaging`'s tokenizer.

/// Why a text could not be parsed, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Syntax {
    /// The byte of the text at which it is wrong.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
}

/// A result of parsing.
pub(super) type Result<T> = std::result::Result<T, Syntax>;

/// A place in a text that moves forward.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Moves on by a number of bytes and returns them.
    pub(super) fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.text[self.at..self.at + length];
        self.at += length;
        taken
    }

    /// Skips spaces and tabs, the only white space between tokens; says whether there was any.
    pub(super) fn skip_blanks(&mut self) -> bool {
        let before = self.at;
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.at > before
    }

    /// Takes `token` if it is next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes `word` if it is next and stands alone.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word)
            && !self.text[..self.at].ends_with(is_word)
            && !self.rest()[word.len()..].starts_with(is_word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes a name: letters, digits, `.`, `_` and `-`, begun by a letter or digit and ended at the
    /// end of a word.
    pub(super) fn identifier(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
            || self.text[..self.at].ends_with(is_word)
        {
            return None;
        }
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
            .unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches(['.', '-']);
        // `naïve`: the word goes on where the name cannot.
        let stops = name.len() < end || !rest[end..].starts_with(is_word);
        stops.then(|| self.take(name.len()))
    }

    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        fail(self.at, message)
    }
}

pub(super) fn fail<T>(at: usize, message: impl Into<String>) -> Result<T> {
    Err(Syntax {
        at,
        message: message.into(),
    })
}

/// What a regular expression of Python calls a word character.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
