//! The page of a project on an index: its files, from JSON or HTML.
//!
//! <https://packaging.python.org/en/latest/specifications/simple-repository-api/>

use std::fmt;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::code::weight;
use crate::requirements::{Hash, file_name};

/// The content types that are asked for, the best first.
pub(super) const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, \
     application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";

/// More files than any project has.
const MAX_FILES: usize = 200_000;
/// The longest URL, in bytes: servers take no longer ones. A link's text may be short, and its base long.
const MAX_URL: usize = 8 << 10;
/// The most bytes that the files of one page take, counted as [`File::weight`] counts them.
const MAX_WEIGHT: usize = 64 << 20;

/// A file of a project: a wheel, an sdist, or something older.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The name.
    pub name: String,
    /// Where it is: absolute, without a fragment.
    pub url: String,
    /// The digests that the index gives, those of algorithms that pip takes for hashes.
    pub hashes: Vec<Hash>,
    /// The Pythons that it is for, as the index says.
    pub requires_python: Option<String>,
    /// Why it was yanked, if it was (PEP 592); the reason may be empty.
    pub yanked: Option<String>,
    /// Its length in bytes (PEP 700).
    pub size: Option<u64>,
    /// Whether its metadata is served as a file of its own (PEP 658, PEP 714), and with which
    /// digests.
    pub metadata: Option<Vec<Hash>>,
}

impl File {
    /// How many bytes of memory it takes, about.
    pub(super) fn weight(&self) -> usize {
        let hashes = self.hashes.iter().chain(self.metadata.iter().flatten());
        let hashes = hashes.map(|hash| weight(&hash.hex));
        let texts = [&self.requires_python, &self.yanked];
        let texts = texts.into_iter().flatten().chain([&self.name, &self.url]);
        size_of::<Self>() + hashes.chain(texts.map(|text| weight(text))).sum::<usize>()
    }
}

/// Why a text is no page of an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Another content type.
    #[error("its type `{0}` is neither HTML nor the Simple API's JSON")]
    ContentType(String),
    /// No JSON, or of another form.
    #[error("its JSON is not the Simple API's: {0}")]
    Json(String),
    /// A version of the API that is not known.
    #[error("it has version {0} of the Simple API: expected 1")]
    Version(String),
    /// A URL in it is none.
    #[error("it contains the invalid URL `{0}`")]
    Url(String),
    /// A URL that no server takes.
    #[error("it contains a URL longer than {MAX_URL} bytes: `{0}…`")]
    LongUrl(String),
    /// More than is read.
    #[error("it lists more than {MAX_FILES} files")]
    TooMany,
    /// More than is kept.
    #[error("its links take more than {} MB", MAX_WEIGHT >> 20)]
    TooLarge,
}

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    meta: Meta,
    #[serde(deserialize_with = "files")]
    files: Vec<JsonFile>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(rename = "api-version")]
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Hashes,
    requires_python: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    yanked: Flag,
    // PEP 714: the second is the older name, which was served wrongly for a while.
    core_metadata: Option<Flag>,
    dist_info_metadata: Option<Flag>,
}

/// The files, as many as are read: a file of 27 bytes of JSON takes ten times as many here.
fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<JsonFile>, D::Error> {
    struct Files;
    impl<'de> Visitor<'de> for Files {
        type Value = Vec<JsonFile>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of files")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<JsonFile>, A::Error> {
            let mut files = Vec::new();
            while let Some(file) = list.next_element()? {
                if files.len() == MAX_FILES {
                    return Err(A::Error::custom(Problem::TooMany));
                }
                files.push(file);
            }
            Ok(files)
        }
    }
    deserializer.deserialize_seq(Files)
}

/// The hashes that mean something to pip; of others, nothing is kept.
#[derive(Default)]
struct Hashes(Vec<Hash>);

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known;
        impl<'de> Visitor<'de> for Known {
            type Value = Hashes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of hashes")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Hashes, A::Error> {
                known(map)
            }
        }
        deserializer.deserialize_map(Known)
    }
}

fn known<'de, A: MapAccess<'de>>(mut map: A) -> Result<Hashes, A::Error> {
    let mut known: Vec<Hash> = Vec::new();
    while let Some((name, hex)) = map.next_entry::<String, String>()? {
        if let Some(hash) = Hash::new(&name, &hex) {
            // Of two of one name, the last counts, as in Python.
            known.retain(|one| one.algorithm != hash.algorithm);
            known.push(hash);
        }
    }
    known.sort_by_key(|hash| hash.algorithm.as_str());
    Ok(Hashes(known))
}

/// `true`, `false`, or a value that stands for `true`. Nothing else is kept, and nothing is read twice, as
/// serde's untagged values are.
#[derive(Default)]
enum Flag {
    #[default]
    No,
    Yes,
    Reason(String),
    Hashes(Hashes),
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, a text or an object of hashes")
            }

            fn visit_bool<E>(self, yes: bool) -> Result<Flag, E> {
                Ok(if yes { Flag::Yes } else { Flag::No })
            }

            fn visit_unit<E>(self) -> Result<Flag, E> {
                Ok(Flag::No)
            }

            fn visit_str<E>(self, reason: &str) -> Result<Flag, E> {
                Ok(Flag::Reason(reason.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Flag, A::Error> {
                known(map).map(Flag::Hashes)
            }
        }
        deserializer.deserialize_any(Value)
    }
}

