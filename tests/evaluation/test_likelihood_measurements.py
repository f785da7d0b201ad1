"""Measurements of log p(x) on a linear-Gaussian model, where every number has a closed form."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import (
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)
from torch.distributions.transforms import ReshapeTransform

from gen_models.data.images import ImageSet
from gen_models.errors import UsageError
from gen_models.evaluation import (
    AggregatedPosterior,
    AnnealedLikelihood,
    Annealing,
    Evidence,
    ExactLikelihood,
    ImportanceWeightedLikelihood,
    KernelDensity,
    ObservationNoise,
    PriorSampling,
    Probe,
    ProbeEncoder,
    evaluate,
)
from gen_models.evaluation.likelihood import LinearGaussian, gaussian_observation
from gen_models.evaluation.likelihood.exact import exact_log_likelihood, linear_gaussian
from gen_models.evaluation.likelihood.joint import Joint
from gen_models.evaluation.measurements.aggregated_posterior import Stacked, stacked
from gen_models.evaluation.observation import NOISES

NOISE = 0.1  # a point of the grid: what the fit has to find
SHAPE = (1, 2, 3)
PIXELS = math.prod(SHAPE)


class Linear(torch.nn.Module):
    """x = 0.5 + W z, 2 x 3, from two latents."""

    def __init__(self, latents=2):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weight = 0.15 * torch.randn(PIXELS, latents, generator=generator)
        self.weight = torch.nn.Parameter(weight)
        self.known = LinearGaussian(weight, torch.full((PIXELS,), 0.5), NOISE)

    def decode(self, z):
        return 0.5 + (z @ self.weight.T).unflatten(1, SHAPE)

    def sample_prior(self, count, generator=None):
        return torch.randn(count, self.weight.shape[1], generator=generator)

    def prior(self):
        zeros = torch.zeros(self.weight.shape[1])
        return Independent(Normal(zeros, zeros + 1), 1)


class Own(Linear):
    """The same with a likelihood and the exact posterior of its own."""

    likelihood = SimpleNamespace()

    def observe(self, z):
        return Independent(Normal(self.decode(z), NOISE), 3)

    def infer(self, pixels):
        exact = self.known.posterior(pixels.flatten(1))
        return MultivariateNormal(exact.mean.float(), scale_tril=exact.scale_tril.float())


@dataclass(frozen=True)
class ExactProbe(Probe):
    """Gives the exact posterior, as a probe with endless time would."""

    def fit(self, evidence):
        model = evidence.model
        posterior = model.known.posterior(torch.zeros(1, PIXELS))
        spread = posterior.scale_tril[0].float()

        def encoder(pixels):
            mean = model.known.posterior(pixels.flatten(1)).mean.float()
            return MultivariateNormal(mean, scale_tril=spread)

        return ProbeEncoder(model, encoder, model.prior(), NOISE**2)


def points(model, count, seed):
    """Images that the model draws, noise and all, as floats."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, model.weight.shape[1], generator=generator)
    noise = NOISE * torch.randn(count, *SHAPE, generator=generator)
    return ImageSet((model.decode(z) + noise).detach())


def evidence(model, *, probe=True, images=40, **options):
    return Evidence(
        model=model,
        train=points(model, 50, 1),
        validation=points(model, 400, 2),
        real=points(model, images, 3),
        split="test",
        extractors=(),
        samples=10,
        seed=0,
        device=torch.device("cpu"),
        probe=ExactProbe(trunk=torch.nn.Identity) if probe else None,
        **options,
    )


def measured(measurement, given):
    return {value.name: value for value in evaluate(given, [measurement])}


def known(given):
    """The exact log p(x) of the real images."""
    return given.model.known.evidence.log_prob(given.real.images.flatten(1).double())


def test_the_noise_is_found_on_the_grid():
    """Broken by a fit on twice the squared errors, or without the normaliser's log s."""
    assert evidence(Linear()).noise == pytest.approx(NOISE)
    assert NOISE in [pytest.approx(noise) for noise in NOISES]
    [value] = measured(ObservationNoise(), evidence(Linear())).values()
    assert value.value == pytest.approx(NOISE)
    assert value.name == "observation_noise_validation"


@pytest.mark.parametrize(("model", "observation"), [(Linear, "fitted_noise"), (Own, "own")])
def test_with_the_exact_posterior_every_draw_gives_log_p(model, observation):
    given = evidence(model(), images=7)
    values = measured(ImportanceWeightedLikelihood(observation, draws=5), given)
    bound = values[f"log_likelihood_iw5_{observation}_nats_test_7"]
    assert bound.value == pytest.approx(known(given).mean().item(), abs=1e-3)
    assert bound.error == pytest.approx(known(given).std().item() / 7**0.5, rel=1e-3)
    effective = values[f"effective_draws_iw5_{observation}_test_7"]
    assert effective.value == pytest.approx(5, rel=1e-3)
    assert effective.restates == bound.title


