"""The harness on ten-line models with known answers; it needs no model of ours."""

import copy
import warnings
from dataclasses import dataclass, replace

import pytest
import torch

from gen_models.capabilities import ElboTerms
from gen_models.data.images import ImageSet
from gen_models.errors import UsageError
from gen_models.evaluation import (
    Classes,
    EvidenceLowerBound,
    FrechetDistance,
    Inversion,
    RandomConvolutions,
    Reconstruction,
    evaluate,
)
from gen_models.evaluation.pictures import gallery

from .models import SHAPE, Complete, Linear, Resampler, by_name, digits, evidence

ALL = [
    FrechetDistance(),
    Classes(),
    Reconstruction(),
    Inversion(8, 150, 2),
    EvidenceLowerBound(),
]


def test_what_does_not_apply_says_why_and_keeps_its_row():
    values = by_name(evaluate(evidence(Resampler(digits().train.images)), ALL))
    assert len(values) == 18
    assert (
        values["reconstruction_mse_test_360"].reason
        == "Resampler has no encoder (it does not satisfy Reconstructs)"
    )
    assert (
        values["elbo_nats_test"].reason
        == "Resampler has no bound on log p(x) (it does not satisfy BoundsLikelihood)"
    )
    assert values["inversion_mse_test_8"].value is None
    assert values["fid_digits64_1000_test"].value is not None
    other = by_name(evaluate(evidence(Linear()), ALL))
    assert (
        other["fid_digits64_1000_test"].reason
        == "Linear draws no images (it does not satisfy Samples)"
    )


def test_training_images_lie_at_the_floor_and_noise_at_the_ceiling():
    train = digits().train
    value = evaluate(evidence(Resampler(train.images)), [FrechetDistance()])[0]
    # Drawing again from a finite set costs about as much as drawing the set itself did.
    assert 0.8 * value.floor.value < value.value < 2.5 * value.floor.value
    noise = torch.randint(0, 256, (500, *SHAPE), dtype=torch.uint8)
    value = evaluate(evidence(Resampler(noise)), [FrechetDistance()])[0]
    assert value.value == pytest.approx(value.ceiling.value, rel=0.1)
    assert value.ceiling.value > 50 * value.floor.value


def test_a_missing_half_of_the_classes_costs_about_log_2():
    train = digits().train
    half = Resampler(train.images[train.labels < 5])
    value = evaluate(evidence(half), [Classes()])[0]
    assert value.value == pytest.approx(0.693, abs=0.08)
    all_classes = evaluate(evidence(Resampler(train.images)), [Classes()])[0]
    assert all_classes.value < 0.05
    one = evaluate(evidence(Resampler(train.images[train.labels == 3])), [Classes()])[0]
    assert one.value == pytest.approx(one.ceiling.value, abs=0.3)


def test_class_divergence_needs_labels():
    train, test = digits().train, digits().test
    bare = ImageSet(test.images)
    value = evaluate(evidence(Resampler(train.images), bare), [Classes()])[0]
    assert "no classifier" in value.reason
    random = RandomConvolutions(SHAPE, "digits")
    value = evaluate(evidence(Resampler(train.images), extractors=(random,)), [Classes()])[0]
    assert value.name == "class_kl_nats_random128_1000_test"
    assert "no classifier" in value.reason


def test_reconstruction_error_of_a_constant_offset_by_hand():
    values = by_name(evaluate(evidence(Linear()), [Reconstruction()]))
    assert values["reconstruction_mse_test_360"].value == pytest.approx(0.01, rel=1e-5)
    assert values["reconstruction_psnr_test_360"].value == pytest.approx(20, rel=1e-5)
    assert values["reconstruction_mse_test_360"].ceiling.of == "the mean training image"


def test_inversion_reaches_least_squares_and_finds_the_decoders_own_images():
    model = Linear()
    z = torch.rand(8, 4) * 0.2
    own = model.decode(z)
    test = digits().test
    inversion = Inversion(images=8, steps=400, restarts=2, rate=0.1)
    values = by_name(evaluate(evidence(model), [inversion]))
    real = test.images[:8].float().div(255).flatten(1)
    best = (real - real @ model.weight @ model.weight.T).square().mean(1).mean().item()
    assert values["inversion_mse_test_8"].value == pytest.approx(best, rel=1e-3)
    from gen_models.evaluation.inversion import invert

    found, latents = invert(model, own.detach(), 400, 2, 0.1)
    assert (found - own).square().max().item() < 1e-8
    torch.testing.assert_close(latents, z, atol=1e-3, rtol=0)
    squares = values["inversion_latent_square_test_8"]
    assert squares.value == pytest.approx((real @ model.weight).square().mean().item(), rel=1e-2)


