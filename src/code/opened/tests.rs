//! What is found in sources, most of them shaped like those of real distributions.

use super::*;

/// The sources of a distribution by their paths; those that `__init__.py` imports are reached.
fn opened(files: &[(&str, &str)]) -> (Vec<(String, Necessity)>, Vec<String>) {
    let mut code: Vec<(&str, crate::code::Code)> = files
        .iter()
        .map(|(path, text)| (*path, crate::code::Code::of(path, text.as_bytes())))
        .collect();
    let mut given: Vec<(&str, &mut crate::code::Code)> =
        code.iter_mut().map(|(path, code)| (*path, code)).collect();
    let read = |at: usize| Some(files[at].1.as_bytes().to_vec());
    let packages = crate::code::package_names(files.iter().map(|(path, _)| *path));
    let asked = crate::code::settle(&mut given, &packages, read);
    let word = |name: &Named| match name {
        Named::Library(name) => name.clone(),
        Named::Found(stem) => format!("-l{stem}"),
        Named::Own(name) => format!("./{name}"),
    };
    let found = asked.opened.iter().map(|one| {
        let names: Vec<String> = one.names.iter().map(word).collect();
        (names.join(" "), one.necessity)
    });
    let own = code.iter().filter(|(_, code)| code.opened);
    (
        found.collect(),
        own.map(|(path, _)| (*path).to_owned()).collect(),
    )
}

/// Of one module.
fn of(source: &str) -> Vec<(String, Necessity)> {
    opened(&[("demo.py", source)]).0
}

fn always(names: &str) -> Vec<(String, Necessity)> {
    vec![(names.to_owned(), Necessity::Required)]
}

fn maybe(names: &str) -> Vec<(String, Necessity)> {
    vec![(names.to_owned(), Necessity::Conditional)]
}

fn optional(names: &str) -> Vec<(String, Necessity)> {
    vec![(names.to_owned(), Necessity::Optional)]
}

#[test]
fn every_way_to_open_a_library_is_seen() {
    for source in [
        "import ctypes\nctypes.CDLL('libfoo.so.1')\n",
        "import ctypes as ct\nlib = ct.CDLL(name='libfoo.so.1', mode=ct.RTLD_GLOBAL)\n",
        "from ctypes import CDLL as C\nlib = C(\"libfoo.so.1\")\n",
        "from ctypes import *\nlib = cdll.LoadLibrary('libfoo.so.1')\n",
        "from ctypes import cdll\nlib = cdll['libfoo.so.1']\n",
        "import ctypes\nlib = ctypes.PyDLL('lib' + 'foo' '.so.1')\n",
        "import ctypes\nload = ctypes.CDLL\nNAME = 'foo'\nlib = load(f'lib{NAME}.so.1')\n",
        "import ctypes\nlib = ctypes.CDLL('lib%s.so.1' % 'foo')\n",
        "import ctypes\nlib = ctypes.CDLL('lib{}.so.1'.format('foo'))\n",
        "import ctypes, sys\nif sys.platform == 'win32':\n    lib = ctypes.WinDLL('foo.dll')\nelse:\n    lib = ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes, platform\nnames = {'Linux': 'libfoo.so.1', 'Darwin': 'libfoo.dylib'}\nlib = ctypes.CDLL({'Linux': 'libfoo.so.1', 'Windows': 'a.dll'}[platform.system()])\n",
        "import ctypes, os\nlib = ctypes.CDLL('foo.dll' if os.name == 'nt' else 'libfoo.so.1')\n",
        "import ctypes\ndef load(name='libfoo.so.1'):\n    return ctypes.CDLL(name)\nlib = load()\n",
        "import ctypes\nclass A:\n    def __init__(self):\n        self.lib = self.load('libfoo.so.1')\n    def load(self, name):\n        return ctypes.CDLL(name)\na = A()\n",
        "import ctypes\nclass A:\n    lib = ctypes.CDLL('libfoo.so.1')\n",
        "from cffi import FFI\nffi = FFI()\nlib = ffi.dlopen('libfoo.so.1')\n",
        "import ctypes\nif True: ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes\nfor name in ('libfoo.so.1', 'foo.dll'):\n    ctypes.CDLL(name)\n",
        "import ctypes, os\nlib = ctypes.CDLL(os.environ.get('FOO', 'libfoo.so.1'))\n",
        "import ctypes\nlib = ctypes.CDLL(os.environ.get('FOO') or 'libfoo.so.1')\n",
        "import ctypes\ntry:\n    lib = ctypes.CDLL('libfoo.so.1')\nfinally:\n    done = 1\n",
        "import ctypes\ntry:\n    lib = ctypes.CDLL('libfoo.so.1')\nexcept ImportError:\n    lib = None\n",
        "import ctypes\ntry:\n    lib = ctypes.CDLL('libfoo.so.1')\nexcept OSError as e:\n    raise ImportError('no foo') from e\n",
        "import ctypes\ntry:\n    lib = ctypes.CDLL('libfoo.so.1')\nexcept OSError:\n    lib = None\nif lib is None:\n    raise ImportError\n",
        "import ctypes\nlib = None\nfor name in ['libfoo.so.1']:\n    try:\n        lib = ctypes.CDLL(name)\n        break\n    except OSError:\n        pass\nelse:\n    raise OSError\n",
    ] {
        assert_eq!(of(source), always("libfoo.so.1"), "{source}");
    }
    for source in [
        "from ctypes.util import find_library\nimport ctypes\nlib = ctypes.CDLL(find_library('foo'))\nlib.foo.argtypes = []\n",
        "import ctypes, ctypes.util\nlib = ctypes.CDLL(ctypes.util.find_library('foo'))\nfoo = lib.foo\n",
        "from ctypes.util import find_library as fl\nfrom ctypes import cdll\npath = fl('foo')\nif not path:\n    raise ImportError('no foo')\nlib = cdll.LoadLibrary(path)\n",
        "import ctypes.util\npath = ctypes.util.find_library('foo')\nif path:\n    pass\nelse:\n    raise ImportError\n",
        "import ctypes.util, sys\npath = ctypes.util.find_library('foo')\nif path is None:\n    sys.exit('no foo')\n",
        "from cffi import FFI\nlib = FFI().dlopen('foo')\n",
    ] {
        assert_eq!(of(source), always("-lfoo"), "{source}");
    }
}

