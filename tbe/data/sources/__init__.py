"""Describes data sets: list files, labels, class names and actor masks."""

from tbe.data.sources.video_lists import VideoLists

__all__ = ["VideoLists"]
