"""Penalties of the slope: linear critics, whose slope is known, and where the others look."""

from functools import partial

import pytest
import torch
from torch import nn

from gen_models.errors import UsageError
from gen_models.objectives import DRAGAN, R1, R2, GradientPenalty, Linear, Wasserstein

KINDS = {
    "gradient": GradientPenalty,
    "dragan": DRAGAN,
    "dragan_two_sided": partial(DRAGAN, noise="two_sided"),
    "r1": R1,
    "r2": R2,
}
SLOPE_TWO = {"gradient": 1.0, "dragan": 1.0, "dragan_two_sided": 1.0, "r1": 2.0, "r2": 2.0}
every_kind = pytest.mark.parametrize("kind", KINDS)


def of_norm_two(*shape, dtype=torch.float32):
    weight = torch.randn(shape, dtype=torch.float64)
    return (2 * weight / weight.norm()).to(dtype)


class Seen:
    """D(x) = |x|^2 / 2, whose slope is x itself; keeps what it was shown."""

    def __call__(self, x):
        self.x = x.detach()
        return x.square().flatten(1).sum(1) / 2


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(64, 1, 1, 2), (2, 1, 28, 28), (7, 3, 5, 9)], ids=str)
def test_a_linear_critic_of_slope_two_pays_the_same_whatever_the_shape(kind, shape, dtype):
    """Fails for a norm over the batch (225 in the place of 1 for N = 64), or over channels."""
    weight = of_norm_two(*shape[1:], dtype=torch.promote_types(dtype, torch.float32))
    real, fake = torch.randn(2, *shape, dtype=dtype)
    values = KINDS[kind](1.0)(lambda x: (x * weight).flatten(1).sum(1), real, fake)
    expected = torch.full(shape[:1], SLOPE_TWO[kind])
    torch.testing.assert_close(values.float(), expected, rtol=1e-5, atol=0)


@every_kind
def test_a_judgement_of_a_pack_has_one_slope_over_all_its_images(kind):
    weight = of_norm_two(2, 1, 4, 4)
    real, fake = torch.randn(2, 6, 1, 4, 4)
    values = KINDS[kind](1.0)(
        lambda x: (x.unflatten(0, (3, 2)) * weight).flatten(1).sum(1), real, fake
    )
    torch.testing.assert_close(values, torch.full((3,), SLOPE_TWO[kind]))


def test_r1_looks_at_real_and_r2_at_generated_images():
    real, fake = torch.randn(2, 5, 3, 4, 4)
    for penalty, x in ((R1(1.0), real), (R2(1.0), fake)):
        torch.testing.assert_close(penalty(Seen(), real, fake), x.flatten(1).square().sum(1) / 2)


def test_the_gradient_penalty_looks_at_one_uniform_place_on_the_line_of_each_pair():
    critic, (real, fake) = Seen(), torch.randn(2, 4000, 3, 2, 2)
    values = GradientPenalty(1.0)(critic, real, fake)
    share = ((critic.x - real) / (fake - real)).flatten(1)
    middle = share.median(1).values
    torch.testing.assert_close(share, middle[:, None].expand_as(share), atol=2e-2, rtol=0)
    assert 0 <= middle.min() < 0.01
    assert 0.99 < middle.max() <= 1
    assert middle.mean().item() == pytest.approx(1 / 2, abs=4 * (1 / 12 / 4000) ** 0.5)
    assert middle.var().item() == pytest.approx(1 / 12, abs=0.005)
    torch.testing.assert_close(values, (critic.x.flatten(1).norm(dim=1) - 1).square())


