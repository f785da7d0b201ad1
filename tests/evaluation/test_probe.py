"""The probe on decoders whose posterior and likelihood are known in closed form."""

import copy
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from scipy.linalg import hadamard
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, Uniform

from gen_models.data.images import ImageSet
from gen_models.data.ranges import to_bytes, to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.evaluate import evaluate
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.rate_distortion import ProbeTerms
from gen_models.evaluation.probe import (
    LEAST_VARIANCE,
    Probe,
    ProbeEncoder,
    decoding_error,
    drawn,
    noise_for,
    rate,
    shuffled,
)
from gen_models.models import GAN, VAE
from gen_models.networks import ConvGenerator, ConvTrunk, MLPTrunk

from .models import SHAPE, Resampler, by_name, digits
from .models import evidence as digits_evidence

SCALES = torch.tensor([0.6, 0.5, 0.4, 0.3])
NOISE = 0.05
LATENTS = len(SCALES)


class LinearGaussian(torch.nn.Module):
    """x = 0.5 + W z, 8 x 8, columns of W orthogonal: the exact posterior is diagonal."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        # All pixels vary alike, four deviations lie within [0, 1]: nothing is clamped in 8 bits.
        basis = torch.from_numpy(hadamard(64)[:, 1 : 1 + LATENTS]) / 8
        self.weight = torch.nn.Parameter((basis * SCALES).to(dtype))

    def decode(self, z):
        return 0.5 + (z @ self.weight.T).unflatten(1, (1, 8, 8))

    def sample_prior(self, count, generator=None):
        return torch.randn(count, LATENTS, generator=generator)

    def posterior(self, pixels, variance=NOISE**2):
        squares = self.weight.square().sum(0)
        mean = (pixels - 0.5).flatten(1) @ self.weight / (squares + variance)
        deviation = (variance / (squares + variance)).sqrt().expand_as(mean)
        return Independent(Normal(mean, deviation), 1)

    def log_likelihood(self, pixels, variance=NOISE**2):
        weight = self.weight.double()
        covariance = weight @ weight.T + variance * torch.eye(64).double()
        return MultivariateNormal(torch.full((64,), 0.5).double(), covariance).log_prob(
            pixels.double().flatten(1)
        )

    def draw(self, count, seed):
        """Images (count, 1, 8, 8) with their noise, in 8 bits."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            means = self.decode(self.sample_prior(count, generator))
            noise = torch.randn(means.shape, generator=generator)
        return ImageSet(to_bytes(means + NOISE * noise))


SOURCE = LinearGaussian()


class Constant(LinearGaussian):
    """Does not listen to z."""

    def decode(self, z):
        return 0 * super().decode(z) + 0.4


def linear_trunk(shape, features):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(math.prod(shape), features))


PROBE = Probe(linear_trunk, images=40_000, batch_size=64, rate=3e-2)


def evidence(model, probe=PROBE, **changes):
    arguments = {
        "model": model,
        "train": SOURCE.draw(2000, 1),
        "validation": SOURCE.draw(500, 2),
        "real": SOURCE.draw(500, 3),
        "split": "test",
        "extractors": (),
        "samples": 10,
        "seed": 0,
        "device": torch.device("cpu"),
        "probe": probe,
    }
    return Evidence(**{**arguments, **changes})


def cubature(dtype=torch.float64):
    """Noise (2D, 1, D) over which a quadratic function has exactly its normal expectation."""
    axes = LATENTS**0.5 * torch.eye(LATENTS, dtype=dtype)
    return torch.cat((axes, -axes))[:, None]


def terms_of(encoder, pixels):
    return encoder.terms(pixels, cubature(pixels.dtype).expand(-1, len(pixels), -1))


@pytest.fixture(scope="module")
def fitted():
    """Evidence of the linear decoder with its encoder, trained once."""
    made = evidence(SOURCE)
    made.encoder  # noqa: B018
    return made


