"""InceptionV3 of the original FID."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gen_models.data.ranges import to_bytes
from gen_models.errors import UsageError
from gen_models.evaluation.extractors.features import Extractor, Features, Shape


class Inception(Extractor):
    """InceptionV3 with the weights of the original FID, through torch-fidelity: 2048 features.

    Images are resized as in the original (TF1's bilinear) and grey images repeated to three
    channels.

    Args:
        shape: (C, H, W) of the images to be seen; C is 1 or 3.
        data: Unused.
        train: Unused.
        weights: File of the weights (torch-fidelity's pt_inception-2015-12-05-6726825d.pth).
        download: Whether torch-fidelity may fetch them; nothing is fetched otherwise.

    Raises:
        UsageError: If torch-fidelity or the weights are missing, or the file is another one.
    """

    FILE = "pt_inception-2015-12-05-6726825d.pth"
    HASH = "6726825d"
    dimension = 2048
    size = (299, 299)
    rounds = True

    def __init__(
        self,
        shape: Shape,
        data: str,
        train: Tensor | None = None,
        weights: str | None = None,
        download: bool = False,
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
                f"Inception's weights are not at {path}: give "
                "evaluation.features.inception.weights=FILE, or allow the download with "
                "evaluation.features.inception.download=true"
            )
        # Looked at before it is read, because torch-fidelity would run whatever a pickle holds.
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if not self.digest.startswith(self.HASH):
            raise UsageError(f"{path} does not hold the weights of the original FID ({self.FILE})")
        self.network: Any = reference.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )
        self.name = f"inception{self.dimension}"
        self.requires_grad_(False).eval()

    def forward(self, pixels: Tensor) -> Features:
        """Features (B, 2048), no logits: ImageNet's classes are not the data's."""
        images = to_bytes(pixels).expand(-1, 3, -1, -1)
        return Features(self.network(images)[0])
