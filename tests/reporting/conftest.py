"""Fake runs: whole records and tiny pictures, without a model."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gen_models.records import Anchor, Budget, Curve, Picture, Record, Value
from gen_models.records.quantities import Quantity, quantity_of
from gen_models.reporting.groups import Group, sections
from gen_models.reporting.runs import Run


def tiny_png() -> bytes:
    """A grey picture of 4 x 4 pixels, written by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\x00\x10\x80\xc0\xff" * 4)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b""))
    )


def make_value(
    value: float | None = 1.25, name: str = "fid_digits64_1000_test", **changes
) -> Value:
    promised = quantity_of(name) or Quantity("", "squared feature units")
    given: dict[str, Any] = {
        "title": "Frechet distance",
        "unit": promised.unit,
        "count": 1000,
        "protocol": "Features of digits64, 1000 images of the test split.",
        "better": "lower",
        "floor": Anchor(0.4, "real training images"),
        "ceiling": Anchor(min(99.0, promised.most), "uniform noise"),
    }
    if value is None:
        given["reason"] = "no reason"
    else:
        given |= {
            "low": value - 0.1,
            "high": value + 0.1,
            "interval": "95 %, bootstrap over samples",
        }
    return Value(name, value=value, **(given | changes))


def make_record(model: str = "vae", seed: int = 0, *values: Value, **changes) -> Record:
    record = Record(
        status="finished",
        model=model,
        data="digits",
        seed=seed,
        created=f"2026-01-02T03:04:0{seed}+00:00",
        command=f"python run.py model={model} seed={seed}",
        config={"model": {"name": model, "latent_dim": 8}, "seed": seed, "root": "/data"},
        versions={"torch": "2.15.0"},
        hardware={"device": "cpu", "processor": "some processor", "cores": 2},
        shape=(1, 16, 16),
        split={"train": 1257, "validation": 180, "test": 360},
        data_fingerprint="0123456789abcdef",
        parameters={"generator": 123456},
        budget=Budget(200_000, 3125, 40.1 + seed, 9.0),
        values=values or (make_value(),),
        curves=(Curve("train/loss", (0, 640, 1280), (9.0, 5.0 + seed, 4.0)),),
        pictures=(Picture("samples", "Samples", "pictures/samples.png", "64 draws"),),
        commit="abc123",
    )
    return replace(record, **changes)


def save(folder: Path, record: Record) -> Path:
    (folder / "pictures").mkdir(parents=True)
    for picture in record.pictures:
        (folder / picture.file).write_bytes(tiny_png())
    record.write(folder / "record.json")
    return folder


def make_groups(*records: Record) -> tuple[Group, ...]:
    (section,) = sections([Run(Path(str(i)), record) for i, record in enumerate(records)])
    return section.groups


@pytest.fixture
def value() -> Callable[..., Value]:
    """Make a value: its number and changes."""
    return make_value


@pytest.fixture
def record() -> Callable[..., Record]:
    """Make a record: model, seed, values and changes."""
    return make_record


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Record], Path]:
    """Save a record as a run folder in a sweep folder: `tmp_path / "sweep" / number`."""
    count = 0

    def make(record: Record) -> Path:
        nonlocal count
        count += 1
        return save(tmp_path / "sweep" / str(count - 1), record)

    return make


@pytest.fixture
def groups() -> Callable[..., tuple[Group, ...]]:
    """Groups of records that share their data."""
    return make_groups
