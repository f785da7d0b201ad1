"""The record: what it takes, what it refuses, and that it is whole on disk or absent."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gen_models.errors import UsageError
from gen_models.records import SCHEMA, Anchor, Curve, Picture, Record, Value


def spoil(path: Path, *place: str | int, to: object) -> None:
    """Change one field of a record on disk."""
    data = json.loads(path.read_text())
    inner = data
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = to
    path.write_text(json.dumps(data))


@pytest.fixture
def path(tmp_path, record):
    return record().write(tmp_path / "record.json")


def test_a_record_comes_back_as_it_was(tmp_path, record, value):
    anchors = (Anchor(7.0, "the mean image"), Anchor(3.0, "blurred test images"))
    full = value(aspect="distance", extractor="digits64", error=0.05, anchors=anchors)
    lacking = value(None, "kl_nats", reason="GAN has no encoder")
    written = record("gan", 3, full, lacking, sampling="evaluation mode, averaged weights")
    assert Record.read(written.write(tmp_path / "record.json")) == written


def test_the_file_has_the_documented_form(path):
    data = json.loads(path.read_text())
    assert data["schema"] == SCHEMA == 4
    assert set(data["values"][0]) == {
        *("name", "title", "value", "unit", "low", "high", "interval", "count", "protocol"),
        *(
            "better",
            "floor",
            "ceiling",
            "reason",
            "aspect",
            "extractor",
            "error",
            "anchors",
            "restates",
        ),
    }
    assert data["sampling"] == ""
    assert data["budget"] == {
        "images_seen": 200_000,
        "iterations": 3125,
        "training_seconds": 40.1,
        "evaluation_seconds": 9.0,
    }
    assert data["curves"][0]["images"] == [0, 640, 1280]


def test_a_record_of_the_first_schema_still_reads(path):
    """What the second has more is left out of the file, and comes back empty."""
    whole = Record.read(path)
    data = json.loads(path.read_text()) | {"schema": 1}
    del data["sampling"], data["events"]
    for value in data["values"]:
        for new in ("aspect", "extractor", "error", "anchors"):
            del value[new]
    path.write_text(json.dumps(data))
    assert Record.read(path) == whole
    assert (whole.sampling, whole.values[0].aspect, whole.values[0].anchors) == ("", "", ())


def test_the_committed_records_read():
    records = sorted(Path(__file__).parents[2].glob("benchmarks/quality/**/*.json"))
    assert len(records) >= 6
    for record in records:
        assert Record.read(record).status == "finished"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused_by_name(tmp_path, record, value, bad):
    with pytest.raises(UsageError, match=r"values\.fid_digits64_1000_test: value is not finite"):
        record("vae", 0, replace(value(), value=bad, low=None, high=None))
    with pytest.raises(UsageError, match=r"config\.clip: .*finite"):
        record(config={"clip": bad}).write(tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999"])
def test_reading_refuses_what_is_not_finite(path, text):
    path.write_text(path.read_text().replace("40.1", text))
    with pytest.raises(UsageError, match=r"record\.json: "):
        Record.read(path)


@pytest.mark.parametrize("schema", [0, 5, "1", None, True, 1.5])
def test_another_schema_is_refused(path, schema):
    spoil(path, "schema", to=schema)
    with pytest.raises(UsageError, match=r"record\.json: schema .* is unknown"):
        Record.read(path)


@pytest.mark.parametrize(
    ("place", "to", "named"),
    [
        (("seed",), True, r"\.seed: expected a whole number, got True"),
        (("seed",), 0.5, r"\.seed: "),
        (("model",), None, r"\.model: expected text"),
        (("status",), "done", r"\.status: expected finished or interrupted or diverged or failed"),
        (("status",), [], r"\.status: "),
        (("split", "test"), "many", r"\.split\.test: "),
        (("shape",), [16, 16], r"shape must be"),
        (("created",), "yesterday", r"created must be"),
        (("budget", "images_seen"), None, r"\.budget\.images_seen: "),
        (("values",), {}, r"\.values: expected a list"),
        (("values", 0, "value"), "1.2", r"values\.fid_digits64_1000_test\.value: "),
        (("values", 0, "value"), None, r"values\.fid_digits64_1000_test: value is null"),
        (("values", 0, "low"), None, r"low and high come together"),
        (("values", 0, "low"), 2.0, r"low 2\.0 lies above high"),
        (("values", 0, "interval"), None, r"an interval that says what they are"),
        (("values", 0, "better"), "bigger", r"\.better: expected lower or higher"),
        (("values", 0, "ceilling"), None, r"unknown field 'ceilling'"),
        (("values", 0, "floor"), {"value": 1}, r"floor: the field 'of' is missing"),
        (("values", 0, "aspect"), "taste", r"aspect 'taste' is none of distance, "),
        (("values", 0, "error"), "small", r"\.error: expected a finite number"),
        (("values", 0, "anchors"), [{"value": 1}], r"anchors\[0\]: the field 'of' is missing"),
        (("sampling",), None, r"\.sampling: expected text"),
        (("curves", 0, "values"), [1.0], r"3 images but 1 values"),
        (("pictures", 0, "file"), "../secret.png", r"inside the run folder"),
        (("pictures", 0, "file"), "/etc/secret.png", r"inside the run folder"),
    ],
)
def test_a_field_that_does_not_fit_is_named_in_one_line(path, place, to, named):
    spoil(path, *place, to=to)
    with pytest.raises(UsageError, match=named) as caught:
        Record.read(path)
    assert "record.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_stands_once(record, value):
    with pytest.raises(UsageError, match=r"values: the name 'fid_digits64_1000_test' stands 2"):
        record("vae", 0, value(1.0), value(2.0))


@pytest.mark.parametrize(
    "text", ["", "{", '{"schema": 1, "status": "fini', "[]", "\x00", "[" * 9999]
)
def test_a_half_written_record_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"record\.json: ") as caught:
        Record.read(path)
    assert "\n" not in str(caught.value)


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        Record.read(tmp_path / "record.json")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(path, record, monkeypatch, step):
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        record("gan").write(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_never_meets_a_part(path, record, monkeypatch):
    """At the moment of the rename the old file is whole, and the new one lies beside it, whole."""
    seen = {}
    replace_file = os.replace

    def look(source, target):
        seen["old"], seen["new"] = Record.read(Path(target)), Record.read(Path(source))
        seen["beside"] = Path(source).parent == Path(target).parent
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", look)
    record("gan").write(path)
    assert (seen["old"].model, seen["new"].model, seen["beside"]) == ("vae", "gan", True)


def test_values_refuse_contradictions_when_they_are_made():
    with pytest.raises(UsageError, match="value is null"):
        Value("a", "A", 1.0, "nats", reason="none")
    with pytest.raises(UsageError, match="inside the run folder"):
        Picture("a", "A", "")
    with pytest.raises(UsageError, match="2 images"):
        Curve("a", (1, 2), (1.0,))


def test_a_gap_in_a_curve_is_kept(tmp_path, record):
    curve = Curve("train/loss", (0, 1), (1.0, None))
    path = record(curves=(curve,), status="diverged").write(tmp_path / "record.json")
    assert Record.read(path).curves == (curve,)
