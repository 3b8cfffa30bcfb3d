"""What classes and videos are called in pictures."""

from __future__ import annotations

from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import Records


def class_names(source: VideoSource, records: Records) -> list[str]:
    """A name for each class of a source: its own, else those of the videos' folders.

    A class that nothing names is called 'class' and its number.
    """
    numbered = [f"class {label}" for label in range(source.num_classes)]
    if source.class_names is not None:
        return list(source.class_names)
    folders = _folders(records)
    return [folders.get(label, name) for label, name in enumerate(numbered)]


def shown_path(path: bytes) -> str:
    """A video's path as text, whatever bytes it has."""
    return path.decode("utf-8", errors="replace")


def _folders(records: Records) -> dict[int, str]:
    """The folder of each class, where each has one of its own."""
    parents = (shown_path(path).rpartition("/")[0].rpartition("/")[2] for path in records.paths)
    pairs = set(zip(records.labels.tolist(), parents, strict=True))
    named = {label: parent for label, parent in pairs if label >= 0 and parent}
    return named if len(pairs) == len(named) == len(set(named.values())) else {}
