"""An MCP server on standard input and output: ask, search and verify, for programs that speak that protocol. Door: mcp.

It runs as whoever starts it and reads what `rag ask` reads: access rules are for the web app.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from rag import __version__
from rag import verify as proofs
from rag.errors import BadInput, RagError

if TYPE_CHECKING:
    from rag.answer import Answerer

INSTRUCTIONS = (
    "Answers are verbatim quotes from the user's own documents, each with its exact place; silence has a reason. "
    "Repeat quotes as they are, with their source, and do not add to them."
)


def server(answerer: Answerer) -> Any:
    """The server over one engine. Raises BadInput when the SDK is not installed."""
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError:
        raise BadInput("the MCP server needs the mcp package; run `pip install 'pullquote[mcp]'`") from None

    made = MCPServer("pullquote", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")

    @made.tool()
    def ask(question: str, history: list[str] | None = None) -> dict[str, Any]:
        """Answer a question with verbatim quotes and their places; `history` holds earlier questions, oldest first."""
        try:
            return answerer.ask(question, history or ()).to_dict()
        except RagError as error:
            raise ToolError(str(error)) from None

    @made.tool()
    def search(
        question: str, mode: Literal["dense", "lexical", "fused", "reranked"] = "reranked", top: int = 10
    ) -> dict[str, Any]:
        """The passages nearest to a question, best first."""
        try:
            hits = answerer.search(question, mode=mode, top=min(max(top, 1), 100))
        except RagError as error:
            raise ToolError(str(error)) from None
        names = ("document_id", "start", "end", "text", "score")
        return {"hits": [{name: getattr(hit, name) for name in names} for hit in hits]}

    @made.tool()
    def verify(answer: dict[str, Any]) -> dict[str, Any]:
        """Prove the citations of an answer of `ask` again: each is exact, moved, changed or gone."""
        try:
            return {"proofs": [dataclasses.asdict(proof) for proof in proofs.verify(answer, answerer.index)]}
        except (RagError, ValueError) as error:
            raise ToolError(str(error)) from None

    return made
