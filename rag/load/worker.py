"""Parsing in a process of its own: what a hostile file can cost is a worker, a little time and a line.

The parent keeps up to two idle workers and sends each one file at a time; a worker that crashes, runs too long or
needs too much memory is ended, and the next file gets a new one. Both sides speak frames of a length and JSON (and
raw bytes for the file), so that nothing a parser was made to send is executed here.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from rag.errors import LoadError
from rag.load.build import File, Loaded
from rag.types import Block, Document, Page, Section

SECONDS = 120.0  # a file, or a page of it that OCR reads; about 5,000 pages of PDF
MEMORY = 2 << 30  # bytes of address space
_WORKERS = 2
_LENGTH = struct.Struct(">Q")
_ALIVE = {"alive": True}  # a frame before the reply: a page was read by OCR, the clock begins anew


class _Worker:
    """One process and its pipes."""

    def __init__(self, memory: int) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rag.load.worker", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def ask(self, task: str, file: File, options: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Its reply; None when it ended, or was ended after `seconds` without one or a page read by OCR."""
        assert self.process.stdin
        assert self.process.stdout
        watch = self._watch(seconds)
        try:
            named = {"id": file.id, "source": file.source, "collection": file.collection, "ocr": file.ocr}
            head = {"task": task, "file": named, "options": options}
            _send(self.process.stdin, json.dumps(head).encode(), file.data)
            while (reply := json.loads(_receive(self.process.stdout))) == _ALIVE:
                watch.cancel()
                watch = self._watch(seconds)
            return dict(reply)
        except (OSError, EOFError, ValueError):
            return None
        finally:
            watch.cancel()

    def _watch(self, seconds: float) -> threading.Timer:
        watch = threading.Timer(seconds, self.process.kill)
        watch.daemon = True
        watch.start()
        return watch

    def end(self) -> int:
        """Kill it; what it ended with."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()
        return self.process.wait()


_idle: list[_Worker] = []
_places = threading.BoundedSemaphore(_WORKERS)


def read(file: File, *, seconds: float = SECONDS, memory: int = MEMORY) -> Loaded:
    """`dispatch.read` in a worker. Raises its LoadError, or one that says which limit the file broke."""
    reply = call("load", file, seconds=seconds, memory=memory)
    documents = tuple(_document(row) for row in reply["documents"])
    return Loaded(documents, tuple(reply["problems"]), reply["left_out"])


def call(
    task: str, file: File, *, seconds: float = SECONDS, memory: int = MEMORY, **options: int | float | str
) -> dict[str, Any]:
    """The reply of a worker to one of `_TASKS`. Raises LoadError as `read` does."""
    with _places:
        try:
            worker = _idle.pop() if memory == MEMORY else _Worker(memory)
        except IndexError:
            worker = _Worker(memory)
        if worker.process.poll() is not None:  # ended while it was idle
            worker.end()
            worker = _Worker(memory)
        reply = worker.ask(task, file, options, seconds)
        if reply is None:
            raise LoadError(f"{file.id}: {_reason(worker, seconds)}; the file is left out")
        if reply.get("spent") or memory != MEMORY:
            worker.end()
        else:
            _idle.append(worker)
    if "error" in reply:
        raise LoadError(reply["error"])
    return reply


def _reason(worker: _Worker, seconds: float) -> str:
    with suppress(subprocess.TimeoutExpired):
        code = worker.process.wait(1)
        if worker.end() and code != -9:
            return f"its parser crashed ({'signal' if code < 0 else 'code'} {abs(code)}); the file may be damaged"
    worker.end()
    return f"reading it took more than {seconds:g} seconds"


def _document(row: dict[str, Any]) -> Document:
    return Document(
        **{key: value for key, value in row.items() if key not in ("pages", "sections", "blocks", "groups")},
        pages=tuple(Page(*page) for page in row["pages"]),
        sections=tuple(Section(tuple(path), start, end) for path, start, end in row["sections"]),
        blocks=tuple(Block(*block) for block in row["blocks"]),
        groups=tuple(row["groups"]),
    )


@atexit.register
def _stop() -> None:
    while _idle:
        _idle.pop().end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # two processes must not talk to one worker


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _send(pipe: BinaryIO | Any, *parts: bytes) -> None:
    for part in parts:
        pipe.write(_LENGTH.pack(len(part)))
        pipe.write(part)
    pipe.flush()


def _receive(pipe: BinaryIO | Any) -> bytes:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    size = _LENGTH.unpack(head)[0]
    data: bytes = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


# ── the worker's side ────────────────────────────────────────────────────────────────────────────────────────────────


def main(memory: int) -> None:
    """Read files from standard input until it closes."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints must not break the frames
    _limit(memory)
    while True:
        try:
            head = json.loads(_receive(sys.stdin.buffer))
            data = _receive(sys.stdin.buffer)
        except EOFError:
            return
        file = File(data, **head["file"], alive=lambda: _send(replies, json.dumps(_ALIVE).encode()))
        _send(replies, json.dumps(_reply(head["task"], file, head["options"])).encode())


def _reply(task: str, file: File, options: dict[str, Any]) -> dict[str, Any]:
    try:
        return _TASKS[task](file, **options)
    except LoadError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": f"{file.id}: reading it needs more memory than is allowed; split it", "spent": True}


def _load(file: File) -> dict[str, Any]:
    from rag.load import dispatch

    loaded = dispatch.read(file)
    return {
        "documents": [_row(document) for document in loaded.documents],
        "problems": loaded.problems,
        "left_out": dict(loaded.left_out),
    }


def _boxes(file: File, page: int, start: int, end: int, revision: str) -> dict[str, Any]:
    from rag.load import paper, pdf

    return {"boxes": pdf.boxes(file.data, page, start, end, revision), "size": paper.size(file.data, page - 1)}


def _retrace(file: File, page: int, start: int, end: int, text: str) -> dict[str, Any]:
    from rag.load import paper, retrace

    found = retrace.boxes(file.data, page - 1, text, start, end, file.ocr)
    return {"boxes": found, "size": paper.size(file.data, page - 1)}


def _image(file: File, page: int, scale: float) -> dict[str, Any]:
    from rag.load import paper

    return {"png": base64.b64encode(paper.image(file.data, page - 1, scale)).decode()}


_TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "load": _load,
    "boxes": _boxes,
    "retrace": _retrace,
    "image": _image,
}


def _row(document: Document) -> dict[str, Any]:
    flat = {
        "pages": [(p.number, p.label, p.start, p.end) for p in document.pages],
        "sections": [(s.path, s.start, s.end) for s in document.sections],
        "blocks": [(b.kind, b.start, b.end) for b in document.blocks],
    }
    plain = ["id", "text", "title", "source", "collection", "date", "loader", "revision", "groups"]
    plain += ["author", "language"]
    return {**{name: getattr(document, name) for name in plain}, **flat}


def _limit(memory: int) -> None:
    """No more memory than allowed, no file written, no core dumped, and a lower priority than the answers."""
    with suppress(ImportError, ValueError, OSError):  # what the system does not know is left to the parent's watch
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with suppress(AttributeError, OSError):
        os.nice(5)


if __name__ == "__main__":
    main(int(sys.argv[1]))
