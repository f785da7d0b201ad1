"""Evaluation leaves the model and every random state bit for bit as they were."""

import copy
import random
from dataclasses import fields, is_dataclass, replace

import numpy
import pytest
import torch

from gen_models.evaluation import evaluate
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.measurements.measurement import Measurement
from gen_models.harness import extractors
from gen_models.recipes import build
from tests.test_configs import choices, composed

SMALL = {
    **{"images": 20, "draws": 4, "samples": 40, "paths": 4, "steps": 2, "restarts": 1},
    **{"temperatures": 3, "chains": 2, "batch_size": 6, "tuning": 2, "leapfrogs": 2},
}
RUNS = {
    "vae": ["model=vae", "model/generator=conv", "model/trunk=conv_spectral"],
    "cgan": ["model=cgan", "model/generator=conv"],
    "points": ["experiment=points", "model=vae", "data=ring"],
}


def small(part):
    """A measurement, or a part of one, that looks at a few images."""
    if not is_dataclass(part):
        return part
    given = {f.name: getattr(part, f.name) for f in fields(part) if f.init}
    less = {name: small(value) for name, value in given.items() if is_dataclass(value)}
    less |= {k: min(given[k], SMALL[k]) for k in SMALL if isinstance(given.get(k), int)}
    return replace(part, **less)


def measurements(*overrides):
    """Every measurement under conf, by its key."""
    found = {}
    for group in choices("evaluation/measurements"):
        config = composed(f"evaluation/measurements={group}", *overrides)["evaluation"]
        for key, recipe in config["measurements"].items():
            if recipe is not None:
                found[key] = small(build(recipe, f"evaluation.measurements.{key}"))
    return found


def state(model):
    """All that evaluation might move, copied."""
    moved = {
        "weights and buffers": model.state_dict(),
        "modes": [module.training for module in model.modules()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "gradients": [p.grad for p in model.parameters()],
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    return copy.deepcopy(moved)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, numpy.ndarray):
        return numpy.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def prepared(config):
    """Evidence about a model in training, its modes and gradients mixed."""
    data = build(config["data"], "data")
    data.setup()
    offered = {"num_classes": data.num_classes, "training_images": len(data.train)}
    model = build(config["model"], "model", offered, shape=data.shape, scaler=data.scaler)
    for place, parameter in enumerate(model.parameters()):
        parameter.grad = torch.rand_like(parameter) if place % 3 else None
        parameter.requires_grad_(place % 4 != 0)
    model.train()
    list(model.modules())[-1].eval()
    return Evidence(
        model=model,
        train=data.train,
        validation=data.validation,
        real=data.test,
        split="test",
        extractors=extractors(config["evaluation"]["features"], data),
        samples=400,
        seed=0,
        device=torch.device("cpu"),
        probe=small(build(config["evaluation"]["probe"], "evaluation.probe")),
        density=data.density,
    )


def test_every_measurement_leaves_model_and_random_states_as_they_were():
    measured = set()
    for overrides in (RUNS["vae"], RUNS["cgan"], RUNS["points"]):
        config = composed(*overrides)
        evidence = prepared(config)
        for key, measurement in measurements(*overrides).items():
            if key in measured:
                continue
            before = state(evidence.model)
            values = evaluate(evidence, [measurement])
            after = state(evidence.model)
            moved = [name for name in before if not same(before[name], after[name])]
            assert not moved, f"{key} on {overrides[0]} moves {moved}"
            measured |= {key for value in values if value.value is not None}
    # Stacked digits need MNIST; its rows are instruments as the others are.
    assert set(measurements()) - measured <= {"stacked_modes"}


class Careless(Measurement):
    """Draws from every global state, counts on gradients and freezes the model."""

    requires = torch.nn.Module

    def blanks(self, evidence):
        return []

    def measure(self, evidence):
        random.random(), numpy.random.rand(), torch.rand(1)
        model = evidence.model
        model.requires_grad_(True)
        sum(p.square().sum() for p in model.parameters()).backward()
        model.requires_grad_(False)
        if self.fails:
            raise RuntimeError("nothing came of it")
        return []

    def __init__(self, fails):
        self.fails = fails


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.filterwarnings("ignore:Careless failed")
def test_what_a_careless_measurement_moves_is_put_back(fails):
    evidence = prepared(composed(*RUNS["vae"]))
    before = state(evidence.model)
    evaluate(evidence, [Careless(fails)])
    assert same(before, state(evidence.model))


def test_what_is_drawn_from_global_states_is_the_same_each_time():
    drawn = []

    class Draws(Careless):
        def measure(self, evidence):
            drawn.append((random.random(), numpy.random.rand(), torch.rand(1).item()))
            return []

    evidence = prepared(composed(*RUNS["vae"]))
    for _ in range(2):
        evaluate(evidence, [Draws(False)])
    assert drawn[0] == drawn[1]
