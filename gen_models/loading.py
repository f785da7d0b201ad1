"""Trained models from their folders: weights and plain data are read, no stranger's code is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import index
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gen_models.allowed import trusting
from gen_models.checkpoints import read_checkpoint
from gen_models.errors import UsageError
from gen_models.models import GenerativeModule, LatentVariableModel
from gen_models.recipes import build, describe
from gen_models.records.files import write_whole

FORMAT = 2
"""Of an exported folder; a field more, less or renamed is another format.

In format 1, which is read still, the SHA-256 is of the weights alone.
"""

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"

KINDS = [str, dict, dict]
"""Of the fields of `Stored`."""

PLAIN = torch.contiguous_format

UNSHARED = ("noise", "history", "events", "gathered", "threads")
"""What a checkpoint keeps for training to go on, and nobody needs who samples."""


@dataclass(frozen=True)
class Stored:
    """What a model is made of again.

    Attributes:
        target: Where its class is.
        arguments: Of its constructor, as plain data.
        counters: Images seen and the like.
    """

    target: str
    arguments: dict[str, Any]
    counters: dict[str, Any]

    def model(self, weights: dict[str, Tensor], where: Path) -> LatentVariableModel:
        """The model, in evaluation mode on the CPU.

        Raises:
            UsageError: If its class is not allowed or not there, or counters or weights do not fit
                or are not finite.
        """
        made = build({"_target_": self.target, **self.arguments}, "model")
        if not isinstance(made, GenerativeModule):
            raise UsageError(f"{where}: {self.target} is no GenerativeModule")
        try:
            made.restore({**{key: [] for key in UNSHARED}, **self.counters})
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
            raise UsageError(f"{where}: not the counters of a {self.target}") from None
        try:
            made.load_state_dict(weights)
        except RuntimeError as error:
            told = " ".join(str(error).split())
            raise UsageError(f"{where}: not the weights of a {self.target}: {told}") from None
        broken = [name for name, held in weights.items() if not held.isfinite().all()]
        if broken:
            raise UsageError(f"{where}: {broken[0]} is not finite; try checkpoint='best'")
        return made.eval()  # type: ignore[return-value]


def load_run(
    folder: str | Path,
    checkpoint: Literal["last", "best"] = "last",
    trust: Sequence[str] = (),
) -> LatentVariableModel:
    """A trained model, ready to draw.

    Args:
        folder: Of a run, or one that `python -m gen_models.export --to safetensors` has written.
        checkpoint: `last` is what the run's report speaks of; `best` has the lowest Fréchet
            distance to validation images. An exported folder holds one alone; in the folder of a
            run, its checkpoints are read and no export.
        trust: Packages beside this one whose code may be run. The folder cannot say so for itself.

    Returns:
        The model, in evaluation mode on the CPU. `sample(64)` gives pixels (64, C, H, W) in
        [0, 1]; what else it can do, `gen_models.capabilities` lists. A family of your own comes
        back as itself.

    Raises:
        UsageError: If the folder holds no whole model, or one of a package that is not trusted.

    Example:
        >>> load_run("nowhere")
        Traceback (most recent call last):
        gen_models.errors.UsageError: nowhere: no run, and no exported model, lies there
    """
    folder = Path(folder)
    if checkpoint not in ("last", "best"):
        raise UsageError(f"checkpoint={checkpoint!r} must be last or best")
    path = folder / "checkpoints" / f"{checkpoint}.ckpt"
    # A run comes first: what was exported into its folder may be older, and is of one checkpoint.
    exported = not path.parent.is_dir()
    if exported and not (folder / DESCRIPTION).exists():
        raise UsageError(f"{folder}: no run, and no exported model, lies there")
    stored, weights = read_exported(folder) if exported else _read_run(path)
    with trusting(trust):
        return stored.model(weights, folder if exported else path)


def _read_run(path: Path) -> tuple[Stored, dict[str, Tensor]]:
    held = read_checkpoint(str(path))
    if "target" not in held:
        raise UsageError(f"{path}: an older version wrote it, which did not say the model's class")
    counters = {k: v for k, v in held.items() if k not in ("state_dict", "hyper_parameters")}
    return Stored(held["target"], dict(held["hyper_parameters"]), counters), held["state_dict"]


def to_safetensors(model: GenerativeModule, folder: str | Path) -> Path:
    """Write a model to be shared: weights as safetensors, all else as JSON, with a SHA-256 of both.

    Args:
        model: Of any family; it is written whole, with all that it can do.
        folder: Made if it is not there.

    Returns:
        The file of the weights; `load_run(folder)` reads both.
    """
    held: dict[str, Any] = {}
    model.on_save_checkpoint(held)
    counters = {key: item for key, item in held.items() if key not in (*UNSHARED, "target")}
    stored = Stored(held["target"], describe(dict(model.hparams)), counters)
    # Copies, because safetensors refuses tensors that share their memory or have strides.
    copied = {k: v.cpu().clone(memory_format=PLAIN) for k, v in model.state_dict().items()}
    weights = save(copied)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / DESCRIPTION, sealed(stored, weights))
    return write_whole(folder / WEIGHTS, weights)


def sealed(stored: Stored, weights: bytes) -> str:
    """The description, with the SHA-256 of itself, as it is without that, and of the weights."""
    text = json.dumps({"format": FORMAT, "sha256": "", **asdict(stored)}, indent=1) + "\n"
    return text.replace('""', f'"{_digest(text.encode(), weights)}"', 1)


def _digest(*parts: bytes) -> str:
    sums = hashlib.sha256()
    for part in parts:
        sums.update(part)
    return sums.hexdigest()


def read_exported(folder: Path) -> tuple[Stored, dict[str, Tensor]]:
    """What `to_safetensors` has written, verified.

    Raises:
        UsageError: If a file is missing, damaged, or of another format.
    """
    path = folder / DESCRIPTION
    try:
        text, weights = path.read_bytes(), (folder / WEIGHTS).read_bytes()
        told = json.loads(text)
        version, digest = index(told.pop("format")), str(told.pop("sha256"))
        stored = Stored(**told)
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{path}: no description of an exported model") from None
    if version not in (1, FORMAT):
        raise UsageError(f"{path}: format {version} is unknown, this version reads 1 and {FORMAT}")
    covered = (weights,) if version == 1 else (text.replace(digest.encode(), b"", 1), weights)
    if _digest(*covered) != digest:
        raise UsageError(f"{folder / WEIGHTS}: damaged, or not the weights of {path}: export again")
    if [type(part) for part in (stored.target, stored.arguments, stored.counters)] != KINDS:
        raise UsageError(f"{path}: target, arguments and counters must be a text and two objects")
    try:
        return stored, load(weights)
    except SafetensorError as error:
        raise UsageError(f"{folder / WEIGHTS}: no safetensors ({error})") from None
