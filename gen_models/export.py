"""Write a trained model for other programs: `python -m gen_models.export RUN --to onnx`.

`safetensors`: model.safetensors and model.json, the whole model, to be shared and read again by
`gen_models.load_run`. `onnx`: model.onnx, the decoder alone, latents z (batch, D) to pixels
(batch, C, H, W) in [0, 1] at any batch size, checked by ONNX Runtime against torch.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gen_models import __version__
from gen_models.capabilities import Decodes, lacking
from gen_models.errors import UsageError
from gen_models.extras import install
from gen_models.loading import load_run, to_safetensors
from gen_models.models import GenerativeModule
from gen_models.modes import evaluating

__all__ = ["load_run", "to_onnx", "to_safetensors"]

BATCHES = 1, 2, 5
"""Batch sizes at which an exported decoder is checked."""

TOLERANCE = 1e-5
"""Largest difference of a pixel in [0, 1] between ONNX Runtime and torch."""


def to_onnx(model: GenerativeModule, folder: str | Path) -> Path:
    """Write a model's decoder as ONNX: input `z` (batch, D), output `pixels` (batch, C, H, W).

    It is the decoder that samples are drawn by: the averaged generator where there is one, in
    evaluation mode. Which distribution z is drawn from stands in the file's metadata.

    Args:
        model: That `Decodes`, on any device.
        folder: Made if it is not there.

    Returns:
        The file.

    Raises:
        UsageError: If the model decodes no latents, the extra `export` is not installed, or ONNX
            Runtime computes something else than torch.
    """
    if not isinstance(model, Decodes):
        raise UsageError(f"--to onnx: {lacking(model, Decodes)}")
    absent = [package for package in ("onnxscript", "onnxruntime") if find_spec(package) is None]
    if absent:
        raise UsageError(f"--to onnx needs {' and '.join(absent)}: {install('export')}")
    path = Path(folder) / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator(model.device).manual_seed(0)
    with evaluating(model), torch.no_grad():
        decoder = Decoder(model).eval()
        latents = [model.sample_prior(batch, generator) for batch in BATCHES]
        made: Any = torch.onnx.export(
            decoder,
            (latents[-1],),
            dynamo=True,
            input_names=["z"],
            output_names=["pixels"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        pixels = [decoder(z) for z in latents]
    made.model.metadata_props.update(about(model))
    made.save(path, external_data=False)
    check(path, latents, pixels)
    return path


class Decoder(nn.Module):
    """A model as the map from latents to pixels that it is.

    Args:
        model: That `Decodes`.
    """

    def __init__(self, model: Decodes) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        """Pixels (B, C, H, W) in [0, 1] of latents (B, D)."""
        return self.model.decode(z)


def about(model: Any) -> dict[str, str]:
    """What the file says of itself."""
    return {
        "gen_models": __version__,
        "model": type(model).__name__,
        "prior": type(model.prior).__name__ if hasattr(model, "prior") else "its own",
        "images_seen": str(model.images_seen),
    }


def check(path: Path, latents: list[Tensor], pixels: list[Tensor]) -> None:
    """Let ONNX Runtime decode the same latents.

    Raises:
        UsageError: If a pixel is not torch's.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for z, wanted in zip(latents, pixels, strict=True):
        [made] = session.run(None, {"z": z.cpu().numpy()})
        found = torch.from_numpy(made)
        same = found.shape == wanted.shape
        difference = (found - wanted.cpu()).abs().max().item() if same else float("inf")
        if not difference <= TOLERANCE:
            path.unlink()
            raise UsageError(
                f"ONNX Runtime's pixels differ from torch's by {difference:.1e} at a batch of "
                f"{len(z)}: this generator cannot be exported by this version of torch"
            )


FORMATS = {"safetensors": to_safetensors, "onnx": to_onnx}


def main(words: list[str] | None = None) -> int:
    """Load and write; 2, and one line, if something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m gen_models.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--to", choices=FORMATS, required=True, help="format")
    parser.add_argument("--out", type=Path, help="folder of the files; RUN/export if not given")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last")
    parser.add_argument(
        "--trust", nargs="+", default=(), metavar="PACKAGE", help="packages whose code may be run"
    )
    options = parser.parse_args(words)
    try:
        model = load_run(options.run, options.checkpoint, options.trust)
        path = FORMATS[options.to](model, options.out or options.run / "export")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{type(model).__name__} after {model.images_seen} images: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
