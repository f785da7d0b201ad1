"""Clicks on the heads of a table of models."""

import pytest

from tests.browser.conftest import EVIL

# The rows of `MODELS` by their first letter; the model that means harm begins with a bracket.
LETTERS = {"vae": "v", "gan": "g", EVIL: "<"}


@pytest.fixture
def table(visit):
    """A table of the page by its aspect, and what it shows after clicks."""
    page = visit("comparison")

    class Clicked:
        def __init__(self, aspect: str) -> None:
            self.table = page.locator(f"table.sheet:has(caption span:text-is('{aspect}'))").first
            self.heads = self.table.locator("thead th")

        def click(self, *columns: int) -> None:
            for column in columns:
                self.heads.nth(column).get_by_role("button").click()

        @property
        def order(self) -> str:
            labels = self.table.locator("tbody th > span, tbody th button").all_inner_texts()
            return "".join(LETTERS[label] for label in labels)

        @property
        def ways(self) -> dict[int, str]:
            found = [head.get_attribute("aria-sort") for head in self.heads.all()]
            return {column: way for column, way in enumerate(found) if way}

    return Clicked


@pytest.mark.parametrize(
    ("aspect", "columns", "order", "ways"),
    [
        ("Distance", (), "vg<", {}),
        # As numbers, not as text; where lower is better, the lowest comes first.
        ("Distance", (1,), "<vg", {1: "ascending"}),
        ("Distance", (1, 1), "gv<", {1: "descending"}),
        ("Distance", (1, 1, 1), "vg<", {}),
        ("Distance", (1, 2), "<vg", {2: "ascending"}),
        ("Distance", (0,), "<gv", {0: "ascending"}),
        ("Distance", (0, 0), "vg<", {0: "descending"}),
        ("Fidelity", (1,), "g<v", {1: "descending"}),
        ("Fidelity", (1, 1), "v<g", {1: "ascending"}),
        # The gan has no number, and is last both ways.
        ("Likelihood", (1,), "<vg", {1: "descending"}),
        ("Likelihood", (1, 1), "v<g", {1: "ascending"}),
    ],
)
def test_a_click_puts_the_better_end_first(table, aspect, columns, order, ways):
    sorted_table = table(aspect)
    foot = sorted_table.table.locator("tfoot").inner_text()
    sorted_table.click(*columns)
    assert sorted_table.order == order
    assert sorted_table.ways == ways
    assert sorted_table.table.locator("tfoot").inner_text() == foot


def test_the_keyboard_sorts_too(table):
    distance = table("Distance")
    distance.heads.nth(1).get_by_role("button").press("Enter")
    assert distance.order == "<vg"
    distance.heads.nth(1).get_by_role("button").press("Space")
    assert distance.order == "gv<"


def test_tables_are_sorted_apart(table):
    table("Distance").click(1)
    assert table("Fidelity").order == "vg<"


def test_a_long_reason_waits_behind_its_beginning(table):
    cell = table("Likelihood").table.locator("td.missing").first
    assert "no bound can be had of it" not in cell.inner_text()
    cell.locator("summary").click()
    assert "no bound can be had of it" in cell.inner_text()
