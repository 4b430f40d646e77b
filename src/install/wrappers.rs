//! The scripts of entry points, as pip makes them.
//!
//! <https://packaging.python.org/en/latest/specifications/entry-points/#use-for-scripts>

use std::borrow::Cow;

use crate::wheel::{Script, Scripts};

/// Makes scripts for one Python.
pub(super) struct Wrappers<'a> {
    /// Its version, `X.Y`.
    version: &'a str,
    /// What scripts name in their first line.
    python: &'a str,
}

impl<'a> Wrappers<'a> {
    pub(super) fn new(version: &'a str, python: &'a str) -> Self {
        Self { version, python }
    }

    /// The scripts, each with its name. Of two that have one, the later is meant.
    pub(super) fn make(&self, scripts: &Scripts) -> impl Iterator<Item = (String, String)> {
        self.console(&scripts.console)
            .into_iter()
            .chain(
                scripts
                    .gui
                    .iter()
                    .map(|script| (Cow::from(&script.name), script)),
            )
            .map(|(name, script)| (name.into_owned(), self.text(script)))
    }

    /// pip and setuptools name some scripts after the Python that built their wheel; as pip does, they
    /// are named after the one that will run them.
    fn console<'s>(&self, scripts: &'s [Script]) -> Vec<(Cow<'s, str>, &'s Script)> {
        let version = self.version;
        let major = version.split('.').next().unwrap_or(version);
        let named = |name: &str| scripts.iter().find(|script| script.name == name);
        let (pip, easy_install) = (named("pip"), named("easy_install"));
        let mut made: Vec<(Cow<'s, str>, &'s Script)> = Vec::new();
        if let Some(pip) = pip {
            made.push(("pip".into(), pip));
            made.push((format!("pip{major}").into(), pip));
            made.push((format!("pip{version}").into(), pip));
        }
        if let Some(easy_install) = easy_install {
            made.push(("easy_install".into(), easy_install));
            made.push((format!("easy_install-{version}").into(), easy_install));
        }
        let is_versioned = |name: &str| {
            pip.is_some() && name.strip_prefix("pip").is_some_and(is_pip_version)
                || easy_install.is_some()
                    && name
                        .strip_prefix("easy_install")
                        .is_some_and(is_easy_install_version)
        };
        let rest = scripts.iter().filter(|script| !is_versioned(&script.name));
        made.extend(rest.map(|script| (Cow::from(&script.name), script)));
        made
    }

    /// The text of a script: that of pip 26.3, or for a Python without `str.removesuffix` that of the
    /// last pip that it had, 25.0.
    fn text(&self, script: &Script) -> String {
        let Script {
            module, function, ..
        } = script;
        let import = function.split('.').next().unwrap_or(function);
        let python = self.python;
        if matches!(self.version, "3.6" | "3.7" | "3.8") {
            return format!(
                "#!{python}\n\
                 # -*- coding: utf-8 -*-\n\
                 import re\n\
                 import sys\n\
                 from {module} import {import}\n\
                 if __name__ == '__main__':\n\
                 {INDENT}sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n\
                 {INDENT}sys.exit({function}())\n"
            );
        }
        format!(
            "#!{python}\n\
             import sys\n\
             from {module} import {import}\n\
             if __name__ == '__main__':\n\
             {INDENT}sys.argv[0] = sys.argv[0].removesuffix('.exe')\n\
             {INDENT}sys.exit({function}())\n"
        )
    }
}

/// The entry point that setuptools would once have made this script of, by its name.
pub(super) fn made_of(script: &str) -> &str {
    let name = script.rsplit('/').next().unwrap_or(script);
    let lower = name.to_ascii_lowercase();
    let ending = [".exe", "-script.py", ".pya"]
        .into_iter()
        .find(|ending| lower.ends_with(ending))
        .map_or(0, str::len);
    &name[..name.len() - ending]
}

const INDENT: &str = "    ";

/// Nothing, `3`, or `3.11`.
fn is_pip_version(suffix: &str) -> bool {
    let (major, minor) = suffix.split_once('.').unwrap_or((suffix, "0"));
    suffix.is_empty() || is_number(major) && is_number(minor)
}

/// Nothing, or `-3.11`.
fn is_easy_install_version(suffix: &str) -> bool {
    let version = suffix
        .strip_prefix('-')
        .and_then(|rest| rest.split_once('.'));
    suffix.is_empty() || version.is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(version: &str, text: &str) -> Vec<(String, String)> {
        let scripts = Scripts::read(text).unwrap();
        Wrappers::new(version, "/usr/bin/python3")
            .make(&scripts)
            .collect()
    }

    fn names(text: &str) -> Vec<String> {
        made("3.11", text)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn pip_and_setuptools_are_named_after_the_python_that_runs_them() {
        let text = "[console_scripts]\npip3 = pip:a\npip = pip:b\npip3.9 = pip:c\npip3.9.1 = pip:d\n\
                    easy_install-3.9 = e:a\neasy_install = e:b\npipx = x:y\n[gui_scripts]\npip2 = g:h\n";
        assert_eq!(
            names(text),
            [
                "pip",
                "pip3",
                "pip3.11",
                "easy_install",
                "easy_install-3.11",
                "pip3.9.1",
                "pipx",
                "pip2"
            ]
        );
        // Without the plain name, all stay.
        assert_eq!(names("[console_scripts]\npip3 = pip:a\n"), ["pip3"]);
    }

    #[test]
    fn an_older_python_gets_what_it_can_run() {
        let text = |version| made(version, "[gui_scripts]\na = b.c:D.e\n").remove(0).1;
        let old = text("3.8");
        assert!(
            old.contains("import re\n") && !old.contains("removesuffix"),
            "{old}"
        );
        assert_eq!(
            text("3.9"),
            "#!/usr/bin/python3\nimport sys\nfrom b.c import D\nif __name__ == '__main__':\n    \
             sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit(D.e())\n"
        );
    }

    #[test]
    fn what_setuptools_made_is_known_by_its_name() {
        for script in ["a", "a.exe", "sub/a.EXE", "a-script.py", "a.pya"] {
            assert_eq!(made_of(script), "a");
        }
        assert_eq!(made_of("a.py"), "a.py");
    }
}
