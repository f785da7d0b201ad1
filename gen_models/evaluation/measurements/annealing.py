"""Log p(x) by annealed importance sampling, and how far its bounds lie apart."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from gen_models.errors import UsageError
from gen_models.evaluation.evidence import Evidence
from gen_models.evaluation.likelihood import (
    Annealing,
    annealed,
    bidirectional,
)
from gen_models.evaluation.likelihood.annealing import Progress
from gen_models.evaluation.measurements.likelihood import ASPECT, LikelihoodMeasurement
from gen_models.evaluation.measurements.measurement import blank, mean_filled
from gen_models.evaluation.observation import encoder_of, joint_of, source_of
from gen_models.evaluation.precision import full_precision
from gen_models.records import Value

STOPS = {"fitted": "where a preliminary run's weights lose most", "sigmoid": "sigmoid"}


@dataclass(frozen=True)
class AnnealedLikelihood(LikelihoodMeasurement):
    """Annealed importance sampling on real images; both bounds on images that the model drew.

    Wu et al. (2017): real images have a lower bound; simulated ones, whose latents are known, an
    upper bound too (bidirectional Monte Carlo: Grosse et al., 2015), and the gap between the two
    says how good the lower one is.

    Attributes:
        images: Real images, and simulated ones.
        annealing: Temperatures, chains and the rest.
        start: Where chains start: `prior`, or `encoder`, from q(z | x).

    Raises:
        UsageError: If a choice is none of these.
    """

    images: int | None = 16
    annealing: Annealing = field(default_factory=Annealing)
    start: str = "prior"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start not in ("prior", "encoder"):
            raise UsageError(f"start={self.start}: choices are prior, encoder")

    def blanks(self, evidence: Evidence) -> list[Value]:
        """Lower bound, acceptance and effective chains; both bounds and the gap, simulated."""
        a, place, count = self.annealing, self.place(evidence), len(self.chosen(evidence))
        start = "the prior"
        if self.start == "encoder":
            start = source_of(self.observation, evidence)
        how = (
            f"annealed importance sampling from {start}, {a.temperatures} temperatures "
            f"({STOPS[a.stops]}), {a.chains} chains, Hamiltonian transitions of {a.leapfrogs} "
            f"leapfrog steps, tuned in a preliminary run of {a.tuning} and then frozen"
        )
        short = f"ais{a.temperatures}" + ("" if self.start == "prior" else "_encoder")
        bound = self.blank(
            evidence, f"log_likelihood_{short}_{place}", "log p(x), annealed, lower bound", how
        )
        end = place.replace("_nats", "")
        more = [
            (f"acceptance_{short}_{end}", "Acceptance of transitions", "share"),
            (f"effective_chains_{short}_{end}", f"Effective chains of {a.chains}", "chains"),
        ]
        checks = [
            blank(name, title, unit, None, count, bound.protocol, ASPECT, restates=bound.title)
            for name, title, unit in more
        ]
        own = f"{count} images drawn from p(z) p(x|z) with their latents, {how}"
        names = [
            ("lower", "Simulated images: lower bound on log p(x)", None),
            ("upper", "Simulated images: upper bound on log p(x)", None),
            ("gap", "Gap between the bounds (BDMC)", "lower"),
        ]
        both = [
            self.blank(evidence, f"simulated_{name}_{short}_{place}", title, own, better)
            for name, title, better in names
        ]
        return [bound, *checks, *both]

    def measure(self, evidence: Evidence) -> list[Value]:
        """Means over images."""
        joint, generator = joint_of(self.observation, evidence), evidence.generator()
        infer = encoder_of(self.observation, evidence) if self.start == "encoder" else None
        pixels = torch.cat(list(self.parts(evidence)))
        with full_precision(), progress_bar("real images") as progress:
            start = None if infer is None else infer(pixels)
            real = annealed(
                joint, pixels, self.annealing, generator, start=start, progress=progress
            )
        with full_precision(), progress_bar("simulated images") as progress:
            made, latents = joint.simulate(len(pixels), generator)
            start = None if infer is None else infer(made)
            both = bidirectional(
                joint, made, latents, self.annealing, generator, start=start, progress=progress
            )
        assert both.upper is not None
        columns = [
            *(real.lower, real.acceptance, real.effective),
            *(both.lower, both.upper, both.upper - both.lower),
        ]
        rows = zip(self.blanks(evidence), columns, strict=True)
        return [mean_filled(empty, column.cpu().double()) for empty, column in rows]


@contextmanager
def progress_bar(what: str) -> Iterator[Progress | None]:
    """A bar over transitions where someone watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"annealing, {what}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
