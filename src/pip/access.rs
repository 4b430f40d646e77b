//! pip's settings for indexes and network, for prebuild's own downloads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::settings::{Origin, Settings};
use super::{Error, Options};
use crate::index::{DEFAULT_INDEX, Links, Network, Sources};
use crate::requirements::{FindLinks, Formats, Located, Requirements, Text};
use crate::resolve::{Outcome, Rules};

/// Settings that only pip itself knows what to do with.
const PIP_ONLY: [&str; 3] = ["uploaded-prior-to", "use-deprecated", "use-feature"];

/// Where files are looked for, and how hosts are reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where files are looked for.
    pub sources: Sources,
    /// How hosts are reached.
    pub network: Network,
}

impl Settings {
    /// What the settings and the options in the requirements come to, unless only pip can follow them.
    pub fn access(
        &self,
        options: &Options,
        requirements: &Requirements,
        cwd: &Path,
    ) -> Result<Outcome<Access>, Error> {
        let case = Case {
            settings: self,
            options,
        };
        case.access(requirements, cwd)
    }
}

impl Settings {
    /// Which files are taken.
    #[must_use]
    pub fn rules(&self, options: &Options, requirements: &Requirements) -> Rules {
        let case = Case {
            settings: self,
            options,
        };
        case.rules(requirements)
    }

    /// How hosts are reached for the requirements themselves, before any is read; and the URLs of indexes,
    /// whose credentials are for all that is on their hosts.
    #[must_use]
    pub fn network(&self, options: &Options, cwd: &Path) -> (Network, Vec<String>) {
        let case = Case {
            settings: self,
            options,
        };
        let names = ["index-url", "pypi-url", "extra-index-url"];
        let indexes = names.into_iter().flat_map(|name| case.words(name));
        let indexes = indexes.map(str::to_owned).collect();
        (case.network(&Requirements::default(), cwd), indexes)
    }
}

/// Whose settings, and what else was said.
struct Case<'a> {
    settings: &'a Settings,
    options: &'a Options,
}