def test_with_the_exact_posterior_the_bound_is_the_log_likelihood():
    model = LinearGaussian(torch.float64)
    pixels = to_pixels(SOURCE.draw(20, 5).images).double()
    prior = Independent(Normal(torch.zeros(LATENTS), torch.ones(LATENTS)), 1)
    for variance in (NOISE**2, 0.2):
        encoder = ProbeEncoder(model, partial(model.posterior, variance=variance), prior, variance)
        log_likelihood, cost = terms_of(encoder, pixels)
        expected = model.log_likelihood(pixels, variance)
        torch.testing.assert_close(log_likelihood - cost, expected, atol=1e-9, rtol=1e-10)
    squares = SCALES.double().square()
    mutual = 0.5 * (1 + squares / NOISE**2).log().sum()  # the mean rate over the model's own images
    many = to_pixels(SOURCE.draw(20_000, 6).images).double()
    exact = ProbeEncoder(model, model.posterior, prior, NOISE**2)
    assert terms_of(exact, many).rate.mean().item() == pytest.approx(mutual.item(), rel=5e-3)


def test_the_trained_bound_comes_near_the_log_likelihood_and_stays_below(fitted):
    encoder, pixels = fitted.encoder, to_pixels(fitted.real.images)
    log_likelihood, cost = terms_of(encoder, pixels)
    exact = fitted.model.log_likelihood(pixels, encoder.variance)
    gap = exact - (log_likelihood - cost)
    assert gap.min() > -1e-3  # of rounding in float32; the bound itself holds image by image
    assert gap.mean() < 0.05
    # Against the truth, with the true noise: the fit of the noise costs next to nothing.
    truth = fitted.model.log_likelihood(pixels)
    assert (log_likelihood - cost).mean() == pytest.approx(truth.mean().item(), abs=0.1)


def test_the_fitted_noise_is_the_true_one(fitted):
    # 500 images of 64 pixels: 0.8 % standard error of the variance.
    assert fitted.encoder.variance == pytest.approx(NOISE**2, rel=0.03)
    values = by_name(evaluate(fitted, [ProbeTerms()]))
    deviation = values["probe_deviation_validation"]
    assert deviation.value == pytest.approx(NOISE, rel=0.015)
    # The variance of a mean of squares: 2 s^4 / (images * pixels); the deviation is its root.
    assert deviation.error == pytest.approx(NOISE / math.sqrt(2 * 500 * 64), rel=0.15)
    assert deviation.count == 500


def test_the_reported_terms_are_those_of_the_closed_form(fitted):
    values = by_name(evaluate(fitted, [ProbeTerms()]))
    pixels = to_pixels(fitted.real.images)
    terms = terms_of(fitted.encoder, pixels)
    bound, distortion, cost = (
        values[f"probe_{name}_nats_test"] for name in ("bound", "distortion", "rate")
    )
    assert bound.value == pytest.approx(-distortion.value - cost.value, rel=1e-12)
    # Eight draws of an expectation that the cubature has exactly.
    assert distortion.value == pytest.approx(-terms.log_likelihood.mean().item(), abs=0.2)
    assert cost.value == pytest.approx(terms.rate.mean().item(), rel=1e-6)
    spread = terms.rate.double().std().item() / 500**0.5
    assert cost.error == pytest.approx(spread, rel=1e-4)
    least = SOURCE.posterior(pixels).mean
    error = (fitted.model.decode(least) - pixels).square().mean().item()
    assert values["probe_mse_test"].value == pytest.approx(error, rel=0.01)
    assert values["probe_psnr_test"].value == pytest.approx(-10 * math.log10(error), abs=0.05)
    assert "11 x 11" in values["probe_ssim_test"].reason  # 8 x 8 images; the other rows stay


def test_a_decoder_that_ignores_z_has_no_rate_and_the_error_of_its_constant():
    made = evidence(Constant(), replace(PROBE, images=12_800))
    values = by_name(evaluate(made, [ProbeTerms()]))
    assert values["probe_rate_nats_test"].value < 2e-3
    error = (to_pixels(made.real.images) - 0.4).double().square().mean().item()
    assert values["probe_mse_test"].value == pytest.approx(error, rel=1e-6)
    held = (to_pixels(made.validation.images) - 0.4).double().square().mean().item()
    assert values["probe_deviation_validation"].value == pytest.approx(held**0.5, rel=1e-6)
    distortion = 32 * (math.log(2 * math.pi * held) + error / held)
    assert values["probe_distortion_nats_test"].value == pytest.approx(distortion, rel=1e-6)


