"""Every family by two processes: the curve of one, or it is known why not."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from gen_models import launching, processes
from gen_models.config import RunConfig
from gen_models.data import Digits
from gen_models.errors import UsageError
from gen_models.recipes import build
from gen_models.training.devices import SharedBatch

from ..conftest import REPOSITORY
from ..test_configs import composed

FAMILIES = sorted(path.stem for path in (REPOSITORY / "conf/model").glob("*.yaml"))
STEPS = 4
COUPLED = {"beta_tcvae", "dragan", "factor_vae", "info_vae", "wae"}
"""Their losses are no means over images: images of a batch meet, those of a share here."""
REFUSED = {"began", "vq_vae"}
"""They keep a state of the batches that they have seen."""


class Stop(pl.Callback):
    def on_train_batch_end(self, trainer, module, *_):
        trainer.should_stop = module.iterations >= STEPS


def trained(name):
    """What is logged in the first steps, in float64; or why there are none."""
    data = Digits(batch_size=32, limit=320)
    data.setup()
    offered = {"num_classes": data.num_classes, "training_images": len(data.train)}
    torch.manual_seed(0)
    config = RunConfig(**composed(f"model={name}"))
    model = build(config.model, "model", offered, shape=data.shape, scaler=data.scaler)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes.count(),
        strategy=SharedBatch() if processes.count() > 1 else "auto",
        precision="64-true",
        max_epochs=1,
        limit_val_batches=0,
        log_every_n_steps=1,
        logger=False,
        callbacks=[Stop()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    try:
        trainer.fit(model, datamodule=data)
    except UsageError as error:
        return str(error)
    return [{k: v for k, v in row.items() if k != "seconds"} for row in model.history]


def work(folder):
    processes.join(gpu=False)
    found = {name: trained(name) for name in FAMILIES}
    if processes.first():
        torch.save(found, folder / "two.pt")


@pytest.mark.slow
def test_each_family_has_the_curve_of_one_process_or_is_known_not_to(tmp_path: Path):
    launching.launch(work, (tmp_path,), 2)
    two = torch.load(tmp_path / "two.pt")
    coupled, refused = set(), set()
    for name in FAMILIES:
        one = trained(name)
        assert isinstance(one, list), (name, one)
        if isinstance(two[name], str):
            assert "differs between the processes" in two[name]
            refused.add(name)
        elif any(
            here != pytest.approx(there, rel=1e-5, abs=1e-7)
            for here, there in zip(one, two[name], strict=True)
        ):
            coupled.add(name)
    assert (refused, coupled) == (REFUSED, COUPLED)
