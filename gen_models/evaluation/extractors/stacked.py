"""A classifier of one channel, applied to each: a thousand classes of three digits."""

from __future__ import annotations

from torch import Tensor

from gen_models.errors import UsageError
from gen_models.evaluation.extractors.classifiers import ShippedClassifier
from gen_models.evaluation.extractors.features import Extractor, Features, Shape


class StackedClassifier(Extractor):
    """The shipped classifier of a grey data set, on each of three channels by itself.

    Channels are independent, so that log probabilities add up: class c1 + 10 c2 + 100 c3 is the
    likeliest where each ci is. The features are those of the channels, one after the other.

    Args:
        shape: (3, H, W) of the images to be seen.
        data: "stacked_" and the name of the grey data set.
        train: Unused.

    Raises:
        UsageError: If there is no such classifier.
    """

    classes = True

    def __init__(self, shape: Shape, data: str, train: Tensor | None = None) -> None:
        super().__init__()
        channels, *size = shape
        if channels != 3:
            raise UsageError(f"stacked images have 3 channels, {data} has {channels}")
        self.channel = ShippedClassifier((1, size[0], size[1]), data.removeprefix("stacked_"))
        self.dimension = channels * self.channel.dimension
        self.name = f"{data}{self.dimension}"
        self.digest = self.channel.digest

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 192) and log probabilities (B, 1000)."""
        features, logits, _ = self.channel(pixels.flatten(0, 1)[:, None])
        assert logits is not None
        first, second, third = logits.log_softmax(1).unflatten(0, (-1, 3)).unbind(1)
        triples = third[:, :, None, None] + second[:, None, :, None] + first[:, None, None, :]
        return Features(features.unflatten(0, (-1, 3)).flatten(1), triples.flatten(1))