#[test]
fn what_is_handled_or_of_another_system_is_nothing() {
    for source in [
        "import ctypes\ntry:\n    ctypes.CDLL('libfoo.so.1')\nexcept OSError:\n    pass\n",
        "import ctypes\ntry:\n    ctypes.CDLL('libfoo.so.1')\nexcept:\n    lib = None\n",
        "import ctypes, contextlib\nwith contextlib.suppress(OSError):\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes, sys\nif sys.platform == 'darwin':\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes, sys\nif sys.platform.startswith(('win', 'cygwin')):\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes, os\nif os.name == 'nt':\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes, platform\nsystem = platform.system().lower()\nif system in ('windows', 'darwin'):\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes, sys\nIS_MAC = sys.platform == 'darwin'\nif IS_MAC:\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes\nif TYPE_CHECKING:\n    pass\nctypes.CDLL('user32.dll')\nctypes.CDLL('/System/Library/Frameworks/A.framework/A')\nctypes.CDLL('libfoo.dylib')\n",
        "import ctypes\nctypes.windll.LoadLibrary('libfoo.so.1')\n",
        "import ctypes\nctypes.CDLL(None)\n",
        "import ctypes.util\nif ctypes.util.find_library('foo'):\n    HAS = True\n",
        "import ctypes\nname = input()\nctypes.CDLL(name)\n",
        "import ctypes\nif __name__ == '__main__':\n    ctypes.CDLL('libfoo.so.1')\n",
        "# ctypes.CDLL('libfoo.so.1')\ntext = \"ctypes.CDLL('libfoo.so.1')\"\n",
        "import ctypes, sys\ndef load():\n    if sys.platform != 'win32':\n        return None\n    return ctypes.CDLL('libfoo.so.1')\nload()\n",
        "import ctypes\ndef load():\n    try:\n        return ctypes.CDLL('libfoo.so.1')\n    except OSError:\n        return None\nlib = load()\n",
    ] {
        assert_eq!(of(source), [], "{source}");
    }
}

#[test]
fn what_may_never_be_carried_out_is_less_sure() {
    for source in [
        "import ctypes\ndef load():\n    return ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes\nif something():\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes\ntry:\n    import _native\nexcept Exception:\n    ctypes.CDLL('libfoo.so.1')\n",
        "import ctypes, sys\nNAMES = [\n    'libfoo.so.1',  # a comment\n    'foo.dll',\n]\ndef load():\n    for name in NAMES:\n        ctypes.CDLL(name)\n",
        "import ctypes\nclass A:\n    def load(self):\n        return ctypes.CDLL('libfoo.so.1')\n",
    ] {
        assert_eq!(of(source), maybe("libfoo.so.1"), "{source}");
    }
    let files = [
        ("demo/__init__.py", ""),
        ("demo/a.py", "import ctypes\nctypes.CDLL('libfoo.so.1')\n"),
    ];
    assert_eq!(opened(&files).0, maybe("libfoo.so.1"));
}

