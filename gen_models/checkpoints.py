"""The checkpoints of a run folder: which one to go on from, and what it gives to a model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from gen_models.data import ImageDataModule
from gen_models.errors import UsageError
from gen_models.models import GenerativeModule
from gen_models.training.checkpoint_io import damage, read_sealed

NAMES = "last.ckpt", "previous.ckpt"
"""Where training stood when it was saved, and when it was saved before that."""

GAMES = ("objective.", "adversarial.")

ONLY_TRAINING = frozenset(
    {
        "adversarial",
        "adversarial_weight",
        "augment",
        "clip",
        "conditioning",
        "continuous_weight",
        "discriminator_optimizer",
        "feature_weight",
        "gamma",
        "lr_schedule",
        "n_critic",
        "objective",
        "optimizer",
        "penalties",
        "pixel_weight",
        "reconstructions",
        "training_images",
        "weight",
        "weight_clip",
    }
)
"""Arguments of families that may differ where a checkpoint is only evaluated."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint, read as plain data and tensors: nothing in it is run.

    Raises:
        UsageError: If it is missing, damaged, or no checkpoint of this package.
    """
    path = Path(path)
    problem = damage(path)
    if problem is not None:
        raise UsageError(f"ckpt_path={path}: {problem}{_instead_of(path)}")
    checkpoint = read_sealed(path)
    missing = {"state_dict", "images_seen", "training_seconds", "noise"} - set(checkpoint)
    if missing:
        raise UsageError(
            f"ckpt_path={path}: no checkpoint of gen_models (it has no {missing.pop()})"
        )
    return checkpoint


def _instead_of(path: Path) -> str:
    """What else there is to go on from, in words; empty if there is nothing."""
    others = [path.with_name(name) for name in NAMES if name != path.name]
    whole = [other for other in others if path.name in NAMES and damage(other) is None]
    return f"; the one before it is whole: ckpt_path={whole[0]}" if whole else ""


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run; None where none was saved yet.

    A damaged one is told of, and the one before it is taken: a run that goes on from there ends
    the same.

    Raises:
        UsageError: If all that there are are damaged.
    """
    there = [path for name in NAMES if (path := folder / "checkpoints" / name).exists()]
    problems: list[str] = []
    for path in there:
        if (problem := damage(path)) is None:
            for told in problems:
                print(f"warning: {told}; going on from the one before it, {path}", flush=True)
            return path
        problems.append(f"{path}: {problem}")
    if problems:
        raise UsageError(f"{'; '.join(problems)}: remove what is damaged to begin anew")
    return None


def load(model: GenerativeModule, data: ImageDataModule, checkpoint: dict[str, Any]) -> None:
    """Give a model weights and counters of a checkpoint of the same model.

    Raises:
        UsageError: If it is of another model, or of other data.
    """
    model.restore(checkpoint, [k for k in model.hparams if k not in ONLY_TRAINING])
    check_data(data, checkpoint)
    # A game may have a state of its own, which only training asks for.
    own, stored = model.state_dict(), checkpoint["state_dict"]
    model.load_state_dict(
        {k: v for k, v in stored.items() if not k.startswith(GAMES)}
        | {k: v for k, v in own.items() if k.startswith(GAMES)}
    )


def check_data(data: ImageDataModule, checkpoint: dict[str, Any]) -> None:
    """Refuse a checkpoint of other data: test images may be among those it was trained on.

    Lightning keeps what a data module says of itself under the name of its class, and asks no
    class of another name.

    Raises:
        UsageError: If it was made on other images, or on the same ones split otherwise.
    """
    own = checkpoint.get(type(data).__qualname__)
    if own is not None:
        data.load_state_dict(own)
        return
    for held in checkpoint.values():
        if isinstance(held, dict) and held.keys() >= {"fingerprint", "split_seed"}:
            # Not as a subclass would read it: what that has added is not in another's.
            ImageDataModule.load_state_dict(data, held)


def check_room(folder: Path, model: GenerativeModule) -> None:
    """Refuse to train where the disk cannot hold the checkpoints.

    There may be four at once: last, previous, best, and the one that is being written. An optimiser
    such as Adam keeps two numbers for each parameter.

    Raises:
        UsageError: If it cannot.
    """
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    needed = 4 * (weights + 2 * sum(p.nbytes for p in model.parameters()))
    taken = sum(path.stat().st_size for path in (folder / "checkpoints").glob("*.ckpt"))
    free = shutil.disk_usage(folder).free + taken
    if free < needed:
        raise UsageError(
            f"{folder}: {free / 1e6:.1f} MB are left for checkpoints, this model's need "
            f"{needed / 1e6:.1f} MB; make room, or give another folder (hydra.run.dir=DIR)"
        )
