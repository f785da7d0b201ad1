"""Features of images, by fixed networks that are identified by the hash of their weights.

A number is only comparable with numbers from the same extractor, so that the extractor's name is
part of the number's name, and its identity (name and weights) part of the protocol.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy
import torch
from torch import Tensor, nn

from gen_models.data.ranges import to_bytes
from gen_models.errors import UsageError

Shape = tuple[int, int, int]
WEIGHTS = Path(__file__).parent / "weights"


class Features(NamedTuple):
    """What an extractor sees in N images.

    Attributes:
        features: (N, D), float32.
        logits: (N, K) of the extractor's classes, or None.
    """

    features: Tensor
    logits: Tensor | None


class Extractor(nn.Module):
    """A fixed network from pixels (B, C, H, W) in [0, 1], rounded to 8 bits, to `Features`.

    Attributes:
        name: Enters the names of values: kind and dimension, such as "digits64".
        identity: The name and the hash of the weights.
        classes: Whether there are logits, of the classes of the data set.
    """

    name: str
    identity: str
    classes: bool = False

    def forward(self, pixels: Tensor) -> Features:
        """Features of a batch of pixels."""
        raise AssertionError("an extractor says what its features are")


class Classifier(nn.Module):
    """A small convolutional classifier; its 64 features are the last hidden layer before its ReLU.

    Args:
        shape: (C, H, W) of the images.
        classes: K.
    """

    def __init__(self, shape: Shape, classes: int = 10) -> None:
        super().__init__()
        channels, height, width = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), 64),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(64, classes))

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 64) and logits (B, K) of pixels (B, C, H, W) in [0, 1]."""
        features = self.features(pixels)
        return Features(features, self.head(features))


class ShippedClassifier(Extractor):
    """The classifier of a data set that is stored in this package, frozen.

    `python -m gen_models.evaluation.train_classifier` made it, from training images alone.

    Args:
        shape: (C, H, W) of the images to be seen.
        data: The data set whose classifier it is: "digits" or "mnist".

    Raises:
        UsageError: If there is none, the images have another shape, or the file is damaged.
    """

    SHAPES: ClassVar[dict[str, Shape]] = {"digits": (1, 16, 16), "mnist": (1, 28, 28)}
    classes = True

    def __init__(self, shape: Shape, data: str) -> None:
        super().__init__()
        from safetensors.torch import load

        if self.SHAPES.get(data) != tuple(shape):
            known = ", ".join(f"{name} {size}" for name, size in self.SHAPES.items())
            raise UsageError(
                f"no classifier for {data} images of shape {tuple(shape)} (there is: {known}); "
                "use evaluation/features=random"
            )
        content = (WEIGHTS / f"{data}.safetensors").read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in (WEIGHTS / "sha256.txt").read_text().split():
            raise UsageError(f"the file of the {data} classifier is damaged; install again")
        self.name = f"{data}64"
        self.identity = f"{self.name}@{digest[:8]}"
        self.network = Classifier(shape)
        self.network.load_state_dict(load(content))
        self.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 64) and logits (B, 10)."""
        return self.network(pixels)


class RandomConvolutions(Extractor):
    """Three strided convolutions with fixed random weights, averaged on a 2 x 2 grid: 128 features.

    For images without a classifier of their own. The weights are raw bits of numpy's Philox
    generator, whose stream is the same in every version, and do not depend on any seed of the run.

    Args:
        shape: (C, H, W) of the images to be seen.
        data: Unused; extractors are all called alike.
    """

    KEY = 20260101

    def __init__(self, shape: Shape, data: str) -> None:
        super().__init__()
        stream = numpy.random.Philox(key=self.KEY)
        widths = [shape[0], 32, 32, 32]
        layers: list[nn.Module] = []
        digest = hashlib.sha256()
        for inputs, outputs in pairwise(widths):
            layer = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            bits = stream.random_raw(layer.weight.numel()) >> numpy.uint64(40)
            # Uniform on [-1, 1) with 24 bits, exact in float32, times He's bound sqrt(6 / fan in).
            uniform = (bits.astype(numpy.float64) / 2**23 - 1).astype(numpy.float32)
            digest.update(uniform.tobytes())
            weight = torch.from_numpy(uniform).reshape(layer.weight.shape)
            layer.weight.data = weight * math.sqrt(6 / (9 * inputs))
            layers += [layer, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.name = "random128"
        self.identity = f"{self.name}@{digest.hexdigest()[:8]}"
        self.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 128), no logits."""
        return Features(self.layers(2 * pixels - 1), None)


class Inception(Extractor):
    """InceptionV3 with the weights of the original FID, through torch-fidelity: 2048 features.

    Images are resized as in the original (TF1's bilinear) and grey images repeated to three
    channels.

    Args:
        shape: (C, H, W) of the images to be seen; C is 1 or 3.
        data: Unused; extractors are all called alike.
        weights: File of the weights (torch-fidelity's pt_inception-2015-12-05-6726825d.pth).
        download: Whether torch-fidelity may fetch them; nothing is fetched otherwise.

    Raises:
        UsageError: If torch-fidelity or the weights are missing, or the file is another one.
    """

    FILE = "pt_inception-2015-12-05-6726825d.pth"
    HASH = "6726825d"

    def __init__(
        self, shape: Shape, data: str, weights: str | None = None, download: bool = False
    ) -> None:
        super().__init__()
        try:
            import torch_fidelity.feature_extractor_inceptionv3 as reference
        except ImportError:
            raise UsageError(
                "evaluation/features=inception needs torch-fidelity: "
                "pip install 'gen_models[inception]'"
            ) from None
        if shape[0] not in (1, 3):
            raise UsageError(f"Inception sees images of 1 or 3 channels, not {shape[0]}")
        path = Path(weights or Path(torch.hub.get_dir()) / "checkpoints" / self.FILE)
        if not path.is_file() and weights is None and download:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(reference.URL_INCEPTION_V3, str(path), self.HASH)
        if not path.is_file():
            raise UsageError(
                f"Inception's weights are not at {path}: give evaluation.features.weights=FILE, "
                "or allow the download with evaluation.features.download=true"
            )
        # Looked at before it is read, because torch-fidelity would run whatever a pickle holds.
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if not digest.startswith(self.HASH):
            raise UsageError(f"{path} does not hold the weights of the original FID ({self.FILE})")
        self.network: Any = reference.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )
        self.name = "inception2048"
        self.identity = f"{self.name}@{digest[:8]}"
        self.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 2048), no logits: ImageNet's classes are not the data's."""
        images = to_bytes(pixels).expand(-1, 3, -1, -1)
        return Features(self.network(images)[0], None)


def default_extractor(shape: Shape, data: str) -> Extractor:
    """The data set's own classifier where one is shipped, random convolutions otherwise."""
    if ShippedClassifier.SHAPES.get(data) == tuple(shape):
        return ShippedClassifier(shape, data)
    return RandomConvolutions(shape, data)
