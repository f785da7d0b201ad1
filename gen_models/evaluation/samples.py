"""Samples of a model and their features: drawn once, by all processes of a run, each its share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gen_models.capabilities import Decodes
from gen_models.errors import UsageError
from gen_models.evaluation.contract import Intake, take_in
from gen_models.evaluation.extractors.features import Features, extract, gather
from gen_models.evaluation.rows import Rows
from gen_models.processes import count, gathered, share

if TYPE_CHECKING:
    from gen_models.evaluation.evidence import Evidence


class Drawn(NamedTuple):
    """Samples of a model.

    Attributes:
        images: (samples, C, H, W), bytes; float32 where the data are floats.
        clamped: Values that lay outside [0, 1].
        features: By extractor, in the order of the evidence.
    """

    images: Tensor
    clamped: int
    features: tuple[Features, ...]


def draw(evidence: Evidence) -> Drawn:
    """Samples and their features, in one pass: pixels live for one batch only.

    Several processes take whole batches, in a row, and hand each other what they have: bit for bit
    what one process would have drawn, whatever the number of samples.

    Raises:
        UsageError: If a sample is no image of the shape of the real ones, or not finite.
    """
    parts = [part for part in gathered(lambda: _share(evidence)) if part is not None]
    if len(parts) == 1:
        return parts[0]
    images = Rows(evidence.samples)
    for part in parts:
        images.add(part.images)
    by_extractor = zip(*(part.features for part in parts), strict=True)
    features = (gather(each, evidence.samples).to(evidence.device) for each in by_extractor)
    return Drawn(images.all(), sum(part.clamped for part in parts), tuple(features))


def _share(evidence: Evidence) -> Drawn | None:
    """This process's batches, if it has any; the latents of those before are drawn and left."""
    generator, firsts = evidence.generator(), range(0, evidence.samples, evidence.batch)
    mine = share(len(firsts))
    if not mine:
        return None
    total = min(evidence.samples, mine.stop * evidence.batch) - firsts[mine.start]
    images, clamped = Rows(total), 0
    seen = [(Rows(total), Rows(total)) for _ in evidence.extractors]
    alone = count() > 1 and latents_are_all(evidence)
    for place, first in enumerate(firsts[: mine.stop]):
        size = min(evidence.batch, evidence.samples - first)
        if place not in mine:
            pass_over = evidence.model.sample_prior if alone else evidence.model.sample
            pass_over(size, generator)
            continue
        taken = _batch(evidence, size, generator, first)
        clamped += taken.clamped
        images.add(taken.images.cpu())
        for extractor, (features, logits) in zip(evidence.extractors, seen, strict=True):
            part = extract(extractor, taken.images, evidence.device, evidence.batch)
            features.add(part.features)
            logits.add(part.logits)
    made = zip(evidence.extractors, seen, strict=True)
    return Drawn(
        images.all(),
        clamped,
        tuple(Features(f.all(), k.rows, extractor.identity) for extractor, (f, k) in made),
    )


def _batch(evidence: Evidence, size: int, generator: torch.Generator, first: int) -> Intake:
    taken = take_in(evidence.model.sample(size, generator), evidence.stored, first)
    wanted = size, *evidence.real.images.shape[1:]
    if taken.images.shape != wanted:
        raise UsageError(
            f"asked for samples of shape {tuple(wanted)}, the model gave "
            f"{tuple(taken.images.shape)}"
        )
    return taken


def latents_are_all(evidence: Evidence) -> bool:
    """Whether a model draws nothing but latents for its samples: found out, not asked for."""
    if not isinstance(evidence.model, Decodes):
        return False
    model: Any = evidence.model
    states = []
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        for make in (model.sample, model.sample_prior):
            generator, before = evidence.generator(), torch.get_rng_state()
            make(2, generator)
            if not torch.equal(before, torch.get_rng_state()):
                return False
            states.append(generator.get_state())
    return torch.equal(*states)
