"""Pages as people meet them: silent, readable on a phone and on paper, by eye and by ear."""

import pytest

from tests.browser.conftest import EVIL

OPEN = "document.querySelectorAll('details').forEach(details => details.open = true)"
both_pages = pytest.mark.parametrize("name", ["comparison", "run"])


@both_pages
def test_a_page_opens_in_silence(visit, name):
    page = visit(name)
    assert page.title() != "harm"
    assert page.locator("button").count() > 0
    assert EVIL in page.locator("main").inner_text()
    width = page.evaluate("Math.min(...[...document.images].map(image => image.naturalWidth))")
    assert width > 0, "a picture does not show"


@both_pages
def test_no_script_of_others_runs(chromium, pages, name):
    page = chromium.new_page()
    page.goto(pages[name])
    before = page.title()
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {text: 'document.title = 1'}))"
    )
    page.evaluate("document.body.setAttribute('onclick', 'document.title = 2')")
    page.locator("h1").click()
    assert page.title() == before
    page.close()


@both_pages
def test_without_a_script_everything_is_there_and_nothing_looks_like_a_button(visit, name):
    bare, full = visit(name, java_script_enabled=False), visit(name)
    assert bare.locator("button").count() == 0
    assert bare.locator("[aria-sort]").count() == 0
    assert bare.locator("main").inner_text() == full.locator("main").inner_text()
    assert bare.locator("img").count() == full.locator("img").count() > 0


@both_pages
def test_a_phone_scrolls_tables_and_never_the_page(visit, name):
    page = visit(name, width=390)
    page.evaluate(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    region = page.locator(".scroll").first
    assert region.evaluate("it => it.scrollWidth > it.clientWidth")


def test_the_models_stay_in_sight_when_a_table_is_scrolled(visit):
    page = visit("comparison", width=390)
    region = page.locator(".scroll").first
    label = region.locator("tbody th").first
    before = label.bounding_box()["x"]
    region.evaluate("it => it.scrollLeft = 150")
    assert region.locator("td").first.bounding_box()["x"] < before
    # The frame of the region is a pixel wide.
    assert abs(label.bounding_box()["x"] - before) <= 1


@both_pages
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_read_it(visit, name, scheme):
    """By axe-core: contrast, names, roles, order of headings, and 90 rules more."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs pip install axe-playwright-python"
    ).Axe()
    page = visit(name, scheme=scheme)
    page.evaluate(OPEN)
    assert told(axe.run(page)) == []
    page.locator(".open").first.click()
    assert told(axe.run(page)) == []


def told(results) -> list[str]:
    return [
        f"{found['id']}: {found['help']}: {node['html'][:200]}"
        for found in results.response["violations"]
        for node in found["nodes"]
    ]


@both_pages
def test_paper_cuts_nothing_off(visit, name):
    # What 190 mm of A4 are at 96 pixels an inch.
    page = visit(name, width=718)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    right = "Math.max(...[...document.querySelectorAll('th, td, img')].map(RIGHT))"
    assert page.evaluate(right.replace("RIGHT", "it => it.getBoundingClientRect().right")) <= 718
    arrows = "[...document.querySelectorAll('thead button')].map(ARROW)"
    signs = page.evaluate(arrows.replace("ARROW", "it => getComputedStyle(it, '::after').content"))
    assert set(signs) <= {"none"}
