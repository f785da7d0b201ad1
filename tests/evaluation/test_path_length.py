"""Path lengths of decoders whose Jacobian is known."""

import math

import pytest
import torch
from torch import nn

from gen_models.distributions import LabelledPrior
from gen_models.errors import UsageError
from gen_models.evaluation import PathLength, evaluate
from gen_models.evaluation.path_length import path_length

from .models import Complete, evidence


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def prior(dimension, dtype=torch.float64):
    return lambda count, generator: torch.randn(
        count, dimension, generator=generator, dtype=torch.float64
    ).to(dtype)


def matrix(rows, columns, seed):
    return torch.randn(rows, columns, generator=source(seed), dtype=torch.float64)


def arcs(dimension, count, seed=0):
    """z_t and its velocity for the same draws: (count, D) each."""
    generator = source(seed)
    start, end = prior(dimension)(2 * count, generator).split(count)
    turn = math.pi / 2 * torch.rand(count, 1, generator=generator).double()
    return turn.cos() * start + turn.sin() * end, math.pi / 2 * (
        turn.cos() * end - turn.sin() * start
    )


def smooth(dimension=3):
    a, b = matrix(dimension, 16, 1), matrix(16, 5, 2)
    return (lambda z: torch.sigmoid(z @ a).view(-1, 1, 4, 4)), (
        lambda x: torch.tanh(x.flatten(1) @ b)
    )


@pytest.mark.parametrize("dimension", [1, 2, 30])
def test_a_linear_decoder_has_a_closed_form(dimension):
    """(pi/2)^2 |A W|_F^2 under the prior, in few dimensions too."""
    a, w = matrix(dimension, 12, 1), matrix(12, 5, 2)
    value, error = path_length(
        lambda z: (z @ a).view(-1, 3, 2, 2),
        prior(dimension),
        lambda x: x.flatten(1) @ w,
        count=4000,
        generator=source(),
    )
    expected = math.pi**2 / 4 * (a @ w).square().sum().item()
    assert abs(value - expected) < 3 * error
    assert error < 0.05 * expected


def test_each_arc_of_a_linear_decoder_is_exact_for_any_step():
    """A chord of the arc is 2 sin(pi e / 4) times the velocity's direction, not pi e / 2."""
    a = matrix(3, 4, 1)
    _, velocity = arcs(3, 50)
    for step in (0.01, 0.5):
        value, error = path_length(
            lambda z: (z @ a).view(-1, 1, 2, 2),
            prior(3),
            lambda x: x.flatten(1),
            count=50,
            generator=source(),
            step=step,
        )
        chord = 2 * math.sin(math.pi * step / 4) / step / (math.pi / 2)
        speed = (chord * velocity @ a).square().sum(1)
        assert value == pytest.approx(speed.mean().item(), rel=1e-10)
        assert error == pytest.approx(speed.std().item() / 50**0.5, rel=1e-10)


def test_a_curved_decoder_has_the_speed_of_its_jacobian():
    decode, features = smooth()
    z, velocity = arcs(3, 200)
    _, tangent = torch.autograd.functional.jvp(lambda z: features(decode(z)), z, velocity)
    value, _ = path_length(decode, prior(3), features, count=200, generator=source(), step=1e-3)
    assert value == pytest.approx(tangent.square().sum(1).mean().item(), rel=1e-5)


def test_float32_and_the_usual_step_are_enough():
    decode, features = smooth()
    exact, _ = path_length(decode, prior(3), features, count=500, generator=source(), step=1e-4)
    torch.manual_seed(0)
    a, b = matrix(3, 16, 1).float(), matrix(16, 5, 2).float()
    value, _ = path_length(
        lambda z: torch.sigmoid(z @ a).view(-1, 1, 4, 4),
        prior(3, torch.float32),
        lambda x: torch.tanh(x.flatten(1) @ b),
        count=500,
        generator=source(),
    )
    assert value == pytest.approx(exact, rel=1e-3)


def test_points_of_the_path_are_draws_of_the_prior():
    seen = []

    def decode(z):
        seen.append(z)
        return z.view(-1, 1, 1, 2)

    path_length(decode, prior(2), lambda x: x, count=4000, generator=source())
    z = torch.cat(seen)
    assert torch.allclose(z.T.cov(), torch.eye(2).double(), atol=0.05)
    assert (z.square().sum(1) < 2 * math.log(2)).double().mean().item() == pytest.approx(
        0.5, abs=0.03
    )


def test_batches_change_nothing_and_gradients_are_not_kept():
    network = nn.Linear(3, 4).double()
    arguments = (lambda z: network(z).view(-1, 1, 2, 2), prior(3), lambda x: x.flatten(1))
    whole = path_length(*arguments, count=20, generator=source())
    parts = path_length(*arguments, count=20, generator=source(), batch=7)
    assert parts == pytest.approx(whole, rel=1e-12)


def test_a_constant_decoder_goes_nowhere():
    constant = path_length(
        lambda z: torch.ones(len(z), 1, 2, 2),
        prior(3),
        lambda x: x.flatten(1),
        count=10,
        generator=source(),
    )
    assert constant == (0, 0)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"count": 1}, "count >= 2"),
        ({"count": 9, "step": 0.0}, "step > 0"),
        ({"count": 9}, "not finite"),
    ],
)
def test_mistakes_are_told_in_a_line(choices, words):
    with pytest.raises(UsageError, match=words):
        path_length(
            lambda z: z / 0, prior(3), lambda x: x.flatten(1), generator=source(), **choices
        )


def test_between_classes_there_is_no_path():
    class Labelled(Complete):
        prior = LabelledPrior(4, 2)

    [value] = evaluate(evidence(Labelled()), [PathLength(paths=5)])
    assert value.value is None
    assert value.reason == (
        "the prior of Labelled is discrete in part: no arc between its draws stays in it"
    )
    [value] = evaluate(evidence(Complete()), [PathLength(paths=5)])
    assert value.value is not None
