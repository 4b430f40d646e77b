use super::*;
use crate::tree::RelPath;

fn path(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn interpreter(site_packages: &[&str], executable: &str) -> Interpreter {
    serde_json::from_value(serde_json::json!({
        "markers": {
            "implementation_name": "cpython", "implementation_version": "3.11.2",
            "os_name": "posix", "platform_machine": "x86_64",
            "platform_python_implementation": "CPython", "platform_release": "6",
            "platform_system": "Linux", "platform_version": "1",
            "python_full_version": "3.11.2", "python_version": "3.11", "sys_platform": "linux",
        },
        "executable": executable, "interpreters": [executable], "prefix": "/usr",
        "site_packages": site_packages, "soabi": null, "platform": "linux-x86_64", "libc": "",
        "pip": null, "config": [], "caller_config": [], "broken_config": [], "environment": {},
        "prefix_map": null, "optimisation": "-O2",
    }))
    .unwrap()
}

/// A prefix with one distribution in `site`, and a script in `bin`.
fn prefix(site: &str, bin: &str, up: &str) -> Tree {
    let mut tree = Tree::new();
    let record = format!("demo.py,,\n{up}bin/demo,,\ngone.py,,\ndemo-1.dist-info/RECORD,,\n");
    for (name, text) in [
        (format!("{site}/demo.py"), "x = 1\n".to_owned()),
        (
            format!("{site}/demo-1.dist-info/METADATA"),
            "Name: Demo_X\nVersion: 1\n\nName: y".to_owned(),
        ),
        (format!("{site}/demo-1.dist-info/RECORD"), record),
        (format!("{bin}/demo"), "#!/b/python3\n".to_owned()),
    ] {
        put(&mut tree, &name, &text);
    }
    tree
}

fn put(tree: &mut Tree, name: &str, text: &str) {
    let node = Node::File {
        content: text.as_bytes().to_vec().into(),
        executable: false,
    };
    tree.insert(path(name), node).unwrap();
}

fn installed(prefix: Tree, interpreter: &Interpreter) -> Result<Installed, Error> {
    let layout = Layout::new(None, interpreter, None).unwrap();
    install_prefix(prefix, "/install", interpreter, &layout)
}

fn read(tree: &Tree, name: &str) -> String {
    match &tree
        .get(&path(name))
        .unwrap_or_else(|| panic!("no {name}"))
        .node
    {
        Node::File { content, .. } => String::from_utf8(content.read().unwrap()).unwrap(),
        node => format!("{node:?}"),
    }
}

/// H1: Debian's pip writes below `local`, which is not where a copy to `/usr/local` should put it.
#[test]
fn h1_debians_local_scheme_is_taken_back() {
    let debian = interpreter(
        &["/usr/local/lib/python3.11/dist-packages"],
        "/usr/bin/python3.11",
    );
    let tree = prefix(
        "local/lib/python3.11/dist-packages",
        "local/bin",
        "../../../",
    );
    let tree = installed(tree, &debian).unwrap().tree;
    let record = read(
        &tree,
        "lib/python3.11/dist-packages/demo-1.dist-info/RECORD",
    );
    assert!(record.contains("../../../bin/demo,sha256="), "{record}");
    assert!(!record.contains("gone.py"), "{record}");
    assert!(tree.get(&path("bin/demo")).is_some() && tree.get(&path("local")).is_none());
}

/// H2: newer pips write `site-packages`, where Debian's Python does not look.
#[test]
fn h2_site_packages_go_where_the_runtime_looks() {
    let mut debian = interpreter(
        &["/usr/local/lib/python3.11/dist-packages"],
        "/usr/bin/python3.11",
    );
    debian.interpreters = vec!["/b/python3".to_owned()];
    let tree = prefix("lib/python3.11/site-packages", "bin", "../../../");
    let done = installed(tree, &debian).unwrap();
    read(&done.tree, "lib/python3.11/dist-packages/demo.py");
    assert_eq!(read(&done.tree, "bin/demo"), "#!/usr/bin/python3.11\n");
    assert_eq!(done.pieces[0].distribution.to_string(), "demo-x 1");
    let owners = &done.tree.get(&path("bin/demo")).unwrap().owners;
    assert_eq!(owners, &[Arc::clone(&done.pieces[0].distribution)]);
}

/// H3: one distribution in `lib` and `lib64` becomes one where the runtime has no `lib64`.
#[test]
fn h3_lib64_is_merged_for_a_runtime_without_it() {
    let mut tree = prefix("lib64/python3.11/site-packages", "bin", "../../../");
    put(
        &mut tree,
        "lib/python3.11/site-packages/pure-2.dist-info/METADATA",
        "Name: pure\nVersion: 2\n",
    );
    put(&mut tree, "lib/python3.11/site-packages/demo.py", "x = 1\n");
    let official = interpreter(
        &["/usr/local/lib/python3.11/site-packages"],
        "/usr/local/bin/python3.11",
    );
    let done = installed(tree.clone(), &official).unwrap();
    assert_eq!(done.pieces.len(), 2);
    assert!(done.tree.get(&path("lib64")).is_none());
    // Fedora's Python searches both, and each keeps its own.
    let fedora = interpreter(
        &[
            "/usr/local/lib64/python3.11/site-packages",
            "/usr/local/lib/python3.11/site-packages",
        ],
        "/usr/bin/python3.11",
    );
    let done = installed(tree.clone(), &fedora).unwrap();
    read(&done.tree, "lib64/python3.11/site-packages/demo.py");
    // Two files at one path are one only if they are the same.
    put(&mut tree, "lib64/python3.11/site-packages/other.py", "1");
    put(&mut tree, "lib/python3.11/site-packages/other.py", "2");
    assert!(matches!(installed(tree, &official), Err(Error::Merge(_))));
}

/// H37: links inside the prefix become relative; others, and circles, are refused.
#[test]
fn h37_links_stay_inside() {
    let official = interpreter(
        &["/usr/local/lib/python3.11/site-packages"],
        "/usr/local/bin/python3.11",
    );
    let with = |from: &str, target: &str| {
        let mut tree = prefix("lib/python3.11/site-packages", "bin", "../../../");
        let link = Node::Symlink {
            target: target.to_owned(),
        };
        tree.insert(path(from), link).unwrap();
        installed(tree, &official)
    };
    for (from, target, becomes) in [
        ("bin/d", "demo", "demo"),
        ("bin/d", "/install/lib/python3.11", "../lib/python3.11"),
        ("share/d", "../bin/demo", "../bin/demo"),
        ("top", "/usr/local/bin/demo", "bin/demo"),
        ("bin/d", "not/there", "not/there"),
    ] {
        let tree = with(from, target).unwrap().tree;
        assert!(
            matches!(&tree.get(&path(from)).unwrap().node, Node::Symlink { target } if target == becomes),
            "{target}"
        );
    }
    for (from, target, problem) in [
        ("bin/d", "../../etc/passwd", "leads out of the prefix"),
        ("bin/d", "/etc/passwd", "leads out of the prefix"),
        ("bin/d", "d", "leads in a circle"),
    ] {
        let error = with(from, target).unwrap_err().to_string();
        assert!(error.ends_with(problem), "{error}");
    }
}

/// H24 and H35: no path of the builder in `direct_url.json`, and nothing that tools left.
#[test]
fn h24_h35_local_urls_and_droppings_are_taken_out() {
    let official = interpreter(&[], "/b/python3");
    let site = "lib/python3.11/site-packages";
    for (url, stays) in [("file:///tmp/x", false), ("https://h/x.whl", true)] {
        let mut tree = prefix(site, "bin", "../../../");
        let info = format!("{site}/demo-1.dist-info/direct_url.json");
        put(&mut tree, &info, &format!("{{\"url\": \"{url}\"}}"));
        put(&mut tree, ".lock", "");
        let tree = installed(tree, &official).unwrap().tree;
        assert_eq!(tree.get(&path(&info)).is_some(), stays);
        assert!(tree.get(&path(".lock")).is_none());
        assert_eq!(read(&tree, "bin/demo"), "#!/usr/local/bin/python3.11\n");
    }
}

/// Installers before wheels leave `.egg-info` with a list of what they installed.
#[test]
fn what_was_installed_without_a_wheel_has_an_owner() {
    let official = interpreter(&[], "/b/python3");
    let mut tree = Tree::new();
    let site = "lib/python3.11/site-packages";
    put(&mut tree, &format!("{site}/old.py"), "");
    put(
        &mut tree,
        &format!("{site}/old-1-py3.11.egg-info/PKG-INFO"),
        "Name: old\nVersion: 1\n",
    );
    put(
        &mut tree,
        &format!("{site}/old-1-py3.11.egg-info/installed-files.txt"),
        "../old.py\nPKG-INFO\n",
    );
    let done = installed(tree, &official).unwrap();
    let owners = &done
        .tree
        .get(&path(&format!("{site}/old.py")))
        .unwrap()
        .owners;
    assert_eq!(owners, &[Arc::clone(&done.pieces[0].distribution)]);
}
