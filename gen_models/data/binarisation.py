r"""Binary images: each pixel a draw of Bernoulli, its grey value the probability of white.

A threshold t, uniform on 0..254, makes a byte v white where v > t, so that
$P(\text{white}) = v / 255$ without rounding, by integers alone and hence alike on every device.

*Static* binarisation draws every image once; the draw is our own, not that of the published fixed
MNIST. *Dynamic* binarisation draws training images anew whenever they are shown, and validation and
test images once, with seed 777, as is done for the Exemplar VAE (Norouzi et al., 2020). The two
differ by about 2 nats on MNIST (Burda et al., 2016), so that the data have a name for each.
"""

import math

import numpy as np
import torch
from torch import Tensor

from gen_models.data.draws import words
from gen_models.data.images import ImageSet
from gen_models.data.ranges import WHITE
from gen_models.data.storage import MEMORY, Storage
from gen_models.errors import UsageError

KINDS = (None, "static", "dynamic")
FIXED_SEED = 777
# Images drawn at a time; their thresholds take five times the memory of the bytes.
PART = 1000


def check_kind(kind: str | None) -> str | None:
    """The kind itself.

    Raises:
        UsageError: If there is no such kind of binarisation.
    """
    if kind not in KINDS:
        raise UsageError(f"data.binarize={kind!r} must be one of null, static, dynamic")
    return kind


def binary(
    images: Tensor, seed: int, stream: int, position: int, place: tuple[int, int] = (0, 1)
) -> Tensor:
    """A draw of bytes: black (0) or white, a pure function of the arguments.

    Args:
        images: (N, C, H, W), uint8, grey values.
        seed: 0 <= seed < 2**64.
        stream: What the draw is for, 0 <= stream < 2**64.
        position: Which draw of the stream.
        place: (r, n): the images are the r-th of n equal parts of what is drawn for.

    Returns:
        (N, C, H, W), uint8, on the images' device; its pixels are exactly 0 or 1.
    """
    assert images.dtype == torch.uint8, f"bytes expected, got {images.dtype}"
    part, parts = place
    count = parts * math.prod(images.shape)
    # Little-endian halves, so that every machine cuts a word alike. 2**32 is 1 modulo 255: the
    # thresholds are uniform but for one word in four thousand million.
    halves = words(-(-count // 2), seed, stream, position).astype("<u8").view("<u4")[:count]
    whole = torch.from_numpy((halves % WHITE).astype(np.uint8)).view(parts, *images.shape)
    white = images > whole[part].to(images.device, non_blocking=True)
    return white.to(torch.uint8) * WHITE


def fixed_draw(images: ImageSet, stream: int, storage: Storage = MEMORY) -> ImageSet:
    """The one draw of these images that everybody has; labels stay.

    Args:
        images: Grey values.
        stream: What the draw is for.
        storage: Where it shall lie.

    Raises:
        UsageError: If the images are floats, which are no grey values.
    """
    if images.images.dtype != torch.uint8:
        raise UsageError("data.binarize: these data are floats, not grey values; leave it null")
    parts = images.images.split(PART)
    drawn = (binary(part, FIXED_SEED, stream, position) for position, part in enumerate(parts))
    return ImageSet(storage.join(drawn), images.labels, images.classes)
