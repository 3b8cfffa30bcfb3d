"""Weights out: a trained network as files that other programs read, each checked against the network."""

from tbe.evaluation.tasks.export.task import Export

__all__ = ["Export"]
