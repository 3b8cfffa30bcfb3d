"""What the names of video files end with."""

from __future__ import annotations

VIDEO_SUFFIXES = [".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"]
