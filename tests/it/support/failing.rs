//! Projects whose builds fail for want of something.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::wheel::sdist;

/// A project, by its files.
pub(crate) struct Failing {
    pub(crate) name: &'static str,
    files: &'static [(&'static str, &'static str)],
}

impl Failing {
    /// Writes its sources, packed, into `links`; `scratch` is for the folder that is packed.
    pub(crate) fn pack(&self, scratch: &Path, links: &Path) {
        let folder = scratch.join(self.name);
        for (path, text) in self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        sdist(links, &folder, self.name);
    }
}

/// The project of this name.
pub(crate) fn failing(name: &str) -> &'static Failing {
    FAILING.iter().find(|one| one.name == name).unwrap()
}

/// Downloads what builds of [`FAILING`] require into `links`.
pub(crate) fn backends(python: &Path, links: &Path) {
    download(
        python,
        links,
        &[
            "setuptools==68.2.2",
            "wheel==0.42.0",
            "setuptools-rust==1.9.0",
        ],
    );
}

/// Downloads wheels into `links`.
pub(crate) fn download(python: &Path, links: &Path, requirements: &[&str]) {
    let status = Command::new(python)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--only-binary=:all:", "--dest"])
        .arg(links)
        .args(requirements)
        .status()
        .unwrap();
    assert!(status.success());
}

/// A `setup.py` with one extension of C.
macro_rules! extension {
    ($name:literal, $more:literal) => {
        concat!(
            "from setuptools import setup, Extension\n",
            "setup(name='",
            $name,
            "', version='1.0', ext_modules=[Extension('_ext', ['ext.c']",
            $more,
            ")])\n"
        )
    };
}

/// A `setup.py` that does something first.
macro_rules! first {
    ($name:literal, $before:literal) => {
        concat!(
            "import os, subprocess, sys\nfrom setuptools import setup\n",
            $before,
            "\nsetup(name='",
            $name,
            "', version='1.0')\n"
        )
    };
}

/// A `setup.py` whose compiler is a shell script.
macro_rules! compiled_by {
    ($name:literal, $script:literal) => {
        concat!(
            "import os\nfrom setuptools import setup, Extension\n",
            "os.environ['CC'] = '/bin/sh ' + os.path.abspath('",
            $script,
            "')\nsetup(name='",
            $name,
            "', version='1.0', ext_modules=[Extension('_ext', ['ext.c'])])\n"
        )
    };
}

const PLAIN: &str = "int nothing(void) { return 0; }\n";