def test_only_as_many_images_as_are_asked_for_are_measured():
    given = evidence(Linear())
    [bound, _] = measured(ImportanceWeightedLikelihood(images=3, draws=2), given).values()
    assert bound.name.endswith("_test_3")
    assert bound.count == 3
    assert bound.value == pytest.approx(known(given)[:3].mean().item(), abs=1e-3)


def test_prior_draws_bound_loosely_and_say_how_few_count():
    given = evidence(Linear())
    few, effective = measured(PriorSampling(draws=10), given).values()
    many, _ = measured(PriorSampling(draws=20_000), given).values()
    exact = known(given).mean().item()
    assert few.value < many.value - 0.1
    assert many.value == pytest.approx(exact, abs=0.05)
    assert 1 <= effective.value < 5
    assert "loose" in few.title


def test_kernels_on_samples_stay_below_and_take_their_width_from_validation():
    given = evidence(Linear())
    [value] = measured(KernelDensity(samples=5000), given).values()
    assert value.value == pytest.approx(known(given).mean().item(), abs=0.1)
    assert value.name == "log_density_kernel5000_nats_test_40"
    given = evidence(Linear(), probe=False)
    assert (
        measured(KernelDensity(samples=100), given)["log_density_kernel100_nats_test_40"].value
        is not None
    )


def test_the_images_to_be_measured_have_no_say_in_the_width():
    """They lie where samples do and would take narrow kernels; validation, with noise, wide ones.

    Broken by a width that is tuned on them, or on both.
    """
    given = evidence(Linear())
    given.real = ImageSet(given.model.decode(torch.randn(40, 2)).detach())
    with torch.no_grad():
        samples = given.model.decode(given.model.sample_prior(500, given.generator()))
    held, real = (naive_kernels(samples, x.images) for x in (given.validation, given.real))
    [value] = measured(KernelDensity(samples=500), given).values()
    assert value.value == pytest.approx(real[held.argmax()].item(), abs=1e-4)
    assert real.max() > real[held.argmax()] + 1


def naive_kernels(samples, images):
    """Mean log density of images under kernels of each width on samples, (widths,), nats."""
    squares = (samples[:, None] - images).double().square().flatten(2).sum(2)
    logs = [
        (-squares / (2 * s**2)).exp().mean(0).log() - PIXELS * math.log(s * math.sqrt(2 * math.pi))
        for s in NOISES
    ]
    return torch.stack(logs).mean(1)


@pytest.mark.parametrize(("start", "temperatures"), [("prior", 150), ("encoder", 50)])
def test_annealing_is_between_its_bounds_and_near_the_truth(start, temperatures):
    """From the prior 50 are too few: the gap is 0.3 off, by the processor's last digits."""
    given = evidence(Linear(), images=12)
    annealing = Annealing(temperatures=temperatures, chains=8, tuning=20)
    values = measured(AnnealedLikelihood(images=12, annealing=annealing, start=start), given)
    short = "ais150" if start == "prior" else "ais50_encoder"
    names = [name for name in values if name.startswith("log_likelihood")]
    assert names == [f"log_likelihood_{short}_fitted_noise_nats_test_12"]
    exact = known(given).mean().item()
    assert values[names[0]].value == pytest.approx(exact, abs=0.1)
    lower, upper, gap = (
        values[f"simulated_{which}_{short}_fitted_noise_nats_test_12"]
        for which in ("lower", "upper", "gap")
    )
    assert gap.value == pytest.approx(upper.value - lower.value, abs=1e-9)
    assert gap.value > -3 * gap.error
    assert gap.value < 0.3
    acceptance = values[f"acceptance_{short}_fitted_noise_test_12"]
    assert 0.4 < acceptance.value <= 1
    assert 1 <= values[f"effective_chains_{short}_fitted_noise_test_12"].value <= 8


def test_chains_that_start_at_the_posterior_have_nothing_to_gather():
    """Neither bound needs temperatures then; from the prior, both are far off with so few."""
    given = evidence(Linear(), images=12)
    annealing = Annealing(temperatures=2, chains=2, tuning=2)
    for start, near in (("encoder", True), ("prior", False)):
        values = measured(AnnealedLikelihood(images=12, annealing=annealing, start=start), given)
        lower, gap = (
            next(value.value for name, value in values.items() if name.startswith(stem))
            for stem in ("log_likelihood", "simulated_gap")
        )
        assert (abs(lower - known(given).mean().item()) < 1e-3) is near
        assert (abs(gap) < 1e-3) is near


