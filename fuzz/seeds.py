"""Real inputs to begin from: `python3 fuzz/seeds.py` fills `fuzz/corpus/`."""

import io
import pathlib
import sqlite3
import struct
import sysconfig
import tarfile
import tempfile
import zipfile
import zlib

CORPUS = pathlib.Path(__file__).parent / "corpus"
TESTDATA = pathlib.Path(__file__).parent.parent / "testdata"
BETWEEN = b"\n%%\n"
DIGEST = "5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592"
TEXTS = [b"", b"a", b"what compresses, what compresses well\n" * 9, bytes(range(256)) * 2]


class Pipe(io.RawIOBase):
    """Cannot be sought in, so that `zipfile` writes data descriptors."""

    def __init__(self):
        self.bytes = b""

    def writable(self):
        return True

    def write(self, some):
        self.bytes += bytes(some)
        return len(some)


def archives():
    for method in zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED:
        for large in False, True:
            for sought in False, True:
                file = io.BytesIO() if sought else Pipe()
                with zipfile.ZipFile(file, "w", method) as archive:
                    if sought:
                        archive.mkdir("a")
                    for number, text in enumerate(TEXTS):
                        info = zipfile.ZipInfo(f"a/{number}ü.py" if number == 1 else f"a/{number}.py")
                        info.compress_type = method
                        info.external_attr = 0o100755 << 16
                        with archive.open(info, "w", force_zip64=large) as entry:
                            entry.write(text)
                    archive.comment = b"a comment" if large else b""
                yield file.getvalue() if sought else file.bytes


def streams():
    strategies = zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE
    for text in [*TEXTS, bytes(3000), b"".join(b"%d" % (n * n) for n in range(300))]:
        for level in 0, 1, 9:
            for strategy in strategies:
                for flush in None, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH:
                    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
                    stream = packer.compress(text)
                    if flush is not None:
                        stream += packer.flush(flush) + packer.compress(text)
                    yield stream + packer.flush()


def libraries():
    """Small libraries of this interpreter's."""
    folder = pathlib.Path(sysconfig.get_path("stdlib")) / "lib-dynload"
    for path in sorted(folder.glob("*.so")):
        if path.stat().st_size < 40_000:
            yield path.read_bytes()


def code():
    """Libraries and sources; before each, what it is and its chunks."""
    for library in libraries():
        yield b"\0\x20" + library
    for name in "__future__.py", "abc.py", "bisect.py", "this.py":
        yield b"\1\x03" + (pathlib.Path(sysconfig.get_path("stdlib")) / name).read_bytes()


def elf():
    yield from libraries()
    for wide in True, False:
        for order in "<>":
            for path_tag in 15, 29, None:  # DT_RPATH, DT_RUNPATH
                yield library(wide, order, path_tag)


def library(wide, order, path_tag):
    """The least that a library can be: two segments, names, and a version that it takes."""
    word = "Q" if wide else "I"
    entry = struct.Struct(order + 2 * word)
    header_size, segment_size = (64, 56) if wide else (52, 32)
    strings = b"\0libz.so.1\0libm.so.6\0$ORIGIN/x:/opt\0GLIBC_2.4\0"
    at = strings.index
    verneed = header_size + 2 * segment_size
    strings_at = verneed + 32
    table = (strings_at + len(strings) + 7) // 8 * 8
    entries = [(1, at(b"libz")), (1, at(b"libm")), (5, strings_at), (10, len(strings))]
    entries += [(0x6FFFFFFE, verneed), (0x6FFFFFFF, 1)]
    if path_tag:
        entries.append((path_tag, at(b"$ORIGIN")))
    entries += [(0, 0)] * 2
    end = table + entry.size * len(entries)
    ident = b"\x7fELF" + bytes([1 + wide, 1 + (order == ">"), 1]) + bytes(9)
    header = struct.pack(
        order + "HHI" + 3 * word + "I6H",
        *(3, 62 if wide else 3, 1, 0, header_size, 0, 0, header_size, segment_size, 2, 0, 0, 0),
    )
    segments = b""
    for kind, start, size in (1, 0, end), (2, table, end - table):
        if wide:
            segments += struct.pack(order + "II6Q", kind, 6, start, start, start, size, size, 0x1000)
        else:
            segments += struct.pack(order + "8I", kind, start, start, start, size, size, 6, 0x1000)
    needs = struct.pack(order + "HHIII", 1, 1, at(b"libm"), 16, 0)
    needs += struct.pack(order + "IHHII", 0, 0, 2, at(b"GLIBC"), 0)
    body = (ident + header + segments + needs + strings).ljust(table, b"\0")
    return body + b"".join(entry.pack(*one) for one in entries)


