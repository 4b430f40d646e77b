//! Files into [`Requirements`]: lines, what they include, and what they mean.

use std::path::{Path, PathBuf};

use super::error::{Error, Location, Problem};
use super::options::{self, Given};
use super::text::{self, Char, DecodeError, Line};
use super::what::{self, Kind, Read};
use super::written::{Text, hide_credentials, normal_path};
use super::{Algorithm, Context, Control, Entry, FindLinks, Hash, Requirements, What, normalise};
use crate::digest::Digest;
use crate::fs;

/// The features that pip 26.3 knows.
const FEATURES: [&str; 6] = [
    "fast-deps",
    "inprocess-build-deps",
    "venv-isolation",
    "truststore",
    "no-binary-enable-wheel-cache",
    "build-constraint",
];

pub(super) struct Reader<'a> {
    context: Context<'a>,
    found: Requirements,
    /// The files that are being read, absolute, the outermost first.
    open: Vec<PathBuf>,
}

/// A line of a file that is being read.
#[derive(Clone, Copy)]
struct Here<'a> {
    file: &'a Path,
    line: &'a Line,
    constraint: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(context: Context<'a>) -> Self {
        Self {
            context,
            found: Requirements::default(),
            open: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Requirements {
        self.found
    }

    /// Reads the bytes of a file.
    pub(super) fn file(
        &mut self,
        file: &Path,
        bytes: &[u8],
        constraint: bool,
    ) -> Result<(), Error> {
        self.open.push(normal_path(&self.context.cwd.join(file)));
        self.found
            .files
            .push((file.to_path_buf(), Digest::of(bytes)));
        let text = text::decode(bytes).map_err(|error| not_text(file, error))?;
        for line in text::lines(&text, self.context.env) {
            self.line(Here {
                file,
                line: &line,
                constraint,
            })?;
        }
        self.open.pop();
        Ok(())
    }

    fn line(&mut self, here: Here<'_>) -> Result<(), Error> {
        let chars = &here.line.chars;
        let (end, options) = options::split(chars);
        let given = match options {
            Some(start) => options::parse(chars, start)
                .map_err(|wrong| here.wrong(wrong.at, Problem::Option(wrong.problem)))?,
            None => Vec::new(),
        };
        let requirement = &chars[..end.min(chars.len())];
        self.controls(here, &given);
        let value = |name: &str| given.iter().find(|given| given.option.name() == name);
        if !requirement.iter().all(|c| c.c == ' ') {
            if let Some(editable) = value("--editable") {
                let problem = "`-e` stands before what it names, and nothing before it";
                return Err(here.wrong(editable.at, Problem::Option(problem.to_owned())));
            }
            self.requirement(here, requirement, 0, &given)
        } else if let Some(editable) = value("--editable") {
            self.requirement(here, &editable.value, editable.at, &given)
        } else if let Some(include) = value("--requirement") {
            self.include(here, include, false)
        } else if let Some(include) = value("--constraint") {
            self.include(here, include, true)
        } else {
            self.options(here, &given)
        }
    }

    /// `-r` and `-c`: of several on one line, pip reads the first.
    fn include(&mut self, here: Here<'_>, include: &Given, constraint: bool) -> Result<(), Error> {
        let value = string(&include.value);
        let wrong = |problem| here.wrong(include.at, problem);
        let path = match what::scheme(&value).as_deref() {
            Some("http" | "https") => return Err(wrong(Problem::Url)),
            Some("file") => what::file_url_path(&value).ok_or_else(|| wrong(Problem::Url))?,
            _ => match here.file.parent() {
                Some(folder) => folder.join(&value),
                None => PathBuf::from(&value),
            },
        };
        let absolute = normal_path(&self.context.cwd.join(&path));
        if self.open.contains(&absolute) {
            return Err(wrong(Problem::Cycle(path)));
        }
        let bytes = fs::read(&absolute).map_err(|source| {
            let (at, excerpt) = here.excerpt(include.at);
            Error::Included {
                at,
                excerpt,
                source,
            }
        })?;
        self.file(&path, &bytes, constraint)
    }

    /// The lists of names, which pip lets count wherever they stand.
    fn controls(&mut self, _: Here<'_>, given: &[Given]) {
        for given in given {
            let control = match given.option.name() {
                "--no-binary" => Control::NoBinary,
                "--only-binary" => Control::OnlyBinary,
                "--all-releases" => Control::AllReleases,
                "--only-final" => Control::OnlyFinal,
                _ => continue,
            };
            self.found
                .options
                .controls
                .push((control, string(&given.value)));
        }
    }

    /// A line of options alone.
    fn options(&mut self, here: Here<'_>, given: &[Given]) -> Result<(), Error> {
        let base = self.context.cwd.join(here.file);
        let options = &mut self.found.options;
        let mut links = given
            .iter()
            .filter(|given| given.option.name() == "--find-links");
        let first_links = links.next();
        for given in given {
            match given.option.name() {
                "--no-index" => {
                    options.no_index = true;
                    options.index_url = None;
                    options.extra_index_urls.clear();
                }
                "--pre" => options.pre = true,
                "--prefer-binary" => options.prefer_binary = true,
                "--require-hashes" => options.require_hashes = true,
                "--no-require-hashes" => options.no_require_hashes = true,
                "--trusted-host" => options.trusted_hosts.push(string(&given.value)),
                "--use-feature" => {
                    let feature = string(&given.value);
                    if !FEATURES.contains(&feature.as_str()) {
                        let problem =
                            format!("`--use-feature` takes one of {}", FEATURES.join(", "));
                        return Err(here.wrong(given.at, Problem::Option(problem)));
                    }
                    if !options.use_features.contains(&feature) {
                        options.use_features.push(feature);
                    }
                }
                "--hash" => {
                    parse_hash(here, given)?;
                    here.warn(
                        &mut self.found.warnings,
                        given,
                        "stands behind no requirement and has no effect",
                    );
                }
                "--config-settings" => {
                    setting(here, given)?;
                    here.warn(
                        &mut self.found.warnings,
                        given,
                        "stands behind no requirement and has no effect",
                    );
                }
                _ => {}
            }
        }
        // In pip's order, whatever theirs: `-i` takes the place of all before it, and `--no-index`
        // of both.
        if !options.no_index {
            let last = given
                .iter()
                .rfind(|given| given.option.name() == "--index-url");
            if let Some(index) = last {
                options.index_url = Some(here.text(&index.value));
                options.extra_index_urls.clear();
            }
            let extra = given
                .iter()
                .filter(|given| given.option.name() == "--extra-index-url");
            options
                .extra_index_urls
                .extend(extra.map(|given| here.text(&given.value)));
        }
        if let Some(links) = first_links {
            options.find_links.push(find_links(here, links, &base));
        }
        for given in links {
            here.warn(
                &mut self.found.warnings,
                given,
                "has no effect: pip reads the first one of a line",
            );
        }
        Ok(())
    }

    fn requirement(
        &mut self,
        here: Here<'_>,
        chars: &[Char],
        at: usize,
        given: &[Given],
    ) -> Result<(), Error> {
        let editable = given
            .iter()
            .any(|given| given.option.name() == "--editable");
        let text = string(chars);
        // Behind `-e`, quotes may part the characters of the value from those of the line.
        let place = |byte: usize| {
            if editable {
                at
            } else {
                at + text[..byte.min(text.len())].chars().count()
            }
        };
        let cwd = self.context.cwd;
        let read = if editable {
            what::read_editable(&text, cwd)
        } else {
            what::read(&text, cwd)
        };
        let Read {
            kind,
            extras,
            marker,
        } = read.map_err(|(byte, problem)| here.wrong(place(byte), problem))?;
        let part = |range: std::ops::Range<usize>| {
            let (from, to) = (
                text[..range.start].chars().count(),
                text[..range.end].chars().count(),
            );
            here.text(&chars[from..to])
        };
        let what = match kind {
            Kind::Named { name, specifier } => What::Named { name, specifier },
            Kind::Url { name, url } => What::Url {
                name,
                url: part(url),
            },
            Kind::Path {
                name,
                path,
                fragment,
            } => What::Path {
                name,
                path,
                fragment,
            },
        };
        let entry = self.entry(
            here,
            Entry {
                what,
                extras: sorted(extras),
                marker,
                hashes: Vec::new(),
                config_settings: Vec::new(),
                editable,
                written: here.text(chars),
                at: here.location(at),
            },
            given,
        )?;
        if here.constraint {
            check_constraint(&entry).map_err(|problem| here.wrong(at, problem))?;
            self.found.constraints.push(entry);
        } else {
            self.found.entries.push(entry);
        }
        Ok(())
    }

    /// Adds what the options behind a requirement say of it.
    fn entry(&mut self, here: Here<'_>, mut entry: Entry, given: &[Given]) -> Result<Entry, Error> {
        for given in given {
            match given.option.name() {
                "--hash" if !entry.editable => entry.hashes.push(parse_hash(here, given)?),
                "--config-settings" => entry.config_settings.push(setting(here, given)?),
                "--editable" | "--no-binary" | "--only-binary" | "--all-releases"
                | "--only-final" => {}
                _ => here.warn(
                    &mut self.found.warnings,
                    given,
                    "has no effect behind a requirement",
                ),
            }
        }
        if entry.editable {
            self.found.warnings.push(format!(
                "{}: `-e {}` is installed as an ordinary wheel: an artifact cannot point at a source tree",
                entry.at, entry.written
            ));
        }
        Ok(entry)
    }
}

fn check_constraint(entry: &Entry) -> Result<(), Problem> {
    if entry.editable {
        return Err(Problem::Constraint("it cannot be editable"));
    }
    if entry.what.name().is_none() {
        return Err(Problem::Constraint("it must have a name"));
    }
    if !entry.extras.is_empty() {
        return Err(Problem::Constraint("it cannot have extras"));
    }
    Ok(())
}

fn sorted(mut extras: Vec<String>) -> Vec<String> {
    extras.sort();
    extras.dedup_by_key(|extra| normalise(extra));
    extras
}

fn string(chars: &[Char]) -> String {
    chars.iter().map(|c| c.c).collect()
}

fn parse_hash(here: Here<'_>, given: &Given) -> Result<Hash, Error> {
    let value = string(&given.value);
    let wrong = |problem: &str| here.wrong(given.at, Problem::Option(problem.to_owned()));
    let Some((algorithm, hex)) = value.split_once(':') else {
        return Err(wrong(
            "`--hash` takes an algorithm and a digest, such as `sha256:…`",
        ));
    };
    let algorithm = match algorithm {
        "sha256" => Algorithm::Sha256,
        "sha384" => Algorithm::Sha384,
        "sha512" => Algorithm::Sha512,
        _ => return Err(wrong("`--hash` takes sha256, sha384 or sha512")),
    };
    let digits = algorithm.hex_digits();
    if hex.len() != digits || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
        let name = algorithm.name();
        return Err(wrong(&format!("a {name} digest has {digits} hex digits")));
    }
    Ok(Hash {
        algorithm,
        hex: hex.to_ascii_lowercase(),
    })
}

