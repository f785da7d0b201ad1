"""What all tests share."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("quiet", deadline=None, max_examples=40)
settings.load_profile("quiet")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory):
    """One feature store for all tests, and none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEN_MODELS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_address():
    """Lightning looks for a cluster in the environment; tests have none."""
    os.environ.setdefault("MPLBACKEND", "Agg")


def found_by_two(work, folder):
    """What each of two processes leaves as `RANK.pt` in a folder."""
    from gen_models.launching import launch

    launch(work, (folder,), 2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]
