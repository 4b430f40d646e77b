"""What prebuild asks a builder's interpreter, in one process. Runs on CPython 3.6 and later.

Standard input: a JSON document, {"config": [[PATH, TEXT], ...]}: pip configuration files of the
caller that the builder does not have itself. Standard output: one JSON document.
"""

import configparser
import json
import os
import platform
import re
import site
import subprocess
import sys
import sysconfig


def full_version(info):
    """As packaging writes implementation_version."""
    version = "%d.%d.%d" % (info.major, info.minor, info.micro)
    if info.releaselevel != "final":
        version += info.releaselevel[0] + str(info.serial)
    return version


def executable():
    """The interpreter by the name that lasts: python3.11 beside python3, if they are one."""
    versioned = os.path.join(os.path.dirname(sys.executable), "python%d.%d" % sys.version_info[:2])
    try:
        if os.path.samefile(versioned, sys.executable):
            return versioned
    except OSError:
        pass
    return sys.executable


def pip():
    """The version of pip and the options that its `install` has."""
    try:
        import pip as module
    except ImportError:
        return None
    version = str(getattr(module, "__version__", ""))
    options = options_in_source(module) if is_for_this_python(module, version) else None
    if options is not None:
        return {"version": version, "options": options, "works": True}
    helped = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--help"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, COLUMNS="500", PIP_CONFIG_FILE=os.devnull,
                 PIP_DISABLE_PIP_VERSION_CHECK="1"),
    )
    text = helped.stdout.decode("utf-8", "replace")
    return {"version": version, "options": long_options(text), "works": helped.returncode == 0}


def is_for_this_python(module, version):
    """Whether pip's own metadata names this version of Python. Starting pip takes longer than all the rest."""
    line = "Classifier: Programming Language :: Python :: %d.%d" % sys.version_info[:2]
    folder = os.path.dirname(os.path.dirname(os.path.abspath(module.__file__)))
    path = os.path.join(folder, "pip-%s.dist-info" % version, "METADATA")
    try:
        with open(path, encoding="utf-8") as file:
            return line in file.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return False


def options_in_source(module):
    """The options that pip's source defines, among them those of `install`; None without the source."""
    folder = os.path.join(os.path.dirname(os.path.abspath(module.__file__)), "_internal")
    text = ""
    for path in ("cli/cmdoptions.py", "commands/install.py"):
        try:
            with open(os.path.join(folder, path), encoding="utf-8") as file:
                text += file.read()
        except (OSError, UnicodeDecodeError):
            return None
    return long_options(text)


def long_options(text):
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)))


def tags():
    """The wheels that pip would install, by their tags, the best first."""
    try:
        # pip's own list: those of older packaging lack a few tags that pip adds.
        from pip._internal.utils.compatibility_tags import get_supported
        return [str(tag) for tag in get_supported()]
    except Exception:
        pass
    try:
        from pip._vendor.packaging.tags import sys_tags
    except ImportError:
        return []
    return [str(tag) for tag in sys_tags()]


def config_files():
    """pip's configuration files, in the order in which later ones win.

    https://pip.pypa.io/en/stable/topics/configuration/#location
    """
    home = os.path.expanduser("~")
    for folder in reversed((os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
        yield os.path.join(folder, "pip", "pip.conf")
    yield "/etc/pip.conf"
    yield os.path.join(home, ".pip", "pip.conf")
    yield os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "pip", "pip.conf")
    yield os.path.join(sys.prefix, "pip.conf")
    if os.environ.get("PIP_CONFIG_FILE"):
        yield os.environ["PIP_CONFIG_FILE"]


def own_config():
    """The texts of the builder's own configuration files."""
    if os.environ.get("PIP_CONFIG_FILE") == os.devnull:
        return
    for path in config_files():
        try:
            with open(path, encoding="utf-8") as file:
                yield path, file.read()
        except (OSError, UnicodeDecodeError):
            continue


def read_config(texts):
    """The settings that `pip install` would take: [FILE, OPTION, VALUE], later ones win."""
    texts = list(texts)
    found, broken = [], []
    for section in ("global", "install"):
        for path, text in texts:
            parser = configparser.RawConfigParser()
            try:
                parser.read_string(text)
            except configparser.Error as error:
                broken.append([path, str(error)])
                continue
            if parser.has_section(section):
                found.extend([path, name, value] for name, value in parser.items(section))
    return found, broken


def compiler():
    """The compiler's flag that takes the builder's paths out of what it makes, if it knows one."""
    program = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    for flag in ("-ffile-prefix-map", "-fdebug-prefix-map"):
        try:
            tried = subprocess.run(
                [program, flag + "=/a=/b", "-E", "-x", "c", os.devnull],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        except OSError:
            return None
        if tried.returncode == 0:
            return flag
    return None


def optimisation():
    """The level that the interpreter was built with: what extension modules get by default."""
    levels = re.findall(r"(?<!\S)-O\w*", sysconfig.get_config_var("CFLAGS") or "")
    return levels[-1] if levels else "-O2"


def interpreters():
    """Every path under which scripts may name this interpreter."""
    names = ("python", "python3", "python%d.%d" % sys.version_info[:2])
    folders = {os.path.dirname(sys.executable), os.path.join(sys.prefix, "bin")}
    paths = {os.path.join(folder, name) for folder in folders for name in names}
    paths.update([sys.executable, os.path.realpath(sys.executable), executable()])
    return sorted(paths)


def operating_system():
    """The fields ID and ID_LIKE of os-release, separated by a space."""
    fields = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file.read(1 << 16).splitlines():
                    name, _, value = line.partition("=")
                    fields[name] = value.strip("'\"")
            break
        except OSError:
            continue
    return fields.get("ID", "") + " " + fields.get("ID_LIKE", "")


def watched():
    """What can change the answer while the interpreter stays: files and folders, there or not."""
    yield os.path.join(sys.prefix, "pyvenv.cfg")
    for path in config_files():
        yield path
    # An upgrade of pip makes its folder anew, and an installation changes the one above.
    for folder in site.getsitepackages() + [site.getusersitepackages()]:
        yield folder
        yield os.path.join(folder, "pip")


def main():
    given = json.load(sys.stdin)
    config, broken = read_config(own_config())
    caller_config, caller_broken = read_config(given["config"])
    answer = {
        "markers": {
            "implementation_name": sys.implementation.name,
            "implementation_version": full_version(sys.implementation.version),
            "os_name": os.name,
            "platform_machine": platform.machine(),
            "platform_python_implementation": platform.python_implementation(),
            "platform_release": platform.release(),
            "platform_system": platform.system(),
            "platform_version": platform.version(),
            "python_full_version": platform.python_version(),
            "python_version": ".".join(platform.python_version_tuple()[:2]),
            "sys_platform": sys.platform,
        },
        "executable": executable(),
        "interpreters": interpreters(),
        "prefix": sys.prefix,
        "site_packages": [path for path in site.getsitepackages() if path in sys.path],
        "soabi": sysconfig.get_config_var("SOABI"),
        "platform": sysconfig.get_platform(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "pip": pip(),
        "config": config,
        "caller_config": caller_config,
        "broken_config": broken + caller_broken,
        "environment": {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "PYTHON"))},
        "prefix_map": compiler(),
        "optimisation": optimisation(),
        "os": operating_system(),
        "tags": tags(),
        "watched": sorted(set(watched())),
    }
    json.dump(answer, sys.stdout)


main()
