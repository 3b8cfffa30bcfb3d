"""The `tbe` entry of a checkpoint and how checkpoints are read.

checkpoint["tbe"] = {"stage": str, "backbone": prefix of its weights in the state dict, "config": plain types}

A file without this entry is foreign: weights of another project, for the backbone of the current config.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from tbe.backbones.base import VideoBackbone
from tbe.backbones.classifier import Classifier
from tbe.checkpoints import config_allowlist, foreign
from tbe.checkpoints.atomic_io import could_be_torn, require_intact
from tbe.checkpoints.exported import is_exported, read_exported
from tbe.checkpoints.foreign import ForeignWeights
from tbe.checkpoints.moved_names import with_present_names
from tbe.config import build
from tbe.errors import UserError

log = logging.getLogger(__name__)

KEY = "tbe"
MOVED = ("best_model_path", "kth_best_model_path", "last_model_path")  # of what keeps checkpoints
CLASSIFIER = "classifier."  # where FinetuneModule keeps its network
TRAINED_ONLY = (nn.modules.dropout._DropoutNd, StochasticDepth)  # layers that do nothing in evaluation
BUILT = ("backbone", "data", "reader", "clip")  # the parts of a stored config that are rebuilt


class CarryConfig(pl.Callback):
    """Stores the resolved config in each checkpoint, so that its network can be rebuilt from the file alone."""

    def __init__(self, config: dict[str, Any]):
        self.config = config

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        prefix = next(name for name, part in module.named_modules() if part is module.backbone)
        checkpoint[KEY] = {"stage": self.config["stage"], "backbone": prefix + ".", "config": self.config}

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Lets what keeps the best checkpoint go on with its scores where the run's folder was moved."""
        for callback in trainer.checkpoint_callbacks:
            state = checkpoint.get("callbacks", {}).get(callback.state_key, {})
            best = Path(str(getattr(callback, "dirpath", "")), Path(state.get("best_model_path") or "none").name)
            if "dirpath" in state and best.is_file():
                kept = {str(best.parent / Path(path).name): score for path, score in state["best_k_models"].items()}
                moved = {name: str(best.parent / Path(state[name]).name) for name in MOVED if state.get(name)}
                state.update(moved, dirpath=str(best.parent), best_k_models=kept)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint of this project."""

    path: str
    stage: str
    config: dict[str, Any]
    epoch: int
    step: int
    weights: dict[str, Tensor]
    prefix: str

    @property
    def name(self) -> str:
        """Returns the name of the run that wrote it, for tables and folders."""
        return config_allowlist.folder_name(self.config["run_name"])

    def backbone(self) -> VideoBackbone:
        """Builds the backbone from the stored config and loads the trained weights."""
        backbone = build(self.config["backbone"])
        load_exactly(backbone, self._part(self.prefix), self.path)
        return backbone

    def classifier(self) -> Classifier | None:
        """Returns the backbone with its trained head; None if there is no head."""
        weights = self._part(CLASSIFIER)
        if "head.weight" not in weights:
            return None
        classifier = Classifier(build(self.config["backbone"]), num_classes=len(weights["head.weight"]))
        load_exactly(classifier, weights, self.path)
        return classifier

    def load_into(self, backbone: nn.Module) -> None:
        """Loads the trained weights into a backbone; raises UserError if its architecture differs.

        Warns if the backbone computes something else with them, as with other positions or strides.
        """
        load_exactly(backbone, self._part(self.prefix), self.path)
        if differing := _computed_otherwise(self.config["backbone"], backbone):
            log.warning(
                "%s: these weights were trained in another computation, which they fit as well (%s). What is measured "
                "is not the trained network, unless that is meant",
                self.path,
                "; ".join(differing[:3]) + ("; ..." if len(differing) > 3 else ""),
            )

    def origin(self) -> dict[str, Any]:
        """Returns where the weights come from, for the protocol of a measurement."""
        return {"path": self.path, "stage": self.stage, "epoch": self.epoch, "step": self.step}

    def _part(self, prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: value for name, value in self.weights.items() if name.startswith(prefix)}


def _computed_otherwise(config: dict[str, Any], backbone: nn.Module) -> list[str]:
    """Returns in which layers a backbone differs from the one of a config whose weights fit it, as text."""
    with torch.device("meta"):
        untrained = {**config, "weights": None} if "weights" in config else config  # none are downloaded for this
        before, now = (_said_by_layers(network) for network in (build(untrained), backbone))
    names = sorted({*before, *now}, key=lambda name: (name.count("."), name))
    return [
        f"{name or 'as a whole'}: {before.get(name, 'none')} -> {now.get(name, 'none')}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _said_by_layers(network: nn.Module) -> dict[str, str]:
    """Returns what the layers say of themselves, by name, but for those that act in training alone."""
    return {
        name: f"{type(layer).__name__}({layer.extra_repr()})"
        for name, layer in network.named_modules()
        if not isinstance(layer, TRAINED_ONLY)
    }


def load_exactly(network: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Loads weights whose names and shapes all match; otherwise raises UserError with the counts of mismatches."""
    wanted = network.state_dict()
    missing, unexpected = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    reshaped = sorted(name for name in wanted.keys() & weights.keys() if wanted[name].shape != weights[name].shape)
    if missing or unexpected or reshaped:
        examples = ", ".join((missing + unexpected + reshaped)[:3])
        raise UserError(
            f"{where}: expected the weights of {type(network).__name__} ({len(wanted)} tensors), got another "
            f"architecture's: {len(missing)} missing, {len(unexpected)} unexpected, {len(reshaped)} of another shape "
            f"(such as {examples}). Choose the backbone that the checkpoint was trained with"
        )
    network.load_state_dict(weights)


