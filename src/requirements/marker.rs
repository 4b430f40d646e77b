//! Environment markers: read and answered as `packaging` does it.
//!
//! <https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers>

use super::syntax::{Cursor, Unexpected};
use super::version::{Specifier, is_space};
use crate::target::MarkerEnvironment;

/// How deep parentheses may lie in one another.
const MAX_DEPTH: usize = 100;

/// A condition on the environment, such as `python_version < "3.12"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    text: String,
    groups: Groups,
}

/// Groups joined by `or`, each of terms joined by `and`.
type Groups = Vec<Vec<Term>>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Compare(Operand, String, Operand),
    Nested(Groups),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Variable(&'static str),
    Value(String),
}

/// The names that markers may use, as they are written, and what they mean.
const VARIABLES: [(&str, &str); 20] = [
    ("python_version", "python_version"),
    ("python_full_version", "python_full_version"),
    ("os_name", "os_name"),
    ("os.name", "os_name"),
    ("sys_platform", "sys_platform"),
    ("sys.platform", "sys_platform"),
    ("platform_release", "platform_release"),
    ("platform_system", "platform_system"),
    ("platform_version", "platform_version"),
    ("platform.version", "platform_version"),
    ("platform_machine", "platform_machine"),
    ("platform.machine", "platform_machine"),
    ("platform_python_implementation", PYTHON_IMPLEMENTATION),
    ("platform.python_implementation", PYTHON_IMPLEMENTATION),
    ("python_implementation", PYTHON_IMPLEMENTATION),
    ("implementation_name", "implementation_name"),
    ("implementation_version", "implementation_version"),
    ("extras", "extras"),
    ("extra", "extra"),
    ("dependency_groups", "dependency_groups"),
];
const PYTHON_IMPLEMENTATION: &str = "platform_python_implementation";

/// Those whose values are compared as versions where both sides are some.
const VERSIONS: [&str; 4] = [
    "implementation_version",
    "platform_release",
    "python_full_version",
    "python_version",
];

