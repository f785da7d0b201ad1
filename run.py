"""Train, evaluate and report one generative model: `python run.py --help`."""

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from gen_models.config import RunConfig, follow, one_line_errors, register, run_config
from gen_models.errors import UsageError
from gen_models.sweeping import of_sweep, sweeping

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """One run, or one job of a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        # A sweep goes on with its other jobs, so that there the error is Hydra's to keep.
        of_sweep(Path(job.runtime.cwd) / job.sweep.dir, partial(one, config, job))
    else:
        with one_line_errors():
            one(config, job)


def one(config: DictConfig, job: Any) -> None:
    """One run, as Hydra tells of it."""
    from gen_models.app import run  # late: --help and --cfg need no torch

    command = shlex.join(["python", "run.py", *words(job)])
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    options = run_config(plain)
    folder = Path(job.runtime.output_dir)
    refuse_nowhere(options, folder, job.overrides.hydra)
    run(options, folder, job.runtime.choices["model"], command)


def words(job: Any) -> list[str]:
    """What has to be said to have this job again, but for its folder: the places of configs too."""
    sources = job.runtime.config_sources
    places = [f"--config-dir={s.path}" for s in sources if s.provider == "command-line"]
    named = [word for word in job.overrides.hydra if word.startswith("hydra.searchpath=")]
    return [*places, *job.overrides.task, *named]


def refuse_nowhere(options: RunConfig, folder: Path, overrides: list[str]) -> None:
    """A run to go on with has to be named: by default each has a new folder."""
    named = any(word.startswith(("hydra.run.dir=", "hydra.sweep.dir=")) for word in overrides)
    wanted = options.resume or options.ckpt_path == "last"
    if wanted and not named and not (folder / "status.json").exists():
        raise UsageError(
            "resume=true: which run? Name its folder: hydra.run.dir=RUN (hydra.sweep.dir=SWEEP "
            "with -m)"
        )


if __name__ == "__main__":
    with one_line_errors(), sweeping():
        follow()
        main()
