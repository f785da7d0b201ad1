"""Pictures with known answers: which latents, which images, in which row, how far apart."""

import re
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from gen_models.distributions import GaussianMixture
from gen_models.errors import UsageError
from gen_models.evaluation import Inversion, evaluate
from gen_models.evaluation.extractors.features import Extractor, Features
from gen_models.evaluation.grid import Grid
from gen_models.evaluation.measurements import reconstructions as searching
from gen_models.evaluation.pictures import gallery, reconstructions, sample_grid
from gen_models.models import GAN, VAE
from gen_models.networks import MLPGenerator, MLPTrunk

from .models import SHAPE, Complete, Linear, Resampler, digits, evidence

CPU = torch.device("cpu")
SEARCH = Inversion(images=12, steps=150, restarts=1)


class Brightness(Extractor):
    """One feature: the mean pixel, in bytes."""

    name, digest, dimension = "brightness1", "0" * 64, 1

    def forward(self, pixels):
        return Features(pixels.mean((1, 2, 3))[:, None] * 255)


class Listed(torch.nn.Module):
    """Samples constant images of given bytes, in their order."""

    def __init__(self, levels):
        super().__init__()
        self.images = constant(levels)

    def sample(self, count, generator=None):
        return self.images[:count]


class Decoder(torch.nn.Module):
    """Decodes as `Linear` does, and cannot encode."""

    def __init__(self):
        super().__init__()
        self.inner = Linear()

    def decode(self, z):
        return self.inner.decode(z)

    def sample_prior(self, count, generator=None):
        return self.inner.sample_prior(count, generator)


def constant(levels):
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, *SHAPE)


def by_brightness(samples, real, train):
    """The pictures of samples, of bytes, among real and training images of bytes."""
    about = evidence(
        Listed(samples),
        real=SimpleNamespace(images=constant(real), labels=None),
        extractors=(Brightness(),),
        samples=len(samples),
    )
    about.train = SimpleNamespace(images=constant(train), labels=None)
    return {grid.name: grid for grid in gallery(about, None)}


def levels(grid):
    """The bytes of constant tiles, row by row."""
    tiles = (grid.pixels * 255).round()[:, 0, 0, 0].int()
    return tiles.reshape(-1, grid.columns).tolist()


def errors(row):
    mean, *each = map(float, re.findall(r"[\d.]+(?:e-\d+)?", row))
    return mean, each


def small(kind, **options):
    torch.manual_seed(0)
    parts = {"latent_dim": 6, "generator": MLPGenerator, "trunk": MLPTrunk}
    return kind(shape=SHAPE, **{**parts, "optimizer": torch.optim.Adam, **options})


def first_latents(model):
    """What the generator is given for the grid of samples, and the grid's caption."""
    seen = []
    parts = [model.generator] if model.average is None else list(model.average.children())
    hooks = [p.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for p in parts]
    caption = sample_grid(model, CPU, 3).caption
    for hook in hooks:
        hook.remove()
    return seen[0], caption


def test_a_vae_and_a_gan_are_shown_at_the_same_latents():
    (z, caption), *others = map(
        first_latents, (small(VAE), small(GAN), small(GAN, ema_half_life=20))
    )
    assert z.shape == (64, 6)
    assert torch.equal(z, torch.randn(64, 6, generator=torch.Generator().manual_seed(3)))
    for latents, told in others:
        assert torch.equal(latents, z)
        assert told == caption
    assert "same latents for every model with 6 of them" in caption


@pytest.mark.parametrize(
    "model",
    [
        small(VAE, prior=partial(GaussianMixture, components=3)),
        Complete(),  # not what its prior's draws decode to
        Resampler(digits().train.images),
    ],
    ids=["prior", "sampling", "no latents"],
)
def test_draws_of_its_own_are_told(model):
    caption = sample_grid(model, CPU, 0).caption
    assert "draws of the model's own" in caption
    assert "same latents" not in caption


