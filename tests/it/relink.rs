//! Real libraries, relinked: the loader still takes them, and finds what they need by its new names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::Endianness;
use object::elf::{self, DynamicTag, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _};
use prebuild::relink::{Changes, Error, relink};

use crate::support::skip;

/// How many libraries of the machine are tried.
const LIBRARIES: usize = 60;

/// Where libraries are, on the distributions in use.
const FOLDERS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];

/// The libraries in a folder, no file twice.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".so")
            && let Ok(file) = fs::canonicalize(&path)
        {
            files.insert(file);
        }
    }
    files.retain(|file| fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")));
    files.into_iter().collect()
}

/// What the loader is asked for, as the sections tell it: relinking does not read by them.
fn asked(elf: &[u8]) -> Option<Vec<(DynamicTag, String)>> {
    const TAGS: [DynamicTag; 4] = [
        elf::DT_NEEDED,
        elf::DT_SONAME,
        elf::DT_RPATH,
        elf::DT_RUNPATH,
    ];
    let header = FileHeader64::<Endianness>::parse(elf).ok()?;
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, elf).unwrap();
    let table = sections.dynamic_table(endian, elf).unwrap();
    let mut names = Vec::new();
    for entry in table.dynamics() {
        if TAGS.contains(&entry.tag(endian)) {
            let name = entry.string(endian, *table.strings()).unwrap();
            let name = String::from_utf8(name.to_vec()).unwrap();
            names.push((entry.tag(endian), name));
        }
    }
    Some(names)
}

/// The names that a list has by one tag.
fn names(list: &[(DynamicTag, String)], wanted: DynamicTag) -> Vec<String> {
    let of_it = list.iter().filter(|(tag, _)| *tag == wanted);
    of_it.map(|(_, name)| name.clone()).collect()
}

/// Has the loader take a library, with all that it needs.
fn load(library: &Path, beside: &Path) -> Result<(), String> {
    const LOAD: &str = "import ctypes, os, sys; ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)";
    let run = Command::new("python3")
        .args(["-c", LOAD])
        .arg(library)
        .env("LD_LIBRARY_PATH", beside)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&run.stderr);
    if run.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", run.status, error.trim()))
}

/// The name that a library gets when it is bundled.
fn renamed(name: &str) -> String {
    match name.split_once(".so") {
        Some((stem, version)) => format!("{stem}-0123abcd.so{version}"),
        None => format!("{name}-0123abcd"),
    }
}

#[test]
fn libraries_of_this_machine_load_under_new_names() {
    let work = tempfile::tempdir().unwrap();
    let bundled = work.path().join("own.libs");
    fs::create_dir(&bundled).unwrap();

    let (mut tried, mut wrong) = (0, Vec::new());
    for folder in FOLDERS.map(Path::new) {
        let all = libraries(folder);
        // From all over the alphabet: what is beside each other was often made alike.
        let step = all.len().div_ceil(LIBRARIES).max(1);
        for library in all.iter().step_by(step) {
            let elf = fs::read(library).unwrap();
            let Some(old) = asked(&elf) else { continue };
            if load(library, folder).is_err() {
                continue;
            }
            let mut needed = BTreeMap::new();
            for name in names(&old, elf::DT_NEEDED) {
                if let Ok(target) = fs::canonicalize(folder.join(&name)) {
                    let link = bundled.join(renamed(&name));
                    if !link.exists() {
                        symlink(target, link).unwrap();
                    }
                    needed.insert(name.clone(), renamed(&name));
                }
            }
            tried += 1;
            if let Err(why) = try_out(&elf, &old, needed, work.path(), folder) {
                wrong.push(format!("{}: {why}", library.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "of {tried}:\n{}", wrong.join("\n"));
    if tried < LIBRARIES / 2 {
        skip(&format!("there are only {tried} libraries here"));
    }
}

/// Relinks a library, and once more what comes of it.
fn try_out(
    elf: &[u8],
    old: &[(DynamicTag, String)],
    needed: BTreeMap<String, String>,
    work: &Path,
    folder: &Path,
) -> Result<(), String> {
    let mut wanted = names(old, elf::DT_NEEDED);
    for name in &mut wanted {
        if let Some(new) = needed.get(name) {
            name.clone_from(new);
        }
    }
    let first = Changes {
        needed,
        soname: Some("libown-4567cdef.so.1".to_owned()),
        search: vec!["$ORIGIN/own.libs".to_owned()],
    };
    let second = Changes {
        soname: Some("libown-again-4567cdef.so.1".to_owned()),
        search: vec!["$ORIGIN/../again.libs".to_owned()],
        ..Changes::default()
    };
    let once = relink(elf, &first).map_err(|error| error.to_string())?;
    let twice = relink(&once, &second).map_err(|error| error.to_string())?;
    if relink(elf, &first).as_ref() != Ok(&once) {
        return Err("other bytes the second time".to_owned());
    }

    let new = asked(&twice).ok_or("cannot be read")?;
    let paths = [elf::DT_RPATH, elf::DT_RUNPATH].map(|tag| names(&new, tag));
    let path = "$ORIGIN/../again.libs:$ORIGIN/own.libs";
    if names(&new, elf::DT_NEEDED) != wanted
        || names(&new, elf::DT_SONAME) != ["libown-again-4567cdef.so.1"]
        || !paths.concat().iter().any(|there| there.starts_with(path))
    {
        return Err(format!("the loader is asked for {new:?}"));
    }
    for bytes in [once, twice] {
        let library = work.join("libown.so");
        fs::write(&library, bytes).unwrap();
        load(&library, folder)?;
    }
    Ok(())
}

#[test]
fn extension_modules_are_imported() {
    const WHERE: &str = "import sysconfig; print(sysconfig.get_config_var('DESTSHARED'))";
    const IMPORT: &str = "
import importlib.util, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob('*.so')):
    spec = importlib.util.spec_from_file_location(path.name.split('.')[0], path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    print(path.name)
";
    let python = |arguments: &[&str]| {
        let run = Command::new("python3").args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{error}");
        String::from_utf8(run.stdout).unwrap()
    };
    let work = tempfile::tempdir().unwrap();
    let mut modules = 0;
    for library in libraries(Path::new(python(&["-c", WHERE]).trim())) {
        let name = library.file_name().unwrap().to_str().unwrap();
        // Not those that are there for tests of imports: some fail on purpose.
        if name.contains("test") {
            continue;
        }
        let changes = Changes {
            soname: Some(renamed(name)),
            search: vec!["$ORIGIN/../own.libs".to_owned()],
            ..Changes::default()
        };
        let elf = fs::read(&library).unwrap();
        fs::write(work.path().join(name), relink(&elf, &changes).unwrap()).unwrap();
        modules += 1;
    }
    let imported = python(&["-c", IMPORT, work.path().to_str().unwrap()]);
    assert_eq!(imported.lines().count(), modules);
}

#[test]
fn programs_still_run() {
    let work = tempfile::tempdir().unwrap();
    let program = work.path().join("cat");
    fs::copy("/bin/cat", &program).unwrap(); // With its mode.
    let changes = Changes {
        search: vec!["/nowhere/".repeat(100)],
        ..Changes::default()
    };
    match relink(&fs::read(&program).unwrap(), &changes) {
        Ok(relinked) => fs::write(&program, relinked).unwrap(),
        Err(Error::Static) => {
            return skip("the programs here are linked statically");
        }
        Err(error) => panic!("{error}"),
    }
    let run = Command::new(&program).arg("/dev/null").output().unwrap();
    assert!(run.status.success(), "{run:?}");
}
