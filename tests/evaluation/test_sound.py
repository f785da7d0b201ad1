"""Numbers that cannot be silently wrong: marked, refused with their cause, or put aside."""

from dataclasses import replace

import pytest
import torch

from gen_models.errors import UsageError
from gen_models.evaluation import FrechetDistance, Memorisation, evaluate
from gen_models.evaluation.evaluate import sound
from gen_models.evaluation.measurements.measurement import Measurement, blank
from gen_models.evaluation.statistics.frechet import (
    Moments,
    frechet_distance,
    frechet_estimate,
    frechet_unbiased,
)
from gen_models.records import Anchor, Value
from gen_models.records.quantities import QUANTITIES, quantity_of

from .models import Complete, digits, evidence
from .test_undisturbed import RUNS, composed, measurements, prepared


@pytest.mark.parametrize(("samples", "marked"), [(64, True), (65, False)])
def test_fewer_images_than_features_are_warned_of_and_marked(samples, marked, recwarn):
    """Covariances of 64 features have full rank from 65 images on."""
    values = evaluate(evidence(Complete(), samples=samples), [FrechetDistance(), Memorisation()])
    mark = "; 64 images, too few for 64 features"
    units = {value.name.split("_digits64")[0]: value.unit for value in values}
    held = {name for name, unit in units.items() if unit.endswith(mark)}
    of_covariances = {"fid", "fid_unbiased", "fid_relative", "fid_as_noise", "mifid"}
    assert held == (of_covariances if marked else set())
    told = [str(warning.message) for warning in recwarn if "too few" in str(warning.message)]
    assert bool(told) == marked


def test_the_real_side_counts_too():
    few = digits().test.subset(torch.arange(30))
    [first, *_] = FrechetDistance().blanks(evidence(Complete(), real=few, samples=200))
    assert first.unit == "squared feature units; 30 images, too few for 64 features"


@pytest.mark.parametrize("large", [1e80, 1e155, 1e300])
@pytest.mark.parametrize("count", [5, 400])
def test_a_distance_that_overflows_is_an_error_with_its_cause(large, count):
    """Never a NaN, an infinity or torch's own error about eigenvalues."""
    x, y = torch.randn(2, count, 8, dtype=torch.float64)
    near, far = Moments.of(large * x), large * y
    for distance in (
        lambda: frechet_distance(near, Moments.of(far)),
        lambda: frechet_estimate(real=near, fake=far),
    ):
        with pytest.raises(UsageError, match=r"overflows: features deviate by up to .*e\+"):
            distance()
    if count == 400:
        with pytest.raises(UsageError, match="overflows"):
            frechet_unbiased(real=near, fake=far)


def test_means_that_are_too_far_apart_are_told_of_as_that():
    x = torch.randn(50, 3, dtype=torch.float64)
    apart = replace(Moments.of(x), mean=torch.full((3,), 1e160, dtype=torch.float64))
    with pytest.raises(UsageError, match=r"not finite: \|difference of means\|² is inf, the trace"):
        frechet_distance(Moments.of(x), apart)


FULL = Value(
    "precision_k3_digits64_9_test",
    "Precision",
    0.5,
    "share of samples",
    low=0.4,
    high=0.6,
    interval="95 %",
    count=9,
    floor=Anchor(1.0, "real"),
    ceiling=Anchor(0.0, "noise"),
    error=0.05,
    anchors=(Anchor(0.1, "the mean image"),),
)
NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "misfit"),
    [
        ({"value": NAN, "low": None, "high": None}, "value is not finite"),
        ({"value": 1.5, "high": 2.0}, r"value 1.5 lies outside \[0, 1\]"),
        ({"value": -0.1, "low": -0.2}, r"value -0.1 lies outside \[0, 1\]"),
        ({"value": 0.7}, r"the interval \[0.4, 0.6\] does not hold the value 0.7"),
        ({"low": -float("inf")}, "low is not finite"),
        ({"high": 1e101}, "high is not finite"),
        ({"error": NAN}, "error is not finite"),
        ({"error": -0.1}, "error -0.1 is below 0"),
        ({"count": -1}, "count -1 is below 0"),
        ({"unit": "nats"}, "unit 'nats' is not 'share', which the name promises"),
    ],
)
def test_a_number_that_does_not_fit_is_put_aside_with_its_reason(change, misfit):
    assert FULL.misfit() is None
    wrong = replace(FULL, **change)
    found = sound(wrong)
    assert found.value is found.low is found.high is found.error is None
    assert found.floor is found.ceiling is None
    with pytest.raises(UsageError, match=misfit):
        raise UsageError(found.reason)
    assert found.misfit() is None


@pytest.mark.parametrize("place", ["floor", "ceiling", "anchors"])
@pytest.mark.parametrize("bad", [NAN, 1.1])
def test_a_wrong_anchor_costs_the_anchors_alone(place, bad):
    anchor = Anchor(bad, "real")
    found = sound(replace(FULL, **{place: (anchor,) if place == "anchors" else anchor}))
    assert (found.value, found.low, found.reason) == (0.5, 0.4, None)
    assert (found.floor, found.ceiling, found.anchors) == (None, None, ())


def test_one_wrong_number_costs_the_others_of_its_measurement_nothing():
    class Two(Measurement):
        requires = object

        def blanks(self, evidence):
            return [blank(f"recall_{i}", "R", "share", "higher", 9, "") for i in range(2)]

        def measure(self, evidence):
            both = zip(self.blanks(evidence), (3.0, 0.25), strict=True)
            return [replace(empty, value=value, reason=None) for empty, value in both]

    wrong, right = evaluate(evidence(Complete()), [Two()])
    assert (wrong.value, right.value) == (None, 0.25)
    assert wrong.reason == "value 3 lies outside [0, 1]"


def test_every_number_under_conf_has_a_quantity_of_its_unit():
    named = set()
    for overrides in (RUNS["vae"], RUNS["cgan"], RUNS["points"]):
        about = prepared(composed(*overrides))
        for key, measurement in measurements(*overrides).items():
            for value in measurement.blanks(about):
                quantity = quantity_of(value.name)
                assert quantity is not None, f"{key} gives {value.name}, of which nothing is known"
                assert quantity.misfit(value.unit, {"value": max(quantity.least, 0.5)}) is None
                named.add(quantity)
    assert len(named) >= len(QUANTITIES) - 2  # stacked digits' modes, and the ladder of blur
