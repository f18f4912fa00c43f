"""Bytes → Documents. One module a format; this door looks at the content and passes the file on.

A new format is one module with `read(file: File) -> Loaded` and a line in `rag.load.dispatch`. A file that holds
several documents (JSONL, an archive, a message with attachments) returns several. Kinds whose parsers are large or
written in C are read in a process of their own (`rag.load.worker`).
"""

from __future__ import annotations

from pathlib import Path

from rag.errors import BadInput, LoadError
from rag.load import dispatch
from rag.load.build import File, Loaded
from rag.load.kind import SUFFIXES, has_rows, is_candidate, kind_of
from rag.load.ocr import missing

__all__ = ["SUFFIXES", "File", "LoadError", "Loaded", "check_ocr", "has_rows", "is_candidate", "load", "load_rows"]

_HERE = frozenset({"text", "JSONL"})  # read in this process: a decoder and a splitter, no parser
_HERE_WHILE_SMALL = frozenset({"Markdown", "HTML", "CSV", "subtitles"})
_SMALL = 4 << 20  # bytes


def load(data: bytes, document_id: str, *, source: str = "", collection: str = "default", ocr: str = "") -> Loaded:
    """The documents in one file, and what was repaired, skipped or left out on the way ('line 7: …').

    `document_id` is the file's id; its suffix tells Markdown, CSV and JSONL, the content tells everything else. A
    collection that a document names itself (front matter, JSONL row) counts only while `collection` is "default".
    `ocr` names the languages of tesseract that pictures of pages are read in: see `rag.load.ocr`.
    Raises LoadError, in one line, for a file that is empty, damaged, encrypted, undecodable, of an unsupported kind,
    or that breaks a limit of time, memory or size.
    """
    file = File(data, document_id, source, collection, ocr=ocr)
    kind = kind_of(data, document_id)
    if kind not in dispatch.READERS or kind in _HERE or (kind in _HERE_WHILE_SMALL and len(data) <= _SMALL):
        return dispatch.read(file)
    from rag.load import worker

    return worker.read(file)


def check_ocr(languages: str) -> None:
    """Raises BadInput, with the package to install, when pages cannot be read in these languages of tesseract."""
    if languages and (why := missing(languages)):
        raise BadInput(why)


def load_rows(path: Path, document_id: str, *, source: str = "", collection: str = "default") -> Loaded:
    """`load` of a JSONL file that need not fit into memory: its documents are read from it whenever they are wanted."""
    from rag.load import jsonl

    return jsonl.rows(File(b"", document_id, source, collection), lambda: path.open("rb"))
