"""What the names of video files end with."""

from __future__ import annotations

# Those that any build of FFmpeg reads as videos with places in time. A .gif is as often a picture, and a raw stream
# such as .h264 says nothing of time: who means them names them.
VIDEO_SUFFIXES = [".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"]
VIDEO_SUFFIXES += [".3gp", ".3g2", ".ogv", ".ts", ".mts", ".m2ts", ".vob", ".asf"]
