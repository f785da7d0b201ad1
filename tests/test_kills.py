"""SIGKILL at any moment, and the same command again: bit for bit as if nothing had been."""

import random
import time

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


def whole(name, folder, *more):
    """The run that is never killed, and its seconds."""
    started = time.monotonic()
    assert kills.ended(kills.start(kills.train, config(name, *more), str(folder))) == 0
    return left(folder), time.monotonic() - started


def check(expected, folder, legs):
    for one, two in zip(expected, left(folder), strict=True):
        assert differences(one, two) == [], (legs, told(folder))
    record = Record.read(folder / "record.json")
    assert record.status == "finished"
    assert record.budget.images_seen == 1280
    assert not list(folder.rglob(".*.part"))


def told(folder):
    return folder.with_name(f"{folder.name}.txt").read_text()


def chain(name, folder, delays):
    """Kill after each of the delays in turn, then let it end; how often it was killed."""
    again = config(name, "resume=true")
    statuses = [kills.killed_after(s, kills.train, again, str(folder)) for s in delays]
    assert set(statuses) <= {-9, 0}, told(folder)
    assert kills.ended(kills.start(kills.train, again, str(folder))) == 0, told(folder)
    return statuses.count(-9)


@pytest.mark.parametrize("name", ["vae"])
def test_a_run_that_is_killed_three_times_ends_as_if_it_had_not_been(name, tmp_path):
    expected, seconds = whole(name, tmp_path / "whole")
    random.seed(0)
    delays = [random.uniform(0.3, 0.9) * seconds for _ in range(3)]
    legs = chain(name, tmp_path / "killed", delays)
    check(expected, tmp_path / "killed", legs)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_fifty_kills_at_random_moments_leave_no_trace(name, tmp_path):
    expected, seconds = whole(name, tmp_path / "whole")
    random.seed(1)
    killed, round_ = 0, 0
    while killed < 50:
        folder = tmp_path / str(round_)
        killed += (
            legs := chain(name, folder, [random.uniform(0.1, 0.6) * seconds for _ in range(5)])
        )
        check(expected, folder, legs)
        round_ += 1
