"""Quotes from lists: when the answer is all of a list, the quote is all of it, with the sentence that leads into it."""

from __future__ import annotations

import re

from rag.chunk import sentences
from rag.types import Document

MAX_LIST = 1600  # code points; of a longer list only the items that were found are quoted
_VERBS = "need|have|bring|take|include|contain|cover|wear|pack|provide|show|do|send|check"
_ALL = re.compile(  # how do I …, what are …, what do I need …, which documents …, the steps
    r"\bhow (?:do|does|did|can|could|should|would|must|to)\b"
    r"|\b(?:steps|procedure|checklist)\b"
    r"|\b(?:what|which|who) (?:all )?(?:are|were)\b"
    rf"|\bwhat (?:do|does|did|should|must|can|shall|will|would|may)\b.*\b(?:{_VERBS})\b"
    r"|\b(?:what|which) (?:\w+ )?(?!(?:was|does|has|this|its|his)\b)\w+[^s\W]s\b",
    re.I,
)
_NUMBER = re.compile(r"(?:\d+|[a-z])[.)] ?$", re.I)  # the marker before an item of a sequence


def whole_list(document: Document, question: str, start: int, end: int) -> tuple[int, int]:
    """The quote `start:end`, or the whole list that it stands in when nothing less is the answer.

    A sentence that only leads into a list ("Bring the following:") always takes the list along, since it says nothing
    by itself. A quote of items becomes the whole list when the question asks for all of it and the list is a numbered
    sequence or has such a sentence before it, which is then quoted too.
    """
    text, blocks = document.text, document.blocks
    touched = [i for i, b in enumerate(blocks) if b.start < end and start < b.end]
    if not touched:
        return start, end
    last = touched[-1]
    waits = last + 1 < len(blocks) and _leads(document, last) and end >= blocks[last].end
    first = bottom = last + waits
    if blocks[first].kind != "item":
        return start, end
    while first and _together(document, first - 1):
        first -= 1
    while bottom + 1 < len(blocks) and _together(document, bottom):
        bottom += 1
    led = first > 0 and _leads(document, first - 1)
    begin = start
    if not waits:
        numbered = _NUMBER.search(text[blocks[first - 1].end if first else 0 : blocks[first].start])
        if first == bottom or not (led or numbered) or not _ALL.search(question):
            return start, end
        begin = min(start, blocks[first].start)
        if led:
            *_, (begin, _) = sentences(text, blocks[first - 1].start, blocks[first - 1].end)
    whole = (min(start, begin), max(end, blocks[bottom].end))
    return whole if whole[1] - whole[0] <= MAX_LIST else (start, end)


def _leads(document: Document, i: int) -> bool:
    """True for a paragraph that ends with a colon, just before an item."""
    block, after = document.blocks[i], document.blocks[i + 1]
    return block.kind == "paragraph" and after.kind == "item" and document.text[block.end - 1] == ":"


def _together(document: Document, i: int) -> bool:
    """True when this block and the next are items of one list: loaders put those on lines that follow each other."""
    block, after = document.blocks[i], document.blocks[i + 1]
    return block.kind == after.kind == "item" and "\n\n" not in document.text[block.end : after.start]
