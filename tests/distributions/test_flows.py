"""Flows: the Jacobian by autograd, the inverse, the identity at the start, and no wasted passes."""

import pytest
import torch
from torch.distributions import Distribution, MultivariateNormal, Normal

from gen_models.distributions import DiagonalGaussian, FlowPosterior
from gen_models.distributions.flows import Flow, Spline
from gen_models.distributions.planar import Planar
from gen_models.errors import UsageError

from .grids import agreement, integral, perturbed

KINDS = ["inverse_autoregressive", "spline", "planar"]
each = pytest.mark.parametrize("kind", KINDS)


def made(kind, latent_dim=3, count=4, context=2, size=0.4):
    """A moved flow posterior and its features (count, F), float64."""
    flow = FlowPosterior(latent_dim, kind, transforms=3, hidden=8, context=context)
    head = perturbed(flow, size)
    return head, torch.randn(count, head.features, dtype=torch.float64)


@each
@pytest.mark.parametrize(("latent_dim", "context"), [(1, 0), (1, 2), (5, 0), (5, 2)])
def test_before_training_it_is_the_diagonal_gaussian(kind, latent_dim, context):
    head = FlowPosterior(latent_dim, kind, transforms=3, hidden=8, context=context)
    features = torch.randn(4, head.features)
    flow, gaussian = head(features), DiagonalGaussian(latent_dim)(features[:, : 2 * latent_dim])
    for z in (flow.rsample((7,)), torch.randn(7, 4, latent_dim)):
        torch.testing.assert_close(
            flow.log_prob(z), gaussian.log_prob(z), rtol=1e-4, atol=1e-4 * latent_dim
        )
    torch.testing.assert_close(flow.mean, gaussian.mean)
    torch.testing.assert_close(flow.stddev, gaussian.stddev)
    assert (flow.batch_shape, flow.event_shape) == ((4,), (latent_dim,))