@pytest.mark.parametrize("observation", ["own", "fitted_noise"])
def test_exact_values_and_the_divergence_from_data_of_known_density(observation):
    model = Own()
    noise = torch.full((PIXELS,), 4 * NOISE**2).double()  # the data: twice the noise
    middle = torch.full((PIXELS,), 0.5).double()
    law = LowRankMultivariateNormal(middle, model.weight.detach().double(), noise)
    density = TransformedDistribution(law, ReshapeTransform((PIXELS,), SHAPE))
    given = evidence(model, density=density)
    exact, divergence = measured(ExactLikelihood(observation), given).values()
    assert exact.value == pytest.approx(known(given).mean().item(), abs=1e-4)
    best = law.log_prob(given.real.images.flatten(1).double())
    assert exact.floor.value == pytest.approx(best.mean().item(), abs=1e-4)
    assert divergence.value == pytest.approx((best - known(given)).mean().item(), abs=1e-4)
    assert divergence.error == pytest.approx((best - known(given)).std().item() / 40**0.5, rel=1e-3)
    assert divergence.floor.value == 0


def test_exact_values_need_few_latents_or_a_line():
    assert measured(ExactLikelihood("own"), evidence(Own(latents=4)))[
        "log_likelihood_exact_own_nats_test_40"
    ].value == pytest.approx(known(evidence(Own(latents=4))).mean().item(), abs=1e-4)
    [value] = measured(ExactLikelihood(), evidence(Linear(latents=4))).values()
    assert value.value is not None  # a line with the fitted noise

    class Bent(Linear):
        def decode(self, z):
            return super().decode(z.sin())

    [value] = measured(ExactLikelihood(), evidence(Bent(latents=4))).values()
    assert "one or two latents" in value.reason


def test_a_bent_decoder_is_no_linear_model_and_is_integrated():
    model = Linear()
    prior = model.prior()
    straight = Joint(prior, gaussian_observation(model.decode, NOISE))
    found = linear_gaussian(straight)
    torch.testing.assert_close(found.weight, model.known.weight)
    torch.testing.assert_close(found.bias, model.known.bias)
    assert found.deviation == pytest.approx(NOISE)

    def bent(z):
        return model.decode(z) + 0.01 * z[:, :1, None, None] ** 2

    curved = Joint(prior, gaussian_observation(bent, NOISE))
    assert linear_gaussian(curved) is None
    x = points(model, 3, 5).images
    change = exact_log_likelihood(curved, x) - exact_log_likelihood(straight, x)
    assert 1e-4 < change.abs().max() < 1
    shifted = Independent(Normal(torch.ones(2), torch.ones(2)), 1)
    assert linear_gaussian(Joint(shifted, gaussian_observation(model.decode, NOISE))) is None


def test_information_and_divergence_add_up_to_the_rate():
    given = evidence(Own(), images=300)
    values = measured(AggregatedPosterior(draws=4), given)
    units, information, divergence = values.values()
    assert units.value == 2
    assert 0 < information.value < math.log(300)
    posterior = given.model.infer(given.real.images)
    prior = given.model.prior()
    z = posterior.sample((2000,))
    rate = (posterior.log_prob(z) - prior.log_prob(z)).mean().item()
    assert information.value + divergence.value == pytest.approx(rate, abs=0.1)
    # Exact posteriors of the model's own images: q(z) is the prior, but for the draw of 300.
    assert abs(divergence.value) < 0.1


@pytest.mark.parametrize(
    ("measurement", "probe", "reason"),
    [
        (ImportanceWeightedLikelihood("own"), True, "has no likelihood of its own"),
        (ImportanceWeightedLikelihood(), False, "evaluation.probe is null"),
        (AnnealedLikelihood(), False, "evaluation.probe is null"),
        (AggregatedPosterior(), True, "does not satisfy Infers"),
    ],
)
def test_what_does_not_apply_says_why(measurement, probe, reason):
    for value in evaluate(evidence(Linear(), probe=probe), [measurement]):
        assert value.value is None
        assert reason in value.reason


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: ImportanceWeightedLikelihood("mine"), "own, fitted_noise"),
        (lambda: ImportanceWeightedLikelihood(draws=0), "draws"),
        (lambda: PriorSampling(images=0), "images"),
        (lambda: AnnealedLikelihood(start="end"), "prior, encoder"),
        (lambda: AggregatedPosterior(draws=0), "draws"),
    ],
)
def test_impossible_choices_are_refused(make, name):
    with pytest.raises(UsageError, match=name):
        make()


def test_posteriors_that_cannot_be_joined_are_stacked_and_give_the_same():
    model = Own()
    x = points(model, 30, 7).images
    parts = [model.infer(part) for part in x.split(12)]
    joined, single = stacked(parts), Stacked(parts)
    z = joined.sample((2,))
    assert single.batch_shape == joined.batch_shape == (30,)
    torch.testing.assert_close(single.mean, joined.mean)
    torch.testing.assert_close(single.log_prob(z), joined.log_prob(z))
    everyone = z.flatten(0, 1)[:, None]
    torch.testing.assert_close(single.log_prob(everyone), joined.log_prob(everyone))
    assert single.sample((5,)).shape == (5, 30, 2)
