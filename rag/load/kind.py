"""What a file is: by its content where the content tells, by its suffix otherwise."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

# What a walk through a folder takes. Any other text file is read when it is named itself; .jsonl only then.
SUFFIXES = frozenset(
    ".txt .text .log .rst .md .markdown .html .htm .xhtml .csv .tsv .pdf .docx .docm .dotx .xlsx .xlsm .xltx .pptx "
    ".pptm .ppsx .potx .odt .ott .ods .ots .odp .otp .epub .eml .mbox .srt .vtt .zip .tgz".split()
)

_BY_SUFFIX = {
    ".md": "Markdown",
    ".markdown": "Markdown",
    ".jsonl": "JSONL",
    ".ndjson": "JSONL",
    ".rst": "reStructuredText",
    ".html": "HTML",
    ".htm": "HTML",
    ".xhtml": "HTML",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".eml": "e-mail",
    ".mbox": "mailbox",
    ".srt": "subtitles",
    ".vtt": "subtitles",
}
_MAGIC = (  # offset, bytes, name
    (0, b"%PDF-", "PDF"),
    (0, b"{\\rtf", "RTF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (DOC, XLS, PPT, MSG)"),
    (0, b"\x89PNG", "an image (PNG)"),
    (0, b"\xff\xd8\xff", "an image (JPEG)"),
    (0, b"GIF87a", "an image (GIF)"),
    (0, b"GIF89a", "an image (GIF)"),
    (0, b"II*\0", "an image (TIFF)"),
    (0, b"MM\0*", "an image (TIFF)"),
    (8, b"WEBP", "an image (WebP)"),
    (4, b"ftyp", "audio, video or an image (MP4, HEIC)"),
    (0, b"OggS", "audio or video (Ogg)"),
    (0, b"ID3", "audio (MP3)"),
    (0, b"fLaC", "audio (FLAC)"),
    (0, b"RIFF", "audio or video (RIFF)"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"(\xb5/\xfd", "a Zstandard archive"),
    (0, b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "tar"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x7fELF", "a program (ELF)"),
    (0, b"MZ", "a program (EXE, DLL)"),
    (0, b"PAR1", "Parquet"),
)
_ZIPPED = (  # the folder of an office file's main part
    ("word/", "DOCX"),
    ("xl/", "XLSX"),
    ("ppt/", "PPTX"),
)
_OPEN = b"application/vnd.oasis.opendocument."
_OPENED = ((b"text", "ODT"), (b"spreadsheet", "ODS"), (b"presentation", "ODP"))  # templates too
ENCRYPTED = "an encrypted office file"  # an old container around a new file
_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*|<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
_MAIL = re.compile(rb"(?:Return-Path|Received|Delivered-To|MIME-Version|Message-ID): .*\r?\n", re.IGNORECASE)
_MAILBOX = re.compile(rb"From [^\r\n]*\d\d?:\d\d[^\r\n]*\r?\n[!-9;-~]+:")
_SUBTITLES = re.compile(rb"WEBVTT(?:[ \t\r\n]|\Z)|\s*\d+[ \t]*\r?\n[ \t]*(?:\d+:)?\d\d:\d\d[.,]\d+[ \t]*-->")


def suffix_of(name: str) -> str:
    """The suffix in lower case with its dot; "" when there is none."""
    base = name.rsplit("/", 1)[-1]
    return "." + base.rsplit(".", 1)[1].lower() if "." in base.lstrip(".") else ""


def is_candidate(name: str) -> bool:
    """Whether a walk through a folder takes the file `name`: a known suffix, and not hidden."""
    known = suffix_of(name) in SUFFIXES or name.lower().endswith(".tar.gz")
    return known and not name.rsplit("/", 1)[-1].startswith(".")


def has_rows(path: Path) -> bool:
    """Whether a file is JSONL, by its name and its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    return bool(head) and kind_of(head, path.name) == "JSONL"


def kind_of(data: bytes, name: str) -> str:
    """ "text", "Markdown", "PDF", …: a kind that `rag.load.dispatch` reads, or one that we only recognise."""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(data)
    binary = b"\0" in data[:4096]
    for offset, mark, kind in _MAGIC:  # a mark of plain letters needs a NUL beside it: text may begin with "MZ" too
        if data.startswith(mark, offset) and (binary or not mark.isalnum()):
            return ENCRYPTED if kind.startswith("an old Office") and _PACKAGE in data else kind
    suffix = suffix_of(name)
    if b"%PDF-" in data[:1024] and binary:  # some writers put a line or a mail header before it
        return "PDF"
    head = data[:2048].lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"")  # UTF-16 as well
    if suffix not in (".jsonl", ".ndjson") and _HTML.match(head):
        return "HTML"
    if suffix not in _BY_SUFFIX and suffix not in SUFFIXES and _MAIL.match(head):
        return "e-mail"
    if suffix not in _BY_SUFFIX and _MAILBOX.match(head):
        return "mailbox"
    if suffix not in _BY_SUFFIX and _SUBTITLES.match(head):
        return "subtitles"
    return _BY_SUFFIX.get(suffix, "text")


def _zipped(data: bytes) -> str:
    """What a ZIP file holds, by the names of its members: a member of an archive may be an office file itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 100:
                kind = archive.read("mimetype").strip()
                if kind == b"application/epub+zip":
                    return "EPUB"
                if kind.startswith(_OPEN):
                    return next((name for end, name in _OPENED if kind[len(_OPEN) :].startswith(end)), "OpenDocument")
    except Exception:  # whoever opens the archive says what is wrong with it
        return "ZIP"
    if "META-INF/container.xml" in names:
        return "EPUB"
    if "[Content_Types].xml" in names:
        return next((kind for folder, kind in _ZIPPED if any(name.startswith(folder) for name in names)), "ZIP")
    return "ZIP"
