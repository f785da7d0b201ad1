"""Corruptions of known strength, and levels read from known ladders."""

import numpy
import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance
from gen_models.evaluation.statistics.ladder import (
    LEVELS,
    blurred,
    corrupted,
    equivalent_level,
    noisy,
    off_ladder,
)

LADDER = [(0.0, 1.0), (0.1, 4.0), (0.2, 16.0), (0.4, 25.0)]
DIP = [(0.0, 1.0), (0.1, 4.0), (0.2, 3.9), (0.3, 9.0)]
# The noise of seed 0 and deviation 0.2 on nine mid grey values.
STREAM = [12, 92, 66, 136, 128, 98, 210, 240, 94]


def grey(count=400, size=8):
    return torch.full((count, 1, size, size), 128, dtype=torch.uint8)


def pictures(count=300, size=8):
    """Smooth random images."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 1, 3, 3, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size, mode="bilinear")
    return (fine * 255).round().to(torch.uint8)


@pytest.mark.parametrize("ladder", [LADDER, [(0.0, 0.0), (1.0, 1e-6), (2.0, 100.0)]])
def test_a_distance_of_the_ladder_has_its_own_level(ladder):
    for level, distance in ladder:
        assert equivalent_level(distance, ladder) == pytest.approx(level, abs=1e-12)


def test_between_two_rungs_the_root_counts():
    assert equivalent_level(9.0, LADDER) == pytest.approx(0.15)


def test_below_and_above_the_ladder():
    for distance in (-4.0, 0.0, 0.5, 1.0):
        assert equivalent_level(distance, LADDER) == 0
    assert equivalent_level(100.0, LADDER) == 0.4
    assert off_ladder(100.0, LADDER)
    assert not off_ladder(25.0, LADDER)
    assert not off_ladder(-1.0, [(0.0, 0.0)])


def test_a_dip_leaves_the_levels_monotone():
    distances = torch.linspace(0, 10, 200).tolist()
    levels = [equivalent_level(d, DIP) for d in distances]
    assert levels == sorted(levels)
    assert equivalent_level(4.0, DIP) == pytest.approx(0.1)
    assert equivalent_level(9.0, DIP) == pytest.approx(0.3)


@pytest.mark.parametrize("levels", [(), (0.1, 0.2), (0.0, 0.2, 0.1), (0.0, 0.0)])
def test_a_ladder_rises_from_nothing(levels):
    with pytest.raises(UsageError, match="rise from 0"):
        equivalent_level(1.0, [(level, 1.0) for level in levels])


@pytest.mark.parametrize("kind", LEVELS)
def test_a_measured_ladder_reads_its_own_distances(kind):
    """On pixels, where the distance grows with every level."""
    images = pictures()
    real = Moments.of(images.flatten(1).double() / 255)
    ladder = [
        (level, frechet_distance(real, Moments.of(to_pixels(worse).flatten(1))))
        for level in LEVELS[kind]
        for worse in [corrupted(images, kind, level)]
    ]
    distances = [distance for _, distance in ladder]
    assert distances == sorted(distances)
    for level, distance in ladder[1:]:
        assert equivalent_level(distance, ladder) == pytest.approx(level)


@pytest.mark.parametrize("kind", LEVELS)
def test_level_zero_is_the_image_itself(kind):
    assert torch.equal(corrupted(pictures(), kind, 0.0), pictures())


def test_noise_has_its_deviation():
    difference = to_pixels(corrupted(grey(), "noise", 0.1)) - to_pixels(grey())
    assert difference.std().item() == pytest.approx(0.1, rel=0.02)
    assert abs(difference.mean().item()) < 3 * 0.1 / difference.numel() ** 0.5
    # Normal: 68.3 % within a deviation.
    assert (difference.abs() < 0.1).float().mean().item() == pytest.approx(0.683, abs=0.015)


def test_noise_is_the_same_at_every_level_and_other_in_every_image():
    half = torch.full((1200, 1, 2, 2), 0.5, dtype=torch.float64)
    one, two = (noisy(half, level, numpy.random.Philox(key=3)) - 0.5 for level in (0.1, 0.2))
    assert torch.allclose(2 * one, two)
    worse = corrupted(grey(1200), "noise", 0.3)
    assert not torch.equal(worse[:200], worse[1000:])
    assert len({image.numpy().tobytes() for image in worse}) == 1200


def test_noise_is_clamped_and_not_wrapped():
    white = torch.full((100, 1, 4, 4), 255, dtype=torch.uint8)
    worse = corrupted(white, "noise", 0.1).float()
    assert worse.min() > 100
    assert (worse == 255).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_seed_says_all():
    first = corrupted(pictures(), "noise", 0.2, seed=1)
    torch.rand(1)
    assert torch.equal(corrupted(pictures(), "noise", 0.2, seed=1), first)
    assert not torch.equal(corrupted(pictures(), "noise", 0.2, seed=2), first)


def test_the_stream_of_noise_is_the_same_for_ever():
    """The levels of published numbers hang on these bytes."""
    assert corrupted(grey(1, 3), "noise", 0.2).flatten().tolist() == STREAM


def test_blur_leaves_even_images_alone_and_sums():
    assert torch.equal(corrupted(grey(5), "blur", 1.5), grey(5))
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    spread = blurred(point, 2.0)
    assert spread.sum().item() == pytest.approx(1, rel=1e-9)
    place = torch.arange(41).double() - 20
    across = (spread.sum((0, 1, 2)) * place.square()).sum().item()
    down = (spread.sum((0, 1, 3)) * place.square()).sum().item()
    assert across == pytest.approx(4, rel=1e-6)
    assert down == pytest.approx(4, rel=1e-6)


def test_blur_is_that_of_torchvision_inside_the_image():
    pixels = torch.rand(2, 3, 24, 30, generator=torch.Generator().manual_seed(0)).double()
    expected = gaussian_blur(pixels, [13, 13], [1.0, 1.0])
    inside = (..., slice(7, -7), slice(7, -7))
    assert torch.allclose(blurred(pixels, 1.0)[inside], expected[inside], atol=1e-7)


def test_a_wide_blur_leaves_the_mean():
    pixels = to_pixels(pictures(3))
    means = pixels.double().mean((2, 3), keepdim=True).expand_as(pixels)
    assert torch.allclose(blurred(pixels, 1e4), means, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "level"), [("rain", 0.1), ("noise", -0.1), ("blur", float("nan"))]
)
def test_mistakes_are_told_in_a_line(kind, level):
    with pytest.raises(UsageError, match="choose noise or blur"):
        corrupted(grey(1), kind, level)
