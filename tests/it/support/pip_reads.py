"""Says how pip reads requirements: one JSON document a line in, one a line out.

The first line is a list of environments for markers. Then, a job is one of
    {"file": "path", "variables": {...}}
    {"line": "text"}
    {"requirement": "text"}
    {"marker": "text"}
    {"lock_marker": "text", "extras": [...], "groups": [...]}
    {"project": "text", "group": "name"}
The answer is null where pip fails, whether at once or when it would install.
"""

import json
import logging
import os
import sys
import warnings
import tomllib
from types import SimpleNamespace

from pip._internal.cli import cmdoptions
from pip._internal.models.format_control import FormatControl
from pip._internal.models.release_control import ReleaseControl
from pip._internal.models.search_scope import SearchScope
from pip._internal.req import req_file
from pip._internal.req.constructors import (
    install_req_from_line,
    install_req_from_parsed_requirement,
    install_req_from_req_string,
)
from pip._internal.req.req_install import check_invalid_constraint_type
from pip._internal.utils.misc import is_installable_dir
from pip._internal.vcs import is_url
from pip._vendor.packaging._parser import Value
from pip._vendor.packaging.dependency_groups import DependencyGroupResolver
from pip._vendor.packaging.markers import MARKERS_ALLOWING_SET, Marker
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.utils import canonicalize_name
from pip._vendor.packaging.version import Version

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


build_parser = req_file.build_parser


def build_clean_parser():
    """As pip's, which keeps the features of one line in the list that is the next one's default."""
    cmdoptions.use_new_feature.keywords["default"].clear()
    parser = build_parser()
    parser.print_usage = lambda *_: None
    return parser


req_file.build_parser = build_clean_parser


class Refused(Exception):
    """What pip refuses later, while it installs."""


def evaluate(marker, environments):
    if marker is None:
        return [True for _ in environments]
    return [marker.evaluate({**environment, "extra": ""}) for environment in environments]


def evaluate_in_lock(marker, extras, groups, environments):
    for left, operator, right in comparisons(marker._markers):
        is_set = isinstance(left, Value) and right.value in MARKERS_ALLOWING_SET
        if is_set and operator.value not in ("in", "not in"):
            raise Refused("a set that is compared: the specification knows no such thing")
    sets = {"extras": frozenset(extras), "dependency_groups": frozenset(groups)}
    return [
        marker.evaluate({**environment, **sets}, context="lock_file")
        for environment in environments
    ]


def comparisons(markers):
    for marker in markers:
        if isinstance(marker, list):
            yield from comparisons(marker)
        elif isinstance(marker, tuple):
            yield marker


def clauses(specifiers):
    for specifier in specifiers:
        version = specifier.version.removesuffix(".*")
        if specifier.operator != "===" and any(
            number >= 2**64 for number in numbers(Version(version))
        ):
            raise Refused("a number that prebuild does not hold")
    return sorted(str(specifier) for specifier in specifiers)


def numbers(version):
    yield version.epoch
    yield from version.release
    for part in (version.pre and version.pre[1], version.post, version.dev):
        yield part or 0


def entry(requirement, environments):
    applies = evaluate(requirement.markers, environments)
    answer = {
        "name": requirement.name and canonicalize_name(requirement.name),
        "extras": sorted({canonicalize_name(extra) for extra in requirement.extras}),
        "specifier": [],
        "applies": applies,
        "hashes": sorted(
            f"{algorithm}:{digest}"
            for algorithm, digests in requirement.hash_options.items()
            for digest in digests
        ),
        "editable": requirement.editable,
        "url": None,
        "path": None,
    }
    link = requirement.link
    if link is None:
        answer["specifier"] = clauses(requirement.specifier)
    elif link.is_file:
        path = os.path.normpath(os.path.abspath(link.file_path))
        answer["path"] = path
        # pip finds out when it prepares the requirement, if the marker holds.
        if any(applies) and not os.path.exists(path):
            raise Refused("nothing is there")
        if os.path.isdir(path) and not is_installable_dir(path):
            if not link.subdirectory_fragment:
                raise Refused("no project")
    else:
        answer["url"] = link.url
        # pip finds out when it downloads.
        if not is_url(link.url):
            raise Refused("no scheme that it knows")
    return answer


