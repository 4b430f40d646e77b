"""Real archives and streams to begin from: `python3 fuzz/seeds.py` fills `fuzz/corpus/`."""

import io
import pathlib
import sysconfig
import zipfile
import zlib

CORPUS = pathlib.Path(__file__).parent / "corpus"
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


def code():
    """Small libraries of this interpreter's, and sources; before each, what it is and its chunks."""
    folder = pathlib.Path(sysconfig.get_path("stdlib")) / "lib-dynload"
    for path in sorted(folder.glob("*.so")):
        if path.stat().st_size < 40_000:
            yield b"\0\x20" + path.read_bytes()
    for name in "__future__.py", "abc.py", "bisect.py", "this.py":
        yield b"\1\x03" + (folder.parent / name).read_bytes()


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(dict.fromkeys(seeds)):
        (folder / f"seed-{number:03}").write_bytes(seed)


# An even byte before an archive: it is taken as it stands.
write("archive", (b"\0" + archive for archive in archives()))
write("code", code())
write("inflate", streams())
