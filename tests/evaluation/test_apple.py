"""Apple's MPS has no float64: what is measured there, on a stand-in that any machine has."""

from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from gen_models.evaluation import Evidence
from gen_models.evaluation.likelihood.hamiltonian import Point, transition
from gen_models.evaluation.measurements.reconstructions import by_heart
from gen_models.evaluation.observation import fitted_noise
from tests.evaluation.models import digits, evidence

CPU, MPS = torch.device("cpu"), torch.device("mps")


class There(torch.Tensor):
    """A tensor that says it is on MPS."""


class Source(torch.Generator):
    """A generator that says so."""

    device = MPS


class Apple(TorchFunctionMode):
    """What is made of tensors on MPS is there too, but for copies to the CPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs or {}))
        there = MPS in leaves or any(isinstance(leaf, There) for leaf in leaves)
        if function == torch.Tensor.device.__get__ and there:
            return MPS
        if function is torch.Tensor.to:
            [like] = [x for x in leaves[1:] if isinstance(x, torch.Tensor)] or [leaves[0]]
            there = MPS in leaves or (CPU not in leaves and isinstance(like, There))
        elif function is torch.Tensor.cpu:
            there = False
        elif there and any(type(x) is torch.Tensor and x.ndim for x in leaves):
            raise RuntimeError(f"{function.__name__} of tensors on two devices")
        args, kwargs = tree_map(here, (args, kwargs or {}))
        return tree_map(lambda x: placed(x, there), function(*args, **kwargs))


def here(leaf):
    if isinstance(leaf, There):
        return leaf.as_subclass(torch.Tensor)
    return CPU if isinstance(leaf, torch.device) else leaf


def placed(leaf, there):
    if not there or not isinstance(leaf, torch.Tensor):
        return leaf
    if leaf.dtype == torch.float64:
        raise TypeError("MPS has no float64")
    return leaf.as_subclass(There)


def on(device):
    return Apple() if device == MPS else torch.no_grad()


def source(device, seed=0):
    return (Source() if device == MPS else torch.Generator()).manual_seed(seed)


def same_on_both(measure, rel=1e-6):
    results = []
    for device in (CPU, MPS):
        with on(device):
            results.append(measure(device))
    assert results[1] == pytest.approx(results[0], rel=rel)


class Placed(Evidence):
    def generator(self):
        return source(self.device, self.seed)


def about(device, **options):
    given = evidence(None)
    given.__dict__.pop("_made")
    return Placed(**{**given.__dict__, "device": device, **options})


def test_the_stand_in_refuses_what_mps_does():
    with Apple():
        x = torch.ones(2).to(MPS)
        assert x.device == (x + 1).device == MPS
        assert x.cpu().double().device == CPU
        with pytest.raises(TypeError, match="no float64"):
            x.double()
        with pytest.raises(TypeError, match="no float64"):
            torch.zeros(2, dtype=torch.float64, device=MPS)
        with pytest.raises(RuntimeError, match="two devices"):
            x + torch.ones(2)


def test_learning_by_heart():
    same_on_both(lambda device: by_heart(about(device), digits().test.images[:20]))


def test_the_noise_of_a_decoder():
    """Of 16 x 16 pixels that are all latents, with noise of a tenth between."""

    class Probe:
        def fit(self, given):
            def law(mean, width):
                return Independent(Normal(mean.to(given.device), width), 1, validate_args=False)

            return SimpleNamespace(
                prior=law(torch.full((256,), 0.5), 0.5),
                posterior=lambda pixels: law(pixels.flatten(1), 0.1),
            )

    decoder = SimpleNamespace(decode=lambda z: z.view(-1, 1, 16, 16))
    same_on_both(
        lambda device: fitted_noise(about(device, model=decoder, probe=Probe()), images=50)
    )


def test_a_transition_of_chains():
    """Four hundred chains on a Gaussian; log densities are float64, on the CPU for MPS."""

    def density(z):
        values = -0.5 * z.square().sum(-1).cpu().double()
        return Point(z, values, torch.zeros_like(values), -z, torch.zeros_like(z))

    def moved(device):
        start = torch.randn(400, 1, 2, generator=torch.Generator().manual_seed(5))
        step = torch.full((1,), 1.5).to(device)
        _, acceptance = transition(density, density(start.to(device)), 1.0, step, 2, source(device))
        assert acceptance.dtype == torch.float64
        assert 0.1 < acceptance.mean() < 0.999
        return acceptance.mean().item()

    same_on_both(moved)
