"""The judge of versions: pip's own packaging.

Standard input: {"versions": [...], "clauses": [...]}. Standard output: the normal form of each version, or
null; the places of those that are versions, in their order; for each clause, which of them it admits, or null
if it is none.
"""

import json
import sys

from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet
from pip._vendor.packaging.version import InvalidVersion, Version


def parse(text):
    try:
        return Version(text)
    except InvalidVersion:
        return None


def admitted(clause, versions):
    try:
        specifiers = SpecifierSet(clause)
    except InvalidSpecifier:
        return None
    return [specifiers.contains(str(version), prereleases=True) for version in versions]


given = json.load(sys.stdin)
versions = [parse(text) for text in given["versions"]]
known = [version for version in versions if version is not None]
order = sorted((version, at) for at, version in enumerate(versions) if version is not None)
json.dump({
    "normal": [None if version is None else str(version) for version in versions],
    "order": [at for _, at in order],
    "admitted": [admitted(clause, known) for clause in given["clauses"]],
}, sys.stdout)
