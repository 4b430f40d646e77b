"""What an interpreter says of itself, as prebuild must find it without running it.

Standard input: the names of the modules that some standard library has.
"""

import importlib
import importlib.machinery
import importlib.util
import json
import os
import pkgutil
import platform
import site
import sys
import sysconfig


def works(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


# What lies there and is nothing without a part that is left out.
parts = {name: name for name in ("bz2", "crypt", "ctypes", "curses", "lzma", "sqlite3", "ssl", "tkinter", "turtle")}
parts["distutils"] = "distutils.core"
broken = {name for name, part in parts.items() if importlib.util.find_spec(name) and not works(part)}
stdlib = sysconfig.get_path("stdlib")
folders = [stdlib, os.path.join(stdlib, "lib-dynload")]
# What lies there and wants libraries that do not.
broken |= {module.name for module in pkgutil.iter_modules(folders[1:]) if not works(module.name)}
standard = sys.stdin.read().split()
json.dump({
    "version": "%d.%d" % sys.version_info[:2],
    "full_version": platform.python_version(),
    "prefix": sys.prefix,
    "soabi": sysconfig.get_config_var("SOABI"),
    "suffixes": importlib.machinery.EXTENSION_SUFFIXES,
    "site_packages": site.getsitepackages(),
    "stdlib": stdlib,
    "modules": sorted({module.name for module in pkgutil.iter_modules(folders)} - broken),
    "lacks": sorted(name for name in standard if name in broken or importlib.util.find_spec(name) is None),
    "libc": os.confstr("CS_GNU_LIBC_VERSION"),
    "machine": platform.machine(),
}, sys.stdout)
