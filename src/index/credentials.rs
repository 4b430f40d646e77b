//! The credentials for a host: from the URL of an index, else from `.netrc`, else from a keyring.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::fs;

/// A name and a password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Credentials {
    /// What stands before `@` in a URL.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        Some(Self {
            user: decode(url.username()),
            password: decode(url.password().unwrap_or_default()),
        })
    }
}

/// A scheme, a host and a port: what credentials are for. They go nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin(String);

impl Origin {
    pub(super) fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }
}

/// The passwords of a `.netrc`, by machine; `None` stands for all others.
///
/// <https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html>
#[derive(Debug, Default)]
pub(super) struct Netrc(BTreeMap<Option<String>, Credentials>);

impl Netrc {
    /// Reads the file; one that is not there, or cannot be read, has none, as with pip.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to(path, 1 << 20).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    pub(super) fn get(&self, host: &str) -> Option<&Credentials> {
        let machine = self.0.get(&Some(host.to_ascii_lowercase()));
        machine.or_else(|| self.0.get(&None))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Credentials> {
        self.0.values()
    }

    fn parse(text: &str) -> Self {
        let mut machines = BTreeMap::new();
        let mut current: Option<(Option<String>, Credentials)> = None;
        let mut finish = |entry: Option<(Option<String>, Credentials)>| {
            if let Some((machine, credentials)) = entry {
                machines.entry(machine).or_insert(credentials);
            }
        };
        let mut words = words(text).into_iter();
        while let Some(word) = words.next() {
            let empty = Credentials {
                user: String::new(),
                password: String::new(),
            };
            match (word.as_str(), &mut current) {
                ("machine", _) => {
                    let machine = words.next().map(|name| name.to_ascii_lowercase());
                    finish(current.replace((machine, empty)));
                }
                ("default", _) => finish(current.replace((None, empty))),
                ("login" | "user", Some((_, credentials))) => {
                    credentials.user = words.next().unwrap_or_default();
                }
                ("password", Some((_, credentials))) => {
                    credentials.password = words.next().unwrap_or_default();
                }
                ("account", _) => drop(words.next()),
                _ => {}
            }
        }
        finish(current);
        Self(machines)
    }
}

/// The words of a `.netrc` without comments and macros; words may be quoted.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        if in_macro {
            // A macro goes on to the next empty line.
            in_macro = !line.trim().is_empty();
            continue;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, behind) = word(rest);
            rest = behind.trim_start();
            in_macro |= word == "macdef";
            words.push(word);
        }
        if in_macro {
            words.truncate(words.iter().rposition(|word| word == "macdef").unwrap_or(0));
        }
    }
    words
}

/// The first word of a text, and what is behind it.
fn word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut chars = text.char_indices();
    let quoted = text.starts_with('"');
    if quoted {
        chars.next();
    }
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => word.extend(chars.next().map(|(_, next)| next)),
            '"' if quoted => return (word, &text[at + 1..]),
            c if !quoted && c.is_whitespace() => return (word, &text[at..]),
            c => word.push(c),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netrc_is_read() {
        let netrc = Netrc::parse(
            "# mine\nmachine Host.org login me password \"a b\\\"c\" account x\n\
             macdef init\nmachine evil login x password y\n\n\
             machine two\n\tlogin you\n\tpassword p#w\nmachine two login late password late\n\
             default login any password thing\n",
        );
        let get = |host| {
            let found = netrc.get(host).unwrap();
            (found.user.as_str(), found.password.as_str())
        };
        assert_eq!(get("host.org"), ("me", "a b\"c"));
        assert_eq!(get("two"), ("you", "p#w"));
        assert_eq!(get("evil"), ("any", "thing"));
    }

    /// What is cut off, or stands in no order, is read as far as it goes.
    #[test]
    fn odd_netrcs_are_no_harm() {
        let all = |text: &str| -> Vec<String> {
            let netrc = Netrc::parse(text);
            let show = |(machine, credentials): (&Option<String>, &Credentials)| {
                let machine = machine.as_deref().unwrap_or("*");
                format!("{machine} {} {}", credentials.user, credentials.password)
            };
            netrc.0.iter().map(show).collect()
        };
        for (text, expected) in [
            ("", &[][..]),
            ("machine", &["*  "]),
            ("machine a login", &["a  "]),
            ("machine a login \"x", &["a x "]),
            ("machine a login \"x y\" password \"\"", &["a x y "]),
            ("login x", &[]),
            ("password x machine a", &["a  "]),
            ("\"", &[]),
            ("macdef", &[]),
            ("macdef x machine a login b", &[]),
            ("\\", &[]),
            ("machine a login \\", &["a  "]),
            ("default password", &["*  "]),
            ("default login x machine a login y", &["* x ", "a y "]),
            ("machine a machine b login x", &["a  ", "b x "]),
            ("machine a login x login y", &["a y "]),
            ("machine a # login x", &["a  "]),
            ("machine A login x machine a login y", &["a x "]),
            ("\0machine a", &[]),
        ] {
            assert_eq!(all(text), expected, "{text:?}");
        }
    }

    /// A file that is none is none, and nobody waits for it; a link to one is one.
    #[test]
    fn a_netrc_is_a_file() {
        let folder = fs::temp_dir(Path::new("/tmp")).unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write_new(&at("real"), b"machine a login x password y").unwrap();
        fs::symlink("real", &at("link")).unwrap();
        fs::symlink("/dev/zero", &at("zeros")).unwrap();
        assert!(Netrc::read(&at("link")).get("a").is_some());
        assert_eq!(Netrc::read(&at("zeros")).all().count(), 0);
        assert_eq!(Netrc::read(folder.path()).all().count(), 0);
    }
}
