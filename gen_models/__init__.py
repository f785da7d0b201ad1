"""One decoder, two teachers: a VAE and a GAN trained on the same generator and compared fairly.

Importing the package is cheap: torch and Lightning are imported by the modules that need them.
"""

import os
from typing import TYPE_CHECKING, Any

# Where other programs want the cores, threads that look on for one another keep each other from
# them: 1,000 looks, in place of 300,000, and then they sleep (decision 11). GNU OpenMP hears this
# as torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from gen_models.loading import load_run

__all__ = ["load_run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load_run`, and torch with it, once it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gen_models import loading

    return getattr(loading, name)
