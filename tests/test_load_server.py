"""The short form of `make load`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_many_users_get_their_own_answers_and_too_many_are_turned_away(tmp_path: Path) -> None:
    command = f"--small --users 8 --seconds 8 --soak 4 --passages 300 --out {tmp_path}/load.json".split()
    done = subprocess.run([sys.executable, "-m", "tests.load", *command], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["8 users"]["found"]["right"] > 20
    assert json.loads((tmp_path / "load.json").read_text()) == found
    assert "Wrong: nothing." in (tmp_path / "load.md").read_text()
