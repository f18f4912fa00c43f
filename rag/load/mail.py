"""An e-mail → its text, and each attachment as a document of its own."""

from __future__ import annotations

import email
import email.policy
from collections import Counter
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
    body = message.get_body(("plain", "html"))
    if body is not None:
        collected.left_out += _body(body, builder, file.id)
    if len(builder.blocks) > headed or subject:
        collected.add(
            document(
                file,
                "mail/1",
                builder.text,
                blocks=tuple(builder.blocks),
                sections=builder.sections(),
                title=subject,
                date=_date(message),
                author=[name or address for name, address in getaddresses([str(message["From"] or "")])],
                language=str(message["Content-Language"] or ""),
            )
        )
    for number, part in enumerate(_attachments(message, body), 1):
        if number > _PARTS:
            collected.problems.append(f"more than {_PARTS} attachments; the rest is left out")
            break
        name = one_line(part.get_filename() or "") or f"attachment-{number}"
        collected.read(name.replace("\\", "/").rsplit("/", 1)[-1], _payload(part))
    if not collected.documents and not headed:
        raise LoadError(f"{file.id}: no e-mail, or one without text and attachments that can be read")
    return collected.loaded()


def _body(body: Message, builder: Builder, name: str) -> Counter[str]:
    """Write the text of a message. The characters that no reader sees, by kind."""
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


def _attachments(message: Message, body: Message | None) -> list[Message]:
    """Parts with a file name, and messages that were forwarded; pictures inside the text are none."""
    found: list[Message] = []
    stack: list[Message] = [message]
    while stack:
        part = stack.pop()
        if (
            part is not body
            and part is not message
            and (part.get_filename() or part.get_content_type() == "message/rfc822")
        ):
            found.append(part)
        elif part.is_multipart():
            stack += reversed([inner for inner in part.get_payload() if isinstance(inner, Message)])
    return [part for part in found if part.get_content_maintype() not in ("image", "audio", "video")]


def _payload(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822":
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
