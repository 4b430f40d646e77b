//! The pages of indexes: what one says, written as the other kind of page, says the same.
//!
//! The first byte tells the kind of page, and the second the URL that it comes from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prebuild::index::{File, parse_page};
use prebuild::requirements::Hash;
use serde_json::{Value, json};
use url::Url;

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const URLS: [&str; 4] = [
    "https://host/simple/a/",
    "http://user:password@host:8080/a?x=1",
    "file:///srv/index/a/index.html",
    "https://host",
];

fuzz_target!(|input: &[u8]| {
    let [kind, url, body @ ..] = input else {
        return;
    };
    let kind = if kind % 2 == 0 { "text/html" } else { JSON };
    let url = Url::parse(URLS[usize::from(*url) % URLS.len()]).expect("it is a URL");
    let Ok(files) = parse_page(kind, body, &url) else {
        return;
    };
    assert!(files.len() <= body.len());
    let sizes = files.iter().map(|file| file.name.len() + file.url.len());
    assert!(sizes.sum::<usize>() <= 64 << 20);
    for file in &files {
        let url = Url::parse(&file.url).expect("it is a URL");
        assert!(url.fragment().is_none());
        assert_eq!(url.as_str(), file.url);
    }
    let again = parse_page(JSON, &as_json(&files), &url).expect("it is a page");
    assert_eq!(files, again);

    // A page of HTML has the names of files in their URLs, and no sizes.
    let again = parse_page("text/html", as_html(&files).as_bytes(), &url).expect("it is a page");
    assert_eq!(files.len(), again.len());
    for (file, again) in files.iter().zip(&again) {
        let known = File {
            name: again.name.clone(),
            size: None,
            // An attribute without a value means the same as an empty one.
            requires_python: again.requires_python.clone(),
            yanked: again.yanked.clone(),
            ..file.clone()
        };
        assert_eq!(known, *again);
        let plain = |text: &Option<String>| text.as_deref().map(normal);
        assert_eq!(plain(&file.requires_python), plain(&again.requires_python));
        assert_eq!(plain(&file.yanked), plain(&again.yanked));
    }
});

fn as_json(files: &[File]) -> Vec<u8> {
    let hashes = |hashes: &[Hash]| -> Value {
        let pairs = hashes
            .iter()
            .map(|hash| (hash.algorithm.as_str().to_owned(), hash.hex.clone().into()));
        Value::Object(pairs.collect())
    };
    let file = |file: &File| {
        json!({
            "filename": file.name,
            "url": file.url,
            "hashes": hashes(&file.hashes),
            "requires-python": file.requires_python,
            "size": file.size,
            "yanked": file.yanked.as_deref().map_or(json!(false), |reason| json!(reason)),
            "core-metadata": file.metadata.as_deref().map_or(json!(false), hashes),
        })
    };
    let page = json!({
        "meta": { "api-version": "1.1" },
        "files": files.iter().map(file).collect::<Vec<_>>(),
    });
    page.to_string().into_bytes()
}

fn as_html(files: &[File]) -> String {
    let hashes = |hashes: &[Hash]| -> String {
        let pairs = hashes
            .iter()
            .map(|hash| format!("{}={}", hash.algorithm.as_str(), hash.hex));
        pairs.collect::<Vec<_>>().join("&amp;")
    };
    let mut page = String::new();
    for file in files {
        page.push_str(&format!(
            "<a href=\"{}#{}\"",
            escaped(&file.url),
            hashes(&file.hashes)
        ));
        if let Some(requires) = &file.requires_python {
            page.push_str(&format!(" data-requires-python=\"{}\"", escaped(requires)));
        }
        if let Some(reason) = &file.yanked {
            page.push_str(&format!(" data-yanked=\"{}\"", escaped(reason)));
        }
        if let Some(metadata) = &file.metadata {
            page.push_str(&format!(" data-core-metadata=\"{}\"", hashes(metadata)));
        }
        page.push_str(">x</a>\n");
    }
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;")
}

/// A text as HTML has it: its line ends are one, and it has no NUL.
fn normal(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace('\r', "\n")
        .replace('\0', "\u{fffd}")
}
