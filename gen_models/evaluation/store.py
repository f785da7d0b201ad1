"""What is known of real images, kept on disk: features once, for all runs and processes.

An entry's name is the hash of everything that it depends on, so that nothing is ever stale: change
a pixel, a weight or how images are resized, and it is another entry. Writing is atomic, and the
same entry written twice has the same content, so that no lock is needed. Reading verifies.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from gen_models.data.storage import in_parts
from gen_models.evaluation.extractors.features import Extractor, Features, extract
from gen_models.records.files import whole

SCHEMA = 1
"""Of the entries, preprocessing before the extractor included; another form is another number."""

log = logging.getLogger(__name__)


class FeatureStore:
    """A folder of features and of numbers made of them.

    It holds nothing that cannot be computed again: delete it at any time.

    Args:
        folder: Made when it is needed; None: nothing is kept.

    Attributes:
        computed: Entries that had to be computed so far.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.computed = 0
        self._sees: dict[tuple[Extractor, tuple[int, ...]], str] = {}

    def features(
        self,
        images: Tensor,
        extractor: Extractor,
        device: torch.device,
        compute: Callable[[], Features],
    ) -> Features:
        """Features of images, read where they are known, else computed and kept.

        Args:
            images: Bytes (N, C, H, W).
            extractor: Whose features they are; on the device.
            device: Where they are wanted.
            compute: Gives them.
        """
        key = {
            "kind": "features",
            "images": content(images),
            "count": len(images),
            "extractor": extractor.name,
            "digest": extractor.digest,
            "size": extractor.size,
            "dtype": "float32",
            # Kernels of another device round otherwise.
            "device": device.type,
            # What the weights do not say: the code around them.
            "sees": self.sees(extractor, images, device),
        }

        def tensors() -> dict[str, Tensor]:
            made = compute()
            held = {"features": made.features.float(), "logits": made.logits}
            return {name: tensor.cpu() for name, tensor in held.items() if tensor is not None}

        held = self._entry(f"{extractor.name}-{len(images)}", key, tensors)
        there = {name: tensor.to(device) for name, tensor in held.items()}
        return Features(**there, extractor=extractor.identity)

    def sees(self, extractor: Extractor, images: Tensor, device: torch.device) -> str:
        """Hash of what an extractor makes of fixed noise of the images' shape."""
        known = extractor, tuple(images.shape[1:])
        if known not in self._sees:
            self._sees[known] = content_of(fixed_features(extractor, images, device))
        return self._sees[known]

    def numbers(
        self, name: str, depends_on: Mapping[str, Any], compute: Callable[[], list[float]]
    ) -> list[float]:
        """Numbers made of features, such as floors and ceilings.

        Args:
            name: What they are, for people who look into the folder.
            depends_on: All that they are made of, as JSON data.
            compute: Gives them; NaN where one cannot be had.
        """
        key = {"kind": name, "package": code_digest(), **depends_on}
        made = self._entry(
            name, key, lambda: {"numbers": torch.tensor(compute(), dtype=torch.float64)}
        )
        return made["numbers"].tolist()

    def _entry(
        self, name: str, key: Mapping[str, Any], compute: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        text = json.dumps({**key, "schema": SCHEMA, "torch": torch.__version__}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = None if self.folder is None else self.folder / f"{name}-{digest[:24]}.safetensors"
        known = None if path is None else read(path, text)
        if known is not None:
            return known
        if not self.computed:
            kept = f"kept in {self.folder}" if self.folder else "kept nowhere"
            log.info("measuring real images, floors and ceilings once, %s", kept)
        self.computed += 1
        made = {name: tensor.contiguous() for name, tensor in compute().items()}
        if path is not None:
            self._keep(path, made, text)
        return made

    def _keep(self, path: Path, tensors: dict[str, Tensor], key: str) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file  # from where they are: bytes would be a copy

        about = {"key": key, "sha256": tensors_digest(tensors)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as part:
                save_file(tensors, part, about)
        except (OSError, SafetensorError) as error:
            told = error.strerror if isinstance(error, OSError) else error
            log.warning("the feature store cannot keep %s (%s)", path, told)
            self.folder = None


def read(path: Path, key: str) -> dict[str, Tensor] | None:
    """The tensors of an entry; None, and a warning that names it, where it is damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        log.warning("the feature store's %s is damaged (%s): computed again", path, error)
        return None
    if about.get("key") != key or about.get("sha256") != tensors_digest(tensors):
        log.warning("the feature store's %s is damaged (other content): computed again", path)
        return None
    return tensors


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and contents."""
    contents = [(name, content_of(tensor)) for name, tensor in sorted(tensors.items())]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def fixed_features(extractor: Extractor, images: Tensor, device: torch.device) -> Tensor:
    """Features (2, D) of two images of fixed noise, as large as those that are measured."""
    words = numpy.random.Philox(key=0).random_raw(2 * images[0].numel())
    noise = torch.from_numpy((words >> numpy.uint64(56)).astype(numpy.uint8))
    seen = extract(extractor, noise.view(2, *images.shape[1:]), device, batch=2)
    return seen.features.cpu()


def content(images: Tensor | None) -> str:
    """SHA-256 over dtype, shape and bytes; images (N, C, H, W), or labels, or None."""
    return "none" if images is None else content_of(images.cpu())


def content_of(tensor: Tensor) -> str:
    """SHA-256 over dtype, shape and bytes of a tensor on the CPU."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    for part in in_parts(tensor):
        digest.update(part.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 over the source of gen_models and the versions it computes with.

    Another formula is another number.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    for package in ("numpy", "scipy", "scikit-learn"):
        digest.update(version(package).encode())
    return digest.hexdigest()


def source_digest(kind: Callable[..., Any]) -> str:
    """SHA-256 over the file that a class is written in: a user's own instrument changes too.

    A class without a file, typed into a session, is another one every time.
    """
    try:
        file = inspect.getsourcefile(kind)
    except (TypeError, OSError):
        file = None
    if file is None or not Path(file).is_file():
        return f"{id(kind)} {os.getpid()} {time.time_ns()}"
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
