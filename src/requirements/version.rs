//! Version specifiers, with `packaging`'s reading and answers.
//!
//! The versions themselves are `pep508_rs`'s; this is the only file that calls it. Its parser of
//! requirements and markers is not used: it drops some markers with no more than a warning
//! (`python_version in '3.8, 3.9'`), refuses `===` with any text, and panics on some input that is
//! not ASCII. What is given to it here was scanned before and is ASCII.
//!
//! <https://packaging.python.org/en/latest/specifications/version-specifiers/>

use std::cmp::Ordering;

use pep508_rs::pep440_rs::Version;

/// Whitespace as Python's `str` and `re` have it.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// One comparison, such as `>=1.2` or `===anything`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Specifier {
    operator: Operator,
    /// The version as it is written, without a wildcard.
    text: String,
    wildcard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Arbitrary,
    Equal,
    NotEqual,
    Compatible,
    AtMost,
    AtLeast,
    Less,
    Greater,
}

const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Arbitrary),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("~=", Operator::Compatible),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Specifier {
    /// The longest specifier at the start of `text`, and its length in bytes.
    pub(super) fn scan(text: &str) -> Option<(Self, usize)> {
        let (sign, operator) = *OPERATORS.iter().find(|(sign, _)| text.starts_with(sign))?;
        let after = &text[sign.len()..];
        let start = text.len() - after.trim_start_matches(is_space).len();
        let rest = &text[start..];
        if operator == Operator::Arbitrary {
            let end = rest
                .find(|c: char| is_space(c) || c == ';' || c == ')')
                .unwrap_or(rest.len());
            let specifier = Self {
                operator,
                text: rest[..end].to_owned(),
                wildcard: false,
            };
            return Some((specifier, start + end));
        }
        let mut scanner = Scanner { rest };
        let wildcard = scanner.version(operator)?;
        let end = rest.len() - scanner.rest.len();
        let specifier = Self {
            operator,
            text: rest[..end].trim_end_matches(".*").to_owned(),
            wildcard,
        };
        Some((specifier, start + end))
    }

    /// The whole of `text` as one specifier.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(is_space);
        match Self::scan(text) {
            Some((specifier, end)) if end == text.len() => Some(specifier),
            _ => None,
        }
    }

    /// Whether the version is one that can be compared; `packaging`'s numbers have no limit.
    pub(super) fn is_comparable(&self) -> bool {
        self.operator == Operator::Arbitrary || version(&self.text).is_some()
    }

    /// Whether `candidate` fits, pre-releases included.
    pub(super) fn contains(&self, candidate: &str) -> bool {
        if self.operator == Operator::Arbitrary {
            return candidate.to_lowercase() == self.text.to_lowercase();
        }
        // What is no version fits nothing, not even `!=`.
        let (Some(candidate), Some(wanted)) = (version(candidate), version(&self.text)) else {
            return false;
        };
        let public = candidate.clone().without_local();
        match self.operator {
            Operator::Arbitrary => false,
            Operator::Equal if self.wildcard => has_prefix(&candidate, &wanted, 0),
            Operator::NotEqual if self.wildcard => !has_prefix(&candidate, &wanted, 0),
            Operator::Equal => equal(&candidate, &wanted),
            Operator::NotEqual => !equal(&candidate, &wanted),
            Operator::Compatible => public >= wanted && has_prefix(&candidate, &wanted, 1),
            Operator::AtMost => public <= wanted,
            Operator::AtLeast => public >= wanted,
            Operator::Less => {
                candidate < wanted
                    && !(candidate.any_prerelease()
                        && !wanted.any_prerelease()
                        && same_base(&candidate, &wanted))
            }
            Operator::Greater => {
                candidate > wanted
                    && !(same_base(&candidate, &wanted)
                        && ((candidate.is_post() && !wanted.is_post())
                            || (candidate.is_local() && public <= wanted)))
            }
        }
    }
}

/// A version, if the text is one and its numbers can be held.
fn version(text: &str) -> Option<Version> {
    let text = text.trim_matches(is_space);
    let mut scanner = Scanner { rest: text };
    scanner.version(Operator::Equal)?;
    if !scanner.rest.is_empty() || text.ends_with(".*") {
        return None;
    }
    text.parse().ok()
}

fn equal(candidate: &Version, wanted: &Version) -> bool {
    if wanted.is_local() {
        candidate == wanted
    } else {
        candidate.clone().without_local() == *wanted
    }
}

/// Whether the release begins with the wanted one less its last `without` numbers; missing numbers
/// are zero.
fn has_prefix(candidate: &Version, wanted: &Version, without: usize) -> bool {
    let prefix = &wanted.release()[..wanted.release().len().saturating_sub(without)];
    let numbers = candidate.release().iter().chain(std::iter::repeat(&0));
    candidate.epoch() == wanted.epoch() && prefix.iter().zip(numbers).all(|(a, b)| a == b)
}

