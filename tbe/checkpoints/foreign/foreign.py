"""A file of another project beside our own checkpoints: what both answer to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tbe.backbones.base import VideoBackbone
from tbe.checkpoints.foreign.load import load
from tbe.checkpoints.foreign.match import Match
from tbe.config import build


@dataclass
class ForeignWeights:
    """Weights of another project: tensors alone, for the backbone that `backbone_config` describes.

    least: the share of the backbone's tensors that they must give. match: what they gave, once loaded.
    """

    path: str
    content: Any
    backbone_config: dict[str, Any] | None
    least: float
    match: Match | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Such a file carries none."""
        return {}

    @property
    def name(self) -> str:
        """The name of the file, for tables."""
        return Path(self.path).stem

    def backbone(self) -> VideoBackbone:
        """The backbone of the config, with the weights of the file."""
        if self.backbone_config is None:
            raise ValueError(f"{self.path}: expected the config of a backbone for these weights, got None")
        backbone = build(self.backbone_config)
        self.load_into(backbone)
        return backbone

    def classifier(self) -> None:
        """Heads of other projects are left where they are."""

    def load_into(self, backbone: nn.Module) -> None:
        """Copies the weights into a backbone that they fit; a ValueError for another one."""
        self.match = load(backbone, self.content, self.path, self.least)

    def origin(self) -> dict[str, Any]:
        """Where the weights come from, for the protocol of a measurement."""
        if self.match is None:
            return {"path": self.path}
        counts = {"matched": len(self.match.matched), "tensors": self.match.total}
        return {"path": self.path, "family": self.match.family, **counts}
