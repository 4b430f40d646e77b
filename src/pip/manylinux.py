"""Tells pip which wheels run with the runtime's glibc, which is older than the builder's.

An installer imports this module by its name, says PEP 600, and asks it; `None` leaves the answer to the
installer. The pip that is started to install what a build needs runs here and not in the runtime: it is told
apart by its arguments.
"""

import sys

IS_OURS = "--log" in sys.argv


def manylinux_compatible(major, minor, machine):
    return False if IS_OURS and (major, minor) > GLIBC else None