fn same_base(a: &Version, b: &Version) -> bool {
    let length = a.release().len().max(b.release().len());
    let numbers = |version: &Version| -> Vec<u64> {
        version
            .release()
            .iter()
            .copied()
            .chain(std::iter::repeat(0))
            .take(length)
            .collect()
    };
    a.epoch() == b.epoch() && numbers(a).cmp(&numbers(b)) == Ordering::Equal
}

/// Takes a version apart as the grammar of specifiers has it, greedily.
struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    /// Scans a version with what the operator allows behind it; tells whether it ends in `.*`.
    fn version(&mut self, operator: Operator) -> Option<bool> {
        let exact = matches!(operator, Operator::Equal | Operator::NotEqual);
        self.any_of(&["v"]);
        let start = self.rest;
        self.digits()?;
        if self.rest.starts_with('!') {
            self.rest = &self.rest[1..];
            if self.digits().is_none() {
                // The number was the release, and the mark belongs to nobody.
                self.rest = &start[start.find('!')?..];
            }
        }
        let mut numbers = 1;
        while let Some(after) = self.rest.strip_prefix('.')
            && after.starts_with(|c: char| c.is_ascii_digit())
        {
            self.rest = after;
            self.digits();
            numbers += 1;
        }
        if operator == Operator::Compatible && numbers < 2 {
            return None;
        }
        if exact && let Some(after) = self.rest.strip_prefix(".*") {
            self.rest = after;
            return Some(true);
        }
        self.labelled(&["alpha", "beta", "preview", "pre", "a", "b", "c", "rc"]);
        let numbered = self.rest.strip_prefix('-').map(|rest| Scanner { rest });
        match numbered.and_then(|mut numbered| numbered.digits().map(|()| numbered.rest.len())) {
            Some(left) => self.rest = &self.rest[self.rest.len() - left..],
            None => self.labelled(&["post", "rev", "r"]),
        }
        self.labelled(&["dev"]);
        if exact {
            self.local();
        }
        Some(false)
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let found = rest.len() < self.rest.len();
        self.rest = rest;
        found.then_some(())
    }

    fn any_of(&mut self, words: &[&str]) -> bool {
        for word in words {
            if let Some(start) = self.rest.get(..word.len())
                && start.eq_ignore_ascii_case(word)
            {
                self.rest = &self.rest[word.len()..];
                return true;
            }
        }
        false
    }

    fn separator(&mut self) {
        self.rest = self.rest.strip_prefix(['-', '_', '.']).unwrap_or(self.rest);
    }

    /// `[-_.]?WORD[-_.]?[0-9]*`, if it is there.
    fn labelled(&mut self, words: &[&str]) {
        let start = self.rest;
        self.separator();
        if self.any_of(words) {
            self.separator();
            self.digits();
        } else {
            self.rest = start;
        }
    }

    /// `+[a-z0-9]+([-_.][a-z0-9]+)*`, if it is there.
    fn local(&mut self) {
        let part = |text: &str| {
            text.find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(text.len())
        };
        let Some(after) = self.rest.strip_prefix('+').filter(|after| part(after) > 0) else {
            return;
        };
        let mut rest = &after[part(after)..];
        while let Some(next) = rest
            .strip_prefix(['-', '_', '.'])
            .filter(|next| part(next) > 0)
        {
            rest = &next[part(next)..];
        }
        self.rest = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_as_far_as_the_grammar_goes() {
        for (text, length) in [
            (">=1.2,<3", 5),
            ("== 1.*", 6),
            (">=1.*", 3),
            ("~=1", 0),
            ("~=1.2", 5),
            ("===a b", 4),
            ("===", 3),
            ("==1.0+u.1-", 9),
            (">=1.0+u", 5),
            ("==1!2", 5),
            ("==1!", 3),
            ("<V1.0RC-1", 9),
            ("=1", 0),
            ("==1.0-1.dev", 11),
            ("==ü", 0),
            ("==1.0pré", 5),
        ] {
            let end = Specifier::scan(text).map_or(0, |(_, end)| end);
            assert_eq!(end, length, "{text}");
        }
    }

    #[test]
    fn answers_as_packaging_does() {
        for (specifier, candidate, answer) in [
            ("==3.11.*", "3", false),
            ("==3.*", "3.11", true),
            ("!=3.11.*", "3.11.7", false),
            ("~=3.8", "3.11", true),
            ("~=3.8.1", "3.9", false),
            (">3.11", "3.11.0.post1", false),
            (">3.11", "3.11+local", false),
            ("<3.13", "3.13.0rc1", false),
            ("<3.13rc2", "3.13rc1", true),
            ("==3.12", "3.12.0+local", true),
            ("===3.11", "3.11.0", false),
            ("===3.11", "3.11", true),
            ("!=1", "6.1-fc-v769", false),
            (">=3.8", "3.11", true),
            ("==1!3", "3", false),
        ] {
            let specifier = Specifier::parse(specifier).unwrap();
            assert_eq!(
                specifier.contains(candidate),
                answer,
                "{specifier:?} {candidate}"
            );
        }
    }
}
