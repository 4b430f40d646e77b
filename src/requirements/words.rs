//! The words of a line, and the options among them, as `shlex` and `optparse` read them for pip.

use super::error::{Fault, Problem};
use super::lines::{Line, Part};

/// An option of a requirements file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    IndexUrl,
    ExtraIndexUrl,
    NoIndex,
    Constraint,
    Requirement,
    Editable,
    FindLinks,
    NoBinary,
    OnlyBinary,
    PreferBinary,
    RequireHashes,
    NoRequireHashes,
    Pre,
    AllReleases,
    OnlyFinal,
    TrustedHost,
    UseFeature,
    Hash,
    ConfigSettings,
}

/// The long options.
const LONG: [(&str, Name); 20] = [
    ("--index-url", Name::IndexUrl),
    ("--pypi-url", Name::IndexUrl),
    ("--extra-index-url", Name::ExtraIndexUrl),
    ("--no-index", Name::NoIndex),
    ("--constraint", Name::Constraint),
    ("--requirement", Name::Requirement),
    ("--editable", Name::Editable),
    ("--find-links", Name::FindLinks),
    ("--no-binary", Name::NoBinary),
    ("--only-binary", Name::OnlyBinary),
    ("--prefer-binary", Name::PreferBinary),
    ("--require-hashes", Name::RequireHashes),
    ("--no-require-hashes", Name::NoRequireHashes),
    ("--pre", Name::Pre),
    ("--all-releases", Name::AllReleases),
    ("--only-final", Name::OnlyFinal),
    ("--trusted-host", Name::TrustedHost),
    ("--use-feature", Name::UseFeature),
    ("--hash", Name::Hash),
    ("--config-settings", Name::ConfigSettings),
];

/// The short options; all of them take a value.
const SHORT: [(&str, Name); 6] = [
    ("-i", Name::IndexUrl),
    ("-c", Name::Constraint),
    ("-r", Name::Requirement),
    ("-e", Name::Editable),
    ("-f", Name::FindLinks),
    ("-C", Name::ConfigSettings),
];

impl Name {
    /// The option as one would write it.
    pub(super) fn as_str(self) -> &'static str {
        let found = LONG.iter().find(|(_, name)| *name == self);
        found.map_or("", |(text, _)| text)
    }

    fn takes_value(self) -> bool {
        !matches!(
            self,
            Self::NoIndex
                | Self::PreferBinary
                | Self::RequireHashes
                | Self::NoRequireHashes
                | Self::Pre
        )
    }
}

/// A word of a line, unquoted.
#[derive(Debug, Default)]
pub(super) struct Word {
    text: String,
    /// Where in the line the word begins, and where each byte of `text` is.
    start: usize,
    offsets: Vec<usize>,
}

impl Word {
    fn push(&mut self, c: char, offset: usize) {
        self.text.push(c);
        self.offsets.extend(offset..offset + c.len_utf8());
    }

    pub(super) fn part<'a>(&'a self, line: &'a Line) -> Part<'a> {
        Part::of_word(line, &self.text, self.start, &self.offsets)
    }
}

/// Splits the text of a line from `start` on into words, as `shlex.split` does.
pub(super) fn words(line: &Line, start: usize) -> Result<Vec<Word>, Fault> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = line.text()[start..].char_indices();
    while let Some((index, c)) = chars.next() {
        let at = start + index;
        let begun = || Word {
            start: at,
            ..Word::default()
        };
        match (quote, c) {
            (Some((open, _)), c) if c == open => quote = None,
            (Some(('"', _)) | None, '\\') => {
                let Some((index, escaped)) = chars.next() else {
                    return Err(Fault::new(
                        at,
                        Problem::Quoting("nothing stands behind this `\\`"),
                    ));
                };
                let word = word.get_or_insert_with(begun);
                // Between quotes, a backslash stays unless it stands before one of the two.
                if quote.is_some() && !matches!(escaped, '"' | '\\') {
                    word.push(c, at);
                }
                word.push(escaped, start + index);
            }
            (None, '\'' | '"') => {
                word.get_or_insert_with(begun);
                quote = Some((c, at));
            }
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            _ => word.get_or_insert_with(begun).push(c, at),
        }
    }
    if let Some((_, at)) = quote {
        return Err(Fault::new(
            at,
            Problem::Quoting("this quote is never closed"),
        ));
    }
    words.extend(word);
    Ok(words)
}

/// An option that was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) name: Name,
    /// Where the option stands in the line.
    pub(super) at: usize,
    /// Its value; empty for options without one.
    pub(super) value: Part<'a>,
}

/// The options of a line, and the words that are neither options nor their values, which pip
/// overlooks.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    pub(super) given: Vec<Given<'a>>,
    pub(super) overlooked: Vec<Part<'a>>,
}

