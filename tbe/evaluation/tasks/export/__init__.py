"""Exports a trained network to files for other programs, each verified against the network."""

from tbe.evaluation.tasks.export.task import Export

__all__ = ["Export"]
