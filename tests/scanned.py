"""How well are scans read? Word recall and order beside the truth.

    python -m tests.scanned FILE.pdf FIRST LAST        pages made pictures: 300 dpi clean, then 200 dpi and worn
    python -m tests.scanned SCAN.tif --truth TEXT      a scan of paper, and what a person typed from it

Worn: turned by 0.7 degrees, blurred, greyed, with noise, and packed as JPEG. The reference of a
PDF is pdftotext (poppler).
"""

from __future__ import annotations

import argparse
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pypdfium2
from PIL import Image, ImageFilter, ImageSequence

from rag.load import dispatch
from rag.load.build import File, Loaded
from tests.fidelity import agreement, words


def pictures(file: Path, first: int, last: int, dots: int, worn: bool) -> bytes:
    """Pages `first` to `last` (from 1) as a PDF of pictures."""
    rng, made = np.random.default_rng(0), []
    document = pypdfium2.PdfDocument(file)
    for index in range(first - 1, last):
        picture = document[index].render(scale=dots / 72, grayscale=True).to_pil()
        if worn:
            picture = picture.rotate(0.7, fillcolor=255, resample=Image.Resampling.BICUBIC)
            grey = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.6)), float) * 0.85 + 25
            picture = Image.fromarray((grey + rng.normal(0, 12, grey.shape)).clip(0, 255).astype(np.uint8))
        made.append(picture)
    document.close()
    out = io.BytesIO()
    made[0].save(out, "PDF", save_all=True, append_images=made[1:], resolution=dots, quality=80)
    return out.getvalue()


def bound(scan: Path) -> bytes:
    """The pictures of a file as the pages of a PDF."""
    with Image.open(scan) as picture:
        pages, out = [page.convert("L") for page in ImageSequence.Iterator(picture)], io.BytesIO()
        dots = float(picture.info.get("dpi", (300, 300))[0])
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:], resolution=dots, quality=90)
    return out.getvalue()


def read(data: bytes) -> Loaded:
    """With the running heads, as the reference has them."""
    with mock.patch("rag.load.pdf.running", lambda pages, body: ([set() for _ in pages], {})):
        return dispatch.read(File(data, "scan.pdf", ocr="eng"))


def tell(name: str, reference: Sequence[str], data: bytes) -> None:
    """Print what became of the words of the reference."""
    loaded = read(data)
    recall, order, missing = agreement(reference, words(loaded.documents[0].text))
    print(
        f"{name}: {len(reference)} words, recall {recall:.4f}, order {order:.4f}; missing: {' '.join(missing)}; "
        f"{'; '.join(loaded.problems)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="our text of scanned pages beside the text they were made of")
    parser.add_argument("file", type=Path)
    parser.add_argument("first", type=int, nargs="?", default=1)
    parser.add_argument("last", type=int, nargs="?", default=1)
    parser.add_argument("--truth", type=Path, help="the text of FILE, which is a scan")
    options = parser.parse_args()
    if options.truth:
        tell(options.file.name, words(options.truth.read_text("utf-8")), bound(options.file))
        return
    command = ["pdftotext", "-f", str(options.first), "-l", str(options.last), str(options.file), "-"]
    reference = words(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for dots, worn in ((300, False), (200, True)):
        data = pictures(options.file, options.first, options.last, dots, worn)
        tell(f"{options.file.name} {dots} dpi{' worn' if worn else ''}", reference, data)


if __name__ == "__main__":
    main()
