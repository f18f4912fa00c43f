"""What axe-core finds on a page."""

from __future__ import annotations

from typing import Any


def serious(page: Any) -> list[tuple[str, str]]:
    """The serious and critical violations: (rule, beginning of the element's HTML)."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    bad = [one for one in found if one["impact"] in ("serious", "critical")]
    return [(one["id"], node["html"][:200]) for one in bad for node in one["nodes"]]
