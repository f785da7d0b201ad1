"""Errors of single images on decoders with known answers, and the search for latents."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent
from torch.nn import Flatten, Linear, Sequential
from torchmetrics.functional.image import structural_similarity_index_measure

from gen_models.data.images import ImageSet
from gen_models.data.ranges import to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.evaluate import evaluate
from gen_models.evaluation.inversion import invert
from gen_models.evaluation.measurements.rate_distortion import EvidenceLowerBound
from gen_models.evaluation.measurements.reconstructions import Inversion, Reconstruction
from gen_models.evaluation.probe import Probe

from .models import Complete, Resampler, by_name, digits, evidence
from .models import Linear as LinearDecoder

NAMES = ["mse", "psnr", "ssim"]


def trunk(shape, features):
    return Sequential(Flatten(), Linear(math.prod(shape), features))


def pixels(count):
    return to_pixels(digits().test.images[:count])


def least_squares(images, weight):
    """The best that z @ weight.T can do, pixels of the shape of the images."""
    flat = images.flatten(1)
    return (flat @ weight @ weight.T).reshape(images.shape)


class Waves(LinearDecoder):
    """Many local optima: where a search ends depends on where it starts."""

    def decode(self, z):
        return super().decode((3 * z).sin()) + 0.5


def test_the_three_errors_of_a_known_reconstruction():
    values = by_name(evaluate(evidence(LinearDecoder()), [Reconstruction()]))
    mse, psnr, ssim = (values[f"reconstruction_{name}_test_360"] for name in NAMES)
    assert mse.value == pytest.approx(0.01, rel=1e-5)
    assert psnr.value == pytest.approx(20, rel=1e-5)
    assert psnr.error == pytest.approx(0, abs=1e-5)
    real = pixels(360)
    expected = structural_similarity_index_measure(real + 0.1, real, data_range=1.0).item()
    assert ssim.value == pytest.approx(expected, abs=1e-5)
    assert [v.better for v in (mse, psnr, ssim)] == ["lower", "higher", "higher"]


def test_errors_and_intervals_are_those_of_a_mean_over_images():
    class Scaled(LinearDecoder):
        def reconstruct(self, pixels):
            return 0.9 * pixels

    values = by_name(evaluate(evidence(Scaled()), [Reconstruction()]))
    mse, psnr, ssim = (values[f"reconstruction_{name}_test_360"] for name in NAMES)
    each = (0.1 * pixels(360).double()).square().mean((1, 2, 3))
    spread = each.std().item() / 360**0.5
    assert mse.error == pytest.approx(spread, rel=1e-4)
    assert mse.high - mse.low == pytest.approx(2 * 1.959964 * spread, rel=1e-4)
    # Delta method: d(-10 log10 m) = 10 / (ln 10 m) dm.
    assert psnr.error == pytest.approx(10 / math.log(10) * spread / each.mean().item(), rel=1e-4)
    assert psnr.low == pytest.approx(-10 * math.log10(mse.high), rel=1e-9)
    assert psnr.high == pytest.approx(-10 * math.log10(mse.low), rel=1e-9)
    assert ssim.low < ssim.value < ssim.high < 1


def test_floor_and_ceiling_are_the_image_itself_and_the_mean_training_image():
    mse, psnr, ssim = evaluate(evidence(LinearDecoder()), [Reconstruction()])
    mean = to_pixels(digits().train.images).double().mean(0).expand(360, -1, -1, -1)
    real = pixels(360).double()
    error = (real - mean).square().mean().item()
    assert (mse.floor.value, ssim.floor.value, psnr.floor) == (0, 1, None)
    assert mse.ceiling.value == pytest.approx(error, rel=1e-5)
    assert psnr.ceiling.value == pytest.approx(-10 * math.log10(error), rel=1e-5)
    similar = structural_similarity_index_measure(mean, real, data_range=1.0).item()
    assert ssim.ceiling.value == pytest.approx(similar, abs=1e-5)


def test_images_too_small_for_ssim_cost_that_row_alone():
    small = ImageSet(digits().test.images[:20, :, :8, :8])
    made = evidence(LinearDecoder(), real=small)
    made.train = made.validation = small
    mse, psnr, ssim = evaluate(made, [Reconstruction()])
    assert mse.value == pytest.approx(0.01, rel=1e-5)
    assert psnr.value == pytest.approx(20, rel=1e-5)
    assert ssim.value is None
    assert "11 x 11" in ssim.reason


def test_every_value_says_what_it_tells_of():
    kinds = [Reconstruction(), Inversion(4, 2, 1), EvidenceLowerBound()]
    values = evaluate(evidence(Complete()), kinds)
    assert [value.aspect for value in values] == ["reconstruction"] * 7 + ["likelihood"] * 3
    assert all(value.error is not None for value in values)
    lacking = evaluate(evidence(Resampler(digits().train.images)), kinds)
    assert [value.name for value in lacking] == [value.name for value in values]
    assert all(value.reason for value in lacking)


def test_inversion_reaches_least_squares_and_finds_the_decoders_own_images():
    model, real = LinearDecoder(), pixels(8)
    best = least_squares(real, model.weight.detach())
    found, _ = invert(model, real, 600, 2, 0.1)
    ratio = (found - real).square().mean() / (best - real).square().mean()
    assert ratio.item() == pytest.approx(1, abs=1e-6)
    z = 0.5 * torch.randn(8, 4)
    own = model.decode(z).detach()
    found, latents = invert(model, own, 600, 2, 0.1)
    assert (found - own).square().max().item() < 1e-10
    torch.testing.assert_close(latents, z, atol=1e-4, rtol=0)


def test_with_guesses_no_image_ends_worse_and_a_perfect_guess_is_kept():
    model = Waves()
    z = torch.randn(16, 4) * 2
    own = model.decode(z).detach()

    def errors(guesses):
        generator = torch.Generator().manual_seed(5)
        found, latents = invert(model, own, 40, 2, 0.05, generator, guesses)
        assert latents.shape == (16, 4)
        torch.testing.assert_close(model.decode(latents), found)
        return (found - own).square().mean((1, 2, 3))

    without, random = errors(None), errors(torch.randn(3, 16, 4))
    assert (random <= without + 1e-7).all()
    assert random.mean() < 0.9 * without.mean()
    assert errors(torch.stack((z.flip(0), z))).max() < 1e-4 < without.max()


def test_the_search_starts_at_the_probes_guess_too():
    probe = Probe(trunk, images=2000, rate=1e-2)
    search = Inversion(images=12, steps=20, restarts=1)
    with_probe, without = evidence(Waves(), probe=probe), evidence(Waves())
    guided, plain = (by_name(evaluate(e, [search])) for e in (with_probe, without))
    name = "inversion_mse_test_12"
    assert guided[name].value < plain[name].value
    assert "1 draws of the prior and from the probe's posterior mean" in guided[name].protocol
    assert "probe" not in plain[name].protocol


def test_where_no_probe_can_be_had_the_search_goes_on_and_claims_no_guess():
    class Halves(Waves):
        def prior(self):
            return Independent(Bernoulli(0.5 * torch.ones(4)), 1)

    search = Inversion(images=12, steps=20, restarts=1)
    probe = Probe(trunk, images=200)
    discrete = evaluate(evidence(Halves(), probe=probe), [search])
    plain = evaluate(evidence(Waves()), [search])
    assert [v.value for v in discrete] == [v.value for v in plain]
    assert all(v.value is not None for v in discrete)
    assert [v.protocol for v in discrete] == [v.protocol for v in plain]


def test_beside_the_search_stands_what_learning_by_heart_would_leave():
    made = evidence(LinearDecoder())
    made.batch = 7
    value = by_name(evaluate(made, [Inversion(images=12, steps=2, restarts=1)]))
    [anchor] = value["inversion_mse_test_12"].anchors
    train = to_pixels(made.train.images)
    every = [min((x - y).square().mean().item() for y in train) for x in pixels(12)]
    assert anchor.of == "the nearest training image"
    assert anchor.value == pytest.approx(sum(every) / 12, rel=1e-5)


def test_found_images_stay_beside_their_originals_in_every_batch():
    model = LinearDecoder()
    made = evidence(model)
    made.batch = 5
    values = by_name(evaluate(made, [Inversion(images=12, steps=400, restarts=1)]))
    real = pixels(12)
    expected = (least_squares(real, model.weight.detach()) - real).square().mean().item()
    assert values["inversion_mse_test_12"].value == pytest.approx(expected, rel=1e-3)
    squares = values["inversion_latent_square_test_12"]
    latents = real.flatten(1) @ model.weight.detach()
    assert squares.value == pytest.approx(latents.square().mean().item(), rel=1e-2)
    assert values["inversion_ssim_test_12"].value < 1


@pytest.mark.parametrize("name", ["images", "steps", "restarts"])
def test_the_search_is_checked(name):
    with pytest.raises(UsageError, match=f"inversion.{name} must be 1 or more, not 0"):
        Inversion(**{name: 0})


def test_the_bound_is_the_log_likelihood_less_the_rate():
    values = by_name(evaluate(evidence(LinearDecoder()), [EvidenceLowerBound()]))
    total = pixels(360).double().sum((1, 2, 3))
    assert values["rate_nats_test"].value == pytest.approx(total.mean().item(), rel=1e-5)
    assert values["distortion_nats_test"].value == pytest.approx(2 * total.mean().item(), rel=1e-5)
    assert values["elbo_nats_test"].value == pytest.approx(-3 * total.mean().item(), rel=1e-5)
    spread = 3 * total.std().item() / 360**0.5
    assert values["elbo_nats_test"].error == pytest.approx(spread, rel=1e-4)
