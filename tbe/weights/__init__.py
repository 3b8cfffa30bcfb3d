"""Weights of other projects in our backbones: files read as tensors only, networks recognised by their keys."""

from tbe.weights.files import read
from tbe.weights.foreign import ForeignWeights
from tbe.weights.load import load
from tbe.weights.match import Match

__all__ = ["ForeignWeights", "Match", "load", "read"]
