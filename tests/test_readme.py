"""The README keeps its word: its Python runs, its commands and its files exist."""

import re
from pathlib import Path

import pytest

from rag.__main__ import main, parser
from rag.evaluate.command import main as evaluate

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/leave.md").write_text("---\ncollection: people\n---\n# Leave\n\nParental leave lasts 26 weeks.\n")
    assert main(["index", str(tmp_path / "docs"), "--index", str(tmp_path / "index")]) == 0
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[0].startswith("Parental leave lasts 26 weeks. leave.md ")


def test_every_command_in_the_table_exists():
    rows = re.findall(r"^\| (`rag .*?) \|", README, re.MULTILINE)
    named = set(re.findall(r"[a-z]+", " ".join(rows)))
    known = set(next(iter(parser()._subparsers._group_actions)).choices)
    assert known <= named, known - named
    for sub in ("run", "compare", "gate", "calibrate", "draft"):
        assert sub in named
        with pytest.raises(SystemExit) as stopped:
            evaluate([sub, "--help"])
        assert stopped.value.code == 0


def test_every_file_it_links_to_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_two_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
