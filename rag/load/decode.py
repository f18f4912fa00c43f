"""Bytes → text. The door of charset_normalizer, which only a file that is neither UTF-8 nor UTF-16 ever meets."""

from __future__ import annotations

import codecs
import re

from rag.errors import LoadError
from rag.load.build import File

_SAMPLE = 1 << 16  # bytes that a guess is made from; the whole file is then decoded strictly
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GUESSED = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_5"),
    *("iso8859_7", "iso8859_15", "koi8_r", "mac_roman", "cp437", "cp850"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
_TYPOGRAPHY = "£€–—‘’“”„…•«»©®™°§·½¼¾\xa0"
_DECLARED = re.compile(rb"<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE)
_NOT_CONTROL = bytes(sorted({*range(32, 256), *b"\a\b\t\n\v\f\r\x1a\x1b"}))


def text_of(file: File) -> tuple[str, tuple[str, ...]]:
    """The file's canonical characters and notes on repairs: line ends are LF, NUL is dropped, nothing else changes."""
    text, notes = decode(file.data, file.id)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", ""), notes


def decode(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The text that `data` encodes, without its byte order mark, and a note for each repair.

    Raises LoadError when it is binary, damaged, undecodable or holds a lone surrogate.
    """
    marked = [encoding for bom, encoding in _BOMS if data.startswith(bom)]
    for encoding in marked:
        try:
            return data.decode(encoding).removeprefix("\ufeff"), ()
        except UnicodeDecodeError as error:
            reason = error.reason
    if marked:
        raise LoadError(f"{name}: damaged {marked[-1]} text ({reason}); save it again as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _not_utf8(data, name)
    if _looks_binary(data[:_SAMPLE]):
        text = _utf16(data) or _refuse_binary(name)
    return text, ()


def _not_utf8(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    if text := _utf16(data):
        return text, ()
    if b"\0" in data:
        _refuse_binary(name)
    mended = data.decode("utf-8", "replace")
    bad = mended.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    good = len(mended) - len(mended.encode("ascii", "ignore")) - bad
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        pass
    else:
        raise LoadError(f"{name}: the text holds a lone surrogate (half a character); save it again as UTF-8")
    if good > bad:  # UTF-8 with a few wounds; one byte in another encoding seldom looks like that
        return mended, (f"{bad} broken UTF-8 sequence(s) replaced by \ufffd; save the file again as UTF-8",)
    for encoding in _candidates(data):
        try:
            return data.decode(encoding), ()
        except UnicodeDecodeError:
            continue
    raise LoadError(f"{name}: the encoding could not be determined; save the file as UTF-8")


def _candidates(data: bytes) -> list[str]:
    """Encodings to try, best first: the one that an HTML or XML head declares, then those that the sample suggests."""
    from charset_normalizer import from_bytes

    declared = []
    if found := _DECLARED.search(data[:2048]):
        try:
            codec = codecs.lookup(found[1].decode("ascii", "replace")).name.replace("-", "_")
            codec = {"iso8859_1": "cp1252", "gbk": "gb18030", "gb2312": "gb18030"}.get(codec, codec)  # as browsers do
            declared = [codec] if codec in _GUESSED else []
        except LookupError:
            pass
    first = re.search(rb"[\x80-\xff]", data)
    begin = max(0, first.start() - 256) if first else 0
    sample = data[begin : begin + _SAMPLE]
    if begin + _SAMPLE < len(data):  # not through the middle of a character
        sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b" ")) + 1] or sample
    matches = list(from_bytes(sample, cp_isolation=list(_GUESSED)))
    guessed = [match.encoding for match in matches]
    # Where few characters differ, or they are dashes and quotation marks, the guess cannot know: then the usual one.
    western = next((match for match in matches if "cp1252" in match.could_be_from_charset), None)
    if western and western.chaos <= matches[0].chaos + 0.05:
        high = sample.translate(None, bytes(range(128))).decode("cp1252", "replace")
        signs = sum(character in _TYPOGRAPHY for character in high)
        if len(high) < 0.03 * len(sample) or 2 * signs > len(high) or western.coherence >= matches[0].coherence:
            guessed.insert(0, "cp1252")
    return declared + guessed


def _looks_binary(sample: bytes) -> bool:
    """Mostly control characters, or NUL beside others of them. A stray NUL alone does not make a file binary."""
    controls = sample.translate(None, _NOT_CONTROL)
    return 3 * len(controls) > len(sample) or (b"\0" in controls and controls.count(0) < len(controls))


def _utf16(data: bytes) -> str | None:
    """The text when this is UTF-16 without a mark: NULs at every second place only, and readable characters."""
    low, high = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
    if len(data) % 2 or 10 * min(low, high) >= max(low, high):
        return None
    try:
        text = data.decode("utf-16-le" if high > low else "utf-16-be")
    except UnicodeDecodeError:
        return None
    head = text[:_SAMPLE]
    readable = sum(character.isprintable() or character.isspace() for character in head)
    return text if readable >= 0.95 * len(head) else None


def _refuse_binary(name: str) -> str:
    raise LoadError(f"{name}: binary or damaged, not text; convert it to text, Markdown or HTML")