def test_directions_floors_and_ceilings_are_the_right_way_round():
    values = evaluate(evidence(Complete()), ALL)
    better = {value.name.split("_test")[0]: value.better for value in values}
    assert better == {
        "fid_digits64_1000": "lower",
        "fid_unbiased_digits64_1000": "lower",
        "fid_relative_digits64_1000": "lower",
        "fid_as_noise_digits64_1000": "lower",
        "class_kl_nats_digits64_1000": "lower",
        "class_coverage_digits64_1000": "higher",
        "classifier_score_digits64_1000": "higher",
        "confident_0.9_digits64_1000": "higher",
        "reconstruction_mse": "lower",
        "reconstruction_psnr": "higher",
        "reconstruction_ssim": "higher",
        "inversion_mse": "lower",
        "inversion_psnr": "higher",
        "inversion_ssim": "higher",
        "inversion_latent_square": None,
        "elbo_nats": "higher",
        "distortion_nats": "lower",
        "rate_nats": None,
    }
    for value in values:
        if value.floor is not None and value.ceiling is not None:
            good, bad = value.floor.value, value.ceiling.value
            assert (good > bad) == (value.better == "higher"), value.name
        if value.low is not None:
            assert value.low <= value.value <= value.high
            # A count of classes may be certain.
            assert value.low < value.high or value.unit == "classes"


def test_intervals_of_means_are_1_96_standard_errors():
    test = digits().test
    total = (test.images.double() / 255).sum((1, 2, 3))
    value = by_name(evaluate(evidence(Linear()), [EvidenceLowerBound()]))["rate_nats_test"]
    half = 1.96 * total.std().item() / 360**0.5
    assert value.high - value.value == pytest.approx(half, rel=1e-4)
    assert value.value - value.low == pytest.approx(half, rel=1e-4)


def test_the_ceiling_of_reconstruction_is_the_mean_of_the_training_images():
    train, test = digits().train, digits().test
    mean = (train.images.double() / 255).mean(0)
    error = ((test.images.double() / 255 - mean) ** 2).mean().item()
    value = evaluate(evidence(Linear()), [Reconstruction()])[0]
    assert value.ceiling.value == pytest.approx(error, rel=1e-5)


def test_inversion_keeps_the_best_of_its_restarts():
    class Trap(Linear):
        """Half of the starting points lie where nothing can be learned."""

        def decode(self, z):
            stuck = (z[:, :1] > 0).float()
            return super().decode(z * (1 - stuck)) + 5 * stuck[:, :, None, None]

        def sample_prior(self, count, generator=None):
            z = torch.randn(count, 4, generator=generator) - 2
            z[::2, 0] = 3.0
            return z

    test = digits().test
    from gen_models.evaluation.inversion import invert

    pixels = test.images[:3].float() / 255
    found, _ = invert(Trap(), pixels, 5, 2, 0.01)
    assert ((found - pixels) ** 2).mean((1, 2, 3)).max() < 5


def test_an_interval_of_classes_has_width_even_for_a_collapsed_model():
    train = digits().train
    three = train.images[train.labels == 3][:1].repeat(50, 1, 1, 1)
    value = evaluate(evidence(Resampler(three)), [Classes()])[0]
    assert value.low < value.value - 0.001
    assert value.low <= value.value <= value.high


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_a_reason(broken):
    class Broken(Linear):
        def elbo_terms(self, pixels):
            terms = super().elbo_terms(pixels)
            terms.rate[0] = broken
            return terms

    values = by_name(evaluate(evidence(Broken()), [EvidenceLowerBound()]))
    assert (
        values["rate_nats_test"].reason == values["elbo_nats_test"].reason == "value is not finite"
    )
    assert values["distortion_nats_test"].value is not None


def test_what_cannot_be_measured_costs_the_others_nothing():
    train, test = digits().train, digits().test
    only = ImageSet(test.images[:50], torch.zeros(50, dtype=torch.int64), test.classes)
    values = evaluate(evidence(Resampler(train.images), only), [Classes(), FrechetDistance()])
    assert "no real image" in values[0].reason
    assert values[1].value > 0


def test_elbo_is_log_likelihood_minus_rate():
    values = by_name(evaluate(evidence(Linear()), [EvidenceLowerBound()]))
    test = digits().test
    total = (test.images.double() / 255).sum((1, 2, 3)).mean().item()
    assert values["rate_nats_test"].value == pytest.approx(total, rel=1e-5)
    assert values["distortion_nats_test"].value == pytest.approx(2 * total, rel=1e-5)
    assert values["elbo_nats_test"].value == pytest.approx(-3 * total, rel=1e-5)


