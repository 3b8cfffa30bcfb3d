"""Which classes are taken for which."""

from tbe.evaluation.tasks.confusion.task import Confusion

__all__ = ["Confusion"]
