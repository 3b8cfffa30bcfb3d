"""Lightning module for action recognition: finetuning, or a linear probe of a frozen backbone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics.classification import MulticlassAccuracy

from tbe.augment.mixing import Mixing
from tbe.backbones.base import VideoBackbone
from tbe.backbones.classifier import Classifier
from tbe.backbones.statistics import StatisticsKept
from tbe.backbones.vit import ViT
from tbe.errors import UserError
from tbe.methods.broken_motion import hold_a_frame
from tbe.methods.consistency import Consistency
from tbe.training.optim import Schedule, average_last_step, configure


class FinetuneModule(pl.LightningModule):
    """Trains a classifier on clips and labels; what is frozen stays in eval mode.

    frozen: the whole backbone, or the names of its parts, such as 'stem' and 'stages.0'. Against backgrounds that give
    the labels away, each off unless asked for: `distractor` changes the training clips (as StillMix does, Li et al.,
    ICCV 2023), `consistency` compares the features of the clips with and without it, and `static_weight` times the
    certainty about the class of clips that stand still is added to the loss (in the spirit of ALBAR, Fioresi et al.,
    ICLR 2025, arXiv:2502.00156, without its gradient penalty). mix: mixes training clips and their labels; the accuracy
    in training is then that of the larger share. drop_path: of a ViT, in place of its own.

    Batches hold clips (B, N, C, T, H, W) and label (B,). Validation averages the softmax over the clips of a video
    and ignores videos with label -1.
    """

    def __init__(
        self,
        backbone: VideoBackbone,
        num_classes: int,
        loss: nn.Module,
        optimizer: Callable,
        schedule: Schedule,
        dropout: float = 0.5,
        frozen: bool | Sequence[str] = False,
        distractor: nn.Module | None = None,
        consistency: Consistency | None = None,
        static_weight: float = 0.0,
        mix: Mixing | None = None,
        drop_path: float | None = None,
    ):
        super().__init__()
        if num_classes < 2:
            raise UserError(
                f"finetuning: expected at least two classes, got {num_classes}. Set data.num_classes and label the "
                "videos in the lists; without classes a network can be pretrained (stage=pretrain)"
            )
        self.classifier = Classifier(backbone, num_classes, dropout)
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        if not static_weight >= 0:
            raise UserError(f"module.static_weight: expected at least 0, got {static_weight}")
        self.distractor = nn.Identity() if distractor is None else distractor
        self.consistency = Consistency(0.0) if consistency is None else consistency
        if self.consistency.weight and getattr(distractor, "inplace", False):
            raise UserError("module.distractor.inplace: expected false with a consistency, which needs clean clips too")
        self.static_weight = static_weight
        self.mix = Mixing(mixup=0, cutmix=0) if mix is None else mix
        if drop_path is not None:
            _set_drop_path(backbone, drop_path)
        self.frozen = _names_of_parts(backbone, frozen)
        for name in self.frozen:
            backbone.get_submodule(name).requires_grad_(False).eval()
        self.top1, self.top5 = (
            MulticlassAccuracy(num_classes, top_k=min(k, num_classes), average="micro", ignore_index=-1) for k in (1, 5)
        )

    @property
    def backbone(self) -> VideoBackbone:
        """Returns the network below the head."""
        return self.classifier.backbone

    def train(self, mode: bool = True) -> FinetuneModule:
        super().train(mode)
        for name in self.frozen:  # including batch norm statistics
            self.backbone.get_submodule(name).eval()
        return self

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        clips = batch["clips"].flatten(0, 1)
        labels = batch["label"].repeat_interleave(batch["clips"].shape[1])
        penalties = {}
        if self.static_weight:  # before a distractor that may write into the clips
            with StatisticsKept(self.classifier):  # those of clips that move are what evaluation needs
                penalties["static"] = self.static_weight * certainty(self.classifier(hold_a_frame(clips)))
        targets = labels
        if self.mix.is_on:
            clips, targets = self.mix(clips, labels, self.classifier.head.out_features)
            labels = targets.argmax(dim=1)
        distracted = self.distractor(clips)
        logits = self.classifier(distracted)
        if self.consistency.weight:
            penalties["consistency"] = self.consistency(self.backbone, distracted, clips)
        loss = self.loss(logits, targets)
        for name, penalty in penalties.items():
            self.log(f"train/{name}", penalty)
            loss = loss + penalty
        self.log("train/loss", loss)
        self.log("train/top1", 100 * (logits.argmax(dim=1) == labels).float().mean())
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        average_last_step(self.trainer, optimizer)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        clips = batch["clips"]
        probabilities = self.classifier(clips.flatten(0, 1)).float().softmax(dim=1)
        probabilities = probabilities.unflatten(0, clips.shape[:2]).mean(dim=1)
        self.top1.update(probabilities, batch["label"])
        self.top5.update(probabilities, batch["label"])

    def on_validation_epoch_end(self) -> None:
        for name, metric in {"val/top1": self.top1, "val/top5": self.top5}.items():
            self.log(name, 100 * metric.compute(), sync_dist=True)
            metric.reset()

    def configure_optimizers(self) -> dict[str, Any]:
        return configure(self.trainer, self.classifier, self.optimizer, self.schedule)


def certainty(logits: Tensor) -> Tensor:
    """Returns how far the softmax of logits (B, K) is from guessing: log K minus its entropy, on average."""
    log_probabilities = logits.float().log_softmax(dim=1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    return math.log(logits.shape[1]) - entropy.mean()


def _set_drop_path(backbone: nn.Module, rate: float) -> None:
    if not isinstance(backbone, ViT):
        raise UserError(
            f"module.drop_path: expected null with {type(backbone).__name__}, which drops no paths, got {rate}. Choose "
            "a ViT, or set module.drop_path=null"
        )
    backbone.blocks.set_drop_path(rate)


def _names_of_parts(backbone: nn.Module, frozen: bool | Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the parts that `frozen` says, '' for the whole; raises UserError for unknown ones."""
    if isinstance(frozen, bool):
        return ("",) if frozen else ()
    names = [frozen] if isinstance(frozen, str) else list(frozen)
    known = {name: part for name, part in backbone.named_modules() if name}
    unknown = [name for name in names if name not in known]
    if unknown:
        parts = ", ".join([name for name in known if name.count(".") < 2][:12])
        raise UserError(
            f"module.frozen: expected true, false or parts of {type(backbone).__name__}, such as {parts}, got "
            f"{', '.join(map(repr, unknown))}"
        )
    return tuple(names)
