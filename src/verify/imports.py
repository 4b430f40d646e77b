"""Imports what distributions bring, each in a process of its own. Runs on CPython 3.6 and later.

Standard input: a JSON document: {"sites": [FOLDER, ...], "metadata": [NAME, ...] (the metadata folders that
count), "add": whether the interpreter does not search
them itself, "only": [[KIND, NAME], ...] or null for all, "jobs": N, "seconds": N}. Standard output:
{"version": "X.Y", "checks": [{"distribution": NAME, "kind": "module" or "script", "name": NAME, "target":
what was loaded, "error": TEXT or null}, ...]}.

There may be no /dev and no /proc: nothing here opens them.
"""

import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

MODULE = "import importlib; importlib.import_module(%r)"
SCRIPT = """
import importlib
value = importlib.import_module(%r)
for name in %r.split("."):
    value = getattr(value, name) if name else value
"""


def metadata(site, wanted):
    """The metadata folders in a site folder, and the names of their distributions."""
    for name in sorted(os.listdir(site)) if os.path.isdir(site) else ():
        if name in wanted:
            yield os.path.join(site, name), name.split("-")[0]


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except OSError:
        return ""


def modules(folder):
    """The top-level modules that a RECORD names; of a namespace, what lies directly in it."""
    found, packages = set(), set()
    for row in csv.reader(read(os.path.join(folder, "RECORD")).splitlines()):
        parts = row[0].split("/") if row else [""]
        stem, dot, ending = parts[-1].partition(".")
        if not all(part.isidentifier() for part in parts[:-1]) or not stem.isidentifier():
            continue
        is_code = ending in ("py", "so") or (ending.endswith(".so") and not stem.startswith("lib"))
        if len(parts) == 1 and is_code:
            found.add(stem)
        elif len(parts) in (2, 3) and parts[-1] == "__init__.py":
            packages.add(tuple(parts[:-1]))
    for package in packages:
        if len(package) == 1 or (package[0],) not in packages:
            found.add(".".join(package))
    return sorted(found)


def scripts(folder):
    """The entry points that scripts are made of."""
    section = ""
    for line in read(os.path.join(folder, "entry_points.txt")).splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif section in ("console_scripts", "gui_scripts") and "=" in line:
            name, target = (part.strip() for part in line.split("=", 1))
            yield name, target.split("[")[0].strip()


def checks(sites, wanted):
    seen = set()
    for site in sites:
        if os.path.realpath(site) in seen:
            continue
        seen.add(os.path.realpath(site))
        for folder, distribution in metadata(site, wanted):
            for name in modules(folder):
                yield {"distribution": distribution, "kind": "module", "name": name, "target": name}
            for name, target in scripts(folder):
                yield {"distribution": distribution, "kind": "script", "name": name, "target": target}


def code(check):
    if check["kind"] == "module":
        return MODULE % check["target"]
    module, _, attribute = check["target"].partition(":")
    return SCRIPT % (module, attribute)


def run(check, question):
    program = code(check)
    if question["add"]:
        # Before what the interpreter has itself, and with what `.pth` files add.
        program = "import site, sys\nfor folder in %r:\n sys.path.insert(0, folder)\n site.addsitedir(folder)\n%s" % (
            question["sites"], program)
    started = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        printed, _ = started.communicate(timeout=question["seconds"])
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()
        return "it took longer than %d seconds" % question["seconds"]
    if started.returncode == 0:
        return None
    lines = printed.decode("utf-8", "replace").strip().splitlines()
    if started.returncode < 0:
        return "killed by signal %d" % -started.returncode
    return lines[-1][:1000] if lines else "exit code %d" % started.returncode


def main():
    question = json.load(sys.stdin)
    todo = list(checks(question["sites"], set(question["metadata"])))
    if question["only"] is not None:
        wanted = {tuple(one) for one in question["only"]}
        todo = [check for check in todo if (check["kind"], check["name"]) in wanted]
    with ThreadPoolExecutor(question["jobs"]) as pool:
        for check, error in zip(todo, pool.map(lambda check: run(check, question), todo)):
            check["error"] = error
    json.dump({"version": "%d.%d" % sys.version_info[:2], "checks": todo}, sys.stdout)


main()
