"""Where in a video a network looks."""

from tbe.evaluation.tasks.cam.task import Cam

__all__ = ["Cam"]
