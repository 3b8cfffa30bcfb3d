"""Background robustness."""

from tbe.evaluation.tasks.robustness.task import Robustness

__all__ = ["Robustness"]