def test_originals_stand_above_encoder_and_search_with_their_errors():
    grid = reconstructions(evidence(Linear()), SEARCH)
    original, encoder, search = grid.rows
    real = digits().test.images[:10] / 255
    assert original == "original: the first 10 test images"
    assert encoder == f"encoder: mean squared error 0.01, of each {', '.join(['0.01'] * 10)}"
    weight = Linear().weight.detach()
    best = (real.flatten(1) @ weight @ weight.T).reshape(real.shape)  # least squares
    torch.testing.assert_close(grid.pixels[:10], real)
    torch.testing.assert_close(grid.pixels[10:20], real + 0.1)
    torch.testing.assert_close(grid.pixels[20:], best, atol=0.02, rtol=0)
    mean, each = errors(search)
    assert each == pytest.approx((best - real).square().mean((1, 2, 3)).tolist(), rel=0.06)
    assert mean == pytest.approx(sum(each) / 10, rel=0.06)


def test_what_a_model_lacks_leaves_its_row_grey():
    grid = reconstructions(evidence(Decoder()), SEARCH)
    assert grid.rows[1] == "encoder: none"
    assert (grid.pixels[10:20] == 0.5).all()
    assert grid.rows[2].startswith("latent search: mean squared error")
    assert len(reconstructions(evidence(Linear()), None).rows) == 2
    with pytest.raises(UsageError, match="neither"):
        reconstructions(evidence(Resampler(digits().train.images)), SEARCH)


def test_values_and_picture_share_one_search(monkeypatch):
    searched = []

    def counted(model, pixels, *rest):
        searched.append(len(pixels))
        return searching.torch.zeros_like(pixels), searching.torch.zeros(len(pixels), 4)

    monkeypatch.setattr(searching, "invert", counted)
    about = evidence(Linear())
    evaluate(about, [SEARCH])
    reconstructions(about, SEARCH)
    assert searched == [12]


def test_worst_and_best_are_told_by_the_nearest_real_image():
    # Distances to 100 or to 200, whichever is nearer: 0 .. 24, and 1 for the last.
    samples = [*range(124, 99, -1), 201]
    grid = by_brightness(samples, real=[100, 200], train=[124])["extremes"]
    worst, best = levels(grid)
    assert worst == list(range(124, 114, -1))
    assert best[0] == 100
    assert set(best[1:3]) == {101, 201}
    assert best[3:] == list(range(102, 109))
    assert grid.rows == (
        "worst, the farthest from every test image: distances 24 to 15",
        "best, the nearest to one test image: distances 0 to 8",
    )
    assert "Of 26 samples" in grid.caption
    assert "brightness1 alone" in grid.caption


def test_few_samples_are_shown_as_they_are():
    assert levels(by_brightness([7, 9], real=[0], train=[0])["extremes"]) == [[9, 7], [7, 9]]


def test_neighbours_have_their_distance_in_that_of_held_out_images():
    grid = by_brightness([100, 104, 107], real=[102, 112], train=[100, 110])["neighbours"]
    assert levels(grid) == [[100, 104, 107], [100, 100, 110]]
    assert grid.rows[1] == "the nearest training images: distances 0, 2, 1.5"
    assert "mean of 2 test images" in grid.caption


def test_a_picture_that_fails_costs_the_others_nothing():
    class Broken(Complete):
        def reconstruct(self, pixels):
            raise RuntimeError("a defect\nof two lines")

    with pytest.warns(UserWarning, match="a picture failed: RuntimeError: a defect of two lines"):
        names = [grid.name for grid in gallery(evidence(Broken()), None)]
    assert names == ["samples", "extremes", "neighbours", "interpolation"]


def test_a_grid_keeps_its_bytes_and_grey_takes_one_channel(tmp_path):
    bytes_ = torch.randint(0, 256, (4, 3, 5, 5), generator=torch.Generator().manual_seed(0))
    colour, grey = bytes_ / 255, bytes_[:, :1] / 255
    for pixels, mode in ((colour, "RGB"), (grey, "L"), (grey.expand(-1, 3, -1, -1), "L")):
        path = Grid("a", "A", "", pixels, columns=2).save(tmp_path / "a.png")
        with Image.open(path) as image:
            assert (image.mode, image.size) == (mode, (13, 13))
            last = image.crop((7, 7, 12, 12)).convert("RGB")
            assert image.convert("L").getpixel((0, 0)) == 128
        shown = torch.frombuffer(bytearray(last.tobytes()), dtype=torch.uint8).view(5, 5, 3)
        wanted = (pixels[3].expand(3, -1, -1) * 255).round().byte()
        assert torch.equal(shown.movedim(2, 0), wanted)
