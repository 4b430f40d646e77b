//! Which of pip's settings reach the build: from variables and configuration files, the caller's
//! and the builder's own.
//!
//! pip would take them all, and some would put files elsewhere, or other files. So pip is run
//! without its configuration, and each setting is passed on, taken over as a recorded input, or
//! left out and said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use configparser::ini::Ini;

use super::Options;

use crate::index::Strategy;
use crate::plan::Setting;
use crate::requirements::{Input, hide_credentials};

/// How pip reaches an index. They decide whether a build succeeds, hardly what it makes.
const TRANSPORT: [&str; 17] = [
    "index-url",
    "pypi-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "trusted-host",
    "proxy",
    "cert",
    "client-cert",
    "timeout",
    "default-timeout",
    "retries",
    "resume-retries",
    "keyring-provider",
    "cache-dir",
    "no-cache-dir",
    "truststore",
];

/// What changes the result.
const RESULT: [&str; 19] = [
    "constraint",
    "build-constraint",
    "pre",
    "prefer-binary",
    "no-binary",
    "only-binary",
    "all-releases",
    "only-final",
    "no-deps",
    "require-hashes",
    "no-build-isolation",
    "check-build-dependencies",
    "use-pep517",
    "config-settings",
    "ignore-requires-python",
    "uploaded-prior-to",
    "use-feature",
    "use-deprecated",
    "upgrade-strategy",
];

/// What is about pip's output, or what every build sets itself: left out without a word.
const SILENT: [&str; 22] = [
    "disable-pip-version-check",
    "no-color",
    "quiet",
    "verbose",
    "progress-bar",
    "no-input",
    "root-user-action",
    "log",
    "debug",
    "no-python-version-warning",
    "no-warn-script-location",
    "no-warn-conflicts",
    "compile",
    "no-compile",
    "config-file",
    "no-clean",
    "isolated",
    "break-system-packages",
    "require-virtualenv",
    "ignore-installed",
    "force-reinstall",
    "exists-action",
];

/// Variables of Python's that change what it runs or where it looks; whether the user is told.
const PYTHON: [(&str, bool); 12] = [
    ("PYTHONHOME", true),
    ("PYTHONPATH", true),
    ("PYTHONUSERBASE", true),
    ("PYTHONPLATLIBDIR", true),
    ("PYTHONSTARTUP", true),
    ("PYTHONEXECUTABLE", true),
    ("PYTHONOPTIMIZE", true),
    ("PYTHONINSPECT", true),
    ("PYTHONDONTWRITEBYTECODE", false),
    ("PYTHONPYCACHEPREFIX", false),
    ("PYTHONWARNINGS", false),
    ("PYTHONNOUSERSITE", false),
];

/// Variables besides pip's by which it reaches an index.
pub(super) const NETWORK: [&str; 12] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
];

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A configuration file, or a variable of the builder's image: paths are the builder's.
    Builder,
    /// The caller: paths are this machine's.
    Caller,
}

/// The settings of one build, sorted out.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether paths in them are this machine's, whoever set them.
    pub(super) is_here: bool,
    /// Option to value and where its paths are; values may hold secrets.
    pub(super) pass: BTreeMap<String, (String, Origin)>,
    /// What the summary says of them.
    pub(super) recorded: Vec<Setting>,
    /// What was left out, in words.
    pub(super) ignored: Vec<String>,
    /// Variables that must not reach pip.
    pub(super) unset: BTreeSet<String>,
}

impl Settings {
    /// Sorts out configuration files (file, option, value) and variables; later ones win.
    pub(super) fn sort(
        config: &[(String, String, String)],
        caller_config: &[(String, String, String)],
        builder: &BTreeMap<String, String>,
        caller: &BTreeMap<String, String>,
    ) -> Self {
        let mut settings = Self::default();
        for (files, origin) in [(config, Origin::Builder), (caller_config, Origin::Caller)] {
            for (file, name, value) in files {
                settings.take(name, value, file, &origin);
            }
        }
        for (env, origin) in [(builder, Origin::Builder), (caller, Origin::Caller)] {
            for (variable, value) in env {
                if let Some(name) = variable.strip_prefix("PIP_") {
                    settings.unset.insert(variable.clone());
                    let name = name.to_lowercase();
                    settings.take(&name, value, variable, &origin);
                } else if let Some((_, told)) = PYTHON.iter().find(|(name, _)| name == variable) {
                    settings.unset.insert(variable.clone());
                    if *told && !value.is_empty() {
                        settings.ignored.push(format!("`{variable}`"));
                    }
                }
            }
        }
        settings.recorded.sort_by(|a, b| a.name.cmp(&b.name));
        settings.ignored.sort();
        settings.ignored.dedup();
        settings
    }

    /// Those of a caller without a builder, whose Python would read the configuration files.
    #[must_use]
    pub fn of_caller(options: &Options) -> Self {
        let none = BTreeMap::new();
        Self {
            is_here: true,
            ..Self::sort(&[], &read_config(&options.config), &none, &options.env)
        }
    }

    /// The settings that reach the build.
    #[must_use]
    pub fn recorded(&self) -> &[Setting] {
        &self.recorded
    }

    /// Those that decide which versions are chosen, for a lock file to record: nothing of this machine.
    #[must_use]
    pub fn choosing(&self, strategy: Strategy) -> Vec<String> {
        let is_path = |name: &str| ["constraint", "build-constraint"].contains(&name);
        let chooses = |name: &str| RESULT.contains(&name) && !is_path(name);
        let options = self.recorded.iter().filter(|one| chooses(&one.name));
        let mut options: Vec<_> = options
            .map(|one| format!("{} = {}", one.name, one.value))
            .collect();
        if strategy == Strategy::FirstIndex {
            options.push("index-strategy = first-index".to_owned());
        }
        options
    }