fn setting(here: Here<'_>, given: &Given) -> Result<Text, Error> {
    let text = here.text(&given.value);
    if text.expanded().contains('=') {
        Ok(text)
    } else {
        let problem = "`--config-settings` takes `KEY=VALUE`".to_owned();
        Err(here.wrong(given.at, Problem::Option(problem)))
    }
}

/// A path is looked for beside the file first, then, as pip has it, taken from the working folder.
fn find_links(here: Here<'_>, given: &Given, file: &Path) -> FindLinks {
    let value = string(&given.value);
    let beside = file.parent().map(|folder| folder.join(&value));
    match beside.filter(|path| fs::exists(path).is_some()) {
        Some(path) => FindLinks::Path(normal_path(&path)),
        None => match what::scheme(&value).as_deref() {
            Some("file") => match what::file_url_path(&value) {
                Some(path) => FindLinks::Path(normal_path(&path)),
                None => FindLinks::Url(here.text(&given.value)),
            },
            _ => FindLinks::Url(here.text(&given.value)),
        },
    }
}

fn not_text(file: &Path, error: DecodeError) -> Error {
    let (line, problem) = match error {
        DecodeError::UnknownEncoding(name) => {
            (1, format!("`{name}` is no encoding that is read here"))
        }
        DecodeError::Invalid { encoding, line } => (line, format!("this is not {encoding}")),
    };
    Error::NotText {
        file: file.to_path_buf(),
        line,
        problem,
    }
}

