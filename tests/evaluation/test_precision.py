"""float32 stays float32 whatever a user has set, and the settings come back."""

import subprocess
import sys

# One process of its own: torch keeps in mind which of its two kinds of settings was touched.
SCRIPT = """
import torch
from gen_models.evaluation import FrechetDistance, KernelDistance, evaluate
from gen_models.evaluation.precision import full_precision
from tests.evaluation.models import Complete, evidence

KINDS = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul]

def settings():
    return [kind.fp32_precision for kind in KINDS]

def measured():
    before = settings()
    with full_precision():
        assert settings() == ["ieee"] * 3
    assert settings() == before
    values = evaluate(evidence(Complete(), samples=300), [FrechetDistance(), KernelDistance()])
    assert settings() == before
    return values

plain = measured()
torch.set_float32_matmul_precision("medium")
assert settings() != ["ieee"] * 3
assert measured() == plain
torch.backends.fp32_precision = "tf32"
assert measured() == plain
"""


def test_settings_of_the_user_move_nothing_and_come_back(request):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
