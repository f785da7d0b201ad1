"""Train, evaluate and report one generative model: `python run.py --help`."""

from contextlib import nullcontext
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from gen_models.config import one_line_errors, register, run_config

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """One run, or one job of a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from gen_models.app import run  # late: --help and --cfg need no torch

    job = HydraConfig.get()
    command = " ".join(["python run.py", *job.overrides.task])
    # A sweep goes on with its other jobs, so that there the error is Hydra's to keep.
    told = nullcontext() if job.mode == RunMode.MULTIRUN else one_line_errors()
    with told:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        assert isinstance(plain, dict)
        run(run_config(plain), Path(job.runtime.output_dir), job.runtime.choices["model"], command)


if __name__ == "__main__":
    with one_line_errors():
        main()
