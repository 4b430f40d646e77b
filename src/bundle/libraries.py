"""Which files of a builder are these libraries, and whose are they? Runs on CPython 3.6 and later.

Standard input: a JSON document, {"libraries": [SONAME, ...], "into": FOLDER or null}: with a folder, the
libraries are copied there. Standard output: {"os": the text of os-release, "libraries": {SONAME:
{"package": NAME or null, "licence": PATH or null}}}, of those that were found.
"""

import json
import os
import re
import shutil
import subprocess
import sys

MULTIARCH = re.compile(r"-linux-")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cached():
    """What the dynamic loader's cache says, if there is one that can be printed."""
    found = {}
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
        try:
            printed = subprocess.run([program, "-p"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError:
            continue
        for line in printed.stdout.decode("utf-8", "replace").splitlines():
            name, arrow, path = line.strip().partition(" => ")
            if arrow:
                found.setdefault(name.split(" ")[0], path)
        break
    return found


def folders():
    """Where libraries lie."""
    for base in ("/usr/local/lib", "/lib", "/usr/lib", "/lib64", "/usr/lib64"):
        yield base
        try:
            names = sorted(os.listdir(base))
        except OSError:
            continue
        for name in names:
            if MULTIARCH.search(name):
                yield os.path.join(base, name)


def find(library, cache):
    paths = [cache[library]] if library in cache else []
    paths += [os.path.join(folder, library) for folder in folders()]
    return next((path for path in paths if os.path.isfile(path)), None)


def dpkg(libraries):
    """Packages by the names of files: under merged /usr, database and loader name other paths."""
    owners = {}
    folder = "/var/lib/dpkg/info"
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return owners
    for name in names:
        if not name.endswith(".list"):
            continue
        for line in read(os.path.join(folder, name)).splitlines():
            base = line.rsplit("/", 1)[-1]
            if base in libraries and os.path.exists(line):
                owners.setdefault(base, name[: -len(".list")].split(":")[0])
    return owners


def apk(libraries):
    """The same of Alpine's database: P: a package, R: one of its files."""
    owners, package = {}, None
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        for line in read(path).splitlines():
            if line.startswith("P:"):
                package = line[2:]
            elif line.startswith("R:") and line[2:] in libraries:
                owners.setdefault(line[2:], package)
    return owners


def rpm(paths):
    """The same of rpm's, by the files' paths."""
    owners = {}
    for library, path in paths.items():
        try:
            printed = subprocess.run(["rpm", "-qf", "--qf", "%{NAME}", os.path.realpath(path)],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError:
            break
        if printed.returncode == 0:
            owners[library] = printed.stdout.decode("utf-8", "replace")
    return owners


def licence_of(package):
    """Where the licence of a package is: Debian's place, and Fedora's."""
    places = ("/usr/share/doc/%s/copyright" % package, "/usr/share/licenses/%s" % package)
    return next((place for place in places if package and os.path.exists(place)), None)


def main():
    question = json.load(sys.stdin)
    libraries, into = question["libraries"], question["into"]
    cache = cached()
    paths = {library: find(library, cache) for library in libraries}
    paths = {library: path for library, path in paths.items() if path}
    names = set(paths)
    names.update(os.path.basename(os.path.realpath(path)) for path in paths.values())
    owners = dpkg(names) or apk(names) or rpm(paths)
    answer = {}
    for library, path in sorted(paths.items()):
        package = owners.get(library) or owners.get(os.path.basename(os.path.realpath(path)))
        answer[library] = {"package": package, "licence": licence_of(package)}
        if into:
            os.makedirs(into, exist_ok=True)
            shutil.copyfile(path, os.path.join(into, library))
    system = read("/etc/os-release") or read("/usr/lib/os-release")
    json.dump({"os": system, "libraries": answer}, sys.stdout)


main()
