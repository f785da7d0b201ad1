"""Train, evaluate and report one generative model: `python run.py --help`."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from gen_models.config import RunConfig, one_line_errors, register

register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """One run, or one job of a sweep."""
    from hydra.core.hydra_config import HydraConfig

    from gen_models.app import run  # late: --help and --cfg need no torch

    job = HydraConfig.get()
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    options = RunConfig(**{str(key): value for key, value in plain.items()})
    command = " ".join(["python run.py", *job.overrides.task])
    run(options, Path(job.runtime.output_dir), job.runtime.choices["model"], command)


if __name__ == "__main__":
    with one_line_errors():
        main()
    sys.exit(0)
