"""Copies are found, new images of the same law are not taken for copies."""

import pytest
import torch
from scipy import stats

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.copies import copies, duplicates
from gen_models.evaluation.statistics.memorisation import (
    authenticity,
    copying,
    mann_whitney,
    memorisation_penalty,
    nearest_training,
)


def drawn(count, dimension=16, seed=0, shift=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    return noise * scale + shift


def test_nearest_training_images():
    train, fake = drawn(600), drawn(550, seed=1)
    distances, indices = nearest_training(train=train, fake=fake)
    expected = torch.cdist(fake, train).min(1)
    torch.testing.assert_close(distances, expected.values, rtol=1e-6, atol=0)
    assert torch.equal(indices, expected.indices)


def test_copies_are_at_distance_0_of_what_they_copy():
    train = drawn(600, 64, shift=100.0).float()
    distances, indices = nearest_training(train=train, fake=train[50:70])
    assert (distances == 0).all()
    assert indices.tolist() == list(range(50, 70))


def test_five_training_images_repeated_are_copies():
    train, test = drawn(1500), drawn(600, seed=1)
    fake = train[:5].repeat(120, 1)
    assert copying(train=train, test=test, fake=fake).value < -10
    assert authenticity(train=train, fake=fake).value == 0
    noisy = fake + drawn(600, seed=2, scale=0.1)
    assert copying(train=train, test=test, fake=noisy).value < -10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_new_images_are_no_copies(seed):
    train, test, fake = drawn(1500), drawn(600, seed=10), drawn(600, seed=10 + seed)
    assert abs(copying(train=train, test=test, fake=fake).value) < 3
    fresh, own = authenticity(train=train, fake=fake), authenticity(train=train, fake=test)
    assert abs(fresh.value - own.value) < 3 * (fresh.error**2 + own.error**2) ** 0.5


def test_underfitting_is_above_0():
    train, test = drawn(800), drawn(400, seed=1)
    assert copying(train=train, test=test, fake=drawn(400, seed=2, scale=1.5)).value > 5


def test_more_of_the_images_that_lie_close_is_no_copying():
    """What cells are for: distances are ranked among images of the same kind."""

    def law(tight, loose, seed):
        near = drawn(tight, seed=seed, scale=0.1)
        return torch.cat([near, drawn(loose, seed=seed + 1, shift=20.0)])

    train, test, fake = law(500, 500, 0), law(200, 200, 2), law(350, 100, 4)
    assert abs(copying(train=train, test=test, fake=fake).value) < 3
    distances, _ = nearest_training(train=train, fake=torch.cat([test, fake]))
    assert mann_whitney(distances[400:], distances[:400]) < -6


def test_many_dimensions_are_projected_on_the_axes_that_matter():
    def embedded(features):
        noise = torch.zeros(len(features), 200 - features.shape[1]).double()
        rotation = torch.linalg.qr(drawn(200, 200, seed=99)).Q
        return torch.cat([features, noise], 1) @ rotation

    sets = {
        "train": drawn(400, 40),
        "test": drawn(200, 40, seed=1),
        "fake": drawn(200, 40, seed=2),
    }
    plain = copying(**sets)
    assert copying(**{name: embedded(x) for name, x in sets.items()}) == pytest.approx(plain)


def test_rank_statistic_is_that_of_scipy():
    a, b = drawn(40, 1)[:, 0], drawn(30, 1, seed=1, shift=0.3)[:, 0]
    for x, y in ((a, b), (a.round(), b.round())):
        p = stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=False, alternative="less")
        assert stats.norm.cdf(mann_whitney(x, y)) == pytest.approx(p.pvalue, rel=1e-9)
    assert mann_whitney(torch.ones(3), torch.ones(4)) == 0


@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_error_of_copying_agrees_with_redraws(scale):
    train, test = drawn(500, 8), drawn(300, 8, seed=1)
    draws = [
        copying(train=train, test=test, fake=drawn(300, 8, 10 + i, scale=scale)) for i in range(80)
    ]
    values, errors = torch.tensor(draws).T
    assert 0.8 < errors.mean() / values.std() < 1.25


def test_authenticity_written_out():
    train, fake = drawn(300), drawn(200, seed=1)
    nearest = torch.cdist(fake, train).min(1)
    own = torch.cdist(train, train).fill_diagonal_(torch.inf).amin(1)
    expected = (nearest.values > own[nearest.indices]).double().mean().item()
    value, error = authenticity(train=train, fake=fake)
    assert value == pytest.approx(expected)
    likely = (200 * expected + 0.5) / 201
    assert error == pytest.approx((likely * (1 - likely) / 200) ** 0.5)


@pytest.mark.filterwarnings("ignore")
def test_penalty_is_over_fakes_where_torchmetrics_takes_training_images():
    from torchmetrics.image.mifid import _compute_cosine_distance

    train = drawn(1000)
    copied = train[:5].repeat(40, 1) * 2  # the cosine sees no length
    value, error = memorisation_penalty(train=train, fake=copied, threshold=0.1)
    assert value > 1e10
    assert error is not None
    swapped = _compute_cosine_distance(train, copied, cosine_distance_eps=0.1)
    assert 1 / (swapped + 1e-14) == pytest.approx(1)
    right = _compute_cosine_distance(copied, train, cosine_distance_eps=0.1)
    assert right == pytest.approx(0, abs=1e-12)


def test_penalty_written_out():
    train, fake = drawn(700), drawn(600, seed=1)
    cosines = torch.nn.functional.cosine_similarity(fake[:, None], train, dim=-1).abs()
    distance = (1 - cosines.amax(1)).mean().item()
    value, _ = memorisation_penalty(train=train, fake=fake, threshold=1.0)
    assert value == pytest.approx(1 / distance)
    fresh = memorisation_penalty(train=train, fake=fake, threshold=distance / 2)
    assert fresh == (1, 0)


def test_error_of_the_penalty_agrees_with_redraws():
    train = drawn(300)
    draws = [
        memorisation_penalty(train=train, fake=drawn(100, 16, i), threshold=1.0)
        for i in range(1, 120)
    ]
    values, errors = torch.tensor(draws).T
    assert 0.8 < errors.mean() / values.std() < 1.25


def test_bytes_that_are_the_same():
    images = torch.randint(256, (20, 1, 4, 4), dtype=torch.uint8)
    repeated = torch.cat([images, images[:3], images[:1]])
    assert duplicates(images) == 0
    assert duplicates(repeated) == 4
    near = images.clone()
    near[:, 0, 0, 0] ^= 1
    assert copies(near, images) == 0
    assert copies(torch.cat([near, images[5:7], images[5:6]]), images) == 3
    assert duplicates(torch.zeros(9, 1, 4, 4, dtype=torch.uint8)) == 8


def test_too_few_images_are_named():
    with pytest.raises(UsageError, match="holds 20 of the 10 held-out images"):
        copying(train=drawn(100), test=drawn(10, seed=1), fake=drawn(100, seed=2))
    with pytest.raises(UsageError, match="2 training images"):
        authenticity(train=drawn(1), fake=drawn(3))
    with pytest.raises(UsageError, match="8 and 16 dimensions"):
        memorisation_penalty(train=drawn(9), fake=drawn(9, 8), threshold=0.1)
