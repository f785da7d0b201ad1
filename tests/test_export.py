"""Exports: the whole model comes back bit for bit, the decoder is the same in ONNX Runtime."""

import hashlib
import json

import pytest
import torch

from gen_models import load_run
from gen_models.errors import UsageError
from gen_models.export import main, to_onnx, to_safetensors
from gen_models.loading import DESCRIPTION, WEIGHTS, Stored, sealed
from gen_models.models import GAN

from .test_configs import choices, composed, model


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def decoded(path, z):
    """Pixels by ONNX Runtime."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session, torch.from_numpy(session.run(None, {"z": z.numpy()})[0])


def trained(*overrides, shape=(1, 16, 16)):
    """Weights, batch statistics and averages that no fresh model has."""
    made, noise = model(composed(*overrides), shape), seeded()
    with torch.no_grad():
        for tensor in made.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.02 * torch.randn(tensor.shape, generator=noise))
    return made.eval()


@pytest.mark.parametrize(
    ("overrides", "shape"),
    [
        (["model=vae", "model/generator=mlp"], (1, 16, 16)),
        (["model=gan"], (3, 20, 36)),
        (["model=vae", "model/generator=resnet"], (1, 28, 28)),
        (["model=cgan"], (1, 16, 16)),
    ],
    ids=["mlp", "conv, averaged", "resnet", "classes"],
)
def test_a_decoder_in_onnx_runtime_is_that_in_torch_at_any_batch(overrides, shape, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    made = trained(*overrides, shape=shape)
    path = to_onnx(made, tmp_path)
    for batch in (1, 3, 70):
        z = made.sample_prior(batch, seeded(batch))
        session, pixels = decoded(path, z)
        with torch.no_grad():
            torch.testing.assert_close(pixels, made.decode(z), rtol=0, atol=1e-5)
    assert pixels.std() > 0.01
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    about = session.get_modelmeta().custom_metadata_map
    assert about["model"] == type(made).__name__
    assert about["prior"] == type(made.prior).__name__


def test_what_is_written_is_the_average_and_the_model_is_left_as_it_was(tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    made = trained("model=gan").train()
    before = torch.get_rng_state()
    path = to_onnx(made, tmp_path)
    assert made.training
    assert torch.equal(torch.get_rng_state(), before)
    z = made.sample_prior(2, seeded())
    _, pixels = decoded(path, z)
    with torch.no_grad():
        averaged = made.pixels(made.average.network.eval()(z))
        own = made.pixels(made.generator.eval()(z))
    torch.testing.assert_close(pixels, averaged, rtol=0, atol=1e-5)
    assert (pixels - own).abs().max() > 1e-3


def test_a_decoder_that_onnx_computes_otherwise_is_not_written(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    made, decode, calls = trained("model=vae"), type(trained("model=vae")).decode, []

    def drifting(self, z):
        calls.append(z)  # exported first, asked again for the check
        return decode(self, z) * (1 if len(calls) == 1 else 0.99)

    monkeypatch.setattr(type(made), "decode", drifting)
    with pytest.raises(UsageError, match="differ from torch's by"):
        to_onnx(made, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("gen_models.export.find_spec", lambda package: None)
    with pytest.raises(
        UsageError, match=r"onnxscript and onnxruntime: pip install -e '\.\[export\]'"
    ):
        to_onnx(trained("model=vae"), tmp_path)


@pytest.mark.parametrize("name", choices("model"))
def test_every_family_comes_back_from_safetensors_bit_for_bit(name, tmp_path):
    made = trained(f"model={name}")
    made.images_seen = 640
    if hasattr(made, "second_stage"):
        made.second_stage.images_seen = 320
    to_safetensors(made, tmp_path)
    again = load_run(tmp_path)
    assert type(again) is type(made)
    assert again.images_seen == 640
    state = made.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in again.state_dict().items())
    assert torch.equal(again.sample(3, seeded()), made.sample(3, seeded()))
    json.loads((tmp_path / DESCRIPTION).read_text())


def test_weights_in_another_memory_format_are_written_as_they_are(tmp_path):
    made = trained("model=gan").to(memory_format=torch.channels_last)
    to_safetensors(made, tmp_path)
    assert torch.equal(load_run(tmp_path).sample(3, seeded()), made.sample(3, seeded()))


def test_damage_is_told_of_and_nothing_is_loaded(tmp_path):
    to_safetensors(trained("model=vae"), tmp_path)
    whole, told = (tmp_path / WEIGHTS).read_bytes(), (tmp_path / DESCRIPTION).read_text()
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    for damaged in (bytes(flipped), whole[:-100], b""):
        (tmp_path / WEIGHTS).write_bytes(damaged)
        with pytest.raises(UsageError, match=r"model\.safetensors: damaged"):
            load_run(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(whole)
    load_run(tmp_path)
    for wrong in (told[:-50], "[]", told.replace('"format": 2', '"format": 3'), "{}", "[" * 10**5):
        (tmp_path / DESCRIPTION).write_text(wrong)
        with pytest.raises(UsageError, match=r"model\.json: "):
            load_run(tmp_path)
    (tmp_path / DESCRIPTION).write_text(told)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(UsageError, match="No such file"):
        load_run(tmp_path)


def test_a_flipped_bit_anywhere_in_the_description_is_told_of_in_one_line(tmp_path):
    to_safetensors(trained("model=vae"), tmp_path)
    path = tmp_path / DESCRIPTION
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(UsageError) as told:
            load_run(tmp_path)
        assert "\n" not in str(told.value)
    path.write_bytes(whole)
    load_run(tmp_path)


def changed(folder, **fields):
    """Another description of the same weights, with a checksum that fits."""
    told = json.loads((folder / DESCRIPTION).read_text())
    del told["format"], told["sha256"]
    weights = (folder / WEIGHTS).read_bytes()
    (folder / DESCRIPTION).write_text(sealed(Stored(**{**told, **fields}), weights))
    return told


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arguments": []}, "must be a text and two objects"),
        ({"counters": None}, "must be a text and two objects"),
        ({"target": 3}, "must be a text and two objects"),
        ({"counters": {}}, "not the counters of a gen_models.models.vae.VAE"),
        ({"counters": {"images_seen": "many"}}, "not the counters of a gen_models.models.vae.VAE"),
    ],
)
def test_a_description_of_other_kinds_is_told_of_in_one_line(fields, message, tmp_path):
    to_safetensors(trained("model=vae"), tmp_path)
    changed(tmp_path, **fields)
    with pytest.raises(UsageError, match=message) as told:
        load_run(tmp_path)
    assert "\n" not in str(told.value)


def test_an_export_of_format_1_is_read(tmp_path):
    made = trained("model=vae")
    to_safetensors(made, tmp_path)
    told = json.loads((tmp_path / DESCRIPTION).read_text())
    told["format"] = 1
    told["sha256"] = hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    (tmp_path / DESCRIPTION).write_text(json.dumps(told, indent=1) + "\n")
    assert torch.equal(load_run(tmp_path).sample(3, seeded()), made.sample(3, seeded()))


@pytest.mark.parametrize("target", ["os.system", "torch.load"])
def test_an_export_cannot_name_code_of_its_own(target, tmp_path):
    to_safetensors(trained("model=vae"), tmp_path)
    told = changed(tmp_path, target=target)
    with pytest.raises(UsageError, match=f"{target} is not allowed"):
        load_run(tmp_path)
    arguments = {**told["arguments"], "trunk": {"_target_": target, "_partial_": True}}
    changed(tmp_path, target=told["target"], arguments=arguments)
    with pytest.raises(UsageError, match=f"{target} is not allowed"):
        load_run(tmp_path)


def test_the_command_writes_either_form(tmp_path, capsys):
    to_safetensors(trained("model=gan"), tmp_path / "run")
    assert main([str(tmp_path / "run"), "--to", "safetensors", "--out", str(tmp_path / "out")]) == 0
    assert "GAN after 0 images: " in capsys.readouterr().out
    assert type(load_run(tmp_path / "out")) is GAN
