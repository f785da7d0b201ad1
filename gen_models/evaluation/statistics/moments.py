r"""A Gaussian fitted to features, kept as a triangle.

The rows $(1, x)$ of all images make a matrix $A$; the triangle $R$ of its QR decomposition has
$R^T R = A^T A$ and holds all that the fit needs:

$$R = \begin{pmatrix} \sqrt N & \sqrt N\, m^T \\ 0 & \sqrt{N - 1}\, F \end{pmatrix}, \qquad
  F^T F = C .$$

A triangle serves as rows in turn. So one decomposition fits a batch, adds images to a fit and
merges the fits of several processes, exactly (Golub and Van Loan, Matrix Computations, section
6.5.3). Fewer images than features, dead units and ill-conditioned features need no special case.

The first column goes first, which centres the others: a common offset costs no digits. The rest is
squared where nothing that counts is lost by that, which `triangle_of` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy
import torch
from torch import Tensor

from gen_models.errors import NotFinite, UsageError
from gen_models.evaluation.statistics.gram import triangle_of
from gen_models.evaluation.statistics.selection import not_finite

# Rounding of a covariance that was summed in float32, relative to its largest entry.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Moments:
    """A Gaussian fitted to features, in float64, on their device (on the CPU for MPS).

    Attributes:
        mean: (D,).
        factor: (K, D) with K <= D, F with F^T F the unbiased covariance.
        count: N, the number of images; None where a file does not tell.
    """

    mean: Tensor
    factor: Tensor
    count: int | None

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Fit to features (N, D), a block of images at a time.

        Raises:
            UsageError: If N < 2 or a feature is not finite.
        """
        triangle = as_rows(features[:0])
        for block in features.split(block_length(features.shape[1])):
            triangle = compressed([triangle, as_rows(block)])
        return cls.from_triangle(triangle)

    @classmethod
    def from_triangle(cls, triangle: Tensor) -> Moments:
        """The fit whose `rows` were compressed to a triangle (K, 1 + D).

        Raises:
            UsageError: If the rows stand for fewer than 2 images.
        """
        count = round(triangle[:1, 0].square().sum().item())
        if count < 2:
            raise UsageError(f"a Frechet distance needs 2 images or more, not {count}")
        mean = triangle[0, 1:] / triangle[0, 0]
        return cls(mean, triangle[1:, 1:] / (count - 1) ** 0.5, count)

    @classmethod
    def merge(cls, parts: Sequence[Moments]) -> Moments:
        """The fit to all images of the parts together, exactly; on the first part's device.

        Raises:
            UsageError: If there is no part, the dimensions differ, or a part has no count.
        """
        if not parts:
            raise UsageError("there are no moments to merge")
        same_dimension(*parts)
        return cls.from_triangle(compressed([part.to(parts[0].device).rows() for part in parts]))

    @classmethod
    def from_covariance(cls, mean: Tensor, covariance: Tensor, count: int | None = None) -> Moments:
        """Take mean (D,) and unbiased covariance (D, D) from elsewhere.

        By Cholesky's decomposition; by eigenvalues, clamped at 0, where the covariance is singular.

        Raises:
            UsageError: If the shapes do not belong together, an entry is not finite, or the
                covariance is not symmetric or not positive semi-definite beyond rounding (1e-5).
        """
        mean, covariance = exact(mean), exact(covariance)
        if mean.dim() != 1 or covariance.shape != (len(mean), len(mean)):
            shapes = f"{tuple(mean.shape)} and {tuple(covariance.shape)}"
            raise UsageError(f"mean and covariance have shapes {shapes}; give (D,) and (D, D)")
        if not (mean.isfinite().all() and covariance.isfinite().all()):
            raise UsageError("mean or covariance is not finite; compute them from finite features")
        rounding = ROUNDING * covariance.abs().max()
        if (covariance - covariance.T).abs().max() > rounding:
            raise UsageError("the covariance is not symmetric; give that of (N, D) features")
        covariance = (covariance + covariance.T) / 2
        triangle, failed = torch.linalg.cholesky_ex(covariance, upper=True)
        if not failed:
            return cls(mean, triangle, count)
        values, vectors = torch.linalg.eigh(covariance)
        if values[0] < -rounding:
            raise UsageError(
                f"the covariance has a negative eigenvalue, {values[0].item():.3g}; "
                "give that of (N, D) features"
            )
        return cls(mean, values.clamp_min(0).sqrt()[:, None] * vectors.T, count)

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (D, D)."""
        return self.factor.T @ self.factor

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.mean.device

    def to(self, device: torch.device) -> Moments:
        """The same on another device."""
        return replace(self, mean=self.mean.to(device), factor=self.factor.to(device))

    def rows(self) -> Tensor:
        """Rows (1 + K, 1 + D) that stand for all images of the fit.

        Raises:
            UsageError: If the number of images is not known.
        """
        if self.count is None:
            raise UsageError(
                "moments of an unknown number of images do not merge; give it by "
                "dataclasses.replace(moments, count=N)"
            )
        return joined(self.count**0.5, self.mean, self.factor * (self.count - 1) ** 0.5)

    def save(self, path: str | Path) -> None:
        """Write mu (D,) and sigma (D, D) as pytorch-fid does, and the count, which it ignores."""
        arrays: dict[str, Any] = {"mu": self.mean.cpu(), "sigma": self.covariance.cpu()}
        if self.count is not None:
            arrays["count"] = self.count
        with Path(path).open("wb") as file:
            numpy.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Moments:
        """Read what `save`, pytorch-fid or the authors of FID wrote; nothing in it is run.

        The count is None where the file holds none, as all but our own: distances do not need it,
        `merge` does.

        Raises:
            UsageError: If the file is not there, is no such archive, or holds no covariance.
        """
        try:
            with numpy.load(path, allow_pickle=False) as file:
                mean, covariance = torch.from_numpy(file["mu"]), torch.from_numpy(file["sigma"])
                count = int(file["count"]) if "count" in file else None
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise UsageError(
                f"{path} cannot be read ({type(error).__name__}); give an .npz file with "
                "mean mu (D,) and covariance sigma (D, D), as pytorch-fid writes it"
            ) from error
        return cls.from_covariance(mean, covariance, count)


def exact(values: Tensor) -> Tensor:
    """The values in float64, on their device where it has float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def as_rows(features: Tensor) -> Tensor:
    """Rows (1, x), (N, 1 + D) in float64, of features (N, D).

    Raises:
        NotFinite: If a feature is not finite.
    """
    bad = not_finite(features)
    if len(bad):
        raise NotFinite(f"image {int(bad[0])} has features that are not finite")
    return torch.nn.functional.pad(exact(features), (1, 0), value=1.0)


