"""Sorting the table of measurements: its keys, the page's policy, and clicks in a browser."""

import base64
import hashlib
import re
import shutil
import subprocess

import pytest

from gen_models.records import Anchor
from gen_models.reporting.report import find_runs, write_comparison
from gen_models.reporting.tables import measurement_table
from tests.reporting.test_report import Page

CHROMIUM = shutil.which("chromium")
in_a_browser = pytest.mark.skipif(not CHROMIUM, reason="needs chromium on the PATH")
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


@pytest.fixture
def clicked(html, tmp_path):
    """Click on heads of the first table: its rows by aspect, and its heads' aria-sort."""

    def click(*columns):
        # The page's own policy would refuse the clicks that the test puts in.
        open_page = re.sub(r"<meta http-equiv[^>]*>", "", html)
        clicks = "".join(
            f"document.querySelectorAll('thead button')[{c}].click();" for c in columns
        )
        dom = browse(tmp_path, open_page.replace("</body>", f"<script>{clicks}</script></body>"))
        table = dom.partition("<table")[2].partition("</table>")[0]
        bodies = [re.findall(r'<th scope="row">(\w)', body) for body in table.split("<tbody>")[1:]]
        heads = re.findall(r'<th scope="col"(?: aria-sort="(\w+)")?>', table)
        return ["".join(body) for body in bodies], heads

    return click


def browse(folder, html):
    """What a browser makes of a page."""
    page = folder / "page.html"
    page.write_text(html, encoding="utf-8")
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom")
    done = subprocess.run(
        [CHROMIUM, *options, f"--user-data-dir={folder / 'profile'}", page.as_uri()],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    return done.stdout


def test_cells_are_sorted_by_their_numbers(record, value, groups):
    ends = [value(x, error=0.1, floor=Anchor(x / 10, "real")) for x in (2.0, 1.0)]
    table = measurement_table(groups(record("vae", 0, ends[0]), record("gan", 0, ends[1])))
    (row,) = table.rows
    assert [cell.key for cell in row.cells] == [2.0, 1.0, row.contest.p, 0.1, 99.0]
    absent = measurement_table(groups(record("vae", 0, value(None, floor=None, ceiling=None))))
    assert [cell.key for cell in absent.rows[0].cells] == [None] * 3


def test_the_keys_are_on_the_page(html):
    keys = [cell.get("data-key") for cell in Page(html).all("td")]
    assert keys[:2] == ["3.0", "0.5"]
    assert keys[3:5] == ["0.0", "99.0"]
    assert [keys[i] for i in (10, 16)] == [None, None]


def test_the_policy_allows_the_sorting_script_alone(html):
    (policy,) = (m["content"] for m in Page(html).all("meta") if "http-equiv" in m)
    script = html.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert "unsafe" not in policy.partition("script-src")[2]


def test_without_a_script_nothing_looks_sortable(html):
    page = Page(html)
    assert not page.all("button")
    assert not [attributes for _, attributes in page.elements if "aria-sort" in attributes]


@in_a_browser
def test_the_script_runs_under_the_pages_own_policy(html, tmp_path):
    """And turns the heads of the measurements, and of no other table, into buttons."""
    first_head = html.partition("<table")[2].partition("</thead>")[0]
    buttons = Page(browse(tmp_path, html)).all("button")
    assert buttons == [{"type": "button"}] * first_head.count('scope="col"')
    evil = html.replace("</body>", "<script>document.body.textContent = ''</script></body>")
    assert Page(browse(tmp_path, evil)).all("button")


@in_a_browser
@pytest.mark.parametrize(
    ("columns", "order", "way"),
    [
        ((), ["abcd", "ad"], {}),
        ((1,), ["dabc", "da"], {1: "ascending"}),
        # What has no number stays last, and each aspect keeps its rows.
        ((1, 1), ["badc", "ad"], {1: "descending"}),
        ((1, 1, 1), ["abcd", "ad"], {}),
        ((1, 2), ["bcad", "ad"], {2: "ascending"}),
        ((0, 0), ["dcba", "da"], {0: "descending"}),
        ((4, 4), ["dcba", "da"], {4: "descending"}),
    ],
)
def test_clicks_sort_within_each_aspect(clicked, columns, order, way):
    found, heads = clicked(*columns)
    assert found == order
    assert {column: word for column, word in enumerate(heads) if word} == way
