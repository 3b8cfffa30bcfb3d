"""Confusion between classes."""

from tbe.evaluation.tasks.confusion.task import Confusion

__all__ = ["Confusion"]
