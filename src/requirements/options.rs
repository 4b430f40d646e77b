//! The options of a line, as pip's `optparse` takes them.

use super::text::Char;

/// What a line says besides a requirement: options in their order.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) option: &'static Spec,
    /// The value; empty for options that have none.
    pub(super) value: Vec<Char>,
    /// Where it begins in the line.
    pub(super) at: usize,
}

/// An option of pip's requirements files.
#[derive(Debug)]
pub(super) struct Spec {
    short: Option<char>,
    pub(super) long: &'static [&'static str],
    pub(super) takes_value: bool,
}

impl Spec {
    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        self.long.first().copied().unwrap_or_default()
    }
}

const fn with_value(short: Option<char>, long: &'static [&'static str]) -> Spec {
    Spec {
        short,
        long,
        takes_value: true,
    }
}

const fn switch(long: &'static [&'static str]) -> Spec {
    Spec {
        short: None,
        long,
        takes_value: false,
    }
}

static OPTIONS: [Spec; 19] = [
    with_value(Some('i'), &["--index-url", "--pypi-url"]),
    with_value(None, &["--extra-index-url"]),
    switch(&["--no-index"]),
    with_value(Some('c'), &["--constraint"]),
    with_value(Some('r'), &["--requirement"]),
    with_value(Some('e'), &["--editable"]),
    with_value(Some('f'), &["--find-links"]),
    with_value(None, &["--no-binary"]),
    with_value(None, &["--only-binary"]),
    switch(&["--prefer-binary"]),
    switch(&["--require-hashes"]),
    switch(&["--no-require-hashes"]),
    switch(&["--pre"]),
    with_value(None, &["--all-releases"]),
    with_value(None, &["--only-final"]),
    with_value(None, &["--trusted-host"]),
    with_value(None, &["--use-feature"]),
    with_value(None, &["--hash"]),
    with_value(Some('C'), &["--config-settings"]),
];

/// What is wrong with an option, and at which character of the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) problem: String,
}

/// Parts a line at the first word that begins with `-`: what stands before, and the options.
pub(super) fn split(line: &[Char]) -> (usize, Option<usize>) {
    let starts = std::iter::once(0).chain(
        line.iter()
            .enumerate()
            .filter(|(_, c)| c.c == ' ')
            .map(|(index, _)| index + 1),
    );
    for start in starts {
        if line.get(start).is_some_and(|c| c.c == '-') {
            return (start.saturating_sub(1), Some(start));
        }
    }
    (line.len(), None)
}

/// Reads the options from the character `start` on.
pub(super) fn parse(line: &[Char], start: usize) -> Result<Vec<Given>, Wrong> {
    let mut words = words(line, start)?.into_iter();
    let mut given = Vec::new();
    while let Some(word) = words.next() {
        let text: String = word.chars.iter().map(|c| c.c).collect();
        if text == "--" || text == "-" || !text.starts_with('-') {
            return Err(Wrong {
                at: word.at,
                problem: format!("`{text}` is no option, and nothing but options may stand here"),
            });
        }
        if text.starts_with("--") {
            given.push(long(&word, &text, &mut words)?);
        } else {
            given.push(short(&word, &text, &mut words)?);
        }
    }
    Ok(given)
}

fn long(word: &Word, text: &str, words: &mut impl Iterator<Item = Word>) -> Result<Given, Wrong> {
    let wrong = |problem| Wrong {
        at: word.at,
        problem,
    };
    let (name, attached) = match text.split_once('=') {
        Some((name, _)) => (name, Some(name.chars().count() + 1)),
        None => (text, None),
    };
    let option = find(name).map_err(wrong)?;
    let value = match (option.takes_value, attached) {
        (true, Some(start)) => word.chars[start..].to_vec(),
        (true, None) => match words.next() {
            Some(value) => value.chars,
            None => return Err(wrong(format!("`{}` needs a value", option.name()))),
        },
        (false, Some(_)) => return Err(wrong(format!("`{}` takes no value", option.name()))),
        (false, None) => Vec::new(),
    };
    Ok(Given {
        option,
        value,
        at: word.at,
    })
}

/// `-rfile` and `-r file`. All short options take values, so that there are no clusters.
fn short(word: &Word, text: &str, words: &mut impl Iterator<Item = Word>) -> Result<Given, Wrong> {
    let wrong = |problem| Wrong {
        at: word.at,
        problem,
    };
    let letter = text.chars().nth(1);
    let option = OPTIONS
        .iter()
        .find(|option| option.short.is_some() && option.short == letter)
        .ok_or_else(|| {
            wrong(format!(
                "there is no option `-{}`",
                letter.unwrap_or_default()
            ))
        })?;
    let value = if word.chars.len() > 2 {
        word.chars[2..].to_vec()
    } else {
        match words.next() {
            Some(value) => value.chars,
            None => return Err(wrong(format!("`{}` needs a value", option.name()))),
        }
    };
    Ok(Given {
        option,
        value,
        at: word.at,
    })
}

/// The option of this name, or of which alone this is the beginning.
fn find(name: &str) -> Result<&'static Spec, String> {
    let all = || {
        OPTIONS
            .iter()
            .flat_map(|option| option.long.iter().map(move |long| (*long, option)))
    };
    if let Some((_, option)) = all().find(|(long, _)| *long == name) {
        return Ok(option);
    }
    let possible: Vec<_> = all().filter(|(long, _)| long.starts_with(name)).collect();
    match possible.as_slice() {
        [(_, option)] => Ok(option),
        [] => Err(format!("there is no option `{name}` in requirements files")),
        _ => {
            let names: Vec<_> = possible
                .iter()
                .map(|(long, _)| format!("`{long}`"))
                .collect();
            Err(format!("`{name}` can be {}", names.join(" or ")))
        }
    }
}

struct Word {
    chars: Vec<Char>,
    at: usize,
}

/// Words as a POSIX shell has them: quotes, and backslashes outside single ones.
fn words(line: &[Char], start: usize) -> Result<Vec<Word>, Wrong> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut at = start;
    while at < line.len() {
        let c = line[at];
        if matches!(c.c, ' ' | '\t' | '\r' | '\n') {
            words.extend(word.take());
            at += 1;
            continue;
        }
        let current = word.get_or_insert_with(|| Word {
            chars: Vec::new(),
            at,
        });
        match c.c {
            '\\' => {
                at += 1;
                match line.get(at) {
                    Some(escaped) => current.chars.push(*escaped),
                    None => {
                        return Err(Wrong {
                            at: at - 1,
                            problem: "a backslash with nothing behind it".to_owned(),
                        });
                    }
                }
            }
            quote @ ('\'' | '"') => at = quoted(line, at, quote, &mut current.chars)?,
            _ => current.chars.push(c),
        }
        at += 1;
    }
    words.extend(word);
    Ok(words)
}

/// Reads a quoted part; returns the place of the closing quote.
fn quoted(line: &[Char], open: usize, quote: char, into: &mut Vec<Char>) -> Result<usize, Wrong> {
    let mut at = open + 1;
    while let Some(c) = line.get(at) {
        if c.c == quote {
            return Ok(at);
        }
        let escaped = line
            .get(at + 1)
            .filter(|next| quote == '"' && c.c == '\\' && (next.c == '"' || next.c == '\\'));
        if let Some(next) = escaped {
            into.push(*next);
            at += 1;
        } else {
            into.push(*c);
        }
        at += 1;
    }
    Err(Wrong {
        at: open,
        problem: "this quote is not closed".to_owned(),
    })
}
