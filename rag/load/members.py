"""Files inside a file: each becomes documents of its own, `outer!/inner`, and a bad one costs only itself."""

from __future__ import annotations

import re
from collections import Counter

from rag.errors import LoadError
from rag.load import dispatch
from rag.load.build import File, Loaded
from rag.types import Document

_TOLD = 100  # problems of members that are named
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


class Collected:
    """What the members of `outer` gave so far."""

    def __init__(self, outer: File) -> None:
        self._outer = outer
        self.documents: dict[str, Document] = {}
        self.problems: list[str] = []
        self.left_out: Counter[str] = Counter()

    def add(self, document: Document) -> None:
        """Take a document; a second one of the same id is a problem."""
        if document.id in self.documents:
            self.problems.append(f"{document.id}: a second member of that name is left out")
        else:
            self.documents[document.id] = document

    def read(self, name: str, data: bytes) -> None:
        """Take in the member `name`. A name is a label here and never a path on this machine."""
        if _CONTROL.search(name) or not name:
            self.problems.append(f"a member's name {ascii(name)[:60]} cannot be printed in one line; it is left out")
            return
        member = self._outer.member(name, data)
        try:
            loaded = dispatch.read(member)
        except LoadError as error:
            self.problems.append(str(error).removeprefix(f"{self._outer.id}!/"))
            return
        for document in loaded.documents:
            self.add(document)
        self.problems += [f"{name}: {problem}" for problem in loaded.problems]
        self.left_out.update(loaded.left_out)

    def loaded(self) -> Loaded:
        """All of it. Raises LoadError when nothing could be read."""
        if not self.documents:
            why = f" ({self.problems[0]})" if self.problems else ""
            raise LoadError(f"{self._outer.id}: nothing in it can be read{why}")
        more = len(self.problems) - _TOLD
        told = [*self.problems[:_TOLD], *([f"and {more} more like these"] if more > 0 else [])]
        return Loaded(tuple(self.documents.values()), tuple(told), self.left_out)
