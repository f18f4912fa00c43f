"""Bytes → Documents. One module a format; this door looks at the content and passes the file on.

A new format is one module with `read(file: File) -> Loaded`, a line in `_READERS` and, if it is binary, its name in
`rag.load.kind`. A file that holds several documents (JSONL, an archive) returns several.
"""

from __future__ import annotations

from importlib import import_module

from rag.errors import LoadError
from rag.load.build import File, Loaded
from rag.load.kind import SUFFIXES, is_candidate, kind_of

__all__ = ["SUFFIXES", "File", "LoadError", "Loaded", "is_candidate", "load"]

_READERS = {  # kind → the module that reads it, imported when the first such file comes
    "text": "rag.load.text",
    "Markdown": "rag.load.markdown",
    "HTML": "rag.load.html",
    "JSONL": "rag.load.jsonl",
}


def load(data: bytes, document_id: str, *, source: str = "", collection: str = "default") -> Loaded:
    """The documents in one file, and what was repaired or skipped on the way ('line 7: …').

    `document_id` is the file's id; its suffix tells Markdown and JSONL, the content tells everything else. A
    collection that a document names itself (front matter, JSONL row) counts only while `collection` is "default".
    Raises LoadError, in one line, for a file that is empty, binary, damaged, undecodable or of an unsupported kind.
    """
    if not data:
        raise LoadError(f"{document_id}: the file is empty; fill it or remove it")
    kind = kind_of(data, document_id)
    if kind not in _READERS:
        raise LoadError(f"{document_id}: {kind} is not supported yet; save it as text, Markdown or HTML")
    loaded: Loaded = import_module(_READERS[kind]).read(File(data, document_id, source, collection))
    return loaded
