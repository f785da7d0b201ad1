"""Pages: self-contained, escaped, complete, and whole where a run is not."""

import base64
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from gen_models.errors import UsageError
from gen_models.records import Curve, Picture
from gen_models.reporting.estimates import number
from gen_models.reporting.pages import SCRIPTS
from gen_models.reporting.report import find_runs, write_comparison, write_report

VOID = {"meta", "img", "source", "wbr"}
EVIL = "<script>alert(1)</script>\"'|"


class Page(HTMLParser):
    """What a browser would make of the page: elements, their attributes, and their nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def comparison(tmp_path) -> tuple[Page, str]:
    folder = tmp_path / "sweep"
    html = write_comparison(folder, find_runs(folder))
    return Page(html.read_text()), (folder / "report.md").read_text()


def test_a_run_page_holds_what_the_record_holds(run, record, value):
    made = record(
        "vae", 0, value(1.23456), value(None, "kl_nats", title="Rate", reason="no encoder")
    )
    folder = run(made)
    page = Page(write_report(folder).read_text())
    markdown = (folder / "report.md").read_text()
    for text in (page.text, markdown):
        assert "vae on digits, seed 0" in text
        assert "1.235" in text
        assert "[1.135, 1.335]" in text
        assert "n/a: no encoder" in text
        for word in ("200,000", "40.10 seconds", "squared feature units", "abc123", "2.15.0"):
            assert word in text
    assert "latent_dim: 8" in page.text
    assert "Features of digits64" in page.text
    assert "![Samples of vae, seed 0: 64 draws](pictures/samples.png)" in markdown


def test_the_title_can_be_given(run, record):
    assert "<h1>My run</h1>" in write_report(run(record()), "My run").read_text()


def test_a_page_needs_no_network_and_no_script_of_others(tmp_path, run, record):
    run(record("vae"))
    run(record("gan"))
    for folder in find_runs(tmp_path):
        write_report(folder)
    page, _ = comparison(tmp_path)
    single = Page((tmp_path / "sweep" / "0" / "report.html").read_text())
    for made in (page, single):
        assert made.all("script") == [{}] * len(SCRIPTS)
        assert not made.all("link", "iframe", "object")
        sources = [a[k] for a in made.all("img", "source") for k in ("src", "srcset") if k in a]
        assert sources
        for source in sources:
            kind, _, content = source.partition(";base64,")
            beginnings = {"data:image/png": b"\x89PNG", "data:image/svg+xml": b"<svg "}
            picture = base64.b64decode(content)
            assert picture.startswith(beginnings[kind])
            assert set(re.findall(rb"(?:href=\"|url\()(.)", picture)) <= {b"#"}
        assert not [a for a in made.all("a") if "://" in a["href"]]


def test_a_page_is_made_for_everyone(tmp_path, run, record):
    run(record("vae"))
    run(record("gan"))
    page, _ = comparison(tmp_path)
    assert page.all("html")[0]["lang"] == "en"
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert {attributes["scope"] for attributes in page.all("th")} == {"row", "col"}
    assert [a for tag, a in page.elements if tag == "meta" and a.get("name") == "viewport"]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before < 2 for before, after in pairwise(levels))


def test_hostile_names_are_shown_and_not_obeyed(tmp_path, run, record, value):
    picture = Picture("samples", EVIL, "pictures/samples.png", EVIL)
    curve = Curve(EVIL, (0, 1), (1.0, 2.0))
    evil = record(
        EVIL,
        0,
        value(1.0, EVIL, title=EVIL, unit=EVIL, protocol=EVIL),
        data=EVIL,
        command=EVIL,
        config={EVIL: EVIL},
        versions={EVIL: EVIL},
        commit=EVIL,
        pictures=(picture,),
        curves=(curve,),
    )
    folder = run(evil)
    run(record("gan", 0, value(None, reason=EVIL), status="failed", reason=EVIL))
    page = Page(write_report(folder).read_text())
    both, markdown = comparison(tmp_path)
    for made in (page, both):
        assert made.all("script") == [{}] * len(SCRIPTS)
        # A quote that ended an attribute would make another of what follows it.
        names = [name for _, attributes in made.elements for name in attributes]
        assert not [name for name in names if not re.fullmatch(r"[a-z][a-z0-9:-]*", name)]
        assert EVIL in made.text
    for text in (markdown, (folder / "report.md").read_text()):
        assert "<script" not in text
        assert "\\|" in text


def test_a_comparison_shows_every_model_and_who_wins(tmp_path, run, record, value):
    for seed in range(3):
        run(record("vae", seed, value(1.0 + seed / 100)))
        run(record("gan", seed, value(3.0 - seed / 100)))
    page, markdown = comparison(tmp_path)
    for text in (page.text, markdown):
        assert "6 runs: 6 finished." in text
        assert "vae is better on Frechet distance (1.010 [0.9852, 1.035] against gan 2.990" in text
        assert "squared feature units, p < 0.001)" in text.replace("&lt;", "<")
        assert "paired t over 3 seeds" in text
        assert "Mean and 95 % Student-t interval over 3 seeds." in text
        assert "Equal for all models: images seen (200,000)." in text
    assert "**1.010 [0.9852, 1.035]** (best)" in markdown
    assert len([a for a in page.all("td") if a.get("class") == "best"]) == 1
    assert "Samples of the other runs (4)" in page.text
    assert "](0/pictures/samples.png)" in markdown


def test_every_number_of_the_comparison_is_in_the_records(tmp_path, run, record, value):
    made = [record("vae", 0, value(1.23456)), record("gan", 0, value(7.8912, count=777))]
    for one in made:
        run(one)
    _, markdown = comparison(tmp_path)
    (row,) = (line for line in markdown.splitlines() if line.startswith("| Frechet"))
    known = {
        number(n)
        for one in made
        for v in one.values
        for n in (v.value, v.low, v.high, v.floor.value, v.ceiling.value)
    }
    cells = row.split("|")[2:]
    assert {n for cell in cells for n in re.findall(r"[\d.,]*\d", cell)} == known


def test_what_is_left_out_is_counted_and_listed(tmp_path, run, record, value):
    run(record("vae", 0, value(1.0)))
    run(record("gan", 0, value(666.6), status="diverged", reason="loss is NaN at 640 images"))
    half = tmp_path / "sweep" / "8"
    half.mkdir()
    (half / "record.json").write_text('{"schema": 1, "stat')
    newer = run(record("vae", 1))
    data = json.loads((newer / "record.json").read_text())
    (newer / "record.json").write_text(json.dumps({**data, "schema": 5}))
    started = tmp_path / "sweep" / "9"
    started.mkdir()
    (started / "status.json").write_text('{"status": "running"}')
    page, markdown = comparison(tmp_path)
    for text in (page.text, markdown):
        assert "5 runs: 1 finished, 1 diverged and 3 without a readable record." in text
        assert "run 1: gan, seed 0, diverged: loss is NaN at 640 images" in text
        assert "run 8: record.json: not whole JSON" in text
        assert "record.json: schema 5 is unknown" in text
        assert "run 9: no record.json; status.json says running" in text
        assert "1.000 [0.9000, 1.100]" in text
        assert "666.6" not in text


def test_a_broken_or_missing_picture_gets_a_line(tmp_path, run, record):
    first, second = run(record("vae")), run(record("gan"))
    (first / "pictures/samples.png").unlink()
    (second / "pictures/samples.png").write_bytes(b"half a pict")
    cut = run(record("wgan")) / "pictures/samples.png"
    cut.write_bytes(cut.read_bytes()[:-20])
    page, markdown = comparison(tmp_path)
    for text in (page.text, markdown):
        assert "Samples of wgan, seed 0: pictures/samples.png is cut short" in text
        assert "Samples of vae, seed 0: the file pictures/samples.png is missing" in text
        assert "Samples of gan, seed 0: pictures/samples.png is not a PNG" in text
        assert "1.250 [1.150, 1.350]" in text
    assert "is missing" in Page(write_report(first).read_text()).text


def test_other_data_get_other_tables(tmp_path, run, record):
    run(record("vae"))
    run(record("gan", data_fingerprint="ffff", data="mnist"))
    page, markdown = comparison(tmp_path)
    assert "data fingerprint ffff instead of 0123456789ab" in page.text
    assert markdown.count("### Measurements") == 2
    assert "vae is better" not in page.text
    assert "gan is better" not in page.text


def test_a_comparison_of_nothing_is_still_a_page(tmp_path):
    (tmp_path / "sweep").mkdir()
    page, _ = comparison(tmp_path)
    assert "0 runs" in page.text


def test_a_run_without_a_readable_record_has_no_page(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        write_report(tmp_path)


def test_a_run_that_did_not_finish_says_so(run, record):
    page = Page(write_report(run(record(status="interrupted", reason="Ctrl-C"))).read_text())
    assert "This run is interrupted: Ctrl-C" in page.text


def test_the_same_records_give_the_same_page(tmp_path, run, record):
    run(record("vae"))
    first = write_comparison(tmp_path, find_runs(tmp_path)).read_bytes()
    assert write_comparison(tmp_path, find_runs(tmp_path)).read_bytes() == first