/// As Django has it: a part that nothing imports; and as pyzbar has it: a package that begins with nothing.
#[test]
fn what_no_import_comes_to_is_optional() {
    let open = "import ctypes\nctypes.CDLL('libfoo.so.1')\n";
    let of = |init: &str, other: &str| {
        let files = [
            ("demo/__init__.py", init),
            ("demo/version.py", "VERSION = 1\n"),
            ("demo/core.py", other),
            ("demo/gis/__init__.py", ""),
            ("demo/gis/geos.py", open),
        ];
        opened(&files).0
    };
    let lazy = "def f():\n    from demo.gis import geos\n";
    let guarded = "try:\n    from demo.gis import geos\nexcept ImportError:\n    geos = None\n";
    assert_eq!(
        of("from .core import x\n", "import os\n"),
        optional("libfoo.so.1")
    );
    assert_eq!(of("from .core import x\n", lazy), maybe("libfoo.so.1"));
    assert_eq!(
        of("from .core import x\n", guarded),
        optional("libfoo.so.1")
    );
    assert_eq!(
        of("def f():\n    from .core import x\n", guarded),
        optional("libfoo.so.1")
    );
    assert_eq!(
        of("from .core import x\n", "from demo.gis import geos\n"),
        always("libfoo.so.1")
    );
    assert_eq!(
        of(
            "def f():\n    from .core import x\n",
            "from demo.gis import geos\n"
        ),
        maybe("libfoo.so.1")
    );
    assert_eq!(of("", "import os\n"), maybe("libfoo.so.1"));
    assert_eq!(
        of("from .version import VERSION\nimport os\n", "import os\n"),
        maybe("libfoo.so.1")
    );
}

/// As `PyOpenGL` has it: the type of library is given to a function, and its list of names grows.
#[test]
fn functions_that_are_given_are_called() {
    let loader = "
import ctypes
def load(kind, name, mode=None):
    if isinstance(kind, ctypes.LibraryLoader):
        kind = kind._dlltype
    base = 'lib' + name + '.so'
    names = [base]
    names.extend(list(reversed([base + '.%i' % i for i in range(0, 10)])))
    err = None
    for one in names:
        try:
            return kind(one, mode)
        except Exception as current:
            err = current
    print(err)
";
    let glx = "
import ctypes
from .loader import load
class Platform:
    @property
    def GL(self):
        for name in ('OpenGL', 'GL'):
            try:
                lib = load(ctypes.cdll, name, mode=ctypes.RTLD_GLOBAL)
            except OSError as err:
                lib = None
            if lib:
                return lib
        raise ImportError('Unable to load OpenGL or GL library')
    @property
    def GLU(self):
        try:
            return load(ctypes.cdll, 'GLU')
        except OSError:
            return None
";
    let files = [
        ("gl/__init__.py", ""),
        ("gl/loader.py", loader),
        ("gl/glx.py", glx),
    ];
    let found = opened(&files).0;
    assert_eq!(
        found,
        maybe("libOpenGL.so libGL.so ./libOpenGL.so.* ./libGL.so.*")
    );
    let source =
        "import ctypes\ndef load(open):\n    return open('libfoo.so.1')\nload(ctypes.CDLL)\n";
    assert_eq!(of(source), always("libfoo.so.1"));
}

/// As psycopg has it: a name for where `find_library` finds nothing.
#[test]
fn a_name_may_be_one_or_the_other() {
    let source = "
import ctypes, ctypes.util, sys
if sys.platform == 'linux':
    if not (name := ctypes.util.find_library('c')):
        name = 'libc.so'
    libc = ctypes.cdll.LoadLibrary(name)
";
    assert_eq!(of(source), always("-lc libc.so"));
    let source = "
import ctypes, ctypes.util
path = ctypes.util.find_library('foo')
if path is None:
    path = 'libfoo.so.1'
ctypes.CDLL(path)
";
    assert_eq!(of(source), always("-lfoo libfoo.so.1"));
}

