//! The pages of an index, cached as HTTP allows, and longer where a newer page cannot matter.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{Request, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use url::Url;

use super::Error;
use super::client::{Client, shown, without_credentials};
use super::page::{self, File};
use crate::cache::{Bucket, Cache, Lookup};
use crate::digest::Digest;
use crate::fs;

/// The largest page that is read, in bytes.
pub(super) const MAX_PAGE: u64 = 64 << 20;
const FILES: &str = "files";
const POLICY: &str = "policy.json";

/// The files that a page of an index names; `None` if the index has no such page.
///
/// `suffices` tells whether what was kept is enough, however old it is.
pub(super) fn get(
    client: &Client<'_>,
    cache: &Cache,
    url: &Url,
    suffices: &dyn Fn(&[File]) -> bool,
) -> Result<Option<Vec<File>>, Error> {
    let key = Digest::of(shown(url).as_bytes());
    let kept = kept(cache, &key);
    let request = request(url)?;
    let now = || -> SystemTime { UNIX_EPOCH + Duration::from_secs((client.network().now)()) };
    let mut headers = vec![(ACCEPT, page::ACCEPT.to_owned())];
    let mut revalidated = None;
    if let Some((files, policy)) = kept {
        if client.network().offline || suffices(&files) {
            return Ok(Some(files));
        }
        match policy.before_request(&request, now()) {
            BeforeRequest::Fresh(_) => return Ok(Some(files)),
            BeforeRequest::Stale { request, .. } => {
                for (name, value) in &request.headers {
                    let conditional =
                        [http::header::IF_NONE_MATCH, http::header::IF_MODIFIED_SINCE];
                    if let (true, Ok(value)) = (conditional.contains(name), value.to_str()) {
                        headers.push((name.clone(), value.to_owned()));
                    }
                }
            }
        }
        revalidated = Some((files, policy));
    }
    let response = client.get(url, &headers)?;
    let mut answer = http::Response::new(());
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers.clone();
    match response.status {
        StatusCode::OK => {
            let kind = response.header(CONTENT_TYPE).unwrap_or_default().to_owned();
            let base = response.url.clone();
            let body = response.read(MAX_PAGE)?;
            let mut files =
                page::parse(&kind, &body, &base).map_err(|problem| Error::NotAPage {
                    url: shown(url),
                    problem,
                })?;
            part_from_credentials(client, &mut files);
            let options = CacheOptions {
                shared: false,
                ..CacheOptions::default()
            };
            let policy = CachePolicy::new_options(&request, &answer, now(), options);
            keep(cache, &key, &files, &policy);
            Ok(Some(files))
        }
        StatusCode::NOT_MODIFIED if revalidated.is_some() => {
            let (files, policy) = revalidated.unwrap_or_else(|| unreachable!());
            let policy = match policy.after_response(&request, &answer, now()) {
                AfterResponse::NotModified(policy, _) | AfterResponse::Modified(policy, _) => {
                    policy
                }
            };
            keep(cache, &key, &files, &policy);
            Ok(Some(files))
        }
        // Some indexes say 403 of what they do not have; pip passes over all of these.
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        status => Err(Error::Status {
            url: shown(url),
            status: status.as_u16(),
        }),
    }
}

/// Takes credentials out of links, and notes whom they are for.
fn part_from_credentials(client: &Client<'_>, files: &mut [File]) {
    for file in files.iter_mut().filter(|file| file.url.contains('@')) {
        if let Ok(url) = Url::parse(&file.url) {
            client.learn(&url);
            file.url = without_credentials(&url).into();
        }
    }
}

/// The request as it is kept: without credentials.
fn request(url: &Url) -> Result<Request<()>, Error> {
    let name: HeaderName = ACCEPT;
    Request::get(shown(url))
        .header(name, page::ACCEPT)
        .body(())
        .map_err(|_| Error::Url(shown(url)))
}

fn kept(cache: &Cache, key: &Digest) -> Option<(Vec<File>, CachePolicy)> {
    let Lookup::Hit(entry) = cache.lookup(Bucket::Pages, key) else {
        return None;
    };
    let read = |name| fs::read(&entry.path(name)?).ok();
    let files = postcard::from_bytes(&read(FILES)?).ok()?;
    let policy = serde_json::from_slice(&read(POLICY)?).ok()?;
    Some((files, policy))
}

/// Keeps a page in place of the one that was kept, if HTTP allows it.
fn keep(cache: &Cache, key: &Digest, files: &[File], policy: &CachePolicy) {
    cache.evict(Bucket::Pages, key);
    if !policy.is_storable() {
        return;
    }
    let kept = cache.insert(Bucket::Pages, key, |folder| -> io::Result<()> {
        let bytes = postcard::to_stdvec(files).map_err(io::Error::other)?;
        fs::write_new(&folder.join(FILES), &bytes).map_err(io::Error::other)?;
        let text = serde_json::to_vec(policy)?;
        fs::write_new(&folder.join(POLICY), &text).map_err(io::Error::other)
    });
    // It is asked for again next time.
    drop(kept);
}
