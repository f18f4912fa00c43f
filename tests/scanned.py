"""How well are scans read? Pages of a PDF are made pictures, read by OCR, and set beside the text they were made of.

    python -m tests.scanned FILE.pdf FIRST LAST        word recall and order: 300 dpi clean, then 200 dpi and worn

Worn: turned by 0.7 degrees, blurred, greyed, with noise, and packed as JPEG. The reference is pdftotext (poppler).
"""

from __future__ import annotations

import argparse
import io
import subprocess
from pathlib import Path
from unittest import mock

import numpy as np
import pypdfium2
from PIL import Image, ImageFilter

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


def read(data: bytes) -> Loaded:
    """With the running heads, as the reference has them."""
    with mock.patch("rag.load.pdf.running", lambda pages, body: ([set() for _ in pages], {})):
        return dispatch.read(File(data, "scan.pdf", ocr="eng"))


def main() -> None:
    parser = argparse.ArgumentParser(description="our text of scanned pages beside the text they were made of")
    parser.add_argument("file", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    options = parser.parse_args()
    command = ["pdftotext", "-f", str(options.first), "-l", str(options.last), str(options.file), "-"]
    reference = words(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for dots, worn in ((300, False), (200, True)):
        loaded = read(pictures(options.file, options.first, options.last, dots, worn))
        recall, order, missing = agreement(reference, words(loaded.documents[0].text))
        print(
            f"{options.file.name} {dots} dpi{' worn' if worn else ''}: {len(reference)} words, recall {recall:.4f}, "
            f"order {order:.4f}; missing: {' '.join(missing)}; {'; '.join(loaded.problems)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
