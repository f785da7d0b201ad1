"""Similarities of image pairs against closed forms, a naive loop and torchmetrics."""

import math

import pytest
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.similarity import (
    signal_to_noise,
    squared_error,
    structural_similarity,
)


def images(count=6, channels=1, height=16, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, height, width, generator=generator)


def near(pixels, deviation=0.1):
    generator = torch.Generator().manual_seed(1)
    return (pixels + deviation * torch.randn(pixels.shape, generator=generator)).clamp(0, 1)


def test_a_constant_error():
    a = 0.5 * images()
    for error in (0.5, 0.1, 1e-3):
        assert squared_error(a, a + error).tolist() == pytest.approx([error**2] * 6, rel=1e-3)
        expected = -20 * math.log10(error)
        assert signal_to_noise(a, a + error).tolist() == pytest.approx([expected] * 6, abs=1e-2)


def test_an_image_and_itself():
    a = images()
    assert squared_error(a, a).tolist() == [0] * 6
    assert signal_to_noise(a, a).tolist() == [math.inf] * 6
    assert structural_similarity(a, a).tolist() == pytest.approx([1] * 6, abs=1e-12)


def test_even_images_differ_by_luminance_alone():
    """Without variance SSIM is (2 a b + c1) / (a^2 + b^2 + c1)."""
    a, b = torch.full((1, 1, 12, 12), 0.25).double(), torch.full((1, 1, 12, 12), 0.75).double()
    expected = (2 * 0.1875 + 1e-4) / (0.0625 + 0.5625 + 1e-4)
    assert structural_similarity(a, b).item() == pytest.approx(expected, rel=1e-12)


def test_a_negative_has_the_opposite_structure():
    assert structural_similarity(images(), 1 - images()).max() < -0.5


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 11, 20)])
def test_torchmetrics_agrees(shape):
    a = images(5, *shape)
    b = near(a)
    ssim = structural_similarity_index_measure(b, a, data_range=1.0, reduction="none")
    assert torch.allclose(structural_similarity(a, b), ssim.double(), atol=1e-5)
    psnr = peak_signal_noise_ratio(b, a, data_range=1.0, reduction="none", dim=(1, 2, 3))
    assert torch.allclose(signal_to_noise(a, b), psnr.double(), atol=1e-5)


def test_the_window_around_a_pixel_far_from_the_edge():
    """Of an image of 11 x 11 mirrored on all sides, SSIM is the mean of windows like this one."""
    a, b = images(1, 1, 11, 11)[0, 0].double(), images(1, 1, 11, 11, seed=1)[0, 0].double()
    place = torch.arange(-5.0, 6.0).double()
    line = torch.exp(-place.square() / (2 * 1.5**2))
    window = line[:, None] * line / line.sum() ** 2

    def mirrored(index):
        index = abs(index)
        return 20 - index if index > 10 else index

    total = 0.0
    for y in range(11):
        for x in range(11):
            rows = [mirrored(y + i) for i in range(-5, 6)]
            columns = [mirrored(x + i) for i in range(-5, 6)]
            p, q = a[rows][:, columns], b[rows][:, columns]
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p = (window * (p - mean_p).square()).sum()
            var_q = (window * (q - mean_q).square()).sum()
            both = (window * (p - mean_p) * (q - mean_q)).sum()
            total += (
                (2 * mean_p * mean_q + 0.01**2)
                * (2 * both + 0.03**2)
                / ((mean_p**2 + mean_q**2 + 0.01**2) * (var_p + var_q + 0.03**2))
            ).item()
    value = structural_similarity(a[None, None], b[None, None]).item()
    assert value == pytest.approx(total / 121, rel=1e-10)


def test_batches_change_nothing():
    a = images(1100, height=12, width=11)
    b = near(a)
    whole = structural_similarity(a, b)
    assert whole.shape == (1100,)
    assert torch.allclose(whole[700:703], structural_similarity(a[700:703], b[700:703]), atol=1e-12)


def test_small_images_are_refused_by_size():
    with pytest.raises(UsageError, match="8 x 16"):
        structural_similarity(images(height=8), images(height=8))
