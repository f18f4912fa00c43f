"""The report in a real browser, without network, with text in it that tries to get out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.evaluate import run
from rag.evaluate.report import render
from tests.evaluate_fake import HOSTILE, QUESTIONS, fake

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
ATTACK = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \u2028 <!--"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    hostile = {"id": ATTACK, "question": ATTACK, "answers": [ATTACK], "tags": [ATTACK],
               "gold": [{"document_id": HOSTILE.id, "quote": "🔥🔥"}]}  # fmt: skip
    path = folder / "questions <b>.jsonl"
    path.write_text("\n".join(map(json.dumps, [*QUESTIONS, hostile, {"id": ATTACK * 2}])), "utf-8")
    run(path, fake(), out=folder)
    return folder / "report.html"


def test_no_text_can_leave_the_data_block(report: Path) -> None:
    page = report.read_text("utf-8")
    before, data, after = re.split(r'<script type="application/json" id="data">|</script>', page, maxsplit=2)
    assert "owned" not in before + after
    assert not set("<>&\u2028\u2029") & set(data)
    assert any(row["question"] == ATTACK for row in json.loads(data)["rows"])
    assert after.count("<script") == 1
    assert len(re.findall(r"<!--", page)) == 0


def test_lone_surrogates_and_template_marks_survive() -> None:
    text = render({"rows": ["\ud800", "{{data}} {{policy}}"]})
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert data
    assert json.loads(data[1]) == {"rows": ["\ud800", "{{data}} {{policy}}"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        if "browser" in os.environ.get("REQUIRE", "").split(","):
            pytest.fail(f"{CHROMIUM} is missing, and REQUIRE asks for the browser tests")
        pytest.skip(f"{CHROMIUM} is missing (Debian package chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_works_offline_and_its_text_is_inert(report: Path, browser: Any, scheme: str) -> None:
    context = browser.new_context(offline=True, color_scheme=scheme)
    page = context.new_page()
    requests: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto(report.as_uri())
    assert page.title() == "Evaluation: questions <b>.jsonl"
    assert requests == [report.as_uri()]
    items = page.locator(".item")
    assert items.count() == 7
    assert page.locator(".plot svg").count() == 4
    for i in range(7):
        items.nth(i).locator("summary").click()
    assert page.locator("img").count() == 0
    assert page.locator("main script").count() == 0
    assert ATTACK in page.locator("#list").text_content()

    bicycle = items.filter(has=page.locator("summary", has_text="bicycle"))
    assert bicycle.locator(".gold").all_text_contents() == ["A bicycle costs ", "3 crowns", "."]
    assert bicycle.locator(".span").text_content() == "3 crowns"
    fire = page.locator(".item .gold", has_text="🔥").first
    assert fire.text_content() == "🔥🔥"  # offsets are code points, not UTF-16 units

    page.get_by_role("button", name="wrong span").click()
    assert items.locator("summary > span:first-child").all_text_contents() == [QUESTIONS[0]["question"]]
    page.get_by_role("button", name=re.compile("^all")).click()
    page.get_by_label("tag", exact=True).select_option("<b>hostile</b>")
    assert items.count() == 1
    page.get_by_label("tag", exact=True).select_option("")
    page.get_by_label("find", exact=True).fill("3 CROWNS")
    assert items.count() == 1
    page.get_by_label("find", exact=True).fill("no such words anywhere")
    assert page.get_by_text("No question here fits.").count() == 1
    page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert page.evaluate("window.ran") is None  # the policy lets no other script run
    assert page.title() == "Evaluation: questions <b>.jsonl"
    assert [text for text in wrong if "Content Security Policy" not in text] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


@pytest.mark.browser
def test_a_long_list_has_pages_and_fits_a_phone(tmp_path: Path, browser: Any) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(json.dumps({**QUESTIONS[n % 6], "id": str(n)}) for n in range(130)), "utf-8")
    run(path, fake(), out=tmp_path)
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator(".item").count() == 50
    page.get_by_role("button", name="next").click()
    page.get_by_role("button", name="next").click()
    assert page.locator(".item").count() == 30
    assert page.get_by_text("101 to 130 of 130").count() == 1
    assert page.get_by_role("button", name="next").is_disabled()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


@pytest.mark.browser
@pytest.mark.usefixtures("browser")
def test_a_picture_of_the_report_is_taken(report: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[1]
    command = [sys.executable, "-m", "tests.picture", str(report), str(tmp_path / "report.png"), "640", "400"]
    subprocess.run(command, cwd=script, check=True)
    picture = (tmp_path / "report.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(picture[at : at + 4]) for at in (16, 20)] == [640, 400]