def load_module(module: nn.Module, path: str | os.PathLike) -> None:
    """Loads all weights of a checkpoint into the module that wrote it; raises UserError for a corrupt file."""
    require_intact(path)
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])


def read(path: str | os.PathLike) -> Checkpoint:
    """Reads a checkpoint as plain types and tensors; raises UserError for a file of another origin."""
    checkpoint = read_any(path)
    if isinstance(checkpoint, ForeignWeights):
        raise UserError(f"{path}: expected a checkpoint written by train.py, got one without a config")
    return checkpoint


def read_any(
    path: str | os.PathLike, backbone: dict[str, Any] | None = None, min_matched: float = 0.9
) -> Checkpoint | ForeignWeights:
    """Reads a checkpoint, or a foreign file as weights for the backbone config `backbone`.

    The weights that task=export wrote, beside their card, are a checkpoint as well.
    min_matched: the fraction of the backbone's tensors that foreign weights must provide. Raises UserError for a
    corrupt checkpoint, or one whose config would build anything but networks, data sets and readers.
    """
    if is_exported(path):
        raw = read_exported(path)
    else:
        raw = _read(path)
        if not isinstance(raw, dict) or KEY not in raw:
            return ForeignWeights(os.fspath(path), raw, backbone, min_matched)
        require_intact(path)  # torch itself does not verify the checksums
    ours = raw[KEY]
    config = with_present_names(ours["config"])
    for part in BUILT:
        config_allowlist.validate_config(config.get(part), where=f"{path} ({part})")
    return Checkpoint(
        path=os.fspath(path),
        stage=ours["stage"],
        config={
            name: config_allowlist.strip_path_permissions(part) if name in BUILT else part
            for name, part in config.items()
        },
        epoch=raw["epoch"],
        step=raw["global_step"],
        weights=raw["state_dict"],
        prefix=ours["backbone"],
    )


def _read(path: str | os.PathLike) -> Any:
    """Reads plain types and tensors; raises UserError for a corrupt file or one with other content."""
    try:
        return foreign.read(path)
    except UserError:
        if could_be_torn(path):
            require_intact(path)
        raise
