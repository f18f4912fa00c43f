"""The MCP server, spoken to by the SDK's own client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from rag.mcp import server
from tests.fakes import SCRIPT, FakeAnswerer

LEAVE = "How long is parental leave?"


def call(*calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """The results of tool calls, one after another."""
    from mcp import Client

    async def run() -> list[Any]:
        async with Client(server(FakeAnswerer())) as client:  # type: ignore[arg-type]
            assert {tool.name for tool in (await client.list_tools()).tools} == {"ask", "search", "verify"}
            return [await client.call_tool(name, given) for name, given in calls]

    return asyncio.run(run())


def test_an_answer_is_the_engine_s_and_its_citations_can_be_proved() -> None:
    (found,) = call(("ask", {"question": LEAVE}))
    answer = json.loads(found.content[0].text)
    assert answer == json.loads(FakeAnswerer().ask(LEAVE).to_json())
    assert answer["citations"][0]["quote"] == SCRIPT[LEAVE][0][0][1]
    proved, hits = call(("verify", {"answer": answer}), ("search", {"question": "paid parental leave", "top": 2}))
    assert [proof["state"] for proof in json.loads(proved.content[0].text)["proofs"]] == ["exact", "exact"]
    assert len(json.loads(hits.content[0].text)["hits"]) == 2


def test_what_cannot_be_done_is_one_line() -> None:
    empty, odd = call(("ask", {"question": "  "}), ("verify", {"answer": {"citations": 7}}))
    assert empty.is_error
    assert "a question has 1 to 2,000 characters" in empty.content[0].text
    assert odd.is_error
    assert "not an Answer" in odd.content[0].text
