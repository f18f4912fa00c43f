"""Whatever the OpenAPI description allows, and much that it does not, is answered, and never with a 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as effort
from starlette.testclient import TestClient

from rag.answer import Answerer
from rag.index import Index
from rag.overlap import OverlapReader
from rag.settings import Settings
from rag.types import Block, Document
from rag.web.portal import create_app
from tests.encoder import HashingEncoder

HOME = "http://127.0.0.1:7860"
TEXT = "The bridge closes at ten."


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder, encoder = tmp_path_factory.mktemp("schema"), HashingEncoder()
    index = Index.open(folder, create=True, encoder=encoder)
    index.put([Document("d/bridge.txt", TEXT, "Bridge", blocks=(Block("paragraph", 0, len(TEXT)),))])
    settings = Settings(index=str(folder), requests_per_minute=0, upload_bytes=1_000, upload_quota=100_000)
    app = create_app(Answerer(index, OverlapReader(encoder), settings), settings)
    with TestClient(app, base_url=HOME, raise_server_exceptions=False, client=("127.0.0.1", 1)) as client:
        yield client
    app.state.uploads.stop()
    index.close()


def _all(client: TestClient, examples: int) -> int:
    """Send so many requests to every operation of the description; how many operations there are."""
    import schemathesis

    described = schemathesis.openapi.from_dict(client.get("/v1/openapi.json").json())
    operations = [result.ok() for result in described.get_all_operations()]
    for operation in operations:

        @effort(
            max_examples=examples, deadline=None, derandomize=True, database=None, phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            asked = case.as_transport_kwargs(base_url=HOME + "/v1")
            known = {key: asked[key] for key in ("method", "url", "params", "json", "data", "headers") if key in asked}
            if isinstance(known.get("data"), bytes | str):
                known["content"] = known.pop("data")
            found = client.request(**known)
            assert found.status_code < 500, (asked["method"], asked["url"], found.text)
            if found.status_code >= 400 and "%0A" not in asked["url"]:  # no route has a line end: it is not under /v1
                assert found.json()["code"], found.text

        send()
    return len(operations)


def test_a_few_requests_to_every_operation_are_no_failure(client: TestClient) -> None:
    assert _all(client, 3) >= 20


@pytest.mark.slow
def test_many_requests_to_every_operation_are_no_failure(client: TestClient) -> None:
    assert _all(client, 25) >= 20
