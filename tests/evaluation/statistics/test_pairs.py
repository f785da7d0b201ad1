"""The blocked pass against all pairs at once, and distances that are exact."""

import dataclasses
import math

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.pairs import Pairs
from gen_models.evaluation.statistics.points import Points, nearest, smallest


def drawn(count, dimension=8, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=generator, dtype=torch.float64) + shift


def on_a_grid(features, step=1 / 64):
    """Rounded, so that no further rounding can change them."""
    return (features / step).round() * step


def squared(x, y):
    return (x[:, None] - y).square().sum(-1)


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


def test_neighbours_are_those_of_the_whole_matrix(sets, pairs):
    real, fake = sets
    for found, matrix in (
        (pairs.real_radii, without_diagonal(squared(real, real), math.inf)),
        (pairs.fake_radii, without_diagonal(squared(fake, fake), math.inf)),
        (pairs.real_to_fake, squared(real, fake)),
        (pairs.fake_to_real, squared(fake, real)),
    ):
        assert torch.equal(found, matrix.sort().values[:, :5])


def test_balls_are_those_of_the_whole_matrix(sets, pairs):
    real, fake = sets
    distances = squared(real, fake)
    blocks = [range(i * 97 // 20, (i + 1) * 97 // 20) for i in range(20)]
    for k in range(5):
        radius = without_diagonal(squared(real, real), math.inf).sort().values[:, k, None]
        reach = without_diagonal(squared(fake, fake), math.inf).sort().values[:, k]
        assert torch.equal(pairs.touched[:, k], (distances <= radius).any(0))
        assert torch.equal(pairs.inside[:, k], (distances < radius).sum(0).double())
        reached = torch.stack([(distances <= reach)[:, b].any(1) for b in blocks], 1)
        assert torch.equal(pairs.reached[:, k], reached)
    smallest_of_blocks = torch.stack([distances[:, b].amin(1) for b in blocks], 1)
    assert torch.equal(pairs.block_nearest, smallest_of_blocks)


def test_kernels_are_those_of_features_as_they_were(sets, pairs):
    real, fake = sets
    across, inner = kernel(real, fake), without_diagonal(kernel(fake, fake), 0)
    expected = without_diagonal(kernel(real, real), 0).sum(1)
    torch.testing.assert_close(pairs.real_kernel, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(pairs.fake_kernel, inner.sum(1), rtol=1e-12, atol=0)
    torch.testing.assert_close(pairs.real_fake_kernel, across.sum(1), rtol=1e-12, atol=0)
    torch.testing.assert_close(pairs.fake_real_kernel, across.sum(0), rtol=1e-12, atol=0)
    assert pairs.fake_kernel_squares == pytest.approx(inner.square().sum().item(), rel=1e-12)


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_blocks_change_no_distance(sets, pairs, block):
    other = Pairs.of(real=sets[0], fake=sets[1], block=block)
    for field in dataclasses.fields(Pairs):
        mine, theirs = (torch.as_tensor(getattr(x, field.name)) for x in (pairs, other))
        if "kernel" in field.name:
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
        else:
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("offset", [0.0, 10.0, 1000.0])
def test_float32_features_far_from_0_lose_nothing(offset):
    real, fake = ((drawn(60, 32, seed) + offset).float() for seed in (0, 1))
    found = Pairs.of(real=real, fake=fake, neighbours=3)
    exact = squared(fake.double(), real.double()).sort().values[:, :3]
    torch.testing.assert_close(found.fake_to_real, exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0, 1000])
def test_copies_are_at_distance_0_and_symmetric_pairs_equally_far(dtype, offset):
    real = (drawn(400, 64) * 3 + offset).to(dtype)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    pairs = Pairs.of(real=real, fake=real[order], block=128)
    assert (pairs.fake_to_real[:, 0] == 0).all()
    assert torch.equal(pairs.real_radii[order], pairs.fake_radii)
    assert torch.equal(pairs.real_to_fake[:, 1:], pairs.real_radii[:, :4])


def test_products_are_exact_where_they_are_largest():
    """Against Python's own integers, at the full length of the grid."""
    far = torch.full((3, 2048), 3.0) * torch.tensor([[1.0], [-1.0], [0.999]])
    x, y = Points.of(real=far + drawn(3, 2048), fake=-far)
    everything = slice(0, 3)
    products = x.products(everything, y, everything)
    distances = x.distances(everything, y, everything, products)
    for i, a in enumerate(x.whole.tolist()):
        for j, b in enumerate(y.whole.tolist()):
            assert int(distances[i, j]) == sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
    assert 2**24 <= x.squares.max().sqrt() <= 2**25.01


@pytest.mark.parametrize("columns", [1, 40, 64, 95, 500])
def test_selection_by_groups_is_a_selection(columns):
    values = drawn(30, columns)
    found, where = smallest(values, 6)
    assert torch.equal(found.sort().values, values.sort().values[:, :6])
    assert torch.equal(values.gather(1, where), found)


def test_nearest_names_the_right_ones():
    real, fake = drawn(700), drawn(600, seed=1)
    x, y = Points.of(real=real, fake=fake)
    found = nearest(y, x, 3, block=128)
    assert torch.equal(found.indices, squared(fake, real).argsort()[:, :3])


def test_distinct_points_keep_their_order():
    features = drawn(5)[[3, 3, 1, 4, 1, 0]]
    points = Points.of(real=features, fake=features)[0]
    assert torch.equal(points.distinct().whole, points.whole[[0, 2, 3, 5]])


def test_settings_of_the_process_do_not_matter(sets, pairs):
    torch.set_float32_matmul_precision("medium")
    try:
        other = Pairs.of(real=sets[0].float(), fake=sets[1].float(), block=32)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(other.real_to_fake, pairs.real_to_fake)


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