@pytest.mark.parametrize(
    ("noise", "low", "high", "mean", "variance"),
    [
        ("one_sided", 0.0, 0.5, 1 / 8, 1 / 36 - 1 / 64),  # half of a product of two uniform numbers
        ("two_sided", -0.5, 0.5, 0.0, 1 / 12),
    ],
)
def test_dragan_looks_about_real_images_in_deviations_of_the_batch(
    noise, low, high, mean, variance
):
    critic, real, fake = Seen(), 3 + 5 * torch.randn(4000, 3, 2, 2), torch.zeros(4000, 3, 2, 2)
    DRAGAN(1.0, noise)(critic, real, fake)
    moved = (critic.x - real) / real.std()
    assert low - 1e-6 <= moved.min() < low + 0.01
    assert high - 0.03 < moved.max() <= high + 1e-6
    assert moved.mean().item() == pytest.approx(mean, abs=0.005)
    assert moved.var().item() == pytest.approx(variance, abs=0.002)


def test_the_best_linear_critic_of_a_shift_has_the_slope_that_the_penalty_allows():
    """1 + mu / (2 lambda), and the estimated distance mu + mu^2 / (2 lambda) = 1.6125 there."""
    shift, weight = 1.5, 10.0
    real = torch.randn(64, 1, 1, 1, dtype=torch.float64)
    fake = real + shift
    slope = torch.full((), -0.3, dtype=torch.float64, requires_grad=True)

    def loss(slope):
        critic = lambda x: slope * x.flatten()  # noqa: E731
        cost = GradientPenalty(weight)(critic, real, fake).mean()
        return Wasserstein().discriminator(critic(real), critic(fake)).mean() + weight * cost

    # The loss is a parabola on the side of negative slopes: one step of Newton's is exact.
    (first,) = torch.autograd.grad(loss(slope), slope, create_graph=True)
    (second,) = torch.autograd.grad(first, slope)
    best = (slope - first / second).item()
    assert best == pytest.approx(-(1 + shift / (2 * weight)))
    assert -best * shift == pytest.approx(1.6125)


@every_kind
def test_values_under_autocast_are_those_without(kind):
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 1))
    real, fake = torch.randn(2, 8, 3, 2, 2)
    values = []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            values.append(KINDS[kind](1.0)(lambda x: critic(x).squeeze(1), real, fake))
    assert values[1].dtype == torch.float32
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-7)


@every_kind
def test_a_critic_learns_from_them_in_training_and_they_are_known_without_gradients(kind):
    weight = of_norm_two(3, 2, 2).requires_grad_()
    penalty, (real, fake) = KINDS[kind](1.0), torch.randn(2, 4, 3, 2, 2)

    def values():
        return penalty(lambda x: (x * weight).flatten(1).sum(1), real, fake)

    (learned,) = torch.autograd.grad(values().mean(), weight)
    # d(|w| - 1)^2 = 2 (|w| - 1) w / |w|, and d|w|^2 / 2 = w: the same where |w| = 2.
    torch.testing.assert_close(learned, weight.detach())
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            known = values()
        assert not known.requires_grad
        torch.testing.assert_close(known.clone(), torch.full((4,), SLOPE_TWO[kind]))


@every_kind
def test_no_gradient_reaches_the_generator(kind):
    real, fake = torch.randn(2, 4, 1, 2, 2)
    made = fake.requires_grad_()
    scale = torch.ones((), requires_grad=True)
    loss = KINDS[kind](1.0)(lambda x: scale * Seen()(x), real, made * 1).mean()
    loss.backward()
    assert made.grad is None
    assert scale.grad.abs() > 0


@every_kind
def test_a_dead_critic_has_a_finite_gradient(kind):
    weight = torch.zeros(1, 2, 2, requires_grad=True)
    real, fake = torch.randn(2, 4, 1, 2, 2)
    KINDS[kind](1.0)(lambda x: (x * weight).flatten(1).sum(1), real, fake).mean().backward()
    assert weight.grad.isfinite().all()


@every_kind
def test_a_negative_weight_is_refused(kind):
    for weight in (-1.0, Linear(images=10, start=1.0, end=-1.0)):
        with pytest.raises(UsageError, match=r"penalties\.weight must be 0 or more, not -1"):
            KINDS[kind](weight)


def test_an_unknown_noise_is_refused():
    with pytest.raises(UsageError, match=r"one of .*one_sided.*, not 'gaussian'"):
        DRAGAN(1.0, noise="gaussian")
