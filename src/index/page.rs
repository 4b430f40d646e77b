//! What an index says of a project: its files, from JSON or from HTML.
//!
//! <https://packaging.python.org/en/latest/specifications/simple-repository-api/>

use html5gum::{Token, Tokenizer};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::requirements::{Hash, file_name};

/// The content types that are asked for, the best first.
pub(super) const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, \
     application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";

/// More files than any project has.
const MAX_FILES: usize = 1_000_000;

/// A file of a project: a wheel, an sdist, or something older.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
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

/// Why a text is no page of an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Another content type.
    #[error("it is `{0}`, and neither HTML nor the Simple API's JSON")]
    ContentType(String),
    /// No JSON, or of another form.
    #[error("its JSON is not the Simple API's: {0}")]
    Json(String),
    /// A version of the API that is not known.
    #[error("it is of version {0} of the Simple API, and only 1 is known")]
    Version(String),
    /// A URL in it is none.
    #[error("`{0}` in it is no URL")]
    Url(String),
    /// More than is read.
    #[error("it lists more than {MAX_FILES} files")]
    TooMany,
}

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    meta: Meta,
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
    yanked: Flag<String>,
    // PEP 714: the second is the older name, which was served wrongly for a while.
    core_metadata: Option<Flag<Hashes>>,
    dist_info_metadata: Option<Flag<Hashes>>,
}

type Hashes = std::collections::BTreeMap<String, String>;

/// `true`, `false`, or a value that stands for `true`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag<T> {
    Plain(bool),
    Value(T),
}

impl<T> Default for Flag<T> {
    fn default() -> Self {
        Self::Plain(false)
    }
}

impl<T: Default> Flag<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Plain(false) => None,
            Self::Plain(true) => Some(T::default()),
            Self::Value(value) => Some(value),
        }
    }
}

/// The files that a page names. It is read by its content type; its links are relative to `url`.
pub fn parse(content_type: &str, body: &[u8], url: &Url) -> Result<Vec<File>, Problem> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let files = match kind.to_ascii_lowercase().as_str() {
        "application/vnd.pypi.simple.v1+json" | "application/json" => json(body, url)?,
        "application/vnd.pypi.simple.v1+html" | "text/html" | "application/xhtml+xml" => {
            html(body, url)?
        }
        _ => return Err(Problem::ContentType(kind.to_owned())),
    };
    if files.len() > MAX_FILES {
        return Err(Problem::TooMany);
    }
    Ok(files)
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
    let file = |file: JsonFile| {
        let (url, _) = resolve(base, &file.url)?;
        let metadata = file.core_metadata.or(file.dist_info_metadata);
        Ok(File {
            name: file.filename,
            url,
            hashes: known(file.hashes),
            requires_python: file.requires_python,
            yanked: file.yanked.value(),
            size: file.size,
            metadata: metadata.and_then(Flag::value).map(known),
        })
    };
    page.files.into_iter().map(file).collect()
}

/// The hashes that mean something to pip.
fn known(hashes: Hashes) -> Vec<Hash> {
    let parsed = hashes
        .into_iter()
        .filter_map(|(name, hex)| Hash::new(&name, &hex));
    parsed.collect()
}

/// Every link of a page, whatever text it has: as with pip, the file's name is the URL's.
fn html(body: &[u8], url: &Url) -> Result<Vec<File>, Problem> {
    let mut base = url.clone();
    let mut is_based = false;
    let mut files = Vec::new();
    let text = String::from_utf8_lossy(body);
    for Ok(token) in Tokenizer::new(&*text) {
        let Token::StartTag(tag) = token else {
            continue;
        };
        let attribute = |name: &[u8]| {
            let value = tag.attributes.get(name)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        match tag.name.as_slice() {
            b"base" if !is_based => {
                if let Some(href) = attribute(b"href") {
                    base = url.join(&href).map_err(|_| Problem::Url(href))?;
                    is_based = true;
                }
            }
            b"a" => {
                let Some(href) = attribute(b"href") else {
                    continue;
                };
                // Pages of links hold others than to files: what is no URL leads nowhere.
                let Ok((url, fragment)) = resolve(&base, &href) else {
                    continue;
                };
                let metadata = attribute(b"data-core-metadata")
                    .or_else(|| attribute(b"data-dist-info-metadata"));
                files.push(File {
                    name: file_name(&url),
                    url,
                    hashes: fragment.as_deref().map(fragment_hashes).unwrap_or_default(),
                    requires_python: attribute(b"data-requires-python"),
                    yanked: attribute(b"data-yanked"),
                    size: None,
                    metadata: metadata
                        .filter(|value| value != "false")
                        .map(|value| fragment_hashes(&value)),
                });
                if files.len() > MAX_FILES {
                    return Err(Problem::TooMany);
                }
            }
            _ => {}
        }
    }
    Ok(files)
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
    let mut url = base
        .join(link.trim())
        .map_err(|_| Problem::Url(link.to_owned()))?;
    let fragment = url.fragment().map(str::to_owned);
    url.set_fragment(None);
    Ok((url.into(), fragment))
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
            "it is `image/png`, and neither HTML nor the Simple API's JSON"
        );
        let json = "application/vnd.pypi.simple.v1+json";
        assert!(refused(json, "<html>").starts_with("its JSON is not the Simple API's"));
        assert!(refused(json, r#"{"files": {}}"#).starts_with("its JSON is not the Simple API's"));
        assert_eq!(
            refused(json, r#"{"meta": {"api-version": "2.0"}, "files": []}"#),
            "it is of version 2.0 of the Simple API, and only 1 is known"
        );
        assert_eq!(
            refused(json, r#"{"files": [{"filename": "a", "url": "http://["}]}"#),
            "`http://[` in it is no URL"
        );
    }
}
