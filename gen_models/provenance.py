"""Where a number comes from: versions, hardware, commit, cost; and the record that holds it all."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gen_models.data import ImageDataModule
from gen_models.models import GenerativeModule
from gen_models.processes import count
from gen_models.records import Budget, Curve, Event, Picture, Record, Value, write_whole

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")

AXES = ("images", "seconds")
"""What a history has beside its quantities."""


def keep_skipped(data: ImageDataModule, model: GenerativeModule, folder: Path) -> None:
    """Keep in the model's events and in the run folder which images were left out, and why."""
    if not data.skipped:
        return
    lines = [f"{path}: {reason}" for path, reason in data.skipped]
    text = f"{len(lines)} files cannot be read and are left out, named in skipped.txt"
    model.events.append({"images": 0, "kind": "unreadable images", "text": text})
    write_whole(folder / "skipped.txt", "\n".join([*lines, ""]))


def make_record(
    *,
    model: GenerativeModule,
    data: ImageDataModule,
    config: dict[str, Any],
    name: str,
    command: str,
    status: Any,
    reason: str | None,
    values: Sequence[Value],
    pictures: Sequence[Picture],
    evaluation_seconds: float,
    selection: str = "",
) -> Record:
    """All that is kept of a run."""
    seconds = round(model.training_seconds, 2), round(evaluation_seconds, 2)
    return Record(
        status=status,
        reason=reason,
        model=name,
        data=data.name,
        seed=config["seed"],
        created=now(),
        command=command,
        config=config,
        commit=commit(),
        versions=versions(),
        hardware={**hardware(model.device), **trained_by(model)},
        shape=data.shape,
        split={split: len(getattr(data, split)) for split in ("train", "validation", "test")},
        data_fingerprint=data.fingerprint,
        parameters=parameters(model),
        budget=Budget(model.images_seen, model.iterations, *seconds),
        values=tuple(values),
        curves=tuple(curves(model.history, selection)),
        pictures=tuple(pictures),
        events=tuple(Event(**event) for event in model.events),
        sampling=sampling(model),
        selection=selection,
    )


def now() -> str:
    """The time, as ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def sampling(model: GenerativeModule) -> str:
    """How the model draws samples in evaluation, in words."""
    averaged = getattr(model, "average", None) is not None
    weights = "averaged over training" if averaged else "as training left them"
    return f"evaluation mode, weights of the generator {weights}"


def parameters(model: torch.nn.Module) -> dict[str, int]:
    """Trainable parameters of each network."""
    counts = {
        name: sum(p.numel() for p in child.parameters() if p.requires_grad)
        for name, child in model.named_children()
    }
    return {name: count for name, count in counts.items() if count}


def curves(
    history: Sequence[dict[str, float]], selection: str = "", points: int = 200
) -> list[Curve]:
    """What was logged, over images seen: at most `points` + 1 points, with the last.

    The curve named `selection` keeps its lowest value too, where `best.ckpt` was saved.
    """
    names = dict.fromkeys(key for row in history for key in row if key not in AXES)
    made = []
    for name in names:
        rows = [row for row in history if name in row]
        places = {*range(0, len(rows), -(-len(rows) // points)), len(rows) - 1}
        if name == selection:
            finite = [i for i, row in enumerate(rows) if math.isfinite(row[name])]
            # Of equal ones the first, which the checkpoint is of.
            places |= {min(finite, key=lambda i: rows[i][name])} if finite else set()
        kept = [rows[i] for i in sorted(places)]
        numbers = [row[name] if abs(row[name]) < float("inf") else None for row in kept]
        images = tuple(int(row["images"]) for row in kept)
        # A run that was begun by an older version has looked at no clock for a part of its rows.
        timed = all("seconds" in row for row in kept)
        seconds = tuple(row["seconds"] for row in kept) if timed else ()
        made.append(Curve(name, images, tuple(numbers), seconds))
    return made


def versions() -> dict[str, str]:
    """Of Python, this package and what its numbers hang on."""
    found = {"python": platform.python_version()}
    for package in ("gen_models", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware(device: torch.device) -> dict[str, Any]:
    """The machine, in words."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        **({"processes": count()} if count() > 1 else {}),
    }


def trained_by(model: GenerativeModule) -> dict[str, Any]:
    """The threads of all legs of training, where they were not those of now throughout."""
    legs = model.threads
    apart = bool(legs) and legs != [torch.get_num_threads()]
    return {"threads in training": ", then ".join(map(str, legs))} if apart else {}


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit of this package, with `-dirty` where files have changed; None outside git."""
    # An installed copy may lie inside somebody else's repository, which does not track it.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _git(*words: str) -> str | None:
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
