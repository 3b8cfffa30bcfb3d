"""The moving average of the weights: which numbers it has, and where it stands in for the weights."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from tbe.config import build, plain
from tests.conftest import composed

EPOCHS, BATCHES = 3, 2


class Counts(pl.LightningModule):
    """Its only weight is the number of steps that it has made."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.validated = []

    def training_step(self, batch, batch_idx):
        return -self.weight

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.weight.item())

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], lr=1.0)


class Batches(pl.LightningDataModule):
    def training_batches(self):
        return BATCHES

    def train_dataloader(self):
        return DataLoader(range(BATCHES))

    def val_dataloader(self):
        return DataLoader(range(1))


def averages(decay, every):
    """The average at the end of each epoch, of weights that are 1, 2, 3, ..."""
    average, found = None, []
    for step in range(EPOCHS * BATCHES):
        weight = step + 1.0
        if step % every == 0:
            average = weight if average is None else decay * average + (1 - decay) * weight
        if (step + 1) % BATCHES == 0:
            found.append(average)
    return found


@pytest.mark.parametrize(("decay", "every"), [(0.5, 1), (0.9, 1), (0.5, 2)])
def test_the_average_is_validated_saved_and_left_at_the_end_and_the_weights_are_kept_beside_it(tmp_path, decay, every):
    asked = [f"callbacks.ema.decay={decay}", f"callbacks.ema.update_every_n_steps={every}"]
    config = plain(composed("train", "callbacks=[pretrain,ema]", *asked, run_dir=tmp_path))
    each_epoch = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    callbacks, module = [build(config["callbacks"]["ema"]), each_epoch], Counts()
    trainer = pl.Trainer(accelerator="cpu", max_epochs=EPOCHS, num_sanity_val_steps=0, callbacks=callbacks, **quiet)
    trainer.fit(module, Batches())
    expected = averages(decay, every)
    saved = [torch.load(tmp_path / f"epoch={epoch}.ckpt", weights_only=True) for epoch in range(EPOCHS)]
    assert module.validated == pytest.approx(expected)
    assert [one["state_dict"]["weight"].item() for one in saved] == pytest.approx(expected)
    assert [one["current_model_state"]["weight"].item() for one in saved] == [2, 4, 6]
    assert module.weight.item() == pytest.approx(expected[-1])
    again, callbacks = Counts(), [build(config["callbacks"]["ema"])]
    quiet["enable_checkpointing"] = False
    trainer = pl.Trainer(accelerator="cpu", max_epochs=EPOCHS, num_sanity_val_steps=0, callbacks=callbacks, **quiet)
    trainer.fit(again, Batches(), ckpt_path=tmp_path / f"epoch={EPOCHS - 1}.ckpt", weights_only=True)
    assert again.weight.item() == pytest.approx(expected[-1])  # also where nothing was left to train
