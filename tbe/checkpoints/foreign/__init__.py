"""Weights of other projects in our backbones: files read as tensors only, networks recognised by their keys."""

from tbe.checkpoints.foreign.files import read
from tbe.checkpoints.foreign.foreign import ForeignWeights
from tbe.checkpoints.foreign.load import load
from tbe.checkpoints.foreign.match import Match

__all__ = ["ForeignWeights", "Match", "load", "read"]
