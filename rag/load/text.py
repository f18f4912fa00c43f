"""Plain text: kept exactly as it is. Paragraphs are parted by blank lines."""

from __future__ import annotations

from rag.load.build import File, Loaded, document, paragraphs
from rag.load.decode import text_of


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is no text."""
    text, notes = text_of(file)
    return Loaded((document(file, "text/1", text, blocks=paragraphs(text)),), notes)