/// Without it, `CDLL(None)` opens the program itself, and nothing fails until something is taken from it.
#[test]
fn what_find_library_does_not_find_is_the_program_itself() {
    let open = "import ctypes, ctypes.util\nlib = ctypes.CDLL(ctypes.util.find_library('foo'))\n";
    assert_eq!(of(open), maybe("-lfoo"));
    assert_eq!(
        of(&format!("{open}def late():\n    return lib.foo()\n")),
        maybe("-lfoo")
    );
    assert_eq!(
        of(&format!("{open}lib.foo.restype = None\n")),
        always("-lfoo")
    );
    // As python-vlc has it.
    let source = "
import ctypes
from ctypes.util import find_library
def find_lib():
    p = find_library('vlc')
    try:
        dll = ctypes.CDLL(p)
    except OSError:
        dll = ctypes.CDLL('libvlc.so.5')
    return dll
dll = find_lib()
";
    let names = ["libvlc.so.5", "-lvlc"].map(|name| (name.to_owned(), Necessity::Conditional));
    assert_eq!(of(source), names);
}

/// As sounddevice has it: names over several lines, and an annotation.
#[test]
fn lists_may_end_in_a_comma() {
    let source = "
from ctypes.util import find_library as _find_library
from _sounddevice import ffi as _ffi
try:
    for _libname in (
            'portaudio',  # Default name on POSIX systems
            'bin\\\\libportaudio-2.dll',
            'lib/libportaudio.dylib',
            ):
        _libname = _find_library(_libname)
        if _libname is not None:
            break
    else:
        raise OSError('PortAudio library not found')
    _lib: ... = _ffi.dlopen(_libname)
except OSError:
    if _platform.system() == 'Darwin':
        _libname = 'libportaudio.dylib'
    else:
        raise
    import _sounddevice_data
    _lib: ... = _ffi.dlopen(_os.path.join(next(iter(_sounddevice_data.__path__)), _libname))
";
    let found = of(source);
    assert!(
        !found.is_empty()
            && found
                .iter()
                .all(|(names, needed)| names == "-lportaudio" && *needed == Necessity::Required),
        "{found:?}"
    );
}

/// As cairocffi has it: two lists of names, one function that tries them.
#[test]
fn names_that_are_tried_in_turn_are_one_library() {
    let source = "
from ctypes.util import find_library
def dlopen(ffi, library_names, filenames):
    exceptions = []
    for library_name in library_names:
        library_filename = find_library(library_name)
        if library_filename:
            filenames = (library_filename, *filenames)
        else:
            exceptions.append('no library called \"{}\" was found'.format(library_name))
    for filename in filenames:
        try:
            return ffi.dlopen(filename)
        except OSError as exception:
            exceptions.append(exception)
    error_message = '\\n'.join(str(exception) for exception in exceptions)
    raise OSError(error_message)

cairo = dlopen(ffi, ('cairo-2', 'cairo'), ('libcairo.so.2', 'libcairo.2.dylib', 'libcairo-2.dll'))
";
    let found = of(source);
    assert_eq!(found.len(), 1, "{found:?}");
    let (names, needed) = &found[0];
    assert_eq!(*needed, Necessity::Required);
    let mut names: Vec<&str> = names.split(' ').collect();
    names.sort_unstable();
    assert_eq!(names, ["-lcairo", "-lcairo-2", "libcairo.so.2"]);
}

/// As weasyprint has it: the last try is outside of what suppresses, and some may fail.
#[test]
fn a_last_try_is_a_need() {
    let source = "
from contextlib import suppress
def _dlopen(ffi, *names, allow_fail=False):
    for name in names:
        with suppress(OSError):
            return ffi.dlopen(name)
    if allow_fail:
        return
    print('cannot load')
    return ffi.dlopen(names[0])

gobject = _dlopen(ffi, 'gobject-2.0', 'libgobject-2.0.so.0', 'libgobject-2.0.dylib')
subset = _dlopen(ffi, 'harfbuzz-subset', allow_fail=True)
";
    assert_eq!(of(source), always("-lgobject-2.0 libgobject-2.0.so.0"));
}

