"""Vision transformers for video: tubelets, positions, attention blocks, and the network made of them."""

from tbe.backbones.vit.network import ViT
from tbe.backbones.vit.selecting import select

__all__ = ["ViT", "select"]
