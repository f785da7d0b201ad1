"""Too little memory is told of with what to make smaller; what is drawn is held once."""

import pytest
import torch

from gen_models.app import run
from gen_models.errors import UsageError, out_of_memory
from gen_models.evaluation import Copies, FrechetDistance, evaluate
from gen_models.evaluation.extractors.features import Features, gather
from gen_models.evaluation.rows import Rows
from gen_models.models import VAE
from tests.test_run import config

from .models import Complete, by_name, evidence

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 1"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_training_names_the_batch_size(error, monkeypatch, tmp_path):
    def loss(self, x):
        raise error

    monkeypatch.setattr(VAE, "loss", loss)
    with pytest.raises(UsageError, match=r"out of memory in training: lower data\.batch_size=64"):
        run(config(), tmp_path / "run", "vae", "")
    assert '"failed"' in (tmp_path / "run/status.json").read_text()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.filterwarnings("ignore:FrechetDistance out of memory")
def test_evaluation_names_the_samples_and_goes_on(error, monkeypatch):
    def rows(self, view, evidence):
        raise error

    monkeypatch.setattr(FrechetDistance, "seen", rows)
    values = by_name(evaluate(evidence(Complete(), samples=100), [FrechetDistance(), Copies()]))
    reason = values["fid_digits64_100_test"].reason
    assert reason.startswith("out of memory: lower evaluation.samples=100")
    assert values["copies_100"].value is not None


def test_other_errors_are_no_lack_of_memory():
    assert not any(map(out_of_memory, (RuntimeError("shape"), ValueError("out of memory"))))


def test_batches_become_what_joining_them_gives():
    parts = [Features(torch.randn(n, 3), torch.randn(n, 2), "x") for n in (4, 4, 1)]
    made = gather(iter(parts), 9)
    assert torch.equal(made.features, torch.cat([part.features for part in parts]))
    assert torch.equal(made.logits, torch.cat([part.logits for part in parts]))
    assert (made.extractor, Rows(3).rows) == ("x", None)
