"""What an interpreter says of itself, as prebuild must find it without running it."""

import importlib.machinery
import importlib.util
import json
import os
import pkgutil
import platform
import site
import sys
import sysconfig

stdlib = sysconfig.get_path("stdlib")
folders = [stdlib, os.path.join(stdlib, "lib-dynload")]
with open(os.path.join(os.path.dirname(__file__), "../../../src/code/stdlib.txt")) as file:
    standard = file.read().split()
json.dump({
    "version": "%d.%d" % sys.version_info[:2],
    "full_version": platform.python_version(),
    "prefix": sys.prefix,
    "soabi": sysconfig.get_config_var("SOABI"),
    "suffixes": importlib.machinery.EXTENSION_SUFFIXES,
    "site_packages": site.getsitepackages(),
    "stdlib": stdlib,
    "modules": sorted({module.name for module in pkgutil.iter_modules(folders)}),
    "lacks": sorted(name for name in standard if importlib.util.find_spec(name) is None),
    "libc": os.confstr("CS_GNU_LIBC_VERSION"),
    "machine": platform.machine(),
}, sys.stdout)
