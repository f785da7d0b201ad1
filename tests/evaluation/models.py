"""Ten-line models with known answers, and evidence about them; none of them is ours."""

from functools import cache

import torch

from gen_models.capabilities import ElboTerms
from gen_models.data import Digits
from gen_models.evaluation import Evidence, ShippedClassifier
from gen_models.evaluation.store import FeatureStore

SHAPE = (1, 16, 16)


class Resampler(torch.nn.Module):
    """Draws from given images; knows nothing else."""

    def __init__(self, images):
        super().__init__()
        self.register_buffer("images", images.float() / 255)

    def sample(self, count, generator=None):
        return self.images[torch.randint(len(self.images), (count,), generator=generator)]


class Linear(torch.nn.Module):
    """x = W z with orthogonal W: its own images can be found again."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = torch.nn.Parameter(torch.linalg.qr(torch.randn(256, 4)).Q)

    def decode(self, z):
        return (z @ self.weight.T).reshape(-1, *SHAPE)

    def sample_prior(self, count, generator=None):
        return torch.randn(count, 4, generator=generator)

    def reconstruct(self, pixels):
        return pixels + 0.1

    def elbo_terms(self, pixels):
        total = pixels.sum((1, 2, 3))
        return ElboTerms(-2 * total, total)


class Complete(Linear):
    """Linear, and it can sample."""

    def sample(self, count, generator=None):
        return self.decode(self.sample_prior(count, generator)).sigmoid()


@cache
def digits():
    """Training, validation and test images."""
    data = Digits()
    data.setup()
    return data


def evidence(model, real=None, extractors=None, samples=1000, folder=None, probe=None):
    """Evidence about a model, on the digits."""
    data = digits()
    return Evidence(
        model=model,
        train=data.train,
        validation=data.validation,
        real=real or data.test,
        split="test",
        extractors=extractors or (ShippedClassifier(SHAPE, "digits"),),
        samples=samples,
        seed=0,
        device=torch.device("cpu"),
        store=FeatureStore(folder),
        probe=probe,
    )


def by_name(values):
    return {value.name: value for value in values}
