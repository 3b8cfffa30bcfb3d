"""Weights of another project, with the same interface as our checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tbe.backbones.base import VideoBackbone
from tbe.checkpoints.foreign.family import Colors
from tbe.checkpoints.foreign.load import best, load
from tbe.checkpoints.foreign.match import Match
from tbe.config import build


@dataclass
class ForeignWeights:
    """Weights of another project: only tensors, for the backbone that `backbone_config` describes.

    min_matched: the fraction of the backbone's tensors that they must provide. match: the result, once loaded.
    """

    path: str
    content: Any
    backbone_config: dict[str, Any] | None
    min_matched: float
    match: Match | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Returns an empty config: such a file has none."""
        return {}

    @property
    def name(self) -> str:
        """Returns the name of the file, for tables."""
        return Path(self.path).stem

    def backbone(self) -> VideoBackbone:
        """Builds the backbone of the config and loads the weights of the file."""
        if self.backbone_config is None:
            raise ValueError(f"{self.path}: expected the config of a backbone for these weights, got None")
        backbone = build(self.backbone_config)
        self.load_into(backbone)
        return backbone

    def classifier(self) -> None:
        """Returns None: heads of other projects are not loaded."""

    def load_into(self, backbone: nn.Module) -> None:
        """Loads the weights into a backbone; raises UserError if they do not fit."""
        self.match = load(backbone, self.content, self.path, self.min_matched)

    def colors(self, backbone_config: dict[str, Any]) -> Colors | None:
        """Returns the colors that weights of this family were trained on, None if they are Kinetics' or not known."""
        untrained = {**backbone_config, "weights": None} if "weights" in backbone_config else backbone_config
        try:
            with torch.device("meta"):  # in no time; but not all networks of users can be built without values
                backbone = build(untrained)
        except Exception:
            backbone = build(untrained)
        match = best(backbone, self.content, self.path)[0].match
        return match.colors if match.share > 0.5 else None  # else it is not known whose they are

    def origin(self) -> dict[str, Any]:
        """Returns where the weights come from, for the protocol of a measurement."""
        if self.match is None:
            return {"path": self.path}
        counts = {"matched": len(self.match.matched), "tensors": self.match.total}
        return {"path": self.path, "family": self.match.family, **counts}