impl Case<'_> {
    fn access(&self, requirements: &Requirements, cwd: &Path) -> Result<Outcome<Access>, Error> {
        if let Some(name) = PIP_ONLY.iter().find(|name| self.value(name).is_some()) {
            return Ok(Outcome::open(format!("`{name}` is set")));
        }
        if !requirements.options().use_features.is_empty() {
            return Ok(Outcome::open("`--use-feature` is set"));
        }
        let sources = match self.sources(requirements, cwd)? {
            Outcome::Decided(sources) => sources,
            Outcome::Open(why) => return Ok(Outcome::Open(why)),
        };
        Ok(Outcome::Decided(Access {
            sources,
            network: self.network(requirements, cwd),
        }))
    }

    fn value(&self, name: &str) -> Option<&str> {
        let (value, _) = self.settings.pass.get(name)?;
        Some(value)
    }

    fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.value(name).unwrap_or_default().split_whitespace()
    }

    fn is_on(&self, name: &str) -> bool {
        self.settings.is_on(name) || self.options.args.contains(&format!("--{name}"))
    }

    fn sources(&self, requirements: &Requirements, cwd: &Path) -> Result<Outcome<Sources>, Error> {
        let options = requirements.options();
        let text = |located: &Located<Text>| located.value.expanded().to_owned();
        let mut indexes = Vec::new();
        if let Some(index) = &options.index_url {
            indexes.push(text(index));
        } else {
            let index = self.value("index-url").or_else(|| self.value("pypi-url"));
            indexes.push(index.unwrap_or(DEFAULT_INDEX).to_owned());
            indexes.extend(self.words("extra-index-url").map(str::to_owned));
        }
        indexes.extend(options.extra_index_urls.iter().map(text));
        if options.no_index.is_some() || self.is_on("no-index") {
            indexes.clear();
        }
        let mut links = Vec::new();
        if let Some((_, origin)) = self.settings.pass.get("find-links") {
            for link in self.words("find-links") {
                if !self.settings.is_here && *origin == Origin::Builder && !is_remote(link) {
                    return Ok(Outcome::open(format!(
                        "the links `{link}` are in the builder"
                    )));
                }
                links.push(self.links(link, cwd)?);
            }
        }
        for located in &options.find_links {
            links.push(match &located.value {
                FindLinks::Path { path, .. } => Links::Path(path.to_path_buf()),
                FindLinks::Url(url) => self.links(url.expanded(), cwd)?,
            });
        }
        Ok(Outcome::Decided(Sources {
            indexes,
            links,
            strategy: self.options.strategy,
        }))
    }

    #[expect(clippy::unused_self, reason = "reads as a sentence where it is called")]
    fn links(&self, link: &str, cwd: &Path) -> Result<Links, Error> {
        if is_remote(link) {
            return Ok(Links::Page(link.to_owned()));
        }
        if !link.starts_with("file:") {
            return Ok(Links::Path(cwd.join(link)));
        }
        let path = Url::parse(link)
            .ok()
            .and_then(|url| url.to_file_path().ok());
        let path = path.ok_or_else(|| crate::index::Error::Url(link.to_owned()))?;
        Ok(Links::Path(path))
    }

    fn network(&self, requirements: &Requirements, cwd: &Path) -> Network {
        let variable = |name: &str| -> Option<String> {
            let value = self.options.env.get(name).filter(|value| !value.is_empty());
            value.cloned()
        };
        let either = |name: &str| variable(&name.to_lowercase()).or_else(|| variable(name));
        let all = either("ALL_PROXY");
        let ours = |name: &str| {
            let (value, origin) = self.settings.pass.get(name)?;
            let is_ours = self.settings.is_here || *origin == Origin::Caller;
            is_ours.then(|| cwd.join(value))
        };
        let bundles = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];
        let bundle = || bundles.into_iter().find_map(variable).map(PathBuf::from);
        let trusted = requirements.options().trusted_hosts.iter();
        let home = || variable("HOME").map(|home| PathBuf::from(home).join(".netrc"));
        let default = Network::default();
        let seconds = self
            .value("timeout")
            .or_else(|| self.value("default-timeout"));
        let seconds = seconds.and_then(|value| value.parse().ok());
        Network {
            proxy: self.value("proxy").map(str::to_owned),
            http_proxy: either("HTTP_PROXY").or_else(|| all.clone()),
            https_proxy: either("HTTPS_PROXY").or(all),
            no_proxy: either("NO_PROXY").unwrap_or_default(),
            certificates: self
                .options
                .ca_cert
                .clone()
                .or_else(|| ours("cert"))
                .or_else(bundle),
            client_certificate: ours("client-cert"),
            trusted_hosts: self
                .words("trusted-host")
                .map(str::to_owned)
                .chain(trusted.map(|host| host.value.expanded().to_owned()))
                .collect(),
            timeout: seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(default.timeout),
            retries: self
                .value("retries")
                .and_then(|value| value.parse().ok())
                .unwrap_or(default.retries),
            offline: self.options.offline,
            netrc: variable("NETRC").map(PathBuf::from).or_else(home),
            // Otherwise pip would, told to ask nobody for input, ask no keyring either.
            keyring: self
                .value("keyring-provider")
                .is_some_and(|provider| ["subprocess", "import"].contains(&provider))
                .then(|| self.options.env.clone()),
            now: self.options.now.unwrap_or(default.now),
        }
    }

    fn rules(&self, requirements: &Requirements) -> Rules {
        let options = requirements.options();
        let mut formats = Formats::default();
        for names in self.words("no-binary") {
            formats.no_binary(names);
        }
        for names in self.words("only-binary") {
            formats.only_binary(names);
        }
        for control in &options.format_control {
            formats.add(&control.value);
        }
        let required = options.require_hashes.as_ref().map(|on| on.value);
        Rules {
            formats,
            prefer_binary: options.prefer_binary.is_some() || self.is_on("prefer-binary"),
            require_hashes: required.or_else(|| self.is_on("require-hashes").then_some(true)),
            no_deps: self.is_on("no-deps"),
            ignore_requires_python: self.is_on("ignore-requires-python"),
        }
    }
}

fn is_remote(link: &str) -> bool {
    link.contains("://") && !link.starts_with("file:")
}
