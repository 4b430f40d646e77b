"""Writes bytecode that is the same on every run: unchecked-hash, with the destination's paths.

Standard input: a JSON document, {"root": FOLDER, "purelib": PATH, "platlib": PATH}; the paths are
where the site folders will lie in the runtime. One process, in sorted order. Python 3.8's
compileall knows no prefix to strip, so py_compile does the work.
"""

import json
import os
import py_compile
import sys

given = json.load(sys.stdin)
root = given["root"]
sites = []
for folder, folders, _ in os.walk(root):
    folders.sort()
    for name in folders:
        if name in ("site-packages", "dist-packages") and "site-packages" not in folder:
            sites.append(os.path.join(folder, name))
for site in sites:
    below = os.path.relpath(site, root).split(os.sep)
    destination = given["platlib"] if "lib64" in below else given["purelib"]
    for folder, folders, files in os.walk(site):
        folders.sort()
        for name in sorted(files):
            if not name.endswith(".py"):
                continue
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            shown = os.path.join(destination, os.path.relpath(path, site))
            try:
                py_compile.compile(
                    path, dfile=shown, doraise=True,
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )
            except (py_compile.PyCompileError, ValueError, OSError):
                # Templates and code for other Pythons: pip passes over them too.
                continue
