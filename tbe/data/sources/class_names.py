"""Display names of classes and videos."""

from __future__ import annotations

from tbe.data.sources.base import VideoSource
from tbe.data.sources.records import Records


def class_names(source: VideoSource, records: Records) -> list[str]:
    """Returns a name for each class of a source: its own, else the folder of its videos, else 'class <number>'.

    Folders count as names only if each class has exactly one of its own.
    """
    numbered = [f"class {label}" for label in range(source.num_classes)]
    if source.class_names is not None:
        return list(source.class_names)
    folders = _folders(records)
    return [folders.get(label, name) for label, name in enumerate(numbered)]


def display_path(path: bytes) -> str:
    """Decodes a video's path for display, whatever bytes it has."""
    return path.decode("utf-8", errors="replace")


def _folders(records: Records) -> dict[int, str]:
    """Returns the folder of each class if each has exactly one of its own, else {}."""
    parents = (display_path(path).rpartition("/")[0].rpartition("/")[2] for path in records.paths)
    pairs = set(zip(records.labels.tolist(), parents, strict=True))
    named = {label: parent for label, parent in pairs if label >= 0 and parent}
    return named if len(pairs) == len(named) == len(set(named.values())) else {}