def group(project, name, environments):
    """The requirements of a dependency group, each once."""
    groups = tomllib.loads(project).get("dependency-groups", {})
    answers = [
        entry(install_req_from_req_string(str(requirement)), environments)
        for requirement in DependencyGroupResolver(groups).resolve(name)
    ]
    once = {json.dumps(one): one for one in answers}
    return {"entries": list(once.values())}


class Finder:
    """What the lines of a file change in pip's own."""

    def __init__(self):
        self.search_scope = SearchScope([], ["default"], False)
        self.format_control = FormatControl()
        self.release_control = ReleaseControl()
        self.prefer_binary = False

    find_links = property(lambda self: self.search_scope.find_links)
    index_urls = property(lambda self: self.search_scope.index_urls)

    def set_prefer_binary(self):
        self.prefer_binary = True


def place(value):
    path = os.path.normpath(os.path.abspath(value.removeprefix("file://")))
    return path if os.path.exists(path) else value


def file(name, variables, environments):
    os.environ.clear()
    os.environ.update(variables)
    finder = Finder()
    options = SimpleNamespace(
        require_hashes=False, no_require_hashes=False, features_enabled=[]
    )
    hosts = []
    session = SimpleNamespace(
        update_index_urls=lambda urls: None,
        add_trusted_host=lambda host, source: hosts.append(host),
    )
    entries = []
    for parsed in req_file.parse_requirements(
        name, session, finder=finder, options=options
    ):
        settings = (parsed.options or {}).get("config_settings")
        requirement = install_req_from_parsed_requirement(
            parsed, user_supplied=True, config_settings=settings
        )
        if parsed.constraint and check_invalid_constraint_type(requirement):
            raise Refused("no constraint")
        answer = entry(requirement, environments)
        answer["constraint"] = parsed.constraint
        answer["line"] = int(parsed.line_source.split()[1])
        answer["settings"] = sorted(
            f"{key}={value}"
            for key, values in (requirement.config_settings or {}).items()
            for value in (values if isinstance(values, list) else [values])
        )
        entries.append(answer)
    if options.require_hashes and options.no_require_hashes:
        raise Refused("hashes required and not")
    return {
        "entries": entries,
        "indexes": finder.index_urls,
        "find_links": [place(value) for value in finder.find_links],
        "no_index": finder.search_scope.no_index,
        "only_binary": sorted(finder.format_control.only_binary),
        "no_binary": sorted(finder.format_control.no_binary),
        "all_releases": sorted(finder.release_control.all_releases),
        "only_final": sorted(finder.release_control.only_final),
        "prefer_binary": finder.prefer_binary,
        "require_hashes": options.require_hashes,
        "no_require_hashes": options.no_require_hashes,
        "trusted_hosts": hosts,
        "features": options.features_enabled,
    }


def answer(job, environments):
    if "marker" in job:
        return evaluate(Marker(job["marker"].strip()), environments)
    if "lock_marker" in job:
        marker = Marker(job["lock_marker"])
        return evaluate_in_lock(marker, job["extras"], job["groups"], environments)
    if "project" in job:
        return group(job["project"], job["group"], environments)
    if "requirement" in job:
        return entry(install_req_from_line(job["requirement"]), environments)
    if "line" in job:
        read = req_file.get_file_content
        req_file.get_file_content = lambda *_, **__: ("-", job["line"])
        try:
            return file("-", {}, environments)
        finally:
            req_file.get_file_content = read
    return file(job["file"], job["variables"], environments)


def main():
    # Python reads lines by "\n" alone here; the jobs hold no other line ends unescaped.
    environments = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        try:
            result = answer(json.loads(line), environments)
        except (Exception, RecursionError):
            result = None
        print(json.dumps(result))


if __name__ == "__main__":
    main()
