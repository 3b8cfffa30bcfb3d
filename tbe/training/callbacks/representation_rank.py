"""Watches, while a network is pretrained, how many dimensions its features use, and says when they have collapsed."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tbe.distributed import gather, rank, world_size
from tbe.errors import UserError
from tbe.evaluation.ranks import lidar, rankme

log = logging.getLogger(__name__)


class RepresentationRank(pl.Callback):
    """Logs `train/rankme` and, of methods with a query and a key, `train/lidar`, every `every` batches.

    They are computed of the features of `videos` training videos over all processes, with their views as augmented but
    not distracted: those of the last batches of each period, which is longer where these would be more than `max_share`
    of it: each costs a third to half of a step, and more where a step leaves tokens out, so that `max_share` is
    multiplied by the method's `seen_share`. A run that is shorter is measured once, at its end. A RankMe below
    `collapsed_below` is warned of, once: then all clips have nearly the same features.
    """

    def __init__(self, every: int = 100, videos: int = 128, max_share: float = 0.025, collapsed_below: float = 1.5):
        if every < 1 or videos < 2 or not 0 < max_share <= 1 or collapsed_below < 1:
            raise UserError(
                "callbacks.rank: expected at least every=1, videos=2, a max_share above 0 and up to 1, and "
                f"collapsed_below=1, got every={every}, videos={videos}, max_share={max_share}, "
                f"collapsed_below={collapsed_below}"
            )
        self.every = every
        self.videos = videos
        self.max_share = max_share
        self.collapsed_below = collapsed_below
        self.batches = 0  # seen, of all epochs
        self.features: list[Tensor] = []  # (videos, views, F) of the batches of this period
        self.has_warned = False
        self.has_said_period = False

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches, "features": self.features, "has_warned": self.has_warned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.batches = state_dict["batches"]
        self.features = state_dict["features"]
        self.has_warned = state_dict["has_warned"]

    def period(self, batch_size: int, total: float = math.inf, seen_share: float = 1.0) -> tuple[int, int]:
        """Returns how many batches are looked at, of how many; batch_size: of a process, total: batches of the run."""
        needed = math.ceil(self.videos / (batch_size * world_size()))
        period = max(self.every, math.ceil(round(needed / (self.max_share * seen_share), 6)))
        return needed, period if period <= total else max(1, int(total))

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        # All is done here, before the step: a checkpoint after it then holds the same whatever callback saves it.
        views = [batch[name] for name in ("query", "key") if name in batch]
        method: Any = module.method
        needed, period = self.period(len(views[0]), _batches_of(trainer), method.seen_share)
        if not self.has_said_period and period != self.every and rank() == 0:
            log.info(
                "callbacks.rank: measures every %d batches in place of every=%d, so that the %d that it looks at are "
                "at most max_share=%g of them%s, or once in a shorter run",
                *(period, self.every, needed, self.max_share),
                _told(method.seen_share),
            )
        self.has_said_period = True
        self.batches += 1
        left = -self.batches % period  # batches of the period after this one
        if left < needed:
            with trainer.strategy.precision_plugin.forward_context():
                self.features.append(gather(features_of(module.backbone, views)).cpu())  # type: ignore[arg-type]
        if not left:
            self._measure(trainer, module, torch.cat(self.features)[-self.videos :])
            self.features = []

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule, features: Tensor) -> None:
        """Logs the ranks of features (videos, views, F), and warns of a collapse."""
        ranks = {"train/rankme": rankme(features[:, 0])}
        if features.shape[1] > 1:
            ranks["train/lidar"] = lidar(features)
        for logger in trainer.loggers:  # at this very step, whatever the interval of what is logged at each
            logger.log_metrics(ranks, step=trainer.fit_loop.epoch_loop._batches_that_stepped)
        module.log_dict(ranks, logger=False)
        trainer.callback_metrics  # noqa: B018  # Lightning keeps what was logged when it is asked
        if ranks["train/rankme"] < self.collapsed_below and not self.has_warned and rank() == 0:
            log.warning(
                "collapsed: at step %d the features of %d videos use %.2f of %d dimensions (train/rankme, below "
                "callbacks.rank.collapsed_below=%g): all clips have nearly the same features, and whatever is measured "
                "of them says nothing. Try a lower optimizer.lr or, where the loss keeps features apart, more of that",
                trainer.global_step,
                len(features),
                ranks["train/rankme"],
                features.shape[2],
                self.collapsed_below,
            )
        self.has_warned |= ranks["train/rankme"] < self.collapsed_below


def _told(seen_share: float) -> str:
    return f" times the {seen_share:.2g} of the tokens that a step encodes" if seen_share < 1 else ""


def _batches_of(trainer: pl.Trainer) -> float:
    """Returns the batches of all epochs of a run, inf if it has no end."""
    of_steps = trainer.max_steps * trainer.accumulate_grad_batches if trainer.max_steps > 0 else math.inf
    epochs = trainer.max_epochs or -1
    of_epochs = trainer.num_training_batches * epochs if epochs > 0 else math.inf
    return min(of_epochs, of_steps)


@torch.no_grad()
def features_of(backbone: nn.Module, views: list[Tensor]) -> Tensor:
    """Returns float32 features (B, views, F) of the views, (B, C, T, H, W) each, as in evaluation."""
    was_training = backbone.training
    backbone.eval()  # whose batch norms keep their statistics
    try:
        return torch.stack([backbone(view) for view in views], dim=1).float()
    finally:
        backbone.train(was_training)
