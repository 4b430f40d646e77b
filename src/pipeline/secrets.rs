//! The credentials that a build used, as the audit looks for them.

use std::collections::BTreeSet;

use super::open::Opened;
use super::request::Order;
use crate::index::Index;
use crate::requirements::{FindLinks, Input, What, credentials};

/// All of them: those that were given, and what the index was told besides.
pub(super) fn of(opened: &Opened, request: Order<'_>, index: Option<&Index<'_>>) -> Vec<String> {
    let mut secrets: BTreeSet<String> = given(opened, request).into_iter().collect();
    secrets.extend(index.map(Index::passwords).unwrap_or_default());
    secrets.into_iter().collect()
}

/// Those in variables, in pip's configuration and in requirements.
pub(super) fn given(opened: &Opened, request: Order<'_>) -> Vec<String> {
    let interpreter = &opened.interpreter;
    let mut texts: Vec<&str> = Vec::new();
    for env in [
        &request.how.pip.env,
        &request.how.pip.set,
        &interpreter.environment,
    ] {
        texts.extend(env.values().map(String::as_str));
    }
    let config = interpreter.config.iter().chain(&interpreter.caller_config);
    texts.extend(config.map(|(_, _, value)| value.as_str()));
    let options = opened.requirements.options();
    texts.extend(options.index_url.iter().map(|url| url.value.expanded()));
    texts.extend(
        options
            .extra_index_urls
            .iter()
            .map(|url| url.value.expanded()),
    );
    for links in &options.find_links {
        if let FindLinks::Url(url) = &links.value {
            texts.push(url.expanded());
        }
    }
    for input in request.what.inputs.iter().chain(&request.what.constraints) {
        if let Input::Url(url) = input {
            texts.push(url.expanded());
        }
    }
    for entry in opened.requirements.entries() {
        if let What::Url { url, .. } = &entry.what {
            texts.push(url.expanded());
        }
    }
    let secrets: BTreeSet<String> = texts.into_iter().flat_map(credentials).collect();
    secrets.into_iter().collect()
}
