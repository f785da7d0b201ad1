"""Toys: what is known of them in closed form holds for their densities and for their draws."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from gen_models.data import Grid, LinearGaussianData, Ring
from gen_models.data.draws import (
    FRESH_STREAM,
    PARAMETER_STREAM,
    SPLIT_STREAM,
    TEST_STREAM,
    TRAINING_STREAM,
    normal,
    uniform,
    words,
)
from gen_models.errors import UsageError

TOYS = [Ring, Grid, LinearGaussianData]


def ready(toy, **options):
    data = toy(**{"count": 3000, "test_count": 1000, **options})
    data.setup()
    return data


def flat(images):
    return images.images.flatten(1).double()


@pytest.mark.parametrize(
    ("toy", "modes", "deviation", "published"),
    [(Ring, 8, 0.02, -2.907), (Grid, 25, 0.05, 0.065)],
)
def test_entropy_in_published_units(toy, modes, deviation, published):
    data = toy()
    there = data.entropy - 2 * math.log(data.scale)
    formula = math.log(modes) + 1 + math.log(2 * math.pi) + 2 * math.log(deviation)
    assert there == pytest.approx(formula, abs=1e-12)
    assert there == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("toy", TOYS)
def test_entropy_is_minus_the_mean_log_density_of_draws(toy):
    data = ready(toy, count=100_000)
    costs = -data.density.log_prob(data.train.images)
    assert costs.shape == (len(data.train),)
    assert costs.dtype == torch.float64
    error = costs.std().item() / len(costs) ** 0.5
    assert error < 0.02
    assert abs(costs.mean().item() - data.entropy) < 4 * error


@pytest.mark.parametrize(
    ("data", "ends", "step"),
    [
        (Ring(), (0.0, 1.0), 0.004),
        (Grid(), (0.0, 1.0), 0.0025),
        (LinearGaussianData(dimension=2, latent_dim=1), (-1.0, 2.0), 0.02),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_densities_integrate_to_one(data, ends, step):
    line = torch.arange(*ends, step, dtype=torch.float64)
    places = torch.cartesian_prod(line, line).view(-1, 1, 1, 2)
    assert tuple(data.density.event_shape) == (1, 1, 2)
    mass = data.density.log_prob(places).exp().sum() * step**2
    assert mass.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("toy", TOYS)
def test_a_density_samples_what_it_says(toy):
    data = ready(toy)
    drawn = data.density.sample((20_000,))
    costs = -data.density.log_prob(drawn)
    assert drawn.shape[1:] == data.shape
    assert abs(costs.mean().item() - data.entropy) < 4 * costs.std().item() / len(costs) ** 0.5


@pytest.mark.parametrize(("toy", "modes"), [(Ring, 8), (Grid, 25)])
def test_labels_are_modes_equally_likely_and_round(toy, modes):
    data = ready(toy, count=50_000)
    points, labels = flat(data.train), data.train.labels
    assert torch.equal(torch.cdist(points, data.centres).argmin(1), labels)
    assert data.num_classes == modes
    shares = labels.bincount() / len(labels)
    assert (shares - 1 / modes).abs().max() < 4 * (modes * len(labels)) ** -0.5
    covariance = (points - data.centres[labels]).T.cov() / data.deviation**2
    assert (covariance - torch.eye(2)).abs().max() < 4 * (2 / len(labels)) ** 0.5


def test_modes_lie_where_they_are_said_to():
    ring, grid = Ring(), Grid()
    radii = (ring.centres - 0.5).norm(dim=1)
    torch.testing.assert_close(radii, torch.full_like(radii, 0.4))
    neighbours = (ring.centres - ring.centres.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(neighbours, torch.full_like(neighbours, 0.8 * math.sin(math.pi / 8)))
    line = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64)
    torch.testing.assert_close(grid.centres, torch.cartesian_prod(line, line))
    assert (ring.scale, grid.scale) == (0.4, pytest.approx(0.1))
    assert (ring.deviation, grid.deviation) == (pytest.approx(0.008), pytest.approx(0.005))
    # The units are the user's own: twice as large in all is the same set of points.
    torch.testing.assert_close(Ring(radius=2, deviation=0.04).centres, ring.centres)
    assert Ring(radius=2, deviation=0.04).deviation == ring.deviation


def test_moments_of_linear_gaussian_data():
    data = ready(LinearGaussianData, count=200_000)
    points = flat(data.train)
    covariance = data.weight @ data.weight.T + data.deviation**2 * torch.eye(20).double()
    spread = covariance.diagonal().sqrt()
    assert ((points.mean(0) - data.bias) / spread).abs().max() < 4.5 * len(points) ** -0.5
    found = points.T.cov() / spread.outer(spread)
    # The variance of a product of standard normals of correlation r is 1 + r^2.
    assert (found - covariance / spread.outer(spread)).abs().max() < 4.5 * (2 / len(points)) ** 0.5
    assert ((points < 0) | (points > 1)).double().mean() < 0.01
    torch.testing.assert_close(data.weight.norm(dim=1), torch.full((20,), 0.15).double())
    assert data.bias.min() > 0.45
    assert data.bias.max() < 0.55
    assert data.num_classes is None


def test_the_density_of_linear_gaussian_data_is_the_multivariate_normal():
    data = ready(LinearGaussianData, dimension=6, latent_dim=2, deviation=0.3, weight_seed=5)
    covariance = data.weight @ data.weight.T + 0.09 * torch.eye(6).double()
    reference = MultivariateNormal(data.bias, covariance)
    here = data.density.log_prob(data.test.images)
    torch.testing.assert_close(here, reference.log_prob(flat(data.test)), rtol=1e-10, atol=1e-10)
    assert data.entropy == pytest.approx(reference.entropy().item(), abs=1e-10)


@pytest.mark.parametrize("toy", TOYS)
def test_draws_hang_on_the_draw_seed_alone(toy):
    state = torch.random.get_rng_state()
    first, again, other = ready(toy), ready(toy, seed=5), ready(toy, draw_seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not torch.equal(first.test.images, other.test.images)
    # More points begin with the same ones.
    train, test = toy(count=4000, test_count=1500).load()
    assert torch.equal(train.images[:3000], toy(count=3000).load()[0].images)
    assert torch.equal(test.images[:1000], first.test.images)


@pytest.mark.parametrize("toy", TOYS)
def test_training_and_test_are_different_draws(toy):
    data = ready(toy)
    shared = (data.train.images[:, None] == data.test.images[None]).flatten(2).all(2)
    assert not shared.any()


def test_the_distribution_hangs_on_the_weight_seed_alone():
    one, same, other = (
        LinearGaussianData(**seeds)
        for seeds in ({}, {"draw_seed": 3, "seed": 4}, {"weight_seed": 1})
    )
    assert torch.equal(one.weight, same.weight)
    assert torch.equal(one.bias, same.bias)
    assert not torch.equal(one.weight, other.weight)


def test_no_two_purposes_share_a_stream():
    """A permutation sorts its stream: were it that of the points, the order would follow them."""
    streams = [SPLIT_STREAM, TRAINING_STREAM, TEST_STREAM, PARAMETER_STREAM]
    epochs = range(3)
    streams += [*epochs, *(FRESH_STREAM + epoch for epoch in epochs)]
    assert len({tuple(words(4, 0, stream)) for stream in streams}) == len(streams)
    # No epoch that can be reached comes near.
    assert min(streams[:4]) - FRESH_STREAM > 2**62
    assert FRESH_STREAM > 2**62


def test_batches_are_scaled_points_with_their_labels():
    data = ready(Ring, scaling="standard", batch_size=100)
    order = data.train_dataloader().sampler.indices()[:100]
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.labels, data.train.labels[order])
    torch.testing.assert_close(data.scaler.inverse(batch.images), data.train.images[order])
    x = data.scaler(data.train.images).double()
    assert x.mean().abs() < 1e-5
    assert x.std() == pytest.approx(1, abs=1e-3)
    assert (batch.images.dtype, data.shape) == (torch.float32, (1, 1, 2))


def test_uniform_and_normal_numbers():
    numbers = uniform(50_000, 2, seed=3, stream=9)
    assert 0 < numbers.min() < numbers.max() < 1
    assert (numbers.mean(0) - 0.5).abs().max() < 4 * (12 * 50_000) ** -0.5
    z = normal(numbers)
    assert z.mean(0).abs().max() < 4 * 50_000**-0.5
    assert (z.var(0) - 1).abs().max() < 4 * (2 / 50_000) ** 0.5
    assert torch.corrcoef(z.T)[0, 1].abs() < 4 * 50_000**-0.5


@pytest.mark.parametrize(
    ("toy", "options", "message"),
    [
        (Ring, {"modes": 0}, "data.modes=0 must be a whole number, 1 or more"),
        (Ring, {"radius": 0.0}, "data.radius=0.0 must be a number above 0"),
        (Grid, {"side": 1}, "data.side=1 must be a whole number, 2 or more"),
        (Grid, {"deviation": math.nan}, "data.deviation=nan"),
        (Grid, {"count": 0}, "data.count=0"),
        (Grid, {"test_count": 1.5}, "data.test_count=1.5"),
        (LinearGaussianData, {"latent_dim": 0}, "data.latent_dim=0"),
        (LinearGaussianData, {"draw_seed": -1}, "data.draw_seed=-1"),
        (LinearGaussianData, {"weight_seed": 2**64}, "data.weight_seed="),
        (Ring, {"binarize": "static"}, "these data are floats, not grey values"),
        (Ring, {"binarize": "dynamic"}, "these data are floats, not grey values"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(toy, options, message):
    with pytest.raises(UsageError) as error:
        ready(toy, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
