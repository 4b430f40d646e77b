//! A builder that is a script: it notes what it is asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use prebuild::event::{Cancel, Stream};
use prebuild::runner::{Ending, Error, Exec, Identity, Runner, Session};
use prebuild::tree::{Node, RelPath, Tree};

/// What happened in a builder.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) ran: Vec<Exec>,
    pub(crate) put: BTreeMap<String, String>,
    pub(crate) closed: bool,
}

/// A builder with a pip that says these lines, and leaves these files.
#[derive(Clone)]
pub(crate) struct FakeRunner {
    /// pip's version.
    pub(crate) version: &'static str,
    /// The options that it has.
    pub(crate) options: &'static [&'static str],
    pub(crate) lines: &'static [&'static str],
    pub(crate) fails: bool,
    /// What it installs.
    pub(crate) prefix: Tree,
    /// What it says that it would install.
    pub(crate) report: Option<serde_json::Value>,
    /// What it downloads.
    pub(crate) downloads: Tree,
    pub(crate) log: Arc<Mutex<Log>>,
}

pub(crate) struct FakeSession(FakeRunner, Identity);

impl FakeRunner {
    /// A pip that is too old to say what it would install.
    pub(crate) fn new() -> Self {
        Self {
            version: "20.0",
            options: &["--no-input", "--progress-bar"],
            lines: &[],
            fails: false,
            prefix: Tree::new(),
            report: None,
            downloads: Tree::new(),
            log: Arc::default(),
        }
    }

    /// A pip that says what it would install.
    pub(crate) fn reporting(report: serde_json::Value) -> Self {
        Self {
            version: "24.0",
            options: &["--no-input", "--progress-bar", "--report", "--dry-run"],
            report: Some(report),
            ..Self::new()
        }
    }

    /// What pip was run for, in order: `install --dry-run`, `download`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let of_pip = log
            .ran
            .iter()
            .filter(|exec| exec.args.first().is_some_and(|first| first == "-m"));
        of_pip
            .map(|exec| match exec.args[3].as_str() {
                "--dry-run" => exec.args[2..4].join(" "),
                _ => exec.args[2].clone(),
            })
            .collect()
    }
}

impl Runner for FakeRunner {
    fn open(&self, _: &Cancel) -> Result<Box<dyn Session>, Error> {
        let identity = Identity {
            kind: "fake".to_owned(),
            image: None,
            digest: None,
        };
        Ok(Box::new(FakeSession(self.clone(), identity)))
    }
}

impl Session for FakeSession {
    fn identity(&self) -> &Identity {
        &self.1
    }

    fn python(&self) -> &'static str {
        "python3"
    }

    fn locate(&self, inside: &str) -> String {
        format!("/{inside}")
    }

    fn inherits(&self) -> bool {
        false
    }

    fn put(&mut self, inside: &str, tree: &Tree) -> Result<(), Error> {
        let mut log = self.0.log.lock().unwrap();
        for (path, entry) in tree.iter() {
            if let Node::File { content, .. } = &entry.node {
                let text = String::from_utf8_lossy(&content.read().unwrap()).into_owned();
                log.put.insert(format!("{inside}/{path}"), text);
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        exec: &Exec,
        _: &[u8],
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<(), Error> {
        self.0.log.lock().unwrap().ran.push(exec.clone());
        if exec.args[0].ends_with("probe.py") {
            on_line(Stream::Stdout, &answer(self.0.version, self.0.options));
            return Ok(());
        }
        for line in self.0.lines {
            on_line(Stream::Stdout, line);
        }
        if self.0.fails {
            return Err(Error::Failed {
                command: exec.to_string(),
                ending: Ending::Code(1),
                tail: Vec::new(),
            });
        }
        Ok(())
    }

    fn get(&mut self, inside: &str) -> Result<Tree, Error> {
        Ok(match inside {
            "install" => self.0.prefix.clone(),
            "prebuild/wheels" => self.0.downloads.clone(),
            "prebuild/report" => {
                let mut tree = Tree::new();
                if let Some(report) = &self.0.report {
                    let text = report.to_string().into_bytes();
                    let node = Node::File {
                        content: text.into(),
                        executable: false,
                    };
                    tree.insert(RelPath::new("report.json").unwrap(), node)
                        .unwrap();
                }
                tree
            }
            _ => Tree::new(),
        })
    }
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.0.log.lock().unwrap().closed = true;
    }
}

/// What an interpreter says of itself.
fn answer(version: &str, options: &[&str]) -> String {
    serde_json::json!({
        "markers": {
            "implementation_name": "cpython", "implementation_version": "3.12.1",
            "os_name": "posix", "platform_machine": "riscv64",
            "platform_python_implementation": "CPython", "platform_release": "6",
            "platform_system": "Linux", "platform_version": "1",
            "python_full_version": "3.12.1", "python_version": "3.12", "sys_platform": "linux",
        },
        "executable": "/usr/local/bin/python3.12", "interpreters": ["/usr/local/bin/python3.12"],
        "prefix": "/usr/local", "site_packages": ["/usr/local/lib/python3.12/site-packages"],
        "soabi": null, "platform": "linux-riscv64", "libc": "",
        "pip": {"version": version, "options": options, "works": true}, "tags": ["py3-none-any"],
        "config": [["/etc/pip.conf", "constraint", "/image/only.txt"]], "caller_config": [],
        "broken_config": [], "environment": {"PIP_TARGET": "/x"},
        "prefix_map": null, "optimisation": "-O2",
    })
    .to_string()
}
