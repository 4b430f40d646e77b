"""Says how pip reads the texts of wheels: one JSON document a line in, one a line out.

A job is {"kind": "filename" | "headers" | "record" | "scripts", "text": "..."}. The answer is null
where pip fails.
"""

import csv
import email
import json
import re
import sys
from importlib.metadata import Pair, Sectioned

from pip._internal.operations.install.wheel import _raise_for_invalid_entrypoint
from pip._vendor.distlib.util import get_export_entry
from pip._vendor.packaging.utils import parse_wheel_filename

GROUPS = ("console_scripts", "gui_scripts")


def filename(text):
    name, _, build, tags = parse_wheel_filename(text)
    return [name, bool(build), sorted(map(str, tags))]


def headers(text):
    """Folded values in one line."""
    return [
        [name.lower(), re.sub(r"[\r\n]+", "", value).strip()]
        for name, value in email.message_from_string(text).items()
    ]


def record(text):
    # Three fields are read, and one more tells that there are more.
    return [row[:4] for row in csv.reader(text.splitlines())]


def scripts(text):
    """As importlib.metadata reads them, which fails at lines of other groups too."""
    groups = {group: {} for group in GROUPS}
    for section in Sectioned.read(text, Sectioned.valid):
        if section.name in groups:
            pair = Pair.parse(section.value)
            groups[section.name][pair.name] = pair.value
    read = []
    for group in GROUPS:
        for name, value in groups[group].items():
            specification = "{} = {}".format(name, value)
            _raise_for_invalid_entrypoint(specification, "/prefix/bin")
            entry = get_export_entry(specification)
            read.append([entry.name, entry.prefix, entry.suffix])
    return read


for line in sys.stdin:
    job = json.loads(line)
    try:
        answer = globals()[job["kind"]](job["text"])
    except Exception:
        answer = None
    print(json.dumps(answer))
