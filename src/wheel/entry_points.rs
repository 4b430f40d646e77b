//! `entry_points.txt`: the scripts that an installer makes.
//!
//! The text is read as `importlib.metadata` reads it, and each entry as pip's script maker does.
//!
//! <https://packaging.python.org/en/latest/specifications/entry-points/>

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::requirements::{split_lines, trim};

/// The scripts that are made of a wheel's entry points.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scripts {
    /// Those for a terminal.
    pub console: Vec<Script>,
    /// Those for a graphical interface, which on Linux are made alike.
    pub gui: Vec<Script>,
}

/// A script that calls a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its file's name.
    pub name: String,
    /// The module that is imported.
    pub module: String,
    /// What is called in it, with dots where it is an attribute of something.
    pub function: String,
}

/// An entry that no script can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the entry point `{}` {reason}", entry.escape_debug())]
pub struct InvalidEntryPoint {
    entry: String,
    reason: &'static str,
}

impl InvalidEntryPoint {
    /// A line of any length is shown by its beginning.
    fn new(line: &str, reason: &'static str) -> Self {
        let mut entry: String = line.chars().take(200).collect();
        if entry.len() < line.len() {
            entry.push('…');
        }
        Self { entry, reason }
    }
}

impl Scripts {
    /// Reads the two groups of scripts; of two entries of one name in one group, the last counts.
    /// Other groups are not looked at.
    pub fn read(text: &str) -> Result<Self, InvalidEntryPoint> {
        let mut groups = [Group::default(), Group::default()];
        let mut group = None;
        for line in split_lines(text).map(trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with('[') && line.ends_with(']') {
                group = match line.trim_matches(['[', ']']) {
                    "console_scripts" => Some(0),
                    "gui_scripts" => Some(1),
                    _ => None,
                };
            } else if let Some(group) = group {
                let group = &mut groups[group];
                group.insert(Script::read(line)?);
                if group.scripts.len() > MAX_SCRIPTS {
                    return Err(InvalidEntryPoint::new(
                        line,
                        "is one of more than 10000 entry points entry points",
                    ));
                }
            }
        }
        let [console, gui] = groups.map(|group| group.scripts);
        Ok(Self { console, gui })
    }

    /// All of them, in the order in which they are made.
    pub fn iter(&self) -> impl Iterator<Item = &Script> {
        self.console.iter().chain(&self.gui)
    }
}

/// More scripts than any wheel has: each becomes a file.
const MAX_SCRIPTS: usize = 10_000;

/// The entries of one group.
#[derive(Default)]
struct Group {
    scripts: Vec<Script>,
    by_name: HashMap<String, usize>,
}

impl Group {
    fn insert(&mut self, script: Script) {
        if let Some(index) = self.by_name.get(&script.name) {
            self.scripts[*index] = script;
        } else {
            self.by_name.insert(script.name.clone(), self.scripts.len());
            self.scripts.push(script);
        }
    }
}

impl Script {
    /// Reads `NAME = MODULE:FUNCTION [EXTRAS]`. The extras say nothing any more, and as with pip,
    /// nor does what stands behind the function.
    fn read(line: &str) -> Result<Self, InvalidEntryPoint> {
        let refuse = |reason| InvalidEntryPoint::new(line, reason);
        let (name, value) = line.split_once('=').ok_or_else(|| refuse("has no `=`"))?;
        let (name, value) = (trim(name), trim(value));
        // pip cuts a name at white space, and makes a script of what is left.
        if name.is_empty() || name.contains(is_no_name) || name.len() > 255 {
            return Err(refuse("has a name that no script can have"));
        }
        // pip lets a name lead to a folder among the scripts.
        if name.contains('/') || name == "." || name == ".." {
            return Err(refuse(
                "has a name that leads out of the directory of scripts",
            ));
        }
        let (object, rest) = value.split_at(object_length(value));
        if rest.contains(['[', ']']) && !is_extras(rest) {
            return Err(refuse("has extras that cannot be read"));
        }
        let (module, function) = object
            .split_once(':')
            .ok_or_else(|| refuse("does not name a function"))?;
        if function.contains(':') {
            return Err(refuse("does not name a function as `module:function`"));
        }
        Ok(Self {
            name: name.to_owned(),
            module: module.to_owned(),
            function: function.to_owned(),
        })
    }
}

/// How long the words are, parted by `.` and `:`, that the text begins with.
fn object_length(text: &str) -> usize {
    let word = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
    let mut length = word(text);
    while length > 0
        && let Some(next) = text[length..].strip_prefix(['.', ':'])
        && word(next) > 0
    {
        length += 1 + word(next);
    }
    length
}

/// What Python's regular expressions call `\w`.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_no_name(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '[' | ']')
}

/// Whether a list of extras begins here: `[one, two]`.
fn is_extras(text: &str) -> bool {
    let list = trim(text)
        .strip_prefix('[')
        .and_then(|text| text.split_once(']'));
    let Some((list, _)) = list else {
        return false;
    };
    let word = |text: &str| !text.is_empty() && text.chars().all(is_word);
    trim(list).split(',').enumerate().all(|(index, extra)| {
        // Only the first may have a `-`.
        let extra = if index == 0 {
            extra.replace('-', "_")
        } else {
            extra.trim_start().to_owned()
        };
        match extra.split_once('=') {
            Some((extra, value)) => word(extra) && word(value),
            None => word(&extra),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_by_group() {
        let text = "\
stray = a:b
# comment
[gui_scripts]
g = pkg.gui:main
[console_scripts]
one = pkg:main [extra]
two=pkg.sub:Class.method
one = pkg:other [a-b, c]
three = pkg:main() # called
[something.else]
x y
";
        let read = Scripts::read(text).unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|script| format!("{} {} {}", script.name, script.module, script.function))
            .collect();
        assert_eq!(
            shown,
            [
                "one pkg other",
                "two pkg.sub Class.method",
                "three pkg main",
                "g pkg.gui main"
            ]
        );
    }

    #[test]
    fn what_makes_no_script_is_refused() {
        for entry in [
            "a",
            "a = b",
            "a = b : c",
            "a b = c:d",
            "a[b = c:d",
            "../a = c:d",
            "b/a = c:d",
            ".. = c:d",
            "a\u{0}b = c:d",
            " = c:d",
            "a = :d",
            "a = c:d:e",
            "a = c:",
            "a = c..d:e",
            "a = c:d [x",
            "a = c:d []",
            "a = c:d [x, y-z]",
            "a = c d:e",
            "a = c;import os:e",
        ] {
            let text = format!("[console_scripts]\n{entry}\n");
            assert!(Scripts::read(&text).is_err(), "{entry}");
        }
    }
}