/// As python-magic has it, in two modules, and pyzbar, through three functions.
#[test]
fn functions_of_other_modules_are_followed() {
    let files = [
        (
            "magic/__init__.py",
            "import ctypes\nfrom . import loader\nlibmagic = loader.load_lib()\n",
        ),
        (
            "magic/loader.py",
            "
from ctypes.util import find_library
import ctypes, sys
def _lib_candidates():
    yield find_library('magic')
    if sys.platform == 'darwin':
        yield '/opt/lib/libmagic.dylib'
    elif sys.platform in ('win32', 'cygwin'):
        yield 'libmagic.dll'
    elif sys.platform == 'linux':
        yield 'libmagic.so.1'
def load_lib():
    for lib in _lib_candidates():
        if lib is None:
            continue
        try:
            return ctypes.CDLL(lib)
        except OSError:
            pass
    else:
        raise ImportError('failed to find libmagic')
",
        ),
    ];
    assert_eq!(opened(&files).0, always("-lmagic libmagic.so.1"));
    let files = [
        ("pyzbar/__init__.py", "from .wrapper import version\n"),
        (
            "pyzbar/wrapper.py",
            "
from ctypes import CFUNCTYPE
from . import zbar_library
LIBZBAR = None
def load_libzbar():
    global LIBZBAR
    if not LIBZBAR:
        libzbar, dependencies = zbar_library.load()
    return libzbar
def zbar_function(fname, restype, *args):
    prototype = CFUNCTYPE(restype, *args)
    return prototype((fname, load_libzbar()))
version = zbar_function('zbar_version', 1)
",
        ),
        (
            "pyzbar/zbar_library.py",
            "
import platform
from ctypes import cdll
from ctypes.util import find_library
def load():
    if 'Windows' == platform.system():
        libzbar = cdll.LoadLibrary('libzbar-64.dll')
    else:
        path = find_library('zbar')
        if not path:
            raise ImportError('Unable to find zbar shared library')
        libzbar = cdll.LoadLibrary(path)
    return libzbar, []
",
        ),
    ];
    assert_eq!(opened(&files).0, always("-lzbar"));
}

/// As lightgbm has it: the path of its own library comes from another module.
#[test]
fn libraries_of_its_own_that_are_always_opened_are_told() {
    let elf = "\x7fELF not quite";
    let files = [
        ("light/__init__.py", "from .basic import Booster\n"),
        (
            "light/basic.py",
            "
import ctypes
from os import environ
from .libpath import find_lib_path
def _load_lib():
    lib_path = find_lib_path()
    lib = ctypes.cdll.LoadLibrary(lib_path[0])
    return lib
if environ.get('BUILD_DOC', False):
    _LIB = Mock()
else:
    _LIB = _load_lib()
class Booster: pass
",
        ),
        (
            "light/libpath.py",
            "
from os import environ
from pathlib import Path
from platform import system
def find_lib_path():
    if environ.get('BUILD_DOC', False):
        return []
    curr_path = Path(__file__).absolute().parent
    dll_path = [curr_path, curr_path.parents[1], curr_path / 'lib']
    if system() in ('Windows', 'Microsoft'):
        dll_path = [p / 'lib_light.dll' for p in dll_path]
    else:
        dll_path = [p / 'lib_light.so' for p in dll_path]
    lib_path = [str(p) for p in dll_path if p.is_file()]
    if not lib_path:
        raise FileNotFoundError('no library')
    return lib_path
",
        ),
        ("light/lib/lib_light.so", elf),
        ("light/lib/lib_other.so", elf),
    ];
    assert_eq!(
        opened(&files),
        (Vec::new(), vec!["light/lib/lib_light.so".to_owned()])
    );
    for source in [
        "import ctypes, os\nhere = os.path.dirname(__file__)\nctypes.CDLL(os.path.join(here, 'lib', 'libown.so'))\n",
        "import ctypes, os\nctypes.CDLL(os.path.dirname(os.path.abspath(__file__)) + '/libown.so')\n",
        "import ctypes, pathlib\nctypes.CDLL(str(pathlib.Path(__file__).parent / 'libown.so'))\n",
        "import ctypes, glob, os\nhere = os.path.dirname(__file__)\nctypes.CDLL(glob.glob(os.path.join(here, 'libown*.so'))[0])\n",
        "import numpy as np\nimport ctypes\nlib = np.ctypeslib.load_library('libown', here)\n",
        "import ctypes\nfrom importlib.resources import files\nctypes.CDLL(str(files('demo') / 'libown.so'))\n",
    ] {
        let files = [("demo/__init__.py", source), ("demo/libown.so", elf)];
        assert_eq!(opened(&files).1, ["demo/libown.so"], "{source}");
    }
    let handled = "import ctypes, os\nhere = os.path.dirname(__file__)\ntry:\n    ctypes.CDLL(os.path.join(here, 'libown.so'))\nexcept OSError:\n    pass\n";
    let files = [("demo/__init__.py", handled), ("demo/libown.so", elf)];
    assert_eq!(opened(&files).1, [""; 0]);
}

