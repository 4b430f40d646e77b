//! A container as a builder, by the command line of Docker or podman.
//!
//! One container a build. Nothing is mounted: bind mounts fail with remote daemons, inside
//! containers, and under `SELinux`; files go in and out as tar streams instead.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::fs::TempDir;

use super::{Error, Exec, Identity, Runner, Session, process, stream};
use crate::event::{Cancel, Stream};
use crate::fs;
use crate::tree::{ReadError, Tree};

/// Every container of ours has this label; its value is the process that it belongs to.
pub(super) const LABEL: &str = "dev.prebuild.process";

/// What keeps a container running: Python, since that is what every builder has; a shell or `sleep`
/// it may lack. As the first process it lets the kernel collect orphans, and after a day it ends by
/// itself.
const IDLE: &str =
    "import signal, time; signal.signal(signal.SIGCHLD, signal.SIG_IGN); time.sleep(86400)";

/// Variables that mean one thing to the engine's client and another inside, so that they cannot be
/// handed over by name.
const CLIENT_OWN: [&str; 4] = ["PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR"];

/// How long an engine may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take for what needs no image from elsewhere, and no copy.
const QUICK: Duration = Duration::from_secs(60);

/// The program that runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// `docker`
    Docker,
    /// `podman`
    Podman,
}

