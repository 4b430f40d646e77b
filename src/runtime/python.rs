//! The interpreters in a root, found without running them.
//!
//! Where an interpreter's prefix is follows from where it lies, as `getpath` has it; where it searches,
//! from its own `site.py`.
//!
//! <https://docs.python.org/3/library/sys_path_init.html>

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::loader::{self, Loader};
use super::owned;
use super::root::Root;
use super::stdlib;
use crate::code::Elf;
use crate::requirements::Name;

/// A `CPython`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// Its path, by the name that lasts: `python3.11` rather than `python3`.
    pub executable: String,
    /// Every path under which it was found, the one on the `PATH` first.
    pub names: Vec<String>,
    /// Its version: major and minor.
    pub version: String,
    /// Its whole version, if something tells.
    pub full_version: Option<String>,
    /// `sys.prefix`.
    pub prefix: String,
    /// The tag of its extension modules.
    pub soabi: Option<String>,
    /// `importlib.machinery.EXTENSION_SUFFIXES`.
    pub suffixes: Vec<String>,
    /// The folders that it searches for distributions, as `site.getsitepackages()` has them, there or not.
    pub site_packages: Vec<String>,
    /// The folder of its standard library.
    pub stdlib: String,
    /// The top-level modules of its standard library that can be imported, without those that are built in.
    pub modules: BTreeSet<String>,
    /// Those that are built in.
    pub builtin: BTreeSet<String>,
    /// Those that are there and cannot be imported, each with the libraries that it needs and that the loader
    /// does not find.
    pub lacking: BTreeMap<String, BTreeSet<String>>,
    /// Its own files, links of their directories followed: programs, its library, headers, and the standard
    /// library.
    pub files: BTreeSet<String>,
    /// The distributions that lie in its site folders.
    pub installed: Vec<Installed>,
    /// The top-level modules there.
    pub installed_modules: BTreeSet<String>,
    /// What its program asks of the dynamic loader.
    pub elf: Elf,
}

/// A distribution that the runtime has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its name, normalised.
    pub name: String,
    /// Its version, as the name of its metadata folder has it.
    pub version: String,
    /// The site folder that it lies in.
    pub folder: String,
    /// The folder of its metadata.
    pub metadata: String,
    /// Its files outside of the site folder, and those that its top-level modules begin with, links of their
    /// folders followed.
    pub files: BTreeSet<String>,
}

/// The `PATH` of a container whose image says nothing.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The largest binary that is looked at for its version, in bytes.
const MAX_BINARY: u64 = 256 << 20;

/// Finds the interpreters in the folders of `path`, and in a few more.
pub(super) fn find(root: &Root, path: &[String], wanted: Option<&str>) -> Vec<Python> {
    let mut folders = path.to_vec();
    folders.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(str::to_owned));
    for name in root.names("/opt") {
        folders.push(format!("/opt/{name}/bin"));
    }
    let mut candidates: Vec<String> = wanted.map(str::to_owned).into_iter().collect();
    for folder in folders {
        // The names as they are searched: `python3` stands for a folder's choice.
        let mut names = root.names(&folder);
        names.retain(|name| is_name(name));
        names.sort_by_key(|name| (name != "python3", name != "python", name.clone()));
        candidates.extend(names.iter().map(|name| format!("{folder}/{name}")));
    }
    let mut pythons: Vec<Python> = Vec::new();
    for candidate in candidates {
        if !root.is_executable(&candidate) {
            continue;
        }
        // An environment's interpreter is a link to another's, and not the same: its folder counts.
        let home = environment(root, &candidate);
        let same = pythons.iter_mut().find(|python| {
            let known = (
                root.real(&python.names[0]),
                environment(root, &python.names[0]),
            );
            known == (root.real(&candidate), home.clone())
        });
        match same {
            Some(python) if !python.names.contains(&candidate) => python.names.push(candidate),
            Some(_) => {}
            None => pythons.extend(python(root, &candidate, home.as_ref())),
        }
    }
    for python in &mut pythons {
        python.executable = lasting(root, python);
    }
    pythons
}

/// Whether a file is called as interpreters are.
fn is_name(name: &str) -> bool {
    let Some(version) = name.strip_prefix("python") else {
        return false;
    };
    let version = version.strip_suffix('t').unwrap_or(version);
    version.is_empty() || version == "3" || minor(version).is_some()
}

