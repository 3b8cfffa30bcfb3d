"""The scene swap: classes are learned in one scene each, and asked in the scenes of other classes."""

from tbe.evaluation.tasks.scene_swap.task import SceneSwap

__all__ = ["SceneSwap"]
