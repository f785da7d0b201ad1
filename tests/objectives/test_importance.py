"""Importance weighted bounds on a linear-Gaussian model, where log p(x) is known."""

import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from gen_models.errors import UsageError
from gen_models.objectives import ImportanceWeighted, NegativeELBO, draw
from gen_models.objectives.importance import detached

NOISE = 0.4


class Model:
    """x = W z + 0.4 eps, with a diagonal Gaussian q that is somewhat wrong."""

    def __init__(self, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(6, 2, dtype=torch.float64, generator=generator)
        self.weight.requires_grad_()
        self.x = torch.randn(1, 6, 1, 1, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            precision = torch.eye(2).double() + self.weight.T @ self.weight / NOISE**2
            mean = torch.linalg.solve(precision, self.weight.T @ self.x.flatten() / NOISE**2)
            self.mean = mean + 0.1
            self.deviation = 1.3 * precision.inverse().diagonal().sqrt()
            covariance = self.weight @ self.weight.T + NOISE**2 * torch.eye(6).double()
            origin = torch.zeros(6).double()
            self.evidence = MultivariateNormal(origin, covariance).log_prob(self.x.flatten())
        self.mean.requires_grad_()
        self.deviation.requires_grad_()

    def draws(self, images, count):
        """Draws for the same image many times over."""
        origin, one = torch.zeros(2).double(), torch.ones(2).double()
        posterior = Independent(
            Normal(self.mean.expand(images, 2), self.deviation.expand(images, 2)), 1
        )
        return draw(
            self.x.expand(images, 6, 1, 1),
            posterior,
            Independent(Normal(origin, one), 1),
            lambda z: Independent(Normal((z @ self.weight.T)[..., None, None], NOISE), 3),
            count,
        )

    def gradients(self, objective, images=20_000):
        """Mean gradients with respect to encoder and decoder, and their standard errors."""
        rows = []
        for seed in range(20):
            torch.manual_seed(seed)
            loss = objective(self.draws(images // 20, objective.draws)).mean()
            parts = torch.autograd.grad(loss, (self.mean, self.deviation, self.weight))
            rows.append(torch.cat([part.flatten() for part in parts]))
        stacked = torch.stack(rows)
        return stacked.mean(0), stacked.std(0) / len(rows) ** 0.5


def test_more_draws_tighten_the_bound_and_never_pass_log_p():
    torch.manual_seed(0)
    model = Model()
    previous = -math.inf
    for count in (1, 5, 50):
        bound = -ImportanceWeighted(draws=count)(model.draws(4000, count)).detach()
        error = bound.std() / len(bound) ** 0.5
        assert previous < bound.mean() < model.evidence + 3 * error
        previous = bound.mean()
    assert model.evidence - previous < 0.02


def test_the_value_is_the_log_of_the_mean_weight():
    torch.manual_seed(0)
    draws = Model().draws(3, 4)
    expected = draws.log_weights.exp().mean(0).log()
    torch.testing.assert_close(-ImportanceWeighted(draws=4)(draws), expected)
    plain = ImportanceWeighted(draws=4, doubly_reparameterised=False)(draws)
    torch.testing.assert_close(-plain, expected)


def test_one_draw_is_the_elbo_with_the_rate_of_the_draw():
    torch.manual_seed(0)
    draws = Model().draws(3, 1)
    torch.testing.assert_close(-ImportanceWeighted(draws=1)(draws), draws.log_weights[0])


def test_groups_are_averaged_outside_the_logarithm_and_draws_inside():
    """With 2 groups of 3 and 3 groups of 2, exchanged axes give another number."""
    torch.manual_seed(0)
    draws = Model().draws(5, 6)
    weights = draws.log_weights.exp()
    for groups in (2, 3):
        expected = weights.view(groups, 6 // groups, 5).mean(1).log().mean(0)
        for doubly in (True, False):
            objective = ImportanceWeighted(6, groups, doubly_reparameterised=doubly)
            torch.testing.assert_close(-objective(draws), expected)


def test_the_share_of_the_elbo_leads_from_one_bound_to_the_other():
    torch.manual_seed(0)
    draws = Model().draws(5, 4)

    def bound(share):
        return ImportanceWeighted(4, elbo_share=share, doubly_reparameterised=False)(draws)

    torch.testing.assert_close(bound(1.0), -draws.log_weights.mean(0))
    torch.testing.assert_close(bound(0.25), 0.25 * bound(1.0) + 0.75 * bound(0.0))


@pytest.mark.parametrize("groups", [1, 2])
def test_the_doubly_reparameterised_gradient_has_the_same_mean(groups):
    model = Model()
    doubly, error = model.gradients(ImportanceWeighted(8, groups))
    plain, other = model.gradients(ImportanceWeighted(8, groups, doubly_reparameterised=False))
    assert ((doubly - plain).abs() < 4 * (error**2 + other**2).sqrt()).all()
    assert (error[:4] < 0.5 * other[:4]).all()  # the encoder's; the decoder's are the same
    torch.testing.assert_close(doubly[4:], plain[4:])


def test_the_doubly_reparameterised_gradient_of_one_draw_leaves_out_the_score():
    """At K = 1 it is the path derivative of the ELBO (Roeder et al., 2017): the same mean."""
    model = Model()
    doubly, error = model.gradients(ImportanceWeighted(1))
    closed, other = model.gradients(NegativeELBO())
    assert ((doubly - closed).abs() < 4 * (error**2 + other**2).sqrt()).all()


def test_a_flow_has_no_doubly_reparameterised_gradient_and_says_what_to_do():
    class Flow(Independent):
        def __init__(self):
            super().__init__(Normal(torch.zeros(2), torch.ones(2)), 1)
            self.network = torch.nn.Linear(2, 2)

    with pytest.raises(UsageError, match="doubly_reparameterised=false"):
        detached(Flow())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"draws": 0}, "draws"),
        ({"draws": 6, "groups": 4}, "groups"),
        ({"elbo_share": 1.5, "doubly_reparameterised": False}, "elbo_share"),
        ({"elbo_share": 0.5}, "doubly_reparameterised"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(options, name):
    with pytest.raises(UsageError, match=name):
        ImportanceWeighted(**options)
