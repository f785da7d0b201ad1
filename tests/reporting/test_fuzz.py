"""Spoiled records: a line for each, and the others are still shown."""

import csv
import io
import json
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from rich.console import Console

from gen_models.errors import UsageError
from gen_models.records import Anchor, Curve, Event, Measured, Record
from gen_models.report import main
from gen_models.reporting.terminal import print_table

from .conftest import make_record, make_value, save
from .fuzz import NUMBERS, TEXTS, odd, places, spoiled
from .test_report import Page

KEPT = ("status", "created", "aspect", "better", "file", "schema")
"""Texts that have to be of a kind."""


def full(model="vae", seed=0):
    """A record with something in every field, as JSON data."""
    shown = {"extractor": "digits64", "error": 0.05, "anchors": (Anchor(7.0, "the mean image"),)}
    return make_record(
        model,
        seed,
        make_value(aspect="distance", **shown),
        make_value(None, "kl_nats_9", reason="no encoder"),
        make_value(0.4, "precision_k3_d_9", aspect="fidelity", better="higher"),
        make_value(0.3, "recall_k3_d_9", aspect="diversity", better="higher"),
        curves=(Curve("validation/fid", (0, 640), (3.0, None), (0.1, 0.2)),),
        events=(Event(3, "collapse", "all alike"),),
        selection="validation/fid",
        measured=Measured("2026-01-02T03:04:05+00:00", "again", {"torch": "2"}),
    ).to_json()


def read(text):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_text(text, encoding="utf-8")
        return Record.read(path)


def refusal(text):
    try:
        read(text)
    except UsageError as error:
        return str(error)
    return None


@settings(max_examples=250)
@given(spoiled(full()))
def test_the_reader_takes_a_spoiled_record_or_refuses_it_in_one_line(text):
    told = refusal(text)
    if told is not None:
        assert told.isprintable()
        assert len(told) < 700
    else:
        record = read(text)
        assert read(json.dumps(record.to_json(), allow_nan=False)) == record


def compared(folder, capsys):
    """What the report command prints, and what it writes."""
    assert main([str(folder), "--out", str(folder / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    made = {path.name: path.read_text() for path in (folder / "out").glob("report.*")}
    assert "gan" in made["report.md"]
    return made


def among_others(tmp_path, *records):
    """A folder with two good runs and these."""
    for seed in (0, 1):
        save(tmp_path / f"gan{seed}", make_record("gan", seed))
    for place, text in enumerate(records):
        (tmp_path / f"spoiled{place}").mkdir()
        (tmp_path / f"spoiled{place}/record.json").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_report_shows_the_others_and_a_line_for_each_spoiled_record(tmp_path, capsys):
    whole = json.dumps(full())
    deep = whole.replace('"/data"', "[" * 200 + "]" * 200)
    texts = ["", whole[:500], "[]", "null", deep, "[" * 100_000, '{"schema": 1e999}']
    texts += [whole.replace("1.25", number) for number in ("NaN", "1e999", "9" * 400, '"x"')]
    texts += [whole.replace('"vae"', '"\\ud800"'), whole.replace('"budget"', '"bugdet"')]
    texts += [whole.replace("samples.png", "a\\u0000.png")]
    texts += [whole.replace("2026-01-02T03:04:00+00:00", "0001-01-01T00:00:00")]
    made = compared(among_others(tmp_path, *texts), capsys)
    lines = [line for line in made["report.md"].splitlines() if line.startswith("- run ../spoiled")]
    assert len(lines) == len(texts)
    assert all("record.json: " in line for line in lines)
    assert "2 finished" in made["report.md"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no such name")
def test_a_folder_whose_name_is_no_utf_8_is_shown_and_linked(tmp_path, capsys):
    strange = tmp_path / os.fsdecode(b"gr\xf6sse")
    save(strange, make_record("vae"))
    (strange / "report.html").touch()
    made = compared(among_others(tmp_path), capsys)
    assert "../gr\ufffdsse" in made["report.md"]
    assert 'href="../gr%F6sse/report.html"' in made["report.html"]
    assert "gr\ufffdsse" in made["report.json"]


def replaced(data, choose):
    """JSON data with every leaf of a run's own replaced; keys of free mappings stay."""
    for place in places(data):
        inner = data
        for step in place[:-1]:
            inner = inner[step]
        if place and place[-1] not in KEPT and not isinstance(inner[place[-1]], dict | list):
            inner[place[-1]] = choose(place, inner[place[-1]])
    return data


@pytest.mark.parametrize("text", TEXTS[1:])
def test_every_text_of_a_record_is_shown_and_not_obeyed(text, tmp_path, capsys):
    """The page has the very elements and attributes that it has with harmless texts."""

    def texts(prefix):
        def choose(place, old):
            own = f"{prefix}{'.'.join(map(str, place))}"
            named = place[-1] in ("name", "unit", "selection")
            return own if isinstance(old, str) and not named else old

        return json.dumps(replaced(full(), choose))

    pages, tables = [], []
    for name, prefix in (("plain", "x"), ("strange", text)):
        made = compared(among_others(tmp_path / name, texts(prefix)), capsys)
        page = Page(made["report.html"])
        pages.append([(tag, sorted(attributes)) for tag, attributes in page.elements])
        tables.append(list(csv.reader(io.StringIO(made["report.csv"]))))
        assert not re.search(r"(?<!\\)<(?!/?(br|sup|sub)>)[a-z]", made["report.md"])
    assert pages[0] == pages[1]
    assert [len(row) for row in tables[0]] == [len(row) for row in tables[1]]
    formula = re.compile(r"[=+@\t\r]|-(?!\d)")
    assert not [field for row in tables[1] for field in row if formula.match(field)]


@pytest.mark.parametrize("number", NUMBERS)
def test_extreme_numbers_reach_the_report(number, tmp_path, capsys):
    def choose(place, old):
        free = place[0] == "config" or place[-1] in ("training_seconds", "evaluation_seconds")
        return abs(number) if isinstance(old, float) and free else old

    data = replaced(full(), choose)
    first = data["values"][0]
    first |= {"name": "kid_9", "unit": "squared kernel units", "value": number, "error": None}
    first |= {"low": number, "high": number, "floor": {"value": number, "of": "x"}}
    data["curves"][0]["values"] = [number, None]
    made = compared(among_others(tmp_path, json.dumps(data)), capsys)
    assert "2 finished" not in made["report.md"]  # it is the third
    assert "3 finished" in made["report.md"]


def test_a_terminal_shows_escape_codes_and_does_not_obey_them(value, record):
    evil = "\x1b[2J\x1b]0;title\x07[red]\r\n"
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    made = record(evil, 0, value(title=evil), status="failed", reason=evil, data=evil)
    print_table(made, console, report=Path(evil))
    printed = console.file.getvalue()
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "\\x1b[2J" in printed
    assert "[red]" in printed


@pytest.mark.slow
@settings(max_examples=60)
@given(odd(full()))
def test_any_record_that_reads_reaches_the_report(data):
    """Types as they should be; numbers, texts and lengths as they are never."""
    try:
        Record.from_json(data, "record.json")
    except UsageError:
        return
    with TemporaryDirectory() as folder:
        place = among_others(Path(folder), json.dumps(data))
        assert main([str(place), "--out", str(place / "out")]) == 0
