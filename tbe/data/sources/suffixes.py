"""The suffixes of video files."""

from __future__ import annotations

# Those that any build of FFmpeg reads as videos with timestamps. A .gif is as often a picture, and a raw stream such
# as .h264 has no timestamps: both have to be named explicitly.
VIDEO_SUFFIXES = [".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"]
VIDEO_SUFFIXES += [".3gp", ".3g2", ".ogv", ".ts", ".mts", ".m2ts", ".vob", ".asf"]