@each
@pytest.mark.parametrize(("latent_dim", "context"), [(1, 0), (1, 2), (4, 0), (4, 2)])
def test_the_log_determinant_is_autograds(kind, latent_dim, context):
    head, features = made(kind, latent_dim, count=1, context=context)
    posterior = head(features)
    noise = 1.5 * torch.randn(1, latent_dim, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(posterior.transform, noise)[0, :, 0]
    _, stretch = posterior.transform.call_and_ladj(noise)
    assert (jacobian.det().abs().log() - stretch).abs().max() < 1e-8


@each
def test_the_density_of_what_was_drawn_is_that_of_its_copy_with_the_same_gradients(kind):
    """A copy takes the inverse; its gradients go through the inverse too."""
    head, features = made(kind)
    features.requires_grad_()
    posterior = head(features)
    z = posterior.rsample((6,))
    known, inverted = posterior.log_prob(z), posterior.log_prob(z.clone())
    assert known.shape == (6, 4)
    assert (known - inverted).abs().max() < 1e-8
    sources = [features, *head.parameters()]
    weights = torch.randn_like(known)
    one, two = (
        torch.autograd.grad((weights * v).sum(), sources, retain_graph=True, allow_unused=True)
        for v in (known, inverted)
    )
    assert sum(gradient is not None for gradient in one) == len(sources)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@each
def test_what_was_drawn_without_a_graph_still_has_a_density_with_gradients(kind):
    head, features = made(kind)
    posterior = head(features)
    z = posterior.sample()
    value = posterior.log_prob(z)
    assert value.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(posterior.log_prob(z), value.detach())


@each
def test_the_density_integrates_to_one(kind):
    head, features = made(kind, latent_dim=2, count=1, size=0.1)
    assert integral(head(features / 2)) == pytest.approx(1, abs=5e-3)


@each
def test_draws_have_the_density(kind):
    head, features = made(kind, latent_dim=2, count=1, size=0.1)
    posterior = head(features / 2)
    assert agreement(posterior, posterior.sample((20_000,))[:, 0]) > 1e-3


@each
def test_moments_are_those_of_many_draws_and_always_the_same(kind):
    head, features = made(kind, size=0.2)
    z = head(features).sample((20_000,))
    state = torch.get_rng_state()
    mean, deviation = head(features).mean, head(features).stddev
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(mean, head(features).mean)
    assert ((mean - z.mean(0)) / z.std(0)).abs().max() < 0.03
    assert (deviation / z.std(0) - 1).abs().max() < 0.05


@each
def test_the_maps_see_the_context(kind):
    head, features = made(kind)
    other = features.clone()
    other[:, 6:] += 1
    z = torch.randn(4, 3, dtype=torch.float64)
    assert ((head(features).log_prob(z) - head(other).log_prob(z)).abs() > 1e-3).all()


def test_drawing_takes_one_pass_and_only_other_latents_take_the_slow_way():
    head = FlowPosterior(5, "inverse_autoregressive", transforms=2, hidden=8, context=2)
    passes = []
    for step in head.flow.steps:
        step.hyper.register_forward_hook(lambda *_: passes.append(1))
    posterior = head(torch.randn(3, head.features))
    z = posterior.rsample()
    posterior.log_prob(z)
    assert len(passes) == 2
    posterior.log_prob(z.clone())
    assert len(passes) == 2 + 2 * 5 + 2  # and one each for the determinant


def test_autoregressive_maps_are_triangular_in_turning_order():
    flow = perturbed(Flow(4, "inverse_autoregressive", 2, 8, 0, "posterior"))
    point = torch.randn(4, dtype=torch.float64)
    down, up = (
        torch.autograd.functional.jacobian(step(None), point).detach() for step in flow.steps
    )
    assert torch.equal(down, down.tril())
    assert torch.equal(up, up.triu())
    assert (down.tril(-1) != 0).sum() == (up.triu(1) != 0).sum() == 6


@pytest.mark.parametrize("kind", ["inverse_autoregressive", "spline"])
@pytest.mark.parametrize(("context", "least"), [(0, 5), (2, 6)])
def test_the_narrowest_flow_keeps_all_dependencies_and_a_narrower_one_is_refused(
    kind, context, least
):
    flow = perturbed(Flow(6, kind, 1, least, context, "posterior"))
    told = torch.randn(context, dtype=torch.float64) if context else None
    seen = torch.zeros(6, 6, dtype=torch.bool)
    for point in torch.randn(50, 6, dtype=torch.float64):  # not every unit is moved at every point
        seen |= torch.autograd.functional.jacobian(flow.steps[0](told), point) != 0
    assert seen.equal(torch.ones(6, 6).tril().bool())
    with pytest.raises(UsageError, match=rf"hidden={least - 1} .* set {least} or more") as error:
        Flow(6, kind, 1, least - 1, context, "posterior")
    assert "\n" not in str(error.value)
    Flow(6, "planar", 1, 1, context, "posterior")


def test_the_constraint_keeps_planar_maps_invertible():
    """Half of random u and w break w^T u > -1; none of the constrained ones does."""
    for dtype in (torch.float32, torch.float64):
        u, w = 6 * torch.randn(2, 10_000, 6, dtype=dtype)
        assert ((w * u).sum(-1) < -1).double().mean() > 0.4
        planar = Planar(u, w, torch.zeros(10_000, 1, dtype=dtype))
        assert planar.gain.min() >= -0.999
        assert planar.log_abs_det_jacobian(torch.zeros_like(w), None).isfinite().all()
        if dtype == torch.float64:
            inner = (w * planar.u).sum(-1, keepdim=True)
            torch.testing.assert_close(inner, planar.gain, rtol=1e-9, atol=1e-9)


def test_planar_maps_without_direction_are_finite():
    zero = torch.zeros(1, 3, requires_grad=True)
    planar = Planar(torch.ones(1, 3), zero, torch.zeros(1, 1))
    planar(torch.ones(1, 3)).sum().backward()
    assert zero.grad.isfinite().all()


def test_the_inverse_of_a_steep_spline_stays_in_its_range_in_single_precision():
    """At the upper ends of bins zuko's own has no root for 5 % of these, and others far outside."""
    shape, slopes = torch.randn(2, 2000, 1, 8), 100 * torch.randn(2000, 1, 7)
    spline = Spline(*shape, slopes)
    z = spline.inv(spline.vertical[..., 1:].squeeze(1).T[..., None] * (1 - 3e-7))
    assert z.isfinite().all()
    assert z.abs().max() < 5 + 2e-6


def test_an_affine_flow_learns_a_covariance_that_no_diagonal_gaussian_has():
    """KL of the best diagonal Gaussian: -log(1 - 0.9^2) / 2 = 0.83 nats."""
    target = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    head = FlowPosterior(2, "inverse_autoregressive", transforms=1, hidden=4, context=0)
    features = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([features, *head.parameters()], lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 250)
    for _ in range(250):
        posterior = head(features)
        z = posterior.rsample((256,))
        divergence = (posterior.log_prob(z) - target.log_prob(z)).mean()
        optimizer.zero_grad()
        divergence.backward()
        optimizer.step()
        schedule.step()
    posterior = head(features)
    z = posterior.rsample((20_000,))
    assert (posterior.log_prob(z) - target.log_prob(z)).mean() < 0.02


@each
def test_autocast_does_not_reach_the_density(kind):
    head, features = made(kind)
    head, features = head.float(), features.float()
    z = torch.randn(4, 3)
    expected = head(features).log_prob(z)
    with torch.autocast("cpu", torch.bfloat16):
        value = head(features).log_prob(z)
    assert torch.equal(value, expected)
    assert head(features.bfloat16()).rsample().dtype == torch.float32


def test_torchs_argument_checks_stay_on():
    """Zuko switches them off for the whole process when it is imported."""
    assert Distribution._validate_args
    with pytest.raises(ValueError, match="scale"):
        Normal(0.0, -1.0)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"kind": "iaf"}, "posterior.kind must be one of inverse_autoregressive"),
        ({"transforms": 0}, "posterior.transforms"),
        ({"hidden": 0}, "posterior.hidden"),
        ({"context": -1}, "posterior.context"),
    ],
)
def test_options_out_of_range_are_refused_in_one_line(options, name):
    with pytest.raises(UsageError, match=name) as error:
        FlowPosterior(2, **options)
    assert "\n" not in str(error.value)
