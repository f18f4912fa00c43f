"""Characters without width, in which words can be hidden from a reader's eye: they stay in the text, and are said."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag.types import Document

_NONE = "\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff"
_TAGS = "\U000e0001-\U000e007f"  # letters that no font shows; flags of regions are written with them
_ANY = re.compile(f"[{_NONE}{_TAGS}]")
_HIDDEN = re.compile(
    rf"[{_NONE}]{{4,}}"  # a message in zeros and ones
    rf"|(?<=[A-Za-z])[\u200b-\u200d\u2060\ufeff]+(?=[A-Za-z])"  # a word that no search finds
    rf"|(?<![\U0001f3f4{_TAGS}])[{_TAGS}]+"
)
_FEW = 2  # characters: a stray mark of an order or of bytes hides nothing


def invisible(documents: Iterable[Document]) -> tuple[str, ...]:
    """A line when more than a few such characters stand where neither spelling nor layout needs them."""
    count = 0
    for document in documents:
        if not document.text.isascii() and _ANY.search(document.text):
            count += sum(len(found[0]) for found in _HIDDEN.finditer(document.text))
    if count <= _FEW:
        return ()
    return (f"{count} characters without width, in which words can be hidden, are kept; look at the file in an editor",)
