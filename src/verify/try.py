"""Loads modules and what entry points name, and tells how that went. Runs on CPython 3.6 and later.

Standard input: a JSON document: {"token": TEXT, "sites": [DIRECTORY, ...] (those that the interpreter does not
search by itself), "targets": [[MODULE, ATTRIBUTE or ""], ...]}. Standard output ends with the token and a
JSON list: null for each target that was loaded, else the exceptions, the last one first. What is loaded
cannot write there by accident: it gets another standard output.
"""


def describe(error):
    """An exception, and those that led to it."""
    told = []
    while error is not None and len(told) < 8:
        kind = type(error)
        name = getattr(kind, "__qualname__", "?")
        if kind.__module__ != "builtins":
            name = "%s.%s" % (kind.__module__, name)
        try:
            text = str(error)
        except BaseException:
            text = ""
        bases = [base.__name__ for base in kind.__mro__]
        missing = getattr(error, "name", None) if "ModuleNotFoundError" in bases else None
        told.append({"type": str(name)[:200], "text": str(text)[:2000], "bases": bases[:20],
                     "missing": missing if isinstance(missing, str) else None})
        error = error.__cause__ or error.__context__
    return told


def load(module, attribute):
    import importlib
    value = importlib.import_module(module)
    for name in attribute.split(".") if attribute else ():
        value = getattr(value, name)


def main():
    import json
    import os
    import sys
    import traceback
    question = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    # `-c` has Python look for modules in the working directory, which nothing does in the runtime.
    sys.path[:] = [folder for folder in sys.path if folder]
    if question["sites"]:
        import site
        for folder in reversed(question["sites"]):
            sys.path.insert(0, folder)
            site.addsitedir(folder)
    answer = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    told = []
    for module, attribute in question["targets"]:
        try:
            load(module, attribute)
            told.append(None)
        except BaseException as error:
            traceback.print_exc()
            told.append(describe(error))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    text = question["token"] + json.dumps(told)
    with os.fdopen(answer, "wb") as stream:
        stream.write(text.encode("ascii"))
    # Threads that were left behind, and what runs at exit, are not asked for.
    os._exit(0)


main()
