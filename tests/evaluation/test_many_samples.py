"""Memory does not grow with the number of samples: what does lies in files without a name."""

import errno
import multiprocessing
import os
import resource
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from gen_models.data import storage
from gen_models.data.storage import Storage
from gen_models.evaluation import (
    Classes,
    Copies,
    FrechetDistance,
    KernelDistance,
    Memorisation,
    NearRepeats,
    Neighbourhoods,
    PrecisionRecallCurve,
    RandomConvolutions,
    ShippedClassifier,
    evaluate,
    rows,
)
from gen_models.evaluation.extractors.features import Extractor, Features
from gen_models.evaluation.statistics.copies import duplicates
from gen_models.evaluation.store import content_of

from .models import SHAPE, Complete, by_name, evidence

MILLION = 10**6


class Wide(Extractor):
    """Any number of features, at once."""

    digest = "0" * 64

    def __init__(self, dimension):
        super().__init__()
        self.dimension, self.name = dimension, f"wide{dimension}"
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(256, dimension, generator=generator) / 16
        self.weight = torch.nn.Parameter(weight, requires_grad=False)

    def forward(self, pixels):
        return Features(pixels.flatten(1) @ self.weight)


MEASUREMENTS = {
    "frechet": [FrechetDistance()],
    "pairs": [KernelDistance(), Neighbourhoods()],
}


def measured(kind, dimension, samples):
    about = evidence(Complete(), samples=samples, extractors=(Wide(dimension),))
    return evaluate(about, MEASUREMENTS[kind])


def under_a_limit(jobs, in_memory):
    """Values, or why there is none, where only so many bytes more can be had."""
    torch.set_num_threads(1)
    if in_memory:
        Storage.by_size = classmethod(lambda cls, size: cls())
    for kind in MEASUREMENTS:
        measured(kind, 16, 300)  # what is needed whatever the number
    used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGESIZE")
    answers = []
    for kind, dimension, samples, limit in jobs:
        resource.setrlimit(resource.RLIMIT_DATA, (used + limit, resource.RLIM_INFINITY))
        values = measured(kind, dimension, samples)
        answers.append(values[0].value or values[0].reason)
    return answers


def in_fresh_processes(monkeypatch, folder, jobs):
    """By files, and by memory alone: a forked process may wait for ever for threads of torch."""
    monkeypatch.setenv("GEN_MODELS_CACHE", str(folder))
    # What is freed goes back to the system at once, so that what is counted is what is held.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(2**17))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as fresh:
        by_files, by_memory = fresh.map(under_a_limit, (jobs, jobs), (False, True), timeout=7200)
    assert not list(folder.iterdir())
    return by_files, by_memory


def test_one_limit_holds_at_twice_the_samples(monkeypatch, tmp_path):
    jobs = [
        ("frechet", 512, 8_500, 100 * MILLION),
        ("frechet", 512, 17_000, 100 * MILLION),
        ("pairs", 4096, 1_100, 150 * MILLION),
        ("pairs", 4096, 2_200, 150 * MILLION),
    ]
    by_files, by_memory = in_fresh_processes(monkeypatch, tmp_path, jobs)
    assert all(isinstance(answer, float) for answer in by_files)
    assert all("out of memory: lower evaluation.samples=" in str(answer) for answer in by_memory)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "limit"), [("frechet", 200), ("pairs", 300)])
def test_one_limit_holds_at_ten_times_the_samples(monkeypatch, tmp_path, kind, limit):
    jobs = [(kind, 128, samples, limit * MILLION) for samples in (10_000, 100_000)]
    by_files, by_memory = in_fresh_processes(monkeypatch, tmp_path, jobs)
    assert all(isinstance(answer, float) for answer in by_files)
    assert "out of memory: lower evaluation.samples=" in str(by_memory[1])