/// Finds the options among words, as `optparse` does.
pub(super) fn parse<'a>(line: &'a Line, words: &'a [Word]) -> Result<Options<'a>, Fault> {
    let mut options = Options::default();
    let mut words = words.iter().map(|word| word.part(line));
    while let Some(word) = words.next() {
        if word.text == "--" {
            options.overlooked.extend(words);
            break;
        }
        let Some((name, attached)) = option(word)? else {
            options.overlooked.push(word);
            continue;
        };
        let at = word.offset(0);
        let value = match (name.takes_value(), attached) {
            (true, Some(value)) => value,
            (true, None) => words
                .next()
                .ok_or_else(|| Fault::new(at, Problem::MissingValue(name.as_str())))?,
            (false, None) => word.slice(0..0),
            (false, Some(value)) => {
                let at = value.offset(0);
                return Err(Fault::new(at, Problem::UnexpectedValue(name.as_str())));
            }
        };
        options.given.push(Given { name, at, value });
    }
    Ok(options)
}

/// The option that a word is, and the value in the same word; `None` if it is none.
fn option(word: Part<'_>) -> Result<Option<(Name, Option<Part<'_>>)>, Fault> {
    let text = word.text;
    if text.starts_with("--") {
        let (written, value) = match text.find('=') {
            Some(equals) => (
                word.slice(0..equals),
                Some(word.slice(equals + 1..text.len())),
            ),
            None => (word, None),
        };
        return Ok(Some((long(written)?, value)));
    }
    if !text.starts_with('-') || text.len() == 1 {
        return Ok(None);
    }
    let Some((_, name)) = SHORT.iter().find(|(short, _)| text.starts_with(short)) else {
        let end = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
        let written = word.slice(0..end).to_text().to_string();
        return Err(Fault::new(word.offset(0), Problem::UnknownOption(written)));
    };
    let value = (text.len() > 2).then(|| word.slice(2..text.len()));
    Ok(Some((*name, value)))
}

/// A long option by its name or an abbreviation of it.
fn long(written: Part<'_>) -> Result<Name, Fault> {
    if let Some((_, name)) = LONG.iter().find(|(long, _)| *long == written.text) {
        return Ok(*name);
    }
    let found: Vec<_> = LONG
        .iter()
        .filter(|(long, _)| long.starts_with(written.text))
        .collect();
    let problem = match found[..] {
        [(_, name)] => return Ok(*name),
        [] => Problem::UnknownOption(written.to_text().to_string()),
        _ => {
            let mut names: Vec<_> = found.iter().map(|(long, _)| format!("`{long}`")).collect();
            names.sort();
            Problem::AmbiguousOption(written.to_text().to_string(), names.join(" or "))
        }
    };
    Err(Fault::new(written.offset(0), problem))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::lines::{MAX_LINES, logical_lines};
    use super::*;

    fn with_options<T>(text: &str, then: impl FnOnce(Result<Options<'_>, Fault>) -> T) -> T {
        let lines = logical_lines(text, &BTreeMap::new(), &mut MAX_LINES.clone()).unwrap();
        match words(&lines[0], 0) {
            Ok(words) => then(parse(&lines[0], &words)),
            Err(fault) => then(Err(fault)),
        }
    }

    #[test]
    fn options_are_found_as_optparse_finds_them() {
        for (text, expected) in [
            ("-i x", "--index-url=x"),
            ("-ix", "--index-url=x"),
            ("-i=x", "--index-url==x"),
            ("--index-url=x=y", "--index-url=x=y"),
            ("--pypi-url x", "--index-url=x"),
            ("--ind 'a b'", "--index-url=a b"),
            ("\"-f\"a\\ b", "--find-links=a b"),
            ("-f \"a\\b\\\"\"", "--find-links=a\\b\""),
            ("-r -x", "--requirement=-x"),
            ("--pre x --no-index", "--pre= --no-index="),
            ("--pre -- --no-index", "--pre="),
            ("-e ''", "--editable="),
            ("--use=é", "--use-feature=é"),
        ] {
            let found = with_options(text, |options| {
                let given = options.unwrap().given;
                let told = given
                    .iter()
                    .map(|given| format!("{}={}", given.name.as_str(), given.value.text));
                told.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for (text, at) in [
            ("--pre --nope", 6),
            ("-q", 0),
            ("-é", 0),
            ("--no", 0),
            ("--pre=x", 6),
            ("-f a -i", 5),
            ("--pre 'x", 6),
            ("--pre \"x", 6),
        ] {
            let fault = with_options(&format!("{text}\n"), |options| options.unwrap_err().at);
            assert_eq!(fault, at, "{text}");
        }
    }
}
