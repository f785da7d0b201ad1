"""Sets of features that are hard to measure, and distances written out."""

import torch


def drawn(count, dimension=8, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=generator, dtype=torch.float64) + shift


def squared(x, y):
    return (x[:, None] - y).square().sum(-1)


many = drawn(300, 24)
close = drawn(1, 24) + drawn(250, 24, seed=1) * 1e-4
spread = torch.logspace(-6, 6, 250, dtype=torch.float64)[:, None]
HARD = {
    "alike": (many, drawn(250, 24, seed=1) + 0.1),
    "far from 0": (many + 1000, drawn(250, 24, seed=1) + 1000),
    "float32": (many.float() + 100, drawn(250, 24, seed=1).float() + 100),
    "repeats": (many[:100].repeat(3, 1), many[:40].repeat(6, 1)),
    "constant": (torch.ones(200, 8), torch.ones(180, 8)),
    "two constants": (torch.ones(200, 8), torch.zeros(180, 8)),
    "one image": (many, drawn(1, 24, seed=1).repeat(250, 1)),
    "one image, nearly": (many, close),
    "both nearly": (close, close.flip(0)),
    "copies": (many, many.flip(0)),
    "small and large": (many[:250] * spread, drawn(250, 24, seed=1) * spread),
    "blurred": (drawn(300, 512), drawn(250, 512, seed=1) / 2),
    "ties": (drawn(300, 3).round(), drawn(250, 3, seed=1).round()),
    "one dimension": (drawn(300, 1), drawn(250, 1, seed=1)),
    "many dimensions": (drawn(300, 2048), drawn(250, 2048, seed=1)),
}
