"""Lightning module for self-supervised pretraining: any method, with or without Background Erasing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim import Optimizer

from tbe.backbones.base import VideoBackbone
from tbe.errors import UserError
from tbe.methods.base import Comparisons, Embeddings, Method, Predictions, Reconstructions, WeightedComparisons
from tbe.methods.consistency import Consistency
from tbe.methods.losses import NCE, CosineRegression, InfoNCE, TripletMargin, contrast_accuracy
from tbe.training.optim import Schedule, average_last_step, configure

Compared = Comparisons | WeightedComparisons | Predictions | Embeddings | Reconstructions
REGRESSIONS = (nn.MSELoss, nn.L1Loss)  # of reconstructions
OF_COMPARISONS = (InfoNCE, NCE, TripletMargin, CosineRegression)
DISTRACTED = {"query": ("query",), "key": ("key",), "both": ("query", "key")}


class PretrainModule(pl.LightningModule):
    """Applies the distractor to the query (or the key), compares the views by the method, and computes the loss.

    Batches hold the views that the method reads (of query, key, negative), each (B, C, T, H, W). A consistency
    regularizer compares the features of the distracted and the clean query. Validation returns features of labelled
    clips for the callbacks that probe them.
    """

    def __init__(
        self,
        method: Method,
        distractor: nn.Module,
        loss: nn.Module,
        optimizer: Callable,
        schedule: Schedule,
        consistency: Consistency,
        distractor_views: str = "query",
    ):
        super().__init__()
        if distractor_views not in DISTRACTED:
            raise UserError(f"distractor_views: expected one of {', '.join(DISTRACTED)}, got {distractor_views!r}")
        if not set(DISTRACTED[distractor_views]) <= set(method.views):
            raise UserError(
                f"distractor_views: expected a view that {type(method).__name__} reads, {', '.join(method.views)}, got "
                f"{distractor_views!r}"
            )
        if method.reads_owners and not (
            "query" in DISTRACTED[distractor_views] and getattr(distractor, "has_owners", False)
        ):
            raise UserError(
                "method.negative=background_owner: expected queries with frames of other videos (be=inter and "
                f"distractor_views=query or both), got {type(distractor).__name__} on {distractor_views}"
            )
        if consistency.weight and "query" not in DISTRACTED[distractor_views]:
            raise UserError(
                "consistency: expected distractor_views=query or both, so that the query with the distractor is "
                f"pulled to the one without, got {distractor_views}: it would be 0"
            )
        if consistency.weight and getattr(distractor, "inplace", False):
            raise UserError(
                "be.inplace: expected false with a consistency, which compares the distracted query with the clean "
                f"one, got true and a weight of {consistency.weight}. Set be.inplace=false or consistency=none"
            )
        if method.reads_clean and getattr(distractor, "inplace", False):
            raise UserError(
                "be.inplace: expected false with method.target=clean, the clip without the distractor, got true. Set "
                "be.inplace=false or method.target=seen"
            )
        self.distractor_views = DISTRACTED[distractor_views]
        self.method = method
        self.consistency = consistency
        self.distractor = distractor
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule

    @property
    def backbone(self) -> VideoBackbone:
        """Returns the pretrained network, the part to keep."""
        return self.method.backbone

    def on_train_start(self) -> None:
        self.method.check_num_videos(len(self.trainer.train_dataloader.dataset))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        views = {name: batch[name] for name in self.method.views}
        query, more = views["query"], {}
        for name in self.distractor_views:
            views[name] = self.distractor(views[name])
            if name == "query" and self.method.reads_owners:
                more["owners"] = self.distractor.owners
        if self.method.reads_clean:
            more["clean"] = query
        comparisons = self.method(*views.values(), **more)
        _check_fits(self.loss, comparisons, self.method)
        loss = self.loss(*comparisons)
        if self.consistency.weight:
            penalty = self.consistency(self.backbone, views["query"], query)
            self.log("train/consistency", penalty)
            loss = loss + penalty
        self.log("train/loss", loss)
        for name, value in {**_accuracy(comparisons), **getattr(self.loss, "parts", {})}.items():
            self.log(f"train/{name}", value)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        clips = batch["clips"]
        features = self.backbone(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).mean(dim=1)
        return {"features": features.float(), "labels": batch["label"]}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        average_last_step(self.trainer, optimizer)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Not in training_step: with gradient accumulation the key encoder would move at each micro-batch.
        self.method.after_step()

    def configure_optimizers(self) -> dict[str, Any]:
        return configure(self.trainer, self.method, self.optimizer, self.schedule)


def _check_fits(loss: nn.Module, compared: Compared, method: Method) -> None:
    """Raises UserError where embeddings or reconstructions come to a loss of something else, or the reverse."""
    if isinstance(compared, Reconstructions) != isinstance(loss, REGRESSIONS):
        expected = "mse or l1" if isinstance(compared, Reconstructions) else "the one that the method brings"
        raise UserError(
            f"loss: expected {expected} with {type(method).__name__}, got {type(loss).__name__}: leave loss= out, or "
            "choose loss=mse and loss=l1 with method=videomae or method=vjepa only"
        )
    told, kind = isinstance(compared, Predictions), type(loss).__name__
    if isinstance(loss, OF_COMPARISONS if told else nn.CrossEntropyLoss):
        raise UserError(
            f"loss: expected {'cross_entropy' if told else 'another than that of pretext tasks'} with "
            f"{type(method).__name__}, got {kind}: leave loss= out"
        )
    negatives = getattr(compared, "negatives", None)
    if isinstance(loss, CosineRegression) and negatives is not None and negatives.numel():
        raise UserError(
            f"loss: expected one that reads the negatives of {type(method).__name__}, got {kind}: leave loss= out, or "
            "choose loss=cosine with method=byol only"
        )
    if isinstance(compared, Embeddings) != hasattr(loss, "parts"):
        expected = "vicreg or lejepa" if isinstance(compared, Embeddings) else "the one that the method brings"
        raise UserError(
            f"loss: expected {expected} with {type(method).__name__}, got {type(loss).__name__}: leave loss= out, or "
            "choose loss=vicreg and loss=lejepa with method=vicreg or method=lejepa only"
        )


def _accuracy(comparisons: Compared) -> dict[str, Tensor]:
    """Returns the accuracy of the method in percent; empty for a method without negatives."""
    if isinstance(comparisons, Predictions):
        return {"pretext_accuracy": 100 * (comparisons.logits.argmax(dim=1) == comparisons.targets).float().mean()}
    if isinstance(comparisons, (Embeddings, Reconstructions)) or not comparisons.negatives.shape[1]:
        return {}
    return {"contrast_accuracy": contrast_accuracy(comparisons.positives, comparisons.negatives)}
