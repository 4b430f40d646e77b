//! The variables that pip runs with, and the files that they name.

use std::collections::BTreeMap;
use std::path::Path;

use super::render::Rendered;
use super::settings::{self, Origin};
use super::{Driver, Error, TEMP, render};
use crate::fs;
use crate::runner::{Session, variables};
use crate::tree::{Content, Node, RelPath};

/// What pip asks whether a wheel runs with the C library.
const MANYLINUX: &str = include_str!("manylinux.py");

impl Driver<'_> {
    /// The variables that pip runs with. Files that the caller's settings name go along with what was rendered.
    pub(super) fn environment(
        &self,
        session: &dyn Session,
        rendered: &mut Rendered,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        if self.inherits {
            env.extend(variables::tools(&self.options.env));
            if rendered.has_repositories {
                env.extend(variables::repositories(&self.options.env));
            }
        }
        for name in &self.settings.unset {
            env.insert(name.clone(), String::new());
        }
        let mut passed = BTreeMap::new();
        let asks_no_index = self.options.offline || self.settings.is_on("no-index");
        for (name, (value, origin)) in &self.settings.pass {
            let value = match name.as_str() {
                // Rendered with the requirements.
                "constraint" => continue,
                // What is not asked needs no address, and no password.
                "index-url" | "pypi-url" | "extra-index-url" if asks_no_index => continue,
                "cert" | "client-cert" | "build-constraint" if self.brings(origin) => {
                    self.bring(session, rendered, name, Path::new(value))?
                }
                // Folders go along with the requirements.
                "find-links" => {
                    let urls = value
                        .split_whitespace()
                        .filter(|link| !self.is_folder(origin, link));
                    let urls: Vec<_> = urls.collect();
                    if urls.is_empty() {
                        continue;
                    }
                    urls.join(" ")
                }
                // The caller's folder is not the container's.
                "cache-dir" if self.brings(origin) => continue,
                _ => value.clone(),
            };
            passed.insert(name.clone(), value);
        }
        if self.options.offline {
            passed.insert("no-index".to_owned(), "1".to_owned());
        }
        env.extend(render::variables(&passed));
        for name in settings::NETWORK {
            let Some(value) = self.options.env.get(name).filter(|value| !value.is_empty()) else {
                continue;
            };
            let value = if !self.inherits && Path::new(value).is_absolute() {
                self.bring(session, rendered, name, Path::new(value))?
            } else {
                value.clone()
            };
            env.insert(name.to_owned(), value);
        }
        if let Some(cert) = &self.options.ca_cert {
            let inside = self.bring(session, rendered, "ca-cert", cert)?;
            for name in ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
                env.insert(name.to_owned(), inside.clone());
            }
        }
        env.extend(self.fixed(session));
        env.extend(self.options.set.clone());
        if let Some(glibc) = self.interpreter.glibc {
            let folder = limit_glibc(session, rendered, glibc)?;
            let search = env.remove("PYTHONPATH").filter(|path| !path.is_empty());
            let search = search.map_or_else(|| folder.clone(), |path| format!("{folder}:{path}"));
            env.insert("PYTHONPATH".to_owned(), search);
        }
        Ok(env)
    }

    /// The folders of links that the caller's settings name and the builder does not see.
    pub(super) fn links(&self) -> Vec<String> {
        match self.settings.pass.get("find-links") {
            Some((value, origin)) => value
                .split_whitespace()
                .filter(|link| self.is_folder(origin, link))
                .map(str::to_owned)
                .collect(),
            None => Vec::new(),
        }
    }

    fn is_folder(&self, origin: &Origin, link: &str) -> bool {
        self.brings(origin) && !link.contains("://")
    }

    /// Whether paths of this origin mean nothing in the builder.
    fn brings(&self, origin: &Origin) -> bool {
        !self.inherits && *origin == Origin::Caller
    }

    /// Takes a file of this machine along; returns its path in the builder.
    #[expect(clippy::unused_self, reason = "reads as a sentence where it is called")]
    fn bring(
        &self,
        session: &dyn Session,
        rendered: &mut Rendered,
        name: &str,
        path: &Path,
    ) -> Result<String, Error> {
        let inside = format!("settings/{name}");
        let node = Node::File {
            content: Content::from(fs::read(path)?),
            executable: false,
        };
        rendered
            .tree
            .insert(RelPath::new(&inside)?, node)
            .map_err(|occupied| Error::Twice(occupied.0))?;
        Ok(session.locate(&format!("{}/{inside}", rendered.work)))
    }

    /// What is the same for every build.
    fn fixed(&self, session: &dyn Session) -> BTreeMap<String, String> {
        let temp = session.locate(TEMP);
        let mut env: BTreeMap<String, String> = [
            ("PIP_CONFIG_FILE", "/dev/null"),
            ("PIP_ROOT_USER_ACTION", "ignore"),
            ("PIP_NO_WARN_CONFLICTS", "1"),
            ("PYTHONHASHSEED", "0"),
            ("PYTHONIOENCODING", "utf-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        env.insert(
            "SOURCE_DATE_EPOCH".to_owned(),
            self.options.epoch.to_string(),
        );
        if let Some(flag) = &self.interpreter.prefix_map {
            // Flags in the environment replace the defaults of some build systems, the level of
            // optimisation with them: so it is said again.
            let level = &self.interpreter.optimisation;
            for name in ["CFLAGS", "CXXFLAGS"] {
                let given = match self.options.env.get(name).filter(|_| self.inherits) {
                    Some(given) => given.clone(),
                    None => level.clone(),
                };
                env.insert(name.to_owned(), format!("{given} {flag}={temp}=/build"));
            }
        }
        env.insert("TMPDIR".to_owned(), temp);
        env
    }
}

/// Has pip take no wheel that asks for a newer glibc; returns the folder with what says so.
///
/// <https://peps.python.org/pep-0600/#package-installers>
fn limit_glibc(
    session: &dyn Session,
    rendered: &mut Rendered,
    (major, minor): (u32, u32),
) -> Result<String, Error> {
    let text = format!("{MANYLINUX}\nGLIBC = ({major}, {minor})\n");
    let node = Node::File {
        content: text.into_bytes().into(),
        executable: false,
    };
    rendered
        .tree
        .insert(RelPath::new("glibc/_manylinux.py")?, node)
        .map_err(|occupied| Error::Twice(occupied.0))?;
    Ok(session.locate(&format!("{}/glibc", rendered.work)))
}
