//! The cache: shared, killed, damaged, pruned, read-only, full.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use prebuild::cache::{self, Bucket, Cache, Entry, Limits, Lookup, MissReason, Place};
use prebuild::digest::Digest;
use prebuild::error::{Diagnosis as _, Kind};
use prebuild::event::{Cancel, Event};
use tempfile::TempDir;

use crate::support::mount::Mount;
use crate::support::sandbox::{Sandbox, digest, names};
use crate::support::skip;
use crate::support::wheel::WheelBuilder;

/// A folder for a cache and what goes into no cache.
struct Desk {
    root: PathBuf,
    _made: Option<TempDir>,
}

impl Desk {
    fn new() -> Self {
        let made = tempfile::tempdir().unwrap();
        let desk = Self {
            root: made.path().to_path_buf(),
            _made: Some(made),
        };
        fs::create_dir(desk.scratch()).unwrap();
        desk
    }

    fn folder(&self) -> PathBuf {
        self.root.join("cache")
    }

    fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    fn open(&self) -> Cache {
        open(&Place::kept(self.folder(), self.scratch()))
    }

    fn prune(&self, limits: &Limits) -> cache::Freed {
        cache::prune(&self.folder(), limits, &|_| {}, &Cancel::new()).unwrap()
    }

    fn verify(&self) -> cache::Verified {
        cache::verify(&self.folder(), &|_| {}, &Cancel::new()).unwrap()
    }
}

fn open(place: &Place) -> Cache {
    Cache::open(place, &|_| {}, &Cancel::new()).unwrap()
}

