"""One contract for every file in conf/model: it finds new families by itself.

The parts that a VAE is composed of are held to it too, one at a time.
"""

import copy
import pydoc

import pytest
import torch

from gen_models.capabilities import BoundsLikelihood, Decodes, Reconstructs, Samples
from gen_models.models import GenerativeModule
from gen_models.objectives import AdversarialObjective

from .conftest import REPOSITORY
from .models.conftest import quiet_trainer
from .test_configs import choices, composed, model

SMALL = {"generator": "model.generator.width=4", "trunk": "model.trunk.width=4"}


def bounds():
    """Objectives of a VAE: those that are no game."""
    for name in choices("model/objective"):
        target = composed("model=gan", f"model/objective={name}")["model"]["objective"]["_target_"]
        if not issubclass(pydoc.locate(target), AdversarialObjective):
            yield f"vae model/objective={name}"


MATES = {"bottom_up": " model/prior=two_level", "ladder": " model/prior=two_level"}
PARTS = [
    f"vae model/{group}={name}{MATES.get(name, '')}"
    for group in ("posterior", "prior", "likelihood")
    for name in choices(f"model/{group}")
]


@pytest.fixture(params=[*choices("model"), *PARTS, *bounds()])
def family(request):
    torch.manual_seed(0)
    name, *part = request.param.split()
    plain = composed(f"model={name}", *part)["model"]
    small = [override for role, override in SMALL.items() if "width" in plain.get(role, {})]
    return model(composed(f"model={name}", *part, *small), (1, 8, 8))


def labelled():
    """A batch of four images of as many classes."""
    return torch.rand(4, 1, 8, 8), torch.arange(4)


def test_samples_are_images_in_range_and_seeded(family):
    assert isinstance(family, GenerativeModule)
    assert isinstance(family, Samples)
    pixels = family.sample(5, torch.Generator().manual_seed(1))
    assert pixels.shape == (5, 1, 8, 8)
    assert 0 <= pixels.min() <= pixels.max() <= 1
    torch.testing.assert_close(pixels, family.sample(5, torch.Generator().manual_seed(1)))


def test_each_phase_gives_gradients_to_its_parameters_and_to_no_other(family):
    covered = set()
    for phase in family.phases():
        for p in family.parameters():
            p.grad = None
        phase.values(labelled())["loss"].backward(inputs=list(phase.parameters))
        moved = {id(p) for p in family.parameters() if p.grad is not None}
        assert moved == {id(p) for p in phase.parameters}, phase.name
        covered |= moved
    assert covered == {id(p) for p in family.parameters() if p.requires_grad}


def test_losses_are_finite_scalars_and_one_of_them_is_the_loss(family):
    for phase in family.phases():
        values = phase.values(labelled())
        assert "loss" in values
        assert all(v.shape == () and v.isfinite() for v in values.values())


def test_capabilities_keep_their_shapes(family):
    pixels = torch.rand(3, 1, 8, 8).round()
    if isinstance(family, Decodes):
        z = family.sample_prior(3, torch.Generator().manual_seed(0))
        assert family.decode(z).shape == pixels.shape
        z.requires_grad_()
        family.eval()
        assert torch.autograd.grad(family.decode(z).sum(), z)[0].shape == z.shape
    if isinstance(family, Reconstructs):
        assert family.reconstruct(pixels).shape == pixels.shape
    if isinstance(family, BoundsLikelihood):
        terms = family.elbo_terms(pixels)
        assert terms.log_likelihood.shape == terms.rate.shape == (3,)
        assert terms.rate.isfinite().all()


def test_state_survives_a_checkpoint_read_with_weights_only(family, tmp_path):
    binary = 2 * torch.rand(32, 1, 8, 8).round() - 1  # scaled, in the support of every likelihood
    dataset = torch.utils.data.TensorDataset(binary, torch.arange(32) % 10)
    loader = torch.utils.data.DataLoader(dataset, batch_size=16)
    trainer = quiet_trainer(tmp_path, max_epochs=1)
    trainer.fit(family, loader)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    stored = torch.load(tmp_path / "a.ckpt", weights_only=True)
    loaded = type(family).load_from_checkpoint(tmp_path / "a.ckpt")
    assert stored["images_seen"] == family.images_seen == 32
    for key, value in copy.deepcopy(family.state_dict()).items():
        assert torch.equal(value, loaded.state_dict()[key]), key


def test_every_family_has_a_line_in_the_documentation():
    table = (REPOSITORY / "docs/models.md").read_text()
    missing = [name for name in choices("model") if f"`{name}`" not in table]
    assert not missing


def test_every_part_has_a_line_in_the_documentation():
    text = (REPOSITORY / "docs/models.md").read_text()
    for group in (
        "generator",
        "trunk",
        "posterior",
        "prior",
        "likelihood",
        "objective",
        "penalties",
    ):
        missing = [name for name in choices(f"model/{group}") if f"`{name}`" not in text]
        assert not missing, group
