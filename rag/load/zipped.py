"""A ZIP file with bounds: how much it may unpack to is known, and refused, before anything is unpacked."""

from __future__ import annotations

import io
import re
import zipfile
from xml.etree import ElementTree

from rag.errors import LoadError
from rag.load.build import File

MEMBERS = 20_000
TOTAL = 512 << 20  # bytes of all members unpacked
_RATIO, _SMALL = 200, 8 << 20  # a member above this size may not be this many times its packed size
# An entity is a text macro: it can grow without end, or read another file. No office file needs one. (UTF-16 too.)
_ENTITY = re.compile(rb"<\0?!\0?E\0?N\0?T\0?I\0?T\0?Y")


class Members:
    """The members of a ZIP file by name. Raises LoadError when it is damaged, encrypted or would unpack too large."""

    def __init__(self, file: File) -> None:
        self._file = file
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(file.data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
            raise LoadError(f"{file.id}: damaged or cut off ({error}); copy it again from where it came") from None
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        self.names = [info.filename for info in infos]
        if len(infos) > MEMBERS:
            raise LoadError(f"{file.id}: {len(infos)} members are more than {MEMBERS}; unpack it into a folder")
        if sum(info.file_size for info in infos) > TOTAL:
            raise LoadError(f"{file.id}: it unpacks to more than {TOTAL >> 20} MiB; unpack it into a folder")
        for info in infos:
            if info.file_size > max(_SMALL, _RATIO * info.compress_size):
                raise LoadError(f"{file.id}: a member unpacks to {_RATIO} times its size (a zip bomb?); refused")

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str) -> bytes:
        """A member's bytes, never more than it declares. LoadError when it is missing, damaged or encrypted."""
        try:
            info = self._zip.getinfo(name)
            if info.flag_bits & 1:
                raise LoadError(f"{self._file.id}: encrypted; save it without a password")
            return self._zip.read(info)
        except KeyError:
            raise LoadError(f"{self._file.id}: damaged ({name} is missing); save it again") from None
        except LoadError:
            raise
        except Exception as error:  # zlib's, zipfile's, lzma's …
            why = " ".join(str(error).split())[:80]
            raise LoadError(f"{self._file.id}: damaged ({name}: {why}); copy it again from where it came") from None

    def xml(self, name: str) -> ElementTree.Element:
        """The root of an XML member; no entity is ever expanded, for a member that declares one is refused."""
        data = self.read(name)
        self.check_xml(name, data)
        try:
            return ElementTree.fromstring(data)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise LoadError(f"{self._file.id}: damaged ({name}: {error}); save it again") from None

    def check_xml(self, name: str, data: bytes) -> None:
        """Raises LoadError when the XML declares entities."""
        if _ENTITY.search(data):
            raise LoadError(f"{self._file.id}: {name} declares XML entities, which are never expanded; refused")


def local(element: ElementTree.Element) -> str:
    """The name of an element without its namespace: transitional and strict office files differ only there."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: ElementTree.Element | None, name: str) -> str | None:
    """An attribute by its name without namespace."""
    if element is None:
        return None
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None)


def child(element: ElementTree.Element | None, *path: str) -> ElementTree.Element | None:
    """The first descendant along a path of local names; None when a step is missing."""
    for name in path:
        element = next((inner for inner in element if local(inner) == name), None) if element is not None else None
    return element
