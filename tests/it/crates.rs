//! The crates that prebuild is made of: their licences, where they come from, and how many versions there are of each.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// The licences that a crate may have. `MPL-2.0` is that of `version-ranges`, which `pep508_rs` needs; it is used unchanged.
const LICENCES: [&str; 9] = [
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// The crates of which there are several versions, and why.
const SEVERAL: [(&str, &str); 6] = [
    ("base64", "jsonschema, in tests only, has an older one"),
    ("embedded-io", "postcard names two and uses neither here"),
    ("getrandom", "ring and ahash have older ones"),
    (
        "syn",
        "macros of thiserror 1, zerocopy and zeroize have an older one",
    ),
    ("thiserror", "pep508_rs has an older one"),
    ("thiserror-impl", "that of thiserror"),
];

/// What cargo says of all crates that are built on Linux, those of tests included.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() > 100, "{}", packages.len());
    packages
}

/// Whether an SPDX expression can be met by the licences of the list.
fn is_allowed(licence: &str) -> bool {
    let expression = Expression::parse_mode(licence, ParseMode::LAX).unwrap();
    expression.evaluate(|needed| {
        let name = needed.license.id().map(|id| id.name);
        name.is_some_and(|name| LICENCES.contains(&name))
    })
}

#[test]
fn licences_are_on_the_list() {
    assert!(is_allowed("GPL-3.0 OR MIT") && is_allowed("MIT/Apache-2.0"));
    assert!(!is_allowed("MIT AND GPL-3.0") && !is_allowed("LicenseRef-own"));
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn crates_come_from_the_registry() {
    let elsewhere: Vec<Value> = packages()
        .into_iter()
        .filter(|package| {
            let source = package["source"].as_str();
            let is_registry = source.is_some_and(|source| source.starts_with("registry+"));
            !is_registry && package["name"] != env!("CARGO_PKG_NAME")
        })
        .map(|package| package["id"].clone())
        .collect();
    assert_eq!(elsewhere, [""; 0]);
}

#[test]
fn crates_with_several_versions_are_known() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions
            .entry(text("name"))
            .or_default()
            .insert(text("version"));
    }
    versions.retain(|_, versions| versions.len() > 1);
    let found: Vec<&str> = versions.keys().map(String::as_str).collect();
    let known: Vec<&str> = SEVERAL.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, known, "{versions:?}");
}
