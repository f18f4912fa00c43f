"""Pullquote: questions answered with verbatim, exactly cited quotes from your own documents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rag.errors import RagError
from rag.types import Answer, Citation, Document, Filters

if TYPE_CHECKING:
    from rag.answer import Answerer

__version__ = "0.1.0"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else onnxruntime makes a device id when it is imported, and reports home
__all__ = ["Answer", "Answerer", "Citation", "Document", "Filters", "RagError"]


def __getattr__(name: str) -> Any:
    """`Answerer` is imported on first use, so that `import rag` stays light."""
    if name == "Answerer":
        from rag.answer import Answerer

        return Answerer
    raise AttributeError(f"module 'rag' has no attribute {name!r}")
