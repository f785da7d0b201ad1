"""Densities held against integrals over a grid, and draws against densities."""

import torch
from scipy.stats import chisquare

REACH, STEPS = 9.0, {1: 5001, 2: 181}


def grid(dimension):
    """Cell centres (count, dimension) of [-9, 9]^dimension, and a cell's volume."""
    axis = torch.linspace(-REACH, REACH, STEPS[dimension], dtype=torch.float64)
    points = torch.cartesian_prod(*[axis] * dimension).reshape(-1, dimension)
    return points, (axis[1] - axis[0]).item() ** dimension


def integral(distribution):
    """Integral of the density, float64, over one or two dimensions."""
    points, volume = grid(distribution.event_shape[0])
    with torch.no_grad():
        return distribution.log_prob(points).exp().sum().item() * volume


def agreement(distribution, draws):
    """p-value of Pearson's test that draws (N, 2) have the density, over 12 x 12 bins."""
    points, volume = grid(2)
    edges = torch.linspace(-2.75, 2.25, 11, dtype=torch.float64)  # between cells
    with torch.no_grad():
        mass = distribution.log_prob(points).exp() * volume

    def bins(z):
        row, column = torch.bucketize(z.double().T.contiguous(), edges)
        return row * 12 + column

    expected = torch.zeros(144, dtype=torch.float64).index_add(0, bins(points), mass)
    observed = bins(draws).bincount(minlength=144).double()
    often = expected * len(draws) > 8
    expected = expected[often] / expected[often].sum() * observed[often].sum()
    return chisquare(observed[often], expected).pvalue


def perturbed(module, size=0.4):
    """Random parameters: zeros at the start would hide mistakes."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return module.double()
