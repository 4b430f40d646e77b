//! Environment markers, parsed and evaluated as `packaging` does.
//!
//! The grammar and the meaning are those of the [dependency specifiers](
//! https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers);
//! where the specification is silent, pip's copy of `packaging` 26.3 is followed to the letter.
//! [Lock files](https://packaging.python.org/en/latest/specifications/pylock-toml/) have variables
//! of their own, which are sets of names: see [`LockMarker`].

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::scan::{Result, Scanner, Syntax, fail};
use super::specifier::{Name, Specifier};
use super::text::Text;
use crate::target::MarkerEnvironment;

/// How deep parentheses may be nested. Python gives up in the same region.
const MAX_DEPTH: usize = 400;

/// A marker: a condition on the interpreter that something will be installed for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Marker {
    text: Text,
    expression: Expression,
}

/// A marker of a [lock file](https://packaging.python.org/en/latest/specifications/pylock-toml/): a
/// condition on the interpreter, and on the extras and dependency groups that are asked for
/// (`'cli' in extras`, `'dev' not in dependency_groups`).
///
/// `'cli' == extras`, which `packaging` takes and never finds true, is refused.
///
/// ```
/// use prebuild::requirements::LockMarker;
///
/// let marker: LockMarker = "'cli' in extras and python_version >= '3.10'".parse()?;
/// assert_eq!(marker.to_string(), "'cli' in extras and python_version >= '3.10'");
///
/// let error = "extras == 'cli'".parse::<LockMarker>().unwrap_err();
/// assert_eq!((error.at, &*error.message), (0, "`extras` is a set: write `'name' in extras`"));
/// # Ok::<(), prebuild::requirements::Syntax>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockMarker {
    text: Box<str>,
    expression: Expression,
}

/// Where a marker stands, which decides what variables it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Requirement,
    LockFile,
}

/// What the variables stand for that no interpreter knows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    /// In a requirement: `extra`, empty if none is asked for.
    Extra(&'a str),
    /// In a lock file: `extras` and `dependency_groups`.
    Sets {
        extras: &'a BTreeSet<Name>,
        groups: &'a BTreeSet<Name>,
    },
}

impl<'a> Asked<'a> {
    /// What `extra` stands for.
    fn extra(self) -> &'a str {
        match self {
            Self::Extra(extra) => extra,
            Self::Sets { .. } => "",
        }
    }

    /// What a variable stands for that is a set.
    fn set(self, name: &str) -> Option<&'a BTreeSet<Name>> {
        match (self, name) {
            (Self::Sets { extras, .. }, "extras") => Some(extras),
            (Self::Sets { groups, .. }, "dependency_groups") => Some(groups),
            _ => None,
        }
    }
}

