"""The embedded data set: actions recognizable by motion only, in front of scenes that mostly go with them."""

from tbe.data.biased_scenes.source import BiasedScenes

__all__ = ["BiasedScenes"]
