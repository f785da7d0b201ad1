r"""Normalising flows: densities made of standard noise by invertible maps of a known Jacobian.

$z = T(\epsilon)$ with $\epsilon \sim N(0, I)$ has $\log q(z) = \log N(\epsilon; 0, I) -
\log|\det \partial T / \partial\epsilon|$ (Rezende & Mohamed, 2015, equation 5). Autoregressive
networks and splines are zuko's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from gen_models.distributions.planar import PlanarStep
from gen_models.errors import UsageError


def _without_side_effect() -> Any:
    """Zuko, which on import switches off the argument checks of all of torch's distributions."""
    checked = Distribution._validate_args
    import zuko

    Distribution.set_default_validate_args(checked)
    return zuko


zuko = _without_side_effect()


class FlowDistribution(Distribution):
    r"""The distribution of $z = T(\epsilon)$.

    The density of z that were just drawn, the same tensor, is known from drawing them, at no cost.
    That of any other z takes the inverse of T, which may be slow (D passes through an
    autoregressive network) and is right too.

    Args:
        base: N(0, I), batch shape (B,) or (), event shape (D,).
        transform: T, of event dimension 1.
        network: What made T. Its parameters are in the density and not in this object; who copies
            distributions has to know.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(self, base: Distribution, transform: Transform, network: nn.Module) -> None:
        self.base = base
        self.transform = transform
        self.network = network
        self._drawn: tuple[Tensor, Tensor] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Reparameterised draws, (*sample_shape, B, D)."""
        noise = self.base.rsample(torch.Size(sample_shape))
        z, stretch = _apply(self.transform, noise)
        self._drawn = z, self.base.log_prob(noise) - stretch
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of z, (..., B), nats.

        Args:
            value: (..., B, D); not changed in place since it was drawn.
        """
        # What was drawn without a graph must not pass for a constant where gradients are wanted.
        graphless = torch.is_grad_enabled() and not value.requires_grad
        if self._drawn is not None and value is self._drawn[0] and not graphless:
            return self._drawn[1]
        noise, stretch = _apply(self.transform.inv, value)
        return self.base.log_prob(noise) + stretch

    @property
    def mean(self) -> Tensor:
        """E[z], (B, D): an average over 512 fixed, evenly spread points (see `_moments`)."""
        return self._moments[0]

    @property
    def variance(self) -> Tensor:
        """Var[z_j], (B, D), over the same points."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Quasi Monte Carlo: the same numbers at every call, and no random state is touched.

        Mirror images and a unit second moment make them exact where T is affine in each latent.
        """
        points = torch.quasirandom.SobolEngine(self.event_shape[0], scramble=True, seed=0)
        uniform = points.draw(256, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
        half = torch.special.ndtri(uniform)
        half = (half / half.square().mean(0).sqrt()).to(self.base.mean)
        noise = torch.cat([half, -half]).reshape(-1, *[1] * len(self.batch_shape), *half.shape[1:])
        z, _ = _apply(self.transform, noise.expand(-1, *self.batch_shape, -1))
        return z.mean(0), z.var(0, unbiased=False)


def _apply(transform: Transform, values: Tensor) -> tuple[Tensor, Tensor]:
    """T(values) and log |det| of its Jacobian; autocast would compute them in half precision."""
    with torch.autocast(values.device.type, enabled=False):
        return transform.call_and_ladj(values)  # type: ignore[attr-defined]  # added by zuko


ZukoSpline: Any = zuko.transforms.MonotonicRQSTransform


class Spline(ZukoSpline):  # type: ignore[misc]
    """Zuko's spline, with an inverse that stays in its bin.

    In float32 the root of the quadratic (Durkan et al., 2019, equation 29) is now and then no
    number, or outside [0, 1].
    """

    def _inverse(self, y: Tensor) -> Tensor:
        inside, x0, x1, y0, y1, d0, d1, s = self.bin(self.searchsorted(self.vertical, y) - 1)
        height, rise, bend = y1 - y0, inside * (y - y0), d0 + d1 - 2 * s
        a, b, c = height * (s - d0) + rise * bend, height * d0 - rise * bend, -s * rise
        root = (b.square() - 4 * a * c).clamp_min(torch.finfo(y.dtype).tiny).sqrt()
        share = (-2 * c / (b + root)).clamp(0, 1)
        return torch.where(inside, x0 + share * (x1 - x0), y)


def _autoregressive(
    latent_dim: int, context: int, hidden: int, turn: int, **kind: Any
) -> nn.Module:
    """$y_i = f(x_i; x_{<i}, context)$ in one pass; every other step in the reverse order."""
    order = torch.arange(latent_dim)
    layers = {"hidden_features": (hidden, hidden), "activation": nn.ELU}
    ordered = {"order": order.flip(0) if turn % 2 else order} if latent_dim > 1 else {}
    # Zuko's map of one variable without context has parameters and no network.
    network = layers if latent_dim > 1 or context else {}
    step = zuko.flows.MaskedAutoregressiveTransform(
        latent_dim, context, **ordered, **network, **kind
    )
    last = step.hyper[-1] if network else step.phi
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return step


def _planar(latent_dim: int, context: int, hidden: int, turn: int) -> nn.Module:
    return PlanarStep(latent_dim, context)


BINS = 8
KINDS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "inverse_autoregressive": _autoregressive,
    "spline": partial(
        _autoregressive,
        univariate=Spline,
        shapes=[(BINS,), (BINS,), (BINS - 1,)],
    ),
    "planar": _planar,
}


class Flow(nn.Module):
    r"""A stack of maps of one kind, the identity at the start, given a context.

    "inverse_autoregressive": $z_i' = e^{a_i} z_i + m_i$ with a and m networks of $z_{<i}$ and the
    context (Kingma et al., 2016, section 3, there with a gate in place of the exponential).
    "spline": a monotonic rational-quadratic spline on [-5, 5] in place of the affine map, the
    identity outside (Durkan et al., 2019). "planar": see `Planar`; no hidden layers.

    Args:
        latent_dim: D.
        kind: One of these three.
        transforms: How many maps, >= 1.
        hidden: Width of the two hidden layers of each network, >= 1, and >= D - 1, or D with a
            context, where it is used.
        context: Features of the context, >= 0.
        where: Place in the config, for messages.

    Raises:
        UsageError: If there is no such kind, or a number is out of range.
    """

    def __init__(
        self, latent_dim: int, kind: str, transforms: int, hidden: int, context: int, where: str
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise UsageError(f"{where}.kind must be one of {', '.join(KINDS)}, not {kind}")
        numbers = {"transforms": (transforms, 1), "hidden": (hidden, 1), "context": (context, 0)}
        for name, (number, least) in numbers.items():
            if number < least:
                raise UsageError(f"{where}.{name} must be {least} or more, not {number}")
        # Each latent's own set of those before it, the empty one beside a context, takes a unit of
        # a hidden layer: zuko leaves out, without a word, the sets that find none.
        sets = latent_dim if context else latent_dim - 1
        if kind != "planar" and hidden < sets:
            raise UsageError(
                f"{where}.hidden={hidden} is too narrow for latents that depend on all before them:"
                f" set {sets} or more at model.latent_dim={latent_dim}"
            )
        self.steps = nn.ModuleList(
            KINDS[kind](latent_dim, context, hidden, turn) for turn in range(transforms)
        )

    def forward(self, context: Tensor | None, *last: Transform) -> Transform:
        """The composed map at a context (B, F), None without features, and `last` behind it."""
        return zuko.transforms.ComposedTransform(*(step(context) for step in self.steps), *last)
