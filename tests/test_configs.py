"""Every file under conf composes and builds; mistakes are told in one line."""

from pathlib import Path
from textwrap import dedent

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from gen_models.config import explain, register
from gen_models.data.ranges import Scaler
from gen_models.errors import UsageError
from gen_models.recipes import build, describe

from .conftest import REPOSITORY

CONF = REPOSITORY / "conf"
register()


def composed(*overrides, whole=False):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=whole)


def choices(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def model(config, shape=(1, 16, 16)):
    offered = {"num_classes": 10, "training_images": 100}
    scaler = Scaler.symmetric(shape[0])
    return build(config["model"], "model", offered, shape=shape, scaler=scaler)


@pytest.mark.parametrize("name", choices("model"))
def test_every_model_builds_and_is_described_by_plain_data(name):
    made = model(composed(f"model={name}"))
    target = {"_target_": f"{type(made).__module__}.{type(made).__name__}"}
    again = build(describe(dict(made.hparams)) | target)
    assert [p.shape for p in again.parameters()] == [p.shape for p in made.parameters()]


@pytest.mark.parametrize("role", ["generator", "trunk"])
@pytest.mark.parametrize("name", choices("model/generator"))
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 36)], ids=str)
def test_every_network_serves_both_families(name, role, shape):
    for family in ("vae", "gan"):
        assert model(composed(f"model={family}", f"model/{role}={name}"), shape) is not None


def test_every_likelihood_builds():
    for name in choices("model/likelihood"):
        assert model(composed("model=vae", f"model/likelihood={name}")) is not None


def test_every_objective_belongs_to_one_family_and_the_other_says_so():
    for name in choices("model/objective"):
        made, refused = [], []
        for family in ("vae", "began"):  # whose discriminator serves every game
            config = composed(f"model={family}", f"model/objective={name}")
            try:
                made.append(model(config))
            except UsageError as error:
                refused.append(str(error))
        assert len(made) == len(refused) == 1, name
        assert f"model.objective={type(made[0].objective).__name__}" in refused[0]


def test_a_game_of_errors_wants_a_discriminator_that_gives_them():
    for family in ("model=gan model/objective", "model=vae_gan model/objective@model.adversarial"):
        *words, group = family.split()
        config = composed(*words, f"{group}=boundary_equilibrium")
        with pytest.raises(UsageError, match="does not give: choose model=began"):
            model(config)


@pytest.mark.parametrize("group", ["trainer", "logger", "experiment", "evaluation"])
def test_every_other_file_composes(group):
    for name in choices(group):
        assert composed(f"{group}={name}")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["digits64", "random128"]),
        ("classifier", ["digits64"]),
        ("[components,random]", ["pca64", "random128"]),
    ],
)
def test_extractors_are_chosen_by_name_one_or_several(choice, names):
    recipes = composed(f"evaluation/features={choice}")["evaluation"]["features"]
    train = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    made = [
        build(recipe, "features", shape=(1, 16, 16), data="digits", train=train)
        for recipe in recipes.values()
    ]
    assert [extractor.name for extractor in made] == names


def test_vae_and_gan_share_the_generator_parameter_for_parameter():
    vae, gan = composed("model=vae"), composed("model=gan")
    assert vae["model"]["generator"] == gan["model"]["generator"]
    assert vae["model"]["trunk"] == gan["model"]["trunk"]
    assert vae["model"]["latent_dim"] == gan["model"]["latent_dim"]
    one, two = model(vae).generator, model(gan).generator
    assert type(one) is type(two)
    shapes = [{k: v.shape for k, v in g.state_dict().items()} for g in (one, two)]
    assert shapes[0] == shapes[1]


def test_a_beta_vae_is_one_file_of_four_lines():
    assert len((CONF / "model/beta_vae.yaml").read_text().splitlines()) <= 4
    assert model(composed("model=beta_vae")).objective.beta == 4