def requirements():
    """The corpus of the tests: a file with what it includes, and projects."""
    folder = TESTDATA / "requirements"
    small = [path for path in sorted(folder.glob("*.txt")) if path.stat().st_size < 8_000]
    for path in small:
        yield b"\0" + path.read_bytes()
    yield b"\0" + BETWEEN.join([b"-r a.txt\n-c b/c.txt\nx[y,z]>=1,!=2.* ; os_name == 'nt'\n", b"-r b/c.txt\na", b"b==1"])
    yield b"\0" + b"-i https://${TOKEN}@host/simple\n-f ${TOKEN}\na @ https://u:${TOKEN}@host/a.zip\n-r ${TOKEN}.txt"
    for path in sorted(folder.glob("projects/**/pyproject.toml")):
        for kind in 1, 3, 7:
            yield bytes([kind]) + path.read_bytes()


def locks():
    """Lock files, the packages of larger ones each on its own."""
    for path in sorted((TESTDATA / "pylock").glob("*.toml")):
        head, *packages = path.read_text().split("[[packages]]")
        for number, package in enumerate(packages):
            if number % 7 == 0:
                yield f"{head}[[packages]]{package}".encode()
    head = "lock-version = '1.0'\ncreated-by = 'x'\n"
    hashes = f"hashes = {{sha256 = '{DIGEST}'}}"
    for source in (
        f"archive = {{url = 'https://h/a-1.tar.gz', {hashes}}}",
        f"archive = {{path = './a-1.tar.gz', subdirectory = 'x', {hashes}}}",
        "vcs = {type = 'git', url = 'https://h/r.git', requested-revision = 'v1', commit-id = 'abc'}",
        "directory = {path = '../a', subdirectory = 'b'}",
        f"sdist = {{name = 'a-1.tar.gz', url = 'https://h/a-1.tar.gz', size = 9, {hashes}}}",
        f"wheels = [{{url = 'https://h/a-1-py3-none-any.whl', {hashes}}}]",
    ):
        yield f"{head}[[packages]]\nname = 'a'\nversion = '1'\nmarker = \"'x' in extras\"\n{source}\n".encode()
        yield f"{head}requires-python = '>=3.9'\nenvironments = [\"os_name == 'posix'\"]\n[[packages]]\nname = 'a'\ndependencies = [{{name = 'b'}}]\n{source}\n[[packages]]\nname = 'b'\nversion = '2'\nwheels = [{{url = 'https://h/b-2-py3-none-any.whl', {hashes}}}]\n".encode()


def pages():
    """Pages of indexes; before each, its kind and where it comes from."""
    html = (
        "<!DOCTYPE html><html><head><base href='/files/'></head><body>"
        f"<a href='a-1-py3-none-any.whl#sha256={DIGEST}' data-requires-python='&gt;=3.8' data-yanked='no'"
        f" data-core-metadata='sha256={DIGEST}'>a</a><a href=\"../b.zip\">b</a></body></html>"
    )
    json = (
        '{"meta": {"api-version": "1.1"}, "name": "a", "files": [{"filename": "a-1.tar.gz", "url": "../a-1.tar.gz", '
        f'"hashes": {{"sha256": "{DIGEST}"}}, "requires-python": ">=3.8", "size": 7, "yanked": "no", '
        f'"core-metadata": {{"sha256": "{DIGEST}"}}}}, {{"filename": "b", "url": "https://h/b", "hashes": {{}}, '
        '"yanked": true, "dist-info-metadata": true, "core-metadata": false}]}'
    )
    long = "<base href='/" + 3_000 * "x" + "'>" + 300 * "<a href=a>"
    for url in range(4):
        yield bytes([0, url]) + html.encode()
        yield bytes([1, url]) + json.encode()
    yield b"\0\0" + long.encode()


