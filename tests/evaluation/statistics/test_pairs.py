"""The blocked pass against all pairs at once, and distances that are exact."""

import dataclasses
import math

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.pairs import Pairs
from gen_models.evaluation.statistics.points import Points, nearest
from tests.evaluation.statistics.sets import HARD, drawn, squared


def on_a_grid(features, step=1 / 64):
    """Rounded, so that no further rounding can change them."""
    return (features / step).round() * step


def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def without_diagonal(matrix, value):
    return matrix.clone().fill_diagonal_(value)


@pytest.fixture(scope="module")
def sets():
    return on_a_grid(drawn(130, shift=0.5)), on_a_grid(drawn(97, seed=1))


@pytest.fixture(scope="module")
def pairs(sets):
    return Pairs.of(real=sets[0], fake=sets[1], neighbours=5, block=32)


def radii(distances):
    """Squared distances (N, 5) to the nearest others."""
    return without_diagonal(distances, math.inf).sort().values[:, :5]


def by_whole_matrices(real, fake, across):
    """What balls and neighbours are, from all squared distances at once."""
    count = across.shape[1]
    blocks = [range(i * count // 20, (i + 1) * count // 20) for i in range(20)]
    own, others = radii(real), radii(fake)
    nearest_of_blocks = torch.stack([across[:, b].amin(1) for b in blocks], 1)
    closed = across[:, None] <= others.T
    return {
        "real_radii": own,
        "fake_radii": others,
        "block_nearest": nearest_of_blocks.where(nearest_of_blocks <= own[:, -1:], math.inf),
        "inside": (across[..., None] < own[:, None]).sum(0).double(),
        "touched": (across[..., None] <= own[:, None]).any(0),
        "reached": torch.stack([closed[..., b].any(-1) for b in blocks], -1),
    }


def test_balls_and_neighbours_are_those_of_the_whole_matrix(sets, pairs):
    real, fake = sets
    expected = by_whole_matrices(squared(real, real), squared(fake, fake), squared(real, fake))
    for name, values in expected.items():
        assert torch.equal(getattr(pairs, name), values), name


@pytest.mark.parametrize("name", HARD)
def test_bounds_in_float32_decide_nothing_that_they_do_not_know(name):
    """To the bit, against exact distances of all pairs."""
    x, y = Points.of(real=HARD[name][0], fake=HARD[name][1])
    every = slice(None)
    within = [a.distances(every, b, every) for a, b in ((x, x), (y, y), (x, y))]
    found = Pairs.of(real=HARD[name][0], fake=HARD[name][1], block=100)
    for field, values in by_whole_matrices(*within).items():
        scale = x.step**2 if values.dtype == torch.float64 and field != "inside" else 1
        assert torch.equal(getattr(found, field), values * scale), field
    assert torch.equal(nearest(y, x, 4, block=100).squares, within[2].T.sort().values[:, :4])


def test_features_are_left_as_they_were(sets):
    before = [features.clone() for features in sets]
    Pairs.of(real=sets[0], fake=sets[1])
    assert all(torch.equal(a, b) for a, b in zip(before, sets, strict=True))


def test_kernels_are_those_of_features_as_they_were(sets, pairs):
    real, fake = sets
    across, inner = kernel(real, fake), without_diagonal(kernel(fake, fake), 0)
    expected = without_diagonal(kernel(real, real), 0).sum(1)
    for found, sums in (
        (pairs.real_kernel, expected),
        (pairs.fake_kernel, inner.sum(1)),
        (pairs.real_fake_kernel, across.sum(1)),
        (pairs.fake_real_kernel, across.sum(0)),
    ):
        torch.testing.assert_close(found, sums, rtol=1e-6, atol=1e-6 * sums.abs().max().item())
    assert pairs.fake_kernel_squares == pytest.approx(inner.square().sum().item(), rel=1e-6)


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_blocks_change_no_distance(sets, pairs, block):
    other = Pairs.of(real=sets[0], fake=sets[1], block=block)
    for field in dataclasses.fields(Pairs):
        mine, theirs = (torch.as_tensor(getattr(x, field.name)) for x in (pairs, other))
        if "kernel" in field.name:
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-5)
        else:
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0, 1000])
def test_copies_are_at_distance_0_and_symmetric_pairs_equally_far(dtype, offset):
    real = (drawn(400, 64) * 3 + offset).to(dtype)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    pairs = Pairs.of(real=real, fake=real[order], block=128)
    x, y = Points.of(real=real, fake=real[order])
    across = nearest(x, y, 5)
    assert torch.equal(across.indices[order, 0], torch.arange(400))
    assert (across.squares[:, 0] == 0).all()
    assert torch.equal(pairs.real_radii[order], pairs.fake_radii)
    assert torch.equal(across.squares[:, 1:] * x.step**2, pairs.real_radii[:, :4])


def test_settings_of_the_process_do_not_matter(sets, pairs):
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            other = Pairs.of(real=sets[0].float(), fake=sets[1].float(), block=32)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    for field in dataclasses.fields(Pairs):
        mine, theirs = (torch.as_tensor(getattr(x, field.name)) for x in (pairs, other))
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)


def test_bad_sets_are_named():
    broken = drawn(9)
    broken[4, 2] = math.nan
    with pytest.raises(UsageError, match="fake image 4"):
        Pairs.of(real=drawn(9), fake=broken)
    with pytest.raises(UsageError, match="5 fake images have no 5 nearest others; take 6"):
        Pairs.of(real=drawn(9), fake=drawn(5))
    with pytest.raises(UsageError, match="8 and 9 dimensions"):
        Pairs.of(real=drawn(9, 9), fake=drawn(9))
    with pytest.raises(UsageError, match="no fake images"):
        Points.of(real=drawn(9), fake=drawn(0))
