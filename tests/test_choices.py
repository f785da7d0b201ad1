"""What the command line chooses is what runs: no file's own values undo a choice of a part."""

import pytest
import yaml
from omegaconf.errors import InterpolationKeyError
from torch.nn.utils.parametrize import is_parametrized

from gen_models.config import explain
from gen_models.recipes import build

from .test_configs import CONF, choices, composed, model

# Values that a model's own body may set inside a part that its defaults list chooses.
OWN = {
    "optimizer": "one kind; the rate belongs to the game",
    "discriminator_optimizer": "the same",
    "generator.norm": "what makes cgan, with any network; where that has none, one line says so",
    "trunk.spectral": "what makes sn_dcgan, sngan and cgan, with the networks of any experiment",
    "likelihood.learned": "what makes sigma_vae and two_stage_vae, with any likelihood of a scale",
}


def body(name):
    return yaml.safe_load((CONF / f"model/{name}.yaml").read_text())


def places(name):
    """Keys of a model that its defaults list, or that of a file it begins from, fills by choice."""
    for default in body(name)["defaults"]:
        if isinstance(default, dict):
            [group] = default
            yield group.removeprefix("override ").split("@")[-1]
        elif default != "_self_":
            yield from places(default)


def leaves(value, path=""):
    if not isinstance(value, dict):
        yield path
        return
    for key, inner in value.items():
        yield from leaves(inner, f"{path}.{key}".lstrip("."))


def inside(path, places):
    return any(f"{path}.".startswith(f"{place}.") for place in places)


@pytest.mark.parametrize("name", choices("model"))
def test_no_value_of_a_models_body_lies_in_a_part_that_can_be_chosen(name):
    values = body(name)
    del values["defaults"]
    chosen = set(places(name))
    assert not [x for x in leaves(values) if inside(x, chosen) and not inside(x, OWN)]


@pytest.mark.parametrize(
    ("words", "path", "made"),
    [
        ("model=beta_vae model/objective=cyclic", "objective.beta._target_", "Cyclic"),
        ("model=beta_vae model.objective.beta=8", "objective.beta", 8),
        ("model=ladder_vae model/posterior=bottom_up", "posterior._target_", "BottomUp"),
        ("model=two_level_vae model/posterior=diagonal", "posterior._target_", "DiagonalGaussian"),
        ("model=two_level_vae model/posterior=ladder", "posterior._target_", "Ladder"),
        ("model=r3gan model/penalties=none", "penalties", {}),
        ("model=r3gan model/penalties=r1", "penalties.r1.weight", 0.1),
        ("model=sigma_vae model/likelihood=laplace", "likelihood.learned", True),
    ],
)
def test_the_command_line_has_the_last_word(words, path, made):
    config = composed(*words.split())
    assert model(config) is not None
    value = config["model"]
    for key in path.split("."):
        value = value[key]
    assert value == made or str(value).endswith(f".{made}")


def test_two_levels_of_the_posterior_want_two_of_the_prior():
    with pytest.raises(InterpolationKeyError) as caught:
        composed("model=ladder_vae", "model/prior=standard_normal")
    told = "model.posterior.top_dim: Interpolation key 'model.prior.top_dim' not found"
    assert explain(caught.value) == told


@pytest.mark.parametrize("experiment", sorted({*choices("experiment")} - {"elbo_gap"}))  # of VAEs
@pytest.mark.parametrize("name", ["sn_dcgan", "sngan", "cgan"])
def test_no_experiment_takes_the_spectral_norm_from_a_model_that_keeps_its_name(name, experiment):
    trunk = composed(f"model={name}", f"experiment={experiment}")["model"]["trunk"]
    layers = list(build(trunk)(shape=(1, 16, 16), features=1).modules())
    assert [x for x in layers if is_parametrized(x, "weight")]
    assert not [x for x in layers if type(x).__name__ in ("Linear", "Conv2d")]


def test_the_rate_of_elbo_gap_falls_over_its_budget_whatever_that_is():
    config = composed("model=vae", "experiment=elbo_gap", "max_images=600_000")
    assert config["model"]["lr_schedule"]["images"] == 600_000