    /// What does not, in words.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The files of constraints that the caller's settings name: inputs like any other.
    #[must_use]
    pub fn constraints(&self) -> Vec<Input> {
        match self.pass.get("constraint") {
            Some((value, origin)) if self.is_here || *origin == Origin::Caller => value
                .split_whitespace()
                .map(|path| Input::named(PathBuf::from(path)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a switch is on, as pip reads its value.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.pass.get(name).is_some_and(|(value, _)| {
            let value = value.to_ascii_lowercase();
            ["y", "yes", "t", "true", "on", "1"].contains(&value.as_str())
        })
    }

    /// Takes a setting of this origin out again, and says so.
    pub(super) fn leave_out(&mut self, name: &str, origin: &Origin) {
        if self.pass.get(name).is_none_or(|(_, from)| from != origin) {
            return;
        }
        self.pass.remove(name);
        if let Some(at) = self
            .recorded
            .iter()
            .position(|setting| setting.name == name)
        {
            let setting = self.recorded.remove(at);
            self.ignored.push(format!("`{name} =` of {}", setting.from));
        }
    }

    fn take(&mut self, name: &str, value: &str, from: &str, origin: &Origin) {
        let name = name.replace('_', "-");
        // What is empty is not set, as pip has it.
        if value.is_empty() || SILENT.contains(&name.as_str()) {
            return;
        }
        if TRANSPORT.contains(&name.as_str()) || RESULT.contains(&name.as_str()) {
            self.recorded.retain(|setting| setting.name != name);
            self.recorded.push(Setting {
                value: hide_credentials(value),
                from: from.to_owned(),
                name: name.clone(),
            });
            self.pass.insert(name, (value.to_owned(), origin.clone()));
        } else if from.starts_with("PIP_") {
            self.ignored.push(format!("`{from}`"));
        } else {
            self.ignored.push(format!("`{name} =` of {from}"));
        }
    }
}

/// The settings that `pip install` would take from configuration files: file, option, value; later ones
/// win. What cannot be read has none.
///
/// <https://pip.pypa.io/en/stable/topics/configuration/#configuration-files>
fn read_config(files: &[(String, String)]) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for section in ["global", "install"] {
        for (file, text) in files {
            let mut ini = Ini::new();
            ini.set_multiline(true);
            ini.set_inline_comment_symbols(Some(&[]));
            let Ok(mut sections) = ini.read(text.clone()) else {
                continue;
            };
            let options = sections.remove(section).unwrap_or_default();
            // The order of a section's options means nothing.
            for (name, value) in BTreeMap::from_iter(options) {
                found.push((file.clone(), name, value.unwrap_or_default()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(config: &[(&str, &str, &str)], env: &[(&str, &str)]) -> Settings {
        let config: Vec<_> = config
            .iter()
            .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
            .collect();
        let env = env
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        Settings::sort(&config, &[], &BTreeMap::new(), &env)
    }

    /// H26: what would put files elsewhere does not reach pip, and is named.
    #[test]
    fn what_changes_where_is_left_out_and_said() {
        let settings = sorted(
            &[
                ("/etc/pip.conf", "target", "/x"),
                ("/etc/pip.conf", "quiet", "1"),
            ],
            &[
                ("PIP_USER", "1"),
                ("PIP_PREFIX", "/y"),
                ("PYTHONHOME", "/z"),
                ("PIP_NO_COLOR", "1"),
            ],
        );
        assert_eq!(
            settings.ignored,
            [
                "`PIP_PREFIX`",
                "`PIP_USER`",
                "`PYTHONHOME`",
                "`target =` of /etc/pip.conf"
            ]
        );
        assert!(settings.pass.is_empty());
        assert!(settings.unset.contains("PIP_USER") && settings.unset.contains("PYTHONHOME"));
    }

    /// H25: a recorded setting shows no credential.
    #[test]
    fn what_changes_the_result_is_recorded() {
        let settings = sorted(
            &[
                ("/etc/pip.conf", "index-url", "https://a/"),
                ("/etc/pip.conf", "pre", "true"),
            ],
            &[("PIP_INDEX_URL", "https://u:secret@b/")],
        );
        let shown: Vec<_> = settings
            .recorded
            .iter()
            .map(|setting| format!("{} {} {}", setting.name, setting.value, setting.from))
            .collect();
        assert_eq!(
            shown,
            [
                "index-url https://****@b/ PIP_INDEX_URL",
                "pre true /etc/pip.conf"
            ]
        );
        assert_eq!(settings.pass["index-url"].0, "https://u:secret@b/");
    }

    #[test]
    fn configuration_files_are_read_without_python() {
        let text = "# pip\n[global]\nindex-url = https://a/simple?x=1;y#z\nextra-index-url =\n    https://b/\n    https://c/\n\n[install]\npre: yes\n[list]\nformat = json\n";
        let read = read_config(&[("/etc/pip.conf".to_owned(), text.to_owned())]);
        let shown: Vec<_> = read
            .iter()
            .map(|(_, name, value)| {
                let words: Vec<_> = value.split_whitespace().collect();
                format!("{name} = {}", words.join(" "))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "extra-index-url = https://b/ https://c/",
                "index-url = https://a/simple?x=1;y#z",
                "pre = yes",
            ]
        );
        assert!(read_config(&[("x".to_owned(), "no section = 1\n[".to_owned())]).is_empty());
    }
}
