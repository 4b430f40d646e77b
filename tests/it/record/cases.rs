//! What the pips are given.

use std::fs;
use std::path::Path;
use std::process::Command;

use prebuild::digest::Digest;

use super::{Case, World};
use crate::support::failing::FAILING;
use crate::support::index::{self, Behaviour};

/// What needs this machine's compiler; nothing else may find its programs.
const COMPILED: [&str; 5] = [
    "wants-header",
    "wants-unknown-header",
    "wants-library",
    "wants-better-code",
    "wants-memory",
];

/// All cases.
pub(super) fn cases(world: &World) -> Vec<Case> {
    let mut cases = builds(world);
    cases.extend(resolutions());
    cases.extend(hashes(world));
    cases.extend(sources(world));
    cases.extend(files(world));
    cases.extend(indexes(world));
    cases
}

/// Builds that fail.
fn builds(world: &World) -> Vec<Case> {
    let bin = world.bin();
    let mut cases: Vec<Case> = FAILING
        .iter()
        .map(|failing| Case::new(failing.name, format!("alpha==1.0\n{}\n", failing.name)))
        .collect();
    for case in &mut cases {
        if !COMPILED.contains(&case.name) {
            case.env.push(("PATH", bin.clone()));
        }
    }
    let folder = world.make("work/folder");
    let setup = "raise RuntimeError('the moon is in the wrong house')\n";
    fs::write(folder.join("setup.py"), setup).unwrap();
    cases.extend([
        Case::new("wants-pkg-config-module", "wants-pkg-config\n"),
        Case::new("transitive-build", "plainly\n"),
        Case::new("folder", "alpha\n./folder\n"),
    ]);
    cases
}

/// What nobody has, and what does not go together.
fn resolutions() -> Vec<Case> {
    vec![
        Case::new("unknown-name", "alpha\nno-such-project==1.0\n"),
        Case::new("no-such-version", "alpha==9.0\n"),
        Case::new("no-such-version-side-remarks", "side==9.0\n"),
        Case::new("no-such-version-below", "beta\nside<0.5\n"),
        Case::new("pre-release", "preview>=2.0\n"),
        Case::new("transitive-unknown", "alpha\ndelta\n"),
        Case::new("newer-python", "newer\n"),
        Case::new("newer-python-partly", "partly==2.0\n"),
        Case::new("metadata-requires-python", "modern\n"),
        Case::new("other-platform", "elsewhere\n"),
        Case::new("yanked", "withdrawn>=1.0\n"),
        Case::new("invalid-metadata", "invalid==1.0\n"),
        Case::new("invalid-metadata-any", "alpha\ninvalid\n"),
        Case::new("only-binary", "wants-compiler\n").args(&["--only-binary=:all:"]),
        Case::new("sdist-wrong-version", "impostor==1.0\n"),
        Case::new("wheel-misnamed", "misnamed\n"),
        Case::new("conflict", "beta\ngamma\n"),
        Case::new("conflict-pin", "beta\nalpha==1.2\n"),
        Case::new("conflict-twice", "alpha==1.0\nalpha==1.1\n"),
        Case::new("constraint", "-c constraints.txt\nbeta\n"),
    ]
}

/// What hashes forbid.
fn hashes(world: &World) -> Vec<Case> {
    let (hash, other) = ("0".repeat(64), "1".repeat(64));
    let [alpha, beta] = ["alpha", "beta"].map(|name| {
        let wheel = world
            .folder
            .path()
            .join(format!("links/{name}-1.0-py3-none-any.whl"));
        Digest::of(&fs::read(wheel).unwrap())
    });
    let url = format!("{}/files/alpha-1.0-py3-none-any.whl", world.server.url);
    let project = world.make("work/project");
    let setup = "from setuptools import setup\nsetup(name='project')\n";
    fs::write(project.join("setup.py"), setup).unwrap();
    vec![
        Case::new(
            "hash-mismatch",
            format!("alpha==1.0 --hash=sha256:{hash}\n"),
        ),
        Case::new(
            "hash-mismatch-two",
            format!("alpha==1.0 --hash=sha256:{hash} --hash=sha256:{other}\n"),
        ),
        Case::new(
            "hash-mismatch-link",
            format!("alpha @ {url}#sha256={hash}\n"),
        ),
        Case::new(
            "hash-missing",
            format!("alpha==1.0 --hash={alpha}\nbeta==1.0\n"),
        ),
        Case::new(
            "hash-missing-transitive",
            format!("beta==1.0 --hash={beta}\n"),
        ),
        Case::new(
            "hash-unpinned",
            format!("alpha>=1.0 --hash=sha256:{hash}\n"),
        ),
        Case::new(
            "hash-directory",
            format!("# exported\nalpha==1.0 --hash=sha256:{hash}\n-e ./project\n"),
        ),
        Case::new(
            "hash-repository",
            format!("alpha==1.0 --hash=sha256:{hash}\nrepo @ git+file:///no/repository@main\n"),
        ),
    ]
}

