"""The page beside a quote: its picture and the marks on it, for readers of the document only, and never a wrong one."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag.load import load
from rag.rows import FileState
from rag.settings import Settings
from rag.types import Document
from rag.web.portal import create_app
from tests.fakes import MEMO, FakeAnswerer, FakeIndex
from tests.papers import pdf, zipped
from tests.test_load_formats import paged

QUOTE = "It must be booked with the harbour office, which confirms it"


@dataclass
class KeptFiles:
    """The part of a store that knows where documents came from."""

    root: str = ""
    states: dict[str, FileState] = field(default_factory=dict)

    def root_of(self, document_id: str) -> tuple[str, str] | None:
        path = document_id.partition("!/")[0]
        return (self.root, path) if path in self.states else None

    def files(self, root: str) -> dict[str, FileState]:
        return self.states if root == self.root else {}


@dataclass
class IndexOfFiles(FakeIndex):
    """Documents in memory that came from files of a folder."""

    store: KeptFiles = field(default_factory=KeptFiles)


def answerer_over(folder: Path, *names: str) -> FakeAnswerer:
    """An answerer over files of a folder, as an index of the folder would know them."""
    made = [document for name in names for document in load((folder / name).read_bytes(), name).documents]
    answerer = FakeAnswerer(documents=(*made, MEMO))
    states = {name: FileState(0, 0, hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in names}
    answerer.index = IndexOfFiles({d.id: d for d in answerer.documents}, store=KeptFiles(str(folder), states))
    return answerer


@pytest.fixture
def answerer(tmp_path: Path) -> FakeAnswerer:
    (tmp_path / "quay.pdf").write_bytes(pdf(paged(3)))
    (tmp_path / "packed.zip").write_bytes(zipped({"quay.pdf": pdf(paged(3))}))
    return answerer_over(tmp_path, "quay.pdf", "packed.zip")


@pytest.fixture
def client(answerer: FakeAnswerer) -> TestClient:
    return TestClient(create_app(answerer, Settings()), base_url="http://127.0.0.1")  # type: ignore[arg-type]


def place(document: Document) -> dict[str, int | str]:
    start = document.text.index(QUOTE)
    return {"document": document.id, "number": 1, "start": start, "end": start + len(QUOTE)}


def test_the_page_and_its_marks(client: TestClient, answerer: FakeAnswerer) -> None:
    asked = place(answerer.documents[0])
    picture = client.get("/page", params={"document": "quay.pdf", "number": 1})
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert (picture.headers["cache-control"], picture.content[:4]) == ("no-store", b"\x89PNG")
    found = client.get("/page/marks", params=asked).json()
    assert (found["width"], found["height"], len(found["boxes"])) == (595, 842, 2)
    for box in found["boxes"]:  # as shares of the page
        assert 0 < box["left"] < box["left"] + box["width"] < 1
        assert 0 < box["top"] < box["top"] + box["height"] < 0.3
    assert client.get("/page/marks", params={**asked, "number": 2}).json()["boxes"] == []


def test_only_a_pdf_says_that_it_has_pages_to_show(client: TestClient) -> None:
    for name, paper in (("quay.pdf", True), (MEMO.id, False)):
        assert client.get("/source", params={"document": name, "start": 0, "end": 5}).json()["paper"] is paper


def test_a_file_that_changed_or_went_is_never_shown(client: TestClient, answerer: FakeAnswerer, tmp_path: Path) -> None:
    asked = place(answerer.documents[0])

    def told() -> tuple[int, str]:
        answers = [client.get(path, params=asked) for path in ("/page", "/page/marks")]
        (one, other) = [(answer.status_code, answer.json()["error"]["message"]) for answer in answers]
        assert one == other
        return one

    (tmp_path / "quay.pdf").write_bytes(pdf(paged(4)))
    assert told() == (400, "quay.pdf: the file has changed since it was indexed; only its text is shown")
    (tmp_path / "quay.pdf").unlink()
    assert told() == (400, "quay.pdf: the file is no longer where it was indexed; only its text is shown")
    answerer.index.store.states.clear()  # type: ignore[attr-defined]
    assert told() == (400, "quay.pdf: the file that it came from is not kept; only its text is shown")


def test_what_cannot_be_shown_is_said(client: TestClient, answerer: FakeAnswerer) -> None:
    inside = next(d for d in answerer.documents if "!/" in d.id)
    for name, number, status, message in (
        (inside.id, 1, 400, "packed inside another file"),
        (MEMO.id, 1, 400, "it is no PDF"),
        ("quay.pdf", 9, 404, "page 9 cannot be opened; it has 3"),
        ("none.pdf", 1, 404, "is not in the index"),
    ):
        answer = client.get("/page", params={"document": name, "number": number})
        assert answer.status_code == status
        assert message in answer.json()["error"]["message"]
    assert client.get("/page", params={"document": "quay.pdf", "number": 0}).status_code == 422


def test_a_text_that_an_earlier_version_read_gets_no_marks(client: TestClient, answerer: FakeAnswerer) -> None:
    document = answerer.documents[0]
    answerer.index.held["quay.pdf"] = dataclasses.replace(document, text=f"{document.text}.", revision="")
    answer = client.get("/page/marks", params=place(document))
    assert answer.status_code == 404
    assert "an earlier version read its text; index it again" in answer.json()["error"]["message"]
