"""Configurations outside `run.py`: what a run was made of, overridden; and choices under conf."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gen_models.config import RunConfig, run_config
from gen_models.errors import UsageError
from gen_models.recipes import check_literal
from gen_models.records import Record

CONF = Path(__file__).resolve().parents[1] / "conf"
PARTS = ("features", "probe", "measurements")
"""Groups of `evaluation`, each a choice of its own."""


def composed(overrides: Sequence[str]) -> RunConfig:
    """The configuration that `python run.py` would run with these words.

    Raises:
        UsageError: If there is no folder of choices.
        HydraException: If an override does not fit; see `config.explain`.
    """
    from hydra import compose
    from omegaconf import OmegaConf

    if not CONF.is_dir():
        raise UsageError("there is no folder conf beside this package: run it from a checkout")
    with choices():
        made: Any = OmegaConf.to_container(
            compose("config", list(overrides)), resolve=True, throw_on_missing=True
        )
    return run_config(made)


def recorded_config(record: Record, folder: Path, overrides: Sequence[str]) -> RunConfig:
    """What a run was made of, ready to be measured: checked, its last weights named, overridden.

    Raises:
        UsageError: If the record trusts packages that `overrides` do not.
        HydraException: If the record holds a key that `RunConfig` does not know, or an override
            does not fit.
    """
    from omegaconf import OmegaConf

    check_literal(record.config, "config")
    schema = OmegaConf.structured(RunConfig)
    plain: Any = OmegaConf.to_container(OmegaConf.merge(schema, record.config))
    config = RunConfig(**plain)
    chosen = overridden(config.evaluation, overrides)
    # Whoever wrote the record may not say whose code is run here; the user has to.
    if strange := set(config.trust) - set(chosen["trust"]):
        packages = ",".join(sorted(strange))
        raise UsageError(f"made with code of {packages}: add trust=[{packages}] if you trust it")
    last = str(folder / "checkpoints" / "last.ckpt") if config.train else config.ckpt_path
    return replace(
        config,
        evaluation=chosen["evaluation"],
        trust=chosen["trust"],
        train=False,
        evaluate=True,
        ckpt_path=last,
        logger={},
        callbacks={},
        trainer=config.trainer | {"accelerator": "auto", "devices": 1, "num_nodes": 1},
    )


def overridden(evaluation: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`evaluation` and `trust` by Hydra, to which the recorded one is a choice like any other."""
    from hydra import compose
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store, group = ConfigStore.instance(), "evaluation"
    parts = {part: evaluation[part] for part in PARTS if evaluation.get(part) is not None}
    for part, node in parts.items():
        store.store(group=f"{group}/{part}", name="recorded", node=node)
    named = {part: "recorded" if part in parts else None for part in PARTS}
    lists = [{key: [name] if key == "features" else name} for key, name in named.items()]
    rest = {key: item for key, item in evaluation.items() if key not in parts}
    store.store(group=group, name="recorded", node={"defaults": ["_self_", *lists], **rest})
    store.store(name="measured", node={"defaults": [{group: "recorded"}, "_self_"], "trust": []})
    with choices():
        made: Any = OmegaConf.to_container(compose("measured", list(overrides)), resolve=True)
    return {str(key): item for key, item in made.items()}


def choices() -> AbstractContextManager[Any]:
    """Hydra with the choices under conf, where there is one: an installed copy has none."""
    from hydra import initialize, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    if not CONF.is_dir():
        return initialize(None, version_base="1.3")
    return initialize_config_dir(str(CONF), version_base="1.3")
