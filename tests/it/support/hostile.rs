//! A distribution whose modules try to leave the place where they are imported.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::wheel::WheelBuilder;

/// What the modules are after: files that every user may read and change, and a service.
pub(crate) struct Prey {
    folder: TempDir,
    listener: TcpListener,
}

/// Each module, what it does, and how that must fail.
///
/// `PREY` is the directory of the files, `PORT` the port of the service. A module that gets what it wants says
/// so, by an exception of another type.
const MODULES: [(&str, &str, &str); 14] = [
    (
        "changes",
        "open('PREY/kept', 'w').write('changed')",
        "FileNotFoundError: [Errno 2] No such file or directory: 'PREY/kept'",
    ),
    (
        "deletes",
        "import os\nos.unlink('PREY/kept')",
        "FileNotFoundError: [Errno 2] No such file or directory: 'PREY/kept'",
    ),
    (
        "writes",
        "open(__file__, 'a').write('x = 1')",
        "OSError: [Errno 30] Read-only file system: '[FILE]'",
    ),
    (
        "peeks",
        "open('/etc/shadow').read()",
        "PermissionError: [Errno 13] Permission denied: '/etc/shadow'",
    ),
    (
        "connects",
        "import socket\nsocket.create_connection(('127.0.0.1', PORT), 5).send(b'x')",
        "OSError: [Errno 101] Network is unreachable",
    ),
    (
        "escapes",
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nwon = []\n\
         def attempt(name, action):\n\
         \x20   try:\n        if action() != -1:\n            won.append(name)\n\
         \x20   except OSError:\n        pass\n\
         def leave():\n    here = os.open('/', os.O_RDONLY)\n    os.chroot('/tmp')\n    os.fchdir(here)\n\
         \x20   for _ in range(9):\n        os.chdir('..')\n    os.chroot('.')\n\
         attempt('chroot', leave)\n\
         attempt('mount', lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))\n\
         attempt('umount', lambda: libc.umount2(b'/proc', 2))\n\
         attempt('unshare', lambda: libc.unshare(0x10000000))\n\
         attempt('setuid', lambda: os.setuid(0))\n\
         attempt('init', lambda: os.listdir('/proc/1/root'))\n\
         attempt('mknod', lambda: os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0)))\n\
         raise PermissionError('got out by %s' % won if won else 'kept in')",
        "PermissionError: kept in",
    ),
    (
        "traces",
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nparent = os.getppid()\nwon = []\n\
         if libc.ptrace(16, parent, None, None) != -1:\n    won.append('ptrace')\n\
         for name in ('environ', 'mem', 'maps'):\n    try:\n        open('/proc/%d/%s' % (parent, name), 'rb').read(1)\n\
         \x20       won.append(name)\n    except OSError:\n        pass\n\
         raise PermissionError('traced by %s' % won if won else 'kept in')",
        "PermissionError: kept in",
    ),
    (
        "forks",
        "import os, sys\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        os._exit(3)",
        "",
    ),
    (
        "fills",
        "x = []\nwhile True:\n    x.append(bytearray(16 << 20))",
        "MemoryError",
    ),
    (
        "shares",
        "import mmap\nx = []\nwhile True:\n    x.append(mmap.mmap(-1, 16 << 20))\n    x[-1].write(b'x' * (16 << 20))",
        "it took more than 256 MiB of memory",
    ),
    (
        "forges",
        "import json, os\nfor told in ([None], [None, None]):\n\
         \x20   os.write(1, json.dumps(told).encode() + b'\\n')\n\
         \x20   print(json.dumps({'Ran': {'ended': {'code': 0}}, 'index': 0, 'ended': {'code': 0}}))\n\
         os._exit(0)",
        "the process ended with exit code 0",
    ),
    (
        "shouts",
        "import os, sys\nline = 'y' * 99999 + '\\n'\nfor _ in range(1000):\n\
         \x20   sys.stderr.write(line); sys.stdout.write(line)\nraise ValueError('hoarse')",
        "ValueError: hoarse",
    ),
    (
        "sleeps",
        "import signal, time\nfor number in (1, 2, 15):\n    signal.signal(number, signal.SIG_IGN)\ntime.sleep(600)",
        "it took longer than 10 seconds",
    ),
    (
        "moves",
        "import os\nhere = os.path.dirname(__file__)\nos.rename(here, here + '-away')\nos.symlink('PREY', here)",
        "OSError: [Errno 30] Read-only file system: '[HERE]' -> '[HERE]-away'",
    ),
];

impl Prey {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kept"), "unchanged").unwrap();
        for (path, mode) in [
            (folder.path().to_path_buf(), 0o777),
            (folder.path().join("kept"), 0o666),
        ] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { folder, listener }
    }

    fn filled(&self, text: &str) -> String {
        let port = self.listener.local_addr().unwrap().port().to_string();
        text.replace("PREY", &self.folder.path().display().to_string())
            .replace("PORT", &port)
    }

    /// The wheel. One module is a package, and one more is innocent.
    pub(crate) fn wheel(&self) -> WheelBuilder {
        let mut wheel = WheelBuilder::new("hostile", "1.0").file("innocent.py", "x = 1\n");
        for (name, code, _) in MODULES {
            let path = match name {
                "moves" => "moves/__init__.py".to_owned(),
                name => format!("{name}.py"),
            };
            wheel = wheel.file(&path, format!("{}\n", self.filled(code)));
        }
        wheel
    }

    /// Holds a proof against what must fail: each module by its name and in its way. `site` is the
    /// directory that they lie in; where nobody has privileges to lose, files of a container's root are
    /// not read-only, but somebody else's.
    pub(crate) fn survived(&self, proof: &Value, site: &Path, is_container: bool) {
        let mut failed: Vec<(String, String)> = Vec::new();
        for group in ["broken", "unverified"] {
            for one in proof[group].as_array().unwrap() {
                assert!(one["details"].as_str().unwrap().len() < 100_000);
                failed.push((
                    one["name"].as_str().unwrap().to_owned(),
                    one["error"].as_str().unwrap().to_owned(),
                ));
            }
        }
        failed.sort();
        let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
        let mut expected: Vec<&str> = MODULES.iter().map(|(name, ..)| *name).collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{failed:#?}");
        for (name, _, error) in MODULES {
            let file = site.join(format!("{name}.py")).display().to_string();
            let here = site.join(name).display().to_string();
            let mut error = self
                .filled(error)
                .replace("[FILE]", &file)
                .replace("[HERE]", &here);
            if is_container {
                error = error.replace(
                    "OSError: [Errno 30] Read-only file system",
                    "PermissionError: [Errno 13] Permission denied",
                );
            }
            let (_, told) = failed.iter().find(|(failed, _)| failed == name).unwrap();
            match name {
                // The first process ends, or memory does, or time.
                "forks" => assert!(
                    told.starts_with("the process ended with exit code 3")
                        || told.starts_with("it took"),
                    "{told}"
                ),
                // A container without network has a loopback of its own.
                "connects" if is_container => {
                    assert_eq!(
                        told,
                        "ConnectionRefusedError: [Errno 111] Connection refused"
                    );
                }
                _ => assert_eq!(*told, error, "{name}"),
            }
        }
        assert_eq!(
            fs::read_to_string(self.folder.path().join("kept")).unwrap(),
            "unchanged"
        );
        let names: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(names, [self.folder.path().join("kept")]);
        thread::sleep(Duration::from_millis(100));
        let error = self.listener.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

/// The arguments that give hostile modules little, and innocent ones enough.
pub(crate) const LIMITS: [&str; 6] = ["--timeout", "10", "--memory", "256MiB", "--jobs", "2"];