fn key(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// Makes an entry of two files: a small one, and a large one of this size.
fn put(cache: &Cache, name: &str, large: usize) -> io::Result<Entry> {
    cache.insert(Bucket::Built, &key(name), |folder| {
        fs::write(folder.join("small"), name)?;
        fs::write(folder.join("large"), name.repeat(large / name.len() + 1))
    })
}

/// Looks for the entry and reads all of it.
fn hit(cache: &Cache, name: &str) -> bool {
    match cache.lookup(Bucket::Built, &key(name)) {
        Lookup::Hit(entry) => {
            assert_eq!(
                fs::read(entry.path("small").unwrap()).unwrap(),
                name.as_bytes()
            );
            let large = fs::read(entry.path("large").unwrap()).unwrap();
            assert!(
                large
                    .chunks_exact(name.len())
                    .all(|part| part == name.as_bytes())
            );
            assert_eq!(entry.path("other"), None);
            true
        }
        Lookup::Miss(why) => {
            assert_eq!(why, MissReason::Absent);
            false
        }
    }
}

fn place_of(desk: &Desk, bucket: Bucket, key: &Digest) -> PathBuf {
    let hex = key.hex();
    desk.folder().join(bucket.name()).join(&hex[..2]).join(hex)
}

#[test]
fn an_entry_is_found_again() {
    let desk = Desk::new();
    let cache = desk.open();
    assert!(!hit(&cache, "a"));
    let entry = put(&cache, "a", 100_000).unwrap();
    let files: Vec<_> = entry.files().collect();
    assert_eq!(files, [("large", 100_001), ("small", 1)]);
    assert!(hit(&cache, "a"));
    drop(cache);
    assert!(hit(&desk.open(), "a"));
    assert_eq!(desk.open().warnings(), [""; 0]);
    assert_eq!(
        names(&desk.folder()),
        [".gitignore", ".lock", "CACHEDIR.TAG", "built-v2", "tmp"]
    );
    let mode = fs::metadata(desk.folder()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let tag = fs::read_to_string(desk.folder().join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    assert_eq!(names(&desk.folder().join("tmp")), [""; 0]);
    assert_eq!(desk.verify().damaged, []);
}

#[test]
fn a_failed_entry_leaves_nothing() {
    let desk = Desk::new();
    let cache = desk.open();
    let failed = cache.insert(Bucket::Built, &key("a"), |folder| {
        fs::write(folder.join("part"), "part")?;
        Err(io::Error::other("stopped"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "stopped");
    for odd in ["folder", "manifest.json", "link"] {
        let failed = cache.insert(Bucket::Built, &key("a"), |folder| match odd {
            "folder" => fs::create_dir(folder.join(odd)),
            "link" => symlink("/etc/passwd", folder.join(odd)),
            _ => fs::write(folder.join(odd), ""),
        });
        let said = failed.unwrap_err().to_string();
        assert!(
            said.contains(odd) && said.contains("cannot be in a cache entry"),
            "{said}"
        );
    }
    assert!(!hit(&cache, "a"));
    assert_eq!(names(&desk.folder().join("tmp")), [""; 0]);
}

#[test]
fn a_temporary_cache_goes_with_its_value() {
    let desk = Desk::new();
    let cache = open(&Place::temporary(desk.scratch()));
    assert_eq!(names(&desk.scratch()), [""; 0]);
    put(&cache, "a", 10).unwrap();
    assert!(hit(&cache, "a"));
    // The directory and its lock file.
    assert_eq!(names(&desk.scratch()).len(), 2);
    drop(cache);
    assert_eq!(names(&desk.scratch()), [""; 0]);
}

/// What a lookup says of an entry, and whether it can be made again.
fn damaged(change: impl Fn(&Path), why: &str) {
    let desk = Desk::new();
    let cache = desk.open();
    put(&cache, "a", 100_000).unwrap();
    let folder = place_of(&desk, Bucket::Built, &key("a"));
    change(&folder);
    match cache.lookup(Bucket::Built, &key("a")) {
        Lookup::Miss(MissReason::Damaged(said)) if said.contains(why) => {}
        other => panic!("no `{why}` in {other:?}"),
    }
    put(&cache, "a", 100_000).unwrap();
    assert!(hit(&cache, "a"));
    assert_eq!(names(&desk.folder().join("tmp")), [""; 0]);
    assert_eq!(cache.warnings(), [""; 0]);
    drop(cache);
    // Found and removed without a lookup too.
    change(&folder);
    let verified = desk.verify();
    if why == "`manifest.json` is missing" {
        // Then it is no entry, as if it was evicted.
        assert_eq!(verified.damaged, []);
    } else {
        assert_eq!(verified.damaged.len(), 1);
        assert!(verified.damaged[0].reason.contains(why));
    }
    assert!(!folder.exists());
    assert_eq!(desk.verify().entries, 0);
}

#[test]
fn damage_is_a_miss_with_a_reason() {
    let shorten = |path: PathBuf, by: u64| {
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - by).unwrap();
    };
    damaged(
        |at| shorten(at.join("large"), 1),
        "`large` has 100000 bytes instead of 100001",
    );
    damaged(
        |at| shorten(at.join("small"), 1),
        "`small` has 0 bytes instead of 1",
    );
    damaged(
        |at| fs::write(at.join("small"), "b").unwrap(),
        "`small` has changed",
    );
    damaged(
        |at| fs::remove_file(at.join("large")).unwrap(),
        "`large` is missing",
    );
    damaged(
        |at| shorten(at.join("manifest.json"), 1),
        "`manifest.json` cannot be read",
    );
    damaged(
        |at| fs::remove_file(at.join("manifest.json")).unwrap(),
        "`manifest.json` is missing",
    );
    damaged(
        |at| {
            fs::remove_dir_all(at).unwrap();
            fs::create_dir(at).unwrap();
        },
        "`manifest.json` is missing",
    );
    damaged(
        |at| {
            let path = at.join("manifest.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("large", "../large")).unwrap();
        },
        "names `../large`",
    );
    damaged(
        |at| {
            fs::remove_file(at.join("manifest.json")).unwrap();
            let made = Command::new("mkfifo")
                .arg(at.join("manifest.json"))
                .status();
            assert!(made.unwrap().success());
        },
        "`manifest.json` is not a manifest",
    );
    damaged(
        |at| {
            fs::remove_file(at.join("large")).unwrap();
            symlink("/etc/passwd", at.join("large")).unwrap();
        },
        "`large` is not a file",
    );
}

#[test]
fn a_flipped_bit_in_a_large_file_is_found_by_verify() {
    let desk = Desk::new();
    let wheel = vec![7; 1 << 20];
    let key = Digest::of(&wheel);
    let cache = desk.open();
    let put_wheel = |folder: &Path| fs::write(folder.join("a-1.0-py3-none-any.whl"), &wheel);
    cache
        .insert::<io::Error>(Bucket::Wheels, &key, put_wheel)
        .unwrap();
    put(&cache, "a", 100_000).unwrap();
    let flip = |path: PathBuf| {
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(&[8], 77_777).unwrap();
    };
    flip(place_of(&desk, Bucket::Wheels, &key).join("a-1.0-py3-none-any.whl"));
    flip(place_of(&desk, Bucket::Built, &self::key("a")).join("large"));
    assert!(matches!(cache.lookup(Bucket::Wheels, &key), Lookup::Hit(_)));
    drop(cache);
    let verified = desk.verify();
    assert_eq!((verified.entries, verified.damaged.len()), (2, 2));
    assert_eq!(desk.verify().entries, 0);
    // An entry that bears another wheel's name.
    let cache = desk.open();
    cache
        .insert::<io::Error>(Bucket::Wheels, &key, put_wheel)
        .unwrap();
    let other = self::key("other");
    let at = place_of(&desk, Bucket::Wheels, &other);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::rename(place_of(&desk, Bucket::Wheels, &key), at).unwrap();
    assert!(matches!(
        cache.lookup(Bucket::Wheels, &other),
        Lookup::Miss(MissReason::Damaged(_))
    ));
}

#[test]
fn an_evicted_entry_is_made_again_and_its_files_stay_until_then() {
    let desk = Desk::new();
    let cache = desk.open();
    let entry = put(&cache, "a", 10).unwrap();
    cache.evict(Bucket::Built, &key("a"));
    cache.evict(Bucket::Built, &key("never made"));
    assert!(matches!(
        cache.lookup(Bucket::Built, &key("a")),
        Lookup::Miss(MissReason::Damaged(_))
    ));
    assert!(entry.path("large").unwrap().is_file());
    put(&cache, "a", 10).unwrap();
    assert!(hit(&cache, "a"));
    cache.evict(Bucket::Built, &key("a"));
    drop(cache);
    assert_eq!(desk.prune(&Limits::default()).entries, 1);
}

/// Sets when an entry was last used.
fn used(desk: &Desk, name: &str, ago: Duration) {
    let manifest = place_of(desk, Bucket::Built, &key(name)).join("manifest.json");
    let file = File::options().write(true).open(manifest).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn pruning_removes_what_was_used_longest_ago() {
    let desk = Desk::new();
    let cache = desk.open();
    for (name, days) in [("a", 40), ("b", 10), ("c", 20), ("d", 30)] {
        put(&cache, name, 100_000).unwrap();
        used(&desk, name, days * DAY);
    }
    // A hit is a use.
    assert!(hit(&cache, "d"));
    let left = |cache: &Cache| {
        ["a", "b", "c", "d"]
            .map(|name| matches!(cache.lookup(Bucket::Built, &key(name)), Lookup::Hit(_)))
    };
    drop(cache);
    assert_eq!(desk.prune(&Limits::default()).entries, 0);
    let since = Limits {
        used_since: Some(SystemTime::now() - 30 * DAY),
        ..Limits::default()
    };
    let freed = desk.prune(&since);
    assert_eq!(freed.entries, 1);
    assert!(freed.bytes > 100_000);
    let size = cache::size(&desk.folder()).unwrap().bytes;
    let limits = |max_size| Limits {
        max_size: Some(max_size),
        used_since: None,
    };
    assert_eq!(desk.prune(&limits(size)).entries, 0);
    assert_eq!(desk.prune(&limits(size - 1)).entries, 1);
    assert_eq!(left(&desk.open()), [false, true, false, true]);
    assert_eq!(desk.prune(&limits(0)).entries, 2);
    assert_eq!(cache::size(&desk.folder()).unwrap().bytes, 0);
}

#[test]
fn pruning_removes_leftovers_and_other_versions_and_nothing_else() {
    let desk = Desk::new();
    put(&desk.open(), "a", 10).unwrap();
    let at = desk.folder();
    let outside = desk.root.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "x".repeat(1000)).unwrap();
    fs::create_dir(at.join("tmp/killed")).unwrap();
    fs::write(at.join("tmp/killed/part"), "xx").unwrap();
    fs::create_dir_all(at.join("wheels-v0/ab")).unwrap();
    fs::write(at.join("wheels-v0/ab/old"), "xxx").unwrap();
    fs::write(at.join("built-v2/stray"), "xxxx").unwrap();
    fs::create_dir(at.join("built-v2/ab")).unwrap();
    fs::write(at.join("built-v2/ab/stray"), "xxxxx").unwrap();
    // What is behind a link is not ours.
    symlink(&outside, at.join("pieces-v2")).unwrap();
    symlink(&outside, at.join("tmp/link")).unwrap();
    symlink(&outside, at.join("built-v2/cd")).unwrap();
    fs::write(at.join("notes.txt"), "the user's").unwrap();
    assert_eq!(cache::size(&at).unwrap().leftovers, 2 + 3 + 4 + 5);
    assert_eq!(desk.prune(&Limits::default()).bytes, 2 + 3 + 4 + 5);
    assert_eq!(
        names(&at),
        [
            ".gitignore",
            ".lock",
            "CACHEDIR.TAG",
            "built-v2",
            "notes.txt",
            "tmp"
        ]
    );
    assert!(hit(&desk.open(), "a"));
    fs::remove_dir(at.join("tmp")).unwrap();
    symlink(&outside, at.join("tmp")).unwrap();
    desk.prune(&Limits::default());
    let freed = cache::clean(&at, &|_| {}, &Cancel::new()).unwrap();
    assert_eq!(freed.entries, 1);
    assert_eq!(names(&at), [".lock", "notes.txt"]);
    assert_eq!(names(&outside), ["precious"]);
}

#[test]
fn what_a_killed_build_left_is_removed_by_the_next() {
    let desk = Desk::new();
    let cache = desk.open();
    put(&cache, "a", 10).unwrap();
    let left = desk.folder().join("tmp/killed");
    fs::create_dir(&left).unwrap();
    // Not while another uses the cache: it may be making that.
    drop(desk.open());
    assert!(left.exists());
    drop(cache);
    drop(desk.open());
    assert!(!left.exists());
}

#[test]
fn a_cache_in_use_is_not_pruned() {
    let desk = Desk::new();
    let cache = desk.open();
    put(&cache, "a", 10).unwrap();
    let cancel = Cancel::new();
    let told = |event: &Event<'_>| {
        let Event::Waiting(what) = event else {
            panic!("{event:?}")
        };
        assert!(what.contains(&desk.folder().display().to_string()));
        cancel.cancel();
    };
    let stopped = cache::clean(&desk.folder(), &told, &cancel).unwrap_err();
    assert!(stopped.kind() == Kind::Cancelled);
    thread::scope(|scope| {
        let pruned = scope.spawn(|| {
            let limits = Limits {
                max_size: Some(0),
                ..Limits::default()
            };
            desk.prune(&limits)
        });
        thread::sleep(Duration::from_millis(100));
        assert!(hit(&cache, "a"));
        drop(cache);
        assert_eq!(pruned.join().unwrap().entries, 1);
    });
}

#[test]
fn what_is_no_cache_is_refused() {
    let desk = Desk::new();
    let refused = |at: &Path, said: &str| {
        let place = Place::kept(at, desk.scratch());
        let error = Cache::open(&place, &|_| {}, &Cancel::new()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().unwrap().contains("--cache-dir"));
        let error = cache::clean(at, &|_| {}, &Cancel::new()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    };
    let at = desk.folder();
    fs::write(&at, "").unwrap();
    refused(&at, "is not a directory");
    fs::remove_file(&at).unwrap();
    symlink(desk.root.join("nowhere"), &at).unwrap();
    refused(&at, "is a dangling link");
    fs::remove_file(&at).unwrap();
    fs::create_dir_all(at.join("app-v2")).unwrap();
    refused(&at, "is not empty, and not a cache");
    // Another program's cache is not ours either.
    fs::write(
        at.join("CACHEDIR.TAG"),
        "Signature: 8a477f597d28d172789f06886806bc55\n# By another.\n",
    )
    .unwrap();
    refused(&at, "is not empty, and not a cache");
    assert_eq!(names(&at), ["CACHEDIR.TAG", "app-v2"]);
    // A link to a folder, and a new volume's, are fine.
    fs::remove_dir_all(&at).unwrap();
    let real = desk.root.join("real");
    fs::create_dir_all(real.join("lost+found")).unwrap();
    symlink(&real, &at).unwrap();
    put(&desk.open(), "a", 10).unwrap();
    assert!(hit(&desk.open(), "a"));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// What is in a cache is believed: one that somebody else may have filled is not used.
#[test]
fn a_cache_that_others_can_fill_is_not_used() {
    let desk = Desk::new();
    let at = desk.folder();
    let error = || {
        let place = Place::kept(&at, desk.scratch());
        let opened = Cache::open(&place, &|_| {}, &Cancel::new());
        opened.map(|cache| assert!(hit(&cache, "a"))).err()
    };
    put(&desk.open(), "a", 10).unwrap();
    assert_eq!(mode(&at), 0o700);
    let real = fs::canonicalize(&at).unwrap();
    for open in [0o720, 0o702, 0o775, 0o757, 0o777, 0o1777, 0o2775] {
        set_mode(&at, open);
        let error = error().unwrap();
        let said = format!(
            "other users can write to `{}`, the cache or a directory above it (mode {open:04o})",
            real.display()
        );
        assert_eq!(error.to_string(), said);
        assert!(error.kind() == Kind::Setup && error.hint().unwrap().contains("--cache-dir"));
    }
    for closed in [0o700, 0o750, 0o755, 0o2755] {
        set_mode(&at, closed);
        assert!(error().is_none(), "{closed:o}");
    }
    // Whoever may rename it, too; in `/tmp`, nobody else may.
    let above = fs::canonicalize(&desk.root).unwrap();
    for (open, is_used) in [
        (0o777, false),
        (0o773, false),
        (0o1777, true),
        (0o775, true),
    ] {
        set_mode(&above, open);
        match error() {
            None => assert!(is_used, "{open:o}"),
            Some(error) => {
                let said = format!(
                    "other users can write to `{}`, the cache or a directory above it (mode {open:04o})",
                    above.display()
                );
                assert_eq!(error.to_string(), said);
                assert!(!is_used);
            }
        }
    }
    // By a link, it is what the link leads to.
    set_mode(&at, 0o777);
    let link = desk.root.join("link");
    symlink(&at, &link).unwrap();
    let place = Place::kept(&link, desk.scratch());
    assert!(Cache::open(&place, &|_| {}, &Cancel::new()).is_err());
    set_mode(&at, 0o700);
    // An empty one is closed and used.
    let empty = desk.root.join("empty");
    fs::create_dir(&empty).unwrap();
    set_mode(&empty, 0o777);
    let cache = open(&Place::kept(&empty, desk.scratch()));
    put(&cache, "a", 10).unwrap();
    assert_eq!(mode(&empty), 0o700);
    if is_root() {
        std::os::unix::fs::chown(&at, Some(65534), None).unwrap();
        let said = format!(
            "the cache `{}` belongs to another user (uid 65534)",
            real.display()
        );
        assert_eq!(error().unwrap().to_string(), said);
    }
}

/// The command says so, with code 3, and touches nothing.
#[test]
fn the_command_uses_no_cache_of_others() {
    let sandbox = Sandbox::new();
    let at = sandbox.work().join("cache");
    fs::create_dir(&at).unwrap();
    fs::write(at.join(".gitignore"), "*\n").unwrap();
    set_mode(&at, 0o777);
    sandbox.write("requirements.txt", "");
    let ran = sandbox.run(&["requirements.txt", "-o", "out.tar", "--cache-dir", "cache"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(3), ""),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains(
            "error: other users can write to `[WORK]/cache`, the cache or a directory above it (mode 0777)\n"
        ),
        "{}",
        ran.stderr
    );
    assert_eq!(names(&at), [".gitignore"]);
    assert_eq!(names(&sandbox.work()), ["cache", "requirements.txt"]);
    assert_eq!(sandbox.left(), [""; 0]);
}

/// An entry is what its manifest says, whatever its folder is called.
#[test]
fn an_entry_that_was_renamed_is_none() {
    let desk = Desk::new();
    let cache = desk.open();
    put(&cache, "a", 10).unwrap();
    let from = place_of(&desk, Bucket::Built, &key("a"));
    for (bucket, name) in [(Bucket::Built, "b"), (Bucket::Pieces, "a")] {
        let to = place_of(&desk, bucket, &key(name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(&from, &to).unwrap();
        match cache.lookup(bucket, &key(name)) {
            Lookup::Miss(MissReason::Damaged(said)) => {
                assert_eq!(said, "`manifest.json` is that of another entry");
            }
            other => panic!("{other:?}"),
        }
        fs::rename(&to, &from).unwrap();
    }
    assert!(hit(&cache, "a"));
}

/// A pinned hash is that of the bytes that are installed, whatever the cache says.
#[test]
fn a_pinned_hash_is_not_believed_but_computed() {
    let sandbox = Sandbox::new();
    let wheel = |text: &str| {
        let wheel = WheelBuilder::new("demo", "1.0").file("demo.py", text);
        let path = wheel.build(&sandbox.links());
        (digest(&path).hex(), fs::read(&path).unwrap())
    };
    let out = sandbox
        .work()
        .join("out/lib/python3.11/site-packages/demo.py");
    let build = |hash: &str| {
        sandbox.write(
            "requirements.txt",
            format!("demo==1.0 --hash=sha256:{hash}\n"),
        );
        let args = ["requirements.txt", "-o", "out/", "--cache-dir", "cache"];
        let target = ["--python", "3.11", "--platform", "linux/amd64", "--force"];
        sandbox.offline(&[&args[..], &target].concat()).ok();
        fs::read_to_string(&out).unwrap()
    };
    let (evil, evil_bytes) = wheel("EVIL = 1\n");
    assert_eq!(build(&evil), "EVIL = 1\n");
    let (good, good_bytes) = wheel("GOOD = 1\n");
    assert_eq!(evil_bytes.len(), good_bytes.len());
    let wheels = sandbox.work().join("cache").join(Bucket::Wheels.name());
    let entry = |hash: &str| wheels.join(&hash[..2]).join(hash);
    // Under the pinned name, and with a manifest that says the same.
    fs::create_dir_all(wheels.join(&good[..2])).unwrap();
    fs::rename(entry(&evil), entry(&good)).unwrap();
    let manifest = entry(&good).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&evil, &good)).unwrap();
    for name in ["outputs", "pieces", "resolutions", "seen"] {
        for folder in names(&sandbox.work().join("cache")) {
            if folder.starts_with(name) {
                fs::remove_dir_all(sandbox.work().join("cache").join(folder)).unwrap();
            }
        }
    }
    assert_eq!(build(&good), "GOOD = 1\n");
    // Other bytes in the file itself, of the same length.
    let file = names(&entry(&good))
        .into_iter()
        .find(|name| name.ends_with(".whl"));
    let file = entry(&good).join(file.unwrap());
    assert_eq!(fs::read(&file).unwrap(), good_bytes);
    fs::write(&file, &evil_bytes).unwrap();
    fs::remove_dir_all(sandbox.work().join("out")).unwrap();
    for folder in names(&sandbox.work().join("cache")) {
        if folder.starts_with("outputs") || folder.starts_with("pieces") {
            fs::remove_dir_all(sandbox.work().join("cache").join(folder)).unwrap();
        }
    }
    assert_eq!(build(&good), "GOOD = 1\n");
    assert_eq!(fs::read(&file).unwrap(), good_bytes);
    // A cache that was copied or restored has the same bytes in files of another state.
    fs::write(&file, &good_bytes).unwrap();
    fs::remove_dir_all(sandbox.work().join("out")).unwrap();
    fs::remove_file(sandbox.links().join("demo-1.0-py3-none-any.whl")).unwrap();
    assert_eq!(build(&good), "GOOD = 1\n");
}

#[test]
fn a_cache_that_cannot_be_made_stops_nothing() {
    let desk = Desk::new();
    fs::write(desk.root.join("file"), "").unwrap();
    let cache = open(&Place::kept(desk.root.join("file/cache"), desk.scratch()));
    assert_eq!(cache.warnings().len(), 1);
    put(&cache, "a", 10).unwrap();
    assert!(hit(&cache, "a"));
    drop(cache);
    assert_eq!(names(&desk.scratch()), [""; 0]);
}

#[test]
fn a_read_only_cache_is_read() {
    let desk = Desk::new();
    let at = desk.folder();
    fs::create_dir(&at).unwrap();
    let Some(mount) = Mount::tmpfs(&at, 1 << 20) else {
        return;
    };
    put(&desk.open(), "a", 10).unwrap();
    mount.read_only();
    reads_only(&desk);
}

/// The same by the right to write, which root always has.
#[test]
fn another_users_cache_is_read() {
    let desk = Desk::new();
    put(&desk.open(), "a", 10).unwrap();
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let folders_and_files = |folders, files| {
        for entry in walkdir::WalkDir::new(desk.folder()).contents_first(true) {
            let path = entry.unwrap().into_path();
            set(&path, if path.is_dir() { folders } else { files });
        }
    };
    folders_and_files(0o555, 0o444);
    set(&desk.root, 0o755);
    set(&desk.scratch(), 0o777);
    if !is_root() {
        reads_only(&desk);
    } else if !as_nobody(&desk) {
        skip("the test cannot run as another user");
    }
    folders_and_files(0o755, 0o644);
}

/// Runs [`child`] as another user on this cache; whether that is possible.
fn as_nobody(desk: &Desk) -> bool {
    let program = std::env::current_exe().unwrap();
    let nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command
    };
    let possible = nobody().arg("test").arg("-x").arg(&program).status();
    if !possible.is_ok_and(|status| status.success()) {
        return false;
    }
    let status = nobody()
        .arg(&program)
        .args(["cache::child", "--exact", "--ignored", "--quiet"])
        .env("CACHE_TEST", "read")
        .env("CACHE_TEST_DESK", &desk.root)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    true
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// What holds of a cache that has `a` and cannot be written.
fn reads_only(desk: &Desk) {
    let cache = desk.open();
    assert_eq!(cache.warnings(), [""; 0]);
    assert!(hit(&cache, "a"));
    put(&cache, "b", 10).unwrap();
    put(&cache, "c", 10).unwrap();
    assert!(hit(&cache, "a") && hit(&cache, "b") && hit(&cache, "c"));
    let warnings = cache.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("cannot write to the cache"),
        "{warnings:?}"
    );
    drop(cache);
    assert!(hit(&desk.open(), "a") && !hit(&desk.open(), "b"));
    assert_eq!(names(&desk.scratch()), [""; 0]);
}

#[test]
fn a_full_disk_stops_nothing() {
    let desk = Desk::new();
    let at = desk.folder();
    fs::create_dir(&at).unwrap();
    let Some(_mount) = Mount::tmpfs(&at, 1 << 20) else {
        return;
    };
    let cache = desk.open();
    let calls = AtomicUsize::new(0);
    for name in ["a", "b", "c", "d"] {
        let made = cache.insert::<io::Error>(Bucket::Built, &key(name), |folder| {
            calls.fetch_add(1, Ordering::Relaxed);
            fs::write(folder.join("small"), name)?;
            fs::write(folder.join("large"), name.repeat(400_000))
        });
        assert!(made.unwrap().path("large").is_some());
    }
    // The third did not fit, and the fourth was not tried.
    assert_eq!(calls.into_inner(), 5);
    assert_eq!(cache.warnings().len(), 1);
    assert!(["a", "b", "c", "d"].iter().all(|name| hit(&cache, name)));
    drop(cache);
    assert_eq!(names(&desk.scratch()), [""; 0]);
    assert_eq!(desk.verify().damaged, []);
    // With not a byte left, what is there can be read, verified and removed.
    let mut filler = File::create(at.join("notes.txt")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    let cache = desk.open();
    assert!(hit(&cache, "a") && hit(&cache, "b") && !hit(&cache, "c"));
    drop(cache);
    assert_eq!(desk.verify().entries, 2);
    let limits = Limits {
        max_size: Some(0),
        ..Limits::default()
    };
    assert_eq!(desk.prune(&limits).entries, 2);
}

#[test]
fn a_new_cache_on_a_full_disk_stops_nothing() {
    let desk = Desk::new();
    let at = desk.root.join("disk");
    fs::create_dir(&at).unwrap();
    let Some(_mount) = Mount::tmpfs(&at, 4 << 10) else {
        return;
    };
    File::create(at.join("filler"))
        .unwrap()
        .write_all(&[0; 4 << 10])
        .unwrap();
    let cache = open(&Place::kept(at.join("cache"), desk.scratch()));
    put(&cache, "a", 10).unwrap();
    assert!(hit(&cache, "a"));
    assert_eq!(cache.warnings().len(), 1);
}

#[test]
fn threads_with_caches_of_their_own_share_one_folder() {
    let desk = Desk::new();
    thread::scope(|scope| {
        for turn in 0..8 {
            let desk = &desk;
            scope.spawn(move || {
                for round in 0..20 {
                    // Opened anew each time: the first of all makes the folder.
                    let cache = desk.open();
                    let name = format!("entry {}", (round * (turn + 1)) % 20);
                    put(&cache, &name, 20_000).unwrap();
                    assert!(hit(&cache, &name));
                    // Those that others evict and replace at the same time can still be made.
                    put(&cache, "evicted", 20_000).unwrap();
                    cache.evict(Bucket::Built, &key("evicted"));
                    assert_eq!(cache.warnings(), [""; 0]);
                }
            });
        }
    });
    assert_eq!(desk.prune(&Limits::default()).entries, 1);
    let verified = desk.verify();
    assert_eq!((verified.entries, verified.damaged.len()), (20, 0));
    assert_eq!(names(&desk.folder().join("tmp")), [""; 0]);
}

/// What other processes do: run by the tests below, in a process of its own.
#[test]
#[ignore = "run by other tests"]
fn child() {
    let Ok(what) = std::env::var("CACHE_TEST") else {
        return;
    };
    let desk = Desk {
        root: std::env::var("CACHE_TEST_DESK").unwrap().into(),
        _made: None,
    };
    let check = |cache: &Cache, name: &str| {
        put(cache, name, 50_000).unwrap();
        assert!(hit(cache, name));
    };
    match what.as_str() {
        "read" => reads_only(&desk),
        "insert" => {
            let cache = desk.open();
            for round in 0_u64.. {
                check(&cache, &format!("entry {}", round % 500));
            }
        }
        names => names.split(',').for_each(|name| check(&desk.open(), name)),
    }
}

fn spawn(desk: &Desk, what: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["cache::child", "--exact", "--ignored", "--quiet"])
        .env("CACHE_TEST", what)
        .env("CACHE_TEST_DESK", &desk.root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_share_one_folder() {
    let desk = Desk::new();
    let what: Vec<_> = (0..30).map(|number| format!("entry {number}")).collect();
    let mut children: Vec<_> = (0..12).map(|_| spawn(&desk, &what.join(","))).collect();
    assert!(
        children
            .iter_mut()
            .all(|child| child.wait().unwrap().success())
    );
    let verified = desk.verify();
    assert_eq!((verified.entries, verified.damaged.len()), (30, 0));
    assert_eq!(names(&desk.folder().join("tmp")), [""; 0]);
}

#[test]
fn a_process_that_is_killed_leaves_nothing_that_harms() {
    let desk = Desk::new();
    let mut left = 0;
    for round in 0..40_u64 {
        let mut child = spawn(&desk, "insert");
        // From before the folder is made to the middle of the work.
        thread::sleep(Duration::from_millis(round * 37 % 101));
        child.kill().unwrap();
        child.wait().unwrap();
        let tmp = desk.folder().join("tmp");
        left += if tmp.exists() { names(&tmp).len() } else { 0 };
        assert_eq!(desk.verify().damaged, []);
    }
    eprintln!("{left} leftovers, {} entries", desk.verify().entries);
    desk.prune(&Limits::default());
    assert_eq!(names(&desk.folder().join("tmp")), [""; 0]);
    assert_eq!(cache::size(&desk.folder()).unwrap().leftovers, 0);
    let cache = desk.open();
    put(&cache, "entry 1", 50_000).unwrap();
    assert!(hit(&cache, "entry 1"));
}

#[test]
fn lookups_are_quick() {
    let desk = Desk::new();
    let cache = desk.open();
    let names: Vec<_> = (0..117).map(|number| format!("entry {number}")).collect();
    for name in &names {
        put(&cache, name, 100_000).unwrap();
    }
    let began = Instant::now();
    for name in &names {
        assert!(matches!(
            cache.lookup(Bucket::Built, &key(name)),
            Lookup::Hit(_)
        ));
    }
    let took = began.elapsed();
    eprintln!("117 lookups: {took:?}");
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn the_command() {
    let sandbox = Sandbox::new();
    let home = sandbox.work().join("../home");
    let said = |args: &[&str]| sandbox.run(&[&["cache"], args].concat()).ok().stdout;
    assert!(said(&["dir"]).ends_with("/home/.cache/prebuild\n"));
    assert_eq!(said(&["dir", "--cache-dir", "here"]), "[WORK]/here\n");
    // Looking at one makes none.
    assert_eq!(said(&["prune"]), "removed 0 entries, 0 B\n");
    assert_eq!(said(&["verify"]), "");
    assert!(said(&["size"]).ends_with("total                 0          0 B\n"));
    assert_eq!(names(&home), [""; 0]);

    let at = home.join(".cache/prebuild");
    let cache = open(&Place::kept(&at, sandbox.tmp()));
    put(&cache, "a", 100_000).unwrap();
    put(&cache, "b", 100_000).unwrap();
    drop(cache);
    let json: serde_json::Value =
        serde_json::from_str(&said(&["size", "--format", "json"])).unwrap();
    assert_eq!(
        (&json["version"], &json["buckets"][1]["entries"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        said(&["prune", "--older-than", "1d", "--max-size", "1GB"]),
        "removed 0 entries, 0 B\n"
    );
    fs::write(
        at.join("built-v2")
            .join(&key("a").hex()[..2])
            .join(key("a").hex())
            .join("small"),
        "x",
    )
    .unwrap();
    let ran = sandbox.run(&["cache", "verify"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stdout,
        format!(
            "built-v2 {}: damaged in the cache: `small` has changed\n",
            key("a")
        )
    );
    assert!(
        ran.stderr
            .contains("1 of 2 entries were damaged; prebuild removed them")
    );
    assert!(said(&["clean"]).starts_with("removed 1 entries, "));

    let elsewhere = sandbox.tmp().join("elsewhere").display().to_string();
    let sandbox = sandbox.env("PREBUILD_CACHE_DIR", &elsewhere);
    assert!(
        sandbox
            .run(&["cache", "dir"])
            .ok()
            .stdout
            .ends_with("/elsewhere\n")
    );
    fs::write(sandbox.tmp().join("elsewhere"), "").unwrap();
    sandbox
        .run(&["cache", "size"])
        .fails(2, &["is not a directory", "hint: ", "--cache-dir"]);
    for (option, value) in [
        ("--max-size", "5XB"),
        ("--max-size", "-1"),
        ("--older-than", "30"),
        ("--older-than", "1x"),
    ] {
        let value = format!("{option}={value}");
        insta::assert_snapshot!(sandbox.run(&["cache", "prune", &value]).fails_with(2));
    }
}