impl Marker {
    /// Reads the whole of `text`.
    pub(super) fn parse(text: &str) -> Result<Self, Unexpected> {
        let mut cursor = Cursor::new(text);
        let groups = groups(&mut cursor, 0)?;
        cursor.end("the end of the marker, `and` or `or`")?;
        let marker = Self {
            text: text.trim_matches(is_space).to_owned(),
            groups,
        };
        marker
            .check()
            .map_err(|problem| Unexpected { at: 0, problem })?;
        Ok(marker)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds in an environment in which no extra is asked for.
    #[must_use]
    pub fn evaluate(&self, environment: &MarkerEnvironment) -> bool {
        any(&self.groups, environment)
    }

    /// Refuses what `packaging` can read but not answer: it would fail at this when pip runs.
    fn check(&self) -> Result<(), String> {
        fn check(groups: &Groups) -> Result<(), String> {
            for term in groups.iter().flatten() {
                match term {
                    Term::Nested(groups) => check(groups)?,
                    Term::Compare(left, operator, right) => compare_check(left, operator, right)?,
                }
            }
            Ok(())
        }
        check(&self.groups)
    }
}

impl serde::Serialize for Marker {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Which variable a comparison is about: the left side, or, where that is a value, the right side,
/// even if that is a value too (it is then looked up by its text).
fn key<'a>(left: &'a Operand, right: &'a Operand) -> &'a str {
    match (left, right) {
        (Operand::Variable(name), _) | (Operand::Value(_), Operand::Variable(name)) => name,
        (Operand::Value(_), Operand::Value(text)) => text,
    }
}

fn compare_check(left: &Operand, operator: &str, right: &Operand) -> Result<(), String> {
    let key = key(left, right);
    if key != "extra" && !VARIABLES.iter().any(|(_, name)| *name == key) {
        return Err(format!("a marker compares a variable, and `{key}` is none"));
    }
    if key == "extras" || key == "dependency_groups" {
        return Err(format!("`{key}` has a meaning in lock files only"));
    }
    let versions = VERSIONS.contains(&key);
    match operator {
        // Without versions on both sides these two have no meaning.
        "~=" | "===" if !versions => Err(format!("`{operator}` cannot compare `{key}`")),
        "~=" => match (left, right) {
            (Operand::Variable(_), Operand::Value(text))
                if Specifier::parse(&format!("~={text}")).is_none() =>
            {
                Err(format!("`~=` needs a version with a dot, got `{text}`"))
            }
            (Operand::Variable(_), Operand::Variable(name)) => {
                Err(format!("`~=` needs a version with a dot, got `{name}`"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn any(groups: &Groups, environment: &MarkerEnvironment) -> bool {
    groups
        .iter()
        .any(|terms| terms.iter().all(|term| holds(term, environment)))
}

fn holds(term: &Term, environment: &MarkerEnvironment) -> bool {
    let (left, operator, right) = match term {
        Term::Nested(groups) => return any(groups, environment),
        Term::Compare(left, operator, right) => (left, operator.as_str(), right),
    };
    let key = key(left, right);
    let (left, right) = match (left, right) {
        // A variable on the right of another is taken by its name.
        (Operand::Variable(_), Operand::Variable(name)) => {
            (value(key, environment), (*name).to_owned())
        }
        (Operand::Variable(_), Operand::Value(text)) => (value(key, environment), text.clone()),
        (Operand::Value(text), _) => (text.clone(), value(key, environment)),
    };
    let (left, right) = if key == "extra" {
        (super::normalise(&left), super::normalise(&right))
    } else {
        (left, right)
    };
    if VERSIONS.contains(&key)
        && let Some(specifier) = Specifier::parse(&format!("{operator}{right}"))
    {
        return specifier.contains(&left);
    }
    match operator {
        "in" => right.contains(&left),
        "not in" => !right.contains(&left),
        "==" | "<=" | ">=" => left == right,
        "!=" => left != right,
        // `<` and `>` order nothing but versions.
        _ => false,
    }
}

fn value(key: &str, environment: &MarkerEnvironment) -> String {
    let value = match key {
        "implementation_name" => &environment.implementation_name,
        "implementation_version" => &environment.implementation_version,
        "os_name" => &environment.os_name,
        "platform_machine" => &environment.platform_machine,
        PYTHON_IMPLEMENTATION => &environment.platform_python_implementation,
        "platform_release" => &environment.platform_release,
        "platform_system" => &environment.platform_system,
        "platform_version" => &environment.platform_version,
        "python_version" => &environment.python_version,
        "sys_platform" => &environment.sys_platform,
        "python_full_version" => {
            let version = &environment.python_full_version;
            // Python built from no tag says `3.12.0+`, which is no version.
            let local = if version.ends_with('+') { "local" } else { "" };
            return format!("{version}{local}");
        }
        // `extra`: none is asked for.
        _ => return String::new(),
    };
    value.clone()
}

/// `marker = marker_atom (("and" | "or") marker_atom)*`
fn groups(cursor: &mut Cursor<'_>, depth: usize) -> Result<Groups, Unexpected> {
    let mut groups = vec![vec![term(cursor, depth)?]];
    loop {
        if cursor.word("or") {
            groups.push(vec![term(cursor, depth)?]);
        } else if cursor.word("and") {
            let next = term(cursor, depth)?;
            if let Some(group) = groups.last_mut() {
                group.push(next);
            }
        } else {
            return Ok(groups);
        }
    }
}

fn term(cursor: &mut Cursor<'_>, depth: usize) -> Result<Term, Unexpected> {
    cursor.blanks();
    let term = if cursor.take("(") {
        if depth == MAX_DEPTH {
            return Err(cursor.unexpected("parentheses at most 100 deep"));
        }
        cursor.blanks();
        let groups = groups(cursor, depth + 1)?;
        cursor.blanks();
        if !cursor.take(")") {
            return Err(cursor.unexpected("`)`, `and` or `or`"));
        }
        Term::Nested(groups)
    } else {
        let left = operand(cursor)?;
        cursor.blanks();
        let operator = operator(cursor)?;
        cursor.blanks();
        Term::Compare(left, operator, operand(cursor)?)
    };
    cursor.blanks();
    Ok(term)
}

fn operand(cursor: &mut Cursor<'_>) -> Result<Operand, Unexpected> {
    for (written, name) in VARIABLES {
        if cursor.word(written) {
            return Ok(Operand::Variable(name));
        }
    }
    let start = cursor.position();
    match cursor.quoted() {
        Some(text) => literal(text)
            .map(Operand::Value)
            .map_err(|problem| Unexpected { at: start, problem }),
        None => Err(cursor.unexpected("a marker variable or a quoted string")),
    }
}

fn operator(cursor: &mut Cursor<'_>) -> Result<String, Unexpected> {
    if cursor.word("in") {
        return Ok("in".to_owned());
    }
    if cursor.word("not") {
        if !cursor.blanks() {
            return Err(cursor.unexpected("white space after `not`"));
        }
        if !cursor.word("in") {
            return Err(cursor.unexpected("`in` after `not`"));
        }
        return Ok("not in".to_owned());
    }
    for sign in ["===", "==", "~=", "!=", "<=", ">=", "<", ">"] {
        if cursor.take(sign) {
            return Ok(sign.to_owned());
        }
    }
    Err(cursor.unexpected(
        "an operator, one of `<=`, `<`, `!=`, `==`, `>=`, `>`, `~=`, `===`, `in`, `not in`",
    ))
}

/// What Python makes of a string literal's inside.
fn literal(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\0' || c == '\r' || c == '\n' {
            return Err("a quoted string cannot hold this character".to_owned());
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        let number = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>, digits: usize| {
            let hex: String = rest.by_ref().take(digits).collect();
            (hex.len() == digits && hex.chars().all(|c| c.is_ascii_hexdigit()))
                .then(|| u32::from_str_radix(&hex, 16).ok())
                .flatten()
                .and_then(char::from_u32)
                .ok_or_else(|| "the escape names no character".to_owned())
        };
        let plain = match rest.next() {
            None => return Err("the quoted string ends in a backslash".to_owned()),
            Some('\\') => '\\',
            Some('\'') => '\'',
            Some('"') => '"',
            Some('a') => '\x07',
            Some('b') => '\x08',
            Some('f') => '\x0c',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\x0b',
            Some('x') => number(&mut rest, 2)?,
            Some('u') => number(&mut rest, 4)?,
            Some('U') => number(&mut rest, 8)?,
            Some('N') => return Err("characters by name (`\\N`) are not read".to_owned()),
            Some(digit @ '0'..='7') => {
                let mut number = digit.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    number = number * 8 + digit;
                    rest.next();
                }
                char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some(other) => {
                value.push('\\');
                other
            }
        };
        value.push(plain);
    }
    Ok(value)
}
