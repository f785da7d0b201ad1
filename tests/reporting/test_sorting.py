"""What the sorting script finds on a page, and the policy that lets it run."""

import base64
import hashlib
import re

import pytest

from gen_models.records import Anchor
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.tables import measurement_table
from tests.reporting.test_report import Page

# The four rows of `html` that one aspect holds; a and d stand for it in the other.
ROWS = {"a": (3.0, 0.5), "b": (10.0, 0.1), "c": (None, 0.3), "d": (-2.0, None)}


@pytest.fixture
def html(tmp_path, run, record, value):
    """The comparison of two models, with values in two aspects, as HTML."""
    for index, model in enumerate(("vae", "gan")):
        values = [
            value(
                numbers[index],
                f"{name}_{aspect}",
                title=f"{name} {aspect}",
                aspect=aspect,
                error=0.1,
                better="lower",
                floor=Anchor(float(place), "real"),
            )
            for aspect in ("distance", "fidelity")
            for place, (name, numbers) in enumerate(ROWS.items())
            if aspect == "distance" or name in "ad"
        ]
        run(record(model, 0, *values))
    return write_comparison(tmp_path, find_runs(tmp_path)).read_text()


def test_cells_are_sorted_by_their_numbers(record, value, groups):
    ends = [value(x, error=0.1, floor=Anchor(x / 10, "real")) for x in (2.0, 1.0)]
    table = measurement_table(groups(record("vae", 0, ends[0]), record("gan", 0, ends[1])))
    (row,) = table.rows
    assert [cell.key for cell in row.cells] == [2.0, 1.0, row.contest.p, 0.1, 99.0]
    absent = measurement_table(groups(record("vae", 0, value(None, floor=None, ceiling=None))))
    assert [cell.key for cell in absent.rows[0].cells] == [None] * 3


def test_the_keys_and_directions_are_on_the_page(html):
    page = Page(html)
    keys = [cell.get("data-key") for cell in page.all("td")]
    # The four columns of the first aspect: the vae, the gan, then the foot, which is not sorted.
    assert keys[:8] == ["3.0", "10.0", None, "-2.0", "0.5", "0.1", "0.3", None]
    assert set(keys[8:20]) == {None}
    heads = [cell.get("data-better") for cell in page.all("th") if cell["scope"] == "col"]
    assert heads[:6] == [None, *["lower"] * 4, None]


def test_the_policy_allows_the_scripts_of_the_house_alone(html):
    (policy,) = (m["content"] for m in Page(html).all("meta") if "http-equiv" in m)
    scripts = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert len(digests) == 2
    assert policy.endswith("script-src" + "".join(f" 'sha256-{digest}'" for digest in digests))
    assert "unsafe" not in policy.partition("script-src")[2]


def test_without_a_script_nothing_looks_sortable(html):
    page = Page(html)
    assert not page.all("button")
    assert not [attributes for _, attributes in page.elements if "aria-sort" in attributes]
