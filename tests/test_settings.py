import pytest

from rag.errors import BadInput
from rag.settings import Settings


def test_a_flag_beats_the_environment_beats_the_file(tmp_path):
    file = tmp_path / "pullquote.toml"
    file.write_text('port = 1\nhost = "file"\ntitle = "Ours"\nexamples = ["a, b", "c"]\n')
    found = Settings.load({"port": 3, "index": None}, {"RAG_PORT": "2", "RAG_HOST": "env", "HOME": "/x"}, file)
    assert (found.port, found.host, found.title, found.examples) == (3, "env", "Ours", ("a, b", "c"))
    assert found.index == "index"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RAG_PROT": "1"}, "unknown setting 'prot'"),
        ({"RAG_PORT": "x"}, "port = 'x' is not int"),
        ({"RAG_THRESHOLD": "x"}, "threshold"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, environment, said):
    with pytest.raises(BadInput, match=said):
        Settings.load({}, environment, tmp_path / "none.toml")


def test_a_file_that_is_not_toml(tmp_path):
    (tmp_path / "pullquote.toml").write_text("port = ")
    with pytest.raises(BadInput, match=r"pullquote\.toml"):
        Settings.load({}, {}, tmp_path / "pullquote.toml")


def test_lists_and_numbers_from_the_environment():
    found = Settings.load({}, {"RAG_ALLOWED_HOSTS": "a, b,", "RAG_THRESHOLD": "0.25", "RAG_CACHE": "/c"})
    assert (found.allowed_hosts, found.threshold, str(found.models)) == (("a", "b"), 0.25, "/c/models")
    assert Settings.load({}, {"RAG_THREADS": "1"}).cores == 1
