//! The tables of a TOML file, with places for what is wrong in them.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Error, Problem};
use crate::requirements::{Location, excerpt, place_behind, split_lines};

/// A file, for errors in it.
#[derive(Debug, Clone)]
pub(super) struct File<'a> {
    pub(super) name: Arc<Path>,
    pub(super) text: &'a str,
}

impl File<'_> {
    /// The place of a byte.
    pub(super) fn location(&self, at: usize) -> Location {
        let (line, column) = place_behind(self.text.get(..at).unwrap_or(self.text));
        Location {
            file: Arc::clone(&self.name),
            line,
            column,
        }
    }

    pub(super) fn error(&self, at: usize, problem: Problem) -> Error {
        let at = self.location(at);
        let line = split_lines(self.text).nth(at.line - 1).unwrap_or_default();
        Error::Invalid {
            excerpt: excerpt(line, at.column),
            at,
            problem,
        }
    }
}

/// A table of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) file: &'a File<'a>,
    pub(super) keys: &'a DeTable<'a>,
    /// Where it begins.
    pub(super) at: usize,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'a> Table<'a> {
    pub(super) fn error(&self, problem: Problem) -> Error {
        self.file.error(self.at, problem)
    }

    fn shape(&self, key: &str, value: &Value<'_>, form: &'static str) -> Error {
        let problem = Problem::Shape(key.to_owned(), form);
        self.file.error(value.span().start, problem)
    }

    /// A string, and where it begins.
    pub(super) fn string(&self, key: &str) -> Result<Option<(&'a str, usize)>, Error> {
        let Some(value) = self.keys.get(key) else {
            return Ok(None);
        };
        match value.get_ref().as_str() {
            Some(text) => Ok(Some((text, value.span().start))),
            None => Err(self.shape(key, value, "a string")),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, Error> {
        Ok(self.string(key)?.map(|(text, _)| text.to_owned()))
    }

    /// A string that must be there.
    pub(super) fn required(&self, key: &'static str) -> Result<(&'a str, usize), Error> {
        self.string(key)?
            .ok_or_else(|| self.error(Problem::Missing(key)))
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.keys.get(key) else {
            return Ok(None);
        };
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.and_then(|number| u64::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| self.shape(key, value, "a number of bytes"))
    }

    /// The strings of a list, each with its place.
    pub(super) fn strings(&self, key: &str) -> Result<Vec<(&'a str, usize)>, Error> {
        const FORM: &str = "a list of strings";
        let Some(value) = self.keys.get(key) else {
            return Ok(Vec::new());
        };
        let list = value.get_ref().as_array();
        let list = list.ok_or_else(|| self.shape(key, value, FORM))?;
        let string = |value: &'a Value<'a>| match value.get_ref().as_str() {
            Some(text) => Ok((text, value.span().start)),
            None => Err(self.shape(key, value, FORM)),
        };
        list.iter().map(string).collect()
    }

    pub(super) fn table(&self, key: &str) -> Result<Option<Table<'a>>, Error> {
        let Some(value) = self.keys.get(key) else {
            return Ok(None);
        };
        match value.get_ref().as_table() {
            Some(table) => Ok(Some(Table {
                file: self.file,
                keys: table,
                at: value.span().start,
            })),
            None => Err(self.shape(key, value, "a table")),
        }
    }

    pub(super) fn tables(&self, key: &str) -> Result<Vec<Table<'a>>, Error> {
        const FORM: &str = "a list of tables";
        let Some(value) = self.keys.get(key) else {
            return Ok(Vec::new());
        };
        let list = value.get_ref().as_array();
        let list = list.ok_or_else(|| self.shape(key, value, FORM))?;
        let table = |value: &'a Value<'a>| match value.get_ref().as_table() {
            Some(table) => Ok(Table {
                file: self.file,
                keys: table,
                at: value.span().start,
            }),
            None => Err(self.shape(key, value, FORM)),
        };
        list.iter().map(table).collect()
    }
}
