"""Which classes are taken for which."""

from tbe.tasks.confusion.task import Confusion

__all__ = ["Confusion"]
