//! The flow is one-way: each module uses the ones before it and none after it.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the pipeline.
const ORDER: [&str; 30] = [
    "diagnosis",
    "digest",
    "inflate",
    "code",
    "relink",
    "event",
    "fs",
    "cache",
    "tree",
    "target",
    "requirements",
    "wheel",
    "runner",
    "runtime",
    "index",
    "interpreter",
    "layout",
    "plan",
    "piece",
    "resolve",
    "lock",
    "pip",
    "install",
    "audit",
    "bundle",
    "pack",
    "verify",
    "artifact",
    "error",
    "pipeline",
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn no_module_uses_a_later_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let rank = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut wrong = Vec::new();
    for file in files {
        let below = file.strip_prefix(&root).unwrap();
        let module = below.iter().next().unwrap().to_str().unwrap();
        let module = module.strip_suffix(".rs").unwrap_or(module);
        if ["lib", "bin"].contains(&module) {
            continue;
        }
        let Some(own) = rank(module) else {
            wrong.push(format!("`{module}` has no place in the order"));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for used in text.split("crate::").skip(1) {
            let used: Vec<&str> = match used.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap().split(',').collect(),
                None => vec![used],
            };
            for used in used {
                let name: String = used
                    .trim()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if rank(&name).is_some_and(|rank| rank > own) {
                    wrong.push(format!("{} uses `{name}`", below.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
