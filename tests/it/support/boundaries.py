"""Makes archives whose entries are packed to exact lengths, and reads packed trees back.

Each line of standard input is a JSON request; each line of standard output answers one.
"""

import functools
import gzip
import hashlib
import json
import os
import random
import sys
import tarfile
import zipfile
import zlib

LETTERS = bytes(64 + i % 64 for i in range(256))


@functools.cache
def source(kind):
    """A MiB that does not compress, or, for the kinds that deflate, has six bits in each byte."""
    data = random.Random(kind).getrandbits(8 << 20).to_bytes(1 << 20, "little")
    return data.translate(LETTERS) if kind in ("fixed", "dynamic") else data


def contents(kind, size):
    """The contents of a file: its beginning is the same for every size."""
    return (source(kind) * (size // (1 << 20) + 1))[:size]


@functools.cache
def known(kind, size):
    return hashlib.sha256(contents(kind, size)).hexdigest()


def compressor(kind):
    if kind == "stored":
        return None
    level, strategy = {
        "level0": (0, zlib.Z_DEFAULT_STRATEGY),
        "fixed": (6, zlib.Z_FIXED),
        "dynamic": (6, zlib.Z_DEFAULT_STRATEGY),
    }[kind]
    return zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)


def packed_length(kind, data):
    packer = compressor(kind)
    return len(packer.compress(data)) + len(packer.flush()) if packer else len(data)


def sized(kind, lengths):
    """For each packed length the size of the contents that are packed to it, or to the next one."""
    data = contents(kind, max(lengths) * 2 + 1000)
    size = max(lengths)
    for _ in range(6):
        packed = packed_length(kind, data[:size])
        size += (max(lengths) - packed) * size // max(packed, 1)
    first = max(size - (max(lengths) - min(lengths)) * 2 - 60, 0)
    found = {}
    if kind == "stored":
        found = {length: length for length in lengths}
    else:
        packer = compressor(kind)
        before = len(packer.compress(data[:first]))
        for size in range(first, size + 60):
            end = packer.copy()
            found.setdefault(before + len(end.flush()), size)
            before += len(packer.compress(data[size : size + 1]))
    return [found[min(found, key=lambda near: abs(near - length))] for length in lengths]


def wheel(request):
    """An archive of entries of a kind: {"kind", "sizes"}, named by their place."""
    kind = request["kind"]
    made = []
    zipfile._get_compressor = lambda *_: compressor(kind)
    method = zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED
    data = contents(kind, max(request["sizes"]))
    with zipfile.ZipFile(request["path"], "w", method) as archive:
        for number, size in enumerate(request["sizes"]):
            archive.writestr(zipfile.ZipInfo(str(number)), data[:size], method)
            made.append(archive.infolist()[-1].compress_size)
    return made


def digest(stream):
    hashed = hashlib.sha256()
    while block := stream.read(1 << 20):
        hashed.update(block)
    return hashed.hexdigest()


def unpacked(path):
    """Path to the SHA-256 of the contents, of all files of what was packed."""
    if os.path.isdir(path):
        found = {}
        for folder, _, names in os.walk(path):
            for name in names:
                whole = os.path.join(folder, name)
                with open(whole, "rb") as stream:
                    found[os.path.relpath(whole, path)] = digest(stream)
        return found
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            # Reading to the end compares the CRC-32.
            return {i.filename: digest(archive.open(i)) for i in archive.infolist() if not i.is_dir()}
    with (gzip.open if path.endswith("gz") else open)(path, "rb") as stream:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            found = {i.name: digest(archive.extractfile(i)) for i in archive if i.isfile()}
        # Past the end of the tar, for gzip's own checksum.
        while stream.read(1 << 20):
            pass
        return found


def check(request):
    """Compares each of the archives with {"kind", "size"} by path."""
    expected = {name: known(kind, size) for name, (kind, size) in request["files"].items()}
    faults = []
    for path in request["archives"]:
        try:
            found = unpacked(path)
        except Exception as error:
            faults.append(f"{path}: {type(error).__name__}: {error}")
            continue
        if found != expected:
            differ = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
            faults.append(f"{path}: other contents: {differ[:5]}")
    return faults


ACTIONS = {"sizes": lambda r: sized(r["kind"], r["lengths"]), "wheel": wheel, "check": check}
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(ACTIONS[request["do"]](request)), flush=True)
