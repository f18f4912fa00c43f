"""The page as a picture, and the boxes of a quote on it: the words inside them are the quote."""

from __future__ import annotations

import zlib

import pypdfium2
import pytest

from rag.errors import LoadError
from rag.load import load
from rag.pages import marks, page_image
from tests.papers import pdf
from tests.test_load_formats import paged


def inside(data: bytes, page: int, box: tuple[float, ...]) -> str:
    """What pdfium itself reads in a box that is given from the top left."""
    document = pypdfium2.PdfDocument(data)
    height = document[page - 1].get_height()
    x0, y0, x1, y1 = box
    words = document[page - 1].get_textpage().get_text_bounded(x0 - 0.5, height - y1 - 0.5, x1 + 0.5, height - y0 + 0.5)
    document.close()
    return words


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_words_inside_the_boxes_are_the_quote() -> None:
    data = pdf(paged(3))
    text = load(data, "a.pdf").documents[0].text
    quote = "It must be booked with the harbour office, which confirms it"
    start = text.index(quote)
    found = [inside(data, 1, box) for box in marks(data, 1, start, start + len(quote)).boxes]
    read = "".join(found).replace("\ufffe", "").replace("\x02", "").replace("-", "").replace("\r\n", "")
    assert "".join(read.split()) == "".join(quote.split())


def test_the_picture_is_a_png_of_the_whole_page() -> None:
    png = page_image(pdf(paged(1)), 1, 1.0)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (595, 842)
    at = png.index(b"IDAT")
    pixels = zlib.decompress(png[at + 4 : at + 4 + int.from_bytes(png[at - 4 : at])])
    assert 0 < sum(byte < 64 for byte in pixels) < len(pixels) / 10  # mostly paper, with some ink


@pytest.mark.parametrize("page", [0, 9])
def test_a_page_that_is_not_there_is_a_line(page: int) -> None:
    with pytest.raises(LoadError, match=f"page {page} cannot be opened"):
        page_image(pdf(paged(1)), page)
