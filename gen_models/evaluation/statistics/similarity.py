"""How alike two images are, pixel by pixel and window by window; one number for each pair.

All are symmetric in their two arguments, which have the same shape.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from gen_models.errors import UsageError

WINDOW = 11
BATCH = 500


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error of each image.

    Args:
        a: Pixels (B, C, H, W), in [0, 1].
        b: The same shape.

    Returns:
        (B,), float64, squared pixels.
    """
    a, b = _pair(a, b)
    return (a - b).square().mean((1, 2, 3))


def signal_to_noise(a: Tensor, b: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio of each image, $-10 \log_{10} \mathrm{MSE}$ at a peak of 1.

    Its mean over images is not the ratio of their mean error, and is infinite as soon as one image
    is given back without error: average the errors instead.

    Args:
        a: Pixels (B, C, H, W), in [0, 1].
        b: The same shape.

    Returns:
        (B,), float64, decibels; infinite where a and b are equal.

    Example:
        >>> signal_to_noise(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)).round().item()
        20.0
    """
    return -10 * squared_error(a, b).log10()


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    r"""Structural similarity (SSIM) of each image.

    The mean over pixels and channels of $\frac{(2 \mu_a \mu_b + c_1)(2 \sigma_{ab} + c_2)}
    {(\mu_a^2 + \mu_b^2 + c_1)(\sigma_a^2 + \sigma_b^2 + c_2)}$

    (Wang et al., 2004, equation 13), moments under a Gaussian window of 11 x 11 and deviation 1.5,
    c_1 = 0.01^2, c_2 = 0.03^2. At the edges the image is mirrored, as in torchmetrics. The
    windows are two matrix products, exact in float64, several times faster than torchmetrics'
    convolution and within a fixed memory.

    Args:
        a: Pixels (B, C, H, W), in [0, 1].
        b: The same shape.

    Returns:
        (B,), float64, from -1 to 1, and 1 only where a and b are equal.

    Raises:
        UsageError: If an image has a side of fewer than 11 pixels.
    """
    height, width = a.shape[-2:]
    if min(height, width) < WINDOW:
        raise UsageError(
            f"SSIM sees windows of {WINDOW} x {WINDOW} pixels, more than the {height} x {width} of "
            "these images; use the squared error"
        )
    parts = zip(a.split(BATCH), b.split(BATCH), strict=True)
    return torch.cat([_similarity(*_pair(*part)) for part in parts])


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    down, across = (_windows(size).to(a) for size in a.shape[-2:])

    def mean(x: Tensor) -> Tensor:
        return down @ x @ across.T

    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a + b * b) - mean_a.square() - mean_b.square()
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean((1, 2, 3))


def _windows(size: int) -> Tensor:
    """(size, size): row i holds the weights of the window around pixel i, mirrored at the edges."""
    half = WINDOW // 2
    weights = (-0.5 * (torch.arange(-half, half + 1).double() / 1.5).square()).softmax(0)
    mirrored = pad(torch.eye(size).double()[None], (half, half), mode="reflect")[0]
    return (mirrored.unfold(1, WINDOW, 1) @ weights).T


def _pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64, on the CPU where their device has none."""
    assert a.shape == b.shape, f"images of {tuple(a.shape)} and {tuple(b.shape)}"
    device = torch.device("cpu") if a.device.type == "mps" else a.device
    return a.to(device).double(), b.to(device).double()
