"""Runs gone on with from places where little or nothing is left to be trained, or others."""

import pytest
import torch

from gen_models import evaluate
from gen_models.app import run
from gen_models.config import RunConfig
from gen_models.errors import UsageError
from gen_models.folders import IN_EVALUATION
from gen_models.harness import Harness
from gen_models.models.gathered import Gathered, Turn
from gen_models.models.state import random_state, set_random_state
from gen_models.records import Record

from .test_configs import composed

# So little training is no good.
pytestmark = pytest.mark.filterwarnings("ignore:.* at .* images:UserWarning")

QUICK = ["experiment=quick", "trainer=cpu", "trainer.enable_progress_bar=false"]
FEW = [
    "evaluation/measurements=distances",
    "evaluation.measurements.inversion=null",
    "evaluation.probe=null",
]
STOP = (
    "+callbacks.stop={_target_:pytorch_lightning.callbacks.EarlyStopping,mode:max,"
    "monitor:validation/vae/loss,patience:PATIENCE}"
)


def go(folder, *words, name="vae"):
    run(RunConfig(**composed(*QUICK, *words)), folder, name, "python run.py")
    return Record.read(folder / "record.json")


def seen(folder, name):
    path = folder / "checkpoints" / f"{name}.ckpt"
    return torch.load(path, weights_only=True)["images_seen"]


def stopping(patience):
    return STOP.replace("PATIENCE", str(patience))


def lowest(record):
    [curve] = [curve for curve in record.curves if curve.name == record.selection]
    return curve.images[curve.values.index(min(curve.values))]


@pytest.fixture
def early_is_best(monkeypatch):
    """A score by which the first look of all is the best one."""
    monkeypatch.setattr(Harness, "score", lambda self: lambda model: float(model.images_seen))


@pytest.mark.parametrize("moved", [False, True])
def test_the_best_checkpoint_stays_the_best_where_its_folder_was_moved(
    moved, early_is_best, tmp_path
):
    words = "max_images=3000", "checks=4", "evaluate=false"
    go(tmp_path / "a", *words, "trainer.max_epochs=1")
    folder = tmp_path / ("b" if moved else "a")
    (tmp_path / "a").rename(folder)
    made = go(folder, *words, "resume=true")
    assert seen(folder, "best") == lowest(made) < 1280 < seen(folder, "last")


def test_another_runs_best_score_is_not_that_of_a_run_begun_with_its_weights(
    early_is_best, tmp_path
):
    words = "checks=2", "evaluate=false"
    go(tmp_path / "a", "max_images=1000", *words)
    start = f"ckpt_path={tmp_path / 'a/checkpoints/last.ckpt'}"
    made = go(tmp_path / "b", "max_images=3000", start, *words)
    assert seen(tmp_path / "b", "best") == lowest(made) > 1000


