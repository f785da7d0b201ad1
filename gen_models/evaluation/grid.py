"""A picture of many images, as small a file as it can be without loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gen_models.data.ranges import to_bytes


@dataclass(frozen=True)
class Grid:
    """A picture of many images.

    Attributes:
        name: Stem of its file.
        title: What it shows.
        caption: How to read it; the same for every model that it is true of.
        pixels: (N, C, H, W), in [0, 1].
        columns: Images in a row.
        rows: What each row shows, from the top; empty where all show the same.
    """

    name: str
    title: str
    caption: str
    pixels: Tensor
    columns: int
    rows: tuple[str, ...] = ()

    def save(self, path: Path) -> Path:
        """Write it as PNG, images a pixel apart on mid grey; grey ones at one byte a pixel."""
        from PIL import Image
        from torchvision.utils import make_grid

        tiles = make_grid(self.pixels.cpu(), nrow=self.columns, padding=1, pad_value=0.5)
        canvas = to_bytes(tiles)
        grey = bool((canvas == canvas[:1]).all())
        shown = canvas[0] if grey else canvas.movedim(0, -1)
        Image.fromarray(shown.numpy()).save(path, "PNG", optimize=True)
        return path


def strips(name: str, title: str, caption: str, rows: Sequence[tuple[str, Tensor]]) -> Grid:
    """Rows of images under one another, and what each shows.

    Args:
        name: Stem of the file.
        title: What the picture shows.
        caption: How to read it.
        rows: Words and pixels (N, C, H, W), the same N in every row.
    """
    told, pixels = zip(*rows, strict=True)
    columns = len(pixels[0])
    assert all(len(row) == columns for row in pixels), "rows are as long as one another"
    return Grid(name, title, caption, torch.cat(pixels), columns, told)


def listed(values: Tensor) -> str:
    """Numbers (N,) to two digits, in their order.

    >>> listed(torch.tensor([0.00314, 12.5, 1234.0]))
    '0.0031, 12, 1,200'
    """
    return ", ".join(map(rounded, values.tolist()))


def rounded(value: float, digits: int = 2) -> str:
    """A number to so many digits, without an exponent where it is large."""
    return f"{float(f'{value:.{digits}g}'):,g}"
