"""How long torch's threads look on for one another, as GNU OpenMP itself says that it heard it."""

import os
import re
import subprocess
import sys

import pytest

SAID = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def heard(first, **said):
    """The looks of a fresh process that imports `first` and then torch."""
    kept = {name: value for name, value in os.environ.items() if name not in SAID}
    told = subprocess.run(
        [sys.executable, "-c", f"import {first}, torch"],
        env=kept | said | {"OMP_DISPLAY_ENV": "VERBOSE"},
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    found = re.search(r"GOMP_SPINCOUNT = '(\d+)'", told)
    if found is None:
        pytest.skip("torch's threads are not GNU OpenMP's here")
    return int(found[1])


def test_threads_give_up_their_cores_unless_the_user_says_how_they_wait():
    assert heard("gen_models") == 1000 < heard("math")
    assert heard("gen_models", GOMP_SPINCOUNT="7") == 7
    active = {"OMP_WAIT_POLICY": "active"}
    assert heard("gen_models", **active) == heard("math", **active)
