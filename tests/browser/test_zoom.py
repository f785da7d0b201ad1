"""Pictures that open as large as the window."""

import pytest

from tests.browser.test_pages import OPEN


@pytest.mark.parametrize("name", ["comparison", "run"])
def test_enter_opens_and_escape_goes_back(visit, name):
    page = visit(name)
    page.evaluate(OPEN)
    pictures = page.locator(".open")
    assert pictures.count() == page.locator("figure img").count() > 2
    for index in (0, pictures.count() - 1):
        picture = pictures.nth(index)
        picture.press("Enter")
        dialog = page.get_by_role("dialog")
        assert dialog.get_attribute("aria-label") == picture.locator("img").get_attribute("alt")
        assert dialog.evaluate("it => it.matches(':modal') && it.contains(document.activeElement)")
        page.keyboard.press("Escape")
        assert dialog.count() == 0
        assert picture.evaluate("it => it === document.activeElement")


@pytest.mark.parametrize("width", [1400, 390])
def test_a_picture_fills_the_window_then_scrolls(visit, width):
    page = visit("comparison", width=width)
    page.locator(".open:has(.picture)").first.click()
    dialog = page.get_by_role("dialog")
    image, view = dialog.locator("img"), dialog.get_by_role("group")
    overflows = "it => [it.scrollWidth > it.clientWidth, it.scrollHeight > it.clientHeight]"
    # The tiny picture is square, 4 pixels wide.
    assert min(image.bounding_box()["width"], image.bounding_box()["height"]) > 350
    assert view.evaluate(overflows) == [False, False]
    assert image.evaluate("it => getComputedStyle(it).imageRendering") == "pixelated"
    dialog.get_by_role("button", name="Larger").click()
    assert view.evaluate(overflows) == [True, True]
    view.press("ArrowDown")
    dialog.get_by_role("button", name="Smaller").click()
    assert view.evaluate(overflows) == [False, False]
    image.click()
    assert view.evaluate(overflows) == [True, True]
    dialog.get_by_role("button", name="Close").click()
    assert dialog.count() == 0