def test_a_vae_and_a_gan_of_the_same_weights_have_the_same_values():
    data = digits()
    shared = {
        "shape": SHAPE,
        "latent_dim": 3,
        "generator": partial(ConvGenerator, width=4),
        "trunk": partial(ConvTrunk, width=4),
        "optimizer": torch.optim.Adam,
    }
    vae, gan = VAE(**shared), GAN(**shared, ema_half_life=100)
    gan.generator.load_state_dict(vae.generator.state_dict())
    gan.average.network.load_state_dict(vae.generator.state_dict())
    probe = Probe(partial(MLPTrunk, hidden=(16,)), images=320)
    one, two = (evaluate(digits_evidence(m, probe=probe), [ProbeTerms()]) for m in (vae, gan))
    assert one == two
    assert one[0].value is not None
    assert one[5].value < 1
    assert len(data.validation.images) == one[-1].count


def test_the_result_depends_on_nothing_but_the_evidence_and_disturbs_nothing():
    class Normalised(LinearGaussian):
        """Batch statistics and dropout would move or draw in training mode."""

        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(1)
            self.drop = torch.nn.Dropout(0.5)

        def decode(self, z):
            return self.drop(self.norm(super().decode(z)))

    model = Normalised().train()
    model.norm.weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    probe = Probe(partial(linear_trunk), images=640)
    kept = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.random.get_rng_state()
        with torch.no_grad():
            encoder = probe.fit(evidence(model, probe))
        assert torch.equal(state, torch.random.get_rng_state())
        kept.append((encoder.variance, encoder.encoder.state_dict()))
    (variance, weights), (again, same) = kept
    assert variance == again
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    other = probe.fit(evidence(model, probe, seed=1))
    assert other.variance != variance
    assert model.training
    assert model.norm.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == [True, False, True]
    assert all(p.grad is None for p in model.parameters())


def test_the_test_images_do_not_move_the_fit():
    probe = Probe(linear_trunk, images=640)
    one = probe.fit(evidence(SOURCE, probe))
    two = probe.fit(evidence(SOURCE, probe, real=SOURCE.draw(50, 9)))
    assert one.variance == two.variance


def test_the_rate_is_against_the_models_own_prior(fitted):
    class Shifted(LinearGaussian):
        def prior(self):
            return Independent(Normal(torch.full((LATENTS,), 2.0), torch.ones(LATENTS)), 1)

        def decode(self, z):
            return super().decode(z - 2)

    plain = by_name(evaluate(fitted, [ProbeTerms()]))
    moved = by_name(evaluate(evidence(Shifted()), [ProbeTerms()]))
    for name in ("probe_rate_nats_test", "probe_bound_nats_test"):
        assert moved[name].value == pytest.approx(plain[name].value, abs=0.1)


def test_a_rate_without_closed_form_is_a_mean_over_draws():
    posterior = SOURCE.posterior(to_pixels(SOURCE.draw(5, 1).images))
    full = MultivariateNormal(torch.zeros(LATENTS), torch.eye(LATENTS))
    closed = Independent(Normal(torch.zeros(LATENTS), torch.ones(LATENTS)), 1)
    noise = noise_for(posterior, 100_000, torch.Generator().manual_seed(0))
    estimate = rate(posterior, full, drawn(posterior, noise))
    torch.testing.assert_close(estimate, rate(posterior, closed, noise), atol=0.05, rtol=0)