/// The minor version of `3.11`.
fn minor(version: &str) -> Option<u32> {
    let digits = version.strip_prefix("3.")?;
    digits.parse().ok().filter(|minor| *minor < 1000)
}

/// The virtual environment that an interpreter belongs to: its folder, and what its `pyvenv.cfg` says.
fn environment(root: &Root, executable: &str) -> Option<(String, String)> {
    let (bin, _) = executable.rsplit_once('/')?;
    let above = bin.rsplit_once('/').map_or("", |(above, _)| above);
    [bin, above].into_iter().find_map(|folder| {
        let text = root.text(&format!("{folder}/pyvenv.cfg"))?;
        Some((folder.to_owned(), text))
    })
}

/// An entry of a `pyvenv.cfg`.
fn entry<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    config.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim().eq_ignore_ascii_case(key)).then(|| value.trim())
    })
}

impl Python {
    /// Leaves out the modules of the standard library that cannot be imported there.
    pub(super) fn leave_out(&mut self, root: &Root, loader: &Loader) {
        let (builtin, present) = (&self.builtin, &self.elf.needed);
        self.lacking = stdlib::leave_out(
            &mut self.modules,
            builtin,
            &self.stdlib,
            present,
            root,
            loader,
        );
    }

    /// Whether its pip refuses to touch what a package manager has installed.
    #[must_use]
    pub fn is_externally_managed(&self) -> bool {
        self.files
            .iter()
            .any(|path| path.ends_with("/EXTERNALLY-MANAGED"))
    }
}

/// What can be known of the interpreter at `path`.
fn python(root: &Root, path: &str, environment: Option<&(String, String)>) -> Option<Python> {
    let real = root.real(path)?;
    let elf = loader::elf(root, &real)?;
    let name = real.rsplit('/').next().unwrap_or_default();
    let (home, stdlib, version) = stdlib(root, &real, name)?;
    let config = sysconfig(root, &stdlib);
    let threaded = name.ends_with('t') || setting(&config, "ABIFLAGS").contains('t');
    let minor = minor(&version)?;
    let soabi = match setting(&config, "SOABI") {
        "" => from_modules(root, &stdlib, &version),
        soabi => Some(soabi.to_owned()),
    };
    let binaries = binaries(root, &real, &home, &version, &elf.needed);
    let mut suffixes: Vec<String> = soabi.iter().map(|soabi| format!(".{soabi}.so")).collect();
    if !threaded {
        suffixes.push(".abi3.so".to_owned());
    }
    suffixes.push(".so".to_owned());
    let lib = match setting(&config, "PLATLIBDIR") {
        "" => "lib",
        lib if minor >= 9 => lib,
        _ => "lib",
    };
    let rules = root.text(&format!("{stdlib}/site.py")).unwrap_or_default();
    let folder = format!("python{version}{}", if threaded { "t" } else { "" });
    let sites = |prefix: &str, is_environment| sites(&rules, prefix, lib, &folder, is_environment);
    let (prefix, site_packages) = match environment {
        None => (home.clone(), sites(&home, false)),
        Some((folder, config)) => {
            let mut found = sites(folder, true);
            if entry(config, "include-system-site-packages").is_some_and(|it| it == "true") {
                found.extend(sites(&home, false));
            }
            (folder.clone(), found)
        }
    };
    let texts: Vec<Vec<u8>> = binaries
        .iter()
        .filter_map(|path| root.bytes(path, MAX_BINARY))
        .collect();
    let mut builtin: BTreeSet<String> = texts
        .iter()
        .flat_map(|bytes| stdlib::builtin(bytes))
        .collect();
    // A program that has none, and no library that would, is no Python, whatever lies beside it.
    let is_library = |name: &String| name.starts_with("libpython");
    if builtin.is_empty() && !elf.needed.iter().any(is_library) {
        return None;
    }
    builtin.extend(stdlib::ALWAYS.map(str::to_owned));
    let modules = stdlib::modules(root, &stdlib);
    let (installed, installed_modules) = installed(root, &site_packages);
    let files = owned::interpreter(root, &home, &stdlib, &version);
    Some(Python {
        executable: path.to_owned(),
        names: vec![path.to_owned()],
        full_version: full_version(root, &home, &version, &texts),
        version,
        prefix,
        soabi,
        suffixes,
        site_packages,
        stdlib,
        modules,
        builtin,
        lacking: BTreeMap::new(),
        files,
        installed,
        installed_modules,
        elf,
    })
}

