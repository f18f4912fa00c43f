"""Is anything lost or out of order? Our text beside an independent tool's, file by file.

    python -m tests.fidelity FILE…            word recall and order, and the words that are missing
    python -m tests.fidelity --speed FILE…    times beside pypdf, pdfminer.six and markitdown, where installed

Reference: pdftotext (poppler) for PDF, pandoc for DOCX, ODT, EPUB and HTML, ripmime for
e-mail, LibreOffice for sheets and slides. The names that it prints above sheets are left out, and its dates are
written as ours (2026-05-01). The running heads of a
PDF are kept on both sides. Recall: the share of the reference's words that are in our text, counted with their number;
words that a line end parts are put together. Of a saved page the recall is that of the words which are not declared as
navigation and the like; where trafilatura is installed, so is the share of its main text that is in ours. Order: the
share of those that a diff finds in the same order.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from unittest import mock

from rag.errors import LoadError
from rag.load import dispatch
from rag.load.build import File
from rag.load.decode import decode
from rag.load.kind import kind_of

_PIECE = 4_000  # words that are compared for order at once: a diff's time grows with the square
_PANDOC = {"DOCX": "docx", "EPUB": "epub", "HTML": "html", "ODT": "odt", "reStructuredText": "rst"}


def ours(file: Path) -> str:
    """The canonical text of a file, read in this process, with the running heads of its pages."""
    with mock.patch("rag.load.pdf.running", lambda pages, body: ([set() for _ in pages], {})):
        return "\n".join(document.text for document in dispatch.read(File(file.read_bytes(), file.name)).documents)


def theirs(file: Path) -> str:
    """The text that an independent tool sees."""
    kind = kind_of(file.read_bytes(), file.name)
    if kind == "PDF":
        return _output("pdftotext", "-enc", "UTF-8", str(file), "-")
    if kind in _PANDOC:
        plain = _output("pandoc", "-f", _PANDOC[kind], "-t", "plain", "--wrap=none", str(file))
        # It keeps the targets of roles that it does not know, and the marks of footnotes.
        return re.sub(r"\s<[^<>\s]*>|\[\d+\]", "", plain) if kind == "reStructuredText" else plain
    if kind == "e-mail":
        return "\n".join(_parts(file))
    with tempfile.TemporaryDirectory() as folder:
        target = {"XLSX": "html", "ODS": "html", "CSV": "html", "PPTX": "pdf", "ODP": "pdf"}[
            kind
        ]  # its CSV loses currencies
        profile = f"-env:UserInstallation=file://{folder}/profile"
        _output("soffice", profile, "--headless", "--convert-to", target, "--outdir", folder, str(file))
        made = next(Path(folder).glob(f"*.{target}"))
        if target == "pdf":
            return _output("pdftotext", str(made), "-")
        bare = re.sub(r"(?s)<h1>Overview.*?</center>|<h1>Sheet \d+: .*?</h1>", "", made.read_text("utf-8", "replace"))
        made.write_text(re.sub(r">(\d+)/(\d+)/(\d{4})<", _iso, bare), "utf-8")
        return _output("pandoc", "-f", "html", "-t", "plain", "--wrap=none", "--columns=10000", str(made))


def _parts(file: Path) -> Iterator[str]:
    """The parts of a message that hold text."""
    with tempfile.TemporaryDirectory() as folder:
        _output("ripmime", "-i", str(file), "-d", folder)
        for part in sorted(Path(folder).iterdir()):
            text = part.read_bytes()
            if b"\0" not in text and text.strip():
                if kind_of(text, part.name) == "HTML" or part.suffix in (".htm", ".html"):
                    yield _output("pandoc", "-f", "html", "-t", "plain", "--wrap=none", str(part))
                elif part.suffix not in (".gif", ".jpg", ".png"):
                    yield decode(text, part.name)[0]


def _iso(day: re.Match[str]) -> str:
    """LibreOffice's 5/1/2026 as we write it."""
    return f">{day[3]}-{int(day[1]):02}-{int(day[2]):02}<"


