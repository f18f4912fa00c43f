"""An index as one asker may see it: what is hidden from them is as if it did not exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rag.errors import NotFound
from rag.index import Index
from rag.rows import DocumentInfo
from rag.types import Document


@dataclass(frozen=True, slots=True)
class Readable:
    """The documents of `index` that members of `groups` may read; None: all of them.

    A document without groups may be read by everyone. Questions are limited inside retrieval, by
    `Filters(groups=…)`; this is for what is named by id.
    """

    index: Index
    groups: tuple[str, ...] | None

    def document(self, document_id: str) -> Document:
        """The document. NotFound says the same of one that is hidden and one that does not exist."""
        try:
            found = self.index.document(document_id)
        except NotFound:
            found = None
        if found is None or not may_read(found.groups, self.groups):
            raise NotFound(f"document {document_id!r} is not in the index")
        return found

    def documents(self) -> Iterator[DocumentInfo]:
        """The readable documents, by id."""
        yield from self.index.documents(self.groups)


def may_read(allowed: tuple[str, ...], groups: tuple[str, ...] | None) -> bool:
    """Whether someone in `groups` may read a document that carries `allowed`."""
    return groups is None or not allowed or not set(allowed).isdisjoint(groups)
