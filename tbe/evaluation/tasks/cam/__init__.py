"""Activation maps of a network over videos."""

from tbe.evaluation.tasks.cam.task import Cam

__all__ = ["Cam"]
