"""Draws the embedded data set: actions that only motion tells, in front of scenes that mostly go with them."""

from tbe.data.biased_scenes.source import BiasedScenes

__all__ = ["BiasedScenes"]