/// Groups, one of which must hold; a group holds if all of it holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Expression(Vec<Vec<Node>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    Nested(Expression),
    Comparison(Operand, &'static str, Operand),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Operand {
    Variable(&'static str),
    Literal(Box<str>),
}

impl Operand {
    /// A variable's name or a literal's text: `packaging` takes the one for the other in places.
    fn value(&self) -> &str {
        match self {
            Self::Variable(name) => name,
            Self::Literal(text) => text,
        }
    }
}

/// A comparison that has no answer, such as `~=` with what the interpreter says is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{operator}` cannot compare `{left}` with `{right}`")]
pub struct Undefined {
    left: String,
    operator: &'static str,
    right: String,
}

impl Marker {
    pub(super) fn new(text: Text, expression: Expression) -> Self {
        Self { text, expression }
    }

    /// The marker that holds where all of these hold; `None` of none.
    pub(super) fn all(markers: Vec<Self>) -> Option<Self> {
        if markers.len() < 2 {
            return markers.into_iter().next();
        }
        let join = |part: fn(&Text) -> &str| {
            let parts = markers.iter().map(|one| format!("({})", part(&one.text)));
            parts.collect::<Vec<_>>().join(" and ")
        };
        let text = Text::new(&join(Text::written), &join(Text::expanded));
        let nodes = markers.into_iter().map(|one| Node::Nested(one.expression));
        Some(Self::new(text, Expression(vec![nodes.collect()])))
    }

    /// The marker as it was written.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Whether the marker holds for an interpreter, when one of `extras` is asked for (none: when
    /// no extra is).
    pub fn evaluate(
        &self,
        environment: &MarkerEnvironment,
        extras: &[Name],
    ) -> std::result::Result<bool, Undefined> {
        if extras.is_empty() {
            return self.expression.evaluate(environment, Asked::Extra(""));
        }
        let mut holds = false;
        for extra in extras {
            let asked = Asked::Extra(extra.as_str());
            holds |= self.expression.evaluate(environment, asked)?;
        }
        Ok(holds)
    }
}

impl LockMarker {
    /// Whether the marker holds for an interpreter, when these extras and groups are asked for.
    pub fn evaluate(
        &self,
        environment: &MarkerEnvironment,
        extras: &BTreeSet<Name>,
        groups: &BTreeSet<Name>,
    ) -> std::result::Result<bool, Undefined> {
        let asked = Asked::Sets { extras, groups };
        self.expression.evaluate(environment, asked)
    }
}

impl FromStr for LockMarker {
    type Err = Syntax;

    fn from_str(text: &str) -> Result<Self> {
        Ok(Self {
            text: text.into(),
            expression: parse_whole(text, Scope::LockFile)?,
        })
    }
}

/// As it was written.
impl fmt::Display for LockMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.text, f)
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Marker {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl Expression {
    pub(super) fn evaluate(
        &self,
        environment: &MarkerEnvironment,
        asked: Asked<'_>,
    ) -> std::result::Result<bool, Undefined> {
        let mut any = false;
        for group in &self.0 {
            let mut all = true;
            // Every comparison is made, whatever the others say: one that has no answer is found
            // whichever interpreter is asked.
            for node in group {
                all &= match node {
                    Node::Nested(expression) => expression.evaluate(environment, asked)?,
                    Node::Comparison(left, operator, right) => {
                        compare(left, operator, right, environment, asked)?
                    }
                };
            }
            any |= all;
        }
        Ok(any)
    }
}

fn compare(
    left: &Operand,
    operator: &'static str,
    right: &Operand,
    environment: &MarkerEnvironment,
    asked: Asked<'_>,
) -> std::result::Result<bool, Undefined> {
    // That the operator is `in` or `not in`, and the set on its right, was made sure of before.
    if let Some(set) = asked.set(right.value())
        && let Operand::Literal(name) = left
    {
        return Ok(set.contains(&Name::new(name)) == (operator == "in"));
    }
    // `packaging` looks only one side up: the left if it is a variable, else the right.
    let full_version = full_version(environment);
    let look_up =
        |name: &str| lookup(environment, &full_version, asked.extra(), name).unwrap_or_default();
    let (key, left, right) = match left {
        Operand::Variable(name) => (*name, look_up(name), right.value()),
        Operand::Literal(text) => (right.value(), &**text, look_up(right.value())),
    };
    if is_version(key)
        && let Some(specifier) = Specifier::parse(&format!("{operator}{right}"))
    {
        return Ok(specifier.admits(left));
    }
    match operator {
        "in" => Ok(right.contains(left)),
        "not in" => Ok(!right.contains(left)),
        "==" | "<=" | ">=" => Ok(left == right),
        "!=" => Ok(left != right),
        "<" | ">" => Ok(false),
        _ => Err(Undefined {
            left: left.to_owned(),
            operator,
            right: right.to_owned(),
        }),
    }
}

/// The variables that are compared as versions, if the other side is one.
fn is_version(name: &str) -> bool {
    matches!(
        name,
        "implementation_version" | "platform_release" | "python_full_version" | "python_version"
    )
}

/// `python_full_version`; an interpreter built from a checkout says `3.13.0+`, which is no version.
fn full_version(environment: &MarkerEnvironment) -> String {
    let version = &environment.python_full_version;
    if version.ends_with('+') {
        format!("{version}local")
    } else {
        version.clone()
    }
}

fn lookup<'a>(
    environment: &'a MarkerEnvironment,
    full_version: &'a str,
    extra: &'a str,
    name: &str,
) -> Option<&'a str> {
    Some(match name {
        "implementation_name" => &environment.implementation_name,
        "implementation_version" => &environment.implementation_version,
        "os_name" => &environment.os_name,
        "platform_machine" => &environment.platform_machine,
        "platform_python_implementation" => &environment.platform_python_implementation,
        "platform_release" => &environment.platform_release,
        "platform_system" => &environment.platform_system,
        "platform_version" => &environment.platform_version,
        "python_full_version" => full_version,
        "python_version" => &environment.python_version,
        "sys_platform" => &environment.sys_platform,
        "extra" => extra,
        _ => return None,
    })
}

/// The variables that are sets of names.
fn is_set(name: &str) -> bool {
    matches!(name, "extras" | "dependency_groups")
}