def everything(samples=600):
    extractors = ShippedClassifier(SHAPE, "digits"), RandomConvolutions(SHAPE, "digits")
    about = evidence(Complete(), samples=samples, extractors=extractors)
    instruments = (
        *(FrechetDistance(), KernelDistance(), Neighbourhoods(), Memorisation(), NearRepeats()),
        *(Classes(), Copies(), PrecisionRecallCurve()),
    )
    return evaluate(about, instruments)


def test_values_from_files_are_those_from_memory_bit_for_bit(monkeypatch, tmp_path):
    expected = everything()
    monkeypatch.setenv("GEN_MODELS_CACHE", str(tmp_path))
    made = []
    original = Storage.empty

    def counted(self, *shape, dtype):
        made.append(self.folder)
        return original(self, *shape, dtype=dtype)

    monkeypatch.setattr(Storage, "empty", counted)
    monkeypatch.setattr(storage, "PART_BYTES", 2**12)
    assert everything() == expected
    assert made.count(tmp_path) > 100
    assert not list(tmp_path.iterdir())


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full(monkeypatch, tmp_path):
    """A disk without room, wanted for more than 4 kB."""
    rows._tell.cache_clear()
    monkeypatch.setenv("GEN_MODELS_CACHE", str(tmp_path))
    monkeypatch.setattr(storage, "PART_BYTES", 2**12)
    monkeypatch.setattr("os.posix_fallocate", no_room)
    return tmp_path


def test_a_full_disk_is_told_of_once_and_memory_takes_over(full, caplog):
    values = by_name(evaluate(evidence(Complete(), samples=300), [FrechetDistance()]))
    [told] = caplog.records
    assert f"{full} (No space left on device)" in told.message
    assert "GEN_MODELS_CACHE, or lower evaluation.samples" in told.message
    assert "\n" not in told.message
    assert values["fid_digits64_300_test"].value is not None


@pytest.mark.filterwarnings("ignore:FrechetDistance out of memory")
def test_where_disk_and_memory_are_full_the_row_says_so(full, monkeypatch):
    monkeypatch.setattr("gen_models.evaluation.rows.free_memory", lambda: 1000)
    values = by_name(evaluate(evidence(Complete(), samples=300), [FrechetDistance()]))
    reason = values["fid_digits64_300_test"].reason
    assert reason.startswith("out of memory: lower evaluation.samples=300")


def test_rows_in_parts(monkeypatch):
    monkeypatch.setattr(storage, "PART_BYTES", 64)
    x = torch.randn(50, 3)
    order = rows.shuffle(50, seed=1)
    assert torch.equal(order, torch.randperm(50, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(rows.taken(x, order), x[order])
    assert torch.equal(rows.joined(x, 2 * x), torch.cat([x, 2 * x]))
    assert torch.equal(rows.each(lambda part: part.double().exp(), x), x.double().exp())


def test_the_noise_of_a_ceiling_is_one_draw_however_it_is_cut():
    about = evidence(Complete(), samples=700)
    generator = torch.Generator().manual_seed(0)
    whole = torch.randint(0, 256, (700, *SHAPE), generator=generator, dtype=torch.uint8)
    assert torch.equal(about.stand_in("noise"), whole)


def test_a_hash_does_not_depend_on_the_parts(monkeypatch):
    images = torch.randint(0, 256, (100, *SHAPE), dtype=torch.uint8)
    whole, spread = content_of(images), content_of(images[:1].expand(9, *SHAPE))
    monkeypatch.setattr(storage, "PART_BYTES", 1000)
    assert content_of(images) == whole
    assert content_of(images[:1].expand(9, *SHAPE)) == spread


def test_duplicates_are_counted_group_by_group(monkeypatch):
    images = torch.randint(0, 2, (400, 1, 2, 3), dtype=torch.uint8)
    distinct = len(images.flatten(1).unique(dim=0))
    monkeypatch.setattr("gen_models.evaluation.statistics.copies.GROUP", 50)
    assert duplicates(images) == 400 - distinct
