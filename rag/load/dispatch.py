"""Which module reads which kind, and the one place where a parser's exceptions become a line for the user."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from rag.errors import LoadError
from rag.load.build import File, Loaded
from rag.load.invisible import invisible
from rag.load.kind import ENCRYPTED, kind_of

READERS = {  # kind → the module that reads it, imported when the first such file comes
    "text": "rag.load.text",
    "Markdown": "rag.load.markdown",
    "reStructuredText": "rag.load.rst",
    "HTML": "rag.load.html",
    "JSONL": "rag.load.jsonl",
    "CSV": "rag.load.csv",
    "PDF": "rag.load.pdf",
    "DOCX": "rag.load.docx",
    "XLSX": "rag.load.xlsx",
    "PPTX": "rag.load.pptx",
    "ODT": "rag.load.odt",
    "ODS": "rag.load.ods",
    "ODP": "rag.load.odp",
    "EPUB": "rag.load.epub",
    "e-mail": "rag.load.mail",
    "mailbox": "rag.load.mbox",
    "subtitles": "rag.load.subtitles",
    "ZIP": "rag.load.archive",
    "gzip": "rag.load.archive",
    "tar": "rag.load.archive",
}
_OFFICE, _MACROS = ("DOCX", "XLSX", "PPTX"), b"vbaProject.bin"  # a ZIP's names of members stand in it as they are
_DEEPEST = 3  # archives and messages inside one another


def read(file: File) -> Loaded:
    """The documents in one file, parsed in this process. Raises LoadError, in one line, when there are none."""
    if not file.data:
        raise LoadError(f"{file.id}: the file is empty; fill it or remove it")
    kind = kind_of(file.data, file.id)
    if kind == ENCRYPTED:
        raise LoadError(f"{file.id}: encrypted; save it without a password")
    if kind not in READERS:
        raise LoadError(f"{file.id}: {kind} is not supported; save it as text, Markdown, HTML or PDF")
    if file.depth > _DEEPEST:
        raise LoadError(f"{file.id}: packed more than {_DEEPEST} deep; unpack the outer archive first")
    try:
        loaded: Loaded = import_module(READERS[kind]).read(file)
    except (LoadError, MemoryError):
        raise
    except Exception as error:  # a parser met what it did not expect: that costs one file, not the folder
        why = " ".join(str(error).split())[:100]
        raise LoadError(
            f"{file.id}: damaged {kind} ({type(error).__name__}{': ' if why else ''}{why}); save it again"
        ) from None
    macros = kind in _OFFICE and _MACROS in file.data
    more = ["it holds macros; they are neither read nor run"] if macros else []
    if not file.depth:  # what is packed in a file is looked at with it
        more += invisible(loaded.documents)
    return replace(loaded, problems=(*loaded.problems, *more)) if more else loaded
