"""Callbacks that go as one are called, and keep their states, as if each went alone."""

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from gen_models.models import VAE
from gen_models.training.together import Together
from tests.models.conftest import SHAPE, parts, quiet_trainer


class Told(pl.Callback):
    def __init__(self, name, told):
        self.name, self.told, self.loaded = name, told, None

    @property
    def state_key(self):
        return self.name

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.told.append((self.name, batch_idx))

    def state_dict(self):
        return {"count": len(self.told)} if self.name == "first" else {}

    def load_state_dict(self, state_dict):
        self.loaded = state_dict


class Ends(Told):
    def on_train_end(self, trainer, module):
        self.told.append((self.name, "end"))


def test_each_part_is_called_in_order_where_it_has_something_to_do(tmp_path):
    told = []
    images = DataLoader(torch.rand(48, *SHAPE), batch_size=16)
    together = Together([Told("first", told), Ends("second", told)])
    quiet_trainer(tmp_path, max_epochs=1, callbacks=[together]).fit(VAE(**parts()), images)
    batches = [(name, index) for index in range(3) for name in ("first", "second")]
    assert told == [*batches, ("second", "end")]
    assert "on_train_end" in vars(together)
    assert "on_before_backward" not in vars(together)


def test_each_part_keeps_its_own_state():
    parts = [Told("first", [1, 2]), Told("second", [])]
    state = Together(parts).state_dict()
    assert state == {"first": {"count": 2}}
    Together(parts).load_state_dict(state)
    assert [part.loaded for part in parts] == [{"count": 2}, None]