def compressed(parts: Sequence[Tensor]) -> Tensor:
    """The triangle (1 + min(N, D), 1 + D) that stands for all rows (N, 1 + D) of the parts."""
    rows = torch.cat(list(parts))
    first, rest = rows[:, 0], rows[:, 1:]
    count = first @ first
    mean = first @ rest / count.clamp_min(1)
    rest.addcmul_(first[:, None], mean, value=-1)  # in place: `cat` has copied
    return joined(count.sqrt(), mean, triangle_of(rest))


def joined(weight: Tensor | float, mean: Tensor, factor: Tensor) -> Tensor:
    """Rows (1 + K, 1 + D): weight times (1, mean), then the factor (K, D)."""
    pad = torch.nn.functional.pad
    return torch.cat([weight * pad(mean, (1, 0), value=1.0)[None], pad(factor, (1, 0))])


def block_length(dimension: int) -> int:
    """Images to decompose at a time: few enough for memory, many beside the triangle they join."""
    return max(2048, 4 * dimension)


def same_dimension(*moments: Moments) -> None:
    """Refuse features of different dimensions, which have no distance and no merged fit.

    Raises:
        UsageError: If the dimensions differ.
    """
    first, *others = [len(part.mean) for part in moments]
    for other in others:
        if other != first:
            raise UsageError(
                f"features of {first} and {other} dimensions do not go together; "
                "use one extractor for all"
            )
