"""The recipe of the shipped classifiers: `python -m gen_models.evaluation.train_classifier digits`.

Trained on the training images of the official split alone, never on test images. One thread and one
seed: on the same versions the same file comes out. The files in this package are the artefact;
running this again makes another extractor, with another hash, whose distances do not compare with
the published ones.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gen_models.data import Digits, ImageDataModule, TorchvisionImages
from gen_models.data.ranges import to_pixels
from gen_models.evaluation.extractors.classifiers import WEIGHTS, Classifier, ShippedClassifier

EPOCHS = {"digits": 120, "mnist": 8}


def shifted(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Images moved by at most a pixel, so that features do not hang on the exact place."""
    moves = torch.randint(-1, 2, (2,), generator=generator).tolist()
    return pixels.roll(moves, dims=(-2, -1))


def train(data: ImageDataModule, epochs: int) -> tuple[Classifier, float]:
    """A classifier of the data's labels, and its share of right answers on the test images."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    train_set, test_set = data.load()
    assert test_set is not None
    assert train_set.labels is not None
    assert test_set.labels is not None
    model: nn.Module = Classifier(train_set.shape)
    steps = epochs * (len(train_set) // 128)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        order = torch.randperm(len(train_set), generator=generator)
        for rows in order.split(128)[: len(train_set) // 128]:
            pixels = shifted(to_pixels(train_set.images[rows]), generator)
            loss = cross_entropy(model(pixels).logits, train_set.labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        answers = model(to_pixels(test_set.images)).logits.argmax(1)
    assert isinstance(model, Classifier)
    return model, (answers == test_set.labels).double().mean().item()


def main() -> None:
    """Train one classifier, store it, and add its hash to the list of hashes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=list(ShippedClassifier.SHAPES))
    parser.add_argument("--root", default="datasets", help="folder of the MNIST files")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights")
    options = parser.parse_args()
    data: ImageDataModule = Digits()
    if options.data == "mnist":
        data = TorchvisionImages(dataset="mnist", root=options.root)
    model, accuracy = train(data, EPOCHS[options.data])
    content = save(dict(model.state_dict()), {"data": options.data, "accuracy": f"{accuracy:.4f}"})
    (options.out / f"{options.data}.safetensors").write_bytes(content)
    hashes = [hashlib.sha256(f.read_bytes()).hexdigest() for f in options.out.glob("*.safetensors")]
    (options.out / "sha256.txt").write_text("\n".join(sorted(hashes)) + "\n")
    print(f"{options.data}: {accuracy:.2%} of the test images right, {len(content) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