impl Here<'_> {
    fn location(&self, index: usize) -> Location {
        let place = self.line.place(index);
        Location {
            file: self.file.to_path_buf(),
            line: place.line,
            column: place.column,
        }
    }

    /// The value of characters, and what was written for them.
    fn text(&self, chars: &[Char]) -> Text {
        Text::new(self.line.written(chars), string(chars))
    }

    fn wrong(&self, index: usize, problem: Problem) -> Error {
        let (at, excerpt) = self.excerpt(index);
        Error::Invalid {
            at,
            excerpt,
            problem: self.without_secrets(problem),
        }
    }

    /// A message may quote the line: what it quotes must be what was written.
    fn without_secrets(&self, problem: Problem) -> Problem {
        let clean = |text: String| {
            let mut text = text;
            for (value, written) in self.line.expansions() {
                text = text.replace(&value, &written);
            }
            hide_credentials(&text)
        };
        match problem {
            Problem::Requirement(text) => Problem::Requirement(clean(text)),
            Problem::Marker(text) => Problem::Marker(clean(text)),
            Problem::Option(text) => Problem::Option(clean(text)),
            Problem::NoSuchPath(path) => {
                Problem::NoSuchPath(clean(path.to_string_lossy().into_owned()).into())
            }
            Problem::NotAProject(path) => {
                Problem::NotAProject(clean(path.to_string_lossy().into_owned()).into())
            }
            problem => problem,
        }
    }

    /// The line as it was written, with a caret under the place; credentials are hidden.
    fn excerpt(&self, index: usize) -> (Location, String) {
        let at = self.location(index);
        let (text, column) = self.line.physical(at.line, at.column);
        let before = hide_credentials(&text[..column]);
        let shown = hide_credentials(&text);
        // The caret is put behind what is shown of the text before it.
        let caret = before.chars().count().min(shown.chars().count());
        let number = at.line.to_string();
        let margin = " ".repeat(number.len());
        let blank = " ".repeat(caret);
        (at, format!(" {number} | {shown}\n {margin} | {blank}^"))
    }

    fn warn(&self, warnings: &mut Vec<String>, given: &Given, problem: &str) {
        let at = self.location(given.at);
        warnings.push(format!("{at}: `{}` {problem}", given.option.name()));
    }
}
