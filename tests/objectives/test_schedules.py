"""Weights over images seen, at times where their curves are known."""

import math

import pytest

from gen_models.errors import UsageError
from gen_models.objectives import Cyclic, Linear
from gen_models.objectives.schedules import Cosine

TIMES = 0, 25, 50, 75, 100, 1000


def test_half_a_cosine_is_flat_at_both_ends():
    """Away from the middle by half of cos(pi / 4), where a straight line is a quarter away."""
    bent = math.sqrt(2) / 4
    expected = [1.0, 0.5 + bent, 0.5, 0.5 - bent, 0.0, 0.0]
    assert [Cosine(images=100)(n) for n in TIMES] == pytest.approx(expected, abs=1e-12)
    rising = Cosine(images=100, start=2.0, end=6.0)
    expected = [2.0, 4 - 4 * bent, 4.0, 4 + 4 * bent, 6.0, 6.0]
    assert [rising(n) for n in TIMES] == pytest.approx(expected)


def test_a_straight_line_rests_at_its_end():
    line = Linear(images=100, start=2.0, end=6.0)
    assert [line(n) for n in TIMES] == [2.0, 3.0, 4.0, 5.0, 6.0, 6.0]


def test_cycles_go_from_start_to_end_in_their_rising_share():
    cyclic = Cyclic(images=100, rising=0.25, start=2.0, end=6.0)
    assert [cyclic(n) for n in (0, 5, 25, 75, 100, 105)] == pytest.approx([2, 2.8, 6, 6, 2, 2.8])


def test_a_cosine_needs_images():
    with pytest.raises(UsageError, match="images"):
        Cosine(images=0)