/// As soundfile has it: its own library, or else the system's.
#[test]
fn a_library_of_its_own_comes_before_the_systems() {
    let source = "
import os, sys
from ctypes.util import find_library as _find_library
try:
    if sys.platform == 'darwin':
        _name = 'libsnd.dylib'
    elif sys.platform == 'linux':
        _name = 'libsnd_x86_64.so'
    import _soundfile_data
    _path = os.path.dirname(_soundfile_data.__file__)
    _snd = _ffi.dlopen(os.path.join(_path, _name))
except (OSError, ImportError, TypeError):
    _libname = _find_library('sndfile')
    if _libname is None:
        raise OSError('sndfile library not found')
    _snd = _ffi.dlopen(_libname)
";
    let found = of(source);
    assert_eq!(found, always("./libsnd_x86_64.so -lsndfile"));
}

#[test]
fn patterns_are_matched() {
    for (name, pattern, is) in [
        ("libfoo.so", "libfoo.so", true),
        ("libfoo.so.1", "libfoo.so", false),
        ("libfoo-1.so", "libfoo*.so", true),
        ("libfoo.so", "*foo*so", true),
        ("libbar.so", "*foo*", false),
        ("a", "a*a", false),
    ] {
        assert_eq!(is_called(name, pattern), is, "{name} {pattern}");
    }
}

/// Sources that are made to take long or to lie deep.
#[test]
fn nothing_takes_long_or_much() {
    let deep = |open: &str, close: &str, count: usize| {
        format!(
            "import ctypes\nx = {}'libfoo.so.1'{}\nctypes.CDLL(x)\n",
            open.repeat(count),
            close.repeat(count)
        )
    };
    let double = {
        let mut text = "import ctypes\nx0 = ['a', 'b', 'c']\n".to_owned();
        for at in 0..60 {
            text.push_str(&format!(
                "x{} = x{at} + x{at} + [f'{{x{at}}}{{x{at}}}']\n",
                at + 1
            ));
        }
        text + "ctypes.CDLL(x60)\n"
    };
    let calls = {
        let mut text = "import ctypes\ndef f0(): ctypes.CDLL('libfoo.so.1')\n".to_owned();
        for at in 0..40 {
            text.push_str(&format!("def f{}():\n    f{at}()\n    f{at}()\n", at + 1));
        }
        text + "f40()\n"
    };
    let blocks = {
        let mut text = "import ctypes\n".to_owned();
        for at in 0..2000 {
            text.push_str(&format!("{}if x:\n", " ".repeat(at)));
        }
        text
    };
    for source in [
        deep("(", ")", 50_000),
        deep("[", "]", 50_000),
        deep("{", "}", 50_000),
        deep("f(", ")", 50_000),
        deep("not ", "", 50_000),
        deep("-", "", 50_000),
        deep("a.", "", 50_000),
        deep("a + ", "", 50_000),
        deep("a or ", "", 50_000),
        deep("a if b else ", "", 50_000),
        deep("lambda: ", "", 50_000),
        deep("", "[0]", 50_000),
        deep("", ".x()", 50_000),
        double,
        calls,
        blocks,
        "import ctypes\nclass A(".repeat(10_000),
        "import ctypes\ndef f(a=f(".repeat(10_000),
        format!("import ctypes\n{}", "from a import (b".repeat(10_000)),
    ] {
        let _ = of(&source);
    }
}

proptest::proptest! {
    #[test]
    fn no_source_makes_it_panic(words in proptest::collection::vec(0..WORDS.len(), 0..60)) {
        let source: String = words.into_iter().map(|at| WORDS[at]).collect();
        let _ = of(&format!("import ctypes\n{source}"));
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = of(&format!("import ctypes\n{text}"));
    }
}

const WORDS: [&str; 44] = [
    "if ",
    "else",
    "elif ",
    "try",
    "except ",
    "finally",
    "for ",
    "in ",
    "while ",
    "with ",
    "def f",
    "class A",
    "return ",
    "raise ",
    "import ",
    "from ",
    "ctypes.CDLL",
    "find_library",
    "f",
    "x",
    "'libfoo.so'",
    "\"\"\"",
    "f'{x}'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    ".",
    "=",
    "+",
    "/",
    "%",
    "not ",
    "or ",
    "and ",
    "\n",
    "\n ",
    "\n  ",
    ";",
    "lambda ",
];
