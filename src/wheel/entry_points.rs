//! `entry_points.txt`: the scripts that an installer makes.
//!
//! Read as `importlib.metadata` reads it, and each entry as pip's script maker does.
//!
//! <https://packaging.python.org/en/latest/specifications/entry-points/>

use serde::{Deserialize, Serialize};

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

/// The console scripts, then those for a graphical interface; of two that have one name in one
/// group, the last.
pub(super) fn scripts(text: &str) -> Result<Vec<Script>, InvalidEntryPoint> {
    let mut groups = [Vec::<Script>::new(), Vec::new()];
    let mut group = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            group = ["console_scripts", "gui_scripts"]
                .iter()
                .position(|known| *known == name);
            continue;
        }
        let Some(group) = group else {
            continue;
        };
        let script = script(line)?;
        let scripts = &mut groups[group];
        match scripts.iter_mut().find(|there| there.name == script.name) {
            Some(there) => *there = script,
            None => scripts.push(script),
        }
    }
    Ok(groups.concat())
}

/// `NAME = MODULE:FUNCTION [EXTRAS]`; the extras say nothing any more.
fn script(line: &str) -> Result<Script, InvalidEntryPoint> {
    let refuse = |reason| InvalidEntryPoint {
        entry: line.to_owned(),
        reason,
    };
    let (name, value) = line.split_once('=').ok_or_else(|| refuse("has no `=`"))?;
    let name = name.trim_end();
    if name.is_empty() || name.contains(char::is_whitespace) || name.starts_with('[') {
        return Err(refuse("has a name that no script can have"));
    }
    if name.contains(['/', '\0']) || name == "." || name == ".." || name.len() > 255 {
        return Err(refuse("has a name that leads out of the folder of scripts"));
    }
    let value = value.trim();
    let object = match value.split_once('[') {
        Some((object, extras)) if extras.trim_end().ends_with(']') => object.trim_end(),
        Some(_) => return Err(refuse("has a `[` without its `]`")),
        None => value,
    };
    let (module, function) = object
        .split_once(':')
        .map(|(module, function)| (module.trim(), function.trim()))
        .ok_or_else(|| refuse("names no function to call"))?;
    let dotted = |path: &str| {
        path.split('.')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    if !dotted(module) || !dotted(function) {
        return Err(refuse("does not name a function as `module:function`"));
    }
    Ok(Script {
        name: name.to_owned(),
        module: module.to_owned(),
        function: function.to_owned(),
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
g = pkg.gui : main
[console_scripts]
one = pkg:main [extra]
two=pkg.sub:Class.method
one = pkg:other
[something.else]
x y = not:read
";
        let read = scripts(text).unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|script| format!("{} {} {}", script.name, script.module, script.function))
            .collect();
        assert_eq!(
            shown,
            [
                "one pkg other",
                "two pkg.sub Class.method",
                "g pkg.gui main"
            ]
        );
    }

    #[test]
    fn what_makes_no_script_is_refused() {
        for entry in [
            "a",
            "a = b",
            "a b = c:d",
            "../a = c:d",
            ".. = c:d",
            " = c:d",
            "a = c:d:e",
            "a = c:",
            "a = c:d [x",
            "a = c d:e",
            "a = c;import os:e",
        ] {
            let text = format!("[console_scripts]\n{entry}\n");
            assert!(scripts(&text).is_err(), "{entry}");
        }
    }
}
