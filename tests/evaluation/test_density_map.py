"""Densities over the plane: of data, and of a linear model whose Gaussian is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image
from torch.distributions import Independent, MultivariateNormal, Normal

from gen_models.data.images import ImageSet
from gen_models.evaluation import Evidence
from gen_models.evaluation.density_map import CELLS, DRAWS, DensityMap, density_map

SHAPE = (1, 1, 2)
NOISE = 0.05
MODE = torch.tensor([0.7, 0.2], dtype=torch.float64)
WEIGHT = torch.tensor([[0.12, 0.0], [0.04, 0.03]])
BIAS = torch.tensor([0.2, 0.85])


class Plane:
    """x = b + W z, off the diagonal and partly outside the square."""

    def decode(self, z):
        return (BIAS + z @ WEIGHT.T).view(-1, *SHAPE)

    def sample_prior(self, count, generator=None):
        return torch.randn(count, 2, generator=generator)

    def prior(self):
        return Independent(Normal(torch.zeros(2), torch.ones(2)), 1)


class Known:
    """A probe that has found the noise."""

    def noise(self, evidence):
        return NOISE


def evidence(shape=SHAPE):
    points = ImageSet(torch.rand(10, *shape))
    return Evidence(
        model=Plane(),
        train=points,
        validation=points,
        real=points,
        split="test",
        extractors=(),
        samples=10,
        seed=0,
        device=torch.device("cpu"),
        probe=Known(),
        density=Independent(Normal(MODE.view(SHAPE), torch.tensor(0.06).double()), 3),
    )


def at_middles(density):
    """A density (x, y) at the middle of each cell: rows are y, columns are x."""
    middles = (np.arange(CELLS) + 0.5) / CELLS
    x, y = np.meshgrid(middles, middles)
    points = torch.from_numpy(np.stack([x, y], -1))
    return density.log_prob(points).exp()


def test_the_datas_density_is_a_density_with_its_peak_at_the_mode():
    data = density_map(evidence()).data
    assert data.mean().item() == pytest.approx(1, abs=1e-3)
    row, column = divmod(int(data.argmax()), CELLS)
    assert abs((column + 0.5) / CELLS - 0.7) < 1 / CELLS
    assert abs((row + 0.5) / CELLS - 0.2) < 1 / CELLS
    torch.testing.assert_close(data, at_middles(Independent(Normal(MODE, 0.06), 1)))


def test_the_models_is_its_gaussian_noise_and_all_within_the_error_of_the_draws():
    """Broken by x and y exchanged, by means without noise, or by a share of the draws inside."""
    made = density_map(evidence()).model
    covariance = WEIGHT @ WEIGHT.T + NOISE**2 * torch.eye(2)
    density = at_middles(MultivariateNormal(BIAS.double(), covariance.double()))
    inside = density.mean().item()
    assert 0.9 < inside < 0.97
    error = (inside * (1 - inside) / DRAWS) ** 0.5
    assert made.mean().item() == pytest.approx(inside, abs=5 * error)
    counts, expected = (values * DRAWS / CELLS**2 for values in (made, density))
    seen = expected > 10
    squares = ((counts - expected).square() / expected)[seen]
    assert squares.mean().item() == pytest.approx(1, abs=5 * (2 / len(squares)) ** 0.5)


def test_only_points_of_known_density_with_a_probe_have_a_map():
    assert density_map(evidence()) is not None
    assert density_map(evidence(shape=(1, 2, 2))) is None
    assert density_map(evidence(shape=(1, 2, 1))) is None
    assert density_map(replace(evidence(), density=None)) is None
    assert density_map(replace(evidence(), probe=None)) is None


def test_the_picture_has_the_first_coordinate_to_the_right_and_one_scale(tmp_path):
    """Half of four decades below the highest is the middle colour; nothing is the lowest."""
    data, model = torch.zeros(2, CELLS, CELLS)
    data[20:30, 90:100] = 100.0
    model[90:100, 10:20] = 1.0
    path = DensityMap("density", "", "", data, model).save(tmp_path / "density.png")
    assert path == tmp_path / "density.png"
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (900, 450))
        colours = np.asarray(picture.convert("RGB")).astype(int)
    lowest, middle, highest = (middle_of(colours, share) for share in (0.0, 0.5, 1.0))
    assert lowest == pytest.approx((0.5, 0.5), abs=0.05)
    assert 0.25 < highest[0] < 0.5 < middle[0] < 0.75
    assert highest[1] < 0.5 < middle[1]


def middle_of(colours, share):
    """Mean place (x to the right, y upwards, shares of the picture) of a colour of the map."""
    colour = np.array(colormaps["magma"](share, bytes=True)[:3]).astype(int)
    rows, columns = np.nonzero(np.abs(colours - colour).max(-1) <= 3)
    height, width = colours.shape[:2]
    return columns.mean() / width, 1 - rows.mean() / height
