"""OCR by Debian's `tesseract` program: whether it can be done here, and what its traces in a document are.

The reading itself is in `rag.load.tesseract`; this module needs no library.
"""

from __future__ import annotations

import re
import shutil
import subprocess

UNREAD = "without text (a scan"  # what the problem of a file says that a run with OCR would read
PAGES = 1000  # of a file: the rest stay pictures
_LANGUAGES = re.compile(r"[A-Za-z][\w/]*(?:\+[A-Za-z][\w/]*)*", re.ASCII)


def missing(languages: str) -> str:
    """Why pages cannot be read in these `languages` ("eng", "eng+deu"), with the package to install; "" if they can."""
    if not _LANGUAGES.fullmatch(languages):
        return f"ocr = {languages!r} names no languages of tesseract; write eng, or eng+deu for two"
    if not shutil.which("tesseract"):
        return "OCR needs tesseract; install the Debian packages tesseract-ocr and tesseract-ocr-eng (or your language)"
    told = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    there = set(told.stdout.split("\n")[1:])
    lacking = [name for name in languages.split("+") if name not in there]
    packages = " ".join(f"tesseract-ocr-{name.lower().replace('_', '-').replace('/', '-')}" for name in lacking)
    return f"tesseract does not know {', '.join(lacking)}; install the Debian package {packages}" if lacking else ""


def again(problem: str | None, languages: str) -> bool:
    """Whether a file with this problem should be read again in these languages, though it is as it was."""
    if not problem or not languages or f"OCR ({languages})" in problem:
        return False
    return UNREAD in problem or "OCR (" in problem


def language_of(loader: str) -> str:
    """The languages that pages of a document were read in by OCR; "" when none was."""
    return loader.partition(" ocr/")[2].partition(" ")[2]