def test_latents_of_another_distribution_need_a_prior():
    class Uniformly(LinearGaussian):
        def sample_prior(self, count, generator=None):
            return 2 * torch.rand(count, LATENTS, generator=generator) - 1

    values = evaluate(evidence(Uniformly()), [ProbeTerms()])
    assert {value.value for value in values} == {None}
    assert "Uniformly does not draw latents from N(0, I)" in values[0].reason

    class Correlated(LinearGaussian):
        def sample_prior(self, count, generator=None):
            z = super().sample_prior(count, generator)
            return torch.cat([z[:, :1], 0.3 * z[:, :1] + 0.91**0.5 * z[:, 1:]], 1)

    with pytest.raises(UsageError, match=r"Correlated does not draw latents from N\(0, I\)"):
        PROBE.fit(evidence(Correlated()))

    class Declared(Uniformly):
        def prior(self, count):  # another thing of the same name
            return count

    with pytest.raises(UsageError, match="give it a method prior"):
        PROBE.fit(evidence(Declared()))
    Declared.prior = lambda self: Independent(Uniform(-torch.ones(4), torch.ones(4)), 1)
    # A Gaussian leaves the cube, where the prior has no density.
    values = by_name(evaluate(evidence(Declared(), Probe(linear_trunk, images=64)), [ProbeTerms()]))
    assert values["probe_rate_nats_test"].value is None


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_decoder_that_is_not_finite_is_a_reason_in_one_line(broken):
    class Broken(LinearGaussian):
        def decode(self, z):
            return super().decode(z) * broken

    values = evaluate(evidence(Broken(), Probe(linear_trunk, images=64)), [ProbeTerms()])
    assert all(value.value is None for value in values)
    assert values[0].reason.startswith("the probe has diverged")
    assert "\n" not in values[0].reason


def test_noise_is_never_less_than_that_of_8_bits():
    model = Constant()
    grey = ImageSet(torch.full((50, 1, 8, 8), 102, dtype=torch.uint8))  # 0.4 exactly
    made = evidence(model, Probe(linear_trunk, images=64), train=grey, validation=grey, real=grey)
    values = by_name(evaluate(made, [ProbeTerms()]))
    assert made.encoder.variance == LEAST_VARIANCE
    assert values["probe_bound_nats_test"].value == pytest.approx(
        -32 * math.log(2 * math.pi * LEAST_VARIANCE), abs=1
    )


def test_the_protocol_is_the_recipe_and_holds_nothing_that_was_fitted(fitted):
    same_recipe = evidence(Constant(), replace(PROBE))
    one, two = ProbeTerms().blanks(fitted), ProbeTerms().blanks(same_recipe)
    assert [value.protocol for value in one] == [value.protocol for value in two]
    for part in ("linear_trunk", "40000 images", "beta = 1", "validation", "not dequantised"):
        assert all(part in value.protocol for value in one)
    assert "MLPTrunk(hidden=(8,))" in Probe(partial(MLPTrunk, hidden=(8,))).protocol
    assert [value.name for value in evaluate(fitted, [ProbeTerms()])] == [v.name for v in one]
    assert {value.aspect for value in one} == {"likelihood", "reconstruction"}


def test_what_is_missing_is_said_in_words():
    without = evaluate(evidence(SOURCE, None), [ProbeTerms()])
    assert {value.reason for value in without} == {
        "no probe encoder is trained for the decoder (evaluation.probe is null)"
    }
    blind = evaluate(digits_evidence(Resampler(digits().train.images), probe=PROBE), [ProbeTerms()])
    assert blind[0].reason == "Resampler decodes no latents (it does not satisfy Decodes)"
    empty = ImageSet(torch.zeros(0, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(UsageError, match=r"set data\.validation above 0"):
        PROBE.fit(evidence(SOURCE, validation=empty))


@pytest.mark.parametrize("name", ["images", "batch_size", "rate", "draws"])
def test_the_recipe_is_checked(name):
    with pytest.raises(UsageError, match=f"probe.{name} must be above 0, not 0"):
        Probe(linear_trunk, **{name: 0})


def test_every_image_is_shown_equally_often():
    rows = shuffled(7, 30, seed=0)
    assert rows.shape == (30,)
    counts = rows.bincount(minlength=7)
    assert counts.max() - counts.min() <= 1
    assert not torch.equal(rows[:7], rows[7:14])


def test_the_decoding_error_is_each_images_own():
    model = SimpleNamespace(decode=lambda z: z.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2))
    z = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])  # two draws of two images
    errors = decoding_error(model, z, torch.zeros(2, 1, 2, 2))
    assert errors.tolist() == [5.0, 10.0]


def test_a_prior_that_is_discrete_in_part_is_refused():
    class Tokens(LinearGaussian):
        def prior(self):
            return Independent(Bernoulli(0.5 * torch.ones(LATENTS)), 1)

    values = evaluate(evidence(Tokens()), [ProbeTerms()])
    assert all("discrete in part" in value.reason for value in values)
