"""The web app's entry: settings → answerer → web.portal → uvicorn. Run `python app.py`, or `rag serve`."""

import sys

from rag.answer import Answerer
from rag.errors import RagError
from rag.settings import Settings
from rag.web.portal import serve


def main() -> int:
    """Serve the chat on the configured address; 1 with one line when that cannot be done."""
    try:
        settings = Settings.load()
        serve(Answerer.open(settings.index, settings), settings, network="--network" in sys.argv[1:])
    except RagError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