def test_evaluation_twice_is_the_same_and_disturbs_nothing():
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(1))
    resampler = Resampler(digits().train.images)
    model.sample = resampler.sample
    model.train()
    before = copy.deepcopy(model.state_dict())
    first, second = evidence(model), evidence(model)
    state = torch.random.get_rng_state()
    one, two = evaluate(first, ALL), evaluate(second, ALL)
    assert one == two
    assert torch.equal(state, torch.random.get_rng_state())
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_what_a_measurement_says_does_not_depend_on_those_before_it():
    class Noisy(Linear):
        def elbo_terms(self, pixels):
            total = pixels.sum((1, 2, 3)) + torch.randn(len(pixels))
            return ElboTerms(-2 * total, total)

    class All(Noisy):
        def sample(self, count, generator=None):
            return self.decode(self.sample_prior(count, generator)).sigmoid()

    alone = evaluate(evidence(All()), [EvidenceLowerBound()])
    among = evaluate(evidence(All()), [Classes(), EvidenceLowerBound()])
    assert among[4:] == alone


def test_samples_that_are_not_finite_are_a_reason_and_never_a_number():
    broken = Resampler(digits().train.images)
    broken.images[:] = float("nan")
    value = evaluate(evidence(broken), [FrechetDistance()])[0]
    assert value.value is None
    assert "not finite" in value.reason


def test_pictures_show_what_a_model_can(tmp_path):
    class Both(Linear):
        def sample(self, count, generator=None):
            return self.decode(self.sample_prior(count, generator)).clamp(0, 1)

    grids = gallery(evidence(Both()), Inversion(steps=2, restarts=1))
    names = "samples", "reconstructions", "extremes", "neighbours", "interpolation"
    assert tuple(g.name for g in grids) == names
    for grid in grids:
        assert grid.save(tmp_path / f"{grid.name}.png").stat().st_size > 100
    grids_of_copies = gallery(evidence(Resampler(digits().train.images)), None)
    assert [g.name for g in grids_of_copies] == ["samples", "extremes", "neighbours"]
    # Copies find themselves.
    copies = grids_of_copies[2].pixels
    assert torch.equal(copies[:10], copies[10:20])
    # Originals above reconstructions.
    rows = grids[1].pixels
    torch.testing.assert_close(rows[10:20], rows[:10] + 0.1)
    # The path keeps to the norms of its ends; a straight line would sag by a factor 0.7.
    z = grids[4].pixels.flatten(1) @ Both().weight
    norms = z.norm(dim=1).reshape(6, 10)
    assert (norms.min(1).values > 0.85 * norms[:, [0, -1]].min(1).values).all()


def test_a_measurement_that_fails_costs_the_others_nothing_and_is_named():
    class Broken(Linear):
        def reconstruct(self, pixels):
            raise RuntimeError("a defect\nof two lines")

    both = [Reconstruction(), EvidenceLowerBound()]
    with pytest.warns(UserWarning, match="Reconstruction failed: RuntimeError: a defect of two"):
        values = by_name(evaluate(evidence(Broken()), both))
    reason = values["reconstruction_mse_test_360"].reason
    assert reason == "failed: RuntimeError: a defect of two lines"
    assert values["elbo_nats_test"].value is not None


def test_a_name_that_two_measurements_give_stands_once():
    """A record refuses a name that stands twice, which would be after training."""
    found = evidence(Resampler(digits().train.images))
    noise, blur = FrechetDistance(), FrechetDistance(ladder="blur")
    alone = evaluate(found, [noise])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they agree
        both = evaluate(found, [noise, blur, noise])
    names = [value.name for value in both]
    assert both[: len(alone)] == alone
    assert len(set(names)) == len(names)
    assert [name.split("_digits64")[0] for name in names[len(alone) :]] == ["fid_as_blur"]


def test_where_two_measurements_give_one_name_otherwise_the_first_is_kept_and_both_are_named():
    @dataclass(frozen=True)
    class Off(Reconstruction):
        by: float = 0.0

        def measure(self, evidence):
            return [replace(value, unit=f"{self.by}") for value in super().measure(evidence)]

    with pytest.warns(UserWarning, match=r"^reconstruction_mse_test_360, \S") as caught:
        values = evaluate(evidence(Linear()), [Reconstruction(), Off(by=2.0), EvidenceLowerBound()])
    assert values[:-3] == evaluate(evidence(Linear()), [Reconstruction()])
    (told,) = (str(warning.message) for warning in caught)
    assert f"Off(by=2.0) gives otherwise than {Reconstruction()!r}, which is kept" in told
    assert "\n" not in told


def test_a_measurement_that_cannot_tell_whether_it_applies_says_why():
    class Undecided(Reconstruction):
        def missing(self, evidence):
            raise UsageError("who knows")

    values = evaluate(evidence(Linear()), [Undecided()])
    assert {value.reason for value in values} == {"who knows"}
