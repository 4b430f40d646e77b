//! Wheels and projects made for a test, which show only what matters to it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;

/// A wheel: `WheelBuilder::new("demo", "1.0").file("demo.py", "").build(&folder)`.
pub(crate) struct WheelBuilder {
    name: String,
    version: String,
    tag: String,
    metadata: String,
    files: Vec<(String, Vec<u8>, u32)>,
}

impl WheelBuilder {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            metadata: String::new(),
            files: Vec::new(),
        }
    }

    pub(crate) fn file(mut self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.files
            .push((path.to_owned(), contents.as_ref().to_vec(), 0o644));
        self
    }

    /// Below `NAME-VERSION.data/`.
    pub(crate) fn data(self, path: &str, contents: &str) -> Self {
        let path = format!("{}-{}.data/{path}", self.name, self.version);
        self.file(&path, contents)
    }

    pub(crate) fn console_script(self, name: &str, entry: &str) -> Self {
        let path = format!("{}-{}.dist-info/entry_points.txt", self.name, self.version);
        self.file(&path, format!("[console_scripts]\n{name} = {entry}\n"))
    }

    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        self.metadata
            .push_str(&format!("Requires-Dist: {requirement}\n"));
        self
    }

    pub(crate) fn metadata(mut self, line: &str) -> Self {
        self.metadata.push_str(&format!("{line}\n"));
        self
    }

    pub(crate) fn build(self, folder: &Path) -> PathBuf {
        let info = format!("{}-{}.dist-info", self.name, self.version);
        let path = folder.join(format!("{}-{}-{}.whl", self.name, self.version, self.tag));
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{}",
            self.name, self.version, self.metadata
        );
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {}\n",
            self.tag
        );
        let mut files = self.files;
        files.push((format!("{info}/METADATA"), metadata.into_bytes(), 0o644));
        files.push((format!("{info}/WHEEL"), wheel.into_bytes(), 0o644));
        let mut record: String = files
            .iter()
            .map(|(path, contents, _)| {
                format!("{path},sha256={},{}\n", hash(contents), contents.len())
            })
            .collect();
        record.push_str(&format!("{info}/RECORD,,\n"));
        files.push((format!("{info}/RECORD"), record.into_bytes(), 0o644));
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (path, contents, mode) in files {
            let options = SimpleFileOptions::default().unix_permissions(mode);
            zip.start_file(path, options).unwrap();
            zip.write_all(&contents).unwrap();
        }
        zip.finish().unwrap();
        path
    }
}

/// The SHA-256 as `RECORD` has it: base64 with the URL's alphabet, without padding.
pub(crate) fn hash(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest = prebuild::digest::Digest::of(bytes);
    let bits: String = digest
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:08b}"))
        .collect();
    (0..43)
        .map(|place| {
            let six = format!("{:0<6}", &bits[place * 6..(place * 6 + 6).min(256)]);
            char::from(alphabet[usize::from_str_radix(&six, 2).unwrap()])
        })
        .collect()
}

/// A project that builds without an index: its backend lies in it. `hook` is Python that runs when
/// the wheel is built.
pub(crate) fn project(folder: &Path, name: &str, hook: &str) {
    fs::create_dir_all(folder).unwrap();
    let pyproject =
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";
    fs::write(folder.join("pyproject.toml"), pyproject).unwrap();
    let backend = format!(
        r#"import base64, hashlib, os, signal, sys, time, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    {hook}
    name = "{name}-1.0-py3-none-any.whl"
    info = "{name}-1.0.dist-info/"
    files = [
        ("{name}.py", "HERE = " + repr(sorted(os.listdir(".")))),
        (info + "METADATA", "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
        (info + "WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
    ]
    record = ""
    for path, text in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record += path + ",sha256=" + digest.decode().rstrip("=") + "," + str(len(text)) + "\n"
    files.append((info + "RECORD", record + info + "RECORD,,\n"))
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        for path, text in files:
            wheel.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)
    return name
"#
    );
    fs::write(folder.join("backend.py"), backend).unwrap();
}

/// An archive of the sources of a project.
pub(crate) fn sdist(links: &Path, folder: &Path, name: &str) -> PathBuf {
    let path = links.join(format!("{name}-1.0.tar.gz"));
    let packed = std::process::Command::new("tar")
        .args(["--owner=0", "--group=0", "--mtime=@0", "-czf"])
        .arg(&path)
        .arg("-C")
        .arg(folder.parent().unwrap())
        .arg(format!("--transform=s,^{name},{name}-1.0,"))
        .arg(name)
        .status()
        .unwrap();
    assert!(packed.success());
    path
}
