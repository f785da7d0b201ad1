from pathlib import Path

import hydra
import pytest
from omegaconf import MissingMandatoryValue

from gen_models.data import ImageDataModule

CONF = Path(__file__).parents[2] / "conf" / "data"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))


def build(name, *overrides):
    with hydra.initialize_config_dir(str(CONF.parent), version_base="1.3"):
        config = hydra.compose(overrides=[f"+data={name}", "+seed=7", *overrides])
    return hydra.utils.instantiate(config.data, _convert_="all")


@pytest.mark.parametrize("name", NAMES)
def test_every_config_builds_a_module_with_the_seed_of_the_run(name):
    root = ["data.root=anywhere"] if name == "folder" else []
    data = build(name, *root)
    assert isinstance(data, ImageDataModule)
    assert (data.name, data.seed, data.split_seed) == (name, 7, 0)
    assert (data.batch_size, data.scaling, data.limit) == (64, "symmetric", None)


def test_options_reach_the_module():
    data = build("celeba", "data.image_size=[48,32]", "data.batch_size=8", "data.limit=100")
    assert (data.image_size, data.batch_size, data.limit) == ((48, 32), 8, 100)


def test_a_folder_has_to_be_named():
    with pytest.raises(MissingMandatoryValue, match=r"data\.root"):
        build("folder")


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_stay_short(path):
    assert len(path.read_text().splitlines()) <= 9
