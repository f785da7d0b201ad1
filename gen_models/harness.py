"""The evaluation harness as a configuration wants it: extractors, measurements, store, probe."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch

from gen_models.caches import default_folder
from gen_models.data import ImageDataModule
from gen_models.errors import UsageError
from gen_models.evaluation.evaluate import evaluate, undisturbed
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.extractors.features import Extractor
from gen_models.evaluation.grid import Grid
from gen_models.evaluation.measurements.reconstructions import Inversion
from gen_models.evaluation.pictures import gallery, sample_picture
from gen_models.evaluation.statistics.frechet import Moments, frechet_distance
from gen_models.evaluation.store import FeatureStore
from gen_models.models import GenerativeModule
from gen_models.processes import by_first, count, rank
from gen_models.recipes import build, build_each
from gen_models.records import Picture, Value
from gen_models.records.files import write_beside
from gen_models.signatures import unknown_key

OPTIONS = ("split", "samples", "seed", "features", "probe", "measurements", "cache")


class Placed(Protocol):
    """A model, or what stands in its place, of which evaluation asks where it is alone."""

    @property
    def device(self) -> torch.device:
        """Where it is."""
        ...


class Harness:
    """What measures models of one data set.

    Args:
        options: The `evaluation` of a configuration.
        data: Set up.

    Raises:
        UsageError: If an option makes no sense.
    """

    def __init__(self, options: dict[str, Any], data: ImageDataModule) -> None:
        for key in options:
            if key not in OPTIONS:
                raise UsageError(unknown_key(f"evaluation.{key}", OPTIONS))
        self.data = data
        self.split, self.seed = options["split"], options["seed"]
        if self.split not in ("test", "validation"):
            raise UsageError(f"evaluation.split={self.split}: choices are test, validation")
        self.samples = sample_count(options, len(data.train))
        self.extractors = extractors(options["features"], data)
        self.probe = build(options["probe"], "evaluation.probe") if options["probe"] else None
        self.measurements = build_each(options["measurements"], "evaluation.measurements")
        self.store = FeatureStore(cache_folder(options["cache"]))

    @property
    def score_name(self) -> str:
        """The score that the best checkpoint is chosen by: on validation images, never on test."""
        return f"fid_{self.extractors[0].name}_{min(2000, self.samples)}_validation"

    def score(self) -> Callable[[GenerativeModule], float]:
        """A Fréchet distance to the validation images, which are looked at once.

        Raises:
            UsageError: If there is no more than one.
        """
        if (count := len(self.data.validation)) < 2:
            raise UsageError(
                f"data: the validation split has {count} image, and best.ckpt is chosen by a "
                "distance to 2 or more; raise data.validation, or give more images"
            )
        real: list[Moments] = []

        def measure(model: GenerativeModule) -> float:
            chosen = self.extractors[:1]
            evidence = self.evidence(model, "validation", min(2000, self.samples), chosen)
            fake = evidence.drawn.features[0]  # by all processes

            def distance() -> float:
                if not real:
                    real.append(evidence.views[0].samples.moments)
                return frechet_distance(real[0], Moments.of(fake.features))

            return by_first(distance)

        return measure

    def draw(self, model: GenerativeModule, path: Path) -> None:
        """Write a picture of samples at fixed latents."""
        real = self.data.validation.images
        sample_picture(model, real, model.device, self.seed).save(path)

    def evidence(
        self, model: Placed, split: str, samples: int, chosen: tuple[Extractor, ...]
    ) -> Evidence:
        """What measurements on a split read."""
        return Evidence(
            model=model,
            train=self.data.train,
            validation=self.data.validation,
            real=getattr(self.data, split),
            split=split,
            extractors=tuple(extractor.to(model.device) for extractor in chosen),
            samples=samples,
            seed=self.seed,
            device=model.device,
            store=self.store,
            probe=self.probe,
            density=self.data.density,
        )

    def evaluate(self, model: Placed, folder: Path) -> tuple[list[Value], list[Picture]]:
        """The values, and the pictures, written into the run folder beside those that are there.

        Which of them count says the record: until that is written, the old ones do. Of
        several processes, the first has them.
        """
        evidence = self.evidence(model, self.split, self.samples, self.extractors)
        if count() > 1:
            with suppress(UsageError), undisturbed(model, self.seed):
                _ = evidence.drawn  # each process its share; the rest is for the first alone
            if rank() > 0:
                return [], []
        values = evaluate(evidence, list(self.measurements.values()))
        search = [m for m in self.measurements.values() if isinstance(m, Inversion)]
        (folder / "pictures").mkdir(exist_ok=True)
        pictures = []
        for grid in gallery(evidence, search[0] if search else None):
            with TemporaryDirectory() as place:
                content = grid.save(Path(place) / "picture.png").read_bytes()
            file = write_beside(folder / f"pictures/{grid.name}.png", content)
            rows = grid.rows if isinstance(grid, Grid) else ()
            name = f"pictures/{file.name}"
            pictures.append(Picture(grid.name, grid.title, name, grid.caption, rows))
        return values, pictures


def extractors(recipes: dict[str, Any] | None, data: ImageDataModule) -> tuple[Extractor, ...]:
    """The extractors of a configuration, in its order; a recipe may say that there is none.

    Raises:
        UsageError: If there is none, or two go by one name: their values would, too.
    """
    sees: dict[str, Any] = {"shape": data.shape, "data": data.name, "train": data.train.images}
    built = build_each(recipes, "evaluation.features", **sees).values()
    made = tuple(extractor for extractor in built if extractor is not None)
    names = [extractor.name for extractor in made]
    if not made:
        raise UsageError("evaluation.features holds no extractor: evaluation/features=auto")
    if len(set(names)) < len(names):
        raise UsageError(f"evaluation.features: two extractors of one name ({', '.join(names)})")
    return made


def cache_folder(option: Any) -> Path | None:
    """Where features of real images are kept; `evaluation.cache=false` keeps none."""
    if option is None:
        return default_folder()
    return Path(option) if option else None


def sample_count(options: dict[str, Any], training_images: int) -> int:
    """How many images evaluation draws: as many as were trained on, at most 10,000, by default."""
    samples, seed = options["samples"], options["seed"]
    if samples is None:
        samples = min(10_000, training_images)
    if not isinstance(samples, int) or samples < 2:
        raise UsageError(f"evaluation.samples={samples} must be a number of 2 or more")
    if not isinstance(seed, int) or not 0 <= seed < 2**32:  # numpy takes no other
        raise UsageError(f"evaluation.seed={seed} must be a whole number from 0 to 2**32 - 1")
    return samples
