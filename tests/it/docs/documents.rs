//! The JSON documents, held against their schemas.

use std::collections::BTreeSet;
use std::fs;

use super::root;
use crate::support::python;
use crate::support::sandbox::{Sandbox, names};
use crate::support::wheel::{WheelBuilder, project};

/// The errors of a document by its schema in the reference.
fn invalid(schema: &str, document: &serde_json::Value) -> Vec<String> {
    let path = root().join("docs/reference/schema").join(schema);
    let schema: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors = validator.iter_errors(document);
    errors
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect()
}

#[test]
fn documents_are_what_their_schemas_say() {
    let sandbox = Sandbox::new();
    // With a note, a dependency and an extra; one is built from source, with a warning.
    WheelBuilder::new("demo", "1.0")
        .requires("other>=1")
        .metadata("Provides-Extra: more")
        .file("demo/__init__.py", "import other\n")
        .file("shared.py", "1")
        .build(&sandbox.links());
    WheelBuilder::new("other", "1.0")
        .file("other.py", "import absent\n")
        .file("shared.py", "2")
        .build(&sandbox.links());
    project(&sandbox.work().join("proj"), "proj", "pass");
    sandbox.write("constraints.txt", "other<2\n");
    let text = "-c constraints.txt\n--only-binary demo\n--prefer-binary\ndemo[more]\n./proj\nnever; python_version < '3'\n";
    sandbox.write("requirements.txt", text);
    sandbox.write("wheels.txt", "demo==1.0\nother==1.0\n");
    let python = python::python().display().to_string();
    let document = |args: &[&str], python: &str| {
        let more = ["--python", python, "--format", "json"];
        let ran = sandbox.offline(&[args, &more].concat()).ok();
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let alone = |args: &[&str], code: i32| {
        let ran = sandbox.run(&[args, &["--format", "json"]].concat());
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{args:?}: {}", ran.stderr))
    };
    let facts: serde_json::Value = alone(&["runtime", &python], 0);
    let built = [
        "requirements.txt",
        "--runtime",
        &python,
        "-o",
        "d.tar",
        "-o",
        "d/",
    ];
    let targeted = ["wheels.txt", "--platform", "linux/arm64", "-o", "a.zip"];
    let artifact = [
        "verify",
        "d.tar",
        "--runtime",
        &python,
        "--unsafe-no-sandbox",
        "--python",
        &python,
    ];
    let documents: [(&str, serde_json::Value); 11] = [
        ("runtime.json", facts),
        ("build.json", document(&built, &python)),
        (
            "plan.json",
            document(&["plan", "requirements.txt"], &python),
        ),
        ("lock.json", document(&["lock", "wheels.txt"], &python)),
        ("build.json", document(&targeted, "3.12")),
        ("verify.json", alone(&artifact, 4)),
        ("cache-dir.json", alone(&["cache", "dir"], 0)),
        ("cache-size.json", alone(&["cache", "size"], 0)),
        ("cache-verify.json", alone(&["cache", "verify"], 0)),
        ("cache-freed.json", alone(&["cache", "prune"], 0)),
        ("cache-freed.json", alone(&["cache", "clean"], 0)),
    ];
    let mut seen = BTreeSet::new();
    for (schema, document) in &documents {
        assert_eq!(invalid(schema, document), [""; 0], "{schema}: {document:#}");
        let mut more = document.clone();
        more["something"] = 1.into();
        assert!(!invalid(schema, &more).is_empty(), "{schema}");
        seen.insert((*schema).to_owned());
    }
    let schemas = names(&root().join("docs/reference/schema"));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), schemas);
    let page = fs::read_to_string(root().join("docs/reference/json.md")).unwrap();
    for (schema, document) in &documents {
        let row = page
            .lines()
            .find(|line| line.contains(&format!("(schema/{schema})")));
        assert!(
            row.unwrap()
                .ends_with(&format!("| {} |", document["version"])),
            "{schema}"
        );
    }
    let findings = documents[1].1["findings"].as_array().unwrap();
    assert!(findings.len() >= 2, "{findings:?}");
    assert_eq!(documents[5].1["broken"].as_array().unwrap().len(), 2);
}
