"""ZIP, .tar, .tar.gz and .gz → the documents of their members, within bounds. Nothing is ever written to disk."""

from __future__ import annotations

import io
import tarfile
import zlib

from rag.errors import LoadError
from rag.load.build import File, Loaded
from rag.load.kind import is_candidate
from rag.load.members import Collected
from rag.load.zipped import MEMBERS, TOTAL, Members

_GZIP = 31  # zlib's window bits for the gzip format


def read(file: File) -> Loaded:
    """The documents of all members of a known kind. Raises LoadError when there are none or a bound is broken."""
    collected = Collected(file)
    if file.data.startswith(b"PK"):
        members = Members(file)
        for name in members.names:
            if _wanted(name):
                try:
                    data = members.read(name)
                except LoadError as error:
                    collected.problems.append(f"{name}: {str(error).removeprefix(f'{file.id}: ')}")
                else:
                    collected.read(name.replace("\\", "/"), data)
        return collected.loaded()
    data = _unpacked(file) if file.data.startswith(b"\x1f\x8b") else file.data
    if data[257:262] == b"ustar":
        _tar(file, data, collected)
    else:
        base = file.id.rsplit("/", 1)[-1]
        collected.read(base[:-3] if base.lower().endswith(".gz") else base, data)
    return collected.loaded()


def _wanted(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return is_candidate(name) and not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _unpacked(file: File) -> bytes:
    """The bytes of a gzip file of one or several parts. Raises LoadError beyond the bound."""
    parts, size, rest = [], 0, file.data
    while rest.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(_GZIP)
        try:
            part = unpacker.decompress(rest, TOTAL + 1 - size)
        except zlib.error as error:
            raise LoadError(f"{file.id}: damaged ({error}); copy it again from where it came") from None
        size += len(part)
        if size > TOTAL:
            raise LoadError(f"{file.id}: it unpacks to more than {TOTAL >> 20} MiB; unpack it into a folder")
        if not unpacker.eof:
            raise LoadError(f"{file.id}: damaged or cut off; copy it again from where it came")
        parts.append(part)
        rest = unpacker.unused_data
    return b"".join(parts)


def _tar(file: File, data: bytes, collected: Collected) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= MEMBERS:
                    raise LoadError(f"{file.id}: more than {MEMBERS} members; unpack it into a folder")
                opened = archive.extractfile(member) if member.isreg() and _wanted(member.name) else None
                if opened:
                    collected.read(member.name.removeprefix("./"), opened.read())
    except (tarfile.TarError, EOFError) as error:
        raise LoadError(f"{file.id}: damaged ({error}); copy it again from where it came") from None