impl Engine {
    /// The name of its command.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// Whether it answers.
    pub fn ping(self, env: &BTreeMap<String, String>, cancel: &Cancel) -> Result<(), Error> {
        let format = match self {
            Self::Docker => "{{.Server.Version}}",
            Self::Podman => "{{.Version}}",
        };
        let exec = Exec::new(self.program())
            .args(["version", "--format", format])
            .envs(env.clone())
            .within(PATIENCE);
        process::capture(&exec, cancel)
            .map(drop)
            .map_err(|error| match error {
                Error::Failed { tail, .. } => Error::EngineDown {
                    engine: self,
                    reason: reason(&tail),
                },
                // Its client waits for ever where something else listens on its socket.
                Error::TooSlow { .. } => Error::EngineDown {
                    engine: self,
                    reason: format!("it is silent for {} seconds", PATIENCE.as_secs()),
                },
                error => error,
            })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

/// Runs commands in a container of its own, removed when the session ends.
#[derive(Debug, Clone)]
pub struct Container {
    /// The program that runs it.
    pub engine: Engine,
    /// The image.
    pub image: String,
    /// The interpreter in the image: a path or a name on its `PATH`.
    pub python: String,
    /// `--network` of the engine; its default if there is none.
    pub network: Option<String>,
    /// More arguments for the engine's `create`.
    pub engine_args: Vec<String>,
    /// The environment of the engine's client.
    pub env: BTreeMap<String, String>,
    /// Where what comes out may be kept.
    pub scratch: PathBuf,
    /// What stands for this process in the container's label: `HOST:PID`.
    pub process: String,
}

impl Container {
    pub(super) fn client(&self) -> Exec {
        Exec::new(self.engine.program()).envs(self.env.clone())
    }

    /// As [`client`](Self::client), for what asks the engine of something that it has, and is answered soon.
    pub(super) fn quick(&self) -> Exec {
        self.client().within(QUICK)
    }

    /// The same image for code that nobody trusts: without network, and without privileges beyond those
    /// by which verifying gives each program a user of its own. `memory` is what all
    /// programs together may use, in bytes.
    #[must_use]
    pub fn isolated(&self, memory: u64) -> Self {
        // What the user gives the builder for pip may be a way out: a mount, a privilege.
        let engine_args = [
            "--cap-drop=ALL".to_owned(),
            "--cap-add=SETUID".to_owned(),
            "--cap-add=SETGID".to_owned(),
            "--cap-add=KILL".to_owned(),
            "--security-opt=no-new-privileges".to_owned(),
            "--pids-limit=2048".to_owned(),
            format!("--memory={memory}"),
            "--tmpfs=/tmp:rw,nosuid,nodev,mode=1777,size=256m".to_owned(),
            "--tmpfs=/var/tmp:rw,nosuid,nodev,mode=1777,size=256m".to_owned(),
        ];
        Self {
            network: Some("none".to_owned()),
            engine_args: engine_args.into(),
            ..self.clone()
        }
    }

    /// The command that creates the container. Pure: the tests read it.
    fn create(&self) -> Exec {
        let mut create = self.client().args([
            "create",
            "--label",
            &format!("{LABEL}={}", self.process),
            // The user of the image may not write to `/`.
            "--user",
            "0:0",
            "--workdir",
            "/",
            // Python as the first process of a container does not heed a gentler one, and podman
            // would wait ten seconds for it.
            "--stop-signal",
            "KILL",
            "--entrypoint",
            &self.python,
        ]);
        if self.engine == Engine::Podman {
            // Its proxies, passwords and all, would be everyone's in the container.
            create = create.args(["--http-proxy=false"]);
        }
        if let Some(network) = &self.network {
            create = create.args(["--network", network]);
        }
        create
            .args(self.engine_args.clone())
            .args([&self.image, "-I", "-S", "-c", IDLE])
    }

    /// Creates the container, and returns what the engine calls it.
    pub(super) fn make(&self, cancel: &Cancel) -> Result<String, Error> {
        self.engine.ping(&self.env, cancel)?;
        self.sweep(cancel);
        let created =
            process::capture(&self.create(), cancel).map_err(|error| self.explain(error))?;
        // Pulling an image prints lines before the last one.
        Ok(created.trim().lines().last().unwrap_or_default().to_owned())
    }

    /// Removes containers that killed runs of this machine left behind.
    fn sweep(&self, cancel: &Cancel) {
        let filter = format!("label={LABEL}");
        let list = ["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter];
        // Not worth failing for: the next run tries again.
        let Ok(ids) = process::capture(&self.quick().args(list), cancel) else {
            return;
        };
        let label = format!("{{{{index .Config.Labels \"{LABEL}\"}}}}");
        let host = self.process.split(':').next().unwrap_or_default();
        for id in ids.split_whitespace() {
            let inspect = self.quick().args(["inspect", "--format", &label, id]);
            let owner = process::capture(&inspect, cancel).unwrap_or_default();
            // Another machine's, on the same engine, is not ours to judge.
            let dead = owner.trim().split_once(':').is_some_and(|(owner, pid)| {
                owner == host && fs::exists(&PathBuf::from("/proc").join(pid)).is_none()
            });
            if dead {
                let _ = process::capture(&self.quick().args(["rm", "-f", "-v", id]), cancel);
            }
        }
    }

    /// The error that a failed `create` or `start` means.
    fn explain(&self, error: Error) -> Error {
        let Error::Failed { tail, .. } = &error else {
            return error;
        };
        let text = tail.join("\n").to_lowercase();
        let says = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        if says(&[
            "cannot connect to the docker daemon",
            "is the docker daemon running",
            "connection refused",
        ]) && !says(&["registry", "lookup", "pinging"])
        {
            Error::EngineDown {
                engine: self.engine,
                reason: reason(tail),
            }
        } else if says(&[
            "executable file not found",
            "no such file or directory: oci",
            "exec:",
        ]) {
            Error::NoPython {
                python: self.python.clone(),
                place: format!("`{}`", self.image),
            }
        } else if says(&[
            "unable to find image",
            "no such image",
            "pull access denied",
            "manifest unknown",
            "not found",
            "initializing source",
            "pinging container registry",
            "unable to copy from source",
            "did not resolve to an alias",
            "invalid reference format",
            "failed to resolve reference",
        ]) {
            Error::NoImage {
                engine: self.engine,
                image: self.image.clone(),
                reason: reason(tail),
            }
        } else {
            error
        }
    }
}

impl Runner for Container {
    fn isolated(&self, memory: u64) -> Option<Box<dyn Runner>> {
        Some(Box::new(self.isolated(memory)))
    }

    fn open(&self, cancel: &Cancel) -> Result<Box<dyn Session>, Error> {
        // podman's client leaves temporary files: in a folder that goes with the session.
        let temp = fs::temp_dir(&self.scratch)?;
        let mut container = self.clone();
        let path = temp.path().to_string_lossy().into_owned();
        container.env.insert("TMPDIR".to_owned(), path);
        let id = container.make(cancel)?;
        let mut session = ContainerSession {
            container,
            _temp: temp,
            id,
            cancel: cancel.clone(),
            identity: Identity {
                kind: self.engine.to_string(),
                image: Some(self.image.clone()),
                digest: None,
            },
        };
        process::capture(&self.quick().args(["start", &session.id]), cancel)
            .map_err(|error| self.explain(error))?;
        session.identity.digest = session.digest();
        Ok(Box::new(session))
    }
}

struct ContainerSession {
    container: Container,
    _temp: TempDir,
    id: String,
    cancel: Cancel,
    identity: Identity,
}

impl ContainerSession {
    /// The digest of the image: its manifest's where the engine knows one, else the image's own.
    fn digest(&self) -> Option<String> {
        let inspect = |format: &str, what: &str| {
            let exec = self
                .container
                .quick()
                .args(["inspect", "--format", format, what]);
            let text = process::capture(&exec, &self.cancel).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let image = inspect("{{.Image}}", &self.id)?;
        let repository = inspect("{{range .RepoDigests}}{{println .}}{{end}}", &image);
        let manifest = repository
            .iter()
            .flat_map(|text| text.lines())
            .find_map(|line| line.split_once('@').map(|(_, digest)| digest.to_owned()));
        manifest.or_else(|| {
            Some(if image.contains(':') {
                image
            } else {
                format!("sha256:{image}")
            })
        })
    }

    /// Whether the container still runs.
    fn runs(&self) -> bool {
        let exec =
            self.container
                .quick()
                .args(["inspect", "--format", "{{.State.Running}}", &self.id]);
        process::capture(&exec, &self.cancel).is_ok_and(|text| text.trim() == "true")
    }

    /// A failure is the container's end where that is the reason.
    fn blame(&self, error: Error) -> Error {
        match error {
            Error::Failed { .. } if !self.runs() && !self.cancel.is_cancelled() => Error::Died {
                engine: self.container.engine,
            },
            error => error,
        }
    }
}

impl Session for ContainerSession {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn python(&self) -> &str {
        &self.container.python
    }

    fn locate(&self, inside: &str) -> String {
        format!("/{inside}")
    }

    fn inherits(&self) -> bool {
        false
    }

    fn decides(&self) -> Option<String> {
        // The image holds all of it but the kernel, which is the engine's.
        let digest = self.identity.digest.as_ref()?;
        let args = &self.container.engine_args;
        Some(format!("{digest} {} {args:?}", self.container.python))
    }

    fn builds(&self, _: &str) -> Option<String> {
        self.decides()
    }

    fn put(&mut self, inside: &str, tree: &Tree) -> Result<(), Error> {
        let copy = self
            .container
            .client()
            .args(["cp", "-", &format!("{}:/", self.id)]);
        process::feed(&copy, &self.cancel, |mut stdin| {
            stream::write(tree, inside, &mut stdin)?;
            stdin.flush()
        })
        .map_err(|error| self.blame(error))
    }

    fn run(
        &mut self,
        exec: &Exec,
        input: &[u8],
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<(), Error> {
        process::run(
            &exec_command(&self.container, &self.id, exec),
            &self.cancel,
            input,
            on_line,
        )
        .map_err(|error| match self.blame(error) {
            // What failed is the command inside, not the client.
            Error::Failed { ending, tail, .. } => Error::Failed {
                command: exec.to_string(),
                ending,
                tail,
            },
            error => error,
        })
    }

    fn get(&mut self, inside: &str) -> Result<Tree, Error> {
        let copy = self
            .container
            .client()
            .args(["cp", &format!("{}:/{inside}", self.id), "-"]);
        let spool = Arc::new(fs::temp_dir(&self.container.scratch)?);
        let root = inside.rsplit('/').next().unwrap_or(inside);
        let (tree, ended) = process::consume(&copy, &self.cancel, |stdout| {
            let mut stdout = std::io::BufReader::with_capacity(1 << 18, stdout);
            let tree = stream::read(&mut stdout, root, u64::MAX, &spool);
            if tree.is_ok() {
                // The end of an archive is padded; a client whose pipe breaks calls it a failure.
                let _ = std::io::copy(&mut stdout, &mut std::io::sink());
            }
            tree
        });
        match (tree, ended) {
            // A name that is refused closes the pipe, and then the client fails too: the name is
            // the reason. A stream that broke off is the client's failure.
            (Some(Err(source)), ended) if ended.is_ok() || !matches!(source, ReadError::Io(_)) => {
                Err(Error::Read {
                    inside: inside.to_owned(),
                    source,
                })
            }
            (_, Err(error)) => Err(self.blame(error)),
            (Some(Ok(tree)), Ok(())) => Ok(tree),
            (Some(Err(source)), Ok(())) => Err(Error::Read {
                inside: inside.to_owned(),
                source,
            }),
            (None, Ok(())) => Err(Error::Died {
                engine: self.container.engine,
            }),
        }
    }
}

impl Drop for ContainerSession {
    fn drop(&mut self) {
        // With a switch of its own: this must happen after a cancelled build above all.
        let remove = self.container.quick().args(["rm", "-f", "-v", &self.id]);
        let _ = process::capture(&remove, &Cancel::new());
    }
}

/// The client's command that runs `exec` inside. Pure: the tests read it.
///
/// Variables are named in the arguments and valued in the client's environment, where no other
/// user's `ps` sees them.
fn exec_command(container: &Container, id: &str, exec: &Exec) -> Exec {
    let mut command = container.client().args(["exec", "-i"]);
    for (name, value) in &exec.env {
        if CLIENT_OWN.contains(&name.as_str()) || is_of_client(name) {
            command = command.args(["-e", &format!("{name}={value}")]);
        } else {
            command = command.args(["-e", name]);
            command.env.insert(name.clone(), value.clone());
        }
    }
    command.time = exec.time;
    command.output = exec.output;
    command.args([id, &exec.program]).args(exec.args.clone())
}

/// Whether a variable would change what the client itself does.
fn is_of_client(name: &str) -> bool {
    ["DOCKER_", "BUILDKIT_", "CONTAINER_", "CONTAINERS_", "LD_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The line of a client's output that says why.
fn reason(tail: &[String]) -> String {
    tail.iter()
        .rev()
        .map(|line| line.trim())
        .find(|line| !line.is_empty() && !line.starts_with("See '") && !line.starts_with("Run '"))
        .unwrap_or("it gave no reason")
        .trim_start_matches("Error response from daemon: ")
        .trim_start_matches("Error: ")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Container {
        Container {
            engine: Engine::Docker,
            image: "python:3.11".into(),
            python: "python3".into(),
            network: Some("host".into()),
            engine_args: vec!["--ulimit".into(), "nofile=4096".into()],
            env: BTreeMap::from([("PATH".into(), "/usr/bin".into())]),
            scratch: "/tmp".into(),
            process: "host:1".into(),
        }
    }

    #[test]
    fn create_is_labelled_and_mounts_nothing() {
        assert_eq!(
            container().create().args,
            [
                "create",
                "--label",
                "dev.prebuild.process=host:1",
                "--user",
                "0:0",
                "--workdir",
                "/",
                "--stop-signal",
                "KILL",
                "--entrypoint",
                "python3",
                "--network",
                "host",
                "--ulimit",
                "nofile=4096",
                "python:3.11",
                "-I",
                "-S",
                "-c",
                IDLE,
            ]
        );
    }

    #[test]
    fn secrets_are_not_in_the_arguments() {
        let exec = Exec::new("python3").args(["-V"]).envs([
            (
                "PIP_INDEX_URL".to_owned(),
                "https://u:secret@index.example/".to_owned(),
            ),
            ("HOME".to_owned(), "/root".to_owned()),
        ]);
        let command = exec_command(&container(), "c0ffee", &exec);
        assert_eq!(
            command.args,
            [
                "exec",
                "-i",
                "-e",
                "HOME=/root",
                "-e",
                "PIP_INDEX_URL",
                "c0ffee",
                "python3",
                "-V"
            ]
        );
        assert_eq!(
            command.env["PIP_INDEX_URL"],
            "https://u:secret@index.example/"
        );
        assert_eq!(command.env["PATH"], "/usr/bin");
        assert!(!format!("{command:?} {command}").contains("secret"));
    }
}
