"""Background robustness, measured and drawn."""

from tbe.tasks.robustness.task import Robustness

__all__ = ["Robustness"]
