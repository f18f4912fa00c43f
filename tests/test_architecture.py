"""Who may import whom, and which room is the door of which library. A new room is entered here on purpose."""

import ast
from pathlib import Path

RAG = Path(__file__).parent.parent / "rag"

# Every room imports only from rooms of a lower level, or of its own package.
LEVELS = [
    {"types", "errors"},
    {"settings"},
    {
        "keys",
        "language",
        "state",
        "load",
        "chunk",
        "quote",
        "spell",
        "terms",
        "export",
        "runtime",
        "rows",
        "vectors",
        "hub",
        "batch",
        "calibrate",
    },
    {"embed", "ledger", "pages", "originals", "lists", "acronyms", "fluent", "facts"},
    {"sqlite", "postgres"},
    {"fulltext"},
    {"store"},
    {"sync", "archive", "inspect"},
    {"index"},
    {"retrieve", "readable"},
    {"spans"},
    {"overlap", "neural", "hub_reader", "converse", "narrow", "verify", "claim"},
    {"read", "decide"},
    {"cite"},
    {"answer"},
    {"evaluate", "web", "mcp"},
    {"train"},
    {"commands"},
    {"__main__"},
]
DOORS = {
    "onnxruntime": {"runtime", "export", "train"},  # the last two quantise
    "tokenizers": {"runtime", "train"},
    "sentence_transformers": {"embed"},
    "sqlite3": {"sqlite", "keys", "state"},  # who may call and what people leave behind are no part of the index
    "jwt": {"web"},
    "authlib": {"web"},
    "prometheus_client": {"web"},
    "mcp": {"mcp"},
    "psycopg": {"postgres", "state"},
    "faiss": {"vectors"},
    "torch": {"export", "hub_reader", "train"},
    "transformers": {"export", "hub_reader", "train"},
    "gradio": {"web"},
    "fastapi": {"web"},
    "uvicorn": {"web"},
    "markdown_it": {"load"},
    "selectolax": {"load"},
    "charset_normalizer": {"load"},
    "yaml": {"load"},
    "docutils": {"load"},
    "pypdfium2": {"load"},
    "openpyxl": {"load"},
    "huggingface_hub": {"hub"},
    "filelock": {"index", "web"},  # web: which process indexes the uploads
    "regex": {"chunk"},
    "py3langid": {"language"},
}
HEAVY = {"torch", "transformers", "sentence_transformers", "gradio", "onnxruntime", "huggingface_hub", "fastapi"}


def room(path):
    part = path.relative_to(RAG).parts[0]
    return part.removesuffix(".py")


def imports(path):
    """(module, at import time) of every import in a file."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "rag" else [node.module]
        else:
            continue
        for name in names:
            yield name, id(node) not in inside


FILES = sorted(RAG.rglob("*.py"))
ROOMS = {room(path) for path in FILES} - {"__init__"}
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}


def test_every_room_has_a_level_and_every_level_its_rooms():
    assert set(LEVEL) == ROOMS


def test_rooms_import_only_lower_rooms():
    for path in FILES:
        own = room(path)
        if own == "__init__":
            continue
        for name, _ in imports(path):
            if name.startswith("rag.") and (other := name.split(".")[1]) in LEVEL and other != own:
                assert LEVEL[other] < LEVEL[own], f"{path.name} imports {other}"


def test_a_library_has_one_door():
    for path in FILES:
        for name, _ in imports(path):
            library = name.split(".")[0]
            if library in DOORS:
                assert room(path) in DOORS[library], f"{path} imports {library}"


def test_nothing_heavy_is_imported_before_it_is_needed():
    for path in FILES:
        if room(path) in ("train", "web"):
            continue
        for name, at_import in imports(path):
            assert not (at_import and name.split(".")[0] in HEAVY), f"{path} imports {name} at its top"


def test_the_types_need_the_standard_library_only():
    import sys

    for name, _ in imports(RAG / "types.py"):
        assert name.split(".")[0] in sys.stdlib_module_names
