"""SIGKILL at any moment, and the same command again: bit for bit as if nothing had been."""

import random

import pytest

from gen_models.records import Record

from . import kills
from .exactness import differences, left
from .test_configs import composed

# A checkpoint behind each iteration; epochs of 3 batches, validations between their ends and there.
SHORT = (
    *("experiment=quick", "trainer=cpu", "trainer.enable_progress_bar=false", "evaluate=false"),
    *("data.limit=200", "max_images=1280", "checks=5", "trainer.log_every_n_steps=3"),
    "save_seconds=0",
)
MODELS = {
    # One phase with a weight that warms up, and three with spectral norm and an average.
    "vae": ("model/objective=warm_up", "model.objective.beta.images=1000"),
    "vae_gan": ("model/trunk=conv_spectral",),
}


def config(name, *more):
    return composed(f"model={name}", *MODELS.get(name, ()), *SHORT, *more)


def whole(name, folder):
    """What the run leaves that is never killed."""
    assert kills.ended(kills.start(kills.train, config(name), str(folder))) == 0
    return left(folder)


def check(expected, folder, legs):
    for one, two in zip(expected, left(folder), strict=True):
        assert differences(one, two) == [], (legs, told(folder))
    record = Record.read(folder / "record.json")
    assert record.status == "finished"
    assert record.budget.images_seen == 1280
    assert not list(folder.rglob(".*.part"))


def told(folder):
    return folder.with_name(f"{folder.name}.txt").read_text()


def chain(name, folder, moments):
    """Kill at each of the moments in turn, then let it end; how often it was killed."""
    again = config(name, "resume=true")
    statuses = [kills.killed(*moment, kills.train, again, str(folder)) for moment in moments]
    assert set(statuses) <= {-9, 0}, told(folder)
    assert kills.ended(kills.start(kills.train, again, str(folder))) == 0, told(folder)
    return statuses.count(-9)


def moment():
    """Checkpoints and seconds behind them; without a checkpoint, somewhere in the beginning."""
    saves = random.randrange(5)
    return saves, random.uniform(0, 0.2 if saves else 2.0)


def test_a_run_that_is_killed_three_times_ends_as_if_it_had_not_been(tmp_path):
    random.seed(0)
    expected = whole("vae", tmp_path / "whole")
    moments = [(saves, random.uniform(0, 0.1)) for saves in (3, 5, 4)]
    assert chain("vae", tmp_path / "killed", moments) == 3
    check(expected, tmp_path / "killed", 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_fifty_kills_at_random_moments_leave_no_trace(name, tmp_path):
    random.seed(1)
    expected = whole(name, tmp_path / "whole")
    killed, rounds = 0, 0
    while killed < 50:
        folder = tmp_path / str(rounds)
        killed += (legs := chain(name, folder, [moment() for _ in range(8)]))
        check(expected, folder, legs)
        rounds += 1
