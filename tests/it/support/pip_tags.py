"""Says what pip's `packaging` says of targets: one JSON document a line in, one a line out.

A job is one of
    {"folder": "path" or null}    this interpreter, by the pip in that folder or by its own
    {"minor": 13, "free_threaded": true,
     "system": {"machine": "aarch64", "glibc": [2, 28], "musl": null}}    some other one
"""

import json
import os
import platform
import sys
import sysconfig
from itertools import groupby


def native_first(tags):
    """In the order that `packaging` has since 26.3, which names no C library first."""
    for _, group in groupby(tags, lambda tag: (tag.interpreter, tag.abi)):
        yield from sorted(group, key=lambda tag: not tag.platform.startswith("linux_"))


def named_platform(machine):
    from pip._vendor.packaging import _manylinux, _musllinux

    musl = _musllinux._get_musl_version(sys.executable)
    family, (major, minor) = (
        ("musllinux", musl) if musl else ("manylinux", _manylinux._get_glibc_version())
    )
    return "{}_{}_{}_{}".format(family, major, minor, machine)


def interpreter(folder):
    if folder:
        sys.path.insert(0, folder)
    import pip
    from pip._internal.utils.compatibility_tags import get_supported
    from pip._vendor import packaging
    from pip._vendor.packaging import markers, tags

    machine = sysconfig.get_platform().split("-")[1]
    free_threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    # As `pip debug --verbose` prints them.
    found = get_supported()
    version = tuple(int(number) for number in packaging.__version__.split(".")[:2])
    if version < (26, 3):
        found = list(native_first(found))
    else:
        assert found == list(tags.sys_tags())
    environment = dict(markers.default_environment(), platform_release="", platform_version="")
    return {
        "python": platform.python_version() + free_threaded,
        "platform": named_platform(machine),
        "target": {
            "markers": environment,
            "platform": sysconfig.get_platform(),
            "soabi": sysconfig.get_config_var("SOABI"),
            "libc": " ".join(platform.libc_ver()),
        },
        "tags": [str(tag) for tag in found],
        "folder": os.path.dirname(os.path.dirname(pip.__file__)),
    }


def elsewhere(minor, free_threaded, system):
    """What `packaging` itself works out, where the system tells it of another one."""
    from pip._vendor.packaging import _manylinux, _musllinux, tags

    none = (-1, -1)
    glibc = _manylinux._GLibCVersion(*system["glibc"] or none)
    musl = system["musl"] and _musllinux._MuslVersion(*system["musl"])
    config = {"Py_GIL_DISABLED": int(free_threaded)}
    _manylinux._get_glibc_version = lambda: glibc
    _musllinux._get_musl_version = lambda _: musl
    # Of an interpreter's file, they say whether it is for the architecture that it runs on.
    _manylinux._is_linux_armhf = _manylinux._is_linux_i686 = lambda _: True
    sysconfig.get_platform = lambda: "linux-" + system["machine"]
    tags._get_config_var = lambda name, warn=False: config.get(name)

    python = (3, minor)
    platforms = list(tags._linux_platforms(is_32bit=False))
    found = list(tags.cpython_tags(python, None, platforms))
    found.extend(tags.compatible_tags(python, "cp3%d" % minor, platforms))
    return [str(tag) for tag in found]


def main():
    for line in sys.stdin:
        job = json.loads(line)
        answer = interpreter if "folder" in job else elsewhere
        print(json.dumps(answer(**job)))


if __name__ == "__main__":
    main()
