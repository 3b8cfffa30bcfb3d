"""Says which videos a data set has: list files, labels, class names, and where the actors are."""

from tbe.data.sources.video_lists import VideoLists

__all__ = ["VideoLists"]
