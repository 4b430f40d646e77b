"""Imports every top-level module of every distribution, and says which of them failed."""

import importlib
import importlib.metadata

failed = []
seen = 0
for distribution in importlib.metadata.distributions():
    if distribution.metadata["Name"] in ("pip", "setuptools", "wheel"):
        continue  # the image's own, which do not bear each other in one process
    names = set()
    for file in distribution.files or []:
        first = file.parts[0]
        if first == ".." or first.endswith((".dist-info", ".data", ".libs")) or first == "__pycache__":
            continue
        name = first.split(".")[0] if len(file.parts) == 1 else first
        if name.isidentifier() and (len(file.parts) > 1 or first.endswith((".py", ".so"))):
            names.add(name)
    for name in sorted(names):
        seen += 1
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed.append("%s of %s: %r" % (name, distribution.metadata["Name"], error))
print("%d modules" % seen)
print("\n".join(failed) or "all importable")
