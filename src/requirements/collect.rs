//! The options of lines → those of the whole run, as pip's finder takes them over.

use std::path::Path;

use super::entry::Hash;
use super::error::{Error, Fault, Problem};
use super::lines::Line;
use super::link::{Link, normalize};
use super::options::{FindLinks, FormatControl, Located, ReleaseControl};
use super::reader::{Reader, Source};
use super::text::LocalPath;
use super::words::{Given, Name};
use crate::fs;

/// The features that pip 26.3 has.
const FEATURES: [&str; 6] = [
    "fast-deps",
    "inprocess-build-deps",
    "venv-isolation",
    "truststore",
    "no-binary-enable-wheel-cache",
    "build-constraint",
];

impl Reader<'_> {
    /// Checks the value of an option, as far as pip does wherever it stands, and takes over the
    /// options that pip honours wherever they stand.
    pub(super) fn value(
        &mut self,
        source: &Source<'_>,
        line: &Line,
        given: Given<'_>,
    ) -> Result<(), Fault> {
        let fault = |problem| Err(Fault::new(given.value.offset(0), problem));
        let text = given.value.text;
        let at = source.location(line, given.at);
        let options = &mut self.read.options;
        match given.name {
            Name::UseFeature if !FEATURES.contains(&text) => {
                let features = FEATURES.map(|feature| format!("`{feature}`"));
                return fault(Problem::Feature(features.join(", ")));
            }
            Name::Hash => {
                if let Err(problem) = Hash::parse(text) {
                    return fault(problem);
                }
            }
            Name::ConfigSettings if !text.contains('=') => return fault(Problem::SettingForm),
            Name::NoBinary | Name::OnlyBinary | Name::AllReleases | Name::OnlyFinal
                if text.starts_with('-') =>
            {
                return fault(Problem::Names(given.name.as_str()));
            }
            Name::NoBinary => options.format_control.push(Located {
                value: FormatControl::NoBinary(given.value.to_text()),
                at,
            }),
            Name::OnlyBinary => options.format_control.push(Located {
                value: FormatControl::OnlyBinary(given.value.to_text()),
                at,
            }),
            Name::AllReleases => options.release_control.push(Located {
                value: ReleaseControl::AllReleases(given.value.to_text()),
                at,
            }),
            Name::OnlyFinal => options.release_control.push(Located {
                value: ReleaseControl::OnlyFinal(given.value.to_text()),
                at,
            }),
            _ => {}
        }
        Ok(())
    }

    /// Takes over the options of a line that has nothing else.
    pub(super) fn options(
        &mut self,
        source: &Source<'_>,
        line: &Line,
        given: &[Given<'_>],
    ) -> Result<(), Error> {
        self.indexes(source, line, given);
        let mut links = given.iter().filter(|given| given.name == Name::FindLinks);
        if let Some(given) = links.next() {
            self.find_links(source, line, given);
        }
        self.overlook(source, line, links);
        let useless = |given: &&Given<'_>| matches!(given.name, Name::Hash | Name::ConfigSettings);
        self.overlook(source, line, given.iter().filter(useless));
        for given in given {
            let at = source.location(line, given.at);
            let options = &mut self.read.options;
            match given.name {
                Name::Pre => options.release_control.push(Located {
                    value: ReleaseControl::Pre,
                    at,
                }),
                Name::PreferBinary => options.prefer_binary = Some(at),
                Name::RequireHashes | Name::NoRequireHashes => {
                    let value = given.name == Name::RequireHashes;
                    match &options.require_hashes {
                        Some(earlier) if earlier.value != value => {
                            let fault = Fault::new(given.at, Problem::HashModes);
                            return Err(source.error(line, fault));
                        }
                        _ => options.require_hashes = Some(Located { value, at }),
                    }
                }
                Name::TrustedHost => options.trusted_hosts.push(Located {
                    value: given.value.to_text(),
                    at,
                }),
                Name::UseFeature => options.use_features.push(Located {
                    value: given.value.to_text(),
                    at,
                }),
                _ => {}
            }
        }
        Ok(())
    }

    /// `--no-index` wins over all else, before and behind it; `--index-url` replaces what was
    /// there before it.
    fn indexes(&mut self, source: &Source<'_>, line: &Line, given: &[Given<'_>]) {
        let of = |name| given.iter().filter(move |given| given.name == name);
        let locate = |given: &Given<'_>| Located {
            value: given.value.to_text(),
            at: source.location(line, given.at),
        };
        let options = &mut self.read.options;
        if let Some(given) = of(Name::NoIndex).next_back() {
            options.no_index = Some(source.location(line, given.at));
            options.index_url = None;
            options.extra_index_urls.clear();
        }
        if options.no_index.is_some() {
            self.overlook(source, line, of(Name::IndexUrl));
            self.overlook(source, line, of(Name::ExtraIndexUrl));
            return;
        }
        let last = of(Name::IndexUrl).next_back();
        if let Some(given) = last.filter(|given| !given.value.text.is_empty()) {
            options.index_url = Some(locate(given));
            options.extra_index_urls.clear();
        }
        options
            .extra_index_urls
            .extend(of(Name::ExtraIndexUrl).map(locate));
    }

    /// A path is relative to the file if something is there, else to the working folder.
    fn find_links(&mut self, source: &Source<'_>, line: &Line, given: &Given<'_>) {
        let written = given.value.to_text();
        let folder = source.path.parent().unwrap_or(Path::new("/"));
        let beside = normalize(&folder.join(given.value.text));
        let url = Link::new(given.value.text).ok().flatten();
        let path = if fs::exists(&beside).is_some() {
            Some(beside)
        } else {
            match url {
                Some(url) if url.is_file() => url.to_path(self.context.cwd).ok(),
                Some(_) => None,
                None => Some(normalize(&self.context.cwd.join(given.value.text))),
            }
        };
        let at = source.location(line, given.at);
        if path.as_ref().is_some_and(|path| fs::exists(path).is_none()) {
            let what = format!("there is nothing at `{written}`");
            self.warn(source, line, given.value.offset(0), what);
        }
        let value = match path {
            Some(path) => FindLinks::Path {
                path: LocalPath::new(path),
                written,
            },
            None => FindLinks::Url(written),
        };
        self.read.options.find_links.push(Located { value, at });
    }
}