pub(crate) const FAILING: &[Failing] = &[
    Failing {
        name: "wants-header",
        files: &[
            ("setup.py", extension!("wants-header", "")),
            ("ext.c", "#include <sasl/sasl.h>\n"),
        ],
    },
    Failing {
        name: "wants-unknown-header",
        files: &[
            ("setup.py", extension!("wants-unknown-header", "")),
            ("ext.c", "#include <libfoo/frobnicate.h>\n"),
        ],
    },
    Failing {
        name: "wants-library",
        files: &[
            (
                "setup.py",
                extension!("wants-library", ", libraries=['portaudio']"),
            ),
            ("ext.c", PLAIN),
        ],
    },
    Failing {
        name: "wants-program",
        files: &[(
            "setup.py",
            first!(
                "wants-program",
                "print(subprocess.check_output(['pg_config', '--version']))"
            ),
        )],
    },
    Failing {
        name: "wants-compiler",
        files: &[
            ("setup.py", extension!("wants-compiler", "")),
            ("ext.c", PLAIN),
        ],
    },
    Failing {
        name: "wants-pkg-config",
        files: &[(
            "setup.py",
            first!(
                "wants-pkg-config",
                "subprocess.check_call(['pkg-config', '--print-errors', '--exists', 'portaudio-2.0'])"
            ),
        )],
    },
    Failing {
        name: "wants-cmake",
        files: &[(
            "setup.py",
            first!(
                "wants-cmake",
                "subprocess.check_call(['cmake', '--version'])"
            ),
        )],
    },
    Failing {
        name: "wants-shell-program",
        files: &[(
            "setup.py",
            first!(
                "wants-shell-program",
                "sys.exit(os.system('swig -version') and 1)"
            ),
        )],
    },
    Failing {
        name: "wants-rust",
        files: &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['setuptools', 'wheel', 'setuptools-rust']\n\
                 build-backend = 'setuptools.build_meta'\n",
            ),
            (
                "setup.py",
                "from setuptools import setup\nfrom setuptools_rust import RustExtension\n\
                 setup(name='wants-rust', version='1.0', rust_extensions=[RustExtension('_ext')])\n",
            ),
            (
                "Cargo.toml",
                "[package]\nname = 'ext'\nversion = '1.0.0'\n[lib]\ncrate-type = ['cdylib']\n",
            ),
            ("src/lib.rs", ""),
        ],
    },
    Failing {
        name: "wants-setuptools",
        files: &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['setuptools>=999']\n\
                 build-backend = 'setuptools.build_meta'\n",
            ),
            ("setup.py", first!("wants-setuptools", "")),
        ],
    },
    Failing {
        name: "wants-python",
        files: &[(
            "setup.py",
            "from setuptools import setup\n\
             setup(name='wants-python', version='1.0', python_requires='>=3.99')\n",
        )],
    },
    Failing {
        name: "wants-module",
        files: &[("setup.py", first!("wants-module", "import numpy"))],
    },
    Failing {
        name: "wants-words",
        files: &[(
            "setup.py",
            first!(
                "wants-words",
                "sys.exit('The Foo SDK is missing.\\nInstall it, then set FOO_HOME to its directory.')"
            ),
        )],
    },
    Failing {
        name: "wants-silence",
        files: &[("setup.py", first!("wants-silence", "os._exit(3)"))],
    },
    Failing {
        name: "wants-python-2",
        files: &[("setup.py", "print 'for Python 2 only'\n")],
    },
    Failing {
        name: "wants-exception",
        files: &[(
            "setup.py",
            first!(
                "wants-exception",
                "raise RuntimeError('the moon is in the wrong house')"
            ),
        )],
    },
    Failing {
        name: "wants-mercy",
        files: &[("setup.py", first!("wants-mercy", "os.kill(os.getpid(), 9)"))],
    },
    Failing {
        name: "wants-better-code",
        files: &[
            ("setup.py", extension!("wants-better-code", "")),
            ("ext.c", "int f(void) { return no_such_name; }\n"),
        ],
    },
    Failing {
        name: "wants-unknown-backend",
        files: &[(
            "pyproject.toml",
            "[build-system]\nrequires = ['no-such-backend']\nbuild-backend = 'no_such_backend'\n",
        )],
    },
    Failing {
        name: "wants-toml",
        files: &[
            ("pyproject.toml", "[build-system\nrequires = []\n"),
            ("setup.py", first!("wants-toml", "")),
        ],
    },
    Failing {
        name: "wants-make",
        files: &[(
            "setup.py",
            first!("wants-make", "sys.exit(os.system('make -j2') and 1)"),
        )],
    },
    Failing {
        name: "wants-ninja",
        files: &[(
            "setup.py",
            first!("wants-ninja", "subprocess.run(['ninja'], check=True)"),
        )],
    },
    Failing {
        name: "wants-autoconf",
        files: &[
            (
                "setup.py",
                first!(
                    "wants-autoconf",
                    "subprocess.check_call(['/bin/sh', 'autogen.sh'])"
                ),
            ),
            ("autogen.sh", "set -e\nautoreconf -i\n./configure\n"),
        ],
    },
    Failing {
        name: "wants-memory",
        files: &[
            ("setup.py", compiled_by!("wants-memory", "limited.sh")),
            ("limited.sh", "ulimit -v 40000\nexec gcc \"$@\"\n"),
            ("ext.c", PLAIN),
        ],
    },
    Failing {
        name: "wants-child",
        files: &[(
            "setup.py",
            first!(
                "wants-child",
                "subprocess.check_call(['/bin/sh', '-c', 'kill -9 $$'])"
            ),
        )],
    },
    Failing {
        name: "wants-life",
        files: &[("setup.py", first!("wants-life", "os.kill(os.getpid(), 9)"))],
    },
    Failing {
        name: "wants-compiler-life",
        files: &[
            ("setup.py", compiled_by!("wants-compiler-life", "killed.sh")),
            ("killed.sh", "kill -9 $$\n"),
            ("ext.c", PLAIN),
        ],
    },
    Failing {
        name: "wants-old-setuptools",
        files: &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['setuptools==59.8.0', 'wheel']\n\
                 build-backend = 'setuptools.build_meta'\n",
            ),
            ("setup.py", first!("wants-old-setuptools", "")),
        ],
    },
    Failing {
        name: "wants-backend",
        files: &[(
            "pyproject.toml",
            "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'no_such_backend'\n",
        )],
    },
];