def whole(file: Path) -> str:
    """`ours`, with the navigation of a saved page."""
    with mock.patch("rag.load.html.furniture", return_value={}):
        return ours(file)


def main_text(file: Path, own: Sequence[str]) -> str:
    """How much of the main text that trafilatura finds in a page is in ours; "" where it is not installed."""
    with contextlib.suppress(ImportError):
        trafilatura = importlib.import_module("trafilatura")
        found = words(trafilatura.extract(file.read_bytes(), include_comments=False) or "")
        return f", main text {recalled(found, own)[0]:.4f}"
    return ""


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")


def words(text: str) -> list[str]:
    """The words of a text, those that a line end parts put together."""
    return re.findall(r"\w+", re.sub(r"[-\u00ad\u2010]\n\s*", "", text).replace("-", "").lower())


def recalled(reference: Sequence[str], own: Sequence[str]) -> tuple[float, list[str]]:
    """(recall, the words that are missing most often)."""
    missing = Counter(reference) - Counter(own)
    return 1 - missing.total() / max(1, len(reference)), [word for word, _ in missing.most_common(8)]


def agreement(reference: Sequence[str], own: Sequence[str]) -> tuple[float, float, list[str]]:
    """(recall, order, the words that are missing most often)."""
    recall, missing = recalled(reference, own)
    same = 0
    for begin in range(0, len(reference), _PIECE):  # the same share of both texts, with room on either side
        part = reference[begin : begin + _PIECE]
        scale = len(own) / max(1, len(reference))
        near = own[max(0, int(begin * scale) - _PIECE // 4) : int((begin + _PIECE) * scale) + _PIECE // 4]
        blocks = SequenceMatcher(None, part, near, autojunk=False).get_matching_blocks()
        same += sum(block.size for block in blocks)
    return recall, same / max(1, round(recall * len(reference))), missing


def readers() -> dict[str, Callable[[Path], object]]:
    """The others that are installed."""
    found: dict[str, Callable[[Path], object]] = {}
    with contextlib.suppress(ImportError):
        pypdf = importlib.import_module("pypdf")
        found["pypdf"] = lambda file: [page.extract_text() for page in pypdf.PdfReader(file).pages]
    with contextlib.suppress(ImportError):
        miner = importlib.import_module("pdfminer.high_level")
        found["pdfminer.six"] = lambda file: miner.extract_text(file)
    with contextlib.suppress(ImportError):
        markitdown = importlib.import_module("markitdown").MarkItDown()
        found["markitdown"] = lambda file: markitdown.convert(str(file))
    return found


def seconds(read: Callable[[Path], object], file: Path) -> float:
    """The best of three runs."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        read(file)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> int:
    parser = argparse.ArgumentParser(description="our text of a file beside an independent tool's")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--speed", action="store_true", help="times beside other readers, on an idle machine")
    options = parser.parse_args()
    for file in options.files:
        try:
            if options.speed:
                took = seconds(ours, file)
                ratios = [f"{name} {seconds(read, file) / took:.2f}×" for name, read in readers().items()]
                print(f"{file.name}: {took:.2f} s; the time of {', '.join(ratios) or 'none other (not installed)'}")
            else:
                own, reference, full = words(ours(file)), words(theirs(file)), words(whole(file))
                removed = Counter(full) - Counter(own)
                recall, order, missing = agreement(reference, full)
                if removed:
                    reference = list((Counter(reference) - removed).elements())
                    recall, missing = recalled(reference, own)
                told = f", {removed.total()} left out{main_text(file, own)}" if removed else ""
                told += f"; missing: {' '.join(missing)}" if missing else ""
                print(f"{file.name}: {len(reference)} words, recall {recall:.4f}, order {order:.4f}{told}")
        except LoadError as error:
            print(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
