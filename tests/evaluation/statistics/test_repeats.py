"""Near twins among samples, and distances to the nearest training image."""

import math

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation.statistics.memorisation import nearest_ratio
from gen_models.evaluation.statistics.repeats import near_repeats


def test_equal_laws_have_the_share_of_the_quantile():
    real, fake = torch.randn(2, 2000, 4).unbind()
    value, error = near_repeats(real=real, fake=fake, share=0.05)
    assert abs(value - 0.05) < 3 * error
    assert error == pytest.approx((2 * 0.05 * 0.95 / 2000) ** 0.5, rel=0.2)


def test_a_small_support_is_seen_by_its_birthdays():
    """Of N samples of K pictures, 1 - (1 - 1/K)^(N-1) have a twin, however small their noise."""
    real, pictures = torch.randn(500, 8), torch.randn(1000, 8)
    fake = pictures[torch.randint(1000, (500,))] + 1e-4 * torch.randn(500, 8)
    value, error = near_repeats(real=real, fake=fake)
    assert abs(value - (1 - (1 - 1 / 1000) ** 499)) < 4 * error
    assert near_repeats(real=real, fake=real[:1].expand(500, -1)).value == 1


def test_the_same_number_is_taken_of_both_sides():
    """Among more images the nearest is nearer: 4,000 samples against 400 must not look alike."""
    real, fake = torch.randn(400, 2), torch.randn(4000, 2)
    assert near_repeats(real=real, fake=fake, share=0.1).value == pytest.approx(0.1, abs=0.06)


def test_real_images_may_be_sorted():
    """Classes of other scatter: the first ones' distances are not those of all."""
    scatter = torch.logspace(-1, 1, 10)
    real = torch.cat([deviation * torch.randn(400, 4) for deviation in scatter])
    fake = scatter[torch.randint(10, (1000,)), None] * torch.randn(1000, 4)
    for sides in (real, real.flip(0)):
        value, error = near_repeats(real=sides, fake=fake, share=0.1)
        assert abs(value - 0.1) < 4 * error


def test_too_few_for_the_quantile():
    with pytest.raises(UsageError, match="199 images of either side are too few"):
        near_repeats(real=torch.randn(300, 2), fake=torch.randn(199, 2))


def repeated(law, count=500, copies=20):
    """Draws of which `copies` have one exact copy each."""
    drawn = law(count - copies)
    return torch.cat([drawn, drawn[:copies]])[torch.randperm(count)]


def test_real_images_that_repeat_exactly_need_a_share_above_theirs():
    """No sample is nearer than 0: a generator of one picture would pass for one without twins."""
    real, collapsed = repeated(lambda n: torch.randn(n, 4)), torch.zeros(500, 4)
    with pytest.raises(UsageError, match=r"8\.00% of the real images have an exact copy") as error:
        near_repeats(real=real, fake=collapsed)
    assert "\n" not in str(error.value)
    assert near_repeats(real=real, fake=collapsed, share=0.15).value == 1
    fake = repeated(lambda n: torch.randn(n, 4))
    assert near_repeats(real=real, fake=fake, share=0.15).value == pytest.approx(0.15, abs=0.06)


def test_the_ratio_of_distances_by_hand():
    train, test = torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [13.0]])
    ratio = nearest_ratio(train=train, test=test, fake=torch.tensor([[0.5], [10.5], [9.0]]))
    assert ratio.value == pytest.approx((2 / 3) / 2, rel=1e-6)
    of_fakes, of_others = 1 / 12**0.5 / 3**0.5, 2**0.5 / 2**0.5  # of the means 2/3 and 2
    assert ratio.error == pytest.approx(math.hypot(of_fakes / 2, 2 / 3 * of_others / 4))
    assert nearest_ratio(train=train, test=test, fake=train).value == 0
    with pytest.raises(UsageError, match="copies of training images"):
        nearest_ratio(train=train, test=train, fake=test)
    assert nearest_ratio(train=train, test=test[:1], fake=train).error is None


def test_the_ratios_error_is_its_scatter_over_draws_of_fakes_and_of_few_held_out_images():
    """60 held-out images beside 2,000 fakes: nearly all of the scatter is theirs."""
    train = torch.randn(200, 2)
    ratios = [
        nearest_ratio(train=train, test=torch.randn(60, 2), fake=torch.randn(2000, 2))
        for _ in range(150)
    ]
    values, errors = torch.tensor(ratios, dtype=torch.float64).T
    assert values.std().item() == pytest.approx(errors.mean().item(), rel=0.25)


def test_new_images_of_the_same_law_lie_as_near_as_held_out_ones():
    train, test, fake = torch.randn(3, 1000, 3).unbind()
    ratio = nearest_ratio(train=train, test=test, fake=fake)
    assert abs(ratio.value - 1) < 4.5 * ratio.error
