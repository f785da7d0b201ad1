"""Augmentations: what they keep, how far they go, against references written out naively."""

import pytest
import torch

from gen_models.data import Brightness, Composed, Contrast, Cutout, Saturation, Translation
from gen_models.errors import UsageError
from gen_models.recipes import build, describe

from ..test_configs import composed

STEPS = [Brightness(), Saturation(), Contrast(), Translation(), Cutout()]
MANY = 2000


def within(values, low, high):
    """The values reach over all of [low, high], and no further."""
    margin = 0.01 * (high - low)
    assert low - 1e-4 <= values.min() < low + margin
    assert high - margin < values.max() <= high + 1e-4
    assert values.mean().item() == pytest.approx((low + high) / 2, abs=4 * margin)


def test_brightness_adds_one_number_to_all_of_an_image():
    x = torch.randn(MANY, 3, 4, 5)
    added = (Brightness()(x) - x).flatten(1)
    torch.testing.assert_close(added, added[:, :1].expand_as(added), atol=1e-5, rtol=0)
    within(added[:, 0], -0.5, 0.5)


def test_contrast_stretches_an_image_about_its_mean():
    x = torch.randn(MANY, 3, 4, 5)
    out = Contrast()(x).flatten(1)
    torch.testing.assert_close(out.mean(1), x.flatten(1).mean(1), atol=1e-5, rtol=0)
    factor = out.std(1) / x.flatten(1).std(1)
    within(factor, 0.5, 1.5)
    for image, stretched in zip(x.flatten(1)[:9], out[:9], strict=True):
        correlation = torch.corrcoef(torch.stack([image, stretched]))[0, 1]
        assert correlation.item() == pytest.approx(1, abs=1e-5)


def test_saturation_stretches_colours_about_grey_and_leaves_grey_images_alone():
    x = torch.randn(MANY, 3, 4, 5)
    out = Saturation()(x)
    torch.testing.assert_close(out.mean(1), x.mean(1), atol=1e-5, rtol=0)
    grey = x.mean(1, keepdim=True)
    factor = ((out - grey) * (x - grey)).flatten(1).sum(1) / (x - grey).square().flatten(1).sum(1)
    within(factor, 0.0, 2.0)
    torch.testing.assert_close(out, grey + factor[:, None, None, None] * (x - grey))
    torch.testing.assert_close(Saturation()(x[:, :1]), x[:, :1])


def shifted(image, down, right):
    """The naive way: rolled round, and blank where it came in again."""
    out = image.roll((down, right), (1, 2))
    out[:, : max(down, 0)] = out[:, out.shape[1] + min(down, 0) :] = 0
    out[:, :, : max(right, 0)] = out[:, :, out.shape[2] + min(right, 0) :] = 0
    return out


def test_translation_moves_by_whole_pixels_up_to_an_eighth_each_as_often():
    x = torch.randn(200, 2, 8, 16)  # by up to 1 row and 2 columns
    out, counts = Translation()(x), {}
    moves = [(down, right) for down in range(-1, 2) for right in range(-2, 3)]
    for image, moved in zip(x, out, strict=True):
        (found,) = (move for move in moves if torch.equal(shifted(image, *move), moved))
        counts[found] = counts.get(found, 0) + 1
    assert set(counts) == set(moves)
    assert max(counts.values()) < 5 * 200 / len(moves)


def test_cutout_blanks_one_rectangle_of_half_the_sides_that_may_stand_out():
    x = torch.randn(MANY, 2, 8, 6)
    out = Cutout()(x)
    blank = (out == 0).all(1)
    assert torch.equal(out, x * ~blank[:, None])
    rows, columns = blank.any(2), blank.any(1)
    assert torch.equal(blank, rows[:, :, None] & columns[:, None, :])
    for bars, side, size, starts in ((rows, 8, 4, 9), (columns, 6, 3, 6)):
        start = torch.arange(starts)[:, None] - size // 2
        place = torch.arange(side)
        possible = {tuple(bar) for bar in ((start <= place) & (place < start + size)).tolist()}
        assert {tuple(bar) for bar in bars.tolist()} == possible


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_each_is_differentiable_twice_and_draws_for_each_image(step):
    def seeded(x):
        torch.manual_seed(3)
        return step(x)

    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(seeded, x)
    assert torch.autograd.gradgradcheck(lambda x: seeded(x).square(), x)
    same = step(torch.randn(1, 3, 16, 16).expand(64, -1, -1, -1))
    assert len({tuple(image.flatten().tolist()) for image in same}) > 4
    assert same.shape == (64, 3, 16, 16)


@pytest.mark.parametrize("kind", [Translation, Cutout])
@pytest.mark.parametrize("share", [-0.5, 3.0])
def test_shares_lie_between_0_and_1(kind, share):
    with pytest.raises(UsageError, match=rf"{kind.__name__.lower()}\.share={share} must lie"):
        kind(share)
    assert kind(0.0).share == 0
    assert kind(1.0).share == 1


@pytest.mark.parametrize("step", [Translation(), Cutout()], ids=lambda s: type(s).__name__)
def test_points_have_no_pixels_to_move_or_blank(step):
    name = type(step).__name__.lower()
    with pytest.raises(UsageError, match=rf"model\.augment\.steps\.{name}=null"):
        step(torch.zeros(4, 1, 1, 2))


def test_the_published_composition_is_plain_data_and_steps_can_be_left_out():
    recipe = composed("model=gan", "model/augment=diff_augment")["model"]["augment"]
    made = build(recipe)
    assert made == Composed(dict(zip(recipe["steps"], STEPS, strict=True)))
    assert build(describe(made)) == made
    recipe["steps"] = dict.fromkeys(recipe["steps"])
    x = torch.randn(3, 1, 1, 2)
    assert torch.equal(build(recipe)(x), x)
