"""The distances as torchmetrics, for a loop of one's own: batches in, one number out.

Every process of a distributed run updates its own batches, as many as it has, and `compute` gives
all of them the number for all images. A sampler that pads its last batch shows images twice; that
is the loop's to avoid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from gen_models.data.ranges import quantise, to_pixels
from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Features
from gen_models.evaluation.precision import full_precision
from gen_models.evaluation.statistics.estimate import Estimate
from gen_models.evaluation.statistics.frechet import frechet_distance
from gen_models.evaluation.statistics.moments import Moments, as_rows, block_length, compressed
from gen_models.modes import evaluating


class Streaming(Metric, ABC):
    """What the metrics share: images become features, and features become two growing states.

    The extractor is no sub-module: its weights stay out of `state_dict` and out of `parameters`, a
    parent's `train()`, `half()` and autocast do not reach it, and it follows the images' device.

    Args:
        extractor: A callable from pixels (B, C, H, W), float32 in [0, 1] and multiples of 1/255,
            to `Features` or a tensor (B, D).
        reset_real_features: Whether `reset` forgets the real images too.
        **options: Of `torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    dtype_of_states: ClassVar[torch.dtype]

    extractor: Callable[[Tensor], Features | Tensor]
    real: list[Tensor]
    fake: list[Tensor]

    def __init__(
        self,
        extractor: Callable[[Tensor], Features | Tensor],
        reset_real_features: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.__dict__["extractor"] = extractor
        self.reset_real_features = reset_real_features
        self.add_state("real", [], dist_reduce_fx=None)
        self.add_state("fake", [], dist_reduce_fx=None)

    def update(self, images: Tensor, real: bool) -> None:
        """Take a batch in.

        Args:
            images: (B, C, H, W), uint8, or float in [0, 1], which is rounded to 8 bits.
            real: Whether they are real images or samples.

        Raises:
            UsageError: If they are neither, or the extractor gives no finite (B, D).
        """
        self.keep(self.real if real else self.fake, features_of(images, self.extractor))

    def forward(self, images: Tensor, real: bool) -> None:
        """The same as `update`: one batch of one side has no distance."""
        self.update(images, real)

    @abstractmethod
    def keep(self, state: list[Tensor], features: Tensor) -> None:
        """Add features (B, D) to one of the two states."""

    def reset(self) -> None:
        """Forget the samples, and the real images unless they are to stay."""
        kept = [] if self.reset_real_features else list(self.real)
        super().reset()
        self.real = kept

    def both(self) -> tuple[Tensor, Tensor]:
        """The states, each as one tensor.

        Raises:
            UsageError: If one side has seen no image.
        """
        for name, state in (("real", self.real), ("fake", self.fake)):
            if not state:
                raise UsageError(
                    f"there are no {name} images; call update(images, real={name == 'real'}) first"
                )
        return torch.cat(self.real), torch.cat(self.fake)

    def _sync_dist(self, *arguments: Any, **options: Any) -> None:
        # torchmetrics' own "cat" cannot gather from a process that has seen no image: it does not
        # know D. Each process gives one tensor a state, an empty one if need be.
        for name in self._defaults:
            state = getattr(self, name)
            nothing = torch.zeros(0, 0, dtype=self.dtype_of_states, device=self.device)
            setattr(self, name, [torch.cat(state)] if state else [nothing])
        super()._sync_dist(*arguments, **options)
        for name in self._defaults:
            setattr(self, name, [part for part in getattr(self, name) if part.numel()])


class FrechetDistance(Streaming):
    """Frechet distance of all images seen, in float64 from running moments.

    The states are the triangles of `moments`: they grow to a few times (D, D) and no further, and
    lose nothing, whatever the batches and the offset of the features.

    Example:
        >>> metric = FrechetDistance(lambda pixels: pixels.flatten(1))
        >>> x = torch.tensor([0.0, 0.2, 0.4]).view(3, 1, 1, 1)
        >>> metric.update(x, real=True)
        >>> metric.update(x + 0.6, real=False)
        >>> round(metric.compute().item(), 6)
        0.36
    """

    higher_is_better = False
    dtype_of_states = torch.float64

    def keep(self, state: list[Tensor], features: Tensor) -> None:
        """Add rows, and compress them when they are many."""
        state.append(as_rows(features))
        if sum(map(len, state)) > block_length(features.shape[1]):
            state[:] = [compressed(state)]

    def compute(self) -> Tensor:
        """The distance, (), float64, in squared feature units.

        Raises:
            UsageError: If one side has seen fewer than 2 images.
        """
        real, fake = [Moments.from_triangle(compressed([rows])) for rows in self.both()]
        return torch.tensor(frechet_distance(real, fake), dtype=torch.float64, device=self.device)


class FeatureMetric(Streaming):
    """Any function of two sets of features, over all images seen. All features are kept.

    Args:
        extractor: As for `Streaming`.
        function: Takes `real=` (N, D) and `fake=` (M, D), float32, and gives a number, a tensor or
            an `Estimate`.
        **options: As for `Streaming`.

    Example:
        >>> def shift(*, real, fake):
        ...     return (real.mean(0) - fake.mean(0)).square().sum()
        >>> metric = FeatureMetric(lambda pixels: pixels.flatten(1), shift)
        >>> metric.update(torch.zeros(2, 1, 2, 2), real=True)
        >>> metric.update(torch.ones(3, 1, 2, 2), real=False)
        >>> metric.compute().item()
        4.0
    """

    dtype_of_states = torch.float32

    def __init__(
        self,
        extractor: Callable[[Tensor], Features | Tensor],
        function: Callable[..., Estimate | Tensor | float],
        **options: Any,
    ) -> None:
        super().__init__(extractor, **options)
        self.function = function

    def keep(self, state: list[Tensor], features: Tensor) -> None:
        """Add the features."""
        state.append(features.float())

    def compute(self) -> Tensor:
        """What the function gives, without the error of an `Estimate`.

        Raises:
            UsageError: If one side has seen no image.
        """
        real, fake = self.both()
        result = self.function(real=real, fake=fake)
        value = result.value if isinstance(result, Estimate) else result
        return torch.as_tensor(value, device=self.device)


@torch.no_grad()
def features_of(images: Tensor, extractor: Callable[[Tensor], Features | Tensor]) -> Tensor:
    """Features (B, D) of images (B, C, H, W), uint8 or float in [0, 1], by a frozen extractor.

    Raises:
        UsageError: If the images are neither, or the extractor gives no (B, D).
    """
    pixels = as_pixels(images)
    if isinstance(extractor, torch.nn.Module):
        extractor.to(pixels.device)
    # Half precision would move the distance by more than models differ.
    with evaluating(extractor), full_precision():
        seen = extractor(pixels)
    features = seen.features if isinstance(seen, Features) else seen
    if features.dim() != 2 or len(features) != len(pixels):
        raise UsageError(
            f"the extractor gives {tuple(features.shape)} for {len(pixels)} images; "
            "give features (B, D)"
        )
    return features


def as_pixels(images: Tensor) -> Tensor:
    """Pixels, float32 in [0, 1] at 256 levels, of uint8 or float images (B, C, H, W).

    Raises:
        UsageError: If they are neither.
    """
    if images.dim() != 4:
        raise UsageError(f"images have shape {tuple(images.shape)}; give (B, C, H, W)")
    if images.dtype == torch.uint8:
        return to_pixels(images)
    if not images.is_floating_point():
        raise UsageError(f"images are {images.dtype}; give uint8, or float in [0, 1]")
    # Written so that NaN is outside.
    inside = (images >= 0) & (images <= 1)
    if not inside.all():
        index = int((~inside).flatten(1).any(1).nonzero()[0])
        raise UsageError(f"image {index} of the batch leaves [0, 1]; scale or clamp the images")
    return quantise(images)