/// Directories and repositories.
fn sources(world: &World) -> Vec<Case> {
    let host = world.host();
    let repository = world.make("repository");
    commit(&repository);
    let repository = repository.display();
    let cloned = |name, at: String| Case::new(name, format!("alpha\nrepo @ git+{at}\n"));
    vec![
        cloned("git-no-repository", "file:///no/repository@main".to_owned()),
        cloned("git-missing", "https://git.example/repo@main".to_owned()).env("PATH", world.bin()),
        cloned("git-unreachable", format!("http://{host}/repo@main")),
        cloned(
            "git-credentials",
            format!("http://someone:s3cret@{host}/repo@main"),
        ),
        cloned("git-no-such-ref", format!("file://{repository}@no-such")),
    ]
}

/// Makes a repository with one commit.
fn commit(folder: &Path) {
    fs::write(folder.join("setup.py"), "").unwrap();
    for args in [
        &["init", "--quiet"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.example",
            "commit",
            "--quiet",
            "-m",
            "a",
        ],
    ] {
        let mut git = Command::new("git");
        let status = git.arg("-C").arg(folder).args(args).status().unwrap();
        assert!(status.success(), "{git:?}");
    }
}

/// Files that cannot be had.
fn files(world: &World) -> Vec<Case> {
    let (host, nobody) = (world.host(), index::nowhere());
    let mut cases = vec![
        Case::new("file-404", "gone\n"),
        Case::new("file-401", "locked\n"),
        Case::new("file-500", "failing\n"),
        Case::new("file-truncated", "cut\n"),
        Case::new("wheel-not-a-zip", "nonsense\n"),
    ];
    for (name, at) in [
        ("url-404", format!("http://{host}/nothing")),
        (
            "url-credentials",
            format!("http://someone:s3cret@{host}/nothing"),
        ),
        ("file-refused", nobody),
        ("file-dns", "http://files.invalid".to_owned()),
        ("file-timeout", index::start(Behaviour::Silent)),
        ("file-dropped", index::start(Behaviour::Drop)),
    ] {
        let url = format!("{at}/alpha-1.0-py3-none-any.whl");
        let case = Case::new(name, format!("beta\nalpha @ {url}\n"));
        cases.push(case.env("PIP_TIMEOUT", "1"));
    }
    let wheel = "elsewhere-1.0-cp39-cp39-win_amd64.whl";
    cases.push(Case::new(
        "wheel-url-unsupported",
        format!("elsewhere @ http://{host}/files/{wheel}\n"),
    ));
    cases
}

/// Indexes that fail.
fn indexes(world: &World) -> Vec<Case> {
    let (host, nobody) = (world.host(), index::nowhere());
    let forbidden = index::start(Behaviour::Status(403));
    let mut cases = vec![
        Case::new("index-refused", "alpha\n").index(nobody.clone()),
        Case::new("index-retries", "alpha\n")
            .index(nobody.clone())
            .env("PIP_RETRIES", "2"),
        Case::new("index-dns", "alpha\n").index("https://index.invalid/simple/"),
        Case::new("index-insecure", "alpha\n").index("http://index.invalid/simple/"),
        Case::new("index-proxy", "alpha\n").env("PIP_PROXY", nobody.replace("/simple", "")),
        Case::new("index-tls", "alpha\n").index(format!("https://{host}/simple/")),
        Case::new("index-timeout", "alpha\n")
            .index(index::start(Behaviour::Silent))
            .env("PIP_TIMEOUT", "1"),
        Case::new("index-drop", "alpha\n").index(index::start(Behaviour::Drop)),
        Case::new("index-credentials", "alpha\n")
            .index(forbidden.replace("://", "://someone:s3cret@")),
    ];
    for (name, status) in [
        ("index-401", 401),
        ("index-403", 403),
        ("index-404", 404),
        ("index-500", 500),
        ("index-503", 503),
    ] {
        cases.push(Case::new(name, "alpha\n").index(index::start(Behaviour::Status(status))));
    }
    cases
}
