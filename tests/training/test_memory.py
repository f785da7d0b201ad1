"""What a step frees is there for the next one."""

import resource
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch

from gen_models.training import memory
from gen_models.training.memory import kept_memory

glibc = pytest.mark.skipif(
    not hasattr(memory.ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc"
)
PAGES = 16_384
"""In the 64 MiB of a block below."""


def faults(steps=5):
    """Pages that the system had to give, a step, once the heap has found its form."""

    def step():
        torch.ones(2**24)

    for _ in range(10):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps


def measure():
    print(faults())
    with kept_memory():
        print(faults())


@glibc
@pytest.mark.parametrize("setting", [{}, {"MALLOC_ARENA_MAX": "4"}])
def test_a_step_gets_its_memory_back_without_asking_the_system(setting):
    """In a fresh process, whose heap is nobody else's; settings of the user's own are left."""
    code = "from tests.training.test_memory import measure; measure()"
    environment = {**memory.os.environ, **setting}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    before, within = map(float, done.stdout.split())
    assert before > PAGES / 2
    assert (within < PAGES / 100) == (not setting)


def test_other_libraries_have_nothing_to_be_told(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: nullcontext())
    with kept_memory():
        pass
    monkeypatch.setattr(memory.os, "name", "nt")
    monkeypatch.setattr(memory.ctypes, "CDLL", None)  # must not be asked
    with kept_memory():
        pass
