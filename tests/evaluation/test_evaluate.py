"""The harness on ten-line models with known answers; it needs no model of ours."""

import copy

import pytest
import torch

from gen_models.capabilities import ElboTerms
from gen_models.data import Digits
from gen_models.data.images import ImageSet
from gen_models.evaluation import (
    ClassDivergence,
    Evidence,
    EvidenceLowerBound,
    FrechetDistance,
    Inversion,
    RandomConvolutions,
    Reconstruction,
    ShippedClassifier,
    evaluate,
)
from gen_models.evaluation.pictures import gallery

ALL = [
    FrechetDistance(),
    ClassDivergence(),
    Reconstruction(),
    Inversion(8, 150, 2),
    EvidenceLowerBound(),
]
SHAPE = (1, 16, 16)


class Resampler(torch.nn.Module):
    """Draws from given images; knows nothing else."""

    def __init__(self, images):
        super().__init__()
        self.register_buffer("images", images.float() / 255)

    def sample(self, count, generator=None):
        return self.images[torch.randint(len(self.images), (count,), generator=generator)]


class Linear(torch.nn.Module):
    """x = W z with orthogonal W: its own images can be found again."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(torch.linalg.qr(torch.randn(256, 4)).Q)

    def decode(self, z):
        return (z @ self.weight.T).reshape(-1, *SHAPE)

    def sample_prior(self, count, generator=None):
        return torch.randn(count, 4, generator=generator)

    def reconstruct(self, pixels):
        return pixels + 0.1

    def elbo_terms(self, pixels):
        total = pixels.sum((1, 2, 3))
        return ElboTerms(-2 * total, total)


def digits():
    train, test = Digits().load()
    return train, test


def evidence(model, real=None, extractor=None, samples=1000):
    train, test = digits()
    return Evidence(
        model=model,
        train=train,
        real=real or test,
        split="test",
        extractor=extractor or ShippedClassifier(SHAPE, "digits"),
        samples=samples,
        seed=0,
        device=torch.device("cpu"),
    )


def by_name(values):
    return {value.name: value for value in values}


def test_what_does_not_apply_says_why_and_keeps_its_row():
    values = by_name(evaluate(evidence(Resampler(digits()[0].images)), ALL))
    assert len(values) == 10
    assert values["reconstruction_mse_test_360"].reason == "Resampler does not satisfy Reconstructs"
    assert values["elbo_nats_test"].reason == "Resampler does not satisfy BoundsLikelihood"
    assert values["inversion_mse_test_8"].value is None
    assert values["fid_digits64_1000_test"].value is not None
    other = by_name(evaluate(evidence(Linear()), ALL))
    assert other["fid_digits64_1000_test"].reason == "Linear does not satisfy Samples"


def test_training_images_lie_at_the_floor_and_noise_at_the_ceiling():
    train, _ = digits()
    value = evaluate(evidence(Resampler(train.images)), [FrechetDistance()])[0]
    # Drawing again from a finite set costs about as much as drawing the set itself did.
    assert 0.8 * value.floor.value < value.value < 2.5 * value.floor.value
    noise = torch.randint(0, 256, (500, *SHAPE), dtype=torch.uint8)
    value = evaluate(evidence(Resampler(noise)), [FrechetDistance()])[0]
    assert value.value == pytest.approx(value.ceiling.value, rel=0.1)
    assert value.ceiling.value > 50 * value.floor.value


def test_a_missing_half_of_the_classes_costs_about_log_2():
    train, _ = digits()
    half = Resampler(train.images[train.labels < 5])
    value = evaluate(evidence(half), [ClassDivergence()])[0]
    assert value.value == pytest.approx(0.693, abs=0.08)
    all_classes = evaluate(evidence(Resampler(train.images)), [ClassDivergence()])[0]
    assert all_classes.value < 0.05
    one = evaluate(evidence(Resampler(train.images[train.labels == 3])), [ClassDivergence()])[0]
    assert one.value == pytest.approx(one.ceiling.value, abs=0.3)


def test_class_divergence_needs_labels():
    train, test = digits()
    bare = ImageSet(test.images)
    value = evaluate(evidence(Resampler(train.images), bare), [ClassDivergence()])[0]
    assert "no classifier" in value.reason
    random = RandomConvolutions(SHAPE, "digits")
    value = evaluate(evidence(Resampler(train.images), extractor=random), [ClassDivergence()])[0]
    assert value.name == "class_kl_nats_random128_1000_test"
    assert value.value is None


def test_reconstruction_error_of_a_constant_offset_by_hand():
    values = by_name(evaluate(evidence(Linear()), [Reconstruction()]))
    assert values["reconstruction_mse_test_360"].value == pytest.approx(0.01, rel=1e-5)
    assert values["reconstruction_psnr_test_360"].value == pytest.approx(20, rel=1e-5)
    assert values["reconstruction_mse_test_360"].ceiling.of == "the mean training image"


def test_inversion_reaches_least_squares_and_finds_the_decoders_own_images():
    model = Linear()
    z = torch.rand(8, 4) * 0.2
    own = model.decode(z)
    _, test = digits()
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
    class All(Linear):
        def sample(self, count, generator=None):
            return self.decode(self.sample_prior(count, generator)).sigmoid()

    values = evaluate(evidence(All()), ALL)
    better = {value.name.split("_test")[0]: value.better for value in values}
    assert better == {
        "fid_digits64_1000": "lower",
        "class_kl_nats_digits64_1000": "lower",
        "reconstruction_mse": "lower",
        "reconstruction_psnr": "higher",
        "inversion_mse": "lower",
        "inversion_psnr": "higher",
        "inversion_latent_square": None,
        "elbo_nats": "higher",
        "distortion_nats": "lower",
        "rate_nats": None,
    }
    for value in values:
        if value.floor is not None:
            assert value.floor.value < value.ceiling.value
        if value.low is not None:
            assert value.low <= value.value <= value.high
            assert value.low < value.high


def test_intervals_of_means_are_1_96_standard_errors():
    _, test = digits()
    total = (test.images.double() / 255).sum((1, 2, 3))
    value = by_name(evaluate(evidence(Linear()), [EvidenceLowerBound()]))["rate_nats_test"]
    half = 1.96 * total.std().item() / 360**0.5
    assert value.high - value.value == pytest.approx(half, rel=1e-4)
    assert value.value - value.low == pytest.approx(half, rel=1e-4)


def test_the_ceiling_of_reconstruction_is_the_mean_of_the_training_images():
    train, test = digits()
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

    _, test = digits()
    from gen_models.evaluation.inversion import invert

    pixels = test.images[:3].float() / 255
    found, _ = invert(Trap(), pixels, 5, 2, 0.01)
    assert ((found - pixels) ** 2).mean((1, 2, 3)).max() < 5


def test_an_interval_of_classes_has_width_even_for_a_collapsed_model():
    train, _ = digits()
    three = train.images[train.labels == 3][:1].repeat(50, 1, 1, 1)
    value = evaluate(evidence(Resampler(three)), [ClassDivergence()])[0]
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
    assert values["rate_nats_test"].reason == values["elbo_nats_test"].reason == "not finite"
    assert values["distortion_nats_test"].value is not None


def test_what_cannot_be_measured_costs_the_others_nothing():
    train, test = digits()
    only = ImageSet(test.images[:50], torch.zeros(50, dtype=torch.int64), test.classes)
    values = evaluate(
        evidence(Resampler(train.images), only), [ClassDivergence(), FrechetDistance()]
    )
    assert "no real image" in values[0].reason
    assert values[1].value > 0


def test_elbo_is_log_likelihood_minus_rate():
    values = by_name(evaluate(evidence(Linear()), [EvidenceLowerBound()]))
    _, test = digits()
    total = (test.images.double() / 255).sum((1, 2, 3)).mean().item()
    assert values["rate_nats_test"].value == pytest.approx(total, rel=1e-5)
    assert values["distortion_nats_test"].value == pytest.approx(2 * total, rel=1e-5)
    assert values["elbo_nats_test"].value == pytest.approx(-3 * total, rel=1e-5)


def test_evaluation_twice_is_the_same_and_disturbs_nothing():
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(1))
    resampler = Resampler(digits()[0].images)
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
    among = evaluate(evidence(All()), [ClassDivergence(), EvidenceLowerBound()])
    assert among[1:] == alone


def test_samples_that_are_not_finite_are_a_reason_and_never_a_number():
    broken = Resampler(digits()[0].images)
    broken.images[:] = float("nan")
    value = evaluate(evidence(broken), [FrechetDistance()])[0]
    assert value.value is None
    assert "not finite" in value.reason


def test_pictures_show_what_a_model_can(tmp_path):
    class Both(Linear):
        def sample(self, count, generator=None):
            return self.decode(self.sample_prior(count, generator)).clamp(0, 1)

    grids = gallery(evidence(Both()), Inversion(steps=2, restarts=1))
    assert [g.name for g in grids] == ["samples", "reconstructions", "inversions", "interpolation"]
    for grid in grids:
        assert grid.save(tmp_path / f"{grid.name}.png").stat().st_size > 100
    assert [g.name for g in gallery(evidence(Resampler(digits()[0].images)), None)] == ["samples"]
    # Originals above reconstructions: rows alternate.
    rows = grids[1].pixels
    torch.testing.assert_close(rows[10:20], rows[:10] + 0.1)
    # The path keeps to the norms of its ends; a straight line would sag by a factor 0.7.
    z = grids[3].pixels.flatten(1) @ Both().weight
    norms = z.norm(dim=1).reshape(6, 10)
    assert (norms.min(1).values > 0.85 * norms[:, [0, -1]].min(1).values).all()