@pytest.mark.parametrize(("model", "limit"), [("vae", "vae"), ("vae", "epochs"), ("ppca", "ppca")])
def test_a_run_killed_in_evaluation_is_measured_as_training_left_it(
    model, limit, monkeypatch, tmp_path
):
    """Early stopping, a limit and a model that needs less of its budget have ended training."""
    limits = {"vae": stopping(1), "epochs": "trainer.max_epochs=1", "ppca": "model.latent_dim=4"}
    words = [f"model={model}", "max_images=3000", "checks=9", limits[limit], *FEW]
    whole = go(tmp_path / "whole", *words, name=model)
    with monkeypatch.context() as patch:
        patch.setattr(Harness, "evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            go(tmp_path / "legs", *words, name=model)
    legs = go(tmp_path / "legs", *words, "resume=true", name=model)
    assert whole.budget.images_seen < 3000
    assert legs.budget.images_seen == whole.budget.images_seen
    assert legs.budget.iterations == whole.budget.iterations
    assert legs.reason == whole.reason
    assert [v.value for v in legs.values] == [v.value for v in whole.values]
    steps = [
        [line.split(",")[1] for line in (tmp_path / name / "metrics.csv").read_text().splitlines()]
        for name in ("whole", "legs")
    ]
    assert steps[0] == steps[1]
    assert len(steps[0]) > 1


def test_early_stopping_goes_on_under_other_limits(tmp_path):
    words = "max_images=3000", "checks=9", "evaluate=false"
    cut = go(tmp_path / "run", *words, stopping(1))
    legs = go(tmp_path / "run", *words, stopping(100), "resume=true")
    assert cut.reason.endswith("by EarlyStopping of callbacks")
    assert cut.budget.images_seen < 3000 <= legs.budget.images_seen
    assert legs.reason is None


def test_a_run_interrupted_in_evaluation_can_be_measured_where_it_lies(tmp_path):
    words = "max_images=3000", "trainer.max_epochs=1", "evaluate=false"
    made = go(tmp_path / "run", *words)
    path = tmp_path / "run/record.json"
    for reason, fits in ((f"SIGINT{IN_EVALUATION}", True), ("SIGINT; not evaluated", False)):
        text = path.read_text().replace('"finished"', '"interrupted"')
        path.write_text(text.replace(made.reason, reason))
        if fits:
            assert evaluate._trained(tmp_path / "run").reason == reason
        else:
            with pytest.raises(UsageError, match="nothing to measure"):
                evaluate._trained(tmp_path / "run")
        path.write_text(path.read_text().replace(reason, made.reason))


def test_epochs_of_another_length_are_refused_behind_the_first(tmp_path):
    """What is saved next would say that they had all been of this one."""
    go(tmp_path / "a", "max_images=1400", "evaluate=false")
    start = f"ckpt_path={tmp_path / 'a/checkpoints/last.ckpt'}"
    words = "max_images=3000", "evaluate=false", start
    told = "the checkpoint's epochs have 20 batches and those of now 10: set data.batch_size"
    with pytest.raises(UsageError, match=told):
        go(tmp_path / "b", *words, "data.batch_size=128")
    go(tmp_path / "c", "max_images=300", "evaluate=false")
    start = f"ckpt_path={tmp_path / 'c/checkpoints/last.ckpt'}"
    made = go(tmp_path / "d", "max_images=600", "evaluate=false", start, "data.batch_size=128")
    assert made.budget.images_seen >= 600


@pytest.mark.parametrize(("model", "limit"), [("vae", stopping(1)), ("ppca", "model.latent_dim=4")])
def test_another_runs_end_is_not_that_of_a_run_begun_with_its_weights(model, limit, tmp_path):
    words = f"model={model}", limit, "max_images=3000", "checks=9", "evaluate=false"
    ended = go(tmp_path / "a", *words, name=model)
    start = f"ckpt_path={tmp_path / 'a/checkpoints/last.ckpt'}"
    made = go(tmp_path / "b", *words, start, name=model)
    assert made.budget.iterations > ended.budget.iterations
    assert seen(tmp_path / "b", "last") == made.budget.images_seen


def test_a_limit_that_leaves_nothing_to_a_run_begun_with_others_weights_is_named(tmp_path):
    words = "max_images=3000", "trainer.max_epochs=1", "evaluate=false"
    go(tmp_path / "a", *words)
    with pytest.raises(UsageError, match=r"nothing is left .* trainer\.max_epochs.* train=false"):
        go(tmp_path / "b", *words, f"ckpt_path={tmp_path / 'a/checkpoints/last.ckpt'}")
    assert not (tmp_path / "b/record.json").exists()


def test_a_folder_that_has_only_measured_can_be_trained_in(tmp_path):
    go(tmp_path / "a", "max_images=300", "evaluate=false")
    start = f"ckpt_path={tmp_path / 'a/checkpoints/last.ckpt'}"
    words = start, "max_images=1000", *FEW
    assert go(tmp_path / "b", *words, "train=false").budget.images_seen == 320
    assert go(tmp_path / "b", *words, "resume=true").budget.images_seen == 1024


def test_one_validation_image_is_refused_before_training(tmp_path):
    told = r"validation split has 1 image, .* raise data\.validation"
    with pytest.raises(UsageError, match=told):
        go(tmp_path / "a", "data.limit=60", "data.validation=0.0006", "data.batch_size=8")
    assert not (tmp_path / "a/record.json").exists()


def test_other_mistakes_of_a_score_are_no_divergence(monkeypatch, tmp_path):
    def mistaken(self):
        def score(model):
            raise UsageError("samples of a wrong shape")

        return score

    monkeypatch.setattr(Harness, "score", mistaken)
    with pytest.raises(UsageError, match="wrong shape"):
        go(tmp_path / "a", "evaluate=false")


def test_gathered_values_go_where_the_model_is(monkeypatch):
    """A checkpoint is read to the CPU; `stack` refuses tensors of two devices."""
    kept = Gathered()
    kept.load_state_dict({"rows": [(("vae", 0, 0, 64), {"loss": torch.ones(())})]})
    kept.to(torch.device("meta"))
    [(turn, values)] = kept._rows
    assert turn == Turn("vae", 0, 0, 64)
    assert values["loss"].device.type == "meta"


def test_training_moves_what_was_gathered(monkeypatch, tmp_path):
    moved = []
    monkeypatch.setattr(Gathered, "to", lambda self, device: moved.append(device))
    made = go(tmp_path / "a", "evaluate=false")
    assert made.status == "finished"
    assert moved == [torch.device("cpu")]


def test_a_process_keeps_the_noise_of_its_own_gpu(monkeypatch):
    """Of rank 0's, all processes go on with that one, whichever device it has now."""
    states = [torch.full((4,), i, dtype=torch.uint8) for i in range(3)]
    current, put = [1], {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: states[current[0]])

    def back(state, device=None):
        put[current[0] if device is None else device] = state

    monkeypatch.setattr(torch.cuda, "set_rng_state", back)
    kept = random_state()
    current[0] = 2
    set_random_state(kept)
    assert list(put) == [2]
    assert torch.equal(put[2], states[1])
