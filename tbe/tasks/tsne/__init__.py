"""Features as points in the plane."""

from tbe.tasks.tsne.task import Tsne

__all__ = ["Tsne"]
