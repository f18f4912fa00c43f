"""Access: against a brute-force rule, nothing of a hidden document leaves any endpoint, in any field."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rag.answer import Answerer
from rag.index import Index
from rag.keys import Keys
from rag.overlap import OverlapReader
from rag.settings import Settings
from rag.types import Block, Document
from rag.web.chat import _examples
from rag.web.portal import create_app
from tests.encoder import HashingEncoder

HOME = "http://127.0.0.1:7860"
GROUPS = ("red", "blue", "green")
USERS: dict[str, tuple[str, ...] | None] = {
    "nobody": (), "red": ("red",), "blue": ("blue",), "both": ("red", "blue"), "other": ("violet",), "all": None,
}  # fmt: skip
ALLOWED = ((), ("red",), ("blue",), ("green",), ("red", "blue"), ("red", "green"))
ROOMS = ("anchor", "beacon", "cellar", "derrick", "engine", "ferry")


def _documents() -> tuple[Document, ...]:
    """Thirty-six documents. Each has a word of its own in id, title and text, by which a leak of it is known."""
    made = []
    for n in range(36):
        mark, room = f"zq{n:02}x{n * 7919 % 9973}", ROOMS[n % len(ROOMS)]
        text = (
            f"The {room} room {mark}\n\nThe {room} key {mark} hangs on hook {n}. The {room} room opens at {n} o'clock."
        )
        head = text.index("\n")
        blocks = (Block("heading", 0, head), Block("paragraph", head + 2, len(text)))
        made.append(
            Document(f"d/{mark}.txt", text, f"Title {mark}", f"/s/{mark}", "c", blocks=blocks, groups=ALLOWED[n // 6])
        )
    return tuple(made)


DOCUMENTS = _documents()


def mark(document: Document) -> str:
    return document.title.split()[1]


def may(user: str, document: Document) -> bool:
    """The rule, by brute force."""
    groups = USERS[user]
    return groups is None or document.groups == () or any(g == own for g in document.groups for own in groups)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answerer, TestClient, dict[str, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("access")
    encoder = HashingEncoder()
    index = Index.open(folder / "index", create=True, encoder=encoder)
    index.put(DOCUMENTS)
    settings = Settings(index=str(folder / "index"), login=("keys",), requests_per_minute=0, threshold=0.0)
    answerer = Answerer(index, OverlapReader(encoder), settings)
    keys = Keys(folder / "index" / "keys.sqlite")
    headers = {
        user: {"authorization": f"Bearer {keys.add(user, ('ask',), groups)[1]}"} for user, groups in USERS.items()
    }
    return answerer, TestClient(create_app(answerer, settings), base_url=HOME), headers


@pytest.fixture(scope="module")
def client(held: Any) -> Iterator[TestClient]:
    with held[1] as client:
        yield client


def leaked(user: str, said: str) -> list[str]:
    return [mark(d) for d in DOCUMENTS if not may(user, d) and mark(d) in said]


def _triples(client: TestClient, headers: dict[str, dict[str, str]], count: int) -> None:
    chosen = random.Random(8)
    answered: dict[tuple[str, str], str] = {}
    seen = 0
    for _ in range(count):
        user, document = chosen.choice(list(USERS)), chosen.choice(DOCUMENTS)
        room = ROOMS[DOCUMENTS.index(document) % len(ROOMS)]
        question = chosen.choice(
            (f"Where is the {room} key?", f"When does the {room} room open?", f"What is in {room}?")
        )
        own = headers[user]
        if (user, question) not in answered:
            body = {"question": question}
            asked = client.post("/v1/ask", json=body, headers=own)
            found = client.post(
                "/v1/search",
                json={**body, "top": 100, "mode": chosen.choice(["dense", "lexical", "reranked"])},
                headers=own,
            )
            assert (asked.status_code, found.status_code) == (200, 200)
            answered[user, question] = asked.text + found.text
        assert leaked(user, answered[user, question]) == []
        seen += mark(document) in answered[user, question]
        allowed = may(user, document)
        limited = {"question": question, "filters": {"documents": [document.id]}}
        only = client.post("/v1/ask", json=limited, headers=own).json()
        if allowed:
            assert only["reason"] not in ("filtered", "empty_index")
        else:
            assert (only["citations"], only["nearest"], only["confidence"]) == ([], [], 0.0)
            assert only["reason"] in ("filtered", "empty_index")
    assert seen > count // 20  # the allowed ones are found: silence alone would pass everything else


def test_two_thousand_triples_leak_nothing(held: Any, client: TestClient) -> None:
    _triples(client, held[2], 2_000)


@pytest.mark.slow
def test_ten_thousand_triples_leak_nothing(held: Any, client: TestClient) -> None:
    _triples(client, held[2], 10_000)


@pytest.mark.parametrize("user", USERS)
def test_what_one_may_not_read_is_as_if_it_did_not_exist(held: Any, client: TestClient, user: str) -> None:
    answerer, _, headers = held
    own = headers[user]
    listed, after = [], ""
    while after is not None:
        page = client.get("/v1/documents", params={"limit": 5, "after": after}, headers=own).json()
        listed += [one["id"] for one in page["documents"]]
        after = page["next"]
    assert listed == sorted(d.id for d in DOCUMENTS if may(user, d))
    for document in DOCUMENTS:
        for path, asked in (("/v1/sources", {}), ("/source", {"start": 0, "end": 3})):
            found = client.get(path, params={**asked, "document": document.id}, headers=own)
            none = client.get(path, params={**asked, "document": "d/none.txt"}, headers=own)
            if may(user, document):
                assert found.json()["title"] == document.title
            else:
                assert (found.status_code, found.text) == (404, none.text.replace("d/none.txt", document.id))
        for path, asked in (("/page", {"number": 1}), ("/page/marks", {"number": 1, "start": 0, "end": 3})):
            found = client.get(path, params={**asked, "document": document.id}, headers=own)
            none = client.get(path, params={**asked, "document": "d/none.txt"}, headers=own)
            if may(user, document):
                assert (found.status_code, "it is no PDF" in found.text) == (400, True)
            else:
                assert (found.status_code, found.text) == (404, none.text.replace("d/none.txt", document.id))
        citation = {"n": 1, "document_id": document.id, "start": 0, "end": 3, "quote": document.text[:3]}
        proof = client.post("/v1/verify", json={"citations": [citation]}, headers=own).json()["proofs"][0]
        gone = client.post(
            "/v1/verify", json={"citations": [{**citation, "document_id": "d/none.txt"}]}, headers=own
        ).json()["proofs"][0]
        if may(user, document):
            assert proof["state"] == "exact"
        else:
            assert proof == {**gone, "document_id": document.id}
    assert leaked(user, json.dumps(_examples(answerer, USERS[user]))) == []
    figures = client.get("/metrics", headers=own)
    assert figures.status_code == 403


def test_a_changed_index_is_seen_without_a_restart(held: Any, client: TestClient) -> None:
    answerer, _, headers = held
    new = Document("new/zebra.txt", "The zebra sleeps in stall nine.", "Zebra", blocks=(Block("paragraph", 0, 31),))
    version = answerer.index.version
    sought = {"question": "Where does the zebra sleep?", "mode": "fused", "top": 1}
    other = Index.open(answerer.index.folder, encoder=HashingEncoder())  # as another process does
    other.put([new])
    try:
        hits = client.post("/v1/search", json=sought, headers=headers["red"]).json()["hits"]
        assert [hit["document_id"] for hit in hits] == [new.id]
        assert answerer.index.version != version
    finally:
        other.remove([new.id])
        other.close()


def test_the_keys_lie_beside_the_index(held: Any) -> None:
    assert (Path(held[0].settings.index) / "keys.sqlite").is_file()
