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
    stem: String,
    purelib: bool,
    metadata: String,
    entry_points: String,
    files: Vec<(String, Vec<u8>, u32)>,
    without: Vec<String>,
    record: Box<dyn Fn(String) -> String + Send>,
}

impl WheelBuilder {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            stem: format!("{name}-{version}"),
            purelib: true,
            metadata: String::new(),
            entry_points: String::new(),
            files: Vec::new(),
            without: Vec::new(),
            record: Box::new(|text| text),
        }
    }

    /// For one platform: `platlib` is where it goes.
    pub(crate) fn platform(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self.purelib = false;
        self
    }

    /// What its folders are called, if not `NAME-VERSION`.
    pub(crate) fn stem(mut self, stem: &str) -> Self {
        stem.clone_into(&mut self.stem);
        self
    }

    pub(crate) fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, contents, 0o644)
    }

    pub(crate) fn executable(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, contents, 0o755)
    }

    fn file_with_mode(mut self, path: &str, contents: impl AsRef<[u8]>, mode: u32) -> Self {
        self.files
            .push((path.to_owned(), contents.as_ref().to_vec(), mode));
        self
    }

    /// A symbolic link, as an archive holds one: a file with its target.
    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.file_with_mode(path, target, LINK)
    }

    /// Below its `.data` folder.
    pub(crate) fn data(self, path: &str, contents: &str) -> Self {
        let path = format!("{}.data/{path}", self.stem);
        self.file(&path, contents)
    }

    /// A program below its `.data` folder.
    pub(crate) fn program(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        let path = format!("{}.data/{path}", self.stem);
        self.executable(&path, contents)
    }

    /// In its `.dist-info` folder, in place of what would be there.
    pub(crate) fn info(self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        let path = format!("{}.dist-info/{name}", self.stem);
        self.without(name).file(&path, contents)
    }

    /// Without a file of its `.dist-info` folder.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.without.push(name.to_owned());
        self
    }

    /// With a `RECORD` that was changed.
    pub(crate) fn record(mut self, change: impl Fn(String) -> String + Send + 'static) -> Self {
        self.record = Box::new(change);
        self
    }

    pub(crate) fn console_script(self, name: &str, entry: &str) -> Self {
        self.entry_points(&format!("[console_scripts]\n{name} = {entry}\n"))
    }

    pub(crate) fn entry_points(mut self, text: &str) -> Self {
        self.entry_points.push_str(text);
        self
    }

    pub(crate) fn requires(self, requirement: &str) -> Self {
        self.metadata(&format!("Requires-Dist: {requirement}"))
    }

    pub(crate) fn metadata(mut self, line: &str) -> Self {
        self.metadata.push_str(&format!("{line}\n"));
        self
    }

    pub(crate) fn build(self, folder: &Path) -> PathBuf {
        let info = format!("{}.dist-info", self.stem);
        let path = folder.join(format!("{}-{}-{}.whl", self.name, self.version, self.tag));
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n{}",
            self.name, self.version, self.metadata
        );
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {}\nTag: {}\n",
            self.purelib, self.tag
        );
        let mut files = self.files;
        for (name, text) in [
            ("METADATA", metadata),
            ("WHEEL", wheel),
            ("entry_points.txt", self.entry_points),
        ] {
            if !text.is_empty() && !self.without.iter().any(|left| left == name) {
                files.push((format!("{info}/{name}"), text.into_bytes(), 0o644));
            }
        }
        let mut record: String = files
            .iter()
            .map(|(path, contents, _)| {
                let path = if path.contains([',', '"']) {
                    format!("\"{}\"", path.replace('"', "\"\""))
                } else {
                    path.clone()
                };
                format!("{path},sha256={},{}\n", hash(contents), contents.len())
            })
            .collect();
        record.push_str(&format!("{info}/RECORD,,\n"));
        if !self.without.iter().any(|left| left == "RECORD") {
            let record = (self.record)(record).into_bytes();
            files.push((format!("{info}/RECORD"), record, 0o644));
        }
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (path, contents, mode) in files {
            let options = SimpleFileOptions::default().unix_permissions(mode & 0o777);
            if mode == LINK {
                let target = String::from_utf8(contents).unwrap();
                zip.add_symlink(path, target, options).unwrap();
                continue;
            }
            zip.start_file(path, options).unwrap();
            zip.write_all(&contents).unwrap();
        }
        zip.finish().unwrap();
        path
    }
}

/// The mode of a symbolic link.
const LINK: u32 = 0o120_777;

/// The SHA-256 as `RECORD` has it.
pub(crate) fn hash(bytes: &[u8]) -> String {
    base64(prebuild::digest::Digest::of(bytes).as_bytes())
}

/// Base64 with the URL's alphabet, without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    (0..bits.len())
        .step_by(6)
        .map(|start| {
            let six = format!("{:0<6}", &bits[start..(start + 6).min(bits.len())]);
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
