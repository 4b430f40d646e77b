//! Projects of `PyPI` that cannot be built in an image without their libraries.

use std::collections::BTreeMap;
use std::process::Command;

use prebuild::runner::{Container, Engine, engine_variables};

use super::{Case, is_wanted, minor, record};

/// The pips: the image's own, and the newest.
const PIPS: [&str; 2] = ["23.2.1", "26.3"];

/// What image a project is built in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    Nothing,
    /// A C and a C++ compiler, `make` and `pkg-config`.
    Compilers,
}

/// Each case, its image, and its requirement, for which wheels are not taken.
const PACKAGES: &[(&str, With, &str)] = &[
    ("bcrypt-rust", With::Compilers, "bcrypt==4.1.3"),
    ("confluent-kafka", With::Compilers, "confluent-kafka==2.4.0"),
    ("cryptography-rust", With::Compilers, "cryptography==42.0.8"),
    ("dbus-python", With::Compilers, "dbus-python==1.3.2"),
    ("dbus-python-old", With::Compilers, "dbus-python==1.2.18"),
    ("dlib", With::Nothing, "dlib==19.24.4"),
    ("fiona-gdal", With::Compilers, "fiona==1.9.6"),
    ("gssapi", With::Nothing, "gssapi==1.8.3"),
    ("lxml", With::Compilers, "lxml==5.2.2"),
    ("meson-no-compiler", With::Nothing, "contourpy==1.2.1"),
    ("mysqlclient", With::Compilers, "mysqlclient==2.2.4"),
    ("mysqlclient-old", With::Compilers, "mysqlclient==1.4.6"),
    (
        "mysqlclient-no-pkg-config",
        With::Nothing,
        "mysqlclient==2.2.4",
    ),
    ("netcdf4", With::Compilers, "netcdf4==1.6.0"),
    ("numpy-no-compiler", With::Nothing, "numpy==1.26.4"),
    ("psycopg2", With::Compilers, "psycopg2==2.9.9"),
    ("pyaudio", With::Compilers, "pyaudio==0.2.14"),
    ("pycairo", With::Compilers, "pycairo==1.26.1"),
    ("pycairo-no-compiler", With::Nothing, "pycairo==1.26.1"),
    ("pycurl", With::Compilers, "pycurl==7.45.3"),
    ("pygobject", With::Compilers, "pygobject==3.48.2"),
    ("pygraphviz", With::Compilers, "pygraphviz==1.13"),
    ("pyodbc", With::Compilers, "pyodbc==5.1.0"),
    ("pyproj", With::Compilers, "pyproj==3.6.1"),
    ("python-ldap", With::Compilers, "python-ldap==3.4.4"),
    ("sasl", With::Compilers, "sasl==0.3.1"),
    ("scipy-no-fortran", With::Compilers, "scipy==1.13.1"),
    (
        "scikit-learn-removed-name",
        With::Nothing,
        "sklearn==0.0.post5",
    ),
    ("systemd-python", With::Compilers, "systemd-python==235"),
    ("uwsgi", With::Nothing, "uwsgi==2.0.28"),
    ("xmlsec", With::Compilers, "xmlsec==1.3.14"),
];

/// Makes an image with this pip; returns its name.
fn image(with: With, pip: &str) -> String {
    let (name, packages) = match with {
        With::Nothing => ("slim", "true"),
        With::Compilers => (
            "compilers",
            "apt-get update && apt-get install -y --no-install-recommends \
             gcc g++ libc6-dev make pkg-config",
        ),
    };
    let name = format!("prebuild-record-{name}:{pip}");
    let dockerfile = format!(
        "FROM python:3.11-slim\nRUN {packages}\nRUN python -m pip install --no-cache-dir pip=={pip}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    let mut docker = Command::new("docker");
    docker.args(["build", "--quiet", "--tag", &name]);
    let status = docker.arg(folder.path()).status().unwrap();
    assert!(status.success(), "{docker:?}");
    name
}

#[test]
#[ignore = "writes the recordings in testdata/pip; needs PyPI and a container engine"]
fn record_packages() {
    let mut fine = Vec::new();
    for pip in PIPS {
        let images = [With::Nothing, With::Compilers].map(|with| (with, image(with, pip)));
        let pip = minor(pip);
        for (name, with, requirement) in PACKAGES {
            let stem = format!("pip-{pip}--{name}");
            if !is_wanted(&stem) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let (_, image) = images.iter().find(|(has, _)| has == with).unwrap();
            let runner = Container {
                engine: Engine::Docker,
                image: image.clone(),
                python: "python".to_owned(),
                network: None,
                engine_args: Vec::new(),
                env: engine_variables(&std::env::vars().collect()),
                scratch: folder.path().to_owned(),
                process: format!("record:{}", std::process::id()),
            };
            let project = requirement.split('=').next().unwrap();
            let case = Case::new(name, format!("{requirement}\n")).args(&["--no-binary", project]);
            match record(&runner, &case, &BTreeMap::new(), folder.path()) {
                Some(recorded) => recorded.write(&stem),
                None => fine.push(stem),
            }
        }
    }
    assert_eq!(fine, [""; 0]);
}
