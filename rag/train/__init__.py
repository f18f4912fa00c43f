"""The recipe of the reader that ships: `python -m rag.train --data DIR`. Imports torch; only `__main__` imports it."""

import os

# Two threads that wait for each other by spinning lose half their time on a machine that others use too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
