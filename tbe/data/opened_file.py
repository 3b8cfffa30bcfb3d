"""A video file, opened with PyAV whatever its version."""

from __future__ import annotations

from typing import Any

import av
from av.container import InputContainer

# Some HMDB51 files have metadata that is not UTF-8. Version 19 reads them unasked, and knows no such setting.
BEFORE_19: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


def open_file(file: Any) -> InputContainer:
    """Opens what PyAV takes, a name or an open file, for reading."""
    return av.open(file, **BEFORE_19)
