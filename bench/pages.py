"""Pages a second of a PDF: ours, in the isolated process as every caller has it and apart in this one, beside pypdf,
pdfminer.six and markitdown: same files, same process, turn by turn. Then the peak of memory with a thousand pages, each
system in a process of its own.

The others give text; ours finds headings, rows, running heads, hyphens and hidden text as well. The files are manuals
that Debian packages ship, or those of a folder (`--pdfs`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium

from bench.corpus import WORK, packages
from bench.measure import peak, seconds, told

MANUALS = {  # package → files
    "debian-policy": ("policy.pdf.gz",),
    "developers-reference": ("developers-reference.pdf",),
    "libtasn1-doc": ("libtasn1.pdf",),
    "python-reportlab-doc": ("reportlab-userguide.pdf",),
    "bzip2-doc": ("manual.pdf.gz",),
    "r-doc-pdf": ("R-intro.pdf", "R-admin.pdf", "R-lang.pdf"),
}
OURS, HERE = "pullquote", "pullquote in-process"
Read = Callable[[Path], Any]


def isolated(file: Path) -> Any:
    """As every face of Pullquote loads it."""
    from rag.load import load

    return load(file.read_bytes(), file.name)


def in_process(file: Path) -> Any:
    """Without the process of its own."""
    from rag.load import dispatch
    from rag.load.build import File

    return dispatch.read(File(file.read_bytes(), file.name))


def pypdf(file: Path) -> Any:
    """The text of every page."""
    from pypdf import PdfReader

    return [page.extract_text() for page in PdfReader(file).pages]


def pdfminer(file: Path) -> Any:
    """The text of the file, with pdfminer's analysis of its layout."""
    from pdfminer.high_level import extract_text

    return extract_text(file)


def markitdown(file: Path) -> Any:
    """The file as Markdown."""
    from markitdown import MarkItDown

    return MarkItDown().convert(file)


WAYS: dict[str, Read] = {
    OURS: isolated,
    HERE: in_process,
    "pypdf": pypdf,
    "pdfminer.six": pdfminer,
    "markitdown": markitdown,
}


def main() -> None:
    """A line for each system, one with the ratios, and a line of memory for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pdfs", type=Path, metavar="DIR", help="a folder of PDFs instead of Debian's")
    parser.add_argument("--pages", type=int, default=0, metavar="N", help="the first N pages of each (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=1000, metavar="N", help="pages of the large file (default 1000)")
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.one:
        alone(options.one[0], Path(options.one[1]))
        return
    files = [cut(file, options.pages) for file in sources(options.pdfs)]
    speed(files, options.rounds)
    memory(joined(files, options.large))


def speed(files: list[Path], rounds: int) -> None:
    """Pages a second of each system: all pages over the sum of each file's median time."""
    pages = sum(counted(file) for file in files)
    taken: dict[str, list[float]] = {}
    for name, read in WAYS.items():
        read(files[0])  # imports it, and starts the process
        taken[name] = []
    for file in files:
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(rounds):
            for name, read in WAYS.items():
                times[name].append(seconds(partial(read, file)))
        for name, each in times.items():
            taken[name].append(statistics.median(each))
    rates = {name: pages / sum(each) for name, each in taken.items()}
    for name, rate in rates.items():
        told("pages", system=name, files=len(files), pages=pages, rounds=rounds, pages_a_second=rate)
    told("pages ratio", **{f"{OURS} / {name}": rates[OURS] / rate for name, rate in rates.items() if name != OURS})


def memory(file: Path) -> None:
    """The most that is resident, of each system with the same large file."""
    for name in WAYS:
        command = [sys.executable, "-m", "bench.pages", "--one", name, str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        figures = json.loads(done.stdout) if not done.returncode else {"failed": done.stderr.strip()[-200:]}
        told("pages memory", system=name, pages=counted(file), megabytes=file.stat().st_size >> 20, **figures)


def alone(name: str, file: Path) -> None:
    """In a process of its own: one file, and then the peak of this process and of those that it started."""
    before = peak()
    time = seconds(lambda: WAYS[name](file))
    started = [
        int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    print(
        json.dumps({"seconds": time, "peak_mb": peak(), "at_start_mb": before, "parser_mb": list(map(peak, started))})
    )


def sources(folder: Path | None) -> Iterator[Path]:
    """The PDFs, unpacked."""
    if folder:
        yield from sorted(folder.glob("*.pdf"))
        return
    docs, made = packages(list(MANUALS)), WORK / "pdfs"
    made.mkdir(parents=True, exist_ok=True)
    for package, names in MANUALS.items():
        for name in names:
            data = next((docs / package).rglob(name)).read_bytes()
            target = made / f"{package}-{name.removesuffix('.gz')}"
            target.write_bytes(gzip.decompress(data) if name.endswith(".gz") else data)
            yield target


def cut(file: Path, pages: int) -> Path:
    """The first `pages` of a file as a file of its own; 0: the file."""
    if not 0 < pages < counted(file):
        return file
    target = file.with_suffix(f".first-{pages}")
    pieces([(file, list(range(pages)))], target)
    return target


def joined(files: list[Path], pages: int) -> Path:
    """A file of `pages` pages, made of these one after the other, over and over."""
    target, chosen, left = WORK / f"large-{pages}.pdf", [], pages
    while left > 0:
        for file in files:
            some = min(left, counted(file))
            chosen.append((file, list(range(some))))
            left -= some
    pieces([piece for piece in chosen if piece[1]], target)
    return target


def pieces(parts: list[tuple[Path, list[int]]], target: Path) -> None:
    """Write pages of files as one PDF."""
    made = pdfium.PdfDocument.new()
    for file, pages in parts:
        source = pdfium.PdfDocument(file)
        made.import_pages(source, pages)
        source.close()
    target.parent.mkdir(parents=True, exist_ok=True)
    made.save(target)
    made.close()


def counted(file: Path) -> int:
    """Pages of a PDF."""
    source = pdfium.PdfDocument(file)
    pages = len(source)
    source.close()
    return pages


if __name__ == "__main__":
    main()