def loader_caches():
    """As ldconfig writes it, alone and behind the old format."""
    libraries = [(f"lib{n}.so.{n}", f"/usr/lib/lib{n}.so.{n}") for n in range(5)]
    strings, entries = b"", b""
    start = 48 + 24 * len(libraries)
    for name, path in libraries:
        at = start + len(strings)
        entries += struct.pack("=iIIIQ", 0x303, at, at + len(name) + 1, 0, 0)
        strings += f"{name}\0{path}\0".encode()
    new = struct.pack("=20sIIB3xI12x", b"glibc-ld.so.cache1.1", len(libraries), len(strings), 2, 0)
    new += entries + strings
    yield new
    yield struct.pack("=12sI", b"ld.so-1.7.0", 2) + bytes(24) + new


def rpm_header(name, version, release):
    data = b"".join(text.encode() + b"\0" for text in (name, version, release))
    offsets = 0, len(name) + 1, len(name) + len(version) + 2
    index = b"".join(struct.pack(">IIII", 1000 + tag, 6, at, 1) for tag, at in enumerate(offsets))
    return struct.pack(">II", 3, len(data)) + index + data


def packages():
    """The databases of three package managers; before each, which it is."""
    yield b"\0Package: a\nStatus: install ok installed\nVersion: 1\nDescription: x\n y\n\nPackage: b\nVersion: 2\n"
    yield b"\1C:Q1\nP:musl\nV:1.2.5-r0\nF:lib\n\nP:zlib\nV:1.3\n"
    headers = [rpm_header("bash", "5.2", "1.fc40"), rpm_header("gpg-pubkey", "a", "b"), rpm_header("glibc", "2.39", "4")]
    yield b"\2" + b"\xfe".join(headers)
    for size in 512, 4096:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "rpmdb.sqlite"
            database = sqlite3.connect(path)
            database.execute(f"PRAGMA page_size = {size}")
            database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
            database.executemany("INSERT INTO Packages (blob) VALUES (?)", ((header,) for header in headers))
            database.executemany("INSERT INTO Packages (blob) VALUES (?)", ((header + bytes(2 * size),) for header in headers))
            database.commit()
            database.close()
            yield b"\3" + path.read_bytes()


def images():
    """What `docker export` and `docker cp` send, in the formats that engines use."""
    for kind in tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
            for name, type, target in (
                ("usr", tarfile.DIRTYPE, ""),
                ("usr/bin/tool", tarfile.REGTYPE, ""),
                ("usr/bin/other", tarfile.LNKTYPE, "usr/bin/tool"),
                ("lib", tarfile.SYMTYPE, "usr/lib"),
                ("out", tarfile.SYMTYPE, "../outside"),
                ("out/file", tarfile.REGTYPE, ""),
                ("taken", tarfile.LNKTYPE, "out/secret"),
                ("lib/x", tarfile.REGTYPE, ""),
                ("dev/null", tarfile.CHRTYPE, ""),
                (f"usr/lib/{'n' * 90}/{'m' * (20 if kind == tarfile.USTAR_FORMAT else 120)}", tarfile.REGTYPE, ""),
                ("usr/lib/é", tarfile.REGTYPE, ""),
            ):
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.mode = type, target, 0o755 if "tool" in name else 0o644
                info.size = len(name) if type == tarfile.REGTYPE else 0
                archive.addfile(info, io.BytesIO(name.encode()))
        yield file.getvalue()
        for size in 1536, 2560:
            yield file.getvalue()[:size]


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(dict.fromkeys(seeds)):
        (folder / f"seed-{number:03}").write_bytes(seed)


# An even byte before an archive: it is taken as it stands.
write("archive", (b"\0" + archive for archive in archives()))
write("code", code())
write("elf", elf())
write("image", images())
write("inflate", streams())
write("loader_cache", loader_caches())
write("lock", locks())
write("packages", packages())
write("page", pages())
write("requirements", requirements())