impl Flag {
    /// As `yanked` has it: a reason, which may be empty.
    fn reason(self) -> Option<String> {
        match self {
            Self::No => None,
            Self::Reason(reason) => Some(reason),
            Self::Yes | Self::Hashes(_) => Some(String::new()),
        }
    }

    /// As `core-metadata` has it: digests, which may be none.
    fn hashes(self) -> Option<Vec<Hash>> {
        match self {
            Self::No => None,
            Self::Hashes(Hashes(hashes)) => Some(hashes),
            Self::Yes | Self::Reason(_) => Some(Vec::new()),
        }
    }
}

/// The files that a page names. It is read by its content type; its links are relative to `url`.
pub fn parse(content_type: &str, body: &[u8], url: &Url) -> Result<Vec<File>, Problem> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        "application/vnd.pypi.simple.v1+json" | "application/json" => json(body, url),
        "application/vnd.pypi.simple.v1+html" | "text/html" | "application/xhtml+xml" => {
            html(body, url)
        }
        _ => Err(Problem::ContentType(kind.to_owned())),
    }
}

/// The files of a page that is being read.
#[derive(Default)]
struct Files {
    files: Vec<File>,
    weight: usize,
}

impl Files {
    fn push(&mut self, file: File) -> Result<(), Problem> {
        self.weight += file.weight();
        if self.weight > MAX_WEIGHT {
            return Err(Problem::TooLarge);
        }
        if self.files.len() == MAX_FILES {
            return Err(Problem::TooMany);
        }
        self.files.push(file);
        Ok(())
    }
}

fn json(body: &[u8], base: &Url) -> Result<Vec<File>, Problem> {
    let page: Json =
        serde_json::from_slice(body).map_err(|error| Problem::Json(error.to_string()))?;
    match page.meta.version {
        Some(version) if version.split('.').next() != Some("1") => {
            return Err(Problem::Version(version));
        }
        _ => {}
    }
    let mut files = Files::default();
    for file in page.files {
        let (url, _) = resolve(base, &file.url)?;
        let metadata = file.core_metadata.or(file.dist_info_metadata);
        files.push(File {
            name: file.filename,
            url,
            hashes: file.hashes.0,
            requires_python: file.requires_python,
            yanked: file.yanked.reason(),
            size: file.size,
            metadata: metadata.and_then(Flag::hashes),
        })?;
    }
    Ok(files.files)
}

/// The attributes that mean something, of the tag that is being read.
#[derive(Default)]
struct Tag {
    is_base: bool,
    is_link: bool,
    /// The last of [`ATTRIBUTES`] whose name came.
    current: Option<usize>,
    values: [Option<String>; ATTRIBUTES.len()],
}

const ATTRIBUTES: [&[u8]; 5] = [
    b"href",
    b"data-requires-python",
    b"data-yanked",
    b"data-core-metadata",
    b"data-dist-info-metadata",
];

/// Every link of a page, whatever text it has: as with pip, the file's name is the URL's.
fn html(body: &[u8], url: &Url) -> Result<Vec<File>, Problem> {
    let mut page = Page {
        base: url.clone(),
        is_based: false,
        files: Files::default(),
    };
    let mut tag = Tag::default();
    let text = String::from_utf8_lossy(body);
    // Event by event: a token has all the attributes of its tag, of which there may be millions.
    let emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                tag = Tag {
                    is_base: name == b"base",
                    is_link: name == b"a",
                    ..Tag::default()
                };
            }
            CallbackEvent::AttributeName { name } => {
                let known = ATTRIBUTES.iter().position(|known| *known == name);
                // Of two of one name, the first counts.
                tag.current = known.filter(|at| tag.values[*at].is_none());
                if let Some(at) = tag.current {
                    tag.values[at] = Some(String::new());
                }
            }
            CallbackEvent::AttributeValue { value } => {
                if let Some(at) = tag.current.take() {
                    tag.values[at] = Some(String::from_utf8_lossy(value).into_owned());
                }
            }
            CallbackEvent::CloseStartTag { .. } => {
                return page.tag(std::mem::take(&mut tag)).err();
            }
            _ => {}
        }
        None
    });
    let problem = Tokenizer::new_with_emitter(&*text, emitter).next();
    match problem {
        Some(Ok(problem)) => Err(problem),
        None => Ok(page.files.files),
    }
}

/// A page of HTML that is being read.
struct Page {
    base: Url,
    is_based: bool,
    files: Files,
}

