"""The classifier two-sample test on laws whose best accuracy is known."""

import pytest
import torch
from scipy.stats import norm

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.two_sample import linear, neighbours, told_apart


def sides(count=4000, shift=1.5, dimensions=2):
    real, fake = torch.randn(2, count, dimensions).unbind()
    fake[:, 0] += shift
    return real, fake


@pytest.mark.parametrize("kind", [linear, neighbours])
def test_equal_laws_are_told_by_chance(kind):
    real, fake = sides(shift=0.0)
    value, error = told_apart(real=real, fake=fake, kind=kind)
    assert error == pytest.approx(0.5 / 4000**0.5, rel=0.01)
    assert abs(value - 0.5) < 3.5 * error


def test_two_gaussians_are_told_by_half_their_distance():
    """Phi(mu / 2): a line is the best classifier, and neighbours come near."""
    real, fake = sides()
    best = norm.cdf(0.75)
    value, error = told_apart(real=real, fake=fake)
    assert abs(value - best) < 3.5 * error
    assert abs(told_apart(real=real, fake=fake, kind=neighbours).value - best) < 0.03


def test_neighbours_see_what_a_line_does_not():
    """A Gaussian of three times the width: the best accuracy in the plane is known."""
    real, fake = sides(shift=0.0)
    # The densities are equal where r^2 = 4.944; 1/2 + TV/2 = (F(4.944) + 1 - F(4.944 / 9)) / 2.
    best = (1 - torch.tensor(-2.472).exp() + torch.tensor(-2.472 / 9).exp()) / 2
    assert abs(told_apart(real=real, fake=3 * fake).value - 0.5) < 0.05
    assert abs(told_apart(real=real, fake=3 * fake, kind=neighbours).value - best) < 0.03


def test_images_that_were_learned_from_are_not_judged():
    """One nearest neighbour knows what it has seen by heart; fresh noise it can only guess."""

    def by_heart(count):
        from sklearn.neighbors import KNeighborsClassifier

        return KNeighborsClassifier(1)

    real, fake = sides(count=1000, shift=0.0)
    assert abs(told_apart(real=real, fake=fake, kind=by_heart).value - 0.5) < 0.06


def test_sides_are_equally_many_whatever_there_is():
    """With 9 real images to one fake, always saying "real" must not be worth 0.9."""
    real, fake = sides(count=3600, shift=0.0)
    value, error = told_apart(real=real, fake=fake[:400])
    assert error == pytest.approx(0.5 / 400**0.5, rel=0.02)
    assert abs(value - 0.5) < 3.5 * error
    assert told_apart(real=real, fake=fake, most=400).error == pytest.approx(error, rel=0.02)


def test_sorted_sides_are_halved_at_random():
    """A side sorted by size would otherwise be learned from and judged on other parts of it."""
    real, fake = (side[side[:, 0].argsort()] for side in sides())
    assert told_apart(real=real, fake=fake).value == pytest.approx(norm.cdf(0.75), abs=0.03)
    assert told_apart(real=real, fake=fake) == told_apart(real=real, fake=fake)
    # The lower halves alone, below 0 and below 1.5, are told by 0.93.
    part = told_apart(real=real, fake=fake, most=2000)
    assert abs(part.value - norm.cdf(0.75)) < 3.5 * part.error


def test_too_few_are_refused():
    with pytest.raises(UsageError, match="too few"):
        told_apart(real=torch.randn(3, 2), fake=torch.randn(50, 2))