/// Whether a variable has a value: `extra` only where something is installed, those that are sets
/// only in lock files.
fn is_known(name: &str, scope: Scope) -> bool {
    match name {
        "implementation_name"
        | "os_name"
        | "platform_machine"
        | "platform_python_implementation"
        | "platform_system"
        | "platform_version"
        | "sys_platform" => true,
        "extra" => scope == Scope::Requirement,
        name => is_version(name) || (is_set(name) && scope == Scope::LockFile),
    }
}

/// Parses the whole marker of a requirement.
pub(super) fn expression(text: &str) -> Result<Expression> {
    parse_whole(text, Scope::Requirement)
}

fn parse_whole(text: &str, scope: Scope) -> Result<Expression> {
    let scanner = &mut Scanner::new(text);
    let expression = parse_any(scanner, scope, 0)?;
    if scanner.is_at_end() {
        Ok(expression)
    } else {
        scanner.fail("expected `and`, `or` or the end of the marker")
    }
}

fn parse_any(scanner: &mut Scanner<'_>, scope: Scope, depth: usize) -> Result<Expression> {
    let mut groups = vec![vec![parse_atom(scanner, scope, depth)?]];
    loop {
        if scanner.eat_word("or") {
            groups.push(vec![parse_atom(scanner, scope, depth)?]);
        } else if scanner.eat_word("and") {
            let node = parse_atom(scanner, scope, depth)?;
            if let Some(group) = groups.last_mut() {
                group.push(node);
            }
        } else {
            return Ok(Expression(groups));
        }
    }
}

fn parse_atom(scanner: &mut Scanner<'_>, scope: Scope, depth: usize) -> Result<Node> {
    scanner.skip_blanks();
    let open = scanner.at();
    let node = if scanner.eat("(") {
        if depth == MAX_DEPTH {
            return fail(open, "too many parentheses within one another");
        }
        let nested = parse_any(scanner, scope, depth + 1)?;
        if !scanner.eat(")") {
            return if scanner.is_at_end() {
                fail(open, "this `(` is never closed")
            } else {
                scanner.fail("expected `and`, `or` or `)`")
            };
        }
        Node::Nested(nested)
    } else {
        parse_comparison(scanner, scope)?
    };
    scanner.skip_blanks();
    Ok(node)
}

fn parse_comparison(scanner: &mut Scanner<'_>, scope: Scope) -> Result<Node> {
    let start = scanner.at();
    let left = parse_operand(scanner)?;
    scanner.skip_blanks();
    let at = scanner.at();
    let operator = parse_operator(scanner)?;
    scanner.skip_blanks();
    let right_at = scanner.at();
    let right = parse_operand(scanner)?;
    let (left, right) = normalize_extra(left, right);
    let (key, key_at) = match &left {
        Operand::Variable(name) => (*name, start),
        Operand::Literal(_) => (right.value(), right_at),
    };
    if !is_known(key, scope) {
        let message = match (&left, &right, scope) {
            (Operand::Literal(_), Operand::Literal(_), _) => {
                "one side must be a variable, such as `python_version`".to_owned()
            }
            (.., Scope::Requirement) => format!("`{key}` has no value outside of lock files"),
            (.., Scope::LockFile) => format!("`{key}` has no value in lock files"),
        };
        return fail(key_at, message);
    }
    if is_set(key) {
        let message = || format!("`{key}` is a set: write `'name' in {key}`");
        return match (&left, operator) {
            (Operand::Literal(_), "in" | "not in") => Ok(Node::Comparison(left, operator, right)),
            (Operand::Literal(_), _) => fail(at, message()),
            (Operand::Variable(_), _) => fail(key_at, message()),
        };
    }
    if matches!(operator, "~=" | "===") && !may_be_version(key, &left, operator, &right) {
        return fail(at, format!("`{operator}` can only compare versions"));
    }
    Ok(Node::Comparison(left, operator, right))
}

/// Whether a comparison by `~=` or `===` can have an answer. A literal on the left is compared with
/// what the interpreter says, which is not known yet.
fn may_be_version(key: &str, left: &Operand, operator: &str, right: &Operand) -> bool {
    is_version(key)
        && (matches!(left, Operand::Literal(_))
            || Specifier::parse(&format!("{operator}{}", right.value())).is_some())
}

/// Extras are compared in their normal form.
fn normalize_extra(left: Operand, right: Operand) -> (Operand, Operand) {
    let normal = |text: &str| Operand::Literal(Name::new(text).as_str().into());
    match (left, right) {
        (Operand::Variable("extra"), Operand::Literal(text)) => {
            (Operand::Variable("extra"), normal(&text))
        }
        (Operand::Literal(text), Operand::Variable("extra")) => {
            (normal(&text), Operand::Variable("extra"))
        }
        other => other,
    }
}