/// The prefix, the standard library below it, and the version.
fn stdlib(root: &Root, real: &str, name: &str) -> Option<(String, String, String)> {
    let said = name
        .strip_prefix("python")
        .map(|version| version.trim_end_matches('t'));
    let said = said.filter(|version| minor(version).is_some());
    let mut above = real.rsplit_once('/')?.0;
    loop {
        for lib in ["lib", "lib64"] {
            let folder = format!("{above}/{lib}");
            let mut names = root.names(&folder);
            names.retain(|name| {
                let version = name
                    .strip_prefix("python")
                    .map(|it| it.trim_end_matches('t'));
                version.is_some_and(|version| match said {
                    Some(said) => version == said,
                    None => minor(version).is_some(),
                })
            });
            // A free-threaded one has a folder of its own.
            names.sort_by_key(|folder| folder.ends_with('t') != name.ends_with('t'));
            let landmark = |name: &&String| {
                let os = format!("{folder}/{name}/os.py");
                root.is_file(&os) || root.is_file(&format!("{os}c"))
            };
            if let Some(name) = names.iter().find(landmark) {
                let version = name.strip_prefix("python")?.trim_end_matches('t');
                let prefix = if above.is_empty() { "/" } else { above };
                return Some((
                    prefix.to_owned(),
                    format!("{folder}/{name}"),
                    version.to_owned(),
                ));
            }
        }
        if above.is_empty() {
            return None;
        }
        above = above.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

/// The text of its build's settings.
fn sysconfig(root: &Root, stdlib: &str) -> String {
    let names = root.names(stdlib);
    let mut names = names
        .iter()
        .filter(|name| name.starts_with("_sysconfigdata_") && name.ends_with(".py"));
    let text = names.find_map(|name| {
        let text = root.text(&format!("{stdlib}/{name}"))?;
        text.contains("'SOABI'").then_some(text)
    });
    text.unwrap_or_default()
}

/// A setting that is a text, on one line; empty if there is none.
fn setting<'a>(config: &'a str, name: &str) -> &'a str {
    let key = format!("'{name}': '");
    let value = config.find(&key).map(|at| &config[at + key.len()..]);
    let value = value.and_then(|rest| rest.split_once('\''));
    value.map_or("", |(value, _)| value)
}

/// The tag that its own extension modules have.
fn from_modules(root: &Root, stdlib: &str, version: &str) -> Option<String> {
    let tag = format!("cpython-{}", version.replace('.', ""));
    let names = root.names(&format!("{stdlib}/lib-dynload"));
    names.iter().find_map(|name| {
        let (_, rest) = name.split_once('.')?;
        let soabi = rest.strip_suffix(".so")?;
        soabi.starts_with(&tag).then(|| soabi.to_owned())
    })
}

/// The binaries that hold the interpreter: the program, and its library.
fn binaries(root: &Root, real: &str, home: &str, version: &str, needed: &[String]) -> Vec<String> {
    let mut found = vec![real.to_owned()];
    let library = format!("libpython{version}");
    if let Some(name) = needed.iter().find(|name| name.starts_with(&library)) {
        let mut folders = vec![
            format!("{home}/lib"),
            "/usr/lib".to_owned(),
            "/usr/lib64".to_owned(),
        ];
        let triplets = root.names("/usr/lib");
        let triplets = triplets.iter().filter(|name| name.contains("-linux-"));
        folders.extend(triplets.map(|name| format!("/usr/lib/{name}")));
        let paths = folders.iter().map(|folder| format!("{folder}/{name}"));
        found.extend(paths.filter_map(|path| root.real(&path)).take(1));
    }
    found
}

