"""Writes COUNT wheels into FOLDER, the same bytes every time: wheels.py COUNT FOLDER

Each is what the binary distribution format asks for and no more: a package of 18 files, of sizes and
compressibility that are usual, METADATA, WHEEL, RECORD, and for each tenth a script.
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

import base64
import hashlib
import pathlib
import random
import sys
import zipfile

FILES = 18
WORDS = "self value result name path error index length buffer object return import raise".split()


def module(chosen):
    """Source text that repeats itself about as much as real source does: 1 to 12 KiB."""
    lines = []
    for number in range(chosen.randrange(10, 120)):
        words = " ".join(chosen.choice(WORDS) for _ in range(chosen.randrange(4, 12)))
        lines.append(f"# {number} {chosen.randrange(10 ** 9):09} {words}\n")
    return "".join(lines).encode()


def write(folder, number):
    chosen = random.Random(number)
    package = f"scale{number:05}"
    info = f"{package}-1.0.dist-info"
    files = {f"{package}/__init__.py": b"def main():\n    pass\n"}
    for each in range(1, FILES - 1):
        part = f"{package}/part{each % 3}/module{each}.py"
        files[part] = module(chosen)
    files[f"{package}/data.bin"] = chosen.randbytes(2000)  # does not compress
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: scale\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if number % 10 == 0:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{package} = {package}:main\n".encode()
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            wheel.writestr(entry, data)


def main():
    count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write(folder, number)


main()