fn parse_operator(scanner: &mut Scanner<'_>) -> Result<&'static str> {
    if scanner.eat_word("in") {
        return Ok("in");
    }
    if scanner.eat_word("not") {
        return if scanner.skip_blanks() && scanner.eat_word("in") {
            Ok("not in")
        } else {
            scanner.fail("expected `in` behind `not`")
        };
    }
    for operator in ["===", "==", "~=", "!=", "<=", ">=", "<", ">"] {
        if scanner.eat(operator) {
            return Ok(operator);
        }
    }
    scanner.fail("expected one of `<`, `<=`, `!=`, `==`, `>=`, `>`, `~=`, `===`, `in`, `not in`")
}

/// The variables, by what may be written for them.
const VARIABLES: [(&str, &str); 19] = [
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
    (
        "platform_python_implementation",
        "platform_python_implementation",
    ),
    (
        "platform.python_implementation",
        "platform_python_implementation",
    ),
    ("python_implementation", "platform_python_implementation"),
    ("implementation_name", "implementation_name"),
    ("implementation_version", "implementation_version"),
    ("extra", "extra"),
    ("extras", "extras"),
];

fn parse_operand(scanner: &mut Scanner<'_>) -> Result<Operand> {
    let at = scanner.at();
    for (written, name) in VARIABLES {
        if scanner.eat_word(written) {
            return Ok(Operand::Variable(name));
        }
    }
    if scanner.eat_word("dependency_groups") {
        return Ok(Operand::Variable("dependency_groups"));
    }
    let Some(quote) = scanner
        .rest()
        .chars()
        .next()
        .filter(|c| matches!(c, '\'' | '"'))
    else {
        return scanner.fail("expected a marker variable or a quoted string");
    };
    let Some(length) = scanner.rest()[1..].find(quote) else {
        return scanner.fail("this quote is never closed");
    };
    scanner.take(1);
    let text = scanner.take(length);
    scanner.take(1);
    match unescape(text) {
        Some(text) => Ok(Operand::Literal(text.into())),
        None => fail(at, "not a string that Python would read"),
    }
}

/// A literal is a string of Python's, whose escapes count.
fn unescape(text: &str) -> Option<String> {
    if text.contains(['\n', '\r', '\0']) {
        return None;
    }
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find('\\') {
        plain.push_str(&rest[..found]);
        rest = &rest[found + 1..];
        let escaped = rest.chars().next()?;
        rest = &rest[escaped.len_utf8()..];
        match escaped {
            '\\' | '\'' | '"' => plain.push(escaped),
            'a' => plain.push('\u{7}'),
            'b' => plain.push('\u{8}'),
            'f' => plain.push('\u{c}'),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            'v' => plain.push('\u{b}'),
            'x' => plain.push(hexadecimal(&mut rest, 2)?),
            'u' => plain.push(hexadecimal(&mut rest, 4)?),
            'U' => plain.push(hexadecimal(&mut rest, 8)?),
            // By the name of a character: that would take a table of them all.
            'N' => return None,
            '0'..='7' => plain.push(octal(escaped, &mut rest)?),
            other => plain.extend(['\\', other]),
        }
    }
    plain.push_str(rest);
    Some(plain)
}

fn hexadecimal(rest: &mut &str, digits: usize) -> Option<char> {
    let number = rest.get(..digits)?;
    if !number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    *rest = &rest[digits..];
    char::from_u32(u32::from_str_radix(number, 16).ok()?)
}

fn octal(first: char, rest: &mut &str) -> Option<char> {
    let mut number = first.to_digit(8)?;
    for _ in 0..2 {
        let Some(digit) = rest.chars().next().and_then(|c| c.to_digit(8)) else {
            break;
        };
        number = number * 8 + digit;
        *rest = &rest[1..];
    }
    char::from_u32(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> MarkerEnvironment {
        MarkerEnvironment {
            implementation_name: "cpython".to_owned(),
            implementation_version: "3.11.7".to_owned(),
            os_name: "posix".to_owned(),
            platform_machine: "x86_64".to_owned(),
            platform_python_implementation: "CPython".to_owned(),
            platform_release: "6.1.0-13-amd64".to_owned(),
            platform_system: "Linux".to_owned(),
            platform_version: "#1 SMP".to_owned(),
            python_full_version: "3.11.7+".to_owned(),
            python_version: "3.11".to_owned(),
            sys_platform: "linux".to_owned(),
        }
    }

    #[test]
    fn markers_have_the_answers_of_packaging() {
        for (text, holds) in [
            ("python_version >= '3.8'", true),
            ("python_version < '3.9'", false),
            ("python_version in '3.8, 3.9'", false),
            ("python_version not in '3.8, 3.9'", true),
            ("'3.1' in python_version", true),
            ("python_version > 'x'", false),
            ("python_version == 'x'", false),
            ("python_version == '3.*'", true),
            ("python_version === '3.11'", true),
            ("python_version < '=3.11'", true),
            ("python_full_version == '3.11.7'", true),
            ("platform_release >= '5'", false),
            (
                "os.name == 'posix' and python_implementation == 'CPython'",
                true,
            ),
            (
                "os_name == 'nt' or os_name == 'posix' and sys_platform == 'linux'",
                true,
            ),
            (
                "(os_name == 'nt' or os_name == 'posix') and sys_platform != 'linux'",
                false,
            ),
            ("os_name < 'z'", false),
            ("os_name <= 'posix'", true),
            ("extra == 'x'", false),
            ("'posix' == 'os_name'", true),
            (r"sys_platform == 'l\x69n\165x'", true),
        ] {
            let marker = expression(text).unwrap();
            assert_eq!(
                marker.evaluate(&environment(), Asked::Extra("")),
                Ok(holds),
                "{text}"
            );
        }
    }

    #[test]
    fn extras_are_compared_in_their_normal_form() {
        let text = "extra == 'Foo_Bar'";
        let marker = Marker::new(Text::new(text, text), expression(text).unwrap());
        let asked = ["x", "foo.bar"].map(Name::new);
        assert_eq!(marker.evaluate(&environment(), &asked), Ok(true));
        assert_eq!(marker.evaluate(&environment(), &asked[..1]), Ok(false));
    }

    #[test]
    fn lock_files_have_sets_of_names() {
        let names = |names: &[&str]| names.iter().map(|name| Name::new(name)).collect();
        let (extras, groups) = (names(&["foo.bar"]), names(&["Dev"]));
        for (text, holds) in [
            ("'Foo_Bar' in extras", true),
            ("'Foo_Bar' in dependency_groups", false),
            ("'dev' not in dependency_groups", false),
            ("'dev' not in extras", true),
            (
                "'x' in extras or os_name == 'posix' and 'DEV' in dependency_groups",
                true,
            ),
        ] {
            let marker: LockMarker = text.parse().unwrap();
            let answer = marker.evaluate(&environment(), &extras, &groups);
            assert_eq!(answer, Ok(holds), "{text}");
        }
    }

    #[test]
    fn what_is_no_marker_of_a_lock_file_is_placed() {
        for (text, at, message) in [
            (
                "os_name == 'a' and extras == 'x'",
                19,
                "`extras` is a set: write `'name' in extras`",
            ),
            (
                "dependency_groups in 'x'",
                0,
                "`dependency_groups` is a set: write `'name' in dependency_groups`",
            ),
            (
                "'x' == extras",
                4,
                "`extras` is a set: write `'name' in extras`",
            ),
            (
                "'x' in extras and",
                17,
                "expected a marker variable or a quoted string",
            ),
            ("'x' == extra", 7, "`extra` has no value in lock files"),
        ] {
            let message = message.to_owned();
            assert_eq!(text.parse::<LockMarker>(), Err(Syntax { at, message }));
        }
    }

    #[test]
    fn a_comparison_may_have_no_answer() {
        let marker = expression("'3.11' ~= platform_release").unwrap();
        let error = marker
            .evaluate(&environment(), Asked::Extra(""))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`~=` cannot compare `3.11` with `6.1.0-13-amd64`"
        );
    }

    #[test]
    fn what_is_no_marker_is_placed() {
        for (text, at) in [
            ("", 0),
            ("python_version", 14),
            ("python_version = '3'", 15),
            ("python_version ~= '3'", 15),
            ("os_name ~= '3.1'", 8),
            ("pythonversion > '3'", 0),
            ("os_name == 'a' ü", 15),
            ("os_name == 'a", 11),
            ("(os_name == 'a'", 0),
            ("os_name not 'a'", 12),
            ("'a' == 'b'", 7),
            ("'a' in extras", 7),
            (r"os_name == '\x'", 11),
        ] {
            assert_eq!(expression(text).unwrap_err().at, at, "{text:?}");
        }
        let deep = "(".repeat(100_000);
        assert_eq!(expression(&deep).unwrap_err().at, MAX_DEPTH);
    }
}