impl Page {
    fn tag(&mut self, tag: Tag) -> Result<(), Problem> {
        let [
            href,
            requires_python,
            yanked,
            core_metadata,
            dist_info_metadata,
        ] = tag.values;
        let Some(href) = href else {
            return Ok(());
        };
        if tag.is_base && !self.is_based {
            self.base = join(&self.base, &href)?;
            self.is_based = true;
        }
        if !tag.is_link {
            return Ok(());
        }
        // Pages of links hold others than to files: what is no URL leads nowhere.
        let Ok((url, fragment)) = resolve(&self.base, &href) else {
            return Ok(());
        };
        let metadata = core_metadata.or(dist_info_metadata);
        self.files.push(File {
            name: file_name(&url),
            url,
            hashes: fragment.as_deref().map(fragment_hashes).unwrap_or_default(),
            requires_python,
            yanked,
            size: None,
            metadata: metadata
                .filter(|value| value != "false")
                .map(|value| fragment_hashes(&value)),
        })
    }
}

/// The digest in `sha256=…`, where there is one.
fn fragment_hashes(fragment: &str) -> Vec<Hash> {
    let pairs = fragment
        .split('&')
        .filter_map(|part| part.split_once('='))
        .filter_map(|(name, hex)| Hash::new(name, hex));
    pairs.collect()
}

/// A link of a page, absolute, and its fragment.
fn resolve(base: &Url, link: &str) -> Result<(String, Option<String>), Problem> {
    let mut url = join(base, link.trim())?;
    let fragment = url.fragment().map(str::to_owned);
    url.set_fragment(None);
    Ok((url.into(), fragment))
}

fn join(base: &Url, link: &str) -> Result<Url, Problem> {
    let long = || Problem::LongUrl(link.chars().take(100).collect());
    if link.len() > MAX_URL {
        return Err(long());
    }
    let url = base.join(link).map_err(|_| Problem::Url(link.to_owned()))?;
    if url.as_str().len() > MAX_URL {
        return Err(long());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592";

    fn url() -> Url {
        Url::parse("https://host/simple/a/").unwrap()
    }

    #[test]
    fn json_is_read() {
        let text = format!(
            r#"{{"meta": {{"api-version": "1.4"}}, "name": "a", "files": [
                {{"filename": "a-1-py3-none-any.whl", "url": "../../f/a-1-py3-none-any.whl",
                  "hashes": {{"sha256": "{DIGEST}", "md5": "00"}}, "requires-python": ">=3.8", "size": 7,
                  "yanked": "broken", "core-metadata": {{"sha256": "{DIGEST}"}}}},
                {{"filename": "a-1.tar.gz", "url": "https://other/a-1.tar.gz", "hashes": {{}},
                  "yanked": true, "dist-info-metadata": true, "core-metadata": false}}]}}"#
        );
        let files = parse(
            "application/vnd.pypi.simple.v1+json; charset=utf-8",
            text.as_bytes(),
            &url(),
        );
        let files = files.unwrap();
        assert_eq!(files[0].url, "https://host/f/a-1-py3-none-any.whl");
        assert_eq!(files[0].hashes[0].to_string(), format!("sha256:{DIGEST}"));
        assert_eq!(files[0].hashes.len(), 1);
        assert_eq!(files[0].size, Some(7));
        assert_eq!(files[0].yanked.as_deref(), Some("broken"));
        assert_eq!(files[0].metadata.as_ref().unwrap().len(), 1);
        assert_eq!(files[1].yanked.as_deref(), Some(""));
        assert_eq!(files[1].metadata, None);
    }

    #[test]
    fn html_is_read() {
        let text = format!(
            "<html><head><base href='/files/'></head><BODY><a name=x>no</a>\
             <A HREF='a%2B-1-py3-none-any.whl#sha256={DIGEST}' data-requires-python='&gt;=3.8' \
             data-yanked='' data-core-metadata='sha256={DIGEST}'>x</A><a href='b.zip'>b</a>\
             <a href='http://['>broken</a>"
        );
        let files = parse("text/html", text.as_bytes(), &url()).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].name, "a+-1-py3-none-any.whl");
        assert_eq!(files[0].url, "https://host/files/a%2B-1-py3-none-any.whl");
        assert_eq!(files[0].requires_python.as_deref(), Some(">=3.8"));
        assert_eq!(files[0].yanked.as_deref(), Some(""));
        assert_eq!(files[0].hashes, files[0].metadata.clone().unwrap());
        assert_eq!(files[1].metadata, None);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let refused = |kind: &str, text: &str| {
            let error = parse(kind, text.as_bytes(), &url()).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            refused("image/png; x=1", ""),
            "its type `image/png` is neither HTML nor the Simple API's JSON"
        );
        let json = "application/vnd.pypi.simple.v1+json";
        assert!(refused(json, "<html>").starts_with("its JSON is not the Simple API's"));
        assert!(refused(json, r#"{"files": {}}"#).starts_with("its JSON is not the Simple API's"));
        assert_eq!(
            refused(json, r#"{"meta": {"api-version": "2.0"}, "files": []}"#),
            "it has version 2.0 of the Simple API: expected 1"
        );
        assert_eq!(
            refused(json, r#"{"files": [{"filename": "a", "url": "http://["}]}"#),
            "it contains the invalid URL `http://[`"
        );
    }
}
