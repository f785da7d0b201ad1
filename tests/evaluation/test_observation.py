"""What a decoder is read as: whose encoder, and how wide the noise."""

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from gen_models.evaluation import ImportanceWeightedLikelihood, ProbeEncoder
from gen_models.evaluation.observation import DECODED, fitted_noise

from .test_likelihood_measurements import NOISE, SHAPE, Linear, Own, evidence, known, measured


class Observed(Linear):
    """A likelihood of its own, and no encoder."""

    def observe(self, z):
        return Independent(Normal(self.decode(z), NOISE), 3)


class Astray(Own):
    """An encoder of its own that looks in the wrong place."""

    def infer(self, pixels):
        exact = super().infer(pixels)
        return MultivariateNormal(exact.mean + 3, scale_tril=exact.scale_tril)


class AstrayProbe:
    """A probe that looks in the wrong place."""

    def fit(self, evidence):
        return ProbeEncoder(evidence.model, evidence.model.wrong, evidence.model.prior(), NOISE**2)

    def noise(self, evidence):
        return NOISE


@pytest.mark.parametrize(
    ("model", "observation"),
    [(Own, "own"), (Observed, "own"), (Linear, "fitted_noise"), (Astray, "fitted_noise")],
)
def test_the_encoder_is_the_models_for_its_own_likelihood_and_the_probes_otherwise(
    model, observation
):
    """Only the exact posterior gives log p(x) with so few draws; the other encoder is off."""
    given = evidence(model(), images=20)
    if model is Own:
        given.model.wrong = Astray().infer
        given.probe = AstrayProbe()
    bound, _ = measured(ImportanceWeightedLikelihood(observation, draws=2), given).values()
    assert bound.value == pytest.approx(known(given).mean().item(), abs=1e-3)


def test_the_other_encoder_would_be_seen():
    given = evidence(Astray(), images=20)
    bound, _ = measured(ImportanceWeightedLikelihood("own", draws=2), given).values()
    assert bound.value < known(given).mean().item() - 1


@pytest.mark.parametrize("latents", [2, 5])
def test_the_noise_is_fitted_to_the_density_and_not_to_what_the_posterior_can_explain(latents):
    """Five latents leave one of six pixels unexplained.

    Without log p(z) - log q(z | x), the posterior's draws would fit each image too well.
    """
    given = evidence(Linear(latents=latents))
    assert given.model.decode(torch.zeros(1, latents)).shape[1:] == SHAPE
    assert fitted_noise(given, draws=200) == pytest.approx(NOISE)


def test_no_more_images_are_decoded_at_once_than_by_others(monkeypatch):
    """32 draws of 256 images would take four times the memory of all other measurements."""
    given, decoded = evidence(Linear()), []
    decode = given.model.decode
    monkeypatch.setattr(given.model, "decode", lambda z: (decoded.append(len(z)), decode(z))[1])
    assert given.encoder
    decoded.clear()
    assert fitted_noise(given) == pytest.approx(NOISE)
    assert sum(decoded) == 32 * 400
    assert max(decoded) <= DECODED
