"""Embeds features in the plane."""

from tbe.evaluation.tasks.tsne.task import Tsne

__all__ = ["Tsne"]
