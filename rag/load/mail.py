"""An e-mail → its text, and each attachment as a document of its own."""

from __future__ import annotations

import email
import email.policy
from collections import Counter
from collections.abc import Iterator, Sequence
from email.message import EmailMessage, Message
from email.utils import getaddresses, parsedate_to_datetime

from rag.errors import LoadError
from rag.load.build import Builder, File, Loaded, document, one_line, paragraphs
from rag.load.decode import decode
from rag.load.html import feed, parse
from rag.load.members import Collected
from rag.load.writer import Writer

_SHOWN = ("From", "To", "Cc", "Date")
_PARTS = 1_000
_MESSAGE = "message/rfc822"


def read(file: File) -> Loaded:
    """The message and its readable attachments. Raises LoadError when it has neither text nor attachments."""
    message = email.message_from_bytes(file.data, EmailMessage, policy=email.policy.default)
    collected = Collected(file)
    subject = one_line(str(message["Subject"] or ""))
    builder = Builder()
    if subject:
        builder.write("heading", subject, level=1)
    for name in _SHOWN:
        if value := one_line(str(message[name] or "")):
            builder.write("paragraph", f"{name}: {value}", group=collected)
    headed = len(builder.blocks)
    texts = list(_texts(message)) or list(filter(None, [message.get_body(("plain", "html"))]))
    for part in texts:
        collected.left_out += _written(part, builder, file.id)
    if len(builder.blocks) > headed or subject:
        collected.add(
            document(
                file,
                "mail/2",
                builder.text,
                blocks=tuple(builder.blocks),
                sections=builder.sections(),
                title=subject,
                date=_date(message),
                author=[name or address for name, address in getaddresses([str(message["From"] or "")])],
                language=str(message["Content-Language"] or ""),
            )
        )
    for number, part in enumerate(_attachments(message, texts), 1):
        if number > _PARTS:
            collected.problems.append(f"more than {_PARTS} attachments; the rest is left out")
            break
        name = one_line(part.get_filename() or "") or f"attachment-{number}"
        if part.get_content_type() == _MESSAGE and not name.lower().endswith(".eml"):
            name += ".eml"
        collected.read(name.replace("\\", "/").rsplit("/", 1)[-1], _payload(part))
    if not collected.documents and not headed:
        raise LoadError(f"{file.id}: no e-mail, or one without text and attachments that can be read")
    return collected.loaded()


def _texts(message: Message) -> Iterator[Message]:
    """The parts that a mail program shows below one another; of alternatives the plain one, or the first with text."""
    stack = [message]
    while stack:
        part = stack.pop()
        if part.get_content_maintype() == "message":
            continue
        if part.is_multipart():
            inner = [child for child in part.get_payload() if isinstance(child, Message)]
            if part.get_content_subtype() == "alternative":
                plain = [child for child in inner if child.get_content_type() == "text/plain"]
                inner = (plain or [child for child in inner if any(_texts(child))])[:1]
            stack += reversed(inner)
        elif part.get_content_type() in ("text/plain", "text/html") or part.get_content_maintype() == "multipart":
            apart = part.get_filename() or part.get_content_disposition() == "attachment"
            if part is message or not apart:
                yield part


def _written(body: Message, builder: Builder, name: str) -> Counter[str]:
    """Write one text of a message. The characters that no reader sees, by kind."""
    data = body.get_payload(decode=True)
    charset = str(body.get_content_charset() or "utf-8")
    try:
        text = data.decode(charset) if isinstance(data, bytes) else ""
    except (LookupError, UnicodeDecodeError):
        text, _ = decode(data if isinstance(data, bytes) else b"", name)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    text = text.encode("utf-8", "replace").decode()
    if body.get_content_subtype() == "html":
        return feed(Writer(builder), parse(text, name))
    for block in paragraphs(text):
        builder.write("paragraph", text[block.start : block.end])
    return Counter()


def _attachments(message: Message, texts: Sequence[Message]) -> list[Message]:
    """Parts with a file name, and messages that were forwarded; pictures inside the text are none."""
    found: list[Message] = []
    stack: list[Message] = [message]
    while stack:
        part = stack.pop()
        named = part.get_filename() and part is not message and all(part is not text for text in texts)
        if named or part.get_content_type() == _MESSAGE:
            found.append(part)
        elif part.is_multipart():
            stack += reversed([inner for inner in part.get_payload() if isinstance(inner, Message)])
    return [part for part in found if part.get_content_maintype() not in ("image", "audio", "video")]


def _payload(part: Message) -> bytes:
    if part.get_content_type() == _MESSAGE:
        inner = part.get_payload()
        first = inner[0] if isinstance(inner, list) and inner else None
        return first.as_bytes() if isinstance(first, Message) else b""
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _date(message: EmailMessage) -> str | None:
    try:
        return parsedate_to_datetime(str(message["Date"])).date().isoformat()
    except (TypeError, ValueError, IndexError):
        return None