def test_another_loss_in_the_tree_is_an_override():
    gan = model(composed("model=gan", "model/objective=least_squares"))
    assert type(gan.objective).__name__ == "LeastSquares"


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ("model=vea", ["did you mean vae", "gan", "beta_vae"]),
        ("data=minst", ["did you mean mnist", "digits", "cifar10"]),
        ("model.latent_dmi=3", ["model.latent_dmi", "did you mean latent_dim", "generator"]),
        ("model.generator.widht=3", ["model.generator.widht", "did you mean width"]),
        ("seeed=1", ["did you mean seed"]),
        ("seed=abc", ["seed", "abc"]),
        ("max_images=many", ["max_images"]),
        ("trainer=gup", ["did you mean gpu", "cpu"]),
        ("model/generator=cnov", ["did you mean conv", "resnet"]),
        ("model", ["model"]),
        ("nosuchgroup=3", ["nosuchgroup"]),
    ],
)
def test_mistakes_are_told_in_one_line(override, names):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - Hydra has many types of its own
        composed(override)
    message = explain(caught.value)
    assert message is not None
    assert "\n" not in message
    for name in names:
        assert name in message


@pytest.mark.parametrize(
    ("name", "extra"), [("joblib", "sweep"), ("submitit_slurm", "slurm"), ("ray", "ray")]
)
def test_a_launcher_that_is_not_installed_says_which_extra_brings_it(name, extra):
    told = explain(MissingConfigException("", f"hydra/launcher/{name}", ["basic"]))
    assert told == f"hydra/launcher={name} is not installed: pip install -e '.[{extra}]'"


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ({"_target_": "gen_models.objectives.NegativeELBO", "bet": 1}, ["thing.bet", "beta"]),
        ({"_target_": "gen_models.objectives.NegativeELB"}, ["did you mean NegativeELBO"]),
        ({"_target_": "os.system", "command": "true"}, ["os.system", "not allowed"]),
        ({"_target_": "torch.load", "f": "x"}, ["not allowed"]),
        ({"_target_": "numpy.load", "file": "x"}, ["not allowed"]),
        ({"_target_": "gen_models.provenance.os.system", "command": "true"}, ["not allowed"]),
        ({"_target_": "gen_models.provenance.subprocess.run", "args": "true"}, ["not allowed"]),
        ({"_target_": "torch.nn.modules.module.torch.load", "f": "x"}, ["not allowed"]),
        ({"_target_": "gen_models.models.VAE.load_from_checkpoint"}, ["not allowed"]),
        (
            {"_target_": "torch.nn.ReLU", "inplace": [{"_target_": "os.getcwd"}]},
            ["os.getcwd"],
        ),
        ({"_target_": "gen_models.nowhere.Thing"}, ["nowhere"]),
    ],
)
def test_recipes_are_checked_before_anything_runs(recipe, names):
    with pytest.raises(UsageError) as error:
        build(recipe, "thing")
    for name in names:
        assert name in str(error.value)


@pytest.mark.parametrize("name", ["factor_vae", "two_stage_vae"])
def test_a_family_that_hands_options_on_is_offered_and_checked_as_its_parent(name):
    made = model(composed(f"model={name}", "model/objective=total_correlation"))
    assert made.training_images == 100
    with pytest.raises(UsageError, match=r"model\.cilp: no such key; did you mean clip\?"):
        model(composed(f"model={name}", "+model.cilp=1"))


def test_a_second_stage_may_hang_on_how_many_images_there_are():
    objective = {"_target_": "gen_models.objectives.TotalCorrelation"}
    config = composed("model=two_stage_vae")
    config["model"]["second_stage"]["objective"] = objective
    assert model(config).second_stage.training_images == 100


def test_options_that_end_nowhere_take_every_key(tmp_path, monkeypatch):
    from gen_models.allowed import trust

    source = """
        class Open:
            def __init__(self, **options):
                self.options = options

        class Child(Open):
            def __init__(self, size, **options):
                super().__init__(**options)
        """
    (tmp_path / "open_ended.py").write_text(dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path))
    trust(["open_ended"])
    try:
        made = build({"_target_": "open_ended.Child", "size": 1, "colour": 2})
        assert made.options == {"colour": 2}
    finally:
        trust([])


def test_a_strangers_package_is_allowed_by_name_alone(tmp_path, monkeypatch):
    from gen_models.allowed import trust

    (tmp_path / "stranger.py").write_text("class Thing:\n    size = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="trust="):
        build({"_target_": "stranger.Thing"})
    trust(["stranger"])
    try:
        assert build({"_target_": "stranger.Thing"}).size == 3
    finally:
        trust([])


def test_yaml_stays_short():
    for path in Path(CONF).rglob("*.yaml"):
        lines = [x for x in path.read_text().splitlines() if x.strip() and not x.startswith("#")]
        assert len(lines) <= 20 or path.name == "config.yaml", path