/// Its whole version: from its header, if there is one, else from the program itself.
fn full_version(root: &Root, home: &str, version: &str, binaries: &[Vec<u8>]) -> Option<String> {
    let header = format!("{home}/include/python{version}/patchlevel.h");
    let header = root.text(&header).unwrap_or_default();
    let said = header.lines().find_map(|line| {
        let value = line.strip_prefix("#define PY_VERSION")?.trim();
        value.strip_prefix('"')?.strip_suffix('"')
    });
    if let Some(said) = said {
        return Some(said.trim_end_matches('+').to_owned());
    }
    let start = format!("\0{version}.");
    let finder = memchr::memmem::Finder::new(start.as_bytes());
    binaries.iter().find_map(|bytes| {
        finder.find_iter(bytes).find_map(|at| {
            let text = bytes[at + 1..].split(|byte| *byte == 0).next()?;
            let text = str::from_utf8(text).ok()?.trim_end_matches('+');
            let rest = text.strip_prefix(&start[1..])?;
            let digits = rest.trim_end_matches(|c: char| c.is_ascii_digit());
            let is_release = rest.len() < 8 && matches!(digits, "");
            let is_early = digits
                .strip_suffix(['a', 'b'])
                .or_else(|| digits.strip_suffix("rc"));
            let is_early = is_early.is_some_and(|micro| micro.parse::<u32>().is_ok());
            (!rest.is_empty() && (is_release || is_early)).then(|| text.to_owned())
        })
    })
}

/// The folders that `site.py` adds; Debian's and Fedora's have rules of their own.
fn sites(rules: &str, prefix: &str, lib: &str, folder: &str, is_environment: bool) -> Vec<String> {
    let prefix = prefix.trim_end_matches('/');
    let mut libs = vec![lib];
    if lib != "lib" {
        libs.push("lib");
    }
    let of = |prefix: &str, name: &str| -> Vec<String> {
        let folders = libs
            .iter()
            .map(|lib| format!("{prefix}/{lib}/{folder}/{name}"));
        folders.collect()
    };
    if rules.contains("\"dist-packages\"") {
        let local = format!("{prefix}/local/lib/{folder}/dist-packages");
        let own = format!("{prefix}/lib/python3/dist-packages");
        let site = is_environment.then(|| format!("{prefix}/lib/{folder}/site-packages"));
        let site = site.into_iter().chain([local, own]).collect();
        return [site, of(prefix, "dist-packages")].concat();
    }
    if is_environment {
        return of(prefix, "site-packages");
    }
    // Fedora: what is not its own lies below /usr/local.
    if prefix == "/usr" && rules.contains("RPM_BUILD_ROOT") && rules.contains("/usr/local") {
        return [
            of("/usr/local", "site-packages"),
            of(prefix, "site-packages"),
        ]
        .concat();
    }
    of(prefix, "site-packages")
}

/// The distributions and the top-level modules in the site folders, by the names of what lies there.
///
/// <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>
fn installed(root: &Root, sites: &[String]) -> (Vec<Installed>, BTreeSet<String>) {
    let (mut installed, mut modules) = (Vec::new(), BTreeSet::new());
    for site in sites {
        for entry in root.names(site) {
            let metadata = entry
                .strip_suffix(".dist-info")
                .or_else(|| entry.strip_suffix(".egg-info"));
            if let Some(metadata) = metadata {
                let mut parts = metadata.split('-');
                // One whose name has no version does not say which it is.
                if let (Some(name), Some(version)) = (parts.next(), parts.next()) {
                    let metadata = format!("{site}/{entry}");
                    let record = root.text(&format!("{metadata}/RECORD"));
                    installed.push(Installed {
                        name: Name::new(name).to_string(),
                        version: version.to_owned(),
                        folder: site.clone(),
                        files: owned::distribution(root, &record.unwrap_or_default(), site),
                        metadata,
                    });
                }
                continue;
            }
            let (stem, ending) = entry.split_once('.').unwrap_or((&entry, ""));
            if matches!(ending, "" | "py" | "so") || ending.ends_with(".so") {
                modules.insert(stem.to_owned());
            }
        }
    }
    (installed, modules)
}

/// The name that lasts, among those under which an interpreter was found, in the folder of the first.
fn lasting(root: &Root, python: &Python) -> String {
    let first = &python.names[0];
    let (folder, _) = first.rsplit_once('/').unwrap_or(("", first));
    let versioned = format!("{folder}/python{}", python.version);
    if python.names.contains(&versioned) || root.real(&versioned) == root.real(first) {
        versioned
    } else {
        first.clone()
    }
}
