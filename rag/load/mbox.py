"""A mailbox (.mbox) → its messages, each an e-mail of its own, named by its Message-ID so that it keeps its name."""

from __future__ import annotations

import hashlib
import re

from rag.errors import LoadError
from rag.load.build import File, Loaded
from rag.load.members import Collected

MESSAGES = 20_000
# A message begins with a line "From …" of a sender and a time, which a line of its header follows.
_BEGINS = re.compile(rb"^From [^\r\n]*\d\d?:\d\d[^\r\n]*\r?\n(?=[!-9;-~]+:)", re.MULTILINE)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)  # how a mailbox writes such a line inside a message
_ID = re.compile(rb"^Message-ID:\s*<([^<>\s]{1,200})>", re.MULTILINE | re.IGNORECASE)
_HEAD = 1 << 16  # bytes of a message in which its Message-ID is looked for


def read(file: File) -> Loaded:
    """The messages and their attachments. Raises LoadError when there are none, or more than MESSAGES."""
    collected = Collected(file)
    begins = [found for found in _BEGINS.finditer(file.data) if _after_blank(file.data, found.start())]
    if not begins:
        raise LoadError(f"{file.id}: no message begins in it; it is damaged or no mailbox")
    if len(begins) > MESSAGES:
        raise LoadError(
            f"{file.id}: {len(begins)} messages are more than {MESSAGES}; cut it into parts, by year perhaps"
        )
    given: dict[str, str] = {}  # name → digest
    copies = 0
    for number, found in enumerate(begins):
        end = begins[number + 1].start() if number + 1 < len(begins) else len(file.data)
        message = _QUOTED.sub(rb"\1", file.data[found.end() : end])
        digest = hashlib.sha256(message.rstrip()).hexdigest()[:16]
        named = _ID.search(message[:_HEAD])
        name = re.sub(r"[^\w.@+=-]", "_", named[1].decode("ascii", "replace")) if named else digest
        if given.get(name, digest) != digest:  # another message that bears the same id
            name = f"{name}-{digest}"
        if name in given:
            copies += 1
        else:
            given[name] = digest
            collected.read(f"{name}.eml", message)
    if copies:
        collected.problems.append(f"messages left out, which stand there twice: {copies}")
    return collected.loaded()


def _after_blank(data: bytes, at: int) -> bool:
    return at == 0 or data[max(0, at - 3) : at].endswith((b"\n\n", b"\n\r\n"))
