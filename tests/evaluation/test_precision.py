"""float32 stays float32 whatever a user has set, and the settings come back."""

import subprocess
import sys

import pytest

SCRIPT = """
import torch
{setting}
from gen_models.evaluation import KernelDistance, FrechetDistance, evaluate
from gen_models.evaluation.precision import full_precision
kinds = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul]
before = [kind.fp32_precision for kind in kinds]
with full_precision():
    assert [kind.fp32_precision for kind in kinds] == ["ieee"] * 3
assert [kind.fp32_precision for kind in kinds] == before
from tests.evaluation.models import Complete, evidence
for value in evaluate(evidence(Complete(), samples=300), [FrechetDistance(), KernelDistance()]):
    print(value.name, value.value)
assert [kind.fp32_precision for kind in kinds] == before
"""


@pytest.mark.parametrize(
    "setting",
    [
        'torch.set_float32_matmul_precision("medium")',
        'torch.backends.fp32_precision = "tf32"',
    ],
)
def test_settings_of_the_user_move_nothing_and_come_back(setting, request):
    def run(setting):
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT.format(setting=setting)],
            cwd=request.config.rootpath,
            capture_output=True,
            text=True,
            timeout=120,
        )

    plain, other = run(""), run(setting)
    assert other.returncode == 0, other.stderr
    assert plain.stdout == other.stdout
