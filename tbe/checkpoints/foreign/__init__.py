"""Loads weights of other projects: files are read as tensors only, networks recognized by their keys."""

from tbe.checkpoints.foreign.files import read
from tbe.checkpoints.foreign.foreign import ForeignWeights
from tbe.checkpoints.foreign.load import load
from tbe.checkpoints.foreign.match import Match

__all__ = ["ForeignWeights", "Match", "load", "read"]
