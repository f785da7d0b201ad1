"""What the benchmarks of speed make of their measurements, on numbers whose answer is known."""

import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

SPEED = Path(__file__).parent.parent / "benchmarks" / "speed"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(SPEED)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_a_power_law_has_its_exponent(power):
    from growth import exponent

    sizes = [1, 3, 10, 25, 70]
    assert exponent(sizes, [7 * size**power for size in sizes]) == pytest.approx(power, abs=1e-12)


def test_what_does_not_grow_at_first_is_judged_where_it_does():
    from growth import exponent

    assert exponent([1, 10, 100, 1000], [5, 5, 10, 100]) == pytest.approx(1)
    assert exponent([16, 32, 64], [9, 1, 4]) == pytest.approx(2)
    assert exponent([1, 10], [1, 10]) == pytest.approx(1)


def test_a_curve_reaches_a_distance_between_two_points():
    from quality import reached

    curve = [[1, 0, 100.0], [4, 0, 25.0], [8, 0, 40.0]]
    assert reached(curve, 50) == pytest.approx(2)
    assert reached(curve, 25) == pytest.approx(4)
    assert reached(curve, 100) == 1
    assert reached(curve, 24) == math.inf


def test_all_take_as_many_steps_and_a_turn_has_its_seconds(monkeypatch):
    import training

    now = 0.0
    monkeypatch.setattr(training.time, "process_time", lambda: now)
    calls = []
    turns = training.Turns({"other": lambda: calls.append(now)}, steps=5, turns=2, least=4)
    trainer, module = SimpleNamespace(should_stop=False), SimpleNamespace(iterations=0)
    turns.on_train_start()
    while not trainer.should_stop:
        now += 0.25
        module.iterations += 1
        turns.on_train_batch_end(trainer, module)
    assert Counter(calls) == {1.25: 5, 6.25: 20, 11.25: 20}
    assert turns.seconds["ours"] == [0.25] * 3


def test_a_ratio_is_of_turns_that_follow_one_another():
    from ratios import ratio

    assert ratio([2, 3, 4], [1, 1, 1]) == "3.00 (2.50-3.50)"
    assert ratio([1, 10], [1, 10]) == "1.00 (1.00-1.00)"
