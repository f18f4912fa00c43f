"""How good the answers are: `run` asks a file of questions, `compare` sets two runs side by side, `gate` stops a fall.

Every metric is a plain function in `rag.evaluate.metrics`.
"""

from rag.evaluate.comparison import compare, gate, write_baseline
from rag.evaluate.runner import run

__all__ = ["compare", "gate", "run", "write_baseline"]
