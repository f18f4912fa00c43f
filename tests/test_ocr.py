"""Scanned pages: read by tesseract where it is installed and asked for, said and left out where not."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from rag.errors import BadInput, LoadError
from rag.index import Index
from rag.load import Loaded, load, ocr
from rag.pages import marks_of
from rag.settings import Settings
from tests.encoder import HashingEncoder
from tests.papers import zipped

if not shutil.which("tesseract") and "ocr" not in os.environ.get("REQUIRE", ""):
    pytest.skip("needs tesseract (Debian package tesseract-ocr)", allow_module_level=True)

DOTS = 200  # an inch
LINES = (
    "The ferry to the north island leaves at seven every",
    "day. It must be booked with the harbour of-",
    "fice, which confirms it by letter.",
)
QUOTE = "It must be booked with the harbour office, which confirms it by letter."


def scan(*pages: str) -> bytes:
    """A PDF of pictures: under a large heading and three lines, each page has these words."""
    made = []
    for words in pages:
        picture = Image.new("L", (1654, 2339), 255)
        draw = ImageDraw.Draw(picture)
        if words:
            draw.text((200, 200), "Harbour rules", fill=0, font=ImageFont.load_default(54))
            draw.text((200, 320), "\n".join(LINES), fill=0, font=ImageFont.load_default(32), spacing=10)
            draw.text((200, 560), words, fill=0, font=ImageFont.load_default(32))
        made.append(picture)
    out = io.BytesIO()
    made[0].save(out, "PDF", save_all=True, append_images=made[1:], resolution=DOTS)
    return out.getvalue()


SCAN = scan("Boats wait for nobody on Sundays.")


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """What `SCAN` gives."""
    return load(SCAN, "a.pdf", ocr="eng")


def test_a_scan_becomes_headings_and_paragraphs_and_says_how_sure_it_is(loaded: Loaded) -> None:
    (document,) = loaded.documents
    assert [(b.kind, document.text[b.start : b.end]) for b in document.blocks] == [
        ("heading", "Harbour rules"),
        ("paragraph", f"The ferry to the north island leaves at seven every day. {QUOTE}"),
        ("paragraph", "Boats wait for nobody on Sundays."),
    ]
    assert loaded.left_out["hyphens at line ends"] == 1
    assert [(p.number, p.start, p.end) for p in document.pages] == [(1, 0, len(document.text))]
    (problem,) = loaded.problems
    assert problem.startswith("page 1: read by OCR (eng), mean confidence ")
    assert int(problem.rsplit(" ", 1)[1]) > 85
    assert document.loader == "pdf/4 ocr/1 eng"


def test_the_marks_of_a_quote_cover_its_words_in_the_picture(loaded: Loaded) -> None:
    (document,) = loaded.documents
    start = document.text.index(QUOTE)
    found = marks_of(document, SCAN, 1, start, start + len(QUOTE))
    top = 320 * 72 / DOTS
    first, second = found.boxes
    assert top < first[1] < second[1] < found.height / 4
    assert first[0] > second[0]  # the quote begins within a line, and goes on at the margin
    assert second[0] == pytest.approx(200 * 72 / DOTS, abs=2)
    assert (round(found.width), round(found.height)) == (595, 842)


def test_no_marks_when_the_page_no_longer_has_the_text(loaded: Loaded) -> None:
    (document,) = loaded.documents
    assert marks_of(document, scan(""), 1, 0, 20).boxes == ()


def test_without_the_setting_a_scan_is_said_and_left_out() -> None:
    with pytest.raises(LoadError, match=r"a\.pdf: its pages are pictures .*set RAG_OCR"):
        load(SCAN, "a.pdf")


def test_a_page_without_words_is_said() -> None:
    loaded = load(scan("Boats wait.", ""), "a.pdf", ocr="eng")
    assert "page 2: OCR (eng) finds no text in the picture" in loaded.problems
    with pytest.raises(LoadError, match=r"OCR \(eng\) finds no text"):
        load(scan(""), "a.pdf", ocr="eng")


def test_a_scan_in_an_archive_is_read_too() -> None:
    (document,) = load(zipped({"in/a.pdf": SCAN}), "a.zip", ocr="eng").documents
    assert document.id == "a.zip!/in/a.pdf"
    assert QUOTE in document.text


def test_switching_it_on_reads_the_scans_of_an_index_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(SCAN)
    (folder / "b.txt").write_text("The lighthouse is open on Mondays.", "utf-8")

    def add(languages: str) -> tuple[int, int]:
        index = Index.open(tmp_path / "index", Settings(ocr=languages), create=True, encoder=HashingEncoder())
        report = index.add(folder)
        reasons = [row["reason"] for row in index.status()["skipped"]]
        index.close()
        (reason,) = reasons
        assert ("read by OCR (eng), mean confidence" if languages else "set RAG_OCR") in reason
        return report.added + report.updated, report.unchanged

    assert add("")[0] == 1
    assert add("") == (0, 2)
    assert add("eng") == (1, 1)
    assert add("eng") == (0, 2)


def test_what_is_missing_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ocr.missing("eng") == ""
    assert "tesseract-ocr-chi-sim" in ocr.missing("eng+chi_sim")
    assert "names no languages" in ocr.missing("--psm 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    index = Index.open(tmp_path / "index", Settings(ocr="eng"), create=True, encoder=HashingEncoder())
    with pytest.raises(BadInput, match="install the Debian packages tesseract-ocr and"):
        index.add(tmp_path)
    index.close()


def test_another_language_reads_again_and_a_page_without_words_does_not() -> None:
    assert ocr.again("page 1: read by OCR (eng), mean confidence 91", "eng+deu")
    assert not ocr.again("page 1: read by OCR (eng), mean confidence 91", "eng")
    assert not ocr.again("page 1: OCR (eng) finds no text in the picture", "eng")
    assert not ocr.again("page 1: read by OCR (eng), mean confidence 91", "")
    assert not ocr.again("encrypted; save it without a password", "eng")
